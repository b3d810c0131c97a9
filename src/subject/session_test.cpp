// Sessions on the stepping engine, where every race is a choice, and what a session does when its
// round cannot go on. What real engines do with chance is in known_answers_test.cpp.

#include "filemap/subject/session.hpp"

#include "filemap/io/engines.hpp"
#include "filemap/io/failing.hpp"
#include "filemap/io/stall.hpp"
#include "filemap/litmus/catalogue.hpp"
#include "filemap/litmus/experiment.hpp"
#include "filemap/litmus/parser.hpp"

#include "default_engine.hpp"
#include "testing.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace filemap::litmus {
namespace {

using namespace std::chrono_literals;

// --- choosers

/// Executes what is first in `order` and held; among equals the oldest. What is not in `order`
/// comes last, the watch's sleeps after everything, as they are always ready.
op_chooser prefer(std::vector<opcode> order) {
  return [order = std::move(order)](std::span<io_op* const> held) {
    const auto rank = [&](const io_op* op) {
      if (op->request.code == opcode::sleep) return order.size() + 1;
      const auto found = std::find(order.begin(), order.end(), op->request.code);
      return static_cast<std::size_t>(found - order.begin());
    };
    const auto first = std::min_element(held.begin(), held.end(),
                                        [&](auto* a, auto* b) { return rank(a) < rank(b); });
    return static_cast<std::size_t>(first - held.begin());
  };
}

/// The write goes last: what tokio's pool does when its thread is stalled.
op_chooser write_last() {
  using enum opcode;
  return prefer({read_event, fsync, fdatasync, statx, read, write});
}

/// The write goes after the fsync, but before anybody looks: nothing wrong is seen.
op_chooser write_after_fsync() {
  using enum opcode;
  return prefer({read_event, fsync, fdatasync, write, statx, read});
}

op_chooser in_order() {
  using enum opcode;
  return prefer({write, read_event, fsync, fdatasync, statx, read});
}

op_chooser at_random(std::uint64_t seed) {
  return [random = std::mt19937_64(seed)](std::span<io_op* const> held) mutable {
    return std::uniform_int_distribution<std::size_t>(0, held.size() - 1)(random);
  };
}

// --- a session with all that it needs

const mode& early() { return *find_mode("tokio-fs"); }
const mode& complete() { return *find_mode("blocking-pool"); }

class fixture {
 public:
  explicit fixture(std::unique_ptr<filemap::engine> made) : engine(std::move(made)) {
    std::filesystem::create_directory(dir());
  }
  explicit fixture(op_chooser choose) : fixture(make_stepping_engine(std::move(choose))) {}

  litmus::session& begin(const mode& mode) {
    session =
        std::make_unique<litmus::session>(*engine, tokio_4796(experiment), mode, dir(), options);
    return *session;
  }
  const mode_result& run(const mode& mode, std::uint64_t rounds) {
    begin(mode).run(rounds);
    return session->result();
  }
  std::filesystem::path dir() const { return scratch / "rounds"; }
  bool left_nothing() const { return std::filesystem::is_empty(dir()); }

  experiment_options experiment;
  session_options options;
  scratch_directory scratch;
  std::unique_ptr<filemap::engine> engine;
  std::unique_ptr<litmus::session> session;  // uses the engine, so it goes first
};

using pair = std::pair<verb, verb>;
using pair_counts = std::map<pair, std::uint64_t>;

// --- the bug of the issue

TEST(session, shows_the_violation_when_the_write_is_late) {
  fixture f(write_last());
  const auto& result = f.run(early(), 10);
  EXPECT_EQ(result.rounds, 10U);
  EXPECT_EQ(result.count(outcome::size_zero), 10U);
  EXPECT_EQ(result.violation_count(), 10U);
  ASSERT_EQ(result.violations.size(), 1U);
  const auto& seen = result.violations[0].seen;
  EXPECT_EQ(seen.flushed, 123U);
  EXPECT_EQ(seen.size, 0U);
  EXPECT_EQ(seen.read, 0U);
  EXPECT_TRUE(f.left_nothing());
}

TEST(session, forbids_the_violation_in_every_schedule_when_the_writer_flushes) {
  const auto flushing = early().with_flush();
  EXPECT_EQ(fixture(write_last()).run(flushing, 10).count(outcome::ok), 10U);
  EXPECT_EQ(fixture(write_after_fsync()).run(flushing, 10).count(outcome::ok), 10U);
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    fixture f(at_random(seed));
    f.options.lanes = 3;
    f.experiment.writes = 2;
    const auto& result = f.run(flushing, 20);
    EXPECT_EQ(result.count(outcome::ok), 20U) << seed;
    EXPECT_EQ(result.hazards.rounds, 0U) << seed;
  }
}

TEST(session, forbids_the_violation_in_every_schedule_when_writes_are_complete) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    fixture f(at_random(seed));
    f.options.lanes = 3;
    const auto& result = f.run(complete(), 20);
    EXPECT_EQ(result.count(outcome::ok), 20U) << seed;
    EXPECT_EQ(result.hazards.rounds, 0U) << seed;
  }
}

TEST(session, finds_the_violation_in_some_random_schedules_and_not_in_others) {
  fixture f(at_random(1));
  const auto& result = f.run(early(), 200);
  EXPECT_GT(result.violation_count(), 0U);
  EXPECT_GT(result.count(outcome::ok), 0U);
  EXPECT_EQ(result.violation_count() + result.count(outcome::ok), 200U);
}

TEST(session, does_not_need_the_sync_for_the_violation) {
  fixture f(write_last());
  f.experiment.sync = flusher_sync::none;
  EXPECT_EQ(f.run(early(), 3).count(outcome::size_zero), 3U);
}

TEST(session, orders_everything_when_all_use_the_same_handle) {
  fixture f(write_last());
  f.experiment.handles = handle_kind::shared;
  // The sync waits for its own handle's write, so the stat comes after it.
  EXPECT_EQ(f.run(early(), 5).count(outcome::ok), 5U);
}

TEST(session, shows_the_violation_through_handles_that_were_opened_anew) {
  fixture f(write_last());
  f.experiment.handles = handle_kind::reopen;
  EXPECT_EQ(f.run(early(), 3).count(outcome::size_zero), 3U);
}

TEST(session, tells_a_short_size_when_one_of_several_writes_is_late) {
  // The first append goes at once, the second when nothing else can.
  auto writes = std::make_shared<int>(0);
  auto base = write_last();
  auto eager = in_order();
  fixture f([=](std::span<io_op* const> held) mutable {
    const auto chosen = *writes % 2 == 0 ? eager(held) : base(held);
    if (held[chosen]->request.code == opcode::write) ++*writes;
    return chosen;
  });
  f.experiment.writes = 2;
  const auto& result = f.run(early(), 4);
  EXPECT_EQ(result.count(outcome::size_short), 4U);
  ASSERT_FALSE(result.violations.empty());
  EXPECT_EQ(result.violations[0].seen.flushed, 246U);
  EXPECT_EQ(result.violations[0].seen.size, 123U);
}

TEST(session, shows_the_violation_also_when_the_write_lands_before_the_read) {
  using enum opcode;
  fixture f(prefer({read_event, fsync, statx, write, read}));
  const auto& result = f.run(early(), 3);
  EXPECT_EQ(result.count(outcome::size_zero), 3U);
  ASSERT_FALSE(result.violations.empty());
  EXPECT_EQ(result.violations[0].seen.read, 123U);  // what the real tokio mostly shows
}

// --- hazards

TEST(session, counts_a_hazard_when_luck_hid_the_violation) {
  fixture f(write_after_fsync());
  const auto& result = f.run(early(), 5);
  EXPECT_EQ(result.count(outcome::ok), 5U);
  EXPECT_EQ(result.hazards.rounds, 5U);
  EXPECT_EQ(result.hazards.unknown, 0U);
  EXPECT_EQ(result.hazards.pairs, (pair_counts{{pair{verb::fsync, verb::append}, 5}}));
  ASSERT_EQ(result.hazardous.size(), 1U);
  EXPECT_EQ(result.hazardous[0].seen.what, outcome::ok);
}

TEST(session, counts_no_hazard_when_everything_ran_in_order) {
  fixture f(in_order());
  const auto& result = f.run(early(), 5);
  EXPECT_EQ(result.count(outcome::ok), 5U);
  EXPECT_EQ(result.hazards.rounds, 0U);
  EXPECT_TRUE(result.hazards.pairs.empty());
  EXPECT_TRUE(result.hazardous.empty());
}

TEST(session, counts_no_hazard_where_a_violation_was_seen) {
  fixture f(write_last());
  EXPECT_EQ(f.run(early(), 5).hazards.rounds, 0U);
}

TEST(session, counts_a_pair_once_a_round_however_often_it_happens) {
  fixture f(write_after_fsync());
  f.experiment.writes = 3;
  const auto& result = f.run(early(), 4);
  EXPECT_EQ(result.count(outcome::ok), 4U);
  EXPECT_EQ(result.hazards.rounds, 4U);
  for (const auto& [overtaken, rounds] : result.hazards.pairs) EXPECT_LE(rounds, 4U);
}

// --- rounds and lanes

TEST(session, runs_as_many_rounds_as_asked_whatever_the_lanes) {
  for (const std::size_t lanes : {1U, 2U, 7U, 300U}) {
    fixture f(in_order());
    f.options.lanes = lanes;
    f.options.max_open_files = 4096;
    f.experiment.sync = flusher_sync::none;  // a thousand take their time on a disk
    auto& session = f.begin(complete());
    session.run(1);
    EXPECT_EQ(session.result().rounds, 1U) << lanes;
    session.run(310);
    EXPECT_EQ(session.result().rounds, 311U) << lanes;
    EXPECT_FALSE(session.finished());
    EXPECT_TRUE(f.left_nothing()) << lanes;
  }
}

TEST(session, runs_rounds_in_batches_that_the_limit_on_open_files_allows) {
  fixture f(in_order());
  f.options.max_open_files = 64 + 2 + 3;  // one round's
  const auto before = open_descriptors();
  std::size_t most = 0;
  f.engine = make_stepping_engine([&](std::span<io_op* const>) {
    most = std::max(most, open_descriptors());
    return 0;
  });
  EXPECT_EQ(f.run(complete(), 5).count(outcome::ok), 5U);
  EXPECT_LE(most, before + 6);  // and the directory
}

TEST(session, keeps_one_file_a_lane_when_it_is_to_reuse_it) {
  fixture f(in_order());
  f.options.lanes = 2;
  f.options.reuse_file = true;
  EXPECT_EQ(f.run(complete(), 9).count(outcome::ok), 9U);
  EXPECT_FALSE(f.left_nothing());
  f.session.reset();
  EXPECT_TRUE(f.left_nothing());
}

TEST(session, shows_the_violation_also_in_a_reused_file) {
  fixture f(write_last());
  f.options.reuse_file = true;
  const auto& result = f.run(early(), 5);
  EXPECT_EQ(result.count(outcome::size_zero), 5U);
}

TEST(session, writes_other_bytes_each_round) {
  std::vector<std::vector<std::byte>> written;
  auto base = in_order();
  fixture f([&](std::span<io_op* const> held) {
    const auto chosen = base(held);
    const auto& request = held[chosen]->request;
    if (request.code == opcode::write) {
      written.emplace_back(request.data, request.data + request.size);
    }
    return chosen;
  });
  f.run(complete(), 3);
  ASSERT_EQ(written.size(), 3U);
  EXPECT_NE(written[0], written[1]);
  EXPECT_NE(written[1], written[2]);
  for (const auto byte : written[0]) EXPECT_NE(byte, std::byte{0});
}

TEST(session, writes_the_same_bytes_with_the_same_seed) {
  const auto bytes_of = [](std::uint64_t seed) {
    std::vector<std::byte> written;
    auto base = in_order();
    fixture f([&](std::span<io_op* const> held) {
      const auto chosen = base(held);
      const auto& request = held[chosen]->request;
      if (request.code == opcode::write) written.assign(request.data, request.data + request.size);
      return chosen;
    });
    f.options.seed = seed;
    f.run(complete(), 1);
    return written;
  };
  EXPECT_EQ(bytes_of(1), bytes_of(1));
  EXPECT_NE(bytes_of(1), bytes_of(2));
}

TEST(session, keeps_as_many_violating_rounds_as_asked) {
  fixture f(write_last());
  f.options.traces = 3;
  const auto& result = f.run(early(), 5);
  ASSERT_EQ(result.violations.size(), 3U);
  EXPECT_EQ(result.violations[0].round, 0U);
  EXPECT_EQ(result.violations[2].round, 2U);
}

TEST(session, records_the_latency_of_each_operation_once_a_round) {
  fixture f(in_order());
  const auto& result = f.run(early().with_flush(), 6);
  for (const auto verb : {verb::append, verb::flush, verb::fsync, verb::statx, verb::read}) {
    EXPECT_EQ(result.latency.at(verb).count, 6U) << to_string(verb);
  }
  EXPECT_FALSE(result.latency.contains(verb::wait));
  EXPECT_EQ(result.append_executed.count, 6U);
}

// --- ends

TEST(session, stops_at_the_first_violation_when_asked) {
  fixture f(write_last());
  f.options.stop_on_violation = true;
  auto& session = f.begin(early());
  session.run(1000);
  EXPECT_EQ(session.result().rounds, 1U);
  EXPECT_TRUE(session.finished());
  session.run(1000);
  EXPECT_EQ(session.result().rounds, 1U);
  EXPECT_TRUE(f.left_nothing());
}

TEST(session, does_not_stop_for_a_hazard) {
  fixture f(write_after_fsync());
  f.options.stop_on_violation = true;
  EXPECT_EQ(f.run(early(), 5).rounds, 5U);
}

TEST(session, ends_the_round_and_begins_no_other_when_interrupted) {
  std::atomic<bool> interrupt{false};
  int writes = 0;
  auto base = in_order();
  fixture f([&](std::span<io_op* const> held) {
    const auto chosen = base(held);
    if (held[chosen]->request.code == opcode::write && ++writes == 3) interrupt = true;
    return chosen;
  });
  f.options.interrupt = &interrupt;
  auto& session = f.begin(complete());
  session.run(1000);
  EXPECT_EQ(session.result().rounds, 3U);
  EXPECT_EQ(session.result().count(outcome::ok), 3U);
  EXPECT_TRUE(session.finished());
  EXPECT_TRUE(f.left_nothing());
}

TEST(session, says_what_to_do_when_too_few_files_may_be_open) {
  fixture f(in_order());
  f.options.lanes = 64;
  f.options.max_open_files = 256;
  const auto before = open_descriptors();
  try {
    f.begin(complete());
    FAIL() << "it must not begin";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code().value(), EMFILE);
    const std::string text = error.what();
    EXPECT_NE(text.find("64 lanes need about 384 open files"), std::string::npos) << text;
    EXPECT_NE(text.find("RLIMIT_NOFILE leaves 256"), std::string::npos) << text;
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(session, names_the_file_that_cannot_be_made) {
  fixture f(in_order());
  auto& session = f.begin(complete());
  std::filesystem::remove(f.dir());
  session.run(1);
  EXPECT_TRUE(session.finished());
  EXPECT_FALSE(session.abandoned());
  const auto& failure = session.result().failure;
  EXPECT_EQ(failure.error, ENOENT);
  EXPECT_NE(failure.what.find(f.dir().string()), std::string::npos) << failure.what;
}

TEST(session, leaves_no_file_when_the_next_cannot_be_made) {
  fixture f(in_order());
  auto& session = f.begin(complete());
  const auto in_the_way = f.dir() / "3.f";
  std::filesystem::create_directory(in_the_way);
  session.run(10);
  EXPECT_EQ(session.result().failure.error, EISDIR);
  std::filesystem::remove(in_the_way);
  EXPECT_TRUE(f.left_nothing());
}

TEST(session, keeps_its_rounds_when_a_file_cannot_be_made_again) {
  fixture f(in_order());
  f.options.lanes = 3;
  f.options.reuse_file = true;
  auto& session = f.begin(complete());
  session.run(6);
  for (const auto& file : std::filesystem::directory_iterator(f.dir())) {
    std::filesystem::remove(file);
  }
  std::filesystem::remove(f.dir());
  session.run(6);
  EXPECT_TRUE(session.finished());
  EXPECT_FALSE(session.abandoned());
  EXPECT_EQ(session.result().rounds, 6U);
  EXPECT_EQ(session.result().failure.error, ENOENT);
}

TEST(session, runs_no_longer_than_it_may_but_a_round_at_least) {
  fixture f(in_order());
  auto& session = f.begin(complete());
  session.run(1'000'000, 1ns);
  EXPECT_EQ(session.result().rounds, 1U);
  session.run(1'000'000, 1ns);
  EXPECT_EQ(session.result().rounds, 1U);
  EXPECT_FALSE(session.finished());
}

// --- operations that fail

class failing_session : public testing::TestWithParam<const char*> {
 protected:
  static mode tested() { return *parse_mode(GetParam()); }
};

TEST_P(failing_session, ends_its_round_with_the_error_and_is_finished) {
  if (tested().engine == engine_kind::uring && !probe_ring().available) {
    GTEST_SKIP() << probe_ring().why;
  }
  fixture f(default_engine(tested().engine));
  f.experiment.size = 100;
  f.experiment.writes = 3;
  const file_size_limit limit(200);
  auto& session = f.begin(tested());
  session.run(50);
  EXPECT_TRUE(session.finished());
  EXPECT_FALSE(session.hangs());
  const auto& result = session.result();
  EXPECT_EQ(result.rounds, 1U);
  EXPECT_EQ(result.count(outcome::error), 1U);
  ASSERT_EQ(result.histogram.size(), 1U);
  const auto& seen = result.histogram.begin()->second.first;
  EXPECT_EQ(seen.error, EFBIG) << result.histogram.begin()->first;
  EXPECT_TRUE(seen.failed == verb::append || seen.failed == verb::flush);
  EXPECT_TRUE(f.left_nothing());
}

TEST_P(failing_session, tells_a_short_write_from_a_failed_one) {
  if (tested().engine == engine_kind::uring && !probe_ring().available) {
    GTEST_SKIP() << probe_ring().why;
  }
  fixture f(default_engine(tested().engine));
  f.experiment.size = 100;
  const file_size_limit limit(60);
  const auto& result = f.run(tested(), 50);
  EXPECT_EQ(result.count(outcome::error), 1U);
  ASSERT_EQ(result.histogram.size(), 1U);
  const auto& seen = result.histogram.begin()->second.first;
  // A write-behind file goes on to write the rest, as tokio does, and that fails.
  const bool retried = tested().when == acknowledgement::write_behind;
  EXPECT_EQ(seen.error, retried ? EFBIG : 0);
  EXPECT_TRUE(f.left_nothing());
}

INSTANTIATE_TEST_SUITE_P(in_every_mode, failing_session,
                         testing::Values("uring", "blocking-pool", "tokio-fs", "tokio-fs+flush",
                                         "uring-write-behind", "uring-write-behind+flush", "sync"),
                         [](const auto& tested) {
                           std::string name = tested.param;
                           for (auto& c : name) {
                             if (c == '-' || c == '+') c = '_';
                           }
                           return name;
                         });

// A direct write of 512 bytes where the device has sectors of 4096, in every mode that has a pool:
// where it is acknowledged early too, so that it fails behind its process's back.
TEST(session, cannot_run_what_the_filesystem_lacks_whoever_learns_of_it) {
  const auto direct = parse(R"(F direct512
"a direct write of 512 bytes"
{ file f = old[4k]; handle w = open f direct; }
P0 { write(w, 0, lorem[512]); }
exists (f = "")
)",
                            "test");
  for (const char* name : {"blocking-pool", "tokio-fs", "tokio-fs+flush"}) {
    planned_failure lacks;
    lacks.error = EINVAL;
    fixture f(make_failing_engine(default_engine(engine_kind::pool), lacks));
    session session(*f.engine, direct, *parse_mode(name), f.dir(), f.options);
    session.run(5);
    EXPECT_TRUE(lacks.happened);
    const auto& result = session.result();
    EXPECT_EQ(result.rounds, 0U) << name;
    EXPECT_TRUE(result.cannot_run.starts_with("write: Invalid argument")) << result.cannot_run;
    EXPECT_TRUE(f.left_nothing());
  }
}

TEST(session, prefers_the_failure_to_the_violation_that_comes_of_it) {
  fixture f(write_last());
  const file_size_limit limit(0);
  const auto& result = f.run(early(), 5);
  EXPECT_EQ(result.violation_count(), 0U);
  EXPECT_EQ(result.count(outcome::error), 1U);
}

// --- litmus tests

/// A test of the language, run in a mode on the mode's own engine.
mode_result run_test(std::string_view text, const mode& mode, std::uint64_t rounds) {
  fixture f(default_engine(mode.engine));
  session session(*f.engine, parse(text, "test"), mode, f.dir(), f.options);
  session.run(rounds);
  EXPECT_TRUE(f.left_nothing());
  return session.result();
}

void expect_only_what_the_model_allows(std::string_view text) {
  for (const auto& mode : all_modes()) {
    if (mode.engine == engine_kind::uring && !probe_ring().available) continue;
    const auto result = run_test(text, mode, 50);
    EXPECT_EQ(result.rounds, 50U) << mode.name;
    EXPECT_EQ(result.unexpected_count(), 0U) << mode.name;
    EXPECT_EQ(result.count(outcome::error), 0U) << mode.name;
  }
}

TEST(litmus_test, of_the_catalogue_shows_nothing_that_the_model_does_not_allow) {
  for (const auto& entry : catalogue()) {
    SCOPED_TRACE(entry.name);
    // The sanitizer would report the race that the test asks about.
    if (under_thread_sanitizer && closes_what_others_use(parse(entry.source, "test"))) continue;
    try {
      expect_only_what_the_model_allows(entry.source);
    } catch (const unsupported&) {  // O_DIRECT
    }
  }
}

// In the mode sync the stat comes between the two appends.
TEST(litmus_test, lets_others_run_between_the_operations_of_a_process) {
  expect_only_what_the_model_allows(R"(F two "?"
    { file f = "";  handle w = open f;  handle r = open f; }
    P0 { append(w, x[10]); append(w, x[10]); }
    P1 { st = statx(r); }
    exists (P1:st.size = 10))");
}

// A member without a handle, and a link that this kernel may keep although its member has failed.
TEST(litmus_test, may_have_names_in_its_groups) {
  expect_only_what_the_model_allows(R"(F names "?"
    { file f = "";  file g = none;  handle w = open f; }
    P0 { link { u = unlink(g); n = append(w, x[10]); } }
    exists (P0:u.res < 0 /\ P0:n.res = 10))");
}

// --- hangs

/// A session that is abandoned and its engine must not be destroyed: whatever hangs still uses
/// them. Here it is a worker asleep in a thread that the end of the process ends. (Kept reachable,
/// so it is no leak.)
fixture& lasting(std::unique_ptr<engine> made) {
  static auto* const kept = new std::vector<fixture*>;  // which no destructor forgets at the end
  kept->push_back(new fixture(std::move(made)));
  return *kept->back();
}

#if defined(__SANITIZE_THREAD__)
// The pool that the test leaves behind joins no worker that retires before the process ends.
// NOLINTNEXTLINE(bugprone-reserved-identifier)
extern "C" const char* __tsan_default_options() { return "report_thread_leaks=0"; }
#endif

TEST(session, gives_up_a_round_that_does_not_end) {
  auto& f = lasting(make_stalling_engine(make_pool_engine(), {{opcode::write, 1h}}, 1));
  f.options.round_timeout = 20ms;
  auto& session = f.begin(early());
  session.run(1000);
  EXPECT_TRUE(session.hangs());
  EXPECT_TRUE(session.abandoned());
  EXPECT_TRUE(session.finished());
  EXPECT_EQ(session.result().count(outcome::hang), 1U);
  EXPECT_EQ(session.result().rounds, 1U);
  EXPECT_TRUE(f.left_nothing());
  std::filesystem::remove_all(f.dir().parent_path());
}

// --- engines that fail, and clocks

/// Does something before each wait of another engine.
class preceded_engine final : public engine {
 public:
  preceded_engine(std::unique_ptr<engine> inner, std::function<void()> before)
      : inner_(std::move(inner)), before_(std::move(before)) {}

  void start(io_op& op) noexcept override { inner_->start(op); }
  void wait(op_queue& done) override {
    before_();
    inner_->wait(done);
  }
  void cancel(io_op& op) noexcept override { inner_->cancel(op); }
  std::size_t in_flight() const noexcept override { return inner_->in_flight(); }
  engine_traits traits() const override { return inner_->traits(); }

 private:
  std::unique_ptr<engine> inner_;
  std::function<void()> before_;
};

template <typename Exception>
void expect_a_failure(const Exception& thrown, int error) {
  auto waits = std::make_shared<int>(0);
  auto& f = lasting(std::make_unique<preceded_engine>(make_sync_engine(), [=] {
    if (++*waits == 40) throw thrown;
  }));
  auto& session = f.begin(complete());
  session.run(1000);
  EXPECT_TRUE(session.finished());
  EXPECT_TRUE(session.abandoned());
  EXPECT_FALSE(session.hangs());
  const auto& result = session.result();
  EXPECT_GT(result.rounds, 0U);
  EXPECT_EQ(result.count(outcome::ok), result.rounds);
  EXPECT_EQ(result.failure.error, error);
  EXPECT_FALSE(result.failure.what.empty());
  EXPECT_TRUE(f.left_nothing());
  session.run(1000);
  EXPECT_EQ(result.count(outcome::ok), result.rounds);
  std::filesystem::remove_all(f.dir().parent_path());
}

TEST(session, keeps_its_rounds_when_the_engine_fails) {
  expect_a_failure(std::system_error(EIO, std::generic_category(), "io_uring_enter"), EIO);
  expect_a_failure(std::runtime_error("something else"), 0);
  expect_a_failure(std::bad_alloc(), ENOMEM);
}

TEST(session, cannot_run_where_the_engine_finds_that_it_cannot) {
  auto& f = lasting(std::make_unique<preceded_engine>(
      make_sync_engine(), [] { throw unsupported("this kernel takes no ring"); }));
  auto& session = f.begin(complete());
  session.run(10);
  EXPECT_EQ(session.result().cannot_run, "this kernel takes no ring");
  EXPECT_TRUE(session.result().failure.what.empty());
  std::filesystem::remove_all(f.dir().parent_path());
}

// As SIGSTOP does: what was in flight has long been done when the clock is read again.
TEST(session, takes_no_stopped_process_for_a_hang) {
  auto stopped = std::make_shared<bool>(false);
  fixture f(std::make_unique<preceded_engine>(make_pool_engine(), [=] {
    if (!std::exchange(*stopped, true)) std::this_thread::sleep_for(1s);
  }));
  f.options.round_timeout = 400ms;
  const auto& result = f.run(complete(), 3);
  EXPECT_FALSE(f.session->hangs());
  EXPECT_EQ(result.count(outcome::ok), 3U);
}

TEST(session, abandons_a_round_that_does_not_end_after_an_interrupt) {
  auto interrupt = std::make_shared<std::atomic<bool>>(false);
  auto& f = lasting(std::make_unique<preceded_engine>(
      make_stalling_engine(make_pool_engine(), {{opcode::write, 1h}}, 1),
      [=] { *interrupt = true; }));
  f.options.round_timeout = 1h;
  f.options.interrupt = interrupt.get();
  auto& session = f.begin(early());
  session.run(1000);
  EXPECT_TRUE(session.abandoned());
  EXPECT_FALSE(session.hangs());
  EXPECT_EQ(session.result().rounds, 0U);
  EXPECT_TRUE(f.left_nothing());
  std::filesystem::remove_all(f.dir().parent_path());
}

// --- overtaking

/// A step whose operation has these times, in microseconds; 0 is "not known".
step operation(verb what, int submitted, int started, int returned) {
  const auto time = [](int us) {
    return us == 0 ? instant{} : instant{} + std::chrono::microseconds{us};
  };
  step made;
  made.what = {what, 0};
  made.io.submitted = time(submitted);
  made.io.started = time(started);
  made.io.returned = time(returned);
  return made;
}

TEST(overtakes, compares_the_beginning_with_the_return_where_the_beginning_is_known) {
  const auto write = operation(verb::append, 1, 10, 20);
  EXPECT_EQ(overtakes(operation(verb::fsync, 5, 9, 30), write), overtaking::yes);
  EXPECT_EQ(overtakes(operation(verb::fsync, 5, 19, 30), write), overtaking::yes);
  EXPECT_EQ(overtakes(operation(verb::fsync, 5, 20, 30), write), overtaking::no);
  EXPECT_EQ(overtakes(operation(verb::fsync, 5, 25, 30), write), overtaking::no);
}

TEST(overtakes, knows_no_time_of_what_never_began) {
  const auto write = operation(verb::append, 10, 0, 20);
  auto cancelled = operation(verb::fsync, 5, 0, 15);  // on a ring, behind a broken link
  EXPECT_EQ(overtakes(cancelled, write), overtaking::yes);
  cancelled.io.res = -ECANCELED;
  EXPECT_EQ(overtakes(cancelled, write), overtaking::no);
  EXPECT_EQ(overtakes(write, cancelled), overtaking::no);
  EXPECT_EQ(overtakes(operation(verb::fsync, 0, 0, 15), write), overtaking::no);
}

TEST(latency, is_of_each_member_of_a_group_its_own) {
  auto member = operation(verb::append, 1, 2, 7);
  member.called = instant{} + 1us;
  member.returned = instant{} + 20us;
  EXPECT_EQ(member.latency(), 19us);
  member.grouped = true;
  EXPECT_EQ(member.latency(), 6us);
  member.io.res = -ECANCELED;
  EXPECT_EQ(member.latency(), std::nullopt);
}

TEST(latency, is_not_known_of_what_has_not_returned_or_by_a_clock_that_went_back) {
  step waiting;
  waiting.called = instant{} + 9us;
  EXPECT_EQ(waiting.latency(), std::nullopt);
  waiting.returned = instant{} + 8us;
  EXPECT_EQ(waiting.latency(), std::nullopt);
  waiting.returned = instant{} + 9us;
  EXPECT_EQ(waiting.latency(), 0us);
}

class conflict : public testing::Test {
 protected:
  enum handles : std::uint8_t { w, r, other, later, copy, moved };
  enum files : std::uint8_t { f, g, h };

  bool operator()(instruction one, instruction two) const {
    EXPECT_EQ(of_(one, two), of_(two, one));
    return of_(one, two);
  }

  const conflicts of_{parse(R"(F names "?"
    { file f = "";  file g = "";  file h = "";
      handle w = open f;  handle r = open f;  handle other = open g;
      handle later;  handle copy;  handle moved; }
    P0 { rename(f, h); later = open f; copy = clone w; moved = open h; close(later); close(copy);
         close(moved); append(w, x[1]); append(r, x[1]); append(other, x[1]); }
    exists (f.size = 1))",
                            "test")};
};

TEST_F(conflict, is_between_a_change_and_what_looks_at_the_same_file) {
  for (const auto look :
       {verb::read, verb::statx, verb::fsync, verb::fdatasync, verb::sync_range}) {
    EXPECT_TRUE((*this)({verb::append, w}, {look, r})) << to_string(look);
    EXPECT_FALSE((*this)({verb::append, w}, {look, other})) << to_string(look);
    EXPECT_FALSE((*this)({verb::read, w}, {look, w})) << to_string(look);
  }
  EXPECT_TRUE((*this)({verb::write, w}, {verb::truncate, r}));
  EXPECT_FALSE((*this)({verb::write, w}, {verb::punch, other}));
}

TEST_F(conflict, is_between_two_that_move_the_cursor_of_one_description) {
  const auto at_cursor = [](verb what, std::uint8_t handle) {
    return instruction{what, handle, 0, true};
  };
  EXPECT_TRUE((*this)(at_cursor(verb::append, w), at_cursor(verb::seek, copy)));
  EXPECT_TRUE((*this)(at_cursor(verb::read, copy), at_cursor(verb::read, w)));
  EXPECT_FALSE((*this)(at_cursor(verb::append, w), at_cursor(verb::seek, r)));
  EXPECT_FALSE((*this)({verb::append, w}, at_cursor(verb::seek, copy)));
}

TEST_F(conflict, knows_the_file_of_a_handle_that_is_opened_or_cloned_later) {
  EXPECT_TRUE((*this)({verb::append, w}, {verb::statx, later}));
  EXPECT_TRUE((*this)({verb::append, w}, {verb::statx, copy}));
  EXPECT_TRUE((*this)({verb::append, w}, {verb::statx, moved}));  // f may be called h by then
  EXPECT_FALSE((*this)({verb::append, other}, {verb::statx, moved}));
}

TEST_F(conflict, of_names_is_with_what_moves_or_removes_them) {
  const instruction rename{verb::rename, f, h};
  EXPECT_TRUE((*this)(rename, {verb::open, later, f}));
  EXPECT_TRUE((*this)(rename, {verb::open, later, h}));
  EXPECT_TRUE((*this)(rename, {verb::unlink, h}));
  EXPECT_TRUE((*this)(rename, rename));
  EXPECT_FALSE((*this)(rename, {verb::unlink, g}));
  EXPECT_FALSE((*this)({verb::open, later, f}, {verb::open, moved, f}));
  EXPECT_FALSE((*this)({verb::append, w}, {verb::open, later, f}));
  EXPECT_FALSE((*this)({verb::append, w}, rename));
}

TEST(overtakes, is_unknown_on_a_ring_when_both_were_in_flight_together) {
  const auto write = operation(verb::append, 10, 0, 20);
  EXPECT_EQ(overtakes(operation(verb::fsync, 11, 0, 30), write), overtaking::unknown);
  EXPECT_EQ(overtakes(operation(verb::fsync, 11, 0, 20), write), overtaking::unknown);
  EXPECT_EQ(overtakes(operation(verb::fsync, 5, 0, 25), write), overtaking::unknown);
}

TEST(overtakes, is_certain_on_a_ring_when_one_was_over_before_the_other) {
  const auto write = operation(verb::append, 10, 0, 20);
  EXPECT_EQ(overtakes(operation(verb::fsync, 20, 0, 30), write), overtaking::no);
  EXPECT_EQ(overtakes(operation(verb::fsync, 25, 0, 30), write), overtaking::no);
  EXPECT_EQ(overtakes(operation(verb::fsync, 5, 0, 10), write), overtaking::yes);
  EXPECT_EQ(overtakes(operation(verb::fsync, 5, 0, 9), write), overtaking::yes);
  EXPECT_EQ(overtakes(operation(verb::fsync, 11, 0, 15), write), overtaking::yes);
}

/// The steps of a round in write-behind mode, in the order in which they were begun.
std::vector<step> steps_of_a_violation() {
  static fixture f(write_last());
  return f.run(early(), 1).violations.at(0).steps;
}

const step& step_of(const std::vector<step>& steps, std::uint8_t process, verb what) {
  for (const auto& step : steps) {
    if (step.process == process && step.what.what == what) return step;
  }
  throw std::logic_error("there is no such step");
}

TEST(happens_before, follows_the_program_through_its_notifications) {
  const auto steps = steps_of_a_violation();
  enum processes : std::uint8_t { writer, flusher, reader };
  const auto& append = step_of(steps, writer, verb::append);
  const auto& told = step_of(steps, writer, verb::notify);
  const auto& wait = step_of(steps, flusher, verb::wait);
  const auto& fsync = step_of(steps, flusher, verb::fsync);
  const auto& statx = step_of(steps, reader, verb::statx);
  const auto& read = step_of(steps, reader, verb::read);

  EXPECT_TRUE(append.happens_before(told));
  EXPECT_TRUE(append.happens_before(fsync));  // by the notification
  EXPECT_TRUE(append.happens_before(statx));  // by two of them
  EXPECT_TRUE(fsync.happens_before(statx));
  EXPECT_TRUE(statx.happens_before(read));

  EXPECT_FALSE(fsync.happens_before(append));
  EXPECT_FALSE(statx.happens_before(fsync));
  EXPECT_FALSE(append.happens_before(append));
  EXPECT_FALSE(append.happens_before(wait));  // the wait may begin before anything was written
  EXPECT_FALSE(wait.happens_before(append));
}

TEST(happens_before, does_not_order_what_no_notification_orders) {
  // The second append is not before the look that the first one's notification led to.
  fixture f(write_last());
  f.experiment.writes = 2;
  const auto steps = f.run(early(), 1).violations.at(0).steps;
  std::vector<const step*> appends;
  for (const auto& step : steps) {
    if (step.what.what == verb::append) appends.push_back(&step);
  }
  ASSERT_EQ(appends.size(), 2U);
  const auto& statx = step_of(steps, 2, verb::statx);
  EXPECT_TRUE(appends[0]->happens_before(*appends[1]));
  EXPECT_TRUE(appends[0]->happens_before(statx));
  EXPECT_FALSE(appends[1]->happens_before(statx));
}

TEST(acknowledged_early, is_said_of_write_behind_appends_only) {
  const auto steps = steps_of_a_violation();
  EXPECT_TRUE(step_of(steps, 0, verb::append).acknowledged_early());
  EXPECT_FALSE(step_of(steps, 1, verb::fsync).acknowledged_early());
  EXPECT_FALSE(step_of(steps, 2, verb::statx).acknowledged_early());
  EXPECT_FALSE(step_of(steps, 0, verb::notify).acknowledged_early());
}

TEST(each_overtaking, names_every_operation_that_overtook_the_append) {
  std::vector<pair> found;
  each_overtaking(steps_of_a_violation(), conflicts(tokio_4796({})),
                  [&](const step& later, const step& earlier, overtaking verdict) {
                    EXPECT_EQ(verdict, overtaking::yes);
                    found.emplace_back(later.what.what, earlier.what.what);
                  });
  EXPECT_EQ(found, (std::vector<pair>{{verb::fsync, verb::append},
                                      {verb::statx, verb::append},
                                      {verb::read, verb::append}}));
}

}  // namespace
}  // namespace filemap::litmus
