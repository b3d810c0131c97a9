#pragma once

#include "chooser.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace filemap {

/// As it is, but some steps wait until nothing else can go, also not by letting time pass.
class delaying final : public chooser {
 public:
  explicit delaying(std::vector<candidate> delayed) : delayed_(std::move(delayed)) {}

  bool begin() override {
    delayed_something_ = false;
    return true;
  }
  std::size_t choose(std::span<const candidate> held) override {
    for (std::size_t i = 0; i < held.size(); ++i) {
      if (std::count(delayed_.begin(), delayed_.end(), held[i]) > 0) continue;
      // Time passes only for the sake of what is delayed.
      if (held[i].is_time() && i == 0) continue;
      delayed_something_ = delayed_something_ || i > 0;
      return i;
    }
    return 0;
  }

  /// Did anything else go first, in the last run?
  bool delayed_something() const noexcept { return delayed_something_; }

 private:
  const std::vector<candidate> delayed_;
  bool delayed_something_ = false;
};

}  // namespace filemap
