#include "harness.hpp"

#include "filemap/io/engines.hpp"
#include "filemap/io/stall.hpp"

#include "advice.hpp"
#include "base/units.hpp"
#include "subject/driver_session.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <filesystem>
#include <memory>
#include <new>
#include <random>
#include <system_error>

#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

namespace filemap {

using namespace std::chrono_literals;

namespace {

std::unique_ptr<engine> make_engine(const litmus::mode& mode, const options& asked) {
  std::unique_ptr<engine> made;
  switch (mode.engine) {
    case litmus::engine_kind::uring:
      made = make_uring_engine(asked.ring);
      break;
    case litmus::engine_kind::pool: {
      pool_options options;
      options.threads = asked.pool_threads;
      options.sharded = asked.pool_sharded;
      made = make_pool_engine(options);
      break;
    }
    case litmus::engine_kind::sync:
      made = make_sync_engine();
      break;
    case litmus::engine_kind::driver:
      return nullptr;  // what it executes with is its own
  }
  std::vector<stall> stalls;
  for (const auto& option : asked.stalls) {
    stalls.insert(stalls.end(), option.stalls.begin(), option.stalls.end());
  }
  if (stalls.empty()) return made;
  return make_stalling_engine(std::move(made), std::move(stalls), asked.seed);
}

// Of a mode that has failed, what to tell about it as one line; else empty.
std::string describe_failure(const litmus::mode_result& mode, const options& asked) {
  if (!mode.failure.what.empty()) {
    return fmt::format("{}: {}{}", mode.mode.name, mode.failure.what,
                       advice_on(mode.failure.error));
  }
  if (mode.count(litmus::outcome::hang) > 0) {
    return fmt::format(
        "{}: a round did not end within {}; if that is only slow, raise --round-timeout",
        mode.mode.name, format_duration(asked.round_timeout));
  }
  for (const auto& [label, line] : mode.histogram) {
    const auto& seen = line.first;
    if (seen.what != litmus::outcome::error) continue;
    return fmt::format("{}: {}", mode.mode.name, describe_failed_operation(seen, asked.dir));
  }
  return "";
}

// The run's failure is the most telling one of its modes: one that the environment has caused, or
// else what this kernel or filesystem cannot do and only running has shown.
void note_failure(run_result& run, const options& asked) {
  for (const auto& mode : run.modes) {
    if (!run.failure.empty()) return;
    if (mode.cannot_run.empty()) run.failure = describe_failure(mode, asked);
  }
  for (const auto& mode : run.modes) {
    if (!run.failure.empty()) return;
    if (mode.cannot_run.empty() || mode.engine.name.empty()) continue;
    const bool is_driver = mode.mode.engine == litmus::engine_kind::driver;
    run.failure = (is_driver ? mode.mode.name + ": " : "") + mode.cannot_run;
    run.cannot_run = true;
  }
}

}  // namespace

// A mode on its way. The session uses the engine, so it goes first.
struct harness::contestant {
  litmus::mode mode;
  litmus::mode_result without_session;  // why there is none
  std::filesystem::path dir;
  std::unique_ptr<engine> own_engine;
  std::unique_ptr<litmus::runner> session;
  nanoseconds spent{0};  // with making and removing files

  std::uint64_t rounds() const { return session->result().rounds; }
  bool wants_more(const options& asked) const {
    if (session == nullptr || session->finished()) return false;
    return (asked.iterations == 0 || rounds() < asked.iterations) && time_left(asked) > 0ns;
  }
  nanoseconds time_left(const options& asked) const {
    return asked.duration ? *asked.duration - spent : nanoseconds::max();
  }
  void run(std::uint64_t block, const options& asked) {
    const auto begin = clock::now();
    session->run(block, time_left(asked));
    spent += std::max(clock::now() - begin, clock::duration{0});
  }
  // How much of what was asked for is done: what is nearest to its end.
  double done(const options& asked) const {
    if (session == nullptr || session->finished()) return 1;
    double part = 0;
    if (asked.iterations > 0) {
      part = static_cast<double>(rounds()) / static_cast<double>(asked.iterations);
    }
    if (asked.duration) {
      part = std::max(
          part, static_cast<double>(spent.count()) / static_cast<double>(asked.duration->count()));
    }
    return part;
  }
  // Small enough for many blocks a mode, and for a block to be a small part of a duration; but with
  // a round for every lane.
  std::uint64_t next_block(const options& asked) const {
    std::uint64_t block = 500;
    if (asked.iterations > 0) {
      block = std::min(block, asked.iterations / 20 + 1);
    }
    if (asked.duration) {
      const auto slice = std::min<nanoseconds>(*asked.duration / 20, 50ms);
      const auto fit = rounds() == 0
                           ? 1.0
                           : static_cast<double>(rounds()) * static_cast<double>(slice.count()) /
                                 static_cast<double>(spent.count() + 1);
      block = std::min(block, static_cast<std::uint64_t>(std::min(fit, 1e9)));
    }
    block = std::max<std::uint64_t>(block, asked.lanes);
    return asked.iterations > 0 ? std::min(block, asked.iterations - rounds()) : block;
  }
};

harness::harness(const options& asked, const work_directory& directory, drivers& drivers,
                 const std::atomic<bool>& interrupt, progress& progress)
    : asked_(asked),
      settings_(std::make_shared<const run_settings>(asked.settings())),
      directory_(directory),
      drivers_(drivers),
      interrupt_(interrupt),
      progress_(progress),
      host_(inspect_host()),
      filesystem_(inspect_filesystem(directory.path())),
      ring_(probe_ring()),
      open_files_(raise_open_file_limit()) {}

// What of the limit on open files is left to one session: only one has files open at a time, but
// all keep the notifications of their lanes, and the files that they reuse.
std::uint64_t harness::open_files_for_one(const litmus::test& test) const {
  constexpr std::uint64_t of_engine = 4;
  const auto of_lane = test.edges.size() + (asked_.reuse_file ? test.handles.size() : 0);
  const auto of_others = (asked_.modes.size() - 1) * (of_engine + of_lane * asked_.lanes);
  return open_files_ > of_others ? open_files_ - of_others : 0;
}

void harness::begin(const litmus::test& test, contestant& contestant) const {
  litmus::session_options options;
  options.lanes = asked_.lanes;
  options.reuse_file = asked_.reuse_file;
  options.direct = asked_.direct;
  options.seed = asked_.seed;
  options.model = asked_.model;
  options.round_timeout = asked_.round_timeout;
  options.stop_on_violation = asked_.stop_on_violation;
  options.traces = asked_.traces();
  options.max_open_files = open_files_for_one(test);
  options.interrupt = &interrupt_;
  contestant.dir = directory_.subdirectory(contestant.mode.name);
  if (contestant.mode.engine == litmus::engine_kind::driver) {
    contestant.session = std::make_unique<litmus::driver_session>(
        drivers_.of(contestant.mode), test, contestant.mode, contestant.dir, options);
    return;
  }
  contestant.own_engine = make_engine(contestant.mode, asked_);
  contestant.session = std::make_unique<litmus::session>(*contestant.own_engine, test,
                                                         contestant.mode, contestant.dir, options);
}

harness::contestant harness::make_contestant(const litmus::test& test,
                                             const litmus::mode& mode) const {
  contestant made;
  made.mode = mode;
  made.without_session.mode = mode;
  try {
    begin(test, made);
  } catch (const unsupported& error) {
    made.without_session.cannot_run = error.what();
    spdlog::info("{} cannot run: {}", mode.name, error.what());
    return made;
  } catch (const litmus::driver_failed& error) {
    made.without_session.cannot_run = error.what();
    made.without_session.engine.name = mode.command;  // a failure, and no lack
    drivers_.end(mode);
    return made;
  } catch (const std::system_error& error) {
    made.without_session.failure = {error.what(), error.code().value()};
    return made;
  } catch (const std::bad_alloc&) {
    made.without_session.failure = {"out of memory", ENOMEM};
    return made;
  }
  const auto& traits = made.session->result().engine;
  spdlog::info("{}: engine {}, features [{}], substituted [{}]", mode.name, traits.name,
               fmt::join(traits.features, " "), fmt::join(traits.substitutions, "; "));
  return made;
}

void harness::run_blocks(std::vector<contestant>& contestants) const {
  std::mt19937_64 random(asked_.seed);
  std::vector<contestant*> turn;
  while (true) {
    turn.clear();
    for (auto& contestant : contestants) {
      if (contestant.wants_more(asked_)) turn.push_back(&contestant);
    }
    if (turn.empty()) return;
    std::shuffle(turn.begin(), turn.end(), random);
    for (auto* const contestant : turn) {
      const auto block = contestant->next_block(asked_);
      spdlog::debug("{}: {} rounds", contestant->mode.name, block);
      contestant->run(block, asked_);
      double done = 0;
      std::uint64_t rounds = 0;
      for (const auto& other : contestants) {
        done += other.done(asked_) / static_cast<double>(contestants.size());
        if (other.session != nullptr) rounds += other.rounds();
      }
      progress_.update(contestant->mode.name, done, rounds);
      const auto& session = *contestant->session;
      const bool stopped = asked_.stop_on_violation && session.result().violation_count() > 0;
      if (interrupt_.load() || session.hangs() || stopped) return;
    }
  }
}

// Takes the result, and lets go of what may be.
void harness::finish(contestant& contestant, run_result& run) const {
  auto& result = run.modes.emplace_back(std::move(contestant.without_session));
  if (contestant.session == nullptr) return;
  result = contestant.session->result();
  if (contestant.session->abandoned()) {
    run.abandoned = true;
    static_cast<void>(contestant.session.release());
    static_cast<void>(contestant.own_engine.release());
    return;
  }
  const bool has_failed = !result.cannot_run.empty() || contestant.session->hangs();
  contestant.session.reset();
  contestant.own_engine.reset();
  if (has_failed) drivers_.end(contestant.mode);
  std::error_code later;  // whatever is left goes with the whole directory
  std::filesystem::remove_all(contestant.dir, later);
}

void harness::run_modes(const litmus::test& test, run_result& run) {
  std::vector<contestant> contestants;
  contestants.reserve(asked_.modes.size());
  for (const auto& mode : asked_.modes) contestants.push_back(make_contestant(test, mode));
  try {
    run_blocks(contestants);
  } catch (const std::exception& error) {
    run.failure = error.what();
  }
  progress_.clear();
  for (auto& contestant : contestants) finish(contestant, run);
}

run_result harness::run(const litmus::test& test) {
  run_result run;
  run.asked = settings_;
  run.test = test;
  run.host = host_;
  run.filesystem = filesystem_;
  run.ring = ring_;
  try {
    run_modes(test, run);
  } catch (const std::exception& error) {
    run.failure = error.what();
  }
  run.interrupted = interrupt_.load();
  note_failure(run, asked_);
  run.exit_status = exit_status_of(run);
  return run;
}

}  // namespace filemap
