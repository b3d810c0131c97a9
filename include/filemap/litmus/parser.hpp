#pragma once

#include "filemap/litmus/test.hpp"

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)

namespace filemap::litmus {

/// A litmus file that is not one. `what()` is the whole message, of several lines:
///
///     message.litmus:7:38: expected ')' after the arguments of append, found ';'
///       P0(writer) { n = append(w, lorem[123]; notify(written); }
///                                            ^
class parse_error : public std::runtime_error {
 public:
  parse_error(const std::string& message, std::size_t line, std::size_t column)
      : std::runtime_error(message), line_(line), column_(column) {}
  std::size_t line() const noexcept { return line_; }      ///< from 1
  std::size_t column() const noexcept { return column_; }  ///< in bytes, from 1

 private:
  std::size_t line_;
  std::size_t column_;
};

inline constexpr std::size_t max_source_size = 64 << 10;  ///< bytes of a .litmus file

/// Understands a whole .litmus file (docs/litmus-format.md) and checks it: what it returns can be
/// run. `name` is what errors call the file. Throws parse_error, for any input whatever.
test parse(std::string_view text, std::string_view name);

}  // namespace filemap::litmus

#pragma GCC visibility pop
