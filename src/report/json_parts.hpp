#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

namespace filemap {

// What the reports as JSON share. What is not known is null, never 0 or "".

using json = nlohmann::ordered_json;

inline json known(const std::string& text) { return text.empty() ? json() : json(text); }
inline json known(std::uint64_t number) { return number == 0 ? json() : json(number); }

template <typename Range, typename Convert>
json list(const Range& range, const Convert& convert) {
  auto result = json::array();
  for (const auto& element : range) result.push_back(convert(element));
  return result;
}

inline double seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

/// Paths and arguments may be any bytes; JSON may not.
inline std::string text_of(const json& tree) {
  return tree.dump(2, ' ', true, json::error_handler_t::replace);
}

}  // namespace filemap
