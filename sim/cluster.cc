#include "sim/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>

#include "base/codec.h"
#include "base/hash.h"
#include "paxos/replica.h"
#include "sim/random.h"
#include "sim/scheduler.h"

namespace hailstone::sim {
namespace {

using namespace paxos;

// ---- the state machine: registers with compare-and-set, each command applied once ----

struct Command {
  uint64_t id = 0;  // of the operation: a repeated proposal applies once
  Kind kind = Kind::Write;
  uint64_t key = 0, expected = 0, value = 0;

  SharedBytes encode() const {
    Bytes bytes;
    Encoder out(bytes);
    out.varint(id);
    out.u8(static_cast<uint8_t>(kind));
    out.varint(key);
    out.varint(expected);
    out.varint(value);
    return std::make_shared<const Bytes>(std::move(bytes));
  }
  static Command decode(ByteView bytes) {
    Decoder in(bytes);
    Command command;
    command.id = in.varint();
    command.kind = static_cast<Kind>(in.u8());
    command.key = in.varint();
    command.expected = in.varint();
    command.value = in.varint();
    return command;
  }
};

struct Reply {
  bool refused = false;
};

struct Registers {
  std::map<uint64_t, uint64_t> values;
  std::map<uint64_t, Reply> done;  // by operation

  Reply apply(const Command& command) {
    if (const auto found = done.find(command.id); found != done.end()) return found->second;
    Reply reply;
    uint64_t& value = values[command.key];
    if (command.kind == Kind::Cas && value != command.expected)
      reply.refused = true;
    else
      value = command.value;
    done.emplace(command.id, reply);
    return reply;
  }
  uint64_t get(uint64_t key) const {
    const auto found = values.find(key);
    return found == values.end() ? 0 : found->second;
  }
  uint64_t checksum() const {
    Bytes bytes;
    Encoder out(bytes);
    for (const auto& [key, value] : values) {
      out.varint(key);
      out.varint(value);
    }
    out.varint(done.size());
    return xxh3(bytes);
  }
};

struct Snapshot {
  SnapshotMeta meta;
  Registers state;
};

class World;

// ---- one replica of one group: what is durable, and the life that runs on it ----

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
  Registers state;
  SnapshotMeta at;  // applied
  std::deque<Write> pending;
  bool syncing = false;
  std::map<uint64_t, uint64_t> proposed;  // tag -> client request
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
};

struct Request {
  uint64_t client = 0;
  uint32_t group = 0;
  bool open = true;
  size_t operation = 0;  // in the history
  Command command;
  uint32_t target = 0, tries = 0;
  int64_t deadline = 0;
  bool may_be_done = false;  // a proposal was taken whose end is not known
};

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

  Node& node_of(ReplicaId id) { return nodes_[id.value - 1]; }

  void boot(Node& node, uint32_t group);
  void crash(Node& node);
  void step(Node& node, uint32_t group, Input input);
  void handle(Node& node, uint32_t group, Output& output);
  void run_sync(Node& node, uint32_t group);
  void apply(Node& node, uint32_t group, const Record& record);
  void arm(Node& node, uint32_t group);
  void transmit(const Message& message);
  bool reachable(ReplicaId from, ReplicaId to) const { return !cut_.contains({from.value, to.value}); }
  void take_snapshot(Node& node, uint32_t group);
  void serve_learn(Node& node, uint32_t group, const ServeLearn& wanted);
  void fetch_snapshot(Node& node, uint32_t group, const FetchSnapshot& wanted);

  void client_start(uint64_t client);
  void client_try(uint64_t request);
  void deliver(uint64_t request, uint32_t target);
  void answer(uint64_t request, bool refused, uint64_t value, const Node& node);
  void retry(uint64_t request, int64_t delay);
  /// Where a client goes that was sent to `leader`, or to nobody.
  uint32_t hinted(ReplicaId leader) {
    return static_cast<uint32_t>(leader ? leader.value - 1 : client_random_.below(nodes_.size()));
  }
  void give_up(uint64_t request);
  bool serve_read(Node& node, uint32_t group, uint64_t request);

  void start_faults();
  void partition();
  void reconfigure();
  bool any_damaged() const;
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
  Random network_, disk_random_, client_random_, fault_random_, clock_random_, rest_random_;
  uint64_t seed_;
  std::vector<Node> nodes_;
  std::set<std::pair<uint64_t, uint64_t>> cut_;
  bool faults_ = true;
  std::vector<Request> requests_;
  uint64_t started_ = 0, next_value_ = 1, next_tag_ = 1;
  RunReport report_;
  // the oracle
  std::vector<std::map<Slot, Digest>> chosen_;       // by group
  std::vector<std::map<Slot, uint64_t>> checksums_;  // of the state
  std::vector<std::map<Slot, Config>> configs_;      // chosen, by slot
};

void World::boot(Node& node, uint32_t group) {
  Host& host = node.hosts[group];
  Disk& disk = host.disk;
  host.pending.clear();
  host.syncing = false;
  host.proposed.clear();
  host.answers.clear();
  host.reads.clear();
  host.reading.clear();
  host.wakeup = INT64_MAX;
  host.state = disk.snapshot.state;
  host.at = disk.snapshot.meta;
  Boot boot;
  boot.hard = disk.hard;
  for (auto& [slot, record] : disk.records) {
    if (slot <= host.at.upto) continue;
    if (slot <= disk.hard.chosen && host.at.advance(record)) {
      if (const auto known = chosen_[group].find(slot); known == chosen_[group].end() || known->second != record.digest)
        violation(fmt::format("node {} group {} slot {}: restarts with a value that was not chosen", node.id.value,
                              group, slot.value));
      if (record.kind == paxos::Kind::Command) host.state.apply(Command::decode(*record.data));
      continue;
    }
    boot.records.push_back(record);
  }
  boot.base = host.at;
  boot.blind = disk.damaged;
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
  host.replica.emplace(options, std::move(boot), local(node));
  step(node, group, Tick{});
}

void World::crash(Node& node) {
  if (!node.up) return;
  node.up = false;
  ++node.life;
  ++report_.crashes;
  note("node {} crashes", node.id.value);
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
    host.pending.clear();
    for (auto& [tag, request] : host.proposed) (void)tag, (void)request;
  }
}

void World::step(Node& node, uint32_t group, Input input) {
  Host& host = node.hosts[group];
  if (!host.replica || !report_.violation.empty()) return;
  Output output;
  host.replica->step(local(node), std::move(input), output);
  host.replica->check_invariants();
  handle(node, group, output);
  arm(node, group);
}

void World::arm(Node& node, uint32_t group) {
  Host& host = node.hosts[group];
  if (!host.replica) return;
  const int64_t at = global(node, host.replica->next_wakeup());
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
  if (message.to.value == 0 || message.to.value > nodes_.size()) return;
  if (!reachable(message.from, message.to) || network_.chance(faults_ ? recipe_.loss : 0)) return;
  const int copies = network_.chance(faults_ ? recipe_.duplicate : 0) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    int64_t delay = recipe_.delay_min_ns + network_.exponential(recipe_.delay_mean_ns);
    if (faults_ && network_.chance(recipe_.slow_message)) delay *= 100;
    auto shared = std::make_shared<Message>(message);
    const std::function<void()> arrive = [this, shared] {
      Node& to = node_of(shared->to);
      if (!to.up || !reachable(shared->from, shared->to)) return;
      if (now() < to.paused_until) {
        scheduler_.at(to.paused_until, [this, shared, &to, life = to.life] {
          if (to.life == life) step(to, static_cast<uint32_t>(shared->group.value), Receive{.message = *shared});
        });
        return;
      }
      step(to, static_cast<uint32_t>(shared->group.value), Receive{.message = *shared});
    };
    scheduler_.after(delay, arrive);
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
    host.pending.push_back(std::move(write));
  }
  if (!host.pending.empty() && !host.syncing) run_sync(node, group);
  for (const Record& record : output.commits) apply(node, group, record);
  for (const paxos::Outcome& outcome : output.outcomes) {
    const auto found = host.proposed.find(outcome.tag);
    if (found == host.proposed.end()) continue;
    const uint64_t request = found->second;
    host.proposed.erase(found);
    switch (outcome.result) {
      case paxos::Outcome::Result::Chosen: {
        // Applied in this very step: its answer is there.
        const auto done = host.state.done.find(requests_[request].command.id);
        if (done == host.state.done.end())
          violation(fmt::format("node {} group {}: chosen, it says, but never applied", node.id.value, group));
        else
          answer(request, done->second.refused, 0, node);
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
    } else if (const auto* learn = std::get_if<ServeLearn>(&event)) {
      serve_learn(node, group, *learn);
    } else if (const auto* fetch = std::get_if<FetchSnapshot>(&event)) {
      fetch_snapshot(node, group, *fetch);
    } else if (std::get_if<Healed>(&event)) {
      host.disk.damaged = false;
    } else if (const auto* fault = std::get_if<Fault>(&event)) {
      violation(fmt::format("node {} group {} stops: {}", node.id.value, group, fault->text));
    }
  }
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
  }
  if (record.time_us < host.at.time_us)
    violation(fmt::format("group {} slot {}: time falls", group, record.slot.value));
  if (!host.at.advance(record))
    return violation(
        fmt::format("group {} slot {}: node {} applies out of order", group, record.slot.value, node.id.value));
  if (record.kind == paxos::Kind::Command) host.state.apply(Command::decode(*record.data));
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

// Durable at once: a copy on write, written elsewhere, renamed.
void World::take_snapshot(Node& node, uint32_t group) {
  Host& host = node.hosts[group];
  host.disk.snapshot = {.meta = host.at, .state = host.state};
  scheduler_.after(1'000'000, [this, &node, group, slot = host.at.upto, life = node.life] {
    if (node.life == life) step(node, group, SnapshotTaken{.upto = slot});
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
    Node& from = node_of(wanted.from);
    const Snapshot& snapshot = from.hosts[group].disk.snapshot;
    const bool ok = from.up && reachable(wanted.from, node.id) && snapshot.meta.upto >= wanted.meta.upto &&
                    !(faults_ && network_.chance(0.1));
    if (ok) {
      Host& host = node.hosts[group];
      host.disk.floor = snapshot.meta.upto;
      host.disk.snapshot = snapshot;
      host.state = snapshot.state;
      host.at = snapshot.meta;
      for (auto read = host.reads.begin(); read != host.reads.end() && read->first <= host.at.upto;
           read = host.reads.erase(read))
        answer(read->second, false, host.state.get(requests_[read->second].command.key), node);
    }
    step(node, group, SnapshotInstalled{.meta = snapshot.meta, .ok = ok});
  });
}

// ---- clients ----

void World::client_start(uint64_t client) {
  if (started_ >= recipe_.operations || !report_.violation.empty()) return;
  ++started_;
  Request request{.client = client, .group = static_cast<uint32_t>(client_random_.below(recipe_.groups))};
  Command& command = request.command;
  command.id = requests_.size() + 1;
  command.key = client_random_.below(recipe_.keys);
  const uint64_t kind = client_random_.below(10);
  command.kind = kind < 4 ? Kind::Read : kind < 8 ? Kind::Write : Kind::Cas;
  if (command.kind != Kind::Read) command.value = next_value_++;
  if (command.kind == Kind::Cas)
    command.expected = client_random_.chance(0.3) ? 0 : 1 + client_random_.below(next_value_);
  request.operation = report_.history.size();
  request.target = static_cast<uint32_t>(client_random_.below(recipe_.members));
  request.deadline = now() + recipe_.client_timeout_ns;
  report_.history.push_back({.client = client,
                             .key = static_cast<uint64_t>(request.group) * 1000 + command.key,
                             .kind = command.kind,
                             .outcome = Outcome::Ok,
                             .value = command.value,
                             .expected = command.expected,
                             .call_ns = now()});
  report_.history.back().outcome = sim::Outcome::Unknown;
  requests_.push_back(request);
  const uint64_t id = requests_.size() - 1;
  client_try(id);
  scheduler_.at(request.deadline, [this, id] { give_up(id); });
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
  const uint64_t tag = next_tag_++;
  host.proposed.emplace(tag, id);
  request.may_be_done = true;
  Propose propose;
  propose.proposals.push_back({.tag = tag, .data = request.command.encode()});
  propose.time_us = local(node).ns / 1000;
  step(node, request.group, std::move(propose));
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
      promised += node_of(voter.id).hosts[group].disk.hard.promised >= ballot ? 1 : 0;
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
    const Disk& disk = node_of(voter.id).hosts[group].disk;
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
    Operation& operation = report_.history[request.operation];
    operation.outcome = sim::Outcome::Ok;
    operation.answer = refused ? Answer::Refused : Answer::Done;
    operation.result = value;
    operation.return_ns = now();
    mix(id << 1 | static_cast<uint64_t>(refused));
    ++report_.operations;
    scheduler_.after(client_random_.exponential(recipe_.think_ns),
                     [this, client = request.client] { client_start(client); });
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
  operation.outcome =
      request.command.kind == Kind::Read || !request.may_be_done ? sim::Outcome::Failed : sim::Outcome::Unknown;
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
  for (const Node& node : nodes_)
    for (const Host& host : node.hosts)
      if (host.disk.damaged) return true;
  return false;
}

void World::reconfigure() {
  if (any_damaged()) return;
  const uint32_t group = static_cast<uint32_t>(fault_random_.below(recipe_.groups));
  for (Node& node : nodes_) {
    Host& host = node.hosts[group];
    if (!node.up || !host.replica || host.replica->role() != Role::Leader) continue;
    Config next = host.replica->config();
    const ReplicaId some(1 + fault_random_.below(nodes_.size()));
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
  const auto restart = [this](Node& node) {
    const int64_t down = fault_random_.chance(0.3) ? 5'000'000 : fault_random_.exponential(recipe_.fault_mean_ns / 2);
    scheduler_.after(down, [this, &node] {
      if (node.up) return;
      node.up = true;
      note("node {} starts again", node.id.value);
      for (uint32_t group = 0; group < recipe_.groups; ++group) boot(node, group);
    });
  };
  every(recipe_.partition_every_ns, [this] { partition(); });
  every(recipe_.crash_every_ns, [this, anyone, restart] {
    Node& node = anyone();
    if (!node.up) return;
    crash(node);
    restart(node);
  });
  every(recipe_.blackout_every_ns, [this, restart] {
    for (Node& node : nodes_)
      if (node.up) {
        crash(node);
        restart(node);
      }
  });
  every(recipe_.damage_every_ns, [this, anyone, restart] {
    // What can be tolerated: at any time one node has lost what it acknowledged, where the others are a quorum.
    if (any_damaged()) return;
    Node& node = anyone();
    for (uint32_t group = 0; group < recipe_.groups; ++group)
      for (const Node& other : nodes_)
        if (other.hosts[group].at.upto || other.index < recipe_.members)
          for (const Config& config : other.hosts[group].at.configs)
            if (config.is_voter(node.id) && config.voters.size() < 3) return;
    if (!node.up) return;
    crash(node);
    for (Host& host : node.hosts) {
      if (host.disk.records.empty()) continue;
      auto victim = host.disk.records.begin();
      std::advance(victim, fault_random_.below(host.disk.records.size()));
      host.disk.records.erase(victim, fault_random_.chance(0.5) ? std::next(victim) : host.disk.records.end());
      host.disk.damaged = true;
    }
    note("node {} lost records", node.id.value);
    restart(node);
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
      if (node.up && node.hosts[group].replica->role() == Role::Leader) return step(node, group, Resign{});
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
    if (node.up) continue;
    node.up = true;
    for (uint32_t group = 0; group < recipe_.groups; ++group) boot(node, group);
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
        if (node.hosts[group].replica->role() == Role::Leader) leader = &node;
    if (!leader) return false;
    const Config& config = leader->hosts[group].replica->config();
    const Slot last = chosen_[group].empty() ? Slot(0) : chosen_[group].rbegin()->first;
    for (const Node& node : nodes_)
      if (config.is_voter(node.id) && node.hosts[group].at.upto < last) return false;
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
  bool spared = rest_random_.chance(0.2), leads = false;
  for (uint32_t group = 0; group < recipe_.groups; ++group) {
    const Replica& replica = *victim.hosts[group].replica;
    leads |= replica.role() == Role::Leader;
    spared |= replica.config().is_voter(victim.id) && replica.config().voters.size() < 3;
  }
  const uint64_t elections = report_.elections;
  if (!spared) {
    crash(victim);
    run_until(rest_random_.exponential(kSecond), [] { return false; });
    if (!leads && rest_random_.chance(0.5)) {
      victim.up = true;
      for (uint32_t group = 0; group < recipe_.groups; ++group) boot(victim, group);
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
    if (requests_[i].open || report_.history[requests_[i].operation].outcome != Outcome::Ok)
      return violation("a group that rests does not wake for a client:" + states());
  if (!victim.up) {
    victim.up = true;
    for (uint32_t group = 0; group < recipe_.groups; ++group) boot(victim, group);
  }
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
    node.hosts.resize(recipe_.groups);
    for (Host& host : node.hosts)
      if (i < recipe_.members) host.disk.snapshot.meta.configs = {first};
  }
  for (Node& node : nodes_)
    for (uint32_t group = 0; group < recipe_.groups; ++group) boot(node, group);
  start_faults();
  for (uint64_t client = 1; client <= recipe_.clients; ++client)
    scheduler_.after(client_random_.exponential(recipe_.think_ns), [this, client] { client_start(client); });

  constexpr int64_t kSecond = 1'000'000'000;
  const auto busy = [&] {
    if (started_ < recipe_.operations) return true;
    return std::ranges::any_of(requests_, [](const Request& request) { return request.open; });
  };
  while (report_.violation.empty() && busy() && now() < 600 * kSecond) scheduler_.step(now() + kSecond);
  if (report_.violation.empty() && busy()) violation("clients are not served");
  heal();
  // Liveness: after the last fault everything comes to rest within a bound.
  const int64_t bound = now() + 30 * kSecond;
  while (report_.violation.empty() && now() < bound && !at_rest()) {
    const int64_t until = now() + kSecond / 10;
    while (scheduler_.step(until) && report_.violation.empty()) {
    }
  }
  if (report_.violation.empty() && !at_rest()) {
    std::string states;
    for (const Node& node : nodes_)
      for (uint32_t group = 0; group < recipe_.groups; ++group)
        states += fmt::format("\n  group {} {}", group, node.hosts[group].replica->describe());
    violation("not at rest 30 s after the last fault:" + states);
  }
  if (report_.violation.empty() && recipe_.rest_after_ns) check_rest();
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
  }
  return std::move(report_);
}

}  // namespace

Recipe Recipe::draw(uint64_t seed, uint32_t members) {
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
  return recipe;
}

void Recipe::clocks_beyond_bound() {
  lease_reads = true;
  clock_error_ppm = 10'000;
  clock_drift_ppm = 400'000;
  partition_every_ns = rate_every_ns = 300'000'000;
  think_ns = 1'000'000;
  keys = 1;
}

RunReport run_cluster(const Recipe& recipe, uint64_t seed, Trace trace) { return World(recipe, seed, trace).run(); }

}  // namespace hailstone::sim
