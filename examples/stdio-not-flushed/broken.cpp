// What fprintf was given is in a buffer of this process until the file is closed, which a thread
// does: the child that is started meanwhile may find an empty file.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

int main() {
  const auto path = std::string(std::getenv("TMPDIR")) + "/settings";
  std::FILE* const file = std::fopen(path.c_str(), "w");
  std::fprintf(file, "port 80\n");
  std::thread closer([file] { std::fclose(file); });
  const int status = std::system("grep -q port \"$TMPDIR/settings\"");
  closer.join();
  return status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
