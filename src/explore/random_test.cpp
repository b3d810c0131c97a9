#include "random_test.hpp"

#include "filemap/litmus/parser.hpp"
#include "filemap/litmus/verb.hpp"

#include <array>
#include <iterator>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace filemap::litmus {

namespace {

class writer {
 public:
  explicit writer(std::uint64_t seed) : random_(seed) {}

  std::string write(std::uint64_t seed) {
    text_ = fmt::format("F random-{}\n\"what the three readers of a test make of this one\"\n{{\n",
                        seed);
    declare();
    text_ += "}\n";
    processes_ = 2 + (one_in(3) ? 1 : 0);
    decide_edges();
    for (unsigned process = 0; process < processes_; ++process) add_process(process);
    add_condition();
    return text_;
  }

 private:
  struct named_register {
    unsigned process;
    std::string name;
    verb what;
  };

  std::size_t below(std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(random_);
  }
  bool one_in(std::size_t n) { return below(n) == 0; }
  template <typename List>
  auto any_of(const List& list) {
    return *std::next(std::begin(list), static_cast<std::ptrdiff_t>(below(std::size(list))));
  }
  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
  }

  std::string size() {
    constexpr std::array sizes = {1, 10, 100, 512, 4096, 5000, 8192};
    constexpr std::array aligned = {512, 512, 1024, 4096, 8192};
    return std::to_string(aligned_ ? any_of(aligned) : any_of(sizes));
  }
  std::string offset() {
    constexpr std::array offsets = {0, 0, 0, 10, 100, 4096};
    constexpr std::array aligned = {0, 0, 0, 512, 4096};
    return std::to_string(aligned_ ? any_of(aligned) : any_of(offsets));
  }
  std::string data() {
    constexpr std::array from = {0, 0, 0, 10};
    const auto begin = any_of(from);
    const auto name = fmt::format("p{}", one_in(3) ? 0 : patterns_++);
    return fmt::format("{}[{}..{}]", name, begin, begin + std::stoi(size()));
  }

  void declare() {
    has_direct_ = one_in(4);
    aligned_ = has_direct_;
    add("  file f = {};", one_in(3) ? "\"\"" : fmt::format("old[{}]", size()));
    add("  file g = {};\n", one_in(2) ? "none" : fmt::format("other[{}]", size()));
    add("  handle w = {};", with_flags("open f", "w"));
    handles_ = {"w"};
    constexpr std::array origins = {"open f", "open f", "clone w", "reopen w", "w"};
    for (const auto* const name : {"v", "x"}) {
      if (one_in(3)) continue;
      add("  handle {} = {};", name, with_flags(any_of(origins), name));
      handles_.emplace_back(name);
    }
    if (one_in(3)) {
      add("  handle r;");
      opens_ = true;
    }
    text_ += '\n';
  }

  // Another name of w, or of its description, has no flags but w's.
  std::string with_flags(std::string origin, const char* name) {
    if (origin == "w" || origin == "clone w") {
      if (direct_.count("w") > 0) direct_.insert(name);
      return origin;
    }
    if (one_in(8)) origin += " append";
    if (has_direct_ && one_in(2)) {
      origin += " direct";
      direct_.insert(name);
    }
    if (one_in(8)) origin += " dsync";
    return origin;
  }

  // From one process to another, at a place of each that is drawn.
  void decide_edges() {
    if (!one_in(2)) return;
    from_ = static_cast<unsigned>(below(processes_));
    to_ = static_cast<unsigned>((from_ + 1 + below(processes_ - 1)) % processes_);
    has_edge_ = true;
  }

  void add_process(unsigned process) {
    add("P{} {{ ", process);
    const auto statements = 1 + below(3);
    const auto edge_at = below(statements + 1);
    opener_ = opens_ && process + 1 == processes_;
    constexpr std::array opened = {"open f", "open f", "open g", "clone w"};
    if (opener_) add("r = {}; ", with_flags(any_of(opened), "r"));
    for (std::size_t i = 0; i <= statements; ++i) {
      if (has_edge_ && i == edge_at && process == from_) add("notify(e); ");
      if (has_edge_ && i == edge_at && process == to_) add("wait(e); ");
      if (i < statements) add_statement(process);
    }
    text_ += "}\n";
  }

  void add_statement(unsigned process) {
    if (one_in(4)) {
      constexpr std::array kinds = {"batch", "link", "hardlink"};
      add("{} {{ ", any_of(kinds));
      for (auto members = 2 + below(2); members > 0; --members) add_operation(process, true);
      text_ += "} ";
      return;
    }
    if (one_in(8)) text_ += "drain ";
    add_operation(process, false);
  }

  void add_operation(unsigned process, bool grouped) {
    const auto& row = any_of(all_verbs);
    const bool fits = is_in_language(row.what) && !opens(row.what) &&
                      operand_of(row.what) != argument::edge &&
                      (!grouped || is_groupable(row.what)) && row.what != verb::cancel;
    const bool rare = row.what == verb::close || moves_names(row.what) ||
                      traits_of(row.what).code == opcode::fsync;
    if (row.what == verb::cancel && !grouped && !registers_.empty() && one_in(2)) {
      const auto target = any_of(registers_);
      if (target.process != process && is_groupable(target.what)) {
        add("cancel(P{}:{}); ", target.process, target.name);
        return;
      }
    }
    if (!fits || (rare && one_in(2))) return add_operation(process, grouped);
    const auto name = fmt::format("r{}", registers_.size());
    registers_.push_back({process, name, row.what});
    add("{} = {}(", name, row.name);
    bool first = true;
    for (const auto argument : row.arguments) {
      if (argument == argument::none) continue;
      if (argument == argument::position && !has_direct_ && one_in(2)) continue;
      if (!std::exchange(first, false)) text_ += ", ";
      text_ += text_of(argument);
    }
    text_ += "); ";
  }

  std::string text_of(argument argument) {
    switch (argument) {
      case argument::handle:
        return handle();
      case argument::file:
        return one_in(2) ? "f" : "g";
      case argument::to_file:
        return one_in(2) ? "g" : "f";
      case argument::data:
        return data();
      case argument::offset:
      case argument::position:
        return offset();
      default:
        return size();
    }
  }

  // What is not aligned beside direct I/O is rare, and through a direct handle refused.
  std::string handle() {
    std::string name = opener_ && one_in(2) ? "r" : any_of(handles_);
    aligned_ = direct_.count(name) > 0 || (has_direct_ && !one_in(4));
    return name;
  }

  // It looks at everything and asks for one thing: what is bad in every schedule nothing can mend.
  void add_condition() {
    std::vector<std::string> atoms = {"f = \"\"", "g = \"\""};
    for (const auto& one : registers_) {
      const auto name = fmt::format("P{}:{}", one.process, one.name);
      atoms.push_back(name + ".res = 0");
      if (has_size(one.what)) atoms.push_back(name + ".size = 0");
      if (has_data(one.what)) atoms.push_back(name + " = \"\"");
    }
    add("exists ({} /\\ ({}))\n", any_of(atoms), fmt::join(atoms, " \\/ "));
  }

  std::mt19937_64 random_;
  std::string text_;
  std::vector<std::string> handles_;
  std::set<std::string> direct_;  // handles
  std::vector<named_register> registers_;
  unsigned processes_ = 0;
  unsigned patterns_ = 0;
  unsigned from_ = 0;
  unsigned to_ = 0;
  bool has_edge_ = false;
  bool opens_ = false;
  bool has_direct_ = false;
  bool aligned_ = false;  // offsets and sizes, as O_DIRECT asks for
  bool opener_ = false;   // the process that is being written opens `r`
};

bool is_valid(const std::string& source) {
  try {
    static_cast<void>(parse(source, "random"));
    return true;
  } catch (const parse_error&) {
    return false;
  }
}

}  // namespace

std::string random_source(std::uint64_t seed) {
  for (std::uint64_t attempt = 0;; ++attempt) {
    auto source = writer(seed * 1'000'003 + attempt).write(seed);
    if (is_valid(source)) return source;
  }
}

}  // namespace filemap::litmus
