#include "supervisor.hpp"

#include "seccomp.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/fs.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

namespace filemap {

namespace {

using namespace std::chrono_literals;

// How long a look waits for what may be heard in between. A shorter one takes the processor from
// the command where there are few.
constexpr nanoseconds between_looks = 50us;
constexpr nanoseconds nothing_to_do = 20ms;

void look_up(named_file& file, const struct ::stat& status) {
  file.exists = true;
  file.is_regular = S_ISREG(status.st_mode);
  file.is_link = S_ISLNK(status.st_mode);
  file.device = status.st_dev;
  file.inode = status.st_ino;
  file.size = static_cast<std::uint64_t>(status.st_size);
}

// What was opened with O_TMPFILE is told as "/tmp/#123", by its inode, which is another one in each
// run, or one of which a run before has said what is true of another file: "/tmp/#".
void forget_number(std::string& path, const struct ::stat& status) {
  const auto number = std::to_string(status.st_ino);
  if (path.ends_with("/#" + number)) path.resize(path.size() - number.size());
}

named_file by_descriptor(open_files& files, std::uint64_t argument, effect what) {
  const auto fd = static_cast<int>(argument);
  named_file file;
  file.by_descriptor = true;
  file.what = what;
  struct ::stat status {};
  if (!files.look(fd, status)) return file;
  look_up(file, status);
  if (file.is_regular || S_ISDIR(status.st_mode)) file.path = files.path(fd, status);
  if (status.st_nlink == 0) forget_number(file.path, status);
  return file;
}

named_file by_path(pid_t thread, std::uint64_t dirfd, std::uint64_t address, last_link link,
                   effect what) {
  named_file file;
  file.what = what;
  auto resolved = resolve(thread, static_cast<int>(dirfd), address, link);
  file.path = std::move(resolved.path);
  file.through = std::move(resolved.through);
  if (!resolved.status) return file;
  look_up(file, *resolved.status);
  if (resolved.status->st_nlink == 0) forget_number(file.path, *resolved.status);
  return file;
}

// In the kernel, for as long as another thread likes: for its lock, or that it opens the other end
// of a pipe with a name, or fills or empties a pipe.
bool may_wait(const heard_call& call) {
  if (call.row->what == peculiarity::waits) return true;
  for (const auto* const file : {&call.first, &call.second}) {
    if (file->by_descriptor && file->exists && file->path.empty()) return true;
  }
  return call.row->what == peculiarity::opens && call.first.exists && !call.first.is_regular;
}

// Others have other numbers and structures.
bool is_native(std::uint32_t architecture) {
  return sizeof(void*) == 4 || (architecture & __AUDIT_ARCH_64BIT) != 0;
}

bool makes_a_thread(const heard_call& call) {
  std::uint64_t flags = 0;  // of fork and vfork
  if (call.row->name == "clone") flags = call.arguments[0];
  if (call.row->name == "clone3") read_memory(call.thread, call.arguments[0], &flags, sizeof flags);
  return (flags & CLONE_THREAD) != 0;
}

std::uint64_t flags_of_open(const heard_call& call) {
  if (call.row->name == "creat") return O_CREAT | O_TRUNC | O_WRONLY;
  if (call.row->name != "openat2") {
    return call.arguments[call.row->where == operands::at ? 2 : 1];
  }
  std::uint64_t in_memory = 0;
  read_memory(call.thread, call.arguments[2], &in_memory, sizeof in_memory);
  return in_memory;
}

std::uint64_t source_of_clone(const heard_call& call) {
  const auto& to = call.arguments;
  if (static_cast<std::uint32_t>(to[1]) == FICLONE) return to[2];
  file_clone_range range{};
  range.src_fd = -1;
  read_memory(call.thread, to[2], &range, sizeof range);
  return static_cast<std::uint64_t>(range.src_fd);
}

// What an open's flags do to the name and to the file.
void understand_flags(heard_call& call) {
  const auto flags = flags_of_open(call);
  call.creates = (flags & O_CREAT) != 0;
  call.exclusively = call.creates && (flags & O_EXCL) != 0;
  call.truncates = (flags & O_TRUNC) != 0;
}

// In the last place of its first path.
last_link link_of(const heard_call& call) {
  const auto& to = call.arguments;
  const auto& row = *call.row;
  const auto follows = [&] {
    if (row.what == peculiarity::opens) {
      return (flags_of_open(call) & O_NOFOLLOW) == 0 && !call.exclusively;
    }
    if (row.name == "linkat") return (to[4] & AT_SYMLINK_FOLLOW) != 0;
    constexpr std::array<std::pair<std::string_view, std::size_t>, 7> flags_at{
        {{"newfstatat", 3},
         {"fstatat64", 3},
         {"statx", 2},
         {"faccessat2", 3},
         {"fchownat", 4},
         {"utimensat", 3},
         {"utimensat_time64", 3}}};
    for (const auto& [name, at] : flags_at) {
      if (row.name == name) return (to[at] & AT_SYMLINK_NOFOLLOW) == 0;
    }
    const bool is_about_links = row.first == effect::changes_name || row.family == "readlink" ||
                                row.name.starts_with('l');  // link, lstat, lchown
    return !is_about_links;
  };
  return follows() ? last_link::followed : last_link::kept;
}

// The first half of its bytes, through a descriptor of the same description. Nothing: it is none
// that can be halved, or there is no half.
std::optional<std::int64_t> do_half_of(const heard_call& call) {
  const auto& to = call.arguments;
  // The offset of others is in two arguments.
  if (!can_be_halved(*call.row) || !call.is_native) return std::nullopt;
  const bool writes = call.row->family == "write";
  const bool at_offset = call.row->what != peculiarity::at_cursor;
  constexpr std::uint64_t most = 1 << 20;
  const auto half = std::min(to[2] / 2, most);
  const unique_fd process(static_cast<int>(::syscall(SYS_pidfd_open, call.process, 0)));
  const unique_fd file(
      static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), static_cast<int>(to[0]), 0)));
  if (half == 0 || !file) return std::nullopt;
  std::vector<char> bytes(half);
  const auto offset = static_cast<off_t>(to[3]);
  if (writes) {
    const auto got = read_memory(call.thread, to[1], bytes.data(), half);
    if (got == 0) return std::nullopt;
    const auto put = at_offset ? ::pwrite(file.get(), bytes.data(), got, offset)
                               : ::write(file.get(), bytes.data(), got);
    return put > 0 ? std::optional<std::int64_t>(put) : std::nullopt;
  }
  // Half of what is there, or it might be no less than without.
  const auto at = at_offset ? offset : ::lseek(file.get(), 0, SEEK_CUR);
  struct ::stat status {};
  if (at < 0 || ::fstat(file.get(), &status) != 0 || status.st_size - at < 2) return std::nullopt;
  const auto size = std::min<std::size_t>(half, static_cast<std::size_t>(status.st_size - at) / 2);
  const auto got = at_offset ? ::pread(file.get(), bytes.data(), size, at)
                             : ::read(file.get(), bytes.data(), size);
  if (got <= 0) return std::nullopt;
  const auto read = static_cast<std::size_t>(got);
  if (write_memory(call.thread, to[1], bytes.data(), read) != read) return std::nullopt;
  return got;
}

// Ends what is left of it, too.
command_end end_of(target& ran, output_tail& output, output_tail& errors, std::optional<int> status,
                   instant begun) {
  command_end end;
  end.status = status;
  end.exec_error = ran.take_exec_error();
  end.left = ran.end();
  output.read(ran.output());
  end.took = clock::now() - begun;
  end.output = output.text();
  if (ran.errors()) errors.read(ran.errors());
  end.errors = errors.text();
  return end;
}

}  // namespace

supervisor::supervisor(supervisor_options options) : options_(std::move(options)) {
  ::prctl(PR_SET_TIMERSLACK, 1);  // of this thread, whose waits are of microseconds
  ::sched_getaffinity(0, sizeof all_processors_, &all_processors_);
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (!CPU_ISSET(i, &all_processors_)) continue;
    CPU_ZERO(&one_processor_);
    CPU_SET(i, &one_processor_);
  }
}

void supervisor::start(processors on) {
  target_.reset();
  held_.clear();
  stalled_.clear();
  known_.clear();
  foreign_.clear();
  change_names_.clear();
  asleep_.clear();
  slept_ = {};
  passed_ = {};
  touched_files_.clear();
  have_slept_.clear();
  states_.clear();
  output_ = output_tail(options_.kept_output);
  errors_ = output_tail();
  said_ = 0;
  heard_in_a_row_ = 0;
  is_deserted_ = false;
  status_.reset();
  released_ = 0;
  noticed_ = {};
  begun_ = clock::now();
  had_.begin();
  ran_before_.reset();
  on_one_processor_ = on == processors::one;
  const auto* const used = on == processors::one ? &one_processor_ : nullptr;
  target_ = std::make_unique<target>(target::start_options{
      options_.command, options_.directory, &filter_, used, options_.input.has_value()});
  ::ioctl(target_->listener().get(), SECCOMP_IOCTL_NOTIF_SET_FLAGS,
          SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);  // a kernel before 6.6 only takes longer
  tree_ = std::make_unique<process_tree>(target_->guardian());
  lineage_ = std::make_unique<lineage>(target_->guardian());
}

// --- what is heard

// True: there was something.
bool supervisor::hear() {
  seccomp_notif heard{};
  if (::ioctl(target_->listener().get(), SECCOMP_IOCTL_NOTIF_RECV, &heard) != 0) return false;
  ran_before_.reset();
  heard_call call;
  call.id = heard.id;
  call.thread = static_cast<pid_t>(heard.pid);
  call.at = clock::now();
  call.row = filter_.row_of(heard.data.arch, heard.data.nr);
  std::copy(std::begin(heard.data.args), std::end(heard.data.args), call.arguments.begin());
  if (call.thread == released_) released_ = 0;
  call.is_native = is_native(heard.data.arch);
  if (!call.is_native) {
    foreign_[known(call.thread).process] = heard.data.arch;
  } else if (!foreign_.empty()) {
    foreign_.erase(known(call.thread).process);
  }
  if (call.row == nullptr) {
    pass(call.id);
  } else if (call.row->what == peculiarity::sleeps) {
    if (!call.is_native || !keep_asleep(call)) pass(call.id);
  } else if (call.row->where == operands::none) {
    if (!answer_itself(call)) pass(call.id);
  } else {
    note_changes_of_names(call);
    auto& thread = known(call.thread);
    call.process = thread.process;
    call.process_name = thread.process_name;
    understand(call, thread.files);
    take(std::move(call));
  }
  return true;
}

// A change of a name has been executed when its thread is heard of again, and until then it may be
// at any moment. What is submitted to a ring is not heard of.
void supervisor::note_changes_of_names(const heard_call& call) {
  if (!change_names_.empty() || noticed_.rings > 0) {
    for (auto& [thread, known] : known_) known.files.forget_paths();
  }
  change_names_.erase(call.thread);
  const auto& row = *call.row;
  const bool changes = row.first == effect::changes_name || row.second == effect::changes_name;
  if (changes && row.what != peculiarity::opens) change_names_.insert(call.thread);
}

supervisor::known_thread& supervisor::known(pid_t thread) {
  const auto found = known_.find(thread);
  if (found != known_.end()) return found->second;
  const auto process = process_of(thread);
  known_thread known{process, lineage_->name_of(process), open_files(thread)};
  return known_.emplace(thread, std::move(known)).first->second;
}

// Of those that name no file. False: the kernel is to.
bool supervisor::answer_itself(const heard_call& call) {
  const auto& row = *call.row;
  if (row.what == peculiarity::submits) {
    ++noticed_.rings;
    if (!options_.denies_io_uring || row.name != "io_uring_setup") return false;
    reply(call.id, ENOSYS, 0);
    return true;
  }
  if (row.what == peculiarity::forks) {
    if (!makes_a_thread(call)) lineage_->forks(known(call.thread).process);
    known_.clear();  // a number may come again only where something is made
    return false;
  }
  if (!on_one_processor_) return false;
  if (row.name == "sched_setaffinity") {
    reply(call.id, 0, 0);
    return true;
  }
  const auto size = std::min<std::size_t>(call.arguments[1], sizeof all_processors_);
  const auto written = write_memory(call.thread, call.arguments[2], &all_processors_, size);
  if (size == 0 || written != size) return false;
  reply(call.id, 0, static_cast<std::int64_t>(size));
  return true;
}

// False: the kernel is to, since it says nothing about the files. Such a thread is a clock of its
// program's, and others may need it: Go has one that sleeps for 20 µs again and again.
bool supervisor::keep_asleep(const heard_call& call) {
  constexpr nanoseconds tick = 1ms;
  constexpr nanoseconds longest = 1s;
  const bool is_first = have_slept_.insert(call.thread).second;
  const bool has_touched = touched_files_.erase(call.thread) > 0;
  const auto number = call.row->name == "nanosleep" ? SYS_nanosleep : SYS_clock_nanosleep;
  const auto limit = time_limit_of(call.thread, {number, call.arguments});
  if (!on_one_processor_ || !limit || limit->most > longest) return false;
  if (!has_touched && (!is_first || limit->most < tick)) return false;
  std::erase_if(asleep_, [&](const sleeper& one) { return one.thread == call.thread; });
  // Until a time on the clock there is a little less left each time.
  const auto ticks = std::max<std::int64_t>(1, (limit->most + tick / 2) / tick);
  asleep_.push_back(
      {call.id, call.thread, limit->call, slept_ + ticks * tick, clock::now() + limit->most});
  return true;
}

void supervisor::pass(std::uint64_t id) {
  seccomp_notif_resp answer{};
  answer.id = id;
  answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  // ENOENT: a signal has ended it, or its thread.
  ::ioctl(target_->listener().get(), SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

void supervisor::reply(std::uint64_t id, int error, std::int64_t value) {
  seccomp_notif_resp answer{};
  answer.id = id;
  answer.error = -error;
  answer.val = error != 0 ? 0 : value;
  ::ioctl(target_->listener().get(), SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

void supervisor::understand(heard_call& call, open_files& files) {
  const auto& row = *call.row;
  const auto& to = call.arguments;
  const auto thread = call.thread;
  constexpr auto here = static_cast<std::uint64_t>(AT_FDCWD);
  if (row.what == peculiarity::opens) understand_flags(call);
  const auto link = link_of(call);
  switch (row.where) {
    case operands::none:
      break;
    case operands::descriptor:
      call.first = by_descriptor(files, to[0], row.first);
      break;
    case operands::descriptors:
      call.first = by_descriptor(files, to[0], row.first);
      call.second = by_descriptor(files, to[1], row.second);
      break;
    case operands::descriptors_0_2:
      call.first = by_descriptor(files, to[0], row.first);
      call.second = by_descriptor(files, to[2], row.second);
      break;
    case operands::mapped_descriptor:
      call.first = by_descriptor(files, to[4], row.first);
      break;
    case operands::cloned:
      call.first = by_descriptor(files, to[0], row.first);
      call.second = by_descriptor(files, source_of_clone(call), row.second);
      break;
    case operands::path:
      call.first = by_path(thread, here, to[0], link, row.first);
      break;
    case operands::second_path:
      call.first = by_path(thread, here, to[1], link, row.first);
      break;
    case operands::paths:
      call.first = by_path(thread, here, to[0], link, row.first);
      call.second = by_path(thread, here, to[1], last_link::kept, row.second);
      break;
    case operands::at:
      call.first = by_path(thread, to[0], to[1], link, row.first);
      break;
    case operands::at_or_descriptor:
      call.first = by_path(thread, to[0], to[1], link, row.first);
      if (call.first.path.empty()) call.first = by_descriptor(files, to[0], row.first);
      break;
    case operands::at_1:
      call.first = by_path(thread, to[1], to[2], link, row.first);
      break;
    case operands::at_at:
      call.first = by_path(thread, to[0], to[1], link, row.first);
      call.second = by_path(thread, to[2], to[3], last_link::kept, row.second);
      if (row.family == "link" && call.first.path.empty()) {
        call.first = by_descriptor(files, to[0], row.first);
      }
      break;
  }
  if (call.creates) call.first.what = effect::changes_name;
  const bool makes_new = row.family == "symlink" || row.family == "mkdir" || row.family == "mknod";
  call.exclusively = call.exclusively || makes_new;
  const bool has_size = row.size_at >= 0 && (call.is_native || row.name != "fallocate");
  if (has_size) call.size = to[static_cast<std::size_t>(row.size_at)];
}

heard_call supervisor::as_it_is_now(std::size_t which) const {
  auto call = held_[which];
  open_files files(call.thread);
  understand(call, files);
  return call;
}

// A thread has one call: an older one of it has been interrupted by a signal, and this is it again,
// or another.
void supervisor::take(heard_call call) {
  if (call.row->what == peculiarity::maps) {
    const bool may_write = (call.arguments[2] & PROT_WRITE) != 0;
    if (call.first.is_regular && may_write) ++noticed_.shared_maps;
    return pass(call.id);
  }
  if (call.first.path.empty() && call.second.path.empty()) return pass(call.id);
  touched_files_.insert(call.thread);
  const auto older = std::find_if(held_.begin(), held_.end(),
                                  [&](const heard_call& one) { return one.thread == call.thread; });
  const bool same = older != held_.end() && older->row == call.row &&
                    older->first.path == call.first.path && older->arguments == call.arguments;
  if (same) {
    older->id = call.id;
    return;
  }
  if (older != held_.end()) held_.erase(older);  // it is in another now
  if (hears) hears(call);
  if (intervenes) call.done = intervenes(call);
  if (holds && holds(call)) {
    call.number = ++noticed_.held;
    held_.push_back(std::move(call));
  } else if (call.done.stalled > 0ns) {
    const auto due = call.at + call.done.stalled;
    stalled_.emplace(due, std::move(call));
  } else {
    carry_out(call);
  }
}

void supervisor::carry_out(const heard_call& call) {
  if (call.done.error != 0) {
    ++noticed_.failed;
    return reply(call.id, call.done.error, 0);
  }
  if (call.done.shortened) {
    if (const auto moved = do_half_of(call)) {
      ++noticed_.failed;
      return reply(call.id, 0, *moved);
    }
  }
  pass(call.id);
}

void supervisor::carry_out_what_is_due() {
  while (!stalled_.empty() && stalled_.begin()->first <= clock::now()) {
    carry_out(stalled_.begin()->second);
    stalled_.erase(stalled_.begin());
  }
}

// A call whose id is none any more has been interrupted, and will come again if its thread lives.
void supervisor::drop_what_is_gone() {
  std::erase_if(held_, [&](const heard_call& call) {
    auto id = call.id;
    if (::ioctl(target_->listener().get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0) return false;
    return std::none_of(states_.begin(), states_.end(), [&](const thread_state& state) {
      return state.thread == call.thread && state.state != 'Z' && state.state != 'X';
    });
  });
  std::erase_if(asleep_, [&](const sleeper& one) {
    auto id = one.id;
    return ::ioctl(target_->listener().get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &id) != 0;
  });
}

// --- rest

bool supervisor::has_heard() const {
  pollfd event{target_->listener().get(), POLLIN, 0};
  return ::poll(&event, 1, 0) > 0 && (event.revents & POLLIN) != 0;
}

// True: something was heard or has ended.
bool supervisor::wait_for_event(nanoseconds most) {
  // Most often a call is there already: then it is not asked of the others whether there is
  // anything, but now and then.
  constexpr unsigned many = 16;
  if (heard_in_a_row_++ < many && stalled_.empty() && has_heard()) return hear();
  heard_in_a_row_ = 0;
  // One that has ended is always ready.
  std::array<pollfd, 3> events{{{is_deserted_ ? -1 : target_->listener().get(), POLLIN, 0},
                                {output_.has_ended() ? -1 : target_->output().get(), POLLIN, 0},
                                {target_->status().get(), POLLIN, 0}}};
  if (options_.input) converse();
  if (!stalled_.empty()) {
    most = std::clamp<nanoseconds>(stalled_.begin()->first - clock::now(), 0ns, most);
  }
  const timespec limit{static_cast<time_t>(most / 1s), static_cast<long>((most % 1s).count())};
  const auto ready = ::ppoll(events.data(), events.size(), &limit, nullptr);
  carry_out_what_is_due();
  if (ready <= 0) return false;
  if (events[1].revents != 0) output_.read(target_->output());
  bool any = events[2].revents != 0;
  if (any && !status_) status_ = target_->take_status();
  if ((events[0].revents & POLLIN) != 0) any = hear() || any;
  is_deserted_ = is_deserted_ || (events[0].revents & POLLHUP) != 0;
  return any;
}

// What the pipes take and have now: a command that waits for more of its input is at no rest.
void supervisor::converse() {
  if (!errors_.has_ended()) errors_.read(target_->errors());
  const auto rest = std::string_view(*options_.input).substr(said_);
  if (!expects_input() || rest.empty()) return;
  const auto written = ::write(target_->input().get(), rest.data(), rest.size());
  if (written > 0) said_ += static_cast<std::size_t>(written);
  if (written < 0 && errno == EPIPE) target_->end_input();
}

bool supervisor::has_said_last_words() {
  output_.read(target_->output());
  return !options_.last_words.empty() && output_.ends_with(options_.last_words);
}

bool supervisor::is_held(pid_t thread) const noexcept {
  const auto is_of_thread = [&](const auto& one) { return one.thread == thread; };
  return std::any_of(held_.begin(), held_.end(), is_of_thread) ||
         std::any_of(asleep_.begin(), asleep_.end(), is_of_thread);
}

bool supervisor::is_in_vfork(const thread_state& state) const {
  const auto call = call_of(state.thread);
  if (!call) return false;
  const auto foreign = foreign_.find(state.process);
  const auto* const row = foreign == foreign_.end()
                              ? filter_.row_of(call->number)
                              : filter_.row_of(foreign->second, static_cast<int>(call->number));
  if (row == nullptr || row->what != peculiarity::forks) return false;
  // The flags of a clone3 are in memory, and few use it for threads that wait.
  return row->name == "vfork" || row->name == "clone3" ||
         (row->name == "clone" && (call->arguments[0] & CLONE_VFORK) != 0);
}

bool supervisor::can_run(const thread_state& state) const {
  // One that is held sleeps, until it is killed: then its call will not be executed.
  if (is_held(state.thread)) return state.state == 'R';
  switch (state.state) {
    case 'Z':
    case 'X':
    case 'T':
    case 't':
    case 'I':
    case 'P':
      return false;
    case 'S': {
      if (state.thread != released_) return false;
      // It sleeps in the call that was released: it has not ended, unless it waits for another.
      const auto call = call_of(state.thread);
      return call && call->number == released_number_ && !released_may_wait_;
    }
    case 'D':
      return !is_in_vfork(state);
    default:
      return true;
  }
}

bool supervisor::is_quiet() {
  const auto look = [&] {
    const auto seen = tree_->look();
    states_.assign(seen.begin(), seen.end());
    return std::none_of(seen.begin(), seen.end(), [&](const auto& one) { return can_run(one); });
  };
  if (!stalled_.empty() || !look() || has_heard()) return false;
  const auto first = states_;
  if (!look() || states_ != first) return false;
  const bool all_are_off = std::all_of(states_.begin(), states_.end(), [&](const auto& one) {
    return one.state != 'S' || is_held(one.thread) || tree_->is_off_processor(one.thread);
  });
  return all_are_off && !has_heard();
}

bool supervisor::is_never_quiet() {
  std::uint64_t ran = 0;
  for (const auto& one : states_) ran += one.ran;
  if (!ran_before_) ran_before_ = ran;
  return ran > *ran_before_ + static_cast<std::uint64_t>(options_.quiet_bound.count());
}

supervisor::rest supervisor::go_on() {
  for (;;) {
    if (options_.interrupt != nullptr && options_.interrupt->load()) return rest::interrupted;
    if (had_.look() > options_.run_timeout) return rest::out_of_time;
    // Who has said all that is expected ends at once; who has not yet is not to be held up by
    // looks.
    const auto between = !held_.empty()          ? between_looks
                         : !asleep_.empty()      ? nanoseconds(1ms)
                         : !expects_input()      ? nothing_to_do
                         : has_said_last_words() ? nanoseconds(1ms)
                                                 : nanoseconds(5ms);
    if (wait_for_event(between)) {
      if (is_over()) return rest::over;
      continue;
    }
    if (is_over()) return rest::over;
    if (held_.empty() && asleep_.empty() && !expects_input()) continue;
    if (is_quiet()) {
      drop_what_is_gone();
      if (!held_.empty()) return rest::held;
      const auto first = first_to_wake();
      const bool is_told = expects_input() && said_ == options_.input->size();
      if (is_told && (first == asleep_.end() || has_said_last_words())) {
        target_->end_input();
      } else if (first != asleep_.end()) {
        wake(first);
      }
    } else if (is_never_quiet()) {
      if (!held_.empty()) {
        ++noticed_.forced;
        return rest::held;
      }
      if (const auto first = first_to_wake(); first != asleep_.end()) wake(first);
    }
  }
}

bool supervisor::let_time_pass(nanoseconds patience) {
  const auto before = held_.size();
  const auto is_enough = [&] { return held_.size() > before || is_over(); };
  const auto latest = passed_ + patience;
  while (passed_ < latest && !is_stopped()) {
    const auto first = first_to_wake();
    if (first != asleep_.end() && first->ends - slept_ <= latest - passed_) {
      const auto slept_before = slept_;
      wake(first);
      passed_ += slept_ - slept_before;
      // The next one sleeps until this one has done what it does.
      while (!is_enough() && !is_stopped() && !is_quiet() && !is_never_quiet()) {
        wait_for_event(between_looks);
      }
    } else {
      const auto begin = clock::now();
      wait_for_event(std::min<nanoseconds>(latest - passed_, nothing_to_do));
      passed_ += clock::now() - begin;
    }
    if (is_enough()) return true;
  }
  return false;
}

bool supervisor::is_stopped() {
  const bool is_interrupted = options_.interrupt != nullptr && options_.interrupt->load();
  return is_interrupted || had_.look() > options_.run_timeout;
}

std::vector<supervisor::sleeper>::iterator supervisor::first_to_wake() {
  return std::min_element(
      asleep_.begin(), asleep_.end(),
      [](const sleeper& one, const sleeper& other) { return one.ends < other.ends; });
}

// For the program as long has passed as it has asked for.
void supervisor::wake(std::vector<sleeper>::iterator which) {
  const auto one = *which;
  for (auto left = one.real_end - clock::now(); left > 0ns; left = one.real_end - clock::now()) {
    if (is_stopped()) return;
    if (wait_for_event(std::min<nanoseconds>(left, nothing_to_do))) return;
  }
  asleep_.erase(which);
  slept_ = std::max(slept_, one.ends);
  reply(one.id, 0, 0);
  ran_before_.reset();
}

bool supervisor::is_alone(pid_t thread) {
  const auto all = tree_->look();
  return std::all_of(all.begin(), all.end(), [&](const thread_state& one) {
    if (one.thread == thread || one.state == 'Z' || one.state == 'X') return true;
    const auto call = one.state == 'R' ? std::nullopt : call_of(one.thread);
    if (!call) return false;
    return call->number == SYS_wait4 || call->number == SYS_waitid || is_in_vfork(one);
  });
}

std::vector<timed_wait> supervisor::timed_waits() const {
  std::vector<timed_wait> waits;
  for (const auto& one : asleep_) {
    waits.push_back({one.thread, one.call, one.ends - slept_, true, one.id});
  }
  for (const auto& state : states_) {
    // What its call would be by our numbers is another one.
    if (state.state != 'S' || is_held(state.thread) || foreign_.count(state.process) > 0) continue;
    const auto call = call_of(state.thread);
    const auto limit = call ? time_limit_of(state.thread, *call) : std::nullopt;
    if (limit) waits.push_back({state.thread, limit->call, limit->most, false, state.times});
  }
  return waits;
}

// --- what is done

void supervisor::put_last(const std::vector<std::uint64_t>& numbers) {
  for (const auto number : numbers) {
    const auto found = std::find_if(held_.begin(), held_.end(),
                                    [&](const heard_call& call) { return call.number == number; });
    if (found != held_.end()) std::rotate(found, found + 1, held_.end());
  }
}

void supervisor::release(std::size_t which) {
  const auto call = std::move(held_[which]);
  held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(which));
  released_ = call.thread;
  const auto current = call_of(call.thread);
  released_number_ = current ? current->number : -1;
  released_may_wait_ = may_wait(call);
  carry_out(call);
  ran_before_.reset();
}

command_end supervisor::end() {
  if (!status_) status_ = target_->take_status();
  return end_of(*target_, output_, errors_, status_, begun_);
}

command_end run_unsupervised(const supervisor_options& options) {
  target ran({options.command, options.directory});
  const auto begun = clock::now();
  run_clock had;
  had.begin();
  output_tail output;
  output_tail errors;
  std::optional<int> status;
  while (!status && had.look() <= options.run_timeout) {
    if (options.interrupt != nullptr && options.interrupt->load()) break;
    std::array<pollfd, 2> events{{{output.has_ended() ? -1 : ran.output().get(), POLLIN, 0},
                                  {ran.status().get(), POLLIN, 0}}};
    constexpr int patience = 20;  // milliseconds, to look at the interrupt again
    ::poll(events.data(), events.size(), patience);
    output.read(ran.output());
    status = ran.take_status();
  }
  return end_of(ran, output, errors, status, begun);
}

}  // namespace filemap
