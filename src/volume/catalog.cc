#include "volume/catalog.h"

#include "base/hash.h"

namespace hailstone::volume {

uint8_t home_group(ByteView name, uint8_t first, size_t groups) {
  return static_cast<uint8_t>(first + xxh3(name) % groups);
}

void Catalog::publish(uint8_t group, std::shared_ptr<const State> state) {
  const std::scoped_lock lock(mutex_);
  auto& held = groups_[group];
  const bool same = held && held->volumes.same(state->volumes) && held->keys.same(state->keys);
  held = std::move(state);
  if (same) return;
  if (groups_.size() == 1) return published_.publish(held);
  auto joined = std::make_shared<State>();
  Volumes volumes;
  for (const auto& [number, one] : groups_) {
    volumes.insert(one->volumes->begin(), one->volumes->end());
    if (joined->keys->empty()) joined->keys = one->keys;
  }
  joined->volumes.set(std::move(volumes));
  published_.publish(std::move(joined));
}

}  // namespace hailstone::volume
