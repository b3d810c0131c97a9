// What a guest can do wrong, for the tests of tools/kernel-run: it is run in place of
// filemap-uring.
//
//   misbehave exit N | kill N | panic | warn | hang | reset | echo ARGUMENT… |
//             result N | print N | show FILE…
//
// result and print leave or print N bytes, more than any channel holds; show prints the block size
// of the disk, and files.
//
// Arguments that kernel-run adds (--dir, --json, --progress and their values) are ignored, except
// by echo.

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <sys/reboot.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace {

void sysrq(char command) {
  const int file = ::open("/proc/sysrq-trigger", O_WRONLY);
  if (file < 0 || ::write(file, &command, 1) != 1) std::perror("/proc/sysrq-trigger");
}

void log_to_kernel(std::string_view line) {
  const int file = ::open("/dev/kmsg", O_WRONLY);
  if (file < 0 || ::write(file, line.data(), line.size()) < 0) std::perror("/dev/kmsg");
}

/// N bytes: numbered lines.
std::string numbered(std::size_t bytes) {
  std::string text;
  for (std::size_t line = 0; text.size() < bytes; ++line) text += std::to_string(line) + "\n";
  text.resize(bytes);
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  const int number = argc > 2 ? std::atoi(argv[2]) : 0;
  std::printf("misbehaving: %s\n", argc > 1 ? argv[1] : "");
  std::fflush(stdout);
  if (what == "exit") return number;
  if (what == "kill") ::kill(::getpid(), number);
  if (what == "panic") sysrq('c');
  if (what == "warn") log_to_kernel("<4>WARNING: CPU: 0 PID: 1 at io_uring/io_uring.c:1 made up");
  if (what == "reset") ::reboot(RB_AUTOBOOT);
  if (what == "hang") {
    for (;;) ::pause();
  }
  utsname kernel{};
  if (what == "bad-since" && ::uname(&kernel) == 0) return std::atoi(kernel.release) >= number;
  const auto text = numbered(static_cast<std::size_t>(number));
  if (what == "print") std::fputs(text.c_str(), stdout);
  if (what == "result") std::ofstream("/run/result.json") << text;
  if (struct statvfs disk{}; what == "show" && ::statvfs("/mnt", &disk) == 0) {
    std::printf("block size %lu\n", disk.f_bsize);
    for (int i = 2; i < argc; ++i) {
      std::ostringstream contents;
      contents << std::ifstream(argv[i]).rdbuf();
      std::fputs(contents.str().c_str(), stdout);
    }
  }
  for (int i = 2; what == "echo" && i < argc; ++i) std::printf("[%s]\n", argv[i]);
  return 0;
}
