// Frames between the nodes of a cell: order is kept, loss is told; what they carry is not looked at.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"

namespace hailstone::net {

/// A node of a cell. 0 is nobody.
using NodeId = Id<struct NodeTag>;
/// "node-7": its name in certificates and logs.
std::string node_name(NodeId id);
/// Whether some node has that name.
bool is_node_name(ByteView name);

/// Of one frame.
inline constexpr size_t kPayloadBytesMax = 16u << 20;

struct PeerAddress {
  NodeId id;
  std::string host;  // a name or a numeric address
  uint16_t port = 0;
  bool operator==(const PeerAddress&) const = default;
};

/// Counted since the peer was first named. "Out" is what this node sends.
struct PeerMetrics {
  NodeId id;
  bool connected = false;    // frames can be sent
  bool heard = false;        // frames can be received
  uint64_t incarnation = 0;  // of its process, as last told; 0: never met
  uint64_t frames_out = 0, bytes_out = 0;
  uint64_t frames_in = 0, bytes_in = 0;
  uint64_t dropped = 0;        // frames refused by send(), or accepted and not written when the connection ended
  uint64_t reconnects = 0;     // connections made after the first
  uint64_t round_trip_us = 0;  // of pings, smoothed as TCP does; 0: none yet
  uint64_t queue_bytes = 0;    // accepted and not yet written
};

/// Called on one thread of the transport, never two calls at once. Calls must not block: they hold up every peer.
class Receiver {
 public:
  virtual ~Receiver() = default;
  /// `payload` is valid during the call. Frames of one connection come in the order of their sending, without gaps. May
  /// come before on_up and after on_down, which are about the other direction.
  virtual void on_frame(NodeId from, uint8_t channel, ByteView payload) = 0;
  /// send() to this peer works from now on.
  virtual void on_up(NodeId peer) = 0;
  /// send() to this peer fails from now on; what was accepted and not delivered is lost. Also told, once for each
  /// different reason in a row, when connecting fails: Denied, Unsupported: refused for what one of us is; Timeout,
  /// Unavailable, Io, Corrupt: it is tried again; Cancelled: removed, or stopping.
  virtual void on_down(NodeId peer, const Error& reason) = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;

  /// From any thread; never blocks. False: dropped, because the peer is unknown or not connected, its queue is full or
  /// the payload longer than kPayloadBytesMax. True is no promise of delivery.
  virtual bool send(NodeId to, uint8_t channel, Bytes payload) = 0;
  /// Runs `work` on the receiver's thread. What is sent there in one call leaves at its end, in one write for each
  /// peer, without waking another thread: where latency counts, decide there.
  virtual void post(std::function<void()> work) = 0;
  /// From any thread: who the others are, from now on. This node's own id is skipped. Those missing are disconnected.
  /// Invalid when an id is 0 or named twice; then nothing changes.
  virtual Result<void> set_peers(std::vector<PeerAddress> peers) = 0;
  virtual std::vector<PeerMetrics> metrics() const = 0;
  /// Writes what was accepted, within a deadline, and disconnects. No call to the receiver comes after it returns. Not
  /// from the receiver's thread. Repeating it is harmless.
  virtual void stop() = 0;
};

/// Empty when `peers` can be used, else what is wrong.
std::string problem_of(const std::vector<PeerAddress>& peers);

}  // namespace hailstone::net
