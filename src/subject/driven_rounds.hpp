#pragma once

#include "filemap/litmus/mode.hpp"
#include "filemap/litmus/test.hpp"
#include "filemap/model/model.hpp"
#include "filemap/subject/step.hpp"

#include "driver_protocol.hpp"
#include "judge.hpp"
#include "named_files.hpp"
#include "patterns.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

namespace filemap::litmus {

/// Makes of what a driver tells what a round of an engine is: steps, and a judgement.
class driven_rounds {
 public:
  /// `test` has the mode's flushes in it, and the model was made of it. `direct`: every handle is
  /// O_DIRECT.
  driven_rounds(const test& test, const mode& mode, const driver_claims& claims,
                std::shared_ptr<const model_result> model, bool direct, std::filesystem::path dir);

  /// The bytes of the rounds that come.
  void draw(std::uint64_t seed, std::uint64_t round) { judge_.draw(bytes_, seed, round); }
  const patterns& bytes() const noexcept { return bytes_; }

  /// Of a round whose files are as they were left. Throws `unsupported` where the filesystem does
  /// not have what failed, std::system_error.
  judgement judged(const driven_round& round, const named_files& files);
  /// Until the next call.
  std::span<const step> steps_of(const driven_round& round);
  /// Is what stands in the files looked at?
  bool looks_at_files() const noexcept;

 private:
  const test& test_;
  const mode mode_;
  const bool direct_;
  const std::filesystem::path dir_;
  const observed_fields observed_;
  judge judge_;
  patterns bytes_;
  round_evidence evidence_;
  std::vector<step> steps_;
};

}  // namespace filemap::litmus
