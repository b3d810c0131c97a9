#include "filemap/base/stats.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include <boost/math/distributions/binomial.hpp>

namespace filemap {

interval proportion_interval(std::uint64_t successes, std::uint64_t trials, double confidence) {
  assert(successes <= trials);
  assert(trials < std::uint64_t{1} << 53);  // a double holds it exactly
  assert(confidence > 0 && confidence < 1);
  if (trials == 0) return {0, 1};

  using binomial = boost::math::binomial_distribution<double>;
  const auto n = static_cast<double>(trials);
  const auto k = static_cast<double>(successes);
  const bool one_sided = successes == 0 || successes == trials;
  const double tail = one_sided ? 1 - confidence : (1 - confidence) / 2;
  return {binomial::find_lower_bound_on_p(n, k, tail), binomial::find_upper_bound_on_p(n, k, tail)};
}

// Boost's hypergeometric distribution has the probability of one split, right up to 2^32 trials;
// but at up to 20 µs a call, and a table of three million bad outcomes has three million splits.
// And two splits that tie by symmetry need not come out equal. Here each split's weight follows
// from its neighbour's by one multiplication, outwards from the most probable split, which
// weighs 1. The weights fall like a normal density's, so both walks end by underflow within 40
// standard deviations (90,000 steps for ten million trials a side), and only ratios of weights are
// needed.
double fisher_exact(std::uint64_t bad_a, std::uint64_t trials_a, std::uint64_t bad_b,
                    std::uint64_t trials_b) {
  assert(bad_a <= trials_a && bad_b <= trials_b);
  const auto a = static_cast<double>(trials_a);
  const auto b = static_cast<double>(trials_b);
  const auto bad = static_cast<double>(bad_a + bad_b);
  const auto observed = static_cast<double>(bad_a);

  // k of the bad outcomes fall to A. From k to k + 1 the weight grows by this factor.
  const auto growth = [&](double k) { return (bad - k) / (k + 1) * ((a - k) / (b - bad + k + 1)); };
  const double lowest = std::max(0.0, bad - b);
  const double highest = std::min(a, bad);
  const double mode = std::clamp(std::floor((a + 1) * ((bad + 1) / (a + b + 2))), lowest, highest);
  const double negligible = std::numeric_limits<double>::min();

  double observed_weight = 0;  // stays 0 if it underflows
  const auto walk = [&](auto&& visit) {
    double weight = 1;
    for (double k = mode; weight >= negligible; ++k) {  // growth(highest) is 0
      visit(k, weight);
      weight *= growth(k);
    }
    weight = 1;
    for (double k = mode; k > lowest; --k) {
      weight /= growth(k - 1);
      if (weight < negligible) break;
      visit(k - 1, weight);
    }
  };
  walk([&](double k, double weight) {
    if (k == observed) observed_weight = weight;
  });

  double all = 0;
  double as_extreme = 0;
  const double tie = observed_weight * (1 + 1e-7);
  walk([&](double, double weight) {
    all += weight;
    if (weight <= tie) as_extreme += weight;
  });
  return as_extreme / all;
}

std::vector<double> holm(std::vector<double> p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](auto i, auto j) { return p[i] < p[j]; });

  double largest = 0;  // an adjusted value is never below that of a smaller p
  auto remaining = static_cast<double>(p.size());
  for (const std::size_t i : order) {
    largest = std::max(largest, std::min(1.0, remaining-- * p[i]));
    p[i] = largest;
  }
  return p;
}

// The six bits below the leading one select the bucket within its power of two. With the leading
// one itself they are in [64, 128), so the powers of two follow each other without a gap, and below
// 128 (shift 0) the bucket is the value.
std::size_t latency_histogram::bucket_of(std::uint64_t value) noexcept {
  const auto width = static_cast<unsigned>(std::bit_width(value));
  if (width > range_bits) return bucket_count - 1;
  const unsigned shift = width > sub_bits ? width - sub_bits - 1 : 0;
  return (std::size_t{shift} << sub_bits) + static_cast<std::size_t>(value >> shift);
}

std::uint64_t latency_histogram::upper_edge(std::size_t bucket) noexcept {
  if (bucket < std::size_t{2} << sub_bits) return bucket;
  const std::size_t shift = (bucket >> sub_bits) - 1;
  const std::uint64_t leading = bucket - (shift << sub_bits);
  return ((leading + 1) << shift) - 1;
}

void latency_histogram::record(nanoseconds latency) noexcept {
  assert(latency >= nanoseconds{0});
  const auto value = static_cast<std::uint64_t>(latency.count());
  ++buckets_[bucket_of(value)];
  ++count_;
  sum_ += value;
  min_ = std::min(min_, latency);
  max_ = std::max(max_, latency);
}

void latency_histogram::merge(const latency_histogram& other) noexcept {
  for (std::size_t i = 0; i < bucket_count; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

latency_histogram::nanoseconds latency_histogram::mean() const noexcept {
  return nanoseconds{count_ == 0 ? 0 : static_cast<std::int64_t>(sum_ / count_)};
}

latency_histogram::nanoseconds latency_histogram::percentile(double p) const noexcept {
  assert(p >= 0 && p <= 100);
  // p * count first: 99.9 / 100 * 1000 is a little above 999, and would take the 1000th value.
  const double rank = std::max(1.0, std::ceil(p * static_cast<double>(count_) / 100));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < bucket_count - 1; ++i) {
    seen += buckets_[i];
    if (static_cast<double>(seen) >= rank) {
      return std::min(max_, nanoseconds{static_cast<std::int64_t>(upper_edge(i))});
    }
  }
  return max_;
}

latency_summary latency_histogram::summary() const noexcept {
  return {count_, min(), percentile(50), percentile(99), percentile(99.9), max(), mean()};
}

}  // namespace filemap
