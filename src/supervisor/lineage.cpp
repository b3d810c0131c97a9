#include "lineage.hpp"

#include "thread_view.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace filemap {

void lineage::forks(pid_t process) {
  name_of(process);
  auto& parent = members_[process];
  parent.expected.push_back(parent.children++);
}

const std::string& lineage::name_of(pid_t process) {
  const auto known = members_.find(process);
  if (known != members_.end()) return known->second.name;
  const auto parent_number = parent_of(process);
  if (parent_number == root_ && members_.empty()) {
    return members_.emplace(process, member{"0", 0, {}}).first->second.name;
  }
  const auto parent = members_.find(parent_number);
  if (parent == members_.end() || parent->second.expected.empty()) {
    return members_.emplace(process, member{fmt::format("?{}", orphans_++), 0, {}})
        .first->second.name;
  }
  // Numbers of processes grow, so of those that have not been heard of the first is the oldest.
  std::size_t rank = 0;
  for (const auto child : children_of(parent_number)) {
    if (child < process && members_.find(child) == members_.end()) ++rank;
  }
  auto& expected = parent->second.expected;
  const auto place =
      expected.begin() + static_cast<std::ptrdiff_t>(std::min(rank, expected.size() - 1));
  auto name = fmt::format("{}.{}", parent->second.name, *place);
  expected.erase(place);
  return members_.emplace(process, member{std::move(name), 0, {}}).first->second.name;
}

}  // namespace filemap
