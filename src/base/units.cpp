#include "units.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <stdexcept>

#include <fmt/format.h>

namespace filemap {

namespace {

struct number_and_unit {
  double number;
  std::string_view unit;
};

number_and_unit split_number(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || !std::isfinite(number) || number < 0) {
    throw std::invalid_argument("a number is expected");
  }
  return {number, text.substr(static_cast<std::size_t>(end - text.data()))};
}

std::string significant(double value, std::string_view unit) {
  const int digits = value < 10 ? 2 : value < 100 ? 1 : 0;
  return fmt::format("{:.{}f} {}", value, digits, unit);
}

}  // namespace

std::uint64_t parse_size(std::string_view text) {
  auto [number, unit] = split_number(text);
  double factor = 1;
  if (!unit.empty()) {
    constexpr std::string_view prefixes = "kmgt";
    const auto power = prefixes.find(static_cast<char>(unit[0] | 0x20));
    const bool prefixed = power != std::string_view::npos;
    if (prefixed) {
      factor = std::pow(1024.0, static_cast<double>(power + 1));
      unit.remove_prefix(1);
    }
    if (!unit.empty() && unit != "B" && !(prefixed && unit == "iB")) {
      throw std::invalid_argument("a size is a number with k, M or G, as in 4k or 1MiB");
    }
  }
  const double bytes = number * factor;
  if (bytes != std::floor(bytes))
    throw std::invalid_argument("that is not a whole number of bytes");
  if (bytes >= 0x1p63) throw std::invalid_argument("that is too large");
  return static_cast<std::uint64_t>(bytes);
}

std::uint64_t parse_count(std::string_view text) {
  std::uint64_t value = 0;
  const auto* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  const std::string_view unit(stop, static_cast<std::size_t>(end - stop));
  std::uint64_t factor = 1;
  if (!unit.empty()) {
    constexpr std::string_view prefixes = "kmg";
    const auto power = prefixes.find(static_cast<char>(unit[0] | 0x20));
    if (unit.size() > 1 || power == std::string_view::npos) factor = 0;
    for (std::size_t i = 0; factor > 0 && i <= power; ++i) factor *= 1000;
  }
  if (error != std::errc{} || factor == 0) {
    throw std::invalid_argument("a whole number is expected, as in 500 or 10k");
  }
  if (value > std::numeric_limits<std::uint64_t>::max() / factor) {
    throw std::invalid_argument("that is too large");
  }
  return value * factor;
}

std::chrono::nanoseconds parse_duration(std::string_view text) {
  struct unit_name {
    std::string_view name;
    double nanoseconds;
  };
  constexpr std::array<unit_name, 7> units = {{
      {"ns", 1},
      {"us", 1e3},
      {"µs", 1e3},
      {"ms", 1e6},
      {"s", 1e9},
      {"m", 60e9},
      {"h", 3600e9},
  }};
  const auto [number, unit] = split_number(text);
  if (unit.empty()) {
    throw std::invalid_argument(fmt::format(
        "the unit is missing: write {}s for seconds; ns, us, ms, m and h are units too", text));
  }
  double factor = 0;
  for (const auto& known : units) {
    if (unit == known.name) factor = known.nanoseconds;
  }
  if (factor == 0) {
    throw std::invalid_argument("a duration is a number with ns, us, ms, s, m or h, as in 2ms");
  }
  const double nanoseconds = std::round(number * factor);
  if (nanoseconds >= 0x1p62) throw std::invalid_argument("that is too long");
  return std::chrono::nanoseconds{static_cast<std::int64_t>(nanoseconds)};
}

std::string format_duration(std::chrono::nanoseconds duration) {
  const auto ns = static_cast<double>(duration.count());
  if (ns < 1e3) return fmt::format("{} ns", duration.count());
  if (ns < 1e6) return significant(ns / 1e3, "µs");
  if (ns < 1e9) return significant(ns / 1e6, "ms");
  return significant(ns / 1e9, "s");
}

std::string format_percent(double proportion) {
  if (proportion == 0) return "0";
  const double percent = proportion * 100;
  if (percent >= 99.995) return "100 %";
  if (percent >= 10) return fmt::format("{:.1f} %", percent);
  return fmt::format("{:.2g} %", percent);
}

std::string format_count(std::uint64_t count) {
  auto digits = std::to_string(count);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return digits;
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> units = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  if (value == std::floor(value)) return fmt::format("{:.0f} {}", value, units[unit]);
  return significant(value, units[unit]);
}

// The well-formed sequences of UTF-8 (Unicode, table 3-7); U+0080 to U+009F are C1's.
first_character first_character_of(std::string_view text) noexcept {
  const auto byte = [&](std::size_t at) {
    return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
  };
  const auto first = byte(0);
  if (first < 0x80) return {1, first >= ' ' && first != 0x7f};
  const std::size_t size = first >= 0xc2 && first < 0xe0   ? 2
                           : first >= 0xe0 && first < 0xf0 ? 3
                           : first >= 0xf0 && first < 0xf5 ? 4
                                                           : 1;
  const auto low = first == 0xe0 ? 0xa0U : first == 0xf0 ? 0x90U : 0x80U;
  const auto high = first == 0xed ? 0x9fU : first == 0xf4 ? 0x8fU : 0xbfU;
  if (size == 1 || byte(1) < low || byte(1) > high) return {1, false};
  for (std::size_t i = 2; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {1, false};
  }
  return {size, first != 0xc2 || byte(1) >= 0xa0};
}

std::string printable(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const auto character = first_character_of(text);
    shown += character.shown ? text.substr(0, character.size) : "?";
    text.remove_prefix(character.size);
  }
  return shown;
}

namespace {

bool is_shown_whole(std::string_view text) {
  while (!text.empty()) {
    const auto character = first_character_of(text);
    if (!character.shown) return false;
    text.remove_prefix(character.size);
  }
  return true;
}

// By printf(1), as $'…' is not in every shell. A substitution drops the line ends at its end.
std::string by_printf(std::string_view word) {
  const auto ends = word.size() - (word.find_last_not_of('\n') + 1);
  std::string quoted = "\"$(printf '";
  for (const auto rest = word.substr(0, word.size() - ends); const char c : rest) {
    const bool plain = c >= ' ' && c <= '~' && c != '\'' && c != '%' && c != '\\';
    quoted += plain ? std::string(1, c) : fmt::format("\\{:03o}", static_cast<unsigned char>(c));
  }
  quoted += "')\"";
  for (std::size_t i = 0; i < ends; ++i) quoted += "$'\\n'";
  return quoted;
}

std::string quoted_for_shell(std::string_view word) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+./:,@%";
  if (!is_shown_whole(word)) return by_printf(word);
  if (!word.empty() && word.find_first_not_of(plain) == std::string_view::npos) {
    return std::string(word);
  }
  std::string line = "'";
  for (const char c : word) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return line + '\'';
}

}  // namespace

std::string shell_command(const std::vector<std::string>& words) {
  std::string line;
  for (const auto& word : words) line += (line.empty() ? "" : " ") + quoted_for_shell(word);
  return line;
}

}  // namespace filemap
