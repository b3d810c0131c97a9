// The kernel resolves a path: the folder that its last component is in is opened, and /proc/self/fd
// says what that is called. What differs between the thread and us is seen to before: where its
// relative paths begin (links below /proc lead there), its root, and what of /proc is its own.

#include "thread_paths.hpp"

#include "thread_view.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string_view>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <climits>
#include <fmt/format.h>

namespace filemap {

namespace {

std::string target_of(int folder, const char* link) {
  std::array<char, PATH_MAX> buffer;  // NOLINT(*-member-init): it is filled
  const auto size = ::readlinkat(folder, link, buffer.data(), buffer.size());
  return size > 0 ? std::string(buffer.data(), static_cast<std::size_t>(size)) : "";
}

// As /proc tells of what has no name any more.
std::string without_deleted(std::string path) {
  constexpr std::string_view deleted = " (deleted)";
  if (path.ends_with(deleted)) path.resize(path.size() - deleted.size());
  return path;
}

std::string followed(const std::string& link_below_proc) {
  return without_deleted(target_of(AT_FDCWD, link_below_proc.c_str()));
}

// As /proc/TID/fd has it.
std::array<char, 16> link_named(int fd) {
  std::array<char, 16> name{};
  std::to_chars(name.begin(), name.end(), fd);
  return name;
}

struct open_folder {
  unique_fd fd;      // none: it cannot be opened
  std::string path;  // from our root
};

// A name in a folder.
struct place {
  open_folder folder;
  std::string name;  // "." of the folder itself
  std::string path;  // from our root; empty: it begins nowhere
};

class path_resolution {
 public:
  path_resolution(pid_t thread, int dirfd)
      : thread_(fmt::format("/proc/{}", thread)),
        begin_(dirfd == AT_FDCWD ? thread_ + "/cwd" : fmt::format("{}/fd/{}", thread_, dirfd)),
        root_(target_of(AT_FDCWD, (thread_ + "/root").c_str())) {
    if (root_ == "/") root_.clear();
    if (!root_.empty()) begin_in(followed(begin_));
  }

  // From now on relative paths begin there. What is outside of its root is not kept from it.
  void begin_in(std::string folder) {
    begin_ = std::move(folder);
    if (is_below(begin_, root_)) {
      begin_.erase(0, root_.size());
    } else {
      root_.clear();
    }
  }

  place find(std::string path) const {
    if (path.front() != '/') path.insert(0, begin_ + '/');
    if (root_.empty()) path = of_thread(std::move(path));
    place found;
    found.name = last_of(path);
    if (is_folder(found.name)) {
      found.folder = open(path);
      if (found.folder.fd) {
        found.name = ".";
        found.path = found.folder.path;
        return found;
      }
      path.resize(path.find_last_not_of('/') + 1);  // one that is to be made: mkdir("new/")
      found.name = last_of(path);
    }
    if (!is_folder(found.name)) {
      found.folder = open(path.substr(0, path.size() - found.name.size()));
    }
    found.path =
        found.folder.fd ? without_dots(found.folder.path + '/' + found.name) : as_written(path);
    return found;
  }

  std::string as_written(std::string path) const {
    if (path.front() != '/') path.insert(0, begin_ + '/');
    const bool begins_at_link = is_below(path, begin_) && is_below(begin_, thread_);
    if (!begins_at_link) return without_dots(root_ + path);
    const auto begin = followed(begin_);
    return begin.empty() ? "" : without_dots(begin + path.substr(begin_.size()));
  }

 private:
  static std::string last_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }
  static bool is_folder(std::string_view name) {
    return name.empty() || name == "." || name == "..";
  }

  // "/proc/self" is us.
  std::string of_thread(std::string path) const {
    for (const auto& [ours, its] :
         {std::pair("/proc/self", thread_), std::pair("/proc/thread-self", thread_),
          std::pair("/dev/fd", thread_ + "/fd")}) {
      if (is_below(path, ours)) return path.replace(0, std::string_view(ours).size(), its);
    }
    return path;
  }

  open_folder open(const std::string& path) const {
    constexpr int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    unique_fd fd(::open(root_.empty() ? path.c_str() : root_.c_str(), flags));
    if (fd && !root_.empty()) {
      // There a link to "/a" is one to its own.
      open_how how{};
      how.flags = flags;
      how.resolve = RESOLVE_IN_ROOT;
      fd = unique_fd(
          static_cast<int>(::syscall(SYS_openat2, fd.get(), path.c_str(), &how, sizeof how)));
    }
    if (!fd) return {};
    auto real = followed(fmt::format("/proc/self/fd/{}", fd.get()));
    // A link to "/proc/self/fd" has led to ours.
    if (real.starts_with("/proc/")) {
      const auto ours = fmt::format("/proc/{}", ::getpid());
      if (ours != thread_ && is_below(real, ours)) return open(thread_ + real.substr(ours.size()));
    }
    return {std::move(fd), std::move(real)};
  }

  const std::string thread_;
  std::string begin_;  // in its root
  std::string root_;   // empty: ours
};

}  // namespace

open_files::open_files(pid_t thread)
    : folder_(
          ::open(fmt::format("/proc/{}/fd", thread).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {}

bool open_files::look(int fd, struct ::stat& status) const noexcept {
  return folder_ && ::fstatat(folder_.get(), link_named(fd).data(), &status, 0) == 0;
}

const std::string& open_files::path(int fd, const struct ::stat& status) {
  auto& known = paths_[fd];
  if (known.path.empty() || known.device != status.st_dev || known.inode != status.st_ino) {
    auto path = folder_ ? without_deleted(target_of(folder_.get(), link_named(fd).data())) : "";
    known = {status.st_dev, status.st_ino, std::move(path)};
  }
  return known.path;
}

resolved_path resolve(pid_t thread, int dirfd, std::uint64_t address, last_link link) {
  constexpr int most_links = 40;  // path_resolution(7)
  auto path = read_string(thread, address);
  if (path.empty()) return {};
  path_resolution resolution(thread, dirfd);
  resolved_path resolved;
  const auto written = resolution.as_written(path);
  for (int links = 0;; ++links) {
    auto place = resolution.find(std::move(path));
    resolved.path = std::move(place.path);
    if (links == 0 && written != resolved.path) resolved.through.push_back(written);
    const auto status_of = [&](int flags) -> std::optional<struct ::stat> {
      struct ::stat status {};
      const auto result = ::fstatat(place.folder.fd.get(), place.name.c_str(), &status, flags);
      return result == 0 ? std::optional(status) : std::nullopt;
    };
    resolved.status = place.folder.fd ? status_of(AT_SYMLINK_NOFOLLOW) : std::nullopt;
    const bool is_link = resolved.status && S_ISLNK(resolved.status->st_mode);
    if (!is_link || link == last_link::kept || links == most_links) return resolved;
    path = target_of(place.folder.fd.get(), place.name.c_str());
    if (path.empty()) return resolved;
    resolved.through.push_back(resolved.path);
    if (is_below(place.folder.path, "/proc")) {
      // What such a link says is for people, and need be no path: the kernel follows another way.
      resolved.status = status_of(0);
      if (path.front() == '/') resolved.path = without_deleted(std::move(path));
      return resolved;
    }
    resolution.begin_in(place.folder.path);
  }
}

bool is_below(std::string_view path, std::string_view folder) noexcept {
  return path.starts_with(folder) &&
         (path.size() == folder.size() || folder == "/" || path[folder.size()] == '/');
}

std::string without_dots(const std::string& path) {
  std::vector<std::string_view> parts;
  std::string_view rest = path;
  while (!rest.empty()) {
    const auto end = std::min(rest.find('/'), rest.size());
    const auto part = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  std::string plain;
  for (const auto part : parts) plain.append("/").append(part);
  return plain.empty() ? "/" : plain;
}

}  // namespace filemap
