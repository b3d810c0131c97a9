// What stdio, BufWriter and io.BufferedWriter do, rule by rule (the table in buffered_file.cpp).
// Every test runs on the stepping engine, so that nothing happens but what the test lets happen.

#include "filemap/io/file.hpp"

#include "hand_driven_engine.hpp"
#include "testing.hpp"

#include <array>
#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <gtest/gtest.h>

namespace filemap {
namespace {

constexpr io_result ok{0};

class buffered_file_test : public ::testing::Test {
 protected:
  ~buffered_file_test() override { io_.finish(); }

  static acknowledgement_options small() {
    return {.chunk = 8, .waits = waits_of_a_buffer, .seeks = true, .drop = drop_kind::flushes};
  }
  static acknowledgement_options losing() {
    auto options = small();
    options.drop = drop_kind::lost;
    return options;
  }
  std::unique_ptr<file> open(int flags, const acknowledgement_options& options = small()) {
    return make_buffered_file(io_, open_file(path_, flags), options);
  }
  std::string text() const { return contents(reader_.get()); }
  /// What a call that starts no operation returns.
  template <typename T>
  T at_once(task<T> call) {
    call.start();
    EXPECT_TRUE(call.done());
    return call.result();
  }
  /// What a call returns that takes these operations, and no more.
  template <typename T, typename... Codes>
  T after(task<T> call, Codes... codes) {
    call.start();
    for (const auto code : {codes...}) {
      EXPECT_FALSE(call.done());
      io_.step(code);
    }
    EXPECT_TRUE(call.done());
    return call.result();
  }
  std::span<std::byte> room(std::size_t size) { return std::span(buffer_).first(size); }
  std::string got(std::size_t size) const {
    return {reinterpret_cast<const char*>(buffer_.data()), size};
  }

  scratch_directory directory_;
  std::filesystem::path path_ = directory_ / "file";
  unique_fd reader_ = open_file(path_, O_RDONLY | O_CREAT);
  hand_driven_engine io_;
  std::array<std::byte, 16> buffer_{};
};

TEST_F(buffered_file_test, a_write_that_fits_starts_nothing) {
  const auto file = open(O_WRONLY | O_APPEND);
  io_record record;
  EXPECT_EQ(at_once(file->write(at_end, bytes("abc"), &record)), io_result{3});
  EXPECT_EQ(at_once(file->write(at_end, bytes("defgh"))), io_result{5});
  EXPECT_EQ(io_.started(), "");
  EXPECT_FALSE(record.complete());
  EXPECT_EQ(after(file->flush(), opcode::write, opcode::write), ok);
  EXPECT_EQ(text(), "abcdefgh");
  EXPECT_EQ(record.res, 3);
  EXPECT_EQ(at_once(file->flush()), ok) << "there is nothing left";
}

TEST_F(buffered_file_test, a_write_without_room_has_what_is_pending_written_out_before) {
  const auto file = open(O_WRONLY | O_APPEND);
  EXPECT_EQ(at_once(file->write(at_end, bytes("abc"))), io_result{3});
  EXPECT_EQ(at_once(file->write(at_end, bytes("de"))), io_result{2});
  EXPECT_EQ(after(file->write(at_end, bytes("fghi")), opcode::write, opcode::write), io_result{4});
  EXPECT_EQ(text(), "abcde");
  EXPECT_EQ(after(file->flush(), opcode::write), ok);
  EXPECT_EQ(text(), "abcdefghi");
}

TEST_F(buffered_file_test, a_write_as_large_as_the_buffer_is_written_at_once) {
  const auto file = open(O_WRONLY | O_APPEND);
  EXPECT_EQ(after(file->write(at_end, bytes("01234567")), opcode::write), io_result{8});
  EXPECT_EQ(at_once(file->write(at_end, bytes("a"))), io_result{1});
  EXPECT_EQ(after(file->write(at_end, bytes("012345678")), opcode::write, opcode::write),
            io_result{9});
  EXPECT_EQ(text(), "01234567a012345678");
}

TEST_F(buffered_file_test, only_what_is_said_to_writes_the_buffer_out) {
  const auto file = open(O_RDWR);
  EXPECT_EQ(at_once(file->write(at_cursor, bytes("abc"))), io_result{3});
  struct statx status {};
  EXPECT_EQ(after(file->sync(sync_kind::fsync), opcode::fsync), ok);
  EXPECT_EQ(after(file->sync(sync_kind::fdatasync), opcode::fdatasync), ok);
  EXPECT_EQ(after(file->stat(status), opcode::statx), ok);
  EXPECT_EQ(status.stx_size, 0U);
  EXPECT_EQ(after(file->apply(io_request::drop_cache(-1, 0, 0)), opcode::drop_cache), ok);
  EXPECT_NE(at_once(file->clone()), nullptr);
  EXPECT_EQ(text(), "");
  EXPECT_EQ(after(file->truncate(5), opcode::write, opcode::truncate), ok);
  EXPECT_EQ(text(), std::string("abc\0\0", 5));
}

TEST_F(buffered_file_test, an_fsync_writes_it_out_where_it_is_said_to) {
  auto options = small();
  options.waits = options.waits.with(file_call::fsync);
  const auto file = open(O_RDWR, options);
  EXPECT_EQ(at_once(file->write(at_cursor, bytes("abc"))), io_result{3});
  EXPECT_EQ(after(file->sync(sync_kind::fdatasync), opcode::fdatasync), ok);
  EXPECT_EQ(after(file->sync(sync_kind::fsync), opcode::write, opcode::fsync), ok);
  EXPECT_EQ(text(), "abc");
}

TEST_F(buffered_file_test, an_offset_is_a_seek_after_what_is_pending) {
  const auto file = open(O_RDWR);
  EXPECT_EQ(at_once(file->write(at_cursor, bytes("abcd"))), io_result{4});
  EXPECT_EQ(after(file->write(1, bytes("X")), opcode::write, opcode::seek), io_result{1});
  EXPECT_EQ(text(), "abcd");
  EXPECT_EQ(after(file->read(0, room(4)), opcode::write, opcode::seek, opcode::read), io_result{4});
  EXPECT_EQ(got(4), "aXcd");
  EXPECT_EQ(::lseek(file->fd(), 0, SEEK_CUR), 4);
}

TEST_F(buffered_file_test, without_seeks_what_is_pending_keeps_its_offset) {
  auto options = small();
  options.seeks = false;
  const auto file = open(O_RDWR, options);
  EXPECT_EQ(at_once(file->write(4, bytes("ab"))), io_result{2});
  EXPECT_EQ(at_once(file->write(0, bytes("cd"))), io_result{2});
  EXPECT_EQ(after(file->flush(), opcode::write, opcode::write), ok);
  EXPECT_EQ(text(), std::string("cd\0\0ab", 6));
  EXPECT_EQ(::lseek(file->fd(), 0, SEEK_CUR), 0);
}

TEST_F(buffered_file_test, who_writes_it_out_has_the_handle_to_himself) {
  const auto file = open(O_WRONLY | O_APPEND);
  EXPECT_EQ(at_once(file->write(at_end, bytes("a"))), io_result{1});
  auto flush = file->flush();
  flush.start();
  auto write = file->write(at_end, bytes("b"));
  write.start();
  EXPECT_FALSE(write.done());
  io_.step(opcode::write);
  EXPECT_TRUE(flush.done());
  EXPECT_TRUE(write.done());
  EXPECT_EQ(text(), "a");
  EXPECT_EQ(after(file->drop(), opcode::write), ok);
  EXPECT_EQ(text(), "ab");
}

TEST_F(buffered_file_test, a_drop_writes_it_out_or_forgets_it) {
  const auto flushes = open(O_WRONLY | O_APPEND);
  EXPECT_EQ(at_once(flushes->write(at_end, bytes("a"))), io_result{1});
  EXPECT_EQ(after(flushes->drop(), opcode::write), ok);
  const auto loses = open(O_WRONLY | O_APPEND, losing());
  EXPECT_EQ(at_once(loses->write(at_end, bytes("b"))), io_result{1});
  EXPECT_EQ(at_once(loses->drop()), ok);
  EXPECT_EQ(at_once(loses->flush()), ok);
  EXPECT_EQ(text(), "a");
}

TEST_F(buffered_file_test, a_close_is_a_drop_and_tells_who_comes_after_it_began) {
  const auto file = open(O_WRONLY | O_APPEND);
  EXPECT_EQ(at_once(file->write(at_end, bytes("a"))), io_result{1});
  auto close = file->close();
  close.start();
  EXPECT_EQ(file->fd(), -1);
  EXPECT_EQ(at_once(file->write(at_end, bytes("b"))), io_result{-EBADF});
  EXPECT_EQ(at_once(file->flush()), io_result{-EBADF});
  io_.step(opcode::write);
  EXPECT_FALSE(close.done());
  io_.step(opcode::close);
  EXPECT_EQ(close.result(), ok);
  EXPECT_EQ(text(), "a");
  const auto loses = open(O_WRONLY | O_APPEND, losing());
  EXPECT_EQ(at_once(loses->write(at_end, bytes("c"))), io_result{1});
  EXPECT_EQ(after(loses->close(), opcode::close), ok);
  EXPECT_EQ(text(), "a");
}

TEST_F(buffered_file_test, a_clone_has_a_buffer_of_its_own) {
  const auto file = open(O_WRONLY | O_APPEND);
  EXPECT_EQ(at_once(file->write(at_end, bytes("a"))), io_result{1});
  const auto clone = at_once(file->clone());
  EXPECT_EQ(at_once(clone->write(at_end, bytes("b"))), io_result{1});
  EXPECT_EQ(after(clone->flush(), opcode::write), ok);
  EXPECT_EQ(text(), "b");
  EXPECT_EQ(after(file->flush(), opcode::write), ok);
  EXPECT_EQ(text(), "ba");
}

TEST_F(buffered_file_test, what_could_not_be_written_is_told_and_tried_again) {
  const auto full = make_buffered_file(io_, open_file("/dev/full", O_WRONLY), small());
  EXPECT_EQ(at_once(full->write(at_cursor, bytes("a"))), io_result{1});
  EXPECT_EQ(after(full->flush(), opcode::write), io_result{-ENOSPC});
  EXPECT_EQ(after(full->write(at_cursor, bytes("01234567")), opcode::write), io_result{-ENOSPC});
  EXPECT_EQ(after(full->truncate(0), opcode::write), io_result{-ENOSPC});
  EXPECT_EQ(after(full->drop(), opcode::write), io_result{-ENOSPC});
  EXPECT_EQ(at_once(full->flush()), ok) << "it is forgotten";
}

TEST_F(buffered_file_test, who_goes_past_the_handle_has_it_written_out_before) {
  const auto file = open(O_WRONLY | O_APPEND);
  EXPECT_EQ(at_once(file->write(at_end, bytes("a"))), io_result{1});
  auto settle = file->settle();
  settle.start();
  io_.step(opcode::write);
  EXPECT_TRUE(settle.done());
  EXPECT_EQ(text(), "a");
}

}  // namespace
}  // namespace filemap
