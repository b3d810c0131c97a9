#pragma once

#include <compare>
#include <string>

#pragma GCC visibility push(default)

namespace filemap {

/// A Linux version by its first two numbers, as in 5.10.
struct kernel_version {
  unsigned version = 0;
  unsigned patchlevel = 0;  ///< as the kernel's Makefile calls the second

  friend auto operator<=>(const kernel_version&, const kernel_version&) = default;
};

/// "5.10"
inline std::string to_string(kernel_version linux_version) {
  return std::to_string(linux_version.version) + '.' + std::to_string(linux_version.patchlevel);
}

/// What a ring is held to use at most, and whether the kernel sees to it.
struct operation_ceiling {
  kernel_version version;
  /// IORING_REGISTER_RESTRICTIONS (5.10) makes the kernel refuse everything newer with EACCES;
  /// false: the engine is trusted not to use it.
  bool enforced = false;
};

}  // namespace filemap

#pragma GCC visibility pop
