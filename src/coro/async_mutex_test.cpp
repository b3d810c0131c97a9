#include "filemap/coro/async_mutex.hpp"

#include "filemap/coro/task.hpp"
#include "filemap/coro/task_scope.hpp"

#include "testing.hpp"

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace filemap {
namespace {

/// Holds the lock until `opened`, and writes down when it got it and when it gave it back.
task<> holds(async_mutex& mutex, gate& opened, char name, std::string& log) {
  const auto guard = co_await mutex.lock();
  log += name;
  co_await opened;
  log += static_cast<char>(name - 'a' + 'A');
}

task<> takes(async_mutex& mutex, char name, std::string& log) {
  const auto guard = co_await mutex.lock();
  log += name;
}

TEST(async_mutex, a_free_lock_does_not_suspend) {
  async_mutex mutex;
  std::string log;
  auto first = takes(mutex, 'a', log);
  first.start();
  EXPECT_TRUE(first.done());
  auto second = takes(mutex, 'b', log);
  second.start();
  EXPECT_TRUE(second.done());
  EXPECT_EQ(log, "ab");
}

TEST(async_mutex, two_tasks_are_never_inside_together) {
  async_mutex mutex;
  std::array<gate, 2> opened;
  std::string log;
  auto first = holds(mutex, opened[0], 'a', log);
  auto second = holds(mutex, opened[1], 'b', log);
  first.start();
  second.start();
  EXPECT_EQ(log, "a");
  opened[0].open();
  EXPECT_EQ(log, "aAb");
  opened[1].open();
  EXPECT_EQ(log, "aAbB");
}

TEST(async_mutex, first_come_first_served) {
  async_mutex mutex;
  gate opened;
  std::string log;
  auto holder = holds(mutex, opened, 'a', log);
  holder.start();
  task_scope scope;
  for (const char name : std::string("bcdefgh")) scope.spawn(takes(mutex, name, log));
  opened.open();
  EXPECT_EQ(log, "aAbcdefgh");
}

TEST(async_mutex, who_comes_late_does_not_overtake_who_waits) {
  async_mutex mutex;
  std::array<gate, 2> opened;
  std::string log;
  auto first = holds(mutex, opened[0], 'a', log);
  auto second = holds(mutex, opened[1], 'b', log);
  auto late = takes(mutex, 'c', log);
  first.start();
  second.start();
  opened[0].open();  // the lock goes to the second without being free in between
  late.start();
  EXPECT_EQ(log, "aAb");
  opened[1].open();
  EXPECT_EQ(log, "aAbBc");
}

task<> fails_inside(async_mutex& mutex, gate& opened) {
  const auto guard = co_await mutex.lock();
  co_await opened;
  throw std::runtime_error("inside");
}

TEST(async_mutex, an_exception_inside_unlocks) {
  async_mutex mutex;
  gate opened;
  std::string log;
  auto first = fails_inside(mutex, opened);
  first.start();
  auto second = takes(mutex, 'b', log);
  second.start();
  opened.open();
  EXPECT_TRUE(second.done());
  EXPECT_THROW(first.result(), std::runtime_error);
}

TEST(async_mutex, destroying_the_task_that_holds_it_unlocks) {
  async_mutex mutex;
  gate never;
  std::string log;
  auto second = takes(mutex, 'b', log);
  {
    auto first = holds(mutex, never, 'a', log);
    first.start();
    second.start();
    EXPECT_FALSE(second.done());
  }
  EXPECT_TRUE(second.done());
  EXPECT_EQ(log, "ab");
}

// A read that is dropped while an earlier call has the file's lock must not be resumed by its
// unlock.
TEST(async_mutex, a_waiting_task_that_is_destroyed_is_not_resumed) {
  for (const std::size_t dropped : {0U, 1U, 2U}) {
    async_mutex mutex;
    gate opened;
    std::string log;
    auto holder = holds(mutex, opened, 'a', log);
    holder.start();
    std::vector<task<>> waiting;
    for (const char name : {'b', 'c', 'd'}) {
      waiting.push_back(takes(mutex, name, log));
      waiting.back().start();
    }
    std::string expected = "aAbcd";
    expected.erase(2 + dropped, 1);
    waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(dropped));
    opened.open();
    EXPECT_EQ(log, expected);
  }
}

TEST(async_mutex, is_free_again_after_the_only_waiting_task_was_destroyed) {
  async_mutex mutex;
  gate opened;
  std::string log;
  auto holder = holds(mutex, opened, 'a', log);
  holder.start();
  {
    auto waiting = takes(mutex, 'b', log);
    waiting.start();
  }
  auto next = takes(mutex, 'c', log);
  next.start();
  opened.open();
  EXPECT_EQ(log, "aAc");
}

task<> locks_often(async_mutex& mutex, int times, int& locked) {
  for (int i = 0; i < times; ++i) {
    const auto guard = co_await mutex.lock();
    ++locked;
  }
}

task<> moves_its_guard(async_mutex& mutex, std::string& log) {
  auto guard = co_await mutex.lock();
  log += 'a';
  {
    const auto taken = std::move(guard);
    log += 'm';
  }
  log += 'A';
}

TEST(async_mutex, a_guard_that_was_moved_from_does_not_unlock_again) {
  async_mutex mutex;
  gate opened;
  std::string log;
  auto holder = holds(mutex, opened, 'x', log);
  holder.start();
  auto mover = moves_its_guard(mutex, log);
  mover.start();
  std::array<gate, 1> inside;
  auto next = holds(mutex, inside[0], 'b', log);
  next.start();
  opened.open();
  EXPECT_EQ(log, "xXamAb");
  auto last = takes(mutex, 'c', log);
  last.start();
  EXPECT_EQ(log, "xXamAb") << "it is still held";
  inside[0].open();
  EXPECT_EQ(log, "xXamAbBc");
}

// Each takes the lock over from the one before it.
TEST(async_mutex, a_million_waiting_tasks_do_not_overflow_the_stack) {
  async_mutex mutex;
  gate opened;
  std::string log;
  auto holder = holds(mutex, opened, 'x', log);
  holder.start();
  int locked = 0;
  std::vector<task<>> waiting;
  for (int i = 0; i < 1'000'000; ++i) {
    waiting.push_back(locks_often(mutex, 1, locked));
    waiting.back().start();
  }
  opened.open();
  EXPECT_EQ(locked, 1'000'000);
}

TEST(async_mutex, a_task_that_gives_the_lock_back_and_takes_it_again_queues_behind_who_waits) {
  async_mutex mutex;
  gate opened;
  std::string log;
  auto holder = holds(mutex, opened, 'x', log);
  holder.start();
  int locked = 0;
  auto twice = locks_often(mutex, 2, locked);
  twice.start();
  auto next = takes(mutex, 'b', log);
  next.start();
  opened.open();
  EXPECT_EQ(log, "xXb");
  EXPECT_EQ(locked, 2);
}

TEST(async_mutex, a_million_locks_in_a_loop_do_not_overflow_the_stack) {
  async_mutex mutex;
  int locked = 0;
  auto root = locks_often(mutex, 1'000'000, locked);
  root.start();
  EXPECT_TRUE(root.done());
  EXPECT_EQ(locked, 1'000'000);
}

/// The last to hold the lock destroys it with its owner.
task<> destroys(std::unique_ptr<async_mutex>& mutex, gate& opened) {
  {
    const auto guard = co_await mutex->lock();
    co_await opened;
  }
  mutex.reset();
}

TEST(async_mutex, may_be_destroyed_by_whom_an_unlock_resumed) {
  auto mutex = std::make_unique<async_mutex>();
  std::array<gate, 2> opened;
  std::string log;
  auto first = holds(*mutex, opened[0], 'a', log);
  first.start();
  auto second = destroys(mutex, opened[1]);
  second.start();
  opened[0].open();
  opened[1].open();  // AddressSanitizer judges
  EXPECT_EQ(mutex, nullptr);
}

}  // namespace
}  // namespace filemap
