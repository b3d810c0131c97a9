#pragma once

#include "filemap/explore/exploration.hpp"

#include <functional>
#include <optional>

namespace filemap::litmus {

/// Why this schedule of the test came to a bad state. `search` explores another test in the same
/// mode. Nothing where no order between two operations would have kept it from that.
std::optional<explanation> explain(
    const test& test, const mode& mode, const executed_schedule& schedule,
    const std::function<exploration_result(const litmus::test&)>& search);

}  // namespace filemap::litmus
