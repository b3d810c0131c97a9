// What a command came to, for a person: the answer first.

#include "base/units.hpp"
#include "report/command.hpp"
#include "report/names.hpp"
#include "report/styled_text.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace filemap {

namespace {

class command_writer : styled_text {
 public:
  using styled_text::styled_text;

  std::string report(const command_run& run) {
    line("{}", bold(shell_command(run.command)));
    if (run.rounds) rounds(run, *run.rounds);
    if (run.explored) explored(run, *run.explored);
    if (run.replayed) replayed(*run.replayed);
    if (run.faults) faults(run, *run.faults);
    if (run.loses_rights) {
      line("{:<13} {}", "Rights", "it is setuid or setgid, and runs without what that gives it");
      line("{:<13} {}", "", "below a filter (no_new_privs): what fails may fail for that alone");
    }
    line("");
    line("{:<13} {} on {}", "Filesystem", run.filesystem.type, run.filesystem.mount_point);
    line("{:<13} {}", "Repeat with", shell_command(run.asked.command));
    return take();
  }

 private:
  // --- as it is

  void rounds(const command_run& run, const command_rounds& rounds) {
    for (const auto& [state, count] : rounds.states) {
      line("{:>10} {}> {}", count, state.bad ? '*' : ':', state.text);
    }
    line("Observation {} {} {} {}", run.command.front(),
         litmus::frequency_word(rounds.bad, rounds.runs), rounds.bad, rounds.runs - rounds.bad);
    line("{:<13} {}", "Failures", proportion_words(rounds.bad, rounds.runs));
    line("{:<13} {} at the median, {} at the most", "A run",
         format_duration(rounds.took.percentile(50)), format_duration(rounds.took.max()));
    if (rounds.left > 0) {
      line("{:<13} {} had not ended with it, and were ended", "Left behind",
           plural(rounds.left, "process"));
    }
    if (rounds.failed > 0) {
      line("{:<13} {}", "Faults", plural(rounds.failed, "call") + " of all runs failed as asked");
    }
    if (rounds.bad > 0) output(fmt::format("of run {}", rounds.failing_run), rounds.failing_output);
  }

  // --- explored

  void explored(const command_run& run, const command_exploration& found) {
    line("");
    answer(found);
    if (found.by_order) finding(run, *found.by_order);
    if (found.by_time) finding(run, *found.by_time);
    if (found.unconfirmed) finding(run, *found.unconfirmed);
    search(found);
  }

  void answer(const command_exploration& found) {
    if (found.by_order && found.fails_as_it_is && !found.ended_well) {
      line("{}", paint("31", "It fails as it is, and in every order that was tried."));
    } else if (found.by_order && found.fails_as_it_is) {
      line("{}", paint("31", "It fails as it is; another order of its file operations mends it."));
    } else if (found.by_order) {
      line("{}", paint("31", "An order of its file operations breaks it."));
    } else if (found.by_time) {
      line("{}",
           paint("33", "It breaks when an operation takes long; no order was found that does."));
    } else if (found.unconfirmed) {
      line("{}",
           paint("33", "It failed, but not each time in the same order: that does not decide."));
    } else if (found.files.empty()) {
      line("No two of its threads or processes touch one file that a run changes.");
    } else if (found.complete) {
      line("{}", paint("32", "No order of its operations on contended files breaks it."));
    } else if (found.complete_of_each_file) {
      line("{}",
           paint("32",
                 "No order of operations on one file breaks it; across files not all were tried."));
    } else {
      line("No order was found that breaks it; not all were tried.");
    }
  }

  void finding(const command_run& run, const command_finding& found) {
    if (found.pair) why_of_order(found, *found.pair);
    why_of_time(found);
    if (found.confirmed.runs > 0) {
      line("End     {}, {} of {} times", found.state.text, found.confirmed.bad,
           found.confirmed.runs);
    }
    line("Replay  {}", shell_command(replay_command(run, found.schedule)));
    time_line(found);
    output("", found.output);
  }

  void why_of_order(const command_finding& found, const deciding_pair& pair) {
    const auto& first = found.calls[pair.earlier];
    const auto& second = found.calls[pair.later];
    wrapped("Why     ",
            fmt::format("{} by {} was executed before {} by {}", words_of(first), thread_of(first),
                        words_of(second), thread_of(second)),
            8);
    line("        {} of {} runs fail in this order, {} of {} in the other", pair.in_this_order.bad,
         pair.in_this_order.runs, pair.in_the_other.bad, pair.in_the_other.runs);
  }

  // Of what was held while time passed, what was executed first then.
  void why_of_time(const command_finding& found) {
    const auto& calls = found.calls;
    const auto time =
        std::find_if(calls.begin(), calls.end(), [](const auto& call) { return call.is_time; });
    if (time == calls.end()) return;
    const auto held = std::find_if(
        time, calls.end(), [&](const auto& call) { return !call.is_time && call.held < time->at; });
    const auto what = held == calls.end()
                          ? "what is held"
                          : fmt::format("{} by {}", words_of(*held), thread_of(*held));
    const auto how_long = found.takes ? format_duration(*found.takes) + " or longer" : "too long";
    wrapped("Why     ",
            fmt::format("{} takes {}, and {} waits in {} for no longer than {}", what, how_long,
                        thread_of(*time), time->word, format_duration(time->waits)),
            8);
  }

  // All of a short one. Of a long one what is around the two that decide, around time that passed,
  // and the ends; at most a screen of it.
  static std::vector<bool> shown_calls(const command_finding& found) {
    constexpr std::size_t short_one = 14;
    constexpr std::size_t around = 2;
    const auto count = found.calls.size();
    std::vector<bool> shown(count, count <= short_one);
    std::size_t left = short_one;
    const auto show = [&](std::size_t at) {
      for (auto i = at - std::min(at, around); i <= at + around && i < count && left > 0; ++i) {
        if (!shown[i]) --left;
        shown[i] = true;
      }
    };
    if (count <= short_one) return shown;
    if (found.pair) {
      show(found.pair->earlier);
      show(found.pair->later);
    }
    for (std::size_t i = 0; i < count; ++i) {
      const auto& call = found.calls[i];
      if (call.is_time || !fault_of(call.done).empty()) show(i);
    }
    show(count - 1);
    show(0);
    return shown;
  }

  void time_line(const command_finding& found) {
    if (found.calls.empty()) return;
    line("Time line");
    const auto shown = shown_calls(found);
    std::size_t left_out = 0;
    for (std::size_t i = 0; i < found.calls.size(); ++i) {
      if (!shown[i]) {
        ++left_out;
        continue;
      }
      if (left_out > 0) line("       … {}", plural(std::exchange(left_out, 0), "other"));
      const auto& call = found.calls[i];
      const bool decides = found.pair && (i == found.pair->earlier || i == found.pair->later);
      const auto text = fmt::format("{:>4} {} {:<14} {}", i + 1, decides ? '>' : ' ',
                                    thread_of(call), call.is_time ? wait_of(call) : step_of(call));
      line("{}", decides ? bold(text) : text);
    }
    if (left_out > 0) line("       … {}", plural(left_out, "other"));
  }

  static std::string wait_of(const executed_call& call) {
    return fmt::format("time passes: it waits in {} for {}", call.word,
                       format_duration(call.waits));
  }
  static std::string step_of(const executed_call& call) {
    auto text = words_of(call);
    const auto fault = fault_of(call.done);
    if (!fault.empty()) text += " = " + fault;
    return text + (call.file_size ? fmt::format("   the file has {} bytes", *call.file_size)
                                  : "   no file");
  }

  void search(const command_exploration& found) {
    std::string passes;
    for (const auto& one : found.passes) {
      if (one.runs == 0) continue;
      if (!passes.empty()) passes += "; ";
      passes += fmt::format("{} ({}{})", to_string(one.what), plural(one.runs, "run"),
                            one.finished ? "" : ", not finished");
    }
    if (passes.empty()) passes = "none: its time was over before it was known what to hold";
    wrapped(field("Search"), passes, indent);
    if (found.diverged > 0) {
      line("{}{} went another way than asked, and counted for nothing", field(""),
           plural(found.diverged, "run"));
    }
    if (!found.files.empty()) wrapped(field("Files"), first_of(found.files), indent);
    if (!found.not_held.empty()) {
      wrapped(field("Not held"),
              fmt::format("{}: only some orders touch {} from two sides; --watch holds {}",
                          first_of(found.not_held), them(found.not_held.size()),
                          them(found.not_held.size())),
              indent);
    }
    not_seen(found.noticed);
  }

  static std::string first_of(const std::vector<std::string>& names) {
    constexpr std::size_t most = 8;
    const std::span files(names);
    auto words = fmt::format("{}", fmt::join(files.first(std::min(most, files.size())), " "));
    if (files.size() > most) words += fmt::format(" and {} more", files.size() - most);
    return words;
  }

  static std::string_view them(std::size_t count) { return count == 1 ? "it" : "them"; }

  void not_seen(const supervision& noticed) {
    if (noticed.forced > 0) {
      wrapped(field("Not quiet"),
              fmt::format("{} after it had run for 20 ms, as it never rests: another run may go "
                          "another way",
                          plural(noticed.forced, "choice")),
              indent);
    }
    if (noticed.outwaited > 0) {
      wrapped(field("Too slow"),
              fmt::format("{} of its own ran out while calls were held, each time that the run was "
                          "made: what followed is in no order",
                          plural(noticed.outwaited, "time-out")),
              indent);
    }
    if (noticed.rings > 0) {
      wrapped(field("Not seen"),
              "what it does through io_uring or io_submit; --deny io_uring makes many programs use "
              "threads instead",
              indent);
    }
    if (noticed.shared_maps > 0) {
      wrapped(field("Not seen"),
              fmt::format("what it changes through {} of files",
                          plural(noticed.shared_maps, "shared mapping")),
              indent);
    }
  }

  // --- replayed

  void replayed(const command_finding& found) {
    line("");
    line("{}", found.state.bad ? paint("31", found.state.text) : paint("32", found.state.text));
    time_line(found);
    output("", found.output);
  }

  // --- faults

  void faults(const command_run& run, const fault_table& table) {
    line("");
    if (table.without.bad) {
      line("{}", paint("31", "It fails as it is, without a fault: " + table.without.text));
      return;
    }
    const auto count = [&](taken how) {
      return std::count_if(table.tried.begin(), table.tried.end(),
                           [&](const auto& one) { return one.how == how; });
    };
    const auto swallowed = count(taken::swallowed);
    const auto died = count(taken::died);
    const auto hung = count(taken::hung);
    if (swallowed > 0) {
      line("{}", paint("31", fmt::format("It swallows {}: it ends as if nothing had failed.",
                                         plural(static_cast<std::uint64_t>(swallowed), "fault"))));
    } else if (died > 0) {
      line("{}", paint("31", fmt::format("It dies of {}.",
                                         plural(static_cast<std::uint64_t>(died), "fault"))));
    } else if (hung > 0) {
      line("{}", paint("31", fmt::format("It hangs after {}.",
                                         plural(static_cast<std::uint64_t>(hung), "fault"))));
    } else if (table.tried.empty()) {
      line("No operation that a fault could hit.");
    } else {
      line("{}", paint("32", "It tells of every fault, or recovers."));
    }
    for (const auto how : {taken::swallowed, taken::died, taken::hung}) each_fault(table, how);
    if (const auto* const one = first_bad(table)) {
      line("Replay  {}", shell_command(replay_command(run, witness{}, one->fault.text)));
      output(fmt::format("of {}", one->fault.text), one->output);
    }
    for (const auto how : {taken::told, taken::recovered}) kinds_of_faults(table, how);
    wrapped(field("Tried"),
            fmt::format("{}, {}: {} swallowed, {} died, {} hung, {} told, {} recovered",
                        plural(table.operations, "operation"), plural(table.tried.size(), "fault"),
                        swallowed, died, hung, count(taken::told), count(taken::recovered)),
            indent);
    if (table.not_tried > 0) {
      line("{}{} more, for want of runs or time, or as they went another way", field("Not tried"),
           table.not_tried);
    }
    if (!table.unstable.empty() || !table.output_is_stable) {
      wrapped(field("Not judged"),
              fmt::format("{}, as two runs without a fault differ there",
                          fmt::join(unjudged(table), " ")),
              indent);
    }
    not_seen(table.noticed);
  }

  static std::vector<std::string> unjudged(const fault_table& table) {
    auto names = table.unstable;
    if (!table.output_is_stable) names.emplace_back("its output");
    return names;
  }

  static const tried_fault* first_bad(const fault_table& table) {
    for (const auto how : {taken::swallowed, taken::died, taken::hung}) {
      for (const auto& one : table.tried) {
        if (one.how == how) return &one;
      }
    }
    return nullptr;
  }

  void each_fault(const fault_table& table, taken how) {
    constexpr std::size_t most = 12;
    std::size_t count = 0;
    for (const auto& one : table.tried) {
      if (one.how != how || ++count > most) continue;
      auto then = one.state.text;
      if (!one.other_files.empty()) {
        then += fmt::format("; not as without it: {}", fmt::join(one.other_files, " "));
      } else if (how == taken::swallowed) {
        then += "; it may not be durable";
      }
      wrapped(
          fmt::format("  {:<10}", to_string(how)),
          fmt::format("{} of {} by {}: {}", one.fault.text, one.call.file, one.call.thread, then),
          12);
    }
    if (count > most) line("  … {} more {}", count - most, to_string(how));
  }

  // "write: ENOSPC EIO", of each operation.
  void kinds_of_faults(const fault_table& table, taken how) {
    std::map<std::string_view, std::set<std::string>> kinds;
    for (const auto& one : table.tried) {
      if (one.how != how) continue;
      const auto& text = one.fault.text;
      kinds[one.call.row->family].insert(text.substr(text.find('=') + 1));
    }
    if (kinds.empty()) return;
    std::string words;
    for (const auto& [operation, errors] : kinds) {
      words +=
          fmt::format("{}{}: {}", words.empty() ? "" : "; ", operation, fmt::join(errors, " "));
    }
    auto name = std::string(to_string(how));
    name[0] = static_cast<char>(name[0] - 'a' + 'A');
    wrapped(field(name), words, indent);
  }

  // ---

  static constexpr std::size_t indent = 14;
  static std::string field(std::string_view name) { return fmt::format("{:<13} ", name); }

  void output(std::string_view of, const std::string& text) {
    constexpr std::size_t most = 8;  // lines
    std::vector<std::string_view> lines;
    for (std::string_view rest = text; !rest.empty();) {
      const auto end = std::min(rest.find('\n'), rest.size());
      lines.push_back(rest.substr(0, end));
      rest.remove_prefix(std::min(rest.size(), end + 1));
    }
    if (lines.empty()) return;
    line("Output{}{}", of.empty() ? "" : " ", of);
    for (auto i = lines.size() - std::min(most, lines.size()); i < lines.size(); ++i) {
      line("  {}", lines[i]);
    }
  }
};

}  // namespace

std::vector<std::string> replay_command(const command_run& run, const witness& schedule,
                                        const std::string& fault) {
  std::vector<std::string> words = {run.asked.command.front(), "--replay", to_string(schedule)};
  if (!fault.empty()) words.insert(words.end(), {"--fault", fault});
  for (const auto& repeated : run.asked.of_schedules) {
    words.insert(words.end(), repeated.words.begin(), repeated.words.end());
  }
  words.emplace_back("--");
  words.insert(words.end(), run.command.begin(), run.command.end());
  return words;
}

std::string text_report(const command_run& run, bool color) {
  return command_writer(color).report(run);
}

}  // namespace filemap
