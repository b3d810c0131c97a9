#pragma once

#include "filemap/io/engines.hpp"
#include "filemap/io/run.hpp"

#include "testing.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace filemap {

/// The stepping engine in the test's hand: holds everything back until `step`.
class hand_driven_engine final : public engine {
 public:
  void start(io_op& op) noexcept override {
    stalled_.push_back(op.request.delay > nanoseconds{0});
    if (!started_.empty()) started_ += ' ';
    started_ += to_string(op.request.code);
    inner_->start(op);
  }
  void wait(op_queue& done) override { inner_->wait(done); }
  void cancel(io_op& op) noexcept override { inner_->cancel(op); }
  std::size_t in_flight() const noexcept override { return inner_->in_flight(); }
  engine_traits traits() const override { return inner_->traits(); }

  /// Executes the oldest operation of this kind, and resumes who waits for it.
  void step(opcode code) {
    next_ = code;
    turn(*this);
  }
  /// Executes whatever is left.
  void finish() {
    next_.reset();
    drain(*this);
  }
  /// Whether what was started was held back by a stall, in the same order.
  const std::vector<bool>& stalled() const noexcept { return stalled_; }
  /// All that was ever started, in order: "write fsync".
  const std::string& started() const noexcept { return started_; }

 private:
  std::size_t choose(std::span<io_op* const> held) const {
    if (!next_) return 0;
    for (std::size_t i = 0; i < held.size(); ++i) {
      if (held[i]->request.code == *next_) return i;
    }
    ADD_FAILURE() << "no " << to_string(*next_) << " is held";
    return 0;
  }

  std::optional<opcode> next_;
  std::string started_;
  std::vector<bool> stalled_;
  std::unique_ptr<engine> inner_ =
      make_stepping_engine([this](std::span<io_op* const> held) { return choose(held); });
};

}  // namespace filemap
