#pragma once

#include "filemap/io/file.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)

namespace filemap::litmus {

enum class engine_kind : std::uint8_t {
  uring,
  pool,
  sync,
  driver,  ///< a program of its own (docs/drivers.md), for which the model takes a pool's rules
};

/// A named point in the plane {who executes} × {when a write is acknowledged}.
struct mode {
  std::string name;
  engine_kind engine = engine_kind::uring;
  acknowledgement when = acknowledgement::complete;
  bool flush = false;  ///< the writer flushes before it notifies
  acknowledgement_options options = {};
  std::string command = {};  ///< of a driver: for /bin/sh

  /// Does a write return before the kernel has done it?
  bool acknowledges_early() const noexcept { return when != acknowledgement::complete; }
  /// May a reader miss what was flushed? Only when writes are acknowledged early and nobody
  /// flushes.
  bool allows_stale_reads() const noexcept { return acknowledges_early() && !flush; }
  /// Is a read or write at an offset a seek, and then one at the cursor? (Not past its handle.)
  bool seeks() const noexcept { return options.seeks; }
  /// Does an append set the cursor behind it? write(2) does; a ring appends at an offset.
  bool appends_move_cursor() const noexcept { return engine != engine_kind::uring; }
  /// The same with a flush; its name says so.
  mode with_flush() const;

  friend bool operator==(const mode&, const mode&) = default;
};

/// uring, blocking-pool, tokio-fs, uring-write-behind, sync.
std::span<const mode> all_modes();

/// Older versions of a mode, to be asked for by name: tokio-fs-1.24, tokio-fs-1.28.
std::span<const mode> older_modes();

/// Those with a buffer, likewise: pool-buffered, pool-buffered-lost.
std::span<const mode> buffered_modes();

/// All three lists.
std::array<std::span<const mode>, 3> mode_lists();

/// Of one of the lists; nullptr when there is no mode of this name.
const mode* find_mode(std::string_view name);

/// What stands for it behind `--mode`: its name, of a driver NAME=COMMAND.
std::string argument_of(const mode& mode);

/// The same, also with a flush: MODE or MODE+flush.
std::optional<mode> parse_mode(std::string_view name);

}  // namespace filemap::litmus

#pragma GCC visibility pop
