#include "interrupt.hpp"

#include "report/report.hpp"

#include <csignal>
#include <dirent.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <string_view>
#include <unistd.h>

namespace filemap {

namespace {

std::atomic<bool> flag{false};
std::atomic<bool> twice{false};  // with the next one
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

char doomed[PATH_MAX];
std::atomic<bool> has_doomed{false};

// In a signal handler, so only with what signal-safety(7) allows or is a mere system call.
void remove_tree(int parent, const char* name, int levels) noexcept {
  const int directory = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  alignas(dirent64) char entries[4096];
  bool removed = true;
  while (removed) {  // again from the start: what is removed may make the listing skip others
    removed = false;
    ::lseek(directory, 0, SEEK_SET);
    for (ssize_t size = 0; (size = ::getdents64(directory, entries, sizeof entries)) > 0;) {
      for (ssize_t at = 0; at < size;) {
        auto* const entry = static_cast<dirent64*>(static_cast<void*>(entries + at));
        at += entry->d_reclen;
        const std::string_view file = entry->d_name;
        if (file == "." || file == "..") continue;
        if (::unlinkat(directory, entry->d_name, 0) == 0) {
          removed = true;
        } else if (levels > 0) {
          remove_tree(directory, entry->d_name, levels - 1);
        }
      }
    }
  }
  ::close(directory);
  ::unlinkat(parent, name, AT_REMOVEDIR);
}

void on_signal(int signal) {
  flag = true;
  if (signal == SIGXCPU || !twice.exchange(true)) return;
  if (has_doomed) remove_tree(AT_FDCWD, doomed, 1);
  ::_exit(exit_interrupted);
}

}  // namespace

const std::atomic<bool>& interrupted() noexcept { return flag; }

void remove_when_interrupted_twice(const std::filesystem::path& directory) noexcept {
  const std::string_view path = directory.native();
  if (path.size() >= sizeof doomed) return;
  path.copy(doomed, path.size());
  has_doomed = true;
}

void catch_interrupts() noexcept {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;  // no system call of an operation fails for it
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGXCPU}) {
    struct sigaction before {};
    ::sigaction(signal, nullptr, &before);
    // Whoever started us with the signal ignored (nohup) wants it ignored.
    if (before.sa_handler != SIG_IGN) ::sigaction(signal, &action, nullptr);
  }
}

}  // namespace filemap
