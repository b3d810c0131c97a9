// Linux 5.9 and 5.10: preadv2 with RWF_NOWAIT returns 0 in the middle of a file, as if it ended
// there (BUGS of preadv2(2); tokio issue #3803, where fs::File saw only the first 4096 bytes).
//
// RWF_NOWAIT then implied IOCB_NOIO, and generic_file_buffered_read() gave up with 0 instead of
// EAGAIN where the page that it came to first would have started the next read-ahead. So a part of
// a cold file is read in the ordinary way, which leaves such a mark, and then every page is asked
// for without waiting.

#include "bug.hpp"

#include <array>
#include <cstddef>
#include <sys/uio.h>
#include <vector>

namespace {

using namespace filemap::bugs;

constexpr std::size_t page = 4096;
constexpr std::size_t file_size = 1 << 20;

/// Reads the file to its end as a program does that does not want to wait when it need not.
void read_all(int file, sighting& seen) {
  std::array<std::byte, page> buffer{};
  const iovec where{buffer.data(), buffer.size()};
  for (std::size_t offset = 0; offset < file_size; offset += page) {
    const auto at = static_cast<off_t>(offset);
    const auto got = ::preadv2(file, &where, 1, at, RWF_NOWAIT);
    if (got < 0 && errno == EOPNOTSUPP) {
      throw filemap::unsupported("this filesystem has no RWF_NOWAIT");
    }
    if (got < 0 && errno != EAGAIN) fail("preadv2");
    if (got == 0) {
      if (seen.bad++ == 0) {
        seen.first = "a read at byte " + std::to_string(offset) + " of " +
                     std::to_string(file_size) + " returned 0";
      }
    } else {
      ++seen.good;
    }
    if (got <= 0 && ::pread(file, buffer.data(), page, at) <= 0) fail("pread");
  }
}

sighting look(const std::string& directory) {
  const auto file = scratch_file(directory, 0);
  const std::vector<std::byte> data(file_size, std::byte{1});
  if (::pwrite(file.get(), data.data(), data.size(), 0) != static_cast<ssize_t>(data.size())) {
    fail("pwrite");
  }
  if (::fsync(file.get()) != 0) fail("fsync");
  sighting seen;
  for (int i = 0; i < 20; ++i) {
    if (const int error = ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED); error != 0) {
      errno = error;
      fail("posix_fadvise");
    }
    read_all(file.get(), seen);
  }
  return seen;
}

}  // namespace

int main(int argc, char** argv) { return main_of("nowait-false-eof", argc, argv, look); }
