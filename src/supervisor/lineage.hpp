#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <sys/types.h>
#include <vector>

namespace filemap {

/// Names processes so that a name means the same in the next run: "0.2.1" is the second child
/// (from 0) of the third child of the command. A parent forks in the order of its program,
/// whichever of its children the kernel lets run first.
class lineage {
 public:
  /// `root`: whose child the command is.
  explicit lineage(pid_t root) : root_(root) {}

  /// The process is about to make a child.
  void forks(pid_t process);
  /// To be called when it is heard of first: of a process whose parent is gone no more can be said
  /// than that it came so.
  const std::string& name_of(pid_t process);

 private:
  struct member {
    std::string name;
    std::uint32_t children = 0;           // that were announced
    std::vector<std::uint32_t> expected;  // of these, who has not been heard of
  };

  const pid_t root_;
  std::map<pid_t, member> members_;
  std::uint32_t orphans_ = 0;
};

}  // namespace filemap
