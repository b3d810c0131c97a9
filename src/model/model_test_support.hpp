#pragma once

#include "filemap/litmus/parser.hpp"
#include "filemap/model/model.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace filemap::litmus {

inline test program(std::string_view source) { return parse(source, "program"); }

/// What the model says of a test in a mode, as "tokio-fs+flush".
class modelled_test {
 public:
  modelled_test(test test, const mode& mode, const model_options& options = {})
      : test_(std::move(test)), result_(model(test_, mode, options)) {
    EXPECT_TRUE(result_.complete) << mode.name;
  }
  modelled_test(test test, std::string_view mode, const model_options& options = {})
      : modelled_test(std::move(test), parse_mode(mode).value(), options) {}
  modelled_test(std::string_view source, std::string_view mode)
      : modelled_test(program(source), mode) {}

  bool deadlocks() const { return result_.deadlocks; }
  std::set<std::string> states() const {
    std::set<std::string> texts;
    for (const auto& state : result_.allowed) texts.insert(to_string(test_, state));
    return texts;
  }
  bool has(const std::string& state) const { return states().contains(state); }
  /// Of the states, those that take more than is promised, with what they take.
  std::map<std::string, std::vector<excess>> exceeding() const {
    std::map<std::string, std::vector<excess>> texts;
    for (const auto& [state, taken] : result_.exceeding) texts[to_string(test_, state)] = taken;
    return texts;
  }
  bool counts() const { return counted(test_, result_.allowed) > 0; }
  /// Every state that the condition asks about takes this.
  bool only_with(excess what) const {
    return std::all_of(result_.allowed.begin(), result_.allowed.end(), [&](const auto& state) {
      if (!litmus::counts(test_.condition, state)) return true;
      const auto found = result_.exceeding.find(state);
      return found != result_.exceeding.end() && found->second == std::vector{what};
    });
  }

 private:
  test test_;
  model_result result_;
};

}  // namespace filemap::litmus
