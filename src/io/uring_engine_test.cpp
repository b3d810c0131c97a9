// What only the ring engine promises: its queues, what it does without what its kernel lacks, and
// what it says when there is no ring to be had.

#include "filemap/io/engines.hpp"
#include "filemap/io/ring_support.hpp"
#include "filemap/io/unique_fd.hpp"

#include "io/ring_setup.hpp"
#include "testing.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <system_error>
#include <thread>
#include <ucontext.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace filemap {
namespace {

using namespace std::chrono_literals;

class uring_engine_test : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto support = probe_ring(); !support.available) GTEST_SKIP() << support.why;
  }

  static std::unique_ptr<engine> small(const ring_features& without = {}) {
    uring_options options;
    options.entries = 8;  // and 16 in the CQ
    options.without = without;
    return make_uring_engine(options);
  }

  /// `count` waits, each for an eventfd of its own.
  void start_waits(engine& engine, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      events_.emplace_back(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
      ASSERT_TRUE(events_.back());
      engine.start(waits_.emplace_back(io_request::read_event(events_.back().get()), &order_));
    }
  }

  std::vector<const noted_op*> order_;
  std::deque<unique_fd> events_;
  std::deque<noted_op> waits_;
};

// --- no ring

// First, because the kernel's workers outlive their ring a little, and who forks should have none.

/// What the child's end says: 1 unsupported, 2 a system_error, 0 a ring.
[[noreturn]] void report_how_a_ring_is_refused() {
  try {
    make_uring_engine();
  } catch (const unsupported& why) {
    std::fprintf(stderr, "unsupported: %s\n", why.what());
    std::_Exit(1);
  } catch (const std::system_error& why) {
    std::fprintf(stderr, "system_error %d: %s\n", why.code().value(), why.what());
    std::_Exit(2);
  }
  std::_Exit(0);
}

void limit_locked_memory(rlim_t bytes) {
  rlimit limit{};
  limit.rlim_cur = limit.rlim_max = bytes;
  ::setrlimit(RLIMIT_MEMLOCK, &limit);
}

bool locked_memory_can_be_unlimited() {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  return limit.rlim_max == RLIM_INFINITY;
}

using ::testing::ExitedWithCode;

TEST(uring_engine_death_test, a_process_that_may_not_have_a_ring_is_told_so) {
  EXPECT_EXIT(
      {
        refuse_system_call(SYS_io_uring_setup, EPERM);
        report_how_a_ring_is_refused();
      },
      ExitedWithCode(1), "unsupported: io_uring_setup is not permitted.*seccomp");
}

TEST(uring_engine_death_test, a_kernel_without_rings_is_named) {
  EXPECT_EXIT(
      {
        refuse_system_call(SYS_io_uring_setup, ENOSYS);
        report_how_a_ring_is_refused();
      },
      ExitedWithCode(1), "unsupported: .*no io_uring.*CONFIG_IO_URING");
}

// What RLIMIT_MEMLOCK does before 5.12.
TEST(uring_engine_death_test, memory_that_may_not_be_locked_names_its_limit) {
  EXPECT_EXIT(
      {
        limit_locked_memory(64 * 1024);
        refuse_system_call(SYS_io_uring_setup, ENOMEM);
        report_how_a_ring_is_refused();
      },
      ExitedWithCode(2), "system_error 12: .*RLIMIT_MEMLOCK is 64 KiB.*ulimit -l.*--entries");
}

TEST(uring_engine_death_test, no_limit_is_blamed_where_there_is_none) {
  if (!locked_memory_can_be_unlimited()) GTEST_SKIP() << "RLIMIT_MEMLOCK cannot be raised";
  EXPECT_EXIT(
      {
        limit_locked_memory(RLIM_INFINITY);
        refuse_system_call(SYS_io_uring_setup, ENOMEM);
        report_how_a_ring_is_refused();
      },
      ExitedWithCode(2), "system_error 12: no memory for the ring .io_uring_setup: ENOMEM.; free");
}

// --- a kernel that refuses for ever

/// An engine that fails, with an operation that a task awaits, one that must run, a wait and a
/// chain on their way: 0 when it says so, has all of them back, and does what it must.
[[noreturn]] void fail_with_operations_in_flight(int error) {
  const unique_fd fd(::memfd_create("refused", MFD_CLOEXEC));
  const unique_fd event{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  auto mandatory = io_request::write(fd.get(), 0, bytes("m"));
  mandatory.mandatory = true;
  auto linked = io_request::fsync(fd.get());
  linked.link = link_kind::link;
  auto drained = mandatory;
  drained.offset = 1;
  drained.drain = true;
  std::deque<noted_op> ops;
  auto engine = make_uring_engine();
  refuse_system_call(SYS_io_uring_enter, static_cast<unsigned>(error));
  for (const auto& request : {mandatory, io_request::read_event(event.get()), linked,
                              io_request::fsync(fd.get()), drained}) {
    engine->start(ops.emplace_back(request));
  }
  const auto before = clock::now();
  try {
    run(*engine, succeeds(performed(*engine, io_request::nop())));
    std::_Exit(1);
  } catch (const std::system_error& failure) {
    if (failure.code().value() != error || !engine->failed()) std::_Exit(2);
  }
  engine.reset();
  if (clock::now() - before > 30s) std::_Exit(3);
  for (const auto& op : ops) {
    if (op.pending() || op.completions > 0) std::_Exit(4);
    if (!op.request.mandatory && op.result() != io_result{-ECANCELED}) std::_Exit(5);
  }
  std::_Exit(contents(fd.get()) == "mm" ? 0 : 6);
}

TEST(uring_engine_death_test, an_enter_that_fails_for_ever_is_an_exception_and_not_a_hang) {
  if (const auto support = probe_ring(); !support.available) GTEST_SKIP() << support.why;
  for (const int error : {ENOMEM, EAGAIN, EBUSY, EINTR}) {
    EXPECT_EXIT(fail_with_operations_in_flight(error), ExitedWithCode(0), "") << error;
  }
}

// Nothing but a wait can be taken back there, and to close the ring would wait for the read.
[[noreturn]] void end_with_a_read_that_blocks() {
  uring_options options;
  options.without = all_ring_features();
  auto engine = make_uring_engine(options);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) std::_Exit(1);
  const unique_fd file(::memfd_create("beside", MFD_CLOEXEC));
  std::array<std::byte, 4> buffer{};
  noted_op read(io_request::read(ends[0], at_end, buffer));
  noted_op beside(io_request::fsync(file.get()));
  engine->start(read);
  engine->start(beside);
  while (beside.completions == 0) turn(*engine);
  engine.reset();
  std::_Exit(read.pending() && !beside.pending() ? 0 : 2);
}

TEST(uring_engine_death_test, before_5_5_a_read_of_an_empty_pipe_is_left_to_the_kernel_and_told) {
  if (const auto support = probe_ring(); !support.available) GTEST_SKIP() << support.why;
  EXPECT_EXIT(end_with_a_read_that_blocks(), ExitedWithCode(0),
              "1 operation is left to the kernel.*before Linux 5.5");
}

#if defined(__x86_64__)

// --- a kernel that refuses for now

int refusal = 0;
unsigned refused = 0;
constexpr unsigned let_through = 9;  // as the mask's size, which means nothing without a mask

/// Answers a trapped io_uring_enter: with `refusal`, or at random with what the kernel answers.
void answer_enter(int, siginfo_t*, void* context) {
  static std::minstd_rand random;
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  if (random() % 2 == 0) {
    ++refused;
    registers[REG_RAX] = -refusal;
    return;
  }
  const int before = std::exchange(errno, 0);
  const auto answer =
      ::syscall(SYS_io_uring_enter, registers[REG_RDI], registers[REG_RSI], registers[REG_RDX],
                registers[REG_R10], registers[REG_R8], let_through);
  registers[REG_RAX] = answer < 0 ? -errno : answer;
  errno = before;
}

/// From now on every other io_uring_enter of this process fails with `error`: for a child.
void refuse_enter_at_random(int error) {
  refusal = error;
  struct sigaction action {};
  action.sa_sigaction = &answer_enter;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGSYS, &action, nullptr);
  std::array<sock_filter, 6> filter = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_enter, 0, 2),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[5])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, let_through, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
  }};
  install(filter);
}

/// Exits with 0 when operations of every kind have completed once each, although refused.
[[noreturn]] void run_while_refused() {
  {
    uring_options options;
    options.entries = 8;
    const auto engine = make_uring_engine(options);
    const unique_fd event{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    for (int round = 0; round < 100; ++round) {
      std::deque<noted_op> ops;
      engine->start(ops.emplace_back(io_request::read_event(event.get())));
      for (int i = 0; i < 30; ++i) engine->start(ops.emplace_back(io_request::nop()));
      engine->start(ops.emplace_back(io_request::sleep(1h)));
      turn(*engine);
      ::eventfd_write(event.get(), 1);
      engine->cancel(ops.back());
      drain(*engine);
      for (const auto& op : ops) {
        if (op.completions != 1) std::_Exit(1);
      }
    }
  }
  std::_Exit(refused > 0 ? 0 : 2);
}

TEST(uring_engine_death_test, an_enter_that_fails_with_eagain_ebusy_or_eintr_loses_nothing) {
  if (const auto support = probe_ring(); !support.available) GTEST_SKIP() << support.why;
  for (const int error : {EAGAIN, EBUSY, EINTR}) {
    EXPECT_EXIT(
        {
          refuse_enter_at_random(error);
          run_while_refused();
        },
        ExitedWithCode(0), "")
        << error;
  }
}

#endif

TEST_F(uring_engine_test, a_process_without_descriptors_left_is_told_so) {
  EXPECT_EXIT(
      {
        rlimit none_left{};
        ::setrlimit(RLIMIT_NOFILE, &none_left);
        report_how_a_ring_is_refused();
      },
      ExitedWithCode(2), "system_error 24: .*RLIMIT_NOFILE.*ulimit -n");
}

TEST(uring_engine_death_test, the_probe_says_why_and_what_to_do_and_does_not_throw) {
  EXPECT_EXIT(
      {
        refuse_system_call(SYS_io_uring_setup, EPERM);
        const auto support = probe_ring();
        std::fprintf(stderr, "why: %s advice: %s", support.why.c_str(), support.advice.c_str());
        std::_Exit(support.available ? 0 : 1);
      },
      ExitedWithCode(1), "why: .+ advice: .+");
}

// --- the queues

TEST_F(uring_engine_test, a_full_submission_queue_drops_nothing_and_keeps_the_order) {
  const auto engine = small();
  std::deque<noted_op> ops;
  for (int i = 0; i < 1000; ++i) {
    engine->start(ops.emplace_back(io_request::nop(), &order_));
  }
  drain(*engine);
  ASSERT_EQ(order_.size(), ops.size());
  for (std::size_t i = 0; i < ops.size(); ++i) {
    ASSERT_EQ(order_[i], &ops[i]) << "the kernel completes nops as they are submitted";
  }
}

TEST_F(uring_engine_test, what_is_started_later_does_not_overtake_the_backlog) {
  const auto engine = small();
  std::deque<noted_op> ops;
  for (int i = 0; i < 100; ++i) engine->start(ops.emplace_back(io_request::nop(), &order_));
  turn(*engine);  // there is room again, and a backlog
  ASSERT_LT(order_.size(), ops.size());
  engine->start(ops.emplace_back(io_request::nop(), &order_));
  drain(*engine);
  EXPECT_EQ(order_.back(), &ops.back());
}

TEST_F(uring_engine_test, more_waits_than_the_completion_queue_has_entries_end_together) {
  const auto engine = small();
  start_waits(*engine, 1000);
  noted_op nop(io_request::nop());
  engine->start(nop);
  while (nop.completions == 0) turn(*engine);
  for (const auto& event : events_) ASSERT_EQ(::eventfd_write(event.get(), 1), 0);
  drain(*engine);
  for (const auto& wait : waits_) {
    ASSERT_EQ(wait.completions, 1);
    ASSERT_EQ(wait.result(), io_result{8});
  }
}

// As many lanes of the litmus session as one likes may wait on one ring.
// A seek is a system call, so the loop has something ready and nothing to submit: it must come to
// the kernel all the same, which may have put off the end of the wait until then.
TEST_F(uring_engine_test, what_needs_no_submission_does_not_starve_what_waits) {
  const auto engine = small();
  const scratch_directory directory;
  const unique_fd fd(::open((directory / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  const unique_fd event{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  noted_op wait(io_request::read_event(event.get()));
  noted_op seek(io_request::seek(fd.get(), 0));
  engine->start(wait);
  engine->start(seek);
  turn(*engine);
  ASSERT_EQ(::eventfd_write(event.get(), 1), 0);
  for (int turns = 0; wait.completions == 0; ++turns) {
    ASSERT_LT(turns, 100'000) << "starved";
    if (!seek.pending()) engine->start(seek);
    turn(*engine);
  }
  drain(*engine);
}

TEST_F(uring_engine_test, waits_do_not_keep_out_what_ends_by_itself) {
  const auto engine = small();
  start_waits(*engine, 1000);
  for (int i = 0; i < 100; ++i) {
    noted_op nop(io_request::nop());
    engine->start(nop);
    while (nop.completions == 0) turn(*engine);
  }
  EXPECT_EQ(order_.size(), 0U);
  for (auto& wait : waits_) engine->cancel(wait);
  drain(*engine);
}

// On 5.4 what does not fit into the CQ is lost, and a wait in the ring keeps its entry for as long
// as it likes: an operation that a wait depends on must find a place nevertheless.
TEST_F(uring_engine_test, before_5_5_any_number_of_waits_leaves_room_for_what_ends_them) {
  const auto engine = small(all_ring_features());
  start_waits(*engine, 1000);
  for (const auto& event : events_) {
    const eventfd_t one = 1;
    noted_op signal(io_request::write(event.get(), 0, std::as_bytes(std::span(&one, 1))));
    engine->start(signal);
    while (signal.completions == 0) turn(*engine);
  }
  drain(*engine);
  for (const auto& wait : waits_) EXPECT_EQ(wait.result(), io_result{8});
}

TEST_F(uring_engine_test, before_5_5_a_completion_of_the_ring_ends_a_wait_for_the_room) {
  const auto engine = small(all_ring_features());
  start_waits(*engine, 100);
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const unique_fd from(ends[0]);
  const unique_fd to(ends[1]);
  std::array<std::byte, 4> buffer{};
  noted_op read(io_request::read(from.get(), at_end, buffer));
  engine->start(read);
  std::thread writer([&] { EXPECT_EQ(::write(to.get(), "late", 4), 4); });
  while (read.completions == 0) turn(*engine);
  writer.join();
  EXPECT_EQ(read.result(), io_result{4});
  for (auto& wait : waits_) engine->cancel(wait);
  drain(*engine);
  for (const auto& wait : waits_) EXPECT_EQ(wait.result(), io_result{-ECANCELED});
}

TEST_F(uring_engine_test, before_5_5_sleeps_beyond_the_completion_queue_end_in_time) {
  const auto engine = small(all_ring_features());
  std::deque<noted_op> sleeps;
  for (int i = 0; i < 100; ++i) engine->start(sleeps.emplace_back(io_request::sleep(1ms)));
  drain(*engine);
  for (const auto& sleep : sleeps) EXPECT_EQ(sleep.result(), io_result{0});
}

TEST_F(uring_engine_test, before_5_5_waits_leave_room_for_an_operation_and_a_cancellation) {
  const auto engine = small(all_ring_features());
  start_waits(*engine, 14);
  for (int i = 0; i < 100; ++i) {
    noted_op nop(io_request::nop());
    engine->start(nop);
    while (nop.completions == 0) turn(*engine);
  }
  for (auto& wait : waits_) engine->cancel(wait);
  drain(*engine);
  for (const auto& wait : waits_) EXPECT_EQ(wait.result(), io_result{-ECANCELED});
}

TEST_F(uring_engine_test, before_5_5_no_more_is_in_flight_than_the_completion_queue_holds) {
  const auto engine = small(all_ring_features());
  start_waits(*engine, 100);
  noted_op nop(io_request::nop());
  for (const auto& event : events_) ASSERT_EQ(::eventfd_write(event.get(), 1), 0);
  drain(*engine);
  for (const auto& wait : waits_) EXPECT_EQ(wait.result(), io_result{8});
}

TEST_F(uring_engine_test, a_ring_full_of_waits_can_be_torn_down) {
  for (const auto& without : {ring_features{}, all_ring_features()}) {
    for (const std::size_t count : {14U, 16U, 100U}) {
      waits_.clear();
      events_.clear();
      auto engine = small(without);
      start_waits(*engine, count);
      engine.reset();
      for (const auto& wait : waits_) EXPECT_EQ(wait.result(), io_result{-ECANCELED});
    }
  }
}

TEST_F(uring_engine_test, a_ring_full_of_waits_can_be_cancelled) {
  for (const auto& without : {ring_features{}, all_ring_features()}) {
    waits_.clear();
    const auto engine = small(without);
    start_waits(*engine, 100);
    for (auto wait = waits_.rbegin(); wait != waits_.rend(); ++wait) engine->cancel(*wait);
    drain(*engine);
    for (const auto& wait : waits_) {
      EXPECT_EQ(wait.completions, 1);
      EXPECT_EQ(wait.result(), io_result{-ECANCELED});
    }
  }
}

TEST_F(uring_engine_test, cancelling_in_the_backlog_takes_nothing_else_out_of_it) {
  const auto engine = small();
  std::deque<noted_op> ops;
  for (int i = 0; i < 100; ++i) engine->start(ops.emplace_back(io_request::nop()));
  for (std::size_t i = 50; i < 100; i += 10) engine->cancel(ops[i]);
  drain(*engine);
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const bool cancelled = i >= 50 && i % 10 == 0;
    EXPECT_EQ(ops[i].completions, 1);
    EXPECT_EQ(ops[i].result(), io_result{cancelled ? -ECANCELED : 0}) << i;
  }
}

TEST_F(uring_engine_test, a_mandatory_operation_in_the_backlog_runs_although_it_is_torn_down) {
  auto engine = small();
  const scratch_directory directory;
  const unique_fd fd(::open((directory / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  std::deque<noted_op> ops;  // more than SQ and CQ take
  for (int i = 0; i < 100; ++i) engine->start(ops.emplace_back(io_request::nop()));
  auto request = io_request::write(fd.get(), 0, bytes("m"));
  request.mandatory = true;
  noted_op write(request);
  engine->start(write);
  engine.reset();
  EXPECT_EQ(ops.back().result(), io_result{-ECANCELED}) << "there was no backlog";
  EXPECT_EQ(write.result(), io_result{1});
  EXPECT_EQ(std::filesystem::file_size(directory / "file"), 1U);
}

// --- buffers

// io_uring_queue_exit alone returns while a read may still be about to write into its buffer.
TEST_F(uring_engine_test, a_read_in_flight_writes_no_buffer_after_the_destructor) {
  for (const bool force_async : {false, true}) {
    for (int round = 0; round < 100; ++round) {
      uring_options options;
      options.entries = 8;
      options.force_async = force_async;
      std::unique_ptr<engine> engine;
      try {
        engine = make_uring_engine(options);
      } catch (const unsupported& why) {
        GTEST_SKIP() << why.what();
      }
      std::array<int, 2> ends{};
      ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
      const unique_fd from(ends[0]);
      const unique_fd to(ends[1]);
      std::array<std::byte, 8> buffer{};
      noted_op read(io_request::read(from.get(), at_cursor, buffer));
      noted_op nop(io_request::nop());
      engine->start(read);
      engine->start(nop);
      turn(*engine);
      engine.reset();
      EXPECT_FALSE(read.result().ok());
      ASSERT_EQ(::write(to.get(), "late data", 8), 8);
      std::array<char, 8> got{};
      ASSERT_EQ(::read(from.get(), got.data(), got.size()), 8) << "something else has read it";
      EXPECT_EQ(buffer, (std::array<std::byte, 8>{}));
    }
  }
}

// The kernel's polling thread comes to the entry when its owner has long gone on.
TEST_F(uring_engine_test, an_iovec_outlives_its_submission) {
  uring_options options;
  options.entries = 8;
  options.sqpoll = true;
  options.without.read_write = true;
  std::unique_ptr<engine> engine;
  try {
    engine = make_uring_engine(options);
  } catch (const unsupported& why) {
    GTEST_SKIP() << why.what();
  }
  const scratch_directory directory;
  const unique_fd fd(::open((directory / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  ASSERT_TRUE(fd);
  std::string expected;
  std::deque<std::string> data;
  std::deque<noted_op> writes;
  for (int i = 0; i < 200; ++i) {
    const auto offset = static_cast<std::int64_t>(expected.size());
    expected += data.emplace_back(std::to_string(i) + " ");
    engine->start(writes.emplace_back(io_request::write(fd.get(), offset, bytes(data.back()))));
  }
  drain(*engine);
  EXPECT_EQ(contents(fd.get()), expected);
}

// --- chains

bool has(const std::vector<std::string>& lines, std::string_view line) {
  return std::find(lines.begin(), lines.end(), line) != lines.end();
}

/// Is a chain of these the kernel's from its start on?
bool is_the_kernels(engine& engine, const std::vector<io_request>& members,
                    link_kind link = link_kind::link) {
  std::deque<noted_op> ops;
  for (std::size_t i = 0; i < members.size(); ++i) {
    auto& op = ops.emplace_back(members[i]);
    if (i + 1 < members.size()) op.request.link = link;
    engine.start(op);
  }
  const bool is_last_in_flight = ops.back().state == op_state::in_flight;
  drain(engine);
  return is_last_in_flight;
}

TEST_F(uring_engine_test, a_chain_that_the_kernel_can_have_is_the_kernels) {
  const unique_fd fd(::memfd_create("chain", MFD_CLOEXEC));
  const auto engine = small();
  const auto write = io_request::write(fd.get(), 0, bytes("a"));
  const auto sync = io_request::fsync(fd.get());
  EXPECT_TRUE(is_the_kernels(*engine, {write, sync}));
  EXPECT_TRUE(is_the_kernels(*engine, std::vector(8, write)));
}

// Up to 5.10 a chain goes on behind a bad descriptor, and on 5.4 what is behind its head can fail
// with EFBIG.
TEST_F(uring_engine_test, a_chain_is_run_member_by_member_where_the_kernel_does_not_keep_it) {
  const unique_fd fd(::memfd_create("chain", MFD_CLOEXEC));
  const auto write = io_request::write(fd.get(), 0, bytes("a"));
  ring_features without;
  without.links = true;
  EXPECT_FALSE(is_the_kernels(*small(without), {write, write}));
  EXPECT_FALSE(is_the_kernels(*small(features_newer_than({5, 10})), {write, write}));
  EXPECT_TRUE(has(small(without)->traits().substitutions, "chains member by member"));
}

TEST_F(uring_engine_test, a_chain_that_the_kernel_cannot_have_is_run_member_by_member) {
  const unique_fd fd(::memfd_create("chain", MFD_CLOEXEC));
  const auto engine = small();
  const auto write = io_request::write(fd.get(), 0, bytes("a"));
  auto late = write;
  late.delay = nanoseconds{1};
  struct statx status {};
  EXPECT_FALSE(is_the_kernels(*engine, {write, io_request::seek(fd.get(), 0)}));
  EXPECT_FALSE(is_the_kernels(*engine, std::vector(9, write))) << "longer than the queue";
  EXPECT_FALSE(is_the_kernels(*engine, {write, late}));
  EXPECT_FALSE(is_the_kernels(*engine, {write, io_request::unlink(AT_FDCWD, "")}));
  const auto oldest = small(all_ring_features());
  EXPECT_FALSE(is_the_kernels(*oldest, {write, io_request::statx(fd.get(), status)}));
  EXPECT_FALSE(is_the_kernels(*oldest, {write, write}, link_kind::hardlink));
}

// --- features

TEST_F(uring_engine_test, what_replaces_the_features_that_5_4_lacks_is_reported) {
  const auto traits = small(all_ring_features())->traits();
  EXPECT_EQ(traits.name, "uring");
  EXPECT_FALSE(traits.start_observable);
  EXPECT_TRUE(traits.features.empty());
  for (const auto* const line : {"READV and WRITEV for READ and WRITE", "statx by system call",
                                 "waiting for time by ppoll", "waiting for an eventfd by ppoll"}) {
    EXPECT_TRUE(has(traits.substitutions, line)) << line;
  }
}

TEST_F(uring_engine_test, nothing_is_called_a_feature_that_was_switched_off) {
  const auto found = probe_ring().features;
  for (const auto& name : found.names()) {
    ring_features without;
    without.defer_taskrun = name == "DEFER_TASKRUN";
    without.statx = name == "STATX";
    const auto features = small(without)->traits().features;
    if (without.defer_taskrun || without.statx) {
      EXPECT_FALSE(has(features, name));
    }
  }
}

TEST_F(uring_engine_test, the_probe_and_the_engine_agree) {
  const auto support = probe_ring();
  EXPECT_TRUE(support.available);
  EXPECT_EQ(support.why, "");
  EXPECT_EQ(support.probed, !support.opcodes.empty());
  EXPECT_EQ(support.probed && has(support.opcodes, "READ"), support.features.read_write);
  EXPECT_EQ(support.probed && has(support.opcodes, "STATX"), support.features.statx);
  EXPECT_EQ(support.probed && has(support.opcodes, "FTRUNCATE"), support.features.truncate);
  EXPECT_EQ(support.probed && has(support.opcodes, "FALLOCATE"), support.features.allocate);
  EXPECT_EQ(support.probed && has(support.opcodes, "FADVISE"), support.features.advise);
  EXPECT_EQ(support.probed && has(support.opcodes, "OPENAT"), support.features.open);
  EXPECT_EQ(support.probed && has(support.opcodes, "CLOSE"), support.features.close);
  EXPECT_EQ(support.probed && has(support.opcodes, "RENAMEAT"), support.features.rename);
  EXPECT_EQ(support.probed && has(support.opcodes, "UNLINKAT"), support.features.unlink);
  EXPECT_EQ((support.feature_bits & 2U) != 0, support.features.no_drop);  // IORING_FEAT_NODROP
  const auto traits = make_uring_engine()->traits();
  const auto names = support.features.names();
  for (const auto& name : traits.features) EXPECT_TRUE(has(names, name)) << name;
  EXPECT_EQ(traits.substitutions, support.features.substitutions());
}

TEST(ring_features, a_difference_is_what_the_first_has_and_the_second_has_not) {
  const auto all = all_ring_features();
  EXPECT_TRUE(all.minus(all).names().empty());
  EXPECT_EQ(all.minus({}).names(), all.names());
  EXPECT_TRUE(ring_features{}.minus(all).names().empty());
  EXPECT_EQ(all.names().size(), sizeof(ring_features)) << "a feature has no name";
  EXPECT_TRUE(all.substitutions().empty());
}

// --- what the kernel lists and does otherwise

/// A ring that says of itself to be 5.6's and lets nothing in but these.
class ring_of_5_6 {
 public:
  ring_of_5_6(std::initializer_list<int> operations, std::uint8_t flags) {
    io_uring_params params{};
    params.flags = IORING_SETUP_R_DISABLED;
    if (::io_uring_queue_init_params(8, &ring_, &params) != 0) return;
    made_ = true;
    ring_.features &= ~static_cast<unsigned>(IORING_FEAT_SQPOLL_NONFIXED);
    std::vector<io_uring_restriction> allowed(1);
    allowed[0].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    allowed[0].sqe_flags = flags;
    for (const int operation : operations) {
      auto& entry = allowed.emplace_back();
      entry.opcode = IORING_RESTRICTION_SQE_OP;
      entry.sqe_op = static_cast<std::uint8_t>(operation);
    }
    restricted_ = did(IORING_REGISTER_RESTRICTIONS, allowed.data(), allowed.size()) &&
                  did(IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  }
  ring_of_5_6(const ring_of_5_6&) = delete;
  ring_of_5_6& operator=(const ring_of_5_6&) = delete;
  ~ring_of_5_6() {
    if (made_) io_uring_queue_exit(&ring_);
  }

  bool restricted() const noexcept { return restricted_; }
  ring_features tried() {
    auto features = all_ring_features();
    EXPECT_TRUE(try_operations(ring_, features));
    return features;
  }

 private:
  bool did(unsigned what, void* entries, std::size_t count) const {
    return ::syscall(SYS_io_uring_register, ring_.ring_fd, what, entries, count) == 0;
  }

  io_uring ring_{};
  bool made_ = false;
  bool restricted_ = false;
};

TEST_F(uring_engine_test, an_operation_that_is_listed_is_tried_before_it_is_believed) {
  ring_of_5_6 refuses({IORING_OP_NOP, IORING_OP_FSYNC}, IOSQE_IO_LINK);
  if (!refuses.restricted()) GTEST_SKIP() << "IORING_REGISTER_RESTRICTIONS needs Linux 5.10";
  const auto left = refuses.tried();
  EXPECT_FALSE(left.statx);
  EXPECT_FALSE(left.open);
  EXPECT_TRUE(left.links);
  EXPECT_TRUE(left.read_write) << "what no kernel was seen to do otherwise is not tried";

  ring_of_5_6 takes({IORING_OP_NOP, IORING_OP_FSYNC, IORING_OP_STATX, IORING_OP_OPENAT},
                    IOSQE_IO_LINK);
  const auto before = open_descriptors();
  const auto all = takes.tried();
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_TRUE(all.statx);
  EXPECT_TRUE(all.open);
}

// --- ceilings

TEST(operation_ceiling, every_version_that_changes_something_is_one_from_5_4_on) {
  const auto ceilings = operation_ceilings();
  ASSERT_FALSE(ceilings.empty());
  EXPECT_EQ(ceilings.front(), (kernel_version{5, 4}));
  EXPECT_TRUE(std::is_sorted(ceilings.begin(), ceilings.end()));
  EXPECT_EQ(features_newer_than(ceilings.front()).names(), all_ring_features().names());
  EXPECT_TRUE(features_newer_than(ceilings.back()).names().empty());
  for (const auto version : {kernel_version{5, 6}, kernel_version{5, 10}, kernel_version{6, 1}}) {
    EXPECT_TRUE(std::binary_search(ceilings.begin(), ceilings.end(), version))
        << to_string(version);
  }
}

TEST_F(uring_engine_test, above_the_ceiling_the_kernel_refuses_every_opcode_and_below_it_none) {
  if (!probe_ring(kernel_version{5, 4}).ceiling->enforced) {
    GTEST_SKIP() << "IORING_REGISTER_RESTRICTIONS needs Linux 5.10";
  }
  const auto at_5_4 = probe_ring(kernel_version{5, 4});
  for (const auto* const opcode : {"ASYNC_CANCEL", "STATX", "READ", "WRITE"}) {
    EXPECT_TRUE(has(at_5_4.refused, opcode)) << opcode;
  }
  for (const auto version : operation_ceilings()) {
    const auto support = probe_ring(version);
    EXPECT_FALSE(support.opcodes.empty());
    for (const auto& opcode : support.opcodes) {
      EXPECT_FALSE(has(support.refused, opcode)) << opcode << " at " << to_string(version);
    }
    EXPECT_EQ(has(support.refused, "READ"), version < (kernel_version{5, 6})) << to_string(version);
  }
}

/// The descriptor of this process's one ring, or -1.
int ring_descriptor() {
  for (const auto& name : names_in("/proc/self/fd")) {
    std::error_code gone;
    const auto target = std::filesystem::read_symlink("/proc/self/fd/" + name, gone);
    if (target == "anon_inode:[io_uring]") return std::stoi(name);
  }
  return -1;
}

// That its entries are refused too is what the probe tries.
TEST_F(uring_engine_test, an_engine_below_a_ceiling_has_a_restricted_ring) {
  uring_options options;
  options.ceiling = kernel_version{5, 6};
  const auto engine = make_uring_engine(options);
  const auto ceiling = engine->traits().ceiling;
  ASSERT_TRUE(ceiling.has_value());
  EXPECT_EQ(ceiling->version, (kernel_version{5, 6}));
  if (!ceiling->enforced) GTEST_SKIP() << "IORING_REGISTER_RESTRICTIONS needs Linux 5.10";
  constexpr unsigned unregister_buffers = 1;  // IORING_UNREGISTER_BUFFERS
  ASSERT_GE(ring_descriptor(), 0);
  EXPECT_EQ(::syscall(SYS_io_uring_register, ring_descriptor(), unregister_buffers, nullptr, 0),
            -1);
  EXPECT_EQ(errno, EACCES);
}

TEST_F(uring_engine_test, an_engine_without_a_ceiling_says_so) {
  EXPECT_FALSE(make_uring_engine()->traits().ceiling.has_value());
  EXPECT_FALSE(probe_ring().ceiling.has_value());
}

// Where registering is filtered away the ring works nevertheless, and nothing is called enforced.
TEST(uring_engine_death_test, a_ceiling_that_cannot_be_enforced_is_on_trust) {
  EXPECT_EXIT(
      {
        refuse_system_call(SYS_io_uring_register, EPERM);
        uring_options options;
        options.ceiling.emplace(operation_ceilings().front());
        const auto engine = make_uring_engine(options);
        const bool works = perform_alone(*engine, io_request::nop()).ok();
        std::_Exit(works && !engine->traits().ceiling->enforced ? 1 : 0);
      },
      ExitedWithCode(1), "");
}

TEST_F(uring_engine_test, what_a_ceiling_forbids_names_the_ceiling) {
  uring_options options;
  options.ceiling = kernel_version{5, 4};
  options.force_async = true;
  try {
    make_uring_engine(options);
    ADD_FAILURE() << "IOSQE_ASYNC came with 5.6";
  } catch (const unsupported& why) {
    EXPECT_NE(std::string(why.what()).find("--ops 5.4"), std::string::npos) << why.what();
  }
}

// --- its size

TEST(uring_engine_limits, a_ring_of_an_impossible_size_is_refused_with_the_possible_ones) {
  for (const unsigned entries : {0U, 32'769U, 1U << 31}) {
    uring_options options;
    options.entries = entries;
    try {
      make_uring_engine(options);
      ADD_FAILURE() << entries;
    } catch (const std::system_error& refused) {
      EXPECT_EQ(refused.code().value(), EINVAL);
      EXPECT_NE(std::string(refused.what()).find("1 to 32768"), std::string::npos)
          << refused.what();
    }
  }
}

TEST_F(uring_engine_test, a_ring_of_every_possible_size_works) {
  for (unsigned entries = 1; entries <= 4096; entries *= 2) {
    uring_options options;
    options.entries = entries;
    const auto engine = make_uring_engine(options);
    EXPECT_EQ(perform_alone(*engine, io_request::nop()), io_result{0});
  }
}

// A kernel that refuses a flag as unknown: the next best is used.
TEST_F(uring_engine_test, an_engine_without_the_newest_flags_still_works) {
  ring_features without;
  for (bool ring_features::*const flag :
       {&ring_features::defer_taskrun, &ring_features::single_issuer,
        &ring_features::coop_taskrun}) {
    without.*flag = true;
    const auto engine = small(without);
    EXPECT_EQ(perform_alone(*engine, io_request::nop()), io_result{0});
  }
}

}  // namespace
}  // namespace filemap
