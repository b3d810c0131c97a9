#include "work_directory.hpp"

#include "io/channel.hpp"

#include <cerrno>
#include <csignal>
#include <stdlib.h>
#include <string>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

namespace filemap {

namespace {

[[noreturn]] void fail_to_make(const std::filesystem::path& below, int error) {
  const bool missing = error == ENOENT && ::access(below.c_str(), F_OK) != 0;
  const char* advice = missing            ? "make it first"
                       : error == ENOTDIR ? "name a directory"
                       : error == ENOSPC  ? "free some space"
                                          : "choose another";
  throw std::system_error(
      error, std::generic_category(),
      fmt::format("--dir {}: cannot make a directory in it; {}", below.string(), advice));
}

// Makes the directory, tells its name, or an errno alone, and removes it when nobody lives.
[[noreturn]] void keep(std::string name, const unique_fd& told, const unique_fd& lives) noexcept {
  ::setsid();
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGXCPU}) ::signal(signal, SIG_IGN);
  // Who reads what this process writes is not to wait for this.
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::close(fd);
  const int error = ::mkdtemp(name.data()) == nullptr ? errno : 0;
  const bool is_told = ::write(told.get(), &error, sizeof error) == sizeof error &&
                       ::write(told.get(), name.data(), name.size()) >= 0;
  char nothing = 0;
  while (is_told && ::read(lives.get(), &nothing, 1) < 0 && errno == EINTR) {
  }
  std::error_code ignored;
  if (error == 0) std::filesystem::remove_all(name, ignored);
  ::_exit(0);
}

}  // namespace

work_directory::work_directory(const std::filesystem::path& below, when_killed then) {
  auto name = (below / "filemap-uring.XXXXXX").string();
  if (then == when_killed::removed) {
    make_in_another_process(name);
  } else if (::mkdtemp(name.data()) == nullptr) {
    fail_to_make(below, errno);
  } else {
    path_ = name;
  }
}

void work_directory::make_in_another_process(const std::string& name) {
  auto lives = make_pipe();
  auto told = make_pipe();
  keeper_ = ::fork();
  if (keeper_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (keeper_ == 0) {
    lives.to = unique_fd();
    keep(name, told.to, lives.from);
  }
  lives_ = std::move(lives.to);
  told.to = unique_fd();
  int error = 0;
  auto made = name;
  const auto read_all = [&](void* into, std::size_t size) {
    ssize_t got = 0;
    while ((got = ::read(told.from.get(), into, size)) < 0 && errno == EINTR) {
    }
    return got == static_cast<ssize_t>(size);
  };
  if (!read_all(&error, sizeof error)) error = ECHILD;
  if (error == 0 && !read_all(made.data(), made.size())) error = ECHILD;
  if (error != 0) fail_to_make(std::filesystem::path(name).parent_path(), error);
  path_ = made;
}

work_directory::~work_directory() {
  remove();
  if (keeper_ < 0) return;
  lives_ = unique_fd();
  while (::waitpid(keeper_, nullptr, 0) < 0 && errno == EINTR) {
  }
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

}  // namespace filemap
