#include "commands.hpp"

#include "advice.hpp"
#include "cli.hpp"
#include "explore/fault_table.hpp"
#include "explore/fixed_schedule.hpp"
#include "progress.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

namespace filemap {

namespace {

command_settings settings_of(const options& asked, const work_directory& directory,
                             const std::atomic<bool>& interrupt) {
  auto settings = asked.subject;
  settings.directory = directory.path();
  settings.seed = asked.seed;
  settings.interrupt = &interrupt;
  return settings;
}

std::optional<instant> deadline_of(const options& asked) {
  if (!asked.duration) return std::nullopt;
  return clock::now() + *asked.duration;
}

// --- as it is

void account(command_rounds& rounds, const command_end& ended, const command_state& state) {
  ++rounds.runs;
  rounds.took.record(ended.took);
  rounds.left += ended.left;
  count(rounds.states, state);
  if (!state.bad || rounds.bad++ > 0) return;
  rounds.failing_run = rounds.runs;
  rounds.failing_output = ended.output;
}

// Without an eye on its calls, where nothing is to be done to them.
class rounds_of_command {
 public:
  rounds_of_command(const options& asked, command_settings settings)
      : asked_(asked), settings_(std::move(settings)), deadline_(deadline_of(asked)) {
    if (settings_.faults.empty() && settings_.stalls.empty()) return;
    subject_.emplace(settings_);
    subject_->run_unheld();  // of what changes the faults are told by it
  }

  /// Throws where the first one cannot be had.
  command_rounds run(progress& progress) {
    const auto begin = clock::now();
    try {
      run_until_it_is_over(progress);
    } catch (...) {
      if (rounds_.runs == 0) throw;
      failed_ = std::current_exception();
    }
    rounds_.spent = clock::now() - begin;
    return std::move(rounds_);
  }
  /// What ended it after some runs.
  std::exception_ptr failed() const noexcept { return failed_; }

 private:
  void run_until_it_is_over(progress& progress) {
    while (!is_over()) {
      auto ended = subject_ ? supervised() : unsupervised();
      if (settings_.interrupt->load()) break;
      account(rounds_, ended, state_of(ended, settings_));
      progress.update(fmt::format("{} runs, {} failed", rounds_.runs, rounds_.bad));
    }
  }
  bool is_over() const {
    if (settings_.interrupt->load() || (deadline_ && clock::now() >= *deadline_)) return true;
    if (asked_.stop_on_violation && rounds_.bad > 0) return true;
    return asked_.iterations > 0 && rounds_.runs == asked_.iterations;
  }
  command_end unsupervised() {
    prepare_run(settings_);
    return run_unsupervised(supervisor_options_of(settings_));
  }
  command_end supervised() {
    subject_->run_unheld();
    rounds_.failed += subject_->noticed().failed;
    return subject_->last_end();
  }

  const options& asked_;
  const command_settings settings_;
  const std::optional<instant> deadline_;
  std::optional<command_subject> subject_;
  command_rounds rounds_;
  std::exception_ptr failed_;
};

// --- under a search

command_exploration explored(const options& asked, command_settings settings, progress& progress) {
  command_exploration_options how;
  how.limit = asked.explore_limit;
  how.samples = asked.samples;
  how.seed = asked.seed;
  how.interrupt = settings.interrupt;
  how.deadline = deadline_of(asked);
  how.after_each_run = [&](const command_exploration& found) {
    const auto bad = found.bad();
    progress.update(fmt::format("{} runs, {} failed: {}", found.runs, bad,
                                to_string(found.passes.back().what)));
  };
  command_subject subject(std::move(settings));
  return explore(subject, how);
}

fault_table faults_of(const options& asked, command_settings settings) {
  search_options how;
  how.limit = asked.explore_limit;
  how.interrupt = settings.interrupt;
  how.deadline = deadline_of(asked);
  command_subject subject(std::move(settings));
  return try_faults(subject, how);
}

// Nothing: it was interrupted.
std::optional<command_finding> replayed(const options& asked, command_settings settings) {
  constexpr unsigned tries = 5;
  search_options how;
  how.interrupt = settings.interrupt;
  command_subject subject(std::move(settings));
  subject.learn();
  fixed_schedule order(*asked.replay);
  for (unsigned i = 0; i < tries; ++i) {
    order.begin();
    const auto done = execute(subject, order, how);
    if (done.stopped) return std::nullopt;
    if (!done.end || !order.misfit().empty()) continue;
    return finding_of(subject, *asked.replay, *done.end);
  }
  throw usage_error(fmt::format("--replay {}: {}", to_string(*asked.replay), order.misfit()));
}

// The file that execvp(3) would find.
bool is_setuid(const std::string& command) {
  const auto has_rights = [](const std::filesystem::path& file) {
    struct ::stat status {};
    const bool is_program = ::stat(file.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
                            ::access(file.c_str(), X_OK) == 0;
    return std::pair(is_program, (status.st_mode & (S_ISUID | S_ISGID)) != 0);
  };
  if (command.find('/') != std::string::npos) return has_rights(command).second;
  const char* const path = std::getenv("PATH");
  for (std::string_view rest = path == nullptr ? "" : path; !rest.empty();) {
    const auto end = std::min(rest.find(':'), rest.size());
    const auto [is_program, rights] =
        has_rights(std::filesystem::path(rest.substr(0, end)) / command);
    if (is_program) return rights;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return false;
}

}  // namespace

command_run run_command(const options& asked, const work_directory& directory,
                        const std::atomic<bool>& interrupt) {
  command_run run;
  run.asked = asked.settings();
  run.command = asked.subject.command;
  run.filesystem = inspect_filesystem(directory.path());
  const bool is_as_it_is = asked.what == activity::run_command && asked.subject.faults.empty() &&
                           asked.subject.stalls.empty();
  run.loses_rights = !is_as_it_is && is_setuid(run.command.front());
  auto settings = settings_of(asked, directory, interrupt);
  progress progress(asked.progress);
  switch (asked.what) {
    case activity::explore_command:
      run.explored = explored(asked, std::move(settings), progress);
      if (run.explored->failed) run.failure = describe_failure(run.explored->failed, asked.dir);
      break;
    case activity::replay_command:
      run.replayed = replayed(asked, std::move(settings));
      break;
    case activity::fault_command:
      run.faults = faults_of(asked, std::move(settings));
      if (run.faults->failed) run.failure = describe_failure(run.faults->failed, asked.dir);
      break;
    default:
      rounds_of_command rounds(asked, std::move(settings));
      run.rounds = rounds.run(progress);
      if (rounds.failed()) run.failure = describe_failure(rounds.failed(), asked.dir);
  }
  run.interrupted = interrupt.load();
  return run;
}

}  // namespace filemap
