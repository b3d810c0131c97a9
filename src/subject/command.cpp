#include "command.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <sys/wait.h>
#include <system_error>

#include <fmt/format.h>

namespace filemap {

namespace {

std::string words_of(int status) {
  if (WIFEXITED(status)) return fmt::format("exit {}", WEXITSTATUS(status));
  const char* const name = ::sigabbrev_np(WTERMSIG(status));
  return name == nullptr ? fmt::format("killed by signal {}", WTERMSIG(status))
                         : fmt::format("killed by SIG{}", name);
}

}  // namespace

void count(counted_states& states, const command_state& state) {
  const auto known = std::find_if(states.begin(), states.end(),
                                  [&](const auto& one) { return one.first.text == state.text; });
  if (known == states.end()) {
    states.emplace_back(state, 1);
  } else {
    ++known->second;
  }
}

supervisor_options supervisor_options_of(const command_settings& settings) {
  supervisor_options options;
  options.command = settings.command;
  options.directory = settings.directory / "tmp";
  options.denies_io_uring = settings.denies_io_uring;
  options.input = settings.input;
  options.last_words = settings.last_words;
  options.kept_output = settings.kept_output;
  options.run_timeout = settings.run_timeout;
  options.interrupt = settings.interrupt;
  return options;
}

void prepare_run(const command_settings& settings) {
  const auto temporary = settings.directory / "tmp";
  std::filesystem::remove_all(temporary);
  std::filesystem::create_directories(temporary);
  if (settings.prepares) settings.prepares();
  if (settings.prepare.empty()) return;
  auto options = supervisor_options_of(settings);
  options.command = {"/bin/sh", "-c", settings.prepare};
  const auto ended = run_unsupervised(options);
  const bool is_interrupted = settings.interrupt != nullptr && settings.interrupt->load();
  if (ended.status == 0 || is_interrupted) return;
  const auto how = ended.status ? words_of(*ended.status) : "it has not ended in time";
  const auto line = ended.output.substr(0, ended.output.find('\n'));
  throw std::runtime_error(fmt::format("--prepare {}: {}{}{}", settings.prepare, how,
                                       line.empty() ? "" : "; it says: ", line));
}

command_state state_of(const command_end& end, const command_settings& settings) {
  if (end.exec_error != 0) {
    throw std::system_error(end.exec_error, std::generic_category(), settings.command.front());
  }
  command_state state;
  state.text = end.status
                   ? words_of(*end.status)
                   : fmt::format("not ended after {} s",
                                 std::chrono::duration<double>(settings.run_timeout).count());
  state.bad = end.status != 0;
  if (settings.fail_on && std::regex_search(end.output, *settings.fail_on)) {
    state.bad = true;
    state.text += ", its output matches";
  }
  return state;
}

}  // namespace filemap
