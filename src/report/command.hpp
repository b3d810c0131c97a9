#pragma once

#include "filemap/base/environment.hpp"
#include "filemap/base/stats.hpp"
#include "filemap/subject/verdict.hpp"

#include "explore/command_exploration.hpp"
#include "explore/fault_table.hpp"
#include "report/run_settings.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace filemap {

/// A command that was run again and again as it is.
struct command_rounds {
  std::uint64_t runs = 0;
  std::uint64_t bad = 0;
  counted_states states;
  latency_histogram took;  ///< each run
  nanoseconds spent{0};
  std::string failing_output;  ///< the end of the first bad run's
  std::uint64_t failing_run = 0;
  unsigned left = 0;         ///< processes that runs left behind, and that were ended
  std::uint64_t failed = 0;  ///< calls that `--fault` has hit
};

/// What running, exploring or replaying a command comes to. Every output is a function of it.
struct command_run {
  run_settings asked;
  std::vector<std::string> command;
  std::optional<command_rounds> rounds;
  std::optional<command_exploration> explored;
  std::optional<command_finding> replayed;
  std::optional<fault_table> faults;
  filesystem_info filesystem;
  bool loses_rights = false;  ///< setuid or setgid, which a filter keeps from having an effect
  bool interrupted = false;
  std::string failure;  ///< what ended it, as one line; else empty
};

int exit_status_of(const command_run& run);

/// A command that executes this order again, with what it needs of the options.
std::vector<std::string> replay_command(const command_run& run, const witness& schedule,
                                        const std::string& fault = "");

/// For a person. `color`: with ANSI escapes.
std::string text_report(const command_run& run, bool color);

/// docs/command.schema.json describes it.
std::string json_report(const command_run& run);

/// The order that was found or replayed, as Chrome's trace events.
std::string trace_report(const command_run& run);

}  // namespace filemap
