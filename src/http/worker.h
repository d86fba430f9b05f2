// One server thread: its event loop, listener, handler and connections; nothing here is shared but counters.
#pragma once

#include <atomic>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "http/response_head.h"
#include "http/server.h"
#include "http/transport.h"

namespace hailstone::http {

class Connection;

/// Written by one thread, read by any.
struct Counter {
  std::atomic<uint64_t> value{0};
  void add(uint64_t n = 1) { value.store(value.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  uint64_t get() const { return value.load(std::memory_order_relaxed); }
};

struct WorkerCounters {
  Counter connections_total, requests_total, bytes_sent, bytes_received, timeouts, rejected, parse_errors;
  Counter responses_by_class[6];
};

/// Common to the workers of a server; outlives them.
struct WorkerShared {
  const ServerOptions options;
  Logger& logger;
  const std::function<std::unique_ptr<Handler>(unsigned)> make_handler;
  std::unique_ptr<asio::ssl::context> tls;
  std::atomic<uint64_t> connections_open{0};
};

class Worker {
 public:
  using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;

  Worker(WorkerShared& shared, unsigned index);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Before run(): listens on what is bound.
  Acceptor& acceptor() { return acceptor_; }
  /// The thread's body; returns when drained.
  void run();
  /// From any thread: stop accepting, let what is under way end, then return from run().
  void request_drain();
  const WorkerCounters& counters() const { return counters_; }

  // For connections, on this thread.
  const ServerOptions& options() const { return shared_.options; }
  Logger& logger() { return shared_.logger; }
  Handler& handler() { return *handler_; }
  WorkerCounters& counting() { return counters_; }
  bool draining() const { return draining_; }
  asio::ssl::context* tls() { return shared_.tls.get(); }
  ByteView date_lines();
  /// Memory of kScratchBytes that no one keeps across a co_await.
  char* scratch() { return scratch_.get(); }
  static constexpr size_t kScratchBytes = 64u << 10;
  /// Memory of kScratchBytes to keep, from a pool; give it back.
  std::unique_ptr<char[]> take_buffer();
  void give_buffer(std::unique_ptr<char[]> buffer);
  void enter(Connection& connection);
  void leave(Connection& connection);
  /// Calls connection.flush_deferred() as soon as its coroutine waits for anything.
  void defer_flush(Connection& connection);

 private:
  using Timer =
      asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>;

  Task<void> accept_loop();
  Task<void> serve(Socket socket);
  Task<void> sweep_loop();
  bool admit(Socket& socket);
  void begin_drain();
  void flush_all_deferred();

  WorkerShared& shared_;
  const unsigned index_;
  WorkerCounters counters_;
  std::unique_ptr<Handler> handler_;      // outlives the frames that context_ destroys
  std::vector<Connection*> connections_;  // each knows its place in it
  std::vector<Connection*> deferred_;
  std::unique_ptr<char[]> scratch_;
  std::vector<std::unique_ptr<char[]>> spare_buffers_;
  DateLines date_;
  bool draining_ = false;
  bool running_ = false;
  int64_t drain_until_ms_ = 0;
  asio::io_context context_;
  Acceptor acceptor_;
  Timer sweep_timer_;
};

/// CLOCK_MONOTONIC_COARSE in milliseconds: a few ms stale, almost free.
int64_t coarse_now_ms();

}  // namespace hailstone::http
