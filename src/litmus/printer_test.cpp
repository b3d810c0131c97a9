#include "filemap/litmus/printer.hpp"

#include "filemap/litmus/catalogue.hpp"
#include "filemap/litmus/experiment.hpp"
#include "filemap/litmus/parser.hpp"

#include <stdexcept>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace filemap::litmus {
namespace {

test without_lines(test test) {
  for (auto& process : test.processes) {
    for (auto& statement : process.body) statement.line = 0;
  }
  return test;
}

constexpr std::string_view everything = R"(F every-thing+1.0
"what does a printed test say?"
source "https://example.org/1"

{
  file f = old[100] zeros[28];
  file g = none;
  file h = "";
  handle w = open f;
  handle x = open h direct dsync;
  handle z = open h append;
  handle v = open h;
  handle c = clone w;
  handle s = c;
  handle late;
  handle copy;
}

P0(writer) {
  n = append(w, new[100..228]);
  batch {
    write(x, 512, zeros[512]);
    drain y = fsync(x);
  }
  link {
    a = allocate(s, 0, 10);
    t = truncate(s, 5);
  }
  notify(told);
}

P1 {
  wait(told);
  late = open f direct;
  copy = clone late;
  d = read(c, 0, 123);
  e = read(z, 5);
  seek(v, 7);
  write(v, zeros[3]);
  st = statx(copy);
  drain fdatasync(late);
  k = cancel(P0:n);
  flush(late);
  rename(f, g);
  unlink(h);
  close(late);
}

exists (P0:n.res = -EIO \/ not (P1:d[0..2] != old[2..4] /\ P1:st.size >= 3)) /\ f = none \/ not g = none
)";

TEST(printer, writes_what_the_parser_has_read) {
  EXPECT_EQ(to_source(parse(everything, "every")), everything);
}

TEST(printer, writes_each_test_of_the_catalogue_as_the_same_test) {
  for (const auto& entry : catalogue()) {
    const auto test = parse(entry.source, entry.name);
    EXPECT_EQ(refused(test), std::nullopt) << entry.name;
    EXPECT_EQ(without_lines(parse(to_source(test), "printed")), without_lines(test)) << entry.name;
  }
}

TEST(printer, keeps_the_shape_of_a_condition) {
  for (const std::string_view condition : {
           "forall f.size = 1 \\/ (f.size = 2 \\/ f.size = 3)",
           "forall f.size = 1 \\/ f.size = 2 /\\ f.size = 3",
           "forall (f.size = 1 \\/ f.size = 2) /\\ f.size = 3",
           "forall f.size = 1 /\\ (f.size = 2 /\\ f.size = 3)",
           "forall not (f.size = 1 /\\ f.size = 2)",
           "forall not f.size = 1 /\\ f.size < 2",
           "forbidden f[5..7] = zeros[2]",
           "exists P0:n.res = -1000000 \\/ P0:n.res = 4611686018427387904",
           "exists P0:n.res != -4611686018427387904",
           "exists f != \"\"",
       }) {
    const auto test = parse(fmt::format("F t\n\"q\"\n{{ file f = \"\"; handle w = open f; }}\n"
                                        "P0 {{ n = fsync(w); }}\n{}\n",
                                        condition),
                            "t");
    const auto source = to_source(test);
    EXPECT_EQ(source.substr(source.rfind('}') + 3), fmt::format("{}\n", condition));
  }
}

TEST(printer, says_why_a_changed_test_would_be_refused) {
  auto test = parse(R"(F t
"q"
{ file f = ""; handle w; }
P0 { w = open f; append(w, a[1]); close(w); notify(done); }
P1 { wait(done); }
exists f.size = 0)",
                    "t");
  EXPECT_EQ(refused(test), std::nullopt);
  statement flush;
  flush.what = verb::flush;
  insert(test, 0, 3, flush);
  const auto why = refused(test);
  ASSERT_TRUE(why);
  EXPECT_NE(why->find("'w' has been closed in line 12; use another handle"), std::string::npos)
      << *why;
}

TEST(printer, has_no_words_for_what_only_the_experiment_does) {
  EXPECT_THROW(to_source(tokio_4796({})), std::invalid_argument);
  auto repeated = parse(everything, "every");
  repeated.processes[0].times = 2;
  EXPECT_THROW(to_source(repeated), std::invalid_argument);
}

}  // namespace
}  // namespace filemap::litmus
