#pragma once

#include "options.hpp"
#include "report/command.hpp"
#include "work_directory.hpp"

#include <atomic>

namespace filemap {

/// Runs, explores or replays the command that was asked for. Throws `usage_error` for a witness
/// that is none of it, `unsupported` where commands cannot be supervised, std::system_error where
/// this one cannot be executed.
command_run run_command(const options& asked, const work_directory& directory,
                        const std::atomic<bool>& interrupt);

}  // namespace filemap
