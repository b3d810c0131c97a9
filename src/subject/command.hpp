#pragma once

// A command that is run again and again, each time from the same start.

#include "supervisor/supervisor.hpp"

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <regex>
#include <string>
#include <utility>
#include <vector>

namespace filemap {

struct command_settings {
  std::vector<std::string> command;
  std::string prepare;               ///< for /bin/sh, before each run; or empty
  std::function<void()> prepares;    ///< likewise, in this process
  std::optional<std::string> input;  ///< see supervisor_options, as of the next two
  std::string last_words;
  std::size_t kept_output = 65536;           ///< bytes
  std::filesystem::path directory;           ///< of ours alone: the command's TMPDIR is in it
  std::vector<std::filesystem::path> watch;  ///< what lies below these alone; none: every file
  std::optional<std::regex> fail_on;         ///< in its output: a failure
  std::vector<call_fault> faults;
  std::vector<call_stall> stalls;  ///< where nothing is held
  std::uint64_t seed = 0;          ///< of faults and stalls of a probability
  nanoseconds patience = std::chrono::milliseconds(100);
  nanoseconds run_timeout = std::chrono::seconds(10);
  /// Any thread may be kept from a processor for so long.
  nanoseconds longest_nap = std::chrono::milliseconds(5);
  /// Who has taken a few naps, and for so long in all, goes on to, and is not waited for.
  nanoseconds shortest_doze{0};
  bool denies_io_uring = false;
  const std::atomic<bool>* interrupt = nullptr;
};

/// How a run ended, as a state.
struct command_state {
  std::string text;  ///< "exit 101", "killed by SIGABRT", "not ended after 10 s"
  bool bad = false;
};

/// How often runs came to each.
using counted_states = std::vector<std::pair<command_state, std::uint64_t>>;
void count(counted_states& states, const command_state& state);

supervisor_options supervisor_options_of(const command_settings& settings);

/// Makes the fresh directory, and runs what the user has to be run before each run. Throws
/// std::system_error, std::runtime_error where that fails, and not where it is interrupted.
void prepare_run(const command_settings& settings);

/// Throws std::system_error where there was nothing to run.
command_state state_of(const command_end& end, const command_settings& settings);

}  // namespace filemap
