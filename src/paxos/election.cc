// Candidacy: asking first (Probe), then phase 1, then deciding what to keep.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "paxos/core.h"

namespace hailstone::paxos {

// Candidates stand one after another, by priority: no random timeouts, no split votes. Only those who failed add
// jitter.
void Core::schedule_candidacy(Time earliest) {
  resting_ = false;
  if (!is_live_voter(options_.self)) {
    stand_at_ = kNever;
    return;
  }
  // Its rank: how many stand before it. Who led last does not count.
  const Config& config = config_naming(options_.self);
  const auto self = std::ranges::find(config.voters, options_.self, &Config::Voter::id);
  const auto before = [&](const Config::Voter& voter) {
    return voter.id != grant_.ballot.who &&
           (voter.priority != self->priority ? voter.priority > self->priority : voter.id < self->id);
  };
  int64_t wait = std::ranges::count_if(config.voters, before) * options_.candidacy_step_ns;
  if (failed_candidacies_ > 0) {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    wait += static_cast<int64_t>(
        random_ % static_cast<uint64_t>(options_.candidacy_step_ns << std::min(failed_candidacies_, 6u)));
  }
  stand_at_ = std::max(earliest, no_promise_before_) + wait;
}

void Core::stand(bool probe) {
  stand_at_ = kNever;
  resting_ = false;
  // Whoever can't stand and hears no leader asks for one: the group may rest.
  if (options_.rest_after_ns && is_known_member(options_.self)) {
    if (!is_live_voter(options_.self) && !leader_) {
      stand_at_ = now_ + options_.grant_ns;
      return poke();
    }
    if (blind_ && now_ >= grant_.until) poke();
  }
  if (!is_live_voter(options_.self) || installing_) return schedule_candidacy(now_ + options_.grant_ns);
  if (blind_ || bound_by_grant(options_.self))
    return schedule_candidacy(std::max(now_ + options_.heartbeat_ns, grant_.until));
  candidacy_ = std::make_unique<Candidacy>();
  candidacy_->ballot = {round_seen_ + 1, options_.self};
  candidacy_->retry =
      now_ + (std::max(4 * options_.candidacy_step_ns, options_.heartbeat_ns) << std::min(failed_candidacies_, 5u));
  candidacy_->would.insert(options_.self);
  set_role(Role::Candidate, ReplicaId(0));
  if (!probe || all_quorums(live(), &Config::phase1_quorum, [&](ReplicaId id) { return id == options_.self; }))
    return prepare();
  for (const ReplicaId id : live_voters())
    if (id != options_.self) send(id, Probe{.ballot = candidacy_->ballot, .chosen = at_.upto});
}

void Core::on_probe(ReplicaId from, const Probe& message) {
  if (is_known_member(from)) {
    if (role_ == Role::Leader && (resting_ || rest_offer_))
      active();
    else if (resting_)
      wake(from == leader_ ? Asker::Leader : Asker::Member);
  }
  ProbeReply reply{.ballot = message.ballot, .promised = promised_, .chosen = known_chosen_};
  if (now_ < grant_.until) reply.grant_left_ns = grant_.until - now_;
  reply.removed = !at_.configs.empty() && !is_known_member(from);
  // One whose log is far behind would have to be taught before it can lead; another of the quorum need not.
  const bool behind = message.chosen.value + options_.alpha < known_chosen_.value;
  const bool others_turn = now_ < others_turn_until_ && promised_.who != from;
  reply.would = !reply.removed && message.ballot > promised_ && !blind_ && now_ >= no_promise_before_ &&
                !bound_by_grant(from) && role_ != Role::Leader && !behind && !others_turn;
  send(from, reply);
}

void Core::on_probe_reply(ReplicaId from, const ProbeReply& message) {
  round_seen_ = std::max(round_seen_, message.promised.round);
  if (message.chosen > heard_chosen_) {
    heard_chosen_ = message.chosen;
    heard_from_ = from;
  }
  if (!candidacy_ || candidacy_->phase != Phase::Probing || message.ballot != candidacy_->ballot) return;
  if (message.would) candidacy_->would.insert(from);
  if (all_quorums(live(), &Config::phase1_quorum, [&](ReplicaId id) { return candidacy_->would.contains(id); }))
    prepare();
}

void Core::prepare() {
  const Ballot ballot{std::max(round_seen_, promised_.round) + 1, options_.self};
  round_seen_ = ballot.round;
  promised_ = ballot;
  following_ = {};
  write_hard();
  promised_write_ = write().id;
  const Time retry =
      now_ + (candidacy_->retry - std::min(now_, candidacy_->retry)) +
      (std::max(4 * options_.candidacy_step_ns, options_.heartbeat_ns) << std::min(failed_candidacies_, 5u));
  *candidacy_ = {.phase = Phase::Preparing, .ballot = ballot, .from = at_.upto.next(), .retry = retry};
  ask_for_promises(live());
}

// A ballot must be durable here before anyone hears of it: another life of this replica would use it again.
void Core::ask_for_promises(std::span<const Config> configs) {
  for (const Config& config : configs)
    for (const Config::Voter& voter : config.voters) {
      if (voter.id == options_.self || !candidacy_->prepared.insert(voter.id).second) continue;
      Prepare message{.ballot = candidacy_->ballot, .from = candidacy_->from};
      if (durable(promised_write_))
        send(voter.id, message);
      else
        send_after_write(voter.id, message);
    }
}

void Core::abandon_candidacy() {
  if (!candidacy_) return;
  candidacy_.reset();
  if (role_ == Role::Candidate) set_role(Role::Follower, ReplicaId(0));
}

void Core::on_promise(ReplicaId from, Promise& message) {
  if (!candidacy_ || candidacy_->phase == Phase::Probing || message.ballot != candidacy_->ballot ||
      message.from != candidacy_->from)
    return;
  Answer answer{.chosen = message.chosen, .chosen_digest = message.chosen_digest};
  for (Record& header : message.headers) {
    header.data = nullptr;
    answer.headers.emplace(header.slot, std::move(header));
  }
  candidacy_->promises.insert_or_assign(from, std::move(answer));
}

void Core::on_refuse(ReplicaId from, const Refuse& message) {
  round_seen_ = std::max(round_seen_, message.promised.round);
  if (message.promised <= promised_ || !is_known_member(from)) return;
  if (role_ == Role::Leader) return step_down();
  if (!candidacy_ || candidacy_->phase == Phase::Probing) return;
  ++failed_candidacies_;
  abandon_candidacy();
  schedule_candidacy(now_ + 2 * options_.heartbeat_ns);
}

void Core::candidacy_tick() {
  if (candidacy_->phase != Phase::Probing) {
    if (durable(promised_write_)) consider_promises();
    if (role_ != Role::Candidate) return;
  }
  if (now_ < candidacy_->retry) return;
  ++failed_candidacies_;
  abandon_candidacy();
  schedule_candidacy(now_);
}

// The longest chain that may have been chosen: in each slot the record of the highest ballot, as long as there is one
// and its parent is the record just kept. A chosen slot implies a quorum that held the whole window up to it at one
// ballot, so what lies behind the first break is not chosen (README.md, "Order").
std::vector<Record> Core::kept_records() const {
  std::vector<Record> kept;
  Digest last = at_.digest;
  for (Slot slot = at_.upto.next();; slot = slot.next()) {
    const Record* best = nullptr;
    const Window::Cell* own = window_.find(slot);
    if (own) best = &own->record;
    for (const auto& [id, answer] : candidacy_->promises)
      if (const auto found = answer.headers.find(slot); found != answer.headers.end())
        if (!best || found->second.ballot > best->ballot) best = &found->second;
    if (!best || best->parent != last) return kept;
    last = best->digest;
    kept.push_back(*best);
    if (!kept.back().data && own && own->record.digest == last) kept.back().data = own->record.data;
    if (const auto found = candidacy_->fetched.find(slot); !kept.back().data && found != candidacy_->fetched.end())
      if (found->second.digest == last) kept.back().data = found->second.data;
  }
}

void Core::consider_promises() {
  const auto has = [&](ReplicaId id) { return id == options_.self || candidacy_->promises.contains(id); };
  ask_for_promises(live());
  if (!all_quorums(live(), &Config::phase1_quorum, has)) return;
  for (const auto& [id, answer] : candidacy_->promises)
    if (answer.chosen > known_chosen_) {
      note_chosen(answer.chosen, answer.chosen_digest, Ballot{});
      learning_from_ = id;
    }
  candidacy_->phase = Phase::Gathering;
  if (at_.upto < known_chosen_) advance_chosen();
  if (at_.upto < known_chosen_ || installing_ || !candidacy_) return;  // learning goes on; see learner_tick
  ask_for_promises(live());
  if (!all_quorums(live(), &Config::phase1_quorum, has)) return;
  std::vector<Record> kept = kept_records();
  std::map<ReplicaId, std::vector<Slot>> fetch;
  std::vector<Config> pending;
  for (const Record& record : kept) {
    if (record.data) {
      Config config;
      if (record.kind == Kind::Config && Config::decode(*record.data, config)) pending.push_back(std::move(config));
      continue;
    }
    for (const auto& [id, answer] : candidacy_->promises)
      if (const auto found = answer.headers.find(record.slot);
          found != answer.headers.end() && found->second.digest == record.digest) {
        fetch[id].push_back(record.slot);
        break;
      }
  }
  if (!fetch.empty()) {
    if (now_ - candidacy_->asked < options_.heartbeat_ns && candidacy_->asked.ns != INT64_MIN) return;
    candidacy_->asked = now_;
    for (auto& [id, slots] : fetch) send(id, Fetch{.ballot = candidacy_->ballot, .slots = std::move(slots)});
    return;
  }
  // A configuration that may have been chosen may govern already.
  ask_for_promises(pending);
  if (!all_quorums(pending, &Config::phase1_quorum, has)) return;
  lead(std::move(kept), std::move(pending));
}

void Core::on_fetch(ReplicaId from, const Fetch& message) {
  Values values{.ballot = message.ballot};
  size_t bytes = 0;
  for (const Slot slot : message.slots) {
    const Window::Cell* cell = window_.find(slot);
    if (!cell || bytes > options_.batch_bytes) continue;
    values.records.push_back(cell->record);
    bytes += cell->record.bytes();
  }
  if (!values.records.empty()) send(from, std::move(values));
}

void Core::on_values(ReplicaId, Values& message) {
  if (!candidacy_ || candidacy_->phase != Phase::Gathering || message.ballot != candidacy_->ballot) return;
  for (Record& record : message.records)
    if (record.data && digest_of(record) == record.digest)
      candidacy_->fetched.insert_or_assign(record.slot, std::move(record));
  candidacy_->asked = Time{INT64_MIN};
}

}  // namespace hailstone::paxos
