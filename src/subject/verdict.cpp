#include "filemap/subject/verdict.hpp"

#include "filemap/base/stats.hpp"
#include "filemap/model/model.hpp"

#include <algorithm>
#include <array>

namespace filemap {

using litmus::mode_result;
using litmus::outcome;

std::string_view to_string(verdict verdict) noexcept {
  constexpr std::array<std::string_view, 10> names = {
      "ok",         "forbidden", "allowed", "hazards-only", "not-exercised",
      "not-judged", "error",     "hang",    "cannot-run",   "no-rounds",
  };
  return names[static_cast<std::size_t>(verdict)];
}

bool is_judged(const mode_result& mode) noexcept { return !mode.model || mode.model->complete; }

verdict verdict_of(const mode_result& mode, bool strict) noexcept {
  const bool allows = mode.allows_violations();
  const bool violates = mode.violation_count() > 0;
  if (mode.unexpected_count() > 0) return verdict::forbidden;
  if (violates && (strict || (is_judged(mode) && !allows))) return verdict::forbidden;
  if (mode.count(outcome::hang) > 0) return verdict::hang;
  if (!mode.cannot_run.empty()) return verdict::cannot_run;
  if (mode.count(outcome::error) > 0 || !mode.failure.what.empty()) return verdict::error;
  if (mode.rounds == 0) return verdict::no_rounds;
  if (!is_judged(mode)) return verdict::not_judged;
  if (violates) return verdict::allowed;
  if (!allows) return verdict::ok;
  return mode.hazards.rounds > 0 ? verdict::hazards_only : verdict::not_exercised;
}

std::string_view observation_word(const mode_result& mode) noexcept {
  return litmus::frequency_word(mode.violation_count(), mode.rounds);
}

std::uint64_t good_rounds(const mode_result& mode) noexcept { return mode.count(outcome::ok); }

std::vector<litmus::excess> excesses_of(const litmus::model_result& model,
                                        const litmus::final_state& seen) {
  if (model.exceeding.empty()) return {};
  const auto is_seen = [&](const litmus::final_state& state) {
    return state == seen || litmus::allows({state}, seen);  // a mixture stands for several
  };
  for (const auto& state : model.allowed) {
    if (model.exceeding.count(state) == 0 && is_seen(state)) return {};
  }
  const auto found = std::find_if(model.exceeding.begin(), model.exceeding.end(),
                                  [&](const auto& entry) { return is_seen(entry.first); });
  return found == model.exceeding.end() ? std::vector<litmus::excess>{} : found->second;
}

std::vector<difference> significant_differences(const std::vector<mode_result>& modes) {
  std::vector<difference> pairs;
  std::vector<double> p;
  for (std::size_t i = 0; i < modes.size(); ++i) {
    for (std::size_t j = i + 1; j < modes.size(); ++j) {
      const auto* more = &modes[i];
      const auto* less = &modes[j];
      if (more->rounds == 0 || less->rounds == 0) continue;
      const auto rate = [](const mode_result& mode) {
        return static_cast<double>(mode.violation_count()) / static_cast<double>(mode.rounds);
      };
      if (rate(*more) < rate(*less)) std::swap(more, less);
      pairs.push_back({more->mode.name, less->mode.name});
      p.push_back(fisher_exact(more->violation_count(), more->rounds, less->violation_count(),
                               less->rounds));
    }
  }
  p = holm(std::move(p));
  for (std::size_t i = 0; i < p.size(); ++i) pairs[i].p = p[i];
  std::erase_if(pairs, [](const difference& pair) { return pair.p >= 0.05; });
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const difference& a, const difference& b) { return a.p < b.p; });
  return pairs;
}

int exit_status_of(std::span<const verdict> verdicts, const how_it_ended& how) noexcept {
  const auto any = [&](verdict wanted) {
    return std::find(verdicts.begin(), verdicts.end(), wanted) != verdicts.end();
  };
  if (any(verdict::forbidden)) return exit_forbidden;
  if (any(verdict::hang)) return exit_hang;
  if (any(verdict::error) || how.failed) return exit_environment;
  if (how.interrupted) return exit_interrupted;
  if (any(verdict::cannot_run) || how.cannot_run) return exit_cannot_run;
  return exit_ok;
}

int more_telling(int status, int other) noexcept {
  for (const int known :
       {exit_forbidden, exit_hang, exit_environment, exit_interrupted, exit_cannot_run}) {
    if (status == known || other == known) return known;
  }
  return exit_ok;
}

}  // namespace filemap
