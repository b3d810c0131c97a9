#pragma once

#include "drivers.hpp"
#include "options.hpp"
#include "progress.hpp"
#include "report/report.hpp"
#include "work_directory.hpp"

#include <atomic>
#include <cstdint>
#include <memory>

namespace filemap {

/// Runs tests, each in every mode that was asked for, interleaved: blocks of rounds, each time in
/// another order, so that drift of the machine is not mistaken for a difference between modes.
class harness {
 public:
  harness(const options& asked, const work_directory& directory, drivers& drivers,
          const std::atomic<bool>& interrupt, progress& progress);
  harness(const harness&) = delete;
  harness& operator=(const harness&) = delete;

  /// What fails on the way ends its mode, or the test that cannot begin, and stands in
  /// `run_result::failure`; what was gathered until then is kept. After `run_result::abandoned` the
  /// process must end without destructors.
  run_result run(const litmus::test& test);

 private:
  struct contestant;

  void run_modes(const litmus::test& test, run_result& run);
  contestant make_contestant(const litmus::test& test, const litmus::mode& mode) const;
  void begin(const litmus::test& test, contestant& contestant) const;
  void run_blocks(std::vector<contestant>& contestants) const;
  void finish(contestant& contestant, run_result& run) const;
  std::uint64_t open_files_for_one(const litmus::test& test) const;

  const options& asked_;
  const std::shared_ptr<const run_settings> settings_;  // of all results
  const work_directory& directory_;
  drivers& drivers_;
  const std::atomic<bool>& interrupt_;
  progress& progress_;
  const host_info host_;
  const filesystem_info filesystem_;
  const ring_support ring_;
  const std::uint64_t open_files_;
};

}  // namespace filemap
