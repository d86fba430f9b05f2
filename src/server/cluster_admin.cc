#include "server/cluster_admin.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>

namespace hailstone::server {
namespace {

using api::Json;

constexpr auto kAskPatience = std::chrono::milliseconds(1000);
constexpr int64_t kChannelWaitNs = 1'000'000'000;
constexpr size_t kChannelsLooked = 10'000;

std::vector<uint64_t> ids(const paxos::Config& config, bool voters) {
  std::vector<uint64_t> out;
  if (voters)
    for (const auto& voter : config.voters) out.push_back(voter.id.value);
  else
    for (const auto learner : config.learners) out.push_back(learner.value);
  std::ranges::sort(out);
  return out;
}

/// Calls that are answered on other threads, waited for together.
class Answers {
 public:
  void expect() {
    const std::scoped_lock lock(mutex_);
    ++open_;
  }
  template <class Keep>
  void arrived(Keep keep) {
    const std::scoped_lock lock(mutex_);
    keep();
    if (--open_ == 0) all_.notify_all();
  }
  /// Each is answered by its own deadline.
  void wait() {
    std::unique_lock lock(mutex_);
    all_.wait(lock, [&] { return open_ == 0; });
  }

 private:
  std::mutex mutex_;  // between those who answer and who waits
  std::condition_variable all_;
  size_t open_ = 0;
};

/// What the member that answered says of `id`: "voter", "learner", or "none".
std::string standing_of(const Json& status, uint64_t id) {
  for (const Json& member : status.value("members", Json::array()))
    if (member.value("id", uint64_t{0}) == id) return member.value("standing", std::string("none"));
  return "none";
}

std::string address_of(const Json& status, uint64_t id) {
  for (const Json& member : status.value("members", Json::array()))
    if (member.value("id", uint64_t{0}) == id) return member.value("address", std::string());
  return {};
}

bool passes(const Error& error) {
  return error.code == Code::Unavailable || error.code == Code::Conflict || error.code == Code::Timeout;
}

}  // namespace

ClusterAdmin::ClusterAdmin(server::Cluster& cluster, const volume::Repository& repository, OwnReport own_report)
    : cluster_(cluster), repository_(repository), own_report_(std::move(own_report)) {
  cluster_.set_reporter([this] { return report().to_json(); });
}

ClusterAdmin::~ClusterAdmin() { cluster_.set_reporter({}); }

NodeReport ClusterAdmin::report() const {
  NodeReport out = own_report_();
  for (const auto& [id, status] : cluster_.group_statuses())
    out.groups.push_back({.id = id.value,
                          .leader = status.leader.value,
                          .epoch = status.config.epoch,
                          .voters = ids(status.config, true),
                          .learners = ids(status.config, false),
                          .chosen = status.chosen.value,
                          .applied = status.applied.value});
  return out;
}

std::map<uint64_t, NodeReport> ClusterAdmin::ask_everybody() {
  struct Asked {
    Answers answers;
    std::map<uint64_t, NodeReport> reports;
  };
  const auto asked = std::make_shared<Asked>();
  const auto roster = cluster_.roster();
  for (const auto& [id, node] : roster->nodes) {
    if (id == cluster_.self()) continue;
    asked->answers.expect();
    const auto sent = cluster_.rpc().call(id, static_cast<uint16_t>(NodeMethod::Report), {}, kAskPatience,
                                          [asked, node_id = id](Result<Bytes> answer) {
                                            asked->answers.arrived([&] {
                                              if (!answer) return;
                                              if (auto report = NodeReport::from_json(*answer))
                                                asked->reports[node_id.value] = *std::move(report);
                                            });
                                          });
    if (!sent) asked->answers.arrived([] {});
  }
  asked->answers.wait();
  auto out = std::move(asked->reports);
  out[cluster_.self().value] = report();
  return out;
}

// Decided: by this node's state of the volume's group. Shown: by the cell's files, from memory where this node serves
// them.
void ClusterAdmin::look_at_channels(ClusterView& view) {
  struct Looked {
    Answers answers;
    std::vector<ChannelView> channels;
  };
  const auto looked = std::make_shared<Looked>();
  const auto state = repository_.published().load();
  for (const auto& [name, volume] : *state->volumes)
    for (const auto& [channel, flips] : volume->channels) {
      ++view.channels;
      if (looked->channels.size() < kChannelsLooked)
        looked->channels.push_back({.volume = name,
                                    .channel = channel,
                                    .decided = flips->back().sequence,
                                    .decided_release = flips->back().release.value,
                                    .shown = {},
                                    .shown_release = 0,
                                    .excluded = {}});
    }
  const int64_t deadline_ns = repository_.clock().monotonic_ns() + kChannelWaitNs;
  for (size_t i = 0; i < looked->channels.size(); ++i) {
    looked->answers.expect();
    const ChannelView& of = looked->channels[i];
    cluster_.channels().resolve(of.volume, of.channel, deadline_ns, [looked, i](Result<flip::LivePtr> live) {
      looked->answers.arrived([&] {
        if (!live) return;
        ChannelView& channel = looked->channels[i];
        const auto& file = (*live)->file;
        channel.shown = file ? file->current().sequence : 0;
        if (!file) return;
        channel.shown_release = file->current().release.value;
        for (const net::NodeId node : file->excluded) channel.excluded.push_back(node.value);
      });
    });
  }
  looked->answers.wait();
  for (ChannelView& channel : looked->channels) {
    // Flips that were decided after this state was taken may be shown already.
    if (channel.shown && *channel.shown > channel.decided) channel.decided = *channel.shown;
    if (!channel.settled()) view.unsettled.push_back(std::move(channel));
  }
}

Result<Json> ClusterAdmin::status() {
  ClusterView view{.self = cluster_.self().value,
                   .copies = cluster_.copies(),
                   .roster = cluster_.roster(),
                   .reports = ask_everybody(),
                   .channels = 0,
                   .unsettled = {}};
  look_at_channels(view);
  return describe_cluster(view);
}

Result<void> ClusterAdmin::use_store(uint64_t node, api::StoreUse use) {
  const auto roster = cluster_.roster();
  const auto found = roster->stores.find(net::NodeId(node));
  if (found == roster->stores.end()) return fail(Code::NotFound, fmt::format("node {} has no store", node));
  StoreEntry entry = found->second;
  entry.state = use == api::StoreUse::In ? StoreEntry::State::In : StoreEntry::State::Draining;
  return cluster_.write_store(entry);
}

Result<void> ClusterAdmin::forget(net::NodeId node) { return cluster_.remove_store(node); }

Result<void> ClusterAdmin::remove(uint64_t node, Lost lost) {
  const auto roster = cluster_.roster();
  const net::NodeId id(node);
  if (roster->nodes.contains(id))
    return fail(Code::Conflict, fmt::format("node {} is up: drain it ('hailstone cluster drain {}'), wait until its "
                                            "store is empty, stop it, then remove it",
                                            node, node));
  TRY(const Json root, cluster_.manage({{"op", "status"}}));
  const std::string standing = standing_of(root, node);
  if (standing == "voter")
    return fail(Code::Conflict, fmt::format("node {} votes: 'hailstone cell members remove {}' first, or 'hailstone "
                                            "cluster replace {} NEW' when its disk is lost",
                                            node, node, node));
  const auto store = roster->stores.find(id);
  if (store == roster->stores.end() && standing == "none")
    return fail(Code::NotFound, fmt::format("there is no node {}", node));
  if (store != roster->stores.end() && store->second.state == StoreEntry::State::In && lost == Lost::No)
    return fail(Code::Conflict, fmt::format("node {}'s store was not drained: start the node and drain it; or, if its "
                                            "disk is lost, say so (--lost)",
                                            node));
  if (standing == "learner") TRY_DO(cluster_.manage({{"op", "members.remove"}, {"id", node}}));
  return forget(id);
}

// Each step's outcome is seen in the cell: asking again, here or elsewhere, goes on where it is.
Result<api::Cluster::Step> ClusterAdmin::replace(uint64_t old, uint64_t by, const std::string& address) {
  TRY(const Json root, cluster_.manage({{"op", "status"}}));
  const std::string was = standing_of(root, old), is = standing_of(root, by);
  const auto step = [](Result<Json> done, std::string what) -> Result<Step> {
    if (done) return Step{false, std::move(what)};
    if (passes(done.error())) return Step{false, fmt::format("{} ({})", what, done.error().message)};
    return std::unexpected(std::move(done).error());
  };
  if (was == "voter" && is == "none") {
    const std::string at = address.empty() ? address_of(root, old) : address;
    return step(cluster_.manage({{"op", "members.add"}, {"id", by}, {"address", at}}),
                fmt::format("node {} at {} learns", by, at));
  }
  if (was == "voter" && is == "learner")
    return step(cluster_.manage({{"op", "members.promote"}, {"id", by}}),
                fmt::format("node {} is to vote when it has caught up", by));
  if (was != "none") {
    if (is == "none") return fail(Code::Conflict, fmt::format("node {} does not vote: nothing is to be replaced", old));
    return step(cluster_.manage({{"op", "members.remove"}, {"id", old}}), fmt::format("node {} is no member", old));
  }
  const auto roster = cluster_.roster();
  if (roster->nodes.contains(net::NodeId(old))) return Step{false, fmt::format("node {} is still up: stop it", old)};
  if (roster->stores.contains(net::NodeId(old))) {
    TRY_DO(forget(net::NodeId(old)));
    return Step{false, fmt::format("store {} is forgotten", old)};
  }
  if (!roster->nodes.contains(net::NodeId(by))) return Step{false, fmt::format("node {} is to register", by)};
  return Step{true, fmt::format("node {} is in place of node {}", by, old)};
}

}  // namespace hailstone::server
