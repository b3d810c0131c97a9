#pragma once

#include "filemap/io/engine.hpp"
#include "filemap/subject/step.hpp"

#include "judge.hpp"
#include "subject.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace filemap::litmus {

/// A subject that comes to states of a litmus test.
class judged_subject : public subject {
 public:
  const final_state& state(std::size_t number) const noexcept { return *states_[number].what; }
  /// Of the runs that came to it, the worst.
  judgement::standing standing(std::size_t number) const noexcept { return states_[number].stands; }
  /// Of the last run.
  virtual std::span<const step> steps() const noexcept = 0;
  virtual engine_traits traits() const = 0;
  /// May a run go another way than the same choices have led before? A runtime's threads may.
  virtual bool may_diverge() const noexcept { return false; }
  /// Why not every schedule may have been had, though each that there was to choose was executed,
  /// as part of a sentence; empty: it was.
  virtual std::string not_held() const { return ""; }

 protected:
  ending came_to(judgement judged) {
    const auto [found, is_new] = numbers_.try_emplace(std::move(judged.state), states_.size());
    if (is_new) states_.push_back({&found->first, judged.stands});
    ending reached;
    reached.state = found->second;
    reached.bad = judged.counts;
    auto& stands = states_[reached.state].stands;
    stands = std::max(stands, judged.stands);
    return reached;
  }

 private:
  std::map<final_state, std::size_t> numbers_;
  struct known_state {
    const final_state* what;  // a key of `numbers_`
    judgement::standing stands;
  };
  std::vector<known_state> states_;
};

}  // namespace filemap::litmus
