#pragma once

#include "filemap/io/engines.hpp"
#include "filemap/litmus/mode.hpp"

#include <memory>

namespace filemap::litmus {

/// For tests: the engine of a mode, with its defaults. Throws `unsupported` where there is no ring.
inline std::unique_ptr<engine> default_engine(engine_kind kind) {
  switch (kind) {
    case engine_kind::uring:
      return make_uring_engine();
    case engine_kind::pool:
      return make_pool_engine();
    case engine_kind::sync:
    case engine_kind::driver:
      break;
  }
  return make_sync_engine();
}

}  // namespace filemap::litmus
