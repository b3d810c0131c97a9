#pragma once

#include "chooser.hpp"

#include <cstddef>
#include <span>

namespace filemap {

/// As it is, but `later` waits until `earlier` has been executed, as long as anything else can go.
class ordering final : public chooser {
 public:
  ordering(candidate earlier, candidate later) : earlier_(earlier), later_(later) {}

  bool begin() override {
    state_ = state::neither;
    return true;
  }
  std::size_t choose(std::span<const candidate> held) override {
    std::size_t choice = 0;
    if (state_ == state::neither && held[0] == later_ && held.size() > 1) choice = 1;
    if (held[choice] == earlier_ && state_ == state::neither) state_ = state::in_order;
    if (held[choice] == later_ && state_ == state::neither) state_ = state::other_order;
    return choice;
  }

  /// Had `earlier` been executed when `later` was, in the last run?
  bool held_to() const noexcept { return state_ == state::in_order; }

 private:
  enum class state { neither, in_order, other_order };

  const candidate earlier_;
  const candidate later_;
  state state_ = state::neither;
};

}  // namespace filemap
