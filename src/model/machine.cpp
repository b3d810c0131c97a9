#include "machine.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>

namespace filemap::litmus {

namespace {

constexpr std::uint64_t sector_size = 512;  // no filesystem lets O_DIRECT have less

std::uint64_t page_begin(std::uint64_t position) noexcept {
  return position - position % page_size;
}
std::uint64_t page_end(std::uint64_t position) noexcept {
  return page_begin(position + page_size - 1);
}

bool is_aligned(const operation& op, std::uint64_t offset) noexcept {
  return op.what.data.size % sector_size == 0 && (op.at_end || offset % sector_size == 0);
}

bool is_held_back(const contents& held, std::uint64_t position) {
  return held.size() > position && held.read(position, 1).slices().front().pattern != unknown_bytes;
}

// Which of a write's pages this is; the last bit is for all that are far behind.
word page_bit(std::uint64_t place, std::uint64_t position) noexcept {
  constexpr std::uint64_t last_bit = 15;
  const auto page = position / page_size - place / page_size;
  return static_cast<word>(1U << std::min(page, last_bit));
}

void overwrite(contents& file, std::uint64_t position, const contents& with) {
  for (const auto& slice : with.slices()) {
    file.write(position, slice);
    position += slice.size;
  }
}

}  // namespace

std::size_t contents_hash::operator()(const contents& value) const noexcept {
  std::uint64_t hash = value.size();
  for (const auto& slice : value.slices()) {
    hash = mix(mix(mix(hash, slice.pattern), slice.offset), slice.size);
    for (const auto& place : slice.or_from) hash = mix(mix(hash, place.pattern), place.offset);
  }
  return hash;
}

std::size_t value_hash::operator()(const register_value& value) const noexcept {
  auto hash = mix(contents_hash{}(value.data), value.size);
  return mix(mix(hash, static_cast<std::uint64_t>(value.res)),
             (value.set ? 1U : 0U) | (value.failed ? 2U : 0U));
}

machine::machine(const test& test, const mode& mode, bool atomic_writes, excess_set permitted)
    : test_(test),
      observed_(observed_by(test)),
      permitted_(permitted),
      early_(mode.acknowledges_early()),
      buffered_(mode.when == acknowledgement::buffered),
      drop_(mode.options.drop),
      may_be_lost_(early_ && !buffered_ && drop_ == drop_kind::lost),
      clone_waits_(mode.options.waits.contains(file_call::clone)),
      seeks_(mode.seeks()),
      chunk_(mode.options.chunk),
      on_ring_(mode.engine == engine_kind::uring),
      inline_(mode.engine == engine_kind::sync),
      atomic_(atomic_writes || inline_),
      layout_(test, mode, atomic_),
      now_(layout_.words),
      from_(layout_.words) {
  for (const auto& process : test.processes) results_.emplace_back(process.body.size());
}

const word* machine::start() {
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
  if (buffered_) end_of_round();
  return now_.data();
}

bool machine::all_have_ended(const word* in) const noexcept {
  for (std::size_t i = 0; i < layout_.processes.size(); ++i) {
    if ((in[i] & unit_bits) != layout_.processes[i].size()) return false;
  }
  return true;
}

final_state machine::outcome(const word* of) const {
  final_state end;
  end.registers.reserve(test_.registers.size());
  for (std::size_t i = 0; i < test_.registers.size(); ++i) {
    end.registers.push_back(values_[of[layout_.registers + i]]);
  }
  for (std::size_t i = 0; i < test_.files.size(); ++i) {
    const auto file = of[layout_.names + i];
    auto& value = end.files.emplace_back();
    value.exists = file != 0;
    if (value.exists) value.data = contents_[of[layout_.files + file - 1U]];
  }
  return project(observed_, std::move(end));
}

// --- what may happen next

bool machine::go_on(const operation& op, how way) {
  if (phase_of(op) != phase::idle && !op.queued) return execute(op, way);
  return way.sees == view::as_it_is && !way.bad_descriptor && !way.fails && call(op);
}

// One thread that executes each operation inside its submission; the others run when the process
// waits for the loop's next turn, as it does for an operation's completion and for a permit.
bool machine::run_next(std::size_t process) {
  bool moved = false;
  waits_for_turn_ = false;
  while (!waits_for_turn_ && !has_ended(now_, process)) {
    const auto& unit = unit_of(now_, process);
    if (!(unit.grouped ? run_group(unit) : run_now(layout_.operations[unit.first]))) break;
    moved = true;
  }
  return moved;
}

bool machine::run_now(const operation& op) {
  if (op.what.what == verb::cancel) return cancel(op, false);
  return call(op);
}

bool machine::run_group(const unit& unit) {
  const auto process = layout_.operations[unit.first].process;
  const auto before = now_[process];
  if (!submit_group(unit)) return false;
  for (word i = 0; i < unit.count && now_[process] == before; ++i) {
    const auto& member = layout_.operations[unit.first + i];
    if (phase_of(member) == phase::submitted && !execute(member, {})) return false;
  }
  return true;
}

void machine::take_silent_steps() {
  bool again = true;
  while (again) {
    again = false;
    for (std::size_t process = 0; process < layout_.processes.size(); ++process) {
      while (!has_ended(now_, process) && take_silent_step(process)) again = true;
    }
  }
}

bool machine::take_silent_step(std::size_t process) {
  const auto& unit = unit_of(now_, process);
  if (!unit.grouped) {
    const auto& op = layout_.operations[unit.first];
    return is_silent(op) && call(op);
  }
  if (layout_.drains || layout_.cancels || !has_begun(unit)) return false;
  for (word i = 0; i < unit.count; ++i) {
    const auto& member = layout_.operations[unit.first + i];
    const bool silent = is_invisible(member.what.what) && member.handle_stays && !member.may_fail;
    if (silent && its_turn_in(unit, i)) return execute(member, {});
  }
  return false;
}

bool machine::is_silent(const operation& op) const noexcept {
  const auto verb = op.what.what;
  if (verb == verb::notify) return layout_.one_notify[op.what.operand];
  if (verb == verb::wait) return layout_.one_wait[op.what.operand];
  if (!op.alone) return false;
  if (!early_) return is_invisible(verb) || verb == verb::flush;
  // With a cancel a write may fail, and then it matters who is told.
  if (layout_.cancels) return false;
  if (op.queued) return layout_.own[op.handle] && !(op.seeks && op.cursor_races);
  if (!is_invisible(verb) && verb != verb::flush) return false;
  // To write a buffer out is none to what others would put there.
  const bool writes_out = buffered_ && (op.settles || verb == verb::flush);
  return !writes_out || layout_.own[op.handle];
}

// --- operations

bool machine::has_words(const std::vector<word>& in, const operation& op) const noexcept {
  if (!op.queued) return (in[op.process] & unit_bits) == op.unit;
  return !op.only_when_busy || in[busy_word(op.handle)] == index_of(op) + 1;
}

// A process comes to the operation.
bool machine::call(const operation& op) {
  const auto verb = op.what.what;
  if (verb == verb::notify) {
    now_[layout_.edges] |= static_cast<word>(1U << op.what.operand);
    return returns(op, {});
  }
  if (verb == verb::wait) {
    const auto permit = static_cast<word>(1U << op.what.operand);
    if ((now_[layout_.edges] & permit) == 0) return false;
    now_[layout_.edges] &= static_cast<word>(~permit);
    waits_for_turn_ = true;
    return returns(op, {});
  }
  if (verb == verb::clone) return clone(op);
  const bool waits = (now_[op.process] & (has_called | writes_out)) != 0;
  if (uses_handle(verb) && !waits && is_closed(op.handle)) return returns(op, {.res = -EBADF});
  if (verb == verb::flush) return flush(op);
  if (verb == verb::close) return close(op);
  if (op.queued) return buffered_ ? buffer_write(op) : queue_write(op);
  if (early_ && (op.past_handle ? uses_handle(verb) : op.settles)) {
    if ((now_[op.process] & past_settled) == 0) {
      if (bool moved = false; !settle(op, op.handle, moved)) return moved;
      if (!op.past_handle) now_[handle_word(op.handle)] |= handle_locked;
      if (op.past_handle && lets_seek_in()) {
        now_[op.process] |= past_settled;
        return true;
      }
    }
    // What goes past its handle is in nobody's way, and asks for the number when it goes.
    if (op.past_handle) now_[op.process] &= unit_bits;
    if (op.past_handle && is_closed(op.handle)) return returns(op, {.res = -EBADF});
  }
  submit(op);
  return (op.alone && !only_submits_) || inline_ ? execute(op, {}) : true;
}

// Who waits for a handle has got it: closing it does not change that any more, and of a write of
// several buffers it tells who may come in between (let_in). False: it is so already, or it does
// not matter.
bool machine::get_handle(const operation& op) {
  const bool matters = !op.handle_stays || (op.accepted != no_word && !layout_.own[op.handle]);
  if (!matters || (now_[op.process] & has_called) != 0) return false;
  now_[op.process] |= has_called;
  return true;
}

void machine::submit(const operation& op) {
  // What is behind its process has the descriptor that its handle had.
  const bool is_gone = !op.queued && in_group(op) && is_closed(op.handle);
  const bool has_number = uses_handle(op.what.what) && !is_gone;
  const auto file = has_number ? file_behind(op.handle) : word{0};
  now_[op.status] = static_cast<word>(file << file_shift);
  set_phase(op, phase::submitted);
  waits_for_turn_ = true;
  if (op.order != no_word) now_[op.order] = static_cast<word>(last_order() + 1U);
}

// Its effect, or the next part of it. False while it must wait for another operation, and where it
// cannot go on in this way.
bool machine::execute(const operation& op, how way) {
  if (layout_.drains && !may_begin(op)) return false;
  if (is(op, to_cancel)) return complete(op, {.res = -ECANCELED, .broken = true});
  const auto verb = op.what.what;
  if (way.sees != view::as_it_is && verb != verb::read) return false;
  if (bool over = false; fail_at_the_descriptor(op, way, over) || over) return !over;
  if (way.fails && !is_write(verb)) {
    use(excess::colliding_sync);
    if (way.keeps_link) use(excess::kept_link);
    return complete(op, {.res = -EIO, .broken = !way.keeps_link});
  }
  const auto file = file_of(op);
  if (is(op, io_is_over)) return way == how{} && end_at_cursor(op);
  if (op.seeks && !op.queued && !is(op, has_sought)) {
    set(op, has_sought);
    if (op.order != no_word) leave_order(op);
    return way == how{} && seek_to_offset(op) && (!atomic_ || submit_behind_seek(op));
  }
  if (op.seeks && op.order != no_word && now_[op.order] == 0) return submit_behind_seek(op);
  if (op.moves_cursor && phase_of(op) == phase::submitted && !is(op, is_placed)) {
    if (!has_cursor(op)) return false;
    set_number(op.place, number_at(cursor_of(op)));
    if (op.cursor_in_steps) {
      set(op, is_placed);
      return way == how{};
    }
  }
  switch (verb) {
    case verb::append:
    case verb::write:
      return write(op, file, way.fails);
    case verb::read:
      return read(op, file, way.sees);
    case verb::seek:
      return seek(op);
    case verb::statx:
      return complete(op, {.size = size_of(file)});
    case verb::punch:
      return punch(op, file);
    case verb::truncate:
      return truncate(op, file);
    case verb::allocate:
      return allocate(op, file);
    case verb::open:
      return open(op);
    case verb::close:
      now_[handle_word(op.handle)] = 0;
      return complete(op, {});
    case verb::rename:
      return rename(op, way);
    case verb::unlink:
      return unlink(op, way);
    default:
      assert(is_invisible(verb));
      return complete(op, {});
  }
}

// True: it ended there. `over`: this is no way for it. The pool makes its system call with the
// number; a ring takes hold of the file when it takes the operation, and of the later members of a
// chain only when their turn comes (from 5.19 on).
bool machine::fail_at_the_descriptor(const operation& op, how way, bool& over) {
  const auto verb = op.what.what;
  const bool comes_to_it = uses_handle(verb) && verb != verb::close &&
                           phase_of(op) == phase::submitted && !is(op, is_placed);
  const bool closed_since = comes_to_it && !early_ && file_behind(op.handle) == 0;
  const bool fails =
      comes_to_it && (file_of(op) == 0 || (closed_since && (!on_ring_ || way.bad_descriptor)));
  over = way.bad_descriptor && !(fails && file_of(op) != 0);
  if (!fails || over) return false;
  // STATX looks its file up as a path, and a failure of that is none to a link.
  const bool keeps_link = way.keeps_link && verb == verb::statx;
  if (keeps_link) use(excess::kept_link);
  return complete(op, {.res = -EBADF, .broken = !keeps_link});
}

bool machine::complete(const operation& op, const ending& end) {
  if (op.order != no_word) leave_order(op);
  clear_words(op);
  if (op.queued) {
    landed(op);
    return true;
  }
  note_result(op, end);
  if (op.settles) {
    now_[handle_word(op.handle)] &= static_cast<word>(~handle_locked);
  }
  if (in_group(op)) {
    now_[op.status] = static_cast<word>(phase::done);
    end_member(op, end);
  } else {
    now_[op.status] = 0;
    next_unit(op.process);
  }
  return true;
}

// What never was in flight goes on to the next statement.
bool machine::returns(const operation& op, const ending& end) {
  note_result(op, end);
  next_unit(op.process);
  return true;
}

void machine::clear_words(const operation& op) noexcept {
  set_number(op.moved, 0);
  set_number(op.seen, 0);
  set_number(op.start, 0);
  set_number(op.place, 0);
  for (const auto at : {op.taken, op.held, op.copying, op.before, op.met}) {
    if (at != no_word) now_[at] = 0;
  }
}

void machine::note_result(const operation& op, const ending& end) {
  auto& results = results_[op.process][op.in_body];
  if (std::find(results.begin(), results.end(), end.res) == results.end()) {
    results.push_back(end.res);
  }
  if (op.what.result < 0) return;
  const auto at = static_cast<std::size_t>(op.what.result);
  const auto& fields = observed_.registers[at];
  if (!fields.res && !fields.size && !fields.data) return;
  // A statx has a size, a read has data; that and a result or an errno take less than 29 bits each.
  static_assert(max_registers <= std::size_t{1} << 6U);
  static_assert(max_file_size + max_total_size < std::uint64_t{1} << 28U);
  const auto looked_at = std::max<std::uint64_t>(end.size, end.data);
  const auto what = static_cast<std::uint64_t>(at) << 58U | looked_at << 29U |
                    (static_cast<std::uint64_t>(end.res) & 0x1fffffffU);
  const auto [found, is_new] = registers_.try_emplace(what, word{0});
  if (is_new) {
    register_value value;
    value.set = true;
    if (fields.res) value.res = end.res;
    if (fields.size) value.size = end.size;
    if (fields.data) value.data = contents_[end.data];
    value.failed = end.res < 0 && (fields.size || fields.data);
    found->second = checked(values_.number(value));
  }
  now_[layout_.registers + at] = found->second;
}

std::vector<std::vector<std::set<std::int64_t>>> machine::results() const {
  std::vector<std::vector<std::set<std::int64_t>>> all;
  for (const auto& process : results_) {
    auto& statements = all.emplace_back();
    for (const auto& results : process) statements.emplace_back(results.begin(), results.end());
  }
  return all;
}

word machine::checked(word number) noexcept {
  if (number != no_word) return number;
  out_of_values_ = true;
  return 0;
}

// --- files: their contents and their lock

template <typename Function>
void machine::each_reader(word file, Function function) {
  for (const auto index : layout_.readers) {
    const auto& reader = layout_.operations[index];
    if (phase_of(reader) != phase::executing || is(reader, io_is_over)) continue;
    if (file_of(reader) == file) function(reader);
  }
}

// A read that is just copying a page may have any of it from before, and any from after; so may an
// O_DIRECT read, of all its pages.
void machine::set_contents(word file, word number) {
  auto& contents = now_[layout_.files + file - 1U];
  if (contents == number) return;
  contents = number;
  each_reader(file, [&](const operation& reader) {
    if (reader.direct) {
      now_[reader.taken] = mixed(now_[reader.taken], all_seen(reader, file));
      return;
    }
    if (reader.copying == no_word || now_[reader.copying] == 0) return;
    const auto at = page_to_copy(reader);
    if (reader.held != no_word && is_held_back(contents_[now_[reader.held]], at.position)) return;
    auto& page = now_[reader.copying];
    page = mixed(page, page_in(number, at));
  });
}

// Pages leave the cache, and keep their bytes for the reads that have got them already. Of one that
// has left it before a read may have got either.
void machine::take_out(word file, std::uint64_t from, std::uint64_t to) {
  from = page_begin(from);
  to = std::min(to, size_of(file));
  each_reader(file, [&](const operation& reader) {
    if (reader.held == no_word) return;
    auto held = contents_[now_[reader.held]];
    const auto first = std::max(from, page_begin(offset_of(reader) + number_at(reader.moved)));
    const auto last = std::min(to, offset_of(reader) + reader.what.size);
    for (auto page = first; page < last; page += page_size) {
      const piece at{page, page_size};
      auto got = contents_[with_direct_writes(file, at, page_in(contents_of(file), at))];
      if (is_held_back(held, page)) got = contents::mixed(held.read(page, page_size), got);
      if (held.size() < page) held.append({unknown_bytes, 0, page - held.size()});
      overwrite(held, page, got);
    }
    now_[reader.held] = checked(contents_.number(held));
  });
}

// It has got the page that is in the cache now.
void machine::let_go(const operation& reader, std::uint64_t position) {
  if (reader.held == no_word || !is_held_back(contents_[now_[reader.held]], position)) return;
  auto held = contents_[now_[reader.held]];
  held.write(page_begin(position), {unknown_bytes, 0, page_size});
  now_[reader.held] = checked(contents_.number(held));
}

// May a read copy what stands here? Beyond the end only one that has seen a larger size.
bool machine::can_be_seen(word file, std::uint64_t position) {
  return position < size_of(file) || is_read_beyond(file, position);
}

// Does a read go by a size beyond this one?
bool machine::is_read_beyond(word file, std::uint64_t size) {
  bool found = false;
  each_reader(file, [&](const operation& reader) {
    found = found || (is(reader, is_sized) && number_at(reader.seen) > size);
  });
  return found;
}

// A buffered write holds the inode's lock to its end; so does whatever else changes the size.
bool machine::is_locked(const operation& op, word file) noexcept {
  for (const auto index : layout_.writers) {
    const auto& other = layout_.operations[index];
    if (&other == &op || phase_of(other) != phase::executing || file_of(other) != file) continue;
    if (is(other, is_split) || is(other, io_is_over)) continue;
    if (shares_lock(op, file) && shares_lock(other, file)) {
      if (op.at_end || other.at_end) use(excess::lost_append);
    } else if (is_write(op.what.what) && has_let_go_of_lock(other)) {
      use(excess::early_unlock);
    } else {
      return true;
    }
  }
  return false;
}

// An aligned O_DIRECT write takes it shared where it begins inside the file or at its end.
bool machine::shares_lock(const operation& op, word file) const noexcept {
  if (op.start == no_word || !is_aligned(op, offset_of(op))) return false;
  return op.at_end ? permits(excess::lost_append) : offset_of(op) <= size_of(file);
}

// On a ring the call returns when the device has got the write, and with it goes the lock; what
// cuts or fills the file waits for the device (inode_dio_wait), other writes do not. Between two
// sizes it has the lock: those are of filesystems that do the write in the cache.
bool machine::has_let_go_of_lock(const operation& op) const noexcept {
  if (!on_ring_ || !permits(excess::early_unlock)) return false;
  if (op.start == no_word || !is_aligned(op, offset_of(op))) return false;
  const auto raised = number_at(op.moved);
  return raised == 0 || raised == chunk_size(op);
}

// --- files: changing them

std::uint64_t machine::chunk_begin(const operation& op) const noexcept {
  return op.accepted == no_word ? 0 : (number_at(op.accepted) - 1) / chunk_ * chunk_;
}
std::uint64_t machine::chunk_size(const operation& op) const noexcept {
  const auto end = op.accepted == no_word ? op.what.data.size : number_at(op.accepted);
  return end - chunk_begin(op);
}

std::uint64_t machine::position_of(const operation& op, word file) const noexcept {
  if (const auto start = number_at(op.start); start > 0) return start - 1 + number_at(op.moved);
  if (op.at_end) return size_of(file);
  const auto behind = op.at_cursor ? 0 : chunk_begin(op);  // which the cursor is there already
  return offset_of(op) + behind + number_at(op.moved);
}

// What a write or a punch does next.
machine::piece machine::next_piece(const operation& op, word file) const noexcept {
  const auto moved = number_at(op.moved);
  const auto piece_of = [&](std::uint64_t position, std::uint64_t left) {
    if (op.moved == no_word) return piece{position, left};
    return piece{position, std::min(left, page_size - position % page_size)};
  };
  if (is_write(op.what.what)) return piece_of(position_of(op, file), chunk_size(op) - moved);
  const auto begin = op.what.offset;
  const auto end = begin + op.what.size;
  if (!is(op, middle_first)) return piece_of(begin + moved, end - begin - moved);
  const auto first = page_end(begin);
  const auto last = page_begin(end);
  const auto middle = last - first;
  if (moved < middle) return {first + moved, page_size};
  if (moved < middle + first - begin) return {begin, first - begin};
  return {last, end - last};
}

word machine::changed_by(const operation& op, word file, const piece& part) {
  const auto from = contents_of(file);
  const auto make = [&] {
    auto changed = contents_[from];
    if (is_write(op.what.what)) {
      const auto done = chunk_begin(op) + number_at(op.moved);
      changed.write(part.position, {op.what.data.pattern, op.what.data.offset + done, part.size});
    } else {
      changed.punch(part.position, part.size);
    }
    return changed;
  };
  if (op.at_cursor) return checked(contents_.number(make()));  // it may be anywhere
  const auto what = is_write(op.what.what) ? chunk_begin(op) + number_at(op.moved) : part.position;
  return derived(derivation(op, from, what), make);
}

// Returns how much of it has been done with that.
std::uint64_t machine::do_piece(const operation& op, word file, const piece& part) {
  set_flux(op, flux::none);
  const auto changed = changed_by(op, file, part);
  const auto moved = number_at(op.moved) + part.size;
  set_number(op.moved, moved);
  set_contents(file, changed);
  return moved;
}

word machine::resized(const operation& op, word file, std::uint64_t size) {
  const auto before = contents_of(file);
  return derived(derivation(op, before, size), [&] {
    auto resized = contents_[before];
    resized.resize(size);
    return resized;
  });
}

// What it has written is there, also where its sync fails.
bool machine::complete_write(const operation& op, bool fails) {
  const auto size = static_cast<std::int64_t>(op.what.data.size);
  if (fails) {
    use(excess::colliding_sync);
  } else if (op.moves_cursor) {
    const auto start = op.at_cursor ? offset_of(op) + 1 : number_at(op.start);
    const auto end = start > 0 ? start - 1 + chunk_size(op) : size_of(file_of(op));
    if (!set_cursor(op, end)) return true;
  }
  return complete(op, {.res = fails ? -EIO : size, .broken = fails});
}

// `fails`: its sync, with which it ends.
bool machine::write(const operation& op, word file, bool fails) {
  if (phase_of(op) == phase::submitted || is(op, is_split)) {
    if (is_locked(op, file)) return false;
    unset(op, is_split);
  }
  if (op.start != no_word) return write_directly(op, file, fails);
  const auto part = next_piece(op, file);
  const bool in_view =
      !atomic_ && op.beside_reads && flux_of(op) == flux::none && can_be_seen(file, part.position);
  set_phase(op, phase::executing);
  if (in_view) {
    set_flux(op, flux::unseen);
    return !fails;
  }
  const auto moved = do_piece(op, file, part);
  meet(op, file, part);
  if (moved < chunk_size(op) && op.moved != no_word) return !fails;
  return complete_write(op, fails);
}

// From the first step to the last one its bytes are on their way, and a read may have any of them
// (with_direct_writes). What the cache has of its pages is thrown away before and after. When the
// size is raised differs: at the end on xfs, at the beginning on btrfs, page by page where the
// filesystem does it in the cache.
bool machine::write_directly(const operation& op, word file, bool fails) {
  const piece all{number_at(op.start) > 0 ? number_at(op.start) - 1 : position_of(op, file),
                  chunk_size(op)};
  if (phase_of(op) == phase::submitted) {
    set_number(op.start, all.position + 1);
    set_phase(op, phase::executing);
    take_out(file, all.position, all.position + all.size);
    return !fails;
  }
  if (size_of(file) < all.position + all.size) {
    raise_size(op, file);
    return !fails;
  }
  take_out(file, all.position, all.position + all.size);
  set_contents(file, with_landed(op, file, all));
  meet(op, file, all);
  return complete_write(op, fails);
}

// To the end of its next page that is beyond it.
void machine::raise_size(const operation& op, word file) {
  auto end = size_of(file);
  while (end == size_of(file)) {
    const auto part = next_piece(op, file);
    set_number(op.moved, number_at(op.moved) + part.size);
    end = std::max(end, part.position + part.size);
  }
  set_contents(file, resized(op, file, end));
}

// Where nobody else has written to a page meanwhile it has the new bytes. Else the two have met, in
// the cache and on the device, and each byte that this write has is from before it or from it.
word machine::with_landed(const operation& op, word file, const piece& all) {
  const auto& before = contents_[contents_of(file)];
  auto after = before;
  after.write(all.position,
              {op.what.data.pattern, op.what.data.offset + chunk_begin(op), all.size});
  const auto end = all.position + all.size;
  for (auto from = all.position; from < end;) {
    const auto to = std::min(page_begin(from) + page_size, end);
    if ((now_[op.met] & page_bit(all.position, from)) != 0) {
      overwrite(after, from,
                contents::mixed(before.read(from, to - from), after.read(from, to - from)));
    }
    from = to;
  }
  return checked(contents_.number(after));
}

// What is written while a direct write is in flight to the same pages. A buffered write has read
// all of its pages, and writes all of them back.
void machine::meet(const operation& writer, word file, const piece& written) {
  const bool has_pages = writer.start == no_word;
  const auto begin = has_pages ? page_begin(written.position) : written.position;
  const auto written_to = written.position + written.size;
  const auto end = has_pages ? page_end(written_to) : written_to;
  for (const auto index : layout_.writers) {
    const auto& other = layout_.operations[index];
    if (other.start == no_word || &other == &writer) continue;
    if (phase_of(other) != phase::executing || file_of(other) != file) continue;
    const auto place = number_at(other.start) - 1;
    const auto last = std::min(end, place + chunk_size(other));
    for (auto at = std::max(begin, place); at < last; at = page_begin(at) + page_size) {
      now_[other.met] |= page_bit(place, at);
    }
  }
}

// io_write in io_uring/rw.c: what it cannot do without blocking it leaves to a worker, and lets go
// of the lock in between.
bool machine::split(const operation& op) {
  const auto moved = number_at(op.moved);
  if (!on_ring_ || op.direct || !permits(excess::split_write)) return false;
  if (moved == 0 || is(op, was_split) || flux_of(op) != flux::none) return false;
  use(excess::split_write);
  set(op, is_split | was_split);
  return true;
}

bool machine::punch(const operation& op, word file) {
  if (phase_of(op) == phase::submitted && is_locked(op, file)) return false;
  const auto part = next_piece(op, file);
  const bool whole_page = part.position % page_size == 0 && part.size == page_size;
  set_phase(op, phase::executing);
  if (whole_page || atomic_) {
    take_out(file, part.position, part.position + part.size);
  } else if (op.beside_reads && flux_of(op) == flux::none && can_be_seen(file, part.position)) {
    set_flux(op, flux::unseen);
    return true;
  }
  const auto moved = do_piece(op, file, part);
  if (moved < op.what.size && op.moved != no_word) return true;
  return complete(op, {});
}

// shmem_undo_range takes the whole pages out before it clears the ends of the hole.
bool machine::begin_in_the_middle(const operation& op) {
  const auto begin = op.what.offset;
  const auto end = begin + op.what.size;
  const bool has_ends = begin % page_size != 0 || end % page_size != 0;
  if (op.moved == no_word || !has_ends || page_end(begin) >= page_begin(end)) return false;
  if (file_of(op) == 0 || (!early_ && file_behind(op.handle) == 0)) return false;
  if (layout_.drains && !may_begin(op)) return false;
  if (in_group(op) && !its_turn(op)) return false;
  if (is(op, to_cancel) || is_locked(op, file_of(op))) return false;
  set(op, middle_first);
  return punch(op, file_of(op));
}

// The size changes at one moment; the rest of the last page is cleared after it.
bool machine::truncate(const operation& op, word file) {
  if (flux_of(op) != flux::none) {
    set_flux(op, flux::none);
    return complete(op, {});
  }
  if (is_locked(op, file)) return false;
  const auto before = contents_of(file);
  const auto size = op.what.offset;
  const bool clears = op.before != no_word && size % page_size != 0 &&
                      size < contents_[before].size() && is_read_beyond(file, size);
  take_out(file, page_end(size), contents_[before].size());
  set_contents(file, resized(op, file, size));
  if (!clears) return complete(op, {});
  now_[op.before] = before;
  set_phase(op, phase::executing);
  set_flux(op, flux::unseen);
  return true;
}

// ext4 raises the size with each extent that it has found (ext4_alloc_file_blocks), others at once.
bool machine::allocate(const operation& op, word file) {
  if (phase_of(op) == phase::submitted && is_locked(op, file)) return false;
  const auto end = op.what.offset + op.what.size;
  const auto size = size_of(file);
  if (op.by_extents && size < end) {
    const auto block = std::max(size, op.what.offset) / block_size;
    set_contents(file, resized(op, file, std::min((block + 1) * block_size, end)));
    set_phase(op, phase::executing);
    return true;
  }
  set_contents(file, resized(op, file, std::max(size, end)));
  return complete(op, {});
}

// --- files: reading them

bool machine::read(const operation& op, word file, view sees) {
  if (op.seen == no_word) {
    const auto contents = contents_of(file);
    return sees == view::as_it_is &&
           complete_read(op, derived(derivation(op, contents, offset_of(op)), [&] {
                           return contents_[contents].read(offset_of(op), op.what.size);
                         }));
  }
  if (op.direct) return sees == view::as_it_is && read_directly(op, file);
  if (phase_of(op) == phase::submitted) {
    if (sees != view::as_it_is) return false;
    set_phase(op, phase::executing);  // it has got pages
    return op.held != no_word || look_at_size(op, file);
  }
  if (!is(op, is_sized)) return sees == view::as_it_is && look_at_size(op, file);
  return copy_page(op, file, sees);
}

bool machine::look_at_size(const operation& op, word file) {
  const auto size = size_of(file);
  if (size <= offset_of(op)) return complete_read(op, 0);
  set(op, is_sized);
  set_number(op.seen, size);
  return true;
}

// It has its pages from the device, in any order, and what the cache has of them is written back
// before it or beside it: so of all that they hold while it is under way it may have any bytes.
bool machine::read_directly(const operation& op, word file) {
  if (phase_of(op) == phase::submitted) {
    set_phase(op, phase::executing);
    look_at_size(op, file);
    if (phase_of(op) == phase::executing) now_[op.taken] = all_seen(op, file);
    return true;
  }
  return complete_read(op, mixed(now_[op.taken], all_seen(op, file)));
}

word machine::all_seen(const operation& op, word file) {
  word all = 0;
  const auto end = std::min(number_at(op.seen), offset_of(op) + op.what.size);
  for (auto from = offset_of(op); from < end;) {
    const auto to = std::min(page_begin(from) + page_size, end);
    all = joined(all, page_seen(op, file, {from, to - from}).as_it_is);
    from = to;
  }
  return all;
}

// A read that is under way does so wherever it gets a new batch of pages; on tmpfs at every page,
// and on a ring where it has come to the end (io_read in io_uring/rw.c), which may have moved on.
bool machine::look_at_size_again(const operation& op) {
  if (!is(op, is_sized)) return false;
  if (op.direct) return go_on_directly(op);
  if (number_at(op.moved) == 0) return false;
  if (op.copying != no_word && now_[op.copying] != 0) return false;
  const auto size = size_of(file_of(op));
  const bool holds = op.held != no_word && now_[op.held] != 0;
  if (size == number_at(op.seen) && !holds) return false;
  set_number(op.seen, size);
  if (holds) now_[op.held] = 0;
  return true;
}

bool machine::go_on_directly(const operation& op) {
  const auto file = file_of(op);
  const auto size = size_of(file);
  if (size == number_at(op.seen) || size <= offset_of(op)) return false;
  set_number(op.seen, size);
  const auto now = contents_[all_seen(op, file)];
  auto taken = contents_[now_[op.taken]].read(0, now.size());
  taken.append(now.read(taken.size(), now.size()));
  now_[op.taken] = checked(contents_.number(taken));
  return true;
}

machine::piece machine::page_to_copy(const operation& op) const noexcept {
  const auto begin = offset_of(op) + number_at(op.moved);
  const auto end =
      std::min({page_begin(begin) + page_size, number_at(op.seen), offset_of(op) + op.what.size});
  return {begin, end > begin ? end - begin : 0};
}

// The page, with zeros where the file has ended.
word machine::page_in(word file, const piece& at) {
  // A cursor may be as far behind the largest file as all that is written.
  static_assert(max_file_size + max_total_size <= std::uint64_t{1} << 27U);
  static_assert(page_size < std::uint64_t{1} << 16U);
  const auto what = static_cast<std::uint64_t>(file) << 43U | at.position << 16U | at.size;
  return made_once(pages_, what, [&] {
    auto page = contents_[file].read(at.position, at.size);
    page.append({zeros, 0, at.size - page.size()});
    return page;
  });
}

word machine::mixed(word one, word other) {
  if (one == other) return one;
  return made_once(mixtures_, static_cast<std::uint64_t>(one) << 16U | other,
                   [&] { return contents::mixed(contents_[one], contents_[other]); });
}

// What there will be of the page when the other operation has done what it is doing to the file.
word machine::page_behind(const operation& other, word file, const piece& at) {
  if (other.what.what == verb::truncate) return page_in(now_[other.before], at);
  return page_in(changed_by(other, file, next_piece(other, file)), at);
}

word machine::joined(word one, word other) {
  return made_once(joined_, static_cast<std::uint64_t>(one) << 16U | other, [&] {
    auto both = contents_[one];
    both.append(contents_[other]);
    return both;
  });
}

// The page, each byte as it is or as a direct write that is in flight will have it.
word machine::with_direct_writes(word file, const piece& at, word page) {
  auto with = page;
  for (const auto index : layout_.writers) {
    const auto& other = layout_.operations[index];
    if (other.start == no_word || phase_of(other) != phase::executing || file_of(other) != file) {
      continue;
    }
    const auto place = number_at(other.start) - 1;
    const auto from = std::max(at.position, place);
    const auto to = std::min(at.position + at.size, place + chunk_size(other));
    if (from >= to) continue;
    auto behind = contents_[page];
    const auto begin = other.what.data.offset + chunk_begin(other) + from - place;
    behind.write(from - at.position, {other.what.data.pattern, begin, to - from});
    with = mixed(with, checked(contents_.number(behind)));
  }
  return with;
}

bool machine::is_changing(const operation& op, word file) const noexcept {
  return phase_of(op) == phase::executing && file_of(op) == file && !is(op, is_split) &&
         flux_of(op) != flux::none;
}

// What there may be of the page while others are just changing it. Neither side holds a lock while
// it copies. What a read has seen of a change every later one sees.
machine::sight machine::page_seen(const operation& op, word file, const piece& at) {
  sight seen;
  const auto now = contents_of(file);
  if (op.held != no_word && now_[op.held] != 0) {
    const bool is_held = is_held_back(contents_[now_[op.held]], at.position);
    if (is_held) seen.held = page_in(now_[op.held], at);
    if (is_held && contents_[now].size() <= page_begin(at.position)) return seen;
  }
  const auto page = page_in(now, at);
  seen.as_it_is = with_direct_writes(file, at, page);
  unsigned changes = seen.as_it_is == page ? 0 : 1;
  for (const auto index : layout_.copiers) {
    const auto& other = layout_.operations[index];
    if (&other == &op || !is_changing(other, file)) continue;
    const auto behind = page_behind(other, file, at);
    if (behind == page) continue;
    seen.as_it_is = mixed(seen.as_it_is, behind);
    ++changes;
    seen.changing = &other;
    // A truncate is over in the file, and to come in the page.
    const bool truncates = other.what.what == verb::truncate;
    seen.before = truncates ? behind : page;
    seen.after = truncates ? page : behind;
  }
  if (changes != 1) seen.changing = nullptr;
  if (seen.changing != nullptr && flux_of(*seen.changing) == flux::wholly) {
    seen.as_it_is = seen.after;
    seen.changing = nullptr;
  }
  return seen;
}

// From here on the page may be changed by several others, one after the other.
bool machine::begin_to_copy(const operation& op) {
  if (op.copying == no_word || now_[op.copying] != 0 || !is(op, is_sized)) return false;
  const auto at = page_to_copy(op);
  if (at.size == 0) return false;
  const auto seen = page_seen(op, file_of(op), at);
  if (seen.as_it_is == no_word) return false;
  let_go(op, at.position);
  now_[op.copying] = seen.as_it_is;
  return true;
}

bool machine::copy_page(const operation& op, word file, view sees) {
  const auto at = page_to_copy(op);
  if (at.size == 0) return sees == view::as_it_is && complete_read(op, now_[op.taken]);
  const auto seen = page_seen(op, file, at);
  const bool is_copying = op.copying != no_word && now_[op.copying] != 0;
  switch (sees) {
    case view::as_it_is: {
      const auto copied = is_copying ? now_[op.copying] : seen.as_it_is;
      if (copied == no_word) return false;
      if (seen.changing != nullptr) set_flux(*seen.changing, flux::partly);
      return take_page(op, at, seen.as_it_is == no_word ? copied : mixed(copied, seen.as_it_is));
    }
    case view::before:
      return !is_copying && seen.changing != nullptr && flux_of(*seen.changing) == flux::unseen &&
             take_page(op, at, seen.before);
    case view::after:
      if (is_copying || seen.changing == nullptr) return false;
      set_flux(*seen.changing, flux::wholly);
      return take_page(op, at, seen.after);
    case view::held:
      return !is_copying && seen.held != no_word && take_page(op, at, seen.held);
  }
  return false;
}

bool machine::take_page(const operation& op, const piece& at, word page) {
  now_[op.taken] = joined(now_[op.taken], page);
  if (op.copying != no_word) now_[op.copying] = 0;
  const auto moved = at.position + at.size - offset_of(op);
  set_number(op.moved, moved);
  return moved == op.what.size ? complete_read(op, now_[op.taken]) : true;
}

bool machine::complete_read(const operation& op, word data) {
  const auto size = contents_[data].size();
  if (op.moves_cursor && !is(op, io_is_over) && !set_cursor(op, offset_of(op) + size)) {
    now_[op.taken] = data;
    return true;
  }
  return complete(
      op, {.res = static_cast<std::int64_t>(size), .data = data, .broken = size < op.what.size});
}

// --- the cursor of an open file description

// read(2), write(2) and lseek(2) have it to themselves from their beginning to their end
// (f_pos_lock). A ring does not ask.
bool machine::has_cursor(const operation& op) const noexcept {
  return on_ring_ ||
         std::none_of(layout_.operations.begin(), layout_.operations.end(), [&](const auto& other) {
           return &other != &op && other.moves_cursor && other.description == op.description &&
                  phase_of(other) == phase::executing;
         });
}

// A ring sets it when all else is over and no lock is held any more: false, that is yet to come.
bool machine::set_cursor(const operation& op, std::uint64_t to) {
  if (!op.cursor_in_steps) {
    set_number(cursor_of(op), to);
    return true;
  }
  clear_words(op);
  set_number(op.place, to);
  set_phase(op, phase::executing);
  unset(op, is_sized);
  set(op, io_is_over);
  return false;
}

bool machine::end_at_cursor(const operation& op) {
  set_number(cursor_of(op), number_at(op.place));
  if (op.what.what == verb::read) return complete_read(op, now_[op.taken]);
  return complete(op, {.res = static_cast<std::int64_t>(op.what.data.size)});
}

bool machine::seek_to_offset(const operation& op) noexcept {
  if (!has_cursor(op)) return false;
  set_number(cursor_of(op), op.what.offset);
  return true;
}

// A seek is an operation of its own: what follows it is submitted when the process has heard of its
// end, which matters to who drains. Where operations are whole that is at once.
// Who goes past a handle has let go of it before the submission, so that a call which waited for
// the handle may submit its seek first, and a drain come behind that.
bool machine::lets_seek_in() const noexcept { return seeks_ && layout_.drains && !atomic_; }

bool machine::submit_behind_seek(const operation& op) noexcept {
  if (op.order != no_word) now_[op.order] = static_cast<word>(last_order() + 1U);
  return true;
}

bool machine::seek(const operation& op) {
  return (!op.moves_cursor || seek_to_offset(op)) && complete(op, {});
}

// --- names

bool machine::open(const operation& op) {
  const auto file = name(op.what.other);
  if (file == 0) return complete(op, {.res = -ENOENT, .broken = true});
  seat(op.handle, file);
  return complete(op, {});
}

bool machine::rename(const operation& op, how way) {
  const auto file = name(op.what.operand);
  if (file == 0) return fail_by_name(op, way);
  if (name(op.what.other) != file) {  // rename(2): two links of one file stay as they are
    name(op.what.other) = file;
    name(op.what.operand) = 0;
  }
  return complete(op, {});
}

bool machine::unlink(const operation& op, how way) {
  if (name(op.what.operand) == 0) return fail_by_name(op, way);
  name(op.what.operand) = 0;
  return complete(op, {});
}

bool machine::fail_by_name(const operation& op, how way) {
  if (way.keeps_link) use(excess::kept_link);
  return complete(op, {.res = -ENOENT, .broken = !way.keeps_link});
}

// --- handles

void machine::seat(std::uint8_t handle, word file) noexcept {
  now_[handle_word(handle)] = file;
  now_[busy_word(handle)] = 0;
}

// tokio's complete_inflight. A queued write does not fail here: nothing can cancel what has
// returned, and the environment does not fail.
bool machine::has_settled(std::uint8_t handle) const noexcept {
  return (now_[handle_word(handle)] & (handle_locked | handle_kept)) == 0 &&
         now_[busy_word(handle)] == 0;
}

bool machine::flush(const operation& op) {
  if (bool moved = false; early_ && !settle(op, op.handle, moved)) return moved;
  return returns(op, {});
}

// As write_all: the process stays here until the last chunk is queued. It asks for the handle again
// as soon as it has queued one, and gets it unless another has waited longer.
bool machine::queue_write(const operation& op) {
  auto& handle = now_[handle_word(op.handle)];
  const bool sought = (now_[op.process] & write_has_sought) != 0;
  if (sought) {
    handle &= static_cast<word>(~handle_locked);
  } else if (number_at(op.accepted) > 0 && (handle & handle_kept) != 0) {
    if (now_[busy_word(op.handle)] != 0) return false;
    handle &= static_cast<word>(~handle_kept);
  } else if (!has_settled(op.handle)) {
    return get_handle(op);
  }
  if (op.seeks && number_at(op.accepted) == 0 && !sought) {
    // It has got its handle before its seek is over.
    if (!op.handle_stays && get_handle(op)) return true;
    if (drain_is_in_flight() || !seek_to_offset(op)) return false;
    if (layout_.drains && !atomic_) {  // see submit_behind_seek
      handle |= handle_locked;
      now_[op.process] |= write_has_sought;
      return true;
    }
  }
  submit(op);
  now_[busy_word(op.handle)] = static_cast<word>(index_of(op) + 1);
  const auto size = op.what.data.size;
  bool last = true;
  if (op.accepted != no_word) {
    const auto accepted = std::min(size, number_at(op.accepted) + chunk_);
    set_number(op.accepted, accepted);
    last = accepted == size;
  }
  if (last) return returns(op, {.res = static_cast<std::int64_t>(size)});
  if (!layout_.own[op.handle]) handle |= handle_kept;
  return true;
}

// Others may have come while it waited to queue what it has just queued; they are before it in the
// line of the handle's lock. A seek is something to wait for, too.
bool machine::let_in(const operation& op) noexcept {
  const bool had_queued = from_[op.accepted] != 0 || from_[op.accepted + 1U] != 0;
  const bool had_waited = had_queued || op.seeks || (from_[op.process] & has_called) != 0;
  auto& handle = now_[handle_word(op.handle)];
  if (!had_waited || (handle & handle_kept) == 0 || !has_others_in_line(op)) return false;
  handle &= static_cast<word>(~handle_kept);
  return true;
}

bool machine::has_others_in_line(const operation& op) const noexcept {
  for (std::size_t process = 0; process < layout_.processes.size(); ++process) {
    if (process == op.process || has_ended(now_, process)) continue;
    const auto& unit = unit_of(now_, process);
    for (word i = unit.first; i < unit.first + unit.count; ++i) {
      const auto& other = layout_.operations[i];
      const auto called = other.what.what == verb::clone ? other.what.other : other.handle;
      const bool calls = other.what.what == verb::clone || uses_handle(other.what.what);
      if (calls && called == op.handle) return true;
    }
  }
  return false;
}

void machine::landed(const operation& op) noexcept {
  now_[op.status] = 0;
  if (op.accepted != no_word && number_at(op.accepted) == op.what.data.size) {
    set_number(op.accepted, 0);
  }
  auto& busy = now_[busy_word(op.handle)];
  if (busy == index_of(op) + 1) busy = 0;  // or it is another file's handle by now
  if (buffered_) go_on_with(op.handle);
}

bool machine::clone(const operation& op) {
  const auto original = op.what.other;
  const bool waits = (now_[op.process] & (has_called | writes_out)) != 0;
  if (!waits && is_closed(original)) return returns(op, {.res = -EBADF});
  if (bool moved = false; early_ && clone_waits_ && !settle(op, original, moved)) return moved;
  seat(op.handle, file_behind(original));
  return returns(op, {});
}

// The number is given up at once, whenever the descriptor is.
bool machine::close(const operation& op) {
  const bool is_new = (now_[handle_word(op.handle)] & handle_closed) == 0;
  now_[handle_word(op.handle)] |= handle_closed;
  if (early_) {
    if (!is_new || buffered_ || drop_ == drop_kind::flushes) {
      now_[op.process] |= has_called;
      return drop(op) || is_new;
    }
    return returns(op, {});
  }
  submit(op);
  return op.alone || inline_ ? execute(op, {}) : true;
}

// It is the last in the line for the handle, as nobody comes after it.
bool machine::drop(const operation& op) {
  if (has_callers_in_line(op)) return false;
  if (drop_ == drop_kind::flushes) {
    if (bool moved = false; !settle(op, op.handle, moved)) return moved;
  } else {
    if ((now_[handle_word(op.handle)] & handle_locked) != 0) return false;
    if (drop_ == drop_kind::lost) forget_pending(op.handle);
    if (drop_ == drop_kind::runs) write_next(op.handle);
  }
  return returns(op, {});
}

bool machine::has_callers_in_line(const operation& op) const noexcept {
  for (std::size_t process = 0; process < layout_.processes.size(); ++process) {
    if (process == op.process || has_ended(now_, process)) continue;
    if ((now_[process] & has_called) == 0) continue;
    const auto& unit = unit_of(now_, process);
    for (word i = unit.first; i < unit.first + unit.count; ++i) {
      const auto& other = layout_.operations[i];
      if (uses_handle(other.what.what) && other.handle == op.handle) return true;
    }
  }
  return false;
}

// What is queued of a handle that has been given up, and has not begun.
bool machine::lose(const operation& op) {
  const bool given_up =
      (now_[handle_word(op.handle)] & handle_closed) != 0 || all_have_ended(now_.data());
  if (!given_up || phase_of(op) != phase::submitted) return false;
  return complete(op, {});
}

// --- buffers

bool machine::has_room_for(const operation& op) const noexcept {
  const auto& buffer = layout_.buffers[op.handle];
  auto bytes = op.what.data.size;
  for (word i = 0; i < buffer.room && now_[buffer.first + i] != 0; ++i) {
    bytes += layout_.operations[now_[buffer.first + i] - 1U].what.data.size;
  }
  return bytes <= chunk_;
}

bool machine::buffer_write(const operation& op) {
  const auto& buffer = layout_.buffers[op.handle];
  auto& process = now_[op.process];
  auto& handle = now_[handle_word(op.handle)];
  const bool is_free = (handle & handle_locked) == 0;
  if (op.seeks && is_free && !layout_.own[op.handle] && !is_pending(op.handle)) {
    handle |= handle_locked;  // until its seek is over
    process |= writes_out;
    return true;
  }
  if (op.seeks || !has_room_for(op) || (process & writes_out) != 0) {
    if (bool moved = false; !settle(op, op.handle, moved)) return moved;
  } else if (!is_free) {
    return get_handle(op);
  }
  if (op.seeks && (only_submits_ || drain_is_in_flight() || !seek_to_offset(op))) return false;
  auto at = buffer.first;
  while (now_[at] != 0) ++at;
  now_[at] = static_cast<word>(index_of(op) + 1);
  return returns(op, {.res = static_cast<std::int64_t>(op.what.data.size)});
}

// Has the handle nothing left to write? False: somebody has it, or its buffer is being written out,
// which may be a step of this process (`moved`). One that keeps the handle then locks it.
bool machine::settle(const operation& op, std::uint8_t handle, bool& moved) {
  if (!buffered_) {
    const bool settled = has_settled(handle);
    moved = !settled && get_handle(op);
    return settled;
  }
  auto& process = now_[op.process];
  auto& state = now_[handle_word(handle)];
  if ((process & writes_out) != 0) {
    if (now_[busy_word(handle)] != 0) return false;
    process &= static_cast<word>(~writes_out);
    state &= static_cast<word>(~handle_locked);
    return true;
  }
  if ((state & handle_locked) != 0) {
    moved = get_handle(op);
    return false;
  }
  if (!is_pending(handle)) return true;
  process |= writes_out;
  state |= handle_locked;
  write_next(handle);
  moved = true;
  return false;
}

// Each is an operation of its own, which is submitted when the one before it has ended.
void machine::write_next(std::uint8_t handle) {
  if (!is_pending(handle) || now_[busy_word(handle)] != 0) return;
  const auto& buffer = layout_.buffers[handle];
  const auto begin = now_.begin() + buffer.first;
  const auto first = *begin;
  std::rotate(begin, begin + 1, begin + buffer.room);
  *(begin + buffer.room - 1) = 0;
  submit(layout_.operations[first - 1U]);
  now_[busy_word(handle)] = first;
}

// When one has ended: the next, or what the process was to do that had them written out. What that
// submits is so before anything that comes later, and others may come before it has an effect.
void machine::go_on_with(std::uint8_t handle) {
  write_next(handle);
  if (now_[busy_word(handle)] != 0) return;
  for (std::size_t process = 0; process < layout_.processes.size(); ++process) {
    if (has_ended(now_, process) || (now_[process] & writes_out) == 0) continue;
    const auto& unit = unit_of(now_, process);
    const auto member = unit.grouped ? now_[unit.settled] : word{0};
    const auto& op = layout_.operations[unit.first + member];
    if ((op.what.what == verb::clone ? op.what.other : op.handle) != handle) continue;
    if (unit.grouped && is_settled_again(unit, member) && has_others_in_line(op)) {
      bool moved = false;
      if (settle_member(unit, moved)) ++now_[unit.settled];
      return;
    }
    const auto before = now_;
    only_submits_ = true;
    if (!(unit.grouped ? submit_group(unit) : call(op))) now_ = before;
    only_submits_ = false;
    return;
  }
}

// A later member of the group has the same handle: whoever waits for that comes in between.
bool machine::is_settled_again(const unit& unit, word member) const noexcept {
  const auto first = layout_.operations.begin() + unit.first;
  return std::any_of(first + member + 1, first + unit.count, [&](const operation& later) {
    return uses_handle(later.what.what) && later.handle == first[member].handle;
  });
}

void machine::forget_pending(std::uint8_t handle) noexcept {
  const auto& buffer = layout_.buffers[handle];
  std::fill_n(now_.begin() + buffer.first, buffer.room, word{0});
}

// Handles that nobody has closed are given up.
void machine::end_of_round() {
  if (!all_have_ended(now_.data())) return;
  for (std::size_t i = 0; i < layout_.buffers.size(); ++i) {
    const auto handle = static_cast<std::uint8_t>(i);
    if (drop_ == drop_kind::lost) {
      forget_pending(handle);
    } else {
      write_next(handle);
    }
  }
}

// --- groups

bool machine::has_begun(const unit& unit) const noexcept {
  for (word i = 0; i < unit.count; ++i) {
    if (phase_of(layout_.operations[unit.first + i]) != phase::idle) return true;
  }
  return false;
}

bool machine::submit_group(const unit& unit) {
  if (unit.settled != no_word && now_[unit.settled] < unit.count) {
    const auto before = now_[unit.settled];
    bool moved = false;
    while (now_[unit.settled] < unit.count && settle_member(unit, moved)) ++now_[unit.settled];
    if (now_[unit.settled] < unit.count) return moved || now_[unit.settled] != before;
    if (lets_seek_in()) return true;
  }
  for (word i = 0; i < unit.count; ++i) submit(layout_.operations[unit.first + i]);
  return true;
}

// One after the other: while it waits for one, another may get busy again.
bool machine::settle_member(const unit& unit, bool& moved) {
  const auto& member = layout_.operations[unit.first + now_[unit.settled]];
  auto& process = now_[member.process];
  const bool waits = (process & (has_called | writes_out)) != 0;
  if (!uses_handle(member.what.what) || (!waits && is_closed(member.handle))) return true;
  if (!settle(member, member.handle, moved)) return false;
  process &= unit_bits;
  return true;
}

// What fails on a ring without failing its request, as the kernel sees it.
bool machine::may_keep_its_link(const operation& op) const noexcept {
  if (!on_ring_ || !permits(excess::kept_link)) return false;
  switch (op.what.what) {
    case verb::rename:
    case verb::unlink:
    case verb::statx:
      return true;
    case verb::fsync:
    case verb::fdatasync:
    case verb::sync_range:
      return op.may_fail;
    default:
      return false;
  }
}

bool machine::its_turn_in(const unit& unit, word member) const noexcept {
  const auto phase = phase_of(layout_.operations[unit.first + member]);
  if (phase != phase::submitted && phase != phase::executing) return false;
  if (unit.kind == group_kind::batch) return true;
  for (word i = 0; i < member; ++i) {
    if (phase_of(layout_.operations[unit.first + i]) != phase::done) return false;
  }
  return true;
}

bool machine::its_turn(const operation& op) const noexcept {
  const auto& unit = unit_of(now_, op.process);
  return !unit.grouped || its_turn_in(unit, static_cast<word>(index_of(op) - unit.first));
}

void machine::end_member(const operation& op, const ending& end) {
  const auto& unit = unit_of(now_, op.process);
  const auto after = static_cast<word>(unit.first + unit.count);
  if (unit.kind == group_kind::link && end.broken) {
    for (auto i = static_cast<word>(index_of(op) + 1); i < after; ++i) {
      const auto& rest = layout_.operations[i];
      if (phase_of(rest) == phase::done) continue;
      if (rest.order != no_word) leave_order(rest);
      note_result(rest, {.res = -ECANCELED});
      now_[rest.status] = static_cast<word>(phase::done);
    }
  }
  for (auto i = unit.first; i < after; ++i) {
    if (phase_of(layout_.operations[i]) != phase::done) return;
  }
  for (auto i = unit.first; i < after; ++i) now_[layout_.operations[i].status] = 0;
  if (unit.settled != no_word) now_[unit.settled] = 0;
  next_unit(op.process);
}

// --- drain: the order of submissions, of what is in flight, from 1

word machine::last_order() const noexcept {
  word last = 0;
  for (const auto& each : layout_.operations) {
    if (each.order != no_word) last = std::max(last, now_[each.order]);
  }
  return last;
}

void machine::leave_order(const operation& op) noexcept {
  const auto left = std::exchange(now_[op.order], word{0});
  for (const auto& each : layout_.operations) {
    if (each.order != no_word && now_[each.order] > left) --now_[each.order];
  }
}

// Which what is submitted now would wait for.
bool machine::drain_is_in_flight() const noexcept {
  return std::any_of(layout_.operations.begin(), layout_.operations.end(), [&](const auto& each) {
    return each.what.drain && each.order != no_word && now_[each.order] != 0;
  });
}

// A draining operation waits for all before it, and all after it wait for it.
bool machine::may_begin(const operation& op) const noexcept {
  for (const auto& each : layout_.operations) {
    if (each.order == no_word || now_[each.order] == 0) continue;
    if (now_[each.order] < now_[op.order] && (op.what.drain || each.what.drain)) return false;
  }
  return true;
}

// --- cancellation

// What has not begun to take effect may end without any, at once or when its turn comes; on a ring
// what has done a part may end with that. What else has begun, or is over, is not met.
bool machine::cancel(const operation& op, bool met) {
  if (!met) return returns(op, {});
  if (op.target == no_word) return false;
  const auto& target = layout_.operations[op.target];
  const auto phase = phase_of(target);
  if (phase == phase::submitted) {
    if (!its_turn(target) || (layout_.drains && !may_begin(target))) {
      if (is(target, to_cancel)) return false;
      set(target, to_cancel);
    } else {
      complete(target, {.res = -ECANCELED, .broken = true});
    }
    return returns(op, {});
  }
  const auto moved = number_at(target.moved);
  const bool between = phase == phase::executing && moved > 0 &&
                       (is(target, is_split) || target.what.what == verb::read);
  if (!on_ring_ || !between || !permits(excess::short_cancel)) return false;
  use(excess::short_cancel);
  const auto data = target.taken == no_word ? word{0} : now_[target.taken];
  complete(target, {.res = static_cast<std::int64_t>(moved), .data = data, .broken = true});
  return returns(op, {});
}

}  // namespace filemap::litmus
