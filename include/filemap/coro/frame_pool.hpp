#pragma once

#include <array>
#include <cstddef>
#include <new>

#pragma GCC visibility push(default)

namespace filemap {

/// Keeps the frames of finished coroutines for the next ones, so that a program in its steady state
/// awaits without allocating.
///
/// One pool per thread, free lists in steps of 64 bytes up to 2 KiB; a larger frame goes straight
/// to operator new. A coroutine must be destroyed on the thread that created it, which holds for
/// everything that `run` drives. Under AddressSanitizer nothing is kept: a recycled frame would
/// hide a use after free.
class frame_pool {
 public:
  static void* allocate(std::size_t size) {
#ifndef __SANITIZE_ADDRESS__
    if (const auto list = list_for(size); list < list_count) {
      auto& head = local().free_[list];
      if (head != nullptr) {
        auto* const frame = head;
        head = head->next;
        return frame;
      }
      return ::operator new((list + 1) * step);
    }
#endif
    return ::operator new(size);
  }

  static void deallocate(void* memory, [[maybe_unused]] std::size_t size) noexcept {
#ifndef __SANITIZE_ADDRESS__
    if (const auto list = list_for(size); list < list_count) {
      auto& head = local().free_[list];
      head = ::new (memory) free_frame{head};
      return;
    }
#endif
    ::operator delete(memory);
  }

  frame_pool(const frame_pool&) = delete;
  frame_pool& operator=(const frame_pool&) = delete;

 private:
  struct free_frame {
    free_frame* next;
  };
  static constexpr std::size_t step = 64;
  static constexpr std::size_t list_count = 32;

  frame_pool() = default;
  ~frame_pool() {
    for (auto* frame : free_) {
      while (frame != nullptr) {
        auto* const next = frame->next;
        ::operator delete(frame);
        frame = next;
      }
    }
  }

  static std::size_t list_for(std::size_t size) noexcept { return (size - 1) / step; }
  static frame_pool& local() noexcept {
    thread_local frame_pool pool;
    return pool;
  }

  std::array<free_frame*, list_count> free_{};
};

}  // namespace filemap

#pragma GCC visibility pop
