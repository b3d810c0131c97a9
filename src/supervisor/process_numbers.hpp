#pragma once

#include <charconv>
#include <cstddef>
#include <string_view>
#include <sys/types.h>
#include <system_error>

namespace filemap {

/// Of a list as /proc/PID/task/TID/children is, where each number has a blank behind it. One that
/// has none is cut off, and would be another's number: it is left out. Returns how much of the text
/// was understood, to go on from there. It allocates nothing.
template <typename Function>
std::size_t each_process(std::string_view text, Function function) {
  const char* at = text.data();
  const char* const end = at + text.size();
  for (;;) {
    pid_t process = 0;
    const auto [stop, error] = std::from_chars(at, end, process);
    if (error != std::errc{} || stop == end || *stop != ' ') break;
    function(process);
    at = stop + 1;
  }
  return static_cast<std::size_t>(at - text.data());
}

}  // namespace filemap
