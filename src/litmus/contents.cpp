#include "filemap/litmus/contents.hpp"

#include <algorithm>

namespace filemap::litmus {

void contents::append(slice next) {
  if (next.size == 0) return;
  if (next.pattern == zeros || next.pattern == unknown_bytes) next.offset = 0;
  size_ += next.size;
  if (!slices_.empty()) {
    auto& last = slices_.back();
    const bool continues = next.offset == last.offset + last.size || next.pattern == zeros ||
                           next.pattern == unknown_bytes;
    if (last.pattern == next.pattern && continues) {
      last.size += next.size;
      return;
    }
  }
  slices_.push_back(next);
}

contents contents::read(std::uint64_t offset, std::uint64_t size) const {
  contents part;
  std::uint64_t begin = 0;
  for (const auto& slice : slices_) {
    const auto from = std::max(begin, offset);
    const auto to = std::min(begin + slice.size, size > size_ ? size_ : offset + size);
    if (from < to) part.append({slice.pattern, slice.offset + (from - begin), to - from});
    begin += slice.size;
  }
  return part;
}

void contents::write(std::uint64_t offset, slice data) {
  if (data.size == 0) return;
  auto rest = read(offset + data.size, size_);
  resize(offset);
  append(data);
  for (const auto& slice : rest.slices_) append(slice);
}

void contents::resize(std::uint64_t size) {
  if (size > size_) {
    append({zeros, 0, size - size_});
  } else if (size < size_) {
    *this = read(0, size);
  }
}

void contents::punch(std::uint64_t offset, std::uint64_t size) {
  if (offset >= size_) return;
  write(offset, {zeros, 0, std::min(size, size_ - offset)});
}

}  // namespace filemap::litmus
