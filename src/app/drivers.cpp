#include "drivers.hpp"

#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

namespace filemap {

drivers::drivers(const options& asked, std::filesystem::path directory,
                 const std::atomic<bool>& interrupt)
    : asked_(asked), directory_(std::move(directory)), interrupt_(interrupt) {}

litmus::driver& drivers::of(const litmus::mode& mode) {
  if (const auto refused = refused_.find(mode.name); refused != refused_.end()) {
    throw litmus::driver_failed(refused->second);
  }
  auto& driver = running_[mode.name];
  if (driver != nullptr) return *driver;
  try {
    driver = std::make_unique<litmus::driver>(litmus::driver_process::settings{
        mode.command, directory_, asked_.round_timeout, &interrupt_});
  } catch (const litmus::driver_failed& failed) {
    refused_[mode.name] = failed.what();
    throw;
  }
  return *driver;
}

void take_claims(options& asked, drivers& drivers) {
  std::vector<litmus::mode> modes;
  for (auto& mode : asked.modes) {
    if (mode.engine != litmus::engine_kind::driver) {
      modes.push_back(std::move(mode));
      continue;
    }
    try {
      mode = drivers.of(mode).claims().of(mode);
    } catch (const litmus::driver_failed& failed) {
      spdlog::info("{}: {}", mode.name, failed.what());  // the row will say so
    }
    modes.push_back(mode);
    if (asked.compares && mode.acknowledges_early() && !mode.flush)
      modes.push_back(mode.with_flush());
  }
  asked.modes = std::move(modes);
}

}  // namespace filemap
