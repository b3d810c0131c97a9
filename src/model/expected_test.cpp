// What the model allows the catalogue is kept beside it, as herd keeps X.litmus.expected beside
// X.litmus: who changes a rule sees in the diff what it means, and who adds a test says what is to
// come of it. After reading the diff:
//
//     FILEMAP_WRITE_EXPECTED=1 meson test -C build model

#include "filemap/litmus/catalogue.hpp"
#include "filemap/litmus/parser.hpp"
#include "filemap/model/model.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace {

using namespace filemap::litmus;

constexpr const char* heading =
    "# What each mode allows each test of the catalogue; * marks what the condition asks about.\n"
    "# Written by the model: FILEMAP_WRITE_EXPECTED=1 meson test -C build model\n";

std::vector<mode> modes() {
  std::vector<mode> all;
  for (const auto some : {all_modes(), older_modes(), buffered_modes()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

std::string outcomes_of(const test& test, const mode& mode) {
  const auto result = model(test, mode);
  EXPECT_TRUE(result.complete) << mode.name;
  std::string text(frequency_word(counted(test, result.allowed), result.allowed.size()));
  for (const auto& state : result.allowed) {
    const char* const mark = counts(test.condition, state) ? "*" : " ";
    text += fmt::format("\n    {} {}", mark, to_string(test, state));
  }
  if (result.deadlocks) text += "\n      some schedules wait for ever";
  return text;
}

// Modes that allow the same are told together.
std::string section_of(const catalogue_entry& entry) {
  const auto test = parse(entry.source, entry.name);
  std::vector<std::pair<std::string, std::string>> groups;  // outcomes, modes
  for (const auto& mode : modes()) {
    auto outcomes = outcomes_of(test, mode);
    const auto same = std::find_if(groups.begin(), groups.end(),
                                   [&](const auto& group) { return group.first == outcomes; });
    if (same != groups.end()) {
      same->second += ", " + mode.name;
    } else {
      groups.emplace_back(std::move(outcomes), mode.name);
    }
  }
  auto text = fmt::format("{}: {}\n", entry.name, test.question);
  for (const auto& [outcomes, names] : groups) text += fmt::format("  {}: {}\n", names, outcomes);
  return text;
}

// By the name of the test.
std::map<std::string, std::string> sections_of_file() {
  std::ifstream file(EXPECTED);
  std::map<std::string, std::string> sections;
  std::string name;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#') continue;
    if (line.front() != ' ') name = line.substr(0, line.find(':'));
    sections[name] += line + '\n';
  }
  return sections;
}

void write_file() {
  std::ofstream file(EXPECTED);
  file << heading;
  for (const auto& entry : catalogue()) file << '\n' << section_of(entry);
  ASSERT_TRUE(file.flush()) << EXPECTED;
}

TEST(expected, is_what_the_model_allows) {
  if (std::getenv("FILEMAP_WRITE_EXPECTED") != nullptr) write_file();
  auto expected = sections_of_file();
  for (const auto& entry : catalogue()) {
    EXPECT_EQ(section_of(entry), expected[std::string(entry.name)]);
    expected.erase(std::string(entry.name));
  }
  for (const auto& [name, section] : expected) ADD_FAILURE() << name << " is not in the catalogue";
}

}  // namespace
