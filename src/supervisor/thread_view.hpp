#pragma once

// What /proc and process_vm_readv(2) say of a thread that is held or asleep. All of it may be gone
// at any moment: then it is empty.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace filemap {

/// A call in which a thread sleeps, or is held.
struct current_call {
  long number = -1;
  std::array<std::uint64_t, 6> arguments{};
};
/// Nothing: it runs, or is gone, or may not be looked at.
std::optional<current_call> call_of(pid_t thread);

/// "tokio-rt-worker"; at most 15 bytes.
std::string name_of_thread(pid_t thread);
/// Its process.
pid_t process_of(pid_t thread);
/// 0: it is gone.
pid_t parent_of(pid_t process);
/// Of all of its threads, in no order.
std::vector<pid_t> children_of(pid_t process);

/// As much as can be read of what begins there.
std::size_t read_memory(pid_t thread, std::uint64_t address, void* into, std::size_t size);
/// Likewise, the other way.
std::size_t write_memory(pid_t thread, std::uint64_t address, const void* from, std::size_t size);
/// To its NUL; empty: that is not there, or it is longer than a path can be.
std::string read_string(pid_t thread, std::uint64_t address);

/// How long a thread sleeps in a call at the most.
struct time_limit {
  std::string_view call;             ///< the kernel's name: "futex"
  std::chrono::nanoseconds most{0};  ///< from its beginning on, or from now
};
/// Of a thread that sleeps in `call`; nothing: until something happens.
std::optional<time_limit> time_limit_of(pid_t thread, const current_call& call);

}  // namespace filemap
