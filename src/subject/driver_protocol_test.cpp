#include "driver_protocol.hpp"

#include "filemap/litmus/catalogue.hpp"
#include "filemap/litmus/parser.hpp"

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace filemap::litmus {
namespace {

constexpr std::string_view least =
    "hello 1 x 1.2 verbs=append,read,statx flags=append ack=complete";

std::string refusal(std::string_view line) {
  try {
    driver_claims::in(line);
  } catch (const misspoken& error) {
    return error.what();
  }
  return "";
}

TEST(driver_claims, have_defaults_for_what_need_not_be_said) {
  const auto claims = driver_claims::in(least);
  EXPECT_EQ(claims.runtime, "x");
  EXPECT_EQ(claims.version, "1.2");
  const auto mode = claims.of({.name = "named"});
  EXPECT_EQ(mode.name, "named");
  EXPECT_EQ(mode.engine, engine_kind::driver);
  EXPECT_EQ(mode.when, acknowledgement::complete);
  EXPECT_FALSE(mode.seeks());
  EXPECT_TRUE(claims.reads_whole);
}

TEST(driver_claims, become_the_mode) {
  const auto claims = driver_claims::in(
      "hello 1 tokio 1.24 verbs=append flags= ack=queued waits=flush,fsync,clone chunk=16384 "
      "cursor=shared read=short drop=runs");
  const auto mode = claims.of({});
  EXPECT_EQ(mode.when, acknowledgement::write_behind);
  EXPECT_EQ(mode.options.chunk, 16384U);
  EXPECT_TRUE(mode.options.seeks);
  EXPECT_TRUE(mode.options.waits.contains(file_call::clone));
  EXPECT_FALSE(mode.options.waits.contains(file_call::statx));
  EXPECT_FALSE(claims.reads_whole);
}

TEST(driver_claims, are_refused_with_what_is_wrong) {
  const std::string line(least);
  const std::vector<std::pair<std::string, std::string_view>> wrong = {
      {"", "is expected"},
      {"hello", "is expected"},
      {"hello 1 x", "is expected"},
      {"hello 2 x 1", "it speaks version 2 of the protocol, this program version 1"},
      {"error no such thing", "it says: no such thing"},
      {"hello 1 x 1 verbs=append flags=", "it does not claim ack="},
      {"hello 1 x 1 flags= ack=complete", "it does not claim verbs="},
      {line + " ack=maybe", "its claim ack=maybe has no meaning"},
      {line + " verbs=jump", "its claim verbs=jump has no meaning"},
      {line + " verbs=load", "its claim verbs=load has no meaning"},
      {line + " chunk=0", "its claim chunk=0 has no meaning"},
      {line + " waits=rename", "its claim waits=rename has no meaning"},
      {line + " cursor", "its claim cursor has no meaning"},
      {line + " full=half", "its claim full=half has no meaning"},
      {line + " drop=late", "its claim drop=late has no meaning"},
      {"hello 1 x 1 verbs= flags= ack=buffered", "ack=buffered without drop=flushes or drop=lost"},
      {line + " speed=high", "its claim speed=high has no meaning"},
  };
  for (const auto& [said, expected] : wrong) {
    EXPECT_NE(refusal(said).find(expected), std::string::npos) << said << ": " << refusal(said);
  }
}

std::string lack(std::string_view claimed, std::string_view body, bool direct = false) {
  const auto test =
      parse(fmt::format(
                "F t\n\"?\"\n{{ file f = \"\"; handle h = open f; }}\n{}\nexists (f = \"\")", body),
            "t");
  return driver_claims::in(claimed).lack_for(test, direct).value_or("");
}

TEST(driver_claims, say_what_a_test_needs_beyond_them) {
  EXPECT_EQ(lack(least, "P0 { append(h, x[1]); notify(e); }\nP1 { wait(e); }"), "");
  EXPECT_EQ(lack(least, "P0 { fsync(h); }"), "x 1.2 has no fsync");
  EXPECT_EQ(lack(least, "P0 { statx(h); }", true), "x 1.2 has no O_DIRECT");
  EXPECT_EQ(lack(least, "P0 { batch { append(h, x[1]); append(h, x[1]); } }"),
            "x 1.2 has no groups of operations that are submitted together");
  EXPECT_EQ(lack("hello 1 x 1.2 verbs=append flags= ack=complete", "P0 { append(h, x[1]); }"),
            "x 1.2 has no O_APPEND");
}

// A test, told, and a batch of it asked for.
class told_test {
 public:
  explicit told_test(std::string_view source, std::size_t rounds = 1)
      : test_(parse(source, "told")), bytes_(test_) {
    bytes_.fill(1, 1);
    text = protocol_.begin(test_);
    text += protocol_.run(rounds, "/d", bytes_);
    const auto now = clock::now().time_since_epoch();
    at = fmt::format("{} {}", now.count(), now.count());
  }

  bool take(std::string_view line) { return protocol_.take(line, rounds); }
  std::string refused(std::string_view line) {
    try {
      take(line);
    } catch (const misspoken& error) {
      return error.what();
    }
    return "";
  }

  std::string text;
  std::string at;  // two times within the batch
  std::vector<driven_round> rounds;

 private:
  test test_;
  patterns bytes_;
  driver_protocol protocol_;
};

constexpr std::string_view reading = R"(F reading "?"
{ file f = old[4]; file g = none; handle h = open f; handle c = clone h; handle n; }
P0 { append(h, x[2]); d = read(c, 3); notify(e); }
P1 { wait(e); st = statx(h); n = open g; rename(f, g); }
exists (P0:d = ""))";

TEST(driver_protocol, tells_a_test_by_numbers) {
  const told_test told(reading, 3);
  EXPECT_EQ(told.text.substr(0, told.text.find("data")),
            "test reading\n"
            "file f\n"
            "file g\n"
            "handle open 0 append\n"
            "handle clone 0\n"
            "handle later\n"
            "edge\n"
            "process\n"
            "op append 0 0\n"
            "op read 1 - 3\n"
            "op notify 0\n"
            "process\n"
            "op wait 0\n"
            "op statx 0\n"
            "op open 2 1\n"
            "op rename 0 1\n"
            "end\n");
  EXPECT_TRUE(told.text.ends_with("\nrun 3 /d\n")) << told.text;
}

constexpr std::string_view short_test = R"(F short "?"
{ file f = old[4]; handle h = open f; }
P0 { d = read(h, 0, 3); n = write(h, 0, x[2]); st = statx(h); }
exists (P0:d = ""))";

TEST(driver_protocol, takes_rounds) {
  told_test told(short_test, 2);
  EXPECT_FALSE(told.take("state 7 x0aFf 2 4"));
  EXPECT_FALSE(told.take("state 8 -5 ~28 ~"));
  EXPECT_FALSE(told.take("round 1 8 " + told.at + " 0:0 0:0 0:0"));
  EXPECT_FALSE(told.take("round 0 7 " + told.at + " 0:0 0:0 0:0"));
  EXPECT_TRUE(told.take("done"));
  ASSERT_EQ(told.rounds.size(), 2U);
  EXPECT_EQ(told.rounds[0].number, 1U);
  const auto failed = told.rounds[0].values;
  EXPECT_EQ(failed[0].res, -5);
  EXPECT_EQ(failed[1].res, -28);
  EXPECT_EQ(failed[2].res, -EIO);
  const auto values = told.rounds[1].values;
  EXPECT_EQ(values[0].data, (std::vector{std::byte{0x0a}, std::byte{0xff}}));
  EXPECT_EQ(values[0].res, 2);
  EXPECT_EQ(values[1].res, 2);
  EXPECT_EQ(values[2].size, 4U);
  EXPECT_EQ(values[2].res, 0);
}

TEST(driver_protocol, refuses_what_has_no_place_in_it) {
  const std::string times = " 0:0 0:0 0:0";
  const std::string at = told_test(short_test).at;
  const std::vector<std::pair<std::string, std::string_view>> wrong = {
      {"lorem ipsum", "a state, a round or \"done\""},
      {"done", "it says \"done\" after 0 of 2 rounds"},
      {"error it hurts", "it says: it hurts"},
      {"state 0 x 2 4", "another state's number"},
      {"state 1 x 2", "a value for 3 operations"},
      {"state 1 x 2 4 4", "a value for 3 operations"},
      {"state 1 xa 2 4", "pairs of hexadecimal digits"},
      {"state 1 xgg 2 4", "pairs of hexadecimal digits"},
      {"state 1 x00000000 2 4", "at most 3 bytes of a read"},
      {"state 1 3 2 4", "the value of an operation"},
      {"state 1 x 3 4", "at most 2 of write"},
      {"state 1 x -5000 4", "an errno"},
      {"state 1 x 2 big", "the value of an operation"},
      {"round 2 0 " + at + times, "a round below 2"},
      {"round 0 5 " + at + times, "the number of a state"},
      {"round 0 0 17 18" + times, "a time of CLOCK_MONOTONIC"},
      {"round 1 0 " + at + " 0:0 0:0", "3 times BEGUN:ENDED"},
  };
  for (const auto& [line, expected] : wrong) {
    told_test told(short_test, 2);
    ASSERT_FALSE(told.take("state 0 x 2 4"));
    const bool has_now = line.find(at) != std::string::npos;
    const auto said =
        has_now ? line.substr(0, line.find(at)) + told.at + line.substr(line.find(at) + at.size())
                : line;
    const auto refused = told.refused(said);
    EXPECT_NE(refused.find(expected), std::string::npos) << said << ": " << refused;
  }
  told_test twice(short_test, 2);
  twice.take("state 0 x 2 4");
  twice.take("round 0 0 " + twice.at + times);
  EXPECT_NE(twice.refused("round 0 0 " + twice.at + times).find("has not told yet"),
            std::string::npos);
  EXPECT_NE(
      twice.refused("round 1 0 " + twice.at + " 0:0 0:0 0:9999999999").find("within the round"),
      std::string::npos);
}

TEST(driver_protocol, hears_whether_a_test_can_be_run) {
  EXPECT_EQ(driver_protocol::refusal_in("ready"), std::nullopt);
  EXPECT_EQ(driver_protocol::refusal_in("cannot do that"), "cannot do that");
  EXPECT_THROW(driver_protocol::refusal_in("maybe"), misspoken);
}

}  // namespace
}  // namespace filemap::litmus
