// Every option is one row here and named nowhere else in the program: what it is called, what it
// means, beside what it means nothing, and how its value is understood.

#include "option_table.hpp"

#include "filemap/litmus/catalogue.hpp"

#include "base/units.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <regex>
#include <set>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace filemap {

namespace {

// --- values

[[noreturn]] void refuse_value(const std::string& why) { throw std::invalid_argument(why); }

std::uint64_t count(const std::string& text, std::uint64_t low, std::uint64_t high) {
  const auto range = [&] {
    refuse_value(
        fmt::format("a whole number from {} to {} is expected, as in 500 or 10k", low, high));
  };
  std::uint64_t value = 0;
  try {
    value = parse_count(text);
  } catch (const std::invalid_argument&) {
    range();
  }
  if (value < low || value > high) range();
  return value;
}

std::uint64_t seed(const std::string& text) {
  std::uint64_t value = 0;
  const auto* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) {
    refuse_value(fmt::format("a whole number from 0 to {} is expected", ~std::uint64_t{0}));
  }
  return value;
}

std::chrono::nanoseconds positive_duration(const std::string& text) {
  const auto duration = parse_duration(text);
  if (duration <= std::chrono::nanoseconds{0}) refuse_value("it must be more than 0");
  return duration;
}

template <typename Value, std::size_t Count>
Value word(const std::string& text,
           const std::array<std::pair<std::string_view, Value>, Count>& words) {
  std::string known;
  for (const auto& [name, value] : words) {
    if (text == name) return value;
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  refuse_value("it is one of " + known);
}

std::regex regular_expression(const std::string& text) {
  try {
    return std::regex(text, std::regex::extended);
  } catch (const std::regex_error&) {
    refuse_value("it is no extended regular expression, as grep -E takes");
  }
}

// It need not be there: a run may make it.
std::filesystem::path absolute_path(const std::string& text) {
  if (text.empty()) refuse_value("a path is expected");
  std::error_code error;
  auto path = std::filesystem::weakly_canonical(std::filesystem::absolute(text, error), error);
  if (error) refuse_value(error.message());
  return path;
}

std::string file_name(const std::string& text, const char* expected) {
  if (text.empty()) refuse_value(expected);
  return text;
}

std::size_t written_bytes(const std::string& text) {
  const auto size = parse_size(text);
  if (size < 1 || size > std::uint64_t{1} << 30) refuse_value("it is from 1 byte to 1 GiB");
  return size;
}

kernel_version ceiling(const std::string& text) {
  std::string known;
  for (const auto version : operation_ceilings()) {
    if (text == to_string(version)) return version;
    known += (known.empty() ? "" : ", ") + to_string(version);
  }
  refuse_value("what the ring uses did not change with that version; name one of these: " + known);
}

// NAME=COMMAND, or NAME+flush=COMMAND.
litmus::mode driver_mode(std::string name, const std::string& command) {
  constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyz0123456789.-_";
  litmus::mode mode;
  constexpr std::string_view flush = "+flush";
  const bool flushes = name.ends_with(flush);
  if (flushes) name.resize(name.size() - flush.size());
  if (name.empty() || name.find_first_not_of(allowed) != std::string::npos) {
    refuse_value("the NAME before '=' has small letters, digits, '.', '-' and '_' alone");
  }
  if (litmus::find_mode(name) != nullptr) {
    refuse_value(fmt::format("there is a mode '{}' already; give the driver another NAME", name));
  }
  if (command.find_first_not_of(' ') == std::string::npos) {
    refuse_value("behind '=' the driver's COMMAND is expected");
  }
  mode.name = std::move(name);
  mode.engine = litmus::engine_kind::driver;
  mode.command = command;
  return flushes ? mode.with_flush() : mode;
}

void add_modes(std::vector<litmus::mode>& modes, const std::string& list) {
  std::size_t begin = 0;
  for (std::size_t end = 0; end != std::string::npos; begin = end + 1) {
    end = list.find(',', begin);
    const auto name = list.substr(begin, end - begin);
    if (const auto equals = name.find('='); equals != std::string::npos) {
      modes.push_back(driver_mode(name.substr(0, equals), list.substr(begin + equals + 1)));
      return;  // a command may have commas
    }
    if (auto mode = litmus::parse_mode(name)) {
      modes.push_back(*std::move(mode));
      continue;
    }
    std::string known;
    for (const auto each : litmus::mode_lists()) {
      for (const auto& mode : each) known += (known.empty() ? "" : ", ") + mode.name;
    }
    refuse_value(fmt::format("there is no mode '{}'; there are {}", name, known));
  }
}

double probability(std::string_view text) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end || !(value > 0) || value > 1) {
    refuse_value("the probability is more than 0 and at most 1");
  }
  return value;
}

std::vector<opcode> stalled(std::string_view name) {
  if (name == "write") return {opcode::write};
  if (name == "fsync") return {opcode::fsync, opcode::fdatasync};
  if (name == "statx") return {opcode::statx};
  if (name == "read") return {opcode::read};
  refuse_value("the operation is write, fsync, statx or read");
}

// "OP=VALUE[@PROBABILITY]".
struct of_operation {
  std::string operation;
  std::string value;
  double probability = 1;
};

of_operation split_at_operation(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos) refuse_value("there is no '='");
  const auto at = std::min(text.find('@', equals), text.size());
  return {text.substr(0, equals), text.substr(equals + 1, at - equals - 1),
          at == text.size() ? 1 : probability(std::string_view(text).substr(at + 1))};
}

// Of a command's calls.
std::string operation_of_command(const std::string& name) {
  std::set<std::string_view> known;
  for (const auto& row : all_calls()) {
    if (row.where == operands::none || row.what == peculiarity::maps) continue;
    if (is_operation(row, name)) return name;
    known.insert(row.family);
  }
  refuse_value(
      fmt::format("there is no operation '{}'; there are {}", name, fmt::join(known, ", ")));
}

void add_stall(command_line& line, const std::string& text) {
  try {
    const auto [operation, time, chance] = split_at_operation(text);
    const auto duration = parse_duration(time);
    if (line.options.what == activity::run_command) {
      line.options.subject.stalls.push_back({operation_of_command(operation), duration, chance});
      return;
    }
    stall_option option{text, {}};
    for (const auto code : stalled(operation)) option.stalls.push_back({code, duration, chance});
    line.options.stalls.push_back(std::move(option));
  } catch (const std::invalid_argument& error) {
    refuse_value(fmt::format("{}; it is OP=TIME[@PROBABILITY], as in write=2ms@0.5", error.what()));
  }
}

int error_of(const std::string& name) {
  constexpr int most = 4096;  // MAX_ERRNO of the kernel
  for (int error = 1; error < most; ++error) {
    const char* const known = ::strerrorname_np(error);
    if (known != nullptr && name == known) return error;
  }
  refuse_value(fmt::format("there is no error '{}'", name));
}

call_fault parse_fault(const std::string& text) {
  const auto [operation, error, chance] = split_at_operation(text);
  const auto number = std::min(operation.find('#'), operation.size());
  call_fault fault;
  fault.text = text;
  fault.operation = operation_of_command(operation.substr(0, number));
  fault.probability = chance;
  if (number < operation.size()) {
    fault.which = count(operation.substr(number + 1), 1, 1'000'000'000);
  }
  if (fault.operation == "close") {
    refuse_value("a close that fails has closed all the same, which cannot be had");
  }
  if (error != "short") fault.error = error_of(error);
  return fault;
}

call_fault fault_of(const std::string& text) {
  try {
    return parse_fault(text);
  } catch (const std::invalid_argument& error) {
    refuse_value(
        fmt::format("{}; it is OP[#N]=ERROR[@PROBABILITY], as in write#3=ENOSPC or "
                    "read=short@0.1",
                    error.what()));
  }
}

// --- the table

constexpr activities everywhere(activity::run, activity::explore, activity::replay,
                                activity::run_command, activity::explore_command,
                                activity::replay_command, activity::fault_command,
                                activity::model_only, activity::check, activity::probe,
                                activity::list, activity::show, activity::help, activity::version);
constexpr activities executing(activity::run, activity::explore, activity::replay);
constexpr activities executing_any(activity::run, activity::explore, activity::replay,
                                   activity::run_command, activity::explore_command,
                                   activity::replay_command, activity::fault_command);
constexpr activities commanding(activity::run_command, activity::explore_command,
                                activity::replay_command, activity::fault_command);
constexpr activities holding(activity::explore_command, activity::replay_command,
                             activity::fault_command);
constexpr activities modelling(activity::run, activity::explore, activity::replay,
                               activity::model_only);
constexpr activities in_rounds(activity::run);
constexpr activities in_rounds_or_runs(activity::run, activity::run_command);
constexpr activities exploring(activity::explore, activity::explore_command);

constexpr const char* instead = "Instead of running";
constexpr const char* how_much = "How much";
constexpr const char* what = "What";
constexpr const char* of_command = "A COMMAND";
constexpr const char* how = "Where and how";
constexpr const char* output_group = "Output";

using line = command_line;
using given = const std::string&;
using litmus::engine_kind;
using kind = option_kind;

// Wide rows, so that each option is one thing to look at.
constexpr std::array first_rows = {
    option_row{
        .names = "TEST",
        .value = "",
        .group = "",
        .help = "",
        .goes_with = activities(activity::run, activity::explore, activity::replay,
                                activity::model_only, activity::check),
        .take = [](line& l, given t) { l.options.arguments.push_back(t); },
        .kind = kind::arguments,
    },
    option_row{
        .names = "--list",
        .value = "",
        .group = instead,
        .help = "",
        .goes_with = activities(activity::list),
        .take = [](line&, given) {},
        .asks_for = activity::list,
    },
    option_row{
        .names = "--show",
        .value = "NAME",
        .group = instead,
        .help = "the tests that there are; prints one",
        .goes_with = activities(activity::show),
        .take = [](line& l, given t) { l.options.arguments = {t}; },
        .kind = kind::value,
        .asks_for = activity::show,
    },
    option_row{
        .names = "--check",
        .value = "",
        .group = instead,
        .help = "says of each TEST whether it is valid",
        .goes_with = activities(activity::check),
        .take = [](line&, given) {},
        .asks_for = activity::check,
    },
    option_row{
        .names = "--model-only",
        .value = "",
        .group = instead,
        .help = "all that the model allows each TEST in each mode",
        .goes_with = activities(activity::model_only),
        .take = [](line&, given) {},
        .asks_for = activity::model_only,
    },
    option_row{
        .names = "--explore",
        .value = "",
        .group = instead,
        .help = "every order of the operations of TEST or COMMAND",
        .goes_with = exploring,
        .take = [](line&, given) {},
        .asks_for = activity::explore,
    },
    option_row{
        .names = "--explore-limit",
        .value = "N",
        .group = instead,
        .help = "",
        .goes_with =
            activities(activity::explore, activity::explore_command, activity::fault_command),
        .take = [](line& l, given t) { l.options.explore_limit = count(t, 1, 1'000'000'000); },
        .kind = kind::value,
        .asks_for = activity::explore,
        .excludes = "--samples",
    },
    option_row{
        .names = "--samples",
        .value = "N",
        .group = instead,
        .help = "so many (100k; of a COMMAND 1k); drawn",
        .goes_with = exploring,
        .take = [](line& l, given t) { l.options.samples = count(t, 1, 1'000'000'000); },
        .kind = kind::value,
        .asks_for = activity::explore,
        .excludes = "--explore-limit",
    },
    option_row{
        .names = "--faults",
        .value = "",
        .group = instead,
        .help = "a fault at each operation of a COMMAND in turn",
        .goes_with = activities(activity::fault_command),
        .take = [](line&, given) {},
        .asks_for = activity::fault_command,
    },
    option_row{
        .names = "--replay",
        .value = "W",
        .group = instead,
        .help = "one order, by the witness that --explore printed",
        .goes_with = activities(activity::replay, activity::replay_command),
        .take = [](line& l, given t) { l.options.replay = parse_witness(t); },
        .kind = kind::value,
        .asks_for = activity::replay,
    },
    option_row{
        .names = "-n,--iterations",
        .value = "N",
        .group = how_much,
        .help = "rounds of each mode (10k), runs of a COMMAND (10)",
        .goes_with = in_rounds_or_runs,
        .take = [](line& l, given t) { l.options.iterations = count(t, 1, 1'000'000'000'000); },
        .kind = kind::value,
    },
    option_row{
        .names = "--duration",
        .value = "TIME",
        .group = how_much,
        .help = "time for each mode instead, or whichever ends first",
        .goes_with = activities(activity::run, activity::run_command, activity::explore_command,
                                activity::fault_command),
        .take = [](line& l, given t) { l.options.duration = positive_duration(t); },
        .kind = kind::value,
    },
    option_row{
        .names = "--stop-on-violation",
        .value = "",
        .group = how_much,
        .help = "end at the first violation",
        .goes_with = in_rounds_or_runs,
        .take = [](line& l, given) { l.options.stop_on_violation = true; },
    },
    option_row{
        .names = "--round-timeout",
        .value = "TIME",
        .group = how_much,
        .help = "a round that takes longer is a hang (10s)",
        .goes_with = in_rounds,
        .take =
            [](line& l, given t) {
              l.options.round_timeout =
                  std::chrono::ceil<std::chrono::milliseconds>(positive_duration(t));
            },
        .kind = kind::value,
    },
    option_row{
        .names = "--catalogue",
        .value = "",
        .group = "",
        .help = "",
        .goes_with =
            activities(activity::run, activity::explore, activity::model_only, activity::check),
        .take =
            [](line& l, given) {
              for (const auto& entry : litmus::catalogue()) {
                l.options.arguments.emplace_back(entry.name);
              }
            },
    },
    option_row{
        .names = "-m,--mode",
        .value = "MODE,...",
        .group = what,
        .help = "uring (default), blocking-pool, tokio-fs, sync, "
                "uring-write-behind, pool-buffered, …; MODE+flush; "
                "NAME=COMMAND: a driver (docs/drivers.md)",
        .goes_with = modelling,
        .take = [](line& l, given t) { add_modes(l.options.modes, t); },
        .kind = kind::repeated_value,
    },
    option_row{
        .names = "--compare",
        .value = "",
        .group = what,
        .help = "all of them, the write-behind ones also with a flush",
        .goes_with = activities(activity::run, activity::explore, activity::model_only),
        .take = [](line& l, given) { l.compare = true; },
        .excludes = "--flush",
    },
    option_row{
        .names = "--flush",
        .value = "",
        .group = what,
        .help = "the writer flushes before it notifies: the fix",
        .goes_with = modelling,
        .take = [](line& l, given) { l.flush = true; },
        .excludes = "--compare",
    },
    option_row{
        .names = "--size",
        .value = "BYTES",
        .group = what,
        .help = "of one write (123; with --direct 4096)",
        .goes_with = in_rounds,
        .take = [](line& l, given t) { l.options.experiment.size = written_bytes(t); },
        .kind = kind::value,
        .of_experiment = true,
    },
    option_row{
        .names = "--writes",
        .value = "N",
        .group = what,
        .help = "writes of one round (1)",
        .goes_with = in_rounds,
        .take =
            [](line& l, given t) {
              l.options.experiment.writes = static_cast<unsigned>(count(t, 1, 10'000));
            },
        .kind = kind::value,
        .of_experiment = true,
    },
    option_row{
        .names = "--handles",
        .value = "KIND",
        .group = what,
        .help = "of the other two: clone (default), shared, reopen",
        .goes_with = in_rounds,
        .take =
            [](line& l, given t) {
              using litmus::handle_kind;
              l.options.experiment.handles =
                  word(t, std::to_array<std::pair<std::string_view, handle_kind>>(
                              {{"clone", handle_kind::clone},
                               {"shared", handle_kind::shared},
                               {"reopen", handle_kind::reopen}}));
            },
        .kind = kind::value,
        .of_experiment = true,
    },
    option_row{
        .names = "--sync",
        .value = "KIND",
        .group = what,
        .help = "fsync (default), fdatasync, none",
        .goes_with = in_rounds,
        .take =
            [](line& l, given t) {
              using litmus::flusher_sync;
              l.options.experiment.sync =
                  word(t, std::to_array<std::pair<std::string_view, flusher_sync>>(
                              {{"fsync", flusher_sync::fsync},
                               {"fdatasync", flusher_sync::fdatasync},
                               {"none", flusher_sync::none}}));
            },
        .kind = kind::value,
        .of_experiment = true,
    },
    option_row{
        .names = "--direct",
        .value = "",
        .group = what,
        .help = "O_DIRECT",
        .goes_with = in_rounds,
        .take = [](line& l, given) { l.options.direct = true; },
        .of_experiment = true,
    },
    option_row{
        .names = "--stall",
        .value = "OP=TIME[@P]",
        .group = what,
        .help = "hold write, fsync, statx or read back before it",
        .goes_with = in_rounds_or_runs,
        .take = [](line& l, given t) { add_stall(l, t); },
        .kind = kind::repeated_value,
    },
    option_row{
        .names = "--strict",
        .value = "",
        .group = what,
        .help = "also what the mode allows, or needs time, counts",
        .goes_with = activities(activity::run, activity::explore, activity::replay,
                                activity::explore_command),
        .take = [](line& l, given) { l.options.strict = true; },
        .of_a_schedule = true,
    },
    option_row{
        .names = "--model",
        .value = "RULES",
        .group = what,
        .help = "linux (page by page, default), posix (atomic writes)",
        .goes_with = modelling,
        .take =
            [](line& l, given t) {
              l.options.model.atomic_writes =
                  word(t, std::to_array<std::pair<std::string_view, bool>>(
                              {{"linux", false}, {"posix", true}}));
            },
        .kind = kind::value,
        .of_a_schedule = true,
    },
    option_row{
        .names = "--prepare",
        .value = "COMMAND",
        .group = of_command,
        .help = "for a shell, before each run",
        .goes_with = commanding,
        .take = [](line& l, given t) { l.options.subject.prepare = t; },
        .kind = kind::value,
        .of_a_schedule = true,
    },
    option_row{
        .names = "--fail-on",
        .value = "REGEX",
        .group = of_command,
        .help = "what is a failure in its output, beside its status",
        .goes_with = commanding,
        .take = [](line& l, given t) { l.options.subject.fail_on = regular_expression(t); },
        .kind = kind::value,
        .of_a_schedule = true,
    },
    option_row{
        .names = "--run-timeout",
        .value = "TIME",
        .group = of_command,
        .help = "a run that takes longer has failed (10s)",
        .goes_with = commanding,
        .take = [](line& l, given t) { l.options.subject.run_timeout = positive_duration(t); },
        .kind = kind::value,
        .of_a_schedule = true,
    },
    option_row{
        .names = "--patience",
        .value = "TIME",
        .group = of_command,
        .help = "an operation is held so long for a sleep (100ms)",
        .goes_with = activities(activity::explore_command, activity::replay_command),
        .take = [](line& l, given t) { l.options.subject.patience = positive_duration(t); },
        .kind = kind::value,
        .of_a_schedule = true,
    },
    option_row{
        .names = "--watch",
        .value = "PATH",
        .group = of_command,
        .help = "hold what is done below it (what two sides touch)",
        .goes_with = holding,
        .take = [](line& l, given t) { l.options.subject.watch.push_back(absolute_path(t)); },
        .kind = kind::repeated_value,
        .of_a_schedule = true,
    },
    option_row{
        .names = "--deny",
        .value = "io_uring",
        .group = of_command,
        .help = "it gets ENOSYS, and many programs use threads then",
        .goes_with = holding,
        .take =
            [](line& l, given t) {
              l.options.subject.denies_io_uring =
                  word(t, std::to_array<std::pair<std::string_view, bool>>({{"io_uring", true}}));
            },
        .kind = kind::value,
        .of_a_schedule = true,
    },
    option_row{
        .names = "--fault",
        .value = "OP=ERROR[@P]",
        .group = of_command,
        .help = "what fails: write=ENOSPC, fsync#2=EIO, read=short",
        .goes_with =
            activities(activity::run_command, activity::explore_command, activity::replay_command),
        .take = [](line& l, given t) { l.options.subject.faults.push_back(fault_of(t)); },
        .kind = kind::repeated_value,
        .of_a_schedule = true,
    },
    option_row{
        .names = "-d,--dir",
        .value = "PATH",
        .group = how,
        .help = "where the files go ($TMPDIR, or /tmp)",
        .goes_with = executing_any,
        .take =
            [](line& l, given t) {
              l.options.dir = file_name(t, "the path of a directory is expected");
            },
        .kind = kind::value,
        .of_a_schedule = true,
    },
    option_row{
        .names = "--reuse-file",
        .value = "",
        .group = how,
        .help = "truncate one file instead of a fresh one each round",
        .goes_with = in_rounds,
        .take = [](line& l, given) { l.options.reuse_file = true; },
    },
    option_row{
        .names = "--lanes",
        .value = "K",
        .group = how,
        .help = "rounds at once on the one ring or pool (1)",
        .goes_with = in_rounds,
        .take = [](line& l, given t) { l.options.lanes = count(t, 1, 65'536); },
        .kind = kind::value,
    },
    option_row{
        .names = "--pool-threads",
        .value = "N",
        .group = how,
        .help = "at most (512)",
        .goes_with = in_rounds,
        .take = [](line& l, given t) { l.options.pool_threads = count(t, 1, 32'768); },
        .kind = kind::value,
        .needs = engine_kind::pool,
    },
    option_row{
        .names = "--pool-sharded",
        .value = "",
        .group = how,
        .help = "many queues: not first in, first out",
        .goes_with = in_rounds,
        .take = [](line& l, given) { l.options.pool_sharded = true; },
        .needs = engine_kind::pool,
    },
    option_row{
        .names = "--entries",
        .value = "N",
        .group = how,
        .help = "of the submission queue, at least 8 (256)",
        .goes_with = executing,
        .take =
            [](line& l, given t) {
              l.options.ring.entries = static_cast<unsigned>(count(t, 1, 32'768));
            },
        .kind = kind::value,
        .needs = engine_kind::uring,
        .of_a_schedule = true,
    },
    option_row{
        .names = "--sqpoll",
        .value = "",
        .group = how,
        .help = "",
        .goes_with = executing,
        .take = [](line& l, given) { l.options.ring.sqpoll = true; },
        .needs = engine_kind::uring,
        .of_a_schedule = true,
    },
    option_row{
        .names = "--no-defer-taskrun",
        .value = "",
        .group = how,
        .help = "",
        .goes_with = executing,
        .take = [](line& l, given) { l.options.ring.defer_taskrun = false; },
        .needs = engine_kind::uring,
        .of_a_schedule = true,
    },
    option_row{
        .names = "--iosqe-async",
        .value = "",
        .group = how,
        .help = "how the ring is set up",
        .goes_with = executing,
        .take = [](line& l, given) { l.options.ring.force_async = true; },
        .needs = engine_kind::uring,
        .of_a_schedule = true,
    },
    option_row{
        .names = "--ops",
        .value = "VERSION",
        .group = how,
        .help = "use only the io_uring of Linux 5.4, 5.5, 5.6...",
        .goes_with =
            activities(activity::run, activity::explore, activity::replay, activity::probe),
        .take = [](line& l, given t) { l.options.ring.ceiling = ceiling(t); },
        .kind = kind::value,
        .needs = engine_kind::uring,
        .of_a_schedule = true,
    },
    option_row{
        .names = "--seed",
        .value = "S",
        .group = how,
        .help = "of all that is random (drawn, and printed)",
        .goes_with = executing_any,
        .take =
            [](line& l, given t) {
              l.options.seed = seed(t);
              l.seeded = true;
            },
        .kind = kind::value,
        .of_a_schedule = true,
    },
};

constexpr activities activities_of(const exporter& form) {
  if (form.explores) {
    return activities(activity::run, activity::explore, activity::run_command,
                      activity::explore_command, activity::replay_command, activity::fault_command);
  }
  return activities(activity::run, activity::explore_command, activity::replay_command);
}

// An exporter's file.
constexpr option_row row_of(const exporter& form) {
  return {
      .names = form.option,
      .value = "FILE",
      .group = output_group,
      .help = form.what,
      .goes_with = activities_of(form),
      .take = nullptr,
      .kind = kind::value,
      .exports = &form,
  };
}

constexpr std::array last_rows = {
    option_row{
        .names = "--progress",
        .value = "WHEN",
        .group = output_group,
        .help = "auto (on a terminal), always, never",
        .goes_with = everywhere,
        .take =
            [](line& l, given t) {
              l.options.progress =
                  word(t, std::to_array<std::pair<std::string_view, progress_kind>>(
                              {{"auto", progress_kind::automatic},
                               {"always", progress_kind::always},
                               {"never", progress_kind::never}}));
            },
        .kind = kind::value,
    },
    option_row{
        .names = "--no-color",
        .value = "",
        .group = output_group,
        .help = "",
        .goes_with = everywhere,
        .take = [](line& l, given) { l.options.color = false; },
    },
    option_row{
        .names = "--log-level",
        .value = "LEVEL",
        .group = output_group,
        .help = "also NO_COLOR; trace, debug ... error, off",
        .goes_with = everywhere,
        .take =
            [](line& l, given t) {
              l.options.log_level = word(
                  t, std::to_array<std::pair<std::string_view, const char*>>({{"trace", "trace"},
                                                                              {"debug", "debug"},
                                                                              {"info", "info"},
                                                                              {"warn", "warn"},
                                                                              {"error", "error"},
                                                                              {"off", "off"}}));
            },
        .kind = kind::value,
    },
    option_row{
        .names = "--probe",
        .value = "",
        .group = output_group,
        .help = "what io_uring can do here, and why not",
        .goes_with = activities(activity::probe),
        .take = [](line&, given) {},
        .asks_for = activity::probe,
    },
    option_row{
        .names = "--version",
        .value = "",
        .group = output_group,
        .help = "",
        .goes_with = activities(activity::version),
        .take = [](line&, given) {},
        .asks_for = activity::version,
    },
    option_row{
        .names = "-h,--help",
        .value = "",
        .group = output_group,
        .help = "the version; this",
        .goes_with = activities(activity::help),
        .take = [](line&, given) {},
        .asks_for = activity::help,
    },
};

constexpr auto option_rows = [] {
  std::array<option_row, first_rows.size() + exporters.size() + last_rows.size()> rows{};
  auto next = std::copy(first_rows.begin(), first_rows.end(), rows.begin());
  for (const auto& form : exporters) *next++ = row_of(form);
  std::copy(last_rows.begin(), last_rows.end(), next);
  return rows;
}();

// --- the help

constexpr std::size_t help_column = 28;
constexpr std::size_t help_width = 80;

// "  -n, --iterations N": one that has no short name is indented as if it had.
std::string left_side(const option_row& row, bool first) {
  std::string names(row.names);
  if (const auto comma = names.find(','); comma != std::string::npos) names.insert(comma + 1, " ");
  if (!row.value.empty()) names += ' ' + std::string(row.value);
  return (!first ? "" : names.starts_with("--") ? "      " : "  ") + names;
}

// `words` from the column on, broken at spaces.
void add_help(std::string& help, std::string left, std::string_view words) {
  if (left.size() >= help_column - 1 && left.size() + 3 + words.size() > help_width) {
    help += left + '\n';
    left.clear();
  }
  const auto column = left.size() < help_column ? help_column : left.size() + 3;
  while (!words.empty()) {
    const auto width = help_width - column;
    auto end = words.size() <= width ? words.size() : words.rfind(' ', width);
    if (end == std::string_view::npos) end = words.size();
    fmt::format_to(std::back_inserter(help), "{:<{}}{}\n", left, column, words.substr(0, end));
    left.clear();
    words.remove_prefix(std::min(words.size(), end + 1));
  }
}

constexpr std::string_view help_head =
    R"(filemap-uring: does a reader see what was written and fsynced?
Usage: filemap-uring [OPTION]... [TEST]...
       filemap-uring [OPTION]... -- COMMAND [ARGUMENT]...
TEST is the name of a litmus test (--list; --catalogue: all) or a FILE.litmus;
without one it runs the experiment of tokio issue #4796.
)";

constexpr std::string_view help_foot =
    R"(N and K take k (1000), M, G; BYTES take k (1024), M, G; TIME ends in ns, us,
ms, s, m, h. Exit status: 0 nothing forbidden, 1 a forbidden outcome, 2 usage,
3 the environment failed, 4 hang, 125 no such kernel, 130 interrupted.
)";

}  // namespace

std::string_view option_row::name() const noexcept {
  const auto comma = names.find(',');
  return comma == std::string_view::npos ? names : names.substr(comma + 1);
}

activity_words words_of(activity which) noexcept {
  switch (which) {
    case activity::run:
    case activity::help:
    case activity::version:
      break;
    case activity::explore:
      return {"--explore", "each schedule is executed once, step by step"};
    case activity::replay:
      return {"--replay", "one schedule is executed once, step by step, and told as text"};
    case activity::run_command:
    case activity::explore_command:
    case activity::replay_command:
    case activity::fault_command:
      return {"a COMMAND", "it says what is done, and where"};
    case activity::model_only:
      return {"--model-only", "nothing is run, and what the model allows is told as text"};
    case activity::check:
      return {"--check", "tests are only read"};
    case activity::probe:
      return {"--probe", "it only asks what this kernel has"};
    case activity::list:
      return {"--list", "it only lists the tests"};
    case activity::show:
      return {"--show", "it only prints a test"};
  }
  return {"", ""};
}

std::span<const option_row> option_table() { return option_rows; }

std::string help_text() {
  std::string help(help_head);
  std::string_view group;
  std::string left;
  for (const auto& row : option_rows) {
    if (row.group.empty()) continue;
    if (row.group != group) help += std::string(group = row.group) + '\n';
    left += (left.empty() ? "" : ", ") + left_side(row, left.empty());
    if (row.help.empty()) continue;  // told with the next
    add_help(help, std::exchange(left, ""), row.help);
  }
  return help + std::string(help_foot);
}

}  // namespace filemap
