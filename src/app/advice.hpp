#pragma once

#include "filemap/subject/outcome.hpp"

#include <exception>
#include <filesystem>
#include <string>
#include <string_view>

namespace filemap {

/// What to do about a system call that failed so, to be put behind what says that it did; empty
/// where its error says it.
std::string_view advice_on(int error) noexcept;

/// Of an operation that failed for a reason outside of its test, as one line: where below `dir`,
/// why, and what to do about it.
std::string describe_failed_operation(const litmus::observation& seen,
                                      const std::filesystem::path& dir);

/// What ended a search, as one line; `dir`: the one that was asked for.
std::string describe_failure(const std::exception_ptr& failure, const std::filesystem::path& dir);

}  // namespace filemap
