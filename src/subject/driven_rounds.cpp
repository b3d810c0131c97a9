#include "driven_rounds.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace filemap::litmus {

namespace {

// What each step has behind it, by the program. A `wait` has all notifications of its edge that
// began before it ended: by the test there is one alone, in almost every one.
void order(const test& test, std::vector<step>& steps) {
  std::vector<std::size_t> first;  // by process
  std::size_t all = 0;
  for (const auto& process : test.processes) {
    first.push_back(all);
    all += process.body.size();
  }
  std::vector<std::size_t> at(test.processes.size(), 0);
  const auto step_of = [&](std::size_t process) -> step* {
    const bool ended = at[process] == test.processes[process].body.size();
    return ended ? nullptr : &steps[first[process] + at[process]];
  };
  const auto is_before = [](const step& notify, const step& wait) {
    return notify.what.what == verb::notify && notify.what.operand == wait.what.operand &&
           notify.called < wait.returned;
  };
  const auto is_ready = [&](const step& wait) {
    for (std::size_t p = 0; p < test.processes.size(); ++p) {
      for (std::size_t i = at[p]; i < test.processes[p].body.size(); ++i) {
        if (is_before(steps[first[p] + i], wait)) return false;
      }
    }
    return true;
  };
  std::vector<vector_clock> clocks(test.processes.size());
  const auto take = [&](std::size_t process, step& one) {
    if (one.what.what == verb::wait) {
      for (std::size_t p = 0; p < test.processes.size(); ++p) {
        for (std::size_t i = 0; i < at[p]; ++i) {
          const auto& notify = steps[first[p] + i];
          if (is_before(notify, one)) merge(clocks[process], notify.clock);
        }
      }
    }
    ++clocks[process][process];
    one.clock = clocks[process];
    ++at[process];
  };
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t p = 0; p < test.processes.size(); ++p) {
      for (auto* one = step_of(p); one != nullptr; one = step_of(p)) {
        if (one->what.what == verb::wait && !is_ready(*one)) break;
        take(p, *one);
        moved = true;
      }
    }
    if (moved) continue;
    // By such times one has waited for what came later: a clock that lies.
    for (std::size_t p = 0; p < test.processes.size() && !moved; ++p) {
      if (auto* const one = step_of(p)) {
        take(p, *one);
        moved = true;
      }
    }
  }
}

short_reads shortness_of_reads(const test& test, const mode& mode, const driver_claims& claims) {
  if (claims.reads_whole) return short_reads::none;
  return mode.seeks() || uses_cursor(test) ? short_reads::some_that_move_cursors
                                           : short_reads::some;
}

}  // namespace

driven_rounds::driven_rounds(const test& test, const mode& mode, const driver_claims& claims,
                             std::shared_ptr<const model_result> model, bool direct,
                             std::filesystem::path dir)
    : test_(test),
      mode_(mode),
      direct_(direct),
      dir_(std::move(dir)),
      observed_(observed_by(test)),
      judge_(test, std::move(model), shortness_of_reads(test, mode, claims)),
      bytes_(test),
      evidence_(test) {}

bool driven_rounds::looks_at_files() const noexcept {
  return std::any_of(observed_.files.begin(), observed_.files.end(),
                     [](const auto& seen) { return seen.size || seen.data; });
}

judgement driven_rounds::judged(const driven_round& round, const named_files& files) {
  std::size_t number = 0;
  for (std::size_t p = 0; p < test_.processes.size(); ++p) {
    for (std::size_t at = 0; at < test_.processes[p].body.size(); ++at, ++number) {
      const auto& value = round.values[number];
      evidence_.note(observed_, test_.processes[p].body[at], p, at,
                     {true, value.res, value.size, value.data});
    }
  }
  for (std::size_t i = 0; i < test_.files.size(); ++i) {
    const auto& seen = observed_.files[i];
    if (seen.size || seen.data) files.look(i, seen, evidence_.files[i]);
  }
  auto made = judge_.of(evidence_, bytes_);
  if (made.failure) refuse_what_is_missing(*made.failure, test_, direct_, dir_);
  return made;
}

std::span<const step> driven_rounds::steps_of(const driven_round& round) {
  steps_.clear();
  std::size_t number = 0;
  for (std::size_t p = 0; p < test_.processes.size(); ++p) {
    for (const auto& statement : test_.processes[p].body) {
      const auto& call = round.calls[number];
      const auto& value = round.values[number++];
      auto& step = steps_.emplace_back();
      step.process = static_cast<std::uint8_t>(p);
      step.what = instruction_of(statement, mode_);
      step.called = call.begun;
      step.returned = call.ended;
      step.size = value.size;
      if (!is_file_operation(statement.what)) continue;
      step.as_called = true;
      step.io.submitted = call.begun;
      step.io.returned = call.ended;
      step.io.res = value.res;
    }
  }
  order(test_, steps_);
  return steps_;
}

}  // namespace filemap::litmus
