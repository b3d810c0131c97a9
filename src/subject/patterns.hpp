#pragma once

#include "filemap/litmus/test.hpp"

#include "io/page_aligned.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace filemap::litmus {

/// The bytes of a test's patterns in one round, and the way back from bytes to slices.
///
/// A byte's lowest bits are the number of its pattern, so it is never zero and never another
/// pattern's; the others are drawn from the seed and the number of the round, so that old data is
/// told from new. A test may have `max_patterns` of them besides the zeros.
class patterns {
 public:
  /// Patterns as long as the test needs them.
  explicit patterns(const test& test);

  /// The bytes of this round.
  void fill(std::uint64_t seed, std::uint64_t round) noexcept;

  /// What a slice stands for, in this round. Valid until the next `fill`; O_DIRECT takes it where
  /// its offset is aligned.
  std::span<const std::byte> bytes(const slice& slice) const noexcept;

  /// What these bytes are called. The same bytes may stand at several places of a pattern: then it
  /// is the place that continues the slice before, or where a slice of the test begins, or the
  /// first one. `unknown_bytes` are those of no pattern of this round.
  contents name(std::span<const std::byte> data) const;

 private:
  slice longest(std::span<const std::byte> run, std::uint16_t pattern,
                std::uint64_t continuing) const;

  std::byte tag_bits_{0};
  std::vector<page_aligned_bytes> patterns_;         // by number; the first is zeros
  std::vector<std::vector<std::uint64_t>> offsets_;  // at which the test's slices begin
};

}  // namespace filemap::litmus
