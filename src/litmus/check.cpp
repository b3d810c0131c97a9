#include "check.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace filemap::litmus {

namespace {

/// Bytes: what O_DIRECT asks for depends on the filesystem; no common one asks for less.
constexpr std::uint64_t direct_alignment = 512;

class checker {
 public:
  checker(const test& test, const places& places, const source_text& source)
      : test_(test), places_(places), source_(source) {}

  void run() {
    check_edges();
    order();
    check_handles();
    check_cancels();
    each_statement([&](statement_index at, const statement& what) { check_description(at, what); });
    check_sizes();
  }

 private:
  /// How many statements of each process are known to have ended when a statement begins.
  using clock = std::array<std::uint8_t, max_processes>;

  template <typename Function>
  void each_statement(Function function) const {
    for (std::size_t p = 0; p < test_.processes.size(); ++p) {
      for (std::size_t s = 0; s < test_.processes[p].body.size(); ++s) {
        function(statement_index{static_cast<std::uint8_t>(p), static_cast<std::uint8_t>(s)},
                 test_.processes[p].body[s]);
      }
    }
  }
  const statement& at(statement_index index) const {
    return test_.processes[index.process].body[index.statement];
  }
  std::size_t line_of(statement_index index) const { return at(index).line; }
  [[noreturn]] void fail(statement_index index, std::string_view what) const {
    source_.fail(places_.of(index), what);
  }

  // --- edges and order

  void check_edges() const {
    for (std::size_t i = 0; i < test_.edges.size(); ++i) {
      if (!places_.edges[i].notified) {
        fail(*places_.edges[i].waited,
             fmt::format("nobody notifies '{0}', so this waits for ever; say notify({0}); in the "
                         "process that it waits for",
                         test_.edges[i]));
      }
    }
  }

  // Runs the processes until all have ended. As an edge is notified once and waited for once, every
  // schedule gets equally far, so one that is stuck proves that all are.
  void order() {
    std::array<std::size_t, max_processes> done{};
    std::array<clock, max_processes> known{};
    for (const auto& process : test_.processes) clocks_.emplace_back(process.body.size());
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t p = 0; p < test_.processes.size(); ++p) {
        const auto& body = test_.processes[p].body;
        while (done[p] < body.size() && advance(p, done[p], done, known[p])) {
          ++done[p];
          moved = true;
        }
      }
    }
    for (std::size_t p = 0; p < test_.processes.size(); ++p) {
      if (done[p] == test_.processes[p].body.size()) continue;
      const statement_index stuck{static_cast<std::uint8_t>(p), static_cast<std::uint8_t>(done[p])};
      const auto& edge = places_.edges[at(stuck).operand];
      fail(stuck, fmt::format("this waits for ever: '{}' is notified in line {}, which waits for "
                              "what comes after this",
                              test_.edges[at(stuck).operand], line_of(*edge.notified)));
    }
  }

  bool advance(std::size_t process, std::size_t index,
               const std::array<std::size_t, max_processes>& done, clock& known) {
    const auto& statement = test_.processes[process].body[index];
    if (statement.what == verb::wait) {
      const auto notified = *places_.edges[statement.operand].notified;
      if (done[notified.process] <= notified.statement) return false;
      const auto& theirs = clocks_[notified.process][notified.statement];
      for (std::size_t i = 0; i < known.size(); ++i) known[i] = std::max(known[i], theirs[i]);
      auto& last = known[notified.process];
      last = std::max(last, static_cast<std::uint8_t>(notified.statement + 1));
    }
    known[process] = static_cast<std::uint8_t>(index);
    clocks_[process][index] = known;
    return true;
  }

  /// Has `first` ended when `second` begins, in every schedule? Members of a group are not in the
  /// order of the text.
  bool ordered(statement_index first, statement_index second) const {
    if (first.process == second.process && same_group(first, second)) {
      return first.statement < second.statement && group_of(first)->kind != group_kind::batch;
    }
    return clocks_[second.process][second.statement][first.process] > first.statement;
  }

  const group* group_of(statement_index index) const {
    for (const auto& group : test_.processes[index.process].groups) {
      if (index.statement >= group.first && index.statement < group.first + group.count) {
        return &group;
      }
    }
    return nullptr;
  }
  bool same_group(statement_index a, statement_index b) const {
    return group_of(a) != nullptr && group_of(a) == group_of(b);
  }

  // --- handles

  void check_handles() const {
    for (std::size_t i = 0; i < test_.handles.size(); ++i) {
      if (test_.handles[i].from == handle_origin::later && !places_.handles[i].opened) {
        source_.fail(
            places_.handles[i].declared,
            fmt::format("'{0}' is never opened; give it a value, as in handle {0} = open f;, "
                        "or open it in a process",
                        test_.handles[i].name));
      }
    }
    each_statement([&](statement_index use, const statement& what) {
      if (uses_handle(what.what)) check_open(use, what.operand);
      if (what.what == verb::clone) check_open(use, what.other);
    });
    each_statement([&](statement_index close, const statement& what) {
      if (what.what == verb::close) check_closed(close, what.operand);
    });
  }

  void check_open(statement_index use, std::uint8_t handle) const {
    if (test_.handles[handle].from != handle_origin::later) return;
    const auto opened = *places_.handles[handle].opened;
    if (ordered(opened, use)) return;
    const auto& name = test_.handles[handle].name;
    if (opened.process == use.process) {
      fail(use,
           fmt::format("'{}' is opened only in line {}; use it after that", name, line_of(opened)));
    }
    fail(use,
         fmt::format("'{}' may not be open yet: P{} opens it in line {}; wait here for a notify "
                     "that follows it",
                     name, opened.process, line_of(opened)));
  }

  // From its submission on, a close may give its number to what is opened next, and whatever is
  // about to use the number would use that. So where it races a use nothing may be opened.
  void check_closed(statement_index close, std::uint8_t handle) const {
    handle = named_by(test_, handle);
    const auto opens = first_that_opens();
    each_statement([&](statement_index use, const statement& what) {
      const bool itself = use.process == close.process && use.statement == close.statement;
      if (itself || !touches(test_, what, handle)) return;
      const auto& name = test_.handles[handle].name;
      if (what.what == verb::close) {
        const bool later = line_of(use) > line_of(close);
        fail(later ? use : close, fmt::format("'{}' is closed twice; the other close is in line {}",
                                              name, line_of(later ? close : use)));
      }
      if (ordered(close, use)) {
        fail(use, fmt::format("'{}' has been closed in line {}; use another handle", name,
                              line_of(close)));
      }
      if (opens && !ordered(use, close)) {
        fail(use, fmt::format("'{}' may be closed in line {} before this, which could then hit "
                              "what is opened in line {}; order the two, or open nothing",
                              name, line_of(close), line_of(*opens)));
      }
    });
  }

  std::optional<statement_index> first_that_opens() const {
    std::optional<statement_index> found;
    each_statement([&](statement_index at, const statement& what) {
      if (opens(what.what) && !found) found = at;
    });
    return found;
  }

  void check_cancels() const {
    each_statement([&](statement_index cancel, const statement& what) {
      if (what.what != verb::cancel) return;
      const statement_index target{what.operand, what.other};
      if (!ordered(cancel, target)) return;
      fail(cancel,
           fmt::format("the operation in line {} begins only after this; cancel what may be "
                       "in flight",
                       line_of(target)));
    });
  }

  // --- open file descriptions

  void check_description(statement_index index, const statement& what) const {
    if (!uses_handle(what.what)) return;
    const auto& handle = test_.handles[what.operand];
    if (what.what == verb::write && what.at_cursor && handle.append) {
      fail(index, fmt::format("'{0}' shares an open file with an append, and a write at its cursor "
                              "is one too; say append({0}, …)",
                              handle.name));
    }
    if (what.what == verb::write && handle.append) {
      fail(index,
           fmt::format("'{}' shares an open file with an append, and Linux appends whatever "
                       "the offset is (pwrite(2), BUGS); write through a handle of an open of "
                       "its own",
                       handle.name));
    }
    const bool transfers = is_write(what.what) || has_data(what.what);
    if (!handle.direct || !transfers) return;
    if (what.at_cursor) {
      fail(index, fmt::format("'{}' is direct, and nobody can say whether its cursor is at a "
                              "multiple of {}; give the offset",
                              handle.name, direct_alignment));
    }
    const auto size = is_write(what.what) ? what.data.size : what.size;
    if (what.offset % direct_alignment != 0 || size % direct_alignment != 0) {
      fail(index, fmt::format("'{}' is direct, so offsets and sizes are multiples of {}",
                              handle.name, direct_alignment));
    }
  }

  // --- sizes

  static bool sets_size(verb verb) {
    return verb == verb::write || verb == verb::truncate || verb == verb::allocate;
  }

  void check_sizes() const {
    std::uint64_t end = 0;
    for (const auto& file : test_.files) end = std::max(end, file.initial.size());
    std::uint64_t appended = 0;  // or at a cursor, which is nowhere behind where one was put or all
    std::uint64_t total = 0;     // that has been moved
    each_statement([&](statement_index index, const statement& what) {
      if (what.what == verb::append || what.at_cursor) appended += what.data.size;
      if (what.what == verb::seek || (sets_size(what.what) && !what.at_cursor)) {
        end = std::max(end, what.offset + what.size + what.data.size);
      }
      total += what.data.size + (has_data(what.what) ? what.size : 0);
      if (end + appended > max_file_size) {
        fail(index, fmt::format("a file may come to be larger than {} MiB; use smaller sizes",
                                max_file_size >> 20));
      }
      if (total > max_total_size) {
        fail(index,
             fmt::format("the test reads and writes more than {} MiB in all; use smaller sizes",
                         max_total_size >> 20));
      }
    });
  }

  const test& test_;
  const places& places_;
  const source_text& source_;
  std::vector<std::vector<clock>> clocks_;
};

}  // namespace

void check(const test& test, const places& places, const source_text& source) {
  checker(test, places, source).run();
}

}  // namespace filemap::litmus
