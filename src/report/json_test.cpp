#include "filemap/litmus/catalogue.hpp"
#include "filemap/litmus/mode.hpp"
#include "filemap/litmus/parser.hpp"

#include "report/report.hpp"
#include "report/sample_result.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <set>
#include <string>
#include <sys/wait.h>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace filemap {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

json parsed(const run_result& run) { return json::parse(json_report(run)); }

/// The exit status of check_schema.py, which prints what it finds.
int check_schema(const std::string& report) {
  std::fflush(stdout);
  std::FILE* const checker = ::popen(CHECK_SCHEMA " -", "w");
  if (checker == nullptr) return -1;
  std::fwrite(report.data(), 1, report.size(), checker);
  const int status = ::pclose(checker);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void expect_valid(const run_result& run) {
  const int status = check_schema(json_report(run));
  if (status == 77) GTEST_SKIP() << "needs python3-jsonschema";
  EXPECT_EQ(status, 0);
}

// --- the schema

TEST(result_schema, describes_a_run_with_violations_and_hazards) {
  auto run = sample_run();
  run.modes[1].hazardous.push_back(sample_violation());
  expect_valid(run);
}

TEST(result_schema, describes_a_run_without_modes) { expect_valid(run_result{}); }

TEST(result_schema, describes_an_interrupted_run_that_had_no_rounds) {
  auto run = sample_run();
  run.modes = {sample_mode("uring"), sample_mode("tokio-fs")};
  run.interrupted = true;
  run.exit_status = exit_interrupted;
  settings_of(run).iterations = 0;
  settings_of(run).duration = 1500ms;
  expect_valid(run);
}

TEST(result_schema, describes_a_kernel_without_a_ring) {
  auto run = sample_run();
  run.modes[0] = {};
  run.modes[0].mode = *litmus::find_mode("uring");
  run.modes[0].cannot_run = "io_uring_setup: EPERM";
  run.ring = {};
  run.ring.why = "io_uring_setup: EPERM";
  run.ring.advice = "sysctl kernel.io_uring_disabled=0";
  run.exit_status = exit_cannot_run;
  expect_valid(run);
}

TEST(result_schema, describes_a_run_that_failed) {
  auto run = sample_run();
  run.failure = "open: no space left on device";
  run.exit_status = exit_environment;
  EXPECT_EQ(parsed(run)["failure"]["message"], run.failure);
  expect_valid(run);
}

TEST(result_schema, describes_rounds_of_a_ring) {
  auto run = sample_run();
  auto mode = sample_mode("uring-write-behind", 100, 1);
  mode.hazards.unknown = 99;
  mode.violations.push_back(sample_ring_round({.what = litmus::outcome::size_zero}));
  run.modes.push_back(std::move(mode));
  expect_valid(run);
}

TEST(result_schema, has_every_outcome_and_every_mode) {
  using litmus::outcome;
  auto run = sample_run();
  for (const auto& each : litmus::all_modes()) {
    for (const auto& mode : {each, each.with_flush()}) {
      auto result = sample_mode(each.name);
      result.mode = mode;
      for (std::size_t i = 0; i < litmus::outcome_count; ++i) {
        count(result, {.what = static_cast<outcome>(i), .failed = litmus::verb::fsync}, 1);
      }
      for (const auto wrong :
           {litmus::wrong_bytes::zeros, litmus::wrong_bytes::old, litmus::wrong_bytes::neither}) {
        count(result, {.what = outcome::data_mismatch, .wrong = wrong}, 1);
      }
      count(result, {.what = outcome::error, .error = EIO}, 1);
      count(result, {.what = outcome::error, .error = 9999}, 1);
      run.modes.push_back(std::move(result));
    }
  }
  expect_valid(run);
}

TEST(result_schema, has_every_kind_of_handle_and_of_sync) {
  auto run = sample_run();
  for (const auto handles : {litmus::handle_kind::shared, litmus::handle_kind::reopen}) {
    auto& experiment = settings_of(run).experiment;
    experiment.handles = handles;
    experiment.sync = litmus::flusher_sync::fdatasync;
    run.test = with_flush(litmus::tokio_4796(experiment));
    expect_valid(run);
  }
}

TEST(result_schema, has_what_a_model_could_not_say) {
  auto run = sample_run();
  run.test = litmus::parse(litmus::find_in_catalogue("append-twice")->source, "append-twice");
  auto& mode = run.modes[0];
  mode.model = litmus::model(run.test, mode.mode);
  mode.states[*mode.model->allowed.begin()] = {.rounds = 9, .counts = true, .judged = false};
  mode.model->allowed.clear();
  mode.model->complete = false;
  run.modes.resize(1);
  expect_valid(run);
  const auto told = parsed(run)["modes"][0];
  EXPECT_EQ(told["verdict"], "not-judged");
  EXPECT_EQ(told["states"][0]["allowed"], nullptr);
  EXPECT_EQ(told["model"]["unexpected_rounds"], nullptr);
}

TEST(result_schema, has_each_key_once) {
  for (const auto* const name : {"/result.schema.json", "/exploration.schema.json"}) {
    std::ifstream file(std::string(DOCS) + name);
    std::vector<std::set<std::string>> open;
    const auto parsed = json::parse(file, [&](int, json::parse_event_t event, json& value) {
      if (event == json::parse_event_t::object_start) open.emplace_back();
      if (event == json::parse_event_t::object_end) open.pop_back();
      if (event == json::parse_event_t::key) {
        EXPECT_TRUE(open.back().insert(value.get<std::string>()).second) << name << ": " << value;
      }
      return true;
    });
    EXPECT_TRUE(parsed.is_object());
  }
}

TEST(result_schema, refuses_what_it_does_not_describe) {
  const auto refused = [](const auto& spoil) {
    auto report = parsed(sample_run());
    spoil(report);
    const int status = check_schema(report.dump());
    if (status == 77) GTEST_SKIP() << "needs python3-jsonschema";
    EXPECT_EQ(status, 1);
  };
  refused([](json& report) { report["more"] = 1; });
  refused([](json& report) { report["modes"][1].erase("verdict"); });
  refused([](json& report) { report["modes"][1]["histogram"][0]["outcome"] = "fine"; });
  refused([](json& report) { report["modes"][1]["violating_rounds"][0]["steps"][0]["x"] = 0; });
}

TEST(result_schema, is_not_met_by_what_is_not_json) {
  const int status = check_schema(R"({"schema_version": NaN})");
  if (status == 77) GTEST_SKIP() << "needs python3-jsonschema";
  EXPECT_EQ(status, 1);
}

// --- the report

TEST(json_report, ends_with_a_newline_and_begins_with_its_version) {
  const auto text = json_report(sample_run());
  EXPECT_EQ(text.find("{\n  \"schema_version\": 1,\n  \"tool\": {"), 0U);
  EXPECT_EQ(text.substr(text.size() - 3), "\n}\n");
}

TEST(json_report, loses_no_bit_of_the_seed) {
  EXPECT_EQ(parsed(sample_run())["seed"], "18446744073709551615");
}

TEST(json_report, tells_how_to_repeat_the_run) {
  const auto command = parsed(sample_run())["command"];
  EXPECT_EQ(command["argv"].back(), "/tmp/a b");
  EXPECT_EQ(command["shell"], "filemap-uring --mode uring,tokio-fs --dir '/tmp/a b'");
}

TEST(json_report, counts_what_each_mode_came_to) {
  const auto modes = parsed(sample_run())["modes"];
  EXPECT_EQ(modes[0]["verdict"], "ok");
  EXPECT_EQ(modes[0]["observation"], json::parse(R"({"word": "Never", "bad": 0, "good": 10000})"));
  EXPECT_EQ(modes[0]["violations"]["low"], 0.0);
  EXPECT_NEAR(modes[0]["violations"]["high"], 3e-4, 1e-5);  // the rule of three
  EXPECT_EQ(modes[0]["first_hazard"], nullptr);
  EXPECT_EQ(modes[1]["verdict"], "allowed");
  EXPECT_EQ(modes[1]["violations"]["count"], 8);
  EXPECT_DOUBLE_EQ(modes[1]["violations"]["rate"], 8e-4);
  EXPECT_EQ(modes[1]["hazards"]["pairs"][0],
            json::parse(R"({"later": "fsync", "earlier": "append", "count": 500})"));
  EXPECT_DOUBLE_EQ(modes[1]["rounds_per_second"], 20'000.0);
}

TEST(json_report, of_several_runs_has_each_as_it_is_alone_but_for_the_command_of_all) {
  auto other = sample_run();
  other.test.name = "a\nb";
  const std::vector<run_result> runs = {sample_run(), other};
  const auto all = json::parse(json_report(runs));
  EXPECT_EQ(all["schema_version"], 1);
  auto alone = json::array({parsed(runs[0]), parsed(runs[1])});
  EXPECT_EQ(all["command"], alone[0]["command"]);
  for (auto& run : alone) run["command"] = nullptr;
  EXPECT_EQ(all["runs"], alone);
}

TEST(json_report, judges_as_strictly_as_was_asked) {
  auto run = sample_run();
  settings_of(run).strict = true;
  EXPECT_EQ(parsed(run)["modes"][1]["verdict"], "forbidden");
}

TEST(json_report, tells_an_early_acknowledgement_from_the_execution) {
  const auto latencies = parsed(sample_run())["modes"][1]["latencies_ns"];
  ASSERT_EQ(latencies.size(), 2U);
  EXPECT_EQ(latencies[0]["seen_by"], "program");
  EXPECT_EQ(latencies[0]["max"], 2'000);
  EXPECT_EQ(latencies[1]["seen_by"], "execution");
  EXPECT_EQ(latencies[1]["max"], 62'000);
}

TEST(json_report, gives_the_steps_of_a_violating_round) {
  const auto round = parsed(sample_run())["modes"][1]["violating_rounds"][0];
  EXPECT_EQ(round["round"], 4711);
  EXPECT_EQ(round["seen"]["outcome"], "size-zero");
  EXPECT_EQ(round["steps"].size(), 13U);
  EXPECT_EQ(round["steps"][0], json::parse(R"({
    "process": "writer", "verb": "append", "operand": "w",
    "called_ns": 1000, "returned_ns": 3000,
    "operation": {"submitted_ns": 2000, "started_ns": 60000, "returned_ns": 64001,
                  "worker": 2, "result": 123, "error": null},
    "clock": [1, 0, 0]})"));
  EXPECT_EQ(round["steps"][1]["operation"], nullptr);
}

TEST(json_report, has_null_for_what_is_not_known) {
  auto run = sample_run();
  run.modes[1].violations = {sample_ring_round({.what = litmus::outcome::error, .error = EIO})};
  run.host.cpu_model.clear();
  run.ring.probed = false;
  const auto report = parsed(run);
  const auto& round = report["modes"][1]["violating_rounds"][0];
  EXPECT_EQ(round["steps"][0]["operation"]["started_ns"], nullptr);
  EXPECT_EQ(round["steps"][0]["operation"]["worker"], nullptr);
  EXPECT_EQ(round["seen"]["error"], "EIO");
  EXPECT_EQ(round["seen"]["size_bytes"], nullptr);
  EXPECT_EQ(report["host"]["cpu_model"], nullptr);
  EXPECT_EQ(report["filesystem"]["caveat"], nullptr);
  EXPECT_EQ(report["ring"]["opcodes"], nullptr);
  EXPECT_EQ(report["parameters"]["duration_seconds"], nullptr);
}

TEST(json_report, has_the_ceiling_of_a_ring_and_who_enforced_it) {
  auto run = sample_run();
  EXPECT_EQ(parsed(run)["parameters"]["ops"], nullptr);
  EXPECT_EQ(parsed(run)["modes"][0]["engine_traits"]["ceiling"], nullptr);
  settings_of(run).ring.ceiling = {5, 10};
  run.modes[0].engine.ceiling = {{5, 10}, true};
  const auto report = parsed(run);
  EXPECT_EQ(report["parameters"]["ops"], "5.10");
  EXPECT_EQ(report["modes"][0]["engine_traits"]["ceiling"],
            json::parse(R"({"version": "5.10", "enforced": true})"));
}

TEST(json_report, has_no_rates_without_rounds) {
  auto run = sample_run();
  run.modes = {sample_mode("uring")};
  const auto mode = parsed(run)["modes"][0];
  EXPECT_EQ(mode["verdict"], "no-rounds");
  EXPECT_EQ(mode["violations"]["rate"], nullptr);
  EXPECT_EQ(mode["violations"]["high"], 1.0);
  EXPECT_EQ(mode["rounds_per_second"], nullptr);
  EXPECT_EQ(mode["latencies_ns"], json::array());
}

TEST(json_report, gives_an_operation_s_error_by_name) {
  auto run = sample_run();
  run.modes[1].violations[0].steps[5].io.res = -EIO;
  const auto operation = parsed(run)["modes"][1]["violating_rounds"][0]["steps"][5]["operation"];
  EXPECT_EQ(operation["result"], nullptr);
  EXPECT_EQ(operation["error"], "EIO");
}

TEST(json_report, names_the_modes_that_differ) {
  auto run = sample_run();
  EXPECT_EQ(parsed(run)["significant_differences"][0]["more"], "tokio-fs");
  run.modes.pop_back();
  EXPECT_EQ(parsed(run)["significant_differences"], json::array());
}

TEST(json_report, is_text_that_no_terminal_obeys) {
  auto run = sample_run();
  settings_of(run).dir = "/tmp/\xc2\x9b\x1b[31m\x7f";
  const auto text = json_report(run);
  EXPECT_TRUE(std::all_of(text.begin(), text.end(),
                          [](char c) { return c == '\n' || (c >= ' ' && c < '\x7f'); }));
  EXPECT_EQ(json::parse(text)["parameters"]["dir"], "/tmp/\xc2\x9b\x1b[31m\x7f");
}

TEST(json_report, survives_paths_that_are_not_utf_8) {
  auto run = sample_run();
  settings_of(run).dir = "/tmp/\xff";
  EXPECT_EQ(parsed(run)["parameters"]["dir"], "/tmp/\xef\xbf\xbd");
}

}  // namespace
}  // namespace filemap
