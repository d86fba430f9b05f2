// Serves this node's store to the other nodes (docs/formats/chunk-remote.md).
#pragma once

#include "base/logger.h"
#include "chunk/compression.h"
#include "chunk/remote_sessions.h"
#include "chunk/store.h"
#include "net/rpc.h"

namespace hailstone::chunk {

/// Invariants: what is stored has the bytes of its name, whoever sent it; what an answer says is stored or there is
/// durable; both are under a session of the sender's from before the store was asked (RemoteSessions).
class ChunkService {
 public:
  /// Everything outlives it; the Rpc is stopped before it goes.
  ChunkService(net::NodeId self, ChunkStore& store, Logger& logger);
  /// Before the Rpc starts.
  void serve(net::Rpc& rpc);

  RemoteSessions& sessions() { return sessions_; }

 private:
  Result<Bytes> put(net::NodeId from, ByteView body);
  Result<Bytes> get(ByteView body);
  Result<Bytes> has(ByteView body);
  Result<Bytes> touch(net::NodeId from, ByteView body);
  Result<Bytes> stat(ByteView body);
  Result<Bytes> list(ByteView body);
  Result<Bytes> note_sessions(net::NodeId from, ByteView body);

  ChunkStore& store_;
  Logger& logger_;
  Compressor compressor_;
  RemoteSessions sessions_;
};

}  // namespace hailstone::chunk
