// What the search of a command's orders comes to, on specimens (supervisor/specimen.cpp) of which
// it is known; and the choosers that it has for itself, on a subject that is no more than its
// steps.

#include "explore/command_exploration.hpp"

#include "explore/delaying.hpp"
#include "explore/fixed_schedule.hpp"
#include "explore/ordering.hpp"
#include "testing.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace filemap {
namespace {

using namespace std::chrono_literals;

// --- the choosers

constexpr candidate a{0, 0, 0};
constexpr candidate b{1, 0, 0};
constexpr candidate c{2, 0, 0};
constexpr candidate time_passes{candidate::time, 0, 0};

std::size_t chosen(chooser& by, const std::vector<candidate>& held) { return by.choose(held); }

TEST(delaying, takes_what_is_delayed_when_nothing_else_can_go) {
  delaying by({a});
  by.begin();
  EXPECT_EQ(chosen(by, {a, b, c}), 1U);
  EXPECT_EQ(chosen(by, {a, c}), 1U);
  EXPECT_TRUE(by.delayed_something());
  EXPECT_EQ(chosen(by, {a}), 0U);
  by.begin();
  EXPECT_FALSE(by.delayed_something());
  EXPECT_EQ(chosen(by, {b, a}), 0U);
  EXPECT_FALSE(by.delayed_something());
}

TEST(delaying, lets_time_pass_only_for_what_is_delayed) {
  delaying by({a});
  by.begin();
  EXPECT_EQ(chosen(by, {a, time_passes}), 1U);
  EXPECT_EQ(chosen(by, {b, time_passes}), 0U);
  EXPECT_EQ(chosen(by, {a, b, time_passes}), 1U);
}

TEST(delaying, of_two_takes_the_oldest_in_the_end) {
  delaying by({a, b});
  by.begin();
  EXPECT_EQ(chosen(by, {a, b, c}), 2U);
  EXPECT_EQ(chosen(by, {a, b}), 0U);
  EXPECT_EQ(chosen(by, {b}), 0U);
}

TEST(ordering, has_the_later_wait_until_the_earlier_is_done) {
  ordering by(b, a);
  by.begin();
  EXPECT_EQ(chosen(by, {a, c}), 1U);
  EXPECT_EQ(chosen(by, {a, b}), 1U);
  EXPECT_EQ(chosen(by, {a, c}), 0U);  // and no longer
  EXPECT_TRUE(by.held_to());
}

TEST(ordering, is_not_held_to_where_nothing_else_can_go) {
  ordering by(b, a);
  by.begin();
  EXPECT_EQ(chosen(by, {a}), 0U);
  EXPECT_EQ(chosen(by, {b}), 0U);
  EXPECT_FALSE(by.held_to());
  by.begin();
  EXPECT_EQ(chosen(by, {b, a}), 0U);
  EXPECT_TRUE(by.held_to());
}

// To let time pass is not a call that goes first.
TEST(ordering, lets_time_pass_for_the_sake_of_the_earlier) {
  ordering by(b, a);
  by.begin();
  EXPECT_EQ(chosen(by, {a, time_passes}), 1U);
  EXPECT_FALSE(by.held_to());
  EXPECT_EQ(chosen(by, {a, b}), 1U);
  EXPECT_TRUE(by.held_to());
}

TEST(fixed_schedule, lets_time_pass_where_it_says_so) {
  fixed_schedule by(parse_witness("2.t.2"));
  by.begin();
  EXPECT_EQ(chosen(by, {a, b}), 1U);
  EXPECT_EQ(chosen(by, {a, time_passes}), 1U);
  EXPECT_EQ(chosen(by, {a, c, time_passes}), 1U);
  EXPECT_EQ(by.misfit(), "");
  EXPECT_EQ(chosen(by, {a, c}), 0U);  // beyond it the oldest
  EXPECT_EQ(by.misfit(), "");
}

TEST(fixed_schedule, says_where_nothing_waits_for_time) {
  fixed_schedule by(parse_witness("t.2"));
  by.begin();
  EXPECT_EQ(chosen(by, {a, b}), chooser::give_up);
  EXPECT_EQ(by.misfit(), "its choice 1 lets time pass, and nothing waits for that there");
}

TEST(fixed_schedule, passes_over_a_step_that_is_alone_before_time_passes) {
  fixed_schedule by(parse_witness("t"));
  by.begin();
  EXPECT_EQ(chosen(by, {a}), 0U);
  EXPECT_EQ(chosen(by, {b, time_passes}), 1U);
  EXPECT_EQ(by.misfit(), "");
}

// --- what is found

// A specimen that works on a name in its own directory, which is fresh for each run.
class search_setting {
 public:
  explicit search_setting(const std::string& behaviour) {
    settings.directory = scratch_ / "own";
    settings.command = {"/bin/sh", "-c", "exec " SPECIMEN " " + behaviour + " $TMPDIR/f"};
    settings.run_timeout = 60s;
    options.limit = 150;
  }

  command_exploration explored() const {
    command_subject subject(settings);
    return explore(subject, options);
  }

 private:
  scratch_directory scratch_;

 public:
  command_settings settings;
  command_exploration_options options;
};

const search_pass* find_pass(const command_exploration& found, search_pass::kind what) {
  const auto at = std::find_if(found.passes.begin(), found.passes.end(),
                               [&](const auto& one) { return one.what == what; });
  return at == found.passes.end() ? nullptr : &*at;
}

TEST(command_exploration, names_the_two_calls_whose_order_decides) {
  const auto found = search_setting("looks-too-early").explored();
  ASSERT_TRUE(found.by_order);
  EXPECT_FALSE(found.by_time);
  const auto& finding = *found.by_order;
  EXPECT_EQ(finding.state.text, "exit 1");
  EXPECT_EQ(finding.confirmed.bad, 20U);
  EXPECT_EQ(finding.confirmed.runs, 20U);
  ASSERT_TRUE(finding.pair);
  EXPECT_EQ(finding.pair->in_this_order.bad, 20U);
  EXPECT_EQ(finding.pair->in_the_other.bad, 0U);
  EXPECT_EQ(finding.pair->in_the_other.runs, 20U);
  const auto& later = finding.calls[finding.pair->later];
  EXPECT_EQ(later.word, "write");
  EXPECT_EQ(found.files, std::vector<std::string>{"$TMPDIR/f"});
  EXPECT_LE(found.runs, 20U);
}

TEST(command_exploration, finds_nothing_where_the_order_does_not_matter) {
  for (const auto* const behaviour : {"two-writers", "waits", "forks", "locks"}) {
    const auto found = search_setting(behaviour).explored();
    EXPECT_FALSE(found.by_order) << behaviour;
    EXPECT_FALSE(found.by_time) << behaviour;
    EXPECT_TRUE(found.complete) << behaviour;
    EXPECT_FALSE(found.failed) << behaviour;
    ASSERT_EQ(found.states.size(), 1U) << behaviour;
    EXPECT_EQ(found.states.front().first.text, "exit 0");
    EXPECT_LE(found.states.front().second, found.runs);  // some begin, and show nothing new
    EXPECT_TRUE(find_pass(found, search_pass::every_order)->finished);
  }
}

// A name on the way to what is opened: who makes the folder, and who opens a file in it.
TEST(command_exploration, finds_a_file_that_is_opened_before_its_folder_is_made) {
  search_setting here("exits");
  here.settings.command = {"/bin/sh", "-c",
                           "mkdir $TMPDIR/d & echo x >$TMPDIR/d/f; status=$?; wait; exit $status"};
  here.options.limit = 20;
  const auto found = here.explored();
  ASSERT_TRUE(found.by_order);
  ASSERT_TRUE(found.by_order->pair);
  const auto& pair = *found.by_order->pair;
  EXPECT_TRUE(found.by_order->calls[pair.earlier].word.starts_with("open"));
  EXPECT_EQ(found.by_order->calls[pair.later].word, "mkdir");
  EXPECT_EQ(pair.in_the_other.runs, 20U);
}

TEST(command_exploration, tells_what_takes_time_from_what_takes_an_order) {
  const auto found = search_setting("naps").explored();
  EXPECT_FALSE(found.by_order);
  ASSERT_TRUE(found.by_time);
  EXPECT_EQ(found.by_time->confirmed.bad, found.by_time->confirmed.runs);
  ASSERT_TRUE(found.by_time->takes);
  EXPECT_LT(*found.by_time->takes, 100ms);  // it naps for 30 ms
  EXPECT_GT(*found.by_time->takes, 5ms);
}

TEST(command_exploration, has_no_finding_of_what_waits_patiently) {
  search_setting here("polls");
  here.options.limit = 10;
  here.settings.patience = 20ms;
  const auto found = here.explored();
  EXPECT_FALSE(found.by_order);
  EXPECT_FALSE(found.by_time);
}

TEST(command_exploration, tells_of_one_that_fails_as_it_is) {
  search_setting here("exits");
  here.settings.command = {"/bin/sh", "-c",
                           "echo a >>$TMPDIR/f & echo b >>$TMPDIR/f & wait; exit 3"};
  here.options.limit = 20;
  const auto found = here.explored();
  EXPECT_TRUE(found.fails_as_it_is);
  ASSERT_TRUE(found.by_order);
  EXPECT_EQ(found.by_order->schedule.choices.size(), 0U);
  EXPECT_FALSE(found.by_order->pair);
}

// It does not do what the finding says, and is none.
TEST(command_exploration, does_not_take_chance_for_an_order) {
  search_setting here("fails-at-random");
  here.options.limit = 30;
  const auto found = here.explored();
  EXPECT_FALSE(found.by_order);
  EXPECT_FALSE(found.by_time);
  EXPECT_FALSE(found.complete);
}

TEST(command_exploration, of_one_thread_has_nothing_to_search) {
  const auto found = search_setting("signals").explored();
  EXPECT_TRUE(found.files.empty());
  EXPECT_FALSE(found.by_order);
  EXPECT_TRUE(found.complete);
  EXPECT_LE(found.runs, 3U);
}

TEST(command_exploration, counts_the_choices_that_were_made_though_it_was_never_quiet) {
  search_setting here("spins");
  here.settings.command = {"/bin/sh", "-c",
                           "exec " SPECIMEN " spins $TMPDIR/f & echo x >>$TMPDIR/f; wait $!"};
  here.options.limit = 5;
  const auto found = here.explored();
  EXPECT_FALSE(found.by_order);
  EXPECT_GE(found.noticed.forced, found.runs);  // not of one run alone
  EXPECT_FALSE(found.complete);
}

// --- how it stops

TEST(command_exploration, makes_no_more_runs_than_its_limit) {
  search_setting here("two-writers");
  here.options.limit = 4;
  const auto found = here.explored();
  EXPECT_EQ(found.runs, 4U);
  EXPECT_FALSE(found.complete);
}

TEST(command_exploration, stops_at_its_deadline) {
  search_setting here("two-writers");
  here.options.deadline = clock::now();
  const auto found = here.explored();
  EXPECT_TRUE(found.out_of_time);
  EXPECT_FALSE(found.complete);
  EXPECT_EQ(found.runs, 0U);
}

TEST(command_exploration, stops_for_an_interrupt) {
  std::atomic<bool> interrupt{true};
  search_setting here("two-writers");
  here.options.interrupt = &interrupt;
  here.settings.interrupt = &interrupt;
  const auto found = here.explored();
  EXPECT_TRUE(found.interrupted);
  EXPECT_FALSE(found.complete);
  EXPECT_FALSE(found.by_order);
}

TEST(command_exploration, keeps_what_it_has_when_the_preparation_fails) {
  search_setting here("looks-too-early");
  const auto count = here.settings.directory.parent_path() / "count";
  // From the twelfth run on: it has found something then, and not yet confirmed it.
  here.settings.prepare =
      "echo x >>" + count.string() + "; test $(wc -l <" + count.string() + ") -lt 12";
  const auto found = here.explored();
  EXPECT_TRUE(found.failed);
  EXPECT_TRUE(found.by_order);
  EXPECT_EQ(found.by_order->state.text, "exit 1");
}

TEST(command_exploration, draws_samples_alone_where_it_is_asked_to) {
  search_setting here("looks-too-early");
  here.options.samples = 10;
  const auto found = here.explored();
  ASSERT_NE(find_pass(found, search_pass::samples), nullptr);
  EXPECT_EQ(find_pass(found, search_pass::as_it_is), nullptr);
  EXPECT_FALSE(found.complete);
}

}  // namespace
}  // namespace filemap
