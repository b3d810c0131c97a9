#pragma once

#include "huge_pages.hpp"
#include "interner.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace filemap::litmus {

/// The states that a search has seen, by 128 bits of hash each: 16 bytes, where a state itself is
/// a hundred. Two of n states have one hash with a probability below n^2 / 2^129, which is 10^-25
/// for ten million: a search that lost a state so would be the first.
///
/// It is in parts, which grow one by one: while a table grows, it takes half as much again.
class state_set {
 public:
  struct hash {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    friend bool operator==(const hash&, const hash&) = default;
  };

  /// `words` is a multiple of four.
  static hash hash_of(const word* state, std::size_t words) noexcept {
    hash made{0x243f6a8885a308d3, 0x13198a2e03707344};
    for (std::size_t at = 0; at < words; at += 4) {
      std::uint64_t four = 0;
      std::memcpy(&four, state + at, sizeof four);
      made.low = mix(made.low, four);
      made.high = (made.high ^ (four >> 32 | four << 32)) * 0xd1342543de82ef95U;
      made.high ^= made.high >> 31;
    }
    made.low ^= made.low >> 32;        // which slot is told by the lowest bits
    if (made == hash{}) made.low = 1;  // an empty slot
    return made;
  }

  /// It will be inserted soon. (Each slot is somewhere else in memory, and to wait for them was a
  /// third of the search.)
  void prefetch(const hash& state) const noexcept { parts_[part_of(state)].prefetch(state); }
  /// False when it was there.
  bool insert(const hash& state) {
    const auto is_new = parts_[part_of(state)].insert(state);
    size_ += is_new ? 1 : 0;
    return is_new;
  }
  std::size_t size() const noexcept { return size_; }

 private:
  class table {
   public:
    void prefetch(const hash& wanted) const noexcept {
      __builtin_prefetch(&slots_[wanted.low & (slots_.size() - 1)], 1);
    }
    bool insert(hash wanted) {
      if (4 * (size_ + 1) > 3 * slots_.size()) grow();
      const auto is_new = place(wanted);
      size_ += is_new ? 1 : 0;
      return is_new;
    }

   private:
    using hashes = std::vector<hash, huge_page_allocator<hash>>;

    bool place(hash wanted) noexcept {
      for (auto at = wanted.low;; ++at) {
        auto& slot = slots_[at & (slots_.size() - 1)];
        if (slot == wanted) return false;
        if (slot == hash{}) {
          slot = wanted;
          return true;
        }
      }
    }

    void grow() {
      hashes old(2 * slots_.size());
      std::swap(old, slots_);
      for (const auto& one : old) {
        if (one != hash{}) place(one);
      }
    }

    hashes slots_ = hashes(64);  // a power of two of them
    std::size_t size_ = 0;
  };

  static constexpr std::size_t parts = 16;
  static std::size_t part_of(const hash& state) noexcept { return state.high % parts; }

  std::array<table, parts> parts_;
  std::size_t size_ = 0;
};

}  // namespace filemap::litmus
