#include "lexer.hpp"

#include "filemap/litmus/parser.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace filemap::litmus {

namespace {

// By hand, as those of <cctype> look at the locale.
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_word(char c) { return is_letter(c) || is_digit(c); }
bool is_printable(char c) { return c >= ' ' && c <= '~'; }
bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

std::string show(char c) {
  if (is_printable(c)) return fmt::format("'{}'", c);
  return fmt::format("the byte 0x{:02x}", static_cast<unsigned char>(c));
}

class lexer {
 public:
  explicit lexer(const source_text& source) : source_(source), text_(source.text()) {}

  std::vector<token> run() {
    if (text_.size() > max_source_size) {
      source_.fail(max_source_size,
                   fmt::format("the file is longer than {} KiB", max_source_size >> 10));
    }
    for (skip_blanks(); at_ < text_.size(); skip_blanks()) {
      tokens_.push_back(tokens_.size() == 1 ? test_name() : next());
    }
    // The end is where the last token ends, so that an error has a line to show.
    tokens_.push_back({token_kind::end, {}, end_, 0});
    return std::move(tokens_);
  }

 private:
  bool begins(std::string_view what) const noexcept {
    return text_.substr(at_, what.size()) == what;
  }

  void skip_blanks() {
    end_ = at_;
    while (at_ < text_.size()) {
      if (is_space(text_[at_])) {
        ++at_;
      } else if (begins("//")) {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (begins("(*")) {
        const auto close = text_.find("*)", at_ + 2);
        if (close == std::string_view::npos) {
          source_.fail(at_, "this comment is not closed; a *) is expected");
        }
        at_ = close + 2;
      } else {
        return;
      }
    }
  }

  template <typename Predicate>
  token take(token_kind kind, Predicate belongs) {
    const auto begin = at_;
    while (at_ < text_.size() && belongs(text_[at_])) ++at_;
    return {kind, text_.substr(begin, at_ - begin), begin, 0};
  }

  // The second word of a file: it may have what would elsewhere be other tokens, as in tokio-4796.
  token test_name() {
    const auto name = take(token_kind::word,
                           [](char c) { return is_word(c) || c == '-' || c == '+' || c == '.'; });
    return name.text.empty() ? next() : name;
  }

  token next() {
    const char c = text_[at_];
    if (is_letter(c)) return take(token_kind::word, is_word);
    if (is_digit(c)) return number();
    if (c == '"') return string();
    return symbol();
  }

  token number() {
    auto number = take(token_kind::number, is_digit);
    bool fits = true;
    for (const char digit : number.text) {
      const auto value = static_cast<std::uint64_t>(digit - '0');
      fits = fits && number.number <= (max_number - value) / 10;
      if (fits) number.number = number.number * 10 + value;
    }
    const auto unit = factor(take(token_kind::word, is_word));
    if (!fits || number.number > max_number / unit) {
      source_.fail(number.at, "this number is too large");
    }
    number.number *= unit;
    number.text = text_.substr(number.at, at_ - number.at);
    return number;
  }

  std::uint64_t factor(const token& unit) const {
    for (const std::string_view k : {"k", "K", "kB", "KB", "kiB", "KiB"}) {
      if (unit.text == k) return std::uint64_t{1} << 10;
    }
    for (const std::string_view m : {"m", "M", "mB", "MB", "MiB", "miB"}) {
      if (unit.text == m) return std::uint64_t{1} << 20;
    }
    if (unit.text.empty() || unit.text == "B") return 1;
    source_.fail(unit.at, fmt::format("a number may end in k (1024) or M (1024 k), found '{}'",
                                      unit.text.substr(0, 40)));
  }

  token string() {
    const auto open = at_++;
    auto string = take(token_kind::string, [](char c) { return is_printable(c) && c != '"'; });
    if (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\n') {
      source_.fail(at_, fmt::format("quoted text is of printable ASCII characters, found {}",
                                    show(text_[at_])));
    }
    if (at_ == text_.size() || text_[at_] == '\n') {
      source_.fail(open, "this quote is not closed on its line; a second \" is expected");
    }
    ++at_;
    string.at = open;
    return string;
  }

  token symbol() {
    static constexpr std::array<std::string_view, 22> symbols = {
        "==", "!=", "<=", ">=", "..", "/\\", "\\/", "{", "}", "(", ")",
        "[",  "]",  ",",  ";",  ":",  "=",   "<",   ">", ".", "~", "-"};
    for (const auto symbol : symbols) {
      if (!begins(symbol)) continue;
      at_ += symbol.size();
      return {token_kind::symbol, text_.substr(at_ - symbol.size(), symbol.size()),
              at_ - symbol.size(), 0};
    }
    source_.fail(at_, fmt::format("{} has no meaning here", show(text_[at_])));
  }

  const source_text& source_;
  const std::string_view text_;
  std::size_t at_ = 0;
  std::size_t end_ = 0;
  std::vector<token> tokens_;
};

}  // namespace

std::size_t source_text::line_of(std::size_t at) const noexcept {
  const auto before = text_.substr(0, at);
  return 1 + static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
}

void source_text::fail(std::size_t at, std::string_view what) const {
  constexpr std::size_t most_before = 120;
  constexpr std::size_t most_after = 60;
  const auto newline = at == 0 ? std::string_view::npos : text_.rfind('\n', at - 1);
  const auto begin = newline == std::string_view::npos ? 0 : newline + 1;
  auto end = std::min(text_.find('\n', at), text_.size());
  if (end > at && text_[end - 1] == '\r') --end;
  // Of a line that would not fit, the part around the position.
  const auto shown = at - begin > most_before ? at - most_before : begin;
  std::string line;
  std::string indent;
  for (auto i = shown; i < std::min(end, at + most_after); ++i) {
    const char c = text_[i];
    const bool control = static_cast<unsigned char>(c) < ' ' || c == '\x7f';
    line += c == '\t' ? ' ' : control ? '?' : c;
    if (i < at && !is_continuation(c)) indent += ' ';
  }
  const auto number = line_of(at);
  const auto column = at - begin + 1;
  throw parse_error(
      fmt::format("{}:{}:{}: {}\n  {}\n  {}^", name_, number, column, what, line, indent), number,
      column);
}

std::vector<token> lex(const source_text& source) { return lexer(source).run(); }

std::string describe(const token& token) {
  const auto text = token.text.substr(0, 40);
  switch (token.kind) {
    case token_kind::end:
      return "the end of the file";
    case token_kind::string:
      return fmt::format("the text \"{}\"", text);
    case token_kind::word:
    case token_kind::number:
    case token_kind::symbol:
      break;
  }
  return fmt::format("'{}'", text);
}

}  // namespace filemap::litmus
