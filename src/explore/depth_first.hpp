#pragma once

#include "chooser.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace filemap {

/// Every schedule in which time does not pass, but for those that differ from one of them only in
/// the order of neighbours that commute.
///
/// It keeps no states: it goes back to the last choice that can be made differently, and makes that
/// one in a new run.
///
///     points_   1 ── 2 ── 1 ── 1        the choices of this run, and at each what was tried
///                    └─ asleep_         what need not be done next, here
///
/// When all schedules that go on with t have been executed, then in those that go on with u instead
/// t is asleep until something is done that t does not commute with (sleep sets: Godefroid,
/// Partial-Order Methods for the Verification of Concurrent Systems, 1996, section 5). A run in
/// which all that is held is asleep is given up.
class depth_first final : public chooser {
 public:
  enum class commuting : std::uint8_t {
    by_footprint,
    nothing,  ///< where footprints do not hold all that steps have in common: no step is left out
  };

  explicit depth_first(commuting what = commuting::by_footprint) : commuting_(what) {}

  bool begin() override;
  std::size_t choose(std::span<const candidate> held) override;
  void executed(const footprint& touched) override;
  void ended() override { has_ended_ = true; }
  /// Was there a step anywhere that need not be done next?
  bool has_left_out() const noexcept { return has_left_out_; }

 private:
  struct option {
    candidate name;
    enum { untried, tried, asleep } was = untried;
    footprint touched;  // of one that was tried
  };
  struct point {
    std::vector<option> options;
    std::size_t chosen = 0;
  };
  struct sleeper {
    candidate name;
    footprint touched;
  };

  bool advance();
  bool is_asleep(const candidate& name) const noexcept;
  bool add_point(std::span<const candidate> held);
  static bool choose_untried(point& point) noexcept;

  const commuting commuting_;
  std::vector<point> points_;
  std::vector<std::vector<option>> spare_;
  std::size_t at_ = 0;
  std::vector<sleeper> asleep_;
  bool alone_ = false;         // what was chosen last was the only one
  bool has_ended_ = false;     // the run before
  bool has_left_out_ = false;  // in any run
};

}  // namespace filemap
