#pragma once

#include "base/units.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace filemap {

/// A report as it grows, line by line, in color or not. Every line of it is one that a terminal can
/// show: whatever is in the names, paths and versions that it quotes, no control character comes
/// through but the colors of `paint`.
class styled_text {
 public:
  explicit styled_text(bool color) : color_(color) {}

 protected:
  static constexpr std::size_t width = 80;

  template <typename... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    add(fmt::format(format, std::forward<Args>(args)...));
  }
  /// Words behind a heading, broken at spaces; what follows the first line is indented.
  void wrapped(std::string_view heading, std::string_view words, std::size_t indent,
               std::string_view color = "") {
    std::string left(heading);
    do {
      const auto end = end_of_line(words, width - std::min(width / 2, columns(left)));
      const auto part = words.substr(0, end);
      line("{}{}", left, color.empty() ? std::string(part) : paint(color, part));
      words.remove_prefix(std::min(words.size(), end + 1));
      left.assign(indent, ' ');
    } while (!words.empty());
  }
  /// In the color of an ANSI code: "31" red, "32" green, "33" yellow, "1" bold.
  std::string paint(std::string_view code, std::string_view text) const {
    return color_ ? fmt::format("{}{}{}{}{}{}{}", begin_mark, code, end_mark, text, begin_mark, '0',
                                end_mark)
                  : std::string(text);
  }
  std::string bold(std::string_view text) const { return paint("1", text); }

  /// Gives away what there is.
  std::string take() { return std::move(text_); }

 private:
  // A color is marked so until its line is made, when an escape that is in the text is none.
  static constexpr char begin_mark = '\x0e';
  static constexpr char end_mark = '\x0f';

  static std::size_t columns(std::string_view text) {
    std::size_t count = 0;
    for (bool marked = false; const char c : text) {
      if (c == begin_mark) marked = true;
      if (!marked && (static_cast<unsigned char>(c) & 0xc0) != 0x80) ++count;
      if (c == end_mark) marked = false;
    }
    return count;
  }

  // Where words are broken for so many columns: at the last space that fits, or else at the first.
  static std::size_t end_of_line(std::string_view words, std::size_t room) {
    std::size_t used = 0;
    auto space = std::string_view::npos;
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (words[i] == begin_mark) i = std::min(words.find(end_mark, i), words.size() - 1);
      if (words[i] == end_mark) continue;
      if (used > room && space != std::string_view::npos) return space;
      if (words[i] == ' ') space = i;
      if ((static_cast<unsigned char>(words[i]) & 0xc0) != 0x80) ++used;
    }
    return used > room && space != std::string_view::npos ? space : words.size();
  }

  void add(std::string_view rest) {
    while (!rest.empty()) {
      const auto end =
          rest.front() == begin_mark && color_ ? rest.find(end_mark) : std::string_view::npos;
      const auto code = end == std::string_view::npos ? "" : rest.substr(1, end - 1);
      if (code == "0" || code == "1" || code == "31" || code == "32" || code == "33") {
        fmt::format_to(std::back_inserter(text_), "\x1b[{}m", code);
        rest.remove_prefix(end + 1);
        continue;
      }
      const auto character = first_character_of(rest);
      text_ += character.shown ? rest.substr(0, character.size) : "?";
      rest.remove_prefix(character.size);
    }
    text_ += '\n';
  }

  bool color_;
  std::string text_;
};

}  // namespace filemap
