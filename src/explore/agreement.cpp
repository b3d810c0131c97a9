// Holds the three readers of a test against each other, on tests that are drawn: what a run or a
// search sees the model has; a search that is complete sees all that whole operations can come to;
// samples see nothing that it does not; a witness repeats its state; what is said to mend does.
//
//     agreement [--first SEED] [--tests N] [--seconds S] [--dir DIR] [--mode MODE]
//     agreement --show SEED          prints a test, to be looked at
//
// The last line is "N passed, N failed, N skipped", each a test in a mode. Exit status: 0 none
// failed · 1 some did; the lines above say which, and how to see it again · 2 usage.

#include "filemap/explore/exploration.hpp"
#include "filemap/litmus/parser.hpp"
#include "filemap/litmus/printer.hpp"
#include "filemap/subject/session.hpp"

#include "random_test.hpp"
#include "subject/default_engine.hpp"

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fmt/format.h>

namespace {

using namespace filemap;
using namespace filemap::litmus;

struct settings {
  std::uint64_t first = 1;
  std::uint64_t tests = 100;
  std::uint64_t seconds = 0;  // 0: as long as it takes
  std::uint64_t show = 0;
  std::filesystem::path dir = "/dev/shm";
  std::string mode;  // empty: every one
};

std::optional<settings> understand(int argc, char** argv) {
  settings asked;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view option = argv[i];
    const std::string_view value = argv[i + 1];
    if (option == "--dir") {
      asked.dir = value;
      continue;
    }
    if (option == "--mode") {
      asked.mode = value;
      continue;
    }
    std::uint64_t number = 0;
    const auto [stop, error] = std::from_chars(value.begin(), value.end(), number);
    if (error != std::errc{} || stop != value.end()) return std::nullopt;
    if (option == "--first") {
      asked.first = number;
    } else if (option == "--tests") {
      asked.tests = number;
    } else if (option == "--seconds") {
      asked.seconds = number;
    } else if (option == "--show") {
      asked.show = number;
    } else {
      return std::nullopt;
    }
  }
  if (argc % 2 == 0) return std::nullopt;
  return asked;
}

class disagreement : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The model was too large, or the filesystem or kernel lacks something.
class not_compared : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A folder that is gone at the end.
class scratch {
 public:
  explicit scratch(const std::filesystem::path& below) {
    auto name = (below / "filemap-agreement.XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
      throw std::system_error(errno, std::generic_category(), "mkdtemp " + name);
    }
    path_ = name;
  }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  ~scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

class comparison_of_readers {
 public:
  comparison_of_readers(const test& test, const mode& mode, const std::filesystem::path& dir,
                        std::uint64_t seed)
      : test_(test), mode_(mode), dir_(dir), seed_(seed) {}

  void run() {
    constexpr std::uint64_t enough = 300'000;
    how_.max_states = enough;
    model_ = model(test_, mode_, how_);
    if (!model_.complete) throw not_compared("the model is too large");
    runs();
    searches();
  }

 private:
  [[noreturn]] void disagree(std::string_view what, const final_state& state) const {
    throw disagreement(fmt::format("{}: {}", what, to_string(test_, state)));
  }

  void runs() {
    const auto engine = default_engine(mode_.engine);
    session_options options;
    options.seed = seed_;
    options.model = how_;
    session session(*engine, test_, mode_, dir_, options);
    if (model_.deadlocks) return;  // a round may hang
    session.run(20);
    const auto& result = session.result();
    if (!result.cannot_run.empty()) throw not_compared(result.cannot_run);
    for (const auto& [state, line] : result.states) {
      if (line.judged && !line.allowed) disagree("a run saw what the model does not have", state);
    }
    for (const auto& [label, line] : result.histogram) {
      if (line.first.what == outcome::error || line.first.what == outcome::hang) {
        throw disagreement("a run ended with " + label);
      }
    }
  }

  void searches() {
    constexpr std::uint64_t most = 400;
    exploration_options options;
    options.limit = most;
    options.model = how_;
    options.seed = seed_;
    const auto found = explore(test_, mode_, dir_, options);
    if (!found.not_allowed.empty()) {
      disagree("a search saw what the model does not have", *found.not_allowed.begin());
    }
    if (found.deadlock_not_allowed) throw disagreement("a search came to a deadlock of its own");
    if (found.complete) complete_search(found);
    if (found.violation) {
      const auto again = replay(test_, mode_, dir_, found.violation->witness, options).value();
      if (again.state != found.violation->state)
        disagree("a replay saw another state", again.state);
    }
    if (found.why) mends(*found.why, options);
  }

  // What is said to mend is a program, and nothing bad comes of it, in the model and in a search.
  void mends(const explanation& why, const exploration_options& options) {
    if (why.mended_by.empty() == why.needed.has_value()) {
      throw disagreement("an order is needed that nothing makes, or one is made that is not");
    }
    for (const auto& one : why.mended_by) {
      const auto changed = parse(one.program, "mended");
      if (counted(changed, model(changed, mode_, how_).allowed) > 0) {
        throw disagreement("the model allows something bad of what is mended by " + one.change);
      }
      const auto again = explore(changed, mode_, dir_, options);
      if (again.violating > 0 || again.deadlocks > 0) {
        throw disagreement("a search found something bad in what is mended by " + one.change);
      }
    }
  }

  // What whole operations can come to, in any order.
  void complete_search(const exploration_result& found) {
    auto whole = how_;
    whole.atomic_writes = true;
    const auto reachable = model(test_, mode_, whole);
    for (const auto& state : reachable.allowed) {
      const bool takes_an_excess = reachable.exceeding.contains(state);
      if (found.states.contains(state) || takes_an_excess || on_a_ring_of_its_own()) continue;
      disagree("a complete search has not seen", state);
    }
    exploration_options options;
    options.samples = 30;
    options.model = how_;
    options.seed = seed_;
    for (const auto& [state, count] : explore(test_, mode_, dir_, options).states) {
      if (!found.states.contains(state))
        disagree("a sample saw what a complete search has not", state);
    }
  }

  // The kernel has an order of its own in a chain, and when it takes hold of a file.
  bool on_a_ring_of_its_own() const {
    if (mode_.engine != engine_kind::uring) return false;
    for (const auto& process : test_.processes) {
      if (!process.groups.empty()) return true;
      for (const auto& statement : process.body) {
        if (statement.what == verb::close || statement.what == verb::cancel) return true;
      }
    }
    return false;
  }

  const test& test_;
  const mode& mode_;
  const std::filesystem::path dir_;
  const std::uint64_t seed_;
  model_options how_;
  model_result model_;
};

// Whose calls wait for other things than tokio's or stdio's do, as a driver may claim it of its
// runtime.
std::vector<mode> nameless_modes() {
  auto stat_waits = *find_mode("tokio-fs");
  stat_waits.name = "statx waits";
  stat_waits.options.waits = {file_call::statx, file_call::drop_cache, file_call::seek};
  auto sync_waits = *find_mode("pool-buffered");
  sync_waits.name = "fsync flushes";
  sync_waits.options.waits = {file_call::fsync, file_call::clone, file_call::allocate};
  sync_waits.options.chunk = 512;
  auto no_seeks = *find_mode("pool-buffered");
  no_seeks.name = "buffered offsets";
  no_seeks.options.seeks = false;
  return {stat_waits, sync_waits, no_seeks};
}

class comparison_of_many {
 public:
  explicit comparison_of_many(settings asked) : asked_(std::move(asked)) {}

  int run() {
    const auto begin = clock::now();
    const auto end = begin + std::chrono::seconds{asked_.seconds};
    for (std::uint64_t i = 0; i < asked_.tests; ++i) {
      if (asked_.seconds > 0 && clock::now() >= end) break;
      compare(asked_.first + i);
    }
    fmt::print("{} passed, {} failed, {} skipped\n", passed_, failed_, skipped_);
    return failed_ == 0 ? 0 : 1;
  }

 private:
  void compare(std::uint64_t seed) {
    const auto source = random_source(seed);
    const auto test = parse(source, fmt::format("random-{}", seed));
    const auto others = nameless_modes();
    for (const auto modes : {all_modes(), older_modes(), buffered_modes(), std::span(others)}) {
      for (const auto& mode : modes) {
        if (asked_.mode.empty() || asked_.mode == mode.name) compare(test, mode, seed);
      }
    }
  }

  void compare(const test& test, const mode& mode, std::uint64_t seed) {
    try {
      const scratch dir(asked_.dir);
      comparison_of_readers(test, mode, dir.path(), seed).run();
      ++passed_;
    } catch (const not_compared&) {
      ++skipped_;
    } catch (const unsupported&) {
      ++skipped_;
    } catch (const std::exception& error) {
      ++failed_;
      fmt::print("seed {} in {}: {}\n", seed, mode.name, error.what());
      std::fflush(stdout);
    }
  }

  const settings asked_;
  std::uint64_t passed_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t skipped_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const auto asked = understand(argc, argv);
  if (!asked) {
    fmt::print(stderr,
               "Usage: agreement [--first SEED] [--tests N] [--seconds S] [--dir DIR] "
               "[--mode MODE]\n"
               "       agreement --show SEED\n");
    return 2;
  }
  if (asked->show != 0) {
    fmt::print("{}", random_source(asked->show));
    return 0;
  }
  return comparison_of_many(*asked).run();
}
