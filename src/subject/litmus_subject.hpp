#pragma once

#include "filemap/coro/task.hpp"
#include "filemap/io/engines.hpp"
#include "filemap/subject/step.hpp"

#include "judged_subject.hpp"
#include "process_gate.hpp"
#include "round.hpp"

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
class litmus_subject final : public judged_subject {
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

  /// In the order in which processes began them.
  std::span<const step> steps() const noexcept override;
  const observed_fields& observed() const noexcept;
  engine_traits traits() const override;

 private:
  class run;

  std::unique_ptr<run> run_;
  std::vector<candidate> names_;
};

}  // namespace filemap::litmus
