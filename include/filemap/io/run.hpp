#pragma once

#include "filemap/coro/task.hpp"
#include "filemap/io/engine.hpp"

#include <utility>

#pragma GCC visibility push(default)

namespace filemap {

/// One turn of the loop: waits for completions, then resumes who awaited them. Completions are
/// taken out of the engine before anybody resumes, so whoever resumes may start and await anything.
inline void turn(engine& engine) {
  op_queue done;
  engine.wait(done);
  for (auto* op = done.front(); op != nullptr;) std::exchange(op, op->next)->complete();
}

/// Runs `root` to its end on this thread, then whatever it left in flight (a write-behind file may
/// be dropped with a write on its way), and returns what the root returned or throws what it threw.
///
/// Throws what `engine::wait` throws when the engine fails. The tasks cannot be ended then, as
/// nobody knows what the kernel still holds: they are abandoned where they are, never resumed and
/// never destroyed. What they refer to (files, buffers, the engine's own operations) must live
/// until the engine has been destroyed, whose destructor says whether the kernel has kept anything;
/// a `notify` need not.
template <typename T>
T run(engine& engine, task<T> root) {
  root.start();
  try {
    while (!root.done()) turn(engine);
    while (engine.in_flight() > 0) turn(engine);
  } catch (...) {
    root.abandon();
    throw;
  }
  return root.result();
}

}  // namespace filemap

#pragma GCC visibility pop
