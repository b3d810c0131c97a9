#pragma once

#include "filemap/litmus/contents.hpp"
#include "filemap/litmus/verb.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#pragma GCC visibility push(default)

namespace filemap::litmus {

// A litmus test as data: what the parser makes of a .litmus file, and what the model, the session
// and the exploration run. Indices refer to the vectors of `test`.

/// A name in the directory of the round, and the file that it names at first.
struct file_declaration {
  std::string name;
  bool exists = true;  ///< false: `file g = none`
  contents initial;

  friend bool operator==(const file_declaration&, const file_declaration&) = default;
};

enum class handle_origin : std::uint8_t {
  open,   ///< `handle w = open f`: open(2) of a file
  clone,  ///< `handle s = clone w`: dup(2) of a handle, so the same open file description
  same,   ///< `handle s = w`: another name for a handle (--handles shared)
  later,  ///< `handle r`: by an `open` or a `clone` of a process
};

struct handle_declaration {
  std::string name;
  handle_origin from = handle_origin::open;
  std::uint8_t source = 0;  ///< the file of an `open`, the handle of a `clone` or a `same`
  bool append = false;      ///< O_APPEND
  bool direct = false;      ///< O_DIRECT
  bool dsync = false;       ///< O_DSYNC

  friend bool operator==(const handle_declaration&, const handle_declaration&) = default;
};

/// Operations that are submitted together.
enum class group_kind : std::uint8_t {
  batch,     ///< unordered
  link,      ///< in order; a failure or a short result cancels the rest (IOSQE_IO_LINK)
  hardlink,  ///< in order, whatever the results (IOSQE_IO_HARDLINK)
};

struct group {
  group_kind kind = group_kind::batch;
  std::uint16_t first = 0;  ///< index of its first instruction in the body
  std::uint16_t count = 0;

  friend bool operator==(const group&, const group&) = default;
};

struct statement {
  verb what = verb::append;
  /// The handle; of `rename` and `unlink` the name; of `notify` and `wait` the edge; of `cancel`
  /// the process.
  std::uint8_t operand = 0;
  /// Of `rename` the new name; of `open` the name; of `clone` the handle it is of; of `cancel` the
  /// index of the statement in that process.
  std::uint8_t other = 0;
  bool drain = false;        ///< begins when all that was submitted before has completed
  bool at_cursor = false;    ///< a `read` or `write` without an offset
  std::uint64_t offset = 0;  ///< bytes, of what has one; of `truncate` the new size
  std::uint64_t size = 0;    ///< bytes, of what has a length and no data
  slice data;                ///< of `append` and `write`
  std::int16_t result = -1;  ///< the register it sets, or -1
  std::uint32_t line = 0;    ///< in the source, from 1
  /// Of the repeated experiment: `data` begins, and a `read` ends, at the process's own offset.
  bool relative = false;

  friend bool operator==(const statement&, const statement&) = default;
};

struct process_declaration {
  std::string name;  ///< of `P0(writer)`: "writer"; "" when it has none
  std::vector<statement> body;
  std::vector<group> groups;  ///< disjoint, in the order of the body
  /// Of the repeated experiment: how often the body runs; 0: until the process has caught up with
  /// the one before it, that is, that one has ended and both offsets are the same.
  unsigned times = 1;

  friend bool operator==(const process_declaration&, const process_declaration&) = default;
};

/// `n` of `n = append(…)`; set once.
struct register_declaration {
  std::string name;
  std::uint8_t process = 0;
  verb producer = verb::append;

  friend bool operator==(const register_declaration&, const register_declaration&) = default;
};

enum class quantifier : std::uint8_t {
  exists,
  not_exists,  ///< `~exists`, `forbidden`
  forall,
};

enum class comparison : std::uint8_t { equal, not_equal, less, less_equal, greater, greater_equal };

/// What an atom of a condition looks at.
enum class field : std::uint8_t {
  res,   ///< of a register: bytes or -errno
  size,  ///< of a statx register, or of a file at the end
  data,  ///< of a read register, or of a file at the end
};

struct atom {
  bool of_file = false;    ///< `f.size`, `f`: at the end of the round, by name
  std::uint8_t index = 0;  ///< of the register or the file
  field what = field::res;
  /// Compare only [from, from + value.size) of the data: `P1:d[0..4096] = old[0..4096]`.
  std::optional<std::uint64_t> from;
  comparison how = comparison::equal;
  std::int64_t number = 0;  ///< for res and size
  contents value;           ///< for data; only equal and not_equal

  friend bool operator==(const atom&, const atom&) = default;
};

/// A node of the condition's tree; children are indices into `condition::nodes`.
struct condition_node {
  enum class kind : std::uint8_t { atom, conjunction, disjunction, negation } what = kind::atom;
  litmus::atom atom;
  std::uint16_t left = 0;
  std::uint16_t right = 0;

  friend bool operator==(const condition_node&, const condition_node&) = default;
};

struct condition {
  litmus::quantifier quantifier = litmus::quantifier::exists;
  std::vector<condition_node> nodes;
  std::uint16_t root = 0;

  friend bool operator==(const condition&, const condition&) = default;
};

struct test {
  std::string name;
  std::string question;               ///< the quoted line: what it asks, or what it does
  std::string source;                 ///< where that was asked
  std::vector<std::string> patterns;  ///< [0] is "zeros"
  std::vector<file_declaration> files;
  std::vector<handle_declaration> handles;
  std::vector<std::string> edges;
  std::vector<std::string> variables;  ///< of the repeated experiment: what it loads and stores
  std::vector<process_declaration> processes;
  std::vector<register_declaration> registers;
  litmus::condition condition;

  friend bool operator==(const test&, const test&) = default;
};

/// The same test, in which every process flushes what it has written to before it stores or
/// notifies, and before it closes that handle: the fix, as `--flush` and the `+flush` modes apply
/// it. (`flush` means something to a write-behind handle only.) Doing it again changes nothing.
test with_flush(const test& test);

/// The handle behind a name of it: of `handle s = w` that of w.
std::uint8_t named_by(const test& test, std::uint8_t handle);

/// Does the statement call or clone this handle, by whatever name? `handle` is of `named_by`.
bool touches(const test& test, const statement& statement, std::uint8_t handle);

/// The handle that opened the open file description of this one, by `open`: clones share it.
std::uint8_t description_of(const test& test, std::uint8_t handle);

/// Does it read, write or set the cursor of its open file description by saying so? (An append
/// sets it too, where it is write(2), and so does what a mode makes of an offset.)
constexpr bool is_at_cursor(const statement& statement) noexcept {
  return statement.at_cursor || statement.what == verb::seek;
}
bool uses_cursor(const test& test) noexcept;

/// Gives all handles of an open file description the flags that it has: those that it was opened
/// with, and O_APPEND where something is appended to it. The parser does so; whoever changes what a
/// test appends to does it again.
void complete(test& test);

/// Puts a statement before the one of index `at` of a process, or, with the number of them, at the
/// end. Groups and cancels stay with what they are of. `at` is not within a group, but it may be
/// the first member: then the statement comes before the group.
void insert(test& test, std::size_t process, std::size_t at, const statement& added);

/// Do its names and handles stay as they are declared, so that its files can be emptied and used
/// again?
bool is_static(const test& test) noexcept;

/// Is a handle closed by one process and used by another? Then an operation may come to the kernel
/// with the number of a descriptor that somebody else has got meanwhile, so no one else may open
/// files during a round.
bool closes_what_others_use(const test& test);

inline constexpr std::size_t max_processes = 8;
/// A byte of a pattern tells which pattern it is of in its lowest bits (patterns.hpp).
inline constexpr std::size_t max_patterns = 15;
inline constexpr std::size_t max_files = 8;
inline constexpr std::size_t max_handles = 16;
inline constexpr std::size_t max_edges = 16;
inline constexpr std::size_t max_registers = 64;
inline constexpr std::size_t max_statements = 64;                        ///< of one process
inline constexpr std::uint64_t max_file_size = std::uint64_t{16} << 20;  ///< bytes of any file
inline constexpr std::uint64_t max_total_size = std::uint64_t{64}
                                                << 20;  ///< of all reads and writes

// --- what a round of it comes to

struct register_value {
  bool set = false;        ///< its statement was reached and has ended
  std::int64_t res = 0;    ///< bytes, or -errno
  std::uint64_t size = 0;  ///< of a statx
  contents data;           ///< of a read
  bool failed = false;     ///< it has neither: no comparison with them holds

  friend auto operator<=>(const register_value&, const register_value&) = default;
  friend bool operator==(const register_value&, const register_value&) = default;
};

struct file_value {
  bool exists = false;
  contents data;

  friend auto operator<=>(const file_value&, const file_value&) = default;
  friend bool operator==(const file_value&, const file_value&) = default;
};

/// The registers, and the files by their names, when all has ended. What the condition does not
/// look at is left at its default, so that states which it cannot tell apart are equal.
struct final_state {
  std::vector<register_value> registers;
  std::vector<file_value> files;

  friend auto operator<=>(const final_state&, const final_state&) = default;
  friend bool operator==(const final_state&, const final_state&) = default;
};

/// Which fields of which registers and files the condition looks at.
struct observed_fields {
  struct fields {
    bool res = false, size = false, data = false;
  };
  std::vector<fields> registers;
  std::vector<fields> files;
};
observed_fields observed_by(const test& test);
/// The state with everything that the condition does not look at removed.
final_state project(const observed_fields& observed, final_state state);

/// Does the proposition of the condition (without its quantifier) hold in this state? A register
/// that was not set makes every atom about it false. Of a state with a mixture in it: may it hold?
bool holds(const condition& condition, const final_state& state);
/// Is a state in which the proposition has this value one that the test asks about as bad?
/// (`exists`, `~exists` and `forbidden` count where it holds, `forall` where it does not.) Of a
/// state with a mixture in it: may it be?
bool counts(const condition& condition, const final_state& state);

/// "P2:st.size=0; P2:d=lorem[123];" as herd prints a state: what the condition looks at.
std::string to_string(const test& test, const final_state& state);
/// "lorem[100..123]", "zeros[4096] old[4096..8192]", "\"\"" when empty.
std::string to_string(const test& test, const contents& contents);

}  // namespace filemap::litmus

#pragma GCC visibility pop
