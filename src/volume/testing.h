// A whole repository in memory for tests: commands apply at once, nothing is durable.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "base/check.h"
#include "chunk/content.h"
#include "chunk/store.h"
#include "replica/database.h"
#include "replica/group.h"
#include "tree/cache.h"
#include "volume/machine.h"
#include "volume/repository.h"

namespace hailstone::volume::testing {

/// replica::Group without a log: each proposal is applied and answered before propose() returns.
class InlineGroup final : public replica::Group {
 public:
  InlineGroup(replica::Database& database, replica::StateMachine& machine) : database_(database), machine_(machine) {}

  /// Runs once, before the next proposal is applied: what another does between a proposer's look and its command.
  void before_next(std::function<void()> deed) {
    std::scoped_lock lock(mutex_);
    before_next_ = std::move(deed);
  }

  void propose(Bytes command, Done done) override {
    if (auto deed = take_deed()) deed();
    auto reply = [&]() -> Result<Bytes> {
      std::scoped_lock lock(mutex_);
      replica::Batch batch;
      TRY(auto bytes, machine_.apply(slot_.next(), command, database_, batch));
      TRY_DO(database_.write(batch));
      slot_ = slot_.next();
      machine_.applied(slot_);
      return bytes;
    }();
    done(std::move(reply));
  }
  void propose_in(paxos::Ballot, Bytes command, Done done) override { propose(std::move(command), std::move(done)); }
  void read(ReadDone done) override { done({}); }
  void wait_applied(Slot, int64_t, ReadDone done) override { done({}); }
  bool may_read() const override { return true; }
  paxos::ReplicaId leader() const override { return paxos::ReplicaId(1); }
  Slot applied_slot() const override {
    std::scoped_lock lock(mutex_);
    return slot_;
  }
  bool healthy() const override { return true; }
  void drain() override {}

 private:
  std::function<void()> take_deed() {
    std::scoped_lock lock(mutex_);
    return std::exchange(before_next_, {});
  }

  std::function<void()> before_next_;
  mutable std::mutex mutex_;  // stands in for the group's thread: one command at a time
  replica::Database& database_;
  replica::StateMachine& machine_;
  Slot slot_;
};

/// A clock that tests move by hand.
class ManualClock final : public Clock {
 public:
  UnixMicros wall() const override { return UnixMicros{now_.load()}; }
  int64_t monotonic_ns() const override { return now_.load() * 1000; }
  void advance_seconds(int64_t seconds) { now_ += seconds * 1'000'000; }
  void advance_micros(int64_t micros) { now_ += micros; }

 private:
  std::atomic<int64_t> now_{1'790'000'000'000'000};
};

struct TestCell {
  std::unique_ptr<replica::Database> database = replica::make_memory_database();
  std::unique_ptr<chunk::ChunkStore> chunks = chunk::make_memory_store();
  tree::CachedNodes nodes{*chunks, {}};
  Machine machine;
  ManualClock clock;
  InlineGroup group{*database, machine};
  Repository repository{group, *database, machine.published(), *chunks, nodes, clock};
  Caller caller{"tester", {}};

  TestCell() { CHECK(machine.load(*database).has_value()); }

  Target target(std::string_view text) {
    auto found = repository.resolve(text);
    CHECK(found.has_value());
    return *std::move(found);
  }
  void create(Bytes name, Settings settings = {}) {
    CHECK(repository.submit(caller, CreateVolume{std::move(name), std::move(settings), {}}).has_value());
  }
  Entry file(ByteView bytes) {
    Entry entry;
    auto content = chunk::write_content(*chunks, {}, bytes);
    CHECK(content.has_value());
    entry.content = *std::move(content);
    entry.modified_ns = clock.wall().value * 1000;
    return entry;
  }
  void put(std::string_view where, Bytes key, ByteView bytes) {
    CHECK(repository.write(caller, target(where), {}, {{std::move(key), file(bytes)}}).has_value());
  }
  void remove(std::string_view where, Bytes key) {
    CHECK(repository.write(caller, target(where), {}, {{std::move(key), std::nullopt}}).has_value());
  }
  /// Seals the head and commits it as the next release on `channel`, without checks, derived data or signature.
  ReleaseNumber release(const Bytes& name, const Bytes& channel = "current") {
    const auto v = *repository.volume(name);
    const auto sealed = repository.seal(*v, kHeadLayer);
    CHECK(sealed.has_value());
    ReleaseRecord record;
    record.volume = v->record.id;
    record.volume_name = name;
    record.number = v->record.last_release.next();
    record.parent = v->record.last_release;
    record.root = sealed->root;
    record.time = clock.wall();
    Commit commit;
    commit.releases.push_back({name, record, {}, 0, {}, {}});
    commit.flips.push_back({name, channel, record.number, {}});
    const auto reply = repository.submit(caller, commit);
    CHECK(reply.has_value());
    return reply->releases.at(0);
  }
};

}  // namespace hailstone::volume::testing
