#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace filemap::litmus {

/// What one step of a process does, in the words of the litmus language.
enum class verb : std::uint8_t {
  append,  ///< writes at the end, through a handle
  write,   ///< writes at an offset
  read,    ///< reads from an offset; 0 bytes at the end of the file
  statx,   ///< takes the file's size
  fsync,
  fdatasync,
  sync_range,  ///< sync_file_range(2), which promises nothing about metadata
  truncate,    ///< ftruncate(2): sets the size
  allocate,    ///< fallocate(2), mode 0: may grow the file
  punch,       ///< fallocate(2), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
  drop_cache,  ///< posix_fadvise(2), POSIX_FADV_DONTNEED: clean pages only
  open,        ///< opens a name into a handle that was declared without one
  clone,       ///< duplicates a handle into one that was declared without
  close,
  rename,  ///< rename(2) of one name to another
  unlink,  ///< removes a name
  flush,   ///< waits for the handle's acknowledged writes; nothing on a complete handle
  cancel,  ///< asks for the early end of an operation of another process
  notify,  ///< gives an edge's permit
  wait,    ///< takes it
  // Only in the repeated form of the experiment (`--writes`), not in the language:
  load,   ///< the process's offset = the variable
  store,  ///< the variable = the process's offset
  check,  ///< compares what statx and read saw with the process's offset
};
inline constexpr std::size_t verb_count = 23;

std::string_view to_string(verb verb) noexcept;
/// Does it become an operation on the file?
bool is_file_operation(verb verb) noexcept;
/// Does it need a handle that is open? (`open` and `clone` make theirs.)
bool uses_handle(verb verb) noexcept;

}  // namespace filemap::litmus
