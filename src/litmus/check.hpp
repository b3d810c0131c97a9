#pragma once

#include "filemap/litmus/test.hpp"

#include "lexer.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace filemap::litmus {

struct statement_index {
  std::uint8_t process = 0;
  std::uint8_t statement = 0;
};

/// Where in the source things are.
struct places {
  struct handle {
    std::size_t declared = 0;
    std::optional<statement_index> opened;  ///< by which statement
  };
  struct edge {
    std::optional<statement_index> notified;
    std::optional<statement_index> waited;
  };
  std::vector<std::vector<std::size_t>> statements;  ///< of each process
  std::vector<handle> handles;
  std::vector<edge> edges;
  std::vector<statement_index> registers;  ///< which statement sets them

  /// Of a statement that is still being read: the end of what is known, so ask only of earlier
  /// ones.
  std::size_t of(statement_index index) const { return statements[index.process][index.statement]; }
};

/// What can be judged only when the whole test is known: every wait is notified and comes to its
/// end, handles are open whenever they are used, descriptors are used as they were opened, and
/// nothing is too large. The test is completed (test.hpp). Throws parse_error.
void check(const test& test, const places& places, const source_text& source);

}  // namespace filemap::litmus
