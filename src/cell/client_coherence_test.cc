// The cache against a master that lets writers go on as soon as it may: no copy is ever older than a completed write,
// whatever is lost, late or out of order, and however far clocks drift within the bound.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>

#include "cell/client_testing.h"
#include "cell/path.h"

namespace hailstone::cell::client {
namespace {

constexpr uint32_t kCacheMs = 2'000;
constexpr int64_t kErrorPpm = 10'000;

/// What the master of one epoch keeps for the one session, and the writes it holds. Files are numbers that rise.
class Cell {
 public:
  explicit Cell(std::vector<wire::MemberMessage>& to_client) : to_client_(to_client) {}

  void receive(const wire::ClientMessage& message, int64_t now_ns) {
    lapse(now_ns);
    if (const auto* beat = std::get_if<wire::KeepAlive>(&message)) {
      cache_until_ns_ = now_ns + kCacheMs * (1'000'000 + kErrorPpm);
      checked_in_ |= beat->seen == epoch_;
      to_client_.push_back(wire::Lease{beat->session, beat->beat, epoch_, 3'600'000, kCacheMs});
    } else if (const auto* fetch = std::get_if<wire::Fetch>(&message)) {
      const bool keep = now_ns < cache_until_ns_ && !held(fetch->path);
      if (keep) registered_.insert(fetch->path);
      to_client_.push_back(wire::Result{fetch->call, wire::Result::Fetched{.revision = Revision(versions[fetch->path]),
                                                                           .file = File{},
                                                                           .epoch = epoch_,
                                                                           .sequence = sequence_,
                                                                           .keep = keep}});
    } else if (const auto* dropped = std::get_if<wire::Dropped>(&message)) {
      if (dropped->epoch == epoch_) dropped_ = std::max(dropped_, dropped->sequence);
    }
  }
  void write(const Bytes& path, int64_t now_ns) {
    lapse(now_ns);
    if (held(path)) return;
    writes_.push_back({path, 0});
    if (registered_.erase(path)) {
      writes_.back().sequence = ++sequence_;
      to_client_.push_back(named({path}));
    }
  }
  /// Completes what may be completed.
  void advance(int64_t now_ns) {
    lapse(now_ns);
    if (!checked_in_ && now_ns < all_dropped_ns_) return;
    std::erase_if(writes_, [&](const Write& write) {
      if (write.sequence > dropped_ && now_ns < cache_until_ns_) return false;
      ++versions[write.path];
      return true;
    });
  }
  void take_over(int64_t now_ns) {
    epoch_ = epoch_.next();
    writes_.clear();
    registered_.clear();
    sequence_ = dropped_ = 0;
    cache_until_ns_ = 0;
    checked_in_ = false;
    all_dropped_ns_ = now_ns + kCacheMs * (1'000'000 + kErrorPpm);
  }
  /// What was not confirmed is sent once more, in one.
  void reconnected() {
    std::vector<Bytes> paths;
    for (const Write& write : writes_)
      if (write.sequence > dropped_) paths.push_back(write.path);
    if (!paths.empty()) to_client_.push_back(named(std::move(paths)));
  }

  std::map<Bytes, uint64_t> versions;

 private:
  struct Write {
    Bytes path;
    uint64_t sequence = 0;  // of the Invalidate it waits for
  };
  wire::Invalidate named(std::vector<Bytes> paths) const {
    wire::Invalidate message{SessionId(5), epoch_, sequence_, {}, {}};
    for (Bytes& path : paths)
      (path == "/d/x" ? message.prefixes : message.paths).push_back(path == "/d/x" ? "/d" : path);
    return message;
  }
  bool held(const Bytes& path) const { return std::ranges::find(writes_, path, &Write::path) != writes_.end(); }
  void lapse(int64_t now_ns) {
    if (now_ns >= cache_until_ns_) registered_.clear();
  }

  std::vector<wire::MemberMessage>& to_client_;
  wire::Epoch epoch_{1};
  std::set<Bytes> registered_;
  std::vector<Write> writes_;
  uint64_t sequence_ = 0, dropped_ = 0;
  int64_t cache_until_ns_ = 0, all_dropped_ns_ = 0;
  bool checked_in_ = true;
};

class World {
 public:
  /// Clocks run by `client_ppm` and `master_ppm` fast.
  World(int64_t client_ppm, int64_t master_ppm) : client_ppm_(client_ppm), master_ppm_(master_ppm) {
    core_.open(client_ns());
    core_.on_tick(client_ns());
    drain();
    connect();
    for (const auto& message : std::exchange(to_master_, {}))
      if (const auto* open = std::get_if<wire::Do>(&message))
        say(wire::Result{open->call, Reply{.outcome = Opened{SessionId(5), 3'600'000, true}}});
  }

  void step(uint32_t r) {
    const uint32_t random = r / 32;
    const Bytes path = std::vector<Bytes>{"/a", "/b", "/d/x"}[random % 3];
    switch (r % 32) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4: read(path); break;
      case 5:
      case 6:
      case 7: cell_.write(path, master_ns()); break;
      case 8:
      case 9: pass_ms(random % 20); break;
      case 10:
      case 11: pass_ms(random % 300); break;
      case 12:
        if (random % 4 == 0) pass_ms(random % 2'500);
        if (random % 4 == 1) stall_ms(random % 2'500);
        break;
      case 13:
        if (random % 6 == 0) cell_.take_over(master_ns());
        break;
      case 14:
        if (random % 4 == 0) lose();
        break;
      case 15: connect(); break;
      case 16: in_order_ = random % 2; break;
      case 17:
      case 18: lend(path); break;
      case 19:
      case 20:
      case 21:
      case 22: to_master(random); break;
      default: to_client(random); break;
    }
    cell_.advance(master_ns());
    check();
  }

  size_t hits = 0, lent_hits = 0;

 private:
  int64_t client_ns() const { return true_ns_ + true_ns_ / 1'000'000 * client_ppm_; }
  int64_t master_ns() const { return true_ns_ + true_ns_ / 1'000'000 * master_ppm_; }

  static Options options() {
    Options options = test_options();
    options.silence_ms = 3'600'000;
    options.drops = Options::Drops::Told;
    options.cache_entries_max = 2;
    options.lease_ms = 3'600'000;
    return options;
  }

  /// A hit is what a reader would get who asks now.
  void check() {
    for (const Bytes path : {"/a", "/b", "/d/x"}) {
      const Copy* copy = core_.cached(path, client_ns());
      if (!copy) continue;
      ++hits;
      RC_ASSERT(copy->revision.value == cell_.versions[path]);
    }
    for (const auto& [path, revision] : lent_) {
      if (client_ns() >= lent_until_ns_) continue;
      ++lent_hits;
      RC_ASSERT(revision.value == cell_.versions[path]);
    }
  }
  /// As for another thread, which from here on hears of what drain() tells only.
  void lend(const Bytes& path) {
    if (const Copy* copy = core_.cached(path, client_ns())) lent_[path] = copy->revision;
  }
  void read(const Bytes& path) {
    const Tag tag(++tags_);
    reads_.emplace(tag, std::pair(path, cell_.versions[path]));
    core_.read(tag, path, kNever, client_ns());
    drain();
  }
  void pass_ms(int64_t ms) {
    // In steps, so that nothing happens at the same instant only.
    for (int i = 0; i < 4; ++i) {
      true_ns_ += ms * kMs / 4 + 1;
      core_.on_tick(client_ns());
      drain();
      cell_.advance(master_ns());
      check();
    }
  }
  /// The core's thread stands still; other threads do not.
  void stall_ms(int64_t ms) {
    for (int i = 0; i < 20; ++i) {
      true_ns_ += ms * kMs / 20 + 1;
      cell_.advance(master_ns());
      check();
    }
  }
  void connect() {
    if (!dialling_) return;
    dialling_ = false;
    core_.on_connected(client_ns());
    drain();
    to_master_.clear();
    up_ = true;
    say(wire::Welcome{.version = 1});
    cell_.reconnected();
  }
  void lose() {
    if (!up_) return;
    up_ = false;
    to_master_.clear();
    to_client_.clear();
    core_.on_disconnected({Code::Io, "lost"}, client_ns());
    drain();
  }
  void say(wire::MemberMessage message) {
    core_.on_message(std::move(message), client_ns());
    drain();
  }
  /// Messages overtake each other when they go by way of different members; in a while of order they don't.
  size_t pick(uint32_t random, size_t count) const { return in_order_ ? 0 : random % count; }
  void to_master(uint32_t random) {
    if (to_master_.empty()) return;
    const auto at = to_master_.begin() + static_cast<std::ptrdiff_t>(pick(random, to_master_.size()));
    const wire::ClientMessage message = std::move(*at);
    to_master_.erase(at);
    cell_.receive(message, master_ns());
  }
  void to_client(uint32_t random) {
    if (to_client_.empty() || !up_) return;
    const auto at = to_client_.begin() + static_cast<std::ptrdiff_t>(pick(random, to_client_.size()));
    wire::MemberMessage message = std::move(*at);
    to_client_.erase(at);
    say(std::move(message));
  }
  void drain() {
    Output& out = core_.output();
    RC_ASSERT(!out.disconnect);
    for (const Bytes& path : out.dropped) lent_.erase(path);
    lent_until_ns_ = core_.copies_end_ns();
    dialling_ |= out.connect;
    for (auto& message : out.messages) to_master_.push_back(std::move(message));
    for (const auto& notice : out.notices)
      if (const auto* ended = std::get_if<CallEnded>(&notice); ended && ended->verdict == Verdict::Done) {
        const auto& [path, version] = reads_.at(ended->tag);
        // Linearizable: what was completed before it was called for shows.
        RC_ASSERT(std::get<Copy>(ended->value).revision.value >= version);
        RC_ASSERT(std::get<Copy>(ended->value).revision.value <= cell_.versions[path]);
        reads_.erase(ended->tag);
      }
    out.clear();
  }

  int64_t true_ns_ = 1'000'000 * kMs;
  int64_t client_ppm_, master_ppm_;
  std::vector<wire::ClientMessage> to_master_;
  std::vector<wire::MemberMessage> to_client_;
  Cell cell_{to_client_};
  Core core_{options(), client_ns()};
  std::map<Bytes, Revision> lent_;
  int64_t lent_until_ns_ = 0;
  bool dialling_ = false, up_ = false, in_order_ = true;
  uint64_t tags_ = 0;
  std::map<Tag, std::pair<Bytes, uint64_t>> reads_;
};

RC_GTEST_PROP(ClientCoherence, ACopyIsNeverOlderThanACompletedWrite, ()) {
  const auto steps =
      *rc::gen::resize(100, rc::gen::container<std::vector<uint32_t>>(1'000, rc::gen::inRange<uint32_t>(0, 1u << 30)));
  const int64_t drift_ppm = *rc::gen::element<int64_t>(-kErrorPpm, 0, kErrorPpm);
  World world(drift_ppm, -drift_ppm);
  for (const uint32_t step : steps) world.step(step);
  RC_TAG(world.hits > 100 ? "many hits" : "few hits", world.lent_hits > 100 ? "many lent" : "few lent");
}

}  // namespace
}  // namespace hailstone::cell::client
