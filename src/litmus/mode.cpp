#include "filemap/litmus/mode.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace filemap::litmus {

namespace {

constexpr std::string_view flush_suffix = "+flush";

}  // namespace

mode mode::with_flush() const {
  mode flushing = *this;
  flushing.name += flush_suffix;
  flushing.flush = true;
  return flushing;
}

std::span<const mode> all_modes() {
  static const std::array modes = {
      mode{"uring", engine_kind::uring, acknowledgement::complete},
      mode{"blocking-pool", engine_kind::pool, acknowledgement::complete},
      mode{.name = "tokio-fs",
           .engine = engine_kind::pool,
           .when = acknowledgement::write_behind,
           .options = {.seeks = true}},
      mode{"uring-write-behind", engine_kind::uring, acknowledgement::write_behind},
      mode{"sync", engine_kind::sync, acknowledgement::complete},
  };
  return modes;
}

std::span<const mode> older_modes() {
  static const std::array modes = {
      mode{.name = "tokio-fs-1.28",
           .engine = engine_kind::pool,
           .when = acknowledgement::write_behind,
           .options = {.waits = waits_of_tokio.without(file_call::clone), .seeks = true}},
      mode{.name = "tokio-fs-1.24",
           .engine = engine_kind::pool,
           .when = acknowledgement::write_behind,
           .options = {.chunk = 16 << 10,
                       .waits = waits_of_tokio.without(file_call::clone),
                       .seeks = true}},
  };
  return modes;
}

// Named as uring-write-behind is: who executes, then when a write is acknowledged. The buffer is of
// the size that BufWriter and io.BufferedWriter have (and C's BUFSIZ is).
std::span<const mode> buffered_modes() {
  static const std::array modes = [] {
    mode flushes{
        .name = "pool-buffered",
        .engine = engine_kind::pool,
        .when = acknowledgement::buffered,
        .options = {
            .chunk = 8192, .waits = waits_of_a_buffer, .seeks = true, .drop = drop_kind::flushes}};
    auto loses = flushes;
    loses.name = "pool-buffered-lost";
    loses.options.drop = drop_kind::lost;
    return std::array{std::move(flushes), std::move(loses)};
  }();
  return modes;
}

std::array<std::span<const mode>, 3> mode_lists() {
  return {all_modes(), older_modes(), buffered_modes()};
}

const mode* find_mode(std::string_view name) {
  for (const auto modes : mode_lists()) {
    const auto found = std::find_if(modes.begin(), modes.end(),
                                    [&](const mode& mode) { return mode.name == name; });
    if (found != modes.end()) return &*found;
  }
  return nullptr;
}

std::string argument_of(const mode& mode) {
  return mode.command.empty() ? mode.name : mode.name + '=' + mode.command;
}

std::optional<mode> parse_mode(std::string_view name) {
  const bool flush = name.ends_with(flush_suffix);
  if (flush) name.remove_suffix(flush_suffix.size());
  const auto* const found = find_mode(name);
  if (found == nullptr) return std::nullopt;
  return flush ? found->with_flush() : *found;
}

}  // namespace filemap::litmus
