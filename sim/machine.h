// The state machine of simulated groups: registers with compare-and-set, locks with sequencers, each command once.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "base/codec.h"
#include "paxos/types.h"
#include "sim/linearizability.h"

namespace hailstone::sim {

/// How long a lock is held unless released, in the log's time.
inline constexpr int64_t kLockLeaseUs = 400'000;

struct Command {
  uint64_t id = 0;  // of the operation: a repeated proposal applies once
  Kind kind = Kind::Write;
  uint64_t key = 0, expected = 0, value = 0;
  uint64_t client = 0;     // Acquire, Release
  uint64_t lock = 0;       // Write: not 0 if it counts only while this lock is held under `sequencer`
  uint64_t sequencer = 0;  // of a fenced Write or a Release

  paxos::SharedBytes encode() const {
    Bytes bytes;
    Encoder out(bytes);
    out.varint(id);
    out.u8(static_cast<uint8_t>(kind));
    for (const uint64_t field : {key, expected, value, client, lock, sequencer}) out.varint(field);
    return std::make_shared<const Bytes>(std::move(bytes));
  }
  static Command decode(ByteView bytes) {
    Decoder in(bytes);
    Command command;
    command.id = in.varint();
    command.kind = static_cast<Kind>(in.u8());
    for (uint64_t* field :
         {&command.key, &command.expected, &command.value, &command.client, &command.lock, &command.sequencer})
      *field = in.varint();
    return command;
  }
};

struct Reply {
  bool refused = false;
  uint64_t sequencer = 0;  // of a grant
};

class Machine {
 public:
  /// `time_us` of the record: it does not fall along the log.
  Reply apply(const Command& command, int64_t time_us);
  const Reply* find(uint64_t operation) const {
    const auto found = done_.find(operation);
    return found == done_.end() ? nullptr : &found->second;
  }
  uint64_t get(uint64_t key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? 0 : found->second;
  }
  uint64_t checksum() const;

 private:
  struct Lock {
    uint64_t holder = 0, sequencer = 0;
    int64_t until_us = 0;
  };

  Lock& lock_at(uint64_t key, int64_t time_us);

  std::map<uint64_t, uint64_t> values_;
  std::map<uint64_t, Lock> locks_;
  std::map<uint64_t, Reply> done_;  // by operation
};

}  // namespace hailstone::sim
