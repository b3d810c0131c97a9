// The report for a person: a section a mode, one table of all, the story if there is one, and what
// the numbers must be read with.

#include "base/units.hpp"
#include "report/names.hpp"
#include "report/report.hpp"
#include "report/styled_text.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

namespace filemap {

using litmus::mode_result;
using litmus::outcome;
using litmus::round_trace;
using litmus::step;
using litmus::verb;

namespace {

std::string words_or(const std::vector<std::string>& words, std::string_view none) {
  return words.empty() ? std::string(none) : fmt::format("{}", fmt::join(words, " "));
}

std::string ceiling_text(const operation_ceiling& ceiling) {
  return fmt::format(
      "at most Linux {}, {}", to_string(ceiling.version),
      ceiling.enforced ? "enforced by the kernel" : "on trust, as enforcing it takes Linux 5.10");
}

class text_writer : styled_text {
  static constexpr std::string_view indent = "              ";

 public:
  text_writer(const run_result& run, bool color) : styled_text(color), run_(run) {}

  std::string results() {
    line("{}", bold(fmt::format("{}: {}", run_.test.name, run_.test.question)));
    for (const auto& mode : run_.modes) section(mode);
    if (run_.modes.size() > 1) {
      table();
      differences();
      if (!is_litmus_test()) story();
    }
    return take();
  }

  // What all runs have in common.
  std::string surroundings() {
    host_and_filesystem();
    return take();
  }

 private:
  static std::string_view color_of(verdict verdict) {
    switch (verdict) {
      case verdict::ok:
        return "32";
      case verdict::forbidden:
      case verdict::error:
      case verdict::hang:
        return "31";
      default:
        return "33";
    }
  }
  std::string judged(verdict verdict, std::string_view text) const {
    return paint(color_of(verdict), text);
  }

  // --- one mode

  void section(const mode_result& mode) {
    const auto verdict = verdict_of(mode, run_.asked->strict);
    line("");
    wrapped(bold(mode.mode.name) + "  ", describe(mode), 2);
    if (mode.rounds == 0) {
      line("Verdict       {}", verdict_text(verdict, mode));
      return;
    }
    if (is_litmus_test()) states(mode);
    histogram(mode);
    const auto bad = mode.violation_count();
    line("Observation {} {} {} {}", observation_name(mode), observation_word(mode), bad,
         good_rounds(mode));
    if (verdict == verdict::error) {
      line("Verdict       {}", verdict_text(verdict, mode));  // a message, in one line
    } else {
      wrapped("Verdict       ", verdict_text(verdict, mode), indent.size());
    }
    if (verdict != verdict::error && !mode.failure.what.empty()) {
      line("Failed        {}", mode.failure.what);
    }
    line("Violations    {}", violations(mode));
    hazards(mode);
    line("Rounds        {} per second", rate(mode));
    latencies(mode);
    if (!mode.violations.empty()) {
      time_line(mode, mode.violations.front(), "First violation");
    } else if (!mode.hazardous.empty()) {
      time_line(mode, mode.hazardous.front(), "First hazard");
    }
  }

  std::string verdict_text(verdict verdict, const mode_result& mode) const {
    if (verdict == verdict::cannot_run) {
      return judged(verdict, "cannot run") + ": " + mode.cannot_run;
    }
    if (verdict == verdict::error && !mode.failure.what.empty()) {
      return judged(verdict, "error") + ": " + mode.failure.what;
    }
    if (verdict == verdict::no_rounds) {
      return judged(verdict,
                    run_.interrupted ? "no rounds: interrupted before the first" : "no rounds");
    }
    return judged(verdict, is_litmus_test() ? explain_test(verdict, mode) : explain(verdict));
  }

  std::string observation_name(const mode_result& mode) const {
    return run_.modes.size() == 1 ? run_.test.name : run_.test.name + "/" + mode.mode.name;
  }

  std::string describe(const mode_result& mode) const {
    constexpr std::array engines = {"one io_uring", "blocking threads", "one thread, inline"};
    const bool is_driver = mode.mode.engine == litmus::engine_kind::driver;
    if (is_driver && !mode.model) return "a driver";
    return fmt::format(
        "{}; a write is acknowledged when {}{}; {} is {}",
        is_driver ? mode.engine.name : engines[static_cast<std::size_t>(mode.mode.engine)],
        acknowledged_when(mode.mode.when), mode.mode.flush ? ", then flushed" : "",
        is_litmus_test() ? "what the test asks about" : "a stale read",
        !is_judged(mode)           ? "not known to be allowed or not"
        : mode.allows_violations() ? "allowed"
                                   : "forbidden");
  }

  // A litmus test asks about states; the experiment checks itself.
  bool is_litmus_test() const { return !litmus::checks_itself(run_.test); }

  // As litmus7 prints them: '*' before those that the condition asks about. What the model allows
  // and no round has shown follows, so that one sees how much of what could happen did.
  void states(const mode_result& mode) {
    constexpr std::size_t most_unseen = 8;
    const auto& model = *mode.model;
    std::vector<std::pair<const litmus::final_state*, litmus::state_line>> seen;
    for (const auto& [state, entry] : mode.states) seen.emplace_back(&state, entry);
    std::stable_sort(seen.begin(), seen.end(), [](const auto& a, const auto& b) {
      return a.second.rounds > b.second.rounds;
    });
    const auto unseen = mode.states_not_seen();
    line("States        {} of {} that the model allows{}", model.allowed.size() - unseen.size(),
         model.allowed.size(),
         model.complete ? "" : fmt::format(", cut short: {}", to_string(model.why)));
    for (const auto& [state, entry] : seen) {
      line("{:>10} {}> {}{}", entry.rounds, entry.counts ? '*' : ':', to_string(run_.test, *state),
           entry.allowed || !entry.judged ? "" : paint("31", "   not allowed by the model"));
    }
    for (std::size_t i = 0; i < std::min(unseen.size(), most_unseen); ++i) {
      line("{:>10} {}> {}   allowed, not seen", 0,
           counts(run_.test.condition, *unseen[i]) ? '*' : ':', to_string(run_.test, *unseen[i]));
    }
    if (unseen.size() > most_unseen) line("{:>10}    and {} more", "", unseen.size() - most_unseen);
    notes(mode);
  }

  // Where what was seen is allowed, but more than is promised.
  void notes(const mode_result& mode) {
    std::set<litmus::excess> noted;
    for (const auto& [state, entry] : mode.states) {
      const auto excesses = excesses_of(*mode.model, state);
      noted.insert(excesses.begin(), excesses.end());
    }
    for (const auto excess : noted) wrapped("Note          ", to_string(excess), indent.size());
  }

  static std::string explain_test(verdict verdict, const mode_result& mode) {
    switch (verdict) {
      case verdict::ok:
        return "ok: the model has no state that the test asks about, and none was seen";
      case verdict::forbidden:
        return mode.unexpected_count() > 0
                   ? "forbidden: a state was seen that the model does not allow"
                   : "forbidden: a state that the test asks about was seen";
      case verdict::not_judged:
        return "not judged: the model could not say all that is allowed" +
               std::string(
                   mode.violation_count() > 0 ? "; a state that the test asks about was seen" : "");
      case verdict::allowed:
        return "allowed: a state that the test asks about was seen, and the model has it";
      case verdict::hazards_only:
      case verdict::not_exercised:
        return "not exercised: the model has a state that the test asks about, and none was seen "
               "(--explore looks for it)";
      default:
        return std::string(explain(verdict));
    }
  }

  void histogram(const mode_result& mode) {
    // A test's states stand above; what is left are rounds that had none.
    if (is_litmus_test() && mode.count(outcome::error) + mode.count(outcome::hang) == 0) return;
    line("Histogram ({} outcome{})", mode.histogram.size(), mode.histogram.size() == 1 ? "" : "s");
    std::vector<std::pair<std::string, litmus::histogram_line>> lines(mode.histogram.begin(),
                                                                      mode.histogram.end());
    std::stable_sort(lines.begin(), lines.end(), [](const auto& a, const auto& b) {
      return a.second.rounds > b.second.rounds;
    });
    for (const auto& [label, entry] : lines) {
      const bool bad = entry.first.what != outcome::ok;
      line("{:>10} {}> {}{}", entry.rounds, bad ? '*' : ':', label, details(entry.first));
    }
  }

  static std::string details(const litmus::observation& seen) {
    if (!is_violation(seen.what) || seen.what == outcome::witness) return "";
    return fmt::format("   first: {} bytes flushed, statx said {}, the read returned {}",
                       seen.flushed, seen.size, seen.read);
  }

  static std::string_view explain(verdict verdict) {
    switch (verdict) {
      case verdict::ok:
        return "ok: nothing forbidden was seen";
      case verdict::forbidden:
        return "forbidden: the reader missed what had been flushed";
      case verdict::allowed:
        return "allowed: the reader missed what had been flushed, as this mode may";
      case verdict::hazards_only:
        return "hazards only: every read was right, some by luck and not by order";
      case verdict::not_exercised:
        return "not exercised: no violation and no hazard, which proves nothing "
               "(--stall write=2ms brings it out)";
      case verdict::error:
        return "error: an operation failed";
      case verdict::hang:
        return "hang: a round did not end in time (--round-timeout)";
      case verdict::not_judged:  // only of a litmus test
      case verdict::cannot_run:
      case verdict::no_rounds:
        break;
    }
    return "";
  }

  static std::string violations(const mode_result& mode) {
    return proportion_words(mode.violation_count(), mode.rounds);
  }

  void hazards(const mode_result& mode) {
    const auto& hazards = mode.hazards;
    line("Hazards       {} of {}", format_count(hazards.rounds), format_count(mode.rounds));
    for (const auto& [pair, count] : hazards.pairs) {
      line("  {:>10}  {} began before {} had returned", format_count(count), to_string(pair.first),
           to_string(pair.second));
    }
    if (hazards.unknown > 0) {
      line("  {:>10}  unknown: a {} does not say when an operation begins",
           format_count(hazards.unknown),
           mode.mode.engine == litmus::engine_kind::driver ? "driver" : "ring");
    }
  }

  // Rounds per second; "-" where there was no time to measure.
  static std::string rate(const mode_result& mode) {
    const auto seconds = std::chrono::duration<double>(mode.measured).count();
    if (seconds <= 0) return "-";
    return format_count(static_cast<std::uint64_t>(static_cast<double>(mode.rounds) / seconds));
  }

  void latencies(const mode_result& mode) {
    line("Latency       {:>9} {:>9} {:>9} {:>9}", "p50", "p99", "p99.9", "max");
    for (const auto& [what, latency] : mode.latency) latency_row(to_string(what), latency);
    if (mode.mode.acknowledges_early()) {
      latency_row("append done", mode.append_executed);
    }
  }

  void latency_row(std::string_view name, const latency_summary& latency) {
    if (latency.count == 0) return;
    // fmt counts the two bytes of µ as one column, as a terminal does.
    line("  {:<11} {:>9} {:>9} {:>9} {:>9}", name, format_duration(latency.p50),
         format_duration(latency.p99), format_duration(latency.p99_9),
         format_duration(latency.max));
  }

  // --- one round

  // The operations of a round against time: '.' from the call until the operation began, '#' while
  // it executed ('=' on a ring, where its beginning is not seen).
  void time_line(const mode_result& mode, const round_trace& trace, std::string_view title) {
    constexpr std::size_t width = 44;
    std::vector<const step*> shown;
    auto end = trace.start;
    for (const auto& step : trace.steps) {
      if (!step.io.complete()) continue;
      shown.push_back(&step);
      end = std::max(end, step.io.returned);
    }
    const auto span = std::max(nanoseconds{1}, end - trace.start);
    const auto column = [&](instant at) {
      const auto part =
          static_cast<double>((at - trace.start).count()) / static_cast<double>(span.count());
      return static_cast<std::size_t>(std::clamp(part, 0.0, 0.999) * width);
    };

    line("{}: round {}, {}{}", title, trace.round, trace.seen.label(), details(trace.seen));
    line("  {:<17} 0 {:>{}}", "", format_duration(span), width);
    for (const auto* const step : shown) {
      std::string bar(width, ' ');
      const bool start_known = step->io.started != instant{};
      const auto began = !step->began() ? step->io.returned
                         : start_known  ? step->io.started
                                        : step->io.submitted;
      const auto draw = [&](instant from, instant to, char with) {
        for (auto i = column(from); i <= column(to); ++i) bar[i] = with;
      };
      draw(step->called, began, '.');
      if (step->began()) draw(began, step->io.returned, start_known ? '#' : '=');
      line("  {:<8} {:<9}|{}| {}", process_name(run_.test, step->process),
           to_string(step->what.what), bar, step_note(*step, trace));
    }
    why(mode, trace);
  }

  std::string step_note(const step& step, const round_trace& trace) const {
    std::string note;
    if (step.io.res < 0) {
      const char* const name = ::strerrorname_np(step.io.error());
      note = name != nullptr ? name : "failed";
    } else if (step.what.what == verb::append || step.what.what == verb::read) {
      note = fmt::format("{} bytes", step.io.res);
    } else if (step.what.what == verb::statx && !is_litmus_test()) {
      note = fmt::format("size {}", trace.seen.size);
    }
    if (step.io.worker > 0)
      note += fmt::format("{}worker {}", note.empty() ? "" : ", ", step.io.worker);
    if (step.acknowledged_early() && !step.batched) {
      note += fmt::format(", acknowledged after {}", format_duration(step.returned - step.called));
    }
    return note;
  }

  // Of what never happened nothing can be said to have overtaken it.
  void what_was_lost(const round_trace& trace) {
    const auto lost = std::find_if(trace.steps.begin(), trace.steps.end(),
                                   [](const step& step) { return step.never_written(); });
    if (lost == trace.steps.end()) return;
    wrapped("  Why  ",
            fmt::format("{} was buffered, and never handed to the kernel",
                        to_string(run_.test, lost->what)),
            7);
    line("  Fix  flush before the handle is given up");
  }

  // The first overtaking of the round, in words.
  void why(const mode_result& mode, const round_trace& trace) {
    if (mode.mode.engine == litmus::engine_kind::driver && mode.mode.allows_stale_reads()) {
      wrapped("  Why  ",
              fmt::format("by its claims {} acknowledges a write before it is done; when it was "
                          "done a driver does not say",
                          mode.engine.name),
              7);
      line("  Fix  flush before the notification: --flush");
      return;
    }
    bool told = false;
    const bool buffered = mode.mode.when == acknowledgement::buffered;
    each_overtaking(
        trace.steps, litmus::conflicts(run_.test),
        [&](const step& later, const step& earlier, litmus::overtaking verdict) {
          if (std::exchange(told, true)) return;
          if (earlier.batched) {
            line("  Why  {} and {} were submitted together, and nothing orders them",
                 to_string(earlier.what.what), to_string(later.what.what));
            line("  Fix  a link, or a drain");
            return;
          }
          wrapped("  Why  ",
                  fmt::format(
                      "{} was acknowledged when its bytes were {}, {} before it was done; {} {} "
                      "meanwhile, {}",
                      to_string(earlier.what.what), buffered ? "in a buffer" : "queued",
                      format_duration(earlier.io.returned - earlier.returned),
                      to_string(later.what.what),
                      verdict == litmus::overtaking::yes ? "began" : "was in flight",
                      buffered ? "and nothing had written that out"
                               : "through a handle that knows nothing of that queue"),
                  7);
          if (!mode.mode.flush) {
            line("  Fix  flush before the notification{}", is_litmus_test() ? "" : ": --flush");
          }
        });
    if (!told) what_was_lost(trace);
  }

  // --- all modes

  void table() {
    line("");
    line("{}", rounds_of_each());
    line("{}", bold(fmt::format("{:<24} {:<13} {:>10} {:>14} {:>8} {:>6}", "Mode", "Verdict",
                                "Violations", "95 % interval", "Hazards", "Per s")));
    for (const auto& mode : run_.modes) {
      const auto verdict = verdict_of(mode, run_.asked->strict);
      const auto word = judged(verdict, fmt::format("{:<13}", to_string(verdict)));
      if (mode.rounds == 0) {
        line("{:<24} {} {:>10}", mode.mode.name, word, "-");
        continue;
      }
      const auto bad = mode.violation_count();
      line("{:<24} {} {:>10} {:>14} {:>8} {:>6}", mode.mode.name, word, format_count(bad),
           range(proportion_interval(bad, mode.rounds)), hazard_cell(mode), rate(mode));
    }
  }

  std::string rounds_of_each() const {
    const auto [least, most] =
        std::minmax_element(run_.modes.begin(), run_.modes.end(),
                            [](const auto& a, const auto& b) { return a.rounds < b.rounds; });
    if (least->rounds == most->rounds) {
      return fmt::format("Of {} rounds in each mode:", format_count(most->rounds));
    }
    return fmt::format("Of {} to {} rounds in each mode:", format_count(least->rounds),
                       format_count(most->rounds));
  }

  // "0.041-0.17 %": without the unit of the first.
  static std::string range(const interval& of) {
    auto low = format_percent(of.low);
    if (low.ends_with(" %")) low.resize(low.size() - 2);
    return low + '-' + format_percent(of.high);
  }

  static std::string hazard_cell(const mode_result& mode) {
    const auto& hazards = mode.hazards;
    if (hazards.rounds == 0 && hazards.unknown > 0) return "unknown";
    return format_count(hazards.rounds) + (hazards.unknown > 0 ? "+?" : "");
  }

  void differences() {
    const auto found = significant_differences(run_.modes);
    if (found.empty()) {
      wrapped("",
              "No two modes differ significantly in their violations (Fisher's exact test, Holm, "
              "p < 0.05).",
              0);
      return;
    }
    line("Differences beyond chance (Fisher's exact test, Holm, p < 0.05):");
    for (std::size_t i = 0; i < found.size();) {
      // One line for each mode that violates more, with all that it exceeds.
      const auto& more = found[i].more;
      std::string less;
      double worst = 0;
      for (const auto& pair : found) {
        if (pair.more != more) continue;
        less += (less.empty() ? "" : ", ") + pair.less;
        worst = std::max(worst, pair.p);
      }
      // Fisher's test underflows to 0 below about 1e-300 (stats.hpp).
      const auto p = worst > 0 ? fmt::format("at most {:.2g}", worst) : "below 1e-300";
      wrapped("  ", fmt::format("{} violates more often than {} (p {})", more, less, p), 4);
      do {
        ++i;
      } while (i < found.size() &&
               std::any_of(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(i),
                           [&](const difference& d) { return d.more == found[i].more; }));
    }
  }

  // Only what these rounds have shown.
  void story() {
    std::vector<std::string_view> stale;
    std::set<std::string_view> early;
    bool forbidden = false;
    bool flushed_clean = false;
    for (const auto& mode : run_.modes) {
      const bool shown = mode.violation_count() > 0 || mode.hazards.rounds > 0;
      if (shown && mode.mode.allows_stale_reads()) {
        stale.push_back(mode.mode.name);
        early.insert(mode.mode.when == acknowledgement::buffered ? "in a buffer" : "queued");
      }
      forbidden = forbidden || (shown && !mode.mode.allows_stale_reads());
      flushed_clean = flushed_clean || (mode.mode.flush && mode.rounds > 0);
    }
    if (stale.empty() || forbidden) return;
    line("");
    wrapped(
        "",
        fmt::format("Violations or hazards only in {}, which acknowledge{} a write when its bytes "
                    "are {}; none where a write is acknowledged when the kernel has done it{}.",
                    fmt::join(stale, " and "), stale.size() == 1 ? "s" : "",
                    fmt::join(early.rbegin(), early.rend(), " or "),
                    flushed_clean ? ", and none with a flush before the notification" : ""),
        0);
  }

  // --- what it must be read with

  void host_and_filesystem() {
    const auto& host = run_.host;
    const auto& fs = run_.filesystem;
    line("");
    line("Host          Linux {} {}, {} cpu{}, {}, {}{}", host.kernel_release, host.machine,
         host.cpus, host.cpus == 1 ? "" : "s", format_size(host.memory_bytes), host.cpu_model,
         host.hypervisor ? ", virtual" : "");
    line("Filesystem    {} on {} ({}), {} free", fs.type, fs.mount_point, fs.source,
         format_size(fs.free_bytes));
    line("{}{}", indent, fs.mount_options);
    if (!fs.caveat.empty()) wrapped(indent, fs.caveat, indent.size(), "33");
    if (const auto device = describe(fs.device); !device.empty()) line("Device        {}", device);
    engine_lines();
    line("Seed          {}", run_.asked->seed);
    line("Repeat with   {}", shell_command(run_.asked->command));
    if (run_.interrupted) line("{}", paint("33", "Interrupted: these are the rounds until then."));
  }

  static std::string describe(const block_device& device) {
    std::vector<std::string> parts;
    if (!device.model.empty()) parts.push_back(device.model);
    if (device.rotational) parts.emplace_back(*device.rotational ? "rotational" : "not rotational");
    if (!device.scheduler.empty()) parts.push_back("scheduler " + device.scheduler);
    if (!device.write_cache.empty()) parts.push_back(device.write_cache);
    return fmt::format("{}", fmt::join(parts, ", "));
  }

  // What a driver claims beside what it can do; and the ring's features, once: all ring modes have
  // the same.
  void engine_lines() {
    for (const auto& mode : run_.modes) {
      if (mode.mode.engine != litmus::engine_kind::driver || mode.engine.features.empty()) continue;
      std::vector<std::string_view> claims;
      for (const auto& claim : mode.engine.features) {
        if (!claim.starts_with("verbs=") && !claim.starts_with("flags=")) claims.push_back(claim);
      }
      wrapped("Driver        ",
              fmt::format("{}: {}; {}", mode.mode.name, mode.engine.name, fmt::join(claims, " ")),
              indent.size());
    }
    for (const auto& mode : run_.modes) {
      if (mode.engine.name != "uring") continue;
      const auto& ceiling = mode.engine.ceiling;
      wrapped("Ring          ",
              (ceiling ? ceiling_text(*ceiling) + ": " : "") +
                  words_or(mode.engine.features, "no features"),
              indent.size());
      if (!mode.engine.substitutions.empty()) {
        wrapped("Substituted   ", fmt::format("{}", fmt::join(mode.engine.substitutions, "; ")),
                indent.size());
      }
      return;
    }
  }

  const run_result& run_;
};

// What is most telling of a test's modes.
verdict most_telling_of(const run_result& run) {
  for (const auto one :
       {verdict::forbidden, verdict::hang, verdict::error, verdict::cannot_run, verdict::not_judged,
        verdict::no_rounds, verdict::allowed, verdict::hazards_only, verdict::not_exercised}) {
    for (const auto& mode : run.modes) {
      if (verdict_of(mode, run.asked->strict) == one) return one;
    }
  }
  return run.failure.empty() ? verdict::ok : verdict::error;
}

// "3,000 tests: 2,990 ok, 8 allowed, 2 forbidden", the most first.
std::string tally(std::span<const run_result> runs) {
  std::map<verdict, std::uint64_t> counts;
  for (const auto& run : runs) ++counts[most_telling_of(run)];
  std::vector<std::pair<verdict, std::uint64_t>> sorted(counts.begin(), counts.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string parts;
  for (const auto& [verdict, count] : sorted) {
    parts +=
        fmt::format("{}{} {}", parts.empty() ? "" : ", ", format_count(count), to_string(verdict));
  }
  return fmt::format("{} tests: {}\n", format_count(runs.size()), parts);
}

}  // namespace

std::string text_report(std::span<const run_result> runs, bool color) {
  std::string text;
  for (const auto& run : runs) {
    if (!text.empty()) text += '\n';
    text += text_writer(run, color).results();
  }
  text += text_writer(runs.back(), color).surroundings();
  if (runs.size() > 1) text += tally(runs);
  return text;
}

namespace {

class probe_writer : styled_text {
 public:
  probe_writer() : styled_text(false) {}

  std::string report(const ring_support& ring, const host_info& host) {
    line("Linux {} {}", host.kernel_release, host.machine);
    if (!ring.available) {
      tell("io_uring      ", "cannot be used: " + ring.why);
      tell("What to do    ", ring.advice);
      tell("Modes         ",
           "blocking-pool, tokio-fs and sync run here; uring and "
           "uring-write-behind do not");
      return take();
    }
    line("io_uring      available, feature bits {:#x}", ring.feature_bits);
    if (ring.ceiling) tell("Ceiling       ", ceiling_text(*ring.ceiling));
    tell("Features      ", words_or(ring.features.names(), "none"));
    const auto substitutions = ring.features.substitutions();
    tell("Substituted   ",
         substitutions.empty() ? "nothing" : fmt::format("{}", fmt::join(substitutions, "; ")));
    tell("Operations    ",
         ring.probed ? fmt::format("{}: {}", ring.opcodes.size(), fmt::join(ring.opcodes, " "))
                     : "unknown: there is no probe before Linux 5.6");
    if (ring.ceiling && ring.ceiling->enforced) {
      tell("Refused       ", words_or(ring.refused, "nothing"));
    }
    return take();
  }

 private:
  void tell(const std::string& heading, std::string_view words) { line("{}{}", heading, words); }
};

}  // namespace

std::string probe_report(const ring_support& ring, const host_info& host) {
  return probe_writer().report(ring, host);
}

}  // namespace filemap
