#include "filemap/subject/step.hpp"

#include <fmt/format.h>

namespace filemap::litmus {

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

overtaking overtakes(const step& later, const step& earlier) noexcept {
  if (later.io.started != instant{}) {
    return later.io.started < earlier.io.returned ? overtaking::yes : overtaking::no;
  }
  if (later.io.submitted >= earlier.io.returned) return overtaking::no;
  // Its completion was there at a time when the other's was not, so it had begun by then.
  if (later.io.returned < earlier.io.returned) return overtaking::yes;
  return overtaking::unknown;
}

}  // namespace filemap::litmus
