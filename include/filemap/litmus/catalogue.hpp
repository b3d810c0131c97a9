#pragma once

#include <span>
#include <string_view>

#pragma GCC visibility push(default)

namespace filemap::litmus {

/// A litmus test that ships with the program: the text of a file of src/litmus/catalogue/.
struct catalogue_entry {
  std::string_view name;    ///< without ".litmus"
  std::string_view source;  ///< the whole file
};

/// In the order in which `--list` shows them; tokio-4796 is the first.
std::span<const catalogue_entry> catalogue();

/// nullptr when there is none of this name.
const catalogue_entry* find_in_catalogue(std::string_view name);

}  // namespace filemap::litmus

#pragma GCC visibility pop
