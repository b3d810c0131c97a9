// Gives every file of the directories named on the command line to the fuzz target, and each of
// them also cut short and with single bytes changed or left out: what libFuzzer would begin with,
// under any compiler.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

void give(const std::string& text) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
}

// Not every place of a long file: the time is to be the same for all.
std::size_t give_variants(const std::string& text) {
  constexpr std::size_t places = 250;
  constexpr char replacements[] = {'\0', '\n', '"', '(', ')', '{', '}', '[', '0', '9', 'k', '\xff'};
  const auto stride = 1 + text.size() / places;
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); at += stride) {
    give(text.substr(0, at));
    auto changed = text;
    changed[at] = replacements[count % sizeof replacements];
    give(changed);
    give(text.substr(0, at) + text.substr(at + 1));
    count += 3;
  }
  return count;
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t files = 0;
  std::size_t inputs = 0;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string text{std::istreambuf_iterator<char>(file), {}};
      give(text);
      inputs += 1 + give_variants(text);
      ++files;
    }
  }
  std::printf("%zu inputs made of %zu files\n", inputs, files);
  return files > 0 ? 0 : 1;
}
