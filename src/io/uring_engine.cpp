// The ring engine: operations become submission queue entries of one ring, completion queue entries
// become completed operations. Of liburing nobody knows but this file and ring_setup.cpp.
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
// - Below a ceiling the kernel itself refuses what is newer: see ring_setup.cpp.
// - `submitted` is stamped just before the entries are published, so an operation cannot have begun
//   before it. When the kernel began it is not observable; `returned` is when its CQE was reaped.
//   Neither is stamped for an operation that is not `timed`.
// - A chain is admitted as a whole: what fills the queue in its middle would end it there. A chain
//   with a member that this kernel lacks, or that waits or stalls behind the first, is the
//   sequencer's; before 5.18 all are (op_table.hpp says why). So are drained operations, because
//   the kernel's drain also counts the eventfds that are waited for.
// - Multishot requests are not used: one SQE, one CQE, as reap() asserts.
// - The destructor cancels, then waits for every CQE. io_uring_queue_exit alone returns while the
//   kernel may still write into buffers. What it cannot wait for it leaves to the kernel, with the
//   ring: before 5.5 to close it would wait for the same.
// - io_uring_enter that is refused is tried again for `patience` where the kernel may think better
//   of it; then, and else at once, the engine has failed.

#include "filemap/io/engines.hpp"

#include "execute.hpp"
#include "op_table.hpp"
#include "ring_setup.hpp"
#include "sequencer.hpp"
#include "waiting_room.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <sys/stat.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <climits>
#include <liburing.h>

namespace filemap {

namespace {

// The user_data of our own requests; no io_op has such an address.
constexpr std::uint64_t cancellation_data = 0;
constexpr std::uint64_t pause_data = 1;

bool is_work(opcode code) noexcept {
  return row_of(code).kind == op_kind::file || row_of(code).kind == op_kind::path;
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

class uring_engine final : public engine {
 public:
  explicit uring_engine(const uring_options& options) : options_(normalised(options)) {
    ring_support support;
    if (const int error = open_ring(ring_, options_, support); error != 0) {
      throw_setup_failure(error, options_);
    }
    ceiling_ = support.ceiling;
    features_ = support.features;
    if (options_.sqpoll && !features_.sqpoll_any_file) refuse("--sqpoll needs Linux 5.11");
    if (options_.force_async && !features_.force_async) refuse("--iosqe-async needs Linux 5.6");
    capacity_ = ring_.cq.ring_entries;
    by_system_call_ = opcodes_by_system_call();
    is_plain_ = plain_opcodes();
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
    if (op_queue next; !order_.enter(op, next)) {
      begin_all(next);
    } else if (!begin_plain(op)) {
      begin(op);
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
    if (!moves_bytes(request.code)) return false;
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

  // The short way of what most operations are: on its own, at once, in an entry of the ring. False:
  // it is none of those, or there is no room.
  bool begin_plain(io_op& op) noexcept {
    const bool is_plain = is_plain_[static_cast<std::size_t>(op.request.code)] &&
                          op.request.delay == nanoseconds{0} && backlog_.empty();
    if (!is_plain || bounded_count_ == capacity_) return false;
    auto* const sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) return false;
    put(*sqe, op);
    return true;
  }

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

  // Which opcodes this ring lacks, and what could replace them in it too.
  std::array<bool, opcode_count> opcodes_by_system_call() const noexcept {
    std::array<bool, opcode_count> lacking{};
    for (const auto& row : op_table) {
      const bool has = row.feature.member == nullptr || features_.*row.feature.member;
      const auto operation = has ? row.operation : row.instead;
      const bool has_a_room = row.kind == op_kind::wait;
      lacking.at(static_cast<std::size_t>(row.code)) = operation == no_operation && !has_a_room;
    }
    return lacking;
  }
  // Which go into this ring whatever else their requests say.
  std::array<bool, opcode_count> plain_opcodes() const noexcept {
    std::array<bool, opcode_count> plain{};
    for (const auto& row : op_table) {
      const auto code = static_cast<std::size_t>(row.code);
      plain.at(code) = row.kind != op_kind::wait && !by_system_call_.at(code) &&
                       (!moves_bytes(row.code) || features_.cursor);
    }
    return plain;
  }
  bool by_system_call(const io_op& op) const noexcept {
    if (op.way.stalling) return false;
    const auto& r = op.request;
    const bool at_the_cursor = r.offset == at_cursor && moves_bytes(r.code);
    return by_system_call_[static_cast<std::size_t>(r.code)] ||
           (at_the_cursor && !features_.cursor);
  }

  // Ends when something outside of the ring happens, which may be never.
  static bool waits(const io_op& op) noexcept {
    return op.way.stalling || is_wait(op.request.code);
  }

  // Where the kernel keeps completions beyond the CQ (5.5), waits and cancellations need no room.
  // Before, there are none in the ring.
  bool has_room(const io_op& op, std::size_t count = 1) const noexcept {
    return waits(op) || bounded_count_ + count <= capacity_;
  }
  bool belongs_into_room(const io_op& op) const noexcept {
    if (!waits(op)) return false;
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
    if (op.timed && unpublished_ == nullptr) unpublished_ = &op;
    ++in_ring_count_;
    op.way.waits = waits(op);
    if (!op.way.waits) ++bounded_count_;
  }

  // How many members the chain has, if the kernel can be given all of them as they are. 0: the
  // sequencer must give them out one by one. A chain ends with its submission (io_uring_enter(2)),
  // so it must fit into the queue; and an entry that is refused at once, as one with a bad path is,
  // ends the submission.
  std::size_t members_for_the_kernel(const io_op& first) const noexcept {
    if (!features_.links) return 0;
    std::size_t count = 0;
    for (const auto* op = &first; op != nullptr; op = op->way.follower) {
      const auto& r = op->request;
      const bool delayed = op != &first && r.delay > nanoseconds{0};
      if (delayed || op->way.cancelled || waits(*op) || by_system_call(*op)) return 0;
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
      if (options_.force_async && is_work(r.code)) sqe.flags |= IOSQE_ASYNC;
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
    if (unpublished_ == nullptr) return;
    instant now{};
    for (auto* op = std::exchange(unpublished_, nullptr); op != nullptr; op = op->next) {
      if (!op->timed || op->way.stalling) continue;
      if (now == instant{}) now = clock::now();
      op->record.submitted = now;
    }
  }

  // May return although nothing has been waited for: the caller reaps what there is and comes
  // again.
  [[gnu::always_inline]] void enter(unsigned wait_for) {
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

  // Returns how many completions there were. Inlined, as `enter` is, into the turn: that is 30 of
  // the 340 instructions that a NOP takes above a plain loop's (docs/benchmarks.md).
  [[gnu::always_inline]] unsigned reap() noexcept {
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
      if (now == instant{} && wants_time(op)) now = clock::now();
      if (!op.way.waits) {
        --bounded_count_;
        finish(op, cqe->res, now);
      } else if (!settle_wait(op, cqe->res, now)) {
        op.take_back();
        again.push(op);
        continue;
      }
      ready_.push(op);
    }
    io_uring_cq_advance(&ring_, count);
    assert(in_ring_count_ >= count && bounded_count_ <= in_ring_count_ - count);
    in_ring_count_ -= count;
    if (count > 0) refusals_ = 0;
    if (!again.empty()) {  // what was already started goes before what waits for its first turn
      again.append(backlog_);
      backlog_.append(again);
    }
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

  // Of an operation that waited. True: it is done. False: it goes into the ring again.
  static bool settle_wait(io_op& op, std::int32_t res, instant now) noexcept {
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
    } else {
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
    if (!cancellations_owed_) return;
    cancellations_owed_ = false;
    for (auto* op = in_ring_.front(); op != nullptr; op = op->next) {
      if (op->way.cancelled) ask_cancellation(*op);
    }
  }

  const uring_options options_;
  io_uring ring_{};
  ring_features features_;
  std::array<bool, opcode_count> by_system_call_{};
  std::array<bool, opcode_count> is_plain_{};
  std::optional<operation_ceiling> ceiling_;
  std::size_t capacity_ = 0;  // the CQ's entries: see has_room()

  sequencer order_{true};
  std::size_t in_flight_ = 0;      // started and not delivered
  std::size_t in_ring_count_ = 0;  // SQEs whose CQE has not been reaped, our own included
  std::size_t bounded_count_ = 0;  // of these, operations that end by themselves
  op_queue in_ring_;               // in the order of their SQEs
  io_op* unpublished_ = nullptr;   // the first timed one in it that no submission has published yet
  op_queue backlog_;
  waiting_room room_;
  op_queue ready_;
  unsigned refusals_ = 0;  // of io_uring_enter, in a row
  instant refused_since_;
  bool failed_ = false;
  bool cancellations_owed_ = false;
  bool pausing_ = false;  // before they are asked for again
};

}  // namespace

std::unique_ptr<engine> make_uring_engine(const uring_options& options) {
  return std::make_unique<uring_engine>(options);
}

}  // namespace filemap
