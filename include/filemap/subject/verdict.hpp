#pragma once

#include "filemap/subject/session.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)

namespace filemap {

/// What a mode's rounds, or its schedules, add up to.
enum class verdict : std::uint8_t {
  ok,         ///< nothing forbidden was seen
  forbidden,  ///< a violation in a mode that forbids it, a state that the model does not have, or
              ///< any violation with --strict
  allowed,    ///< violations in a mode that allows them
  hazards_only,   ///< it allows violations; none was seen, but operations did overtake: luck
  not_exercised,  ///< it allows violations and showed neither them nor hazards: says nothing
  not_judged,     ///< the model could not say all that is allowed, so neither pass nor failure
  error,          ///< an operation failed
  hang,
  cannot_run,
  no_rounds,  ///< interrupted before the first
};

/// One word each, with hyphens.
std::string_view to_string(verdict verdict) noexcept;

/// Could the model say all that the mode allows? (The experiment needs none.)
bool is_judged(const litmus::mode_result& mode) noexcept;

verdict verdict_of(const litmus::mode_result& mode, bool strict) noexcept;

/// "Never", "Sometimes" or "Always", as litmus7 says it; "Never" without rounds.
std::string_view observation_word(const litmus::mode_result& mode) noexcept;

/// Rounds whose reader saw all that had been flushed: neither a violation, nor ended by a failed
/// operation or a hang before the reader could see anything.
std::uint64_t good_rounds(const litmus::mode_result& mode) noexcept;

/// What a state that was seen takes beyond what is promised; nothing where the model has it
/// without, or has it not.
std::vector<litmus::excess> excesses_of(const litmus::model_result& model,
                                        const litmus::final_state& seen);

/// Two modes of which one violates more often, beyond chance.
struct difference {
  std::string more;
  std::string less;
  double p =
      1.0;  ///< Fisher's exact test, adjusted by Holm's method for all pairs that were compared
};

/// The pairs that differ with p < 0.05, the most certain first.
std::vector<difference> significant_differences(const std::vector<litmus::mode_result>& modes);

// Exit statuses; those that git bisect gives a meaning have that meaning.
inline constexpr int exit_ok = 0;
inline constexpr int exit_forbidden = 1;
inline constexpr int exit_usage = 2;
inline constexpr int exit_environment = 3;
inline constexpr int exit_hang = 4;
inline constexpr int exit_cannot_run = 125;
inline constexpr int exit_interrupted = 130;

/// How something ended, beside what it found.
struct how_it_ended {
  bool failed = false;  ///< the environment did
  bool interrupted = false;
  bool cannot_run = false;
};

/// That of the most telling: forbidden, hang, failure, interrupted, cannot run.
int exit_status_of(std::span<const verdict> verdicts, const how_it_ended& how) noexcept;

/// The more telling of two statuses: the first of 1, 4, 3, 130, 125.
int more_telling(int status, int other) noexcept;

}  // namespace filemap

#pragma GCC visibility pop
