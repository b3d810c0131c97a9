#pragma once

#include "filemap/coro/task.hpp"
#include "filemap/io/engines.hpp"
#include "filemap/subject/step.hpp"

#include "process_gate.hpp"
#include "round.hpp"
#include "subject.hpp"

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace filemap::litmus {

/// A litmus test whose operations are held back: each run from fresh files, and always with the
/// same bytes.
class litmus_subject final : public subject {
 public:
  /// `test` has the mode's flushes in it already, and `mode` has none. `model`: of the two, to tell
  /// states by. Throws std::system_error, and `unsupported` where the mode cannot run.
  litmus_subject(const test& test, const mode& mode, const std::filesystem::path& dir,
                 const uring_options& ring = {},
                 std::shared_ptr<const model_result> model = nullptr);
  ~litmus_subject() override;

  void begin() override;
  std::span<const candidate> held() const override { return names_; }
  footprint execute(std::size_t choice) override;
  filemap::ending end() override;
  std::string describe(const candidate& which) const override;

  const final_state& state(std::size_t number) const noexcept { return *states_[number].what; }
  /// Of the runs that came to it, the worst.
  judgement::standing standing(std::size_t number) const noexcept { return states_[number].stands; }
  /// Of the last run, in the order in which processes began them.
  std::span<const step> steps() const noexcept;
  const observed_fields& observed() const noexcept;
  engine_traits traits() const;

 private:
  class run;

  std::unique_ptr<run> run_;
  std::vector<candidate> names_;
  std::map<final_state, std::size_t> numbers_;
  struct known_state {
    const final_state* what;  // a key of `numbers_`
    judgement::standing stands;
  };
  std::vector<known_state> states_;
};

}  // namespace filemap::litmus
