#include "filemap/litmus/printer.hpp"

#include "filemap/litmus/parser.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace filemap::litmus {

namespace {

using node_kind = condition_node::kind;

std::string_view to_string(group_kind kind) {
  switch (kind) {
    case group_kind::batch:
      return "batch";
    case group_kind::link:
      return "link";
    case group_kind::hardlink:
      return "hardlink";
  }
  return "";
}

std::string_view to_string(comparison how) {
  switch (how) {
    case comparison::equal:
      return "=";
    case comparison::not_equal:
      return "!=";
    case comparison::less:
      return "<";
    case comparison::less_equal:
      return "<=";
    case comparison::greater:
      return ">";
    case comparison::greater_equal:
      return ">=";
  }
  return "";
}

std::string_view to_string(quantifier quantifier) {
  switch (quantifier) {
    case quantifier::exists:
      return "exists";
    case quantifier::not_exists:
      return "forbidden";
    case quantifier::forall:
      return "forall";
  }
  return "";
}

class printer {
 public:
  explicit printer(const test& test) : test_(test), implied_(test) {
    for (auto& handle : implied_.handles) handle.append = false;
    complete(implied_);
  }

  std::string run() {
    line("F {}", test_.name);
    line("\"{}\"", test_.question);
    if (!test_.source.empty()) line("source \"{}\"", test_.source);
    line("\n{{");
    for (const auto& file : test_.files) {
      line("  file {} = {};", file.name, file.exists ? data(file.initial) : "none");
    }
    for (std::size_t i = 0; i < test_.handles.size(); ++i) declare(i);
    line("}}\n");
    for (std::size_t i = 0; i < test_.processes.size(); ++i) print_process(i);
    line("{} {}", to_string(test_.condition.quantifier), proposition(test_.condition.root));
    return std::move(text_);
  }

 private:
  template <typename... Arguments>
  void line(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Arguments>(arguments)...);
    text_ += '\n';
  }

  // --- the initial state

  void declare(std::size_t index) {
    const auto& handle = test_.handles[index];
    switch (handle.from) {
      case handle_origin::open:
        line("  handle {} = open {}{};", handle.name, test_.files[handle.source].name,
             flags(index));
        break;
      case handle_origin::clone:
        line("  handle {} = clone {};", handle.name, test_.handles[handle.source].name);
        break;
      case handle_origin::same:
        line("  handle {} = {};", handle.name, test_.handles[handle.source].name);
        break;
      case handle_origin::later:
        line("  handle {};", handle.name);
        break;
    }
  }

  // What is appended to has O_APPEND, whether it says so or not.
  std::string flags(std::size_t index) const {
    const auto& handle = test_.handles[index];
    return fmt::format("{}{}{}", handle.append && !implied_.handles[index].append ? " append" : "",
                       handle.direct ? " direct" : "", handle.dsync ? " dsync" : "");
  }

  std::string data(const contents& contents) const { return litmus::to_string(test_, contents); }

  // --- the processes

  void print_process(std::size_t index) {
    const auto& process = test_.processes[index];
    if (process.times != 1) {
      throw std::invalid_argument("a process that is repeated cannot be written as a litmus test");
    }
    const auto name = process.name.empty() ? "" : fmt::format("({})", process.name);
    line("P{}{} {{", index, name);
    auto group = process.groups.begin();
    for (std::size_t at = 0; at < process.body.size(); ++at) {
      const bool grouped = group != process.groups.end() && at >= group->first;
      if (grouped && at == group->first) line("  {} {{", to_string(group->kind));
      line("  {}{};", grouped ? "  " : "", statement_text(process.body[at]));
      if (grouped && at + 1 == group->first + group->count) {
        line("  }}");
        ++group;
      }
    }
    line("}}\n");
  }

  std::string statement_text(const statement& what) const {
    if (!is_in_language(what.what) || what.relative) {
      throw std::invalid_argument(
          fmt::format("{} cannot be written in a litmus test", litmus::to_string(what.what)));
    }
    const auto& kinds = traits_of(what.what).arguments;
    std::vector<std::string> arguments;
    auto index = what.operand;
    for (const auto kind : kinds) {
      if (kind == argument::none) break;
      if (kind == argument::position && what.at_cursor) continue;
      arguments.push_back(argument_text(kind, what, index));
      index = what.other;
    }
    const auto drain = what.drain ? "drain " : "";
    if (opens(what.what)) {
      return fmt::format("{}{} = {} {}{}", drain, arguments[0], litmus::to_string(what.what),
                         arguments[1], what.what == verb::open ? flags(what.operand) : "");
    }
    const auto result =
        what.result < 0
            ? ""
            : fmt::format("{} = ", test_.registers[static_cast<std::size_t>(what.result)].name);
    return fmt::format("{}{}{}({})", drain, result, litmus::to_string(what.what),
                       fmt::join(arguments, ", "));
  }

  std::string argument_text(argument kind, const statement& what, std::size_t index) const {
    switch (kind) {
      case argument::result:
      case argument::handle:
        return test_.handles[index].name;
      case argument::file:
      case argument::to_file:
        return test_.files[index].name;
      case argument::edge:
        return test_.edges[index];
      case argument::operation:
        return register_of(what.operand, what.other);
      case argument::data:
        return data(contents{what.data});
      case argument::offset:
      case argument::position:
      case argument::length:
        return std::to_string(what.offset);
      case argument::size:
        return std::to_string(what.size);
      case argument::none:
      case argument::variable:
        break;
    }
    return "";
  }

  std::string register_of(std::size_t process, std::size_t statement) const {
    const auto result = test_.processes[process].body[statement].result;
    if (result < 0) {
      throw std::invalid_argument("an operation without a register cannot be named by a cancel");
    }
    return register_name(static_cast<std::size_t>(result));
  }
  std::string register_name(std::size_t index) const {
    return fmt::format("P{}:{}", test_.registers[index].process, test_.registers[index].name);
  }

  // --- the condition

  const condition_node& node(std::size_t index) const { return test_.condition.nodes[index]; }

  std::string proposition(std::size_t index) const {
    const auto& what = node(index);
    switch (what.what) {
      case node_kind::atom:
        return existence(what.atom) ? fmt::format("{} != none", subject(what.atom))
                                    : comparison_text(what.atom);
      case node_kind::negation:
        if (node(what.left).what == node_kind::atom && existence(node(what.left).atom)) {
          return fmt::format("{} = none", subject(node(what.left).atom));
        }
        return fmt::format("not {}", operand(what.left, binds_closest));
      case node_kind::conjunction:
        return fmt::format("{} /\\ {}", operand(what.left, binds_closer),
                           operand(what.right, binds_closest));
      case node_kind::disjunction:
        return fmt::format("{} \\/ {}", operand(what.left, binds_loosest),
                           operand(what.right, binds_closer));
    }
    return "";
  }

  // How close what is between no parentheses binds: \/, then /\, then not and an atom. Operators
  // of one kind are read from the left.
  static constexpr int binds_loosest = 0;
  static constexpr int binds_closer = 1;
  static constexpr int binds_closest = 2;
  std::string operand(std::size_t index, int least) const {
    const auto kind = node(index).what;
    const int binds = kind == node_kind::disjunction   ? binds_loosest
                      : kind == node_kind::conjunction ? binds_closer
                                                       : binds_closest;
    return binds < least ? fmt::format("({})", proposition(index)) : proposition(index);
  }

  // `f != none` is `f.size >= 0` to the parser.
  static bool existence(const atom& atom) {
    return atom.of_file && atom.what == field::size && atom.how == comparison::greater_equal &&
           atom.number == 0;
  }

  std::string subject(const atom& atom) const {
    return atom.of_file ? test_.files[atom.index].name : register_name(atom.index);
  }

  std::string comparison_text(const atom& atom) const {
    const auto how = to_string(atom.how);
    if (atom.what == field::data) {
      const auto range =
          atom.from ? fmt::format("[{}..{}]", *atom.from, *atom.from + atom.value.size()) : "";
      return fmt::format("{}{} {} {}", subject(atom), range, how, data(atom.value));
    }
    const auto* const name = atom.what == field::res ? "res" : "size";
    return fmt::format("{}.{} {} {}", subject(atom), name, how, number(atom));
  }

  static std::string number(const atom& atom) {
    constexpr int last_error = 4095;  // MAX_ERRNO of the kernel
    const char* const error = atom.number < 0 && atom.number >= -last_error
                                  ? ::strerrorname_np(static_cast<int>(-atom.number))
                                  : nullptr;
    return error != nullptr ? fmt::format("-{}", error) : std::to_string(atom.number);
  }

  const test& test_;
  test implied_;  // with the flags that need not be said
  std::string text_;
};

}  // namespace

std::string to_source(const test& test) { return printer(test).run(); }

std::optional<std::string> refused(const test& test) {
  try {
    parse(to_source(test), test.name + ".litmus");
  } catch (const parse_error& error) {
    return error.what();
  }
  return std::nullopt;
}

}  // namespace filemap::litmus
