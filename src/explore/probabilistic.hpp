#pragma once

#include "chooser.hpp"

#include <cstdint>
#include <random>
#include <vector>

namespace filemap {

/// As many schedules as one wants, drawn by probabilistic concurrency testing (Burckhardt, Kothari,
/// Musuvathi, Nagarakatte, ASPLOS 2010): each stream of steps has a random priority, the first in
/// priority is executed, and at d - 1 random points the one that would be falls behind all others.
/// A bad state that takes d ordering constraints is found with a probability of at least
/// 1 / (n k^(d-1)) by each sample, of n streams and k choices. Of steps of one stream one is drawn.
class probabilistic final : public chooser {
 public:
  probabilistic(std::uint64_t seed, unsigned depth) : random_(seed), depth_(depth) {}

  bool begin() override;
  std::size_t choose(std::span<const candidate> held) override;

 private:
  struct stream {
    std::uint32_t number;
    std::uint64_t priority;
  };

  std::uint64_t below(std::uint64_t end) {
    return std::uniform_int_distribution<std::uint64_t>(0, end - 1)(random_);
  }
  stream& stream_of(const candidate& name);
  std::size_t first_of(std::span<const candidate> held);

  std::mt19937_64 random_;
  const unsigned depth_;
  std::uint64_t most_points_ = 1;  // of the runs until now
  std::uint64_t at_ = 0;
  std::vector<std::uint64_t> changes_;  // the points at which a priority falls
  std::vector<stream> streams_;
};

}  // namespace filemap
