#include "http/offload.h"

#include <algorithm>

namespace hailstone::http {

BlockingPool::BlockingPool(const BlockingPoolOptions& options) : queue_max_(options.queue_max) {
  for (uint32_t i = 0; i < std::max(1u, options.threads); ++i) threads_.emplace_back([this] { work(); });
}

BlockingPool::~BlockingPool() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool BlockingPool::submit(std::move_only_function<void()>& job) {
  {
    const std::scoped_lock lock(mutex_);
    if (queue_.size() >= queue_max_) return false;
    queue_.push_back(std::move(job));
  }
  wake_.notify_one();
  return true;
}

size_t BlockingPool::queued() const {
  const std::scoped_lock lock(mutex_);
  return queue_.size();
}

void BlockingPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    std::move_only_function<void()> job = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    job();
    job = nullptr;  // what it owns is destroyed outside the lock
    lock.lock();
  }
}

namespace internal {

asio::execution_context::id OutstandingJobs::id;

void OutstandingJobs::begin() {
  const std::scoped_lock lock(mutex_);
  ++count_;
}

void OutstandingJobs::end() {
  const std::scoped_lock lock(mutex_);
  if (--count_ == 0) none_.notify_all();
}

// Services are shut down before the context's queue is destroyed, the youngest first.
void OutstandingJobs::shutdown() {
  std::unique_lock lock(mutex_);
  none_.wait(lock, [this] { return count_ == 0; });
}

}  // namespace internal

Task<void> pause_for(std::chrono::milliseconds duration) {
  using Clock = std::chrono::steady_clock;
  const Executor executor = co_await asio::this_coro::executor;
  asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor> timer(executor, duration);
  [[maybe_unused]] const auto [error] = co_await timer.async_wait(asio::as_tuple(asio::deferred));
}

}  // namespace hailstone::http
