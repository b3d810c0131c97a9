// Every schedule of a test, or as many of them as one wants to wait for.
//
// The search keeps no states: it executes a schedule from fresh files to its end, goes back to the
// last choice that can be made differently, and executes that one from fresh files.
//
//     points_   1 ── 2 ── 1 ── 1        the choices of this schedule, and at each what was tried
//                    └─ asleep_         what need not execute next, here
//
// Of schedules that are the same but for the order of neighbours that commute (schedule_runner.cpp
// says which do) one is executed: when all schedules that go on with t have been, then in those
// that go on with u instead t is asleep until something executes that t does not commute with
// (sleep sets). A schedule in which all that could execute is asleep is cut.
//
// Where there are more schedules than one can wait for they are drawn by probabilistic concurrency
// testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010): each stream of operations has
// a random priority, the first in priority executes, and at d - 1 random points the one that would
// execute falls behind all others. A bad state that takes d ordering constraints is found with a
// probability of at least 1 / (n k^(d-1)) by each sample, of n streams and k choices. A stream here
// is a handle, as each process, and what a write-behind file does in the back, has its own; of
// equals one is drawn.

#include "filemap/explore/exploration.hpp"

#include "explanation.hpp"
#include "subject/schedule_runner.hpp"

#include <algorithm>
#include <charconv>
#include <random>
#include <stdexcept>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace filemap::litmus {

// --- witnesses

std::size_t witness::detours() const noexcept {
  return choices.size() - static_cast<std::size_t>(std::count(choices.begin(), choices.end(), 0));
}

std::string to_string(const witness& witness) {
  if (witness.choices.empty()) return "1";
  std::string text;
  for (const auto choice : witness.choices) {
    text += fmt::format("{}{}", text.empty() ? "" : ".", choice + 1);
  }
  return text;
}

witness parse_witness(std::string_view text) {
  constexpr std::size_t longest = 10'000;
  std::vector<std::uint16_t> choices;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    std::uint16_t choice = 0;
    const auto [stop, error] = std::from_chars(at, end, choice);
    if (error != std::errc{} || choice == 0 || choices.size() == longest) {
      throw std::invalid_argument(
          "a witness is choices from 1 with dots between them, as in 2.1.3");
    }
    choices.push_back(static_cast<std::uint16_t>(choice - 1));
    if (stop == end) break;
    at = *stop == '.' ? stop + 1 : end;  // at the end there is no number, which is refused
  }
  return to_witness(std::move(choices));
}

namespace {

// --- who decides

// What is written in a witness; beyond it the oldest.
class fixed_schedule final : public scheduler {
 public:
  explicit fixed_schedule(witness witness) : witness_(std::move(witness)) {}

  void begin() override { at_ = 0; }
  std::size_t choose(std::span<io_op* const> held) override {
    if (held.size() == 1) return 0;
    const std::size_t choice = at_ < witness_.choices.size() ? witness_.choices[at_] : 0;
    ++at_;
    if (choice < held.size()) return choice;
    if (misfit_.empty()) {
      misfit_ = fmt::format("its choice {} is {}, but only {} operations can execute there", at_,
                            choice + 1, held.size());
    }
    return 0;
  }

  /// Why it is no schedule of the test; else empty.
  std::string misfit() const {
    if (!misfit_.empty() || at_ >= witness_.choices.size()) return misfit_;
    return fmt::format("it has {} choices, but there are only {} to make", witness_.choices.size(),
                       at_);
  }

 private:
  const witness witness_;
  std::size_t at_ = 0;
  std::string misfit_;
};

class depth_first final : public scheduler {
 public:
  void begin() override {
    at_ = 0;
    asleep_.clear();
    alone_ = false;
  }

  std::size_t choose(std::span<io_op* const> held) override {
    alone_ = held.size() == 1;
    if (alone_) return is_asleep(*held[0]) ? give_up : 0;
    if (at_ == points_.size() && !add_point(held)) return give_up;
    auto& point = points_[at_++];
    for (std::size_t i = 0; i < point.options.size(); ++i) {
      const auto& option = point.options[i];
      if (option.was == option::tried) asleep_.push_back({held[i], option.touched});
    }
    return point.chosen;
  }

  void executed(const footprint& touched) override {
    if (!alone_) {
      auto& point = points_[at_ - 1];
      point.options[point.chosen].touched = touched;
    }
    std::erase_if(asleep_, [&](const sleeper& one) { return one.touched.depends_on(touched); });
  }

  /// Goes on to the next schedule. False: there is none.
  bool advance() {
    while (!points_.empty()) {
      auto& point = points_.back();
      point.options[point.chosen].was = option::tried;
      if (choose_untried(point)) return true;
      spare_.push_back(std::move(point.options));
      points_.pop_back();
    }
    return false;
  }

 private:
  struct option {
    enum { untried, tried, asleep } was = untried;
    footprint touched;  // of one that was tried
  };
  struct point {
    std::vector<option> options;
    std::size_t chosen = 0;
  };
  struct sleeper {
    const io_op* op;
    footprint touched;
  };

  bool is_asleep(const io_op& op) const noexcept {
    return std::any_of(asleep_.begin(), asleep_.end(),
                       [&](const sleeper& one) { return one.op == &op; });
  }

  bool add_point(std::span<io_op* const> held) {
    point added;
    if (!spare_.empty()) {
      added.options = std::move(spare_.back());
      spare_.pop_back();
    }
    added.options.assign(held.size(), {});
    for (std::size_t i = 0; i < held.size(); ++i) {
      if (is_asleep(*held[i])) added.options[i].was = option::asleep;
    }
    if (!choose_untried(added)) return false;
    points_.push_back(std::move(added));
    return true;
  }

  static bool choose_untried(point& point) noexcept {
    const auto found = std::find_if(point.options.begin(), point.options.end(),
                                    [](const option& one) { return one.was == option::untried; });
    point.chosen = static_cast<std::size_t>(found - point.options.begin());
    return found != point.options.end();
  }

  std::vector<point> points_;
  std::vector<std::vector<option>> spare_;
  std::size_t at_ = 0;
  std::vector<sleeper> asleep_;
  bool alone_ = false;
};

class probabilistic final : public scheduler {
 public:
  probabilistic(std::uint64_t seed, unsigned depth) : random_(seed), depth_(depth) {}

  void begin() override {
    most_points_ = std::max(most_points_, at_);
    at_ = 0;
    streams_.clear();
    changes_.clear();
    for (unsigned i = 1; i < depth_; ++i) changes_.push_back(below(most_points_) + 1);
  }

  std::size_t choose(std::span<io_op* const> held) override {
    if (held.size() == 1) return 0;
    ++at_;
    auto choice = first_of(held);
    for (std::size_t i = 0; i < changes_.size(); ++i) {
      if (changes_[i] != at_) continue;
      stream_of(*held[choice]).priority = i;  // behind all that have not changed
      choice = first_of(held);
    }
    return choice;
  }

 private:
  struct stream {
    int fd;
    std::uint64_t priority;
  };

  std::uint64_t below(std::uint64_t end) {
    return std::uniform_int_distribution<std::uint64_t>(0, end - 1)(random_);
  }

  stream& stream_of(const io_op& op) {
    for (auto& one : streams_) {
      if (one.fd == op.request.fd) return one;
    }
    return streams_.emplace_back(stream{op.request.fd, depth_ + below(std::uint64_t{1} << 62U)});
  }

  std::size_t first_of(std::span<io_op* const> held) {
    std::size_t best = 0;
    std::uint64_t equals = 1;
    for (std::size_t i = 1; i < held.size(); ++i) {
      const auto priority = stream_of(*held[i]).priority;
      const auto most = stream_of(*held[best]).priority;
      if (priority == most) ++equals;
      if (priority > most) equals = 1;
      if (priority > most || (priority == most && below(equals) == 0)) best = i;
    }
    return best;
  }

  std::mt19937_64 random_;
  const unsigned depth_;
  std::uint64_t most_points_ = 1;  // of the schedules until now
  std::uint64_t at_ = 0;
  std::vector<std::uint64_t> changes_;  // the points at which a priority falls
  std::vector<stream> streams_;
};

// --- the exploration

class exploration {
 public:
  exploration(const test& test, const mode& mode, const std::filesystem::path& dir,
              const exploration_options& options)
      : options_(options), runner_(test, mode, dir, options) {
    result_.engine = runner_.traits();
  }

  exploration_result run() {
    const auto begin = clock::now();
    if (options_.samples > 0) {
      sample(options_.samples);
    } else if (!search()) {
      sample(options_.limit);
    }
    result_.spent = clock::now() - begin;
    if (violation_) result_.violation = executed(smallest(*violation_));
    if (deadlock_) result_.deadlock = executed(*deadlock_);
    return std::move(result_);
  }

 private:
  bool interrupted() {
    const bool now = options_.interrupt != nullptr && options_.interrupt->load();
    result_.interrupted = result_.interrupted || now;
    return now;
  }

  // False: there are more schedules than `limit`.
  bool search() {
    depth_first order;
    do {
      if (interrupted()) return true;
      if (result_.schedules == options_.limit) return false;
      if (runner_.run(order)) {
        account();
      } else {
        ++result_.cut;
      }
    } while (order.advance());
    result_.complete = true;
    return true;
  }

  void sample(std::uint64_t count) {
    probabilistic order(options_.seed, options_.depth);
    for (; count > 0 && !interrupted(); --count) {
      runner_.run(order);
      account();
      ++result_.sampled;
    }
  }

  void account() {
    ++result_.schedules;
    if (runner_.deadlocked()) {
      ++result_.deadlocks;
      keep_better(deadlock_);
      return;
    }
    auto found = result_.states.find(runner_.state());
    if (found == result_.states.end()) found = result_.states.emplace(runner_.state(), 0).first;
    ++found->second;
    if (!counts(runner_.tested().condition, found->first)) return;
    ++result_.violating;
    keep_better(violation_);
  }

  void keep_better(std::optional<witness>& best) const {
    auto found = to_witness(runner_.choices());
    const auto rank = [](const witness& one) { return std::tuple(one.detours(), one.choices); };
    if (!best || rank(found) < rank(*best)) best = std::move(found);
  }

  // One of the schedules that were left out may have fewer detours than the one that stands for it.
  witness smallest(witness best) {
    for (std::size_t i = best.choices.size(); i-- > 0;) {
      if (i >= best.choices.size() || best.choices[i] == 0) continue;
      auto tried = best;
      tried.choices[i] = 0;
      const auto rank = best.detours();
      const auto done = executed(to_witness(std::move(tried.choices)));
      if (done.counts && done.witness.detours() < rank) best = done.witness;
    }
    return best;
  }

  executed_schedule executed(const witness& witness) {
    fixed_schedule order(witness);
    runner_.run(order);
    return runner_.executed();
  }

  const exploration_options& options_;
  schedule_runner runner_;
  exploration_result result_;
  std::optional<witness> violation_;
  std::optional<witness> deadlock_;
};

test as_run(const test& test, const mode& mode) { return mode.flush ? with_flush(test) : test; }

mode without_flush(mode mode) {
  mode.flush = false;
  return mode;
}

void compare_with_model(const test& test, const mode& mode, const model_options& options,
                        exploration_result& result) {
  model_result model;
  try {
    model = litmus::model(test, mode, options);
  } catch (const std::invalid_argument&) {  // a repeated process
    return;
  }
  if (!model.complete) return;
  result.judged = true;
  result.allowed = std::move(model.allowed);
  for (const auto& [state, schedules] : result.states) {
    if (!allows(result.allowed, state)) result.not_allowed.insert(state);
  }
  result.deadlock_not_allowed = result.deadlocks > 0 && !model.deadlocks;
}

}  // namespace

exploration_result explore(const test& test, const mode& mode, const std::filesystem::path& dir,
                           const exploration_options& options) {
  const auto run = as_run(test, mode);
  const auto plain = without_flush(mode);
  auto result = exploration(run, plain, dir, options).run();
  result.mode = mode;
  compare_with_model(run, plain, options.model, result);
  if (result.violation) {
    const auto search = [&](const litmus::test& changed) {
      auto fewer = options;
      fewer.samples = 0;
      fewer.limit = std::min<std::uint64_t>(options.limit, 10'000);
      return exploration(changed, plain, dir, fewer).run();
    };
    result.why = explain(run, plain, *result.violation, search);
  }
  return result;
}

executed_schedule replay(const test& test, const mode& mode, const std::filesystem::path& dir,
                         const witness& witness, const exploration_options& options) {
  schedule_runner runner(as_run(test, mode), without_flush(mode), dir, options);
  fixed_schedule order(witness);
  runner.run(order);
  if (const auto misfit = order.misfit(); !misfit.empty()) throw std::invalid_argument(misfit);
  return runner.executed();
}

}  // namespace filemap::litmus
