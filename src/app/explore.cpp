#include "explore.hpp"

#include "advice.hpp"
#include "cli.hpp"
#include "explore/driver_exploration.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <new>
#include <stdexcept>
#include <system_error>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace filemap {

namespace {

litmus::exploration_options exploration_options_of(const options& asked,
                                                   const std::atomic<bool>& interrupt) {
  litmus::exploration_options options;
  options.limit = asked.explore_limit;
  options.samples = asked.samples;
  options.seed = asked.seed;
  options.model = asked.model;
  options.ring = asked.ring;
  options.interrupt = &interrupt;
  return options;
}

litmus::driver_subject::settings settings_of(const options& asked, const litmus::mode& mode,
                                             const std::filesystem::path& dir,
                                             const std::atomic<bool>* interrupt) {
  // A run has the start of its runtime in it, of which each call is heard.
  constexpr std::chrono::seconds at_least{60};
  return {mode.command, dir, std::max<nanoseconds>(asked.round_timeout, at_least), interrupt};
}

litmus::exploration_result explore_by(const options& asked, const litmus::test& test,
                                      const litmus::mode& mode, const std::filesystem::path& dir,
                                      drivers& drivers,
                                      const litmus::exploration_options& options) {
  if (mode.engine != litmus::engine_kind::driver) return litmus::explore(test, mode, dir, options);
  return litmus::explore(test, mode, drivers.of(mode).claims(),
                         settings_of(asked, mode, dir, options.interrupt), options);
}

explored_mode explore_mode(const options& asked, const litmus::test& test, const litmus::mode& mode,
                           const std::filesystem::path& dir, drivers& drivers,
                           const litmus::exploration_options& options) {
  explored_mode explored{mode, "", "", std::nullopt};
  try {
    explored.result = explore_by(asked, test, mode, dir, drivers, options);
    if (explored.result->failed)
      explored.failure = describe_failure(explored.result->failed, asked.dir);
  } catch (const litmus::driver_failed& error) {
    explored.cannot_run = error.what();
  } catch (const unsupported& error) {
    explored.cannot_run = error.what();
    spdlog::info("{} cannot run: {}", mode.name, explored.cannot_run);
  } catch (...) {
    explored.failure = describe_failure(std::current_exception(), asked.dir);
  }
  return explored;
}

}  // namespace

exploration_run run_exploration(const options& asked, const work_directory& directory,
                                drivers& drivers, const std::atomic<bool>& interrupt) {
  exploration_run run;
  run.asked = asked.settings();
  run.filesystem = inspect_filesystem(directory.path());
  const auto options = exploration_options_of(asked, interrupt);
  const auto dir = directory.subdirectory("schedules");
  for (std::size_t i = 0; i < asked.tests.size(); ++i) {
    const auto& test = asked.tests[i];
    auto& explored = run.tests.emplace_back(explored_test{asked.arguments[i], test, {}});
    for (const auto& mode : asked.modes) {
      if (interrupt.load()) break;
      explored.modes.push_back(explore_mode(asked, test, mode, dir, drivers, options));
    }
  }
  run.interrupted = interrupt.load();
  return run;
}

replayed_run run_replay(const options& asked, const work_directory& directory, drivers& drivers,
                        const std::atomic<bool>& interrupt) {
  replayed_run run;
  run.test = asked.tests.front();
  run.mode = asked.modes.front();
  try {
    const auto dir = directory.subdirectory("schedules");
    const auto options = exploration_options_of(asked, interrupt);
    if (run.mode.engine == litmus::engine_kind::driver) {
      run.schedule =
          litmus::replay(run.test, run.mode, drivers.of(run.mode).claims(),
                         settings_of(asked, run.mode, dir, &interrupt), *asked.replay, options);
    } else {
      run.schedule = litmus::replay(run.test, run.mode, dir, *asked.replay, options);
    }
  } catch (const std::invalid_argument& error) {
    throw usage_error(fmt::format("--replay {}: {}", to_string(*asked.replay), error.what()));
  } catch (const unsupported&) {
    throw;
  } catch (const litmus::driver_failed&) {
    throw;
  } catch (...) {
    throw std::runtime_error(describe_failure(std::current_exception(), asked.dir));
  }
  run.interrupted = interrupt.load();
  return run;
}

}  // namespace filemap
