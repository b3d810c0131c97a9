#pragma once

#include "filemap/base/stats.hpp"
#include "filemap/io/engine.hpp"
#include "filemap/litmus/mode.hpp"
#include "filemap/litmus/test.hpp"
#include "filemap/model/model.hpp"
#include "filemap/subject/outcome.hpp"
#include "filemap/subject/step.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#pragma GCC visibility push(default)

namespace filemap::litmus {

/// Rounds in which nothing wrong was seen although an operation had overtaken another: luck, not
/// order.
struct hazards {
  std::uint64_t rounds = 0;
  std::uint64_t unknown = 0;  ///< rounds of which it cannot be known
  /// "fsync began before append had returned", and in how many rounds.
  std::map<std::pair<verb, verb>, std::uint64_t> pairs;  // {later, earlier}
};

/// How often a final state of a test was seen.
struct state_line {
  std::uint64_t rounds = 0;
  bool counts = false;   ///< the test's condition asks about it
  bool allowed = false;  ///< the model has it
  bool judged = true;    ///< false: the model cannot say
};

/// What ended a mode's rounds early, and is no operation's result: files that could not be made,
/// the engine itself, memory.
struct run_failure {
  std::string what;  ///< one line; empty: nothing
  int error = 0;     ///< the errno behind it, or 0
};

struct histogram_line {
  std::uint64_t rounds = 0;
  observation first;
};

/// All that is known of a mode after its rounds. Every report is a function of this.
struct mode_result {
  litmus::mode mode;
  engine_traits engine;
  std::string cannot_run;  ///< why this kernel or filesystem cannot run the mode; else empty
  run_failure failure;     ///< rounds that had ended before it count

  std::uint64_t rounds = 0;
  nanoseconds measured{0};  ///< wall time of the rounds, without making and removing their files
  std::array<std::uint64_t, outcome_count> outcomes{};
  std::map<std::string, histogram_line> histogram;  ///< by `observation::label`
  // Of a test with a condition; empty for the experiment, whose rounds check themselves.
  std::map<final_state, state_line> states;
  std::optional<model_result> model;  ///< what the mode allows
  bool reachable = false;             ///< the model has a state that the condition asks about
  litmus::hazards hazards;
  /// From the call to its return, as the program sees it, for each verb that was an operation.
  std::map<verb, latency_summary> latency;
  /// From submission to return, for appends: with `latency` it shows an early acknowledgement.
  latency_summary append_executed;
  std::vector<round_trace> violations;  ///< the first few
  std::vector<round_trace> hazardous;   ///< the first one with an operation that had overtaken

  std::uint64_t violation_count() const noexcept;
  bool allows_violations() const noexcept { return model ? reachable : mode.allows_stale_reads(); }
  /// Rounds that ended in a state that the model does not have: the kernel, the engine or the model
  /// is wrong. None where the model's search was not complete.
  std::uint64_t unexpected_count() const noexcept;
  /// The states of the model that no round has shown, which point into `model`.
  std::vector<const final_state*> states_not_seen() const;
  std::uint64_t count(outcome outcome) const noexcept {
    return outcomes[static_cast<std::size_t>(outcome)];
  }
};

/// How rounds are run: what is the same for all modes.
struct session_options {
  std::size_t lanes = 1;  ///< rounds in flight at once
  bool reuse_file =
      false;               ///< one file a lane, truncated before each round, instead of a fresh one
  bool direct = false;     ///< O_DIRECT
  std::uint64_t seed = 0;  ///< of the bytes written
  std::chrono::milliseconds round_timeout{10'000};
  bool stop_on_violation = false;
  model_options model = {};             ///< of what the outcomes are compared with
  std::size_t traces = 1;               ///< violating rounds whose steps are kept
  std::uint64_t max_open_files = 1024;  ///< what RLIMIT_NOFILE allows
  /// When it becomes true no new round begins, and those that do not end within half a second are
  /// abandoned.
  const std::atomic<bool>* interrupt = nullptr;
};

struct ended_round;

/// Whoever runs rounds of one test in one mode, and adds them up.
class runner {
 public:
  runner() = default;
  runner(const runner&) = delete;
  runner& operator=(const runner&) = delete;
  virtual ~runner() = default;

  /// Runs `rounds` more, or fewer when `finished()` becomes true or `at_most` has passed, if that
  /// is not before the first round. What fails on the way is a result as well:
  /// `mode_result::failure`, or `cannot_run`.
  virtual void run(std::uint64_t rounds, nanoseconds at_most) noexcept = 0;

  /// Nothing more can or should be run: it was interrupted, a violation was to stop it, something
  /// failed, or a round hangs.
  virtual bool finished() const noexcept = 0;

  /// Something of a round is still in flight: after a hang, an interrupt that a round did not obey,
  /// or a failure of the engine. What it waits for may never come, so the runner and its engine
  /// must not be destroyed: report and end the process.
  virtual bool abandoned() const noexcept = 0;

  virtual const mode_result& result() const noexcept = 0;

  /// A round did not end within `round_timeout`, counted while the process was running.
  bool hangs() const noexcept { return result().count(outcome::hang) > 0; }
};

/// Runs rounds on an engine.
///
/// A round is independent of the others: it has files of its own and a task for each process, and
/// `lanes` of them share the engine. Files are made and removed between batches, outside the
/// measured time.
class session final : public runner {
 public:
  /// `dir` is an existing directory that belongs to the session. Throws std::system_error, or
  /// `unsupported` when the filesystem there does not take O_DIRECT.
  session(engine& engine, const test& test, const mode& mode, std::filesystem::path dir,
          const session_options& options);
  ~session() override;

  void run(std::uint64_t rounds, nanoseconds at_most = nanoseconds::max()) noexcept override;
  bool finished() const noexcept override;
  bool abandoned() const noexcept override { return abandoned_; }
  const mode_result& result() const noexcept override { return result_; }

 private:
  struct shared;
  struct lane;
  struct batch;

  std::size_t batch_size() const;
  bool interrupted() const noexcept;
  bool has_waited_enough() noexcept;
  bool over(std::uint64_t done) const noexcept;
  std::uint64_t run_next(std::uint64_t rounds);
  void make_files(batch& batch);
  void drive(batch& batch);
  task<> run_batch(batch& batch);
  task<> run_lanes(batch& batch);
  task<> run_lane(std::size_t index, batch& batch);
  task<> run_rounds(std::size_t index, batch& batch);
  task<> watch(batch& batch);
  bool takes_too_long(const batch& batch, const lane& lane, instant now) const noexcept;
  void judge(lane& lane);
  void account(const lane& lane);
  void give_up(lane& lane);
  void fail(const std::exception_ptr& thrown) noexcept;
  void note(const std::exception_ptr& thrown);
  static ended_round ended(const lane& lane);

  engine& engine_;
  const session_options options_;
  mode_result result_;
  std::unique_ptr<shared> shared_;
  std::vector<std::unique_ptr<lane>> lanes_;
  std::uint64_t next_round_ = 0;
  instant deadline_ = instant::max();
  std::optional<instant> interrupted_since_;  // when it was first noticed at the end of a round
  bool failed_ = false;
  bool abandoned_ = false;
};

}  // namespace filemap::litmus

#pragma GCC visibility pop
