// The state of a replica and the steps it is made of. Internal: users see replica.h.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "paxos/fifo.h"
#include "paxos/io.h"
#include "paxos/window.h"

namespace hailstone::paxos {

/// What a leader knows about one member.
struct Peer {
  ReplicaId id;
  Slot next;                    // the first slot not yet sent
  Slot acked;                   // holds the leader's window up to here, durably, under its ballot; 0: none
  Slot chosen;                  // its own log is complete up to here
  size_t inflight = 0;          // bytes sent and not acknowledged
  uint64_t echoed = 0;          // highest stamp that came back
  Time echoed_sent{INT64_MIN};  // when that stamp was sent, by this host's clock
  Time heard{INT64_MIN};
  Time sent{INT64_MIN};          // the last Accept
  Time progress{INT64_MIN};      // when acked rose, or sending began
  Time resent{INT64_MIN / 2};    // when a hole was filled last
  LifeId blind;                  // that life of it says it is blind
  std::map<Slot, Digest> holds;  // by its Promise: these need not be sent again with their data
  bool rests = false;            // has answered the offer of rest that is open
};

struct Core {
  Core(const Options& options, Boot boot, Time now);

  // core.cc: dispatch, writing, choosing
  void step(Time now, Input& input, Output& output);
  Time next_wakeup() const;
  void tick();
  template <class B>
  static void send_by(std::vector<Message>& way, const Options& options, ReplicaId to, B&& body) {
    Message& message = way.emplace_back();
    message.group = options.group;
    message.from = options.self;
    message.to = to;
    message.body = std::forward<B>(body);
  }
  template <class B>
  void send(ReplicaId to, B&& body) {
    send_by(out_->messages, options_, to, std::forward<B>(body));
  }
  template <class B>
  void send_after_write(ReplicaId to, B&& body) {
    send_by(write().after, options_, to, std::forward<B>(body));
  }
  /// What this step writes is one Write; created at first use.
  Write& write();
  void write_hard();
  void store(Record record, bool settled);
  bool durable(WriteId id) const { return id <= persisted_; }
  void receive(Message& message);
  void persisted(WriteId upto);
  void peer_down(ReplicaId who);
  void stop(Fault::What what, Slot slot, std::string text);
  void applied(const Applied& applied);
  void set_role(Role role, ReplicaId leader);
  void note_chosen(Slot chosen, const Digest& digest, Ballot by);
  void advance_chosen();
  bool settle_next(const Record& record);
  void after_chosen();
  void trim();
  void evict_tail();
  void check_invariants() const;

  // config.cc: who counts
  /// The configurations that govern a slot > chosen.
  std::span<const Config> live() const { return at_.configs; }
  bool is_live_voter(ReplicaId id) const;
  bool is_known_member(ReplicaId id) const;
  const Config& config_naming(ReplicaId voter) const;
  std::set<ReplicaId> live_voters() const;
  template <class Has>
  static bool all_quorums(std::span<const Config> configs, size_t (Config::*size)() const, const Has& has) {
    for (const Config& config : configs) {
      size_t count = 0;
      for (const Config::Voter& voter : config.voters) count += has(voter.id) ? 1 : 0;
      if (count < (config.*size)()) return false;
    }
    return true;
  }
  void reconfigure(Reconfigure& request);
  void fill_for_config();
  void config_progress();
  void refresh_peers();

  // acceptor.cc
  void on_prepare(ReplicaId from, const Prepare& message);
  void on_accept(ReplicaId from, Accept& message);
  void acknowledge();
  void obey(Ballot ballot, LifeId life, uint64_t stamp);
  bool bound_by_grant(ReplicaId candidate) const;
  Slot held_upto();
  void on_handoff(ReplicaId from, const Handoff& message);
  void on_obituary(const Obituary& obituary);

  // election.cc
  void schedule_candidacy(Time earliest);
  void stand(bool probe);
  void prepare();
  void abandon_candidacy();
  void on_probe(ReplicaId from, const Probe& message);
  void on_probe_reply(ReplicaId from, const ProbeReply& message);
  void on_promise(ReplicaId from, Promise& message);
  void on_refuse(ReplicaId from, const Refuse& message);
  void on_fetch(ReplicaId from, const Fetch& message);
  void on_values(ReplicaId from, Values& message);
  void consider_promises();
  void ask_for_promises(std::span<const Config> configs);
  std::vector<Record> kept_records() const;
  void candidacy_tick();

  // leader.cc
  void lead(std::vector<Record> kept, std::vector<Config> pending);
  void propose_own_slot();
  void step_down();
  void propose(Propose& request);
  void append(Kind kind, SharedBytes data, std::optional<uint64_t> tag);
  void replicate();
  void send_accept(Peer& peer, bool even_if_empty);
  void on_accepted(ReplicaId from, const Accepted& message);
  void leader_tick();
  void count_votes();
  void resolve_outcomes(const Record& chosen);
  void resign(ReplicaId to);
  void try_handoff();
  size_t room() const;
  Peer* peer(ReplicaId id);
  const Peer* peer(ReplicaId id) const { return const_cast<Core*>(this)->peer(id); }

  // reads.cc: leases and read-index
  void read(uint64_t tag);
  void on_read_request(ReplicaId from, const ReadRequest& message);
  void on_read_reply(ReplicaId from, const ReadReply& message);
  void renew_lease();
  Time echoed_by(const Config& config, size_t count) const;
  void release_reads();
  void fail_reads();
  bool may_read(Time now) const;
  bool confirmed(uint64_t stamp) const;
  void reads_tick();

  // rest.cc: no message and no timer where there is nothing to do
  void asked();
  void active();
  void offer_rest();
  bool nothing_open() const;
  void call_absent();
  void on_rest(ReplicaId from, const Rest& message);
  void try_rest();
  void on_resting(ReplicaId from, const Resting& message);
  void release_memory();
  enum class Asker : uint8_t { Own, Member, Leader };
  void wake(Asker asker);
  void poke();

  // learner.cc
  void on_learn(ReplicaId from, const Learn& message);
  void on_chosen(ReplicaId from, Chosen& message);
  void on_snapshot_offer(ReplicaId from, const SnapshotOffer& message);
  void on_snapshot_installed(const SnapshotInstalled& installed);
  void learn_missing();
  void learner_tick();

  // ---- state ----
  const Options options_;
  Time now_;
  Output* out_ = nullptr;
  Write* write_ = nullptr;  // of this step
  WriteId next_write_{1}, persisted_{0};
  Role role_ = Role::Follower;
  ReplicaId leader_;
  uint64_t random_;  // state of the jitter

  // acceptor, durable
  Ballot promised_;
  WriteId promised_write_;  // durable when that write is
  SnapshotMeta at_;         // complete and chosen up to here: at_.upto
  Window window_;
  bool hard_dirty_ = false;
  // acceptor, volatile
  Time no_promise_before_;  // the wait after a restart
  bool blind_;
  struct Grant {
    Ballot ballot;
    LifeId life;
    Time until{INT64_MIN};
  } grant_;
  Ballot following_;  // of the Accepts that this replica obeys
  Slot base_;         // that leader's chosen: the window it must hold begins behind it
  Slot held_;         // acknowledged under following_
  uint64_t stamp_to_echo_ = 0;
  bool ack_due_ = false;
  Slot leader_end_;
  Slot stored_;          // highest slot that came under following_
  bool resent_ = false;  // following_'s leader has sent all up to resent_end_ again for this life
  Slot resent_chosen_, resent_end_;

  // learner
  Slot known_chosen_;  // chosen, though not all of it need be here
  Digest known_digest_;
  Ballot known_by_;  // records of this ballot up to known_chosen_ are the chosen ones
  Slot applied_, snapshot_;
  Slot trimmed_, trim_floor_;
  Slot tail_first_;  // lowest slot of the tail in memory
  ReplicaId learning_from_;
  Time learn_sent_{INT64_MIN};
  uint32_t learn_tries_ = 0;
  Slot heard_chosen_;  // somebody says so; a reason to ask
  ReplicaId heard_from_;
  std::unique_ptr<const SnapshotMeta> installing_;
  std::map<Slot, uint64_t> checksums_;  // of this replica, the latest few
  Slot leader_checked_;
  uint64_t leader_checksum_ = 0;

  // candidate
  enum class Phase : uint8_t { Probing, Preparing, Gathering };
  struct Answer {
    Slot chosen;
    Digest chosen_digest;
    std::map<Slot, Record> headers;
  };
  struct Candidacy {
    Phase phase = Phase::Probing;
    Ballot ballot;
    Slot from;
    Time retry{INT64_MAX};  // gives up then
    std::set<ReplicaId> would;
    std::map<ReplicaId, Answer> promises;
    std::set<ReplicaId> prepared;  // were sent a Prepare
    std::map<Slot, Record> fetched;
    Time asked{INT64_MIN};
  };
  std::unique_ptr<Candidacy> candidacy_;  // null: none
  Time stand_at_ = kNever;
  uint32_t failed_candidacies_ = 0;
  uint64_t round_seen_ = 0;
  Time others_turn_until_{INT64_MIN};  // promised somebody just now: let him try

  // leader
  static constexpr Slot kNoSlot{UINT64_MAX};
  Slot end_, own_slot_;
  std::vector<Peer> peers_;  // all members but this one, by id
  struct PeersOf {           // epochs
    uint64_t first = 0, last = 0, pending = 0, retiring = 0;
    bool operator==(const PeersOf&) const = default;
  };
  std::optional<PeersOf> peers_of_;  // the configurations that peers_ was made for
  uint64_t stamp_ = 0;
  struct Stamp {
    uint64_t stamp;
    Time sent;
  };
  Fifo<Stamp> stamps_;    // of the last grant_ns, a 64th of a heartbeat apart at least
  bool stamped_ = false;  // in this step
  size_t inflight_bytes_ = 0;
  int64_t time_us_ = 0;
  struct Pending {
    Slot slot;
    Digest digest;
    uint64_t tag;
  };
  Fifo<Pending> pending_;                 // proposed in this leadership, by slot
  std::multimap<Slot, Pending> orphans_;  // of earlier ones
  Time orphans_until_ = kNever;
  Time lease_until_{INT64_MIN};
  Time quorum_until_{INT64_MIN};  // a phase-2 quorum has echoed within a grant until then
  bool echoes_new_ = false;       // the two above must be computed again
  Time led_since_{INT64_MIN};
  Config active_;            // governs the next slot; epoch 0 before the first is known
  bool was_member_ = false;  // one that has yet to learn that it was added is not removed
  std::optional<uint64_t> retiring_epoch_;
  std::vector<ReplicaId> retiring_;               // members of the former configuration only
  std::unique_ptr<const Config> pending_config_;  // proposed, not chosen
  struct Resigning {
    ReplicaId to;
    Time deadline;
  };
  std::optional<Resigning> resigning_;

  // rest
  bool resting_ = false;      // leader: all others rest too. Follower: stand_at_ is kNever until it is woken
  uint64_t rest_wanted_ = 0;  // follower: the stamp of the latest offer
  uint64_t void_stamp_ = 0;   // follower: offers up to this stamp count no more
  uint64_t rest_offer_ = 0;   // leader: the first stamp of the offer that is open; 0: none is
  static constexpr int64_t kCallAbsent = 20;  // times rest_after_ns
  Time call_absent_at_ = kNever;              // resting leader: when it calls those who rest not
  Time rest_offer_until_{0};                  // who has not agreed by then does not
  Time active_at_;                            // leader: when something was asked of it last
  Time poked_{INT64_MIN / 2};                 // when all voters were asked who leads
  std::vector<ReplicaId> down_;               // their connections broke, and nothing came from them since

  // reads
  static constexpr size_t kReadsMax = 1u << 16;
  struct WaitingRead {
    uint64_t tag = 0;  // local
    ReplicaId remote;  // or of this follower
    ReadId remote_id;
    LifeId remote_life;
    uint64_t stamp = 0;  // served once a lease quorum has echoed it
    Slot index;
  };
  Fifo<WaitingRead> waiting_;  // leader
  uint64_t read_round_ = 0;    // stamp that was sent for reads and is not yet confirmed
  struct Forwarded {
    std::vector<uint64_t> tags;
    Time sent;
  };
  std::map<ReadId, Forwarded> forwarded_;  // follower
  std::vector<uint64_t> to_forward_;
  ReadId next_read_{1};
};

}  // namespace hailstone::paxos
