// In the steady state nothing allocates: an operation is part of the frame that awaits it, and
// frames are kept for the next. An executable of its own, because it counts what operator new is
// asked for.

#include "filemap/coro/task_scope.hpp"
#include "filemap/io/engines.hpp"
#include "filemap/io/file.hpp"
#include "filemap/io/notify.hpp"
#include "filemap/io/run.hpp"

#include "testing.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <fcntl.h>
#include <memory>
#include <new>
#include <ostream>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <tuple>
#include <utility>

#include <gtest/gtest.h>

namespace {

std::atomic<long> allocations = 0;

void* counted_allocation(std::size_t size, std::size_t alignment) {
  ++allocations;
  void* memory = nullptr;
  if (::posix_memalign(&memory, alignment, size) != 0) throw std::bad_alloc();
  return memory;
}

}  // namespace

// The other forms call these. Not inline, or GCC takes new and free for a mismatched pair.
[[gnu::noinline]] void* operator new(std::size_t size) {
  return counted_allocation(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted_allocation(size, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace filemap {
namespace {

struct engine_case {
  const char* name;
  std::unique_ptr<engine> (*make)();

  friend std::ostream& operator<<(std::ostream& out, const engine_case& one) {
    return out << one.name;
  }
};

std::unique_ptr<engine> ring(const ring_features& without) {
  uring_options options;
  options.entries = 8;  // a round has more in flight than that, and than the CQ holds
  options.without = without;
  return make_uring_engine(options);
}

constexpr std::array engines = {
    engine_case{"uring", [] { return ring({}); }},
    engine_case{"uring_5_4", [] { return ring(all_ring_features()); }},
    // With more threads it depends on the machine when the last of them is started.
    engine_case{"pool", [] { return make_pool_engine({.threads = 1}); }},
    engine_case{"sync", [] { return make_sync_engine(); }},
};

class allocation_test : public ::testing::TestWithParam<std::tuple<engine_case, acknowledgement>> {
 protected:
  void SetUp() override {
    if (under_address_sanitizer) GTEST_SKIP() << "frames are not kept under AddressSanitizer";
    try {
      engine_ = std::get<0>(GetParam()).make();
    } catch (const unsupported& why) {
      GTEST_SKIP() << why.what();
    }
    unique_fd fd(::memfd_create("allocation_test", MFD_CLOEXEC));  // its fsync is fast
    ASSERT_TRUE(fd);
    raw_ = fd.get();
    file_ = make_file(*engine_, std::move(fd), std::get<1>(GetParam()));
  }

  std::unique_ptr<engine> engine_;
  int raw_ = -1;
  std::unique_ptr<file> file_;
};

INSTANTIATE_TEST_SUITE_P(
    engines, allocation_test,
    ::testing::Combine(::testing::ValuesIn(engines),
                       ::testing::Values(acknowledgement::complete, acknowledgement::write_behind)),
    [](const auto& info) {
      const bool early = std::get<1>(info.param) == acknowledgement::write_behind;
      return std::string(std::get<0>(info.param).name) + (early ? "_write_behind" : "_complete");
    });

using buffer = std::array<std::byte, 100>;

task<> raw_operations(engine& engine, int fd) {
  buffer data{};
  struct statx status;
  for (const auto& request :
       {io_request::nop(), io_request::write(fd, 0, data), io_request::read(fd, 0, data),
        io_request::read(fd, at_cursor, data), io_request::fsync(fd), io_request::fdatasync(fd),
        io_request::statx(fd, status), io_request::seek(fd, 0),
        io_request::sleep(nanoseconds{1})}) {
    io_record record;
    const auto result = co_await perform(engine, request, &record);
    EXPECT_TRUE(result.ok());
  }
}

/// An operation of a group: nobody awaits it.
class member : public io_op {
 public:
  explicit member(io_request request, link_kind link = link_kind::none, bool drain = false) noexcept
      : io_op(request, [](io_op&) noexcept {}) {
    this->request.link = link;
    this->request.drain = drain;
  }
};

task<> groups(engine& engine, int fd) {
  buffer data{};
  std::array<member, 5> members = {
      member(io_request::write(fd, 0, data)),
      member(io_request::write(fd, 100, data), link_kind::link, true),
      member(io_request::fdatasync(-1), link_kind::link),
      member(io_request::fdatasync(fd), link_kind::hardlink),
      member(io_request::fsync(fd)),
  };
  for (auto& one : members) engine.start(one);
  while (members.front().pending() || members.back().pending()) {
    co_await succeeds(performed(engine, io_request::nop()));
  }
  EXPECT_EQ(members.back().result(), io_result{-ECANCELED});
}

task<> file_operations(file& file) {
  buffer data{};
  struct statx status;
  co_await succeeds(file.write(0, data));
  co_await succeeds(file.write(100, data));
  co_await succeeds(file.flush());
  co_await succeeds(write_all(file, 200, data));
  co_await succeeds(file.sync(sync_kind::fsync));
  co_await succeeds(file.read(0, data));
  co_await succeeds(file.seek(0));
  co_await succeeds(file.read(at_cursor, data));
  co_await succeeds(file.stat(status));
  co_await succeeds(file.truncate(50));
  co_await succeeds(file.apply(io_request::drop_cache(-1, 0, 0)));
  co_await succeeds(file.apply(io_request::allocate(-1, 0, 50)));
  co_await file.settle();
}

task<> one_round(engine& engine, file& file, int raw, notify& ping, notify& pong) {
  co_await raw_operations(engine, raw);
  co_await groups(engine, raw);
  co_await file_operations(file);
  task_scope scope;
  scope.spawn(passes_on(ping, pong, 5));
  scope.spawn(passes_on(pong, ping, 5));
  ping.notify_one();
  for (int i = 0; i < 10; ++i) scope.spawn(raw_operations(engine, raw));
  co_await scope.join();
  ping.reset();
}

// How many tasks of a round wait at once depends on the machine; never as many as here.
task<> many_wait_at_once(engine& engine) {
  task_scope scope;
  for (int i = 0; i < 50; ++i) {
    scope.spawn(succeeds(performed(engine, io_request::sleep(nanoseconds{1}))));
  }
  co_await scope.join();
}

task<long> allocations_after_a_warm_up(engine& engine, file& file, int raw, int rounds) {
  notify ping(engine);
  notify pong(engine);
  co_await many_wait_at_once(engine);
  long before = 0;
  for (int i = -10; i < rounds; ++i) {
    if (i == 0) before = allocations;
    co_await one_round(engine, file, raw, ping, pong);
  }
  co_return allocations - before;
}

TEST_P(allocation_test, ten_thousand_operations_in_the_steady_state_allocate_nothing) {
  constexpr int rounds = 100;  // of more than 100 operations
  const auto made = run(*engine_, allocations_after_a_warm_up(*engine_, *file_, raw_, rounds));
  EXPECT_EQ(made, 0);
}

TEST(allocation_count, sees_what_is_allocated) {
  const long before = allocations;
  const auto one = std::make_unique<int>(1);
  EXPECT_GE(allocations - before, 1);
  EXPECT_NE(one, nullptr);
}

}  // namespace
}  // namespace filemap
