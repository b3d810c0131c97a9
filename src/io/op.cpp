#include "filemap/io/op.hpp"

#include "op_table.hpp"

namespace filemap {

std::string_view to_string(opcode code) noexcept { return row_of(code).name; }

}  // namespace filemap
