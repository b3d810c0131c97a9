#include "program_order.hpp"

#include <algorithm>

namespace filemap::litmus {

namespace {

// In the mode sync, where one step goes as far as what does (docs/model.md, rule 5).
bool takes_a_turn(verb verb) noexcept {
  return verb == verb::wait || (is_file_operation(verb) && verb != verb::clone);
}

}  // namespace

program_order::program_order(const test& test, const mode& mode)
    : test_(test),
      early_(mode.acknowledges_early()),
      buffered_(mode.when == acknowledgement::buffered),
      options_(mode.options),
      takes_turns_(mode.engine == engine_kind::sync),
      depends_(test, mode) {
  for (std::size_t p = 0; p < test.processes.size(); ++p) {
    first_.push_back(places_.size());
    for (std::size_t s = 0; s < test.processes[p].body.size(); ++s) places_.push_back({p, s});
  }
  before_.resize(places_.size());
  for (const auto& first : places_) {
    for (const auto& second : places_) {
      const bool in_process = first.process == second.process && first.at < second.at;
      const auto* const group = group_of(test.processes[first.process], first.at);
      const bool unordered =
          in_one_group(first, second) && group != nullptr && group->kind == group_kind::batch;
      const bool notified = at(first).what == verb::notify && at(second).what == verb::wait &&
                            at(first).operand == at(second).operand;
      if ((in_process && !unordered) || notified) before_[id(first)].set(id(second));
    }
  }
  for (std::size_t middle = 0; middle < places_.size(); ++middle) {
    for (auto& row : before_) {
      if (row[middle]) row |= before_[middle];
    }
  }
}

// For what is not written yet of its handle (docs/model.md, rules 13 and 27).
bool program_order::waits_for_its_write(place call) const noexcept {
  const auto verb = at(call).what;
  if (verb == verb::close) return options_.drop == drop_kind::flushes;
  if (!uses_handle(verb)) return false;
  if (is_write(verb)) return !buffered_ || !acknowledged_early(call) || seeks(call);
  return verb == verb::flush || options_.waits.contains(call_of(verb).value());
}

bool program_order::in_one_group(place one, place other) const noexcept {
  if (one.process != other.process) return false;
  const auto* const group = group_of(test_.processes[one.process], one.at);
  return group != nullptr && group == group_of(test_.processes[one.process], other.at);
}

bool program_order::executes_before(place first, place second) const {
  if (!ordered(first, second)) return false;
  if (!acknowledged_early(first)) return true;
  const auto handle = named_by(test_, at(first).operand);
  if (buffered_ && acknowledged_early(second) && touches(test_, at(second), handle)) return true;
  return std::any_of(places_.begin(), places_.end(), [&](place call) {
    return waits_for_its_write(call) && touches(test_, at(call), handle) && ordered(first, call) &&
           same_or_ordered(call, second);
  });
}

bool program_order::conflict(place first, place second) const {
  if (!is_file_operation(at(first).what) || !is_file_operation(at(second).what)) return false;
  const auto touched = depends_.of_executing(first.process, first.at, true);
  return touched.depends_on(depends_.of_executing(second.process, second.at, true));
}

bool program_order::may_overlap(place first, place second) const {
  return conflict(first, second) && !executes_before(first, second) &&
         !executes_before(second, first);
}

bool program_order::hides(place earlier, place later) const {
  const auto known = known_with(earlier);
  for (const auto& look : places_) {
    if (!is_look(at(look).what) || !same_or_ordered(look, known)) continue;
    for (const auto& change : places_) {
      if (!is_change(at(change).what) || !same_or_ordered(later, change)) continue;
      if (conflict(look, change) && !ordered(look, change)) return true;
    }
  }
  return false;
}

bool program_order::acknowledged_early(place one) const {
  if (!early_ || !is_write(at(one).what) || at(one).drain) return false;
  if (buffered_ && !options_.fits(at(one).data.size)) return false;  // model.md, rule 28
  return group_of(test_.processes[one.process], one.at) == nullptr;
}

// A notification takes no turn, so who is notified comes after what follows it, too.
program_order::place program_order::known_with(place earlier) const noexcept {
  if (!takes_turns_) return earlier;
  const auto& process = test_.processes[earlier.process];
  auto next = slot_after(process, earlier.at);
  while (next < process.body.size() && !takes_a_turn(process.body[next].what)) ++next;
  const bool goes_on = next < process.body.size() && process.body[next].what != verb::wait;
  return goes_on ? place{earlier.process, next} : earlier;
}

std::size_t slot_before(const process_declaration& process, std::size_t at) noexcept {
  const auto* const group = group_of(process, at);
  return group != nullptr ? group->first : at;
}
std::size_t slot_after(const process_declaration& process, std::size_t at) noexcept {
  const auto* const group = group_of(process, at);
  return group != nullptr ? std::size_t{group->first} + group->count : at + 1;
}

}  // namespace filemap::litmus
