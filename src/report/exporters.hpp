#pragma once

#include "report/command.hpp"
#include "report/exploration.hpp"
#include "report/report.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace filemap {

/// A form of the results: one function of them. What has none of an exploration has nullptr there.
struct exporter {
  std::string_view option;  ///< that names its file
  std::string_view what;    ///< for the help
  std::string (*of_runs)(std::span<const run_result> runs);
  /// Whether there is one of explorations too. (A pointer cannot be asked for that at compile time
  /// under UndefinedBehaviorSanitizer, with GCC 12.)
  bool explores;
  std::string (*of_exploration)(const exploration_run& run);
  /// Of a command: where it has none of explorations, only of what has an order.
  std::string (*of_command)(const command_run& run);
  bool to_standard_output;  ///< "-" is one, instead of the text
  std::size_t traces;       ///< of violating rounds that it wants kept
};

/// A new one is a row here: its option, the help and what it goes with follow. (The text for a
/// person needs no option, and a terminal's color: text_report.)
inline constexpr std::array exporters = {
    exporter{
        .option = "--json",
        .what = "all results; - is standard output, instead of text",
        .of_runs = json_report,
        .explores = true,
        .of_exploration = json_report,
        .of_command = json_report,
        .to_standard_output = true,
        .traces = 1,
    },
    exporter{
        .option = "--trace",
        .what = "violating rounds, or a COMMAND's order, for Perfetto",
        .of_runs = trace_report,
        .explores = false,
        .of_exploration = nullptr,
        .of_command = trace_report,
        .to_standard_output = false,
        .traces = 100,
    },
};

}  // namespace filemap
