#include "filemap/io/engines.hpp"

#include "execute.hpp"
#include "sequencer.hpp"

#include <cerrno>
#include <poll.h>
#include <stdexcept>
#include <utility>
#include <vector>

namespace filemap {

namespace {

class stepping final : public stepping_engine {
 public:
  explicit stepping(stepping_options options) : options_(std::move(options)) {}
  ~stepping() override {
    abandon(true);
    order_.abandon(ready_);
  }

  void start(io_op& op) noexcept override {
    op.begin();
    op.record.submitted = clock::now();
    ++in_flight_;
    op_queue next;
    if (order_.enter(op, next)) begin(op, next);
    begin_all(next);
  }

  void wait(op_queue& done) override {
    assert(in_flight_ > 0);
    assert(!order_.in_chain() && "a chain is started as a whole");
    if (ready_.empty()) execute_next();
    for (auto* op = ready_.front(); op != nullptr; op = op->next) --in_flight_;
    done.append(ready_);
  }

  void cancel(io_op& op) noexcept override {
    if (!op.pending() || op.way.finished) return;
    if (op.way.held) op.way.cancelled = true;
    if (std::erase(held_, &op) == 0) return;
    op_queue next;
    end(op, -ECANCELED, next);
    begin_all(next);
  }

  std::size_t in_flight() const noexcept override { return in_flight_; }
  bool failed() const noexcept override { return failed_; }
  engine_traits traits() const override {
    return options_.through ? options_.through->traits() : engine_traits{"stepping", true, {}, {}};
  }

  std::span<io_op* const> held() override {
    can_execute_.clear();
    for (auto* const op : held_) {
      if (is_ready(*op)) can_execute_.push_back(op);
    }
    return can_execute_;
  }

  void execute(io_op& op) override {
    std::erase(held_, &op);
    failed_ = true;  // until it has not
    carry_out(op);
    failed_ = false;
    op_queue next;
    end(op, next);
    begin_all(next);
  }

  bool has_completions() const noexcept override { return !ready_.empty(); }

  void abandon(bool on) noexcept override {
    abandoned_ = on;
    op_queue next;
    for (auto* const op : std::exchange(held_, {})) begin(*op, next);
    begin_all(next);
  }

 private:
  void execute_next() {
    const auto choice = held();
    if (choice.empty()) {
      failed_ = true;
      throw std::logic_error("nothing that is held can execute");
    }
    const auto chosen = options_.choose ? options_.choose(choice) : 0;
    assert(chosen < choice.size());
    execute(*choice[chosen]);
  }

  void begin(io_op& op, op_queue& next) noexcept {
    if (abandoned_ && !op.request.mandatory) {
      end(op, -ECANCELED, next);
    } else if (abandoned_ || (options_.at_once && !is_wait(op.request.code))) {
      filemap::execute(op);
      end(op, next);
    } else {
      held_.push_back(&op);
    }
  }
  void begin_all(op_queue& next) noexcept {
    while (auto* const op = next.pop()) {
      if (op->way.finished) {
        end(*op, next);
      } else {
        begin(*op, next);
      }
    }
  }
  void end(io_op& op, op_queue& next) noexcept {
    ready_.push(op);
    order_.leave(op, next);
  }
  void end(io_op& op, int result, op_queue& next) noexcept {
    finish(op, result, clock::now());
    end(op, next);
  }

  void carry_out(io_op& op) {
    switch (op.request.code) {
      case opcode::sleep:  // time is the chooser's
        finish(op, 0, clock::now());
        break;
      case opcode::read_event:
        take_event(op);
        break;
      default:
        if (options_.through) {
          pass_through(op);
        } else {
          filemap::execute(op);
        }
    }
  }

  // By itself: what it is ordered behind has ended. Whether its end breaks a link is the other
  // engine's to say, and on a ring the kernel's: it links the operation to one that does nothing.
  void pass_through(io_op& op) {
    const auto asked = op.request;
    const auto way = op.way;
    op.request.drain = false;
    op.state = op_state::idle;  // the other engine begins it
    options_.through->start(op);
    if (op.request.link != link_kind::none) {
      behind_.reuse(io_request::nop());
      options_.through->start(behind_);
    }
    op_queue done;
    while (options_.through->in_flight() > 0) options_.through->wait(done);
    while (auto* const ended = done.pop()) {
      if (ended == &behind_) behind_.complete();
    }
    const bool holds = asked.link == link_kind::link && behind_.record.res >= 0;
    op.request = asked;
    if (holds) op.request.link = link_kind::hardlink;
    op.way = way;
    op.way.finished = true;
  }

  static bool is_ready(const io_op& op) noexcept {
    if (op.request.code != opcode::read_event || op.request.fd < 0) return true;
    pollfd polled{op.request.fd, POLLIN, 0};
    int ready = 0;
    do {
      ready = ::poll(&polled, 1, 0);
    } while (ready < 0 && errno == EINTR);  // also without waiting, when a signal is pending
    return ready != 0;
  }

  io_op behind_{io_request::nop(), [](io_op&) noexcept {}};  // outlives what it may be left in
  stepping_options options_;
  std::vector<io_op*> held_;  // oldest first
  std::vector<io_op*> can_execute_;
  op_queue ready_;
  std::size_t in_flight_ = 0;
  sequencer order_;  // what is not among `held_` because it is ordered behind others
  bool abandoned_ = false;
  bool failed_ = false;
};

}  // namespace

std::unique_ptr<stepping_engine> make_stepping_engine(stepping_options options) {
  return std::make_unique<stepping>(std::move(options));
}
std::unique_ptr<stepping_engine> make_stepping_engine(op_chooser choose) {
  stepping_options options;
  options.choose = std::move(choose);
  return make_stepping_engine(std::move(options));
}

}  // namespace filemap
