#pragma once

// What the engines know of each opcode: one row. A new one is a row here, how the ring's entry is
// filled (uring_engine.cpp, prep), its system call (execute.cpp) and its arguments (op.hpp).

#include "filemap/io/op.hpp"
#include "filemap/io/ring_support.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <liburing.h>

namespace filemap {

enum class op_kind : std::uint8_t {
  turn,  ///< of the loop, no work
  wait,  ///< for something outside of the engine, which may never happen
  file,  ///< on a descriptor
  path,  ///< of a name
};

inline constexpr int no_operation = -1;

// Not in liburing 2.3, the oldest that we build with.
inline constexpr int op_ftruncate = 55;  // Linux 6.9

using feature_member = bool ring_features::*;

/// When a kernel has what the engine uses, what it is called, and what takes its place.
struct ring_feature {
  feature_member member = nullptr;
  std::string_view name;
  kernel_version since;
  std::string_view substitution;  ///< told in the report; "": its absence replaces nothing
};

struct op_row {
  opcode code;
  std::string_view name;
  op_kind kind;
  int operation = no_operation;  ///< the ring's, IORING_OP_*; none: always by system call
  ring_feature feature = {};     ///< that it needs; none: every ring has it
  int instead = no_operation;    ///< without the feature; none: by system call (or the room)
};

/// In the order of `opcode`.
inline constexpr std::array<op_row, opcode_count> op_table = {{
    {opcode::nop, "nop", op_kind::turn, IORING_OP_NOP},
    {opcode::sleep,
     "sleep",
     op_kind::wait,
     IORING_OP_TIMEOUT,
     // Before, a timeout can only be waited out.
     {&ring_features::async_cancel, "ASYNC_CANCEL", {5, 5}, "waiting for time by ppoll"}},
    {opcode::read_event,
     "read-event",
     op_kind::wait,
     IORING_OP_READ,
     // Before, a read of an empty eventfd does not wait.
     {&ring_features::event_read, "FAST_POLL", {5, 7}, "waiting for an eventfd by ppoll"}},
    {opcode::read,
     "read",
     op_kind::file,
     IORING_OP_READ,
     {&ring_features::read_write, "READ/WRITE", {5, 6}, "READV and WRITEV for READ and WRITE"},
     IORING_OP_READV},
    {opcode::write,
     "write",
     op_kind::file,
     IORING_OP_WRITE,
     {&ring_features::read_write, "READ/WRITE", {5, 6}, "READV and WRITEV for READ and WRITE"},
     IORING_OP_WRITEV},
    {opcode::fsync, "fsync", op_kind::file, IORING_OP_FSYNC},
    {opcode::fdatasync, "fdatasync", op_kind::file, IORING_OP_FSYNC},
    {opcode::statx,
     "statx",
     op_kind::file,
     IORING_OP_STATX,
     // 5.6 has it, but refuses a descriptor with an empty path: see try_operations().
     {&ring_features::statx, "STATX", {5, 7}, "statx by system call"}},
    {opcode::truncate,
     "truncate",
     op_kind::file,
     op_ftruncate,
     {&ring_features::truncate, "FTRUNCATE", {6, 9}, ""}},
    {opcode::seek, "seek", op_kind::file},
    {opcode::sync_range, "sync-range", op_kind::file, IORING_OP_SYNC_FILE_RANGE},
    {opcode::allocate,
     "allocate",
     op_kind::file,
     IORING_OP_FALLOCATE,
     {&ring_features::allocate, "FALLOCATE", {5, 6}, "fallocate by system call"}},
    {opcode::punch,
     "punch",
     op_kind::file,
     IORING_OP_FALLOCATE,
     {&ring_features::allocate, "FALLOCATE", {5, 6}, "fallocate by system call"}},
    {opcode::drop_cache,
     "drop-cache",
     op_kind::file,
     IORING_OP_FADVISE,
     {&ring_features::advise, "FADVISE", {5, 6}, "posix_fadvise by system call"}},
    {opcode::open,
     "open",
     op_kind::path,
     IORING_OP_OPENAT,
     // 5.6 has it, but refuses an O_PATH directory: see try_operations().
     {&ring_features::open, "OPENAT", {5, 7}, "open by system call"}},
    {opcode::close,
     "close",
     op_kind::file,
     IORING_OP_CLOSE,
     {&ring_features::close, "CLOSE", {5, 6}, "close by system call"}},
    {opcode::rename,
     "rename",
     op_kind::path,
     IORING_OP_RENAMEAT,
     {&ring_features::rename, "RENAMEAT", {5, 11}, "rename by system call"}},
    {opcode::unlink,
     "unlink",
     op_kind::path,
     IORING_OP_UNLINKAT,
     {&ring_features::unlink, "UNLINKAT", {5, 11}, "unlink by system call"}},
}};

/// From here on the file of an operation is looked up when its turn comes (6bf9c47a3989,
/// IORING_FEAT_LINKED_FILE), so a bad descriptor fails there and breaks its chain. 5.4, 5.6
/// and 5.10 go on behind one (measured; Debian's 5.10 has the io_uring of 5.15), and on 5.4 a write
/// behind the head of a chain may fail with EFBIG (measured on 5.4.286).
inline constexpr kernel_version with_good_chains{5, 18};

/// What a ring may have besides operations.
inline constexpr std::array ring_abilities = {
    ring_feature{&ring_features::cursor, "RW_CUR_POS", {5, 6}, ""},
    ring_feature{&ring_features::links, "LINKED_FILE", with_good_chains, "chains member by member"},
    ring_feature{&ring_features::force_async, "IOSQE_ASYNC", {5, 6}, ""},
    ring_feature{&ring_features::no_drop, "NODROP", {5, 5}, ""},
    ring_feature{&ring_features::sqpoll_any_file, "SQPOLL_NONFIXED", {5, 11}, ""},
    ring_feature{&ring_features::coop_taskrun, "COOP_TASKRUN", {5, 19}, ""},
    ring_feature{&ring_features::single_issuer, "SINGLE_ISSUER", {6, 0}, ""},
    ring_feature{&ring_features::defer_taskrun, "DEFER_TASKRUN", {6, 1}, ""},
};

constexpr const op_row& row_of(opcode code) noexcept {
  return op_table[static_cast<std::size_t>(code)];
}

namespace detail {

/// Each feature once, in the order of the tables.
constexpr auto collect_features() {
  std::array<ring_feature, sizeof(ring_features)> all{};
  std::size_t count = 0;
  const auto add = [&](const ring_feature& feature) {
    for (std::size_t i = 0; i < count; ++i) {
      if (all[i].member != feature.member) continue;
      const bool same = all[i].name == feature.name && all[i].since == feature.since &&
                        all[i].substitution == feature.substitution;
      if (!same) throw "two rows say different things of one feature";  // while compiling
      return;
    }
    all.at(count++) = feature;
  };
  for (const auto& row : op_table) {
    if (row.feature.member != nullptr) add(row.feature);
  }
  for (const auto& ability : ring_abilities) add(ability);
  if (count != all.size()) throw "a member of ring_features is in no table";
  return all;
}

constexpr bool is_consistent() {
  for (std::size_t i = 0; i < op_table.size(); ++i) {
    if (op_table[i].code != static_cast<opcode>(i)) return false;
    if (is_wait(op_table[i].code) != (op_table[i].kind == op_kind::wait)) return false;
  }
  return true;
}

}  // namespace detail

inline constexpr auto all_features = detail::collect_features();
static_assert(detail::is_consistent());

}  // namespace filemap
