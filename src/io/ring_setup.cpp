// Setting a ring up: with the best flags that the kernel takes, what it can do (asked, and where
// the answer has been seen to be wrong, tried), and below a ceiling what the kernel is made to
// refuse.

#include "ring_setup.hpp"

#include "filemap/io/unique_fd.hpp"

#include "op_table.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <fstream>
#include <initializer_list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace filemap {

namespace {

// An operation or a flag that may be put into the ring, and the version that brought it. Below a
// ceiling nothing newer is let in.
struct permission {
  int what = 0;
  kernel_version since;
};

constexpr kernel_version oldest{5, 4};

// Each once.
std::vector<permission> ring_operations() {
  std::vector<permission> all;
  const auto add = [&](int operation, kernel_version since) {
    if (operation == no_operation) return;
    const auto found = std::find_if(all.begin(), all.end(),
                                    [=](const permission& one) { return one.what == operation; });
    if (found == all.end()) {
      all.push_back({operation, since});
    } else {
      found->since = std::min(found->since, since);
    }
  };
  for (const auto& row : op_table) {
    add(row.operation, row.feature.member == nullptr ? oldest : row.feature.since);
    add(row.instead, oldest);
  }
  add(IORING_OP_ASYNC_CANCEL, {5, 5});  // the engine's own
  return all;
}

constexpr std::array sqe_flags = {
    permission{IOSQE_IO_LINK, with_good_chains},
    permission{IOSQE_IO_HARDLINK, with_good_chains},
    permission{IOSQE_ASYNC, {5, 6}},
};

// What brought IORING_REGISTER_RESTRICTIONS: a ceiling, although it changes nothing else.
constexpr kernel_version with_restrictions{5, 10};

struct failure {
  bool is_environment = false;  // can be mended without another kernel
  std::string why;
  std::string advice;
};

int sysctl_io_uring_disabled() {
  std::ifstream file("/proc/sys/kernel/io_uring_disabled");
  int value = 0;
  return file >> value ? value : 0;
}

failure explain_setup(int error) {
  switch (error) {
    case ENOSYS:
      return {
          false, "this kernel has no io_uring (io_uring_setup: ENOSYS)",
          "use Linux 5.1 or later built with CONFIG_IO_URING, or a sandbox whose seccomp filter "
          "lets io_uring_setup through"};
    case EPERM:
    case EACCES:
      if (const int disabled = sysctl_io_uring_disabled(); disabled != 0) {
        return {
            false,
            "io_uring is disabled (kernel.io_uring_disabled = " + std::to_string(disabled) + ")",
            disabled == 1 ? "run as root or in the group of kernel.io_uring_group, or "
                            "sysctl kernel.io_uring_disabled=0"
                          : "sysctl kernel.io_uring_disabled=0"};
      }
      return {false, "io_uring_setup is not permitted (EPERM)",
              "a seccomp filter or a security module refuses it: in a container, allow io_uring in "
              "its seccomp profile"};
    case ENOMEM: {
      rlimit limit{};
      ::getrlimit(RLIMIT_MEMLOCK, &limit);
      if (limit.rlim_cur == RLIM_INFINITY) {
        return {true, "no memory for the ring (io_uring_setup: ENOMEM)",
                "free some, or use a smaller --entries"};
      }
      return {true,
              "no memory for the ring (io_uring_setup: ENOMEM; RLIMIT_MEMLOCK is " +
                  std::to_string(limit.rlim_cur / 1024) +
                  " KiB, and before Linux 5.12 the rings of all the user's processes count)",
              "raise it (ulimit -l), or use a smaller --entries or fewer modes at once"};
    }
    case EMFILE:
    case ENFILE:
      return {true, "no file descriptor for the ring (RLIMIT_NOFILE)", "raise it: ulimit -n"};
    default:
      return {false, "io_uring_setup: " + std::generic_category().message(error),
              "see io_uring_setup(2)"};
  }
}

// In the order of their numbers in <linux/io_uring.h>.
std::string operation_name(int op) {
  constexpr std::array names = {
      "NOP",
      "READV",
      "WRITEV",
      "FSYNC",
      "READ_FIXED",
      "WRITE_FIXED",
      "POLL_ADD",
      "POLL_REMOVE",
      "SYNC_FILE_RANGE",
      "SENDMSG",
      "RECVMSG",
      "TIMEOUT",
      "TIMEOUT_REMOVE",
      "ACCEPT",
      "ASYNC_CANCEL",
      "LINK_TIMEOUT",
      "CONNECT",
      "FALLOCATE",
      "OPENAT",
      "CLOSE",
      "FILES_UPDATE",
      "STATX",
      "READ",
      "WRITE",
      "FADVISE",
      "MADVISE",
      "SEND",
      "RECV",
      "OPENAT2",
      "EPOLL_CTL",
      "SPLICE",
      "PROVIDE_BUFFERS",
      "REMOVE_BUFFERS",
      "TEE",
      "SHUTDOWN",
      "RENAMEAT",
      "UNLINKAT",
      "MKDIRAT",
      "SYMLINKAT",
      "LINKAT",
      "MSG_RING",
      "FSETXATTR",
      "SETXATTR",
      "FGETXATTR",
      "GETXATTR",
      "SOCKET",
      "URING_CMD",
      "SEND_ZC",
      "SENDMSG_ZC",
      "READ_MULTISHOT",
      "WAITID",
      "FUTEX_WAIT",
      "FUTEX_WAKE",
      "FUTEX_WAITV",
      "FIXED_FD_INSTALL",
      "FTRUNCATE",
      "BIND",
      "LISTEN",
      "RECV_ZC",
      "EPOLL_WAIT",
      "READV_FIXED",
      "WRITEV_FIXED",
      "PIPE",
  };
  const auto index = static_cast<std::size_t>(op);
  return index < names.size() ? names[index] : "#" + std::to_string(op);
}

using probe_answer = std::unique_ptr<io_uring_probe, decltype(&io_uring_free_probe)>;

// Null before 5.6.
probe_answer ask_probe(io_uring& ring) {
  return {io_uring_get_probe_ring(&ring), &io_uring_free_probe};
}

// What the ring says that it can do, apart from how it was set up.
void probe_operations(io_uring& ring, ring_support& support) {
  auto& features = support.features;
  support.feature_bits = ring.features;
  features.no_drop = (ring.features & IORING_FEAT_NODROP) != 0;
  features.async_cancel = features.no_drop;  // both came with 5.5, which has no probe
  features.links = (ring.features & IORING_FEAT_LINKED_FILE) != 0;
  features.cursor = (ring.features & IORING_FEAT_RW_CUR_POS) != 0;
  features.force_async = features.cursor;  // both came with 5.6
  features.sqpoll_any_file = (ring.features & IORING_FEAT_SQPOLL_NONFIXED) != 0;

  const auto probe = ask_probe(ring);
  if (probe == nullptr) return;
  support.probed = true;
  const auto has = [&](int op) { return io_uring_opcode_supported(probe.get(), op) != 0; };
  for (const auto& row : op_table) {
    const auto feature = row.feature.member;
    if (feature == nullptr || is_wait(row.code)) continue;
    features.*feature = has(row.operation);
  }
  features.read_write = has(IORING_OP_READ) && has(IORING_OP_WRITE);
  features.event_read = features.read_write && (ring.features & IORING_FEAT_FAST_POLL) != 0;  // 5.7
  support.opcodes.clear();
  for (int op = 0; op <= probe->last_op; ++op) {
    if (has(op)) support.opcodes.push_back(operation_name(op));
  }
}

// Before 5.12 a ring that was closed counts against RLIMIT_MEMLOCK until a worker of the kernel has
// freed it, a moment later.
int init_patiently(io_uring& ring, unsigned entries, const io_uring_params& wanted) {
  int error = 0;
  for (int attempt = 0; attempt < 10; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(std::chrono::milliseconds{20});
    auto params = wanted;
    error = -io_uring_queue_init_params(entries, &ring, &params);
    if (error != ENOMEM) break;
  }
  return error;
}

// Sets the ring up with `flags` and the best others that the kernel takes; the features say which
// those are. Returns 0 or an errno.
int set_up(io_uring& ring, const uring_options& options, unsigned flags, ring_features& features) {
  struct attempt {
    unsigned flags;
    bool single_issuer, coop_taskrun, defer_taskrun;
  };
  constexpr unsigned single = IORING_SETUP_SINGLE_ISSUER;
  constexpr unsigned coop = IORING_SETUP_COOP_TASKRUN;
  constexpr std::array<attempt, 4> attempts = {{
      {single | IORING_SETUP_DEFER_TASKRUN, true, false, true},  // 6.1
      {single | coop, true, true, false},                        // 6.0
      {coop, false, true, false},                                // 5.19
      {0, false, false, false},
  }};
  int error = EINVAL;
  for (const auto& attempt : attempts) {
    if (attempt.defer_taskrun && (!options.defer_taskrun || options.sqpoll)) continue;
    if (attempt.coop_taskrun && options.sqpoll && !attempt.single_issuer) continue;
    if (attempt.defer_taskrun && options.without.defer_taskrun) continue;
    if (attempt.single_issuer && options.without.single_issuer) continue;
    if (attempt.coop_taskrun && options.without.coop_taskrun) continue;
    io_uring_params params{};
    params.flags = flags | attempt.flags;
    // The kernel refuses the two together: its polling thread is never interrupted.
    if (options.sqpoll) params.flags = (params.flags & ~coop) | IORING_SETUP_SQPOLL;
    error = init_patiently(ring, options.entries, params);
    if (error == 0) {
      features.single_issuer = attempt.single_issuer;
      features.coop_taskrun = attempt.coop_taskrun && !options.sqpoll;
      features.defer_taskrun = attempt.defer_taskrun;
      return 0;
    }
    if (error != EINVAL) return error;
  }
  return error;
}

// Makes the kernel refuse whatever is newer than the ceiling, and starts the ring, which was set up
// disabled. Nothing is registered any more, so that no register opcode is let through.
bool restrict_to(kernel_version ceiling, io_uring& ring) {
  const auto probe = ask_probe(ring);
  std::vector<io_uring_restriction> allowed(1);
  allowed[0].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
  for (const auto& [flag, since] : sqe_flags) {
    if (since <= ceiling) allowed[0].sqe_flags |= static_cast<std::uint8_t>(flag);
  }
  for (const auto& [operation, since] : ring_operations()) {
    // The kernel takes no restriction to an opcode that it has never heard of.
    if (since > ceiling || (probe && io_uring_opcode_supported(probe.get(), operation) == 0)) {
      continue;
    }
    auto& entry = allowed.emplace_back();
    entry.opcode = IORING_RESTRICTION_SQE_OP;
    entry.sqe_op = static_cast<std::uint8_t>(operation);
  }
  // The shared liburing 2.3 does not export its calls for these two.
  const auto did = [&](unsigned what, void* entries, std::size_t count) {
    return ::syscall(SYS_io_uring_register, ring.ring_fd, what, entries, count) == 0;
  };
  return did(IORING_REGISTER_RESTRICTIONS, allowed.data(), allowed.size()) &&
         did(IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
}

// Submits the entries that have been prepared, which end by themselves, and returns how they ended,
// in the order of their user_data from 0 on; or nothing, and then they may be in the ring still. An
// older kernel needs several calls, as an entry that it refuses ends the submission.
template <std::size_t Count>
std::optional<std::array<int, Count>> results_of_prepared(io_uring& ring) {
  std::array<int, Count> results{};
  std::size_t known = 0;
  for (int attempt = 0; known < Count && attempt < 100; ++attempt) {
    io_uring_submit_and_wait(&ring, 1);
    unsigned head = 0;
    unsigned count = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring, head, cqe) {
      results.at(cqe->user_data) = cqe->res;
      ++count;
    }
    io_uring_cq_advance(&ring, count);
    known += count;
  }
  if (known < Count) return std::nullopt;
  return results;
}

std::optional<bool> takes_statx_of_a_descriptor(io_uring& ring) {
  struct statx status {};
  auto* const sqe = io_uring_get_sqe(&ring);
  io_uring_prep_statx(sqe, ring.ring_fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status);
  io_uring_sqe_set_data64(sqe, 0);
  const auto results = results_of_prepared<1>(ring);
  if (!results) return std::nullopt;
  return (*results)[0] == 0 && status.stx_mask != 0;
}

std::optional<bool> opens_below_a_path_descriptor(io_uring& ring) {
  const unique_fd directory{::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  auto* const sqe = io_uring_get_sqe(&ring);
  io_uring_prep_openat(sqe, directory.get(), ".", O_PATH | O_CLOEXEC, 0);
  io_uring_sqe_set_data64(sqe, 0);
  const auto results = results_of_prepared<1>(ring);
  if (!results) return std::nullopt;
  const unique_fd opened{(*results)[0]};
  return opened.get() >= 0;
}

// Submits every opcode of the engine, for no file, to see which the kernel lets in.
void try_opcodes(io_uring& ring, kernel_version ceiling, ring_support& support) {
  const auto operations = ring_operations();
  std::erase_if(support.opcodes, [&](const std::string& name) {
    return std::none_of(operations.begin(), operations.end(), [&](const permission& known) {
      return known.since <= ceiling && operation_name(known.what) == name;
    });
  });
  for (const auto& known : operations) {
    auto* const sqe = io_uring_get_sqe(&ring);
    io_uring_prep_rw(known.what, sqe, -1, nullptr, 0, 0);
    io_uring_sqe_set_data64(sqe, 0);
    const auto results = results_of_prepared<1>(ring);
    if (!results) return;
    if ((*results)[0] == -EACCES) support.refused.push_back(operation_name(known.what));
  }
}

}  // namespace

bool try_operations(io_uring& ring, ring_features& features) {
  const auto try_it = [&](feature_member feature, std::optional<bool> (*attempt)(io_uring&)) {
    if (!(features.*feature)) return true;
    const auto works = attempt(ring);
    features.*feature = works.value_or(false);
    return works.has_value();
  };
  // A kernel worker does these, which costs; kernels with this bit (5.11) were seen to be right.
  if ((ring.features & IORING_FEAT_SQPOLL_NONFIXED) != 0) return true;
  return try_it(&ring_features::statx, &takes_statx_of_a_descriptor) &&
         try_it(&ring_features::open, &opens_below_a_path_descriptor);
}

// A ring as the options want it, and what it can do. Returns 0 or an errno.
int open_ring(io_uring& ring, const uring_options& options, ring_support& support) {
  bool enforced = false;
  if (options.ceiling && set_up(ring, options, IORING_SETUP_R_DISABLED, support.features) == 0) {
    probe_operations(ring, support);  // later the kernel would refuse it
    enforced = restrict_to(*options.ceiling, ring);
    if (!enforced) io_uring_queue_exit(&ring);
  }
  if (!enforced) {
    if (const int error = set_up(ring, options, 0, support.features); error != 0) return error;
    probe_operations(ring, support);
  }
  if (options.ceiling) support.ceiling = {*options.ceiling, enforced};
  support.features = support.features.minus(options.without);
  auto without = options;
  if (support.features.defer_taskrun && !support.features.event_read) {
    // Waits are polled together with the ring then, and that poll loses completions which the
    // kernel defers (seen on 6.18 with a probe that fails, 4 of 25).
    without.without.defer_taskrun = true;
  } else if (!try_operations(ring, support.features)) {
    // What was tried may be left in the ring. Without what there was to try, another is as good.
    without.without.statx = without.without.open = true;
  } else {
    return 0;
  }
  io_uring_queue_exit(&ring);
  support = {};
  return open_ring(ring, without, support);
}

[[noreturn]] void throw_setup_failure(int error, const uring_options& options) {
  if (error == EINVAL && options.entries > 4096) {
    throw unsupported("this kernel takes no ring of " + std::to_string(options.entries) +
                      " entries; use a smaller --entries");
  }
  const auto found = explain_setup(error);
  if (found.is_environment) {
    throw std::system_error(error, std::generic_category(), found.why + "; " + found.advice);
  }
  throw unsupported(found.why + "; " + found.advice);
}

uring_options normalised(uring_options options) {
  if (options.entries < 1 || options.entries > 32768) {
    throw std::system_error(
        EINVAL, std::generic_category(),
        "a ring has 1 to 32768 entries, not " + std::to_string(options.entries));
  }
  options.entries = std::max(options.entries, 8U);
  if (options.ceiling) {
    const auto all = all_ring_features();
    const auto left = all.minus(options.without).minus(features_newer_than(*options.ceiling));
    options.without = all.minus(left);
  }
  return options;
}

ring_features ring_features::minus(const ring_features& other) const noexcept {
  ring_features rest;
  for (const auto& feature : all_features) {
    rest.*feature.member = this->*feature.member && !(other.*feature.member);
  }
  return rest;
}

std::vector<std::string> ring_features::names() const {
  std::vector<std::string> names;
  for (const auto& feature : all_features) {
    if (this->*feature.member) names.emplace_back(feature.name);
  }
  return names;
}

std::vector<std::string> ring_features::substitutions() const {
  std::vector<std::string> lines;
  for (const auto& feature : all_features) {
    if (!(this->*feature.member) && !feature.substitution.empty()) {
      lines.emplace_back(feature.substitution);
    }
  }
  return lines;
}

ring_features all_ring_features() noexcept { return features_newer_than({}); }

ring_features features_newer_than(kernel_version version) noexcept {
  ring_features newer;
  for (const auto& feature : all_features) newer.*feature.member = feature.since > version;
  return newer;
}

std::vector<kernel_version> operation_ceilings() {
  std::set<kernel_version> versions = {with_restrictions};
  for (const auto& operation : ring_operations()) versions.insert(operation.since);
  for (const auto& feature : all_features) versions.insert(feature.since);
  return {versions.begin(), versions.end()};
}

ring_support probe_ring(std::optional<kernel_version> ceiling) {
  ring_support support;
  io_uring ring{};
  uring_options options;
  options.entries = 8;
  options.ceiling = ceiling;
  if (const int error = open_ring(ring, normalised(options), support); error != 0) {
    auto found = explain_setup(error);
    support.why = std::move(found.why);
    support.advice = std::move(found.advice);
    return support;
  }
  support.available = true;
  // A ring takes DEFER_TASKRUN or COOP_TASKRUN, and a kernel that has the first has the second.
  if (support.features.defer_taskrun) support.features.coop_taskrun = true;
  if (ceiling) try_opcodes(ring, *ceiling, support);
  io_uring_queue_exit(&ring);
  return support;
}

}  // namespace filemap
