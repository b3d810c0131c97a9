#pragma once

#include "filemap/io/kernel_version.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#pragma GCC visibility push(default)

namespace filemap {

/// What the ring engine adapts to. A default-constructed one is Linux 5.4, where everything that
/// the engine needs has a substitute.
struct ring_features {
  bool read_write = false;    ///< READ and WRITE (5.6); else READV and WRITEV
  bool statx = false;         ///< STATX of a descriptor (5.7); else the system call
  bool truncate = false;      ///< FTRUNCATE (6.9); else the system call
  bool allocate = false;      ///< FALLOCATE (5.6); else the system call
  bool advise = false;        ///< FADVISE (5.6); else the system call
  bool open = false;          ///< OPENAT below an O_PATH directory (5.7); else the system call
  bool close = false;         ///< CLOSE (5.6); else the system call
  bool rename = false;        ///< RENAMEAT (5.11); else the system call
  bool unlink = false;        ///< UNLINKAT (5.11); else the system call
  bool cursor = false;        ///< offset -1 is the file's position (5.6); else the system call
  bool async_cancel = false;  ///< ASYNC_CANCEL (5.5); else the loop's thread waits for time
  bool links = false;         ///< a bad descriptor breaks a chain (5.18); else member by member
  bool force_async = false;   ///< IOSQE_ASYNC (5.6)
  bool event_read = false;  ///< a READ of an empty eventfd waits (5.7); else the loop's thread does
  bool no_drop = false;     ///< completions beyond the CQ are kept (5.5)
  bool sqpoll_any_file = false;  ///< SQPOLL takes unregistered files (5.11)
  bool coop_taskrun = false;     ///< 5.19
  bool single_issuer = false;    ///< 6.0
  bool defer_taskrun = false;    ///< 6.1

  /// Whatever is in this one and not in `other`.
  ring_features minus(const ring_features& other) const noexcept;
  std::vector<std::string> names() const;
  /// What replaces the features that are not here, one line each.
  std::vector<std::string> substitutions() const;
};

/// Everything but what 5.4 has: `uring_options::without` for a ring that behaves as on 5.4.
ring_features all_ring_features() noexcept;

/// What came after this version: `uring_options::without` for a ring that behaves as on it.
ring_features features_newer_than(kernel_version version) noexcept;

/// The versions that changed what the ring engine uses, oldest first, from 5.4 on.
std::vector<kernel_version> operation_ceilings();

/// The answer to "why does it not run here?".
struct ring_support {
  bool available = false;
  std::string why;     ///< when not available: what failed, as a sentence
  std::string advice;  ///< and what to do about it
  ring_features features;
  std::uint32_t feature_bits = 0;  ///< IORING_FEAT_*, as io_uring_setup(2) returned them
  /// What the probe lists as supported, and below a ceiling the engine may use; empty before 5.6.
  std::vector<std::string> opcodes;
  bool probed = false;  ///< IORING_REGISTER_PROBE worked (5.6)
  std::optional<operation_ceiling> ceiling;
  std::vector<std::string> refused;  ///< opcodes that were tried and failed with EACCES
};

/// Makes a small ring, asks it and closes it. Never throws for what the kernel refuses. Below a
/// ceiling, the features are those that are left, and every opcode of the engine is tried.
ring_support probe_ring(std::optional<kernel_version> ceiling = {});

}  // namespace filemap

#pragma GCC visibility pop
