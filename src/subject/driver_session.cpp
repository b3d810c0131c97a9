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
      dir_(std::move(dir)) {
  result_.mode = mode;
  const auto& claims = driver.claims();
  result_.engine = claims.traits();
  if (options.reuse_file)
    throw unsupported("a driver's rounds have fresh files; leave --reuse-file out");
  driver_protocol::check(dir_);
  if (const auto lack = claims.lack_for(test_, options.direct)) throw unsupported(*lack);
  auto told = test_;
  for (auto& handle : told.handles) handle.direct = handle.direct || options.direct;
  auto how = options.model;
  how.interrupt = options.interrupt;
  result_.model = model(test, mode, how);
  const auto judging = std::make_shared<const model_result>(*result_.model);
  result_.reachable = !judging->complete || counted(test_, judging->allowed) > 0;
  rounds_ = std::make_unique<driven_rounds>(test_, mode, claims, judging, options.direct, dir_);
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
  rounds_->draw(options_.seed, next_round_);
  for (std::size_t i = 0; i < count; ++i) {
    batch.files.emplace_back(test_, batch.directory, i).make(rounds_->bytes());
  }

  std::vector<driven_round> rounds;
  const auto begun = clock::now();
  auto end = driver_.run(count, path, rounds_->bytes(), rounds);
  result_.measured += std::max(clock::now() - begun, clock::duration{0});
  if (end == driver::batch_end::done) end = driver_.land(path);
  if (end == driver::batch_end::interrupted) return count;  // what has been told is not all there
  // Of a round that was told before the one that hangs it is not known whether its files are final.
  if (end == driver::batch_end::done || !rounds_->looks_at_files()) {
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
  const auto judged = rounds_->judged(round, batch.files[round.number]);
  const auto steps = rounds_->steps_of(round);
  const ended_round ended{.number = next_round_ + round.number,
                          .start = round.begun,
                          .steps = steps,
                          .seen = sum_->count_state(judged)};
  if (ended.seen.what == outcome::ok && may_have_overtaken(steps)) ++result_.hazards.unknown;
  if (ended.seen.what == outcome::error) failed_ = true;
  sum_->add(ended);
}

// A write that was acknowledged early, and behind it, by the program, what it conflicts with.
bool driver_session::may_have_overtaken(std::span<const step> steps) const {
  if (!result_.mode.acknowledges_early()) return false;
  return std::any_of(steps.begin(), steps.end(), [&](const step& earlier) {
    return is_write(earlier.what.what) &&
           std::any_of(steps.begin(), steps.end(), [&](const step& later) {
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
