// The answers that the experiment must give on any Linux: with the write stalled, write-behind
// modes violate and the others do not; without a stall the ring does not.
//
// That a stalled write is overtaken needs the fsync and the stat to be faster than the stall. Where
// they are not, because the machine is slow, busy or under a sanitizer, the stall is made longer
// until they are; that is why none of this depends on how fast the machine is.

#include "filemap/io/engines.hpp"
#include "filemap/io/stall.hpp"
#include "filemap/litmus/experiment.hpp"
#include "filemap/subject/session.hpp"

#include "default_engine.hpp"
#include "testing.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <linux/magic.h>
#include <memory>
#include <string>
#include <string_view>
#include <sys/statfs.h>
#include <unistd.h>
#include <utility>

#include <gtest/gtest.h>

namespace filemap::litmus {
namespace {

using namespace std::chrono_literals;

// Where it can be, in memory: there an fsync is fast, so rounds are many and the stalls short.
const bool in_memory = [] {
  struct statfs shm {};
  if (::statfs("/dev/shm", &shm) != 0 || shm.f_type != TMPFS_MAGIC) return false;
  return ::access("/dev/shm", W_OK) == 0 && ::setenv("TMPDIR", "/dev/shm", 1) == 0;
}();

/// `rounds` rounds with every write held back for `stalled`, if that is not 0.
mode_result run(const mode& mode, std::uint64_t rounds, std::size_t lanes, nanoseconds stalled) {
  const scratch_directory scratch;
  const auto dir = scratch / "rounds";
  std::filesystem::create_directory(dir);
  auto engine = default_engine(mode.engine);
  if (stalled > 0ns)
    engine = make_stalling_engine(std::move(engine), {{opcode::write, stalled}}, 1);
  session_options options;
  options.lanes = lanes;
  options.seed = 1;
  options.round_timeout = 5min;
  session session(*engine, tokio_4796({}), mode, dir, options);
  session.run(rounds);
  EXPECT_TRUE(std::filesystem::is_empty(dir));
  return session.result();
}

bool cannot_run(const mode& mode) {
  return mode.engine == engine_kind::uring && !probe_ring().available;
}

std::string test_name(std::string name) {
  for (auto& c : name) {
    if (c == '-' || c == '+') c = '_';
  }
  return name;
}

// --- stalled writes

constexpr std::uint64_t rounds = 300;

class stalled_writes_violate : public testing::TestWithParam<const char*> {};

TEST_P(stalled_writes_violate, in_at_least_99_percent_of_rounds) {
  const auto mode = *parse_mode(GetParam());
  if (cannot_run(mode)) GTEST_SKIP() << probe_ring().why;
  mode_result result;
  const auto needed = rounds * 99 / 100;
  for (const auto& [stalled, lanes] : {std::pair<nanoseconds, std::size_t>{2ms, 1},
                                       {20ms, 4},
                                       {200ms, 16},
                                       {2s, 100},
                                       {20s, 100}}) {
    result = run(mode, rounds, lanes, stalled);
    ASSERT_EQ(result.rounds, rounds);
    // Whatever is not a violation is luck.
    EXPECT_EQ(result.violation_count() + result.count(outcome::ok), rounds);
    if (result.violation_count() >= needed) break;
  }
  EXPECT_GE(result.violation_count(), needed);
  EXPECT_EQ(result.count(outcome::size_zero), result.violation_count());
  ASSERT_FALSE(result.violations.empty());
  EXPECT_EQ(result.violations[0].seen.flushed, 123U);
}

INSTANTIATE_TEST_SUITE_P(in_mode, stalled_writes_violate,
                         testing::Values("tokio-fs", "uring-write-behind"),
                         [](const auto& tested) { return test_name(tested.param); });

class stalled_writes_are_waited_for : public testing::TestWithParam<const char*> {};

TEST_P(stalled_writes_are_waited_for, in_every_round) {
  const auto mode = *parse_mode(GetParam());
  if (cannot_run(mode)) GTEST_SKIP() << probe_ring().why;
  const auto result = run(mode, rounds, 1, 2ms);
  EXPECT_EQ(result.count(outcome::ok), rounds);
  EXPECT_EQ(result.violation_count(), 0U);
  EXPECT_EQ(result.hazards.rounds, 0U);
  EXPECT_EQ(result.hazards.unknown, 0U);
}

INSTANTIATE_TEST_SUITE_P(in_mode, stalled_writes_are_waited_for,
                         testing::Values("uring", "blocking-pool", "sync", "tokio-fs+flush",
                                         "uring-write-behind+flush"),
                         [](const auto& tested) { return test_name(tested.param); });

// --- plain runs

TEST(plain_run, of_20000_rounds_on_a_ring_shows_no_violation) {
  const auto mode = *find_mode("uring");
  if (cannot_run(mode)) GTEST_SKIP() << probe_ring().why;
  const auto result = run(mode, 20'000, in_memory ? 1 : 64, 0ns);
  EXPECT_EQ(result.rounds, 20'000U);
  EXPECT_EQ(result.count(outcome::ok), 20'000U);
  EXPECT_EQ(result.hazards.rounds, 0U);
  EXPECT_EQ(result.hazards.unknown, 0U);
}

class plain_run_without_a_ring : public testing::TestWithParam<const char*> {};

TEST_P(plain_run_without_a_ring, shows_no_violation_when_writes_are_complete_or_flushed) {
  const auto result = run(*parse_mode(GetParam()), 2'000, in_memory ? 4 : 64, 0ns);
  EXPECT_EQ(result.count(outcome::ok), 2'000U);
  EXPECT_EQ(result.hazards.rounds, 0U);
}

INSTANTIATE_TEST_SUITE_P(in_mode, plain_run_without_a_ring,
                         testing::Values("blocking-pool", "sync", "tokio-fs+flush"),
                         [](const auto& tested) { return test_name(tested.param); });

}  // namespace
}  // namespace filemap::litmus
