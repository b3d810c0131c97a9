#include "base/units.hpp"
#include "report/names.hpp"
#include "report/report.hpp"
#include "report/styled_text.hpp"

namespace filemap {

namespace {

class model_writer : styled_text {
 public:
  using styled_text::styled_text;

  std::string report(const litmus::test& test, const std::vector<modelled>& modes) {
    line("{}", bold(test.name + ": " + test.question));
    for (const auto& [mode, result, took] : modes) {
      line("");
      line("{}", bold(mode.name));
      for (const auto& state : result.allowed) {
        line("  {} {}", counts(test.condition, state) ? '*' : ' ', to_string(test, state));
      }
      if (result.deadlocks) line("    Some schedules wait for ever.");
      if (!result.complete) {
        line("    The search was ended early ({}): others may be allowed too.",
             to_string(result.why));
      }
      notes(result);
      const auto bad = counted(test, result.allowed);
      const auto all = result.allowed.size();
      line("Model {}/{} {} {} {}", test.name, mode.name, litmus::frequency_word(bad, all), bad,
           all - bad);
      line("States {} in {}", format_count(result.states), format_duration(took));
    }
    return take();
  }

 private:
  // Where some of what is allowed is more than is promised.
  void notes(const litmus::model_result& result) {
    for (const auto excess : noted(result.exceeding)) {
      wrapped("    Note: ", to_string(excess), 6);
    }
  }
};

}  // namespace

std::string model_report(const litmus::test& test, const std::vector<modelled>& modes, bool color) {
  return model_writer(color).report(test, modes);
}

}  // namespace filemap
