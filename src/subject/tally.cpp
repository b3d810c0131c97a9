#include "tally.hpp"

#include <set>
#include <utility>

namespace filemap::litmus {

namespace {

round_trace trace_of(const ended_round& round) {
  return {round.number, round.seen, round.start, {round.steps.begin(), round.steps.end()}};
}

}  // namespace

observation tally::count_state(const judgement& judged) {
  if (judged.failure) return *judged.failure;
  auto& line = result_.states[judged.state];
  line.counts = judged.counts;
  line.allowed = judged.stands == judgement::standing::allowed;
  line.judged = judged.stands != judgement::standing::not_judged;
  ++line.rounds;
  observation seen;
  if (line.counts) seen.what = outcome::witness;
  return seen;
}

void tally::look_for_overtaking(const ended_round& round) {
  if (round.seen.what != outcome::ok) return;
  std::set<std::pair<verb, verb>> pairs;  // one append of several may be enough for a round
  bool unknown = false;
  each_overtaking(round.steps, conflict_,
                  [&](const step& later, const step& earlier, overtaking verdict) {
                    unknown = unknown || verdict == overtaking::unknown;
                    if (verdict == overtaking::yes) {
                      pairs.insert({later.what.what, earlier.what.what});
                    }
                  });
  for (const auto& pair : pairs) ++result_.hazards.pairs[pair];
  if (!pairs.empty()) {
    ++result_.hazards.rounds;
    if (result_.hazardous.empty()) result_.hazardous.push_back(trace_of(round));
  } else if (unknown) {
    ++result_.hazards.unknown;
  }
}

void tally::add(const ended_round& round) {
  const auto& seen = round.seen;
  ++result_.rounds;
  ++result_.outcomes[static_cast<std::size_t>(seen.what)];
  auto& line = result_.histogram[seen.label()];
  if (line.rounds++ == 0) line.first = seen;
  if (is_violation(seen.what) && result_.violations.size() < traces_) {
    result_.violations.push_back(trace_of(round));
  }
  for (const auto& step : round.steps) {
    const auto what = step.what.what;
    if (!is_file_operation(what) && what != verb::flush) continue;
    if (const auto latency = step.latency()) latency_[what].record(*latency);
    if (what == verb::append && step.began() && !step.as_called &&
        step.io.returned >= step.io.submitted) {
      append_executed_.record(step.io.returned - step.io.submitted);
    }
  }
}

void tally::summarise() {
  for (const auto& [what, latency] : latency_) result_.latency[what] = latency.summary();
  result_.append_executed = append_executed_.summary();
}

}  // namespace filemap::litmus
