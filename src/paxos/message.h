// What replicas of a group say to each other. The core fills messages in and reads them; transports only carry them.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "paxos/types.h"

namespace hailstone::paxos {

/// Phase 0, changes nothing that is promised or stored: would you promise `ballot` to me, whose log is chosen up to
/// `chosen`? From a member it also wakes a group at rest: its leader answers with an Accept to all.
struct Probe {
  Ballot ballot;
  Slot chosen;
};

struct ProbeReply {
  Ballot ballot;         // the one asked about
  bool would = false;    // promise
  bool removed = false;  // the asker is in no configuration that counts: it should be quiet
  Ballot promised;
  Slot chosen;                // known to be chosen
  int64_t grant_left_ns = 0;  // until the grant that forbids it runs out; 0 without one
};

/// Phase 1a for every slot from `from` on.
struct Prepare {
  Ballot ballot;
  Slot from;
};

/// Phase 1b: everything accepted in slots >= from that is not known to be chosen.
struct Promise {
  Ballot ballot;
  Slot from;
  Slot chosen;  // known to be chosen (with its digest), though the promiser need not hold it all
  Digest chosen_digest;
  std::vector<Record> headers;  // ascending, slots > max(from - 1, chosen), without data: the promiser holds it
};

/// A new leader asks a promiser for values that it keeps but does not hold.
struct Fetch {
  Ballot ballot;
  std::vector<Slot> slots;
};
struct Values {
  Ballot ballot;
  std::vector<Record> records;
};

/// Phase 2a for `records`; without any it is a heartbeat.
struct Accept {
  Ballot ballot;
  LifeId life;  // of the leader's process
  Slot chosen;
  Digest chosen_digest;
  Slot end;            // highest slot proposed under this ballot
  uint64_t stamp = 0;  // number of this sending, to be echoed
  LifeId resent_for;   // that life of the receiver has said it is blind: all up to `end` is being sent again
  Slot trim_floor;     // every member that is alive has chosen all up to here
  Slot checked;        // state checksum at a slot; 0: none
  uint64_t checksum = 0;
  std::vector<Record> records;  // ascending, record.ballot == ballot, slots in chosen + 1 .. chosen + alpha
};

/// Phase 2b: this replica durably holds, under `ballot`, every slot from the leader's chosen + 1 to `upto`.
struct Accepted {
  Ballot ballot;
  uint64_t stamp = 0;  // the latest received
  Slot upto;
  Slot missing;  // the first slot it lacks though it holds a later one; 0: none
  Slot chosen;   // its own log is chosen and complete up to here
  LifeId blind;  // not 0: this life found records lost to damage; whatever was acknowledged before must be sent again
};

/// The sender of a Prepare or Accept is behind `promised`.
struct Refuse {
  Ballot promised;
};

/// Asks anybody for chosen records.
struct Learn {
  Slot first, last;  // both ends included
};
struct Chosen {
  std::vector<Record> records;  // ascending without gaps
  Slot chosen;                  // known to the sender
};
/// The slots asked for are gone from the log; a snapshot has them.
struct SnapshotOffer {
  SnapshotMeta meta;
};

/// A follower's read: which slot must be applied before a linearizable answer can be given?
struct ReadRequest {
  ReadId id;
  LifeId life;  // of the asker: an answer to an earlier life is not for this one
};
struct ReadReply {
  ReadId id;
  LifeId life;
  bool ok = false;  // false: ask whoever leads now
  Slot index;
};

/// The leader gives up its lease in favour of `to`, which holds everything and should prepare at once.
struct Handoff {
  Ballot ballot;
  ReplicaId to;
};

/// The leader has had nothing to do for a while, and nothing is undecided: whoever holds all that the Accept of this
/// stamp said, and nothing behind it, may stop its timers.
struct Rest {
  Ballot ballot;
  uint64_t stamp = 0;
};
/// The sender has stopped them.
struct Resting {
  Ballot ballot;
  uint64_t stamp = 0;  // the Rest's
};

using Body = std::variant<Probe, ProbeReply, Prepare, Promise, Fetch, Values, Accept, Accepted, Refuse, Learn, Chosen,
                          SnapshotOffer, ReadRequest, ReadReply, Handoff, Rest, Resting>;

struct Message {
  GroupId group;
  ReplicaId from, to;
  Body body;
};

/// "Accept", "Promise" ...
const char* body_name(const Body& body);

}  // namespace hailstone::paxos
