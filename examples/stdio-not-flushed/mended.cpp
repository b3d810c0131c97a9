// fflush gives the buffer to the kernel, and from there on every process sees it.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

int main() {
  const auto path = std::string(std::getenv("TMPDIR")) + "/settings";
  std::FILE* const file = std::fopen(path.c_str(), "w");
  std::fprintf(file, "port 80\n");
  std::fflush(file);
  std::thread closer([file] { std::fclose(file); });
  const int status = std::system("grep -q port \"$TMPDIR/settings\"");
  closer.join();
  return status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
