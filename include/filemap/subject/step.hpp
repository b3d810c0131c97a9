#pragma once

#include "filemap/io/op.hpp"
#include "filemap/litmus/mode.hpp"
#include "filemap/litmus/test.hpp"
#include "filemap/subject/outcome.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#pragma GCC visibility push(default)

namespace filemap::litmus {

/// How many of each process's steps had happened before a step, as far as the program orders them:
/// its own, and what notifications brought (a vector clock).
using vector_clock = std::array<std::uint32_t, max_processes>;
/// What has happened before either.
void merge(vector_clock& into, const vector_clock& other) noexcept;

/// What a step did, and to which handle, name, variable or edge of the test.
struct instruction {
  verb what = verb::append;
  std::uint8_t operand = 0;
  std::uint8_t other = 0;  ///< of a `rename` the new name, of an `open` the name
  bool moves_cursor = false;
};
/// Of a statement in a mode, which says what moves the cursor.
instruction instruction_of(const statement& what, const mode& mode) noexcept;

/// "writer", or "P0" for a process that has no name.
std::string process_name(const test& test, std::size_t process);
/// The name of the handle, file, variable, edge or process that an instruction is about; empty for
/// `check`.
std::string operand_name(const test& test, const instruction& instruction);
/// "append(w)", "notify(written)", as in the language but for its data.
std::string to_string(const test& test, const instruction& instruction);

/// One step of one process in one round, and the operation behind it.
struct step {
  std::uint8_t process = 0;
  instruction what{};
  instant called;          ///< the process began to await it
  instant returned;        ///< the process went on: for a write-behind append, when it was queued
  io_record io;            ///< the operation itself, for those that are one on the file
  std::uint64_t size = 0;  ///< of a statx: what it said
  vector_clock clock{};
  bool acknowledged = false;  ///< it has returned, and with no error
  /// Of a batch: the process went on to the next member as soon as this one was submitted.
  bool batched = false;
  bool grouped = false;  ///< submitted with others: `returned` is when the last of them had
  /// `io` is what the process saw of the operation, as nothing else is known of it: a driver's.
  bool as_called = false;

  /// How long the process waited for it; of a member of a group, until it had returned itself.
  /// Nothing where that is not known, as of what never began or by a clock that went back.
  std::optional<nanoseconds> latency() const noexcept;

  /// Does the program order `this` before `later`?
  bool happens_before(const step& later) const noexcept {
    return this != &later && clock[process] <= later.clock[process];
  }
  /// There was an operation, and it was not cancelled before it had begun. (One that was cancelled
  /// later says what it did: a short count.)
  bool began() const noexcept {
    return io.complete() && io.submitted != instant{} && io.res != -ECANCELED;
  }
  /// A write of which the kernel has not heard: it is in a buffer, or was lost there.
  bool never_written() const noexcept {
    return acknowledged && is_write(what.what) && !io.complete();
  }
  /// The process went on before the operation had returned.
  bool acknowledged_early() const noexcept { return io.complete() && io.returned > returned; }
};

struct round_trace {
  std::uint64_t round = 0;
  observation seen;
  instant start;
  std::vector<step> steps;
};

/// Did an operation begin before one that the program orders before it had returned?
enum class overtaking : std::uint8_t { no, yes, unknown };

/// `unknown` where the engine cannot say when an operation began: on a ring, two that were in
/// flight together, unless the later one was over first. What never began has overtaken nothing,
/// and cannot be overtaken.
overtaking overtakes(const step& later, const step& earlier) noexcept;

/// Which operations of a test conflict, so that their order can be seen: two on the same file of
/// which one changes what the other looks at or changes (a sync looks at all of it), two on the
/// same name of which one moves or removes it, and two that move the same cursor.
class conflicts {
 public:
  explicit conflicts(const test& test);

  bool operator()(const instruction& one, const instruction& other) const noexcept;

 private:
  using file_set = std::uint32_t;
  static_assert(max_files <= 32 && max_handles <= 32);
  struct access {
    file_set looks = 0, changes = 0;               // what is in files
    file_set looks_at_names = 0, moves_names = 0;  // by what they are called
    file_set cursors = 0;                          // by the handle that opened the description
  };
  access of(const instruction& instruction) const noexcept;

  std::vector<file_set> files_of_;   // by handle: those that it may be open on
  std::vector<file_set> cursor_of_;  // by handle
};

/// Calls `found(later, earlier, verdict)` for each pair of a round that conflicts and in which
/// `later` has overtaken `earlier`, or may have. Only what was acknowledged early can be overtaken.
template <typename Found>
void each_overtaking(std::span<const step> steps, const conflicts& conflict, Found found) {
  for (const auto& earlier : steps) {
    if (!is_file_operation(earlier.what.what) || !earlier.acknowledged_early()) continue;
    for (const auto& later : steps) {
      if (!later.io.complete() || !earlier.happens_before(later)) continue;
      if (!conflict(later.what, earlier.what)) continue;
      const auto verdict = overtakes(later, earlier);
      if (verdict != overtaking::no) found(later, earlier, verdict);
    }
  }
}

}  // namespace filemap::litmus

#pragma GCC visibility pop
