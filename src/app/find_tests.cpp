#include "find_tests.hpp"

#include "filemap/io/unique_fd.hpp"
#include "filemap/litmus/catalogue.hpp"
#include "filemap/litmus/parser.hpp"

#include "base/units.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <iterator>
#include <numeric>
#include <system_error>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

namespace filemap {

namespace {

bool names_file(std::string_view argument) {
  return argument.find('/') != std::string_view::npos || argument.ends_with(".litmus");
}

[[noreturn]] void cannot_read(const std::string& path) {
  throw no_such_test(
      fmt::format("{}: it cannot be read ({})", path, std::generic_category().message(errno)));
}

// No more than the parser looks at, whatever the file is.
std::string read_test(const std::string& path) {
  const unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) cannot_read(path);
  std::string text;
  std::array<char, 4096> part{};
  while (text.size() <= litmus::max_source_size) {
    const auto size = ::read(fd.get(), part.data(), part.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) cannot_read(path);
    if (size == 0) break;
    text.append(part.data(), static_cast<std::size_t>(size));
  }
  return text;
}

// How many characters must be put in, left out or replaced to make one of the other (Levenshtein).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (const char c : a) {
    auto diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const auto replaced = diagonal + (c == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row[b.size()];
}

std::vector<std::string_view> near_names(std::string_view wanted) {
  constexpr std::size_t most = 5;
  constexpr std::size_t longest = 64;  // of a name; anything longer is near to none
  std::vector<std::pair<std::size_t, std::string_view>> near;
  if (wanted.empty() || wanted.size() > longest) return {};
  for (const auto& entry : litmus::catalogue()) {
    const auto away = distance(wanted, entry.name);
    const bool part = entry.name.find(wanted) != std::string_view::npos;
    if (part || away <= wanted.size() / 3) near.emplace_back(away, entry.name);
  }
  std::stable_sort(near.begin(), near.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string_view> names;
  names.reserve(most);
  for (const auto& [away, name] : near) {
    if (names.size() < most) names.push_back(name);
  }
  return names;
}

const litmus::catalogue_entry& find_test(const std::string& name) {
  if (const auto* const entry = litmus::find_in_catalogue(name)) return *entry;
  const auto near = near_names(name);
  const auto hint = near.empty() ? std::string("--list shows those that there are")
                                 : fmt::format("near ones are {}", fmt::join(near, ", "));
  throw no_such_test(fmt::format("{}: there is no test of this name; {}", name, hint));
}

}  // namespace

litmus::test load_test(const std::string& argument) {
  if (names_file(argument)) return litmus::parse(read_test(argument), printable(argument));
  const auto& entry = find_test(argument);
  return litmus::parse(entry.source, fmt::format("{}.litmus", entry.name));
}

std::string_view show_test(const std::string& name) { return find_test(name).source; }

std::string list_tests() {
  std::size_t width = 0;
  for (const auto& entry : litmus::catalogue()) width = std::max(width, entry.name.size());
  std::string text;
  for (const auto& entry : litmus::catalogue()) {
    const auto test = litmus::parse(entry.source, entry.name);
    fmt::format_to(std::back_inserter(text), "{:<{}}  {}\n", test.name, width, test.question);
  }
  return text;
}

}  // namespace filemap
