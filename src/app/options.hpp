#pragma once

#include "filemap/explore/exploration.hpp"
#include "filemap/io/engines.hpp"
#include "filemap/io/stall.hpp"
#include "filemap/litmus/experiment.hpp"
#include "filemap/litmus/mode.hpp"
#include "filemap/litmus/test.hpp"
#include "filemap/model/model.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace filemap {

/// What `--stall` asked for, and how it was written.
struct stall_option {
  std::string text;  ///< "write=2ms@0.5"
  std::vector<stall> stalls;
};

enum class progress_kind : std::uint8_t { automatic, always, never };

/// The command line, understood and checked. The defaults are those that `--help` states.
struct options {
  // How much
  std::uint64_t iterations = 10'000;  ///< rounds of each mode; 0 with a duration alone
  std::optional<std::chrono::nanoseconds>
      duration;  ///< of each mode; with iterations, the first to end

  // What
  std::vector<litmus::test> tests;    ///< to run, instead of the built-in experiment
  bool model_only = false;            ///< does not run: tells what the model allows
  litmus::model_options model;        ///< by which rules
  std::vector<std::string> to_check;  ///< with --check: the names and files of tests
  std::vector<litmus::mode> modes;
  litmus::experiment_options experiment;  ///< size, writes, handles, sync
  bool direct = false;

  // Every schedule instead of many rounds
  bool explore = false;
  std::uint64_t explore_limit = 100'000;  ///< schedules of each test in each mode
  std::uint64_t samples = 0;              ///< draw so many instead of searching
  std::optional<litmus::witness> replay;  ///< execute this one alone

  // Where and how
  std::filesystem::path dir;
  std::size_t lanes = 1;
  bool reuse_file = false;
  std::size_t pool_threads = 512;
  uring_options ring;  ///< `--ops` is its ceiling
  std::vector<stall_option> stalls;
  std::uint64_t seed = 0;

  // When to stop, what counts
  bool stop_on_violation = false;
  std::chrono::milliseconds round_timeout{10'000};
  bool strict = false;

  // What is told
  std::string json_file;   ///< "-": standard output; "": none
  std::string trace_file;  ///< likewise, but never standard output
  std::string log_level = "warn";
  bool color = true;  ///< where it is a terminal
  progress_kind progress = progress_kind::automatic;
  bool probe = false;

  std::vector<std::string> command;  ///< argv, with the seed added when it was drawn
};

}  // namespace filemap
