// Rounds as a time line that Perfetto (ui.perfetto.dev) and chrome://tracing open: Chrome's trace
// event format. A round is a "process" of the trace:
//
//   round      │ size-zero ──────────────────────────────────────────────────────────────────── │
//   writer     │ append ─┬ store notify                                          called → returned
//   flusher    │ wait ───│────────────────── load fsync ─┬─────────── store notify
//   reader     │ wait ───│───────────────────────────────│─────────────────── load statx …
//   queue      │         │ append (queued) ─────────     │                   submitted → started
//   worker 1   │         │                               └► fsync ──           started → returned
//   worker 2   │         └───────────────────────────────────────────► append
//
// An arrow (a flow) leads from a step to what the engine did for it. A ring does not say when an
// operation starts; there it is one slice, submitted → returned, on the track "ring".
//
// The slices of a track must nest, or Perfetto drops some (github.com/google/perfetto/issues/4280).
// Operations overlap as they like, so such a track has as many lanes as it needs.

#include "report/json_parts.hpp"
#include "report/names.hpp"
#include "report/report.hpp"
#include "report/trace_parts.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace filemap {

namespace {

using litmus::mode_result;
using litmus::round_trace;
using litmus::step;

// A tid is one of these, plus the process's index, the worker's number or `next_lane` for each
// lane.
enum track : unsigned {
  first_task = 1,
  whole_round = 90,
  queue = 98,
  ring = 99,
  loop_thread = 100,  // and the workers from 1
  next_lane = 10'000,
};

class round_writer {
 public:
  round_writer(unsigned pid, const litmus::test& test, const mode_result& mode,
               const round_trace& trace)
      : pid_(pid), test_(test), mode_(mode), trace_(trace), conflict_(test) {}

  // The names of the tracks, then the events by time.
  void write(std::vector<json>& events) {
    whole();
    for (const auto& step : trace_.steps) task_view(step);
    for (const auto& step : trace_.steps) engine_view(step);

    const bool hazard = trace_.seen.what == litmus::outcome::ok;
    metadata("process_name", whole_round, "name",
             fmt::format("{} round {}: {}{}", mode_.mode.name, trace_.round, trace_.seen.label(),
                         hazard ? " (hazard)" : ""));
    for (const auto& [tid, title] : tracks_) {
      metadata("thread_name", tid, "name", title);
      metadata("thread_sort_index", tid, "sort_index", tid == whole_round ? 0 : tid);
    }
    std::stable_sort(events_.begin(), events_.end(), [](const json& a, const json& b) {
      return a.value("ts", -1.0) < b.value("ts", -1.0);
    });
    std::move(events_.begin(), events_.end(), std::back_inserter(events));
  }

 private:
  double since_start(instant when) const { return microseconds(when - trace_.start); }

  void whole() {
    auto end = trace_.start;
    for (const auto& step : trace_.steps) end = std::max({end, step.returned, step.io.returned});
    const auto& seen = trace_.seen;
    tracks_[whole_round] = "round";
    slice(whole_round, seen.label(), trace_.start, end,
          {{"round", trace_.round},
           {"outcome", to_string(seen.what)},
           {"flushed_bytes", seen.flushed},
           {"size_bytes", seen.size},
           {"read_bytes", seen.read}});
  }

  // What the process saw of a step.
  void task_view(const step& step) {
    const auto tid = first_task + step.process;
    tracks_[tid] = process_name(test_, step.process);
    auto args = json::object();
    if (const auto operand = operand_name(test_, step.what); !operand.empty()) {
      args["operand"] = operand;
    }
    if (step.acknowledged_early()) args["acknowledged_early"] = true;
    slice(tid, to_string(step.what.what), step.called, step.returned, std::move(args));
  }

  // What became of it in the engine.
  void engine_view(const step& step) {
    const auto& io = step.io;
    if (!step.began()) return;
    const std::string what(to_string(step.what.what));
    const bool started = io.started != instant{};
    if (started && io.started > io.submitted) {
      slice(free_lane(queue, "queue", io.submitted, io.started), what + " (queued)", io.submitted,
            io.started, json::object(), "grey");
    }
    const auto begin = started ? io.started : io.submitted;
    const auto tid = executor(io, begin);
    slice(tid, what, begin, io.returned, execution(step));
    flow(what, {first_task + step.process, step.called}, {tid, begin});
  }

  unsigned executor(const io_record& io, instant begin) {
    if (io.started == instant{}) {
      const bool is_driver = mode_.mode.engine == litmus::engine_kind::driver;
      return free_lane(ring, is_driver ? "driver" : "ring", begin, io.returned);
    }
    if (io.worker == 0) return free_lane(loop_thread, "loop", begin, io.returned);
    return free_lane(loop_thread + io.worker, fmt::format("worker {}", io.worker), begin,
                     io.returned);
  }

  json execution(const step& step) const {
    json args = {
        {"process", process_name(test_, step.process)},
        {"handle", operand_name(test_, step.what)},
        {"result", step.io.res < 0 ? json(error_name(step.io.error())) : json(step.io.res)},
    };
    each_overtaking(trace_.steps, conflict_,
                    [&](const auto& later, const auto& earlier, auto verdict) {
                      if (&later != &step || verdict != litmus::overtaking::yes) return;
                      args["overtook"].push_back(to_string(earlier.what.what));
                    });
    return args;
  }

  // The first lane of a track where nothing else is from `begin` to `end`.
  unsigned free_lane(unsigned tid, const std::string& title, instant begin, instant end) {
    for (unsigned lane = 1;; ++lane, tid += next_lane) {
      auto& taken = taken_[tid];
      const bool clear = std::all_of(taken.begin(), taken.end(), [&](const auto& other) {
        return other.second <= begin || end <= other.first;
      });
      if (!clear) continue;
      taken.emplace_back(begin, end);
      tracks_[tid] = lane == 1 ? title : fmt::format("{} ({})", title, lane);
      return tid;
    }
  }

  // --- events

  void metadata(std::string_view what, unsigned tid, const char* key, const json& value) {
    events_.push_back(trace_metadata(pid_, what, tid, key, value));
  }

  void slice(unsigned tid, std::string_view title, instant begin, instant end, json args,
             const char* color = nullptr) {
    events_.push_back(trace_slice(pid_, tid, title, begin - trace_.start, end - trace_.start,
                                  std::move(args), color));
  }

  void flow(const std::string& title, std::pair<unsigned, instant> from,
            std::pair<unsigned, instant> to) {
    const auto id = (std::uint64_t{pid_} << 32) + ++flows_;
    const auto end = [&](const char* phase, const auto& where) -> json {
      return {{"ph", phase},
              {"name", title},
              {"cat", "execution"},
              {"id", id},
              {"pid", pid_},
              {"tid", where.first},
              {"ts", since_start(where.second)}};
    };
    events_.push_back(end("s", from));
    events_.push_back(end("f", to));
    events_.back()["bp"] = "e";  // to the slice that it falls into, not to the next one
  }

  const unsigned pid_;
  const litmus::test& test_;
  const mode_result& mode_;
  const round_trace& trace_;
  const litmus::conflicts conflict_;
  std::vector<json> events_;
  std::map<unsigned, std::string> tracks_;
  std::map<unsigned, std::vector<std::pair<instant, instant>>> taken_;
  unsigned flows_ = 0;
};

}  // namespace

std::string trace_report(std::span<const run_result> runs) {
  std::vector<json> events;
  unsigned pid = 1;
  for (const auto& run : runs) {
    for (const auto& mode : run.modes) {
      for (const auto& trace : mode.violations.empty() ? mode.hazardous : mode.violations) {
        round_writer(pid++, run.test, mode, trace).write(events);
      }
    }
  }
  return trace_text(events);
}

}  // namespace filemap
