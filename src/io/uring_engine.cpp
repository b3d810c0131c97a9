// The ring engine: operations become submission queue entries of one ring, completion queue entries
// become completed operations. This is the only file that knows liburing.
//
//          start()                                                   wait()
//   idle ───────────► queued ──────────────► in flight ─────────────► done
//            │          │  ▲    admit()         │  │     reap()
//            │          ▼  │ no SQE, or the     │  │
//            │        backlog_ CQ would fill    │  └─ again: a stall has ended, an eventfd was
//            │                                  │     empty on a kernel whose read does not wait
//            └──── ready_ ◄── by system call, when the kernel has no such operation, or
//                              room_, where the kernel's own waits are not to be had
//
// One turn of the loop (`wait`) admits what waits in the backlog, submits everything that has been
// prepared and waits for a completion in one io_uring_enter, moves the completions to `ready_`,
// publishes the CQ's head, and only then hands them out: nobody resumes while the CQ is being read.
//
// - user_data is the io_op; small numbers are requests of our own: a cancellation, and the pause
//   before one that came to nothing is asked for again.
// - What is in flight and ends by itself never exceeds the CQ's size, because 5.4 drops what
//   overflows, and later kernels allocate for it and refuse submissions. Waits are not bounded, as
//   the write that a wait is about must find a place.
// - A wait is given to the kernel only where it can be taken back: time from 5.5 on, as before only
//   polls can be cancelled; an eventfd from 5.7 on, as before it takes a poll, and 5.6 can lose the
//   completion of one that is cancelled (seen on 5.6.4: 2 of 2,000 rounds ended never; on 5.10
//   none). Elsewhere the loop's thread polls for them together with the ring (`room_`).
// - Below a ceiling the kernel itself refuses what is newer: see restrict_to().
// - `submitted` is stamped just before the entries are published, so an operation cannot have begun
//   before it. When the kernel began it is not observable; `returned` is when its CQE was reaped.
//   Neither is stamped for an operation that is not `timed`.
// - A chain is admitted as a whole: what fills the queue in its middle would end it there. A chain
//   with a member that this kernel lacks, or that waits or stalls behind the first, is the
//   sequencer's. So are drained operations, because the kernel's drain also counts the eventfds
//   that are waited for.
// - Multishot requests are not used: one SQE, one CQE, as reap() asserts.
// - The destructor cancels, then waits for every CQE. io_uring_queue_exit alone returns while the
//   kernel may still write into buffers. What it cannot wait for it leaves to the kernel, with the
//   ring: before 5.5 to close it would wait for the same.
// - io_uring_enter that is refused is tried again for `patience` where the kernel may think better
//   of it; then, and else at once, the engine has failed.

#include "filemap/io/engines.hpp"

#include "execute.hpp"
#include "sequencer.hpp"
#include "waiting_room.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <set>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <climits>
#include <liburing.h>

namespace filemap {

namespace {

// Not in liburing 2.3, the oldest that we build with.
constexpr int op_ftruncate = 55;  // Linux 6.9

// The user_data of our own requests; no io_op has such an address.
constexpr std::uint64_t cancellation_data = 0;
constexpr std::uint64_t pause_data = 1;

// Every operation that is put into the ring, by the version that brought it (5.4: or an older one).
// Below a ceiling nothing else is let in.
struct ring_opcode {
  int code = 0;
  kernel_version since;
};
constexpr std::array ring_opcodes = {
    ring_opcode{IORING_OP_NOP, {5, 4}},          ring_opcode{IORING_OP_READV, {5, 4}},
    ring_opcode{IORING_OP_WRITEV, {5, 4}},       ring_opcode{IORING_OP_FSYNC, {5, 4}},
    ring_opcode{IORING_OP_TIMEOUT, {5, 4}},      ring_opcode{IORING_OP_SYNC_FILE_RANGE, {5, 4}},
    ring_opcode{IORING_OP_ASYNC_CANCEL, {5, 5}}, ring_opcode{IORING_OP_STATX, {5, 6}},
    ring_opcode{IORING_OP_READ, {5, 6}},         ring_opcode{IORING_OP_WRITE, {5, 6}},
    ring_opcode{IORING_OP_FALLOCATE, {5, 6}},    ring_opcode{IORING_OP_FADVISE, {5, 6}},
    ring_opcode{IORING_OP_OPENAT, {5, 6}},       ring_opcode{IORING_OP_CLOSE, {5, 6}},
    ring_opcode{IORING_OP_RENAMEAT, {5, 11}},    ring_opcode{IORING_OP_UNLINKAT, {5, 11}},
    ring_opcode{op_ftruncate, {6, 9}},
};

// Likewise the flags of an entry.
struct sqe_flag {
  std::uint8_t flag = 0;
  kernel_version since;
};
constexpr std::array sqe_flags = {
    sqe_flag{IOSQE_IO_LINK, {5, 4}},
    sqe_flag{IOSQE_IO_HARDLINK, {5, 5}},
    sqe_flag{IOSQE_ASYNC, {5, 6}},
};

// What brought IORING_REGISTER_RESTRICTIONS: a ceiling, although it changes nothing else.
constexpr kernel_version with_restrictions{5, 10};

struct failure {
  bool is_environment = false;  // can be mended without another kernel
  std::string why;
  std::string advice;
};

int sysctl_io_uring_disabled() {
  std::ifstream file("/proc/sys/kernel/io_uring_disabled");
  int value = 0;
  return file >> value ? value : 0;
}

failure explain_setup(int error) {
  switch (error) {
    case ENOSYS:
      return {
          false, "this kernel has no io_uring (io_uring_setup: ENOSYS)",
          "use Linux 5.1 or later built with CONFIG_IO_URING, or a sandbox whose seccomp filter "
          "lets io_uring_setup through"};
    case EPERM:
    case EACCES:
      if (const int disabled = sysctl_io_uring_disabled(); disabled != 0) {
        return {
            false,
            "io_uring is disabled (kernel.io_uring_disabled = " + std::to_string(disabled) + ")",
            disabled == 1 ? "run as root or in the group of kernel.io_uring_group, or "
                            "sysctl kernel.io_uring_disabled=0"
                          : "sysctl kernel.io_uring_disabled=0"};
      }
      return {false, "io_uring_setup is not permitted (EPERM)",
              "a seccomp filter or a security module refuses it: in a container, allow io_uring in "
              "its seccomp profile"};
    case ENOMEM: {
      rlimit limit{};
      ::getrlimit(RLIMIT_MEMLOCK, &limit);
      if (limit.rlim_cur == RLIM_INFINITY) {
        return {true, "no memory for the ring (io_uring_setup: ENOMEM)",
                "free some, or use a smaller --entries"};
      }
      return {true,
              "no memory for the ring (io_uring_setup: ENOMEM; RLIMIT_MEMLOCK is " +
                  std::to_string(limit.rlim_cur / 1024) +
                  " KiB, and before Linux 5.12 the rings of all the user's processes count)",
              "raise it (ulimit -l), or use a smaller --entries or fewer modes at once"};
    }
    case EMFILE:
    case ENFILE:
      return {true, "no file descriptor for the ring (RLIMIT_NOFILE)", "raise it: ulimit -n"};
    default:
      return {false, "io_uring_setup: " + std::generic_category().message(error),
              "see io_uring_setup(2)"};
  }
}

[[noreturn]] void throw_setup_failure(int error) {
  const auto found = explain_setup(error);
  if (found.is_environment) {
    throw std::system_error(error, std::generic_category(), found.why + "; " + found.advice);
  }
  throw unsupported(found.why + "; " + found.advice);
}

bool is_file_operation(opcode code) noexcept {
  switch (code) {
    case opcode::nop:
    case opcode::sleep:
    case opcode::read_event:
    case opcode::seek:
      return false;
    default:
      return true;
  }
}

bool has_good_paths(const io_request& request) noexcept {
  const auto good = [](const char* path) {
    const auto length = ::strnlen(path, PATH_MAX);
    return length > 0 && length < PATH_MAX;
  };
  switch (request.code) {
    case opcode::rename:
      return good(request.path) && good(request.new_path);
    case opcode::open:
    case opcode::unlink:
      return good(request.path);
    default:
      return true;
  }
}

// In the order of their numbers in <linux/io_uring.h>.
std::string opcode_name(int op) {
  constexpr std::array names = {
      "NOP",
      "READV",
      "WRITEV",
      "FSYNC",
      "READ_FIXED",
      "WRITE_FIXED",
      "POLL_ADD",
      "POLL_REMOVE",
      "SYNC_FILE_RANGE",
      "SENDMSG",
      "RECVMSG",
      "TIMEOUT",
      "TIMEOUT_REMOVE",
      "ACCEPT",
      "ASYNC_CANCEL",
      "LINK_TIMEOUT",
      "CONNECT",
      "FALLOCATE",
      "OPENAT",
      "CLOSE",
      "FILES_UPDATE",
      "STATX",
      "READ",
      "WRITE",
      "FADVISE",
      "MADVISE",
      "SEND",
      "RECV",
      "OPENAT2",
      "EPOLL_CTL",
      "SPLICE",
      "PROVIDE_BUFFERS",
      "REMOVE_BUFFERS",
      "TEE",
      "SHUTDOWN",
      "RENAMEAT",
      "UNLINKAT",
      "MKDIRAT",
      "SYMLINKAT",
      "LINKAT",
      "MSG_RING",
      "FSETXATTR",
      "SETXATTR",
      "FGETXATTR",
      "GETXATTR",
      "SOCKET",
      "URING_CMD",
      "SEND_ZC",
      "SENDMSG_ZC",
      "READ_MULTISHOT",
      "WAITID",
      "FUTEX_WAIT",
      "FUTEX_WAKE",
      "FUTEX_WAITV",
      "FIXED_FD_INSTALL",
      "FTRUNCATE",
      "BIND",
      "LISTEN",
      "RECV_ZC",
      "EPOLL_WAIT",
      "READV_FIXED",
      "WRITEV_FIXED",
      "PIPE",
  };
  const auto index = static_cast<std::size_t>(op);
  return index < names.size() ? names[index] : "#" + std::to_string(op);
}

using probe_answer = std::unique_ptr<io_uring_probe, decltype(&io_uring_free_probe)>;

// Null before 5.6.
probe_answer ask_probe(io_uring& ring) {
  return {io_uring_get_probe_ring(&ring), &io_uring_free_probe};
}

// What the ring can do, apart from how it was set up.
void probe_operations(io_uring& ring, ring_support& support) {
  auto& features = support.features;
  support.feature_bits = ring.features;
  features.no_drop = (ring.features & IORING_FEAT_NODROP) != 0;
  features.async_cancel = features.no_drop;  // these came with 5.5, which has no probe
  features.hardlink = features.no_drop;
  features.cursor = (ring.features & IORING_FEAT_RW_CUR_POS) != 0;
  features.force_async = features.cursor;  // both came with 5.6
  features.event_read = (ring.features & IORING_FEAT_FAST_POLL) != 0;
  features.sqpoll_any_file = (ring.features & IORING_FEAT_SQPOLL_NONFIXED) != 0;

  const auto probe = ask_probe(ring);
  if (probe == nullptr) return;
  support.probed = true;
  const auto has = [&](int op) { return io_uring_opcode_supported(probe.get(), op) != 0; };
  features.read_write = has(IORING_OP_READ) && has(IORING_OP_WRITE);
  features.statx = has(IORING_OP_STATX);
  features.truncate = has(op_ftruncate);
  features.allocate = has(IORING_OP_FALLOCATE);
  features.advise = has(IORING_OP_FADVISE);
  features.open = has(IORING_OP_OPENAT);
  features.close = has(IORING_OP_CLOSE);
  features.rename = has(IORING_OP_RENAMEAT);
  features.unlink = has(IORING_OP_UNLINKAT);
  support.opcodes.clear();
  for (int op = 0; op <= probe->last_op; ++op) {
    if (has(op)) support.opcodes.push_back(opcode_name(op));
  }
}

// Before 5.12 a ring that was closed counts against RLIMIT_MEMLOCK until a worker of the kernel has
// freed it, a moment later.
int init_patiently(io_uring& ring, unsigned entries, const io_uring_params& wanted) {
  int error = 0;
  for (int attempt = 0; attempt < 10; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(std::chrono::milliseconds{20});
    auto params = wanted;
    error = -io_uring_queue_init_params(entries, &ring, &params);
    if (error != ENOMEM) break;
  }
  return error;
}

// Sets the ring up with `flags` and the best others that the kernel takes; the features say which
// those are. Returns 0 or an errno.
int set_up(io_uring& ring, const uring_options& options, unsigned flags, ring_features& features) {
  struct attempt {
    unsigned flags;
    bool single_issuer, coop_taskrun, defer_taskrun;
  };
  constexpr unsigned single = IORING_SETUP_SINGLE_ISSUER;
  constexpr unsigned coop = IORING_SETUP_COOP_TASKRUN;
  constexpr std::array<attempt, 4> attempts = {{
      {single | IORING_SETUP_DEFER_TASKRUN, true, false, true},  // 6.1
      {single | coop, true, true, false},                        // 6.0
      {coop, false, true, false},                                // 5.19
      {0, false, false, false},
  }};
  int error = EINVAL;
  for (const auto& attempt : attempts) {
    if (attempt.defer_taskrun && (!options.defer_taskrun || options.sqpoll)) continue;
    if (attempt.coop_taskrun && options.sqpoll && !attempt.single_issuer) continue;
    if (attempt.defer_taskrun && options.without.defer_taskrun) continue;
    if (attempt.single_issuer && options.without.single_issuer) continue;
    if (attempt.coop_taskrun && options.without.coop_taskrun) continue;
    io_uring_params params{};
    params.flags = flags | attempt.flags;
    // The kernel refuses the two together: its polling thread is never interrupted.
    if (options.sqpoll) params.flags = (params.flags & ~coop) | IORING_SETUP_SQPOLL;
    error = init_patiently(ring, options.entries, params);
    if (error == 0) {
      features.single_issuer = attempt.single_issuer;
      features.coop_taskrun = attempt.coop_taskrun && !options.sqpoll;
      features.defer_taskrun = attempt.defer_taskrun;
      return 0;
    }
    if (error != EINVAL) return error;
  }
  return error;
}

// Makes the kernel refuse whatever is newer than the ceiling, and starts the ring, which was set up
// disabled. Nothing is registered any more, so that no register opcode is let through.
bool restrict_to(kernel_version ceiling, io_uring& ring) {
  const auto probe = ask_probe(ring);
  std::vector<io_uring_restriction> allowed(1);
  allowed[0].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
  for (const auto& [flag, since] : sqe_flags) {
    if (since <= ceiling) allowed[0].sqe_flags |= flag;
  }
  for (const auto& [code, since] : ring_opcodes) {
    // The kernel takes no restriction to an opcode that it has never heard of.
    if (since > ceiling || (probe && io_uring_opcode_supported(probe.get(), code) == 0)) continue;
    auto& entry = allowed.emplace_back();
    entry.opcode = IORING_RESTRICTION_SQE_OP;
    entry.sqe_op = static_cast<std::uint8_t>(code);
  }
  // The shared liburing 2.3 does not export its calls for these two.
  const auto did = [&](unsigned what, void* entries, std::size_t count) {
    return ::syscall(SYS_io_uring_register, ring.ring_fd, what, entries, count) == 0;
  };
  return did(IORING_REGISTER_RESTRICTIONS, allowed.data(), allowed.size()) &&
         did(IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
}

// A ring as the options want it, and what it can do. Returns 0 or an errno.
int open_ring(io_uring& ring, const uring_options& options, ring_support& support) {
  bool enforced = false;
  if (options.ceiling && set_up(ring, options, IORING_SETUP_R_DISABLED, support.features) == 0) {
    probe_operations(ring, support);  // later the kernel would refuse it
    enforced = restrict_to(*options.ceiling, ring);
    if (!enforced) io_uring_queue_exit(&ring);
  }
  if (!enforced) {
    if (const int error = set_up(ring, options, 0, support.features); error != 0) return error;
    probe_operations(ring, support);
  }
  if (options.ceiling) support.ceiling = {*options.ceiling, enforced};
  support.features = support.features.minus(options.without);
  return 0;
}

// The options as the engine means them: the ceiling is one more thing to do without, and a program
// of a few tasks must fit into the CQ of a ring whose kernel drops what does not.
uring_options normalised(uring_options options) {
  if (options.entries < 1 || options.entries > 32768) {
    throw std::system_error(
        EINVAL, std::generic_category(),
        "a ring has 1 to 32768 entries, not " + std::to_string(options.entries));
  }
  options.entries = std::max(options.entries, 8U);
  if (options.ceiling) {
    const auto all = all_ring_features();
    const auto left = all.minus(options.without).minus(features_newer_than(*options.ceiling));
    options.without = all.minus(left);
  }
  return options;
}

class uring_engine final : public engine {
 public:
  explicit uring_engine(const uring_options& options) : options_(normalised(options)) {
    ring_support support;
    if (const int error = open_ring(ring_, options_, support); error != 0) {
      if (error == EINVAL && options_.entries > 4096) {
        throw unsupported("this kernel takes no ring of " + std::to_string(options_.entries) +
                          " entries; use a smaller --entries");
      }
      throw_setup_failure(error);
    }
    ceiling_ = support.ceiling;
    features_ = support.features;
    if (options_.sqpoll && !features_.sqpoll_any_file) refuse("--sqpoll needs Linux 5.11");
    if (options_.force_async && !features_.force_async) refuse("--iosqe-async needs Linux 5.6");
    capacity_ = ring_.cq.ring_entries;
  }

  ~uring_engine() override {
    op_queue mandatory;
    while (auto* const op = backlog_.pop()) {
      if (op->request.mandatory) {
        mandatory.push(*op);
      } else {
        finish(*op, -ECANCELED, clock::now());
        ready_.push(*op);
      }
    }
    backlog_.append(mandatory);
    room_.cancel_all(ready_);
    std::string why = "nothing but a wait can be cancelled before Linux 5.5";
    try {
      for (auto* op = in_ring_.front(); op != nullptr; op = op->next) {
        if (!op->request.mandatory) ask_cancellation(*op);
      }
      wait_for_the_kernel();
    } catch (const std::exception& failure) {
      why = failure.what();
      take_back_unsubmitted();
    }
    end_without_the_ring();
    if (in_ring_.empty()) {
      io_uring_queue_exit(&ring_);
    } else {
      leave_to_the_kernel(why);
    }
    order_.abandon(ready_, in_ring_);
  }

  void start(io_op& op) noexcept override {
    ++in_flight_;
    op.begin();
    if (op_queue next; order_.enter(op, next)) {
      begin(op);
    } else {
      begin_all(next);
    }
  }

  void wait(op_queue& done) override {
    assert(in_flight_ > 0);
    assert(!order_.in_chain() && "a chain is started as a whole");
    try {
      wait_until_ready();
    } catch (...) {
      failed_ = true;
      throw;
    }
    op_queue next;
    for (auto* op = ready_.front(); op != nullptr; op = op->next) {
      --in_flight_;
      order_.leave(*op, next);
      if (!next.empty()) begin_all(next);
    }
    done.append(ready_);
  }

  void cancel(io_op& op) noexcept override {
    if (!op.pending() || op.way.finished || op.way.cancelled) return;
    if (op.way.held) {
      op.way.cancelled = true;
      return;
    }
    if (room_.cancel(op, ready_)) return;
    if (op.state == op_state::in_flight) {
      ask_cancellation(op);
    } else {
      backlog_.erase(op);
      finish(op, -ECANCELED, clock::now());
      ready_.push(op);
    }
  }

  std::size_t in_flight() const noexcept override { return in_flight_; }
  bool failed() const noexcept override { return failed_; }

  engine_traits traits() const override {
    engine_traits traits{"uring", false, features_.names(), features_.substitutions(), ceiling_};
    if (options_.sqpoll) traits.features.emplace_back("SQPOLL");
    if (options_.force_async) traits.features.emplace_back("IOSQE_ASYNC");
    return traits;
  }

 private:
  [[noreturn]] void refuse(std::string what) {
    io_uring_queue_exit(&ring_);
    if (ceiling_) what += ", and --ops " + to_string(ceiling_->version) + " is its ceiling";
    throw unsupported(what);
  }

  void wait_until_ready() {
    do {
      admit_backlog();
      enter(ready_.empty() && room_.empty() ? 1 : 0);
      const auto reaped = reap();
      if (!room_.empty()) poll_room(reaped > 0);
    } while (ready_.empty());
  }

  // --- the end

  // Returns when the kernel has nothing of ours, or nothing that will end.
  void wait_for_the_kernel() {
    while (in_ring_count_ > 0 || !backlog_.empty()) {
      admit_backlog();
      const bool block = in_ring_count_ > 0 && will_end();
      enter(block ? 1 : 0);
      if (reap() == 0 && !block && in_ring_count_ > 0) return;
    }
  }

  // Is there an operation that ends by itself, or has been asked to?
  bool will_end() const noexcept {
    if (features_.async_cancel) return true;
    for (const auto* op = in_ring_.front(); op != nullptr; op = op->next) {
      if (!may_block_for_ever(op->request)) return true;
    }
    return in_ring_.empty();
  }
  static bool may_block_for_ever(const io_request& request) noexcept {
    if (request.code != opcode::read && request.code != opcode::write) return false;
    struct stat status {};
    return ::fstat(request.fd, &status) == 0 && !S_ISREG(status.st_mode) &&
           !S_ISBLK(status.st_mode);
  }

  // What is in the queue and was never consumed, as every io_uring_enter has failed, is ours again.
  void take_back_unsubmitted() noexcept {
    const auto& sq = ring_.sq;
    const auto count = options_.sqpoll ? 0 : io_uring_sq_ready(&ring_);
    for (unsigned i = sq.sqe_tail - count; i != sq.sqe_tail; ++i) {
      const auto data = sq.sqes[i & sq.ring_mask].user_data;
      --in_ring_count_;
      if (data == cancellation_data || data == pause_data) continue;
      auto& op =
          *reinterpret_cast<io_op*>(data);  // NOLINT(performance-no-int-to-ptr): as put() set
      in_ring_.erase(op);
      op.take_back();
      backlog_.push(op);
    }
  }
  void end_without_the_ring() noexcept {
    while (auto* const op = backlog_.pop()) {
      if (op->request.mandatory) {
        execute(*op);
      } else {
        finish(*op, -ECANCELED, clock::now());
      }
      ready_.push(*op);
    }
  }

  void leave_to_the_kernel(const std::string& why) const noexcept {
    std::size_t count = 0;
    for (const auto* op = in_ring_.front(); op != nullptr; op = op->next) ++count;
    std::fprintf(stderr, "filemap-uring: %zu operation%s left to the kernel, with the ring: %s\n",
                 count, count == 1 ? " is" : "s are", why.c_str());
  }

  // --- into the ring

  void begin(io_op& op) noexcept {
    const bool sleeps = op.request.code == opcode::sleep;
    if (sleeps || op.request.delay > nanoseconds{0}) {
      op.way.deadline = clock::now() + op.request.delay;
      op.way.stalling = !sleeps;
    }
    if (!backlog_.empty() || !admit(op)) backlog_.push(op);
  }
  void begin_all(op_queue& next) noexcept {
    filemap::begin_all(next, ready_, [this](io_op& op) { begin(op); });
  }

  bool by_system_call(const io_op& op) const noexcept {
    if (op.way.stalling) return false;
    switch (op.request.code) {
      case opcode::statx:
        return !features_.statx;
      case opcode::truncate:
        return !features_.truncate;
      case opcode::allocate:
      case opcode::punch:
        return !features_.allocate;
      case opcode::drop_cache:
        return !features_.advise;
      case opcode::open:
        return !features_.open;
      case opcode::close:
        return !features_.close;
      case opcode::rename:
        return !features_.rename;
      case opcode::unlink:
        return !features_.unlink;
      case opcode::seek:
        return true;
      case opcode::read:
      case opcode::write:
        return op.request.offset == at_cursor && !features_.cursor;
      default:
        return false;
    }
  }

  // Ends when something outside of the ring happens, which may be never.
  static bool waits(const io_op& op) noexcept {
    return op.way.stalling || op.request.code == opcode::sleep ||
           op.request.code == opcode::read_event;
  }

  // Where the kernel keeps completions beyond the CQ (5.5), waits and cancellations need no room.
  // Before, there are none in the ring.
  bool has_room(const io_op& op, std::size_t count = 1) const noexcept {
    return waits(op) || bounded_count_ + count <= capacity_;
  }
  bool belongs_into_room(const io_op& op) const noexcept {
    if (op.way.stalling || op.request.code == opcode::sleep) return !features_.async_cancel;
    return op.request.code == opcode::read_event && (op.way.polling || !features_.event_read);
  }

  // False: there is no room now, neither for the submission nor for its completion.
  bool admit(io_op& op) noexcept {
    if (op.way.follower != nullptr && !op.way.stalling) {
      if (const auto members = members_for_the_kernel(op); members > 0) {
        return admit_chain(op, members);
      }
    }
    if (by_system_call(op)) {
      op.record.submitted = clock::now();
      execute(op);
      ready_.push(op);
      return true;
    }
    if (belongs_into_room(op)) {
      op.record.submitted = clock::now();
      room_.admit(op);
      return true;
    }
    if (!has_room(op)) return false;
    auto* const sqe = get_sqe();
    if (sqe == nullptr) return false;
    put(*sqe, op);
    return true;
  }

  void put(io_uring_sqe& sqe, io_op& op) noexcept {
    prep(sqe, op);
    op.hand_over();
    in_ring_.push(op);
    if (unpublished_ == nullptr) unpublished_ = &op;
    ++in_ring_count_;
    if (!waits(op)) ++bounded_count_;
  }

  // How many members the chain has, if the kernel can be given all of them as they are. 0: the
  // sequencer must give them out one by one. A chain ends with its submission (io_uring_enter(2)),
  // so it must fit into the queue; and an entry that is refused at once, as one with a bad path is,
  // ends the submission.
  std::size_t members_for_the_kernel(const io_op& first) const noexcept {
    std::size_t count = 0;
    for (const auto* op = &first; op != nullptr; op = op->way.follower) {
      const auto& r = op->request;
      const bool delayed = op != &first && r.delay > nanoseconds{0};
      const bool linkable = r.link != link_kind::hardlink || features_.hardlink;
      if (delayed || op->way.cancelled || waits(*op) || by_system_call(*op) || !linkable) return 0;
      if (!has_good_paths(r)) return 0;
      ++count;
    }
    return count <= ring_.sq.ring_entries ? count : 0;
  }

  // False: one run of entries in one submission, or one run of completions, has no room now.
  bool admit_chain(io_op& first, std::size_t members) noexcept {
    if (!has_room(first, members)) return false;
    if (io_uring_sq_space_left(&ring_) < members) {
      submit_prepared();
      if (io_uring_sq_space_left(&ring_) < members) return false;
    }
    for (auto* op = &first; op != nullptr;) {
      auto& sqe = *io_uring_get_sqe(&ring_);
      op->way.held = false;
      put(sqe, *op);
      if (op->request.link == link_kind::link) sqe.flags |= IOSQE_IO_LINK;
      if (op->request.link == link_kind::hardlink) sqe.flags |= IOSQE_IO_HARDLINK;
      op =
          std::exchange(op->way.follower, nullptr);  // from here on its turn is the kernel's to say
    }
    return true;
  }

  void admit_backlog() noexcept {
    while (auto* const op = backlog_.front()) {
      backlog_.erase(*op);
      if (admit(*op)) continue;
      op_queue rest;  // back to where it was: the front
      rest.push(*op);
      rest.append(backlog_);
      backlog_.append(rest);
      return;
    }
  }

  io_uring_sqe* get_sqe() noexcept {
    if (auto* const sqe = io_uring_get_sqe(&ring_)) return sqe;
    submit_prepared();
    return io_uring_get_sqe(&ring_);
  }

  void submit_prepared() noexcept {
    publish();
    io_uring_submit(&ring_);  // what it could not take now, enter() submits again
    if (options_.sqpoll) io_uring_sqring_wait(&ring_);
  }

  static std::uint64_t position(const io_request& request) noexcept {
    return static_cast<std::uint64_t>(request.offset == at_end ? 0 : request.offset);
  }

  // The one place where an entry is filled. liburing's prep functions leave user_data alone, and a
  // recycled entry keeps its old one.
  void prep(io_uring_sqe& sqe, io_op& op) const noexcept {
    const auto& r = op.request;
    if (op.way.stalling || r.code == opcode::sleep) {
      prep_timeout(sqe, op);
    } else {
      switch (r.code) {
        case opcode::read_event:
          io_uring_prep_read(&sqe, r.fd, &op.way.count, sizeof op.way.count, 0);
          break;
        case opcode::read:
          if (features_.read_write) {
            io_uring_prep_read(&sqe, r.fd, r.data, r.size, position(r));
          } else {
            op.way.vec = {r.data, r.size};
            io_uring_prep_readv(&sqe, r.fd, &op.way.vec, 1, position(r));
          }
          break;
        case opcode::write:
          if (features_.read_write) {
            io_uring_prep_write(&sqe, r.fd, r.data, r.size, position(r));
          } else {
            op.way.vec = {r.data, r.size};
            io_uring_prep_writev(&sqe, r.fd, &op.way.vec, 1, position(r));
          }
          break;
        case opcode::fsync:
          io_uring_prep_fsync(&sqe, r.fd, 0);
          break;
        case opcode::fdatasync:
          io_uring_prep_fsync(&sqe, r.fd, IORING_FSYNC_DATASYNC);
          break;
        case opcode::statx:
          io_uring_prep_statx(&sqe, r.fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, r.status);
          break;
        case opcode::truncate:
          io_uring_prep_rw(op_ftruncate, &sqe, r.fd, nullptr, 0, position(r));
          break;
        case opcode::sync_range:
          io_uring_prep_sync_file_range(&sqe, r.fd, r.size, position(r), sync_range_flags);
          break;
        case opcode::allocate:
          io_uring_prep_fallocate(&sqe, r.fd, 0, r.offset, r.size);
          break;
        case opcode::punch:
          io_uring_prep_fallocate(&sqe, r.fd, punch_mode, r.offset, r.size);
          break;
        case opcode::drop_cache:
          io_uring_prep_fadvise(&sqe, r.fd, position(r), r.size, POSIX_FADV_DONTNEED);
          break;
        case opcode::open:
          io_uring_prep_openat(&sqe, r.fd, r.path, r.flags, r.mode);
          break;
        case opcode::close:
          io_uring_prep_close(&sqe, r.fd);
          break;
        case opcode::rename:
          io_uring_prep_renameat(&sqe, r.fd, r.path, r.new_directory, r.new_path, 0);
          break;
        case opcode::unlink:
          io_uring_prep_unlinkat(&sqe, r.fd, r.path, 0);
          break;
        default:
          io_uring_prep_nop(&sqe);
      }
      if (options_.force_async && is_file_operation(r.code)) sqe.flags |= IOSQE_ASYNC;
    }
    io_uring_sqe_set_data(&sqe, &op);
  }

  static void prep_timeout(io_uring_sqe& sqe, io_op& op) noexcept {
    using namespace std::chrono;
    const auto left = std::max(nanoseconds{1}, op.way.deadline - clock::now());
    static_assert(sizeof op.way.time_left == sizeof(__kernel_timespec));
    op.way.time_left[0] = duration_cast<seconds>(left).count();
    op.way.time_left[1] = (left % seconds{1}).count();
    io_uring_prep_timeout(&sqe, reinterpret_cast<__kernel_timespec*>(&op.way.time_left), 0, 0);
  }

  // Stamps what the next submission publishes, all with one reading of the clock.
  void publish() noexcept {
    instant now{};
    for (auto* op = std::exchange(unpublished_, nullptr); op != nullptr; op = op->next) {
      if (!op->timed || op->way.stalling) continue;
      if (now == instant{}) now = clock::now();
      op->record.submitted = now;
    }
  }

  // May return although nothing has been waited for: the caller reaps what there is and comes
  // again.
  void enter(unsigned wait_for) {
    ask_owed_cancellations();
    publish();
    // Also with nothing to wait for, the kernel must come to what it has deferred: with
    // DEFER_TASKRUN a task that always has something ready would otherwise starve all that wait.
    const int submitted = wait_for > 0 ? io_uring_submit_and_wait(&ring_, wait_for)
                                       : io_uring_submit_and_get_events(&ring_);
    if (submitted >= 0) {
      refusals_ = 0;
    } else {
      bear_refusal(-submitted);
    }
  }

  // EAGAIN: no memory for a request. EBUSY: completions have overflowed, and must be reaped first.
  // EINTR: a signal; but no signals come so often that nothing else does for so long.
  void bear_refusal(int error) {
    constexpr std::chrono::milliseconds patience{500};
    constexpr unsigned most_signals = 100'000;
    constexpr unsigned without_a_pause = 100;
    const auto now = clock::now();
    if (refusals_++ == 0) refused_since_ = now;
    const bool is_signal = error == EINTR;
    const bool may_pass = is_signal || error == EAGAIN || error == EBUSY;
    const bool too_long = now - refused_since_ > patience;
    if (!may_pass || (too_long && (!is_signal || refusals_ > most_signals))) {
      throw std::system_error(error, std::generic_category(), "io_uring_enter");
    }
    if (is_signal) return;
    io_uring_get_events(&ring_);
    if (refusals_ > without_a_pause) std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }

  // --- out of the ring

  // Returns how many completions there were.
  unsigned reap() noexcept {
    instant now{};  // one reading for all that want it
    op_queue again;
    bool unheeded = false;
    unsigned head = 0;
    unsigned count = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      ++count;
      assert((cqe->flags & IORING_CQE_F_MORE) == 0 && "no request of ours is multishot");
      if (cqe->user_data == cancellation_data) {
        unheeded |= cqe->res < 0;
        continue;
      }
      if (cqe->user_data == pause_data) {
        pausing_ = false;
        cancellations_owed_ = true;
        continue;
      }
      auto& op = *static_cast<io_op*>(io_uring_cqe_get_data(cqe));
      in_ring_.erase(op);
      if (!waits(op)) --bounded_count_;
      if (now == instant{} && wants_time(op)) now = clock::now();
      if (settle(op, cqe->res, now)) {
        ready_.push(op);
      } else {
        op.take_back();
        again.push(op);
      }
    }
    io_uring_cq_advance(&ring_, count);
    assert(in_ring_count_ >= count && bounded_count_ <= in_ring_count_ - count);
    in_ring_count_ -= count;
    if (count > 0) refusals_ = 0;
    // Behind nothing: what was already started goes before what waits for its first turn.
    again.append(backlog_);
    backlog_.append(again);
    if (unheeded) ask_cancellations_later();
    return count;
  }

  // Blocks for the room and the ring together, unless there is something to do at once.
  void poll_room(bool reaped) {
    const bool idle = ready_.empty() && !reaped && io_uring_sq_ready(&ring_) == 0 && refusals_ == 0;
    op_queue out;
    room_.poll(idle, ring_.ring_fd, out);
    while (auto* const op = out.pop()) {
      if (op->way.finished) {
        ready_.push(*op);
      } else {  // its stall is over
        op->take_back();
        backlog_.push(*op);
      }
    }
  }

  // Reading the clock twice a turn costs a tenth of a turn where system calls are cheap, and more
  // where they flush the TLB, so it is read only for an operation that is timed or waits for time.
  static bool wants_time(const io_op& op) noexcept {
    return op.timed || op.way.stalling || op.request.code == opcode::sleep;
  }

  // True: the operation is done. False: it goes into the ring again.
  bool settle(io_op& op, std::int32_t res, instant now) noexcept {
    if (op.way.stalling || op.request.code == opcode::sleep) {
      // Before 5.6 a timeout also ends, with 0, when some other request completes.
      const bool over = res != 0 || now >= op.way.deadline;
      if (over && res != -ETIME && res != 0) {
        finish(op, res, now);
        return true;
      }
      if (op.way.cancelled) {
        finish(op, -ECANCELED, now);
        return true;
      }
      if (!over) return false;
      if (op.way.stalling) {
        op.way.stalling = false;
        return false;
      }
      res = 0;
    } else if (op.request.code == opcode::read_event) {
      // A kernel that does not wait in a read of an empty eventfd after all.
      if ((res == -EAGAIN || res == -EINTR) && !op.way.cancelled) {
        op.way.polling = true;
        return false;
      }
      if (res == -EAGAIN) res = -ECANCELED;
    }
    finish(op, res, now);
    return true;
  }

  // --- cancellation

  void ask_cancellation(io_op& op) noexcept {
    op.way.cancelled = true;
    if (!features_.async_cancel) return;  // before 5.5 nothing in the ring waits for time or events
    auto* const sqe = get_sqe();
    if (sqe == nullptr) {
      cancellations_owed_ = true;
      return;
    }
    io_uring_prep_cancel(sqe, &op, 0);
    io_uring_sqe_set_data64(sqe, cancellation_data);
    ++in_ring_count_;
  }

  // What a kernel worker was just leaving to a poll (from 5.7 on) outlives the cancellation that
  // found it in the worker and said EALREADY: seen on Linux 6.18, with IOSQE_ASYNC and an empty
  // pipe. So whoever is still there after a refusal is asked again, not at once, as one that does
  // run in a worker refuses every time.
  void ask_cancellations_later() noexcept {
    const auto* op = in_ring_.front();
    while (op != nullptr && !op->way.cancelled) op = op->next;
    if (op == nullptr || pausing_ || (ring_.features & IORING_FEAT_FAST_POLL) == 0) return;
    auto* const sqe = get_sqe();
    if (sqe == nullptr) {
      cancellations_owed_ = true;
      return;
    }
    static __kernel_timespec pause{.tv_sec = 0, .tv_nsec = 1'000'000};
    io_uring_prep_timeout(sqe, &pause, 0, 0);
    io_uring_sqe_set_data64(sqe, pause_data);
    pausing_ = true;
    ++in_ring_count_;
  }

  void ask_owed_cancellations() noexcept {
    if (!std::exchange(cancellations_owed_, false)) return;
    for (auto* op = in_ring_.front(); op != nullptr; op = op->next) {
      if (op->way.cancelled) ask_cancellation(*op);
    }
  }

  const uring_options options_;
  io_uring ring_{};
  ring_features features_;
  std::optional<operation_ceiling> ceiling_;
  std::size_t capacity_ = 0;  // the CQ's entries: see has_room()

  sequencer order_{true};
  std::size_t in_flight_ = 0;      // started and not delivered
  std::size_t in_ring_count_ = 0;  // SQEs whose CQE has not been reaped, our own included
  std::size_t bounded_count_ = 0;  // of these, operations that end by themselves
  op_queue in_ring_;               // in the order of their SQEs
  io_op* unpublished_ = nullptr;   // the first in it that no submission has published yet
  op_queue backlog_;
  waiting_room room_;
  op_queue ready_;
  unsigned refusals_ = 0;  // of io_uring_enter, in a row
  instant refused_since_;
  bool failed_ = false;
  bool cancellations_owed_ = false;
  bool pausing_ = false;  // before they are asked for again
};

struct named_feature {
  bool ring_features::*member = nullptr;
  const char* name = "";
  kernel_version since;
  const char* substitution = "";  // "": its absence replaces nothing
};

constexpr std::array named_features = {
    named_feature{
        &ring_features::read_write, "READ/WRITE", {5, 6}, "READV and WRITEV for READ and WRITE"},
    named_feature{&ring_features::statx, "STATX", {5, 6}, "statx by system call"},
    named_feature{&ring_features::truncate, "FTRUNCATE", {6, 9}, ""},
    named_feature{&ring_features::allocate, "FALLOCATE", {5, 6}, "fallocate by system call"},
    named_feature{&ring_features::advise, "FADVISE", {5, 6}, "posix_fadvise by system call"},
    named_feature{&ring_features::open, "OPENAT", {5, 6}, "open by system call"},
    named_feature{&ring_features::close, "CLOSE", {5, 6}, "close by system call"},
    named_feature{&ring_features::rename, "RENAMEAT", {5, 11}, "rename by system call"},
    named_feature{&ring_features::unlink, "UNLINKAT", {5, 11}, "unlink by system call"},
    named_feature{&ring_features::cursor, "RW_CUR_POS", {5, 6}, ""},
    named_feature{
        &ring_features::async_cancel, "ASYNC_CANCEL", {5, 5}, "waiting for time by ppoll"},
    named_feature{
        &ring_features::hardlink, "HARDLINK", {5, 5}, "hard-linked chains member by member"},
    named_feature{&ring_features::force_async, "IOSQE_ASYNC", {5, 6}, ""},
    named_feature{
        &ring_features::event_read, "FAST_POLL", {5, 7}, "waiting for an eventfd by ppoll"},
    named_feature{&ring_features::no_drop, "NODROP", {5, 5}, ""},
    named_feature{&ring_features::sqpoll_any_file, "SQPOLL_NONFIXED", {5, 11}, ""},
    named_feature{&ring_features::coop_taskrun, "COOP_TASKRUN", {5, 19}, ""},
    named_feature{&ring_features::single_issuer, "SINGLE_ISSUER", {6, 0}, ""},
    named_feature{&ring_features::defer_taskrun, "DEFER_TASKRUN", {6, 1}, ""},
};

// Submits every opcode of the engine, for no file, to see which the kernel lets in.
void try_opcodes(io_uring& ring, kernel_version ceiling, ring_support& support) {
  std::erase_if(support.opcodes, [&](const std::string& name) {
    return std::none_of(ring_opcodes.begin(), ring_opcodes.end(), [&](const ring_opcode& known) {
      return known.since <= ceiling && opcode_name(known.code) == name;
    });
  });
  for (const auto& known : ring_opcodes) {
    auto* const sqe = io_uring_get_sqe(&ring);
    io_uring_prep_rw(known.code, sqe, -1, nullptr, 0, 0);
    io_uring_cqe* cqe = nullptr;
    if (io_uring_submit_and_wait(&ring, 1) < 0 || io_uring_peek_cqe(&ring, &cqe) != 0) return;
    if (cqe->res == -EACCES) support.refused.push_back(opcode_name(known.code));
    io_uring_cqe_seen(&ring, cqe);
  }
}

}  // namespace

ring_features ring_features::minus(const ring_features& other) const noexcept {
  ring_features rest;
  for (const auto& feature : named_features) {
    rest.*feature.member = this->*feature.member && !(other.*feature.member);
  }
  return rest;
}

std::vector<std::string> ring_features::names() const {
  std::vector<std::string> names;
  for (const auto& feature : named_features) {
    if (this->*feature.member) names.emplace_back(feature.name);
  }
  return names;
}

std::vector<std::string> ring_features::substitutions() const {
  std::vector<std::string> lines;
  for (const auto& feature : named_features) {
    if (!(this->*feature.member) && *feature.substitution != '\0') {
      lines.emplace_back(feature.substitution);
    }
  }
  return lines;
}

ring_features all_ring_features() noexcept { return features_newer_than({}); }

ring_features features_newer_than(kernel_version version) noexcept {
  ring_features newer;
  for (const auto& feature : named_features) newer.*feature.member = feature.since > version;
  return newer;
}

std::vector<kernel_version> operation_ceilings() {
  std::set<kernel_version> versions = {with_restrictions};
  for (const auto& opcode : ring_opcodes) versions.insert(opcode.since);
  for (const auto& feature : named_features) versions.insert(feature.since);
  return {versions.begin(), versions.end()};
}

ring_support probe_ring(std::optional<kernel_version> ceiling) {
  ring_support support;
  io_uring ring{};
  uring_options options;
  options.entries = 8;
  options.ceiling = ceiling;
  if (const int error = open_ring(ring, normalised(options), support); error != 0) {
    auto found = explain_setup(error);
    support.why = std::move(found.why);
    support.advice = std::move(found.advice);
    return support;
  }
  support.available = true;
  // A ring takes DEFER_TASKRUN or COOP_TASKRUN, and a kernel that has the first has the second.
  if (support.features.defer_taskrun) support.features.coop_taskrun = true;
  if (ceiling) try_opcodes(ring, *ceiling, support);
  io_uring_queue_exit(&ring);
  return support;
}

std::unique_ptr<engine> make_uring_engine(const uring_options& options) {
  return std::make_unique<uring_engine>(options);
}

}  // namespace filemap
