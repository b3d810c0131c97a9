#pragma once

#include "filemap/io/unique_fd.hpp"

#include <cerrno>
#include <fcntl.h>
#include <system_error>

namespace filemap {

/// A second descriptor of the same open file description. Throws std::system_error.
inline unique_fd duplicate(const unique_fd& fd) {
  unique_fd copy{::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)};
  if (!copy) throw std::system_error(errno, std::generic_category(), "fcntl F_DUPFD_CLOEXEC");
  return copy;
}

}  // namespace filemap
