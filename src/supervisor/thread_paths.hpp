#pragma once

// What paths and descriptors are for a thread that is held or asleep.

#include <cstdint>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <sys/types.h>

namespace filemap {

/// What a descriptor of it refers to, as a path: " (deleted)" is cut off.
std::string path_of_descriptor(pid_t thread, int fd);

/// A link in the last place of a path: is it what is named, or is what it refers to?
enum class last_link : std::uint8_t { kept, followed };

/// What a path comes to.
struct resolved_path {
  /// From the root, and the same whatever links lead there: the kernel finds the folder. Where that
  /// cannot be opened it is the path as it was written, without "." and "..". Empty: there is no
  /// such path.
  std::string path;
  std::optional<struct ::stat> status;  ///< nothing: there is no such file
};
/// Of the path that stands at the address. `dirfd` may be AT_FDCWD.
resolved_path resolve(pid_t thread, int dirfd, std::uint64_t address, last_link link);

/// "/a/../b//c" is "/b/c".
std::string without_dots(const std::string& path);

}  // namespace filemap
