// Hosts one group: commands go into its log, are made durable, applied in order, and answered.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/ids.h"
#include "base/logger.h"
#include "disk/disk.h"
#include "replica/database.h"

namespace hailstone::replica {

/// Deterministic: the same commands in the same order give the same database and the same replies.
class StateMachine {
 public:
  virtual ~StateMachine() = default;
  /// `state` shows everything applied before; changes go to `out`. The reply is the proposer's answer, success or refusal
  /// alike encoded in it: a refusal is a reply too. An error here means the machine cannot go on and stops the group.
  virtual Result<Bytes> apply(Slot slot, ByteView command, const Reader& state, Batch& out) = 0;
  /// Called after `out` of that slot is in the database: publish views to readers here.
  virtual void applied(Slot slot) = 0;
};

struct GroupOptions {
  std::string log_directory;
  uint64_t queue_bytes_max = 64u << 20;        // proposals waiting; beyond it they are refused as Unavailable
  uint64_t flush_bytes = 64u << 20;            // database bytes after which it is flushed and the log trimmed
  uint64_t batch_bytes_max = 8u << 20;         // proposals made durable by one sync
};

/// Owns one thread. A single node is a group of one: proposals are chosen as soon as they are durable in its own log.
class Group {
 public:
  using Done = std::function<void(Result<Bytes> reply)>;

  /// Replays the log onto the database (from the slot the database has durably applied) before it returns.
  static Result<std::unique_ptr<Group>> open(disk::Disk& disk, Database& database, StateMachine& machine,
                                             const GroupOptions& options, Logger& logger);
  virtual ~Group() = default;

  /// `done` runs on the group's thread once the command is durable and applied, or has failed; keep it short.
  /// Errors: Unavailable (queue full, or stopping: not done), Exhausted (log cannot grow: not done), Io (outcome unknown;
  /// the group has failed and must be reopened).
  virtual void propose(Bytes command, Done done) = 0;
  /// The same, blocking the caller.
  Result<Bytes> propose_and_wait(Bytes command);

  virtual Slot applied_slot() const = 0;
  /// False once a write or sync failed: nothing more will be accepted.
  virtual bool healthy() const = 0;
  /// Finishes what is queued, flushes the database, stops the thread. Idempotent.
  virtual void drain() = 0;
};

}  // namespace hailstone::replica
