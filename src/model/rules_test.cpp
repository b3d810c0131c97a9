// The rules of docs/model.md where kernels, and not only POSIX, decide: each test is named for what
// the model once had wrong.

#include "filemap/model/model.hpp"

#include "model_test_support.hpp"

#include <set>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace filemap::litmus {
namespace {

bool asks_for_what_is_allowed(std::string_view source, std::string_view mode) {
  return modelled_test(source, mode).counts();
}

TEST(links, a_keeping_unlink_does_not_keep_the_link_of_the_next_member) {
  constexpr std::string_view source = R"(F keeps-link "?"
{ file f = ""; file g = none; handle h = open f; handle w = open f; }
P0 { close(h); }
P1 { link { u = unlink(g); s = fsync(h); n = append(w, x[1]); } }
exists (P1:s.res = -EBADF /\ P1:n.res = 1))";
  EXPECT_FALSE(asks_for_what_is_allowed(source, "uring"));
}

TEST(links, a_failed_statx_keeps_its_link_on_a_ring_alone) {
  constexpr std::string_view source = R"(F statx "?"
{ file f = ""; file g = none; handle w = open f; handle r; }
P0 { r = open g; link { s = statx(r); t = fsync(w); } }
exists (P0:s.res = -EBADF /\ P0:t.res = 0))";
  const modelled_test on_a_ring(source, "uring");
  EXPECT_TRUE(on_a_ring.counts());
  EXPECT_TRUE(on_a_ring.only_with(excess::kept_link));
  EXPECT_FALSE(asks_for_what_is_allowed(source, "blocking-pool"));
}

TEST(links, a_sync_fails_and_its_link_goes_on_where_direct_and_buffered_writes_met) {
  constexpr std::string_view source = R"(F failed-fsync "?"
{ file f = old[4k]; file g = none; handle w = open f direct; handle b = open f; }
P0 { write(w, 0, x[4k]); write(b, 0, y[4k]); link { s = fsync(b); t = rename(f, g); } }
exists (P0:s.res = -EIO /\ P0:t.res = 0))";
  EXPECT_TRUE(asks_for_what_is_allowed(source, "uring"));
  EXPECT_FALSE(asks_for_what_is_allowed(source, "blocking-pool"));
}

TEST(direct_writes, one_may_make_the_sync_of_a_buffered_write_fail_whose_bytes_are_there) {
  constexpr std::string_view source = R"(F dsync "?"
{ file f = old[4k]; handle a = open f direct; handle s = open f dsync; }
P0 { write(a, 0, x[4k]); }
P1 { n = write(s, 4k, y[100]); }
exists (P1:n.res = -EIO /\ f = x[4k] y[100]))";
  for (const auto* const mode : {"uring", "blocking-pool"}) {
    const modelled_test modelled(source, mode);
    EXPECT_TRUE(modelled.counts()) << mode;
    EXPECT_TRUE(modelled.only_with(excess::colliding_sync)) << mode;
  }
  EXPECT_FALSE(asks_for_what_is_allowed(source, "sync"));
}

TEST(direct_writes, appends_that_begin_together_may_have_one_place) {
  constexpr std::string_view source = R"(F direct-appends "?"
{ file f = ""; handle a = open f append direct; handle b = open f append direct; }
P0 { append(a, x[4k]); }
P1 { append(b, y[4k]); }
exists (f.size != 8k))";
  for (const auto* const mode : {"uring", "blocking-pool"}) {
    const modelled_test modelled(source, mode);
    EXPECT_TRUE(modelled.counts()) << mode;
    EXPECT_TRUE(modelled.only_with(excess::lost_append)) << mode;
  }
  EXPECT_FALSE(asks_for_what_is_allowed(source, "sync"));
}

// Asks for one state in which both were acknowledged; P0 writes through `a`, which is direct.
std::string beside_a_direct_write(std::string_view file, std::string_view writes,
                                  std::string_view other, std::string_view state) {
  return fmt::format(R"(F beside "?"
{{ file f = {}; handle a = open f direct; handle b = open f append; handle c = open f; }}
P0 {{ n = {}; }}
P1 {{ m = {}; }}
exists (P0:n.res > 0 /\ P1:m.res >= 0 /\ f = {}))",
                     file, writes, other, state);
}

TEST(direct_writes, an_append_beside_one_takes_the_old_end_on_a_ring) {
  for (const auto& source :
       {beside_a_direct_write(R"("")", "append(a, x[4k])", "append(b, y[4k])", "y[4k]"),
        beside_a_direct_write(R"("")", "write(a, 0, x[4k])", "append(b, y[4k])", "y[4k]")}) {
    for (const auto* const mode : {"uring", "uring-write-behind"}) {
      const modelled_test modelled(source, mode);
      EXPECT_TRUE(modelled.counts()) << mode << source;
      EXPECT_TRUE(modelled.only_with(excess::early_unlock)) << mode << source;
    }
    EXPECT_FALSE(asks_for_what_is_allowed(source, "blocking-pool")) << source;
  }
}

TEST(direct_writes, a_buffered_write_beside_one_writes_back_the_rest_of_its_page) {
  const auto behind = [](std::string_view state) {
    return beside_a_direct_write("old[4k]", "write(a, 4k, x[4k])", "write(c, 4k, y[100])", state);
  };
  EXPECT_TRUE(asks_for_what_is_allowed(behind("old[4k] y[100] zeros[3996]"), "uring"));
  EXPECT_TRUE(asks_for_what_is_allowed(behind("old[4k] y[100] x[100..4k]"), "uring"));
  EXPECT_FALSE(asks_for_what_is_allowed(behind("old[4k] zeros[4k]"), "uring"));
  EXPECT_FALSE(asks_for_what_is_allowed(behind("old[4k] y[100] zeros[3996]"), "blocking-pool"));
  // A page that the other does not touch is not lost.
  const auto untouched = beside_a_direct_write(
      "old[8k]", "write(a, 0, x[8k])", "write(c, 0, y[100])", "y[100] x[100..4k] old[4k..8k]");
  EXPECT_FALSE(asks_for_what_is_allowed(untouched, "uring"));
}

TEST(direct_writes, a_truncation_waits_for_one) {
  const auto lost =
      beside_a_direct_write(R"("")", "write(a, 0, x[8k])", "truncate(c, 5000)", "zeros[5000]");
  EXPECT_FALSE(asks_for_what_is_allowed(lost, "uring"));
}

TEST(direct_writes, two_that_overlap_leave_bytes_of_each_and_no_others) {
  const auto both = [](std::string_view state) {
    return fmt::format(R"(F both "?"
{{ file f = old[8k]; handle a = open f direct; handle b = open f direct; }}
P0 {{ write(a, 0, x[8k]); }}
P1 {{ write(b, 0, y[8k]); }}
exists (f = {}))",
                       state);
  };
  EXPECT_TRUE(asks_for_what_is_allowed(both("x[512] y[512..8k]"), "blocking-pool"));
  EXPECT_FALSE(asks_for_what_is_allowed(both("x[4k] old[4k..8k]"), "blocking-pool"));
}

TEST(direct_writes, a_read_keeps_the_pages_that_one_throws_out_of_the_cache) {
  constexpr std::string_view source = R"(F thrown-out "?"
{ file f = old[16k]; handle a = open f direct; handle b = open f direct; handle t = open f; }
P0 { n = write(a, 4k, x[8k]); }
P1 { m = write(b, 8k, y[8k]); }
P2 { truncate(t, 6000); d = read(t, 0, 16k); }
exists (P2:d = old[6000] zeros[2192] x[4k..8k] /\ f = old[4k] x[8k]))";
  EXPECT_TRUE(asks_for_what_is_allowed(source, "uring"));
  EXPECT_TRUE(asks_for_what_is_allowed(source, "blocking-pool"));
}

TEST(direct_reads, have_their_pages_in_any_order) {
  const auto reading = [](std::string_view handle) {
    return fmt::format(R"(F any-order "?"
{{ file f = old[8k]; handle w = open f; handle r = {}; }}
P0 {{ write(w, 4k, a[4k]); write(w, 0, b[4k]); }}
P1 {{ d = read(r, 0, 8k); }}
exists (P1:d = b[4k] old[4k..8k]))",
                       handle);
  };
  EXPECT_TRUE(asks_for_what_is_allowed(reading("open f direct"), "blocking-pool"));
  EXPECT_FALSE(asks_for_what_is_allowed(reading("open f"), "blocking-pool"));
}

TEST(direct_reads, have_nothing_of_what_comes_after_them) {
  EXPECT_FALSE(asks_for_what_is_allowed(R"(F after "?"
{ file f = old[8k]; handle w = open f; handle r = open f direct; }
P0 { wait(done); write(w, 0, a[8k]); }
P1 { d = read(r, 0, 8k); notify(done); }
exists (P1:d != old[8k]))",
                                        "uring"));
}

TEST(direct_writes, what_one_has_written_every_later_read_has) {
  EXPECT_FALSE(asks_for_what_is_allowed(R"(F later "?"
{ file f = old[8k]; handle a = open f direct; handle b = open f; }
P0 { write(a, 0, x[8k]); notify(done); }
P1 { read(b, 0, 8k); wait(done); d = read(b, 0, 8k); }
exists (P1:d != x[8k]))",
                                        "uring"));
}

TEST(ring_writes, a_cancelled_write_comes_back_whole_or_not_at_all_or_with_a_part) {
  constexpr std::string_view source = R"(F cancelled "?"
{ file f = ""; handle w = open f; }
P0 { n = write(w, 0, x[5000]); }
P1 { cancel(P0:n); }
exists (P0:n.res = 4096))";
  const modelled_test on_a_ring(source, "uring");
  EXPECT_TRUE(on_a_ring.counts());
  EXPECT_FALSE(asks_for_what_is_allowed(source, "blocking-pool"));
}

TEST(reads, go_on_where_the_file_ended_before) {
  const modelled_test modelled(R"(F on "?"
{ file f = old[100]; handle w = open f; handle r = open f; }
P0 { write(w, 0, new[300]); }
P1 { d = read(r, 0, 4k); }
exists (P1:d = old[100] new[100..300]))",
                               "blocking-pool");
  EXPECT_TRUE(modelled.counts());
}

TEST(reads, have_of_a_page_that_was_taken_out_what_it_held_then) {
  const modelled_test modelled(R"(F out "?"
{ file f = old[8k]; handle w = open f; handle r = open f; }
P0 { write(w, 0, a[8k]); truncate(w, 10); }
P1 { d = read(r, 0, 8k); }
exists (P1:d = a[10] zeros[4086] old[4k..8k]))",
                               "uring");
  EXPECT_FALSE(modelled.counts());
  EXPECT_TRUE(modelled.has("P1:d=a[10] zeros[4086] a[4096..8192];"));
}

TEST(reads, two_may_be_in_the_middle_of_one_write) {
  const modelled_test modelled(R"(F two "?"
{ file f = old[4k]; handle w = open f; handle r = open f; handle s = open f; }
P0 { write(w, 0, new[4k]); }
P1 { c = read(r, 0, 4k); }
P2 { d = read(s, 0, 4k); }
exists (P1:c = old[4k] /\ P2:d = old[4k]))",
                               "uring");
  EXPECT_TRUE(modelled.has("P1:c=old[4096]|new[4096]; P2:d=old[4096]|new[4096];"));
}

TEST(reads, do_not_go_back_behind_what_an_earlier_one_has_seen) {
  constexpr std::string_view source = R"(F back "?"
{ file f = old[4k]; handle w = open f; handle r = open f; }
P0 { write(w, 0, new[4k]); }
P1 { c = read(r, 0, 4k); d = read(r, 0, 4k); }
exists (P1:c = new[4k] /\ P1:d = old[4k]))";
  const modelled_test modelled(source, "uring");
  EXPECT_FALSE(modelled.has("P1:c=new[4096]; P1:d=old[4096];"));
  EXPECT_FALSE(modelled.has("P1:c=old[4096]|new[4096]; P1:d=old[4096];"));
}

TEST(reads, see_the_bytes_of_a_write_before_a_statx_sees_its_size) {
  EXPECT_TRUE(asks_for_what_is_allowed(R"(F size "?"
{ file f = old[100]; handle w = open f; handle r = open f; }
P0 { write(w, 0, new[300]); }
P1 { d = read(r, 0, 100); s = statx(r); }
exists (P1:d = new[100] /\ P1:s.size = 100))",
                                       "blocking-pool"));
}

TEST(reads, are_torn_by_two_writes_one_after_the_other) {
  const modelled_test modelled(R"(F three "?"
{ file f = old[10]; handle w = open f; handle r = open f; }
P0 { write(w, 0, a[10]); write(w, 0, b[10]); }
P1 { d = read(r, 0, 10); }
exists (P1:d = old[10]))",
                               "uring");
  EXPECT_TRUE(modelled.has("P1:d=old[10]|a[10]|b[10];"));
}

TEST(closing, an_operation_in_flight_may_come_to_the_kernel_with_a_number_that_is_gone) {
  constexpr std::string_view source = R"(F batch-close "?"
{ file f = ""; handle h = open f; }
P0 { batch { r = fsync(h); s = fsync(h); } }
P1 { close(h); }
exists (P0:r.res = 0 /\ P0:s.res = -EBADF))";
  EXPECT_TRUE(asks_for_what_is_allowed(source, "uring"));
  EXPECT_TRUE(asks_for_what_is_allowed(source, "blocking-pool"));
  EXPECT_FALSE(asks_for_what_is_allowed(source, "tokio-fs"));  // the file keeps its descriptor
}

TEST(closing, a_flush_of_a_closed_handle_has_none_to_flush) {
  EXPECT_FALSE(asks_for_what_is_allowed(R"(F flush "?"
{ file f = ""; handle w = open f; }
P0 { s = fsync(w); fl = flush(w); }
P1 { close(w); }
exists (P0:s.res = -EBADF /\ P0:fl.res = 0))",
                                        "uring"));
}

TEST(drains, a_write_that_drains_is_not_acknowledged_early) {
  EXPECT_TRUE(asks_for_what_is_allowed(R"(F drained "?"
{ file f = ""; handle w = open f; handle x = open f; }
P0 { fsync(x); cancel(P1:n); }
P1 { drain n = write(w, 0, a[10]); }
exists (P1:n.res = -ECANCELED))",
                                       "tokio-fs"));
}

TEST(drains, a_clone_is_no_submission_that_they_wait_for) {
  const modelled_test modelled(R"(F clone-drain "?"
{ file f = old[50]; handle x = open f; handle v; }
P0 { drain r = write(x, 0, a[50]); }
P1 { v = clone x; }
exists (P0:r.res = 0 /\ P1:v.res = 0))",
                               "tokio-fs");
  EXPECT_FALSE(modelled.deadlocks());
}

mode with(std::string_view name, acknowledgement_options options) {
  auto changed = *find_mode(name);
  changed.options = options;
  return changed;
}

TEST(waits, say_which_calls_wait_for_the_write_in_flight_of_their_handle) {
  const auto source = [](std::string_view call) {
    return program(fmt::format(R"(F waits "?"
{{ file f = ""; handle w = open f append; {}handle r = open f; }}
P0 {{ append(w, a[5]); {}; st = statx(r); }}
exists (P0:st.size = 0))",
                               call.starts_with("c =") ? "handle c; " : "", call));
  };
  for (const auto* const call : {"fsync(w)", "read(w, 0, 1)", "truncate(w, 9)", "seek(w, 1)",
                                 "statx(w)", "drop_cache(w)", "c = clone w"}) {
    const auto what = call_of(source(call).processes[0].body[1].what).value();
    const auto all = waits_of_tokio.with(what);
    EXPECT_FALSE(modelled_test(source(call), with("tokio-fs", {.waits = all})).counts()) << call;
    const auto others = with("tokio-fs", {.waits = all.without(what)});
    // What sets the size does so before or behind the write.
    const bool sets_size = what == file_call::truncate;
    EXPECT_EQ(modelled_test(source(call), others).counts(), !sets_size) << call;
  }
  EXPECT_FALSE(modelled_test(source("flush(w)"), with("tokio-fs", {.waits = {}})).counts());
}

TEST(waits, a_truncation_that_does_not_may_come_before_the_write) {
  constexpr std::string_view source = R"(F truncate "?"
{ file f = ""; handle w = open f append; }
P0 { append(w, a[5]); truncate(w, 9); }
exists (f.size = 14))";
  const auto without = waits_of_tokio.without(file_call::truncate);
  EXPECT_TRUE(modelled_test(program(source), with("tokio-fs", {.waits = without})).counts());
  EXPECT_FALSE(asks_for_what_is_allowed(source, "tokio-fs"));
}

using states = std::set<std::string>;

TEST(buffers, are_written_by_nothing_but_who_writes_them_out) {
  const auto source = [](std::string_view call) {
    return program(fmt::format(R"(F buffers "?"
{{ file f = ""; handle w = open f append; {}handle r = open f; }}
P0 {{ append(w, a[5]); {}; st = statx(r); }}
exists (P0:st.size = 0))",
                               call.starts_with("c =") ? "handle c; " : "", call));
  };
  for (const auto* const call : {"fsync(w)", "fdatasync(w)", "statx(w)", "drop_cache(w)",
                                 "sync_range(w, 0, 9)", "c = clone w", "append(w, b[8187])"}) {
    EXPECT_EQ(modelled_test(source(call), "pool-buffered").states(), states{"P0:st.size=0;"})
        << call;
    EXPECT_FALSE(modelled_test(source(call), "blocking-pool").counts()) << call;
  }
  for (const auto* const call :
       {"flush(w)", "read(w, 0, 1)", "seek(w, 1)", "truncate(w, 5)", "append(w, b[8188])",
        "append(w, b[8192])", "close(w)", "drain fsync(w)", "batch { fsync(w); fsync(r); }"}) {
    EXPECT_FALSE(modelled_test(source(call), "pool-buffered").counts()) << call;
  }
  EXPECT_TRUE(modelled_test(source("close(w)"), "pool-buffered-lost").counts());
  const auto syncing = [](mode changed) {
    changed.options.waits = changed.options.waits.with(file_call::fsync);
    return changed;
  };
  EXPECT_FALSE(modelled_test(source("fsync(w)"), syncing(*find_mode("pool-buffered"))).counts());
}

// BufWriter's rule: not only what is larger.
TEST(buffers, are_passed_by_a_write_that_is_as_large) {
  const auto source = [](unsigned size) {
    return program(fmt::format(R"(F large "?"
{{ file f = ""; handle w = open f append; handle r = open f; }}
P0 {{ append(w, a[{}]); st = statx(r); }}
exists (P0:st.size = 0))",
                               size));
  };
  EXPECT_TRUE(modelled_test(source(8191), "pool-buffered").counts());
  EXPECT_FALSE(modelled_test(source(8192), "pool-buffered").counts());
  EXPECT_FALSE(modelled_test(source(8193), "pool-buffered").counts());
}

TEST(buffers, are_written_out_one_write_after_the_other_in_their_order) {
  const modelled_test modelled(R"(F order "?"
{ file f = ""; handle w = open f append; handle r = open f; }
P0 { append(w, a[2]); append(w, b[2]); flush(w); }
P1 { d = read(r, 0, 4); }
exists (P1:d = a[2]))",
                               "pool-buffered");
  EXPECT_EQ(modelled.states(), (states{"P1:d=\"\";", "P1:d=a[2];", "P1:d=a[2] b[2];"}));
}

TEST(buffers, at_the_end_of_a_round_are_written_or_lost_each_handle_for_itself) {
  constexpr std::string_view source = R"(F end "?"
{ file f = ""; handle w = open f append; handle v = reopen w append; }
P0 { append(w, a[2]); append(v, b[2]); append(w, c[2]); }
exists (f = ""))";
  EXPECT_EQ(modelled_test(source, "pool-buffered").states(),
            (states{"f=a[2] b[2] c[2];", "f=a[2] c[2] b[2];", "f=b[2] a[2] c[2];"}));
  EXPECT_EQ(modelled_test(source, "pool-buffered-lost").states(), states{"f=\"\";"});
}

TEST(buffers, of_a_clone_are_its_own) {
  constexpr std::string_view source = R"(F clones "?"
{ file f = ""; handle w = open f append; handle c = clone w; }
P0 { append(w, a[2]); append(c, b[2]); close(w); flush(c); }
exists (f = b[2]))";
  EXPECT_EQ(modelled_test(source, "pool-buffered").states(), states{"f=a[2] b[2];"});
  EXPECT_EQ(modelled_test(source, "pool-buffered-lost").states(), states{"f=b[2];"});
}

TEST(buffers, of_one_handle_are_shared_by_who_writes_through_it) {
  const modelled_test modelled(R"(F shared "?"
{ file f = ""; handle w = open f append; }
P0 { append(w, a[2]); close(w); }
P1 { n = append(w, b[2]); }
exists (f = a[2]))",
                               "pool-buffered");
  EXPECT_EQ(modelled.states(), (states{"f=a[2];", "f=a[2] b[2];", "f=b[2] a[2];"}));
}

TEST(buffers, take_their_place_from_the_cursor_when_they_are_written_out) {
  constexpr std::string_view source = R"(F cursor "?"
{ file f = old[8]; handle w = open f; handle c = clone w; }
P0 { write(w, 4, x[2]); seek(c, 6); flush(w); }
exists (f = old[6] x[2]))";
  EXPECT_EQ(modelled_test(source, "pool-buffered").states(), states{"f=old[6] x[2];"});
  EXPECT_EQ(modelled_test(source, "blocking-pool").states(), states{"f=old[4] x[2] old[6..8];"});
}

TEST(buffers, are_flushed_before_a_notification_in_a_mode_that_flushes) {
  constexpr std::string_view source = R"(F flush "?"
{ file f = ""; handle w = open f append; handle r = open f; }
P0 { append(w, a[5]); notify(e); }
P1 { wait(e); st = statx(r); }
exists (P1:st.size = 0))";
  EXPECT_TRUE(asks_for_what_is_allowed(source, "pool-buffered"));
  EXPECT_FALSE(asks_for_what_is_allowed(source, "pool-buffered+flush"));
  EXPECT_FALSE(asks_for_what_is_allowed(source, "pool-buffered-lost+flush"));
}

TEST(drops, of_a_queued_write_let_it_run_or_wait_for_it_or_lose_it) {
  const auto test = program(R"(F drop "?"
{ file f = ""; handle w = open f append; handle r = open f; }
P0 { append(w, a[5]); close(w); st = statx(r); }
exists (P0:st.size = 0 \/ f = ""))");
  auto drops = *find_mode("tokio-fs");
  EXPECT_EQ(modelled_test(test, drops).states(),
            (states{"P0:st.size=0; f=a[5];", "P0:st.size=5; f=a[5];"}));
  drops.options.drop = drop_kind::flushes;
  EXPECT_EQ(modelled_test(test, drops).states(), states{"P0:st.size=5; f=a[5];"});
  drops.options.drop = drop_kind::lost;
  EXPECT_EQ(modelled_test(test, drops).states(),
            (states{"P0:st.size=0; f=\"\";", "P0:st.size=0; f=a[5];", "P0:st.size=5; f=a[5];"}));
  auto runs = *find_mode("pool-buffered");
  runs.options.drop = drop_kind::runs;
  EXPECT_EQ(modelled_test(test, runs).states(),
            (states{"P0:st.size=0; f=a[5];", "P0:st.size=5; f=a[5];"}));
}

TEST(cursors, may_be_moved_between_a_seek_and_a_complete_write_or_read) {
  constexpr std::string_view source = R"(F clone-seek "?"
{ file f = old[8]; handle w = open f; handle r = clone w; }
P0 { write(w, 4, x[2]); }
P1 { d = read(r, 0, 4); }
exists (f = x[2] old[2..8] \/ P1:d = old[4..8] /\ f = old[8] x[2]))";
  const auto seeking = with("blocking-pool", {.seeks = true});
  const modelled_test modelled(program(source), seeking);
  EXPECT_TRUE(modelled.has("P1:d=old[2..6]; f=x[2] old[2..8];")) << "the read's seek came between";
  EXPECT_TRUE(modelled.has("P1:d=old[4..8]; f=old[8] x[2];")) << "the write's did";
  EXPECT_FALSE(asks_for_what_is_allowed(source, "blocking-pool"));
}

TEST(cursors, are_set_back_by_a_ring_that_does_not_lock_them) {
  constexpr std::string_view lost = R"(F lost "?"
{ file f = ""; handle w = open f; handle r = clone w; }
P0 { write(w, a[10]); write(w, b[10]); }
P1 { d = read(r, 5); }
exists (f = a[5] b[10] \/ f = b[10]))";
  for (const auto* const mode : {"uring", "uring-write-behind"}) {
    EXPECT_TRUE(asks_for_what_is_allowed(lost, mode)) << mode;
  }
  for (const auto* const mode : {"blocking-pool", "tokio-fs", "sync"}) {
    EXPECT_FALSE(asks_for_what_is_allowed(lost, mode)) << mode;
  }
  model_options whole;
  whole.atomic_writes = true;
  EXPECT_FALSE(modelled_test(program(lost), "uring", whole).counts());
}

// The lock of the file has gone by then, so a seek that knows of the bytes may come before it.
TEST(cursors, are_set_by_a_ring_after_its_bytes_can_be_seen) {
  constexpr std::string_view source = R"(F late "?"
{ file f = ""; handle w = open f; handle c = clone w; handle r = open f; }
P0 { write(w, a[10]); notify(written); }
P1 { d = read(r, 0, 10); seek(c, 0); wait(written); e = read(c, 1); }
exists (P1:d = a[10] /\ P1:e = ""))";
  EXPECT_TRUE(asks_for_what_is_allowed(source, "uring"));
  EXPECT_FALSE(asks_for_what_is_allowed(source, "blocking-pool"));
}

TEST(cursors, are_taken_by_the_members_of_a_link_when_their_turn_comes) {
  const modelled_test modelled(R"(F link "?"
{ file f = old[20]; handle w = open f; }
P0 { link { d = read(w, 10); s = seek(w, 15); e = read(w, 5); } hardlink { x = read(w, 5); y = read(w, 1); } }
exists (P0:d = "" /\ P0:e = "" /\ P0:x = "" /\ P0:y = ""))",
                               "uring");
  EXPECT_EQ(modelled.states(),
            std::set<std::string>{R"(P0:d=old[10]; P0:e=old[15..20]; P0:x=""; P0:y="";)"});
}

TEST(cursors, are_left_behind_an_append_that_is_write_2) {
  constexpr std::string_view source = R"(F append "?"
{ file f = old[10]; handle w = open f; handle r = clone w; handle o = reopen w; }
P0 { append(w, a[5]); d = read(r, 5); e = read(o, 5); }
exists (P0:d = old[5] /\ P0:e = old[5]))";
  EXPECT_TRUE(asks_for_what_is_allowed(source, "uring"));
  for (const auto* const mode : {"blocking-pool", "sync"}) {
    EXPECT_EQ(modelled_test(source, mode).states(),
              std::set<std::string>{R"(P0:d=""; P0:e=old[5];)"});
  }
}

TEST(cursors, stay_where_they_were_when_a_write_fails_or_is_cancelled) {
  const modelled_test modelled(R"(F cancelled "?"
{ file f = ""; handle w = open f; }
P0 { n = write(w, a[10]); write(w, b[10]); }
P1 { cancel(P0:n); }
exists (P0:n.res = -ECANCELED /\ f != b[10]))",
                               "uring");
  EXPECT_FALSE(modelled.counts());
  EXPECT_TRUE(modelled.has("P0:n.res=-125; f=b[10];"));
}

TEST(cursors, are_where_the_offsets_of_tokio_are_that_clones_share) {
  constexpr std::string_view source = R"(F offset "?"
{ file f = ""; handle w = open f; handle r = clone w; }
P0 { write(w, 0, a[10]); write(w, 10, b[10]); }
P1 { d = read(r, 0, 10); }
exists (f != a[10] b[10]))";
  for (const auto* const mode : {"tokio-fs", "tokio-fs-1.28", "tokio-fs-1.24"}) {
    EXPECT_TRUE(asks_for_what_is_allowed(source, mode)) << mode;
  }
  for (const auto* const mode : {"uring-write-behind", "uring", "blocking-pool"}) {
    EXPECT_FALSE(asks_for_what_is_allowed(source, mode)) << mode;
  }
}

TEST(cursors, are_sought_once_for_all_buffers_of_a_write) {
  const modelled_test modelled(R"(F buffers "?"
{ file f = ""; handle w = open f; handle c = clone w; }
P0 { write(w, 100, p[32k]); }
P1 { seek(c, 0); }
exists (f.size < 32k))",
                               "tokio-fs-1.24");
  EXPECT_EQ(modelled.states(),
            (std::set<std::string>{"f.size=16484;", "f.size=32768;", "f.size=32868;"}));
}

TEST(cursors, are_sought_by_who_has_got_its_handle_before_that_was_closed) {
  EXPECT_TRUE(asks_for_what_is_allowed(R"(F closed "?"
{ file f = ""; handle w = open f; handle c = clone w; }
P0 { write(w, 0, a[2]); }
P1 { close(w); write(c, b[1]); }
exists (f = a[2]))",
                                       "tokio-fs"));
}

// What follows a seek is submitted when that is over, so that it may have to wait for a drain.
TEST(cursors, are_sought_before_a_drain_that_what_follows_waits_for) {
  const auto after = [](std::string_view operation, std::string_view state) {
    return asks_for_what_is_allowed(fmt::format(R"(F drain "?"
{{ file f = old[8]; handle w = open f; handle c = clone w; handle x = open f; }}
P0 {{ d = {}; }}
P1 {{ seek(w, 6); e = read(w, 1); drain write(x, 0, q[8]); }}
exists (P1:e = old[1] /\ {}))",
                                                operation, state),
                                    "tokio-fs");
  };
  EXPECT_TRUE(after("read(c, 0, 4)", "P0:d = q[1..5]"));
  EXPECT_TRUE(after("write(c, 0, y[1])", "f = q[1] y[1] q[2..8]"));
}

TEST(cursors, are_sought_behind_the_back_of_a_drain_that_has_waited_for_the_same_handle) {
  EXPECT_TRUE(asks_for_what_is_allowed(R"(F waits "?"
{ file f = old[8]; handle w = open f; }
P0 { write(w, 0, p[4]); d = read(w, 4, 4); }
P1 { drain seek(w, 0); }
exists (P0:d = p[4]))",
                                       "tokio-fs"));
}

TEST(write_behind, a_read_at_the_cursor_takes_no_more_than_a_buffer) {
  const modelled_test modelled(R"(F buffer "?"
{ file f = old[20k]; handle w = open f; }
P0 { d = read(w, 20k); e = read(w, 20k); }
exists (P0:d.res = 20k))",
                               "tokio-fs-1.24");
  EXPECT_EQ(modelled.states(), std::set<std::string>{"P0:d.res=16384;"});
}

// What goes past its handle is no call of tokio's.
TEST(cursors, are_left_alone_by_the_offsets_of_a_group) {
  EXPECT_FALSE(asks_for_what_is_allowed(R"(F group "?"
{ file f = old[10]; handle w = open f; handle c = clone w; }
P0 { batch { write(w, 0, a[10]); fsync(w); } }
P1 { d = read(c, 4); }
exists (P1:d.res != 4))",
                                        "tokio-fs"));
}

TEST(write_behind, a_group_waits_for_its_handles_one_after_the_other) {
  EXPECT_TRUE(asks_for_what_is_allowed(R"(F settles "?"
{ file f = ""; handle w = open f; handle x = open f; handle y = open f; }
P0 { fsync(y); write(x, 0, b[10]); s = statx(y); }
P1 { write(w, 0, c[10]); link { write(x, 0, d[10]); fsync(w); } }
exists (P0:s.size = 0 /\ f = b[10]))",
                                       "tokio-fs"));
}

TEST(write_behind, a_call_comes_between_two_buffers_only_when_it_has_waited_for_the_handle) {
  const auto asking = [](std::string_view before, std::string_view state) {
    return fmt::format(R"(F between "?"
{{ file g = ""; handle a = open g; }}
P0 {{ {} append(a, p[50000]); }}
P1 {{ append(a, q[1]); }}
exists (g = {}))",
                       before, state);
  };
  constexpr std::string_view after_one = "p[16k] q[1] p[16k..50000]";
  EXPECT_FALSE(asks_for_what_is_allowed(asking("", after_one), "tokio-fs-1.24"));
  constexpr std::string_view after_two = "p[32k] q[1] p[32k..50000]";
  EXPECT_TRUE(asks_for_what_is_allowed(asking("", after_two), "tokio-fs-1.24"));
  constexpr std::string_view after_others = "r[1] p[16k] q[1] p[16k..50000]";
  EXPECT_TRUE(asks_for_what_is_allowed(asking("append(a, r[1]);", after_others), "tokio-fs-1.24"));
}

TEST(write_behind, who_waits_for_a_handle_that_is_closed_meanwhile_has_got_it) {
  EXPECT_FALSE(asks_for_what_is_allowed(R"(F waits "?"
{ file f = ""; handle w = open f; handle r = open f; }
P0 { write(w, 0, a[10]); notify(go); }
P1 { wait(go); s = fsync(w); st = statx(r); }
P2 { close(w); }
exists (P1:s.res = 0 /\ P1:st.size = 0))",
                                        "tokio-fs"));
}

}  // namespace
}  // namespace filemap::litmus
