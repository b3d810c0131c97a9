#include "supervisor.hpp"

#include "forked.hpp"
#include "testing.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <ctime>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace filemap {
namespace {

using namespace std::chrono_literals;

// A specimen of a program, and what it works on.
class setting {
 public:
  explicit setting(const std::string& behaviour)
      : setting(std::vector<std::string>{SPECIMEN, behaviour, ""}) {
    options.command.back() = file;
  }
  explicit setting(std::vector<std::string> command) {
    options.command = std::move(command);
    options.directory = file;
    options.run_timeout = 60s;
  }

  std::string contents() const {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  /// Holds what is done to the file by calls of these words.
  std::function<bool(const heard_call&)> holding(std::set<std::string_view> which) const {
    return [which = std::move(which), this](const heard_call& call) {
      return call.first.path == file && which.count(call.row->word) > 0;
    };
  }
  std::function<bool(const heard_call&)> holding_all() const {
    return [this](const heard_call& call) {
      return call.first.path == file && call.row->what != peculiarity::closes;
    };
  }

 private:
  scratch_directory scratch_;

 public:
  const std::string file = scratch_ / "f";
  supervisor_options options;
};

using held_calls = std::deque<heard_call>;
using choice = std::function<std::size_t(const held_calls&)>;
std::size_t oldest(const held_calls& held) {
  static_cast<void>(held);
  return 0;
}
std::size_t youngest(const held_calls& held) { return held.size() - 1; }

struct finished_run {
  supervisor::rest rest = supervisor::rest::over;
  command_end end;
  supervision noticed;
  std::vector<std::string> executed;  // words

  int exit_status() const {
    return end.status && WIFEXITED(*end.status) ? WEXITSTATUS(*end.status) : -1;
  }
};

// One call at a time, to the end. `before_each` is asked at each rest.
finished_run finish(supervisor& what, const choice& choose = oldest,
                    const std::function<void()>& before_each = nullptr) {
  finished_run run;
  what.start();
  while ((run.rest = what.go_on()) == supervisor::rest::held) {
    if (before_each) before_each();
    const auto which = choose(what.held());
    run.executed.emplace_back(what.held()[which].row->word);
    what.release(which);
  }
  run.end = what.end();
  run.noticed = what.noticed();
  return run;
}

// The byte that a write is about.
char letter_of(const heard_call& call) {
  char letter = '?';
  read_memory(call.thread, call.arguments[1], &letter, 1);
  return letter;
}
choice of_letter(char letter) {
  return [=](const held_calls& held) {
    const auto found = std::find_if(held.begin(), held.end(), [&](const heard_call& call) {
      return letter_of(call) == letter;
    });
    return found == held.end() ? 0 : static_cast<std::size_t>(found - held.begin());
  };
}

// --- what it hears and holds

TEST(supervisor, lets_a_program_go_on_that_it_only_hears_of) {
  const setting here("two-writers");
  supervisor it(here.options);
  std::vector<std::string> heard;
  it.hears = [&](const heard_call& call) {
    if (call.first.path == here.file) heard.emplace_back(call.row->word);
  };
  const auto run = finish(it);
  EXPECT_EQ(run.exit_status(), 0) << run.end.output;
  EXPECT_EQ(run.noticed.held, 0U);
  std::sort(heard.begin(), heard.end());
  EXPECT_EQ(heard,
            (std::vector<std::string>{"close", "close", "openat", "openat", "write", "write"}));
  EXPECT_EQ(here.contents().size(), 2U);
}

TEST(supervisor, holds_what_it_is_told_and_nothing_else) {
  const setting here("two-writers");
  supervisor it(here.options);
  it.holds = here.holding({"write"});
  it.start();
  ASSERT_EQ(it.go_on(), supervisor::rest::held);
  ASSERT_EQ(it.held().size(), 2U);
  for (const auto& call : it.held()) {
    EXPECT_EQ(call.row->word, "write");
    EXPECT_EQ(call.first.path, here.file);
    EXPECT_TRUE(call.first.exists && call.first.is_regular && call.first.by_descriptor);
    EXPECT_EQ(call.first.what, effect::changes_file);
    EXPECT_EQ(call.size, std::uint64_t{1});
    EXPECT_EQ(call.process_name, "0");
  }
  EXPECT_NE(it.held()[0].thread, it.held()[1].thread);
  EXPECT_EQ(here.contents(), "");  // both have been made to wait before they wrote
}

TEST(supervisor, names_a_file_by_one_name_whatever_leads_to_it) {
  setting here({"/bin/sh", "-c",
                R"(mkdir "$0.d" && ln -s "$0.d" "$0.link" && ln -s f "$0.d/dangling" &&
                   : >"$0.link/dangling" && : >>"$0.link/f" && exec 3<"$0.d/f" && : </dev/fd/3)",
                ""});
  here.options.command.back() = here.file;
  supervisor it(here.options);
  std::vector<bool> exists;
  it.hears = [&](const heard_call& call) {
    if (call.first.path != here.file + ".d/f" || call.row->family != "open") return;
    exists.push_back(call.first.exists);
    EXPECT_FALSE(call.first.is_link);
  };
  EXPECT_EQ(finish(it).exit_status(), 0);
  EXPECT_EQ(exists, (std::vector<bool>{false, true, true, true}));
}

// Also one that has the number of another which is gone.
TEST(supervisor, names_what_is_open_by_the_name_that_it_has_now) {
  const setting here("renames-what-is-open");
  supervisor it(here.options);
  std::vector<std::string> written;
  it.hears = [&](const heard_call& call) {
    if (call.row->word == "write") written.push_back(call.first.path);
  };
  EXPECT_EQ(finish(it).exit_status(), 0);
  const auto folder = here.file + ".new";
  EXPECT_EQ(written, (std::vector<std::string>{here.file, here.file, here.file + ".old",
                                               folder + "/f", folder + ".old/f"}));
}

TEST(supervisor, hears_what_changes_attributes_and_of_which_file) {
  const setting here("changes-attributes");
  supervisor it(here.options);
  std::vector<std::pair<std::string, std::string>> heard;
  it.hears = [&](const heard_call& call) {
    if (call.row->what != peculiarity::attributes && call.row->family != "mknod") return;
    heard.emplace_back(call.row->family, call.first.path.substr(here.file.size()));
  };
  EXPECT_EQ(finish(it).exit_status(), 0);
  EXPECT_EQ(heard, (std::vector<std::pair<std::string, std::string>>{{"chmod", ""},
                                                                     {"chmod", ""},
                                                                     {"chown", ".link"},
                                                                     {"chown", ""},
                                                                     {"utimes", ""},
                                                                     {"utimes", ".link"},
                                                                     {"setxattr", ""},
                                                                     {"setxattr", ".link"},
                                                                     {"mknod", ".pipe"}}));
}

TEST(supervisor, releases_in_the_order_that_is_chosen) {
  const setting here("two-writers");
  supervisor it(here.options);
  it.holds = here.holding({"write"});
  for (int i = 0; i < 10; ++i) {
    for (const char first : {'a', 'b'}) {
      ::unlink(here.file.c_str());
      EXPECT_EQ(finish(it, of_letter(first)).exit_status(), 0);
      EXPECT_EQ(here.contents(), first == 'a' ? "ab" : "ba");
    }
  }
}

// At a rest what was released has been done, and nothing else has.
TEST(supervisor, executes_one_call_from_one_rest_to_the_next) {
  const setting here("two-writers");
  supervisor it(here.options);
  it.holds = here.holding({"write"});
  std::vector<std::size_t> sizes;
  finish(it, oldest, [&] { sizes.push_back(here.contents().size()); });
  EXPECT_EQ(sizes, (std::vector<std::size_t>{0, 1}));
}

TEST(supervisor, puts_calls_behind_others_as_it_is_told) {
  const setting here("two-writers");
  supervisor it(here.options);
  it.holds = here.holding({"write"});
  it.start();
  ASSERT_EQ(it.go_on(), supervisor::rest::held);
  const auto first = it.held()[0].number;
  const auto second = it.held()[1].number;
  it.put_last({first});
  EXPECT_EQ(it.held()[0].number, second);
  it.put_last({second, first, 99});
  EXPECT_EQ(it.held()[0].number, second);
  EXPECT_EQ(it.held()[1].number, first);
}

// --- rest

TEST(supervisor, comes_to_rest_whatever_a_program_waits_for) {
  for (const auto* const behaviour : {"two-writers", "forks", "vforks", "waits", "locks", "naps",
                                      "names-a-pipe", "shares-a-name", "closes-its-streams"}) {
    for (const auto choose : {oldest, youngest}) {
      const setting here(behaviour);
      supervisor it(here.options);
      it.holds = here.holding_all();
      if (std::string_view(behaviour) == "naps") it.holds = here.holding({"openat"});
      if (std::string_view(behaviour) == "closes-its-streams") it.holds = nullptr;
      const auto run = finish(it, choose);
      EXPECT_EQ(run.rest, supervisor::rest::over) << behaviour;
      EXPECT_EQ(run.noticed.forced, 0U) << behaviour;
      if (std::string_view(behaviour) == "naps") continue;  // then it may be too late
      EXPECT_EQ(run.exit_status(), 0) << behaviour << run.end.output;
    }
  }
}

TEST(supervisor, comes_to_rest_while_what_it_has_released_waits_for_a_pipe) {
  setting here("splices");
  here.options.run_timeout = 10s;
  supervisor it(here.options);
  it.holds = [&](const heard_call& call) {
    return call.row->word == "splice" ||
           (call.row->word == "write" && call.first.path == here.file + ".other");
  };
  const auto splice_first = [](const held_calls& held) {
    const auto found = std::find_if(held.begin(), held.end(), [](const heard_call& call) {
      return call.row->word == "splice";
    });
    return found == held.end() ? 0 : static_cast<std::size_t>(found - held.begin());
  };
  const auto run = finish(it, splice_first);
  EXPECT_EQ(run.rest, supervisor::rest::over);
  EXPECT_EQ(run.exit_status(), 0);
  EXPECT_EQ(run.executed, (std::vector<std::string>{"splice", "write"}));
  EXPECT_EQ(here.contents(), "s");
}

TEST(supervisor, does_not_await_a_program_that_is_never_quiet) {
  const setting here("spins");
  supervisor it(here.options);
  it.holds = here.holding({"write"});
  const auto run = finish(it);
  EXPECT_EQ(run.exit_status(), 0);
  EXPECT_EQ(run.executed, std::vector<std::string>{"write"});
  EXPECT_EQ(run.noticed.forced, 1U);
}

TEST(supervisor, has_one_call_of_a_thread_that_signals_interrupt) {
  const setting here("signals");
  supervisor it(here.options);
  it.holds = here.holding({"write"});
  const auto run = finish(it, oldest, [&] { EXPECT_EQ(it.held().size(), 1U); });
  EXPECT_EQ(run.exit_status(), 0) << run.end.output;
  EXPECT_EQ(run.executed, (std::vector<std::string>{"write", "write"}));
  EXPECT_EQ(here.contents(), "12");
}

TEST(supervisor, tells_who_waits_for_time_to_pass) {
  {
    const setting here("naps");
    supervisor it(here.options);
    it.holds = here.holding({"write", "stat", "fstatat"});
    it.start();
    ASSERT_EQ(it.go_on(), supervisor::rest::held);
    ASSERT_EQ(it.held().size(), 1U);
    const auto waits = it.timed_waits();
    ASSERT_EQ(waits.size(), 1U);
    EXPECT_NE(waits.front().thread, it.held().front().thread);
    EXPECT_LE(waits.front().most, 30ms);
    EXPECT_TRUE(it.let_time_pass(60s));  // no longer than until the nap is over
    EXPECT_EQ(it.held().size(), 2U);
    EXPECT_EQ(it.held()[1].first.what, effect::looks_at_file);
  }
  const setting here("waits");
  supervisor it(here.options);
  it.holds = here.holding({"write"});
  it.start();
  ASSERT_EQ(it.go_on(), supervisor::rest::held);
  EXPECT_TRUE(it.timed_waits().empty());
  EXPECT_FALSE(it.let_time_pass(1ms));
}

// --- how a run ends

TEST(supervisor, ends_a_run_that_takes_too_long) {
  setting here("never-ends");
  here.options.run_timeout = 50ms;
  supervisor it(here.options);
  const auto run = finish(it);
  EXPECT_EQ(run.rest, supervisor::rest::out_of_time);
  EXPECT_EQ(run.end.status, std::nullopt);
  EXPECT_EQ(run.end.left, 1U);
  EXPECT_GE(run.end.took, 50ms);
}

TEST(supervisor, stops_for_an_interrupt) {
  std::atomic<bool> interrupt{false};
  setting here("two-writers");
  here.options.interrupt = &interrupt;
  supervisor it(here.options);
  it.holds = here.holding({"write"});
  it.start();
  ASSERT_EQ(it.go_on(), supervisor::rest::held);
  interrupt = true;
  EXPECT_EQ(it.go_on(), supervisor::rest::interrupted);
  EXPECT_FALSE(it.let_time_pass(60s));
  EXPECT_EQ(it.end().status, std::nullopt);
  it.start();
  EXPECT_EQ(it.go_on(), supervisor::rest::interrupted);
}

TEST(supervisor, begins_another_run_at_whatever_rest_the_one_before_was_left) {
  const auto descriptors = open_descriptors();
  const setting here("two-writers");
  {
    supervisor it(here.options);
    it.holds = here.holding({"write"});
    for (int i = 0; i < 3; ++i) {
      it.start();
      ASSERT_EQ(it.go_on(), supervisor::rest::held);
    }
    EXPECT_EQ(here.contents(), "");
    EXPECT_EQ(finish(it).exit_status(), 0);
    it.start();
  }
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_TRUE(children_of(::getpid()).empty());
}

TEST(supervisor, tells_why_there_was_nothing_to_run) {
  setting here(std::vector<std::string>{"/nowhere/at/all"});
  supervisor it(here.options);
  const auto run = finish(it);
  EXPECT_EQ(run.end.exec_error, ENOENT);
}

// A listener of the output that has nothing to say any more is always ready.
TEST(supervisor, sleeps_while_a_program_without_streams_does) {
  setting here(std::vector<std::string>{"/bin/sh", "-c", "exec >&- 2>&-; exec sleep 1000"});
  here.options.run_timeout = 400ms;
  const auto spent = [] {
    timespec time{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  };
  supervisor it(here.options);
  auto before = spent();
  EXPECT_EQ(finish(it).rest, supervisor::rest::out_of_time);
  EXPECT_LT(spent() - before, 200ms);
  before = spent();
  EXPECT_EQ(run_unsupervised(here.options).status, std::nullopt);
  EXPECT_LT(spent() - before, 200ms);
}

// --- instead of the kernel

TEST(supervisor, lets_a_call_fail_when_it_is_its_turn) {
  const setting here("two-writers");
  supervisor it(here.options);
  it.intervenes = [&](const heard_call& call) {
    intervention done;
    if (call.row->word == "write" && call.first.path == here.file) done.error = ENOSPC;
    return done;
  };
  for (const bool is_held : {false, true}) {
    it.holds = [=](const heard_call& call) { return is_held && call.row->word == "write"; };
    const auto run = finish(it);
    EXPECT_EQ(run.exit_status(), 9);
    EXPECT_GE(run.noticed.failed, 1U);
    EXPECT_EQ(here.contents(), "");
  }
}

TEST(supervisor, does_half_of_a_write_and_of_a_read) {
  setting here({"/bin/sh", "-c", "printf 123456 >\"$0\" && head -c 6 \"$0\"", ""});
  here.options.command.back() = here.file;
  supervisor it(here.options);
  std::string of = "write";
  it.intervenes = [&](const heard_call& call) {
    return intervention{0, call.first.path == here.file && call.row->word == of, 0ns};
  };
  auto run = finish(it);
  EXPECT_EQ(here.contents(), "123456");  // dash goes on after a short write
  EXPECT_EQ(run.noticed.failed, 3U);     // of 6, 3 and 2 bytes; one has no half
  of = "read";
  run = finish(it);
  EXPECT_EQ(here.contents(), "123456");
  EXPECT_EQ(run.end.output, "123456");  // as head does after a short read
  EXPECT_GT(run.noticed.failed, 1U);
}

TEST(supervisor, stalls_a_call_and_nobody_else) {
  const setting here("two-writers");
  supervisor it(here.options);
  pid_t stalled = 0;
  it.intervenes = [&](const heard_call& call) {
    intervention done;
    if (call.row->word == "write" && letter_of(call) == 'a') {
      done.stalled = 50ms;
      stalled = call.thread;
    }
    return done;
  };
  const auto run = finish(it);
  EXPECT_EQ(run.exit_status(), 0);
  EXPECT_GE(run.end.took, 50ms);
  EXPECT_NE(stalled, 0);
  EXPECT_EQ(here.contents(), "ba");
}

TEST(supervisor, denies_io_uring_where_it_is_asked_to) {
  setting here("sets-up-a-ring");
  here.options.denies_io_uring = true;
  supervisor it(here.options);
  auto run = finish(it);
  EXPECT_EQ(run.exit_status(), ENOSYS);
  EXPECT_EQ(run.noticed.rings, 1U);

  here.options.denies_io_uring = false;
  supervisor other(here.options);
  run = finish(other);
  EXPECT_NE(run.exit_status(), ENOSYS);  // EPERM, where it is forbidden on this machine
  EXPECT_EQ(run.noticed.rings, 1U);
}

TEST(supervisor, tells_a_program_of_all_processors) {
  setting here(std::vector<std::string>{"nproc"});
  const auto as_it_is = run_unsupervised(here.options);
  supervisor it(here.options);
  EXPECT_EQ(finish(it).end.output, as_it_is.output);
}

// --- other architectures

TEST(supervisor, knows_the_calls_of_a_program_of_32_bits) {
#ifdef SPECIMEN_32
  for (const std::string first : {"0", "0.1"}) {  // of the two processes that are held together
    const auto choose = [&](const held_calls& held) {
      const auto found = std::find_if(held.begin(), held.end(), [&](const heard_call& call) {
        return call.process_name == first;
      });
      return found == held.end() ? 0 : static_cast<std::size_t>(found - held.begin());
    };
    setting here(std::vector<std::string>{SPECIMEN_32, ""});
    here.options.command.back() = here.file;
    if (run_unsupervised(here.options).exec_error != 0) GTEST_SKIP() << "this kernel runs none";
    ::unlink(here.file.c_str());
    here.options.run_timeout = 10s;
    supervisor it(here.options);
    it.holds = here.holding({"write"});
    std::set<std::string> processes;
    const auto run = finish(it, choose, [&] {
      for (const auto& call : it.held()) processes.insert(call.process_name);
      EXPECT_TRUE(it.timed_waits().empty());  // its waitpid has the number of our poll
    });
    EXPECT_EQ(run.rest, supervisor::rest::over);
    EXPECT_EQ(run.exit_status(), 0);
    EXPECT_EQ(processes, (std::set<std::string>{"0", "0.0", "0.1"}));
    EXPECT_EQ(here.contents(), first == "0" ? "vpc" : "vcp");
  }
#else
  GTEST_SKIP() << "the compiler makes no programs of 32 bits, or the machine has none";
#endif
}

// --- what it cannot see

TEST(supervisor, counts_mappings_through_which_a_program_may_change_files) {
  for (const auto& [behaviour, count] : std::vector<std::pair<std::string, std::uint64_t>>{
           {"maps-to-write", 1}, {"maps-to-read", 0}}) {
    const setting here(behaviour);
    supervisor it(here.options);
    const auto run = finish(it);
    EXPECT_EQ(run.exit_status(), 0);
    EXPECT_EQ(run.noticed.shared_maps, count) << behaviour;
  }
}

TEST(supervisor, lets_a_program_have_a_filter_but_no_listener) {
  const setting filter("has-a-filter");
  supervisor it(filter.options);
  EXPECT_EQ(finish(it).exit_status(), 0);
  const setting listener("has-a-listener");
  supervisor other(listener.options);
  EXPECT_EQ(finish(other).exit_status(), EBUSY);
}

}  // namespace
}  // namespace filemap
