#pragma once

#include "filemap/litmus/test.hpp"
#include "filemap/model/model.hpp"
#include "filemap/subject/outcome.hpp"

#include "patterns.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace filemap::litmus {

/// What a round left behind, in bytes: what the condition looks at, by register and by file, and
/// how every statement ended.
struct round_evidence {
  struct register_evidence {
    bool set = false;
    std::int64_t res = 0;
    std::uint64_t size = 0;           ///< of a statx
    std::span<const std::byte> data;  ///< of a read
    bool failed = false;              ///< where its size or data are looked at
  };
  struct file_evidence {
    bool exists = false;
    std::uint64_t size = 0;
    std::vector<std::byte> data;  ///< when it is looked at
  };
  struct statement_result {
    bool ended = false;
    std::int64_t res = 0;  ///< bytes or -errno
  };

  std::vector<register_evidence> registers;
  std::vector<file_evidence> files;
  std::vector<std::vector<statement_result>> results;  ///< by process and statement

  /// What a statement came to.
  struct value {
    bool ended = false;
    std::int64_t res = 0;             ///< bytes, 0 or -errno
    std::uint64_t size = 0;           ///< of a statx
    std::span<const std::byte> data;  ///< of a read
  };

  explicit round_evidence(const test& test);
  /// Notes of it what is looked at.
  void note(const observed_fields& observed, const statement& what, std::size_t process,
            std::size_t at, const value& came_to);
};

/// Throws `unsupported` where what failed is what the filesystem in `dir` does not have. `direct`:
/// every handle is O_DIRECT.
void refuse_what_is_missing(const observation& failed, const test& test, bool direct,
                            const std::filesystem::path& dir);

/// What a round came to, beside what the model says that it may come to.
struct judgement {
  enum class standing : std::uint8_t {  // the worst last
    allowed,
    not_judged,  ///< the model did not come to an end, or the test asks for what it cannot give
    forbidden,
  };

  final_state state;  ///< for a person, and to count by
  bool counts = false;
  standing stands = standing::not_judged;
  /// The environment has failed: an operation came to what no schedule of the test can give.
  std::optional<observation> failure;
};

/// May a read return fewer bytes than there are, but for none?
enum class short_reads : std::uint8_t {
  none,
  some,
  some_that_move_cursors,  ///< what they leave to the next read the model does not say
};

/// Judges rounds by their bytes: names are only for showing.
class judge {
 public:
  /// `test` has the mode's flushes in it, and the model was made of it; nullptr, or a model that is
  /// not complete: nothing is judged but what the condition says.
  judge(const test& test, std::shared_ptr<const model_result> model,
        short_reads are_short = short_reads::none);

  /// Fills the patterns for a round, so that no two contents that the model or the condition tell
  /// apart are the same bytes by chance. The same for the same arguments.
  void draw(patterns& bytes, std::uint64_t seed, std::uint64_t round) const;

  judgement of(const round_evidence& seen, const patterns& bytes);

 private:
  struct candidate_state {
    const final_state* state;
    bool counts;
    bool is_mixture;
  };
  using shape = std::vector<std::int64_t>;
  struct shape_hash {
    std::size_t operator()(const shape& numbers) const noexcept;
  };

  bool judges() const noexcept { return model_ != nullptr && model_->complete; }
  void find_look_alikes();
  bool has_look_alikes(const patterns& bytes) const;
  template <typename State, typename SizeOf>
  static void take_shape(const State& state, SizeOf size_of, shape& numbers);
  bool matches(const final_state& state, const round_evidence& seen, const patterns& bytes) const;
  bool is_shortened(const final_state& state, const round_evidence& seen,
                    const patterns& bytes) const;
  std::optional<observation> failure_of(const round_evidence& seen) const;
  bool is_asked_for(const statement& what, std::int64_t res) const;
  bool condition_holds(std::size_t node, const round_evidence& seen, const patterns& bytes) const;
  bool atom_holds(const atom& atom, const round_evidence& seen, const patterns& bytes) const;
  final_state named(const round_evidence& seen, const patterns& bytes,
                    const final_state* mixture) const;

  const test& test_;
  const observed_fields observed_;
  const std::shared_ptr<const model_result> model_;
  const short_reads are_short_;
  std::unordered_map<shape, std::vector<candidate_state>, shape_hash> candidates_;
  /// Contents of one place of the evidence that differ in so few bytes that they might come out the
  /// same: groups of which no two may.
  std::vector<std::vector<contents>> look_alikes_;
  shape shape_;  // of the evidence that is being judged
};

}  // namespace filemap::litmus
