#include "replica/hosted_group.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace hailstone::replica {
namespace {

using paxos::ReplicaId;
using paxos::Time;

/// What a queued proposal costs beside its command.
constexpr uint64_t kProposalBytes = 64;
/// A piece of a snapshot that did not come in that time is asked for again, so often.
constexpr int64_t kPieceNs = 2'000'000'000;
constexpr int kPieceTries = 5;
/// Pieces on their way into the database: one is written while the next one comes.
constexpr size_t kStagingMax = 3;
/// How often a snapshot that the disk had no room for is tried again.
constexpr int64_t kAdoptRetryNs = 200'000'000;
/// Tags of changes of members, apart from the numbers of proposals.
constexpr uint64_t kReconfigureTag = 1ull << 63;

std::unexpected<Error> not_leading(ReplicaId leader) {
  return fail(Code::Unavailable,
              leader ? fmt::format("replica {} leads, not this one", leader.value) : "no replica leads");
}

/// Up to where whoever gets this message knows the log to be chosen.
Slot told_chosen(const paxos::Message& message) {
  if (const auto* accept = std::get_if<paxos::Accept>(&message.body)) return accept->chosen;
  if (const auto* chosen = std::get_if<paxos::Chosen>(&message.body)) return chosen->chosen;
  if (const auto* read = std::get_if<paxos::ReadReply>(&message.body); read && read->ok) return read->index;
  return Slot{};
}

}  // namespace

HostedGroup::HostedGroup(Driver& driver, const paxos::Options& consensus, std::string name, Database& database,
                         StateMachine& machine, const GroupOptions& options, Applier::Pools pools, Logger& logger)
    : driver_(driver),
      consensus_(consensus),
      id_(consensus.group),
      self_(consensus.self),
      name_(std::move(name)),
      options_(options),
      database_(database),
      machine_(machine),
      bulk_(pools.bulk),
      logger_(logger),
      applier_(name_, database, machine, options_, consensus.checksum_every, pools, logger),
      queue_({.group = id_,
              .self = self_,
              .life = consensus.life,
              .resend_ns = 2 * consensus.heartbeat_ns,
              .batch_bytes_max = options_.batch_bytes_max,
              .taken_bytes_max = options_.queue_bytes_max}),
      install_(database),
      source_(database) {}

// ---- any thread ----

Result<void> HostedGroup::refusal(size_t bytes) const {
  if (failed_) {
    const std::lock_guard hold(mutex_);
    if (failure_) return std::unexpected(*failure_);
  }
  if (stopping_) return fail(Code::Unavailable, "group is stopping");
  if (log_full_) return fail(Code::Exhausted, "disk full: the log cannot grow");
  if (bytes > kCommandBytesMax)
    return fail(Code::Invalid, fmt::format("command of {} bytes, at most {}", bytes, kCommandBytesMax));
  const uint64_t unanswered = unanswered_bytes_;
  if (unanswered && unanswered + bytes + kProposalBytes > options_.queue_bytes_max)
    return fail(Code::Unavailable,
                fmt::format("{} bytes of proposals are waiting, at most {}", unanswered, options_.queue_bytes_max));
  return {};
}

void HostedGroup::propose_in(paxos::Ballot leadership, Bytes command, Done done) {
  if (auto refused = refusal(command.size()); !refused) return done(std::unexpected(std::move(refused).error()));
  const uint64_t cost = command.size() + kProposalBytes;
  unanswered_bytes_ += cost;
  Proposal proposal{.command = std::make_shared<const Bytes>(std::move(command)),
                    .done =
                        [this, cost, done = std::move(done)](Result<Bytes> reply) {
                          unanswered_bytes_ -= cost;
                          done(std::move(reply));
                        },
                    .only = leadership};
  bool first;
  {
    const std::lock_guard hold(mutex_);
    first = nothing_asked();
    proposals_.push_back(std::move(proposal));
  }
  if (first) driver_.has_work(*this);
}

// The lease test comes first, with a clock read after the request arrived; then the state is looked at. What was
// acknowledged by this leader was applied here before; what others acknowledged before is applied at lead_slot_.
bool HostedGroup::may_read() const {
  const int64_t end = lease_end_ns_.load(std::memory_order_acquire);
  return end != INT64_MIN && !failed_ && driver_.now().ns < end && applier_.applied().value >= lead_slot_;
}

void HostedGroup::read(ReadDone done) {
  if (may_read()) return done({});
  if (failed_ || stopping_) return done(fail(Code::Unavailable, name_ + ": has stopped"));
  bool first;
  {
    const std::lock_guard hold(mutex_);
    first = nothing_asked();
    reads_.push_back(std::move(done));
  }
  if (first) driver_.has_work(*this);
}

void HostedGroup::wait_applied(Slot slot, int64_t timeout_ns, ReadDone done) {
  if (applier_.applied() >= slot) return done({});
  if (failed_ || stopping_) return done(fail(Code::Unavailable, name_ + ": has stopped"));
  bool first;
  {
    const std::lock_guard hold(mutex_);
    first = nothing_asked();
    waiters_.push_back({slot, {.done = std::move(done), .deadline = driver_.now() + timeout_ns}});
  }
  if (first) driver_.has_work(*this);
}

void HostedGroup::reconfigure(paxos::Config next, std::function<void(Result<void>)> done) {
  driver_.post(*this, [this, next = std::move(next), done = std::move(done)]() mutable {
    if (failed_) return done(fail(Code::Unavailable, name_ + ": has stopped"));
    const uint64_t tag = kReconfigureTag | next_tag_++;
    reconfiguring_.emplace(tag, std::move(done));
    step(paxos::Reconfigure{.tag = tag, .next = std::move(next)});
  });
}

void HostedGroup::resign(ReplicaId to) {
  driver_.post(*this, [this, to] {
    if (!failed_) step(paxos::Resign{.to = to});
  });
}

/// Nobody is made to wait for an operator: what was proposed is done when there is room.
void HostedGroup::log_full(bool full) {
  log_full_ = full;
  if (!full) return;
  applier_.want_flush();  // flushed databases let old segments go
  driver_.post(*this, [this] {
    queue_.answer_flight(
        {Code::Timeout, "disk full: the command waits for room in the log, and is done when there is"});
  });
}

std::optional<Error> HostedGroup::cause() const {
  const std::lock_guard hold(mutex_);
  return cause_;
}

// ---- opening ----

Result<void> HostedGroup::recover(Journal& journal, const std::optional<paxos::Config>& first, bool alone) {
  // A snapshot that was all there when the process ended takes its place now.
  TRY(const Slot completed, install_.completed());
  TRY(paxos::SnapshotMeta at, applier_.load());
  if (completed > at.upto) {
    TRY_DO(journal.append_floor(id_, completed));
    TRY_DO(journal.sync());
    TRY_DO(install_.adopt());
    TRY_DO(machine_.restored(database_, completed));
    TRY(at, applier_.load());
  }
  if (first) {
    applier_.set_first(*first);
    if (at.configs.empty()) at.configs = {*first};
  }
  const JournalGroup kept = journal.group(id_);
  const Slot held = journal.last_held(id_);
  const Slot before = at.upto;
  // What is known to be chosen is applied before anything else: whatever the log holds, where nobody else has a say.
  const Slot chosen = alone ? held : kept.hard.chosen;
  TRY(const Slot reached,
      journal.read(id_, at.upto.next(), chosen, UINT64_MAX, [&](paxos::Record record) -> Result<void> {
        if (at.configs.empty() || !at.advance(record))
          return fail(Code::Corrupt,
                      fmt::format("{}: slot {} does not follow what is applied", name_, record.slot.value));
        // The applier keeps its own place; the first configuration is not in a fresh database.
        return applier_.apply_now(record);
      }));
  TRY_DO(applier_.write_pending());
  if (alone && reached <= chosen && chosen > before)
    return fail(Code::Corrupt, fmt::format("{}: slot {} is missing: the database has applied slot {} and the log goes "
                                           "up to slot {}",
                                           name_, reached.value, before.value, chosen.value));
  if (alone && kept.hard.chosen > at.upto)
    return fail(Code::Corrupt, fmt::format("{}: slot {} is missing: the database has applied slot {} and the log says "
                                           "that all up to slot {} was chosen",
                                           name_, at.upto.next().value, at.upto.value, kept.hard.chosen.value));
  if (alone && at.upto > kept.hard.chosen && at.upto > held && at.upto.value > 0)
    return fail(Code::Corrupt,
                fmt::format("{}: the log ends at slot {}, but the database has applied {}: they do not belong together",
                            name_, std::max(held, kept.hard.chosen).value, at.upto.value));
  paxos::Boot boot;
  boot.hard = kept.hard;
  boot.blind = kept.blind;
  for (Slot slot = std::max(at.upto, kept.floor).next(); slot <= held;) {
    TRY(const Slot gap, journal.read(id_, slot, held, UINT64_MAX, [&](paxos::Record record) -> Result<void> {
      boot.records.push_back(std::move(record));
      return {};
    }));
    slot = gap.next();
  }
  boot.base = at;
  if (const std::string problem = consensus_.problem(); !problem.empty()) return fail(Code::Invalid, problem);
  replica_.emplace(consensus_, std::move(boot), driver_.now());
  logger_.info("group_opened",
               {{"group", name_}, {"applied_slot", at.upto.value}, {"replayed", at.upto.value - before.value}});
  return {};
}

void HostedGroup::start() {
  applier_.start({.applied =
                      [this](Slot slot, uint64_t checksum) {
                        driver_.post(*this, [this, slot, checksum] {
                          if (failed_) return;
                          step(paxos::Applied{.upto = slot, .checksum = checksum});
                          release_reads();
                        });
                      },
                  .flushed =
                      [this](Slot slot) {
                        driver_.post(*this, [this, slot] {
                          if (!failed_) step(paxos::SnapshotTaken{.upto = slot});
                        });
                      },
                  .failed = [this](const Error& error) { driver_.post(*this, [this, error] { fail_with(error); }); }});
}

// ---- the host's thread ----

void HostedGroup::step(paxos::Input input) {
  paxos::Output& output = driver_.output();
  output.clear();
  replica_->step(driver_.now(), std::move(input), output);
  take_out(output);
}

void HostedGroup::tick() {
  const Time now = driver_.now();
  if (replica_->next_wakeup() <= now) step(paxos::Tick{});
  if (fetch_ && fetch_->asked != paxos::kNever && now - fetch_->asked >= kPieceNs) {
    if (++fetch_->unanswered >= kPieceTries)
      end_fetch(false, "no answer");
    else
      ask_for_piece();
  }
  if (fetch_ && fetch_->adopt_again <= now) floor_kept();
  if (next_expiry_ <= now) expire_reads();
  if (source_check_ <= now) {
    const std::lock_guard hold(source_mutex_);
    source_check_ = source_.expire(now.ns) ? now + SnapshotSource::kKeepNs : paxos::kNever;
  }
}

Time HostedGroup::next_wakeup() const {
  if (failed_) return paxos::kNever;
  Time next = std::min({replica_->next_wakeup(), source_check_, next_expiry_, queue_.next_wakeup()});
  if (fetch_ && fetch_->asked != paxos::kNever) next = std::min(next, fetch_->asked + kPieceNs);
  if (fetch_) next = std::min(next, fetch_->adopt_again);
  return next;
}

void HostedGroup::take_requests() {
  std::vector<Proposal> proposals;
  std::vector<ReadDone> reads;
  std::vector<std::pair<Slot, Waiter>> waiters;
  {
    const std::lock_guard hold(mutex_);
    proposals.swap(proposals_);
    reads.swap(reads_);
    waiters.swap(waiters_);
  }
  if (failed_) {
    for (Proposal& each : proposals) each.done(std::unexpected(*failure_));
    for (ReadDone& each : reads) each(std::unexpected(*failure_));
    for (auto& [slot, waiter] : waiters) waiter.done(std::unexpected(*failure_));
    return;
  }
  const Time now = driver_.now();
  for (Proposal& each : proposals) queue_.add(std::move(each.command), std::move(each.done), each.only, now);
  for (ReadDone& each : reads) {
    const uint64_t tag = next_tag_++;
    asked_.emplace(tag, std::move(each));
    step(paxos::Read{.tag = tag});
  }
  if (waiters.empty()) return;
  for (auto& [slot, waiter] : waiters) {
    next_expiry_ = std::min(next_expiry_, waiter.deadline);
    reads_at_.emplace(slot, std::move(waiter));
  }
  release_reads();
  if (!reads_at_.empty() && replica_->role() != paxos::Role::Leader) step(paxos::Propose{});
}

void HostedGroup::on_forward(ReplicaId from, ForwardMessage message) {
  if (!failed_) queue_.receive(from, std::move(message));
}

/// Why nothing may be proposed here now.
std::optional<Error> HostedGroup::no_proposals() {
  if (log_full_) return Error{Code::Exhausted, "disk full: the log cannot grow"};
  if (replica_->role() != paxos::Role::Leader) return {};
  const auto ready = applier_.ready();
  if (ready) return {};
  if (ready.error().code == Code::Exhausted) return ready.error();
  const Error error{Code::Io, ready.error().message};
  fail_with(error);
  return error;
}

void HostedGroup::propose_waiting() {
  if (failed_ || !queue_.due()) return;
  const std::optional<Error> refusal = no_proposals();
  if (failed_) return;
  Proposals::Turn turn = queue_.turn(driver_.now(), *replica_, refusal);
  for (const auto& [to, message] : turn.messages) driver_.send_forward(to, message);
  if (!turn.proposals.empty() || turn.ask)
    step(paxos::Propose{.proposals = std::move(turn.proposals), .time_us = driver_.wall_us()});
}

void HostedGroup::finish_turn() {
  propose_waiting();
  const Time lease = failed_ ? Time{INT64_MIN} : replica_->lease_end();
  // A reader that still sees the former end is before this turn's messages, and so before anybody else's writes.
  if (lease.ns == INT64_MIN) {
    lease_end_ns_.store(lease.ns, std::memory_order_release);
    lead_slot_ = UINT64_MAX;
  } else {
    if (lead_slot_ == UINT64_MAX) lead_slot_ = replica_->read_index().value;
    // Members answer what they forwarded when they have applied it.
    lead_slot_ = std::max<uint64_t>(lead_slot_, queue_.shown().value);
    lease_end_ns_.store(lease.ns, std::memory_order_release);
  }
  leader_ = replica_->leader().value;
}

void HostedGroup::take_out(paxos::Output& output) {
  for (paxos::Message& message : output.messages) {
    // Others may apply, and show, what they are told is chosen before this one has.
    if (const uint64_t slot = told_chosen(message).value; lead_slot_ != UINT64_MAX && slot > lead_slot_)
      lead_slot_ = slot;
    driver_.send(std::move(message));
  }
  for (paxos::Write& write : output.writes) driver_.job().writes.emplace_back(id_, std::move(write));
  finish_outcomes(output);
  if (!output.commits.empty()) {
    std::vector<Applier::Item> items;
    items.reserve(output.commits.size());
    for (paxos::Record& record : output.commits) {
      Done done = queue_.chosen(record);
      items.push_back({.record = std::move(record), .done = std::move(done)});
    }
    applier_.submit(std::move(items));
  }
  for (const paxos::ReadAt& each : output.reads) {
    const auto found = asked_.find(each.tag);
    if (found == asked_.end()) continue;
    ReadDone done = std::move(found->second);
    asked_.erase(found);
    if (!each.ok)
      done(not_leading(each.leader));
    else if (applier_.applied() >= each.index)
      done({});
    else
      reads_at_.emplace(each.index, Waiter{.done = std::move(done), .deadline = paxos::kNever});
  }
  for (paxos::Event& event : std::exchange(output.events, {})) handle(event);
}

void HostedGroup::finish_outcomes(const paxos::Output& output) {
  for (const paxos::Outcome& outcome : output.outcomes) {
    if (!(outcome.tag & kReconfigureTag)) {
      queue_.settle(outcome);
      continue;
    }
    const auto found = reconfiguring_.find(outcome.tag);
    if (found == reconfiguring_.end()) continue;
    Result<void> result;
    switch (outcome.result) {
      case paxos::Outcome::Result::Chosen: break;
      case paxos::Outcome::Result::NotLeader: result = not_leading(outcome.leader); break;
      case paxos::Outcome::Result::Busy: result = fail(Code::Unavailable, "as much is in flight as may be"); break;
      case paxos::Outcome::Result::Dropped:
        result = fail(Code::Unavailable, "another replica took over: not done");
        break;
      case paxos::Outcome::Result::Unknown:
        result = fail(Code::Timeout, "another replica took over: it may be done, now or later");
        break;
      case paxos::Outcome::Result::Invalid: result = fail(Code::Invalid, outcome.why); break;
    }
    const auto done = std::move(found->second);
    reconfiguring_.erase(found);
    done(std::move(result));
  }
}

void HostedGroup::release_reads() {
  const auto end = reads_at_.upper_bound(applier_.applied());
  std::vector<ReadDone> ready;
  for (auto each = reads_at_.begin(); each != end; ++each) ready.push_back(std::move(each->second.done));
  reads_at_.erase(reads_at_.begin(), end);
  if (reads_at_.empty()) next_expiry_ = paxos::kNever;
  for (ReadDone& each : ready) each({});
}

void HostedGroup::expire_reads() {
  const Time now = driver_.now();
  std::vector<std::pair<Slot, ReadDone>> late;
  next_expiry_ = paxos::kNever;
  for (auto each = reads_at_.begin(); each != reads_at_.end();) {
    if (each->second.deadline <= now) {
      late.emplace_back(each->first, std::move(each->second.done));
      each = reads_at_.erase(each);
    } else {
      next_expiry_ = std::min(next_expiry_, (each++)->second.deadline);
    }
  }
  for (auto& [slot, done] : late)
    done(fail(Code::Timeout,
              fmt::format("{}: slot {} is not applied here, only {}", name_, slot.value, applier_.applied().value)));
}

void HostedGroup::handle(paxos::Event& event) {
  if (const auto* role = std::get_if<paxos::RoleChange>(&event)) {
    logger_.debug("role", {{"group", name_},
                           {"role", paxos::role_name(role->role)},
                           {"round", role->ballot.round},
                           {"leader", role->leader.value}});
  } else if (const auto* trim = std::get_if<paxos::Trim>(&event)) {
    trimmed_ = trim->upto;
    driver_.job().trims.emplace_back(id_, trim->upto);
  } else if (const auto* learn = std::get_if<paxos::ServeLearn>(&event)) {
    driver_.job().serves.emplace_back(id_, *learn);
  } else if (const auto* fetch = std::get_if<paxos::FetchSnapshot>(&event)) {
    begin_fetch(*fetch);
  } else if (std::get_if<paxos::Healed>(&event)) {
    driver_.job().healed.push_back(id_);
  } else if (const auto* fault = std::get_if<paxos::Fault>(&event)) {
    logger_.error("replica_stopped", {{"group", name_}, {"slot", fault->slot.value}, {"why", fault->text}});
    fail_with(Error{Code::Io, fault->text});
  }
  driver_.event(*this, event);
}

// ---- snapshots ----

/// `work` runs where the applier does, `then` on the host's thread with its outcome, if the transfer still goes on.
void HostedGroup::for_fetch(std::function<Result<void>()> work, std::function<void(Result<void>)> then) {
  applier_.run_between(
      [this, number = fetch_->number, work = std::move(work), then = std::move(then)]() -> Result<void> {
        auto done = work();
        driver_.post(*this, [this, number, then, done] {
          if (fetch_ && fetch_->number == number) then(done);
        });
        return {};
      });
}

void HostedGroup::serve(const paxos::ServeLearn& wanted, paxos::Chosen found) {
  if (failed_) return;
  if (found.records.empty()) return offer_snapshot(wanted.to, wanted.first);
  driver_.send({.group = id_, .from = self_, .to = wanted.to, .body = std::move(found)});
}

void HostedGroup::offer_snapshot(ReplicaId to, Slot first) {
  source_check_ = driver_.now() + SnapshotSource::kKeepNs;
  bulk_.post([this, to, first, log_from = trimmed_.next()] {
    const std::lock_guard hold(source_mutex_);
    auto offer = source_.offer(first, log_from, driver_.now().ns);
    if (!offer) return logger_.error("snapshot_unreadable", {{"group", name_}, {"error", offer.error().message}});
    if (!*offer) return;
    driver_.post(*this, [this, to, meta = std::move(**offer)] {
      driver_.send({.group = id_, .from = self_, .to = to, .body = paxos::SnapshotOffer{.meta = meta}});
    });
  });
}

void HostedGroup::send_piece(const SnapshotGet& get) {
  bulk_.post([this, get] {
    const std::lock_guard hold(source_mutex_);
    auto piece = source_.piece(get, driver_.now().ns);
    if (!piece) {
      logger_.error("snapshot_unreadable", {{"group", name_}, {"error", piece.error().message}});
      piece = SnapshotPiece{.group = id_, .upto = get.upto, .after = get.after, .entries = {}, .gone = true};
    }
    driver_.send_snapshot(get.from, *piece);
  });
}

void HostedGroup::on_snapshot(const SnapshotMessage& message) {
  if (failed_) return;
  if (const auto* get = std::get_if<SnapshotGet>(&message))
    send_piece(*get);
  else
    take_piece(std::get<SnapshotPiece>(message));
}

void HostedGroup::begin_fetch(const paxos::FetchSnapshot& wanted) {
  fetch_ = Fetch{.number = ++fetches_, .from = wanted.from, .meta = wanted.meta, .after = {}};
  logger_.info("snapshot_wanted", {{"group", name_}, {"from", wanted.from.value}, {"slot", wanted.meta.upto.value}});
  const auto cursor = std::make_shared<Bytes>();
  for_fetch(
      [this, cursor, meta = wanted.meta]() -> Result<void> {
        TRY(*cursor, install_.begin(meta));
        return {};
      },
      [this, cursor](Result<void> begun) {
        if (!begun) return end_fetch(false, begun.error().message);
        fetch_->after = *cursor;
        fetch_->begun = true;
        ask_for_piece();
      });
}

void HostedGroup::ask_for_piece() {
  fetch_->asked = driver_.now();
  driver_.send_snapshot(fetch_->from,
                        SnapshotGet{.group = id_, .from = self_, .upto = fetch_->meta.upto, .after = fetch_->after});
}

void HostedGroup::take_piece(const SnapshotPiece& piece) {
  if (!fetch_ || !fetch_->begun || fetch_->all || piece.upto != fetch_->meta.upto || piece.after != fetch_->after ||
      fetch_->asked == paxos::kNever)
    return;
  if (piece.gone) return end_fetch(false, "the other holds it no more");
  fetch_->asked = paxos::kNever;
  fetch_->unanswered = 0;
  if (!piece.entries.empty()) fetch_->after = piece.entries.back().first;
  fetch_->all = piece.last;
  ++fetch_->staging;
  for_fetch(
      [this, held = std::make_shared<const SnapshotPiece>(piece)]() -> Result<void> {
        TRY_DO(install_.add(*held));
        return {};
      },
      [this](Result<void> staged) {
        --fetch_->staging;
        if (!staged) return end_fetch(false, staged.error().message);
        if (fetch_->all && fetch_->staging == 0) return complete_fetch();
        if (!fetch_->all && fetch_->asked == paxos::kNever) ask_for_piece();
      });
  if (!fetch_->all && fetch_->staging < kStagingMax) ask_for_piece();
}

void HostedGroup::complete_fetch() {
  for_fetch([this]() -> Result<void> { return install_.complete(); },
            [this](Result<void> complete) {
              if (!complete) return end_fetch(false, complete.error().message);
              // The log gives up what the snapshot replaces, then it takes its place.
              driver_.job().floors.emplace_back(id_, fetch_->meta.upto);
            });
}

void HostedGroup::floor_kept() {
  if (!fetch_) return;
  fetch_->adopt_again = paxos::kNever;
  for_fetch(
      [this, upto = fetch_->meta.upto]() -> Result<void> {
        TRY_DO(install_.adopt());
        TRY_DO(applier_.load());
        return machine_.restored(database_, upto);
      },
      [this](Result<void> adopted) {
        // The log has let go: without the snapshot this replica can't go on.
        if (!adopted && adopted.error().code == Code::Exhausted) {
          fetch_->adopt_again = driver_.now() + kAdoptRetryNs;
          return;
        }
        if (!adopted) return fail_with(adopted.error());
        end_fetch(true, "");
        release_reads();
      });
}

void HostedGroup::end_fetch(bool installed, const std::string& why) {
  const paxos::SnapshotMeta meta = std::exchange(fetch_, std::nullopt)->meta;
  if (installed)
    logger_.info("snapshot_installed", {{"group", name_}, {"slot", meta.upto.value}});
  else
    logger_.warn("snapshot_not_installed", {{"group", name_}, {"slot", meta.upto.value}, {"why", why}});
  if (installed) queue_.snapshot_installed();
  step(paxos::SnapshotInstalled{.meta = meta, .ok = installed});
}

// ---- the end ----

void HostedGroup::fail_with(const Error& error) {
  Error failure = error;
  failure.code = Code::Io;
  {
    const std::lock_guard hold(mutex_);
    if (failure_) return;
    failure_ = failure;
    cause_ = error;
  }
  failed_ = true;
  lease_end_ns_ = INT64_MIN;
  fetch_.reset();
  stop_requests();
  stop_answers();
  driver_.failed(*this, error);
}

/// What was not proposed is refused.
void HostedGroup::stop_requests() {
  std::vector<Proposal> proposals;
  std::vector<ReadDone> reads;
  Error why{Code::Unavailable, "group is stopping"};
  {
    const std::lock_guard hold(mutex_);
    proposals.swap(proposals_);
    reads.swap(reads_);
    for (auto& [slot, waiter] : std::exchange(waiters_, {})) reads.push_back(std::move(waiter.done));
    if (failure_) why = *failure_;
  }
  queue_.refuse_waiting(why);
  for (Proposal& each : proposals) each.done(std::unexpected(why));
  for (auto& [tag, done] : std::exchange(asked_, {})) reads.push_back(std::move(done));
  for (auto& [slot, waiter] : std::exchange(reads_at_, {})) reads.push_back(std::move(waiter.done));
  next_expiry_ = paxos::kNever;
  for (ReadDone& each : reads) each(std::unexpected(why));
}

void HostedGroup::stop_answers() {
  Error why{Code::Timeout, "stopped: it may be done"};
  {
    const std::lock_guard hold(mutex_);
    if (failure_) why = *failure_;
  }
  queue_.answer_flight(why);
  for (auto& [tag, done] : std::exchange(reconfiguring_, {})) done(std::unexpected(why));
}

bool HostedGroup::at_rest() const {
  if (failed_) return true;
  const std::lock_guard hold(mutex_);
  return proposals_.empty() && queue_.idle();
}

}  // namespace hailstone::replica
