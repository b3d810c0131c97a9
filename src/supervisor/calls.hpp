#pragma once

// The system calls that a supervisor hears of: one row each. From the rows follow the filter, what
// a call names, what it does to that, and what a person reads.

#include <cstdint>
#include <span>
#include <string_view>

namespace filemap {

/// Which of a system call's arguments name files, and how.
enum class operands : std::uint8_t {
  none,
  descriptor,         ///< 0
  descriptors,        ///< 0 and 1
  descriptors_0_2,    ///< 0 and 2
  path,               ///< 0
  paths,              ///< 0 and 1
  second_path,        ///< 1 (of symlink, whose first is no name of a file)
  at,                 ///< a directory's descriptor in 0, a path in 1
  at_or_descriptor,   ///< likewise; an empty path is the descriptor itself
  at_at,              ///< two pairs, in 0 to 3
  at_1,               ///< a pair in 1 and 2 (of symlinkat)
  mapped_descriptor,  ///< 4
  cloned,             ///< 0, and its source: 2, or in memory there (ioctl_ficlonerange(2))
};

/// What a call does to something that it names.
enum class effect : std::uint8_t {
  nothing,
  looks_at_name,  ///< is there a file of that name?
  changes_name,   ///< there may be one afterwards, or none, or another
  looks_at_file,  ///< at its bytes, or at what a stat tells of it
  changes_file,   ///< its bytes or its size, or what else a stat tells of it
  syncs,          ///< makes durable what others see already
  moves_cursor,   ///< of the open file description, and no more
  locks,          ///< takes or leaves a lock, and may wait for one
  lists_directory,
};

/// What is particular about a call, where anything is.
enum class peculiarity : std::uint8_t {
  plain,
  opens,       ///< its flags say what it does to the name and to the file
  at_cursor,   ///< goes to where the description stands, and moves it on
  waits,       ///< may sleep for as long as another holds a lock
  maps,        ///< what is done through a shared mapping afterwards is not heard of
  submits,     ///< what is submitted through it is not heard of
  forks,       ///< makes a process, or a thread
  processors,  ///< is about those on which it runs
  sleeps,      ///< until some time has passed, and for nothing else
  closes,
  attributes,  ///< is about what a stat tells of the file but for its size, and about no byte of it
};

struct call_row {
  std::string_view name;    ///< the kernel's
  std::string_view word;    ///< what a person calls it
  std::string_view family;  ///< and all that do the same: "write" of a pwritev
  operands where = operands::none;
  effect first = effect::nothing;
  effect second = effect::nothing;
  peculiarity what = peculiarity::plain;
  int size_at = -1;  ///< the argument that says how many bytes; none: -1
};

/// Can a supervisor do it by half, in the place of the kernel?
bool can_be_halved(const call_row& row) noexcept;

/// What a seccomp filter looks at beside the number: rows with such a condition are of more than
/// one rule.
struct call_condition {
  std::string_view name;
  unsigned argument;
  std::uint64_t mask;
  std::uint64_t value;
};

std::span<const call_row> all_calls() noexcept;
/// Is it that operation? By its family, its word or the kernel's name: a pwritev is "write" and
/// "pwritev".
bool is_operation(const call_row& row, std::string_view operation) noexcept;
/// Of a call that is named here one of the conditions must hold.
std::span<const call_condition> call_conditions() noexcept;

}  // namespace filemap
