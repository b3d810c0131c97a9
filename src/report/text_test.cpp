#include "filemap/litmus/catalogue.hpp"
#include "filemap/litmus/parser.hpp"

#include "base/units.hpp"
#include "report/report.hpp"
#include "report/sample_result.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace filemap {
namespace {

using namespace std::chrono_literals;
using litmus::mode_result;
using litmus::outcome;
using litmus::verb;

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// The lines that begin with these words.
std::vector<std::string> lines_with(const std::string& text, std::string_view beginning) {
  auto lines = lines_of(text);
  std::erase_if(lines, [&](const auto& line) { return !line.starts_with(beginning); });
  return lines;
}

/// The only one of them.
std::string line_with(const std::string& text, std::string_view beginning) {
  const auto found = lines_with(text, beginning);
  EXPECT_EQ(found.size(), 1U) << "lines with " << beginning << " in:\n" << text;
  return found.empty() ? "" : found.front();
}

/// A run of these modes.
run_result run_of(std::vector<mode_result> modes) {
  auto run = sample_run();
  run.modes = std::move(modes);
  return run;
}

/// As if no line were broken.
std::string unwrapped(std::string text) {
  for (auto at = text.find('\n'); at != std::string::npos; at = text.find('\n', at)) {
    const auto end = std::min(text.find_first_not_of(' ', at + 1), text.size());
    text.replace(at, end - at, " ");
  }
  return text;
}

std::string report_of(std::vector<mode_result> modes) {
  return text_report(run_of(std::move(modes)), false);
}

mode_result failing_mode(std::string_view name, litmus::observation seen, std::uint64_t ok) {
  auto mode = sample_mode(name, ok);
  count(mode, seen, 1);
  return mode;
}

/// What is said of tokio-fs when it showed these violations and hazards.
std::string write_behind_report(std::uint64_t violations, std::uint64_t hazards) {
  auto mode = sample_mode("tokio-fs", 1000, violations);
  mode.hazards.rounds = hazards;
  if (hazards > 0) mode.hazards.pairs[{verb::fsync, verb::append}] = hazards;
  return report_of({std::move(mode)});
}

// --- one mode

TEST(text_report, of_one_mode_tells_all_of_it) {
  auto mode = sample_mode("uring", 10'000);
  mode.engine.features = {"READ/WRITE", "STATX"};
  mode.engine.substitutions = {"ftruncate by system call"};
  mode.latency[verb::append] = latency_of(2us);
  EXPECT_EQ(report_of({std::move(mode)}),
            R"(tokio-4796: does a reader see what was written, fsynced and notified?

uring  one io_uring; a write is acknowledged when the kernel has done it; a
  stale read is forbidden
Histogram (1 outcome)
     10000 :> ok
Observation tokio-4796 Never 0 10000
Verdict       ok: nothing forbidden was seen
Violations    0 of 10,000: below 0.03 % with 95 % confidence
Hazards       0 of 10,000
Rounds        20,000 per second
Latency             p50       p99     p99.9       max
  append        2.00 µs   2.00 µs   2.00 µs   2.00 µs

Host          Linux 6.1.0 x86_64, 2 cpus, 8 GiB, A CPU, virtual
Filesystem    ext4 on / (/dev/vda), 1 GiB free
              rw,relatime
Device        rotational, scheduler none, write back
Ring          READ/WRITE STATX
Substituted   ftruncate by system call
Seed          18446744073709551615
Repeat with   filemap-uring --mode uring,tokio-fs --dir '/tmp/a b'
)");
}

TEST(text_report, has_an_observation_line_that_scripts_can_parse) {
  const auto observed = [](std::uint64_t rounds, std::uint64_t bad) {
    return line_with(report_of({sample_mode("tokio-fs", rounds, bad)}), "Observation");
  };
  EXPECT_EQ(observed(4, 0), "Observation tokio-4796 Never 0 4");
  EXPECT_EQ(observed(4, 1), "Observation tokio-4796 Sometimes 1 3");
  EXPECT_EQ(observed(4, 4), "Observation tokio-4796 Always 4 0");
}

TEST(text_report, lists_the_outcomes_the_most_frequent_first_and_stars_those_that_are_not_ok) {
  auto mode = sample_mode("tokio-fs", 100, 30);
  count(mode, {.what = outcome::size_short, .flushed = 123, .size = 100, .read = 100}, 5);
  const auto text = report_of({std::move(mode)});
  const auto lines = lines_of(text);
  const auto at = std::find(lines.begin(), lines.end(), "Histogram (3 outcomes)");
  ASSERT_GE(lines.end() - at, 4);
  EXPECT_EQ(at[1], "        70 :> ok");
  EXPECT_EQ(
      at[2],
      "        30 *> size-zero   first: 123 bytes flushed, statx said 0, the read returned 0");
  EXPECT_EQ(
      at[3],
      "         5 *> size-short   first: 123 bytes flushed, statx said 100, the read returned 100");
}

TEST(text_report, never_tells_zero_violations_without_their_upper_bound) {
  for (const std::uint64_t rounds : {1U, 2U, 300U, 10'000U, 1'000'000U}) {
    for (const auto* const name : {"uring", "tokio-fs"}) {
      const auto line = line_with(report_of({sample_mode(name, rounds)}), "Violations");
      EXPECT_TRUE(contains(line, ": below ")) << line;
      EXPECT_TRUE(line.ends_with(" % with 95 % confidence")) << line;
      EXPECT_FALSE(contains(line, "below 0 ")) << line;
    }
  }
}

TEST(text_report, tells_violations_with_their_interval) {
  EXPECT_EQ(line_with(report_of({sample_mode("tokio-fs", 10'000, 8)}), "Violations"),
            "Violations    8 of 10,000: 0.08 %, 95 % interval 0.035 % to 0.16 %");
}

TEST(text_report, never_calls_a_control_that_showed_nothing_ok) {
  const auto text = write_behind_report(0, 0);
  const auto verdict = unwrapped(text.substr(text.find("Verdict")));
  EXPECT_TRUE(verdict.starts_with("Verdict       not exercised: ")) << verdict;
  EXPECT_TRUE(contains(verdict, "proves nothing")) << verdict;
  EXPECT_TRUE(contains(verdict, "--stall write=2ms")) << verdict;
  EXPECT_FALSE(contains(text, "ok: nothing forbidden"));
}

TEST(text_report, calls_luck_luck) {
  const auto text = write_behind_report(0, 12);
  EXPECT_EQ(line_with(text, "Verdict"),
            "Verdict       hazards only: every read was right, some by luck and not by order");
  EXPECT_TRUE(contains(text,
                       "\nHazards       12 of 1,000\n"
                       "          12  fsync began before append had returned\n"))
      << text;
}

TEST(text_report, tells_an_allowed_violation_from_a_forbidden_one) {
  EXPECT_TRUE(contains(line_with(write_behind_report(3, 0), "Verdict"), "allowed: "));
  EXPECT_TRUE(contains(line_with(report_of({sample_mode("uring", 10, 3)}), "Verdict"),
                       "forbidden: the reader missed what had been flushed"));
  auto strict = run_of({sample_mode("tokio-fs", 10, 3)});
  settings_of(strict).strict = true;
  EXPECT_TRUE(contains(line_with(text_report(strict, false), "Verdict"), "forbidden: "));
}

TEST(text_report, says_of_how_many_rounds_hazards_cannot_be_known) {
  auto mode = sample_mode("uring-write-behind", 1000);
  mode.hazards.unknown = 990;
  const auto text = report_of({std::move(mode)});
  EXPECT_TRUE(contains(text,
                       "\nHazards       0 of 1,000\n"
                       "         990  unknown: a ring does not say when an operation begins\n"))
      << text;
}

TEST(text_report, shows_an_early_acknowledgement_next_to_the_execution) {
  auto mode = sample_mode("tokio-fs", 10);
  mode.latency[verb::append] = latency_of(2us);
  mode.append_executed = latency_of(62us);
  const auto text = report_of({std::move(mode)});
  EXPECT_EQ(line_with(text, "  append   "),
            "  append        2.00 µs   2.00 µs   2.00 µs   2.00 µs");
  EXPECT_EQ(line_with(text, "  append done"),
            "  append done   62.0 µs   62.0 µs   62.0 µs   62.0 µs");
}

TEST(text_report, says_which_operation_failed) {
  litmus::observation seen;
  seen.what = outcome::error;
  seen.failed = verb::append;
  seen.error = ENOSPC;
  const auto text = report_of({failing_mode("uring", seen, 17)});
  EXPECT_TRUE(contains(text, "         1 *> error (append: ENOSPC)\n")) << text;
  EXPECT_EQ(line_with(text, "Verdict"), "Verdict       error: an operation failed");
}

TEST(text_report, says_that_a_round_hangs) {
  litmus::observation seen;
  seen.what = outcome::hang;
  const auto text = report_of({failing_mode("uring", seen, 17)});
  EXPECT_TRUE(contains(text, "         1 *> hang\n")) << text;
  EXPECT_TRUE(contains(text, "Observation tokio-4796 Never 0 17\n")) << text;
  EXPECT_EQ(line_with(text, "Verdict"),
            "Verdict       hang: a round did not end in time (--round-timeout)");
}

TEST(text_report, says_why_a_mode_cannot_run_and_no_numbers_of_it) {
  auto mode = sample_mode("uring");
  mode.cannot_run = "io_uring is disabled; set kernel.io_uring_disabled to 0";
  const auto text = report_of({std::move(mode)});
  EXPECT_TRUE(contains(
      unwrapped(text),
      " Verdict       cannot run: io_uring is disabled; set kernel.io_uring_disabled to 0 "));
  EXPECT_TRUE(lines_with(text, "Observation").empty());
  EXPECT_TRUE(lines_with(text, "Violations").empty());
  EXPECT_TRUE(lines_with(text, "Latency").empty());
}

TEST(text_report, says_that_it_was_interrupted_only_when_it_was) {
  auto run = run_of({sample_mode("uring", 5), sample_mode("sync")});
  run.interrupted = true;
  const auto text = text_report(run, false);
  EXPECT_TRUE(contains(text, "Verdict       no rounds: interrupted before the first\n")) << text;
  EXPECT_TRUE(contains(text, "Interrupted: these are the rounds until then.\n")) << text;
  run.interrupted = false;
  EXPECT_FALSE(contains(text_report(run, false), "nterrupted"));
  EXPECT_TRUE(contains(text_report(run, false), "Verdict       no rounds\n"));
}

TEST(text_report, says_what_the_filesystem_means_for_the_conclusion) {
  auto run = run_of({sample_mode("uring", 5)});
  run.filesystem.caveat = "The files are in memory.";
  EXPECT_TRUE(contains(text_report(run, false), "\n              The files are in memory.\n"));
}

TEST(text_report, breaks_a_long_note_between_words) {
  auto run = run_of({sample_mode("uring", 5)});
  std::string words;
  for (int i = 0; i < 60; ++i) words += (i == 0 ? "" : " ") + std::string("word");
  run.filesystem.caveat = words;
  const auto notes = lines_with(text_report(run, false), "              word");
  ASSERT_GT(notes.size(), 1U);
  std::string joined;
  for (const auto& note : notes) {
    EXPECT_LE(note.size(), 80U);
    joined += (joined.empty() ? "" : " ") + note.substr(14);
  }
  EXPECT_EQ(joined, words);
}

// --- one round

mode_result violating_mode() {
  auto mode = sample_mode("tokio-fs", 10, 1);
  mode.violations.push_back(sample_violation());
  return mode;
}

TEST(time_line, tells_the_first_violation_by_its_operations) {
  const auto text = report_of({violating_mode()});
  const auto at = text.find("First violation");
  ASSERT_NE(at, std::string::npos) << text;
  const auto lines = lines_of(text.substr(at));
  ASSERT_GE(lines.size(), 10U);
  EXPECT_EQ(lines[0],
            "First violation: round 4711, size-zero   first: 123 bytes flushed, statx said 0, the "
            "read returned 0");
  EXPECT_EQ(lines[1], "                    0                                      64.0 µs");
  EXPECT_EQ(lines[2],
            "  writer   append   |........................................."
            "###| 123 bytes, worker 2, acknowledged after 2.00 µs");
  EXPECT_EQ(lines[3],
            "  flusher  fsync    |    ....####################                | worker 1");
  EXPECT_EQ(lines[4],
            "  reader   statx    |                               .#           | size 0, worker 1");
  EXPECT_EQ(lines[5],
            "  reader   read     |                                  ..##      | 0 bytes, worker 1");
  EXPECT_EQ(lines[6],
            "  Why  append was acknowledged when its bytes were queued, 61.0 µs before it was");
  EXPECT_EQ(lines[7],
            "       done; fsync began meanwhile, through a handle that knows nothing of that");
  EXPECT_EQ(lines[8], "       queue");
  EXPECT_EQ(lines[9], "  Fix  flush before the notification: --flush");
}

TEST(time_line, does_not_pretend_to_know_when_an_operation_of_a_ring_began) {
  auto mode = sample_mode("uring-write-behind", 10, 1);
  auto round = sample_ring_round({.what = outcome::size_zero, .flushed = 123});
  for (auto& step : round.steps) {
    if (step.io.complete()) step.io.returned = at(64'001ns);  // all completions reaped in one turn
  }
  mode.violations.push_back(std::move(round));
  const auto text = report_of({std::move(mode)});
  const auto row = line_with(text, "  flusher  fsync");
  EXPECT_TRUE(contains(row, "=")) << row;
  EXPECT_FALSE(contains(row, "#")) << row;
  EXPECT_FALSE(contains(row, "worker")) << row;
  EXPECT_TRUE(contains(unwrapped(text), "fsync was in flight meanwhile")) << text;
}

TEST(time_line, has_bars_of_one_width) {
  const auto text = report_of({violating_mode()});
  for (const auto* const beginning : {"  writer ", "  flusher ", "  reader "}) {
    for (const auto& row : lines_with(text, beginning)) {
      const auto open = row.find('|');
      EXPECT_EQ(open, 20U) << row;
      EXPECT_EQ(row.find('|', open + 1), 65U) << row;
    }
  }
}

TEST(time_line, tells_the_first_hazard_when_there_was_no_violation) {
  auto mode = sample_mode("tokio-fs", 10);
  mode.hazards.rounds = 1;
  mode.hazardous.push_back(sample_violation());
  mode.hazardous[0].seen = {.flushed = 123, .size = 123, .read = 123};
  const auto text = report_of({mode});
  EXPECT_TRUE(line_with(text, "First hazard").starts_with("First hazard: round 4711, ok")) << text;
  EXPECT_TRUE(lines_with(text, "First violation").empty());

  mode.violations.push_back(sample_violation());
  EXPECT_TRUE(lines_with(report_of({mode}), "First hazard").empty());
}

TEST(time_line, names_the_error_of_an_operation_that_failed) {
  auto mode = violating_mode();
  for (auto& step : mode.violations[0].steps) {
    if (step.what.what == verb::append) step.io.res = -EIO;
  }
  EXPECT_TRUE(contains(line_with(report_of({std::move(mode)}), "  writer   append"), "| EIO, "));
}

// --- several tests

TEST(text_report, of_several_tests_ends_with_how_many_came_to_what) {
  std::vector<run_result> runs;
  runs.push_back(run_of({sample_mode("uring", 9), sample_mode("tokio-fs", 9, 2)}));
  runs.push_back(run_of({sample_mode("uring", 9, 1), sample_mode("tokio-fs", 9, 2)}));
  for (int i = 0; i < 3; ++i) runs.push_back(run_of({sample_mode("uring", 9)}));
  runs.push_back(run_of({}));
  runs.back().failure = "it could not begin";
  EXPECT_EQ(lines_of(text_report(runs, false)).back(),
            "6 tests: 3 ok, 1 forbidden, 1 allowed, 1 error");
  EXPECT_TRUE(lines_with(text_report(runs.front(), false), "1 tests").empty());
}

TEST(text_report, tells_what_failed_between_the_rounds) {
  auto mode = sample_mode("uring", 9);
  mode.failure = {"io_uring_enter: Cannot allocate memory", ENOMEM};
  EXPECT_EQ(line_with(report_of({mode}), "Verdict"),
            "Verdict       error: io_uring_enter: Cannot allocate memory");
  EXPECT_EQ(exit_status_of(run_of({mode})), exit_environment);
  mode = sample_mode("uring", 9, 1);
  mode.failure = {"io_uring_enter: Cannot allocate memory", ENOMEM};
  const auto report = report_of({mode});
  EXPECT_TRUE(contains(line_with(report, "Verdict"), "forbidden: "));
  EXPECT_EQ(line_with(report, "Failed"), "Failed        io_uring_enter: Cannot allocate memory");
  EXPECT_EQ(exit_status_of(run_of({mode})), exit_forbidden);
}

TEST(text_report, draws_no_time_of_what_never_began) {
  auto trace = sample_ring_round({.what = outcome::size_zero, .flushed = 123});
  for (auto& step : trace.steps) {
    if (step.what.what != verb::fsync) continue;
    step.io.submitted = instant{};
    step.io.res = -ECANCELED;
  }
  auto mode = sample_mode("uring-write-behind", 9, 1);
  mode.violations = {trace};
  const auto cancelled = line_with(report_of({mode}), "  flusher  fsync");
  EXPECT_TRUE(contains(cancelled, "|    .....")) << cancelled;
  EXPECT_FALSE(contains(cancelled, "=")) << cancelled;
}

// --- several modes

run_result run_with_everything() {
  auto run = sample_run();
  run.modes.push_back(sample_mode("sync"));
  run.modes.back().cannot_run = "for some reason";
  run.modes.push_back(failing_mode("blocking-pool", {.what = outcome::hang}, 3));
  run.filesystem.caveat = "The files are in memory.";
  run.interrupted = true;
  return run;
}

TEST(text_report, of_several_modes_names_the_mode_in_each_observation) {
  const auto observations = lines_with(text_report(sample_run(), false), "Observation");
  EXPECT_EQ(observations,
            (std::vector<std::string>{"Observation tokio-4796/uring Never 0 10000",
                                      "Observation tokio-4796/tokio-fs Sometimes 8 9992"}));
}

TEST(text_report, of_several_modes_has_one_table_of_all) {
  auto run = run_of({sample_mode("uring", 10'000), sample_mode("tokio-fs", 10'000, 8),
                     sample_mode("uring-write-behind", 100), sample_mode("sync")});
  run.modes[1].hazards.rounds = 500;
  run.modes[2].hazards.unknown = 100;
  run.modes[3].cannot_run = "for some reason";
  const auto text = text_report(run, false);
  const auto lines = lines_of(text);
  const auto head = std::find_if(lines.begin(), lines.end(),
                                 [](const auto& line) { return line.starts_with("Mode "); });
  ASSERT_GE(lines.end() - head, 5);
  EXPECT_EQ(head[-1], "Of 0 to 10,000 rounds in each mode:");
  EXPECT_EQ(head[0],
            "Mode                     Verdict       Violations  95 % interval  Hazards  Per s");
  EXPECT_EQ(head[1],
            "uring                    ok                     0       0-0.03 %        0 20,000");
  EXPECT_EQ(head[2],
            "tokio-fs                 allowed                8   0.035-0.16 %      500 20,000");
  EXPECT_EQ(head[3],
            "uring-write-behind       not-exercised          0          0-3 %  unknown 20,000");
  EXPECT_EQ(head[4], "sync                     cannot-run             -");
}

// Names, paths and shell lines are as long as they are.
TEST(text_report, is_made_for_80_columns) {
  auto run = run_with_everything();
  auto flushed = sample_mode("uring-write-behind", 1'000'000, 1'000'000);
  flushed.mode = flushed.mode.with_flush();
  flushed.engine.features = {"EXT_ARG",    "IOWQ_CPUS", "SINGLE_ISSUER", "DEFER_TASKRUN",
                             "READ/WRITE", "STATX",     "OPENAT",        "LINKS"};
  run.modes.push_back(std::move(flushed));
  for (const auto& line : lines_of(text_report(run, false))) {
    const auto columns = std::count_if(line.begin(), line.end(), [](char c) {
      return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    });
    if (line.find('|') == std::string::npos && line.find("first: ") == std::string::npos) {
      EXPECT_LE(columns, 80) << line;
    }
  }
}

TEST(text_report, lets_no_terminal_obey_what_it_quotes) {
  for (const bool color : {false, true}) {
    auto run = run_with_everything();
    const std::string bad =
        "\x1b]0;x\x07 \xc2\x9b"
        "31m \x9b"
        "31m \x0e"
        "31\x0f \x0e"
        "8\x0f \x7f\r\b";
    run.test.question = run.filesystem.source = run.filesystem.caveat = run.host.cpu_model = bad;
    run.modes[0].engine.features = {bad};
    run.modes[2].cannot_run = bad;
    settings_of(run).command = {"filemap-uring", bad};
    auto text = text_report(run, color);
    for (const auto* const escape : {"\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m"}) {
      for (auto at = text.find(escape); color && at != std::string::npos; at = text.find(escape)) {
        text.erase(at, std::string_view(escape).size());
      }
    }
    for (const auto& line : lines_of(text)) EXPECT_EQ(printable(line), line);
  }
}

TEST(text_report, says_not_judged_where_the_model_could_not_say) {
  auto run = run_of({sample_mode("sync", 10, 3)});
  run.test = litmus::parse(litmus::find_in_catalogue("append-twice")->source, "append-twice");
  auto& mode = run.modes.front();
  mode.reachable = true;
  mode.model.emplace();
  mode.model->complete = false;
  const auto text = text_report(run, false);
  EXPECT_TRUE(contains(text, "is not known to be allowed or not")) << text;
  EXPECT_TRUE(
      contains(text, "Verdict       not judged: the model could not say all that is allowed"));
  EXPECT_FALSE(contains(text, "ok:")) << text;
  EXPECT_FALSE(contains(text, "the model has")) << text;
}

TEST(text_report, of_one_mode_has_no_table) {
  EXPECT_TRUE(lines_with(report_of({sample_mode("uring", 10)}), "Mode ").empty());
}

TEST(text_report, says_which_modes_differ_beyond_chance_and_which_do_not) {
  const auto differ = report_of(
      {sample_mode("uring", 1000), sample_mode("tokio-fs", 1000, 500), sample_mode("sync", 1000)});
  EXPECT_TRUE(contains(line_with(differ, "  tokio-fs violates"),
                       "  tokio-fs violates more often than uring, sync (p at most "));
  const auto same = report_of({sample_mode("uring", 1000), sample_mode("tokio-fs", 1000, 1)});
  EXPECT_EQ(lines_with(same, "No two modes differ significantly").size(), 1U);
}

TEST(text_report, tells_the_story_only_when_the_rounds_have_shown_it) {
  const auto story = [](const std::vector<mode_result>& modes) {
    return line_with(report_of(modes) + "Violations or hazards\n", "Violations or hazards");
  };
  const auto shown = report_of({sample_mode("uring", 1000), sample_mode("tokio-fs", 1000, 5)});
  EXPECT_TRUE(
      contains(line_with(shown, "Violations or hazards only in"), "only in tokio-fs, which"));
  EXPECT_FALSE(contains(unwrapped(shown), "none with a flush"));

  auto flushed = sample_mode("tokio-fs", 1000);
  flushed.mode = flushed.mode.with_flush();
  EXPECT_TRUE(contains(unwrapped(report_of({sample_mode("uring", 1000),
                                            sample_mode("tokio-fs", 1000, 5), std::move(flushed)})),
                       "none with a flush before the notification"));

  // Nothing was shown, or something that contradicts it.
  EXPECT_EQ(story({sample_mode("uring", 1000), sample_mode("tokio-fs", 1000)}),
            "Violations or hazards");
  EXPECT_EQ(story({sample_mode("uring", 1000, 1), sample_mode("tokio-fs", 1000, 5)}),
            "Violations or hazards");
}

// --- color

TEST(text_report, without_color_has_no_escape_bytes) {
  EXPECT_EQ(text_report(run_with_everything(), false).find('\x1b'), std::string::npos);
}

TEST(text_report, with_color_says_the_same_between_escapes) {
  auto text = text_report(run_with_everything(), true);
  EXPECT_TRUE(contains(text, "\x1b[32mok: nothing forbidden was seen\x1b[0m"));
  EXPECT_TRUE(contains(text, "\x1b[31mhang: "));
  EXPECT_TRUE(contains(text, "\x1b[33mcannot run\x1b[0m"));
  for (auto at = text.find('\x1b'); at != std::string::npos; at = text.find('\x1b')) {
    text.erase(at, text.find('m', at) + 1 - at);
  }
  EXPECT_EQ(text, text_report(run_with_everything(), false));
}

// --- the rest

TEST(probe_report, says_what_the_ring_can_do) {
  auto ring = sample_run().ring;
  ring.feature_bits = 0x3f;
  const auto text = probe_report(ring, sample_run().host);
  EXPECT_TRUE(text.starts_with("Linux 6.1.0 x86_64\n")) << text;
  EXPECT_TRUE(contains(text, "available, feature bits 0x3f\n")) << text;
  EXPECT_EQ(line_with(text, "Operations"), "Operations    2: NOP READV");
  EXPECT_TRUE(contains(line_with(text, "Substituted"), "statx")) << text;
  ring.features = all_ring_features();
  EXPECT_EQ(line_with(probe_report(ring, sample_run().host), "Substituted"),
            "Substituted   nothing");
}

TEST(probe_report, says_what_a_ceiling_leaves_and_what_the_kernel_refused) {
  auto ring = sample_run().ring;
  ring.features = {};
  ring.ceiling = {{5, 4}, true};
  ring.refused = {"READ", "WRITE"};
  const auto text = probe_report(ring, sample_run().host);
  EXPECT_EQ(line_with(text, "Ceiling"), "Ceiling       at most Linux 5.4, enforced by the kernel");
  EXPECT_EQ(line_with(text, "Features"), "Features      none");
  EXPECT_EQ(line_with(text, "Refused"), "Refused       READ WRITE");
  ring.ceiling->enforced = false;
  const auto trusted = probe_report(ring, sample_run().host);
  EXPECT_TRUE(contains(line_with(trusted, "Ceiling"), "on trust")) << trusted;
  EXPECT_FALSE(contains(trusted, "Refused")) << trusted;
}

// Linux 5.4 has none of the features, and its substitutions are what one wants to know.
TEST(text_report, tells_of_a_ring_without_features) {
  auto run = sample_run();
  auto& engine = run.modes[0].engine;
  engine.features.clear();
  engine.substitutions = {"statx by system call"};
  EXPECT_EQ(line_with(text_report(run, false), "Ring  "), "Ring          no features");
  EXPECT_EQ(line_with(text_report(run, false), "Substituted"),
            "Substituted   statx by system call");
  engine.ceiling = {{5, 4}, true};
  EXPECT_EQ(line_with(text_report(run, false), "Ring  "),
            "Ring          at most Linux 5.4, enforced by the kernel: no features");
  engine.ceiling->enforced = false;
  EXPECT_TRUE(contains(line_with(text_report(run, false), "Ring  "), "Linux 5.4, on trust"));
}

TEST(probe_report, does_not_take_a_missing_probe_for_a_missing_operation) {
  auto ring = sample_run().ring;
  ring.probed = false;
  ring.opcodes.clear();
  EXPECT_EQ(line_with(probe_report(ring, sample_run().host), "Operations"),
            "Operations    unknown: there is no probe before Linux 5.6");
}

TEST(probe_report, says_why_there_is_no_ring_what_to_do_and_what_runs_nevertheless) {
  ring_support ring;
  ring.why = "io_uring_setup is refused";
  ring.advice = "ask for it";
  const auto text = probe_report(ring, sample_run().host);
  EXPECT_TRUE(contains(text, "cannot be used: io_uring_setup is refused\n")) << text;
  EXPECT_TRUE(contains(text, "What to do    ask for it\n")) << text;
  EXPECT_TRUE(contains(text, "blocking-pool, tokio-fs and sync run here")) << text;
}

}  // namespace
}  // namespace filemap
