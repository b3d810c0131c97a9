#pragma once

// What paths and descriptors are for a thread that is held or asleep.

#include "filemap/io/unique_fd.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <sys/types.h>
#include <vector>

namespace filemap {

/// The descriptors of a thread. /proc/TID/fd stays open: what is in it is found in half the time.
/// Nothing is there any more when the thread has ended, whoever has its number then.
class open_files {
 public:
  explicit open_files(pid_t thread);

  /// At what a descriptor refers to. False: it is none.
  bool look(int fd, struct ::stat& status) const noexcept;
  /// Of that, at which somebody has just looked, as a path: " (deleted)" is cut off. It is asked
  /// for once, as long as it is the same file there.
  const std::string& path(int fd, const struct ::stat& status);
  /// To be called whenever a name may have been changed, or a number be another file's.
  void forget_paths() { paths_.clear(); }

 private:
  struct known_path {
    dev_t device = 0;
    ino_t inode = 0;
    std::string path;
  };
  unique_fd folder_;
  std::map<int, known_path> paths_;
};

/// A link in the last place of a path: is it what is named, or is what it refers to?
enum class last_link : std::uint8_t { kept, followed };

/// What a path comes to.
struct resolved_path {
  /// From the root, and the same whatever links lead there: the kernel finds the folder. Where that
  /// cannot be opened it is the path as it was written, without "." and "..". Empty: there is no
  /// such path.
  std::string path;
  std::optional<struct ::stat> status;  ///< nothing: there is no such file
  /// Other paths that were come through where there are links: as it was written, and each link in
  /// the last place. Who changes one of these names changes what the path comes to.
  std::vector<std::string> through;
};
/// Of the path that stands at the address. `dirfd` may be AT_FDCWD.
resolved_path resolve(pid_t thread, int dirfd, std::uint64_t address, last_link link);

/// "/a/b" is below "/a" and below itself, and "/ab" is not.
bool is_below(std::string_view path, std::string_view folder) noexcept;

/// "/a/../b//c" is "/b/c".
std::string without_dots(const std::string& path);

}  // namespace filemap
