#pragma once

#include "filemap/io/file_call.hpp"
#include "filemap/io/op.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)

namespace filemap::litmus {

/// What one step of a process does, in the words of the litmus language. Each has a row in
/// `all_verbs`, in this order.
enum class verb : std::uint8_t {
  append,  ///< writes at the end, through a handle
  write,   ///< writes at an offset or at the cursor
  read,    ///< reads from there; 0 bytes at the end of the file
  seek,    ///< lseek(2): sets the cursor, which the clones of a handle share
  statx,   ///< takes the file's size
  fsync,
  fdatasync,
  sync_range,  ///< sync_file_range(2), which promises nothing about metadata
  truncate,    ///< ftruncate(2): sets the size
  allocate,    ///< fallocate(2), mode 0: may grow the file
  punch,       ///< fallocate(2), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
  drop_cache,  ///< posix_fadvise(2), POSIX_FADV_DONTNEED: clean pages only
  open,        ///< opens a name into a handle that was declared without one
  clone,       ///< duplicates a handle into one that was declared without
  close,
  rename,  ///< rename(2) of one name to another
  unlink,  ///< removes a name
  flush,   ///< waits for the handle's acknowledged writes; nothing on a complete handle
  cancel,  ///< asks for the early end of an operation of another process
  notify,  ///< gives an edge's permit
  wait,    ///< takes it
  // Only in the repeated form of the experiment (`--writes`), not in the language:
  load,   ///< the process's offset = the variable
  store,  ///< the variable = the process's offset
  check,  ///< compares what statx and read saw with the process's offset
};
inline constexpr std::size_t verb_count = static_cast<std::size_t>(verb::check) + 1;

/// What a verb is given, in the order of the text; each says where a statement keeps it.
enum class argument : std::uint8_t {
  none,
  result,     ///< the handle before the `=`: `operand`
  handle,     ///< `operand`; after a result, `other`
  file,       ///< a name: `operand`; after a result, `other`
  to_file,    ///< a second name: `other`
  edge,       ///< `operand`
  variable,   ///< `operand`; not in the language
  operation,  ///< of another process: `operand` and `other`
  data,       ///< `data`
  offset,     ///< `offset`
  position,   ///< an `offset`, or left out: at the cursor
  length,     ///< a new size: `offset`
  size,       ///< of a range: `size`
};

/// What the language says of a verb; the predicates below follow from it. (What a verb does is
/// said by those who do it: the model, round.cpp.)
struct verb_traits {
  verb what = verb::append;
  std::string_view name;
  std::array<argument, 3> arguments{};
  opcode code = opcode::nop;  ///< the operation that it becomes; `nop`: none
};

inline constexpr auto all_verbs = [] {
  using a = argument;
  return std::array<verb_traits, verb_count>{{
      {verb::append, "append", {a::handle, a::data}, opcode::write},
      {verb::write, "write", {a::handle, a::position, a::data}, opcode::write},
      {verb::read, "read", {a::handle, a::position, a::size}, opcode::read},
      {verb::seek, "seek", {a::handle, a::offset}, opcode::seek},
      {verb::statx, "statx", {a::handle}, opcode::statx},
      {verb::fsync, "fsync", {a::handle}, opcode::fsync},
      {verb::fdatasync, "fdatasync", {a::handle}, opcode::fdatasync},
      {verb::sync_range, "sync_range", {a::handle, a::offset, a::size}, opcode::sync_range},
      {verb::truncate, "truncate", {a::handle, a::length}, opcode::truncate},
      {verb::allocate, "allocate", {a::handle, a::offset, a::size}, opcode::allocate},
      {verb::punch, "punch", {a::handle, a::offset, a::size}, opcode::punch},
      {verb::drop_cache, "drop_cache", {a::handle}, opcode::drop_cache},
      {verb::open, "open", {a::result, a::file}, opcode::open},
      {verb::clone, "clone", {a::result, a::handle}},
      {verb::close, "close", {a::handle}, opcode::close},
      {verb::rename, "rename", {a::file, a::to_file}, opcode::rename},
      {verb::unlink, "unlink", {a::file}, opcode::unlink},
      {verb::flush, "flush", {a::handle}},
      {verb::cancel, "cancel", {a::operation}},
      {verb::notify, "notify", {a::edge}},
      {verb::wait, "wait", {a::edge}},
      {verb::load, "load", {a::variable}},
      {verb::store, "store", {a::variable}},
      {verb::check, "check"},
  }};
}();
static_assert(
    [] {
      for (std::size_t i = 0; i < all_verbs.size(); ++i) {
        const auto& row = all_verbs[i];
        if (static_cast<std::size_t>(row.what) != i || row.name.empty()) return false;
        for (const auto& other : all_verbs) {
          if (&other != &row && other.name == row.name) return false;
        }
      }
      return true;
    }(),
    "a row for each verb, in the order of the enum, and a name for each row");

constexpr const verb_traits& traits_of(verb verb) noexcept {
  return all_verbs[static_cast<std::size_t>(verb)];
}
constexpr std::string_view to_string(verb verb) noexcept { return traits_of(verb).name; }

/// What comes first: what `statement::operand` is an index of.
constexpr argument operand_of(verb verb) noexcept { return traits_of(verb).arguments[0]; }

/// Can a .litmus file say it? (The others are of the repeated experiment.)
constexpr bool is_in_language(verb verb) noexcept {
  return operand_of(verb) != argument::none && operand_of(verb) != argument::variable;
}
/// nullptr for what is no verb of the language.
constexpr const verb_traits* find_verb(std::string_view name) noexcept {
  for (const auto& row : all_verbs) {
    if (row.name == name && is_in_language(row.what)) return &row;
  }
  return nullptr;
}
/// As the documentation and errors write it: "write(HANDLE, [OFFSET,] DATA)".
std::string usage(verb verb);

/// Does it give a value to a handle that was declared without one?
constexpr bool opens(verb verb) noexcept { return operand_of(verb) == argument::result; }
/// Does it need a handle that is open? (What opens one makes its own.)
constexpr bool uses_handle(verb verb) noexcept { return operand_of(verb) == argument::handle; }
/// Does the handle stand for another open file after it, or for none?
constexpr bool reseats(verb verb) noexcept {
  return opens(verb) || traits_of(verb).code == opcode::close;
}
/// Does it change which file a name stands for?
constexpr bool moves_names(verb verb) noexcept { return operand_of(verb) == argument::file; }

/// Does it become an operation on the file?
constexpr bool is_file_operation(verb verb) noexcept {
  return traits_of(verb).code != opcode::nop || opens(verb);
}
constexpr bool is_write(verb verb) noexcept { return traits_of(verb).code == opcode::write; }
/// Does it change nothing, and say what is there?
constexpr bool only_looks(verb verb) noexcept {
  return traits_of(verb).code == opcode::read || traits_of(verb).code == opcode::statx;
}
/// Does it make durable what others see already?
constexpr bool is_sync(verb verb) noexcept {
  const auto code = traits_of(verb).code;
  return code == opcode::fsync || code == opcode::fdatasync || code == opcode::sync_range;
}
/// The call of a handle that it is; none for what is not one, and for a close.
constexpr std::optional<file_call> call_of(verb verb) noexcept {
  if (verb == verb::flush) return file_call::flush;
  if (verb == verb::clone) return file_call::clone;
  return filemap::call_of(traits_of(verb).code);
}
/// May it be a member of a group, drain, and be cancelled? Others use a handle's number when it is
/// reseated, so what does that stands alone.
constexpr bool is_groupable(verb verb) noexcept {
  return traits_of(verb).code != opcode::nop && !reseats(verb);
}

/// What a condition can ask of a verb's register.
constexpr bool has_result(verb verb) noexcept {
  return is_in_language(verb) && operand_of(verb) != argument::edge;
}
constexpr bool has_size(verb verb) noexcept { return traits_of(verb).code == opcode::statx; }
constexpr bool has_data(verb verb) noexcept { return traits_of(verb).code == opcode::read; }

}  // namespace filemap::litmus

#pragma GCC visibility pop
