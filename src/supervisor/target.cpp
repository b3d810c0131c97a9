#include "target.hpp"

#include "filemap/io/engine.hpp"

#include "io/channel.hpp"
#include "process_numbers.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <string_view>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

namespace filemap {

namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

channel make_socket_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) fail("socketpair");
  return {unique_fd(ends[0]), unique_fd(ends[1])};
}

// What both processes are given. Nothing is allocated after the first fork.
struct prepared {
  std::vector<char*> arguments;
  std::vector<std::string> variables;
  std::vector<char*> environment;
  unique_fd nothing;  // /dev/null
  channel input;      // of one that converses, as are its errors
  channel output;
  channel errors;
  channel status;
  channel exec_error;
  channel control;
  channel listener;
};

std::vector<std::string> variables_with(const std::filesystem::path& directory) {
  constexpr std::string_view replaced = "TMPDIR=";
  std::vector<std::string> all;
  for (char** one = environ; *one != nullptr; ++one) {
    if (!std::string_view(*one).starts_with(replaced)) all.emplace_back(*one);
  }
  all.push_back(std::string(replaced) + directory.string());
  return all;
}

prepared prepare(const target::start_options& how) {
  prepared made;
  for (const auto& word : how.command) made.arguments.push_back(const_cast<char*>(word.c_str()));
  made.arguments.push_back(nullptr);
  made.variables = variables_with(how.directory);
  for (auto& one : made.variables) made.environment.push_back(one.data());
  made.environment.push_back(nullptr);
  made.nothing = unique_fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!made.nothing) fail("open /dev/null");
  made.output = make_pipe();
  if (how.converses) {
    made.input = make_pipe();
    made.errors = make_pipe();
  }
  made.status = make_pipe();
  made.exec_error = make_pipe();
  made.control = make_pipe();
  if (how.filter != nullptr) made.listener = make_socket_pair();
  return made;
}

// --- the command, until it is one

struct listener_message {
  int error = 0;
};
union descriptor_space {
  std::array<char, CMSG_SPACE(sizeof(int))> bytes;
  cmsghdr aligned;
};

bool send_listener(int socket, int listener) noexcept {
  listener_message text{listener < 0 ? -listener : 0};
  iovec data{&text, sizeof text};
  descriptor_space space{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (listener >= 0) {
    message.msg_control = space.bytes.data();
    message.msg_controllen = space.bytes.size();
    auto* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof listener);
    std::memcpy(CMSG_DATA(header), &listener, sizeof listener);
  }
  return ::sendmsg(socket, &message, MSG_NOSIGNAL) > 0;
}

[[noreturn]] void become_command(const prepared& made, const target::start_options& how) noexcept {
  const auto* const filter = how.filter;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setsid();
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (how.processors != nullptr) ::sched_setaffinity(0, sizeof *how.processors, how.processors);
  ::dup2(how.converses ? made.input.from.get() : made.nothing.get(), STDIN_FILENO);
  ::dup2(made.output.to.get(), STDOUT_FILENO);
  ::dup2(how.converses ? made.errors.to.get() : made.output.to.get(), STDERR_FILENO);
  if (filter != nullptr) {
    const auto listener = filter->install();
    if (!send_listener(made.listener.to.get(), listener) || listener < 0) ::_exit(127);
  }
  ::execvpe(made.arguments[0], made.arguments.data(), made.environment.data());
  const int error = errno;
  [[maybe_unused]] const auto told = ::write(made.exec_error.to.get(), &error, sizeof error);
  ::_exit(127);
}

// --- the guardian

// Killing a process gives its children to the guardian.
unsigned end_all_children() noexcept {
  std::array<char, 64> path{};
  *fmt::format_to_n(path.data(), path.size() - 1, "/proc/self/task/{}/children", ::getpid()).out =
      0;
  for (unsigned ended = 0;; ++ended) {
    const unique_fd file(::open(path.data(), O_RDONLY | O_CLOEXEC));
    std::array<char, 4096> buffer{};
    // Of many it is a part: the others have their turn.
    const auto size = std::max<ssize_t>(::read(file.get(), buffer.data(), buffer.size()), 0);
    each_process({buffer.data(), static_cast<std::size_t>(size)},
                 [](pid_t child) { ::kill(child, SIGKILL); });
    if (::waitpid(-1, nullptr, 0) < 0 && errno == ECHILD) return ended;
  }
}

void tell(const unique_fd& status, int what) noexcept {
  [[maybe_unused]] const auto told = ::write(status.get(), &what, sizeof what);
}

// The command has ended, or others that were its.
void reap(pid_t command, const unique_fd& status) noexcept {
  int how = 0;
  for (pid_t ended = 0; (ended = ::waitpid(-1, &how, WNOHANG)) > 0;) {
    if (ended == command) tell(status, how);
  }
}

[[noreturn]] void guard(prepared& made, const target::start_options& how) noexcept {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::setsid();
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(signal, SIG_IGN);
  for (auto* const end :
       {&made.control.to, &made.status.from, &made.exec_error.from, &made.output.from,
        &made.errors.from, &made.input.to, &made.listener.from}) {
    *end = unique_fd();
  }
  sigset_t children;
  ::sigemptyset(&children);
  ::sigaddset(&children, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &children, nullptr);
  const unique_fd ended(::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK));
  const auto command = ::fork();
  if (command == 0) become_command(made, how);
  made.listener.to = unique_fd();
  made.output.to = unique_fd();
  made.errors.to = unique_fd();
  made.input.from = unique_fd();
  made.exec_error.to = unique_fd();
  for (;;) {
    std::array<pollfd, 2> events{{{made.control.from.get(), POLLIN, 0}, {ended.get(), POLLIN, 0}}};
    if (::poll(events.data(), events.size(), -1) < 0) continue;
    if (events[1].revents != 0) {
      signalfd_siginfo taken{};
      while (::read(ended.get(), &taken, sizeof taken) > 0) {
      }
      reap(command, made.status.to);
    }
    if (events[0].revents == 0) continue;
    char asked = 0;
    const bool is_told = ::read(made.control.from.get(), &asked, 1) > 0;
    const auto left = end_all_children();
    if (is_told) tell(made.status.to, static_cast<int>(left));
    ::_exit(0);
  }
}

// --- this process

unique_fd receive_listener(int socket) {
  listener_message text;
  iovec data{&text, sizeof text};
  descriptor_space space{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = space.bytes.data();
  message.msg_controllen = space.bytes.size();
  ssize_t got = 0;
  while ((got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {
  }
  if (got <= 0) throw std::runtime_error("the command's process ended before it could begin");
  if (text.error == EBUSY) {
    throw unsupported("it runs below a seccomp listener already, and there can be one only");
  }
  if (text.error != 0) {
    throw unsupported(fmt::format("the kernel refuses the seccomp filter: {}",
                                  std::generic_category().message(text.error)));
  }
  const auto* const header = CMSG_FIRSTHDR(&message);
  if (header == nullptr) throw std::runtime_error("no seccomp listener arrived");
  int listener = -1;
  std::memcpy(&listener, CMSG_DATA(header), sizeof listener);
  return unique_fd(listener);
}

}  // namespace

void output_tail::read(const unique_fd& from) {
  // Who writes as fast as it is read would keep the reader for ever. A pipe has no more than 1 MiB
  // in it (pipe(7)).
  constexpr int most = 65;
  std::array<char, 16384> buffer{};
  for (int i = 0; i < most; ++i) {
    const auto size = ::read(from.get(), buffer.data(), buffer.size());
    has_ended_ = size == 0;
    if (size <= 0) return;
    last_.append(buffer.data(), static_cast<std::size_t>(size));
    size_ += static_cast<std::uint64_t>(size);
    if (last_.size() > 2 * kept_) last_.erase(0, last_.size() - kept_);
  }
}
std::string output_tail::text() const {
  return last_.size() > kept_ ? last_.substr(last_.size() - kept_) : last_;
}

target::target(const start_options& how) {
  auto made = prepare(how);
  guardian_ = ::fork();
  if (guardian_ < 0) fail("fork");
  if (guardian_ == 0) guard(made, how);
  // Or their ends would never be seen.
  for (auto* const end : {&made.status.to, &made.output.to, &made.errors.to, &made.input.from,
                          &made.exec_error.to, &made.listener.to, &made.control.from}) {
    *end = unique_fd();
  }
  input_ = std::move(made.input.to);
  output_ = std::move(made.output.from);
  errors_ = std::move(made.errors.from);
  status_ = std::move(made.status.from);
  exec_error_ = std::move(made.exec_error.from);
  control_ = std::move(made.control.to);
  ::fcntl(output_.get(), F_SETFL, O_NONBLOCK);
  if (how.converses) {
    ::fcntl(input_.get(), F_SETFL, O_NONBLOCK);
    ::fcntl(errors_.get(), F_SETFL, O_NONBLOCK);
  }
  ::fcntl(exec_error_.get(), F_SETFL, O_NONBLOCK);
  if (how.filter == nullptr) return;
  try {
    listener_ = receive_listener(made.listener.from.get());
  } catch (...) {
    end();
    throw;
  }
}

target::~target() { end(); }

std::optional<int> target::take_status() {
  int status = 0;
  pollfd event{status_.get(), POLLIN, 0};
  if (::poll(&event, 1, 0) <= 0) return std::nullopt;
  if (::read(status_.get(), &status, sizeof status) != sizeof status) {
    throw std::runtime_error("the guardian of the command is gone");
  }
  return status;
}

int target::take_exec_error() {
  int error = 0;
  return ::read(exec_error_.get(), &error, sizeof error) == sizeof error ? error : 0;
}

unsigned target::end() {
  if (guardian_ < 0) return 0;
  unsigned left = 0;
  const char asked = 'e';
  if (::write(control_.get(), &asked, 1) == 1) {
    // What it has told of the command before is in front.
    for (int told = 0; ::read(status_.get(), &told, sizeof told) == sizeof told;) {
      left = static_cast<unsigned>(told);
    }
  }
  while (::waitpid(guardian_, nullptr, 0) < 0 && errno == EINTR) {
  }
  guardian_ = -1;
  return left;
}

}  // namespace filemap
