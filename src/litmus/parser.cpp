// The litmus language (docs/litmus-format.md), by recursive descent.
//
// A file is read once, from its beginning to its end, and every name is looked up where it stands:
// files, handles and patterns are declared before the processes use them, and edges and registers
// come to be where they are first named. What can only be judged when all processes are known (is
// an edge notified? is a handle open by then?) is judged by check(), which is why the places of
// statements are kept until then. The condition comes last, so it knows all registers.
//
// Only conditions nest, and only to a limit, so no input makes the recursion deep. Numbers and
// counts are bounded where they are read.

#include "filemap/litmus/parser.hpp"

#include "check.hpp"
#include "lexer.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace filemap::litmus {

namespace {

using words = std::vector<std::string>;

std::optional<group_kind> find_group(std::string_view word) {
  if (word == "batch") return group_kind::batch;
  if (word == "link") return group_kind::link;
  if (word == "hardlink") return group_kind::hardlink;
  return std::nullopt;
}

bool is_quantifier(std::string_view word) {
  return word == "exists" || word == "forall" || word == "forbidden";
}

bool is_process_name(std::string_view word) {
  return word.size() > 1 && word[0] == 'P' &&
         word.find_first_not_of("0123456789", 1) == std::string_view::npos;
}

bool is_reserved(std::string_view word) {
  constexpr std::array<std::string_view, 10> others = {
      "F", "source", "file", "handle", "reopen", "none", "not", "drain", "zeros", "res"};
  return find_verb(word) != nullptr || find_group(word) || is_quantifier(word) ||
         is_process_name(word) || std::find(others.begin(), others.end(), word) != others.end();
}

// --- names

// Letters to leave out, add or change until they are the same (Levenshtein).
std::size_t distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < from.size(); ++i) {
    auto diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < to.size(); ++j) {
      const auto changed = diagonal + (from[i] == to[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

// "did you mean fsync?", or all the verbs.
std::string verbs_like(std::string_view word) {
  constexpr std::size_t misspelled = 2;
  const verb_traits* closest = nullptr;
  std::string all;
  for (const auto& row : all_verbs) {
    if (!is_in_language(row.what)) continue;
    all += fmt::format("{}{}", all.empty() ? "" : ", ", row.name);
    if (closest == nullptr || distance(word, row.name) < distance(word, closest->name)) {
      closest = &row;
    }
  }
  return distance(word, closest->name) <= misspelled
             ? fmt::format("did you mean {}?", closest->name)
             : fmt::format("there is {}", all);
}

std::string join(const words& names) { return fmt::format("{}", fmt::join(names, ", ")); }

template <typename Named>
words names_of(const std::vector<Named>& all) {
  words names;
  for (const auto& one : all) names.push_back(one.name);
  return names;
}

std::optional<std::size_t> find(const words& names, std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<std::size_t>(found - names.begin());
}

std::string there_are(const words& names) {
  return names.empty() ? "there are none" : fmt::format("there is {}", join(names));
}

// --- the parser

class parser {
 public:
  explicit parser(const source_text& source) : source_(source), tokens_(lex(source)) {
    test_.patterns.emplace_back("zeros");
  }

  test run() {
    parse_header();
    parse_initial_state();
    while (is_process_name(now().text)) parse_process();
    if (test_.processes.empty()) expected("a process, as in P0(writer) { … }");
    resolve_cancels();
    parse_condition();
    if (now().kind != token_kind::end) expected("the end of the file after the condition");
    complete(test_);
    check(test_, places_, source_);
    return std::move(test_);
  }

 private:
  // --- tokens
  const token& now() const noexcept { return tokens_[at_]; }
  const token& after() const noexcept { return at(1); }
  const token& at(std::size_t ahead) const noexcept {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  bool is(std::string_view text) const noexcept { return is(now(), text); }
  static bool is(const token& token, std::string_view text) noexcept {
    return token.kind != token_kind::string && token.text == text;
  }
  token take() {
    const auto token = now();
    if (token.kind != token_kind::end) ++at_;
    return token;
  }
  bool accept(std::string_view text) {
    if (!is(text)) return false;
    ++at_;
    return true;
  }
  [[noreturn]] void fail(const token& where, std::string_view what) const {
    source_.fail(where.at, what);
  }
  [[noreturn]] void expected(std::string_view what) const {
    fail(now(), fmt::format("expected {}, found {}", what, describe(now())));
  }
  token expect(std::string_view symbol, std::string_view where) {
    if (!is(symbol)) expected(fmt::format("'{}' {}", symbol, where));
    return take();
  }
  token expect(token_kind kind, std::string_view what) {
    if (now().kind != kind) expected(what);
    return take();
  }
  std::size_t line_of(std::size_t at) const noexcept { return source_.line_of(at); }

  // A name that is to be something new.
  token new_name(std::string_view of) {
    const auto name = expect(token_kind::word, fmt::format("the name of {}", of));
    constexpr std::size_t longest = 32;
    if (is_reserved(name.text)) {
      fail(name, fmt::format("'{}' is a word of the language; choose another name for {}",
                             name.text, of));
    }
    if (name.text.size() > longest) {
      fail(name, fmt::format("a name is at most {} characters long", longest));
    }
    return name;
  }
  // Files, handles and patterns share one space of names.
  token new_object(std::string_view of) {
    const auto name = new_name(of);
    const auto refuse = [&](std::string_view what) {
      fail(name, fmt::format("'{}' is the name of a {} already; choose another", name.text, what));
    };
    if (find(names_of(test_.files), name.text)) refuse("file");
    if (find(names_of(test_.handles), name.text)) refuse("handle");
    if (find(test_.patterns, name.text)) refuse("pattern");
    return name;
  }
  // Nor does anything else have the name of a pattern: what would `d[10]` be?
  void check_no_pattern(const token& name, std::string_view of) const {
    if (find(test_.patterns, name.text)) {
      fail(name, fmt::format("'{}' is the name of a pattern already; choose another for {}",
                             name.text, of));
    }
  }
  void check_new_pattern(const token& name) const {
    const auto refuse = [&](std::string_view what) {
      fail(name,
           fmt::format("'{0}' is {1}, and data is of patterns, as in lorem[123] or zeros[4k]; "
                       "choose a name that nothing else has",
                       name.text, what));
    };
    if (is_process_name(name.text)) refuse("a process");
    if (find(names_of(test_.files), name.text)) refuse("a file");
    if (find(names_of(test_.handles), name.text)) refuse("a handle");
    if (find(names_of(test_.registers), name.text)) refuse("a register");
    if (find(test_.edges, name.text)) refuse("an edge");
    if (find(names_of(test_.processes), name.text)) refuse("a process");
  }
  void limit(const token& where, std::size_t count, std::size_t most, std::string_view what) const {
    if (count >= most) fail(where, fmt::format("a test has at most {} {}", most, what));
  }

  // --- the header
  void parse_header() {
    if (!accept("F")) expected("F and the name of the test, as in F tokio-4796");
    constexpr std::size_t longest = 64;
    const auto name = expect(token_kind::word, "the name of the test, as in F tokio-4796");
    if (name.text.size() > longest || name.text.front() == '-' || name.text.front() == '.') {
      fail(name, fmt::format("the name of a test begins with a letter or a digit and is at most {} "
                             "characters long",
                             longest));
    }
    test_.name = name.text;
    test_.question =
        expect(token_kind::string, "the question that the test answers, in quotes").text;
    if (accept("source")) {
      test_.source = expect(token_kind::string, "in quotes where the question was asked").text;
    }
  }

  // --- the initial state
  void parse_initial_state() {
    expect("{", "before the initial state");
    while (!accept("}")) {
      if (is("file")) {
        parse_file();
      } else if (is("handle")) {
        parse_handle();
      } else {
        expected("file, handle, or '}' after the initial state");
      }
    }
  }

  void parse_file() {
    const auto keyword = take();
    limit(keyword, test_.files.size(), max_files, "files");
    file_declaration file{std::string(new_object("a file").text), true, {}};
    expect("=", "and what the file holds, as in file f = \"\"");
    if (accept("none")) {
      file.exists = false;
    } else {
      file.initial = parse_contents("none, \"\" or the contents of the file, as in old[4k]");
    }
    expect(";", "after the contents of the file");
    test_.files.push_back(std::move(file));
  }

  void parse_handle() {
    const auto keyword = take();
    limit(keyword, test_.handles.size(), max_handles, "handles");
    const auto name = new_object("a handle");
    handle_declaration handle;
    handle.name = name.text;
    if (!accept("=")) {
      handle.from = handle_origin::later;
    } else if (is("open") || is("clone") || is("reopen")) {
      parse_origin(handle);
    } else {
      if (is_reserved(now().text) || now().kind != token_kind::word) {
        expected("open FILE, clone HANDLE, reopen HANDLE or the name of a handle");
      }
      handle.from = handle_origin::same;
      handle.source = earlier_handle();
    }
    expect(";", "after the handle");
    test_.handles.push_back(std::move(handle));
    places_.handles.push_back({name.at, {}});
  }

  // A handle that has a value where the next one is declared.
  std::uint8_t earlier_handle() {
    const auto name = now();
    const auto index = parse_handle_name();
    if (test_.handles[index].from == handle_origin::later) {
      fail(name,
           fmt::format("'{}' has no value before a process opens it; clone it in that process",
                       name.text));
    }
    return index;
  }

  // After `=`: open FILE FLAG…, clone HANDLE or reopen HANDLE FLAG…
  void parse_origin(handle_declaration& handle) {
    const auto how = take();
    handle.from = is(how, "clone") ? handle_origin::clone : handle_origin::open;
    if (is(how, "open")) {
      const auto name = now();
      handle.source = parse_file_name();
      if (!test_.files[handle.source].exists) {
        fail(name,
             fmt::format("there is no file '{}' at the start; open it in a process", name.text));
      }
    } else {
      handle.source = earlier_handle();
      if (is(how, "reopen")) handle.source = file_of(handle.source);
    }
    parse_flags(handle);
  }

  void parse_flags(handle_declaration& handle) {
    if (handle.from == handle_origin::clone) return;  // it has those of what it is a clone of
    while (now().kind == token_kind::word) {
      bool* const flag = is("append")   ? &handle.append
                         : is("direct") ? &handle.direct
                         : is("dsync")  ? &handle.dsync
                                        : nullptr;
      if (flag == nullptr) expected("append, direct, dsync or ';'");
      if (*flag) fail(now(), fmt::format("'{}' is said twice", now().text));
      *flag = true;
      take();
    }
  }

  // The name under which a handle was opened.
  std::uint8_t file_of(std::uint8_t handle) const {
    while (test_.handles[handle].from != handle_origin::open) handle = test_.handles[handle].source;
    return test_.handles[handle].source;
  }

  // --- names that must be there
  std::uint8_t parse_file_name() {
    const auto name = expect(token_kind::word, "the name of a file");
    if (const auto index = find(names_of(test_.files), name.text)) return narrow(*index);
    const auto hint = find(names_of(test_.handles), name.text)
                          ? fmt::format("'{}' is a handle; the name of a file is needed", name.text)
                          : fmt::format("there is no file '{}'", name.text);
    fail(name, fmt::format("{}; {}", hint, there_are(names_of(test_.files))));
  }

  std::uint8_t parse_handle_name() {
    const auto name = expect(token_kind::word, "the name of a handle");
    if (const auto index = find(names_of(test_.handles), name.text)) return narrow(*index);
    if (find(names_of(test_.files), name.text)) {
      fail(name, fmt::format("'{}' is a file; declare a handle of it: handle h = open {};",
                             name.text, name.text));
    }
    fail(name,
         fmt::format("there is no handle '{}'; {}", name.text, there_are(names_of(test_.handles))));
  }

  std::uint8_t parse_edge(verb what) {
    const auto name = new_name("an edge");
    check_no_pattern(name, "the edge");
    auto index = find(test_.edges, name.text);
    if (!index) {
      limit(name, test_.edges.size(), max_edges, "edges");
      index = test_.edges.size();
      test_.edges.emplace_back(name.text);
      places_.edges.emplace_back();
    }
    auto& uses = places_.edges[*index];
    auto& use = what == verb::notify ? uses.notified : uses.waited;
    const auto statement = this_statement();
    if (use) {
      const auto line = line_of(places_.of(*use));
      if (what == verb::wait) {
        fail(name, fmt::format("line {} waits for '{}' already, and a notification has one waiter; "
                               "notify an edge of its own for this wait",
                               line, name.text));
      }
      fail(name, fmt::format("line {} notifies '{}' already; give this notification an edge of its "
                             "own",
                             line, name.text));
    }
    use = statement;
    return narrow(*index);
  }

  static std::uint8_t narrow(std::size_t index) noexcept {
    return static_cast<std::uint8_t>(index);
  }

  // --- numbers and data
  std::uint64_t parse_size(std::string_view what) {
    const auto number = expect(token_kind::number, what);
    bound(number, number.number);
    return number.number;
  }
  void bound(const token& where, std::uint64_t size) const {
    if (size > max_file_size) {
      fail(where, fmt::format("that is beyond {} MiB, where every file and pattern ends",
                              max_file_size >> 20));
    }
  }

  struct range {
    std::uint64_t from = 0;
    std::uint64_t size = 0;
  };
  // `[SIZE]` or `[FROM..TO]`
  range parse_range(std::string_view of) {
    expect("[", fmt::format("after '{}', as in {}[4k] or {}[4k..8k]", of, of, of));
    const auto first = now();
    range range{0, parse_size("a size in bytes, or FROM..TO")};
    if (accept("..")) {
      const auto to = parse_size("where the range ends, in bytes");
      if (to <= range.size) fail(first, "this range is empty; it ends before it begins");
      range = {range.size, to - range.size};
    }
    if (range.size == 0) fail(first, "this range is empty; no bytes at all are written \"\"");
    expect("]", "after the range");
    return range;
  }

  slice parse_slice() {
    const auto name =
        expect(token_kind::word, "a slice of a pattern, as in lorem[123] or zeros[4k]");
    auto pattern = find(test_.patterns, name.text);
    if (!pattern) {
      check_new_pattern(name);
      if (in_condition_) {
        fail(name,
             fmt::format("no file and no write holds '{}', so nothing is ever equal to it; {}",
                         name.text, there_are(test_.patterns)));
      }
      --at_;
      new_name("a pattern");
      limit(name, test_.patterns.size() - 1, max_patterns, "patterns");
      pattern = test_.patterns.size();
      test_.patterns.emplace_back(name.text);
    }
    const auto range = parse_range(name.text);
    if (*pattern == zeros) return {zeros, 0, range.size};
    lengthen(name, *pattern, range.from + range.size);
    return {static_cast<std::uint16_t>(*pattern), range.from, range.size};
  }

  // Every pattern lies in memory as long as the test needs it.
  void lengthen(const token& name, std::size_t pattern, std::uint64_t end) {
    pattern_ends_.resize(test_.patterns.size());
    pattern_ends_[pattern] = std::max(pattern_ends_[pattern], end);
    const auto total =
        std::accumulate(pattern_ends_.begin(), pattern_ends_.end(), std::uint64_t{0});
    if (total > max_total_size) {
      fail(name, fmt::format("the patterns are longer than {} MiB in all; use smaller sizes",
                             max_total_size >> 20));
    }
  }

  // `""`, or slices one after the other
  contents parse_contents(std::string_view what) {
    contents contents;
    if (now().kind == token_kind::string && now().text.empty()) {
      take();
      return contents;
    }
    const auto first = now();
    do {
      if (now().kind != token_kind::word) expected(what);
      contents.append(parse_slice());
      bound(first, contents.size());
    } while (now().kind == token_kind::word);
    return contents;
  }

  // --- processes
  void parse_process() {
    const auto name = take();
    limit(name, test_.processes.size(), max_processes, "processes");
    if (name.text != fmt::format("P{}", test_.processes.size())) {
      fail(name, fmt::format("expected P{}: processes are numbered in their order, found '{}'",
                             test_.processes.size(), name.text.substr(0, 40)));
    }
    test_.processes.emplace_back();
    places_.statements.emplace_back();
    if (accept("(")) {
      const auto called = new_name("a process");
      check_no_pattern(called, "the process");
      process().name = called.text;
      expect(")", "after the name of the process");
    }
    expect("{", "before the statements of the process");
    while (!accept("}")) {
      if (const auto kind = find_group(now().text); kind && is(after(), "{")) {
        parse_group(*kind);
      } else {
        parse_statement(nullptr);
      }
    }
  }

  process_declaration& process() noexcept { return test_.processes.back(); }
  statement_index this_statement() const noexcept {
    return {narrow(test_.processes.size() - 1), narrow(test_.processes.back().body.size())};
  }

  void parse_group(group_kind kind) {
    const auto name = take();
    expect("{", "");
    group group{kind, static_cast<std::uint16_t>(process().body.size()), 0};
    while (!accept("}")) {
      if (find_group(now().text) && is(after(), "{")) {
        fail(now(), "a group is of statements, not of groups; close the one around it first");
      }
      if (is("drain") && kind != group_kind::batch && group.count > 0) {
        fail(now(), fmt::format("drain in the middle of a {} would drain all of it; put it before "
                                "the first member",
                                name.text));
      }
      parse_statement(&name);
      ++group.count;
    }
    accept(";");
    if (group.count < 2) {
      fail(name, fmt::format("a {} has at least two members; one alone needs no group", name.text));
    }
    process().groups.push_back(group);
  }

  void parse_statement(const token* group) {
    const auto first = now();
    if (process().body.size() >= max_statements) {
      fail(first, fmt::format("a process has at most {} statements", max_statements));
    }
    statement statement;
    statement.line = static_cast<std::uint32_t>(line_of(first.at));
    statement.drain = accept("drain");
    std::optional<token> result;
    if (now().kind == token_kind::word && is(after(), "=")) {
      result = take();
      take();
    }
    const auto verb = now();
    if (is("open") || is("clone") || is("reopen")) {
      parse_opening(statement, first, result);
      check_groupable(statement, verb, group);
    } else {
      const auto* const known = find_verb(verb.text);
      if (known == nullptr || verb.kind != token_kind::word) {
        if (verb.kind == token_kind::word && is(after(), "(")) {
          fail(verb, fmt::format("there is no verb {}; {}", describe(verb), verbs_like(verb.text)));
        }
        expected(group != nullptr
                     ? "a statement, or '}' after the group"
                     : "a statement, as in n = append(w, lorem[123]);, a group, or '}' "
                       "after the process");
      }
      take();
      statement.what = known->what;
      check_groupable(statement, verb, group);
      parse_arguments(statement);
      if (result) statement.result = new_register(*result, statement.what);
    }
    expect(";", fmt::format("after {}", to_string(statement.what)));
    places_.statements.back().push_back(first.at);
    process().body.push_back(statement);
  }

  void check_groupable(const statement& statement, const token& verb, const token* group) const {
    if (is_groupable(statement.what) || (group == nullptr && !statement.drain)) return;
    if (opens(statement.what)) {
      fail(verb, fmt::format("{} does not go into a group and is not drained, as what is submitted "
                             "with it cannot have its handle yet; put it before",
                             verb.text));
    }
    if (reseats(statement.what)) {
      fail(verb, group != nullptr
                     ? fmt::format("a {} in a group could end before the others begin; put it "
                                   "behind the group",
                                   verb.text)
                     : fmt::format("a {} cannot drain; put a drain fsync(…) before it", verb.text));
    }
    fail(verb, fmt::format("{} is not an operation of the ring, so it does not go into a {}",
                           verb.text, group != nullptr ? group->text : "drain"));
  }

  // `r = open f;`, `r = clone w;`, `r = reopen w;` of a handle declared without a value
  void parse_opening(statement& statement, const token& first, const std::optional<token>& result) {
    const auto index = result ? find(names_of(test_.handles), result->text) : std::nullopt;
    if (!index) {
      fail(first, fmt::format("{} gives its value to a handle: declare one as handle {}; and say "
                              "{} = {} …",
                              now().text, result ? result->text : "r", result ? result->text : "r",
                              now().text));
    }
    auto& handle = test_.handles[*index];
    auto& opened = places_.handles[*index].opened;
    if (handle.from != handle_origin::later) {
      fail(*result, fmt::format("'{}' is open from the start; declare it as handle {}; to open it "
                                "here",
                                result->text, result->text));
    }
    if (opened) {
      fail(*result, fmt::format("'{}' is opened in line {} already", result->text,
                                line_of(places_.of(*opened))));
    }
    opened = this_statement();
    const auto how = take();
    statement.what = is(how, "clone") ? verb::clone : verb::open;
    statement.operand = narrow(*index);
    if (is(how, "open")) {
      statement.other = parse_file_name();
    } else {
      const auto of = now();
      statement.other = parse_handle_name();
      if (is(how, "reopen")) statement.other = reopened_file(of, statement.other);
    }
    if (statement.what == verb::open) parse_flags(handle);
    statement.result = add_register(*result, statement.what);
  }

  std::uint8_t reopened_file(const token& where, std::uint8_t handle) const {
    if (test_.handles[handle].from == handle_origin::later) {
      fail(where,
           fmt::format("'{}' has no file before a process opens it; open the file by its name",
                       where.text));
    }
    return file_of(handle);
  }

  void parse_arguments(statement& statement) {
    const auto what = statement.what;
    expect("(", fmt::format("of {}", usage(what)));
    bool first = true;
    for (const auto kind : traits_of(what).arguments) {
      if (kind == argument::none) break;
      if (kind == argument::position && !is_offset_next()) {
        statement.at_cursor = true;
        continue;
      }
      if (!first) expect(",", fmt::format("in {}", usage(what)));
      first = false;
      check_number_is_there(kind, what);
      parse_argument(kind, statement);
    }
    expect(")", fmt::format("after the arguments of {}", to_string(what)));
  }

  // After a comma; what is not the last number is an offset: read(r, 0, 4k), and not read(r, 4k).
  bool is_offset_next() const noexcept {
    return is(",") && after().kind == token_kind::number && is(at(2), ",");
  }

  // append(w, 0, a[4k]) has a number too many, and seek(w) lacks one.
  void check_number_is_there(argument kind, verb what) const {
    const bool number = now().kind == token_kind::number;
    if (kind == argument::data && number) {
      fail(now(),
           fmt::format("expected the data of {}, found {}; data is a slice of a pattern, as in "
                       "lorem[123] or zeros[4k]",
                       usage(what), describe(now())));
    }
    const bool offset = kind == argument::offset || kind == argument::position;
    const auto* const word = offset                                               ? "offset"
                             : kind == argument::size || kind == argument::length ? "size"
                                                                                  : nullptr;
    if (word == nullptr || number) return;
    fail(now(), fmt::format("the {} is missing: expected {}, with the {} in bytes, found {}", word,
                            usage(what), word, describe(now())));
  }

  void parse_argument(argument kind, statement& statement) {
    const auto where = now();
    switch (kind) {
      case argument::none:
      case argument::result:    // parse_opening
      case argument::variable:  // not in the language
        break;
      case argument::handle:
        statement.operand = parse_handle_name();
        break;
      case argument::file:
        statement.operand = parse_file_name();
        break;
      case argument::to_file:
        statement.other = parse_file_name();
        if (statement.other == statement.operand) {
          fail(where, fmt::format("'{}' is renamed to itself", where.text));
        }
        break;
      case argument::edge:
        statement.operand = parse_edge(statement.what);
        break;
      case argument::operation:
        cancels_.push_back({this_statement(), parse_register_name()});
        break;
      case argument::data:
        statement.data = parse_slice();
        if (now().kind == token_kind::word) {
          fail(now(),
               fmt::format("{} takes one slice; write the next one by a statement of its own",
                           to_string(statement.what)));
        }
        break;
      case argument::length:
        statement.offset = parse_size("a size in bytes");
        break;
      case argument::offset:
      case argument::position:
        statement.offset = parse_size("an offset in bytes");
        break;
      case argument::size:
        statement.size = parse_size("a size in bytes");
        if (statement.size == 0) fail(where, "a size of 0 does nothing; at least 1 is expected");
        break;
    }
  }

  // --- registers
  std::int16_t new_register(const token& name, verb producer) {
    if (!has_result(producer)) {
      fail(name, fmt::format("{} has no result, so no register takes it", to_string(producer)));
    }
    const auto taken = find(names_of(test_.handles), name.text);
    if (taken) {
      fail(name, fmt::format("'{}' is a handle, which only open, clone and reopen give a value; "
                             "choose another name for the register",
                             name.text));
    }
    if (is_reserved(name.text)) {
      fail(name, fmt::format("'{}' is a word of the language; choose another name for the register",
                             name.text));
    }
    return add_register(name, producer);
  }

  std::int16_t add_register(const token& name, verb producer) {
    const auto process = narrow(test_.processes.size() - 1);
    if (const auto earlier = find_register(process, name.text)) {
      fail(name, fmt::format("'{}' is set in line {} already; a register is set once", name.text,
                             line_of(places_.of(places_.registers[*earlier]))));
    }
    check_no_pattern(name, "the register");
    limit(name, test_.registers.size(), max_registers, "registers");
    test_.registers.push_back({std::string(name.text), process, producer});
    places_.registers.push_back(this_statement());
    return static_cast<std::int16_t>(test_.registers.size() - 1);
  }

  std::optional<std::size_t> find_register(std::size_t process, std::string_view name) const {
    for (std::size_t i = 0; i < test_.registers.size(); ++i) {
      const auto& known = test_.registers[i];
      if (known.process == process && known.name == name) return i;
    }
    return std::nullopt;
  }

  struct register_name {
    token process;
    token name;
  };
  // `P0:n`; it may be of a process that comes later.
  register_name parse_register_name() {
    if (!is_process_name(now().text)) expected("a register with its process, as in P0:n");
    const auto process = take();
    expect(":", fmt::format("after {}, as in {}:n", process.text.substr(0, 40),
                            process.text.substr(0, 40)));
    return {process, expect(token_kind::word, "the name of a register")};
  }

  std::size_t find_register(const register_name& wanted) const {
    std::size_t process = 0;
    while (process < test_.processes.size() && wanted.process.text != fmt::format("P{}", process)) {
      ++process;
    }
    if (process == test_.processes.size()) {
      fail(wanted.process, fmt::format("there is no process {}; the last is P{}",
                                       wanted.process.text.substr(0, 40), process - 1));
    }
    if (const auto index = find_register(process, wanted.name.text)) return *index;
    words known;
    for (const auto& one : test_.registers) {
      if (one.process == process) known.push_back(one.name);
    }
    fail(wanted.name,
         fmt::format("P{} sets no register '{}'; {}", process, wanted.name.text, there_are(known)));
  }

  // `cancel(P0:n)`: the operation whose result is n
  void resolve_cancels() {
    for (const auto& cancel : cancels_) {
      const auto& target = test_.registers[find_register(cancel.target)];
      const auto place = places_.registers[find_register(cancel.target)];
      if (target.process == cancel.at.process) {
        fail(cancel.target.process,
             "a process waits for each of its operations before the next, so there is nothing of "
             "its "
             "own to cancel; name an operation of another process");
      }
      if (!is_groupable(target.producer)) {
        fail(cancel.target.name, fmt::format("{} cannot be cancelled; name the register of an "
                                             "operation on a file",
                                             to_string(target.producer)));
      }
      auto& statement = test_.processes[cancel.at.process].body[cancel.at.statement];
      statement.operand = place.process;
      statement.other = place.statement;
    }
  }

  // --- the condition
  void parse_condition() {
    in_condition_ = true;
    auto& quantifier = test_.condition.quantifier;
    if (accept("exists")) {
      quantifier = quantifier::exists;
    } else if (accept("forall")) {
      quantifier = quantifier::forall;
    } else if (accept("forbidden") || (is("~") && is(after(), "exists"))) {
      quantifier = quantifier::not_exists;
      if (accept("~")) take();
    } else {
      expected(is("~") ? "~exists" : "a process, or exists, ~exists, forbidden or forall");
    }
    test_.condition.root = parse_disjunction(0);
  }

  using node_kind = condition_node::kind;

  std::uint16_t add_node(condition_node node) {
    auto& nodes = test_.condition.nodes;
    constexpr std::size_t most = 256;
    if (nodes.size() >= most) fail(now(), "the condition is too long");
    nodes.push_back(std::move(node));
    return static_cast<std::uint16_t>(nodes.size() - 1);
  }
  std::uint16_t add_node(node_kind kind, std::uint16_t left, std::uint16_t right) {
    condition_node node;
    node.what = kind;
    node.left = left;
    node.right = right;
    return add_node(std::move(node));
  }

  std::uint16_t parse_disjunction(unsigned depth) {
    auto left = parse_conjunction(depth);
    while (accept("\\/")) {
      const auto right = parse_conjunction(depth);
      left = add_node(node_kind::disjunction, left, right);
    }
    return left;
  }

  std::uint16_t parse_conjunction(unsigned depth) {
    auto left = parse_unary(depth);
    while (accept("/\\")) {
      const auto right = parse_unary(depth);
      left = add_node(node_kind::conjunction, left, right);
    }
    return left;
  }

  std::uint16_t parse_unary(unsigned depth) {
    constexpr unsigned deepest = 64;
    if (depth > deepest) fail(now(), "the condition nests too deep");
    if (accept("not")) {
      const auto negated = parse_unary(depth + 1);
      return add_node(node_kind::negation, negated, negated);
    }
    if (accept("(")) {
      const auto inner = parse_disjunction(depth + 1);
      expect(")", "in the condition");
      return inner;
    }
    return parse_atom();
  }

  std::uint16_t parse_atom() {
    atom atom;
    const auto first = now();
    std::string subject;
    if (is_process_name(first.text) && first.kind == token_kind::word) {
      const auto name = parse_register_name();
      atom.index = narrow(find_register(name));
      subject = fmt::format("{}:{}", name.process.text, name.name.text);
      parse_register_field(atom, subject, name.name);
    } else if (first.kind == token_kind::word && !is_reserved(first.text)) {
      atom.of_file = true;
      atom.index = parse_observed_file();
      subject = first.text;
      parse_file_field(atom, subject);
    } else {
      expected("a register as in P0:n.res, a file, 'not' or '('");
    }
    if (atom.of_file && atom.what == field::data && !atom.from) {
      if (const auto existence = parse_existence(atom)) return *existence;
    }
    parse_comparison(atom, subject);
    condition_node node;
    node.atom = std::move(atom);
    return add_node(std::move(node));
  }

  std::uint8_t parse_observed_file() {
    if (find(names_of(test_.handles), now().text)) {
      fail(now(),
           fmt::format("'{}' is a handle; a condition looks at registers and files", now().text));
    }
    for (const auto& known : test_.registers) {
      if (known.name == now().text) {
        fail(now(), fmt::format("a register is named with its process: P{}:{}", known.process,
                                known.name));
      }
    }
    return parse_file_name();
  }

  // `.res`, `.size`, or nothing and perhaps a range: the data
  void parse_register_field(atom& atom, const std::string& subject, const token& name) {
    const auto producer = test_.registers[atom.index].producer;
    const auto has = [&](field what) {
      return what == field::res || (what == field::size && has_size(producer)) ||
             (what == field::data && has_data(producer));
    };
    const auto where = is(".") ? after() : name;
    atom.what = parse_field();
    if (has(atom.what)) {
      if (atom.what == field::data) parse_data_range(atom, subject);
      return;
    }
    const auto fields = has_size(producer)   ? fmt::format("{0}.res and {0}.size", subject)
                        : has_data(producer) ? fmt::format("{0}.res and the data, {0}", subject)
                                             : fmt::format("{}.res", subject);
    fail(where,
         fmt::format("{} is the result of {}, which has {}", subject, to_string(producer), fields));
  }

  void parse_file_field(atom& atom, const std::string& subject) {
    const auto where = after();
    atom.what = parse_field();
    if (atom.what == field::res) {
      fail(where, fmt::format("a file has {0}.size and its data, {0}", subject));
    }
    if (atom.what == field::data) parse_data_range(atom, subject);
  }

  field parse_field() {
    if (!accept(".")) return field::data;
    if (accept("res")) return field::res;
    if (accept("size")) return field::size;
    expected("res or size after the '.'");
  }

  void parse_data_range(atom& atom, const std::string& subject) {
    if (!is("[")) return;
    const auto range = parse_range(subject);
    atom.from = range.from;
    compared_size_ = range.size;
  }

  // `f = none` says what `not f.size >= 0` says.
  std::optional<std::uint16_t> parse_existence(atom atom) {
    const bool equal = is("=");
    if ((!equal && !is("!=")) || !is(after(), "none")) return std::nullopt;
    take();
    take();
    atom.what = field::size;
    atom.how = comparison::greater_equal;
    condition_node node;
    node.atom = std::move(atom);
    const auto exists = add_node(std::move(node));
    return equal ? add_node(node_kind::negation, exists, exists) : exists;
  }

  void parse_comparison(atom& atom, const std::string& subject) {
    constexpr std::array<std::pair<std::string_view, comparison>, 6> operators = {{
        {"=", comparison::equal},
        {"!=", comparison::not_equal},
        {"<", comparison::less},
        {"<=", comparison::less_equal},
        {">", comparison::greater},
        {">=", comparison::greater_equal},
    }};
    const auto* const found = std::find_if(operators.begin(), operators.end(),
                                           [&](const auto& known) { return is(known.first); });
    if (found == operators.end()) {
      expected(atom.what == field::data ? "= or !=" : "one of = != < <= > >=");
    }
    const auto where = take();
    atom.how = found->second;
    if (atom.what == field::data) {
      parse_data_value(atom, subject, where);
    } else {
      parse_number_value(atom, subject);
    }
  }

  // Registers and files are compared with what the test can name.
  void check_is_value(const std::string& subject, std::string_view example) const {
    const bool is_register = is_process_name(now().text) && is(after(), ":");
    const bool is_file = now().kind == token_kind::word && find(names_of(test_.files), now().text);
    if (!is_register && !is_file) return;
    fail(now(),
         fmt::format("{} is compared with a value, not with a {}; say which value both have, "
                     "as in {}",
                     subject, is_register ? "register" : "file", example));
  }

  void parse_data_value(atom& atom, const std::string& subject, const token& how) {
    if (atom.how != comparison::equal && atom.how != comparison::not_equal) {
      fail(how, fmt::format("{} is data, which is compared with = or !=; its size is {}", subject,
                            atom.of_file ? subject + ".size" : subject + ".res"));
    }
    const auto value = now();
    check_is_value(subject, "P0:d = lorem[123] /\\ P1:d = lorem[123]");
    if (value.kind == token_kind::number || is("-")) {
      fail(value, fmt::format("{} is data: compare it with a slice, as in lorem[123], zeros[4k] or "
                              "\"\"; the number of its bytes is {}",
                              subject, atom.of_file ? subject + ".size" : subject + ".res"));
    }
    atom.value = parse_contents("a slice of a pattern, as in lorem[123] or zeros[4k], or \"\"");
    if (atom.from && atom.value.size() != compared_size_) {
      fail(value, fmt::format("{} bytes are compared with {}, so they always differ",
                              compared_size_, atom.value.size()));
    }
  }

  void parse_number_value(atom& atom, const std::string& subject) {
    const bool res = atom.what == field::res;
    const auto what = res ? "a number of bytes or an error, as in -EIO" : "a number of bytes";
    const auto field = fmt::format("{}.{}", subject, res ? "res" : "size");
    check_is_value(field, "P0:n.res = 123 /\\ P1:m.res = 123");
    if (now().kind != token_kind::number && !(res && is("-"))) {
      fail(now(), fmt::format("{} is compared with {}, found {}", field, what, describe(now())));
    }
    const bool negative = accept("-");
    const auto value = now();
    if (negative && value.kind == token_kind::word) {
      atom.number = -error_number(take());
    } else {
      const auto number = expect(token_kind::number, what);
      atom.number = static_cast<std::int64_t>(number.number) * (negative ? -1 : 1);
    }
  }

  std::int64_t error_number(const token& name) const {
    constexpr int last = 133;  // EHWPOISON
    for (int error = 1; error <= last; ++error) {
      const char* const known = ::strerrorname_np(error);
      if (known != nullptr && name.text == known) return error;
    }
    fail(name, fmt::format("there is no error '{}'; errno(3) lists them, as EIO", name.text));
  }

  struct pending_cancel {
    statement_index at;
    register_name target;
  };

  const source_text& source_;
  const std::vector<token> tokens_;
  std::size_t at_ = 0;
  test test_;
  places places_;
  std::vector<pending_cancel> cancels_;
  std::vector<std::uint64_t> pattern_ends_;  // bytes
  std::uint64_t compared_size_ = 0;
  bool in_condition_ = false;  // which makes no patterns
};

}  // namespace

test parse(std::string_view text, std::string_view name) {
  const source_text source(text, name);
  return parser(source).run();
}

}  // namespace filemap::litmus
