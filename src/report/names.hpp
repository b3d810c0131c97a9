#pragma once

#include "filemap/base/stats.hpp"
#include "filemap/io/file.hpp"
#include "filemap/model/model.hpp"

#include "base/units.hpp"
#include "subject/command_subject.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace filemap {

/// "EIO"; "errno 9999" for one that the C library does not know.
inline std::string error_name(int error) {
  const char* const name = ::strerrorname_np(error);
  return name != nullptr ? name : "errno " + std::to_string(error);
}

/// "1 run", "2 runs", "3 processes".
inline std::string plural(std::uint64_t count, std::string_view what) {
  const auto* const ending = count == 1 ? "" : what.ends_with('s') ? "es" : "s";
  return fmt::format("{} {}{}", format_count(count), what, ending);
}

/// A write is acknowledged when …
constexpr std::string_view acknowledged_when(acknowledgement when) noexcept {
  constexpr std::array<std::string_view, 3> words = {
      "the kernel has done it", "its bytes are queued", "its bytes are in a buffer"};
  return words[static_cast<std::size_t>(when)];
}

/// "queued": what a write is that was acknowledged early.
constexpr std::string_view early_word(acknowledgement when) noexcept {
  return when == acknowledgement::buffered ? "buffered" : "queued";
}

/// What is noted of states, each once.
inline std::set<litmus::excess> noted(
    const std::map<litmus::final_state, std::vector<litmus::excess>>& exceeding) {
  std::set<litmus::excess> all;
  for (const auto& [state, taken] : exceeding) all.insert(taken.begin(), taken.end());
  return all;
}

/// "12 of 400: 3 %, 95 % interval 1.5 % to 5.2 %".
inline std::string proportion_words(std::uint64_t bad, std::uint64_t all) {
  const auto range = proportion_interval(bad, all);
  if (bad == 0) {
    return fmt::format("0 of {}: below {} with 95 % confidence", format_count(all),
                       format_percent(range.high));
  }
  return fmt::format("{} of {}: {}, 95 % interval {} to {}", format_count(bad), format_count(all),
                     format_percent(static_cast<double>(bad) / static_cast<double>(all)),
                     format_percent(range.low), format_percent(range.high));
}

/// "write($TMPDIR/log, 20 bytes)", "time passes".
inline std::string words_of(const executed_call& call) {
  if (call.is_time) return "time passes";
  auto text = fmt::format("{}({}", call.word, call.file);
  if (!call.second.empty()) text += ", " + call.second;
  if (call.size) text += fmt::format(", {} bytes", *call.size);
  return text + ')';
}

/// "node/3": the name of a thread, and its number in the order in which they came.
inline std::string thread_of(const executed_call& call) {
  return fmt::format("{}/{}", call.thread, call.thread_number);
}

/// "short", "EIO"; empty: it was executed as it was asked for.
inline std::string fault_of(const intervention& done) {
  if (done.shortened) return "short";
  return done.error == 0 ? "" : error_name(done.error);
}

}  // namespace filemap
