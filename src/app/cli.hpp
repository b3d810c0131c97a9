#pragma once

#include "options.hpp"

#include <optional>
#include <span>
#include <stdexcept>
#include <string>

namespace filemap {

/// The command line is wrong: one line that says what, why and what to do.
class usage_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Understands argv. Nothing when something was asked for that has been answered in `answer`:
/// `--help`, `--version`, `--list`, `--show`. Throws usage_error, or litmus::parse_error for a test
/// that is not valid.
std::optional<options> parse_command_line(std::span<const char* const> argv, std::string& answer);

}  // namespace filemap
