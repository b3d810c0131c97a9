#include "command_subject.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <tuple>

#include <fmt/format.h>

namespace filemap {

namespace {

// Calls are told of with the paths that the kernel has: without links.
command_settings with_real_directory(command_settings settings) {
  std::error_code error;
  auto real = std::filesystem::canonical(settings.directory, error);
  if (!error) settings.directory = std::move(real);
  return settings;
}

}  // namespace

command_subject::command_subject(command_settings settings)
    : settings_(with_real_directory(std::move(settings))),
      here_(std::filesystem::current_path().string()),
      supervisor_(supervisor_options_of(settings_)),
      contention_(settings_.watch) {
  supervisor_.hears = [this](const heard_call& call) { hear(call); };
  supervisor_.holds = [this](const heard_call& call) { return contention_.wants(call); };
  supervisor_.intervenes = [this](const heard_call& call) { return intervene(call); };
}

// --- what is held

void command_subject::learn() {
  constexpr unsigned most = 3;  // of those in which what is known until then is held
  run_once(holding::nothing);
  end();
  run_once(holding::changed);
  end();
  for (unsigned i = 0; i < most && learned_more_; ++i) {
    run_once(holding::contended);
    while (!names_.empty()) execute(0);
    end();
  }
  contention_.learns_no_more();
}

void command_subject::hear(const heard_call& call) {
  note_what_was_outwaited(call.thread);
  naps_.erase(call.thread);
  dozing_.erase(call.thread);
  // To ask takes a while, and matters only where a name of a folder may be made or taken.
  const bool changes =
      makes_or_takes_a_name(call, call.first) || makes_or_takes_a_name(call, call.second);
  const bool may_be_folder = changes && call.row->what != peculiarity::opens;
  contention_.hear(call, may_be_folder && supervisor_.is_alone(call.thread));
}

// What changes a file, a name or what is durable may fail anywhere; what only looks, where runs are
// seen to change what it looks at: a missing library is nothing that anybody wants to know of.
bool command_subject::is_fallible(const heard_call& call) const {
  const auto changes = [&](const named_file& file) {
    switch (file.what) {
      case effect::nothing:
      case effect::moves_cursor:
        return false;
      case effect::changes_file:
      case effect::changes_name:
      case effect::syncs:
      case effect::locks:
        return true;
      default:
        break;
    }
    return call.truncates || contention_.is_changed(file);
  };
  return (contention_.is_watched(call.first) && changes(call.first)) ||
         (contention_.is_watched(call.second) && changes(call.second));
}

// The same for the same call in each run: of what is drawn each process has a sequence of its own.
intervention command_subject::intervene(const heard_call& call) {
  intervention done;
  const bool asked = !settings_.faults.empty() || !settings_.stalls.empty();
  if ((!asked && !records_fallible_) || !is_fallible(call)) return done;
  const fallible_call seen{
      call.row,  call.process_name, name_of_thread(call.thread), shown(call.first.path),
      call.size, call.creates};
  if (records_fallible_) fallible_.push_back(seen);
  const auto is_drawn = [&](double probability, std::uint64_t which) {
    if (probability >= 1) return true;
    const auto process = std::hash<std::string>{}(call.process_name);
    std::mt19937_64 random(settings_.seed ^ process ^ which << 32U);
    return std::generate_canonical<double, 53>(random) < probability;
  };
  for (const auto& fault : settings_.faults) {
    if (!is_operation(*call.row, fault.operation)) continue;
    const auto which = ++hits_[{&fault, fault.which > 0 ? "" : call.process_name}];
    if (fault.which > 0 && which != fault.which) continue;
    if (!is_drawn(fault.probability, which)) continue;
    done.error = fault.error;
    done.shortened = fault.error == 0;
    hit_.push_back(seen);
    break;
  }
  for (const auto& stall : settings_.stalls) {
    if (!is_operation(*call.row, stall.operation)) continue;
    const auto which = ++hits_[{&stall, call.process_name}];
    if (is_drawn(stall.probability, which)) done.stalled += stall.time;
  }
  return done;
}

std::map<std::string, std::size_t> command_subject::files_left() const {
  std::map<std::string, std::size_t> left;
  const auto add = [&](const std::filesystem::path& path) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(std::filesystem::symlink_status(path, error))) return;
    std::ifstream file(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    left[shown(path.string())] = std::hash<std::string>{}(bytes);
  };
  std::error_code error;
  const auto below = settings_.directory / "tmp";
  for (std::filesystem::recursive_directory_iterator at(below, error), end; !error && at != end;
       at.increment(error)) {
    add(at->path());
  }
  for (const auto& path : contention_.changed_paths()) add(path);
  return left;
}

std::vector<std::string> command_subject::contended_files() const {
  std::vector<std::string> files;
  for (const auto& path : contention_.contended_paths()) files.push_back(shown(path));
  return files;
}

std::vector<std::string> command_subject::files_not_held() const {
  std::vector<std::string> files;
  for (const auto& path : contention_.not_held()) files.push_back(shown(path));
  return files;
}

// --- a run

void command_subject::run_once(holding what, supervisor::processors on) {
  contention_.begin_run(what);
  supervisor_.stop();  // or it could still write where the next one is prepared
  prepare_run(settings_);
  threads_.clear();
  file_numbers_.clear();
  name_numbers_.clear();
  paths_touched_.clear();
  files_touched_.clear();
  locks_ = 0;
  counts_.clear();
  names_.clear();
  named_.clear();
  executed_.clear();
  fallible_.clear();
  hit_.clear();
  hits_.clear();
  waits_.clear();
  awaited_.reset();
  naps_.clear();
  dozing_.clear();
  time_passed_ = 0;
  outwaited_ = 0;
  time_is_tried_ = false;
  begun_ = clock::now();
  supervisor_.start(on);
  advance();
  if (what == holding::nothing) return;
  while (what == holding::changed && !names_.empty()) execute(0);
}

void command_subject::begin() { run_once(holding::contended); }

ending command_subject::run_unheld() {
  run_once(holding::nothing, supervisor::processors::all);
  return end();
}

void command_subject::advance() {
  names_.clear();
  for (;;) {
    rest_ = supervisor_.go_on();
    if (rest_ != supervisor::rest::held) return;
    name_what_is_held();
    look_at_waits();
    if (!awaited_ || awaited_->most > nap_left()) break;
    wait_for_nap(*awaited_);
  }
  for (const auto& call : supervisor_.held()) {
    const auto found = std::find_if(named_.begin(), named_.end(),
                                    [&](const auto& one) { return one.number == call.number; });
    names_.push_back(found->name);
  }
  // Only where somebody waits for it: else it would change nothing but the clock.
  // Of a wait that began before there may be less left than it says, but no less than since the
  // run's beginning.
  const auto left = left_of(settings_.patience);
  if (time_is_tried_ || left <= nanoseconds{0} || !awaited_) return;
  if (awaited_->most > left + supervisor_.running()) return;
  names_.push_back({candidate::time, time_passed_, 0});
}

// Likewise for what is slept through without asking.
nanoseconds command_subject::nap_left() const {
  nanoseconds napped{0};
  for (const auto& one : named_) napped = std::max(napped, one.napped);
  return settings_.longest_nap - napped;
}

void command_subject::look_at_waits() {
  awaited_.reset();
  std::map<pid_t, running_wait> waits;
  for (const auto& one : supervisor_.timed_waits()) {
    const bool is_awaited = dozing_.count(one.thread) == 0;
    if (is_awaited && (!awaited_ || one.most < awaited_->most)) awaited_ = one;
    if (one.is_ours || one.most <= settings_.longest_nap) continue;
    const auto known = waits_.find(one.thread);
    const bool is_same = known != waits_.end() && known->second.wait.number == one.number;
    waits[one.thread] = is_same ? known->second : running_wait{one, clock::now() + one.most};
  }
  waits_ = std::move(waits);
}

// While we looked and held, a wait of the program's own may have come to its end, as it would not
// have done else. What it does then is not by order.
void command_subject::note_what_was_outwaited(pid_t thread) {
  const auto found = waits_.find(thread);
  if (found == waits_.end()) return;
  if (clock::now() >= found->second.ends) {
    executed_.push_back(note_time(found->second.wait));
    ++outwaited_;
  }
  waits_.erase(found);
}

void command_subject::wait_for_nap(const timed_wait& nap) {
  constexpr nanoseconds slack = std::chrono::microseconds(100);  // of the kernel's timers
  constexpr unsigned many = 3;
  supervisor_.let_time_pass(nap.most + slack);
  for (auto& one : named_) one.napped += nap.most;
  auto& naps = naps_[nap.thread];
  ++naps.count;
  naps.time += nap.most;
  if (naps.count >= many && naps.time >= settings_.shortest_doze) dozing_.insert(nap.thread);
}

// No call is held longer than that, however often somebody looks whether it is done.
nanoseconds command_subject::left_of(nanoseconds patience) const {
  nanoseconds waited{0};
  for (const auto& one : named_) waited = std::max(waited, one.waited);
  return patience - waited;
}

// Calls that came to be held at one rest come in an order that is the same in the next run, and
// those that were held at an earlier one before them. Of threads that do the same the one comes
// first that came first: those of a pool have taken what they do from one queue in its order,
// whichever of them took what.
void command_subject::name_what_is_held() {
  struct unnamed {
    const heard_call* call;
    std::string file;
    unsigned thread;
  };
  std::vector<unnamed> added;
  for (const auto& call : supervisor_.held()) {
    const bool is_named = std::any_of(named_.begin(), named_.end(),
                                      [&](const auto& one) { return one.number == call.number; });
    if (is_named) continue;
    const auto thread = threads_.find(call.thread);
    // A name that has to be new is drawn, and says nothing.
    const auto file = call.exclusively ? std::string() : call.first.path;
    added.push_back({&call, file, thread == threads_.end() ? ~0U : thread->second});
  }
  std::sort(added.begin(), added.end(), [](const unnamed& one, const unnamed& other) {
    const auto key = [](const unnamed& of) {
      return std::tuple(std::string_view(of.call->process_name), of.call->row->word,
                        std::string_view(of.file), of.call->size.value_or(0), of.thread,
                        of.call->number);
    };
    return key(one) < key(other);
  });
  std::vector<std::uint64_t> order;
  for (const auto& one : added) {
    named_.push_back({one.call->number, name_of(*one.call), nanoseconds{0}});
    order.push_back(one.call->number);
  }
  supervisor_.put_last(order);
}

candidate command_subject::name_of(const heard_call& call) {
  thread_number(call.thread);
  number_what_it_names(call);
  auto kind = fmt::format("p{} {} f{}", call.process_name, call.row->word, file_number(call.first));
  if (!call.second.path.empty()) kind += fmt::format(" f{}", file_number(call.second));
  const auto [found, is_new] = kinds_.try_emplace(kind, static_cast<std::uint32_t>(kinds_.size()));
  if (is_new) kind_names_.push_back(kind);
  return {found->second, counts_[kind]++, 0};
}

unsigned command_subject::thread_number(pid_t thread) {
  return threads_.try_emplace(thread, static_cast<unsigned>(threads_.size())).first->second;
}

// A file is the same whatever it is called, and a name the same whatever it is of.
unsigned command_subject::file_number(const named_file& file) {
  const bool is_name = file.what == effect::changes_name || file.what == effect::looks_at_name;
  const auto next = static_cast<unsigned>(file_numbers_.size() + name_numbers_.size());
  if (!is_name && file.exists) {
    return file_numbers_.try_emplace({file.device, file.inode}, next).first->second;
  }
  return name_numbers_.try_emplace(file.path, next).first->second;
}

std::string command_subject::describe(const candidate& which) const {
  if (which.is_time()) return "time passes";
  return fmt::format("{} #{}", kind_names_[which.stream], which.ordinal + 1);
}

footprint command_subject::execute(std::size_t choice) {
  if (names_[choice].is_time()) {
    executed_.push_back(note_time(*awaited_));
    ++time_passed_;
    waits_.clear();  // it is told already
    const auto before = supervisor_.time_passed();
    time_is_tried_ = !supervisor_.let_time_pass(left_of(most_waited_));
    const auto passed = supervisor_.time_passed() - before;
    for (auto& one : named_) one.waited += passed;
    advance();
    return footprint::everything();
  }
  executed_.push_back(note(choice));
  // What is closed is not heard of in all cases, and leaves its locks: so each step may leave some.
  auto touched = executed_.back().touched;
  touched.reads |= locks_;
  const auto number = supervisor_.held()[choice].number;
  std::erase_if(named_, [&](const auto& one) { return one.number == number; });
  time_is_tried_ = false;
  supervisor_.release(choice);
  advance();
  return touched;
}

ending command_subject::end() {
  end_ = supervisor_.end();
  noticed_ = supervisor_.noticed();
  noticed_.outwaited = outwaited_;
  learned_more_ = contention_.end_run();
  const auto state = state_of(end_, settings_);
  return {false, state_number(state), state.bad, outwaited_ > 0};
}

std::size_t command_subject::state_number(const command_state& state) {
  const auto found = std::find_if(states_.begin(), states_.end(),
                                  [&](const auto& one) { return one.text == state.text; });
  if (found != states_.end()) return static_cast<std::size_t>(found - states_.begin());
  states_.push_back(state);
  return states_.size() - 1;
}

// --- what it touches

// A footprint of this run is compared with ones of the runs that began like it, so that its objects
// have the same numbers in all of them: they are given when what is held is named. (By their paths
// they cannot be known: a name may be drawn anew in each run.)
void command_subject::number_what_it_names(const heard_call& call) {
  const auto number = [&](const std::string& path) {
    paths_touched_.try_emplace(path, static_cast<unsigned>(paths_touched_.size()));
  };
  for (const auto* const file : {&call.first, &call.second}) {
    if (file->path.empty()) continue;
    number(file->path);
    number(folder_of(file->path));
    number(file->path + '/');
    for (const auto& way : contention_.names_on_the_way_to(*file)) number(way);
    if (!file->exists) continue;
    files_touched_.try_emplace({file->device, file->inode},
                               static_cast<unsigned>(files_touched_.size()));
  }
}

std::uint64_t command_subject::bit(std::string_view what, unsigned number) {
  // Of more than there are bits some share one: they are taken to depend on each other.
  const auto object = fmt::format("{} {}", what, number);
  return std::uint64_t{1} << objects_.try_emplace(object, objects_.size()).first->second % 64;
}

footprint command_subject::footprint_of(const heard_call& call) {
  footprint all;
  for (const auto* const file : {&call.first, &call.second}) {
    if (!file->path.empty()) all.add(footprint_of(call, *file));
  }
  return all;
}

// A file is touched as itself and as what is to be found by its path: when the first that makes it
// has been executed, the others that are held have not heard of it.
footprint command_subject::footprint_of(const heard_call& call, const named_file& file) {
  const auto of_path = [&](std::string_view what, const std::string& path) {
    const auto found = paths_touched_.find(path);
    return found == paths_touched_.end() ? footprint::everything().reads : bit(what, found->second);
  };
  const auto name = of_path("name", file.path);
  auto data = of_path("at", file.path);
  if (file.exists) {
    const auto found = files_touched_.find({file.device, file.inode});
    if (found == files_touched_.end()) return footprint::everything();
    data |= bit("file", found->second);
  }
  footprint all;
  if (!file.by_descriptor) all.reads |= name;
  for (const auto& way : contention_.names_on_the_way_to(file)) all.reads |= of_path("name", way);
  switch (file.what) {
    case effect::nothing:
    case effect::looks_at_name:
      break;
    case effect::changes_name:
      // All that changes names commutes, and none with who lists them. An open of a file that is
      // there makes none; of others the file itself knows how many names it has.
      if (!makes_or_takes_a_name(call, file)) break;
      all.changes |= name | data;
      all.reads |= of_path("list", folder_of(file.path));
      break;
    case effect::moves_cursor:
      if (seeks_by_contents(call)) all.reads |= data;
      break;
    case effect::looks_at_file:
    case effect::syncs:
      all.reads |= data;
      break;
    case effect::changes_file:
      all.changes |= data;
      break;
    case effect::locks:
      locks_ |= of_path("lock", file.path);
      all.changes |= of_path("lock", file.path);
      break;
    case effect::lists_directory:
      all.changes |= of_path("list", file.path + '/');
      break;
  }
  if (call.truncates) all.changes |= data;
  if (call.row->what == peculiarity::at_cursor || file.what == effect::moves_cursor) {
    all.changes |= of_path("cursor", file.path);
  }
  return all;
}

std::string command_subject::shown(const std::string& path) const {
  const auto below = [&](std::string_view folder) -> std::optional<std::string> {
    if (path.size() <= folder.size() + 1 || !is_below(path, folder)) return std::nullopt;
    return path.substr(folder.size() + 1);
  };
  const auto temporary = (settings_.directory / "tmp").string();
  if (path == temporary + '/') return "$TMPDIR/";
  if (auto rest = below(temporary)) return "$TMPDIR/" + *rest;
  if (auto rest = below(here_)) return *rest;
  return path;
}

// Nobody else can run, so that what is there now is what the call will see.
executed_call command_subject::note(std::size_t which) {
  const auto& call = supervisor_.held()[which];
  executed_call noted;
  noted.name = names_[which];
  noted.thread = name_of_thread(call.thread);
  noted.thread_number = thread_number(call.thread);
  noted.word = call.row->word;
  noted.file = shown(call.first.path);
  if (!call.second.path.empty()) noted.second = shown(call.second.path);
  // What is more than the kernel does in one call stands for all that there is: a cp's.
  constexpr std::uint64_t most = 0x7ffff000;
  if (call.size.value_or(0) <= most) noted.size = call.size;
  const auto now = supervisor_.as_it_is_now(which);
  struct ::stat status {};
  if (now.first.is_regular) {
    noted.file_size = now.first.size;
  } else if (now.first.is_link && ::stat(now.first.path.c_str(), &status) == 0 &&
             S_ISREG(status.st_mode)) {  // of a link that is not followed its file's
    noted.file_size = static_cast<std::uint64_t>(status.st_size);
  }
  noted.touched = footprint_of(now);
  noted.alone = names_.size() == 1;
  noted.held = call.at - begun_;
  noted.at = clock::now() - begun_;
  noted.done = call.done;
  return noted;
}

executed_call command_subject::note_time(const timed_wait& wait) {
  executed_call noted;
  noted.is_time = true;
  noted.name = {candidate::time, time_passed_, 0};
  noted.touched = footprint::everything();
  noted.at = clock::now() - begun_;
  noted.held = noted.at;
  noted.thread = name_of_thread(wait.thread);
  noted.thread_number = thread_number(wait.thread);
  noted.word = wait.call;
  noted.waits = wait.most;
  return noted;
}

}  // namespace filemap
