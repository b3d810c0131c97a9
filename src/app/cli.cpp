#include "cli.hpp"

#include "filemap/litmus/catalogue.hpp"

#include "config.hpp"
#include "find_tests.hpp"
#include "option_table.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace filemap {

namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw usage_error(what + " (filemap-uring --help lists the options)");
}

// --- what was given

// A row of the table and what stands on the command line of it.
struct given_option {
  const option_row* row;
  std::size_t times = 0;
  std::vector<std::string> values;  // none of a flag

  std::string_view name() const { return row->name(); }
  explicit operator bool() const { return times > 0; }
};

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

void declare(CLI::App& app, given_option& given) {
  const std::string names(given.row->names);
  if (given.row->kind == option_kind::flag) {
    app.add_flag_function(
        names, [&given](std::int64_t times) { given.times = static_cast<std::size_t>(times); });
    return;
  }
  auto* const option = app.add_option(names, [&given](const CLI::results_t& values) {
    given.times = values.size();
    given.values = values;
    return true;
  });
  if (given.row->kind == option_kind::value) return;
  option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  option->expected(1, CLI::detail::expected_max_vector_size);
  option->allow_extra_args(given.row->kind == option_kind::arguments);
}

// CLI11 finds and counts the options. Their values are understood by their rows.
std::vector<given_option> find_options(std::span<const char* const> argv) {
  std::vector<given_option> options;
  for (const auto& row : option_table()) options.push_back({&row, 0, {}});
  CLI::App app;
  app.set_help_flag();
  for (auto& option : options) declare(app, option);
  try {
    app.parse(static_cast<int>(argv.size()), argv.data());
  } catch (const CLI::ParseError& error) {
    refuse(app, error);
  }
  std::erase_if(options, [](const given_option& option) { return !option; });
  return options;
}

const given_option* find(const std::vector<given_option>& options, std::string_view name) {
  const auto found = std::find_if(options.begin(), options.end(),
                                  [&](const auto& option) { return option.name() == name; });
  return found == options.end() ? nullptr : &*found;
}

// --- what goes with what

// The help and the version are answered whatever else is asked.
activity activity_of(const std::vector<given_option>& options, bool has_command) {
  auto found = activity::run;
  for (const auto& option : options) {
    const auto asked = option.row->asks_for;
    if (asked == activity::help || asked == activity::version) return *asked;
    if (asked && found == activity::run) found = *asked;
  }
  if (!has_command) {
    if (found == activity::fault_command) refuse("--faults: a COMMAND is expected, behind --");
    return found;
  }
  switch (found) {
    case activity::fault_command:
      return found;
    case activity::run:
      return activity::run_command;
    case activity::explore:
      return activity::explore_command;
    case activity::replay:
      return activity::replay_command;
    default:
      refuse(fmt::format("{} does not go with a COMMAND: leave one out", words_of(found).option));
  }
}

bool is_of_command(activity what) {
  return what == activity::run_command || what == activity::explore_command ||
         what == activity::replay_command || what == activity::fault_command;
}

void refuse_what_does_not_go(const given_option& option, activity what) {
  if (option.row->goes_with.has(what)) return;
  const auto words = words_of(what);
  if (what == activity::run) refuse(fmt::format("{}: it means nothing in a run", option.name()));
  if (option.row->of_experiment && (what == activity::explore || what == activity::replay)) {
    refuse(fmt::format("{} does not go with {}: write a FILE.litmus that says so", option.name(),
                       words.option));
  }
  refuse(fmt::format("{} does not go with {}: {}; leave one out",
                     option.row->kind == option_kind::arguments ? "a TEST" : option.name(),
                     words.option, words.why));
}

void refuse_what_is_excluded(const given_option& option, const std::vector<given_option>& options) {
  std::string_view excluded = option.row->excludes;
  while (!excluded.empty()) {
    const auto end = std::min(excluded.find(' '), excluded.size());
    const auto* const other = find(options, excluded.substr(0, end));
    excluded.remove_prefix(std::min(end + 1, excluded.size()));
    if (other == nullptr) continue;
    refuse(fmt::format("{} does not go with {}: leave one out", option.name(), other->name()));
  }
}

void refuse_what_does_not_go(const std::vector<given_option>& options, activity what) {
  const bool has_tests = find(options, "TEST") != nullptr;
  for (const auto& option : options) {
    refuse_what_does_not_go(option, what);
    refuse_what_is_excluded(option, options);
    if (has_tests && option.row->of_experiment) {
      refuse(fmt::format("{} does not go with a TEST: a test says that itself; leave one out",
                         option.name()));
    }
  }
}

bool uses(const std::vector<litmus::mode>& modes, std::optional<litmus::engine_kind> engine) {
  return !engine || std::any_of(modes.begin(), modes.end(),
                                [&](const litmus::mode& mode) { return mode.engine == *engine; });
}

void refuse_what_no_mode_needs(const std::vector<given_option>& options,
                               const std::vector<litmus::mode>& modes) {
  for (const auto& option : options) {
    if (uses(modes, option.row->needs)) continue;
    refuse(fmt::format("{}: none of the modes has {}", option.name(),
                       option.row->needs == litmus::engine_kind::pool ? "a pool" : "a ring"));
  }
}

// --- what follows from several

void refuse_what_is_no_file(const output& wanted) {
  const bool standard = wanted.form->to_standard_output;
  if (wanted.file.empty()) {
    throw std::invalid_argument("the name of a file is expected" +
                                std::string(standard ? ", or - for standard output" : ""));
  }
  if (wanted.file == "-" && !standard) throw std::invalid_argument("it is written to a file");
}

void take(command_line& line, const given_option& option) {
  if (option.row->kind == option_kind::flag) return option.row->take(line, "");
  for (const auto& value : option.values) {
    try {
      if (option.row->exports != nullptr) {
        line.options.outputs.push_back({option.row->exports, value});
        refuse_what_is_no_file(line.options.outputs.back());
        continue;
      }
      option.row->take(line, value);
    } catch (const std::invalid_argument& error) {
      refuse(fmt::format("{} {}: {}", option.name(), value.empty() ? "''" : value, error.what()));
    }
  }
}

std::vector<litmus::mode> modes_to_compare() {
  std::vector<litmus::mode> modes;
  for (const auto& mode : litmus::all_modes()) {
    modes.push_back(mode);
    if (mode.when == acknowledgement::write_behind) modes.push_back(mode.with_flush());
  }
  return modes;
}

std::vector<litmus::mode> every_mode() {
  std::vector<litmus::mode> modes;
  for (const auto each : litmus::mode_lists()) {
    modes.insert(modes.end(), each.begin(), each.end());
  }
  return modes;
}

std::vector<litmus::mode> modes_of(const command_line& line) {
  auto modes = line.options.modes;
  if (line.compare) {
    const auto built_in = std::find_if(modes.begin(), modes.end(), [](const auto& mode) {
      return mode.engine != litmus::engine_kind::driver;
    });
    if (built_in != modes.end()) {
      refuse(fmt::format("--mode {}: --compare has it; beside that it takes drivers, NAME=COMMAND",
                         built_in->name));
    }
    auto all = modes_to_compare();
    all.insert(all.end(), modes.begin(), modes.end());
    return all;
  }
  if (modes.empty()) {
    const bool all = line.options.what == activity::model_only && !line.flush;
    modes = all ? every_mode() : std::vector{*litmus::find_mode("uring")};
  }
  for (auto mode = modes.begin(); mode != modes.end(); ++mode) {
    const auto given = mode->name;
    if (line.flush && !mode->flush) *mode = mode->with_flush();
    if (std::find(modes.begin(), mode, *mode) != mode) {
      refuse(fmt::format("--mode {}: it is named twice", given));
    }
  }
  return modes;
}

void understand_experiment(options& options, bool has_size) {
  auto& program = options.experiment;
  if (options.direct && !has_size) program.size = 4096;
  if (options.direct && program.size % 512 != 0) {
    refuse(fmt::format("--size {}: with --direct it must be a multiple of 512, better of 4096",
                       program.size));
  }
  constexpr std::uint64_t most_bytes = std::uint64_t{1} << 30;
  if (program.total() > most_bytes) refuse("--size times --writes: more than 1 GiB for a round");
  constexpr std::uint64_t most_memory = std::uint64_t{4} << 30;
  if (program.total() * options.lanes * 3 > most_memory) {
    refuse("--size times --writes times --lanes: the buffers would take more than 4 GiB");
  }
}

std::filesystem::path default_directory() {
  const char* const tmpdir = std::getenv("TMPDIR");
  return tmpdir != nullptr && *tmpdir != '\0' ? tmpdir : "/tmp";
}

bool names_one_file(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code error;
  if (std::filesystem::equivalent(a, b, error)) return std::filesystem::is_regular_file(a, error);
  const auto whole = [&](const std::filesystem::path& path) {
    return std::filesystem::weakly_canonical(std::filesystem::absolute(path, error), error);
  };
  return whole(a) == whole(b);
}

void understand_output(options& options) {
  const char* const no_color = std::getenv("NO_COLOR");
  options.color = options.color && (no_color == nullptr || *no_color == '\0');
  for (const auto& one : options.outputs) {
    for (const auto& other : options.outputs) {
      if (&one >= &other || !names_one_file(one.file, other.file)) continue;
      refuse(fmt::format("{} and {}: two files are needed", one.form->option, other.form->option));
    }
  }
}

void load_tests(options& options) {
  for (const auto& argument : options.arguments) {
    if (std::count(options.arguments.begin(), options.arguments.end(), argument) > 1) {
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

// Where none is named, the model tells of all; what searches schedules takes the experiment as a
// test, which a run does not need.
void understand_tests(options& options) {
  if (options.arguments.empty()) {
    if (options.what == activity::model_only) {
      for (const auto& entry : litmus::catalogue()) options.arguments.emplace_back(entry.name);
    } else if (options.what != activity::run) {
      options.arguments = {"tokio-4796"};
    }
  }
  load_tests(options);
  if (options.what != activity::replay) return;
  if (options.tests.size() > 1) refuse("--replay: a witness is of one TEST; name only that one");
  if (options.modes.size() != 1) refuse("--replay: a witness is of one --mode; name only that one");
}

// --- what repeats it

void draw_seed(options& options) {
  std::random_device random;
  options.seed = random();
  const std::vector<std::string> words = {"--seed", std::to_string(options.seed)};
  options.command.insert(options.command.end(), words.begin(), words.end());
  const auto& faults = options.subject.faults;
  const bool is_drawn = std::any_of(faults.begin(), faults.end(),
                                    [](const call_fault& one) { return one.probability < 1; });
  if (is_drawn) options.of_schedules.push_back({words, {}});
}

std::vector<repeated_words> words_of_schedules(const std::vector<given_option>& options) {
  std::vector<repeated_words> all;
  for (const auto& option : options) {
    if (!option.row->of_a_schedule) continue;
    auto& words = all.emplace_back(repeated_words{{}, option.row->needs}).words;
    if (option.values.empty()) words.emplace_back(option.name());
    for (const auto& value : option.values) {
      words.emplace_back(option.name());
      words.push_back(value);
    }
  }
  return all;
}

std::string answer_show(const std::string& name) {
  try {
    return std::string(show_test(name));
  } catch (const no_such_test& error) {
    refuse(fmt::format("--show {}", error.what()));
  }
}

// What is answered without doing anything.
std::optional<std::string> answer_to(const std::vector<given_option>& options, activity what) {
  switch (what) {
    case activity::help:
      return help_text();
    case activity::version:
      return "filemap-uring " FILEMAP_VERSION "\n";
    case activity::list:
      return list_tests();
    case activity::show:
      return answer_show(find(options, "--show")->values.front());
    default:
      return std::nullopt;
  }
}

}  // namespace

bool options::silences_text() const noexcept {
  return std::any_of(outputs.begin(), outputs.end(),
                     [](const output& each) { return each.file == "-"; });
}

std::size_t options::traces() const noexcept {
  std::size_t most = 1;
  for (const auto& each : outputs) most = std::max(most, each.form->traces);
  return most;
}

std::optional<options> parse_command_line(std::span<const char* const> argv, std::string& answer) {
  const auto own = argv.first(static_cast<std::size_t>(
      std::find(argv.begin(), argv.end(), std::string_view("--")) - argv.begin()));
  const auto given = find_options(own);
  command_line line;
  auto& options = line.options;
  const bool has_command = own.size() < argv.size();
  options.what = activity_of(given, has_command);
  if (options.what != activity::help && options.what != activity::version) {
    refuse_what_does_not_go(given, options.what);
  }
  if (auto text = answer_to(given, options.what)) {
    answer = *std::move(text);
    return std::nullopt;
  }
  for (const auto& option : given) take(line, option);
  if (has_command) {
    const auto words = argv.subspan(own.size() + 1);
    if (words.empty() || *words.front() == '\0') refuse("--: a COMMAND is expected behind it");
    options.subject.command.assign(words.begin(), words.end());
    if (find(given, "--iterations") == nullptr) options.iterations = 10;
    if (find(given, "--explore-limit") == nullptr) options.explore_limit = 1000;
  }

  if (options.duration && find(given, "--iterations") == nullptr) options.iterations = 0;
  if (options.dir.empty()) options.dir = default_directory();
  options.modes = modes_of(line);
  options.compares = line.compare;
  refuse_what_no_mode_needs(given, options.modes);
  understand_experiment(options, find(given, "--size") != nullptr);
  understand_output(options);
  if (options.what == activity::check) {
    if (options.arguments.empty())
      refuse("--check: a FILE.litmus or the name of a test is expected");
    return options;
  }
  if (!is_of_command(options.what)) understand_tests(options);
  options.command.assign(own.begin(), own.end());
  options.of_schedules = words_of_schedules(given);
  if (!line.seeded) draw_seed(options);
  options.command.insert(options.command.end(),
                         argv.begin() + static_cast<std::ptrdiff_t>(own.size()), argv.end());
  return options;
}

}  // namespace filemap
