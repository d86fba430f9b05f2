// Inputs and outputs of a replica: everything that goes in and comes out of step().
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "paxos/message.h"
#include "paxos/types.h"

namespace hailstone::paxos {

// ---- in ----

/// Time has passed. Late and repeated ones are harmless.
struct Tick {};
struct Receive {
  Message message;
};
struct Proposal {
  uint64_t tag = 0;           // comes back in Outcome
  SharedBytes data;           // not null, at most kValueBytesMax
  Kind kind = Kind::Command;  // or Forwarded
};
/// In order; all of them travel together. None: somebody here waits for the leader, whom this replica makes sure of.
struct Propose {
  std::vector<Proposal> proposals;
  int64_t time_us = 0;  // wall clock now
};
/// A linearizable read is wanted; answered by ReadAt.
struct Read {
  uint64_t tag = 0;
};
/// Every Write with id <= upto is durable.
struct Persisted {
  WriteId upto;
};
/// A write failed: the replica stops for good, as what is on disk is unknown (no retry: fsync reports an error once).
struct PersistFailed {};
/// The state machine has applied up to here. `checksum` of its state is given at slots divisible by
/// Options::checksum_every, else 0.
struct Applied {
  Slot upto;
  uint64_t checksum = 0;
};
/// The application holds a durable snapshot: the log may be trimmed up to it.
struct SnapshotTaken {
  Slot upto;
};
/// What FetchSnapshot asked for is durably installed, or could not be. Storage must not serve or load records up to
/// meta.upto any more: they need not be the chosen ones.
struct SnapshotInstalled {
  SnapshotMeta meta;
  bool ok = false;
};
/// The connection to a peer broke: a hint, it may be wrong.
struct PeerDown {
  ReplicaId who;
};
/// That process life of the replica has ended for certain (its supervisor has reaped it): its leases are void.
/// Safety rests on this being true; it must come over an authenticated channel.
struct Obituary {
  ReplicaId who;
  LifeId life;
};
/// Leader: make `next` the configuration (epoch and governs_from are filled in). Answered by Outcome.
struct Reconfigure {
  uint64_t tag = 0;
  Config next;
};
/// Leader: hand over to `to`, or to the best placed voter when it is 0.
struct Resign {
  ReplicaId to;
};

using Input = std::variant<Tick, Receive, Propose, Read, Persisted, PersistFailed, Applied, SnapshotTaken,
                           SnapshotInstalled, PeerDown, Obituary, Reconfigure, Resign>;

// ---- out ----

/// To be made durable, in order of id. A later write supersedes an earlier one slot by slot.
struct Write {
  WriteId id;
  std::vector<Record> records;  // with data
  bool has_hard = false;
  HardState hard;
  std::vector<Message> after;  // may be sent only once this write is durable
};

struct Outcome {
  enum class Result : uint8_t {
    Chosen,     // at `slot`; its reply comes from applying it
    NotLeader,  // not done; ask `leader`, if it is known
    Busy,       // not done: as much is in flight as may be
    Dropped,    // not done and never will be: another value was chosen in its slot
    Unknown,    // may be chosen, now or later
    Invalid,    // not done: too long, or a configuration that can't be used now (`why`)
  };
  uint64_t tag = 0;
  Result result = Result::Unknown;
  Slot slot;
  ReplicaId leader;
  std::string why;
};

/// Serve the read once the state machine has applied `index`.
struct ReadAt {
  uint64_t tag = 0;
  bool ok = false;  // false: not now; ask `leader`, if it is known
  Slot index;
  ReplicaId leader;
};

enum class Role : uint8_t { Follower, Candidate, Leader, Removed, Stopped };
const char* role_name(Role role);

struct RoleChange {
  Role role = Role::Follower;
  Ballot ballot;
  ReplicaId leader;  // whom this replica follows; 0: nobody
};
/// Records up to `upto` may be forgotten by storage.
struct Trim {
  Slot upto;
};
/// `to` wants chosen records that are no longer in memory: read them from storage and send Chosen; where they have been
/// trimmed, SnapshotOffer.
struct ServeLearn {
  ReplicaId to;
  Slot first, last;
};
/// Get this snapshot from that replica and install it, then say SnapshotInstalled.
struct FetchSnapshot {
  ReplicaId from;
  SnapshotMeta meta;
};
/// `config` governs from now on. The members that it lacks may be switched off when ConfigRetired names the former
/// epoch.
struct ConfigActive {
  Config config;
};
struct ConfigRetired {
  uint64_t epoch = 0;
};
/// All that a blind replica may have lost is here again, durably: storage may forget that it was damaged.
struct Healed {};
struct Fault {
  enum class What : uint8_t {
    Diverged,       // state or log differs from the others': this replica has stopped
    StorageFailed,  // it has stopped
  };
  What what = What::Diverged;
  Slot slot;
  std::string text;
};
using Event = std::variant<RoleChange, Trim, ServeLearn, FetchSnapshot, ConfigActive, ConfigRetired, Healed, Fault>;

/// What a step wants done. Order: `writes` to storage at once, all of them in one batch if possible; `messages` may go
/// at any time, in any order, and may be lost; `commits` are applied in order, each once in a process life; the rest in
/// any order. The caller owns it, reuses it, and clears it between steps.
struct Output {
  std::vector<Message> messages;
  std::vector<Write> writes;
  std::vector<Record> commits;
  std::vector<Outcome> outcomes;
  std::vector<ReadAt> reads;
  std::vector<Event> events;
  void clear();
  bool empty() const;
};

// ---- construction ----

inline constexpr size_t kValueBytesMax = 8u << 20;

struct Options {
  GroupId group;
  ReplicaId self;
  LifeId life;  // unique to this process life
  /// Slots in flight at most, and the delay of a configuration. Equal in all members. 1..8192.
  uint32_t alpha = 1024;
  size_t batch_bytes = 1u << 20;      // records in one message, at least one
  size_t inflight_bytes = 16u << 20;  // proposed and not yet chosen; also sent to a peer and not yet acknowledged
  size_t tail_bytes = 4u << 20;       // chosen records kept in memory for members that are a little behind
  /// Chosen slots kept in storage for members that are alive but behind, when a snapshot would allow trimming.
  uint64_t trim_lag_max = 1u << 20;
  int64_t heartbeat_ns = 50'000'000;
  /// How long a follower that heard its leader promises nothing to others. All members must use the same.
  int64_t grant_ns = 1'000'000'000;
  /// Bound on the rate error of any member's clock, parts per million. The lease ends that much before the grants.
  uint32_t clock_error_ppm = 10'000;
  bool lease_reads = true;  // false: every read asks a quorum
  /// Candidates of rank k wait k steps. About twice a round trip.
  int64_t candidacy_step_ns = 5'000'000;
  uint32_t checksum_every = 1024;  // slots between state checksums; 0: none
  /// A group that had nothing to do for so long rests: no message, no timer, until somebody asks for something. 0:
  /// never. Reads that only test may_read() are not seen: where there is nothing else, the lease is renewed once in
  /// this time.
  int64_t rest_after_ns = 5'000'000'000;
  uint64_t seed = 1;  // of the jitter between failed candidacies

  /// The holder's lease: grant * (1 - e) / (1 + e), from the sending.
  int64_t lease_ns() const;
  std::string problem() const;
};

/// What a replica finds on its disk.
struct Boot {
  HardState hard;
  /// What the state machine has applied; commits go on behind it. Without configurations (only at upto 0) the replica
  /// knows no group yet: it is quiet until a leader that has it among its members sends what is chosen.
  SnapshotMeta base;
  std::vector<Record> records;  // ascending, slots > base.upto, with data; gaps are possible
  /// Records that may have been acknowledged are missing or unreadable: the replica takes part but promises nothing
  /// until a leader has sent again all it may have held.
  bool blind = false;
  /// The process before shut down cleanly at this time and its clock has not restarted: no wait is needed for grants
  /// that it gave. Otherwise the replica promises nothing for one grant_ns.
  bool no_grants_outstanding = false;
};

}  // namespace hailstone::paxos
