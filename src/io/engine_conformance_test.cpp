// What every engine promises, and every file on every engine: one suite, run unchanged on each. A
// test is named for the failure that it prevents.

#include "filemap/coro/task_scope.hpp"
#include "filemap/io/engines.hpp"
#include "filemap/io/failing.hpp"
#include "filemap/io/file.hpp"
#include "filemap/io/notify.hpp"
#include "filemap/io/run.hpp"

#include "testing.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace filemap {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

// --- what the suite runs on

struct engine_case {
  std::string name;
  std::function<std::unique_ptr<engine>(std::optional<unsigned> entries)>
      make;                 // where it has them
  bool keeps_time = true;   ///< the stepping engine does not: its chooser says what is next
  bool may_starve = false;  ///< the chooser may prefer one task for ever

  friend std::ostream& operator<<(std::ostream& out, const engine_case& one) {
    return out << one.name;
  }
};

std::unique_ptr<engine> ring(std::optional<unsigned> entries, uring_options options) {
  if (entries) options.entries = *entries;
  return make_uring_engine(options);
}

std::vector<engine_case> engines() {
  using entries = std::optional<unsigned>;
  std::vector<engine_case> all = {
      {"uring", [](entries n) { return ring(n, {}); }},
      {"uring_sqpoll", [](entries n) { return ring(n, {.sqpoll = true}); }},
      {"uring_force_async", [](entries n) { return ring(n, {.force_async = true}); }},
      {"uring_no_defer", [](entries n) { return ring(n, {.defer_taskrun = false}); }},
      {"pool", [](entries) { return make_pool_engine(); }},
      {"pool_1", [](entries) { return make_pool_engine({.threads = 1}); }},
      {"sync", [](entries) { return make_sync_engine(); }},
      {"stepping_first",
       [](entries) {
         return make_stepping_engine([](std::span<io_op* const>) { return std::size_t{0}; });
       }},
      {"stepping_last",
       [](entries) {
         return make_stepping_engine([](std::span<io_op* const> held) { return held.size() - 1; });
       }},
  };
  // Where the kernel can enforce it, the suite fails if anything newer than the ceiling is used.
  for (const auto version : operation_ceilings()) {
    auto name = "uring_ops_" + to_string(version);
    std::replace(name.begin(), name.end(), '.', '_');
    all.push_back({name, [=](entries n) { return ring(n, {.ceiling = version}); }});
  }
  for (auto& one : all) {
    one.keeps_time = !one.name.starts_with("stepping");
    one.may_starve = one.name == "stepping_last";
  }
  return all;
}

class on_an_engine {
 protected:
  /// Empty, or why the engine cannot be had here.
  std::string make(const engine_case& which, std::optional<unsigned> entries = {}) {
    try {
      owned_engine_ = which.make(entries);
    } catch (const unsupported& why) {
      return why.what();
    }
    return {};
  }
  engine& io() noexcept { return *owned_engine_; }
  void destroy_engine() noexcept { owned_engine_.reset(); }
  /// By then, what was started before is in the kernel's or a worker's hands.
  void pass_a_turn() {
    noted_op nop(io_request::nop());
    io().start(nop);
    while (nop.completions == 0) turn(io());
  }

  unique_fd open(std::string_view name, int flags) {
    return open_file(directory_ / name, flags | O_CREAT);
  }

  scratch_directory directory_;

 private:
  std::unique_ptr<engine> owned_engine_;
};

class engine_conformance : public on_an_engine, public ::testing::TestWithParam<engine_case> {
 protected:
  void SetUp() override {
    if (const auto why = make(GetParam()); !why.empty()) GTEST_SKIP() << why;
  }
  void make_small() {
    destroy_engine();
    ASSERT_EQ(make(GetParam(), 8), "");
  }
};

INSTANTIATE_TEST_SUITE_P(engines, engine_conformance, ::testing::ValuesIn(engines()),
                         [](const auto& info) { return std::string(info.param.name); });

// --- starting and completing

TEST_P(engine_conformance, start_never_completes_an_operation_before_the_loop_turns) {
  static_assert(noexcept(io().start(std::declval<io_op&>())));
  static_assert(noexcept(io().cancel(std::declval<io_op&>())));
  noted_op op(io_request::nop());
  io().start(op);
  EXPECT_EQ(op.completions, 0);
  EXPECT_EQ(io().in_flight(), 1U);
  turn(io());
  EXPECT_EQ(op.completions, 1);
  EXPECT_EQ(op.result(), io_result{0});
  EXPECT_EQ(io().in_flight(), 0U);
}

TEST_P(engine_conformance, no_completion_is_lost_or_delivered_twice) {
  std::deque<noted_op> ops;
  for (int i = 0; i < 1000; ++i) io().start(ops.emplace_back(io_request::nop()));
  EXPECT_EQ(io().in_flight(), 1000U);
  drain(io());
  for (const auto& op : ops) EXPECT_EQ(op.completions, 1);
}

/// Destroys itself in its completion, and starts the one after it.
class link_of_a_chain : public io_op {
 public:
  link_of_a_chain(engine& engine, int left, int& ended)
      : io_op(io_request::nop(), &next), engine_(engine), left_(left), ended_(ended) {
    engine_.start(*this);
  }

 private:
  static void next(io_op& op) noexcept {
    auto* const self = static_cast<link_of_a_chain*>(&op);
    ++self->ended_;
    if (self->left_ > 0) new link_of_a_chain(self->engine_, self->left_ - 1, self->ended_);
    delete self;
  }

  engine& engine_;
  int left_;
  int& ended_;
};

TEST_P(engine_conformance, a_completion_may_destroy_its_operation_and_start_others) {
  int ended = 0;
  for (int i = 0; i < 10; ++i) new link_of_a_chain(io(), 99, ended);
  drain(io());
  EXPECT_EQ(ended, 1000);
}

TEST_P(engine_conformance, an_operation_can_be_started_again_after_its_completion) {
  noted_op op(io_request::nop());
  for (int round = 1; round <= 100; ++round) {
    io().start(op);
    drain(io());
    EXPECT_EQ(op.completions, round);
    op.reuse(io_request::nop());
  }
}

/// Checks out one byte of the file, the one at its own number.
task<> reads_its_byte(engine& engine, int fd, std::size_t number, std::size_t& right) {
  std::byte got{};
  const auto request = io_request::read(fd, static_cast<std::int64_t>(number), std::span(&got, 1));
  const auto result = co_await perform(engine, request);
  co_await succeeds(performed(engine, io_request::nop()));
  if (result.res == 1 && got == static_cast<std::byte>(number % 251)) ++right;
}

task<> reads_all_bytes(engine& engine, int fd, std::size_t count, std::size_t& right) {
  task_scope scope;
  for (std::size_t i = 0; i < count; ++i) scope.spawn(reads_its_byte(engine, fd, i, right));
  co_await scope.join();
}

TEST_P(engine_conformance, ten_thousand_tasks_on_eight_entries_lose_nothing) {
  make_small();
  // The stepping engine looks at all that it holds for every step.
  const std::size_t count = GetParam().keeps_time ? 10'000 : 2'000;
  std::string data;
  for (std::size_t i = 0; i < count; ++i) data += static_cast<char>(i % 251);
  const auto fd = open("data", O_RDWR);
  ASSERT_EQ(::write(fd.get(), data.data(), data.size()), static_cast<ssize_t>(count));
  std::size_t right = 0;
  run(io(), reads_all_bytes(io(), fd.get(), count, right));
  EXPECT_EQ(right, count);
}

// --- results are data

TEST_P(engine_conformance, a_bad_descriptor_is_a_result_and_not_a_hang_or_an_exception) {
  int closed = -1;
  {
    const auto fd = open("closed", O_RDWR);
    closed = fd.get();
  }
  struct statx status;
  std::array<std::byte, 8> buffer{};
  for (const int fd : {-1, closed}) {
    for (const auto& request :
         {io_request::read(fd, 0, buffer), io_request::read(fd, at_cursor, buffer),
          io_request::write(fd, 0, buffer), io_request::write(fd, at_cursor, buffer),
          io_request::write(fd, at_end, buffer), io_request::fsync(fd), io_request::fdatasync(fd),
          io_request::statx(fd, status), io_request::truncate(fd, 0), io_request::seek(fd, 0),
          io_request::sync_range(fd, 0, 0), io_request::allocate(fd, 0, 1),
          io_request::punch(fd, 0, 1), io_request::drop_cache(fd, 0, 0), io_request::close(fd),
          io_request::open(fd, "name", O_RDONLY), io_request::unlink(fd, "name"),
          io_request::rename(fd, "name", fd, "other"), io_request::read_event(fd)}) {
      EXPECT_EQ(perform_alone(io(), request), io_result{-EBADF})
          << to_string(request.code) << " of descriptor " << fd;
    }
  }
}

TEST_P(engine_conformance, a_full_device_is_a_result) {
  const auto fd = open_file("/dev/full", O_WRONLY);
  const auto result = perform_alone(io(), io_request::write(fd.get(), 0, bytes("lost")));
  EXPECT_EQ(result, io_result{-ENOSPC});
}

TEST_P(engine_conformance, nothing_read_at_the_end_of_a_file_is_zero_and_not_an_error) {
  const auto fd = open("file", O_RDWR);
  ASSERT_EQ(::write(fd.get(), "abc", 3), 3);
  std::array<std::byte, 8> buffer{};
  EXPECT_EQ(perform_alone(io(), io_request::read(fd.get(), 3, buffer)), io_result{0});
  EXPECT_EQ(perform_alone(io(), io_request::read(fd.get(), at_cursor, buffer)), io_result{0});
  EXPECT_EQ(perform_alone(io(), io_request::read(fd.get(), 1, buffer)), io_result{2});
}

// --- what operations do

TEST_P(engine_conformance, sync_range_takes_a_range_and_refuses_a_negative_one) {
  const auto fd = open("file", O_RDWR);
  ASSERT_EQ(::write(fd.get(), "abc", 3), 3);
  EXPECT_EQ(perform_alone(io(), io_request::sync_range(fd.get(), 1, 2)), io_result{0});
  EXPECT_EQ(perform_alone(io(), io_request::sync_range(fd.get(), 0, 0)), io_result{0});
  EXPECT_EQ(perform_alone(io(), io_request::sync_range(fd.get(), -5, 1)), io_result{-EINVAL});
}

TEST_P(engine_conformance, allocate_grows_a_file_by_zeros_and_keeps_its_bytes) {
  const auto fd = open("file", O_RDWR);
  ASSERT_EQ(::write(fd.get(), "abc", 3), 3);
  const auto result = perform_alone(io(), io_request::allocate(fd.get(), 1, 4));
  if (result == io_result{-EOPNOTSUPP}) GTEST_SKIP() << "this file system has no fallocate";
  EXPECT_EQ(result, io_result{0});
  EXPECT_EQ(contents(fd.get()), std::string("abc\0\0", 5));
  EXPECT_EQ(perform_alone(io(), io_request::allocate(fd.get(), 0, 0)), io_result{-EINVAL});
  EXPECT_EQ(perform_alone(io(), io_request::allocate(fd.get(), -5, 1)), io_result{-EINVAL});
}

TEST_P(engine_conformance, punch_zeroes_a_range_and_keeps_the_size) {
  const auto fd = open("file", O_RDWR);
  ASSERT_EQ(::write(fd.get(), "abcdef", 6), 6);
  const auto result = perform_alone(io(), io_request::punch(fd.get(), 1, 3));
  if (result == io_result{-EOPNOTSUPP}) GTEST_SKIP() << "this file system punches no holes";
  EXPECT_EQ(result, io_result{0});
  EXPECT_EQ(contents(fd.get()), std::string("a\0\0\0ef", 6));
  EXPECT_EQ(perform_alone(io(), io_request::punch(fd.get(), 100, 10)), io_result{0});
  EXPECT_EQ(contents(fd.get()).size(), 6U);
}

TEST_P(engine_conformance, drop_cache_loses_no_bytes_and_returns_its_error) {
  const auto fd = open("file", O_RDWR);
  ASSERT_EQ(::write(fd.get(), "abc", 3), 3);
  EXPECT_EQ(perform_alone(io(), io_request::drop_cache(fd.get(), 0, 0)), io_result{0});
  EXPECT_EQ(contents(fd.get()), "abc");
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const unique_fd reader{ends[0]};
  const unique_fd writer{ends[1]};
  EXPECT_EQ(perform_alone(io(), io_request::drop_cache(reader.get(), 0, 0)), io_result{-ESPIPE});
}

TEST_P(engine_conformance, open_returns_a_descriptor_that_exec_closes) {
  const auto directory = open_file(directory_ / ".", O_RDONLY | O_DIRECTORY);
  const auto create = io_request::open(directory.get(), "new", O_RDWR | O_CREAT | O_EXCL, 0600);
  const auto result = perform_alone(io(), create);
  ASSERT_TRUE(result.ok()) << result.error();
  const unique_fd opened{result.descriptor()};
  EXPECT_EQ(::fcntl(opened.get(), F_GETFD), FD_CLOEXEC);
  struct stat status {};
  ASSERT_EQ(::fstat(opened.get(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(perform_alone(io(), create), io_result{-EEXIST});
  EXPECT_EQ(perform_alone(io(), io_request::open(directory.get(), "none", O_RDONLY)),
            io_result{-ENOENT});
  const auto path = (directory_ / "new").string();
  const auto by_path = perform_alone(io(), io_request::open(AT_FDCWD, path.c_str(), O_RDONLY));
  ASSERT_TRUE(by_path.ok());
  ::close(by_path.descriptor());
}

TEST_P(engine_conformance, close_frees_the_descriptor) {
  auto fd = open("file", O_RDWR);
  const int number = fd.release();
  EXPECT_EQ(perform_alone(io(), io_request::close(number)), io_result{0});
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
  EXPECT_EQ(perform_alone(io(), io_request::close(number)), io_result{-EBADF});
}

TEST_P(engine_conformance, rename_replaces_and_unlink_removes_a_name) {
  const auto directory = open_file(directory_ / ".", O_RDONLY | O_DIRECTORY);
  const auto from = open("from", O_RDWR);
  const auto onto = open("onto", O_RDWR);
  ASSERT_EQ(::write(from.get(), "abc", 3), 3);
  const auto rename = io_request::rename(directory.get(), "from", directory.get(), "onto");
  EXPECT_EQ(perform_alone(io(), rename), io_result{0});
  EXPECT_EQ(contents(open("onto", O_RDONLY).get()), "abc");
  EXPECT_EQ(perform_alone(io(), rename), io_result{-ENOENT});

  const auto unlink = io_request::unlink(directory.get(), "onto");
  EXPECT_EQ(perform_alone(io(), unlink), io_result{0});
  EXPECT_EQ(contents(from.get()), "abc") << "an open file outlives its name";
  EXPECT_EQ(perform_alone(io(), unlink), io_result{-ENOENT});
  EXPECT_EQ(perform_alone(io(), io_request::unlink(directory.get(), ".")), io_result{-EISDIR});
}

TEST_P(engine_conformance, an_open_that_nobody_hears_of_leaks_no_descriptor) {
  open("file", O_RDWR);
  const auto path = (directory_ / "file").string();
  destroy_engine();
  const auto before = open_descriptors();
  ASSERT_EQ(make(GetParam()), "");
  noted_op op(io_request::open(AT_FDCWD, path.c_str(), O_RDONLY));
  op.request.mandatory = true;
  io().start(op);
  destroy_engine();
  EXPECT_EQ(open_descriptors(), before);
}

// --- events

task<> takes(notify& edge, io_result& result) {
  const auto taken = co_await edge.wait();
  result = taken;
}

constexpr io_result a_permit{8};

TEST_P(engine_conformance, a_notification_before_the_wait_is_not_lost) {
  notify edge(io());
  edge.notify_one();
  io_result result;
  run(io(), takes(edge, result));
  EXPECT_EQ(result, a_permit);
}

TEST_P(engine_conformance, a_wait_does_not_end_before_its_notification) {
  notify edge(io());
  noted_op wait(io_request::read_event(edge.fd()));
  io().start(wait);
  for (int i = 0; i < 10; ++i) pass_a_turn();
  EXPECT_EQ(wait.completions, 0);
  edge.notify_one();
  drain(io());
  EXPECT_EQ(wait.result(), a_permit);
}

TEST_P(engine_conformance, two_notifications_are_one_permit) {
  notify edge(io());
  edge.notify_one();
  edge.notify_one();
  io_result result;
  run(io(), takes(edge, result));
  EXPECT_EQ(result, a_permit);

  noted_op second(io_request::read_event(edge.fd()));
  io().start(second);
  pass_a_turn();
  EXPECT_EQ(second.completions, 0) << "the first wait took both";
  edge.notify_one();
  drain(io());
}

TEST_P(engine_conformance, a_permit_that_was_taken_back_ends_no_wait) {
  notify edge(io());
  edge.notify_one();
  edge.reset();
  edge.reset();  // without a permit it does not block
  noted_op wait(io_request::read_event(edge.fd()));
  io().start(wait);
  pass_a_turn();
  EXPECT_EQ(wait.completions, 0);
  edge.notify_one();
  drain(io());
}

TEST_P(engine_conformance, a_notification_from_another_thread_wakes_the_loop) {
  if (!GetParam().keeps_time) GTEST_SKIP() << "the stepping engine waits for no other thread";
  notify edge(io());
  for (int round = 0; round < 100; ++round) {
    std::thread other([&edge] { edge.notify_one(); });
    io_result result;
    run(io(), takes(edge, result));
    other.join();
    ASSERT_EQ(result, a_permit);
  }
}

TEST_P(engine_conformance, no_hop_between_two_tasks_is_lost) {
  run(io(), plays_ping_pong(io(), 1000));
}

task<> sets_when_notified(notify& edge, bool& flag) {
  const auto permit = co_await edge.wait();
  EXPECT_EQ(permit, a_permit);
  flag = true;
}

task<> works_until(engine& engine, int fd, const bool& flag, long& turns) {
  while (!flag && turns < 100'000) {
    ++turns;
    co_await succeeds(performed(engine, io_request::nop()));
    co_await succeeds(performed(engine, io_request::seek(fd, 0)));
  }
}

task<> waits_beside_a_busy_task(engine& engine, int fd, bool& flag) {
  notify edge(engine);
  long turns = 0;
  task_scope scope;
  scope.spawn(sets_when_notified(edge, flag));
  edge.notify_one();
  scope.spawn(works_until(engine, fd, flag, turns));
  co_await scope.join();
  EXPECT_LT(turns, 100'000);
}

TEST_P(engine_conformance, a_task_that_always_has_something_ready_does_not_starve_one_that_waits) {
  if (GetParam().may_starve) GTEST_SKIP() << "whoever is last goes first";
  const auto fd = open("file", O_RDWR);
  bool flag = false;
  run(io(), waits_beside_a_busy_task(io(), fd.get(), flag));
  EXPECT_TRUE(flag);
}

task<> notified_then_writes(notify& mine, notify& next, engine& engine, int fd, int& written) {
  const auto permit = co_await mine.wait();
  EXPECT_EQ(permit, a_permit);
  const auto result = co_await perform(engine, io_request::write(fd, at_end, bytes("x")));
  written += result.res;
  next.notify_one();
}

task<> many_wait_for_one(engine& engine, int fd, std::size_t count, int& written) {
  std::deque<notify> edges;
  for (std::size_t i = 0; i <= count; ++i) edges.emplace_back(engine);
  task_scope scope;
  for (std::size_t i = 0; i < count; ++i) {
    scope.spawn(notified_then_writes(edges[i], edges[i + 1], engine, fd, written));
  }
  edges[0].notify_one();
  co_await scope.join();
}

// CQ full of waits: the write that the first of them is about must still get in.
TEST_P(engine_conformance, tasks_that_wait_do_not_keep_out_what_they_wait_for) {
  make_small();
  const auto fd = open("file", O_WRONLY | O_APPEND);
  int written = 0;
  run(io(), many_wait_for_one(io(), fd.get(), 14, written));
  EXPECT_EQ(written, 14);
}

// --- time

TEST_P(engine_conformance, a_sleep_does_not_end_early) {
  if (!GetParam().keeps_time) GTEST_SKIP() << "time is the chooser's";
  for (const nanoseconds duration : {nanoseconds{0}, nanoseconds{1}, nanoseconds{2ms}}) {
    const auto before = clock::now();
    io_record record;
    EXPECT_EQ(perform_alone(io(), io_request::sleep(duration), &record), io_result{0});
    EXPECT_GE(clock::now() - before, duration);
    EXPECT_GE(record.returned - before, duration);
  }
}

TEST_P(engine_conformance, sleeping_tasks_sleep_at_the_same_time) {
  if (!GetParam().keeps_time) GTEST_SKIP() << "time is the chooser's";
  std::deque<noted_op> ops;
  for (int i = 0; i < 100; ++i) io().start(ops.emplace_back(io_request::sleep(1ms)));
  drain(io());
  for (const auto& op : ops) EXPECT_EQ(op.result(), io_result{0});
}

TEST_P(engine_conformance, a_stall_holds_an_operation_back) {
  if (!GetParam().keeps_time) GTEST_SKIP() << "time is the chooser's";
  const auto fd = open("file", O_RDWR);
  auto request = io_request::write(fd.get(), 0, bytes("late"));
  request.delay = 2ms;
  const auto before = clock::now();
  io_record record;
  EXPECT_EQ(perform_alone(io(), request, &record), io_result{4});
  EXPECT_GE(record.returned - before, request.delay);
  if (io().traits().start_observable) {
    EXPECT_GE(record.started - before, request.delay);
  }
  EXPECT_EQ(contents(fd.get()), "late");
}

TEST_P(engine_conformance, a_stall_holds_every_kind_of_file_operation_back) {
  if (!GetParam().keeps_time) GTEST_SKIP() << "time is the chooser's";
  const auto fd = open("file", O_RDWR);
  std::array<std::byte, 4> buffer{};
  struct statx status;
  for (auto request :
       {io_request::read(fd.get(), 0, buffer), io_request::fsync(fd.get()),
        io_request::fdatasync(fd.get()), io_request::statx(fd.get(), status),
        io_request::truncate(fd.get(), 0), io_request::seek(fd.get(), 0),
        io_request::allocate(fd.get(), 0, 1), io_request::punch(fd.get(), 0, 1),
        io_request::sync_range(fd.get(), 0, 0), io_request::drop_cache(fd.get(), 0, 0)}) {
    request.delay = 1ms;
    const auto before = clock::now();
    EXPECT_EQ(perform_alone(io(), request), io_result{0}) << to_string(request.code);
    EXPECT_GE(clock::now() - before, request.delay) << to_string(request.code);
  }
}

// An operation is reused with what the one before it left.
TEST_P(engine_conformance, a_short_sleep_does_not_inherit_the_deadline_of_a_long_one) {
  noted_op op(io_request::sleep(1h));
  io().start(op);
  io().cancel(op);
  drain(io());
  op.reuse(io_request::sleep(0ns));
  io().start(op);
  drain(io());
  EXPECT_EQ(op.result(), io_result{0});
}

// --- groups

io_request linked(io_request request, link_kind link = link_kind::link) {
  request.link = link;
  return request;
}
io_request drained(io_request request) {
  request.drain = true;
  return request;
}

/// Starts the members of a chain, links them and notes them in `ops`.
void start_chain(engine& engine, std::deque<noted_op>& ops, const std::vector<io_request>& members,
                 link_kind link = link_kind::link) {
  for (std::size_t i = 0; i < members.size(); ++i) {
    const bool is_last = i + 1 == members.size();
    engine.start(ops.emplace_back(linked(members[i], is_last ? link_kind::none : link)));
  }
}

constexpr io_result cancelled{-ECANCELED};

TEST_P(engine_conformance, the_members_of_a_chain_take_effect_in_order) {
  const auto fd = open("file", O_RDWR | O_APPEND);
  std::string expected;
  const std::string letters = "abcdefgh";
  for (int round = 0; round < 50; ++round) {
    std::deque<noted_op> ops;
    std::vector<io_request> appends;
    for (const auto& letter : letters) {
      appends.push_back(io_request::write(fd.get(), at_end, bytes({&letter, 1})));
    }
    start_chain(io(), ops, appends, round % 2 == 0 ? link_kind::link : link_kind::hardlink);
    EXPECT_EQ(io().in_flight(), letters.size());
    drain(io());
    expected += letters;
    for (const auto& op : ops) {
      EXPECT_EQ(op.completions, 1);
      EXPECT_EQ(op.result(), io_result{1});
    }
  }
  EXPECT_EQ(contents(fd.get()), expected);
}

TEST_P(engine_conformance, two_chains_are_each_in_order) {
  const auto one = open("one", O_RDWR | O_APPEND);
  const auto two = open("two", O_RDWR | O_APPEND);
  std::deque<noted_op> ops;
  for (int i = 0; i < 10; ++i) {
    for (const int fd : {one.get(), two.get()}) {
      start_chain(io(), ops,
                  {io_request::write(fd, at_end, bytes("a")), io_request::fdatasync(fd),
                   io_request::write(fd, at_end, bytes("b"))});
    }
    drain(io());
  }
  EXPECT_EQ(contents(one.get()), "abababababababababab");
  EXPECT_EQ(contents(two.get()), "abababababababababab");
}

// What a kernel without the operation executes by system call, and what no ring has, keeps its
// place.
TEST_P(engine_conformance, every_operation_keeps_its_place_in_a_chain) {
  const auto fd = open("file", O_RDWR);
  const auto path = (directory_ / "file").string();
  const auto other = (directory_ / "other").string();
  std::array<std::byte, 3> first{};
  std::array<std::byte, 3> second{};
  struct statx status {};
  std::deque<noted_op> ops;
  start_chain(io(), ops,
              {io_request::write(fd.get(), at_cursor, bytes("abc")), io_request::seek(fd.get(), 0),
               io_request::read(fd.get(), at_cursor, first), io_request::truncate(fd.get(), 5),
               io_request::statx(fd.get(), status),
               io_request::rename(AT_FDCWD, path.c_str(), AT_FDCWD, other.c_str()),
               io_request::read(fd.get(), 2, second), io_request::unlink(AT_FDCWD, other.c_str())});
  drain(io());
  for (const auto& op : ops) EXPECT_TRUE(op.result().ok()) << to_string(op.request.code);
  EXPECT_EQ(std::memcmp(first.data(), "abc", 3), 0);
  EXPECT_EQ(status.stx_size, 5U);
  EXPECT_EQ(std::memcmp(second.data(), "c\0\0", 3), 0);
  EXPECT_FALSE(std::filesystem::exists(other));
}

TEST_P(engine_conformance, a_failure_cancels_the_rest_of_a_link) {
  const auto fd = open("file", O_RDWR | O_APPEND);
  const auto append = io_request::write(fd.get(), at_end, bytes("x"));
  for (const auto& fails :
       {io_request::fsync(-1), io_request::write(-1, 0, bytes("x")), io_request::seek(-1, 0),
        io_request::open(AT_FDCWD, "/dev/null/none", O_RDONLY), io_request::unlink(AT_FDCWD, "")}) {
    std::deque<noted_op> ops;
    start_chain(io(), ops, {append, fails, append, append});
    io().start(ops.emplace_back(append));  // no member
    drain(io());
    EXPECT_EQ(ops[0].result(), io_result{1});
    EXPECT_FALSE(ops[1].result().ok());
    EXPECT_NE(ops[1].result(), cancelled) << to_string(fails.code);
    EXPECT_EQ(ops[2].result(), cancelled) << to_string(fails.code);
    EXPECT_EQ(ops[3].result(), cancelled) << to_string(fails.code);
    EXPECT_TRUE(ops[3].record.complete());
    EXPECT_EQ(ops[4].result(), io_result{1}) << to_string(fails.code);
    EXPECT_EQ(contents(fd.get()), "xx") << to_string(fails.code);
    ASSERT_EQ(::ftruncate(fd.get(), 0), 0);
  }
}

TEST_P(engine_conformance, a_short_read_breaks_a_link_and_not_a_hard_link) {
  const auto fd = open("file", O_RDWR | O_APPEND);
  ASSERT_EQ(::write(fd.get(), "abc", 3), 3);
  std::array<std::byte, 8> buffer{};
  const auto read = io_request::read(fd.get(), 0, buffer);
  const auto append = io_request::write(fd.get(), at_end, bytes("x"));
  std::deque<noted_op> ops;
  start_chain(io(), ops, {read, append});
  drain(io());
  EXPECT_EQ(ops[0].result(), io_result{3});
  EXPECT_EQ(ops[1].result(), cancelled);
  EXPECT_EQ(contents(fd.get()), "abc");

  ops.clear();
  start_chain(io(), ops, {read, append}, link_kind::hardlink);
  drain(io());
  EXPECT_EQ(ops[0].result(), io_result{3});
  EXPECT_EQ(ops[1].result(), io_result{1});
  EXPECT_EQ(contents(fd.get()), "abcx");
}

TEST_P(engine_conformance, a_short_write_breaks_a_link) {
  const auto fd = open("file", O_RDWR);
  const file_size_limit five(5);
  std::deque<noted_op> ops;
  // A stall keeps the chain from the kernel: the sequencer must know it too.
  for (const nanoseconds delay : {0ns, 1ns}) {
    auto late = io_request::fsync(fd.get());
    late.delay = delay;
    start_chain(io(), ops, {io_request::write(fd.get(), 0, bytes("0123456789")), late});
    drain(io());
    EXPECT_EQ(ops.front().result(), io_result{5});
    EXPECT_EQ(ops.back().result(), cancelled);
    ops.clear();
  }
}

TEST_P(engine_conformance, a_failure_cancels_nothing_behind_a_hard_link) {
  const auto fd = open("file", O_RDWR | O_APPEND);
  const auto append = io_request::write(fd.get(), at_end, bytes("x"));
  std::deque<noted_op> ops;
  start_chain(io(), ops, {io_request::fsync(-1), append, io_request::seek(-1, 0), append},
              link_kind::hardlink);
  drain(io());
  EXPECT_EQ(ops[0].result(), io_result{-EBADF});
  EXPECT_EQ(ops[3].result(), io_result{1});
  EXPECT_EQ(contents(fd.get()), "xx");
}

TEST_P(engine_conformance, a_broken_link_cancels_what_is_hard_linked_behind_it_too) {
  const auto fd = open("file", O_RDWR | O_APPEND);
  const auto append = io_request::write(fd.get(), at_end, bytes("x"));
  std::deque<noted_op> ops;
  for (const auto& request : {linked(io_request::fsync(-1)), linked(append, link_kind::hardlink),
                              linked(append, link_kind::hardlink), append}) {
    io().start(ops.emplace_back(request));
  }
  drain(io());
  for (const auto& op : ops) {
    EXPECT_EQ(op.result(), &op == &ops.front() ? io_result{-EBADF} : cancelled);
  }
  EXPECT_EQ(contents(fd.get()), "");
}

TEST_P(engine_conformance, a_full_submission_queue_does_not_cut_a_chain) {
  make_small();
  const auto fd = open("file", O_RDWR | O_APPEND);
  const std::string letters = "abcdefghijklmnopqrst";
  for (const std::size_t before : {0U, 1U, 5U, 7U, 8U, 15U, 16U, 40U}) {
    for (const std::size_t length : {2U, 7U, 8U, 9U, 20U}) {  // 9 and 20 are longer than the queue
      std::deque<noted_op> ops;
      for (std::size_t i = 0; i < before; ++i) {
        io().start(ops.emplace_back(io_request::fdatasync(fd.get())));
      }
      std::vector<io_request> appends;
      for (std::size_t i = 0; i < length; ++i) {
        appends.push_back(io_request::write(fd.get(), at_end, bytes({&letters[i], 1})));
      }
      start_chain(io(), ops, appends);
      start_chain(io(), ops, {io_request::fsync(-1), appends[0], appends[0]});
      drain(io());
      EXPECT_EQ(contents(fd.get()), letters.substr(0, length)) << before << " before " << length;
      EXPECT_EQ(ops.back().result(), cancelled);
      ASSERT_EQ(::ftruncate(fd.get(), 0), 0);
    }
  }
}

TEST_P(engine_conformance, a_cancelled_first_member_cancels_its_chain) {
  const auto fd = open("file", O_RDWR | O_APPEND);
  notify edge(io());
  std::deque<noted_op> ops;
  start_chain(io(), ops,
              {io_request::read_event(edge.fd()), io_request::write(fd.get(), at_end, bytes("x")),
               io_request::write(fd.get(), at_end, bytes("y"))});
  pass_a_turn();
  EXPECT_EQ(ops[1].completions, 0);
  io().cancel(ops[0]);
  drain(io());
  for (const auto& op : ops) EXPECT_EQ(op.result(), cancelled);
  EXPECT_EQ(contents(fd.get()), "");
}

TEST_P(engine_conformance, a_member_cancelled_before_its_turn_does_not_take_effect) {
  const auto fd = open("file", O_RDWR | O_APPEND);
  for (const auto link : {link_kind::link, link_kind::hardlink}) {
    notify edge(io());
    std::deque<noted_op> ops;
    start_chain(io(), ops,
                {io_request::read_event(edge.fd()), io_request::write(fd.get(), at_end, bytes("x")),
                 io_request::write(fd.get(), at_end, bytes("y"))},
                link);
    pass_a_turn();
    io().cancel(ops[1]);
    edge.notify_one();
    drain(io());
    EXPECT_EQ(ops[0].result(), a_permit);
    EXPECT_EQ(ops[1].result(), cancelled);
    EXPECT_EQ(ops[2].result(), link == link_kind::link ? cancelled : io_result{1});
  }
  EXPECT_EQ(contents(fd.get()), "y");
}

TEST_P(engine_conformance, a_cancelled_member_that_is_in_flight_is_not_lost) {
  const auto fd = open("file", O_RDWR | O_APPEND);
  for (std::size_t victim = 0; victim < 3; ++victim) {
    std::deque<noted_op> ops;
    const auto append = io_request::write(fd.get(), at_end, bytes("x"));
    start_chain(io(), ops, {append, append, append});
    io().cancel(ops[victim]);
    drain(io());
    for (const auto& op : ops) {
      EXPECT_EQ(op.completions, 1);
      EXPECT_TRUE(op.result() == io_result{1} || op.result() == cancelled);
    }
  }
}

TEST_P(engine_conformance, an_engine_may_end_with_a_chain_in_flight) {
  const auto fd = open("file", O_RDWR | O_APPEND);
  notify edge(io());
  auto mandatory = io_request::write(fd.get(), at_end, bytes("m"));
  mandatory.mandatory = true;
  std::deque<noted_op> ops;
  const auto wait = io_request::read_event(edge.fd());
  const auto append = io_request::write(fd.get(), at_end, bytes("x"));
  start_chain(io(), ops, {wait, append, mandatory});
  start_chain(io(), ops, {wait, append, mandatory}, link_kind::hardlink);
  pass_a_turn();
  io().start(ops.emplace_back(drained(append)));
  start_chain(io(), ops, {append, append});
  io().start(ops.emplace_back(linked(append)));  // a chain without its end
  destroy_engine();
  for (const auto& op : ops) EXPECT_FALSE(op.pending());
  const auto left = contents(fd.get());
  EXPECT_EQ(std::count(left.begin(), left.end(), 'm'), 1) << "behind the hard link";
}

TEST_P(engine_conformance, a_stall_holds_the_rest_of_its_chain_back) {
  if (!GetParam().keeps_time) GTEST_SKIP() << "time is the chooser's";
  const auto fd = open("file", O_RDWR | O_APPEND);
  const auto append = io_request::write(fd.get(), at_end, bytes("a"));
  auto late = io_request::write(fd.get(), at_end, bytes("b"));
  late.delay = 2ms;
  for (const auto& members : {std::vector{late, append}, std::vector{append, late, append}}) {
    ASSERT_EQ(::ftruncate(fd.get(), 0), 0);
    const auto before = clock::now();
    std::deque<noted_op> ops;
    start_chain(io(), ops, members);
    drain(io());
    EXPECT_GE(ops.back().record.returned - before, late.delay);
    EXPECT_EQ(contents(fd.get()), members.size() == 2 ? "ba" : "aba");
  }
}

TEST_P(engine_conformance, a_drained_operation_begins_after_all_before_it) {
  const auto fd = open("file", O_RDWR | O_APPEND);
  const auto append = [&](const char* text) {
    return io_request::write(fd.get(), at_end, bytes(text));
  };
  for (int round = 0; round < 20; ++round) {
    ASSERT_EQ(::ftruncate(fd.get(), 0), 0);
    std::deque<noted_op> ops;
    for (int i = 0; i < 5; ++i) io().start(ops.emplace_back(append("a")));
    io().start(ops.emplace_back(drained(append("b"))));
    io().start(ops.emplace_back(drained(append("c"))));
    io().start(ops.emplace_back(drained(linked(append("d")))));  // and a chain behind it
    io().start(ops.emplace_back(append("e")));
    drain(io());
    EXPECT_EQ(contents(fd.get()), "aaaaabcde");
  }
}

TEST_P(engine_conformance, what_is_started_after_a_drained_operation_waits_for_it) {
  const auto fd = open("file", O_RDWR | O_APPEND);
  struct statx status {};
  for (int round = 0; round < 20; ++round) {
    ASSERT_EQ(::ftruncate(fd.get(), 0), 0);
    std::deque<noted_op> ops;
    io().start(ops.emplace_back(io_request::write(fd.get(), at_end, bytes("a"))));
    io().start(ops.emplace_back(drained(io_request::write(fd.get(), at_end, bytes("b")))));
    io().start(ops.emplace_back(io_request::statx(fd.get(), status)));
    start_chain(io(), ops,
                {io_request::write(fd.get(), at_end, bytes("c")), io_request::fdatasync(fd.get())});
    drain(io());
    EXPECT_GE(status.stx_size, 2U);
    EXPECT_EQ(contents(fd.get()), "abc");
  }
}

TEST_P(engine_conformance, a_drained_operation_waits_for_the_chain_before_it) {
  const auto fd = open("file", O_RDWR | O_APPEND);
  const auto append = io_request::write(fd.get(), at_end, bytes("a"));
  std::deque<noted_op> ops;
  start_chain(io(), ops, {append, io_request::fsync(-1), append});
  start_chain(io(), ops, {append, io_request::fdatasync(fd.get()), append});
  io().start(ops.emplace_back(drained(io_request::write(fd.get(), at_end, bytes("b")))));
  drain(io());
  EXPECT_EQ(contents(fd.get()), "aaab");
}

// IOSQE_IO_DRAIN alone would wait for the wait, and the wait for whoever drains.
TEST_P(engine_conformance, a_drained_operation_does_not_wait_for_a_notification) {
  const auto fd = open("file", O_RDWR | O_APPEND);
  notify edge(io());
  noted_op wait(io_request::read_event(edge.fd()));
  io().start(wait);
  pass_a_turn();
  noted_op append(io_request::write(fd.get(), at_end, bytes("a")));
  noted_op drains(drained(io_request::fsync(fd.get())));
  io().start(append);
  io().start(drains);
  while (drains.completions == 0) turn(io());
  EXPECT_EQ(append.completions, 1);
  EXPECT_EQ(wait.completions, 0);
  edge.notify_one();
  drain(io());
  EXPECT_EQ(wait.result(), a_permit);
}

TEST_P(engine_conformance, a_wait_that_ends_lets_no_drained_operation_begin_early) {
  if (!GetParam().keeps_time) GTEST_SKIP() << "time is the chooser's";
  const auto fd = open("file", O_RDWR);
  notify edge(io());
  edge.notify_one();
  auto late = io_request::write(fd.get(), 0, bytes("late"));
  late.delay = 20ms;
  std::vector<const noted_op*> order;
  noted_op write(late, &order);
  noted_op wait(io_request::read_event(edge.fd()));
  noted_op drains(drained(io_request::fsync(fd.get())), &order);
  io().start(write);
  io().start(wait);
  io().start(drains);
  drain(io());
  EXPECT_EQ(order, (std::vector<const noted_op*>{&write, &drains}));
}

TEST_P(engine_conformance, an_operation_that_was_cancelled_in_its_place_runs_when_started_again) {
  const auto fd = open("file", O_RDWR | O_APPEND);
  notify edge(io());
  const auto append = io_request::write(fd.get(), at_end, bytes("x"));
  noted_op first(linked(io_request::read_event(edge.fd())));
  noted_op second(append);
  io().start(first);
  io().start(second);
  pass_a_turn();
  io().cancel(second);
  edge.notify_one();
  drain(io());
  EXPECT_EQ(second.result(), cancelled);
  second.reuse(append);
  io().start(second);
  drain(io());
  EXPECT_EQ(second.result(), io_result{1});
  EXPECT_EQ(contents(fd.get()), "x");
}

TEST_P(engine_conformance, a_drained_operation_can_be_cancelled) {
  const auto fd = open("file", O_RDWR | O_APPEND);
  noted_op before(io_request::write(fd.get(), at_end, bytes("a")));
  noted_op drains(drained(io_request::write(fd.get(), at_end, bytes("b"))));
  io().start(before);
  io().start(drains);
  io().cancel(drains);
  drain(io());
  EXPECT_EQ(before.result(), io_result{1});
  EXPECT_TRUE(drains.result() == cancelled || drains.result() == io_result{1});
  EXPECT_EQ(contents(fd.get()), drains.result().ok() ? "ab" : "a");
}

// --- records

TEST_P(engine_conformance, a_record_says_nothing_that_happened_before_its_cause) {
  const auto fd = open("file", O_RDWR);
  struct statx status;
  std::array<std::byte, 4> buffer{};
  for (const auto& request :
       {io_request::nop(), io_request::write(fd.get(), 0, bytes("data")),
        io_request::read(fd.get(), 0, buffer), io_request::fsync(fd.get()),
        io_request::fdatasync(fd.get()), io_request::statx(fd.get(), status),
        io_request::truncate(fd.get(), 0), io_request::seek(fd.get(), 0),
        io_request::allocate(fd.get(), 0, 1), io_request::drop_cache(fd.get(), 0, 0)}) {
    const auto before = clock::now();
    io_record record;
    const auto result = perform_alone(io(), request, &record);
    EXPECT_TRUE(record.complete());
    EXPECT_EQ(record.res, result.res);
    EXPECT_LE(before, record.submitted) << to_string(request.code);
    EXPECT_LE(record.submitted, record.returned) << to_string(request.code);
    EXPECT_LE(record.returned, clock::now()) << to_string(request.code);
    if (io().traits().start_observable) {
      EXPECT_LE(record.submitted, record.started) << to_string(request.code);
      EXPECT_LE(record.started, record.returned) << to_string(request.code);
    }
  }
}

TEST_P(engine_conformance, a_record_of_an_operation_that_had_to_queue_begins_when_it_is_submitted) {
  make_small();
  const auto before = clock::now();
  std::deque<noted_op> ops;
  for (int i = 0; i < 100; ++i) io().start(ops.emplace_back(io_request::nop()));
  drain(io());
  for (const auto& op : ops) {
    EXPECT_LE(before, op.record.submitted);
    EXPECT_LE(op.record.submitted, op.record.returned);
  }
}

// --- signals

std::atomic<int> signals_seen = 0;
void count_signal(int) { ++signals_seen; }

/// A timer's signal again and again, without SA_RESTART, so that it interrupts whatever waits.
class signal_storm {
 public:
  signal_storm() {
    signals_seen = 0;
    struct sigaction action {};
    action.sa_handler = &count_signal;
    ::sigaction(SIGALRM, &action, &before_);
    const itimerval often{{0, 300}, {0, 300}};
    ::setitimer(ITIMER_REAL, &often, nullptr);
  }
  signal_storm(const signal_storm&) = delete;
  signal_storm& operator=(const signal_storm&) = delete;
  ~signal_storm() {
    const itimerval never{};
    ::setitimer(ITIMER_REAL, &never, nullptr);
    ::sigaction(SIGALRM, &before_, nullptr);
  }

 private:
  struct sigaction before_ {};
};

TEST_P(engine_conformance, signals_during_waits_lose_nothing) {
  const auto fd = open("file", O_RDWR);
  std::array<std::byte, 4> buffer{};
  const signal_storm storm;
  while (signals_seen < 50) {
    std::deque<noted_op> ops;
    io().start(ops.emplace_back(io_request::write(fd.get(), 0, bytes("data"))));
    io().start(ops.emplace_back(io_request::sleep(500us)));
    io().start(ops.emplace_back(io_request::fsync(fd.get())));
    run(io(), plays_ping_pong(io(), 10));
    io().start(ops.emplace_back(io_request::read(fd.get(), 0, buffer)));
    drain(io());
    EXPECT_EQ(ops[0].result(), io_result{4});
    EXPECT_EQ(ops[1].result(), io_result{0});
    EXPECT_EQ(ops[2].result(), io_result{0});
    EXPECT_EQ(ops[3].result(), io_result{4});
    for (const auto& op : ops) EXPECT_EQ(op.completions, 1);
  }
}

// --- exceptions

task<> writes_then(engine& engine, int fd, std::int64_t offset, std::vector<std::byte> data,
                   bool fails, int& written) {
  const auto result = co_await perform(engine, io_request::write(fd, offset, data));
  written += result.res;
  if (fails) throw std::runtime_error("thrown with I/O in flight");
  co_await succeeds(performed(engine, io_request::fsync(fd)));
}

task<> ten_writers_of_which_one_fails(engine& engine, int fd, int& written) {
  task_scope scope;
  for (int i = 0; i < 10; ++i) {
    std::vector<std::byte> data(1000, std::byte{'x'});
    scope.spawn(writes_then(engine, fd, i * 1000, std::move(data), i == 3, written));
  }
  co_await scope.join();
}

TEST_P(engine_conformance, an_exception_leaves_no_operation_of_other_tasks_without_its_buffer) {
  const auto fd = open("file", O_RDWR);
  int written = 0;
  EXPECT_THROW(run(io(), ten_writers_of_which_one_fails(io(), fd.get(), written)),
               std::runtime_error);
  EXPECT_EQ(written, 10'000);
  EXPECT_EQ(io().in_flight(), 0U);
}

// --- cancellation

bool is_cancelled_or(io_result own, const io_op& op) {
  return op.result() == own || op.result() == io_result{-ECANCELED};
}

TEST_P(engine_conformance, a_cancelled_wait_completes) {
  notify edge(io());
  noted_op wait(io_request::read_event(edge.fd()));
  io().start(wait);
  pass_a_turn();  // it is armed by now
  io().cancel(wait);
  io().cancel(wait);  // asking twice is not an error
  drain(io());
  EXPECT_EQ(wait.completions, 1);
  EXPECT_EQ(wait.result(), io_result{-ECANCELED});
}

TEST_P(engine_conformance, a_wait_that_is_cancelled_at_once_completes) {
  notify edge(io());
  noted_op wait(io_request::read_event(edge.fd()));
  io().start(wait);
  io().cancel(wait);
  drain(io());
  EXPECT_EQ(wait.completions, 1);
  EXPECT_EQ(wait.result(), io_result{-ECANCELED});
}

TEST_P(engine_conformance, a_cancelled_sleep_completes) {
  noted_op sleep(io_request::sleep(1h));
  io().start(sleep);
  pass_a_turn();
  io().cancel(sleep);
  drain(io());
  EXPECT_EQ(sleep.completions, 1);
  EXPECT_TRUE(is_cancelled_or(io_result{0}, sleep));
  EXPECT_FALSE(GetParam().keeps_time && sleep.result().ok());
}

TEST_P(engine_conformance, a_cancelled_stall_completes) {
  if (!GetParam().keeps_time) GTEST_SKIP() << "time is the chooser's";
  const auto fd = open("file", O_RDWR);
  auto request = io_request::write(fd.get(), 0, bytes("late"));
  request.delay = io().traits().name == "uring" ? nanoseconds{1h} : 20ms;  // others cannot
  noted_op write(request);
  io().start(write);
  io().cancel(write);
  drain(io());
  EXPECT_EQ(write.completions, 1);
  EXPECT_TRUE(is_cancelled_or(io_result{4}, write));
  EXPECT_EQ(contents(fd.get()), write.result().ok() ? "late" : "");
}

TEST_P(engine_conformance, cancelling_what_is_done_changes_nothing) {
  const auto fd = open("file", O_RDWR);
  noted_op write(io_request::write(fd.get(), 0, bytes("data")));
  io().start(write);
  drain(io());
  io().cancel(write);
  EXPECT_EQ(io().in_flight(), 0U);
  pass_a_turn();
  EXPECT_EQ(write.completions, 1);
  EXPECT_EQ(write.result(), io_result{4});
}

TEST_P(engine_conformance, a_cancelled_file_operation_completes_once_whoever_is_faster) {
  const auto fd = open("file", O_RDWR);
  for (int round = 0; round < 50; ++round) {
    ASSERT_EQ(::ftruncate(fd.get(), 0), 0);
    noted_op write(io_request::write(fd.get(), 0, bytes("data")));
    io().start(write);
    if (round % 2 == 0) pass_a_turn();
    io().cancel(write);
    drain(io());
    ASSERT_EQ(write.completions, 1);
    ASSERT_TRUE(is_cancelled_or(io_result{4}, write));
    ASSERT_EQ(contents(fd.get()), write.result().ok() ? "data" : "");
  }
}

TEST_P(engine_conformance, cancelling_everything_completes_everything) {
  make_small();
  const auto fd = open("file", O_RDWR);
  std::deque<notify> edges;
  std::deque<noted_op> ops;
  for (int i = 0; i < 100; ++i) {
    edges.emplace_back(io());
    io().start(ops.emplace_back(io_request::read_event(edges.back().fd())));
    io().start(ops.emplace_back(io_request::sleep(1h)));
    io().start(ops.emplace_back(io_request::fsync(fd.get())));
  }
  for (auto op = ops.rbegin(); op != ops.rend(); ++op) io().cancel(*op);
  drain(io());
  for (const auto& op : ops) {
    EXPECT_EQ(op.completions, 1);
    EXPECT_TRUE(is_cancelled_or(io_result{0}, op));
    EXPECT_FALSE(op.request.code == opcode::read_event && op.result().ok());
  }
}

TEST_P(engine_conformance, a_cancellation_does_not_touch_the_operations_after_it) {
  notify edge(io());
  for (int round = 0; round < 100; ++round) {
    noted_op first(io_request::read_event(edge.fd()));
    io().start(first);
    io().cancel(first);
    drain(io());
    noted_op second(io_request::read_event(edge.fd()));
    io().start(second);
    pass_a_turn();
    EXPECT_EQ(second.completions, 0);
    edge.notify_one();
    drain(io());
    EXPECT_EQ(second.result(), a_permit);
  }
}

// --- teardown

TEST_P(engine_conformance, nothing_is_in_flight_after_the_destructor) {
  constexpr std::int64_t size = 1 << 16;
  const auto fd = open("file", O_RDWR);
  ASSERT_EQ(::ftruncate(fd.get(), 10 * size), 0);
  for (int round = 0; round < 10; ++round) {
    ASSERT_EQ(make(GetParam(), 8), "");
    const unique_fd event(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    std::vector<std::vector<std::byte>> buffers(10, std::vector<std::byte>(size));
    std::deque<noted_op> ops;
    io().start(ops.emplace_back(io_request::read_event(event.get())));
    io().start(ops.emplace_back(io_request::sleep(1h)));
    for (auto& buffer : buffers) {
      const auto offset = static_cast<std::int64_t>(ops.size()) % 10 * size;
      io().start(ops.emplace_back(io_request::read(fd.get(), offset, buffer)));
    }
    if (round % 2 == 0) pass_a_turn();
    destroy_engine();

    for (auto& buffer : buffers) std::fill(buffer.begin(), buffer.end(), std::byte{0xa5});
    ASSERT_EQ(::eventfd_write(event.get(), 1), 0);
    for (const auto& op : ops) {
      EXPECT_EQ(op.state, op_state::done) << to_string(op.request.code);
      if (op.result().ok()) continue;
      EXPECT_EQ(op.result(), io_result{-ECANCELED});
    }
    eventfd_t count = 0;
    EXPECT_EQ(::eventfd_read(event.get(), &count), 0) << "something still waits for it";
    for (const auto& buffer : buffers) {
      EXPECT_EQ(std::count(buffer.begin(), buffer.end(), std::byte{0xa5}), size)
          << "written after the end";
    }
  }
}

TEST_P(engine_conformance, a_mandatory_operation_runs_although_the_engine_is_torn_down) {
  const auto fd = open("file", O_RDWR | O_APPEND);
  std::deque<noted_op> ops;
  for (int i = 0; i < 100; ++i) {
    auto request = io_request::write(fd.get(), at_end, bytes("x"));
    request.mandatory = true;
    io().start(ops.emplace_back(request));
  }
  destroy_engine();
  for (const auto& op : ops) EXPECT_EQ(op.result(), io_result{1});
  EXPECT_EQ(contents(fd.get()), std::string(100, 'x'));
}

TEST_P(engine_conformance, an_engine_that_was_never_used_is_destroyed) { destroy_engine(); }

// --- one failure, wherever it comes

/// Something of everything, each where a failure must be told and leave nothing behind.
task<> works(engine& engine, const std::filesystem::path& directory, acknowledgement when,
             std::vector<io_result>& results) {
  const auto note = [&](io_result result) { results.push_back(result); };
  const auto path = (directory / "opened").string();
  const auto other = (directory / "renamed").string();
  const auto opened =
      co_await perform(engine, io_request::open(AT_FDCWD, path.c_str(), O_RDWR | O_CREAT));
  note(opened);
  if (!opened.ok()) co_return;
  const auto file = make_file(engine, unique_fd{opened.descriptor()}, when);
  std::array<std::byte, 4> buffer{};
  struct statx status;
  const auto written = co_await file->write(0, bytes("data"));
  note(written);
  const auto synced = co_await file->sync(sync_kind::fsync);
  note(synced);
  const auto seen = co_await file->stat(status);
  note(seen);
  const auto read = co_await file->read(0, buffer);
  note(read);
  const auto cut = co_await file->truncate(2);
  note(cut);
  notify edge(engine);
  edge.notify_one();
  const auto permit = co_await edge.wait();
  note(permit);
  const auto renamed =
      co_await perform(engine, io_request::rename(AT_FDCWD, path.c_str(), AT_FDCWD, other.c_str()));
  note(renamed);
  const auto flushed = co_await file->flush();
  note(flushed);
  const auto closed = co_await file->close();
  note(closed);
}

TEST_P(engine_conformance, each_operation_that_fails_is_told_once_and_leaves_nothing_behind) {
  for (const auto when : {acknowledgement::complete, acknowledgement::write_behind}) {
    destroy_engine();
    const auto before = open_descriptors();
    planned_failure failure{.happened = true};
    std::vector<io_result> results;
    for (failure.nth = 1; failure.happened; ++failure.nth) {
      failure.happened = false;
      results.clear();
      const auto engine = make_failing_engine(GetParam().make(8), failure);
      run(*engine, works(*engine, directory_ / "", when, results));
      EXPECT_EQ(engine->in_flight(), 0U);
      EXPECT_FALSE(engine->failed());
      // The flush that tells of a failed write may be another call that waits.
      EXPECT_EQ(std::count(results.begin(), results.end(), io_result{-EIO}),
                failure.happened ? 1 : 0)
          << failure.nth << ' ' << to_string(when);
    }
    EXPECT_GE(failure.nth, 8U);
    EXPECT_EQ(open_descriptors(), before);
  }
}

TEST_P(engine_conformance, each_wait_that_fails_ends_the_run_and_no_operation_is_left) {
  destroy_engine();
  planned_failure failure{.where = planned_failure::place::wait, .happened = true};
  for (failure.nth = 1; failure.happened; ++failure.nth) {
    failure.happened = false;
    std::vector<io_result> results;
    const auto fd = open("file", O_RDWR);
    std::deque<noted_op> ops;
    auto engine = make_failing_engine(GetParam().make(8), failure);
    for (int i = 0; i < 20; ++i) {
      engine->start(ops.emplace_back(io_request::write(fd.get(), 0, bytes("x"))));
    }
    try {
      run(*engine, works(*engine, directory_ / "", acknowledgement::complete, results));
    } catch (const std::system_error& failed) {
      EXPECT_EQ(failed.code().value(), EIO);
    }
    EXPECT_EQ(engine->failed(), failure.happened);
    engine.reset();
    for (const auto& op : ops) EXPECT_FALSE(op.pending());
  }
  EXPECT_GE(failure.nth, 8U);
}

TEST_P(engine_conformance, a_planned_failure_breaks_a_chain_and_lets_who_drains_go_on) {
  const auto fd = open("file", O_RDWR | O_APPEND);
  const auto append = io_request::write(fd.get(), at_end, bytes("x"));
  destroy_engine();
  planned_failure failure{.nth = 2, .error = ENOSPC};
  const auto engine = make_failing_engine(GetParam().make(8), failure);
  std::deque<noted_op> ops;
  start_chain(*engine, ops, {append, append, append});
  engine->start(ops.emplace_back(drained(append)));
  drain(*engine);
  EXPECT_EQ(ops[0].result(), io_result{1});
  EXPECT_EQ(ops[1].result(), io_result{-ENOSPC});
  EXPECT_EQ(ops[1].request.fd, fd.get());
  EXPECT_EQ(ops[2].result(), cancelled);
  EXPECT_EQ(ops[3].result(), io_result{1});
  EXPECT_EQ(contents(fd.get()), "xx");
}

// --- files

class file_conformance : public on_an_engine,
                         public ::testing::TestWithParam<std::tuple<engine_case, acknowledgement>> {
 protected:
  void SetUp() override {
    if (const auto why = make(which()); !why.empty()) GTEST_SKIP() << why;
  }
  static const engine_case& which() { return std::get<0>(GetParam()); }
  static acknowledgement when() { return std::get<1>(GetParam()); }
  static bool early() { return when() == acknowledgement::write_behind; }

  std::unique_ptr<file> open_file(std::string_view name, int flags) {
    return make_file(io(), open(name, flags), when());
  }
  template <typename T>
  T now(task<T> call) {
    return run(io(), std::move(call));
  }
};

INSTANTIATE_TEST_SUITE_P(
    engines, file_conformance,
    ::testing::Combine(::testing::ValuesIn(engines()),
                       ::testing::Values(acknowledgement::complete, acknowledgement::write_behind)),
    [](const auto& info) {
      const bool early = std::get<1>(info.param) == acknowledgement::write_behind;
      return std::string(std::get<0>(info.param).name) + (early ? "_write_behind" : "_complete");
    });

std::string text(std::span<const std::byte> data) {
  std::string copy;
  for (const auto byte : data) copy += static_cast<char>(byte);
  return copy;
}

TEST_P(file_conformance, bytes_written_at_an_offset_are_read_back_from_it) {
  const auto file = open_file("file", O_RDWR);
  EXPECT_EQ(now(file->write(0, bytes("hello world"))), io_result{11});
  EXPECT_EQ(now(file->write(6, bytes("there"))), io_result{5});
  std::array<std::byte, 16> buffer{};
  EXPECT_EQ(now(file->read(0, buffer)), io_result{11});
  EXPECT_EQ(text(std::span(buffer).first(11)), "hello there");
  EXPECT_EQ(now(file->read(6, std::span(buffer).first(2))), io_result{2});
  EXPECT_EQ(text(std::span(buffer).first(2)), "th");
  EXPECT_EQ(::lseek(file->fd(), 0, SEEK_CUR), 0) << "offsets leave the cursor alone";
}

TEST_P(file_conformance, apply_performs_on_the_descriptor_of_the_handle) {
  const auto file = open_file("file", O_RDWR);
  EXPECT_EQ(now(file->write(0, bytes("abcdef"))), io_result{6});
  const auto punched = now(file->apply(io_request::punch(-1, 1, 3)));
  if (punched == io_result{-EOPNOTSUPP}) GTEST_SKIP() << "this file system punches no holes";
  EXPECT_EQ(punched, io_result{0});
  EXPECT_EQ(contents(file->fd()), std::string("a\0\0\0ef", 6));
  io_record record;
  EXPECT_EQ(now(file->apply(io_request::drop_cache(-1, 0, 0), &record)), io_result{0});
  EXPECT_TRUE(record.complete());
  EXPECT_EQ(now(file->apply(io_request::allocate(-1, 0, 0))), io_result{-EINVAL});
  now(file->settle());
}

TEST_P(file_conformance, nothing_reaches_a_closed_file_nor_who_has_its_number_now) {
  const auto file = open_file("file", O_RDWR);
  const int number = file->fd();
  EXPECT_EQ(now(file->write(0, bytes("abc"))), io_result{3});
  io_record record;
  EXPECT_EQ(now(file->close(&record)), io_result{0});
  EXPECT_TRUE(record.complete());
  EXPECT_EQ(file->fd(), -1);
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
  const auto other = open("other", O_RDWR);
  ASSERT_EQ(other.get(), number);

  constexpr io_result closed{-EBADF};
  std::array<std::byte, 3> buffer{};
  struct statx status {};
  EXPECT_EQ(now(file->write(0, bytes("xyz"))), closed);
  EXPECT_EQ(now(file->write(at_cursor, bytes("xyz"))), closed);
  EXPECT_EQ(now(file->read(0, buffer)), closed);
  EXPECT_EQ(now(file->read(at_cursor, buffer)), closed);
  EXPECT_EQ(now(file->sync(sync_kind::fsync)), closed);
  EXPECT_EQ(now(file->stat(status)), closed);
  EXPECT_EQ(now(file->truncate(9)), closed);
  EXPECT_EQ(now(file->seek(1)), closed);
  EXPECT_EQ(now(file->apply(io_request::allocate(-1, 0, 9))), closed);
  EXPECT_EQ(now(file->apply(io_request::drop_cache(-1, 0, 0))), closed);
  EXPECT_EQ(now(file->flush()), early() ? closed : io_result{0});
  EXPECT_EQ(now(file->close()), closed);
  EXPECT_THROW(now(file->clone()), std::system_error);
  now(file->settle());
  EXPECT_EQ(contents(other.get()), "");
  EXPECT_EQ(contents(open("file", O_RDWR).get()), "abc");
}

TEST_P(file_conformance, a_closed_file_is_not_closed_again_when_it_goes) {
  auto file = open_file("file", O_RDWR);
  const int number = file->fd();
  EXPECT_EQ(now(file->close()), io_result{0});
  const auto other = open("other", O_RDWR);
  ASSERT_EQ(other.get(), number);
  file.reset();
  EXPECT_NE(::fcntl(number, F_GETFD), -1);
}

TEST_P(file_conformance, the_cursor_moves_by_what_was_written_and_read) {
  const auto file = open_file("file", O_RDWR);
  EXPECT_EQ(now(file->write(at_cursor, bytes("abc"))), io_result{3});
  EXPECT_EQ(now(file->write(at_cursor, bytes("def"))), io_result{3});
  EXPECT_EQ(now(file->seek(1)), io_result{0});
  std::array<std::byte, 3> buffer{};
  EXPECT_EQ(now(file->read(at_cursor, buffer)), io_result{3});
  EXPECT_EQ(text(buffer), "bcd");
  EXPECT_EQ(now(file->read(at_cursor, buffer)), io_result{2});
  EXPECT_EQ(text(std::span(buffer).first(2)), "ef");
  EXPECT_EQ(now(file->read(at_cursor, buffer)), io_result{0});
}

TEST_P(file_conformance, appended_bytes_go_to_the_end_wherever_the_cursor_is) {
  const auto file = open_file("file", O_RDWR | O_APPEND);
  EXPECT_EQ(now(file->write(at_end, bytes("first "))), io_result{6});
  EXPECT_EQ(now(file->seek(0)), io_result{0});
  EXPECT_EQ(now(file->write(at_end, bytes("second"))), io_result{6});
  EXPECT_EQ(now(file->flush()), io_result{0});
  EXPECT_EQ(contents(file->fd()), "first second");
}

TEST_P(file_conformance, two_handles_that_append_overwrite_nothing) {
  const auto first = open_file("file", O_RDWR | O_APPEND);
  const auto second = open_file("file", O_RDWR | O_APPEND);
  EXPECT_EQ(now(first->write(at_end, bytes("1"))), io_result{1});
  EXPECT_EQ(now(second->write(at_end, bytes("2"))), io_result{1});
  EXPECT_EQ(now(first->write(at_end, bytes("3"))), io_result{1});
  EXPECT_EQ(contents(first->fd()), "123");
}

TEST_P(file_conformance, the_end_of_a_file_reads_as_nothing) {
  const auto file = open_file("file", O_RDWR);
  std::array<std::byte, 4> buffer{};
  EXPECT_EQ(now(file->read(0, buffer)), io_result{0});
  EXPECT_EQ(now(file->read(at_cursor, buffer)), io_result{0});
  EXPECT_EQ(now(file->read(1000, buffer)), io_result{0});
}

TEST_P(file_conformance, nothing_to_write_or_to_read_is_not_an_error) {
  const auto file = open_file("file", O_RDWR);
  EXPECT_EQ(now(file->write(0, {})), io_result{0});
  EXPECT_EQ(now(file->read(0, {})), io_result{0});
  EXPECT_EQ(now(file->read(at_cursor, {})), io_result{0});
  EXPECT_EQ(now(write_all(*file, 0, {})), io_result{0});
  EXPECT_EQ(now(file->flush()), io_result{0});
}

TEST_P(file_conformance, stat_sees_what_was_flushed) {
  const auto file = open_file("file", O_RDWR);
  struct statx status {};
  EXPECT_EQ(now(file->stat(status)), io_result{0});
  EXPECT_EQ(status.stx_size, 0U);
  EXPECT_EQ(now(file->write(0, bytes("12345"))), io_result{5});
  EXPECT_EQ(now(file->flush()), io_result{0});
  EXPECT_EQ(now(file->stat(status)), io_result{0});
  EXPECT_EQ(status.stx_size, 5U);
  EXPECT_TRUE(S_ISREG(status.stx_mode));
}

TEST_P(file_conformance, truncate_cuts_and_extends_with_zeros) {
  const auto file = open_file("file", O_RDWR);
  EXPECT_EQ(now(file->write(0, bytes("12345"))), io_result{5});
  EXPECT_EQ(now(file->truncate(2)), io_result{0});
  EXPECT_EQ(contents(file->fd()), "12");
  EXPECT_EQ(now(file->truncate(4)), io_result{0});
  EXPECT_EQ(contents(file->fd()), std::string("12\0\0", 4));
  EXPECT_EQ(now(file->truncate(-1)), io_result{-EINVAL});
}

TEST_P(file_conformance, both_kinds_of_sync_succeed_after_a_write) {
  const auto file = open_file("file", O_RDWR);
  for (const auto kind : {sync_kind::fsync, sync_kind::fdatasync}) {
    EXPECT_EQ(now(file->write(0, bytes("12345"))), io_result{5});
    EXPECT_EQ(now(file->sync(kind)), io_result{0});
    EXPECT_EQ(contents(file->fd()), "12345");
  }
}

TEST_P(file_conformance, a_clone_shares_the_cursor_and_outlives_the_original) {
  auto file = open_file("file", O_RDWR);
  const auto clone = now(file->clone());
  EXPECT_NE(clone->fd(), file->fd());
  EXPECT_EQ(::fcntl(clone->fd(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(now(file->write(at_cursor, bytes("abc"))), io_result{3});
  EXPECT_EQ(now(clone->write(at_cursor, bytes("def"))), io_result{3});
  file.reset();
  EXPECT_EQ(now(clone->seek(0)), io_result{0});
  std::array<std::byte, 8> buffer{};
  EXPECT_EQ(now(clone->read(at_cursor, buffer)), io_result{6});
  EXPECT_EQ(text(std::span(buffer).first(6)), "abcdef");
}

TEST_P(file_conformance, a_failed_write_is_reported_once) {
  const auto file = make_file(io(), filemap::open_file("/dev/full", O_WRONLY), when());
  if (early()) {
    EXPECT_EQ(now(file->write(at_cursor, bytes("lost"))), io_result{4});
    EXPECT_EQ(now(file->flush()), io_result{-ENOSPC});
    EXPECT_EQ(now(file->write(at_cursor, bytes("lost"))), io_result{4});
    EXPECT_EQ(now(file->write(at_cursor, bytes("lost"))), io_result{-ENOSPC});
  } else {
    EXPECT_EQ(now(file->write(at_cursor, bytes("lost"))), io_result{-ENOSPC});
  }
  EXPECT_EQ(now(file->flush()), io_result{0});
}

TEST_P(file_conformance, a_write_without_permission_is_reported) {
  open("file", O_RDWR);
  const auto file = make_file(io(), filemap::open_file(directory_ / "file", O_RDONLY), when());
  const auto written = now(file->write(0, bytes("lost")));
  const auto flushed = now(file->flush());
  EXPECT_EQ(early() ? flushed : written, io_result{-EBADF});
}

TEST_P(file_conformance, the_buffer_may_change_when_the_write_has_returned) {
  const auto file = open_file("file", O_RDWR);
  std::vector<std::byte> data(100'000, std::byte{'a'});
  auto write = file->write(0, data);
  write.start();
  while (!write.done()) turn(io());
  std::fill(data.begin(), data.end(), std::byte{'b'});
  drain(io());
  EXPECT_EQ(write.result(), io_result{100'000});
  EXPECT_EQ(contents(file->fd()), std::string(100'000, 'a'));
}

TEST_P(file_conformance, write_all_of_several_buffers_arrives_whole_and_in_order) {
  std::string data(acknowledgement_options{}.chunk + 100'000, '\0');
  std::iota(data.begin(), data.end(), '\0');
  const auto file = open_file("file", O_RDWR | O_APPEND);
  io_record record;
  const auto result = now(write_all(*file, at_end, bytes(data), &record));
  EXPECT_EQ(result.bytes(), data.size());
  EXPECT_EQ(record.res, result.res) << "the record is of all of its system calls";
  EXPECT_LE(record.submitted, record.returned);
  EXPECT_EQ(contents(file->fd()), data);

  const auto at_an_offset = open_file("other", O_RDWR);
  EXPECT_EQ(now(write_all(*at_an_offset, 10, bytes(data))).bytes(), data.size());
  EXPECT_EQ(contents(at_an_offset->fd()), std::string(10, '\0') + data);
}

TEST_P(file_conformance, direct_io_reads_back_what_it_wrote) {
  constexpr std::size_t size = 4096;
  std::unique_ptr<file> file;
  try {
    file = open_file("file", O_RDWR | O_DIRECT);
  } catch (const std::system_error& refused) {
    ASSERT_EQ(refused.code().value(), EINVAL);
    GTEST_SKIP() << "the filesystem of " << directory_ / ""
                 << " does not take O_DIRECT";
  }
  alignas(size) std::array<std::byte, size> data;
  data.fill(std::byte{'d'});
  alignas(size) std::array<std::byte, size> buffer{};
  EXPECT_EQ(now(file->write(0, data)), io_result{size});
  EXPECT_EQ(now(file->read(0, buffer)), io_result{size});
  EXPECT_EQ(buffer, data);
  EXPECT_EQ(now(file->sync(sync_kind::fsync)), io_result{0});
}

TEST_P(file_conformance, more_bytes_than_32_bits_count_are_written_and_counted) {
  if (early()) GTEST_SKIP() << "all of them are copied";
  constexpr std::size_t size = (std::size_t{5} << 30) + 1;
  auto* const memory =
      ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    GTEST_SKIP() << "no address space";  // NOLINT(performance-no-int-to-ptr)
  const auto file = make_file(io(), filemap::open_file("/dev/null", O_WRONLY), when());
  const std::span data(static_cast<const std::byte*>(memory), size);
  io_record record;
  EXPECT_EQ(now(file->write(0, data)), io_result{most_bytes_at_once}) << "as write(2)";
  EXPECT_EQ(now(write_all(*file, 0, data, &record)), io_result{size});
  EXPECT_EQ(record.res, static_cast<std::int64_t>(size));
  ::munmap(memory, size);
}

task<> drops_a_file_with_a_write_in_flight(std::unique_ptr<file> file,
                                           std::span<const std::byte> data) {
  const auto taken = co_await file->write(at_end, data);
  EXPECT_EQ(taken.bytes(), data.size());
}

TEST_P(file_conformance, a_dropped_file_closes_its_descriptor_and_loses_no_acknowledged_write) {
  const std::string data(100'000, 'd');
  const auto reader = open("file", O_RDWR);
  const auto before = open_descriptors();
  for (int round = 1; round <= 10; ++round) {
    now(drops_a_file_with_a_write_in_flight(open_file("file", O_WRONLY | O_APPEND), bytes(data)));
    EXPECT_EQ(open_descriptors(), before);
    EXPECT_EQ(contents(reader.get()).size(), round * data.size());
  }
}

TEST_P(file_conformance, records_of_file_operations_are_filled_in) {
  const auto file = open_file("file", O_RDWR);
  std::array<std::byte, 4> buffer{};
  struct statx status;
  std::array<io_record, 5> records;
  auto last = clock::now();
  EXPECT_EQ(now(file->write(0, bytes("data"), &records[0])), io_result{4});
  EXPECT_EQ(now(file->read(0, buffer, &records[1])), io_result{4});
  EXPECT_EQ(now(file->sync(sync_kind::fsync, &records[2])), io_result{0});
  EXPECT_EQ(now(file->stat(status, &records[3])), io_result{0});
  EXPECT_EQ(now(file->truncate(1, &records[4])), io_result{0});
  for (const auto& record : records) {
    EXPECT_TRUE(record.complete());
    EXPECT_LE(last, record.submitted);
    EXPECT_LE(record.submitted, record.returned);
    last = record.returned;
  }
  EXPECT_EQ(records[0].res, 4);
  EXPECT_EQ(records[1].res, 4);
}

// A result that the engine has and the loop has not delivered: whoever is resumed first may call
// the file again, or drop it.
task<> waits_then_writes(engine& engine, file& file, std::string& log) {
  co_await succeeds(performed(engine, io_request::nop()));
  for (int i = 0; i < 10; ++i) {
    const auto result = co_await file.write(at_end, bytes("2"));
    log += std::to_string(result.res);
  }
}

task<> writes_beside(engine& engine, file& file, std::string& log) {
  task_scope scope;
  scope.spawn(waits_then_writes(engine, file, log));
  const auto result = co_await file.write(at_end, bytes("1"));
  log += std::to_string(result.res);
  co_await scope.join();
  const auto flushed = co_await file.flush();
  log += std::to_string(flushed.res);
}

TEST_P(file_conformance, an_operation_that_is_done_but_not_delivered_is_not_started_again) {
  const auto file = open_file("file", O_RDWR | O_APPEND);
  std::string log;
  now(writes_beside(io(), *file, log));
  EXPECT_EQ(log, "111111111110");
  EXPECT_EQ(contents(file->fd()).size(), 11U);
}

task<> waits_then_drops(engine& engine, std::unique_ptr<file>& file) {
  co_await succeeds(performed(engine, io_request::nop()));
  file.reset();
}

TEST_P(file_conformance, a_file_whose_operation_is_done_but_not_delivered_may_be_dropped) {
  const auto reader = open("file", O_RDWR);
  auto file = open_file("file", O_WRONLY | O_APPEND);
  const auto open_before = open_descriptors();
  noted_op nop(io_request::nop());
  io().start(nop);
  if (early()) {
    auto write = file->write(at_end, bytes("data"));
    write.start();
    ASSERT_TRUE(write.done());
    run(io(), waits_then_drops(io(), file));
    EXPECT_EQ(contents(reader.get()), "data");
  } else {
    run(io(), waits_then_drops(io(), file));
  }
  EXPECT_EQ(open_descriptors(), open_before - 1);
}

task<> writes_syncs_and_reads_back(file& file, char letter, bool& right) {
  const std::string data(5000, letter);
  for (int i = 0; i < 2; ++i) {
    const auto written = co_await write_all(file, i * 5000, bytes(data));
    if (written.bytes() != data.size()) co_return;
    const auto synced = co_await file.sync(sync_kind::fdatasync);
    if (!synced.ok()) co_return;
  }
  std::string got(10'000, '\0');
  const auto read = co_await file.read(0, std::as_writable_bytes(std::span(got)));
  right = read.bytes() == got.size() && got == std::string(10'000, letter);
}

task<> works_on_all(std::span<const std::unique_ptr<file>> files, std::span<bool> right) {
  task_scope scope;
  for (std::size_t i = 0; i < files.size(); ++i) {
    scope.spawn(writes_syncs_and_reads_back(*files[i], static_cast<char>('a' + i), right[i]));
  }
  co_await scope.join();
}

TEST_P(file_conformance, tasks_on_files_of_their_own_do_not_mix_their_bytes) {
  std::array<bool, 8> right{};
  std::vector<std::unique_ptr<file>> files;
  for (std::size_t i = 0; i < right.size(); ++i) {
    files.push_back(open_file(std::to_string(i), O_RDWR));
  }
  now(works_on_all(files, right));
  for (const bool one : right) EXPECT_TRUE(one);
}

}  // namespace
}  // namespace filemap
