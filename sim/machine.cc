#include "sim/machine.h"

#include "base/hash.h"

namespace hailstone::sim {

Machine::Lock& Machine::lock_at(uint64_t key, int64_t time_us) {
  Lock& lock = locks_[key];
  if (lock.holder && time_us > lock.until_us) lock.holder = 0;
  return lock;
}

Reply Machine::apply(const Command& command, int64_t time_us) {
  if (const Reply* before = find(command.id)) return *before;
  Reply reply;
  if (command.kind == Kind::Acquire) {
    Lock& lock = lock_at(command.key, time_us);
    reply.refused = lock.holder != 0;
    if (!reply.refused) {
      lock = {.holder = command.client, .sequencer = lock.sequencer + 1, .until_us = time_us + kLockLeaseUs};
      reply.sequencer = lock.sequencer;
    }
  } else if (command.kind == Kind::Release) {
    Lock& lock = lock_at(command.key, time_us);
    reply.refused = lock.holder != command.client || lock.sequencer != command.sequencer;
    if (!reply.refused) lock.holder = 0;
  } else {
    if (command.lock) {
      const Lock& lock = lock_at(command.lock, time_us);
      reply.refused = lock.holder == 0 || lock.sequencer != command.sequencer;
    }
    if (command.kind == Kind::Cas && values_[command.key] != command.expected) reply.refused = true;
    if (!reply.refused) values_[command.key] = command.value;
  }
  done_.emplace(command.id, reply);
  return reply;
}

uint64_t Machine::checksum() const {
  Bytes bytes;
  Encoder out(bytes);
  for (const auto& [key, value] : values_) {
    out.varint(key);
    out.varint(value);
  }
  for (const auto& [key, lock] : locks_) {
    out.varint(key);
    out.varint(lock.holder);
    out.varint(lock.sequencer);
  }
  out.varint(done_.size());
  return xxh3(bytes);
}

}  // namespace hailstone::sim
