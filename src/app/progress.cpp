#include "progress.hpp"

#include "base/units.hpp"

#include <algorithm>
#include <cstdio>
#include <unistd.h>

#include <fmt/format.h>

namespace filemap {

namespace {

// A run does not end because nobody can be told how far it is.
void write(const std::string& text) noexcept {
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace

progress::progress(progress_kind when)
    : shown_(when == progress_kind::always ||
             (when == progress_kind::automatic && ::isatty(STDERR_FILENO) != 0)) {}

bool progress::is_due() {
  const auto now = clock::now();
  if (!shown_ || now - last_ < std::chrono::milliseconds(100)) return false;
  last_ = now;
  return true;
}

void progress::show(const std::string& text) {
  write("\r\x1b[K" + text);
  on_screen_ = true;
}

void progress::update(const std::string& text) {
  if (is_due()) show(text);
}

void progress::update(const std::string& mode, double done, std::uint64_t rounds) {
  using namespace std::chrono;
  if (!is_due()) return;
  const auto elapsed = duration<double>(last_ - begin_).count();
  done = std::clamp(done, 0.0, 1.0);
  const auto rate = elapsed > 0 ? static_cast<double>(rounds) / elapsed : 0;
  std::string eta = "?";
  if (done > 0.01)
    eta = format_duration(duration_cast<nanoseconds>(duration<double>(elapsed / done - elapsed)));
  show(fmt::format("{:>3.0f} %  {}  {} rounds, {} per second, ETA {}", done * 100, mode,
                   format_count(rounds), format_count(static_cast<std::uint64_t>(rate)), eta));
}

void progress::clear() {
  if (!on_screen_) return;
  write("\r\x1b[K");
  on_screen_ = false;
}

}  // namespace filemap
