#include "driver_subject.hpp"

#include "base/units.hpp"
#include "driver_process.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace filemap::litmus {

namespace {

// The bytes of every read as digits, a few times over.
constexpr std::size_t most_output = 8 * max_total_size;

std::string_view take_line(std::string_view& from) {
  const auto end = std::min(from.find('\n'), from.size());
  const auto line = from.substr(0, end);
  from.remove_prefix(std::min(from.size(), end + 1));
  return line;
}

// Is a system call of this word what a runtime makes of the verb?
bool is_made_by(verb what, std::string_view word) {
  const auto is_like = [&](std::string_view part) {
    return word.find(part) != std::string_view::npos;
  };
  switch (what) {
    case verb::append:
    case verb::write:
      return is_like("write");
    case verb::read:
      return is_like("read");
    case verb::statx:
      return is_like("stat");
    case verb::truncate:
      return is_like("truncate");
    case verb::allocate:
    case verb::punch:
      return word == "fallocate";
    case verb::open:
      return is_like("open");
    case verb::seek:
      return word == "lseek";
    default:
      return word == to_string(what);
  }
}

}  // namespace

driver_subject::driver_subject(const test& test, const mode& mode, const driver_claims& claims,
                               std::shared_ptr<const model_result> model, const settings& how)
    : test_(test),
      claims_(claims),
      acknowledges_early_(mode.acknowledges_early()),
      directory_(std::filesystem::canonical(how.directory) / "tmp" / "round"),
      rounds_(test_, mode, claims, std::move(model), false, how.directory) {
  driver_protocol::check(directory_);
  if (const auto lack = claims.lack_for(test_, false)) throw unsupported(*lack);
  rounds_.draw(0, 0);
  command_settings command;
  command.command = {"/bin/sh", "-c", how.command};
  command.directory = how.directory;
  command.watch = {directory_};
  command.input = conversation();
  command.last_words = "\ndone\n";
  command.kept_output = most_output;
  command.prepares = [this] { make_files(); };
  command.run_timeout = how.patience;
  // A runtime's monitor that gives a held thread's work to another looks so often, and does so when
  // it has seen it held for 10 ms (Go's sysmon).
  command.longest_nap = std::chrono::milliseconds(11);
  command.shortest_doze = std::chrono::milliseconds(25);
  command.interrupt = how.interrupt;
  command_ = std::make_unique<command_subject>(std::move(command));
  command_->learn();
}

std::string driver_subject::conversation() {
  auto text = driver_protocol::greeting();
  text += protocol_.begin(test_);
  text += protocol_.run(1, directory_, rounds_.bytes());
  return text;
}

void driver_subject::make_files() {
  files_.reset();
  std::filesystem::create_directory(directory_);
  where_.emplace(directory_);
  files_.emplace(test_, *where_, 0).make(rounds_.bytes());
  protocol_.begin_batch(1);  // what it tells from now on is of this round
}

ending driver_subject::end() {
  const auto ended = command_->end();
  const auto& last = command_->last_end();
  has_ring_ = has_ring_ || command_->noticed().rings > 0;
  was_forced_ = was_forced_ || command_->noticed().forced > 0;
  steps_.clear();
  try {
    const auto round = round_in(last);
    if (!round) return {.deadlock = true, .outwaited = ended.outwaited};
    const auto steps = rounds_.steps_of(*round);
    steps_.assign(steps.begin(), steps.end());
    time_operations();
    auto reached = came_to(rounds_.judged(*round, *files_));
    reached.outwaited = ended.outwaited;
    return reached;
  } catch (const misspoken& error) {
    throw failure_of(error.what(), last.errors);
  }
}

// When the kernel has executed what the steps are about: a call that was held is of the first step
// of its kind that had begun then, and had not returned unless it does early.
void driver_subject::time_operations() {
  const auto calls = command_->executed();
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const auto at = command_->begun() + calls[i].at;
    const bool is_last = i + 1 == calls.size();
    const auto next = is_last ? instant::max() : command_->begun() + calls[i + 1].at;
    const auto may_be = [&](const step& step) {
      const bool early = is_write(step.what.what) && acknowledges_early_;
      return step.as_called && is_made_by(step.what.what, calls[i].word) && step.called <= at &&
             (early || (at <= step.returned && step.returned <= next));
    };
    const auto found = std::find_if(steps_.begin(), steps_.end(), may_be);
    if (found == steps_.end()) continue;
    const auto number = found - steps_.begin();
    // What one process does it does in its order.
    const bool is_known = std::none_of(found + 1, steps_.end(), [&](const step& other) {
      return other.process != found->process && may_be(other);
    });
    const auto [known, is_new] = operations_.try_emplace(calls[i].name, number);
    is_stable_ = is_stable_ && is_known && (is_new || known->second == number);
    found->as_called = false;
    found->io.started = at;
    // It is over when the next is executed; of the last no more is known than that it is.
    if (at < found->returned) continue;
    found->io.returned = is_last ? at + nanoseconds(1) : next;
  }
}

// Nothing: it has come to its end, and the round had not.
std::optional<driven_round> driver_subject::round_in(const command_end& ended) {
  std::string_view output = ended.output;
  if (output.empty()) {
    throw misspoken(ended.status ? how_it_ended(*ended.status)
                                 : "a run with one round has not ended in time");
  }
  driver_claims::in(take_line(output));
  if (const auto refusal = driver_protocol::refusal_in(take_line(output))) {
    throw unsupported(fmt::format("{} {}", claims_.name(), *refusal));
  }
  std::vector<driven_round> rounds;
  while (!output.empty()) {
    if (protocol_.take(take_line(output), rounds)) return std::move(rounds.front());
  }
  if (ended.status && *ended.status != 0) throw misspoken(how_it_ended(*ended.status));
  return std::nullopt;
}

std::string driver_subject::not_held() const {
  std::string all;
  const auto add = [&](bool is_so, std::string_view what) {
    if (is_so) all.append(all.empty() ? "" : "; ").append(what);
  };
  add(has_ring_, "what its runtime does by an io_uring of its own cannot be held");
  add(closes_what_others_use(test_),
      "whether a handle is closed when another process calls it is decided in the memory of its "
      "runtime");
  add(!is_stable_,
      "calls that look alike came in another order from run to run, so that one schedule may have "
      "been executed for another");
  add(was_forced_, "it was not at rest when some calls were chosen");
  return all;
}

engine_traits driver_subject::traits() const { return claims_.traits(); }

}  // namespace filemap::litmus
