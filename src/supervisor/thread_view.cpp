#include "thread_view.hpp"

#include "filemap/io/unique_fd.hpp"

#include "process_numbers.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <linux/futex.h>
#include <string_view>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <system_error>
#include <unistd.h>
#include <vector>

#include <climits>
#include <fmt/format.h>

namespace filemap {

namespace {

std::string contents_of(const std::string& path) {
  const unique_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return "";
  std::array<char, 4096> buffer{};
  const auto size = ::read(file.get(), buffer.data(), buffer.size());
  return size > 0 ? std::string(buffer.data(), static_cast<std::size_t>(size)) : "";
}

// Of status, where each line begins with its name.
pid_t field_of(pid_t thread, std::string_view field, pid_t otherwise) {
  const auto status = contents_of(fmt::format("/proc/{}/status", thread));
  const auto found = status.find(field);
  if (found == std::string::npos) return otherwise;
  return static_cast<pid_t>(std::strtol(status.c_str() + found + field.size(), nullptr, 10));
}

// An address of another process, and no pointer of ours.
iovec remote_memory(std::uint64_t address, std::size_t size) {
  return {reinterpret_cast<void*>(address), size};  // NOLINT(performance-no-int-to-ptr)
}

using std::chrono::nanoseconds;

nanoseconds duration_of(const timespec& time) {
  return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

std::optional<nanoseconds> relative(pid_t thread, std::uint64_t address) {
  timespec time{};
  if (address == 0 || read_memory(thread, address, &time, sizeof time) != sizeof time) {
    return std::nullopt;
  }
  return duration_of(time);
}

std::optional<nanoseconds> until(pid_t thread, std::uint64_t address, clockid_t clock) {
  const auto then = relative(thread, address);
  timespec now{};
  if (!then || ::clock_gettime(clock, &now) != 0) return std::nullopt;
  return std::max(*then - duration_of(now), nanoseconds(0));
}

std::optional<nanoseconds> milliseconds(std::uint64_t argument) {
  const auto count = static_cast<int>(argument);
  if (count < 0) return std::nullopt;
  return std::chrono::milliseconds(count);
}

// A select's, which is a timeval.
std::optional<nanoseconds> microseconds(pid_t thread, std::uint64_t address) {
  timeval time{};
  if (address == 0 || read_memory(thread, address, &time, sizeof time) != sizeof time) {
    return std::nullopt;
  }
  return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

std::optional<nanoseconds> futex_limit(pid_t thread, const current_call& call) {
  const auto operation = static_cast<int>(call.arguments[1]);
  const auto clock = (operation & FUTEX_CLOCK_REALTIME) != 0 ? CLOCK_REALTIME : CLOCK_MONOTONIC;
  switch (operation & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
      return relative(thread, call.arguments[3]);
    case FUTEX_LOCK_PI:
      return until(thread, call.arguments[3], CLOCK_REALTIME);
    case FUTEX_WAIT_BITSET:
    case FUTEX_WAIT_REQUEUE_PI:
      return until(thread, call.arguments[3], clock);
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<current_call> call_of(pid_t thread) {
  const auto text = contents_of(fmt::format("/proc/{}/syscall", thread));
  current_call call;
  auto& to = call.arguments;
  const auto fields = std::sscanf(text.c_str(), "%ld 0x%lx 0x%lx 0x%lx 0x%lx 0x%lx 0x%lx",
                                  &call.number, &to[0], &to[1], &to[2], &to[3], &to[4], &to[5]);
  if (fields < 7) return std::nullopt;  // "running", or "-1" with two more outside of a call
  return call;
}

std::string name_of_thread(pid_t thread) {
  auto name = contents_of(fmt::format("/proc/{}/comm", thread));
  if (!name.empty() && name.back() == '\n') name.pop_back();
  return name;
}

pid_t process_of(pid_t thread) {
  // Most are the first of their process, and to be told that takes less than to read.
  const auto sent = ::syscall(SYS_tgkill, thread, thread, 0);
  return sent == 0 || errno == EPERM ? thread : field_of(thread, "\nTgid:", thread);
}

pid_t parent_of(pid_t process) { return field_of(process, "\nPPid:", 0); }

std::vector<pid_t> children_of(pid_t process) {
  std::vector<pid_t> children;
  std::error_code error;
  for (const auto& task :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/task", process), error)) {
    const unique_fd list(::open((task.path() / "children").c_str(), O_RDONLY | O_CLOEXEC));
    each_process_in(list, [&](pid_t child) { children.push_back(child); });
  }
  return children;
}

std::size_t read_memory(pid_t thread, std::uint64_t address, void* into, std::size_t size) {
  const iovec local{into, size};
  const auto remote = remote_memory(address, size);
  const auto got = ::process_vm_readv(thread, &local, 1, &remote, 1, 0);
  return got > 0 ? static_cast<std::size_t>(got) : 0;
}

std::size_t write_memory(pid_t thread, std::uint64_t address, const void* from, std::size_t size) {
  const iovec local{const_cast<void*>(from), size};
  const auto remote = remote_memory(address, size);
  const auto put = ::process_vm_writev(thread, &local, 1, &remote, 1, 0);
  return put > 0 ? static_cast<std::size_t>(put) : 0;
}

std::string read_string(pid_t thread, std::uint64_t address) {
  constexpr std::uint64_t page = 4096;  // at the least: what is behind the next may not be there
  std::string text;
  std::array<char, page> buffer{};
  while (address != 0 && text.size() < PATH_MAX) {
    const auto most = page - (address + text.size()) % page;
    const auto got = read_memory(thread, address + text.size(), buffer.data(), most);
    const auto length = ::strnlen(buffer.data(), got);
    text.append(buffer.data(), length);
    if (length < got) return text.size() < PATH_MAX ? text : "";
    if (got == 0) return "";
  }
  return "";
}

std::optional<time_limit> time_limit_of(pid_t thread, const current_call& call) {
  const auto& to = call.arguments;
  const auto limit = [](std::string_view name,
                        std::optional<nanoseconds> most) -> std::optional<time_limit> {
    if (!most) return std::nullopt;
    return time_limit{name, *most};
  };
  switch (call.number) {
    case SYS_nanosleep:
      return limit("nanosleep", relative(thread, to[0]));
    case SYS_clock_nanosleep:
      return limit("clock_nanosleep", (to[1] & TIMER_ABSTIME) != 0
                                          ? until(thread, to[2], static_cast<clockid_t>(to[0]))
                                          : relative(thread, to[2]));
    case SYS_futex:
      return limit("futex", futex_limit(thread, call));
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
      return limit("epoll_wait", milliseconds(to[3]));
#endif
    case SYS_epoll_pwait:
      return limit("epoll_pwait", milliseconds(to[3]));
#ifdef SYS_epoll_pwait2
    case SYS_epoll_pwait2:
      return limit("epoll_pwait2", relative(thread, to[3]));
#endif
#ifdef SYS_poll
    case SYS_poll:
      return limit("poll", milliseconds(to[2]));
#endif
    case SYS_ppoll:
      return limit("ppoll", relative(thread, to[2]));
    case SYS_rt_sigtimedwait:
      return limit("rt_sigtimedwait", relative(thread, to[2]));
#ifdef SYS_select
    case SYS_select:
      return limit("select", microseconds(thread, to[4]));
#endif
    case SYS_pselect6:
      return limit("pselect6", relative(thread, to[4]));
    case SYS_restart_syscall:  // of a sleep that a signal interrupted: it is not known what is left
      return time_limit{"restart_syscall", nanoseconds(0)};
    default:
      return std::nullopt;
  }
}

}  // namespace filemap
