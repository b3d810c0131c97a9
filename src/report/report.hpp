#pragma once

#include "filemap/base/environment.hpp"
#include "filemap/io/ring_support.hpp"
#include "filemap/model/model.hpp"
#include "filemap/subject/session.hpp"

#include "report/run_settings.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace filemap {

/// What a mode's rounds add up to.
enum class verdict : std::uint8_t {
  ok,         ///< nothing forbidden was seen
  forbidden,  ///< a violation in a mode that forbids it, a state that the model does not have, or
              ///< any violation with --strict
  allowed,    ///< violations in a mode that allows them
  hazards_only,   ///< it allows violations; none was seen, but operations did overtake: luck
  not_exercised,  ///< it allows violations and showed neither them nor hazards: says nothing
  error,          ///< an operation failed
  hang,
  cannot_run,
  no_rounds,  ///< interrupted before the first
};

/// One word each, with hyphens.
std::string_view to_string(verdict verdict) noexcept;

verdict verdict_of(const litmus::mode_result& mode, bool strict) noexcept;

/// "Never", "Sometimes" or "Always", as litmus7 says it; "Never" without rounds.
std::string_view observation_word(const litmus::mode_result& mode) noexcept;

/// Rounds whose reader saw all that had been flushed: neither a violation, nor ended by a failed
/// operation or a hang before the reader could see anything.
std::uint64_t good_rounds(const litmus::mode_result& mode) noexcept;

/// Two modes of which one violates more often, beyond chance.
struct difference {
  std::string more;
  std::string less;
  double p =
      1.0;  ///< Fisher's exact test, adjusted by Holm's method for all pairs that were compared
};

/// The pairs that differ with p < 0.05, the most certain first.
std::vector<difference> significant_differences(const std::vector<litmus::mode_result>& modes);

/// A test that has been run. Every output is a function of such results.
struct run_result {
  /// One for all tests of a run, as it names them all: a copy in each would grow with their square.
  std::shared_ptr<const run_settings> asked = std::make_shared<const run_settings>();
  litmus::test test;  ///< as run without a mode's flush
  std::vector<litmus::mode_result> modes;
  host_info host;
  filesystem_info filesystem;
  ring_support ring;
  bool interrupted = false;
  std::string failure;      ///< what ended a mode or the test early, as one line; else empty
  bool cannot_run = false;  ///< the failure is this kernel's or filesystem's
  /// Something of a round is still in flight: the process must end without destructors.
  bool abandoned = false;
  int exit_status = 0;
};

// Exit statuses; those that git bisect gives a meaning have that meaning.
inline constexpr int exit_ok = 0;
inline constexpr int exit_forbidden = 1;
inline constexpr int exit_usage = 2;
inline constexpr int exit_environment = 3;
inline constexpr int exit_hang = 4;
inline constexpr int exit_cannot_run = 125;
inline constexpr int exit_interrupted = 130;

/// The most telling of what the modes came to: forbidden, hang, error, interrupted, cannot run.
int exit_status_of(const run_result& run) noexcept;
/// The most telling of several.
int exit_status_of(std::span<const run_result> runs) noexcept;
/// The more telling of two statuses: the first of 1, 4, 3, 130, 125.
int more_telling(int status, int other) noexcept;

/// For a person. `color`: with ANSI escapes.
std::string text_report(std::span<const run_result> runs, bool color);

/// What this kernel's io_uring can do, and why not, for a person.
std::string probe_report(const ring_support& ring, const host_info& host);

/// docs/result.schema.json describes it: an object for one run, or one that has several.
std::string json_report(std::span<const run_result> runs);

/// Chrome's trace event format: the violating rounds that were kept, or the first with a hazard.
std::string trace_report(std::span<const run_result> runs);

// Of one run alone.
inline std::string text_report(const run_result& run, bool color) {
  return text_report(std::span(&run, 1), color);
}
inline std::string json_report(const run_result& run) { return json_report(std::span(&run, 1)); }
inline std::string trace_report(const run_result& run) { return trace_report(std::span(&run, 1)); }

/// What the model allows a test in one mode, and what it cost to know.
struct modelled {
  litmus::mode mode;
  litmus::model_result result;
  std::chrono::nanoseconds took{0};
};

/// For a person: every allowed outcome, with a `*` at those that the condition asks about.
std::string model_report(const litmus::test& test, const std::vector<modelled>& modes, bool color);

/// argv as one line that a shell reads back.
std::string shell_command(const std::vector<std::string>& words);

}  // namespace filemap
