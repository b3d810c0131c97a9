// One round, from its files to its final state:
//
//   round_files ─► begin ─► run ─┬► run_process (writer)  ─┐
//   (names and     (bytes,       ├► run_process (flusher) ─┼► land ─► look
//    handles)       permits)     └► run_process (reader)  ─┘
//
// A process is a coroutine that interprets its statements. Each is noted with what the program
// orders before it; who judges a round reads only those notes and the final state.
//
// A result is an observation, also a failed one: a test may ask for -ECANCELED or -EBADF, and what
// no schedule can give is the environment's (judge.hpp). In the repeated experiment, which has no
// registers, every failure is.

#include "round.hpp"

#include "filemap/litmus/experiment.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <coroutine>
#include <deque>
#include <fcntl.h>
#include <new>
#include <numeric>
#include <random>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace filemap::litmus {

namespace {

// For tasks that cannot wait: cloning a handle that is idle.
template <typename T>
T at_once(task<T> task) {
  task.start();
  return task.result();
}

}  // namespace

// --- what rounds share

round_setup::round_setup(filemap::engine& engine, const litmus::test& test,
                         const litmus::mode& mode, std::filesystem::path dir,
                         std::shared_ptr<const model_result> model, bool direct, bool keep_before)
    : engine(engine),
      test(mode.flush ? with_flush(test) : test),
      mode(mode),
      dir(std::move(dir)),
      direct(direct),
      keep_before(keep_before),
      observed(observed_by(this->test)),
      checks(checks_itself(this->test)),
      judge(std::make_unique<litmus::judge>(this->test, std::move(model))) {
  assert(this->test.processes.size() <= max_processes);
}

// --- files

round_files::round_files(const round_setup& setup, std::size_t index, const patterns& bytes)
    : setup_(&setup),
      named_(setup.test, setup.dir, index),
      owned_(setup.test.handles.size()),
      handles_(setup.test.handles.size()),
      last_opened_(handles_.size()) {
  named_.make(bytes);
  for (std::size_t i = 0; i < handles_.size(); ++i) {
    const auto& declared = setup.test.handles[i];
    switch (declared.from) {
      case handle_origin::open:
        open_handle(i, make_file(setup.engine, named_.open(declared.source, flags_of(i)),
                                 setup.mode.when, setup.mode.options));
        break;
      case handle_origin::clone:
        open_handle(i, at_once(handles_[declared.source]->clone()));
        break;
      case handle_origin::same:
        last_opened_[i] = handles_[i] = handles_[declared.source];
        break;
      case handle_origin::later:
        break;
    }
  }
}

void round_files::reset(const patterns& bytes) {
  named_.make(bytes);
  if (!uses_cursor(setup_->test)) return;
  for (const auto& handle : owned_) {
    if (handle != nullptr && ::lseek(handle->fd(), 0, SEEK_SET) < 0) {
      throw std::system_error(errno, std::generic_category(), "lseek");
    }
  }
}

void round_files::open_handle(std::size_t index, std::unique_ptr<file> opened) noexcept {
  owned_[index] = std::move(opened);
  last_opened_[index] = handles_[index] = owned_[index].get();
}

void round_files::detach_handle(std::size_t index) {
  auto* const detached = handles_[index];
  std::replace(handles_.begin(), handles_.end(), detached, static_cast<file*>(nullptr));
  const auto owner = std::find_if(owned_.begin(), owned_.end(),
                                  [&](const auto& handle) { return handle.get() == detached; });
  auto kept = std::move(*owner);
  owned_.push_back(std::move(kept));
}

int round_files::flags_of(std::size_t handle) const noexcept {
  const auto& declared = setup_->test.handles[handle];
  return O_RDWR | (declared.append ? O_APPEND : 0) |
         (declared.direct || setup_->direct ? O_DIRECT : 0) | (declared.dsync ? O_DSYNC : 0);
}

// --- a round

round::round(const round_setup& setup) : setup_(setup), bytes_(setup.test), evidence_(setup.test) {
  if (setup.keep_before) before_.emplace(setup.test);
  const auto& test = setup.test;
  for (std::size_t i = 0; i < test.edges.size(); ++i) {
    edges_.push_back(std::make_unique<edge>(setup.engine));
  }
  variables_.resize(test.variables.size());
  processes_.resize(test.processes.size());
  std::size_t statements = 0;
  unsigned times = 1;
  for (const auto& process : test.processes) {
    first_place_.push_back(statements);
    statements += process.body.size();
    times = std::max(times, process.times);
  }
  places_.resize(statements);
  // A process takes each step at most once for each of the writer's notifications.
  steps_.reserve(statements * times);
  for (std::size_t p = 0; p < test.processes.size(); ++p) {
    for (std::size_t at = 0; at < process(p).body.size(); ++at) {
      const auto& what = process(p).body[at];
      if (what.what == verb::read) place_of(p, at).data.resize(what.size);
      if (what.what == verb::cancel) place_of(what.operand, what.other).cancellable = true;
    }
  }
  begin_order_.resize(test.processes.size());
}

void round::begin(std::uint64_t number, std::uint64_t seed) {
  if (before_) std::swap(bytes_, *before_);
  number_ = number;
  setup_.judge->draw(bytes_, seed, number);
  draw_who_begins(seed);
  for (auto& edge : edges_) {
    edge->permit.reset();
    edge->clock = {};
  }
  std::fill(variables_.begin(), variables_.end(), 0);
  std::fill(processes_.begin(), processes_.end(), process_state{});
  for (auto& place : places_) {
    place.ended = false;
    place.res = 0;
  }
  steps_.clear();
  seen_ = {};
}

// The order of the processes in the text says nothing of who is first: litmus7 shuffles too. Where
// somebody chooses at the gate, it is theirs to say.
void round::draw_who_begins(std::uint64_t seed) {
  std::iota(begin_order_.begin(), begin_order_.end(), std::size_t{0});
  if (setup_.gate != nullptr || setup_.checks) return;
  std::mt19937_64 random(seed ^ number_ * 0x9e3779b97f4a7c15U);
  std::shuffle(begin_order_.begin(), begin_order_.end(), random);
}

void round::give_all_permits() noexcept {
  for (auto& edge : edges_) edge->permit.notify_one();
}

task<> round::run(round_files& files) {
  co_await with_scope([&](task_scope& scope) { return begin_processes(scope, files); });
  co_await land(files);
  if (!setup_.checks) look(files);
}

task<> round::begin_processes(task_scope& scope, round_files& files) {
  try {
    for (const auto process : begin_order_) scope.spawn(run_process(files, process));
  } catch (const std::bad_alloc&) {
    give_all_permits();  // those that have begun would wait for one that has not
    throw;
  }
  co_return;
}

// What was acknowledged early must end before the round can be judged, and before its files go.
task<> round::land(round_files& files) {
  if (setup_.mode.when == acknowledgement::complete) co_return;
  if (setup_.mode.when == acknowledgement::buffered) {
    co_await with_scope([&](task_scope& scope) { return land_buffers(scope, files); });
    co_return;
  }
  for (const auto& handle : files.owned()) {
    if (handle == nullptr) continue;
    const auto flushed = co_await handle->flush();
    if (!flushed.ok()) fail(what_failed_behind(files, *handle), flushed.error());
  }
}

// The handles are given up, each for itself. Their descriptors stay, for another round.
task<> round::land_buffers(task_scope& scope, round_files& files) {
  for (const auto& handle : files.owned()) {
    if (handle != nullptr) scope.spawn(land_buffer(files, *handle));
  }
  co_return;
}

task<> round::land_buffer(const round_files& files, file& handle) {
  const auto dropped = co_await handle.drop();
  if (!dropped.ok()) fail(what_failed_behind(files, handle), dropped.error());
}

// The last write through a handle that nobody has been told the end of.
verb round::what_failed_behind(const round_files& files, const file& handle) const noexcept {
  const auto failed = std::find_if(steps_.rbegin(), steps_.rend(), [&](const step& step) {
    return is_write(step.what.what) && files.last_opened(step.what.operand) == &handle &&
           step.io.complete() && step.io.res < 0;
  });
  return failed != steps_.rend() ? failed->what.what : verb::flush;
}

step& round::begin_step(std::size_t process, const statement& what) {
  assert(steps_.size() < steps_.capacity());
  auto& clock = processes_[process].clock;
  ++clock[process];
  auto& step = steps_.emplace_back();
  step.process = static_cast<std::uint8_t>(process);
  step.what = instruction_of(what, setup_.mode);
  step.clock = clock;
  step.called = clock::now();
  return step;
}

void round::end_step(std::size_t process, const statement& what, step& step, place& place,
                     io_result result) {
  step.returned = clock::now();
  place.ended = true;
  place.res = result.res;
  step.acknowledged = result.ok();
  if (result.ok() && has_size(what.what)) step.size = place.status.stx_size;
  if (result.ok() || !setup_.checks) return;
  processes_[process].failed = true;
  fail(what.what, result.error());
}

// Has this process seen all that the one before it did?
bool round::caught_up(std::size_t process) const noexcept {
  const auto& leader = processes_[process - 1];
  return leader.ended && leader.offset == processes_[process].offset;
}

void round::fail(verb what, int error) noexcept {
  if (seen_.what == outcome::error) return;  // the first failure is the one that tells
  seen_.what = outcome::error;
  seen_.failed = what;
  seen_.error = error;
}

// What the reader of the experiment saw, beside what it was to see.
void round::check(const process_state& reader) {
  const slice everything{1, 0, reader.offset};
  const auto before = before_ ? before_->bytes(everything) : std::span<const std::byte>{};
  const auto seen =
      classify(reader.offset, reader.size, reader.read, bytes_.bytes(everything), before);
  if (seen_.what == outcome::ok) seen_ = seen;
}

// What the statements came to, and what stands under the names.
void round::look(const round_files& files) {
  const auto& test = setup_.test;
  for (std::size_t p = 0; p < test.processes.size(); ++p) {
    for (std::size_t at = 0; at < process(p).body.size(); ++at) {
      const auto& what = process(p).body[at];
      const auto& place = place_of(p, at);
      const auto read = place.res > 0 ? static_cast<std::size_t>(place.res) : 0;
      evidence_.note(setup_.observed, what, p, at,
                     {place.ended, place.res, place.status.stx_size,
                      std::span(place.data).first(has_data(what.what) ? read : 0)});
    }
  }
  for (std::size_t i = 0; i < test.files.size(); ++i) {
    const auto& seen = setup_.observed.files[i];
    if (seen.size || seen.data) files.named().look(i, seen, evidence_.files[i]);
  }
}

judgement round::judged() const {
  judgement made;
  if (seen_.what == outcome::error) {
    made.failure = seen_;
  } else if (!setup_.checks) {
    made = setup_.judge->of(evidence_, bytes_);
  }
  if (made.failure) {
    refuse_what_is_missing(*made.failure, setup_.test, setup_.direct, setup_.dir.path);
  }
  return made;
}

std::span<const std::byte> round::written_by(std::size_t process,
                                             const statement& what) const noexcept {
  auto data = what.data;
  if (what.relative) data.offset += processes_[process].offset;
  return bytes_.bytes(data);
}

std::span<std::byte> round::read_target(std::size_t process, const statement& what,
                                        place& place) const noexcept {
  return what.relative ? std::span(place.data).first(processes_[process].offset)
                       : std::span(place.data);
}

io_request round::request_of(const round_files& files, std::size_t process, const statement& what,
                             place& place) const {
  const auto offset = static_cast<std::int64_t>(what.offset);
  const auto position = what.at_cursor ? at_cursor : offset;
  const auto size = static_cast<std::uint32_t>(what.size);
  const auto directory = files.directory();
  const auto descriptor = [&] {
    const auto* const handle = files.handle(what.operand);
    return handle != nullptr ? handle->fd() : -1;
  };
  switch (what.what) {
    case verb::append:
      return io_request::write(descriptor(), at_end, written_by(process, what));
    case verb::write:
      return io_request::write(descriptor(), position, written_by(process, what));
    case verb::read:
      return io_request::read(descriptor(), position, read_target(process, what, place));
    case verb::seek:
      return io_request::seek(descriptor(), offset);
    case verb::statx:
      return io_request::statx(descriptor(), place.status);
    case verb::fsync:
      return io_request::fsync(descriptor());
    case verb::fdatasync:
      return io_request::fdatasync(descriptor());
    case verb::sync_range:
      return io_request::sync_range(descriptor(), offset, size);
    case verb::truncate:
      return io_request::truncate(descriptor(), offset);
    case verb::allocate:
      return io_request::allocate(descriptor(), offset, size);
    case verb::punch:
      return io_request::punch(descriptor(), offset, size);
    case verb::drop_cache:
      return io_request::drop_cache(descriptor(), offset, size);
    case verb::close:
      return io_request::close(descriptor());
    case verb::open:
      return io_request::open(directory, files.named().name(what.other),
                              files.flags_of(what.operand));
    case verb::rename:
      return io_request::rename(directory, files.named().name(what.operand), directory,
                                files.named().name(what.other));
    case verb::unlink:
      return io_request::unlink(directory, files.named().name(what.operand));
    default:
      assert(false && "no operation");
      return io_request::nop();
  }
}

// A handle that takes less than all has been seen to write short; but a write-behind one takes a
// chunk at a time.
task<io_result> round::write_through(file& handle, const statement& what, step& step) {
  auto& self = processes_[step.process];
  const auto chunk = written_by(step.process, what);
  const auto position = what.what == verb::append ? at_end
                        : what.at_cursor          ? at_cursor
                                                  : static_cast<std::int64_t>(what.offset);
  io_result result;
  if (setup_.mode.when == acknowledgement::write_behind) {
    result = co_await write_all(handle, position, chunk, &step.io);
  } else {
    result = co_await handle.write(position, chunk, &step.io);
  }
  self.offset += result.bytes();
  if (setup_.checks && result.ok() && result.bytes() < chunk.size()) {
    self.failed = true;
    fail(what.what, 0);
  }
  co_return result;
}

task<io_result> round::clone(round_files& files, const statement& what) {
  auto* const original = files.handle(what.other);
  if (original == nullptr || original->fd() < 0) co_return io_result{-EBADF};
  int error = 0;
  try {
    auto cloned = co_await original->clone();
    files.open_handle(what.operand, std::move(cloned));
  } catch (const std::system_error& failed) {
    error = failed.code().value();
  }
  co_return io_result{-error};
}

// A statement that stands alone, through its handle. A result is 0 where the system's is a number
// that means nothing to a test.
task<io_result> round::execute(round_files& files, const statement& what, place& place,
                               step& step) {
  auto& self = processes_[step.process];
  auto* const handle = uses_handle(what.what) ? files.handle(what.operand) : nullptr;
  io_result result;
  switch (what.what) {
    case verb::append:
    case verb::write:
      result = co_await write_through(*handle, what, step);
      break;
    case verb::flush:
      result = co_await handle->flush();
      break;
    case verb::fsync:
      result = co_await handle->sync(sync_kind::fsync, &step.io);
      break;
    case verb::fdatasync:
      result = co_await handle->sync(sync_kind::fdatasync, &step.io);
      break;
    case verb::statx:
      result = co_await handle->stat(place.status, &step.io);
      self.size = place.status.stx_size;
      break;
    case verb::read:
      // The repeated experiment reads beside later appends, which move the cursor of a clone.
      if (what.relative) {
        result = co_await handle->apply(request_of(files, step.process, what, place), &step.io);
        self.read = std::span(place.data).first(result.bytes());
        break;
      }
      result =
          co_await handle->read(what.at_cursor ? at_cursor : static_cast<std::int64_t>(what.offset),
                                read_target(step.process, what, place), &step.io);
      self.read = std::span(place.data).first(result.bytes());
      break;
    case verb::truncate:
      result = co_await handle->truncate(static_cast<std::int64_t>(what.offset), &step.io);
      break;
    case verb::open: {
      const auto request = request_of(files, step.process, what, place);
      const auto opened = co_await perform(setup_.engine, request, &step.io);
      if (!opened.ok()) co_return opened;
      files.open_handle(what.operand, make_file(setup_.engine, unique_fd{opened.descriptor()},
                                                setup_.mode.when, setup_.mode.options));
      break;
    }
    case verb::clone:
      result = co_await clone(files, what);
      break;
    case verb::close:
      if (setup_.mode.acknowledges_early()) {
        files.detach_handle(what.operand);  // the descriptor stays, for what is in flight
        result = co_await handle->drop();
      } else {
        result = co_await handle->close(&step.io);
      }
      break;
    case verb::rename:
    case verb::unlink: {
      const auto request = request_of(files, step.process, what, place);
      result = co_await perform(setup_.engine, request, &step.io);
      break;
    }
    case verb::cancel:
      if (auto* const target = place_of(what.operand, what.other).in_flight;
          target != nullptr && (setup_.gate == nullptr || setup_.gate->meets())) {
        setup_.engine.cancel(*target);
      }
      break;
    case verb::load:
      self.offset = variables_[what.operand];
      break;
    case verb::store:
      variables_[what.operand] = self.offset;
      break;
    case verb::notify: {
      auto& edge = *edges_[what.operand];
      merge(edge.clock, self.clock);
      if (const int error = edge.permit.notify_one(); error != 0) {
        fail(what.what, error);
        give_all_permits();  // so that all come to their end
      }
      break;
    }
    case verb::wait: {
      auto& edge = *edges_[what.operand];
      result = co_await edge.permit.wait();
      merge(self.clock, edge.clock);
      break;
    }
    case verb::check:
      check(self);
      break;
    default: {
      const auto request = request_of(files, step.process, what, place);
      result = co_await handle->apply(request, &step.io);
    }
  }
  co_return result;
}

// An operation past its handle: one that somebody may cancel, or that drains.
task<io_result> round::submit(round_files& files, std::size_t process, const statement& what,
                              place& place, step& step) {
  if (uses_handle(what.what)) co_await files.handle(what.operand)->settle();
  if (is_closed(files, what)) co_return io_result{-EBADF};  // while it waited
  auto request = request_of(files, process, what, place);
  request.drain = what.drain;
  perform operation(setup_.engine, request, &step.io);
  place.in_flight = &operation;
  const auto result = co_await operation;
  place.in_flight = nullptr;
  co_return result;
}

// Operations that are started together; whoever awaits it resumes when the last has completed.
class round::submission {
 public:
  explicit submission(engine& engine) : engine_(engine) {}
  submission(const submission&) = delete;
  submission& operator=(const submission&) = delete;

  io_op& add(const io_request& request) { return members_.emplace_back(request, *this); }

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> awaiting) noexcept {
    awaiting_ = awaiting;
    left_ = members_.size();
    for (auto& member : members_) engine_.start(member);
  }
  void await_resume() const noexcept {}

 private:
  struct member : io_op {
    member(const io_request& request, submission& owner)
        : io_op(request, &completed), owner(owner) {}
    submission& owner;
  };

  static void completed(io_op& op) noexcept {
    auto& self = static_cast<member&>(op).owner;
    if (--self.left_ == 0) self.awaiting_.resume();
  }

  engine& engine_;
  std::deque<member> members_;  // operations must not move
  std::size_t left_ = 0;
  std::coroutine_handle<> awaiting_;
};

// A group is one submission, past the handles: in every mode it returns when its last member has
// completed.
task<> round::run_group(round_files& files, std::size_t process, const group& group) {
  const auto& body = round::process(process).body;
  const auto members = std::span(body).subspan(group.first, group.count);
  for (const auto& what : members) {
    auto* const handle = uses_handle(what.what) ? files.handle(what.operand) : nullptr;
    if (handle != nullptr) co_await handle->settle();
  }
  submission together(setup_.engine);
  std::vector<std::pair<io_op*, step*>> submitted;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto& what = members[i];
    auto& place = place_of(process, group.first + i);
    auto request = request_of(files, process, what, place);
    request.drain = what.drain;
    const bool last = i + 1 == members.size();
    if (group.kind == group_kind::link && !last) request.link = link_kind::link;
    if (group.kind == group_kind::hardlink && !last) request.link = link_kind::hardlink;
    auto& op = together.add(request);
    if (place.cancellable) place.in_flight = &op;
    submitted.emplace_back(&op, &begin_step(process, what));
  }
  co_await together;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto& [op, step] = submitted[i];
    auto& place = place_of(process, group.first + i);
    place.in_flight = nullptr;
    step->io = op->record;
    end_step(process, members[i], *step, place, op->result());
    step->grouped = true;
    step->batched = group.kind == group_kind::batch;
    if (step->batched) step->returned = step->called;
  }
}

// Closed by its number or for this name, which is the same to whoever calls it.
bool round::is_closed(const round_files& files, const statement& what) const noexcept {
  if (!uses_handle(what.what)) return false;
  const auto* const handle = files.handle(what.operand);
  return handle == nullptr || handle->fd() < 0;
}

// A write that was acknowledged early has returned: there is nothing to cancel.
bool round::goes_past_its_handle(const statement& what, const place& place) const noexcept {
  const bool returns_early = setup_.mode.acknowledges_early() && is_write(what.what);
  return what.drain || (place.cancellable && !returns_early);
}

task<> round::run_statement(round_files& files, std::size_t process, std::size_t at) {
  const auto& what = round::process(process).body[at];
  auto& place = place_of(process, at);
  auto& step = begin_step(process, what);
  io_result result{-EBADF};
  if (!is_closed(files, what)) {
    if (goes_past_its_handle(what, place)) {
      result = co_await submit(files, process, what, place, step);
    } else {
      result = co_await execute(files, what, place, step);
    }
  }
  end_step(process, what, step, place, result);
}

// A process of the experiment that has failed does no more I/O, but goes on to store and notify, so
// that the others, who wait for it, come to their end too.
task<> round::run_process(round_files& files, std::size_t index) {
  const auto& body = process(index).body;
  const auto times = process(index).times;
  auto& self = processes_[index];
  auto group = process(index).groups.begin();
  unsigned turns = 0;
  do {
    for (std::size_t at = 0; at < body.size(); ++at) {
      const auto what = body[at].what;
      if (self.failed && what != verb::store && what != verb::notify) continue;
      const process_gate::pass gate{setup_.gate, index, at};
      co_await gate;
      if (group != process(index).groups.end() && group->first == at) {
        co_await run_group(files, index, *group);
        at += group->count - 1U;
        ++group;
      } else {
        co_await run_statement(files, index, at);
      }
    }
    ++turns;
  } while (!self.failed && (times > 0 ? turns < times : !caught_up(index)));
  self.ended = true;
}

}  // namespace filemap::litmus
