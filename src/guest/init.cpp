// filemap-init: process 1 of the guests that tools/kernel-run boots.
//
// Linux unpacks the initramfs, starts this as /init, and panics when it ends; so it never returns.
// It does, in this order: mount the kernel's filesystems, load the listed modules, open the
// channels to the host, mount the disk, run the program, send what came of it, wait until the host
// has it, power off. It is linked statically: a guest has no libraries.
//
// What to do is in /experiment, made by tools/kernel/guest.py: "NAME=VALUE" records, each ended by
// a NUL, as program arguments may hold anything else. (On the kernel's command line, arguments
// quote badly.)
//
// Two channels lead to the host, each a virtio-serial port found by its name or, where the kernel
// has none, a serial port: "output" takes what the program prints and then `end_of_output`,
// "result" takes records "NAME LENGTH\nBYTES\n". The last record is "end" with a checksum of all
// before it; the host believes nothing without it, as a guest can die at any point of this file.
// What was written may still be on its way when write(2) has returned, and a power-off would lose
// it: the host answers the end with a byte on the result channel, when it has everything.

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <optional>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr const char* mount_point = "/mnt";
constexpr const char* json_file = "/run/result.json";
constexpr std::string_view end_of_output("\0filemap-init: the output ends\n", 31);
// For a guest that nobody listens to; a host that has gone away has ended its guest.
constexpr int patience_for_answer = 60'000;  // ms

struct experiment {
  std::vector<std::string> modules;    ///< paths in the initramfs, in the order of loading
  std::string filesystem;              ///< of the disk, or "tmpfs", or empty for none
  std::string mount_options;           ///< as for mount(8)'s -o
  std::vector<std::string> settings;   ///< "NAME=VALUE", as for sysctl(8)
  std::string temporary = "/tmp";      ///< TMPDIR of the program
  std::vector<std::string> arguments;  ///< argv of the program; empty to only report the boot
  std::chrono::seconds timeout{600};   ///< of the program
};

/// What keeps the experiment from being run: said to the host, which takes it for "cannot tell".
struct cannot_run : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string with_reason(const std::string& what) { return what + ": " + std::strerror(errno); }

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

experiment read_experiment() {
  experiment read;
  const auto text = read_file("/experiment");
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto end = std::min(rest.find('\0'), rest.size());
    const auto record = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const auto equals = record.find('=');
    if (equals == std::string_view::npos) throw cannot_run("/experiment: a record has no '='");
    const auto name = record.substr(0, equals);
    const std::string value(record.substr(equals + 1));
    if (name == "module") read.modules.push_back(value);
    if (name == "filesystem") read.filesystem = value;
    if (name == "mount_options") read.mount_options = value;
    if (name == "setting") read.settings.push_back(value);
    if (name == "temporary") read.temporary = value;
    if (name == "argument") read.arguments.push_back(value);
    if (name == "timeout") read.timeout = std::chrono::seconds(std::stoll(value));
  }
  return read;
}

void mount_kernel_filesystems() {
  struct {
    const char *type, *where;
  } constexpr mounts[] = {{"devtmpfs", "/dev"},
                          {"proc", "/proc"},
                          {"sysfs", "/sys"},
                          {"tmpfs", "/run"},
                          {"tmpfs", "/tmp"}};
  for (const auto& mount : mounts) {
    ::mkdir(mount.where, 0755);
    // /proc or /tmp may be missing from a kernel built by hand; what needs them will say so.
    ::mount(mount.type, mount.where, mount.type, 0, nullptr);
  }
  ::mkdir(mount_point, 0755);
  ::mkdir("/dev/shm", 01777);
  ::mount("tmpfs", "/dev/shm", "tmpfs", 0, nullptr);
}

void load_module(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw cannot_run(with_reason("open " + path));
  const auto status = ::syscall(SYS_finit_module, file, "", 0);
  const int error = errno;
  ::close(file);
  errno = error;
  // EEXIST: built into this kernel. ENODEV: a processor without those instructions, as for
  // crc32c-intel.
  if (status != 0 && errno != EEXIST && errno != ENODEV) {
    throw cannot_run(with_reason("loading the module " + path));
  }
}

std::vector<std::string> names_in(const char* folder) {
  std::vector<std::string> names;
  DIR* const directory = ::opendir(folder);
  if (directory == nullptr) return names;
  while (const dirent* const entry = ::readdir(directory)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  ::closedir(directory);
  std::sort(names.begin(), names.end());
  return names;
}

/// Calls `look` until it finds something; devices appear a while after their drivers.
template <typename Look>
auto eventually(std::chrono::seconds patience, Look look) {
  const auto deadline = steady_clock::now() + patience;
  auto found = look();
  while (!found && steady_clock::now() < deadline) {
    std::this_thread::sleep_for(10ms);
    found = look();
  }
  return found;
}

std::optional<std::string> virtio_port(const std::string& name) {
  const std::string folder = "/sys/class/virtio-ports/";
  const std::string wanted = name + "\n";
  for (const auto& port : names_in(folder.c_str())) {
    std::string path = folder;
    path += port;
    path += "/name";
    if (read_file(path) == wanted) return "/dev/" + port;
  }
  return std::nullopt;
}

/// The file descriptor of a channel to the host.
int open_channel(const std::string& name, const char* serial_port) {
  const bool virtio = ::access("/sys/class/virtio-ports", F_OK) == 0;
  const auto port = eventually(virtio ? 10s : 0s, [&] { return virtio_port("filemap." + name); });
  const int channel = ::open(port.value_or(serial_port).c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);
  termios settings{};
  if (channel >= 0 && !port && ::tcgetattr(channel, &settings) == 0) {
    ::cfmakeraw(&settings);  // or it would send \r\n for \n, and echo what the host answers
    ::tcsetattr(channel, TCSANOW, &settings);
  }
  return channel;
}

/// CRC-32 as in zlib, of `bytes` after those that gave `crc`; 0 for none.
std::uint32_t crc32(std::uint32_t crc, std::string_view bytes) {
  crc = ~crc;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320U : 0);
  }
  return ~crc;
}

void write_all(int channel, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(channel, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) return;  // nobody to tell: the end will be missing
    if (written > 0) bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

class result_channel {
 public:
  explicit result_channel(int channel) : channel_(channel) {}

  void send(const std::string& name, std::string_view value) {
    write(name + " " + std::to_string(value.size()) + "\n");
    write(value);
    write("\n");
  }

  void send_end() {
    std::array<char, 9> digits{};
    std::snprintf(digits.data(), digits.size(), "%08x", crc_);
    send("end", digits.data());
  }

  /// Until the host has read all that was sent, or is not there to answer.
  void wait_for_answer() const {
    pollfd answer{channel_, POLLIN, 0};
    while (::poll(&answer, 1, patience_for_answer) < 0 && errno == EINTR) {
    }
  }

 private:
  void write(std::string_view bytes) {
    crc_ = crc32(crc_, bytes);
    write_all(channel_, bytes);
  }

  int channel_;
  std::uint32_t crc_ = 0;
};

/// The block device of the disk: the host attaches one, on each of the controllers that the kernel
/// may have.
std::string find_disk() {
  constexpr std::array<const char*, 3> candidates = {"nvme0n1", "vda", "sda"};
  const auto disk = eventually(10s, [&]() -> std::optional<std::string> {
    for (const std::string name : candidates) {
      if (::access(("/sys/block/" + name).c_str(), F_OK) == 0 &&
          ::access(("/dev/" + name).c_str(), F_OK) == 0) {
        return "/dev/" + name;
      }
    }
    return std::nullopt;
  });
  if (disk) return *disk;
  std::string there;
  for (const auto& name : names_in("/sys/block")) there += " " + name;
  throw cannot_run("no disk: this kernel shows no NVMe, virtio or SATA disk; its block devices:" +
                   (there.empty() ? " none" : there));
}

struct mount_options {
  unsigned long flags = 0;
  std::string data;
};

/// mount(8)'s words: those that are the same for all filesystems are flags of mount(2).
mount_options parse_mount_options(std::string_view words) {
  constexpr std::pair<std::string_view, unsigned long> flags[] = {
      {"ro", MS_RDONLY},         {"rw", 0},
      {"sync", MS_SYNCHRONOUS},  {"dirsync", MS_DIRSYNC},
      {"noatime", MS_NOATIME},   {"nodiratime", MS_NODIRATIME},
      {"relatime", MS_RELATIME}, {"strictatime", MS_STRICTATIME},
      {"lazytime", MS_LAZYTIME}, {"nosuid", MS_NOSUID},
      {"nodev", MS_NODEV},       {"noexec", MS_NOEXEC}};
  mount_options parsed;
  while (!words.empty()) {
    const auto word = words.substr(0, words.find(','));
    words.remove_prefix(std::min(word.size() + 1, words.size()));
    const auto* const flag = std::find_if(std::begin(flags), std::end(flags),
                                          [&](const auto& known) { return known.first == word; });
    if (flag != std::end(flags)) {
      parsed.flags |= flag->second;
    } else {
      parsed.data += (parsed.data.empty() ? "" : ",") + std::string(word);
    }
  }
  return parsed;
}

std::string mount_disk(const experiment& asked) {
  if (asked.filesystem.empty()) return "none";
  const auto disk = asked.filesystem == "tmpfs" ? "tmpfs" : find_disk();
  const auto options = parse_mount_options(asked.mount_options);
  if (::mount(disk.c_str(), mount_point, asked.filesystem.c_str(), options.flags,
              options.data.c_str()) != 0) {
    const auto how = asked.mount_options.empty() ? "" : " -o " + asked.mount_options;
    throw cannot_run(with_reason("mount -t " + asked.filesystem + how + " " + disk));
  }
  return asked.filesystem + " on " + disk;
}

void write_setting(const char* path, const char* value) {
  const int file = ::open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return;  // not every kernel has every setting
  [[maybe_unused]] const auto written = ::write(file, value, std::strlen(value));
  ::close(file);
}

/// Sets NAME=VALUE, as sysctl(8) does.
void apply_setting(const std::string& setting) {
  const auto equals = setting.find('=');
  std::string path = "/proc/sys/" + setting.substr(0, equals);
  std::replace(path.begin(), path.end(), '.', '/');
  const auto value = setting.substr(equals + 1);
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  const bool done = file >= 0 && ::write(file, value.data(), value.size()) >= 0;
  const int error = errno;
  ::close(file);
  errno = error;
  if (!done) throw cannot_run(with_reason("sysctl " + setting));
}

[[noreturn]] void become_program(const experiment& asked, int output) {
  const int nothing = ::open("/dev/null", O_RDONLY);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::setsid();
  std::vector<char*> argv;
  argv.reserve(asked.arguments.size() + 1);
  for (const auto& argument : asked.arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  auto temporary = "TMPDIR=" + asked.temporary;
  std::array<char*, 3> environment = {const_cast<char*>("PATH=/"), temporary.data(), nullptr};
  ::execve(argv.front(), argv.data(), environment.data());
  std::perror(argv.front());
  ::_exit(127);
}

/// Runs the program to its end or its time-out, and sends which it was.
void run_program(const experiment& asked, int output, result_channel& result) {
  const pid_t program = ::fork();
  if (program == 0) become_program(asked, output);
  if (program < 0) throw cannot_run(with_reason("fork"));
  int status = 0;
  const bool ended = eventually(asked.timeout, [&] {
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);  // and reaps orphans, as process 1 must
    return pid == program;
  });
  if (ended) write_all(output, end_of_output);
  if (ended && WIFEXITED(status)) result.send("exited", std::to_string(WEXITSTATUS(status)));
  if (ended && WIFSIGNALED(status)) result.send("killed", std::to_string(WTERMSIG(status)));
  if (!ended) {
    write_setting("/proc/sysrq-trigger", "w");  // the blocked tasks' stacks, to the console
    result.send("timeout", std::to_string(asked.timeout.count()));
  }
  if (::access(json_file, F_OK) == 0) result.send("json", read_file(json_file));
}

void run_experiment(result_channel& result) {
  const auto asked = read_experiment();
  if (asked.arguments.empty()) return;
  const int output = open_channel("output", "/dev/ttyS1");
  result.send("mounted", mount_disk(asked));
  for (const auto& setting : asked.settings) apply_setting(setting);
  write_setting("/proc/sys/kernel/sysrq", "1");
  write_setting("/proc/sys/kernel/hung_task_timeout_secs", "30");
  write_setting("/dev/kmsg", "<5>filemap-init: the program starts");
  result.send("started", "");
  run_program(asked, output, result);
}

void serve() {
  mount_kernel_filesystems();
  std::string failure;
  try {  // the channels themselves may need modules
    for (const auto& module : read_experiment().modules) load_module(module);
  } catch (const std::exception& error) {
    failure = error.what();
  }
  result_channel result(open_channel("result", "/dev/ttyS2"));
  utsname kernel{};
  ::uname(&kernel);
  result.send("booted", kernel.release);
  try {
    if (!failure.empty()) throw cannot_run(failure);
    run_experiment(result);
  } catch (const std::exception& error) {
    result.send("failed", error.what());
  }
  result.send_end();
  result.wait_for_answer();
}

}  // namespace

int main() {
  if (::getpid() != 1) {
    std::fputs("filemap-init: it is process 1 of a guest; start one with tools/kernel-run\n",
               stderr);
    return 2;
  }
  serve();
  ::reboot(RB_POWER_OFF);
  for (;;) ::pause();  // no power to switch off: the host ends the guest
}
