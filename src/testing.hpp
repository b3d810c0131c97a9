#pragma once

// What several tests need. Nothing in here waits for time to pass: `eventually` polls a condition.

#include "filemap/coro/task.hpp"
#include "filemap/coro/task_scope.hpp"
#include "filemap/io/engine.hpp"
#include "filemap/io/notify.hpp"
#include "filemap/io/run.hpp"

#include <array>
#include <chrono>
#include <coroutine>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <ostream>
#include <span>
#include <stdlib.h>
#include <string>
#include <string_view>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace filemap {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool under_address_sanitizer = true;
#elif defined(__has_feature)
inline constexpr bool under_address_sanitizer = __has_feature(address_sanitizer);
#else
inline constexpr bool under_address_sanitizer = false;
#endif

#if defined(__SANITIZE_THREAD__)
inline constexpr bool under_thread_sanitizer = true;
#elif defined(__has_feature)
inline constexpr bool under_thread_sanitizer = __has_feature(thread_sanitizer);
#else
inline constexpr bool under_thread_sanitizer = false;
#endif

inline void PrintTo(io_result result, std::ostream* out) { *out << result.res; }  // for GoogleTest

/// How many of it there are, to find what is destroyed twice, or never, or too late.
class counted {
 public:
  explicit counted(int value = 0) noexcept : value(value) { ++alive; }
  counted(const counted& other) noexcept : value(other.value) { ++alive; }
  counted(counted&& other) noexcept : value(std::exchange(other.value, -1)) { ++alive; }
  counted& operator=(const counted&) = default;
  counted& operator=(counted&& other) noexcept {
    value = std::exchange(other.value, -1);
    return *this;
  }
  ~counted() { --alive; }

  static inline int alive = 0;
  int value;
};

/// Suspends one task until the test lets it through.
class gate {
 public:
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> suspended) noexcept { waiting_ = suspended; }
  void await_resume() const noexcept {}

  bool has_waiter() const noexcept { return static_cast<bool>(waiting_); }
  void open() { std::exchange(waiting_, nullptr).resume(); }

 private:
  std::coroutine_handle<> waiting_;
};

/// A directory of the test's own below $TMPDIR, gone with all that is in it when the test ends.
class scratch_directory {
 public:
  scratch_directory() {
    std::string name = std::filesystem::temp_directory_path() / "filemap-test-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) {
      throw std::system_error(errno, std::generic_category(), "mkdtemp " + name);
    }
    path_ = name;
  }
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;
  ~scratch_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline std::span<const std::byte> bytes(std::string_view text) noexcept {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// What is in the file, read by plain system calls through a descriptor that need not be at its
/// start.
inline std::string contents(int fd) {
  std::string all;
  char part[4096];
  ssize_t got = 0;
  while ((got = ::pread(fd, part, sizeof part, static_cast<off_t>(all.size()))) > 0) {
    all.append(part, static_cast<std::size_t>(got));
  }
  return all;
}

/// Entries of /proc/self/fd or /proc/self/task.
inline std::vector<std::string> names_in(const char* directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    names.push_back(entry.path().filename());
  }
  return names;
}
inline std::size_t open_descriptors() { return names_in("/proc/self/fd").size(); }

/// Lets no file of this process grow beyond `bytes`, and makes that an error instead of a signal: a
/// disk that is full, for whoever it is not.
class file_size_limit {
 public:
  explicit file_size_limit(rlim_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  file_size_limit(const file_size_limit&) = delete;
  file_size_limit& operator=(const file_size_limit&) = delete;
  ~file_size_limit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  void (*handler_)(int);
  rlimit before_{};
};

/// Only for a child that a death test has made.
inline void install(std::span<sock_filter> filter) {
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    std::perror("prctl");
    std::_Exit(99);
  }
}

/// Makes the system call fail with `error` in this process, for ever: for a child.
inline void refuse_system_call(unsigned number, unsigned error) {
  std::array<sock_filter, 4> filter = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error & SECCOMP_RET_DATA)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  install(filter);
}

/// Looks until it is so. False after a minute, which is never how long it takes.
template <typename Condition>
bool eventually(Condition condition) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  return true;
}

/// An operation that belongs to no coroutine and notes how often, and after which others, it has
/// completed.
class noted_op : public io_op {
 public:
  explicit noted_op(const io_request& request,
                    std::vector<const noted_op*>* order = nullptr) noexcept
      : io_op(request, &note), order_(order) {}

  int completions = 0;

 private:
  static void note(io_op& op) noexcept {
    auto& self = static_cast<noted_op&>(op);
    ++self.completions;
    if (self.order_ != nullptr) self.order_->push_back(&self);
  }

  std::vector<const noted_op*>* order_;
};

/// Turns the loop until nothing is in flight.
inline void drain(engine& engine) {
  while (engine.in_flight() > 0) turn(engine);
}

inline task<io_result> performed(engine& engine, io_request request, io_record* record = nullptr) {
  const auto result = co_await perform(engine, request, record);
  co_return result;
}

/// Awaits a call that must not fail.
inline task<> succeeds(task<io_result> call) {
  const auto result = co_await call;
  EXPECT_TRUE(result.ok()) << result.error();
}

/// Passes `hops` notifications on.
inline task<> passes_on(notify& from, notify& to, int hops) {
  for (int i = 0; i < hops; ++i) {
    const auto permit = co_await from.wait();
    EXPECT_TRUE(permit.ok());
    to.notify_one();
  }
}

/// Two tasks that notify each other in turn.
inline task<> plays_ping_pong(engine& engine, int hops) {
  notify ping(engine);
  notify pong(engine);
  task_scope scope;
  scope.spawn(passes_on(ping, pong, hops));
  scope.spawn(passes_on(pong, ping, hops));
  ping.notify_one();
  co_await scope.join();
}

/// One operation, from submission to completion.
inline io_result perform_alone(engine& engine, const io_request& request,
                               io_record* record = nullptr) {
  return run(engine, performed(engine, request, record));
}

}  // namespace filemap
