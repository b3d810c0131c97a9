#pragma once

#include "filemap/explore/witness.hpp"

#include "chooser.hpp"

#include <string>
#include <utility>

namespace filemap {

/// What is written in a witness, as often as it is asked for; beyond it the oldest.
class fixed_schedule final : public chooser {
 public:
  explicit fixed_schedule(witness witness) : witness_(std::move(witness)) {}

  bool begin() override {
    at_ = 0;
    misfit_.clear();
    return true;
  }
  /// A choice that cannot be made is given up: `misfit` says why.
  std::size_t choose(std::span<const candidate> held) override;

  /// Why it is no schedule of the subject, by the last run; else empty.
  std::string misfit() const;

 private:
  const witness witness_;
  std::size_t at_ = 0;
  std::string misfit_;
};

}  // namespace filemap
