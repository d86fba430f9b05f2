// Two nodes' client cores and tables against a master that lets writers go on as soon as it may, in virtual time: what
// any thread of any node finds in memory is what the file holds at that very instant, whatever is lost, late or
// stalled.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "base/check.h"
#include "cell/client.h"
#include "flip/live_table.h"

namespace hailstone::flip {
namespace {

namespace core = cell::client;
namespace wire = cell::wire;
using cell::SessionId;

constexpr int64_t kMs = core::kNsPerMs;
constexpr uint32_t kCacheMs = 2'000;
constexpr int64_t kErrorPpm = 10'000;
constexpr size_t kNodes = 2;
const std::array<Bytes, 2> kChannels{"current", "testing"};

enum class Mistake : uint8_t { None, DropsAfterAck, IgnoresLease, KeepsWhatItMayNot };

class HandClock final : public Clock {
 public:
  UnixMicros wall() const override { return {}; }
  int64_t monotonic_ns() const override { return now_ns; }
  int64_t now_ns = 0;
};

/// The master of one epoch after another. Files are numbers that rise.
class Master {
 public:
  std::map<Bytes, uint64_t> versions;
  std::array<std::vector<wire::MemberMessage>, kNodes> to_client;

  void receive(size_t node, const wire::ClientMessage& message, int64_t now_ns) {
    lapse(now_ns);
    Session& session = sessions_[node];
    auto& out = to_client[node];
    if (const auto* beat = std::get_if<wire::KeepAlive>(&message)) {
      session.until_ns = now_ns + kCacheMs * (1'000'000 + kErrorPpm);
      session.checked_in |= beat->seen == epoch_;
      out.push_back(wire::Lease{beat->session, beat->beat, epoch_, 3'600'000, kCacheMs});
    } else if (const auto* fetch = std::get_if<wire::Fetch>(&message)) {
      const bool keep = now_ns < session.until_ns && !held(fetch->path);
      if (keep) session.registered.insert(fetch->path);
      out.push_back(wire::Result{fetch->call, wire::Result::Fetched{.revision = cell::Revision(versions[fetch->path]),
                                                                    .file = cell::File{},
                                                                    .epoch = epoch_,
                                                                    .sequence = session.sequence,
                                                                    .keep = keep}});
    } else if (const auto* dropped = std::get_if<wire::Dropped>(&message)) {
      if (dropped->epoch == epoch_) session.dropped = std::max(session.dropped, dropped->sequence);
    }
  }
  void write(const Bytes& path, int64_t now_ns) {
    lapse(now_ns);
    if (held(path)) return;
    Write write{path, {}};
    for (size_t node = 0; node < kNodes; ++node) {
      Session& session = sessions_[node];
      if (session.registered.erase(path) == 0) continue;
      write.waits_for[node] = ++session.sequence;
      to_client[node].push_back(wire::Invalidate{id(node), epoch_, session.sequence, {path}, {}});
    }
    writes_.push_back(write);
  }
  void advance(int64_t now_ns) {
    lapse(now_ns);
    for (const Session& session : sessions_)
      if (!session.checked_in && now_ns < all_dropped_ns_) return;
    std::erase_if(writes_, [&](const Write& write) {
      for (size_t node = 0; node < kNodes; ++node)
        if (write.waits_for[node] > sessions_[node].dropped && now_ns < sessions_[node].until_ns) return false;
      ++versions[write.path];
      return true;
    });
  }
  void take_over(int64_t now_ns) {
    epoch_ = epoch_.next();
    writes_.clear();
    sessions_ = {};
    for (Session& session : sessions_) session.checked_in = false;
    all_dropped_ns_ = now_ns + kCacheMs * (1'000'000 + kErrorPpm);
  }
  void reconnected(size_t node) {
    for (const Write& write : writes_)
      if (write.waits_for[node] > sessions_[node].dropped)
        to_client[node].push_back(wire::Invalidate{id(node), epoch_, write.waits_for[node], {write.path}, {}});
  }
  static SessionId id(size_t node) { return SessionId(node + 5); }

 private:
  struct Write {
    Bytes path;
    std::array<uint64_t, kNodes> waits_for{};
  };
  struct Session {
    std::set<Bytes> registered;
    uint64_t sequence = 0, dropped = 0;
    int64_t until_ns = 0;
    bool checked_in = true;
  };
  bool held(const Bytes& path) const { return std::ranges::find(writes_, path, &Write::path) != writes_.end(); }
  void lapse(int64_t now_ns) {
    for (Session& session : sessions_)
      if (now_ns >= session.until_ns) session.registered.clear();
  }

  wire::Epoch epoch_{1};
  std::array<Session, kNodes> sessions_;
  std::vector<Write> writes_;
  int64_t all_dropped_ns_ = 0;
};

/// A client core, its driver played here, and a table that others read.
class Node {
 public:
  Node(Master& master, size_t index, Mistake mistake)
      : master_(master), index_(index), mistake_(mistake), core_(options(), clock.now_ns) {}

  HandClock clock;
  bool stalled = false;  // the client's thread; readers are not
  std::vector<wire::ClientMessage> to_master;

  void start() {
    core_.open(clock.now_ns);
    core_.on_tick(clock.now_ns);
    drain();
    connect();
    for (const auto& message : std::exchange(to_master, {}))
      if (const auto* open = std::get_if<wire::Do>(&message))
        say(wire::Result{open->call, cell::Reply{.outcome = cell::Opened{Master::id(index_), 3'600'000, true}}});
  }
  void tick() {
    if (stalled) return;
    core_.on_tick(clock.now_ns);
    drain();
  }
  void connect() {
    if (!dialling_ || stalled) return;
    dialling_ = false;
    core_.on_connected(clock.now_ns);
    drain();
    to_master.clear();
    up_ = true;
    say(wire::Welcome{.version = 1});
    master_.reconnected(index_);
  }
  void lose() {
    if (!up_ || stalled) return;
    up_ = false;
    to_master.clear();
    master_.to_client[index_].clear();
    core_.on_disconnected({Code::Io, "lost"}, clock.now_ns);
    drain();
  }
  void hear() {
    auto& messages = master_.to_client[index_];
    if (messages.empty() || !up_ || stalled) return;
    wire::MemberMessage message = std::move(messages.front());
    messages.erase(messages.begin());
    say(std::move(message));
  }
  void read(const Bytes& path) {
    if (stalled) return;
    const core::Tag tag(++tags_);
    reads_.emplace(tag, path);
    core_.read(tag, path, core::kNever, clock.now_ns);
    drain();
  }
  /// What another thread finds; nothing: it would ask.
  std::optional<uint64_t> found(const Bytes& channel) {
    const LivePtr& live = cache_.get("repo", channel);
    return live == nullptr ? std::nullopt : std::optional(live->revision.value);
  }

 private:
  static core::Options options() {
    core::Options options;
    options.seed[0] = 7;
    options.caching = core::Options::Caching::On;
    options.drops = core::Options::Drops::Told;
    options.silence_ms = options.lease_ms = 3'600'000;
    return options;
  }
  void say(wire::MemberMessage message) {
    core_.on_message(std::move(message), clock.now_ns);
    drain();
  }
  void drop(const std::vector<Bytes>& paths) {
    for (const Bytes& path : paths) table_->drop(path);
  }
  /// As client::Driver::work() and LiveChannels do.
  void drain() {
    core::Output& out = core_.output();
    drop(std::exchange(late_drops_, {}));
    if (mistake_ == Mistake::DropsAfterAck)
      late_drops_ = out.dropped;
    else
      drop(out.dropped);
    table_->set_lease_end(mistake_ == Mistake::IgnoresLease ? INT64_MAX : core_.copies_end_ns());
    dialling_ |= out.connect;
    for (auto& message : out.messages) to_master.push_back(std::move(message));
    for (const auto& notice : out.notices) {
      const auto* ended = std::get_if<core::CallEnded>(&notice);
      if (ended == nullptr || ended->verdict != core::Verdict::Done) continue;
      const Bytes path = reads_.at(ended->tag);
      reads_.erase(ended->tag);
      const core::Copy* cached = core_.cached(path, clock.now_ns);
      const auto& copy = std::get<core::Copy>(ended->value);
      if (cached != nullptr || mistake_ == Mistake::KeepsWhatItMayNot)
        table_->put(*table_->enter(path), std::make_shared<const Live>(Live{.revision = copy.revision}));
    }
    out.clear();
  }

  Master& master_;
  const size_t index_;
  const Mistake mistake_;
  core::Core core_;
  std::shared_ptr<LiveTable> table_ = std::make_shared<LiveTable>(clock, 16);
  LiveCache cache_{table_};
  std::vector<Bytes> late_drops_;
  bool dialling_ = false, up_ = false;
  uint64_t tags_ = 0;
  std::map<core::Tag, Bytes> reads_;
};

class World {
 public:
  World(uint64_t seed, Mistake mistake) : random_(seed) {
    for (size_t i = 0; i < kNodes; ++i) {
      ppm_[i] = static_cast<int64_t>(draw(3)) * kErrorPpm - kErrorPpm;
      nodes_.push_back(std::make_unique<Node>(master_, i, mistake));
    }
    pass_ns(0);
    for (auto& node : nodes_) node->start();
  }
  /// Whether all that was found was right.
  bool run(int steps) {
    for (int i = 0; i < steps && right_; ++i) step();
    return right_;
  }
  uint64_t hits = 0;

 private:
  uint64_t draw(uint64_t below) { return random_() % below; }
  int64_t master_ns() const { return true_ns_; }

  void step() {
    Node& node = *nodes_[draw(kNodes)];
    const size_t index = &node == nodes_[0].get() ? 0 : 1;
    const Bytes path = channel_path("repo", kChannels[draw(kChannels.size())]);
    switch (draw(24)) {
      case 0:
      case 1:
      case 2:
      case 3: node.read(path); break;
      case 4:
      case 5: master_.write(path, master_ns()); break;
      case 6: pass_ns(static_cast<int64_t>(draw(300)) * kMs); break;
      case 7:
        if (draw(8) == 0) pass_ns(static_cast<int64_t>(draw(2'500)) * kMs);
        break;
      case 8:
        if (draw(10) == 0) master_.take_over(master_ns());
        break;
      case 9:
        if (draw(6) == 0) node.lose();
        break;
      case 10:
      case 11: node.connect(); break;
      case 12:
        if (draw(5) == 0) node.stalled = true;
        break;
      case 13: node.stalled = false; break;
      case 14:
      case 15:
      case 16:
      case 17:
      case 18:
        if (!node.to_master.empty()) {
          const wire::ClientMessage message = std::move(node.to_master.front());
          node.to_master.erase(node.to_master.begin());
          master_.receive(index, message, master_ns());
        }
        break;
      default: node.hear(); break;
    }
    master_.advance(master_ns());
    look();
  }
  void pass_ns(int64_t ns) {
    for (int i = 0; i < 8; ++i) {
      true_ns_ += ns / 8 + 1;
      for (size_t node = 0; node < kNodes; ++node) {
        nodes_[node]->clock.now_ns = true_ns_ + true_ns_ / 1'000'000 * ppm_[node];
        if (draw(2) == 0) nodes_[node]->tick();
      }
      master_.advance(master_ns());
      look();
    }
  }
  void look() {
    for (auto& node : nodes_)
      for (const Bytes& channel : kChannels)
        if (const auto found = node->found(channel)) {
          ++hits;
          right_ &= *found == master_.versions[channel_path("repo", channel)];
        }
  }

  std::mt19937_64 random_;
  Master master_;
  int64_t true_ns_ = 1'000'000 * kMs;
  std::array<int64_t, kNodes> ppm_{};
  std::vector<std::unique_ptr<Node>> nodes_;
  bool right_ = true;
};

constexpr int kSteps = 1'500;
constexpr uint64_t kSeeds = 100;

TEST(LiveTableCoherence, WhatMemorySaysIsSoAtThatInstant) {
  uint64_t hits = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    World world(seed, Mistake::None);
    ASSERT_TRUE(world.run(kSteps)) << "seed " << seed;
    hits += world.hits;
  }
  EXPECT_GT(hits, kSeeds * 100);
}

TEST(LiveTableCoherence, EachMistakeIsFound) {
  for (const Mistake mistake : {Mistake::DropsAfterAck, Mistake::IgnoresLease, Mistake::KeepsWhatItMayNot}) {
    uint64_t seed = 1;
    while (seed <= kSeeds && World(seed, mistake).run(kSteps)) ++seed;
    EXPECT_LE(seed, kSeeds) << "mistake " << static_cast<int>(mistake);
    RecordProperty("seeds_" + std::to_string(static_cast<int>(mistake)), static_cast<int>(seed));
  }
}

}  // namespace
}  // namespace hailstone::flip
