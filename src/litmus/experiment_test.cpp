#include "filemap/litmus/experiment.hpp"

#include "filemap/litmus/mode.hpp"

#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace filemap::litmus {
namespace {

/// "append w, store write_offset, notify written" of one process.
std::string body_of(const test& program, std::string_view name) {
  for (const auto& process : program.processes) {
    if (process.name != name) continue;
    std::string text;
    for (const auto& statement : process.body) {
      if (!text.empty()) text += ", ";
      text += to_string(statement.what);
      switch (statement.what) {
        case verb::load:
        case verb::store:
          text += " " + program.variables.at(statement.operand);
          break;
        case verb::notify:
        case verb::wait:
          text += " " + program.edges.at(statement.operand);
          break;
        case verb::check:
          break;
        default:
          text += " " + program.handles.at(statement.operand).name;
      }
    }
    return text;
  }
  return "there is no such process";
}

TEST(tokio_4796, is_the_program_of_the_issue) {
  const auto made = tokio_4796({});
  EXPECT_EQ(made.name, "tokio-4796");
  EXPECT_EQ(made.processes[0].body[0].data.size, 123U);
  EXPECT_EQ(made.processes[0].times, 1U);
  ASSERT_EQ(made.processes.size(), 3U);
  EXPECT_EQ(body_of(made, "writer"), "append w, store write_offset, notify written");
  EXPECT_EQ(body_of(made, "flusher"),
            "wait written, load write_offset, fsync s, store flush_offset, notify flushed");
  EXPECT_EQ(body_of(made, "reader"), "wait flushed, load flush_offset, statx r, read r, check");
}

TEST(tokio_4796, flushes_before_it_stores_and_notifies_when_it_is_to_flush) {
  EXPECT_EQ(body_of(with_flush(tokio_4796({})), "writer"),
            "append w, flush w, store write_offset, notify written");
}

TEST(tokio_4796, syncs_as_it_is_told) {
  experiment_options options;
  options.sync = flusher_sync::fdatasync;
  EXPECT_EQ(body_of(tokio_4796(options), "flusher"),
            "wait written, load write_offset, fdatasync s, store flush_offset, notify flushed");
  options.sync = flusher_sync::none;
  EXPECT_EQ(body_of(tokio_4796(options), "flusher"),
            "wait written, load write_offset, store flush_offset, notify flushed");
}

TEST(tokio_4796, makes_the_handles_it_is_told) {
  const auto origins = [](handle_kind kind) {
    experiment_options options;
    options.handles = kind;
    std::vector<handle_origin> made;
    for (const auto& handle : tokio_4796(options).handles) made.push_back(handle.from);
    return made;
  };
  using enum handle_origin;
  EXPECT_EQ(origins(handle_kind::clone), (std::vector{open, clone, clone}));
  EXPECT_EQ(origins(handle_kind::shared), (std::vector{open, same, same}));
  EXPECT_EQ(origins(handle_kind::reopen), (std::vector{open, open, open}));
}

TEST(tokio_4796, appends_as_often_as_it_is_told_while_the_others_catch_up) {
  const auto made = tokio_4796({.size = 10, .writes = 7});
  EXPECT_EQ(made.processes[2].body[3].size, 70U);  // what the last read may return
  EXPECT_EQ(made.processes[0].times, 7U);
  EXPECT_EQ(made.processes[1].times, 0U);
  EXPECT_EQ(made.processes[2].times, 0U);
}

TEST(verb, is_a_file_operation_only_when_an_engine_performs_it_on_a_file) {
  for (const auto verb : {verb::append, verb::fsync, verb::fdatasync, verb::statx, verb::read}) {
    EXPECT_TRUE(is_file_operation(verb)) << to_string(verb);
  }
  for (const auto verb :
       {verb::flush, verb::load, verb::store, verb::notify, verb::wait, verb::check}) {
    EXPECT_FALSE(is_file_operation(verb)) << to_string(verb);
  }
}

TEST(mode, allows_stale_reads_only_when_writes_are_acknowledged_early_and_nobody_flushes) {
  const auto allows = [](std::string_view name) { return find_mode(name)->allows_stale_reads(); };
  EXPECT_FALSE(allows("uring"));
  EXPECT_FALSE(allows("blocking-pool"));
  EXPECT_FALSE(allows("sync"));
  EXPECT_TRUE(allows("tokio-fs"));
  EXPECT_TRUE(allows("uring-write-behind"));
  EXPECT_FALSE(find_mode("tokio-fs")->with_flush().allows_stale_reads());
  EXPECT_FALSE(find_mode("uring-write-behind")->with_flush().allows_stale_reads());
}

TEST(mode, is_found_by_its_exact_name_only) {
  EXPECT_EQ(find_mode("tokio-fs")->name, "tokio-fs");
  EXPECT_EQ(find_mode("tokio"), nullptr);
  EXPECT_EQ(find_mode(""), nullptr);
  EXPECT_EQ(find_mode("tokio-fs+flush"), nullptr);
  EXPECT_EQ(find_mode("sync")->with_flush().name, "sync+flush");
}

}  // namespace
}  // namespace filemap::litmus
