#pragma once

// A command as a subject: its calls on files that two sides touch are held, one is executed at a
// time, and it comes to how it ended.
//
// Which files those are a few runs show. The first is only listened to. In the second every call on
// a file that a run has changed is held, so that it shows which are in flight beside each other;
// and then those alone are held that two threads or processes have touched, or one that may be of a
// pool, and that one has changed,
// until a run shows no more of them. From there on it stays, so that a schedule means the same in
// each run, and what others show is only noted.
//
// A nap of a few milliseconds, as of a program that polls, is a matter of scheduling: any thread
// may be kept from a processor for so long. So at a rest whoever naps is awaited before anything is
// chosen, and its next call is held beside the others. A longer wait is a choice:
// `candidate::time`.

#include "command.hpp"
#include "contention.hpp"
#include "subject.hpp"
#include "supervisor/supervisor.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace filemap {

/// A call that was held and executed, or time that was let pass, as a thread waits for no longer;
/// or that has passed, while a thread waited that went on then.
struct executed_call {
  bool is_time = false;
  candidate name;
  std::string thread;                 ///< its name
  unsigned thread_number = 0;         ///< in the order in which they came, from 0
  std::string word;                   ///< "write"
  std::string file;                   ///< for a person: below the directory in which it runs
  std::string second;                 ///< of a rename, say
  std::optional<std::uint64_t> size;  ///< bytes that it asks for
  std::optional<std::uint64_t>
      file_size;  ///< when it was executed; nothing: there was no such file
  footprint touched;
  bool alone = false;    ///< nothing else could go
  nanoseconds held{0};   ///< since the run's beginning: when it came
  nanoseconds at{0};     ///< and when it was executed
  nanoseconds waits{0};  ///< of time: for how long `thread` waits at the most, in `word`
  intervention done;
};

/// A call that a fault may hit: it changes a regular file or a name, or looks at what runs change.
struct fallible_call {
  const call_row* row = nullptr;
  std::string process;  ///< by its lineage
  std::string thread;   ///< its name
  std::string file;     ///< for a person
  std::optional<std::uint64_t> size;
  bool creates = false;

  friend bool operator==(const fallible_call&, const fallible_call&) = default;
};

class command_subject final : public subject {
 public:
  /// Throws `unsupported`, std::system_error.
  explicit command_subject(command_settings settings);

  /// The first few runs, after which it is known what to hold.
  void learn();

  /// A run in which nothing is held, on all processors; with the stalls and faults.
  ending run_unheld();
  /// From the next run on.
  void set_faults(std::vector<call_fault> faults) { settings_.faults = std::move(faults); }
  void record_fallible(bool does) noexcept { records_fallible_ = does; }
  /// Of the last run, in the order in which they were heard of; where they are recorded.
  std::span<const fallible_call> fallible() const noexcept { return fallible_; }
  /// Of the fallible calls of the last run those that a fault has hit.
  std::span<const fallible_call> hit() const noexcept { return hit_; }
  /// What the run has left: each regular file below its TMPDIR and each that runs have been seen to
  /// change, with a hash of its contents.
  std::map<std::string, std::size_t> files_left() const;

  void begin() override;
  std::span<const candidate> held() const override { return names_; }
  footprint execute(std::size_t choice) override;
  ending end() override;
  std::string describe(const candidate& which) const override;

  /// Of the last run.
  std::span<const executed_call> executed() const noexcept { return executed_; }
  const command_end& last_end() const noexcept { return end_; }
  /// When it began.
  instant begun() const noexcept { return begun_; }
  const supervision& noticed() const noexcept { return noticed_; }
  const command_state& state(std::size_t number) const noexcept { return states_[number]; }
  nanoseconds patience() const noexcept { return settings_.patience; }
  /// From the next run on no call is held for longer than that while time passes, which it may
  /// where it may by the patience.
  void wait_at_most(nanoseconds limit) noexcept { most_waited_ = limit; }
  std::vector<std::string> contended_files() const;
  /// What runs since have shown to be like these, and that is not held.
  std::vector<std::string> files_not_held() const;

 private:
  using holding = contention::holding;

  void run_once(holding what, supervisor::processors on = supervisor::processors::one);
  nanoseconds left_of(nanoseconds patience) const;
  nanoseconds nap_left() const;
  void wait_for_nap(const timed_wait& nap);
  void look_at_waits();
  void note_what_was_outwaited(pid_t thread);
  void hear(const heard_call& call);
  bool is_fallible(const heard_call& call) const;
  intervention intervene(const heard_call& call);
  void advance();
  void name_what_is_held();
  candidate name_of(const heard_call& call);
  unsigned thread_number(pid_t thread);
  unsigned file_number(const named_file& file);
  void number_what_it_names(const heard_call& call);
  footprint footprint_of(const heard_call& call);
  footprint footprint_of(const heard_call& call, const named_file& file);
  std::uint64_t bit(std::string_view what, unsigned number);
  executed_call note(std::size_t which);
  executed_call note_time(const timed_wait& wait);
  std::string shown(const std::string& path) const;
  std::size_t state_number(const command_state& state);

  command_settings settings_;
  nanoseconds most_waited_ = settings_.patience;
  const std::string here_;  // the directory in which it runs
  supervisor supervisor_;

  // Of all runs.
  contention contention_;
  bool learned_more_ = false;                   // from the last run
  std::map<std::string, std::uint32_t> kinds_;  // "p0 write f1": a stream
  std::vector<std::string> kind_names_;
  std::map<std::string, std::uint64_t> objects_;
  std::vector<command_state> states_;

  // Of this run.
  std::map<pid_t, unsigned> threads_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, unsigned> file_numbers_;
  std::map<std::string, unsigned> name_numbers_;
  std::map<std::string, unsigned>
      paths_touched_;  // by calls that were held: numbered in their order
  std::map<std::pair<std::uint64_t, std::uint64_t>, unsigned> files_touched_;  // likewise
  std::uint64_t locks_ = 0;  // that were taken or left, as bits
  std::map<std::string, std::uint32_t> counts_;
  std::vector<fallible_call> fallible_;
  std::vector<fallible_call> hit_;
  bool records_fallible_ = false;
  // Of a fault or a stall, and a process or all of them: calls that it is about.
  std::map<std::pair<const void*, std::string>, std::uint64_t> hits_;
  std::vector<candidate> names_;
  struct named_call {
    std::uint64_t number;  // of the call
    candidate name;
    nanoseconds waited{0};  // while time was let pass
    nanoseconds napped{0};  // while others took naps
  };
  std::vector<named_call> named_;  // that are held
  std::vector<executed_call> executed_;
  struct running_wait {
    timed_wait wait;
    instant ends;
  };
  std::map<pid_t, running_wait> waits_;  // that are the kernel's, and no naps
  std::optional<timed_wait> awaited_;    // at this rest: the first that ends
  struct naps_taken {
    unsigned count = 0;
    nanoseconds time{0};
  };
  std::map<pid_t, naps_taken> naps_;  // of a thread, since it was heard of last
  std::set<pid_t> dozing_;            // who naps again and again, and does nothing that is held
  std::uint32_t time_passed_ = 0;     // times
  std::uint64_t outwaited_ = 0;       // waits that nobody let pass
  bool time_is_tried_ = false;        // since the last call was executed
  supervisor::rest rest_ = supervisor::rest::over;
  command_end end_;
  supervision noticed_;
  instant begun_{};
};

}  // namespace filemap
