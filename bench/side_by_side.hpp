#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <random>
#include <string>

namespace bench {

/// Does this many operations, and throws when one of them fails.
using block = std::function<void(std::uint64_t operations)>;

/// What the library promises; one of the two is set.
struct target {
  double ratio = 0;                                           ///< of the baseline's rate, at least
  double extra_ns = std::numeric_limits<double>::infinity();  ///< an operation, at most
};
constexpr target at_least(double ratio) { return {.ratio = ratio}; }
constexpr target at_most_extra(double nanoseconds) { return {.extra_ns = nanoseconds}; }

/// Compares a thing with its hand-written equivalent, in one process, on one thread.
///
/// A machine's speed drifts by more than what is to be measured: other programs, the frequency, the
/// host of a virtual machine. So nothing is compared with a figure of another minute. Both sides
/// run in blocks of some milliseconds, one of each make a pair, a coin decides which goes first,
/// and a result is the median of the pairs' ratios, with the least and the most of them.
class side_by_side {
 public:
  struct settings {
    unsigned pairs = 101;
    std::chrono::milliseconds block{5};  ///< about how long one takes
    std::uint64_t seed = 1;              ///< of the coin
    bool json = false;                   ///< one object a line, for tools/bench
    std::filesystem::path dir = "/dev/shm";
  };
  explicit side_by_side(const settings& settings);

  const std::filesystem::path& dir() const noexcept { return settings_.dir; }

  /// Measures and prints. `lanes` operations are in flight at once, so a block does a multiple.
  void compare(const std::string& name, std::uint64_t lanes, target target, const block& ours,
               const block& baseline);

 private:
  settings settings_;
  std::mt19937_64 coin_;
};

enum class files : bool { none, in_dir };

/// `main`: reads the command line (--help says what there is), runs `body` and returns the exit
/// status: 0 also when a target was missed, 1 when something failed, 2 for a wrong option, 125 when
/// this kernel has no ring.
int run(int argc, char** argv, const std::string& description, void (*body)(side_by_side&),
        files needs = files::none);

/// Throws when an operation did not end as it must.
inline void expect(bool as_expected, const char* what);
[[noreturn]] void fail(const char* what);

inline void expect(bool as_expected, const char* what) {
  if (!as_expected) [[unlikely]] {
    fail(what);
  }
}

}  // namespace bench
