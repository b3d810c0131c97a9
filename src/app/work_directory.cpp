#include "work_directory.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

namespace filemap {

work_directory::work_directory(const std::filesystem::path& below) {
  auto name = (below / "filemap-uring.XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    const int error = errno;
    const bool missing = error == ENOENT && ::access(below.c_str(), F_OK) != 0;
    const char* advice = missing            ? "make it first"
                         : error == ENOTDIR ? "name a directory"
                         : error == ENOSPC  ? "free some space"
                                            : "choose another";
    throw std::system_error(
        error, std::generic_category(),
        fmt::format("--dir {}: cannot make a directory in it; {}", below.string(), advice));
  }
  path_ = name;
}

std::filesystem::path work_directory::subdirectory(const std::string& name) const {
  auto made = (path_ / (name + ".XXXXXX")).string();
  if (::mkdtemp(made.data()) == nullptr) {
    const int error = errno;
    const char* advice = error == ENOSPC ? " (free some space or choose another --dir)" : "";
    throw std::system_error(error, std::generic_category(),
                            fmt::format("cannot make a directory in {}{}", path_.string(), advice));
  }
  return made;
}

std::error_code work_directory::remove() const noexcept {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
  return error;
}

directory_keeper::directory_keeper(const std::filesystem::path& directory) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::generic_category(), "pipe2");
  }
  const unique_fd ended(ends[0]);
  lives_ = unique_fd(ends[1]);
  keeper_ = ::fork();
  if (keeper_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (keeper_ > 0) return;
  ::setsid();
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGXCPU}) ::signal(signal, SIG_IGN);
  lives_ = unique_fd();
  // Who reads what this process writes is not to wait for this.
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::close(fd);
  char nothing = 0;
  while (::read(ended.get(), &nothing, 1) < 0 && errno == EINTR) {
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
  ::_exit(0);
}

directory_keeper::~directory_keeper() {
  lives_ = unique_fd();
  while (::waitpid(keeper_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace filemap
