#pragma once

// The rules of docs/model.md, as steps from state to state.
//
// A state: how far each process is, which permits are there, what the names name, what the files
// hold, what each handle is doing, how far each operation in flight is, and the registers that the
// condition looks at. Contents and register values are interned, so a word stands for each.
//
// A step is silent when it commutes with all that others may do, now or later, so that taking it at
// once loses no outcome: a notify of an edge that nobody else notifies, the only wait for an edge
// whose permit is there, a sync (it changes nothing in memory). That is the only reduction.

#include "filemap/model/model.hpp"

#include "interner.hpp"
#include "layout.hpp"

#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace filemap::litmus {

enum class phase : word {
  idle,       ///< not begun, or over
  submitted,  ///< in flight, and has not had any effect
  executing,  ///< in flight, and has begun to have its effect
  done,       ///< a member of a group that waits for the others
};

struct contents_hash {
  std::size_t operator()(const contents& value) const noexcept;
};
struct value_hash {
  std::size_t operator()(const register_value& value) const noexcept;
};

using excess_set = std::bitset<excess_count>;

class machine {
 public:
  /// `permitted`: which excesses may be taken.
  machine(const test& test, const mode& mode, bool atomic_writes, excess_set permitted);

  std::size_t words() const noexcept { return layout_.words; }
  /// The first state.
  const word* start();

  /// Calls `keep(state)` for each state that `from` may become. False: it can become none.
  template <typename Keep>
  bool each_successor(const word* from, Keep keep) {
    from_.assign(from, from + layout_.words);
    bool moved = false;
    const auto branch = [&](auto&& step) {
      now_ = from_;
      if (!step()) return;
      moved = true;
      if (!inline_) take_silent_steps();
      if (buffered_) end_of_round();
      keep(now_.data());
    };
    expand(branch);
    return moved;
  }

  bool all_have_ended(const word* in) const noexcept;
  final_state outcome(const word* of) const;

  bool ran_out_of_values() const noexcept { return out_of_values_; }
  excess_set used() const noexcept { return used_; }
  /// As model_result has them, of what has been seen until now.
  std::vector<std::vector<std::set<std::int64_t>>> results() const;

 private:
  // Of an operation's status word: its phase (bits 0 and 1), its file from 1 (to bit 5; 0 when its
  // handle was closed), how much of what it is just copying has been seen (6 and 7), and flags.
  static constexpr word phase_bits = 0x3;
  static constexpr unsigned file_shift = 2;
  static constexpr word file_bits = 0xf << file_shift;
  static constexpr unsigned flux_shift = 6;
  static constexpr word flux_bits = 0x3 << flux_shift;
  static constexpr word is_split = 0x100;      // between two parts: it does not hold the lock
  static constexpr word was_split = 0x200;     // which happens once
  static constexpr word middle_first = 0x400;  // a punch: the whole pages, then the ends
  static constexpr word is_sized = 0x800;      // a read has looked at the size
  static constexpr word to_cancel = 0x1000;    // when its turn comes
  static constexpr word is_placed = 0x2000;    // it has taken its place from the cursor
  static constexpr word io_is_over = 0x4000;   // all but to set the cursor, to `place`
  static constexpr word has_sought = 0x8000;   // to its offset, where that comes before
  static_assert(max_files <= 0xf, "a file's number has four bits");

  enum class flux : word {
    none,
    unseen,  // it is changing a part of a page, and no read has seen any of that
    partly,  // a read has seen some
    wholly,  // a read has seen all: so will every later one
  };

  // A handle's first word: its file, and these. Its second: the write in flight, from 1.
  static constexpr word handle_file = 0xf;
  static constexpr word handle_locked = 0x10;  // a call is under way that others wait for
  static constexpr word handle_closed = 0x20;  // to whoever calls it from now on
  static constexpr word handle_kept = 0x40;    // by a write whose next buffer waits already

  // Of a process's word, beside the unit that it is in.
  static constexpr word has_called = 0x8000;        // it has got its handle, and waits for it
  static constexpr word write_has_sought = 0x4000;  // and is about to be queued
  static constexpr word past_settled = 0x4000;      // of what goes past its handle: it has waited
  static constexpr word writes_out = 0x2000;        // its handle, which it has locked
  static constexpr word unit_bits = 0x1fff;
  static_assert(max_statements <= unit_bits);

  // Which of the ways that an operation may go on.
  enum class view : std::uint8_t { as_it_is, before, after, held };
  struct how {
    bool keeps_link = false;      // a failure is none to its link
    bool bad_descriptor = false;  // it comes to the kernel after its handle has been closed
    bool fails = false;           // a sync, where it may
    view sees = view::as_it_is;
    friend bool operator==(const how&, const how&) = default;
  };
  // What an operation comes to.
  struct ending {
    std::int64_t res = 0;
    std::uint64_t size = 0;
    word data = 0;        // the number of the contents
    bool broken = false;  // it failed or was short: a link ends here
  };
  struct piece {
    std::uint64_t position = 0;
    std::uint64_t size = 0;
  };
  // What a read may have of a page, by the numbers of the contents.
  struct sight {
    word as_it_is = no_word;  // a mixture, where it is just being changed; none: it is gone
    word before = no_word;
    word after = no_word;
    word held = no_word;                  // of a page that was taken out and that it still has
    const operation* changing = nullptr;  // the one that makes `after` of `before`
  };

  // --- what may happen next
  template <typename Branch>
  void expand(Branch& branch) {
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
      if (phase_in(from_, op) == phase::idle) continue;
      each_way(op, branch, [&](how way) { return execute(op, way); });
      if (may_be_lost_) branch([&] { return lose(op); });
    }
  }

  template <typename Branch>
  void each_step(std::size_t process, Branch& branch) {
    const auto& unit = unit_of(from_, process);
    const auto& first = layout_.operations[unit.first];
    if (unit.grouped) {
      now_ = from_;
      if (!has_begun(unit)) {
        branch([&] { return submit_group(unit); });
        return;
      }
      std::uint64_t turns = 0;  // by member; `now_` is a copy of `from_` until the first branch
      for (word i = 0; i < unit.count; ++i) {
        if (its_turn_in(unit, i)) turns |= std::uint64_t{1} << i;
      }
      for (word i = 0; i < unit.count; ++i) {
        if ((turns >> i & 1U) == 0) continue;
        const auto& member = layout_.operations[unit.first + i];
        each_way(member, branch, [&](how way) { return execute(member, way); });
      }
    } else if (first.what.what == verb::cancel) {
      branch([&] { return cancel(first, true); });
      branch([&] { return cancel(first, false); });
    } else {
      each_way(first, branch, [&](how way) { return go_on(first, way); });
      if (first.accepted != no_word) branch([&] { return call(first) && let_in(first); });
    }
  }

  template <typename Branch, typename Step>
  void each_way(const operation& op, Branch& branch, Step step) {
    const auto go = [&](how way) { branch([&] { return step(way); }); };
    go({});
    if (may_keep_its_link(op)) go({.keeps_link = true});
    if (op.may_fail && permits(excess::colliding_sync)) {
      go({.fails = true});
      if (may_keep_its_link(op)) go({.keeps_link = true, .fails = true});
    }
    if (on_ring_ && !op.handle_stays && !early_) {
      go({.bad_descriptor = true});
      if (may_keep_its_link(op)) go({.keeps_link = true, .bad_descriptor = true});
    }
    const auto phase = phase_in(from_, op);
    if (phase == phase::executing && op.seen != no_word) {
      const bool is_beside_a_change =
          std::any_of(layout_.copiers.begin(), layout_.copiers.end(), [&](word other) {
            return phase_in(from_, layout_.operations[other]) == phase::executing;
          });
      if (is_beside_a_change) {
        go({.sees = view::before});
        go({.sees = view::after});
      }
      if (op.held != no_word && from_[op.held] != 0) go({.sees = view::held});
      branch([&] { return look_at_size_again(op); });
      branch([&] { return begin_to_copy(op); });
    }
    if (phase == phase::executing && is_write(op.what.what)) branch([&] { return split(op); });
    if (phase == phase::submitted && op.what.what == verb::punch) {
      branch([&] { return begin_in_the_middle(op); });
    }
  }

  bool go_on(const operation& op, how way);
  bool run_next(std::size_t process);
  bool run_now(const operation& op);
  bool run_group(const unit& unit);
  void take_silent_steps();
  bool take_silent_step(std::size_t process);
  bool is_silent(const operation& op) const noexcept;

  // --- operations
  const unit& unit_of(const std::vector<word>& in, std::size_t process) const noexcept {
    return layout_.processes[process][in[process] & unit_bits];
  }
  bool has_ended(const std::vector<word>& in, std::size_t process) const noexcept {
    return (in[process] & unit_bits) == layout_.processes[process].size();
  }
  void next_unit(std::size_t process) noexcept {
    now_[process] = static_cast<word>((now_[process] & unit_bits) + 1);
  }
  bool has_words(const std::vector<word>& in, const operation& op) const noexcept;
  phase phase_in(const std::vector<word>& in, const operation& op) const noexcept {
    return op.status == no_word || !has_words(in, op) ? phase::idle
                                                      : static_cast<phase>(in[op.status] & 3U);
  }
  phase phase_of(const operation& op) const noexcept { return phase_in(now_, op); }
  void set_phase(const operation& op, phase phase) noexcept {
    now_[op.status] = static_cast<word>((now_[op.status] & ~phase_bits) | static_cast<word>(phase));
  }
  word file_of(const operation& op) const noexcept {
    return static_cast<word>((now_[op.status] & file_bits) >> file_shift);
  }
  flux flux_of(const operation& op) const noexcept {
    return static_cast<flux>((now_[op.status] & flux_bits) >> flux_shift);
  }
  void set_flux(const operation& op, flux flux) noexcept {
    now_[op.status] = static_cast<word>((now_[op.status] & ~flux_bits) | static_cast<unsigned>(flux)
                                                                             << flux_shift);
  }
  bool is(const operation& op, word flag) const noexcept { return (now_[op.status] & flag) != 0; }
  void set(const operation& op, word flag) noexcept { now_[op.status] |= flag; }
  void unset(const operation& op, word flag) noexcept {
    now_[op.status] &= static_cast<word>(~flag);
  }
  std::uint64_t number_at(word at) const noexcept {
    return at == no_word ? 0 : now_[at] | static_cast<std::uint64_t>(now_[at + 1U]) << 16U;
  }
  void set_number(word at, std::uint64_t number) noexcept {
    if (at == no_word) return;
    now_[at] = static_cast<word>(number);
    now_[at + 1U] = static_cast<word>(number >> 16U);
  }
  word index_of(const operation& op) const noexcept { return layout_.index_of(op); }

  bool call(const operation& op);
  bool get_handle(const operation& op);
  void submit(const operation& op);
  bool execute(const operation& op, how way);
  bool fail_at_the_descriptor(const operation& op, how way, bool& over);
  bool complete(const operation& op, const ending& end);
  bool returns(const operation& op, const ending& end);
  void clear_words(const operation& op) noexcept;
  void note_result(const operation& op, const ending& end);
  word checked(word number) noexcept;
  bool permits(excess what) const noexcept { return permitted_[static_cast<std::size_t>(what)]; }
  void use(excess what) noexcept { used_.set(static_cast<std::size_t>(what)); }

  // --- files
  // Contents that come of others, worked out once.
  template <typename Make>
  word made_once(std::unordered_map<std::uint64_t, word>& known, std::uint64_t what, Make make) {
    const auto [found, is_new] = known.try_emplace(what, word{0});
    if (is_new) found->second = checked(contents_.number(make()));
    return found->second;
  }
  template <typename Make>
  word derived(std::uint64_t what, Make make) {
    return made_once(derived_, what, make);
  }
  std::uint64_t derivation(const operation& op, word from, std::uint64_t more) const noexcept {
    return static_cast<std::uint64_t>(index_of(op)) << 54U |
           static_cast<std::uint64_t>(from) << 38U | more;
  }
  word contents_of(word file) const noexcept { return now_[layout_.files + file - 1U]; }
  std::uint64_t size_of(word file) const noexcept { return contents_[contents_of(file)].size(); }
  void set_contents(word file, word number);
  void take_out(word file, std::uint64_t from, std::uint64_t to);
  void let_go(const operation& reader, std::uint64_t position);
  template <typename Function>
  void each_reader(word file, Function function);
  bool can_be_seen(word file, std::uint64_t position);
  bool is_read_beyond(word file, std::uint64_t size);
  bool is_locked(const operation& op, word file) noexcept;
  bool shares_lock(const operation& op, word file) const noexcept;
  bool has_let_go_of_lock(const operation& op) const noexcept;

  std::uint64_t chunk_begin(const operation& op) const noexcept;
  std::uint64_t chunk_size(const operation& op) const noexcept;
  std::uint64_t position_of(const operation& op, word file) const noexcept;
  piece next_piece(const operation& op, word file) const noexcept;
  word changed_by(const operation& op, word file, const piece& part);
  std::uint64_t do_piece(const operation& op, word file, const piece& part);
  word resized(const operation& op, word file, std::uint64_t size);
  bool complete_write(const operation& op, bool fails);
  bool write(const operation& op, word file, bool fails);
  bool write_directly(const operation& op, word file, bool fails);
  void raise_size(const operation& op, word file);
  word with_landed(const operation& op, word file, const piece& all);
  void meet(const operation& writer, word file, const piece& written);
  bool punch(const operation& op, word file);
  bool begin_in_the_middle(const operation& op);
  bool split(const operation& op);
  bool truncate(const operation& op, word file);
  bool allocate(const operation& op, word file);

  std::uint64_t offset_of(const operation& op) const noexcept {
    return op.at_cursor ? number_at(op.place) : op.what.offset;
  }
  word cursor_of(const operation& op) const noexcept { return layout_.cursors[op.description]; }
  bool has_cursor(const operation& op) const noexcept;
  bool set_cursor(const operation& op, std::uint64_t to);
  bool seek_to_offset(const operation& op) noexcept;
  bool lets_seek_in() const noexcept;
  bool submit_behind_seek(const operation& op) noexcept;
  bool seek(const operation& op);
  bool end_at_cursor(const operation& op);

  bool read(const operation& op, word file, view sees);
  bool look_at_size(const operation& op, word file);
  bool look_at_size_again(const operation& op);
  bool read_directly(const operation& op, word file);
  bool go_on_directly(const operation& op);
  word all_seen(const operation& op, word file);
  piece page_to_copy(const operation& op) const noexcept;
  bool begin_to_copy(const operation& op);
  word page_in(word file, const piece& at);
  word mixed(word one, word other);
  word joined(word one, word other);
  word page_behind(const operation& other, word file, const piece& at);
  word with_direct_writes(word file, const piece& at, word page);
  bool is_changing(const operation& op, word file) const noexcept;
  sight page_seen(const operation& op, word file, const piece& at);
  bool copy_page(const operation& op, word file, view sees);
  bool take_page(const operation& op, const piece& at, word page);
  bool complete_read(const operation& op, word data);

  // --- names, handles, groups, drains, cancellation
  word& name(std::uint8_t index) noexcept { return now_[layout_.names + index]; }
  bool open(const operation& op);
  bool rename(const operation& op, how way);
  bool unlink(const operation& op, how way);
  bool fail_by_name(const operation& op, how way);

  word handle_word(std::uint8_t handle) const noexcept {
    return static_cast<word>(layout_.handles + 2U * handle);
  }
  word busy_word(std::uint8_t handle) const noexcept {
    return static_cast<word>(handle_word(handle) + 1U);
  }
  word file_behind(std::uint8_t handle) const noexcept {
    return now_[handle_word(handle)] & handle_file;
  }
  bool is_closed(std::uint8_t handle) const noexcept {
    return file_behind(handle) == 0 || (now_[handle_word(handle)] & handle_closed) != 0;
  }
  void seat(std::uint8_t handle, word file) noexcept;
  bool has_settled(std::uint8_t handle) const noexcept;
  bool flush(const operation& op);
  bool queue_write(const operation& op);
  bool let_in(const operation& op) noexcept;
  bool has_others_in_line(const operation& op) const noexcept;
  void landed(const operation& op) noexcept;
  bool clone(const operation& op);
  bool close(const operation& op);
  bool drop(const operation& op);
  bool lose(const operation& op);
  bool has_callers_in_line(const operation& op) const noexcept;

  // --- buffers
  bool is_pending(std::uint8_t handle) const noexcept {
    const auto& buffer = layout_.buffers[handle];
    return buffer.room > 0 && now_[buffer.first] != 0;
  }
  bool has_room_for(const operation& op) const noexcept;
  bool buffer_write(const operation& op);
  bool settle(const operation& op, std::uint8_t handle, bool& moved);
  void write_next(std::uint8_t handle);
  void go_on_with(std::uint8_t handle);
  bool is_settled_again(const unit& unit, word member) const noexcept;
  void forget_pending(std::uint8_t handle) noexcept;
  void end_of_round();

  bool in_group(const operation& op) const noexcept { return unit_of(now_, op.process).grouped; }
  bool has_begun(const unit& unit) const noexcept;
  bool submit_group(const unit& unit);
  bool settle_member(const unit& unit, bool& moved);
  bool may_keep_its_link(const operation& op) const noexcept;
  bool its_turn_in(const unit& unit, word member) const noexcept;
  bool its_turn(const operation& op) const noexcept;
  void end_member(const operation& op, const ending& end);

  word last_order() const noexcept;
  void leave_order(const operation& op) noexcept;
  bool drain_is_in_flight() const noexcept;
  bool may_begin(const operation& op) const noexcept;
  bool cancel(const operation& op, bool met);

  const test& test_;
  const observed_fields observed_;
  const excess_set permitted_;
  const bool early_;  // writes are acknowledged before they are done
  const bool buffered_;
  const drop_kind drop_;
  const bool may_be_lost_;  // queued writes of a handle that is closed
  const bool clone_waits_;
  const bool seeks_;
  const std::uint64_t chunk_;
  const bool on_ring_;
  const bool inline_;  // the engine executes inside the submission
  const bool atomic_;
  const layout layout_;

  interner<contents, contents_hash> contents_;
  interner<register_value, value_hash> values_;
  std::unordered_map<std::uint64_t, word> derived_;  // by the operation and what it found
  std::unordered_map<std::uint64_t, word> pages_;
  std::unordered_map<std::uint64_t, word> mixtures_;
  std::unordered_map<std::uint64_t, word> joined_;
  std::unordered_map<std::uint64_t, word> registers_;  // by the register and what it is set to
  std::vector<std::vector<std::vector<std::int64_t>>> results_;
  excess_set used_;
  bool out_of_values_ = false;
  bool only_submits_ = false;    // a call: its effect is a step of its own
  bool waits_for_turn_ = false;  // of the process that runs, on the sync engine

  std::vector<word> now_;   // the state that is being made
  std::vector<word> from_;  // of which
};

}  // namespace filemap::litmus
