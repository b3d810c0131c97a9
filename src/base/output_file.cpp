#include "output_file.hpp"

#include "filemap/io/unique_fd.hpp"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace filemap {

namespace {

[[noreturn]] void fail(const std::string& path) {
  const int error = errno;
  const bool stream = path == "-";
  const char* advice = stream            ? "; --json FILE keeps the results elsewhere"
                       : error == ENOENT ? "; make its directory first"
                       : error == ENOSPC ? "; free some space or choose another file"
                                         : "; choose another file";
  throw std::system_error(error, std::generic_category(),
                          "cannot write " + (stream ? "to standard output" : path) + advice);
}

}  // namespace

output_file::output_file(std::string path) : path_(std::move(path)) {
  if (path_.empty() || path_ == "-") return;
  made_ = ::access(path_.c_str(), F_OK) != 0;
  const unique_fd fd{::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666)};
  if (!fd) {
    made_ = false;
    fail(path_);
  }
}

output_file::~output_file() {
  if (made_) ::unlink(path_.c_str());
}

void output_file::write(std::string_view text) {
  const unique_fd file{path_ == "-" ? ::dup(STDOUT_FILENO)
                                    : ::open(path_.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC)};
  if (!file) fail(path_);
  while (!text.empty()) {
    const auto written = ::write(file.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path_);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  made_ = false;
}

}  // namespace filemap
