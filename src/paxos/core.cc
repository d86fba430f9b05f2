#include "paxos/core.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace hailstone::paxos {

Core::Core(const Options& options, Boot boot, Time now)
    : options_(options),
      now_(now),
      random_(options.seed * 0x9e3779b97f4a7c15 + options.self.value),
      promised_(boot.hard.promised),
      at_(std::move(boot.base)),
      blind_(boot.blind) {
  CHECK(options_.problem().empty());
  for (const Config& config : at_.configs) CHECK(config.problem().empty());
  round_seen_ = promised_.round;
  applied_ = snapshot_ = trimmed_ = at_.upto;
  tail_first_ = at_.upto.next();
  known_chosen_ = at_.upto;
  known_digest_ = at_.digest;
  if (!at_.configs.empty()) active_ = at_.configs.front();
  was_member_ = is_known_member(options_.self);
  for (Record& record : boot.records) {
    if (record.slot <= at_.upto) continue;
    promised_ = std::max(promised_, record.ballot);
    window_.put(std::move(record), WriteId(0), Slot(0));
  }
  round_seen_ = promised_.round;
  // The hint says how far the records are chosen. Anything unexpected behind it is learned again from others.
  if (boot.hard.chosen > at_.upto) {
    known_chosen_ = boot.hard.chosen;
    known_digest_ = boot.hard.chosen_digest;
  }
  // Grants of the life before may still run, for as long as one lasts. A group of one granted only to itself, and it
  // died.
  const bool alone = at_.configs.size() == 1 && at_.configs[0].voters.size() == 1 && is_live_voter(options_.self);
  no_promise_before_ = boot.no_grants_outstanding || alone ? now : now + options_.grant_ns;
  schedule_candidacy(no_promise_before_);
  if (was_member_ && !is_live_voter(options_.self) && options_.rest_after_ns) stand_at_ = now;
}

void Core::step(Time now, Input& input, Output& output) {
  if (role_ == Role::Stopped) return;
  CHECK(now >= now_);
  now_ = now;
  out_ = &output;
  write_ = nullptr;
  stamped_ = false;
  std::visit(
      [&](auto& in) {
        using In = std::decay_t<decltype(in)>;
        if constexpr (std::is_same_v<In, Receive>) receive(in.message);
        if constexpr (std::is_same_v<In, Propose>) propose(in);
        if constexpr (std::is_same_v<In, Read>) read(in.tag);
        if constexpr (std::is_same_v<In, Persisted>) persisted(in.upto);
        if constexpr (std::is_same_v<In, PersistFailed>)
          stop(Fault::What::StorageFailed, at_.upto, "a write of the log failed");
        if constexpr (std::is_same_v<In, Applied>) applied(in);
        if constexpr (std::is_same_v<In, SnapshotTaken>) {
          snapshot_ = std::max(snapshot_, in.upto);
          trim();
        }
        if constexpr (std::is_same_v<In, SnapshotInstalled>) on_snapshot_installed(in);
        if constexpr (std::is_same_v<In, PeerDown>) {
          peer_down(in.who);
        }
        if constexpr (std::is_same_v<In, Obituary>) on_obituary(in);
        if constexpr (std::is_same_v<In, Reconfigure>) reconfigure(in);
        if constexpr (std::is_same_v<In, Resign>) resign(in.to);
      },
      input);
  if (role_ != Role::Stopped) tick();
  out_ = nullptr;
  write_ = nullptr;
}

// Whatever an input made possible happens in the same step.
void Core::tick() {
  advance_chosen();
  if (role_ == Role::Stopped) return;
  if (candidacy_) candidacy_tick();
  if (role_ == Role::Leader) leader_tick();
  if (ack_due_) acknowledge();
  if (rest_wanted_ && rest_wanted_ == stamp_to_echo_) try_rest();
  learner_tick();
  reads_tick();
  if (role_ == Role::Follower && !candidacy_ && now_ >= stand_at_) stand(true);
  if (!orphans_.empty() && now_ >= orphans_until_) {
    for (const auto& [slot, pending] : orphans_)
      out_->outcomes.push_back(
          {.tag = pending.tag, .result = Outcome::Result::Unknown, .slot = slot, .leader = leader_});
    orphans_.clear();
  }
  if (write_ && hard_dirty_) write_hard();
}

Time Core::next_wakeup() const {
  if (role_ == Role::Stopped) return kNever;
  Time next = kNever;
  const auto at = [&](Time time) { next = std::min(next, time); };
  if (role_ == Role::Follower && !candidacy_) at(stand_at_);
  if (candidacy_) at(candidacy_->retry);
  if (role_ == Role::Leader && resting_) at(call_absent_at_);
  if (role_ == Role::Leader && !resting_) {
    for (const Peer& each : peers_)
      if (!each.rests) at(each.sent.ns == INT64_MIN ? now_ : each.sent + options_.heartbeat_ns);
    if (rest_offer_) at(rest_offer_until_);
    if (peers_.empty() && options_.rest_after_ns) {
      const Time due = active_at_ + options_.rest_after_ns;
      at(due > now_ ? due : now_ + options_.heartbeat_ns);
    }
  }
  if (resigning_) at(resigning_->deadline);
  if (known_chosen_ > at_.upto && !installing_) at(std::max(now_, learn_sent_) + options_.heartbeat_ns);
  for (const auto& [id, forwarded] : forwarded_) at(forwarded.sent + 4 * options_.heartbeat_ns);
  if (!orphans_.empty()) at(orphans_until_);
  return next;
}

Write& Core::write() {
  if (!write_) {
    write_ = &out_->writes.emplace_back();
    write_->id = next_write_;
    next_write_ = next_write_.next();
  }
  return *write_;
}

void Core::write_hard() {
  Write& to = write();
  to.has_hard = true;
  to.hard = {.promised = promised_, .chosen = at_.upto, .chosen_digest = at_.digest};
  hard_dirty_ = false;
}

// I3: only a higher ballot replaces a record (a settled one is the chosen value, whatever its ballot).
void Core::store(Record record, bool settled) {
  if (const Window::Cell* held = window_.find(record.slot); held && !settled)
    CHECK(record.ballot > held->record.ballot);
  Write& to = write();
  to.records.push_back(record);
  // Far behind, what is chosen but not yet complete here may leave memory: it is on the disk, and others have it.
  const Slot far_behind(known_chosen_.value - std::min<uint64_t>(known_chosen_.value, 2ull * options_.alpha));
  window_.put(std::move(record), to.id, std::max(at_.upto, far_behind)).settled = settled;
}

void Core::receive(Message& message) {
  if (message.to != options_.self || message.group != options_.group) return;
  const ReplicaId from = message.from;
  if (!down_.empty()) std::erase(down_, from);
  std::visit(
      [&](auto& body) {
        using B = std::decay_t<decltype(body)>;
        if constexpr (std::is_same_v<B, Probe>) on_probe(from, body);
        if constexpr (std::is_same_v<B, ProbeReply>) on_probe_reply(from, body);
        if constexpr (std::is_same_v<B, Prepare>) on_prepare(from, body);
        if constexpr (std::is_same_v<B, Promise>) on_promise(from, body);
        if constexpr (std::is_same_v<B, Fetch>) on_fetch(from, body);
        if constexpr (std::is_same_v<B, Values>) on_values(from, body);
        if constexpr (std::is_same_v<B, Accept>) on_accept(from, body);
        if constexpr (std::is_same_v<B, Accepted>) on_accepted(from, body);
        if constexpr (std::is_same_v<B, Refuse>) on_refuse(from, body);
        if constexpr (std::is_same_v<B, Learn>) on_learn(from, body);
        if constexpr (std::is_same_v<B, Chosen>) on_chosen(from, body);
        if constexpr (std::is_same_v<B, SnapshotOffer>) on_snapshot_offer(from, body);
        if constexpr (std::is_same_v<B, ReadRequest>) on_read_request(from, body);
        if constexpr (std::is_same_v<B, ReadReply>) on_read_reply(from, body);
        if constexpr (std::is_same_v<B, Handoff>) on_handoff(from, body);
        if constexpr (std::is_same_v<B, Rest>) on_rest(from, body);
        if constexpr (std::is_same_v<B, Resting>) on_resting(from, body);
      },
      message.body);
}

void Core::persisted(WriteId upto) {
  CHECK(upto >= persisted_ && upto < next_write_);
  persisted_ = upto;
  if (following_ && role_ != Role::Leader) ack_due_ = true;
}

// A follower whose grant has run out stands; one whose grant runs waits for that.
void Core::peer_down(ReplicaId who) {
  std::erase_if(down_, [&](ReplicaId id) { return id == who || !is_known_member(id); });
  if (is_known_member(who)) down_.push_back(who);
  if (who != leader_ || role_ != Role::Follower || (now_ < grant_.until && !resting_)) return;
  if (promised_.who == who) others_turn_until_ = Time{INT64_MIN};
  schedule_candidacy(std::max(now_, grant_.until));
}

void Core::stop(Fault::What what, Slot slot, std::string text) {
  if (role_ == Role::Leader) step_down();
  abandon_candidacy();
  fail_reads();
  set_role(Role::Stopped, ReplicaId(0));
  out_->events.push_back(Fault{.what = what, .slot = slot, .text = std::move(text)});
}

void Core::set_role(Role role, ReplicaId leader) {
  if (role == role_ && leader == leader_) return;
  role_ = role;
  leader_ = leader;
  out_->events.push_back(RoleChange{.role = role, .ballot = promised_, .leader = leader});
}

void Core::applied(const Applied& applied) {
  applied_ = std::max(applied_, applied.upto);
  if (options_.checksum_every && applied.upto.value % options_.checksum_every == 0 && applied.upto) {
    checksums_[applied.upto] = applied.checksum;
    while (checksums_.size() > 16) checksums_.erase(checksums_.begin());
  }
  evict_tail();
}

// The chosen log grows by what is here and known to be chosen: records of the ballot whose leader says so; or records
// that link, parent by parent, to the digest that is chosen at known_chosen_ (the digest of a record covers all before
// it).
void Core::advance_chosen() {
  if (role_ == Role::Leader || installing_) return;
  const Slot before = at_.upto;
  bool linked = false;
  while (at_.upto < known_chosen_) {
    Window::Cell* cell = window_.find(at_.upto.next());
    if (!cell) break;
    if (!cell->settled && !linked && cell->record.ballot != known_by_) {
      Digest last = at_.digest;
      Slot slot = at_.upto;
      while (slot < known_chosen_) {
        const Window::Cell* next = window_.find(slot.next());
        if (!next || next->record.parent != last) break;
        last = next->record.digest;
        slot = slot.next();
      }
      if (slot != known_chosen_ || last != known_digest_) break;
      linked = true;
    }
    if (!settle_next(cell->record)) return;
  }
  if (at_.upto > before) after_chosen();
}

// I4, I5: the chosen log is one chain, given out once and in order.
bool Core::settle_next(const Record& record) {
  if (!at_.advance(record)) {
    stop(Fault::What::Diverged, record.slot,
         fmt::format("slot {}: the chosen record does not follow the one before it", record.slot.value));
    return false;
  }
  if (Window::Cell* cell = window_.find(record.slot)) cell->settled = true;
  hard_dirty_ = true;
  out_->commits.push_back(record);
  resolve_outcomes(record);
  return true;
}

void Core::after_chosen() {
  known_chosen_ = std::max(known_chosen_, at_.upto);
  if (known_chosen_ == at_.upto) known_digest_ = at_.digest;
  config_progress();
  evict_tail();
  trim();
}

// `by` is the ballot of the leader that says so: under it one value was proposed for each slot.
void Core::note_chosen(Slot chosen, const Digest& digest, Ballot by) {
  if (chosen < known_chosen_ || chosen <= at_.upto) return;
  known_chosen_ = chosen;
  known_digest_ = digest;
  known_by_ = by;
}

void Core::evict_tail() {
  tail_first_ = std::min(tail_first_, at_.upto.next());
  const Slot keep_from = applied_.next();
  while (tail_first_ < keep_from && tail_first_ <= at_.upto &&
         (resting_ || window_.data_bytes() + window_.count() * sizeof(Window::Cell) > options_.tail_bytes ||
          !window_.find(tail_first_) || tail_first_.value + 2ull * options_.alpha < at_.upto.value)) {
    window_.erase(tail_first_);
    tail_first_ = tail_first_.next();
  }
  if (resting_) window_.shrink();
}

// What must hold between steps, by its number in README.md.
void Core::check_invariants() const {
  CHECK(window_.count() == 0 || !following_ || following_ <= promised_);  // I1
  if (following_)
    for (Slot slot = std::max({base_, known_chosen_, at_.upto}).next(); slot <= held_; slot = slot.next()) {
      const Window::Cell* cell = window_.find(slot);
      CHECK(cell && cell->record.ballot == following_ && durable(cell->write));  // I2
    }
  for (const Slot slot : window_.slots_after(at_.upto)) {
    const Window::Cell* cell = window_.find(slot);
    CHECK(cell->record.ballot <= promised_);  // I3
    CHECK(cell->record.origin <= cell->record.ballot);
  }
  CHECK(at_.upto <= known_chosen_);
  if (role_ == Role::Leader) {
    CHECK(promised_.who == options_.self && at_.upto <= end_);
    for (size_t i = 1; i < pending_.size(); ++i) CHECK(pending_[i - 1].slot < pending_[i].slot);  // I6
  }
  CHECK(!may_read(now_) || (role_ == Role::Leader && own_slot_ <= at_.upto));  // I8
  if (resting_) {                                                              // I14
    CHECK(at_.upto == known_chosen_ && !blind_ && waiting_.empty() && !hard_dirty_);
    for (const Slot slot : window_.slots_after(at_.upto)) CHECK(window_.find(slot)->record.ballot < promised_);
    CHECK(role_ == Role::Leader ? end_ == at_.upto && !pending_config_ && !retiring_epoch_
                                : stand_at_ == kNever && following_ == promised_);
  }
}

void Core::trim() {
  Slot floor = trim_floor_;
  if (snapshot_.value > options_.trim_lag_max) floor = std::max(floor, Slot(snapshot_.value - options_.trim_lag_max));
  const Slot upto = std::min(snapshot_, floor);
  if (upto <= trimmed_) return;
  trimmed_ = upto;
  out_->events.push_back(Trim{.upto = upto});
}

}  // namespace hailstone::paxos
