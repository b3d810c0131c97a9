// A program of several sides, threads or processes, for sides_test.py: each does file operations
// one after the other and notes what it sees. It fails when together they have seen what it was
// told.
//
//     sides threads|processes SEEN FIRST SIDE…    FIRST: is done before; "mkdir D,append D/f"
//
// "append f,read f | stat f" may see "0 0,0 1|1|": of each call what it returned, or -errno. Of a
// stat that is the size, or "d"; "tell" and "ask" are about memory that all share. "post 1" lets
// the second side go on from a "wait", and both see nothing.

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <functional>
#include <iostream>
#include <map>
#include <new>
#include <semaphore.h>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace {

constexpr std::size_t most_sides = 4;

struct shared_memory {
  std::atomic<int> told{0};
  std::array<::sem_t, most_sides> posted{};
};
shared_memory* shared = nullptr;

std::string seen(long result) { return std::to_string(result < 0 ? -errno : result); }

using action = std::function<long(int fd)>;

std::string opened(const std::string& name, int flags, const action& then = nullptr) {
  constexpr mode_t mode = 0644;
  const auto fd = ::open(name.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return seen(fd);
  std::string all = "0";
  if (then) all += " " + seen(then(fd));
  ::close(fd);
  return all;
}

std::string looked_at(const std::string& name) {
  struct ::stat status {};
  if (::stat(name.c_str(), &status) != 0) return seen(-1);
  return S_ISDIR(status.st_mode) ? "d" : std::to_string(status.st_size);
}

std::string done(const std::string& operation, std::size_t side) {
  std::istringstream words(operation);
  std::string what;
  std::string name;
  std::string other;
  words >> what >> name >> other;
  constexpr std::size_t most = 64;
  std::array<char, most> bytes{};
  const std::map<std::string_view, std::function<std::string()>> all = {
      {"create", [&] { return opened(name, O_CREAT | O_WRONLY); }},
      {"exclusive", [&] { return opened(name, O_CREAT | O_EXCL | O_WRONLY); }},
      {"truncate", [&] { return opened(name, O_CREAT | O_TRUNC | O_WRONLY); }},
      {"append",
       [&] {
         return opened(name, O_WRONLY | O_APPEND, [](int fd) { return ::write(fd, "x", 1) - 1; });
       }},
      {"read",
       [&] {
         return opened(name, O_RDONLY,
                       [&](int fd) { return ::read(fd, bytes.data(), bytes.size()); });
       }},
      {"stat", [&] { return looked_at(name); }},
      {"unlink", [&] { return seen(::unlink(name.c_str())); }},
      {"mkdir", [&] { return seen(::mkdir(name.c_str(), 0755)); }},
      {"rmdir", [&] { return seen(::rmdir(name.c_str())); }},
      {"rename", [&] { return seen(::rename(name.c_str(), other.c_str())); }},
      {"symlink", [&] { return seen(::symlink(name.c_str(), other.c_str())); }},
      {"link", [&] { return seen(::link(name.c_str(), other.c_str())); }},
      {"tell", [&] { return std::to_string(++shared->told); }},
      {"ask", [&] { return std::to_string(shared->told.load()); }},
      {"post", [&] { return ::sem_post(&shared->posted.at(std::stoul(name))) == 0 ? "" : "?"; }},
      {"wait", [&] { return ::sem_wait(&shared->posted.at(side)) == 0 ? "" : "?"; }},
  };
  return all.at(what)();
}

std::string done_by(const std::string& program, std::size_t side) {
  std::istringstream operations(program);
  std::string all;
  for (std::string one; std::getline(operations, one, ',');) {
    all += (all.empty() ? "" : ",") + done(one, side);
  }
  return all;
}

std::vector<std::string> by_threads(std::span<const std::string> sides) {
  std::vector<std::string> all(sides.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < sides.size(); ++i) {
    threads.emplace_back([&, i] { all[i] = done_by(sides[i], i); });
  }
  for (auto& one : threads) one.join();
  return all;
}

std::vector<std::string> by_processes(std::span<const std::string> sides) {
  std::vector<int> ends;
  for (std::size_t i = 0; i < sides.size(); ++i) {
    std::array<int, 2> pipe{};
    if (::pipe(pipe.data()) != 0) std::abort();
    if (::fork() == 0) {
      const auto all = done_by(sides[i], i);
      ::_exit(::write(pipe[1], all.data(), all.size()) < 0 ? 1 : 0);
    }
    ::close(pipe[1]);
    ends.push_back(pipe[0]);
  }
  std::vector<std::string> all;
  for (const auto end : ends) {
    constexpr std::size_t most = 512;
    std::array<char, most> bytes{};
    auto& one = all.emplace_back();
    for (ssize_t got = 0; (got = ::read(end, bytes.data(), bytes.size())) > 0;) {
      one.append(bytes.data(), static_cast<std::size_t>(got));
    }
  }
  while (::wait(nullptr) > 0) {
  }
  return all;
}

}  // namespace

int main(int count, char** words) {
  const std::vector<std::string> arguments(words + 1, words + count);
  if (arguments.size() < 4) return 2;
  const char* const directory = std::getenv("TMPDIR");
  if (directory == nullptr || ::chdir(directory) != 0) return 2;
  auto* const memory =
      ::mmap(nullptr, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 2;
  shared = new (memory) shared_memory;
  for (auto& one : shared->posted) ::sem_init(&one, 1, 0);
  done_by(arguments[2], 0);
  const auto sides = std::span(arguments).subspan(3);
  std::string all;
  for (const auto& one : arguments[0] == "threads" ? by_threads(sides) : by_processes(sides)) {
    all += one + "|";
  }
  std::cout << all << '\n';
  return all == arguments[1] ? 1 : 0;
}
