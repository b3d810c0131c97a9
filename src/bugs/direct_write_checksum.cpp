// btrfs up to Linux 6.14: a buffer that changes during an O_DIRECT write makes the written block
// unreadable (EIO), because its checksum is taken of the buffer before the device reads it. Later
// kernels write such a file through the page cache instead (commit 968f19c5b1b7, "btrfs: always
// fallback to buffered write if the inode requires checksum").
//
// One thread never stops changing the buffer while another writes it; then every block is read.

#include "bug.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <thread>

namespace {

using namespace filemap::bugs;

constexpr std::size_t alignment = 4096;
constexpr std::size_t block = 64 << 10;  // bytes of a write
constexpr std::size_t blocks = 512;

struct aligned_delete {
  void operator()(std::byte* memory) const noexcept {
    ::operator delete[](memory, std::align_val_t{alignment});
  }
};

/// Changes a byte of every page of the buffer until it is destroyed.
class scribbler {
 public:
  explicit scribbler(std::byte* buffer) : thread_([this, buffer] { scribble(buffer); }) {}
  ~scribbler() {
    stop_ = true;
    thread_.join();
  }
  scribbler(const scribbler&) = delete;
  scribbler& operator=(const scribbler&) = delete;

 private:
  void scribble(std::byte* buffer) noexcept {
    for (unsigned value = 0; !stop_; ++value) {
      for (std::size_t at = 0; at < block; at += alignment) {
        // Atomic only for the compiler: the kernel reads it as it likes, which is the point.
        std::atomic_ref(buffer[at]).store(static_cast<std::byte>(value), std::memory_order_relaxed);
      }
    }
  }

  std::atomic<bool> stop_{false};
  std::thread thread_;
};

sighting look(const std::string& directory) {
  const auto file = scratch_file(directory, O_DIRECT);
  const std::unique_ptr<std::byte[], aligned_delete> buffer(new (std::align_val_t{alignment})
                                                                std::byte[block]());
  {
    const scribbler scribbler(buffer.get());
    for (std::size_t i = 0; i < blocks; ++i) {
      const auto wrote = ::pwrite(file.get(), buffer.get(), block, static_cast<off_t>(i * block));
      if (wrote != static_cast<ssize_t>(block)) fail("pwrite");
    }
  }
  sighting seen;
  if (::fsync(file.get()) != 0) fail("fsync");
  for (std::size_t i = 0; i < blocks; ++i) {
    const auto got = ::pread(file.get(), buffer.get(), block, static_cast<off_t>(i * block));
    if (got < 0 && errno != EIO) fail("pread");
    if (got == static_cast<ssize_t>(block)) {
      ++seen.good;
    } else if (seen.bad++ == 0) {
      seen.first = "block " + std::to_string(i) + " was written, and reading it " +
                   (got < 0 ? "fails with EIO" : "ends early");
    }
  }
  return seen;
}

}  // namespace

int main(int argc, char** argv) { return main_of("direct-write-checksum", argc, argv, look); }
