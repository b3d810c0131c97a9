// Which outcomes a mode allows a test: every interleaving of its processes, tried.
//
// A state is a flat array of 16-bit words, all of one length for one test: how far each process is,
// which permits are there, what the names name, what the files hold, what each handle is doing, how
// far each operation in flight is, and the registers that the condition looks at. Contents and
// register values are interned, so a word stands for each. All states lie one after another in one
// vector, in the order in which they were found; that vector is also the queue of the search, and
// the set that tells old from new holds indices into it.
//
//     expand(state):  for each thing that could happen next
//                       copy the state, let it happen, go on while the next step is silent,
//                       and keep what is new
//
// A step is silent when it commutes with all that others may do, now or later, so that taking it at
// once loses no outcome: a notify of an edge that nobody else notifies, the only wait for an edge
// whose permit is there, a sync (it changes nothing in memory). That is the only reduction.
//
// The rules themselves are those of docs/model.md, in its order: operations, files, handles,
// groups, cancellation. Each is one function here.

#include "filemap/model/model.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <functional>
#include <limits>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace filemap::litmus {

namespace {

using word = std::uint16_t;
using key = std::uint64_t;

constexpr std::uint64_t page_size = 4096;
constexpr word none = std::numeric_limits<word>::max();

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) noexcept {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15U;
  return hash ^ (hash >> 29);
}

// --- the test, prepared

enum class phase : word {
  idle,       // not begun, or over
  submitted,  // in flight, and has not had any effect
  executing,  // in flight, and has had a part of its effect
  done,       // a member of a group that waits for the others
};

struct operation {
  statement what;
  std::uint8_t process = 0;
  word unit = 0;            // of the process
  word in_body = none;      // which statement of that process; none: a flush that the mode adds
  std::uint8_t handle = 0;  // that it goes through, when it has one
  bool at_end = false;      // a write whose place is the end of the file
  bool direct = false;
  bool queued = false;  // a write that is acknowledged when it is queued
  bool alone = false;   // no step of another process can meddle between its call and its effect
  word target = none;   // of a cancel

  bool only_when_busy = false;  // `queued`: its words are its own while its handle is busy with it

  // Its words in the state; `none` where it needs none. They are its own only while its process is
  // in its unit.
  word status = none;    // its phase and its file
  word moved = none;     // two words: bytes written or read so far
  word accepted = none;  // two words: bytes queued so far
  word seen = none;      // of a read: the contents whose size it has taken
  word taken = none;     // of a read: the bytes that it has so far
  word order = none;     // where something drains: its place in the order of submissions
};

// What a process does in one go: one operation or a group.
struct unit {
  word first = 0;  // of `operations`
  word count = 1;
  bool grouped = false;
  group_kind kind = group_kind::batch;
};

// It takes effect page by page.
bool goes_by_pages(verb verb) { return is_write(verb) || verb == verb::punch; }

// It copies bytes, or zeros, into pages that are in the file.
bool copies(verb verb) { return is_write(verb) || verb == verb::truncate; }

bool may_cross_pages(const operation& op) {
  const auto size = is_write(op.what.what) ? op.what.data.size : op.what.size;
  return op.at_end ? size > 1 : op.what.offset % page_size + size > page_size;
}

// They change nothing that anybody can see while the machine is up.
bool is_invisible(verb verb) {
  return verb == verb::fsync || verb == verb::fdatasync || verb == verb::sync_range ||
         verb == verb::drop_cache;
}

// They wait for the handle's operation in flight: tokio's complete_inflight.
bool settles(verb verb) {
  return verb == verb::read || verb == verb::fsync || verb == verb::fdatasync ||
         verb == verb::sync_range || verb == verb::truncate || verb == verb::allocate ||
         verb == verb::punch;
}

// It is in flight for a time: it has words of its own in the state.
bool in_flight(verb verb) {
  return verb != verb::notify && verb != verb::wait && verb != verb::cancel && verb != verb::flush;
}

struct layout {
  std::vector<operation> operations;
  std::vector<std::vector<unit>> processes;
  std::vector<word> writers;      // operations that a reader may see between two of their pages
  std::vector<word> copiers;      // operations that may tear what a reader copies
  std::vector<word> in_the_back;  // operations that are `queued`
  std::vector<std::uint8_t> handle_of;  // by its name: the handle that it is

  word edges = 0;
  word names = 0;
  word files = 0;
  word handles = 0;
  word registers = 0;
  word words = 0;

  bool drains = false;
  bool cancels = false;
  std::vector<bool> one_notify, one_wait;  // by edge: in the whole test
  std::vector<bool> reseated;              // by handle: a process opens or closes it
  std::vector<bool> own;                   // by handle: one process alone uses it, none clones it

  layout(const test& test, const mode& mode, bool atomic);

  word index_of(const operation& op) const noexcept {
    return static_cast<word>(&op - operations.data());
  }

 private:
  void add_process(const test& test, const mode& mode, std::uint8_t process);
  void add_statement(const test& test, const mode& mode, std::uint8_t process,
                     const statement& what, bool grouped);
  void count_users(const test& test);
  void place(const test& test, const mode& mode, bool atomic);
  void place(operation& placed, bool atomic);
  void place_queued(const test& test, const mode& mode, bool atomic);
  bool appends(const test& test, std::uint8_t handle) const;
  word new_words(unsigned count) { return std::exchange(words, static_cast<word>(words + count)); }
};

layout::layout(const test& test, const mode& mode, bool atomic) {
  for (std::size_t i = 0; i < test.handles.size(); ++i) {
    const auto& handle = test.handles[i];
    const auto own = static_cast<std::uint8_t>(i);
    handle_of.push_back(handle.from == handle_origin::same ? handle_of[handle.source] : own);
  }
  for (std::size_t i = 0; i < test.processes.size(); ++i) {
    add_process(test, mode, static_cast<std::uint8_t>(i));
  }
  count_users(test);
  place(test, mode, atomic);
}

void layout::add_process(const test& test, const mode& mode, std::uint8_t process) {
  const auto& declared = test.processes[process];
  if (declared.times != 1) throw std::invalid_argument("the model does not repeat a process");
  auto& units = processes.emplace_back();
  std::vector<std::uint8_t> unflushed;
  auto group = declared.groups.begin();
  for (std::size_t at = 0; at < declared.body.size();) {
    const auto& what = declared.body[at];
    if (mode.flush && what.what == verb::notify) {
      for (const auto handle : unflushed) {
        const auto first = static_cast<word>(operations.size());
        statement flush;
        flush.what = verb::flush;
        flush.operand = handle;
        add_statement(test, mode, process, flush, false);
        units.push_back({.first = first});
      }
      unflushed.clear();
    }
    unit next{.first = static_cast<word>(operations.size())};
    if (group != declared.groups.end() && group->first == at) {
      next.count = group->count;
      next.grouped = true;
      next.kind = group->kind;
      ++group;
    }
    for (std::size_t i = 0; i < next.count; ++i, ++at) {
      const auto& member = declared.body[at];
      if (next.grouped && !in_flight(member.what)) {
        throw std::invalid_argument("a group has only operations on files");
      }
      add_statement(test, mode, process, member, next.grouped);
      operations.back().in_body = static_cast<word>(at);
      if (is_write(member.what) &&
          std::find(unflushed.begin(), unflushed.end(), member.operand) == unflushed.end()) {
        unflushed.push_back(member.operand);
      }
    }
    units.push_back(next);
  }
}

// An open file description is shared by its duplicates, and so is O_APPEND.
bool layout::appends(const test& test, std::uint8_t handle) const {
  const auto& declared = test.handles[handle];
  if (declared.from == handle_origin::clone) return appends(test, handle_of[declared.source]);
  return declared.append;
}

void layout::add_statement(const test& test, const mode& mode, std::uint8_t process,
                           const statement& what, bool grouped) {
  operation added;
  added.what = what;
  added.process = process;
  added.unit = static_cast<word>(processes[process].size());
  if (uses_handle(what.what) || reseats(what.what)) {
    added.handle = handle_of[what.operand];
    added.direct = test.handles[added.handle].direct;
    added.at_end =
        what.what == verb::append || (what.what == verb::write && appends(test, added.handle));
  }
  if (what.what == verb::clone) added.what.other = handle_of[what.other];
  added.queued = mode.when == acknowledgement::write_behind && is_write(what.what) && !grouped;
  drains = drains || what.drain;
  cancels = cancels || what.what == verb::cancel;
  operations.push_back(added);
}

void layout::count_users(const test& test) {
  one_notify.assign(test.edges.size(), false);
  one_wait.assign(test.edges.size(), false);
  own.assign(test.handles.size(), true);
  std::vector<unsigned> notifies(test.edges.size());
  std::vector<unsigned> waits(test.edges.size());
  std::vector<std::uint16_t> users(test.handles.size());
  std::vector<std::uint16_t> reseaters(test.handles.size());
  for (const auto& each : operations) {
    const auto verb = each.what.what;
    const auto bit = static_cast<std::uint16_t>(1U << each.process);
    if (verb == verb::notify) ++notifies[each.what.operand];
    if (verb == verb::wait) ++waits[each.what.operand];
    if (uses_handle(verb) || reseats(verb)) users[each.handle] |= bit;
    if (reseats(verb)) reseaters[each.handle] |= bit;
    if (verb == verb::clone) users[each.what.other] |= bit;
  }
  for (std::size_t i = 0; i < test.edges.size(); ++i) {
    one_notify[i] = notifies[i] == 1;
    one_wait[i] = waits[i] == 1;
  }
  const auto has_one_bit = [](unsigned bits) { return (bits & (bits - 1)) == 0; };
  for (std::size_t i = 0; i < own.size(); ++i) {
    own[i] = has_one_bit(users[i]);
    reseated.push_back(reseaters[i] != 0);
  }

  for (auto& each : operations) {
    const auto bit = 1U << each.process;
    const bool handle_stays = !uses_handle(each.what.what) || (reseaters[each.handle] & ~bit) == 0;
    each.alone = handle_stays && !drains;
  }
  for (auto& cancel : operations) {
    if (cancel.what.what != verb::cancel) continue;
    const auto found = std::find_if(operations.begin(), operations.end(), [&](const auto& each) {
      return each.process == cancel.what.operand && each.in_body == cancel.what.other;
    });
    if (found == operations.end() || !in_flight(found->what.what)) continue;
    found->alone = false;
    cancel.target = static_cast<word>(found - operations.begin());
  }
}

void layout::place(const test& test, const mode& mode, bool atomic) {
  new_words(static_cast<unsigned>(test.processes.size()));
  edges = new_words(1);
  names = new_words(static_cast<unsigned>(test.files.size()));
  files = new_words(static_cast<unsigned>(test.files.size()));
  handles = new_words(2 * static_cast<unsigned>(test.handles.size()));
  registers = new_words(static_cast<unsigned>(test.registers.size()));
  for (const auto& units : processes) {
    // A process is in one unit at a time, so that what it has in flight takes the same words.
    const auto begin = words;
    auto end = words;
    for (const auto& unit : units) {
      words = begin;
      for (word i = unit.first; i < unit.first + unit.count; ++i) {
        if (!operations[i].queued) place(operations[i], atomic);
      }
      end = std::max(end, words);
    }
    words = end;
  }
  place_queued(test, mode, atomic);
  for (auto& each : operations) {
    if (drains && in_flight(each.what.what)) each.order = new_words(1);
  }
  words = static_cast<word>((words + 3U) / 4U * 4U);  // whole 64-bit words, for the hash
}

// A handle has one of them in flight at a time, but for a handle that is closed before. So those of
// one handle take the same words, as many as the largest of them needs.
void layout::place_queued(const test& test, const mode& mode, bool atomic) {
  for (auto& each : operations) {
    if (!each.queued) continue;
    in_the_back.push_back(index_of(each));
    if (each.what.data.size > mode.behind.max_buffer) each.accepted = new_words(2);
    each.only_when_busy = !reseated[each.handle];
    if (!each.only_when_busy) place(each, atomic);
  }
  for (std::size_t handle = 0; handle < test.handles.size(); ++handle) {
    const auto begin = words;
    auto end = words;
    for (auto& each : operations) {
      if (!each.queued || !each.only_when_busy || each.handle != handle) continue;
      words = begin;
      place(each, atomic);
      end = std::max(end, words);
    }
    words = end;
  }
}

void layout::place(operation& placed, bool atomic) {
  const auto verb = placed.what.what;
  if (!in_flight(verb)) return;
  placed.status = new_words(1);
  if (copies(verb)) copiers.push_back(index_of(placed));
  if (atomic) return;
  if (goes_by_pages(verb) && may_cross_pages(placed)) {
    writers.push_back(index_of(placed));
    placed.moved = new_words(2);
  }
  if (verb == verb::read) {
    placed.moved = new_words(2);
    placed.seen = new_words(1);
    placed.taken = new_words(1);
  }
}

// --- the search

struct contents_hash {
  std::size_t operator()(const contents& value) const noexcept {
    std::uint64_t hash = value.size();
    for (const auto& slice : value.slices()) {
      hash = mix(mix(mix(hash, slice.pattern), slice.offset), slice.size);
    }
    return hash;
  }
};

struct value_hash {
  std::size_t operator()(const register_value& value) const noexcept {
    auto hash = mix(contents_hash{}(value.data), value.size);
    return mix(mix(hash, static_cast<std::uint64_t>(value.res)), value.set ? 1 : 0);
  }
};

// Numbers values in the order in which they come.
template <typename Value, typename Hash>
class interner {
 public:
  // `none` when there is no number left.
  word number(const Value& value) {
    const auto next = static_cast<word>(values_.size());
    const auto [found, is_new] = numbers_.try_emplace(value, next);
    if (!is_new) return found->second;
    if (next == none) {
      numbers_.erase(found);
      return none;
    }
    values_.push_back(value);
    return next;
  }
  const Value& operator[](word number) const noexcept { return values_[number]; }

 private:
  std::unordered_map<Value, word, Hash> numbers_;
  std::vector<Value> values_;
};

// What an operation comes to.
struct ending {
  std::int64_t res = 0;
  std::uint64_t size = 0;
  word data = 0;        // the number of the contents
  bool broken = false;  // it failed or was short: a link ends here
};

class search {
 public:
  search(const test& test, const mode& mode, const model_options& options)
      : test_(test),
        observed_(observed_by(test)),
        options_(options),
        write_behind_(mode.when == acknowledgement::write_behind),
        clone_waits_(mode.behind.clone_waits),
        max_buffer_(mode.behind.max_buffer),
        on_ring_(mode.engine == engine_kind::uring),
        inline_(mode.engine == engine_kind::sync),
        atomic_(options.atomic_writes || inline_),
        layout_(test, mode, atomic_),
        now_(layout_.words),
        from_(layout_.words),
        known_(0, state_hash{this}, state_equal{this}) {}

  model_result run() {
    start();
    for (std::size_t next = 0; next < count_ && result_.complete; ++next) {
      from_.assign(state(next), state(next) + layout_.words);
      expand();
    }
    result_.states = count_;
    return std::move(result_);
  }

 private:
  struct state_hash {
    const search* in;
    // Not noexcept, so that libstdc++ keeps the hash with the index.
    std::size_t operator()(std::uint32_t index) const { return in->hash(index); }
  };
  struct state_equal {
    const search* in;
    bool operator()(std::uint32_t left, std::uint32_t right) const noexcept {
      return std::memcmp(in->state(left), in->state(right), in->bytes()) == 0;
    }
  };

  // --- states

  std::size_t bytes() const noexcept { return layout_.words * sizeof(word); }
  const word* state(std::size_t index) const noexcept {
    return states_.data() + index * layout_.words;
  }
  std::size_t hash(std::uint32_t index) const noexcept {
    std::uint64_t hash = 0;
    for (std::size_t at = 0; at < layout_.words; at += 4) {
      std::uint64_t four = 0;
      std::memcpy(&four, state(index) + at, sizeof four);
      hash = mix(hash, four);
    }
    return hash;
  }

  void keep() {
    const auto index = static_cast<std::uint32_t>(count_);
    states_.insert(states_.end(), now_.begin(), now_.end());
    if (!known_.insert(index).second) {
      states_.resize(states_.size() - layout_.words);
      return;
    }
    ++count_;
    if (count_ >= options_.max_states) result_.complete = false;
  }

  std::uint64_t number_at(word at) const noexcept {
    return at == none ? 0 : now_[at] | static_cast<std::uint64_t>(now_[at + 1U]) << 16U;
  }
  void set_number(word at, std::uint64_t number) noexcept {
    if (at == none) return;
    now_[at] = static_cast<word>(number);
    now_[at + 1U] = static_cast<word>(number >> 16U);
  }

  void start() {
    std::fill(now_.begin(), now_.end(), word{0});
    values_.number({});  // 0: not set
    contents_.number({});
    for (std::size_t i = 0; i < test_.files.size(); ++i) {
      if (!test_.files[i].exists) continue;
      now_[layout_.names + i] = static_cast<word>(i + 1);
      now_[layout_.files + i] = contents_.number(test_.files[i].initial);
    }
    for (std::size_t i = 0; i < test_.handles.size(); ++i) {
      const auto& handle = test_.handles[i];
      const auto own = handle_word(static_cast<std::uint8_t>(i));
      if (handle.from == handle_origin::open) {
        now_[own] = now_[layout_.names + handle.source];
      } else if (handle.from == handle_origin::clone) {
        now_[own] = now_[handle_word(layout_.handle_of[handle.source])];
      }
    }
    if (!inline_) take_silent_steps();
    keep();
  }

  // --- what may happen next

  void expand() {
    bool stuck = true;
    const auto branch = [&](auto&& step) {
      now_ = from_;
      if (!step()) return;
      stuck = false;
      if (!inline_) take_silent_steps();
      keep();
    };
    now_ = from_;
    for (std::size_t process = 0; process < layout_.processes.size(); ++process) {
      if (has_ended(from_, process)) continue;
      if (inline_) {
        branch([&] { return run_next(process); });
      } else {
        each_step(process, branch);
      }
    }
    for (const auto index : layout_.in_the_back) {
      const auto& op = layout_.operations[index];
      if (phase_in(from_, op) != phase::idle) branch([&] { return execute(op); });
    }
    if (!stuck) return;
    if (all_have_ended()) {
      add_outcome();
    } else {
      result_.deadlocks = true;
    }
  }

  template <typename Branch>
  void each_step(std::size_t process, Branch& branch) {
    const auto& unit = layout_.processes[process][from_[process]];
    const auto& first = layout_.operations[unit.first];
    if (unit.grouped) {
      now_ = from_;
      if (!has_begun(unit)) {
        branch([&] { return submit_group(unit); });
        return;
      }
      for (word i = 0; i < unit.count; ++i) {
        const auto& member = layout_.operations[unit.first + i];
        const auto execute_member = [&] { return its_turn_in(unit, i) && execute(member); };
        each_way(member, branch, execute_member);
        if (may_keep_its_link(member)) {
          keeps_link_ = true;
          branch(execute_member);
          keeps_link_ = false;
        }
      }
    } else if (first.what.what == verb::cancel) {
      branch([&] { return cancel(first, true); });
      branch([&] { return cancel(first, false); });
    } else {
      each_way(first, branch, [&] { return go_on(first); });
    }
  }

  template <typename Branch, typename Step>
  void each_way(const operation& op, Branch& branch, Step step) {
    branch(step);
    if (op.seen == none || phase_in(from_, op) != phase::executing) return;
    branch([&] { return look_at_size_again(op); });
    for (const auto index : layout_.copiers) {
      branch([&] { return read_beside(op, layout_.operations[index]); });
    }
  }

  // A read that is under way does so wherever it gets a new batch of pages.
  bool look_at_size_again(const operation& op) {
    const auto contents = contents_of(file_of(op));
    if (number_at(op.moved) == 0 || now_[op.seen] == contents) return false;
    now_[op.seen] = contents;
    return true;
  }

  // Both at once.
  bool read_beside(const operation& op, const operation& writer) {
    const auto file = file_of(op);
    const auto before = contents_of(file);
    if (!takes_effect(writer)) return false;
    const auto after = contents_of(file);
    return before != after && copy_page(op, before, after);
  }

  bool takes_effect(const operation& op) {
    if (op.queued) return phase_of(op) != phase::idle && execute(op);
    if (has_ended(now_, op.process)) return false;
    const auto& unit = layout_.processes[op.process][now_[op.process]];
    const auto index = index_of(op);
    if (index < unit.first || index >= unit.first + unit.count) return false;
    if (unit.grouped)
      return its_turn_in(unit, static_cast<word>(index - unit.first)) && execute(op);
    return go_on(op);
  }

  bool go_on(const operation& op) {
    return phase_of(op) == phase::idle || op.queued ? call(op) : execute(op);
  }

  bool has_ended(const std::vector<word>& in, std::size_t process) const noexcept {
    return in[process] == layout_.processes[process].size();
  }
  bool all_have_ended() const noexcept {
    for (std::size_t i = 0; i < layout_.processes.size(); ++i) {
      if (!has_ended(from_, i)) return false;
    }
    return true;
  }

  // One thread that executes each operation inside its submission; the others run in between.
  bool run_next(std::size_t process) {
    const auto& unit = layout_.processes[process][now_[process]];
    return unit.grouped ? run_group(unit) : run_now(layout_.operations[unit.first]);
  }

  bool run_now(const operation& op) {
    if (op.what.what == verb::cancel) return cancel(op, false);
    return call(op);
  }

  bool run_group(const unit& unit) {
    const auto process = layout_.operations[unit.first].process;
    const auto before = now_[process];
    if (!submit_group(unit)) return false;
    for (word i = 0; i < unit.count && now_[process] == before; ++i) {
      const auto& member = layout_.operations[unit.first + i];
      if (phase_of(member) == phase::submitted && !execute(member)) return false;
    }
    return true;
  }

  void take_silent_steps() {
    bool again = true;
    while (again) {
      again = false;
      for (std::size_t process = 0; process < layout_.processes.size(); ++process) {
        while (!has_ended(now_, process) && take_silent_step(process)) again = true;
      }
    }
  }

  bool take_silent_step(std::size_t process) {
    const auto& unit = layout_.processes[process][now_[process]];
    if (!unit.grouped) {
      const auto& op = layout_.operations[unit.first];
      return is_silent(op) && call(op);
    }
    if (layout_.drains || layout_.cancels || !has_begun(unit)) return false;
    for (word i = 0; i < unit.count; ++i) {
      const auto& member = layout_.operations[unit.first + i];
      if (is_invisible(member.what.what) && its_turn_in(unit, i)) return execute(member);
    }
    return false;
  }

  bool is_silent(const operation& op) const noexcept {
    const auto verb = op.what.what;
    if (verb == verb::notify) return layout_.one_notify[op.what.operand];
    if (verb == verb::wait) return layout_.one_wait[op.what.operand];
    if (!op.alone) return false;
    if (!write_behind_) return is_invisible(verb) || verb == verb::flush;
    // With a cancel a write may fail, and then it matters who is told.
    if (layout_.cancels) return false;
    if (op.queued) return layout_.own[op.handle];
    return is_invisible(verb) || verb == verb::flush;
  }

  // --- operations

  phase phase_in(const std::vector<word>& in, const operation& op) const noexcept {
    return op.status == none || !has_words(in, op) ? phase::idle
                                                   : static_cast<phase>(in[op.status] & 3U);
  }
  bool has_words(const std::vector<word>& in, const operation& op) const noexcept {
    if (!op.queued) return in[op.process] == op.unit;
    return !op.only_when_busy || in[busy_word(op.handle)] == index_of(op) + 1;
  }
  phase phase_of(const operation& op) const noexcept { return phase_in(now_, op); }
  void set_phase(const operation& op, phase phase) noexcept {
    now_[op.status] = static_cast<word>((now_[op.status] & ~3U) | static_cast<word>(phase));
  }
  // 1 and up; 0 when its handle was closed.
  word file_of(const operation& op) const noexcept {
    return static_cast<word>(now_[op.status] >> 2U);
  }
  word& contents_word(word file) noexcept { return now_[layout_.files + file - 1U]; }
  word contents_of(word file) const noexcept { return now_[layout_.files + file - 1U]; }

  word index_of(const operation& op) const noexcept { return layout_.index_of(op); }

  // A process comes to the operation.
  bool call(const operation& op) {
    switch (op.what.what) {
      case verb::notify:
        now_[layout_.edges] |= static_cast<word>(1U << op.what.operand);
        return returns(op);
      case verb::wait: {
        const auto permit = static_cast<word>(1U << op.what.operand);
        if ((now_[layout_.edges] & permit) == 0) return false;
        now_[layout_.edges] &= static_cast<word>(~permit);
        return returns(op);
      }
      case verb::flush:
        return flush(op);
      default:
        break;
    }
    if (uses_handle(op.what.what) && file_behind(op.handle) == 0)
      return returns(op, {.res = -EBADF});
    if (op.queued) return queue_write(op);
    if (write_behind_ && settles(op.what.what)) {
      if (!settle(op.handle)) return false;
      now_[handle_word(op.handle)] |= handle_locked;
    }
    submit(op);
    return op.alone || inline_ ? execute(op) : true;
  }

  void submit(const operation& op) {
    const auto file = uses_handle(op.what.what) ? file_behind(op.handle) : word{0};
    now_[op.status] = static_cast<word>(file << 2U);
    set_phase(op, phase::submitted);
    if (op.order != none) now_[op.order] = static_cast<word>(last_order() + 1U);
  }

  // Its effect, or the next part of it. False while it must wait for another operation.
  bool execute(const operation& op) {
    if (layout_.drains && !may_begin(op)) return false;
    const auto file = file_of(op);
    if (uses_handle(op.what.what) && file == 0)
      return complete(op, {.res = -EBADF, .broken = true});
    switch (op.what.what) {
      case verb::append:
      case verb::write:
        return write(op, file);
      case verb::read:
        return read(op, file);
      case verb::statx:
        return complete(op, {.size = contents_[contents_of(file)].size()});
      case verb::punch:
        return punch(op, file);
      case verb::truncate:
      case verb::allocate:
        if (is_locked(op, file)) return false;
        set_size(op, file);
        return complete(op, {});
      case verb::open:
        return open(op);
      case verb::clone:
        return clone(op);
      case verb::close:
        now_[handle_word(op.handle)] = 0;
        now_[busy_word(op.handle)] = 0;
        return complete(op, {});
      case verb::rename:
        return rename(op);
      case verb::unlink:
        return unlink(op);
      default:
        assert(is_invisible(op.what.what));
        return complete(op, {});
    }
  }

  bool complete(const operation& op, const ending& end) {
    if (op.order != none) leave_order(op);
    set_number(op.moved, 0);
    if (op.seen != none) now_[op.seen] = now_[op.taken] = 0;
    if (op.queued) {
      landed(op, end.res < 0);
      return true;
    }
    set_register(op, end);
    if (write_behind_ && settles(op.what.what) && !in_group(op)) {
      now_[handle_word(op.handle)] &= static_cast<word>(~handle_locked);
    }
    if (in_group(op)) {
      now_[op.status] = static_cast<word>(phase::done);
      end_member(op, end);
    } else {
      now_[op.status] = 0;
      ++now_[op.process];
    }
    return true;
  }

  // What never was in flight goes on to the next statement.
  bool returns(const operation& op, const ending& end = {}) {
    set_register(op, end);
    ++now_[op.process];
    return true;
  }

  void set_register(const operation& op, const ending& end) {
    if (op.what.result < 0) return;
    const auto at = static_cast<std::size_t>(op.what.result);
    const auto& fields = observed_.registers[at];
    if (!fields.res && !fields.size && !fields.data) return;
    register_value value;
    value.set = true;
    if (fields.res) value.res = end.res;
    if (fields.size) value.size = end.size;
    if (fields.data) value.data = contents_[end.data];
    now_[layout_.registers + at] = checked(values_.number(value));
  }

  word checked(word number) noexcept {
    if (number != none) return number;
    result_.complete = false;
    return 0;
  }

  // The contents that come of an operation on others, worked out once.
  template <typename Make>
  word derived(key what, Make make) {
    const auto [found, is_new] = derived_.try_emplace(what, word{0});
    if (is_new) found->second = checked(contents_.number(make()));
    return found->second;
  }
  key derivation(const operation& op, word from, std::uint64_t more) const noexcept {
    return static_cast<key>(index_of(op)) << 54U | static_cast<key>(from) << 38U | more;
  }

  // --- files

  // A buffered write holds the inode's lock to its end; so does whatever else changes the size.
  bool is_locked(const operation& op, word file) const noexcept {
    for (const auto index : layout_.writers) {
      const auto& other = layout_.operations[index];
      if (&other == &op || phase_of(other) != phase::executing || file_of(other) != file) continue;
      if (!shares_lock(op, file) || !shares_lock(other, file)) return true;
    }
    return false;
  }
  // An aligned O_DIRECT write inside the file takes it shared.
  bool shares_lock(const operation& op, word file) const noexcept {
    const auto& what = op.what;
    return op.direct && what.what == verb::write && !op.at_end && what.offset % page_size == 0 &&
           what.data.size % page_size == 0 &&
           what.offset + what.data.size <= contents_[contents_of(file)].size();
  }

  bool write(const operation& op, word file) {
    if (phase_of(op) == phase::submitted && is_locked(op, file)) return false;
    const auto base = op.accepted == none ? 0 : chunk_begin(op);
    const auto size = (op.accepted == none ? op.what.data.size : number_at(op.accepted)) - base;
    const auto moved = number_at(op.moved);
    auto& contents = contents_word(file);
    const auto position = op.at_end ? contents_[contents].size() : op.what.offset + base + moved;
    const auto part = op.moved == none ? size : part_of_page(position, size - moved);
    contents = derived(derivation(op, contents, base + moved), [&] {
      auto written = contents_[contents];
      written.write(position, {op.what.data.pattern, op.what.data.offset + base + moved, part});
      return written;
    });
    if (moved + part == size) {
      return complete(op, {.res = static_cast<std::int64_t>(op.what.data.size)});
    }
    set_number(op.moved, moved + part);
    set_phase(op, phase::executing);
    return true;
  }

  bool punch(const operation& op, word file) {
    if (phase_of(op) == phase::submitted && is_locked(op, file)) return false;
    const auto moved = number_at(op.moved);
    const auto position = op.what.offset + moved;
    const auto part =
        op.moved == none ? op.what.size : part_of_page(position, op.what.size - moved);
    auto& contents = contents_word(file);
    contents = derived(derivation(op, contents, moved), [&] {
      auto punched = contents_[contents];
      punched.punch(position, part);
      return punched;
    });
    if (moved + part == op.what.size) return complete(op, {});
    set_number(op.moved, moved + part);
    set_phase(op, phase::executing);
    return true;
  }

  static std::uint64_t part_of_page(std::uint64_t position, std::uint64_t size) noexcept {
    return std::min(size, page_size - position % page_size);
  }

  void set_size(const operation& op, word file) {
    auto& contents = contents_word(file);
    contents = derived(derivation(op, contents, 0), [&] {
      auto resized = contents_[contents];
      const auto least = op.what.what == verb::allocate ? resized.size() : 0;
      resized.resize(std::max(least, op.what.offset + op.what.size));
      return resized;
    });
  }

  bool read(const operation& op, word file) {
    const auto contents = contents_of(file);
    if (op.moved == none) {
      return complete_read(op, derived(derivation(op, contents, 0), [&] {
                             return contents_[contents].read(op.what.offset, op.what.size);
                           }));
    }
    if (phase_of(op) == phase::submitted) {  // it looks at the size
      if (contents_[contents].size() <= op.what.offset) return complete_read(op, 0);
      now_[op.seen] = contents;
      set_phase(op, phase::executing);
      return true;
    }
    return copy_page(op, contents, contents);
  }

  // The next page. While it is copied another operation makes `after` of `before`.
  bool copy_page(const operation& op, word before, word after) {
    const auto begin = op.what.offset + number_at(op.moved);
    const auto size = contents_[now_[op.seen]].size();
    const auto end =
        std::min({begin - begin % page_size + page_size, size, op.what.offset + op.what.size});
    if (begin >= end) return complete_read(op, now_[op.taken]);
    auto page = page_of(contents_[before], contents_[now_[op.seen]], begin, end);
    if (before != after) {
      page = torn(page, page_of(contents_[after], contents_[now_[op.seen]], begin, end));
    }
    auto taken = contents_[now_[op.taken]];
    for (const auto& slice : page.slices()) taken.append(slice);
    now_[op.taken] = checked(contents_.number(taken));
    set_number(op.moved, end - op.what.offset);
    const bool all = end == op.what.offset + op.what.size || end == size;
    return all ? complete_read(op, now_[op.taken]) : true;
  }

  // A page of a file whose size may have changed since it was `seen`.
  static contents page_of(const contents& now, const contents& seen, std::uint64_t begin,
                          std::uint64_t end) {
    // A page that a truncate has taken out of the file keeps its bytes for whoever has it; in the
    // page that the new end is in they become zeros.
    const bool removed = now.size() <= begin - begin % page_size;
    auto page = (removed ? seen : now).read(begin, end - begin);
    page.append({zeros, 0, end - begin - page.size()});
    return page;
  }

  // Neither side holds a lock while it copies, so where the two differ there may be any mixture.
  static contents torn(const contents& before, const contents& after) {
    contents mixture;
    for (std::uint64_t at = 0; at < before.size();) {
      const auto left = before.read(at, before.size()).slices().front();
      const auto right = after.read(at, after.size()).slices().front();
      const auto size = std::min(left.size, right.size);
      const bool same = left.pattern == right.pattern && left.offset == right.offset;
      mixture.append({same ? left.pattern : unknown_bytes, left.offset, size});
      at += size;
    }
    return mixture;
  }

  bool complete_read(const operation& op, word data) {
    const auto size = contents_[data].size();
    return complete(
        op, {.res = static_cast<std::int64_t>(size), .data = data, .broken = size < op.what.size});
  }

  // --- names

  word& name(std::uint8_t index) noexcept { return now_[layout_.names + index]; }

  bool open(const operation& op) {
    const auto file = name(op.what.other);
    if (file == 0) return complete(op, {.res = -ENOENT, .broken = true});
    seat(op.handle, file);
    return complete(op, {});
  }

  bool rename(const operation& op) {
    const auto file = name(op.what.operand);
    if (file == 0) return complete(op, {.res = -ENOENT, .broken = true});
    if (name(op.what.other) != file) {  // rename(2): two links of one file stay as they are
      name(op.what.other) = file;
      name(op.what.operand) = 0;
    }
    return complete(op, {});
  }

  bool unlink(const operation& op) {
    if (name(op.what.operand) == 0) return complete(op, {.res = -ENOENT, .broken = true});
    name(op.what.operand) = 0;
    return complete(op, {});
  }

  // --- handles

  // A handle's first word: its file, and the bits below. Its second: the write in flight, from 1.
  static constexpr word handle_file = 0xf;
  static constexpr word handle_locked = 0x10;  // a call is under way that others wait for
  static constexpr word handle_failed = 0x20;  // the write has failed, and nobody has been told
  static constexpr word handle_stored = 0x40;  // a call has taken that failure and kept it

  word handle_word(std::uint8_t handle) const noexcept {
    return static_cast<word>(layout_.handles + 2U * handle);
  }
  word busy_word(std::uint8_t handle) const noexcept {
    return static_cast<word>(handle_word(handle) + 1U);
  }
  word file_behind(std::uint8_t handle) const noexcept {
    return now_[handle_word(handle)] & handle_file;
  }
  void seat(std::uint8_t handle, word file) noexcept {
    now_[handle_word(handle)] = file;
    now_[busy_word(handle)] = 0;
  }
  bool take(std::uint8_t handle, word bit) noexcept {
    auto& bits = now_[handle_word(handle)];
    const bool was_set = (bits & bit) != 0;
    bits &= static_cast<word>(~bit);
    return was_set;
  }
  bool is_held(std::uint8_t handle) const noexcept {
    return (now_[handle_word(handle)] & handle_locked) != 0;
  }

  // tokio's complete_inflight: false while the write is in flight; its error is kept.
  bool settle(std::uint8_t handle) noexcept {
    if (is_held(handle) || now_[busy_word(handle)] != 0) return false;
    if (take(handle, handle_failed)) now_[handle_word(handle)] |= handle_stored;
    return true;
  }

  bool flush(const operation& op) {
    if (file_behind(op.handle) == 0) return returns(op, {.res = -EBADF});
    if (!write_behind_) return returns(op);
    if (is_held(op.handle)) return false;
    if (take(op.handle, handle_stored)) return returns(op, {.res = -EIO});
    if (now_[busy_word(op.handle)] != 0) return false;
    return returns(op, {.res = take(op.handle, handle_failed) ? -ECANCELED : 0});
  }

  // As write_all: the process stays here until the last chunk is queued.
  bool queue_write(const operation& op) {
    if (is_held(op.handle)) return false;
    if (take(op.handle, handle_stored)) return give_up(op, -EIO);
    if (now_[busy_word(op.handle)] != 0) return false;
    if (take(op.handle, handle_failed)) return give_up(op, -ECANCELED);
    submit(op);
    now_[busy_word(op.handle)] = static_cast<word>(index_of(op) + 1);
    const auto size = op.what.data.size;
    bool last = true;
    if (op.accepted != none) {
      const auto accepted = std::min(size, number_at(op.accepted) + max_buffer_);
      set_number(op.accepted, accepted);
      last = accepted == size;
    }
    if (last) returns(op, {.res = static_cast<std::int64_t>(size)});
    return !inline_ || (execute(op) && (last || queue_write(op)));
  }
  bool give_up(const operation& op, int error) {
    set_number(op.accepted, 0);
    return returns(op, {.res = error});
  }

  std::uint64_t chunk_begin(const operation& op) const noexcept {
    return (number_at(op.accepted) - 1) / max_buffer_ * max_buffer_;
  }

  void landed(const operation& op, bool failed) noexcept {
    now_[op.status] = 0;
    if (op.accepted != none && number_at(op.accepted) == op.what.data.size) {
      set_number(op.accepted, 0);
    }
    auto& busy = now_[busy_word(op.handle)];
    if (busy != index_of(op) + 1) return;  // closed since: nobody is told
    busy = 0;
    if (failed) now_[handle_word(op.handle)] |= handle_failed;
  }

  bool clone(const operation& op) {
    const auto file = file_behind(op.what.other);
    if (file == 0) return complete(op, {.res = -EBADF, .broken = true});
    if (write_behind_ && clone_waits_ && !settle(op.what.other)) return false;
    seat(op.handle, file);
    return complete(op, {});
  }

  // --- groups

  bool in_group(const operation& op) const noexcept {
    return layout_.processes[op.process][now_[op.process]].grouped;
  }
  bool has_begun(const unit& unit) const noexcept {
    for (word i = 0; i < unit.count; ++i) {
      if (phase_of(layout_.operations[unit.first + i]) != phase::idle) return true;
    }
    return false;
  }

  bool submit_group(const unit& unit) {
    for (word i = 0; write_behind_ && i < unit.count; ++i) {
      const auto& member = layout_.operations[unit.first + i];
      if (uses_handle(member.what.what) && file_behind(member.handle) != 0 &&
          !settle(member.handle)) {
        return false;
      }
    }
    for (word i = 0; i < unit.count; ++i) submit(layout_.operations[unit.first + i]);
    return true;
  }

  // What fails on a ring without failing its request, as the kernel sees it.
  bool may_keep_its_link(const operation& op) const noexcept {
    return on_ring_ && (op.what.what == verb::rename || op.what.what == verb::unlink);
  }

  bool its_turn_in(const unit& unit, word member) const noexcept {
    const auto phase = phase_of(layout_.operations[unit.first + member]);
    if (phase != phase::submitted && phase != phase::executing) return false;
    if (unit.kind == group_kind::batch) return true;
    for (word i = 0; i < member; ++i) {
      if (phase_of(layout_.operations[unit.first + i]) != phase::done) return false;
    }
    return true;
  }

  void end_member(const operation& op, const ending& end) {
    const auto& unit = layout_.processes[op.process][now_[op.process]];
    const auto after = static_cast<word>(unit.first + unit.count);
    if (unit.kind == group_kind::link && end.broken && !keeps_link_) {
      for (auto i = static_cast<word>(index_of(op) + 1); i < after; ++i) {
        const auto& rest = layout_.operations[i];
        if (phase_of(rest) == phase::done) continue;
        if (rest.order != none) leave_order(rest);
        set_register(rest, {.res = -ECANCELED});
        now_[rest.status] = static_cast<word>(phase::done);
      }
    }
    for (auto i = unit.first; i < after; ++i) {
      if (phase_of(layout_.operations[i]) != phase::done) return;
    }
    for (auto i = unit.first; i < after; ++i) now_[layout_.operations[i].status] = 0;
    ++now_[op.process];
  }

  // --- drain: the order of submissions, of what is in flight, from 1

  word last_order() const noexcept {
    word last = 0;
    for (const auto& each : layout_.operations) {
      if (each.order != none) last = std::max(last, now_[each.order]);
    }
    return last;
  }
  void leave_order(const operation& op) noexcept {
    const auto left = std::exchange(now_[op.order], word{0});
    for (const auto& each : layout_.operations) {
      if (each.order != none && now_[each.order] > left) --now_[each.order];
    }
  }
  // A draining operation waits for all before it, and all after it wait for it.
  bool may_begin(const operation& op) const noexcept {
    for (const auto& each : layout_.operations) {
      if (each.order == none || now_[each.order] == 0) continue;
      if (now_[each.order] < now_[op.order] && (op.what.drain || each.what.drain)) return false;
    }
    return true;
  }

  // --- cancellation

  // What has not begun to take effect may end without any; what has, or is over, is not met.
  bool cancel(const operation& op, bool met) {
    if (met) {
      if (op.target == none) return false;
      const auto& target = layout_.operations[op.target];
      if (phase_of(target) != phase::submitted) return false;
      if (!complete(target, {.res = -ECANCELED, .broken = true})) return false;
    }
    return returns(op);
  }

  // --- the end

  void add_outcome() {
    final_state end;
    end.registers.reserve(test_.registers.size());
    for (std::size_t i = 0; i < test_.registers.size(); ++i) {
      end.registers.push_back(values_[from_[layout_.registers + i]]);
    }
    for (std::size_t i = 0; i < test_.files.size(); ++i) {
      const auto file = from_[layout_.names + i];
      auto& value = end.files.emplace_back();
      value.exists = file != 0;
      if (value.exists) value.data = contents_[from_[layout_.files + file - 1U]];
    }
    result_.allowed.insert(project(observed_, std::move(end)));
  }

  const test& test_;
  const observed_fields observed_;
  const model_options options_;
  const bool write_behind_;
  const bool clone_waits_;
  const std::uint64_t max_buffer_;
  const bool on_ring_;
  const bool inline_;  // the engine executes inside the submission
  const bool atomic_;
  const layout layout_;

  interner<contents, contents_hash> contents_;
  interner<register_value, value_hash> values_;
  std::unordered_map<key, word> derived_;

  std::vector<word> now_;   // the state that is being made
  std::vector<word> from_;  // of which
  std::vector<word> states_;
  std::size_t count_ = 0;
  bool keeps_link_ = false;  // a failure of what executes now is none to its link
  std::unordered_set<std::uint32_t, state_hash, state_equal> known_;
  model_result result_;
};

}  // namespace

std::size_t counted(const test& test, const std::set<final_state>& states) {
  return static_cast<std::size_t>(
      std::count_if(states.begin(), states.end(),
                    [&](const final_state& state) { return counts(test.condition, state); }));
}

namespace {

// An unknown slice of what is allowed stands for any bytes of the test.
bool matches(const contents& allowed, const contents& seen) {
  if (allowed.size() != seen.size()) return false;
  std::uint64_t at = 0;
  for (const auto& slice : allowed.slices()) {
    const auto part = seen.read(at, slice.size);
    at += slice.size;
    if (slice.pattern != unknown_bytes) {
      if (part != contents(slice)) return false;
    } else if (std::any_of(part.slices().begin(), part.slices().end(),
                           [](const auto& each) { return each.pattern == unknown_bytes; })) {
      return false;
    }
  }
  return true;
}

bool matches(const final_state& allowed, const final_state& seen) {
  const auto equal = [](const register_value& a, const register_value& b) {
    return a.set == b.set && a.res == b.res && a.size == b.size && matches(a.data, b.data);
  };
  return allowed.files == seen.files &&
         std::equal(allowed.registers.begin(), allowed.registers.end(), seen.registers.begin(),
                    seen.registers.end(), equal);
}

}  // namespace

bool allows(const std::set<final_state>& allowed, const final_state& seen) {
  return allowed.contains(seen) ||
         std::any_of(allowed.begin(), allowed.end(),
                     [&](const final_state& state) { return matches(state, seen); });
}

std::string_view frequency_word(std::uint64_t counted, std::uint64_t all) noexcept {
  if (counted == 0) return "Never";
  return counted == all ? "Always" : "Sometimes";
}

model_result model(const test& test, const mode& mode, const model_options& options) {
  return search(test, mode, options).run();
}

}  // namespace filemap::litmus
