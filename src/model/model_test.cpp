#include "filemap/model/model.hpp"

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace {

using namespace filemap::litmus;
using std::uint64_t;
using std::uint8_t;

constexpr uint64_t page = 4096;

statement statement_of(verb what, uint8_t operand, uint8_t other = 0, uint64_t offset = 0,
                       uint64_t size = 0, slice data = {}) {
  statement made;
  made.what = what;
  made.operand = operand;
  made.other = other;
  made.offset = offset;
  made.size = size;
  made.data = data;
  return made;
}

// Builds a test: what a process does is one call each. The registers are numbered as they come.
class builder {
 public:
  builder() { made_.patterns = {"zeros"}; }

  uint8_t file(slice initial) { return file(contents{initial}); }
  uint8_t file(contents initial = {}) {
    made_.files.push_back(
        {std::string(1, static_cast<char>('f' + made_.files.size())), true, std::move(initial)});
    return last(made_.files);
  }
  uint8_t no_file() {
    const auto index = file();
    made_.files.back().exists = false;
    return index;
  }
  uint8_t open(uint8_t file) { return handle(handle_origin::open, file); }
  uint8_t clone(uint8_t handle_of) { return handle(handle_origin::clone, handle_of); }
  uint8_t same(uint8_t handle_of) { return handle(handle_origin::same, handle_of); }
  uint8_t later() { return handle(handle_origin::later, 0); }
  handle_declaration& declared(uint8_t handle) { return made_.handles[handle]; }
  uint8_t edge() {
    made_.edges.push_back("e" + std::to_string(made_.edges.size()));
    return last(made_.edges);
  }
  slice pattern(uint64_t size) {
    made_.patterns.push_back(std::string(1, static_cast<char>('A' + made_.patterns.size() - 1)));
    return {static_cast<std::uint16_t>(made_.patterns.size() - 1), 0, size};
  }

  builder& process() {
    made_.processes.emplace_back();
    return *this;
  }
  builder& append(uint8_t handle, slice data) {
    return add(statement_of(verb::append, handle, 0, 0, 0, data), field::res);
  }
  builder& write(uint8_t handle, uint64_t offset, slice data) {
    return add(statement_of(verb::write, handle, 0, offset, 0, data), field::res);
  }
  builder& read(uint8_t handle, uint64_t offset, uint64_t size) {
    return add(statement_of(verb::read, handle, 0, offset, size), field::data);
  }
  builder& statx(uint8_t handle) { return add(statement_of(verb::statx, handle), field::size); }
  // A verb of which the result is looked at.
  builder& call(verb what, uint8_t operand, uint8_t other = 0, uint64_t offset = 0,
                uint64_t size = 0) {
    return add(statement_of(what, operand, other, offset, size), field::res);
  }
  builder& fsync(uint8_t handle) { return add(statement_of(verb::fsync, handle)); }
  builder& flush(uint8_t handle) { return add(statement_of(verb::flush, handle)); }
  builder& notify(uint8_t edge) { return add(statement_of(verb::notify, edge)); }
  builder& wait(uint8_t edge) { return add(statement_of(verb::wait, edge)); }
  builder& drained() {
    made_.processes.back().body.back().drain = true;
    return *this;
  }
  // Of the last statements of the process.
  builder& group(group_kind kind, std::uint16_t count) {
    auto& process = made_.processes.back();
    const auto end = static_cast<std::uint16_t>(process.body.size());
    process.groups.push_back({kind, static_cast<std::uint16_t>(end - count), count});
    return *this;
  }
  builder& look_at_file(uint8_t file, field what = field::data) {
    return look_at(true, file, what);
  }
  builder& unobserved() {  // the register of the last statement
    made_.condition.nodes.pop_back();
    return *this;
  }

  const test& made() const { return made_; }

 private:
  template <typename List>
  static uint8_t last(const List& list) {
    return static_cast<uint8_t>(list.size() - 1);
  }
  uint8_t handle(handle_origin from, uint8_t source) {
    made_.handles.push_back({.name = "h", .from = from, .source = source});
    return last(made_.handles);
  }
  builder& add(statement what, std::optional<field> looked_at = std::nullopt) {
    const auto process = last(made_.processes);
    if (looked_at) {
      what.result = static_cast<std::int16_t>(made_.registers.size());
      look_at(false, static_cast<uint8_t>(what.result), *looked_at);
      made_.registers.push_back({"r" + std::to_string(made_.registers.size()), process, what.what});
    }
    made_.processes.back().body.push_back(what);
    return *this;
  }
  builder& look_at(bool of_file, uint8_t index, field what) {
    auto& atom = made_.condition.nodes.emplace_back().atom;
    atom.of_file = of_file;
    atom.index = index;
    atom.what = what;
    return *this;
  }

  test made_;
};

const mode& named(std::string_view name) { return *find_mode(name); }

std::set<std::string> outcomes(const builder& built, const mode& mode,
                               const model_options& options = {}) {
  const auto result = model(built.made(), mode, options);
  EXPECT_TRUE(result.complete);
  EXPECT_FALSE(result.deadlocks);
  std::set<std::string> texts;
  for (const auto& state : result.allowed) texts.insert(to_string(built.made(), state));
  return texts;
}
std::set<std::string> outcomes(const builder& built, std::string_view mode) {
  return outcomes(built, named(mode));
}
using some = std::set<std::string>;

const std::vector<std::string> complete_modes = {"uring", "blocking-pool", "sync"};
const std::vector<std::string> behind_modes = {"tokio-fs", "uring-write-behind", "tokio-fs-1.24"};
const std::vector<std::string> every_mode = {"uring",    "blocking-pool",      "sync",
                                             "tokio-fs", "uring-write-behind", "tokio-fs-1.24"};

template <typename Check>
void in_each(const std::vector<std::string>& modes, Check check) {
  for (const auto& name : modes) {
    SCOPED_TRACE(name);
    check(named(name));
  }
}

// --- the five variants that the real tokio was measured on

// The writer appends and notifies, the flusher syncs and notifies, the reader stats.
builder message(uint8_t (builder::*second)(uint8_t)) {
  builder t;
  const auto w = t.open(t.file());
  const auto s = (t.*second)(w);
  const auto r = t.clone(w);
  const auto written = t.edge();
  const auto flushed = t.edge();
  t.process().append(w, t.pattern(123)).unobserved().notify(written);
  t.process().wait(written).fsync(s).notify(flushed);
  t.process().wait(flushed).statx(r);
  return t;
}

TEST(tokio_variants, clone_is_seen_short_only_when_writes_are_acknowledged_early) {
  const auto t = message(&builder::clone);
  in_each(complete_modes,
          [&](const auto& mode) { EXPECT_EQ(outcomes(t, mode), some{"P2:r1.size=123;"}); });
  in_each(behind_modes, [&](const auto& mode) {
    EXPECT_EQ(outcomes(t, mode), (some{"P2:r1.size=0;", "P2:r1.size=123;"}));
  });
}

TEST(tokio_variants, flush_before_the_notify_mends_it) {
  const auto t = message(&builder::clone);
  in_each(every_mode, [&](const auto& mode) {
    EXPECT_EQ(outcomes(t, mode.with_flush()), some{"P2:r1.size=123;"});
  });
}

TEST(tokio_variants, a_sync_through_the_writers_own_handle_waits_for_its_write) {
  const auto t = message(&builder::same);
  in_each(every_mode,
          [&](const auto& mode) { EXPECT_EQ(outcomes(t, mode), some{"P2:r1.size=123;"}); });
}

TEST(tokio_variants, stat_through_the_own_handle_does_not_wait) {
  builder t;
  const auto w = t.open(t.file());
  t.process().append(w, t.pattern(123)).unobserved().statx(w);
  in_each(complete_modes,
          [&](const auto& mode) { EXPECT_EQ(outcomes(t, mode), some{"P0:r1.size=123;"}); });
  in_each(behind_modes, [&](const auto& mode) {
    EXPECT_EQ(outcomes(t, mode), (some{"P0:r1.size=0;", "P0:r1.size=123;"}));
  });
}

TEST(tokio_variants, a_clone_taken_after_the_write_waits_since_1_29) {
  builder t;
  const auto w = t.open(t.file());
  const auto r = t.later();
  t.process().append(w, t.pattern(123)).unobserved().call(verb::clone, r, w).unobserved().statx(r);
  EXPECT_EQ(outcomes(t, "tokio-fs"), some{"P0:r2.size=123;"});
  EXPECT_EQ(outcomes(t, "uring"), some{"P0:r2.size=123;"});
  EXPECT_EQ(outcomes(t, "tokio-fs-1.24"), (some{"P0:r2.size=0;", "P0:r2.size=123;"}));
}

// --- write-behind

TEST(write_behind, a_read_through_the_own_handle_waits_for_the_write) {
  builder t;
  const auto w = t.open(t.file());
  const auto data = t.pattern(123);
  t.process().append(w, data).unobserved().read(w, 0, 123);
  in_each(every_mode,
          [&](const auto& mode) { EXPECT_EQ(outcomes(t, mode), some{"P0:r1=A[123];"}); });
}

TEST(write_behind, truncate_through_another_handle_may_come_before_the_write) {
  builder t;
  const auto f = t.file();
  const auto w = t.open(f);
  const auto other = t.open(f);
  t.process().append(w, t.pattern(100)).unobserved();
  t.call(verb::truncate, other, 0, 0).unobserved().look_at_file(f, field::size);
  EXPECT_EQ(outcomes(t, "uring"), some{"f.size=0;"});
  EXPECT_EQ(outcomes(t, "tokio-fs"), (some{"f.size=0;", "f.size=100;"}));
}

TEST(write_behind, all_chunks_of_a_large_write_but_the_last_have_completed) {
  builder t;
  const auto w = t.open(t.file());
  const uint64_t chunk = 16 << 10;
  t.process().append(w, t.pattern(chunk + 5)).statx(w);
  const auto seen = outcomes(t, "tokio-fs-1.24");
  EXPECT_EQ(seen,
            (some{"P0:r0.res=16389; P0:r1.size=16384;", "P0:r0.res=16389; P0:r1.size=16389;"}));
}

TEST(write_behind, second_write_of_a_handle_waits_for_the_first) {
  builder t;
  const auto f = t.file();
  const auto w = t.open(f);
  t.process().append(w, t.pattern(10)).unobserved().append(w, t.pattern(10)).unobserved();
  t.look_at_file(f);
  in_each(every_mode,
          [&](const auto& mode) { EXPECT_EQ(outcomes(t, mode), some{"f=A[10] B[10];"}); });
}

TEST(write_behind, a_closed_handles_write_still_lands_and_its_file_need_not_have_a_name) {
  builder t;
  const auto f = t.file();
  const auto w = t.open(f);
  const auto r = t.open(f);
  t.process().append(w, t.pattern(10)).unobserved().call(verb::close, w).append(w, t.pattern(10));
  t.look_at_file(f);
  in_each(every_mode, [&](const auto& mode) {
    EXPECT_EQ(outcomes(t, mode), some{"P0:r1.res=0; P0:r2.res=-9; f=A[10];"});
  });
  t.call(verb::unlink, f).unobserved().statx(r);
  EXPECT_EQ(outcomes(t, "uring"), some{"P0:r1.res=0; P0:r2.res=-9; P0:r4.size=10; f=none;"});
}

// --- files

TEST(pages, a_read_beside_a_write_of_two_pages_may_see_a_prefix) {
  builder t;
  const auto old = t.pattern(2 * page);
  const auto f = t.file(old);
  const auto w = t.open(f);
  const auto r = t.open(f);
  t.process().write(w, 0, t.pattern(2 * page)).unobserved();
  t.process().read(r, 0, 2 * page);
  const some whole = {"P1:r1=A[8192];", "P1:r1=B[8192];"};
  EXPECT_EQ(outcomes(t, "uring"),
            (some{"P1:r1=A[8192];", "P1:r1=A[4096] B[4096..8192];",
                  "P1:r1=A[4096] A[4096..8192]|B[4096..8192];", "P1:r1=B[4096] A[4096..8192];",
                  "P1:r1=B[8192];", "P1:r1=B[4096] A[4096..8192]|B[4096..8192];",
                  "P1:r1=A[4096]|B[4096] A[4096..8192];", "P1:r1=A[4096]|B[4096] B[4096..8192];",
                  "P1:r1=A[8192]|B[8192];"}));
  EXPECT_EQ(outcomes(t, named("uring"), {.atomic_writes = true}), whole);
  EXPECT_EQ(outcomes(t, "sync"), whole);
}

TEST(pages, the_size_grows_page_by_page) {
  builder t;
  const auto f = t.file();
  const auto w = t.open(f);
  const auto r = t.open(f);
  t.process().append(w, t.pattern(2 * page + 1)).unobserved();
  t.process().statx(r);
  EXPECT_EQ(outcomes(t, "uring"),
            (some{"P1:r1.size=0;", "P1:r1.size=4096;", "P1:r1.size=8192;", "P1:r1.size=8193;"}));
  EXPECT_EQ(outcomes(t, named("uring"), {.atomic_writes = true}),
            (some{"P1:r1.size=0;", "P1:r1.size=8193;"}));
}

TEST(pages, writes_of_two_pages_do_not_mix) {
  builder t;
  const auto f = t.file();
  const auto w = t.open(f);
  const auto v = t.open(f);
  t.process().write(w, 0, t.pattern(2 * page)).unobserved();
  t.process().write(v, 0, t.pattern(2 * page)).unobserved();
  t.look_at_file(f);
  const some one_after_the_other = {"f=A[8192];", "f=B[8192];"};
  EXPECT_EQ(outcomes(t, "blocking-pool"), one_after_the_other);
  const auto on_a_ring = model(t.made(), named("uring"));
  EXPECT_EQ(on_a_ring.allowed.size(), 4U);  // it may let the other in between
  EXPECT_EQ(on_a_ring.exceeding.size(), 2U);
  for (const auto& [state, taken] : on_a_ring.exceeding) {
    EXPECT_EQ(taken, std::vector{excess::split_write}) << to_string(t.made(), state);
  }
}

TEST(pages, appends_do_not_overwrite_each_other) {
  builder t;
  const auto f = t.file();
  const auto w = t.open(f);
  const auto v = t.open(f);
  t.process().append(w, t.pattern(page + 1)).unobserved();
  t.process().append(v, t.pattern(10)).unobserved();
  t.look_at_file(f);
  EXPECT_EQ(outcomes(t, "blocking-pool"), (some{"f=A[4097] B[10];", "f=B[10] A[4097];"}));
}

TEST(pages, a_write_at_an_offset_of_an_append_handle_goes_to_the_end) {
  builder t;
  const auto f = t.file(t.pattern(10));
  const auto w = t.open(f);
  t.declared(w).append = true;
  t.process().write(w, 0, t.pattern(5)).unobserved();
  t.look_at_file(f);
  EXPECT_EQ(outcomes(t, "uring"), some{"f=A[10] B[5];"});
}

TEST(pages, a_read_that_looked_at_the_size_before_may_see_only_the_old_size_of_new_bytes) {
  builder t;
  const auto f = t.file(t.pattern(10));
  const auto w = t.open(f);
  const auto r = t.open(f);
  t.process().write(w, 0, t.pattern(20)).unobserved();
  t.process().read(r, 0, 20);
  EXPECT_EQ(outcomes(t, "uring"),
            (some{"P1:r1=A[10];", "P1:r1=B[10];", "P1:r1=B[20];", "P1:r1=A[10]|B[10];",
                  // it looks at the size again where the file ended
                  "P1:r1=A[10] B[10..20];", "P1:r1=A[10]|B[10] B[10..20];"}));
}

TEST(pages, a_read_beside_a_truncate_may_see_its_zeros) {
  builder t;
  const auto f = t.file(t.pattern(100));
  const auto w = t.open(f);
  const auto r = t.open(f);
  t.process().call(verb::truncate, w, 0, 40).unobserved();
  t.process().read(r, 0, 100);
  EXPECT_EQ(outcomes(t, "uring"), (some{"P1:r1=A[100];", "P1:r1=A[40];", "P1:r1=A[40] zeros[60];",
                                        "P1:r1=A[40] zeros[60]|A[40..100];"}));
  EXPECT_EQ(outcomes(t, "sync"), (some{"P1:r1=A[100];", "P1:r1=A[40];"}));
}

TEST(pages, a_page_that_is_read_while_it_is_written_may_be_any_mixture) {
  builder t;
  const auto f = t.file(t.pattern(page));
  const auto w = t.open(f);
  const auto r = t.open(f);
  t.process().write(w, 0, t.pattern(100)).unobserved();
  t.process().read(r, 0, page);
  const auto result = model(t.made(), named("uring"));
  const auto reading = [](const contents& data) {
    final_state seen;
    seen.registers.resize(2);
    seen.registers[1].set = true;
    seen.registers[1].data = data;
    seen.files.resize(1);
    return seen;
  };
  const auto of = [](std::initializer_list<slice> slices) {
    contents data;
    for (const auto& slice : slices) data.append(slice);
    return data;
  };
  EXPECT_TRUE(allows(result.allowed, reading(of({{1, 0, page}}))));
  EXPECT_TRUE(allows(result.allowed, reading(of({{2, 0, 60}, {1, 60, page - 60}}))));
  EXPECT_TRUE(allows(result.allowed, reading(of({{1, 0, 60}, {2, 60, 40}, {1, 100, page - 100}}))));
  EXPECT_FALSE(allows(result.allowed, reading(of({{1, 0, 60}}))));
  EXPECT_FALSE(allows(result.allowed, reading(of({{1, 0, 200}, {zeros, 0, page - 200}}))));
  EXPECT_FALSE(allows(result.allowed, reading(of({{unknown_bytes, 0, 60}, {1, 60, page - 60}}))));
}

TEST(files, sizes_and_holes) {
  builder t;
  const auto f = t.file(t.pattern(10));
  const auto w = t.open(f);
  t.process().call(verb::allocate, w, 0, 5, 10).unobserved().statx(w);
  t.call(verb::punch, w, 0, 2, 3).unobserved().read(w, 0, 100);
  t.call(verb::truncate, w, 0, 4).unobserved().look_at_file(f);
  in_each(every_mode, [&](const auto& mode) {
    EXPECT_EQ(outcomes(t, mode), some{"P0:r1.size=15; P0:r3=A[2] zeros[3] A[5..10] zeros[5]; "
                                      "f=A[2] zeros[2];"});
  });
}

TEST(files, names_move_and_files_live_on_through_handles) {
  builder t;
  const auto f = t.file(t.pattern(10));
  const auto g = t.no_file();
  const auto h = t.later();
  t.process().call(verb::open, h, g).call(verb::rename, f, g).call(verb::rename, f, g);
  t.call(verb::open, h, g).call(verb::unlink, g).call(verb::unlink, g).read(h, 0, 10);
  t.look_at_file(f).look_at_file(g);
  in_each(every_mode, [&](const auto& mode) {
    EXPECT_EQ(outcomes(t, mode),
              some{"P0:r0.res=-2; P0:r1.res=0; P0:r2.res=-2; P0:r3.res=0; P0:r4.res=0; "
                   "P0:r5.res=-2; P0:r6=A[10]; f=none; g=none;"});
  });
}

// --- groups

TEST(groups, members_of_a_batch_take_effect_in_any_order) {
  builder t;
  const auto w = t.open(t.file());
  t.process().append(w, t.pattern(10)).unobserved().statx(w).group(group_kind::batch, 2);
  EXPECT_EQ(outcomes(t, "uring"), (some{"P0:r1.size=0;", "P0:r1.size=10;"}));
  EXPECT_EQ(outcomes(t, "sync"), some{"P0:r1.size=10;"});
}

TEST(groups, members_of_a_link_take_effect_in_order) {
  builder t;
  const auto w = t.open(t.file());
  t.process().append(w, t.pattern(10)).unobserved().statx(w).group(group_kind::link, 2);
  in_each(every_mode,
          [&](const auto& mode) { EXPECT_EQ(outcomes(t, mode), some{"P0:r1.size=10;"}); });
}

TEST(groups, a_short_member_breaks_a_link_and_not_a_hardlink) {
  for (const auto kind : {group_kind::link, group_kind::hardlink}) {
    builder t;
    const auto w = t.open(t.file());
    t.process().read(w, 0, 10).append(w, t.pattern(10)).group(kind, 2).statx(w);
    const some broken = {"P0:r0=\"\"; P0:r1.res=-125; P0:r2.size=0;"};
    const some whole = {"P0:r0=\"\"; P0:r1.res=10; P0:r2.size=10;"};
    in_each(every_mode, [&](const auto& mode) {
      EXPECT_EQ(outcomes(t, mode), kind == group_kind::link ? broken : whole);
    });
  }
}

TEST(groups, a_group_begins_when_its_handles_have_settled) {
  builder t;
  const auto w = t.open(t.file());
  t.process().append(w, t.pattern(10)).unobserved().statx(w).group(group_kind::batch, 1);
  EXPECT_EQ(outcomes(t, "tokio-fs"), some{"P0:r1.size=10;"});
}

TEST(groups, a_draining_operation_waits_for_all_before_it) {
  builder t;
  const auto f = t.file();
  const auto w = t.open(f);
  const auto r = t.open(f);
  t.process().append(w, t.pattern(10)).unobserved().statx(r).drained();
  t.group(group_kind::batch, 2);
  EXPECT_EQ(outcomes(t, "uring"), some{"P0:r1.size=10;"});
}

TEST(groups, what_is_submitted_after_a_draining_operation_waits_for_it) {
  builder t;
  const auto f = t.file();
  const auto w = t.open(f);
  const auto r = t.open(f);
  t.process().append(w, t.pattern(10)).unobserved().drained().statx(r);
  t.group(group_kind::batch, 2);
  EXPECT_EQ(outcomes(t, "uring"), some{"P0:r1.size=10;"});
}

// --- cancellation

TEST(cancel, its_target_ends_without_effect_or_with_its_own_result) {
  builder t;
  const auto f = t.file();
  const auto w = t.open(f);
  t.process().append(w, t.pattern(10));
  t.process().call(verb::cancel, 0, 0).unobserved();
  t.look_at_file(f, field::size);
  const some either = {"P0:r0.res=-125; f.size=0;", "P0:r0.res=10; f.size=10;"};
  EXPECT_EQ(outcomes(t, "uring"), either);
  EXPECT_EQ(outcomes(t, "blocking-pool"), either);
  EXPECT_EQ(outcomes(t, "sync"), some{"P0:r0.res=10; f.size=10;"});
}

TEST(cancel, does_not_meet_a_write_that_was_acknowledged_early) {
  builder t;
  const auto f = t.file();
  const auto w = t.open(f);
  t.process().append(w, t.pattern(10)).call(verb::flush, w);
  t.process().call(verb::cancel, 0, 0).unobserved();
  t.look_at_file(f, field::size);
  EXPECT_EQ(outcomes(t, "tokio-fs"), some{"P0:r0.res=10; P0:r1.res=0; f.size=10;"});
}

// --- notifications

TEST(edges, permits_coalesce_so_a_second_wait_may_wait_for_ever) {
  builder t;
  const auto e = t.edge();
  t.process().notify(e);
  t.process().notify(e);
  t.process().wait(e).wait(e);
  const auto result = model(t.made(), named("uring"));
  EXPECT_TRUE(result.deadlocks);
  EXPECT_EQ(result.allowed.size(), 1U);
}

TEST(edges, others_run_between_the_operations_of_a_process_also_on_the_sync_engine) {
  builder t;
  const auto f = t.file();
  const auto w = t.open(f);
  const auto r = t.open(f);
  t.process().append(w, t.pattern(10)).unobserved().append(w, t.pattern(10)).unobserved();
  t.process().statx(r);
  in_each(complete_modes, [&](const auto& mode) {
    EXPECT_EQ(outcomes(t, mode), (some{"P1:r2.size=0;", "P1:r2.size=10;", "P1:r2.size=20;"}));
  });
}

TEST(search, keeps_the_writes_of_many_handles_apart) {
  // The second write of each handle may cross a page, the first one not: they differ in what the
  // search must remember of them.
  builder t;
  for (int i = 0; i < 3; ++i) {
    const auto f = t.file();
    const auto w = t.open(f);
    t.process().append(w, t.pattern(1)).unobserved().append(w, t.pattern(2)).unobserved();
    t.look_at_file(f, field::size);
  }
  in_each(every_mode, [&](const auto& mode) {
    EXPECT_EQ(outcomes(t, mode), some{"f.size=3; g.size=3; h.size=3;"});
  });
}

TEST(search, says_when_it_has_not_seen_all) {
  builder t;
  const auto w = t.open(t.file());
  t.process().append(w, t.pattern(100 * page)).unobserved();
  const auto result = model(t.made(), named("uring"), {.max_states = 10});
  EXPECT_FALSE(result.complete);
  EXPECT_EQ(result.states, 10U);
}

}  // namespace
