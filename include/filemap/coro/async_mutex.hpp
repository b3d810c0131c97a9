#pragma once

#include <cassert>
#include <coroutine>
#include <utility>

#pragma GCC visibility push(default)

namespace filemap {

/// Mutual exclusion between the tasks of one thread, first come first served.
class async_mutex {
 public:
  async_mutex() = default;
  async_mutex(const async_mutex&) = delete;
  async_mutex& operator=(const async_mutex&) = delete;
  ~async_mutex() {
    assert(!locked_);
    if (passing_on_ != nullptr) passing_on_->mutex_is_gone = true;
  }

  /// Unlocks when it goes; the next in line resumes inside the destructor, or, when whoever unlocks
  /// was itself resumed by an unlock, as soon as it suspends or ends: so the stack does not grow
  /// with the length of the queue.
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

  // The outermost unlock on the stack, which resumes all who take the lock over.
  struct passing_on {
    bool again = false;  // unlocked once more
    bool mutex_is_gone = false;
  };

  void unlock() noexcept {
    if (first_ == nullptr) {
      locked_ = false;
      return;
    }
    if (passing_on_ != nullptr) {
      passing_on_->again = true;
      return;
    }
    passing_on outermost;
    passing_on_ = &outermost;
    do {
      outermost.again = false;
      auto* const next = take_first();
      if (next == nullptr) {  // all have left the queue
        locked_ = false;
        break;
      }
      std::exchange(next->awaiting_, nullptr).resume();  // it was never free in between
      if (outermost.mutex_is_gone) return;
    } while (outermost.again);
    passing_on_ = nullptr;
  }

  waiter* take_first() noexcept {
    auto* const first = first_;
    if (first == nullptr) return nullptr;
    first_ = first->next_;
    if (first_ == nullptr) last_ = nullptr;
    return first;
  }

  bool locked_ = false;
  passing_on* passing_on_ = nullptr;
  waiter* first_ = nullptr;
  waiter* last_ = nullptr;
};

}  // namespace filemap

#pragma GCC visibility pop
