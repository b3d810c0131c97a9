// A file whose writes are acknowledged when their bytes are queued: tokio::fs::File, on any engine.
//
// A handle is a descriptor, a lock, and a state: idle with a buffer, or busy with one operation in
// the background (tokio/src/fs/file.rs, 1.19 to 1.53: `State::Idle(Buf)`,
// `State::Busy(JoinHandle)`).
//
//             write: copy the bytes, start, return at once
//     idle ────────────────────────────────────────────────► busy
//      ▲       read, truncate, seek: start, wait for it        │
//      └───────────────────────────────────────────────────────┘
//         the next call that waits takes the result (`settle`)
//
// Completion alone does not make a handle idle: the result waits in `busy` for somebody to take it,
// so the error of a write surfaces in a later call, or never.
//
// What each call does about the operation in flight and about a stored error:
//   write     returns a stored error; waits; returns the error of the write before it and starts
//             nothing then; else copies min(size, chunk) bytes, starts them, returns the count
//   flush     returns a stored error; else waits and returns that write's error. No system call
//   sync      waits; a write's error is stored, and the call goes on
//   truncate  likewise
//   stat      does not wait
//   read      serves what an abandoned read left; else waits (a write's error is stored) and reads.
//             A read that is abandoned stays in flight, and its bytes serve the next one
//   seek      waits (a write's error is stored), then lseek(2)
//   clone     waits first. The clone gets no stored error and a state of its own:
//             nothing orders operations across clones, which is the whole of the bug
//   apply     as truncate; drop_cache does not wait
//   settle    waits; a write's error is stored
//   close     detaches, as ~file; later calls are -EBADF
//   ~file     detaches: the operation still runs, the close follows it, its error is lost
//
// Which of them wait is data (acknowledgement_options::waits); the table is of tokio from 1.29 on.
// `write` and `flush` always do. What does not wait goes past the handle: it takes no lock.
//
// tokio has no call for the last three but ~file: `apply` is set_len with another system call, and
// `close` is a drop of which the handle remains.
//
// tokio has no positional calls. With `seeks`, a read or write at an offset is a seek and a read or
// write at the cursor, which the clones share: two operations, between which a clone may move it.
// Without, it has their waiting and leaves the cursor alone.
//
// Three deliberate differences. The two operations are one call here, so that no other call on this
// handle comes in between; at an offset a read is one system call, where tokio's is one for each
// buffer. And where tokio returns a stored error it has kept only its io::ErrorKind, so here the
// errno of a stored error is the one that stands for its kind, or EIO.

#include "filemap/coro/async_mutex.hpp"
#include "filemap/io/file.hpp"

#include "duplicate.hpp"
#include "page_aligned.hpp"

#include <algorithm>
#include <cerrno>
#include <coroutine>
#include <cstring>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace filemap {

namespace {

// What is left of an errno that went through io::ErrorKind (library/std/src/sys/unix/mod.rs).
int errno_of_kind(int error) noexcept {
  switch (error) {
    case EPERM:
      return EACCES;  // both are PermissionDenied
    case EACCES:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EINTR:
    case EINVAL:
    case EROFS:
    case ESTALE:
    case ENOMEM:
    case ETIMEDOUT:
      return error;
    default:
      return EIO;
  }
}

// The part of a handle that an operation in flight needs. It outlives a dropped handle until then.
class shared_state final : public io_op {
 public:
  shared_state(engine& engine, unique_fd fd, const acknowledgement_options& options)
      : io_op(io_request::nop(), &completed, &lost),
        engine_(engine),
        fd_(std::move(fd)),
        options_(options) {}

  // What `~file` says in the table above.
  void detach() noexcept {
    assert(!awaiting_);
    closing_record_ = nullptr;
    if (pending()) {
      detached_ = true;
    } else {
      delete this;
    }
  }

  engine& owner() const noexcept { return engine_; }
  const unique_fd& fd() const noexcept { return fd_; }
  bool closed() const noexcept { return closed_; }
  int descriptor() const noexcept { return closed_ ? -1 : fd_.get(); }
  const acknowledgement_options& options() const noexcept { return options_; }
  async_mutex& lock() noexcept { return lock_; }

  bool busy() const noexcept { return busy_; }
  std::span<const std::byte> unread() const noexcept {
    return std::span(buffer_).subspan(read_from_, buffer_.size() - read_from_);
  }

  std::size_t queue_write(std::int64_t position, std::span<const std::byte> data, io_record* to) {
    const auto size = std::min(data.size(), options_.chunk);
    buffer_.assign(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(size));
    read_from_ = buffer_.size();
    auto request = io_request::write(fd_.get(), position, buffer_);
    request.mandatory = true;
    begin(request, to);
    return size;
  }
  void queue_read(std::int64_t position, std::size_t size, io_record* to) {
    buffer_.resize(std::min(size, options_.chunk));
    read_from_ = 0;
    begin(io_request::read(fd_.get(), position, buffer_), to);
  }
  void queue(const io_request& request, io_record* to) { begin(request, to); }

  void close(io_record* record) noexcept {
    closed_ = true;
    closing_record_ = record;
    if (!pending()) close_descriptor();
  }

  // Waits for the operation in flight and takes its result: the state is idle then.
  task<io_result> settle() {
    if (pending()) {
      wait_for_completion wait{*this};
      co_await wait;
    }
    busy_ = false;
    if (request.code == opcode::read) {
      buffer_.resize(result().bytes());
      read_from_ = 0;
    }
    co_return result();
  }

  std::size_t serve(std::span<std::byte> into) noexcept {
    const auto from = unread().first(std::min(into.size(), unread().size()));
    std::copy(from.begin(), from.end(), into.begin());
    read_from_ += from.size();
    return from.size();
  }
  std::size_t discard_unread() noexcept {
    const auto discarded = unread().size();
    read_from_ = buffer_.size();
    return discarded;
  }

  void store_error(int error) noexcept { stored_error_ = errno_of_kind(error); }
  int take_stored_error() noexcept { return std::exchange(stored_error_, 0); }

 private:
  // Awaited under the lock, so by one task. Whoever stops waiting leaves the operation in flight.
  struct wait_for_completion {
    explicit wait_for_completion(shared_state& awaited) noexcept : state(awaited) {}
    wait_for_completion(const wait_for_completion&) = delete;
    wait_for_completion& operator=(const wait_for_completion&) = delete;
    ~wait_for_completion() { state.awaiting_ = nullptr; }
    bool await_ready() const noexcept { return !state.pending(); }
    void await_suspend(std::coroutine_handle<> awaiting) noexcept { state.awaiting_ = awaiting; }
    void await_resume() const noexcept {}
    shared_state& state;
  };

  void begin(const io_request& next_request, io_record* to) {
    assert(!busy_);
    busy_ = true;
    record_to_ = to;
    reuse(next_request);
    engine_.start(*this);
  }

  static void completed(io_op& op) noexcept {
    auto& self = static_cast<shared_state&>(op);
    if (self.record_to_ != nullptr) self.record_to_->extend(self.record);
    if (self.continue_short_write()) return;
    if (self.closed_) self.close_descriptor();
    if (self.detached_) {
      delete &self;
    } else if (self.awaiting_) {
      std::exchange(self.awaiting_, nullptr).resume();
    }
  }

  static void lost(io_op& op) noexcept {
    auto& self = static_cast<shared_state&>(op);
    if (self.detached_) delete &self;
  }

  // The task on tokio's pool is a write_all.
  bool continue_short_write() noexcept {
    const auto written = result().bytes();
    if (request.code != opcode::write || written == 0 || written >= request.size) return false;
    auto rest = request;
    rest.delay = nanoseconds{0};  // an operation of its own: who held the first back draws again
    rest.data += written;
    rest.size -= static_cast<std::uint32_t>(written);
    if (rest.offset >= 0) rest.offset += static_cast<std::int64_t>(written);
    reuse(rest);
    engine_.start(*this);
    return true;
  }

  void close_descriptor() noexcept {
    io_record closing;
    closing.submitted = closing.started = clock::now();
    if (::close(fd_.release()) < 0) closing.res = -errno;
    closing.returned = clock::now();
    if (closing_record_ != nullptr) *closing_record_ = closing;
  }

  engine& engine_;
  unique_fd fd_;
  acknowledgement_options options_;
  async_mutex lock_;
  page_aligned_bytes buffer_;  // the background operation's while busy
  std::size_t read_from_ = 0;  // what is before it in `buffer_` has been served
  io_record* record_to_ = nullptr;
  std::coroutine_handle<> awaiting_;
  io_record* closing_record_ = nullptr;
  int stored_error_ = 0;
  bool busy_ = false;
  bool closed_ = false;
  bool detached_ = false;
};

class write_behind_file final : public file {
 public:
  write_behind_file(engine& engine, unique_fd fd, const acknowledgement_options& options)
      : state_(new shared_state(engine, std::move(fd), options)) {}
  ~write_behind_file() override { state_->detach(); }

  task<io_result> write(std::int64_t position, std::span<const std::byte> data,
                        io_record* record) override {
    auto& state = *state_;
    const auto guard = co_await state.lock().lock();
    if (state.closed()) co_return io_result{-EBADF};
    if (seeks_to(position)) {
      const auto there = co_await seek_to(position, record);
      if (!there.ok()) co_return there;
      position = at_cursor;
    }
    if (const int error = state.take_stored_error(); error != 0) co_return io_result{-error};
    if (state.busy()) {
      const bool was_write = state.request.code == opcode::write;
      const auto before = co_await state.settle();
      if (was_write && !before.ok()) co_return before;
    }
    if (const auto unread = state.discard_unread(); unread > 0) {
      const auto back = co_await step_back(unread);
      if (!back.ok()) co_return back;
    }
    co_return io_result{static_cast<std::int32_t>(state.queue_write(position, data, record))};
  }

  task<io_result> read(std::int64_t position, std::span<std::byte> into,
                       io_record* record) override {
    auto& state = *state_;
    if (!waits(file_call::read) && !(seeks_to(position) && waits(file_call::seek))) {
      const auto result = co_await read_past_it(position, into, record);
      co_return result;
    }
    const auto guard = co_await state.lock().lock();
    if (state.closed()) co_return io_result{-EBADF};
    if (position != at_cursor) {
      static_cast<void>(co_await settle_and_store());
      if (seeks()) {
        const auto there = co_await seek_to(position, record);
        if (!there.ok()) co_return there;
        position = at_cursor;
      }
      const auto request = io_request::read(state.descriptor(), position, into);
      const auto result = co_await perform(state.owner(), request, record);
      co_return result;
    }
    if (state.busy()) {
      const bool was_read = state.request.code == opcode::read;
      const auto before = co_await settle_and_store();
      if (was_read && !before.ok()) co_return before;
      if (was_read) co_return io_result{static_cast<std::int32_t>(state.serve(into))};
    }
    if (state.unread().empty()) {
      state.queue_read(at_cursor, into.size(), record);
      const auto result = co_await state.settle();
      if (!result.ok()) co_return result;
    }
    co_return io_result{static_cast<std::int32_t>(state.serve(into))};
  }

  task<io_result> sync(sync_kind kind, io_record* record) override {
    const auto request =
        kind == sync_kind::fsync ? io_request::fsync(-1) : io_request::fdatasync(-1);
    const auto result = co_await apply(request, record);
    co_return result;
  }

  task<io_result> stat(struct statx& into, io_record* record) override {
    const auto result = co_await apply(io_request::statx(-1, into), record);
    co_return result;
  }

  task<io_result> truncate(std::int64_t length, io_record* record) override {
    auto& state = *state_;
    if (!waits(file_call::truncate)) {
      const auto result = co_await apply(io_request::truncate(-1, length), record);
      co_return result;
    }
    const auto guard = co_await state.lock().lock();
    static_cast<void>(co_await settle_and_store());
    if (const auto unread = state.discard_unread(); unread > 0) {
      const auto back = co_await step_back(unread);
      if (!back.ok()) co_return back;
    }
    state.queue(io_request::truncate(state.descriptor(), length), record);
    const auto result = co_await state.settle();
    co_return result;
  }

  task<io_result> seek(std::int64_t offset) override {
    auto& state = *state_;
    if (!waits(file_call::seek)) {
      const auto result = co_await apply(io_request::seek(-1, offset), nullptr);
      co_return result;
    }
    const auto guard = co_await state.lock().lock();
    const auto result = co_await seek_to(offset, nullptr);
    co_return result;
  }

  task<io_result> flush() override {
    auto& state = *state_;
    const auto guard = co_await state.lock().lock();
    if (state.closed()) co_return io_result{-EBADF};
    if (const int error = state.take_stored_error(); error != 0) co_return io_result{-error};
    const auto failed = co_await settle_write();
    co_return failed;
  }

  task<io_result> apply(io_request request, io_record* record) override {
    auto& state = *state_;
    const auto call = call_of(request.code);
    if (call && !waits(*call)) {
      request.fd = state.descriptor();
      const auto result = co_await perform(state.owner(), request, record);
      co_return result;
    }
    const auto guard = co_await state.lock().lock();
    static_cast<void>(co_await settle_and_store());
    request.fd = state.descriptor();
    const auto result = co_await perform(state.owner(), request, record);
    co_return result;
  }

  task<> settle() override {
    auto& state = *state_;
    const auto guard = co_await state.lock().lock();
    static_cast<void>(co_await settle_and_store());
  }

  // The write in flight goes on by itself.
  task<io_result> drop() override {
    assert(state_->options().drop == drop_kind::runs);
    co_return io_result{0};
  }

  task<io_result> close(io_record* record) override {
    auto& state = *state_;
    const auto guard = co_await state.lock().lock();
    if (state.closed()) co_return io_result{-EBADF};
    state.close(record);
    co_return io_result{0};
  }

  task<std::unique_ptr<file>> clone() override {
    auto& state = *state_;
    if (state.closed()) throw std::system_error(EBADF, std::generic_category(), "clone");
    if (waits(file_call::clone)) {
      const auto guard = co_await state.lock().lock();
      static_cast<void>(co_await settle_and_store());
    }
    co_return std::make_unique<write_behind_file>(state.owner(), duplicate(state.fd()),
                                                  state.options());
  }

  bool seeks() const noexcept override { return state_->options().seeks; }
  int fd() const noexcept override { return state_->descriptor(); }

 private:
  bool waits(file_call call) const noexcept { return state_->options().waits.contains(call); }
  bool seeks_to(std::int64_t position) const noexcept { return seeks() && position >= 0; }

  task<io_result> read_past_it(std::int64_t position, std::span<std::byte> into,
                               io_record* record) {
    auto& state = *state_;
    if (seeks_to(position)) {
      const auto to = io_request::seek(state.descriptor(), position);
      const auto there = co_await perform(state.owner(), to, record);
      if (!there.ok()) co_return there;
      position = at_cursor;
    }
    if (position == at_cursor) into = into.first(std::min(into.size(), state.options().chunk));
    const auto request = io_request::read(state.descriptor(), position, into);
    const auto result = co_await perform(state.owner(), request, record);
    co_return result;
  }

  // Under the lock.
  task<io_result> seek_to(std::int64_t offset, io_record* record) {
    auto& state = *state_;
    static_cast<void>(co_await settle_and_store());
    state.discard_unread();
    state.queue(io_request::seek(state.descriptor(), offset), record);
    const auto result = co_await state.settle();
    co_return result;
  }

  // The failure of the write in flight, or 0: results of other operations are not news.
  task<io_result> settle_write() {
    auto& state = *state_;
    if (!state.busy()) co_return io_result{0};
    const bool was_write = state.request.code == opcode::write;
    const auto result = co_await state.settle();
    co_return was_write && !result.ok() ? result : io_result{0};
  }

  // tokio's complete_inflight: waits, and keeps a write's failure for the next write or flush.
  // Returns the result of whatever was in flight.
  task<io_result> settle_and_store() {
    auto& state = *state_;
    if (!state.busy()) co_return io_result{0};
    const bool was_write = state.request.code == opcode::write;
    const auto result = co_await state.settle();
    if (was_write && !result.ok()) state.store_error(result.error());
    co_return result;
  }

  // The cursor is behind what was read ahead of whom it was for.
  task<io_result> step_back(std::size_t bytes) {
    auto& state = *state_;
    const auto here = ::lseek(state.descriptor(), 0, SEEK_CUR);
    const auto to = static_cast<std::int64_t>(here) - static_cast<std::int64_t>(bytes);
    const auto result = co_await perform(state.owner(), io_request::seek(state.descriptor(), to));
    co_return result;
  }

  shared_state* state_;
};

}  // namespace

std::unique_ptr<file> make_write_behind_file(engine& engine, unique_fd fd,
                                             const acknowledgement_options& options) {
  return std::make_unique<write_behind_file>(engine, std::move(fd), options);
}

}  // namespace filemap
