#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace filemap::litmus {

/// A place in one of a test's patterns.
struct pattern_place {
  std::uint16_t pattern = 0;
  std::uint64_t offset = 0;  ///< bytes from the start of the pattern

  friend auto operator<=>(const pattern_place&, const pattern_place&) = default;
};

/// Bytes that a test names, as `lorem[100..123]`. Patterns are numbered by the test; number 0 is
/// `zeros` in every one, where `offset` is always 0. A pattern's bytes are never zero, differ from
/// those of every other pattern, and are drawn anew for each round (patterns.hpp).
struct slice {
  std::uint16_t pattern = 0;
  std::uint64_t offset = 0;  ///< bytes from the start of the pattern
  std::uint64_t size = 0;    ///< bytes
  /// Of a mixture, what a read copied while it changed: each byte is that of this slice or the one
  /// at the same distance from one of these places. In ascending order, none twice.
  std::vector<pattern_place> or_from = {};

  bool is_mixture() const noexcept { return !or_from.empty(); }
  pattern_place place() const noexcept { return {pattern, offset}; }

  friend auto operator<=>(const slice&, const slice&) = default;
};

inline constexpr std::uint16_t zeros = 0;
/// For bytes of a real file that are none of the test's patterns.
inline constexpr std::uint16_t unknown_bytes = 0xffff;

/// What a file or a read holds, as slices in their order: the same bytes always have the same
/// representation (slices that continue each other are one, none is empty), so contents compare by
/// value.
class contents {
 public:
  contents() = default;
  explicit contents(slice only) { append(std::move(only)); }

  std::uint64_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  std::span<const slice> slices() const noexcept {
    return slices_ != nullptr ? std::span<const slice>(*slices_) : std::span<const slice>();
  }

  void append(slice next);
  /// As pwrite(2) does: a gap before `offset` becomes zeros.
  void write(std::uint64_t offset, const slice& data);
  /// As ftruncate(2) does: growing adds zeros.
  void resize(std::uint64_t size);
  /// Zeros in [offset, offset + size), within the current size.
  void punch(std::uint64_t offset, std::uint64_t size);
  void append(const contents& more);
  /// As pread(2) does: what there is of [offset, offset + size).
  contents read(std::uint64_t offset, std::uint64_t size) const;

  /// Of two of one size: each byte is as in the one or as in the other.
  static contents mixed(const contents& one, const contents& other);
  /// Are these bytes, which are no mixture, among those that this mixture may be?
  bool may_be(const contents& bytes) const;

  friend bool operator==(const contents& a, const contents& b) noexcept {
    return a.size_ == b.size_ &&
           (a.slices_ == b.slices_ || std::ranges::equal(a.slices(), b.slices()));
  }
  friend std::strong_ordering operator<=>(const contents& a, const contents& b) noexcept;

 private:
  std::vector<slice>& own();

  std::shared_ptr<std::vector<slice>> slices_;  // by all copies, until one of them changes
  std::uint64_t size_ = 0;
};

}  // namespace filemap::litmus

#pragma GCC visibility pop
