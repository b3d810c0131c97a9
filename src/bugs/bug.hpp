#pragma once

#include "filemap/io/engine.hpp"
#include "filemap/io/unique_fd.hpp"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fcntl.h>
#include <string>
#include <system_error>
#include <unistd.h>

// What the programs have in common that look for one known bug of the kernel each. They are small,
// static and of few words, so that tools/kernel-run can boot them on any kernel:
//
//   NAME DIR      DIR: on the filesystem that is looked at
//
// Exit status: 0 the bug was not seen, 1 it was, 2 usage, 3 the environment failed, 125 this kernel
// or filesystem cannot run it.

namespace filemap::bugs {

/// How often it was looked for, how often it was there, and where first.
struct sighting {
  std::uint64_t bad = 0;
  std::uint64_t good = 0;
  std::string first;  ///< a clause: "a read at 4096 of 1048576 returned 0"
};

[[noreturn]] inline void fail(const std::string& call) {
  throw std::system_error(errno, std::generic_category(), call);
}

/// A file in DIR that is gone when it is closed.
inline unique_fd scratch_file(const std::string& directory, int flags) {
  const auto path = directory + "/filemap-bug-" + std::to_string(::getpid());
  unique_fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | flags, 0600));
  if (!file && errno == EINVAL) {
    ::unlink(path.c_str());
    throw unsupported(directory + ": this filesystem does not open files so");
  }
  if (!file) fail("open " + path);
  ::unlink(path.c_str());
  return file;
}

inline void tell(const char* name, const sighting& seen) {
  const char* const word = seen.bad == 0 ? "Never" : seen.good == 0 ? "Always" : "Sometimes";
  std::printf("%s: %s\n", name, seen.bad == 0 ? "not seen" : ("seen: " + seen.first).c_str());
  std::printf("Observation %s %s %llu %llu\n", name, word,
              static_cast<unsigned long long>(seen.bad),
              static_cast<unsigned long long>(seen.good));
}

/// The whole of main: parses the command line, looks, tells.
template <typename Look>
int main_of(const char* name, int argc, char** argv, Look look) {
  if (argc != 2 || argv[1][0] == '-') {
    std::fprintf(stderr, "Usage: %s DIR\n", name);
    return 2;
  }
  try {
    const sighting seen = look(argv[1]);
    tell(name, seen);
    return seen.bad == 0 ? 0 : 1;
  } catch (const unsupported& why) {
    std::fprintf(stderr, "%s: %s\n", name, why.what());
    return 125;
  } catch (const std::exception& why) {
    std::fprintf(stderr, "%s: %s\n", name, why.what());
    return 3;
  }
}

}  // namespace filemap::bugs
