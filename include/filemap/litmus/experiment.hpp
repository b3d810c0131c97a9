#pragma once

#include "filemap/litmus/test.hpp"

#include <cstddef>
#include <cstdint>

#pragma GCC visibility push(default)

namespace filemap::litmus {

enum class handle_kind : std::uint8_t { clone, shared, reopen };
enum class flusher_sync : std::uint8_t { fsync, fdatasync, none };

struct experiment_options {
  std::size_t size = 123;  ///< bytes of one append
  unsigned writes = 1;     ///< appends of a round
  handle_kind handles = handle_kind::clone;
  flusher_sync sync = flusher_sync::fsync;

  std::size_t total() const noexcept { return size * writes; }  ///< bytes of the whole file
};

/// The built-in experiment: tokio-4796 of the catalogue in a form that can be repeated. A writer
/// appends and notifies, `writes` times; a flusher syncs through a handle of its own and notifies,
/// until it has caught up with the writer; a reader stats and reads through another what it was
/// told that has been flushed, and checks it, until it has caught up with the flusher.
test tokio_4796(const experiment_options& options);

/// Is it the experiment, whose rounds check themselves, and not a test with a condition?
bool checks_itself(const test& test) noexcept;

}  // namespace filemap::litmus

#pragma GCC visibility pop
