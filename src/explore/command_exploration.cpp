#include "command_exploration.hpp"

#include "delaying.hpp"
#include "depth_first.hpp"
#include "fixed_schedule.hpp"
#include "ordering.hpp"
#include "probabilistic.hpp"

#include <algorithm>
#include <utility>

namespace filemap {

namespace {

using pass = search_pass::kind;

class explorer {
 public:
  explorer(command_subject& subject, const command_exploration_options& options)
      : subject_(subject), options_(options) {
    how_.interrupt = unhurried_.interrupt = options.interrupt;
    how_.deadline = options.deadline;
  }

  command_exploration run() {
    const auto begin = clock::now();
    subject_.learn();
    found_.noticed = subject_.noticed();
    try {
      make_passes();
      took_ = (clock::now() - begin) /
              std::max<std::int64_t>(1, static_cast<std::int64_t>(found_.runs));
      explain();
    } catch (...) {
      found_.failed = std::current_exception();
    }
    found_.files = subject_.contended_files();
    found_.not_held = subject_.files_not_held();
    // What went on while a choice was made was in no order; what fails by chance has more ends than
    // were seen.
    const bool can_tell =
        found_.not_held.empty() && found_.noticed.forced == 0 && !found_.unconfirmed;
    found_.complete = found_.complete && can_tell;
    found_.complete_of_each_file = found_.complete_of_each_file && can_tell;
    found_.interrupted = is_interrupted(how_);
    found_.out_of_time = is_out_of_time(how_);
    found_.spent = clock::now() - begin;
    return std::move(found_);
  }

 private:
  void make_passes() {
    if (options_.samples > 0) {
      draw(options_.samples);
      return;
    }
    run_as_it_is();
    delay_each();
    if (is_enough()) return;
    every_order();
    if (is_enough() || found_.complete_of_each_file) return;
    delay_two();
    if (!is_enough()) draw(left());
  }

  bool is_enough() const {
    // Which order decides is known only beside a run that ends well. Where there is none, no order
    // does.
    constexpr std::uint64_t many = 50;
    const bool has_both = found_.by_order && (found_.ended_well || found_.runs >= many);
    return has_both || is_interrupted(how_) || is_out_of_time(how_) || left() == 0;
  }
  std::uint64_t left() const {
    return options_.limit > found_.runs ? options_.limit - found_.runs : 0;
  }

  search_pass& begin_pass(pass what) {
    found_.passes.push_back({what, 0, 0, false});
    return found_.passes.back();
  }

  // One run, of which `by` has agreed to the beginning. Nothing: it was given up, or stopped, or
  // goes on to diverge.
  std::optional<executed_run> one(chooser& by, search_pass& of) {
    constexpr unsigned tries = 5;
    for (unsigned i = 0; i < tries && left() > 0; ++i) {
      try {
        if (i > 0) by.begin();
        auto done = execute(subject_, by, how_);
        if (done.stopped) return std::nullopt;
        by.ended();
        ++found_.runs;
        ++of.runs;
        if (!done.end) return std::nullopt;
        account(done, of);
        if (options_.after_each_run) options_.after_each_run(found_);
        return done;
      } catch (const diverged&) {
        ++found_.diverged;
      }
    }
    return std::nullopt;
  }

  void account(const executed_run& done, search_pass& of) {
    const auto& noticed = subject_.noticed();
    found_.noticed.forced += noticed.forced;
    found_.noticed.outwaited += noticed.outwaited;
    found_.noticed.rings = std::max(found_.noticed.rings, noticed.rings);
    found_.noticed.shared_maps = std::max(found_.noticed.shared_maps, noticed.shared_maps);
    count(found_.states, subject_.state(done.end->state));
    if (!done.end->bad) {
      found_.ended_well = true;
      if (good_.empty()) good_.assign(subject_.executed().begin(), subject_.executed().end());
      return;
    }
    ++of.bad;
    if (of.what == pass::as_it_is) found_.fails_as_it_is = true;
    keep(done);
  }

  // Of the last run. What does not fail again in the same order is no reason to end the search: a
  // program may fail by a die that it throws.
  void keep(const executed_run& done) {
    constexpr unsigned again = 2;
    auto finding = finding_of(subject_, done.schedule, *done.end);
    auto& kept = takes_time(finding.calls) ? found_.by_time : found_.by_order;
    if (kept) return;
    if (fails_each_time(finding, again)) {
      kept = std::move(finding);
    } else if (!found_.unconfirmed) {
      found_.unconfirmed = std::move(finding);
    }
  }
  static bool takes_time(std::span<const executed_call> calls) {
    return std::any_of(calls.begin(), calls.end(),
                       [](const executed_call& call) { return call.is_time; });
  }

  void run_as_it_is() {
    auto& of = begin_pass(pass::as_it_is);
    fixed_schedule order{witness{}};
    order.begin();
    if (one(order, of)) {
      of.finished = true;
      as_it_is_.assign(subject_.executed().begin(), subject_.executed().end());
    }
  }

  // The samples have their share early: what takes two changes of the order no single delay finds.
  void delay_each() {
    constexpr std::uint64_t a_sample_after = 3;  // delays
    begin_pass(pass::one_delay);
    begin_pass(pass::samples);
    const auto delays = found_.passes.size() - 2;
    probabilistic drawn(options_.seed, options_.depth);
    std::uint64_t count = 0;
    for (const auto& call : as_it_is_) {
      if (is_enough()) return;
      if (call.is_time || call.alone) continue;  // then it waits for nothing
      delaying order({call.name});
      order.begin();
      one(order, found_.passes[delays]);
      if (++count % a_sample_after != 0 || is_enough()) continue;
      drawn.begin();
      one(drawn, found_.passes[delays + 1]);
    }
    found_.passes[delays].finished = true;
  }

  // Of what touches one file first: that is few orders, and most of what can go wrong.
  void every_order() {
    using commuting = depth_first::commuting;
    depth_first of_each_file(commuting::by_footprint);
    found_.complete_of_each_file = every_order(of_each_file, pass::every_order_of_each_file);
    if (!found_.complete_of_each_file) return;
    if (!of_each_file.has_left_out()) {
      found_.passes.back().what = pass::every_order;
      found_.complete = true;
      return;
    }
    depth_first order(commuting::nothing);
    found_.complete = every_order(order, pass::every_order);
  }

  // True: it was finished, and no run diverged.
  bool every_order(depth_first& order, pass what) {
    const auto most = left() / 2;
    auto& of = begin_pass(what);
    const auto in_no_order = [&] { return found_.diverged + found_.noticed.outwaited; };
    const auto before_all = in_no_order();
    while (of.runs < most && !is_enough()) {
      if (!order.begin()) {
        of.finished = true;
        return in_no_order() == before_all;
      }
      const auto before = of.runs;
      one(order, of);
      if (of.runs == before) break;  // it was stopped, or goes on to diverge
    }
    return false;
  }

  void delay_two() {
    auto& of = begin_pass(pass::two_delays);
    for (std::size_t i = 0; i < as_it_is_.size(); ++i) {
      for (std::size_t j = i + 1; j < as_it_is_.size(); ++j) {
        if (is_enough()) return;
        if (as_it_is_[i].is_time || as_it_is_[j].is_time) continue;
        if (as_it_is_[i].alone && as_it_is_[j].alone) continue;
        delaying order({as_it_is_[i].name, as_it_is_[j].name});
        order.begin();
        one(order, of);
      }
    }
    of.finished = true;
  }

  void draw(std::uint64_t count) {
    auto& of = begin_pass(pass::samples);
    probabilistic order(options_.seed + 1, options_.depth);
    for (; count > 0 && !is_enough(); --count) {
      order.begin();
      one(order, of);
    }
    of.finished = count == 0;
  }

  // --- what was found

  // For half a minute from now on, or for as long as some runs take where the machine is busy.
  void look() {
    constexpr nanoseconds at_least = std::chrono::seconds(30);
    constexpr int runs = 100;
    looking_ = unhurried_;
    looking_.deadline = clock::now() + std::max(at_least, runs * took_);
  }

  // What was found stays where it is until there is something better: this may fail.
  void explain() {
    look();
    for (auto* const kept : {&found_.by_order, &found_.by_time}) {
      if (!*kept) continue;
      auto as_found = **kept;
      if (auto settled = settle(as_found)) return explain(std::move(*settled));
      if (!found_.unconfirmed) found_.unconfirmed = std::move(as_found);
      kept->reset();
    }
    if (found_.unconfirmed) fails_each_time(*found_.unconfirmed, options_.confirmations);
  }

  void explain(command_finding settled) {
    const bool by_time = takes_time(settled.calls);
    found_.unconfirmed.reset();
    found_.by_order.reset();
    found_.by_time.reset();
    if (by_time) {
      find_time(found_.by_time.emplace(std::move(settled)));
    } else {
      find_pair(found_.by_order.emplace(std::move(settled)));
    }
  }

  // With few detours, or else as it was found. Nothing: neither fails each time.
  std::optional<command_finding> settle(command_finding& as_found) {
    auto smaller = smaller_than(as_found);
    if (smaller && fails_each_time(*smaller, options_.confirmations)) return smaller;
    if (fails_each_time(as_found, options_.confirmations)) return as_found;
    return std::nullopt;
  }

  // It may even be found to need no time.
  std::optional<command_finding> smaller_than(const command_finding& finding) {
    executed_run bad;
    bad.schedule = finding.schedule;
    fixed_schedule order(smallest(subject_, std::move(bad), looking_).schedule);
    order.begin();
    const auto done = execute(subject_, order, unhurried_);
    if (!done.end || !done.end->bad) return std::nullopt;
    return finding_of(subject_, done.schedule, *done.end);
  }

  bool fails_each_time(command_finding& finding, unsigned times) {
    fixed_schedule order(finding.schedule);
    finding.confirmed = repeat(order, times, takes_time(finding.calls));
    return finding.confirmed.bad == finding.confirmed.runs;
  }

  // What is by an order is not confirmed by a run in which a time-out ran out.
  confirmation repeat(chooser& by, unsigned times, bool by_time) {
    confirmation counted;
    while (counted.runs < times && !is_interrupted(unhurried_)) {
      by.begin();
      const auto done = execute(subject_, by, unhurried_);
      if (done.stopped) break;
      ++counted.runs;
      if (done.end && done.end->bad && (by_time || !done.end->outwaited)) ++counted.bad;
    }
    return counted;
  }

  // Nothing: it could not be had, or it stopped.
  std::optional<bool> is_bad(const candidate& earlier, const candidate& later) {
    ordering order(earlier, later);
    order.begin();
    const auto done = execute(subject_, order, looking_);
    if (!done.end || done.end->outwaited || !order.held_to()) return std::nullopt;
    return done.end->bad;
  }

  // All of one kind, in runs that had this order; or nothing.
  std::optional<confirmation> always(const candidate& earlier, const candidate& later, bool bad) {
    confirmation counted;
    ordering order(earlier, later);
    while (counted.runs < options_.confirmations && !is_interrupted(unhurried_)) {
      order.begin();
      const auto done = execute(subject_, order, unhurried_);
      if (done.stopped) break;
      const bool is_so = done.end && !done.end->outwaited && order.held_to();
      if (!is_so || done.end->bad != bad) return std::nullopt;
      ++counted.runs;
      if (bad) ++counted.bad;
    }
    return counted;
  }

  // The weakest: an order is the stronger, the later the call is that the other waits for.
  void find_pair(command_finding& finding) {
    look();
    const auto& calls = finding.calls;
    for (std::size_t i = 0; i < calls.size(); ++i) {
      for (std::size_t j = i + 1; j < calls.size(); ++j) {
        if (is_interrupted(looking_) || is_out_of_time(looking_)) return;
        if (!calls[i].touched.depends_on(calls[j].touched)) continue;
        if (!is_the_other_way_in_a_good_run(calls[i].name, calls[j].name)) continue;
        if (is_bad(calls[i].name, calls[j].name) != true) continue;
        if (is_bad(calls[j].name, calls[i].name) != false) continue;
        const auto told =
            is_by_one_thread(calls[i], calls[j]) ? of_the_other(calls, i, j) : std::optional(j);
        if (!told) continue;
        const auto in_this_order = always(calls[i].name, calls[j].name, true);
        const auto in_the_other = always(calls[j].name, calls[i].name, false);
        if (!in_this_order || !in_the_other) continue;
        finding.pair = {i, *told, *in_this_order, *in_the_other};
        return;
      }
    }
  }
  static bool is_by_one_thread(const executed_call& one, const executed_call& other) {
    return one.thread_number == other.thread_number;
  }
  // Where threads do the same, `later` is the first of its like: here it is of the thread that has
  // done `earlier`, in the other order of another. That one's call is told. (The other order was
  // the last run.)
  std::optional<std::size_t> of_the_other(const std::vector<executed_call>& calls,
                                          std::size_t earlier, std::size_t later) const {
    const auto others = subject_.executed();
    const auto first = std::find_if(others.begin(), others.end(), [&](const executed_call& call) {
      return call.name == calls[later].name;
    });
    for (auto i = earlier + 1; first != others.end() && i < calls.size(); ++i) {
      const bool is_it = calls[i].name.stream == calls[later].name.stream &&
                         is_by_one_thread(calls[i], *first) &&
                         !is_by_one_thread(calls[i], calls[earlier]);
      if (is_it) return i;
    }
    return std::nullopt;
  }
  bool is_the_other_way_in_a_good_run(const candidate& first, const candidate& second) const {
    const auto at = [&](const candidate& name) {
      return std::find_if(good_.begin(), good_.end(),
                          [&](const executed_call& call) { return call.name == name; });
    };
    return at(first) != good_.end() && at(second) < at(first);
  }

  // How long an operation must take at the least. Between what is enough and what is not there are
  // no more than a tenth, or a millisecond.
  void find_time(command_finding& finding) {
    using std::chrono::milliseconds;
    const auto& choices = finding.schedule.choices;
    if (std::count(choices.begin(), choices.end(), witness::time_passes) == 0) return;
    auto enough = subject_.patience();
    nanoseconds too_little{0};
    while (enough - too_little > std::max<nanoseconds>(enough / 10, milliseconds(1))) {
      if (is_interrupted(unhurried_)) break;
      const auto middle = (enough + too_little) / 2;
      subject_.wait_at_most(middle);
      fixed_schedule order(finding.schedule);
      order.begin();
      const auto done = execute(subject_, order, unhurried_);
      (done.end && done.end->bad ? enough : too_little) = middle;
    }
    finding.takes = enough;
    subject_.wait_at_most(subject_.patience());
  }

  command_subject& subject_;
  const command_exploration_options& options_;
  search_options how_;
  search_options unhurried_;  // what was found is repeated after the deadline too
  search_options looking_;    // for a smaller one, or for two that decide
  nanoseconds took_{0};       // a run, on average
  std::vector<executed_call> as_it_is_;
  std::vector<executed_call> good_;
  command_exploration found_;
};

}  // namespace

std::string_view to_string(search_pass::kind what) noexcept {
  switch (what) {
    case pass::as_it_is:
      return "as it is";
    case pass::one_delay:
      return "each operation delayed";
    case pass::samples:
      return "samples";
    case pass::every_order_of_each_file:
      return "every order of what touches one file";
    case pass::every_order:
      return "every order";
    default:
      return "two operations delayed";
  }
}

command_finding finding_of(const command_subject& subject, const witness& schedule,
                           const ending& end) {
  command_finding finding;
  finding.schedule = schedule;
  finding.state = subject.state(end.state);
  finding.calls.assign(subject.executed().begin(), subject.executed().end());
  finding.output = subject.last_end().output;
  return finding;
}

std::uint64_t command_exploration::bad() const noexcept {
  std::uint64_t count = 0;
  for (const auto& [state, runs] : states) count += state.bad ? runs : 0;
  return count;
}

command_exploration explore(command_subject& subject, const command_exploration_options& options) {
  return explorer(subject, options).run();
}

}  // namespace filemap
