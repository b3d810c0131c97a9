#pragma once

#include <string>
#include <string_view>

namespace filemap {

/// A file that results will go to: tried before the run, so that hours of rounds are not lost to a
/// path that cannot be written, and not changed until there is something to write.
class output_file {
 public:
  /// `path` "" is none, "-" is standard output. Throws std::system_error naming the path.
  explicit output_file(std::string path);
  output_file(const output_file&) = delete;
  output_file& operator=(const output_file&) = delete;
  /// Removes the file if it was made here and nothing has been written.
  ~output_file();

  explicit operator bool() const noexcept { return !path_.empty(); }
  /// Replaces the contents. Throws std::system_error.
  void write(std::string_view text);

 private:
  std::string path_;
  bool made_ = false;
};

}  // namespace filemap
