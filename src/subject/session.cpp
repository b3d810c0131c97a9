// A session runs rounds (round.cpp) in batches: it makes the files of a batch, lets the lanes take
// one round after the other of it, and removes the files, all but the lanes outside the measured
// time.
//
//   run ─► round_files … ─► run_batch ─┬► run_lane ─► round::run ─► judge ─► account ─┐
//                                      ├► run_lane …                                  ├► remove
//                                      └► watch (gives a round up that takes too long)┘
//
// Nothing that fails on the way leaves `run`: it is noted in the result, and ends the session. What
// the kernel may still use then (a round that hangs, anything in flight when the engine itself has
// failed) is abandoned: it stays where it is, for ever.

#include "filemap/subject/session.hpp"

#include "filemap/coro/task_scope.hpp"
#include "filemap/io/run.hpp"
#include "filemap/litmus/experiment.hpp"

#include "round.hpp"
#include "tally.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <new>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

namespace filemap::litmus {

namespace {

// After an interrupt, with what is in flight, and with looking at what has ended.
constexpr std::chrono::milliseconds patience{500};

}  // namespace

std::uint64_t mode_result::violation_count() const noexcept {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    if (is_violation(static_cast<outcome>(i))) sum += outcomes[i];
  }
  return sum;
}

std::vector<const final_state*> mode_result::states_not_seen() const {
  std::vector<const final_state*> not_seen;
  if (!model) return not_seen;
  for (const auto& allowed : model->allowed) {
    // What is allowed as it is has not shown that a mixture, which it matches too, can be.
    const bool shown = std::any_of(states.begin(), states.end(), [&](const auto& entry) {
      return model->allowed.contains(entry.first) ? entry.first == allowed
                                                  : allows({allowed}, entry.first);
    });
    if (!shown) not_seen.push_back(&allowed);
  }
  return not_seen;
}

std::uint64_t mode_result::unexpected_count() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& [state, line] : states) {
    if (line.judged && !line.allowed) sum += line.rounds;
  }
  return sum;
}

struct session::shared {
  round_setup setup;
  tally sum;
  patterns bytes;                 // of the rounds whose files are being made
  std::vector<round_files> kept;  // with reuse_file: one a lane
};

struct session::lane {
  explicit lane(const round_setup& setup) : round(setup) {}

  litmus::round round;
  observation seen;
  instant started;
  nanoseconds watched{0};  // of its batch, when it started
  bool running = false;
};

// Rounds whose files exist, and the lanes that take them.
struct session::batch {
  std::vector<round_files> fresh;  // of this batch alone
  std::span<round_files> files;
  std::uint64_t rounds = 0;  // to run
  std::uint64_t begun = 0;
  std::optional<task<>> root;
  perform* tick = nullptr;  // the watch's sleep
  nanoseconds watched{0};   // for how long the watch has been running
  nanoseconds landing{-1};  // `watched` when what the rounds left in flight began to be waited for
  bool over = false;
  batch* abandoned_before = nullptr;  // keeps what is abandoned reachable, as it is no leak
};

session::session(engine& engine, const test& test, const mode& mode, std::filesystem::path dir,
                 const session_options& options)
    : engine_(engine), options_(options) {
  std::shared_ptr<const model_result> judging;
  if (!checks_itself(test)) {
    auto how = options.model;
    how.interrupt = options.interrupt;
    result_.model = model(test, mode, how);
    judging = std::make_shared<const model_result>(*result_.model);
    result_.reachable = !judging->complete || counted(test, judging->allowed) > 0;
  }
  shared_.reset(new shared{
      {engine, test, mode, std::move(dir), std::move(judging), options.direct, options.reuse_file},
      tally(result_, test, options_.traces),
      patterns(test),
      {}});
  batch_size();  // or there is no use in opening anything
  result_.mode = mode;
  result_.engine = engine_.traits();
  for (std::size_t i = 0; i < options_.lanes; ++i) {
    lanes_.push_back(std::make_unique<lane>(shared_->setup));
  }
  if (options_.reuse_file) {
    for (std::size_t i = 0; i < options_.lanes; ++i) {
      shared_->kept.emplace_back(shared_->setup, i, shared_->bytes);
    }
  }
}

session::~session() = default;

bool session::interrupted() const noexcept {
  return options_.interrupt != nullptr && options_.interrupt->load();
}

bool session::finished() const noexcept {
  return failed_ || abandoned_ || interrupted() ||
         (options_.stop_on_violation && result_.violation_count() > 0);
}

bool session::has_waited_enough() noexcept {
  if (!interrupted()) return false;
  const auto now = clock::now();
  if (!interrupted_since_) interrupted_since_ = now;
  return now - *interrupted_since_ > patience;
}

// No time is too short for one round, of which `done` says how many there have been.
bool session::over(std::uint64_t done) const noexcept {
  return finished() || (done > 0 && clock::now() >= deadline_);
}

// As many files at once as the limit on open ones lets us, within reason.
std::size_t session::batch_size() const {
  constexpr std::uint64_t reserve = 64;  // what else the process has open
  constexpr std::uint64_t most = 256;
  const auto& test = shared_->setup.test;
  const auto of_edges = test.edges.size() * options_.lanes;
  const auto a_file = std::max<std::size_t>(1, test.handles.size());
  const auto needed = reserve + of_edges + a_file * options_.lanes;
  if (needed > options_.max_open_files) {
    throw std::system_error(EMFILE, std::generic_category(),
                            std::to_string(options_.lanes) + " lanes need about " +
                                std::to_string(needed) + " open files, RLIMIT_NOFILE leaves " +
                                std::to_string(options_.max_open_files));
  }
  const auto fit = (options_.max_open_files - reserve - of_edges) / a_file;
  return std::max<std::uint64_t>(options_.lanes, std::min(fit, most));
}

void session::run(std::uint64_t rounds, nanoseconds at_most) noexcept {
  try {
    const auto now = clock::now();
    deadline_ = at_most < instant::max() - now ? now + at_most : instant::max();
    while (rounds > 0 && !over(next_round_)) rounds -= run_next(rounds);
    shared_->sum.summarise();
  } catch (...) {
    fail(std::current_exception());
  }
}

// A batch of at most `rounds`; how many have begun.
std::uint64_t session::run_next(std::uint64_t rounds) {
  auto next = std::make_unique<batch>();
  next->rounds = std::min<std::uint64_t>(rounds, batch_size());
  make_files(*next);
  next->root = run_batch(*next);
  const auto begin = clock::now();
  try {
    drive(*next);
  } catch (...) {
    abandoned_ = true;
    fail(std::current_exception());
  }
  result_.measured += std::max(clock::now() - begin, clock::duration{0});
  const auto begun = next->begun;
  if (abandoned_) {
    for (auto& files : next->fresh) files.remove_names();
    static batch* last = nullptr;
    next->abandoned_before = std::exchange(last, next.get());
    static_cast<void>(next.release());
    return begun;
  }
  next->root->result();
  return begun;
}

// Fewer than there are rounds to run when time or patience ends.
void session::make_files(batch& batch) {
  if (options_.reuse_file) {
    batch.files = shared_->kept;
    return;
  }
  batch.fresh.reserve(batch.rounds);
  for (std::uint64_t i = 0; i < batch.rounds && !over(next_round_ + i); ++i) {
    shared_->setup.judge->draw(shared_->bytes, options_.seed, next_round_ + i);
    batch.fresh.emplace_back(shared_->setup, i, shared_->bytes);
  }
  batch.rounds = batch.fresh.size();
  batch.files = batch.fresh;
}

void session::drive(batch& batch) {
  batch.root->start();
  while (!abandoned_ && (!batch.root->done() || engine_.in_flight() > 0)) turn(engine_);
}

task<> session::run_batch(batch& batch) {
  using namespace std::chrono_literals;
  task_scope watch_scope;
  watch_scope.spawn(watch(batch));
  std::exception_ptr thrown;
  try {
    co_await run_lanes(batch);
  } catch (...) {
    thrown = std::current_exception();
  }
  // What a round that was thrown out of has left in flight must end before its files go. The watch
  // is in flight too, and gives up what does not end.
  batch.landing = batch.watched;
  while (engine_.in_flight() > 1) {
    perform pause{engine_, io_request::sleep(1ms)};
    static_cast<void>(co_await pause);
  }
  batch.over = true;
  if (batch.tick != nullptr) engine_.cancel(*batch.tick);
  co_await watch_scope.join();
  if (thrown) std::rethrow_exception(thrown);
}

task<> session::run_lanes(batch& batch) {
  task_scope lanes;
  std::exception_ptr thrown;
  try {
    for (std::size_t i = 0; i < lanes_.size(); ++i) lanes.spawn(run_lane(i, batch));
  } catch (...) {  // there is no memory for another
    thrown = std::current_exception();
    failed_ = true;  // the lanes that there are begin no other round
  }
  co_await lanes.join();
  if (thrown) std::rethrow_exception(thrown);
}

task<> session::run_lane(std::size_t index, batch& batch) {
  try {
    co_await run_rounds(index, batch);
  } catch (...) {
    lanes_[index]->running = false;
    failed_ = true;  // the others begin no other round
    throw;
  }
}

// Files and rounds are begun in the same order, so a round's bytes are those its files were made
// with.
task<> session::run_rounds(std::size_t index, batch& batch) {
  auto& lane = *lanes_[index];
  while (batch.begun < batch.rounds && !over(next_round_)) {
    const auto turn = batch.begun++;
    auto& files = batch.files[options_.reuse_file ? index : turn];
    lane.round.begin(next_round_++, options_.seed);
    if (options_.reuse_file) files.reset(lane.round.bytes());
    lane.started = clock::now();
    lane.watched = batch.watched;
    lane.running = true;
    co_await lane.round.run(files);
    lane.running = false;
    if (has_waited_enough()) co_return;  // to look at what all lanes have may take seconds
    judge(lane);
    account(lane);
  }
}

// Only time in which the watch itself was running counts: a process that was stopped, or a machine
// that was, is no hang. Of the time between two ticks that is at most twice what it should be.
task<> session::watch(batch& batch) {
  using namespace std::chrono_literals;
  const auto period = std::clamp<nanoseconds>(options_.round_timeout / 4, 1ms, 250ms);
  auto last = clock::now();
  std::optional<nanoseconds> interrupted_at;
  while (!batch.over) {
    perform tick{engine_, io_request::sleep(period)};
    batch.tick = &tick;
    const auto slept = co_await tick;
    batch.tick = nullptr;
    if (!slept.ok()) continue;  // cancelled: the batch is over
    const auto now = clock::now();
    batch.watched += std::clamp<nanoseconds>(now - std::exchange(last, now), 0ns, 2 * period);
    if (interrupted() && !interrupted_at) interrupted_at = batch.watched;
    if (interrupted_at && batch.watched - *interrupted_at > patience) abandoned_ = true;
    if (batch.landing >= 0ns && batch.watched - batch.landing > options_.round_timeout) {
      abandoned_ = true;
    }
    for (const auto& lane : lanes_) {
      if (takes_too_long(batch, *lane, now)) give_up(*lane);
    }
  }
}

bool session::takes_too_long(const batch& batch, const lane& lane, instant now) const noexcept {
  return lane.running && now - lane.started > options_.round_timeout &&
         batch.watched - lane.watched > options_.round_timeout;
}

// With what the condition asks about, and with what the model allows. A round in which the
// environment has failed is no outcome of the test.
void session::judge(lane& lane) {
  const auto judged = lane.round.judged();
  lane.seen = shared_->setup.checks ? judged.failure.value_or(lane.round.seen())
                                    : shared_->sum.count_state(judged);
  shared_->sum.look_for_overtaking(ended(lane));
}

void session::account(const lane& lane) {
  shared_->sum.add(ended(lane));
  if (lane.seen.what == outcome::error) failed_ = true;
}

ended_round session::ended(const lane& lane) {
  return {lane.round.number(), lane.started, lane.round.steps(), lane.seen};
}

void session::give_up(lane& lane) {
  abandoned_ = true;
  lane.running = false;
  lane.seen = {};
  lane.seen.what = outcome::hang;
  account(lane);
}

// The first failure is the one that tells.
void session::fail(const std::exception_ptr& thrown) noexcept {
  failed_ = true;
  if (!result_.cannot_run.empty() || !result_.failure.what.empty()) return;
  try {
    note(thrown);
  } catch (...) {  // also where there is no memory for the words: for so few it takes none
    result_.failure = {"out of memory", ENOMEM};
  }
}

void session::note(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const unsupported& error) {
    result_.cannot_run = error.what();
  } catch (const std::system_error& error) {
    result_.failure = {error.what(), error.code().value()};
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    result_.failure = {error.what(), 0};
  }
}

}  // namespace filemap::litmus
