#pragma once

#include "options.hpp"

#include <cstdint>
#include <string>

namespace filemap {

/// One line on standard error that says how far the run is, rewritten at most ten times a second.
class progress {
 public:
  /// Shows itself always, never, or when standard error is a terminal.
  explicit progress(progress_kind when);
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;
  ~progress() { clear(); }

  /// `done`: the part of the whole run, from 0 to 1. `rounds`: of all modes together.
  void update(const std::string& mode, double done, std::uint64_t rounds);
  /// "12 runs, 3 failed".
  void update(const std::string& text);
  void clear();

 private:
  bool is_due();
  void show(const std::string& text);

  const bool shown_;
  const instant begin_ = clock::now();
  instant last_;
  bool on_screen_ = false;
};

}  // namespace filemap
