#pragma once

#include "filemap/litmus/mode.hpp"
#include "filemap/litmus/test.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)

namespace filemap::litmus {

/// What some filesystems and kernels show beyond what POSIX or their own documentation promises.
/// The model has all of it; where an outcome takes one, the report says so.
enum class excess : std::uint8_t {
  split_write,     ///< a ring lets others between two parts of one buffered write
  lost_append,     ///< O_DIRECT appends that begin together have one place
  early_unlock,    ///< a ring lets others write while an O_DIRECT write is in flight
  short_cancel,    ///< a cancelled write or read has done a part
  kept_link,       ///< a link goes on behind a failed member
  colliding_sync,  ///< a sync fails where direct and buffered writes have met
};
inline constexpr std::size_t excess_count = 6;

/// "allowed on xfs since 5.10; open(2) says otherwise: …": for a person, with the kernels.
std::string_view to_string(excess what) noexcept;

struct model_options {
  /// A write takes effect at one moment, as POSIX has it; else page by page, as Linux does it.
  bool atomic_writes = false;
  std::uint64_t max_states = 10'000'000;         ///< about 30 bytes each
  const std::atomic<bool>* interrupt = nullptr;  ///< when it becomes true the search ends
};

/// Why a search is not complete.
enum class cut_short : std::uint8_t {
  no,
  too_many_states,  ///< `max_states` was reached
  too_many_values,  ///< more contents or register values than a state can name (65,535)
  interrupted,
};
std::string_view to_string(cut_short why) noexcept;

struct model_result {
  /// Projected to what the condition looks at. Bytes that a read copied while they were being
  /// changed are a mixture.
  std::set<final_state> allowed;
  /// Of `allowed`, those that take more than is promised, with all that one of their ways takes.
  std::map<final_state, std::vector<excess>> exceeding;
  /// By process and statement (of the test with the mode's flushes in it): every result, in bytes
  /// or -errno, that it may come to. What is not here is no outcome: the environment has failed.
  std::vector<std::vector<std::set<std::int64_t>>> results;
  std::uint64_t states = 0;  ///< distinct ones that the search has visited
  bool complete = true;      ///< false: `allowed` may lack some
  cut_short why = cut_short::no;
  bool deadlocks = false;  ///< some interleaving waits for ever
};

/// Every outcome that the mode allows the test, by exhaustive search over an in-memory file. The
/// rules are those of docs/model.md. A mode's flushes are put into the test here.
///
/// Throws std::invalid_argument for a test with a repeated process, which it cannot judge.
model_result model(const test& test, const mode& mode, const model_options& options = {});

/// Is a projected state that was seen one of those? A mixture stands for all that it may be.
bool allows(const std::set<final_state>& allowed, const final_state& seen);

/// How many of the states count: those that the condition asks about. A mixture counts when
/// something that it may be does.
std::size_t counted(const test& test, const std::set<final_state>& states);

/// "Never", "Sometimes" or "Always", as herd says it; "Never" of nothing.
std::string_view frequency_word(std::uint64_t counted, std::uint64_t all) noexcept;

}  // namespace filemap::litmus

#pragma GCC visibility pop
