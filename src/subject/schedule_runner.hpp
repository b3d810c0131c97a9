#pragma once

#include "filemap/explore/exploration.hpp"

#include "round.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace filemap::litmus {

/// The things of a test that a part of a schedule has read and changed, a bit each.
struct footprint {
  std::uint64_t reads = 0;
  std::uint64_t changes = 0;

  void add(const footprint& other) noexcept {
    reads |= other.reads;
    changes |= other.changes;
  }
  /// Does it matter which of the two comes first?
  bool depends_on(const footprint& other) const noexcept {
    return (changes & (other.reads | other.changes)) != 0 || (reads & other.changes) != 0;
  }
};

/// Decides what executes next.
class scheduler {
 public:
  scheduler() = default;
  scheduler(const scheduler&) = delete;
  scheduler& operator=(const scheduler&) = delete;
  virtual ~scheduler() = default;

  /// Of a schedule's end: it is not to be counted.
  static constexpr std::size_t give_up = ~std::size_t{0};

  virtual void begin() = 0;
  /// An index into `held`, the operations that can execute, oldest first; or `give_up`.
  virtual std::size_t choose(std::span<io_op* const> held) = 0;
  /// What was chosen last has executed, and all that it let go on has come to its next operation.
  virtual void executed(const footprint& touched) { static_cast<void>(touched); }
};

/// Executes one schedule after the other of a test, each from fresh files to the end.
class schedule_runner {
 public:
  /// `test` has the mode's flushes in it already, and `mode` has none.
  schedule_runner(const test& test, const mode& mode, const std::filesystem::path& dir,
                  const exploration_options& options);
  schedule_runner(const schedule_runner&) = delete;
  schedule_runner& operator=(const schedule_runner&) = delete;

  /// False: the scheduler gave up. Throws as `explore` does.
  bool run(scheduler& by);

  // Of the last schedule, until the next.
  bool deadlocked() const noexcept { return deadlock_after_.has_value(); }
  const final_state& state() const noexcept { return round_.state(); }
  /// The choices made, those from 0 at the end too.
  const std::vector<std::uint16_t>& choices() const noexcept { return choices_; }
  executed_schedule executed() const;

  engine_traits traits() const { return engine_->traits(); }
  const test& tested() const noexcept { return setup_.test; }

 private:
  struct descriptor {
    int fd = -1;
    footprint read, change;
  };

  std::size_t choose(std::span<io_op* const> held);
  void prepare_files();
  void turn_to_the_end(task<>& root);
  void note_deadlock();
  void check_failures() const;

  footprint of(const io_op& op) const noexcept;
  footprint of(const step& begun) const noexcept;
  void close_transition();

  const std::unique_ptr<engine> engine_;
  const round_setup setup_;
  round round_;
  std::optional<round_files> files_;
  const bool at_once_;
  const bool early_;
  const bool reducible_;
  std::vector<std::uint8_t> handle_of_;  // by handle: the one that it is another name of, or itself
  std::vector<std::uint8_t> file_of_;    // by handle
  std::vector<descriptor> descriptors_;

  // The schedule that is being executed.
  scheduler* by_ = nullptr;
  std::vector<std::uint16_t> choices_;
  footprint touched_;            // since the last choice
  std::size_t steps_noted_ = 0;  // of the round's, in `touched_` and before
  bool chosen_ = false;          // something, since the scheduler was told
  bool gave_up_ = false;
  std::optional<std::size_t> deadlock_after_;  // so many steps
};

/// Drops what is the default at the end.
witness to_witness(std::vector<std::uint16_t> choices);

}  // namespace filemap::litmus
