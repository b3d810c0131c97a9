#pragma once

#include "drivers.hpp"
#include "options.hpp"
#include "report/exploration.hpp"
#include "work_directory.hpp"

#include <atomic>

namespace filemap {

/// Explores every test that was asked for, in every mode. What fails on the way ends its mode, and
/// stands there.
exploration_run run_exploration(const options& asked, const work_directory& directory,
                                drivers& drivers, const std::atomic<bool>& interrupt);

/// Executes the schedule that was asked for. Throws usage_error when it is none of the test.
replayed_run run_replay(const options& asked, const work_directory& directory, drivers& drivers,
                        const std::atomic<bool>& interrupt);

}  // namespace filemap
