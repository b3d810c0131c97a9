#pragma once

// The seam of the search: below it what is run, above it who decides (explore/chooser.hpp).
//
//     begin ─► held ─► execute ─► held ─► execute … held: nothing ─► end
//              └─ at rest: all that can move has come to a step, which is held, or has ended
//
// What is held has names that mean the same in the next run, so that whoever decides can ask for
// a step again without knowing what it is.

#include "footprint.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace filemap {

/// A step that could be taken next, by a name that is the same in every run in which the same was
/// chosen before. Of those that are held together no two have one name.
struct candidate {
  std::uint32_t stream = 0;   ///< a process, a handle's queue, a thread; numbered as they come
  std::uint32_t ordinal = 0;  ///< which of its stream's steps, from 0
  std::uint32_t way = 0;      ///< which of the ways in which the step can go, from 0

  /// Not a step, but to let time pass before the next: where somebody waits for no more than that.
  /// It is the last of what is held, and never alone.
  static constexpr std::uint32_t time = ~std::uint32_t{0};
  bool is_time() const noexcept { return stream == time; }

  friend auto operator<=>(const candidate&, const candidate&) = default;
};

/// What a run came to.
struct ending {
  bool deadlock = false;   ///< nothing can be done, and not all has ended: there is no state
  std::size_t state = 0;   ///< equal for equal states of this subject, from 0
  bool bad = false;        ///< the state is one that is looked for
  bool outwaited = false;  ///< a time-out ran out that nobody let pass, as the machine was slow
};

/// What is run again and again, a step at a time. A wait that is ready goes on by itself.
class subject {
 public:
  subject() = default;
  subject(const subject&) = delete;
  subject& operator=(const subject&) = delete;
  virtual ~subject() = default;

  /// Gets rid of the run before, at whatever rest it was left, and begins another from the same
  /// start, to its first rest. Throws std::system_error when the environment fails.
  virtual void begin() = 0;
  /// At rest: what can be done, oldest first, until the next call. Empty: the run is over.
  virtual std::span<const candidate> held() const = 0;
  /// Does one of `held` to its end and goes on to the next rest. Returns what was touched. Throws
  /// as `begin`; there is no other run of this subject then.
  virtual footprint execute(std::size_t choice) = 0;
  /// Of a run that is over. Throws when something failed in it that the subject did not ask for, a
  /// full disk say: then it came to nothing.
  virtual ending end() = 0;
  /// "P0:append(w)", of one that is held: for a person.
  virtual std::string describe(const candidate& which) const = 0;
};

}  // namespace filemap
