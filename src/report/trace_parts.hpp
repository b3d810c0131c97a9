#pragma once

// Events of Chrome's trace event format, which Perfetto (ui.perfetto.dev) opens.

#include "filemap/io/op.hpp"

#include "report/json_parts.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace filemap {

inline double microseconds(nanoseconds duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

/// `what`: "thread_name", say, and then `key` "name".
inline json trace_metadata(unsigned pid, std::string_view what, unsigned tid, const char* key,
                           const json& value) {
  return {{"ph", "M"}, {"name", what}, {"pid", pid}, {"tid", tid}, {"args", {{key, value}}}};
}

/// Both times since the trace's beginning.
inline json trace_slice(unsigned pid, unsigned tid, std::string_view title, nanoseconds begin,
                        nanoseconds end, json args, const char* color = nullptr) {
  end = std::max(begin, end);  // not known, or by a clock that went back
  json event = {
      {"ph", "X"},
      {"name", title},
      {"cat", "file"},
      {"pid", pid},
      {"tid", tid},
      {"ts", microseconds(begin)},
      {"dur", microseconds(end - begin)},
      {"args", std::move(args)},
  };
  if (color != nullptr) event["cname"] = color;
  return event;
}

/// One line an event.
inline std::string trace_text(const std::vector<json>& events) {
  std::string lines;
  for (const auto& event : events) {
    lines += lines.empty() ? "\n" : ",\n";
    lines += event.dump(-1, ' ', false, json::error_handler_t::replace);
  }
  return R"({"displayTimeUnit": "ns", "traceEvents": [)" + lines + "\n]}\n";
}

}  // namespace filemap
