// The vocabulary of the consensus core: ballots, records, configurations, snapshots.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"

namespace hailstone::paxos {

/// Names one incarnation of one disk: a replica that lost its disk comes back under a new id. 0 is nobody.
using ReplicaId = Id<struct ReplicaTag>;
/// Names one group (one replicated log). Every value is a group, 0 too.
using GroupId = Id<struct GroupTag>;
/// Identifies one durable write of one process life; rises by one, never used twice.
using WriteId = Id<struct WriteTag>;
/// Identifies one attempt to read; rises, a retry takes a new one.
using ReadId = Id<struct ReadTag>;
/// Names one process life of a replica, unique over all time. 0 is unknown.
using LifeId = Id<struct LifeTag>;

/// Nanoseconds of this host's CLOCK_BOOTTIME. Compared on this host only.
struct Time {
  int64_t ns = 0;
  auto operator<=>(const Time&) const = default;
  constexpr Time operator+(int64_t d) const { return {ns + d}; }
  constexpr int64_t operator-(Time other) const { return ns - other.ns; }
};
inline constexpr Time kNever{INT64_MAX};

/// Ordered by round, then by who leads. {0, 0} is before every ballot.
struct Ballot {
  uint64_t round = 0;
  ReplicaId who;
  auto operator<=>(const Ballot&) const = default;
  constexpr explicit operator bool() const { return round != 0; }
};

/// 128 bits over a record and, through its parent, over the whole log before it. All zero: the empty log.
struct Digest {
  uint64_t low = 0, high = 0;
  auto operator<=>(const Digest&) const = default;
};

using SharedBytes = std::shared_ptr<const Bytes>;

enum class Kind : uint8_t {
  Command = 1,    // the application's
  Noop = 2,       // fills a slot; nobody's
  Config = 3,     // data is an encoded Config
  Forwarded = 4,  // the application's too; its data begins with who gave it to the leader (the host's affair)
};

/// What an acceptor holds for a slot. A record is replaced only by one of a higher ballot.
struct Record {
  Slot slot;
  Ballot ballot;  // accepted under
  Ballot origin;  // first proposed under; does not fall along the chosen log
  Kind kind = Kind::Noop;
  /// The proposing leader's clock, microseconds since 1970, made to never fall along the log. For the state machine.
  int64_t time_us = 0;
  Digest parent;     // digest of the record in the slot before
  Digest digest;     // of slot, origin, kind, time_us, parent and data
  SharedBytes data;  // null: only the header is here (in Promise, and in Accept for what the receiver holds)

  size_t bytes() const { return kHeaderBytes + (data ? data->size() : 0); }
  static constexpr size_t kHeaderBytes = 112;
};

/// What `record.digest` must be, from its other fields. `data` must be there.
Digest digest_of(const Record& record);

/// Who decides a range of slots. Chosen as a record at slot s, it governs slots from s + alpha until the next one does.
struct Config {
  uint64_t epoch = 0;  // 1, 2, 3 ...
  Slot governs_from;   // set by the leader
  struct Voter {
    ReplicaId id;
    uint8_t priority = 0;  // the higher the sooner it becomes a candidate; equal ones go by id
    bool operator==(const Voter&) const = default;
  };
  std::vector<Voter> voters;        // 1 to kVotersMax, no duplicates
  std::vector<ReplicaId> learners;  // not voters, no duplicates, at most kLearnersMax
  /// Sizes of phase-1 and phase-2 quorums; q1 + q2 > voters. 0: a majority.
  uint8_t q1 = 0, q2 = 0;
  bool operator==(const Config&) const = default;

  static constexpr size_t kVotersMax = 31, kLearnersMax = 31;
  size_t phase1_quorum() const { return q1 ? q1 : voters.size() / 2 + 1; }
  size_t phase2_quorum() const { return q2 ? q2 : voters.size() / 2 + 1; }
  /// How many voters' grants make a lease: any phase-1 quorum meets them.
  size_t lease_quorum() const { return voters.size() - phase1_quorum() + 1; }
  bool is_voter(ReplicaId id) const;
  bool is_learner(ReplicaId id) const;
  /// Empty when it can be used, else what is wrong, with the offending value.
  std::string problem() const;

  Bytes encode() const;
  static bool decode(ByteView bytes, Config& out);
};

/// A place in the chosen log, and what is known there; a snapshot is named by one. `upto` 0 is the empty log: configs
/// then holds the first configuration.
struct SnapshotMeta {
  Slot upto;
  Digest digest;                // of the record at upto
  int64_t time_us = 0;          // of the record at upto
  std::vector<Config> configs;  // ascending; those that govern a slot > upto, at most 2
  uint64_t bytes = 0;           // to be transferred; for progress only
  bool operator==(const SnapshotMeta&) const = default;

  /// Moves on by the next chosen record: its slot must be upto + 1 and its parent `digest` (false, unchanged, if not;
  /// or if it is a configuration that can't be decoded).
  bool advance(const Record& record);
  /// Governs that slot, which must be > upto.
  const Config& config_at(Slot slot) const;
};

/// What must survive besides the records.
struct HardState {
  Ballot promised;  // no message below it is obeyed, ever
  Slot chosen;      // hint: everything up to here is known to be chosen
  Digest chosen_digest;
  bool operator==(const HardState&) const = default;
};

}  // namespace hailstone::paxos
