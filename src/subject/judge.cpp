#include "judge.hpp"

#include "filemap/io/engine.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <system_error>
#include <utility>

namespace filemap::litmus {

namespace {

// What no test can ask for: where the model cannot say what an operation may come to.
bool is_environment(std::int64_t res) noexcept {
  switch (-res) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EIO:
    case EROFS:
    case EPERM:
    case EACCES:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENOTCONN:
    case EOPNOTSUPP:
    case ENOSYS:
      return true;
    default:
      return false;
  }
}

bool has_mixture(const contents& data) {
  return std::any_of(data.slices().begin(), data.slices().end(),
                     [](const slice& slice) { return slice.is_mixture(); });
}

bool has_mixture(const final_state& state) {
  const auto has = [](const auto& one) { return has_mixture(one.data); };
  return std::any_of(state.registers.begin(), state.registers.end(), has) ||
         std::any_of(state.files.begin(), state.files.end(), has);
}

bool are_equal(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

// The places whose byte stands here: of a mixture more than one is possible.
template <typename Visit>
bool any_place(const slice& slice, Visit visit) {
  return visit(slice.place()) || std::any_of(slice.or_from.begin(), slice.or_from.end(), visit);
}

std::byte byte_at(const patterns& bytes, pattern_place place, std::uint64_t at) {
  if (place.pattern == zeros) return std::byte{0};
  return bytes.bytes({place.pattern, place.offset + at, 1}).front();
}

bool are_bytes_of(const slice& slice, std::span<const std::byte> data, const patterns& bytes) {
  if (!slice.is_mixture()) {
    if (slice.pattern == zeros) {  // a hole may be larger than any that the test names
      return std::all_of(data.begin(), data.end(), [](std::byte b) { return b == std::byte{0}; });
    }
    return are_equal(bytes.bytes({slice.pattern, slice.offset, slice.size}), data);
  }
  for (std::size_t i = 0; i < data.size(); ++i) {
    const auto is_here = [&](pattern_place place) { return byte_at(bytes, place, i) == data[i]; };
    if (!any_place(slice, is_here)) return false;
  }
  return true;
}

bool are_bytes_of(const contents& value, std::span<const std::byte> data, const patterns& bytes) {
  if (value.size() != data.size()) return false;
  std::size_t at = 0;
  for (const auto& slice : value.slices()) {
    if (!are_bytes_of(slice, data.subspan(at, slice.size), bytes)) return false;
    at += slice.size;
  }
  return true;
}

std::vector<std::byte> bytes_of(const contents& value, const patterns& bytes) {
  std::vector<std::byte> all;
  for (const auto& slice : value.slices()) {
    if (slice.pattern == zeros) {
      all.insert(all.end(), slice.size, std::byte{0});
      continue;
    }
    const auto part = bytes.bytes({slice.pattern, slice.offset, slice.size});
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

// A mixture as it came out: of the places that a byte may be of, the one that goes on.
contents unmixed(const contents& mixture, std::span<const std::byte> data, const patterns& bytes) {
  contents named;
  std::size_t at = 0;
  for (const auto& slice : mixture.slices()) {
    if (!slice.is_mixture()) {
      named.append(slice);
      at += slice.size;
      continue;
    }
    auto last = slice.place();
    for (std::uint64_t i = 0; i < slice.size; ++i, ++at) {
      const auto is_here = [&](pattern_place place) {
        return byte_at(bytes, place, i) == data[at];
      };
      if (!is_here(last)) {
        any_place(slice, [&](pattern_place place) {
          if (!is_here(place)) return false;
          last = place;
          return true;
        });
      }
      named.append({last.pattern, last.pattern == zeros ? 0 : last.offset + i, 1});
    }
  }
  return named;
}

// How many bytes of the two are not of the same place, counted no further than this matters.
constexpr std::uint64_t enough_to_differ = 16;
std::uint64_t differing(const contents& one, const contents& other) {
  std::uint64_t count = 0;
  for (std::uint64_t at = 0; at < one.size() && count < enough_to_differ;) {
    const auto left = one.read(at, one.size()).slices().front();
    const auto right = other.read(at, other.size()).slices().front();
    const auto size = std::min(left.size, right.size);
    // The bytes of two patterns are never the same, so one of them is enough.
    if (left.pattern != right.pattern) return enough_to_differ;
    if (left.place() != right.place()) count += size;
    at += size;
  }
  return count;
}

}  // namespace

round_evidence::round_evidence(const test& test)
    : registers(test.registers.size()), files(test.files.size()) {
  for (const auto& process : test.processes) results.emplace_back(process.body.size());
}

void round_evidence::note(const observed_fields& observed, const statement& what,
                          std::size_t process, std::size_t at, const value& came_to) {
  const bool has_result = is_file_operation(what.what) || what.what == verb::flush;
  results[process][at] = {came_to.ended && has_result, came_to.res};
  if (what.result < 0) return;
  const auto number = static_cast<std::size_t>(what.result);
  const auto& seen = observed.registers[number];
  auto& into = registers[number];
  into = {};
  if (!seen.res && !seen.size && !seen.data) return;
  into.set = came_to.ended;
  if (seen.res) into.res = came_to.res;
  into.failed = came_to.res < 0 && (seen.size || seen.data);
  if (came_to.res < 0) return;
  if (seen.size) into.size = came_to.size;
  if (seen.data) into.data = came_to.data;
}

// Not an operation that failed, but one that the filesystem does not have.
void refuse_what_is_missing(const observation& failed, const test& test, bool direct,
                            const std::filesystem::path& dir) {
  const bool is_direct = direct || std::any_of(test.handles.begin(), test.handles.end(),
                                               [](const auto& handle) { return handle.direct; });
  const bool lacks = failed.error == EOPNOTSUPP || failed.error == ENOSYS;
  if (!lacks && !(failed.error == EINVAL && is_direct)) return;
  throw unsupported(std::string(to_string(failed.failed)) + ": " +
                    std::generic_category().message(failed.error) + " on the filesystem of " +
                    dir.string() +
                    (lacks ? "; choose another --dir"
                           : "; O_DIRECT may ask for a larger alignment there: choose another "
                             "--dir, or larger sizes"));
}

std::size_t judge::shape_hash::operator()(const shape& numbers) const noexcept {
  std::uint64_t hash = numbers.size();
  for (const auto number : numbers) {
    hash = (hash ^ static_cast<std::uint64_t>(number)) * 0x9e3779b97f4a7c15U;
    hash ^= hash >> 29;
  }
  return hash;
}

// Everything of a state, or of the evidence, but its bytes.
template <typename State, typename SizeOf>
void judge::take_shape(const State& state, SizeOf size_of, shape& numbers) {
  numbers.clear();
  for (const auto& value : state.registers) {
    numbers.push_back(value.set ? 1 : 0);
    numbers.push_back(value.failed ? 1 : 0);
    numbers.push_back(value.res);
    numbers.push_back(static_cast<std::int64_t>(value.size));
    numbers.push_back(static_cast<std::int64_t>(value.data.size()));
  }
  for (const auto& file : state.files) {
    numbers.push_back(file.exists ? 1 : 0);
    numbers.push_back(static_cast<std::int64_t>(size_of(file)));
  }
}

judge::judge(const test& test, std::shared_ptr<const model_result> model, short_reads are_short)
    : test_(test), observed_(observed_by(test)), model_(std::move(model)), are_short_(are_short) {
  if (!judges()) return;
  for (const auto& state : model_->allowed) {
    take_shape(
        state, [](const file_value& file) { return file.data.size(); }, shape_);
    candidates_[shape_].push_back({&state, counts(test.condition, state), has_mixture(state)});
  }
  for (auto& [shape, states] : candidates_) {
    // What is no mixture, and what the condition does not ask about, has the first word.
    std::stable_sort(states.begin(), states.end(), [](const auto& a, const auto& b) {
      return std::pair(a.is_mixture, a.counts) < std::pair(b.is_mixture, b.counts);
    });
  }
  find_look_alikes();
}

// Two contents of one size and place that differ in a few bytes, all of one pattern.
void judge::find_look_alikes() {
  std::map<std::pair<std::size_t, std::uint64_t>, std::set<contents>> by_place;
  const auto add = [&](std::size_t place, const contents& data) {
    if (data.size() > 0 && !has_mixture(data)) by_place[{place, data.size()}].insert(data);
  };
  for (const auto& state : model_->allowed) {
    for (std::size_t i = 0; i < state.registers.size(); ++i) add(i, state.registers[i].data);
    for (std::size_t i = 0; i < state.files.size(); ++i) {
      if (observed_.files[i].data) add(state.registers.size() + i, state.files[i].data);
    }
  }
  for (const auto& node : test_.condition.nodes) {
    const auto& atom = node.atom;
    if (node.what != condition_node::kind::atom || atom.what != field::data) continue;
    if (!atom.from)
      add(atom.of_file ? test_.registers.size() + atom.index : atom.index, atom.value);
  }
  constexpr std::size_t most = 256;  // of a place: more of them are left to chance
  for (const auto& [place, all] : by_place) {
    if (all.size() > most) continue;
    std::vector<contents> group;
    for (const auto& one : all) {
      const bool has_one = std::any_of(all.begin(), all.end(), [&](const contents& other) {
        return &other != &one && differing(one, other) < enough_to_differ;
      });
      if (has_one) group.push_back(one);
    }
    if (!group.empty()) look_alikes_.push_back(std::move(group));
  }
}

bool judge::has_look_alikes(const patterns& bytes) const {
  return std::any_of(look_alikes_.begin(), look_alikes_.end(), [&](const auto& group) {
    std::set<std::vector<std::byte>> seen;
    return std::any_of(group.begin(), group.end(), [&](const contents& one) {
      return !seen.insert(bytes_of(one, bytes)).second;
    });
  });
}

void judge::draw(patterns& bytes, std::uint64_t seed, std::uint64_t round) const {
  constexpr std::uint64_t tries = 64;  // a byte has too few values to tell many places apart
  for (std::uint64_t attempt = 0; attempt < tries; ++attempt) {
    bytes.fill(seed + attempt * 0x9e3779b97f4a7c15U, round);
    if (look_alikes_.empty() || !has_look_alikes(bytes)) return;
  }
}

bool judge::matches(const final_state& state, const round_evidence& seen,
                    const patterns& bytes) const {
  for (std::size_t i = 0; i < state.registers.size(); ++i) {
    if (!are_bytes_of(state.registers[i].data, seen.registers[i].data, bytes)) return false;
  }
  for (std::size_t i = 0; i < state.files.size(); ++i) {
    if (!observed_.files[i].data || !state.files[i].exists) continue;
    if (!are_bytes_of(state.files[i].data, seen.files[i].data, bytes)) return false;
  }
  return true;
}

// The state, but for reads that have returned a part of what they return in it.
bool judge::is_shortened(const final_state& state, const round_evidence& seen,
                         const patterns& bytes) const {
  const auto is_part = [](std::int64_t part, std::int64_t whole) {
    return part <= whole && (part > 0) == (whole > 0);
  };
  for (std::size_t i = 0; i < state.registers.size(); ++i) {
    const auto& whole = state.registers[i];
    const auto& part = seen.registers[i];
    if (whole.set != part.set || whole.failed != part.failed || whole.size != part.size)
      return false;
    const bool is_read = has_data(test_.registers[i].producer) && part.res >= 0;
    if (is_read ? !is_part(part.res, whole.res) : part.res != whole.res) return false;
    const auto size = part.data.size();
    if (!is_part(static_cast<std::int64_t>(size), static_cast<std::int64_t>(whole.data.size())) ||
        !are_bytes_of(whole.data.read(0, size), part.data, bytes)) {
      return false;
    }
  }
  for (std::size_t i = 0; i < state.files.size(); ++i) {
    const auto& there = state.files[i];
    const auto& is = seen.files[i];
    if (there.exists != is.exists || there.data.size() != is.size) return false;
    if (observed_.files[i].data && is.exists && !are_bytes_of(there.data, is.data, bytes))
      return false;
  }
  return true;
}

judgement judge::of(const round_evidence& seen, const patterns& bytes) {
  judgement made;
  made.failure = failure_of(seen);
  bool is_named = false;
  if (judges()) {
    take_shape(
        seen, [](const auto& file) { return file.size; }, shape_);
    if (const auto found = candidates_.find(shape_); found != candidates_.end()) {
      for (const auto& candidate : found->second) {
        if (!matches(*candidate.state, seen, bytes)) continue;
        made.stands = judgement::standing::allowed;
        made.counts = candidate.counts;
        if (!candidate.is_mixture) {
          made.state = *candidate.state;
          return made;
        }
        made.state = named(seen, bytes, candidate.state);
        is_named = true;
        break;
      }
    }
    if (made.stands != judgement::standing::allowed && are_short_ != short_reads::none) {
      const bool is_allowed =
          std::any_of(model_->allowed.begin(), model_->allowed.end(),
                      [&](const final_state& state) { return is_shortened(state, seen, bytes); });
      if (is_allowed) made.stands = judgement::standing::allowed;
    }
    if (made.stands != judgement::standing::allowed) {
      made.stands = are_short_ == short_reads::some_that_move_cursors
                        ? judgement::standing::not_judged
                        : judgement::standing::forbidden;
      for (std::size_t p = 0; p < test_.processes.size(); ++p) {
        for (std::size_t at = 0; at < seen.results[p].size(); ++at) {
          const auto& result = seen.results[p][at];
          const bool given = !result.ended || model_->results[p][at].contains(result.res);
          const auto& what = test_.processes[p].body[at];
          if (!given && is_asked_for(what, result.res)) {
            made.stands = judgement::standing::not_judged;
          }
        }
      }
    }
  }
  if (!is_named) made.state = named(seen, bytes, nullptr);
  const bool holds = condition_holds(test_.condition.root, seen, bytes);
  made.counts = holds != (test_.condition.quantifier == quantifier::forall);
  return made;
}

// An operation that came to what no schedule can give, and that the condition does not name.
std::optional<observation> judge::failure_of(const round_evidence& seen) const {
  for (std::size_t p = 0; p < seen.results.size(); ++p) {
    for (std::size_t at = 0; at < seen.results[p].size(); ++at) {
      const auto& result = seen.results[p][at];
      const auto& what = test_.processes[p].body[at];
      const bool is_short = is_write(what.what) && result.res >= 0 &&
                            static_cast<std::uint64_t>(result.res) < what.data.size;
      if (!result.ended || (result.res >= 0 && !is_short)) continue;
      const bool given = judges() ? model_->results[p][at].contains(result.res)
                                  : !is_short && !is_environment(result.res);
      if (given || is_asked_for(what, result.res)) continue;
      observation failed;
      failed.what = outcome::error;
      failed.failed = what.what;
      failed.error = is_short ? 0 : static_cast<int>(-result.res);
      return failed;
    }
  }
  if (!judges() || model_->allowed.empty()) return std::nullopt;
  for (std::size_t i = 0; i < seen.files.size(); ++i) {
    if (!observed_.files[i].size && !observed_.files[i].data) continue;
    const bool can_be = std::any_of(
        model_->allowed.begin(), model_->allowed.end(),
        [&](const final_state& state) { return state.files[i].exists == seen.files[i].exists; });
    if (can_be) continue;
    observation failed;  // somebody else has made or removed it
    failed.what = outcome::error;
    failed.failed = verb::open;
    failed.error = seen.files[i].exists ? EEXIST : ENOENT;
    return failed;
  }
  return std::nullopt;
}

// `P0:n.res = -ENOSPC`, or any other comparison that only this result decides by its number.
bool judge::is_asked_for(const statement& what, std::int64_t res) const {
  if (what.result < 0) return false;
  return std::any_of(
      test_.condition.nodes.begin(), test_.condition.nodes.end(), [&](const condition_node& node) {
        const auto& atom = node.atom;
        return node.what == condition_node::kind::atom && !atom.of_file &&
               atom.index == what.result && atom.what == field::res && atom.number == res;
      });
}

bool judge::condition_holds(std::size_t at, const round_evidence& seen,
                            const patterns& bytes) const {
  using kind = condition_node::kind;
  const auto& node = test_.condition.nodes[at];
  switch (node.what) {
    case kind::conjunction:
      return condition_holds(node.left, seen, bytes) && condition_holds(node.right, seen, bytes);
    case kind::disjunction:
      return condition_holds(node.left, seen, bytes) || condition_holds(node.right, seen, bytes);
    case kind::negation:
      return !condition_holds(node.left, seen, bytes);
    case kind::atom:
      break;
  }
  return atom_holds(node.atom, seen, bytes);
}

bool judge::atom_holds(const atom& atom, const round_evidence& seen, const patterns& bytes) const {
  final_state numbers;  // all but the bytes
  numbers.registers.resize(seen.registers.size());
  numbers.files.resize(seen.files.size());
  std::span<const std::byte> data;
  bool is_there = false;
  if (atom.of_file) {
    const auto& file = seen.files[atom.index];
    numbers.files[atom.index] = {file.exists, contents({zeros, 0, file.size})};
    data = file.data;
    is_there = file.exists;
  } else {
    const auto& value = seen.registers[atom.index];
    numbers.registers[atom.index] = {value.set, value.res, value.size, {}, value.failed};
    data = value.data;
    is_there = value.set;
  }
  if (atom.what != field::data) {
    condition alone;
    alone.nodes.emplace_back().atom = atom;
    return holds(alone, numbers);
  }
  if (!is_there) return false;
  if (atom.from) {
    const auto from = std::min<std::size_t>(*atom.from, data.size());
    data = data.subspan(from, std::min<std::size_t>(atom.value.size(), data.size() - from));
  }
  return are_bytes_of(atom.value, data, bytes) == (atom.how == comparison::equal);
}

// For a person. Of what is allowed, as its mixture has come out; else as the patterns have it.
final_state judge::named(const round_evidence& seen, const patterns& bytes,
                         const final_state* mixture) const {
  final_state state;
  for (std::size_t i = 0; i < seen.registers.size(); ++i) {
    const auto& value = seen.registers[i];
    auto& named = state.registers.emplace_back();
    named = {value.set, value.res, value.size, {}, value.failed};
    named.data = mixture != nullptr ? unmixed(mixture->registers[i].data, value.data, bytes)
                                    : bytes.name(value.data);
  }
  for (std::size_t i = 0; i < seen.files.size(); ++i) {
    const auto& file = seen.files[i];
    auto& named = state.files.emplace_back();
    named.exists = file.exists;
    if (!file.exists) continue;
    if (!observed_.files[i].data) {
      named.data = contents({zeros, 0, file.size});
    } else if (mixture != nullptr) {
      named.data = unmixed(mixture->files[i].data, file.data, bytes);
    } else {
      named.data = bytes.name(file.data);
    }
  }
  return project(observed_, std::move(state));
}

}  // namespace filemap::litmus
