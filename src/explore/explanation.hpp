#pragma once

#include "filemap/explore/exploration.hpp"

#include <functional>
#include <memory>
#include <optional>

namespace filemap::litmus {

/// What an explanation may use: it stops where `stopped` says so.
struct explanation_means {
  /// Judges a changed test in the same mode; nullptr: it cannot.
  std::function<std::shared_ptr<const model_result>(const litmus::test&)> model;
  /// Explores it, for as long as the explanation may take.
  std::function<exploration_result(const litmus::test&, std::shared_ptr<const model_result>)>
      search;
  std::function<bool()> stopped;
};

/// Why the schedule of a test in which no process is repeated came to a bad state, and what would
/// keep the test from it.
explanation explain(const test& test, const mode& mode, const executed_schedule& schedule,
                    const explanation_means& means);

}  // namespace filemap::litmus
