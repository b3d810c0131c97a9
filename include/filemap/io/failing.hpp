#pragma once

#include "filemap/io/engine.hpp"

#include <cerrno>
#include <cstdint>
#include <memory>

#pragma GCC visibility push(default)

namespace filemap {

/// One failure, for a loop that tries what comes of each: for n from 1 on, until none `happened`.
struct planned_failure {
  enum class place : std::uint8_t {
    /// The operation does not take effect and completes with -`error`, as if the kernel had said
    /// so:
    /// a chain breaks, whoever drains goes on. Only the descriptor of a `close` is freed, as Linux
    /// does. What cannot fail, `nop` and `sleep`, is not counted.
    operation,
    wait,  ///< `engine::wait` throws std::system_error, this time and from then on
  };
  place where = place::operation;
  std::uint64_t nth = 1;  ///< of those that are started, or of the calls; from 1 on
  int error = EIO;
  bool happened = false;
};

/// The same engine, but for one failure, which must outlive it.
std::unique_ptr<engine> make_failing_engine(std::unique_ptr<engine> inner,
                                            planned_failure& failure);

}  // namespace filemap

#pragma GCC visibility pop
