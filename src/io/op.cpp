#include "filemap/io/op.hpp"

#include <array>

namespace filemap {

std::string_view to_string(opcode code) noexcept {
  constexpr std::array<std::string_view, opcode_count> names = {
      "nop",       "sleep",      "read-event", "read",  "write",      "fsync",
      "fdatasync", "statx",      "truncate",   "seek",  "sync-range", "allocate",
      "punch",     "drop-cache", "open",       "close", "rename",     "unlink",
  };
  return names[static_cast<std::size_t>(code)];
}

}  // namespace filemap
