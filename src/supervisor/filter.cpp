#include "filter.hpp"

#include "filemap/io/engine.hpp"
#include "filemap/io/unique_fd.hpp"

#include "config.hpp"
#include "seccomp.hpp"

#include <algorithm>
#include <cerrno>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

#if FILEMAP_HAS_LIBSECCOMP
#include <memory>
#include <seccomp.h>
#endif

namespace filemap {

#if FILEMAP_HAS_LIBSECCOMP

namespace {

struct release_filter {
  void operator()(void* filter) const noexcept { ::seccomp_release(filter); }
};
using filter_handle = std::unique_ptr<void, release_filter>;

// libseccomp returns minus an errno.
void check(int result, const char* what) {
  if (result < 0) throw std::system_error(-result, std::generic_category(), what);
}

// 32-bit programs of the same machine are heard of too.
std::vector<std::uint32_t> architectures() {
  const auto native = ::seccomp_arch_native();
  if (native == SCMP_ARCH_X86_64) return {native, SCMP_ARCH_X86};
  if (native == SCMP_ARCH_AARCH64) return {native, SCMP_ARCH_ARM};
  return {native};
}

void add_rules(const filter_handle& filter, const call_row& row) {
  const auto number = ::seccomp_syscall_resolve_name(std::string(row.name).c_str());
  if (number == __NR_SCMP_ERROR) return;  // a newer call than this libseccomp
  const auto describe = fmt::format("seccomp_rule_add {}", row.name);
  bool has_conditions = false;
  for (const auto& one : call_conditions()) {
    if (one.name != row.name) continue;
    has_conditions = true;
    const scmp_arg_cmp is{one.argument, SCMP_CMP_MASKED_EQ, one.mask, one.value};
    check(::seccomp_rule_add_array(filter.get(), SCMP_ACT_NOTIFY, number, 1, &is),
          describe.c_str());
  }
  if (has_conditions) return;
  check(::seccomp_rule_add_array(filter.get(), SCMP_ACT_NOTIFY, number, 0, nullptr),
        describe.c_str());
}

std::vector<sock_filter> exported(const filter_handle& filter) {
  const unique_fd file(::memfd_create("filter", MFD_CLOEXEC));
  if (!file) throw std::system_error(errno, std::generic_category(), "memfd_create");
  check(::seccomp_export_bpf(filter.get(), file.get()), "seccomp_export_bpf");
  const auto size = ::lseek(file.get(), 0, SEEK_END);
  std::vector<sock_filter> program(static_cast<std::size_t>(size) / sizeof(sock_filter));
  if (::pread(file.get(), program.data(), static_cast<std::size_t>(size), 0) != size) {
    throw std::system_error(errno, std::generic_category(), "read of a seccomp filter");
  }
  return program;
}

}  // namespace

call_filter::call_filter() {
  // What a machine has not is let through: x32, say.
  constexpr unsigned user_notification = 5;  // libseccomp's API level
  if (::seccomp_api_get() < user_notification) {
    throw unsupported("this kernel has no seccomp user notification (Linux 5.5 has)");
  }
  const filter_handle filter(::seccomp_init(SCMP_ACT_ALLOW));
  if (filter == nullptr) throw std::system_error(ENOMEM, std::generic_category(), "seccomp_init");
  check(::seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW),
        "seccomp_attr_set");
  ::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a tree; libseccomp 2.5 has it
  native_ = ::seccomp_arch_native();
  for (const auto architecture : architectures()) {
    const auto added = ::seccomp_arch_add(filter.get(), architecture);
    if (added != -EEXIST) check(added, "seccomp_arch_add");
    for (const auto& row : all_calls()) {
      const auto number =
          ::seccomp_syscall_resolve_name_arch(architecture, std::string(row.name).c_str());
      if (number >= 0) rows_.emplace(std::pair{architecture, number}, &row);
    }
  }
  for (const auto& row : all_calls()) add_rules(filter, row);
  program_ = exported(filter);
}

#else

call_filter::call_filter() {
  throw unsupported(
      "it was built without libseccomp; install that (libseccomp-dev) and build again");
}

#endif

int call_filter::install() const noexcept {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
  const sock_fprog program{static_cast<unsigned short>(program_.size()),
                           const_cast<sock_filter*>(program_.data())};
  constexpr unsigned long listener = SECCOMP_FILTER_FLAG_NEW_LISTENER;
  // Or each signal that is handled would end a call that is held (Linux 5.19).
  for (const auto flags : {listener | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, listener}) {
    const auto fd = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    if (fd >= 0) return static_cast<int>(fd);
    if (errno != EINVAL) break;
  }
  return -errno;
}

const call_row* call_filter::row_of(std::uint32_t architecture, int number) const noexcept {
  const auto found = rows_.find({architecture, number});
  return found == rows_.end() ? nullptr : found->second;
}

const call_row* call_filter::row_of(long number) const noexcept {
  return row_of(native_, static_cast<int>(number));
}

}  // namespace filemap
