#include "thread_view.hpp"

#include "filemap/io/unique_fd.hpp"

#include "forked.hpp"
#include "process_numbers.hpp"
#include "process_tree.hpp"
#include "testing.hpp"

#include <array>
#include <chrono>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <linux/futex.h>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <utility>
#include <vector>

#include <climits>
#include <gtest/gtest.h>

namespace filemap {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

std::uint64_t address_of(const void* what) { return reinterpret_cast<std::uint64_t>(what); }

TEST(read_string, ends_at_the_end_of_a_page_that_has_none_behind_it) {
  constexpr std::size_t page = 4096;
  auto* const pages = static_cast<char*>(
      ::mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ::mprotect(pages + page, page, PROT_NONE);
  std::string_view("abc").copy(pages + page - 4, 3);
  const std::string longest(PATH_MAX + 10, 'x');
  const forked child([] { pause_for_good(); });
  EXPECT_EQ(read_string(child.process(), address_of(pages + page - 4)), "abc");
  pages[page - 1] = 'd';  // here and not there
  EXPECT_EQ(read_string(child.process(), address_of(pages + page - 4)), "abc");
  EXPECT_EQ(read_string(child.process(), address_of(longest.c_str())), "");
  EXPECT_EQ(read_string(child.process(), address_of(pages + page)), "");
  ::munmap(pages, 2 * page);
}

// --- threads and processes

TEST(thread_view, of_a_process_that_is_gone_is_empty) {
  pid_t gone = 0;
  {
    const forked child([] {});
    gone = child.process();
  }
  EXPECT_EQ(call_of(gone), std::nullopt);
  EXPECT_EQ(name_of_thread(gone), "");
  EXPECT_EQ(parent_of(gone), 0);
  EXPECT_TRUE(children_of(gone).empty());
  char byte = 0;
  EXPECT_EQ(read_memory(gone, address_of(&byte), &byte, 1), 0U);
}

TEST(thread_view, tells_a_process_and_its_parent) {
  const forked child([] { pause_for_good(); });
  EXPECT_EQ(process_of(child.process()), child.process());
  EXPECT_EQ(parent_of(child.process()), ::getpid());
  const auto children = children_of(::getpid());
  EXPECT_EQ(std::count(children.begin(), children.end(), child.process()), 1);
}

TEST(each_process, leaves_out_a_number_that_is_cut_off) {
  const auto all = [](std::string_view text) {
    std::vector<pid_t> processes;
    const auto understood = each_process(text, [&](pid_t one) { processes.push_back(one); });
    return std::pair(processes, understood);
  };
  EXPECT_EQ(all("12 345 6 "), std::pair(std::vector<pid_t>({12, 345, 6}), std::size_t{9}));
  EXPECT_EQ(all("12 345 6"), std::pair(std::vector<pid_t>({12, 345}), std::size_t{7}));
  EXPECT_EQ(all("12"), std::pair(std::vector<pid_t>(), std::size_t{0}));
  EXPECT_EQ(all(""), std::pair(std::vector<pid_t>(), std::size_t{0}));
}

// A list of them is longer than what is read at once, which ends within a number.
TEST(thread_view, has_all_of_many_children) {
  constexpr int many = 1500;
  const forked parent([] {
    for (int i = 0; i < many; ++i) {
      if (::fork() != 0) continue;
      pause_for_good();
    }
    pause_for_good();
  });
  const auto count = [&] {
    process_tree tree(::getpid());
    tree.look();
    return tree.processes();
  };
  ASSERT_TRUE(eventually([&] { return count() == many + 1; })) << count();
  const auto children = children_of(parent.process());
  EXPECT_EQ(children.size(), static_cast<std::size_t>(many));
  for (const auto child : children) EXPECT_EQ(parent_of(child), parent.process());
}

TEST(write_memory, changes_what_is_there) {
  int value = 1;
  const forked child([&] {
    while (*static_cast<volatile int*>(&value) == 1) ::sched_yield();
    ::_exit(*static_cast<volatile int*>(&value));
  });
  const int other = 7;
  EXPECT_EQ(write_memory(child.process(), address_of(&value), &other, sizeof other), sizeof other);
  siginfo_t how{};
  ::waitid(P_PID, static_cast<id_t>(child.process()), &how, WEXITED | WNOWAIT);
  EXPECT_EQ(how.si_status, 7);
  EXPECT_EQ(value, 1);
}

// --- how long it sleeps

// Of a child that is in a call which may be interrupted; nothing: without a limit.
std::optional<nanoseconds> limit_of(long number, const std::function<void()>& sleep) {
  const forked child([&] {
    sleep();
    pause_for_good();
  });
  std::optional<current_call> call;
  EXPECT_TRUE(eventually([&] {
    call = call_of(child.process());
    return call && call->number == number;
  })) << number;
  const auto limit = call ? time_limit_of(child.process(), *call) : std::nullopt;
  return limit ? std::optional(limit->most) : std::nullopt;
}

timespec now_and(clockid_t clock, time_t seconds) {
  timespec time{};
  ::clock_gettime(clock, &time);
  time.tv_sec += seconds;
  return time;
}

TEST(time_limit_of, says_for_how_long_a_sleep_is_asked_for) {
  const timespec hour{3600, 5};
  EXPECT_EQ(limit_of(SYS_nanosleep, [&] { ::syscall(SYS_nanosleep, &hour, nullptr); }), 1h + 5ns);
  EXPECT_EQ(
      limit_of(SYS_clock_nanosleep, [&] { ::clock_nanosleep(CLOCK_MONOTONIC, 0, &hour, nullptr); }),
      1h + 5ns);
#ifdef SYS_poll
  EXPECT_EQ(limit_of(SYS_poll, [] { ::syscall(SYS_poll, nullptr, 0, 60'000); }), 60s);
#endif
  EXPECT_EQ(limit_of(SYS_ppoll, [&] { ::syscall(SYS_ppoll, nullptr, 0, &hour, nullptr, 8); }),
            1h + 5ns);
  const unique_fd poll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
#ifdef SYS_epoll_wait
  EXPECT_EQ(
      limit_of(SYS_epoll_wait, [&] { ::syscall(SYS_epoll_wait, poll.get(), &event, 1, 60'000); }),
      60s);
#endif
  EXPECT_EQ(
      limit_of(SYS_epoll_pwait,
               [&] { ::syscall(SYS_epoll_pwait, poll.get(), &event, 1, 60'000, nullptr, 8); }),
      60s);
  EXPECT_EQ(limit_of(SYS_pselect6,
                     [&] {
                       timespec time = hour;
                       ::syscall(SYS_pselect6, 0, nullptr, nullptr, nullptr, &time, nullptr);
                     }),
            1h + 5ns);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigaddset(&none, SIGUSR1);
  EXPECT_EQ(limit_of(SYS_rt_sigtimedwait,
                     [&] { ::syscall(SYS_rt_sigtimedwait, &none, nullptr, &hour, 8); }),
            1h + 5ns);
  int futex = 0;
  EXPECT_EQ(
      limit_of(SYS_futex, [&] { ::syscall(SYS_futex, &futex, FUTEX_WAIT_PRIVATE, 0, &hour); }),
      1h + 5ns);
}

// Some tens of seconds are left between the two looks at the clock, for any machine.
TEST(time_limit_of, says_what_is_left_of_one_until_a_time) {
  const auto is_about_an_hour = [](std::optional<nanoseconds> limit) {
    return limit && *limit <= 1h && *limit > 59min;
  };
  for (const auto clock : {CLOCK_MONOTONIC, CLOCK_REALTIME}) {
    const auto then = now_and(clock, 3600);
    EXPECT_TRUE(is_about_an_hour(limit_of(
        SYS_clock_nanosleep, [&] { ::clock_nanosleep(clock, TIMER_ABSTIME, &then, nullptr); })));
    const int realtime = clock == CLOCK_REALTIME ? FUTEX_CLOCK_REALTIME : 0;
    int futex = 0;
    EXPECT_TRUE(is_about_an_hour(limit_of(SYS_futex, [&] {
      ::syscall(SYS_futex, &futex, FUTEX_WAIT_BITSET_PRIVATE | realtime, 0, &then, nullptr,
                FUTEX_BITSET_MATCH_ANY);
    })));
  }
}

TEST(time_limit_of, is_none_of_what_waits_for_something_to_happen) {
#ifdef SYS_poll
  EXPECT_EQ(limit_of(SYS_poll, [] { ::syscall(SYS_poll, nullptr, 0, -1); }), std::nullopt);
#endif
  EXPECT_EQ(limit_of(SYS_ppoll, [] { ::syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 8); }),
            std::nullopt);
  int futex = 0;
  EXPECT_EQ(
      limit_of(SYS_futex, [&] { ::syscall(SYS_futex, &futex, FUTEX_WAIT_PRIVATE, 0, nullptr); }),
      std::nullopt);
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const unique_fd from(ends[0]);
  const unique_fd to(ends[1]);
  char byte = 0;
  EXPECT_EQ(limit_of(SYS_read, [&] { ::syscall(SYS_read, from.get(), &byte, 1); }), std::nullopt);
}

}  // namespace
}  // namespace filemap
