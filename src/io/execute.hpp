#pragma once

#include "filemap/io/op.hpp"

#include <fcntl.h>

namespace filemap {

// What the system call and the ring's operation are both given.
inline constexpr unsigned sync_range_flags =
    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
inline constexpr int punch_mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

/// Executes the operation by its system call on this thread and fills its record's `started`,
/// `returned` and `res`. Not for `sleep` and `read_event`, which wait.
///
/// Everything but the ring itself completes operations through here: the pool's workers, the sync
/// and the stepping engine, and the ring engine for what its kernel lacks.
void execute(io_op& op) noexcept;

/// Takes an eventfd's count. False: it was zero, so there is nothing to take yet.
bool take_event(io_op& op) noexcept;

/// Notes how the operation ended. It is `done` when the loop delivers its completion.
inline void finish(io_op& op, std::int32_t res, instant returned) noexcept {
  assert(op.pending());
  op.record.res = res;
  op.record.returned = returned;
  op.way.finished = true;
}

}  // namespace filemap
