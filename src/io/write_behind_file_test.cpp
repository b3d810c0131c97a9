// tokio::fs::File, rule by rule (the table in write_behind_file.cpp), and what follows from it.
// Every test runs on the stepping engine, so that a race is a choice of the test's and not of the
// machine's.

#include "filemap/coro/task_scope.hpp"
#include "filemap/io/engines.hpp"
#include "filemap/io/file.hpp"
#include "filemap/io/notify.hpp"
#include "filemap/io/run.hpp"
#include "filemap/io/stall.hpp"

#include "hand_driven_engine.hpp"
#include "testing.hpp"

#include <array>
#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace filemap {
namespace {

constexpr io_result ok{0};

template <typename T>
task<T> started(task<T> call) {
  call.start();
  return call;
}

class write_behind_file_test : public ::testing::Test {
 protected:
  ~write_behind_file_test() override { io_.finish(); }

  std::unique_ptr<file> open(int flags, const acknowledgement_options& options = {}) {
    return make_write_behind_file(io_, open_file(path_, flags), options);
  }
  void fill(std::string_view text) const {
    const auto fd = open_file(path_, O_WRONLY);
    ASSERT_EQ(::write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  std::string text() const { return contents(reader_.get()); }
  /// What a call that must not wait returns.
  template <typename T>
  T at_once(task<T> call) {
    call.start();
    EXPECT_TRUE(call.done());
    return call.result();
  }
  template <typename T>
  T after(opcode code, task<T> call) {
    call.start();
    EXPECT_FALSE(call.done());
    io_.step(code);
    EXPECT_TRUE(call.done());
    return call.result();
  }
  void start_and_drop(task<io_result> call) {
    call.start();
    EXPECT_FALSE(call.done());
  }

  scratch_directory directory_;
  std::filesystem::path path_ = directory_ / "file";
  unique_fd reader_ = open_file(path_, O_RDONLY | O_CREAT);
  hand_driven_engine io_;
  std::array<std::byte, 16> buffer_{};

  /// The first `size` bytes of what was read.
  std::string got(std::size_t size) const {
    return {reinterpret_cast<const char*>(buffer_.data()), size};
  }
  std::span<std::byte> room(std::size_t size) { return std::span(buffer_).first(size); }
};

// --- write

TEST_F(write_behind_file_test, write_returns_before_its_bytes_are_written) {
  const auto file = open(O_WRONLY);
  EXPECT_EQ(at_once(file->write(0, bytes("abc"))), io_result{3});
  EXPECT_EQ(text(), "");
  EXPECT_EQ(io_.started(), "write");
  io_.step(opcode::write);
  EXPECT_EQ(text(), "abc");
}

TEST_F(write_behind_file_test, write_takes_a_copy_so_the_bytes_may_change) {
  const auto file = open(O_WRONLY);
  std::string data = "abc";
  EXPECT_EQ(at_once(file->write(0, bytes(data))), io_result{3});
  data = "xyz";
  io_.step(opcode::write);
  EXPECT_EQ(text(), "abc");
}

TEST_F(write_behind_file_test, write_takes_no_more_than_its_buffer) {
  const auto small = open(O_WRONLY, {.chunk = 4});
  EXPECT_EQ(at_once(small->write(0, bytes("abcdef"))), io_result{4});
  io_.step(opcode::write);
  EXPECT_EQ(text(), "abcd");
  const auto standard = open(O_WRONLY);
  const std::string large(3 << 20, 'x');
  EXPECT_EQ(at_once(standard->write(0, bytes(large))), io_result{2 << 20});
}

TEST_F(write_behind_file_test, a_second_write_waits_for_the_first_and_not_for_itself) {
  const auto file = open(O_WRONLY | O_APPEND);
  EXPECT_EQ(at_once(file->write(at_end, bytes("a"))), io_result{1});
  EXPECT_EQ(after(opcode::write, file->write(at_end, bytes("b"))), io_result{1});
  EXPECT_EQ(text(), "a");
  EXPECT_EQ(io_.in_flight(), 1U);
  io_.step(opcode::write);
  EXPECT_EQ(text(), "ab");
}

TEST_F(write_behind_file_test, calls_that_wait_are_served_in_order) {
  const auto file = open(O_WRONLY | O_APPEND);
  EXPECT_EQ(at_once(file->write(at_end, bytes("a"))), io_result{1});
  const auto second = started(file->write(at_end, bytes("b")));
  const auto sync = started(file->sync(sync_kind::fsync));
  const auto third = started(file->write(at_end, bytes("c")));
  EXPECT_EQ(io_.started(), "write");
  io_.step(opcode::write);
  EXPECT_TRUE(second.done());
  EXPECT_FALSE(sync.done());
  io_.step(opcode::write);
  EXPECT_EQ(io_.started(), "write write fsync");
  EXPECT_FALSE(third.done()) << "the lock is the sync's";
  io_.step(opcode::fsync);
  EXPECT_TRUE(sync.done());
  EXPECT_TRUE(third.done());
  io_.step(opcode::write);
  EXPECT_EQ(text(), "abc");
}

TEST_F(write_behind_file_test, the_error_of_a_write_is_returned_by_the_next_which_writes_nothing) {
  const auto file = open(O_RDONLY);
  EXPECT_EQ(at_once(file->write(0, bytes("a"))), io_result{1});
  EXPECT_EQ(after(opcode::write, file->write(0, bytes("b"))), io_result{-EBADF});
  EXPECT_EQ(io_.started(), "write");
  EXPECT_EQ(io_.in_flight(), 0U);
  EXPECT_EQ(at_once(file->write(0, bytes("c"))), io_result{1}) << "reported once";
}

TEST_F(write_behind_file_test, the_error_of_a_write_that_has_completed_is_not_forgotten) {
  const auto file = open(O_RDONLY);
  EXPECT_EQ(at_once(file->write(0, bytes("a"))), io_result{1});
  io_.step(opcode::write);
  EXPECT_EQ(at_once(file->write(0, bytes("b"))), io_result{-EBADF});
  EXPECT_EQ(io_.started(), "write");
}

TEST_F(write_behind_file_test, a_short_write_goes_on_and_its_failure_is_reported) {
  const auto file = open(O_WRONLY | O_APPEND);
  io_record record;
  EXPECT_EQ(at_once(file->write(at_end, bytes("abcdef"), &record)), io_result{6});
  {
    const file_size_limit four(4);
    io_.step(opcode::write);
    EXPECT_EQ(io_.started(), "write write");
    EXPECT_EQ(record.res, 4);
    io_.step(opcode::write);
  }
  EXPECT_EQ(record.res, -EFBIG);
  EXPECT_EQ(at_once(file->flush()), io_result{-EFBIG});
  EXPECT_EQ(text(), "abcd");
}

TEST_F(write_behind_file_test, the_rest_of_a_short_write_does_not_inherit_a_stall) {
  auto driven = std::make_unique<hand_driven_engine>();
  auto& inner = *driven;
  const auto stalling =
      make_stalling_engine(std::move(driven), {{opcode::write, nanoseconds{1}, 0.5}}, 1);
  std::mt19937_64 drawn(1);
  const file_size_limit limit(1);  // the first byte, and then none
  for (int i = 0; i < 10; ++i) {
    const auto file = make_write_behind_file(*stalling, open_file(path_, O_WRONLY | O_TRUNC));
    EXPECT_EQ(at_once(file->write(0, bytes("ab"))), io_result{2});
    inner.finish();
    ASSERT_EQ(text(), "a");
  }
  ASSERT_EQ(inner.stalled().size(), 20U);
  for (const bool was_stalled : inner.stalled()) {
    EXPECT_EQ(was_stalled, (std::generate_canonical<double, 53>(drawn) < 0.5));
  }
}

TEST_F(write_behind_file_test, a_short_write_at_an_offset_goes_on_where_it_stopped) {
  const auto file = open(O_WRONLY);
  EXPECT_EQ(at_once(file->write(0, bytes("abcdef"))), io_result{6});
  {
    const file_size_limit four(4);
    io_.step(opcode::write);
  }
  io_.step(opcode::write);
  EXPECT_EQ(text(), "abcdef");
  EXPECT_EQ(at_once(file->flush()), ok);
}

TEST_F(write_behind_file_test, a_record_is_of_the_operation_and_not_of_the_call) {
  const auto file = open(O_WRONLY);
  io_record record;
  EXPECT_EQ(at_once(file->write(0, bytes("abc"), &record)), io_result{3});
  EXPECT_FALSE(record.complete());
  io_.step(opcode::write);
  EXPECT_TRUE(record.complete());
  EXPECT_EQ(record.res, 3);
}

TEST_F(write_behind_file_test, a_write_that_is_dropped_while_it_waits_writes_nothing) {
  const auto file = open(O_WRONLY | O_APPEND);
  EXPECT_EQ(at_once(file->write(at_end, bytes("a"))), io_result{1});
  start_and_drop(file->write(at_end, bytes("b")));
  EXPECT_EQ(after(opcode::write, file->write(at_end, bytes("c"))), io_result{1});
  io_.step(opcode::write);
  EXPECT_EQ(text(), "ac");
}

TEST_F(write_behind_file_test, a_call_that_is_dropped_while_it_waits_for_the_lock_is_not_resumed) {
  const auto file = open(O_WRONLY | O_APPEND);
  EXPECT_EQ(at_once(file->write(at_end, bytes("a"))), io_result{1});
  const auto second = started(file->write(at_end, bytes("b")));
  start_and_drop(file->write(at_end, bytes("c")));
  start_and_drop(file->flush());
  io_.step(opcode::write);
  EXPECT_TRUE(second.done());
  io_.step(opcode::write);
  EXPECT_EQ(text(), "ab");
}

// --- write_all

TEST_F(write_behind_file_test, write_all_returns_with_the_last_of_its_chunks_in_flight) {
  const auto file = open(O_WRONLY | O_APPEND, {.chunk = 4});
  auto all = started(write_all(*file, at_end, bytes("abcdefghij")));
  EXPECT_EQ(text(), "");
  io_.step(opcode::write);
  EXPECT_FALSE(all.done());
  EXPECT_EQ(text(), "abcd");
  io_.step(opcode::write);
  EXPECT_TRUE(all.done());
  EXPECT_EQ(all.result(), io_result{10});
  EXPECT_EQ(text(), "abcdefgh");
  EXPECT_EQ(io_.in_flight(), 1U);
  io_.step(opcode::write);
  EXPECT_EQ(text(), "abcdefghij");
}

TEST_F(write_behind_file_test, write_all_of_one_chunk_returns_with_all_of_it_in_flight) {
  const auto file = open(O_WRONLY);
  EXPECT_EQ(at_once(write_all(*file, 0, bytes("abc"))), io_result{3});
  EXPECT_EQ(text(), "");
}

TEST_F(write_behind_file_test, write_all_returns_the_failure_of_a_chunk_that_is_not_the_last) {
  const auto file = open(O_RDONLY, {.chunk = 4});
  EXPECT_EQ(after(opcode::write, write_all(*file, 0, bytes("abcdef"))), io_result{-EBADF});
  EXPECT_EQ(io_.started(), "write");
}

// --- flush

TEST_F(write_behind_file_test, flush_waits_for_the_write_and_makes_no_system_call) {
  const auto file = open(O_WRONLY);
  EXPECT_EQ(at_once(file->flush()), ok);
  EXPECT_EQ(at_once(file->write(0, bytes("abc"))), io_result{3});
  EXPECT_EQ(after(opcode::write, file->flush()), ok);
  EXPECT_EQ(text(), "abc");
  EXPECT_EQ(io_.started(), "write");
}

TEST_F(write_behind_file_test, flush_returns_the_error_of_the_write_once) {
  const auto file = open(O_RDONLY);
  EXPECT_EQ(at_once(file->write(0, bytes("a"))), io_result{1});
  EXPECT_EQ(after(opcode::write, file->flush()), io_result{-EBADF});
  EXPECT_EQ(at_once(file->flush()), ok);
}

// --- sync and truncate

TEST_F(write_behind_file_test, both_kinds_of_sync_wait_for_the_write_of_their_own_handle) {
  const auto file = open(O_WRONLY | O_APPEND);
  for (const auto& [kind, code] : {std::pair(sync_kind::fsync, opcode::fsync),
                                   std::pair(sync_kind::fdatasync, opcode::fdatasync)}) {
    EXPECT_EQ(at_once(file->write(at_end, bytes("a"))), io_result{1});
    auto sync = started(file->sync(kind));
    EXPECT_TRUE(io_.started().ends_with("write"));
    io_.step(opcode::write);
    EXPECT_FALSE(sync.done());
    io_.step(code);
    EXPECT_TRUE(sync.done());
    EXPECT_EQ(sync.result(), ok);
  }
}

TEST_F(write_behind_file_test, sync_succeeds_after_a_failed_write_and_the_next_write_tells_of_it) {
  const auto file = open(O_RDONLY);
  EXPECT_EQ(at_once(file->write(0, bytes("a"))), io_result{1});
  auto sync = started(file->sync(sync_kind::fdatasync));
  io_.step(opcode::write);
  io_.step(opcode::fdatasync);
  EXPECT_TRUE(sync.done());
  EXPECT_EQ(sync.result(), ok);
  EXPECT_EQ(at_once(file->write(0, bytes("b"))), io_result{-EIO}) << "only its kind was kept";
  EXPECT_EQ(io_.started(), "write fdatasync");
  EXPECT_EQ(at_once(file->flush()), ok) << "reported once";
}

TEST_F(write_behind_file_test, a_stored_error_keeps_the_errno_that_has_a_kind) {
  const auto file = make_write_behind_file(io_, open_file("/dev/full", O_WRONLY));
  EXPECT_EQ(at_once(file->write(0, bytes("a"))), io_result{1});
  auto sync = started(file->sync(sync_kind::fsync));
  io_.step(opcode::write);
  io_.step(opcode::fsync);
  EXPECT_TRUE(sync.done());
  EXPECT_EQ(sync.result(), io_result{-EINVAL}) << "its own: a device is not synced";
  EXPECT_EQ(at_once(file->flush()), io_result{-ENOSPC});
}

TEST_F(write_behind_file_test, truncate_waits_for_the_write_and_goes_on_after_its_failure) {
  const auto file = open(O_RDONLY);
  EXPECT_EQ(at_once(file->write(0, bytes("a"))), io_result{1});
  auto truncate = started(file->truncate(0));
  EXPECT_EQ(io_.started(), "write");
  io_.step(opcode::write);
  io_.step(opcode::truncate);
  EXPECT_TRUE(truncate.done());
  EXPECT_EQ(truncate.result(), io_result{-EINVAL}) << "its own: the handle is for reading";
  EXPECT_EQ(at_once(file->write(0, bytes("b"))), io_result{-EIO});
}

TEST_F(write_behind_file_test, truncate_cuts_what_was_written_before_it) {
  const auto file = open(O_WRONLY);
  EXPECT_EQ(at_once(file->write(0, bytes("abc"))), io_result{3});
  auto truncate = started(file->truncate(1));
  io_.step(opcode::write);
  io_.step(opcode::truncate);
  EXPECT_EQ(truncate.result(), ok);
  EXPECT_EQ(text(), "a");
}

// --- stat

TEST_F(write_behind_file_test, stat_does_not_wait_for_the_write_nor_for_who_waits) {
  const auto file = open(O_WRONLY);
  EXPECT_EQ(at_once(file->write(0, bytes("abc"))), io_result{3});
  const auto sync = started(file->sync(sync_kind::fsync));
  struct statx status {};
  EXPECT_EQ(after(opcode::statx, file->stat(status)), ok);
  EXPECT_EQ(status.stx_size, 0U);
  io_.step(opcode::write);
  io_.step(opcode::fsync);
}

// --- read

TEST_F(write_behind_file_test, read_waits_for_the_write_of_its_own_handle) {
  for (const auto position : {std::int64_t{0}, at_cursor}) {
    const auto file = open(O_RDWR);
    EXPECT_EQ(at_once(file->write(0, bytes("abc"))), io_result{3});
    auto read = started(file->read(position, room(8)));
    io_.step(opcode::write);
    io_.step(opcode::read);
    EXPECT_TRUE(read.done());
    EXPECT_EQ(read.result(), io_result{3});
    EXPECT_EQ(got(3), "abc");
  }
}

TEST_F(write_behind_file_test, read_goes_on_after_a_failed_write_and_the_next_write_tells_of_it) {
  fill("abc");
  for (const auto position : {std::int64_t{0}, at_cursor}) {
    const auto file = open(O_RDONLY);
    EXPECT_EQ(at_once(file->write(0, bytes("x"))), io_result{1});
    auto read = started(file->read(position, room(8)));
    io_.step(opcode::write);
    io_.step(opcode::read);
    EXPECT_EQ(read.result(), io_result{3});
    EXPECT_EQ(at_once(file->write(0, bytes("y"))), io_result{-EIO});
  }
}

// --- seeks

TEST_F(write_behind_file_test, an_offset_that_is_sought_is_a_place_that_clones_share) {
  const auto file = open(O_RDWR, {.seeks = true});
  auto write = started(file->write(4, bytes("abc")));
  EXPECT_FALSE(write.done()) << "the seek is waited for";
  io_.step(opcode::seek);
  EXPECT_EQ(write.result(), io_result{3});
  auto cloning = started(file->clone());
  io_.step(opcode::write);
  const auto clone = cloning.result();
  auto read = started(clone->read(0, room(8)));
  io_.step(opcode::seek);
  EXPECT_EQ(at_once(file->write(at_cursor, bytes("xy"))), io_result{2});
  io_.step(opcode::write);
  io_.step(opcode::read);
  EXPECT_EQ(read.result(), io_result{5}) << "behind what the clone has written";
  EXPECT_EQ(text(), std::string("xy\0\0abc", 7));
}

TEST_F(write_behind_file_test, an_offset_is_sought_once_for_all_buffers_of_a_write) {
  const auto file = open(O_RDWR, {.chunk = 2, .seeks = true});
  auto write = started(write_all(*file, 1, bytes("abcd")));
  io_.step(opcode::seek);
  io_.step(opcode::write);
  EXPECT_EQ(write.result(), io_result{4});
  io_.step(opcode::write);
  EXPECT_EQ(io_.started(), "seek write write");
  EXPECT_EQ(text(), std::string("\0abcd", 5));
}

TEST_F(write_behind_file_test, an_offset_is_sought_before_a_stored_error_is_told) {
  fill("abc");
  const auto file = open(O_RDONLY, {.seeks = true});
  EXPECT_EQ(after(opcode::seek, file->write(0, bytes("x"))), io_result{1});
  auto write = started(file->write(2, bytes("y")));
  io_.step(opcode::write);
  io_.step(opcode::seek);
  EXPECT_EQ(write.result(), io_result{-EIO});
  EXPECT_EQ(after(opcode::read, file->read(at_cursor, room(8))), io_result{1});
}

TEST_F(write_behind_file_test, a_record_of_what_seeks_begins_with_the_seek) {
  const auto file = open(O_RDWR, {.seeks = true});
  io_record seek;
  io_record write;
  auto call = started(file->write(1, bytes("abc"), &write));
  io_.step(opcode::seek);
  seek = write;
  io_.step(opcode::write);
  EXPECT_EQ(write.started, seek.started);
  EXPECT_GT(write.returned, seek.returned);
  EXPECT_EQ(write.res, 3);
}

TEST_F(write_behind_file_test, a_dropped_read_stays_in_flight_and_serves_the_next) {
  fill("abcdefgh");
  const auto file = open(O_RDWR);
  start_and_drop(file->read(at_cursor, room(6)));
  EXPECT_EQ(io_.in_flight(), 1U);
  EXPECT_EQ(after(opcode::read, file->read(at_cursor, room(4))), io_result{4});
  EXPECT_EQ(got(4), "abcd");
  EXPECT_EQ(at_once(file->read(at_cursor, room(4))), io_result{2}) << "what is left of it";
  EXPECT_EQ(got(2), "ef");
  EXPECT_EQ(io_.started(), "read") << "one system call served them all";
  EXPECT_EQ(after(opcode::read, file->read(at_cursor, room(4))), io_result{2});
  EXPECT_EQ(got(2), "gh");
}

TEST_F(write_behind_file_test, a_dropped_read_that_has_completed_serves_the_next) {
  fill("abcdefgh");
  const auto file = open(O_RDWR);
  start_and_drop(file->read(at_cursor, room(6)));
  io_.step(opcode::read);
  EXPECT_EQ(at_once(file->read(at_cursor, room(4))), io_result{4});
  EXPECT_EQ(got(4), "abcd");
}

TEST_F(write_behind_file_test, a_dropped_read_does_not_write_into_the_buffer_of_who_dropped_it) {
  fill("abc");
  const auto file = open(O_RDWR);
  start_and_drop(file->read(at_cursor, room(3)));
  io_.step(opcode::read);
  EXPECT_EQ(got(3), std::string(3, '\0'));
}

TEST_F(write_behind_file_test, the_failure_of_a_dropped_read_is_returned_by_the_next) {
  const auto file = open(O_WRONLY);
  start_and_drop(file->read(at_cursor, room(4)));
  EXPECT_EQ(after(opcode::read, file->read(at_cursor, room(4))), io_result{-EBADF});
  EXPECT_EQ(io_.started(), "read");
}

TEST_F(write_behind_file_test, a_read_at_an_offset_keeps_what_a_dropped_read_left) {
  fill("abcdef");
  const auto file = open(O_RDWR);
  start_and_drop(file->read(at_cursor, room(3)));
  auto read = started(file->read(4, room(2)));
  io_.step(opcode::read);
  io_.step(opcode::read);
  EXPECT_EQ(read.result(), io_result{2});
  EXPECT_EQ(got(2), "ef");
  EXPECT_EQ(at_once(file->read(at_cursor, room(8))), io_result{3});
  EXPECT_EQ(got(3), "abc");
}

TEST_F(write_behind_file_test, a_write_goes_where_the_reader_stopped_and_not_where_the_kernel_did) {
  fill("abcdef");
  const auto file = open(O_RDWR);
  start_and_drop(file->read(at_cursor, room(4)));
  EXPECT_EQ(after(opcode::read, file->read(at_cursor, room(2))), io_result{2});
  EXPECT_EQ(after(opcode::seek, file->write(at_cursor, bytes("X"))), io_result{1});
  io_.step(opcode::write);
  EXPECT_EQ(text(), "abXdef");
}

TEST_F(write_behind_file_test, a_write_at_an_offset_loses_nothing_that_was_read_ahead) {
  fill("abcdef");
  const auto file = open(O_RDWR);
  start_and_drop(file->read(at_cursor, room(4)));
  io_.step(opcode::read);
  EXPECT_EQ(after(opcode::seek, file->write(5, bytes("X"))), io_result{1});
  io_.step(opcode::write);
  EXPECT_EQ(after(opcode::read, file->read(at_cursor, room(6))), io_result{6});
  EXPECT_EQ(got(6), "abcdeX");
}

TEST_F(write_behind_file_test, truncate_loses_nothing_that_was_read_ahead) {
  fill("abcdef");
  const auto file = open(O_RDWR);
  start_and_drop(file->read(at_cursor, room(4)));
  io_.step(opcode::read);
  auto truncate = started(file->truncate(5));
  io_.step(opcode::seek);
  io_.step(opcode::truncate);
  EXPECT_EQ(truncate.result(), ok);
  EXPECT_EQ(after(opcode::read, file->read(at_cursor, room(8))), io_result{5});
  EXPECT_EQ(got(5), "abcde");
}

// --- seek

TEST_F(write_behind_file_test, seek_waits_for_the_write_and_keeps_its_error) {
  const auto file = open(O_RDONLY);
  EXPECT_EQ(at_once(file->write(at_cursor, bytes("a"))), io_result{1});
  auto seek = started(file->seek(2));
  EXPECT_EQ(io_.started(), "write");
  io_.step(opcode::write);
  io_.step(opcode::seek);
  EXPECT_EQ(seek.result(), ok);
  EXPECT_EQ(::lseek(file->fd(), 0, SEEK_CUR), 2);
  EXPECT_EQ(at_once(file->flush()), io_result{-EIO});
}

TEST_F(write_behind_file_test, seek_forgets_what_was_read_ahead) {
  fill("abcdef");
  const auto file = open(O_RDWR);
  start_and_drop(file->read(at_cursor, room(4)));
  io_.step(opcode::read);
  EXPECT_EQ(after(opcode::seek, file->seek(5)), ok);
  EXPECT_EQ(after(opcode::read, file->read(at_cursor, room(4))), io_result{1});
  EXPECT_EQ(got(1), "f");
}

// --- clone

TEST_F(write_behind_file_test, clone_waits_from_1_29_on_and_did_not_before) {
  const auto later = open(O_WRONLY);
  EXPECT_EQ(at_once(later->write(0, bytes("abc"))), io_result{3});
  EXPECT_NE(after(opcode::write, later->clone()), nullptr);
  const auto earlier = open(O_WRONLY, {.waits = waits_of_tokio.without(file_call::clone)});
  EXPECT_EQ(at_once(earlier->write(0, bytes("xyz"))), io_result{3});
  EXPECT_NE(at_once(earlier->clone()), nullptr);
  EXPECT_EQ(text(), "abc");
}

// --- who waits is data

TEST_F(write_behind_file_test, what_is_not_said_to_wait_goes_past_the_write_in_flight) {
  const auto file = open(O_RDWR, {.waits = {file_call::statx}});
  EXPECT_EQ(at_once(file->write(0, bytes("abc"))), io_result{3});
  EXPECT_EQ(after(opcode::fsync, file->sync(sync_kind::fsync)), io_result{0});
  EXPECT_EQ(after(opcode::read, file->read(0, room(3))), io_result{0});
  EXPECT_EQ(after(opcode::truncate, file->truncate(7)), io_result{0});
  EXPECT_EQ(after(opcode::seek, file->seek(2)), io_result{0});
  EXPECT_EQ(after(opcode::read, file->read(at_cursor, room(16))), io_result{5});
  EXPECT_NE(at_once(file->clone()), nullptr);
  EXPECT_EQ(after(opcode::write, file->flush()), io_result{0});
}

TEST_F(write_behind_file_test, a_stat_waits_where_it_is_said_to) {
  const auto file = open(O_RDWR, {.waits = {file_call::statx}});
  EXPECT_EQ(at_once(file->write(0, bytes("abc"))), io_result{3});
  struct statx status {};
  auto stat = file->stat(status);
  stat.start();
  io_.step(opcode::write);
  EXPECT_FALSE(stat.done());
  io_.step(opcode::statx);
  EXPECT_EQ(stat.result(), io_result{0});
  EXPECT_EQ(status.stx_size, 3U);
}

TEST_F(write_behind_file_test, a_clone_has_a_state_of_its_own) {
  const auto file = open(O_WRONLY | O_APPEND, {.chunk = 2});
  const auto clone = at_once(file->clone());
  EXPECT_EQ(at_once(file->write(at_end, bytes("a"))), io_result{1});
  EXPECT_EQ(at_once(clone->write(at_end, bytes("bcd"))), io_result{2}) << "with the same options";
  EXPECT_EQ(io_.started(), "write write");
}

TEST_F(write_behind_file_test, a_clone_gets_no_stored_error) {
  const auto file = open(O_RDONLY);
  EXPECT_EQ(at_once(file->write(0, bytes("a"))), io_result{1});
  const auto clone = after(opcode::write, file->clone());
  EXPECT_EQ(at_once(clone->flush()), ok);
  EXPECT_EQ(at_once(file->flush()), io_result{-EIO}) << "it stays with the original";
}

// --- apply, settle and close

TEST_F(write_behind_file_test, apply_waits_for_the_write_and_goes_on_after_its_failure) {
  const auto file = open(O_RDONLY);
  EXPECT_EQ(at_once(file->write(0, bytes("a"))), io_result{1});
  auto flushes = started(file->apply(io_request::sync_range(-1, 0, 0)));
  EXPECT_EQ(io_.started(), "write");
  io_.step(opcode::write);
  EXPECT_FALSE(flushes.done());
  io_.step(opcode::sync_range);
  EXPECT_TRUE(flushes.done());
  EXPECT_EQ(flushes.result(), ok);
  EXPECT_EQ(at_once(file->write(0, bytes("b"))), io_result{-EIO});
}

TEST_F(write_behind_file_test, drop_cache_does_not_wait_for_the_write) {
  const auto file = open(O_WRONLY);
  EXPECT_EQ(at_once(file->write(0, bytes("a"))), io_result{1});
  EXPECT_EQ(after(opcode::drop_cache, file->apply(io_request::drop_cache(-1, 0, 0))), ok);
  EXPECT_EQ(text(), "");
}

TEST_F(write_behind_file_test, settle_waits_for_the_write_keeps_its_error_and_starts_nothing) {
  const auto file = open(O_RDONLY);
  EXPECT_EQ(at_once(file->write(0, bytes("a"))), io_result{1});
  auto settle = file->settle();
  settle.start();
  EXPECT_FALSE(settle.done());
  io_.step(opcode::write);
  EXPECT_TRUE(settle.done());
  EXPECT_EQ(io_.started(), "write");
  EXPECT_EQ(at_once(file->flush()), io_result{-EIO});
}

TEST_F(write_behind_file_test, close_returns_at_once_and_follows_the_write) {
  const auto before = open_descriptors();
  auto file = open(O_WRONLY);
  EXPECT_EQ(at_once(file->write(0, bytes("abc"))), io_result{3});
  io_record record;
  EXPECT_EQ(at_once(file->close(&record)), ok);
  EXPECT_FALSE(record.complete());
  EXPECT_EQ(open_descriptors(), before + 1);
  EXPECT_EQ(at_once(file->write(0, bytes("x"))), io_result{-EBADF});
  EXPECT_EQ(at_once(file->flush()), io_result{-EBADF});
  EXPECT_THROW(at_once(file->clone()), std::system_error);
  io_.step(opcode::write);
  EXPECT_TRUE(record.complete());
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_EQ(text(), "abc");
}

TEST_F(write_behind_file_test, close_and_drop_finish_a_short_write) {
  const auto before = open_descriptors();
  auto file = open(O_WRONLY);
  EXPECT_EQ(at_once(file->write(0, bytes("abcdef"))), io_result{6});
  EXPECT_EQ(at_once(file->close()), ok);
  file.reset();
  {
    const file_size_limit four(4);
    io_.step(opcode::write);
  }
  EXPECT_EQ(open_descriptors(), before + 1);
  io_.step(opcode::write);
  EXPECT_EQ(text(), "abcdef");
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(write_behind_file_test, close_waits_for_a_call_that_is_under_way) {
  const auto file = open(O_WRONLY);
  EXPECT_EQ(at_once(file->write(0, bytes("abc"))), io_result{3});
  auto sync = started(file->sync(sync_kind::fsync));
  auto close = started(file->close());
  auto late = started(file->sync(sync_kind::fsync));
  io_.step(opcode::write);
  io_.step(opcode::fsync);
  EXPECT_EQ(sync.result(), ok);
  EXPECT_EQ(close.result(), ok);
  io_.step(opcode::fsync);
  EXPECT_EQ(late.result(), io_result{-EBADF});
}

// --- drop

TEST_F(write_behind_file_test, drop_detaches_the_write_and_the_close_follows_it) {
  const auto before = open_descriptors();
  auto file = open(O_WRONLY);
  EXPECT_EQ(at_once(file->write(0, bytes("abc"))), io_result{3});
  file.reset();
  EXPECT_EQ(open_descriptors(), before + 1);
  EXPECT_EQ(text(), "");
  io_.step(opcode::write);
  EXPECT_EQ(text(), "abc");
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(write_behind_file_test, drop_of_an_idle_file_closes_at_once) {
  const auto before = open_descriptors();
  auto file = open(O_WRONLY);
  EXPECT_EQ(at_once(file->write(0, bytes("abc"))), io_result{3});
  io_.step(opcode::write);
  file.reset();
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(write_behind_file_test, drop_finishes_a_short_write) {
  const auto before = open_descriptors();
  auto file = open(O_WRONLY);
  EXPECT_EQ(at_once(file->write(0, bytes("abcdef"))), io_result{6});
  file.reset();
  {
    const file_size_limit four(4);
    io_.step(opcode::write);
  }
  EXPECT_EQ(open_descriptors(), before + 1);
  io_.step(opcode::write);
  EXPECT_EQ(text(), "abcdef");
  EXPECT_EQ(open_descriptors(), before);
}

// --- tokio #4796

TEST_F(write_behind_file_test,
       a_clone_sees_an_empty_file_when_its_fsync_and_stat_overtake_the_write) {
  const auto writer = open(O_WRONLY | O_APPEND);
  const auto flusher = at_once(writer->clone());
  const auto reader = at_once(writer->clone());
  EXPECT_EQ(at_once(write_all(*writer, at_end, bytes("acknowledged"))), io_result{12});
  EXPECT_EQ(after(opcode::fsync, flusher->sync(sync_kind::fsync)), ok);
  struct statx status {};
  EXPECT_EQ(after(opcode::statx, reader->stat(status)), ok);
  EXPECT_EQ(status.stx_size, 0U) << "written, synced and empty";
  io_.step(opcode::write);
  EXPECT_EQ(text(), "acknowledged");
}

/// Every sequence of choices, one a round, depth first.
class depth_first {
 public:
  std::size_t choose(std::span<io_op* const> held) {
    if (depth_ == path_.size()) path_.push_back({0, held.size()});
    EXPECT_EQ(path_[depth_].of, held.size()) << "the same choices led somewhere else";
    return path_[depth_++].chosen;
  }
  /// False: that was the last.
  bool next() {
    depth_ = 0;
    while (!path_.empty() && path_.back().chosen + 1 == path_.back().of) path_.pop_back();
    if (path_.empty()) return false;
    ++path_.back().chosen;
    return true;
  }

 private:
  struct choice {
    std::size_t chosen;
    std::size_t of;
  };
  std::vector<choice> path_;
  std::size_t depth_ = 0;
};

/// The seed's program and its variants: which handle does what, and when.
struct variant {
  acknowledgement when = acknowledgement::write_behind;
  bool flush = false;       ///< before the notification
  bool own_sync = false;    ///< through the writer's handle
  bool own_stat = false;    ///< through the writer's handle, straight after the write
  bool late_clone = false;  ///< the clones are taken after the write
  bool clone_waits = true;
};

constexpr std::string_view data_123 =
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut "
    "labore et dolore magna aliqua.";
static_assert(data_123.size() == 123);

class litmus_round {
 public:
  litmus_round(engine& engine, const variant& how, unique_fd fd)
      : how_(how), writer_(make(engine, how, std::move(fd))), written_(engine), flushed_(engine) {}

  task<> play() {
    if (!how_.late_clone) co_await take_clones();
    task_scope scope;
    scope.spawn(writes());
    scope.spawn(syncs());
    scope.spawn(reads());
    co_await scope.join();
  }

  std::uint64_t seen() const noexcept { return status_.stx_size; }

 private:
  static std::unique_ptr<file> make(engine& engine, const variant& how, unique_fd fd) {
    if (how.when == acknowledgement::complete) return make_complete_file(engine, std::move(fd));
    acknowledgement_options options;
    if (!how.clone_waits) options.waits = options.waits.without(file_call::clone);
    return make_write_behind_file(engine, std::move(fd), options);
  }

  task<> take_clones() {
    auto flusher = co_await writer_->clone();
    auto reader = co_await writer_->clone();
    flusher_ = std::move(flusher);
    reader_ = std::move(reader);
  }
  task<> writes() {
    const auto result = co_await write_all(*writer_, at_end, bytes(data_123));
    EXPECT_EQ(result.bytes(), data_123.size());
    if (how_.flush) {
      const auto flushed = co_await writer_->flush();
      EXPECT_EQ(flushed, ok);
    }
    if (how_.late_clone) co_await take_clones();
    written_.notify_one();
  }
  task<> syncs() {
    const auto permit = co_await written_.wait();
    EXPECT_TRUE(permit.ok());
    auto& handle = how_.own_sync ? *writer_ : *flusher_;
    if (!how_.own_stat) {
      const auto result = co_await handle.sync(sync_kind::fsync);
      EXPECT_EQ(result, ok);
    }
    flushed_.notify_one();
  }
  task<> reads() {
    const auto permit = co_await flushed_.wait();
    EXPECT_TRUE(permit.ok());
    auto& handle = how_.own_stat ? *writer_ : *reader_;
    const auto result = co_await handle.stat(status_);
    EXPECT_EQ(result, ok);
  }

  variant how_;
  std::unique_ptr<file> writer_;
  std::unique_ptr<file> flusher_;
  std::unique_ptr<file> reader_;
  notify written_;
  notify flushed_;
  struct statx status_ {};
};

struct exploration {
  int schedules = 0;
  int violations = 0;
  std::set<std::uint64_t> sizes;
};

exploration explore(const variant& how) {
  const scratch_directory directory;
  exploration found;
  depth_first search;
  do {
    const auto engine =
        make_stepping_engine([&](std::span<io_op* const> held) { return search.choose(held); });
    const auto name = directory / std::to_string(found.schedules);
    litmus_round round(*engine, how, open_file(name, O_WRONLY | O_CREAT | O_APPEND));
    run(*engine, round.play());
    EXPECT_EQ(std::filesystem::file_size(name), data_123.size()) << "the write lands in the end";
    ++found.schedules;
    if (round.seen() != data_123.size()) ++found.violations;
    found.sizes.insert(round.seen());
  } while (search.next());
  return found;
}

void expect_a_violation(const exploration& found) {
  EXPECT_GT(found.violations, 0) << "in " << found.schedules << " schedules";
  EXPECT_LT(found.violations, found.schedules);
  EXPECT_EQ(found.sizes, (std::set<std::uint64_t>{0, data_123.size()}));
}

void expect_none(const exploration& found) {
  EXPECT_GT(found.schedules, 0);
  EXPECT_EQ(found.violations, 0) << "in " << found.schedules << " schedules";
}

TEST(tokio_4796, clone_some_schedule_violates) { expect_a_violation(explore({})); }

TEST(tokio_4796, flush_no_schedule_violates) { expect_none(explore({.flush = true})); }

TEST(tokio_4796, ownsync_no_schedule_violates) { expect_none(explore({.own_sync = true})); }

TEST(tokio_4796, ownstat_some_schedule_violates) {
  expect_a_violation(explore({.own_stat = true}));
}

TEST(tokio_4796, lateclone_some_schedule_violates_before_1_29) {
  expect_a_violation(explore({.late_clone = true, .clone_waits = false}));
}

TEST(tokio_4796, lateclone_no_schedule_violates_from_1_29_on) {
  expect_none(explore({.late_clone = true, .clone_waits = true}));
}

TEST(tokio_4796, clone_no_schedule_violates_when_writes_are_acknowledged_on_completion) {
  for (const bool own_stat : {false, true}) {
    expect_none(explore({.when = acknowledgement::complete, .own_stat = own_stat}));
  }
}

}  // namespace
}  // namespace filemap
