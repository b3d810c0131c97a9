#include "harness.hpp"

#include "filemap/io/engines.hpp"
#include "filemap/io/stall.hpp"

#include "base/units.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <random>
#include <system_error>

#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

namespace filemap {

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
      made = make_pool_engine(options);
      break;
    }
    case litmus::engine_kind::sync:
      made = make_sync_engine();
      break;
  }
  std::vector<stall> stalls;
  for (const auto& option : asked.stalls) {
    stalls.insert(stalls.end(), option.stalls.begin(), option.stalls.end());
  }
  if (stalls.empty()) return made;
  return make_stalling_engine(std::move(made), std::move(stalls), asked.seed);
}

// A mode on its way. The session uses the engine, so it goes first.
struct contestant {
  litmus::mode mode;
  std::unique_ptr<engine> own_engine;
  std::unique_ptr<litmus::session> session;
  std::string cannot_run;

  std::uint64_t rounds() const { return session->result().rounds; }
  nanoseconds measured() const { return session->result().measured; }
  bool wants_more(const options& asked) const {
    if (session == nullptr || session->finished()) return false;
    return (asked.iterations == 0 || rounds() < asked.iterations) &&
           (!asked.duration || measured() < *asked.duration);
  }
  // How much of what was asked for is done: what is nearest to its end.
  double done(const options& asked) const {
    if (session == nullptr) return 1;
    double part = 0;
    if (asked.iterations > 0) {
      part = static_cast<double>(rounds()) / static_cast<double>(asked.iterations);
    }
    if (asked.duration) {
      part = std::max(part, static_cast<double>(measured().count()) /
                                static_cast<double>(asked.duration->count()));
    }
    return part;
  }
  // Small enough for many blocks a mode, and for a block not to overrun a duration by much.
  std::uint64_t next_block(const options& asked) const {
    std::uint64_t block = 500;
    if (asked.iterations > 0) {
      block = std::min(block, asked.iterations / 20 + 1);
    }
    if (asked.duration) {
      const auto slice = std::min<nanoseconds>(*asked.duration / 20, std::chrono::milliseconds{50});
      const auto fit = rounds() == 0
                           ? 1.0
                           : static_cast<double>(rounds()) * static_cast<double>(slice.count()) /
                                 static_cast<double>(measured().count() + 1);
      block = std::min(block, static_cast<std::uint64_t>(std::min(fit, 1e9)));
    }
    block = std::max<std::uint64_t>(block, std::min<std::uint64_t>(asked.lanes, 500));
    return asked.iterations > 0 ? std::min(block, asked.iterations - rounds()) : block;
  }
};

contestant make_contestant(const litmus::test& test, const litmus::mode& mode, const options& asked,
                           const work_directory& directory, std::uint64_t open_files,
                           const std::atomic<bool>& interrupt) {
  contestant made;
  made.mode = mode;
  litmus::session_options options;
  options.lanes = asked.lanes;
  options.reuse_file = asked.reuse_file;
  options.direct = asked.direct;
  options.seed = asked.seed;
  options.model = asked.model;
  options.round_timeout = asked.round_timeout;
  options.stop_on_violation = asked.stop_on_violation;
  options.traces = asked.trace_file.empty() ? 1 : 100;
  options.max_open_files = open_files;
  options.interrupt = &interrupt;
  try {
    made.own_engine = make_engine(mode, asked);
    made.session = std::make_unique<litmus::session>(
        *made.own_engine, test, mode, directory.subdirectory(test.name + '.' + mode.name), options);
  } catch (const unsupported& error) {
    made.cannot_run = error.what();
    spdlog::info("{} cannot run: {}", mode.name, made.cannot_run);
    return made;
  }
  const auto traits = made.own_engine->traits();
  spdlog::info("{}: engine {}, features [{}], substituted [{}]", mode.name, traits.name,
               fmt::join(traits.features, " "), fmt::join(traits.substitutions, "; "));
  return made;
}

void run_blocks(std::vector<contestant>& contestants, const options& asked, progress& progress) {
  std::mt19937_64 random(asked.seed);
  std::vector<contestant*> turn;
  while (true) {
    turn.clear();
    for (auto& contestant : contestants) {
      if (contestant.wants_more(asked)) turn.push_back(&contestant);
    }
    if (turn.empty()) return;
    std::shuffle(turn.begin(), turn.end(), random);
    for (auto* const contestant : turn) {
      const auto block = contestant->next_block(asked);
      spdlog::debug("{}: {} rounds", contestant->mode.name, block);
      contestant->session->run(block);
      double done = 0;
      std::uint64_t rounds = 0;
      for (const auto& other : contestants) {
        done += other.done(asked) / static_cast<double>(contestants.size());
        if (other.session != nullptr) rounds += other.rounds();
      }
      progress.update(contestant->mode.name, done, rounds);
      if (contestant->session->finished()) return;  // one that must not go on ends the run
    }
  }
}

// What of the limit on open files is left to one session: only one has files open at a time, but
// all keep the notifications of their lanes, and the files that they reuse.
std::uint64_t open_files_for_one(const litmus::test& test, const options& asked,
                                 std::uint64_t limit) {
  constexpr std::uint64_t of_engine = 4;
  const auto of_lane = test.edges.size() + (asked.reuse_file ? test.handles.size() : 0);
  const auto of_others = (asked.modes.size() - 1) * (of_engine + of_lane * asked.lanes);
  return limit > of_others ? limit - of_others : 0;
}

// What to do about a failed system call; empty where its error says it.
const char* advice_on(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "; free some space or choose another --dir";
    case EFBIG:
      return "; raise the limit on file sizes (ulimit -f) or use a smaller --size";
    case ENFILE:
      return "; raise fs.file-max or use fewer --lanes";
    default:
      return "";
  }
}

// Did it fail because this filesystem has no such operation (a punch on some of them)?
bool lacks_operation(const litmus::mode_result& mode) {
  return std::any_of(mode.histogram.begin(), mode.histogram.end(), [](const auto& entry) {
    const auto& seen = entry.second.first;
    return seen.what == litmus::outcome::error &&
           (seen.error == EOPNOTSUPP || seen.error == ENOSYS);
  });
}

std::string describe_failure(const litmus::mode_result& mode, const options& asked) {
  if (mode.count(litmus::outcome::hang) > 0) {
    return fmt::format(
        "{}: a round did not end within {}; if that is only slow, raise --round-timeout",
        mode.mode.name, format_duration(asked.round_timeout));
  }
  for (const auto& [label, line] : mode.histogram) {
    const auto& seen = line.first;
    if (seen.what != litmus::outcome::error) continue;
    std::string advice = advice_on(seen.error);
    if (seen.error == 0) advice = "; is the filesystem full?";
    if (seen.error == EINVAL && asked.direct)
      advice = "; --direct wants a --size that the device takes: 4096";
    if (advice.empty()) advice = "; see the report";
    return fmt::format("{}: {} failed in {}: {}{}", mode.mode.name, to_string(seen.failed),
                       asked.dir.string(),
                       seen.error == 0 ? "it took fewer bytes than it was given"
                                       : std::generic_category().message(seen.error),
                       advice);
  }
  return "";
}

}  // namespace

run_result run_test(const litmus::test& test, const options& asked,
                    std::shared_ptr<const run_settings> settings, const work_directory& directory,
                    const std::atomic<bool>& interrupt, progress& progress) {
  run_result run;
  run.asked = std::move(settings);
  run.test = test;
  run.host = inspect_host();
  run.filesystem = inspect_filesystem(directory.path());
  run.ring = probe_ring();
  const auto open_files = open_files_for_one(run.test, asked, raise_open_file_limit());

  // On the heap and not returned to it after a hang.
  auto contestants = std::make_unique<std::vector<contestant>>();
  for (const auto& mode : asked.modes) {
    contestants->push_back(make_contestant(test, mode, asked, directory, open_files, interrupt));
  }
  try {
    run_blocks(*contestants, asked, progress);
  } catch (const unsupported& error) {
    run.failure = error.what();
    run.cannot_run = true;
  } catch (const std::system_error& error) {
    run.failure = error.what() + std::string(advice_on(error.code().value()));
  } catch (const std::exception& error) {
    run.failure = error.what();
  }
  progress.clear();

  for (auto& contestant : *contestants) {
    if (contestant.session == nullptr) {
      auto& result = run.modes.emplace_back();
      result.mode = contestant.mode;
      result.cannot_run = contestant.cannot_run;
      continue;
    }
    run.modes.push_back(contestant.session->result());
    run.hangs = run.hangs || contestant.session->hangs();
    if (run.failure.empty()) {
      run.failure = describe_failure(run.modes.back(), asked);
      run.cannot_run = lacks_operation(run.modes.back());
    }
  }
  if (run.hangs) static_cast<void>(contestants.release());

  run.interrupted = interrupt.load();
  run.exit_status = exit_status_of(run);
  return run;
}

}  // namespace filemap
