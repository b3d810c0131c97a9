#include "named_files.hpp"

#include "filemap/io/engine.hpp"
#include "filemap/io/file.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace filemap::litmus {

namespace {

void write_all_at_once(const unique_fd& fd, const contents& what, const patterns& bytes,
                       const std::string& name) {
  for (const auto& slice : what.slices()) {
    auto rest = bytes.bytes(slice);
    while (!rest.empty()) {
      const auto written = ::write(fd.get(), rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) throw std::system_error(errno, std::generic_category(), "write " + name);
      rest = rest.subspan(static_cast<std::size_t>(written));
    }
  }
}

}  // namespace

round_directory::round_directory(std::filesystem::path path)
    : path(std::move(path)), fd(open_file(this->path, O_PATH | O_DIRECTORY)) {}

named_files::named_files(const test& test, const round_directory& in, std::size_t round)
    : test_(&test), in_(&in) {
  for (const auto& file : test.files) {
    names_.push_back(std::to_string(round) + '.' + file.name);
  }
}

void named_files::make(const patterns& bytes) const {
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const auto& declared = test_->files[i];
    if (!declared.exists) continue;
    const auto fd = open(i, O_RDWR | O_CREAT | O_TRUNC);
    write_all_at_once(fd, declared.initial, bytes, names_[i]);
  }
}

void named_files::look(std::size_t file, const observed_fields::fields& wanted,
                       round_evidence::file_evidence& into) const {
  const auto fail = [&](const char* call) {
    throw std::system_error(errno, std::generic_category(),
                            call + (' ' + (in_->path / names_[file]).string()));
  };
  into.exists = false;
  into.size = 0;
  into.data.clear();
  const unique_fd fd{::openat(in_->fd.get(), name(file), O_RDONLY | O_CLOEXEC)};
  if (!fd) {
    if (errno != ENOENT) fail("open");
    return;
  }
  into.exists = true;
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) fail("fstat");
  into.size = static_cast<std::uint64_t>(status.st_size);
  if (!wanted.data) return;
  into.data.resize(into.size);
  std::size_t have = 0;
  while (have < into.data.size()) {
    const auto got = ::read(fd.get(), into.data.data() + have, into.data.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("read");
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  into.data.resize(have);
  into.size = have;
}

void named_files::remove() noexcept {
  for (const auto& name : names_) ::unlinkat(in_->fd.get(), name.c_str(), 0);
}

unique_fd named_files::open(std::size_t file, int flags) const {
  unique_fd fd{::openat(in_->fd.get(), name(file), flags | O_CLOEXEC, 0644)};
  if (fd) return fd;
  const int error = errno;
  if (error == EINVAL && (flags & O_DIRECT) != 0) {
    throw unsupported("the filesystem of " + in_->path.string() +
                      " does not take O_DIRECT; choose another --dir or leave --direct out");
  }
  throw std::system_error(error, std::generic_category(),
                          "open " + (in_->path / names_[file]).string());
}

}  // namespace filemap::litmus
