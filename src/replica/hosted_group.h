// One group inside a host: its replica, what waits for it, and the snapshots it gives and gets.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "paxos/replica.h"
#include "replica/applier.h"
#include "replica/group.h"
#include "replica/log_writer.h"
#include "replica/proposals.h"
#include "replica/snapshot_install.h"
#include "replica/snapshot_source.h"

namespace hailstone::replica {

class HostedGroup;

/// What a group needs of its host. Only has_work(), post() and send_snapshot() may be called from any thread.
class Driver {
 public:
  virtual ~Driver() = default;
  virtual paxos::Time now() const = 0;
  virtual int64_t wall_us() const = 0;
  virtual void has_work(HostedGroup& group) = 0;
  /// Runs `work`, about that group, on the host's thread.
  virtual void post(HostedGroup& group, std::function<void()> work) = 0;
  virtual void send(paxos::Message message) = 0;
  virtual void send_snapshot(paxos::ReplicaId to, const SnapshotMessage& message) = 0;
  virtual void send_forward(paxos::ReplicaId to, const ForwardMessage& message) = 0;
  virtual LogJob& job() = 0;            // what this turn wants of the log
  virtual paxos::Output& output() = 0;  // for one step of one group at a time
  virtual void event(HostedGroup& group, const paxos::Event& event) = 0;
  virtual void failed(HostedGroup& group, const Error& cause) = 0;
  virtual void drain() = 0;
};

class HostedGroup final : public Group {
 public:
  /// `consensus`: group, self and life are this one's.
  HostedGroup(Driver& driver, const paxos::Options& consensus, std::string name, Database& database,
              StateMachine& machine, const GroupOptions& options, Applier::Pools pools, Logger& logger);

  // ---- any thread ----
  void propose(Bytes command, Done done) override { propose_in({}, std::move(command), std::move(done)); }
  void propose_in(paxos::Ballot leadership, Bytes command, Done done) override;
  void read(ReadDone done) override;
  bool may_read() const override;
  void wait_applied(Slot slot, int64_t timeout_ns, ReadDone done) override;
  paxos::ReplicaId leader() const override { return paxos::ReplicaId(leader_.load()); }
  Slot applied_slot() const override { return applier_.applied(); }
  bool healthy() const override { return !failed_; }
  void drain() override { driver_.drain(); }
  /// Changes of members, and handing over: on the host's thread, soon.
  void reconfigure(paxos::Config next, std::function<void(Result<void>)> done);
  void resign(paxos::ReplicaId to);
  void log_full(bool full);
  void stopping() { stopping_ = true; }
  std::optional<Error> cause() const;  // what it failed with
  paxos::GroupId id() const { return id_; }
  const std::string& name() const { return name_; }
  Applier& applier() { return applier_; }

  // ---- the host's thread ----
  /// Puts the database where the log says that it must be, and readies the replica. Before anything else.
  Result<void> recover(Journal& journal, const std::optional<paxos::Config>& first, bool alone);
  void start();
  void step(paxos::Input input);
  void take_requests();
  /// What the last steps changed is shown to other threads; before any message of those steps leaves.
  void finish_turn();
  void tick();
  paxos::Time next_wakeup() const;
  void serve(const paxos::ServeLearn& wanted, paxos::Chosen found);
  void on_snapshot(const SnapshotMessage& message);
  void on_forward(paxos::ReplicaId from, ForwardMessage message);
  void floor_kept();  // the log has given up what a snapshot replaces
  void fail_with(const Error& error);
  void stop_requests();
  void stop_answers();
  bool at_rest() const;
  const paxos::Replica& replica() const { return *replica_; }

  paxos::Time scheduled = paxos::kNever;  // the host's: when it will be looked at
  bool touched = false;                   // the host's: stepped in this turn

 private:
  struct Proposal {
    paxos::SharedBytes command;
    Done done;
    paxos::Ballot only;
  };
  /// Somebody waits until a slot is applied.
  struct Waiter {
    ReadDone done;
    paxos::Time deadline;  // or never
  };
  /// A snapshot that comes from another member.
  struct Fetch {
    uint64_t number = 0;  // what was begun for an earlier one says nothing about this one
    paxos::ReplicaId from;
    paxos::SnapshotMeta meta;
    Bytes after;                      // the next piece follows it
    bool begun = false, all = false;  // asking; all pieces came
    size_t staging = 0;               // pieces on their way into the database
    paxos::Time asked = paxos::kNever;
    int unanswered = 0;
    paxos::Time adopt_again = paxos::kNever;  // the disk was full
  };

  Result<void> refusal(size_t bytes) const;
  bool nothing_asked() const { return proposals_.empty() && reads_.empty() && waiters_.empty(); }  // mutex_ is held
  void take_out(paxos::Output& output);
  void finish_outcomes(const paxos::Output& output);
  void release_reads();
  void expire_reads();
  void propose_waiting();
  std::optional<Error> no_proposals();
  void handle(paxos::Event& event);
  void begin_fetch(const paxos::FetchSnapshot& wanted);
  void ask_for_piece();
  void take_piece(const SnapshotPiece& piece);
  void complete_fetch();
  void end_fetch(bool installed, const std::string& why);
  void for_fetch(std::function<Result<void>()> work, std::function<void(Result<void>)> then);
  void offer_snapshot(paxos::ReplicaId to, Slot first);
  void send_piece(const SnapshotGet& get);

  Driver& driver_;
  const paxos::Options consensus_;
  const paxos::GroupId id_;
  const paxos::ReplicaId self_;
  const std::string name_;
  const GroupOptions options_;
  Database& database_;
  StateMachine& machine_;
  Workers& bulk_;
  Logger& logger_;
  Applier applier_;

  // Shown to all threads.
  std::atomic<bool> failed_ = false, stopping_ = false, log_full_ = false;
  std::atomic<uint64_t> leader_ = 0;
  std::atomic<uint64_t> unanswered_bytes_ = 0;  // of proposals: queued, in the log, being applied
  std::atomic<int64_t> lease_end_ns_ = INT64_MIN;
  std::atomic<uint64_t> lead_slot_ = UINT64_MAX;  // applied, the state holds what was acknowledged before this leader,
                                                  // and what others were told is chosen

  mutable std::mutex mutex_;  // other threads against the host's; guards the block below
  std::vector<Proposal> proposals_;
  std::vector<ReadDone> reads_;
  std::vector<std::pair<Slot, Waiter>> waiters_;
  std::optional<Error> failure_, cause_;

  // The host's thread only.
  std::optional<paxos::Replica> replica_;
  Proposals queue_;
  uint64_t next_tag_ = 1;
  std::unordered_map<uint64_t, ReadDone> asked_;                                   // by tag
  std::unordered_map<uint64_t, std::function<void(Result<void>)>> reconfiguring_;  // by tag
  std::multimap<Slot, Waiter> reads_at_;                                           // until so much is applied
  paxos::Time next_expiry_ = paxos::kNever;                                        // of reads_at_
  Slot trimmed_;
  std::optional<Fetch> fetch_;
  uint64_t fetches_ = 0;

  SnapshotInstall install_;  // where the applier runs
  std::mutex source_mutex_;  // workers against each other
  SnapshotSource source_;
  paxos::Time source_check_ = paxos::kNever;  // the host's thread only
};

}  // namespace hailstone::replica
