#include "filemap/litmus/catalogue.hpp"

#include "filemap/litmus/parser.hpp"

#include <set>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace filemap::litmus {
namespace {

test parsed(const catalogue_entry& entry) { return parse(entry.source, entry.name); }

TEST(catalogue, is_valid_and_says_what_each_test_asks_and_where_that_was_asked) {
  EXPECT_GE(catalogue().size(), 20U);
  for (const auto& entry : catalogue()) {
    SCOPED_TRACE(entry.name);
    const auto test = parsed(entry);
    EXPECT_EQ(test.name, entry.name);
    EXPECT_FALSE(test.question.empty());
    EXPECT_LE(test.question.size(), 80U);
    EXPECT_FALSE(test.source.empty());
  }
}

TEST(catalogue, asks_no_question_twice) {
  std::set<std::string_view> names;
  std::set<std::string> questions;
  for (const auto& entry : catalogue()) {
    EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
    EXPECT_TRUE(questions.insert(parsed(entry).question).second) << entry.name;
  }
}

TEST(catalogue, begins_with_the_built_in_experiment) {
  const auto test = parsed(catalogue().front());
  EXPECT_EQ(test.name, "tokio-4796");
  EXPECT_EQ(test.source, "https://github.com/tokio-rs/tokio/issues/4796");
  EXPECT_EQ(test.processes[0].body[0].data.size, 123U);
}

TEST(catalogue, finds_by_name) {
  for (const auto& entry : catalogue()) EXPECT_EQ(find_in_catalogue(entry.name), &entry);
  EXPECT_EQ(find_in_catalogue("tokio"), nullptr);
  EXPECT_EQ(find_in_catalogue(""), nullptr);
}

// So that what is run, modelled and explored is every part of the language.
TEST(catalogue, uses_every_verb_and_every_group) {
  std::set<verb> verbs;
  std::set<group_kind> groups;
  bool drain = false;
  for (const auto& entry : catalogue()) {
    for (const auto& process : parsed(entry).processes) {
      for (const auto& statement : process.body) {
        verbs.insert(statement.what);
        drain = drain || statement.drain;
      }
      for (const auto& group : process.groups) groups.insert(group.kind);
    }
  }
  for (std::size_t i = 0; i < verb_count; ++i) {
    const auto verb = static_cast<litmus::verb>(i);
    if (verb == verb::load || verb == verb::store || verb == verb::check) continue;
    EXPECT_TRUE(verbs.contains(verb)) << to_string(verb);
  }
  EXPECT_EQ(groups.size(), 3U);
  EXPECT_TRUE(drain);
}

}  // namespace
}  // namespace filemap::litmus
