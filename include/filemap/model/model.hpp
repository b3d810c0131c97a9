#pragma once

#include "filemap/litmus/mode.hpp"
#include "filemap/litmus/test.hpp"

#include <cstddef>
#include <cstdint>
#include <set>
#include <string_view>

namespace filemap::litmus {

struct model_options {
  /// A write takes effect at one moment, as POSIX has it; else page by page, as Linux does it.
  bool atomic_writes = false;
  std::uint64_t max_states = 10'000'000;
};

struct model_result {
  /// Projected to what the condition looks at. Bytes that a read copied while they were being
  /// changed are `unknown_bytes`: any mixture of the two.
  std::set<final_state> allowed;
  std::uint64_t states = 0;  ///< distinct ones that the search has visited
  bool complete = true;      ///< false: `max_states` was reached, so `allowed` may lack some
  bool deadlocks = false;    ///< some interleaving waits for ever
};

/// Every outcome that the mode allows the test, by exhaustive search over an in-memory file. The
/// rules are those of docs/model.md.
model_result model(const test& test, const mode& mode, const model_options& options = {});

/// Is a projected state that was seen one of those? Where bytes are unknown in an allowed state,
/// any of the test's patterns will do.
bool allows(const std::set<final_state>& allowed, const final_state& seen);

/// How many of the states count: those that the condition asks about.
std::size_t counted(const test& test, const std::set<final_state>& states);

/// "Never", "Sometimes" or "Always", as herd says it; "Never" of nothing.
std::string_view frequency_word(std::uint64_t counted, std::uint64_t all) noexcept;

}  // namespace filemap::litmus
