#include "filemap/litmus/test.hpp"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

#include <fmt/format.h>

namespace filemap::litmus {

namespace {

template <typename Value>
bool compare(const Value& left, comparison how, const Value& right) {
  switch (how) {
    case comparison::equal:
      return left == right;
    case comparison::not_equal:
      return left != right;
    case comparison::less:
      return left < right;
    case comparison::less_equal:
      return left <= right;
    case comparison::greater:
      return left > right;
    case comparison::greater_equal:
      return left >= right;
  }
  return false;
}

// A mixture is asked for what it may be and for what it may not be.
struct answer {
  bool yes = false;
  bool no = false;
};

answer certainly(bool value) { return {value, !value}; }

answer compare_data(const atom& atom, const contents& data) {
  const auto part = atom.from ? data.read(*atom.from, atom.value.size()) : data;
  const bool is_mixture = std::any_of(part.slices().begin(), part.slices().end(),
                                      [](const slice& slice) { return slice.is_mixture(); });
  const bool may_be = part.may_be(atom.value);
  const answer equal{may_be, !may_be || is_mixture};
  return atom.how == comparison::equal ? equal : answer{equal.no, equal.yes};
}

answer ask(const atom& atom, const final_state& state) {
  const auto number = [&](std::uint64_t value) {
    return certainly(compare(static_cast<std::int64_t>(value), atom.how, atom.number));
  };
  if (atom.of_file) {
    const auto& file = state.files[atom.index];
    if (!file.exists) return certainly(false);
    return atom.what == field::size ? number(file.data.size()) : compare_data(atom, file.data);
  }
  const auto& value = state.registers[atom.index];
  if (!value.set || (value.failed && atom.what != field::res)) return certainly(false);
  switch (atom.what) {
    case field::res:
      return certainly(compare(value.res, atom.how, atom.number));
    case field::size:
      return number(value.size);
    case field::data:
      return compare_data(atom, value.data);
  }
  return certainly(false);
}

answer ask(const condition& condition, std::size_t at, const final_state& state) {
  using kind = condition_node::kind;
  const auto& node = condition.nodes[at];
  if (node.what == kind::atom) return ask(node.atom, state);
  const auto left = ask(condition, node.left, state);
  if (node.what == kind::negation) return {left.no, left.yes};
  const auto right = ask(condition, node.right, state);
  if (node.what == kind::conjunction) return {left.yes && right.yes, left.no || right.no};
  return {left.yes || right.yes, left.no && right.no};
}

statement flush_of(std::uint8_t handle, std::uint32_t line) {
  statement flush;
  flush.what = verb::flush;
  flush.operand = handle;
  flush.line = line;
  return flush;
}

}  // namespace

std::uint8_t named_by(const test& test, std::uint8_t handle) {
  while (test.handles[handle].from == handle_origin::same) handle = test.handles[handle].source;
  return handle;
}

bool touches(const test& test, const statement& statement, std::uint8_t handle) {
  return (uses_handle(statement.what) && named_by(test, statement.operand) == handle) ||
         (statement.what == verb::clone && named_by(test, statement.other) == handle);
}

std::uint8_t description_of(const test& test, std::uint8_t handle) {
  const auto opening = [&](std::uint8_t opened) {
    for (const auto& process : test.processes) {
      for (const auto& statement : process.body) {
        if (opens(statement.what) && statement.operand == opened) return statement;
      }
    }
    return statement{};
  };
  // What is not checked yet may clone in a circle.
  for (std::size_t steps = 0; steps < test.handles.size(); ++steps) {
    const auto& declared = test.handles[handle];
    if (declared.from == handle_origin::open) break;
    if (declared.from != handle_origin::later) {
      handle = declared.source;
      continue;
    }
    const auto by = opening(handle);
    if (by.what != verb::clone) break;
    handle = by.other;
  }
  return handle;
}

void complete(test& test) {
  std::vector<std::uint8_t> descriptions;
  for (std::size_t i = 0; i < test.handles.size(); ++i) {
    descriptions.push_back(description_of(test, static_cast<std::uint8_t>(i)));
  }
  for (const auto& process : test.processes) {
    for (const auto& statement : process.body) {
      if (statement.what != verb::append) continue;
      test.handles[descriptions[statement.operand]].append = true;
    }
  }
  for (std::size_t i = 0; i < test.handles.size(); ++i) {
    const auto& opened = test.handles[descriptions[i]];
    auto& handle = test.handles[i];
    handle.append = opened.append;
    handle.direct = opened.direct;
    handle.dsync = opened.dsync;
  }
}

void insert(test& test, std::size_t process, std::size_t at, const statement& added) {
  auto& into = test.processes[process];
  assert(at <= into.body.size());
  into.body.insert(into.body.begin() + static_cast<std::ptrdiff_t>(at), added);
  for (auto& group : into.groups) {
    assert(at <= group.first || at >= group.first + group.count);
    if (group.first >= at) ++group.first;
  }
  for (auto& each : test.processes) {
    for (auto& statement : each.body) {
      const bool moved =
          statement.what == verb::cancel && statement.operand == process && statement.other >= at;
      if (moved) ++statement.other;
    }
  }
}

bool is_static(const test& test) noexcept {
  return std::all_of(test.processes.begin(), test.processes.end(), [](const auto& process) {
    return std::none_of(process.body.begin(), process.body.end(), [](const auto& statement) {
      return reseats(statement.what) || moves_names(statement.what);
    });
  });
}

bool uses_cursor(const test& test) noexcept {
  return std::any_of(test.processes.begin(), test.processes.end(), [](const auto& process) {
    return std::any_of(process.body.begin(), process.body.end(), is_at_cursor);
  });
}

bool closes_what_others_use(const test& test) {
  for (const auto& process : test.processes) {
    for (const auto& close : process.body) {
      if (close.what != verb::close) continue;
      const auto closed = named_by(test, close.operand);
      for (const auto& other : test.processes) {
        const bool uses =
            std::any_of(other.body.begin(), other.body.end(),
                        [&](const auto& statement) { return touches(test, statement, closed); });
        if (&other != &process && uses) return true;
      }
    }
  }
  return false;
}

test with_flush(const test& test) {
  auto flushing = test;
  for (std::size_t i = 0; i < flushing.processes.size(); ++i) {
    const auto& body = flushing.processes[i].body;
    std::vector<std::uint8_t> unflushed;  // handles that the process has written to
    for (std::size_t at = 0; at < body.size(); ++at) {
      const auto what = body[at];
      const bool tells = what.what == verb::store || what.what == verb::notify;
      const auto is_of = [&](verb verb, std::uint8_t handle) {
        return what.what == verb && named_by(test, what.operand) == named_by(test, handle);
      };
      std::vector<std::uint8_t> later;
      for (const auto handle : unflushed) {
        if (is_of(verb::flush, handle)) continue;
        if (tells || is_of(verb::close, handle)) {
          insert(flushing, i, at++, flush_of(handle, what.line));
        } else {
          later.push_back(handle);
        }
      }
      unflushed = std::move(later);
      if (!is_write(what.what)) continue;
      const bool known = std::any_of(unflushed.begin(), unflushed.end(), [&](auto handle) {
        return named_by(test, handle) == named_by(test, what.operand);
      });
      if (!known) unflushed.push_back(what.operand);
    }
  }
  return flushing;
}

observed_fields observed_by(const test& test) {
  observed_fields observed;
  observed.registers.resize(test.registers.size());
  observed.files.resize(test.files.size());
  for (const auto& node : test.condition.nodes) {
    if (node.what != condition_node::kind::atom) continue;
    const auto& atom = node.atom;
    auto& fields = (atom.of_file ? observed.files : observed.registers)[atom.index];
    fields.res = fields.res || atom.what == field::res;
    fields.size = fields.size || atom.what == field::size;
    fields.data = fields.data || atom.what == field::data;
  }
  return observed;
}

final_state project(const observed_fields& observed, final_state state) {
  for (std::size_t i = 0; i < state.registers.size(); ++i) {
    const auto& fields = observed.registers[i];
    auto& value = state.registers[i];
    if (!fields.res && !fields.size && !fields.data) value.set = false;
    if (!fields.res) value.res = 0;
    if (!fields.size) value.size = 0;
    if (!fields.data) value.data = {};
    if (!fields.size && !fields.data) value.failed = false;
  }
  for (std::size_t i = 0; i < state.files.size(); ++i) {
    const auto& fields = observed.files[i];
    auto& file = state.files[i];
    if (!fields.size && !fields.data) {
      file = {};
    } else if (!fields.data) {  // its size is all that shows
      file.data = contents{{zeros, 0, file.data.size()}};
    }
  }
  return state;
}

bool holds(const condition& condition, const final_state& state) {
  return ask(condition, condition.root, state).yes;
}

bool counts(const condition& condition, const final_state& state) {
  const auto asked = ask(condition, condition.root, state);
  return condition.quantifier == quantifier::forall ? asked.no : asked.yes;
}

namespace {

std::string to_string(const test& test, pattern_place from, std::uint64_t size) {
  if (from.pattern == unknown_bytes) return fmt::format("unknown[{}]", size);
  if (from.offset == 0) return fmt::format("{}[{}]", test.patterns[from.pattern], size);
  return fmt::format("{}[{}..{}]", test.patterns[from.pattern], from.offset, from.offset + size);
}

}  // namespace

std::string to_string(const test& test, const contents& contents) {
  if (contents.empty()) return "\"\"";
  std::string text;
  for (const auto& slice : contents.slices()) {
    if (!text.empty()) text += ' ';
    text += to_string(test, slice.place(), slice.size);
    for (const auto& place : slice.or_from) text += '|' + to_string(test, place, slice.size);
  }
  return text;
}

std::string to_string(const test& test, const final_state& state) {
  const auto observed = observed_by(test);
  std::string text;
  const auto add = [&](const std::string& name, const std::string& value) {
    fmt::format_to(std::back_inserter(text), "{}{}={};", text.empty() ? "" : " ", name, value);
  };
  for (std::size_t i = 0; i < test.registers.size(); ++i) {
    const auto& fields = observed.registers[i];
    const auto& value = state.registers[i];
    const auto name = fmt::format("P{}:{}", test.registers[i].process, test.registers[i].name);
    const auto field = [&](bool shown, const char* suffix, const std::string& what) {
      if (shown) add(name + suffix, value.set ? what : "unset");
    };
    field(fields.res, ".res", std::to_string(value.res));
    field(fields.size, ".size", value.failed ? "failed" : std::to_string(value.size));
    field(fields.data, "", value.failed ? "failed" : to_string(test, value.data));
  }
  for (std::size_t i = 0; i < test.files.size(); ++i) {
    const auto& fields = observed.files[i];
    const auto& file = state.files[i];
    const auto& name = test.files[i].name;
    if (fields.size) add(name + ".size", file.exists ? std::to_string(file.data.size()) : "none");
    if (fields.data) add(name, file.exists ? to_string(test, file.data) : "none");
  }
  return text;
}

}  // namespace filemap::litmus
