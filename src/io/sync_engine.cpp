#include "filemap/io/engines.hpp"

#include "execute.hpp"
#include "sequencer.hpp"
#include "waiting_room.hpp"

#include <thread>

namespace filemap {

namespace {

class sync_engine final : public engine {
 public:
  ~sync_engine() override {
    room_.cancel_all(ready_);
    order_.abandon(ready_);
  }

  void start(io_op& op) noexcept override {
    ++in_flight_;
    op.begin();
    op_queue next;
    if (order_.enter(op, next)) begin(op, next);
    begin_all(next);
  }

  void wait(op_queue& done) override {
    assert(in_flight_ > 0);
    assert(!order_.in_chain() && "a chain is started as a whole");
    // Once at least: who always has something ready must not starve who waits.
    if (!room_.empty()) room_.poll(ready_.empty(), -1, ready_);
    while (ready_.empty()) room_.poll(true, -1, ready_);
    op_queue next;
    for (auto* op = ready_.front(); op != nullptr; op = op->next) {
      --in_flight_;
      order_.leave(*op, next);
      begin_all(next);
    }
    done.append(ready_);
  }

  void cancel(io_op& op) noexcept override {
    if (!op.pending() || op.way.finished) return;
    if (op.way.held) {
      op.way.cancelled = true;
    } else {
      room_.cancel(op, ready_);
    }
  }
  std::size_t in_flight() const noexcept override { return in_flight_; }
  engine_traits traits() const override { return {"sync", true, {}, {}}; }

 private:
  void begin_all(op_queue& next) noexcept {
    while (auto* const op = next.pop()) {
      if (op->way.finished) {
        end(*op, next);
      } else {
        begin(*op, next);
      }
    }
  }

  void begin(io_op& op, op_queue& next) noexcept {
    op.record.submitted = clock::now();
    if (op.request.code == opcode::sleep) {
      op.way.deadline = op.record.submitted + op.request.delay;
      room_.admit(op);
    } else if (op.request.code == opcode::read_event) {
      room_.admit(op);
    } else {
      if (op.request.delay > nanoseconds{0}) std::this_thread::sleep_for(op.request.delay);
      execute(op);
      end(op, next);
    }
  }

  // What is ordered behind it begins inside `start` too, not in the loop's next turn.
  void end(io_op& op, op_queue& next) noexcept {
    ready_.push(op);
    order_.leave(op, next);
  }

  waiting_room room_;
  op_queue ready_;
  std::size_t in_flight_ = 0;
  sequencer order_;
};

}  // namespace

std::unique_ptr<engine> make_sync_engine() { return std::make_unique<sync_engine>(); }

}  // namespace filemap
