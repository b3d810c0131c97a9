#include "filemap/explore/verdict.hpp"

#include "filemap/model/model.hpp"

namespace filemap {

bool allows_violations(const litmus::test& test, const litmus::exploration_result& result) {
  return litmus::counted(test, result.allowed) > 0;
}

verdict verdict_of(const litmus::test& test, const litmus::exploration_result& result,
                   bool strict) {
  const bool forbids = strict || (result.judged && !allows_violations(test, result));
  if (!result.as_allowed() || (forbids && result.violating > 0)) return verdict::forbidden;
  if (result.deadlocks > 0) return verdict::hang;
  if (!result.judged) return verdict::not_judged;
  if (result.violating > 0) return verdict::allowed;
  return allows_violations(test, result) ? verdict::not_exercised : verdict::ok;
}

verdict verdict_of(const litmus::executed_schedule& done, bool strict) {
  const bool forbids = strict || done.unreachable;
  if (done.allowed == false || (forbids && done.counts)) return verdict::forbidden;
  if (done.deadlock) return verdict::hang;
  if (!done.allowed) return verdict::not_judged;
  return done.counts ? verdict::allowed : verdict::ok;
}

}  // namespace filemap
