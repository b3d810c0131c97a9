#include "cli.hpp"

#include "filemap/explore/witness.hpp"
#include "filemap/litmus/catalogue.hpp"
#include "filemap/litmus/parser.hpp"

#include "option_table.hpp"
#include "testing.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace filemap {

// How GoogleTest prints one that is not what was expected.
void PrintTo(const options&, std::ostream* out) { *out << "options"; }

namespace {

using namespace std::chrono_literals;
using words = std::vector<std::string>;

/// An environment variable for as long as it is in scope.
class environment {
 public:
  environment(const char* name, const char* value) : name_(name) {
    if (const char* const before = std::getenv(name)) before_ = before;
    value != nullptr ? ::setenv(name, value, 1) : ::unsetenv(name);
  }
  environment(const environment&) = delete;
  environment& operator=(const environment&) = delete;
  ~environment() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> before_;
};

std::optional<options> parse(const words& arguments, std::string& answer) {
  std::vector<const char*> argv{"filemap-uring"};
  for (const auto& argument : arguments) argv.push_back(argument.c_str());
  return parse_command_line(argv, answer);
}

options parsed(const words& arguments) {
  std::string answer;
  const auto options = parse(arguments, answer);
  EXPECT_EQ(answer, "");
  return options.value();
}

std::string answer_to(const words& arguments) {
  std::string answer;
  EXPECT_EQ(parse(arguments, answer), std::nullopt);
  return answer;
}

/// What it says when it refuses these; "" when it takes them.
std::string refusal(const words& arguments) {
  std::string answer;
  try {
    parse(arguments, answer);
  } catch (const usage_error& error) {
    return error.what();
  }
  return "";
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

words modes_of(const options& options) {
  words names;
  for (const auto& mode : options.modes) names.push_back(mode.name);
  return names;
}

// --- what is understood

TEST(command_line, has_the_defaults_that_the_help_states) {
  const environment tmpdir("TMPDIR", nullptr);
  const environment no_color("NO_COLOR", nullptr);
  const auto defaults = parsed({});
  EXPECT_EQ(defaults.iterations, 10'000U);
  EXPECT_EQ(defaults.duration, std::nullopt);
  EXPECT_FALSE(defaults.stop_on_violation);
  EXPECT_EQ(defaults.round_timeout, 10s);
  EXPECT_EQ(modes_of(defaults), words{"uring"});
  EXPECT_EQ(defaults.experiment.size, 123U);
  EXPECT_EQ(defaults.experiment.writes, 1U);
  EXPECT_EQ(defaults.experiment.handles, litmus::handle_kind::clone);
  EXPECT_EQ(defaults.experiment.sync, litmus::flusher_sync::fsync);
  EXPECT_FALSE(defaults.direct);
  EXPECT_TRUE(defaults.stalls.empty());
  EXPECT_FALSE(defaults.strict);
  EXPECT_EQ(defaults.dir, "/tmp");
  EXPECT_FALSE(defaults.reuse_file);
  EXPECT_EQ(defaults.lanes, 1U);
  EXPECT_EQ(defaults.pool_threads, 512U);
  EXPECT_EQ(defaults.ring.entries, 256U);
  EXPECT_FALSE(defaults.ring.sqpoll);
  EXPECT_TRUE(defaults.ring.defer_taskrun);
  EXPECT_FALSE(defaults.ring.force_async);
  EXPECT_FALSE(defaults.ring.ceiling.has_value());
  EXPECT_TRUE(defaults.outputs.empty());
  EXPECT_FALSE(defaults.silences_text());
  EXPECT_EQ(defaults.progress, progress_kind::automatic);
  EXPECT_TRUE(defaults.color);
  EXPECT_EQ(defaults.log_level, "warn");
  EXPECT_EQ(defaults.what, activity::run);
}

TEST(command_line, understands_how_much) {
  EXPECT_EQ(parsed({"-n", "5"}).iterations, 5U);
  EXPECT_EQ(parsed({"-n", "10k"}).iterations, 10'000U);
  EXPECT_EQ(parsed({"--iterations", "1000000000000"}).iterations, 1'000'000'000'000U);
  EXPECT_EQ(parsed({"--iterations=7"}).iterations, 7U);
  EXPECT_EQ(parsed({"--duration", "1.5s"}).duration, 1500ms);
  EXPECT_EQ(parsed({"--duration", "2m"}).duration, 2min);
  EXPECT_TRUE(parsed({"--stop-on-violation"}).stop_on_violation);
  EXPECT_EQ(parsed({"--round-timeout", "200ms"}).round_timeout, 200ms);
}

TEST(command_line, with_a_duration_alone_does_not_end_after_the_default_iterations) {
  EXPECT_EQ(parsed({"--duration", "1s"}).iterations, 0U);
  const auto both = parsed({"--duration", "1s", "-n", "3"});
  EXPECT_EQ(both.iterations, 3U);
  EXPECT_EQ(both.duration, 1s);
}

TEST(command_line, does_not_round_a_short_timeout_down_to_none) {
  EXPECT_EQ(parsed({"--round-timeout", "1us"}).round_timeout, 1ms);
}

TEST(command_line, understands_modes) {
  EXPECT_EQ(modes_of(parsed({"--mode", "sync"})), words{"sync"});
  EXPECT_EQ(modes_of(parsed({"-m", "tokio-fs,uring"})), (words{"tokio-fs", "uring"}));
  EXPECT_EQ(modes_of(parsed({"-m", "tokio-fs", "-m", "uring"})), (words{"tokio-fs", "uring"}));
  EXPECT_EQ(modes_of(parsed({"--mode", "tokio-fs,tokio-fs+flush"})),
            (words{"tokio-fs", "tokio-fs+flush"}));
  EXPECT_EQ(modes_of(parsed({"--mode", "tokio-fs,sync", "--flush"})),
            (words{"tokio-fs+flush", "sync+flush"}));
  EXPECT_EQ(modes_of(parsed({"--mode", "tokio-fs+flush", "--flush"})), words{"tokio-fs+flush"});
  EXPECT_TRUE(parsed({"--flush"}).modes.front().flush);
}

TEST(command_line, takes_a_driver_beside_modes_and_its_command_to_the_end) {
  const auto asked = parsed({"--mode", "uring,a=b 'c,d' --e=f", "--mode", "g+flush=h"});
  ASSERT_EQ(asked.modes.size(), 3U);
  EXPECT_EQ(asked.modes[1].name, "a");
  EXPECT_EQ(asked.modes[1].engine, litmus::engine_kind::driver);
  EXPECT_EQ(asked.modes[1].command, "b 'c,d' --e=f");
  EXPECT_EQ(asked.modes[2].name, "g+flush");
  EXPECT_TRUE(asked.modes[2].flush);
  EXPECT_EQ(parsed({"--compare", "--mode", "a=b"}).modes.back().name, "a");
}

TEST(command_line, takes_the_whole_catalogue_for_tests) {
  EXPECT_EQ(parsed({"--catalogue"}).tests.size(), litmus::catalogue().size());
}

TEST(command_line, compares_all_five_modes_and_the_write_behind_ones_with_a_flush) {
  EXPECT_EQ(modes_of(parsed({"--compare"})),
            (words{"uring", "blocking-pool", "tokio-fs", "tokio-fs+flush", "uring-write-behind",
                   "uring-write-behind+flush", "sync"}));
}

TEST(command_line, understands_the_experiment) {
  EXPECT_EQ(parsed({"--size", "64k"}).experiment.size, 65'536U);
  EXPECT_EQ(parsed({"--size", "1G"}).experiment.size, std::size_t{1} << 30);
  EXPECT_EQ(parsed({"--writes", "10000"}).experiment.writes, 10'000U);
  EXPECT_EQ(parsed({"--handles", "shared"}).experiment.handles, litmus::handle_kind::shared);
  EXPECT_EQ(parsed({"--handles", "reopen"}).experiment.handles, litmus::handle_kind::reopen);
  EXPECT_EQ(parsed({"--handles", "clone"}).experiment.handles, litmus::handle_kind::clone);
  EXPECT_EQ(parsed({"--sync", "fdatasync"}).experiment.sync, litmus::flusher_sync::fdatasync);
  EXPECT_EQ(parsed({"--sync", "none"}).experiment.sync, litmus::flusher_sync::none);
  EXPECT_EQ(parsed({"--sync", "fsync"}).experiment.sync, litmus::flusher_sync::fsync);
  EXPECT_TRUE(parsed({"--strict"}).strict);
}

TEST(command_line, understands_tests_to_run) {
  const auto two = parsed({"append-twice", "-n", "5", "tokio-4796"});
  ASSERT_EQ(two.tests.size(), 2U);
  EXPECT_EQ(two.tests[0].name, "append-twice");
  EXPECT_EQ(two.tests[1].name, "tokio-4796");
  EXPECT_EQ(two.iterations, 5U);
  EXPECT_TRUE(parsed({}).tests.empty());
}

TEST(command_line, does_not_take_a_test_that_is_not_valid) {
  const scratch_directory directory;
  const auto path = directory / "bad.litmus";
  std::ofstream(path) << "F bad";
  EXPECT_THROW(parsed({path.string()}), litmus::parse_error);
}

TEST(command_line, understands_explorations_and_replays) {
  const auto explored = parsed({"append-twice", "--explore-limit", "7"});
  EXPECT_EQ(explored.what, activity::explore);
  EXPECT_EQ(explored.explore_limit, 7U);
  EXPECT_EQ(parsed({"--samples", "9"}).samples, 9U);
  const auto replayed = parsed({"--replay", "2.1.3", "-m", "tokio-fs"});
  EXPECT_EQ(replayed.what, activity::replay);
  ASSERT_TRUE(replayed.replay);
  EXPECT_EQ(to_string(*replayed.replay), "2.1.3");
}

TEST(command_line, keeps_tests_to_check_for_whoever_checks_them) {
  EXPECT_EQ(parsed({"--check", "a.litmus", "b"}).arguments, (words{"a.litmus", "b"}));
  EXPECT_TRUE(parsed({"--check", "a.litmus"}).tests.empty());
}

TEST(command_line, models_every_test_in_every_mode_unless_told_which) {
  const auto all = parsed({"--model-only"});
  EXPECT_EQ(all.what, activity::model_only);
  EXPECT_EQ(all.tests.size(), litmus::catalogue().size());
  EXPECT_EQ(modes_of(all),
            (words{"uring", "blocking-pool", "tokio-fs", "uring-write-behind", "sync",
                   "tokio-fs-1.28", "tokio-fs-1.24", "pool-buffered", "pool-buffered-lost"}));
  const auto one = parsed({"--model-only", "append-twice", "--mode", "tokio-fs-1.24"});
  ASSERT_EQ(one.tests.size(), 1U);
  EXPECT_EQ(modes_of(one), words{"tokio-fs-1.24"});
}

TEST(command_line, understands_by_which_rules_to_model) {
  EXPECT_FALSE(parsed({}).model.atomic_writes);
  EXPECT_FALSE(parsed({"--model", "linux"}).model.atomic_writes);
  EXPECT_TRUE(parsed({"--model", "posix"}).model.atomic_writes);
}

TEST(command_line, answers_what_tests_there_are) {
  EXPECT_NE(answer_to({"--list"}).find("tokio-4796"), std::string::npos);
  EXPECT_TRUE(answer_to({"--show", "tokio-4796"}).starts_with("F tokio-4796\n"));
}

TEST(command_line, with_direct_writes_a_size_that_direct_io_takes) {
  EXPECT_TRUE(parsed({"--direct"}).direct);
  EXPECT_EQ(parsed({"--direct"}).experiment.size, 4096U);
  EXPECT_EQ(parsed({"--direct", "--size", "512"}).experiment.size, 512U);
}

TEST(command_line, understands_stalls) {
  const auto stalls = parsed({"--stall", "write=2ms", "--stall", "read=1us@0.25"}).stalls;
  ASSERT_EQ(stalls.size(), 2U);
  EXPECT_EQ(stalls[0].text, "write=2ms");
  ASSERT_EQ(stalls[0].stalls.size(), 1U);
  EXPECT_EQ(stalls[0].stalls[0].code, opcode::write);
  EXPECT_EQ(stalls[0].stalls[0].duration, 2ms);
  EXPECT_EQ(stalls[0].stalls[0].probability, 1.0);
  ASSERT_EQ(stalls[1].stalls.size(), 1U);
  EXPECT_EQ(stalls[1].stalls[0].code, opcode::read);
  EXPECT_EQ(stalls[1].stalls[0].probability, 0.25);
}

TEST(command_line, stalls_both_kinds_of_sync_as_fsync) {
  const auto stalls = parsed({"--stall", "fsync=1s"}).stalls;
  ASSERT_EQ(stalls.size(), 1U);
  ASSERT_EQ(stalls[0].stalls.size(), 2U);
  EXPECT_EQ(stalls[0].stalls[0].code, opcode::fsync);
  EXPECT_EQ(stalls[0].stalls[1].code, opcode::fdatasync);
  EXPECT_EQ(parsed({"--stall", "statx=1s"}).stalls[0].stalls[0].code, opcode::statx);
}

TEST(command_line, understands_where_and_how) {
  EXPECT_EQ(parsed({"--dir", "/a b"}).dir, "/a b");
  EXPECT_EQ(parsed({"-d", "x"}).dir, "x");
  EXPECT_TRUE(parsed({"--reuse-file"}).reuse_file);
  EXPECT_EQ(parsed({"--lanes", "64"}).lanes, 64U);
  EXPECT_EQ(parsed({"-m", "tokio-fs", "--pool-threads", "2"}).pool_threads, 2U);
  EXPECT_FALSE(parsed({}).pool_sharded);
  EXPECT_TRUE(parsed({"-m", "tokio-fs", "--pool-sharded"}).pool_sharded);
  EXPECT_EQ(parsed({"--entries", "8"}).ring.entries, 8U);
  EXPECT_TRUE(parsed({"--sqpoll"}).ring.sqpoll);
  EXPECT_FALSE(parsed({"--no-defer-taskrun"}).ring.defer_taskrun);
  EXPECT_TRUE(parsed({"--iosqe-async"}).ring.force_async);
  EXPECT_EQ(parsed({"--ops", "5.4"}).ring.ceiling, (kernel_version{5, 4}));
  EXPECT_EQ(parsed({"--ops", "5.10"}).ring.ceiling, (kernel_version{5, 10}));
  EXPECT_EQ(parsed({"--compare", "--ops", "6.1"}).ring.ceiling, (kernel_version{6, 1}));
}

TEST(command_line, takes_the_directory_from_the_environment_when_it_is_not_told) {
  const environment tmpdir("TMPDIR", "/elsewhere");
  EXPECT_EQ(parsed({}).dir, "/elsewhere");
  EXPECT_EQ(parsed({"--dir", "/here"}).dir, "/here");
  const environment empty("TMPDIR", "");
  EXPECT_EQ(parsed({}).dir, "/tmp");
}

TEST(command_line, lets_a_comparison_have_what_only_some_of_its_modes_use) {
  const auto all =
      parsed({"--compare", "--pool-threads", "3", "--entries", "8", "--sqpoll", "--iosqe-async"});
  EXPECT_EQ(all.pool_threads, 3U);
  EXPECT_EQ(all.ring.entries, 8U);
}

TEST(command_line, understands_output) {
  EXPECT_TRUE(parsed({"--json", "-"}).silences_text());
  const auto both = parsed({"--trace", "b", "--json", "a"});
  EXPECT_FALSE(both.silences_text());
  ASSERT_EQ(both.outputs.size(), 2U);
  for (const auto& [form, file] : both.outputs) {
    EXPECT_EQ(file, form->option == "--json" ? "a" : "b");
  }
  EXPECT_EQ(parsed({"--json", "a"}).traces(), 1U);
  EXPECT_GT(both.traces(), 1U);
  EXPECT_EQ(parsed({"--progress", "auto"}).progress, progress_kind::automatic);
  EXPECT_EQ(parsed({"--progress", "always"}).progress, progress_kind::always);
  EXPECT_EQ(parsed({"--progress", "never"}).progress, progress_kind::never);
  for (const auto* const level : {"trace", "debug", "info", "warn", "error", "off"}) {
    EXPECT_EQ(parsed({"--log-level", level}).log_level, level);
  }
  EXPECT_EQ(parsed({"--probe"}).what, activity::probe);
}

TEST(command_line, has_no_color_when_asked_or_when_the_environment_asks) {
  {
    const environment no_color("NO_COLOR", nullptr);
    EXPECT_FALSE(parsed({"--no-color"}).color);
  }
  {
    const environment no_color("NO_COLOR", "1");
    EXPECT_FALSE(parsed({}).color);
  }
  const environment no_color("NO_COLOR",
                             "");  // no-color.org: "when present and not an empty string"
  EXPECT_TRUE(parsed({}).color);
}

// --- repeating

TEST(command_line, adds_a_drawn_seed_to_the_command_that_repeats_it) {
  const auto drawn = parsed({"-n", "1", "--dir", "/a b"});
  EXPECT_EQ(drawn.command, (words{"filemap-uring", "-n", "1", "--dir", "/a b", "--seed",
                                  std::to_string(drawn.seed)}));
  const words again(drawn.command.begin() + 1, drawn.command.end());
  EXPECT_EQ(parsed(again).seed, drawn.seed);
  EXPECT_EQ(parsed(again).command, drawn.command);
}

TEST(command_line, does_not_add_a_seed_that_is_there) {
  EXPECT_EQ(parsed({"--seed", "18446744073709551615"}).seed, ~std::uint64_t{0});
  EXPECT_EQ(parsed({"--seed", "0"}).seed, 0U);
  EXPECT_EQ(parsed({"--seed=4"}).command, (words{"filemap-uring", "--seed=4"}));
}

TEST(command_line, draws_another_seed_each_time) {
  const auto first = parsed({}).seed;
  bool differs = false;  // one in 2^32 draws is equal
  for (int i = 0; i < 4; ++i) differs = differs || parsed({}).seed != first;
  EXPECT_TRUE(differs);
}

// --- help

TEST(help, fits_a_screen) {
  std::istringstream lines(answer_to({"--help"}));
  std::string line;
  std::size_t count = 0;
  while (std::getline(lines, line)) {
    ++count;
    EXPECT_LE(line.size(), 80U) << line;
  }
  EXPECT_LE(count, 60U);
}

/// "a COMMAND", or of what is done with one: "`-- COMMAND`, `--explore -- COMMAND`".
std::string with_command(const option_row& row) {
  std::string with;
  bool all = true;
  for (const auto& [what, option] : {std::pair{activity::run_command, ""},
                                     {activity::explore_command, "--explore "},
                                     {activity::replay_command, "--replay "},
                                     {activity::fault_command, "--faults "}}) {
    all = all && row.goes_with.has(what);
    if (!row.goes_with.has(what)) continue;
    with += fmt::format("{}`{}-- COMMAND`", with.empty() ? "" : ", ", option);
  }
  return all ? "a COMMAND" : with;
}

/// The row of docs/options.md that an option should have.
std::string reference_row(const option_row& row) {
  std::string names(row.names);
  if (const auto comma = names.find(','); comma != std::string::npos)
    names.replace(comma, 1, "`, `");
  const auto value = row.value.empty() ? "" : ' ' + std::string(row.value);
  std::string with;
  for (const auto what : {activity::run, activity::explore, activity::replay, activity::model_only,
                          activity::check, activity::probe}) {
    if (!row.goes_with.has(what)) continue;
    const auto option = words_of(what).option;
    with += (with.empty() ? "" : ", ") + (option.empty() ? "a run" : fmt::format("`{}`", option));
  }
  const auto of_command = with_command(row);
  if (!of_command.empty()) with += (with.empty() ? "" : ", ") + of_command;
  return fmt::format("| `{}{}` | {} |", names, value, row.asks_for ? "" : with);
}

TEST(option_table, is_the_reference) {
  const auto reference = text_of(DOCS "/options.md");
  for (const auto& row : option_table()) {
    if (row.kind == option_kind::arguments) continue;
    EXPECT_NE(reference.find(reference_row(row)), std::string::npos)
        << "docs/options.md lacks this: " << reference_row(row);
  }
}

TEST(option_table, excludes_only_options_that_there_are_and_both_ways) {
  const auto find = [](std::string_view name) {
    const auto rows = option_table();
    return std::find_if(rows.begin(), rows.end(),
                        [&](const auto& row) { return row.name() == name; });
  };
  for (const auto& row : option_table()) {
    std::istringstream names{std::string(row.excludes)};
    for (std::string name; names >> name;) {
      ASSERT_NE(find(name), option_table().end()) << name;
      EXPECT_NE(find(name)->excludes.find(row.name()), std::string_view::npos) << name;
    }
  }
}

TEST(option_table, has_each_name_once) {
  std::set<std::string_view> names;
  for (const auto& row : option_table()) EXPECT_TRUE(names.insert(row.name()).second) << row.name();
}

TEST(option_table, is_what_decides_that_options_do_not_go_together) {
  for (const auto& row : option_table()) {
    for (const auto what : {activity::explore, activity::model_only, activity::check,
                            activity::probe, activity::list, activity::show}) {
      if (row.asks_for == activity::fault_command)
        continue;  // without a COMMAND it goes with nothing
      if (row.kind == option_kind::arguments || row.goes_with.has(what) ||
          row.asks_for == activity::help || row.asks_for == activity::version) {
        continue;
      }
      words arguments{std::string(words_of(what).option)};
      if (what == activity::show) arguments.emplace_back("tokio-4796");
      arguments.emplace_back(row.name());
      if (row.kind != option_kind::flag) arguments.emplace_back("1");
      EXPECT_NE(refusal(arguments).find("does not go with"), std::string::npos)
          << row.name() << " with " << words_of(what).option << ": " << refusal(arguments);
    }
  }
}

TEST(help, names_every_option_and_what_it_takes) {
  const auto help = answer_to({"-h"});
  for (const auto& row : option_table()) {
    if (row.kind == option_kind::arguments) continue;
    const auto value = row.value.empty() ? "" : ' ' + std::string(row.value);
    EXPECT_NE(help.find(std::string(row.name()) + value), std::string::npos) << row.name();
  }
}

TEST(help, names_no_option_that_is_not_understood) {
  std::istringstream text(answer_to({"--help"}));
  std::string word;
  std::size_t options = 0;
  while (text >> word) {
    if (!word.starts_with("-") || word.size() < 2) continue;
    const auto end = word.find_first_of(",;:[");
    const auto option = word.substr(0, end);
    EXPECT_EQ(refusal({option}).find("not expected"), std::string::npos) << option;
    ++options;
  }
  EXPECT_GT(options, 30U);
}

TEST(help, names_every_mode_and_every_exit_status) {
  const auto help = answer_to({"--help"});
  for (const auto& mode : litmus::all_modes()) {
    EXPECT_NE(help.find(mode.name), std::string::npos) << mode.name;
  }
  for (const auto* const status : {"0 nothing", "1 a forbidden", "2 usage", "3 the environment",
                                   "4 hang", "125", "130 interrupted"}) {
    EXPECT_NE(help.find(status), std::string::npos) << status;
  }
}

TEST(help, is_answered_whatever_else_is_asked) {
  EXPECT_EQ(answer_to({"--help", "--iterations", "x"}), answer_to({"--help"}));
  EXPECT_TRUE(answer_to({"--version", "--mode", "x"}).starts_with("filemap-uring "));
}

// --- what is refused

struct refused {
  words arguments;
  std::string what;      // it is about
  std::string expected;  // instead
};

TEST(usage_error, is_one_line_that_names_the_option_its_value_and_what_is_expected) {
  const std::string count = "a whole number from 1 to ";
  const std::string time = "a duration is a number with ns, us, ms, s, m or h, as in 2ms";
  const std::string stall = "it is OP=TIME[@PROBABILITY], as in write=2ms@0.5";
  const std::vector<refused> cases = {
      {{"--iterations", "0"}, "--iterations 0:", count + "1000000000000"},
      {{"-n", "-1"}, "--iterations -1:", count},
      {{"-n", "x"}, "--iterations x:", count},
      {{"-n", "1.5"}, "--iterations 1.5:", count},
      {{"-n", "10kB"}, "--iterations 10kB:", count},
      {{"-n", "1000000000001"}, "--iterations 1000000000001:", count},
      {{"-n", "99999999999999999999"}, "--iterations 99999999999999999999:", count},
      {{"-n", ""}, "--iterations '':", count},
      {{"--duration", "0s"}, "--duration 0s:", "more than 0"},
      {{"--duration", "5"}, "--duration 5:", "write 5s for seconds"},
      {{"--duration", "0.1ns"}, "--duration 0.1ns:", "more than 0"},
      {{"--duration", "-1"}, "--duration -1:", "a number is expected"},
      {{"--duration", "soon"}, "--duration soon:", "a number is expected"},
      {{"--duration", "2 s"}, "--duration 2 s:", time},
      {{"--duration", "1e30s"}, "--duration 1e30s:", "too long"},
      {{"--round-timeout", "0s"}, "--round-timeout 0s:", "more than 0"},
      {{"--round-timeout", "1x"}, "--round-timeout 1x:", time},
      {{"--mode", "tokio"}, "--mode tokio:", "there are uring, blocking-pool, tokio-fs, "},
      {{"--mode", ""}, "--mode '':", "there are uring"},
      {{"--mode", "+flush"}, "--mode +flush:", "there are uring"},
      {{"--mode", "uring+flush+flush"}, "--mode uring+flush+flush:", "there are uring"},
      {{"--mode", "URING"}, "--mode URING:", "there are uring"},
      {{"--mode", "sync,sync"}, "--mode sync:", "named twice"},
      {{"--mode", "sync+flush,sync", "--flush"}, "--mode sync:", "named twice"},
      {{"--compare", "--mode", "sync"}, "--mode sync: --compare has it", "takes drivers"},
      {{"--mode", "uring=x"}, "--mode uring=x: there is a mode 'uring'", "another NAME"},
      {{"--mode", "=x"}, "--mode =x: the NAME before '='", "small letters"},
      {{"--mode", "a b=x"}, "--mode a b=x: the NAME before '='", "small letters"},
      {{"--mode", "x= "}, "--mode x= :", "COMMAND is expected"},
      {{"--mode", "x=a,y", "--mode", "x=a,y"}, "--mode x: it is named twice", ""},
      {{"--compare", "--flush"}, "--compare does not go with --flush:", "leave one out"},
      {{"--size", "0"}, "--size 0:", "from 1 byte to 1 GiB"},
      {{"--size", "2G"}, "--size 2G:", "from 1 byte to 1 GiB"},
      {{"--size", "-1"}, "--size -1:", "a number is expected"},
      {{"--size", "1x"}, "--size 1x:", "a size is a number with k, M or G, as in 4k or 1MiB"},
      {{"--size", "0.5"}, "--size 0.5:", "not a whole number of bytes"},
      {{"--size", "1e300"}, "--size 1e300:", "too large"},
      {{"--writes", "0"}, "--writes 0:", count + "10000"},
      {{"--writes", "10001"}, "--writes 10001:", count},
      {{"--size", "1M", "--writes", "1025"}, "--size times --writes:", "more than 1 GiB"},
      {{"--handles", "dup"}, "--handles dup:", "it is one of clone, shared, reopen"},
      {{"--handles", ""}, "--handles '':", "it is one of"},
      {{"--sync", "yes"}, "--sync yes:", "it is one of fsync, fdatasync, none"},
      {{"--direct", "--size", "123"}, "--size 123:", "a multiple of 512"},
      {{"--stall", "write"}, "--stall write:", stall},
      {{"--stall", "open=2ms"}, "--stall open=2ms:", "write, fsync, statx or read"},
      {{"--stall", "=2ms"}, "--stall =2ms:", stall},
      {{"--stall", "write=2"}, "--stall write=2:", stall},
      {{"--stall", "write=x"}, "--stall write=x:", stall},
      {{"--stall", "write=2ms@"}, "--stall write=2ms@:", "more than 0 and at most 1"},
      {{"--stall", "write=2ms@0"}, "--stall write=2ms@0:", "more than 0 and at most 1"},
      {{"--stall", "write=2ms@1.5"}, "--stall write=2ms@1.5:", "more than 0 and at most 1"},
      {{"--stall", "write=2ms@nan"}, "--stall write=2ms@nan:", "more than 0 and at most 1"},
      {{"--stall", "write=2ms@0.5x"}, "--stall write=2ms@0.5x:", "more than 0 and at most 1"},
      {{"--stall", "write=2ms@-0.5"}, "--stall write=2ms@-0.5:", "more than 0 and at most 1"},
      {{"--dir", ""}, "--dir '':", "the path of a directory is expected"},
      {{"--lanes", "0"}, "--lanes 0:", count + "65536"},
      {{"--lanes", "65537"}, "--lanes 65537:", count},
      {{"--lanes", "65536", "--size", "64k"}, "--lanes", "more than 4 GiB"},
      {{"--list", "--show", "tokio-4796"}, "--show does not go with --list:", "leave one out"},
      {{"unlink-read", "--reuse-file"}, "--reuse-file: unlink-read", "leave it out"},
      {{"--model-only", "--json", "-"}, "--json does not go with --model-only:", "told as text"},
      {{"close-in-flight", "--lanes", "2"}, "--lanes: close-in-flight", "leave it out"},
      {{"-m", "tokio-fs", "--pool-threads", "0"}, "--pool-threads 0:", count + "32768"},
      {{"--pool-threads", "4"}, "--pool-threads:", "none of the modes has a pool"},
      {{"-m", "sync", "--pool-sharded"}, "--pool-sharded:", "none of the modes has a pool"},
      {{"-m", "sync", "--pool-threads", "4"}, "--pool-threads:", "none of the modes has a pool"},
      {{"--entries", "0"}, "--entries 0:", count + "32768"},
      {{"--entries", "32769"}, "--entries 32769:", count},
      {{"-m", "sync", "--entries", "8"}, "--entries:", "none of the modes has a ring"},
      {{"-m", "tokio-fs", "--sqpoll"}, "--sqpoll:", "none of the modes has a ring"},
      {{"-m", "sync", "--no-defer-taskrun"}, "--no-defer-taskrun:", "none of the modes has a ring"},
      {{"-m", "sync", "--iosqe-async"}, "--iosqe-async:", "none of the modes has a ring"},
      {{"-m", "tokio-fs", "--ops", "5.4"}, "--ops:", "none of the modes has a ring"},
      {{"--ops", "5.8"},
       "--ops 5.8:",
       "name one of these: 5.4, 5.5, 5.6, 5.7, 5.10, 5.11, 5.18, 5.19,"},
      {{"--ops", "5.1"}, "--ops 5.1:", "name one of these: 5.4"},
      {{"--ops", "5.4.0"}, "--ops 5.4.0:", "name one of these: 5.4"},
      {{"--ops", ""}, "--ops '':", "name one of these: 5.4"},
      {{"--seed", "-1"}, "--seed -1:", "a whole number from 0 to 18446744073709551615"},
      {{"--seed", "18446744073709551616"}, "--seed 18446744073709551616:", "a whole number"},
      {{"--seed", "x"}, "--seed x:", "a whole number"},
      {{"--json", ""}, "--json '':", "the name of a file"},
      {{"--trace", ""}, "--trace '':", "the name of a file"},
      {{"--trace", "-"}, "--trace -:", "to a file"},
      {{"--json", "x", "--trace", "x"}, "--json and --trace:", "two files are needed"},
      {{"--progress", "sometimes"}, "--progress sometimes:", "it is one of auto, always, never"},
      {{"--log-level", "loud"},
       "--log-level loud:",
       "it is one of trace, debug, info, warn, error"},
      {{"nonsense"}, "nonsense:", "there is no test of this name; --list shows"},
      {{"tokio-4797"}, "tokio-4797:", "near ones are tokio-4796"},
      {{"missing.litmus"}, "missing.litmus:", "it cannot be read (No such file or directory)"},
      {{"--model", "linus"}, "--model linus:", "it is one of linux, posix"},
      {{"--model-only", "--check", "append-twice"},
       "--model-only does not go with --check:",
       "leave one out"},
      {{"append-twice", "append-twice"}, "append-twice:", "it is named twice"},
      {{"append-twice", "--size", "1"}, "--size does not go with a TEST:", "leave one out"},
      {{"append-twice", "--writes", "2"}, "--writes does not go with a TEST:", "leave one out"},
      {{"append-twice", "--handles", "clone"},
       "--handles does not go with a TEST:",
       "leave one out"},
      {{"append-twice", "--sync", "none"}, "--sync does not go with a TEST:", "leave one out"},
      {{"append-twice", "--direct"}, "--direct does not go with a TEST:", "leave one out"},
      {{"--show", "nonsense"}, "--show nonsense:", "there is no test of this name"},
      {{"--show"}, "--show:", "a value is expected"},
      {{"--explore", "-n", "5"}, "--iterations does not go with --explore:", "step by step"},
      {{"--explore", "--lanes", "2"}, "--lanes does not go with --explore:", "leave one out"},
      {{"--explore", "--writes", "2"},
       "--writes does not go with --explore:",
       "write a FILE.litmus"},
      {{"--explore-limit", "0"}, "--explore-limit 0:", "a whole number from 1 to 1000000000"},
      {{"--samples", "x"}, "--samples x:", "a whole number from 1 to 1000000000"},
      {{"--samples", "5", "--explore-limit", "5"},
       "--explore-limit does not go with --samples:",
       "leave one"},
      {{"--probe", "-n", "5"}, "--iterations does not go with --probe:", "leave one out"},
      {{"--check", "x", "--dir", "/"}, "--dir does not go with --check:", "only read"},
      {{"--replay", "2.x"}, "--replay 2.x:", "choices from 1 with dots between them"},
      {{"--replay", "2", "--explore"}, "--replay does not go with --explore:", "leave one out"},
      {{"--replay", "2", "--json", "x"}, "--json does not go with --replay:", "told as text"},
      {{"--replay", "2", "-m", "uring,sync"}, "--replay:", "name only that one"},
      {{"--replay", "2", "append-twice", "mp-write-read"}, "--replay:", "name only that one"},
      {{"--check"}, "--check:", "a FILE.litmus or the name of a test is expected"},
      // What CLI11 finds itself.
      {{"--nonsense"}, "--nonsense", "not expected"},
      {{"-x"}, "-x", "not expected"},
      {{"--iteration", "5"}, "--iteration", "not expected"},
      {{"-n", "5", "--nonsense", "x"}, "--nonsense:", "there is no such option"},
      {{"--size"}, "--size:", "a value is expected"},
      {{"--size", "1", "--size", "2"}, "--size:", "it is given twice"},
      {{"--mode"}, "--mode:", "a value is expected"},
      {{"--mode", "uring,"}, "--mode uring,:", "there is no mode ''"},
      {{"--mode", ",uring"}, "--mode ,uring:", "there is no mode ''"},
      {{"--json", "./x", "--trace", "x"}, "--json and --trace:", "two files are needed"},
  };
  for (const auto& [arguments, what, expected] : cases) {
    const auto text = refusal(arguments);
    std::string given;
    for (const auto& argument : arguments) given += ' ' + argument;
    EXPECT_NE(text.find(what), std::string::npos) << given << " is answered: " << text;
    EXPECT_NE(text.find(expected), std::string::npos) << given << " is answered: " << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << given << " is answered: " << text;
  }
}

// --- a COMMAND

TEST(command, is_what_stands_behind_two_dashes) {
  const auto run = parsed({"-n", "3", "--", "prog", "--explore", "--", "-x", ""});
  EXPECT_EQ(run.what, activity::run_command);
  EXPECT_EQ(run.subject.command, (words{"prog", "--explore", "--", "-x", ""}));
  EXPECT_EQ(run.iterations, 3U);
  EXPECT_EQ(run.command.front(), "filemap-uring");
  EXPECT_EQ(words(run.command.end() - 6, run.command.end()),
            (words{"--", "prog", "--explore", "--", "-x", ""}));
}

TEST(command, is_explored_or_replayed_where_that_is_asked_for) {
  const auto explored = parsed({"--explore", "--", "prog"});
  EXPECT_EQ(explored.what, activity::explore_command);
  EXPECT_EQ(explored.explore_limit, 1000U);
  EXPECT_EQ(explored.subject.patience, 100ms);
  EXPECT_EQ(explored.subject.run_timeout, 10s);
  EXPECT_FALSE(explored.subject.denies_io_uring);
  EXPECT_TRUE(explored.subject.watch.empty());
  EXPECT_TRUE(explored.tests.empty());
  const auto replayed = parsed({"--replay", "1.t.2", "--", "prog"});
  EXPECT_EQ(replayed.what, activity::replay_command);
  EXPECT_EQ(to_string(*replayed.replay), "1.t.2");
}

TEST(command, has_its_options) {
  const auto asked =
      parsed({"--explore", "--prepare", "make", "--fail-on", "pan+ic", "--patience", "5ms",
              "--run-timeout", "1s", "--watch", "/usr/../no-such-file", "--watch", "x", "--deny",
              "io_uring", "--explore-limit", "7", "--", "prog"});
  EXPECT_EQ(asked.subject.prepare, "make");
  ASSERT_TRUE(asked.subject.fail_on);
  EXPECT_TRUE(std::regex_search("a pannic", *asked.subject.fail_on));
  EXPECT_EQ(asked.subject.patience, 5ms);
  EXPECT_EQ(asked.subject.run_timeout, 1s);
  ASSERT_EQ(asked.subject.watch.size(), 2U);
  EXPECT_EQ(asked.subject.watch[0], "/no-such-file");  // yet: a run may make it
  EXPECT_EQ(asked.subject.watch[1], std::filesystem::current_path() / "x");
  EXPECT_TRUE(asked.subject.denies_io_uring);
  EXPECT_EQ(asked.explore_limit, 7U);
  // All but the limit are of a schedule: what replays it needs them.
  EXPECT_EQ(asked.of_schedules.size(), 6U);
}

TEST(command, refuses_what_it_cannot_be_asked) {
  const std::vector<std::pair<words, std::string>> cases = {
      {{"--"}, "--: a COMMAND is expected behind it"},
      {{"--", ""}, "--: a COMMAND is expected behind it"},
      {{"--explore", "--replay", "2", "--", "prog"}, "leave one out"},
      {{"--check", "x", "--", "prog"}, "--check does not go with a COMMAND: leave one out"},
      {{"--list", "--", "prog"}, "does not go with a COMMAND: leave one out"},
      {{"tokio-4796", "--", "prog"}, "a TEST does not go with"},
      {{"--mode", "sync", "--", "prog"}, "--mode does not go with"},
      {{"--size", "1", "--", "prog"}, "--size does not go with"},
      {{"--prepare", "x"}, "--prepare: it means nothing in a run"},
      {{"--explore", "--prepare", "x"}, "--prepare does not go with --explore"},
      {{"--watch", "/x", "--", "prog"}, "--watch does not go with"},
      {{"--patience", "0", "--explore", "--", "prog"}, "--patience 0:"},
      {{"--run-timeout", "x", "--", "prog"}, "--run-timeout x:"},
      {{"--fail-on", "(", "--", "prog"}, "--fail-on (:"},
      {{"--watch", "", "--explore", "--", "prog"}, "--watch '': a path is expected"},
      {{"--deny", "seccomp", "--explore", "--", "prog"}, "--deny seccomp: it is one of io_uring"},
      {{"--replay", "t.", "--", "prog"}, "--replay t.: a witness is choices"},
      {{"--replay", "tt", "--", "prog"}, "--replay tt: a witness is choices"},
  };
  for (const auto& [arguments, expected] : cases) {
    const auto text = refusal(arguments);
    EXPECT_NE(text.find(expected), std::string::npos) << expected << " is answered: " << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
}

TEST(command, is_not_looked_at_where_help_is_asked_for) {
  std::string answer;
  EXPECT_FALSE(parse({"--help", "--", "prog"}, answer));
  EXPECT_FALSE(answer.empty());
}

TEST(usage_error, says_where_the_options_are_listed) {
  EXPECT_TRUE(refusal({"--size", "x"}).ends_with(" (filemap-uring --help lists the options)"));
  EXPECT_TRUE(refusal({"--nonsense"}).ends_with(" (filemap-uring --help lists the options)"));
}

}  // namespace
}  // namespace filemap
