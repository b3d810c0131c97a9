#include "fixed_schedule.hpp"

#include <fmt/format.h>

namespace filemap {

std::size_t fixed_schedule::choose(std::span<const candidate> held) {
  if (held.size() == 1) return 0;
  const std::size_t choice = at_ < witness_.choices.size() ? witness_.choices[at_] : 0;
  ++at_;
  if (choice < held.size()) return choice;
  misfit_ = fmt::format("its choice {} is {}, but only {} operations can execute there", at_,
                        choice + 1, held.size());
  return give_up;
}

std::string fixed_schedule::misfit() const {
  if (!misfit_.empty() || at_ >= witness_.choices.size()) return misfit_;
  return fmt::format("it has {} choices, but there are only {} to make", witness_.choices.size(),
                     at_);
}

}  // namespace filemap
