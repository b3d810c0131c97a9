// What the tests of the supervisor supervise: a program that behaves as it is told.
//
//     specimen BEHAVIOUR [ARGUMENT]
//
// It ends with 0 where it saw what a program sees that nobody supervises.

#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <functional>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <map>
#include <mutex>
#include <string>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <thread>
#include <unistd.h>

namespace {

using file_name = const std::string&;

void append(file_name file, const char* text) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT, 0600);
  if (fd < 0 || ::write(fd, text, std::strlen(text)) != static_cast<ssize_t>(std::strlen(text))) {
    std::_Exit(9);
  }
  ::close(fd);
}

int ended(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

int two_writers(file_name file) {
  std::thread one([&] { append(file, "a"); });
  std::thread other([&] { append(file, "b"); });
  one.join();
  other.join();
  return 0;
}

int forks(file_name file) {
  const auto child = ::fork();
  if (child == 0) {
    append(file, "c");
    std::_Exit(0);
  }
  const int status = ended(child);
  append(file, "p");
  return status;
}

int vforks(file_name file) {
  const auto child = ::vfork();
  if (child == 0) {
    append(file, "c");
    ::_exit(0);
  }
  append(file, "p");
  return ended(child);
}

// One waits on a futex for another, which writes first.
int waits(file_name file) {
  std::mutex mutex;
  std::condition_variable changed;
  bool is_written = false;
  std::thread waiter([&] {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return is_written; });
    append(file, "w");
  });
  append(file, "n");
  {
    const std::lock_guard lock(mutex);
    is_written = true;
  }
  changed.notify_one();
  waiter.join();
  return 0;
}

// One is never quiet until the other has written.
int spins(file_name file) {
  std::atomic<bool> is_written{false};
  std::thread spinner([&] {
    while (!is_written.load()) {
    }
  });
  append(file, "s");
  is_written = true;
  spinner.join();
  return 0;
}

int locks(file_name file) {
  const auto in_turn = [&] {
    const int fd = ::open(file.c_str(), O_RDWR | O_APPEND | O_CREAT, 0600);
    if (::flock(fd, LOCK_EX) != 0) return 1;
    struct stat before {};
    ::fstat(fd, &before);
    if (::write(fd, "l", 1) != 1) return 1;
    struct stat after {};
    ::fstat(fd, &after);
    ::flock(fd, LOCK_UN);
    ::close(fd);
    return after.st_size == before.st_size + 1 ? 0 : 1;
  };
  const auto child = ::fork();
  if (child == 0) std::_Exit(in_turn());
  const int own = in_turn();
  return own + ended(child);
}

// A thread sends signals to another that writes, until that has been sent many.
int signals(file_name file) {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGUSR1, &action, nullptr);
  const auto process = ::getpid();
  const auto main_thread = ::gettid();
  std::thread sender([=] {
    for (int i = 0; i < 200; ++i) {
      ::syscall(SYS_tgkill, process, main_thread, SIGUSR1);
      std::this_thread::yield();
    }
  });
  append(file, "1");
  append(file, "2");
  sender.join();
  return 0;
}

// One reads what the other writes, some time after it: two seconds are enough for any machine.
int naps(file_name file) {
  std::thread writer([&] { append(file, "x"); });
  const timespec nap{0, 30'000'000};
  ::nanosleep(&nap, nullptr);
  struct stat seen {};
  const bool is_there = ::stat(file.c_str(), &seen) == 0 && seen.st_size == 1;
  writer.join();
  return is_there ? 0 : 1;
}

// It looks whether the file is there without waiting for the thread that writes it.
int looks_too_early(file_name file) {
  std::thread writer([&] { append(file, "x"); });
  struct stat seen {};
  const bool is_there = ::stat(file.c_str(), &seen) == 0 && seen.st_size == 1;
  writer.join();
  return is_there ? 0 : 1;
}

// It looks again and again.
int polls(file_name file) {
  std::thread writer([&] { append(file, "x"); });
  for (struct stat seen{}; ::stat(file.c_str(), &seen) != 0 || seen.st_size == 0;) {
    const timespec nap{0, 2'000'000};
    ::nanosleep(&nap, nullptr);
  }
  writer.join();
  return 0;
}

// In whatever order.
int fails_at_random(file_name file) {
  two_writers(file);
  std::array<unsigned char, 1> drawn{};
  return ::getentropy(drawn.data(), 1) == 0 && drawn[0] % 4 == 0 ? 1 : 0;
}

// One truncates by its name what the other writes through a descriptor that it has.
int truncates(file_name file) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT, 0600);
  std::thread other([&] { ::close(::open(file.c_str(), O_WRONLY | O_TRUNC)); });
  const bool is_written = ::write(fd, "t", 1) == 1;
  other.join();
  return is_written ? 0 : 1;
}

// Two of one temporary name: each makes the file, or empties the other's.
int shares_a_name(file_name file) {
  const auto save = [&] {
    const int fd = ::open(file.c_str(), O_WRONLY | O_TRUNC | O_CREAT, 0600);
    if (::write(fd, "s", 1) != 1) std::_Exit(9);
    ::close(fd);
  };
  std::thread other(save);
  save();
  other.join();
  return 0;
}

// Each through a name of its own, one of which is a symbolic link.
int follows_a_link(file_name file) {
  append(file, "");
  const auto link = file + ".link";
  if (::symlink(file.c_str(), link.c_str()) != 0) return 1;
  std::thread other([&] {
    if (::truncate(link.c_str(), 0) != 0) std::_Exit(9);
  });
  append(file, "t");
  other.join();
  return 0;
}

// A temporary name that nobody has.
int draws_a_name(file_name folder) {
  auto name = folder + "/drawn-XXXXXX";
  const int fd = ::mkstemp(name.data());
  std::thread other([&] { append(name, "o"); });
  const bool is_written = ::write(fd, "m", 1) == 1;
  other.join();
  return is_written ? 0 : 1;
}

int renames_what_is_open(file_name file) {
  const auto old = file + ".old";
  const auto folder = file + ".new";
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT, 0600);
  const auto writes = [=] { return ::write(fd, "r", 1) == 1; };
  for (int i = 0; i < 2; ++i) {
    if (!writes()) return 1;
  }
  if (::rename(file.c_str(), old.c_str()) != 0 || !writes()) return 2;
  ::unlink(old.c_str());
  ::close(fd);  // the next has its descriptor, and may have its inode
  if (::mkdir(folder.c_str(), 0700) != 0) return 3;
  if (::open((folder + "/f").c_str(), O_WRONLY | O_CREAT, 0600) != fd || !writes()) return 4;
  return ::rename(folder.c_str(), (folder + ".old").c_str()) == 0 && writes() ? 0 : 5;
}

// Some of these may be refused.
int changes_attributes(file_name file) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT, 0600);
  const auto link = file + ".link";
  if (::symlink(file.c_str(), link.c_str()) != 0) return 1;
  [[maybe_unused]] int result = ::chmod(link.c_str(), 0640);
  result = ::fchmod(fd, 0600);
  result = ::lchown(link.c_str(), ::getuid(), ::getgid());
  result = ::fchownat(fd, "", ::getuid(), ::getgid(), AT_EMPTY_PATH);
  result = ::futimens(fd, nullptr);
  result = ::utimensat(AT_FDCWD, link.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
  result = ::setxattr(link.c_str(), "user.a", "b", 1, 0);
  result = ::lremovexattr(link.c_str(), "user.a");
  return ::mkfifo((file + ".pipe").c_str(), 0600);
}

// What is in a pipe is put there after something else has been written.
int splices(file_name file) {
  std::array<int, 2> pipe{};
  if (::pipe(pipe.data()) != 0) return 1;
  std::thread from_pipe([&] {
    const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT, 0600);
    if (::splice(pipe[0], nullptr, fd, nullptr, 1, 0) != 1) std::_Exit(9);
  });
  append(file + ".other", "o");
  const bool is_put = ::write(pipe[1], "s", 1) == 1;
  from_pipe.join();
  return is_put ? 0 : 2;
}

// A pipe with a name: an open waits for the other side's.
int names_a_pipe(file_name file) {
  if (::mkfifo(file.c_str(), 0600) != 0) return 1;
  std::thread writer([&] {
    const int fd = ::open(file.c_str(), O_WRONLY);
    if (::write(fd, "p", 1) != 1) std::_Exit(9);
    ::close(fd);
  });
  const int fd = ::open(file.c_str(), O_RDONLY);
  char got = 0;
  const bool is_read = ::read(fd, &got, 1) == 1 && got == 'p';
  writer.join();
  ::unlink(file.c_str());
  return is_read ? 0 : 1;
}

int maps(file_name file, int protection) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT, 0600);
  if (::ftruncate(fd, 4096) != 0) return 1;
  auto* const mapped = ::mmap(nullptr, 4096, protection, MAP_SHARED, fd, 0);
  return mapped == MAP_FAILED ? 1 : 0;
}

// 0 where it has one; else an errno.
int sets_up_a_ring() {
  std::array<char, 256> parameters{};
  constexpr int io_uring_setup = 425;  // on every architecture
  return ::syscall(io_uring_setup, 4, parameters.data()) >= 0 ? 0 : errno;
}

int installs(sock_filter instruction, unsigned flags) {
  const sock_fprog program{1, &instruction};
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) >= 0 ? 0 : errno;
}
int has_a_listener() {
  return installs(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW), SECCOMP_FILTER_FLAG_NEW_LISTENER);
}
int has_a_filter() { return installs(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW), 0); }

// One that is nobody's child any more, and goes on.
int leaves_a_daemon() {
  const auto child = ::fork();
  if (child == 0) {
    ::setsid();
    if (::fork() == 0) {
      for (;;) ::pause();
    }
    std::_Exit(0);
  }
  return ended(child);
}

int leaves_children(int count) {
  for (int i = 0; i < count; ++i) {
    const auto child = ::fork();
    if (child < 0) return 1;
    if (child == 0) {
      for (;;) ::pause();
    }
  }
  return 0;
}

int floods(long megabytes) {
  static const std::string much(1 << 20, 'f');
  for (; megabytes > 0; --megabytes) {
    for (std::size_t at = 0; at < much.size();) {
      const auto put = ::write(STDOUT_FILENO, much.data() + at, much.size() - at);
      if (put < 0) return 1;
      at += static_cast<std::size_t>(put);
    }
  }
  return 0;
}

// Its streams first; then as for two writers.
int closes_its_streams(file_name file) {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::close(fd);
  return naps(file);
}

int never_ends() {
  for (;;) ::pause();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const std::string with = argc > 2 ? argv[2] : "";
  const auto number = std::atoi(with.c_str());
  const std::map<std::string, std::function<int()>> behaviours = {
      {"two-writers", [&] { return two_writers(with); }},
      {"forks", [&] { return forks(with); }},
      {"vforks", [&] { return vforks(with); }},
      {"waits", [&] { return waits(with); }},
      {"spins", [&] { return spins(with); }},
      {"locks", [&] { return locks(with); }},
      {"signals", [&] { return signals(with); }},
      {"naps", [&] { return naps(with); }},
      {"looks-too-early", [&] { return looks_too_early(with); }},
      {"polls", [&] { return polls(with); }},
      {"fails-at-random", [&] { return fails_at_random(with); }},
      {"truncates", [&] { return truncates(with); }},
      {"shares-a-name", [&] { return shares_a_name(with); }},
      {"follows-a-link", [&] { return follows_a_link(with); }},
      {"draws-a-name", [&] { return draws_a_name(with); }},
      {"renames-what-is-open", [&] { return renames_what_is_open(with); }},
      {"changes-attributes", [&] { return changes_attributes(with); }},
      {"splices", [&] { return splices(with); }},
      {"names-a-pipe", [&] { return names_a_pipe(with); }},
      {"maps-to-write", [&] { return maps(with, PROT_READ | PROT_WRITE); }},
      {"maps-to-read", [&] { return maps(with, PROT_READ); }},
      {"sets-up-a-ring", [] { return sets_up_a_ring(); }},
      {"has-a-listener", [] { return has_a_listener(); }},
      {"has-a-filter", [] { return has_a_filter(); }},
      {"leaves-a-daemon", [] { return leaves_a_daemon(); }},
      {"leaves-children", [&] { return leaves_children(number); }},
      {"floods", [&] { return floods(number); }},
      {"closes-its-streams", [&] { return closes_its_streams(with); }},
      {"never-ends", [] { return never_ends(); }},
      {"kills-itself", [&] { return ::raise(number); }},
      {"exits", [&] { return number; }},
      {"tells-of", [&] { return std::puts(std::getenv(with.c_str())) < 0 ? 1 : 0; }},
  };
  const auto found = behaviours.find(what);
  if (found == behaviours.end()) {
    std::fprintf(stderr, "specimen: there is no %s\n", what.c_str());
    return 2;
  }
  return found->second();
}
