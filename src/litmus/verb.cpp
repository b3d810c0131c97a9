#include "filemap/litmus/verb.hpp"

#include <array>

namespace filemap::litmus {

std::string_view to_string(verb verb) noexcept {
  constexpr std::array<std::string_view, verb_count> names = {
      "append",   "write",  "read",       "statx", "fsync", "fdatasync", "sync_range", "truncate",
      "allocate", "punch",  "drop_cache", "open",  "clone", "close",     "rename",     "unlink",
      "flush",    "cancel", "notify",     "wait",  "load",  "store",     "check",
  };
  return names[static_cast<std::size_t>(verb)];
}

bool is_file_operation(verb verb) noexcept { return verb < verb::flush; }

bool uses_handle(verb verb) noexcept {
  switch (verb) {
    case verb::open:
    case verb::clone:
    case verb::rename:
    case verb::unlink:
      return false;
    default:
      return verb <= verb::flush;
  }
}

}  // namespace filemap::litmus
