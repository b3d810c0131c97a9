#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace filemap::litmus {

/// The text of a .litmus file, and how errors point into it. Positions are offsets in bytes.
class source_text {
 public:
  source_text(std::string_view text, std::string_view name) : text_(text), name_(name) {}

  std::string_view text() const noexcept { return text_; }
  std::size_t line_of(std::size_t at) const noexcept;  ///< from 1
  /// Throws parse_error: what is wrong, the line and a caret under `at`.
  [[noreturn]] void fail(std::size_t at, std::string_view what) const;

 private:
  std::string_view text_;
  std::string_view name_;
};

enum class token_kind : std::uint8_t { end, word, number, string, symbol };

struct token {
  token_kind kind = token_kind::end;
  std::string_view text;     ///< of a string, without its quotes
  std::size_t at = 0;        ///< where it begins
  std::uint64_t number = 0;  ///< at most max_number
};

inline constexpr std::uint64_t max_number = std::uint64_t{1} << 62;

/// The tokens of a file, without its comments; the last one is `end`. Throws parse_error.
std::vector<token> lex(const source_text& source);

/// As an error names it: "';'", "the word 'fsync'", "the end of the file".
std::string describe(const token& token);

}  // namespace filemap::litmus
