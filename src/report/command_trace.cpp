// The order of a command's operations as a time line for Perfetto: a track for each of its threads,
// grey while a call of it is held, then the operation until the next one was let go.

#include "report/command.hpp"
#include "report/names.hpp"
#include "report/trace_parts.hpp"

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace filemap {

namespace {

const command_finding* shown_finding(const command_run& run) {
  if (run.replayed) return &*run.replayed;
  if (!run.explored) return nullptr;
  if (run.explored->by_order) return &*run.explored->by_order;
  return run.explored->by_time ? &*run.explored->by_time : nullptr;
}

json arguments_of(const command_finding& found, std::size_t at) {
  const auto& call = found.calls[at];
  json args = {{"number", at + 1}};
  if (call.file_size) args["file_bytes"] = *call.file_size;
  if (const auto fault = fault_of(call.done); !fault.empty()) args["fault"] = fault;
  if (found.pair && (at == found.pair->earlier || at == found.pair->later)) args["decides"] = true;
  return args;
}

}  // namespace

std::string trace_report(const command_run& run) {
  constexpr unsigned pid = 1;
  std::vector<json> events;
  const auto* const found = shown_finding(run);
  if (found == nullptr) return trace_text(events);
  std::map<unsigned, std::string> threads;
  for (const auto& call : found->calls) threads[call.thread_number] = thread_of(call);
  events.push_back(trace_metadata(pid, "process_name", 1, "name",
                                  fmt::format("{} {}: {}", run.command.front(),
                                              to_string(found->schedule), found->state.text)));
  for (const auto& [number, name] : threads) {
    events.push_back(trace_metadata(pid, "thread_name", number + 1, "name", name));
  }
  for (std::size_t i = 0; i < found->calls.size(); ++i) {
    const auto& call = found->calls[i];
    const auto tid = call.thread_number + 1;
    const auto next = i + 1 < found->calls.size() ? found->calls[i + 1].at : call.at;
    if (!call.is_time) {
      events.push_back(trace_slice(pid, tid, "held", call.held, call.at, json::object(), "grey"));
    }
    events.push_back(trace_slice(pid, tid, words_of(call), call.at, next, arguments_of(*found, i)));
  }
  return trace_text(events);
}

}  // namespace filemap
