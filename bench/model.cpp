// What a state costs the model: three processes that overwrite one page, every interleaving. The
// baseline knows just this program: its state is one number, how far each process is and who wrote
// last.

#include "filemap/model/model.hpp"

#include "side_by_side.hpp"

#include <unordered_set>
#include <vector>

namespace {

using namespace filemap::litmus;
using bench::expect;

constexpr std::uint64_t processes = 3;

test overwrites(std::uint64_t writes) {
  test made;
  made.patterns = {"zeros", "A", "B", "C"};
  made.files.push_back({"f", true, contents({zeros, 0, 4096})});
  made.condition.nodes.emplace_back().atom.of_file = true;
  made.condition.nodes.back().atom.what = field::data;
  for (std::uint16_t i = 0; i < processes; ++i) {
    made.handles.push_back({.name = "h"});
    auto& process = made.processes.emplace_back();
    for (std::uint64_t n = 0; n < writes; ++n) {
      auto& write = process.body.emplace_back();
      write.what = verb::write;
      write.operand = static_cast<std::uint8_t>(i);
      write.data = {static_cast<std::uint16_t>(i + 1), 0, 4096};
    }
  }
  return made;
}

std::uint64_t enumerate(std::uint64_t writes) {
  // Two bits for who wrote last, then a byte for each process.
  const auto position = [](std::uint64_t process) { return 8 * process + 2; };
  std::vector<std::uint64_t> states = {0};
  std::unordered_set<std::uint64_t> known = {0};
  for (std::size_t next = 0; next < states.size(); ++next) {
    const auto state = states[next];
    for (std::uint64_t process = 0; process < processes; ++process) {
      if ((state >> position(process) & 0xff) == writes) continue;
      const auto after =
          ((state & ~std::uint64_t{3}) | (process + 1)) + (std::uint64_t{1} << position(process));
      if (known.insert(after).second) states.push_back(after);
    }
  }
  return states.size();
}

void compare(bench::side_by_side& bench, const char* name, std::uint64_t writes) {
  const auto test = overwrites(writes);
  const auto& mode = *find_mode("uring");
  const auto states = enumerate(writes);
  bench.compare(
      name, states, bench::at_most_extra(1000),
      [&](std::uint64_t count) {
        for (; count > 0; count -= states) {
          const auto result = model(test, mode);
          expect(result.states == states, "the model has another number of states");
          expect(result.allowed.size() == processes, "it allows another number of outcomes");
        }
      },
      [&](std::uint64_t count) {
        for (; count > 0; count -= states) {
          expect(enumerate(writes) == states, "the baseline has another number of states");
        }
      });
}

void compare_searches(bench::side_by_side& bench) {
  compare(bench, "model, a small search", 10);
  compare(bench, "model, a large search", 30);
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv,
                    "Searches every interleaving of three processes, beside a loop that knows only "
                    "this program: the time a state takes.",
                    compare_searches);
}
