#include "driver.hpp"

#include "filemap/io/engine.hpp"

#include <algorithm>
#include <ctime>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace filemap::litmus {

template <typename Understand>
auto driver::understood(Understand understand) {
  try {
    return understand();
  } catch (const misspoken& error) {
    throw failure(error.what());
  }
}

driver::driver(driver_process::settings how)
    : patience_(how.patience), interrupt_(how.interrupt), process_(std::move(how)) {
  process_.say(driver_protocol::greeting());
  const auto line = answer("the greeting");
  claims_ = understood([&] { return driver_claims::in(line); });
}

std::string_view driver::answer(std::string_view to) {
  std::string_view line;
  switch (process_.listen(line)) {
    case driver_process::heard::line:
      break;
    case driver_process::heard::interrupted:
      throw failure(fmt::format("interrupted before it has answered {}", to));
    case driver_process::heard::silence:
      throw failure(fmt::format("it has not answered {} within {} s", to,
                                std::chrono::duration<double>(patience_).count()));
  }
  return line;
}

void driver::begin(const test& test) {
  process_.say(protocol_.begin(test));
  const auto line = answer("a test");
  const auto refusal = understood([&] { return driver_protocol::refusal_in(line); });
  if (refusal) {
    throw unsupported(fmt::format("{} {}", claims_.name(), *refusal));
  }
}

auto driver::run(std::size_t count, const std::filesystem::path& directory, const patterns& bytes,
                 std::vector<driven_round>& rounds) -> batch_end {
  process_.say(protocol_.run(count, directory, bytes));
  rounds.clear();
  std::string_view line;
  do {
    const auto heard = process_.listen(line);
    if (heard == driver_process::heard::interrupted) return batch_end::interrupted;
    if (heard == driver_process::heard::silence) return batch_end::hang;
  } while (!understood([&] { return protocol_.take(line, rounds); }));
  return batch_end::done;
}

auto driver::land(const std::filesystem::path& directory) -> batch_end {
  using namespace std::chrono_literals;
  constexpr auto longest_pause = 20ms;
  auto pause = std::chrono::microseconds(50);
  const auto begun = clock::now();
  for (;;) {
    const auto open = process_.open_below(directory);
    if (!open) return batch_end::done;
    if (interrupt_ != nullptr && interrupt_->load()) return batch_end::interrupted;
    if (clock::now() - begun > patience_) {
      throw failure(fmt::format("it has {} still open {} s after it was done", *open,
                                std::chrono::ceil<std::chrono::seconds>(patience_).count()));
    }
    // What is waited for is in no queue of ours: the kernel tells nobody of a descriptor's end.
    const timespec time{0, std::chrono::nanoseconds(pause).count()};
    ::nanosleep(&time, nullptr);
    pause = std::min<std::chrono::microseconds>(2 * pause, longest_pause);
  }
}

}  // namespace filemap::litmus
