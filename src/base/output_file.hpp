#pragma once

#include "filemap/io/unique_fd.hpp"

#include <string>
#include <string_view>
#include <sys/types.h>

namespace filemap {

/// A file that results will go to: tried before the run, so that hours of rounds are not lost to a
/// path that cannot be written, and not changed until everything has been written: what is new is
/// written aside, in the same directory, and takes the old one's place as a whole.
///
/// What is no regular file (a FIFO, a device) is opened once and written to directly; so is a file
/// in whose directory no other can be made.
class output_file {
 public:
  /// `path` "" is none, "-" is standard output. Throws std::system_error naming the path.
  /// `instead`: of standard output, what to do where that cannot be written.
  explicit output_file(std::string path, std::string_view instead = "");
  output_file(const output_file&) = delete;
  output_file& operator=(const output_file&) = delete;

  explicit operator bool() const noexcept { return !path_.empty(); }
  /// Replaces the contents. Throws std::system_error; what the file held is still there then,
  /// unless it is one that is written to directly.
  void write(std::string_view text);

 private:
  void write_aside(std::string_view text) const;
  void write_all(int fd, std::string_view text) const;

  [[noreturn]] void fail() const;

  std::string path_;
  std::string instead_;
  std::string target_;  // of `path_`, when that is a symbolic link
  mode_t mode_ = 0666;
  unique_fd direct_;
};

}  // namespace filemap
