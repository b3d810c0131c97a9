#pragma once

#include "filemap/io/engine.hpp"
#include "filemap/io/unique_fd.hpp"

#pragma GCC visibility push(default)

namespace filemap {

/// A permit that one task gives and one other takes: tokio's `Notify` with a single waiter, on an
/// eventfd, so that waiting is an operation of the engine like any other.
///
/// It holds at most one permit. `notify_one` before `wait` is not lost: the wait returns at once.
/// Two of them before the wait coalesce into one permit, so a waiter must look at the state that
/// the notification is about, not count wake-ups.
///
/// The eventfd is non-blocking: with a blocking one the ring hands the read to a kernel worker, and
/// a hop costs about 100 µs instead of 1 or 2. Two waiters at once would lose a wake-up, so `wait`
/// asserts that there is one. It must outlive the wait, unless the engine has failed.
class notify {
 public:
  /// Throws std::system_error (eventfd: EMFILE, ENFILE, ENOMEM).
  explicit notify(engine& engine);
  notify(const notify&) = delete;
  notify& operator=(const notify&) = delete;
  ~notify() { assert(!waiting_ || engine_.failed()); }

  /// May be called from any thread. Returns 0, or the errno with which the kernel refused: then
  /// there is no permit, and whoever waits for it would wait for ever.
  int notify_one() noexcept;

  /// Takes a permit back, if there is one. For a notify that is used again from the start.
  void reset() noexcept;

  /// `co_await edge.wait()`: an `io_result` that is 8 (the eventfd's count was read) or a failure.
  auto wait(io_record* record = nullptr) noexcept {
    class awaiter : public perform {
     public:
      awaiter(notify& owner, io_record* record) noexcept
          : perform(owner.engine_, io_request::read_event(owner.event_.get()), record),
            owner_(owner) {}
      void await_suspend(std::coroutine_handle<> awaiting) noexcept {
        assert(!owner_.waiting_ && "a notify has one waiter");
        owner_.waiting_ = true;
        perform::await_suspend(awaiting);
      }
      io_result await_resume() const noexcept {
        owner_.waiting_ = false;
        return perform::await_resume();
      }

     private:
      notify& owner_;
    };
    return awaiter{*this, record};
  }

  int fd() const noexcept { return event_.get(); }

 private:
  engine& engine_;
  unique_fd event_;
  bool waiting_ = false;
};

}  // namespace filemap

#pragma GCC visibility pop
