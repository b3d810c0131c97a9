#pragma once

#include <filesystem>
#include <string>
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

}  // namespace filemap
