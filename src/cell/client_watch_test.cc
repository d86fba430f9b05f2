// Watches: events once and in order over connections, compacted, refused, bounded.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cell/client_testing.h"

namespace hailstone::cell::client {
namespace {

EventBatch batch_of(std::vector<uint64_t> revisions, uint64_t upto, const Bytes& path = "/a") {
  EventBatch batch{.upto = Revision(upto)};
  for (const uint64_t revision : revisions) batch.events.push_back({Revision(revision), {.path = path}});
  return batch;
}

class Watching : public Scripted {
 public:
  explicit Watching(const Options& options = test_options()) : Scripted(options) { connect(); }
  WatchTag watch(std::optional<Revision> after = Revision(10)) {
    const WatchTag tag(++tags_);
    core.watch(tag, "/", after, {}, now_ns);
    drain();
    return tag;
  }
  std::vector<uint64_t> told() const {
    std::vector<uint64_t> out;
    for (const auto& events : noticed<WatchEvents>())
      for (const auto& item : events.batch.events) out.push_back(item.revision.value);
    return out;
  }

 private:
  uint64_t tags_ = 0;
};

TEST(ClientWatch, GoesOnBehindWhatWasToldOverConnections) {
  Watching c;
  c.watch();
  const auto first = c.next<wire::Watch>();
  EXPECT_EQ(first.after, Revision(10));
  c.say(wire::Events{first.watch, batch_of({11, 11, 12}, 14)});
  c.lose();
  c.connect();
  const auto second = c.next<wire::Watch>();
  EXPECT_EQ(second.after, Revision(14));
  c.say(wire::Events{first.watch, batch_of({15}, 15)});  // not this connection's
  c.say(wire::Events{second.watch, batch_of({15, 16}, 16)});
  EXPECT_EQ(c.told(), (std::vector<uint64_t>{11, 11, 12, 15, 16}));
}

TEST(ClientWatch, FromNowOnBeginsWithTheFirstAnswer) {
  Watching c;
  c.watch(std::nullopt);
  c.next<wire::Watch>();
  c.lose();
  c.connect();
  const auto again = c.next<wire::Watch>();
  EXPECT_FALSE(again.after);
  c.say(wire::Events{again.watch, batch_of({}, 20)});
  c.lose();
  c.connect();
  EXPECT_EQ(c.next<wire::Watch>().after, Revision(20));
}

TEST(ClientWatch, OutOfOrderIsNotBelieved) {
  for (const auto& bad : {batch_of({10}, 12), batch_of({13}, 12), batch_of({12, 11}, 12), batch_of({}, 9)}) {
    Watching c;
    c.watch();
    c.say(wire::Events{c.next<wire::Watch>().watch, bad});
    EXPECT_EQ(c.cuts, 1);
    EXPECT_TRUE(c.told().empty());
  }
}

TEST(ClientWatch, CompactedIsItsLastWord) {
  Watching c;
  const WatchTag tag = c.watch();
  const auto watch = c.next<wire::Watch>();
  c.say(wire::Events{watch.watch, {.compacted = Revision(30), .upto = Revision(10)}});
  ASSERT_EQ(c.noticed<WatchEvents>().size(), 1u);
  EXPECT_EQ(c.noticed<WatchEvents>()[0].watch, tag);
  EXPECT_EQ(c.noticed<WatchEvents>()[0].batch.compacted, Revision(30));
  c.say(wire::Events{watch.watch, batch_of({31}, 31)});
  EXPECT_TRUE(c.told().empty());
}

TEST(ClientWatch, RefusedEndsIt) {
  Watching c;
  c.watch();
  c.say(wire::WatchRefused{c.next<wire::Watch>().watch, {Code::Denied, "no"}});
  EXPECT_EQ(c.noticed<WatchEnded>().at(0).error.code, Code::Denied);
  c.lose();
  c.connect();
  EXPECT_FALSE(c.maybe_next<wire::Watch>());
}

TEST(ClientWatch, UnwatchedNothingComesAnyMore) {
  Watching c;
  const WatchTag tag = c.watch();
  const auto watch = c.next<wire::Watch>();
  c.core.unwatch(tag, c.now_ns);
  c.drain();
  EXPECT_EQ(c.next<wire::Unwatch>().watch, watch.watch);
  c.say(wire::Events{watch.watch, batch_of({11}, 11)});
  EXPECT_TRUE(c.told().empty());
}

TEST(ClientWatch, AnApplicationThatTakesNothingStopsItAndMissesNothing) {
  Options options = test_options();
  options.watch_bytes_max = 1'000;
  Watching c(options);
  const WatchTag tag = c.watch();
  auto watch = c.next<wire::Watch>();
  uint64_t revision = 10;
  while (!c.maybe_next<wire::Unwatch>()) {
    ASSERT_LT(revision, 30u);
    c.say(wire::Events{watch.watch, batch_of({revision + 1}, revision + 1)});
    ++revision;
  }
  c.say(wire::Events{watch.watch, batch_of({revision + 1}, revision + 1)});  // was on its way
  EXPECT_EQ(c.told().size(), revision - 10);
  c.lose();
  c.connect();
  EXPECT_FALSE(c.maybe_next<wire::Watch>());
  for (const auto& events : c.noticed<WatchEvents>()) c.core.taken(tag, events.bytes, c.now_ns);
  c.drain();
  watch = c.next<wire::Watch>();
  EXPECT_EQ(watch.after, Revision(revision));
  c.say(wire::Events{watch.watch, batch_of({revision + 1}, revision + 1)});
  EXPECT_EQ(c.told().back(), revision + 1);
}

TEST(ClientWatch, TooManyAreRefused) {
  Options options = test_options();
  options.watches_max = 2;
  Watching c(options);
  for (int i = 0; i < 3; ++i) c.watch();
  ASSERT_EQ(c.noticed<WatchEnded>().size(), 1u);
  EXPECT_EQ(c.noticed<WatchEnded>()[0].error.code, Code::Exhausted);
}

}  // namespace
}  // namespace hailstone::cell::client
