// A save writes a new file in one task and renames it over the old one in another: the rename may
// come first, and then who reads the document finds nothing in it.
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <future>
#include <string>
#include <unistd.h>

int main() {
  const auto path = std::string(std::getenv("TMPDIR")) + "/document";
  const int file = ::open((path + ".new").c_str(), O_CREAT | O_WRONLY, 0600);
  auto written = std::async(std::launch::async, [&] { return ::write(file, "text", 4); });
  auto renamed = std::async(std::launch::async,
                            [&] { return std::rename((path + ".new").c_str(), path.c_str()); });
  renamed.get();
  std::string text;
  std::ifstream(path) >> text;
  written.get();
  ::close(file);
  return text == "text" ? EXIT_SUCCESS : EXIT_FAILURE;
}
