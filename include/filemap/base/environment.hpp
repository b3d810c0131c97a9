#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#pragma GCC visibility push(default)

namespace filemap {

// What a result must be read with: the same experiment on another filesystem, kernel or machine is
// another experiment. What cannot be found out is left empty, never guessed, and stops nothing.

/// A line of /proc/self/mountinfo (proc(5)).
struct mount_entry {
  dev_t device = 0;           ///< st_dev of the files in it (except on btrfs)
  std::string mount_point;    ///< decoded
  std::string options;        ///< of this mount: "rw,relatime"
  std::string type;           ///< with its subtype: "ext4", "fuse.sshfs"
  std::string source;         ///< decoded: a device, a server's path, or a mere name
  std::string super_options;  ///< of the filesystem, escapes left in: "rw,upperdir=/a\054b"
};

/// The mounts in the order of the file, in which a later one hides an earlier one at the same
/// mount point. Lines that do not have the documented form are left out.
std::vector<mount_entry> parse_mountinfo(std::string_view text);

/// The mount that a file with this st_dev and canonical path lies in; null if none is known.
///
/// Among the mounts of the device (there are several where directories are bind-mounted) it is the
/// one whose mount point is the longest prefix of the path, and of those at one point the last. A
/// btrfs subvolume has a device number of its own that is not in mountinfo: with no mount of the
/// device, the path alone decides.
const mount_entry* find_mount(const std::vector<mount_entry>& mounts, dev_t device,
                              std::string_view path);

/// What writing to such a mount means for the conclusion, in plain sentences; empty for an ordinary
/// local filesystem. `upper_type` is the type under an overlay's upper directory, if known.
std::string caveat_of(const mount_entry& mount, std::string_view upper_type = {});

/// The disk under a filesystem, as the kernel describes it in /sys
/// (Documentation/ABI/stable/sysfs-block). For LVM, LUKS and RAID it is the topmost device.
struct block_device {
  std::string model;               ///< "Samsung SSD 980"; virtio disks have none
  std::optional<bool> rotational;  ///< as claimed: virtual disks often claim it wrongly
  std::string scheduler;           ///< "none", "mq-deadline" …
  std::string write_cache;  ///< "write back": fsync must flush it; "write through": it need not
};

/// Reads /sys/dev/block/MAJOR:MINOR, or a directory like it; for a partition the disk it is on. All
/// is empty when `sysfs` is not there.
block_device read_block_device(const std::filesystem::path& sysfs);

struct filesystem_info {
  std::string type;  ///< as in mount_entry; "unknown" when its mount cannot be found
  std::string mount_point;
  /// Those of the mount, then those of the filesystem that are not the same. So "ro,…,rw" is a
  /// read-only mount of a filesystem that others may write to.
  std::string mount_options;
  std::string source;
  block_device device;
  std::uint64_t free_bytes = 0;  ///< to a user without privileges
  std::string caveat;            ///< see caveat_of()
};

/// The filesystem that `directory` is on. Throws std::system_error, naming the call and the path,
/// when that does not exist or may not be looked at.
filesystem_info inspect_filesystem(const std::filesystem::path& directory);

struct host_info {
  std::string kernel_release;      ///< uname -r
  std::string kernel_version;      ///< uname -v: the build, SMP, PREEMPT…
  std::string machine;             ///< uname -m
  std::string cpu_model;           ///< x86 only
  unsigned cpus = 0;               ///< logical, that this process may run on
  std::uint64_t memory_bytes = 0;  ///< of the machine, not a control group's limit
  bool hypervisor = false;         ///< by the CPU's flag of that name; x86 only
  std::string clock_source;        ///< "tsc", "kvm-clock", "hpet": what a time stamp costs
};

/// Throws std::system_error when uname(2) or sched_getaffinity(2) fails.
host_info inspect_host();

/// Raises the soft limit of open files to the hard one: a round holds several descriptors, and the
/// usual soft limit of 1024 is there for select(2), which nothing here uses. Returns the limit then
/// in force, raised or not.
std::uint64_t raise_open_file_limit() noexcept;

}  // namespace filemap

#pragma GCC visibility pop
