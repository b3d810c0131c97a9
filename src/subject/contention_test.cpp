#include "contention.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace filemap {
namespace {

using holding = contention::holding;
using names = std::vector<std::string>;

// A process's first thread.
struct caller {
  pid_t number;
};

const call_row& row_of(std::string_view name) {
  const auto rows = all_calls();
  return *std::find_if(rows.begin(), rows.end(),
                       [&](const call_row& row) { return row.name == name; });
}

heard_call call_by(caller who, std::string_view name, const std::string& path,
                   std::uint64_t inode = 0) {
  heard_call call;
  call.thread = call.process = who.number;
  call.row = &row_of(name);
  call.first.path = path;
  call.first.what = call.row->first;
  call.exclusively = name == "mkdir";
  call.first.exists = call.first.is_regular = inode != 0;
  call.first.inode = inode;
  return call;
}

// Runs that do the same, and what is held in the last of them.
class program {
 public:
  void does(const heard_call& call, bool alone = false) { calls_.push_back({call, alone}); }

  std::vector<bool> held_in(contention& of) const {
    for (const auto what : {holding::nothing, holding::changed, holding::contended}) run(of, what);
    of.learns_no_more();
    return run(of, holding::contended);
  }
  std::vector<bool> run(contention& of, holding what) const {
    std::vector<bool> held;
    of.begin_run(what);
    for (const auto& [call, alone] : calls_) {
      of.hear(call, alone);
      held.push_back(of.wants(call));
    }
    of.end_run();
    return held;
  }

 private:
  struct step {
    heard_call call;
    bool alone;
  };
  std::vector<step> calls_;
};

constexpr caller first{1};
constexpr caller second{2};
using held = std::vector<bool>;

TEST(contention, is_of_what_two_touch_and_one_changes) {
  program runs;
  runs.does(call_by(first, "write", "/a", 7));
  runs.does(call_by(second, "read", "/a", 7));
  runs.does(call_by(second, "read", "/b", 8));
  runs.does(call_by(first, "read", "/b", 8));
  runs.does(call_by(first, "write", "/c", 9));
  contention all({});
  EXPECT_EQ(runs.held_in(all), (held{true, true, false, false, false}));
  EXPECT_EQ(all.contended_paths(), names{"/a"});
}

TEST(contention, is_of_a_thread_of_a_pool_alone) {
  program runs;
  auto call = call_by(first, "write", "/a", 7);
  call.thread = 3;
  runs.does(call);
  contention all({});
  EXPECT_EQ(runs.held_in(all), held{true});
}

// Whoever opens a path sees whether the folders on the way are there.
TEST(contention, is_of_a_folder_that_is_made_beside_who_uses_what_is_in_it) {
  program runs;
  runs.does(call_by(first, "mkdir", "/d"));
  runs.does(call_by(second, "openat", "/d/mine"));
  runs.does(call_by(second, "openat", "/other/mine"));
  contention all({});
  EXPECT_EQ(runs.held_in(all), (held{true, true, false}));
  EXPECT_EQ(all.contended_paths(), names{"/d"});
  EXPECT_EQ(all.names_on_the_way_to(call_by(second, "openat", "/d/e/f").first), names{"/d"});
  EXPECT_TRUE(all.names_on_the_way_to(call_by(second, "mkdir", "/d").first).empty());
  EXPECT_TRUE(all.names_on_the_way_to(call_by(second, "openat", "/dd/e").first).empty());
}

TEST(contention, is_not_of_a_folder_that_is_made_while_nobody_else_can_do_anything) {
  program runs;
  runs.does(call_by(first, "mkdir", "/d"), true);
  runs.does(call_by(first, "openat", "/d/his"));
  runs.does(call_by(second, "openat", "/d/mine"));
  contention all({});
  EXPECT_EQ(runs.held_in(all), (held{false, false, false}));
}

// As mkdir -p does with each folder on the way.
TEST(contention, is_not_of_a_folder_that_is_there_when_it_is_to_be_made) {
  program runs;
  runs.does(call_by(first, "mkdir", "/d", 7));
  runs.does(call_by(second, "mkdir", "/d", 7));
  runs.does(call_by(second, "openat", "/d/mine"));
  contention all({});
  EXPECT_EQ(runs.held_in(all), (held{false, false, false}));
}

TEST(contention, is_not_of_a_folder_that_one_makes_and_uses) {
  program runs;
  runs.does(call_by(first, "mkdir", "/d"));
  runs.does(call_by(first, "openat", "/d/his"));
  contention all({});
  EXPECT_EQ(runs.held_in(all), (held{false, false}));
}

TEST(contention, is_of_a_folder_that_is_renamed_above_who_reads) {
  program runs;
  auto rename = call_by(first, "rename", "/d", 7);
  rename.first.is_regular = false;
  rename.second = rename.first;
  rename.second.path = "/e";
  rename.second.exists = false;
  runs.does(rename);
  runs.does(call_by(second, "stat", "/d/f", 8));
  contention all({});
  EXPECT_EQ(runs.held_in(all), (held{true, true}));
}

// Who changes a symbolic link changes what a path through it comes to.
TEST(contention, is_of_a_symbolic_link_that_is_changed_beside_who_goes_through_it) {
  program runs;
  auto rename = call_by(first, "rename", "/new");
  rename.second = rename.first;
  rename.second.path = "/current";
  runs.does(rename);
  auto in_folder = call_by(second, "stat", "/release/f", 8);
  in_folder.first.through = {"/current/f"};
  runs.does(in_folder);
  auto itself = call_by(second, "stat", "/release", 9);
  itself.first.through = {"/current"};
  runs.does(itself);
  runs.does(call_by(second, "stat", "/release/g", 10));
  contention all({});
  EXPECT_EQ(runs.held_in(all), (held{true, true, true, false}));
  EXPECT_EQ(all.names_on_the_way_to(in_folder.first), names{"/current"});
  EXPECT_EQ(all.names_on_the_way_to(itself.first), names{"/current"});
}

// What only other orders show cannot be held any more, and makes the search incomplete.
TEST(contention, tells_of_what_is_shown_late_and_was_let_go) {
  program runs;
  runs.does(call_by(first, "write", "/a", 7));
  contention all({});
  EXPECT_EQ(runs.held_in(all), held{false});
  EXPECT_TRUE(all.not_held().empty());
  runs.does(call_by(second, "read", "/a", 7));
  runs.does(call_by(first, "mkdir", "/d"));
  runs.does(call_by(second, "openat", "/d/mine"));
  runs.run(all, holding::contended);
  EXPECT_EQ(all.not_held(), std::set<std::string>{"/a"});
  runs.run(all, holding::contended);  // only now it is clear that the folder's name is not drawn
  EXPECT_EQ(all.not_held(), (std::set<std::string>{"/a", "/d"}));
}

// Its first use is let go: nobody knows that it will be changed.
TEST(contention, tells_of_a_new_file_of_which_a_use_was_let_go_before_it_was_changed) {
  program runs;
  contention all({});
  runs.held_in(all);
  runs.does(call_by(first, "stat", "/a"));
  runs.does(call_by(second, "creat", "/a"));
  EXPECT_EQ(runs.run(all, holding::contended), (held{false, true}));
  EXPECT_EQ(all.not_held(), std::set<std::string>{"/a"});
}

TEST(contention, holds_all_that_is_watched_and_nothing_else) {
  program runs;
  runs.does(call_by(first, "read", "/w/a", 7));
  runs.does(call_by(first, "write", "/b", 8));
  runs.does(call_by(second, "write", "/b", 8));
  contention all({"/w"});
  EXPECT_EQ(runs.held_in(all), (held{true, false, false}));
}

}  // namespace
}  // namespace filemap
