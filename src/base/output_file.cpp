#include "output_file.hpp"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace filemap {

namespace {

/// A file that is gone with this object, unless it has been put in another's place.
class aside {
 public:
  explicit aside(const std::string& target)
      : path_(target + ".XXXXXX"), fd_(::mkostemp(path_.data(), O_CLOEXEC)) {}
  aside(const aside&) = delete;
  aside& operator=(const aside&) = delete;
  ~aside() {
    const int error = errno;
    if (fd_ && !placed_) ::unlink(path_.c_str());
    errno = error;
  }

  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
  int fd() const noexcept { return fd_.get(); }
  bool put(const std::string& target) noexcept {
    placed_ = ::fsync(fd_.get()) == 0 && ::rename(path_.c_str(), target.c_str()) == 0;
    return placed_;
  }

 private:
  std::string path_;
  unique_fd fd_;
  bool placed_ = false;
};

mode_t mode_of_new_files() noexcept {
  const auto mask = ::umask(0);
  ::umask(mask);
  return 0666 & ~mask;
}

}  // namespace

output_file::output_file(std::string path, std::string_view instead)
    : path_(std::move(path)), instead_(instead) {
  if (path_.empty() || path_ == "-") return;
  struct stat status {};
  const bool exists = ::stat(path_.c_str(), &status) == 0;
  if (exists) {
    direct_ = unique_fd{::open(path_.c_str(), O_WRONLY | O_CLOEXEC)};
    if (!direct_) fail();
    if (!S_ISREG(status.st_mode)) return;
  }
  const std::unique_ptr<char, decltype(&std::free)> resolved{::realpath(path_.c_str(), nullptr),
                                                             &std::free};
  target_ = resolved != nullptr ? resolved.get() : path_;
  mode_ = exists ? status.st_mode & 07777 : mode_of_new_files();
  if (aside(target_)) {
    direct_ = {};
  } else if (!exists) {
    fail();
  }
}

void output_file::fail() const {
  const int error = errno;
  if (path_ == "-") {
    throw std::system_error(error, std::generic_category(),
                            "cannot write to standard output" + instead_);
  }
  const char* const advice = error == ENOENT   ? "; make its directory first"
                             : error == ENOSPC ? "; free some space or choose another file"
                                               : "; choose another file";
  throw std::system_error(error, std::generic_category(), "cannot write " + path_ + advice);
}

void output_file::write(std::string_view text) {
  if (path_ == "-") {
    write_all(STDOUT_FILENO, text);
  } else if (!direct_) {
    write_aside(text);
  } else {
    if (!target_.empty() && ::ftruncate(direct_.get(), 0) != 0) fail();
    write_all(direct_.get(), text);
  }
}

void output_file::write_aside(std::string_view text) const {
  aside file(target_);
  if (!file || ::fchmod(file.fd(), mode_) != 0) fail();
  write_all(file.fd(), text);
  if (!file.put(target_)) fail();
}

void output_file::write_all(int fd, std::string_view text) const {
  while (!text.empty()) {
    const auto written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail();
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace filemap
