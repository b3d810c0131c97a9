#include "commands.hpp"

#include "cli.hpp"
#include "explore/fixed_schedule.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace filemap {

namespace {

command_settings settings_of(const options& asked, const work_directory& directory,
                             const std::atomic<bool>& interrupt) {
  auto settings = asked.subject;
  settings.directory = directory.path();
  settings.removed = directory.path();
  settings.interrupt = &interrupt;
  return settings;
}

std::optional<instant> deadline_of(const options& asked) {
  if (!asked.duration) return std::nullopt;
  return clock::now() + *asked.duration;
}

command_exploration explored(const options& asked, command_settings settings,
                             const std::atomic<bool>& interrupt) {
  command_subject subject(std::move(settings));
  command_exploration_options how;
  how.limit = asked.explore_limit;
  how.samples = asked.samples;
  how.seed = asked.seed;
  how.interrupt = &interrupt;
  how.deadline = deadline_of(asked);
  return explore(subject, how);
}

command_finding replayed(const options& asked, command_settings settings) {
  command_subject subject(std::move(settings));
  subject.learn();
  fixed_schedule order(*asked.replay);
  order.begin();
  const auto done = execute(subject, order);
  if (const auto misfit = order.misfit(); !misfit.empty()) {
    throw usage_error(fmt::format("--replay {}: {}", to_string(*asked.replay), misfit));
  }
  command_finding found;
  found.schedule = *asked.replay;
  found.state = subject.state(done.end->state);
  found.calls.assign(subject.executed().begin(), subject.executed().end());
  found.output = subject.last_end().output;
  return found;
}

void account(command_rounds& rounds, const command_end& ended, const command_state& state) {
  ++rounds.runs;
  rounds.took.record(ended.took);
  rounds.left += ended.left;
  const auto known = std::find_if(rounds.states.begin(), rounds.states.end(),
                                  [&](const auto& one) { return one.first.text == state.text; });
  if (known == rounds.states.end()) {
    rounds.states.emplace_back(state, 1);
  } else {
    ++known->second;
  }
  if (!state.bad || rounds.bad++ > 0) return;
  rounds.failing_run = rounds.runs;
  rounds.failing_output = ended.output;
}

command_rounds repeated(const options& asked, const command_settings& settings,
                        const std::atomic<bool>& interrupt) {
  const auto begin = clock::now();
  const auto deadline = deadline_of(asked);
  command_rounds rounds;
  const auto is_over = [&] {
    if (interrupt.load() || (deadline && clock::now() >= *deadline)) return true;
    if (asked.stop_on_violation && rounds.bad > 0) return true;
    return asked.iterations > 0 && rounds.runs == asked.iterations;
  };
  while (!is_over()) {
    prepare_run(settings);
    const auto ended = run_unsupervised(supervisor_options_of(settings));
    if (interrupt.load()) break;
    account(rounds, ended, state_of(ended, settings));
  }
  rounds.spent = clock::now() - begin;
  return rounds;
}

}  // namespace

command_run run_command(const options& asked, const work_directory& directory,
                        const std::atomic<bool>& interrupt) {
  command_run run;
  run.asked = asked.settings();
  run.command = asked.subject.command;
  run.filesystem = inspect_filesystem(directory.path());
  auto settings = settings_of(asked, directory, interrupt);
  switch (asked.what) {
    case activity::explore_command:
      run.explored = explored(asked, std::move(settings), interrupt);
      break;
    case activity::replay_command:
      run.replayed = replayed(asked, std::move(settings));
      break;
    default:
      run.rounds = repeated(asked, settings, interrupt);
  }
  run.interrupted = interrupt.load();
  return run;
}

}  // namespace filemap
