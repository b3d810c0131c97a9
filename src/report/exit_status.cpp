#include "filemap/explore/verdict.hpp"
#include "filemap/subject/verdict.hpp"

#include "report/command.hpp"
#include "report/exploration.hpp"
#include "report/report.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace filemap {

int exit_status_of(const run_result& run) noexcept {
  std::vector<verdict> verdicts;
  for (const auto& mode : run.modes) verdicts.push_back(verdict_of(mode, run.asked->strict));
  return exit_status_of(verdicts, {.failed = !run.failure.empty() && !run.cannot_run,
                                   .interrupted = run.interrupted,
                                   .cannot_run = run.cannot_run});
}

int exit_status_of(std::span<const run_result> runs) noexcept {
  int status = exit_ok;
  for (const auto& run : runs) status = more_telling(status, run.exit_status);
  return status;
}

int exit_status_of(const exploration_run& run) {
  std::vector<verdict> verdicts;
  for (const auto& explored : run.tests) {
    for (const auto& mode : explored.modes) {
      if (!mode.cannot_run.empty()) verdicts.push_back(verdict::cannot_run);
      if (!mode.failure.empty()) verdicts.push_back(verdict::error);
      if (mode.result) {
        verdicts.push_back(verdict_of(explored.test, *mode.result, run.asked.strict));
      }
    }
  }
  return exit_status_of(verdicts, {.interrupted = run.interrupted});
}

// Found by order, or with --strict by time or once; a replay or a run that fails; a fault that it
// dies of or swallows.
int exit_status_of(const command_run& run) {
  bool bad = run.replayed && run.replayed->state.bad;
  bad = bad || (run.rounds && run.rounds->bad > 0);
  if (run.explored) {
    const auto& found = *run.explored;
    bad = found.by_order || (run.asked.strict && (found.by_time || found.unconfirmed));
  }
  if (run.faults) {
    const auto& tried = run.faults->tried;
    bad = run.faults->without.bad || std::any_of(tried.begin(), tried.end(), [](const auto& one) {
            return one.how != taken::told && one.how != taken::recovered;
          });
  }
  const std::array verdicts{bad ? verdict::forbidden : verdict::ok};
  return exit_status_of(verdicts, {.failed = !run.failure.empty(), .interrupted = run.interrupted});
}

int exit_status_of(const replayed_run& run, bool strict) {
  const how_it_ended how{.interrupted = run.interrupted};
  if (!run.schedule) return exit_status_of({}, how);
  const std::array verdicts{verdict_of(*run.schedule, strict)};
  return exit_status_of(verdicts, how);
}

}  // namespace filemap
