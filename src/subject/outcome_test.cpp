#include "filemap/subject/outcome.hpp"

#include "testing.hpp"

#include <cerrno>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace filemap::litmus {
namespace {

constexpr std::string_view written = "abcdef";
constexpr std::string_view previous = "uvwxyz";

/// What a reader of `data` and `size` saw when "abcdef" was written and its first `flushed` bytes
/// were acknowledged as flushed.
observation seen(std::uint64_t flushed, std::uint64_t size, std::string_view data,
                 std::string_view before = {}) {
  return classify(flushed, size, bytes(data), bytes(written), bytes(before));
}

TEST(classify, is_ok_when_all_that_was_flushed_is_there) {
  const auto all = seen(6, 6, "abcdef");
  EXPECT_EQ(all.what, outcome::ok);
  EXPECT_EQ(all.wrong, wrong_bytes::none);
  EXPECT_EQ(all.flushed, 6U);
  EXPECT_EQ(all.size, 6U);
  EXPECT_EQ(all.read, 6U);
}

TEST(classify, does_not_mind_more_than_was_flushed) {
  EXPECT_EQ(seen(3, 6, "abc").what, outcome::ok);
  EXPECT_EQ(seen(3, 6, "abcdef").what, outcome::ok);
}

TEST(classify, does_not_call_an_empty_file_wrong_when_nothing_was_flushed) {
  EXPECT_EQ(seen(0, 0, "").what, outcome::ok);
}

TEST(classify, tells_size_zero_even_when_the_read_succeeds) {
  const auto late = seen(6, 0, "abcdef");
  EXPECT_EQ(late.what, outcome::size_zero);
  EXPECT_EQ(late.size, 0U);
  EXPECT_EQ(late.read, 6U);
}

TEST(classify, tells_size_short) {
  EXPECT_EQ(seen(6, 5, "abcde").what, outcome::size_short);
  EXPECT_EQ(seen(6, 1, "").what, outcome::size_short);
}

TEST(classify, tells_data_short_when_the_size_was_right) {
  EXPECT_EQ(seen(6, 6, "abcde").what, outcome::data_short);
  EXPECT_EQ(seen(6, 6, "").what, outcome::data_short);
}

TEST(classify, tells_zeros_from_old_data_from_neither) {
  constexpr std::string_view hole("abc\0\0\0", 6);
  EXPECT_EQ(seen(6, 6, hole, previous).what, outcome::data_mismatch);
  EXPECT_EQ(seen(6, 6, hole, previous).wrong, wrong_bytes::zeros);
  EXPECT_EQ(seen(6, 6, "abcxyz", previous).wrong, wrong_bytes::old);
  EXPECT_EQ(seen(6, 6, "uvwxyz", previous).wrong, wrong_bytes::old);
  EXPECT_EQ(seen(6, 6, "abc!yz", previous).wrong, wrong_bytes::neither);
  EXPECT_EQ(seen(6, 6, "fedcba", previous).wrong, wrong_bytes::neither);
}

TEST(classify, does_not_call_a_mixture_of_zeros_and_old_data_either) {
  constexpr std::string_view mixture("ab\0xyz", 6);
  EXPECT_EQ(seen(6, 6, mixture, previous).wrong, wrong_bytes::neither);
}

TEST(classify, knows_no_old_data_of_a_fresh_file) {
  EXPECT_EQ(seen(6, 6, "uvwxyz").wrong, wrong_bytes::neither);
}

TEST(classify, compares_beyond_what_was_flushed_no_further_than_was_read) {
  EXPECT_EQ(seen(3, 6, "abcXXX").what, outcome::data_mismatch);
}

TEST(outcome, is_a_violation_only_when_the_reader_missed_something) {
  EXPECT_FALSE(is_violation(outcome::ok));
  EXPECT_TRUE(is_violation(outcome::size_zero));
  EXPECT_TRUE(is_violation(outcome::size_short));
  EXPECT_TRUE(is_violation(outcome::data_short));
  EXPECT_TRUE(is_violation(outcome::data_mismatch));
  EXPECT_FALSE(is_violation(outcome::error));
  EXPECT_FALSE(is_violation(outcome::hang));
}

TEST(outcome, has_a_word_of_its_own) {
  EXPECT_EQ(to_string(outcome::ok), "ok");
  EXPECT_EQ(to_string(outcome::size_zero), "size-zero");
  EXPECT_EQ(to_string(outcome::size_short), "size-short");
  EXPECT_EQ(to_string(outcome::data_short), "data-short");
  EXPECT_EQ(to_string(outcome::data_mismatch), "data-mismatch");
  EXPECT_EQ(to_string(outcome::error), "error");
  EXPECT_EQ(to_string(outcome::hang), "hang");
}

TEST(observation, label_says_what_the_wrong_bytes_were) {
  EXPECT_EQ(seen(6, 6, "uvwxyz", previous).label(), "data-mismatch (old)");
  EXPECT_EQ(seen(6, 6, "fedcba", previous).label(), "data-mismatch (neither)");
  EXPECT_EQ(seen(6, 6, "abcdef").label(), "ok");
  EXPECT_EQ(seen(6, 0, "").label(), "size-zero");
}

TEST(observation, label_says_which_operation_failed_and_how) {
  observation failed;
  failed.what = outcome::error;
  failed.failed = verb::fsync;
  failed.error = EIO;
  EXPECT_EQ(failed.label(), "error (fsync: EIO)");
  failed.failed = verb::append;
  failed.error = 0;
  EXPECT_EQ(failed.label(), "error (append: short)");
  failed.error = 4095;
  EXPECT_EQ(failed.label(), "error (append: unknown errno)");
}

}  // namespace
}  // namespace filemap::litmus
