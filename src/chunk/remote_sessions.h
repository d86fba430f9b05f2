// Write sessions that a store holds for writers on other nodes, and which of those it refuses.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "chunk/remote_wire.h"
#include "net/transport.h"

namespace hailstone::chunk {

/// Thread-safe.
///
/// Invariants: what a node put or touched under a generation is held off collections until that node, in the same term,
/// said that all sessions of that generation have ended, or its term was fenced: never because time passed or a
/// connection was lost. A store that was opened anew has forgotten what it held, so it is not collected before each
/// node that may have had sessions then has said that these have ended.
class RemoteSessions {
 public:
  RemoteSessions(net::NodeId self, ChunkStore& store) : self_(self), store_(store) {}

  enum class Hold : uint8_t {
    Yes,  // a put or touch follows
    No,   // only word of sessions
  };
  /// Opens and ends what the mark says. Denied: fenced.
  Result<void> heard(net::NodeId from, const WriterMark& mark, Hold hold);

  /// No command of that node's earlier terms will be applied any more: their sessions end, and their puts are refused.
  void fence(net::NodeId node, uint64_t terms_below);

  /// The nodes whose commands may still be applied, in any term that is not fenced.
  void set_writers(std::vector<net::NodeId> nodes);
  /// Unavailable, naming the node that is waited for.
  Result<void> ready_to_collect() const;

  /// Sessions held now.
  size_t held() const;

 private:
  struct Term {
    uint64_t ended = 0;
    std::map<uint64_t, std::unique_ptr<WriteSession>> held;  // by generation
  };
  /// What a node said first since this store was opened.
  struct First {
    uint64_t term = 0;
    uint64_t generation = 0;
  };
  struct Node {
    uint64_t fence = 0;
    First first;  // term 0: nothing yet
    std::map<uint64_t, Term> terms;
  };

  const net::NodeId self_;
  ChunkStore& store_;
  mutable std::mutex mutex_;  // handlers of all threads; some map steps, and sessions begun and ended
  std::map<net::NodeId, Node> nodes_;
  bool told_writers_ = false;
  std::vector<net::NodeId> writers_;
};

}  // namespace hailstone::chunk
