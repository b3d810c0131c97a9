#pragma once

// Whose turn it is: what holds an operation back until those that it is ordered behind have ended.
// Every engine has one; the ring's leaves to the kernel what the kernel's links can say.
//
// - An operation behind a link hangs on the one before it (`io_op::follower`). It begins, or is
//   cancelled, when that one has ended.
// - A drained operation begins when every operation that was started before it has ended, but for
//   those that wait for an eventfd or for time: a notification may come from the very task that
//   drains. (The kernel's IOSQE_IO_DRAIN counts them too, so that a drain behind an armed read of
//   an eventfd would wait for ever: io_uring_enter(2), "previously submitted SQEs have completed".)
//   Which operations are older is told by the number of drained ones that were started before them.
// - What is started after a drained operation begins when that one has ended, waits again excepted
//   ("new SQEs will not be started before this one completes").

#include "filemap/io/op.hpp"

#include <cstddef>
#include <cstdint>

namespace filemap {

/// Would the operation, having ended like this, break a `link`? As in the kernel
/// (io_uring_enter(2), IOSQE_IO_LINK; since links came, 9e645e1105ca in 5.3): a failure does, and a
/// short read or write.
bool breaks_link(const io_op& op) noexcept;

/// Allocates nothing: what it holds back hangs on the operations themselves.
class sequencer {
 public:
  /// `whole_chains`: the first member of a chain is given out when the last one has been started.
  explicit sequencer(bool whole_chains = false) noexcept : whole_chains_(whole_chains) {}

  /// Takes an operation that was just started. True: nothing orders it, so it begins now. False:
  /// whatever may begin is at the end of `next`, as `leave` puts it there.
  bool enter(io_op& op, op_queue& next) noexcept {
    const bool is_plain = op.request.link == link_kind::none && !op.request.drain && !in_chain_;
    if (is_plain && (older_ == 0 || is_wait(op.request.code))) {
      count(op);
      return true;
    }
    place(op, next);
    return false;
  }

  /// Takes note that an operation has ended. What may begin now goes to the end of `next`, and, as
  /// `finished`, what is cancelled. A second call for the same operation does nothing.
  void leave(io_op& op, op_queue& next) noexcept {
    if (op.way.epoch == 0) return;
    if (!is_wait(op.request.code)) {
      --pending_;
      if (op.way.epoch < epoch_) --older_;
    }
    if (op.way.follower != nullptr || &op == last_ || !held_.empty()) pass_on(op, next);
    op.way.epoch = 0;
  }

  /// Is a chain without its last member?
  bool in_chain() const noexcept { return in_chain_; }

  /// For an engine's end, when all that had begun is in `finished`, or in `lost`, for ever pending:
  /// what is mandatory is executed in its turn, the rest is cancelled, and nobody is told. What was
  /// opened is closed.
  void abandon(op_queue& finished, op_queue& lost) noexcept;
  void abandon(op_queue& finished) noexcept {
    op_queue none;
    abandon(finished, none);
  }

 private:
  void count(io_op& op) noexcept {
    op.way.epoch = epoch_;
    if (!is_wait(op.request.code)) ++pending_;
  }
  void place(io_op& op, op_queue& next) noexcept;
  void pass_on(io_op& op, op_queue& next) noexcept;
  void cancel_from(io_op* op, op_queue& next) noexcept;
  void release_drained(const io_op& ended, op_queue& next) noexcept;
  static void release(io_op& op, op_queue& next) noexcept;

  const bool whole_chains_;
  std::size_t pending_ = 0;  // that have entered and not left, without waits
  std::uint32_t epoch_ = 1;  // one more than the drained operations that have entered
  std::size_t older_ = 0;    // of the pending, those up to the last drained one
  op_queue held_;            // drained ones and what is behind them, oldest first

  // The chain that is being started.
  bool in_chain_ = false;
  bool broken_ = false;     // what was last started has ended, and broke it
  io_op* first_ = nullptr;  // with `whole_chains`, until the last one comes
  io_op* last_ = nullptr;   // what was last started, until it has ended
};

/// Begins what the sequencer gave out, and takes what it has cancelled to what is `ready`.
template <typename Begin>
void begin_all(op_queue& next, op_queue& ready, Begin begin) noexcept {
  while (auto* const op = next.pop()) {
    if (op->way.finished) {
      ready.push(*op);
    } else {
      begin(*op);
    }
  }
}

}  // namespace filemap
