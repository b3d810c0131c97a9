#include "work_directory.hpp"

#include <cerrno>
#include <stdlib.h>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

namespace filemap {

work_directory::work_directory(const std::filesystem::path& below) {
  auto name = (below / "filemap-uring.XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    const int error = errno;
    const bool missing = error == ENOENT && ::access(below.c_str(), F_OK) != 0;
    const char* advice = missing            ? "make it first"
                         : error == ENOTDIR ? "name a directory"
                         : error == ENOSPC  ? "free some space"
                                            : "choose another";
    throw std::system_error(
        error, std::generic_category(),
        fmt::format("--dir {}: cannot make a directory in it; {}", below.string(), advice));
  }
  path_ = name;
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
