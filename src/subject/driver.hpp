#pragma once

#include "filemap/litmus/test.hpp"

#include "driver_process.hpp"
#include "driver_protocol.hpp"
#include "patterns.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

namespace filemap::litmus {

/// A driver that runs.
class driver {
 public:
  /// Starts it, and takes its greeting. Throws std::system_error where it cannot be started,
  /// driver_failed where it says something else.
  explicit driver(driver_process::settings how);

  const driver_claims& claims() const noexcept { return claims_; }

  /// Tells it a test that it does not lack anything for; the next rounds are of that. Throws
  /// `unsupported` where the driver says that it cannot, driver_failed.
  void begin(const test& test);

  enum class batch_end : std::uint8_t { done, hang, interrupted };
  /// Runs rounds 0 to `count` - 1, whose files are in `directory`. Those that it tells are added to
  /// `rounds`, also before a hang. Throws driver_failed.
  batch_end run(std::size_t count, const std::filesystem::path& directory, const patterns& bytes,
                std::vector<driven_round>& rounds);

  /// Waits until nothing below the directory is open, as what is written after a handle was given
  /// up is of its round as well. Throws driver_failed where that does not come.
  batch_end land(const std::filesystem::path& directory);

  driver_failed failure(std::string_view what) { return process_.failure(what); }

 private:
  template <typename Understand>
  auto understood(Understand understand);
  std::string_view answer(std::string_view to);

  const nanoseconds patience_;
  const std::atomic<bool>* const interrupt_;
  driver_process process_;
  driver_protocol protocol_;
  driver_claims claims_;
};

}  // namespace filemap::litmus
