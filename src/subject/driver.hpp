#pragma once

#include "filemap/litmus/mode.hpp"
#include "filemap/litmus/test.hpp"
#include "filemap/subject/step.hpp"

#include "driver_process.hpp"
#include "patterns.hpp"

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace filemap::litmus {

/// What a driver says of its runtime: by these rules its rounds are judged (docs/drivers.md).
struct driver_claims {
  std::string runtime;             ///< "tokio"
  std::string version;             ///< "1.24.2"
  std::vector<std::string> words;  ///< the claims as it makes them
  std::bitset<verb_count> verbs;
  bool append = false, direct = false, dsync = false;  ///< flags of open that it can pass
  acknowledgement when = acknowledgement::complete;
  write_behind_options behind{.clone_waits = false};
  bool reads_whole = true;

  /// A mode of this driver, with all that it claims.
  mode of(mode named) const;
  /// Why it cannot run a test, or why what it says of one cannot be judged; nothing: it can.
  std::optional<std::string> lack_for(const test& test, bool direct) const;
};

/// What an operation came to.
struct driven_value {
  std::int64_t res = 0;         ///< bytes, 0 or -errno
  std::uint64_t size = 0;       ///< of a statx
  std::vector<std::byte> data;  ///< of a read
};

/// A round as its driver tells it. What it points to stays until the end of the batch.
struct driven_round {
  std::size_t number = 0;                ///< within its batch
  std::span<const driven_value> values;  ///< by operation, process by process
  instant begun, ended;
  struct call {
    instant begun, ended;
  };
  std::vector<call> calls;  ///< likewise
};

/// A driver, and the protocol that it speaks.
class driver {
 public:
  /// Starts it, and takes its greeting. Throws std::system_error where it cannot be started,
  /// driver_failed where it says something else.
  explicit driver(driver_process::settings how);

  const driver_claims& claims() const noexcept { return claims_; }

  /// Tells it a test that it does not lack anything for; the next rounds are of that. Throws
  /// `unsupported` where the driver says that it cannot.
  void begin(const test& test);

  enum class batch_end : std::uint8_t { done, hang, interrupted };
  /// Runs rounds 0 to `count` - 1, whose files are in `directory`. Those that it tells are added to
  /// `rounds`, also before a hang. Throws driver_failed.
  batch_end run(std::size_t count, const std::filesystem::path& directory, const patterns& bytes,
                std::vector<driven_round>& rounds);

  /// Waits until nothing below the directory is open, as what is written after a handle was given
  /// up is of its round as well. Throws driver_failed where that does not come.
  batch_end land(const std::filesystem::path& directory);

  driver_failed failure(std::string_view what) { return process_.failure(what); }

 private:
  class words;

  void greet();
  void claim(std::string_view word);
  bool next_line(std::string_view& line, std::string_view expected);
  [[noreturn]] void fail_at(std::string_view line, std::string_view expected);
  void take_state(words& rest, std::string_view line);
  driven_value value_of(std::string_view word, const statement& what, std::string_view line);
  void take_round(words& rest, std::string_view line, std::size_t count,
                  std::vector<driven_round>& rounds);
  instant time_of(std::string_view word, std::string_view line);

  const nanoseconds patience_;
  const std::atomic<bool>* const interrupt_;
  driver_process process_;
  driver_claims claims_;
  std::vector<statement> operations_;  // of the test, process by process
  std::vector<slice> data_;            // by its number
  struct told_state {
    std::uint64_t id;
    std::vector<driven_value> values;
  };
  std::vector<std::unique_ptr<told_state>> states_;  // of the batch; they do not move
  std::vector<bool> told_;                           // by round of the batch
  instant batch_begun_;
};

}  // namespace filemap::litmus
