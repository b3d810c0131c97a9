// What is above the seam, on a subject that is no more than its steps.

#include "explore/search.hpp"

#include "explore/depth_first.hpp"
#include "explore/fixed_schedule.hpp"
#include "explore/probabilistic.hpp"

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace filemap {
namespace {

constexpr footprint on_one_thing{0, 1};
constexpr footprint on_its_own(std::size_t stream) { return {0, std::uint64_t{2} << stream}; }

/// So many streams of so many steps each. What it comes to is their order: "0 1 0".
class steps_in_order final : public subject {
 public:
  explicit steps_in_order(std::vector<std::uint32_t> streams) : streams_(std::move(streams)) {}

  void begin() override {
    ++begun;
    done_.assign(streams_.size(), 0);
    order.clear();
    hold();
  }
  std::span<const candidate> held() const override { return held_; }
  footprint execute(std::size_t choice) override {
    const auto stream = held_[choice].stream;
    order += (order.empty() ? "" : " ") + std::to_string(stream);
    ++done_[stream];
    hold();
    ++executed;
    if (after_each) after_each();
    return touches(stream);
  }
  ending end() override {
    ++ended;
    const auto number = numbers_.try_emplace(order, numbers_.size()).first->second;
    return {false, number, bad(order)};
  }
  std::string describe(const candidate& which) const override {
    return std::to_string(which.stream);
  }

  std::function<footprint(std::size_t)> touches = [](std::size_t) { return on_one_thing; };
  std::function<bool(const std::string&)> bad = [](const std::string&) { return false; };
  std::function<void()> after_each;
  std::string order;
  std::size_t begun = 0;
  std::size_t executed = 0;
  std::size_t ended = 0;

 private:
  void hold() {
    held_.clear();
    for (std::uint32_t i = 0; i < streams_.size(); ++i) {
      if (done_[i] < streams_[i]) held_.push_back({i, done_[i], 0});
    }
  }

  std::vector<candidate> held_;
  std::vector<std::uint32_t> streams_;
  std::vector<std::uint32_t> done_;
  std::map<std::string, std::size_t> numbers_;
};

std::string bad_witness(const std::set<std::string>& bad) {
  steps_in_order subject({1, 1, 1});
  subject.bad = [&](const std::string& order) { return bad.count(order) > 0; };
  const auto found = search(subject, {});
  EXPECT_TRUE(found.complete);
  EXPECT_EQ(found.bad, bad.size());
  return found.to_bad ? to_string(found.to_bad->schedule) : "";
}

// --- depth first

TEST(depth_first, executes_every_order_of_what_does_not_commute) {
  steps_in_order subject({2, 2, 1});
  const auto found = search(subject, {});
  EXPECT_TRUE(found.complete);
  EXPECT_EQ(found.schedules, 30U);  // 5! / (2! 2!)
  EXPECT_EQ(found.states.size(), 30U);
  EXPECT_EQ(found.cut, 0U);
}

TEST(depth_first, executes_one_order_of_what_commutes) {
  steps_in_order subject({2, 2, 1});
  subject.touches = on_its_own;
  const auto found = search(subject, {});
  EXPECT_TRUE(found.complete);
  EXPECT_EQ(found.schedules, 1U);
}

// Runs that it has made to their end.
std::size_t schedules_of(depth_first& order, steps_in_order& subject) {
  std::size_t ended = 0;
  while (order.begin()) {
    const bool is_over = execute(subject, order).end.has_value();
    order.ended();
    if (is_over) ++ended;
  }
  return ended;
}

TEST(depth_first, leaves_out_nothing_where_it_is_told_that_nothing_commutes) {
  steps_in_order subject({2, 2, 1});
  subject.touches = on_its_own;
  depth_first all(depth_first::commuting::nothing);
  EXPECT_EQ(schedules_of(all, subject), 30U);
  EXPECT_FALSE(all.has_left_out());
  depth_first some(depth_first::commuting::by_footprint);
  EXPECT_EQ(schedules_of(some, subject), 1U);
  EXPECT_TRUE(some.has_left_out());
}

TEST(depth_first, does_not_go_on_with_a_run_that_it_has_given_up) {
  steps_in_order subject({1, 1});
  subject.touches = on_its_own;
  const auto found = search(subject, {});
  EXPECT_EQ(found.cut, 1U);
  EXPECT_EQ(subject.begun, 2U);
  EXPECT_EQ(subject.executed, 3U);  // both in the first run, one in the second
  EXPECT_EQ(subject.ended, 1U);
}

// --- divergence

// Its first choice is between two, or, in the runs that diverge, between two others.
class moody final : public subject {
 public:
  explicit moody(std::function<bool(std::size_t run)> in) : in_(std::move(in)) {}
  void begin() override {
    const std::uint32_t other = in_(++begun) ? 2 : 0;
    held_ = {{other, 0, 0}, {other + 1, 0, 0}};
  }
  std::span<const candidate> held() const override { return held_; }
  footprint execute(std::size_t choice) override {
    held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(choice));
    return on_one_thing;
  }
  ending end() override { return {}; }
  std::string describe(const candidate&) const override { return ""; }

  std::size_t begun = 0;

 private:
  std::function<bool(std::size_t)> in_;
  std::vector<candidate> held_;
};

TEST(search, makes_a_run_that_diverged_again_and_takes_it_for_no_result) {
  moody subject([](std::size_t run) { return run == 2; });
  const auto found = search(subject, {});
  EXPECT_EQ(found.diverged, 1U);
  EXPECT_EQ(found.schedules, 2U);
  EXPECT_TRUE(found.complete);
}

TEST(search, is_not_complete_where_a_run_goes_on_to_diverge) {
  moody subject([](std::size_t run) { return run >= 2; });
  const auto found = search(subject, {});
  EXPECT_GT(found.diverged, 1U);
  EXPECT_EQ(found.schedules, 1U);
  EXPECT_FALSE(found.complete);
}

// It comes to its end, but in its first runs a time-out has run out.
class hurried final : public subject {
 public:
  explicit hurried(std::size_t until) : until_(until) {}
  void begin() override {
    ++begun;
    held_ = {{0, 0, 0}};
  }
  std::span<const candidate> held() const override { return held_; }
  footprint execute(std::size_t) override {
    held_.clear();
    return on_one_thing;
  }
  ending end() override { return {false, 0, false, begun <= until_}; }
  std::string describe(const candidate&) const override { return ""; }

  std::size_t begun = 0;

 private:
  const std::size_t until_;
  std::vector<candidate> held_;
};

TEST(execute, makes_a_run_in_which_a_time_out_ran_out_again_a_few_times) {
  hurried once(1);
  fixed_schedule order{witness{}};
  order.begin();
  EXPECT_FALSE(execute(once, order).end->outwaited);
  EXPECT_EQ(once.begun, 2U);
  hurried always(100);
  order.begin();
  EXPECT_TRUE(execute(always, order).end->outwaited);
  EXPECT_EQ(always.begun, 3U);
}

// --- witnesses

TEST(witness, is_better_with_fewer_detours_and_then_the_first) {
  const auto better = [](const char* one, const char* other) {
    return is_better(parse_witness(one), parse_witness(other));
  };
  EXPECT_TRUE(better("3", "2.2"));
  EXPECT_FALSE(better("2.2", "3"));
  EXPECT_TRUE(better("1.2", "2"));
  EXPECT_FALSE(better("2", "1.2"));
  EXPECT_FALSE(better("2", "2"));
}

TEST(search, keeps_the_bad_schedule_with_the_fewest_detours) {
  EXPECT_EQ(bad_witness({"1 2 0", "2 0 1"}), "3");  // "2.2" was found before
  EXPECT_EQ(bad_witness({"0 2 1", "1 0 2"}), "1.2");
}

TEST(smallest, leaves_out_the_detours_that_are_not_needed) {
  steps_in_order subject({2, 1, 1});
  subject.bad = [](const std::string& order) { return order.find('2') < order.find('1'); };
  fixed_schedule order(parse_witness("3.2"));
  order.begin();
  EXPECT_EQ(to_string(smallest(subject, execute(subject, order), {}).schedule), "3");
}

TEST(fixed_schedule, gives_up_what_the_subject_does_not_have) {
  steps_in_order subject({1, 1});
  fixed_schedule order(parse_witness("3"));
  order.begin();
  EXPECT_FALSE(execute(subject, order).end.has_value());
  EXPECT_EQ(order.misfit(), "its choice 1 is 3, but only 2 operations can execute there");
  EXPECT_EQ(subject.executed, 0U);
}

// --- samples

std::set<std::string> drawn(unsigned depth, std::uint64_t samples) {
  std::set<std::string> orders;
  steps_in_order subject({3, 3});
  subject.bad = [&](const std::string& order) { return orders.insert(order).second; };
  search_options options;
  options.samples = samples;
  options.depth = depth;
  options.seed = 7;
  EXPECT_EQ(search(subject, options).sampled, samples);
  return orders;
}

// Without a point at which it would fall behind, the first in priority goes on to its end.
TEST(probabilistic, keeps_the_priorities_of_a_run) {
  EXPECT_EQ(drawn(1, 50), (std::set<std::string>{"0 0 0 1 1 1", "1 1 1 0 0 0"}));
}

TEST(probabilistic, lets_the_first_in_priority_fall_behind_once_less_than_its_depth) {
  const auto orders = drawn(2, 200);
  EXPECT_TRUE(orders.count("0 1 1 1 0 0") > 0);
  EXPECT_TRUE(orders.count("1 1 0 0 0 1") > 0);
  EXPECT_FALSE(orders.count("0 1 0 1 0 1") > 0);
}

TEST(probabilistic, draws_one_of_those_that_are_of_one_stream) {
  probabilistic order(1, 1);
  const std::vector<candidate> held = {{0, 0, 0}, {0, 1, 0}, {0, 2, 0}};
  std::map<std::size_t, int> chosen;
  for (int i = 0; i < 300; ++i) {
    order.begin();
    ++chosen[order.choose(held)];
  }
  for (std::size_t i = 0; i < held.size(); ++i) EXPECT_GT(chosen[i], 60) << i;
}

// --- stopping

TEST(search, does_nothing_any_more_once_it_is_interrupted) {
  std::atomic<bool> interrupt{false};
  steps_in_order subject({9, 9});
  subject.after_each = [&] { interrupt = true; };
  search_options options;
  options.interrupt = &interrupt;
  const auto found = search(subject, options);
  EXPECT_TRUE(found.interrupted);
  EXPECT_FALSE(found.complete);
  EXPECT_EQ(found.schedules, 0U);
  EXPECT_EQ(subject.executed, 1U);
}

TEST(search, does_nothing_any_more_at_its_deadline) {
  steps_in_order subject({2, 2});
  search_options options;
  options.deadline = clock::now();
  const auto found = search(subject, options);
  EXPECT_TRUE(found.out_of_time);
  EXPECT_FALSE(found.complete || found.interrupted);
  EXPECT_EQ(subject.executed, 0U);
}

TEST(search, keeps_what_it_has_found_when_the_subject_fails) {
  steps_in_order subject({1, 1, 1});
  subject.bad = [](const std::string& order) { return order == "0 1 2"; };
  subject.after_each = [&] {
    if (subject.ended == 2) throw std::runtime_error("it has failed");
  };
  const auto found = search(subject, {});
  EXPECT_TRUE(found.failed);
  EXPECT_FALSE(found.complete);
  EXPECT_EQ(found.schedules, 2U);
  ASSERT_TRUE(found.to_bad);
  EXPECT_EQ(to_string(found.to_bad->schedule), "1");
}

}  // namespace
}  // namespace filemap
