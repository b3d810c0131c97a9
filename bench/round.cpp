// What the round of the experiment costs as coroutines: write 123 bytes at offset 0, fsync, statx,
// read them back. Every lane has a file of its own, which it writes again in every round, so that
// no round pays for making a file. The baseline is the state machine that one writes without
// coroutines.
//
// The kernel executes fsync and statx on its worker threads, so on tmpfs, where neither has
// anything to wait for, a round is mostly their wake-ups; that is equal on both sides.

#include "filemap/coro/task_scope.hpp"
#include "filemap/io/engines.hpp"
#include "filemap/io/file.hpp"
#include "filemap/io/run.hpp"

#include "plain_ring.hpp"
#include "side_by_side.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <span>
#include <string>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace {

using namespace filemap;
using bench::expect;

constexpr std::uint64_t max_lanes = 64;
using line = std::array<std::byte, 123>;

line make_line() {
  line text{};
  text.fill(std::byte{'x'});
  return text;
}
const line written = make_line();
bool is_written(const line& seen) { return std::memcmp(&seen, &written, sizeof seen) == 0; }

unique_fd make_nameless_file(const std::filesystem::path& dir) {
  auto path = (dir / "filemap-bench-XXXXXX").string();
  unique_fd fd{::mkostemp(path.data(), O_CLOEXEC)};
  if (!fd) throw std::system_error(errno, std::generic_category(), "mkostemp " + path);
  ::unlink(path.c_str());
  return fd;
}

// --- ours: an operation, and the same through a file

task<> rounds(engine& engine, int fd, std::uint64_t count) {
  struct statx status {};
  line seen{};
  for (; count > 0; --count) {
    const auto wrote = co_await perform(engine, io_request::write(fd, 0, written));
    expect(wrote.bytes() == written.size(), "write failed");
    const auto synced = co_await perform(engine, io_request::fsync(fd));
    expect(synced.ok(), "fsync failed");
    const auto asked = co_await perform(engine, io_request::statx(fd, status));
    expect(asked.ok() && status.stx_size == written.size(), "statx failed");
    seen.fill(std::byte{0});
    const auto read = co_await perform(engine, io_request::read(fd, 0, seen));
    expect(read.bytes() == seen.size() && is_written(seen), "read failed");
  }
}

task<> rounds(file& file, std::uint64_t count) {
  struct statx status {};
  line seen{};
  for (; count > 0; --count) {
    const auto wrote = co_await file.write(0, written);
    expect(wrote.bytes() == written.size(), "write failed");
    const auto synced = co_await file.sync(sync_kind::fsync);
    expect(synced.ok(), "fsync failed");
    const auto asked = co_await file.stat(status);
    expect(asked.ok() && status.stx_size == written.size(), "statx failed");
    seen.fill(std::byte{0});
    const auto read = co_await file.read(0, seen);
    expect(read.bytes() == seen.size() && is_written(seen), "read failed");
  }
}

template <typename RoundsOf>
task<> in_lanes(RoundsOf rounds_of, std::uint64_t lanes) {
  task_scope scope;
  for (std::uint64_t lane = 0; lane < lanes; ++lane) scope.spawn(rounds_of(lane));
  co_await scope.join();
}

// --- the baseline

struct plain_lane {
  enum class step { write, fsync, statx, read };

  unique_fd fd;
  step waiting_for = step::write;
  struct statx status {};
  line seen{};
  std::uint64_t left = 0;

  void submit(bench::plain_ring& ring, step next) {
    auto* const sqe = ring.sqe();
    switch (next) {
      case step::write:
        io_uring_prep_write(sqe, fd.get(), written.data(), written.size(), 0);
        break;
      case step::fsync:
        io_uring_prep_fsync(sqe, fd.get(), 0);
        break;
      case step::statx:
        io_uring_prep_statx(sqe, fd.get(), "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status);
        break;
      case step::read:
        seen.fill(std::byte{0});
        io_uring_prep_read(sqe, fd.get(), seen.data(), seen.size(), 0);
        break;
    }
    io_uring_sqe_set_data(sqe, this);
    waiting_for = next;
  }

  // False: that was the last round.
  bool completed(bench::plain_ring& ring, int res) {
    switch (waiting_for) {
      case step::write:
        expect(res == static_cast<int>(written.size()), "write failed");
        submit(ring, step::fsync);
        return true;
      case step::fsync:
        expect(res == 0, "fsync failed");
        submit(ring, step::statx);
        return true;
      case step::statx:
        expect(res == 0 && status.stx_size == written.size(), "statx failed");
        submit(ring, step::read);
        return true;
      case step::read:
        expect(res == static_cast<int>(seen.size()) && is_written(seen), "read failed");
        if (--left == 0) return false;
        submit(ring, step::write);
        return true;
    }
    return false;
  }
};

void plain_rounds(bench::plain_ring& ring, std::span<plain_lane> lanes, std::uint64_t count) {
  auto running = lanes.size();
  for (auto& lane : lanes) {
    lane.left = count / lanes.size();
    lane.submit(ring, plain_lane::step::write);
  }
  while (running > 0) {
    ring.turn<plain_lane>([&](plain_lane* lane, int res) {
      if (!lane->completed(ring, res)) --running;
    });
  }
}

// -------------------------------------------------------------------------------------------------

void compare_rounds(bench::side_by_side& bench) {
  const auto engine = make_uring_engine();
  bench::plain_ring ring;
  std::vector<unique_fd> fds;
  std::vector<std::unique_ptr<file>> files;
  std::vector<plain_lane> plain(max_lanes);
  for (auto& lane : plain) {
    fds.push_back(make_nameless_file(bench.dir()));
    files.push_back(make_complete_file(*engine, make_nameless_file(bench.dir())));
    lane.fd = make_nameless_file(bench.dir());
  }

  for (const auto lanes : {std::uint64_t{1}, max_lanes}) {
    const auto of = lanes == 1 ? std::string{", 1 lane"} : ", " + std::to_string(lanes) + " lanes";
    const auto baseline = [&](std::uint64_t count) {
      plain_rounds(ring, std::span(plain).first(lanes), count);
    };
    bench.compare(
        "round by perform" + of, lanes, bench::at_least(0.90),
        [&](std::uint64_t count) {
          const auto rounds_of = [&](std::uint64_t lane) {
            return rounds(*engine, fds[lane].get(), count / lanes);
          };
          run(*engine, in_lanes(rounds_of, lanes));
        },
        baseline);
    bench.compare(
        "round by file" + of, lanes, bench::at_least(0.90),
        [&](std::uint64_t count) {
          const auto rounds_of = [&](std::uint64_t lane) {
            return rounds(*files[lane], count / lanes);
          };
          run(*engine, in_lanes(rounds_of, lanes));
        },
        baseline);
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run(
      argc, argv,
      "Writes 123 bytes at offset 0, fsyncs, stats and reads them back, as coroutines "
      "beside a liburing state machine.",
      compare_rounds, bench::files::in_dir);
}
