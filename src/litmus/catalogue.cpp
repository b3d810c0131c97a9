#include "filemap/litmus/catalogue.hpp"

#include <algorithm>

namespace filemap::litmus {

namespace {

constexpr catalogue_entry entries[] = {
#include "catalogue_entries.inc"  // printed by embed_catalogue.py
};

}  // namespace

std::span<const catalogue_entry> catalogue() { return entries; }

const catalogue_entry* find_in_catalogue(std::string_view name) {
  const auto* const found =
      std::find_if(std::begin(entries), std::end(entries),
                   [&](const catalogue_entry& entry) { return entry.name == name; });
  return found == std::end(entries) ? nullptr : found;
}

}  // namespace filemap::litmus
