#pragma once

#include "filemap/io/op.hpp"

#include <chrono>

namespace filemap {

/// How long a command has run. While this process was stopped, or was given no processor, it could
/// not look after the command: that is not counted, or a command that is slow with its machine
/// would have had its time.
class run_clock {
 public:
  void begin() {
    looked_ = clock::now();
    run_ = {};
  }
  /// Is called again and again, at the least every few ten milliseconds.
  nanoseconds look() {
    constexpr nanoseconds longest = std::chrono::milliseconds(100);
    const auto now = clock::now();
    const auto since = now - looked_;
    if (since <= longest) run_ += since;
    looked_ = now;
    return run_;
  }

 private:
  instant looked_{};
  nanoseconds run_{0};
};

}  // namespace filemap
