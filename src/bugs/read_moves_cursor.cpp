// A read on a ring at offset -1 uses the file's cursor without the lock that read(2) takes
// (fdget_pos): it sets the cursor back to where it was when it began, and the next write(2) through
// the same open file overwrites what was written meanwhile. Seen on 6.18; read(2) in its place
// never did it.

#include "bug.hpp"
#include "ring.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <sys/stat.h>
#include <thread>

namespace {

using namespace filemap::bugs;

constexpr int rounds = 500;
constexpr int writes = 20;
constexpr std::size_t length = 8192;  // bytes of a write
constexpr off_t expected = writes * static_cast<off_t>(length);

/// Writes through the cursor while the ring reads through it; the length of the file then.
off_t race(ring& ring, const std::string& directory) {
  const auto file = scratch_file(directory, 0);
  std::atomic<bool> began{false};
  std::atomic<int> error{0};
  std::atomic<bool> ended{false};
  std::thread writer([&] {
    const std::array<std::byte, length> data{};
    began = true;
    for (int i = 0; i < writes; ++i) {
      if (::write(file.get(), data.data(), length) != static_cast<ssize_t>(length)) error = errno;
    }
    ended = true;
  });
  std::array<std::byte, 100> buffer{};
  while (!began) std::this_thread::yield();
  bool read = true;
  while (!ended && read) read = ring.read(file.get(), buffer.data(), buffer.size()) >= 0;
  const int why = errno;
  writer.join();
  errno = read ? error.load() : why;
  if (!read) fail("a read on the ring");
  if (errno != 0) fail("write");
  struct stat about {};
  if (::fstat(file.get(), &about) != 0) fail("fstat");
  return about.st_size;
}

sighting look(const std::string& directory) {
  ring ring;
  sighting seen;
  for (int i = 0; i < rounds; ++i) {
    const off_t size = race(ring, directory);
    if (size == expected) {
      ++seen.good;
    } else if (seen.bad++ == 0) {
      seen.first = std::to_string(expected) +
                   " bytes were written one after the other, and the file has " +
                   std::to_string(size);
    }
  }
  return seen;
}

}  // namespace

int main(int argc, char** argv) { return main_of("read-moves-cursor", argc, argv, look); }
