#pragma once

#include "filemap/litmus/test.hpp"

#include <cstdint>
#include <string>

namespace filemap::litmus {

/// The .litmus file of a small test, drawn from the seed: every verb, kind of group and origin of a
/// handle comes up. It is valid (`parse` takes it), and its condition looks at everything, so that
/// no outcome hides behind another.
std::string random_source(std::uint64_t seed);

}  // namespace filemap::litmus
