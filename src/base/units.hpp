#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace filemap {

// What people type and read. The parsers throw std::invalid_argument whose text completes "--option
// VALUE: …".

/// "123", "4k", "4KiB", "1M": bytes; k, M and G are powers of 1024, with or without "iB" or "B".
std::uint64_t parse_size(std::string_view text);

/// "500", "10k", "2M", "1G": a count; k, M and G are powers of 1000.
std::uint64_t parse_count(std::string_view text);

/// "2ms", "500us", "1.5s", "2m", "1h", "20ns"; there is no default unit.
std::chrono::nanoseconds parse_duration(std::string_view text);

/// Three or four significant digits: "843 ns", "2.1 µs", "1.25 s".
std::string format_duration(std::chrono::nanoseconds duration);

/// "0", "0.0125 %", "99.9 %".
std::string format_percent(double proportion);

/// "1,234,567".
std::string format_count(std::uint64_t count);

/// "123 B", "64 KiB", "79.5 GiB".
std::string format_size(std::uint64_t bytes);

/// The first character of a text that is not empty.
struct first_character {
  std::size_t size;  ///< in bytes
  bool shown;        ///< valid UTF-8, and no control character (C0, DEL, C1) that a terminal obeys
};
first_character first_character_of(std::string_view text) noexcept;

/// What a terminal can show as one line: control characters, and bytes that are not UTF-8, become
/// '?'.
std::string printable(std::string_view text);

/// argv as one line that a POSIX shell reads back, and that a terminal can show.
std::string shell_command(const std::vector<std::string>& words);

}  // namespace filemap
