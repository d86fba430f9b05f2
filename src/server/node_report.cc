#include "server/node_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace hailstone::server {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kBehindSlots = 1000;  // less is what is on its way

Json to_json(const NodeReport::Group& group) {
  return {{"id", group.id},          {"leader", group.leader},     {"epoch", group.epoch},
          {"voters", group.voters},  {"learners", group.learners}, {"chosen", group.chosen},
          {"applied", group.applied}};
}

Json to_json(const NodeReport::Store& store) {
  Json out{{"chunks", store.chunks},         {"stored_bytes", store.stored_bytes},
           {"disk_bytes", store.disk_bytes}, {"quarantined", store.quarantined},
           {"free_bytes", store.free_bytes}, {"total_bytes", store.total_bytes}};
  out["missing_copies"] = store.missing_copies ? Json(*store.missing_copies) : Json(nullptr);
  return out;
}

/// The group as the one knows it that knows most: its leader, else who has the newest members and slots.
struct Known {
  NodeReport::Group group;
  std::map<uint64_t, uint64_t> applied;  // by node
};

std::map<uint64_t, Known> known_groups(const ClusterView& view) {
  std::map<uint64_t, Known> out;
  for (const auto& [node, report] : view.reports)
    for (const auto& group : report.groups) {
      Known& known = out[group.id];
      known.applied[node] = group.applied;
      const auto rank = [](const NodeReport::Group& g) { return std::tuple(g.epoch, g.chosen, g.leader != 0); };
      if (known.group.epoch == 0 || rank(known.group) < rank(group)) known.group = group;
    }
  // Whoever leads says so himself; others may not have heard that nobody does.
  for (auto& [id, known] : out) {
    const auto leads = [&](uint64_t node) {
      const auto report = view.reports.find(node);
      return report != view.reports.end() && std::ranges::any_of(report->second.groups, [&](const auto& group) {
               return group.id == id && group.leader == node;
             });
    };
    known.group.leader = 0;
    for (const auto& [node, report] : view.reports)
      if (leads(node)) known.group.leader = node;
  }
  return out;
}

/// Collects texts once each, in order.
class Texts {
 public:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    const std::string text = fmt::format(format, std::forward<Args>(args)...);
    if (std::ranges::find(texts_, text) == texts_.end()) texts_.push_back(text);
  }
  Json json() const { return texts_; }

 private:
  std::vector<std::string> texts_;
};

bool contains(const std::vector<uint64_t>& ids, uint64_t id) { return std::ranges::find(ids, id) != ids.end(); }

const char* state_name(StoreEntry::State state) {
  constexpr const char* kNames[] = {"in", "draining", "out"};
  return kNames[static_cast<size_t>(state)];
}

}  // namespace

Bytes NodeReport::to_json() const {
  Json out{{"healthy", healthy}, {"uptime_seconds", uptime_seconds}, {"groups", Json::array()}};
  for (const Group& group : groups) out["groups"].push_back(server::to_json(group));
  if (store) out["store"] = server::to_json(*store);
  return out.dump();
}

Result<NodeReport> NodeReport::from_json(ByteView text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return fail(Code::Corrupt, "a node's report is no JSON object");
  NodeReport out;
  try {  // of the wrong type: the only thing that can be wrong
    out.healthy = json.value("healthy", true);
    out.uptime_seconds = json.value("uptime_seconds", uint64_t{0});
    for (const Json& from : json.value("groups", Json::array())) {
      const auto number = [&](const char* name) { return from.value(name, uint64_t{0}); };
      out.groups.push_back({.id = number("id"),
                            .leader = number("leader"),
                            .epoch = number("epoch"),
                            .voters = from.value("voters", std::vector<uint64_t>()),
                            .learners = from.value("learners", std::vector<uint64_t>()),
                            .chosen = number("chosen"),
                            .applied = number("applied")});
    }
    if (json.contains("store")) {
      const Json& from = json["store"];
      const auto number = [&](const char* name) { return from.value(name, uint64_t{0}); };
      out.store = Store{.chunks = number("chunks"),
                        .stored_bytes = number("stored_bytes"),
                        .disk_bytes = number("disk_bytes"),
                        .quarantined = number("quarantined"),
                        .free_bytes = number("free_bytes"),
                        .total_bytes = number("total_bytes")};
      if (from.contains("missing_copies") && !from["missing_copies"].is_null())
        out.store->missing_copies = number("missing_copies");
    }
  } catch (const Json::exception& wrong) {
    return fail(Code::Corrupt, fmt::format("a node's report: {}", wrong.what()));
  }
  return out;
}

Json describe_cluster(const ClusterView& view) {
  const Roster& roster = *view.roster;
  const auto groups = known_groups(view);
  Texts pending, problems;
  Json out{{"node", view.self}, {"copies", view.copies}};

  // Everybody who is, votes, learns or keeps chunks.
  std::set<uint64_t> ids;
  for (const auto& [id, entry] : roster.nodes) ids.insert(id.value);
  for (const auto& [id, entry] : roster.stores) ids.insert(id.value);
  for (const auto& [id, known] : groups) {
    ids.insert(known.group.voters.begin(), known.group.voters.end());
    ids.insert(known.group.learners.begin(), known.group.learners.end());
  }
  if (!roster.complete) problems.add("node {} has not read the cell's list of nodes yet: this is not all", view.self);

  std::set<std::string> versions;
  out["nodes"] = Json::array();
  for (const uint64_t id : ids) {
    const auto entry = roster.nodes.find(net::NodeId(id));
    const auto report = view.reports.find(id);
    const bool registered = entry != roster.nodes.end(), answers = report != view.reports.end();
    Json node{{"id", id}, {"registered", registered}, {"answers", answers}, {"votes", false}};
    if (const auto root = groups.find(0); root != groups.end()) node["votes"] = contains(root->second.group.voters, id);
    if (registered) {
      const NodeEntry& is = entry->second;
      node.update(Json{{"name", is.name},
                       {"roles", is.roles},
                       {"http", is.http},
                       {"s3", is.s3},
                       {"cell", is.cell},
                       {"member", is.member},
                       {"data", is.data},
                       {"place", is.place},
                       {"version", is.version},
                       {"term", is.term}});
      versions.insert(is.version);
    }
    if (answers) {
      node["healthy"] = report->second.healthy;
      node["uptime_seconds"] = report->second.uptime_seconds;
      if (!report->second.healthy)
        problems.add("node {}: a write or sync has failed: look at its disk, and restart it", id);
    }
    if (!registered)
      problems.add("node {} is not there: start it, or replace it ('hailstone cluster replace {} NEW')", id, id);
    else if (!answers)
      problems.add("node {} is registered and does not answer node {}", id, view.self);
    out["nodes"].push_back(std::move(node));
  }
  if (versions.size() > 1) pending.add("versions {} side by side: upgrade the others", fmt::join(versions, " and "));

  size_t stores_in = 0;
  std::map<std::string, uint64_t> hosts;
  out["stores"] = Json::array();
  for (const auto& [id, entry] : roster.stores) {
    Json store{{"node", id.value},
               {"state", state_name(entry.state)},
               {"weight", entry.weight},
               {"place", entry.place},
               {"up", roster.nodes.contains(id)}};
    if (entry.state == StoreEntry::State::In) {
      ++stores_in;
      const auto [other, first] = hosts.try_emplace(entry.place, id.value);
      if (!first)
        problems.add("stores {} and {} are both at '{}': copies on them would be lost together", other->second,
                     id.value, entry.place);
    }
    const auto report = view.reports.find(id.value);
    if (report != view.reports.end() && report->second.store) {
      const NodeReport::Store& has = *report->second.store;
      store.update(to_json(has));
      if (has.quarantined > 0) problems.add("store {}: {} chunks are damaged", id.value, has.quarantined);
      if (has.missing_copies.value_or(0) > 0)
        pending.add("store {}: {} copies are to be fetched", id.value, *has.missing_copies);
      if (entry.state == StoreEntry::State::Draining)
        pending.add("store {} drains: {} chunks are there still", id.value, has.chunks);
    }
    out["stores"].push_back(std::move(store));
  }
  if (stores_in < view.copies && stores_in > 0)
    problems.add("{} copies of each chunk are wanted, and there are {} stores to keep them", view.copies, stores_in);

  out["groups"] = Json::array();
  const auto root = groups.find(0);
  for (const auto& [id, known] : groups) {
    const NodeReport::Group& is = known.group;
    Json group = to_json(is);
    group.erase("applied");
    group["applied"] = Json::array();
    for (const auto& [node, slot] : known.applied) {
      group["applied"].push_back({{"node", node}, {"slot", slot}});
      if (slot + kBehindSlots < is.chosen)
        pending.add("node {} is {} commands behind in group {}", node, is.chosen - slot, id);
    }
    if (is.leader == 0)
      problems.add("group {} has no leader that answers: it takes a majority of nodes {}", id,
                   fmt::join(is.voters, ", "));
    if (id != 0 && root != groups.end())
      for (const uint64_t voter : root->second.group.voters)
        if (!contains(is.voters, voter)) pending.add("node {} does not vote in group {} yet", voter, id);
    out["groups"].push_back(std::move(group));
  }

  Json unsettled = Json::array();
  for (const ChannelView& channel : view.unsettled) {
    unsettled.push_back({{"volume", channel.volume},
                         {"channel", channel.channel},
                         {"decided", {{"sequence", channel.decided}, {"release", channel.decided_release}}},
                         {"shown", nullptr},
                         {"excluded", channel.excluded}});
    if (channel.shown) unsettled.back()["shown"] = {{"sequence", *channel.shown}, {"release", channel.shown_release}};
    const std::string name = channel.volume + "@" + channel.channel;
    if (!channel.shown)
      problems.add("{}: what is shown of it cannot be confirmed now", name);
    else if (*channel.shown != channel.decided)
      pending.add("{}: release {} is decided and {} is shown: publish or flip again to finish it", name,
                  channel.decided_release, channel.shown_release);
    if (!channel.excluded.empty())
      pending.add("{}: nodes {} show it when they have caught up", name, fmt::join(channel.excluded, ", "));
  }
  out["channels"] = {{"count", view.channels}, {"unsettled", std::move(unsettled)}};
  out["pending"] = pending.json();
  out["problems"] = problems.json();
  return out;
}

}  // namespace hailstone::server
