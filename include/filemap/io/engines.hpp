#pragma once

#include "filemap/io/engine.hpp"
#include "filemap/io/ring_support.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>

namespace filemap {

struct uring_options {
  unsigned entries = 256;  ///< submission queue entries, 1 to 32768, rounded up to 2^n, at least 8
  bool sqpoll = false;     ///< a kernel thread picks the submissions up
  bool defer_taskrun = true;   ///< when the kernel has it
  bool force_async = false;    ///< IOSQE_ASYNC on every file operation: a kernel worker runs it
  ring_features without = {};  ///< what not to use although the kernel has it
  /// Only what this kernel had is used, and the running one (5.10) refuses the rest. It is one of
  /// operation_ceilings().
  std::optional<kernel_version> ceiling = {};
};

/// One ring. Throws `unsupported` when this kernel or process may not have
/// a ring, and std::system_error otherwise (RLIMIT_MEMLOCK before 5.12, EMFILE), each naming what
/// to do.
std::unique_ptr<engine> make_uring_engine(const uring_options& options = {});

struct pool_options {
  std::size_t threads = 512;  ///< at most; tokio's default
  std::chrono::milliseconds keep_alive{
      10'000};  ///< an idle thread ends after this; tokio's default
};

/// Blocking threads behind one queue, as tokio's blocking pool has them.
std::unique_ptr<engine> make_pool_engine(const pool_options& options = {});

/// Executes every operation inside `start`. The order of the program is the order of the calls.
std::unique_ptr<engine> make_sync_engine();

/// Which of the operations that are held back executes next: an index into `held`, oldest first.
using op_chooser = std::function<std::size_t(std::span<io_op* const> held)>;

struct stepping_options {
  /// The engine that executes what was chosen, one operation at a time; none: by system calls.
  std::unique_ptr<engine> through;
  /// Executes inside `start`, as the sync engine does; what is chosen is whose completion comes.
  bool at_once = false;
};

/// Holds every operation back and executes one at a time, the one that `choose` says, to its end: a
/// race becomes a choice. An eventfd that is not ready is not offered. When
/// operations are held and none of them can execute, `wait` throws std::system_error with EDEADLK,
/// as nothing would ever complete.
std::unique_ptr<engine> make_stepping_engine(op_chooser choose, stepping_options options = {});

}  // namespace filemap
