#pragma once

#include "filemap/io/unique_fd.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <string_view>
#include <sys/types.h>
#include <system_error>
#include <unistd.h>

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

/// Likewise of a whole list, read from its file piece by piece. Of most threads there are none, and
/// one read says so.
template <typename Function>
void each_process_in(const unique_fd& list, Function function) {
  std::array<char, 4096> buffer{};
  for (off_t at = 0;;) {
    const auto size = std::max<ssize_t>(::pread(list.get(), buffer.data(), buffer.size(), at), 0);
    const auto understood = each_process({buffer.data(), static_cast<std::size_t>(size)}, function);
    if (understood == 0) return;
    at += static_cast<off_t>(understood);
  }
}

}  // namespace filemap
