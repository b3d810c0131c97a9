#pragma once

#include "filemap/subject/session.hpp"

#include "driven_rounds.hpp"
#include "driver.hpp"
#include "named_files.hpp"
#include "tally.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace filemap::litmus {

/// Runs rounds by a driver. Of the options it takes the seed, the time-out of a round, the model,
/// and when to stop: how many rounds are in flight at once is the driver's to say.
class driver_session final : public runner {
 public:
  /// `mode` is one of the driver's, and `dir` a directory of the session's alone. The driver serves
  /// one session at a time. Throws `unsupported` where it cannot run the test, driver_failed,
  /// std::system_error.
  driver_session(driver& driver, const test& test, const mode& mode, std::filesystem::path dir,
                 const session_options& options);

  void run(std::uint64_t rounds, nanoseconds at_most = nanoseconds::max()) noexcept override;
  bool finished() const noexcept override;
  /// What a driver has not ended goes with it.
  bool abandoned() const noexcept override { return false; }
  const mode_result& result() const noexcept override { return result_; }

 private:
  struct batch;

  bool interrupted() const noexcept;
  std::uint64_t run_batch(std::size_t count);
  void account(const batch& batch, const driven_round& round);
  bool may_have_overtaken(std::span<const step> steps) const;
  void remove(batch& batch);
  void fail() noexcept;

  driver& driver_;
  const session_options options_;
  const test test_;  // with the mode's flushes in it
  const std::filesystem::path dir_;
  mode_result result_;
  std::unique_ptr<driven_rounds> rounds_;
  std::unique_ptr<tally> sum_;
  std::uint64_t next_round_ = 0;
  bool failed_ = false;
};

}  // namespace filemap::litmus
