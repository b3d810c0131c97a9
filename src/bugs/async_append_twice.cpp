// xfs on Linux 6.1.170 to 6.1.174 and 6.12.43 to 6.12.90: an asynchronous buffered append writes a
// part of its data twice, so that the file is longer than the sum of the results (mended in 6.15 by
// commit 1a1a3b574b97, and in the stable series later than what it mends was taken into them).
//
// A write on a ring is first tried without waiting (IOCB_NOWAIT). balance_dirty_pages() made it
// stop in its middle with EAGAIN, what was written until then was forgotten, and io_uring began the
// whole append anew behind it. So it takes a write of many pages and a low limit for dirty memory:
// --sysctl vm.dirty_bytes=1048576 --sysctl vm.dirty_background_bytes=65536.

#include "bug.hpp"
#include "ring.hpp"

#include <cstddef>
#include <sys/stat.h>
#include <vector>

namespace {

using namespace filemap::bugs;

constexpr std::size_t length = 256 << 10;  // bytes of an append
constexpr int appends = 400;
constexpr off_t most = 200 << 20;  // bytes of the file, on a small disk

off_t size_of(int file) {
  struct stat about {};
  if (::fstat(file, &about) != 0) fail("fstat");
  return about.st_size;
}

sighting look(const std::string& directory) {
  const auto file = scratch_file(directory, O_APPEND);
  const std::vector<std::byte> data(length, std::byte{1});
  ring ring;
  sighting seen;
  off_t sum = 0;
  for (int i = 0; i < appends; ++i) {
    // The file's times are of this moment then, and the next write need not wait to set them.
    if (::write(file.get(), data.data(), 1) != 1) fail("write");
    const int result = ring.write(file.get(), data.data(), length);
    if (result < 0) fail("an append on the ring");
    sum += 1 + result;
    const off_t size = size_of(file.get());
    if (size == sum) {
      ++seen.good;
    } else if (seen.bad++ == 0) {
      seen.first = "append " + std::to_string(i) + " of " + std::to_string(length) +
                   " bytes returned " + std::to_string(result) + ", and the file is " +
                   std::to_string(size - sum) + " bytes longer than the sum of the results";
    }
    sum = size;
    if (sum > most) {
      if (::ftruncate(file.get(), 0) != 0) fail("ftruncate");
      sum = 0;
    }
  }
  return seen;
}

}  // namespace

int main(int argc, char** argv) { return main_of("async-append-twice", argc, argv, look); }
