#pragma once

#include "filemap/io/unique_fd.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>

namespace filemap {

/// Two descriptors: what is written to the one is read from the other.
struct channel {
  unique_fd from;
  unique_fd to;
};

/// Closed by an execve. Throws std::system_error.
inline channel make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::generic_category(), "pipe2");
  }
  return {unique_fd(ends[0]), unique_fd(ends[1])};
}

}  // namespace filemap
