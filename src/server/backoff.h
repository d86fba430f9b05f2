// When to try again what failed, and when to say so.
#pragma once

#include <algorithm>
#include <cstdint>

namespace hailstone::server {

/// Of one thing that is tried in rounds. Times are of a monotonic clock.
class Backoff {
 public:
  static constexpr int64_t kDelayNs = 500'000'000;  // after the first failure; doubles with each
  static constexpr int64_t kDelayNsMax = 15'000'000'000;
  static constexpr int64_t kTellNs = 60'000'000'000;

  bool due(int64_t now_ns) const { return now_ns >= next_ns_; }
  /// Whether to tell: the first time, and then at most once in kTellNs.
  bool failed(int64_t now_ns) {
    delay_ns_ = std::clamp(delay_ns_ * 2, kDelayNs, kDelayNsMax);
    next_ns_ = now_ns + delay_ns_;
    if (told_ && now_ns - told_ns_ < kTellNs) return false;
    told_ = true;
    told_ns_ = now_ns;
    return true;
  }

 private:
  int64_t delay_ns_ = 0, next_ns_ = 0, told_ns_ = 0;
  bool told_ = false;
};

}  // namespace hailstone::server
