#include "search.hpp"

#include "depth_first.hpp"
#include "fixed_schedule.hpp"
#include "probabilistic.hpp"

#include <utility>
#include <vector>

namespace filemap {

namespace {

void keep_better(std::optional<executed_run>& best, const executed_run& found) {
  if (!best || is_better(found.schedule, best->schedule)) best = found;
}

class searching {
 public:
  searching(subject& what, const search_options& options) : what_(what), options_(options) {}

  search_result run() {
    const auto begin = clock::now();
    if (options_.samples > 0) {
      sample(options_.samples);
    } else if (!every_schedule()) {
      sample(options_.limit);
    }
    result_.spent = clock::now() - begin;
    return std::move(result_);
  }

 private:
  bool stopped() {
    result_.interrupted = result_.interrupted || is_interrupted(options_);
    result_.out_of_time = result_.out_of_time || is_out_of_time(options_);
    return result_.interrupted || result_.out_of_time;
  }

  // False: there are more schedules than the limit.
  bool every_schedule() {
    depth_first order;
    while (!stopped()) {
      if (!order.begin()) {
        result_.complete = true;
        return true;
      }
      if (result_.schedules == options_.limit) return false;
      if (!one(order)) return true;
    }
    return true;
  }

  void sample(std::uint64_t count) {
    probabilistic order(options_.seed, options_.depth);
    for (; count > 0 && !stopped(); --count) {
      order.begin();
      if (!one(order)) return;
      ++result_.sampled;
    }
  }

  // False: nothing more comes of it.
  bool one(chooser& by) {
    constexpr unsigned tries = 5;
    for (unsigned i = 0; i < tries; ++i) {
      try {
        const auto done = execute(what_, by, options_);
        if (done.stopped) return !stopped();
        account(done);
        by.ended();
        return true;
      } catch (const diverged&) {
        ++result_.diverged;
        by.begin();
      } catch (...) {
        result_.failed = std::current_exception();
        return false;
      }
    }
    return false;
  }

  void account(const executed_run& done) {
    if (!done.end) {
      ++result_.cut;
      return;
    }
    ++result_.schedules;
    if (done.end->deadlock) {
      ++result_.deadlocks;
      keep_better(result_.to_deadlock, done);
      return;
    }
    ++result_.states[done.end->state];
    if (!done.end->bad) return;
    ++result_.bad;
    keep_better(result_.to_bad, done);
  }

  subject& what_;
  const search_options& options_;
  search_result result_;
};

}  // namespace

bool is_interrupted(const search_options& options) noexcept {
  return options.interrupt != nullptr && options.interrupt->load();
}
bool is_out_of_time(const search_options& options) {
  return options.deadline && clock::now() >= *options.deadline;
}

namespace {

executed_run execute_once(subject& what, chooser& by, const search_options& options) {
  executed_run done;
  std::vector<std::uint16_t> choices;
  what.begin();
  while (!what.held().empty()) {
    const auto held = what.held();
    if (is_interrupted(options) || is_out_of_time(options)) {
      done.stopped = true;
      return done;
    }
    const auto choice = by.choose(held);
    if (choice == chooser::give_up) return done;
    const bool is_time = held[choice].is_time();
    if (held.size() > 1) {
      choices.push_back(is_time ? witness::time_passes : static_cast<std::uint16_t>(choice));
    }
    by.executed(what.execute(choice));
  }
  if (is_interrupted(options)) {  // it may be over for that alone
    done.stopped = true;
    return done;
  }
  done.end = what.end();
  done.schedule = to_witness(std::move(choices));
  return done;
}

}  // namespace

executed_run execute(subject& what, chooser& by, const search_options& options) {
  constexpr unsigned tries = 3;  // or the time-out is so short that it always runs out
  for (unsigned i = 1;; ++i) {
    auto done = execute_once(what, by, options);
    if (!done.end || !done.end->outwaited || i == tries) return done;
    by.begin();
  }
}

search_result search(subject& what, const search_options& options) {
  return searching(what, options).run();
}

executed_run smallest(subject& what, executed_run bad, const search_options& options) {
  for (std::size_t i = bad.schedule.choices.size(); i-- > 0;) {
    if (i >= bad.schedule.choices.size() || bad.schedule.choices[i] == 0) continue;
    auto tried = bad.schedule;
    if (tried.choices[i] == witness::time_passes) {
      tried.choices.erase(tried.choices.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      tried.choices[i] = 0;
    }
    fixed_schedule order(to_witness(std::move(tried.choices)));
    order.begin();
    auto done = execute(what, order, options);
    if (done.stopped) return bad;
    if (done.end && done.end->bad && is_better(done.schedule, bad.schedule)) bad = std::move(done);
  }
  return bad;
}

}  // namespace filemap
