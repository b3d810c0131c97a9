#pragma once

#include "options.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace filemap {

/// A set of activities.
class activities {
 public:
  template <typename... Activity>
  constexpr explicit activities(Activity... each) : bits_((0U | ... | bit(each))) {}
  constexpr bool has(activity which) const noexcept { return (bits_ & bit(which)) != 0; }

 private:
  static constexpr unsigned bit(activity which) { return 1U << static_cast<unsigned>(which); }
  unsigned bits_;
};

/// What the activity is to a person: the option that asks for it, and why others mean nothing
/// beside it. Of `run`, which needs no option, the name is empty.
struct activity_words {
  std::string_view option;
  std::string_view why;
};
activity_words words_of(activity which) noexcept;

/// The command line while its options are taken, one after the other.
struct command_line {
  filemap::options options;
  bool compare = false;
  bool flush = false;
  bool seeded = false;
};

/// How often an option may stand on the command line, and whether something follows it.
enum class option_kind : std::uint8_t { flag, value, repeated_value, arguments };

/// All that there is to know of one option. From the rows follow how it is found, the help, what
/// it is refused with, and the commands that repeat something.
struct option_row {
  std::string_view names;  ///< "-n,--iterations"
  std::string_view value;  ///< what stands for its value in the help: "N"
  std::string_view group;  ///< its heading in the help; "": the option is not in it
  std::string_view help;   ///< wrapped by whoever prints it; "": told with the row below it
  activities goes_with{};
  /// Understands a value; of a flag it is "". Throws std::invalid_argument whose text completes
  /// "--option VALUE: …".
  void (*take)(command_line& line, const std::string& value) = nullptr;
  option_kind kind = option_kind::flag;
  std::optional<activity> asks_for = std::nullopt;
  std::string_view excludes{};  ///< options that say something else of the same thing
  std::optional<litmus::engine_kind> needs = std::nullopt;  ///< means nothing without such a mode
  bool of_experiment = false;                               ///< a TEST says this itself
  const exporter* exports = nullptr;  ///< the value is the file that this form goes to
  bool of_a_schedule = false;         ///< what a schedule that is found so is replayed with

  /// "--iterations"; "TEST" of what is no option.
  std::string_view name() const noexcept;
};

/// In the order of the help.
std::span<const option_row> option_table();

/// `--help`: the options by their groups.
std::string help_text();

}  // namespace filemap
