// A session runs rounds (round.cpp) in batches: it makes the files of a batch, lets the lanes take
// one round after the other of it, and removes the files, all but the lanes outside the measured
// time.
//
//   run ─► round_files … ─► run_batch ─┬► run_lane ─► round::run ─► judge ─► account ─┐
//                                      ├► run_lane …                                  ├► remove
//                                      └► watch (gives a round up that takes too long)┘

#include "filemap/subject/session.hpp"

#include "filemap/coro/task_scope.hpp"
#include "filemap/io/run.hpp"

#include "round.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <set>
#include <span>
#include <system_error>
#include <utility>

namespace filemap::litmus {

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
    if (!line.allowed && model->complete) sum += line.rounds;
  }
  return sum;
}

struct session::shared {
  round_setup setup;
  patterns bytes;                 // of the rounds whose files are being made
  std::vector<round_files> kept;  // with reuse_file: one a lane
};

struct session::lane {
  explicit lane(const round_setup& setup) : round(setup) {}

  litmus::round round;
  observation seen;
  instant started;
  bool running = false;
};

// Rounds whose files exist, and the lanes that take them.
struct session::batch {
  std::span<round_files> files;
  std::uint64_t rounds = 0;  // to run
  std::uint64_t begun = 0;
  perform* tick = nullptr;  // the watch's sleep
  bool over = false;
};

session::session(engine& engine, const test& test, const mode& mode, std::filesystem::path dir,
                 const session_options& options)
    : engine_(engine), options_(options) {
  shared_.reset(new shared{{engine, test, mode, std::move(dir), options.direct, options.reuse_file},
                           patterns(test),
                           {}});
  batch_size();  // or there is no use in opening anything
  result_.mode = mode;
  result_.engine = engine_.traits();
  if (!shared_->setup.checks) {
    result_.model = model(test, mode, options.model);
    const auto& allowed = result_.model->allowed;
    result_.reachable = !result_.model->complete ||
                        std::any_of(allowed.begin(), allowed.end(), [&](const auto& state) {
                          return counts(test.condition, state);
                        });
  }
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

bool session::finished() const noexcept {
  return failed_ || hangs() || (options_.interrupt != nullptr && options_.interrupt->load()) ||
         (options_.stop_on_violation && result_.violation_count() > 0);
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
                            "--lanes " + std::to_string(options_.lanes) + " needs about " +
                                std::to_string(needed) + " open files, RLIMIT_NOFILE leaves " +
                                std::to_string(options_.max_open_files) + "; raise it (ulimit -n)" +
                                (options_.lanes > 1 ? " or use fewer lanes" : ""));
  }
  const auto fit = (options_.max_open_files - reserve - of_edges) / a_file;
  return std::max<std::uint64_t>(options_.lanes, std::min(fit, most));
}

void session::run(std::uint64_t rounds) {
  const auto size = batch_size();
  while (rounds > 0 && !finished()) {
    batch batch;
    batch.rounds = std::min<std::uint64_t>(rounds, size);
    std::vector<round_files> fresh;
    if (!options_.reuse_file) {
      fresh.reserve(batch.rounds);
      for (std::uint64_t i = 0; i < batch.rounds; ++i) {
        shared_->bytes.fill(options_.seed, next_round_ + i);
        fresh.emplace_back(shared_->setup, i, shared_->bytes);
      }
    }
    batch.files = options_.reuse_file ? std::span(shared_->kept) : std::span(fresh);

    const auto begin = clock::now();
    auto root = run_batch(batch);
    root.start();
    while (!root.done() && !hangs()) turn(engine_);
    result_.measured += clock::now() - begin;
    rounds -= std::min(rounds, batch.begun);

    if (hangs()) {
      for (auto& files : fresh) files.remove_names();
      // The kernel may still use all of this, for ever. It stays reachable, as it is no leak.
      struct hung_batch {
        std::vector<round_files> files;
        task<> root;
        hung_batch* before;
      };
      static hung_batch* last = nullptr;
      last = new hung_batch{std::move(fresh), std::move(root), last};
      return;
    }
    root.result();
    while (engine_.in_flight() > 0) turn(engine_);
  }
}

task<> session::run_batch(batch& batch) {
  task_scope watch_scope;
  watch_scope.spawn(watch(batch));
  task_scope lanes;
  for (std::size_t i = 0; i < lanes_.size(); ++i) lanes.spawn(run_lane(i, batch));
  std::exception_ptr thrown;
  try {
    co_await lanes.join();
  } catch (...) {
    thrown = std::current_exception();
  }
  batch.over = true;
  if (batch.tick != nullptr) engine_.cancel(*batch.tick);
  co_await watch_scope.join();
  if (thrown) std::rethrow_exception(thrown);
}

// Files and rounds are begun in the same order, so a round's bytes are those its files were made
// with.
task<> session::run_lane(std::size_t index, batch& batch) {
  auto& lane = *lanes_[index];
  while (batch.begun < batch.rounds && !finished()) {
    const auto turn = batch.begun++;
    auto& files = batch.files[options_.reuse_file ? index : turn];
    lane.round.begin(next_round_++, options_.seed);
    if (options_.reuse_file) files.reset(lane.round.bytes());
    lane.started = clock::now();
    lane.running = true;
    co_await lane.round.run(files);
    lane.running = false;
    lane.seen = lane.round.seen();
    if (!shared_->setup.checks && lane.seen.what == outcome::ok) compare(lane);
    judge(lane);
    account(lane);
  }
}

task<> session::watch(batch& batch) {
  using namespace std::chrono_literals;
  const auto period = std::clamp<nanoseconds>(options_.round_timeout / 4, 1ms, 250ms);
  while (!batch.over) {
    perform tick{engine_, io_request::sleep(period)};
    batch.tick = &tick;
    const auto slept = co_await tick;
    batch.tick = nullptr;
    if (!slept.ok()) continue;  // cancelled: the batch is over
    const auto now = clock::now();
    for (const auto& lane : lanes_) {
      if (lane->running && now - lane->started > options_.round_timeout) give_up(*lane);
    }
  }
}

// With what the condition asks about, and with what the model allows.
void session::compare(lane& lane) {
  const auto& state = lane.round.state();
  const auto [found, is_new] = result_.states.try_emplace(state);
  auto& line = found->second;
  if (is_new) {
    line.counts = counts(shared_->setup.test.condition, state);
    line.allowed = allows(result_.model->allowed, state);
  }
  ++line.rounds;
  if (line.counts) lane.seen.what = outcome::witness;
}

void session::judge(const lane& lane) {
  if (lane.seen.what != outcome::ok) return;
  std::set<std::pair<verb, verb>> pairs;  // one append of several may be enough for a round
  bool unknown = false;
  each_overtaking(lane.round.steps(),
                  [&](const step& later, const step& earlier, overtaking verdict) {
                    unknown = unknown || verdict == overtaking::unknown;
                    if (verdict == overtaking::yes) {
                      pairs.insert({later.what.what, earlier.what.what});
                    }
                  });
  for (const auto& pair : pairs) ++result_.hazards.pairs[pair];
  if (!pairs.empty()) {
    ++result_.hazards.rounds;
    if (result_.hazardous.empty()) result_.hazardous.push_back(trace_of(lane));
  } else if (unknown) {
    ++result_.hazards.unknown;
  }
}

void session::account(const lane& lane) {
  const auto& seen = lane.seen;
  ++result_.rounds;
  ++result_.outcomes[static_cast<std::size_t>(seen.what)];
  auto& line = result_.histogram[seen.label()];
  if (line.rounds++ == 0) line.first = seen;
  if (seen.what == outcome::error) failed_ = true;
  if (is_violation(seen.what) && result_.violations.size() < options_.traces) {
    result_.violations.push_back(trace_of(lane));
  }
  for (const auto& step : lane.round.steps()) {
    const auto what = step.what.what;
    if (!is_file_operation(what) && what != verb::flush) continue;
    if (step.returned == instant{}) continue;  // what a hang is about
    const auto returned = step.batched ? step.io.returned : step.returned;
    result_.latency[static_cast<std::size_t>(what)].record(returned - step.called);
    if (what == verb::append && step.io.complete()) {
      result_.append_executed.record(step.io.returned - step.io.submitted);
    }
  }
}

round_trace session::trace_of(const lane& lane) {
  const auto steps = lane.round.steps();
  return {lane.round.number(), lane.seen, lane.started, {steps.begin(), steps.end()}};
}

void session::give_up(lane& lane) {
  lane.running = false;
  lane.seen = {};
  lane.seen.what = outcome::hang;
  account(lane);
}

}  // namespace filemap::litmus
