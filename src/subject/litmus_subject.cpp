// A litmus test under a chooser.
//
// The stepping engine holds every operation back, so the processes of a round come to rest by
// themselves: each waits for an operation that is held, or for a notification, or has ended.
//
//     execute ─► the operation executes ─► its process goes on to its next operation ─► rest
//                └─ a step: also of processes whose wait this ended, at once ─┘
//
// A wait that is ready is no choice. It touches nothing but its eventfd, and the process behind it
// only comes to its next operation, which is held back again.
//
// Where it matters when a statement begins (dependence.cpp says where), its process stops before
// it, at the gate, and its beginning is a choice too. In the mode `sync` operations execute inside
// their beginning, and who goes on after a turn of the loop is all that there is to choose: so
// there the processes stop at the gate, whenever they have had a turn, and nothing is held back.
//
// An operation's name needs to be known from its beginning on, and so does what it is an operation
// of: between the round and the stepping engine stands one that notes what is started.

#include "litmus_subject.hpp"

#include "filemap/io/run.hpp"

#include "dependence.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include <fmt/format.h>

namespace filemap::litmus {

namespace {

stepping_options execution(const mode& mode, const uring_options& ring) {
  stepping_options how;
  if (mode.engine == engine_kind::uring) how.through = make_uring_engine(ring);
  how.at_once = mode.engine == engine_kind::sync;
  return how;
}

}  // namespace

class litmus_subject::run final : private process_gate {
 public:
  run(const test& test, const mode& mode, const std::filesystem::path& dir,
      const uring_options& ring, std::shared_ptr<const model_result> model)
      : noting_(*this),
        setup_(noting_, test, mode, dir, std::move(model)),
        round_(setup_),
        depends_(test, mode),
        at_once_(mode.engine == engine_kind::sync),
        early_(mode.acknowledges_early()),
        buffered_(mode.when == acknowledgement::buffered),
        stepping_(make_stepping_engine(execution(mode, ring))) {
    assert(!mode.flush);
    setup_.gate = this;
  }
  run(const run&) = delete;
  run& operator=(const run&) = delete;
  ~run() override {
    if (root_ && stepping_->failed()) {
      root_->abandon();
    } else {
      abandon();
    }
    stepping_.reset();  // before what its operations may refer to
  }

  void begin(std::vector<candidate>& names) {
    abandon();
    started_ = 0;
    started_by_.clear();
    noted_.clear();
    begun_.assign(setup_.test.processes.size() + setup_.test.handles.size() + 1, 0);
    had_turn_.assign(setup_.test.processes.size(), true);
    prepare_files();
    root_.emplace(round_.run(*files_));
    root_->start();
    come_to_rest(names);
    steps_noted_ = round_.steps().size();
  }

  footprint execute(std::size_t choice, std::vector<candidate>& names) {
    const auto chosen = held_[choice];
    footprint touched;
    if (chosen.op == nullptr) {
      meets_ = chosen.name.way == 0;
      touched = at_gate(chosen.process, chosen.at);
      const auto stop = std::find_if(stops_.begin(), stops_.end(), [&](const stopped_process& one) {
        return one.process == chosen.process;
      });
      const auto awaiting = stop->awaiting;
      stops_.erase(stop);
      awaiting.resume();
    } else {
      touched = of(*chosen.op);
      stepping_->execute(*chosen.op);
    }
    come_to_rest(names);
    const auto steps = round_.steps();
    for (; steps_noted_ < steps.size(); ++steps_noted_) {
      const auto& step = steps[steps_noted_];
      touched.add(depends_.of_beginning(step.process, place_of(step)));
    }
    return touched;
  }

  bool has_ended() const { return root_->done() && stepping_->in_flight() == 0; }

  judgement end() {
    root_->result();
    auto judged = round_.judged();
    if (judged.failure) throw operation_failed(*judged.failure);
    return judged;
  }

  std::string describe(const candidate& which) const {
    const auto found = std::find_if(held_.begin(), held_.end(),
                                    [&](const holding& one) { return one.name == which; });
    assert(found != held_.end());
    const auto& what = setup_.test.processes[found->process].body[found->at];
    return fmt::format("P{}:{}{}", found->process,
                       to_string(setup_.test, instruction{what.what, what.operand}),
                       which.way == 0 ? "" : " (too late)");
  }

  const litmus::round& round() const noexcept { return round_; }
  const round_setup& setup() const noexcept { return setup_; }
  engine_traits traits() const { return stepping_->traits(); }

 private:
  class noting_engine final : public engine {
   public:
    explicit noting_engine(run& owner) noexcept : owner_(owner) {}
    void start(io_op& op) noexcept override {
      owner_.note(op);
      owner_.stepping_->start(op);
    }
    void wait(op_queue& done) override { owner_.stepping_->wait(done); }
    void cancel(io_op& op) noexcept override { owner_.stepping_->cancel(op); }
    std::size_t in_flight() const noexcept override { return owner_.stepping_->in_flight(); }
    // What still waits when the engine has gone was abandoned, as it had failed.
    bool failed() const noexcept override {
      return owner_.stepping_ == nullptr || owner_.stepping_->failed();
    }
    engine_traits traits() const override { return owner_.stepping_->traits(); }

   private:
    run& owner_;
  };

  struct stopped_process {
    std::size_t process;
    std::size_t at;
    std::coroutine_handle<> awaiting;
    candidate name;
    std::uint64_t number;  // in the order in which things came to be held
  };
  struct noted_operation {
    const io_op* op;
    bool is_known;  // as an operation of that statement
    std::size_t process;
    std::size_t at;
    bool behind;  // the process was told that it had ended when it was queued
    bool seeks;   // and is not yet what its statement says
    candidate name;
    std::uint64_t number;
  };
  struct holding {
    candidate name;
    std::uint64_t number;
    io_op* op;  // or nullptr: a process at the gate
    std::size_t process;
    std::size_t at;
  };

  // --- the gate

  bool stops(std::size_t process, std::size_t at) override {
    if (abandons_) return false;
    if (!at_once_) return depends_.begins_visibly(process, at);
    if (setup_.test.processes[process].body[at].what == verb::wait) {
      had_turn_[process] = true;  // that takes a turn, and does nothing else
      return false;
    }
    return had_turn_[process];
  }
  void stopped(std::size_t process, std::size_t at, std::coroutine_handle<> awaiting) override {
    had_turn_[process] = false;
    stops_.push_back({process, at, awaiting, next_name(process), started_++});
  }
  bool meets() const noexcept override { return meets_; }

  // What the process comes to by going on: with a group all of its members, which may have to wait.
  footprint at_gate(std::size_t process, std::size_t at) const {
    auto touched = depends_.of_beginning(process, at);
    for (const auto& group : setup_.test.processes[process].groups) {
      if (group.first != at) continue;
      for (std::size_t i = 1; i < group.count; ++i) {
        touched.add(depends_.of_beginning(process, at + i));
      }
    }
    return touched;
  }

  // --- operations

  candidate next_name(std::size_t stream) {
    return {static_cast<std::uint32_t>(stream), begun_[stream]++, 0};
  }

  std::size_t place_of(const step& step) const {
    return (step.clock[step.process] - 1U) % setup_.test.processes[step.process].body.size();
  }

  // The first statement that has begun and waits for such an operation to be started: behind a lock
  // the processes have their turns in the order in which they came.
  const step* beginner_of(const io_op& op) {
    const auto steps = round_.steps();
    started_by_.resize(steps.size(), started::nothing);
    const bool is_of_buffer = buffered_ && is_behind(op);
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const auto& step = steps[i];
      auto& has = started_by_[i];
      if (has == started::operation || !goes_to(step, op)) continue;
      if (is_of_buffer ? !step.never_written() : step.returned != instant{}) continue;
      const bool seeks = has == started::nothing && is_seek_of(step, op);
      if (!seeks && traits_of(step.what.what).code != op.request.code) continue;
      has = seeks ? started::seek : started::operation;
      return &step;
    }
    return nullptr;
  }
  bool is_seek_of(const step& step, const io_op& op) const {
    return op.request.code == opcode::seek && depends_.seeks(step.process, place_of(step));
  }
  // In a file that acknowledges early only what has been acknowledged must be carried out, whatever
  // comes. A buffer is written out in the order in which its writes came, and those returned then.
  bool is_behind(const io_op& op) const {
    return early_ && op.request.mandatory && op.request.code == opcode::write;
  }
  bool goes_to(const step& step, const io_op& op) const {
    if (!uses_handle(step.what.what) || step.what.what == verb::close) return true;
    const auto* const handle = files_->last_opened(step.what.operand);
    return (handle != nullptr ? handle->fd() : -1) == op.request.fd;
  }

  void note(const io_op& op) {
    if (op.request.code == opcode::read_event) return;
    auto found = std::find_if(noted_.begin(), noted_.end(),
                              [&](const noted_operation& one) { return one.op == &op; });
    if (found == noted_.end())
      found = noted_.insert(found, {&op, false, 0, 0, false, false, {}, 0});
    if (const auto* const step = beginner_of(op)) {
      found->process = step->process;
      found->at = place_of(*step);
      found->is_known = true;
      found->seeks = is_seek_of(*step, op);
      found->behind = is_behind(op);
    } else {  // what goes on with a write in parts, or is none of a statement's own
      const auto& body = setup_.test.processes[found->process].body;
      found->is_known = found->is_known && traits_of(body[found->at].what).code == op.request.code;
    }
    found->name = next_name(stream_of(*found));
    found->number = started_++;
    had_turn_[found->process] = true;
  }

  // A process, or what a handle does behind the back of all.
  std::size_t stream_of(const noted_operation& one) const {
    const auto processes = setup_.test.processes.size();
    if (!one.is_known) return processes + setup_.test.handles.size();
    if (!one.behind) return one.process;
    return processes +
           named_by(setup_.test, setup_.test.processes[one.process].body[one.at].operand);
  }

  const noted_operation& noted(const io_op& op) const {
    const auto found = std::find_if(noted_.begin(), noted_.end(),
                                    [&](const noted_operation& one) { return one.op == &op; });
    assert(found != noted_.end());
    return *found;
  }

  footprint of(const io_op& op) const {
    const auto& one = noted(op);
    if (!one.is_known) return footprint::everything();
    if (one.seeks) return depends_.of_seeking(one.process, one.at);
    return depends_.of_executing(one.process, one.at, one.behind);
  }

  // --- runs

  // Fresh ones, or those of the run before made what they were: what no process can have moved.
  void prepare_files() {
    constexpr std::uint64_t any = 0;  // the bytes are always the same, so a replay is too
    round_.begin(any, any);
    if (files_ && is_static(setup_.test)) {
      files_->reset(round_.bytes());
      return;
    }
    files_.reset();
    files_.emplace(setup_, 0, round_.bytes());
  }

  void come_to_rest(std::vector<candidate>& names) {
    held_.clear();
    std::span<io_op* const> held;
    while (true) {
      while (stepping_->has_completions()) turn(*stepping_);
      held = stepping_->held();
      const auto wait = std::find_if(held.begin(), held.end(), [](const io_op* op) {
        return op->request.code == opcode::read_event;
      });
      if (wait == held.end()) break;
      stepping_->execute(**wait);
    }
    for (auto* const op : held) {
      const auto& one = noted(*op);
      held_.push_back({one.name, one.number, op, one.process, one.at});
    }
    for (const auto& stop : stops_) {
      held_.push_back({stop.name, stop.number, nullptr, stop.process, stop.at});
    }
    std::sort(held_.begin(), held_.end(),
              [](const holding& a, const holding& b) { return a.number < b.number; });
    add_other_ways();
    names.clear();
    for (const auto& one : held_) names.push_back(one.name);
  }

  // A cancel finds an operation in flight, and may be too late for it all the same.
  void add_other_ways() {
    for (std::size_t i = 0; i < held_.size(); ++i) {
      if (held_[i].op != nullptr) continue;
      const auto& what = setup_.test.processes[held_[i].process].body[held_[i].at];
      if (what.what != verb::cancel || round_.in_flight(what.operand, what.other) == nullptr) {
        continue;
      }
      auto other = held_[i];
      other.name.way = 1;
      held_.insert(held_.begin() + static_cast<std::ptrdiff_t>(++i), other);
    }
  }

  // Brings what is left of the run to its end, without doing anything any more.
  void abandon() {
    if (!root_) return;
    abandons_ = true;
    stepping_->abandon(true);
    while (!root_->done() || stepping_->in_flight() > 0) {
      for (const auto& stop : std::exchange(stops_, {})) stop.awaiting.resume();
      if (stepping_->has_completions()) turn(*stepping_);
    }
    stepping_->abandon(false);
    abandons_ = false;
    root_.reset();
  }

  noting_engine noting_;
  round_setup setup_;
  litmus::round round_;
  const dependence depends_;
  const bool at_once_;
  const bool early_;
  const bool buffered_;
  std::optional<round_files> files_;

  // The run.
  std::optional<task<>> root_;
  std::vector<stopped_process> stops_;
  std::vector<noted_operation> noted_;
  enum class started : std::uint8_t { nothing, seek, operation };
  std::vector<started> started_by_;   // by step: what has been
  std::vector<std::uint32_t> begun_;  // by stream
  std::vector<bool> had_turn_;        // by process: since it was at the gate
  std::vector<holding> held_;
  std::uint64_t started_ = 0;
  std::size_t steps_noted_ = 0;  // of the round's, in the footprints until now
  bool meets_ = true;
  bool abandons_ = false;

  std::unique_ptr<stepping_engine> stepping_;
};

litmus_subject::litmus_subject(const test& test, const mode& mode, const std::filesystem::path& dir,
                               const uring_options& ring, std::shared_ptr<const model_result> model)
    : run_(std::make_unique<run>(test, mode, dir, ring, std::move(model))) {}

litmus_subject::~litmus_subject() = default;

void litmus_subject::begin() { run_->begin(names_); }

footprint litmus_subject::execute(std::size_t choice) { return run_->execute(choice, names_); }

filemap::ending litmus_subject::end() {
  filemap::ending reached;
  reached.deadlock = !run_->has_ended();
  if (reached.deadlock) return reached;
  return came_to(run_->end());
}

std::string litmus_subject::describe(const candidate& which) const { return run_->describe(which); }

std::span<const step> litmus_subject::steps() const noexcept { return run_->round().steps(); }
const observed_fields& litmus_subject::observed() const noexcept { return run_->setup().observed; }
engine_traits litmus_subject::traits() const { return run_->traits(); }

}  // namespace filemap::litmus
