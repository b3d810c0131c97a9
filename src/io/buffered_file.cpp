// A file whose writes are acknowledged when their bytes are in a buffer of the handle: C's stdio,
// Rust's BufWriter, Python's io.BufferedWriter, async-std's and async-fs's File; on any engine.
//
// Nothing is written before something writes the buffer out. Then each write that is pending in it
// becomes an operation of its own, one after the other, in the order in which they came. (stdio and
// BufWriter write what is pending by one call. As it is, what others see between two of the writes
// is what they may see within one: a part of it.)
//
// A write that does not fit beside what is pending has that written out first. Then it is pending
// itself, or, if it is as large as the buffer or larger, it is written at once, and returns when
// the kernel has done it: BufWriter's rule (`write_cold` in
// library/std/src/io/buffered/bufwriter.rs, which says why not only what is larger). Python's keeps
// one that is just as large (`keeps_full`).
//
// What each call does about what is pending:
//   write     see above; at an offset, where that is a seek: writes out, seeks, and is pending then
//   flush     writes out. No system call of its own
//   read, seek, truncate, sync, stat, clone, apply
//             write out where `acknowledgement_options::waits` has them, and have the handle to
//             themselves until they have returned; else they go past it and take no lock
//   settle    writes out
//   drop      writes out, or forgets what is pending: `acknowledgement_options::drop`
//   close     is a drop, and a close of the descriptor. Who comes after it began is told -EBADF
//   ~file     forgets what is pending
//
// What could not be written stays pending, is told to whoever had it written, and is tried again
// (as BufWriter does); a drop tries once, and forgets the rest.
//
// A clone has a buffer of its own, which is empty.

#include "filemap/coro/async_mutex.hpp"
#include "filemap/io/file.hpp"

#include "duplicate.hpp"
#include "page_aligned.hpp"

#include <cassert>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

namespace filemap {

namespace {

class buffered_file final : public file {
 public:
  buffered_file(engine& engine, unique_fd fd, const acknowledgement_options& options)
      : engine_(engine), fd_(std::move(fd)), options_(options) {
    assert(options.drop != drop_kind::runs);
  }

  task<io_result> write(std::int64_t position, std::span<const std::byte> data,
                        io_record* record) override {
    if (closed_) co_return io_result{-EBADF};
    const auto guard = co_await lock_.lock();
    if (seeks_to(position)) {
      const auto there = co_await seek_to(position, record);
      if (!there.ok()) co_return there;
      position = at_cursor;
    }
    if (pending_bytes() + data.size() > options_.chunk) {
      const auto written = co_await write_out();
      if (!written.ok()) co_return written;
    }
    if (!options_.fits(data.size())) {
      const auto request = io_request::write(fd_.get(), position, data);
      const auto result = co_await perform(engine_, request, record);
      co_return result;
    }
    buffer_.insert(buffer_.end(), data.begin(), data.end());
    pending_.push_back({position, data.size(), record});
    co_return io_result{static_cast<std::int64_t>(data.size())};
  }

  task<io_result> read(std::int64_t position, std::span<std::byte> into,
                       io_record* record) override {
    const bool seeks = seeks_to(position);
    if (!waits(file_call::read) && !(seeks && waits(file_call::seek))) {
      const auto result = co_await read_past_it(position, into, record);
      co_return result;
    }
    if (closed_) co_return io_result{-EBADF};
    const auto guard = co_await lock_.lock();
    const auto written = co_await write_out();
    if (!written.ok()) co_return written;
    const auto result = co_await read_past_it(position, into, record);
    co_return result;
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
    const auto result = co_await apply(io_request::truncate(-1, length), record);
    co_return result;
  }
  task<io_result> seek(std::int64_t offset) override {
    const auto result = co_await apply(io_request::seek(-1, offset), nullptr);
    co_return result;
  }

  task<io_result> apply(io_request request, io_record* record) override {
    const auto call = call_of(request.code);
    request.fd = fd();
    if (closed_ || (call && !waits(*call))) {
      const auto result = co_await perform(engine_, request, record);
      co_return result;
    }
    const auto guard = co_await lock_.lock();
    const auto written = co_await write_out();
    if (!written.ok()) co_return written;
    const auto result = co_await perform(engine_, request, record);
    co_return result;
  }

  task<io_result> flush() override {
    if (closed_) co_return io_result{-EBADF};
    const auto guard = co_await lock_.lock();
    const auto written = co_await write_out();
    co_return written;
  }

  task<> settle() override {
    const auto guard = co_await lock_.lock();
    static_cast<void>(co_await write_out());
  }

  task<io_result> drop() override {
    const auto guard = co_await lock_.lock();
    io_result written{0};
    if (options_.drop == drop_kind::flushes) written = co_await write_out();
    forget();
    co_return written;
  }

  // Whoever has come before it has the lock before it.
  task<io_result> close(io_record* record) override {
    if (std::exchange(closed_, true)) co_return io_result{-EBADF};
    const auto written = co_await drop();
    auto request = io_request::close(fd_.release());
    request.mandatory = true;
    const auto result = co_await perform(engine_, request, record);
    co_return written.ok() ? result : written;
  }

  task<std::unique_ptr<file>> clone() override {
    if (closed_) throw std::system_error(EBADF, std::generic_category(), "clone");
    if (waits(file_call::clone)) {
      const auto guard = co_await lock_.lock();
      static_cast<void>(co_await write_out());
    }
    co_return std::make_unique<buffered_file>(engine_, duplicate(fd_), options_);
  }

  bool seeks() const noexcept override { return options_.seeks; }
  int fd() const noexcept override { return closed_ ? -1 : fd_.get(); }

 private:
  struct pending_write {
    std::int64_t position;
    std::size_t size;
    io_record* record;
  };

  bool waits(file_call call) const noexcept { return options_.waits.contains(call); }
  bool seeks_to(std::int64_t position) const noexcept { return seeks() && position >= 0; }
  std::size_t pending_bytes() const noexcept { return buffer_.size() - written_; }

  // Under the lock, as all that follows.
  task<io_result> write_out() {
    while (first_ < pending_.size()) {
      auto& next = pending_[first_];
      auto request = io_request::write(fd_.get(), next.position,
                                       std::span(buffer_).subspan(written_, next.size));
      request.mandatory = true;  // what has been acknowledged is not left out
      const auto result = co_await perform(engine_, request, next.record);
      if (!result.ok()) co_return result;
      if (result.bytes() == 0) co_return io_result{-EIO};
      written_ += result.bytes();
      next.size -= result.bytes();
      if (next.position >= 0) next.position += static_cast<std::int64_t>(result.bytes());
      if (next.size == 0) ++first_;
    }
    forget();
    co_return io_result{0};
  }

  // The capacity stays.
  void forget() noexcept {
    pending_.clear();
    buffer_.clear();
    first_ = written_ = 0;
  }

  task<io_result> seek_to(std::int64_t offset, io_record* record) {
    const auto written = co_await write_out();
    if (!written.ok()) co_return written;
    const auto result = co_await perform(engine_, io_request::seek(fd_.get(), offset), record);
    co_return result;
  }

  task<io_result> read_past_it(std::int64_t position, std::span<std::byte> into,
                               io_record* record) {
    if (seeks_to(position)) {
      const auto there = co_await perform(engine_, io_request::seek(fd_.get(), position), record);
      if (!there.ok()) co_return there;
      position = at_cursor;
    }
    const auto request = io_request::read(fd_.get(), position, into);
    const auto result = co_await perform(engine_, request, record);
    co_return result;
  }

  engine& engine_;
  unique_fd fd_;
  const acknowledgement_options options_;
  async_mutex lock_;
  page_aligned_bytes buffer_;
  std::vector<pending_write> pending_;
  std::size_t first_ = 0;    // of `pending_`: those before it have been written
  std::size_t written_ = 0;  // bytes of `buffer_`
  bool closed_ = false;
};

}  // namespace

std::unique_ptr<file> make_buffered_file(engine& engine, unique_fd fd,
                                         const acknowledgement_options& options) {
  return std::make_unique<buffered_file>(engine, std::move(fd), options);
}

}  // namespace filemap
