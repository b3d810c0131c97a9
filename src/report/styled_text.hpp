#pragma once

#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace filemap {

/// A report as it grows, line by line, in color or not.
class styled_text {
 public:
  explicit styled_text(bool color) : color_(color) {}

 protected:
  template <typename... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    text_ += '\n';
  }
  /// In the color of an ANSI code: "31" red, "32" green, "33" yellow, "1" bold.
  std::string paint(std::string_view code, std::string_view text) const {
    return color_ ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
  }
  std::string bold(std::string_view text) const { return paint("1", text); }

  /// Gives away what there is.
  std::string take() { return std::move(text_); }

 private:
  bool color_;
  std::string text_;
};

}  // namespace filemap
