#include "paxos/scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "base/hash.h"
#include "paxos/replica.h"
#include "paxos/scenario_print.h"

namespace hailstone::paxos {
namespace {

using Words = std::vector<std::string>;

/// What survives a crash.
struct Disk {
  HardState hard;
  std::map<Slot, Record> records;
  SnapshotMeta snapshot;  // the state is what the log up to there gives: the traces need no more
  Slot floor;             // of an installed snapshot: records up to there are not served
  bool damaged = false;
};

struct Node {
  ReplicaId id;
  Disk disk;
  bool slow = false;  // writes wait for `persist`
  uint64_t life = 0;
  // of this life
  std::optional<Replica> replica;
  SnapshotMeta at;  // applied
  std::deque<Write> pending;
  HardState shown;  // last write's
  std::deque<ServeLearn> to_serve;
  std::optional<FetchSnapshot> to_fetch;
  Role role = Role::Follower;
};

class World {
 public:
  ScenarioResult run(std::string_view trace);

 private:
  // commands
  void command(const Words& words);
  void replicas(const Words& words);
  void start(const Words& words);
  void propose(const Words& words);
  void reconfigure(const Words& words);
  void cut(const Words& words);
  void tick(const Words& words);
  void settle(int64_t duration);
  void flight(const Words& words);
  void lose(const Words& words);
  void show(const Words& words);

  // what replicas do
  void step(Node& node, Input input);
  void handle(Node& node, Output& output);
  void transmit(Node& node, const std::vector<Message>& messages);
  void arrive(const Message& message);
  void persist(Node& node);
  void apply(Node& node, const std::vector<Record>& records);
  void serve(Node& node);
  void install(Node& node, bool ok);
  void deliver_all();
  bool unremarkable(Node& node, const Event& event);

  // words
  Node& node(std::string_view word);
  Node& up(std::string_view word);
  std::vector<uint64_t> ids(const Words& words, size_t& at) const;
  uint64_t tag(const std::string& name);

  // lines
  void say(std::string line);     // what is shown in any case
  void detail(std::string line);  // what `settle` leaves out
  void flush_commits();
  void violation(std::string text);

  struct Bad {
    std::string what;
  };

  ScenarioPrinter print_;
  Options options_;
  Config first_;
  std::map<uint64_t, Node> nodes_;
  std::vector<Message> flight_;
  std::set<std::pair<uint64_t, uint64_t>> cut_;
  Time now_{1'000'000'000};
  std::map<uint64_t, std::string> tags_;
  std::map<Slot, Digest> chosen_;
  ScenarioResult result_;
  std::string out_;
  size_t indent_ = 2;
  bool quiet_ = false;
  std::optional<Time> since_;  // lines are prefixed with the time from here
  std::map<uint64_t, size_t> stood_;
  std::map<uint64_t, std::vector<Record>> commits_;  // by replica, of a quiet command
};

// ---- lines ----

void World::say(std::string line) {
  out_.append(indent_, ' ');
  if (since_ && now_ > *since_) out_ += "+" + duration_text(now_ - *since_) + ": ";
  out_ += line + "\n";
}

void World::detail(std::string line) {
  if (!quiet_) say(std::move(line));
}

void World::violation(std::string text) {
  say("!! " + text);
  result_.violations.push_back(std::move(text));
}

void World::flush_commits() {
  std::vector<std::pair<std::string, std::string>> lines;  // what, who
  for (const auto& [id, records] : commits_) {
    const std::string what = print_.records(records, {});
    const auto same = std::ranges::find(lines, what, &std::pair<std::string, std::string>::first);
    if (same == lines.end())
      lines.emplace_back(what, fmt::format("{}", id));
    else
      same->second += fmt::format(", {}", id);
  }
  commits_.clear();
  for (const auto& [what, who] : lines) say(fmt::format("{} commit{} {}", who, who.contains(',') ? "" : "s", what));
}

// ---- words ----

uint64_t number(std::string_view word) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  return error == std::errc() && end == word.data() + word.size() ? value : 0;
}

std::optional<int64_t> duration(std::string_view word) {
  if (word.starts_with('+')) word.remove_prefix(1);
  const std::pair<const char*, int64_t> units[] = {{"ms", 1'000'000}, {"us", 1'000}, {"s", 1'000'000'000}};
  for (const auto& [unit, ns] : units) {
    if (!word.ends_with(unit)) continue;
    const std::string_view digits = word.substr(0, word.size() - std::string_view(unit).size());
    const uint64_t count = number(digits);
    if (count > 0) return static_cast<int64_t>(count) * ns;
  }
  return {};
}

Node& World::node(std::string_view word) {
  const auto found = nodes_.find(number(word));
  if (found == nodes_.end()) throw Bad{fmt::format("there is no replica '{}'", word)};
  return found->second;
}

Node& World::up(std::string_view word) {
  Node& found = node(word);
  if (!found.replica) throw Bad{fmt::format("replica {} is down", word)};
  return found;
}

std::vector<uint64_t> World::ids(const Words& words, size_t& at) const {
  std::vector<uint64_t> list;
  for (; at < words.size() && number(words[at]) > 0; ++at) list.push_back(number(words[at]));
  return list;
}

uint64_t World::tag(const std::string& name) {
  const uint64_t fresh = tags_.size() + 1;
  tags_[fresh] = name;
  return fresh;
}

// ---- what replicas do ----

void World::step(Node& node, Input input) {
  if (!node.replica) return;
  Output output;
  node.replica->step(now_, std::move(input), output);
  node.replica->check_invariants();
  handle(node, output);
}

void World::handle(Node& node, Output& output) {
  const uint64_t self = node.id.value;
  for (Write& write : output.writes) {
    for (const Record& record : write.records) print_.learn(record);
    detail(fmt::format("{} writes #{}: {}", self, write.id.value, print_.write(write, node.shown)));
    node.pending.push_back(std::move(write));
  }
  for (const Event& event : output.events) {
    if (const auto* trim = std::get_if<Trim>(&event))
      node.disk.records.erase(node.disk.records.begin(), node.disk.records.upper_bound(trim->upto));
    if (const auto* serve = std::get_if<ServeLearn>(&event)) node.to_serve.push_back(*serve);
    if (const auto* fetch = std::get_if<FetchSnapshot>(&event)) node.to_fetch = *fetch;
    if (std::get_if<Healed>(&event)) node.disk.damaged = false;
    if (!unremarkable(node, event)) say(print_.event(node.id, event));
  }
  if (!output.commits.empty()) apply(node, output.commits);
  for (const Message& message : output.messages)
    if (const auto* accepted = std::get_if<Accepted>(&message.body);
        accepted && accepted->ballot > node.disk.hard.promised)
      violation(fmt::format("{} acknowledges ballot {}, which is not durable", self, to_text(accepted->ballot)));
  transmit(node, output.messages);
  for (const Outcome& outcome : output.outcomes) {
    static constexpr const char* kNames[] = {"Chosen", "NotLeader", "Busy", "Dropped", "Unknown", "Invalid"};
    std::string line = fmt::format("{} on {}: {}", self, tags_[outcome.tag], kNames[static_cast<int>(outcome.result)]);
    if (outcome.slot) line += fmt::format(" (slot {})", outcome.slot.value);
    if (outcome.result == Outcome::Result::NotLeader)
      line += outcome.leader ? fmt::format(", {} leads", outcome.leader.value) : ", nobody is known to lead";
    if (!outcome.why.empty()) line += ": " + outcome.why;
    say(line);
  }
  for (const ReadAt& read : output.reads) {
    std::string line = fmt::format("{} on read {}: ", self, tags_[read.tag]);
    if (read.ok)
      line += fmt::format("at {}", read.index.value);
    else
      line += read.leader ? fmt::format("not now, {} leads", read.leader.value) : "not now, nobody is known to lead";
    say(line);
  }
  // The state is the history: equal digests, equal states.
  if (!output.commits.empty()) step(node, Applied{.upto = node.at.upto, .checksum = node.at.digest.low});
  if (!node.slow && !node.pending.empty()) persist(node);
}

// `settle` counts attempts to stand, and what comes of those that fail, and shows the rest.
bool World::unremarkable(Node& node, const Event& event) {
  const auto* change = std::get_if<RoleChange>(&event);
  if (!change) return false;
  const Role before = std::exchange(node.role, change->role);
  if (!quiet_) return false;
  if (change->role == Role::Candidate) ++stood_[node.id.value];
  return change->role == Role::Candidate ||
         (change->role == Role::Follower && !change->leader && before != Role::Leader);
}

// Equal messages to several are one line.
void World::transmit(Node& node, const std::vector<Message>& messages) {
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string body = print_.body(messages[i].body);
    std::string to;
    for (size_t j = i;; ++j) {
      const Message& message = messages[j];
      const bool lost = cut_.contains({message.from.value, message.to.value}) || !nodes_.contains(message.to.value);
      to += fmt::format("{}{}{}", to.empty() ? "" : ", ", message.to.value, lost ? " (cut off)" : "");
      if (!lost) flight_.push_back(message);
      if (j + 1 == messages.size() || print_.body(messages[j + 1].body) != body) {
        i = j;
        break;
      }
    }
    detail(fmt::format("{} sends {}: {}", node.id.value, to, body));
  }
}

void World::arrive(const Message& message) {
  Node& to = nodes_.at(message.to.value);
  detail(fmt::format("{} gets {} from {}{}", to.id.value, body_name(message.body), message.from.value,
                     to.replica ? "" : ": it is down"));
  const size_t indent = indent_;
  if (!quiet_) indent_ += 2;
  step(to, Receive{.message = message});
  indent_ = indent;
}

// Steps of their own follow: what is durable may let the replica speak.
void World::persist(Node& node) {
  std::vector<Message> after;
  WriteId last;
  for (; !node.pending.empty(); node.pending.pop_front()) {
    Write& write = node.pending.front();
    for (Record& record : write.records) node.disk.records.insert_or_assign(record.slot, std::move(record));
    if (write.has_hard) node.disk.hard = write.hard;
    for (Message& message : write.after) after.push_back(std::move(message));
    last = write.id;
  }
  if (!last) return;
  transmit(node, after);
  step(node, Persisted{.upto = last});
}

void World::apply(Node& node, const std::vector<Record>& records) {
  for (const Record& record : records) {
    const auto [known, fresh] = chosen_.emplace(record.slot, record.digest);
    if (known->second != record.digest)
      violation(fmt::format("slot {}: {} commits another value than others", record.slot.value, node.id.value));
    if (record.time_us < node.at.time_us) violation(fmt::format("slot {}: time falls", record.slot.value));
    if (!node.at.advance(record))
      violation(fmt::format("{} commits slot {} out of order", node.id.value, record.slot.value));
  }
  if (quiet_) {
    auto& list = commits_[node.id.value];
    list.insert(list.end(), records.begin(), records.end());
  } else {
    say(fmt::format("{} commits {}", node.id.value, print_.records(records, {})));
  }
}

void World::serve(Node& node) {
  for (; !node.to_serve.empty(); node.to_serve.pop_front()) {
    const ServeLearn wanted = node.to_serve.front();
    Chosen answer{.chosen = node.disk.hard.chosen};
    for (Slot slot = wanted.first; slot > node.disk.floor && slot <= std::min(wanted.last, node.disk.hard.chosen);
         slot = slot.next()) {
      const auto found = node.disk.records.find(slot);
      if (found == node.disk.records.end()) break;
      answer.records.push_back(found->second);
    }
    Message message{.group = options_.group, .from = node.id, .to = wanted.to};
    if (!answer.records.empty())
      message.body = std::move(answer);
    else if (wanted.first <= node.disk.snapshot.upto)
      message.body = SnapshotOffer{.meta = node.disk.snapshot};
    else
      continue;
    transmit(node, {message});
  }
}

void World::install(Node& node, bool ok) {
  if (!node.to_fetch) throw Bad{fmt::format("replica {} wants no snapshot", node.id.value)};
  const SnapshotMeta meta = node.to_fetch->meta;
  node.to_fetch.reset();
  if (ok) {
    node.disk.snapshot = node.at = meta;
    node.disk.floor = meta.upto;
  }
  step(node, SnapshotInstalled{.meta = meta, .ok = ok});
}

// ---- commands ----

void World::replicas(const Words& words) {
  size_t at = 1;
  options_.group = GroupId(1);
  options_.alpha = 8;
  options_.checksum_every = 0;
  options_.grant_ns = 1'000'000'000;
  options_.rest_after_ns = 0;
  first_ = {.epoch = 1, .governs_from = Slot(1)};
  const std::vector<uint64_t> voters = ids(words, at);
  for (const uint64_t id : voters) first_.voters.push_back({.id = ReplicaId(id)});
  if (at < words.size() && words[at] == "learners")
    for (const uint64_t id : ids(words, ++at)) first_.learners.emplace_back(id);
  for (; at < words.size(); ++at) {
    const size_t equals = words[at].find('=');
    if (equals == std::string::npos) throw Bad{fmt::format("'{}' is no option", words[at])};
    const std::string key = words[at].substr(0, equals), value = words[at].substr(equals + 1);
    const uint64_t count = number(value);
    if (key == "alpha")
      options_.alpha = static_cast<uint32_t>(count);
    else if (key == "lease")
      options_.lease_reads = value == "on";
    else if (key == "inflight")
      options_.inflight_bytes = count;
    else if (key == "batch")
      options_.batch_bytes = count;
    else if (key == "tail")
      options_.tail_bytes = count;
    else if (key == "trim_lag")
      options_.trim_lag_max = count;
    else if (key == "checksum")
      options_.checksum_every = static_cast<uint32_t>(count);
    else if (key == "grant")
      options_.grant_ns = duration(value).value_or(0);
    else if (key == "rest")
      options_.rest_after_ns = duration(value).value_or(0);
    else if (key == "heartbeat")
      options_.heartbeat_ns = duration(value).value_or(0);
    else if (key == "first")
      for (Config::Voter& voter : first_.voters) voter.priority = voter.id.value == count;
    else if (key == "q1")
      first_.q1 = static_cast<uint8_t>(count);
    else if (key == "q2")
      first_.q2 = static_cast<uint8_t>(count);
    else
      throw Bad{fmt::format("'{}' is no option", words[at])};
  }
  if (!first_.problem().empty()) throw Bad{first_.problem()};
  for (const uint64_t id : voters) nodes_[id];
  for (const uint64_t id : voters) start({"start", fmt::format("{}", id), "clean"});
  for (const ReplicaId id : first_.learners) start({"start", fmt::format("{}", id.value), "clean"});
}

void World::start(const Words& words) {
  const uint64_t id = words.size() > 1 ? number(words[1]) : 0;
  if (!id || nodes_[id].replica) throw Bad{"start ID, of one that is down"};
  Node& node = nodes_[id];
  if (!node.id) {
    node.id = ReplicaId(id);
    node.disk.snapshot.configs = {first_};
  }
  node.pending.clear();
  node.to_serve.clear();
  node.to_fetch.reset();
  node.role = Role::Follower;
  node.at = node.disk.snapshot;
  node.shown = node.disk.hard;
  Boot boot{.hard = node.disk.hard};
  for (const auto& [slot, record] : node.disk.records)
    if (slot > node.at.upto && (slot > node.disk.hard.chosen || !node.at.advance(record)))
      boot.records.push_back(record);
  boot.base = node.at;
  boot.blind = node.disk.damaged;
  boot.no_grants_outstanding = std::ranges::find(words, "clean") != words.end();
  Options options = options_;
  options.self = node.id;
  options.life = LifeId(id * 100 + ++node.life);
  if (!options.problem().empty()) throw Bad{options.problem()};
  node.replica.emplace(options, std::move(boot), now_);
}

void World::propose(const Words& words) {
  Propose request{.time_us = now_.ns / 1000};
  for (size_t i = 2; i < words.size(); ++i) {
    const size_t times = words[i].find('*');
    const Bytes data = times == std::string::npos ? words[i] : Bytes(number(words[i].substr(times + 1)), words[i][0]);
    request.proposals.push_back({.tag = tag(words[i]), .data = std::make_shared<const Bytes>(data)});
  }
  step(up(words.at(1)), std::move(request));
}

void World::reconfigure(const Words& words) {
  Reconfigure request{.tag = tag("the new configuration")};
  for (size_t at = 2; at < words.size();) {
    const std::string& what = words[at++];
    const std::vector<uint64_t> list = ids(words, at);
    if (what == "voters")
      for (const uint64_t id : list) request.next.voters.push_back({.id = ReplicaId(id)});
    else if (what == "learners")
      for (const uint64_t id : list) request.next.learners.emplace_back(id);
    else if (what == "quorums" && list.size() == 2)
      request.next.q1 = static_cast<uint8_t>(list[0]), request.next.q2 = static_cast<uint8_t>(list[1]);
    else
      throw Bad{fmt::format("'{}': voters, learners or quorums", what)};
  }
  step(up(words.at(1)), std::move(request));
}

// cut 3 | cut 1->2 | cut 1 2 from 3 4
void World::cut(const Words& words) {
  size_t at = 1;
  if (const size_t arrow = words.at(1).find("->"); arrow != std::string::npos) {
    cut_.insert({number(words[1].substr(0, arrow)), number(words[1].substr(arrow + 2))});
    return;
  }
  const std::vector<uint64_t> some = ids(words, at);
  std::vector<uint64_t> others;
  if (at < words.size() && words[at] == "from")
    others = ids(words, ++at);
  else
    for (uint64_t id = 1; id < 10; ++id)
      if (std::ranges::find(some, id) == some.end()) others.push_back(id);
  for (const uint64_t a : some)
    for (const uint64_t b : others) cut_.insert({a, b}), cut_.insert({b, a});
}

void World::tick(const Words& words) {
  if (words.size() > 2) {
    const auto forward = duration(words[2]);
    if (!forward) throw Bad{fmt::format("'{}' is no duration", words[2])};
    now_ = now_ + *forward;
  }
  if (words.at(1) != "all") return step(up(words[1]), Tick{});
  for (auto& [id, node] : nodes_) step(node, Tick{});
}

// Everything arrives at once and every disk but the slow ones is fast, until nothing is left to do.
void World::deliver_all() {
  for (size_t steps = 0;; ++steps) {
    if (steps > 10'000) return violation("it never comes to rest");
    for (auto& [id, node] : nodes_) {
      if (node.replica && !node.to_serve.empty()) serve(node);
      if (node.replica && node.to_fetch) install(node, true);
    }
    if (flight_.empty()) return;
    const Message message = flight_.front();
    flight_.erase(flight_.begin());
    arrive(message);
  }
}

void World::settle(int64_t length) {
  quiet_ = true;
  since_ = now_;
  const Time end = now_ + length;
  deliver_all();
  for (size_t steps = 0; length > 0; ++steps) {
    Time next = kNever;
    for (auto& [id, node] : nodes_)
      if (node.replica) next = std::min(next, node.replica->next_wakeup());
    if (next > end) break;
    if (steps > 100'000) {
      violation("it ticks for ever");
      break;
    }
    now_ = std::max(now_, next);
    for (auto& [id, node] : nodes_)
      if (node.replica && node.replica->next_wakeup() <= now_) step(node, Tick{});
    deliver_all();
  }
  now_ = std::max(now_, end);
  since_.reset();
  for (const auto& [id, times] : stood_)
    say(fmt::format("{} stood {}", id, times == 1 ? "once" : fmt::format("{} times", times)));
  stood_.clear();
  flush_commits();
  quiet_ = false;
}

// deliver|drop|duplicate all | FROM->TO [KIND] [first|last], where FROM and TO are ids or *.
void World::flight(const Words& words) {
  const std::string& what = words.at(0);
  std::string from = "*", to = "*", kind;
  size_t at = 1;
  if (words.at(1) != "all") {
    const size_t arrow = words[1].find("->");
    if (arrow == std::string::npos) throw Bad{fmt::format("'{}': all or FROM->TO", words[1])};
    from = words[1].substr(0, arrow), to = words[1].substr(arrow + 2);
  }
  if (++at < words.size() && words[at] != "first" && words[at] != "last") kind = words[at++];
  const std::string pick = at < words.size() ? words[at] : "";
  std::vector<Message> chosen, rest;
  const auto matches = [&](const Message& message) {
    return (from == "*" || number(from) == message.from.value) && (to == "*" || number(to) == message.to.value) &&
           (kind.empty() || kind == body_name(message.body));
  };
  size_t count = 0, seen = 0;
  for (const Message& message : flight_) count += matches(message) ? 1 : 0;
  if (count == 0) throw Bad{"no such message is in flight"};
  for (const Message& message : flight_) {
    const bool match = matches(message);
    seen += match ? 1 : 0;
    const bool picked = match && (pick.empty() || (pick == "first" ? seen == 1 : seen == count));
    if (picked) chosen.push_back(message);
    if (!picked || what == "duplicate") rest.push_back(message);
  }
  flight_ = std::move(rest);
  for (const Message& message : chosen) {
    if (what == "drop")
      say(fmt::format("{} from {} to {} is lost", body_name(message.body), message.from.value, message.to.value));
    else
      arrive(message);
  }
}

// lose 3 5 6: its disk has no slots 5 and 6 any more.
void World::lose(const Words& words) {
  Node& lost = node(words.at(1));
  if (lost.replica) throw Bad{"it must be down"};
  size_t at = 2;
  for (const uint64_t slot : ids(words, at)) {
    lost.disk.records.erase(Slot(slot));
    lost.disk.hard.chosen = std::min(lost.disk.hard.chosen, Slot(slot - 1));
  }
  // The hint names a digest; without the records it is that of what the snapshot has.
  if (lost.disk.hard.chosen <= lost.disk.snapshot.upto)
    lost.disk.hard.chosen = lost.disk.snapshot.upto, lost.disk.hard.chosen_digest = lost.disk.snapshot.digest;
  else
    lost.disk.hard.chosen_digest = lost.disk.records.at(lost.disk.hard.chosen).digest;
  lost.disk.damaged = true;
}

void World::show(const Words& words) {
  for (auto& [id, node] : nodes_) {
    if (words.size() > 1 && number(words[1]) != id) continue;
    if (!node.replica) {
      say(fmt::format("{} is down", id));
      continue;
    }
    std::vector<Record> records;
    for (const auto& [slot, record] : node.disk.records) records.push_back(record);
    say(node.replica->describe());
    if (words.size() > 1)
      say(fmt::format("disk: promise {}, chosen {}, {}", to_text(node.disk.hard.promised), node.disk.hard.chosen.value,
                      records.empty() ? "no records" : print_.records(records, Ballot{})));
  }
}

void World::command(const Words& words) {
  const std::string& verb = words.at(0);
  if (verb == "replicas") return replicas(words);
  if (verb == "start") return start(words);
  if (verb == "propose") return propose(words);
  if (verb == "reconfigure") return reconfigure(words);
  if (verb == "cut") return cut(words);
  if (verb == "heal") return cut_.clear();
  if (verb == "tick") return tick(words);
  if (verb == "deliver" || verb == "drop" || verb == "duplicate") return flight(words);
  if (verb == "lose") return lose(words);
  if (verb == "show") return show(words);
  if (verb == "settle") {
    const auto length = words.size() > 1 ? duration(words[1]) : 0;
    if (!length) throw Bad{fmt::format("'{}' is no duration", words[1])};
    return settle(*length);
  }
  if (verb == "wait") {
    now_ = now_ + duration(words.at(1)).value_or(0);
    return;
  }
  if (verb == "wake") {
    Node& sleeper = up(words.at(1));
    const Time at = sleeper.replica->next_wakeup();
    if (at == kNever) throw Bad{"it sleeps for ever"};
    if (at > now_) say(duration_text(at - now_) + " later");
    now_ = std::max(now_, at);
    return step(sleeper, Tick{});
  }
  if (verb == "read") return step(up(words.at(1)), Read{.tag = tag(words.at(2))});
  if (verb == "may-read") {
    const Node& reader = up(words.at(1));
    return say(reader.replica->may_read(now_) ? fmt::format("yes, at {}", reader.replica->read_index().value) : "no");
  }
  if (verb == "persist") return persist(up(words.at(1)));
  if (verb == "disk") {
    Node& changed = up(words.at(1));
    if (words.at(2) == "fails") return step(changed, PersistFailed{});
    changed.slow = words[2] == "slow";
    if (!changed.slow) persist(changed);
    return;
  }
  if (verb == "crash") {
    node(words.at(1)).replica.reset();
    node(words[1]).slow = false;
    return;
  }
  if (verb == "obituary") {  // obituary 1 to 2 3
    size_t at = 3;
    const Node& dead = node(words.at(1));
    for (const uint64_t id : ids(words, at))
      step(nodes_.at(id), Obituary{.who = dead.id, .life = LifeId(dead.id.value * 100 + dead.life)});
    return;
  }
  if (verb == "handoff") return step(up(words.at(1)), Resign{.to = ReplicaId(words.size() > 2 ? number(words[2]) : 0)});
  if (verb == "down") return step(up(words.at(1)), PeerDown{.who = ReplicaId(number(words.at(2)))});
  if (verb == "snapshot") {
    Node& taker = up(words.at(1));
    taker.disk.snapshot = taker.at;
    say(fmt::format("{} has a snapshot at {}", taker.id.value, taker.at.upto.value));
    return step(taker, SnapshotTaken{.upto = taker.at.upto});
  }
  if (verb == "serve") return serve(up(words.at(1)));
  if (verb == "install") return install(up(words.at(1)), words.size() < 3 || words[2] != "fails");
  throw Bad{fmt::format("'{}' is no command", verb)};
}

ScenarioResult World::run(std::string_view trace) {
  std::istringstream lines{std::string(trace)};
  std::string line;
  while (std::getline(lines, line)) {
    if (!line.empty() && line[0] != '#' && line[0] != '>') continue;  // expected before: written anew
    result_.text += line + "\n";
    if (line.empty() || line[0] == '#') continue;
    ++result_.commands;
    std::istringstream rest(line.substr(1));
    Words words;
    for (std::string word; rest >> word;) words.push_back(word);
    out_.clear();
    indent_ = 2;
    try {
      command(words);
    } catch (const Bad& bad) {
      violation(fmt::format("{}: {}", line, bad.what));
    } catch (const std::out_of_range&) {
      violation(fmt::format("{}: it needs more words", line));
    }
    result_.text += out_;
  }
  return std::move(result_);
}

}  // namespace

ScenarioResult run_scenario(std::string_view trace) { return World().run(trace); }

}  // namespace hailstone::paxos
