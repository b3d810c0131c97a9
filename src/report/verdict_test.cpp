#include "filemap/explore/verdict.hpp"

#include "filemap/litmus/catalogue.hpp"
#include "filemap/litmus/parser.hpp"

#include "report/report.hpp"
#include "report/sample_result.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace filemap {
namespace {

using litmus::mode_result;
using litmus::outcome;

mode_result with(mode_result mode, outcome what) {
  count(mode, {.what = what}, 1);
  return mode;
}

mode_result with_hazards(mode_result mode, std::uint64_t rounds) {
  mode.hazards.rounds = rounds;
  return mode;
}

mode_result cannot_run(mode_result mode) {
  mode.cannot_run = "no io_uring here";
  return mode;
}

run_result run_with_modes(std::vector<mode_result> modes) {
  run_result run;
  run.modes = std::move(modes);
  return run;
}

verdict of(const mode_result& mode) { return verdict_of(mode, false); }
verdict strictly(const mode_result& mode) { return verdict_of(mode, true); }

// --- verdict_of

TEST(verdict, is_ok_when_a_mode_that_forbids_stale_reads_shows_none) {
  EXPECT_EQ(of(sample_mode("uring", 100)), verdict::ok);
  EXPECT_EQ(strictly(sample_mode("uring", 100)), verdict::ok);
}

TEST(verdict, is_forbidden_for_each_kind_of_violation_where_none_is_allowed) {
  for (const auto what :
       {outcome::size_zero, outcome::size_short, outcome::data_short, outcome::data_mismatch}) {
    EXPECT_EQ(of(with(sample_mode("uring", 100), what)), verdict::forbidden) << to_string(what);
  }
}

TEST(verdict, lets_a_write_behind_mode_violate_unless_it_is_strict) {
  EXPECT_EQ(of(sample_mode("tokio-fs", 100, 1)), verdict::allowed);
  EXPECT_EQ(strictly(sample_mode("tokio-fs", 100, 1)), verdict::forbidden);
}

TEST(verdict, is_forbidden_for_a_write_behind_mode_that_flushes) {
  auto mode = sample_mode("tokio-fs", 100, 1);
  mode.mode = mode.mode.with_flush();
  EXPECT_EQ(of(mode), verdict::forbidden);
}

TEST(verdict, never_takes_a_control_without_violations_for_a_pass) {
  EXPECT_EQ(of(sample_mode("tokio-fs", 100)), verdict::not_exercised);
  EXPECT_EQ(of(with_hazards(sample_mode("tokio-fs", 100), 3)), verdict::hazards_only);
}

// --- where the model could not say

mode_result judged_in_part(mode_result mode, bool reachable) {
  mode.model.emplace();
  mode.model->complete = false;
  mode.reachable = reachable;
  return mode;
}

TEST(verdict, is_neither_ok_nor_forbidden_where_the_model_could_not_say_what_is_allowed) {
  for (const bool reachable : {false, true}) {
    EXPECT_EQ(of(judged_in_part(sample_mode("uring", 100), reachable)), verdict::not_judged);
    EXPECT_EQ(of(judged_in_part(sample_mode("uring", 100, 7), reachable)), verdict::not_judged);
    EXPECT_EQ(strictly(judged_in_part(sample_mode("uring", 100, 7), reachable)),
              verdict::forbidden);
    EXPECT_EQ(of(with(judged_in_part(sample_mode("uring", 9), reachable), outcome::error)),
              verdict::error);
  }
}

TEST(verdict, of_an_exploration_is_not_that_of_the_condition_where_the_model_could_not_say) {
  litmus::exploration_result result;
  result.violating = 5;
  result.schedules = 5;
  EXPECT_EQ(verdict_of(litmus::test{}, result, false), verdict::not_judged);
  EXPECT_EQ(verdict_of(litmus::test{}, result, true), verdict::forbidden);
  result.violating = 0;
  EXPECT_EQ(verdict_of(litmus::test{}, result, false), verdict::not_judged);
  result.judged = true;
  EXPECT_EQ(verdict_of(litmus::test{}, result, false), verdict::ok);
  result.deadlocks = 1;
  EXPECT_EQ(verdict_of(litmus::test{}, result, false), verdict::hang);
}

TEST(verdict, of_a_schedule_is_not_that_of_the_condition_where_the_model_could_not_say) {
  litmus::executed_schedule done;
  done.counts = true;
  EXPECT_EQ(verdict_of(done, false), verdict::not_judged);
  EXPECT_EQ(verdict_of(done, true), verdict::forbidden);
  done.allowed = true;
  EXPECT_EQ(verdict_of(done, false), verdict::allowed);
  done.allowed = false;
  EXPECT_EQ(verdict_of(done, false), verdict::forbidden);
}

// As that of a run is: what the test asks for was seen, and the model has nothing of it.
TEST(verdict, is_that_of_the_condition_where_only_the_model_of_one_state_could_not_say) {
  litmus::executed_schedule done;
  done.unreachable = true;
  EXPECT_EQ(verdict_of(done, false), verdict::not_judged);
  done.counts = true;
  EXPECT_EQ(verdict_of(done, false), verdict::forbidden);
  litmus::exploration_result result;
  result.judged = true;
  result.schedules = 1;
  EXPECT_EQ(verdict_of(litmus::test{}, result, false), verdict::ok);
  result.violating = 1;
  EXPECT_EQ(verdict_of(litmus::test{}, result, false), verdict::forbidden);
}

TEST(excesses, are_of_a_state_that_is_allowed_only_with_them) {
  const auto test =
      litmus::parse(litmus::find_in_catalogue("append-twice")->source, "append-twice");
  auto model = litmus::model(test, *litmus::find_mode("uring"));
  ASSERT_FALSE(model.allowed.empty());
  const auto state = *model.allowed.begin();
  model.exceeding.clear();
  EXPECT_TRUE(excesses_of(model, state).empty());
  model.exceeding[state] = {litmus::excess::split_write};
  EXPECT_EQ(excesses_of(model, state), std::vector{litmus::excess::split_write});
}

TEST(exit_status, is_0_for_what_is_not_judged) {
  EXPECT_EQ(exit_status_of(run_with_modes({judged_in_part(sample_mode("uring", 9, 3), true)})),
            exit_ok);
}

TEST(verdict, does_not_count_unknown_rounds_as_hazards) {
  auto mode = sample_mode("uring-write-behind", 100);
  mode.hazards.unknown = 100;
  EXPECT_EQ(of(mode), verdict::not_exercised);
}

TEST(verdict, prefers_a_violation_that_is_forbidden_to_a_failure_and_a_failure_to_one_that_is_not) {
  const auto fails = [](const char* name) { return with(sample_mode(name, 9, 1), outcome::error); };
  const auto hangs = [](const char* name) { return with(sample_mode(name, 9, 1), outcome::hang); };
  EXPECT_EQ(of(fails("uring")), verdict::forbidden);
  EXPECT_EQ(of(hangs("uring")), verdict::forbidden);
  EXPECT_EQ(of(fails("tokio-fs")), verdict::error);
  EXPECT_EQ(of(hangs("tokio-fs")), verdict::hang);
}

TEST(verdict, prefers_a_hang_to_an_error) {
  EXPECT_EQ(of(with(with(sample_mode("uring", 9), outcome::error), outcome::hang)), verdict::hang);
}

TEST(verdict, is_neither_pass_nor_failure_without_rounds) {
  EXPECT_EQ(of(sample_mode("uring")), verdict::no_rounds);
  EXPECT_EQ(of(sample_mode("tokio-fs")), verdict::no_rounds);
  EXPECT_EQ(of(cannot_run(sample_mode("uring"))), verdict::cannot_run);
}

TEST(verdict, has_a_word_of_its_own_each) {
  const std::vector<std::pair<verdict, std::string_view>> words = {
      {verdict::ok, "ok"},
      {verdict::forbidden, "forbidden"},
      {verdict::allowed, "allowed"},
      {verdict::hazards_only, "hazards-only"},
      {verdict::not_exercised, "not-exercised"},
      {verdict::not_judged, "not-judged"},
      {verdict::error, "error"},
      {verdict::hang, "hang"},
      {verdict::cannot_run, "cannot-run"},
      {verdict::no_rounds, "no-rounds"},
  };
  for (const auto& [verdict, word] : words) EXPECT_EQ(to_string(verdict), word);
}

// --- observation_word

TEST(observation_word, is_what_litmus7_would_say) {
  EXPECT_EQ(observation_word(sample_mode("uring")), "Never");
  EXPECT_EQ(observation_word(sample_mode("uring", 100)), "Never");
  EXPECT_EQ(observation_word(sample_mode("uring", 100, 1)), "Sometimes");
  EXPECT_EQ(observation_word(sample_mode("uring", 100, 100)), "Always");
}

TEST(observation_word, counts_violations_only) {
  EXPECT_EQ(observation_word(with(sample_mode("uring"), outcome::error)), "Never");
  EXPECT_EQ(observation_word(with(sample_mode("uring", 5, 5), outcome::hang)), "Sometimes");
}

// --- exit_status_of

TEST(exit_status, is_0_when_nothing_forbidden_was_seen) {
  EXPECT_EQ(exit_status_of(run_result{}), exit_ok);
  EXPECT_EQ(exit_status_of(run_with_modes({sample_mode("uring", 9), sample_mode("tokio-fs", 9, 1),
                                           sample_mode("tokio-fs", 9), sample_mode("sync")})),
            exit_ok);
}

TEST(exit_status, is_1_for_what_only_a_strict_run_forbids) {
  auto run = run_with_modes({sample_mode("tokio-fs", 9, 1)});
  settings_of(run).strict = true;
  EXPECT_EQ(exit_status_of(run), exit_forbidden);
}

// Whatever is added outweighs what was there.
TEST(exit_status, is_that_of_the_most_telling_thing) {
  auto run = run_with_modes({sample_mode("sync", 9)});
  run.modes.push_back(cannot_run(sample_mode("uring")));
  EXPECT_EQ(exit_status_of(run), exit_cannot_run);
  run.interrupted = true;
  EXPECT_EQ(exit_status_of(run), exit_interrupted);
  run.modes.push_back(with(sample_mode("uring", 9), outcome::error));
  EXPECT_EQ(exit_status_of(run), exit_environment);
  run.modes.push_back(with(sample_mode("uring", 9), outcome::hang));
  EXPECT_EQ(exit_status_of(run), exit_hang);
  run.modes.push_back(sample_mode("uring", 9, 1));
  EXPECT_EQ(exit_status_of(run), exit_forbidden);
}

TEST(exit_status, tells_a_failure_of_the_environment_from_a_kernel_that_cannot) {
  auto run = run_with_modes({sample_mode("uring", 9)});
  run.failure = "open: permission denied";
  EXPECT_EQ(exit_status_of(run), exit_environment);
  run.cannot_run = true;
  EXPECT_EQ(exit_status_of(run), exit_cannot_run);
}

// --- significant_differences

TEST(significant_differences, names_the_worse_mode_first_wherever_it_stands) {
  for (const bool worse_first : {false, true}) {
    std::vector<mode_result> modes = {sample_mode("uring", 1000),
                                      sample_mode("tokio-fs", 1000, 50)};
    if (worse_first) std::swap(modes[0], modes[1]);
    const auto found = significant_differences(modes);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].more, "tokio-fs");
    EXPECT_EQ(found[0].less, "uring");
    EXPECT_LT(found[0].p, 1e-10);
  }
}

TEST(significant_differences, goes_by_the_rate_and_not_by_the_count) {
  const auto found =
      significant_differences({sample_mode("uring", 100'000, 60), sample_mode("sync", 1000, 50)});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].more, "sync");
}

TEST(significant_differences, is_empty_for_what_may_be_chance) {
  EXPECT_TRUE(significant_differences({}).empty());
  EXPECT_TRUE(significant_differences({sample_mode("uring", 1000)}).empty());
  EXPECT_TRUE(
      significant_differences({sample_mode("uring", 1000), sample_mode("sync", 1000)}).empty());
  EXPECT_TRUE(
      significant_differences({sample_mode("uring", 1000), sample_mode("tokio-fs", 1000, 3)})
          .empty());
}

TEST(significant_differences, leaves_out_modes_without_rounds) {
  EXPECT_TRUE(
      significant_differences({sample_mode("uring"), sample_mode("tokio-fs", 1000, 50)}).empty());
}

// 6 in 1000 against 0 has p = 0.031 by itself; of three comparisons it is no longer remarkable.
TEST(significant_differences, asks_for_more_when_more_is_compared) {
  std::vector<mode_result> modes = {sample_mode("uring", 1000), sample_mode("tokio-fs", 1000, 6)};
  ASSERT_EQ(significant_differences(modes).size(), 1U);
  EXPECT_NEAR(significant_differences(modes)[0].p, 0.0310, 5e-4);
  modes.push_back(sample_mode("sync", 1000, 3));
  EXPECT_TRUE(significant_differences(modes).empty());
}

TEST(significant_differences, has_the_most_certain_first) {
  const auto found =
      significant_differences({sample_mode("uring", 1000, 30), sample_mode("tokio-fs", 1000, 300),
                               sample_mode("sync", 1000)});
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].more + " " + found[0].less, "tokio-fs sync");
  EXPECT_EQ(found[1].more + " " + found[1].less, "tokio-fs uring");
  EXPECT_EQ(found[2].more + " " + found[2].less, "uring sync");
  EXPECT_LE(found[0].p, found[1].p);
  EXPECT_LE(found[1].p, found[2].p);
}

}  // namespace
}  // namespace filemap
