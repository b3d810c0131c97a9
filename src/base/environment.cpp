#include "filemap/base/environment.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <system_error>
#include <unistd.h>

namespace filemap {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

/// Empty fields are kept: the source of a mount may be an empty string.
std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> fields;
  for (;;) {
    const std::size_t end = text.find(separator);
    fields.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return fields;
    text.remove_prefix(end + 1);
  }
}

template <typename Number>
bool parse(std::string_view text, Number& number, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc{} && end == text.data() + text.size();
}

/// The kernel writes a blank as \040, and likewise whatever else would break the format.
std::string decode(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    unsigned char byte = 0;
    if (text.size() >= 4 && text[0] == '\\' && parse(text.substr(1, 3), byte, 8)) {
      result += static_cast<char>(byte);
      text.remove_prefix(4);
    } else {
      result += text[0];
      text.remove_prefix(1);
    }
  }
  return result;
}

// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
//  0  1    2     3     4          5 any number…     1         2                  3 after the dash
std::optional<mount_entry> parse_mount(std::string_view line) {
  const std::vector<std::string_view> fields = split(line, ' ');
  if (fields.size() < 6) return {};
  const auto dash = std::find(fields.begin() + 6, fields.end(), "-");
  if (fields.end() - dash < 4) return {};

  const std::vector<std::string_view> numbers = split(fields[2], ':');
  unsigned major_number = 0;
  unsigned minor_number = 0;
  if (numbers.size() != 2 || !parse(numbers[0], major_number) || !parse(numbers[1], minor_number)) {
    return {};
  }
  return mount_entry{makedev(major_number, minor_number),
                     decode(fields[4]),
                     std::string(fields[5]),
                     decode(dash[1]),
                     decode(dash[2]),
                     std::string(dash[3])};
}

bool contains_path(std::string_view directory, std::string_view path) {
  if (directory == "/") return true;
  return path.starts_with(directory) &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

bool has_option(const mount_entry& mount, std::string_view option) {
  const std::vector<std::string_view> all = split(mount.super_options, ',');
  return std::find(all.begin(), all.end(), option) != all.end();
}

std::string option_value(const mount_entry& mount, std::string_view name_and_equals) {
  for (const std::string_view option : split(mount.super_options, ',')) {
    if (option.starts_with(name_and_equals)) return decode(option.substr(name_and_equals.size()));
  }
  return {};
}

std::string all_options(const mount_entry& mount) {
  const std::vector<std::string_view> own = split(mount.options, ',');
  std::string result = mount.options;
  for (const std::string_view option : split(mount.super_options, ',')) {
    if (std::find(own.begin(), own.end(), option) == own.end()) result.append(",").append(option);
  }
  return result;
}

template <std::size_t N>
bool is_one_of(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// SCSI pads a model with blanks.
std::string read_line(const fs::path& path) {
  std::string text = read_text(path);
  text.erase(std::min(text.find('\n'), text.size()));
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

/// The value of the first `name : value` line.
std::string_view cpuinfo_field(std::string_view cpuinfo, std::string_view name) {
  for (const std::string_view line : split(cpuinfo, '\n')) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with(name) && colon != std::string_view::npos) return line.substr(colon + 2);
  }
  return {};
}

/// btrfs has an anonymous device number; its disk is the source's.
dev_t disk_of(const mount_entry& mount) {
  struct stat source {};
  const bool anonymous = major(mount.device) == 0;
  if (anonymous && stat(mount.source.c_str(), &source) == 0 && S_ISBLK(source.st_mode)) {
    return source.st_rdev;
  }
  return mount.device;
}

/// Seen from inside a container the upper directory is a path of the host, and usually not there.
std::string upper_type_of(const mount_entry& overlay, const std::vector<mount_entry>& mounts) {
  const std::string directory = option_value(overlay, "upperdir=");
  struct stat status {};
  if (!directory.starts_with('/') || stat(directory.c_str(), &status) != 0) return {};
  const mount_entry* upper = find_mount(mounts, status.st_dev, directory);
  return upper == nullptr ? std::string{} : upper->type;
}

}  // namespace

std::vector<mount_entry> parse_mountinfo(std::string_view text) {
  std::vector<mount_entry> mounts;
  for (const std::string_view line : split(text, '\n')) {
    if (auto mount = parse_mount(line)) mounts.push_back(*std::move(mount));
  }
  return mounts;
}

const mount_entry* find_mount(const std::vector<mount_entry>& mounts, dev_t device,
                              std::string_view path) {
  const mount_entry* of_device = nullptr;
  const mount_entry* of_path = nullptr;
  const auto prefer = [](const mount_entry*& best, const mount_entry& mount) {
    if (best == nullptr || mount.mount_point.size() >= best->mount_point.size()) best = &mount;
  };
  for (const mount_entry& mount : mounts) {
    if (!contains_path(mount.mount_point, path)) continue;
    prefer(of_path, mount);
    if (mount.device == device) prefer(of_device, mount);
  }
  return of_device != nullptr ? of_device : of_path;
}

std::string caveat_of(const mount_entry& mount, std::string_view upper_type) {
  // The fsync of both is noop_fsync (mm/shmem.c, fs/ramfs/file-mmu.c). An initramfs is a rootfs.
  static constexpr std::array<std::string_view, 3> memory = {"tmpfs", "ramfs", "rootfs"};
  static constexpr std::array<std::string_view, 11> remote = {
      "9p", "virtiofs", "nfs", "nfs4", "cifs", "smb3", "ceph", "afs", "lustre", "vboxsf", "vmhgfs"};

  if (is_one_of(mount.type, memory)) {
    return "The files are in memory and fsync does nothing: durability is not tested here. With no "
           "slow fsync to hide behind, the windows of a race are at their widest.";
  }
  if (is_one_of(mount.type, remote)) {
    return "Another kernel or a server answers (" + mount.type +
           "): what a reader sees, and what fsync means, is its promise and its cache's, not only "
           "that of this kernel. A result here does not carry over to a local filesystem.";
  }
  if (mount.type == "fuse" || mount.type == "fuseblk" || mount.type.starts_with("fuse.")) {
    return "A user process answers (" + mount.type +
           "): what a reader sees, and what fsync means, is its promise. A result here does not "
           "carry over to a filesystem of the kernel.";
  }
  if (mount.type == "overlay") {
    const std::string directory = option_value(mount, "upperdir=");
    // Since Linux 5.10: Documentation/filesystems/overlayfs.rst, "Volatile mount".
    if (has_option(mount, "volatile")) {
      return "A volatile overlay: fsync does nothing, so durability is not tested here.";
    }
    if (directory.empty()) return "An overlay without an upper directory: it cannot be written to.";
    return "Written files are in the upper filesystem, " +
           (upper_type.empty() ? "whose type cannot be seen from here" : std::string(upper_type)) +
           " (" + directory + "): a result here is one about that filesystem.";
  }
  if (has_option(mount, "nobarrier") || has_option(mount, "barrier=0")) {
    return "Mounted without barriers: fsync returns without flushing the device's cache, so "
           "durability is not tested here.";
  }
  return {};
}

block_device read_block_device(const fs::path& sysfs) {
  // The entry is a symbolic link into /sys/devices, where a partition lies in its disk's directory;
  // the kernel follows it before it takes the "..".
  std::error_code ignored;
  const fs::path disk = fs::exists(sysfs / "partition", ignored) ? sysfs / ".." : sysfs;

  block_device device;
  device.model = read_line(disk / "device/model");
  device.write_cache = read_line(disk / "queue/write_cache");
  const std::string rotational = read_line(disk / "queue/rotational");
  if (!rotational.empty()) device.rotational = rotational != "0";
  device.scheduler = read_line(disk / "queue/scheduler");  // "none [mq-deadline] kyber"
  const std::size_t chosen = device.scheduler.find('[');
  if (chosen != std::string::npos) {
    const std::size_t end = device.scheduler.find(']', chosen);
    device.scheduler = device.scheduler.substr(chosen + 1, end - chosen - 1);
  }
  return device;
}

filesystem_info inspect_filesystem(const fs::path& directory) {
  std::error_code error;
  const fs::path path = fs::canonical(directory, error);
  if (error)
    fail(error.value(), "realpath " + directory.string() + " (name an existing directory)");
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) fail(errno, "stat " + path.string());
  struct statvfs space {};
  if (statvfs(path.c_str(), &space) != 0) fail(errno, "statvfs " + path.string());

  filesystem_info info;
  info.free_bytes = std::uint64_t{space.f_bavail} * space.f_frsize;

  const std::vector<mount_entry> mounts = parse_mountinfo(read_text("/proc/self/mountinfo"));
  const mount_entry* mount = find_mount(mounts, status.st_dev, path.native());
  if (mount == nullptr) {
    info.type = "unknown";
    info.caveat =
        "This directory's mount is not in /proc/self/mountinfo (a chroot, or no /proc): what fsync "
        "means here is not known.";
    return info;
  }
  const dev_t disk = disk_of(*mount);
  info.type = mount->type;
  info.mount_point = mount->mount_point;
  info.mount_options = all_options(*mount);
  info.source = mount->source;
  info.device = read_block_device("/sys/dev/block/" + std::to_string(major(disk)) + ":" +
                                  std::to_string(minor(disk)));
  info.caveat = caveat_of(*mount, upper_type_of(*mount, mounts));
  return info;
}

host_info inspect_host() {
  utsname names{};
  if (uname(&names) != 0) fail(errno, "uname");
  // A plain cpu_set_t ends at 1024 CPUs, and the call fails where the kernel knows of more.
  std::array<cpu_set_t, 16> allowed{};
  if (sched_getaffinity(0, sizeof allowed, allowed.data()) != 0) fail(errno, "sched_getaffinity");
  const std::string cpuinfo = read_text("/proc/cpuinfo");
  const std::vector<std::string_view> flags = split(cpuinfo_field(cpuinfo, "flags"), ' ');

  host_info host;
  host.kernel_release = names.release;
  host.kernel_version = names.version;
  host.machine = names.machine;
  host.cpu_model = cpuinfo_field(cpuinfo, "model name");
  host.cpus = static_cast<unsigned>(CPU_COUNT_S(sizeof allowed, allowed.data()));
  host.memory_bytes = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                      static_cast<std::uint64_t>(sysconf(_SC_PAGE_SIZE));
  host.hypervisor = std::find(flags.begin(), flags.end(), "hypervisor") != flags.end();
  host.clock_source = read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  return host;
}

std::uint64_t raise_open_file_limit() noexcept {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlimit raised{limit.rlim_max, limit.rlim_max};
  // Refused where fs.nr_open has since been lowered below the hard limit; then the old one stands.
  return setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
}

}  // namespace filemap
