#include "filemap/litmus/parser.hpp"

#include "report/report.hpp"

#include <string>

#include <gtest/gtest.h>

namespace filemap {
namespace {

constexpr const char* source = R"(F message
"is a write that was acknowledged in the size?"

{
  file f = "";
  handle w = open f;
}

P0 { append(w, lorem[123]); st = statx(w); }

forbidden (P0:st.size != 123)
)";

std::string report_of(const char* mode_name, bool color = false) {
  const auto test = litmus::parse(source, "message.litmus");
  const auto& mode = *litmus::find_mode(mode_name);
  auto result = litmus::model(test, mode);
  result.states = 1234;  // not what this is about
  return model_report(test, {{mode, result, std::chrono::microseconds{5}}}, color);
}

TEST(model_report, marks_what_the_condition_asks_about) {
  EXPECT_EQ(report_of("tokio-fs"), R"(message: is a write that was acknowledged in the size?

tokio-fs
  * P0:st.size=0;
    P0:st.size=123;
Model message/tokio-fs Sometimes 1 1
States 1,234 in 5.00 µs
)");
}

TEST(model_report, says_never_where_nothing_of_it_is_allowed) {
  EXPECT_NE(report_of("uring").find("\nModel message/uring Never 0 1\n"), std::string::npos);
}

TEST(model_report, says_when_the_search_is_not_all_or_a_schedule_waits_for_ever) {
  const auto test = litmus::parse(source, "message.litmus");
  litmus::model_result result;
  result.complete = false;
  result.deadlocks = true;
  const auto text = model_report(test, {{*litmus::find_mode("uring"), result, {}}}, false);
  EXPECT_NE(text.find("wait for ever"), std::string::npos);
  EXPECT_NE(text.find("ended early"), std::string::npos);
}

TEST(model_report, is_plain_without_color) {
  EXPECT_EQ(report_of("uring").find('\x1b'), std::string::npos);
  EXPECT_NE(report_of("uring", true).find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace filemap
