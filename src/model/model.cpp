// Which outcomes a mode allows a test: every interleaving of its processes, tried.
//
//     search:  take a state that has not been looked at
//              for each thing that could happen next (machine.hpp): keep what is new
//
// The states to look at are a stack, so that there are few of them at a time; those that have been
// seen are told by their hashes (state_set.hpp).

#include "filemap/model/model.hpp"

#include "machine.hpp"
#include "state_set.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace filemap::litmus {

namespace {

class search {
 public:
  search(const test& test, const mode& mode, const model_options& options, excess_set permitted)
      : options_(options), machine_(test, mode, options.atomic_writes, permitted) {}

  model_result run() {
    make(machine_.start());
    keep_what_is_new();
    while (!to_look_at_.empty() && goes_on()) look_at_next();
    result_.states = seen_.size();
    result_.complete = result_.why == cut_short::no;
    result_.results = machine_.results();
    return std::move(result_);
  }

  excess_set used() const noexcept { return machine_.used(); }

 private:
  bool goes_on() {
    constexpr std::size_t now_and_then = 4096;
    if (machine_.ran_out_of_values()) result_.why = cut_short::too_many_values;
    if (seen_.size() >= options_.max_states) result_.why = cut_short::too_many_states;
    const bool looks = ++looked_at_ % now_and_then == 0 && options_.interrupt != nullptr;
    if (looks && options_.interrupt->load()) result_.why = cut_short::interrupted;
    return result_.why == cut_short::no;
  }

  void look_at_next() {
    const auto words = machine_.words();
    const auto begin = to_look_at_.end() - static_cast<std::ptrdiff_t>(words);
    from_.assign(begin, to_look_at_.end());
    to_look_at_.erase(begin, to_look_at_.end());
    if (machine_.each_successor(from_.data(), [&](const word* state) { make(state); })) {
      keep_what_is_new();
    } else if (machine_.all_have_ended(from_.data())) {
      result_.allowed.insert(machine_.outcome(from_.data()));
    } else {
      result_.deadlocks = true;
    }
  }

  void make(const word* state) {
    made_.insert(made_.end(), state, state + machine_.words());
    seen_.prefetch(hashes_.emplace_back(state_set::hash_of(state, machine_.words())));
  }

  void keep_what_is_new() {
    auto state = made_.cbegin();
    for (const auto& hash : hashes_) {
      const auto end = state + static_cast<std::ptrdiff_t>(machine_.words());
      if (seen_.insert(hash)) to_look_at_.insert(to_look_at_.end(), state, end);
      state = end;
    }
    made_.clear();
    hashes_.clear();
  }

  const model_options options_;
  machine machine_;
  std::vector<word> to_look_at_;  // one state after the other
  std::vector<word> from_;
  std::vector<word> made_;  // of it, one after the other
  std::vector<state_set::hash> hashes_;
  state_set seen_;
  std::size_t looked_at_ = 0;
  model_result result_;
};

constexpr excess_set all_excesses = (1U << excess_count) - 1;

// With the fewest that it takes: none, then each alone; what needs several is said to take all that
// any schedule has taken.
void find_excesses(const test& test, const mode& mode, const model_options& options,
                   excess_set used, model_result& result) {
  const auto allowed_with = [&](excess_set permitted) {
    return search(test, mode, options, permitted).run();
  };
  const auto promised = allowed_with({});
  if (!promised.complete) return;
  std::vector<final_state> left;
  for (const auto& state : result.allowed) {
    if (!promised.allowed.contains(state)) left.push_back(state);
  }
  const auto take = [&](excess_set permitted) {
    std::vector<excess> taken;
    for (std::size_t i = 0; i < excess_count; ++i) {
      if (permitted[i]) taken.push_back(static_cast<excess>(i));
    }
    const auto with = allowed_with(permitted);
    std::erase_if(left, [&](const final_state& state) {
      if (!with.allowed.contains(state)) return false;
      result.exceeding[state] = taken;
      return true;
    });
  };
  for (std::size_t i = 0; i < excess_count && !left.empty(); ++i) {
    if (used[i]) take(excess_set{}.set(i));
  }
  if (!left.empty()) take(used);
}

model_result search_all(const test& test, const mode& mode, const model_options& options) {
  search all(test, mode, options, all_excesses);
  auto result = all.run();
  if (result.complete && all.used().any()) {
    find_excesses(test, mode, options, all.used(), result);
  }
  return result;
}

bool matches(const final_state& allowed, const final_state& seen) {
  const auto equal_registers = [](const register_value& a, const register_value& b) {
    return a.set == b.set && a.res == b.res && a.size == b.size && a.data.may_be(b.data);
  };
  const auto equal_files = [](const file_value& a, const file_value& b) {
    return a.exists == b.exists && a.data.may_be(b.data);
  };
  return std::equal(allowed.registers.begin(), allowed.registers.end(), seen.registers.begin(),
                    seen.registers.end(), equal_registers) &&
         std::equal(allowed.files.begin(), allowed.files.end(), seen.files.begin(),
                    seen.files.end(), equal_files);
}

}  // namespace

std::string_view to_string(excess what) noexcept {
  constexpr std::array<std::string_view, excess_count> texts = {
      "a ring may let other writers in between two parts of one buffered write (xfs and btrfs from "
      "6.1 on: io_write in io_uring/rw.c); write(2) is atomic for POSIX",
      "two O_DIRECT appends that begin together may have one place (xfs, 5.10 to 7.3); open(2), "
      "O_APPEND, says that the offset and the write are one step",
      "a ring may let other writes in while an O_DIRECT write is in flight, so that they take the "
      "end and the bytes from before it (xfs, ext4, btrfs: the lock goes when the device has got "
      "the write); open(2), NOTES, says not to mix O_DIRECT and buffered writes of one file",
      "what is cancelled may have done a part and come back short (xfs from 6.1 on); "
      "io_uring_enter(2), IORING_OP_ASYNC_CANCEL, knows all or nothing",
      "a link may go on behind a member that failed (rename, unlink, statx, a sync; 6.1 to 7.3, "
      "not "
      "5.10); io_uring_enter(2), IOSQE_IO_LINK, says that it ends there",
      "a sync may say EIO where O_DIRECT and buffered writes of one file have met "
      "(Linux commit 5a9d929d6e13); open(2), NOTES, says not to mix them",
  };
  return texts[static_cast<std::size_t>(what)];
}

std::string_view to_string(cut_short why) noexcept {
  constexpr std::array<std::string_view, 4> texts = {
      "complete",
      "too many states",
      "too many different contents",
      "interrupted",
  };
  return texts[static_cast<std::size_t>(why)];
}

std::size_t counted(const test& test, const std::set<final_state>& states) {
  return static_cast<std::size_t>(
      std::count_if(states.begin(), states.end(),
                    [&](const final_state& state) { return counts(test.condition, state); }));
}

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
  if (!mode.flush) return search_all(test, mode, options);
  auto flushed = mode;
  flushed.flush = false;
  return search_all(with_flush(test), flushed, options);
}

}  // namespace filemap::litmus
