#pragma once

#include <atomic>
#include <filesystem>

namespace filemap {

/// Becomes true with the first SIGINT, SIGTERM or SIGHUP after `catch_interrupts`, or with a
/// SIGXCPU. The second one ends the process at once, with exit status 130; but not a SIGXCPU, which
/// the kernel repeats.
const std::atomic<bool>& interrupted() noexcept;

void catch_interrupts() noexcept;

/// What the second one removes on its way out: `directory` with its files, and its directories with
/// theirs. To be called once.
void remove_when_interrupted_twice(const std::filesystem::path& directory) noexcept;

}  // namespace filemap
