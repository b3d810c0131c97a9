#pragma once

#include "filemap/io/engines.hpp"
#include "filemap/io/ring_support.hpp"

#include <liburing.h>

namespace filemap {

/// The options as the engine means them: the ceiling is one more thing to do without, and a ring
/// has 8 entries at least. Throws std::system_error (EINVAL) for a size that no ring has.
uring_options normalised(uring_options options);

/// A ring as the options want it, and what it can do. Returns 0 or an errno, which
/// `throw_setup_failure` explains.
int open_ring(io_uring& ring, const uring_options& options, ring_support& support);

/// Throws `unsupported`, or std::system_error for what can be mended without another kernel.
[[noreturn]] void throw_setup_failure(int error, const uring_options& options);

/// Takes out of the features what an older kernel lists and does otherwise than the engine needs
/// it, by trying: STATX of a descriptor with an empty path, and OPENAT below an O_PATH
/// directory. 5.6 refuses both (EBADF; measured on 5.6.4, right on 5.10).
///
/// False: the ring does not come to it, and is of no use any more.
bool try_operations(io_uring& ring, ring_features& features);

}  // namespace filemap
