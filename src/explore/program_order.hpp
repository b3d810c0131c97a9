#pragma once

#include "filemap/litmus/mode.hpp"
#include "filemap/litmus/test.hpp"

#include "subject/dependence.hpp"

#include <bitset>
#include <cstddef>
#include <vector>

namespace filemap::litmus {

/// What a program orders, whatever the schedule: the statements of a process, and what a
/// notification and its wait bring together. No process is repeated.
class program_order {
 public:
  struct place {
    std::size_t process = 0;
    std::size_t at = 0;  ///< in its body
    friend bool operator==(const place&, const place&) = default;
  };

  program_order(const test& test, const mode& mode);

  /// Does `second` begin only after `first` has returned?
  bool ordered(place first, place second) const { return before_[id(first)][id(second)]; }
  /// Does it begin only after the operation of `first` has ended? Where writes are acknowledged
  /// early that takes a call of their handle that waits for them, or writes them out.
  bool executes_before(place first, place second) const;
  /// Both are operations on files, and it shows which of them comes first.
  bool conflict(place first, place second) const;
  /// They conflict, and nothing orders them: both may be in flight at once.
  bool may_overlap(place first, place second) const;
  /// Would a change of a file come to wait for a look at it if `later` waited for a notification
  /// after `earlier`? Then that hides what the look could have seen.
  bool hides(place earlier, place later) const;
  /// A write that returns when it is queued, or in a buffer.
  bool acknowledged_early(place one) const;
  /// Can others see that it has begun, though it has not executed?
  bool seeks(place one) const { return depends_.seeks(one.process, one.at); }
  bool begins_visibly(place one) const { return depends_.begins_visibly(one.process, one.at); }

  const std::vector<place>& places() const noexcept { return places_; }

 private:
  std::size_t id(place one) const noexcept { return first_[one.process] + one.at; }
  const statement& at(place one) const noexcept {
    return test_.processes[one.process].body[one.at];
  }
  bool same_or_ordered(place first, place second) const {
    return first == second || in_one_group(first, second) || ordered(first, second);
  }
  bool waits_for_its_write(place call) const noexcept;
  bool in_one_group(place one, place other) const noexcept;
  /// What has happened at the least when somebody else knows that `earlier` has.
  place known_with(place earlier) const noexcept;

  const test& test_;
  const bool early_;
  const bool buffered_;
  const acknowledgement_options options_;
  const bool takes_turns_;  // in the mode sync
  const dependence depends_;
  std::vector<std::size_t> first_;  // by process: the number of its first statement
  std::vector<place> places_;
  std::vector<std::bitset<max_processes * max_statements>> before_;
};

/// Where a statement can be put so that it is before, or after, that of index `at`: not in a group.
std::size_t slot_before(const process_declaration& process, std::size_t at) noexcept;
std::size_t slot_after(const process_declaration& process, std::size_t at) noexcept;

/// It looks at a file or a name, and changes neither.
constexpr bool is_look(verb verb) noexcept { return only_looks(verb) || verb == verb::open; }
/// It changes what a look can see. (A sync, a close and a dropped cache do not, though their order
/// may show: who waits with a close for the last use of the handle does what one does.)
constexpr bool is_change(verb verb) noexcept {
  return is_groupable(verb) && !only_looks(verb) && !is_sync(verb) && verb != verb::drop_cache;
}

}  // namespace filemap::litmus
