#pragma once

#include "filemap/explore/witness.hpp"
#include "filemap/io/engines.hpp"
#include "filemap/litmus/mode.hpp"
#include "filemap/litmus/test.hpp"
#include "filemap/model/model.hpp"
#include "filemap/subject/step.hpp"

#include <atomic>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)

namespace filemap::litmus {

using filemap::witness;

struct exploration_options {
  std::uint64_t limit = 100'000;  ///< schedules that the search executes at most
  /// Executes so many schedules that are drawn by probabilistic concurrency testing, instead of
  /// searching; 0: searches, and draws `limit` more where there are more than that.
  std::uint64_t samples = 0;
  unsigned depth = 3;      ///< of a sample: finds what takes so many ordering constraints (its d)
  std::uint64_t seed = 0;  ///< of the samples
  model_options model;     ///< that judges what is seen
  uring_options ring;      ///< of the uring modes
  nanoseconds explain_for = std::chrono::seconds(10);  ///< at most, for each violation
  const std::atomic<bool>* interrupt = nullptr;        ///< when it becomes true nothing is begun
};

/// One schedule as it was executed.
struct executed_schedule {
  litmus::witness witness;
  bool deadlock = false;  ///< nothing could execute, and not all had ended: there is no state
  final_state state;
  bool counts = false;          ///< the state is one that the test asks about as bad
  std::optional<bool> allowed;  ///< by the model; nothing where it cannot say
  bool unreachable = false;     ///< the model has no state that the test asks about as bad
  /// In the order in which processes began them; of a deadlock those until then. None where the
  /// search that found it was interrupted, and it takes too long to execute again, or has failed.
  std::vector<step> steps;
};

/// A change of the test, and what comes of it.
struct mending {
  std::string change;   ///< "flush(w) before P0's notify(written)"
  std::string program;  ///< the changed test, as a .litmus file
  std::uint64_t schedules = 0;
  std::uint64_t violating = 0;
};

/// Two steps of a schedule, by index: `later` came before `earlier` had executed, and nothing kept
/// it from that.
struct needed_order {
  std::size_t earlier = 0;
  std::size_t later = 0;
  bool acknowledged_early = false;  ///< the program orders them, but `earlier` had not executed
  std::vector<std::size_t> path;    ///< the steps between them by which the program orders them
  bool queued_is_enough = false;    ///< `earlier` returns early, and need only have done that
};

/// Why a schedule came to a bad state.
struct explanation {
  bool no_order_helps = false;         ///< every schedule comes to a bad state
  std::optional<needed_order> needed;  ///< that decides: the first of `mended_by` makes it
  /// The changes after which the model allows no bad state and the search finds none, best first;
  /// at most five. None says no more than that none of those that were tried is one.
  std::vector<mending> mended_by;
  /// false: not every change was tried to its end, as it would have taken too long
  bool complete = true;
  bool interrupted = false;  ///< likewise, as it was interrupted
};

/// "P1's read(r)", "P1's second read(r)" where it has more than one.
std::string name_of(const test& test, std::size_t process, std::size_t at);
std::string name_of(const test& test, const step& step);

struct exploration_result {
  litmus::mode mode;
  engine_traits engine;

  std::uint64_t schedules = 0;  ///< executed to their end, no two of them equivalent
  std::uint64_t violating = 0;  ///< of `schedules`
  std::uint64_t deadlocks = 0;  ///< of `schedules`
  std::uint64_t cut = 0;        ///< begun, and found to be equivalent to one that was executed
  std::uint64_t sampled = 0;    ///< of `schedules`: drawn, so some may be equivalent
  std::uint64_t diverged = 0;   ///< of a driver: begun, and not what they were to be
  bool complete = false;        ///< every schedule is equivalent to one of them
  /// What can happen beside the schedules, as one sentence; empty: nothing.
  std::string not_searched;
  bool interrupted = false;
  std::exception_ptr failed = nullptr;  ///< what ended it, where it had executed a schedule before
  nanoseconds spent{0};                 ///< in the search alone

  std::map<final_state, std::uint64_t> states;  ///< of which how many schedules came to them
  bool judged = false;  ///< the model could say all that is allowed (it has no repeated tests)
  std::set<final_state> allowed;      ///< by the model
  std::set<final_state> not_allowed;  ///< of `states`: the kernel, the engine or the model is wrong
  std::set<final_state> not_judged;   ///< of `states`: the model cannot say
  bool deadlock_not_allowed = false;
  /// Of `states`, those that take more than is promised, with what they take.
  std::map<final_state, std::vector<excess>> exceeding;

  /// With the fewest detours of those that violate, then the first of them.
  std::optional<executed_schedule> violation;
  std::optional<executed_schedule> deadlock;  ///< likewise
  std::optional<explanation> why;             ///< of `violation`

  /// Nothing that the model does not allow was seen.
  bool as_allowed() const noexcept { return not_allowed.empty() && !deadlock_not_allowed; }
};

/// Executes the schedules of the test on real files in `dir`, which belongs to it. What can be
/// controlled and what cannot stands in docs/exploration.md.
///
/// Throws std::system_error when files cannot be made or the ring fails, `operation_failed` when an
/// operation does for a reason outside of the test (a full disk), `unsupported` where the mode
/// cannot run. Once a schedule has been executed that is `failed`, beside what was found.
exploration_result explore(const test& test, const mode& mode, const std::filesystem::path& dir,
                           const exploration_options& options = {});

/// Executes one schedule; nothing: it was interrupted before that had ended. Throws
/// std::invalid_argument, whose text completes "--replay W: …", when it makes a choice that the
/// test does not have; else as `explore` does.
std::optional<executed_schedule> replay(const test& test, const mode& mode,
                                        const std::filesystem::path& dir, const witness& witness,
                                        const exploration_options& options = {});

}  // namespace filemap::litmus

#pragma GCC visibility pop
