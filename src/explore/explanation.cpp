// Which order a bad schedule lacked, and the smallest changes of the test that make it.
//
// First what was acknowledged early: an operation executed after one that the program orders behind
// it. Its change is a flush, before the first statement that needs the write to have executed. Then
// every pair of operations of which one changes what the other reads or changes, and that the
// program does not order: a batch becomes a link, or one process notifies and the other waits.
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
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace filemap::litmus {

namespace {

using place = program_order::place;

// Where a statement can be put so that it is before, or after, that of index `at`: not in a group.
std::size_t before(const process_declaration& process, std::size_t at) {
  const auto* const group = group_of(process, at);
  return group != nullptr ? group->first : at;
}
std::size_t after(const process_declaration& process, std::size_t at) {
  const auto* const group = group_of(process, at);
  return group != nullptr ? std::size_t{group->first} + group->count : at + 1;
}

statement statement_of(verb what, std::size_t operand) {
  statement made;
  made.what = what;
  made.operand = static_cast<std::uint8_t>(operand);
  return made;
}

bool is_sync(verb verb) noexcept {
  return verb == verb::fsync || verb == verb::fdatasync || verb == verb::sync_range;
}

// A step that the schedule took, as a statement of the test.
struct taken_step {
  const step* taken;
  std::size_t index;  // in the schedule's steps
  litmus::place where;
};

class explainer {
 public:
  explainer(const test& test, const mode& mode, const executed_schedule& schedule,
            const explanation_means& means)
      : test_(test), schedule_(schedule), means_(means), order_(test, mode) {
    for (std::size_t i = 0; i < schedule.steps.size(); ++i) {
      const auto& step = schedule.steps[i];
      steps_.push_back({&step, i, {step.process, step.clock[step.process] - 1U}});
    }
  }

  explanation run() {
    mend_what_was_acknowledged_early();
    mend_what_is_unordered();
    return std::move(found_);
  }

 private:
  std::string name(const taken_step& one) const { return name_of(test_, *one.taken); }

  bool goes_on() {
    const bool enough = found_.mended_by.size() == most_changes;
    if (!enough && means_.stopped()) found_.complete = false;
    return !enough && found_.complete;
  }

  // The first pair whose order mends is the one that was missing.
  void note(const needed_order& pair, std::optional<mending> mended) {
    if (!mended) return;
    if (!found_.needed) found_.needed = pair;
    const bool known =
        std::any_of(found_.mended_by.begin(), found_.mended_by.end(),
                    [&](const mending& one) { return one.program == mended->program; });
    if (!known) found_.mended_by.push_back(std::move(*mended));
  }

  // --- acknowledged early

  void mend_what_was_acknowledged_early() {
    std::vector<std::size_t> tried;  // the writes
    each_overtaking(
        schedule_.steps, conflicts(test_), [&](const step& later, const step& earlier, overtaking) {
          // A member of a batch was not promised to have run.
          const auto write = index_of(earlier);
          if (earlier.batched || std::count(tried.begin(), tried.end(), write) > 0) return;
          tried.push_back(write);
          if (!goes_on()) return;
          note({write, index_of(later), true, path(earlier, later)}, flush(steps_[write]));
        });
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

  std::optional<mending> flush(const taken_step& write) const {
    const auto& process = test_.processes[write.where.process];
    const auto handle = write.taken->what.operand;
    auto at = after(process, write.where.at);
    while (at < process.body.size() && !needs_it_executed(write, {write.where.process, at})) ++at;
    const bool is_needed = at < process.body.size();
    at = is_needed ? before(process, at) : after(process, write.where.at);
    auto changed = test_;
    insert(changed, write.where.process, at, statement_of(verb::flush, handle));
    const auto place = is_needed ? fmt::format("before {}", name_of(test_, write.where.process, at))
                                 : fmt::format("after {}", name(write));
    return judged(changed, fmt::format("{} {}", to_string(test_, {verb::flush, handle}), place));
  }

  // Somebody is told of it, or it is closed, synced, renamed or looked at past its handle.
  bool needs_it_executed(const taken_step& write, place later) const {
    const auto& what = test_.processes[later.process].body[later.at];
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

  void mend_what_is_unordered() {
    for (const auto& earlier : steps_) {
      for (const auto& later : steps_) {
        if (!may_matter(earlier, later)) continue;
        if (!goes_on()) return;
        note({earlier.index, later.index, false, {}},
             in_one_batch(earlier, later) ? link(earlier) : notify(earlier, later));
      }
    }
  }

  // Not ordered, both on files, and `later` was there first.
  bool may_matter(const taken_step& earlier, const taken_step& later) const {
    const auto& a = *earlier.taken;
    const auto& b = *later.taken;
    if (&a == &b || !a.io.complete() || !b.io.complete()) return false;
    if (is_look(a.what.what) || order_.hides(earlier.where, later.where)) return false;
    if (a.io.returned < b.io.returned) return false;
    if (in_one_batch(earlier, later)) return earlier.where.at < later.where.at;
    return a.process != b.process && !a.happens_before(b) && !b.happens_before(a);
  }

  const group* batch_of(const taken_step& one) const {
    const auto* const group = group_of(test_.processes[one.where.process], one.where.at);
    return group != nullptr && group->kind == group_kind::batch ? group : nullptr;
  }
  bool in_one_batch(const taken_step& a, const taken_step& b) const {
    return a.where.process == b.where.process && batch_of(a) != nullptr &&
           batch_of(a) == batch_of(b);
  }

  std::optional<mending> link(const taken_step& member) const {
    const auto* const batch = batch_of(member);
    if (link_hides(member.where.process, *batch)) return std::nullopt;
    auto changed = test_;
    auto& process = changed.processes[member.where.process];
    const auto index = batch - test_.processes[member.where.process].groups.data();
    process.groups[static_cast<std::size_t>(index)].kind = group_kind::link;
    return judged(changed, fmt::format("link instead of the batch of {}",
                                       name_of(test_, member.where.process, batch->first)));
  }
  bool link_hides(std::size_t process, const group& batch) const {
    const auto& body = test_.processes[process].body;
    for (std::size_t look = batch.first; look < std::size_t{batch.first} + batch.count; ++look) {
      if (!is_look(body[look].what)) continue;
      for (auto change = look + 1; change < std::size_t{batch.first} + batch.count; ++change) {
        if (!is_look(body[change].what) && order_.conflict({process, look}, {process, change})) {
          return true;
        }
      }
    }
    return false;
  }

  std::optional<mending> notify(const taken_step& earlier, const taken_step& later) const {
    auto changed = test_;
    std::string edge = "ordered";
    while (std::find(changed.edges.begin(), changed.edges.end(), edge) != changed.edges.end()) {
      edge += '_';
    }
    const auto number = changed.edges.size();
    changed.edges.push_back(edge);
    const auto& first = earlier.where;
    const auto& second = later.where;
    insert(changed, first.process, after(changed.processes[first.process], first.at),
           statement_of(verb::notify, number));
    insert(changed, second.process, before(changed.processes[second.process], second.at),
           statement_of(verb::wait, number));
    return judged(changed, fmt::format("notify({0}) after {1}, wait({0}) before {2}", edge,
                                       name(earlier), name(later)));
  }

  // --- what comes of a change

  std::optional<mending> judged(const test& changed, std::string change) const {
    if (refused(changed)) return std::nullopt;
    const auto predicted = means_.model(changed);
    if (!predicted || !predicted->complete || predicted->deadlocks) return std::nullopt;
    if (counted(changed, predicted->allowed) > 0) return std::nullopt;
    const auto found = means_.search(changed, predicted);
    if (!found.complete || found.violating > 0 || found.deadlocks > 0) return std::nullopt;
    return mending{std::move(change), to_source(changed), found.schedules, found.violating};
  }

  static constexpr std::size_t most_changes = 5;  // more are no help to anybody

  const test& test_;
  const executed_schedule& schedule_;
  const explanation_means& means_;
  const program_order order_;
  std::vector<taken_step> steps_;
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
