// Nodes that register in a cell and see each other, over sockets.
#include "server/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "flip/testing.h"
#include "net/testing.h"

namespace hailstone::server {
namespace {

using flip::kSoon;
using flip::LoopThread;
using flip::TestCell;
using net::NodeId;
using testing::ElementsAre;
using Self = Roster::Self;

NodeEntry entry(uint64_t id) {
  return {.id = NodeId(id),
          .name = "node-" + std::to_string(id),
          .roles = {"gateway", "store"},
          .http = "10.0.0.1:80",
          .s3 = "10.0.0.1:81",
          .cell = "10.0.0.1:8082",
          .member = "10.0.0.1:8083",
          .data = "10.0.0.1:8084",
          .place = "a/r1/h" + std::to_string(id),
          .version = "1"};
}

/// A process with a client and a registry.
class Node {
 public:
  Node(const TestCell& cell, uint64_t id) : Node(cell, entry(id), StoreEntry{.id = NodeId(id), .place = "a/r1/h"}) {}
  Node(const TestCell& cell, NodeEntry self, std::optional<StoreEntry> store) {
    client::Options options;
    options.core.lease_ms = 2'000;
    options.cell = net::CellAddress::parse(cell.address()).value();
    thread.run([&] {
      client = client::CellClient::make(thread.loop, options, logger_).value();
      registry = std::make_unique<Registry>(thread.loop, *client, std::move(self), std::move(store), logger_,
                                            [this](const auto&) {
                                              const std::scoped_lock lock(mutex_);
                                              changed_.notify_all();
                                            });
    });
  }
  ~Node() {
    thread.run([&] { registry.reset(); });
    thread.run([&] { client->stop(); });
    thread.run([&] { client.reset(); });
    thread.loop.stop();
  }
  bool until(const std::function<bool(const Roster&)>& holds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, net::kPatience, [&] { return holds(*registry->now()); });
  }
  bool registered() {
    return until([](const Roster& roster) { return roster.complete && roster.self == Self::Registered; });
  }
  void put(Bytes path, Bytes content, client::PutOptions options = {}) {
    ASSERT_TRUE(thread.wait(client->open(kSoon)));
    ASSERT_TRUE(thread.wait(client->put(std::move(path), std::move(content), options, kSoon)));
  }

  LoopThread thread;
  std::unique_ptr<client::CellClient> client;
  std::unique_ptr<Registry> registry;

 private:
  NullLogger logger_;
  std::mutex mutex_;
  std::condition_variable changed_;
};

std::vector<uint64_t> ids(const auto& entries) {
  std::vector<uint64_t> out;
  for (const auto& [id, each] : entries) out.push_back(id.value);
  return out;
}

TEST(RegistryEntries, AreReadAsTheyAreWritten) {
  EXPECT_EQ(NodeEntry::from_json(NodeId(3), entry(3).to_json()).value(), entry(3));
  const StoreEntry store{.id = NodeId(4), .place = "a/b/c", .weight = 2.5, .state = StoreEntry::State::Draining};
  EXPECT_EQ(StoreEntry::from_json(NodeId(4), store.to_json()).value(), store);
  EXPECT_EQ(StoreEntry::from_json(NodeId(4), "{\"later\": 1}").value(), StoreEntry{.id = NodeId(4)});
  EXPECT_EQ(NodeEntry::from_json(NodeId(4), "{\"later\": 1}").value(), NodeEntry{.id = NodeId(4)});
}

TEST(RegistryEntries, WhatMakesNoSenseIsRefused) {
  for (const char* text :
       {"", "[]", "{\"place\": 3}", "{\"weight\": -1}", "{\"weight\": \"1\"}", "{\"state\": \"on\"}"})
    EXPECT_EQ(StoreEntry::from_json(NodeId(4), text).error().code, Code::Corrupt) << text;
  for (const char* text : {"", "7", "{\"http\": 3}", "{\"roles\": [1]}"})
    EXPECT_EQ(NodeEntry::from_json(NodeId(4), text).error().code, Code::Corrupt) << text;
}

TEST(Registry, NodesSeeEachOtherComeAndGo) {
  TestCell cell;
  Node one(cell, 1);
  ASSERT_TRUE(one.registered());
  {
    Node two(cell, 2);
    ASSERT_TRUE(two.until([](const Roster& roster) { return roster.nodes.size() == 2 && roster.stores.size() == 2; }));
    ASSERT_TRUE(one.until([](const Roster& roster) { return roster.nodes.size() == 2 && roster.stores.size() == 2; }));
    NodeEntry seen = one.registry->now()->nodes.at(NodeId(2));
    EXPECT_EQ(seen.term, two.registry->now()->term);
    EXPECT_GT(seen.term, one.registry->now()->term);
    seen.term = 0;
    EXPECT_EQ(seen, entry(2));
    ASSERT_TRUE(two.thread.wait(two.client->close(kSoon)));
    two.until([](const Roster& roster) { return roster.self == Self::Absent; });
  }
  ASSERT_TRUE(one.until([](const Roster& roster) { return ids(roster.nodes) == std::vector<uint64_t>{1}; }));
  EXPECT_THAT(ids(one.registry->now()->stores), ElementsAre(1, 2));  // its copies are counted on
}

TEST(Registry, AnotherSessionIsAnotherTerm) {
  TestCell cell;
  Node node(cell, 1);
  ASSERT_TRUE(node.registered());
  const uint64_t first = node.registry->now()->term;
  ASSERT_TRUE(node.thread.wait(node.client->close(kSoon)));
  ASSERT_TRUE(node.until([&](const Roster& roster) { return roster.self == Self::Registered && roster.term > first; }));
  ASSERT_TRUE(node.until([&](const Roster& roster) {
    return roster.nodes.contains(NodeId(1)) && roster.nodes.at(NodeId(1)).term == roster.term;
  }));
}

TEST(Registry, ASuccessorTakesOverWhatAnEarlierLifeLeft) {
  TestCell cell;
  std::optional<Node> first(std::in_place, cell, 1);
  ASSERT_TRUE(first->registered());
  const uint64_t term = first->registry->now()->term;
  Node second(cell, 1);  // the first one's session is there still
  ASSERT_TRUE(second.registered());
  EXPECT_GT(second.registry->now()->term, term);
  ASSERT_TRUE(first->until([](const Roster& roster) { return roster.self == Self::Absent; }));
  first.reset();
  EXPECT_TRUE(second.registered());
}

TEST(Registry, WhatAnOperatorRemovedComesBack) {
  TestCell cell;
  Node node(cell, 1);
  ASSERT_TRUE(node.registered());
  const uint64_t term = node.registry->now()->term;
  ASSERT_TRUE(node.thread.wait(node.client->remove("/nodes/1", 0, kSoon)));
  EXPECT_TRUE(node.until([&](const Roster& roster) { return roster.self == Self::Registered && roster.term > term; }));
}

TEST(Registry, AnOperatorsWordOnAStoreStays) {
  TestCell cell;
  Node operator_node(cell, entry(9), std::nullopt);
  operator_node.put("/stores/1", "{\"state\": \"draining\", \"place\": \"x/y/z\", \"weight\": 3}");
  Node node(cell, 1);
  ASSERT_TRUE(node.registered());
  ASSERT_TRUE(node.until([](const Roster& roster) { return roster.stores.contains(NodeId(1)); }));
  EXPECT_EQ(node.registry->now()->stores.at(NodeId(1)),
            (StoreEntry{.id = NodeId(1), .place = "x/y/z", .weight = 3, .state = StoreEntry::State::Draining}));
  EXPECT_THAT(ids(node.registry->now()->stores), ElementsAre(1));
  // A slip of the pen changes nothing.
  operator_node.put("/stores/1", "{\"state\": \"drained\"}");
  operator_node.put("/stores/2", "{\"state\": \"out\"}");
  ASSERT_TRUE(node.until([](const Roster& roster) { return roster.stores.contains(NodeId(2)); }));
  EXPECT_EQ(node.registry->now()->stores.at(NodeId(1)).state, StoreEntry::State::Draining);
}

TEST(Registry, GoesOnWhereTheHistoryIsForgotten) {
  TestCell cell;
  Node writer(cell, entry(9), std::nullopt), node(cell, 1);
  ASSERT_TRUE(writer.registered() && node.registered());
  cell::Settings settings;
  settings.history_events_max = 1;
  ASSERT_TRUE(writer.thread.wait(writer.client->command(cell::ChangeSettings{settings}, kSoon)));
  for (int i = 10; i < 20; ++i) {
    if (i % 3 == 0) cell.cut_connections();
    writer.put("/stores/" + std::to_string(i), "{}");
    ASSERT_TRUE(node.until([&](const Roster& roster) { return roster.stores.contains(NodeId(i)); }));
  }
}

TEST(Registry, SaysWhenItCannotKnow) {
  TestCell cell;
  Node node(cell, 1);
  ASSERT_TRUE(node.registered());
  cell.set_silent(true);
  ASSERT_TRUE(node.until([](const Roster& roster) { return roster.self == Self::Jeopardy; }));
  cell.set_silent(false);
  EXPECT_TRUE(node.registered());
}

}  // namespace
}  // namespace hailstone::server
