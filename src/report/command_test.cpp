#include "report/command.hpp"

#include "report/report.hpp"

#include <chrono>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace filemap {
namespace {

using namespace std::chrono_literals;

command_run asked(std::vector<std::string> words) {
  command_run run;
  run.command = {"./program"};
  run.asked.command = std::move(words);
  run.filesystem.type = "tmpfs";
  run.filesystem.mount_point = "/tmp";
  return run;
}

executed_call call(const std::string& word, unsigned thread, footprint touched = {0, 1}) {
  executed_call made;
  made.name = {thread, 0, 0};
  made.word = word;
  made.thread = "worker";
  made.thread_number = thread;
  made.file = "$TMPDIR/f";
  if (word == "write") made.size = 123;
  made.file_size = 0;
  made.touched = touched;
  return made;
}

command_finding finding() {
  command_finding found;
  found.schedule = parse_witness("2");
  found.state = {"exit 1", true};
  found.calls = {call("statx", 1), call("write", 0)};
  found.output = "left: 123\nright: 0\n";
  found.confirmed = {20, 20};
  found.pair = deciding_pair{0, 1, {20, 20}, {0, 20}};
  return found;
}

command_run explored() {
  auto run = asked({"filemap-uring", "--explore", "--", "./program"});
  auto& found = run.explored.emplace();
  found.files = {"$TMPDIR/f"};
  found.passes = {{search_pass::as_it_is, 1, 0, true}, {search_pass::one_delay, 1, 1, false}};
  found.runs = 2;
  found.ended_well = true;
  return run;
}

// --- exit status

TEST(command_exit_status, of_runs_is_whether_one_failed) {
  auto run = asked({"filemap-uring"});
  run.rounds.emplace().runs = 3;
  EXPECT_EQ(exit_status_of(run), exit_ok);
  run.rounds->bad = 1;
  EXPECT_EQ(exit_status_of(run), exit_forbidden);
}

TEST(command_exit_status, of_a_search_is_whether_an_order_was_found) {
  auto run = explored();
  EXPECT_EQ(exit_status_of(run), exit_ok);
  run.explored->by_order = finding();
  EXPECT_EQ(exit_status_of(run), exit_forbidden);
}

TEST(command_exit_status, of_what_takes_time_or_chance_is_a_failure_only_where_it_is_asked_for) {
  for (const auto kind : {&command_exploration::by_time, &command_exploration::unconfirmed}) {
    auto run = explored();
    (*run.explored).*kind = finding();
    EXPECT_EQ(exit_status_of(run), exit_ok);
    run.asked.strict = true;
    EXPECT_EQ(exit_status_of(run), exit_forbidden);
  }
}

TEST(command_exit_status, of_a_replay_is_whether_it_failed) {
  auto run = asked({"filemap-uring"});
  run.replayed = finding();
  EXPECT_EQ(exit_status_of(run), exit_forbidden);
  run.replayed->state = {"exit 0", false};
  EXPECT_EQ(exit_status_of(run), exit_ok);
}

TEST(command_exit_status, tells_of_a_failure_and_of_an_interrupt_what_is_known_before) {
  auto run = explored();
  run.interrupted = true;
  EXPECT_EQ(exit_status_of(run), exit_interrupted);
  run.failure = "--prepare false: exit 1";
  EXPECT_EQ(exit_status_of(run), exit_environment);
  run.explored->by_order = finding();
  EXPECT_EQ(exit_status_of(run), exit_forbidden);
  auto replay = asked({"filemap-uring"});
  replay.interrupted = true;  // before it came to anything
  EXPECT_EQ(exit_status_of(replay), exit_interrupted);
}

// --- for a person

TEST(command_text, fits_a_screen) {
  auto run = explored();
  run.explored->by_order = finding();
  run.explored->not_held = {"a-file-with-quite-a-long-name-below-the-directory", "and-one-more"};
  run.explored->noticed.rings = 1;
  run.explored->noticed.shared_maps = 2;
  run.explored->noticed.forced = 3;
  run.explored->diverged = 1;
  std::istringstream lines(text_report(run, false));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 84U) << line;
}

TEST(command_text, has_the_two_that_decide_and_the_line_that_repeats_it) {
  auto run = explored();
  run.asked.of_schedules = {{{"--fail-on", "a b"}, {}}};
  run.explored->by_order = finding();
  const auto text = text_report(run, false);
  for (const auto* const part : {
           "\nAn order of its file operations breaks it.\n",
           "statx($TMPDIR/f) by worker/1 was executed before",
           "20 of 20 runs fail in this order, 0 of 20 in the other\n",
           "exit 1, 20 of 20 times\n",
           "--replay 2 --fail-on 'a b' -- ./program\n",
           "\nTime line",
           "\n  left: 123\n  right: 0\n",
       }) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " is not in\n" << text;
  }
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text_report(run, true).find('\x1b'), std::string::npos);
}

TEST(command_text, says_no_more_than_was_searched) {
  auto run = explored();
  EXPECT_NE(text_report(run, false).find("\nNo order was found that breaks it; not all were tried"),
            std::string::npos);
  run.explored->complete = true;
  EXPECT_NE(
      text_report(run, false).find("\nNo order of its operations on contended files breaks it.\n"),
      std::string::npos);
  run.explored->files.clear();
  EXPECT_NE(text_report(run, false).find("\nNo two of its threads or processes touch one file"),
            std::string::npos);
  run.explored->unconfirmed = finding();
  EXPECT_NE(text_report(run, false).find("\nIt failed, but not each time in the same order"),
            std::string::npos);
}

TEST(command_text, shows_what_runs_as_they_are_came_to) {
  auto run = asked({"filemap-uring", "-n", "4", "--", "./program"});
  auto& rounds = run.rounds.emplace();
  rounds.runs = 4;
  rounds.bad = 1;
  rounds.left = 2;
  rounds.states = {{{"exit 0", false}, 3}, {{"killed by SIGABRT", true}, 1}};
  rounds.failing_run = 3;
  rounds.failing_output = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n";
  const auto text = text_report(run, false);
  for (const auto* const part : {
           "./program\n         3 :> exit 0\n         1 *> killed by SIGABRT\n",
           "\nObservation ./program Sometimes 1 3\n",
           "\nLeft behind   2 processes had not ended",
           "\nOutput of run 3",
           "\n  nine\n",
       }) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " is not in\n" << text;
  }
  EXPECT_EQ(text.find("\n  one\n"), std::string::npos);  // only the end of it
}

}  // namespace
}  // namespace filemap
