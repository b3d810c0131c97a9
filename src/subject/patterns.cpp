#include "patterns.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <functional>

namespace filemap::litmus {

namespace {

/// One step of splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
/// 2014).
constexpr std::uint64_t splitmix64(std::uint64_t& state) noexcept {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

template <typename Visit>
void each_slice(const test& test, Visit visit) {
  for (const auto& file : test.files) {
    for (const auto& slice : file.initial.slices()) visit(slice);
  }
  for (const auto& process : test.processes) {
    for (const auto& statement : process.body) {
      auto data = statement.data;
      if (statement.relative) data.size *= process.times;
      visit(data);
    }
  }
}

std::size_t run_length(std::span<const std::byte> data, std::byte bits, std::byte tag) {
  const auto end =
      std::find_if(data.begin(), data.end(), [&](std::byte b) { return (b & bits) != tag; });
  return static_cast<std::size_t>(end - data.begin());
}

std::size_t common_length(std::span<const std::byte> a, std::span<const std::byte> b) {
  const auto size = std::min(a.size(), b.size());
  if (std::memcmp(a.data(), b.data(), size) == 0) return size;
  return static_cast<std::size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(size), b.begin()).first -
      a.begin());
}

}  // namespace

patterns::patterns(const test& test)
    : patterns_(test.patterns.size()), offsets_(test.patterns.size()) {
  assert(!patterns_.empty() && patterns_.size() <= max_patterns + 1);
  const auto tags = std::bit_ceil(patterns_.size());  // a power of two above every number
  tag_bits_ = static_cast<std::byte>(tags - 1);
  each_slice(test, [&](const slice& slice) {
    auto& bytes = patterns_[slice.pattern];
    bytes.resize(std::max<std::size_t>(bytes.size(), slice.offset + slice.size));
    auto& offsets = offsets_[slice.pattern];
    if (std::find(offsets.begin(), offsets.end(), slice.offset) == offsets.end()) {
      offsets.push_back(slice.offset);
    }
  });
}

void patterns::fill(std::uint64_t seed, std::uint64_t round) noexcept {
  constexpr std::uint64_t every_byte = 0x0101010101010101;
  std::uint64_t state = seed ^ (round * 0xd1342543de82ef95);
  const auto clear = ~(static_cast<std::uint64_t>(tag_bits_) * every_byte);
  for (std::size_t number = 1; number < patterns_.size(); ++number) {
    const auto tag = number * every_byte;
    std::span<std::byte> bytes(patterns_[number]);
    while (!bytes.empty()) {
      const auto word = (splitmix64(state) & clear) | tag;
      const auto size = std::min(bytes.size(), sizeof word);
      std::memcpy(bytes.data(), &word, size);
      bytes = bytes.subspan(size);
    }
  }
}

std::span<const std::byte> patterns::bytes(const slice& slice) const noexcept {
  return std::span(patterns_[slice.pattern]).subspan(slice.offset, slice.size);
}

contents patterns::name(std::span<const std::byte> data) const {
  contents named;
  slice last;
  while (!data.empty()) {
    const auto tag = data.front() & tag_bits_;
    const auto number = std::to_integer<std::uint16_t>(tag);
    slice next{unknown_bytes, 0, 1};
    if (data.front() == std::byte{0}) {
      next = {zeros, 0, run_length(data, std::byte{0xff}, std::byte{0})};
    } else if (number != 0 && number < patterns_.size()) {
      const auto run = data.first(run_length(data, tag_bits_, tag));
      next = longest(run, number, last.pattern == number ? last.offset + last.size : 0);
    }
    named.append(next);
    last = next;
    data = data.subspan(next.size);
  }
  return named;
}

// The place in the pattern that has most of the run's beginning.
slice patterns::longest(std::span<const std::byte> run, std::uint16_t pattern,
                        std::uint64_t continuing) const {
  constexpr std::size_t enough = 16;  // bytes that stand at one place only, but for a miracle
  const auto fewest = std::min<std::size_t>(run.size(), 4);  // fewer would often match by chance
  const std::span<const std::byte> bytes(patterns_[pattern]);
  slice best{unknown_bytes, 0, 1};
  const auto offer = [&](std::uint64_t offset) {
    if (offset >= bytes.size()) return;
    const auto size = common_length(run, bytes.subspan(offset));
    if (size >= fewest && (best.pattern == unknown_bytes || size > best.size)) {
      best = {pattern, offset, size};
    }
  };
  offer(continuing);
  for (const auto offset : offsets_[pattern]) offer(offset);
  if (best.pattern != unknown_bytes && best.size >= std::min(run.size(), enough)) return best;
  const auto key = run.first(std::min(run.size(), enough));
  const auto found = std::search(bytes.begin(), bytes.end(),
                                 std::boyer_moore_horspool_searcher(key.begin(), key.end()));
  if (found != bytes.end()) offer(static_cast<std::uint64_t>(found - bytes.begin()));
  return best;
}

}  // namespace filemap::litmus
