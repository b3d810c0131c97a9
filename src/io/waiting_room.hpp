#pragma once

#include "filemap/io/op.hpp"

#include <poll.h>
#include <vector>

namespace filemap {

/// Where the engines without a ring, and one whose ring has no room for them, keep the operations
/// that wait for time or for an eventfd: the loop's thread polls them, because a worker blocked in
/// a wait could starve the write it waits for.
class waiting_room {
 public:
  /// The operation's deadline, if it waits for time, is set. One that stalls comes out of `poll`
  /// not `finished` when its time has come.
  void admit(io_op& op) noexcept;
  bool empty() const noexcept { return waiting_.empty(); }
  /// Finishes the operation with -ECANCELED if it is here.
  bool cancel(io_op& op, op_queue& done) noexcept;
  void cancel_all(op_queue& done) noexcept;

  /// Blocks until `extra_fd` (-1: none) is readable, a signal has come, or something here has
  /// finished, and moves what has to the end of `done`. With `block` false it only looks.
  /// Returns whether `extra_fd` is readable. Throws std::system_error (ppoll), std::bad_alloc.
  bool poll(bool block, int extra_fd, op_queue& done);

 private:
  op_queue waiting_;
  std::vector<pollfd> polled_;
};

}  // namespace filemap
