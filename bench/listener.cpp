// What a call costs that the supervisor hears of and does not hold: those of dd, which reads and
// writes a byte at a time. Beside it the least that a listener can do: receive, and let it go on.

#include "side_by_side.hpp"
#include "supervisor/seccomp.hpp"
#include "supervisor/supervisor.hpp"

#include <cstdint>
#include <poll.h>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace filemap;
using bench::expect;

std::vector<std::string> dd(const std::filesystem::path& file, std::uint64_t bytes) {
  return {"dd",   "if=/dev/zero", "of=" + file.string(), "count=" + std::to_string(bytes),
          "bs=1", "status=none",  "conv=notrunc"};
}

void supervised(const std::filesystem::path& dir, std::uint64_t bytes) {
  supervisor_options options;
  options.command = dd(dir / "file", bytes);
  options.directory = dir;
  supervisor it(std::move(options));
  it.start();
  expect(it.go_on() == supervisor::rest::over, "dd did not end");
  expect(it.end().status == 0, "dd failed");
}

void listened_to(const call_filter& filter, const std::filesystem::path& dir, std::uint64_t bytes) {
  target ran({dd(dir / "file", bytes), dir, &filter});
  const auto listener = ran.listener().get();
  ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
  for (;;) {
    pollfd event{listener, POLLIN, 0};
    ::poll(&event, 1, -1);
    seccomp_notif heard{};
    if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &heard) != 0) break;
    seccomp_notif_resp answer{};
    answer.id = heard.id;
    answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
  }
}

void compare(bench::side_by_side& bench) {
  constexpr std::uint64_t bytes = 5000;  // in which the start of a process is not much
  const call_filter filter;
  bench.compare(
      "a byte of dd, heard of", bytes, bench::at_least(1 / 1.5),
      [&](std::uint64_t count) { supervised(bench.dir(), count); },
      [&](std::uint64_t count) { listened_to(filter, bench.dir(), count); });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run(
      argc, argv,
      "A file call that a supervisor hears of and does not hold, beside a listener that "
      "only lets it go on.",
      compare, bench::files::in_dir);
}
