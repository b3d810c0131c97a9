#pragma once

#include "filemap/base/environment.hpp"
#include "filemap/explore/exploration.hpp"

#include "report/run_settings.hpp"

#include <optional>
#include <string>
#include <vector>

namespace filemap {

/// A test in one mode: explored, or one schedule of it replayed, or neither.
struct explored_mode {
  litmus::mode mode;
  std::string cannot_run;  ///< why this kernel cannot run the mode; else empty
  std::string failure;     ///< what ended it, as one line; else empty
  std::optional<litmus::exploration_result> result;  ///< of a failure: what was found before it
};

struct explored_test {
  std::string argument;  ///< how it was named on the command line
  litmus::test test;
  std::vector<explored_mode> modes;
};

/// What `--explore` comes to. Every output is a function of it.
struct exploration_run {
  run_settings asked;
  std::vector<explored_test> tests;
  filesystem_info filesystem;
  bool interrupted = false;

  /// What failed in its modes, each as one line that says where.
  std::vector<std::string> failures() const;
};

/// What `--replay` comes to.
struct replayed_run {
  litmus::test test;
  litmus::mode mode;
  std::optional<litmus::executed_schedule> schedule;  ///< nothing: it was interrupted before
  bool interrupted = false;
};

int exit_status_of(const exploration_run& run);
int exit_status_of(const replayed_run& run, bool strict);

/// For a person. `color`: with ANSI escapes.
std::string text_report(const exploration_run& run, bool color);
std::string text_report(const replayed_run& run, bool color);

/// docs/exploration.schema.json describes it.
std::string json_report(const exploration_run& run);

}  // namespace filemap
