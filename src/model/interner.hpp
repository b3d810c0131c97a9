#pragma once

#include "layout.hpp"

#include <unordered_map>
#include <vector>

namespace filemap::litmus {

/// A step of a hash: every bit of `value` comes to matter.
inline std::uint64_t mix(std::uint64_t hash, std::uint64_t value) noexcept {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15U;
  return hash ^ (hash >> 29);
}

/// Numbers values in the order in which they come, so that a word stands for each.
template <typename Value, typename Hash>
class interner {
 public:
  /// `no_word` when there is no number left.
  word number(const Value& value) {
    const auto next = static_cast<word>(values_.size());
    const auto [found, is_new] = numbers_.try_emplace(value, next);
    if (!is_new) return found->second;
    if (next == no_word) {
      numbers_.erase(found);
      return no_word;
    }
    values_.push_back(&found->first);
    return next;
  }
  const Value& operator[](word number) const noexcept { return *values_[number]; }

 private:
  std::unordered_map<Value, word, Hash> numbers_;
  std::vector<const Value*> values_;  // keys of `numbers_`
};

}  // namespace filemap::litmus
