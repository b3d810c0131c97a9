// The exploration of tests whose schedules can be counted by hand, and of the whole catalogue
// beside the model.

#include "filemap/explore/exploration.hpp"

#include "filemap/litmus/catalogue.hpp"
#include "filemap/litmus/parser.hpp"
#include "filemap/model/model.hpp"

#include "testing.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace filemap::litmus {
namespace {

test named(std::string_view name) { return parse(find_in_catalogue(name)->source, name); }

bool cannot_run(const mode& mode) {
  return mode.engine == engine_kind::uring && !probe_ring().available;
}

/// The modes that this kernel can run.
std::vector<mode> modes() {
  std::vector<mode> all;
  for (const auto of : {all_modes(), older_modes(), buffered_modes()}) {
    for (const auto& mode : of) {
      if (!cannot_run(mode)) all.push_back(mode);
    }
  }
  return all;
}

struct fixture {
  explicit fixture(const std::filesystem::path& below = std::filesystem::temp_directory_path()) {
    auto name = (below / "filemap-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
      throw std::system_error(errno, std::generic_category(), "mkdtemp " + name);
    }
    dir = name;
  }
  fixture(const fixture&) = delete;
  fixture& operator=(const fixture&) = delete;
  ~fixture() {
    EXPECT_TRUE(std::filesystem::is_empty(dir));
    std::filesystem::remove_all(dir);
  }

  exploration_result explored(const test& test, std::string_view mode,
                              const exploration_options& options = {}) const {
    return explore(test, *find_mode(mode), dir, options);
  }
  exploration_result explored(std::string_view name, std::string_view mode) const {
    return explored(named(name), mode);
  }

  std::filesystem::path dir;
};

// --- witnesses

TEST(witness, is_what_it_was_written_as) {
  for (const char* text : {"1", "2", "2.2", "1.3.4.2"}) {
    EXPECT_EQ(to_string(parse_witness(text)), text);
  }
  EXPECT_EQ(to_string(parse_witness("1.1.1")), "1");
  EXPECT_EQ(to_string(parse_witness("2.1.1")), "2");
  EXPECT_EQ(parse_witness("1.3.1.2").detours(), 2U);
}

TEST(witness, may_let_time_pass) {
  for (const auto* const text : {"t", "1.t", "2.t.t.3"}) {
    EXPECT_EQ(to_string(parse_witness(text)), text);
  }
  EXPECT_EQ(parse_witness("2.t.1").choices.size(), 2U);
  EXPECT_EQ(parse_witness("2.t").choices.back(), witness::time_passes);
  EXPECT_EQ(parse_witness("1.t").detours(), 1U);
  for (const auto* const text : {"T", "tt", "t2", "2t", "t.", ".t", "t..t"}) {
    EXPECT_THROW(parse_witness(text), std::invalid_argument) << text;
  }
}

TEST(witness, of_anything_else_is_refused) {
  for (const char* text : {"", "0", "1.", ".1", "1..2", "a", "1,2", "-1", " 1", "1 ", "99999999"}) {
    EXPECT_THROW(parse_witness(text), std::invalid_argument) << text;
  }
}

// --- schedules that can be counted by hand

TEST(exploration, of_tokio_4796_finds_one_schedule_where_writes_are_complete) {
  const fixture f;
  for (const auto& mode : modes()) {
    if (mode.when != acknowledgement::complete) continue;
    const auto result = f.explored("tokio-4796", mode.name);
    EXPECT_EQ(result.schedules, 1U) << mode.name;
    EXPECT_EQ(result.violating, 0U) << mode.name;
    EXPECT_TRUE(result.complete && result.judged && result.as_allowed()) << mode.name;
    EXPECT_FALSE(result.violation || result.why || result.deadlock) << mode.name;
  }
}

// Which nothing but the end of the round writes out.
TEST(exploration, executes_what_is_in_buffers_at_the_end_of_a_round_in_every_order) {
  const fixture f;
  const auto test = parse(R"(F end
"in which order are buffers written out when their handles are given up?"
{ file f = "";  handle w = open f append;  handle v = reopen w append; }
P0 { append(w, a[2]); append(v, b[2]); append(w, c[2]); }
exists (f = a[2] b[2] c[2])
)",
                          "t.litmus");
  const auto written = f.explored(test, "pool-buffered");
  EXPECT_TRUE(written.complete && written.judged && written.as_allowed());
  EXPECT_EQ(written.schedules, 3U);
  EXPECT_EQ(written.states.size(), 3U);
  const auto lost = f.explored(test, "pool-buffered-lost");
  EXPECT_TRUE(lost.complete && lost.as_allowed());
  EXPECT_EQ(lost.schedules, 1U);
}

// The write executes before the fsync, the statx or the read, or after all of them.
TEST(exploration, of_tokio_4796_finds_two_violations_in_four_schedules_where_they_are_not) {
  const fixture f;
  for (const auto& mode : modes()) {
    if (mode.when != acknowledgement::write_behind) continue;
    const auto result = f.explored("tokio-4796", mode.name);
    // A read that seeks before is two operations, and between them the write may execute too.
    const auto more = mode.seeks() ? 1U : 0U;
    EXPECT_EQ(result.schedules, 4U + more) << mode.name;
    EXPECT_EQ(result.violating, 2U + more) << mode.name;
    EXPECT_EQ(result.cut, 0U) << mode.name;
    EXPECT_TRUE(result.complete && result.judged && result.as_allowed()) << mode.name;
    ASSERT_TRUE(result.violation) << mode.name;
    EXPECT_EQ(to_string(result.violation->witness), "2.2") << mode.name;
    EXPECT_TRUE(result.violation->counts) << mode.name;
  }
}

TEST(exploration, of_the_variants_finds_what_tokio_does) {
  const fixture f;
  struct expectation {
    const char* name;
    const char* mode;
    bool violates;
  };
  for (const auto& [name, mode, violates] : {
           expectation{"tokio-4796-flush", "tokio-fs", false},
           expectation{"tokio-4796-ownsync", "tokio-fs", false},
           expectation{"tokio-4796-ownstat", "tokio-fs", true},
           expectation{"tokio-4796-ownstat", "blocking-pool", false},
           expectation{"tokio-4796-flush", "blocking-pool", false},
       }) {
    const auto result = f.explored(name, mode);
    EXPECT_EQ(result.violating > 0, violates) << name << " in " << mode;
    EXPECT_TRUE(result.complete && result.as_allowed()) << name << " in " << mode;
  }
}

TEST(exploration, with_the_flush_of_a_mode_finds_no_violation) {
  const fixture f;
  const auto result = explore(named("tokio-4796"), find_mode("tokio-fs")->with_flush(), f.dir);
  EXPECT_EQ(result.mode.name, "tokio-fs+flush");
  EXPECT_EQ(result.schedules, 1U);
  EXPECT_EQ(result.violating, 0U);
}

test independent_writers() {
  return parse(R"(F independent
"three writers of a file each"
{
  file f = "";  file g = "";  file h = "";
  handle a = open f;  handle b = open g;  handle c = open h;
}
P0 { append(a, x[3]); }
P1 { append(b, y[3]); }
P2 { append(c, z[3]); }
forbidden (f.size != 3 \/ g.size != 3 \/ h.size != 3)
)",
               "independent.litmus");
}

TEST(exploration, executes_one_order_of_what_commutes) {
  const fixture f;
  for (const char* mode : {"blocking-pool", "tokio-fs"}) {
    const auto result = f.explored(independent_writers(), mode);
    EXPECT_EQ(result.schedules, 1U) << mode;
    EXPECT_TRUE(result.complete) << mode;
    EXPECT_EQ(result.violating, 0U) << mode;
  }
}

TEST(exploration, executes_every_order_of_what_does_not) {
  const fixture f;
  const auto test = parse(R"(F dependent
"three writers of a file"
{
  file f = "";
  handle a = open f;  handle b = open f;  handle c = open f;
}
P0 { append(a, x[1]); }
P1 { append(b, y[2]); }
P2 { append(c, z[3]); }
exists (f = z[3] y[2] x[1])
)",
                          "dependent.litmus");
  const auto result = f.explored(test, "blocking-pool");
  EXPECT_EQ(result.schedules, 6U);
  EXPECT_EQ(result.states.size(), 6U);
  EXPECT_EQ(result.violating, 1U);
  EXPECT_EQ(to_string(result.violation->witness), "3.2");
}

// The states that a test comes to in a mode, as text; of one whose search is not complete none.
std::set<std::string> states_of(const fixture& f, const test& test, std::string_view mode) {
  const auto result = f.explored(test, mode);
  EXPECT_TRUE(result.complete) << mode;
  std::set<std::string> states;
  for (const auto& [state, schedules] : result.states) states.insert(to_string(test, state));
  return states;
}
using texts = std::set<std::string>;

TEST(exploration, executes_both_orders_of_what_moves_one_cursor) {
  const fixture f;
  const auto with = [](std::string_view handle, std::string_view other) {
    return parse(fmt::format(R"(F cursor "?"
{{ file f = old[8]; handle a = open f; handle b = {}; }}
P0 {{ d = read(a, 4); }}
P1 {{ e = {}; }}
exists (P0:d = old[4] /\ P1:e.res = 4))",
                             handle, other),
                 "cursor.litmus");
  };
  EXPECT_EQ(f.explored(with("clone a", "read(b, 4)"), "blocking-pool").schedules, 2U);
  EXPECT_EQ(f.explored(with("clone a", "seek(b, 4)"), "blocking-pool").schedules, 2U);
  EXPECT_EQ(f.explored(with("reopen a", "read(b, 4)"), "blocking-pool").schedules, 1U);
  EXPECT_EQ(f.explored(with("clone a", "read(b, 0, 4)"), "blocking-pool").schedules, 1U);
}

TEST(exploration, of_offsets_that_are_sought_reaches_what_the_model_has) {
  const fixture f;
  constexpr std::array<std::string_view, 7> programs = {
      "P0 { write(w, 100, p[20k]); } P1 { seek(c, 0); d = read(c, 10); }",
      "P0 { write(w, 0, p[10]); write(w, 10, q[10]); } P1 { d = read(c, 0, 10); }",
      "P0 { write(w, 0, p[10]); } P1 { close(w); write(c, q[1]); d = read(c, 4); }",
      "P0 { drain write(w, 5, p[10]); } P1 { write(c, 0, q[5]); d = read(c, 4); }",
      "P0 { drain write(w, 5, p[10]); } P1 { d = read(c, 0, 4); }",
      "P0 { d = read(w, 2); drain fsync(w); } P1 { write(c, 0, q[5]); d = read(c, 0, 4); }",
      "P0 { seek(w, 6); e = read(w, 1); drain write(w, 0, q[8]); } P1 { d = read(c, 0, 4); }",
  };
  for (const auto program : programs) {
    const auto test =
        parse(fmt::format("F sought \"?\"\n{{ file f = \"\"; handle w = open f; "
                          "handle c = clone w; }}\n{}\nexists (P1:d = \"\" /\\ f = \"\")",
                          program),
              "sought.litmus");
    for (const auto* const mode : {"tokio-fs", "tokio-fs-1.28", "tokio-fs-1.24"}) {
      model_options whole;
      whole.atomic_writes = true;
      texts allowed;
      for (const auto& state : model(test, *find_mode(mode), whole).allowed) {
        allowed.insert(to_string(test, state));
      }
      EXPECT_EQ(states_of(f, test, mode), allowed) << mode << program;
    }
  }
}

TEST(exploration, tries_both_beginners_in_every_mode) {
  const fixture f;
  const auto test = parse(R"(F first-mover
"may the stat come first?"
{ file f = "";  handle w = open f;  handle r = open f; }
P0 { append(w, x[10]); }
P1 { st = statx(r); }
exists (P1:st.size = 0)
)",
                          "first-mover.litmus");
  for (const auto& mode : modes()) {
    if (mode.when == acknowledgement::buffered) continue;  // the append comes when all have ended
    EXPECT_EQ(states_of(f, test, mode.name), (texts{"P1:st.size=0;", "P1:st.size=10;"}))
        << mode.name;
  }
}

TEST(exploration, tries_a_cancel_before_and_after_its_operation_and_while_that_is_in_flight) {
  const fixture f;
  const auto test = parse(R"(F cancel
"may a write that somebody cancels go through?"
{ file f = "";  handle w = open f; }
P0 { n = append(w, x[10]); }
P1 { cancel(P0:n); }
exists (P0:n.res = 10)
)",
                          "cancel.litmus");
  for (const char* mode : {"uring", "blocking-pool"}) {
    if (cannot_run(*find_mode(mode))) continue;
    EXPECT_EQ(states_of(f, test, mode), (texts{"P0:n.res=-125;", "P0:n.res=10;"})) << mode;
  }
  EXPECT_EQ(states_of(f, test, "sync"), (texts{"P0:n.res=10;"}));
}

// Who reads m before cancelling knows that n is in flight, and may be too late for it all the same.
TEST(exploration, tries_a_cancel_that_is_too_late_for_what_it_finds_in_flight) {
  const fixture f;
  const auto test = parse(R"(F late
"the cancel found n, did nothing to it, and the stat came before it"
{ file f = "";  file g = "";  handle w = open f;  handle x = open g; }
P0 { batch { n = append(w, a[10]); m = append(x, b[10]); } }
P1 { d = statx(x); cancel(P0:n); s = statx(w); }
exists (P1:d.size = 10 /\ P0:n.res = 10 /\ P1:s.size = 0)
)",
                          "late.litmus");
  EXPECT_GT(f.explored(test, "blocking-pool").violating, 0U);
}

TEST(exploration, tries_what_is_submitted_before_and_after_a_drained_operation) {
  const fixture f;
  const auto test = parse(R"(F drained
"is the read submitted before the drained write, or after?"
{ file f = "";  handle w = open f;  handle r = open f; }
P0 { drain n = write(w, 0, x[10]); }
P1 { d = read(r, 0, 10); }
exists (P1:d = "")
)",
                          "drained.litmus");
  EXPECT_EQ(states_of(f, test, "blocking-pool"), (texts{"P1:d=\"\";", "P1:d=x[10];"}));
}

TEST(exploration, tries_both_orders_of_two_calls_of_one_write_behind_handle) {
  const fixture f;
  const auto test = parse(R"(F handle-order
"does the search try both orders of two calls of one write-behind handle?"
{ file f = ""; file g = ""; file h = "";
  handle w = open f append; handle a = open g; handle b = open h; }
P0 { fsync(a); append(w, x[10]); }
P1 { fsync(b); d = read(w, 0, 10); }
exists (P1:d = x[10])
)",
                          "handle-order.litmus");
  EXPECT_EQ(states_of(f, test, "tokio-fs"), (texts{"P1:d=\"\";", "P1:d=x[10];"}));
}

TEST(exploration, runs_nothing_between_the_members_of_a_group_in_the_mode_sync_alone) {
  const fixture f;
  const auto test = parse(R"(F link
"is a state between two members of a link seen?"
{ file f = "";  handle x = open f;  handle y = open f; }
P0 { st = statx(x); }
P1 { hardlink { truncate(y, 10); append(x, b[10]); } }
exists (P0:st.size = 10)
)",
                          "link.litmus");
  EXPECT_EQ(states_of(f, test, "sync"), (texts{"P0:st.size=0;", "P0:st.size=20;"}));
  for (const char* mode : {"uring", "blocking-pool"}) {
    if (cannot_run(*find_mode(mode))) continue;
    EXPECT_EQ(states_of(f, test, mode),
              (texts{"P0:st.size=0;", "P0:st.size=10;", "P0:st.size=20;"}))
        << mode;
  }
}

// The loop has no turn between a notification and the operation after it.
TEST(exploration, lets_nobody_in_between_a_notification_and_what_follows_in_the_mode_sync) {
  const fixture f;
  const auto test = parse(R"(F turn
"may who is notified come before what the notifier does next?"
{ file f = "";  handle w = open f;  handle r = open f; }
P0 { notify(go); append(w, x[10]); }
P1 { wait(go); st = statx(r); }
exists (P1:st.size = 0)
)",
                          "turn.litmus");
  EXPECT_EQ(states_of(f, test, "sync"), (texts{"P1:st.size=10;"}));
  EXPECT_EQ(states_of(f, test, "blocking-pool"), (texts{"P1:st.size=0;", "P1:st.size=10;"}));
}

TEST(exploration, finds_a_deadlock_and_goes_on) {
  const fixture f;
  auto test = named("mp-write-statx");
  test.processes[0].body.pop_back();  // its notify: the parser refuses such a test
  for (const auto& mode : modes()) {
    for (int again = 0; again < 2; ++again) {
      const auto result = f.explored(test, mode.name);
      EXPECT_GE(result.schedules, 1U) << mode.name;
      EXPECT_EQ(result.deadlocks, result.schedules) << mode.name;
      EXPECT_TRUE(result.states.empty()) << mode.name;
      ASSERT_TRUE(result.deadlock) << mode.name;
      EXPECT_TRUE(result.as_allowed()) << mode.name;  // the model has it too
    }
  }
}

// --- beside the model

TEST(exploration, of_the_catalogue_comes_to_no_state_that_the_model_does_not_allow) {
  const fixture f;
  for (const auto& entry : catalogue()) {
    const auto test = parse(entry.source, entry.name);
    for (const auto& mode : modes()) {
      try {
        const auto result = explore(test, mode, f.dir);
        EXPECT_TRUE(result.judged) << entry.name;
        EXPECT_GE(result.schedules, 1U) << entry.name;
        for (const auto& state : result.not_allowed) {
          ADD_FAILURE() << entry.name << " in " << mode.name << ": " << to_string(test, state);
        }
        EXPECT_EQ(result.deadlocks, 0U) << entry.name << " in " << mode.name;
      } catch (const unsupported&) {  // O_DIRECT
      }
    }
  }
}

// One operation at a time: the model's writes are whole then too.
TEST(exploration, comes_to_every_state_that_whole_operations_allow) {
  const fixture f;
  for (const char* name :
       {"tokio-4796", "tokio-4796-flush", "tokio-4796-ownsync", "tokio-4796-ownstat",
        "mp-write-statx", "two-appenders", "extend-read", "truncate-read"}) {
    const auto test = named(name);
    for (const char* mode : {"blocking-pool", "tokio-fs"}) {
      const auto result = f.explored(name, mode);
      const auto allowed = model(test, *find_mode(mode), {.atomic_writes = true}).allowed;
      std::set<final_state> seen;
      for (const auto& [state, schedules] : result.states) seen.insert(state);
      EXPECT_EQ(seen, allowed) << name << " in " << mode;
    }
  }
}

// --- replay

// Where this runs: on disk, and in memory when that is possible.
TEST(replay, comes_to_the_same_a_hundred_times) {
  std::vector<std::filesystem::path> places{std::filesystem::temp_directory_path()};
  if (::access("/dev/shm", W_OK) == 0) places.emplace_back("/dev/shm");
  const auto test = named("tokio-4796");
  for (const auto& place : places) {
    const fixture f(place);
    for (const char* mode : {"tokio-fs", "uring-write-behind"}) {
      if (cannot_run(*find_mode(mode))) continue;
      const auto found = f.explored(test, mode);
      ASSERT_TRUE(found.violation);
      for (int i = 0; i < 100; ++i) {
        const auto again = replay(test, *find_mode(mode), f.dir, found.violation->witness).value();
        ASSERT_EQ(again.state, found.violation->state) << i;
        ASSERT_TRUE(again.counts) << i;
        ASSERT_EQ(again.witness, found.violation->witness) << i;
      }
    }
  }
}

TEST(replay, refuses_a_witness_that_the_test_does_not_have) {
  const fixture f;
  const auto complaint = [&](const char* text) -> std::string {
    try {
      replay(named("tokio-4796"), *find_mode("tokio-fs"), f.dir, parse_witness(text));
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(complaint("2.2.2"), "");
  EXPECT_EQ(complaint("2.2.2.1.1"), "");
  EXPECT_EQ(complaint("2.3"), "its choice 2 is 3, but only 2 operations can execute there");
  EXPECT_EQ(complaint("1.2"), "it has 2 choices, but there are only 1 to make");
}

TEST(replay, that_is_interrupted_comes_to_nothing) {
  const fixture f;
  const std::atomic<bool> interrupt{true};
  exploration_options options;
  options.interrupt = &interrupt;
  EXPECT_FALSE(
      replay(named("tokio-4796"), *find_mode("tokio-fs"), f.dir, parse_witness("2.2"), options));
}

// --- samples

TEST(sampling, finds_the_violation_under_a_fixed_seed) {
  const fixture f;
  exploration_options options;
  options.samples = 100;
  options.seed = 1;
  const auto result = f.explored(named("tokio-4796"), "tokio-fs", options);
  EXPECT_EQ(result.schedules, 100U);
  EXPECT_EQ(result.sampled, 100U);
  EXPECT_FALSE(result.complete);
  EXPECT_GT(result.violating, 0U);
  EXPECT_LT(result.violating, 100U);
  const auto again = f.explored(named("tokio-4796"), "tokio-fs", options);
  EXPECT_EQ(again.states, result.states);
}

TEST(sampling, takes_over_where_there_are_more_schedules_than_the_limit) {
  const fixture f;
  exploration_options options;
  options.limit = 3;
  const auto result = f.explored(named("tokio-4796"), "tokio-fs", options);
  EXPECT_EQ(result.schedules, 6U);
  EXPECT_EQ(result.sampled, 3U);
  EXPECT_FALSE(result.complete);
  options.limit = 5;
  EXPECT_TRUE(f.explored(named("tokio-4796"), "tokio-fs", options).complete);
}

TEST(exploration, ends_when_it_is_interrupted) {
  const fixture f;
  const std::atomic<bool> interrupt{true};
  exploration_options options;
  options.interrupt = &interrupt;
  const auto result = f.explored(named("tokio-4796"), "tokio-fs", options);
  EXPECT_TRUE(result.interrupted);
  EXPECT_FALSE(result.complete);
  EXPECT_EQ(result.schedules, 0U);
}

TEST(exploration, that_is_interrupted_keeps_the_schedule_that_it_has_found) {
  using namespace std::chrono_literals;
  const fixture f;
  std::atomic<bool> interrupt{false};
  exploration_options options;
  options.samples = 1'000'000'000;
  options.interrupt = &interrupt;
  const std::jthread user([&] {
    std::this_thread::sleep_for(500ms);
    interrupt = true;
  });
  const auto result = f.explored(named("tokio-4796"), "tokio-fs", options);
  EXPECT_TRUE(result.interrupted);
  ASSERT_GT(result.violating, 0U);
  ASSERT_TRUE(result.violation.has_value());
  EXPECT_FALSE(result.violation->steps.empty());
  ASSERT_TRUE(result.why.has_value());
  EXPECT_TRUE(result.why->interrupted);
  EXPECT_FALSE(result.why->complete);
}

// --- explanations

TEST(explanation, of_tokio_4796_names_the_flush) {
  const fixture f;
  const auto test = named("tokio-4796");
  const auto result = f.explored(test, "tokio-fs");
  ASSERT_TRUE(result.why && result.why->needed);
  const auto& needed = *result.why->needed;
  const auto text = [&](std::size_t at) { return name_of(test, result.violation->steps[at]); };
  EXPECT_TRUE(needed.acknowledged_early);
  EXPECT_EQ(text(needed.earlier), "P0's append(w)");
  EXPECT_EQ(text(needed.later), "P1's fsync(s)");
  ASSERT_EQ(needed.path.size(), 2U);
  EXPECT_EQ(text(needed.path[0]), "P0's notify(written)");
  EXPECT_EQ(text(needed.path[1]), "P1's wait(written)");
  ASSERT_EQ(result.why->mended_by.size(), 1U);
  const auto& mended = result.why->mended_by[0];
  EXPECT_EQ(mended.change, "flush(w) before P0's notify(written)");
  EXPECT_EQ(mended.violating, 0U);
  EXPECT_GT(mended.schedules, 0U);
}

struct mended {
  std::vector<std::string> changes;
  bool needed = false;
  bool no_order_helps = false;
};

// What the explanation says, after each mend has been found to be what it is said to be: a program
// that is taken, and in which neither the model nor the search finds anything.
mended why(const char* source, std::string_view mode, const model_options& judge = {}) {
  const fixture f;
  exploration_options options;
  options.model = judge;
  const auto result = f.explored(parse(source, "t.litmus"), mode, options);
  EXPECT_TRUE(result.why && result.why->complete);
  if (!result.why) return {};
  mended found{{}, result.why->needed.has_value(), result.why->no_order_helps};
  for (const auto& one : result.why->mended_by) {
    found.changes.push_back(one.change);
    const auto changed = parse(one.program, "mended.litmus");
    EXPECT_EQ(counted(changed, model(changed, *find_mode(mode), judge).allowed), 0U) << one.program;
    EXPECT_EQ(f.explored(changed, mode, options).violating, 0U) << one.program;
  }
  return found;
}

using changes = std::vector<std::string>;

TEST(explanation, of_a_race_names_the_notification) {
  const auto found = why(R"(F race
"does the reader come after the writer?"
{ file f = "";  handle w = open f;  handle r = open f; }
P0 { append(w, x[10]); }
P1 { st = statx(r); }
forbidden (P1:st.size != 10)
)",
                         "blocking-pool");
  EXPECT_TRUE(found.needed);
  EXPECT_EQ(found.changes,
            (changes{"notify(ordered) after P0's append(w), wait(ordered) before P1's statx(r)"}));
}

TEST(explanation, says_which_of_two_operations_it_means) {
  const auto found = why(R"(F which
"which append, which read?"
{ file f = "";  handle w = open f;  handle r = open f; }
P0 { append(w, a[10]); append(w, b[10]); }
P1 { c = read(r, 0, 20); d = read(r, 0, 20); }
forbidden (P1:c = "")
)",
                         "blocking-pool");
  ASSERT_FALSE(found.changes.empty());
  EXPECT_EQ(found.changes[0],
            "notify(ordered) after P0's first append(w), wait(ordered) before P1's first read(r)");
}

TEST(explanation, of_a_state_that_no_order_prevents_names_no_order) {
  for (const char* source : {R"(F rename
"both orders violate"
{ file f = none; file a = one[1]; file b = two[1]; }
P0 { n = rename(a, f); }
P1 { m = rename(b, f); }
forbidden (P0:n.res = 0 /\ P1:m.res = 0)
)",
                             R"(F size
"the size is 10 in every state"
{ file f = old[10];  handle w = open f;  handle r = open f; }
P0 { write(w, 0, a[10]); }
P1 { d = read(r, 0, 10); }
P2 { s = statx(r); }
forbidden (P2:s.size = 10)
)"}) {
    const auto found = why(source, "blocking-pool");
    EXPECT_TRUE(found.no_order_helps) << source;
    EXPECT_FALSE(found.needed) << source;
    EXPECT_TRUE(found.changes.empty()) << source;
  }
}

TEST(explanation, flushes_a_buffer_though_every_schedule_without_that_is_bad) {
  constexpr const char* source = R"(F synced
"does an fsync sync what is in a buffer?"
{ file f = "";  handle w = open f append;  handle r = open f; }
P0 { append(w, x[10]);  fsync(w);  notify(synced); }
P1 { wait(synced);  d = read(r, 0, 10); }
forbidden (P1:d != x[10])
)";
  for (const auto* const mode : {"pool-buffered", "pool-buffered-lost"}) {
    const auto found = why(source, mode);
    EXPECT_TRUE(found.needed) << mode;
    EXPECT_FALSE(found.no_order_helps) << mode;
    EXPECT_EQ(found.changes, changes{"flush(w) before P0's fsync(w)"}) << mode;
  }
}

TEST(explanation, flushes_what_a_close_or_the_end_loses) {
  const auto closed = why(R"(F closed
"is it there in the end?"
{ file f = "";  handle w = open f append; }
P0 { n = append(w, x[10]);  close(w); }
forbidden (f = "")
)",
                          "pool-buffered-lost");
  EXPECT_EQ(closed.changes, changes{"flush(w) before P0's close(w)"});
  const auto left = why(R"(F left
"is it there in the end?"
{ file f = "";  handle w = open f append; }
P0 { n = append(w, x[10]); }
forbidden (f = "")
)",
                        "pool-buffered-lost");
  EXPECT_TRUE(left.needed);
  EXPECT_EQ(left.changes, changes{"flush(w) after P0's append(w)"});
}

TEST(explanation, says_that_no_order_helps_where_no_flush_does_either) {
  const auto found = why(R"(F always
"is it ever missing?"
{ file f = "";  handle w = open f append; }
P0 { n = append(w, x[10]); }
forbidden (f = x[10])
)",
                         "pool-buffered");
  EXPECT_TRUE(found.no_order_helps);
  EXPECT_FALSE(found.needed);
}

TEST(explanation, flushes_before_the_close_of_a_handle_that_is_dropped) {
  const auto found = why(R"(F dropped
"an upload is written and its handle dropped; is it there for whoever is told?"
{ file f = "";  handle w;  handle r; }
P0 { w = open f;  write(w, 0, body[300]);  close(w);  notify(persisted); }
P1 { wait(persisted);  r = open f;  d = read(r, 0, 300); }
forbidden (P1:d != body[300])
)",
                         "tokio-fs");
  EXPECT_EQ(found.changes, (changes{"flush(w) before P0's close(w)"}));
}

TEST(explanation, flushes_before_the_first_that_looks_past_the_handle) {
  const auto found = why(R"(F renamed
"is the sync after the write?"
{ file state = old[200]; file tmp = ""; handle w = open tmp; handle fd = clone w; handle r; }
P0 { write(w, 0, new[200]);  fsync(fd);  rename(tmp, state);  notify(renamed); }
P1 { wait(renamed);  r = open state;  d = read(r, 0, 4k); }
forbidden (P1:d != new[200])
)",
                         "tokio-fs");
  EXPECT_EQ(found.changes, (changes{"flush(w) before P0's fsync(fd)"}));
}

TEST(explanation, hides_nothing_by_making_a_writer_wait_for_a_reader) {
  const auto found = why(R"(F hiding
"a consumer looks at the size and then reads"
{ file f = ""; handle w = open f; handle r = open f; }
P0 { truncate(w, 100); write(w, 0, item[100]); }
P1 { st = statx(r); d = read(r, 0, 100); }
forbidden (P1:st.size >= 100 /\ P1:d != item[100])
)",
                         "blocking-pool");
  ASSERT_FALSE(found.changes.empty());
  for (const auto& change : found.changes) {
    EXPECT_TRUE(change.starts_with("notify(ordered) after P0's ")) << change;
  }
}

TEST(explanation, offers_no_program_that_is_refused) {
  const auto found = why(R"(F refused
"the only order that would help is one in which a closed handle is used"
{ file f = "";  handle w = open f;  handle y = open f; }
P0 { fsync(y); close(w); }
P1 { s = fsync(w); }
forbidden (P1:s.res = 0)
)",
                         "blocking-pool");
  EXPECT_TRUE(found.changes.empty());
  EXPECT_FALSE(found.needed || found.no_order_helps);
}

TEST(explanation, is_judged_by_the_model_that_was_asked_for) {
  const char* const source = R"(F posix
"does the reader see one of the writes whole?"
{ file f = old[8k]; handle a = open f; handle b = open f; handle r = open f; }
P0 { write(a, 0, one[8k]); }
P1 { write(b, 0, two[8k]); }
P2 { d = read(r, 0, 8k); }
forbidden (not (P2:d = one[8k]) /\ not (P2:d = two[8k]))
)";
  EXPECT_TRUE(why(source, "blocking-pool").changes.empty());
  EXPECT_EQ(why(source, "blocking-pool", {.atomic_writes = true}).changes.size(), 2U);
}

constexpr const char* stat_beside_append = R"(F first-mover
"may the stat come first?"
{ file f = "";  handle w = open f;  handle r = open f; }
P0 { n = append(w, x[10]); }
P1 { st = statx(r); }
exists (P1:st.size = 0)
)";

TEST(explanation, flushes_before_the_notification_where_writes_are_acknowledged_early) {
  const auto found = why(stat_beside_append, "tokio-fs");
  EXPECT_TRUE(found.needed);
  EXPECT_EQ(found.changes, (changes{"flush(w), notify(ordered) after P0's append(w), wait(ordered) "
                                    "before P1's statx(r)"}));
}

TEST(explanation, flushes_all_that_is_in_flight_then_where_it_can_still_be_flushed) {
  const auto found = why(R"(F flushed
"three appends through three handles, one of them closed and one of another process"
{ file f = ""; handle w = open f; handle v = open f; handle x = open f; handle r = open f; }
P0 { append(x, c[3]); notify(e); }
P1 { append(w, a[3]); close(w); wait(e); append(v, b[3]); }
P2 { s = statx(r); }
forall (P2:s.size = 9)
)",
                         "tokio-fs");
  EXPECT_EQ(found.changes,
            (changes{"flush(x) before P0's notify(e), flush(w) before P1's close(w), flush(v), "
                     "notify(ordered) after P1's append(v), wait(ordered) before P2's statx(r)"}));
}

TEST(explanation, flushes_every_write_that_the_program_orders_before_the_look) {
  const auto found = why(R"(F both
"two writes that were acknowledged when they were queued"
{ file f = ""; handle w = open f; handle v = open f; handle r = open f; }
P0 { append(w, a[3]); append(v, b[3]); notify(e); }
P1 { wait(e); s = statx(r); }
forall (P1:s.size = 6)
)",
                         "tokio-fs");
  EXPECT_EQ(found.changes,
            (changes{"flush(w) before P0's append(v), flush(v) before P0's notify(e)"}));
}

// A call of the handle waits for what is queued before it.
TEST(explanation, asks_for_no_flush_where_a_second_write_has_waited_for_the_first) {
  const fixture f;
  const auto test = parse(R"(F second
"is the first append there?"
{ file f = ""; handle w = open f; handle r = open f; }
P0 { append(w, a[3]); append(w, b[3]); }
P1 { d = read(r, 0, 9); }
forbidden (P1:d = "")
)",
                          "second.litmus");
  const auto result = f.explored(test, "tokio-fs");
  ASSERT_TRUE(result.why && result.why->needed);
  EXPECT_TRUE(result.why->needed->queued_is_enough);
  ASSERT_EQ(result.why->mended_by.size(), 2U);
  EXPECT_EQ(result.why->mended_by[0].change,
            "notify(ordered) after P0's second append(w), wait(ordered) before P1's read(r)");
  EXPECT_EQ(result.why->mended_by[1].change,
            "flush(w), notify(ordered) after P0's first append(w), wait(ordered) before P1's "
            "read(r)");
}

// It has no operation where it found its handle closed, and neither has a close behind a queue.
TEST(explanation, of_a_closed_handle_names_the_call_that_found_it_closed) {
  for (const char* call : {"append(h, a[3])", "write(h, 0, a[3])", "read(h, 0, 3)", "statx(h)",
                           "fsync(h)", "truncate(h, 3)", "punch(h, 0, 3)", "flush(h)"}) {
    const auto name = std::string(call).substr(0, std::string_view(call).find('(')) + "(h)";
    const auto source = std::string(R"(F closed
"is the handle still open?"
{ file f = old[3]; handle h = open f; handle w = open f; }
P0 { t = statx(w); close(h); }
P1 { s = )") + call + R"(; n = truncate(w, 9); }
forall (P1:s.res >= 0 /\ P1:n.res = 0)
)";
    for (const char* mode : {"uring", "blocking-pool", "sync", "tokio-fs"}) {
      if (cannot_run(*find_mode(mode))) continue;
      const auto found = why(source.c_str(), mode);
      EXPECT_EQ(found.changes, (changes{"notify(ordered) after P1's " + name +
                                        ", wait(ordered) before P0's close(h)"}))
          << name << " in " << mode;
    }
  }
}

TEST(explanation, goes_on_behind_a_short_read_where_a_link_would_not) {
  const auto found = why(R"(F short
"is the append over before the short read, and the sync done all the same?"
{ file f = ""; handle w = open f; handle r = open f; }
P0 { batch { append(w, a[3]); d = read(r, 0, 9); s = fsync(r); } }
forbidden (P0:d = "" \/ P0:s.res != 0)
)",
                         "blocking-pool");
  EXPECT_EQ(found.changes, (changes{"hardlink instead of the batch of P0's append(w)"}));
}

TEST(explanation, takes_no_sync_for_a_change_that_a_look_could_have_seen) {
  const auto found = why(R"(F look-and-sync
"the sync is of no concern to the look before the append"
{ file f = ""; handle w = open f; handle r = open f; }
P0 { d = read(r, 0, 9); append(w, a[3]); }
P1 { s = statx(r); fsync(r); }
forbidden (P1:s.size = 0)
)",
                         "blocking-pool");
  EXPECT_EQ(found.changes,
            (changes{"notify(ordered) after P0's append(w), wait(ordered) before P1's statx(r)"}));
}

// There who is notified comes after what follows the notification, too.
TEST(explanation, hides_nothing_behind_a_turn_in_the_mode_sync) {
  const auto found = why(R"(F turn
"the stat sees the other append, or not"
{ file f = ""; handle w = open f; handle v = open f; handle r = open f; }
P0 { append(w, a[3]); st = statx(r); }
P1 { append(v, b[3]); }
forbidden (P0:st.size = 6)
)",
                         "sync");
  EXPECT_TRUE(found.changes.empty());
}

TEST(explanation, gives_a_turn_to_who_has_none_in_every_schedule_of_the_mode_sync) {
  const auto found = why(R"(F turn
"the stat always comes before the append"
{ file f = ""; handle w = open f; handle r = open f; }
P0 { notify(go); st = statx(r); }
P1 { wait(go); append(w, a[3]); }
forbidden (P0:st.size = 0)
)",
                         "sync");
  EXPECT_FALSE(found.no_order_helps);
  EXPECT_EQ(found.changes,
            (changes{"notify(ordered) after P1's append(w), wait(ordered) before P0's statx(r)"}));
}

TEST(explanation, calls_its_notification_what_nothing_else_is_called) {
  const auto found = why(R"(F names
"a pattern and a process have that name"
{ file f = "";  handle w = open f;  handle r = open f; }
P0(ordered_) { append(w, ordered[10]); }
P1 { st = statx(r); }
forbidden (P1:st.size != 10)
)",
                         "blocking-pool");
  EXPECT_EQ(
      found.changes,
      (changes{"notify(ordered__) after P0's append(w), wait(ordered__) before P1's statx(r)"}));
}

// A weaker one keeps less waiting.
TEST(explanation, offers_no_order_that_is_stronger_than_one_that_mends) {
  const auto found = why(R"(F stronger
"what is the least that the second read has to wait for?"
{ file f = ""; handle w = open f; handle r = open f; }
P0 { append(w, a[3]); fsync(w); append(w, b[3]); }
P1 { c = read(r, 0, 9); d = read(r, 0, 9); }
forbidden (P1:d = "")
)",
                         "blocking-pool");
  EXPECT_EQ(found.changes, (changes{"notify(ordered) after P0's first append(w), wait(ordered) "
                                    "before P1's second read(r)"}));
}

TEST(explanation, of_too_large_a_model_says_that_not_all_was_tried) {
  const fixture f;
  exploration_options options;
  options.model.max_states = 3;
  const auto result =
      f.explored(parse(stat_beside_append, "first-mover.litmus"), "tokio-fs", options);
  ASSERT_TRUE(result.why);
  EXPECT_FALSE(result.why->complete || result.why->needed);
}

TEST(explanation, takes_no_longer_than_it_may) {
  const fixture f;
  exploration_options options;
  options.explain_for = nanoseconds{0};
  const auto result = f.explored(named("tokio-4796"), "tokio-fs", options);
  ASSERT_TRUE(result.why);
  EXPECT_FALSE(result.why->complete || result.why->needed);
}

TEST(exploration, says_what_it_did_not_search_where_operations_may_overlap) {
  const fixture f;
  EXPECT_EQ(f.explored("tokio-4796-flush", "tokio-fs").not_searched, "");
  EXPECT_NE(f.explored("tokio-4796", "tokio-fs").not_searched, "");
  EXPECT_EQ(f.explored("tokio-4796", "blocking-pool").not_searched, "");
  EXPECT_NE(f.explored("two-appenders", "blocking-pool").not_searched, "");
  EXPECT_EQ(f.explored("two-appenders", "sync").not_searched, "");
}

TEST(replay, carries_the_size_that_a_statx_saw) {
  const fixture f;
  const auto done = replay(named("tokio-4796"), *find_mode("blocking-pool"), f.dir, {}).value();
  for (const auto& step : done.steps) {
    EXPECT_EQ(step.size, step.what.what == verb::statx ? 123U : 0U) << to_string(step.what.what);
  }
}

}  // namespace
}  // namespace filemap::litmus
