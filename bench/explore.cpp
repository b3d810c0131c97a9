// What a schedule of an exploration costs: those of tokio-4796 in the mode tokio-fs, in which the
// write executes before the fsync, before the statx, before the read or after all of them. Beside
// it the same system calls in the same orders, without coroutines, engine, search or conditions.

#include "filemap/litmus/catalogue.hpp"
#include "filemap/litmus/parser.hpp"

#include "explore/search.hpp"
#include "side_by_side.hpp"
#include "subject/litmus_subject.hpp"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace {

using namespace filemap;
using bench::expect;

constexpr std::size_t orders = 4;

// The write goes when so many of the other three have gone.
class in_turn final : public chooser {
 public:
  bool begin() override {
    before_ = next_++ % orders;
    gone_ = 0;
    return true;
  }
  std::size_t choose(std::span<const candidate> held) override {
    return held.size() == 1 || gone_++ == before_ ? 0 : 1;
  }

 private:
  std::size_t next_ = 0;
  std::size_t before_ = 0;
  std::size_t gone_ = 0;
};

unique_fd event() { return unique_fd{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)}; }

class by_hand {
 public:
  explicit by_hand(const std::filesystem::path& dir)
      : dir_(open_file(dir, O_PATH | O_DIRECTORY)),
        append_(::openat(dir_.get(), "by-hand", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644)),
        sync_(::fcntl(append_.get(), F_DUPFD_CLOEXEC, 0)),
        read_(::fcntl(append_.get(), F_DUPFD_CLOEXEC, 0)),
        written_(event()),
        flushed_(event()) {
    expect(append_ && sync_ && read_ && written_ && flushed_, "cannot open");
    text_.fill(std::byte{'x'});
  }
  by_hand(const by_hand&) = delete;
  by_hand& operator=(const by_hand&) = delete;
  ~by_hand() { ::unlinkat(dir_.get(), "by-hand", 0); }

  void schedule(std::size_t write_after) {
    take(written_);
    take(flushed_);
    const unique_fd emptied{
        ::openat(dir_.get(), "by-hand", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
    give(written_);
    look(written_);
    look(flushed_);
    take(written_);
    if (write_after == 0) write();
    look(flushed_);
    expect(::fsync(sync_.get()) == 0, "fsync failed");
    give(flushed_);
    look(flushed_);
    take(flushed_);
    if (write_after == 1) write();
    struct statx status {};
    expect(::statx(read_.get(), "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status) == 0,
           "statx failed");
    if (write_after == 2) write();
    const auto got = ::pread(read_.get(), seen_.data(), seen_.size(), 0);
    if (write_after == 3) write();
    const auto size = static_cast<ssize_t>(text_.size());
    expect(status.stx_size == (write_after <= 1 ? text_.size() : 0), "statx is wrong");
    expect(got == (write_after <= 2 ? size : 0), "read is wrong");
  }

 private:
  void write() {
    const auto wrote = ::write(append_.get(), text_.data(), text_.size());
    expect(wrote == static_cast<ssize_t>(text_.size()), "write failed");
  }
  static void give(const unique_fd& event) { ::eventfd_write(event.get(), 1); }
  static void take(const unique_fd& event) {
    eventfd_t count = 0;
    ::eventfd_read(event.get(), &count);
  }
  static void look(const unique_fd& event) {
    pollfd polled{event.get(), POLLIN, 0};
    expect(::poll(&polled, 1, 0) >= 0, "poll failed");
  }

  unique_fd dir_, append_, sync_, read_, written_, flushed_;
  std::array<std::byte, 123> text_{};
  std::array<std::byte, 123> seen_{};
};

void compare_schedules(bench::side_by_side& bench) {
  const auto entry = *litmus::find_in_catalogue("tokio-4796");
  const auto test = litmus::parse(entry.source, entry.name);
  litmus::litmus_subject subject(test, *litmus::find_mode("tokio-fs"), bench.dir());
  in_turn turns;
  by_hand plain(bench.dir());
  bench.compare(
      "schedule of an exploration", 1, bench::at_least(0.5),
      [&](std::uint64_t count) {
        for (; count > 0; --count) {
          turns.begin();
          expect(execute(subject, turns).end.has_value(), "a schedule failed");
        }
      },
      [&](std::uint64_t count) {
        for (; count > 0; --count) plain.schedule(count % orders);
      });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run(
      argc, argv,
      "Executes the four schedules of tokio-4796 in turn, beside a loop that does the "
      "same system calls in the same orders.",
      compare_schedules, bench::files::in_dir);
}
