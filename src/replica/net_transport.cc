#include "replica/net_transport.h"

#include "base/codec.h"

namespace hailstone::replica {

// A frame that can't be sent is lost: the replicas ask again.
void NetTransport::send(paxos::ReplicaId to, Channel channel, Bytes frame) {
  net_->send(node_of(to), static_cast<uint8_t>(channel), std::move(frame));
}

void NetTransport::on_frame(net::NodeId from, uint8_t channel, ByteView payload) {
  switch (channel) {
    case static_cast<uint8_t>(Channel::Consensus):
    case static_cast<uint8_t>(Channel::Snapshots):
    case static_cast<uint8_t>(Channel::Proposals):
      return host_->receive(replica_of(from), static_cast<Channel>(channel), Bytes(payload));
    case kObituaryChannel:
      // Whoever holds the node's key speaks for it, and only for it.
      if (Decoder in(payload); payload.size() == sizeof(uint64_t))
        host_->obituary(replica_of(from), paxos::LifeId(in.u64()));
      return;
    default:
      if (others_) others_->on_frame(from, channel, payload);
  }
}

void NetTransport::on_up(net::NodeId peer) {
  if (others_) others_->on_up(peer);
}

void NetTransport::on_down(net::NodeId peer, const Error& reason) {
  host_->peer_down(replica_of(peer));
  if (others_) others_->on_down(peer, reason);
}

}  // namespace hailstone::replica
