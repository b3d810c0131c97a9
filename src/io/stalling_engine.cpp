#include "filemap/io/stall.hpp"

#include <random>
#include <utility>

namespace filemap {

namespace {

class stalling_engine final : public engine {
 public:
  stalling_engine(std::unique_ptr<engine> inner, std::vector<stall> stalls, std::uint64_t seed)
      : inner_(std::move(inner)), stalls_(std::move(stalls)), random_(seed) {}

  void start(io_op& op) noexcept override {
    for (const auto& stall : stalls_) {
      if (stall.code != op.request.code || !drawn(stall.probability)) continue;
      op.request.delay = stall.duration;
      break;
    }
    inner_->start(op);
  }
  void wait(op_queue& done) override { inner_->wait(done); }
  void cancel(io_op& op) noexcept override { inner_->cancel(op); }
  std::size_t in_flight() const noexcept override { return inner_->in_flight(); }
  bool failed() const noexcept override { return inner_->failed(); }
  engine_traits traits() const override { return inner_->traits(); }

 private:
  bool drawn(double probability) {
    return std::generate_canonical<double, 53>(random_) < probability;
  }

  std::unique_ptr<engine> inner_;
  std::vector<stall> stalls_;
  std::mt19937_64 random_;
};

}  // namespace

std::unique_ptr<engine> make_stalling_engine(std::unique_ptr<engine> inner,
                                             std::vector<stall> stalls, std::uint64_t seed) {
  return std::make_unique<stalling_engine>(std::move(inner), std::move(stalls), seed);
}

}  // namespace filemap
