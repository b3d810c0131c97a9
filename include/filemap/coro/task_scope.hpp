#pragma once

#include "filemap/coro/frame_pool.hpp"
#include "filemap/coro/task.hpp"

#include <cassert>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <utility>

#pragma GCC visibility push(default)

namespace filemap {

/// Owns tasks that run at the same time, and outlives every one of them.
///
/// `spawn` starts a task at once. `join` waits for all of them, then rethrows what the first of
/// them to fail threw; the others are not stopped by it, as an operation in flight cannot be
/// abandoned. A scope that is destroyed with tasks running is a bug and asserts: use `with_scope`
/// where the code between the first `spawn` and `join` may throw.
class task_scope {
 public:
  task_scope() = default;
  task_scope(const task_scope&) = delete;
  task_scope& operator=(const task_scope&) = delete;
  ~task_scope() { assert(running_ == 0 && "a task_scope must be joined before it is destroyed"); }

  /// Throws std::bad_alloc when there is no memory for the frame; the task has not started then.
  void spawn(task<> child) { drive(std::move(child), *this); }

  std::size_t running() const noexcept { return running_; }

  auto join() noexcept {
    struct awaiter {
      task_scope& scope;
      bool await_ready() const noexcept { return scope.running_ == 0; }
      void await_suspend(std::coroutine_handle<> joining) noexcept {
        assert(!scope.joining_ && "one task joins a scope");
        scope.joining_ = joining;
      }
      void await_resume() {
        scope.joining_ = nullptr;
        if (auto thrown = std::exchange(scope.thrown_, nullptr)) std::rethrow_exception(thrown);
      }
    };
    return awaiter{*this};
  }

 private:
  struct driver {
    struct promise_type {
      promise_type() = default;
      static void* operator new(std::size_t size) { return frame_pool::allocate(size); }
      static void operator delete(void* frame, std::size_t size) noexcept {
        frame_pool::deallocate(frame, size);
      }
      driver get_return_object() noexcept { return {}; }
      std::suspend_never initial_suspend() noexcept { return {}; }
      std::suspend_never final_suspend() noexcept { return {}; }
      void return_void() noexcept {}
      void unhandled_exception() noexcept { std::terminate(); }
    };
  };

  static driver drive(task<> child, task_scope& scope) {
    ++scope.running_;
    {
      auto running = std::move(child);
      try {
        co_await running;
      } catch (...) {
        if (!scope.thrown_) scope.thrown_ = std::current_exception();
      }
    }  // its frame ends here, with the parameters in it: before whoever joins goes on
    // The joining task may destroy the scope: nothing of it is touched after this.
    if (--scope.running_ == 0 && scope.joining_) scope.joining_.resume();
  }

  std::size_t running_ = 0;
  std::coroutine_handle<> joining_;
  std::exception_ptr thrown_;
};

/// Awaits `body(scope)`, then joins the scope, also when `body` throws; what `body` threw wins over
/// what its children threw. `body` returns a `task<>` and must not be a capturing lambda that is
/// itself a coroutine (its captures would die with it).
template <typename Body>
task<> with_scope(Body body) {
  task_scope scope;
  std::exception_ptr thrown;
  try {
    co_await body(scope);
  } catch (...) {
    thrown = std::current_exception();
  }
  try {
    co_await scope.join();
  } catch (...) {
    if (!thrown) thrown = std::current_exception();
  }
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace filemap

#pragma GCC visibility pop
