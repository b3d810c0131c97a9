#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)

namespace filemap {

/// A schedule, to be run again: at each point where more than one thing could be done next, which
/// of them was, counted from 1 in the order in which they came to be held. Beyond its last choice
/// the oldest goes first.
///
/// As text it is "2.1.3"; ones at its end are left out, but for the first choice: the schedule in
/// which the oldest always goes first is "1". A "t" lets time pass, at the first point from there
/// on at which somebody waits for that.
struct witness {
  static constexpr std::uint16_t time_passes = 0xffff;

  std::vector<std::uint16_t> choices;  ///< from 0 here; the last is not 0

  /// How many choices differ from the default.
  std::size_t detours() const noexcept;
  friend bool operator==(const witness&, const witness&) = default;
};

/// Drops what is the default at the end.
witness to_witness(std::vector<std::uint16_t> choices);
/// With fewer detours, then the first in the order of their choices.
bool is_better(const witness& one, const witness& other);

std::string to_string(const witness& witness);
/// Throws std::invalid_argument, whose text completes "--replay W: …".
witness parse_witness(std::string_view text);

}  // namespace filemap

#pragma GCC visibility pop
