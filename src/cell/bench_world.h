// The parts of the bench: one clock for all, members with clocks of their own, the log that they share, links, clients.
#pragma once

#include <functional>
#include <memory>
#include <queue>
#include <set>
#include <unordered_map>

#include "cell/bench_judge.h"
#include "cell/client.h"
#include "cell/front.h"
#include "cell/master.h"
#include "cell/random_commands.h"

namespace hailstone::cell::bench {

/// True time, in nanoseconds from 0.
using TrueTime = int64_t;

/// A clock that starts anywhere and runs a little wrong.
struct LocalClock {
  double rate = 1;
  int64_t offset_ns = 0;

  int64_t at(TrueTime now) const { return offset_ns + static_cast<int64_t>(static_cast<double>(now) * rate); }
  /// No earlier than when the clock shows it.
  TrueTime when(int64_t local_ns) const {
    return static_cast<TrueTime>(static_cast<double>(local_ns - offset_ns) / rate) + 1;
  }
};

class Scheduler {
 public:
  TrueTime now() const { return now_; }
  void at(TrueTime when, std::function<void()> what) { queue_.push({std::max(when, now_), ++last_, std::move(what)}); }
  void after(int64_t delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }
  bool step() {
    if (queue_.empty()) return false;
    auto what = queue_.top().what;
    now_ = queue_.top().when;
    queue_.pop();
    what();
    return true;
  }

 private:
  struct Entry {
    TrueTime when;
    uint64_t order;
    std::function<void()> what;
    bool operator>(const Entry& other) const { return std::tie(when, order) > std::tie(other.when, other.order); }
  };
  TrueTime now_ = 0;
  uint64_t last_ = 0;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue_;
};

struct Member {
  MemberId id;
  LocalClock clock;
  bool up = true;
  uint64_t life = 1;
  std::unique_ptr<replica::Database> database = replica::make_memory_database();
  Machine machine;
  size_t applied = 0;
  std::unique_ptr<Front> front;
  std::unique_ptr<Master> master;
  uint64_t born = 0;                    // epoch in which this life began: it leads in later ones only
  uint64_t epoch = 0;                   // in which it believes to lead; 0: it does not
  MemberId hint;                        // who leads, as it believes
  std::map<size_t, uint64_t> proposed;  // place in the log -> tag, of this life
  TrueTime wakes_at = INT64_MAX;
};

struct Connection {
  wire::ConnectionId id;
  size_t client = 0, member = 0;
  bool open = true;
  TrueTime to_member = 0, to_client = 0;  // when the last message arrives
  TrueTime stalled_until = 0;
  std::map<wire::CallId, TrueTime> deadlines;  // of calls that the member has not answered
};

struct Asked {
  enum class Kind : uint8_t { Read, Ask, Write, WriteOnce, Delete, Lock, Unlock } kind = Kind::Read;
  Bytes path, content;
  Revision floor;
};

struct ClientNode {
  size_t index = 0;
  LocalClock clock;
  Bytes principal;
  std::unique_ptr<client::Core> core;
  std::shared_ptr<Connection> connection;
  size_t next_member = 0;
  bool dialling = false;
  TrueTime wakes_at = INT64_MAX;
  uint64_t last_tag = 0;
  std::map<client::Tag, Asked> operations;
  std::map<Bytes, Sequencer> held;  // as the application believes
  bool closing = false;
  struct Watching {
    Bytes prefix;
    std::optional<Revision> upto;
  };
  std::map<client::WatchTag, Watching> watches;
  uint64_t true_epoch = 0;  // for mistakes: the newest that was kept from it
};

class World {
 public:
  World(const Options& options, Report& report);
  void run();

 private:
  // bench.cc: members, the log, leaders.
  Member& member(MemberId id) { return members_[id.value - 1]; }
  Time local(const Member& m) const { return {m.clock.at(scheduler_.now())}; }
  bool linked(const Member& a, const Member& b) const;
  bool has_majority(const Member& m) const;
  bool leads(const Member& m) const { return m.up && m.id == leader_ && epoch_ > m.born; }
  bool may_read(const Member& m) const;
  View view(const Member& m) const { return {*m.database, may_read(m)}; }
  void start(Member& m);
  void crash(Member& m);
  void act(Member& m, Front::Output out);
  void act(Member& m, Master::Output out);
  void wake(Member& m);
  void send(Member& from, MemberId to, wire::PeerMessage message);
  void deliver(Member& m, MemberId from, const Bytes& bytes);
  void propose(Member& m, uint64_t tag, Bytes command);
  void outcome(Member& m, uint64_t life, uint64_t tag, hailstone::Result<Bytes> reply);
  void commit();
  void choose(MemberId proposer, uint64_t life, uint64_t tag, const Bytes& command);
  void apply(Member& m);
  void read_point(Member& m, uint64_t tag);
  void heartbeat();
  void elect(Member& m);
  void believe(Member& m);
  void cut(std::pair<size_t, size_t> link, int64_t for_ns);
  void break_link(size_t a, size_t b);
  void fault();

  // bench_clients.cc
  int64_t local(const ClientNode& c) const { return c.clock.at(scheduler_.now()); }
  void act(ClientNode& c);
  void wake(ClientNode& c);
  void dial(ClientNode& c);
  void hang_up(ClientNode& c);
  void from_client(const std::shared_ptr<Connection>& connection, wire::ClientMessage message);
  void to_client(const std::shared_ptr<Connection>& connection, Bytes message, bool close);
  void distort(ClientNode& c, wire::ClientMessage& message) const;
  void distort(ClientNode& c, wire::MemberMessage& message) const;
  void told(ClientNode& c, client::Notice notice);
  void ended(ClientNode& c, client::CallEnded ended);
  void operate(ClientNode& c);
  void watch(ClientNode& c, const Bytes& prefix, std::optional<Revision> after);
  void granted(ClientNode& c, const Sequencer& sequencer);
  void expired(SessionId session);
  void check_deadlines();
  bool believes(ClientNode& c);

  int64_t between(int64_t low_ns, int64_t high_ns) {
    return low_ns + static_cast<int64_t>(dice_.below(static_cast<uint64_t>(high_ns - low_ns + 1)));
  }
  void count(const char* what) { ++report_.counts[what]; }

  struct Proposal {
    MemberId member;
    uint64_t life, tag;
    Bytes command;
    TrueTime ready;
  };

  const Options options_;
  Report& report_;
  Judge judge_;
  Dice dice_;
  Scheduler scheduler_;
  std::vector<Member> members_;
  std::vector<ClientNode> clients_;
  std::unordered_map<wire::ConnectionId, std::shared_ptr<Connection>> connections_;
  uint64_t last_connection_ = 0;
  uint64_t last_content_ = 0;
  bool quiet_ = false;  // no more faults or operations

  std::vector<Bytes> log_;
  std::deque<Proposal> pipeline_;  // of the present leader
  uint64_t epoch_ = 0;
  size_t epoch_start_ = 0;
  MemberId leader_;
  TrueTime lease_until_ = 0;
  std::map<std::pair<size_t, size_t>, TrueTime> cuts_;  // until when
  std::map<std::pair<size_t, size_t>, TrueTime> arrives_;
  std::map<std::pair<size_t, size_t>, uint64_t> breaks_;
};

}  // namespace hailstone::cell::bench
