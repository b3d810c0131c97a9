// What a command came to, as JSON. What the fields mean stands in docs/command.schema.json; a test
// holds the two together.

#include "config.hpp"
#include "report/command.hpp"
#include "report/json_parts.hpp"
#include "report/names.hpp"

#include <string>
#include <utility>
#include <vector>

namespace filemap {

namespace {

json to_json(const counted_states& states) {
  return list(states, [](const auto& one) -> json {
    return {{"state", one.first.text}, {"bad", one.first.bad}, {"runs", one.second}};
  });
}

json to_json(const confirmation& counted) { return {{"bad", counted.bad}, {"runs", counted.runs}}; }

json number(const std::optional<std::uint64_t>& value) { return value ? json(*value) : json(); }

json to_json(const executed_call& call) {
  return {
      {"operation", call.is_time ? "time" : std::string(call.word)},
      {"thread", call.thread},
      {"thread_number", call.thread_number},
      {"file", known(call.file)},
      {"second_file", known(call.second)},
      {"bytes", number(call.size)},
      {"file_bytes", number(call.file_size)},
      {"fault", known(fault_of(call.done))},
      {"waits_in", call.is_time ? json(call.word) : json()},
      {"waits_seconds", call.is_time ? json(seconds(call.waits)) : json()},
      {"held_at_seconds", seconds(call.held)},
      {"at_seconds", seconds(call.at)},
  };
}

json to_json(const command_run& run, const command_finding& found) {
  json pair;
  if (found.pair) {
    pair = {
        {"earlier", found.pair->earlier},
        {"later", found.pair->later},
        {"in_this_order", to_json(found.pair->in_this_order)},
        {"in_the_other", to_json(found.pair->in_the_other)},
    };
  }
  return {
      {"witness", to_string(found.schedule)},
      {"state", found.state.text},
      {"bad", found.state.bad},
      {"confirmed", to_json(found.confirmed)},
      {"pair", pair},
      {"takes_seconds", found.takes ? json(seconds(*found.takes)) : json()},
      {"calls", list(found.calls, [](const auto& call) { return to_json(call); })},
      {"output", found.output},
      {"replay", replay_command(run, found.schedule)},
  };
}

json to_json(const command_run& run, const std::optional<command_finding>& found) {
  return found ? to_json(run, *found) : json();
}

json to_json(const command_rounds& rounds) {
  return {
      {"runs", rounds.runs},
      {"bad", rounds.bad},
      {"states", to_json(rounds.states)},
      {"median_seconds", seconds(rounds.took.percentile(50))},
      {"most_seconds", seconds(rounds.took.max())},
      {"left_behind", rounds.left},
      {"faults", rounds.failed},
      {"first_bad_run", known(rounds.failing_run)},
      {"first_bad_output", rounds.bad == 0 ? json() : json(rounds.failing_output)},
      {"seconds", seconds(rounds.spent)},
  };
}

json to_json(const supervision& noticed) {
  return {
      {"io_uring", noticed.rings},
      {"shared_mappings", noticed.shared_maps},
      {"not_quiet", noticed.forced},
      {"outwaited", noticed.outwaited},
  };
}

json to_json(const command_run& run, const command_exploration& found) {
  const auto passes = list(found.passes, [](const auto& one) -> json {
    return {{"pass", to_string(one.what)},
            {"runs", one.runs},
            {"bad", one.bad},
            {"finished", one.finished}};
  });
  return {
      {"by_order", to_json(run, found.by_order)},
      {"by_time", to_json(run, found.by_time)},
      {"unconfirmed", to_json(run, found.unconfirmed)},
      {"fails_as_it_is", found.fails_as_it_is},
      {"ended_well", found.ended_well},
      {"complete", found.complete},
      {"complete_of_each_file", found.complete_of_each_file},
      {"passes", passes},
      {"runs", found.runs},
      {"diverged", found.diverged},
      {"states", to_json(found.states)},
      {"files", found.files},
      {"files_not_held", found.not_held},
      {"not_seen", to_json(found.noticed)},
      {"out_of_time", found.out_of_time},
      {"seconds", seconds(found.spent)},
  };
}

json to_json(const command_run& run, const tried_fault& one) {
  return {
      {"fault", one.fault.text},
      {"operation", one.call.row->word},
      {"file", known(one.call.file)},
      {"thread", one.call.thread},
      {"taken", to_string(one.how)},
      {"state", one.state.text},
      {"other_files", one.other_files},
      {"output", one.output},
      {"replay", replay_command(run, witness{}, one.fault.text)},
  };
}

json to_json(const command_run& run, const fault_table& table) {
  return {
      {"state_without", table.without.text},
      {"fails_as_it_is", table.without.bad},
      {"operations", table.operations},
      {"tried", list(table.tried, [&](const auto& one) { return to_json(run, one); })},
      {"not_tried", table.not_tried},
      {"diverged", table.diverged},
      {"files_not_judged", table.unstable},
      {"output_judged", table.output_is_stable},
      {"not_seen", to_json(table.noticed)},
      {"out_of_time", table.out_of_time},
      {"seconds", seconds(table.spent)},
  };
}

}  // namespace

std::string json_report(const command_run& run) {
  const json report = {
      {"schema_version", 1},
      {"version", FILEMAP_VERSION},
      {"command", run.asked.command},
      {"subject", run.command},
      {"seed", std::to_string(run.asked.seed)},
      {"filesystem", known(run.filesystem.type)},
      {"rounds", run.rounds ? to_json(*run.rounds) : json()},
      {"exploration", run.explored ? to_json(run, *run.explored) : json()},
      {"replay", to_json(run, run.replayed)},
      {"faults", run.faults ? to_json(run, *run.faults) : json()},
      {"interrupted", run.interrupted},
      {"failure", known(run.failure)},
      {"exit_status", exit_status_of(run)},
  };
  return text_of(report) + '\n';
}

}  // namespace filemap
