#pragma once

#include "filemap/io/engine.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include <liburing.h>

namespace filemap::bugs {

/// A plain ring that executes one operation at a time, through the file's cursor.
class ring {
 public:
  ring() {
    if (const int error = ::io_uring_queue_init(8, &ring_, 0); error < 0) {
      throw unsupported(std::string("io_uring cannot be used: ") + std::strerror(-error));
    }
  }
  ~ring() { ::io_uring_queue_exit(&ring_); }
  ring(const ring&) = delete;
  ring& operator=(const ring&) = delete;

  /// The number of bytes, or -1 and errno.
  int write(int file, const std::byte* data, std::size_t length) {
    ::io_uring_prep_write(next(), file, data, static_cast<unsigned>(length), at_cursor);
    return complete();
  }
  int read(int file, std::byte* data, std::size_t length) {
    ::io_uring_prep_read(next(), file, data, static_cast<unsigned>(length), at_cursor);
    return complete();
  }

 private:
  static constexpr auto at_cursor = static_cast<std::uint64_t>(-1);

  io_uring_sqe* next() { return ::io_uring_get_sqe(&ring_); }  // there is room: one at a time

  int complete() {
    io_uring_cqe* completion = nullptr;
    int result = ::io_uring_submit_and_wait(&ring_, 1);
    if (result >= 0) result = ::io_uring_wait_cqe(&ring_, &completion);
    if (result >= 0) {
      result = completion->res;
      ::io_uring_cqe_seen(&ring_, completion);
    }
    if (result < 0) errno = -result;
    return result < 0 ? -1 : result;
  }

  io_uring ring_{};
};

}  // namespace filemap::bugs
