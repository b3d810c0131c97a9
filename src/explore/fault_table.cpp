#include "fault_table.hpp"

#include "fixed_schedule.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>
#include <sys/wait.h>
#include <utility>

#include <fmt/format.h>

namespace filemap {

namespace {

// What each operation can fail with where it is likely to: man 2 of each. A close that fails has
// closed all the same, which an answer instead of the kernel's cannot do.
struct likely_fault {
  std::string_view family;
  int error;  // 0: half of its bytes
};
constexpr std::array likely = {
    likely_fault{"write", ENOSPC},
    likely_fault{"write", EIO},
    likely_fault{"write", 0},
    likely_fault{"fsync", EIO},
    likely_fault{"open", EMFILE},
    likely_fault{"open", EACCES},
    likely_fault{"rename", ENOSPC},
    likely_fault{"read", EIO},
    likely_fault{"read", 0},
    likely_fault{"truncate", EIO},
    likely_fault{"fallocate", ENOSPC},
    likely_fault{"fallocate", EOPNOTSUPP},
    likely_fault{"copy_file_range", EXDEV},
    likely_fault{"copy_file_range", ENOSPC},
    likely_fault{"sendfile", EINVAL},
    likely_fault{"statx", EACCES},
    likely_fault{"access", EACCES},
    likely_fault{"link", EPERM},
    likely_fault{"symlink", ENOSPC},
    likely_fault{"unlink", EACCES},
    likely_fault{"mkdir", ENOSPC},
    likely_fault{"rmdir", EBUSY},
    likely_fault{"lock", ENOLCK},
    likely_fault{"getdents", EIO},
};

bool has_a_half(const fallible_call& call) {
  return can_be_halved(*call.row) && call.size.value_or(0) > 1;
}

std::string text_of(std::string_view operation, std::uint64_t which, int error) {
  return fmt::format("{}#{}={}", operation, which, error == 0 ? "short" : ::strerrorname_np(error));
}

class trying {
 public:
  trying(command_subject& subject, const search_options& options)
      : subject_(subject), options_(options) {}

  fault_table run() {
    const auto begin = clock::now();
    subject_.learn();
    try {
      if (learn()) try_all();
    } catch (...) {
      table_.failed = std::current_exception();
    }
    subject_.set_faults({});
    table_.interrupted = is_interrupted(options_);
    table_.out_of_time = is_out_of_time(options_);
    table_.spent = clock::now() - begin;
    return std::move(table_);
  }

 private:
  struct planned {
    call_fault fault;
    fallible_call call;
    std::uint64_t rank;  // how many of its kind come before
  };

  // As it is. Nothing: it was stopped.
  std::optional<command_state> once() {
    fixed_schedule order{witness{}};
    order.begin();
    const auto done = execute(subject_, order, options_);
    if (!done.end) return std::nullopt;
    return subject_.state(done.end->state);
  }

  // Twice without a fault, as what differs then says nothing. False: there is nothing to try.
  bool learn() {
    subject_.record_fallible(true);
    const auto first = once();
    if (!first) return false;
    table_.without = *first;
    table_.noticed = subject_.noticed();
    calls_.assign(subject_.fallible().begin(), subject_.fallible().end());
    table_.operations = calls_.size();
    files_ = subject_.files_left();
    output_ = subject_.last_end().output;
    if (first->bad || !once()) return false;
    table_.output_is_stable = subject_.last_end().output == output_;
    for (const auto& name : unlike(subject_.files_left())) {
      table_.unstable.push_back(name);
      files_.erase(name);
    }
    subject_.record_fallible(false);
    return true;
  }

  std::vector<std::string> unlike(const std::map<std::string, std::size_t>& left) const {
    std::vector<std::string> names;
    for (const auto& [name, contents] : files_) {
      const auto found = left.find(name);
      if (found == left.end() || found->second != contents) names.push_back(name);
    }
    for (const auto& [name, contents] : left) {
      const bool is_known = files_.count(name) > 0;
      const bool is_unstable =
          std::find(table_.unstable.begin(), table_.unstable.end(), name) != table_.unstable.end();
      if (!is_known && !is_unstable) names.push_back(name);
    }
    return names;
  }

  std::vector<planned> plan() const {
    std::vector<planned> all;
    std::map<std::string_view, std::uint64_t> of_family;
    std::map<std::pair<std::string, std::string>, std::uint64_t> of_kind;
    for (const auto& call : calls_) {
      const auto which = ++of_family[call.row->family];
      const auto rank = of_kind[{std::string(call.row->word), call.process + ' ' + call.file}]++;
      for (const auto& one : likely) {
        if (one.family != call.row->family || (one.error == 0 && !has_a_half(call))) continue;
        call_fault fault{text_of(one.family, which, one.error), std::string(one.family), which,
                         one.error, 1};
        all.push_back({std::move(fault), call, rank});
      }
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const planned& a, const planned& b) { return a.rank < b.rank; });
    return all;
  }

  void try_all() {
    const auto all = plan();
    std::uint64_t runs = 0;
    for (const auto& one : all) {
      if (is_interrupted(options_) || is_out_of_time(options_) || runs++ == options_.limit) break;
      try_one(one);
    }
    table_.not_tried = all.size() - table_.tried.size();
    forget_what_time_changes();
  }

  // What two runs in one second leave alike another may leave otherwise: a date in a file. So one
  // more without a fault, when some time has passed.
  void forget_what_time_changes() {
    const bool asks = std::any_of(table_.tried.begin(), table_.tried.end(),
                                  [](const auto& one) { return !one.other_files.empty(); });
    subject_.set_faults({});
    if (!asks || !once()) return;
    for (const auto& name : unlike(subject_.files_left())) {
      table_.unstable.push_back(name);
      for (auto& one : table_.tried) {
        if (std::erase(one.other_files, name) == 0 || one.how != taken::swallowed) continue;
        if (one.other_files.empty() && one.call.row->first != effect::syncs) {
          one.how = taken::recovered;
        }
      }
    }
  }

  void try_one(const planned& one) {
    constexpr unsigned tries = 5;
    subject_.set_faults({one.fault});
    for (unsigned i = 0; i < tries; ++i) {
      const auto state = once();
      if (!state) return;
      const auto hit = subject_.hit();
      if (hit.size() == 1 && hit.front() == one.call) return judge(one, *state);
      ++table_.diverged;
    }
  }

  void judge(const planned& one, const command_state& state) {
    auto& tried = table_.tried.emplace_back();
    tried.fault = one.fault;
    tried.call = one.call;
    tried.state = state;
    tried.output = subject_.last_end().output;
    tried.other_files = unlike(subject_.files_left());
    const auto& end = subject_.last_end();
    if (!end.status) {
      tried.how = taken::hung;
    } else if (WIFSIGNALED(*end.status)) {
      tried.how = taken::died;
    } else if (state.text != table_.without.text ||
               (table_.output_is_stable && tried.output != output_)) {
      tried.how = taken::told;
    } else if (!tried.other_files.empty() || one.call.row->first == effect::syncs) {
      tried.how = taken::swallowed;
    } else {
      tried.how = taken::recovered;
    }
  }

  command_subject& subject_;
  const search_options& options_;
  std::vector<fallible_call> calls_;
  std::map<std::string, std::size_t> files_;
  std::string output_;
  fault_table table_;
};

}  // namespace

std::string_view to_string(taken how) noexcept {
  switch (how) {
    case taken::died:
      return "died";
    case taken::hung:
      return "hung";
    case taken::told:
      return "told";
    case taken::recovered:
      return "recovered";
    default:
      return "swallowed";
  }
}

fault_table try_faults(command_subject& subject, const search_options& options) {
  return trying(subject, options).run();
}

}  // namespace filemap
