// A litmus test, explored: what the search above the seam finds (search.cpp), as states of the
// test, beside what the model allows, and why.

#include "filemap/explore/exploration.hpp"

#include "filemap/subject/verdict.hpp"

#include "driver_exploration.hpp"
#include "explanation.hpp"
#include "fixed_schedule.hpp"
#include "program_order.hpp"
#include "search.hpp"
#include "subject/litmus_subject.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <utility>

namespace filemap::litmus {

namespace {

search_options search_options_of(const exploration_options& options) {
  search_options how;
  how.limit = options.limit;
  how.samples = options.samples;
  how.depth = options.depth;
  how.seed = options.seed;
  how.interrupt = options.interrupt;
  return how;
}

std::optional<bool> allowed_by(judgement::standing stands) {
  if (stands == judgement::standing::not_judged) return std::nullopt;
  return stands == judgement::standing::allowed;
}

executed_schedule schedule_of(const judged_subject& subject, const executed_run& done) {
  executed_schedule schedule;
  schedule.witness = done.schedule;
  schedule.deadlock = done.end->deadlock;
  if (schedule.deadlock) return schedule;
  schedule.state = subject.state(done.end->state);
  schedule.counts = done.end->bad;
  schedule.allowed = allowed_by(subject.standing(done.end->state));
  return schedule;
}

void take_steps(const judged_subject& subject, executed_schedule& into) {
  const auto steps = subject.steps();
  into.steps.assign(steps.begin(), steps.end());
}

// What was found, executed again for its steps. What an interrupted search has found is not lost,
// so that has a while of its own.
executed_schedule again(judged_subject& subject, const executed_run& found, search_options how) {
  constexpr auto patience = std::chrono::milliseconds(250);
  if (is_interrupted(how)) {
    how.interrupt = nullptr;
    how.deadline = clock::now() + patience;
  }
  auto schedule = schedule_of(subject, found);
  fixed_schedule order(found.schedule);
  order.begin();
  if (execute(subject, order, how).end) take_steps(subject, schedule);
  return schedule;
}

// nullptr: it cannot judge the test.
std::shared_ptr<const model_result> model_of(const test& test, const mode& mode,
                                             const exploration_options& options) {
  auto how = options.model;
  how.interrupt = options.interrupt;
  try {
    return std::make_shared<const model_result>(model(test, mode, how));
  } catch (const std::invalid_argument&) {  // a repeated process
    return nullptr;
  }
}

// What goes on with it fails for the same reasons as the search.
template <typename Function>
void keeping_what_was_found(exploration_result& result, Function go_on) {
  if (result.failed) return;
  try {
    go_on();
  } catch (...) {
    result.failed = std::current_exception();
  }
}

bool has_lost_its_way(const search_result& found) {
  return !found.complete && found.diverged > 0 && !found.failed && !found.interrupted &&
         !found.out_of_time;
}

// Where not every schedule may have been had, some of the others are by chance.
void draw_more(judged_subject& subject, search_options how, search_result& found) {
  constexpr std::uint64_t least = 16;
  found.complete = false;
  if (found.failed || found.interrupted) return;
  how.samples = std::min(how.limit, least + 4 * found.schedules);
  auto more = search(subject, how);
  found.schedules += more.schedules;
  found.sampled += more.sampled;
  found.bad += more.bad;
  found.deadlocks += more.deadlocks;
  found.diverged += more.diverged;
  found.interrupted = more.interrupted;
  found.failed = more.failed;
  found.spent += more.spent;
  for (const auto& [state, schedules] : more.states) found.states[state] += schedules;
  if (!found.to_bad) found.to_bad = std::move(more.to_bad);
  if (!found.to_deadlock) found.to_deadlock = std::move(more.to_deadlock);
}

// Of a test, with the model to judge by.
using subject_maker = std::function<std::unique_ptr<judged_subject>(
    const test& test, std::shared_ptr<const model_result> model)>;

exploration_result explored(const test& test, const subject_maker& make, const search_options& how,
                            std::shared_ptr<const model_result> model) {
  const auto made = make(test, std::move(model));
  auto& subject = *made;
  auto found = search(subject, how);
  const int tries = subject.may_diverge() ? 3 : 1;
  for (int i = 1; i < tries && has_lost_its_way(found); ++i) found = search(subject, how);
  const bool is_whole = subject.not_held().empty() && !has_lost_its_way(found);
  if (!is_whole && how.samples == 0) draw_more(subject, how, found);
  if (found.failed && found.schedules == 0) std::rethrow_exception(found.failed);
  exploration_result result;
  result.engine = subject.traits();
  result.schedules = found.schedules;
  result.violating = found.bad;
  result.deadlocks = found.deadlocks;
  result.cut = found.cut;
  result.sampled = found.sampled;
  result.diverged = found.diverged;
  result.not_searched = subject.not_held();
  if (result.not_searched.empty() && has_lost_its_way(found)) {
    result.not_searched = "runs went another way than the same choices had led before";
  }
  result.complete = found.complete;
  result.interrupted = found.interrupted;
  result.failed = found.failed;
  result.spent = found.spent;
  for (const auto& [number, schedules] : found.states) {
    const auto& state = subject.state(number);
    result.states.emplace(state, schedules);
    const auto allowed = allowed_by(subject.standing(number));
    if (!allowed) result.not_judged.insert(state);
    if (allowed == false) result.not_allowed.insert(state);
  }
  if (found.to_bad) result.violation = schedule_of(subject, *found.to_bad);
  if (found.to_deadlock) result.deadlock = schedule_of(subject, *found.to_deadlock);
  keeping_what_was_found(result, [&] {
    if (found.to_bad) {
      result.violation = again(subject, smallest(subject, *found.to_bad, how), how);
    }
    if (found.to_deadlock) result.deadlock = again(subject, *found.to_deadlock, how);
  });
  return result;
}

test as_run(const test& test, const mode& mode) { return mode.flush ? with_flush(test) : test; }

mode without_flush(mode mode) {
  mode.flush = false;
  return mode;
}

void compare_with_model(const model_result& model, exploration_result& result) {
  if (!model.complete) return;
  result.judged = true;
  result.allowed = model.allowed;
  for (const auto& [state, schedules] : result.states) {
    if (auto taken = excesses_of(model, state); !taken.empty()) {
      result.exceeding.emplace(state, std::move(taken));
    }
  }
  result.deadlock_not_allowed = result.deadlocks > 0 && !model.deadlocks;
}

// What the bytes of a run do not say.
void compare_with_model(const test& test, const model_result& model, executed_schedule& schedule) {
  if (!model.complete) return;
  if (schedule.deadlock) schedule.allowed = model.deadlocks;
  schedule.unreachable = counted(test, model.allowed) == 0;
}

bool repeats(const test& test) {
  return std::any_of(test.processes.begin(), test.processes.end(),
                     [](const auto& process) { return process.times != 1; });
}

std::string not_searched(const test& test, const mode& mode) {
  if (mode.engine == engine_kind::sync) return "";
  constexpr const char* sentence =
      "operations were executed whole and one at a time: what is seen in the middle of one (a part "
      "of the pages of a read or write), and what two do to each other, was not searched";
  if (repeats(test)) return sentence;
  const program_order order(test, mode);
  for (const auto& first : order.places()) {
    for (const auto& second : order.places()) {
      if (first != second && order.may_overlap(first, second)) return sentence;
    }
  }
  return "";
}

std::optional<explanation> explained(const test& test, const mode& mode, const subject_maker& make,
                                     const exploration_options& options,
                                     const exploration_result& result) {
  if (repeats(test)) return std::nullopt;
  // An order only leaves schedules out, but in the mode sync, where it also gives turns to others,
  // and where a flush writes a buffer out, which no schedule without it does at that time.
  const bool leaves_some_out =
      mode.engine != engine_kind::sync && mode.when != acknowledgement::buffered;
  if (leaves_some_out && result.complete && result.violating == result.schedules) {
    explanation none;
    none.no_order_helps = true;
    return none;
  }
  auto quick = options;  // well below a second's worth of states
  quick.model.max_states = std::min<std::uint64_t>(options.model.max_states, 50'000);
  auto how = search_options_of(options);
  how.samples = 0;
  how.limit = std::min<std::uint64_t>(options.limit, 10'000);
  how.deadline = clock::now() + options.explain_for;
  explanation_means means;
  means.model = [&](const litmus::test& changed) { return model_of(changed, mode, quick); };
  means.stopped = [&] { return is_interrupted(how) || is_out_of_time(how); };
  means.search = [&](const litmus::test& changed, std::shared_ptr<const model_result> model) {
    auto result = explored(changed, make, how, std::move(model));
    if (result.failed) std::rethrow_exception(result.failed);
    return result;
  };
  explanation found;
  if (is_interrupted(how)) {
    found.complete = false;
  } else {
    found = explain(test, mode, *result.violation, means);
    const bool all_are_bad = result.complete && result.violating == result.schedules;
    found.no_order_helps = mode.when == acknowledgement::buffered && all_are_bad &&
                           found.complete && found.mended_by.empty();
  }
  found.interrupted = !found.complete && is_interrupted(how);
  return found;
}

exploration_result explored_and_explained(const test& test, const mode& mode,
                                          const subject_maker& make,
                                          const exploration_options& options) {
  const auto run = as_run(test, mode);
  const auto plain = without_flush(mode);
  const auto model = model_of(run, plain, options);
  auto result = explored(run, make, search_options_of(options), model);
  result.mode = mode;
  if (model != nullptr) compare_with_model(*model, result);
  for (auto* const found : {&result.violation, &result.deadlock}) {
    if (model != nullptr && *found) compare_with_model(run, *model, **found);
  }
  if (const auto beside = not_searched(run, plain); !beside.empty()) {
    result.not_searched = beside + (result.not_searched.empty() ? "" : "; ") + result.not_searched;
  }
  if (result.violation) {
    keeping_what_was_found(result,
                           [&] { result.why = explained(run, plain, make, options, result); });
  }
  return result;
}

std::optional<executed_schedule> replayed(const test& test, const mode& mode,
                                          const subject_maker& make, const witness& witness,
                                          const exploration_options& options) {
  const auto run = as_run(test, mode);
  const auto model = model_of(run, without_flush(mode), options);
  const auto subject = make(run, model);
  fixed_schedule order(witness);
  order.begin();
  const auto done = execute(*subject, order, search_options_of(options));
  if (done.stopped) return std::nullopt;
  if (const auto misfit = order.misfit(); !misfit.empty()) throw std::invalid_argument(misfit);
  auto schedule = schedule_of(*subject, done);
  take_steps(*subject, schedule);
  if (model != nullptr) compare_with_model(run, *model, schedule);
  return schedule;
}

subject_maker on_engine(const mode& mode, const std::filesystem::path& dir,
                        const uring_options& ring) {
  return [plain = without_flush(mode), dir, ring](const test& test,
                                                  std::shared_ptr<const model_result> model) {
    return std::make_unique<litmus_subject>(test, plain, dir, ring, std::move(model));
  };
}

subject_maker by_driver(const mode& mode, const driver_claims& claims,
                        const driver_subject::settings& how) {
  return [plain = without_flush(mode), claims, how](const test& test,
                                                    std::shared_ptr<const model_result> model) {
    return std::make_unique<driver_subject>(test, plain, claims, std::move(model), how);
  };
}

}  // namespace

exploration_result explore(const test& test, const mode& mode, const std::filesystem::path& dir,
                           const exploration_options& options) {
  auto result = explored_and_explained(test, mode, on_engine(mode, dir, options.ring), options);
  if (result.diverged > 0) {  // engines of ours do nothing by chance
    throw std::runtime_error(
        "a schedule that was executed again went another way: something else changes the files "
        "of " +
        dir.string());
  }
  return result;
}

std::optional<executed_schedule> replay(const test& test, const mode& mode,
                                        const std::filesystem::path& dir, const witness& witness,
                                        const exploration_options& options) {
  return replayed(test, mode, on_engine(mode, dir, options.ring), witness, options);
}

exploration_result explore(const test& test, const mode& mode, const driver_claims& claims,
                           const driver_subject::settings& how,
                           const exploration_options& options) {
  return explored_and_explained(test, mode, by_driver(mode, claims, how), options);
}

std::optional<executed_schedule> replay(const test& test, const mode& mode,
                                        const driver_claims& claims,
                                        const driver_subject::settings& how, const witness& witness,
                                        const exploration_options& options) {
  return replayed(test, mode, by_driver(mode, claims, how), witness, options);
}

}  // namespace filemap::litmus
