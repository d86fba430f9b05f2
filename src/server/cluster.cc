#include "server/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <set>

#include "base/codec.h"
#include "replica/balance.h"
#include "server/cell_member.h"
#include "server/node.h"
#include "server/version.h"

namespace hailstone::server {
namespace {

constexpr uint8_t kSecretsVersion = 1;
constexpr auto kPreparePatience = std::chrono::milliseconds(1500);
constexpr int64_t kApplyWaitNs = 1'200'000'000;  // of a node asked to prepare; less than the asker's patience
constexpr int64_t kSilentNs = 5'000'000'000;     // who did not answer is not waited for this long
constexpr int64_t kBalanceEveryNs = 5'000'000'000;
constexpr auto kKeepEvery = std::chrono::milliseconds(500);
constexpr client::Within kShow{10'000}, kQueue{30'000};
constexpr size_t kPrepareMax = 1024;

/// How far each group must be applied.
using Places = std::map<uint8_t, Slot>;

Bytes encode(const Places& places) {
  Bytes out;
  Encoder encoder(out);
  encoder.varint(places.size());
  for (const auto& [group, slot] : places) {
    encoder.u8(group);
    encoder.varint(slot.value);
  }
  return out;
}

Result<Places> decode_places(ByteView bytes) {
  Decoder in(bytes);
  Places out;
  const uint64_t count = in.varint();
  if (count > kPrepareMax) return fail(Code::Corrupt, fmt::format("a prepare of {} groups", count));
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    const uint8_t group = in.u8();
    out[group] = Slot(in.varint());
  }
  if (!in.done()) return fail(Code::Corrupt, "malformed prepare");
  return out;
}

chunk::StoreInfo info_of(const StoreEntry& entry) {
  constexpr chunk::StoreState kStates[] = {chunk::StoreState::In, chunk::StoreState::Draining, chunk::StoreState::Out};
  return {entry.id, entry.weight, entry.place, kStates[static_cast<size_t>(entry.state)]};
}

std::string place_of(const Config& config) {
  return config.cluster.place.empty() ? fmt::format("site/rack/node-{}", config.cell.id) : config.cluster.place;
}

}  // namespace

Bytes Secrets::encode() const {
  Bytes out;
  Encoder encoder(out);
  encoder.u8(kSecretsVersion);
  encoder.bytes(master_key);
  encoder.bytes(signing_key);
  return out;
}

Result<Secrets> Secrets::decode(ByteView bytes) {
  Decoder in(bytes);
  if (in.u8() != kSecretsVersion) return fail(Code::Unsupported, "secrets of another version");
  Secrets out;
  out.master_key = in.bytes();
  out.signing_key = in.bytes();
  if (!in.done()) return fail(Code::Corrupt, "malformed secrets");
  return out;
}

Cluster::Cluster(const Config& config, GroupHost& groups, chunk::LocalStore* local, Clock& clock, Logger& logger)
    : config_(config),
      groups_(groups),
      clock_(clock),
      logger_(logger),
      term_(static_cast<uint64_t>(clock.wall().value)),
      rpc_({}, logger) {
  store_ = std::make_unique<chunk::ClusterStore>(chunk::ClusterStoreOptions{.self = net::NodeId(config.cell.id),
                                                                            .term = term_,
                                                                            .place = place_of(config),
                                                                            .copies = config.cluster.copies},
                                                 local, rpc_, logger);
  // Until the cell has said which stores there are, it is this one, or nothing can be put.
  if (local && groups.alone()) {
    const auto own = store_->set_stores({{.id = net::NodeId(config.cell.id), .weight = 1, .place = place_of(config)}});
    if (!own) logger.error("own_store_unusable", {{"error", own.error().message}});
  }
  rpc_.serve(static_cast<uint16_t>(NodeMethod::Prepare),
             [this](net::NodeId, ByteView body) { return on_prepare(body); });
  rpc_.serve(static_cast<uint16_t>(NodeMethod::Secrets), [this](net::NodeId, ByteView) { return on_secrets(); });
  rpc_.serve(static_cast<uint16_t>(NodeMethod::Report), [this](net::NodeId, ByteView) -> Result<Bytes> {
    const std::scoped_lock lock(reporter_mutex_);
    if (!reporter_) return fail(Code::Unavailable, "this node is starting, or stopping");
    return reporter_();
  });
}

Cluster::~Cluster() { stop(); }

template <class Work>
void Cluster::on_loop(Work work) {
  std::promise<void> done;
  net::asio::post(loop_, [&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

Result<void> Cluster::start(uint16_t cell_port, volume::Repository& repository) {
  repository_ = &repository;
  const CellConfig& cell = config_.cell;
  net::TcpOptions options{.self = net::NodeId(cell.id), .cell = cell.name, .tls = cell.tls()};
  options.listen_host = cell.address;
  options.listen_port = cell.data_port;
  options.plain = cell.plain();
  options.queue_bytes_max = 64u << 20;
  TRY(net_, net::TcpTransport::start(options, rpc_, logger_));
  rpc_.start(*net_);

  cell_address_ = cell_port != 0 ? net::to_string(net::HostPort{cell.host(), cell_port}) : std::string();
  client::Options client;
  const std::string at = cell_port != 0 ? cell_address_ : cell.at;
  TRY(client.cell, net::CellAddress::parse(at));
  client.tls = cell.tls();
  client.plain = cell.plain_anywhere ? net::StreamOptions::Plain::Anywhere : net::StreamOptions::Plain::LoopbackOnly;
  client.core.caching = client::core::Options::Caching::On;
  client.core.drops = client::core::Options::Drops::Told;
  client.core.reopen = client::core::Options::Reopen::AtOnce;
  TRY(client_, client::CellClient::make(loop_, std::move(client), logger_));
  channels_ = std::make_unique<flip::LiveChannels>(loop_, *client_, clock_);
  flipper_ = std::make_unique<flip::Flipper>(*client_, clock_);
  work_.emplace(net::asio::make_work_guard(loop_));
  thread_ = std::thread([this] { loop_.run(); });
  keeper_ = std::thread([this] { keep_groups(); });
  return {};
}

void Cluster::announce(const std::string& http, const std::string& s3) {
  const CellConfig& cell = config_.cell;
  const auto here = [&](uint16_t port) { return net::to_string(net::HostPort{cell.host(), port}); };
  NodeEntry self{.id = net::NodeId(cell.id),
                 .name = fmt::format("node-{}", cell.id),
                 .roles = config_.node.roles,
                 .http = http,
                 .s3 = s3,
                 .cell = cell_address_,
                 .member = here(groups_.port()),
                 .data = here(net_->port()),
                 .place = place_of(config_),
                 .version = std::string(kVersion),
                 .life = term_};
  std::optional<StoreEntry> store;
  if (config_.has_role(kStoreRole))
    store = StoreEntry{.id = self.id, .place = self.place, .weight = static_cast<double>(config_.cluster.weight)};
  on_loop([&] {
    registry_ = std::make_unique<Registry>(loop_, *client_, self, store, logger_,
                                           [this](const auto& roster) { on_roster(roster); });
  });
}

void Cluster::on_roster(const std::shared_ptr<const Roster>& roster) {
  {
    const std::scoped_lock lock(mutex_);
    roster_ = roster;
  }
  if (!roster->complete) return;
  std::vector<net::PeerAddress> members, data;
  std::vector<net::NodeId> writers;
  for (const auto& [id, node] : roster->nodes) {
    for (const auto& [address, list] : {std::pair(&node.member, &members), std::pair(&node.data, &data)}) {
      auto parsed = parse_address(*address);
      if (!parsed) continue;
      parsed->id = id;
      if (auto usable = groups_.check_address(*parsed); !usable) {
        logger_.warn("node_not_reached", {{"id", id.value}, {"error", usable.error().message}});
        continue;
      }
      list->push_back(*std::move(parsed));
    }
    writers.push_back(id);
    // It registers when its groups have told it all that was acknowledged: what an earlier life of it had begun is done
    // by then, or never will be.
    if (auto* sessions = store_->sessions()) sessions->fence(id, node.life);
  }
  if (auto used = groups_.set_peers(GroupHost::Source::Nodes, std::move(members)); !used)
    logger_.error("nodes_unusable", {{"error", used.error().message}});
  if (auto used = net_->set_peers(std::move(data)); !used)
    logger_.error("nodes_unusable", {{"error", used.error().message}});
  std::vector<chunk::StoreInfo> stores;
  for (const auto& [id, entry] : roster->stores) {
    stores.push_back(info_of(entry));
    if (!roster->nodes.contains(id)) writers.push_back(id);  // it may come back with what it had begun
  }
  if (!stores.empty())
    if (auto used = store_->set_stores(std::move(stores)); !used)
      logger_.error("stores_unusable", {{"error", used.error().message}});
  if (auto* sessions = store_->sessions()) sessions->set_writers(std::move(writers));
  wake_.notify_all();
}

// ---- what nodes ask each other ----

Result<Bytes> Cluster::on_prepare(ByteView body) {
  TRY(const auto places, decode_places(body));
  if (!repository_) return fail(Code::Unavailable, "this node is starting");
  for (const auto& [group, slot] : places) {
    const auto& shards = repository_->shards();
    if (group < kFirstGroup || group - kFirstGroup >= static_cast<int>(shards.size()))
      return fail(Code::Invalid, fmt::format("no group {} here: is cluster.groups the same on all nodes?", group));
    std::promise<Result<void>> applied;
    auto done = applied.get_future();
    shards[group - kFirstGroup].group->wait_applied(
        slot, kApplyWaitNs, [&](Result<void> reached) { applied.set_value(std::move(reached)); });
    TRY_DO(done.get());
  }
  return Bytes();
}

Result<Bytes> Cluster::on_secrets() const {
  const std::scoped_lock lock(mutex_);
  if (!secrets_) return fail(Code::Unavailable, "this node has no keys yet");
  return secrets_->encode();
}

void Cluster::set_secrets(Secrets secrets) {
  const std::scoped_lock lock(mutex_);
  secrets_ = std::move(secrets);
}

Result<Secrets> Cluster::ask_for_secrets() {
  Error last{Code::Unavailable, "no other node is known yet"};
  for (const auto& [id, node] : roster()->nodes) {
    if (id.value == config_.cell.id) continue;
    auto answer = rpc_.call_and_wait(id, static_cast<uint16_t>(NodeMethod::Secrets), {}, kPreparePatience);
    if (answer) return Secrets::decode(*answer);
    last = std::move(answer).error();
  }
  return std::unexpected(std::move(last));
}

// ---- flips ----

publish::RolloutReport Cluster::prepare_others(const Bytes& request) {
  struct Asked {
    std::mutex mutex;  // between the transport's thread and this one; guards the two below
    std::condition_variable answered;
    std::map<net::NodeId, bool> answers;
  };
  auto asked = std::make_shared<Asked>();
  publish::RolloutReport report;
  std::set<net::NodeId> waiting;
  const auto roster = this->roster();
  const int64_t now = clock_.monotonic_ns();
  for (const auto& [id, node] : roster->nodes) {
    if (id.value == config_.cell.id || std::ranges::find(node.roles, kGatewayRole) == node.roles.end()) continue;
    bool silent = false;
    {
      const std::scoped_lock lock(mutex_);
      const auto known = silent_until_ns_.find(id);
      silent = known != silent_until_ns_.end() && known->second > now;
    }
    const auto sent = silent ? Result<net::Rpc::CallId>(fail(Code::Unavailable, "silent"))
                             : rpc_.call(id, static_cast<uint16_t>(NodeMethod::Prepare), request, kPreparePatience,
                                         [asked, node_id = id](Result<Bytes> answer) {
                                           const std::scoped_lock lock(asked->mutex);
                                           asked->answers[node_id] = answer.has_value();
                                           asked->answered.notify_all();
                                         });
    if (sent)
      waiting.insert(id);
    else
      report.excluded.push_back(id.value);
  }
  std::unique_lock lock(asked->mutex);
  asked->answered.wait(lock, [&] { return asked->answers.size() == waiting.size(); });
  for (const auto& [id, ready] : asked->answers) {
    (ready ? report.ready : report.excluded).push_back(id.value);
    if (ready) continue;
    const std::scoped_lock held(mutex_);
    silent_until_ns_[id] = clock_.monotonic_ns() + kSilentNs;
  }
  return report;
}

Result<publish::RolloutReport> Cluster::show(const std::vector<publish::Channel>& channels) {
  std::vector<flip::Showing> showing;
  Places places;
  for (const auto& channel : channels) {
    TRY(const auto v, repository_->volume(channel.volume));
    TRY(auto flips, repository_->newest_flips(*v, channel.channel, flip::kFlipsKept));
    if (flips.empty()) continue;
    const auto& shard = repository_->shard(v->record.id);
    places[volume::group_of(v->record.id)] = shard.group->applied_slot();
    showing.push_back({channel.volume, v->record.id, channel.channel, std::move(flips)});
  }
  if (showing.empty()) return publish::RolloutReport{};
  auto report = prepare_others(encode(places));
  report.ready.push_back(config_.cell.id);
  std::vector<net::NodeId> excluded;
  for (const uint64_t id : report.excluded) excluded.emplace_back(id);
  flip::BlockingFlipper flipper(loop_, *flipper_);
  TRY_DO(flipper.show(std::move(showing), std::move(excluded), kShow));
  return report;
}

Result<void> Cluster::forget(const Bytes& volume) {
  flip::BlockingFlipper flipper(loop_, *flipper_);
  return flipper.remove_volume(volume, kShow);
}

// One lock of this node's session for each volume: threads of this node come one after the other.
std::shared_ptr<void> Cluster::queue_up(const Bytes& volume) {
  struct Turn {
    Cluster& cluster;
    std::shared_ptr<std::mutex> own;
    std::unique_lock<std::mutex> held;
    Bytes path;
    ~Turn() {
      static_cast<void>(
          net::asio::co_spawn(cluster.loop_, cluster.client_->unlock(path, kQueue), net::asio::use_future).get());
    }
  };
  std::shared_ptr<std::mutex> own;
  {
    const std::scoped_lock lock(mutex_);
    auto& known = queues_[volume];
    if (!known) known = std::make_shared<std::mutex>();
    own = known;
  }
  std::unique_lock held(*own);
  Bytes path = fmt::format("/locks/publish/{}", volume);
  if (!net::asio::co_spawn(loop_, client_->lock(path, {}, kQueue), net::asio::use_future).get()) return nullptr;
  return std::make_shared<Turn>(*this, std::move(own), std::move(held), std::move(path));
}

// ---- members of the groups ----

// Voters of a repository group are the cell's members, everybody else who is registered learns; one change at a time,
// by whoever leads the group. Who is neither registered, nor a member, nor has a store, has left.
void Cluster::keep_group(paxos::GroupId id, const Roster& roster, const paxos::Config& root) {
  if (repository_->shards()[id.value - kFirstGroup].group->leader() != groups_.self()) return;
  const paxos::Config now = groups_.host().status(id).config;
  paxos::Config next = now;
  // Who was added to the cell learns here before it can register: it does so when it knows what was acknowledged.
  std::set<paxos::ReplicaId> wanted(root.learners.begin(), root.learners.end());
  for (const auto& voter : root.voters) wanted.insert(voter.id);
  for (const auto& [node, entry] : roster.nodes) wanted.insert(replica::replica_of(node));
  for (const auto replica : wanted) {
    if (now.is_voter(replica) || now.is_learner(replica)) continue;
    next.learners.push_back(replica);
    break;
  }
  if (next == now)
    for (const auto& voter : root.voters)
      if (now.is_learner(voter.id)) {
        std::erase(next.learners, voter.id);
        next.voters.push_back({.id = voter.id});
        break;
      }
  if (next == now)
    for (const auto& voter : now.voters)
      if (!root.is_voter(voter.id) && now.voters.size() > 1) {
        std::erase_if(next.voters, [&](const auto& each) { return each.id == voter.id; });
        if (roster.nodes.contains(replica::node_of(voter.id))) next.learners.push_back(voter.id);
        break;
      }
  if (next == now)
    for (const auto& learner : now.learners) {
      const auto node = replica::node_of(learner);
      if (roster.nodes.contains(node) || roster.stores.contains(node) || root.is_learner(learner)) continue;
      std::erase(next.learners, learner);
      break;
    }
  if (next == now) return;
  next.epoch = now.epoch + 1;
  groups_.host().reconfigure(id, next, [this, id](Result<void> changed) {
    if (!changed) logger_.info("group_members_not_changed", {{"group", id.value}, {"error", changed.error().message}});
  });
}

// Loads are commands applied since the last time: they grow alike on all members.
void Cluster::balance_leaders(const Roster& roster) {
  std::vector<replica::LedGroup> groups;
  applied_.resize(repository_->shards().size());
  for (size_t i = 0; i < repository_->shards().size(); ++i) {
    const replica::Group& group = *repository_->shards()[i].group;
    const Slot applied = group.applied_slot();
    const paxos::GroupId id(kFirstGroup + i);
    replica::LedGroup led{
        .group = id, .leader = group.leader(), .load = applied.value - applied_[i].value, .voters = {}};
    applied_[i] = applied;
    for (const auto& voter : groups_.host().status(id).config.voters)
      if (roster.nodes.contains(replica::node_of(voter.id)) &&
          (voter.id == groups_.self() || rpc_.connected(replica::node_of(voter.id))))
        led.voters.push_back(voter.id);
    groups.push_back(std::move(led));
  }
  if (const auto plan = replica::plan_handover(groups_.self(), groups)) {
    logger_.info("leader_handed_over", {{"group", plan->group.value}, {"to", plan->to.value}});
    groups_.host().resign(plan->group, plan->to);
  }
}

void Cluster::keep_groups() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    wake_.wait_for(lock, kKeepEvery);
    if (stopping_) return;
    lock.unlock();
    const auto known = roster();
    if (known->complete && config_.has_role(kMemberRole)) {
      const paxos::Config root = groups_.host().status(kRootGroup).config;
      for (size_t i = 0; i < repository_->shards().size(); ++i)
        keep_group(paxos::GroupId(kFirstGroup + i), *known, root);
      if (const int64_t now = clock_.monotonic_ns(); now >= balance_ns_) {
        balance_ns_ = now + kBalanceEveryNs;
        balance_leaders(*known);
      }
    }
    lock.lock();
  }
}

// ---- for who looks after the cell ----

std::vector<std::pair<paxos::GroupId, replica::GroupStatus>> Cluster::group_statuses() const {
  std::vector<std::pair<paxos::GroupId, replica::GroupStatus>> out;
  const auto add = [&](paxos::GroupId id) { out.emplace_back(id, groups_.host().status(id)); };
  if (config_.has_role(kMemberRole)) add(kRootGroup);
  for (size_t i = 0; i < repository_->shards().size(); ++i) add(paxos::GroupId(kFirstGroup + i));
  return out;
}

void Cluster::set_reporter(std::function<Bytes()> reporter) {
  const std::scoped_lock lock(reporter_mutex_);
  reporter_ = std::move(reporter);
}

template <class T>
Result<T> Cluster::call_cell(net::Task<client::Called<T>> call) {
  std::promise<client::Called<T>> promise;
  net::asio::co_spawn(loop_, std::move(call), [&](const std::exception_ptr& thrown, client::Called<T> done) {
    if (thrown) std::rethrow_exception(thrown);  // a bug, on the loop's thread
    promise.set_value(std::move(done));
  });
  auto done = promise.get_future().get();
  if (!done) return std::unexpected(std::move(done).error().error);
  if constexpr (std::is_void_v<T>)
    return {};
  else
    return *std::move(done);
}

Result<nlohmann::json> Cluster::manage(const nlohmann::json& request) {
  TRY(const Bytes answer, call_cell(client_->manage(request.dump(), kShow)));
  auto json = nlohmann::json::parse(answer, nullptr, false);
  if (!json.is_object()) return fail(Code::Corrupt, "a management answer of the cell is no JSON object");
  return json;
}

Result<void> Cluster::write_store(const StoreEntry& entry) {
  TRY_DO(call_cell(client_->put(fmt::format("{}/{}", kStoresPath, entry.id.value), entry.to_json(),
                                {.mode = cell::Put::Mode::Replace}, kShow)));
  return {};
}

Result<void> Cluster::remove_store(net::NodeId node) {
  auto removed = call_cell(client_->remove(fmt::format("{}/{}", kStoresPath, node.value), 0, kShow));
  if (!removed && removed.error().code != Code::NotFound) return removed;
  return {};
}

// ---- the end ----

void Cluster::leave() {
  if (!thread_.joinable()) return;
  std::promise<void> gone;
  net::asio::co_spawn(
      loop_,
      [this]() -> net::Task<void> {
        registry_.reset();
        static_cast<void>(co_await client_->close({1000}));
      },
      [&gone](const std::exception_ptr&) { gone.set_value(); });
  gone.get_future().wait();
}

void Cluster::stop() {
  {
    const std::scoped_lock lock(mutex_);
    if (std::exchange(stopping_, true)) return;
  }
  wake_.notify_all();
  if (keeper_.joinable()) keeper_.join();
  if (thread_.joinable()) {
    on_loop([&] {
      registry_.reset();
      channels_.reset();
      flipper_.reset();
      client_.reset();
    });
    work_.reset();
    loop_.stop();
    thread_.join();
  }
  rpc_.stop();
  if (net_) net_->stop();
}

}  // namespace hailstone::server
