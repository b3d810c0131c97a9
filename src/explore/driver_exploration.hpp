#pragma once

#include "filemap/explore/exploration.hpp"

#include "subject/driver_subject.hpp"

#include <optional>

namespace filemap::litmus {

/// As `explore` of an engine, of a driver by its claims: each schedule is a run of the driver with
/// one round. Throws driver_failed beside.
exploration_result explore(const test& test, const mode& mode, const driver_claims& claims,
                           const driver_subject::settings& how,
                           const exploration_options& options = {});

/// Likewise.
std::optional<executed_schedule> replay(const test& test, const mode& mode,
                                        const driver_claims& claims,
                                        const driver_subject::settings& how, const witness& witness,
                                        const exploration_options& options = {});

}  // namespace filemap::litmus
