#pragma once

#include "filemap/coro/task.hpp"
#include "filemap/io/engine.hpp"
#include "filemap/io/file_call.hpp"
#include "filemap/io/unique_fd.hpp"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

#pragma GCC visibility push(default)

namespace filemap {

/// When `co_await file.write(…)` returns.
enum class acknowledgement : std::uint8_t {
  complete,      ///< the kernel has done it
  write_behind,  ///< the bytes are queued: what tokio::fs::File does
  buffered,      ///< the bytes are in a buffer of the handle: what stdio and BufWriter do
};

std::string_view to_string(acknowledgement when) noexcept;

/// What a close does with what was acknowledged and is not written: of a write-behind handle with
/// the write in flight, of a buffered one with what is in its buffer.
enum class drop_kind : std::uint8_t {
  runs,     ///< returns at once; it is written later. tokio::fs::File
  flushes,  ///< returns when it is written. fclose(3), io.BufferedWriter.close
  lost,     ///< returns at once; it is not written. async_fs::File
};

std::string_view to_string(drop_kind what) noexcept;

enum class sync_kind : std::uint8_t { fsync, fdatasync };

/// A handle of an open file on an engine.
///
/// Where a call takes a `record`, it is filled when the operation itself has completed; that may be
/// after the call has returned, so it must live until the next `flush` of the same handle, or
/// another call that waits for it, returns; of `close`, until the handle is destroyed. Of a write
/// that is lost in a buffer it is never filled. A call that took several system calls records the
/// first `submitted` and `started`, the last `returned`, and the bytes of all.
class file {
 public:
  file() = default;
  file(const file&) = delete;
  file& operator=(const file&) = delete;
  /// Closes the descriptor, after whatever is still in flight on this handle. What is in a buffer
  /// then is lost: `drop` comes before.
  virtual ~file() = default;

  /// Writes at an offset, `at_cursor` or `at_end`. May take less than all of `data`.
  virtual task<io_result> write(std::int64_t position, std::span<const std::byte> data,
                                io_record* record = nullptr) = 0;
  /// Reads at an offset or `at_cursor`; 0 bytes at the end of the file.
  virtual task<io_result> read(std::int64_t position, std::span<std::byte> into,
                               io_record* record = nullptr) = 0;
  virtual task<io_result> sync(sync_kind kind, io_record* record = nullptr) = 0;
  virtual task<io_result> stat(struct statx& into, io_record* record = nullptr) = 0;
  virtual task<io_result> truncate(std::int64_t length, io_record* record = nullptr) = 0;
  virtual task<io_result> seek(std::int64_t offset) = 0;
  /// Waits until every acknowledged write has completed and returns the error of one that failed.
  virtual task<io_result> flush() = 0;
  /// Any other operation on this handle's descriptor (`request.fd` is set to it), for what
  /// tokio::fs has no call for: sync_range, allocate, punch, drop_cache.
  virtual task<io_result> apply(io_request request, io_record* record = nullptr) = 0;
  /// Waits for what is in flight on this handle, or writes its buffer out; a failure is kept for a
  /// later call. For who is to start operations on the descriptor itself, past the handle.
  virtual task<> settle() = 0;
  /// Does with what is not written what `close` does with it, and leaves the descriptor open. The
  /// result is 0, or the failure of a write that it waited for.
  virtual task<io_result> drop() = 0;
  /// Closes the descriptor: at once by an operation of the engine, write-behind after what is in
  /// flight, and then the result is 0; buffered after `drop`, whose failure is the result. Every
  /// later call is -EBADF and touches no descriptor.
  /// What was already started through `fd` may find the number free or another file's.
  virtual task<io_result> close(io_record* record = nullptr) = 0;
  /// A second handle of the same open file description: dup(2), so the cursor is shared.
  /// Throws std::system_error (EMFILE; EBADF after `close`).
  virtual task<std::unique_ptr<file>> clone() = 0;

  /// Does a read or write at an offset move the cursor? (`acknowledgement_options::seeks`)
  virtual bool seeks() const noexcept { return false; }
  /// -1 after `close`.
  virtual int fd() const noexcept = 0;
};

/// Which of tokio's calls wait for the operation in flight of their handle, beside a write: from
/// 1.29 on also a clone. (allocate, punch and sync_range are not tokio's, and wait as its truncate
/// does.)
inline constexpr file_calls waits_of_tokio = {
    file_call::read,     file_call::seek,      file_call::fsync,    file_call::fdatasync,
    file_call::truncate, file_call::clone,     file_call::allocate, file_call::punch,
    file_call::flush,    file_call::sync_range};

/// Which calls of C's stdio and of Python's io module write a buffer out first: fsync(2) and
/// fstat(2) of the number know nothing of it, and neither does dup(2).
inline constexpr file_calls waits_of_a_buffer = {file_call::read, file_call::seek,
                                                 file_call::truncate, file_call::flush};

/// How a mode acknowledges, beside when; the defaults are those of tokio from 1.37 on, but for
/// `seeks`. Of a complete handle only `seeks` means anything.
struct acknowledgement_options {
  /// Write-behind: bytes that are queued of one write, 16 KiB up to tokio 1.24, then 2 MiB.
  /// Buffered: bytes that a buffer has.
  std::size_t chunk = 2 << 20;
  /// The calls that come after what is not written yet of their handle: write-behind, they wait for
  /// the write in flight; buffered, they write the buffer out first. `flush` does in any case, as
  /// that is what it is for; so does a `write`, as a handle has one operation in flight, or where
  /// the buffer has no room for it or it is at an offset that is a seek.
  file_calls waits = waits_of_tokio;
  /// Reads and writes at an offset are a seek and a read or write at the cursor, which clones
  /// share. tokio's are, as it has no others; a ring has an offset in every entry.
  bool seeks = false;
  /// Our engines have `runs` write-behind, and buffered the others.
  drop_kind drop = drop_kind::runs;
  /// Buffered: a write that is just as large as the buffer stays in it, as Python's does; else it
  /// is written at once, as BufWriter's is.
  bool keeps_full = false;

  /// Does a write of so many bytes go into an empty buffer?
  bool fits(std::uint64_t bytes) const noexcept {
    return keeps_full ? bytes <= chunk : bytes < chunk;
  }

  friend bool operator==(const acknowledgement_options&, const acknowledgement_options&) = default;
};

/// A handle whose calls return when the kernel has done what they ask for.
std::unique_ptr<file> make_complete_file(engine& engine, unique_fd fd);

/// tokio::fs::File, rule by rule (write_behind_file.cpp says which and where from). Such a handle
/// may be destroyed with an operation in flight; the engine must outlive the operation.
std::unique_ptr<file> make_write_behind_file(engine& engine, unique_fd fd,
                                             const acknowledgement_options& options = {});

/// Such a handle may not be destroyed while a call of it is under way; buffered_file.cpp has the
/// rules. Of `options.drop` it has `flushes` and `lost`.
std::unique_ptr<file> make_buffered_file(engine& engine, unique_fd fd,
                                         const acknowledgement_options& options);

/// No complete handle of ours seeks: `options` are of one that acknowledges early.
std::unique_ptr<file> make_file(engine& engine, unique_fd fd, acknowledgement when,
                                const acknowledgement_options& options = {});

/// open(2) with O_CLOEXEC added. Throws std::system_error naming the path.
unique_fd open_file(const std::filesystem::path& path, int flags, unsigned mode = 0644);

/// `write` until all of `data` is taken: in a write-behind handle all chunks but the last have
/// completed then, and the last is in flight. The result is all of the bytes, or the first failure.
task<io_result> write_all(file& file, std::int64_t position, std::span<const std::byte> data,
                          io_record* record = nullptr);

}  // namespace filemap

#pragma GCC visibility pop
