#include "report/report.hpp"
#include "report/sample_result.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace filemap {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

/// A parsed trace, with the questions that the tests ask.
class trace {
 public:
  explicit trace(const run_result& run) : all_(json::parse(trace_report(run))) {}

  const json& all() const { return all_; }
  const json& events() const { return all_["traceEvents"]; }

  std::vector<json> of(const std::string& phase, const std::string& name = "") const {
    std::vector<json> found;
    for (const auto& event : events()) {
      if (event["ph"] == phase && (name.empty() || event["name"] == name)) found.push_back(event);
    }
    return found;
  }
  /// The title of an event's track.
  std::string track(const json& event) const {
    for (const auto& named : of("M", "thread_name")) {
      if (named["pid"] == event["pid"] && named["tid"] == event["tid"])
        return named["args"]["name"];
    }
    return "";
  }
  /// The slice of this name on this track; null when there is none.
  json slice(const std::string& title, const std::string& name) const {
    for (const auto& event : of("X", name)) {
      if (track(event) == title) return event;
    }
    return nullptr;
  }

 private:
  json all_;
};

json when(double ts, double dur) { return {{"ts", ts}, {"dur", dur}}; }
json when(const json& slice) { return {{"ts", slice.at("ts")}, {"dur", slice.at("dur")}}; }

/// What holds for every trace.
void expect_sound(const trace& trace) {
  EXPECT_EQ(trace.all()["displayTimeUnit"], "ns");
  std::map<json, std::vector<std::pair<double, double>>> tracks;
  for (const auto& slice : trace.of("X")) {
    EXPECT_GE(slice["ts"], 0.0) << slice;
    EXPECT_GE(slice["dur"], 0.0) << slice;
    EXPECT_NE(trace.track(slice), "") << slice;
    const double begin = slice["ts"];
    tracks[{slice["pid"], slice["tid"]}].emplace_back(begin, begin + slice["dur"].get<double>());
  }
  constexpr double rounding = 1e-6;
  for (const auto& [id, slices] : tracks) {  // in the order in which they stand there
    for (std::size_t i = 1; i < slices.size(); ++i) {
      EXPECT_LE(slices[i - 1].first, slices[i].first) << id;
      EXPECT_LE(slices[i - 1].second, slices[i].first + rounding) << id << ": slices overlap";
    }
  }
  std::map<json, json> starts;
  for (const auto& start : trace.of("s")) EXPECT_TRUE(starts.emplace(start["id"], start).second);
  for (const auto& finish : trace.of("f")) {
    ASSERT_EQ(starts.count(finish["id"]), 1U) << finish;
    const auto& start = starts[finish["id"]];
    EXPECT_EQ(start["name"], finish["name"]);
    EXPECT_LE(start["ts"], finish["ts"]);
    EXPECT_EQ(finish["bp"], "e");
    starts.erase(finish["id"]);
  }
  EXPECT_TRUE(starts.empty()) << "a flow has no end";
}

run_result run_of(litmus::mode_result mode) {
  auto run = sample_run();
  run.modes.clear();
  run.modes.push_back(std::move(mode));
  return run;
}

TEST(trace_report, is_empty_but_valid_without_a_violation_or_a_hazard) {
  const trace trace(run_of(sample_mode("uring", 100)));
  EXPECT_EQ(trace.all(), json::parse(R"({"displayTimeUnit": "ns", "traceEvents": []})"));
}

TEST(trace_report, is_sound) { expect_sound(trace(sample_run())); }

TEST(trace_report, names_the_round_and_its_tracks) {
  const trace trace(sample_run());
  const auto names = trace.of("M", "process_name");
  ASSERT_EQ(names.size(), 1U);
  EXPECT_EQ(names[0]["args"]["name"], "tokio-fs round 4711: size-zero");
  std::set<std::string> tracks;
  for (const auto& name : trace.of("M", "thread_name")) tracks.insert(name["args"]["name"]);
  EXPECT_EQ(tracks, (std::set<std::string>{"round", "writer", "flusher", "reader", "queue",
                                           "queue (2)", "worker 1", "worker 2"}));
}

TEST(trace_report, shows_that_the_append_returned_long_before_it_was_done) {
  const trace trace(sample_run());
  const auto seen = trace.slice("writer", "append");
  EXPECT_EQ(when(seen), when(1, 2));
  EXPECT_EQ(seen["args"], json::parse(R"({"operand": "w", "acknowledged_early": true})"));
  EXPECT_EQ(when(trace.slice("queue", "append (queued)")), when(2, 58));
  const auto done = trace.slice("worker 2", "append");
  EXPECT_EQ(when(done), when(60, 4.001));
  EXPECT_EQ(done["args"]["result"], 123);
}

TEST(trace_report, shows_what_overtook_the_append) {
  const trace trace(sample_run());
  for (const auto* const name : {"fsync", "statx", "read"}) {
    EXPECT_EQ(trace.slice("worker 1", name)["args"]["overtook"], json::array({"append"})) << name;
  }
  EXPECT_FALSE(trace.slice("worker 2", "append")["args"].contains("overtook"));
}

TEST(trace_report, says_what_the_reader_saw) {
  const trace trace(sample_run());
  EXPECT_EQ(trace.slice("round", "size-zero")["args"], json::parse(R"({
    "round": 4711, "outcome": "size-zero",
    "flushed_bytes": 123, "size_bytes": 0, "read_bytes": 0})"));
}

TEST(trace_report, leads_from_a_step_to_its_execution) {
  const trace trace(sample_run());
  EXPECT_EQ(trace.of("s").size(), 4U);  // append, fsync, statx, read
  const auto start = trace.of("s", "append");
  const auto finish = trace.of("f", "append");
  ASSERT_EQ(start.size(), 1U);
  ASSERT_EQ(finish.size(), 1U);
  EXPECT_EQ(trace.track(start[0]), "writer");
  EXPECT_EQ(trace.track(finish[0]), "worker 2");
  EXPECT_EQ(finish[0]["ts"], 60.0);
}

TEST(trace_report, puts_operations_in_the_ring_into_lanes_where_they_overlap) {
  auto mode = sample_mode("uring-write-behind", 1);
  mode.violations.push_back(sample_ring_round({.what = litmus::outcome::size_zero}));
  const trace trace(run_of(std::move(mode)));
  expect_sound(trace);
  EXPECT_EQ(when(trace.slice("ring", "append")), when(2, 62.001));
  EXPECT_EQ(when(trace.slice("ring (2)", "fsync")), when(8, 32));
  EXPECT_EQ(when(trace.slice("ring (2)", "statx")), when(46, 2));
  EXPECT_EQ(trace.slice("queue", "append (queued)"), nullptr);
}

TEST(trace_report, shows_the_first_hazard_of_a_mode_without_a_violation) {
  auto mode = sample_mode("tokio-fs", 1);
  mode.hazardous.push_back(sample_violation());
  mode.hazardous[0].seen = {.flushed = 123, .size = 123, .read = 123};
  const trace trace(run_of(std::move(mode)));
  expect_sound(trace);
  EXPECT_EQ(trace.of("M", "process_name")[0]["args"]["name"], "tokio-fs round 4711: ok (hazard)");
}

TEST(trace_report, gives_each_round_a_process_and_flows_of_its_own) {
  auto run = sample_run();
  run.modes[1].violations.push_back(sample_violation());
  run.modes[1].hazardous.push_back(sample_violation());  // not shown beside violations
  const trace trace(run);
  expect_sound(trace);
  EXPECT_EQ(trace.of("M", "process_name").size(), 2U);
  EXPECT_EQ(trace.of("f").size(), 8U);
}

TEST(trace_report, has_the_loop_s_own_thread_for_what_no_worker_did) {
  auto mode = sample_mode("sync", 1, 1);
  mode.violations.push_back(sample_violation());
  for (auto& step : mode.violations[0].steps) {
    step.io.worker = 0;
    step.io.submitted = step.io.started;
  }
  const trace trace(run_of(std::move(mode)));
  expect_sound(trace);
  EXPECT_EQ(when(trace.slice("loop", "fsync")), when(12, 28));
  EXPECT_EQ(trace.slice("queue", "fsync (queued)"), nullptr);
}

TEST(trace_report, gives_an_operation_s_error_by_name) {
  auto run = sample_run();
  run.modes[1].violations[0].steps[5].io.res = -EIO;
  EXPECT_EQ(trace(run).slice("worker 1", "fsync")["args"]["result"], "EIO");
}

TEST(trace_report, leaves_out_the_execution_of_what_was_never_executed) {
  auto run = sample_run();
  run.modes[1].violations[0].steps[11].io = {};
  const trace trace(run);
  expect_sound(trace);
  EXPECT_NE(trace.slice("reader", "read"), nullptr);
  EXPECT_EQ(trace.slice("worker 1", "read"), nullptr);
}

}  // namespace
}  // namespace filemap
