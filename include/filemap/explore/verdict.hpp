#pragma once

#include "filemap/explore/exploration.hpp"
#include "filemap/subject/verdict.hpp"

#pragma GCC visibility push(default)

namespace filemap {

/// May a schedule come to a state that the test asks about as bad? Unknown without a judgement.
bool allows_violations(const litmus::test& test, const litmus::exploration_result& result);

/// Of an exploration: `not_exercised` where the model has a state that no schedule came to.
verdict verdict_of(const litmus::test& test, const litmus::exploration_result& result, bool strict);

/// Of one schedule.
verdict verdict_of(const litmus::executed_schedule& done, bool strict);

}  // namespace filemap

#pragma GCC visibility pop
