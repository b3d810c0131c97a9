#pragma once

// What a person has done to some calls of a command: `--fault`, `--stall`.

#include "filemap/io/op.hpp"

#include <cstdint>
#include <string>

namespace filemap {

/// What becomes of a call, beside that the kernel executes it.
struct intervention {
  int error = 0;           ///< an errno that it gets instead of being executed
  bool shortened = false;  ///< it does half of its bytes
  nanoseconds stalled{0};  ///< it goes on so much later
};

/// Some calls fail, or do half of their bytes.
struct call_fault {
  std::string text;         ///< "write#3=ENOSPC@0.5"
  std::string operation;    ///< as `is_operation` takes it
  std::uint64_t which = 0;  ///< the how many-th of a run, from 1; 0: each
  int error = 0;            ///< an errno; 0: it is shortened
  double probability = 1;
};

/// Some calls go on later.
struct call_stall {
  std::string operation;
  nanoseconds time{0};
  double probability = 1;
};

}  // namespace filemap
