// What a command came to, for a person: the answer first.

#include "base/units.hpp"
#include "report/command.hpp"
#include "report/names.hpp"
#include "report/styled_text.hpp"

#include <algorithm>
#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace filemap {

namespace {

using pass = search_pass::kind;

std::string plural(std::uint64_t count, std::string_view what) {
  return fmt::format("{} {}{}", format_count(count), what, count == 1 ? "" : "s");
}

std::string name_of(const executed_call& call) {
  if (call.is_time) return "time passes";
  auto text = fmt::format("{}({}", call.word, call.file);
  if (!call.second.empty()) text += ", " + call.second;
  if (call.size) text += fmt::format(", {} bytes", *call.size);
  return text + ')';
}

class writer : styled_text {
 public:
  using styled_text::styled_text;

  std::string report(const command_run& run) {
    line("{}", bold(shell_command(run.command)));
    if (run.rounds) rounds(run, *run.rounds);
    if (run.explored) explored(run, *run.explored);
    if (run.replayed) replayed(run, *run.replayed);
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
    if (rounds.bad > 0) output(fmt::format("of run {}", rounds.failing_run), rounds.failing_output);
  }

  // --- explored

  void explored(const command_run& run, const command_exploration& found) {
    line("");
    answer(found);
    if (found.by_order) finding(run, *found.by_order);
    if (found.by_time) finding(run, *found.by_time);
    search(found);
  }

  void answer(const command_exploration& found) {
    if (found.by_order && found.fails_as_it_is) {
      line("{}", paint("31", "It fails as it is."));
    } else if (found.by_order) {
      line("{}", paint("31", "An order of its file operations breaks it."));
    } else if (found.by_time) {
      line("{}",
           paint("33", "It breaks when an operation takes long; no order was found that does."));
    } else if (found.files.empty()) {
      line("No two of its threads or processes touch one file that a run changes.");
    } else if (found.complete) {
      line("{}", paint("32", "No order of its file operations breaks it."));
    } else {
      line("No order was found that breaks it; not all were tried.");
    }
  }

  void finding(const command_run& run, const command_finding& found) {
    const auto& calls = found.calls;
    if (found.pair) {
      const auto& pair = *found.pair;
      const auto& first = calls[pair.earlier];
      const auto& second = calls[pair.later];
      wrapped("Why   ",
              fmt::format("{} by {} was executed before {} by {}", name_of(first), who(first),
                          name_of(second), who(second)),
              6);
      line("      {} of {} runs fail in this order, {} of {} in the other", pair.in_this_order.bad,
           pair.in_this_order.runs, pair.in_the_other.bad, pair.in_the_other.runs);
    }
    if (found.takes) {
      line("Why   it fails when what is held takes {} or longer", format_duration(*found.takes));
    }
    line("End   {}, {} of {} times", found.state.text, found.confirmed.bad, found.confirmed.runs);
    time_line(found);
    line("Replay  {}", shell_command(replay(run, found)));
    output("", found.output);
  }

  static std::string who(const executed_call& call) {
    return fmt::format("{}/{}", call.thread, call.thread_number);
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
      if (found.calls[i].is_time) show(i);
    }
    show(count - 1);
    show(0);
    return shown;
  }

  void time_line(const command_finding& found) {
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
      const auto text = fmt::format("{:>4} {} {:<18} {}{}", i + 1, decides ? '>' : ' ',
                                    call.is_time ? "" : who(call), name_of(call), saw(call));
      line("{}", decides ? bold(text) : text);
    }
    if (left_out > 0) line("       … {}", plural(left_out, "other"));
  }

  static std::string saw(const executed_call& call) {
    if (call.is_time) return "";
    return call.file_size ? fmt::format("   the file has {} bytes", *call.file_size) : "   no file";
  }

  static std::vector<std::string> replay(const command_run& run, const command_finding& found) {
    std::vector<std::string> words = {run.asked.command.front(), "--replay",
                                      to_string(found.schedule)};
    words.insert(words.end(), run.options.begin(), run.options.end());
    words.emplace_back("--");
    words.insert(words.end(), run.command.begin(), run.command.end());
    return words;
  }

  void search(const command_exploration& found) {
    std::string passes;
    for (const auto& one : found.passes) {
      if (one.runs == 0) continue;
      if (!passes.empty()) passes += "; ";
      passes += fmt::format("{} ({}{})", to_string(one.what), plural(one.runs, "run"),
                            one.finished ? "" : ", not finished");
    }
    wrapped("Search        ", passes, 14);
    if (found.diverged > 0) {
      line("              {} went another way than asked, and counted for nothing",
           plural(found.diverged, "run"));
    }
    if (found.noticed.forced > 0) {
      line(
          "              it was not quiet {} times; the choice was made after it had run for 20 ms",
          found.noticed.forced);
    }
    constexpr std::size_t most = 8;
    const std::span files(found.files);
    auto words = fmt::format("{}", fmt::join(files.first(std::min(most, files.size())), " "));
    if (files.size() > most) words += fmt::format(" and {} more", files.size() - most);
    if (!files.empty()) wrapped("Files         ", words, 14);
    if (!found.not_held.empty()) {
      wrapped(
          "Not held      ",
          fmt::format("{}: only some orders touch {} from two sides; --watch holds {}",
                      fmt::join(found.not_held, " "), found.not_held.size() == 1 ? "it" : "them",
                      found.not_held.size() == 1 ? "it" : "them"),
          14);
    }
    if (found.noticed.rings > 0) {
      wrapped("Not seen      ",
              "what it does through io_uring; --deny io_uring makes many programs use threads", 14);
    }
    if (found.noticed.shared_maps > 0) {
      wrapped("Not seen      ",
              fmt::format("what it changes through {} of files",
                          plural(found.noticed.shared_maps, "shared mapping")),
              14);
    }
  }

  // --- replayed

  void replayed(const command_run& run, const command_finding& found) {
    line("");
    line("{}", found.state.bad ? paint("31", found.state.text) : paint("32", found.state.text));
    time_line(found);
    output("", found.output);
    static_cast<void>(run);
  }

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

std::string text_report(const command_run& run, bool color) { return writer(color).report(run); }

}  // namespace filemap
