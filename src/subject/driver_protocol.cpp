#include "driver_protocol.hpp"

#include "filemap/io/engine.hpp"
#include "filemap/litmus/experiment.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

#include <fmt/format.h>

namespace filemap::litmus {

namespace {

constexpr int protocol_version = 1;

template <typename Number>
std::optional<Number> number_in(std::string_view text) noexcept {
  Number value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

int digit_of(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool take_hex(std::string_view digits, std::vector<std::byte>& into) {
  if (digits.size() % 2 != 0) return false;
  into.resize(digits.size() / 2);
  for (std::size_t i = 0; i < into.size(); ++i) {
    const int high = digit_of(digits[2 * i]);
    const int low = digit_of(digits[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    into[i] = static_cast<std::byte>(high * 16 + low);
  }
  return true;
}

std::string hex_of(std::span<const std::byte> bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const auto byte : bytes) {
    text += digits[std::to_integer<unsigned>(byte) >> 4];
    text += digits[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

// A long line is told by its beginning.
std::string quoted(std::string_view line) {
  constexpr std::size_t most = 80;
  return fmt::format("\"{}{}\"", line.substr(0, most), line.size() > most ? "…" : "");
}

template <typename Each>
void each_item(std::string_view list, Each each) {
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    each(list.substr(0, comma));
    list.remove_prefix(std::min(list.size(), comma + 1));
  }
}

// --- claims: a row for each

struct claim_row {
  std::string_view name;
  bool (*take)(driver_claims& into, std::string_view value);
};

bool take_verbs(driver_claims& into, std::string_view list) {
  bool known = true;
  each_item(list, [&](std::string_view name) {
    const auto* const verb = find_verb(name);
    known = known && verb != nullptr;
    if (verb != nullptr) into.verbs.set(static_cast<std::size_t>(verb->what));
  });
  return known;
}

bool take_flags(driver_claims& into, std::string_view list) {
  bool known = true;
  each_item(list, [&](std::string_view name) {
    if (name == "append") {
      into.append = true;
    } else if (name == "direct") {
      into.direct = true;
    } else if (name == "dsync") {
      into.dsync = true;
    } else {
      known = false;
    }
  });
  return known;
}

bool take_waits(driver_claims& into, std::string_view list) {
  bool known = true;
  into.options.waits = {};
  each_item(list, [&](std::string_view name) {
    const auto* const verb = find_verb(name);
    const auto call = verb != nullptr ? call_of(verb->what) : std::nullopt;
    known = known && call.has_value();
    if (call) into.options.waits = into.options.waits.with(*call);
  });
  return known;
}

template <typename Value, std::size_t N>
bool choose(Value& into, std::string_view word,
            const std::array<std::pair<std::string_view, Value>, N>& values) {
  const auto found = std::find_if(values.begin(), values.end(),
                                  [&](const auto& each) { return each.first == word; });
  if (found == values.end()) return false;
  into = found->second;
  return true;
}

constexpr std::array claim_rows = {
    claim_row{"verbs", take_verbs},
    claim_row{"flags", take_flags},
    claim_row{"ack",
              [](driver_claims& into, std::string_view value) {
                return choose<acknowledgement, 3>(into.when, value,
                                                  {{{"complete", acknowledgement::complete},
                                                    {"queued", acknowledgement::write_behind},
                                                    {"buffered", acknowledgement::buffered}}});
              }},
    claim_row{"waits", take_waits},
    claim_row{"chunk",
              [](driver_claims& into, std::string_view value) {
                const auto bytes = number_in<std::uint64_t>(value);
                if (!bytes || *bytes == 0) return false;
                into.options.chunk = *bytes;
                return true;
              }},
    claim_row{"full",
              [](driver_claims& into, std::string_view value) {
                return choose<bool, 2>(into.options.keeps_full, value,
                                       {{{"written", false}, {"kept", true}}});
              }},
    claim_row{"cursor",
              [](driver_claims& into, std::string_view value) {
                return choose<bool, 2>(into.options.seeks, value,
                                       {{{"positional", false}, {"shared", true}}});
              }},
    claim_row{
        "read",
        [](driver_claims& into, std::string_view value) {
          return choose<bool, 2>(into.reads_whole, value, {{{"whole", true}, {"short", false}}});
        }},
    claim_row{"drop",
              [](driver_claims& into, std::string_view value) {
                return choose<drop_kind, 3>(into.options.drop, value,
                                            {{{"runs", drop_kind::runs},
                                              {"flushes", drop_kind::flushes},
                                              {"lost", drop_kind::lost}}});
              }},
};

// The words of a line, one after the other.
class driver_words {
 public:
  explicit driver_words(std::string_view line) : rest_(line) {}
  bool empty() const noexcept { return rest_.empty(); }
  std::string_view rest() const noexcept { return rest_; }
  std::string_view next() noexcept {
    const auto end = std::min(rest_.find(' '), rest_.size());
    const auto word = rest_.substr(0, end);
    rest_.remove_prefix(std::min(rest_.size(), end + 1));
    return word;
  }

 private:
  std::string_view rest_;
};

[[noreturn]] void fail_at(std::string_view line, std::string_view expected) {
  throw misspoken(fmt::format("it says {} where {} is expected", quoted(line), expected));
}

void refuse_trouble(std::string_view line) {
  constexpr std::string_view trouble = "error ";
  if (line.starts_with(trouble)) {
    throw misspoken(fmt::format("it says: {}", line.substr(trouble.size())));
  }
}

}  // namespace

std::string driver_claims::name() const { return fmt::format("{} {}", runtime, version); }

engine_traits driver_claims::traits() const {
  engine_traits traits;
  traits.name = name();
  traits.features = words;
  return traits;
}

mode driver_claims::of(mode named) const {
  named.engine = engine_kind::driver;
  named.when = when;
  named.options = options;
  return named;
}

std::optional<std::string> driver_claims::lack_for(const test& test, bool direct) const {
  const auto no = [&](std::string_view what) { return fmt::format("{} has no {}", name(), what); };
  const auto has = [&](verb what) { return verbs.test(static_cast<std::size_t>(what)); };
  if (checks_itself(test)) {
    return "a driver runs litmus tests, and not the repeated experiment; name one, as in "
           "filemap-uring tokio-4796";
  }
  for (const auto& process : test.processes) {
    if (!process.groups.empty()) return no("groups of operations that are submitted together");
    for (const auto& statement : process.body) {
      if (statement.drain) return no("drain");
      if (!has(statement.what)) return no(to_string(statement.what));
    }
  }
  for (const auto& handle : test.handles) {
    if (handle.from == handle_origin::clone && !has(verb::clone)) return no("clone");
    if (handle.append && !append) return no("O_APPEND");
    if ((handle.direct || direct) && !this->direct) return no("O_DIRECT");
    if (handle.dsync && !dsync) return no("O_DSYNC");
  }
  return std::nullopt;
}

// --- the greeting

std::string driver_protocol::greeting() { return fmt::format("hello {}\n", protocol_version); }

namespace {

void claim(driver_claims& claims, std::string_view word) {
  const auto equals = std::min(word.find('='), word.size());
  const auto name = word.substr(0, equals);
  const auto value = word.substr(std::min(word.size(), equals + 1));
  const auto row = std::find_if(claim_rows.begin(), claim_rows.end(),
                                [&](const claim_row& each) { return each.name == name; });
  if (row == claim_rows.end() || equals == word.size() || !row->take(claims, value)) {
    throw misspoken(fmt::format("its claim {} has no meaning", word));
  }
  claims.words.emplace_back(word);
}

}  // namespace

driver_claims driver_claims::in(std::string_view line) {
  const std::string expected = fmt::format("\"hello {} NAME VERSION …\"", protocol_version);
  refuse_trouble(line);
  driver_words rest(line);
  if (rest.next() != "hello") fail_at(line, expected);
  const auto version = number_in<int>(rest.next());
  if (!version) fail_at(line, expected);
  if (*version != protocol_version) {
    throw misspoken(fmt::format("it speaks version {} of the protocol, this program version {}",
                                *version, protocol_version));
  }
  driver_claims claims;
  claims.runtime = rest.next();
  claims.version = rest.next();
  if (claims.version.empty()) fail_at(line, expected);
  // What an edge needs is not a call of the runtime.
  claims.verbs.set(static_cast<std::size_t>(verb::notify));
  claims.verbs.set(static_cast<std::size_t>(verb::wait));
  while (!rest.empty()) claim(claims, rest.next());
  for (const std::string_view needed : {"verbs", "flags", "ack"}) {
    const bool made =
        std::any_of(claims.words.begin(), claims.words.end(), [&](std::string_view word) {
          return word.starts_with(needed) && word.substr(needed.size()).starts_with('=');
        });
    if (!made) throw misspoken(fmt::format("it does not claim {}=", needed));
  }
  if (claims.when == acknowledgement::buffered && claims.options.drop == drop_kind::runs) {
    throw misspoken("it claims ack=buffered without drop=flushes or drop=lost");
  }
  return claims;
}

// --- a test

namespace {

std::string flags_of(const handle_declaration& handle) {
  return fmt::format("{}{}{}", handle.append ? " append" : "", handle.direct ? " direct" : "",
                     handle.dsync ? " dsync" : "");
}

std::string line_of(const handle_declaration& handle) {
  switch (handle.from) {
    case handle_origin::open:
      return fmt::format("handle open {}{}\n", handle.source, flags_of(handle));
    case handle_origin::clone:
      return fmt::format("handle clone {}\n", handle.source);
    case handle_origin::same:
      return fmt::format("handle same {}\n", handle.source);
    case handle_origin::later:
      break;
  }
  return fmt::format("handle later{}\n", flags_of(handle));
}

// The arguments in the order of the language, each as its number.
std::string line_of(const statement& what, std::size_t data) {
  std::string line = fmt::format("op {}", to_string(what.what));
  bool after_result = false;
  for (const auto kind : traits_of(what.what).arguments) {
    switch (kind) {
      case argument::none:
      case argument::variable:
      case argument::operation:
        break;
      case argument::result:
        after_result = true;
        line += fmt::format(" {}", what.operand);
        break;
      case argument::handle:
      case argument::file:
        line += fmt::format(" {}", after_result ? what.other : what.operand);
        break;
      case argument::to_file:
        line += fmt::format(" {}", what.other);
        break;
      case argument::edge:
        line += fmt::format(" {}", what.operand);
        break;
      case argument::data:
        line += fmt::format(" {}", data);
        break;
      case argument::position:
        line += what.at_cursor ? " -" : fmt::format(" {}", what.offset);
        break;
      case argument::offset:
      case argument::length:
        line += fmt::format(" {}", what.offset);
        break;
      case argument::size:
        line += fmt::format(" {}", what.size);
        break;
    }
  }
  return line + '\n';
}

}  // namespace

std::string driver_protocol::begin(const test& test) {
  operations_.clear();
  data_.clear();
  std::string text = fmt::format("test {}\n", test.name);
  for (const auto& file : test.files) text += fmt::format("file {}\n", file.name);
  for (const auto& handle : test.handles) text += line_of(handle);
  for (std::size_t i = 0; i < test.edges.size(); ++i) text += "edge\n";
  for (const auto& process : test.processes) {
    text += "process\n";
    for (const auto& statement : process.body) {
      auto number = data_.size();
      if (is_write(statement.what)) {
        const auto found = std::find(data_.begin(), data_.end(), statement.data);
        number = static_cast<std::size_t>(found - data_.begin());
        if (found == data_.end()) data_.push_back(statement.data);
      }
      text += line_of(statement, number);
      operations_.push_back(statement);
    }
  }
  return text + "end\n";
}

std::optional<std::string> driver_protocol::refusal_in(std::string_view line) {
  refuse_trouble(line);
  if (line.starts_with("cannot ")) return std::string(line);
  if (line != "ready") fail_at(line, "\"ready\" or \"cannot …\"");
  return std::nullopt;
}

// --- a batch of rounds

void driver_protocol::check(const std::filesystem::path& directory) {
  if (directory.string().find_first_of(" \t\r\n") == std::string::npos) return;
  throw unsupported(
      fmt::format("{} has a blank in it, and a driver is told it as a word; choose another --dir",
                  directory.string()));
}

std::string driver_protocol::run(std::size_t count, const std::filesystem::path& directory,
                                 const patterns& bytes) {
  std::string text;
  for (std::size_t i = 0; i < data_.size(); ++i) {
    text += fmt::format("data {} {}\n", i, hex_of(bytes.bytes(data_[i])));
  }
  begin_batch(count);
  return text + fmt::format("run {} {}\n", count, directory.string());
}

void driver_protocol::begin_batch(std::size_t count) {
  states_.clear();
  told_.assign(count, false);
  batch_begun_ = clock::now();
}

bool driver_protocol::take(std::string_view line, std::vector<driven_round>& rounds) {
  refuse_trouble(line);
  driver_words rest(line);
  const auto what = rest.next();
  if (what == "round") {
    take_round(rest.rest(), line, rounds);
  } else if (what == "state") {
    take_state(rest.rest(), line);
  } else if (line != "done") {
    fail_at(line, "a state, a round or \"done\"");
  } else if (rounds.size() < told_.size()) {
    throw misspoken(
        fmt::format("it says \"done\" after {} of {} rounds", rounds.size(), told_.size()));
  }
  return line == "done";
}

namespace {

driven_value value_of(std::string_view word, const statement& what, std::string_view line) {
  driven_value value;
  if (word.starts_with('~')) {  // an errno that was lost: that of its kind, or of none
    const auto kind = number_in<int>(word.substr(1));
    if (!kind && word.size() > 1) fail_at(line, "\"~ERRNO\" or \"~\"");
    value.res = -kind.value_or(EIO);
    return value;
  }
  if (has_data(what.what) && word.starts_with('x')) {
    if (!take_hex(word.substr(1), value.data)) fail_at(line, "pairs of hexadecimal digits");
    if (value.data.size() > what.size) {
      fail_at(line, fmt::format("at most {} bytes of a read", what.size));
    }
    value.res = static_cast<std::int64_t>(value.data.size());
    return value;
  }
  const auto number = number_in<std::int64_t>(word);
  if (!number || (*number >= 0 && has_data(what.what))) fail_at(line, "the value of an operation");
  constexpr std::int64_t most_errno = 4095;  // MAX_ERRNO of the kernel
  if (*number < -most_errno) fail_at(line, "an errno");
  if (*number >= 0 && has_size(what.what)) {
    value.size = static_cast<std::uint64_t>(*number);
    return value;
  }
  const auto most = is_write(what.what) ? static_cast<std::int64_t>(what.data.size) : 0;
  if (*number > most) fail_at(line, fmt::format("at most {} of {}", most, to_string(what.what)));
  value.res = *number;
  return value;
}

}  // namespace

void driver_protocol::take_state(std::string_view said, std::string_view line) {
  driver_words rest(said);
  const auto id = number_in<std::uint64_t>(rest.next());
  if (!id) fail_at(line, "\"state ID VALUE…\"");
  const bool known = std::any_of(states_.begin(), states_.end(),
                                 [&](const auto& state) { return state->id == *id; });
  if (known) fail_at(line, "another state's number");
  auto& state = *states_.emplace_back(std::make_unique<told_state>(told_state{*id, {}}));
  for (const auto& operation : operations_) {
    if (rest.empty()) fail_at(line, fmt::format("a value for {} operations", operations_.size()));
    state.values.push_back(value_of(rest.next(), operation, line));
  }
  if (!rest.empty()) fail_at(line, fmt::format("a value for {} operations", operations_.size()));
}

instant driver_protocol::time_of(std::string_view word, std::string_view line) const {
  const auto since_boot = number_in<std::int64_t>(word);
  if (!since_boot) fail_at(line, "a time in nanoseconds");
  const instant time{nanoseconds(*since_boot)};
  if (time < batch_begun_ || time > clock::now()) {
    fail_at(line, "a time of CLOCK_MONOTONIC between the beginning of the batch and now");
  }
  return time;
}

void driver_protocol::take_round(std::string_view said, std::string_view line,
                                 std::vector<driven_round>& rounds) {
  driver_words rest(said);
  driven_round round;
  const auto number = number_in<std::size_t>(rest.next());
  if (!number || *number >= told_.size()) {
    fail_at(line, fmt::format("a round below {}", told_.size()));
  }
  if (told_[*number]) fail_at(line, "a round that it has not told yet");
  told_[*number] = true;
  round.number = *number;
  const auto id = number_in<std::uint64_t>(rest.next());
  const auto state = std::find_if(states_.begin(), states_.end(),
                                  [&](const auto& each) { return id && each->id == *id; });
  if (state == states_.end()) fail_at(line, "the number of a state that it has told");
  round.values = (*state)->values;
  round.begun = time_of(rest.next(), line);
  round.ended = time_of(rest.next(), line);
  if (round.ended < round.begun) fail_at(line, "an end after the beginning");
  for (std::size_t i = 0; i < operations_.size(); ++i) {
    const auto word = rest.next();
    const auto colon = std::min(word.find(':'), word.size());
    const auto begun = number_in<std::int64_t>(word.substr(0, colon));
    const auto ended = number_in<std::int64_t>(word.substr(std::min(word.size(), colon + 1)));
    if (!begun || !ended || *begun < 0 || *ended < *begun ||
        nanoseconds(*ended) > round.ended - round.begun) {
      fail_at(line, fmt::format("{} times BEGUN:ENDED within the round", operations_.size()));
    }
    round.calls.push_back({round.begun + nanoseconds(*begun), round.begun + nanoseconds(*ended)});
  }
  if (!rest.empty()) {
    fail_at(line, fmt::format("{} times BEGUN:ENDED within the round", operations_.size()));
  }
  rounds.push_back(std::move(round));
}

}  // namespace filemap::litmus
