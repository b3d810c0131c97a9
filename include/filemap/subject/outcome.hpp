#pragma once

#include "filemap/litmus/verb.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)

namespace filemap::litmus {

/// What a round came to, in the order of how much it tells.
enum class outcome : std::uint8_t {
  ok,
  size_zero,      ///< statx says 0 bytes
  size_short,     ///< statx says less than what had been flushed
  data_short,     ///< the size was right; the read returned less than what had been flushed
  data_mismatch,  ///< enough bytes, but not those that were written
  witness,        ///< of a test with a condition: a state that it asks about
  error,          ///< an operation failed
  hang,           ///< the round did not end in time
};
inline constexpr std::size_t outcome_count = 8;

std::string_view to_string(outcome outcome) noexcept;

/// The reader saw less than what had been acknowledged as flushed, or a state was one that the test
/// asks about.
bool is_violation(outcome outcome) noexcept;

/// What stood where the written bytes should have been.
enum class wrong_bytes : std::uint8_t {
  none,
  zeros,
  old,  ///< what the same place held in the round before
  neither,
};

std::string_view to_string(wrong_bytes wrong) noexcept;

/// One round's outcome with what it was seen by.
struct observation {
  outcome what = outcome::ok;
  wrong_bytes wrong = wrong_bytes::none;
  verb failed = verb::append;  ///< with `error`: which operation
  int error = 0;              ///< with `error`: its errno; 0: it took fewer bytes than it was given
  std::uint64_t flushed = 0;  ///< bytes acknowledged as flushed when the reader looked
  std::uint64_t size = 0;     ///< what statx said
  std::uint64_t read = 0;     ///< what the read returned, in bytes

  /// "data-mismatch (zeros)", "error (fsync: EIO)": the line of the histogram that it belongs to.
  std::string label() const;
};

/// Of an observation that is an error: why the operation failed.
std::string reason_of(const observation& failed);

/// An operation failed for a reason that is none of its test's: a full disk, say.
class operation_failed : public std::runtime_error {
 public:
  explicit operation_failed(const observation& failed);
  const observation& seen() const noexcept { return seen_; }

 private:
  observation seen_;
};

/// What the reader saw, judged: `flushed` bytes should be there.
/// `expected` and `before` are at least `flushed` bytes long; `before` is what a reused file held
/// in the round before, or empty.
observation classify(std::uint64_t flushed, std::uint64_t size, std::span<const std::byte> data,
                     std::span<const std::byte> expected, std::span<const std::byte> before);

}  // namespace filemap::litmus

#pragma GCC visibility pop
