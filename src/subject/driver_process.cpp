#include "driver_process.hpp"

#include "base/units.hpp"
#include "supervisor/process_numbers.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace filemap::litmus {

namespace {

using namespace std::chrono_literals;

// Bytes of one line. The largest that is right is a state with the bytes of every read.
constexpr std::size_t longest_line = 4 * max_total_size;

// A signal's default action would end this process; what it may write is known when it is told.
bool is_gone(int error) noexcept { return error == EPIPE || error == ECONNRESET; }

// What is in a directory of /proc, whose process may end meanwhile.
std::vector<std::filesystem::path> entries_of(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> all;
  std::error_code gone;
  for (std::filesystem::directory_iterator at(directory, gone), end; !gone && at != end;
       at.increment(gone)) {
    all.push_back(at->path());
  }
  return all;
}

// Of the threads of a process, which make children.
void add_children(pid_t process, std::vector<pid_t>& to) {
  for (const auto& task : entries_of(fmt::format("/proc/{}/task", process))) {
    const unique_fd list(::open((task / "children").c_str(), O_RDONLY | O_CLOEXEC));
    if (list) each_process_in(list, [&](pid_t child) { to.push_back(child); });
  }
}

std::optional<std::string> open_below(pid_t process, const std::string& directory) {
  for (const auto& one : entries_of(fmt::format("/proc/{}/fd", process))) {
    std::error_code closed;
    auto name = std::filesystem::read_symlink(one, closed).string();
    if (!closed && name.starts_with(directory)) return name;
  }
  return std::nullopt;
}

std::string last_line_of(std::string_view text) {
  const auto end = text.find_last_not_of(" \t\r\n");
  if (end == std::string_view::npos) return "";
  text = text.substr(0, end + 1);
  constexpr std::size_t most = 200;
  text = text.substr(text.find_last_of('\n') + 1);
  return printable(text.substr(0, most));
}

}  // namespace

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) {
    const char* const name = ::sigabbrev_np(WTERMSIG(status));
    return fmt::format("it was killed by SIG{}", name != nullptr ? name : "?");
  }
  return fmt::format("it ended with exit status {}", WEXITSTATUS(status));
}

driver_failed failure_of(std::string_view what, std::string_view errors) {
  const auto last = last_line_of(errors);
  return driver_failed(printable(what) + (last.empty() ? "" : ": " + last));
}

driver_process::driver_process(settings how)
    : how_(std::move(how)),
      target_({.command = {"/bin/sh", "-c", how_.command},
               .directory = how_.directory,
               .converses = true}) {}

auto driver_process::listen(std::string_view& line) -> heard {
  constexpr int slice = 100;  // milliseconds; of the time between two looks no more than twice that
  auto silent = 0ns;
  auto last = clock::now();
  while (!take_line(line)) {
    if (how_.interrupt != nullptr && how_.interrupt->load()) return heard::interrupted;
    if (has_ended_) fail_at_end();
    if (silent > how_.patience) return heard::silence;
    const auto before = heard_.size();
    exchange(slice);
    const auto now = clock::now();
    silent += std::clamp<nanoseconds>(now - std::exchange(last, now), 0ns, 2ms * slice);
    if (heard_.size() > before) silent = 0ns;
  }
  return heard::line;
}

bool driver_process::take_line(std::string_view& line) {
  const auto end = heard_.find('\n', searched_);
  if (end == std::string::npos) {
    searched_ = heard_.size();
    heard_.erase(0, std::exchange(taken_, 0));
    searched_ = heard_.size();
    if (heard_.size() > longest_line) throw failure("it says a line that does not end");
    return false;
  }
  line = std::string_view(heard_).substr(taken_, end - taken_);
  taken_ = searched_ = end + 1;
  return true;
}

// Until there is something new, for at most so long.
void driver_process::exchange(int milliseconds) {
  const bool has_to_say = said_ < to_say_.size();
  std::array<pollfd, 3> events{{{target_.output().get(), POLLIN, 0},
                                {errors_.has_ended() ? -1 : target_.errors().get(), POLLIN, 0},
                                {has_to_say ? target_.input().get() : -1, POLLOUT, 0}}};
  if (::poll(events.data(), events.size(), milliseconds) <= 0) return;
  if (events[2].revents != 0) {
    const auto rest = std::string_view(to_say_).substr(said_);
    const auto written = ::write(target_.input().get(), rest.data(), rest.size());
    if (written > 0) said_ += static_cast<std::size_t>(written);
    // What it has said before it closed its input is heard all the same.
    if ((written < 0 && is_gone(errno)) || said_ == to_say_.size()) {
      to_say_.clear();
      said_ = 0;
    }
  }
  if (events[1].revents != 0) errors_.read(target_.errors());
  if (events[0].revents == 0) return;
  constexpr std::size_t piece = 1 << 16;
  const auto before = heard_.size();
  heard_.resize(before + piece);
  const auto got = ::read(target_.output().get(), heard_.data() + before, piece);
  has_ended_ = got == 0;
  heard_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
}

// Its status comes a moment after the end of what it writes; who has only closed that goes on.
void driver_process::fail_at_end() {
  pollfd event{target_.status().get(), POLLIN, 0};
  constexpr int patience = 1000;
  std::string how = "it has closed its standard output";
  if (::poll(&event, 1, patience) > 0) {
    if (const auto status = target_.take_status()) how = how_it_ended(*status);
  }
  throw failure(how);
}

std::optional<std::string> driver_process::open_below(
    const std::filesystem::path& directory) const {
  std::vector<pid_t> processes;
  add_children(target_.guardian(), processes);
  for (std::size_t i = 0; i < processes.size(); ++i) {
    if (auto name = litmus::open_below(processes[i], directory.string() + '/')) return name;
    add_children(processes[i], processes);
  }
  return std::nullopt;
}

driver_failed driver_process::failure(std::string_view what) {
  if (!errors_.has_ended()) errors_.read(target_.errors());
  return failure_of(what, errors_.text());
}

}  // namespace filemap::litmus
