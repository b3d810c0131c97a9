#include "layout.hpp"

#include <algorithm>
#include <stdexcept>

namespace filemap::litmus {

bool is_invisible(verb verb) noexcept { return is_sync(verb) || verb == verb::drop_cache; }

namespace {

// A clone is made by the loop itself, and so is the closing of a handle that is acknowledged early.
bool is_in_flight(verb verb, bool early) noexcept {
  switch (verb) {
    case verb::notify:
    case verb::wait:
    case verb::cancel:
    case verb::flush:
    case verb::clone:
      return false;
    case verb::close:
      return !early;
    default:
      return true;
  }
}

bool may_cross_pages(const operation& op) {
  const auto size = is_write(op.what.what) ? op.what.data.size : op.what.size;
  return op.at_end || op.at_cursor ? size > 1 : op.what.offset % page_size + size > page_size;
}

// It takes effect page by page.
bool goes_by_pages(verb verb) { return is_write(verb) || verb == verb::punch; }

// It copies bytes, or zeros, into pages that are in the file.
bool copies(verb verb) { return goes_by_pages(verb) || verb == verb::truncate; }

bool changes_contents(verb verb) { return copies(verb) || verb == verb::allocate; }

bool touches_contents(verb verb) {
  return changes_contents(verb) || verb == verb::read || verb == verb::statx;
}

bool has_one_bit(unsigned bits) { return (bits & (bits - 1)) == 0; }

}  // namespace

bool in_flight(const operation& op, const mode& mode) noexcept {
  return is_in_flight(op.what.what, mode.acknowledges_early());
}

layout::layout(const test& test, const mode& mode, bool atomic) {
  for (std::size_t i = 0; i < test.handles.size(); ++i) {
    handle_of.push_back(named_by(test, static_cast<std::uint8_t>(i)));
  }
  for (std::size_t i = 0; i < test.processes.size(); ++i) {
    add_process(test, mode, static_cast<std::uint8_t>(i));
  }
  find_targets(mode);
  count_users(test);
  find_collisions();
  find_neighbours();
  find_cursors(test, mode, atomic);
  find_who_settles(mode);
  place(test, mode, atomic);
}

void layout::add_process(const test& test, const mode& mode, std::uint8_t process) {
  const auto& declared = test.processes[process];
  if (declared.times != 1) throw std::invalid_argument("the model does not repeat a process");
  auto& units = processes.emplace_back();
  auto group = declared.groups.begin();
  for (std::size_t at = 0; at < declared.body.size();) {
    unit next{.first = static_cast<word>(operations.size())};
    if (group != declared.groups.end() && group->first == at) {
      next.count = group->count;
      next.grouped = true;
      next.kind = group->kind;
      ++group;
    }
    for (std::size_t i = 0; i < next.count; ++i, ++at) {
      add_statement(test, mode, process, declared.body[at], next.grouped);
      operations.back().in_body = static_cast<word>(at);
    }
    units.push_back(next);
  }
}

// An open file description is shared by its duplicates, and so are O_APPEND and O_DSYNC.
const handle_declaration& layout::opened_as(const test& test, std::uint8_t handle) const {
  const auto& declared = test.handles[handle];
  if (declared.from == handle_origin::clone) return opened_as(test, handle_of[declared.source]);
  return declared;
}

void layout::add_statement(const test& test, const mode& mode, std::uint8_t process,
                           const statement& what, bool grouped) {
  const auto verb = what.what;
  operation added;
  added.what = what;
  added.process = process;
  added.unit = static_cast<word>(processes[process].size());
  if (uses_handle(verb) || reseats(verb)) {
    added.handle = handle_of[what.operand];
    added.direct = test.handles[added.handle].direct;
    added.at_end =
        verb == verb::append || (verb == verb::write && opened_as(test, added.handle).append);
    added.description = description_of(test, what.operand);
    added.at_cursor = what.at_cursor;
    const bool by_appending = verb == verb::append && mode.appends_move_cursor();
    added.moves_cursor = is_at_cursor(what) || by_appending;
    added.syncs = is_write(verb) && opened_as(test, added.handle).dsync;
  }
  if (verb == verb::clone) added.what.other = handle_of[what.other];
  added.past_handle = what.drain || grouped;
  const bool fits = mode.when != acknowledgement::buffered || mode.options.fits(what.data.size);
  added.queued = mode.acknowledges_early() && is_write(verb) && fits && !added.past_handle;
  if (grouped && !in_flight(added, mode)) {
    throw std::invalid_argument("a group has only operations on files");
  }
  drains = drains || what.drain;
  cancels = cancels || verb == verb::cancel;
  removes_pages = removes_pages || verb == verb::truncate || verb == verb::punch ||
                  (added.direct && is_write(verb));
  operations.push_back(added);
}

// A write that was acknowledged early has returned: there is nothing to cancel. Nor is what went
// through a buffer anybody's to cancel.
void layout::find_targets(const mode& mode) {
  for (auto& cancel : operations) {
    if (cancel.what.what != verb::cancel) continue;
    const auto found = std::find_if(operations.begin(), operations.end(), [&](const auto& each) {
      return each.process == cancel.what.operand && each.in_body == cancel.what.other;
    });
    if (found == operations.end() || !in_flight(*found, mode) || found->queued) continue;
    const bool by_buffer = mode.when == acknowledgement::buffered && is_write(found->what.what);
    if (by_buffer && !found->past_handle) continue;
    cancel.target = index_of(*found);
    found->past_handle = true;
  }
}

void layout::count_users(const test& test) {
  one_notify.assign(test.edges.size(), false);
  one_wait.assign(test.edges.size(), false);
  own.assign(test.handles.size(), true);
  std::vector<unsigned> notifies(test.edges.size());
  std::vector<unsigned> waits(test.edges.size());
  std::vector<unsigned> users(test.handles.size());
  std::vector<unsigned> reseaters(test.handles.size());
  for (const auto& each : operations) {
    const auto verb = each.what.what;
    const auto bit = 1U << each.process;
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
  for (std::size_t i = 0; i < own.size(); ++i) {
    own[i] = has_one_bit(users[i]);
    reseated.push_back(reseaters[i] != 0);
  }
  for (auto& each : operations) {
    const auto bit = 1U << each.process;
    if (uses_handle(each.what.what)) {
      each.handle_stays = (reseaters[each.handle] & ~bit) == 0;
    }
    each.alone = each.handle_stays && !drains;
    if (each.what.what == verb::close) each.alone = each.alone && own[each.handle];
  }
  for (const auto& cancel : operations) {
    if (cancel.target != no_word) operations[cancel.target].alone = false;
  }
}

// open(2), NOTES: applications should avoid mixing the two. 5a9d929d6e13: the failure to invalidate
// the cache is reported as EIO by the next fsync.
void layout::find_collisions() {
  const auto writes = [&](bool direct) {
    return std::any_of(operations.begin(), operations.end(), [&](const operation& each) {
      return is_write(each.what.what) && each.direct == direct;
    });
  };
  if (!writes(true) || !writes(false)) return;
  for (auto& each : operations) {
    each.may_fail = is_sync(each.what.what) || (each.syncs && !each.queued);
    if (each.may_fail) each.alone = false;
  }
}

bool layout::concurrent(const operation& one, const operation& other) const noexcept {
  if (&one == &other) return false;
  if (one.process != other.process) return true;
  return one.unit == other.unit || one.queued || other.queued;
}

void layout::find_neighbours() {
  for (auto& reader : operations) {
    if (reader.what.what != verb::read) continue;
    for (auto& each : operations) {
      if (!changes_contents(each.what.what) || !concurrent(reader, each)) continue;
      reader.beside_writes = true;
      each.beside_reads = true;
    }
  }
  for (auto& writer : operations) {
    if (!is_write(writer.what.what) && writer.what.what != verb::allocate) continue;
    writer.in_company = std::any_of(operations.begin(), operations.end(), [&](const auto& each) {
      return touches_contents(each.what.what) && concurrent(writer, each);
    });
  }
}

// A cursor that nobody reads or writes at need not be known.
void layout::find_cursors(const test& test, const mode& mode, bool atomic) {
  cursors.assign(test.handles.size(), no_word);
  for (auto& each : operations) {
    const bool has_offset = each.what.what == verb::write || each.what.what == verb::read;
    const bool by_buffer = mode.when == acknowledgement::write_behind && !each.past_handle;
    if (each.what.what == verb::read && each.at_cursor && by_buffer) {
      each.what.size = std::min<std::uint64_t>(each.what.size, mode.options.chunk);
    }
    each.seeks = mode.seeks() && has_offset && !each.at_cursor && !each.past_handle;
    each.at_cursor = each.at_cursor || each.seeks;
    each.moves_cursor = each.moves_cursor || each.seeks;
    if (each.at_cursor) cursors[each.description] = 0;
  }
  for (auto& one : operations) {
    one.moves_cursor = one.moves_cursor && cursors[one.description] != no_word;
    one.cursor_races = std::any_of(operations.begin(), operations.end(), [&](const auto& other) {
      return other.moves_cursor && other.description == one.description && concurrent(one, other);
    });
    one.cursor_in_steps =
        one.at_cursor && one.cursor_races && mode.engine == engine_kind::uring && !atomic;
  }
}

// tokio's complete_inflight, or a buffer that is written out. What goes past its handle has that
// done too, and lets go of the handle before it begins.
void layout::find_who_settles(const mode& mode) {
  if (!mode.acknowledges_early()) return;
  const auto waits = [&](file_call call) { return mode.options.waits.contains(call); };
  for (auto& each : operations) {
    const auto verb = each.what.what;
    const auto call = call_of(verb);
    if (!uses_handle(verb) || !call || each.past_handle || each.queued) continue;
    each.settles = is_write(verb) || waits(*call) || (each.seeks && waits(file_call::seek));
  }
}

void layout::place(const test& test, const mode& mode, bool atomic) {
  new_words(static_cast<unsigned>(test.processes.size()));
  edges = new_words(1);
  names = new_words(static_cast<unsigned>(test.files.size()));
  files = new_words(static_cast<unsigned>(test.files.size()));
  handles = new_words(2 * static_cast<unsigned>(test.handles.size()));
  buffers.resize(test.handles.size());
  for (std::size_t handle = 0; handle < buffers.size(); ++handle) {
    if (mode.when != acknowledgement::buffered) break;
    const auto writes =
        std::count_if(operations.begin(), operations.end(),
                      [&](const operation& each) { return each.queued && each.handle == handle; });
    buffers[handle] = {new_words(static_cast<unsigned>(writes)), static_cast<word>(writes)};
  }
  for (auto& cursor : cursors) {
    if (cursor != no_word) cursor = new_words(2);
  }
  registers = new_words(static_cast<unsigned>(test.registers.size()));
  for (auto& each : operations) {
    if (!atomic && copies(each.what.what)) copiers.push_back(index_of(each));
  }
  for (auto& units : processes) {
    // A process is in one unit at a time, so that what it has in flight takes the same words.
    const auto begin = words;
    auto end = words;
    for (auto& unit : units) {
      words = begin;
      if (unit.grouped && mode.acknowledges_early()) unit.settled = new_words(1);
      for (word i = unit.first; i < unit.first + unit.count; ++i) {
        if (!operations[i].queued && in_flight(operations[i], mode)) place(operations[i], atomic);
      }
      end = std::max(end, words);
    }
    words = end;
  }
  place_queued(test, mode, atomic);
  for (auto& each : operations) {
    if (drains && in_flight(each, mode)) each.order = new_words(1);
  }
  words = static_cast<word>((words + 3U) / 4U * 4U);  // whole 64-bit words, for the hash
}

// A handle has one of them in flight at a time, but for a handle that is closed before. So those of
// one handle take the same words, as many as the largest of them needs.
void layout::place_queued(const test& test, const mode& mode, bool atomic) {
  for (auto& each : operations) {
    if (!each.queued) continue;
    in_the_back.push_back(index_of(each));
    const bool in_parts = mode.when == acknowledgement::write_behind;
    if (in_parts && each.what.data.size > mode.options.chunk) each.accepted = new_words(2);
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
  placed.status = new_words(1);
  if (placed.at_cursor) placed.place = new_words(2);
  if (atomic) return;
  const auto index = index_of(placed);
  if (placed.cursor_in_steps && verb == verb::read) placed.taken = new_words(1);
  if (goes_by_pages(verb)) {
    const bool stays_in_flight = is_write(verb) && placed.direct && placed.in_company;
    if (may_cross_pages(placed) || stays_in_flight) placed.moved = new_words(2);
    if (stays_in_flight) {
      placed.start = new_words(2);
      placed.met = new_words(1);
    }
  }
  if (verb == verb::truncate && placed.beside_reads) placed.before = new_words(1);
  placed.by_extents = verb == verb::allocate && placed.in_company;
  const bool in_steps = placed.moved != no_word || placed.start != no_word || placed.by_extents ||
                        (copies(verb) && placed.beside_reads);
  if (in_steps) writers.push_back(index);
  if (verb == verb::read && placed.beside_writes) {
    readers.push_back(index);
    placed.seen = new_words(2);
    if (placed.taken == no_word) placed.taken = new_words(1);
    if (placed.direct) return;
    placed.moved = new_words(2);
    if (removes_pages) placed.held = new_words(1);
    if (copiers.size() > 1) placed.copying = new_words(1);
  }
}

}  // namespace filemap::litmus
