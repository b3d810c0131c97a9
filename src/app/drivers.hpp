#pragma once

#include "filemap/litmus/mode.hpp"

#include "options.hpp"
#include "subject/driver.hpp"

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

namespace filemap {

/// The drivers of the modes that were asked for. Each is started once, and serves one test after
/// the other; one that has failed is started again for the next.
class drivers {
 public:
  /// `directory`: their TMPDIR.
  drivers(const options& asked, std::filesystem::path directory,
          const std::atomic<bool>& interrupt);

  /// The driver of a mode. Throws std::system_error, driver_failed: one that has not greeted is not
  /// tried again.
  litmus::driver& of(const litmus::mode& mode);
  /// It has failed, or a round of it hangs.
  void end(const litmus::mode& mode) { running_.erase(mode.name); }

 private:
  const options& asked_;
  const std::filesystem::path directory_;
  const std::atomic<bool>& interrupt_;
  std::map<std::string, std::unique_ptr<litmus::driver>> running_;  // by mode
  std::map<std::string, std::string> refused_;                      // likewise: why
};

/// Asks the drivers for their claims, and makes them those of their modes. In a comparison those
/// that acknowledge early come also with a flush. A mode whose driver does not greet stays as it
/// is.
void take_claims(options& asked, drivers& drivers);

}  // namespace filemap
