#pragma once

#include "filemap/litmus/test.hpp"

#include <optional>
#include <string>

#pragma GCC visibility push(default)

namespace filemap::litmus {

/// The whole .litmus file of a test, so that a test that was made or changed as data is a program
/// again: `parse` gives the same test, but for the lines of its statements (and the numbers of its
/// edges, where they were not named in the order of the text). Throws std::invalid_argument for
/// what the language does not have: a process that is repeated, and what only such a one does.
std::string to_source(const test& test);

/// The message with which `parse` (and so `--check`) refuses that file; nothing where it takes it.
std::optional<std::string> refused(const test& test);

}  // namespace filemap::litmus

#pragma GCC visibility pop
