// A job on the blocking pool that the coroutine which started it awaits later.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "http/offload.h"

namespace hailstone::http {

/// Of one thread: started and awaited there; only the job itself runs elsewhere, and owns what it uses. A job that was
/// started runs to its end even if nobody awaits it.
template <class R>
class Background {
 public:
  template <class F>
  static std::shared_ptr<Background> start(const Executor& executor, BlockingPool& pool, F function) {
    auto self = std::make_shared<Background>(executor);
    asio::co_spawn(executor, run(pool, self, std::move(function)), asio::detached);
    return self;
  }

  explicit Background(const Executor& executor) : timer_(executor) {}

  /// Once.
  Task<R> wait() {
    while (!result_) {
      timer_.expires_after(std::chrono::hours(1));
      co_await timer_.async_wait(asio::as_tuple(asio::deferred));
    }
    co_return *std::move(result_);
  }

 private:
  using Timer =
      asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>;

  // By value throughout: the starter's frame may be destroyed while the job runs on.
  template <class F>
  static Task<void> run(BlockingPool& pool, std::shared_ptr<Background> self, F function) {
    R result = co_await offload(pool, std::move(function));
    self->result_ = std::move(result);
    self->timer_.cancel();
  }

  Timer timer_;
  std::optional<R> result_;
};

}  // namespace hailstone::http
