#pragma once

#include "filemap/io/engines.hpp"
#include "filemap/io/stall.hpp"
#include "filemap/litmus/experiment.hpp"
#include "filemap/litmus/mode.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace filemap {

/// Words of the command line that repeat something, and in which modes they mean anything.
struct repeated_words {
  std::vector<std::string> words;
  std::optional<litmus::engine_kind> needs;  ///< none: in all
};

/// What `--stall` asked for, and how it was written.
struct stall_option {
  std::string text;  ///< "write=2ms@0.5"
  std::vector<stall> stalls;
};

/// What was asked for, as far as a report tells it. The defaults are those that `--help` states.
struct run_settings {
  // How much
  std::uint64_t iterations = 10'000;  ///< rounds of each mode; 0 with a duration alone
  std::optional<std::chrono::nanoseconds>
      duration;  ///< of each mode; with iterations, the first to end

  // What
  litmus::experiment_options experiment;  ///< size, writes, handles, sync
  bool direct = false;

  // Where and how
  std::filesystem::path dir;
  std::size_t lanes = 1;
  bool reuse_file = false;
  std::size_t pool_threads = 512;
  bool pool_sharded = false;
  uring_options ring;  ///< `--ops` is its ceiling
  std::vector<stall_option> stalls;
  std::uint64_t seed = 0;

  // When to stop, what counts
  bool stop_on_violation = false;
  std::chrono::milliseconds round_timeout{10'000};
  bool strict = false;

  std::vector<std::string> command;          ///< argv, with the seed added when it was drawn
  std::vector<repeated_words> of_schedules;  ///< what of it the replay of a schedule needs
};

}  // namespace filemap
