#include "replica/host.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "paxos/wire.h"
#include "replica/applier.h"

namespace hailstone::replica {
namespace {

using namespace std::chrono_literals;
using paxos::GroupId;
using paxos::ReplicaId;
using paxos::Time;

/// What a queued proposal costs beside its command.
constexpr uint64_t kProposalBytes = 64;
/// How often a log that found the disk full is tried again.
constexpr auto kRetryInterval = 100ms;
/// One log record is at most so long; a longer write is several.
constexpr uint64_t kEntryBytesMax = 4u << 20;
/// One answer to Learn.
constexpr uint64_t kLearnBytes = 1u << 20;

struct Proposal {
  Bytes command;
  Group::Done done;
  uint64_t cost() const { return command.size() + kProposalBytes; }
};

class HostImpl;

class HostedGroup final : public Group {
 public:
  HostedGroup(HostImpl& host, GroupId id, std::string name, Database& database, StateMachine& machine,
              const GroupOptions& options, Logger& logger)
      : host_(host),
        id_(id),
        name_(name),
        options_(options),
        applier_(std::move(name), database, machine, options, logger) {}

  void propose(Bytes command, Done done) override;
  Slot applied_slot() const override { return applier_.applied(); }
  bool healthy() const override { return !failed_; }
  void drain() override;

  HostImpl& host_;
  const GroupId id_;
  const std::string name_;
  const GroupOptions options_;
  Applier applier_;
  std::atomic<bool> failed_ = false;

  // The host's thread only.
  std::optional<paxos::Replica> replica;
  std::unordered_map<uint64_t, Done> proposed;  // by tag
  paxos::Output output;

  // Guarded by the host's mutex.
  std::deque<Proposal> queue;
  uint64_t unanswered_bytes = 0;  // of proposals: queued, in the log, being applied
  bool leading = false;
  Slot lead_slot;  // chosen when it came to lead: applied, the state is what was acknowledged before
  ReplicaId leader;
  std::optional<Error> failure;  // what later proposals are told
  Error cause;                   // what it failed with
};

/// What the log's thread is to do, in order.
struct LogJob {
  struct Written {
    HostedGroup* group;
    paxos::Write write;
  };
  std::vector<Written> writes;
  std::vector<std::pair<HostedGroup*, Slot>> trims;
  std::vector<HostedGroup*> healed;
  struct Serve {
    HostedGroup* group;
    paxos::ServeLearn wanted;
  };
  std::vector<Serve> serves;
  bool empty() const { return writes.empty() && trims.empty() && healed.empty() && serves.empty(); }
};

class HostImpl final : public Host {
 public:
  HostImpl(Clock& clock, Transport* transport, const HostOptions& options, Logger& logger)
      : clock_(clock), transport_(transport), options_(options), logger_(logger) {}
  ~HostImpl() override { stop(Stop::Abandon); }

  Result<void> recover(disk::Disk& disk) {
    if (!options_.life) {
      const uint64_t seed[3] = {static_cast<uint64_t>(clock_.wall().value),
                                static_cast<uint64_t>(clock_.monotonic_ns()), static_cast<uint64_t>(::getpid())};
      options_.life = paxos::LifeId(xxh3({reinterpret_cast<const char*>(seed), sizeof seed}) | 1);
    }
    TRY(journal_, Journal::open(disk, options_.journal, logger_));
    return {};
  }

  Result<Group*> add_group(GroupId id, Database& database, StateMachine& machine, const GroupOptions& options,
                           const std::optional<paxos::Config>& first) override;
  void start() override;
  void receive(Bytes frame) override {
    post([&] { frames_.push_back(std::move(frame)); });
  }
  void peer_down(ReplicaId who) override {
    post([&] { downs_.push_back(who); });
  }
  Result<void> wait_until_leading(GroupId id, int64_t timeout_ns) override;
  void drain() override { stop(Stop::Drain); }

  void propose(HostedGroup& group, Proposal proposal);

 private:
  enum class Stop : uint8_t { No, Drain, Abandon };
  struct Note {
    HostedGroup* group;
    Slot applied, flushed;
    std::optional<Error> failed;
  };

  template <class Change>
  void post(Change&& change) {
    {
      const std::lock_guard hold(mutex_);
      change();
    }
    wake_.notify_one();
  }
  Time now() const { return {clock_.monotonic_ns()}; }
  Result<void> refusal(const HostedGroup& group, const Proposal& proposal);  // with mutex_ held
  void run();
  void step(HostedGroup& group, paxos::Input input);
  void take_out(HostedGroup& group);
  void handle_event(HostedGroup& group, paxos::Event& event);
  void send(const paxos::Message& message);
  void flush_frames();
  void dispatch();
  void propose_queued(HostedGroup& group);
  void fail_group(HostedGroup& group, const Error& error);
  void run_log();
  Result<void> do_job(LogJob& job);
  Result<void> append_write(HostedGroup& group, const paxos::Write& write);
  bool wait_for_log_room(const Error& error);
  void serve_learn(const LogJob::Serve& serve);
  bool idle();  // with mutex_ held
  void stop(Stop how);

  Clock& clock_;
  Transport* transport_;
  HostOptions options_;
  Logger& logger_;
  std::unique_ptr<Journal> journal_;                        // the log's thread only, once started
  std::map<GroupId, std::unique_ptr<HostedGroup>> groups_;  // unchanged once started

  std::mutex mutex_;  // what other threads bring for the host's; guards the block below
  std::condition_variable wake_, changed_;
  std::vector<Bytes> frames_;
  std::vector<ReplicaId> downs_;
  std::vector<Note> notes_;
  std::vector<LogJob> done_jobs_;
  std::optional<Error> log_failed_;
  bool proposals_ = false;
  bool log_full_ = false;
  uint64_t jobs_out_ = 0;
  Stop stop_ = Stop::No;
  bool log_stop_ = false;

  std::mutex log_mutex_;  // between the host's thread and the log's
  std::condition_variable log_wake_;
  std::vector<LogJob> jobs_;

  // The host's thread only.
  LogJob job_;
  std::map<ReplicaId, std::vector<paxos::Message>> outgoing_;
  uint64_t next_tag_ = 1;
  std::vector<HostedGroup*> touched_;

  std::mutex stop_mutex_;
  std::thread thread_, log_thread_;
};

void HostedGroup::propose(Bytes command, Done done) { host_.propose(*this, {std::move(command), std::move(done)}); }
void HostedGroup::drain() { host_.drain(); }

Result<Group*> HostImpl::add_group(GroupId id, Database& database, StateMachine& machine, const GroupOptions& options,
                                   const std::optional<paxos::Config>& first) {
  const std::string name = fmt::format("group {} in {}", id.value, options_.journal.log.directory);
  auto group = std::make_unique<HostedGroup>(*this, id, name, database, machine, options, logger_);
  TRY(paxos::SnapshotMeta at, group->applier_.load());
  const JournalGroup kept = journal_->group(id);
  const Slot held = journal_->last_held(id);
  const bool alone = first && first->voters.size() == 1 && first->is_voter(options_.self) && !transport_;
  if (first) {
    group->applier_.set_first(*first);
    if (at.configs.empty()) at.configs = {*first};
  }
  const Slot before = at.upto;
  // What is known to be chosen is applied before anything else.
  Result<void> applying;
  TRY(const Slot reached,
      journal_->read(id, at.upto.next(), kept.hard.chosen, UINT64_MAX, [&](paxos::Record record) -> Result<void> {
        if (at.configs.empty() || !at.advance(record))
          return fail(Code::Corrupt,
                      fmt::format("{}: slot {} does not follow what is applied", name, record.slot.value));
        // The applier keeps its own place; the first configuration is not in a fresh database.
        return group->applier_.apply_now(record);
      }));
  if (alone && (reached <= kept.hard.chosen && kept.hard.chosen > at.upto))
    return fail(Code::Corrupt, fmt::format("{}: slot {} is missing: the database has applied slot {} and the log says "
                                           "that all up to slot {} was chosen",
                                           name, reached.value, before.value, kept.hard.chosen.value));
  if (alone && at.upto > kept.hard.chosen && at.upto > held && at.upto.value > 0)
    return fail(Code::Corrupt,
                fmt::format("{}: the log ends at slot {}, but the database has applied {}: they do not belong together",
                            name, std::max(held, kept.hard.chosen).value, at.upto.value));
  paxos::Boot boot;
  boot.hard = kept.hard;
  boot.blind = kept.blind;
  for (Slot slot = std::max(at.upto, kept.floor).next(); slot <= held; slot = slot.next())
    TRY_DO(journal_->read(id, slot, slot, 1, [&](paxos::Record record) -> Result<void> {
      boot.records.push_back(std::move(record));
      return {};
    }));
  boot.base = at;
  paxos::Options consensus = options_.consensus;
  consensus.group = id;
  consensus.self = options_.self;
  consensus.life = options_.life;
  if (const std::string problem = consensus.problem(); !problem.empty()) return fail(Code::Invalid, problem);
  group->replica.emplace(consensus, std::move(boot), now());
  logger_.info("group_opened",
               {{"group", name}, {"applied_slot", at.upto.value}, {"replayed", at.upto.value - before.value}});
  Group* const added = group.get();
  groups_.emplace(id, std::move(group));
  return added;
}

void HostImpl::start() {
  for (auto& [id, group] : groups_) {
    HostedGroup* const each = group.get();
    each->applier_.start(
        {.applied =
             [this, each](Slot slot) {
               post([&] { notes_.push_back({.group = each, .applied = slot, .flushed = {}, .failed = {}}); });
             },
         .flushed =
             [this, each](Slot slot) {
               post([&] { notes_.push_back({.group = each, .applied = {}, .flushed = slot, .failed = {}}); });
             },
         .failed =
             [this, each](const Error& error) {
               post([&] { notes_.push_back({.group = each, .applied = {}, .flushed = {}, .failed = error}); });
             }});
  }
  thread_ = std::thread([this] { run(); });
  log_thread_ = std::thread([this] { run_log(); });
}

Result<void> HostImpl::refusal(const HostedGroup& group, const Proposal& proposal) {
  if (group.failure) return std::unexpected(*group.failure);
  if (stop_ != Stop::No) return fail(Code::Unavailable, "group is stopping");
  if (log_full_) return fail(Code::Exhausted, "disk full: the log cannot grow");
  if (proposal.command.size() > paxos::kValueBytesMax)
    return fail(Code::Invalid,
                fmt::format("command of {} bytes, at most {}", proposal.command.size(), paxos::kValueBytesMax));
  if (group.unanswered_bytes && group.unanswered_bytes + proposal.cost() > group.options_.queue_bytes_max)
    return fail(Code::Unavailable, fmt::format("{} bytes of proposals are waiting, at most {}", group.unanswered_bytes,
                                               group.options_.queue_bytes_max));
  if (!group.leading && group.leader && group.leader != options_.self)
    return fail(Code::Unavailable, fmt::format("replica {} leads, not this one", group.leader.value));
  return {};
}

void HostImpl::propose(HostedGroup& group, Proposal proposal) {
  {
    std::unique_lock hold(mutex_);
    if (auto refused = refusal(group, proposal); !refused) {
      hold.unlock();
      proposal.done(std::unexpected(std::move(refused).error()));
      return;
    }
    const uint64_t cost = proposal.cost();
    group.unanswered_bytes += cost;
    proposal.done = [this, &group, cost, done = std::move(proposal.done)](Result<Bytes> reply) {
      {
        const std::lock_guard release(mutex_);
        group.unanswered_bytes -= cost;
      }
      done(std::move(reply));
    };
    group.queue.push_back(std::move(proposal));
    proposals_ = true;
  }
  wake_.notify_one();
}

// ---- the host's thread ----

void HostImpl::run() {
  std::vector<Bytes> frames;
  std::vector<ReplicaId> downs;
  std::vector<Note> notes;
  std::vector<LogJob> jobs;
  for (auto& [id, group] : groups_) step(*group, paxos::Tick{});
  dispatch();
  while (true) {
    Time wakeup = paxos::kNever;
    for (auto& [id, group] : groups_) wakeup = std::min(wakeup, group->replica->next_wakeup());
    std::optional<Error> log_failed;
    {
      std::unique_lock hold(mutex_);
      const auto something = [&] {
        return !frames_.empty() || !downs_.empty() || !notes_.empty() || !done_jobs_.empty() || log_failed_ ||
               proposals_ || stop_ == Stop::Abandon || (stop_ == Stop::Drain && idle());
      };
      const int64_t wait_ns =
          wakeup == paxos::kNever ? 1'000'000'000 : std::clamp<int64_t>(wakeup - now(), 0, 1'000'000'000);
      wake_.wait_for(hold, std::chrono::nanoseconds(wait_ns), something);
      if (stop_ == Stop::Abandon || (stop_ == Stop::Drain && idle())) break;
      frames.swap(frames_);
      downs.swap(downs_);
      notes.swap(notes_);
      jobs.swap(done_jobs_);
      jobs_out_ -= jobs.size();
      log_failed.swap(log_failed_);
      proposals_ = false;
    }
    if (log_failed)
      for (auto& [id, group] : groups_) {
        step(*group, paxos::PersistFailed{});
        fail_group(*group, *log_failed);
      }
    for (LogJob& job : jobs) {
      std::map<HostedGroup*, paxos::WriteId> upto;
      for (LogJob::Written& written : job.writes) {
        for (const paxos::Message& message : written.write.after) send(message);
        upto[written.group] = written.write.id;
      }
      for (const auto& [group, id] : upto) step(*group, paxos::Persisted{.upto = id});
    }
    for (const Bytes& bytes : frames) {
      auto frame = paxos::decode_frame(bytes);
      if (!frame) {
        logger_.warn("frame_refused", {{"error", frame.error().message}});
        continue;
      }
      for (paxos::Message& message : frame->messages)
        if (const auto group = groups_.find(message.group); group != groups_.end())
          step(*group->second, paxos::Receive{.message = std::move(message)});
    }
    for (const ReplicaId who : downs)
      for (auto& [id, group] : groups_) step(*group, paxos::PeerDown{.who = who});
    for (const Note& note : notes) {
      if (note.applied) step(*note.group, paxos::Applied{.upto = note.applied});
      if (note.flushed) step(*note.group, paxos::SnapshotTaken{.upto = note.flushed});
      if (note.failed) fail_group(*note.group, *note.failed);
    }
    const Time time = now();
    for (auto& [id, group] : groups_) {
      propose_queued(*group);
      if (group->replica->next_wakeup() <= time) step(*group, paxos::Tick{});
    }
    dispatch();
    frames.clear();
    downs.clear();
    notes.clear();
    jobs.clear();
    changed_.notify_all();
  }
}

/// What a turn decided: frames to the peers, writes to the log.
void HostImpl::dispatch() {
  flush_frames();
  if (job_.empty()) return;
  {
    const std::lock_guard hold(mutex_);
    ++jobs_out_;
  }
  {
    const std::lock_guard hold(log_mutex_);
    jobs_.push_back(std::exchange(job_, {}));
  }
  log_wake_.notify_one();
}

bool HostImpl::idle() {
  // Failed groups have nothing left to wait for; the log's thread may be gone.
  if (std::ranges::all_of(groups_, [](const auto& each) { return each.second->failure.has_value(); })) return true;
  if (!frames_.empty() || !notes_.empty() || !done_jobs_.empty() || jobs_out_ > 0) return false;
  return std::ranges::all_of(groups_, [](const auto& each) {
    return each.second->failure || (each.second->queue.empty() && each.second->proposed.empty());
  });
}

void HostImpl::propose_queued(HostedGroup& group) {
  std::deque<Proposal> batch, refused;
  Error reason{Code::Unavailable, "another replica leads"};
  const size_t room = group.replica->room();
  {
    const std::lock_guard hold(mutex_);
    if (group.queue.empty()) return;
    if (group.leader && group.leader != options_.self && !group.leading) {
      refused.swap(group.queue);
    } else if (log_full_) {
      refused.swap(group.queue);
      reason = Error{Code::Exhausted, "disk full: the log cannot grow"};
    } else {
      uint64_t bytes = 0;
      while (!group.queue.empty() && batch.size() < room && bytes < group.options_.batch_bytes_max) {
        bytes += group.queue.front().cost();
        batch.push_back(std::move(group.queue.front()));
        group.queue.pop_front();
      }
    }
  }
  if (!batch.empty())
    if (auto ready = group.applier_.ready(); !ready) {
      const bool full = ready.error().code == Code::Exhausted;
      reason = full ? ready.error() : Error{Code::Io, ready.error().message};
      refused.swap(batch);
      if (!full) fail_group(group, reason);
    }
  for (Proposal& each : refused) each.done(std::unexpected(reason));
  if (batch.empty()) return;
  paxos::Propose propose{.proposals = {}, .time_us = clock_.wall().value};
  for (Proposal& each : batch) {
    const uint64_t tag = next_tag_++;
    propose.proposals.push_back({.tag = tag, .data = std::make_shared<const Bytes>(std::move(each.command))});
    group.proposed.emplace(tag, std::move(each.done));
  }
  step(group, std::move(propose));
}

void HostImpl::step(HostedGroup& group, paxos::Input input) {
  group.output.clear();
  group.replica->step(now(), std::move(input), group.output);
  take_out(group);
}

void HostImpl::take_out(HostedGroup& group) {
  paxos::Output& output = group.output;
  for (const paxos::Message& message : output.messages) send(message);
  for (paxos::Write& write : output.writes) job_.writes.push_back({.group = &group, .write = std::move(write)});
  std::map<Slot, Group::Done> answers;
  for (const paxos::Outcome& outcome : output.outcomes) {
    const auto found = group.proposed.find(outcome.tag);
    if (found == group.proposed.end()) continue;
    Group::Done done = std::move(found->second);
    group.proposed.erase(found);
    using enum paxos::Outcome::Result;
    switch (outcome.result) {
      case Chosen: answers.emplace(outcome.slot, std::move(done)); break;
      case NotLeader:
        done(fail(Code::Unavailable, outcome.leader
                                         ? fmt::format("replica {} leads, not this one", outcome.leader.value)
                                         : "no replica leads"));
        break;
      case Busy: done(fail(Code::Unavailable, "as much is in flight as may be")); break;
      case Dropped: done(fail(Code::Unavailable, "another replica took over: not done")); break;
      case Unknown: done(fail(Code::Timeout, "another replica took over: it may be done, now or later")); break;
      case Invalid: done(fail(Code::Invalid, outcome.why)); break;
    }
  }
  if (!output.commits.empty()) {
    std::vector<Applier::Item> items;
    items.reserve(output.commits.size());
    for (paxos::Record& record : output.commits) {
      Group::Done done;
      if (const auto answer = answers.find(record.slot); answer != answers.end()) done = std::move(answer->second);
      items.push_back({.record = std::move(record), .done = std::move(done)});
    }
    group.applier_.submit(std::move(items));
  }
  for (paxos::Event& event : output.events) handle_event(group, event);
  const bool leading = group.replica->may_read(now());
  const ReplicaId leader = group.replica->leader();
  const std::lock_guard hold(mutex_);
  if (leading && !group.leading) group.lead_slot = group.replica->read_index();
  group.leading = leading;
  group.leader = leader;
}

void HostImpl::handle_event(HostedGroup& group, paxos::Event& event) {
  if (const auto* role = std::get_if<paxos::RoleChange>(&event)) {
    logger_.debug("role", {{"group", group.name_},
                           {"role", paxos::role_name(role->role)},
                           {"round", role->ballot.round},
                           {"leader", role->leader.value}});
  } else if (const auto* trim = std::get_if<paxos::Trim>(&event)) {
    job_.trims.emplace_back(&group, trim->upto);
  } else if (const auto* learn = std::get_if<paxos::ServeLearn>(&event)) {
    job_.serves.push_back({.group = &group, .wanted = *learn});
  } else if (std::get_if<paxos::Healed>(&event)) {
    job_.healed.push_back(&group);
  } else if (const auto* fault = std::get_if<paxos::Fault>(&event)) {
    logger_.error("replica_stopped", {{"group", group.name_}, {"slot", fault->slot.value}, {"why", fault->text}});
    fail_group(group, Error{Code::Io, fault->text});
  }
}

void HostImpl::send(const paxos::Message& message) {
  if (transport_) outgoing_[message.to].push_back(message);
}

void HostImpl::flush_frames() {
  for (auto& [to, messages] : outgoing_) {
    Bytes frame;
    size_t bytes = 0;
    for (const paxos::Message& message : messages) {
      const size_t more = paxos::encoded_bytes_max(message);
      if (bytes && bytes + more > (8u << 20)) {
        transport_->send(to, std::exchange(frame, {}));
        bytes = 0;
      }
      paxos::append_to_frame(message, frame);
      bytes += more;
    }
    if (!frame.empty()) transport_->send(to, std::move(frame));
  }
  outgoing_.clear();
}

void HostImpl::fail_group(HostedGroup& group, const Error& error) {
  Error failure = error;
  failure.code = Code::Io;
  std::deque<Proposal> left;
  {
    const std::lock_guard hold(mutex_);
    if (!group.failure) {
      group.failure = failure;
      group.cause = error;
    }
    left.swap(group.queue);
  }
  group.failed_ = true;
  for (Proposal& each : left) each.done(std::unexpected(failure));
  for (auto& [tag, done] : std::exchange(group.proposed, {})) done(std::unexpected(failure));
  changed_.notify_all();
}

Result<void> HostImpl::wait_until_leading(GroupId id, int64_t timeout_ns) {
  HostedGroup& group = *groups_.at(id);
  std::unique_lock hold(mutex_);
  changed_.wait_for(hold, std::chrono::nanoseconds(timeout_ns),
                    [&] { return group.failure || (group.leading && group.applier_.applied() >= group.lead_slot); });
  if (group.failure) return std::unexpected(group.cause);
  if (!group.leading) return fail(Code::Timeout, group.name_ + ": does not lead");
  return {};
}

// ---- the log's thread ----

void HostImpl::run_log() {
  while (true) {
    std::vector<LogJob> jobs;
    {
      std::unique_lock hold(log_mutex_);
      log_wake_.wait(hold, [&] { return !jobs_.empty() || log_stop_; });
      if (log_stop_ && jobs_.empty()) return;
      jobs.swap(jobs_);
    }
    // Everything that waits shares one sync.
    LogJob all = std::move(jobs.front());
    for (size_t i = 1; i < jobs.size(); ++i) {
      std::ranges::move(jobs[i].writes, std::back_inserter(all.writes));
      std::ranges::move(jobs[i].trims, std::back_inserter(all.trims));
      std::ranges::move(jobs[i].healed, std::back_inserter(all.healed));
      std::ranges::move(jobs[i].serves, std::back_inserter(all.serves));
    }
    auto done = do_job(all);
    post([&] {
      jobs_out_ -= jobs.size() - 1;
      if (!done) {
        log_failed_ = done.error();
        --jobs_out_;
      } else {
        done_jobs_.push_back(std::move(all));
      }
    });
    if (!done) return;
  }
}

Result<void> HostImpl::do_job(LogJob& job) {
  for (const LogJob::Written& written : job.writes) TRY_DO(append_write(*written.group, written.write));
  for (HostedGroup* group : job.healed) TRY_DO(journal_->append_healed(group->id_));
  if (!job.writes.empty() || !job.healed.empty()) {
    auto synced = journal_->sync();
    while (!synced && synced.error().code == Code::Exhausted && wait_for_log_room(synced.error()))
      synced = journal_->sync();
    if (!synced) return synced;
    const std::lock_guard hold(mutex_);
    log_full_ = false;
  }
  for (const auto& [group, upto] : job.trims) TRY_DO(journal_->trim(group->id_, upto));
  for (const LogJob::Serve& serve : job.serves) serve_learn(serve);
  return {};
}

// Records first, the hint that they are chosen last. A full disk only delays: what the core has decided to write is
// written.
Result<void> HostImpl::append_write(HostedGroup& group, const paxos::Write& write) {
  const auto append = [&](const paxos::Write& part) -> Result<void> {
    bool waited = false;
    while (true) {
      auto appended = journal_->append(group.id_, part);
      if (appended || appended.error().code != Code::Exhausted) {
        if (waited) post([&] { log_full_ = false; });
        return appended;
      }
      if (auto synced = journal_->sync(); !synced) return synced;
      if (!wait_for_log_room(appended.error())) return fail(Code::Io, "stopped while the disk was full");
      waited = true;
    }
  };
  paxos::Write part;
  uint64_t bytes = 0;
  for (const paxos::Record& record : write.records) {
    if (bytes && bytes + record.bytes() > kEntryBytesMax) {
      TRY_DO(append(part));
      part.records.clear();
      bytes = 0;
    }
    part.records.push_back(record);
    bytes += record.bytes();
  }
  part.has_hard = write.has_hard;
  part.hard = write.hard;
  return append(part);
}

/// False to stop. What waits is told that it will be done later; flushing the databases lets old segments go.
bool HostImpl::wait_for_log_room(const Error& error) {
  bool first;
  {
    const std::lock_guard hold(mutex_);
    if (stop_ != Stop::No) return false;
    first = !std::exchange(log_full_, true);
    proposals_ = true;
  }
  wake_.notify_one();
  if (first) logger_.warn("log_disk_full", {{"error", error.message}});
  for (auto& [id, group] : groups_) group->applier_.want_flush();
  std::vector<std::pair<HostedGroup*, Slot>> trims;
  std::unique_lock hold(log_mutex_);
  const bool stopping = log_wake_.wait_for(hold, kRetryInterval, [&] { return log_stop_; });
  // Trims that came meanwhile are what makes room.
  for (LogJob& job : jobs_) std::ranges::move(std::exchange(job.trims, {}), std::back_inserter(trims));
  hold.unlock();
  for (const auto& [group, upto] : trims)
    if (!journal_->trim(group->id_, upto)) break;
  return !stopping;
}

void HostImpl::serve_learn(const LogJob::Serve& serve) {
  if (!transport_) return;
  HostedGroup& group = *serve.group;
  paxos::Chosen answer;
  const Slot last = std::min(serve.wanted.last, journal_->group(group.id_).hard.chosen);
  const auto read =
      journal_->read(group.id_, serve.wanted.first, last, kLearnBytes, [&](paxos::Record record) -> Result<void> {
        answer.records.push_back(std::move(record));
        return {};
      });
  if (!read) logger_.error("log_damaged", {{"group", group.name_}, {"error", read.error().message}});
  if (answer.records.empty()) return;
  const paxos::Message message{
      .group = group.id_, .from = options_.self, .to = serve.wanted.to, .body = std::move(answer)};
  transport_->send(serve.wanted.to, paxos::encode_frame(std::span(&message, 1)));
}

void HostImpl::stop(Stop how) {
  const std::lock_guard once(stop_mutex_);
  if (!thread_.joinable()) return;
  {
    const std::lock_guard hold(mutex_);
    stop_ = how;
  }
  wake_.notify_one();
  thread_.join();
  // What was queued and never proposed is refused.
  for (auto& [id, group] : groups_) {
    std::deque<Proposal> left;
    {
      const std::lock_guard hold(mutex_);
      left.swap(group->queue);
    }
    for (Proposal& each : left) each.done(fail(Code::Unavailable, "group is stopping"));
    if (how == Stop::Drain)
      group->applier_.drain();
    else
      group->applier_.abandon();
    for (auto& [tag, done] : std::exchange(group->proposed, {})) done(fail(Code::Timeout, "stopped: it may be done"));
  }
  {
    const std::lock_guard hold(log_mutex_);
    log_stop_ = true;
    if (how == Stop::Abandon) jobs_.clear();
  }
  log_wake_.notify_one();
  log_thread_.join();
  // What the last flush made durable lets the log go.
  if (how != Stop::Drain || log_failed_) return;
  for (const Note& note : notes_)
    if (note.flushed && transport_ == nullptr) static_cast<void>(journal_->trim(note.group->id_, note.flushed));
}

}  // namespace

Result<std::unique_ptr<Host>> Host::open(disk::Disk& disk, Clock& clock, Transport* transport,
                                         const HostOptions& options, Logger& logger) {
  auto host = std::make_unique<HostImpl>(clock, transport, options, logger);
  TRY_DO(host->recover(disk));
  return host;
}

}  // namespace hailstone::replica
