// The parser before any input: it returns a test or throws a parse_error that points into the text;
// nothing else. What it returns is within the limits, and every function of a test takes it.
//
// As a program of libFuzzer it makes inputs up; as a plain program (parser_replay.cpp) it is given
// those of the corpus.

#include "filemap/litmus/parser.hpp"
#include "filemap/litmus/printer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

namespace {

using namespace filemap::litmus;

void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "parser_fuzz: not so: %s\n", what);
  std::abort();
}

void check_limits(const test& test) {
  must(test.files.size() <= max_files, "few files");
  must(test.handles.size() <= max_handles, "few handles");
  must(test.edges.size() <= max_edges, "few edges");
  must(test.registers.size() <= max_registers, "few registers");
  must(test.patterns.size() <= 1 + max_patterns, "few patterns");
  must(!test.processes.empty() && test.processes.size() <= max_processes, "few processes");
  for (const auto& file : test.files) must(file.initial.size() <= max_file_size, "small files");
}

void check_argument(const test& test, const statement& statement, argument kind,
                    std::size_t index) {
  switch (kind) {
    case argument::result:
    case argument::handle:
      must(index < test.handles.size(), "a handle that there is");
      break;
    case argument::file:
    case argument::to_file:
      must(index < test.files.size(), "a file that there is");
      break;
    case argument::edge:
      must(index < test.edges.size(), "an edge that there is");
      break;
    case argument::operation:
      must(index < test.processes.size() && statement.other < test.processes[index].body.size() &&
               is_groupable(test.processes[index].body[statement.other].what),
           "an operation that there is");
      break;
    default:
      break;
  }
}

void check_statement(const test& test, const statement& statement) {
  must(statement.data.pattern < test.patterns.size(), "a pattern that there is");
  must(statement.data.offset + statement.data.size <= max_file_size, "a small slice");
  must(statement.offset <= max_file_size && statement.size <= max_file_size, "a small range");
  must(!statement.at_cursor || statement.offset == 0, "a cursor or an offset");
  must(statement.result < static_cast<int>(test.registers.size()), "a register that there is");
  must(is_in_language(statement.what), "a verb of the language");
  auto index = statement.operand;
  for (const auto kind : traits_of(statement.what).arguments) {
    check_argument(test, statement, kind, std::exchange(index, statement.other));
  }
}

void check_processes(const test& test) {
  for (const auto& process : test.processes) {
    must(process.body.size() <= max_statements, "few statements");
    for (const auto& statement : process.body) check_statement(test, statement);
    std::size_t end = 0;
    for (const auto& group : process.groups) {
      must(group.first >= end && group.count >= 2, "disjoint groups");
      end = group.first + group.count;
    }
    must(end <= process.body.size(), "groups of the body");
  }
}

test without_lines(test test) {
  for (auto& process : test.processes) {
    for (auto& statement : process.body) statement.line = 0;
  }
  return test;
}

void print_and_parse(const test& test) {
  const auto source = to_source(test);
  if (source.size() > max_source_size) return;  // spaces, where the text had none
  if (const auto why = refused(test)) must(false, why->c_str());
  must(without_lines(parse(source, "printed.litmus")) == without_lines(test),
       "what is printed is the same test");
}

// Whatever is done with a condition, with nothing set.
void use_condition(const test& test) {
  final_state state;
  state.registers.resize(test.registers.size());
  state.files.resize(test.files.size());
  const auto projected = project(observed_by(test), state);
  must(holds(test.condition, projected) == holds(test.condition, state),
       "what the condition does not look at does not matter");
  must(to_string(test, projected) == to_string(test, state), "nor is it shown");
}

void check_error(const parse_error& error, std::string_view text) {
  const auto lines = 1 + std::count(text.begin(), text.end(), '\n');
  must(error.line() >= 1 && error.line() <= static_cast<std::size_t>(lines), "a line of the text");
  must(error.column() >= 1 && error.column() <= text.size() + 1, "a column of the text");
  const std::string_view message = error.what();
  must(std::count(message.begin(), message.end(), '\n') == 2, "a message of three lines");
  must(message.back() == '^', "that ends with the caret");
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const auto test = parse(text, "fuzz.litmus");
    check_limits(test);
    check_processes(test);
    use_condition(test);
    print_and_parse(test);
  } catch (const parse_error& error) {
    check_error(error, text);
  }
  return 0;
}
