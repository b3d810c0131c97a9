// One schedule, executed.
//
// The stepping engine holds every operation back and asks which executes next. A schedule is the
// sequence of the answers where there was more than one to give: between two of them everything is
// determined, as one thread does it all.
//
//     choice ─► the operation executes ─► its process goes on to its next operation ─► choice …
//               └─ a transition: also of processes whose wait this ended, at once ─┘
//
// A wait that is ready is no choice. It touches nothing but its eventfd, and the process behind it
// only comes to its next operation, which is held back again.
//
// # When two transitions commute
//
// The search may leave out a schedule that is another one but for two neighbours that commute. They
// do when neither changes what the other reads or changes. What a transition touches is noted while
// it happens:
//
// - the file of the operation that executed: statx and read read it, everything else changes it,
//   also a sync, as the question is often just what a sync comes after;
// - every edge that a process notified or came to wait for: the notification and the wait are
//   ordered, and which of two transitions lets the waiter go on belongs to what they do;
// - of a write-behind handle everything that its state is: who called it (but for a statx, which
//   looks at the descriptor alone), and whose operation on it has ended.
//
// So what commutes leads to the same state in both orders, and each of the two is the same
// transition before and after the other, which is all that sleep sets need (Godefroid,
// Partial-Order Methods for the Verification of Concurrent Systems, 1996, section 5). A process is
// not among the things: it has one operation at a time. Where it can have more (a group), where an
// operation can be met in flight (cancel, drain), or where what a handle or name stands for changes
// (open, clone, close, rename, unlink), nothing is taken to commute: such tests are small.

#include "schedule_runner.hpp"

#include "filemap/io/run.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <limits>
#include <system_error>

namespace filemap::litmus {

namespace {

constexpr footprint everything{0, std::uint64_t{1} << 63U};

constexpr std::uint64_t file_bit(std::size_t file) noexcept { return std::uint64_t{1} << file; }
constexpr std::uint64_t handle_bit(std::size_t handle) noexcept {
  return std::uint64_t{1} << (max_files + handle);
}
constexpr std::uint64_t edge_bit(std::size_t edge) noexcept {
  return std::uint64_t{1} << (max_files + max_handles + edge);
}
static_assert(max_files + max_handles + max_edges < 63);

bool only_reads(opcode code) noexcept { return code == opcode::read || code == opcode::statx; }

bool may_reduce(const test& test) noexcept {
  if (!is_static(test)) return false;
  for (const auto& process : test.processes) {
    if (!process.groups.empty()) return false;
    for (const auto& statement : process.body) {
      if (statement.what == verb::cancel || statement.drain) return false;
    }
  }
  return true;
}

stepping_options execution(const mode& mode, const exploration_options& options) {
  stepping_options how;
  if (mode.engine == engine_kind::uring) how.through = make_uring_engine(options.ring);
  how.at_once = mode.engine == engine_kind::sync;
  return how;
}

}  // namespace

witness to_witness(std::vector<std::uint16_t> choices) {
  while (!choices.empty() && choices.back() == 0) choices.pop_back();
  return {std::move(choices)};
}

schedule_runner::schedule_runner(const test& test, const mode& mode,
                                 const std::filesystem::path& dir,
                                 const exploration_options& options)
    : engine_(make_stepping_engine([this](std::span<io_op* const> held) { return choose(held); },
                                   execution(mode, options))),
      setup_(*engine_, test, mode, dir),
      round_(setup_),
      at_once_(mode.engine == engine_kind::sync),
      early_(mode.when == acknowledgement::write_behind),
      reducible_(may_reduce(test)) {
  assert(!mode.flush);
  for (std::size_t i = 0; i < test.handles.size(); ++i) {
    const auto& handle = test.handles[i];
    const auto own = static_cast<std::uint8_t>(i);
    handle_of_.push_back(handle.from == handle_origin::same ? handle_of_[handle.source] : own);
    const bool opened = handle.from == handle_origin::open;
    file_of_.push_back(opened || handle.from == handle_origin::later ? handle.source
                                                                     : file_of_[handle.source]);
  }
}

// Fresh ones, or those of the schedule before made what they were: what no process can have moved.
void schedule_runner::prepare_files() {
  constexpr std::uint64_t any = 0;  // the bytes are always the same, so a replay is too
  round_.begin(any, any);
  if (files_ && is_static(setup_.test)) {
    files_->reset(round_.bytes());
    return;
  }
  files_.reset();
  files_.emplace(setup_, 0, round_.bytes());
  descriptors_.clear();
  for (std::size_t i = 0; reducible_ && i < handle_of_.size(); ++i) {
    if (handle_of_[i] != i) continue;
    const auto handle = early_ ? handle_bit(i) : 0;
    const auto file = file_bit(file_of_[i]);
    descriptors_.push_back({files_->handle(i)->fd(), {file, handle}, {0, file | handle}});
  }
}

bool schedule_runner::run(scheduler& by) {
  by_ = &by;
  choices_.clear();
  touched_ = {};
  steps_noted_ = 0;
  chosen_ = false;
  gave_up_ = false;
  deadlock_after_.reset();
  prepare_files();
  by.begin();
  auto root = round_.run(*files_);
  root.start();
  turn_to_the_end(root);
  root.result();
  check_failures();
  return !gave_up_;
}

void schedule_runner::turn_to_the_end(task<>& root) {
  while (!root.done() || engine_->in_flight() > 0) {
    try {
      turn(*engine_);
    } catch (const std::system_error& error) {
      if (error.code().value() != EDEADLK) throw;
      note_deadlock();
    }
  }
}

// What the processes do after it is only to bring them to their end.
void schedule_runner::note_deadlock() {
  if (!deadlock_after_) {
    close_transition();
    deadlock_after_ = round_.steps().size();
  }
  round_.give_all_permits();
}

void schedule_runner::check_failures() const {
  const auto& seen = round_.seen();
  if (deadlocked() || seen.what != outcome::error) return;
  throw std::system_error(seen.error, std::generic_category(),
                          std::string(to_string(seen.failed)) + " in " + setup_.dir.string());
}

executed_schedule schedule_runner::executed() const {
  executed_schedule done;
  done.witness = to_witness(choices_);
  done.deadlock = deadlocked();
  auto steps = round_.steps();
  if (deadlock_after_) steps = steps.first(*deadlock_after_);
  done.steps.assign(steps.begin(), steps.end());
  if (done.deadlock) return done;
  done.state = project(setup_.observed, state());
  done.counts = counts(setup_.test.condition, done.state);
  return done;
}

std::size_t schedule_runner::choose(std::span<io_op* const> held) {
  for (std::size_t i = 0; i < held.size(); ++i) {
    if (held[i]->request.code == opcode::read_event) return i;
  }
  if (gave_up_ || deadlock_after_) return 0;
  close_transition();
  const auto choice = by_->choose(held);
  if (choice == scheduler::give_up) {
    gave_up_ = true;
    return 0;
  }
  assert(choice < held.size());
  if (held.size() > 1) choices_.push_back(static_cast<std::uint16_t>(choice));
  if (!at_once_) touched_ = of(*held[choice]);
  chosen_ = true;
  return choice;
}

void schedule_runner::close_transition() {
  const auto steps = round_.steps();
  for (; steps_noted_ < steps.size(); ++steps_noted_) touched_.add(of(steps[steps_noted_]));
  if (std::exchange(chosen_, false)) by_->executed(touched_);
  touched_ = {};
}

footprint schedule_runner::of(const io_op& op) const noexcept {
  if (!reducible_) return everything;
  const auto found = std::find_if(descriptors_.begin(), descriptors_.end(),
                                  [&](const auto& one) { return one.fd == op.request.fd; });
  if (found == descriptors_.end()) return everything;
  return only_reads(op.request.code) ? found->read : found->change;
}

footprint schedule_runner::of(const step& begun) const noexcept {
  if (!reducible_) return everything;
  const auto what = begun.what.what;
  if (what == verb::notify || what == verb::wait) return {0, edge_bit(begun.what.operand)};
  if (!is_file_operation(what) && what != verb::flush) return everything;
  footprint touched;
  const auto handle = handle_of_[begun.what.operand];
  if (early_ && what != verb::statx) touched.changes |= handle_bit(handle);
  if (at_once_ && what != verb::flush) {
    (only_looks(what) ? touched.reads : touched.changes) |= file_bit(file_of_[handle]);
  }
  return touched;
}

}  // namespace filemap::litmus
