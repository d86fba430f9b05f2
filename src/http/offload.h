// Runs blocking functions (big reads, fsync waits, publishing) on a small thread pool and resumes the caller's
// coroutine.
#pragma once

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "http/task.h"

namespace hailstone::http {

struct BlockingPoolOptions {
  uint32_t threads = 4;
  uint32_t queue_max = 256;  // jobs waiting, those running not counted
};

/// Threads with one bounded queue. Jobs run in order of submission, each on any thread. The mutex is for the queue
/// alone: handing work between threads is what this class is for.
class BlockingPool {
 public:
  explicit BlockingPool(const BlockingPoolOptions& options);
  /// Runs what is queued, then joins.
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  /// False when the queue is full; the job is then untouched.
  bool submit(std::move_only_function<void()>& job);
  size_t queued() const;

 private:
  void work();

  const uint32_t queue_max_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::move_only_function<void()>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

namespace internal {

// Keeps an io_context from being destroyed under jobs that will still post to it.
class OutstandingJobs final : public asio::execution_context::service {
 public:
  using key_type = OutstandingJobs;
  static asio::execution_context::id id;
  explicit OutstandingJobs(asio::execution_context& context) : service(context) {}
  void begin();
  void end();

 private:
  void shutdown() override;
  std::mutex mutex_;
  std::condition_variable none_;
  size_t count_ = 0;
};

// What the job leaves for the coroutine.
template <class R>
struct Outcome {
  std::optional<R> result;
  std::exception_ptr exception;
  bool refused = false;
};

// Starts a job once its coroutine is suspended; `function` is in that coroutine's frame and moves from there. The
// outcome is shared, for the frame may be destroyed before the job has ended.
template <class F, class R>
struct StartJob {
  BlockingPool* pool;
  Executor executor;
  std::shared_ptr<Outcome<R>> outcome;
  F* function;

  template <class Resume>
  void operator()(Resume resume) const {
    OutstandingJobs& jobs = asio::use_service<OutstandingJobs>(executor.context());
    jobs.begin();
    std::move_only_function<void()> job = [e = executor, &jobs, out = outcome, f = std::move(*function),
                                           r = std::make_unique<Resume>(std::move(resume))]() mutable {
      if (!out->refused) {
        try {
          out->result.emplace(f());
        } catch (...) {
          out->exception = std::current_exception();
        }
      }
      asio::post(e, std::move(*r));
      r.reset();
      jobs.end();
    };
    if (pool->submit(job)) return;
    outcome->refused = true;
    job();
  }
};

}  // namespace internal

/// Runs `function` (returning a Result) on the pool; the coroutine resumes on its own thread with what it returned, or
/// with what it threw. Unavailable, without running it, when the pool's queue is full. `function` must own what it
/// uses: a server that is stopped by force destroys the coroutine while the function runs on.
template <class F>
Task<std::invoke_result_t<F>> offload(BlockingPool& pool, F function) {
  using R = std::invoke_result_t<F>;
  auto outcome = std::make_shared<internal::Outcome<R>>();
  const Executor executor = co_await asio::this_coro::executor;
  internal::StartJob<F, R> start{&pool, executor, outcome, &function};
  co_await asio::async_initiate<const asio::deferred_t&, void()>(start, asio::deferred);
  if (outcome->exception) std::rethrow_exception(outcome->exception);
  if (outcome->refused) co_return fail(Code::Unavailable, "too many blocking jobs are queued");
  co_return std::move(*outcome->result);
}

/// Starts something that calls back once, from any thread, and resumes on the coroutine's own with what it was given.
/// `start` must own what it uses, and must see to it that the callback comes.
template <class R, class Start>
Task<R> await_callback(Start start) {
  const Executor executor = co_await asio::this_coro::executor;
  auto result = std::make_shared<std::optional<R>>();
  auto begin = [&executor, &result, &start](auto resume) {
    auto& jobs = asio::use_service<internal::OutstandingJobs>(executor.context());
    jobs.begin();
    start([executor, &jobs, result, resumed = std::make_shared<decltype(resume)>(std::move(resume))](R value) {
      result->emplace(std::move(value));
      asio::post(executor, std::move(*resumed));
      jobs.end();
    });
  };
  co_await asio::async_initiate<const asio::deferred_t&, void()>(begin, asio::deferred);
  co_return std::move(**result);
}

/// Resumes after at least `duration`.
Task<void> pause_for(std::chrono::milliseconds duration);

}  // namespace hailstone::http
