#include "waiting_room.hpp"

#include "execute.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <string>
#include <system_error>
#include <utility>

namespace filemap {

namespace {

timespec to_timespec(nanoseconds duration) noexcept {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
  return {seconds.count(), (duration - seconds).count()};
}

bool waits_for_time(const io_op& op) noexcept {
  return op.way.stalling || op.request.code == opcode::sleep;
}

// Has its time come, or, if there may be something to take, its event?
bool is_over(io_op& op, instant now, bool look) noexcept {
  if (!waits_for_time(op)) return look && take_event(op);
  if (now < op.way.deadline) return false;
  if (!std::exchange(op.way.stalling, false)) finish(op, 0, now);
  return true;
}

[[noreturn]] void throw_ppoll_failure(int error, std::size_t descriptors) {
  std::string what = "ppoll of " + std::to_string(descriptors) + " descriptors";
  if (error == EINVAL) what += " (RLIMIT_NOFILE allows fewer: raise it, ulimit -n)";
  throw std::system_error(error, std::generic_category(), what);
}

}  // namespace

void waiting_room::admit(io_op& op) noexcept {
  op.hand_over();
  waiting_.push(op);
}

bool waiting_room::cancel(io_op& op, op_queue& done) noexcept {
  for (auto* waiting = waiting_.front(); waiting != &op; waiting = waiting->next) {
    if (waiting == nullptr) return false;
  }
  waiting_.erase(op);
  finish(op, -ECANCELED, clock::now());
  done.push(op);
  return true;
}

void waiting_room::cancel_all(op_queue& done) noexcept {
  while (auto* const op = waiting_.front()) cancel(*op, done);
}

bool waiting_room::poll(bool block, int extra_fd, op_queue& done) {
  constexpr auto never = instant::max();
  auto deadline = never;
  polled_.clear();
  polled_.push_back({extra_fd, POLLIN, 0});
  for (const auto* op = waiting_.front(); op != nullptr; op = op->next) {
    if (waits_for_time(*op)) {
      deadline = std::min(deadline, op->way.deadline);
    } else {
      polled_.push_back({op->request.fd, POLLIN, 0});
      if (op->request.fd < 0) block = false;  // ppoll passes it over, but it is ready: to fail
    }
  }

  timespec timeout{0, 0};
  if (block && deadline != never)
    timeout = to_timespec(std::max(nanoseconds{0}, deadline - clock::now()));
  const auto ready = ::ppoll(polled_.data(), polled_.size(),
                             block && deadline == never ? nullptr : &timeout, nullptr);
  if (ready < 0 && errno != EINTR) throw_ppoll_failure(errno, polled_.size());

  const auto now = deadline == never ? instant{} : clock::now();
  auto polled = polled_.begin() + 1;
  for (auto* op = waiting_.front(); op != nullptr;) {
    auto* const waiting = std::exchange(op, op->next);
    const bool is_event = !waits_for_time(*waiting);
    const bool look = is_event && (polled->fd < 0 || (ready > 0 && polled->revents != 0));
    if (is_event) ++polled;
    if (!is_over(*waiting, now, look)) continue;
    waiting_.erase(*waiting);
    done.push(*waiting);
  }
  return ready > 0 && polled_.front().revents != 0;
}

}  // namespace filemap
