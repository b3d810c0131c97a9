#include "filemap/coro/task_scope.hpp"

#include "testing.hpp"

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace filemap {
namespace {

task<> ends_after(gate& opened, int& ended) {
  co_await opened;
  ++ended;
}

task<> fails_after(gate& opened, std::string what) {
  co_await opened;
  throw std::runtime_error(what);
}

task<> fails_at_once(std::string what) {
  throw std::runtime_error(what);
  co_return;
}

task<> counts(int& ended) {
  ++ended;
  co_return;
}

task<> joined(task_scope& scope) { co_await scope.join(); }

/// What `root`, which has ended, threw.
std::string thrown_by(task<>& root) {
  EXPECT_TRUE(root.done());
  try {
    root.result();
  } catch (const std::runtime_error& thrown) {
    return thrown.what();
  }
  return "nothing";
}

TEST(task_scope, a_task_starts_when_it_is_spawned) {
  gate opened;
  int ended = 0;
  task_scope scope;
  scope.spawn(ends_after(opened, ended));
  EXPECT_TRUE(opened.has_waiter());
  EXPECT_EQ(scope.running(), 1U);
  opened.open();
  EXPECT_EQ(ended, 1);
  EXPECT_EQ(scope.running(), 0U);
}

TEST(task_scope, join_waits_for_the_last_in_whatever_order_they_end) {
  std::array<gate, 3> opened;
  int ended = 0;
  task_scope scope;
  for (auto& one : opened) scope.spawn(ends_after(one, ended));
  auto root = joined(scope);
  root.start();
  for (const auto i : {1U, 2U, 0U}) {
    EXPECT_FALSE(root.done());
    opened[i].open();
  }
  EXPECT_TRUE(root.done());
  EXPECT_EQ(ended, 3);
}

TEST(task_scope, join_of_nothing_does_not_wait) {
  task_scope scope;
  auto root = joined(scope);
  root.start();
  EXPECT_TRUE(root.done());
}

TEST(task_scope, the_first_exception_comes_out_when_all_have_ended) {
  std::array<gate, 3> opened;
  int ended = 0;
  task_scope scope;
  scope.spawn(fails_after(opened[0], "spawned first, failed second"));
  scope.spawn(fails_after(opened[1], "failed first"));
  scope.spawn(ends_after(opened[2], ended));
  auto root = joined(scope);
  root.start();
  opened[1].open();
  opened[0].open();
  EXPECT_FALSE(root.done()) << "one has not ended";
  opened[2].open();
  EXPECT_EQ(ended, 1) << "the failure of others must not stop it";
  EXPECT_EQ(thrown_by(root), "failed first");
}

TEST(task_scope, an_exception_is_thrown_once) {
  task_scope scope;
  scope.spawn(fails_at_once("once"));
  auto first = joined(scope);
  first.start();
  EXPECT_EQ(thrown_by(first), "once");
  auto second = joined(scope);
  second.start();
  EXPECT_EQ(thrown_by(second), "nothing");
}

task<> spawns_another(task_scope& scope, gate& opened, gate& other, int& ended) {
  co_await opened;
  scope.spawn(ends_after(other, ended));
  ++ended;
}

TEST(task_scope, join_waits_for_a_task_spawned_by_the_last_one) {
  gate opened;
  gate other;
  int ended = 0;
  task_scope scope;
  scope.spawn(spawns_another(scope, opened, other, ended));
  auto root = joined(scope);
  root.start();
  opened.open();
  EXPECT_FALSE(root.done());
  other.open();
  EXPECT_TRUE(root.done());
  EXPECT_EQ(ended, 2);
}

task<> holds_while_shut(counted, gate& opened) { co_await opened; }

task<> alive_after_join(task_scope& scope, int& alive) {
  co_await scope.join();
  alive = counted::alive;
}

// A parameter lives as long as the frame. A child that got a file by value must have closed it when
// the join returns.
TEST(task_scope, join_returns_only_when_the_frames_are_gone_with_their_parameters) {
  std::array<gate, 2> opened;
  int alive = -1;
  task_scope scope;
  for (auto& one : opened) scope.spawn(holds_while_shut(counted{}, one));
  auto root = alive_after_join(scope, alive);
  root.start();
  for (auto& one : opened) one.open();
  ASSERT_TRUE(root.done());
  EXPECT_EQ(alive, 0);
}

task<> owns_its_scope(gate& opened, int& ended) {
  auto scope = std::make_unique<task_scope>();
  scope->spawn(ends_after(opened, ended));
  co_await scope->join();
  scope.reset();
  ++ended;
}

TEST(task_scope, the_joining_task_may_destroy_the_scope) {
  gate opened;
  int ended = 0;
  auto root = owns_its_scope(opened, ended);
  root.start();
  opened.open();  // AddressSanitizer judges
  EXPECT_EQ(ended, 2);
}

TEST(task_scope, is_usable_again_after_a_join) {
  int ended = 0;
  task_scope scope;
  for (int round = 1; round <= 3; ++round) {
    scope.spawn(counts(ended));
    auto root = joined(scope);
    root.start();
    ASSERT_TRUE(root.done());
    EXPECT_EQ(ended, round);
  }
}

TEST(task_scope, two_million_tasks_that_end_at_once_do_not_overflow_the_stack) {
  int ended = 0;
  task_scope scope;
  for (int i = 0; i < 2'000'000; ++i) scope.spawn(counts(ended));
  EXPECT_EQ(ended, 2'000'000);
}

TEST(task_scope_death_test, a_scope_with_running_tasks_is_not_destroyed_in_silence) {
  EXPECT_DEATH(
      {
        gate never;
        int ended = 0;
        task_scope scope;
        scope.spawn(ends_after(never, ended));
      },
      "must be joined");
}

// --- with_scope

struct spawn_and_throw {
  gate& opened;
  int& ended;
  task<> operator()(task_scope& scope) const { return body(scope, opened, ended); }
  static task<> body(task_scope& scope, gate& opened, int& ended) {
    scope.spawn(ends_after(opened, ended));
    throw std::runtime_error("thrown by the body");
    co_return;
  }
};

TEST(with_scope, a_body_that_throws_does_not_abandon_its_tasks) {
  gate opened;
  int ended = 0;
  auto root = with_scope(spawn_and_throw{opened, ended});
  root.start();
  EXPECT_FALSE(root.done());
  opened.open();
  EXPECT_EQ(ended, 1);
  EXPECT_EQ(thrown_by(root), "thrown by the body");
}

struct spawn_failing_and_throw {
  gate& opened;
  task<> operator()(task_scope& scope) const { return body(scope, opened); }
  static task<> body(task_scope& scope, gate& opened) {
    scope.spawn(fails_at_once("thrown by a task"));
    co_await opened;
    throw std::runtime_error("thrown by the body");
  }
};

TEST(with_scope, what_the_body_threw_wins_over_what_a_task_threw_before) {
  gate opened;
  auto root = with_scope(spawn_failing_and_throw{opened});
  root.start();
  opened.open();
  EXPECT_EQ(thrown_by(root), "thrown by the body");
}

TEST(with_scope, what_a_task_threw_comes_out_when_the_body_did_not_throw) {
  gate opened;
  auto root = with_scope([&opened](task_scope& scope) {  // not a coroutine: it calls one
    scope.spawn(fails_after(opened, "thrown by a task"));
    return joined(scope);
  });
  root.start();
  opened.open();
  EXPECT_EQ(thrown_by(root), "thrown by a task");
}

TEST(with_scope, waits_for_tasks_that_the_body_did_not_join) {
  gate opened;
  int ended = 0;
  auto root = with_scope([&](task_scope& scope) {
    scope.spawn(ends_after(opened, ended));
    return counts(ended);
  });
  root.start();
  EXPECT_EQ(ended, 1);
  EXPECT_FALSE(root.done());
  opened.open();
  EXPECT_EQ(thrown_by(root), "nothing");
  EXPECT_EQ(ended, 2);
}

TEST(with_scope, scopes_nest) {
  gate opened;
  int ended = 0;
  auto root = with_scope([&](task_scope& outer) {
    outer.spawn(with_scope([&](task_scope& inner) {
      inner.spawn(ends_after(opened, ended));
      return counts(ended);
    }));
    return counts(ended);
  });
  root.start();
  EXPECT_EQ(ended, 2);
  opened.open();
  EXPECT_TRUE(root.done());
  EXPECT_EQ(ended, 3);
}

}  // namespace
}  // namespace filemap
