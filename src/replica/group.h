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
#include "paxos/types.h"
#include "replica/database.h"

namespace hailstone::replica {

/// Deterministic: the same commands in the same order give the same database and the same replies.
class StateMachine {
 public:
  virtual ~StateMachine() = default;
  /// `state` shows everything applied before; changes go to `out`. The reply is the proposer's answer, success or
  /// refusal alike encoded in it: a refusal is a reply too. An error here means the machine cannot go on and stops the
  /// group.
  virtual Result<Bytes> apply(Slot slot, ByteView command, const Reader& state, Batch& out) = 0;
  /// Called after `out` of that slot is in the database: publish views to readers here.
  virtual void applied(Slot slot) = 0;
  /// True for a machine that needs no applied() before the next apply(): the changes of many commands are then written
  /// together. `state` shows them all the same.
  virtual bool batches() const { return false; }
  /// On another thread, before the log is trimmed: what apply() put elsewhere than in the database must be durable on
  /// return. Exhausted: not yet, try later.
  virtual Result<void> persist() { return {}; }
  /// The database holds the state at `slot` of another member now, not what apply() made: look again at everything that
  /// is kept beside it. Called where apply() is.
  virtual Result<void> restored(const Reader& /*state*/, Slot /*slot*/) { return {}; }
};

struct GroupOptions {
  std::string log_directory;
  uint64_t queue_bytes_max = 64u << 20;    // proposals not yet answered; beyond it they are refused as Unavailable
  uint64_t flush_bytes = 64u << 20;        // database bytes after which it is flushed and the log trimmed
  uint64_t batch_bytes_max = 8u << 20;     // proposals made durable by one sync
  uint64_t read_cache_bytes = 1u << 20;    // of records that commands read or wrote lately, for those that follow
  uint64_t log_segment_bytes = 64u << 20;  // zero-filled files; make it small on a simulated disk
};

/// A single node is a group of one: proposals are chosen as soon as they are durable in its own log.
class Group {
 public:
  using Done = std::function<void(Result<Bytes> reply)>;

  /// Replays the log onto the database (from the slot the database has durably applied) before it returns. Corrupt when
  /// log and database do not meet; the machine's own error, naming the slot, when it cannot apply what the log holds.
  /// Everything passed in must outlive the group.
  static Result<std::unique_ptr<Group>> open(disk::Disk& disk, Database& database, StateMachine& machine,
                                             const GroupOptions& options, Logger& logger);
  /// Stops without finishing: what is queued is refused as Unavailable, the database is not flushed.
  virtual ~Group() = default;

  /// On any member, voter or learner, whoever leads. `done` runs once, on a thread of the host, when the command is
  /// durable and applied here, or has failed; keep it short, and call neither propose_and_wait nor drain from it. A
  /// refusal may run it on the caller's thread, before propose returns. The command is done once at most, through
  /// changes of leaders too. Errors: Unavailable (queue full, stopping, or nobody leads for 1.5 s: not done), Exhausted
  /// (log or database cannot grow, here or at the leader: not done), Invalid (longer than kCommandBytesMax: not done),
  /// Timeout (no answer for 5 s, or this member was deposed, got a snapshot or a full disk while the command was under
  /// way: it may be done, now or later), Io (outcome unknown; the group has failed and must be reopened), or what the
  /// machine failed with. Proposals of one thread are applied in its order.
  virtual void propose(Bytes command, Done done) = 0;
  /// The same for a command that rests on what this member knows as the leader of that ballot: in any other leadership
  /// it is refused as Unavailable.
  virtual void propose_in(paxos::Ballot leadership, Bytes command, Done done) = 0;
  /// propose(), blocking the caller.
  Result<Bytes> propose_and_wait(Bytes command);

  /// Runs `done` when the database here shows everything that was acknowledged before this call, by whomever:
  /// linearizable. At once, on the caller's thread, where this member leads and holds its lease; else another is asked.
  /// Unavailable when nobody leads.
  using ReadDone = std::function<void(Result<void>)>;
  virtual void read(ReadDone done) = 0;
  /// The same, blocking the caller.
  Result<void> read_and_wait();
  /// Whether read() would run at once. Answering what came before this test from what the database shows after it is a
  /// linearizable read.
  virtual bool may_read() const = 0;
  /// Runs `done` when that slot is applied here: what a client saw elsewhere is shown here, too. Timeout when it is not
  /// within that time; Unavailable when the group stops before.
  virtual void wait_applied(Slot slot, int64_t timeout_ns, ReadDone done) = 0;
  virtual paxos::ReplicaId leader() const = 0;  // 0: nobody, as far as is known here

  virtual Slot applied_slot() const = 0;
  /// False once a write or sync failed: nothing more will be accepted.
  virtual bool healthy() const = 0;
  /// Finishes what is queued, flushes the database, trims the log, stops the thread. Idempotent.
  virtual void drain() = 0;
};

}  // namespace hailstone::replica
