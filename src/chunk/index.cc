#include "chunk/index.h"

#include <algorithm>
#include <bit>
#include <mutex>
#include <utility>

#include "base/check.h"

namespace hailstone::chunk {
namespace {

constexpr size_t kOverflowSlots = 256;  // behind the homes, for the run that begins at the last of them
constexpr size_t kNowhere = ~size_t{0};

// Size classes: class c covers spans up to (4 + c % 4) << (5 + c / 4): 128, 160, 192, 224, 256, 320 ... over 7 MiB.
uint64_t class_bound(uint64_t c) { return (4 + c % 4) << (5 + c / 4); }

uint64_t class_of(uint64_t span) {
  if (span <= class_bound(0)) return 0;
  const auto exponent = static_cast<uint64_t>(std::bit_width(span - 1)) - 3;  // span - 1 = 1xx... << exponent
  const uint64_t c = (exponent - 5) * 4 + ((span - 1) >> exponent) - 4 + 1;
  return std::min<uint64_t>(c, 63);
}

}  // namespace

Location Location::make(uint32_t segment, uint64_t offset, uint64_t span) {
  CHECK(segment < (1u << 24) && offset % 8 == 0 && offset / 8 < (1u << 30));
  return {uint64_t{segment} << 40 | offset / 8 << 10 | class_of(span) << 4};
}

uint64_t Location::span_bound() const {
  const uint64_t c = packed >> 4 & 63;
  return class_bound(c);
}

uint64_t prefix_of(const ChunkId& id) {
  uint64_t out = 0;
  for (size_t i = 0; i < 8; ++i) out = out << 8 | id.bytes[i];
  return out;
}

/// The 32 bits behind those that choose the shard, scaled to the table.
size_t Index::Shard::home(uint64_t prefix) const { return (prefix >> 24 & 0xffffffff) * homes >> 32; }

/// The first slot of the run at the prefix's home that is free or not smaller.
size_t Index::Shard::lower_bound(uint64_t prefix) const {
  if (homes == 0) return 0;
  size_t i = home(prefix);
  while (i < slots.size() && slots[i].location.packed != 0 && slots[i].prefix < prefix) ++i;
  return i;
}

void Index::Shard::place(Slot slot) {
  const size_t at = lower_bound(slot.prefix);
  size_t end = at;
  while (end < slots.size() && slots[end].location.packed != 0) ++end;
  // More homes would not help against names chosen to share the last of them; a longer overflow does.
  if (end == slots.size()) slots.resize(end + kOverflowSlots);
  std::copy_backward(slots.begin() + at, slots.begin() + end, slots.begin() + end + 1);
  slots[at] = slot;
  ++used;
}

void Index::Shard::grow(uint64_t homes_wanted) {
  const std::vector<Slot> old = std::exchange(slots, std::vector<Slot>(homes_wanted + kOverflowSlots));
  homes = homes_wanted;
  used = 0;
  for (const Slot& slot : old)
    if (slot.location.packed != 0) place(slot);
}

size_t Index::Shard::locate(uint64_t prefix, Location at) const {
  for (size_t i = lower_bound(prefix); i < slots.size() && slots[i].location.packed != 0 && slots[i].prefix == prefix;
       ++i)
    if (slots[i].location.place() == at.place()) return i;
  return kNowhere;
}

void Index::reserve(uint64_t chunks) {
  for (Shard& shard : shards_) {
    std::unique_lock lock(shard.mutex);
    const uint64_t homes = chunks / kShards * 5 / 4;  // filled to four fifths
    if (homes > shard.homes) shard.grow(homes);
  }
}

Index::Found Index::find(uint64_t prefix) const {
  const Shard& s = shard(prefix);
  Found found;
  std::shared_lock lock(s.mutex);
  for (size_t i = s.lower_bound(prefix); i < s.slots.size(); ++i) {
    const Slot& slot = s.slots[i];
    if (slot.location.packed == 0 || slot.prefix != prefix) break;
    if (found.empty()) {
      found.first = slot;
    } else {
      found.more.push_back(slot);
    }
  }
  return found;
}

void Index::insert(uint64_t prefix, Location location) {
  Shard& s = shard(prefix);
  std::unique_lock lock(s.mutex);
  if (s.used + 1 > s.homes / 10 * 9) s.grow(s.homes + s.homes / 4 + 64);
  s.place({prefix, location});
}

bool Index::erase(uint64_t prefix, Location at) {
  Shard& s = shard(prefix);
  std::unique_lock lock(s.mutex);
  size_t hole = s.locate(prefix, at);
  if (hole == kNowhere) return false;
  // What follows moves one back unless it is at home.
  for (size_t next = hole + 1; next < s.slots.size(); ++next, ++hole) {
    if (s.slots[next].location.packed == 0 || s.home(s.slots[next].prefix) == next) break;
    s.slots[hole] = s.slots[next];
  }
  s.slots[hole] = {};
  --s.used;
  return true;
}

bool Index::replace(uint64_t prefix, Location at, Location with) {
  Shard& s = shard(prefix);
  std::unique_lock lock(s.mutex);
  const size_t i = s.locate(prefix, at);
  if (i == kNowhere) return false;
  s.slots[i].location = with;
  return true;
}

bool Index::set_flags(uint64_t prefix, Location at, uint64_t flags) {
  Shard& s = shard(prefix);
  std::unique_lock lock(s.mutex);
  const size_t i = s.locate(prefix, at);
  if (i == kNowhere) return false;
  s.slots[i].location.packed |= flags & Location::kFlags;
  return true;
}

std::vector<Index::Slot> Index::walk(uint64_t from, size_t limit) const {
  std::vector<Slot> out;
  for (size_t n = from >> 56; n < kShards && out.size() < limit; ++n) {
    const Shard& s = shards_[n];
    std::shared_lock lock(s.mutex);
    size_t i = s.homes == 0 || n != from >> 56 ? 0 : s.home(from);
    for (; i < s.slots.size(); ++i) {
      const Slot& slot = s.slots[i];
      if (slot.location.packed == 0 || slot.prefix < from) continue;
      if (out.size() >= limit && slot.prefix != out.back().prefix) return out;
      out.push_back(slot);
    }
  }
  return out;
}

uint64_t Index::slots_bytes() const {
  uint64_t sum = 0;
  for (const Shard& s : shards_) {
    std::shared_lock lock(s.mutex);
    sum += s.slots.size() * sizeof(Slot);
  }
  return sum;
}

}  // namespace hailstone::chunk
