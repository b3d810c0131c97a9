#pragma once

#include <cassert>
#include <coroutine>
#include <utility>

namespace filemap {

/// Mutual exclusion between the tasks of one thread, first come first served.
class async_mutex {
 public:
  async_mutex() = default;
  async_mutex(const async_mutex&) = delete;
  async_mutex& operator=(const async_mutex&) = delete;
  ~async_mutex() { assert(!locked_); }

  /// Unlocks when it goes; the next in line resumes inside the destructor.
  class [[nodiscard]] guard {
   public:
    explicit guard(async_mutex& mutex) noexcept : mutex_(&mutex) {}
    guard(guard&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
    guard& operator=(guard&&) = delete;
    ~guard() {
      if (mutex_ != nullptr) mutex_->unlock();
    }

   private:
    async_mutex* mutex_;
  };

  /// `const auto guard = co_await mutex.lock();`
  auto lock() noexcept { return waiter{*this}; }

 private:
  // Part of the awaiting frame. A task that is destroyed while it waits leaves the queue.
  class [[nodiscard]] waiter {
   public:
    explicit waiter(async_mutex& mutex) noexcept : mutex_(mutex) {}
    waiter(const waiter&) = delete;
    waiter& operator=(const waiter&) = delete;
    ~waiter() {
      if (awaiting_) mutex_.forget(*this);
    }

    bool await_ready() noexcept { return !std::exchange(mutex_.locked_, true); }
    void await_suspend(std::coroutine_handle<> suspended) noexcept {
      awaiting_ = suspended;
      (mutex_.last_ != nullptr ? mutex_.last_->next_ : mutex_.first_) = this;
      mutex_.last_ = this;
    }
    guard await_resume() noexcept { return guard{mutex_}; }

   private:
    friend async_mutex;
    async_mutex& mutex_;
    std::coroutine_handle<> awaiting_;  // while it is in the queue
    waiter* next_ = nullptr;
  };

  void forget(const waiter& gone) noexcept {
    waiter* before = nullptr;
    for (auto* one = first_; one != &gone; one = one->next_) before = one;
    (before != nullptr ? before->next_ : first_) = gone.next_;
    if (last_ == &gone) last_ = before;
  }

  void unlock() noexcept {
    if (first_ == nullptr) {
      locked_ = false;
      return;
    }
    auto* const next = first_;  // takes the lock over: it was never free
    first_ = next->next_;
    if (first_ == nullptr) last_ = nullptr;
    std::exchange(next->awaiting_, nullptr).resume();
  }

  bool locked_ = false;
  waiter* first_ = nullptr;
  waiter* last_ = nullptr;
};

}  // namespace filemap
