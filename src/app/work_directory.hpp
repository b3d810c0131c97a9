#pragma once

#include "filemap/io/unique_fd.hpp"

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
  /// Throws std::system_error naming the directory and what to do.
  explicit work_directory(const std::filesystem::path& below);
  work_directory(const work_directory&) = delete;
  work_directory& operator=(const work_directory&) = delete;
  ~work_directory() { remove(); }

  const std::filesystem::path& path() const noexcept { return path_; }
  /// Makes a directory in it, whose name begins with `name` and is no other's.
  std::filesystem::path subdirectory(const std::string& name) const;
  /// Idempotent. The destructor swallows a failure, as it runs on every way out.
  std::error_code remove() const noexcept;

 private:
  std::filesystem::path path_;
};

/// Removes a directory when this process is gone and all that it has forked and not executed: also
/// after SIGKILL, for which nobody can be prepared but another process.
class directory_keeper {
 public:
  /// Throws std::system_error.
  explicit directory_keeper(const std::filesystem::path& directory);
  directory_keeper(const directory_keeper&) = delete;
  directory_keeper& operator=(const directory_keeper&) = delete;
  /// Likewise; returns when it is done.
  ~directory_keeper();

 private:
  unique_fd lives_;  // as long as somebody has it
  pid_t keeper_ = -1;
};

}  // namespace filemap
