// Counts of the S3 edge's requests: how many of each operation, how they were answered, how long it took.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "s3proto/operation.h"

namespace hailstone::s3 {

/// Upper bounds of the histogram's buckets; the last one is open.
inline constexpr std::array<int64_t, 10> kLatencyBoundsMs = {1, 2, 5, 10, 20, 50, 100, 500, 1'000, 5'000};

/// Written by all server threads, read at a scrape.
class Meter {
 public:
  struct Row {
    uint64_t requests = 0;
    std::array<uint64_t, 6> by_class{};                           // 2: 2xx ... 5: 5xx
    std::array<uint64_t, kLatencyBoundsMs.size() + 1> latency{};  // not cumulative
    double seconds = 0;
  };

  /// `elapsed_ns`: from the head's arrival until the answer's head was ready, the request's body included.
  void count(s3proto::Operation operation, int status, int64_t elapsed_ns) {
    Cell& cell = cells_[static_cast<size_t>(operation)];
    const size_t hundreds = static_cast<size_t>(status) / 100;
    if (hundreds < cell.by_class.size()) add(cell.by_class[hundreds], 1);
    size_t bucket = 0;
    while (bucket < kLatencyBoundsMs.size() && elapsed_ns > kLatencyBoundsMs[bucket] * 1'000'000) ++bucket;
    add(cell.latency[bucket], 1);
    add(cell.nanoseconds, static_cast<uint64_t>(elapsed_ns < 0 ? 0 : elapsed_ns));
  }

  Row row(s3proto::Operation operation) const {
    const Cell& cell = cells_[static_cast<size_t>(operation)];
    Row out;
    for (size_t i = 0; i < out.by_class.size(); ++i) out.by_class[i] = cell.by_class[i].load(std::memory_order_relaxed);
    for (size_t i = 0; i < out.latency.size(); ++i) {
      out.latency[i] = cell.latency[i].load(std::memory_order_relaxed);
      out.requests += out.latency[i];
    }
    out.seconds = static_cast<double>(cell.nanoseconds.load(std::memory_order_relaxed)) / 1e9;
    return out;
  }

 private:
  struct Cell {
    std::array<std::atomic<uint64_t>, 6> by_class{};
    std::array<std::atomic<uint64_t>, kLatencyBoundsMs.size() + 1> latency{};
    std::atomic<uint64_t> nanoseconds{0};
  };
  static void add(std::atomic<uint64_t>& to, uint64_t n) { to.fetch_add(n, std::memory_order_relaxed); }

  std::array<Cell, s3proto::kOperationCount> cells_;
};

}  // namespace hailstone::s3
