// What is to be proposed in one group: by this member's own replica while it leads, else by whoever does. A pure
// machine.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "paxos/replica.h"
#include "replica/forward_wire.h"
#include "replica/group.h"

namespace hailstone::replica {

/// Each command is done once, or refused as not done, or answered as Timeout where nobody can know (README.md,
/// "Forwarding"). It has no thread, clock or socket; commands are answered from within its calls.
class Proposals {
 public:
  using Done = Group::Done;
  struct Options {
    paxos::GroupId group;
    paxos::ReplicaId self;
    paxos::LifeId life;
    int64_t resend_ns = 100'000'000;  // what the leader has not confirmed by then is sent again
    /// Commands wait so long for somebody to lead: an election takes less, unless a lease must run out first.
    int64_t leader_wait_ns = 1'500'000'000;
    /// Where another leads, a command is done that long after it was given, or refused, or nobody knows.
    int64_t answer_ns = 5'000'000'000;
    uint64_t batch_bytes_max = 8u << 20;   // proposed at once
    uint64_t taken_bytes_max = 64u << 20;  // of other members' commands, not yet chosen
  };
  /// What is to be done now.
  struct Turn {
    std::vector<paxos::Proposal> proposals;  // by the replica, if there are any
    std::vector<std::pair<paxos::ReplicaId, ForwardMessage>> messages;
    bool ask = false;  // the replica is to look for its leader: an empty Propose
  };

  explicit Proposals(const Options& options) : options_(options) {}

  /// A command of this member's, at most kCommandBytesMax. Commands are proposed in the order in which they were added.
  /// With `only`, it is proposed while this member leads in that ballot, or refused.
  void add(paxos::SharedBytes command, Done done, paxos::Ballot only, paxos::Time now);
  void receive(paxos::ReplicaId from, ForwardMessage message);
  /// What a step of the replica brought: outcomes first, then commits, in their order.
  void settle(const paxos::Outcome& outcome);
  /// Who waits for the reply to this record here, if somebody does.
  Done chosen(const paxos::Record& record);
  /// A snapshot has taken the place of records that were not seen.
  void snapshot_installed();
  /// After all that. `refusal`: why nothing may be proposed here now.
  Turn turn(paxos::Time now, const paxos::Replica& replica, const std::optional<Error>& refusal);
  /// When turn() must be called next if nothing comes before.
  paxos::Time next_wakeup() const { return due() ? wake_ : paxos::kNever; }

  /// Nobody here waits.
  bool idle() const { return own_ == 0; }
  /// There is something that turn() must be called for.
  bool due() const { return !queue_.empty() || !flight_.empty() || !inbox_.empty(); }

  /// What was not given to any replica is refused.
  void refuse_waiting(const Error& why);
  /// What was is answered, though it goes on.
  void answer_flight(const Error& why);

 private:
  struct Item {
    paxos::SharedBytes data;
    Done done;  // of this member's; null: another's, or nobody waits any more
    paxos::Kind kind = paxos::Kind::Command;
    paxos::Time since;    // when it was added
    paxos::Ballot only;   // no other leadership may have it; none: any may
    uint64_t number = 0;  // in flight: ascending
    size_t bytes() const { return data->size(); }
    bool others() const { return kind == paxos::Kind::Forwarded; }
  };
  /// What the leader knows of one life of a member that forwards.
  struct Taker {
    paxos::LifeId life;
    uint64_t begin = 0, next = 0;
    std::optional<Error> refused;  // everything from `next` on, until `begin` rises
  };

  // Of this member.
  Origin origin(uint64_t number) const { return {.replica = options_.self, .life = options_.life, .number = number}; }
  Item* find(uint64_t number);
  void trim_flight();
  void answer(Item& item, const Error& why);
  void requeue(std::deque<Item> items);
  void refuse_strays(paxos::Ballot led);
  void expire_waiting(paxos::Time now);
  void expire_flight(paxos::Time now);
  void begin_flight(paxos::Ballot ballot, bool local);
  Item& launch();
  void propose(size_t room, paxos::Ballot ballot, Turn& out);
  void forward(paxos::Time now, paxos::Ballot ballot, Turn& out);
  void on_reply(const ForwardReply& reply, paxos::Time now);
  // As a leader.
  Taker& taker(paxos::ReplicaId from, paxos::LifeId life);
  void take(paxos::ReplicaId from, const Forward& forward, const std::optional<Error>& refusal, Turn& out);
  void drop_others();

  const Options options_;
  std::vector<std::pair<paxos::ReplicaId, ForwardMessage>> inbox_;
  std::deque<Item> queue_;  // to be proposed, in this order
  paxos::Ballot led_;       // by this member, at the last turn
  bool strays_ = false;     // there may be some in the queue that are for another leadership only
  size_t own_ = 0;          // answers that this member owes
  uint64_t next_number_ = 1;

  // Proposed, not yet known to be chosen or not: all under one ballot, by this replica or through its leader.
  std::deque<Item> flight_;
  paxos::Ballot flight_ballot_;
  bool flight_local_ = false;
  std::deque<Item> busy_;                       // of this step: the replica had no room after all
  std::vector<std::pair<Slot, Done>> answers_;  // of this step
  // Through the leader:
  uint64_t flight_bytes_ = 0;
  uint64_t acked_ = 0, sent_ = 0;  // numbers below have been taken; have been sent
  bool cut_ = false;               // the end of the flight was refused: its numbers must not be followed by others
  bool probing_ = false;           // sent again, and no answer yet
  paxos::Time progress_;

  paxos::Time stalled_ = paxos::kNever;  // nobody to give commands to since then
  paxos::Time wake_ = paxos::kNever;

  // As a leader:
  paxos::Ballot taking_in_;
  std::map<paxos::ReplicaId, std::vector<Taker>> takers_;
  uint64_t taken_bytes_ = 0;
};

}  // namespace hailstone::replica
