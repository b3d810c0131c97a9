#pragma once

#include "filemap/litmus/mode.hpp"
#include "filemap/litmus/test.hpp"

#include "footprint.hpp"

#include <cstddef>
#include <vector>

namespace filemap::litmus {

/// Of a test in a mode: what its statements touch, and when it matters at which moment one begins.
class dependence {
 public:
  dependence(const test& test, const mode& mode);

  /// Can others see whether the statement (of a group: its first one) has begun, though no
  /// operation of it has executed? Then its beginning is a step of its own.
  bool begins_visibly(std::size_t process, std::size_t at) const noexcept {
    return facts_[process][at].begins_visibly;
  }
  /// Does it seek before it reads or writes? And what does that touch?
  bool seeks(std::size_t process, std::size_t at) const noexcept {
    return facts_[process][at].seeks;
  }
  const footprint& of_seeking(std::size_t process, std::size_t at) const noexcept {
    return facts_[process][at].seeking;
  }
  /// Of what happens when the process comes to the statement.
  const footprint& of_beginning(std::size_t process, std::size_t at) const noexcept {
    return facts_[process][at].beginning;
  }
  /// Of its operation. `behind`: of a write that was acknowledged when it was queued.
  const footprint& of_executing(std::size_t process, std::size_t at, bool behind) const noexcept {
    return behind ? facts_[process][at].behind : facts_[process][at].executing;
  }

 private:
  struct facts {
    bool begins_visibly = false;
    bool seeks = false;
    footprint beginning, seeking, executing, behind;
  };
  class analysis;

  std::vector<std::vector<facts>> facts_;  // by process and statement
};

/// The group that the statement is a member of; nullptr: none.
const group* group_of(const process_declaration& process, std::size_t at) noexcept;

}  // namespace filemap::litmus
