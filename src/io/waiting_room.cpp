#include "waiting_room.hpp"

#include "execute.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace filemap {

namespace {

timespec to_timespec(nanoseconds duration) noexcept {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
  return {seconds.count(), (duration - seconds).count()};
}

}  // namespace

void waiting_room::admit(io_op& op) {
  waiting_.push_back(&op);
  op.state = op_state::in_flight;
}

bool waiting_room::cancel(io_op& op, op_queue& done) noexcept {
  const auto found = std::find(waiting_.begin(), waiting_.end(), &op);
  if (found == waiting_.end()) return false;
  waiting_.erase(found);
  finish(op, -ECANCELED, clock::now());
  done.push(op);
  return true;
}

void waiting_room::cancel_all(op_queue& done) noexcept {
  while (!waiting_.empty()) cancel(*waiting_.back(), done);
}

bool waiting_room::poll(bool block, int extra_fd, op_queue& done) {
  constexpr auto never = instant::max();
  auto deadline = never;
  polled_.clear();
  for (const auto* const op : waiting_) {
    if (op->request.code == opcode::sleep) {
      deadline = std::min(deadline, op->deadline);
      polled_.push_back({-1, 0, 0});  // ppoll passes it over; keeps the two vectors in step
    } else {
      polled_.push_back({op->request.fd, POLLIN, 0});
      if (op->request.fd < 0) block = false;  // ppoll passes it over too, but it is ready: to fail
    }
  }
  polled_.push_back({extra_fd, POLLIN, 0});

  timespec timeout{0, 0};
  if (block && deadline != never)
    timeout = to_timespec(std::max(nanoseconds{0}, deadline - clock::now()));
  const auto ready = ::ppoll(polled_.data(), polled_.size(),
                             block && deadline == never ? nullptr : &timeout, nullptr);
  if (ready < 0 && errno != EINTR) throw std::system_error(errno, std::system_category(), "ppoll");

  const auto now = deadline == never ? instant{} : clock::now();
  std::size_t kept = 0;
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    auto* const op = waiting_[i];
    bool finished = false;
    if (op->request.code == opcode::sleep) {
      finished = op->deadline <= now;
      if (finished) finish(*op, 0, now);
    } else if (op->request.fd < 0 || (ready > 0 && polled_[i].revents != 0)) {
      finished = take_event(*op);
    }
    if (finished) {
      done.push(*op);
    } else {
      waiting_[kept++] = op;
    }
  }
  waiting_.resize(kept);
  return ready > 0 && polled_.back().revents != 0;
}

}  // namespace filemap
