#include "filemap/io/engines.hpp"

#include "execute.hpp"
#include "sequencer.hpp"

#include <cerrno>
#include <poll.h>
#include <system_error>
#include <vector>

namespace filemap {

namespace {

class stepping_engine final : public engine {
 public:
  stepping_engine(op_chooser choose, stepping_options options)
      : choose_(std::move(choose)),
        options_(std::move(options)),
        order_(options_.through != nullptr) {}
  ~stepping_engine() override {
    for (auto* const op : held_) {
      if (op->way.finished) {
        // With `at_once`: only its completion was to come.
      } else if (op->request.mandatory) {
        execute(*op);
      } else {
        finish(*op, -ECANCELED, clock::now());
      }
      ready_.push(*op);
    }
    order_.abandon(ready_);
  }

  void start(io_op& op) noexcept override {
    op.begin();
    op.record.submitted = clock::now();
    ++in_flight_;
    if (op_queue next; order_.enter(op, next)) {
      hold(op);
    } else {
      hold_all(next);
    }
  }

  void wait(op_queue& done) override {
    assert(in_flight_ > 0);
    assert(!order_.in_chain() && "a chain is started as a whole");
    if (ready_.empty()) step();
    op_queue next;
    for (auto* op = ready_.front(); op != nullptr; op = op->next) {
      --in_flight_;
      order_.leave(*op, next);
      hold_all(next);
    }
    done.append(ready_);
  }

  void cancel(io_op& op) noexcept override {
    if (!op.pending() || op.way.finished) return;
    if (op.way.held) op.way.cancelled = true;
    if (std::erase(held_, &op) == 0) return;
    finish(op, -ECANCELED, clock::now());
    ready_.push(op);
  }

  std::size_t in_flight() const noexcept override { return in_flight_; }
  bool failed() const noexcept override { return failed_; }
  engine_traits traits() const override {
    return options_.through ? options_.through->traits() : engine_traits{"stepping", true, {}, {}};
  }

 private:
  void hold(io_op& op) noexcept {
    held_.push_back(&op);
    if (options_.at_once && !is_wait(op.request.code)) execute(op);
  }
  void hold_all(op_queue& next) noexcept {
    begin_all(next, ready_, [this](io_op& op) { hold(op); });
  }

  void step() {
    choice_.clear();
    for (auto* const op : held_) {
      if (can_execute(*op)) choice_.push_back(op);
    }
    if (choice_.empty()) {
      failed_ = true;
      throw std::system_error(EDEADLK, std::system_category(),
                              "every task waits for a notification that nobody sends");
    }
    const auto chosen = choose_(choice_);
    assert(chosen < choice_.size());
    auto& op = *choice_[chosen];
    std::erase(held_, &op);
    if (op.way.finished) {
      ready_.push(op);
    } else if (options_.through && !is_wait(op.request.code)) {
      carry_out(op);
    } else {
      execute_here(op);
      ready_.push(op);
    }
  }

  static void execute_here(io_op& op) noexcept {
    switch (op.request.code) {
      case opcode::sleep:  // time is the chooser's
        finish(op, 0, clock::now());
        break;
      case opcode::read_event:
        take_event(op);
        break;
      default:
        execute(op);
    }
  }

  // The whole chain, if the operation is the first of one: its order is the other engine's then.
  // What both sequencers keep in the operations is ours again when they are done.
  void carry_out(io_op& first) {
    chain_.clear();
    for (auto* op = &first; op != nullptr; op = op->way.follower)
      chain_.push_back({op, op->way.epoch});
    for (const auto& member : chain_) {
      member.op->state = op_state::idle;  // the other engine begins it
      options_.through->start(*member.op);
    }
    while (options_.through->in_flight() > 0) options_.through->wait(ready_);
    for (const auto& member : chain_) {
      member.op->way.epoch = member.epoch;
      member.op->way.follower = nullptr;
    }
  }

  static bool can_execute(const io_op& op) noexcept {
    if (op.request.code != opcode::read_event || op.request.fd < 0) return true;
    pollfd polled{op.request.fd, POLLIN, 0};
    int ready = 0;
    do {
      ready = ::poll(&polled, 1, 0);
    } while (ready < 0 && errno == EINTR);  // also without waiting, when a signal is pending
    return ready != 0;
  }

  struct chain_member {
    io_op* op;
    std::uint32_t epoch;
  };

  op_chooser choose_;
  stepping_options options_;
  std::vector<chain_member> chain_;
  std::vector<io_op*> held_;  // oldest first
  std::vector<io_op*> choice_;
  op_queue ready_;
  std::size_t in_flight_ = 0;
  bool failed_ = false;
  sequencer order_;  // what is not among `held_` because it is ordered behind others
};

}  // namespace

std::unique_ptr<engine> make_stepping_engine(op_chooser choose, stepping_options options) {
  return std::make_unique<stepping_engine>(std::move(choose), std::move(options));
}

}  // namespace filemap
