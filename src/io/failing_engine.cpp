#include "filemap/io/failing.hpp"

#include <system_error>
#include <unistd.h>
#include <utility>

namespace filemap {

namespace {

class failing_engine final : public engine {
 public:
  failing_engine(std::unique_ptr<engine> inner, planned_failure& failure)
      : inner_(std::move(inner)), failure_(failure) {}

  void start(io_op& op) noexcept override {
    const bool can_fail = op.request.code != opcode::nop && op.request.code != opcode::sleep;
    if (can_fail && is_now(planned_failure::place::operation)) spoil(op);
    inner_->start(op);
  }
  void wait(op_queue& done) override {
    if (failed_ || is_now(planned_failure::place::wait)) {
      failed_ = true;
      throw std::system_error(failure_.error, std::generic_category(), "a planned failure");
    }
    op_queue ended;
    inner_->wait(ended);
    for (auto* op = ended.front(); op != nullptr; op = op->next) {
      if (op == victim_) pretend();
    }
    done.append(ended);
  }
  void cancel(io_op& op) noexcept override { inner_->cancel(op); }
  std::size_t in_flight() const noexcept override { return inner_->in_flight(); }
  bool failed() const noexcept override { return failed_ || inner_->failed(); }
  engine_traits traits() const override { return inner_->traits(); }

 private:
  bool is_now(planned_failure::place where) noexcept {
    if (failure_.where != where || ++count_ != failure_.nth) return false;
    failure_.happened = true;
    return true;
  }

  // The engine is given what must fail, so that it orders what is behind the operation as it would.
  void spoil(io_op& op) noexcept {
    victim_ = &op;
    request_ = op.request;
    op.request.fd = -1;
    const bool takes_a_path = op.request.code == opcode::open ||
                              op.request.code == opcode::rename ||
                              op.request.code == opcode::unlink;
    if (takes_a_path) op.request.path = "";
  }
  void pretend() noexcept {
    auto& op = *std::exchange(victim_, nullptr);
    op.request = request_;
    if (op.request.code == opcode::close) ::close(op.request.fd);
    if (op.record.res != -ECANCELED) op.record.res = -failure_.error;
  }

  std::unique_ptr<engine> inner_;
  planned_failure& failure_;
  std::uint64_t count_ = 0;
  bool failed_ = false;
  io_op* victim_ = nullptr;  // until it has ended
  io_request request_;       // its own
};

}  // namespace

std::unique_ptr<engine> make_failing_engine(std::unique_ptr<engine> inner,
                                            planned_failure& failure) {
  return std::make_unique<failing_engine>(std::move(inner), failure);
}

}  // namespace filemap
