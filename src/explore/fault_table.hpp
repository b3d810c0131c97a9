#pragma once

// A command, and one fault at a time: how it takes an operation that fails.

#include "search.hpp"
#include "subject/command_subject.hpp"

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace filemap {

/// How a run took a fault, by what it shows of it.
enum class taken : std::uint8_t {
  died,       ///< by a signal
  hung,       ///< it has not ended in its time
  told,       ///< by its exit status, or its output
  recovered,  ///< it ends as without the fault, and so do its files
  swallowed,  ///< it ends as without the fault, and says nothing: but its files are others, or what
              ///< it asked to be made durable may not be
};
std::string_view to_string(taken how) noexcept;

struct tried_fault {
  call_fault fault;
  fallible_call call;  ///< that it hit
  taken how = taken::told;
  command_state state;
  std::vector<std::string> other_files;  ///< that are not as without the fault, or not there
  std::string output;                    ///< the end of it
};

struct fault_table {
  command_state without;              ///< the state that the command comes to
  std::size_t operations = 0;         ///< that a fault could hit
  std::vector<tried_fault> tried;     ///< one run each
  std::uint64_t not_tried = 0;        ///< for want of runs or time
  std::uint64_t diverged = 0;         ///< in which the fault hit another operation, or none
  std::vector<std::string> unstable;  ///< files that two runs without a fault leave unlike
  bool output_is_stable = true;       ///< or it is not told from that what the fault changed
  bool interrupted = false;
  bool out_of_time = false;
  std::exception_ptr failed = nullptr;
  nanoseconds spent{0};
  supervision noticed;
};

/// One fault at each operation in turn: first at one of each kind, then at the next ones. Its order
/// is the one that a replay of witness 1 executes. Where the command fails as it is, none is tried.
/// Throws std::system_error, `unsupported`; once it has begun that is `failed`.
fault_table try_faults(command_subject& subject, const search_options& options);

}  // namespace filemap
