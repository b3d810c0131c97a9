// A run as JSON: one function for each thing, a member for each field. What the fields mean, and in
// which unit, stands in docs/result.schema.json; a test holds the two together.
//
// What is not known is null, never 0 or "".

#include "base/units.hpp"
#include "config.hpp"
#include "report/json_parts.hpp"
#include "report/names.hpp"
#include "report/report.hpp"

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace filemap {

// The words for what has no to_string() of its own. nlohmann finds them by their namespaces.
namespace litmus {
NLOHMANN_JSON_SERIALIZE_ENUM(engine_kind, {{engine_kind::uring, "uring"},
                                           {engine_kind::pool, "pool"},
                                           {engine_kind::sync, "sync"},
                                           {engine_kind::driver, "driver"}})
NLOHMANN_JSON_SERIALIZE_ENUM(handle_kind, {{handle_kind::clone, "clone"},
                                           {handle_kind::shared, "shared"},
                                           {handle_kind::reopen, "reopen"}})
NLOHMANN_JSON_SERIALIZE_ENUM(flusher_sync, {{flusher_sync::fsync, "fsync"},
                                            {flusher_sync::fdatasync, "fdatasync"},
                                            {flusher_sync::none, "none"}})
}  // namespace litmus

namespace {

using litmus::mode_result;
using litmus::outcome;

json ratio(std::uint64_t count, double of) {
  return of > 0 ? json(static_cast<double>(count) / of) : json();
}

// --- what was asked for

json to_json(const litmus::process_declaration& process, const litmus::test& test) {
  const auto as_text = [&](const litmus::statement& statement) {
    const auto operand = operand_name(test, {statement.what, statement.operand});
    return std::string(to_string(statement.what)) + (operand.empty() ? "" : " ") + operand;
  };
  return {
      {"name", known(process.name)},
      {"times", known(process.times)},
      {"instructions", list(process.body, as_text)},
  };
}

json to_json(const litmus::test& test, const litmus::experiment_options& asked) {
  const bool experiment = checks_itself(test);  // else a litmus test, which says it all
  return {
      {"name", test.name},
      {"question", test.question},
      {"source", known(test.source)},
      {"size_bytes", experiment ? json(asked.size) : json()},
      {"writes", experiment ? json(asked.writes) : json()},
      {"handles", experiment ? json(asked.handles) : json()},
      {"sync", experiment ? json(asked.sync) : json()},
      {"processes",
       list(test.processes, [&](const auto& process) { return to_json(process, test); })},
  };
}

json to_json(const run_settings& asked) {
  return {
      {"iterations", known(asked.iterations)},
      {"duration_seconds", asked.duration ? json(seconds(*asked.duration)) : json()},
      {"lanes", asked.lanes},
      {"reuse_file", asked.reuse_file},
      {"direct", asked.direct},
      {"dir", asked.dir.string()},
      {"pool_threads", asked.pool_threads},
      {"pool_sharded", asked.pool_sharded},
      {"entries", asked.ring.entries},
      {"sqpoll", asked.ring.sqpoll},
      {"defer_taskrun", asked.ring.defer_taskrun},
      {"iosqe_async", asked.ring.force_async},
      {"ops", asked.ring.ceiling ? json(to_string(*asked.ring.ceiling)) : json()},
      {"stalls", list(asked.stalls, [](const stall_option& stall) { return stall.text; })},
      {"round_timeout_ms", asked.round_timeout.count()},
      {"strict", asked.strict},
      {"stop_on_violation", asked.stop_on_violation},
  };
}

// --- one round

// A failed operation or a hang ends a round before its reader has looked, or leaves what it saw of
// an earlier look.
json to_json(const litmus::observation& seen) {
  const bool failed = seen.what == outcome::error;
  const auto looked = [&](std::uint64_t bytes) {
    return failed || seen.what == outcome::hang ? json() : json(bytes);
  };
  return {
      {"outcome", to_string(seen.what)},
      {"wrong_bytes",
       seen.wrong == litmus::wrong_bytes::none ? json() : json(to_string(seen.wrong))},
      {"failed_operation", failed ? json(to_string(seen.failed)) : json()},
      {"error", failed && seen.error != 0 ? json(error_name(seen.error)) : json()},
      {"flushed_bytes", looked(seen.flushed)},
      {"size_bytes", looked(seen.size)},
      {"read_bytes", looked(seen.read)},
  };
}

json since(instant start, instant when) {
  return when == instant{} ? json() : json(nanoseconds(when - start).count());
}

json to_json(const io_record& io, instant start) {
  if (!io.complete()) return nullptr;
  return {
      {"submitted_ns", since(start, io.submitted)},
      {"started_ns", since(start, io.started)},
      {"returned_ns", since(start, io.returned)},
      {"worker", known(io.worker)},
      {"result", io.res < 0 ? json() : json(io.res)},
      {"error", io.res < 0 ? json(error_name(io.error())) : json()},
  };
}

json to_json(const litmus::step& step, instant start, const litmus::test& test) {
  const auto clock = std::span(step.clock).first(test.processes.size());
  return {
      {"process", process_name(test, step.process)},
      {"verb", to_string(step.what.what)},
      {"operand", known(operand_name(test, step.what))},
      {"called_ns", since(start, step.called)},
      {"returned_ns", since(start, step.returned)},
      {"operation", to_json(step.io, start)},
      {"clock", clock},
  };
}

json to_json(const litmus::round_trace& trace, const litmus::test& test) {
  return {
      {"round", trace.round},
      {"seen", to_json(trace.seen)},
      {"steps",
       list(trace.steps, [&](const auto& step) { return to_json(step, trace.start, test); })},
  };
}

// --- one mode

json observation_of(const mode_result& mode) {
  const auto bad = mode.violation_count();
  return {{"word", observation_word(mode)}, {"bad", bad}, {"good", good_rounds(mode)}};
}

json violations_of(const mode_result& mode) {
  constexpr double confidence = 0.95;
  const auto count = mode.violation_count();
  const auto range = proportion_interval(count, mode.rounds, confidence);
  return {
      {"count", count},           {"rate", ratio(count, static_cast<double>(mode.rounds))},
      {"low", range.low},         {"high", range.high},
      {"confidence", confidence},
  };
}

json to_json(const litmus::hazards& hazards) {
  return {
      {"rounds", hazards.rounds},
      {"unknown_rounds", hazards.unknown},
      {"pairs", list(hazards.pairs,
                     [](const auto& entry) {
                       const auto& [pair, count] = entry;
                       return json{{"later", to_string(pair.first)},
                                   {"earlier", to_string(pair.second)},
                                   {"count", count}};
                     })},
  };
}

json histogram_of(const mode_result& mode) {
  return list(mode.histogram, [](const auto& entry) {
    const auto& [label, line] = entry;
    return json{{"outcome", to_string(line.first.what)},
                {"label", label},
                {"rounds", line.rounds},
                {"first", to_json(line.first)}};
  });
}

json states_of(const mode_result& mode, const litmus::test& test) {
  if (!mode.model) return nullptr;
  return list(mode.states, [&](const auto& entry) {
    const auto& [state, line] = entry;
    return json{{"state", to_string(test, state)},
                {"rounds", line.rounds},
                {"asked_about", line.counts},
                {"allowed", line.allowed || line.judged ? json(line.allowed) : json()},
                {"notes", list(excesses_of(*mode.model, state),
                               [](auto excess) { return to_string(excess); })}};
  });
}

json model_of(const mode_result& mode, const litmus::test& test) {
  if (!mode.model) return nullptr;
  return {
      {"allowed",
       list(mode.model->allowed, [&](const auto& state) { return json(to_string(test, state)); })},
      {"not_seen", list(mode.states_not_seen(),
                        [&](const auto* state) { return json(to_string(test, *state)); })},
      {"searched_states", mode.model->states},
      {"complete", mode.model->complete},
      {"cut_short", mode.model->complete ? json() : json(to_string(mode.model->why))},
      {"unexpected_rounds", is_judged(mode) ? json(mode.unexpected_count()) : json()},
  };
}

json to_json(std::string_view operation, std::string_view seen_by, const latency_summary& latency) {
  return {
      {"operation", operation},         {"seen_by", seen_by},
      {"count", latency.count},         {"min", latency.min.count()},
      {"p50", latency.p50.count()},     {"p99", latency.p99.count()},
      {"p99_9", latency.p99_9.count()}, {"max", latency.max.count()},
      {"mean", latency.mean.count()},
  };
}

json latencies_of(const mode_result& mode) {
  auto result = json::array();
  const auto add = [&](litmus::verb verb, std::string_view seen_by, const auto& latency) {
    if (latency.count > 0) result.push_back(to_json(to_string(verb), seen_by, latency));
  };
  for (const auto& [what, latency] : mode.latency) add(what, "program", latency);
  add(litmus::verb::append, "execution", mode.append_executed);
  return result;
}

json to_json(const operation_ceiling& ceiling) {
  return {{"version", to_string(ceiling.version)}, {"enforced", ceiling.enforced}};
}

// Null where there was no engine to ask, because the mode cannot run.
json to_json(const engine_traits& traits) {
  if (traits.name.empty()) return nullptr;
  return {
      {"name", traits.name},
      {"start_observable", traits.start_observable},
      {"features", traits.features},
      {"substitutions", traits.substitutions},
      {"ceiling", traits.ceiling ? to_json(*traits.ceiling) : json()},
  };
}

json to_json(const mode_result& mode, const run_result& run) {
  const auto traced = [&](const auto& trace) { return to_json(trace, run.test); };
  return {
      {"mode", mode.mode.name},
      {"engine", mode.mode.engine},
      {"command", known(mode.mode.command)},
      {"acknowledgement", to_string(mode.mode.when)},
      {"flush", mode.mode.flush},
      {"stale_read", mode.mode.allows_stale_reads() ? "allowed" : "forbidden"},
      {"verdict", to_string(verdict_of(mode, run.asked->strict))},
      {"cannot_run", known(mode.cannot_run)},
      {"rounds", mode.rounds},
      {"observation", observation_of(mode)},
      {"violations", violations_of(mode)},
      {"hazards", to_json(mode.hazards)},
      {"histogram", histogram_of(mode)},
      {"states", states_of(mode, run.test)},
      {"model", model_of(mode, run.test)},
      {"measured_seconds", seconds(mode.measured)},
      {"rounds_per_second", mode.rounds == 0 ? json() : ratio(mode.rounds, seconds(mode.measured))},
      {"latencies_ns", latencies_of(mode)},
      {"engine_traits", to_json(mode.engine)},
      {"violating_rounds", list(mode.violations, traced)},
      {"first_hazard", mode.hazardous.empty() ? json() : traced(mode.hazardous.front())},
  };
}

json to_json(const difference& pair) {
  return {{"more", pair.more}, {"less", pair.less}, {"p", pair.p}};
}

// --- what it must be read with

json to_json(const host_info& host) {
  return {
      {"kernel_release", known(host.kernel_release)},
      {"kernel_version", known(host.kernel_version)},
      {"machine", known(host.machine)},
      {"cpu_model", known(host.cpu_model)},
      {"cpus", known(host.cpus)},
      {"memory_bytes", known(host.memory_bytes)},
      {"hypervisor", host.hypervisor},
      {"clock_source", known(host.clock_source)},
  };
}

json to_json(const block_device& device) {
  return {
      {"model", known(device.model)},
      {"rotational", device.rotational ? json(*device.rotational) : json()},
      {"scheduler", known(device.scheduler)},
      {"write_cache", known(device.write_cache)},
  };
}

json to_json(const filesystem_info& filesystem) {
  return {
      {"type", known(filesystem.type)},
      {"mount_point", known(filesystem.mount_point)},
      {"mount_options", known(filesystem.mount_options)},
      {"source", known(filesystem.source)},
      {"device", to_json(filesystem.device)},
      {"free_bytes", filesystem.free_bytes},
      {"caveat", known(filesystem.caveat)},
  };
}

json to_json(const ring_support& ring) {
  const bool can = ring.available;
  return {
      {"available", can},
      {"why", known(ring.why)},
      {"advice", known(ring.advice)},
      {"features", can ? json(ring.features.names()) : json()},
      {"substitutions", can ? json(ring.features.substitutions()) : json()},
      {"feature_bits", can ? json(ring.feature_bits) : json()},
      {"opcodes", ring.probed ? json(ring.opcodes) : json()},
  };
}

json failure_of(const run_result& run) {
  if (run.failure.empty()) return nullptr;
  return {{"message", run.failure}, {"cannot_run", run.cannot_run}};
}

json command_of(const run_result& run) {
  return {{"argv", run.asked->command}, {"shell", shell_command(run.asked->command)}};
}

json to_json(const run_result& run, json command) {
  return {
      {"schema_version", 1},
      {"tool", {{"name", "filemap-uring"}, {"version", FILEMAP_VERSION}}},
      {"command", std::move(command)},
      {"seed", std::to_string(run.asked->seed)},
      {"interrupted", run.interrupted},
      {"failure", failure_of(run)},
      {"exit_status", run.exit_status},
      {"test", to_json(run.test, run.asked->experiment)},
      {"parameters", to_json(*run.asked)},
      {"modes", list(run.modes, [&](const auto& mode) { return to_json(mode, run); })},
      {"significant_differences",
       list(significant_differences(run.modes), [](const auto& pair) { return to_json(pair); })},
      {"host", to_json(run.host)},
      {"filesystem", to_json(run.filesystem)},
      {"ring", to_json(run.ring)},
  };
}

}  // namespace

std::string json_report(std::span<const run_result> runs) {
  const auto command = command_of(runs.front());
  if (runs.size() == 1) return text_of(to_json(runs.front(), command)) + '\n';
  std::string text;
  const auto add = [&text](std::string_view lines, std::string_view indent) {
    for (const char c : lines) {
      text += c;
      if (c == '\n') text += indent;
    }
  };
  text = "{\n  \"schema_version\": 1,\n  \"command\": ";
  add(text_of(command), "  ");
  text += ",\n  \"runs\": [";
  // One after the other, as the tree of a run is many times its text; and none repeats the command,
  // which names them all.
  for (const auto& run : runs) {
    text += &run == &runs.front() ? "\n    " : ",\n    ";
    add(text_of(to_json(run, nullptr)), "    ");
  }
  return text + "\n  ]\n}\n";
}

}  // namespace filemap
