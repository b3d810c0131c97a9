#include "contention.hpp"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <string_view>

namespace filemap {

namespace {

bool is_folder(std::string_view path) { return path.ends_with('/'); }
std::string key_of(const named_file& file) {
  return file.what == effect::lists_directory ? file.path + '/' : file.path;
}

}  // namespace

bool seeks_by_contents(const heard_call& call) {
  const auto whence = call.row->name == "_llseek" ? call.arguments[4] : call.arguments[2];
  return static_cast<int>(whence) >= SEEK_END;  // SEEK_DATA and SEEK_HOLE too
}

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

bool makes_or_takes_a_name(const heard_call& call, const named_file& file) {
  if (file.what != effect::changes_name) return false;
  const bool is_first = &file == &call.first;
  if (call.row->family == "rename") return !is_first || file.exists;
  const bool makes = call.row->what == peculiarity::opens || call.exclusively || !is_first;
  return makes ? !file.exists : file.exists;
}

void contention::touched::add(const touched& other) {
  threads.insert(other.threads.begin(), other.threads.end());
  by_other = by_other || other.by_other;
  changed = changed || other.changed;
  let_go = let_go || other.let_go;
}

// --- a run

void contention::begin_run(holding what) {
  holding_ = what;
  files_.clear();
  paths_.clear();
  by_last_call_.clear();
}

void contention::hear(const heard_call& call, bool alone) {
  by_last_call_.clear();
  const auto look_at_name = [&](touched& one) {
    one.threads.insert(call.thread);
    one.by_other = one.by_other || call.thread != call.process;
    by_last_call_.push_back(&one);
  };
  const auto touch = [&](touched& one, const named_file& file) {
    look_at_name(one);
    const bool is_change = file.what == effect::changes_file || file.what == effect::locks ||
                           makes_or_takes_a_name(call, file) || call.truncates;
    one.changed = one.changed || is_change;
  };
  if (call.exclusively && is_watched(call.first)) paths_[call.first.path].is_new = true;
  for (const auto* const file : {&call.first, &call.second}) {
    if (!is_watched(*file) || file->what == effect::nothing) continue;
    auto& named = paths_[key_of(*file)];
    touch(named, *file);
    if (makes_or_takes_a_name(call, *file)) {
      touch(paths_[folder_of(file->path)], *file);
      if (!alone) named.is_changed_beside = true;
    }
    if (file->what == effect::lists_directory) {
      named.is_listed = true;
      continue;
    }
    for (const auto& other : file->through) look_at_name(paths_[other]);
    if (!file->exists) continue;
    auto& itself = files_[{file->device, file->inode}];
    touch(itself, *file);
    itself.paths.insert(file->path);
  }
}

bool contention::wants(const heard_call& call) {
  if (holding_ == holding::nothing || call.row->what == peculiarity::closes) return false;
  // Most cursors are one thread's alone. Of what is watched every one is taken for shared.
  const bool only_seeks = call.first.what == effect::moves_cursor && !seeks_by_contents(call);
  if (only_seeks && watched_.empty()) return false;
  const bool held = is_to_be_held(call, call.first) || is_to_be_held(call, call.second);
  if (!held) {
    for (auto* const one : by_last_call_) one->let_go = true;
  }
  return held;
}

bool contention::is_watched(const named_file& file) const {
  if (file.path.empty()) return false;
  const bool is_data = file.is_regular || file.what == effect::lists_directory;
  if (file.exists && file.by_descriptor && !is_data) return false;
  for (const auto* const outside : {"/proc", "/sys", "/dev"}) {
    if (is_below(file.path, outside) && !is_below(file.path, "/dev/shm")) return false;
  }
  if (watched_.empty()) return true;
  return std::any_of(watched_.begin(), watched_.end(),
                     [&](const auto& folder) { return is_below(file.path, folder.string()); });
}

bool contention::is_to_be_held(const heard_call& call, const named_file& file) const {
  if (file.path.empty() || !is_watched(file)) return false;
  if (!watched_.empty()) return true;
  if (makes_or_takes_a_name(call, file)) {
    const auto folder = known_.find(folder_of(file.path));
    if (folder != known_.end() && folder->second.contended) return true;
  }
  const auto key = key_of(file);
  const auto known = known_.find(key);
  if (known != known_.end() && known->second.contended) return true;
  if (!names_on_the_way_to(file).empty()) return true;
  if (known != known_.end()) {
    if (holding_ == holding::changed && known->second.changed) return true;
    if (known->second.was_held) return false;
  }
  // One of which no run before has said anything, as its name is drawn anew each time.
  const auto seen = paths_.find(key);
  return seen != paths_.end() && seen->second.changed;
}

// --- what is known

// A name that has to be new may be drawn anew in each run, and then says nothing of the next one.
bool contention::is_drawn(const std::string& path) const {
  const auto found = paths_.find(path);
  return found != paths_.end() && found->second.is_new && once_new_.count(path) == 0;
}

bool contention::end_run() {
  bool more = learn_ways();
  for (const auto& [file, one] : files_) {
    for (const auto& path : one.paths) more = learn(path, one) || more;
  }
  for (const auto& [path, one] : paths_) more = learn(path, one) || more;
  for (const auto& [path, one] : paths_) {
    if (one.is_new) once_new_.insert(path);
  }
  return more;
}

bool contention::learn(const std::string& path, const touched& one) {
  if (is_drawn(path)) return false;
  const bool shared = one.changed && one.by_two() && holding_ != holding::nothing;
  const bool contended = (shared || !watched_.empty()) && (!is_folder(path) || one.is_listed);
  if (!learns_) {
    if (contended && one.let_go) not_held_.insert(path);
    return false;
  }
  auto& known = known_[path];
  const bool is_more = contended && !known.contended;
  known.changed = known.changed || one.changed;
  known.contended = known.contended || contended;
  known.was_held = known.was_held || holding_ == holding::changed;
  return is_more;
}

// Who uses a path below a name sees whether that name is there.
bool contention::learn_ways() {
  bool more = false;
  for (const auto& [path, one] : paths_) {
    if (!one.is_changed_beside || is_drawn(path) || holding_ == holding::nothing) continue;
    const auto below = path + '/';
    touched all = one;
    bool is_used = false;
    for (auto at = paths_.lower_bound(below); at != paths_.end() && at->first.starts_with(below);
         ++at) {
      all.add(at->second);
      is_used = is_used || at->first != below;
    }
    if (!is_used || !all.by_two()) continue;
    if (learns_) {
      more = ways_.insert(path).second || more;
      known_[path].contended = true;
    } else if (all.let_go) {
      not_held_.insert(path);
    }
  }
  return more;
}

std::vector<std::string> contention::names_on_the_way_to(const named_file& file) const {
  std::vector<std::string> names;
  if (file.by_descriptor) return names;
  const auto is_on_the_way = [&](const std::string& way) {
    const auto is_above = [&](const std::string& path) {
      return way != path && is_below(path, way);
    };
    return is_above(file.path) || std::any_of(file.through.begin(), file.through.end(), is_above);
  };
  std::copy_if(ways_.begin(), ways_.end(), std::back_inserter(names), is_on_the_way);
  const auto is_contended = [&](const std::string& path) {
    const auto found = known_.find(path);
    return found != known_.end() && found->second.contended;
  };
  std::copy_if(file.through.begin(), file.through.end(), std::back_inserter(names), is_contended);
  return names;
}

bool contention::is_changed(const named_file& file) const {
  const auto known = known_.find(key_of(file));
  const auto now = paths_.find(key_of(file));
  return (known != known_.end() && known->second.changed) ||
         (now != paths_.end() && now->second.changed);
}

std::vector<std::string> contention::paths_that_are(bool known_path::*so) const {
  std::vector<std::string> paths;
  for (const auto& [path, known] : known_) {
    if (known.*so) paths.push_back(path);
  }
  return paths;
}

}  // namespace filemap
