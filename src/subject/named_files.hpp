#pragma once

#include "filemap/io/unique_fd.hpp"
#include "filemap/litmus/test.hpp"

#include "judge.hpp"
#include "patterns.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace filemap::litmus {

/// Where the files of rounds are.
struct round_directory {
  /// Throws std::system_error when it cannot be opened.
  explicit round_directory(std::filesystem::path path);

  const std::filesystem::path path;
  const unique_fd fd;
};

/// The files of one round, by their names in a directory: "3.f" in the fourth round of it.
class named_files {
 public:
  /// Only the names: the files are made by `make`. Test and directory live longer.
  named_files(const test& test, const round_directory& in, std::size_t round);
  named_files(named_files&&) noexcept = default;
  named_files& operator=(named_files&&) = delete;
  ~named_files() { remove(); }

  /// Makes those that exist at first, with what is in them then, or makes them that again. Throws
  /// std::system_error.
  void make(const patterns& bytes) const;
  const char* name(std::size_t file) const noexcept { return names_[file].c_str(); }
  /// `flags` are open(2)'s; O_CLOEXEC is added. Throws std::system_error, or `unsupported` where
  /// the filesystem does not take O_DIRECT.
  unique_fd open(std::size_t file, int flags) const;
  /// What stands under a name now: its size, and its bytes if those are wanted. Throws
  /// std::system_error when that cannot be known.
  void look(std::size_t file, const observed_fields::fields& wanted,
            round_evidence::file_evidence& into) const;
  /// Removes the names.
  void remove() noexcept;

 private:
  const test* test_;
  const round_directory* in_;
  std::vector<std::string> names_;  // by file
};

}  // namespace filemap::litmus
