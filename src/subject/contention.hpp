#pragma once

// Which calls of a command are to be held: those on files that two sides touch and one changes, as
// its runs show them.
//
// What a run has done is gathered call by call, and taken into what is known at its end. Two sides
// are two threads or processes, or one that is not its process's first and may be of a pool. Files
// are known by device and inode, names by their path.
//
// A name on the way to others (a folder's, or a symbolic link's) is touched by whoever uses a path
// below it. It is changed for them only where that is done while somebody else could do something:
// a folder that a program makes before it begins its threads is there for all of them.

#include "supervisor/supervisor.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace filemap {

class contention {
 public:
  /// What is held in a run.
  enum class holding : std::uint8_t {
    nothing,
    changed,    ///< what runs have changed: so it shows who touches it beside whom
    contended,  ///< that alone which two sides touch
  };

  /// Everything below `watched` is held, if there is anything; else what the runs show.
  explicit contention(std::vector<std::filesystem::path> watched) : watched_(std::move(watched)) {}

  void begin_run(holding what);
  /// Of a call of this run; `alone`: nobody else can do anything before it returns.
  void hear(const heard_call& call, bool alone);
  /// Is the call that was heard last to be held?
  bool wants(const heard_call& call);
  /// True: there is more to be held than before.
  bool end_run();
  /// From now on it stays what is held, and what is like it is only noted.
  void learns_no_more() noexcept { learns_ = false; }

  bool is_watched(const named_file& file) const;
  /// In a run before, or in this one until now.
  bool is_changed(const named_file& file) const;
  std::vector<std::string> changed_paths() const { return paths_that_are(&known_path::changed); }
  std::vector<std::string> contended_paths() const {
    return paths_that_are(&known_path::contended);
  }
  /// What runs since have shown to be like these, where some call on it was not held.
  const std::set<std::string>& not_held() const noexcept { return not_held_; }
  /// Names that lead to it, and are contended: of folders and symbolic links.
  std::vector<std::string> names_on_the_way_to(const named_file& file) const;

 private:
  // What is known of a path from the runs before.
  struct known_path {
    bool changed = false;
    bool contended = false;
    bool was_held = false;  // in a run in which all that changes was: so what touches it is known
  };
  // What this run has done to a file, or to a name.
  struct touched {
    std::set<pid_t> threads;
    bool by_other = false;  // by another than its process's first: of a pool it may be any
    bool changed = false;
    bool is_new = false;             // a name that had to be new
    bool is_listed = false;          // a folder
    bool is_changed_beside = false;  // its name was, while others could do something
    bool let_go = false;             // by a call that was not held
    std::set<std::string> paths;     // of a file

    void add(const touched& other);
    bool by_two() const noexcept { return threads.size() > 1 || by_other; }
  };

  bool is_to_be_held(const heard_call& call, const named_file& file) const;
  bool is_drawn(const std::string& path) const;
  std::vector<std::string> paths_that_are(bool known_path::*so) const;
  bool learn(const std::string& path, const touched& one);
  bool learn_ways();

  const std::vector<std::filesystem::path> watched_;

  // Of all runs.
  std::map<std::string, known_path> known_;
  std::set<std::string> ways_;      // that are contended
  std::set<std::string> once_new_;  // names that had to be new in a run before
  std::set<std::string> not_held_;
  bool learns_ = true;

  // Of this run.
  holding holding_ = holding::nothing;
  std::map<std::pair<std::uint64_t, std::uint64_t>, touched> files_;
  std::map<std::string, touched> paths_;
  std::vector<touched*> by_last_call_;
};

// What is in a folder is a thing of its own: who makes or takes a name in it changes it, and who
// lists it looks at it. It is known by the folder's path with a slash behind it.
std::string folder_of(const std::string& path);
/// Of a seek: does where it goes to depend on what is in the file?
bool seeks_by_contents(const heard_call& call);
/// An open or a mkdir of what is there makes none, and an unlink of what is not takes none.
bool makes_or_takes_a_name(const heard_call& call, const named_file& file);

}  // namespace filemap
