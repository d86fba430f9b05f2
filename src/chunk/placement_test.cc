#include "chunk/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace hailstone::chunk {
namespace {

using net::NodeId;
using testing::HasSubstr;

ChunkId chunk(uint64_t n) { return ChunkId(sha256("chunk " + std::to_string(n))); }

std::vector<NodeId> sorted(std::vector<NodeId> ids) {
  std::ranges::sort(ids);
  return ids;
}

/// Up to 12 stores on 4 sites with 3 racks with 3 hosts each, some of them not In.
rc::Gen<std::vector<StoreInfo>> any_stores() {
  return rc::gen::map(rc::gen::container<std::vector<std::tuple<int, int, int, int, int>>>(
                          rc::gen::tuple(rc::gen::inRange(0, 4), rc::gen::inRange(0, 3), rc::gen::inRange(0, 3),
                                         rc::gen::inRange(1, 9), rc::gen::inRange(0, 8))),
                      [](const auto& parts) {
                        std::vector<StoreInfo> out;
                        for (const auto& [site, rack, host, weight, state] : parts) {
                          if (out.size() == 12) break;
                          out.push_back({.id = NodeId(out.size() + 1),
                                         .weight = weight / 2.0,
                                         .place = "s" + std::to_string(site) + "/r" + std::to_string(rack) + "/h" +
                                                  std::to_string(host),
                                         .state = state == 7   ? StoreState::Out
                                                  : state == 6 ? StoreState::Draining
                                                               : StoreState::In});
                        }
                        return out;
                      });
}

TEST(Placement, TakesItsPlacesFromTheGoldenList) {
  // What other nodes, versions and processors compute: never to change.
  std::vector<StoreInfo> stores;
  for (uint64_t i = 1; i <= 6; ++i)
    stores.push_back(
        {.id = NodeId(i), .weight = static_cast<double>(i), .place = "s/r" + std::to_string(i % 3) + "/h"});
  const auto placement = Placement::make(stores, 3).value();
  std::string all;
  for (uint64_t n = 0; n < 8; ++n)
    for (const NodeId id : placement.order(chunk(n)))
      all += std::to_string(id.value) + (all.size() % 7 == 5 ? " " : "");
  EXPECT_EQ(all, "546321 231654 642351 342615 156423 234651 126543 234651 ");
}

RC_GTEST_PROP(Placement, GivesEachChunkAsManyDifferentPlacesAsThereAre, ()) {
  const auto stores = *any_stores();
  const size_t copies = *rc::gen::inRange<size_t>(1, 6);
  const auto placement = Placement::make(stores, copies).value();
  std::set<std::string> sites, racks, hosts;
  size_t in = 0;
  const auto note = [](const StoreInfo& store, auto& s, auto& r, auto& h) {
    s.insert(store.place.substr(0, 2));
    r.insert(store.place.substr(0, 5));
    h.insert(store.place);
  };
  for (const StoreInfo& store : stores)
    if (store.state == StoreState::In) ++in, note(store, sites, racks, hosts);
  RC_ASSERT(placement.copies() == std::min(copies, in));
  for (uint64_t n = 0; n < 20; ++n) {
    const auto targets = placement.targets(chunk(n));
    RC_ASSERT(targets.size() == placement.copies());
    std::set<std::string> my_sites, my_racks, my_hosts;
    for (const NodeId id : targets) {
      RC_ASSERT(placement.find(id)->state == StoreState::In);
      note(*placement.find(id), my_sites, my_racks, my_hosts);
    }
    RC_ASSERT(std::set(targets.begin(), targets.end()).size() == targets.size());
    RC_ASSERT(my_sites.size() == std::min(sites.size(), targets.size()));
    RC_ASSERT(my_racks.size() == std::min(racks.size(), targets.size()));
    RC_ASSERT(my_hosts.size() == std::min(hosts.size(), targets.size()));
    const auto order = placement.order(chunk(n));
    RC_ASSERT(order.size() == in && std::set(order.begin(), order.end()).size() == in);
    RC_ASSERT(std::equal(targets.begin(), targets.end(), order.begin()));
  }
}

RC_GTEST_PROP(Placement, DoesNotDependOnTheOrderOfTheList, ()) {
  auto stores = *any_stores();
  const auto one = Placement::make(stores, 3).value();
  std::ranges::reverse(stores);
  const auto other = Placement::make(stores, 3).value();
  for (uint64_t n = 0; n < 10; ++n) RC_ASSERT(one.order(chunk(n)) == other.order(chunk(n)));
}

RC_GTEST_PROP(Placement, OnlyChunksOfAStoreMoveWhenItComesDrainsOrGoes, ()) {
  auto stores = *any_stores();
  RC_PRE(!stores.empty());
  for (StoreInfo& store : stores) store.state = StoreState::In;
  const NodeId changed = stores[*rc::gen::inRange<size_t>(0, stores.size())].id;
  const auto with = Placement::make(stores, 3).value();
  auto less = stores;
  const int how = *rc::gen::inRange(0, 3);
  if (how == 0) std::erase_if(less, [&](const StoreInfo& store) { return store.id == changed; });
  for (StoreInfo& store : less)
    if (store.id == changed) store.state = how == 1 ? StoreState::Draining : StoreState::Out;
  const auto without = Placement::make(less, 3).value();
  RC_ASSERT(without.readable(changed) == (how == 1));
  // With fewer stores than copies every chunk has one copy less; else only those of that store change.
  for (uint64_t n = 0; n < 50; ++n) {
    const auto targets = with.targets(chunk(n));
    const bool had_it = std::ranges::count(targets, changed) > 0;
    if (!had_it) RC_ASSERT(without.targets(chunk(n)) == targets);
    RC_ASSERT(std::ranges::count(without.order(chunk(n)), changed) == 0);
  }
}

// Where every store is a place of its own, exactly one copy moves, and each store's share is its weight's.
TEST(Placement, SharesByWeightAndMovesNoMore) {
  constexpr uint64_t kChunks = 20'000;
  std::vector<StoreInfo> stores;
  for (uint64_t i = 1; i <= 8; ++i)
    stores.push_back({.id = NodeId(i), .weight = i % 2 ? 1.0 : 2.0, .place = "s/r/h" + std::to_string(i)});
  const auto one_copy = Placement::make(stores, 1).value();
  std::map<NodeId, double> held;
  for (uint64_t n = 0; n < kChunks; ++n) ++held[one_copy.targets(chunk(n))[0]];
  for (const StoreInfo& store : stores) {
    const double share = store.weight / 12, sigma = std::sqrt(kChunks * share * (1 - share));
    EXPECT_NEAR(held[store.id], kChunks * share, 5 * sigma) << store.id.value;
  }
  const auto before = Placement::make(stores, 3).value();
  stores.push_back({.id = NodeId(9), .weight = 2, .place = "s/r/h9"});
  const auto after = Placement::make(stores, 3).value();
  uint64_t moved = 0, arrived = 0;
  for (uint64_t n = 0; n < kChunks; ++n) {
    const auto old_targets = sorted(before.targets(chunk(n))), new_targets = sorted(after.targets(chunk(n)));
    std::vector<NodeId> gone;
    std::ranges::set_difference(old_targets, new_targets, std::back_inserter(gone));
    moved += gone.size();
    arrived += std::ranges::count(new_targets, NodeId(9));
  }
  EXPECT_EQ(moved, arrived);
  EXPECT_LT(moved, kChunks * 3 * 2 / 14 * 12 / 10) << "about its share of the weights";
}

TEST(Placement, ClipsCopiesToTheStoresThereAre) {
  EXPECT_EQ(Placement::make({}, 3)->copies(), 0u);
  EXPECT_TRUE(Placement::make({}, 3)->targets(chunk(1)).empty());
  const auto two = Placement::make({{.id = NodeId(1)}, {.id = NodeId(2)}, {.id = NodeId(3), .weight = 0}}, 3).value();
  EXPECT_EQ(two.copies(), 2u);
  EXPECT_EQ(two.quorum(), 2u);
  EXPECT_EQ(Placement::make({{.id = NodeId(1)}}, 3)->quorum(), 1u);
  EXPECT_EQ(Placement::make({{.id = NodeId(1)}, {.id = NodeId(2)}, {.id = NodeId(3)}}, 9)->quorum(), 2u);
}

TEST(Placement, RefusesListsThatMakeNoSense) {
  EXPECT_EQ(Placement::make({}, 0).error().code, Code::Invalid);
  EXPECT_EQ(Placement::make({{.id = NodeId(0)}}, 1).error().code, Code::Invalid);
  EXPECT_THAT(Placement::make({{.id = NodeId(7)}, {.id = NodeId(7)}}, 1).error().message, HasSubstr("node-7"));
  EXPECT_EQ(Placement::make({{.id = NodeId(7), .weight = -1}}, 1).error().code, Code::Invalid);
  EXPECT_EQ(Placement::make({{.id = NodeId(7), .weight = std::nan("")}}, 1).error().code, Code::Invalid);
}

TEST(Placement, KnowsHowFarPlacesAreApart) {
  const auto at = [](uint64_t id, std::string place) { return StoreInfo{.id = NodeId(id), .place = std::move(place)}; };
  EXPECT_EQ(distance(at(1, "a/b/c"), at(2, "a/b/c")), Distance::SameHost);
  EXPECT_EQ(distance(at(1, "a/b/c"), at(2, "a/b/d")), Distance::SameRack);
  EXPECT_EQ(distance(at(1, "a/b/c"), at(2, "a/x/c")), Distance::SameSite);
  EXPECT_EQ(distance(at(1, "a/b/c"), at(2, "x/b/c")), Distance::Elsewhere);
  EXPECT_EQ(distance(at(1, "a/b"), at(2, "a/b")), Distance::SameRack) << "two nodes, so two hosts unless told";
  EXPECT_EQ(distance(at(1, ""), at(2, "")), Distance::Elsewhere);
  EXPECT_EQ(distance(at(1, ""), at(1, "")), Distance::SameHost);
}

}  // namespace
}  // namespace hailstone::chunk
