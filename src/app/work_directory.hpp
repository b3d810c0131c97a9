#pragma once

#include "filemap/io/unique_fd.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <sys/types.h>
#include <system_error>

namespace filemap {

/// A directory of this run alone, "filemap-uring.XXXXXX" below the one that was asked for. It goes
/// with everything in it when the object does, or when a second interrupt ends the process at once.
/// One that a killed run has left is nobody's to remove but the user's.
class work_directory {
 public:
  enum class when_killed : std::uint8_t {
    left,
    /// When this process is gone, also after SIGKILL, and all that it has forked and not executed.
    /// Another process makes it for that: it is there before there is anything to remove.
    removed,
  };

  /// Throws std::system_error naming the directory and what to do.
  explicit work_directory(const std::filesystem::path& below, when_killed then = when_killed::left);
  work_directory(const work_directory&) = delete;
  work_directory& operator=(const work_directory&) = delete;
  ~work_directory();

  const std::filesystem::path& path() const noexcept { return path_; }
  /// Makes a directory in it, whose name begins with `name` and is no other's.
  std::filesystem::path subdirectory(const std::string& name) const;
  /// Idempotent. The destructor swallows a failure, as it runs on every way out.
  std::error_code remove() const noexcept;

 private:
  void make_in_another_process(const std::string& name);

  std::filesystem::path path_;
  unique_fd lives_;  // as long as somebody has it the other process waits
  pid_t keeper_ = -1;
};

}  // namespace filemap
