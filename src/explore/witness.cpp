#include "filemap/explore/witness.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace filemap {

std::size_t witness::detours() const noexcept {
  return choices.size() - static_cast<std::size_t>(std::count(choices.begin(), choices.end(), 0));
}

witness to_witness(std::vector<std::uint16_t> choices) {
  while (!choices.empty() && choices.back() == 0) choices.pop_back();
  return {std::move(choices)};
}

bool is_better(const witness& one, const witness& other) {
  const auto left = one.detours();
  const auto right = other.detours();
  return left != right ? left < right : one.choices < other.choices;
}

std::string to_string(const witness& witness) {
  if (witness.choices.empty()) return "1";
  std::string text;
  for (const auto choice : witness.choices) {
    if (!text.empty()) text += '.';
    text += choice == witness::time_passes ? "t" : std::to_string(choice + 1);
  }
  return text;
}

witness parse_witness(std::string_view text) {
  constexpr std::size_t longest = 10'000;
  std::vector<std::uint16_t> choices;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    std::uint16_t choice = 0;
    const bool is_time = at != end && *at == 't';
    const auto [stop, error] =
        is_time ? std::from_chars_result{at + 1, std::errc{}} : std::from_chars(at, end, choice);
    const bool is_choice = is_time || (error == std::errc{} && choice != 0);
    if (!is_choice || choices.size() == longest) {
      throw std::invalid_argument(
          "a witness is choices from 1 with dots between them, as in 2.1.3");
    }
    choices.push_back(is_time ? witness::time_passes : static_cast<std::uint16_t>(choice - 1));
    if (stop == end) break;
    at = *stop == '.' ? stop + 1 : end;  // at the end there is no number, which is refused
  }
  return to_witness(std::move(choices));
}

}  // namespace filemap
