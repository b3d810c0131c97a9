#include "thread_paths.hpp"

#include "filemap/io/unique_fd.hpp"

#include "forked.hpp"
#include "testing.hpp"

#include <array>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <string>
#include <sys/stat.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace filemap {
namespace {

std::uint64_t address_of(const std::string& path) {
  return reinterpret_cast<std::uint64_t>(path.c_str());
}

// What a child of this process resolves it to, whose memory is a copy of this one's: the path must
// have been there.
std::string resolved(const forked& child, const std::string& path, int dirfd = AT_FDCWD,
                     last_link link = last_link::kept) {
  return resolve(child.process(), dirfd, address_of(path), link).path;
}
std::string followed(const forked& child, const std::string& path) {
  return resolved(child, path, AT_FDCWD, last_link::followed);
}

// A folder with a file and links in it, which is where a child is.
class paths : public testing::Test {
 protected:
  paths() {
    std::filesystem::create_directories(folder + "/far/below");
    make(file);
    for (const auto& [link, target] : std::vector<std::pair<std::string, std::string>>{
             {"near", "far/below"},
             {"absolute", folder + "/far"},
             {"to-file", "near/../f"},
             {"to-link", folder + "/to-file"},
             {"dangling", "near/../not-there"},
             {"circle", "circle"},
             {"to-self", "/proc/self/fd"},
         }) {
      std::filesystem::create_symlink(target, folder + '/' + link);
    }
  }
  static void make(const std::string& name) {
    const unique_fd made(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  }
  // In the folder, when it is seen to be.
  bool is_there(const forked& child) const {
    return eventually([&] { return resolved(child, here) == folder; });
  }

 private:
  scratch_directory scratch_;

 protected:
  const std::string folder = std::filesystem::canonical(scratch_ / "").string() + "/folder";
  const std::string file = folder + "/far/f";
  const std::string here = ".";
  const std::function<void()> stay = [this] {
    if (::chdir(folder.c_str()) != 0) ::_exit(1);
    pause_for_good();
  };
};

TEST(without_dots, leaves_what_a_path_comes_to) {
  for (const auto& [path, plain] : std::vector<std::pair<std::string, std::string>>{
           {"/a/../b//c", "/b/c"},
           {"/", "/"},
           {"", "/"},
           {"/..", "/"},
           {"/../../a", "/a"},
           {"/a/./b/.", "/a/b"},
           {"/a/b/..", "/a"},
           {"//a//", "/a"},
           {"/a/...", "/a/..."},
           {"/.hidden/..b", "/.hidden/..b"},
       }) {
    EXPECT_EQ(without_dots(path), plain) << path;
  }
}

// Only a name that is the same whatever leads there tells that two calls are about one file.
TEST_F(paths, are_named_by_the_folder_that_links_lead_to) {
  const std::vector<std::pair<std::string, std::string>> names = {
      {"f", folder + "/f"},
      {"near/f", folder + "/far/below/f"},
      {"near/../f", file},  // not "f"
      {"absolute/f", file},
      {"absolute/below/../../absolute/f", file},
      {folder + "/absolute//./f", file},
      {"near/", folder + "/far/below"},
      {"near/.", folder + "/far/below"},
      {"near/..", folder + "/far"},
      {"far/..", folder},
      {"near", folder + "/near"},
      {"new/", folder + "/new"},
      {"/", "/"},
      {"//", "/"},
      {"/..", "/"},
      {"/tmp", "/tmp"},
      {"not-there/../f", folder + "/f"},  // as it is written
      {"not-there/f", folder + "/not-there/f"},
      {"", ""},
  };
  const forked child(stay);
  ASSERT_TRUE(is_there(child));
  for (const auto& [path, name] : names) EXPECT_EQ(resolved(child, path), name) << path;
}

TEST_F(paths, begin_at_a_descriptor) {
  const std::string path = "../f";
  const std::string empty;
  const unique_fd below(::open((folder + "/near").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const forked child(stay);
  ASSERT_TRUE(is_there(child));
  EXPECT_EQ(resolved(child, path, below.get()), file);
  EXPECT_EQ(resolved(child, file, below.get()), file);
  EXPECT_EQ(resolved(child, file, 9999), file);
  EXPECT_EQ(resolved(child, path, 9999), "");
  EXPECT_EQ(resolved(child, empty, below.get()), "");
  EXPECT_EQ(resolve(child.process(), AT_FDCWD, 0, last_link::kept).path, "");
  EXPECT_EQ(resolve(child.process(), AT_FDCWD, 8, last_link::kept).path, "");  // nothing is there
}

TEST_F(paths, follow_a_link_to_what_may_not_be_there_yet) {
  const std::vector<std::pair<std::string, std::string>> names = {
      {"far/f", file},
      {"to-file", file},
      {"to-link", file},
      {"near", folder + "/far/below"},
      {"dangling", folder + "/far/not-there"},
      {"circle", folder + "/circle"},
  };
  const forked child(stay);
  ASSERT_TRUE(is_there(child));
  for (const auto& [path, name] : names) EXPECT_EQ(followed(child, path), name) << path;
  const auto status_of = [&](std::size_t which, last_link link) {
    return resolve(child.process(), AT_FDCWD, address_of(names[which].first), link).status;
  };
  EXPECT_TRUE(S_ISREG(status_of(2, last_link::followed)->st_mode));
  EXPECT_TRUE(S_ISLNK(status_of(2, last_link::kept)->st_mode));
  EXPECT_FALSE(status_of(4, last_link::followed).has_value());
}

// This process has another file there.
TEST_F(paths, of_proc_are_those_of_the_thread) {
  const unique_fd other(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const auto number = std::to_string(other.get());
  std::vector<std::string> names = {"/proc/self/fd/" + number,
                                    "/proc/thread-self/fd/" + number,
                                    "/dev/fd/" + number,
                                    "to-self/" + number,
                                    "/dev/stdin",
                                    "/dev/fd/0"};
  const std::string own = "/proc/self/cwd/near/f";
  const forked child([&] {
    const int fd = ::open(file.c_str(), O_RDONLY);
    ::dup2(fd, other.get());
    ::dup2(fd, STDIN_FILENO);
    stay();
  });
  ASSERT_TRUE(is_there(child));
  for (const auto& name : names) {
    EXPECT_EQ(followed(child, name), file) << name;
    const auto found =
        resolve(child.process(), AT_FDCWD, address_of(name), last_link::followed).status;
    EXPECT_TRUE(found && S_ISREG(found->st_mode)) << name;
  }
  EXPECT_EQ(resolved(child, own), folder + "/far/below/f");
}

TEST_F(paths, begin_in_a_folder_that_has_been_removed) {
  const std::string name = "f";
  const std::string up = "../f";
  const forked child([&] {
    const auto removed = folder + "/removed";
    ::mkdir(removed.c_str(), 0700);
    if (::chdir(removed.c_str()) != 0) ::_exit(1);
    ::rmdir(removed.c_str());
    pause_for_good();
  });
  ASSERT_TRUE(eventually([&] { return resolved(child, here) == folder + "/removed"; }));
  EXPECT_EQ(resolved(child, name), folder + "/removed/f");
  EXPECT_FALSE(resolve(child.process(), AT_FDCWD, address_of(name), last_link::kept).status);
}

TEST_F(paths, begin_at_the_root_of_the_thread) {
  if (::geteuid() != 0) GTEST_SKIP() << "chroot needs rights";
  std::filesystem::create_directory_symlink("/far", folder + "/within");
  const std::vector<std::pair<std::string, std::string>> names = {
      {"/", folder},
      {"/far/f", file},
      {"/../far/f", file},
      {"/within/f", file},
      {"within/../f", folder + "/f"},
      {"/not-there/f", folder + "/not-there/f"},
      {"/within", folder + "/far"},
  };
  const forked child([&] {
    if (::chdir(folder.c_str()) != 0 || ::chroot(folder.c_str()) != 0) ::_exit(1);
    pause_for_good();
  });
  ASSERT_TRUE(eventually([&] { return followed(child, names[0].first) == folder; }));
  for (const auto& [path, name] : names) EXPECT_EQ(followed(child, path), name) << path;
}

TEST(open_files, have_the_path_of_a_file_which_has_none_any_more) {
  const scratch_directory scratch;
  const auto name = std::filesystem::canonical(scratch / "").string() + "/f";
  const unique_fd file(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const forked child([] { pause_for_good(); });
  open_files files(child.process());
  struct ::stat status {};
  ASSERT_TRUE(files.look(file.get(), status));
  EXPECT_EQ(files.path(file.get(), status), name);
  ::unlink(name.c_str());
  EXPECT_EQ(files.path(file.get(), status), name);
  files.forget_paths();
  EXPECT_EQ(files.path(file.get(), status), name);
  EXPECT_FALSE(files.look(9999, status));
  EXPECT_EQ(files.path(9999, status), "");
}

TEST(thread_paths, of_a_process_that_is_gone_are_empty) {
  const std::string path = "f";
  pid_t gone = 0;
  {
    const forked child([] {});
    gone = child.process();
  }
  struct ::stat status {};
  EXPECT_FALSE(open_files(gone).look(0, status));
  EXPECT_EQ(resolve(gone, AT_FDCWD, address_of(path), last_link::kept).path, "");
}

}  // namespace
}  // namespace filemap
