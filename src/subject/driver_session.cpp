// Rounds in batches: files ─► driver ─► barrier ─► what there is then ─► judged one by one.

#include "driver_session.hpp"

#include <algorithm>
#include <cerrno>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace filemap::litmus {

namespace {

// Rounds whose files are there at once.
constexpr std::size_t largest_batch = 500;

void merge_into(vector_clock& clock, const vector_clock& other) noexcept {
  for (std::size_t i = 0; i < clock.size(); ++i) clock[i] = std::max(clock[i], other[i]);
}

// What each step has behind it, by the program. A `wait` has all notifications of its edge that
// began before it ended: by the test there is one alone, in almost every one.
void order(const test& test, std::vector<step>& steps) {
  std::vector<std::size_t> first;  // by process
  std::size_t all = 0;
  for (const auto& process : test.processes) {
    first.push_back(all);
    all += process.body.size();
  }
  std::vector<std::size_t> at(test.processes.size(), 0);
  const auto step_of = [&](std::size_t process) -> step* {
    const bool ended = at[process] == test.processes[process].body.size();
    return ended ? nullptr : &steps[first[process] + at[process]];
  };
  const auto is_before = [](const step& notify, const step& wait) {
    return notify.what.what == verb::notify && notify.what.operand == wait.what.operand &&
           notify.called < wait.returned;
  };
  const auto is_ready = [&](const step& wait) {
    for (std::size_t p = 0; p < test.processes.size(); ++p) {
      for (std::size_t i = at[p]; i < test.processes[p].body.size(); ++i) {
        if (is_before(steps[first[p] + i], wait)) return false;
      }
    }
    return true;
  };
  std::vector<vector_clock> clocks(test.processes.size());
  const auto take = [&](std::size_t process, step& one) {
    if (one.what.what == verb::wait) {
      for (std::size_t p = 0; p < test.processes.size(); ++p) {
        for (std::size_t i = 0; i < at[p]; ++i) {
          const auto& notify = steps[first[p] + i];
          if (is_before(notify, one)) merge_into(clocks[process], notify.clock);
        }
      }
    }
    ++clocks[process][process];
    one.clock = clocks[process];
    ++at[process];
  };
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t p = 0; p < test.processes.size(); ++p) {
      for (auto* one = step_of(p); one != nullptr; one = step_of(p)) {
        if (one->what.what == verb::wait && !is_ready(*one)) break;
        take(p, *one);
        moved = true;
      }
    }
    if (moved) continue;
    // By such times one has waited for what came later: a clock that lies.
    for (std::size_t p = 0; p < test.processes.size() && !moved; ++p) {
      if (auto* const one = step_of(p)) {
        take(p, *one);
        moved = true;
      }
    }
  }
}

}  // namespace

struct driver_session::batch {
  explicit batch(const std::filesystem::path& path) : directory(path) {}

  round_directory directory;
  std::vector<named_files> files;
};

driver_session::driver_session(driver& driver, const test& test, const mode& mode,
                               std::filesystem::path dir, const session_options& options)
    : driver_(driver),
      options_(options),
      test_(mode.flush ? with_flush(test) : test),
      dir_(std::move(dir)),
      observed_(observed_by(test_)),
      bytes_(test_),
      evidence_(test_) {
  result_.mode = mode;
  const auto& claims = driver.claims();
  result_.engine.name = fmt::format("{} {}", claims.runtime, claims.version);
  result_.engine.features = claims.words;
  if (options.reuse_file)
    throw unsupported("a driver's rounds have fresh files; leave --reuse-file out");
  if (const auto lack = claims.lack_for(test_, options.direct)) throw unsupported(*lack);
  auto told = test_;
  for (auto& handle : told.handles) handle.direct = handle.direct || options.direct;
  auto how = options.model;
  how.interrupt = options.interrupt;
  result_.model = model(test, mode, how);
  const auto judging = std::make_shared<const model_result>(*result_.model);
  result_.reachable = !judging->complete || counted(test_, judging->allowed) > 0;
  judge_ = std::make_unique<judge>(test_, judging);
  sum_ = std::make_unique<tally>(result_, test_, options.traces);
  driver.begin(told);
}

bool driver_session::interrupted() const noexcept {
  return options_.interrupt != nullptr && options_.interrupt->load();
}

bool driver_session::finished() const noexcept {
  return failed_ || interrupted() || hangs() ||
         (options_.stop_on_violation && result_.violation_count() > 0);
}

void driver_session::run(std::uint64_t rounds, nanoseconds at_most) noexcept {
  try {
    const auto now = clock::now();
    const auto deadline = at_most < instant::max() - now ? now + at_most : instant::max();
    while (rounds > 0 && !finished() && (next_round_ == 0 || clock::now() < deadline)) {
      rounds -= run_batch(static_cast<std::size_t>(std::min<std::uint64_t>(rounds, largest_batch)));
    }
    sum_->summarise();
  } catch (...) {
    fail();
  }
}

// How many rounds it was of.
std::uint64_t driver_session::run_batch(std::size_t count) {
  const auto path = dir_ / std::to_string(next_round_);
  std::filesystem::create_directory(path);
  batch batch(path);
  judge_->draw(bytes_, options_.seed, next_round_);
  for (std::size_t i = 0; i < count; ++i) {
    batch.files.emplace_back(test_, batch.directory, i).make(bytes_);
  }

  std::vector<driven_round> rounds;
  const auto begun = clock::now();
  auto end = driver_.run(count, path, bytes_, rounds);
  result_.measured += std::max(clock::now() - begun, clock::duration{0});
  if (end == driver::batch_end::done) end = driver_.land(path);
  if (end == driver::batch_end::interrupted) return count;  // what has been told is not all there
  const bool looks_at_files = std::any_of(observed_.files.begin(), observed_.files.end(),
                                          [](const auto& seen) { return seen.size || seen.data; });
  // Of a round that was told before the one that hangs it is not known whether its files are final.
  if (end == driver::batch_end::done || !looks_at_files) {
    for (const auto& round : rounds) {
      if (finished()) break;
      account(batch, round);
    }
  }
  if (end == driver::batch_end::hang) {
    observation hang;
    hang.what = outcome::hang;
    sum_->add({.number = next_round_ + rounds.size(), .start = begun, .steps = {}, .seen = hang});
  } else {
    remove(batch);
  }
  next_round_ += count;
  return count;
}

// The names that are in the test; whatever else there is the driver has made.
void driver_session::remove(batch& batch) {
  for (auto& files : batch.files) files.remove();
  std::error_code error;
  if (std::filesystem::remove(batch.directory.path, error)) return;
  for (const auto& left : std::filesystem::directory_iterator(batch.directory.path)) {
    throw driver_.failure(fmt::format("it leaves {} behind", left.path().string()));
  }
  throw std::system_error(error, batch.directory.path.string());
}

void driver_session::account(const batch& batch, const driven_round& round) {
  std::size_t number = 0;
  for (std::size_t p = 0; p < test_.processes.size(); ++p) {
    for (std::size_t at = 0; at < test_.processes[p].body.size(); ++at, ++number) {
      const auto& value = round.values[number];
      evidence_.note(observed_, test_.processes[p].body[at], p, at,
                     {true, value.res, value.size, value.data});
    }
  }
  for (std::size_t i = 0; i < test_.files.size(); ++i) {
    const auto& seen = observed_.files[i];
    if (seen.size || seen.data) batch.files[round.number].look(i, seen, evidence_.files[i]);
  }
  const auto judged = judge_->of(evidence_, bytes_);
  if (judged.failure) refuse_what_is_missing(*judged.failure, test_, options_.direct, dir_);
  ended_round ended{.number = next_round_ + round.number,
                    .start = round.begun,
                    .steps = steps_of(round),
                    .seen = sum_->count_state(judged)};
  if (ended.seen.what == outcome::ok && may_have_overtaken()) ++result_.hazards.unknown;
  if (ended.seen.what == outcome::error) failed_ = true;
  sum_->add(ended);
}

const std::vector<step>& driver_session::steps_of(const driven_round& round) {
  steps_.clear();
  std::size_t number = 0;
  for (std::size_t p = 0; p < test_.processes.size(); ++p) {
    for (const auto& statement : test_.processes[p].body) {
      const auto& call = round.calls[number];
      const auto& value = round.values[number++];
      auto& step = steps_.emplace_back();
      step.process = static_cast<std::uint8_t>(p);
      step.what = instruction_of(statement, result_.mode);
      step.called = call.begun;
      step.returned = call.ended;
      step.size = value.size;
      if (!is_file_operation(statement.what)) continue;
      step.as_called = true;
      step.io.submitted = call.begun;
      step.io.returned = call.ended;
      step.io.res = value.res;
    }
  }
  order(test_, steps_);
  return steps_;
}

// A write that was acknowledged early, and behind it, by the program, what it conflicts with.
bool driver_session::may_have_overtaken() {
  if (result_.mode.when == acknowledgement::complete) return false;
  return std::any_of(steps_.begin(), steps_.end(), [&](const step& earlier) {
    return is_write(earlier.what.what) &&
           std::any_of(steps_.begin(), steps_.end(), [&](const step& later) {
             return is_file_operation(later.what.what) && earlier.happens_before(later) &&
                    sum_->conflict()(later.what, earlier.what);
           });
  });
}

void driver_session::fail() noexcept {
  failed_ = true;
  if (!result_.cannot_run.empty() || !result_.failure.what.empty()) return;
  try {
    try {
      sum_->summarise();
      throw;
    } catch (const unsupported& error) {
      result_.cannot_run = error.what();
    } catch (const driver_failed& error) {
      result_.cannot_run = error.what();
    } catch (const std::system_error& error) {
      result_.failure = {error.what(), error.code().value()};
    }
  } catch (const std::bad_alloc&) {
    result_.failure = {"out of memory", ENOMEM};
  } catch (const std::exception& error) {
    result_.failure = {error.what(), 0};
  } catch (...) {
    result_.failure = {"something failed", 0};
  }
}

}  // namespace filemap::litmus
