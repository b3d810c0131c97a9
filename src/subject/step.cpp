#include "filemap/subject/step.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include <fmt/format.h>

namespace filemap::litmus {

void merge(vector_clock& into, const vector_clock& other) noexcept {
  for (std::size_t i = 0; i < into.size(); ++i) into[i] = std::max(into[i], other[i]);
}

instruction instruction_of(const statement& what, const mode& mode) noexcept {
  const bool by_appending = what.what == verb::append && mode.appends_move_cursor();
  const bool by_seeking =
      mode.seeks() && !what.relative && (what.what == verb::write || what.what == verb::read);
  return {what.what, what.operand, what.other, is_at_cursor(what) || by_appending || by_seeking};
}

std::string process_name(const test& test, std::size_t process) {
  const auto& name = test.processes[process].name;
  return name.empty() ? fmt::format("P{}", process) : name;
}

std::string operand_name(const test& test, const instruction& instruction) {
  switch (operand_of(instruction.what)) {
    case argument::variable:
      return test.variables[instruction.operand];
    case argument::edge:
      return test.edges[instruction.operand];
    case argument::file:
      return test.files[instruction.operand].name;
    case argument::operation:
      return fmt::format("P{}", instruction.operand);
    case argument::none:
      return "";
    default:
      return test.handles[instruction.operand].name;
  }
}

std::string to_string(const test& test, const instruction& instruction) {
  return fmt::format("{}({})", to_string(instruction.what), operand_name(test, instruction));
}

std::optional<nanoseconds> step::latency() const noexcept {
  if (grouped && !began()) return {};
  const auto until = grouped ? io.returned : returned;
  if (until == instant{} || until < called) return {};
  return until - called;
}

// --- conflicts

conflicts::conflicts(const test& test) {
  // The files that a name may stand for, whatever has been renamed before.
  std::vector<file_set> files_of_name;
  for (std::size_t i = 0; i < test.files.size(); ++i) files_of_name.push_back(file_set{1} << i);
  for (const auto& handle : test.handles) {
    files_of_.push_back(handle.from == handle_origin::open ? files_of_name[handle.source] : 0);
    const auto index = static_cast<std::uint8_t>(cursor_of_.size());
    cursor_of_.push_back(file_set{1} << description_of(test, index));
  }
  const auto add = [](file_set& to, file_set what) {
    return (what & ~std::exchange(to, to | what)) != 0;
  };
  bool grew = true;
  while (grew) {
    grew = false;
    for (std::size_t i = 0; i < test.handles.size(); ++i) {
      const auto& handle = test.handles[i];
      if (handle.from != handle_origin::clone && handle.from != handle_origin::same) continue;
      grew = add(files_of_[i], files_of_[handle.source]) || grew;
    }
    for (const auto& process : test.processes) {
      for (const auto& what : process.body) {
        if (what.what == verb::rename) {
          grew = add(files_of_name[what.other], files_of_name[what.operand]) || grew;
        } else if (what.what == verb::open) {
          grew = add(files_of_[what.operand], files_of_name[what.other]) || grew;
        } else if (what.what == verb::clone) {
          grew = add(files_of_[what.operand], files_of_[what.other]) || grew;
        }
      }
    }
  }
}

conflicts::access conflicts::of(const instruction& instruction) const noexcept {
  access made;
  if (instruction.moves_cursor) made.cursors = cursor_of_[instruction.operand];
  switch (instruction.what) {
    case verb::append:
    case verb::write:
    case verb::truncate:
    case verb::allocate:
    case verb::punch:
      made.changes = files_of_[instruction.operand];
      break;
    case verb::read:
    case verb::statx:
    case verb::fsync:
    case verb::fdatasync:
    case verb::sync_range:
    case verb::drop_cache:  // what has not been written yet stays in the cache
      made.looks = files_of_[instruction.operand];
      break;
    case verb::open:
      made.looks_at_names = file_set{1} << instruction.other;
      break;
    case verb::rename:
      made.moves_names = file_set{1} << instruction.operand | file_set{1} << instruction.other;
      break;
    case verb::unlink:
      made.moves_names = file_set{1} << instruction.operand;
      break;
    default:
      break;
  }
  return made;
}

bool conflicts::operator()(const instruction& one, const instruction& other) const noexcept {
  const auto a = of(one);
  const auto b = of(other);
  return (a.changes & (b.changes | b.looks)) != 0 || (a.looks & b.changes) != 0 ||
         (a.moves_names & (b.moves_names | b.looks_at_names)) != 0 ||
         (a.looks_at_names & b.moves_names) != 0 || (a.cursors & b.cursors) != 0;
}

// --- overtaking

overtaking overtakes(const step& later, const step& earlier) noexcept {
  if (!later.began() || !earlier.began()) return overtaking::no;
  if (later.io.started != instant{}) {
    return later.io.started < earlier.io.returned ? overtaking::yes : overtaking::no;
  }
  if (later.io.submitted >= earlier.io.returned) return overtaking::no;
  // Its completion was there at a time when the other's was not, so it had begun by then.
  if (later.io.returned < earlier.io.returned) return overtaking::yes;
  return overtaking::unknown;
}

}  // namespace filemap::litmus
