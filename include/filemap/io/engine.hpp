#pragma once

#include "filemap/io/kernel_version.hpp"
#include "filemap/io/op.hpp"

#include <coroutine>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#pragma GCC visibility push(default)

namespace filemap {

/// This kernel, or this process on it, cannot do what was asked for: the program exits with 125, so
/// that `git bisect run` skips the kernel.
class unsupported : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What an engine is, for the report of a result.
struct engine_traits {
  std::string name;
  bool start_observable = false;  ///< `io_record::started` is known
  std::vector<std::string> features;
  std::vector<std::string> substitutions;         ///< "statx by system call", one a line
  std::optional<operation_ceiling> ceiling = {};  ///< of a ring that was given one
};

/// Whatever completes operations. The one seam of the project: everything above it is written once.
///
/// All members are called on one thread, the loop's. Operations in flight together may complete in
/// any order.
class engine {
 public:
  engine() = default;
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;
  /// Cancels what can be cancelled and waits for the rest: when it returns, neither the kernel nor
  /// a thread touches an operation or its buffer any more. Completions are not called.
  ///
  /// Two things cannot be waited for: what a ring that has failed still holds, and before 5.5,
  /// where nothing but polls can be cancelled, a read or write of what is no file (a pipe). Then a
  /// line on standard error says how many operations are left to the kernel. They stay `pending`,
  /// and they and their buffers must live as long as the process.
  virtual ~engine() = default;

  /// Takes the operation. May queue it or execute it, never calls its completion; whatever can go
  /// wrong is reported by the completion.
  ///
  /// After an operation with a link, the next member of its chain must be started before anything
  /// else and before the loop's next turn. Members begin in order, each when the one before it has
  /// ended; a chain that breaks completes the rest with -ECANCELED. Only the first member may
  /// drain. A delay of the first holds the whole chain back. On a ring, a chain is one run of
  /// linked submissions, if the kernel keeps chains as it should (`ring_features::links`), has all
  /// that the members ask for, and the submission queue's size is not less than the chain's length;
  /// otherwise, and on the other engines, each member is submitted when the one before it has
  /// completed.
  virtual void start(io_op& op) noexcept = 0;

  /// Blocks until at least one operation has completed and moves all that have to the end of
  /// `done`. Calling it with nothing in flight is a bug: it would never return.
  ///
  /// Throws std::system_error (or std::bad_alloc) when the engine itself fails: the kernel refuses
  /// io_uring_enter, for half a second where it may think better of it (EAGAIN, EBUSY, EINTR), or
  /// ppoll; the pool has work and no thread. The engine has `failed` then. Nothing may be waited
  /// for any more. Whatever is in flight stays `pending`, with its coroutines suspended: leave them
  /// alone, with all that they refer to, and destroy the engine, which does not block for it, or
  /// end the program. `run` and `task::abandon` do so for tasks.
  virtual void wait(op_queue& done) = 0;

  /// Asks for an early end. The completion still arrives through `wait`, with -ECANCELED or, when
  /// the operation was faster or cannot be cancelled, with its own result. What has not had its
  /// turn in a chain or behind a drain is cancelled when its turn comes; in a chain that is the
  /// kernel's it cannot be cancelled.
  virtual void cancel(io_op& op) noexcept = 0;

  /// Operations started whose completion `wait` has not delivered.
  virtual std::size_t in_flight() const noexcept = 0;

  /// `wait` has thrown.
  virtual bool failed() const noexcept { return false; }

  virtual engine_traits traits() const = 0;
};

/// `co_await perform(engine, request)`: one operation from submission to completion, without an
/// allocation, as the operation is part of the awaiting frame.
class [[nodiscard]] perform : public io_op {
 public:
  /// `record`, if given, is extended before the awaiting coroutine resumes.
  perform(engine& engine, io_request request, io_record* record = nullptr) noexcept
      : io_op(request, &resume), engine_(engine), record_(record) {
    timed = record != nullptr;
  }

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> awaiting) noexcept {
    awaiting_ = awaiting;
    engine_.start(*this);
  }
  io_result await_resume() const noexcept {
    if (record_ != nullptr) record_->extend(record);
    return result();
  }

 private:
  static void resume(io_op& op) noexcept { static_cast<perform&>(op).awaiting_.resume(); }

  engine& engine_;
  io_record* record_;
  std::coroutine_handle<> awaiting_;
};

}  // namespace filemap

#pragma GCC visibility pop
