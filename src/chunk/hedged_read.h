// Reads a chunk from other nodes' stores: the closest first, the next when that is slow, fails or lies.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <vector>

#include "base/logger.h"
#include "chunk/compression.h"
#include "chunk/store.h"
#include "net/rpc.h"

namespace hailstone::chunk {

/// How long a store took to answer of late.
class Latency {
 public:
  void note(std::chrono::microseconds took);
  /// 19 of 20 answers came within that; nothing is known: 0.
  std::chrono::microseconds p95() const { return p95_; }
  std::chrono::microseconds mean() const { return mean_; }

 private:
  static constexpr size_t kKept = 64;
  std::array<std::chrono::microseconds, kKept> kept_{};
  size_t noted_ = 0;
  std::chrono::microseconds p95_{0}, mean_{0};
};

struct HedgeOptions {
  std::chrono::milliseconds patience{10'000};  // for one answer
  std::chrono::milliseconds hedge_first{
      50};  // until another store is asked as well, when nothing is known of the first
  std::chrono::milliseconds hedge_min{2}, hedge_max{1000};
};

/// Thread-safe. Never gives bytes that are not those of the name.
class HedgedReader {
 public:
  HedgedReader(const HedgeOptions& options, net::Rpc& rpc, Logger& logger)
      : options_(options), rpc_(rpc), logger_(logger) {}

  struct Read {
    StoredChunk stored;
    Bytes bytes;  // unpacked
    net::NodeId from;
  };
  /// From the first of `stores` that has it; those of equal distance should be in the order of expected_us(). NotFound:
  /// none of them has it; Corrupt: those that have it have it damaged; Unavailable: some could not be asked.
  Result<Read> get(const ChunkId& id, std::span<const net::NodeId> stores);

  std::chrono::microseconds expected(net::NodeId store) const;

  struct Metrics {
    uint64_t reads = 0, hedged = 0, damaged = 0;  // damaged: answers that were, or said so
  };
  Metrics metrics() const;

 private:
  struct Race;
  std::chrono::microseconds hedge_after(net::NodeId store) const;
  void start(const std::shared_ptr<Race>& race, const ChunkId& id, net::NodeId store);
  Result<Read> judge(const ChunkId& id, net::NodeId from, const Result<Bytes>& answer);

  const HedgeOptions options_;
  net::Rpc& rpc_;
  Logger& logger_;
  Compressor compressor_;
  mutable std::mutex mutex_;  // readers of all threads; for some lines
  std::map<net::NodeId, Latency> latencies_;
  Metrics metrics_;
};

}  // namespace hailstone::chunk
