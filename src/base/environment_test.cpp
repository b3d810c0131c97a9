#include "filemap/base/environment.hpp"

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace filemap {
namespace {

namespace fs = std::filesystem;

// Recorded on Linux 6.18 (an ext4 root, then what was mounted on it), but for the container's, 9p's
// and sshfs's, which have the form that Docker, QEMU and sshfs give them.
constexpr std::string_view recorded =
    R"(26 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard,resuid=65534
24 23 0:22 / /dev/shm rw,relatime - tmpfs tmpfs rw,size=24683620k
29 24 0:26 / /dev/shm rw,relatime - tmpfs tmpfs rw,size=24683620k
62 42 0:39 / /tmp/m\040t rw,relatime - tmpfs a\040name rw
68 42 0:42 / /tmp/nameless rw,relatime - tmpfs  rw
64 42 254:0 /work /tmp/bind rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard,resuid=65534
63 42 0:38 / /tmp/bt rw,relatime - btrfs /dev/loop0 rw,discard=async,space_cache=v2,subvolid=5,subvol=/
65 42 0:38 /sub /tmp/bs rw,relatime - btrfs /dev/loop0 rw,discard=async,space_cache=v2,subvolid=256,subvol=/sub
70 42 0:51 / /share ro,relatime - 9p hostshare rw,access=client,trans=virtio
71 42 0:52 / /home/u/remote rw,nosuid,nodev,relatime - fuse.sshfs user@host:/srv rw,user_id=1000,group_id=1000
)";

constexpr std::string_view in_a_container =
    R"(348 271 0:134 / / rw,relatime master:69 - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/JA7:/var/lib/docker/overlay2/l/UKU,upperdir=/var/lib/docker/overlay2/98ac/diff,workdir=/var/lib/docker/overlay2/98ac/work
349 348 254:1 /var/lib/docker/volumes/v/_data /data rw,relatime master:1 - ext4 /dev/vda1 rw
)";

/// The mount that is found, or one that says there is none.
mount_entry found(std::string_view mountinfo, dev_t device, std::string_view path) {
  const std::vector<mount_entry> mounts = parse_mountinfo(mountinfo);
  const mount_entry* mount = find_mount(mounts, device, path);
  return mount == nullptr ? mount_entry{0, {}, {}, "none", {}, {}} : *mount;
}

mount_entry mount_of(std::string type, std::string super_options = "rw") {
  return {0, "/", "rw", std::move(type), "source", std::move(super_options)};
}

TEST(parse_mountinfo, reads_every_field) {
  const std::vector<mount_entry> mounts = parse_mountinfo(recorded);
  ASSERT_EQ(mounts.size(), 10U);
  EXPECT_EQ(mounts[0].device, makedev(254, 0));
  EXPECT_EQ(mounts[0].mount_point, "/");
  EXPECT_EQ(mounts[0].options, "rw,relatime");
  EXPECT_EQ(mounts[0].type, "ext4");
  EXPECT_EQ(mounts[0].source, "/dev/vda");
  EXPECT_EQ(mounts[0].super_options, "rw,discard,resuid=65534");
}

TEST(parse_mountinfo, decodes_blanks_and_backslashes) {
  EXPECT_EQ(found(recorded, makedev(0, 39), "/tmp/m t").mount_point, "/tmp/m t");
  EXPECT_EQ(found(recorded, makedev(0, 39), "/tmp/m t").source, "a name");
  const std::vector<mount_entry> mounts =
      parse_mountinfo(R"(1 0 8:1 / /a\134040\011b\ rw - xfs /dev/sda1 rw)");
  ASSERT_EQ(mounts.size(), 1U);
  EXPECT_EQ(mounts[0].mount_point, "/a\\040\tb\\");
}

TEST(parse_mountinfo, takes_an_empty_source_and_any_number_of_optional_fields) {
  EXPECT_EQ(found(recorded, makedev(0, 42), "/tmp/nameless").source, "");
  EXPECT_EQ(found(recorded, makedev(254, 0), "/tmp/bind").source, "/dev/vda");
}

TEST(parse_mountinfo, leaves_out_lines_of_another_form) {
  EXPECT_TRUE(parse_mountinfo("").empty());
  EXPECT_TRUE(parse_mountinfo("\n\n").empty());
  EXPECT_TRUE(parse_mountinfo("26 1 254:0 / / rw").empty());
  EXPECT_TRUE(parse_mountinfo("26 1 254:0 / / rw - ext4 /dev/vda").empty());
  EXPECT_TRUE(parse_mountinfo("26 1 254 / / rw - ext4 /dev/vda rw").empty());
  EXPECT_TRUE(parse_mountinfo("26 1 254:x / / rw - ext4 /dev/vda rw").empty());
}

TEST(find_mount, prefers_the_device_over_the_path) {
  EXPECT_EQ(found(recorded, makedev(254, 0), "/tmp/bt/x").type, "ext4");
  EXPECT_EQ(found(recorded, makedev(254, 0), "/var").mount_point, "/");
}

TEST(find_mount, a_bind_mount_is_told_from_its_origin_by_the_path) {
  EXPECT_EQ(found(recorded, makedev(254, 0), "/home/user/project").mount_point, "/");
  EXPECT_EQ(found(recorded, makedev(254, 0), "/tmp/bind/main").mount_point, "/tmp/bind");
  EXPECT_EQ(found(recorded, makedev(254, 0), "/tmp/binding").mount_point, "/");
  EXPECT_EQ(found(in_a_container, makedev(254, 1), "/data/x").mount_point, "/data");
}

TEST(find_mount, a_later_mount_hides_an_earlier_one_at_the_same_point) {
  EXPECT_EQ(found(recorded, makedev(0, 26), "/dev/shm").device, makedev(0, 26));
  EXPECT_EQ(found(recorded, makedev(0, 99), "/dev/shm").device, makedev(0, 26));
}

// stat(2) said 0:40 for the files of the subvolume, and 0:39 even for those of the top level.
TEST(find_mount, a_btrfs_subvolume_is_found_by_its_path) {
  EXPECT_EQ(found(recorded, makedev(0, 40), "/tmp/bs/d").mount_point, "/tmp/bs");
  EXPECT_EQ(found(recorded, makedev(0, 40), "/tmp/bt/sub").mount_point, "/tmp/bt");
  EXPECT_EQ(found(recorded, makedev(0, 39), "/tmp/bt").type, "btrfs");
}

TEST(find_mount, knows_the_types_of_other_answerers) {
  EXPECT_EQ(found(recorded, makedev(0, 51), "/share/a").type, "9p");
  EXPECT_EQ(found(recorded, makedev(0, 52), "/home/u/remote").type, "fuse.sshfs");
  EXPECT_EQ(found(in_a_container, makedev(0, 134), "/tmp").type, "overlay");
}

TEST(find_mount, finds_nothing_where_nothing_is_mounted) {
  EXPECT_EQ(find_mount({}, makedev(8, 1), "/"), nullptr);
  EXPECT_EQ(found("1 0 8:1 / /a rw - xfs /dev/sda1 rw", makedev(8, 2), "/b").type, "none");
}

TEST(caveat_of, local_filesystems_have_none) {
  for (const char* type : {"ext4", "xfs", "btrfs", "f2fs"}) {
    EXPECT_EQ(caveat_of(mount_of(type)), "") << type;
  }
}

TEST(caveat_of, says_where_fsync_does_nothing) {
  for (const mount_entry& mount : {mount_of("tmpfs"), mount_of("ramfs"), mount_of("rootfs"),
                                   mount_of("overlay", "rw,upperdir=/u,volatile")}) {
    EXPECT_NE(caveat_of(mount).find("fsync does nothing"), std::string::npos) << mount.type;
  }
  EXPECT_NE(caveat_of(mount_of("ext4", "rw,nobarrier")).find("durability"), std::string::npos);
}

TEST(caveat_of, says_where_another_kernel_or_process_answers) {
  for (const char* type :
       {"9p", "virtiofs", "nfs", "nfs4", "cifs", "fuse", "fuseblk", "fuse.sshfs"}) {
    const std::string caveat = caveat_of(mount_of(type));
    EXPECT_NE(caveat.find("answers"), std::string::npos) << type;
    EXPECT_NE(caveat.find(type), std::string::npos) << type;
  }
}

TEST(caveat_of, an_overlay_names_the_upper_filesystem_if_it_can) {
  const mount_entry overlay = parse_mountinfo(in_a_container).front();
  EXPECT_NE(caveat_of(overlay, "xfs").find("xfs (/var/lib/docker/overlay2/98ac/diff)"),
            std::string::npos);
  EXPECT_NE(caveat_of(overlay).find("cannot be seen"), std::string::npos);
  EXPECT_NE(caveat_of(mount_of("overlay", "ro,lowerdir=/l")).find("cannot be written"),
            std::string::npos);
  EXPECT_NE(caveat_of(mount_of("overlay", R"(rw,upperdir=/a\054b)")).find("(/a,b)"),
            std::string::npos);
}

/// A directory that is made like one of /sys and goes away with the test.
class block_device_test : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "filemap-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const fs::path& file, std::string_view text) const {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }

  fs::path root_;
};

TEST_F(block_device_test, a_partition_is_described_by_its_disk) {
  write("devices/sda/device/model", "Samsung SSD 980 \n");
  write("devices/sda/queue/rotational", "0\n");
  write("devices/sda/queue/scheduler", "none [mq-deadline] kyber bfq\n");
  write("devices/sda/queue/write_cache", "write back\n");
  write("devices/sda/sda1/partition", "1\n");
  fs::create_directories(root_ / "dev/block");
  fs::create_directory_symlink("../../devices/sda", root_ / "dev/block/8:0");
  fs::create_directory_symlink("../../devices/sda/sda1", root_ / "dev/block/8:1");

  for (const char* number : {"8:0", "8:1"}) {
    const block_device device = read_block_device(root_ / "dev/block" / number);
    EXPECT_EQ(device.model, "Samsung SSD 980") << number;
    EXPECT_EQ(device.rotational, false) << number;
    EXPECT_EQ(device.scheduler, "mq-deadline") << number;
    EXPECT_EQ(device.write_cache, "write back") << number;
  }
}

TEST_F(block_device_test, what_is_not_known_stays_empty) {
  write("zram0/queue/rotational", "1\n");
  write("zram0/queue/scheduler", "none\n");
  const block_device device = read_block_device(root_ / "zram0");
  EXPECT_EQ(device.model, "");
  EXPECT_EQ(device.rotational, true);
  EXPECT_EQ(device.scheduler, "none");

  const block_device missing = read_block_device(root_ / "0:22");
  EXPECT_EQ(missing.rotational, std::nullopt);
  EXPECT_EQ(missing.write_cache, "");
}

TEST(inspect_filesystem, finds_the_root) {
  const filesystem_info info = inspect_filesystem("/");
  if (info.type == "unknown") GTEST_SKIP() << info.caveat;
  EXPECT_EQ(info.mount_point, "/");
  EXPECT_TRUE(info.mount_options.starts_with("r")) << info.mount_options;  // rw or ro
}

TEST(inspect_filesystem, shared_memory_is_a_tmpfs_with_a_caveat) {
  std::error_code missing;
  if (!fs::is_directory("/dev/shm", missing)) GTEST_SKIP() << "no /dev/shm here";
  const filesystem_info info = inspect_filesystem("/dev/shm");
  if (info.type != "tmpfs") GTEST_SKIP() << "/dev/shm is " << info.type << " here, not tmpfs";
  EXPECT_EQ(info.mount_point, "/dev/shm");
  EXPECT_EQ(info.device.model, "");
  EXPECT_EQ(info.device.rotational, std::nullopt);
  EXPECT_NE(info.caveat, "");
}

TEST(inspect_filesystem, agrees_for_every_way_to_name_a_directory) {
  const filesystem_info direct = inspect_filesystem(fs::current_path());
  const filesystem_info relative = inspect_filesystem(".");
  EXPECT_EQ(direct.type, relative.type);
  EXPECT_EQ(direct.mount_point, relative.mount_point);
  EXPECT_EQ(direct.source, relative.source);
  EXPECT_EQ(direct.mount_options, relative.mount_options);
}

TEST(inspect_filesystem, names_the_call_and_the_path_when_there_is_no_such_directory) {
  try {
    inspect_filesystem("/nonexistent/directory");
    FAIL() << "nothing was thrown";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::no_such_file_or_directory);
    EXPECT_NE(std::string(error.what()).find("realpath /nonexistent/directory"), std::string::npos)
        << error.what();
  }
}

TEST(inspect_host, describes_this_machine) {
  const host_info host = inspect_host();
  EXPECT_NE(host.kernel_release, "");
  EXPECT_NE(host.kernel_version, "");
  EXPECT_NE(host.machine, "");
  EXPECT_GE(host.cpus, 1U);
  EXPECT_LE(host.cpus, static_cast<unsigned>(sysconf(_SC_NPROCESSORS_CONF)));
  EXPECT_GT(host.memory_bytes, std::uint64_t{16} << 20);
}

TEST(raise_open_file_limit, raises_the_soft_limit_to_the_hard_one) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit lowered{64, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &lowered), 0);

  const std::uint64_t in_force = raise_open_file_limit();

  rlimit after{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(in_force, after.rlim_cur);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
  EXPECT_EQ(after.rlim_max, before.rlim_max);
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

}  // namespace
}  // namespace filemap
