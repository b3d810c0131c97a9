#pragma once

#include "options.hpp"
#include "progress.hpp"
#include "report/report.hpp"
#include "work_directory.hpp"

#include <atomic>
#include <memory>

namespace filemap {

/// Runs a test in every mode that was asked for, interleaved: blocks of rounds, each time
/// in another order, so that drift of the machine is not mistaken for a difference between modes.
///
/// What fails on the way ends the run and stands in `run_result::failure`; what was gathered until
/// then is kept. `settings` are those of `asked`, shared by the results of all tests. After a hang
/// (`run_result::hangs`) the process must end without destructors. Throws std::system_error when it
/// cannot even begin.
run_result run_test(const litmus::test& test, const options& asked,
                    std::shared_ptr<const run_settings> settings, const work_directory& directory,
                    const std::atomic<bool>& interrupt, progress& progress);

}  // namespace filemap
