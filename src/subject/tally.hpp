#pragma once

#include "filemap/base/stats.hpp"
#include "filemap/subject/session.hpp"

#include "judge.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>

namespace filemap::litmus {

/// A round that is over.
struct ended_round {
  std::uint64_t number = 0;
  instant start;
  std::span<const step> steps;
  observation seen;
};

/// Adds rounds up to a mode's result, whoever has run them.
class tally {
 public:
  /// `traces`: of violating rounds, how many are kept.
  tally(mode_result& result, const test& test, std::size_t traces)
      : result_(result), conflict_(test), traces_(traces) {}

  /// Counts the state that a round of a test with a condition came to. What is to be told of it:
  /// its failure, a witness, or nothing.
  observation count_state(const judgement& judged);
  /// Was there an operation that had overtaken another, though nothing wrong was seen?
  void look_for_overtaking(const ended_round& round);
  /// Counts the round and the latencies of its steps.
  void add(const ended_round& round);
  /// The latencies until now, into the result.
  void summarise();

  const conflicts& conflict() const noexcept { return conflict_; }

 private:
  mode_result& result_;
  const conflicts conflict_;
  const std::size_t traces_;
  std::map<verb, latency_histogram> latency_;
  latency_histogram append_executed_;
};

}  // namespace filemap::litmus
