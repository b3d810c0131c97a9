#include "find_tests.hpp"

#include "filemap/litmus/catalogue.hpp"
#include "filemap/litmus/parser.hpp"

#include "testing.hpp"

#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

namespace filemap {
namespace {

std::string refusal(const std::string& argument) {
  try {
    load_test(argument);
  } catch (const no_such_test& error) {
    return error.what();
  }
  return "";
}

TEST(load_test, finds_a_test_of_the_catalogue) {
  EXPECT_EQ(load_test("tokio-4796").processes.size(), 3U);
}

TEST(load_test, reads_a_file_where_the_argument_looks_like_one) {
  const scratch_directory directory;
  const auto path = directory / "mine.litmus";
  std::ofstream(path) << litmus::catalogue()[1].source;
  EXPECT_EQ(load_test(path.string()).name, litmus::catalogue()[1].name);
}

TEST(load_test, tells_what_is_wrong_with_a_file_by_the_name_that_was_given) {
  const scratch_directory directory;
  const auto path = directory / "bad\n.litmus";
  std::ofstream(path) << "F t {";
  try {
    load_test(path.string());
    FAIL() << "it was taken";
  } catch (const litmus::parse_error& error) {
    EXPECT_NE(std::string(error.what()).find("bad?.litmus:1:5: expected"), std::string::npos)
        << error.what();
  }
}

TEST(load_test, does_not_read_what_never_ends) {
  EXPECT_THROW(load_test("/dev/zero"), litmus::parse_error);
}

TEST(load_test, tells_why_a_file_cannot_be_read) {
  EXPECT_EQ(refusal("missing.litmus"),
            "missing.litmus: it cannot be read (No such file or directory)");
  EXPECT_EQ(refusal("/"), "/: it cannot be read (Is a directory)");
}

TEST(load_test, tells_near_names_of_an_unknown_one) {
  EXPECT_EQ(refusal("tokio-4797"),
            "tokio-4797: there is no test of this name; near ones are tokio-4796");
  EXPECT_NE(refusal("tokio").find("near ones are tokio-4796, "), std::string::npos);
  EXPECT_NE(refusal("overwrite_torn").find("near ones are overwrite-torn"), std::string::npos);
  const std::string none = ": there is no test of this name; --list shows those that there are";
  EXPECT_EQ(refusal("xyzzy"), "xyzzy" + none);
  EXPECT_EQ(refusal(""), none);
  EXPECT_EQ(refusal(std::string(100'000, 'a')), std::string(100'000, 'a') + none);
}

TEST(show_test, prints_the_file_as_it_is) {
  EXPECT_EQ(show_test("tokio-4796"), litmus::catalogue().front().source);
  EXPECT_THROW(show_test("x"), no_such_test);
}

TEST(list_tests, has_one_line_of_each_with_the_questions_aligned) {
  std::istringstream lines(list_tests());
  std::size_t count = 0;
  std::size_t column = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    EXPECT_LE(line.size(), 105U) << line;
    const auto question = line.find_first_not_of(' ', line.find(' '));
    if (count == 0) column = question;
    EXPECT_EQ(question, column) << line;
  }
  EXPECT_EQ(count, litmus::catalogue().size());
}

}  // namespace
}  // namespace filemap
