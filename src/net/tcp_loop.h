// The event loop behind the TCP transport: dials, accepts, says hello, moves frames, watches over deadlines.
#pragma once

#include <atomic>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <shared_mutex>
#include <string>
#include <vector>

#include "net/frame.h"
#include "net/link.h"
#include "net/outbox.h"
#include "net/task.h"
#include "net/tcp_transport.h"

namespace hailstone::net {

/// Constructed and listened on before the thread runs; then all but the "any thread" functions are the thread's own.
class TcpLoop {
 public:
  TcpLoop(TcpOptions options, Receiver& receiver, Logger& logger);

  Result<void> listen();
  uint16_t port() const;
  /// The thread's body. Returns when request_stop() has been carried out.
  void run();

  // From any thread.
  bool send(NodeId to, uint8_t channel, Bytes payload);
  void post(std::function<void()> work);
  Result<void> set_peers(std::vector<PeerAddress> peers);
  std::vector<PeerMetrics> metrics() const;
  TcpMetrics tcp_metrics() const;
  void request_stop();

 private:
  using Acceptor = asio::basic_socket_acceptor<Tcp, Executor>;
  using LinkPtr = std::shared_ptr<Link>;

  struct Peer {
    Peer(asio::io_context& context, std::shared_ptr<Outbox> box) : outbox(std::move(box)), timer(context) {}
    PeerAddress address;
    const std::shared_ptr<Outbox> outbox;
    Timer timer;      // of the dialling coroutine: whatever it waits for apart from its link
    LinkPtr out, in;  // null or closed: none
    bool removed = false;
    bool up = false;   // the receiver was told
    std::string told;  // the last reason why not
  };
  using PeerPtr = std::shared_ptr<Peer>;

  /// In the frame of each coroutine that was spawned: the loop ends when none is left.
  class Running {
   public:
    explicit Running(TcpLoop& loop) : loop_(loop) { ++loop_.running_; }
    ~Running();
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

   private:
    TcpLoop& loop_;
  };

  void apply_peers(const std::vector<PeerAddress>& wanted, const std::map<NodeId, std::shared_ptr<Outbox>>& outboxes);
  void drop_peer(Peer& peer, const Error& reason);
  LinkPtr new_link(Socket socket, Side side);
  void forget(const LinkPtr& link);

  // Outgoing.
  Task<void> dial(PeerPtr peer);
  Task<Error> attempt(PeerPtr peer);
  Task<Error> converse(PeerPtr peer, LinkPtr link, Tcp::endpoint endpoint);
  Task<Result<Hello>> introduce(PeerPtr peer, LinkPtr link);
  Task<Result<Hello>> receive_hello(LinkPtr link);
  void pong(Peer& peer, Link& link, ByteView payload);
  void tell_up(Peer& peer, const LinkPtr& link, const Hello& welcome);
  void tell_down(Peer& peer, const Error& reason);

  // Incoming.
  Task<void> accept();
  Task<void> serve(LinkPtr link);
  Task<Result<PeerPtr>> admit(LinkPtr link);
  Task<Error> listen_to(PeerPtr peer, LinkPtr link);
  std::optional<Refused> judge_incoming(const Hello& hello, const Link& link) const;

  Task<void> sweep();
  void sweep_link(Link& link, SteadyTime now);
  void begin_stop();
  bool drained();
  void end_stop();

  Hello hello(HelloKind kind, NodeId to) const;
  bool is_allowed(const asio::ip::address& address) const;

  const TcpOptions options_;
  Receiver& receiver_;
  Logger& logger_;
  std::unique_ptr<TlsContext> tls_;
  std::unique_ptr<char[]> scratch_;
  asio::io_context context_{1};
  Acceptor acceptor_;
  Timer sweep_timer_, accept_timer_;
  std::map<NodeId, PeerPtr> peers_;
  std::vector<LinkPtr> links_;  // all, in order of their making
  std::minstd_rand random_{std::random_device{}()};
  size_t running_ = 0;
  bool stopping_ = false, cut_ = false;
  SteadyTime stop_deadline_;
  std::atomic<uint64_t> accepted_{0}, refused_{0}, corrupt_{0};

  /// For send() and metrics(), which any thread calls: whom they may reach.
  mutable std::shared_mutex outboxes_mutex_;
  std::map<NodeId, std::shared_ptr<Outbox>> outboxes_;
  std::mutex peers_mutex_;  // orders concurrent set_peers()
};

}  // namespace hailstone::net
