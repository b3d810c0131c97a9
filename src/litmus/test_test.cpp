#include "filemap/litmus/test.hpp"

#include "filemap/litmus/parser.hpp"

#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace filemap::litmus {
namespace {

test parsed_with(std::string_view state, std::string_view processes) {
  return parse(fmt::format("F t\n\"q\"\n{{ file f = \"\"; handle w = open f; {} }}\n{}\n"
                           "exists f.size = 0\n",
                           state, processes),
               "t");
}

statement flush_of(std::uint8_t handle) {
  statement made;
  made.what = verb::flush;
  made.operand = handle;
  return made;
}

TEST(insert, puts_a_statement_where_it_is_told) {
  auto test = parsed_with("", "P0 { fsync(w); fdatasync(w); }");
  insert(test, 0, 1, flush_of(0));
  insert(test, 0, 3, flush_of(0));
  std::vector<verb> verbs;
  for (const auto& statement : test.processes[0].body) verbs.push_back(statement.what);
  EXPECT_EQ(verbs, (std::vector{verb::fsync, verb::flush, verb::fdatasync, verb::flush}));
}

TEST(insert, moves_the_groups_behind_it_and_leaves_those_before_it) {
  auto test = parsed_with("", "P0 { link { fsync(w); fsync(w); } batch { fsync(w); fsync(w); } }");
  insert(test, 0, 2, flush_of(0));
  const auto& groups = test.processes[0].groups;
  EXPECT_EQ(groups[0].first, 0U);
  EXPECT_EQ(groups[1].first, 3U);
  insert(test, 0, 0, flush_of(0));
  EXPECT_EQ(groups[0].first, 1U);
  EXPECT_EQ(groups[1].first, 4U);
  insert(test, 0, 6, flush_of(0));
  EXPECT_EQ(groups[1].first, 4U);
}

TEST(insert, keeps_a_cancel_with_the_operation_that_it_cancels) {
  auto test = parsed_with("", "P0 { a = fsync(w); b = fdatasync(w); }\nP1 { cancel(P0:b); }");
  insert(test, 1, 0, flush_of(0));
  EXPECT_EQ(test.processes[1].body[1].other, 1U);
  insert(test, 0, 2, flush_of(0));
  EXPECT_EQ(test.processes[1].body[1].other, 1U);
  insert(test, 0, 1, flush_of(0));
  EXPECT_EQ(test.processes[1].body[1].other, 2U);
}

/// "write w, flush w, notify" of P0, with its flushes.
std::string flushed(const test& test) {
  std::string text;
  const auto flushing = with_flush(test);
  for (const auto& statement : flushing.processes[0].body) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", to_string(statement.what));
    if (uses_handle(statement.what)) text += " " + test.handles[statement.operand].name;
  }
  return text;
}

TEST(with_flush, comes_before_what_tells_of_a_write_and_before_the_close_that_would_lose_it) {
  EXPECT_EQ(
      flushed(parsed_with("", "P0 { append(w, a[1]); append(w, a[1]); notify(a1); notify(b1); }")),
      "append w, append w, flush w, notify, notify");
  EXPECT_EQ(flushed(parsed_with("", "P0 { append(w, a[1]); close(w); notify(a1); }")),
            "append w, flush w, close w, notify");
  EXPECT_EQ(
      flushed(parsed_with("handle c = clone w;", "P0 { append(w, a[1]); close(c); notify(a1); }")),
      "append w, close c, flush w, notify");
  EXPECT_EQ(
      flushed(parsed_with("handle s = w;", "P0 { append(w, a[1]); append(s, a[1]); close(s); }")),
      "append w, append s, flush w, close s");
  EXPECT_EQ(flushed(parsed_with("handle x = open f;",
                                "P0 { append(w, a[1]); append(x, a[1]); close(x); notify(a1); }")),
            "append w, append x, flush x, close x, flush w, notify");
}

TEST(with_flush, adds_none_where_there_is_one_so_that_doing_it_again_changes_nothing) {
  const auto told = parsed_with("", "P0 { append(w, a[1]); flush(w); notify(a1); }");
  EXPECT_EQ(with_flush(told), told);
  const auto closed =
      parsed_with("", "P0 { append(w, a[1]); notify(a1); append(w, a[1]); close(w); }");
  EXPECT_NE(with_flush(closed), closed);
  EXPECT_EQ(with_flush(with_flush(closed)), with_flush(closed));
}

TEST(description_of, is_the_handle_that_was_opened_behind_clones_and_other_names) {
  const auto test = parsed_with("handle c = clone w; handle s = c; handle r; handle d; handle o;",
                                "P0 { r = open f; d = clone r; o = clone s; }");
  std::vector<int> descriptions;
  for (std::uint8_t i = 0; i < test.handles.size(); ++i) {
    descriptions.push_back(description_of(test, i));
  }
  EXPECT_EQ(descriptions, (std::vector{0, 0, 0, 3, 3, 0}));
}

TEST(complete, gives_an_append_that_was_added_its_flag_on_the_whole_description) {
  auto test = parsed_with("handle c = clone w; handle other = open f;", "P0 { fsync(c); }");
  statement append;
  append.operand = 1;
  append.data = {zeros, 0, 1};
  insert(test, 0, 0, append);
  complete(test);
  EXPECT_TRUE(test.handles[0].append);
  EXPECT_TRUE(test.handles[1].append);
  EXPECT_FALSE(test.handles[2].append);
}

}  // namespace
}  // namespace filemap::litmus
