#include "filemap/subject/outcome.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <system_error>

#include <fmt/format.h>

namespace filemap::litmus {

namespace {

wrong_bytes name_wrong_bytes(std::span<const std::byte> data, std::span<const std::byte> expected,
                             std::span<const std::byte> before) {
  bool all_zero = true;
  bool all_old = !before.empty();
  for (std::size_t i = 0; i < data.size(); ++i) {
    if (data[i] == expected[i]) continue;
    all_zero = all_zero && data[i] == std::byte{0};
    all_old = all_old && data[i] == before[i];
  }
  return all_zero ? wrong_bytes::zeros : all_old ? wrong_bytes::old : wrong_bytes::neither;
}

const char* error_name(int error) {
  const char* const name = ::strerrorname_np(error);
  return name != nullptr ? name : "unknown errno";
}

}  // namespace

std::string_view to_string(outcome outcome) noexcept {
  constexpr std::array<std::string_view, outcome_count> names = {
      "ok", "size-zero", "size-short", "data-short", "data-mismatch", "witness", "error", "hang",
  };
  return names[static_cast<std::size_t>(outcome)];
}

bool is_violation(outcome outcome) noexcept {
  return outcome >= outcome::size_zero && outcome <= outcome::witness;
}

std::string_view to_string(wrong_bytes wrong) noexcept {
  constexpr std::array<std::string_view, 4> names = {"none", "zeros", "old", "neither"};
  return names[static_cast<std::size_t>(wrong)];
}

std::string observation::label() const {
  switch (what) {
    case outcome::data_mismatch:
      return fmt::format("{} ({})", to_string(what), to_string(wrong));
    case outcome::error:
      return fmt::format("{} ({}: {})", to_string(what), to_string(failed),
                         error == 0 ? "short" : error_name(error));
    default:
      return std::string(to_string(what));
  }
}

std::string reason_of(const observation& failed) {
  return failed.error == 0 ? "it took fewer bytes than it was given"
                           : std::generic_category().message(failed.error);
}

operation_failed::operation_failed(const observation& failed)
    : std::runtime_error(fmt::format("{} failed: {}", to_string(failed.failed), reason_of(failed))),
      seen_(failed) {}

observation classify(std::uint64_t flushed, std::uint64_t size, std::span<const std::byte> data,
                     std::span<const std::byte> expected, std::span<const std::byte> before) {
  observation seen;
  seen.flushed = flushed;
  seen.size = size;
  seen.read = data.size();
  if (size < flushed) {
    seen.what = size == 0 ? outcome::size_zero : outcome::size_short;
  } else if (data.size() < flushed) {
    seen.what = outcome::data_short;
  } else if (!std::equal(data.begin(), data.end(), expected.begin())) {
    seen.what = outcome::data_mismatch;
    seen.wrong = name_wrong_bytes(data, expected, before);
  }
  return seen;
}

}  // namespace filemap::litmus
