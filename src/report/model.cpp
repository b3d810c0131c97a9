#include "report/report.hpp"
#include "units.hpp"

#include <iterator>

#include <fmt/format.h>

namespace filemap {

std::string model_report(const litmus::test& test, const std::vector<modelled>& modes, bool color) {
  std::string text;
  const auto line = [&]<typename... Args>(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
    text += '\n';
  };
  const auto bold = [&](const std::string& what) {
    return color ? "\x1b[1m" + what + "\x1b[0m" : what;
  };
  line("{}", bold(test.name + ": " + test.question));
  for (const auto& [mode, result, took] : modes) {
    line("");
    line("{}", bold(mode.name));
    for (const auto& state : result.allowed) {
      line("  {} {}", counts(test.condition, state) ? '*' : ' ', to_string(test, state));
    }
    if (result.deadlocks) line("    Some schedules wait for ever.");
    if (!result.complete)
      line("    The search was ended early: other outcomes may be allowed too.");
    const auto bad = counted(test, result.allowed);
    const auto all = result.allowed.size();
    line("Model {}/{} {} {} {}", test.name, mode.name, litmus::frequency_word(bad, all), bad,
         all - bad);
    line("States {} in {}", format_count(result.states), format_duration(took));
  }
  return text;
}

}  // namespace filemap
