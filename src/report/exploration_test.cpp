#include "report/exploration.hpp"

#include "filemap/litmus/catalogue.hpp"
#include "filemap/litmus/parser.hpp"

#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace filemap {
namespace {

// Of append-twice on the ring: one state by three schedules, which takes what `taken` says.
exploration_run explored(std::vector<litmus::excess> taken) {
  exploration_run run;
  run.asked.command = {"filemap-uring", "--explore", "append-twice"};
  auto& test = run.tests.emplace_back();
  test.argument = "append-twice";
  test.test = litmus::parse(litmus::find_in_catalogue("append-twice")->source, "append-twice");
  auto& mode = test.modes.emplace_back();
  mode.mode = *litmus::find_mode("uring");
  auto& result = mode.result.emplace();
  result.mode = mode.mode;
  result.judged = true;
  result.schedules = 3;
  result.allowed = litmus::model(test.test, mode.mode).allowed;
  const auto state = *result.allowed.begin();
  result.states[state] = 3;
  if (!taken.empty()) result.exceeding[state] = std::move(taken);
  return run;
}

TEST(exploration_report, says_where_a_state_takes_more_than_is_promised) {
  const auto run = explored({litmus::excess::kept_link});
  const auto told = nlohmann::json::parse(json_report(run));
  const auto& state = told["tests"][0]["modes"][0]["result"]["states"][0];
  EXPECT_EQ(state["notes"], nlohmann::json::array({to_string(litmus::excess::kept_link)}));
  const auto text = text_report(run, false);
  const auto first_words = to_string(litmus::excess::kept_link).substr(0, 20);
  EXPECT_NE(text.find("Note          " + std::string(first_words)), std::string::npos) << text;
}

TEST(exploration_report, has_no_note_where_a_state_takes_what_is_promised) {
  const auto run = explored({});
  const auto told = nlohmann::json::parse(json_report(run));
  EXPECT_EQ(told["tests"][0]["modes"][0]["result"]["states"][0]["notes"], nlohmann::json::array());
  EXPECT_EQ(text_report(run, false).find("Note"), std::string::npos);
}

}  // namespace
}  // namespace filemap
