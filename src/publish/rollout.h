// Has every node of the cell show what was decided: the last step of a publish, a rollback, a flip.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace hailstone::publish {

struct Channel {
  Bytes volume, channel;
  auto operator<=>(const Channel&) const = default;
};

struct RolloutReport {
  std::vector<uint64_t> ready;     // gateways that held what they must before anybody showed it
  std::vector<uint64_t> excluded;  // those that did not say so in time: they show it when they have caught up
};

class Rollout {
 public:
  virtual ~Rollout() = default;
  /// The newest flip of each channel that its volume's group has decided is shown by every node from one instant on,
  /// all of them together. What is shown already stays: so it may be repeated. Blocks. Unavailable, Timeout: it may
  /// not be shown yet, or may; repeat.
  virtual Result<RolloutReport> show(const std::vector<Channel>& channels) = 0;
  /// Keeps publishers on other nodes waiting until it is let go, or its node is gone. A courtesy: commits decide. Null:
  /// could not be had in time.
  virtual std::shared_ptr<void> queue_up(const Bytes& volume) = 0;
  /// The volume is no more.
  virtual Result<void> forget(const Bytes& volume) = 0;
};

}  // namespace hailstone::publish
