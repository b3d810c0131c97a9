#pragma once

// Runs a command whose file system calls it hears of, and holds those that it is asked to hold.
//
//     start ─► rest ─► release ─► rest ─► release … rest: over ─► end
//              └─ no thread of the command can run: each is held, asleep or gone
//
// The kernel tells the listener of each call of the filter's before it executes it, and its thread
// waits for the answer (seccomp_unotify(2)). One that is not held goes on at once. What has been
// released has ended when its thread has left the call.
//
// The command runs on one processor: where two threads can run, which of them takes what first is
// then the kernel's scheduler's to say, and it says the same each time. (Of 20 runs of a program in
// Node, whose threads race for their work, 20 went one way; on two processors 13 to 16.) Asked for
// its processors, it is told of all.
//
// A sleep is not the kernel's either: it ends when nothing else can go, or when time is let pass,
// and then the one that is to end first, alone. Else it would depend on how busy the machine is how
// often a program that polls has looked.
//
// Whether a thread can run is read from /proc, twice, with the same result and nothing heard in
// between: one look lies, as it takes a while. A command that is never quiet is given a bound.

#include "filemap/io/op.hpp"

#include "fault.hpp"
#include "filter.hpp"
#include "lineage.hpp"
#include "process_tree.hpp"
#include "run_clock.hpp"
#include "target.hpp"
#include "thread_paths.hpp"
#include "thread_view.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace filemap {

/// A file that a call names.
struct named_file {
  std::string path;                  ///< from the root; empty: it names none
  std::vector<std::string> through;  ///< other paths that were come through, where links are
  bool by_descriptor = false;
  bool exists = false;  ///< when it was heard of
  bool is_regular = false;
  bool is_link = false;  ///< symbolic, and not followed
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  effect what = effect::nothing;  ///< what the call does to it
};

/// A system call that has been heard of and not answered.
struct heard_call {
  std::uint64_t id = 0;      ///< of the notification: another one when a signal has interrupted it
  std::uint64_t number = 0;  ///< of those that were held in this run, from 1
  pid_t thread = 0;
  pid_t process = 0;
  std::string process_name;  ///< by its lineage
  const call_row* row = nullptr;
  bool is_native = true;  ///< of an architecture whose numbers and structures are ours
  std::array<std::uint64_t, 6> arguments{};
  named_file first;
  named_file second;
  std::optional<std::uint64_t> size;  ///< bytes that it asks for
  bool creates = false;               ///< may make a file of its name
  bool exclusively = false;           ///< and must: no two runs need give it one name
  bool truncates = false;
  instant at{};  ///< when it was heard of
  intervention done;
};

/// A thread that waits, but for no longer than that.
struct timed_wait {
  pid_t thread = 0;
  std::string_view call;     ///< "futex"
  nanoseconds most{0};       ///< from the wait's beginning on, or from now
  bool is_ours = false;      ///< it ends when we say so
  std::uint64_t number = 0;  ///< the same while it is the same wait of this thread
};

/// How a run of a command ended.
struct command_end {
  std::optional<int> status;  ///< as waitpid(2) has it; nothing: it had not ended in time
  int exec_error = 0;         ///< an errno: there was nothing to run
  unsigned left = 0;          ///< processes that were there when it had ended, and were ended
  std::string output;         ///< the end of it
  std::string errors;         ///< likewise, of one that converses
  nanoseconds took{0};
};

/// What was noticed of a run, and what it cost.
struct supervision {
  std::uint64_t held = 0;
  std::uint64_t failed = 0;       ///< calls that an intervention has answered
  std::uint64_t forced = 0;       ///< choices that were made though the command was never quiet
  std::uint64_t outwaited = 0;    ///< time-outs of its own that ran out while calls were held
  std::uint64_t rings = 0;        ///< io_uring_setup and io_submit
  std::uint64_t shared_maps = 0;  ///< of files that it may change unheard
};

struct supervisor_options {
  std::vector<std::string> command;
  std::filesystem::path directory;  ///< its TMPDIR, which is there
  bool denies_io_uring = false;
  /// What it reads from its standard input. Its standard error is apart from its output then.
  /// Nothing: it has no input.
  std::optional<std::string> input;
  /// The end of its input comes when it is at rest, nothing is held, and its output ends with this
  /// or nobody sleeps.
  std::string last_words;
  std::size_t kept_output = 65536;  ///< bytes of the end of it
  nanoseconds run_timeout = std::chrono::seconds(10);
  /// A command that has run for so long (on the processor, which others may want too) since it was
  /// heard of last is never quiet.
  nanoseconds quiet_bound = std::chrono::milliseconds(20);
  const std::atomic<bool>* interrupt = nullptr;
};

class supervisor {
 public:
  enum class rest : std::uint8_t {
    held,         ///< there are calls in `held`
    over,         ///< the command has ended
    out_of_time,  ///< it has not, and has had its time
    interrupted,
  };

  /// Throws `unsupported`, std::system_error.
  explicit supervisor(supervisor_options options);
  supervisor(const supervisor&) = delete;
  supervisor& operator=(const supervisor&) = delete;

  /// Is the call to be held? It may be asked of any call that names a file.
  std::function<bool(const heard_call&)> holds;
  /// Hears of every call that names a file, held or not.
  std::function<void(const heard_call&)> hears;
  /// Is asked after it what else is done with the call; nothing is where it is empty.
  std::function<intervention(const heard_call&)> intervenes;

  enum class processors : std::uint8_t { one, all };

  /// Ends the run before, and begins another. On all processors sleeps are the kernel's.
  void start(processors on = processors::one);
  /// Ends the run, at whatever rest it is: nothing of it is left.
  void stop() { target_.reset(); }
  /// Goes on until the command is at rest.
  rest go_on();
  /// At rest: goes on until a further call is held, or for so long. True: one is.
  bool let_time_pass(nanoseconds patience);
  /// How long time has been let pass in this run. Of sleeps it counts what they were to take, which
  /// on a busy machine is less than what they took.
  nanoseconds time_passed() const noexcept { return passed_; }
  /// The calls that are held, in the order in which they came; until the next that is not const.
  const std::deque<heard_call>& held() const noexcept { return held_; }
  /// One of `held`, with what its paths are now: files may have been made since, or renamed.
  heard_call as_it_is_now(std::size_t which) const;
  /// At rest: of the threads that will go on by themselves.
  std::vector<timed_wait> timed_waits() const;
  /// Can nobody but the thread do anything before its call returns? All others wait for children.
  bool is_alone(pid_t thread);
  /// Since the run's beginning.
  nanoseconds running() const { return clock::now() - begun_; }

  /// Moves those of these numbers behind the others, in this order.
  void put_last(const std::vector<std::uint64_t>& numbers);
  /// Lets one of `held` go on.
  void release(std::size_t which);

  /// Of a run that is over, or is to be.
  command_end end();
  const supervision& noticed() const noexcept { return noticed_; }

 private:
  // What asking takes longer than all else that a call takes which is not held.
  struct known_thread {
    pid_t process;
    const std::string& process_name;
    open_files files;
  };
  known_thread& known(pid_t thread);
  void note_changes_of_names(const heard_call& call);

  bool hear();
  bool answer_itself(const heard_call& call);
  bool keep_asleep(const heard_call& call);
  void pass(std::uint64_t id);
  void reply(std::uint64_t id, int error, std::int64_t value);
  static void understand(heard_call& call, open_files& files);
  void take(heard_call call);
  void carry_out(const heard_call& call);
  void carry_out_what_is_due();
  void drop_what_is_gone();
  bool is_quiet();
  bool can_run(const thread_state& state) const;
  bool is_in_vfork(const thread_state& state) const;
  bool is_held(pid_t thread) const noexcept;
  bool has_heard() const;
  bool wait_for_event(nanoseconds most);
  void converse();
  bool has_said_last_words();
  bool expects_input() const noexcept { return target_->input().get() >= 0; }
  bool is_over() const noexcept { return status_.has_value(); }
  bool is_stopped();
  bool is_never_quiet();

  // A thread that sleeps until we say that it has. Sleeps end in the order that they would have if
  // nothing took any time but them.
  struct sleeper {
    std::uint64_t id;
    pid_t thread;
    std::string_view call;
    nanoseconds ends;  // on the clock of the sleeps alone
    instant real_end;
  };
  std::vector<sleeper>::iterator first_to_wake();
  void wake(std::vector<sleeper>::iterator which);

  const supervisor_options options_;
  const call_filter filter_;
  cpu_set_t all_processors_{};
  cpu_set_t one_processor_{};
  std::unique_ptr<target> target_;
  std::unique_ptr<process_tree> tree_;
  std::unique_ptr<lineage> lineage_;
  std::map<pid_t, known_thread> known_;
  std::map<pid_t, std::uint32_t> foreign_;  // by process: its architecture, where it is not ours
  std::set<pid_t> change_names_;            // who may be doing that
  std::vector<thread_state> states_;        // at the last rest
  std::deque<heard_call> held_;
  std::multimap<instant, heard_call> stalled_;  // by when they go on
  bool on_one_processor_ = true;
  std::vector<sleeper> asleep_;
  nanoseconds slept_{0};  // the clock of the sleeps
  nanoseconds passed_{0};
  std::set<pid_t> touched_files_;  // since they slept last
  std::set<pid_t> have_slept_;
  pid_t released_ = 0;  // the thread of the call that was released last, which may be in it still
  long released_number_ = -1;
  bool released_may_wait_ = false;
  std::optional<int> status_;
  instant begun_{};
  run_clock had_;                            // of its time
  std::optional<std::uint64_t> ran_before_;  // until the last event
  unsigned heard_in_a_row_ = 0;
  bool is_deserted_ = false;  // by all who could be heard of: then it is always ready
  output_tail output_;
  output_tail errors_;
  std::size_t said_ = 0;  // of the input
  supervision noticed_;
};

/// Runs it to its end, or to the end of its time or an interrupt, without hearing of its calls.
command_end run_unsupervised(const supervisor_options& options);

}  // namespace filemap
