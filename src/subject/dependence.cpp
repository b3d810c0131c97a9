// When two steps of a schedule commute.
//
// The search may leave out a schedule that is another one but for two neighbours that commute. They
// do when neither changes what the other reads or changes. The things of a test are:
//
// - its files, as what a handle was opened by: statx and read read them, everything else changes
//   them, also a sync, as the question is often just what a sync comes after; and its names;
// - a handle, where its state can be seen from outside of its process: one that is closed by one
//   process and used by another, and, where writes are acknowledged early, one that several
//   processes call (its lock, its write in flight or its buffer, its stored error);
// - the cursor of an open file description, named for the handle that opened it: whoever reads or
//   writes there moves it, and so does an append that is write(2);
// - the sequencer, where something drains: what is submitted later than it, and what earlier;
// - a process, for who cancels one of its operations, and for the members of a group, the last of
//   which lets it go on.
//
// An edge is none of them. A notification lets its one waiter come to its next step, where it stops
// or is held back, and nobody can tell when it did.
//
// What commutes leads to the same state in both orders, and neither keeps the other from happening,
// which is all that sleep sets need (Godefroid, Partial-Order Methods for the Verification of
// Concurrent Systems, 1996, section 5).

#include "dependence.hpp"

#include <algorithm>
#include <cstdint>

namespace filemap::litmus {

namespace {

constexpr std::uint64_t bit(std::size_t number) noexcept { return std::uint64_t{1} << number; }
constexpr std::uint64_t file_bit(std::size_t file) noexcept { return bit(file); }
constexpr std::uint64_t all_files = bit(max_files) - 1;
constexpr std::uint64_t name_bit(std::size_t file) noexcept { return bit(max_files + file); }
constexpr std::uint64_t handle_bit(std::size_t handle) noexcept {
  return bit(2 * max_files + handle);
}
constexpr std::uint64_t process_bit(std::size_t process) noexcept {
  return bit(2 * max_files + max_handles + process);
}
constexpr std::size_t sequencer = 2 * max_files + max_handles + max_processes;
constexpr std::uint64_t cursor_bit(std::size_t description) noexcept {
  return bit(sequencer + 1 + description);
}
static_assert(sequencer + max_handles < 64);

// Of the repeated experiment: it looks at what processes share in memory.
bool is_shared_memory(verb verb) noexcept {
  return verb == verb::load || verb == verb::store || verb == verb::check;
}

}  // namespace

const group* group_of(const process_declaration& process, std::size_t at) noexcept {
  const auto found = std::find_if(process.groups.begin(), process.groups.end(), [&](auto& group) {
    return at >= group.first && at < std::size_t{group.first} + group.count;
  });
  return found == process.groups.end() ? nullptr : &*found;
}

class dependence::analysis {
 public:
  analysis(const test& test, const mode& mode)
      : test_(test),
        early_(mode.acknowledges_early()),
        buffered_(mode.when == acknowledgement::buffered),
        waits_(mode.options.waits),
        seeks_(mode.seeks()),
        at_once_(mode.engine == engine_kind::sync),
        appends_move_cursor_(mode.appends_move_cursor()),
        files_(test.handles.size()),
        is_shared_(test.handles.size()) {
    look_at_all();
    find_files();
    for (std::size_t i = 0; i < test.handles.size(); ++i) is_shared_[i] = is_shared(i);
  }

  facts of(std::size_t process, std::size_t at) const {
    const auto& statement = statement_at(process, at);
    facts known;
    known.begins_visibly = begins_visibly(process, at);
    if (repeats_ || is_shared_memory(statement.what)) {
      known.beginning = known.executing = known.behind = footprint::everything();
      return known;
    }
    known.behind = on_files(process, at);
    known.behind.changes |= own_handle(statement);
    if (is_target(process, at)) known.behind.changes |= process_bit(process);
    // What is behind it in a buffer is submitted when it has ended.
    if (buffered_ && drains_ && is_write(statement.what)) known.behind.changes |= bit(sequencer);
    known.executing = known.behind;
    known.executing.changes |= process_bit(process);
    known.beginning = beginning(process, at);
    known.seeks = seeks(process, at);
    known.seeking = known.beginning;  // of what follows it
    known.seeking.changes |= cursor_of(process, at);
    if (at_once_) known.beginning.add(known.executing);
    return known;
  }

 private:
  const statement& statement_at(std::size_t process, std::size_t at) const noexcept {
    return test_.processes[process].body[at];
  }

  void look_at_all() {
    for (const auto& process : test_.processes) {
      repeats_ = repeats_ || process.times != 1;
      for (const auto& statement : process.body) {
        drains_ = drains_ || statement.drain;
        renames_ = renames_ || statement.what == verb::rename;
        if (statement.what == verb::cancel) cancels_.push_back(&statement);
      }
    }
  }

  // Which files a handle may be of. One that is opened by a process is of what has the name then.
  void find_files() {
    for (std::size_t i = 0; i < files_.size(); ++i) {
      const auto& handle = test_.handles[i];
      if (handle.from == handle_origin::open) files_[i] = file_bit(handle.source);
      if (handle.from == handle_origin::clone || handle.from == handle_origin::same) {
        files_[i] = files_[handle.source];
      }
      if (handle.from == handle_origin::later) files_[i] = all_files;
    }
    if (renames_) return;
    for (const auto& process : test_.processes) {
      for (const auto& statement : process.body) {
        if (statement.what == verb::open) files_[statement.operand] = file_bit(statement.other);
      }
    }
  }

  // Can another process see its state?
  bool is_shared(std::size_t handle) const {
    std::size_t callers = 0;
    std::size_t users = 0;
    bool is_closed = false;
    for (const auto& process : test_.processes) {
      bool calls = false;
      bool uses = false;
      for (std::size_t at = 0; at < process.body.size(); ++at) {
        const auto& statement = process.body[at];
        if (!touches(test_, statement, static_cast<std::uint8_t>(handle))) continue;
        uses = true;
        const auto number = static_cast<std::size_t>(&process - test_.processes.data());
        calls = calls || !passes_by(statement) || goes_past(number, at);
        is_closed = is_closed || statement.what == verb::close;
      }
      callers += calls ? 1 : 0;
      users += uses ? 1 : 0;
    }
    return (is_closed && users > 1) || (early_ && callers > 1);
  }

  // It asks a handle that acknowledges early for nothing but its descriptor.
  bool passes_by(const statement& statement) const {
    const auto call = call_of(statement.what);
    if (!call || !uses_handle(statement.what) || is_write(statement.what)) return false;
    if (statement.what == verb::flush || waits_.contains(*call)) return false;
    const bool seeks_before = seeks_ && statement.what == verb::read && !is_at_cursor(statement);
    return !seeks_before || !waits_.contains(file_call::seek);
  }

  // It is submitted past its handle, which it waits for before. What has returned nobody cancels.
  bool goes_past(std::size_t process, std::size_t at) const {
    const auto& statement = statement_at(process, at);
    const bool returns_early = early_ && is_write(statement.what);
    return statement.drain || (is_target(process, at) && !returns_early) ||
           group_of(test_.processes[process], at) != nullptr;
  }

  bool is_target(std::size_t process, std::size_t at) const {
    return std::any_of(cancels_.begin(), cancels_.end(), [&](const statement* cancel) {
      return cancel->operand == process && cancel->other == at;
    });
  }

  bool begins_visibly(std::size_t process, std::size_t at) const {
    const auto* const group = group_of(test_.processes[process], at);
    if (group == nullptr) return alone_begins_visibly(process, at);
    for (std::size_t i = group->first; i < std::size_t{group->first} + group->count; ++i) {
      if (alone_begins_visibly(process, i)) return true;
    }
    return false;
  }
  bool alone_begins_visibly(std::size_t process, std::size_t at) const {
    const auto& statement = statement_at(process, at);
    if (statement.what == verb::cancel || is_shared_memory(statement.what)) return true;
    if (is_target(process, at)) return true;
    const bool submits =
        is_file_operation(statement.what) || (buffered_ && statement.what == verb::flush);
    if (drains_ && submits) return true;
    return own_handle(statement) != 0;
  }

  footprint beginning(std::size_t process, std::size_t at) const {
    const auto& statement = statement_at(process, at);
    footprint touched{0, process_bit(process) | own_handle(statement)};
    if (drains_) {
      const bool in_order = early_ || statement.drain || statement.what == verb::cancel;
      (in_order ? touched.changes : touched.reads) |= bit(sequencer);
    }
    if (statement.what == verb::cancel) {
      touched.changes |= process_bit(statement.operand) |
                         own_handle(statement_at(statement.operand, statement.other));
    }
    return touched;
  }

  // The bits of the handles that it calls and that others can see.
  std::uint64_t own_handle(const statement& statement) const {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < is_shared_.size(); ++i) {
      if (is_shared_[i] && touches(test_, statement, static_cast<std::uint8_t>(i))) {
        bits |= handle_bit(i);
      }
    }
    return bits;
  }

  footprint on_files(std::size_t process, std::size_t at) const {
    const auto& statement = statement_at(process, at);
    switch (statement.what) {
      case verb::open:
        return {name_bit(statement.other), 0};
      case verb::rename:
        return {0, name_bit(statement.operand) | name_bit(statement.other)};
      case verb::unlink:
        return {0, name_bit(statement.operand)};
      default:
        break;
    }
    if (!uses_handle(statement.what) || statement.what == verb::flush) return {};
    const auto cursor = cursor_of(process, at);
    if (statement.what == verb::seek) return {0, cursor};
    const auto files = files_[named_by(test_, statement.operand)];
    return only_looks(statement.what) ? footprint{files, cursor} : footprint{0, files | cursor};
  }

  bool seeks(std::size_t process, std::size_t at) const {
    const auto& statement = statement_at(process, at);
    return seeks_ && (statement.what == verb::read || statement.what == verb::write) &&
           !is_at_cursor(statement) && !goes_past(process, at);
  }

  // The bit of the one that it moves.
  std::uint64_t cursor_of(std::size_t process, std::size_t at) const {
    const auto& statement = statement_at(process, at);
    const bool moves = is_at_cursor(statement) || seeks(process, at) ||
                       (statement.what == verb::append && appends_move_cursor_);
    return moves ? cursor_bit(description_of(test_, statement.operand)) : 0;
  }

  const test& test_;
  const bool early_;
  const bool buffered_;
  const file_calls waits_;
  const bool seeks_;
  const bool at_once_;
  const bool appends_move_cursor_;
  bool repeats_ = false;
  bool drains_ = false;
  bool renames_ = false;
  std::vector<const statement*> cancels_;
  std::vector<std::uint64_t> files_;  // by handle
  std::vector<bool> is_shared_;       // by handle
};

dependence::dependence(const test& test, const mode& mode) {
  const analysis analysis(test, mode);
  for (std::size_t process = 0; process < test.processes.size(); ++process) {
    auto& statements = facts_.emplace_back();
    for (std::size_t at = 0; at < test.processes[process].body.size(); ++at) {
      statements.push_back(analysis.of(process, at));
    }
  }
}

}  // namespace filemap::litmus
