// A replicated counter: three members in one process, messages as function calls, disks in memory, a clock of its own.
// It shows all that a user of paxos must provide; docs/paxos.md explains it step by step.
#include <algorithm>
#include <cstdio>
#include <deque>
#include <map>
#include <optional>

#include "paxos/replica.h"

using namespace hailstone;         // Slot, Bytes
using namespace hailstone::paxos;  // everything else

namespace {

struct Member {
  ReplicaId id;
  // What a crash leaves. On a real disk a write is durable only after fdatasync.
  HardState hard;
  std::map<Slot, Record> records;
  uint64_t lives = 0;
  // Of this life.
  std::optional<Replica> replica;
  uint64_t counter = 0;  // the state machine
  SnapshotMeta at;       // where in the log it is
  std::map<uint64_t, Outcome> outcomes;
  std::map<uint64_t, ReadAt> reads;
};

class Cluster {
 public:
  explicit Cluster(uint64_t size) {
    for (uint64_t id = 1; id <= size; ++id) first_.voters.push_back({.id = ReplicaId(id)});
    for (uint64_t id = 1; id <= size; ++id) members_[id].id = ReplicaId(id);
    for (uint64_t id = 1; id <= size; ++id) start(id);
  }

  void start(uint64_t id) {
    Member& member = members_.at(id);
    member.counter = 0;  // no snapshots here: the log is applied from its beginning
    member.at = {.configs = {first_}};
    Boot boot{.hard = member.hard};
    for (const auto& [slot, record] : member.records)
      if (slot <= member.hard.chosen)
        apply(member, record);
      else
        boot.records.push_back(record);
    boot.base = member.at;
    member.replica.emplace(Options{.self = member.id, .life = LifeId(id << 32 | ++member.lives)}, boot, now_);
  }

  void crash(uint64_t id) { members_.at(id).replica.reset(); }
  /// Adds one, by way of a member that is up. True: it was counted, once.
  bool increment(uint64_t by) {
    for (uint64_t to = by;;) {
      const uint64_t tag = ++tags_;
      step(members_.at(to), Propose{.proposals = {{.tag = tag, .data = std::make_shared<const Bytes>("+1")}}});
      while (!members_.at(to).outcomes.contains(tag)) run();
      const Outcome outcome = members_.at(to).outcomes.at(tag);
      if (outcome.result == Outcome::Result::Chosen) return true;
      if (outcome.result == Outcome::Result::Unknown) return false;  // here a real client needs a request number
      run();                                                         // NotLeader, Busy, Dropped: certainly not done
      to = outcome.leader && members_.at(outcome.leader.value).replica ? outcome.leader.value : by;
    }
  }

  /// The counter at any member that is up, linearizably.
  uint64_t value(uint64_t at) {
    Member& asked = members_.at(at);
    for (;; run()) {
      const uint64_t tag = ++tags_;
      step(asked, Read{.tag = tag});
      while (!asked.reads.contains(tag)) run();
      if (!asked.reads.at(tag).ok) continue;
      while (asked.at.upto < asked.reads.at(tag).index) run();
      return asked.counter;
    }
  }

  uint64_t leader() {
    for (;; run())
      for (const auto& [id, member] : members_)
        if (member.replica && member.replica->role() == Role::Leader) return id;
  }

 private:
  /// A millisecond passes, and what was sent arrives.
  void run() {
    now_ = now_ + 1'000'000;
    for (auto& [id, member] : members_)
      if (member.replica && member.replica->next_wakeup() <= now_) step(member, Tick{});
    for (; !network_.empty(); network_.pop_front())
      if (Member& to = members_.at(network_.front().to.value); to.replica)
        step(to, Receive{.message = network_.front()});
  }

  void step(Member& member, Input input) {
    Output output;
    member.replica->step(now_, std::move(input), output);
    for (const Message& message : output.messages) network_.push_back(message);
    for (const Write& write : output.writes) {  // first to the disk ...
      for (const Record& record : write.records) member.records.insert_or_assign(record.slot, record);
      if (write.has_hard) member.hard = write.hard;
      for (const Message& message : write.after) network_.push_back(message);  // ... then these
    }
    for (const Record& record : output.commits) apply(member, record);
    for (const Outcome& outcome : output.outcomes) member.outcomes[outcome.tag] = outcome;
    for (const ReadAt& read : output.reads) member.reads[read.tag] = read;
    for (const Event& event : output.events)
      if (const auto* wanted = std::get_if<ServeLearn>(&event)) serve(member, *wanted);
    if (!output.commits.empty()) step(member, Applied{.upto = member.at.upto});
    if (!output.writes.empty()) step(member, Persisted{.upto = output.writes.back().id});
  }

  void apply(Member& member, const Record& record) {
    member.at.advance(record);
    if (record.kind == Kind::Command) ++member.counter;
  }

  /// Somebody lacks records that are only on the disk.
  void serve(Member& member, const ServeLearn& wanted) {
    Chosen chosen{.chosen = member.hard.chosen};
    for (Slot slot = wanted.first; slot <= std::min(wanted.last, member.hard.chosen); slot = slot.next())
      chosen.records.push_back(member.records.at(slot));
    if (!chosen.records.empty()) network_.push_back({.from = member.id, .to = wanted.to, .body = std::move(chosen)});
  }

  Config first_{.epoch = 1, .governs_from = Slot(1)};
  std::map<uint64_t, Member> members_;
  std::deque<Message> network_;
  Time now_;
  uint64_t tags_ = 0;
};

}  // namespace

int main() {
  Cluster cluster(3);
  uint64_t counted = 0;
  for (uint64_t i = 0; i < 30; ++i) counted += cluster.increment(1 + i % 3);
  const uint64_t leader = cluster.leader();
  std::printf("%lu counted; member %lu leads, and crashes\n", counted, leader);
  cluster.crash(leader);
  for (uint64_t i = 0; i < 30; ++i) counted += cluster.increment(1 + (leader + i % 2) % 3);
  std::printf("%lu counted; member %lu leads\n", counted, cluster.leader());
  cluster.start(leader);
  for (uint64_t id = 1; id <= 3; ++id) std::printf("member %lu reads %lu\n", id, cluster.value(id));
  return counted == 60 && cluster.value(leader) == counted ? 0 : 1;
}
