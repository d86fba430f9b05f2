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

/// Carries frames between replicas; may lose, repeat and reorder them.
class Transport {
 public:
  virtual ~Transport() = default;
  /// From any thread; never blocks.
  virtual void send(paxos::ReplicaId to, Bytes frame) = 0;
};

struct HostOptions {
  paxos::ReplicaId self{1};
  paxos::LifeId life;  // unique over all time; 0: drawn from the clock and this process
  JournalOptions journal;
  paxos::Options consensus;  // of every group; group, self and life are filled in
};

/// Threads: the host's own (steps every group), the log's (writes and syncs), and one for each group that applies. The
/// first owns the replicas, the second the journal, the third the database; between them only messages.
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
  /// A frame came, on any thread.
  virtual void receive(Bytes frame) = 0;
  virtual void peer_down(paxos::ReplicaId who) = 0;
  /// Returns when this replica leads the group and has applied all that was chosen before; Timeout otherwise; Io if it
  /// failed.
  virtual Result<void> wait_until_leading(paxos::GroupId id, int64_t timeout_ns) = 0;
  virtual void drain() = 0;
};

}  // namespace hailstone::replica
