// What only the pool engine promises: tokio's blocking pool in its queue, its threads, its end.

#include "filemap/coro/task_scope.hpp"
#include "filemap/io/engines.hpp"
#include "filemap/io/file.hpp"
#include "filemap/io/notify.hpp"
#include "filemap/io/run.hpp"

#include "testing.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

namespace filemap {
namespace {

using namespace std::chrono_literals;

/// A pipe, which a worker that reads it is blocked in until something is written.
class blocking_pipe {
 public:
  blocking_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
      throw std::system_error(errno, std::generic_category());
    from_ = unique_fd(ends[0]);
    to_ = unique_fd(ends[1]);
  }
  io_request read() { return io_request::read(from_.get(), at_cursor, std::span(&byte_, 1)); }
  void release() { EXPECT_EQ(::write(to_.get(), "x", 1), 1); }

 private:
  unique_fd from_;
  unique_fd to_;
  std::byte byte_{};
};

/// 'R', 'S', … of a thread of this process, from /proc; '?' when it has gone.
char state_of(const std::string& thread) {
  std::ifstream stat("/proc/self/task/" + thread + "/stat");
  std::string line;
  std::getline(stat, line);
  const auto after_name = line.rfind(')');
  return after_name == std::string::npos ? '?' : line[after_name + 2];
}

class pool_engine_test : public ::testing::Test {
 protected:
  pool_engine_test() : fd_(open_file(directory_ / "file", O_RDWR | O_CREAT | O_APPEND)) {}

  void make(const pool_options& options) { engine_ = make_pool_engine(options); }
  engine& io() { return *engine_; }
  noted_op& start(const io_request& request) {
    auto& op = ops_.emplace_back(request, &order_);
    io().start(op);
    return op;
  }
  noted_op& start_write(const char* text, bool mandatory = false) {
    auto request = io_request::write(fd_.get(), at_end, bytes(text));
    request.mandatory = mandatory;
    return start(request);
  }
  void pass_a_turn() {
    noted_op nop(io_request::nop());
    io().start(nop);
    while (nop.completions == 0) turn(io());
  }

  /// Threads that this process has now and had not before the test: the pool's.
  std::vector<std::string> workers() const {
    auto now = names_in("/proc/self/task");
    std::erase_if(now, [this](const std::string& thread) {
      return std::find(before_.begin(), before_.end(), thread) != before_.end();
    });
    return now;
  }
  /// All workers wait: for work, or in a read.
  bool workers_sleep() const {
    const auto all = workers();
    return std::all_of(all.begin(), all.end(),
                       [](const std::string& thread) { return state_of(thread) == 'S'; });
  }

  std::vector<std::string> before_ = names_in("/proc/self/task");
  scratch_directory directory_;
  unique_fd fd_;
  std::vector<const noted_op*> order_;
  std::deque<noted_op> ops_;
  std::deque<blocking_pipe> pipes_;
  std::unique_ptr<engine> engine_;
};

// --- the queue

TEST_F(pool_engine_test, one_worker_takes_operations_first_in_first_out) {
  make({.threads = 1});
  std::string expected;
  for (const auto* const text : {"a", "b", "c", "d", "e", "f", "g", "h"}) {
    start_write(text);
    expected += text;
  }
  drain(io());
  EXPECT_EQ(contents(fd_.get()), expected);
  ASSERT_EQ(order_.size(), ops_.size());
  for (std::size_t i = 0; i < ops_.size(); ++i) EXPECT_EQ(order_[i], &ops_[i]);
}

// Its queues are drawn, from the same number in each run.
TEST_F(pool_engine_test, of_many_queues_nothing_is_first_in_first_out_and_nothing_is_lost) {
  make({.threads = 1, .sharded = true});
  blocking_pipe pipe;
  start(pipe.read());
  for (int i = 0; i < 40; ++i) start_write("x");
  auto& cancelled = start_write("y");
  io().cancel(cancelled);
  EXPECT_EQ(cancelled.record.res, -ECANCELED);
  pipe.release();
  drain(io());
  ASSERT_EQ(order_.size(), ops_.size());
  EXPECT_FALSE(std::is_sorted(ops_.begin(), ops_.end(), [](const auto& a, const auto& b) {
    return a.record.started < b.record.started;
  }));
  EXPECT_EQ(std::filesystem::file_size(directory_ / "file"), 40U);
}

TEST_F(pool_engine_test, a_record_names_its_worker) {
  make({.threads = 1});
  io_record record;
  EXPECT_EQ(perform_alone(io(), io_request::fsync(fd_.get()), &record), io_result{0});
  EXPECT_EQ(record.worker, 1U);
  io_record inline_record;
  EXPECT_EQ(perform_alone(io(), io_request::nop(), &inline_record), io_result{0});
  EXPECT_EQ(inline_record.worker, 0U);
}

TEST_F(pool_engine_test, a_queued_operation_can_be_cancelled_and_a_running_one_cannot) {
  make({.threads = 1});
  auto& pipe = pipes_.emplace_back();
  auto& running = start(pipe.read());
  ASSERT_TRUE(eventually([&] { return workers().size() == 1 && workers_sleep(); }));
  auto& first = start_write("1");
  auto& second = start_write("2");
  auto& third = start_write("3");
  io().cancel(second);
  io().cancel(running);
  turn(io());
  EXPECT_EQ(second.result(), io_result{-ECANCELED});
  EXPECT_EQ(running.completions, 0);
  pipe.release();
  drain(io());
  EXPECT_EQ(running.result(), io_result{1});
  EXPECT_EQ(first.result(), io_result{1});
  EXPECT_EQ(third.result(), io_result{1});
  EXPECT_EQ(contents(fd_.get()), "13");
}

// --- the threads

TEST_F(pool_engine_test, there_are_never_more_threads_than_allowed) {
  make({.threads = 3});
  for (int i = 0; i < 10; ++i) start(pipes_.emplace_back().read());
  EXPECT_EQ(workers().size(), 3U);
  start_write("x");
  for (auto& pipe : pipes_) pipe.release();
  drain(io());
  EXPECT_EQ(workers().size(), 3U);
  EXPECT_EQ(contents(fd_.get()), "x");
}

TEST_F(pool_engine_test, no_thread_is_started_before_there_is_work) {
  make({});
  EXPECT_TRUE(workers().empty());
  pass_a_turn();
  EXPECT_EQ(perform_alone(io(), io_request::sleep(1ns)), io_result{0});
  EXPECT_TRUE(workers().empty());
}

TEST_F(pool_engine_test, operations_that_block_get_a_thread_each) {
  make({});
  for (int i = 0; i < 20; ++i) start(pipes_.emplace_back().read());
  EXPECT_EQ(workers().size(), 20U);
  for (auto pipe = pipes_.rbegin(); pipe != pipes_.rend(); ++pipe) pipe->release();
  drain(io());
}

TEST_F(pool_engine_test, an_idle_worker_is_used_again_before_another_is_started) {
  make({});
  for (int i = 0; i < 50; ++i) {
    io_record record;
    EXPECT_EQ(perform_alone(io(), io_request::fsync(fd_.get()), &record), io_result{0});
    ASSERT_EQ(record.worker, 1U);
    ASSERT_EQ(workers().size(), 1U);
    ASSERT_TRUE(eventually([this] { return workers_sleep(); }));  // idle again
  }
}

TEST_F(pool_engine_test, two_submissions_in_a_row_do_not_count_on_the_same_idle_worker) {
  make({});
  for (int round = 0; round < 50; ++round) {
    ASSERT_TRUE(eventually([this] { return workers_sleep(); }));
    pipes_.clear();
    start(pipes_.emplace_back().read());
    auto& second = start_write("x");
    while (second.completions == 0) turn(io());  // or it hangs behind the read
    pipes_.front().release();
    drain(io());
  }
  EXPECT_EQ(workers().size(), 2U);
}

TEST_F(pool_engine_test, idle_workers_end_and_new_ones_come_when_needed) {
  make({.threads = 8, .keep_alive = 1ms});
  for (int round = 1; round <= 3; ++round) {
    pipes_.clear();
    for (int i = 0; i < 8; ++i) start(pipes_.emplace_back().read());
    for (auto& pipe : pipes_) pipe.release();
    drain(io());
    ASSERT_TRUE(eventually([this] { return workers().empty(); }));
  }
  for (const auto& op : ops_) EXPECT_EQ(op.result(), io_result{1});
}

TEST_F(pool_engine_test, an_operation_is_not_lost_between_a_time_out_and_a_notification) {
  make({.threads = 2, .keep_alive = 0ms});
  for (int i = 0; i < 2000; ++i) {
    ASSERT_EQ(perform_alone(io(), io_request::seek(fd_.get(), 0)), io_result{0});
  }
}

void refuse_threads() {
  refuse_system_call(SYS_clone3, EAGAIN);
  refuse_system_call(SYS_clone, EAGAIN);
}

using ::testing::ExitedWithCode;

TEST(pool_engine_death_test, a_process_that_may_have_no_thread_is_told_so) {
  EXPECT_EXIT(
      {
        refuse_threads();
        try {
          make_pool_engine();
        } catch (const unsupported& why) {
          std::fprintf(stderr, "unsupported: %s", why.what());
          std::_Exit(1);
        }
      },
      ExitedWithCode(1), "unsupported: .*cannot start a thread.*ulimit -u");
}

// Not done on the loop's thread: that would be another mode.
TEST(pool_engine_death_test, work_that_no_thread_can_be_started_for_fails_the_engine) {
  EXPECT_EXIT(
      {
        auto engine = make_pool_engine();
        const unique_fd fd(::memfd_create("no thread", MFD_CLOEXEC));
        auto mandatory = io_request::write(fd.get(), 0, bytes("m"));
        mandatory.mandatory = true;
        noted_op write(mandatory);
        noted_op sync(io_request::fsync(fd.get()));
        refuse_threads();
        engine->start(write);
        engine->start(sync);
        try {
          run(*engine, succeeds(performed(*engine, io_request::sleep(1h))));
        } catch (const std::system_error& why) {
          std::fprintf(stderr, "system_error %d: %s", why.code().value(), why.what());
        }
        if (!engine->failed()) std::_Exit(2);
        engine.reset();
        if (sync.result() != io_result{-ECANCELED} || contents(fd.get()) != "m") std::_Exit(3);
        std::_Exit(1);
      },
      ExitedWithCode(1), "system_error 11: .*cannot start a thread.*ulimit -u");
}

/// Processor time of this thread.
nanoseconds time_used() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::seconds{used.tv_sec} + nanoseconds{used.tv_nsec};
}

TEST_F(pool_engine_test, a_loop_that_a_worker_has_woken_sleeps_again) {
  make({.threads = 1});
  auto& pipe = pipes_.emplace_back();
  auto& read = start(pipe.read());
  const auto self = std::to_string(::syscall(SYS_gettid));
  std::thread releasing([&] {
    eventually([&] { return state_of(self) == 'S'; });
    pipe.release();  // and the worker rings
  });
  while (read.completions == 0) turn(io());
  releasing.join();
  constexpr nanoseconds asleep = 100ms;
  const auto before = time_used();
  EXPECT_EQ(perform_alone(io(), io_request::sleep(asleep)), io_result{0});
  EXPECT_LT(time_used() - before, asleep / 2);
}

/// Of this thread, from /proc: a bit a signal, from 1 on.
std::uint64_t signals_blocked_in(const std::string& thread) {
  std::ifstream status("/proc/self/task/" + thread + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("SigBlk:")) return std::stoull(line.substr(7), nullptr, 16);
  }
  return 0;
}

TEST_F(pool_engine_test, workers_take_no_signals) {
  make({});
  EXPECT_EQ(perform_alone(io(), io_request::fsync(fd_.get())), io_result{0});
  ASSERT_EQ(workers().size(), 1U);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGALRM, SIGCHLD, SIGXFSZ}) {
    const auto bit = std::uint64_t{1} << static_cast<unsigned>(signal - 1);
    EXPECT_NE(signals_blocked_in(workers().front()) & bit, 0U) << signal;
    EXPECT_EQ(signals_blocked_in(std::to_string(::syscall(SYS_gettid))) & bit, 0U) << signal;
  }
}

// --- waiting

task<> hops_sleeps_and_releases(engine& engine, blocking_pipe& pipe) {
  co_await plays_ping_pong(engine, 100);
  co_await succeeds(performed(engine, io_request::sleep(1ms)));
  pipe.release();
}

TEST_F(pool_engine_test, a_blocked_worker_starves_no_notification_and_no_sleep) {
  make({.threads = 1});
  auto& pipe = pipes_.emplace_back();
  auto& read = start(pipe.read());
  run(io(), hops_sleeps_and_releases(io(), pipe));
  EXPECT_EQ(read.result(), io_result{1});
}

// --- the end

// The destructor has begun to wait for the workers when its thread sleeps: nothing else puts it to
// sleep, as the only worker is blocked and holds no lock.
TEST_F(pool_engine_test, at_the_end_mandatory_operations_run_and_others_are_cancelled) {
  make({.threads = 1});
  auto& pipe = pipes_.emplace_back();
  auto& running = start(pipe.read());
  auto& optional = start_write("optional", false);
  auto& mandatory = start_write("mandatory", true);
  auto& fsync = start(io_request::fsync(fd_.get()));
  const unique_fd event(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  auto& wait = start(io_request::read_event(event.get()));
  auto& sleep = start(io_request::sleep(1h));
  ASSERT_TRUE(eventually([this] { return workers_sleep(); }));

  std::atomic<bool> ending = false;
  const auto self = std::to_string(::syscall(SYS_gettid));
  std::thread releasing([&] {
    eventually([&] { return ending && state_of(self) == 'S'; });
    pipe.release();
  });
  ending = true;
  engine_.reset();
  releasing.join();

  EXPECT_EQ(running.result(), io_result{1});
  EXPECT_EQ(mandatory.result(), io_result{9});
  for (const auto* const op : {&optional, &fsync, &wait, &sleep}) {
    EXPECT_EQ(op->result(), io_result{-ECANCELED});
  }
  EXPECT_EQ(contents(fd_.get()), "mandatory");
  EXPECT_TRUE(eventually([this] { return workers().empty(); }));
}

TEST_F(pool_engine_test, an_acknowledged_write_lands_although_the_file_and_the_pool_go) {
  make({.threads = 1});
  auto busy = io_request::fsync(fd_.get());
  busy.delay = 10ms;  // so that the write is queued
  start(busy);
  auto file = make_write_behind_file(io(), open_file(directory_ / "other", O_RDWR | O_CREAT));
  auto write = file->write(20, bytes("acknowledged"));
  write.start();
  ASSERT_TRUE(write.done());
  EXPECT_EQ(write.result(), io_result{12});
  file.reset();
  engine_.reset();
  EXPECT_EQ(std::filesystem::file_size(directory_ / "other"), 32U);
}

TEST_F(pool_engine_test, a_pool_whose_workers_have_all_retired_can_be_destroyed) {
  make({.threads = 4, .keep_alive = 0ms});
  for (int i = 0; i < 4; ++i) start_write("x");
  drain(io());
  ASSERT_TRUE(eventually([this] { return workers().empty(); }));
  engine_.reset();
}

TEST_F(pool_engine_test, a_pool_that_is_destroyed_at_any_moment_leaves_nothing_running) {
  for (int round = 0; round < 100; ++round) {
    make({.threads = 4, .keep_alive = 0ms});
    std::deque<noted_op> ops;
    for (int i = 0; i < round % 10; ++i) io().start(ops.emplace_back(io_request::fsync(fd_.get())));
    if (round % 3 == 0 && !ops.empty()) turn(io());
    engine_.reset();
    for (const auto& op : ops) {
      EXPECT_TRUE(op.result() == io_result{0} || op.result() == io_result{-ECANCELED});
    }
  }
}

}  // namespace
}  // namespace filemap
