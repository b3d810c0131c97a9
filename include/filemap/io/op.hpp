#pragma once

#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fcntl.h>
#include <span>
#include <string_view>
#include <sys/stat.h>
#include <sys/uio.h>

#pragma GCC visibility push(default)

namespace filemap {

using clock = std::chrono::steady_clock;  ///< CLOCK_MONOTONIC
using instant = clock::time_point;        ///< `instant{}` stands for "not known"
using std::chrono::nanoseconds;

/// What an operation asks for.
enum class opcode : std::uint8_t {
  nop,         ///< nothing: a turn of the loop
  sleep,       ///< completes after `request.delay`
  read_event,  ///< waits for an eventfd to be non-zero and takes its count; one waiter per eventfd
  read,        ///< pread(2), or read(2) at the cursor
  write,       ///< pwrite(2), or write(2) at the cursor or at the end
  fsync,
  fdatasync,
  statx,       ///< size, blocks and times of an open file: statx(2) with AT_EMPTY_PATH
  truncate,    ///< ftruncate(2) to `offset` bytes
  seek,        ///< lseek(2) to `offset` from the start; the result is 0 or -errno
  sync_range,  ///< sync_file_range(2): writes the range out and waits for it, before and after
  allocate,    ///< fallocate(2), mode 0: may grow the file
  punch,       ///< fallocate(2), PUNCH_HOLE | KEEP_SIZE
  drop_cache,  ///< posix_fadvise(2), DONTNEED: the kernel drops the range's clean pages
  open,        ///< openat(2); the result is the descriptor, or -errno
  close,       ///< close(2)
  rename,      ///< renameat(2)
  unlink,      ///< unlinkat(2), of what is not a directory
};
inline constexpr std::size_t opcode_count = 18;

std::string_view to_string(opcode code) noexcept;

/// Waits for something outside of the engine, which may never happen.
constexpr bool is_wait(opcode code) noexcept {
  return code == opcode::read_event || code == opcode::sleep;
}

/// Its result is a count of bytes, and it may go to the cursor.
constexpr bool moves_bytes(opcode code) noexcept {
  return code == opcode::read || code == opcode::write;
}

/// Positions that are not offsets. `at_end` needs a descriptor opened with O_APPEND.
inline constexpr std::int64_t at_cursor = -1;
inline constexpr std::int64_t at_end = -2;

/// The most bytes that one read or write takes (read(2), NOTES: MAX_RW_COUNT).
inline constexpr std::size_t most_bytes_at_once = 0x7ffff000;

/// What an operation is to the one that is started next. An operation with a link and all up to the
/// first without one are a chain: each begins when the one before it has ended. `engine::start`
/// says what else holds of chains.
enum class link_kind : std::uint8_t {
  none,
  /// IOSQE_IO_LINK: a failure, or a short read or write, cancels the rest of the chain. So it does
  /// where the engine runs the chain, and so io_uring_enter(2) says; but in a chain that is the
  /// kernel's, the kernel decides, and 6.18 (measured; io_uring/sync.c, truncate.c, fs.c, statx.c,
  /// which never set the link's failure) goes on behind an fsync, fdatasync, sync_range, allocate,
  /// punch, truncate, rename, unlink or statx that failed, unless its descriptor was bad.
  link,
  hardlink,  ///< IOSQE_IO_HARDLINK: the next one begins however this one ended
};

/// An operation as data: what a system call's arguments would be. It owns nothing; what it points
/// to must outlive the completion.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): of a union one member is initialised
struct io_request {
  opcode code = opcode::nop;
  /// Runs even when the engine is torn down before its turn (what tokio calls a mandatory task).
  bool mandatory = false;
  link_kind link = link_kind::none;
  /// Begins when all file operations that were started before it have ended. Waits for eventfds and
  /// for time do not count.
  bool drain = false;
  int fd = -1;  ///< or, for what takes a path, the directory that it starts from
  // Members of a union belong to different opcodes: it keeps what is copied for each operation
  // small.
  union {
    std::int64_t offset = 0;  ///< bytes from the start of the file, or `at_cursor`, `at_end`
    const char* new_path;     ///< rename
  };
  union {
    std::byte* data = nullptr;  ///< read, write
    struct statx* status;       ///< where statx puts its answer
    const char* path;           ///< open, rename, unlink
  };
  union {
    std::uint32_t size = 0;  ///< bytes at `data`, or of the range from `offset` on
    std::uint32_t mode;      ///< open: the permissions of a file that it creates
  };
  union {
    int flags = 0;      ///< open: O_*
    int new_directory;  ///< rename: where `new_path` starts from
  };
  nanoseconds delay{0};  ///< held back for so long before it executes

  static io_request nop() noexcept { return {}; }
  static io_request sleep(nanoseconds duration) noexcept {
    io_request request{};
    request.code = opcode::sleep;
    request.delay = duration;
    return request;
  }
  static io_request read_event(int fd) noexcept { return on(opcode::read_event, fd); }
  /// Of more than `most_bytes_at_once`, the first of them.
  static io_request read(int fd, std::int64_t offset, std::span<std::byte> into) noexcept {
    io_request request = on(opcode::read, fd);
    request.offset = offset;
    request.data = into.data();
    request.size = size_at_once(into.size());
    return request;
  }
  static io_request write(int fd, std::int64_t offset, std::span<const std::byte> from) noexcept {
    io_request request = on(opcode::write, fd);
    request.offset = offset;
    request.data = const_cast<std::byte*>(from.data());  // as iovec has it; never written to
    request.size = size_at_once(from.size());
    return request;
  }
  static io_request fsync(int fd) noexcept { return on(opcode::fsync, fd); }
  static io_request fdatasync(int fd) noexcept { return on(opcode::fdatasync, fd); }
  static io_request statx(int fd, struct statx& into) noexcept {
    io_request request = on(opcode::statx, fd);
    request.status = &into;
    return request;
  }
  static io_request truncate(int fd, std::int64_t length) noexcept {
    io_request request = on(opcode::truncate, fd);
    request.offset = length;
    return request;
  }
  static io_request seek(int fd, std::int64_t offset) noexcept {
    io_request request = on(opcode::seek, fd);
    request.offset = offset;
    return request;
  }
  /// Ranges are bytes from `offset` on. 0 bytes are all to the end, except for `allocate` and
  /// `punch`, which refuse them (EINVAL).
  static io_request sync_range(int fd, std::int64_t offset, std::uint32_t size) noexcept {
    return on_range(opcode::sync_range, fd, offset, size);
  }
  static io_request allocate(int fd, std::int64_t offset, std::uint32_t size) noexcept {
    return on_range(opcode::allocate, fd, offset, size);
  }
  static io_request punch(int fd, std::int64_t offset, std::uint32_t size) noexcept {
    return on_range(opcode::punch, fd, offset, size);
  }
  static io_request drop_cache(int fd, std::int64_t offset, std::uint32_t size) noexcept {
    return on_range(opcode::drop_cache, fd, offset, size);
  }
  /// Paths start from a directory's descriptor, or from AT_FDCWD. O_CLOEXEC is added to the flags.
  static io_request open(int directory, const char* path, int flags,
                         std::uint32_t mode = 0644) noexcept {
    io_request request = on(opcode::open, directory);
    request.path = path;
    request.flags = flags | O_CLOEXEC;
    request.mode = mode;
    return request;
  }
  static io_request close(int fd) noexcept { return on(opcode::close, fd); }
  static io_request rename(int directory, const char* path, int new_directory,
                           const char* new_path) noexcept {
    io_request request = on(opcode::rename, directory);
    request.path = path;
    request.new_directory = new_directory;
    request.new_path = new_path;
    return request;
  }
  static io_request unlink(int directory, const char* path) noexcept {
    io_request request = on(opcode::unlink, directory);
    request.path = path;
    return request;
  }

 private:
  static std::uint32_t size_at_once(std::size_t size) noexcept {
    return static_cast<std::uint32_t>(size < most_bytes_at_once ? size : most_bytes_at_once);
  }
  static io_request on(opcode code, int fd) noexcept {
    io_request request{};
    request.code = code;
    request.fd = fd;
    return request;
  }
  static io_request on_range(opcode code, int fd, std::int64_t offset,
                             std::uint32_t size) noexcept {
    io_request request = on(code, fd);
    request.offset = offset;
    request.size = size;
    return request;
  }
};

/// How an operation ended: a count (bytes, or 0), a descriptor (open) or a negated errno. One
/// operation's fits into the 32 bits of a CQE; the bytes of a call that took several may not. A
/// failed operation is an observation, so it is data and not an exception.
struct [[nodiscard]] io_result {
  std::int64_t res = 0;

  bool ok() const noexcept { return res >= 0; }
  int error() const noexcept { return ok() ? 0 : static_cast<int>(-res); }
  int descriptor() const noexcept { return ok() ? static_cast<int>(res) : -1; }
  std::size_t bytes() const noexcept { return ok() ? static_cast<std::size_t>(res) : 0; }
  friend bool operator==(io_result, io_result) = default;
};

/// What an engine knows of an operation once it has completed.
///
/// Of one that was cancelled while it was ordered behind others, `submitted` and `started` may be
/// unknown: it never began.
struct io_record {
  instant submitted;  ///< handed to the pool, or published to the ring, or begun (sync)
  instant started;    ///< its system call began; not known on a ring
  instant returned;   ///< its system call returned; on a ring, its CQE was reaped
  std::int64_t res = 0;
  /// The pool's thread, from 1; 0: the loop's own thread, or the kernel's.
  std::uint32_t worker = 0;

  bool complete() const noexcept { return returned != instant{}; }
  int error() const noexcept { return io_result{res}.error(); }
  int descriptor() const noexcept { return io_result{res}.descriptor(); }

  /// Adds the next system call of the same operation: the first `submitted` and `started`, the last
  /// `returned`, the bytes of all or the first failure.
  void extend(const io_record& next) noexcept {
    if (!complete()) {
      *this = next;
      return;
    }
    returned = next.returned;
    if (res >= 0) res = next.res < 0 ? next.res : res + next.res;
  }
};

/// The life of an operation.
///
///   idle ──► queued ◄──► in_flight       back: a stall has ended, or the kernel's read of an
///              │             │           eventfd does not wait; it is submitted again
///              └──► done ◄───┘
///                    └──► queued         started again
enum class op_state : std::uint8_t {
  idle,       ///< nobody's but its owner's
  queued,     ///< started, held by the engine: a backlog, a queue, a stall
  in_flight,  ///< the kernel or a worker has it
  done,       ///< its completion has been delivered; the result is valid
};

/// An operation on its way. It lives where its owner put it, usually in a coroutine frame, and must
/// not move or die between `engine::start` and its completion.
class io_op {
 public:
  /// Called once on the loop's thread, after the engine is done with the operation. It may resume a
  /// coroutine, start operations and destroy the operation itself.
  using completion = void (*)(io_op&) noexcept;

  /// The request comes by value here and in `perform`, as that is what lets it be built in place.
  /// By reference it is first a temporary in the awaiting frame, stored field by field and copied
  /// right away in wider loads, each of which then waits for the stores it overlaps (13 ns in all).
  ///
  /// `on_lost` is called instead of the completion when the engine goes before that is delivered;
  /// it may destroy the operation, and must not resume anybody.
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): nobody's before begin() and push()
  io_op(io_request request, completion on_complete, completion on_lost = nullptr) noexcept
      : request(request), on_complete_(on_complete), on_lost_(on_lost) {}
  io_op(const io_op&) = delete;
  io_op& operator=(const io_op&) = delete;
  ~io_op() { assert(!pending() && "an operation must outlive its completion"); }

  io_request request;
  io_record record;
  op_state state = op_state::idle;  ///< the engine's to change
  /// False: nobody will read the record's times, so an engine need not read the clock for them.
  bool timed = true;

  bool pending() const noexcept {
    return state == op_state::queued || state == op_state::in_flight;
  }
  io_result result() const noexcept {
    assert(state == op_state::done);
    return io_result{record.res};
  }
  /// Only here does an operation become `done`, on the loop's thread: a worker may have finished it
  /// long before, but whoever looks at it must not take it for done while its completion is to
  /// come.
  void complete() noexcept {
    assert(pending());
    state = op_state::done;
    on_complete_(*this);
  }
  /// The end of what ends with its engine.
  void lose() noexcept {
    assert(pending());
    state = op_state::done;
    if (on_lost_ != nullptr) on_lost_(*this);
  }

  /// Makes it another operation, for an owner that keeps one in a fixed place.
  void reuse(const io_request& next_request) noexcept {
    assert(!pending());
    request = next_request;
    record = {};
    state = op_state::idle;
  }

  /// What an engine and its sequencer note of an operation on its way; nobody else's. All of it is
  /// set by begin().
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): until then it means nothing
  struct progress {
    bool stalling;   ///< `request.delay` is running
    bool cancelled;  ///< somebody asked for cancellation
    bool polling;    ///< of an eventfd that a read does not wait for
    bool finished;   ///< it has ended, and its completion is to come
    bool held;       ///< by the sequencer, until its turn
    bool waits;      ///< in a ring: for time or an event, and so perhaps for ever

    std::uint32_t epoch;   ///< where it is between drained ones; 0: nowhere
    std::uint32_t behind;  ///< while held by a drain: the epoch of the last that it waits for
    std::size_t before;    ///< and how many of those have not ended
    io_op* follower;       ///< the next member of its chain, which is held

    instant deadline;             ///< of a sleep or a stall
    union {                       // one at a time, and small
      iovec vec;                  ///< before 5.5 the kernel may read it after the submission
      std::uint64_t count;        ///< what was read from an eventfd
      std::int64_t time_left[2];  ///< of a sleep or a stall: seconds, nanoseconds
    };
  };
  progress way;

  io_op* next;  ///< in the op_queue that it is in
  io_op* previous;

  // Transitions, for engines. What ends an operation is `finish` (execute.hpp), then `complete`.
  void begin() noexcept {
    assert(!pending());
    state = op_state::queued;
    record = {};
    way = {};
  }
  void hand_over() noexcept {
    assert(state == op_state::queued && !way.finished && !way.held);
    state = op_state::in_flight;
  }
  void take_back() noexcept {
    assert(state == op_state::in_flight && !way.finished);
    state = op_state::queued;
  }

 private:
  completion on_complete_;
  completion on_lost_;
};

/// A queue of operations through the links in themselves. An operation is in one queue at a time.
class op_queue {
 public:
  op_queue() = default;
  op_queue(op_queue&& other) noexcept { append(other); }
  op_queue& operator=(op_queue&&) = delete;

  bool empty() const noexcept { return first_ == nullptr; }
  io_op* front() const noexcept { return first_; }

  void push(io_op& op) noexcept {
    op.previous = last_;
    op.next = nullptr;
    (last_ != nullptr ? last_->next : first_) = &op;
    last_ = &op;
  }
  io_op* pop() noexcept {
    auto* const op = first_;
    if (op == nullptr) return nullptr;
    first_ = op->next;
    (first_ != nullptr ? first_->previous : last_) = nullptr;
    return op;
  }
  void erase(io_op& op) noexcept {
    (op.previous != nullptr ? op.previous->next : first_) = op.next;
    (op.next != nullptr ? op.next->previous : last_) = op.previous;
  }
  /// Moves all of `other` to the end of this queue.
  void append(op_queue& other) noexcept {
    if (other.empty()) return;
    other.first_->previous = last_;
    (last_ != nullptr ? last_->next : first_) = other.first_;
    last_ = other.last_;
    other.first_ = other.last_ = nullptr;
  }

 private:
  io_op* first_ = nullptr;
  io_op* last_ = nullptr;
};

}  // namespace filemap

#pragma GCC visibility pop
