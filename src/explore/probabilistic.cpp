#include "probabilistic.hpp"

#include <algorithm>

namespace filemap {

bool probabilistic::begin() {
  most_points_ = std::max(most_points_, at_);
  at_ = 0;
  streams_.clear();
  changes_.clear();
  for (unsigned i = 1; i < depth_; ++i) changes_.push_back(below(most_points_) + 1);
  return true;
}

std::size_t probabilistic::choose(std::span<const candidate> held) {
  if (held.size() == 1) return 0;
  ++at_;
  auto choice = first_of(held);
  for (std::size_t i = 0; i < changes_.size(); ++i) {
    if (changes_[i] != at_) continue;
    stream_of(held[choice]).priority = i;  // behind all that have not changed
    choice = first_of(held);
  }
  return choice;
}

probabilistic::stream& probabilistic::stream_of(const candidate& name) {
  for (auto& one : streams_) {
    if (one.number == name.stream) return one;
  }
  return streams_.emplace_back(stream{name.stream, depth_ + below(std::uint64_t{1} << 62U)});
}

std::size_t probabilistic::first_of(std::span<const candidate> held) {
  std::size_t best = 0;
  std::uint64_t equals = 1;
  for (std::size_t i = 1; i < held.size(); ++i) {
    const auto priority = stream_of(held[i]).priority;
    const auto most = stream_of(held[best]).priority;
    if (priority == most) ++equals;
    if (priority > most) equals = 1;
    if (priority > most || (priority == most && below(equals) == 0)) best = i;
  }
  return best;
}

}  // namespace filemap
