#include "cell/bench.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "cell/bench_world.h"

namespace hailstone::cell::bench {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kLeaderLeaseNs = 300 * kMs;
constexpr int64_t kWallAtStartUs = 1'790'000'000'000'000;

}  // namespace

Report run(const Options& options) {
  Report report;
  World(options, report).run();
  return report;
}

World::World(const Options& options, Report& report)
    : options_(options), report_(report), judge_(report), dice_(options.seed) {
  for (size_t i = 0; i < options_.members; ++i) {
    Member& m = members_.emplace_back();
    m.id = MemberId(i + 1);
    m.clock = {1 + static_cast<double>(between(-9'900, 9'900)) / 1e6, between(0, 1'000'000 * kMs)};
  }
  for (size_t i = 0; i < options_.clients; ++i) {
    ClientNode& c = clients_.emplace_back();
    c.index = i;
    c.principal = fmt::format("client{}", i);
    c.clock = {1 + static_cast<double>(between(-9'900, 9'900)) / 1e6, between(0, 1'000'000 * kMs)};
    if (options_.client_mistakes.clock_beyond_the_bound) c.clock.rate *= 0.9;
    client::Options o;
    for (size_t b = 0; b < 8; ++b) o.seed[b] = static_cast<uint8_t>((options_.seed * 1000 + i) >> (8 * b));
    o.lease_ms = static_cast<uint32_t>(2000 + dice_.below(6000));
    o.caching = dice_.one_in(5) ? client::Options::Caching::Off : client::Options::Caching::On;
    o.reopen = client::Options::Reopen::AtOnce;
    c.core = std::make_unique<client::Core>(o, local(c));
  }
}

void World::run() {
  if (dice_.one_in(3)) {
    // A history so short that watches that fall behind meet its end.
    Settings settings;
    settings.history_events_max = 40;
    choose({}, 0, 0, Command{.principal = "", .body = ChangeSettings{settings}}.encode());
  }
  for (Member& m : members_) start(m);
  heartbeat();
  for (ClientNode& c : clients_) {
    c.core->open(local(c));
    act(c);
    watch(c, dice_.one_in(2) ? "/" : "/d", std::nullopt);
    watch(c, "/d/f1", Revision());
    operate(c);
  }
  fault();
  check_deadlines();
  while (scheduler_.now() < options_.run_ns && scheduler_.step()) judge_.at(scheduler_.now());
  quiet_ = true;
  cuts_.clear();
  for (size_t a = 0; a < members_.size(); ++a)
    for (size_t b = 0; b < a; ++b) break_link(a, b);
  for (Member& m : members_)
    if (!m.up) start(m);
  const TrueTime until = options_.run_ns + 30'000 * kMs;
  while (scheduler_.now() < until && scheduler_.step()) judge_.at(scheduler_.now());
  for (ClientNode& c : clients_) {
    for (const auto& [tag, watching] : c.watches)
      judge_.watch_ends(watching.prefix, watching.upto.value_or(Revision()));
    if (!c.operations.empty())
      judge_.violation(fmt::format("client {}: {} calls never ended", c.index, c.operations.size()));
    if (c.core->state() != client::Core::State::Connected)
      judge_.violation(fmt::format("client {} has no session long after all faults", c.index));
  }
  for (const Member& m : members_) {
    if (m.applied != log_.size()) judge_.violation(fmt::format("member {} lags long after all faults", m.id.value));
    if (m.front->figures().calls > 0) judge_.violation(fmt::format("member {} has calls left", m.id.value));
    if (m.master->figures().held_commands > 0) judge_.violation(fmt::format("member {} holds commands", m.id.value));
  }
  judge_.finish();
  report_.counts["commands"] = log_.size();
  report_.counts["epochs"] = epoch_;
}

// ---- members ----

bool World::linked(const Member& a, const Member& b) const {
  if (!a.up || !b.up) return false;
  return &a == &b || !cuts_.contains(std::minmax(a.id.value - 1, b.id.value - 1));
}

bool World::has_majority(const Member& m) const {
  const auto n = std::ranges::count_if(members_, [&](const Member& other) { return linked(m, other); });
  return static_cast<size_t>(n) > members_.size() / 2;
}

bool World::may_read(const Member& m) const {
  return leads(m) && m.epoch == epoch_ && scheduler_.now() < lease_until_ && m.applied >= epoch_start_;
}

void World::start(Member& m) {
  m.up = true;
  m.born = epoch_;
  FrontOptions front{.member = m.id, .cell = "bench"};
  front.mistakes = options_.mistakes;
  front.events_unwritten_max = 600;  // small, so that watches fall behind
  front.events_per_piece = 1 + dice_.below(8);
  m.front = std::make_unique<Front>(front);
  MasterOptions master;
  master.mistakes = options_.mistakes;
  m.master = std::make_unique<Master>(master);
  CHECK(m.front->start(local(m), *m.database).has_value());
  m.epoch = 0;
  m.hint = {};
  believe(m);
  apply(m);
  wake(m);
}

void World::crash(Member& m) {
  count("crashes");
  m.up = false;
  ++m.life;
  m.epoch = 0;
  m.proposed.clear();
  for (auto& [id, connection] : std::map(connections_.begin(), connections_.end()))
    if (&members_[connection->member] == &m) {
      ClientNode& c = clients_[connection->client];
      if (c.connection == connection) hang_up(c);
    }
  for (size_t i = 0; i < members_.size(); ++i)
    if (&members_[i] != &m) break_link(i, m.id.value - 1);
}

void World::act(Member& m, Front::Output out) {
  if (const std::string broken = m.front->broken_invariant(); !broken.empty())
    judge_.violation(fmt::format("front {}: {}", m.id.value, broken));
  for (auto& message : out.clients) {
    const auto at = connections_.find(message.connection);
    if (at == connections_.end()) continue;
    to_client(at->second, std::move(message.message), message.then == Front::Output::ToClient::Then::Close);
  }
  for (auto& message : out.members) send(m, message.to, std::move(message.message));
  for (const uint64_t tag : out.read_points) read_point(m, tag);
  wake(m);
}

void World::act(Member& m, Master::Output out) {
  if (const std::string broken = m.master->broken_invariant(); !broken.empty())
    judge_.violation(fmt::format("master {}: {}", m.id.value, broken));
  for (auto& message : out.messages) send(m, message.to, std::move(message.message));
  for (auto& proposal : out.proposals) propose(m, proposal.tag, std::move(proposal.command));
  if (out.read_wanted)
    scheduler_.after(between(5 * kMs, 30 * kMs), [this, &m, life = m.life] {
      if (!m.up || m.life != life) return;
      Master::Output next;
      CHECK(m.master->tick(local(m), view(m), next).has_value());
      act(m, std::move(next));
    });
  wake(m);
}

void World::wake(Member& m) {
  const Time local_at = std::min(m.front->wake(), m.master->wake());
  if (local_at == kNever) return;
  const TrueTime when = local_at.ns < m.clock.offset_ns ? scheduler_.now() : m.clock.when(local_at.ns);
  if (when >= m.wakes_at) return;
  m.wakes_at = std::max(when, scheduler_.now());
  scheduler_.at(m.wakes_at, [this, &m, at = m.wakes_at] {
    if (m.wakes_at != at) return;
    m.wakes_at = INT64_MAX;
    if (!m.up) return;
    Front::Output front;
    Master::Output master;
    CHECK(m.front->tick(local(m), *m.database, front).has_value());
    CHECK(m.master->tick(local(m), view(m), master).has_value());
    act(m, std::move(front));
    act(m, std::move(master));
  });
}

void World::send(Member& from, MemberId to, wire::PeerMessage message) {
  const auto link = std::pair(from.id.value - 1, to.value - 1);
  Member& target = member(to);
  if (!linked(from, target)) return;
  TrueTime& arrives = arrives_[link];
  arrives = std::max(arrives, scheduler_.now() + (from.id == to ? 0 : between(kMs / 10, 3 * kMs)));
  const auto breaks = breaks_[std::minmax(link.first, link.second)];
  scheduler_.at(arrives,
                [this, &target, link, breaks, from_id = from.id, life = target.life, bytes = wire::encode(message)] {
                  if (!target.up || target.life != life || breaks_[std::minmax(link.first, link.second)] != breaks)
                    return;
                  deliver(target, from_id, bytes);
                });
}

void World::deliver(Member& m, MemberId from, const Bytes& bytes) {
  auto message = wire::decode_peer_message(bytes);
  CHECK(message.has_value());
  if (std::holds_alternative<wire::Relay>(*message)) {
    Master::Output out;
    CHECK(m.master->receive(local(m), from, *std::move(message), view(m), out).has_value());
    return act(m, std::move(out));
  }
  Front::Output out;
  m.front->receive(local(m), from, *std::move(message), out);
  act(m, std::move(out));
}

/// What was under way between them is lost.
void World::break_link(size_t a, size_t b) {
  ++breaks_[std::minmax(a, b)];
  for (const auto& [one, other] : {std::pair(a, b), std::pair(b, a)}) {
    Member& m = members_[one];
    scheduler_.after(between(0, 200 * kMs), [this, &m, life = m.life, lost = MemberId(other + 1)] {
      if (!m.up || m.life != life) return;
      Front::Output out;
      m.front->link_lost(local(m), lost, out);
      act(m, std::move(out));
    });
  }
}

void World::cut(std::pair<size_t, size_t> link, int64_t for_ns) {
  link = std::minmax(link.first, link.second);
  const TrueTime until = scheduler_.now() + for_ns;
  cuts_[link] = std::max(cuts_[link], until);
  break_link(link.first, link.second);
  scheduler_.at(until, [this, link, until] {
    const auto at = cuts_.find(link);
    if (at == cuts_.end() || at->second > until) return;
    cuts_.erase(at);
    break_link(link.first, link.second);  // what was sent meanwhile is lost too
    for (const size_t i : {link.first, link.second}) {
      believe(members_[i]);
      apply(members_[i]);
    }
    commit();
  });
}

// ---- the log ----

void World::propose(Member& m, uint64_t tag, Bytes command) {
  const auto later = [&](int64_t delay, Error error) {
    scheduler_.after(delay, [this, &m, life = m.life, tag, error = std::move(error)] {
      outcome(m, life, tag, std::unexpected(error));
    });
  };
  if (dice_.one_in(60)) return later(0, {Code::Unavailable, "the queue is full"});
  if (m.epoch == 0) return later(0, {Code::Unavailable, "another member leads"});
  // One that does not know yet that it was deposed reaches no quorum, until it hears of it.
  if (m.epoch != epoch_) return later(between(0, 2000 * kMs), {Code::Timeout, "deposed"});
  const TrueTime before = pipeline_.empty() ? 0 : pipeline_.back().ready;
  const TrueTime ready = std::max(before, scheduler_.now() + between(kMs, 10 * kMs));
  pipeline_.push_back({m.id, m.life, tag, std::move(command), ready});
  scheduler_.at(ready, [this] { commit(); });
}

void World::outcome(Member& m, uint64_t life, uint64_t tag, hailstone::Result<Bytes> reply) {
  if (!m.up || m.life != life) return;
  Master::Output out;
  CHECK(m.master->outcome(local(m), tag, std::move(reply), view(m), out).has_value());
  act(m, std::move(out));
}

void World::commit() {
  if (!leader_ || !leads(member(leader_)) || !has_majority(member(leader_))) return;
  while (!pipeline_.empty() && pipeline_.front().ready <= scheduler_.now()) {
    const Proposal next = std::move(pipeline_.front());
    pipeline_.pop_front();
    choose(next.member, next.life, next.tag, next.command);
  }
}

void World::choose(MemberId proposer, uint64_t life, uint64_t tag, const Bytes& command) {
  log_.push_back(command);
  if (proposer && member(proposer).life == life) member(proposer).proposed[log_.size() - 1] = tag;
  for (const SessionId id : judge_.chosen(command)) expired(id);
  for (Member& m : members_) {
    const int64_t lag = m.id == leader_    ? between(0, kMs)
                        : dice_.one_in(20) ? between(0, 300 * kMs)
                                           : between(0, 10 * kMs);
    scheduler_.after(lag, [this, &m] { apply(m); });
  }
}

void World::apply(Member& m) {
  if (!m.up || (leader_ && m.id != leader_ && !linked(m, member(leader_)))) return;
  if (m.id == leader_ && !has_majority(m)) return;
  const size_t before = m.applied;
  // Some of what there is: a member is somewhere within it when it is asked.
  const size_t upto =
      m.id == leader_ || dice_.one_in(2) ? log_.size() : m.applied + dice_.below(log_.size() - m.applied + 1);
  std::vector<std::pair<uint64_t, Bytes>> replies;
  for (; m.applied < upto; ++m.applied) {
    replica::Batch batch;
    auto reply = m.machine.apply(Slot(m.applied + 1), log_[m.applied], *m.database, batch);
    CHECK(reply.has_value());
    CHECK(m.database->write(batch).has_value());
    if (const auto mine = m.proposed.find(m.applied); mine != m.proposed.end()) {
      replies.emplace_back(mine->second, *std::move(reply));
      m.proposed.erase(mine);
    }
  }
  if (m.applied < log_.size()) scheduler_.after(between(kMs, 20 * kMs), [this, &m] { apply(m); });
  if (m.applied == before) return;
  for (auto& [tag, reply] : replies) outcome(m, m.life, tag, std::move(reply));
  Front::Output out;
  m.front->applied();
  CHECK(m.front->tick(local(m), *m.database, out).has_value());
  act(m, std::move(out));
}

void World::read_point(Member& m, uint64_t tag) {
  const auto reach = [this, &m, life = m.life, tag](Result<void> reached) {
    if (!m.up || m.life != life) return;
    Front::Output out;
    CHECK(m.front->read_point(local(m), tag, std::move(reached), *m.database, out).has_value());
    act(m, std::move(out));
  };
  if (may_read(m)) return scheduler_.after(0, [reach] { reach({}); });
  const bool possible =
      leader_ && leads(member(leader_)) && linked(m, member(leader_)) && has_majority(member(leader_));
  if (!possible) return scheduler_.after(100 * kMs, [reach] { reach(fail(Code::Unavailable, "nobody leads")); });
  // The index is that of some time after the question; it is read at once when it has been applied.
  scheduler_.after(between(kMs, 4 * kMs), [this, &m, reach, life = m.life] {
    const size_t index = log_.size();
    const auto poll = std::make_shared<std::function<void(int)>>();
    *poll = [this, &m, reach, life, index, poll](int tries) {
      if (!m.up || m.life != life) {
        *poll = nullptr;
        return;
      }
      if (m.applied >= index) {
        reach({});
      } else if (tries == 0) {
        reach(fail(Code::Unavailable, "too far behind"));
      } else {
        scheduler_.after(2 * kMs, [poll, tries] { (*poll)(tries - 1); });
      }
    };
    (*poll)(1000);
  });
}

// ---- leaders ----

void World::heartbeat() {
  scheduler_.after(50 * kMs, [this] { heartbeat(); });
  if (leader_ && leads(member(leader_)) && has_majority(member(leader_))) {
    lease_until_ = scheduler_.now() + kLeaderLeaseNs;
    return;
  }
  // A dead leader is known to be dead, perhaps; a silent one has its lease.
  const bool dead = leader_ && !leads(member(leader_)) && dice_.one_in(2);
  if (!dead && scheduler_.now() < lease_until_) return;
  std::vector<MemberId> able;
  for (const Member& m : members_)
    if (m.up && has_majority(m)) able.push_back(m.id);
  if (!able.empty()) elect(member(dice_.one_of(able)));
}

/// What the last leader proposed is chosen up to some place; the rest never will be.
void World::elect(Member& m) {
  count("elections");
  std::deque<Proposal> left = std::exchange(pipeline_, {});
  const size_t chosen = dice_.below(left.size() + 1);
  for (size_t i = 0; i < left.size(); ++i) {
    if (i < chosen) {
      choose(left[i].member, left[i].life, left[i].tag, left[i].command);
      continue;
    }
    Member& proposer = member(left[i].member);
    const Error error =
        dice_.one_in(2) ? Error{Code::Unavailable, "another was chosen"} : Error{Code::Timeout, "unknown"};
    scheduler_.after(between(0, 500 * kMs), [this, &proposer, life = left[i].life, tag = left[i].tag, error] {
      outcome(proposer, life, tag, std::unexpected(error));
    });
  }
  ++epoch_;
  epoch_start_ = log_.size();
  const MemberId former = leader_;
  leader_ = m.id;
  lease_until_ = scheduler_.now() + kLeaderLeaseNs;
  if (former && former != m.id && linked(member(former), m)) believe(member(former));
  for (Member& other : members_)
    if (&other != &m) scheduler_.after(between(0, 100 * kMs), [this, &other] { believe(other); });
  believe(m);
  scheduler_.after(between(0, 5 * kMs), [this, &m] { apply(m); });
}

/// Hears who leads, if it can.
void World::believe(Member& m) {
  if (!m.up || !leader_ || !linked(m, member(leader_))) return;
  if (m.epoch != 0 && (leader_ != m.id || m.epoch != epoch_)) {
    m.epoch = 0;
    Master::Output out;
    m.master->follow(out);
    act(m, std::move(out));
  }
  if (leads(m) && m.epoch == 0) {
    m.epoch = epoch_;
    const auto lead = std::make_shared<std::function<void()>>();
    *lead = [this, &m, lead, life = m.life, epoch = epoch_] {
      if (!m.up || m.life != life || m.epoch != epoch) return;
      apply(m);
      if (!may_read(m)) return scheduler_.after(10 * kMs, [lead] { (*lead)(); });
      Master::Output out;
      // Wall clocks step, by an hour at times.
      const int64_t wall_us = kWallAtStartUs + scheduler_.now() / 1000 + between(-3600, 3600) * 1'000'000;
      CHECK(m.master->lead(local(m), wire::Epoch(epoch), wall_us, view(m), out).has_value());
      act(m, std::move(out));
    };
    scheduler_.after(between(0, 30 * kMs), [lead] { (*lead)(); });
  }
  if (m.hint == leader_) return;
  m.hint = leader_;
  Front::Output out;
  m.front->leader(local(m), m.hint, out);
  act(m, std::move(out));
}

// ---- faults ----

void World::fault() {
  scheduler_.after(between(100 * kMs, 3000 * kMs), [this] { fault(); });
  if (quiet_ || scheduler_.now() < 1000 * kMs) return;
  if (options_.leader_cut_off) {
    if (!leader_ || !cuts_.empty()) return;
    count("isolations");
    const int64_t long_ns = between(4000 * kMs, 8000 * kMs);
    for (const Member& m : members_)
      if (m.id != leader_) cut({leader_.value - 1, m.id.value - 1}, long_ns);
    return;
  }
  const size_t a = dice_.below(members_.size());
  const size_t b = (a + 1 + dice_.below(members_.size() - 1)) % members_.size();
  ClientNode& c = dice_.below(2) < 2 ? clients_[dice_.below(clients_.size())] : clients_[0];
  const int64_t for_ns = options_.gentle ? between(0, 400 * kMs) : between(0, dice_.one_in(3) ? 6000 * kMs : 800 * kMs);
  switch (dice_.below(7)) {
    case 0:
      count("isolations");
      for (size_t i = 0; i < members_.size(); ++i)
        if (i != a) cut({a, i}, for_ns);
      return;
    case 1: count("cuts"); return cut({a, b}, for_ns);
    case 2:
      if (!members_[a].up) return;
      crash(members_[a]);
      return scheduler_.after(for_ns, [this, a] {
        if (!members_[a].up) start(members_[a]);
      });
    case 3:  // the leader steps down, or is elected again
      if (members_[a].up && has_majority(members_[a]) && leader_ && linked(members_[a], member(leader_)))
        elect(members_[a]);
      return;
    case 4: count("resets"); return hang_up(c);
    default:
      count("stalls");
      if (c.connection) c.connection->stalled_until = scheduler_.now() + for_ns;
  }
}

}  // namespace hailstone::cell::bench
