#pragma once

#include "filemap/base/environment.hpp"
#include "filemap/io/ring_support.hpp"
#include "filemap/model/model.hpp"
#include "filemap/subject/session.hpp"
#include "filemap/subject/verdict.hpp"

#include "report/run_settings.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace filemap {

/// A test that has been run. Every output is a function of such results.
struct run_result {
  /// One for all tests of a run, as it names them all: a copy in each would grow with their square.
  std::shared_ptr<const run_settings> asked = std::make_shared<const run_settings>();
  litmus::test test;  ///< as run without a mode's flush
  std::vector<litmus::mode_result> modes;
  host_info host;
  filesystem_info filesystem;
  ring_support ring;
  bool interrupted = false;
  std::string failure;      ///< what ended a mode or the test early, as one line; else empty
  bool cannot_run = false;  ///< the failure is this kernel's or filesystem's
  /// Something of a round is still in flight: the process must end without destructors.
  bool abandoned = false;
  int exit_status = 0;
};

/// The most telling of what the modes came to: forbidden, hang, error, interrupted, cannot run.
int exit_status_of(const run_result& run) noexcept;
/// The most telling of several.
int exit_status_of(std::span<const run_result> runs) noexcept;

/// For a person. `color`: with ANSI escapes.
std::string text_report(std::span<const run_result> runs, bool color);

/// What this kernel's io_uring can do, and why not, for a person.
std::string probe_report(const ring_support& ring, const host_info& host);

/// docs/result.schema.json describes it: an object for one run, or one that has several.
std::string json_report(std::span<const run_result> runs);

/// Chrome's trace event format: the violating rounds that were kept, or the first with a hazard.
std::string trace_report(std::span<const run_result> runs);

// Of one run alone.
inline std::string text_report(const run_result& run, bool color) {
  return text_report(std::span(&run, 1), color);
}
inline std::string json_report(const run_result& run) { return json_report(std::span(&run, 1)); }
inline std::string trace_report(const run_result& run) { return trace_report(std::span(&run, 1)); }

/// What the model allows a test in one mode, and what it cost to know.
struct modelled {
  litmus::mode mode;
  litmus::model_result result;
  std::chrono::nanoseconds took{0};
};

/// For a person: every allowed outcome, with a `*` at those that the condition asks about.
std::string model_report(const litmus::test& test, const std::vector<modelled>& modes, bool color);

}  // namespace filemap
