// Hosts the replicas of many groups in one process: one log, one transport, one thread that decides.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/logger.h"
#include "disk/disk.h"
#include "paxos/replica.h"
#include "replica/group.h"
#include "replica/journal.h"

namespace hailstone::replica {

/// What a frame is about.
enum class Channel : uint8_t {
  Consensus = 1,  // paxos::Frame
  Snapshots = 2,  // SnapshotMessage
  Proposals = 4,  // ForwardMessage
};

/// Carries frames between replicas; may lose, repeat and reorder them.
class Transport {
 public:
  virtual ~Transport() = default;
  /// From any thread; never blocks.
  virtual void send(paxos::ReplicaId to, Channel channel, Bytes frame) = 0;
};

struct HostOptions {
  paxos::ReplicaId self{1};
  paxos::LifeId life;  // unique over all time; 0: drawn from the clock and this process
  JournalOptions journal;
  paxos::Options consensus;  // of every group; group, self and life are filled in
  size_t apply_threads = 2;
  size_t bulk_threads = 2;  // flushes, and snapshots for others
  /// Told on the host's thread: roles, configurations, faults. Keep it short.
  std::function<void(paxos::GroupId, const paxos::Event&)> on_event;
  /// The group has stopped for good, in this process life. Corrupt: its database is damaged.
  std::function<void(paxos::GroupId, const Error&)> on_failed;
};

/// What is known of a group here, at one moment.
struct GroupStatus {
  paxos::Role role = paxos::Role::Follower;
  paxos::ReplicaId leader;  // 0: nobody
  paxos::Ballot ballot;
  Slot chosen, applied;
  bool leased = false;   // reads are served without asking
  bool resting = false;  // nothing was asked for a while: no message, no timer
  paxos::Config config;
  std::string description;  // one line, for people
};

/// Threads: the host's own (steps every group), the log's (writes and syncs), and a few that apply and flush. The first
/// owns the replicas, the second the journal, the others the databases, one group at a time; between them are only
/// messages.
class Host {
 public:
  static Result<std::unique_ptr<Host>> open(disk::Disk& disk, Clock& clock, Transport* transport,
                                            const HostOptions& options, Logger& logger);
  /// Stops without finishing: what is queued is refused as Unavailable.
  virtual ~Host() = default;

  /// Before start(). `first` is the configuration of a group that this journal does not know; without one such a group
  /// waits for a leader to teach it. Replays onto the database. The group lives as long as the host.
  virtual Result<Group*> add_group(paxos::GroupId id, Database& database, StateMachine& machine,
                                   const GroupOptions& options, const std::optional<paxos::Config>& first) = 0;
  virtual void start() = 0;

  // From any thread.
  /// A frame came from that member; what it holds in another's name is dropped.
  virtual void receive(paxos::ReplicaId from, Channel channel, Bytes frame) = 0;
  virtual void peer_down(paxos::ReplicaId who) = 0;  // a hint
  /// That life of the replica has ended for certain: see paxos::Obituary.
  virtual void obituary(paxos::ReplicaId who, paxos::LifeId life) = 0;
  /// `done` runs on the host's thread when the configuration is chosen. Unavailable: not the leader.
  virtual void reconfigure(paxos::GroupId id, paxos::Config next, std::function<void(Result<void>)> done) = 0;
  /// Hands leadership over, to the best placed voter when `to` is 0. Nothing where this member does not lead.
  virtual void resign(paxos::GroupId id, paxos::ReplicaId to) = 0;
  virtual paxos::LifeId life() const = 0;

  // Not from a callback of the host's.
  virtual GroupStatus status(paxos::GroupId id) = 0;
  /// Returns when this replica leads the group and has applied all that was chosen before. Timeout otherwise; Io if it
  /// failed; Exhausted if the disk has no room for its election.
  virtual Result<void> wait_until_leading(paxos::GroupId id, int64_t timeout_ns) = 0;
  /// Hands leadership over, finishes what is queued, flushes, trims the log, stops. Idempotent.
  virtual void drain() = 0;
};

}  // namespace hailstone::replica
