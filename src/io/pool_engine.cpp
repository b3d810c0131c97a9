// The pool engine: blocking threads behind one queue, as tokio's blocking pool has them, so that
// the races of tokio::fs happen here with the same shape. (tokio/src/runtime/blocking/pool.rs.)
//
//   loop's thread                              workers
//   start() ── push, then signal or spawn ──►  pop ─ stall ─ system call ─┐
//   wait()  ◄─ completed_, doorbell_ (an eventfd, only when the loop waits) ┘
//
// - One mutex, one condition variable, one FIFO queue; or many queues, of which an operation goes
//   into any and a worker looks into its own first, so that nothing is first in, first out. (All
//   under the one mutex: what is of interest here is their order, not their speed.)
// - Submitting pushes under the lock. With an idle worker: take it from the idle count, count a
//   notification and signal; the worker is taken by whoever signals, not by whoever wakes, so two
//   submissions in a row never count on the same worker. Without one: start a thread, up to the
//   limit; at the limit a busy worker will come to it.
// - A worker drains the queue, then counts itself idle and waits. A wake is legitimate only while
//   notifications are counted; otherwise it was spurious. After `keep_alive` idle it ends.
// - At the end, operations that are queued and not mandatory complete with -ECANCELED; mandatory
// ones
//   (a write-behind file's writes) still run.
// - Without any thread nothing would come to the queue: as in tokio, which panics then ("OS can't
//   spawn worker thread"), that is a failure. A pool that could not start its first one is not
//   made.
//
// Waits for time and for eventfds never reach a worker: see waiting_room.

#include "filemap/io/engines.hpp"
#include "filemap/io/unique_fd.hpp"

#include "execute.hpp"
#include "sequencer.hpp"
#include "waiting_room.hpp"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <list>
#include <mutex>
#include <pthread.h>
#include <random>
#include <string>
#include <sys/eventfd.h>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace filemap {

namespace {

class signals_blocked {
 public:
  signals_blocked() noexcept {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  signals_blocked(const signals_blocked&) = delete;
  signals_blocked& operator=(const signals_blocked&) = delete;
  ~signals_blocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

// What waits for a worker.
class work_queue {
 public:
  explicit work_queue(std::size_t shards) : shards_(shards) {}

  void push(io_op& op) noexcept {
    shards_[shards_.size() > 1 ? random_() % shards_.size() : 0].push(op);
  }
  io_op* pop(std::size_t own = 0) noexcept {
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      if (auto* const op = shards_[(own + i) % shards_.size()].pop()) return op;
    }
    return nullptr;
  }
  bool erase(io_op& op) noexcept {
    for (auto& shard : shards_) {
      for (auto* queued = shard.front(); queued != nullptr; queued = queued->next) {
        if (queued != &op) continue;
        shard.erase(op);
        return true;
      }
    }
    return false;
  }
  bool empty() const noexcept {
    return std::all_of(shards_.begin(), shards_.end(),
                       [](const op_queue& shard) { return shard.empty(); });
  }

 private:
  std::vector<op_queue> shards_;
  std::minstd_rand random_;
};

class pool_engine final : public engine {
 public:
  explicit pool_engine(const pool_options& options)
      : options_(options), queue_(options.sharded ? shards : 1) {
    if (options_.threads == 0) options_.threads = 1;
    if (!doorbell_) throw std::system_error(errno, std::system_category(), "eventfd");
    if (const int error = can_start_a_thread(); error != 0) {
      throw unsupported("a pool cannot start a thread (" + std::generic_category().message(error) +
                        "); " + thread_advice);
    }
  }

  ~pool_engine() override {
    {
      const std::lock_guard lock(mutex_);
      shutdown_ = true;
    }
    work_.notify_all();
    for (auto& worker : workers_) worker.thread.join();  // none retires once shutdown_ is set
    join_retired();
    while (auto* const op = queue_.pop()) {  // there was no worker
      if (op->request.mandatory) {
        execute(*op);
      } else {
        finish(*op, -ECANCELED, clock::now());
      }
      ready_.push(*op);
    }
    room_.cancel_all(ready_);
    ready_.append(completed_);
    order_.abandon(ready_);
  }

  void start(io_op& op) noexcept override {
    ++in_flight_;
    op.begin();
    if (op_queue next; order_.enter(op, next)) {
      begin(op);
    } else {
      begin_all(next);
    }
  }

  void wait(op_queue& done) override {
    assert(in_flight_ > 0);
    assert(!order_.in_chain() && "a chain is started as a whole");
    try {
      wait_until_ready();
    } catch (...) {
      failed_ = true;
      throw;
    }
    op_queue next;
    for (auto* op = ready_.front(); op != nullptr; op = op->next) {
      --in_flight_;
      order_.leave(*op, next);
      begin_all(next);
    }
    done.append(ready_);
  }

  void cancel(io_op& op) noexcept override {
    if (!op.pending()) return;
    if (op.way.held) {
      op.way.cancelled = true;
      return;
    }
    if (room_.cancel(op, ready_)) return;
    const std::lock_guard lock(mutex_);
    if (!queue_.erase(op)) return;  // what a worker has popped cannot be cancelled
    finish(op, -ECANCELED, clock::now());
    ready_.push(op);
  }

  std::size_t in_flight() const noexcept override { return in_flight_; }
  bool failed() const noexcept override { return failed_; }
  engine_traits traits() const override { return {"pool", true, {}, {}}; }

 private:
  struct worker {
    std::uint32_t id = 0;
    std::thread thread;
  };

  static constexpr std::size_t shards = 16;
  static constexpr const char* thread_advice =
      "raise the limits on processes and memory (ulimit -u, -v) or use another mode";

  void wait_until_ready() {
    do {  // once at least: who always has something ready must not starve who waits
      {
        const std::lock_guard lock(mutex_);
        ready_.append(completed_);
        loop_waits_ = ready_.empty();
        if (!queue_.empty() && workers_.empty()) start_worker();
      }
      const bool block = ready_.empty();
      if (block || !room_.empty()) {
        if (room_.poll(block, doorbell_.get(), ready_)) silence_doorbell();
      }
    } while (ready_.empty());
  }

  void begin_all(op_queue& next) noexcept {
    filemap::begin_all(next, ready_, [this](io_op& op) { begin(op); });
  }

  void begin(io_op& op) noexcept {
    op.record.submitted = clock::now();
    switch (op.request.code) {
      case opcode::sleep:
        op.way.deadline = op.record.submitted + op.request.delay;
        room_.admit(op);
        break;
      case opcode::read_event:
        room_.admit(op);
        break;
      case opcode::nop:  // a turn of the loop, not work
        execute(op);
        ready_.push(op);
        break;
      default:
        submit(op);
    }
  }

  void submit(io_op& op) noexcept {
    op.hand_over();  // here, because the state is the loop's thread's alone
    const std::lock_guard lock(mutex_);
    queue_.push(op);
    if (idle_ > 0) {
      --idle_;
      ++notified_;
      work_.notify_one();
      return;
    }
    if (workers_.size() >= options_.threads) return;
    try {
      start_worker();
    } catch (...) {  // one that is busy will come to it; if there is none, wait() says so
    }
  }

  void start_worker() {
    join_retired();
    const signals_blocked in_the_worker;  // they are the main thread's
    auto& added = workers_.emplace_back();
    added.id = ++last_worker_;
    try {
      added.thread = std::thread(&pool_engine::work, this, added.id);
    } catch (const std::system_error& error) {
      workers_.pop_back();
      if (!workers_.empty()) throw;
      throw std::system_error(error.code(), "a pool cannot start a thread, and has none; " +
                                                std::string(thread_advice));
    } catch (...) {
      workers_.pop_back();
      throw;
    }
  }

  // Whether this process may have one at all: 0, or the errno of the attempt.
  static int can_start_a_thread() {
    const signals_blocked in_the_thread;
    try {
      std::thread([] {}).join();
    } catch (const std::system_error& error) {
      return error.code().value();
    }
    return 0;
  }

  void work(std::uint32_t id) {
    std::unique_lock lock(mutex_);
    while (true) {
      while (auto* const op = queue_.pop(id)) {
        if (shutdown_ && !op->request.mandatory) {
          finish(*op, -ECANCELED, clock::now());
          completed_.push(*op);
          continue;
        }
        op->record.worker = id;
        lock.unlock();
        if (op->request.delay > nanoseconds{0}) std::this_thread::sleep_for(op->request.delay);
        execute(*op);
        lock.lock();
        completed_.push(*op);
        if (std::exchange(loop_waits_, false)) ring_doorbell();
      }
      if (shutdown_) return;

      ++idle_;
      const auto deadline = clock::now() + options_.keep_alive;
      while (true) {
        const auto expired = work_.wait_until(lock, deadline) == std::cv_status::timeout;
        if (notified_ > 0) {  // whoever notified has taken a worker from the idle count
          --notified_;
          break;
        }
        if (shutdown_) break;
        if (expired) {
          --idle_;
          retire(id);
          return;
        }
      }
    }
  }

  // A thread cannot join itself. It calls this as its last act under the lock, so whoever holds the
  // lock later can join it.
  void retire(std::uint32_t id) noexcept {
    const auto found = std::find_if(workers_.begin(), workers_.end(),
                                    [id](const worker& one) { return one.id == id; });
    retired_.splice(retired_.end(), workers_, found);
  }

  void join_retired() noexcept {
    for (auto& worker : retired_) worker.thread.join();
    retired_.clear();
  }

  // Without it the loop would sleep for ever, so one failure is not taken for an answer.
  void ring_doorbell() const noexcept {
    for (int attempt = 0; attempt < 10; ++attempt) {
      if (::eventfd_write(doorbell_.get(), 1) == 0 || errno == EAGAIN) return;
    }
  }
  void silence_doorbell() const noexcept {
    eventfd_t count = 0;
    ::eventfd_read(doorbell_.get(), &count);
  }

  pool_options options_;

  // The loop's thread only.
  waiting_room room_;
  op_queue ready_;
  std::size_t in_flight_ = 0;
  bool failed_ = false;
  sequencer order_;
  unique_fd doorbell_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};

  // Under the mutex.
  std::mutex mutex_;
  std::condition_variable work_;
  work_queue queue_;
  op_queue completed_;
  std::size_t idle_ = 0;
  std::size_t notified_ = 0;
  std::uint32_t last_worker_ = 0;
  bool shutdown_ = false;
  bool loop_waits_ = false;
  std::list<worker> workers_;
  std::list<worker> retired_;
};

}  // namespace

std::unique_ptr<engine> make_pool_engine(const pool_options& options) {
  return std::make_unique<pool_engine>(options);
}

}  // namespace filemap
