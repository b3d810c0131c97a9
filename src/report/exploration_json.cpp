// An exploration as JSON. What the fields mean stands in docs/exploration.schema.json; a test holds
// the two together.

#include "filemap/explore/verdict.hpp"

#include "config.hpp"
#include "report/exploration.hpp"
#include "report/json_parts.hpp"

#include <string>
#include <vector>

namespace filemap {

namespace {

using litmus::exploration_result;

std::string operation(const litmus::test& test, const litmus::executed_schedule& done,
                      std::size_t step) {
  return name_of(test, done.steps[step]);
}

json to_json(const litmus::test& test, const litmus::explanation& why,
             const litmus::executed_schedule& done) {
  json needed;
  if (why.needed) {
    needed = {
        {"acknowledged_early", why.needed->acknowledged_early},
        {"before", operation(test, done, why.needed->earlier)},
        {"after", why.needed->later == why.needed->earlier
                      ? "the end of the round"
                      : operation(test, done, why.needed->later)},
        {"queued_is_enough", why.needed->queued_is_enough},
        {"path", list(why.needed->path, [&](auto at) { return operation(test, done, at); })},
    };
  }
  const auto mended = list(why.mended_by, [](const auto& one) -> json {
    return {{"change", one.change},
            {"program", one.program},
            {"schedules", one.schedules},
            {"violating", one.violating}};
  });
  return {
      {"no_order_helps", why.no_order_helps},
      {"needed", needed},
      {"mended_by", mended},
      {"complete", why.complete},
  };
}

json to_json(const litmus::test& test, const exploration_result& result, bool strict) {
  const std::vector<litmus::excess> none;
  const auto states = list(result.states, [&](const auto& seen) -> json {
    const auto& [state, schedules] = seen;
    const auto taken = result.exceeding.find(state);
    return {
        {"state", to_string(test, state)},
        {"schedules", schedules},
        {"violates", counts(test.condition, state)},
        {"allowed",
         result.not_judged.contains(state) ? json() : json(!result.not_allowed.contains(state))},
        {"notes", list(taken == result.exceeding.end() ? none : taken->second,
                       [](auto excess) { return to_string(excess); })}};
  });
  json violation;
  if (result.violation) {
    violation = {
        {"witness", to_string(result.violation->witness)},
        {"state", to_string(test, result.violation->state)},
        {"why", result.why ? to_json(test, *result.why, *result.violation) : json()},
    };
  }
  return {
      {"verdict", to_string(verdict_of(test, result, strict))},
      {"schedules", result.schedules},
      {"violating", result.violating},
      {"deadlocks", result.deadlocks},
      {"cut", result.cut},
      {"sampled", result.sampled},
      {"complete", result.complete},
      {"not_searched", known(result.not_searched)},
      {"seconds", seconds(result.spent)},
      {"states", states},
      {"allowed_states", result.judged ? json(result.allowed.size()) : json()},
      {"as_allowed", result.judged ? json(result.as_allowed()) : json()},
      {"violation", violation},
      {"deadlock", result.deadlock ? json(to_string(result.deadlock->witness)) : json()},
  };
}

json to_json(const litmus::test& test, const explored_mode& mode, bool strict) {
  return {
      {"mode", mode.mode.name},
      {"cannot_run", known(mode.cannot_run)},
      {"failure", known(mode.failure)},
      {"result", mode.result ? to_json(test, *mode.result, strict) : json()},
  };
}

json to_json(const explored_test& explored, bool strict) {
  return {
      {"name", explored.test.name},
      {"question", explored.test.question},
      {"modes", list(explored.modes,
                     [&](const auto& mode) { return to_json(explored.test, mode, strict); })},
  };
}

}  // namespace

std::string json_report(const exploration_run& run) {
  const auto failures = run.failures();
  const json report = {
      {"schema_version", 1},
      {"version", FILEMAP_VERSION},
      {"command", run.asked.command},
      {"seed", std::to_string(run.asked.seed)},
      {"filesystem", known(run.filesystem.type)},
      {"tests",
       list(run.tests, [&](const auto& explored) { return to_json(explored, run.asked.strict); })},
      {"interrupted", run.interrupted},
      {"failure", failures.empty() ? json() : json(failures.front())},
      {"exit_status", exit_status_of(run)},
  };
  return text_of(report) + '\n';
}

}  // namespace filemap
