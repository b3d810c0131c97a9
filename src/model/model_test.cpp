#include "filemap/model/model.hpp"

#include "model_test_support.hpp"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace filemap::litmus {
namespace {

using some = std::set<std::string>;
using mode_names = std::vector<std::string_view>;

const mode_names complete_modes = {"uring", "blocking-pool", "sync"};
const mode_names behind_modes = {"tokio-fs", "uring-write-behind", "tokio-fs-1.28",
                                 "tokio-fs-1.24"};
const mode_names every_mode = {"uring",        "blocking-pool",      "sync",
                               "tokio-fs",     "uring-write-behind", "tokio-fs-1.28",
                               "tokio-fs-1.24"};
const mode_names flushing_modes = {
    "uring+flush",        "blocking-pool+flush",      "sync+flush",
    "tokio-fs+flush",     "uring-write-behind+flush", "tokio-fs-1.28+flush",
    "tokio-fs-1.24+flush"};

some outcomes(const test& test, std::string_view mode, const model_options& options = {}) {
  const modelled_test modelled(test, mode, options);
  EXPECT_FALSE(modelled.deadlocks()) << mode;
  return modelled.states();
}

// Of modes that are expected to have the same.
some outcomes(const test& test, const mode_names& modes) {
  auto states = outcomes(test, modes.front());
  for (const auto mode : modes) EXPECT_EQ(outcomes(test, mode), states) << mode;
  return states;
}

// --- the five variants that the real tokio was measured on

// The writer appends and notifies, the flusher syncs through `s` and notifies, the reader stats.
test message(std::string_view s) {
  return program(fmt::format(R"(F message "?"
{{ file f = ""; handle w = open f; handle s = {}; handle r = clone w; }}
P0 {{ append(w, a[123]); notify(written); }}
P1 {{ wait(written); fsync(s); notify(flushed); }}
P2 {{ wait(flushed); st = statx(r); }}
exists (P2:st.size = 0))",
                             s));
}

TEST(tokio_variants, clone_is_seen_short_only_when_writes_are_acknowledged_early) {
  const auto t = message("clone w");
  EXPECT_EQ(outcomes(t, complete_modes), some{"P2:st.size=123;"});
  EXPECT_EQ(outcomes(t, behind_modes), (some{"P2:st.size=0;", "P2:st.size=123;"}));
}

TEST(tokio_variants, flush_before_the_notify_mends_it) {
  EXPECT_EQ(outcomes(message("clone w"), flushing_modes), some{"P2:st.size=123;"});
}

TEST(tokio_variants, a_sync_through_the_writers_own_handle_waits_for_its_write) {
  EXPECT_EQ(outcomes(message("w"), every_mode), some{"P2:st.size=123;"});
}

TEST(tokio_variants, stat_through_the_own_handle_does_not_wait) {
  const auto t = program(R"(F own-stat "?"
{ file f = ""; handle w = open f; }
P0 { append(w, a[123]); st = statx(w); }
exists (P0:st.size = 0))");
  EXPECT_EQ(outcomes(t, complete_modes), some{"P0:st.size=123;"});
  EXPECT_EQ(outcomes(t, behind_modes), (some{"P0:st.size=0;", "P0:st.size=123;"}));
}

TEST(tokio_variants, a_clone_taken_after_the_write_waits_since_1_29) {
  const auto t = program(R"(F late-clone "?"
{ file f = ""; handle w = open f; handle r; }
P0 { append(w, a[123]); r = clone w; st = statx(r); }
exists (P0:st.size = 0))");
  EXPECT_EQ(outcomes(t, "tokio-fs"), some{"P0:st.size=123;"});
  EXPECT_EQ(outcomes(t, "uring"), some{"P0:st.size=123;"});
  EXPECT_EQ(outcomes(t, "tokio-fs-1.24"), (some{"P0:st.size=0;", "P0:st.size=123;"}));
}

// --- write-behind

TEST(write_behind, a_read_through_the_own_handle_waits_for_the_write) {
  const auto t = program(R"(F own-read "?"
{ file f = ""; handle w = open f; }
P0 { append(w, a[123]); d = read(w, 0, 123); }
exists (P0:d = ""))");
  EXPECT_EQ(outcomes(t, every_mode), some{"P0:d=a[123];"});
}

TEST(write_behind, truncate_through_another_handle_may_come_before_the_write) {
  const auto t = program(R"(F truncate "?"
{ file f = ""; handle w = open f; handle other = open f; }
P0 { append(w, a[100]); truncate(other, 0); }
exists (f.size = 100))");
  EXPECT_EQ(outcomes(t, "uring"), some{"f.size=0;"});
  EXPECT_EQ(outcomes(t, "tokio-fs"), (some{"f.size=0;", "f.size=100;"}));
}

TEST(write_behind, all_chunks_of_a_large_write_but_the_last_have_completed) {
  const auto t = program(R"(F chunks "?"
{ file f = ""; handle w = open f; }
P0 { n = append(w, a[16389]); st = statx(w); }
exists (P0:n.res = 16389 /\ P0:st.size < 16k))");
  EXPECT_EQ(outcomes(t, "tokio-fs-1.24"),
            (some{"P0:n.res=16389; P0:st.size=16384;", "P0:n.res=16389; P0:st.size=16389;"}));
}

TEST(write_behind, second_write_of_a_handle_waits_for_the_first) {
  const auto t = program(R"(F twice "?"
{ file f = ""; handle w = open f; }
P0 { append(w, a[10]); append(w, b[10]); }
exists (f = b[10] a[10]))");
  EXPECT_EQ(outcomes(t, every_mode), some{"f=a[10] b[10];"});
}

TEST(write_behind, a_closed_handles_write_still_lands_and_its_file_need_not_have_a_name) {
  // The parser refuses a call of a closed handle, so the second append is made one here.
  const auto through_w = [](test changed) {
    changed.processes[0].body[2].operand = 0;
    return changed;
  };
  const auto named = through_w(program(R"(F closed "?"
{ file f = ""; handle w = open f; handle r = open f; }
P0 { append(w, a[10]); c = close(w); n = append(r, b[10]); }
exists (P0:c.res = 0 /\ P0:n.res = -EBADF /\ f = ""))"));
  EXPECT_EQ(outcomes(named, every_mode), some{"P0:c.res=0; P0:n.res=-9; f=a[10];"});
  const auto nameless = through_w(program(R"(F nameless "?"
{ file f = ""; handle w = open f; handle r = open f; }
P0 { append(w, a[10]); c = close(w); n = append(r, b[10]); unlink(f); st = statx(r); }
exists (P0:c.res = 0 /\ P0:n.res = -EBADF /\ P0:st.size = 0 /\ f = ""))"));
  EXPECT_EQ(outcomes(nameless, "uring"), some{"P0:c.res=0; P0:n.res=-9; P0:st.size=10; f=none;"});
}

// --- files

TEST(pages, a_read_beside_a_write_of_two_pages_may_see_a_prefix) {
  const auto t = program(R"(F torn "?"
{ file f = old[8k]; handle w = open f; handle r = open f; }
P0 { write(w, 0, new[8k]); }
P1 { d = read(r, 0, 8k); }
exists (P1:d = new[4k] old[4k..8k]))");
  const some whole = {"P1:d=old[8192];", "P1:d=new[8192];"};
  EXPECT_EQ(
      outcomes(t, "uring"),
      (some{"P1:d=old[8192];", "P1:d=old[4096] new[4096..8192];",
            "P1:d=old[4096] old[4096..8192]|new[4096..8192];", "P1:d=new[4096] old[4096..8192];",
            "P1:d=new[8192];", "P1:d=new[4096] old[4096..8192]|new[4096..8192];",
            "P1:d=old[4096]|new[4096] old[4096..8192];",
            "P1:d=old[4096]|new[4096] new[4096..8192];", "P1:d=old[8192]|new[8192];"}));
  EXPECT_EQ(outcomes(t, "uring", {.atomic_writes = true}), whole);
  EXPECT_EQ(outcomes(t, "sync"), whole);
}

TEST(pages, the_size_grows_page_by_page) {
  const auto t = program(R"(F growing "?"
{ file f = ""; handle w = open f; handle r = open f; }
P0 { append(w, a[8193]); }
P1 { st = statx(r); }
exists (P1:st.size = 4k))");
  EXPECT_EQ(outcomes(t, "uring"),
            (some{"P1:st.size=0;", "P1:st.size=4096;", "P1:st.size=8192;", "P1:st.size=8193;"}));
  EXPECT_EQ(outcomes(t, "uring", {.atomic_writes = true}),
            (some{"P1:st.size=0;", "P1:st.size=8193;"}));
}

TEST(pages, writes_of_two_pages_do_not_mix) {
  const auto t = program(R"(F mixed "?"
{ file f = ""; handle v = open f; handle w = open f; }
P0 { write(v, 0, a[8k]); }
P1 { write(w, 0, b[8k]); }
exists (f = a[4k] b[4k..8k]))");
  EXPECT_EQ(outcomes(t, "blocking-pool"), (some{"f=a[8192];", "f=b[8192];"}));
  const modelled_test on_a_ring(t, "uring");  // which may let the other in between
  EXPECT_EQ(on_a_ring.states(), (some{"f=a[8192];", "f=a[4096] b[4096..8192];",
                                      "f=b[4096] a[4096..8192];", "f=b[8192];"}));
  const std::vector split = {excess::split_write};
  EXPECT_EQ(on_a_ring.exceeding(),
            (std::map<std::string, std::vector<excess>>{{"f=a[4096] b[4096..8192];", split},
                                                        {"f=b[4096] a[4096..8192];", split}}));
}

TEST(pages, appends_do_not_overwrite_each_other) {
  const auto t = program(R"(F appends "?"
{ file f = ""; handle v = open f; handle w = open f; }
P0 { append(v, a[4097]); }
P1 { append(w, b[10]); }
exists (f != a[4097] b[10] /\ f != b[10] a[4097]))");
  EXPECT_EQ(outcomes(t, "blocking-pool"), (some{"f=a[4097] b[10];", "f=b[10] a[4097];"}));
}

TEST(pages, a_write_at_an_offset_of_an_append_handle_goes_to_the_end) {
  auto t = program(R"(F pwrite "?"
{ file f = old[10]; handle w = open f; }
P0 { write(w, 0, new[5]); }
exists (f = new[5] old[5..10]))");
  t.handles[0].append = true;  // the parser refuses to write at an offset through such a one
  EXPECT_EQ(outcomes(t, "uring"), some{"f=old[10] new[5];"});
}

TEST(pages, a_read_that_looked_at_the_size_before_may_see_only_the_old_size_of_new_bytes) {
  const auto t = program(R"(F extended "?"
{ file f = old[10]; handle w = open f; handle r = open f; }
P0 { write(w, 0, new[20]); }
P1 { d = read(r, 0, 20); }
exists (P1:d = new[10]))");
  EXPECT_EQ(outcomes(t, "uring"),
            (some{"P1:d=old[10];", "P1:d=new[10];", "P1:d=new[20];", "P1:d=old[10]|new[10];",
                  // it looks at the size again where the file ended
                  "P1:d=old[10] new[10..20];", "P1:d=old[10]|new[10] new[10..20];"}));
}

TEST(pages, a_read_beside_a_truncate_may_see_its_zeros) {
  const auto t = program(R"(F truncate "?"
{ file f = old[100]; handle w = open f; handle r = open f; }
P0 { truncate(w, 40); }
P1 { d = read(r, 0, 100); }
exists (P1:d = old[40] zeros[60]))");
  EXPECT_EQ(outcomes(t, "uring"),
            (some{"P1:d=old[100];", "P1:d=old[40];", "P1:d=old[40] zeros[60];",
                  "P1:d=old[40] zeros[60]|old[40..100];"}));
  EXPECT_EQ(outcomes(t, "sync"), (some{"P1:d=old[100];", "P1:d=old[40];"}));
}

TEST(pages, a_page_that_is_read_while_it_is_written_may_be_any_mixture) {
  const auto asking_for = [](const std::string& bytes) {
    return program(R"(F mixture "?"
{ file f = old[4k]; handle w = open f; handle r = open f; }
P0 { write(w, 0, new[100]); }
P1 { d = read(r, 0, 4k); }
exists P1:d = )" + bytes);
  };
  const auto in = [&](const std::string& bytes) {
    return asking_for(bytes).condition.nodes[0].atom.value;
  };
  const auto result = model(asking_for("old[4k]"), *find_mode("uring"));
  const auto may_be = [&](const contents& data) {
    return allows(result.allowed, {.registers = {{.set = true, .data = data}}, .files = {{}}});
  };
  EXPECT_TRUE(may_be(in("old[4k]")));
  EXPECT_TRUE(may_be(in("new[60] old[60..4k]")));
  EXPECT_TRUE(may_be(in("old[60] new[60..100] old[100..4k]")));
  EXPECT_FALSE(may_be(in("old[60]")));
  EXPECT_FALSE(may_be(in("old[200] zeros[3896]")));
  auto with_others = in("old[4k]");
  with_others.write(0, {unknown_bytes, 0, 60});  // of which the language knows none
  EXPECT_FALSE(may_be(with_others));
}

TEST(files, sizes_and_holes) {
  const auto t = program(R"(F holes "?"
{ file f = old[10]; handle w = open f; }
P0 { allocate(w, 5, 10); st = statx(w); punch(w, 2, 3); d = read(w, 0, 100); truncate(w, 4); }
exists (P0:st.size = 10 /\ P0:d = old[10] /\ f = old[4]))");
  EXPECT_EQ(outcomes(t, every_mode),
            some{"P0:st.size=15; P0:d=old[2] zeros[3] old[5..10] zeros[5]; "
                 "f=old[2] zeros[2];"});
}

TEST(files, an_allocation_raises_the_size_block_by_block) {
  const auto t = program(R"(F extents "?"
{ file f = old[100]; handle w = open f; handle r = open f; }
P0 { allocate(w, 1k, 2000); }
P1 { one = statx(r); two = statx(r); }
P2 { append(w, a[1]); }
exists (P1:one.size = 0 /\ P1:two.size = 0 /\ f = ""))");
  const auto seen = outcomes(t, "uring");
  const auto is_seen = [&](std::string_view sizes) {
    return std::any_of(seen.begin(), seen.end(), [&](const std::string& state) {
      return state.find(sizes) != std::string::npos;
    });
  };
  EXPECT_TRUE(is_seen("P1:one.size=2048; P1:two.size=3024;"));
  EXPECT_TRUE(is_seen("P1:one.size=100; P1:two.size=2048;"));
  EXPECT_FALSE(is_seen("size=1024;"));
  EXPECT_FALSE(is_seen("size=2049;"));  // it keeps the append out
  for (const auto& state : outcomes(t, "sync")) {
    EXPECT_EQ(state.find("size=2048;"), std::string::npos) << state;
  }
}

TEST(files, names_move_and_files_live_on_through_handles) {
  const auto t = program(R"(F names "?"
{ file f = old[10]; file g = none; handle early; handle late; }
P0 {
  early = open g;
  m = rename(f, g);
  n = rename(f, g);
  late = open g;
  u = unlink(g);
  v = unlink(g);
  d = read(late, 0, 10);
}
exists (P0:early.res = 0 /\ P0:m.res = 0 /\ P0:n.res = 0 /\ P0:late.res = 0 /\ P0:u.res = 0 /\
        P0:v.res = 0 /\ P0:d = "" /\ f = "" /\ g = ""))");
  EXPECT_EQ(outcomes(t, every_mode),
            some{"P0:early.res=-2; P0:m.res=0; P0:n.res=-2; P0:late.res=0; P0:u.res=0; "
                 "P0:v.res=-2; P0:d=old[10]; f=none; g=none;"});
}

// --- groups

TEST(groups, members_of_a_batch_take_effect_in_any_order) {
  const auto t = program(R"(F batch "?"
{ file f = ""; handle w = open f; }
P0 { batch { append(w, a[10]); st = statx(w); } }
exists (P0:st.size = 0))");
  EXPECT_EQ(outcomes(t, "uring"), (some{"P0:st.size=0;", "P0:st.size=10;"}));
  EXPECT_EQ(outcomes(t, "sync"), some{"P0:st.size=10;"});
}

TEST(groups, members_of_a_link_take_effect_in_order) {
  const auto t = program(R"(F link "?"
{ file f = ""; handle w = open f; }
P0 { link { append(w, a[10]); st = statx(w); } }
exists (P0:st.size = 0))");
  EXPECT_EQ(outcomes(t, every_mode), some{"P0:st.size=10;"});
}

TEST(groups, a_short_member_breaks_a_link_and_not_a_hardlink) {
  const auto of = [](std::string_view kind) {
    return program(fmt::format(R"(F short "?"
{{ file f = ""; handle w = open f; }}
P0 {{ {} {{ d = read(w, 0, 10); n = append(w, a[10]); }} st = statx(w); }}
exists (P0:d = "" /\ P0:n.res = -ECANCELED /\ P0:st.size = 0))",
                               kind));
  };
  EXPECT_EQ(outcomes(of("link"), every_mode), some{R"(P0:d=""; P0:n.res=-125; P0:st.size=0;)"});
  EXPECT_EQ(outcomes(of("hardlink"), every_mode), some{R"(P0:d=""; P0:n.res=10; P0:st.size=10;)"});
}

TEST(groups, a_group_begins_when_its_handles_have_settled) {
  const auto t = program(R"(F settled "?"
{ file f = ""; handle w = open f; handle other = open f; }
P0 { append(w, a[10]); batch { fsync(other); st = statx(w); } }
exists (P0:st.size = 0))");
  EXPECT_EQ(outcomes(t, "tokio-fs"), some{"P0:st.size=10;"});
}

TEST(groups, a_draining_operation_waits_for_all_before_it) {
  const auto t = program(R"(F drains "?"
{ file f = ""; handle w = open f; handle r = open f; }
P0 { batch { append(w, a[10]); drain st = statx(r); } }
exists (P0:st.size = 0))");
  EXPECT_EQ(outcomes(t, "uring"), some{"P0:st.size=10;"});
}

TEST(groups, what_is_submitted_after_a_draining_operation_waits_for_it) {
  const auto t = program(R"(F drained "?"
{ file f = ""; handle w = open f; handle r = open f; }
P0 { batch { drain append(w, a[10]); st = statx(r); } }
exists (P0:st.size = 0))");
  EXPECT_EQ(outcomes(t, "uring"), some{"P0:st.size=10;"});
}

// --- cancellation

TEST(cancel, its_target_ends_without_effect_or_with_its_own_result) {
  const auto t = program(R"(F cancel "?"
{ file f = ""; handle w = open f; }
P0 { n = append(w, a[10]); }
P1 { cancel(P0:n); }
exists (P0:n.res = -ECANCELED /\ f.size = 10))");
  const some either = {"P0:n.res=-125; f.size=0;", "P0:n.res=10; f.size=10;"};
  EXPECT_EQ(outcomes(t, "uring"), either);
  EXPECT_EQ(outcomes(t, "blocking-pool"), either);
  EXPECT_EQ(outcomes(t, "sync"), some{"P0:n.res=10; f.size=10;"});
}

TEST(cancel, does_not_meet_a_write_that_was_acknowledged_early) {
  const auto t = program(R"(F acknowledged "?"
{ file f = ""; handle w = open f; }
P0 { n = append(w, a[10]); fl = flush(w); }
P1 { cancel(P0:n); }
exists (P0:n.res = -ECANCELED \/ P0:fl.res != 0 \/ f.size = 0))");
  EXPECT_EQ(outcomes(t, "tokio-fs"), some{"P0:n.res=10; P0:fl.res=0; f.size=10;"});
}

// --- notifications

TEST(edges, permits_coalesce_so_a_second_wait_may_wait_for_ever) {
  auto t = program(R"(F coalesce "?"
{ file f = ""; }
P0 { notify(e); }
P1 { notify(other); }
P2 { wait(e); wait(other); }
exists (f.size = 0))");
  // One edge for both, which the parser refuses.
  t.processes[1].body[0].operand = 0;
  t.processes[2].body[1].operand = 0;
  const modelled_test modelled(t, "uring");
  EXPECT_TRUE(modelled.deadlocks());
  EXPECT_EQ(modelled.states(), some{"f.size=0;"});
}

TEST(edges, others_run_between_the_operations_of_a_process_also_on_the_sync_engine) {
  const auto t = program(R"(F between "?"
{ file f = ""; handle w = open f; handle r = open f; }
P0 { append(w, a[10]); append(w, b[10]); }
P1 { st = statx(r); }
exists (P1:st.size = 10))");
  EXPECT_EQ(outcomes(t, complete_modes),
            (some{"P1:st.size=0;", "P1:st.size=10;", "P1:st.size=20;"}));
}

TEST(search, keeps_the_writes_of_many_handles_apart) {
  // The second write of each handle may cross a page, the first one not: they differ in what the
  // search must remember of them.
  const auto t = program(R"(F apart "?"
{ file f = ""; file g = ""; file h = ""; handle u = open f; handle v = open g; handle w = open h; }
P0 { append(u, a[1]); append(u, b[2]); }
P1 { append(v, c[1]); append(v, d[2]); }
P2 { append(w, i[1]); append(w, j[2]); }
exists (f.size != 3 \/ g.size != 3 \/ h.size != 3))");
  EXPECT_EQ(outcomes(t, every_mode), some{"f.size=3; g.size=3; h.size=3;"});
}

TEST(search, says_when_it_has_not_seen_all) {
  const auto t = program(R"(F pages "?"
{ file f = ""; handle w = open f; }
P0 { append(w, a[400k]); }
exists (f.size = 0))");
  const auto result = model(t, *find_mode("uring"), {.max_states = 10});
  EXPECT_FALSE(result.complete);
  EXPECT_EQ(result.states, 10U);
}

}  // namespace
}  // namespace filemap::litmus
