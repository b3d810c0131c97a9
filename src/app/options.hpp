#pragma once

#include "filemap/explore/exploration.hpp"
#include "filemap/litmus/mode.hpp"
#include "filemap/litmus/test.hpp"
#include "filemap/model/model.hpp"

#include "report/exporters.hpp"
#include "report/run_settings.hpp"
#include "subject/command_subject.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace filemap {

enum class progress_kind : std::uint8_t { automatic, always, never };

/// A form of the results, and the file that it goes to.
struct output {
  const exporter* form;
  std::string file;  ///< "-": standard output
};

/// What the program does: options go with some of these, and some options ask for one.
enum class activity : std::uint8_t {
  run,
  explore,
  replay,
  run_command,
  explore_command,
  replay_command,
  fault_command,
  model_only,
  check,
  probe,
  list,
  show,
  help,
  version,
};

/// The command line, understood and checked: what reports tell of it, and the rest.
struct options : run_settings {
  activity what = activity::run;

  // What
  std::vector<litmus::test> tests;     ///< to run, instead of the built-in experiment
  litmus::model_options model;         ///< by which rules
  std::vector<std::string> arguments;  ///< how they were named, and those that are only checked
  std::vector<litmus::mode> modes;
  bool compares = false;  ///< each mode that acknowledges early also comes with a flush

  // Every schedule instead of many rounds
  std::uint64_t explore_limit = 100'000;  ///< schedules of each test in each mode; of a command 1k
  std::uint64_t samples = 0;              ///< draw so many instead of searching
  std::optional<litmus::witness> replay;  ///< execute this one alone

  /// Instead of tests; its command is empty where there is none.
  command_settings subject;

  // What is told
  std::vector<output> outputs;  ///< beside the text, or instead of it
  std::string log_level = "warn";
  bool color = true;  ///< where it is a terminal
  progress_kind progress = progress_kind::automatic;

  /// Does something else than the text for a person go to standard output?
  bool silences_text() const noexcept;
  /// Of a mode's violating rounds, how many the outputs want kept.
  std::size_t traces() const noexcept;

  /// What reports tell of it.
  const run_settings& settings() const noexcept { return *this; }
};

}  // namespace filemap
