#pragma once

#include "filemap/io/engine.hpp"
#include "filemap/io/ring_support.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#pragma GCC visibility push(default)

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
  /// Many queues instead of one, so that what was started first need not be begun first.
  bool sharded = false;
};

/// Blocking threads behind one queue, as tokio's blocking pool has them; or behind many, as it has
/// them with TOKIO_UNSTABLE_SHARDED_BLOCKING_QUEUE=1.
std::unique_ptr<engine> make_pool_engine(const pool_options& options = {});

/// Executes every operation inside `start`. The order of the program is the order of the calls.
std::unique_ptr<engine> make_sync_engine();

/// Which of the operations that can execute does so next: an index into `held`, oldest first.
using op_chooser = std::function<std::size_t(std::span<io_op* const> held)>;

struct stepping_options {
  /// The engine that executes what was chosen, one operation at a time; none: by system calls.
  std::unique_ptr<engine> through;
  /// Nothing but waits is held: the rest executes inside `start`, as in the sync engine.
  bool at_once = false;
  /// Decides in `wait` where nobody has called `execute`; none: the oldest goes.
  op_chooser choose;
};

/// Holds every operation back until it is told to execute it, and executes one at a time, to its
/// end: a race becomes a choice. The members of a chain are held one after the other; whether a
/// link breaks is what `through` makes of it.
class stepping_engine : public engine {
 public:
  /// What can execute, oldest first, until the next call. Waits whose eventfd is not ready cannot.
  virtual std::span<io_op* const> held() = 0;
  /// Executes one of `held`. Its completion, and what it lets begin, come with the next `wait`.
  /// Throws what `through` throws; the operation is its own then, for good.
  virtual void execute(io_op& op) = 0;
  /// Would `wait` return without executing anything?
  virtual bool has_completions() const noexcept = 0;
  /// While it is on nothing executes: what is held and what is started ends with -ECANCELED, unless
  /// it is mandatory. For bringing tasks to their end whose work nobody wants any more.
  virtual void abandon(bool on) noexcept = 0;
};

/// `wait` throws std::logic_error where operations are held and none of them can execute.
std::unique_ptr<stepping_engine> make_stepping_engine(stepping_options options = {});
std::unique_ptr<stepping_engine> make_stepping_engine(op_chooser choose);

}  // namespace filemap

#pragma GCC visibility pop
