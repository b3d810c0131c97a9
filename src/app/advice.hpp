#pragma once

#include <string_view>

namespace filemap {

/// What to do about a system call that failed so, to be put behind what says that it did; empty
/// where its error says it.
std::string_view advice_on(int error) noexcept;

}  // namespace filemap
