#pragma once

#include "filemap/explore/exploration.hpp"
#include "filemap/litmus/mode.hpp"
#include "filemap/litmus/test.hpp"
#include "filemap/model/model.hpp"

#include "report/run_settings.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace filemap {

enum class progress_kind : std::uint8_t { automatic, always, never };

/// The command line, understood and checked: what reports tell of it, and the rest.
struct options : run_settings {
  // What
  std::vector<litmus::test> tests;    ///< to run, instead of the built-in experiment
  bool model_only = false;            ///< does not run: tells what the model allows
  litmus::model_options model;        ///< by which rules
  std::vector<std::string> to_check;  ///< with --check: the names and files of tests
  std::vector<litmus::mode> modes;

  // Every schedule instead of many rounds
  bool explore = false;
  std::uint64_t explore_limit = 100'000;  ///< schedules of each test in each mode
  std::uint64_t samples = 0;              ///< draw so many instead of searching
  std::optional<litmus::witness> replay;  ///< execute this one alone

  // What is told
  std::string json_file;   ///< "-": standard output; "": none
  std::string trace_file;  ///< likewise, but never standard output
  std::string log_level = "warn";
  bool color = true;  ///< where it is a terminal
  progress_kind progress = progress_kind::automatic;
  bool probe = false;

  /// What reports tell of it.
  const run_settings& settings() const noexcept { return *this; }
};

}  // namespace filemap
