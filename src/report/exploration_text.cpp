// The report of an exploration for a person: of each mode what its schedules came to, and of one
// that came to something bad why, and what would mend it.

#include "filemap/explore/verdict.hpp"
#include "filemap/model/model.hpp"

#include "base/units.hpp"
#include "report/exploration.hpp"
#include "report/names.hpp"
#include "report/report.hpp"
#include "report/styled_text.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace filemap {

using litmus::executed_schedule;
using litmus::exploration_result;
using litmus::step;

namespace {

/// A step begins, is acknowledged early, or its operation executes.
struct event {
  instant when;
  const litmus::step* step;
  enum { whole, queued, executed } what;
};

std::vector<event> events_of(const std::vector<step>& steps) {
  std::vector<event> events;
  for (const auto& step : steps) {
    if (step.never_written()) {
      events.push_back({step.returned, &step, event::queued});
      continue;
    }
    if (!step.io.complete()) {
      if (step.returned != instant{}) events.push_back({step.returned, &step, event::whole});
      continue;
    }
    const auto began = step.io.started != instant{} ? step.io.started : step.io.submitted;
    const bool early = step.acknowledged_early() && !step.batched;
    if (early) events.push_back({step.returned, &step, event::queued});
    events.push_back({began, &step, early ? event::executed : event::whole});
  }
  std::stable_sort(events.begin(), events.end(),
                   [](const event& a, const event& b) { return a.when < b.when; });
  return events;
}

constexpr std::string_view not_judged = "not judged: the model could not say all that is allowed";

class writer : styled_text {
 public:
  using styled_text::styled_text;

  std::string report(const exploration_run& run) {
    for (const auto& explored : run.tests) {
      if (&explored != run.tests.data()) line("");
      title(explored.test);
      for (const auto& mode : explored.modes) section(run, explored, mode);
    }
    line("");
    line("Filesystem    {} on {} ({})", run.filesystem.type, run.filesystem.mount_point,
         run.filesystem.source);
    line("Seed          {}", run.asked.seed);
    line("Repeat with   {}", shell_command(run.asked.command));
    if (run.interrupted)
      line("{}", paint("33", "Interrupted: these are the schedules until then."));
    return take();
  }

  std::string report(const replayed_run& run) {
    title(run.test);
    line("");
    if (!run.schedule) {
      line("{}  {}", bold(run.mode.name),
           paint("33", "Interrupted before the schedule had been executed."));
      return take();
    }
    const auto& done = *run.schedule;
    line("{}  schedule {}", bold(run.mode.name), to_string(done.witness));
    time_line(run.test, run.mode.when, done);
    if (done.deadlock) {
      line("{}", paint("31", "Deadlock: nothing can execute, and not all have ended."));
      return take();
    }
    line("State         {}", to_string(run.test, done.state));
    line("Verdict       {}", judged(run.test, done));
    return take();
  }

 private:
  void title(const litmus::test& test) {
    line("{}", bold(fmt::format("{}: {}", test.name, test.question)));
  }

  static bool asks_for(const litmus::test& test) {
    return test.condition.quantifier == litmus::quantifier::exists;
  }
  static std::string_view bad_word(const litmus::test& test) {
    return asks_for(test) ? "reaches what the test asks for" : "violates";
  }

  std::string judged(const litmus::test& test, const executed_schedule& done) const {
    const std::string bad(bad_word(test));
    switch (verdict_of(done, false)) {
      case verdict::forbidden:
        return paint("31", done.allowed == false
                               ? "not allowed: the kernel, the engine or the model is wrong"
                               : bad + ", which the mode forbids");
      case verdict::not_judged:
        return paint("33", (done.counts ? bad + "; " : "") + std::string(not_judged));
      case verdict::allowed:
        return paint("33", bad + ", as the mode may");
      default:
        return paint("32", "ok");
    }
  }

  void section(const exploration_run& run, const explored_test& explored,
               const explored_mode& mode) {
    const auto& test = explored.test;
    line("");
    if (!mode.result) {
      line("{}: {}", bold(mode.mode.name),
           mode.failure.empty() ? "cannot run: " + mode.cannot_run
                                : paint("31", "error") + ": " + mode.failure);
      return;
    }
    const auto& result = *mode.result;
    line("{}: {}", bold(mode.mode.name), summary(test, result));
    states(test, result);
    remarks(run, result);
    if (result.violation) {
      why(test, result);
      replay_line("Replay", run.asked, explored, mode.mode, *result.violation);
    }
    if (result.deadlock) {
      replay_line("Deadlock", run.asked, explored, mode.mode, *result.deadlock);
    }
    if (!mode.failure.empty()) line("{} {}", paint("31", "Failed "), mode.failure);
  }

  std::string summary(const litmus::test& test, const exploration_result& result) const {
    const auto verb = asks_for(test) ? "reach what the test asks for" : "violate";
    auto text =
        fmt::format("{}{}, {} {}", plural(result.schedules, "schedule"),
                    result.sampled > 0 ? " (a sample)" : "", format_count(result.violating), verb);
    if (result.deadlocks > 0) {
      text += fmt::format(", {} deadlock", format_count(result.deadlocks));
    }
    if (!result.as_allowed()) return text + paint("31", ": not allowed by the model");
    if (!result.judged) return text + paint("33", fmt::format("; {}", not_judged));
    const bool forbidden = !allows_violations(test, result);
    if (result.violating > 0 && forbidden) return text + paint("31", ": the mode forbids it");
    if (result.violating > 0 || !result.complete) return text;
    const auto outcome = asks_for(test) ? "what the test asks for" : "the forbidden outcome";
    if (forbidden && result.not_searched.empty()) {
      return text + paint("32", fmt::format(": {} cannot be reached", outcome));
    }
    return text + fmt::format(": {} is not reached by whole operations, one at a time{}", outcome,
                              forbidden ? ", and the model does not allow it" : "");
  }

  void states(const litmus::test& test, const exploration_result& result) {
    line("States ({}{})", plural(result.states.size(), "state"),
         result.judged ? fmt::format("; the model allows {}", result.allowed.size()) : "");
    for (const auto& [state, schedules] : result.states) {
      const bool forbidden = result.not_allowed.count(state) > 0;
      line("{:>10} {}> {}{}", schedules, counts(test.condition, state) ? '*' : ':',
           to_string(test, state), forbidden ? paint("31", "   not allowed") : "");
    }
    line("Observation {}/{} {} {} {}", test.name, result.mode.name,
         litmus::frequency_word(result.violating, result.schedules), result.violating,
         result.schedules - result.violating);
    for (const auto excess : noted(result.exceeding))
      wrapped("Note          ", to_string(excess), 14);
  }

  void remarks(const exploration_run& run, const exploration_result& result) {
    const auto seconds = std::chrono::duration<double>(result.spent).count();
    const auto rate = static_cast<double>(result.schedules + result.cut) / seconds;
    line("Search        {}; {} per second",
         result.failed        ? "ended by a failure"
         : result.interrupted ? "interrupted"
         : result.complete    ? "complete"
                              : "not complete",
         format_count(static_cast<std::uint64_t>(rate)));
    if (result.sampled > 0) {
      line("              {} drawn by probabilistic concurrency testing, --seed {}",
           plural(result.sampled, "schedule"), run.asked.seed);
    }
    if (!result.not_searched.empty()) line("Not searched  {}", result.not_searched);
  }

  void why(const litmus::test& test, const exploration_result& result) {
    const auto& done = *result.violation;
    if (!result.why) {
      witness(test, result.mode.when, done);
      return;
    }
    const auto& why = *result.why;
    if (why.needed) {
      needed(test, result.mode.when, done, *why.needed);
    } else if (why.no_order_helps) {
      line("Why   no order of these operations helps: every schedule comes to it");
    } else if (why.interrupted) {
      line("Why   not found before the interrupt");
    } else if (why.complete) {
      line(
          "Why   no single order between two of its operations was found that prevents it without "
          "hiding it");
    } else {
      line("Why   not found: not every change was tried to its end, for want of time");
    }
    witness(test, result.mode.when, done);
    for (const auto& mended : why.mended_by) {
      line("      mended by  {}   {} of {} {}", mended.change, mended.violating,
           plural(mended.schedules, "schedule"), mended.schedules == 1 ? "violates" : "violate");
    }
    if (why.needed && !why.complete) {
      line("      more changes were not tried, {}",
           why.interrupted ? "as it was interrupted" : "for want of time");
    }
  }

  void needed(const litmus::test& test, acknowledgement when, const executed_schedule& done,
              const litmus::needed_order& order) {
    const auto& earlier = done.steps[order.earlier];
    const auto& later = done.steps[order.later];
    const auto first = name_of(test, earlier);
    const auto second = name_of(test, later);
    if (!order.acknowledged_early) {
      const bool returns_early = earlier.acknowledged_early() && !earlier.batched;
      const auto until = order.queued_is_enough ? fmt::format(" {}", early_word(when))
                         : returns_early || earlier.never_written() ? " executed"
                                                                    : "";
      line("Why   Nothing orders {} and {}.", first, second);
      line("      needed   {}{} → {}", first, until, second);
      return;
    }
    if (when == acknowledgement::buffered) {
      line("Why   {} was buffered, and {} handed to the kernel.", first,
           earlier.never_written() ? "never" : "only later");
    } else {
      line("Why   {} was acknowledged when its bytes were queued, not when the kernel had them.",
           first);
    }
    if (order.later == order.earlier) {  // nobody was to come after it but who looks at the files
      line("      needed   {} executed → the handles are given up", first);
      return;
    }
    line("      needed   {} executed → {}", first, second);
    auto path = fmt::format("{} {}", first, early_word(when));
    for (const auto at : order.path) path += " → " + to_string(test, done.steps[at].what);
    line("      have     {} → {}", path, second);
  }

  void witness(const litmus::test& test, acknowledgement when, const executed_schedule& done) {
    const auto* const early = when == acknowledgement::buffered ? "buffer" : "queue";
    std::string words;
    for (const auto& event : events_of(done.steps)) {
      const auto what = event.step->what.what;
      if (!litmus::is_file_operation(what)) continue;
      words += fmt::format("{}.{}  ", to_string(what), event.what == event::queued ? early : "run");
    }
    line("      witness  {}   {}", words, to_string(test, done.state));
  }

  // A command that executes the schedule again, wherever it is pasted into a shell.
  void replay_line(std::string_view what, const run_settings& asked, const explored_test& explored,
                   const litmus::mode& mode, const executed_schedule& done) {
    std::vector<std::string> words = {
        asked.command.front(), explored.argument, "--mode",
        argument_of(mode),     "--replay",        to_string(done.witness)};
    for (const auto& repeated : asked.of_schedules) {
      if (repeated.needs && *repeated.needs != mode.engine) continue;
      words.insert(words.end(), repeated.words.begin(), repeated.words.end());
    }
    line("{:<7} {}", what, shell_command(words));
  }

  void time_line(const litmus::test& test, acknowledgement when, const executed_schedule& done) {
    line("Time line");
    std::size_t number = 0;
    for (const auto& event : events_of(done.steps)) {
      const auto outcome = outcome_of(event, when);
      line("{:>10}  P{}  {:<{}}{}", ++number, event.step->process,
           to_string(test, event.step->what), outcome.empty() ? 0 : 22, outcome);
    }
  }

  static std::string outcome_of(const event& event, acknowledgement when) {
    if (event.what == event::queued) {
      return fmt::format("{}{}", early_word(when),
                         event.step->never_written() ? ", never written" : "");
    }
    const auto& io = event.step->io;
    if (!io.complete()) return "";
    if (has_size(event.step->what.what) && io.res >= 0) {
      return fmt::format("size {}", event.step->size);
    }
    return fmt::format("{}{}", event.what == event::executed ? "executed: " : "",
                       io.res < 0 ? "-" + error_name(io.error()) : std::to_string(io.res));
  }
};

}  // namespace

std::vector<std::string> exploration_run::failures() const {
  std::vector<std::string> all;
  for (const auto& explored : tests) {
    for (const auto& mode : explored.modes) {
      if (mode.failure.empty()) continue;
      const auto where = tests.size() == 1 ? "" : explored.test.name + ": ";
      all.push_back(fmt::format("{}{}: {}", where, mode.mode.name, mode.failure));
    }
  }
  return all;
}

std::string text_report(const exploration_run& run, bool color) {
  return writer(color).report(run);
}
std::string text_report(const replayed_run& run, bool color) { return writer(color).report(run); }

}  // namespace filemap
