#pragma once

#include "filemap/coro/task.hpp"
#include "filemap/coro/task_scope.hpp"
#include "filemap/io/engine.hpp"
#include "filemap/io/file.hpp"
#include "filemap/io/notify.hpp"
#include "filemap/io/unique_fd.hpp"
#include "filemap/litmus/mode.hpp"
#include "filemap/litmus/test.hpp"
#include "filemap/subject/step.hpp"

#include "judge.hpp"
#include "named_files.hpp"
#include "patterns.hpp"
#include "process_gate.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace filemap::litmus {

/// What all rounds of a test on one engine share.
struct round_setup {
  /// Throws std::system_error when `dir` cannot be opened. `direct`: every handle is O_DIRECT.
  /// `model`: of the test in this mode, to judge by; none: only the condition is asked.
  round_setup(filemap::engine& engine, const litmus::test& test, const litmus::mode& mode,
              std::filesystem::path dir, std::shared_ptr<const model_result> model = nullptr,
              bool direct = false, bool keep_before = false);

  filemap::engine& engine;
  const litmus::test test;  ///< with the mode's flushes in it
  const litmus::mode mode;
  const round_directory dir;
  const bool direct;
  const bool keep_before;  ///< the bytes of the round before, to recognise them in a reused file
  const observed_fields observed;
  const bool checks;  ///< its outcome is what its `check` says, and not a state
  const std::unique_ptr<litmus::judge> judge;
  process_gate* gate = nullptr;  ///< where the processes stop; none: nowhere
};

/// The files of a round, by their names in the directory of the setup, and its handles.
class round_files {
 public:
  /// Makes the files with what is in them at first, named after `index`. Throws std::system_error,
  /// or `unsupported` where the filesystem does not take O_DIRECT; nothing is left then. Who is
  /// destroyed closes the handles and removes the names.
  round_files(const round_setup& setup, std::size_t index, const patterns& bytes);

  /// Removes the names at once, where the handles must not be closed.
  void remove_names() noexcept { named_.remove(); }
  /// Makes the files and the cursors what they were at first, for another round.
  void reset(const patterns& bytes);

  /// nullptr for one that no process has opened yet, or whose opening has failed.
  file* handle(std::size_t index) const noexcept { return handles_[index]; }
  /// The last that was opened as this one, also when it is detached.
  const file* last_opened(std::size_t index) const noexcept { return last_opened_[index]; }
  void open_handle(std::size_t index, std::unique_ptr<file> opened) noexcept;
  /// No later use finds the handle, under any of its names; it is closed with the round's files.
  void detach_handle(std::size_t index);
  /// Every handle that there is, also those that are detached.
  std::span<const std::unique_ptr<file>> owned() const noexcept { return owned_; }

  const named_files& named() const noexcept { return named_; }
  int directory() const noexcept { return setup_->dir.fd.get(); }
  /// open(2)'s flags for a handle, but for O_CREAT and O_CLOEXEC.
  int flags_of(std::size_t handle) const noexcept;

 private:
  const round_setup* setup_;
  named_files named_;
  std::vector<std::unique_ptr<file>> owned_;  // by handle, empty for `same`; then the detached
  std::vector<file*> handles_;
  std::vector<const file*> last_opened_;
};

/// One round at a time of a test, interpreted as coroutines: a process is a task, a statement an
/// operation of a handle or of the engine. Every statement that runs is noted as a step; outcome
/// and hazards are judged from those notes, after the last operation of the round has completed.
class round {
 public:
  explicit round(const round_setup& setup);

  /// Makes everything what it is before a round, and draws the bytes of this one.
  void begin(std::uint64_t number, std::uint64_t seed);

  /// Runs all processes to their end, waits until every write that was acknowledged early has
  /// landed, and looks at what there is then.
  task<> run(round_files& files);

  /// Gives the permit of every edge, so that a round in which all wait for ever comes to its end.
  void give_all_permits() noexcept;

  std::uint64_t number() const noexcept { return number_; }
  const patterns& bytes() const noexcept { return bytes_; }
  std::span<const step> steps() const noexcept { return steps_; }
  /// What a `check` has seen, or the first operation that failed for reasons outside of the test.
  const observation& seen() const noexcept { return seen_; }
  /// What it came to. Of a test with a `check` that is only whether something failed. Throws
  /// `unsupported` where that is what the filesystem does not have.
  judgement judged() const;
  /// The operation of a statement that a `cancel` would meet now; nullptr: none.
  const io_op* in_flight(std::size_t process, std::size_t at) const noexcept {
    const auto* const op = places_[first_place_[process] + at].in_flight;
    return op != nullptr && !op->record.complete() ? op : nullptr;
  }

 private:
  struct process_state {
    std::uint64_t offset = 0;
    vector_clock clock{};
    bool ended = false;
    bool failed = false;
    std::uint64_t size = 0;           // what its last statx said
    std::span<const std::byte> read;  // what its last read returned
  };
  struct edge {
    explicit edge(engine& engine) : permit(engine) {}
    notify permit;
    vector_clock clock{};
  };
  // What a statement has of its own: it runs once a round, but for the repeated experiment, where
  // the process's next turn comes after the last one has been looked at.
  struct place {
    page_aligned_bytes data;  // where a read reads to
    struct statx status {};
    io_op* in_flight = nullptr;  // of one that may be cancelled
    bool cancellable = false;
    bool ended = false;
    std::int64_t res = 0;
  };
  class submission;

  const process_declaration& process(std::size_t index) const noexcept {
    return setup_.test.processes[index];
  }
  place& place_of(std::size_t process, std::size_t at) noexcept {
    return places_[first_place_[process] + at];
  }
  step& begin_step(std::size_t process, const statement& what);
  void end_step(std::size_t process, const statement& what, step& step, place& place,
                io_result result);
  bool caught_up(std::size_t process) const noexcept;
  void fail(verb what, int error) noexcept;

  bool is_closed(const round_files& files, const statement& what) const noexcept;
  bool goes_past_its_handle(const statement& what, const place& place) const noexcept;
  void draw_who_begins(std::uint64_t seed);

  task<> begin_processes(task_scope& scope, round_files& files);
  task<> run_process(round_files& files, std::size_t index);
  task<> run_statement(round_files& files, std::size_t process, std::size_t at);
  std::span<std::byte> read_target(std::size_t process, const statement& what,
                                   place& place) const noexcept;
  std::span<const std::byte> written_by(std::size_t process, const statement& what) const noexcept;
  task<io_result> execute(round_files& files, const statement& what, place& place, step& step);
  task<io_result> write_through(file& handle, const statement& what, step& step);
  task<io_result> clone(round_files& files, const statement& what);
  task<io_result> submit(round_files& files, std::size_t process, const statement& what,
                         place& place, step& step);
  task<> run_group(round_files& files, std::size_t process, const group& group);
  io_request request_of(const round_files& files, std::size_t process, const statement& what,
                        place& place) const;
  task<> land(round_files& files);
  task<> land_buffers(task_scope& scope, round_files& files);
  task<> land_buffer(const round_files& files, file& handle);
  verb what_failed_behind(const round_files& files, const file& handle) const noexcept;
  void check(const process_state& reader);
  void look(const round_files& files);

  const round_setup& setup_;
  patterns bytes_;
  std::optional<patterns> before_;  // the round before, where that is kept
  std::vector<std::unique_ptr<edge>> edges_;
  std::vector<std::uint64_t> variables_;
  std::vector<process_state> processes_;
  std::vector<std::size_t> begin_order_;  // of the processes
  std::vector<std::size_t> first_place_;  // by process
  std::vector<place> places_;             // by process and statement
  std::vector<step> steps_;               // does not move: operations in flight fill them
  observation seen_;
  round_evidence evidence_;  // of a test without a `check`
  std::uint64_t number_ = 0;
};

}  // namespace filemap::litmus
