#pragma once

#include "filemap/coro/task.hpp"
#include "filemap/io/engine.hpp"

namespace filemap {

/// One turn of the loop: waits for completions, then resumes who awaited them. Completions are
/// taken out of the engine before anybody resumes, so whoever resumes may start and await anything.
inline void turn(engine& engine) {
  op_queue done;
  engine.wait(done);
  while (auto* const op = done.pop()) op->complete();
}

/// Runs `root` to its end on this thread, then whatever it left in flight (a write-behind file may
/// be dropped with a write on its way), and returns what the root returned or throws what it threw.
///
/// Throws std::system_error when the engine fails. The tasks cannot be ended then, as nobody knows
/// what the kernel still holds, so a program should end.
template <typename T>
T run(engine& engine, task<T> root) {
  root.start();
  while (!root.done()) turn(engine);
  while (engine.in_flight() > 0) turn(engine);
  return root.result();
}

}  // namespace filemap
