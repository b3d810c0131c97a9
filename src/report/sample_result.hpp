#pragma once

#include "filemap/litmus/mode.hpp"

#include "report/report.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string_view>
#include <utility>

namespace filemap {

// Results made by hand, for the tests of what is made of results.

/// A point in time of a sample round.
inline instant at(std::chrono::nanoseconds since_start) {
  return instant{std::chrono::seconds{5}} + since_start;
}

inline void count(litmus::mode_result& mode, const litmus::observation& seen,
                  std::uint64_t rounds) {
  auto& line = mode.histogram[seen.label()];
  if (line.rounds == 0) line.first = seen;
  line.rounds += rounds;
  mode.rounds += rounds;
  mode.outcomes[static_cast<std::size_t>(seen.what)] += rounds;
}

/// Of one operation that took so long.
inline latency_summary latency_of(std::chrono::nanoseconds one) {
  latency_histogram latency;
  latency.record(one);
  return latency.summary();
}

/// A mode after `rounds` rounds of which `violations` were size-zero and the rest ok.
inline litmus::mode_result sample_mode(std::string_view name, std::uint64_t rounds = 0,
                                       std::uint64_t violations = 0) {
  litmus::mode_result mode;
  mode.mode = *litmus::find_mode(name);
  const bool ring = mode.mode.engine == litmus::engine_kind::uring;
  mode.engine = {ring ? "uring" : "pool", !ring, {}, {}};
  if (violations > 0) count(mode, {.what = litmus::outcome::size_zero, .flushed = 123}, violations);
  if (rounds > violations) {
    count(mode, {.flushed = 123, .size = 123, .read = 123}, rounds - violations);
  }
  mode.measured = std::chrono::microseconds{50} * static_cast<std::int64_t>(rounds);
  return mode;
}

/// Round 4711 of tokio-fs: the append was acknowledged at 3 µs and executed at 60 to 64.001 µs,
/// after the fsync (12 to 40 µs) and the reader's look (47 to 55 µs).
inline litmus::round_trace sample_violation() {
  using litmus::verb;
  using namespace std::chrono_literals;
  litmus::round_trace trace;
  trace.round = 4711;
  trace.seen = {.what = litmus::outcome::size_zero, .flushed = 123};
  trace.start = at(0ns);

  enum processes : std::uint8_t { writer, flusher, reader };
  litmus::vector_clock clock{};
  const auto step = [&](processes process, litmus::instruction what, nanoseconds called,
                        nanoseconds returned, const io_record& io = {}) {
    ++clock[process];
    trace.steps.push_back({.process = process,
                           .what = what,
                           .called = at(called),
                           .returned = at(returned),
                           .io = io,
                           .clock = clock});
  };
  step(writer, {verb::append, 0}, 1us, 3us, {at(2us), at(60us), at(64'001ns), 123, 2});
  step(writer, {verb::store, 0}, 3us, 3us);
  step(writer, {verb::notify, 0}, 3us, 5us);
  step(flusher, {verb::wait, 0}, 1us, 6us);
  step(flusher, {verb::load, 0}, 6us, 6us);
  step(flusher, {verb::fsync, 1}, 7us, 42us, {at(8us), at(12us), at(40us), 0, 1});
  step(flusher, {verb::store, 1}, 42us, 42us);
  step(flusher, {verb::notify, 1}, 42us, 44us);
  step(reader, {verb::wait, 1}, 1us, 45us);
  step(reader, {verb::load, 1}, 45us, 45us);
  step(reader, {verb::statx, 2}, 46us, 50us, {at(46us), at(47us), at(48us), 0, 1});
  step(reader, {verb::read, 2}, 50us, 56us, {at(51us), at(53us), at(55us), 0, 1});
  step(reader, {verb::check, 0}, 56us, 57us);
  return trace;
}

/// The same round had it been one of uring-write-behind, with another outcome: when an operation
/// began is not known, and no worker has done it.
inline litmus::round_trace sample_ring_round(litmus::observation seen) {
  auto trace = sample_violation();
  trace.round = 12;
  trace.seen = std::move(seen);
  for (auto& step : trace.steps) {
    step.io.started = instant{};
    step.io.worker = 0;
  }
  return trace;
}

/// What this run alone was asked for, to be changed.
inline run_settings& settings_of(run_result& run) {
  auto own = std::make_shared<run_settings>(*run.asked);
  run.asked = own;
  return *own;
}

/// A run of the two modes whose difference is the point.
inline run_result sample_run() {
  using namespace std::chrono_literals;
  using litmus::verb;
  run_result run;
  auto& asked = settings_of(run);
  asked.seed = 18'446'744'073'709'551'615U;
  asked.dir = "/tmp/x";
  asked.stalls = {{"write=2ms@0.5", {{opcode::write, 2ms, 0.5}}}};
  asked.command = {"filemap-uring", "--mode", "uring,tokio-fs", "--dir", "/tmp/a b"};
  run.test = litmus::tokio_4796(asked.experiment);
  run.exit_status = exit_ok;

  auto uring = sample_mode("uring", 10'000);
  uring.engine.features = {"READ/WRITE", "STATX"};
  uring.latency[verb::append] = latency_of(2us);
  auto tokio = sample_mode("tokio-fs", 10'000, 8);
  tokio.hazards.rounds = 500;
  tokio.hazards.pairs[{verb::fsync, verb::append}] = 500;
  tokio.latency[verb::append] = latency_of(2us);
  tokio.append_executed = latency_of(62us);
  tokio.violations.push_back(sample_violation());
  run.modes = {std::move(uring), std::move(tokio)};

  run.host = {"6.1.0", "#1 SMP", "x86_64", "A CPU", 2, std::uint64_t{8} << 30, true, "tsc"};
  run.filesystem = {"ext4",
                    "/",
                    "rw,relatime",
                    "/dev/vda",
                    {"", true, "none", "write back"},
                    std::uint64_t{1} << 30,
                    ""};
  run.ring.available = true;
  run.ring.features.read_write = true;
  run.ring.opcodes = {"NOP", "READV"};
  run.ring.probed = true;
  return run;
}

}  // namespace filemap
