#pragma once

#include "filemap/io/unique_fd.hpp"

#include <cstdint>
#include <map>
#include <span>
#include <sys/types.h>
#include <vector>

namespace filemap {

/// A thread, as /proc shows it.
struct thread_state {
  pid_t thread = 0;
  pid_t process = 0;
  char state = '?';         ///< of proc_pid_stat(5): 'R' runs, 'S' sleeps, …
  std::uint64_t times = 0;  ///< that it has been given a processor
  std::uint64_t ran = 0;    ///< for how long in all, in nanoseconds

  friend bool operator==(const thread_state&, const thread_state&) = default;
};

/// All threads of all descendants of a process, without that process itself.
///
/// Files below /proc stay open from one look to the next: reading them again is three times as fast
/// as opening them.
class process_tree {
 public:
  explicit process_tree(pid_t root) : root_(root) {}

  /// As they are now; until the next look.
  std::span<const thread_state> look();
  /// Does it sleep for good? One that is about to find what it waits for has the state of a sleeper
  /// and runs all the same: a wait4 that reaps a child does, for as long as the kernel takes for
  /// that. The kernel answers this when it has left the processor (proc_pid_syscall).
  bool is_off_processor(pid_t thread);
  /// Of the last look: processes.
  std::size_t processes() const noexcept { return processes_; }

 private:
  struct thread_files {
    unique_fd stat;
    unique_fd schedstat;
    unique_fd children;
    unique_fd syscall;
    std::uint64_t seen = 0;  ///< the number of the last look that saw it
  };

  void look_at_process(pid_t process);
  void look_at_thread(pid_t process, pid_t thread);
  void add_children(const unique_fd& list);

  const pid_t root_;
  std::map<pid_t, thread_files> threads_;
  std::vector<thread_state> states_;
  std::vector<pid_t> to_look_at_;
  std::uint64_t looks_ = 0;
  std::size_t processes_ = 0;
};

}  // namespace filemap
