// Which order a bad schedule lacked, and the smallest changes of the test that make it.
//
// An order is of two statements, by their places in the program: also of what has no operation, as
// a close that is acknowledged early, or what found its handle closed. There are three kinds:
//
// - what was acknowledged early: an operation executed after one that the program orders behind it,
//   or never, as it was lost in a buffer. A flush mends that, before the first statement that needs
//   the write to have executed, or one of each write that may be in flight then;
// - two members of a batch: it becomes a link, or one that goes on behind a failure;
// - two statements that the program does not order: one process notifies and the other waits. If
//   there may be a write in flight then, it may have to be flushed before the notification.
//
// Best first: the change that adds the fewest statements, then the one whose two conflict by the
// same handle, then by the same file, then the weakest order: what comes early in its process need
// wait for less, and what comes late keeps less waiting. An order that is stronger than one that
// mends is none of its own.
//
// A change must not hide the bad state: one that makes a change of a file wait for a look at it
// keeps the look from what it could have seen, and mends nothing. And it must be a program: the
// parser takes it. The order that mends is the one that was missing, so it is found by trying: the
// model judges each change, and the search on real files has the last word.

#include "explanation.hpp"

#include "filemap/litmus/printer.hpp"
#include "filemap/model/model.hpp"

#include "program_order.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace filemap::litmus {

namespace {

using place = program_order::place;

statement statement_of(verb what, std::size_t operand) {
  statement made;
  made.what = what;
  made.operand = static_cast<std::uint8_t>(operand);
  return made;
}

struct insertion {
  std::size_t process;
  std::size_t at;
  statement added;
};

// Each where the test was before the others; those of one place in their order.
void insert_all(test& test, std::vector<insertion> added) {
  std::reverse(added.begin(), added.end());
  std::stable_sort(added.begin(), added.end(),
                   [](const auto& one, const auto& other) { return one.at > other.at; });
  for (const auto& one : added) insert(test, one.process, one.at, one.added);
}

// A step that the schedule took, as a statement of the test.
struct taken_step {
  const step* taken;
  std::size_t index;  // in the schedule's steps
  litmus::place where;
};

// One that is to be tried. It is made when its turn comes: of a large test there are many.
struct possible_change {
  enum class kind { flush, link, hardlink, notify } what = kind::flush;
  const taken_step* earlier = nullptr;
  const taken_step* later = nullptr;
  std::vector<const taken_step*> flushed;  // writes
  bool at_once = false;                    // flushed right behind the write
  std::size_t added = 1;                   // statements
  enum class closeness { direct, same_file, none } shares = closeness::direct;

  bool flushes(const taken_step* write) const {
    return std::find(flushed.begin(), flushed.end(), write) != flushed.end();
  }
  auto rank() const {
    return std::tuple(added, shares, what, earlier->index,
                      -static_cast<std::ptrdiff_t>(later->index));
  }
};

class explainer {
 public:
  explainer(const test& test, const mode& mode, const executed_schedule& schedule,
            const explanation_means& means)
      : test_(test),
        schedule_(schedule),
        means_(means),
        order_(test, mode),
        buffered_(mode.when == acknowledgement::buffered) {
    for (std::size_t i = 0; i < schedule.steps.size(); ++i) {
      const auto& step = schedule.steps[i];
      steps_.push_back({&step, i, {step.process, step.clock[step.process] - 1U}});
    }
  }

  explanation run() {
    find_what_was_acknowledged_early();
    find_what_is_unordered();
    std::stable_sort(changes_.begin(), changes_.end(),
                     [](const auto& one, const auto& other) { return one.rank() < other.rank(); });
    for (const auto& change : changes_) {
      if (found_.mended_by.size() == most_changes) break;
      if (means_.stopped()) {
        found_.complete = false;
        break;
      }
      attempt(change);
    }
    return std::move(found_);
  }

 private:
  using kind = possible_change::kind;
  using closeness = possible_change::closeness;

  std::string name(const taken_step& one) const { return name_of(test_, *one.taken); }
  const statement& statement_at(place one) const {
    return test_.processes[one.process].body[one.at];
  }

  // The first whose order mends is the one that was missing.
  void attempt(const possible_change& change) {
    if (has_been_made(change) || hides(change)) return;
    auto mended = judged(change);
    if (!mended) return;
    if (!found_.needed) found_.needed = order_of(change);
    found_.mended_by.push_back(std::move(*mended));
    made_.push_back(&change);
  }

  // Does one that mends order less?
  bool has_been_made(const possible_change& change) const {
    return std::any_of(made_.begin(), made_.end(), [&](const possible_change* made) {
      const bool flushes = std::all_of(made->flushed.begin(), made->flushed.end(),
                                       [&](const auto* write) { return change.flushes(write); });
      switch (made->what) {
        case kind::flush:
          return flushes;
        case kind::link:
        case kind::hardlink:
          return change.what != kind::notify && change.what != kind::flush &&
                 batch_of(*change.earlier) == batch_of(*made->earlier);
        default:
          return flushes && change.what == kind::notify &&
                 is_or_follows(change.earlier->where, made->earlier->where) &&
                 is_or_follows(made->later->where, change.later->where);
      }
    });
  }
  bool is_or_follows(place one, place other) const {
    return one == other || order_.ordered(other, one);
  }

  bool hides(const possible_change& change) const {
    switch (change.what) {
      case kind::flush:
        return false;  // what waits longer waits for a write
      case kind::link:
      case kind::hardlink:
        return link_hides(change.earlier->where.process, *batch_of(*change.earlier));
      default:
        return order_.hides(change.earlier->where, change.later->where);
    }
  }

  needed_order order_of(const possible_change& change) const {
    const auto* earlier = change.earlier;
    if (change.what == kind::flush) {
      return {earlier->index, change.later->index, true,
              path(*earlier->taken, *change.later->taken), false};
    }
    const auto begun = has_begun(*change.later);
    const auto end = change.flushes(earlier) ? has_executed(*earlier) : has_ended(*earlier);
    if (end <= begun) {  // so it was another write that was overtaken
      earlier =
          *std::find_if(change.flushed.begin(), change.flushed.end(),
                        [&](const taken_step* write) { return has_executed(*write) > begun; });
    }
    const bool queued_is_enough =
        !change.flushes(earlier) && order_.acknowledged_early(earlier->where);
    return {earlier->index, change.later->index, false, {}, queued_is_enough};
  }

  // --- acknowledged early

  void find_what_was_acknowledged_early() {
    std::vector<std::size_t> known;  // the writes
    const auto found = [&](const step& later, const step& earlier, overtaking) {
      // A member of a batch was not promised to have run.
      const auto write = index_of(earlier);
      if (earlier.batched || std::count(known.begin(), known.end(), write) > 0) return;
      known.push_back(write);
      add_flushes(steps_[write], steps_[index_of(later)]);
    };
    each_overtaking(schedule_.steps, conflicts(test_), found);
    if (buffered_) find_what_was_left_in_a_buffer(known);
  }
  // It may be missed by who is not ordered behind it.
  void find_what_was_left_in_a_buffer(const std::vector<std::size_t>& known) {
    for (const auto& write : steps_) {
      const auto& step = *write.taken;
      const bool early = step.never_written() || step.acknowledged_early();
      if (!early || !order_.acknowledged_early(write.where)) continue;
      if (std::count(known.begin(), known.end(), write.index) > 0) continue;
      add_flushes(write, *first_that_missed(write));
    }
  }
  // Who could have seen it, or gave its handle up, or was done before it; else it is itself the
  // last that there is of it.
  const taken_step* first_that_missed(const taken_step& write) const {
    const conflicts conflict(test_);
    const auto handle = named_by(test_, statement_at(write.where).operand);
    const auto missed = std::find_if(steps_.begin(), steps_.end(), [&](const taken_step& later) {
      const bool closes = later.taken->what.what == verb::close &&
                          touches(test_, statement_at(later.where), handle);
      const bool looks =
          conflict(later.taken->what, write.taken->what) && came_before(later, write);
      return (closes || looks) && write.taken->happens_before(*later.taken);
    });
    if (missed != steps_.end()) return &*missed;
    const auto before = std::find_if(steps_.begin(), steps_.end(), [&](const taken_step& later) {
      return write.taken->happens_before(*later.taken) && came_before(later, write);
    });
    return before == steps_.end() ? &write : &*before;
  }
  static bool came_before(const taken_step& one, const taken_step& write) {
    return one.taken->began() && one.taken->io.returned < has_executed(write);
  }
  void add_flushes(const taken_step& write, const taken_step& later) {
    possible_change change;
    change.earlier = &write;
    change.later = &later;
    change.flushed = {&write};
    changes_.push_back(change);
    change.at_once = true;
    changes_.push_back(change);
    if (&later == &write) return;
    change.at_once = false;
    change.flushed = may_be_in_flight_after(later);
    std::erase(change.flushed, &later);
    change.added = change.flushed.size();
    if (change.added > 1) changes_.push_back(std::move(change));
  }

  std::size_t index_of(const step& step) const {
    return static_cast<std::size_t>(&step - schedule_.steps.data());
  }

  // Backwards from `later`: the notification by which its process came to know of `earlier`, and
  // who gave it. (What a wait has learned is in the clocks of the steps after it.)
  std::vector<std::size_t> path(const step& earlier, const step& later) const {
    std::vector<std::size_t> back;
    const step* at = &later;
    while (at->process != earlier.process) {
      const step* notify = nullptr;
      const auto* const wait = find([&](const step& one) {
        if (one.what.what != verb::wait || one.process != at->process) return false;
        if (!one.happens_before(*at)) return false;
        notify = find([&](const step& other) {
          return other.what.what == verb::notify && other.what.operand == one.what.operand &&
                 earlier.happens_before(other) && other.happens_before(*at);
        });
        return notify != nullptr;
      });
      if (wait == nullptr) break;
      back.push_back(index_of(*wait));
      back.push_back(index_of(*notify));
      at = notify;
    }
    std::reverse(back.begin(), back.end());
    return back;
  }
  template <typename Matches>
  const step* find(Matches matches) const {
    const auto found = std::find_if(schedule_.steps.begin(), schedule_.steps.end(), matches);
    return found == schedule_.steps.end() ? nullptr : &*found;
  }

  // Before which statement it is flushed at the latest.
  std::optional<std::size_t> first_that_needs(const taken_step& write) const {
    const auto& process = test_.processes[write.where.process];
    for (auto at = slot_after(process, write.where.at); at < process.body.size(); ++at) {
      if (needs_it_executed(write, {write.where.process, at})) return slot_before(process, at);
    }
    return std::nullopt;
  }

  // Somebody is told of it, or it is closed, synced, renamed or looked at past its handle.
  bool needs_it_executed(const taken_step& write, place later) const {
    const auto& what = statement_at(later);
    switch (what.what) {
      case verb::notify:
      case verb::close:
      case verb::rename:
      case verb::unlink:
      case verb::open:
        return true;
      default:
        break;
    }
    if (is_sync(what.what)) return true;
    return order_.conflict(write.where, later) && !order_.executes_before(write.where, later);
  }

  // --- unordered

  void find_what_is_unordered() {
    for (const auto& earlier : steps_) {
      if (is_of_an_edge(earlier)) continue;
      const auto in_flight = may_be_in_flight_after(earlier);
      for (const auto& later : steps_) {
        if (is_of_an_edge(later) || order_.ordered(earlier.where, later.where) ||
            order_.ordered(later.where, earlier.where)) {
          continue;
        }
        if (earlier.where.process != later.where.process) {
          add_notifications(earlier, later, in_flight);
        } else if (batch_of(earlier) != nullptr && earlier.where.at < later.where.at) {
          add(kind::link, earlier, later, {});
          add(kind::hardlink, earlier, later, {});
        }
      }
    }
  }
  static bool is_of_an_edge(const taken_step& one) {
    return operand_of(one.taken->what.what) == argument::edge;
  }

  void add_notifications(const taken_step& earlier, const taken_step& later,
                         const std::vector<const taken_step*>& in_flight) {
    add(kind::notify, earlier, later, {});
    const bool is_itself = order_.acknowledged_early(earlier.where);
    if (is_itself) add(kind::notify, earlier, later, {&earlier});
    if (in_flight.size() > (is_itself ? 1U : 0U)) add(kind::notify, earlier, later, in_flight);
  }

  // Where `later` came after all that it would wait for, the same schedule is one of the changed
  // program.
  void add(kind what, const taken_step& earlier, const taken_step& later,
           std::vector<const taken_step*> flushed) {
    auto end = has_ended(earlier);
    for (const auto* const write : flushed) end = std::max(end, has_executed(*write));
    if (end <= has_begun(later)) return;
    possible_change change;
    change.what = what;
    change.earlier = &earlier;
    change.later = &later;
    if (what == kind::notify) change.added = 2 + flushed.size();
    change.flushed = std::move(flushed);
    change.shares = shared_by(earlier.where, later.where);
    changes_.push_back(std::move(change));
  }

  // For whoever waits for it. A write that is queued has.
  instant has_ended(const taken_step& one) const {
    const auto& step = *one.taken;
    const bool by_operation = step.io.complete() && !order_.acknowledged_early(one.where);
    return by_operation ? step.io.returned : step.returned;
  }
  // Of a write: what is in a buffer still, or was lost there, never has.
  static instant has_executed(const taken_step& write) {
    return write.taken->never_written() ? instant::max() : write.taken->io.returned;
  }
  // As late as nobody could tell, but where it seeks before.
  instant has_begun(const taken_step& one) const {
    const auto& step = *one.taken;
    if (step.io.complete() && order_.seeks(one.where)) return step.io.started;
    const bool by_operation = step.io.complete() && !order_.begins_visibly(one.where);
    return by_operation ? step.io.returned : step.called;
  }

  // The same handle, or one cancels the other; a close does nothing to who has another handle.
  closeness shared_by(place one, place other) const {
    const auto& a = statement_at(one);
    const auto& b = statement_at(other);
    if (cancels(a, other) || cancels(b, one)) return closeness::direct;
    if (is_look(a.what) && is_look(b.what)) return closeness::none;
    for (std::size_t i = 0; i < test_.handles.size(); ++i) {
      const auto handle = static_cast<std::uint8_t>(i);
      if (touches(test_, a, handle) && touches(test_, b, handle)) return closeness::direct;
    }
    const bool closes = a.what == verb::close || b.what == verb::close;
    return !closes && order_.conflict(one, other) ? closeness::same_file : closeness::none;
  }
  static bool cancels(const statement& what, place target) {
    return what.what == verb::cancel && what.operand == target.process && what.other == target.at;
  }

  // Acknowledged by the end of `last`, of whichever process.
  std::vector<const taken_step*> may_be_in_flight_after(const taken_step& last) const {
    std::vector<const taken_step*> writes;
    for (const auto& one : steps_) {
      if (!order_.acknowledged_early(one.where)) continue;
      const bool is_known =
          one.where == last.where ||
          (order_.ordered(one.where, last.where) && !order_.executes_before(one.where, last.where));
      if (is_known) writes.push_back(&one);
    }
    return writes;
  }

  const group* batch_of(const taken_step& one) const {
    const auto* const group = group_of(test_.processes[one.where.process], one.where.at);
    return group != nullptr && group->kind == group_kind::batch ? group : nullptr;
  }
  bool link_hides(std::size_t process, const group& batch) const {
    const auto& body = test_.processes[process].body;
    for (std::size_t look = batch.first; look < std::size_t{batch.first} + batch.count; ++look) {
      if (!is_look(body[look].what)) continue;
      for (auto change = look + 1; change < std::size_t{batch.first} + batch.count; ++change) {
        if (is_change(body[change].what) && order_.conflict({process, look}, {process, change})) {
          return true;
        }
      }
    }
    return false;
  }

  // --- what comes of a change

  std::optional<mending> judged(const possible_change& change) {
    const auto [changed, description] = made(change);
    auto program = to_source(changed);
    if (!tried_.insert(program).second || refused(changed)) return std::nullopt;
    const auto predicted = means_.model(changed);
    if (!predicted) return not_judged();
    if (predicted->deadlocks || counted(changed, predicted->allowed) > 0) return std::nullopt;
    if (!predicted->complete) return not_judged();
    const auto found = means_.search(changed, predicted);
    if (found.violating > 0 || found.deadlocks > 0) return std::nullopt;
    if (!found.complete) return not_judged();
    return mending{description, std::move(program), found.schedules, found.violating};
  }
  std::nullopt_t not_judged() {
    found_.complete = false;
    return std::nullopt;
  }

  std::pair<test, std::string> made(const possible_change& change) const {
    switch (change.what) {
      case kind::flush:
        return flush(change);
      case kind::link:
        return link(*change.earlier, group_kind::link, "link");
      case kind::hardlink:
        return link(*change.earlier, group_kind::hardlink, "hardlink");
      default:
        return notify(change);
    }
  }

  std::pair<test, std::string> flush(const possible_change& change) const {
    auto changed = test_;
    std::vector<insertion> added;
    std::string words;
    for (const auto* const write : change.flushed) {
      const auto next = change.at_once ? std::nullopt : first_that_needs(*write);
      added.push_back(flush_of(*write, next));
      words += (words.empty() ? "" : ", ") + flushed_where(*write, next);
    }
    insert_all(changed, std::move(added));
    return {std::move(changed), words};
  }
  insertion flush_of(const taken_step& write, std::optional<std::size_t> next) const {
    const auto [process, at] = write.where;
    return {process, next.value_or(slot_after(test_.processes[process], at)),
            statement_of(verb::flush, write.taken->what.operand)};
  }
  std::string flush_words(const taken_step& write) const {
    return to_string(test_, {verb::flush, write.taken->what.operand});
  }
  // "flush(w) before P0's close(w)"
  std::string flushed_where(const taken_step& write, std::optional<std::size_t> next) const {
    const auto place =
        next ? "before " + name_of(test_, write.where.process, *next) : "after " + name(write);
    return flush_words(write) + ' ' + place;
  }

  std::pair<test, std::string> link(const taken_step& member, group_kind kind,
                                    std::string_view word) const {
    const auto* const batch = batch_of(member);
    auto changed = test_;
    auto& process = changed.processes[member.where.process];
    const auto index = batch - test_.processes[member.where.process].groups.data();
    process.groups[static_cast<std::size_t>(index)].kind = kind;
    return {std::move(changed), fmt::format("{} instead of the batch of {}", word,
                                            name_of(test_, member.where.process, batch->first))};
  }

  std::pair<test, std::string> notify(const possible_change& change) const {
    auto changed = test_;
    const auto edge = new_name();
    const auto number = changed.edges.size();
    changed.edges.push_back(edge);
    const auto first = change.earlier->where.process;
    const auto second = change.later->where.process;
    const auto told = slot_after(test_.processes[first], change.earlier->where.at);
    std::vector<insertion> added;
    std::string elsewhere;
    std::string there;
    for (const auto* const write : change.flushed) {
      const auto next = first_that_needs(*write);
      auto& flush = added.emplace_back(flush_of(*write, next));
      if (flush.process == first && flush.at >= told) {
        flush.at = told;
        there += flush_words(*write) + ", ";
      } else {
        elsewhere += flushed_where(*write, next) + ", ";
      }
    }
    added.push_back({first, told, statement_of(verb::notify, number)});
    added.push_back({second, slot_before(test_.processes[second], change.later->where.at),
                     statement_of(verb::wait, number)});
    insert_all(changed, std::move(added));
    return {std::move(changed),
            fmt::format("{0}{1}notify({2}) after {3}, wait({2}) before {4}", elsewhere, there, edge,
                        name(*change.earlier), name(*change.later))};
  }

  // Nothing of the test is called that.
  std::string new_name() const {
    const auto is_taken = [&](const std::string& name) {
      const auto is_it = [&](const auto& one) { return one.name == name; };
      const auto has_it = [&](const auto& list) {
        return std::any_of(list.begin(), list.end(), is_it);
      };
      return std::count(test_.edges.begin(), test_.edges.end(), name) > 0 ||
             std::count(test_.patterns.begin(), test_.patterns.end(), name) > 0 ||
             has_it(test_.files) || has_it(test_.handles) || has_it(test_.processes) ||
             has_it(test_.registers);
    };
    std::string name = "ordered";
    while (is_taken(name)) name += '_';
    return name;
  }

  static constexpr std::size_t most_changes = 5;  // more are no help to anybody

  const test& test_;
  const executed_schedule& schedule_;
  const explanation_means& means_;
  const program_order order_;
  const bool buffered_;
  std::vector<taken_step> steps_;
  std::vector<possible_change> changes_;
  std::vector<const possible_change*> made_;  // those that mend
  std::set<std::string> tried_;               // programs; of the members of a group there is one
  explanation found_;
};

// "second", as there are more of them; else empty.
std::string which_of_its_like(const test& test, std::size_t process, std::size_t at) {
  constexpr std::array<std::string_view, 9> words = {
      "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"};
  const auto& body = test.processes[process].body;
  std::size_t number = 0;
  std::size_t all = 0;
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (body[i].what != body[at].what || body[i].operand != body[at].operand) continue;
    if (i < at) ++number;
    ++all;
  }
  if (all == 1) return "";
  return number < words.size() ? std::string(words[number]) : fmt::format("{}th", number + 1);
}

}  // namespace

std::string name_of(const test& test, std::size_t process, std::size_t at) {
  const auto& what = test.processes[process].body[at];
  const auto which = which_of_its_like(test, process, at);
  return fmt::format("P{}'s {}{}{}", process, which, which.empty() ? "" : " ",
                     to_string(test, instruction{what.what, what.operand}));
}

std::string name_of(const test& test, const step& step) {
  const auto& body = test.processes[step.process].body;
  return name_of(test, step.process, (step.clock[step.process] - 1U) % body.size());
}

explanation explain(const test& test, const mode& mode, const executed_schedule& schedule,
                    const explanation_means& means) {
  return explainer(test, mode, schedule, means).run();
}

}  // namespace filemap::litmus
