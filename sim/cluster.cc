#include "sim/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>

#include "paxos/replica.h"
#include "replica/journal_boot.h"
#include "replica/proposals.h"
#include "sim/attempts.h"
#include "sim/fencing.h"
#include "sim/machine.h"
#include "sim/node_log.h"
#include "sim/random.h"
#include "sim/scheduler.h"

namespace hailstone::sim {
namespace {

using namespace paxos;

struct Snapshot {
  SnapshotMeta meta;
  Machine state;
};

class World;

Command command_in(const Record& record) { return Command::decode(*replica::command_of(record)); }

// ---- one replica of one group: what is durable, and the life that runs on it ----

/// Where the node has a real log, this is what the log must hold: what it said to be durable.
struct Disk {
  HardState hard;
  std::map<Slot, Record> records;
  Snapshot snapshot;
  Slot floor;  // records up to here are not the chosen ones for certain: a snapshot came in their place
  bool damaged = false;
};

struct Host {
  // durable
  Disk disk;
  // of this life
  std::optional<Replica> replica;
  Machine state;
  SnapshotMeta at;  // applied
  Slot trimmed;
  bool flushing = false;
  std::optional<Snapshot> installing;  // durable, and its floor is on the way
  bool healing = false;                // the core has said so, the log may not yet
  std::deque<Write> pending;           // where there is no log; else in Node
  bool syncing = false;
  std::optional<replica::Proposals> queue;  // where any node takes commands
  std::map<uint64_t, uint64_t> proposed;    // elsewhere: tag -> client request
  std::map<Slot, std::vector<uint64_t>> answers;
  std::multimap<Slot, uint64_t> reads;  // index -> client request
  struct Reading {
    uint64_t request = 0;
    Slot floor;  // chosen when it began: an answer must be as new
  };
  std::map<uint64_t, Reading> reading;  // by tag
  int64_t wakeup = INT64_MAX;
};

struct Node {
  uint32_t index = 0;
  ReplicaId id;
  bool up = true;
  uint64_t life = 1;
  int64_t paused_until = 0, slow_disk_until = 0;
  // local = local_at + (now - at) * rate
  int64_t clock_at = 0, clock_local = 0;
  double rate = 1;
  std::vector<Host> hosts;  // by group
  // With a real log:
  std::unique_ptr<NodeLog> log;
  LogJob waiting, job;
  bool syncing = false;
  bool rotten = false;   // damaged since it was last opened
  bool refused = false;  // it does not open: to be replaced
};

struct Request {
  uint64_t client = 0;
  uint32_t group = 0;
  bool open = true, answered = false;
  size_t operation = 0;  // in the history
  Command command;
  uint32_t target = 0, tries = 0;
  int64_t deadline = 0;
  bool may_be_done = false;  // a proposal was taken whose end is not known
  uint64_t undecided = 0;    // attempts that were taken and not answered
};

/// What a client believes to hold.
struct Held {
  uint32_t group = 0;
  uint64_t lock = 0;  // key; 0: none
  uint64_t sequencer = 0;
};

constexpr uint64_t kGuarded = 100, kLocks = 200;  // keys of a group: locks, and the registers that they guard

class World {
 public:
  World(const Recipe& recipe, uint64_t seed, Trace trace)
      : recipe_(recipe),
        trace_(trace),
        network_(seed, "network"),
        disk_random_(seed, "disk"),
        client_random_(seed, "client"),
        fault_random_(seed, "fault"),
        clock_random_(seed, "clock"),
        rest_random_(seed, "rest"),
        forward_random_(seed, "forward"),
        seed_(seed) {}

  RunReport run();

 private:
  // helpers on time
  int64_t now() const { return scheduler_.now(); }
  Time local(const Node& node) const {
    return {node.clock_local + static_cast<int64_t>(static_cast<double>(now() - node.clock_at) * node.rate)};
  }
  int64_t global(const Node& node, Time time) const {
    if (time == kNever) return INT64_MAX;
    const double ahead = static_cast<double>(time.ns - node.clock_local) / node.rate;
    return ahead > 4e18 ? INT64_MAX : node.clock_at + static_cast<int64_t>(ahead) + 1;
  }
  static constexpr Time kNever = paxos::kNever;

  template <class... Args>
  void note(fmt::format_string<Args...> text, Args&&... args) {
    if (trace_ == Trace::Off) return;
    fmt::print("{:>12.6f} {}\n", static_cast<double>(now()) / 1e9, fmt::format(text, std::forward<Args>(args)...));
  }
  void violation(std::string text) {
    if (report_.violation.empty())
      report_.violation = fmt::format("at {:.6f} s: {}", static_cast<double>(now()) / 1e9, text);
  }
  void mix(uint64_t value) { report_.trace_hash = (report_.trace_hash ^ value) * 0x9e3779b97f4a7c15 + now(); }

  size_t index_of(ReplicaId id) const { return ids_.at(id); }
  /// Null when that replica is no more.
  Node* alive(ReplicaId id) {
    const auto found = ids_.find(id);
    return found == ids_.end() || nodes_[found->second].id != id ? nullptr : &nodes_[found->second];
  }
  /// Of a replica that is no more: what it had.
  const Disk& durable(ReplicaId id, uint32_t group) const {
    const auto grave = graves_.find(id);
    return grave == graves_.end() ? nodes_[ids_.at(id)].hosts[group].disk : grave->second[group];
  }

  void start(Node& node);
  void restart_later(Node& node);
  bool boot(Node& node, uint32_t group);
  Result<Boot> boot_disk(Node& node, uint32_t group);
  void crash(Node& node, std::optional<NodeLog::End> how = {});
  bool open_log(Node& node);
  void check_recovered(Node& node, uint32_t group);
  void check_servable(Node& node, uint32_t group);
  void run_log(Node& node);
  void finish_job(Node& node);
  void log_failed(Node& node, const Error& error);
  void serve_from_log(Node& node, uint32_t group, const ServeLearn& wanted);
  void damage();
  void lose_disk(Node& node);
  void replace_dead();
  bool bearable(const Node& node) const;
  void ruin();
  void step(Node& node, uint32_t group, Input input);
  void step_replica(Node& node, uint32_t group, Input input);
  void pump(Node& node, uint32_t group);
  void handle(Node& node, uint32_t group, Output& output);
  void run_sync(Node& node, uint32_t group);
  void apply(Node& node, uint32_t group, const Record& record);
  void arm(Node& node, uint32_t group);
  void transmit(const Message& message);
  void transmit(ReplicaId from, ReplicaId to, uint32_t group, const replica::ForwardMessage& message);
  void carry(ReplicaId from, ReplicaId to, const std::function<void(Node&)>& arrive);
  bool reachable(ReplicaId from, ReplicaId to) const { return !cut_.contains({index_of(from) + 1, index_of(to) + 1}); }
  void take_snapshot(Node& node, uint32_t group);
  void serve_learn(Node& node, uint32_t group, const ServeLearn& wanted);
  void fetch_snapshot(Node& node, uint32_t group, const FetchSnapshot& wanted);
  void installed(Node& node, uint32_t group);

  void client_start(uint64_t client);
  void client_try(uint64_t request);
  void give(Node& node, uint64_t request);
  void deliver(uint64_t request, uint32_t target);
  void answer(uint64_t request, bool refused, uint64_t value, const Node& node);
  void retry(uint64_t request, int64_t delay);
  /// Where a client goes that was sent to `leader`, or to nobody.
  uint32_t hinted(ReplicaId leader) {
    return static_cast<uint32_t>(leader ? index_of(leader) : client_random_.below(nodes_.size()));
  }
  void give_up(uint64_t request);
  void choose_command(uint64_t client, Request& request);
  void finished(const Request& request, bool refused, uint64_t value);
  bool serve_read(Node& node, uint32_t group, uint64_t request);

  void start_faults();
  void partition();
  void reconfigure();
  bool any_damaged() const;
  bool is_named(ReplicaId id) const;
  void check_read(const Node& node, uint32_t group);
  void check_election(const Node& node, uint32_t group, Ballot ballot);
  void check_choice(const Node& node, uint32_t group, const Record& record);
  void check_hint(const Node& node, uint32_t group);
  Slot last_chosen(uint32_t group) const;
  void heal();
  bool at_rest();
  bool run_until(int64_t bound, const std::function<bool()>& reached);
  bool all_rest();
  void check_rest();

  Recipe recipe_;
  Trace trace_;
  Scheduler scheduler_;
  Random network_, disk_random_, client_random_, fault_random_, clock_random_, rest_random_, forward_random_;
  uint64_t seed_;
  std::vector<Node> nodes_;
  std::map<ReplicaId, size_t> ids_;  // whose node it is or was
  std::map<ReplicaId, std::vector<Disk>> graves_;
  bool beyond_ = false;            // more is damaged than can be borne: from now on it need not be served
  std::map<uint64_t, Held> held_;  // by client
  std::vector<FencedWrite> fenced_;
  std::set<std::pair<uint64_t, uint64_t>> cut_;
  bool faults_ = true;
  std::vector<Request> requests_;
  uint64_t started_ = 0, next_value_ = 1, next_tag_ = 1;
  RunReport report_;
  // the oracle
  Attempts attempts_;
  std::vector<std::map<Slot, Digest>> chosen_;       // by group
  std::vector<std::map<Slot, uint64_t>> checksums_;  // of the state
  std::vector<std::map<Slot, Config>> configs_;      // chosen, by slot
};

// What was chosen and kept is applied; what follows is the core's.
Result<Boot> World::boot_disk(Node& node, uint32_t group) {
  Host& host = node.hosts[group];
  const auto again = [&](const Record& record) -> Result<void> {
    if (const auto known = chosen_[group].find(record.slot);
        known == chosen_[group].end() || known->second != record.digest)
      violation(fmt::format("node {} group {} slot {}: restarts with a value that was not chosen", node.id.value, group,
                            record.slot.value));
    if (replica::is_command(record)) host.state.apply(command_in(record), record.time_us);
    return {};
  };
  if (node.log) {
    auto boot = replica::boot_from_journal(node.log->journal(), GroupId(group), host.at, again);
    if (boot) host.at = boot->base;
    return boot;
  }
  const Disk& disk = host.disk;
  Boot boot;
  boot.hard = disk.hard;
  for (const auto& [slot, record] : disk.records) {
    if (slot <= host.at.upto) continue;
    if (slot <= disk.hard.chosen && host.at.advance(record)) {
      TRY_DO(again(record));
      continue;
    }
    boot.records.push_back(record);
  }
  boot.base = host.at;
  boot.blind = disk.damaged;
  return boot;
}

bool World::boot(Node& node, uint32_t group) {
  Host& host = node.hosts[group];
  host.pending.clear();
  host.trimmed = {};
  host.syncing = host.flushing = host.healing = false;
  host.installing.reset();
  host.proposed.clear();
  host.answers.clear();
  host.reads.clear();
  host.reading.clear();
  host.wakeup = INT64_MAX;
  host.state = host.disk.snapshot.state;
  host.at = host.disk.snapshot.meta;
  auto boot = boot_disk(node, group);
  if (boot && node.log) check_servable(node, group);
  if (!boot) {
    note("node {} group {} does not start: {}", node.id.value, group, boot.error().message);
    if (!node.log->disturbed() && !node.rotten && boot.error().code != Code::Exhausted)
      violation(fmt::format("node {} group {} does not start: {}", node.id.value, group, boot.error().message));
    return false;
  }
  paxos::Options options;
  options.group = GroupId(group);
  options.self = node.id;
  options.life = LifeId(node.life << 8 | node.index);
  options.alpha = recipe_.alpha;
  options.heartbeat_ns = recipe_.heartbeat_ns;
  options.grant_ns = recipe_.grant_ns;
  options.clock_error_ppm = recipe_.clock_error_ppm;
  options.lease_reads = recipe_.lease_reads;
  options.checksum_every = recipe_.checksum_every;
  options.trim_lag_max = recipe_.trim_lag_max;
  options.rest_after_ns = recipe_.rest_after_ns;
  options.tail_bytes = 4096;
  options.seed = seed_;
  host.replica.emplace(options, std::move(*boot), local(node));
  if (recipe_.forward)
    host.queue.emplace(replica::Proposals::Options{.group = options.group,
                                                   .self = options.self,
                                                   .life = options.life,
                                                   .resend_ns = 2 * recipe_.heartbeat_ns,
                                                   .leader_wait_ns = recipe_.client_timeout_ns / 2,
                                                   .answer_ns = recipe_.client_timeout_ns});
  return true;
}

void World::start(Node& node) {
  if (node.up || node.refused) return;
  if (!open_log(node)) {
    if (!node.refused) restart_later(node);
    return;
  }
  node.up = true;
  note("node {} starts", node.id.value);
  for (uint32_t group = 0; group < recipe_.groups; ++group)
    if (!boot(node, group)) {
      crash(node, NodeLog::End::Killed);
      return restart_later(node);
    }
  for (uint32_t group = 0; group < recipe_.groups; ++group) step(node, group, Tick{});
}

void World::restart_later(Node& node) {
  const int64_t down = fault_random_.chance(0.3) ? 5'000'000 : fault_random_.exponential(recipe_.fault_mean_ns / 2);
  scheduler_.after(down + 1, [this, &node, life = node.life] {
    if (node.life == life) start(node);
  });
}

void World::crash(Node& node, std::optional<NodeLog::End> how) {
  if (!node.up) return;
  node.up = false;
  ++node.life;
  ++report_.crashes;
  note("node {} crashes", node.id.value);
  if (node.log) {
    LogJob* const caught = node.syncing ? &node.job : node.waiting.empty() ? nullptr : &node.waiting;
    if (!how) how = disk_random_.chance(0.3) ? NodeLog::End::Killed : NodeLog::End::PowerCut;
    node.log->end(*how, caught, disk_random_);
    node.waiting = node.job = {};
    node.syncing = false;
  }
  // The others may see their connections break, or nothing at all.
  if (rest_random_.chance(0.5))
    scheduler_.after(rest_random_.exponential(1'000'000), [this, who = node.id] {
      for (Node& other : nodes_)
        for (uint32_t group = 0; other.up && other.id != who && group < recipe_.groups; ++group)
          step(other, group, PeerDown{.who = who});
    });
  for (Host& host : node.hosts) {
    // The log is written in order: of what was not synced any prefix may have arrived.
    uint64_t survive = disk_random_.below(host.pending.size() + 1);
    for (Write& write : host.pending) {
      if (survive-- == 0) break;
      for (Record& record : write.records) host.disk.records.insert_or_assign(record.slot, record);
      if (write.has_hard) host.disk.hard = write.hard;
    }
    host.replica.reset();
    host.queue.reset();
    host.pending.clear();
  }
}

void World::step(Node& node, uint32_t group, Input input) {
  step_replica(node, group, std::move(input));
  pump(node, group);
  arm(node, group);
}

void World::step_replica(Node& node, uint32_t group, Input input) {
  Host& host = node.hosts[group];
  if (!host.replica || !report_.violation.empty()) return;
  Output output;
  host.replica->step(local(node), std::move(input), output);
  host.replica->check_invariants();
  handle(node, group, output);
}

// As a hosted group ends its turn. Now and then a node may take nothing.
void World::pump(Node& node, uint32_t group) {
  Host& host = node.hosts[group];
  if (!host.queue || !host.queue->due() || !report_.violation.empty()) return;
  std::optional<Error> refusal;
  if (faults_ && forward_random_.chance(0.02)) refusal = Error{Code::Exhausted, "disk full"};
  auto turn = host.queue->turn(local(node), *host.replica, refusal);
  for (const auto& [to, message] : turn.messages) transmit(node.id, to, group, message);
  if (!turn.proposals.empty() || turn.ask)
    step_replica(node, group, Propose{.proposals = std::move(turn.proposals), .time_us = local(node).ns / 1000});
}

void World::arm(Node& node, uint32_t group) {
  Host& host = node.hosts[group];
  if (!host.replica) return;
  Time next = host.replica->next_wakeup();
  if (host.queue) next = std::min(next, host.queue->next_wakeup());
  const int64_t at = global(node, next);
  if (at >= host.wakeup || at == INT64_MAX) return;
  host.wakeup = at;
  scheduler_.at(at, [this, &node, group, at, life = node.life] {
    Host& mine = node.hosts[group];
    if (node.life != life || mine.wakeup != at) return;
    mine.wakeup = INT64_MAX;
    if (now() < node.paused_until) {
      mine.wakeup = node.paused_until;
      scheduler_.at(node.paused_until, [this, &node, group, life] {
        if (node.life != life) return;
        node.hosts[group].wakeup = INT64_MAX;
        step(node, group, Tick{});
      });
      return;
    }
    step(node, group, Tick{});
  });
}

std::string summary(const Message& message) {
  std::string text = fmt::format("{} -> {} group {} {}", message.from.value, message.to.value, message.group.value,
                                 body_name(message.body));
  const auto records = [&](const std::vector<Record>& list) {
    for (const Record& record : list)
      text += fmt::format(" [{} {}.{} o{}.{} {:04x}<{:04x}{}]", record.slot.value, record.ballot.round,
                          record.ballot.who.value, record.origin.round, record.origin.who.value,
                          record.digest.low & 0xffff, record.parent.low & 0xffff, record.data ? "" : " header");
  };
  if (const auto* m = std::get_if<Accept>(&message.body)) {
    text += fmt::format(" {}.{} chosen {} end {} stamp {}", m->ballot.round, m->ballot.who.value, m->chosen.value,
                        m->end.value, m->stamp);
    records(m->records);
  } else if (const auto* a = std::get_if<Accepted>(&message.body)) {
    text += fmt::format(" {}.{} upto {} missing {} chosen {} stamp {}", a->ballot.round, a->ballot.who.value,
                        a->upto.value, a->missing.value, a->chosen.value, a->stamp);
  } else if (const auto* p = std::get_if<Promise>(&message.body)) {
    text +=
        fmt::format(" {}.{} from {} chosen {}", p->ballot.round, p->ballot.who.value, p->from.value, p->chosen.value);
    records(p->headers);
  } else if (const auto* q = std::get_if<Prepare>(&message.body)) {
    text += fmt::format(" {}.{} from {}", q->ballot.round, q->ballot.who.value, q->from.value);
  } else if (const auto* c = std::get_if<Chosen>(&message.body)) {
    records(c->records);
  }
  return text;
}

void World::transmit(const Message& message) {
  if (trace_ == Trace::Messages) note("{}", summary(message));
  ++report_.messages;
  mix(message.from.value << 32 | message.to.value << 8 | message.body.index());
  const auto shared = std::make_shared<Message>(message);
  carry(message.from, message.to, [this, shared](Node& to) {
    step(to, static_cast<uint32_t>(shared->group.value), Receive{.message = *shared});
  });
}

void World::transmit(ReplicaId from, ReplicaId to, uint32_t group, const replica::ForwardMessage& message) {
  if (trace_ == Trace::Messages) {
    if (const auto* reply = std::get_if<replica::ForwardReply>(&message))
      note("{} -> {} group {} ForwardReply {}.{} begin {} next {}{}", from.value, to.value, group, reply->ballot.round,
           reply->ballot.who.value, reply->begin, reply->next, reply->refused ? " refused" : "");
    else if (const auto* sent = std::get_if<replica::Forward>(&message))
      note("{} -> {} group {} Forward {}.{} begin {} first {} count {}", from.value, to.value, group,
           sent->ballot.round, sent->ballot.who.value, sent->begin, sent->first, sent->commands.size());
  }
  ++report_.messages;
  mix(from.value << 32 | to.value << 8 | 0x80 | message.index());
  const auto bytes = std::make_shared<const Bytes>(replica::encode(message));
  carry(from, to, [this, from, group, bytes](Node& node) {
    auto decoded = replica::decode_forward_message(*bytes);
    if (!decoded) return violation("forwarding: " + decoded.error().message);
    Host& host = node.hosts[group];
    if (!host.queue) return;
    host.queue->receive(from, std::move(*decoded));
    pump(node, group);
    arm(node, group);
  });
}

// Messages may be lost, repeated, late and overtaken.
void World::carry(ReplicaId from, ReplicaId to, const std::function<void(Node&)>& arrive) {
  if (!alive(to)) return;
  if (!reachable(from, to) || network_.chance(faults_ ? recipe_.loss : 0)) return;
  const int copies = network_.chance(faults_ ? recipe_.duplicate : 0) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    int64_t delay = recipe_.delay_min_ns + network_.exponential(recipe_.delay_mean_ns);
    if (faults_ && network_.chance(recipe_.slow_message)) delay *= 100;
    scheduler_.after(delay, [this, from, to, arrive] {
      Node* const found = alive(to);
      if (!found || !found->up || !reachable(from, to)) return;
      if (now() >= found->paused_until) return arrive(*found);
      scheduler_.at(found->paused_until, [found, arrive, life = found->life] {
        if (found->life == life) arrive(*found);
      });
    });
  }
}

void World::handle(Node& node, uint32_t group, Output& output) {
  Host& host = node.hosts[group];
  for (const Message& message : output.messages) {
    if (const auto* accepted = std::get_if<Accepted>(&message.body)) {
      // No early acknowledgement: what it says it holds under its ballot is on the disk.
      if (accepted->ballot > host.disk.hard.promised) {
        bool stored = false;
        for (const auto& [slot, record] : host.disk.records) stored |= record.ballot >= accepted->ballot;
        if (!stored)
          violation(
              fmt::format("node {} acknowledges ballot {} that is not durable", node.id.value, accepted->ballot.round));
      }
    }
    transmit(message);
  }
  for (Write& write : output.writes) {
    mix(write.id.value << 20 | write.records.size());
    if (node.log)
      node.waiting.writes.emplace_back(GroupId(group), std::move(write));
    else
      host.pending.push_back(std::move(write));
  }
  if (!host.pending.empty() && !host.syncing) run_sync(node, group);
  if (host.queue)
    for (const paxos::Outcome& outcome : output.outcomes)
      if (outcome.tag) host.queue->settle(outcome);
  for (const Record& record : output.commits) {
    const auto done = host.queue ? host.queue->chosen(record) : nullptr;
    apply(node, group, record);
    if (done) done(Bytes());
  }
  for (const paxos::Outcome& outcome : output.outcomes) {
    const auto found = host.proposed.find(outcome.tag);
    if (found == host.proposed.end()) continue;
    const uint64_t request = found->second;
    host.proposed.erase(found);
    switch (outcome.result) {
      case paxos::Outcome::Result::Chosen: {
        // Applied in this very step: its answer is there.
        const Reply* const done = host.state.find(requests_[request].command.id);
        if (!done)
          violation(fmt::format("node {} group {}: chosen, it says, but never applied", node.id.value, group));
        else
          answer(request, done->refused, done->sequencer, node);
        break;
      }
      case paxos::Outcome::Result::NotLeader:
        requests_[request].target = hinted(outcome.leader);
        retry(request, 5'000'000);
        break;
      case paxos::Outcome::Result::Busy:
      case paxos::Outcome::Result::Dropped: retry(request, 5'000'000); break;
      case paxos::Outcome::Result::Invalid:
      case paxos::Outcome::Result::Unknown:
        requests_[request].may_be_done = true;
        retry(request, 20'000'000);
        break;
    }
  }
  for (const ReadAt& read : output.reads) {
    const auto found = host.reading.find(read.tag);
    if (found == host.reading.end()) continue;
    const auto [request, floor] = found->second;
    host.reading.erase(found);
    if (read.ok && read.index < floor)
      violation(fmt::format("node {} group {}: a read that began when slot {} was chosen may be served at {}",
                            node.id.value, group, floor.value, read.index.value));
    if (!read.ok) {
      requests_[request].target = hinted(read.leader);
      retry(request, 10'000'000);
    } else if (host.at.upto >= read.index) {
      answer(request, false, host.state.get(requests_[request].command.key), node);
    } else {
      host.reads.emplace(read.index, request);
    }
  }
  for (const Event& event : output.events) {
    if (const auto* role = std::get_if<RoleChange>(&event)) {
      note("node {} group {} {} ballot {}.{} leader {}", node.id.value, group, role_name(role->role),
           role->ballot.round, role->ballot.who.value, role->leader.value);
      if (role->role == Role::Leader) {
        ++report_.elections;
        check_election(node, group, role->ballot);
      }
      mix(static_cast<uint64_t>(role->role));
    } else if (const auto* trim = std::get_if<Trim>(&event)) {
      host.disk.records.erase(host.disk.records.begin(), host.disk.records.upper_bound(trim->upto));
      host.trimmed = trim->upto;
      if (node.log) node.waiting.trims.emplace_back(GroupId(group), trim->upto);
    } else if (const auto* learn = std::get_if<ServeLearn>(&event)) {
      if (node.log)
        node.waiting.serves.emplace_back(GroupId(group), *learn);
      else
        serve_learn(node, group, *learn);
    } else if (const auto* fetch = std::get_if<FetchSnapshot>(&event)) {
      fetch_snapshot(node, group, *fetch);
    } else if (std::get_if<Healed>(&event)) {
      if (node.log) {
        host.healing = true;
        node.waiting.healed.push_back(GroupId(group));
      } else {
        host.disk.damaged = false;
      }
    } else if (const auto* fault = std::get_if<Fault>(&event); fault && fault->what != Fault::What::StorageFailed) {
      violation(fmt::format("node {} group {} stops: {}", node.id.value, group, fault->text));
    }
  }
  if (node.log) run_log(node);
}

void World::run_sync(Node& node, uint32_t group) {
  Host& host = node.hosts[group];
  host.syncing = true;
  int64_t cost = recipe_.sync_mean_ns / 4 + disk_random_.exponential(recipe_.sync_mean_ns);
  if (now() < node.slow_disk_until) cost *= 100;
  const size_t count = host.pending.size();
  scheduler_.after(cost, [this, &node, group, count, life = node.life] {
    if (node.life != life) return;
    Host& mine = node.hosts[group];
    std::vector<Message> after;
    WriteId last;
    for (size_t i = 0; i < count; ++i) {
      Write& write = mine.pending.front();
      for (Record& record : write.records) mine.disk.records.insert_or_assign(record.slot, std::move(record));
      if (write.has_hard) {
        mine.disk.hard = write.hard;
        check_hint(node, group);
      }
      for (Message& message : write.after) after.push_back(std::move(message));
      last = write.id;
      mine.pending.pop_front();
    }
    mine.syncing = false;
    for (const Message& message : after) transmit(message);
    if (!mine.pending.empty()) run_sync(node, group);
    step(node, group, Persisted{.upto = last});
  });
}

void World::apply(Node& node, uint32_t group, const Record& record) {
  Host& host = node.hosts[group];
  mix(record.slot.value);
  const auto [known, fresh] = chosen_[group].emplace(record.slot, record.digest);
  if (known->second != record.digest)
    return violation(fmt::format("group {} slot {}: node {} has another value chosen than others", group,
                                 record.slot.value, node.id.value));
  if (fresh) {
    ++report_.slots;
    check_choice(node, group, record);
    if (recipe_.forward && replica::is_command(record))
      if (const std::string wrong = attempts_.chosen(Attempts::number_in(*replica::command_of(record))); !wrong.empty())
        violation(fmt::format("group {} slot {}: {}", group, record.slot.value, wrong));
  }
  if (record.time_us < host.at.time_us)
    violation(fmt::format("group {} slot {}: time falls", group, record.slot.value));
  if (!host.at.advance(record))
    return violation(
        fmt::format("group {} slot {}: node {} applies out of order", group, record.slot.value, node.id.value));
  if (replica::is_command(record)) host.state.apply(command_in(record), record.time_us);
  const uint64_t checksum = host.state.checksum();
  const auto [sum, first] = checksums_[group].emplace(record.slot, checksum);
  if (sum->second != checksum)
    return violation(fmt::format("group {} slot {}: states differ", group, record.slot.value));
  for (auto read = host.reads.begin(); read != host.reads.end() && read->first <= host.at.upto;
       read = host.reads.erase(read))
    answer(read->second, false, host.state.get(requests_[read->second].command.key), node);
  scheduler_.after(0, [this, &node, group, slot = record.slot, checksum, life = node.life] {
    if (node.life == life) step(node, group, Applied{.upto = slot, .checksum = checksum});
  });
  if (host.at.upto.value >= host.disk.snapshot.meta.upto.value + recipe_.snapshot_every) take_snapshot(node, group);
}

// A copy on write; durable a while later.
void World::take_snapshot(Node& node, uint32_t group) {
  Host& host = node.hosts[group];
  if (host.flushing) return;
  host.flushing = true;
  scheduler_.after(1'000'000 + disk_random_.exponential(10'000'000),
                   [this, &node, group, life = node.life, snapshot = Snapshot{.meta = host.at, .state = host.state}] {
                     if (node.life != life) return;
                     Host& mine = node.hosts[group];
                     mine.flushing = false;
                     if (snapshot.meta.upto > mine.disk.snapshot.meta.upto) mine.disk.snapshot = snapshot;
                     step(node, group, SnapshotTaken{.upto = snapshot.meta.upto});
                   });
}

void World::serve_learn(Node& node, uint32_t group, const ServeLearn& wanted) {
  Host& host = node.hosts[group];
  Chosen answer;
  for (Slot slot = wanted.first;
       slot > host.disk.floor && slot <= wanted.last && slot <= host.disk.hard.chosen && answer.records.size() < 50;
       slot = slot.next()) {
    const auto found = host.disk.records.find(slot);
    if (found == host.disk.records.end()) break;
    answer.records.push_back(found->second);
  }
  Message message{.group = GroupId(group), .from = node.id, .to = wanted.to};
  if (!answer.records.empty())
    message.body = std::move(answer);
  else if (wanted.first <= host.disk.snapshot.meta.upto)
    message.body = SnapshotOffer{.meta = host.disk.snapshot.meta};
  else
    return;
  transmit(message);
}

void World::fetch_snapshot(Node& node, uint32_t group, const FetchSnapshot& wanted) {
  const int64_t delay = 20'000'000 + network_.exponential(50'000'000);
  scheduler_.after(delay, [this, &node, group, wanted, life = node.life] {
    if (node.life != life) return;
    Node* const from = alive(wanted.from);
    const bool ok = from && from->up && reachable(wanted.from, node.id) &&
                    from->hosts[group].disk.snapshot.meta.upto >= wanted.meta.upto &&
                    !(faults_ && network_.chance(0.1));
    Host& host = node.hosts[group];
    if (!ok) return step(node, group, SnapshotInstalled{.meta = wanted.meta, .ok = false});
    // First it is durable, then the log knows that what it has up to there counts no more, then it is the state.
    host.disk.snapshot = from->hosts[group].disk.snapshot;
    host.installing = host.disk.snapshot;
    if (!node.log) {
      host.disk.floor = host.installing->meta.upto;
      return installed(node, group);
    }
    scheduler_.after(disk_random_.exponential(20'000'000), [this, &node, group, life] {
      if (node.life != life) return;
      node.waiting.floors.emplace_back(GroupId(group), node.hosts[group].installing->meta.upto);
      run_log(node);
    });
  });
}

void World::installed(Node& node, uint32_t group) {
  Host& host = node.hosts[group];
  if (!host.installing) return;
  const Snapshot snapshot = *std::exchange(host.installing, std::nullopt);
  host.state = snapshot.state;
  host.at = snapshot.meta;
  for (auto read = host.reads.begin(); read != host.reads.end() && read->first <= host.at.upto;
       read = host.reads.erase(read))
    answer(read->second, false, host.state.get(requests_[read->second].command.key), node);
  if (host.queue) host.queue->snapshot_installed();
  step(node, group, SnapshotInstalled{.meta = snapshot.meta, .ok = true});
}

// ---- the real log ----

bool World::open_log(Node& node) {
  if (!node.log) return true;
  const auto opened = node.log->open();
  if (!opened) {
    note("node {} cannot open its log: {}", node.id.value, opened.error().message);
    const bool corrupt = opened.error().code == Code::Corrupt;
    if (corrupt ? !node.rotten : opened.error().code != Code::Exhausted && !node.log->disturbed())
      violation(fmt::format("node {} cannot open its log: {}", node.id.value, opened.error().message));
    node.refused = corrupt;
    return false;
  }
  for (uint32_t group = 0; group < recipe_.groups; ++group) check_recovered(node, group);
  node.rotten = false;
  return report_.violation.empty();
}

// All that was said to be durable is there, or the group knows that it is not.
void World::check_recovered(Node& node, uint32_t group) {
  Host& host = node.hosts[group];
  Disk& disk = host.disk;
  replica::Journal& journal = node.log->journal();
  const replica::JournalGroup kept = journal.group(GroupId(group));
  const auto wrong = [&](const std::string& what) {
    violation(fmt::format("node {} group {}: its log comes back {}", node.id.value, group, what));
  };
  if (kept.hard.promised < disk.hard.promised)
    wrong(fmt::format("with promise {}.{}, but {}.{} was durable", kept.hard.promised.round,
                      kept.hard.promised.who.value, disk.hard.promised.round, disk.hard.promised.who.value));
  if (kept.blind && !node.rotten && !disk.damaged) wrong("blind, though nothing was damaged");
  if (!kept.blind && disk.damaged && !host.healing) wrong("as if what was damaged had healed");
  std::map<Slot, Record> held;
  const Slot behind = disk.snapshot.meta.upto.next();
  const Slot first = disk.records.empty() ? behind : std::min(behind, disk.records.begin()->first);
  const Slot last = journal.last_held(GroupId(group));
  for (Slot slot = first; slot <= last; slot = slot.next()) {
    const auto next = journal.read(GroupId(group), slot, last, UINT64_MAX, [&](Record record) -> Result<void> {
      const Slot at = record.slot;
      if (digest_of(record) != record.digest)
        wrong(fmt::format("with a record of slot {} that is not whole", at.value));
      held.emplace(at, std::move(record));
      return {};
    });
    if (!next) {
      if (!node.log->disturbed()) wrong(next.error().message);
      break;
    }
    slot = *next;
  }
  if (!kept.blind) {
    if (kept.floor < disk.floor)
      wrong(fmt::format("with floor {}, but {} was durable", kept.floor.value, disk.floor.value));
    if (kept.hard.chosen < disk.hard.chosen)
      wrong(fmt::format("chosen up to {}, but {} was durable", kept.hard.chosen.value, disk.hard.chosen.value));
    for (const auto& [slot, record] : disk.records) {
      if (slot <= kept.floor) continue;
      const auto found = held.find(slot);
      if (found == held.end() || found->second.ballot < record.ballot ||
          (found->second.ballot == record.ballot && found->second.digest != record.digest))
        wrong(fmt::format("without the record of slot {} that was durable", slot.value));
    }
  }
  disk.hard = kept.hard;
  disk.floor = kept.floor;
  disk.damaged = kept.blind;
  disk.records = std::move(held);
}

// Once the hint has passed them, records up to what is applied are given to whoever asks.
void World::check_servable(Node& node, uint32_t group) {
  const SnapshotMeta& at = node.hosts[group].at;
  replica::Journal& journal = node.log->journal();
  const Slot floor = journal.group(GroupId(group)).floor;
  for (Slot slot = floor.next(); slot <= at.upto; slot = slot.next()) {
    const auto next = journal.read(GroupId(group), slot, at.upto, UINT64_MAX, [&](Record record) -> Result<void> {
      if (const auto known = chosen_[group].find(record.slot);
          known == chosen_[group].end() || known->second != record.digest)
        violation(fmt::format("node {} group {} slot {}: its log would serve a value that was not chosen",
                              node.id.value, group, record.slot.value));
      return {};
    });
    if (!next) return;
    slot = *next;
  }
}

void World::run_log(Node& node) {
  if (!node.up || node.syncing || node.waiting.empty()) return;
  node.syncing = true;
  node.job = std::exchange(node.waiting, {});
  int64_t cost = recipe_.sync_mean_ns / 4 + disk_random_.exponential(recipe_.sync_mean_ns);
  if (now() < node.slow_disk_until) cost *= 100;
  scheduler_.after(cost, [this, &node, life = node.life] {
    if (node.life == life) finish_job(node);
  });
}

void World::finish_job(Node& node) {
  if (const auto done = node.log->persist(node.job); !done) {
    if (done.error().code != Code::Exhausted) return log_failed(node, done.error());
    // A full disk only delays. What snapshots make superfluous makes room.
    for (uint32_t group = 0; group < recipe_.groups; ++group) take_snapshot(node, group);
    for (const auto& [group, upto] : std::exchange(node.waiting.trims, {}))
      if (const auto trimmed = node.log->journal().trim(group, upto); !trimmed)
        return log_failed(node, trimmed.error());
    scheduler_.after(100'000'000, [this, &node, life = node.life] {
      if (node.life == life) finish_job(node);
    });
    return;
  }
  LogJob job = std::exchange(node.job, {});
  std::map<uint32_t, WriteId> persisted;
  std::vector<Message> after;
  for (auto& [id, write] : job.writes) {
    const auto group = static_cast<uint32_t>(id.value);
    Disk& disk = node.hosts[group].disk;
    for (Record& record : write.records)
      if (record.slot > node.hosts[group].trimmed) disk.records.insert_or_assign(record.slot, std::move(record));
    if (write.has_hard) {
      disk.hard = write.hard;
      check_hint(node, group);
    }
    std::ranges::move(write.after, std::back_inserter(after));
    persisted[group] = write.id;
  }
  for (const auto& [id, floor] : job.floors) node.hosts[id.value].disk.floor = floor;
  for (const GroupId id : job.healed) {
    node.hosts[id.value].disk.damaged = false;
    node.hosts[id.value].healing = false;
  }
  for (const auto& [id, upto] : job.trims) {
    if (const auto trimmed = node.log->journal().trim(id, upto); !trimmed) return log_failed(node, trimmed.error());
  }
  for (const auto& [id, wanted] : job.serves) serve_from_log(node, static_cast<uint32_t>(id.value), wanted);
  node.syncing = false;
  for (const Message& message : after) transmit(message);
  for (const auto& [group, id] : persisted) step(node, group, Persisted{.upto = id});
  for (const auto& [id, floor] : job.floors) installed(node, static_cast<uint32_t>(id.value));
  run_log(node);
}

void World::serve_from_log(Node& node, uint32_t group, const ServeLearn& wanted) {
  Chosen answer;
  replica::Journal& journal = node.log->journal();
  const Slot last = std::min(wanted.last, journal.group(GroupId(group)).hard.chosen);
  const auto read = journal.read(GroupId(group), wanted.first, last, 4096, [&](Record record) -> Result<void> {
    if (const auto known = chosen_[group].find(record.slot);
        known == chosen_[group].end() || known->second != record.digest)
      violation(fmt::format("node {} group {} slot {}: its log serves a value that was not chosen", node.id.value,
                            group, record.slot.value));
    answer.records.push_back(std::move(record));
    return {};
  });
  if (!read && !node.rotten) violation("node " + std::to_string(node.id.value) + ": " + read.error().message);
  Message message{.group = GroupId(group), .from = node.id, .to = wanted.to};
  const SnapshotMeta& meta = node.hosts[group].disk.snapshot.meta;
  if (!answer.records.empty())
    message.body = std::move(answer);
  else if (wanted.first <= meta.upto)
    message.body = SnapshotOffer{.meta = meta};
  else
    return;
  transmit(message);
}

// What is on the disk is not known: the process ends, and is started again.
void World::log_failed(Node& node, const Error& error) {
  note("node {}: its log fails: {}", node.id.value, error.message);
  if (!node.log->disturbed() && !node.rotten)
    violation(fmt::format("node {}: its log fails: {}", node.id.value, error.message));
  node.job = {};
  for (uint32_t group = 0; group < recipe_.groups; ++group) step(node, group, PersistFailed{});
  node.syncing = false;
  node.waiting = {};
  crash(node);
  restart_later(node);
}

// ---- clients ----

void World::client_start(uint64_t client) {
  if (started_ >= recipe_.operations || !report_.violation.empty()) return;
  ++started_;
  Request request{.client = client, .group = static_cast<uint32_t>(client_random_.below(recipe_.groups))};
  choose_command(client, request);
  const Command& command = request.command;
  request.operation = report_.history.size();
  request.target = static_cast<uint32_t>(client_random_.below(recipe_.forward ? nodes_.size() : recipe_.members));
  request.deadline = now() + recipe_.client_timeout_ns;
  report_.history.push_back({.client = client,
                             .key = static_cast<uint64_t>(request.group) * 1000 + command.key,
                             .kind = command.kind,
                             .outcome = Outcome::Ok,
                             .value = command.value,
                             .expected = command.expected,
                             .call_ns = now()});
  report_.history.back().outcome = sim::Outcome::Unknown;
  if (command.kind == Kind::Acquire) {
    // The lease of what it may get runs out when the log's time says so, unseen by anybody.
    report_.history.push_back(report_.history.back());
    report_.history.back().kind = Kind::Expire;
  }
  if (command.lock)
    fenced_.push_back({.operation = request.operation,
                       .lock = static_cast<uint64_t>(request.group) * 1000 + command.lock,
                       .sequencer = command.sequencer});
  requests_.push_back(request);
  const uint64_t id = requests_.size() - 1;
  client_try(id);
  scheduler_.at(request.deadline, [this, id] { give_up(id); });
}

void World::choose_command(uint64_t client, Request& request) {
  Command& command = request.command;
  command.id = requests_.size() + 1;
  command.client = client;
  const uint64_t kind = client_random_.below(10);
  const Held& held = held_[client];
  if (held.lock && kind < 8) {
    request.group = held.group;
    command.sequencer = held.sequencer;
    command.key = held.lock;
    command.kind = kind < 4 ? Kind::Write : kind < 7 ? Kind::Read : Kind::Release;
    if (command.kind != Kind::Release) command.key = held.lock - kLocks + kGuarded;
    if (command.kind == Kind::Write) {
      command.lock = held.lock;
      command.value = next_value_++;
    }
    return;
  }
  if (kind == 0 && recipe_.locks) {
    command.kind = Kind::Acquire;
    command.key = kLocks + client_random_.below(recipe_.locks);
    return;
  }
  command.key = client_random_.below(recipe_.keys);
  command.kind = kind < 4 ? Kind::Read : kind < 8 ? Kind::Write : Kind::Cas;
  if (command.kind != Kind::Read) command.value = next_value_++;
  if (command.kind == Kind::Cas)
    command.expected = client_random_.chance(0.3) ? 0 : 1 + client_random_.below(next_value_);
}

// What a client makes of an answer, or of none.
void World::finished(const Request& request, bool refused, uint64_t value) {
  Held& held = held_[request.client];
  const Kind kind = request.command.kind;
  if (kind == Kind::Acquire) {
    if (!refused) held = {.group = request.group, .lock = request.command.key, .sequencer = value};
    if (refused) report_.history[request.operation + 1].outcome = sim::Outcome::Failed;
  } else if (kind == Kind::Release || (request.command.lock && refused)) {
    held = {};
  }
  // Holders that stop to think find their lease gone, and do not know it.
  const bool dreams = kind == Kind::Acquire && !refused && client_random_.chance(0.4);
  scheduler_.after(
      client_random_.exponential(recipe_.think_ns) + (dreams ? client_random_.exponential(kLockLeaseUs * 2000) : 0),
      [this, client = request.client] { client_start(client); });
}

void World::client_try(uint64_t id) {
  if (!requests_[id].open) return;
  const uint32_t target = requests_[id].target;
  const int64_t delay = recipe_.delay_min_ns + client_random_.exponential(recipe_.delay_mean_ns);
  scheduler_.after(delay, [this, id, target] { deliver(id, target); });
}

void World::deliver(uint64_t id, uint32_t target) {
  Request& request = requests_[id];
  Node& node = nodes_[target];
  if (!request.open) return;
  if (!node.up) {
    request.target = static_cast<uint32_t>(client_random_.below(nodes_.size()));
    return retry(id, 20'000'000);
  }
  if (now() < node.paused_until) {
    scheduler_.at(node.paused_until, [this, id, target] { deliver(id, target); });
    return;
  }
  Host& host = node.hosts[request.group];
  // Nothing comes back from a node that is stuck: try another after a while.
  scheduler_.after(std::min<int64_t>(recipe_.client_timeout_ns / 3, 1'000'000'000),
                   [this, id, tries = ++request.tries] {
                     Request& mine = requests_[id];
                     if (!mine.open || mine.tries != tries) return;
                     mine.target = static_cast<uint32_t>(client_random_.below(nodes_.size()));
                     client_try(id);
                   });
  if (request.command.kind == Kind::Read) {
    if (serve_read(node, request.group, id)) return;
    const uint64_t tag = next_tag_++;
    host.reading.emplace(tag, Host::Reading{.request = id, .floor = last_chosen(request.group)});
    return step(node, request.group, Read{.tag = tag});
  }
  if (host.queue) return give(node, id);
  const uint64_t tag = next_tag_++;
  host.proposed.emplace(tag, id);
  request.may_be_done = true;
  Propose propose;
  propose.proposals.push_back({.tag = tag, .data = request.command.encode()});
  propose.time_us = local(node).ns / 1000;
  step(node, request.group, std::move(propose));
}

// To a node that need not lead: what it says of the command is the whole truth.
void World::give(Node& node, uint64_t id) {
  Request& request = requests_[id];
  const uint32_t group = request.group;
  const uint64_t attempt = attempts_.give(node.index, node.life, group);
  Bytes command = *request.command.encode();
  Attempts::mark(attempt, command);
  ++request.undecided;
  const auto done = [this, &node, id, group, attempt](const Result<Bytes>& reply) {
    using enum Attempts::Answer;
    const bool unknown = !reply && reply.error().code == Code::Timeout;
    if (const std::string wrong = attempts_.answered(attempt, reply     ? Done
                                                              : unknown ? Unknown
                                                                        : NotDone);
        !wrong.empty())
      violation(fmt::format("node {} group {}: {}", node.id.value, group, wrong));
    Request& mine = requests_[id];
    --mine.undecided;
    mine.may_be_done |= unknown;
    if (reply) {
      const Reply* const found = node.hosts[group].state.find(mine.command.id);
      if (!found)
        violation(fmt::format("node {} group {}: answered, but never applied", node.id.value, group));
      else
        answer(id, found->refused, found->sequencer, node);
      return;
    }
    mine.target = static_cast<uint32_t>(client_random_.below(nodes_.size()));
    retry(id, 5'000'000);
  };
  node.hosts[group].queue->add(std::make_shared<const Bytes>(std::move(command)), done, {}, local(node));
  pump(node, group);
  arm(node, group);
}

// The lease path: no peer is asked.
bool World::serve_read(Node& node, uint32_t group, uint64_t id) {
  Host& host = node.hosts[group];
  if (!host.replica || !host.replica->may_read(local(node)) || host.at.upto < host.replica->read_index()) return false;
  ++report_.reads_local;
  check_read(node, group);
  answer(id, false, host.state.get(requests_[id].command.key), node);
  return true;
}

// Whoever reads locally must know everything that is chosen.
Slot World::last_chosen(uint32_t group) const {
  return chosen_[group].empty() ? Slot(0) : chosen_[group].rbegin()->first;
}

// Whoever may lead has the durable promises of a phase-1 quorum of every configuration that governs what it may decide.
void World::check_election(const Node& node, uint32_t group, Ballot ballot) {
  const SnapshotMeta& at = node.hosts[group].at;
  const auto check_quorum = [&](const Config& config) {
    size_t promised = 0;
    for (const Config::Voter& voter : config.voters)
      promised += durable(voter.id, group).hard.promised >= ballot ? 1 : 0;
    if (promised < config.phase1_quorum())
      violation(fmt::format("node {} group {} leads under {}.{} with {} durable promises of configuration {}",
                            node.id.value, group, ballot.round, ballot.who.value, promised, config.epoch));
  };
  for (const Config& config : at.configs) check_quorum(config);
  for (const auto& [slot, config] : configs_[group])
    if (slot > at.upto) check_quorum(config);
}

// The first to know that a slot is chosen: a phase-2 quorum of the configuration that governs it holds the value
// durably. And nobody may read under a lease without it from now on.
void World::check_choice(const Node& node, uint32_t group, const Record& record) {
  const Config& config = node.hosts[group].at.config_at(record.slot);
  size_t holders = 0;
  for (const Config::Voter& voter : config.voters) {
    const Disk& disk = durable(voter.id, group);
    const auto held = disk.records.find(record.slot);
    const bool holds =
        held != disk.records.end() && held->second.digest == record.digest && held->second.ballot >= record.ballot;
    holders += disk.damaged || disk.snapshot.meta.upto >= record.slot || holds ? 1 : 0;
  }
  if (holders < config.phase2_quorum())
    violation(fmt::format("node {} group {} slot {}: chosen with {} durable copies of {}", node.id.value, group,
                          record.slot.value, holders, config.phase2_quorum()));
  if (record.kind == paxos::Kind::Config) {
    Config chosen;
    if (Config::decode(*record.data, chosen)) configs_[group].emplace(record.slot, chosen);
  }
  if (recipe_.clock_drift_ppm > recipe_.clock_error_ppm) return;
  for (const Node& other : nodes_)
    if (const Host& host = other.hosts[group];
        other.up && other.id != node.id && host.replica && host.replica->may_read(local(other)))
      violation(fmt::format("node {} group {} may read under its lease at slot {} while node {} has slot {} chosen",
                            other.id.value, group, host.replica->read_index().value, node.id.value, record.slot.value));
}

// What is said to be complete is on the disk, and is what was chosen.
void World::check_hint(const Node& node, uint32_t group) {
  const Disk& disk = node.hosts[group].disk;
  if (disk.damaged) return;
  for (Slot slot = std::max(disk.snapshot.meta.upto, disk.floor).next(); slot <= disk.hard.chosen; slot = slot.next()) {
    const auto held = disk.records.find(slot);
    const auto known = chosen_[group].find(slot);
    if (held == disk.records.end() || known == chosen_[group].end() || held->second.digest != known->second)
      return violation(
          fmt::format("node {} group {}: its disk says that all up to slot {} is chosen and there, but slot {} is not",
                      node.id.value, group, disk.hard.chosen.value, slot.value));
  }
}

void World::check_read(const Node& node, uint32_t group) {
  if (recipe_.clock_drift_ppm > recipe_.clock_error_ppm) return;  // then the histories must show it
  if (!chosen_[group].empty() && chosen_[group].rbegin()->first > node.hosts[group].at.upto)
    violation(fmt::format("node {} group {} reads under its lease at slot {} while slot {} is chosen", node.id.value,
                          group, node.hosts[group].at.upto.value, chosen_[group].rbegin()->first.value));
}

void World::answer(uint64_t id, bool refused, uint64_t value, const Node&) {
  const int64_t delay = recipe_.delay_min_ns + client_random_.exponential(recipe_.delay_mean_ns);
  scheduler_.after(delay, [this, id, refused, value] {
    Request& request = requests_[id];
    if (!request.open) return;
    request.open = false;
    request.answered = true;
    Operation& operation = report_.history[request.operation];
    // A fenced write that is refused has certainly not been done.
    operation.outcome = refused && request.command.lock ? sim::Outcome::Failed : sim::Outcome::Ok;
    if (request.command.kind == Kind::Acquire && !refused) ++report_.grants;
    if (refused && request.command.lock) ++report_.fenced;
    operation.answer = refused ? Answer::Refused : Answer::Done;
    operation.result = value;
    operation.return_ns = now();
    mix(id << 1 | static_cast<uint64_t>(refused));
    ++report_.operations;
    finished(request, refused, value);
  });
}

void World::retry(uint64_t id, int64_t delay) {
  if (!requests_[id].open) return;
  scheduler_.after(delay + client_random_.exponential(delay), [this, id] { client_try(id); });
}

void World::give_up(uint64_t id) {
  Request& request = requests_[id];
  if (!request.open) return;
  request.open = false;
  ++report_.unknown;
  Operation& operation = report_.history[request.operation];
  operation.outcome = request.command.kind == Kind::Read || !(request.may_be_done || request.undecided)
                          ? sim::Outcome::Failed
                          : sim::Outcome::Unknown;
  if (request.command.kind == Kind::Acquire && operation.outcome == sim::Outcome::Failed)
    report_.history[request.operation + 1].outcome = sim::Outcome::Failed;
  if (request.command.kind == Kind::Release) held_[request.client] = {};
  scheduler_.after(client_random_.exponential(recipe_.think_ns),
                   [this, client = request.client] { client_start(client); });
}

// ---- faults ----

void World::partition() {
  const size_t n = nodes_.size();
  const uint64_t kind = fault_random_.below(4);
  std::set<std::pair<uint64_t, uint64_t>> cut;
  const uint64_t sides = fault_random_.next();
  const uint64_t victim = fault_random_.below(n);
  for (uint64_t a = 0; a < n; ++a)
    for (uint64_t b = 0; b < n; ++b) {
      if (a == b) continue;
      const bool crosses = ((sides >> a) & 1) != ((sides >> b) & 1);
      if (kind == 0 && crosses) cut.insert({a + 1, b + 1});                        // two halves
      if (kind == 1 && (a == victim || b == victim)) cut.insert({a + 1, b + 1});   // one alone
      if (kind == 2 && crosses && ((sides >> a) & 1)) cut.insert({a + 1, b + 1});  // one way
      if (kind == 3 && fault_random_.chance(0.3)) cut.insert({a + 1, b + 1});      // any links
    }
  cut_ = cut;
  note("partition of kind {}", kind);
  scheduler_.after(fault_random_.exponential(recipe_.fault_mean_ns), [this, cut] {
    if (cut_ == cut) cut_.clear();
  });
}

bool World::any_damaged() const {
  for (const Node& node : nodes_) {
    if (node.rotten || node.refused) return true;
    for (const Host& host : node.hosts)
      if (host.disk.damaged) return true;
  }
  for (const auto& [id, disks] : graves_)
    if (is_named(id)) return true;
  return false;
}

// By any configuration that may count.
bool World::is_named(ReplicaId id) const {
  for (const Node& node : nodes_)
    for (uint32_t group = 0; group < recipe_.groups; ++group) {
      const auto names = [&](const Config& config) { return config.is_voter(id) || config.is_learner(id); };
      if (std::ranges::any_of(node.hosts[group].at.configs, names)) return true;
      for (const auto& [slot, config] : configs_[group])
        if (slot > node.hosts[group].at.upto && names(config)) return true;
    }
  return false;
}

// What can be tolerated at any time: one node has lost what it acknowledged, where the others are a quorum; two of
// five while no members change.
bool World::bearable(const Node& node) const {
  for (uint32_t group = 0; group < recipe_.groups; ++group)
    for (const Node& other : nodes_)
      if (other.hosts[group].at.upto || other.index < recipe_.members)
        for (const Config& config : other.hosts[group].at.configs) {
          if (!config.is_voter(node.id)) continue;
          size_t whole = 0;
          for (const Config::Voter& voter : config.voters) {
            if (voter.id == node.id || graves_.contains(voter.id)) continue;
            const Node& one = nodes_[index_of(voter.id)];
            whole += one.rotten || one.refused || one.hosts[group].disk.damaged ? 0 : 1;
          }
          if (whole < config.phase1_quorum() || whole < config.phase2_quorum()) return false;
        }
  return recipe_.reconfigure_every_ns == 0 || !any_damaged();
}

void World::damage() {
  Node& node = nodes_[fault_random_.below(nodes_.size())];
  if (!node.up || beyond_ || !bearable(node)) return;
  const uint64_t kind = fault_random_.below(10);
  if (kind == 0) return lose_disk(node);
  if (!node.log) {
    crash(node);
    for (Host& host : node.hosts) {
      if (host.disk.records.empty()) continue;
      auto victim = host.disk.records.begin();
      std::advance(victim, fault_random_.below(host.disk.records.size()));
      host.disk.records.erase(victim, fault_random_.chance(0.5) ? std::next(victim) : host.disk.records.end());
      host.disk.damaged = true;
    }
    note("node {} lost records", node.id.value);
    return restart_later(node);
  }
  // At rest, or under a process that goes on.
  const bool stops = fault_random_.chance(0.7);
  if (stops) crash(node);
  const auto what = kind == 1 ? NodeLog::Rot::Both : kind <= 3 ? NodeLog::Rot::Promises : NodeLog::Rot::Log;
  const std::string said = node.log->rot(what, disk_random_);
  node.rotten |= !said.empty();
  note("node {} is damaged: {}", node.id.value, said);
  if (stops) restart_later(node);
}

// The disk is gone for good: the node comes back as another replica, which the members must take in.
void World::lose_disk(Node& node) {
  crash(node);
  std::vector<Disk> disks;
  for (Host& host : node.hosts) disks.push_back(std::exchange(host.disk, {}));
  graves_.emplace(node.id, std::move(disks));
  for (Host& host : node.hosts) host.at = {};
  if (node.log) node.log->lose();
  const ReplicaId next(ids_.rbegin()->first.value + 1);
  note("node {} loses its disk: it is replica {} now", node.id.value, next.value);
  node.id = next;
  ids_.emplace(next, node.index);
  node.rotten = node.refused = false;
  ++node.life;
  restart_later(node);
}

// What an operator does: a new replica learns, then takes the place of the one that is no more.
void World::replace_dead() {
  for (Node& node : nodes_)
    if (node.refused && !beyond_) lose_disk(node);
  for (uint32_t group = 0; group < recipe_.groups; ++group)
    for (Node& node : nodes_) {
      Host& host = node.hosts[group];
      if (!node.up || !host.replica || host.replica->role() != Role::Leader) continue;
      Config next = host.replica->config();
      const auto gone = [&](ReplicaId id) { return graves_.contains(id); };
      if (std::erase_if(next.learners, gone)) {
        step(node, group, Reconfigure{.tag = 0, .next = next});
        break;
      }
      const auto dead = std::ranges::find_if(next.voters, [&](const Config::Voter& each) { return gone(each.id); });
      if (dead == next.voters.end()) break;
      const ReplicaId fresh = nodes_[index_of(dead->id)].id;
      if (next.is_voter(fresh)) {
        next.voters.erase(dead);
      } else if (next.is_learner(fresh)) {
        std::erase(next.learners, fresh);
        dead->id = fresh;
      } else {
        next.learners.push_back(fresh);
      }
      note("group {}: replica {} is to take a place that is empty", group, fresh.value);
      step(node, group, Reconfigure{.tag = 0, .next = next});
      break;
    }
}

// More than can be borne: whatever is answered after it must be right all the same.
void World::ruin() {
  beyond_ = true;
  note("a majority is damaged");
  const uint64_t spared = fault_random_.below(recipe_.members);
  const bool all = fault_random_.chance(0.3);
  for (Node& node : nodes_) {
    if (!node.up || (node.index == spared && !all)) continue;
    const bool stops = fault_random_.chance(0.9);
    if (stops) crash(node);
    const bool rotten =
        !node.log->rot(fault_random_.chance(0.3) ? NodeLog::Rot::Both : NodeLog::Rot::Log, disk_random_).empty();
    node.rotten |= rotten;
    if (stops) restart_later(node);
  }
}

void World::reconfigure() {
  if (any_damaged()) return;
  const uint32_t group = static_cast<uint32_t>(fault_random_.below(recipe_.groups));
  for (Node& node : nodes_) {
    Host& host = node.hosts[group];
    if (!node.up || !host.replica || host.replica->role() != Role::Leader) continue;
    Config next = host.replica->config();
    const ReplicaId some = nodes_[fault_random_.below(nodes_.size())].id;
    const uint64_t kind = fault_random_.below(3);
    if (kind == 0 && next.is_voter(some) && next.voters.size() > (recipe_.damage_every_ns ? 3u : 2u)) {
      std::erase_if(next.voters, [&](const Config::Voter& voter) { return voter.id == some; });
      if (fault_random_.chance(0.5)) next.learners.push_back(some);
    } else if (kind == 1 && next.is_learner(some)) {
      std::erase(next.learners, some);
      next.voters.push_back({.id = some});
      if (next.voters.size() > recipe_.members) next.voters.erase(next.voters.begin());
    } else if (!next.is_voter(some) && !next.is_learner(some)) {
      next.learners.push_back(some);
    } else {
      return;
    }
    note("node {} group {} proposes a configuration of {} voters, {} learners", node.id.value, group,
         next.voters.size(), next.learners.size());
    step(node, group, Reconfigure{.tag = 0, .next = next});
    return;
  }
}

void World::start_faults() {
  const auto every = [&](int64_t mean, std::function<void()> fault) {
    if (mean == 0) return;
    const auto loop = std::make_shared<std::function<void()>>();
    *loop = [this, mean, fault, loop] {
      if (!faults_) return;
      fault();
      scheduler_.after(fault_random_.exponential(mean) + 1, *loop);
    };
    scheduler_.after(fault_random_.exponential(mean) + 1, *loop);
  };
  const auto anyone = [this]() -> Node& { return nodes_[fault_random_.below(nodes_.size())]; };
  every(recipe_.partition_every_ns, [this] { partition(); });
  every(recipe_.crash_every_ns, [this, anyone] {
    Node& node = anyone();
    if (!node.up) return;
    crash(node);
    restart_later(node);
  });
  every(recipe_.blackout_every_ns, [this] {
    for (Node& node : nodes_)
      if (node.up) {
        crash(node, NodeLog::End::PowerCut);
        restart_later(node);
      }
  });
  every(recipe_.damage_every_ns, [this] { damage(); });
  every(recipe_.damage_every_ns ? 300'000'000 : 0, [this] { replace_dead(); });
  every(recipe_.disk_error_every_ns, [this, anyone] {
    if (Node& node = anyone(); node.log) node.log->fail_soon(disk_random_);
  });
  every(recipe_.disk_full_every_ns, [this, anyone] {
    Node& node = anyone();
    if (!node.log) return;
    node.log->set_full(true);
    scheduler_.after(fault_random_.exponential(recipe_.fault_mean_ns), [&node] { node.log->set_full(false); });
  });
  every(recipe_.pause_every_ns, [this, anyone] {
    Node& node = anyone();
    node.paused_until = now() + fault_random_.exponential(recipe_.fault_mean_ns);
    note("node {} pauses", node.id.value);
  });
  every(recipe_.slow_disk_every_ns,
        [this, anyone] { anyone().slow_disk_until = now() + fault_random_.exponential(recipe_.fault_mean_ns); });
  every(recipe_.rate_every_ns, [this, anyone] {
    Node& node = anyone();
    node.clock_local = local(node).ns;
    node.clock_at = now();
    const double worst = recipe_.clock_drift_ppm / 1e6;
    node.rate = fault_random_.chance(0.5) ? 1 + (fault_random_.chance(0.5) ? worst : -worst)
                                          : 1 + worst * (2 * fault_random_.unit() - 1);
    for (uint32_t group = 0; group < recipe_.groups; ++group) {
      node.hosts[group].wakeup = INT64_MAX;
      arm(node, group);
    }
  });
  every(recipe_.resign_every_ns, [this] {
    const auto group = static_cast<uint32_t>(fault_random_.below(recipe_.groups));
    for (Node& node : nodes_)
      if (node.up && node.hosts[group].replica && node.hosts[group].replica->role() == Role::Leader)
        return step(node, group, Resign{});
  });
  every(recipe_.reconfigure_every_ns, [this] { reconfigure(); });
}

void World::heal() {
  faults_ = false;
  cut_.clear();
  note("faults end");
  for (Node& node : nodes_) {
    node.slow_disk_until = 0;
    node.paused_until = std::min(node.paused_until, now());
    if (node.log) node.log->fail_no_more();
    start(node);
  }
}

// Every group has one leader, and all its members have chosen all that is chosen.
bool World::at_rest() {
  for (uint32_t group = 0; group < recipe_.groups; ++group) {
    const Node* leader = nullptr;
    for (const Node& node : nodes_)
      if (const Host& host = node.hosts[group]; host.replica && host.replica->role() == Role::Leader &&
                                                (host.replica->may_read(local(node)) || host.replica->resting()))
        leader = &node;
    if (!leader && !recipe_.lease_reads)
      for (const Node& node : nodes_)
        if (node.hosts[group].replica && node.hosts[group].replica->role() == Role::Leader) leader = &node;
    if (!leader) return false;
    const Config& config = leader->hosts[group].replica->config();
    const Slot last = chosen_[group].empty() ? Slot(0) : chosen_[group].rbegin()->first;
    for (const Config::Voter& voter : config.voters)
      if (graves_.contains(voter.id)) return false;
    for (const Node& node : nodes_)
      if (config.is_voter(node.id) && (!node.up || node.hosts[group].at.upto < last)) return false;
  }
  return true;
}

bool World::run_until(int64_t bound, const std::function<bool()>& reached) {
  const int64_t end = now() + bound;
  while (report_.violation.empty() && now() < end && !reached()) {
    const int64_t until = now() + 100'000'000;
    while (scheduler_.step(until) && report_.violation.empty()) {
    }
  }
  return reached();
}

// Nobody who is up has a timer, and every group has a leader that its members follow.
bool World::all_rest() {
  for (uint32_t group = 0; group < recipe_.groups; ++group) {
    size_t leaders = 0;
    for (const Node& node : nodes_) {
      const Host& host = node.hosts[group];
      if (!host.replica || host.replica->role() == Role::Removed || !host.replica->config().epoch) continue;
      // A learner has no timers, and need not know that it rests.
      if (host.replica->config().is_voter(node.id) && !host.replica->resting()) return false;
      if (host.replica->next_wakeup() != kNever) return false;
      if (host.queue && !host.queue->idle()) return false;
      leaders += host.replica->role() == Role::Leader ? 1 : 0;
    }
    if (leaders != 1) return false;
  }
  return true;
}

// With nothing to do all groups rest, and say nothing; whatever is asked then is done, though a leader may have died
// meanwhile; and one that restarts finds its leader without an election.
void World::check_rest() {
  constexpr int64_t kSecond = 1'000'000'000;
  const auto states = [&] {
    std::string text;
    for (const Node& node : nodes_)
      for (uint32_t group = 0; group < recipe_.groups; ++group)
        if (const Host& host = node.hosts[group]; host.replica)
          text += fmt::format("\n  group {} {}", group, host.replica->describe());
    return text;
  };
  run_until(20 * kSecond, [] { return false; });  // slow messages of before may still wake them
  if (!run_until(20 * kSecond, [&] { return all_rest(); })) return violation("groups do not rest:" + states());
  run_until(kSecond, [] { return false; });
  const uint64_t messages = report_.messages;
  run_until(10 * kSecond, [] { return false; });
  if (report_.messages != messages || !all_rest()) return violation("groups that rest are not quiet:" + states());
  // A node that leads, or that does not, is lost; only where the others of each group are enough.
  Node& victim = nodes_[rest_random_.below(nodes_.size())];
  bool spared = rest_random_.chance(0.2) || !victim.up || victim.rotten, leads = false;
  for (uint32_t group = 0; group < recipe_.groups && victim.up; ++group) {
    const Replica& replica = *victim.hosts[group].replica;
    leads |= replica.role() == Role::Leader;
    spared |= replica.config().is_voter(victim.id) && replica.config().voters.size() < 3;
  }
  const uint64_t elections = report_.elections;
  if (!spared) {
    crash(victim);
    run_until(rest_random_.exponential(kSecond), [] { return false; });
    if (!leads && rest_random_.chance(0.5)) {
      start(victim);
      if (!run_until(10 * kSecond, [&] { return all_rest(); }))
        return violation("groups do not rest again when a member has restarted:" + states());
      if (report_.elections != elections) return violation("a member that restarts at rest makes an election");
    }
  }
  const size_t asked = requests_.size();
  recipe_.operations += 2 * recipe_.clients;
  recipe_.client_timeout_ns = 30 * kSecond;
  for (uint64_t client = 1; client <= recipe_.clients; ++client) client_start(client);
  const auto served = [&] {
    return started_ >= recipe_.operations &&
           std::ranges::none_of(requests_, [](const Request& request) { return request.open; });
  };
  run_until(60 * kSecond, served);
  for (size_t i = asked; i < requests_.size(); ++i)
    if (!requests_[i].answered) return violation("a group that rests does not wake for a client:" + states());
  start(victim);
  if (!run_until(30 * kSecond, [&] { return at_rest() && all_rest(); }))
    violation("groups do not rest again:" + states());
}

RunReport World::run() {
  chosen_.resize(recipe_.groups);
  checksums_.resize(recipe_.groups);
  configs_.resize(recipe_.groups);
  Config first{.epoch = 1};
  for (uint32_t i = 0; i < recipe_.members; ++i) first.voters.push_back({.id = ReplicaId(i + 1)});
  nodes_.resize(recipe_.members + recipe_.spares);
  for (uint32_t i = 0; i < nodes_.size(); ++i) {
    Node& node = nodes_[i];
    node.index = i;
    node.id = ReplicaId(i + 1);
    node.clock_local = clock_random_.between(1, 1'000'000'000'000);
    node.rate = 1 + recipe_.clock_drift_ppm / 1e6 * (2 * clock_random_.unit() - 1);
    node.up = false;
    ids_.emplace(node.id, i);
    if (recipe_.journal) node.log = std::make_unique<NodeLog>();
    node.hosts.resize(recipe_.groups);
    for (Host& host : node.hosts)
      if (i < recipe_.members) host.disk.snapshot.meta.configs = {first};
  }
  for (Node& node : nodes_) start(node);
  start_faults();
  for (uint64_t client = 1; client <= recipe_.clients; ++client)
    scheduler_.after(client_random_.exponential(recipe_.think_ns), [this, client] { client_start(client); });

  constexpr int64_t kSecond = 1'000'000'000;
  const auto busy = [&] {
    if (started_ < recipe_.operations) return true;
    return std::ranges::any_of(requests_, [](const Request& request) { return request.open; });
  };
  while (report_.violation.empty() && busy() && now() < 600 * kSecond) {
    if (recipe_.ruin && !beyond_ && started_ > recipe_.operations / 2) ruin();
    scheduler_.step(now() + kSecond);
  }
  if (report_.violation.empty() && busy()) violation("clients are not served");
  heal();
  // Liveness: after the last fault everything comes to rest within a bound.
  const int64_t bound = now() + 30 * kSecond;
  while (report_.violation.empty() && now() < bound && !beyond_ && !at_rest()) {
    if (!graves_.empty() || any_damaged()) replace_dead();
    const int64_t until = now() + kSecond / 10;
    while (scheduler_.step(until) && report_.violation.empty()) {
    }
  }
  if (report_.violation.empty() && !beyond_ && !at_rest()) {
    std::string states;
    for (const Node& node : nodes_)
      for (uint32_t group = 0; group < recipe_.groups && node.up; ++group)
        states += fmt::format("\n  group {} {}", group, node.hosts[group].replica->describe());
    violation("not at rest 30 s after the last fault:" + states);
  }
  if (report_.violation.empty() && recipe_.rest_after_ns && !beyond_) check_rest();
  report_.events = scheduler_.events();
  report_.virtual_ns = now();
  if (report_.violation.empty()) {
    const auto checked = check(report_.history);
    if (!checked)
      violation("history: " + checked.error().message);
    else if (checked->verdict == Verdict::Violation)
      violation(fmt::format("history of key {} is not linearizable", checked->violating_keys[0]));
    else if (checked->verdict == Verdict::Unknown)
      violation("history undecided");
    else if (const std::string stale = check_fencing(report_.history, fenced_); !stale.empty())
      violation(stale);
  }
  return std::move(report_);
}

}  // namespace

Recipe Recipe::draw(uint64_t seed, uint32_t members, Storage storage) {
  Random random(seed, "recipe");
  Recipe recipe;
  recipe.members = members;
  recipe.spares = static_cast<uint32_t>(random.below(3));
  recipe.groups = 1 + static_cast<uint32_t>(random.below(3));
  recipe.clients = 2 + static_cast<uint32_t>(random.below(6));
  recipe.think_ns = random.chance(0.5) ? 2'000'000 : 40'000'000;
  recipe.alpha = random.chance(0.3) ? 2 + static_cast<uint32_t>(random.below(4)) : 32;
  recipe.snapshot_every = 5 + static_cast<uint32_t>(random.below(60));
  recipe.trim_lag_max = random.below(40);
  recipe.grant_ns = random.chance(0.5) ? 200'000'000 : 500'000'000;
  recipe.lease_reads = !random.chance(0.2);
  recipe.clock_error_ppm = recipe.clock_drift_ppm = random.chance(0.5) ? 10'000 : 100'000;
  if (!recipe.lease_reads) recipe.clock_drift_ppm = 600'000;  // only leases rest on clocks
  recipe.loss = random.chance(0.5) ? 0 : random.unit() * 0.1;
  recipe.duplicate = random.chance(0.5) ? 0 : random.unit() * 0.1;
  recipe.slow_message = random.chance(0.5) ? 0 : random.unit() * 0.05;
  recipe.delay_mean_ns = random.chance(0.3) ? 10'000'000 : 500'000;
  recipe.sync_mean_ns = random.chance(0.3) ? 5'000'000 : 300'000;
  const auto every = [&](double chance) -> int64_t {
    return random.chance(chance) ? 100'000'000 + static_cast<int64_t>(random.below(2'000'000'000)) : 0;
  };
  recipe.partition_every_ns = every(0.5);
  recipe.crash_every_ns = every(0.5);
  recipe.pause_every_ns = every(0.4);
  recipe.rate_every_ns = every(0.4);
  recipe.slow_disk_every_ns = every(0.3);
  recipe.resign_every_ns = every(0.3);
  recipe.reconfigure_every_ns = every(0.5) / 2;
  recipe.damage_every_ns = every(0.3);
  recipe.blackout_every_ns = every(0.1);
  recipe.fault_mean_ns = 100'000'000 + static_cast<int64_t>(random.below(1'000'000'000));
  if (random.chance(0.5)) {
    recipe.rest_after_ns = 20'000'000 + static_cast<int64_t>(random.below(400'000'000));
    if (random.chance(0.5)) recipe.think_ns = 400'000'000;
  }
  recipe.forward = Random(seed, "forwarding").chance(0.5);
  if (storage == Storage::Mixed && Random(seed, "storage").chance(0.25)) recipe.use_journal(seed);
  return recipe;
}

void Recipe::use_journal(uint64_t seed) {
  Random random(seed, "journal");
  journal = true;
  const auto every = [&](double chance) -> int64_t {
    return random.chance(chance) ? 100'000'000 + static_cast<int64_t>(random.below(2'000'000'000)) : 0;
  };
  disk_error_every_ns = every(0.3);
  disk_full_every_ns = every(0.2);
  if (!damage_every_ns) damage_every_ns = every(0.3);
  ruin = random.chance(0.05);
}

void Recipe::clocks_beyond_bound() {
  lease_reads = true;
  clock_error_ppm = 10'000;
  clock_drift_ppm = 400'000;
  partition_every_ns = 1'500'000'000;
  rate_every_ns = 300'000'000;
  think_ns = 10'000'000;
  operations = 1500;
  keys = 1;
  locks = 0;
  // Nothing but leaders that are cut off and do not know for how long.
  loss = duplicate = slow_message = 0;
  crash_every_ns = pause_every_ns = slow_disk_every_ns = resign_every_ns = reconfigure_every_ns = 0;
  damage_every_ns = blackout_every_ns = disk_error_every_ns = disk_full_every_ns = rest_after_ns = 0;
  journal = ruin = false;
  delay_mean_ns = sync_mean_ns = 300'000;
  fault_mean_ns = 1'000'000'000;
  grant_ns = 500'000'000;
  groups = 1;
  clients = 8;
}

RunReport run_cluster(const Recipe& recipe, uint64_t seed, Trace trace) { return World(recipe, seed, trace).run(); }

}  // namespace hailstone::sim
