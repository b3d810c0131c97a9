#pragma once

#include "filemap/io/unique_fd.hpp"

#include "filter.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <sched.h>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace filemap {

/// The end of what a command writes.
class output_tail {
 public:
  explicit output_tail(std::size_t kept = 65536) : kept_(kept) {}
  /// What is there now, or a good piece of it; `from` does not block.
  void read(const unique_fd& from);
  bool has_ended() const noexcept { return has_ended_; }  ///< nobody can write to it any more
  std::string text() const;
  std::uint64_t size() const noexcept { return size_; }  ///< bytes in all
  bool ends_with(std::string_view what) const noexcept { return last_.ends_with(what); }

 private:
  std::size_t kept_;  // bytes
  std::string last_;
  std::uint64_t size_ = 0;
  bool has_ended_ = false;
};

/// A command that runs below a guardian:
///
///     this process ─ guardian ─ command ─ …
///
/// The guardian is a subreaper, so that whatever the command starts stays below it, and ends all of
/// that when it is told to, and when this process is gone, by SIGKILL too. The command is in a
/// session of its own, so that a Ctrl-C is this process's alone.
class target {
 public:
  struct start_options {
    std::vector<std::string> command;       ///< found as execvp(3) finds it
    std::filesystem::path directory;        ///< in its TMPDIR
    const call_filter* filter = nullptr;    ///< that it installs; none: it runs as it is
    const cpu_set_t* processors = nullptr;  ///< on which it runs; none: on all
    /// Its standard input is ours to write to, and its standard error apart from its output.
    bool converses = false;
  };

  /// Returns when the command is about to be executed: its first calls may wait for the listener.
  /// Throws std::system_error; `unsupported` where there is a listener already.
  explicit target(const start_options& how);
  target(const target&) = delete;
  target& operator=(const target&) = delete;
  /// Ends everything.
  ~target();

  pid_t guardian() const noexcept { return guardian_; }
  const unique_fd& listener() const noexcept { return listener_; }
  /// To be polled: what it writes to standard output and standard error, and how it ended.
  const unique_fd& output() const noexcept { return output_; }
  const unique_fd& status() const noexcept { return status_; }
  /// Of one that converses, and none of them blocks: to be written to, and to be read.
  const unique_fd& input() const noexcept { return input_; }
  const unique_fd& errors() const noexcept { return errors_; }
  void end_input() noexcept { input_ = unique_fd(); }

  /// As waitpid(2) has it; nothing: the command has not ended.
  std::optional<int> take_status();
  /// Why it could not be executed: an errno; 0: it was, or is not yet known not to be.
  int take_exec_error();
  /// Ends everything that is left, and returns when it has. How many processes were left.
  unsigned end();

 private:
  pid_t guardian_ = -1;
  unique_fd listener_;
  unique_fd input_;
  unique_fd output_;
  unique_fd errors_;
  unique_fd status_;
  unique_fd exec_error_;
  unique_fd control_;  ///< at whose end the guardian ends everything
};

}  // namespace filemap
