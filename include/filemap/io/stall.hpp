#pragma once

#include "filemap/io/engine.hpp"

#include <cstdint>
#include <memory>
#include <vector>

#pragma GCC visibility push(default)

namespace filemap {

/// Holds an operation back before it executes: a worker sleeps between taking it and its system
/// call, the ring submits it late.
struct stall {
  opcode code = opcode::write;
  nanoseconds duration{0};
  double probability = 1.0;  ///< of one operation to be held back, in [0, 1]
};

/// The same engine, with operations held back. Draws are made in the order in which operations are
/// started, from a generator with this seed; the first stall that matches and is drawn applies.
std::unique_ptr<engine> make_stalling_engine(std::unique_ptr<engine> inner,
                                             std::vector<stall> stalls, std::uint64_t seed);

}  // namespace filemap

#pragma GCC visibility pop
