#include "server/node_report.h"

#include <gtest/gtest.h>

namespace hailstone::server {
namespace {

using Json = nlohmann::json;

NodeReport report_of(uint64_t node, uint64_t leader = 1) {
  NodeReport out{.healthy = true, .uptime_seconds = 5, .groups = {}, .store = NodeReport::Store{.chunks = 10 * node}};
  for (uint64_t group = 0; group < 3; ++group)
    out.groups.push_back({.id = group, .leader = leader, .epoch = 1, .voters = {1, 2, 3}, .chosen = 90, .applied = 90});
  return out;
}

/// Three nodes, all well.
struct Cell {
  Roster roster{.complete = true};
  ClusterView view{.self = 1, .copies = 3, .channels = 2};
  Cell() {
    for (uint64_t id = 1; id <= 3; ++id) {
      roster.nodes[net::NodeId(id)] = {.id = net::NodeId(id), .place = std::to_string(id), .version = "1.0"};
      roster.stores[net::NodeId(id)] = {.id = net::NodeId(id), .place = std::to_string(id)};
      view.reports[id] = report_of(id);
    }
  }
  Json described() {
    view.roster = std::make_shared<const Roster>(roster);
    return describe_cluster(view);
  }
};

bool says(const Json& texts, std::string_view part) {
  return std::ranges::any_of(texts, [&](const Json& text) { return text.get<std::string>().contains(part); });
}

TEST(NodeReport, SurvivesItsJson) {
  NodeReport report = report_of(2);
  EXPECT_EQ(NodeReport::from_json(report.to_json()).value(), report);
  report.store->missing_copies = 7;
  EXPECT_EQ(NodeReport::from_json(report.to_json()).value(), report);
  report.store.reset();
  EXPECT_EQ(NodeReport::from_json(report.to_json()).value(), report);
}

TEST(NodeReport, OfAnotherVersionIsReadAsFarAsItGoes) {
  const auto read = NodeReport::from_json(R"({"groups":[{"id":1,"mood":"good"}],"new":[1]})");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->groups.at(0).id, 1u);
}

TEST(NodeReport, OfWrongTypesIsRefused) {
  for (const char* text : {"", "[]", "{\"groups\":3}", "{\"groups\":[3]}", "{\"healthy\":\"no\"}", "{\"store\":1}",
                           "{\"groups\":[{\"voters\":[\"a\"]}]}"})
    EXPECT_FALSE(NodeReport::from_json(text)) << text;
}

TEST(ClusterStatus, OfACellThatIsWellHasNothingToSay) {
  const Json told = Cell().described();
  EXPECT_EQ(told["problems"], Json::array());
  EXPECT_EQ(told["pending"], Json::array());
  EXPECT_EQ(told["nodes"].size(), 3u);
  EXPECT_EQ(told["nodes"][0]["votes"], true);
  EXPECT_EQ(told["stores"][2]["chunks"], 30);
  EXPECT_EQ(told["groups"][0]["leader"], 1);
}

TEST(ClusterStatus, NamesAVoterThatIsNotThere) {
  Cell cell;
  cell.roster.nodes.erase(net::NodeId(3));
  cell.view.reports.erase(3);
  const Json told = cell.described();
  EXPECT_TRUE(says(told["problems"], "node 3 is not there"));
  EXPECT_EQ(told["nodes"][2]["registered"], false);
  EXPECT_EQ(told["stores"][2]["up"], false);
}

TEST(ClusterStatus, DoesNotTakeAnothersWordForALeader) {
  Cell cell;
  cell.view.reports.erase(1);  // nodes 2 and 3 have not heard yet that it is gone
  const Json told = cell.described();
  EXPECT_EQ(told["groups"][1]["leader"], 0);
  EXPECT_TRUE(says(told["problems"], "group 1 has no leader that answers"));
  EXPECT_TRUE(says(told["problems"], "node 1 is registered and does not answer"));
}

TEST(ClusterStatus, TellsWhatIsUnderWay) {
  Cell cell;
  cell.roster.stores[net::NodeId(2)].state = StoreEntry::State::Draining;
  cell.roster.nodes[net::NodeId(2)].version = "1.1";
  cell.view.reports[3].groups[1].applied = 5;
  cell.view.reports[1].groups[1].chosen = 5000;
  cell.view.reports[1].groups[2].epoch = 2;
  cell.view.reports[1].groups[2].voters = {1, 2};
  cell.view.reports[3].store->missing_copies = 4;
  const Json told = cell.described();
  EXPECT_TRUE(says(told["pending"], "store 2 drains: 20 chunks"));
  EXPECT_TRUE(says(told["pending"], "versions 1.0 and 1.1"));
  EXPECT_TRUE(says(told["pending"], "node 3 is 4995 commands behind in group 1"));
  EXPECT_TRUE(says(told["pending"], "node 3 does not vote in group 2 yet"));
  EXPECT_TRUE(says(told["pending"], "store 3: 4 copies are to be fetched"));
  EXPECT_TRUE(says(told["problems"], "3 copies of each chunk are wanted, and there are 2 stores"));
}

TEST(ClusterStatus, TellsCopiesThatWouldBeLostTogetherAndDamage) {
  Cell cell;
  cell.roster.stores[net::NodeId(2)].place = "1";
  cell.view.reports[3].store->quarantined = 2;
  const Json told = cell.described();
  EXPECT_TRUE(says(told["problems"], "stores 1 and 2 are both at '1'"));
  EXPECT_TRUE(says(told["problems"], "store 3: 2 chunks are damaged"));
}

TEST(ClusterStatus, TellsChannelsThatShowLessThanWasDecided) {
  Cell cell;
  cell.view.unsettled = {{.volume = "v",
                          .channel = "current",
                          .decided = 7,
                          .decided_release = 9,
                          .shown = 6,
                          .shown_release = 8,
                          .excluded = {}},
                         {.volume = "v",
                          .channel = "next",
                          .decided = 2,
                          .decided_release = 9,
                          .shown = {},
                          .shown_release = 0,
                          .excluded = {}},
                         {.volume = "w",
                          .channel = "current",
                          .decided = 1,
                          .decided_release = 1,
                          .shown = 1,
                          .shown_release = 1,
                          .excluded = {3}}};
  const Json told = cell.described();
  EXPECT_TRUE(says(told["pending"], "v@current: release 9 is decided and 8 is shown"));
  EXPECT_TRUE(says(told["problems"], "v@next: what is shown of it cannot be confirmed"));
  EXPECT_TRUE(says(told["pending"], "w@current: nodes 3 show it when they have caught up"));
  EXPECT_EQ(told["channels"]["unsettled"][0]["shown"]["release"], 8);
  EXPECT_EQ(told["channels"]["unsettled"][1]["shown"], nullptr);
}

}  // namespace
}  // namespace hailstone::server
