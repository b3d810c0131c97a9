#include "calls.hpp"

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/mman.h>

namespace filemap {

namespace {

using enum operands;
using enum effect;
using enum peculiarity;

// The names ending in 64, 2 and _time64 that a 64-bit machine has not are those of 32-bit programs.
constexpr std::array calls = {
    call_row{"read", "read", "read", descriptor, looks_at_file, nothing, at_cursor, 2},
    call_row{"readv", "readv", "read", descriptor, looks_at_file, nothing, at_cursor},
    call_row{"pread64", "pread", "read", descriptor, looks_at_file, nothing, plain, 2},
    call_row{"preadv", "preadv", "read", descriptor, looks_at_file},
    call_row{"preadv2", "preadv2", "read", descriptor, looks_at_file, nothing, at_cursor},
    call_row{"write", "write", "write", descriptor, changes_file, nothing, at_cursor, 2},
    call_row{"writev", "writev", "write", descriptor, changes_file, nothing, at_cursor},
    call_row{"pwrite64", "pwrite", "write", descriptor, changes_file, nothing, plain, 2},
    call_row{"pwritev", "pwritev", "write", descriptor, changes_file},
    call_row{"pwritev2", "pwritev2", "write", descriptor, changes_file, nothing, at_cursor},
    call_row{"copy_file_range", "copy_file_range", "copy_file_range", descriptors_0_2,
             looks_at_file, changes_file, at_cursor, 4},
    call_row{"sendfile", "sendfile", "sendfile", descriptors, changes_file, looks_at_file,
             at_cursor, 3},
    call_row{"sendfile64", "sendfile", "sendfile", descriptors, changes_file, looks_at_file,
             at_cursor, 3},
    call_row{"lseek", "lseek", "lseek", descriptor, moves_cursor},
    call_row{"_llseek", "lseek", "lseek", descriptor, moves_cursor},
    call_row{"fsync", "fsync", "fsync", descriptor, syncs},
    call_row{"fdatasync", "fdatasync", "fsync", descriptor, syncs},
    call_row{"sync_file_range", "sync_file_range", "fsync", descriptor, syncs},
    call_row{"syncfs", "syncfs", "fsync", descriptor, syncs},
    call_row{"ftruncate", "ftruncate", "truncate", descriptor, changes_file, nothing, plain, 1},
    call_row{"ftruncate64", "ftruncate", "truncate", descriptor, changes_file},
    call_row{"truncate", "truncate", "truncate", path, changes_file, nothing, plain, 1},
    call_row{"truncate64", "truncate", "truncate", path, changes_file},
    call_row{"fallocate", "fallocate", "fallocate", descriptor, changes_file, nothing, plain, 3},
    call_row{"fstat", "fstat", "statx", descriptor, looks_at_file},
    call_row{"fstat64", "fstat", "statx", descriptor, looks_at_file},
    call_row{"stat", "stat", "statx", path, looks_at_file},
    call_row{"stat64", "stat", "statx", path, looks_at_file},
    call_row{"lstat", "lstat", "statx", path, looks_at_file},
    call_row{"lstat64", "lstat", "statx", path, looks_at_file},
    call_row{"newfstatat", "fstatat", "statx", at_or_descriptor, looks_at_file},
    call_row{"fstatat64", "fstatat", "statx", at_or_descriptor, looks_at_file},
    call_row{"statx", "statx", "statx", at_or_descriptor, looks_at_file},
    call_row{"access", "access", "access", path, looks_at_name},
    call_row{"faccessat", "faccessat", "access", at, looks_at_name},
    call_row{"faccessat2", "faccessat", "access", at_or_descriptor, looks_at_name},
    call_row{"readlink", "readlink", "readlink", path, looks_at_name},
    call_row{"readlinkat", "readlink", "readlink", at, looks_at_name},
    call_row{"open", "open", "open", path, looks_at_name, nothing, opens},
    call_row{"openat", "openat", "open", at, looks_at_name, nothing, opens},
    call_row{"openat2", "openat", "open", at, looks_at_name, nothing, opens},
    call_row{"creat", "creat", "open", path, changes_name, nothing, opens},
    call_row{"close", "close", "close", descriptor, nothing, nothing, closes},
    call_row{"rename", "rename", "rename", paths, changes_name, changes_name},
    call_row{"renameat", "rename", "rename", at_at, changes_name, changes_name},
    call_row{"renameat2", "rename", "rename", at_at, changes_name, changes_name},
    call_row{"link", "link", "link", paths, looks_at_name, changes_name},
    call_row{"linkat", "link", "link", at_at, looks_at_name, changes_name},
    call_row{"symlink", "symlink", "symlink", second_path, changes_name},
    call_row{"symlinkat", "symlink", "symlink", at_1, changes_name},
    call_row{"unlink", "unlink", "unlink", path, changes_name},
    call_row{"unlinkat", "unlink", "unlink", at, changes_name},
    call_row{"mkdir", "mkdir", "mkdir", path, changes_name},
    call_row{"mkdirat", "mkdir", "mkdir", at, changes_name},
    call_row{"rmdir", "rmdir", "rmdir", path, changes_name},
    call_row{"mknod", "mknod", "mknod", path, changes_name},
    call_row{"mknodat", "mknod", "mknod", at, changes_name},
    call_row{"splice", "splice", "splice", descriptors_0_2, looks_at_file, changes_file, at_cursor,
             4},
    call_row{"ioctl", "ficlone", "ficlone", cloned, changes_file, looks_at_file},
    call_row{"chmod", "chmod", "chmod", path, changes_file, nothing, attributes},
    call_row{"fchmod", "fchmod", "chmod", descriptor, changes_file, nothing, attributes},
    call_row{"fchmodat", "chmod", "chmod", at, changes_file, nothing, attributes},
    call_row{"chown", "chown", "chown", path, changes_file, nothing, attributes},
    call_row{"chown32", "chown", "chown", path, changes_file, nothing, attributes},
    call_row{"lchown", "lchown", "chown", path, changes_file, nothing, attributes},
    call_row{"lchown32", "lchown", "chown", path, changes_file, nothing, attributes},
    call_row{"fchown", "fchown", "chown", descriptor, changes_file, nothing, attributes},
    call_row{"fchown32", "fchown", "chown", descriptor, changes_file, nothing, attributes},
    call_row{"fchownat", "chown", "chown", at_or_descriptor, changes_file, nothing, attributes},
    call_row{"utime", "utimes", "utimes", path, changes_file, nothing, attributes},
    call_row{"utimes", "utimes", "utimes", path, changes_file, nothing, attributes},
    call_row{"futimesat", "utimes", "utimes", at_or_descriptor, changes_file, nothing, attributes},
    call_row{"utimensat", "utimes", "utimes", at_or_descriptor, changes_file, nothing, attributes},
    call_row{"utimensat_time64", "utimes", "utimes", at_or_descriptor, changes_file, nothing,
             attributes},
    call_row{"setxattr", "setxattr", "setxattr", path, changes_file, nothing, attributes},
    call_row{"lsetxattr", "lsetxattr", "setxattr", path, changes_file, nothing, attributes},
    call_row{"fsetxattr", "fsetxattr", "setxattr", descriptor, changes_file, nothing, attributes},
    call_row{"removexattr", "removexattr", "setxattr", path, changes_file, nothing, attributes},
    call_row{"lremovexattr", "lremovexattr", "setxattr", path, changes_file, nothing, attributes},
    call_row{"fremovexattr", "fremovexattr", "setxattr", descriptor, changes_file, nothing,
             attributes},
    call_row{"getxattr", "getxattr", "getxattr", path, looks_at_file, nothing, attributes},
    call_row{"lgetxattr", "lgetxattr", "getxattr", path, looks_at_file, nothing, attributes},
    call_row{"fgetxattr", "fgetxattr", "getxattr", descriptor, looks_at_file, nothing, attributes},
    call_row{"listxattr", "listxattr", "getxattr", path, looks_at_file, nothing, attributes},
    call_row{"llistxattr", "llistxattr", "getxattr", path, looks_at_file, nothing, attributes},
    call_row{"flistxattr", "flistxattr", "getxattr", descriptor, looks_at_file, nothing,
             attributes},
    call_row{"getdents64", "getdents", "getdents", descriptor, lists_directory},
    call_row{"getdents", "getdents", "getdents", descriptor, lists_directory},
    call_row{"flock", "flock", "lock", descriptor, locks, nothing, waits},
    call_row{"fcntl", "fcntl", "lock", descriptor, locks, nothing, waits},
    call_row{"fcntl64", "fcntl", "lock", descriptor, locks, nothing, waits},
    call_row{"mmap", "mmap", "mmap", mapped_descriptor, nothing, nothing, maps},
    call_row{"mmap2", "mmap", "mmap", mapped_descriptor, nothing, nothing, maps},
    call_row{"io_uring_setup", "io_uring_setup", "io_uring_setup", none, nothing, nothing, submits},
    call_row{"fork", "fork", "fork", none, nothing, nothing, forks},
    call_row{"vfork", "vfork", "vfork", none, nothing, nothing, forks},
    call_row{"clone", "clone", "clone", none, nothing, nothing, forks},
    call_row{"clone3", "clone", "clone", none, nothing, nothing, forks},
    call_row{"sched_getaffinity", "sched_getaffinity", "sched_getaffinity", none, nothing, nothing,
             processors},
    call_row{"sched_setaffinity", "sched_setaffinity", "sched_setaffinity", none, nothing, nothing,
             processors},
    call_row{"nanosleep", "sleep", "sleep", none, nothing, nothing, sleeps},
    call_row{"clock_nanosleep", "sleep", "sleep", none, nothing, nothing, sleeps},
    call_row{"io_submit", "io_submit", "io_submit", none, nothing, nothing, submits},
};

constexpr std::uint64_t command = 0xffffffff;  // of fcntl and ioctl: an int

constexpr std::array conditions = {
    call_condition{"fcntl", 1, command, F_SETLK},
    call_condition{"fcntl", 1, command, F_SETLKW},
    call_condition{"fcntl", 1, command, F_OFD_SETLK},
    call_condition{"fcntl", 1, command, F_OFD_SETLKW},
    // F_SETLK and F_SETLKW, and what they are for a file above 2 GiB.
    call_condition{"fcntl64", 1, command, 6},
    call_condition{"fcntl64", 1, command, 7},
    call_condition{"fcntl64", 1, command, 13},
    call_condition{"fcntl64", 1, command, 14},
    call_condition{"fcntl64", 1, command, F_OFD_SETLK},
    call_condition{"fcntl64", 1, command, F_OFD_SETLKW},
    call_condition{"ioctl", 1, command, FICLONE},
    call_condition{"ioctl", 1, command, FICLONERANGE},
    call_condition{"mmap", 3, MAP_SHARED | MAP_ANONYMOUS, MAP_SHARED},
    call_condition{"mmap2", 3, MAP_SHARED | MAP_ANONYMOUS, MAP_SHARED},
};

}  // namespace

std::span<const call_row> all_calls() noexcept { return calls; }
bool is_operation(const call_row& row, std::string_view operation) noexcept {
  return operation == row.family || operation == row.word || operation == row.name;
}
bool can_be_halved(const call_row& row) noexcept {
  constexpr std::array halved = {"read", "pread64", "write", "pwrite64"};
  return std::find(halved.begin(), halved.end(), row.name) != halved.end();
}
std::span<const call_condition> call_conditions() noexcept { return conditions; }

}  // namespace filemap
