#pragma once

#include <cerrno>
#include <cstddef>
#include <initializer_list>
#include <system_error>

#include <liburing.h>

namespace bench {

/// The baselines' ring: liburing as one uses it by hand, set up with the flags that the library's
/// ring engine has too. It keeps no record of anything.
class plain_ring {
 public:
  explicit plain_ring(unsigned entries = 256) {
    int error = 0;
    for (const unsigned flags :
         {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
          IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN, IORING_SETUP_COOP_TASKRUN, 0U}) {
      error = io_uring_queue_init(entries, &ring_, flags);
      if (error != -EINVAL) break;
    }
    if (error < 0) throw std::system_error(-error, std::generic_category(), "io_uring_setup");
  }
  ~plain_ring() { io_uring_queue_exit(&ring_); }
  plain_ring(const plain_ring&) = delete;
  plain_ring& operator=(const plain_ring&) = delete;

  io_uring_sqe* sqe() {
    auto* const sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) throw std::system_error(EBUSY, std::generic_category(), "io_uring_get_sqe");
    return sqe;
  }

  /// Submits, waits for a completion and calls `on_completion(user data, res)` for all there are.
  template <typename Data, typename OnCompletion>
  void turn(OnCompletion on_completion) {
    const int submitted = io_uring_submit_and_wait(&ring_, 1);
    if (submitted < 0 && submitted != -EINTR) {
      throw std::system_error(-submitted, std::generic_category(), "io_uring_enter");
    }
    unsigned head = 0;
    unsigned count = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      ++count;
      on_completion(static_cast<Data*>(io_uring_cqe_get_data(cqe)), cqe->res);
    }
    io_uring_cq_advance(&ring_, count);
  }

 private:
  io_uring ring_{};
};

}  // namespace bench
