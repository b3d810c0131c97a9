#include "filemap/base/stats.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace filemap {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

double choose(unsigned n, unsigned k) {
  double ways = 1;
  for (unsigned i = 1; i <= k; ++i) ways = ways * (n - k + i) / i;
  return ways;
}

/// How often intervals of `trials` at 95 % contain `truth`, over every number of successes.
double coverage(const std::vector<interval>& intervals, double truth) {
  const auto trials = static_cast<unsigned>(intervals.size() - 1);
  double covered = 0;
  for (unsigned k = 0; k <= trials; ++k) {
    if (truth < intervals[k].low || truth > intervals[k].high) continue;
    covered += choose(trials, k) * std::pow(truth, k) * std::pow(1 - truth, trials - k);
  }
  return covered;
}

std::vector<interval> intervals_of(unsigned trials) {
  std::vector<interval> result;
  for (unsigned k = 0; k <= trials; ++k) result.push_back(proportion_interval(k, trials));
  return result;
}

// R. G. Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine
// 17 (1998), table I, method 5 (Clopper-Pearson).
TEST(proportion_interval, agrees_with_the_published_table) {
  const auto check = [](std::uint64_t k, std::uint64_t n, double low, double high) {
    const interval found = proportion_interval(k, n);
    EXPECT_NEAR(found.low, low, 5e-5) << k << " in " << n;
    EXPECT_NEAR(found.high, high, 5e-5) << k << " in " << n;
  };
  check(81, 263, 0.2527, 0.3676);
  check(15, 148, 0.0578, 0.1617);
  check(1, 29, 0.0009, 0.1776);
}

// The table's fourth row is two-sided: its upper bound for 0 in 20 is our one-sided one at 97.5 %.
TEST(proportion_interval, spends_all_of_the_error_on_the_one_side_there_is) {
  EXPECT_NEAR(proportion_interval(0, 20, 0.975).high, 0.1684, 5e-5);
  EXPECT_NEAR(proportion_interval(20, 20, 0.975).low, 1 - 0.1684, 5e-5);
}

TEST(proportion_interval, zero_in_n_has_the_rule_of_three_as_upper_bound) {
  for (const std::uint64_t n : {100U, 1'000U, 20'000U, 10'000'000U}) {
    const interval found = proportion_interval(0, n);
    const auto trials = static_cast<double>(n);
    EXPECT_EQ(found.low, 0) << n;
    EXPECT_NEAR(found.high * trials, 3, 0.05) << n;  // -ln 0.05 is 2.996
    EXPECT_NEAR(std::pow(1 - found.high, trials), 0.05, 1e-9) << n;
  }
}

TEST(proportion_interval, no_trials_say_nothing) {
  EXPECT_EQ(proportion_interval(0, 0).low, 0);
  EXPECT_EQ(proportion_interval(0, 0).high, 1);
}

TEST(proportion_interval, swapping_success_and_failure_mirrors_it) {
  for (unsigned k = 0; k <= 37; ++k) {
    const interval found = proportion_interval(k, 37);
    const interval mirrored = proportion_interval(37 - k, 37);
    EXPECT_NEAR(found.low, 1 - mirrored.high, 1e-12) << k;
    EXPECT_NEAR(found.high, 1 - mirrored.low, 1e-12) << k;
  }
}

// For few events the binomial is Poisson, whose exact limits for 1 event are 0.0253 and 5.572.
TEST(proportion_interval, one_in_ten_million_has_the_poisson_limits) {
  const interval found = proportion_interval(1, 10'000'000);
  EXPECT_NEAR(found.low * 1e7, 0.025318, 1e-6);
  EXPECT_NEAR(found.high * 1e7, 5.571643, 1e-5);
}

TEST(proportion_interval, half_of_ten_million_has_the_normal_limits) {
  const interval found = proportion_interval(5'000'000, 10'000'000);
  const double half_width = 1.959964 * std::sqrt(0.25 / 1e7);
  EXPECT_NEAR(found.low, 0.5 - half_width, 1e-7);
  EXPECT_NEAR(found.high, 0.5 + half_width, 1e-7);
}

// Coverage is lowest just outside the end of an interval, so these are the only truths to try.
TEST(proportion_interval, covers_the_truth_as_often_as_documented) {
  double worst = 1;
  for (unsigned n = 1; n <= 150; ++n) {
    const std::vector<interval> all = intervals_of(n);
    // 0 in n and n in n exclude more than a two-sided interval would: these truths are theirs.
    const double two_sided = proportion_interval(0, n, 0.975).high;
    for (const interval& one : all) {
      for (const double truth : {one.low - 1e-9, one.high + 1e-9}) {
        if (truth <= 0 || truth >= 1) continue;
        const double covered = coverage(all, truth);
        worst = std::min(worst, covered);
        const bool ours = truth < two_sided || truth > 1 - two_sided;
        EXPECT_GE(covered, ours ? 0.925 : 0.95) << "truth " << truth << " in " << n;
      }
    }
  }
  EXPECT_LT(worst, 0.95) << "then the documentation claims a price that is not paid";
}

// Fisher, The Design of Experiments (1935): the lady tasting tea.
TEST(fisher_exact, tea_tasting) {
  EXPECT_NEAR(fisher_exact(3, 4, 1, 4), 34.0 / 70, 1e-12);
  EXPECT_NEAR(fisher_exact(4, 4, 0, 4), 2.0 / 70, 1e-12);
}

// The examples of R's ?fisher.test (Fisher's convicted twins) and of SciPy's fisher_exact.
TEST(fisher_exact, agrees_with_r_and_scipy) {
  EXPECT_NEAR(fisher_exact(2, 12, 15, 18), 0.0005367, 5e-8);
  EXPECT_NEAR(fisher_exact(8, 10, 1, 6), 0.0349650, 5e-8);
}

TEST(fisher_exact, agrees_with_enumeration_for_every_small_table) {
  for (unsigned a = 0; a <= 9; ++a) {
    for (unsigned b = 0; b <= 7; ++b) {
      for (unsigned bad_a = 0; bad_a <= a; ++bad_a) {
        for (unsigned bad_b = 0; bad_b <= b; ++bad_b) {
          const unsigned bad = bad_a + bad_b;
          const auto ways = [&](unsigned k) { return choose(a, k) * choose(b, bad - k); };
          double as_extreme = 0;
          for (unsigned k = bad > b ? bad - b : 0; k <= std::min(a, bad); ++k) {
            if (ways(k) <= ways(bad_a)) as_extreme += ways(k);  // whole numbers: ties are exact
          }
          EXPECT_NEAR(fisher_exact(bad_a, a, bad_b, b), as_extreme / choose(a + b, bad), 1e-12)
              << bad_a << " in " << a << ", " << bad_b << " in " << b;
        }
      }
    }
  }
}

TEST(fisher_exact, equal_proportions_are_no_evidence) {
  EXPECT_NEAR(fisher_exact(0, 10'000'000, 0, 10'000'000), 1, 1e-9);
  EXPECT_NEAR(fisher_exact(7, 10'000'000, 7, 10'000'000), 1, 1e-9);
  EXPECT_NEAR(fisher_exact(5'000'000, 10'000'000, 5'000'000, 10'000'000), 1, 1e-9);
  EXPECT_EQ(fisher_exact(0, 0, 3, 5), 1);
  EXPECT_EQ(fisher_exact(0, 0, 0, 0), 1);
}

// Few bad outcomes fall to either of two equal sides like coins.
TEST(fisher_exact, few_in_ten_million_are_tossed_coins) {
  EXPECT_NEAR(fisher_exact(0, 10'000'000, 1, 10'000'000), 1, 1e-9);
  EXPECT_NEAR(fisher_exact(0, 10'000'000, 5, 10'000'000), 2.0 / 32, 1e-6);
  EXPECT_NEAR(fisher_exact(20, 10'000'000, 0, 10'000'000), std::ldexp(1, -19), 1e-10);
}

TEST(fisher_exact, many_in_ten_million_are_normal) {
  const double bad_a = 5'000'000;
  const double bad_b = 5'005'000;
  const double pooled = (bad_a + bad_b) / 2e7;
  const double z = (bad_b - bad_a - 1) / std::sqrt(2e7 * pooled * (1 - pooled));  // Yates
  EXPECT_NEAR(fisher_exact(5'000'000, 10'000'000, 5'005'000, 10'000'000),
              std::erfc(z / std::sqrt(2.0)), 1e-6);
}

TEST(fisher_exact, overwhelming_evidence_underflows_to_zero) {
  EXPECT_EQ(fisher_exact(10'000'000, 10'000'000, 0, 10'000'000), 0);
  EXPECT_GT(fisher_exact(400, 400, 0, 400), 0);  // 2 / (800 choose 400), about 1e-239
}

TEST(fisher_exact, does_not_care_which_side_or_outcome_is_named_first) {
  const double p = fisher_exact(3, 1'000, 17, 1'500);
  EXPECT_NEAR(fisher_exact(17, 1'500, 3, 1'000), p, 1e-12);
  EXPECT_NEAR(fisher_exact(997, 1'000, 1'483, 1'500), p, 1e-12);
}

// R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm").
TEST(holm, agrees_with_r) {
  const std::vector<double> adjusted = holm({0.01, 0.04, 0.03, 0.005});
  const std::vector<double> expected = {0.03, 0.06, 0.06, 0.02};
  ASSERT_EQ(adjusted.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(adjusted[i], expected[i], 1e-12);
}

TEST(holm, never_exceeds_one_and_takes_any_number) {
  EXPECT_TRUE(holm({}).empty());
  EXPECT_EQ(holm({0.04}), std::vector<double>{0.04});
  EXPECT_EQ(holm({0.9, 0.8, 0.9}), (std::vector<double>{1, 1, 1}));
}

nanoseconds nearest_rank(const std::vector<nanoseconds>& sorted, double p) {
  const double rank = std::ceil(p * static_cast<double>(sorted.size()) / 100);
  return sorted[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

/// From nanoseconds to an hour, as many in each power of two.
std::vector<nanoseconds> random_latencies(std::size_t count, unsigned seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> exponent(0, std::log2(nanoseconds(1h).count()));
  std::vector<nanoseconds> result(count);
  for (nanoseconds& one : result) {
    one = nanoseconds{static_cast<std::int64_t>(std::exp2(exponent(random)))};
  }
  return result;
}

TEST(latency_histogram, stays_within_32_kib) { EXPECT_LT(sizeof(latency_histogram), 32U * 1024); }

TEST(latency_histogram, is_all_zeros_when_nothing_was_recorded) {
  const latency_histogram empty;
  EXPECT_EQ(empty.count(), 0U);
  EXPECT_EQ(empty.min(), 0ns);
  EXPECT_EQ(empty.max(), 0ns);
  EXPECT_EQ(empty.mean(), 0ns);
  EXPECT_EQ(empty.percentile(50), 0ns);
}

TEST(latency_histogram, percentiles_are_within_a_64th_above_those_of_a_sorted_vector) {
  std::vector<nanoseconds> sorted = random_latencies(100'000, 4796);
  latency_histogram histogram;
  for (const nanoseconds one : sorted) histogram.record(one);
  std::sort(sorted.begin(), sorted.end());

  for (const double p : {0.0, 0.1, 1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 100.0}) {
    const nanoseconds exact = nearest_rank(sorted, p);
    EXPECT_GE(histogram.percentile(p), exact) << p;
    EXPECT_LE(histogram.percentile(p), exact + exact / 64) << p;
  }
  EXPECT_EQ(histogram.min(), sorted.front());
  EXPECT_EQ(histogram.max(), sorted.back());
}

// Alone with something larger, a value must come back as the upper edge of its own bucket: this
// walks every edge from both sides, so a gap or an overlap between two powers of two shows.
TEST(latency_histogram, every_power_of_two_and_its_neighbours_find_their_bucket) {
  for (unsigned bits = 0; bits < 42; ++bits) {
    for (const std::int64_t offset : {-1, 0, 1}) {
      const nanoseconds value{std::max<std::int64_t>(0, (std::int64_t{1} << bits) + offset)};
      latency_histogram histogram;
      histogram.record(value);
      histogram.record(nanoseconds::max());
      EXPECT_GE(histogram.percentile(50), value);
      EXPECT_LE(histogram.percentile(50), value + value / 64);
    }
  }
}

TEST(latency_histogram, is_exact_below_128_ns) {
  latency_histogram histogram;
  for (int i = 1; i <= 100; ++i) histogram.record(nanoseconds{i});
  for (int i = 1; i <= 100; ++i) EXPECT_EQ(histogram.percentile(i), nanoseconds{i});
  EXPECT_EQ(histogram.mean(), 50ns);  // 50.5, rounded down
}

TEST(latency_histogram, ranks_do_not_suffer_from_rounding) {
  latency_histogram histogram;
  for (int i = 0; i < 999; ++i) histogram.record(1ns);
  histogram.record(100ns);
  EXPECT_EQ(histogram.percentile(99.9), 1ns);
  EXPECT_EQ(histogram.percentile(99.91), 100ns);
}

TEST(latency_histogram, a_percentile_is_never_above_the_maximum) {
  latency_histogram histogram;
  histogram.record(1'000'001ns);
  EXPECT_EQ(histogram.percentile(100), 1'000'001ns);
  EXPECT_EQ(histogram.percentile(0), 1'000'001ns);
}

TEST(latency_histogram, beyond_its_range_the_maximum_stays_exact) {
  latency_histogram histogram;
  histogram.record(1us);
  histogram.record(60min);
  histogram.record(100h);
  EXPECT_LE(histogram.percentile(60), nanoseconds(60min) + nanoseconds(60min) / 64);
  EXPECT_EQ(histogram.percentile(100), 100h);
  EXPECT_EQ(histogram.max(), 100h);
  EXPECT_EQ(histogram.count(), 3U);
}

TEST(latency_histogram, merging_equals_recording_everything_in_one) {
  latency_histogram left;
  latency_histogram right;
  latency_histogram both;
  for (const nanoseconds one : random_latencies(5'000, 1)) {
    left.record(one);
    both.record(one);
  }
  for (const nanoseconds one : random_latencies(300, 2)) {
    right.record(one);
    both.record(one);
  }
  left.merge(right);
  left.merge(latency_histogram{});

  EXPECT_EQ(left.count(), both.count());
  EXPECT_EQ(left.min(), both.min());
  EXPECT_EQ(left.max(), both.max());
  EXPECT_EQ(left.mean(), both.mean());
  for (int p = 0; p <= 100; ++p) EXPECT_EQ(left.percentile(p), both.percentile(p)) << p;
}

}  // namespace
}  // namespace filemap
