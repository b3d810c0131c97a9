#pragma once

#include "filemap/io/engine.hpp"
#include "filemap/litmus/mode.hpp"
#include "filemap/litmus/test.hpp"
#include "filemap/subject/step.hpp"

#include "patterns.hpp"

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace filemap::litmus {

/// A driver has said what the protocol has no place for.
class misspoken : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What a driver says of its runtime: by these rules its rounds are judged (docs/drivers.md).
struct driver_claims {
  std::string runtime;             ///< "tokio"
  std::string version;             ///< "1.24.2"
  std::vector<std::string> words;  ///< the claims as it makes them
  std::bitset<verb_count> verbs;
  bool append = false, direct = false, dsync = false;  ///< flags of open that it can pass
  acknowledgement when = acknowledgement::complete;
  acknowledgement_options options{.waits = {}};
  bool reads_whole = true;

  /// Of the answer to the greeting. Throws misspoken.
  static driver_claims in(std::string_view line);

  /// "tokio 1.24.2".
  std::string name() const;
  /// What it executes with, for the report of a result.
  engine_traits traits() const;
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

/// What is said to a driver, and what it says, as text alone: the protocol of docs/drivers.md.
class driver_protocol {
 public:
  static std::string greeting();

  /// What tells it a test, which is to live as long as rounds of it are told.
  std::string begin(const test& test);
  /// Of the answer to that: why it cannot; nothing: it can. Throws misspoken.
  static std::optional<std::string> refusal_in(std::string_view line);

  /// Throws `unsupported` where a directory cannot be told as a word.
  static void check(const std::filesystem::path& directory);
  /// What asks for rounds 0 to `count` - 1, whose files are in `directory`.
  std::string run(std::size_t count, const std::filesystem::path& directory, const patterns& bytes);
  /// Forgets what was told before: rounds of another batch come. (`run` does, too.)
  void begin_batch(std::size_t count);
  /// A line of the answer to that; rounds are added to `rounds`. True: it was the last one. Throws
  /// misspoken.
  bool take(std::string_view line, std::vector<driven_round>& rounds);

 private:
  void take_state(std::string_view said, std::string_view line);
  void take_round(std::string_view said, std::string_view line, std::vector<driven_round>& rounds);
  instant time_of(std::string_view word, std::string_view line) const;

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
