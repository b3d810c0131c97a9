#include "cli.hpp"

#include "filemap/io/ring_support.hpp"
#include "filemap/litmus/catalogue.hpp"

#include "base/units.hpp"
#include "config.hpp"
#include "find_tests.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <random>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace filemap {

namespace {

// Written by hand, so that it fits a screen and is grouped by what people look for. A test checks
// that every option is in it.
constexpr const char* help_text = R"(filemap-uring: does a reader see what was written and fsynced?
Usage: filemap-uring [OPTION]... [TEST]...
TEST is the name of a litmus test (--list) or a FILE.litmus; without one it runs
the experiment of tokio issue #4796.
Instead of running
      --list, --show NAME   the tests that there are; prints one
      --check               says of each TEST whether it is valid
      --model-only          all that the model allows each TEST in each mode
      --explore             executes the operations of TEST in every order
      --explore-limit N     so many orders, and a sample of others (100000)
      --samples N           N orders that are drawn
      --replay W            one order, by the witness that --explore printed
How much
  -n, --iterations N        rounds of each mode (10000)
      --duration TIME       time for each mode instead, or whichever ends first
      --stop-on-violation   end at the first violation
      --round-timeout TIME  a round that takes longer is a hang (10s)
What
  -m, --mode MODE[,MODE...] uring (default), blocking-pool, tokio-fs, sync,
                            tokio-fs-1.24, uring-write-behind; MODE+flush
      --compare             all of them, the write-behind ones also with a flush
      --flush               the writer flushes before it notifies: the fix
      --size BYTES          of one write (123; with --direct 4096)
      --writes N            writes of one round (1)
      --handles KIND        of the other two: clone (default), shared, reopen
      --sync KIND           fsync (default), fdatasync, none
      --direct              O_DIRECT
      --stall OP=TIME[@P]   hold write, fsync, statx or read back before it
      --strict              a violation counts also where the mode allows it
      --model RULES         linux (page by page, default), posix (atomic writes)
Where and how
  -d, --dir PATH            where the files go ($TMPDIR, or /tmp)
      --reuse-file          truncate one file instead of a fresh one each round
      --lanes K             rounds at once on the one ring or pool (1)
      --pool-threads N      at most (512)
      --entries N           of the submission queue, at least 8 (256)
      --sqpoll, --no-defer-taskrun, --iosqe-async   how the ring is set up
      --ops VERSION         use only the io_uring of Linux 5.4, 5.5, 5.6...
      --seed S              of all that is random (drawn, and printed)
Output
      --json FILE           all results; - is standard output, instead of text
      --trace FILE          violating rounds for Perfetto (Chrome trace JSON)
      --progress WHEN       auto (on a terminal), always, never
      --no-color, --log-level LEVEL   also NO_COLOR; trace, debug ... error, off
      --probe               what io_uring can do here, and why not
      --version, -h, --help
TIME takes ns, us, ms, s, m, h; BYTES takes k, M, G. Exit status: 0 nothing
forbidden was seen, 1 a forbidden outcome, 2 usage, 3 the environment failed,
4 hang, 125 the kernel cannot run it, 130 interrupted.
)";

[[noreturn]] void refuse(const std::string& what) {
  throw usage_error(what + " (filemap-uring --help lists the options)");
}

// What was given to an option, as a shell would have it where it is empty.
std::string_view shown(std::string_view text) { return text.empty() ? "''" : text; }

// CLI11's errors in the words of ours.
[[noreturn]] void refuse(const CLI::App& app, const CLI::ParseError& error) {
  const std::string_view text = error.what();
  const auto option = text.substr(0, text.find(':'));
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    refuse(fmt::format("{}: {}", option,
                       text.ends_with("missing") ? "a value is expected" : "it is given twice"));
  }
  if (const auto extras = app.remaining(); !extras.empty()) {
    refuse(fmt::format("{}: not expected; there is no such option", extras.front()));
  }
  refuse(error.what());
}

std::uint64_t parse_count(const std::string& option, const std::string& text, std::uint64_t low,
                          std::uint64_t high) {
  std::uint64_t value = 0;
  const auto* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end || value < low || value > high) {
    refuse(fmt::format("{} {}: a whole number from {} to {} is expected", option, shown(text), low,
                       high));
  }
  return value;
}

// Calls a parser of units.hpp and completes its complaint.
template <typename Parse>
auto parse_value(const std::string& option, const std::string& text, Parse parse) {
  try {
    return parse(text);
  } catch (const std::invalid_argument& error) {
    refuse(fmt::format("{} {}: {}", option, shown(text), error.what()));
  }
}

std::chrono::nanoseconds parse_positive_duration(const std::string& option,
                                                 const std::string& text) {
  const auto duration = parse_value(option, text, [](const auto& t) { return parse_duration(t); });
  if (duration <= std::chrono::nanoseconds{0})
    refuse(fmt::format("{} {}: it must be more than 0", option, text));
  return duration;
}

template <typename Value, std::size_t Count>
Value parse_word(const std::string& option, const std::string& text,
                 const std::array<std::pair<const char*, Value>, Count>& words) {
  std::string known;
  for (const auto& [word, value] : words) {
    if (text == word) return value;
    known += (known.empty() ? "" : ", ") + std::string(word);
  }
  refuse(fmt::format("{} {}: it is one of {}", option, shown(text), known));
}

litmus::mode parse_mode(const std::string& name) {
  if (auto mode = litmus::parse_mode(name)) return *std::move(mode);
  std::string known;
  for (const auto modes : {litmus::all_modes(), litmus::older_modes()}) {
    for (const auto& mode : modes) known += (known.empty() ? "" : ", ") + mode.name;
  }
  refuse(fmt::format("--mode {}: there is no such mode; there are {}", shown(name), known));
}

std::vector<std::string> split_at_commas(const std::vector<std::string>& lists) {
  std::vector<std::string> names;
  for (const auto& list : lists) {
    std::size_t begin = 0;
    for (std::size_t end = 0; end != std::string::npos; begin = end + 1) {
      end = list.find(',', begin);
      names.push_back(list.substr(begin, end - begin));
    }
  }
  return names;
}

std::vector<litmus::mode> parse_modes(const std::vector<std::string>& lists, bool flush) {
  std::vector<litmus::mode> modes;
  for (const auto& name : split_at_commas(lists)) {
    auto mode = parse_mode(name);
    if (flush && !mode.flush) mode = mode.with_flush();
    if (std::find(modes.begin(), modes.end(), mode) != modes.end()) {
      refuse(fmt::format("--mode {}: it is named twice", name));
    }
    modes.push_back(std::move(mode));
  }
  return modes;
}

std::vector<litmus::mode> modes_to_compare() {
  std::vector<litmus::mode> modes;
  for (const auto& mode : litmus::all_modes()) {
    modes.push_back(mode);
    if (mode.when == acknowledgement::write_behind) modes.push_back(mode.with_flush());
  }
  return modes;
}

kernel_version parse_ceiling(const std::string& text) {
  std::string known;
  for (const auto version : operation_ceilings()) {
    if (text == to_string(version)) return version;
    known += (known.empty() ? "" : ", ") + to_string(version);
  }
  refuse(fmt::format(
      "--ops {}: what the ring uses did not change with that version; name one of these: {}", text,
      known));
}

stall_option parse_stall(const std::string& text) {
  const auto complain = [&](std::string_view why) {
    refuse(
        fmt::format("--stall {}: {}; it is OP=TIME[@PROBABILITY], as in write=2ms@0.5", text, why));
  };
  const auto equals = text.find('=');
  if (equals == std::string::npos) complain("there is no '='");
  const auto name = text.substr(0, equals);
  auto time = text.substr(equals + 1);
  double probability = 1;
  if (const auto at = time.find('@'); at != std::string::npos) {
    const char* const begin = time.data() + at + 1;
    const char* const end = time.data() + time.size();
    const auto [stop, error] = std::from_chars(begin, end, probability);
    if (error != std::errc{} || stop != end || !(probability > 0) || probability > 1) {
      complain("the probability is more than 0 and at most 1");
    }
    time.resize(at);
  }
  std::chrono::nanoseconds duration{0};
  try {
    duration = parse_duration(time, std::chrono::nanoseconds{0});
  } catch (const std::invalid_argument& error) {
    complain(error.what());
  }
  stall_option option{text, {}};
  const auto add = [&](opcode code) { option.stalls.push_back({code, duration, probability}); };
  if (name == "write") {
    add(opcode::write);
  } else if (name == "fsync") {
    add(opcode::fsync);
    add(opcode::fdatasync);
  } else if (name == "statx") {
    add(opcode::statx);
  } else if (name == "read") {
    add(opcode::read);
  } else {
    complain("the operation is write, fsync, statx or read");
  }
  return option;
}

// What each option was given, as text: CLI11 finds and counts them, and every value is understood
// in one place that can say what is wrong with it.
struct raw_options {
  using value = std::optional<std::string>;
  value iterations, duration, size, writes, handles, sync, dir, lanes, pool_threads, entries, ops;
  value seed, round_timeout, json, trace, progress, log_level;
  value show, model, explore_limit, samples, replay;
  std::vector<std::string> modes, stalls, tests;
  bool compare = false, flush = false, direct = false, reuse_file = false, sqpoll = false;
  bool no_defer_taskrun = false, iosqe_async = false, stop_on_violation = false, strict = false;
  bool no_color = false, probe = false, help = false, version = false, list = false, check = false;
  bool model_only = false;
  bool explore = false;
};

void declare(CLI::App& app, raw_options& raw) {
  app.set_help_flag();
  app.add_flag("-h,--help", raw.help);
  app.add_flag("--version", raw.version);
  app.add_option("TEST", raw.tests);
  app.add_flag("--list", raw.list);
  app.add_option("--show", raw.show);
  app.add_flag("--check", raw.check);
  app.add_flag("--model-only", raw.model_only);
  app.add_option("--model", raw.model);
  app.add_flag("--explore", raw.explore);
  app.add_option("--explore-limit", raw.explore_limit);
  app.add_option("--samples", raw.samples);
  app.add_option("--replay", raw.replay);
  app.add_option("-n,--iterations", raw.iterations);
  app.add_option("--duration", raw.duration);
  app.add_flag("--stop-on-violation", raw.stop_on_violation);
  app.add_option("--round-timeout", raw.round_timeout);
  app.add_option("-m,--mode", raw.modes)->allow_extra_args(false);
  app.add_flag("--compare", raw.compare);
  app.add_flag("--flush", raw.flush);
  app.add_option("--size", raw.size);
  app.add_option("--writes", raw.writes);
  app.add_option("--handles", raw.handles);
  app.add_option("--sync", raw.sync);
  app.add_flag("--direct", raw.direct);
  app.add_option("--stall", raw.stalls)->allow_extra_args(false);
  app.add_flag("--strict", raw.strict);
  app.add_option("-d,--dir", raw.dir);
  app.add_flag("--reuse-file", raw.reuse_file);
  app.add_option("--lanes", raw.lanes);
  app.add_option("--pool-threads", raw.pool_threads);
  app.add_option("--entries", raw.entries);
  app.add_flag("--sqpoll", raw.sqpoll);
  app.add_flag("--no-defer-taskrun", raw.no_defer_taskrun);
  app.add_flag("--iosqe-async", raw.iosqe_async);
  app.add_option("--ops", raw.ops);
  app.add_option("--seed", raw.seed);
  app.add_option("--json", raw.json);
  app.add_option("--trace", raw.trace);
  app.add_option("--progress", raw.progress);
  app.add_flag("--no-color", raw.no_color);
  app.add_option("--log-level", raw.log_level);
  app.add_flag("--probe", raw.probe);
}

std::filesystem::path default_directory() {
  const char* const tmpdir = std::getenv("TMPDIR");
  return tmpdir != nullptr && *tmpdir != '\0' ? tmpdir : "/tmp";
}

void understand_program(const raw_options& raw, options& options) {
  options.direct = raw.direct;
  auto& program = options.experiment;
  constexpr std::uint64_t most_bytes = std::uint64_t{1} << 30;
  if (raw.size) {
    program.size = parse_value("--size", *raw.size, [](const auto& t) { return parse_size(t); });
    if (program.size < 1 || program.size > most_bytes) {
      refuse(fmt::format("--size {}: it is from 1 byte to 1 GiB", *raw.size));
    }
  } else if (raw.direct) {
    program.size = 4096;
  }
  if (raw.direct && program.size % 512 != 0) {
    refuse(fmt::format("--size {}: with --direct it must be a multiple of 512, better of 4096",
                       *raw.size));
  }
  if (raw.writes) {
    program.writes = static_cast<unsigned>(parse_count("--writes", *raw.writes, 1, 10'000));
  }
  if (program.total() > most_bytes) refuse("--size times --writes: more than 1 GiB for a round");
  if (raw.handles) {
    using litmus::handle_kind;
    constexpr std::array<std::pair<const char*, handle_kind>, 3> words = {
        {{"clone", handle_kind::clone},
         {"shared", handle_kind::shared},
         {"reopen", handle_kind::reopen}}};
    program.handles = parse_word("--handles", *raw.handles, words);
  }
  if (raw.sync) {
    using litmus::flusher_sync;
    constexpr std::array<std::pair<const char*, flusher_sync>, 3> words = {
        {{"fsync", flusher_sync::fsync},
         {"fdatasync", flusher_sync::fdatasync},
         {"none", flusher_sync::none}}};
    program.sync = parse_word("--sync", *raw.sync, words);
  }
}

void understand_modes(const raw_options& raw, options& options) {
  if (raw.compare) {
    if (!raw.modes.empty())
      refuse("--compare and --mode: --compare runs every mode; leave one out");
    if (raw.flush)
      refuse("--compare and --flush: --compare runs with and without the flush; leave one out");
    options.modes = modes_to_compare();
    return;
  }
  options.modes =
      parse_modes(raw.modes.empty() ? std::vector<std::string>{"uring"} : raw.modes, raw.flush);
  const auto uses = [&](litmus::engine_kind kind) {
    return std::any_of(options.modes.begin(), options.modes.end(),
                       [&](const litmus::mode& mode) { return mode.engine == kind; });
  };
  const auto needs = [&](bool given, const char* option, litmus::engine_kind kind,
                         const char* what) {
    if (given && !uses(kind)) refuse(fmt::format("{}: none of the modes has {}", option, what));
  };
  needs(raw.sqpoll, "--sqpoll", litmus::engine_kind::uring, "a ring");
  needs(raw.no_defer_taskrun, "--no-defer-taskrun", litmus::engine_kind::uring, "a ring");
  needs(raw.iosqe_async, "--iosqe-async", litmus::engine_kind::uring, "a ring");
  needs(raw.ops.has_value(), "--ops", litmus::engine_kind::uring, "a ring");
  needs(raw.entries.has_value(), "--entries", litmus::engine_kind::uring, "a ring");
  needs(raw.pool_threads.has_value(), "--pool-threads", litmus::engine_kind::pool, "a pool");
}

void understand_engines(const raw_options& raw, options& options) {
  options.dir = raw.dir ? std::filesystem::path(*raw.dir) : default_directory();
  if (options.dir.empty()) refuse("--dir '': the path of a directory is expected");
  options.reuse_file = raw.reuse_file;
  options.ring.sqpoll = raw.sqpoll;
  options.ring.defer_taskrun = !raw.no_defer_taskrun;
  options.ring.force_async = raw.iosqe_async;
  if (raw.lanes) options.lanes = parse_count("--lanes", *raw.lanes, 1, 65'536);
  if (raw.pool_threads) {
    options.pool_threads = parse_count("--pool-threads", *raw.pool_threads, 1, 32'768);
  }
  if (raw.entries) {
    options.ring.entries = static_cast<unsigned>(parse_count("--entries", *raw.entries, 1, 32'768));
  }
  if (raw.ops) options.ring.ceiling = parse_ceiling(*raw.ops);
  for (const auto& text : raw.stalls) options.stalls.push_back(parse_stall(text));
  constexpr std::uint64_t most_memory = std::uint64_t{4} << 30;
  if (options.experiment.total() * options.lanes * 3 > most_memory) {
    refuse("--size times --writes times --lanes: the buffers would take more than 4 GiB");
  }
}

void understand_length(const raw_options& raw, options& options) {
  if (raw.duration) {
    options.duration = parse_positive_duration("--duration", *raw.duration);
    options.iterations = 0;
  }
  if (raw.iterations) {
    options.iterations = parse_count("--iterations", *raw.iterations, 1, 1'000'000'000'000);
  }
  if (raw.round_timeout) {
    const auto timeout = parse_positive_duration("--round-timeout", *raw.round_timeout);
    options.round_timeout = std::chrono::ceil<std::chrono::milliseconds>(timeout);
  }
  options.stop_on_violation = raw.stop_on_violation;
  options.strict = raw.strict;
}

bool names_one_file(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code error;
  if (std::filesystem::equivalent(a, b, error)) return std::filesystem::is_regular_file(a, error);
  const auto whole = [&](const std::filesystem::path& path) {
    return std::filesystem::weakly_canonical(std::filesystem::absolute(path, error), error);
  };
  return whole(a) == whole(b);
}

void understand_output(const raw_options& raw, options& options) {
  options.json_file = raw.json.value_or("");
  options.trace_file = raw.trace.value_or("");
  if (raw.json == "") refuse("--json '': the name of a file is expected, or - for standard output");
  if (raw.trace == "") refuse("--trace '': the name of a file is expected");
  if (raw.trace == "-") refuse("--trace -: it is written to a file");
  if (raw.trace && raw.json && names_one_file(*raw.trace, *raw.json)) {
    refuse("--json and --trace: two files are needed");
  }
  const bool no_color = std::getenv("NO_COLOR") != nullptr && *std::getenv("NO_COLOR") != '\0';
  options.color = !raw.no_color && !no_color;
  options.probe = raw.probe;
  if (raw.progress) {
    constexpr std::array<std::pair<const char*, progress_kind>, 3> words = {
        {{"auto", progress_kind::automatic},
         {"always", progress_kind::always},
         {"never", progress_kind::never}}};
    options.progress = parse_word("--progress", *raw.progress, words);
  }
  if (raw.log_level) {
    constexpr std::array<std::pair<const char*, const char*>, 6> words = {{{"trace", "trace"},
                                                                           {"debug", "debug"},
                                                                           {"info", "info"},
                                                                           {"warn", "warn"},
                                                                           {"error", "error"},
                                                                           {"off", "off"}}};
    options.log_level = parse_word("--log-level", *raw.log_level, words);
  }
}

void understand_model(const raw_options& raw, options& options) {
  options.model_only = raw.model_only;
  if (raw.model) {
    constexpr std::array<std::pair<const char*, bool>, 2> words = {
        {{"linux", false}, {"posix", true}}};
    options.model.atomic_writes = parse_word("--model", *raw.model, words);
  }
  if (!raw.model_only) return;
  if (raw.check) refuse("--model-only and --check: leave one out");
  if (raw.json || raw.trace) {
    refuse("--model-only: it has no report for --json or --trace; leave one out");
  }
  if (raw.modes.empty() && !raw.flush) {
    options.modes.clear();
    for (const auto modes : {litmus::all_modes(), litmus::older_modes()}) {
      options.modes.insert(options.modes.end(), modes.begin(), modes.end());
    }
  }
  if (!raw.tests.empty()) return;
  for (const auto& entry : litmus::catalogue()) {
    options.tests.push_back(load_test(std::string(entry.name)));
  }
}

// What of a test is its own, and not to be set from outside.
void refuse_settings_of_the_experiment(const raw_options& raw) {
  const auto belongs_to_test = [](bool given, const char* option, const char* instead) {
    if (given)
      refuse(fmt::format("{} and a TEST: a test says itself {}; leave one out", option, instead));
  };
  belongs_to_test(raw.size.has_value(), "--size", "what is written");
  belongs_to_test(raw.writes.has_value(), "--writes", "what is written");
  belongs_to_test(raw.handles.has_value(), "--handles", "which handles there are");
  belongs_to_test(raw.sync.has_value(), "--sync", "what is synced");
  belongs_to_test(raw.direct, "--direct", "which handles are direct");
}

void understand_tests(const raw_options& raw, options& options) {
  if (raw.check) {
    if (raw.tests.empty()) refuse("--check: a FILE.litmus or the name of a test is expected");
    options.to_check = raw.tests;
    return;
  }
  if (raw.tests.empty()) return;
  refuse_settings_of_the_experiment(raw);
  for (const auto& argument : raw.tests) {
    if (std::count(raw.tests.begin(), raw.tests.end(), argument) > 1) {
      refuse(fmt::format("{}: it is named twice", argument));
    }
    try {
      options.tests.push_back(load_test(argument));
    } catch (const no_such_test& error) {
      refuse(error.what());
    }
    if (options.reuse_file && !litmus::is_static(options.tests.back())) {
      refuse(
          fmt::format("--reuse-file: {} opens, closes, renames or removes, which cannot be "
                      "undone for the next round; leave it out",
                      argument));
    }
    if (options.lanes > 1 && litmus::closes_what_others_use(options.tests.back())) {
      refuse(
          fmt::format("--lanes: {} closes a handle that another process uses, which could hit "
                      "the file of another lane; leave it out",
                      argument));
    }
  }
}

// What has no meaning where each schedule is executed once, by one thread, from fresh files.
void refuse_settings_of_rounds(const raw_options& raw, const char* option) {
  const auto refuse_with = [&](bool given, const char* other) {
    if (given) {
      refuse(fmt::format("{} and {}: a schedule is executed once, step by step; leave one out",
                         option, other));
    }
  };
  refuse_with(raw.iterations.has_value(), "--iterations");
  refuse_with(raw.duration.has_value(), "--duration");
  refuse_with(raw.stop_on_violation, "--stop-on-violation");
  refuse_with(raw.round_timeout.has_value(), "--round-timeout");
  refuse_with(!raw.stalls.empty(), "--stall");
  refuse_with(raw.lanes.has_value(), "--lanes");
  refuse_with(raw.reuse_file, "--reuse-file");
  refuse_with(raw.pool_threads.has_value(), "--pool-threads");
  refuse_with(raw.trace.has_value(), "--trace");
  const auto refuse_for_file = [&](bool given, const char* other) {
    if (given) {
      refuse(fmt::format("{} and {}: write a FILE.litmus that says so", option, other));
    }
  };
  refuse_for_file(raw.size.has_value(), "--size");
  refuse_for_file(raw.writes.has_value(), "--writes");
  refuse_for_file(raw.handles.has_value(), "--handles");
  refuse_for_file(raw.sync.has_value(), "--sync");
  refuse_for_file(raw.direct, "--direct");
}

void understand_exploration(const raw_options& raw, options& options) {
  options.explore = raw.explore || raw.explore_limit || raw.samples;
  constexpr std::uint64_t most = 1'000'000'000;
  if (raw.explore_limit) {
    options.explore_limit = parse_count("--explore-limit", *raw.explore_limit, 1, most);
  }
  if (raw.samples) options.samples = parse_count("--samples", *raw.samples, 1, most);
  if (raw.samples && raw.explore_limit) {
    refuse("--samples and --explore-limit: draw schedules or search them; leave one out");
  }
  if (raw.model_only && (options.explore || raw.replay)) {
    refuse("--model-only: it does not run anything; leave it or the exploration out");
  }
  if (!raw.replay) {
    if (options.explore) refuse_settings_of_rounds(raw, "--explore");
    return;
  }
  if (options.explore) refuse("--replay and --explore: execute one schedule or all; leave one out");
  refuse_settings_of_rounds(raw, "--replay");
  if (raw.json) refuse("--replay and --json: a replay is told as text; leave one out");
  if (options.tests.size() > 1) refuse("--replay: a witness is of one TEST; name only that one");
  if (options.modes.size() != 1) refuse("--replay: a witness is of one --mode; name only that one");
  options.replay =
      parse_value("--replay", *raw.replay, [](const auto& t) { return litmus::parse_witness(t); });
}

std::string answer_show(const std::string& name) {
  try {
    return std::string(show_test(name));
  } catch (const no_such_test& error) {
    refuse(fmt::format("--show {}", error.what()));
  }
}

}  // namespace

std::optional<options> parse_command_line(std::span<const char* const> argv, std::string& answer) {
  CLI::App app;
  raw_options raw;
  declare(app, raw);
  try {
    app.parse(static_cast<int>(argv.size()), argv.data());
  } catch (const CLI::ParseError& error) {
    refuse(app, error);
  }
  if (raw.help) {
    answer = help_text;
    return std::nullopt;
  }
  if (raw.version) {
    answer = "filemap-uring " FILEMAP_VERSION "\n";
    return std::nullopt;
  }

  if (raw.list && raw.show) refuse("--list and --show: leave one out");
  if (raw.list || raw.show) {
    answer = raw.show ? answer_show(*raw.show) : list_tests();
    return std::nullopt;
  }

  options options;
  understand_length(raw, options);
  understand_modes(raw, options);
  understand_program(raw, options);
  understand_engines(raw, options);
  understand_output(raw, options);
  understand_model(raw, options);
  understand_tests(raw, options);
  understand_exploration(raw, options);
  options.command.assign(argv.begin(), argv.end());
  if (!raw.seed) {
    std::random_device random;
    options.seed = random();
    options.command.insert(options.command.end(), {"--seed", std::to_string(options.seed)});
  } else {
    options.seed = parse_count("--seed", *raw.seed, 0, ~std::uint64_t{0});
  }
  return options;
}

}  // namespace filemap
