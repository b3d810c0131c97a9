#pragma once

#include "filemap/litmus/mode.hpp"
#include "filemap/litmus/test.hpp"
#include "filemap/model/model.hpp"

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace filemap::litmus {

/// A state of the model is a flat array of these, all of one length for one test.
using word = std::uint16_t;
inline constexpr word no_word = std::numeric_limits<word>::max();
/// Bytes: what is copied at a time (docs/model.md, rule 6).
inline constexpr std::uint64_t page_size = 4096;
/// Bytes: the smallest block that ext4 has, of which an extent has some (rule 12).
inline constexpr std::uint64_t block_size = 1024;

/// One statement of the test, and which words of a state are its own.
struct operation {
  statement what;
  std::uint8_t process = 0;
  word unit = 0;  ///< of the process
  word in_body = 0;
  std::uint8_t handle = 0;  ///< that it goes through, when it has one
  bool at_end = false;      ///< a write whose place is the end of the file
  /// The handle that opened its open file description, whose cursor it may use.
  std::uint8_t description = 0;
  bool at_cursor = false;        ///< a read or write whose place is the cursor, which it moves
  bool seeks = false;            ///< to what.offset before
  bool moves_cursor = false;     ///< such a one, or an append that is write(2)
  bool cursor_races = false;     ///< another may move the cursor while it is under way
  bool cursor_in_steps = false;  ///< a ring takes the cursor, and sets it, while others may too
  bool direct = false;
  bool queued = false;        ///< a write that is acknowledged when it is queued, or in a buffer
  bool settles = false;       ///< its handle has nothing left to write, and is locked meanwhile
  bool past_handle = false;   ///< given to the engine itself: it drains, or may be cancelled
  bool handle_stays = true;   ///< no other process opens or closes its handle
  bool alone = false;         ///< no step of another can meddle between its call and its effect
  bool beside_reads = false;  ///< a read may copy what it is just changing
  bool in_company = false;    ///< another may look at its file, or change it, while it is under way
  bool by_extents = false;    ///< an allocate: the size grows in steps that others may see
  bool beside_writes = false;  ///< of a read: the file may change while it is under way
  bool syncs = false;          ///< a write, before it returns
  bool may_fail = false;       ///< a sync beside whose file direct and buffered writes collide
  word target = no_word;       ///< of a cancel

  /// `queued`: its words are its own while its handle is busy with it, and not all the time.
  bool only_when_busy = false;

  // `no_word` where it needs none. They are its own only while its process is in its unit.
  word status = no_word;    ///< see `machine`
  word moved = no_word;     ///< two words: bytes written or read so far
  word accepted = no_word;  ///< two words: bytes queued so far
  word seen = no_word;      ///< two words, of a read: the size that it goes by
  word taken = no_word;     ///< of a read: the bytes that it has so far
  word held = no_word;      ///< of a read: the bytes of pages that were taken out of the file since
  word copying = no_word;   ///< of a read: what it may have of the page that it is at, from 1
  word place = no_word;     ///< two words, of what is at the cursor: where that was
  word before = no_word;    ///< of a truncate: the contents whose last page it is about to clear
  word start = no_word;     ///< two words, of a direct write in company: its place, from 1
  word met = no_word;       ///< of such a one: the pages that others have written to meanwhile
  word order = no_word;     ///< where something drains: its place in the order of submissions
};

/// What a process does in one go: one operation or a group.
struct unit {
  word first = 0;  ///< of `operations`
  word count = 1;
  bool grouped = false;
  group_kind kind = group_kind::batch;
  /// Of a group where writes are acknowledged early: members whose handle has settled.
  word settled = no_word;
};

/// A test as the model sees it: its operations, and where in a state their words are.
struct layout {
  std::vector<operation> operations;
  std::vector<std::vector<unit>> processes;
  std::vector<word> copiers;      ///< operations that may change what a read is copying
  std::vector<word> writers;      ///< operations that keep the lock of a file over several steps
  std::vector<word> readers;      ///< operations that copy page by page
  std::vector<word> in_the_back;  ///< operations that are `queued`
  std::vector<std::uint8_t> handle_of;  ///< by its name: the handle that it is

  word edges = 0;
  word names = 0;
  word files = 0;
  word handles = 0;
  /// By handle: the writes in its buffer, from 1, in the order in which they came; then zeros. Of a
  /// handle that may have none, no words.
  struct buffer {
    word first = 0;
    word room = 0;
  };
  std::vector<buffer> buffers;
  std::vector<word> cursors;  ///< by the handle that opened the description; two words each
  word registers = 0;
  word words = 0;

  bool drains = false;
  bool cancels = false;
  bool removes_pages = false;              ///< a truncate, a punch or a direct write
  std::vector<bool> one_notify, one_wait;  ///< by edge: in the whole test
  std::vector<bool> reseated;              ///< by handle: a process opens or closes it
  std::vector<bool> own;                   ///< by handle: one process alone uses it, none clones it

  /// Throws std::invalid_argument when the test is not one that the model can say anything of.
  layout(const test& test, const mode& mode, bool atomic);

  word index_of(const operation& op) const noexcept {
    return static_cast<word>(&op - operations.data());
  }

 private:
  void add_process(const test& test, const mode& mode, std::uint8_t process);
  void add_statement(const test& test, const mode& mode, std::uint8_t process,
                     const statement& what, bool grouped);
  void count_users(const test& test);
  void find_targets(const mode& mode);
  void find_collisions();
  void find_neighbours();
  void find_cursors(const test& test, const mode& mode, bool atomic);
  void find_who_settles(const mode& mode);
  void place(const test& test, const mode& mode, bool atomic);
  void place(operation& placed, bool atomic);
  void place_queued(const test& test, const mode& mode, bool atomic);
  const handle_declaration& opened_as(const test& test, std::uint8_t handle) const;
  bool concurrent(const operation& one, const operation& other) const noexcept;
  word new_words(unsigned count) { return std::exchange(words, static_cast<word>(words + count)); }
};

/// It is in flight for a time: it has words of its own in the state.
bool in_flight(const operation& op, const mode& mode) noexcept;
/// It changes nothing that anybody can see while the machine is up.
bool is_invisible(verb verb) noexcept;

}  // namespace filemap::litmus
