#pragma once

#include "calls.hpp"

#include <cstdint>
#include <linux/filter.h>
#include <map>
#include <utility>
#include <vector>

namespace filemap {

/// A seccomp filter that lets a supervisor hear of the calls of the table, and lets all others go
/// on at no cost. It is made before a process is forked that installs it.
class call_filter {
 public:
  /// Throws `unsupported` where the program was built without libseccomp, or where that or the
  /// kernel knows no user notification; std::system_error.
  call_filter();

  /// Of this process and all that it will make, for good. Returns the listener's descriptor, or
  /// minus an errno: EBUSY, there is one already. To be called after fork(2): it allocates nothing.
  int install() const noexcept;

  /// By seccomp_data's arch and nr; nullptr: none of the table's.
  const call_row* row_of(std::uint32_t architecture, int number) const noexcept;
  /// Likewise, of this program's architecture.
  const call_row* row_of(long number) const noexcept;

 private:
  std::uint32_t native_ = 0;
  std::vector<sock_filter> program_;
  std::map<std::pair<std::uint32_t, int>, const call_row*> rows_;
};

}  // namespace filemap
