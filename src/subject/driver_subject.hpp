#pragma once

#include "command_subject.hpp"
#include "driven_rounds.hpp"
#include "driver_protocol.hpp"
#include "judged_subject.hpp"
#include "named_files.hpp"

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace filemap::litmus {

/// A round of a driver as a subject: the driver is a command, which is told one round and the end,
/// and its calls on the round's files are held.
class driver_subject final : public judged_subject {
 public:
  struct settings {
    std::string command;              ///< for /bin/sh
    std::filesystem::path directory;  ///< of the subject's alone
    nanoseconds patience{0};          ///< a run takes no longer
    const std::atomic<bool>* interrupt = nullptr;
  };

  /// `test` has the mode's flushes in it. Throws `unsupported` where its claims do not reach, or it
  /// cannot be supervised here; std::system_error.
  driver_subject(const test& test, const mode& mode, const driver_claims& claims,
                 std::shared_ptr<const model_result> model, const settings& how);

  void begin() override { command_->begin(); }
  std::span<const candidate> held() const override { return command_->held(); }
  footprint execute(std::size_t choice) override { return command_->execute(choice); }
  /// Throws driver_failed where the driver has done what none should.
  ending end() override;
  std::string describe(const candidate& which) const override { return command_->describe(which); }

  std::span<const step> steps() const noexcept override { return steps_; }
  engine_traits traits() const override;
  bool may_diverge() const noexcept override { return true; }
  std::string not_held() const override;
  /// Of the last run: the calls that were held, in the order in which they were executed.
  std::span<const executed_call> executed() const noexcept { return command_->executed(); }

 private:
  std::string conversation();
  void make_files();
  void time_operations();
  std::optional<driven_round> round_in(const command_end& ended);

  const test test_;
  const driver_claims claims_;
  const bool acknowledges_early_;
  const std::filesystem::path directory_;  // of the round's files
  driver_protocol protocol_;
  driven_rounds rounds_;
  std::optional<round_directory> where_;
  std::optional<named_files> files_;
  std::unique_ptr<command_subject> command_;
  std::vector<step> steps_;
  std::map<candidate, std::ptrdiff_t> operations_;  // of calls: the step that each was of
  bool is_stable_ = true;
  bool has_ring_ = false;
  bool was_forced_ = false;
};

}  // namespace filemap::litmus
