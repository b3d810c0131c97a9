#pragma once

#include <cstring>
#include <string>

namespace filemap {

/// "EIO"; "errno 9999" for one that the C library does not know.
inline std::string error_name(int error) {
  const char* const name = ::strerrorname_np(error);
  return name != nullptr ? name : "errno " + std::to_string(error);
}

}  // namespace filemap
