#include "execute.hpp"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace filemap {

namespace {

ssize_t system_call(const io_request& r) noexcept {
  switch (r.code) {
    case opcode::nop:
      return 0;
    case opcode::read:
      if (r.offset == at_cursor) return ::read(r.fd, r.data, r.size);
      return ::pread(r.fd, r.data, r.size, r.offset);
    case opcode::write:
      if (r.offset < 0) return ::write(r.fd, r.data, r.size);
      return ::pwrite(r.fd, r.data, r.size, r.offset);
    case opcode::fsync:
      return ::fsync(r.fd);
    case opcode::fdatasync:
      return ::fdatasync(r.fd);
    case opcode::statx:
      return ::statx(r.fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, r.status);
    case opcode::truncate:
      return ::ftruncate(r.fd, r.offset);
    case opcode::seek:
      return ::lseek(r.fd, r.offset, SEEK_SET) < 0 ? -1 : 0;
    case opcode::sync_range:
      return ::sync_file_range(r.fd, r.offset, r.size, sync_range_flags);
    case opcode::allocate:
      return ::fallocate(r.fd, 0, r.offset, r.size);
    case opcode::punch:
      return ::fallocate(r.fd, punch_mode, r.offset, r.size);
    case opcode::drop_cache:  // the one that returns its error instead of setting errno
      errno = ::posix_fadvise(r.fd, r.offset, r.size, POSIX_FADV_DONTNEED);
      return errno == 0 ? 0 : -1;
    case opcode::open:
      return ::openat(r.fd, r.path, r.flags, r.mode);
    case opcode::close:
      return ::close(r.fd);
    case opcode::rename:
      return ::renameat(r.fd, r.path, r.new_directory, r.new_path);
    case opcode::unlink:
      return ::unlinkat(r.fd, r.path, 0);
    case opcode::sleep:
    case opcode::read_event:
      break;
  }
  errno = EINVAL;
  return -1;
}

}  // namespace

void execute(io_op& op) noexcept {
  op.record.started = clock::now();
  const auto result = system_call(op.request);
  const auto res = static_cast<std::int32_t>(result < 0 ? -errno : result);
  finish(op, res, clock::now());
}

bool take_event(io_op& op) noexcept {
  ssize_t taken = 0;
  do {
    taken = ::read(op.request.fd, &op.way.count, sizeof op.way.count);
  } while (taken < 0 && errno == EINTR);
  if (taken < 0 && errno == EAGAIN) return false;
  finish(op, static_cast<std::int32_t>(taken < 0 ? -errno : taken), clock::now());
  return true;
}

}  // namespace filemap
