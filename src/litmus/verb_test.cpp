// The table of the verbs against what is written by hand for those who read: the schemas and the
// description of the language.

#include "filemap/litmus/verb.hpp"

#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace filemap::litmus {
namespace {

using names = std::set<std::string>;

template <typename Matches>
names verbs_that(Matches matches) {
  names found;
  for (const auto& row : all_verbs) {
    if (matches(row.what)) found.emplace(row.name);
  }
  return found;
}

std::ifstream opened(const std::string& name) {
  std::ifstream file(DOCS "/" + name);
  EXPECT_TRUE(file) << DOCS "/" << name;
  return file;
}

// Every list of words in a schema that has append in it.
void find_lists(const nlohmann::json& schema, std::vector<names>& found) {
  if (schema.is_object() && schema.contains("enum")) {
    names words;
    for (const auto& word : schema["enum"]) {
      if (word.is_string()) words.insert(word.get<std::string>());
    }
    if (words.count("append") > 0) found.push_back(words);
  }
  for (const auto& part : schema) {
    if (part.is_structured()) find_lists(part, found);
  }
}

TEST(verb, is_in_the_schemas_of_the_results_wherever_verbs_are_listed) {
  const auto all = verbs_that([](verb) { return true; });
  const auto operations = verbs_that([](verb verb) { return is_file_operation(verb); });
  std::vector<names> lists;
  for (const auto* const name : {"result.schema.json", "exploration.schema.json"}) {
    auto file = opened(name);
    find_lists(nlohmann::json::parse(file), lists);
  }
  EXPECT_FALSE(lists.empty());
  for (const auto& list : lists) {
    EXPECT_TRUE(list == all || list == operations)
        << testing::PrintToString(list) << "\nis neither all verbs,\n"
        << testing::PrintToString(all) << "\nnor the operations on files,\n"
        << testing::PrintToString(operations);
  }
}

TEST(verb, is_described_with_its_arguments_in_the_description_of_the_language) {
  names described;
  auto file = opened("litmus-format.md");
  bool in_table = false;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("| statement |", 0) == 0) in_table = true;
    if (line.empty()) in_table = false;
    if (!in_table || line.rfind("| `", 0) != 0) continue;
    const auto end = line.find('`', 3);
    described.insert(line.substr(3, end - 3));
  }
  names known = {"HANDLE = reopen HANDLE FLAG…"};  // an open of the name behind a handle
  for (const auto& row : all_verbs) {
    if (is_in_language(row.what)) known.insert(usage(row.what));
  }
  EXPECT_EQ(described, known);
}

TEST(verb, has_a_row_whose_predicates_are_what_the_language_says) {
  EXPECT_EQ(verbs_that(is_write), (names{"append", "write"}));
  EXPECT_EQ(verbs_that(only_looks), (names{"read", "statx"}));
  EXPECT_EQ(verbs_that(opens), (names{"open", "clone"}));
  EXPECT_EQ(verbs_that(reseats), (names{"open", "clone", "close"}));
  EXPECT_EQ(verbs_that(moves_names), (names{"rename", "unlink"}));
  EXPECT_EQ(verbs_that([](verb verb) { return is_file_operation(verb) && !is_groupable(verb); }),
            (names{"open", "clone", "close"}));
  EXPECT_EQ(verbs_that([](verb verb) { return !has_result(verb); }),
            (names{"notify", "wait", "load", "store", "check"}));
  EXPECT_EQ(verbs_that([](verb verb) { return uses_handle(verb) && !is_file_operation(verb); }),
            (names{"flush"}));
}

}  // namespace
}  // namespace filemap::litmus
