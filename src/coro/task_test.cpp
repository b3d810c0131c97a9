#include "filemap/coro/task.hpp"

#include "filemap/coro/frame_pool.hpp"

#include "testing.hpp"

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace filemap {
namespace {

task<int> value(int n) { co_return n; }

task<> nothing() { co_return; }

task<int> value_after(gate& opened, int n) {
  co_await opened;
  co_return n;
}

task<> failure() {
  throw std::runtime_error("thrown by the child");
  co_return;
}

task<> failure_after(gate& opened) {
  co_await opened;
  throw std::runtime_error("thrown by the child");
}

task<> noting(bool& started) {
  started = true;
  co_return;
}

template <typename T>
task<T> forwarded(task<T> child) {
  T result = co_await child;
  co_return result;
}

task<std::string> what_it_threw(task<> child) {
  std::string what;
  try {
    co_await child;
  } catch (const std::runtime_error& thrown) {
    what = thrown.what();
  }
  co_return what;
}

template <typename T>
T result_of(task<T> root) {
  root.start();
  EXPECT_TRUE(root.done());
  return root.result();
}

TEST(task, does_not_start_before_it_is_awaited) {
  bool started = false;
  auto lazy = noting(started);
  EXPECT_FALSE(started);
  lazy.start();
  EXPECT_TRUE(started);
}

TEST(task, result_of_a_child_that_ends_at_once_is_not_lost) {
  EXPECT_EQ(result_of(forwarded(value(7))), 7);
}

TEST(task, result_of_a_child_that_suspends_is_not_lost) {
  gate opened;
  auto root = forwarded(value_after(opened, 7));
  root.start();
  EXPECT_FALSE(root.done());
  opened.open();
  ASSERT_TRUE(root.done());
  EXPECT_EQ(root.result(), 7);
}

task<std::unique_ptr<int>> owned(int n) { co_return std::make_unique<int>(n); }

task<std::unique_ptr<int>> passed_on(int n) {
  auto result = co_await owned(n);
  co_return result;
}

TEST(task, result_that_can_only_move_is_not_copied) { EXPECT_EQ(*result_of(passed_on(7)), 7); }

struct base {
  base() = default;
  base(const base&) = delete;
  base& operator=(const base&) = delete;
  virtual ~base() = default;
  virtual int answer() const { return 0; }
};
struct derived : base {
  int answer() const override { return 42; }
};

task<std::unique_ptr<base>> converted() { co_return std::make_unique<derived>(); }

TEST(task, result_is_converted_to_the_declared_type) {
  EXPECT_EQ(result_of(converted())->answer(), 42);
}

TEST(task, exception_of_a_child_that_ends_at_once_reaches_its_awaiter) {
  EXPECT_EQ(result_of(what_it_threw(failure())), "thrown by the child");
}

TEST(task, exception_of_a_child_that_suspends_reaches_its_awaiter) {
  gate opened;
  auto root = what_it_threw(failure_after(opened));
  root.start();
  opened.open();
  EXPECT_EQ(root.result(), "thrown by the child");
}

task<> passes_exceptions_on(task<> child) { co_await child; }

TEST(task, exception_that_nobody_catches_comes_out_of_the_root) {
  auto root = passes_exceptions_on(passes_exceptions_on(failure()));
  root.start();
  ASSERT_TRUE(root.done());
  EXPECT_THROW(root.result(), std::runtime_error);
}

task<counted> counted_value(int n) { co_return counted{n}; }

task<int> value_of_counted(int n) {
  const auto result = co_await counted_value(n);
  co_return result.value;
}

TEST(task, result_is_destroyed_exactly_once) {
  EXPECT_EQ(result_of(value_of_counted(7)), 7);
  EXPECT_EQ(counted::alive, 0);
}

TEST(task, result_that_nobody_takes_is_destroyed) {
  {
    auto root = counted_value(7);
    root.start();
    EXPECT_EQ(counted::alive, 1);
  }
  EXPECT_EQ(counted::alive, 0);
}

task<int> keeps(counted argument, gate& opened) {
  const counted local{argument.value + 1};
  co_await opened;
  co_return local.value;
}

TEST(task, arguments_of_a_task_that_never_starts_are_destroyed_exactly_once) {
  {
    gate never;
    const auto dropped = keeps(counted{1}, never);
    EXPECT_EQ(counted::alive, 1);
  }
  EXPECT_EQ(counted::alive, 0);
}

TEST(task, locals_of_a_suspended_task_are_destroyed_with_it) {
  {
    gate never;
    auto dropped = keeps(counted{1}, never);
    dropped.start();
    EXPECT_EQ(counted::alive, 2);
  }
  EXPECT_EQ(counted::alive, 0);
}

TEST(task, destroying_a_suspended_task_destroys_the_children_that_it_awaits) {
  {
    gate never;
    auto dropped = forwarded(forwarded(keeps(counted{1}, never)));
    dropped.start();
    EXPECT_EQ(counted::alive, 2);
  }
  EXPECT_EQ(counted::alive, 0);
}

task<int> throws_past(counted argument) {
  const counted local{argument.value};
  co_await failure();
  co_return local.value;
}

TEST(task, locals_of_a_task_that_throws_are_destroyed_exactly_once) {
  auto root = throws_past(counted{1});
  root.start();
  EXPECT_EQ(counted::alive, 1);  // its argument, with the frame
  EXPECT_THROW(root.result(), std::runtime_error);
  { const auto gone = std::move(root); }
  EXPECT_EQ(counted::alive, 0);
}

task<int> sum_of_arguments(counted a, counted b) { co_return a.value + b.value; }

task<int> awaits_with_temporaries() {
  const auto sum = co_await sum_of_arguments(counted{1}, counted{2});
  const auto alive = counted::alive;  // the full expression has ended, and its temporaries with it
  co_return sum * 10 + alive;
}

TEST(task, temporaries_in_the_awaited_expression_are_destroyed_exactly_once) {
  EXPECT_EQ(result_of(awaits_with_temporaries()), 30);
  EXPECT_EQ(counted::alive, 0);
}

TEST(task, moving_a_task_moves_its_frame) {
  gate opened;
  auto first = keeps(counted{1}, opened);
  first.start();
  auto second = std::move(first);
  opened.open();
  EXPECT_EQ(second.result(), 2);
}

TEST(task, assigning_a_task_does_not_leak_the_one_before) {
  {
    gate opened;
    auto kept = keeps(counted{1}, opened);
    kept = keeps(counted{2}, opened);
    kept.start();
    opened.open();
    EXPECT_EQ(kept.result(), 3);
  }
  EXPECT_EQ(counted::alive, 0);
}

task<long> awaits_many(long count) {
  long sum = 0;
  for (long i = 0; i < count; ++i) {
    co_await nothing();
    const auto one = co_await value(1);
    sum += one;
  }
  co_return sum;
}

TEST(task, two_million_children_that_end_at_once_do_not_overflow_the_stack) {
  EXPECT_EQ(result_of(awaits_many(1'000'000)), 1'000'000);
}

task<long> awaits_many_that_suspend(gate& opened, long count) {
  long sum = 0;
  for (long i = 0; i < count; ++i) {
    const auto one = co_await value_after(opened, 1);
    sum += one;
  }
  co_return sum;
}

TEST(task, a_million_children_that_suspend_do_not_overflow_the_stack) {
  gate opened;
  auto root = awaits_many_that_suspend(opened, 1'000'000);
  root.start();
  while (!root.done()) opened.open();
  EXPECT_EQ(root.result(), 1'000'000);
}

task<int> nested(int depth, gate& opened) {
  if (depth == 0) {
    co_await opened;
    co_return 0;
  }
  const auto below = co_await nested(depth - 1, opened);
  co_return below + 1;
}

TEST(task, a_thousand_nested_awaits_resume_in_order) {
  gate opened;
  auto root = nested(1000, opened);
  root.start();
  EXPECT_FALSE(root.done());
  opened.open();
  EXPECT_EQ(root.result(), 1000);
}

// --- frame_pool

TEST(frame_pool, a_finished_frame_serves_the_next_of_its_size) {
  if (under_address_sanitizer) GTEST_SKIP() << "under AddressSanitizer no frame is kept";
  void* const first = frame_pool::allocate(100);
  frame_pool::deallocate(first, 100);
  void* const second = frame_pool::allocate(128);  // the same step of 64
  EXPECT_EQ(second, first);
  void* const third = frame_pool::allocate(128);
  EXPECT_NE(third, second);
  frame_pool::deallocate(second, 128);
  frame_pool::deallocate(third, 128);
}

TEST(frame_pool, frames_of_every_size_are_as_large_as_asked_for) {
  for (std::size_t size = 1; size <= 3000; ++size) {
    auto* const frame = static_cast<unsigned char*>(frame_pool::allocate(size));
    frame[0] = frame[size - 1] = 1;  // for the sanitizers to judge
    frame_pool::deallocate(frame, size);
  }
}

TEST(frame_pool, a_thread_that_ends_returns_its_frames) {
  std::thread([] { EXPECT_EQ(result_of(awaits_many(10)), 10); }).join();  // LeakSanitizer judges
}

}  // namespace
}  // namespace filemap
