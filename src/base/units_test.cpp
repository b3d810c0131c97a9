#include "units.hpp"

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace filemap {
namespace {

using namespace std::chrono_literals;

/// What the parser complains of; empty when it does not.
template <typename Parse>
std::string complaint(Parse parse, std::string_view text) {
  try {
    parse(text);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

std::string size_complaint(std::string_view text) {
  return complaint([](std::string_view t) { return parse_size(t); }, text);
}
std::string duration_complaint(std::string_view text) {
  return complaint([](std::string_view t) { return parse_duration(t); }, text);
}

TEST(parse_size, takes_plain_bytes) {
  EXPECT_EQ(parse_size("0"), 0U);
  EXPECT_EQ(parse_size("1"), 1U);
  EXPECT_EQ(parse_size("123"), 123U);
  EXPECT_EQ(parse_size("123B"), 123U);
}

TEST(parse_size, takes_powers_of_1024_in_every_spelling) {
  for (const auto* const text : {"4k", "4K", "4kB", "4KB", "4KiB", "4kiB", "4096", "0.00390625M"}) {
    EXPECT_EQ(parse_size(text), 4096U) << text;
  }
  EXPECT_EQ(parse_size("1M"), std::uint64_t{1} << 20);
  EXPECT_EQ(parse_size("1.5GiB"), std::uint64_t{3} << 29);
  EXPECT_EQ(parse_size("2t"), std::uint64_t{1} << 41);
}

TEST(parse_size, refuses_what_is_not_a_number) {
  for (const auto* const text : {"", " 1", "k", "x", "-1", "+1", "inf", "nan", "-0.5k", "NaNk"}) {
    EXPECT_EQ(size_complaint(text), "a number is expected") << text;
  }
}

TEST(parse_size, refuses_units_that_are_not_sizes) {
  for (const auto* const text :
       {"5iB", "5b", "5kk", "5 k", "5kib", "5x", "0x10", "5k ", "5ms", "1,000"}) {
    EXPECT_EQ(size_complaint(text), "a size is a number with k, M or G, as in 4k or 1MiB") << text;
  }
}

TEST(parse_size, refuses_a_part_of_a_byte) {
  for (const auto* const text : {"0.5", "1.0001k", "1e-3"}) {
    EXPECT_EQ(size_complaint(text), "that is not a whole number of bytes") << text;
  }
}

TEST(parse_size, refuses_what_overflows) {
  for (const auto* const text : {"9223372036854775808", "8388608T", "1e300"}) {
    EXPECT_EQ(size_complaint(text), "that is too large") << text;
  }
  EXPECT_EQ(size_complaint("1e999"), "a number is expected");
  EXPECT_EQ(parse_size("4194304T"), std::uint64_t{1} << 62);
}

TEST(parse_count, takes_powers_of_a_thousand) {
  EXPECT_EQ(parse_count("0"), 0U);
  EXPECT_EQ(parse_count("500"), 500U);
  EXPECT_EQ(parse_count("10k"), 10'000U);
  EXPECT_EQ(parse_count("10K"), 10'000U);
  EXPECT_EQ(parse_count("3M"), 3'000'000U);
  EXPECT_EQ(parse_count("2G"), 2'000'000'000U);
  EXPECT_EQ(parse_count("18446744073709551615"), ~std::uint64_t{0});
}

TEST(parse_count, refuses_what_is_not_a_whole_number_or_too_large) {
  for (const auto* const text : {"", "k", "-1", "1.5k", "10kB", "10 k", "1x",
                                 "99999999999999999999", "18446744073709552k"}) {
    EXPECT_THROW(parse_count(text), std::invalid_argument) << text;
  }
}

TEST(parse_duration, takes_every_unit) {
  EXPECT_EQ(parse_duration("20ns"), 20ns);
  EXPECT_EQ(parse_duration("500us"), 500us);
  EXPECT_EQ(parse_duration("500µs"), 500us);
  EXPECT_EQ(parse_duration("2ms"), 2ms);
  EXPECT_EQ(parse_duration("1.5s"), 1500ms);
  EXPECT_EQ(parse_duration("2m"), 2min);
  EXPECT_EQ(parse_duration("1h"), 1h);
  EXPECT_EQ(parse_duration("0s"), 0ns);
}

TEST(parse_duration, refuses_a_bare_number_and_says_what_to_write) {
  for (const auto* const text : {"3", "0.25", "0"}) {
    const auto said = complaint([](std::string_view t) { return parse_duration(t); }, text);
    EXPECT_NE(said.find("write " + std::string(text) + "s for seconds"), std::string::npos) << said;
  }
}

TEST(parse_duration, rounds_to_a_nanosecond) {
  EXPECT_EQ(parse_duration("0.6ns"), 1ns);
  EXPECT_EQ(parse_duration("0.0000001ms"), 0ns);
}

TEST(parse_duration, refuses_what_is_not_a_number) {
  for (const auto* const text : {"", "ms", "-1s", "+1s", "inf", "nan", " 1s", "-0.1ms"}) {
    EXPECT_EQ(duration_complaint(text), "a number is expected") << text;
  }
}

TEST(parse_duration, refuses_units_that_are_not_times) {
  for (const auto* const text : {"2 ms", "2MS", "2sec", "2d", "2k", "2mss", "1:30", "2s "}) {
    EXPECT_EQ(duration_complaint(text),
              "a duration is a number with ns, us, ms, s, m or h, as in 2ms")
        << text;
  }
}

TEST(parse_duration, refuses_what_overflows) {
  for (const auto* const text : {"1e19ns", "1e10s", "2000000h"}) {
    EXPECT_EQ(duration_complaint(text), "that is too long") << text;
  }
}

TEST(format_duration, picks_a_unit_and_three_digits) {
  EXPECT_EQ(format_duration(0ns), "0 ns");
  EXPECT_EQ(format_duration(843ns), "843 ns");
  EXPECT_EQ(format_duration(999ns), "999 ns");
  EXPECT_EQ(format_duration(1us), "1.00 µs");
  EXPECT_EQ(format_duration(2100ns), "2.10 µs");
  EXPECT_EQ(format_duration(12'345ns), "12.3 µs");
  EXPECT_EQ(format_duration(123'456ns), "123 µs");
  EXPECT_EQ(format_duration(2ms), "2.00 ms");
  EXPECT_EQ(format_duration(1250ms), "1.25 s");
  EXPECT_EQ(format_duration(2h), "7200 s");
}

TEST(format_percent, never_rounds_something_down_to_nothing) {
  EXPECT_EQ(format_percent(0), "0");
  EXPECT_EQ(format_percent(0.000125), "0.013 %");
  EXPECT_EQ(format_percent(3e-9), "3e-07 %");
  EXPECT_EQ(format_percent(0.015), "1.5 %");
  EXPECT_EQ(format_percent(0.123), "12.3 %");
  EXPECT_EQ(format_percent(0.999), "99.9 %");
  EXPECT_EQ(format_percent(1), "100 %");
}

TEST(format_count, groups_by_thousands) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1000), "1,000");
  EXPECT_EQ(format_count(1'234'567), "1,234,567");
  EXPECT_EQ(format_count(std::numeric_limits<std::uint64_t>::max()), "18,446,744,073,709,551,615");
}

TEST(format_size, picks_a_unit_and_keeps_whole_numbers_whole) {
  EXPECT_EQ(format_size(0), "0 B");
  EXPECT_EQ(format_size(123), "123 B");
  EXPECT_EQ(format_size(64 << 10), "64 KiB");
  EXPECT_EQ(format_size(1536), "1.50 KiB");
  EXPECT_EQ(format_size(std::uint64_t{1} << 30), "1 GiB");
  EXPECT_EQ(format_size(std::uint64_t{5000} << 40), "5000 TiB");
}

TEST(format_size, is_read_back_by_parse_size) {
  for (const std::uint64_t bytes : {1U, 1023U, 1024U, 65536U, 1U << 20, 1U << 30}) {
    auto text = format_size(bytes);
    std::erase(text, ' ');
    EXPECT_EQ(parse_size(text), bytes) << text;
  }
}

// --- what a terminal is shown

TEST(printable, keeps_what_people_write) {
  for (const auto* const text :
       {"", "plain", "Grüße, 世界 🙂", "\xc2\xa0", "\xed\x9f\xbf", "\xef\xbf\xbd"}) {
    EXPECT_EQ(printable(text), text);
  }
}

TEST(printable, replaces_every_control_character) {
  for (int c = 0; c < 0xa0; ++c) {
    const bool control = c < ' ' || c >= 0x7f;
    const auto text =
        c < 0x80 ? std::string(1, static_cast<char>(c)) : std::string{'\xc2', static_cast<char>(c)};
    EXPECT_EQ(printable(text), control ? "?" : text) << c;
  }
}

TEST(printable, replaces_bytes_that_are_not_utf_8) {
  EXPECT_EQ(printable("\x9b"
                      "31m"),
            "?31m");                  // C1 in one byte
  EXPECT_EQ(printable("\xc2"), "?");  // cut short
  EXPECT_EQ(printable("\xe2\x82"), "??");
  EXPECT_EQ(printable("\xc0\x9b"), "??");  // overlong
  EXPECT_EQ(printable("\xe0\x82\x9b"), "???");
  EXPECT_EQ(printable("\xf0\x80\x82\x9b"), "????");
  EXPECT_EQ(printable("\xed\xa0\x80"), "???");       // a surrogate
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "????");  // above U+10FFFF
  EXPECT_EQ(printable("\xff"), "?");
}

TEST(shell_command, quotes_what_a_shell_would_take_for_something_else) {
  EXPECT_EQ(shell_command({"./filemap-uring", "--mode", "a,b+c", "--stall", "write=2ms@0.5"}),
            "./filemap-uring --mode a,b+c --stall write=2ms@0.5");
  EXPECT_EQ(shell_command({"x", "--dir", "a b"}), "x --dir 'a b'");
  EXPECT_EQ(shell_command({"x", ""}), "x ''");
  EXPECT_EQ(shell_command({"x", "it's"}), R"(x 'it'\''s')");
  EXPECT_EQ(shell_command({"x", "$HOME", "`id`", "~", "*"}), "x '$HOME' '`id`' '~' '*'");
}

/// What a shell makes of the words of a line, with a line end after each.
std::string words_of_a_shell(const char* shell, const std::string& line) {
  const auto script = "printf '%s\\n' " + line;
  std::FILE* const out =
      ::popen(fmt::format("{} -c {}", shell, shell_command({script})).c_str(), "r");
  if (out == nullptr) return "";
  std::string words;
  for (int c = 0; (c = std::fgetc(out)) != EOF;) words += static_cast<char>(c);
  ::pclose(out);
  return words;
}

TEST(shell_command, is_one_line_that_a_terminal_shows_and_every_shell_reads_back) {
  const std::vector<std::string> words = {"it's",     "a\nb",     "\x1b[31m%s\\n",
                                          "\xc2\x9b", "\x9b\xff", "é\t'\"$x"};
  const auto line = shell_command(words);
  EXPECT_EQ(printable(line), line);
  std::string expected;
  for (const auto& word : words) expected += word + '\n';
  EXPECT_EQ(words_of_a_shell("sh", line), expected);
  EXPECT_EQ(words_of_a_shell("bash", shell_command({"ends\n\n"})), "ends\n\n\n");
}

}  // namespace
}  // namespace filemap
