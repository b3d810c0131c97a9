// Parse, run, report.

#include "filemap/litmus/parser.hpp"
#include "filemap/model/model.hpp"

#include "base/output_file.hpp"
#include "base/units.hpp"
#include "cli.hpp"
#include "commands.hpp"
#include "drivers.hpp"
#include "explore.hpp"
#include "find_tests.hpp"
#include "harness.hpp"
#include "interrupt.hpp"
#include "report/report.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace {

using namespace filemap;

// One line, whatever is in the names that it quotes.
int complain(std::string_view what, int status) noexcept {
  std::fputs(("filemap-uring: " + printable(what) + '\n').c_str(), stderr);
  return status;
}

// Its lines are kept: the second and third are the line and the caret under it.
int complain(const litmus::parse_error& error) noexcept {
  for (std::string_view rest = error.what(); !rest.empty();) {
    const auto line = rest.substr(0, rest.find('\n'));
    std::fputs((printable(line) + '\n').c_str(), stderr);
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  }
  return exit_usage;
}

bool in_color(const options& asked) { return asked.color && ::isatty(STDOUT_FILENO) != 0; }

// Or the report would be lost in silence where the disk is full or the reader gone.
void print(std::string_view text, std::string_view instead = "") {
  output_file("-", instead).write(text);
}

// Of a run or a search.
void print_report(std::string_view text, const options& asked) {
  const bool is_kept = std::any_of(asked.outputs.begin(), asked.outputs.end(),
                                   [](const auto& one) { return one.form->to_standard_output; });
  print(text, is_kept ? "" : "; --json FILE keeps the results elsewhere");
}

// A failed write is to be an error that is told, and not the end of the process with its files left
// behind. And no file of a round may become standard output or error because those are closed.
void prepare_process() noexcept {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest that is free. Standard output only for reading, so that writing to it still fails.
    [[maybe_unused]] const int opened =
        ::open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR);
  }
}

void set_up_log(const options& asked) {
  const auto log = spdlog::stderr_color_mt("filemap-uring");
  log->set_pattern("%H:%M:%S.%e %^%l%$ %v");
  spdlog::set_default_logger(log);
  spdlog::set_level(spdlog::level::from_str(asked.log_level));
}

int probe(const options& asked) {
  const auto ring = probe_ring(asked.ring.ceiling);
  print(probe_report(ring, inspect_host()));
  return ring.available ? exit_ok : exit_cannot_run;
}

// Tells of every one whether it is valid, not only of the first that is not.
int check_tests(const options& asked) {
  int status = exit_ok;
  for (const auto& name : asked.arguments) {
    try {
      load_test(name);
      print(printable(name) + ": ok\n");
    } catch (const litmus::parse_error& error) {
      status = complain(error);
    } catch (const no_such_test& error) {
      status = complain(error.what(), exit_usage);
    }
  }
  return status;
}

int tell_model(options asked) {
  drivers drivers(asked, asked.dir, interrupted());
  take_claims(asked, drivers);
  for (const auto& mode : asked.modes) {
    if (mode.engine == litmus::engine_kind::driver) drivers.of(mode);  // or it has claimed nothing
  }
  for (const auto& test : asked.tests) {
    std::vector<modelled> modes;
    for (const auto& mode : asked.modes) {
      const auto begin = filemap::clock::now();
      auto result = litmus::model(test, mode, asked.model);
      modes.push_back({mode, std::move(result), filemap::clock::now() - begin});
    }
    print((&test == &asked.tests.front() ? "" : "\n") + model_report(test, modes, in_color(asked)));
  }
  return exit_ok;
}

// The way out of a run. What fails on it does not keep the rest from being told, and has its part
// in the exit status.
class ending {
 public:
  explicit ending(int status) : status_(status) {}

  template <typename Write>
  void tell(Write write) {
    try {
      write();
    } catch (const std::bad_alloc&) {
      add(complain("out of memory for the report", exit_environment));
    } catch (const std::exception& error) {
      add(complain(error.what(), exit_environment));
    }
  }
  void remove(const work_directory& directory) {
    const auto error = directory.remove();
    if (!error) return;
    add(complain(fmt::format("cannot remove {}: {}; remove it when that is mended",
                             directory.path().string(), error.message()),
                 exit_environment));
  }
  int status() const noexcept { return status_; }

 private:
  void add(int status) noexcept { status_ = more_telling(status_, status); }

  int status_;
};

using output_files = std::vector<std::pair<const exporter*, std::unique_ptr<output_file>>>;

// Before the first round, or what was run for could not be kept.
output_files open_outputs(const options& asked) {
  output_files files;
  for (const auto& [form, file] : asked.outputs) {
    files.emplace_back(form, std::make_unique<output_file>(file, "; name a file instead of -"));
  }
  return files;
}

// The tests that were named, or the experiment.
std::vector<run_result> run_all(options asked, const work_directory& directory) {
  drivers drivers(asked, directory.path(), interrupted());
  take_claims(asked, drivers);
  const auto tests =
      asked.tests.empty() ? std::vector{litmus::tokio_4796(asked.experiment)} : asked.tests;
  progress progress(asked.progress);
  harness harness(asked, directory, drivers, interrupted(), progress);
  std::vector<run_result> results;
  for (const auto& test : tests) {
    results.push_back(harness.run(test));
    const auto& last = results.back();
    if (last.abandoned || last.interrupted) break;
  }
  return results;
}

// What failed in tests, each as one line that says where.
std::vector<std::string> failures_of(std::span<const run_result> results) {
  std::vector<std::string> failures;
  for (const auto& result : results) {
    if (result.failure.empty()) continue;
    failures.push_back(results.size() == 1 ? result.failure
                                           : result.test.name + ": " + result.failure);
  }
  return failures;
}

void tell_failures(const std::vector<std::string>& failures) {
  constexpr std::size_t most = 10;
  for (std::size_t i = 0; i < failures.size() && i < most; ++i) complain(failures[i], 0);
  if (failures.size() > most) {
    complain(fmt::format("and {} more failed", failures.size() - most), 0);
  }
}

// Of a run or a search: as text, in the forms that were asked for, and what failed. `form`: of an
// exporter, that of these results.
template <typename Results, typename Form, typename Failures>
void tell_results(ending& ending, const options& asked, const output_files& files,
                  const Results& results, Form exporter::*form, Failures failures) {
  if (!asked.silences_text()) {
    ending.tell([&] { print_report(text_report(results, in_color(asked)), asked); });
  }
  for (const auto& each : files) {
    ending.tell([&] { each.second->write((each.first->*form)(results)); });
  }
  ending.tell([&] { tell_failures(failures()); });
}

int run(const options& asked) {
  const auto files = open_outputs(asked);
  catch_interrupts();
  const work_directory directory(asked.dir);
  remove_when_interrupted_twice(directory.path());
  const auto results = run_all(asked, directory);

  ending ending(exit_status_of(results));
  tell_results(ending, asked, files, results, &exporter::of_runs,
               [&] { return failures_of(results); });
  ending.remove(directory);
  // The kernel may still use what destructors would free.
  if (results.back().abandoned) ::_exit(ending.status());
  return ending.status();
}

int explore(options asked) {
  const auto files = open_outputs(asked);
  catch_interrupts();
  const work_directory directory(asked.dir);
  remove_when_interrupted_twice(directory.path());
  drivers drivers(asked, directory.path(), interrupted());
  take_claims(asked, drivers);
  const auto run = run_exploration(asked, directory, drivers, interrupted());

  ending ending(exit_status_of(run));
  tell_results(ending, asked, files, run, &exporter::of_exploration,
               [&] { return run.failures(); });
  ending.remove(directory);
  return ending.status();
}

int replay(options asked) {
  catch_interrupts();
  const work_directory directory(asked.dir);
  remove_when_interrupted_twice(directory.path());
  drivers drivers(asked, directory.path(), interrupted());
  take_claims(asked, drivers);
  const auto run = run_replay(asked, directory, drivers, interrupted());

  ending ending(exit_status_of(run, asked.strict));
  ending.tell([&] { print(text_report(run, in_color(asked))); });
  ending.remove(directory);
  return ending.status();
}

int command(const options& asked) {
  const auto files = open_outputs(asked);
  catch_interrupts();
  const work_directory directory(asked.dir, work_directory::when_killed::removed);
  remove_when_interrupted_twice(directory.path());
  const auto run = run_command(asked, directory, interrupted());

  ending ending(exit_status_of(run));
  tell_results(ending, asked, files, run, &exporter::of_command, [&] {
    return run.failure.empty() ? std::vector<std::string>() : std::vector{run.failure};
  });
  ending.remove(directory);
  return ending.status();
}

int do_what_is_asked(const options& asked) {
  switch (asked.what) {
    case activity::check:
      return check_tests(asked);
    case activity::model_only:
      return tell_model(asked);
    case activity::explore:
      return explore(asked);
    case activity::replay:
      return replay(asked);
    case activity::run_command:
    case activity::explore_command:
    case activity::replay_command:
    case activity::fault_command:
      return command(asked);
    case activity::probe:
      return probe(asked);
    default:
      return run(asked);
  }
}

}  // namespace

int main(int argc, char** argv) {
  prepare_process();
  try {
    std::string answer;
    const auto asked = parse_command_line({argv, static_cast<std::size_t>(argc)}, answer);
    if (!asked) {
      print(answer);
      return exit_ok;
    }
    set_up_log(*asked);
    return do_what_is_asked(*asked);
  } catch (const usage_error& error) {
    return complain(error.what(), exit_usage);
  } catch (const litmus::parse_error& error) {
    return complain(error);
  } catch (const unsupported& error) {
    return complain(error.what(), exit_cannot_run);
  } catch (const litmus::driver_failed& error) {
    return complain(error.what(), exit_cannot_run);
  } catch (const std::bad_alloc&) {
    return complain("out of memory; use a smaller --size or fewer --writes or --lanes",
                    exit_environment);
  } catch (const std::exception& error) {
    return complain(error.what(), exit_environment);
  }
}
