#pragma once

// A child of a test, to be looked at from outside.

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace filemap {

/// Runs a function in a child, which is killed at the end with all that it has made. The function
/// is to use system calls alone.
class forked {
 public:
  template <typename Function>
  explicit forked(Function function) : process_(::fork()) {
    ::setpgid(process_, process_);  // both do: whoever is first
    if (process_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    function();
    ::_exit(0);
  }
  forked(const forked&) = delete;
  forked& operator=(const forked&) = delete;
  ~forked() {
    ::kill(-process_, SIGKILL);
    while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  pid_t process() const noexcept { return process_; }

 private:
  const pid_t process_;
};

[[noreturn]] inline void pause_for_good() {
  for (;;) ::pause();
}

}  // namespace filemap
