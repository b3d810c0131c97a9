#include "depth_first.hpp"

#include <algorithm>
#include <utility>

namespace filemap {

bool depth_first::begin() {
  if (std::exchange(has_ended_, false) && !advance()) return false;
  at_ = 0;
  asleep_.clear();
  alone_ = false;
  return true;
}

std::size_t depth_first::choose(std::span<const candidate> held) {
  if (held.back().is_time()) held = held.first(held.size() - 1);
  alone_ = held.size() == 1;
  if (alone_) {
    if (!is_asleep(held[0])) return 0;
    has_left_out_ = true;
    return give_up;
  }
  if (at_ == points_.size() && !add_point(held)) return give_up;
  auto& point = points_[at_++];
  const bool same =
      std::equal(held.begin(), held.end(), point.options.begin(), point.options.end(),
                 [](const candidate& name, const option& option) { return name == option.name; });
  if (!same) throw diverged("other steps can be taken there than when the same was done before");
  for (const auto& option : point.options) {
    if (option.was == option::tried) asleep_.push_back({option.name, option.touched});
  }
  return point.chosen;
}

void depth_first::executed(const footprint& told) {
  const auto touched = commuting_ == commuting::nothing ? footprint::everything() : told;
  if (!alone_) {
    auto& point = points_[at_ - 1];
    point.options[point.chosen].touched = touched;
  }
  std::erase_if(asleep_, [&](const sleeper& one) { return one.touched.depends_on(touched); });
}

// Goes on to the next schedule. False: there is none.
bool depth_first::advance() {
  while (!points_.empty()) {
    auto& point = points_.back();
    point.options[point.chosen].was = option::tried;
    if (choose_untried(point)) return true;
    spare_.push_back(std::move(point.options));
    points_.pop_back();
  }
  return false;
}

bool depth_first::is_asleep(const candidate& name) const noexcept {
  return std::any_of(asleep_.begin(), asleep_.end(),
                     [&](const sleeper& one) { return one.name == name; });
}

bool depth_first::add_point(std::span<const candidate> held) {
  point added;
  if (!spare_.empty()) {
    added.options = std::move(spare_.back());
    spare_.pop_back();
  }
  added.options.assign(held.size(), {});
  for (std::size_t i = 0; i < held.size(); ++i) {
    added.options[i].name = held[i];
    if (!is_asleep(held[i])) continue;
    added.options[i].was = option::asleep;
    has_left_out_ = true;
  }
  if (!choose_untried(added)) return false;
  points_.push_back(std::move(added));
  return true;
}

bool depth_first::choose_untried(point& point) noexcept {
  const auto found = std::find_if(point.options.begin(), point.options.end(),
                                  [](const option& one) { return one.was == option::untried; });
  point.chosen = static_cast<std::size_t>(found - point.options.begin());
  return found != point.options.end();
}

}  // namespace filemap
