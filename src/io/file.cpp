#include "filemap/io/file.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <system_error>
#include <utility>

namespace filemap {

std::string_view to_string(acknowledgement when) noexcept {
  constexpr std::array<std::string_view, 3> names = {"complete", "write-behind", "buffered"};
  return names[static_cast<std::size_t>(when)];
}

std::string_view to_string(drop_kind what) noexcept {
  constexpr std::array<std::string_view, 3> names = {"runs", "flushes", "lost"};
  return names[static_cast<std::size_t>(what)];
}

std::unique_ptr<file> make_file(engine& engine, unique_fd fd, acknowledgement when,
                                const acknowledgement_options& options) {
  switch (when) {
    case acknowledgement::complete:
      break;
    case acknowledgement::write_behind:
      return make_write_behind_file(engine, std::move(fd), options);
    case acknowledgement::buffered:
      return make_buffered_file(engine, std::move(fd), options);
  }
  return make_complete_file(engine, std::move(fd));
}

unique_fd open_file(const std::filesystem::path& path, int flags, unsigned mode) {
  unique_fd fd{::open(path.c_str(), flags | O_CLOEXEC, mode)};
  if (!fd) throw std::system_error(errno, std::generic_category(), "open " + path.string());
  return fd;
}

task<io_result> write_all(file& file, std::int64_t position, std::span<const std::byte> data,
                          io_record* record) {
  std::size_t written = 0;
  do {
    const auto there = file.seeks() ? at_cursor : position + static_cast<std::int64_t>(written);
    const auto at = position < 0 || written == 0 ? position : there;
    const auto result = co_await file.write(at, data.subspan(written), record);
    if (!result.ok()) co_return result;
    if (result.bytes() == 0) break;  // std's write_all calls this WriteZero; the count says it
    written += result.bytes();
  } while (written < data.size());
  co_return io_result{static_cast<std::int64_t>(written)};
}

}  // namespace filemap
