#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#pragma GCC visibility push(default)

namespace filemap {

struct interval {
  double low;
  double high;
};

/// The probabilities of success that `successes` in `trials` leaves open: the exact interval of
/// Clopper and Pearson (Biometrika 26, 1934, 404–413), from Boost.Math. It needs no minimum of
/// trials or of successes.
///
/// With no success, or nothing but successes, one side is 0 or 1 by itself, and all of the error is
/// spent on the other: 0 in N has the *one-sided* upper bound 1 - (1 - confidence)^(1/N), at 95 %
/// the "rule of three", 3/N (Hanley and Lippman-Hand, JAMA 249, 1983, 1743–1745; Louis, The
/// American Statistician 35, 1981, 154). That is the bound to print next to "Never". Its price: a
/// truth between it and the two-sided bound can be missed on either side, by the whole of the error
/// and by half of it. At 95 % such a truth is covered in 92.5 % of repetitions or more, every other
/// one in 95 % (enumerated in stats_test.cpp).
///
/// No trials give {0, 1}. `successes <= trials < 2^53` and `0 < confidence < 1` are asserted.
interval proportion_interval(std::uint64_t successes, std::uint64_t trials,
                             double confidence = 0.95);

/// The two-sided p-value of Fisher's exact test: if A and B were equally bad, how probable is a
/// split of these bad outcomes at most as probable as the one seen? (What R's `fisher.test` and
/// SciPy's `fisher_exact` compute for a 2 × 2 table.) Splits within 1e-7 of the observed one's
/// probability count as tied with it, as in R. A p-value below about 1e-300 comes back as 0.
///
/// Takes microseconds for small counts and about one millisecond for ten million trials a side.
/// `bad <= trials` is asserted; trials are to be below 2^53.
double fisher_exact(std::uint64_t bad_a, std::uint64_t trials_a, std::uint64_t bad_b,
                    std::uint64_t trials_b);

/// Adjusts the p-values of a family of comparisons so that calling every result at or below α real
/// is wrong about any of them with probability at most α (Holm, Scandinavian Journal of Statistics
/// 6, 1979, 65–70). Needs no independence. The answers stand in the order of the questions.
std::vector<double> holm(std::vector<double> p);

/// What is told of how long things took: of a histogram, but small.
struct latency_summary {
  std::uint64_t count = 0;
  std::chrono::nanoseconds min{0};
  std::chrono::nanoseconds p50{0};
  std::chrono::nanoseconds p99{0};
  std::chrono::nanoseconds p99_9{0};
  std::chrono::nanoseconds max{0};
  std::chrono::nanoseconds mean{0};
};

/// How long things took: a histogram of fixed size, whose buckets widen with the value.
///
/// Below 128 ns a bucket is 1 ns wide; from there each power of two is divided into 64 buckets of
/// equal width. So a percentile is at most 1/64 (1.6 %) above the recorded value it stands for, and
/// never below it. Values of 2^42 ns (73 minutes) and more share the last bucket. The whole is
/// 18.5 KiB; record() is a handful of instructions and allocates nothing.
///
/// It is HdrHistogram's idea and would be HdrHistogram's C library, were that in Debian 12 (only
/// the Go and Java ones are). Not a sorted vector: that grows with the rounds, in the middle of
/// what is being timed. Not a sketch (t-digest, DDSketch): those promise less or allocate.
///
/// Not synchronised: one per thread, then merge().
class latency_histogram {
 public:
  using nanoseconds = std::chrono::nanoseconds;

  /// Asserts that `latency` is not negative.
  void record(nanoseconds latency) noexcept;

  /// Afterwards this is what it would be, had it recorded the other's values too.
  void merge(const latency_histogram& other) noexcept;

  std::uint64_t count() const noexcept { return count_; }

  /// min(), max() and mean() come from the values themselves, not from the buckets. All three, and
  /// every percentile, are 0 when nothing was recorded. The mean is rounded down; it is exact while
  /// the values add up to less than 2^64 ns (584 years).
  nanoseconds min() const noexcept { return count_ == 0 ? nanoseconds{0} : min_; }
  nanoseconds max() const noexcept { return max_; }
  nanoseconds mean() const noexcept;

  /// The nearest-rank percentile, `p` in [0, 100] (asserted): an upper bound for at least p % of
  /// the recorded values. It is the upper edge of a bucket, but never more than max(); and max()
  /// itself in the last bucket, which has no edge.
  nanoseconds percentile(double p) const noexcept;

  latency_summary summary() const noexcept;

 private:
  // 2^6 buckets a power of two; the last power of two covered is [2^41, 2^42).
  static constexpr unsigned sub_bits = 6;
  static constexpr unsigned range_bits = 42;
  static constexpr std::size_t bucket_count = (range_bits - sub_bits + 1) << sub_bits;

  static std::size_t bucket_of(std::uint64_t value) noexcept;
  static std::uint64_t upper_edge(std::size_t bucket) noexcept;

  std::array<std::uint64_t, bucket_count> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  nanoseconds min_ = nanoseconds::max();
  nanoseconds max_{0};
};

}  // namespace filemap

#pragma GCC visibility pop
