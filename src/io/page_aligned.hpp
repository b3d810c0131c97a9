#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace filemap {

template <typename T>
struct page_allocator {
  using value_type = T;
  static constexpr std::align_val_t alignment{4096};

  T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), alignment));
  }
  void deallocate(T* memory, std::size_t) noexcept { ::operator delete(memory, alignment); }

  friend bool operator==(page_allocator, page_allocator) = default;
};

/// Bytes that O_DIRECT takes. (tokio's buffers are not aligned, so its files cannot be direct; ours
/// can, as the early acknowledgement is to be compared on equal terms.)
using page_aligned_bytes = std::vector<std::byte, page_allocator<std::byte>>;

}  // namespace filemap
