#include "fixed_schedule.hpp"

#include <fmt/format.h>

namespace filemap {

std::size_t fixed_schedule::choose(std::span<const candidate> held) {
  if (held.size() == 1) return 0;
  const bool time_can_pass = held.back().is_time();
  const auto steps = held.size() - (time_can_pass ? 1 : 0);
  const std::size_t choice = at_ < witness_.choices.size() ? witness_.choices[at_] : 0;
  ++at_;
  if (choice == witness::time_passes) {
    if (time_can_pass) return steps;
    misfit_ = fmt::format("its choice {} lets time pass, and nothing waits for that there", at_);
    return give_up;
  }
  if (choice < steps) return choice;
  misfit_ = fmt::format("its choice {} is {}, but only {} operations can execute there", at_,
                        choice + 1, steps);
  return give_up;
}

std::string fixed_schedule::misfit() const {
  if (!misfit_.empty() || at_ >= witness_.choices.size()) return misfit_;
  return fmt::format("it has {} choices, but there are only {} to make", witness_.choices.size(),
                     at_);
}

}  // namespace filemap
