#pragma once

// A command, explored: the passes of the search above the seam, cheapest first, what was found, and
// the two calls whose order decides.

#include "filemap/explore/witness.hpp"

#include "search.hpp"
#include "subject/command_subject.hpp"

#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace filemap {

struct command_exploration;

struct command_exploration_options {
  std::uint64_t limit = 1000;  ///< runs of the search
  std::uint64_t samples = 0;   ///< draws so many instead of all else
  unsigned depth = 3;          ///< of a sample
  std::uint64_t seed = 0;      ///< of the samples
  unsigned confirmations = 20;
  const std::atomic<bool>* interrupt = nullptr;
  std::optional<instant> deadline = {};
  std::function<void(const command_exploration&)> after_each_run = {};
};

/// One part of the search.
struct search_pass {
  enum kind : std::uint8_t {
    as_it_is,
    one_delay,
    samples,
    every_order_of_each_file,
    every_order,
    two_delays
  } what = as_it_is;
  std::uint64_t runs = 0;
  std::uint64_t bad = 0;
  bool finished = false;
};
std::string_view to_string(search_pass::kind pass) noexcept;

/// A run that was repeated, and how often it came to the same.
struct confirmation {
  unsigned bad = 0;
  unsigned runs = 0;
};

/// Two calls, by index into the bad run's: while `earlier` is executed before `later` it fails.
struct deciding_pair {
  std::size_t earlier = 0;
  std::size_t later = 0;
  confirmation in_this_order;
  confirmation in_the_other;
};

/// A schedule that comes to a bad end.
struct command_finding {
  witness schedule;
  command_state state;
  std::vector<executed_call> calls;
  std::string output;  ///< the end of it
  confirmation confirmed;
  std::optional<deciding_pair> pair;
  /// It takes more than an order: an operation that takes so long, at the least.
  std::optional<nanoseconds> takes;
};

/// Of the subject's last run.
command_finding finding_of(const command_subject& subject, const witness& schedule,
                           const ending& end);

struct command_exploration {
  std::vector<std::string> files;     ///< that two sides touch and one changes
  std::vector<std::string> not_held;  ///< others that were seen to be like them on the way
  std::vector<search_pass> passes;
  std::uint64_t runs = 0;
  std::uint64_t diverged = 0;
  counted_states states;
  bool fails_as_it_is = false;
  bool ended_well = false;  ///< in some run
  /// Every order of the calls on `files` was executed, without letting time pass.
  bool complete = false;
  /// Every order of those that touch anything in common. What threads tell each other by memory, or
  /// processes by a pipe, may make the order of others matter.
  bool complete_of_each_file = false;
  bool interrupted = false;
  bool out_of_time = false;
  std::exception_ptr failed = nullptr;
  nanoseconds spent{0};
  supervision noticed;  ///< of the runs of the search
  /// Of these at most one: each with a schedule that came to a bad end every time that it was
  /// repeated, but for `unconfirmed`.
  std::optional<command_finding> by_order;     ///< this order breaks it
  std::optional<command_finding> by_time;      ///< it breaks where an operation takes long
  std::optional<command_finding> unconfirmed;  ///< it failed, and not each time: it cannot be told

  /// Runs of the search that came to a bad state.
  std::uint64_t bad() const noexcept;
};

/// Throws std::system_error, `unsupported`; once a run has ended that is `failed`.
command_exploration explore(command_subject& subject, const command_exploration_options& options);

}  // namespace filemap
