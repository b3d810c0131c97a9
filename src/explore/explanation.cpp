// Which order a bad schedule lacked, and the smallest change of the test that makes it.
//
// First what was acknowledged early: an operation executed after one that the program orders behind
// it. Its change is a flush. Then every pair of operations of which one changes what the other
// reads or changes, and that the program does not order: a batch becomes a link, or one process
// notifies and the other waits. The order that mends is the one that was missing, so it is found by
// trying: the model judges each change, as it takes no time, and the search on real files has the
// last word.

#include "explanation.hpp"

#include "filemap/model/model.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace filemap::litmus {

namespace {

// Where a statement can be put so that it is before, or after, that of index `at`: not in a group.
std::size_t before(const process_declaration& process, std::size_t at) {
  for (const auto& group : process.groups) {
    if (at >= group.first && at < group.first + group.count) return group.first;
  }
  return at;
}
std::size_t after(const process_declaration& process, std::size_t at) {
  for (const auto& group : process.groups) {
    if (at >= group.first && at < group.first + group.count) return group.first + group.count;
  }
  return at + 1;
}

statement statement_of(verb what, std::size_t operand) {
  statement made;
  made.what = what;
  made.operand = static_cast<std::uint8_t>(operand);
  return made;
}

// A step that the schedule took, as a statement of the test. (No process is repeated here.)
struct taken_step {
  const step* taken;
  std::size_t index;  // in the schedule's steps
  std::size_t process;
  std::size_t at;  // in the process's body
};

class explainer {
 public:
  explainer(const test& test, const mode& mode, const executed_schedule& schedule,
            const std::function<exploration_result(const litmus::test&)>& search)
      : test_(test), mode_(mode), schedule_(schedule), search_(search) {
    for (std::size_t i = 0; i < schedule.steps.size(); ++i) {
      const auto& step = schedule.steps[i];
      steps_.push_back({&step, i, step.process, step.clock[step.process] - 1U});
    }
  }

  std::optional<explanation> run() {
    auto found = overtaken();
    if (found) {
      found->mended_by = flush(steps_[found->earlier]);
      return found;
    }
    return unordered();
  }

 private:
  std::string name(const taken_step& one) const { return to_string(test_, one.taken->what); }

  std::optional<explanation> overtaken() const {
    std::optional<explanation> found;
    each_overtaking(schedule_.steps, [&](const step& later, const step& earlier, overtaking) {
      if (found || earlier.batched) return;  // a member of a batch was not promised to have run
      found.emplace();
      found->earlier = index_of(earlier);
      found->later = index_of(later);
      found->acknowledged_early = true;
      found->path = path(earlier, later);
    });
    return found;
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

  // --- changes

  std::optional<mending> judged(const test& changed, std::string change) const {
    const auto predicted = model(changed, mode_);
    if (!predicted.complete || predicted.deadlocks) return std::nullopt;
    for (const auto& state : predicted.allowed) {
      if (counts(changed.condition, state)) return std::nullopt;
    }
    const auto found = search_(changed);
    if (!found.complete || found.violating > 0 || found.deadlocks > 0) return std::nullopt;
    return mending{std::move(change), found.schedules, found.violating};
  }

  std::optional<mending> flush(const taken_step& write) const {
    const auto& process = test_.processes[write.process];
    if (process.body.size() == max_statements) return std::nullopt;
    auto at = after(process, write.at);
    while (at < process.body.size() && process.body[at].what != verb::notify) ++at;
    const bool notifies = at < process.body.size();
    if (!notifies) at = after(process, write.at);
    auto changed = test_;
    insert(changed, write.process, at, statement_of(verb::flush, write.taken->what.operand));
    const auto place = notifies
                           ? "before " + to_string(test_, {verb::notify, process.body[at].operand})
                           : "after " + name(write);
    return judged(
        changed,
        fmt::format("{} {}", to_string(test_, {verb::flush, write.taken->what.operand}), place));
  }

  std::optional<explanation> unordered() const {
    std::optional<explanation> first;
    for (const auto& earlier : steps_) {
      for (const auto& later : steps_) {
        if (!may_matter(earlier, later)) continue;
        auto mended = in_one_batch(earlier, later) ? link(earlier) : notify(earlier, later);
        if (!mended && first) continue;
        explanation found;
        found.earlier = earlier.index;
        found.later = later.index;
        found.mended_by = std::move(mended);
        if (found.mended_by) return found;
        first = std::move(found);
      }
    }
    return first;
  }

  // Not ordered, both on files, and `later` was there first.
  bool may_matter(const taken_step& earlier, const taken_step& later) const {
    const auto& a = *earlier.taken;
    const auto& b = *later.taken;
    if (&a == &b || !a.io.complete() || !b.io.complete()) return false;
    if (only_looks(a.what.what) && only_looks(b.what.what)) return false;
    if (a.io.returned < b.io.returned) return false;
    if (in_one_batch(earlier, later)) return earlier.at < later.at;
    return a.process != b.process && !a.happens_before(b) && !b.happens_before(a);
  }

  const group* batch_of(const taken_step& one) const {
    for (const auto& group : test_.processes[one.process].groups) {
      if (group.kind == group_kind::batch && one.at >= group.first &&
          one.at < group.first + group.count) {
        return &group;
      }
    }
    return nullptr;
  }
  bool in_one_batch(const taken_step& a, const taken_step& b) const {
    return a.process == b.process && batch_of(a) != nullptr && batch_of(a) == batch_of(b);
  }

  std::optional<mending> link(const taken_step& member) const {
    auto changed = test_;
    const auto* const batch = batch_of(member);
    auto& process = changed.processes[member.process];
    const auto index = batch - test_.processes[member.process].groups.data();
    process.groups[static_cast<std::size_t>(index)].kind = group_kind::link;
    return judged(changed, "link instead of batch");
  }

  std::optional<mending> notify(const taken_step& earlier, const taken_step& later) const {
    auto changed = test_;
    if (changed.edges.size() == max_edges ||
        changed.processes[earlier.process].body.size() == max_statements ||
        changed.processes[later.process].body.size() == max_statements) {
      return std::nullopt;
    }
    std::string edge = "ordered";
    while (std::find(changed.edges.begin(), changed.edges.end(), edge) != changed.edges.end()) {
      edge += '_';
    }
    const auto number = changed.edges.size();
    changed.edges.push_back(edge);
    insert(changed, earlier.process, after(changed.processes[earlier.process], earlier.at),
           statement_of(verb::notify, number));
    insert(changed, later.process, before(changed.processes[later.process], later.at),
           statement_of(verb::wait, number));
    return judged(changed, fmt::format("notify({0}) after {1}, wait({0}) before {2}", edge,
                                       name(earlier), name(later)));
  }

  const test& test_;
  const mode& mode_;
  const executed_schedule& schedule_;
  const std::function<exploration_result(const litmus::test&)>& search_;
  std::vector<taken_step> steps_;
};

}  // namespace

std::optional<explanation> explain(
    const test& test, const mode& mode, const executed_schedule& schedule,
    const std::function<exploration_result(const litmus::test&)>& search) {
  return explainer(test, mode, schedule, search).run();
}

}  // namespace filemap::litmus
