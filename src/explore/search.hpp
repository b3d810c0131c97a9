#pragma once

#include "filemap/explore/witness.hpp"
#include "filemap/io/op.hpp"

#include "chooser.hpp"
#include "subject/subject.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <optional>

namespace filemap {

struct search_options {
  std::uint64_t limit = 100'000;                 ///< schedules that the search executes at most
  std::uint64_t samples = 0;                     ///< draws so many instead of searching
  unsigned depth = 3;                            ///< of a sample
  std::uint64_t seed = 0;                        ///< of the samples
  const std::atomic<bool>* interrupt = nullptr;  ///< when it becomes true nothing is done any more
  std::optional<instant> deadline = {};          ///< likewise, then
};

bool is_interrupted(const search_options& options) noexcept;
bool is_out_of_time(const search_options& options);

/// One run under a chooser.
struct executed_run {
  std::optional<ending> end;  ///< none: it was given up or stopped
  witness schedule;
  bool stopped = false;  ///< by the interrupt or the deadline
};

/// Makes one run, of which `by` has agreed to the beginning; one that a time-out has disturbed
/// again, a few times. Throws `diverged`, and what the subject throws.
executed_run execute(subject& what, chooser& by, const search_options& options = {});

struct search_result {
  std::uint64_t schedules = 0;  ///< executed to their end, no two of them equivalent
  std::uint64_t bad = 0;        ///< of `schedules`
  std::uint64_t deadlocks = 0;  ///< of `schedules`
  std::uint64_t cut = 0;        ///< begun, and found to be equivalent to one that was executed
  std::uint64_t sampled = 0;    ///< of `schedules`: drawn, so some may be equivalent
  std::uint64_t diverged = 0;   ///< begun, and not what they were to be; tried again
  bool complete = false;        ///< every schedule is equivalent to one of them
  bool interrupted = false;
  bool out_of_time = false;
  std::exception_ptr failed = nullptr;  ///< what ended it; what was found before is there
  nanoseconds spent{0};
  std::map<std::size_t, std::uint64_t> states;  ///< of which how many schedules came to them
  /// With the fewest detours of those that come to a bad state, then the first of them.
  std::optional<executed_run> to_bad;
  std::optional<executed_run> to_deadlock;  ///< likewise
};

/// Executes every schedule, or where there are more than the limit as many that are drawn.
///
/// A run that diverges is made again, some times; if it goes on to, the search ends there and is
/// not complete. So it does where the subject throws, which has no other run then.
search_result search(subject& what, const search_options& options);

/// Of a bad run one that is bad too, with as few detours as one gets by leaving out one after the
/// other: the search may have left it out, as it is equivalent to one with more.
executed_run smallest(subject& what, executed_run bad, const search_options& options);

}  // namespace filemap
