#include "side_by_side.hpp"

#include "filemap/io/engine.hpp"

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

namespace bench {

namespace {

struct range {
  double median, least, most;
};

range summarise(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto middle = values.size() / 2;
  const auto median =
      values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {median, values.front(), values.back()};
}

double nanoseconds_of(const block& block, std::uint64_t operations) {
  const auto begin = std::chrono::steady_clock::now();
  block(operations);
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count();
}

// Also the warm-up of both sides.
std::uint64_t operations_in(std::chrono::nanoseconds wanted, std::uint64_t step, const block& ours,
                            const block& baseline) {
  auto operations = step;
  while (true) {
    ours(operations);
    const auto took = nanoseconds_of(baseline, operations);
    const auto factor = static_cast<double>(wanted.count()) / took;
    if (factor <= 2) {
      const auto steps = factor * static_cast<double>(operations) / static_cast<double>(step);
      return step * std::max<std::uint64_t>(1, static_cast<std::uint64_t>(steps));
    }
    operations *= 2;
  }
}

std::string json(const range& r) {
  return fmt::format(R"({{"median":{:.4f},"least":{:.4f},"most":{:.4f}}})", r.median, r.least,
                     r.most);
}

}  // namespace

side_by_side::side_by_side(const settings& settings) : settings_(settings), coin_(settings.seed) {
  if (settings_.json) return;
  fmt::print("{:<34}{:>11}{:>11}   {:<22}{:<26}{}\n", "", "ours", "baseline", "rate, of baseline's",
             "time over baseline's", "target");
}

void side_by_side::compare(const std::string& name, std::uint64_t lanes, target target,
                           const block& ours, const block& baseline) {
  const auto operations = operations_in(settings_.block, lanes, ours, baseline);
  std::vector<double> ours_ns, baseline_ns, ratios, extras;
  for (unsigned pair = 0; pair < settings_.pairs; ++pair) {
    const bool ours_first = (coin_() & 1) != 0;
    auto first = nanoseconds_of(ours_first ? ours : baseline, operations);
    auto second = nanoseconds_of(ours_first ? baseline : ours, operations);
    if (!ours_first) std::swap(first, second);
    const auto count = static_cast<double>(operations);
    ours_ns.push_back(first / count);
    baseline_ns.push_back(second / count);
    ratios.push_back(second / first);
    extras.push_back((first - second) / count);
  }

  const auto a = summarise(std::move(ours_ns));
  const auto b = summarise(std::move(baseline_ns));
  const auto ratio = summarise(std::move(ratios));
  const auto extra = summarise(std::move(extras));
  const bool met = ratio.median >= target.ratio && extra.median <= target.extra_ns;
  const auto wanted = target.ratio > 0 ? fmt::format("at least {:.2f}", target.ratio)
                                       : fmt::format("at most {:.0f} ns more", target.extra_ns);
  if (settings_.json) {
    fmt::print(R"({{"name":"{}","ours_ns":{},"baseline_ns":{},"ratio":{},"extra_ns":{},)"
               R"("promised":"{}","target":"{}","met":{},"pairs":{},"operations":{},"seed":{}}})"
               "\n",
               name, json(a), json(b), json(ratio), json(extra),
               target.ratio > 0 ? "ratio" : "extra_ns", wanted, met, settings_.pairs, operations,
               settings_.seed);
  } else {
    fmt::print("{:<34}{:>8.0f} ns{:>8.0f} ns   {:<22}{:<26}{}, {}\n", name, a.median, b.median,
               fmt::format("{:.3f} ({:.2f} to {:.2f})", ratio.median, ratio.least, ratio.most),
               fmt::format("{:.1f} ns ({:.0f} to {:.0f})", extra.median, extra.least, extra.most),
               wanted, met ? "met" : "MISSED");
  }
  std::fflush(stdout);
}

int run(int argc, char** argv, const std::string& description, void (*body)(side_by_side&),
        files needs) {
  side_by_side::settings settings;
  auto block_ms = settings.block.count();
  CLI::App app{
      description +
      "\n\nBoth sides run in short blocks, in pairs, in shuffled order; figures are medians "
      "(least to most)."};
  app.add_option("--pairs", settings.pairs, "Pairs of blocks")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--block-ms", block_ms, "Milliseconds that one block takes, about")
      ->check(CLI::Range(1, 60000))
      ->capture_default_str();
  app.add_option("--seed", settings.seed, "Of the coin that decides which side goes first")
      ->capture_default_str();
  app.add_flag("--json", settings.json, "Print one JSON object a line");
  if (needs == files::in_dir) {
    app.add_option("--dir", settings.dir, "Where the files are made")
        ->check(CLI::ExistingDirectory)
        ->capture_default_str();
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  settings.block = std::chrono::milliseconds{block_ms};

  try {
    side_by_side bench{settings};
    body(bench);
    return 0;
  } catch (const filemap::unsupported& why) {
    fmt::print(stderr, "{}\n", why.what());
    return 125;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}

void fail(const char* what) { throw std::runtime_error(what); }

}  // namespace bench
