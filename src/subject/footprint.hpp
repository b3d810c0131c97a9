#pragma once

#include <cstdint>

namespace filemap {

/// What a step of a run has read and changed: things of its subject, a bit each.
struct footprint {
  std::uint64_t reads = 0;
  std::uint64_t changes = 0;

  /// Always right, and costs only runs: it depends on all that touches anything, itself included.
  static constexpr footprint everything() noexcept {
    return {~std::uint64_t{0}, ~std::uint64_t{0}};
  }

  void add(const footprint& other) noexcept {
    reads |= other.reads;
    changes |= other.changes;
  }
  /// Does it matter which of the two comes first?
  bool depends_on(const footprint& other) const noexcept {
    return (changes & (other.reads | other.changes)) != 0 || (reads & other.changes) != 0;
  }
};

}  // namespace filemap
