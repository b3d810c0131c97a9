#pragma once

#include "filemap/coro/frame_pool.hpp"

#include <atomic>
#include <cassert>
#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#pragma GCC visibility push(default)

namespace filemap {

template <typename T>
class task;

namespace detail {

class task_promise_base {
 public:
  task_promise_base() = default;  // or GCC 12 initialises it from the coroutine's arguments

  static void* operator new(std::size_t size) { return frame_pool::allocate(size); }
  static void operator delete(void* frame, std::size_t size) noexcept {
    frame_pool::deallocate(frame, size);
  }

  std::suspend_always initial_suspend() noexcept { return {}; }

  auto final_suspend() noexcept {
    struct resume_awaiting {
      std::coroutine_handle<> awaiting;
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<>) const noexcept {
        return awaiting;
      }
      void await_resume() noexcept {}
    };
    return resume_awaiting{awaiting_};
  }

  void unhandled_exception() noexcept { thrown_ = std::current_exception(); }
  // Those that were abandoned hang on one another, so that a leak checker sees who knows of them.
  void abandon(std::coroutine_handle<> self) noexcept {
    static std::atomic<void*> last = nullptr;
    awaiting_ = std::coroutine_handle<>::from_address(last.exchange(self.address()));
  }
  void set_awaiting(std::coroutine_handle<> awaiting) noexcept { awaiting_ = awaiting; }

 protected:
  void rethrow() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  std::coroutine_handle<> awaiting_ = std::noop_coroutine();
  std::exception_ptr thrown_;
};

template <typename T>
class task_promise : public task_promise_base {
 public:
  task_promise() = default;
  task<T> get_return_object() noexcept;
  template <typename U>
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  T take() {
    rethrow();
    return std::move(*value_);
  }

 private:
  std::optional<T> value_;
};

template <>
class task_promise<void> : public task_promise_base {
 public:
  task_promise() = default;
  task<void> get_return_object() noexcept;
  void return_void() noexcept {}
  void take() { rethrow(); }
};

}  // namespace detail

/// A coroutine that starts when it is awaited and resumes its awaiter when it ends. The result, or
/// what was thrown, comes out of the `co_await`.
///
/// Awaiting starts the child *inside* `await_suspend` and suspends the parent only when the child
/// did not finish at once. Symmetric transfer alone would need a tail call, which GCC does not make
/// at -O0, at -O1 or under a sanitizer: there, a loop of children that finish at once overflows the
/// stack. Here the stack is as deep as the awaits are nested, in every build.
///
/// A task belongs to the thread that created it. Destroying one that is suspended destroys its
/// frame; it must not be waiting for an operation then (`io_op` asserts it).
template <typename T = void>
class [[nodiscard]] task {
 public:
  using promise_type = detail::task_promise<T>;

  task(task&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
  task& operator=(task&& other) noexcept {
    std::swap(coroutine_, other.coroutine_);
    return *this;
  }
  task(const task&) = delete;
  task& operator=(const task&) = delete;
  ~task() {
    if (coroutine_) coroutine_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> awaiting) noexcept {
    start();
    if (done()) return false;
    coroutine_.promise().set_awaiting(awaiting);
    return true;
  }
  T await_resume() { return coroutine_.promise().take(); }

  /// For those who drive a task without awaiting it: `run`, and tests.
  void start() noexcept { coroutine_.resume(); }
  bool done() const noexcept { return coroutine_.done(); }
  T result() {
    assert(done());
    return coroutine_.promise().take();
  }
  /// Never resumes or destroys it: for a task whose operations will not complete because their
  /// engine has failed. What it refers to is still in use as far as the kernel goes.
  void abandon() noexcept {
    coroutine_.promise().abandon(coroutine_);
    coroutine_ = nullptr;
  }

 private:
  friend promise_type;
  explicit task(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_(coroutine) {}

  std::coroutine_handle<promise_type> coroutine_;
};

namespace detail {

template <typename T>
task<T> task_promise<T>::get_return_object() noexcept {
  return task<T>{std::coroutine_handle<task_promise>::from_promise(*this)};
}

inline task<void> task_promise<void>::get_return_object() noexcept {
  return task<void>{std::coroutine_handle<task_promise>::from_promise(*this)};
}

}  // namespace detail

}  // namespace filemap

#pragma GCC visibility pop
