#include "http/server.h"

#include <signal.h>

#include <boost/asio/ip/address.hpp>
#include <mutex>
#include <thread>

#include "http/tls.h"
#include "http/worker.h"

namespace hailstone::http {
namespace {

using Tcp = asio::ip::tcp;
using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;
constexpr int kBacklog = 4096;

// A peer that went away must be an error of the call, not the end of the process: sendfile(2) has no MSG_NOSIGNAL.
void ignore_sigpipe() {
  struct sigaction present{};
  if (sigaction(SIGPIPE, nullptr, &present) == 0 && present.sa_handler == SIG_DFL) ::signal(SIGPIPE, SIG_IGN);
}

Error bind_error(const ServerOptions& options, uint16_t port, const SocketError& error) {
  const bool later = error == asio::error::address_in_use;
  return {later ? Code::Unavailable : Code::Invalid,
          "cannot listen on " + options.address + ":" + std::to_string(port) + ": " + error.message()};
}

SocketError open_and_bind(Worker::Acceptor& acceptor, const Tcp::endpoint& endpoint, bool share) {
  SocketError error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
  if (!error && share) acceptor.set_option(ReusePort(true), error);
  if (!error) acceptor.bind(endpoint, error);
  return error;
}

class ServerImpl final : public Server {
 public:
  explicit ServerImpl(std::unique_ptr<WorkerShared> shared) : shared_(std::move(shared)) {}
  ~ServerImpl() override { stop(); }

  Result<void> bind() {
    const ServerOptions& options = shared_->options;
    SocketError error;
    const auto address = asio::ip::make_address(options.address, error);
    if (error) return fail(Code::Invalid, "address " + options.address + " is not an IP address");
    port_ = options.port;
    if (port_ != 0) TRY_DO(probe(address));
    const unsigned threads = options.threads != 0 ? options.threads : std::max(1u, std::thread::hardware_concurrency());
    for (unsigned i = 0; i < threads; ++i) {
      workers_.push_back(std::make_unique<Worker>(*shared_, i));
      Worker::Acceptor& acceptor = workers_.back()->acceptor();
      error = open_and_bind(acceptor, Tcp::endpoint(address, port_), threads > 1);
      if (!error) acceptor.listen(kBacklog, error);
      if (error) return std::unexpected(bind_error(options, port_, error));
      port_ = acceptor.local_endpoint().port();
    }
    return {};
  }

  void start() override {
    const std::scoped_lock lock(mutex_);
    if (stopped_ || !threads_.empty()) return;
    for (auto& worker : workers_) threads_.emplace_back([&w = *worker] { w.run(); });
  }

  void stop() override {
    const std::scoped_lock lock(mutex_);
    stopped_ = true;
    if (threads_.empty()) return;
    for (auto& worker : workers_) worker->request_drain();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  uint16_t port() const override { return port_; }

  ServerStats stats() const override {
    ServerStats sum;
    sum.connections_open = shared_->connections_open.load(std::memory_order_relaxed);
    for (const auto& worker : workers_) {
      const WorkerCounters& c = worker->counters();
      sum.connections_total += c.connections_total.get();
      sum.requests_total += c.requests_total.get();
      sum.bytes_sent += c.bytes_sent.get();
      sum.bytes_received += c.bytes_received.get();
      sum.timeouts += c.timeouts.get();
      sum.rejected += c.rejected.get();
      sum.parse_errors += c.parse_errors.get();
      for (size_t i = 0; i < std::size(sum.responses_by_class); ++i)
        sum.responses_by_class[i] += c.responses_by_class[i].get();
    }
    return sum;
  }

 private:
  // SO_REUSEPORT would let us share a port with another process of the same user, each getting half of the connections.
  Result<void> probe(const asio::ip::address& address) {
    asio::io_context context;
    Worker::Acceptor acceptor(context.get_executor());
    if (const SocketError error = open_and_bind(acceptor, Tcp::endpoint(address, port_), false))
      return std::unexpected(bind_error(shared_->options, port_, error));
    return {};
  }

  std::unique_ptr<WorkerShared> shared_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> threads_;
  uint16_t port_ = 0;
  bool stopped_ = false;
  std::mutex mutex_;  // start and stop may be called from any thread, stop by several at once
};

}  // namespace

Result<void> ServerOptions::validate() const {
  if (tls_certificate.empty() != tls_key.empty())
    return fail(Code::Invalid, "tls_certificate and tls_key must be given together");
  if (head_bytes_max < 512 || head_bytes_max > (1u << 20))
    return fail(Code::Invalid, "head_bytes_max " + std::to_string(head_bytes_max) + " is not within 512..1048576");
  const std::pair<const char*, uint32_t> positive[] = {{"fields_max", fields_max},
                                                       {"connections_max", connections_max},
                                                       {"head_timeout_ms", head_timeout_ms},
                                                       {"idle_timeout_ms", idle_timeout_ms},
                                                       {"stall_timeout_ms", stall_timeout_ms},
                                                       {"requests_per_connection_max", requests_per_connection_max}};
  for (const auto& [name, value] : positive)
    if (value == 0) return fail(Code::Invalid, std::string(name) + " must not be 0");
  if (threads > 1024) return fail(Code::Invalid, "threads " + std::to_string(threads) + " is more than 1024");
  return {};
}

Result<std::unique_ptr<Server>> Server::listen(const ServerOptions& options,
                                               std::function<std::unique_ptr<Handler>(unsigned)> make_handler,
                                               Logger& logger) {
  TRY_DO(options.validate());
  ignore_sigpipe();
  std::unique_ptr<WorkerShared> shared(new WorkerShared{options, logger, std::move(make_handler), nullptr});
  if (!options.tls_certificate.empty()) {
    TRY(shared->tls, make_tls_context(options.tls_certificate, options.tls_key));
  }
  auto server = std::make_unique<ServerImpl>(std::move(shared));
  TRY_DO(server->bind());
  return server;
}

}  // namespace hailstone::http
