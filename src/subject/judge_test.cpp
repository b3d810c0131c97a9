#include "subject/judge.hpp"

#include "filemap/litmus/parser.hpp"

#include <cerrno>
#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace filemap::litmus {
namespace {

using standing = judgement::standing;

// A judge of a test in a mode, and evidence that is put together by hand.
class judged_test {
 public:
  explicit judged_test(std::string_view source, std::string_view mode = "uring",
                       const model_options& options = {}, short_reads are_short = short_reads::none)
      : test_(parse(source, "judged")),
        bytes_(test_),
        judge_(test_, std::make_shared<const model_result>(model(test_, *find_mode(mode), options)),
               are_short) {
    judge_.draw(bytes_, 1, 1);
    for (std::size_t p = 0; p < test_.processes.size(); ++p) {
      const auto& process = test_.processes[p];
      for (std::size_t i = 0; i < process.body.size(); ++i) {
        const auto& what = process.body[i];
        auto& result = seen.results[p][i];
        result.ended = is_file_operation(what.what);
        if (is_write(what.what)) result.res = static_cast<std::int64_t>(what.data.size);
      }
    }
  }

  const std::byte* bytes(slice of) const { return bytes_.bytes(of).data(); }
  std::vector<std::byte> copy(slice of) const {
    const auto from = bytes_.bytes(of);
    return {from.begin(), from.end()};
  }
  // A read that came to these bytes, which must live as long.
  void read(std::size_t process, std::size_t at, const std::vector<std::byte>& data) {
    const auto number = static_cast<std::size_t>(test_.processes[process].body[at].result);
    seen.registers[number].set = true;
    seen.registers[number].data = data;
    seen.results[process][at].res = static_cast<std::int64_t>(data.size());
  }
  judgement judged() { return judge_.of(seen, bytes_); }
  patterns& drawn() { return bytes_; }
  const judge& of() const { return judge_; }

 private:
  test test_;

 public:
  round_evidence seen{test_};

 private:
  patterns bytes_;
  judge judge_;
};

constexpr std::string_view overwrite = R"(F overwrite "?"
{ file f = old[4k]; handle w = open f; handle r = open f; }
P0 { write(w, 0, new[4k]); }
P1 { d = read(r, 0, 4k); }
exists (P1:d = new[4k]))";

constexpr slice of_old(std::uint64_t size) { return {1, 0, size}; }
constexpr slice of_new(std::uint64_t size) { return {2, 0, size}; }

TEST(judge, takes_a_part_of_a_read_for_it_where_reads_may_be_short) {
  for (const auto are_short : {short_reads::none, short_reads::some}) {
    judged_test t(overwrite, "uring", {}, are_short);
    const auto part = t.copy(of_new(100));
    t.read(1, 0, part);
    const bool is_allowed = t.judged().stands == judgement::standing::allowed;
    EXPECT_EQ(is_allowed, are_short == short_reads::some);
    const std::vector<std::byte> nothing;
    t.read(1, 0, nothing);
    EXPECT_EQ(t.judged().stands, judgement::standing::forbidden);
    auto other = part;
    other.back() ^= std::byte{0xff};
    t.read(1, 0, other);
    EXPECT_EQ(t.judged().stands, judgement::standing::forbidden);
  }
}

TEST(judge, cannot_tell_what_short_reads_leave_to_the_next_at_a_cursor) {
  judged_test t(overwrite, "uring", {}, short_reads::some_that_move_cursors);
  const std::vector<std::byte> nothing;
  t.read(1, 0, nothing);
  EXPECT_EQ(t.judged().stands, judgement::standing::not_judged);
}

TEST(judge, allows_what_the_model_says_byte_for_byte) {
  judged_test t(overwrite);
  const auto data = t.copy(of_new(4096));
  t.read(1, 0, data);
  const auto judged = t.judged();
  EXPECT_EQ(judged.stands, standing::allowed);
  EXPECT_TRUE(judged.counts);
  EXPECT_FALSE(judged.failure);
}

TEST(judge, takes_a_mixture_for_both_of_its_sides_and_for_nothing_else) {
  judged_test t(overwrite);
  auto data = t.copy(of_old(4096));
  std::copy_n(t.bytes(of_new(4096)), 100, data.begin());
  t.read(1, 0, data);
  const auto torn = t.judged();
  EXPECT_EQ(torn.stands, standing::allowed);
  EXPECT_FALSE(torn.counts);
  EXPECT_EQ(torn.state.registers[0].data.slices().front().pattern, 2);

  data[50] = std::byte{0};
  EXPECT_EQ(t.judged().stands, standing::forbidden);
  data[50] = t.bytes(of_new(4096))[51];
  if (data[50] != t.bytes(of_new(4096))[50] && data[50] != t.bytes(of_old(4096))[50]) {
    EXPECT_EQ(t.judged().stands, standing::forbidden);  // of the pattern, but not of that place
  }
}

TEST(judge, draws_bytes_again_that_two_contents_would_share) {
  judged_test t(R"(F edge "?"
{ file f = ""; handle w = open f; }
P0 { write(w, 0, a[0..1]); }
P1 { d = read(w, 0, 1); write(w, 0, a[1..2]); }
exists (P1:d = a[1..2]))");
  for (std::uint64_t round = 0; round < 2000; ++round) {
    t.of().draw(t.drawn(), 7, round);
    ASSERT_NE(*t.bytes({1, 0, 1}), *t.bytes({1, 1, 1})) << round;
  }
}

TEST(judge, takes_a_result_that_no_schedule_gives_for_the_environments) {
  for (const int error : {ENOSPC, EIO, EMFILE, EPERM, ENOENT, ECANCELED, ENOTCONN}) {
    judged_test t(overwrite);
    const auto data = t.copy(of_old(4096));
    t.read(1, 0, data);
    t.seen.results[0][0].res = -error;
    const auto failure = t.judged().failure;
    ASSERT_TRUE(failure) << error;
    EXPECT_EQ(failure->error, error);
    EXPECT_EQ(failure->failed, verb::write);
  }
}

TEST(judge, takes_a_short_write_for_the_environments) {
  judged_test t(overwrite);
  const auto data = t.copy(of_old(4096));
  t.read(1, 0, data);
  t.seen.results[0][0].res = 100;
  const auto failure = t.judged().failure;
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->error, 0);
}

TEST(judge, takes_an_errno_that_the_condition_names_for_an_outcome_it_cannot_judge) {
  judged_test t(R"(F full "?"
{ file f = ""; handle w = open f; }
P0 { n = append(w, a[10]); }
exists (P0:n.res = -ENOSPC))");
  t.seen.results[0][0].res = -ENOSPC;
  t.seen.registers[0].set = true;
  t.seen.registers[0].res = -ENOSPC;
  const auto judged = t.judged();
  EXPECT_FALSE(judged.failure);
  EXPECT_EQ(judged.stands, standing::not_judged);
  EXPECT_TRUE(judged.counts);
}

TEST(judge, takes_a_file_that_nobody_in_the_test_removed_for_the_environments) {
  judged_test t(R"(F gone "?"
{ file f = old[10]; handle w = open f; }
P0 { fsync(w); }
exists (f.size = 10))");
  t.seen.files[0].exists = false;
  const auto failure = t.judged().failure;
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->error, ENOENT);
}

TEST(judge, says_nothing_of_what_a_model_that_was_cut_short_does_not_have) {
  judged_test t(overwrite, "uring", {.max_states = 1});
  const auto data = t.copy(of_new(4096));
  t.read(1, 0, data);
  const auto judged = t.judged();
  EXPECT_EQ(judged.stands, standing::not_judged);
  EXPECT_TRUE(judged.counts);  // that is said by the bytes alone
}

}  // namespace
}  // namespace filemap::litmus
