#include "target.hpp"

#include "forked.hpp"
#include "testing.hpp"
#include "thread_view.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <system_error>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace filemap {
namespace {

using words = std::vector<std::string>;

target::start_options running(const words& command, const std::filesystem::path& directory = "/") {
  target::start_options how;
  how.command = command;
  how.directory = directory;
  return how;
}
words specimen(const std::string& behaviour, const std::string& with = "") {
  return {SPECIMEN, behaviour, with};
}

// As waitpid(2) has it. What it writes is read meanwhile.
int status_of(target& ran, output_tail& output) {
  std::optional<int> status;
  EXPECT_TRUE(eventually([&] {
    output.read(ran.output());
    status = ran.take_status();
    return status.has_value();
  }));
  return status.value_or(-1);
}
int status_of(const words& command) {
  target ran(running(command));
  output_tail output;
  return status_of(ran, output);
}
std::string output_of(const target::start_options& how) {
  target ran(how);
  output_tail output;
  EXPECT_EQ(status_of(ran, output), 0);
  ran.end();
  output.read(ran.output());
  return output.text();
}

bool is_there(pid_t process) { return ::kill(process, 0) == 0; }

// --- how it ends

TEST(target, tells_the_exit_status) {
  for (const int status : {0, 1, 101, 255}) {
    EXPECT_EQ(WEXITSTATUS(status_of(specimen("exits", std::to_string(status)))), status);
  }
}

TEST(target, tells_the_signal_that_ended_it) {
  for (const int signal : {SIGKILL, SIGTERM, SIGABRT, SIGINT, SIGHUP, SIGPIPE}) {
    const int status = status_of(specimen("kills-itself", std::to_string(signal)));
    ASSERT_TRUE(WIFSIGNALED(status)) << signal;
    EXPECT_EQ(WTERMSIG(status), signal);
  }
}

TEST(target, tells_why_there_was_nothing_to_run) {
  const scratch_directory scratch;
  const auto not_executable = (scratch / "f").string();
  ::close(::open(not_executable.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  for (const auto& [command, error] : std::vector<std::pair<std::string, int>>{
           {"/nowhere/at/all", ENOENT},
           {"no-such-program-as-this", ENOENT},
           {not_executable, EACCES},
           {"/", EACCES},
       }) {
    target ran(running({command}));
    output_tail output;
    EXPECT_EQ(WEXITSTATUS(status_of(ran, output)), 127);
    EXPECT_EQ(ran.take_exec_error(), error) << command;
  }
  target ran(running(specimen("exits", "127")));
  output_tail output;
  status_of(ran, output);
  EXPECT_EQ(ran.take_exec_error(), 0);
}

TEST(target, gives_a_program_no_input_and_the_handlers_that_it_would_have) {
  // Of an ignored signal a program that this one starts would not die.
  auto* const before = ::signal(SIGPIPE, SIG_IGN);
  EXPECT_EQ(WTERMSIG(status_of(specimen("kills-itself", std::to_string(SIGPIPE)))), SIGPIPE);
  ::signal(SIGPIPE, before);
  EXPECT_EQ(output_of(running({"cat"})), "");
}

TEST(target, has_a_directory_of_its_own_for_what_is_temporary) {
  EXPECT_EQ(output_of(running(specimen("tells-of", "TMPDIR"), "/some/where")), "/some/where\n");
  EXPECT_NE(output_of(running(specimen("tells-of", "PATH"), "/some/where")), "/some/where\n");
}

TEST(target, leaves_no_descriptor_open) {
  const auto before = open_descriptors();
  for (int i = 0; i < 3; ++i) status_of(specimen("exits", "0"));
  EXPECT_EQ(open_descriptors(), before);
  // Nor has the program any that this process was not given to pass on.
  const std::string sees = output_of(running({"ls", "/proc/self/fd"}));
  std::size_t inherited = 1;  // that by which it looks
  for (const auto& name : names_in("/proc/self/fd")) {
    const int flags = ::fcntl(std::stoi(name), F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0) ++inherited;
  }
  EXPECT_EQ(static_cast<std::size_t>(std::count(sees.begin(), sees.end(), '\n')), inherited)
      << sees;
}

// --- what it writes

TEST(output_tail, is_the_end_of_a_flood) {
  target ran(running(specimen("floods", "20")));
  output_tail output;
  EXPECT_EQ(status_of(ran, output), 0);
  ran.end();
  output.read(ran.output());
  EXPECT_EQ(output.size(), std::uint64_t{20} << 20U);
  EXPECT_EQ(output.text(), std::string(65536, 'f'));
}

// Who writes as fast as it is read would keep the reader for ever.
TEST(output_tail, is_read_a_piece_at_a_time) {
  const unique_fd endless(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  output_tail output;
  output.read(endless);
  EXPECT_GE(output.size(), std::uint64_t{1} << 20U);  // but all that can be in a pipe
  EXPECT_FALSE(output.has_ended());
}

TEST(output_tail, ends_when_nobody_can_write) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
  const unique_fd from(ends[0]);
  unique_fd to(ends[1]);
  output_tail output;
  output.read(from);
  EXPECT_FALSE(output.has_ended());
  to = unique_fd();
  output.read(from);
  EXPECT_TRUE(output.has_ended());
}

// --- what it leaves

TEST(target, ends_what_goes_on_in_the_background) {
  pid_t daemon = 0;
  {
    target ran(running(specimen("leaves-a-daemon")));
    output_tail output;
    EXPECT_EQ(status_of(ran, output), 0);
    const auto left = children_of(ran.guardian());
    ASSERT_EQ(left.size(), 1U);
    daemon = left.front();
    EXPECT_EQ(ran.end(), 1U);
    EXPECT_FALSE(is_there(daemon));
    EXPECT_EQ(ran.end(), 0U);  // twice is once
  }
  EXPECT_TRUE(children_of(::getpid()).empty());
}

// Their numbers are more than are read at once.
TEST(target, ends_many_processes) {
  target ran(running(specimen("leaves-children", "1500")));
  output_tail output;
  EXPECT_EQ(status_of(ran, output), 0);
  EXPECT_EQ(ran.end(), 1500U);
}

TEST(target, ends_one_that_has_not_ended) {
  std::vector<pid_t> all;
  {
    target ran(running(specimen("never-ends")));
    EXPECT_TRUE(eventually([&] { return !children_of(ran.guardian()).empty(); }));
    all = children_of(ran.guardian());
    all.push_back(ran.guardian());
    EXPECT_EQ(ran.take_status(), std::nullopt);
  }
  for (const auto process : all) EXPECT_FALSE(is_there(process));
}

// Even when the process that runs it is killed.
TEST(target, leaves_nothing_when_its_owner_is_gone) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // the guardian becomes a child of this process
  std::vector<pid_t> all;
  {
    const forked owner([&] {
      target ran(running(specimen("leaves-a-daemon")));
      pause_for_good();
    });
    EXPECT_TRUE(eventually([&] {
      all = children_of(owner.process());
      if (all.size() != 1) return false;
      const auto below = children_of(all.front());
      // The program itself has ended, and what it left is the guardian's.
      if (below.size() != 1 || name_of_thread(below.front()) != "specimen") return false;
      all.push_back(below.front());
      return children_of(below.front()).empty() && call_of(below.front()).has_value();
    }));
  }
  while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
  for (const auto process : all) EXPECT_FALSE(is_there(process)) << process;
}

}  // namespace
}  // namespace filemap
