#include "http/worker.h"

#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <exception>

#include "http/connection.h"
#include "http/tls.h"

namespace hailstone::http {
namespace {

constexpr auto kAwait = asio::as_tuple(asio::deferred);
constexpr size_t kSpareBuffersMax = 64;
constexpr auto kAcceptPause = std::chrono::milliseconds(100);  // out of descriptors or memory: some will come free

// Fine enough that a timeout is at most a quarter late, coarse enough to cost nothing.
int64_t sweep_interval_ms(const ServerOptions& o) {
  const uint32_t shortest = std::min({o.head_timeout_ms, o.idle_timeout_ms, o.stall_timeout_ms});
  return std::clamp<int64_t>(shortest / 4, 5, 1000);
}

int64_t drain_interval_ms(const ServerOptions& o) {
  return std::min(sweep_interval_ms(o), std::clamp<int64_t>(o.drain_timeout_ms / 4, 5, 100));
}

}  // namespace

int64_t coarse_now_ms() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1'000'000;
}

// UNSAFE_IO: sockets and timers of this context are used from its thread only, so the reactor needs no locks; post()
// stays safe from any thread.
Worker::Worker(WorkerShared& shared, unsigned index)
    : shared_(shared),
      index_(index),
      scratch_(new char[kScratchBytes]),
      context_(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO),
      acceptor_(context_.get_executor()),
      sweep_timer_(context_.get_executor()) {}

Worker::~Worker() = default;

void Worker::run() {
  running_ = true;
  handler_ = shared_.make_handler(index_);
  asio::co_spawn(context_, accept_loop(), asio::detached);
  asio::co_spawn(context_, sweep_loop(), asio::detached);
  while (!context_.stopped()) {
    try {
      context_.run();
    } catch (const std::exception& e) {
      logger().error("http task threw", {{"what", e.what()}});
    }
  }
  running_ = false;
}

std::unique_ptr<char[]> Worker::take_buffer() {
  if (spare_buffers_.empty()) return std::unique_ptr<char[]>(new char[kScratchBytes]);
  auto buffer = std::move(spare_buffers_.back());
  spare_buffers_.pop_back();
  return buffer;
}

void Worker::give_buffer(std::unique_ptr<char[]> buffer) {
  if (spare_buffers_.size() < kSpareBuffersMax) spare_buffers_.push_back(std::move(buffer));
}

void Worker::request_drain() {
  asio::post(context_, [this] { begin_drain(); });
}

ByteView Worker::date_lines() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME_COARSE, &t);
  return date_.lines(t.tv_sec);
}

void Worker::begin_drain() {
  if (draining_) return;
  draining_ = true;
  drain_until_ms_ = coarse_now_ms() + options().drain_timeout_ms;
  SocketError ignored;
  acceptor_.close(ignored);
  for (Connection* connection : connections_) connection->drain();
  sweep_timer_.cancel();
}

void Worker::enter(Connection& connection) {
  connection.place = connections_.size();
  connections_.push_back(&connection);
}

void Worker::leave(Connection& connection) {
  connections_.back()->place = connection.place;
  connections_[connection.place] = connections_.back();
  connections_.pop_back();
  std::erase(deferred_, &connection);
  // Frames that outlived the drain are destroyed with the context, when the timer is gone already.
  if (running_ && draining_ && connections_.empty()) sweep_timer_.cancel();
}

void Worker::defer_flush(Connection& connection) {
  if (std::find(deferred_.begin(), deferred_.end(), &connection) != deferred_.end()) return;
  deferred_.push_back(&connection);
  if (deferred_.size() == 1) asio::post(context_, [this] { flush_all_deferred(); });
}

void Worker::flush_all_deferred() {
  for (Connection* connection : deferred_) connection->flush_deferred();
  deferred_.clear();
}

// Takes a place under the connection cap, or refuses with a 503.
bool Worker::admit(Socket& socket) {
  counters_.connections_total.add();
  if (shared_.connections_open.fetch_add(1, std::memory_order_relaxed) < options().connections_max) return true;
  shared_.connections_open.fetch_sub(1, std::memory_order_relaxed);
  counters_.rejected.add();
  if (shared_.tls == nullptr) {
    Bytes refusal;
    const ByteView body = "too many connections\n";
    const ResponseFraming framing{ResponseFraming::Body::Length, body.size(), ResponseFraming::Connection::Close};
    append_response_head(refusal, 503, date_lines(), framing,
                         "Content-Type: text/plain\r\nCache-Control: no-store\r\nRetry-After: 1\r\n");
    refusal.append(body);
    // Best effort: the socket is new, its buffer empty.
    [[maybe_unused]] const ssize_t sent =
        ::send(socket.native_handle(), refusal.data(), refusal.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    SocketError ignored;
    socket.shutdown(Socket::shutdown_send, ignored);
    // What the client has sent already would turn our close into a reset that kills the refusal under way.
    while (::recv(socket.native_handle(), scratch(), kScratchBytes, MSG_DONTWAIT) > 0) {
    }
  }
  return false;
}

Task<void> Worker::accept_loop() {
  Timer pause(context_.get_executor());
  while (!draining_) {
    auto [error, socket] = co_await acceptor_.async_accept(kAwait);
    if (draining_) break;
    if (error) {
      if (error == asio::error::connection_aborted) continue;
      logger().warn("http accept failed", {{"error", error.message()}});
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(kAwait);
      continue;
    }
    if (!admit(socket)) continue;
    asio::co_spawn(context_, serve(std::move(socket)), asio::detached);
  }
}

Task<void> Worker::serve(Socket socket) {
  // Gives the place under the cap back however this frame ends.
  struct Place {
    std::atomic<uint64_t>& open;
    ~Place() { open.fetch_sub(1, std::memory_order_relaxed); }
  } place{shared_.connections_open};
  try {
    Connection connection(*this, std::move(socket));
    co_await connection.run();
  } catch (const std::exception& e) {
    logger().error("http connection threw", {{"what", e.what()}});
  }
}

Task<void> Worker::sweep_loop() {
  while (true) {
    const int64_t interval = draining_ ? drain_interval_ms(options()) : sweep_interval_ms(options());
    sweep_timer_.expires_after(std::chrono::milliseconds(interval));
    if (!(draining_ && connections_.empty())) co_await sweep_timer_.async_wait(kAwait);
    const int64_t now = coarse_now_ms();
    if (draining_ && (connections_.empty() || now >= drain_until_ms_)) {
      if (!connections_.empty())
        logger().warn("http drain cut short", {{"connections", static_cast<uint64_t>(connections_.size())}});
      context_.stop();
      co_return;
    }
    for (Connection* connection : connections_) connection->sweep(now);
  }
}

}  // namespace hailstone::http
