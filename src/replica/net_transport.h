// Joins a host to the frames between nodes: replica n lives on node n.
#pragma once

#include "net/transport.h"
#include "replica/host.h"

namespace hailstone::replica {

/// A node that lost its disk comes back under a new id, as its replicas must.
inline net::NodeId node_of(paxos::ReplicaId id) { return net::NodeId(id.value); }
inline paxos::ReplicaId replica_of(net::NodeId id) { return paxos::ReplicaId(id.value); }

/// The channel on which a node's supervisor says that a life of its process has ended: u64 the life.
inline constexpr uint8_t kObituaryChannel = 3;

/// Both must be attached before the net is given peers. What comes on other channels goes to `others`, if any.
class NetTransport final : public Transport, public net::Receiver {
 public:
  NetTransport() = default;
  void set_others(net::Receiver* others) { others_ = others; }
  void attach(net::Transport& net, Host& host) {
    net_ = &net;
    host_ = &host;
  }
  void send(paxos::ReplicaId to, Channel channel, Bytes frame) override;
  void on_frame(net::NodeId from, uint8_t channel, ByteView payload) override;
  void on_up(net::NodeId peer) override;
  void on_down(net::NodeId peer, const Error& reason) override;

 private:
  net::Transport* net_ = nullptr;
  Host* host_ = nullptr;
  net::Receiver* others_ = nullptr;
};

}  // namespace hailstone::replica
