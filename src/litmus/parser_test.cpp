#include "filemap/litmus/parser.hpp"

#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace filemap::litmus {
namespace {

constexpr std::string_view the_experiment = R"(F tokio-4796
"append, fsync and read back, each through its own clone of the handle"

{
  file f = "";
  handle w = open f;  handle s = clone w;  handle r = clone w;
}

P0(writer)  { n = append(w, lorem[123]); notify(written); }
P1(flusher) { wait(written); fsync(s); notify(flushed); }
P2(reader)  { wait(flushed); st = statx(r); d = read(r, 0, 123); }

forbidden (P2:st.size != 123 \/ P2:d != lorem[123])
)";

/// A test with these declarations, processes and condition, each on a line of its own: 3, 4 and 5.
std::string with(std::string_view state, std::string_view processes,
                 std::string_view condition = "exists f.size = 0") {
  return fmt::format("F t\n\"q\"\n{{ file f = \"\"; handle w = open f; {} }}\n{}\n{}\n", state,
                     processes, condition);
}

test parsed(std::string_view text) { return parse(text, "t.litmus"); }

/// The whole message; "" when the text is taken.
std::string refusal(std::string_view text) {
  try {
    parsed(text);
  } catch (const parse_error& error) {
    return error.what();
  }
  return "";
}

/// Its first line, without the name of the file.
std::string complaint(std::string_view text) {
  const auto message = refusal(text);
  const auto line = message.substr(0, message.find('\n'));
  return line.substr(std::min(line.size(), std::string_view("t.litmus:").size()));
}

// --- what is understood

TEST(parser, understands_the_example) {
  const auto test = parsed(the_experiment);
  EXPECT_EQ(test.name, "tokio-4796");
  EXPECT_EQ(test.question, "append, fsync and read back, each through its own clone of the handle");
  EXPECT_EQ(test.patterns, (std::vector<std::string>{"zeros", "lorem"}));
  ASSERT_EQ(test.files.size(), 1U);
  EXPECT_EQ(test.files[0].name, "f");
  EXPECT_TRUE(test.files[0].exists);
  EXPECT_TRUE(test.files[0].initial.empty());
  ASSERT_EQ(test.handles.size(), 3U);
  EXPECT_EQ(test.handles[0].from, handle_origin::open);
  EXPECT_EQ(test.handles[2].from, handle_origin::clone);
  EXPECT_EQ(test.handles[2].source, 0);
  EXPECT_EQ(test.edges, (std::vector<std::string>{"written", "flushed"}));

  ASSERT_EQ(test.processes.size(), 3U);
  EXPECT_EQ(test.processes[0].name, "writer");
  ASSERT_EQ(test.processes[0].body.size(), 2U);
  const auto& append = test.processes[0].body[0];
  EXPECT_EQ(append.what, verb::append);
  EXPECT_EQ(append.operand, 0);
  EXPECT_EQ(append.data, (slice{1, 0, 123}));
  EXPECT_EQ(append.result, 0);
  EXPECT_EQ(append.line, 9U);
  const auto& read = test.processes[2].body[2];
  EXPECT_EQ(read.what, verb::read);
  EXPECT_EQ(read.operand, 2);
  EXPECT_EQ(read.offset, 0U);
  EXPECT_EQ(read.size, 123U);
  EXPECT_EQ(test.processes[2].body[0].operand, 1);  // the edge flushed

  ASSERT_EQ(test.registers.size(), 3U);
  EXPECT_EQ(test.registers[1].name, "st");
  EXPECT_EQ(test.registers[1].process, 2);
  EXPECT_EQ(test.registers[1].producer, verb::statx);

  EXPECT_EQ(test.condition.quantifier, quantifier::not_exists);
  ASSERT_EQ(test.condition.nodes.size(), 3U);
  const auto& root = test.condition.nodes[test.condition.root];
  EXPECT_EQ(root.what, condition_node::kind::disjunction);
  const auto& size = test.condition.nodes[root.left].atom;
  EXPECT_EQ(size.what, field::size);
  EXPECT_EQ(size.index, 1);
  EXPECT_EQ(size.how, comparison::not_equal);
  EXPECT_EQ(size.number, 123);
  EXPECT_EQ(test.condition.nodes[root.right].atom.value, contents({1, 0, 123}));
}

TEST(parser, keeps_what_a_state_means) {
  const auto test = parsed(the_experiment);
  final_state good{{{true, 123, 0, {}}, {true, 0, 123, {}}, {true, 123, 0, contents({1, 0, 123})}},
                   {{true, contents({1, 0, 123})}}};
  EXPECT_FALSE(counts(test.condition, good));
  good.registers[1].size = 0;
  EXPECT_TRUE(counts(test.condition, good));
}

TEST(parser, understands_every_verb) {
  const auto test = parsed(with("file g = none; handle r; handle c; handle o = reopen w dsync;", R"(
P0 { write(o, 4k, old[1M..1028k]); read(w, 0, 1); statx(w); fsync(w); fdatasync(w);
     sync_range(w, 0, 4096); truncate(w, 8KiB); allocate(w, 0, 4k); punch(w, 4k, 4k);
     drop_cache(w); r = open f; c = clone r; a = append(c, zeros[1]); flush(c); close(c);
     rename(f, g); unlink(g); notify(done); }
P1 { cancel(P0:a); wait(done); })"));
  const std::vector<verb> all = {verb::write,     verb::read,       verb::statx,    verb::fsync,
                                 verb::fdatasync, verb::sync_range, verb::truncate, verb::allocate,
                                 verb::punch,     verb::drop_cache, verb::open,     verb::clone,
                                 verb::append,    verb::flush,      verb::close,    verb::rename,
                                 verb::unlink,    verb::notify};
  std::vector<verb> found;
  for (const auto& statement : test.processes[0].body) found.push_back(statement.what);
  EXPECT_EQ(found, all);
  const auto& body = test.processes[0].body;
  EXPECT_EQ(body[0].data, (slice{1, 1 << 20, 4096}));
  EXPECT_EQ(body[0].offset, 4096U);
  EXPECT_EQ(body[6].offset, 8192U);  // truncate
  EXPECT_EQ(body[10].operand, 1);    // r
  EXPECT_EQ(body[10].other, 0);      // f
  EXPECT_EQ(body[11].other, 1);      // c = clone r
  EXPECT_EQ(body[15].operand, 0);
  EXPECT_EQ(body[15].other, 1);
  const auto& cancel = test.processes[1].body[0];
  EXPECT_EQ(cancel.operand, 0);
  EXPECT_EQ(cancel.other, 12);
  EXPECT_TRUE(test.handles[3].dsync);
  EXPECT_EQ(test.handles[3].from, handle_origin::open);
}

TEST(parser, takes_a_read_and_a_write_without_an_offset_to_be_at_the_cursor) {
  const auto test =
      parsed(with("", "P0 { write(w, a[4k]); read(w, 4k); seek(w, 100); read(w, 0, 4k); }"));
  const auto& body = test.processes[0].body;
  EXPECT_TRUE(body[0].at_cursor && body[1].at_cursor && !body[2].at_cursor && !body[3].at_cursor);
  EXPECT_EQ(body[1].size, 4096U);
  EXPECT_EQ(body[2].offset, 100U);
  EXPECT_TRUE(uses_cursor(test));
  EXPECT_FALSE(uses_cursor(parsed(with("", "P0 { write(w, 0, a[4k]); read(w, 0, 4k); }"))));
}

TEST(parser, understands_contents_of_several_slices_and_names_without_a_file) {
  const auto test =
      parsed(with("file g = old[4k] zeros[4k] old[4k..8k]; file h = none;", "P0 { }"));
  EXPECT_EQ(test.files[1].initial.size(), 12288U);
  EXPECT_EQ(test.files[1].initial.slices().size(), 3U);
  EXPECT_FALSE(test.files[2].exists);
}

TEST(parser, understands_groups_and_drain) {
  const auto test = parsed(with("", R"(P0 {
    statx(w);
    batch { n = append(w, a[1]); drain fsync(w); }
    link { append(w, b[1]); fsync(w); statx(w); };
    hardlink { read(w, 0, 1); fsync(w); } })"));
  const auto& groups = test.processes[0].groups;
  ASSERT_EQ(groups.size(), 3U);
  EXPECT_EQ(groups[0].kind, group_kind::batch);
  EXPECT_EQ(groups[0].first, 1);
  EXPECT_EQ(groups[0].count, 2);
  EXPECT_EQ(groups[1].kind, group_kind::link);
  EXPECT_EQ(groups[1].first, 3);
  EXPECT_EQ(groups[1].count, 3);
  EXPECT_EQ(groups[2].kind, group_kind::hardlink);
  EXPECT_FALSE(test.processes[0].body[1].drain);
  EXPECT_TRUE(test.processes[0].body[2].drain);
}

TEST(parser, marks_the_open_file_of_an_append_and_all_who_share_it) {
  const auto test = parsed(with("handle c = clone w; handle d = w; handle l; handle o = open f;",
                                "P0 { l = clone c; append(l, a[1]); write(o, 0, b[1]); }"));
  for (const std::size_t shared : {0, 1, 2, 3}) EXPECT_TRUE(test.handles[shared].append) << shared;
  EXPECT_FALSE(test.handles[4].append);
}

TEST(parser, lets_clones_be_direct_as_what_they_are_clones_of) {
  const auto test = parsed(with("handle d = open f direct; handle c = clone d;", "P0 { }"));
  EXPECT_TRUE(test.handles[2].direct);
}

TEST(parser, gives_the_register_of_an_opening_the_name_of_the_handle) {
  const auto test = parsed(with("handle r;", "P0 { r = open f; }", "exists P0:r.res = -ENOENT"));
  EXPECT_EQ(test.registers[0].producer, verb::open);
  EXPECT_EQ(test.condition.nodes[0].atom.number, -ENOENT);
}

TEST(parser, skips_both_kinds_of_comment) {
  EXPECT_EQ(refusal("(* a\n comment *) F t // the name\n\"q\" { file f = \"\"; } (**)\n"
                    "P0 { /"
                    "/ nothing }\n }\nexists f.size = 0 // the end"),
            "");
}

TEST(parser, binds_and_before_or_and_not_before_both) {
  const auto test = parsed(
      with("", "P0 { n = fsync(w); }", "exists not P0:n.res = 1 /\\ f.size = 2 \\/ f.size = 3"));
  using kind = condition_node::kind;
  const auto& nodes = test.condition.nodes;
  const auto& root = nodes[test.condition.root];
  ASSERT_EQ(root.what, kind::disjunction);
  ASSERT_EQ(nodes[root.left].what, kind::conjunction);
  EXPECT_EQ(nodes[nodes[root.left].left].what, kind::negation);
}

TEST(parser, understands_quantifiers) {
  const auto quantifier_of = [](std::string_view condition) {
    return parsed(with("", "P0 { }", condition)).condition.quantifier;
  };
  EXPECT_EQ(quantifier_of("exists (f.size = 0)"), quantifier::exists);
  EXPECT_EQ(quantifier_of("~exists (f.size = 0)"), quantifier::not_exists);
  EXPECT_EQ(quantifier_of("forbidden (f.size = 0)"), quantifier::not_exists);
  EXPECT_EQ(quantifier_of("forall f = \"\""), quantifier::forall);
}

TEST(parser, says_with_none_that_a_name_has_no_file) {
  const auto test = parsed(with("", "P0 { unlink(f); }", "exists f = none"));
  const final_state gone{{}, {{false, {}}}};
  const final_state there{{}, {{true, {}}}};
  EXPECT_TRUE(holds(test.condition, gone));
  EXPECT_FALSE(holds(test.condition, there));
  const auto other = parsed(with("", "P0 { unlink(f); }", "exists f != none"));
  EXPECT_TRUE(holds(other.condition, there));
}

TEST(parser, lets_a_read_go_beyond_the_end_of_a_file_that_grows) {
  EXPECT_EQ(refusal(with("", "P0 { append(w, a[1]); read(w, 0, 16M); punch(w, 0, 16M); }")), "");
}

TEST(parser, compares_ranges_of_data) {
  const auto test = parsed(with("file g = new[8k];", "P0 { d = read(w, 0, 8k); }",
                                "exists P0:d[4k..8k] = new[4k..8k] /\\ f[4k] != zeros[4k]"));
  const auto& nodes = test.condition.nodes;
  EXPECT_EQ(nodes[0].atom.from, 4096U);
  EXPECT_EQ(nodes[0].atom.value, contents({1, 4096, 4096}));
  EXPECT_EQ(nodes[1].atom.from, 0U);
  EXPECT_TRUE(nodes[1].atom.of_file);
}

// --- errors

TEST(parse_error, points_at_the_place_and_says_what_was_expected) {
  EXPECT_EQ(refusal("F message\n\"q\"\n{ file f = \"\"; handle w = open f; }\n"
                    "P0(writer) { n = append(w, lorem[123]; notify(written); }\n"),
            "t.litmus:4:38: expected ')' after the arguments of append, found ';'\n"
            "  P0(writer) { n = append(w, lorem[123]; notify(written); }\n"
            "                                       ^");
}

TEST(parse_error, has_a_line_and_a_column_for_programs) {
  try {
    parse("F t\n  ;", "x");
    FAIL() << "it was taken";
  } catch (const parse_error& error) {
    EXPECT_EQ(error.line(), 2U);
    EXPECT_EQ(error.column(), 3U);
  }
}

TEST(parse_error, keeps_the_caret_under_its_place_after_tabs_and_other_alphabets) {
  EXPECT_EQ(refusal("F t \"q\" {\n\t(* \u00e4 *) ? }"),
            "t.litmus:2:11: '?' has no meaning here\n"
            "   (* \u00e4 *) ? }\n"
            "           ^");
}

TEST(parse_error, sends_no_control_characters_to_a_terminal) {
  const auto message = refusal("F t \"\x1b[2J\"\r\n");
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  EXPECT_EQ(message.find('\r'), std::string::npos);
  EXPECT_NE(message.find("0x1b"), std::string::npos) << message;
}

TEST(parse_error, shows_the_part_around_the_place_of_a_long_line) {
  const auto message = refusal("F t \"" + std::string(5000, 'x') + "\" ?" + std::string(5000, 'y'));
  EXPECT_LT(message.size(), 500U);
  EXPECT_NE(message.find("x\" ?y"), std::string::npos) << message;
}

TEST(parse_error, at_the_end_of_a_file_points_behind_its_last_word) {
  EXPECT_EQ(
      refusal("F t \"q\"\n{ file f = \"\"; \n\n  // nothing\n"),
      "t.litmus:2:15: expected file, handle, or '}' after the initial state, found the end of "
      "the file\n  { file f = \"\"; \n                ^");
  EXPECT_EQ(complaint(""),
            "1:1: expected F and the name of the test, as in F tokio-4796, found the "
            "end of the file");
}

struct refused_text {
  std::string text;
  std::string complaint;
};

void expect_refused(const std::vector<refused_text>& cases) {
  for (const auto& one : cases) EXPECT_EQ(complaint(one.text), one.complaint) << one.text;
}

TEST(parse_error, tells_what_a_header_lacks) {
  expect_refused({
      {"G t", "1:1: expected F and the name of the test, as in F tokio-4796, found 'G'"},
      {"F t {", "1:5: expected the question that the test answers, in quotes, found '{'"},
      {"F t \"a", "1:5: this quote is not closed on its line; a second \" is expected"},
      {"F t \"q\" source {", "1:16: expected in quotes where the question was asked, found '{'"},
      {"F t (* \"q\"", "1:5: this comment is not closed; a *) is expected"},
      {"F .. \"q\"",
       "1:3: the name of a test begins with a letter or a digit and is at most 64 "
       "characters long"},
  });
}

TEST(parse_error, tells_what_is_wrong_with_an_initial_state) {
  expect_refused({
      {with("file f = \"\";", ""), "3:40: 'f' is the name of a file already; choose another"},
      {with("handle f;", ""), "3:42: 'f' is the name of a file already; choose another"},
      {with("handle x = open g;", ""), "3:51: there is no file 'g'; there is f"},
      {with("handle x = open w;", ""),
       "3:51: 'w' is a handle; the name of a file is needed; there "
       "is f"},
      {with("handle x = clone f;", ""),
       "3:52: 'f' is a file; declare a handle of it: handle h = "
       "open f;"},
      {with("handle x = clone y;", ""), "3:52: there is no handle 'y'; there is w"},
      {with("handle x; handle y = clone x;", ""),
       "3:62: 'x' has no value before a process opens it; clone it in that process"},
      {with("file g = none; handle x = open g;", ""),
       "3:66: there is no file 'g' at the start; open it in a process"},
      {with("handle x = open f directly;", ""),
       "3:53: expected append, direct, dsync or ';', found 'directly'"},
      {with("handle x = open f direct direct;", ""), "3:60: 'direct' is said twice"},
      {with("handle x = clone w direct;", ""),
       "3:54: expected ';' after the handle, found 'direct'"},
      {with("file g = 4k;", ""),
       "3:44: expected none, \"\" or the contents of the file, as in "
       "old[4k], found '4k'"},
      {with("file g = old[17M];", ""),
       "3:48: that is beyond 16 MiB, where every file and pattern ends"},
      {with("file g = old[9M] old[9M];", ""),
       "3:44: that is beyond 16 MiB, where every file and pattern ends"},
      {with("file g = old[4k..4k];", ""), "3:48: this range is empty; it ends before it begins"},
      {with("file g = old[0];", ""), "3:48: this range is empty; no bytes at all are written \"\""},
      {with("file g = old[99999999999999999999];", ""), "3:48: this number is too large"},
      {with("file g = old[18446744073709551617k];", ""), "3:48: this number is too large"},
      {with("file g = old[4q];", ""),
       "3:49: a number may end in k (1024) or M (1024 k), found 'q'"},
      {with("file read = \"\";", ""),
       "3:40: 'read' is a word of the language; choose another name for a file"},
      {with("handle x;", "P0 { }"),
       "3:42: 'x' is never opened; give it a value, as in handle x = "
       "open f;, or open it in a process"},
  });
}

TEST(parse_error, tells_what_is_wrong_with_a_statement) {
  expect_refused({
      {with("", "P1 { }"), "4:1: expected P0: processes are numbered in their order, found 'P1'"},
      {with("", "P0 { fsync(f); }"),
       "4:12: 'f' is a file; declare a handle of it: handle h = open f;"},
      {with("", "P0 { fsync(x); }"), "4:12: there is no handle 'x'; there is w"},
      {with("", "P0 { fsink(w); }"), "4:6: there is no verb 'fsink'; did you mean fsync?"},
      {with("", "P0 { write_all(w); }"),
       "4:6: there is no verb 'write_all'; there is append, write, read, seek, statx, fsync, "
       "fdatasync, "
       "sync_range, truncate, allocate, punch, drop_cache, open, clone, close, rename, unlink, "
       "flush, cancel, notify, wait"},
      {with("", "P0 { lorem; }"),
       "4:6: expected a statement, as in n = append(w, lorem[123]);, a group, or '}' after the "
       "process, found 'lorem'"},
      {with("", "P0 { write(w, 4k); }"),
       "4:15: expected the data of write(HANDLE, [OFFSET,] DATA), found '4k'; data is a slice of a "
       "pattern, as in lorem[123] or zeros[4k]"},
      {with("", "P0 { seek(w, a[4k]); }"),
       "4:14: the offset is missing: expected seek(HANDLE, OFFSET), with the offset in bytes, "
       "found 'a'"},
      {with("", "P0 { seek(w); }"), "4:12: expected ',' in seek(HANDLE, OFFSET), found ')'"},
      {with("handle d = open f direct; ", "P0 { read(d, 512); }"),
       "4:6: 'd' is direct, and nobody can say whether its cursor is at a multiple of 512; give "
       "the offset"},
      {with("", "P0 { append(w, a[1]); write(w, b[1]); }"),
       "4:23: 'w' shares an open file with an append, and a write at its cursor is one too; say "
       "append(w, …)"},
      {with("", "P0 { read(w, 0, lorem[4k]); }"),
       "4:17: the size is missing: expected read(HANDLE, [OFFSET,] SIZE), with the size in bytes, "
       "found 'lorem'"},
      {with("", "P0 { append(w, 0, a[4k]); }"),
       "4:16: expected the data of append(HANDLE, DATA), found '0'; data is a slice of a pattern, "
       "as in lorem[123] or zeros[4k]"},
      {with("", "P0 { fsync(w) }"), "4:15: expected ';' after fsync, found '}'"},
      {with("", "P0 { read(w); }"),
       "4:12: expected ',' in read(HANDLE, [OFFSET,] SIZE), found ')'"},
      {with("", "P0 { read(w, 0, 0); }"), "4:17: a size of 0 does nothing; at least 1 is expected"},
      {with("", "P0 { fsync w; }"), "4:12: expected '(' of fsync(HANDLE), found 'w'"},
      {with("", "P0 { n = fsync(w); n = fsync(w); }"),
       "4:20: 'n' is set in line 4 already; a register is set once"},
      {with("", "P0 { w = fsync(w); }"),
       "4:6: 'w' is a handle, which only open, clone and reopen give a value; choose another name "
       "for "
       "the register"},
      {with("", "P0 { n = notify(a); }"), "4:6: notify has no result, so no register takes it"},
      {with("", "P0 { w = open f; }"),
       "4:6: 'w' is open from the start; declare it as handle w; to open it here"},
      {with("", "P0 { x = open f; }"),
       "4:6: open gives its value to a handle: declare one as handle x; and say x = open …"},
      {with("", "P0 { append(w, a[1] a[1..2]); }"),
       "4:21: append takes one slice; write the next one by a statement of its own"},
      {with("", "P0 { append(w, f[1]); }"),
       "4:16: 'f' is a file, and data is of patterns, as in lorem[123] or zeros[4k]; choose a name "
       "that nothing else has"},
      {with("", "P0 { rename(f, f); }"), "4:16: 'f' is renamed to itself"},
      {with("", "P0 { rename(f, g); }"), "4:16: there is no file 'g'; there is f"},
      {with("", "P0 { append(w, \"x\"); }"),
       "4:16: expected a slice of a pattern, as in lorem[123] or "
       "zeros[4k], found the text \"x\""},
  });
}

TEST(parse_error, tells_when_a_pattern_has_the_name_of_something_else) {
  const auto is_no_pattern = [](std::string_view place, std::string_view what) {
    return fmt::format(
        "{}, and data is of patterns, as in lorem[123] or zeros[4k]; choose a name "
        "that nothing else has",
        fmt::format("{}: {}", place, what));
  };
  expect_refused({
      {with("", "P0 { d = read(w, 0, 4k); write(w, 0, d[10]); }"),
       is_no_pattern("4:38", "'d' is a register")},
      {with("", "P0 { notify(a); append(w, a[10]); }"), is_no_pattern("4:27", "'a' is an edge")},
      {with("", "P0(a) { append(w, a[10]); }"), is_no_pattern("4:19", "'a' is a process")},
      {with("", "P0 { append(w, P0[10]); }"), is_no_pattern("4:16", "'P0' is a process")},
      {with("", "P0 { append(w, w[10]); }"), is_no_pattern("4:16", "'w' is a handle")},
      {with("", "P0 { append(w, a[10]); a = fsync(w); }"),
       "4:24: 'a' is the name of a pattern already; choose another for the register"},
      {with("", "P0 { append(w, a[10]); notify(a); }"),
       "4:31: 'a' is the name of a pattern already; choose another for the edge"},
      {with("", "P0 { append(w, a[10]); }\nP1(a) { }"),
       "5:4: 'a' is the name of a pattern already; choose another for the process"},
  });
}

TEST(parse_error, tells_of_waits_that_never_end_and_notifications_with_two_waiters) {
  expect_refused({
      {with("", "P0 { wait(a); }"),
       "4:6: nobody notifies 'a', so this waits for ever; say notify(a); "
       "in the process that it waits for"},
      {with("", "P0 { notify(a); }\nP1 { wait(a); }\nP2 { wait(a); }"),
       "6:11: line 5 waits for 'a' already, and a notification has one waiter; notify an edge of "
       "its "
       "own for this wait"},
      {with("", "P0 { notify(a); notify(a); }"),
       "4:24: line 4 notifies 'a' already; give this notification an edge of its own"},
      {with("", "P0 { wait(a); notify(b); }\nP1 { wait(b); notify(a); }"),
       "4:6: this waits for ever: 'a' is notified in line 5, which waits for what comes after "
       "this"},
      {with("", "P0 { wait(a); notify(a); }"),
       "4:6: this waits for ever: 'a' is notified in line 4, which waits for what comes after "
       "this"},
  });
}

TEST(parse_error, tells_of_handles_that_may_not_be_open) {
  expect_refused({
      {with("handle r;", "P0 { statx(r); r = open f; }"),
       "4:6: 'r' is opened only in line 4; use it after that"},
      {with("handle r;", "P0 { r = open f; }\nP1 { statx(r); }"),
       "5:6: 'r' may not be open yet: P0 opens it in line 4; wait here for a notify that follows "
       "it"},
      {with("handle r;", "P0 { notify(a); r = open f; }\nP1 { wait(a); statx(r); }"),
       "5:15: 'r' may not be open yet: P0 opens it in line 4; wait here for a notify that follows "
       "it"},
      {with("handle r;", "P0 { r = clone r; }"),
       "4:6: 'r' is opened only in line 4; use it after that"},
      {with("handle r;", "P0 { r = open f; r = clone w; }"),
       "4:18: 'r' is opened in line 4 already"},
      {with("", "P0 { close(w); fsync(w); }"),
       "4:16: 'w' has been closed in line 4; use another handle"},
      {with("handle s = w;", "P0 { close(s); fsync(w); }"),
       "4:16: 'w' has been closed in line 4; use another handle"},
      {with("", "P0 { close(w); }\nP1 { close(w); }"),
       "5:6: 'w' is closed twice; the other close is in line 4"},
      {with("", "P0 { link { fsync(w); close(w); } }"),
       "4:23: a close in a group could end before the others begin; put it behind the group"},
      {with("", "P0 { fsync(w); drain close(w); }"),
       "4:22: a close cannot drain; put a drain fsync(…) before it"},
      {with("", "P0 { n = close(w); }\nP1 { cancel(P0:n); }"),
       "5:16: close cannot be cancelled; name the register of an operation on a file"},
      {with("handle r;", "P0 { close(w); r = open f; }\nP1 { fsync(w); }"),
       "5:6: 'w' may be closed in line 4 before this, which could then hit what is opened in line "
       "4; order the two, or open nothing"},
  });
  EXPECT_EQ(refusal(with("handle r;", "P0 { r = open f; notify(a); }\nP1 { wait(a); statx(r); }")),
            "");
  EXPECT_EQ(refusal(with("", "P0 { close(w); }\nP1 { fsync(w); }")),
            "");  // a race, and the question
  EXPECT_EQ(refusal(with("handle c = clone w;", "P0 { close(c); fsync(w); }")), "");
}

TEST(parse_error, tells_what_does_not_go_into_a_group) {
  expect_refused({
      {with("", "P0 { batch { fsync(w); notify(a); } }"),
       "4:24: notify is not an operation of the ring, so it does not go into a batch"},
      {with("handle r;", "P0 { link { r = open f; fsync(r); } }"),
       "4:17: open does not go into a group and is not drained, as what is submitted with it "
       "cannot "
       "have its handle yet; put it before"},
      {with("", "P0 { drain wait(a); }"),
       "4:12: wait is not an operation of the ring, so it does not go into a drain"},
      {with("", "P0 { batch { link { fsync(w); fsync(w); } } }"),
       "4:14: a group is of statements, not of groups; close the one around it first"},
      {with("", "P0 { link { fsync(w); } }"),
       "4:6: a link has at least two members; one alone needs no group"},
      {with("", "P0 { link { fsync(w); drain fsync(w); } }"),
       "4:23: drain in the middle of a link would drain all of it; put it before the first member"},
  });
}

TEST(parse_error, tells_what_cannot_be_cancelled) {
  expect_refused({
      {with("", "P0 { n = fsync(w); cancel(P0:n); }"),
       "4:27: a process waits for each of its operations before the next, so there is nothing of "
       "its "
       "own to cancel; name an operation of another process"},
      {with("", "P0 { cancel(P1:n); }\nP1 { fsync(w); }"),
       "4:16: P1 sets no register 'n'; there are "
       "none"},
      {with("", "P0 { cancel(P7:n); }"), "4:13: there is no process P7; the last is P0"},
      {with("", "P0 { cancel(n); }"),
       "4:13: expected a register with its process, as in P0:n, found "
       "'n'"},
      {with("", "P0 { cancel(P1:n); }\nP1 { n = flush(w); }"),
       "4:16: flush cannot be cancelled; name the register of an operation on a file"},
      {with("", "P0 { cancel(P1:n); notify(a); }\nP1 { wait(a); n = fsync(w); }"),
       "4:6: the operation in line 5 begins only after this; cancel what may be in flight"},
  });
}

TEST(parse_error, tells_what_an_open_file_cannot_do) {
  expect_refused({
      {with("handle c = clone w;", "P0 { append(c, a[1]); write(w, 0, a[1]); }"),
       "4:23: 'w' shares an open file with an append, and Linux appends whatever the offset is "
       "(pwrite(2), BUGS); write through a handle of an open of its own"},
      {with("handle d = open f direct; handle c = clone d;", "P0 { read(c, 0, 123); }"),
       "4:6: 'c' is direct, so offsets and sizes are multiples of 512"},
      {with("handle d = open f direct;", "P0 { write(d, 1, a[512]); }"),
       "4:6: 'd' is direct, so offsets and sizes are multiples of 512"},
      {with("", "P0 { append(w, a[9M]); append(w, a[9M]); }"),
       "4:24: a file may come to be larger than 16 MiB; use smaller sizes"},
      {with("", "P0 { append(w, a[1]); truncate(w, 16M); }"),
       "4:23: a file may come to be larger than 16 MiB; use smaller sizes"},
      {with("file g = a[1]; file h = b[16M]; file i = c[16M]; file j = d[16M]; file k = e[16M];",
            ""),
       "3:110: the patterns are longer than 64 MiB in all; use smaller sizes"},
      {with("", "P0 { truncate(w, 17M); }"),
       "4:18: that is beyond 16 MiB, where every file and pattern ends"},
      {with("",
            "P0 { read(w, 0, 16M); read(w, 0, 16M); read(w, 0, 16M); read(w, 0, 16M); "
            "read(w, 0, 1); }"),
       "4:74: the test reads and writes more than 64 MiB in all; use smaller sizes"},
  });
}

TEST(parse_error, tells_what_a_condition_cannot_ask) {
  const auto asked = [](const std::string& condition) {
    return with("", "P0 { n = append(w, a[1]); st = statx(w); d = read(w, 0, 1); }", condition);
  };
  expect_refused({
      {asked(""),
       "4:62: expected a process, or exists, ~exists, forbidden or forall, found the end of "
       "the file"},
      {asked("exists P0:x.res = 1"), "5:11: P0 sets no register 'x'; there is n, st, d"},
      {asked("exists P3:n.res = 1"), "5:8: there is no process P3; the last is P0"},
      {asked("exists n.res = 1"), "5:8: a register is named with its process: P0:n"},
      {asked("exists w.size = 1"),
       "5:8: 'w' is a handle; a condition looks at registers and files"},
      {asked("exists g.size = 1"), "5:8: there is no file 'g'; there is f"},
      {asked("exists P0:n = a[1]"), "5:11: P0:n is the result of append, which has P0:n.res"},
      {asked("exists P0:d.size = 1"),
       "5:13: P0:d is the result of read, which has P0:d.res and the data, P0:d"},
      {asked("exists P0:st = 1"),
       "5:11: P0:st is the result of statx, which has P0:st.res and P0:st.size"},
      {asked("exists P0:st.sise = 1"), "5:14: expected res or size after the '.', found 'sise'"},
      {asked("exists f.res = 1"), "5:10: a file has f.size and its data, f"},
      {asked("exists P0:d = 1"),
       "5:15: P0:d is data: compare it with a slice, as in lorem[123], "
       "zeros[4k] or \"\"; the number of its bytes is P0:d.res"},
      {asked("exists f < a[1]"),
       "5:10: f is data, which is compared with = or !=; its size is f.size"},
      {asked("exists P0:d = b[1]"),
       "5:15: no file and no write holds 'b', so nothing is ever equal to it; there is zeros, a"},
      {asked("exists P0:n.res = P0:d.res"),
       "5:19: P0:n.res is compared with a value, not with a register; say which value both have, "
       "as in P0:n.res = 123 /\\ P1:m.res = 123"},
      {asked("exists P0:d = P0:d"),
       "5:15: P0:d is compared with a value, not with a register; say which value both have, as in "
       "P0:d = lorem[123] /\\ P1:d = lorem[123]"},
      {asked("exists P0:d = f"),
       "5:15: P0:d is compared with a value, not with a file; say which value both have, as in "
       "P0:d = lorem[123] /\\ P1:d = lorem[123]"},
      {asked("exists P0:st.size = a[1]"),
       "5:21: P0:st.size is compared with a number of bytes, found 'a'"},
      {asked("exists P0:st.size = -1"),
       "5:21: P0:st.size is compared with a number of bytes, found '-'"},
      {asked("exists P0:n.res = -EWRONG"),
       "5:20: there is no error 'EWRONG'; errno(3) lists them, as "
       "EIO"},
      {asked("exists P0:n.res == 1"), "5:17: expected one of = != < <= > >=, found '=='"},
      {asked("exists P0:d[0..2] = a[1]"),
       "5:21: 2 bytes are compared with 1, so they always differ"},
      {asked("exists (f.size = 1"),
       "5:19: expected ')' in the condition, found the end of the file"},
      {asked("exists f.size = 1 f.size = 2"),
       "5:19: expected the end of the file after the condition, found 'f'"},
      {asked("exists f.size = 1 \\/"),
       "5:21: expected a register as in P0:n.res, a file, 'not' or '(', "
       "found the end of the file"},
  });
}

TEST(parse_error, comes_before_too_many_of_anything) {
  std::string files, handles, statements, processes, condition = "exists f.size = 0";
  for (int i = 0; i < 8; ++i) files += fmt::format("file f{} = \"\"; ", i);
  for (int i = 0; i < 16; ++i) handles += fmt::format("handle h{} = w; ", i);
  for (int i = 0; i < 65; ++i) statements += "fsync(w);\n";
  for (int i = 0; i < 9; ++i) processes += fmt::format("P{} {{ }}\n", i);
  for (int i = 0; i < 300; ++i) condition += " /\\ f.size = 0";
  EXPECT_NE(complaint(with(files, "")).find("a test has at most 8 files"), std::string::npos);
  EXPECT_NE(complaint(with(handles, "")).find("a test has at most 16 handles"), std::string::npos);
  EXPECT_EQ(complaint(with("", "P0 {\n" + statements + "}")),
            "69:1: a process has at most 64 statements");
  EXPECT_EQ(complaint(with("", processes)), "12:1: a test has at most 8 processes");
  EXPECT_NE(complaint(with("", "P0 { }", condition)).find("the condition is too long"),
            std::string::npos);
}

TEST(parse_error, comes_before_the_stack_ends) {
  for (const std::string_view opening : {"(", "not "}) {
    std::string condition = "exists ";
    while (condition.size() < 60'000) condition += opening;
    EXPECT_NE(complaint(with("", "P0 { }", condition)).find("the condition nests too deep"),
              std::string::npos);
  }
}

TEST(parse_error, comes_before_a_file_that_is_no_litmus_test_is_read_through) {
  EXPECT_NE(complaint(std::string(1 << 20, ' ')).find("the file is longer than 64 KiB"),
            std::string::npos);
}

TEST(parser, takes_or_refuses_every_beginning_of_a_test) {
  for (std::size_t size = 0; size < the_experiment.size() - 2; ++size) {
    EXPECT_NE(refusal(the_experiment.substr(0, size)), "") << the_experiment.substr(0, size);
  }
}

}  // namespace
}  // namespace filemap::litmus
