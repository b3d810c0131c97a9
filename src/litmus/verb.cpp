#include "filemap/litmus/verb.hpp"

#include <fmt/format.h>

namespace filemap::litmus {

namespace {

std::string_view word_for(argument kind) noexcept {
  switch (kind) {
    case argument::none:
      break;
    case argument::result:
    case argument::handle:
      return "HANDLE";
    case argument::file:
    case argument::to_file:
      return "FILE";
    case argument::edge:
      return "EDGE";
    case argument::variable:
      return "VARIABLE";
    case argument::operation:
      return "P0:REGISTER";
    case argument::data:
      return "DATA";
    case argument::offset:
      return "OFFSET";
    case argument::position:
      return "[OFFSET,]";
    case argument::length:
    case argument::size:
      return "SIZE";
  }
  return "";
}

}  // namespace

std::string usage(verb verb) {
  const auto& traits = traits_of(verb);
  if (opens(verb)) {
    return fmt::format("HANDLE = {} {}{}", traits.name, word_for(traits.arguments[1]),
                       traits.arguments[1] == argument::file ? " FLAG…" : "");
  }
  std::string arguments;
  std::string_view before;
  for (const auto kind : traits.arguments) {
    if (kind == argument::none) break;
    arguments += before;
    arguments += word_for(kind);
    before = kind == argument::position ? " " : ", ";
  }
  return fmt::format("{}({})", traits.name, arguments);
}

}  // namespace filemap::litmus
