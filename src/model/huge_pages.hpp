#pragma once

#include <cstddef>
#include <new>
#include <sys/mman.h>

namespace filemap::litmus {

/// Asks the kernel for large pages where there is room for one: in a table of hundreds of megabytes
/// that is read at random nearly every access else begins with a miss of the TLB.
template <typename T>
struct huge_page_allocator {
  using value_type = T;

  huge_page_allocator() = default;
  template <typename U>
  explicit(false) huge_page_allocator(const huge_page_allocator<U>&) noexcept {}

  T* allocate(std::size_t count) {
    const auto size = count * sizeof(T);
    if (size < page) return static_cast<T*>(::operator new(size));
    void* const memory = ::operator new(size, alignment);
    ::madvise(memory, size, MADV_HUGEPAGE);  // a kernel without them only takes longer
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t count) noexcept {
    if (count * sizeof(T) < page) {
      ::operator delete(memory);
    } else {
      ::operator delete(memory, alignment);
    }
  }
  friend bool operator==(const huge_page_allocator&, const huge_page_allocator&) { return true; }

 private:
  static constexpr std::size_t page = std::size_t{2} << 20U;
  static constexpr std::align_val_t alignment{page};
};

}  // namespace filemap::litmus
