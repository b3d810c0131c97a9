#pragma once

#include "filemap/model/model.hpp"

#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace filemap {

/// "EIO"; "errno 9999" for one that the C library does not know.
inline std::string error_name(int error) {
  const char* const name = ::strerrorname_np(error);
  return name != nullptr ? name : "errno " + std::to_string(error);
}

/// What is noted of states, each once.
inline std::set<litmus::excess> noted(
    const std::map<litmus::final_state, std::vector<litmus::excess>>& exceeding) {
  std::set<litmus::excess> all;
  for (const auto& [state, taken] : exceeding) all.insert(taken.begin(), taken.end());
  return all;
}

}  // namespace filemap
