// What a notification costs: two tasks pass a permit to and fro, each hop a write(2) to an eventfd
// and a read of it that the ring has armed. The baseline makes the same system calls by hand.

#include "filemap/coro/task_scope.hpp"
#include "filemap/io/engines.hpp"
#include "filemap/io/notify.hpp"
#include "filemap/io/run.hpp"

#include "plain_ring.hpp"
#include "side_by_side.hpp"

#include <array>
#include <cerrno>
#include <sys/eventfd.h>
#include <system_error>

namespace {

using namespace filemap;
using bench::expect;

task<> serve(notify& mine, notify& other, std::uint64_t count) {
  for (; count > 0; --count) {
    other.notify_one();
    const auto result = co_await mine.wait();
    expect(result.ok(), "reading an eventfd failed");
  }
}

task<> give_back(notify& mine, notify& other, std::uint64_t count) {
  for (; count > 0; --count) {
    const auto result = co_await mine.wait();
    expect(result.ok(), "reading an eventfd failed");
    other.notify_one();
  }
}

task<> play(notify& ping, notify& pong, std::uint64_t hops) {
  task_scope scope;
  scope.spawn(give_back(ping, pong, hops / 2));
  scope.spawn(serve(pong, ping, hops / 2));
  co_await scope.join();
}

struct plain_event {
  unique_fd fd;
  std::uint64_t count = 0;

  plain_event() : fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (!fd) throw std::system_error(errno, std::generic_category(), "eventfd");
  }
  void arm(bench::plain_ring& ring) {
    auto* const sqe = ring.sqe();
    io_uring_prep_read(sqe, fd.get(), &count, sizeof count, 0);
    io_uring_sqe_set_data(sqe, this);
  }
  void ring_it() const { expect(::eventfd_write(fd.get(), 1) == 0, "writing an eventfd failed"); }
};

void plain_hops(bench::plain_ring& ring, std::array<plain_event, 2>& events, std::uint64_t hops) {
  auto& ping = events[0];
  auto& pong = events[1];
  ping.arm(ring);
  pong.arm(ring);
  ping.ring_it();
  for (std::uint64_t hop = 0; hop < hops;) {
    ring.turn<plain_event>([&](plain_event* event, int res) {
      expect(res == sizeof event->count, "reading an eventfd failed");
      ++hop;
      if (hop < hops) (event == &ping ? pong : ping).ring_it();
      if (hop + 1 < hops) event->arm(ring);
    });
  }
}

void compare_hops(bench::side_by_side& bench) {
  const auto engine = make_uring_engine();
  notify ping{*engine};
  notify pong{*engine};
  bench::plain_ring ring;
  std::array<plain_event, 2> events;
  bench.compare(
      "eventfd hop", 2, bench::at_least(0.85),
      [&](std::uint64_t hops) { run(*engine, play(ping, pong, hops)); },
      [&](std::uint64_t hops) { plain_hops(ring, events, hops); });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run(
      argc, argv,
      "Passes a permit between two tasks through two notifies, beside write(2) and an "
      "armed read of an eventfd on a plain ring.",
      compare_hops);
}
