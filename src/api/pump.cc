#include "api/pump.h"

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace hailstone::api {
namespace {

namespace asio = http::asio;
using Timer =
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, http::Executor>;

/// One job on the pool that the coroutine which started it awaits later. Both run on one thread, so nothing is shared
/// with another but through offload().
class Running {
 public:
  explicit Running(const http::Executor& executor) : timer_(executor) {}

  void done(Outcome outcome) {
    outcome_ = std::move(outcome);
    timer_.cancel();
  }
  /// The job ends by itself: it is the pool's, and holds no client.
  http::Task<Outcome> wait() {
    while (!outcome_) {
      timer_.expires_after(std::chrono::hours(1));
      co_await timer_.async_wait(asio::as_tuple(asio::deferred));
    }
    co_return *std::move(outcome_);
  }

 private:
  Timer timer_;
  std::optional<Outcome> outcome_;
};

enum class Place : uint8_t { Within, Last };

// By value throughout: the frame may be destroyed while the job runs on.
http::Task<void> work(http::BlockingPool& pool, std::shared_ptr<Sink> sink, std::shared_ptr<const Bytes> piece,
                      Place place, std::shared_ptr<Running> running) {
  Outcome outcome = co_await http::offload(pool, [sink, piece, place]() -> Outcome {
    TRY_DO(sink->take(*piece));
    if (place == Place::Last) return sink->finish();
    return Answer{};
  });
  running->done(std::move(outcome));
}

/// Fills a piece; shorter than kPieceBytes at the end of the body only.
http::Task<Result<std::shared_ptr<Bytes>>> read_piece(http::RequestBody& body) {
  constexpr size_t kFirstBytes = 16u << 10;  // most bodies are small: the piece grows with what arrives
  auto piece = std::make_shared<Bytes>();
  size_t used = 0;
  while (used < kPieceBytes) {
    if (used == piece->size()) piece->resize(std::min(kPieceBytes, std::max(kFirstBytes, 4 * used)));
    CO_TRY(const size_t count, co_await body.read_some(piece->data() + used, piece->size() - used));
    if (count == 0) break;
    used += count;
  }
  piece->resize(used);
  co_return piece;
}

}  // namespace

http::Task<Outcome> pump(http::BlockingPool& pool, http::RequestBody& body, std::shared_ptr<Sink> sink) {
  const http::Executor executor = co_await asio::this_coro::executor;
  std::shared_ptr<Running> running;
  for (;;) {
    auto piece = co_await read_piece(body);
    if (running) {
      auto outcome = co_await running->wait();
      if (!outcome) co_return outcome;
    }
    if (!piece) co_return std::unexpected(Failure(std::move(piece).error()));
    const Place place = (*piece)->size() < kPieceBytes ? Place::Last : Place::Within;
    running = std::make_shared<Running>(executor);
    asio::co_spawn(executor, work(pool, sink, *std::move(piece), place, running), asio::detached);
    if (place == Place::Last) co_return co_await running->wait();
  }
}

}  // namespace hailstone::api
