#pragma once

#include "filemap/io/op.hpp"
#include "filemap/litmus/test.hpp"

#include "supervisor/target.hpp"

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace filemap::litmus {

/// What a driver has done that none should: one line, with its last words.
class driver_failed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// `what`, and behind it the last line of what it wrote to standard error, if there is one.
driver_failed failure_of(std::string_view what, std::string_view errors);

/// "it ended with exit status 3", of a status as waitpid(2) has it.
std::string how_it_ended(int status);

/// A command that lines are exchanged with. It ends with the object, with all that it has started,
/// and when this process is gone, by SIGKILL too.
class driver_process {
 public:
  struct settings {
    std::string command;              ///< for /bin/sh
    std::filesystem::path directory;  ///< its TMPDIR
    nanoseconds patience{0};          ///< how long it may be silent when something is expected
    const std::atomic<bool>* interrupt = nullptr;
  };

  /// Throws std::system_error where it cannot be started. (That there is no such command is heard
  /// of as its end.)
  explicit driver_process(settings how);

  /// Lines, each with its end. Nothing is lost when the driver does not read: it is written while
  /// something is waited for.
  void say(std::string_view lines) { to_say_ += lines; }

  enum class heard : std::uint8_t {
    line,
    silence,      ///< for as long as it may be; time in which this process did not run is none
    interrupted,  ///< before there was a line
  };
  /// The next line, without its end, until the next call. Throws driver_failed when it has ended.
  heard listen(std::string_view& line);

  /// A file below this directory that it, or what it has started, has open; nothing: none.
  std::optional<std::string> open_below(const std::filesystem::path& directory) const;

  driver_failed failure(std::string_view what);

 private:
  bool take_line(std::string_view& line);
  void exchange(int milliseconds);
  [[noreturn]] void fail_at_end();

  const settings how_;
  target target_;
  output_tail errors_;
  std::string to_say_;
  std::size_t said_ = 0;  // of `to_say_`
  std::string heard_;
  std::size_t taken_ = 0;     // of `heard_`
  std::size_t searched_ = 0;  // of `heard_`: there is no end of a line before
  bool has_ended_ = false;
};

}  // namespace filemap::litmus
