#include "subject/patterns.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

namespace filemap::litmus {
namespace {

/// A test whose only statements write these slices.
test writing(std::vector<std::string> names, const std::vector<slice>& slices) {
  test made;
  made.patterns = std::move(names);
  auto& process = made.processes.emplace_back();
  for (const auto& slice : slices) {
    auto& write = process.body.emplace_back();
    write.what = verb::write;
    write.data = slice;
  }
  return made;
}

std::vector<std::byte> joined(const patterns& bytes, const std::vector<slice>& slices) {
  std::vector<std::byte> all;
  for (const auto& slice : slices) {
    const auto part = bytes.bytes(slice);
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

contents contents_of(const std::vector<slice>& slices) {
  contents made;
  for (const auto& slice : slices) made.append(slice);
  return made;
}

TEST(patterns, have_no_byte_in_common_and_none_that_is_zero) {
  patterns bytes(writing({"zeros", "a", "b", "c"}, {{1, 0, 999}, {2, 0, 999}, {3, 0, 999}}));
  bytes.fill(1, 2);
  bool seen[4][256] = {};
  for (std::uint16_t pattern = 1; pattern <= 3; ++pattern) {
    for (const auto byte : bytes.bytes({pattern, 0, 999})) {
      EXPECT_NE(byte, std::byte{0});
      seen[pattern][std::to_integer<int>(byte)] = true;
    }
  }
  for (int value = 0; value < 256; ++value) {
    EXPECT_LE(seen[1][value] + seen[2][value] + seen[3][value], 1) << value;
  }
}

TEST(patterns, differ_from_round_to_round_and_by_the_seed_alone) {
  const auto made = writing({"zeros", "a"}, {{1, 0, 64}});
  const auto bytes_of = [&](std::uint64_t seed, std::uint64_t round) {
    patterns bytes(made);
    bytes.fill(seed, round);
    return joined(bytes, {{1, 0, 64}});
  };
  EXPECT_EQ(bytes_of(7, 3), bytes_of(7, 3));
  EXPECT_NE(bytes_of(7, 3), bytes_of(7, 4));
  EXPECT_NE(bytes_of(7, 3), bytes_of(8, 3));
}

TEST(patterns, name_what_was_written_whatever_it_is_put_together_from) {
  const std::vector<std::vector<slice>> cases = {
      {},
      {{1, 0, 123}},
      {{1, 0, 123}, {1, 0, 123}},                    // appended twice
      {{2, 0, 4096}, {1, 4096, 4096}},               // a torn overwrite
      {{zeros, 0, 100}, {1, 0, 50}, {zeros, 0, 7}},  // holes
      {{1, 1000, 500}},                              // from where no slice of the test begins
      {{1, 0, 10}, {2, 0, 10}, {1, 10, 4000}},
      {{1, 0, 1}, {2, 0, 1}, {3, 0, 1}},
  };
  patterns bytes(writing({"zeros", "a", "b", "c"},
                         {{1, 0, 123}, {1, 0, 8192}, {2, 0, 8192}, {3, 0, 1}, {zeros, 0, 128}}));
  bytes.fill(42, 17);
  for (const auto& slices : cases) {
    EXPECT_EQ(bytes.name(joined(bytes, slices)), contents_of(slices)) << slices.size();
  }
}

TEST(patterns, do_not_take_another_rounds_bytes_for_this_ones) {
  patterns now(writing({"zeros", "a"}, {{1, 0, 256}}));
  auto before = now;
  now.fill(1, 2);
  before.fill(1, 1);
  EXPECT_EQ(now.name(joined(before, {{1, 0, 256}})), contents_of({{unknown_bytes, 0, 256}}));
}

}  // namespace
}  // namespace filemap::litmus
