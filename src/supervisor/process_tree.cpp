#include "process_tree.hpp"

#include "process_numbers.hpp"

#include <array>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <string>
#include <string_view>
#include <unistd.h>

#include <fmt/format.h>

namespace filemap {

namespace {

struct close_directory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

unique_fd open_file(const std::string& path) {
  return unique_fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

// From its beginning.
std::string_view read_again(const unique_fd& file, std::array<char, 4096>& buffer) {
  const auto size = ::pread(file.get(), buffer.data(), buffer.size(), 0);
  return {buffer.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

}  // namespace

std::span<const thread_state> process_tree::look() {
  ++looks_;
  states_.clear();
  processes_ = 0;
  to_look_at_.clear();
  add_children(open_file(fmt::format("/proc/{0}/task/{0}/children", root_)));
  while (!to_look_at_.empty()) {
    const auto process = to_look_at_.back();
    to_look_at_.pop_back();
    look_at_process(process);  // which adds its children
  }
  std::erase_if(threads_, [&](const auto& one) { return one.second.seen != looks_; });
  return states_;
}

bool process_tree::is_off_processor(pid_t thread) {
  const auto found = threads_.find(thread);
  if (found == threads_.end()) return true;
  std::array<char, 4096> buffer{};
  return !read_again(found->second.syscall, buffer).starts_with("running");
}

void process_tree::look_at_process(pid_t process) {
  const std::unique_ptr<DIR, close_directory> tasks(
      ::opendir(fmt::format("/proc/{}/task", process).c_str()));
  if (tasks == nullptr) return;
  ++processes_;
  while (const auto* const entry = ::readdir(tasks.get())) {
    if (std::isdigit(static_cast<unsigned char>(entry->d_name[0])) == 0) continue;
    look_at_thread(process, static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10)));
  }
}

void process_tree::look_at_thread(pid_t process, pid_t thread) {
  auto& files = threads_[thread];
  if (!files.stat) {
    const auto folder = fmt::format("/proc/{}/task/{}/", process, thread);
    files.stat = open_file(folder + "stat");
    files.schedstat = open_file(folder + "schedstat");
    files.children = open_file(folder + "children");
    files.syscall = open_file(folder + "syscall");
  }
  files.seen = looks_;
  std::array<char, 4096> buffer{};
  const auto stat = read_again(files.stat, buffer);
  const auto name_end = stat.rfind(')');  // a name may have any characters in it
  if (name_end == std::string_view::npos || name_end + 2 >= stat.size()) {
    threads_.erase(thread);  // it is gone, and its number may be another's one day
    return;
  }
  thread_state state{thread, process, stat[name_end + 2], 0, 0};
  const auto times = read_again(files.schedstat, buffer);
  const auto last = times.rfind(' ');
  if (last != std::string_view::npos) {
    std::from_chars(times.data() + last + 1, times.data() + times.size(), state.times);
    std::from_chars(times.data(), times.data() + times.size(), state.ran);
  }
  states_.push_back(state);
  add_children(files.children);
}

void process_tree::add_children(const unique_fd& list) {
  each_process_in(list, [&](pid_t child) { to_look_at_.push_back(child); });
}

}  // namespace filemap
