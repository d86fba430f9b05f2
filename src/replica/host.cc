#include "replica/host.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <map>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "paxos/wire.h"
#include "replica/hosted_group.h"

namespace hailstone::replica {
namespace {

using paxos::GroupId;
using paxos::ReplicaId;
using paxos::Time;

/// One frame on the wire.
constexpr size_t kFrameBytes = 8u << 20;
/// Stopping, somebody else is given so long to take over.
constexpr int64_t kHandoverNs = 1'000'000'000;

class HostImpl final : public Host, public Driver {
 public:
  HostImpl(Clock& clock, Transport* transport, const HostOptions& options, Logger& logger)
      : clock_(clock),
        transport_(transport),
        options_(options),
        logger_(logger),
        apply_(options.apply_threads),
        bulk_(options.bulk_threads) {}
  ~HostImpl() override { stop(Stop::Abandon); }

  Result<void> recover(disk::Disk& disk);
  Result<Group*> add_group(GroupId id, Database& database, StateMachine& machine, const GroupOptions& options,
                           const std::optional<paxos::Config>& first) override;
  void start() override;
  void receive(ReplicaId from, Channel channel, Bytes frame) override {
    change([&] { frames_.push_back({.from = from, .channel = channel, .bytes = std::move(frame)}); });
  }
  void peer_down(ReplicaId who) override { each_group(paxos::PeerDown{.who = who}); }
  void obituary(ReplicaId who, paxos::LifeId life) override { each_group(paxos::Obituary{.who = who, .life = life}); }
  void reconfigure(GroupId id, paxos::Config next, std::function<void(Result<void>)> done) override {
    groups_.at(id)->reconfigure(std::move(next), std::move(done));
  }
  void resign(GroupId id, ReplicaId to) override { groups_.at(id)->resign(to); }
  paxos::LifeId life() const override { return options_.life; }
  GroupStatus status(GroupId id) override;
  Result<void> wait_until_leading(GroupId id, int64_t timeout_ns) override;
  void drain() override { stop(Stop::Drain); }

 private:
  enum class Stop : uint8_t { No, Drain, Abandon };
  struct Frame {
    ReplicaId from;
    Channel channel;
    Bytes bytes;
  };

  // Driver
  Time now() const override { return {clock_.monotonic_ns()}; }
  int64_t wall_us() const override { return clock_.wall().value; }
  void has_work(HostedGroup& group) override {
    change([&] { working_.push_back(&group); });
  }
  void post(HostedGroup& group, std::function<void()> work) override {
    post([this, &group, work = std::move(work)] {
      touch(group);
      work();
    });
  }
  void send(paxos::Message message) override {
    if (transport_) outgoing_[message.to].push_back(std::move(message));
  }
  void send_snapshot(ReplicaId to, const SnapshotMessage& message) override {
    if (transport_) transport_->send(to, Channel::Snapshots, encode(message));
  }
  void send_forward(ReplicaId to, const ForwardMessage& message) override {
    if (transport_) transport_->send(to, Channel::Proposals, encode(message));
  }
  LogJob& job() override { return job_; }
  paxos::Output& output() override { return output_; }
  void event(HostedGroup& group, const paxos::Event& event) override {
    if (options_.on_event) options_.on_event(group.id(), event);
  }

  void failed(HostedGroup& group, const Error& cause) override {
    if (options_.on_failed) options_.on_failed(group.id(), cause);
  }

  template <class Change>
  void change(Change&& change) {
    bool first;
    {
      const std::lock_guard hold(mutex_);
      change();
      first = !std::exchange(woken_, true);
    }
    if (first) wake_.notify_one();
  }
  void post(std::function<void()> work) {
    change([&] { posted_.push_back(std::move(work)); });
  }
  void each_group(const paxos::Input& input) {
    post([this, input] {
      for (auto& [id, group] : groups_) step(*group, input);
    });
  }
  void run();
  bool turn();
  void step(HostedGroup& group, paxos::Input input);
  void touch(HostedGroup& group);
  void take_durable(std::vector<LogJob> jobs);
  void take_frame(const Frame& received);
  void finish_turn();
  void flush_frames();
  void start_draining();
  bool drained();
  void stop(Stop how);

  Clock& clock_;
  Transport* transport_;
  HostOptions options_;
  Logger& logger_;
  std::unique_ptr<Journal> journal_;                        // the log's thread only, once started
  std::map<GroupId, std::unique_ptr<HostedGroup>> groups_;  // unchanged once started

  std::mutex mutex_;  // what other threads bring for the host's; guards the block below
  std::condition_variable wake_, changed_;
  bool woken_ = false;
  std::vector<Frame> frames_;
  std::vector<LogJob> durable_;
  std::vector<HostedGroup*> working_;
  std::vector<std::function<void()>> posted_;
  bool log_full_ = false;
  Stop stop_ = Stop::No;

  // The host's thread only.
  LogJob job_;
  paxos::Output output_;
  uint64_t jobs_out_ = 0;
  std::map<ReplicaId, std::vector<paxos::Message>> outgoing_;
  std::vector<HostedGroup*> touched_;
  std::set<std::pair<Time, HostedGroup*>> wakeups_;
  bool log_failed_ = false;
  Time drain_until_ = paxos::kNever;  // stopping: until then for somebody else to lead

  Workers apply_, bulk_;  // end before the groups do, and before what they bring things to
  std::unique_ptr<LogWriter> log_;

  std::mutex stop_mutex_;
  std::thread thread_;
};

Result<void> HostImpl::recover(disk::Disk& disk) {
  if (!options_.life) {
    const uint64_t seed[3] = {static_cast<uint64_t>(clock_.wall().value), static_cast<uint64_t>(clock_.monotonic_ns()),
                              static_cast<uint64_t>(::getpid())};
    options_.life = paxos::LifeId(xxh3({reinterpret_cast<const char*>(seed), sizeof seed}) | 1);
  }
  TRY(journal_, Journal::open(disk, options_.journal, logger_));
  return {};
}

Result<Group*> HostImpl::add_group(GroupId id, Database& database, StateMachine& machine, const GroupOptions& options,
                                   const std::optional<paxos::Config>& first) {
  const std::string name = fmt::format("group {} in {}", id.value, options_.journal.log.directory);
  paxos::Options consensus = options_.consensus;
  consensus.group = id;
  consensus.self = options_.self;
  consensus.life = options_.life;
  auto group = std::make_unique<HostedGroup>(*this, consensus, name, database, machine, options,
                                             Applier::Pools{.apply = apply_, .bulk = bulk_}, logger_);
  const bool alone = first && first->voters.size() == 1 && first->is_voter(options_.self) && !transport_;
  TRY_DO(group->recover(*journal_, first, alone));
  Group* const added = group.get();
  groups_.emplace(id, std::move(group));
  return added;
}

void HostImpl::start() {
  log_ = std::make_unique<LogWriter>(
      *journal_,
      LogWriter::Events{.done =
                            [this](std::vector<LogJob> jobs) {
                              change([&] { std::ranges::move(jobs, std::back_inserter(durable_)); });
                            },
                        .failed =
                            [this](const Error& error) {
                              post([this, error] {
                                log_failed_ = true;
                                for (auto& [id, group] : groups_) {
                                  step(*group, paxos::PersistFailed{});
                                  group->fail_with(error);
                                }
                              });
                            },
                        .full =
                            [this](bool full) {
                              for (auto& [id, group] : groups_) group->log_full(full);
                              change([&] { log_full_ = full; });
                              changed_.notify_all();
                            },
                        .learned =
                            [this](GroupId id, const paxos::ServeLearn& wanted, paxos::Chosen found) {
                              post([this, id, wanted, found = std::move(found)] {
                                HostedGroup& group = *groups_.at(id);
                                touch(group);
                                group.serve(wanted, found);
                              });
                            }},
      logger_);
  for (auto& [id, group] : groups_) group->start();
  thread_ = std::thread([this] { run(); });
}

// ---- the host's thread ----

void HostImpl::run() {
  for (auto& [id, group] : groups_) step(*group, paxos::Tick{});
  finish_turn();
  while (turn()) {
  }
}

bool HostImpl::turn() {
  std::vector<Frame> frames;
  std::vector<LogJob> durable;
  std::vector<HostedGroup*> working;
  std::vector<std::function<void()>> posted;
  Stop stop;
  {
    std::unique_lock hold(mutex_);
    const auto woken = [&] { return woken_; };
    Time until = wakeups_.empty() ? paxos::kNever : wakeups_.begin()->first;
    if (stop_ == Stop::Drain) until = std::min(until, now() + kHandoverNs / 100);
    if (until == paxos::kNever)
      wake_.wait(hold, woken);
    else if (const int64_t left = until - now(); left > 0)
      wake_.wait_for(hold, std::chrono::nanoseconds(left), woken);
    woken_ = false;
    frames.swap(frames_);
    durable.swap(durable_);
    working.swap(working_);
    posted.swap(posted_);
    stop = stop_;
  }
  if (stop == Stop::Abandon) return false;
  take_durable(std::move(durable));
  for (const Frame& frame : frames) take_frame(frame);
  for (HostedGroup* group : working) {
    touch(*group);
    group->take_requests();
  }
  for (const auto& work : posted) work();
  const Time time = now();
  std::vector<HostedGroup*> due;
  for (const auto& [when, group] : wakeups_) {
    if (when > time) break;
    due.push_back(group);
  }
  for (HostedGroup* group : due) {
    touch(*group);
    group->tick();
  }
  if (stop == Stop::Drain && drain_until_ == paxos::kNever) start_draining();
  finish_turn();
  {
    const std::lock_guard hold(mutex_);  // nobody is between looking and waiting
  }
  changed_.notify_all();
  return stop != Stop::Drain || !drained();
}

void HostImpl::touch(HostedGroup& group) {
  if (!std::exchange(group.touched, true)) touched_.push_back(&group);
}

void HostImpl::step(HostedGroup& group, paxos::Input input) {
  touch(group);
  group.step(std::move(input));
}

void HostImpl::take_durable(std::vector<LogJob> jobs) {
  std::map<GroupId, paxos::WriteId> upto;
  for (LogJob& job : jobs) {
    --jobs_out_;
    for (auto& [id, write] : job.writes) {
      for (paxos::Message& message : write.after) send(std::move(message));
      upto[id] = write.id;
    }
    for (const auto& [id, floor] : job.floors) {
      touch(*groups_.at(id));
      groups_.at(id)->floor_kept();
    }
  }
  for (const auto& [id, write] : upto) step(*groups_.at(id), paxos::Persisted{.upto = write});
}

void HostImpl::take_frame(const Frame& received) {
  const auto refuse = [&](const Error& error) { logger_.warn("frame_refused", {{"error", error.message}}); };
  if (received.channel == Channel::Snapshots) {
    const auto message = decode_snapshot_message(received.bytes);
    if (!message) return refuse(message.error());
    if (const auto* get = std::get_if<SnapshotGet>(&*message); get && get->from != received.from) return;
    const GroupId id = std::visit([](const auto& each) { return each.group; }, *message);
    if (const auto group = groups_.find(id); group != groups_.end()) {
      touch(*group->second);
      group->second->on_snapshot(*message);
    }
    return;
  }
  if (received.channel == Channel::Proposals) {
    auto message = decode_forward_message(received.bytes);
    if (!message) return refuse(message.error());
    const GroupId id = std::visit([](const auto& each) { return each.group; }, *message);
    if (const auto group = groups_.find(id); group != groups_.end()) {
      touch(*group->second);
      group->second->on_forward(received.from, std::move(*message));
    }
    return;
  }
  auto frame = paxos::decode_frame(received.bytes);
  if (!frame) return refuse(frame.error());
  for (paxos::Message& message : frame->messages)
    if (const auto group = groups_.find(message.group); group != groups_.end() && message.from == received.from)
      step(*group->second, paxos::Receive{.message = std::move(message)});
}

/// What a turn decided: shown to readers, then frames to the peers and writes to the log.
void HostImpl::finish_turn() {
  for (size_t i = 0; i < touched_.size(); ++i) {
    HostedGroup& group = *touched_[i];
    group.finish_turn();
    group.touched = false;
    const Time next = group.next_wakeup();
    if (next == group.scheduled) continue;
    if (group.scheduled != paxos::kNever) wakeups_.erase({group.scheduled, &group});
    group.scheduled = next;
    if (next != paxos::kNever) wakeups_.emplace(next, &group);
  }
  touched_.clear();
  flush_frames();
  if (job_.empty()) return;
  LogJob job = std::exchange(job_, {});
  if (log_failed_) return;
  ++jobs_out_;
  log_->submit(std::move(job));
}

void HostImpl::flush_frames() {
  for (auto& [to, messages] : outgoing_) {
    if (messages.empty()) continue;
    Bytes frame;
    size_t bytes = 0;
    for (const paxos::Message& message : messages) {
      const size_t more = paxos::encoded_bytes_max(message);
      if (bytes && bytes + more > kFrameBytes) {
        transport_->send(to, Channel::Consensus, std::exchange(frame, {}));
        bytes = 0;
      }
      paxos::append_to_frame(message, frame);
      bytes += more;
    }
    transport_->send(to, Channel::Consensus, std::move(frame));
    messages.clear();
  }
}

// ---- from other threads ----

GroupStatus HostImpl::status(GroupId id) {
  std::promise<GroupStatus> answer;
  HostedGroup& group = *groups_.at(id);
  const auto look = [&] {
    const paxos::Replica& replica = group.replica();
    answer.set_value({.role = replica.role(),
                      .leader = replica.leader(),
                      .ballot = replica.ballot(),
                      .chosen = replica.chosen(),
                      .applied = group.applied_slot(),
                      .leased = group.may_read(),
                      .resting = replica.resting(),
                      .config = replica.config(),
                      .description = replica.describe()});
  };
  const std::lock_guard once(stop_mutex_);  // until it is answered: a host that stops would answer no more
  if (thread_.joinable())
    post(look);
  else
    look();
  return answer.get_future().get();
}

Result<void> HostImpl::wait_until_leading(GroupId id, int64_t timeout_ns) {
  HostedGroup& group = *groups_.at(id);
  const auto leads = [&] { return group.leader() == options_.self && group.may_read(); };
  std::unique_lock hold(mutex_);
  changed_.wait_for(hold, std::chrono::nanoseconds(timeout_ns), [&] { return leads() || group.cause() || log_full_; });
  if (const auto cause = group.cause()) return std::unexpected(*cause);
  if (leads()) return {};
  if (log_full_) return fail(Code::Exhausted, "disk full: the log cannot grow");
  return fail(Code::Timeout, group.name() + ": does not lead");
}

// ---- stopping ----

void HostImpl::start_draining() {
  drain_until_ = now();
  log_->wait_no_more();
  for (auto& [id, group] : groups_) {
    if (group->replica().leader() != options_.self || group->replica().config().voters.size() < 2) continue;
    drain_until_ = now() + kHandoverNs;
    step(*group, paxos::Resign{});
  }
}

bool HostImpl::drained() {
  const auto each = [&](const auto& done) {
    return std::ranges::all_of(groups_, [&](const auto& group) { return done(*group.second); });
  };
  // Failed groups have nothing left to wait for; the log's thread may be gone.
  if (log_failed_ || each([](const HostedGroup& group) { return !group.healthy(); })) return true;
  {
    const std::lock_guard hold(mutex_);
    if (!frames_.empty() || !durable_.empty() || !working_.empty() || !posted_.empty()) return false;
  }
  if (jobs_out_ > 0 || !each([](const HostedGroup& group) { return group.at_rest(); })) return false;
  return now() >= drain_until_ || each([&](const HostedGroup& group) {
           return group.replica().leader() != options_.self || group.replica().config().voters.size() < 2;
         });
}

void HostImpl::stop(Stop how) {
  const std::lock_guard once(stop_mutex_);
  if (!thread_.joinable()) return;
  for (auto& [id, group] : groups_) group->stopping();
  change([&] { stop_ = how; });
  thread_.join();
  if (how == Stop::Abandon) log_->abandon();
  for (auto& [id, group] : groups_) {
    group->stop_requests();
    if (how == Stop::Drain)
      group->applier().drain();
    else
      group->applier().abandon();
    group->stop_answers();
  }
  // What the last flush made durable lets the log go: it is the last thing to be told.
  if (how == Stop::Drain && !log_failed_) {
    for (const auto& work : std::exchange(posted_, {})) work();
    if (!job_.empty()) log_->submit(std::exchange(job_, {}));
  }
  log_.reset();
}

}  // namespace

Result<std::unique_ptr<Host>> Host::open(disk::Disk& disk, Clock& clock, Transport* transport,
                                         const HostOptions& options, Logger& logger) {
  auto host = std::make_unique<HostImpl>(clock, transport, options, logger);
  TRY_DO(host->recover(disk));
  return host;
}

}  // namespace hailstone::replica
