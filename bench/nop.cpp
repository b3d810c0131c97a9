// What a coroutine and the engine cost: a NOP is the one operation that the kernel has nothing to
// do for, so whatever is on top of the system call is ours.

#include "filemap/coro/task_scope.hpp"
#include "filemap/io/engines.hpp"
#include "filemap/io/run.hpp"

#include "plain_ring.hpp"
#include "side_by_side.hpp"

namespace {

using namespace filemap;
using bench::expect;

task<> await_nops(engine& engine, std::uint64_t count) {
  for (; count > 0; --count) {
    const auto result = co_await perform(engine, io_request::nop());
    expect(result.ok(), "a NOP failed");
  }
}

task<> await_nops_in_lanes(engine& engine, std::uint64_t lanes, std::uint64_t count) {
  task_scope scope;
  for (std::uint64_t lane = 0; lane < lanes; ++lane) scope.spawn(await_nops(engine, count / lanes));
  co_await scope.join();
}

void plain_nops(bench::plain_ring& ring, std::uint64_t lanes, std::uint64_t count) {
  std::uint64_t to_start = count;
  std::uint64_t to_complete = count;
  const auto start = [&] {
    auto* const sqe = ring.sqe();
    io_uring_prep_nop(sqe);
    io_uring_sqe_set_data(sqe, &to_start);
    --to_start;
  };
  while (count - to_start < lanes) start();
  while (to_complete > 0) {
    ring.turn<std::uint64_t>([&](std::uint64_t*, int res) {
      expect(res >= 0, "a NOP failed");
      --to_complete;
      if (to_start > 0) start();
    });
  }
}

void compare_nops(bench::side_by_side& bench) {
  const auto engine = make_uring_engine();
  bench::plain_ring ring;
  bench.compare(
      "nop, 1 in flight", 1, bench::at_most_extra(30),
      [&](std::uint64_t count) { run(*engine, await_nops(*engine, count)); },
      [&](std::uint64_t count) { plain_nops(ring, 1, count); });
  bench.compare(
      "nop, 64 in flight", 64, bench::at_most_extra(25),
      [&](std::uint64_t count) { run(*engine, await_nops_in_lanes(*engine, 64, count)); },
      [&](std::uint64_t count) { plain_nops(ring, 64, count); });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv,
                    "Awaits NOPs, one at a time and 64 in flight, beside a plain liburing loop.",
                    compare_nops);
}
