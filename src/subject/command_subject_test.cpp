#include "command_subject.hpp"

#include "explore/chooser.hpp"
#include "explore/delaying.hpp"
#include "explore/fixed_schedule.hpp"
#include "explore/search.hpp"
#include "testing.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace filemap {
namespace {

using namespace std::chrono_literals;
using names = std::vector<std::string>;

// A specimen of a program (supervisor/specimen.cpp), and what it works on: a name in its own
// directory, which is fresh for each run.
class subject_setting {
 public:
  explicit subject_setting(const std::string& behaviour) {
    settings.directory = scratch_ / "own";
    settings.command = {"/bin/sh", "-c",
                        "exec " SPECIMEN " " + behaviour +
                            (behaviour == "draws-a-name" ? " $TMPDIR" : " $TMPDIR/f")};
    settings.run_timeout = 60s;
  }

 private:
  scratch_directory scratch_;

 public:
  command_settings settings;
};

using choice = std::function<std::size_t(std::span<const candidate>)>;
std::size_t oldest(std::span<const candidate> held) {
  static_cast<void>(held);
  return 0;
}
std::size_t youngest(std::span<const candidate> held) {
  return held.size() - (held.back().is_time() ? 2 : 1);
}

// What was executed, in order, as a person is told it.
names executed_under(command_subject& subject, const choice& choose) {
  names all;
  subject.begin();
  while (!subject.held().empty()) {
    const auto which = choose(subject.held());
    all.push_back(subject.describe(subject.held()[which]));
    subject.execute(which);
  }
  subject.end();
  return all;
}

names words_of(const command_subject& subject) {
  names all;
  for (const auto& call : subject.executed()) {
    all.push_back(call.is_time ? "time" : call.word + " " + call.file);
  }
  return all;
}

// --- what is held

TEST(command_subject, holds_what_two_sides_touch_and_one_changes) {
  for (const auto* const behaviour :
       {"two-writers", "forks", "vforks", "waits", "locks", "signals", "truncates", "shares-a-name",
        "looks-too-early", "naps", "names-a-pipe"}) {
    const subject_setting here(behaviour);
    command_subject subject(here.settings);
    subject.learn();
    const bool is_of_one_side = std::string_view(behaviour) == "signals";
    EXPECT_EQ(subject.contended_files(), is_of_one_side ? names{} : names{"$TMPDIR/f"})
        << behaviour;
    EXPECT_TRUE(subject.files_not_held().empty()) << behaviour;
  }
}

TEST(command_subject, holds_only_what_is_watched) {
  subject_setting here("two-writers");
  here.settings.watch = {here.settings.directory / "tmp" / "other"};
  command_subject other(here.settings);
  other.learn();
  EXPECT_TRUE(other.contended_files().empty());
  for (const auto& watched : {here.settings.directory, here.settings.directory / "tmp" / "f"}) {
    here.settings.watch = {watched};
    command_subject subject(here.settings);
    subject.learn();
    EXPECT_EQ(subject.contended_files(), names{"$TMPDIR/f"}) << watched;
  }
}

TEST(command_subject, follows_a_symbolic_link_to_what_is_touched) {
  const subject_setting here("follows-a-link");
  command_subject subject(here.settings);
  subject.learn();
  const auto files = subject.contended_files();
  EXPECT_EQ(std::count(files.begin(), files.end(), "$TMPDIR/f"), 1);
  executed_under(subject, oldest);
  const auto words = words_of(subject);
  EXPECT_EQ(std::count(words.begin(), words.end(), "truncate $TMPDIR/f"), 1);
}

TEST(command_subject, comes_to_how_the_command_ends) {
  for (const auto& [command, text, bad] : std::vector<std::tuple<std::string, std::string, bool>>{
           {"true", "exit 0", false},
           {"exit 7", "exit 7", true},
           {"kill -9 $$", "killed by SIGKILL", true},
           {"echo it panicked", "exit 0, its output matches", true},
           {"echo panicked >&2; exit 3", "exit 3, its output matches", true},
       }) {
    subject_setting here("exits");
    here.settings.command = {"/bin/sh", "-c", command};
    here.settings.fail_on = std::regex("panic");
    command_subject subject(here.settings);
    subject.begin();
    const auto end = subject.end();
    EXPECT_EQ(subject.state(end.state).text, text);
    EXPECT_EQ(end.bad, bad) << command;
    EXPECT_FALSE(end.deadlock);
  }
}

TEST(command_subject, comes_to_a_bad_end_when_its_time_is_over) {
  subject_setting here("never-ends");
  here.settings.run_timeout = 50ms;
  command_subject subject(here.settings);
  subject.begin();
  const auto end = subject.end();
  EXPECT_EQ(subject.state(end.state).text, "not ended after 0.05 s");
  EXPECT_TRUE(end.bad);
}

TEST(command_subject, says_what_could_not_be_run) {
  subject_setting here("exits");
  here.settings.command = {"/nowhere/at/all"};
  command_subject subject(here.settings);
  EXPECT_THROW(subject.learn(), std::system_error);
}

TEST(command_subject, prepares_each_run) {
  subject_setting here("exits");
  here.settings.command = {"/bin/sh", "-c", "cat $TMPDIR/made; echo more >$TMPDIR/made"};
  here.settings.prepare = "echo prepared >$TMPDIR/made";
  command_subject subject(here.settings);
  for (int i = 0; i < 3; ++i) {
    executed_under(subject, oldest);
    EXPECT_EQ(subject.last_end().status, 0);
    EXPECT_EQ(subject.last_end().output, "prepared\n");
  }
  here.settings.prepare = "echo no such thing; exit 3";
  command_subject other(here.settings);
  try {
    other.begin();
    FAIL() << "it was run all the same";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(),
                 "--prepare echo no such thing; exit 3: exit 3; it says: no such thing");
  }
}

// A run that was given up has processes, which could still write where the next one is prepared.
TEST(command_subject, ends_a_run_before_it_prepares_the_next) {
  subject_setting here("two-writers");
  const auto file = (here.settings.directory / "tmp" / "f").string();
  here.settings.prepare = "! pgrep -f '[s]pecimen two-writers " + file + "' >/dev/null";
  command_subject subject(here.settings);
  subject.learn();
  for (int i = 0; i < 3; ++i) {
    subject.begin();
    EXPECT_FALSE(subject.held().empty());
  }
}

// --- names

TEST(command_subject, names_the_same_calls_alike_in_each_run) {
  for (const auto* const behaviour :
       {"two-writers", "forks", "vforks", "waits", "locks", "shares-a-name", "truncates",
        "looks-too-early", "follows-a-link", "draws-a-name"}) {
    const subject_setting here(behaviour);
    command_subject subject(here.settings);
    subject.learn();
    for (const auto choose : {oldest, youngest}) {
      const auto first = executed_under(subject, choose);
      EXPECT_GT(first.size(), 2U) << behaviour;
      EXPECT_EQ(std::set<std::string>(first.begin(), first.end()).size(), first.size());
      for (int i = 1; i < 6; ++i) {
        ASSERT_EQ(executed_under(subject, choose), first) << behaviour << " in run " << i;
      }
    }
  }
}

TEST(command_subject, holds_a_file_whose_name_is_drawn) {
  const subject_setting here("draws-a-name");
  command_subject subject(here.settings);
  subject.learn();
  executed_under(subject, oldest);
  const auto words = words_of(subject);
  const auto count = [&](std::string_view word) {
    return std::count_if(words.begin(), words.end(),
                         [&](const auto& one) { return one.starts_with(word); });
  };
  EXPECT_EQ(count("write"), 2);
}

// --- what a call touches

// Of the calls of a run that are these: do they depend on each other?
bool depend(const command_subject& subject, const std::function<bool(const executed_call&)>& one,
            const std::function<bool(const executed_call&)>& other) {
  const auto calls = subject.executed();
  const auto first = std::find_if(calls.begin(), calls.end(), one);
  const auto second = std::find_if(calls.begin(), calls.end(), other);
  EXPECT_NE(first, calls.end());
  EXPECT_NE(second, calls.end());
  if (first == calls.end() || second == calls.end()) return false;
  return first->touched.depends_on(second->touched);
}
auto is(const std::string& word, unsigned thread) {
  return
      [=](const executed_call& call) { return call.word == word && call.thread_number == thread; };
}

// An open that truncates changes what others have open.
TEST(command_subject, has_an_open_that_truncates_depend_on_a_write) {
  const subject_setting here("truncates");
  command_subject subject(here.settings);
  subject.learn();
  for (const auto choose : {oldest, youngest}) {
    executed_under(subject, choose);
    const auto calls = subject.executed();
    const auto writer = std::find_if(calls.begin(), calls.end(),
                                     [](const auto& call) { return call.word == "write"; });
    ASSERT_NE(writer, calls.end());
    EXPECT_TRUE(depend(subject, is("write", writer->thread_number),
                       is("openat", 1 - writer->thread_number)));
  }
}

// Also where there was no such file yet when it was held.
TEST(command_subject, has_an_open_depend_on_what_was_made_since_it_was_held) {
  const subject_setting here("shares-a-name");
  command_subject subject(here.settings);
  subject.learn();
  executed_under(subject, oldest);
  EXPECT_TRUE(depend(subject, is("openat", 0), is("write", 1)));
  EXPECT_TRUE(depend(subject, is("openat", 1), is("write", 0)));
}

TEST(command_subject, has_a_call_by_another_name_depend_on_one_of_the_same_file) {
  const subject_setting here("follows-a-link");
  command_subject subject(here.settings);
  subject.learn();
  executed_under(subject, oldest);
  const auto is_last_write = [&](const executed_call& call) {
    return call.word == "write" && call.size == std::uint64_t{1};
  };
  EXPECT_TRUE(depend(subject, is_last_write,
                     [](const executed_call& call) { return call.word == "truncate"; }));
}

// --- time

std::size_t times(const command_subject& subject) {
  const auto calls = subject.executed();
  return static_cast<std::size_t>(
      std::count_if(calls.begin(), calls.end(), [](const auto& call) { return call.is_time; }));
}

TEST(command_subject, lets_time_pass_only_where_somebody_waits_for_it) {
  for (const auto* const behaviour : {"two-writers", "forks", "waits", "locks"}) {
    const subject_setting here(behaviour);
    command_subject subject(here.settings);
    subject.learn();
    const auto with_time = [](std::span<const candidate> held) {
      EXPECT_FALSE(held.back().is_time());
      return std::size_t{0};
    };
    executed_under(subject, with_time);
  }
  const subject_setting here("naps");
  command_subject subject(here.settings);
  subject.learn();
  std::size_t offered = 0;
  executed_under(subject, [&](std::span<const candidate> held) {
    if (held.back().is_time()) {
      ++offered;
      EXPECT_GT(held.size(), 1U);  // never alone
    }
    return std::size_t{0};
  });
  EXPECT_GT(offered, 0U);
}

TEST(command_subject, holds_a_call_no_longer_than_its_patience_however_often_one_polls) {
  subject_setting here("polls");
  here.settings.patience = 60ms;
  command_subject subject(here.settings);
  subject.learn();
  const auto is_of_the_writer = [&](const candidate& name) {
    const auto text = subject.describe(name);
    return text.find("write") != std::string::npos || text.find("openat") != std::string::npos;
  };
  const auto begin = clock::now();
  executed_under(subject, [&](std::span<const candidate> held) {
    if (held.back().is_time()) return held.size() - 1;
    for (std::size_t i = 0; i < held.size(); ++i) {
      if (!is_of_the_writer(held[i])) return i;
    }
    return std::size_t{0};
  });
  EXPECT_GT(times(subject), 3U);
  EXPECT_LT(clock::now() - begin, 10s);  // it has two calls that are delayed
  EXPECT_EQ(subject.last_end().status, 0);
}

TEST(command_subject, has_a_finding_by_time_where_a_nap_is_outlasted) {
  const subject_setting here("naps");
  command_subject subject(here.settings);
  subject.learn();
  const auto outlast = [](std::span<const candidate> held) {
    return held.back().is_time() ? held.size() - 1 : 0;
  };
  executed_under(subject, outlast);
  EXPECT_EQ(WEXITSTATUS(subject.last_end().status.value_or(0)), 1);
  executed_under(subject, oldest);
  EXPECT_EQ(subject.last_end().status, 0);
}

// --- below the search

TEST(command_subject, can_be_searched_and_replayed) {
  const subject_setting here("looks-too-early");
  command_subject subject(here.settings);
  subject.learn();
  search_options options;
  options.limit = 200;
  const auto found = search(subject, options);
  EXPECT_TRUE(found.complete);
  EXPECT_EQ(found.diverged, 0U);
  EXPECT_GT(found.bad, 0U);
  EXPECT_LT(found.bad, found.schedules);
  ASSERT_TRUE(found.to_bad);
  for (int i = 0; i < 20; ++i) {
    fixed_schedule order(found.to_bad->schedule);
    order.begin();
    const auto again = execute(subject, order);
    ASSERT_TRUE(again.end);
    EXPECT_TRUE(again.end->bad);
    EXPECT_EQ(order.misfit(), "");
  }
}

}  // namespace
}  // namespace filemap
