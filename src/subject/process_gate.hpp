#pragma once

#include <coroutine>
#include <cstddef>

namespace filemap::litmus {

/// Where the processes of a round stop before a statement, when somebody wants them to: the moment
/// at which a statement begins is then somebody's to choose.
class process_gate {
 public:
  process_gate() = default;
  process_gate(const process_gate&) = delete;
  process_gate& operator=(const process_gate&) = delete;
  virtual ~process_gate() = default;

  /// Does the process stop before this statement of its body?
  virtual bool stops(std::size_t process, std::size_t at) = 0;
  /// It has stopped, and goes on when `awaiting` is resumed.
  virtual void stopped(std::size_t process, std::size_t at, std::coroutine_handle<> awaiting) = 0;
  /// Does the `cancel` that it comes to meet its operation, if that is in flight?
  virtual bool meets() const noexcept = 0;

  /// `co_await process_gate::pass{gate, process, at};` No gate: goes on.
  struct pass {
    process_gate* gate;
    std::size_t process;
    std::size_t at;

    bool await_ready() const { return gate == nullptr || !gate->stops(process, at); }
    void await_suspend(std::coroutine_handle<> awaiting) const {
      gate->stopped(process, at, awaiting);
    }
    void await_resume() const noexcept {}
  };
};

}  // namespace filemap::litmus
