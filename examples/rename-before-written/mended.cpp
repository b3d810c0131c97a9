// The new file is renamed when all of it has been written.
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
  written.get();
  auto renamed = std::async(std::launch::async,
                            [&] { return std::rename((path + ".new").c_str(), path.c_str()); });
  renamed.get();
  std::string text;
  std::ifstream(path) >> text;
  ::close(file);
  return text == "text" ? EXIT_SUCCESS : EXIT_FAILURE;
}
