#include "sequencer.hpp"

#include "execute.hpp"

#include <cerrno>
#include <unistd.h>
#include <utility>

namespace filemap {

bool breaks_link(const io_op& op) noexcept {
  if (op.record.res < 0) return true;
  return moves_bytes(op.request.code) &&
         static_cast<std::uint32_t>(op.record.res) < op.request.size;
}

void sequencer::place(io_op& op, op_queue& next) noexcept {
  const auto& request = op.request;
  const bool is_first = !in_chain_;
  assert((is_first || !request.drain) && "only the first member of a chain drains");
  // Behind all that is there, or behind the last drained one and so all that is older.
  const auto behind = !is_first || is_wait(request.code) ? 0 : request.drain ? pending_ : older_;
  if (behind > 0) {
    op.way.behind = request.drain ? epoch_ : epoch_ - 1;
    op.way.before = behind;
    held_.push(op);
  }
  count(op);
  if (request.drain) {
    ++epoch_;
    older_ = pending_;
  }
  in_chain_ = request.link != link_kind::none;

  if (is_first) {
    broken_ = false;
    if (behind > 0) {
      op.way.held = true;
    } else if (in_chain_ && whole_chains_) {
      op.way.held = true;
      first_ = &op;
    } else {
      release(op, next);
    }
  } else if (last_ != nullptr) {
    op.way.held = true;
    last_->way.follower = &op;
  } else if (broken_) {
    finish(op, -ECANCELED, clock::now());
    next.push(op);
  } else {
    release(op, next);
  }
  last_ = in_chain_ && !op.way.finished ? &op : nullptr;
  if (!in_chain_ && first_ != nullptr) release(*std::exchange(first_, nullptr), next);
}

void sequencer::pass_on(io_op& op, op_queue& next) noexcept {
  const bool breaks = op.request.link == link_kind::link && breaks_link(op);
  if (auto* const follower = std::exchange(op.way.follower, nullptr); follower == nullptr) {
    if (&op == last_) {
      last_ = nullptr;
      broken_ = breaks;
    }
  } else if (breaks) {
    cancel_from(follower, next);
  } else {
    release(*follower, next);
  }
  if (!is_wait(op.request.code)) release_drained(op, next);
}

void sequencer::release_drained(const io_op& ended, op_queue& next) noexcept {
  for (auto* op = held_.front(); op != nullptr;) {
    auto* const waiting = std::exchange(op, op->next);
    if (ended.way.epoch > waiting->way.behind || --waiting->way.before > 0) continue;
    held_.erase(*waiting);
    release(*waiting, next);
  }
}

// All the rest, hard links included (io_fail_links in io_uring.c).
void sequencer::cancel_from(io_op* op, op_queue& next) noexcept {
  while (op != nullptr) {
    op->way.held = false;
    finish(*op, -ECANCELED, clock::now());
    next.push(*op);
    if (op == last_) {
      last_ = nullptr;
      broken_ = true;
    }
    op = std::exchange(op->way.follower, nullptr);
  }
}

// A cancelled operation is cancelled in its turn.
void sequencer::release(io_op& op, op_queue& next) noexcept {
  op.way.held = false;
  if (op.way.cancelled) finish(op, -ECANCELED, clock::now());
  next.push(op);
}

void sequencer::abandon(op_queue& finished, op_queue& lost) noexcept {
  op_queue next;
  while (auto* const op = lost.pop()) leave(*op, next);
  if (first_ != nullptr) release(*std::exchange(first_, nullptr), next);
  while (true) {
    begin_all(next, finished, [&](io_op& op) {
      if (op.request.mandatory) {
        execute(op);
      } else {
        finish(op, -ECANCELED, clock::now());
      }
      finished.push(op);
    });
    auto* const op = finished.pop();
    if (op == nullptr) return;
    leave(*op, next);
    if (op->request.code == opcode::open && op->record.res >= 0) ::close(op->record.descriptor());
    op->lose();
  }
}

}  // namespace filemap
