// What interpreting a test costs: rounds of tokio-4796 of the catalogue, on a real ring, beside the
// same program written as three coroutines over the same files, notifications and engine. Both
// begin each round with an empty file and other bytes, and both judge it: the interpreter by the
// registers and the condition, the hand-written one by comparing.

#include "filemap/coro/task_scope.hpp"
#include "filemap/io/engines.hpp"
#include "filemap/io/run.hpp"
#include "filemap/litmus/catalogue.hpp"
#include "filemap/litmus/parser.hpp"

#include "side_by_side.hpp"
#include "subject/round.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <span>
#include <unistd.h>

namespace {

using namespace filemap;
using bench::expect;

class interpreted {
 public:
  interpreted(engine& engine, const litmus::test& test, const std::filesystem::path& dir)
      : setup_(engine, test, *litmus::find_mode("uring"), dir),
        round_(setup_),
        files_(setup_, 0, round_.bytes()) {}

  task<> rounds(std::uint64_t count) {
    for (; count > 0; --count) {
      round_.begin(++number_, 1);
      files_.reset(round_.bytes());
      co_await round_.run(files_);
      const auto judged = round_.judged();
      expect(!judged.counts, "the test's condition holds");
    }
  }

 private:
  litmus::round_setup setup_;
  litmus::round round_;
  litmus::round_files files_;
  std::uint64_t number_ = 0;
};

class compiled {
 public:
  compiled(engine& engine, const litmus::test& test, const std::filesystem::path& dir)
      : dir_(open_file(dir, O_PATH | O_DIRECTORY)),
        writer_(make_complete_file(engine, open(O_RDWR | O_CREAT | O_APPEND))),
        flusher_(make_complete_file(engine, duplicate_of_writer())),
        reader_(make_complete_file(engine, duplicate_of_writer())),
        written_(engine),
        flushed_(engine),
        bytes_(test) {}
  compiled(const compiled&) = delete;
  compiled& operator=(const compiled&) = delete;
  ~compiled() { ::unlinkat(dir_.get(), "compiled", 0); }

  task<> rounds(std::uint64_t count) {
    for (; count > 0; --count) {
      bytes_.fill(1, ++number_);
      open(O_RDWR | O_CREAT | O_TRUNC);  // as the other does, and closes it
      written_.reset();
      flushed_.reset();
      task_scope scope;
      scope.spawn(write());
      scope.spawn(flush());
      scope.spawn(read());
      co_await scope.join();
    }
  }

 private:
  unique_fd open(int flags) const {
    return unique_fd{::openat(dir_.get(), "compiled", flags | O_CLOEXEC, 0644)};
  }
  unique_fd duplicate_of_writer() const {
    return unique_fd{::fcntl(writer_->fd(), F_DUPFD_CLOEXEC, 0)};
  }
  std::span<const std::byte> text() const noexcept { return bytes_.bytes({1, 0, size}); }

  task<> write() {
    const auto result = co_await writer_->write(at_end, text(), &record_);
    expect(result.bytes() == size, "append failed");
    written_.notify_one();
  }
  task<> flush() {
    static_cast<void>(co_await written_.wait());
    const auto result = co_await flusher_->sync(sync_kind::fsync, &record_);
    expect(result.ok(), "fsync failed");
    flushed_.notify_one();
  }
  task<> read() {
    static_cast<void>(co_await flushed_.wait());
    struct statx status {};
    const auto looked = co_await reader_->stat(status, &record_);
    expect(looked.ok() && status.stx_size == size, "statx is wrong");
    const auto result = co_await reader_->read(0, seen_, &record_);
    expect(result.bytes() == size && std::memcmp(seen_.data(), text().data(), size) == 0,
           "read is wrong");
  }

  static constexpr std::size_t size = 123;
  unique_fd dir_;
  std::unique_ptr<file> writer_, flusher_, reader_;
  notify written_, flushed_;
  litmus::patterns bytes_;
  io_record record_;
  std::array<std::byte, size> seen_{};
  std::uint64_t number_ = 0;
};

void compare_rounds(bench::side_by_side& bench) {
  const auto entry = *litmus::find_in_catalogue("tokio-4796");
  const auto test = litmus::parse(entry.source, entry.name);
  const auto engine = make_uring_engine();
  interpreted ours(*engine, test, bench.dir());
  compiled by_hand(*engine, test, bench.dir());
  bench.compare(
      "round of a litmus test", 1, bench::at_least(0.9),
      [&](std::uint64_t count) { run(*engine, ours.rounds(count)); },
      [&](std::uint64_t count) { run(*engine, by_hand.rounds(count)); });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv,
                    "Rounds of tokio-4796 as a litmus test, beside the same program written as "
                    "three coroutines.",
                    compare_rounds, bench::files::in_dir);
}
