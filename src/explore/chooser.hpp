#pragma once

#include "subject/subject.hpp"

#include <cstddef>
#include <span>
#include <stdexcept>

namespace filemap {

/// A run did not come to what it had come to when the same had been chosen before.
class diverged : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Decides what a subject does next, and lives through all of its runs: a search is a chooser, so
/// are a sample and a replay.
class chooser {
 public:
  chooser() = default;
  chooser(const chooser&) = delete;
  chooser& operator=(const chooser&) = delete;
  virtual ~chooser() = default;

  static constexpr std::size_t give_up = ~std::size_t{0};

  /// Another run begins. False: there is none left to make. After a run that has diverged the same
  /// again.
  virtual bool begin() = 0;
  /// An index into `held`, which has one at least; or `give_up`: this run shows nothing new. Throws
  /// `diverged`.
  virtual std::size_t choose(std::span<const candidate> held) = 0;
  /// What was chosen last has been done.
  virtual void executed(const footprint& touched) { static_cast<void>(touched); }
  /// The run is over, or was given up.
  virtual void ended() {}
};

}  // namespace filemap
