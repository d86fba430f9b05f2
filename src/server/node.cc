#include "server/node.h"

#include <fmt/format.h>
#include <openssl/rand.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <thread>

#include "base/sealing.h"
#include "replica/joined_reader.h"
#include "replica/rocks_database.h"

namespace hailstone::server {
namespace {

constexpr auto kLookAgain = std::chrono::milliseconds(20);
constexpr auto kLoadAgain = std::chrono::seconds(10);   // after an error
constexpr int64_t kElectionTimeoutNs = 30'000'000'000;  // two writes to its own log

Result<Bytes> random_hex(size_t bytes) {
  Bytes raw(bytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(raw.data()), static_cast<int>(bytes)) != 1)
    return fail(Code::Io, "the system's random source failed");
  return to_hex(raw);
}

}  // namespace

Result<std::unique_ptr<Node>> Node::open(const Config& config, std::unique_ptr<disk::Disk> disk, Logger& logger) {
  TRY_DO(config.validate());
  auto directory = DataDirectory::open(*disk, config.data);
  if (!directory) return std::unexpected(std::move(directory).error().within(fmt::format("opening {}", config.data)));
  std::unique_ptr<Node> node(new Node(config, std::move(disk), logger));
  node->directory_ = *std::move(directory);
  const auto opened = [&]() -> Result<void> {
    TRY(node->own_host_,
        GroupHost::open(*node->disk_, node->clock_, config.cell,
                        {.directory = config.data, .segment_bytes = config.group_segment_bytes, .networked = false},
                        replica::WardReporter(), logger));
    TRY_DO(node->open_all(node->own_host_.get(), logger));
    TRY_DO(node->own_host_->start());
    return node->found({}, {});
  }();
  if (!opened) return std::unexpected(Error(opened.error()).within(fmt::format("opening {}", config.data)));
  return node;
}

Result<std::unique_ptr<Node>> Node::open(const Config& config, DataDirectory directory,
                                         std::unique_ptr<disk::Disk> disk, GroupHost& groups, Logger& logger) {
  std::unique_ptr<Node> node(new Node(config, std::move(disk), logger));
  node->directory_ = std::move(directory);
  if (auto opened = node->open_all(&groups, logger); !opened)
    return std::unexpected(std::move(opened).error().within(fmt::format("opening {}", config.data)));
  return node;
}

Node::~Node() {
  if (cluster_) cluster_->stop();
  if (host_) host_->halt();
}

Result<void> Node::open_groups() {
  for (uint32_t number = kFirstGroup; number < kFirstGroup + config_.cluster.groups; ++number) {
    const std::string directory = fmt::format("{}/group-{}/state", config_.data, number);
    Group group;
    TRY(group.database,
        host_->open_database({.directory = directory,
                              .memtable_bytes = config_.database_memtable_bytes,
                              .block_cache_bytes = config_.database_cache_bytes / config_.cluster.groups}));
    group.machine = std::make_unique<volume::Machine>(store_.get(), static_cast<uint8_t>(number), &catalog_);
    TRY_DO(group.machine->load(*group.database));
    TRY(replica::Group* const hosted, host_->add(paxos::GroupId(number), *group.database, directory, *group.machine,
                                                 {.flush_bytes = config_.group_flush_bytes}, {}));
    shards_.push_back({hosted, group.database.get()});
    groups_.push_back(std::move(group));
  }
  return {};
}

bool Node::healthy() const {
  return std::ranges::all_of(shards_, [](const auto& shard) { return shard.group->healthy(); });
}

Slot Node::applied_slot() const {
  uint64_t sum = 0;
  for (const auto& shard : shards_) sum += shard.group->applied_slot().value;
  return Slot(sum);
}

Result<void> Node::open_all(GroupHost* groups, Logger& logger) {
  const int64_t started = clock_.monotonic_ns();
  host_ = groups;
  TRY(store_, chunk::LocalStore::open(*disk_,
                                      {.directory = config_.data + "/chunks",
                                       .segment_bytes = config_.store_segment_bytes,
                                       .reserve_bytes = config_.store_reserve_bytes,
                                       .load = chunk::LocalStoreOptions::Load::Behind,
                                       .verify_on_open = config_.store_verify_on_open},
                                      logger));
  loader_ = std::jthread([this](const std::stop_token& stop) { load_store(stop); });
  if (host_->net()) cluster_ = std::make_unique<Cluster>(config_, *host_, store_.get(), clock_, logger);
  extents_ = std::make_unique<chunk::ExtentCache>(
      chunks(), chunk::ExtentCache::Options{.bytes_max = config_.cache_content_bytes});
  nodes_ = std::make_unique<tree::CachedNodes>(chunks(), tree::CacheOptions{.bytes_max = config_.cache_nodes_bytes});
  TRY_DO(open_groups());
  repository_ =
      std::make_unique<volume::Repository>(shards_, kFirstGroup, catalog_.published(), chunks(), *nodes_, clock_);

  collect_database_ = open_counts(logger);
  if (!collect_database_) return fail(Code::Io, config_.data + "/collect: can't be opened, nor made anew");
  collector_ = std::make_unique<collect::Collector>([this] { return look(); }, *collect_database_, chunks(), clock_);

  logger.info("store open", {{"data", config_.data},
                             {"segments_unloaded", store_->stats().segments_unloaded},
                             {"disk_bytes", store_->stats().disk_bytes},
                             {"quarantined", store_->stats().quarantined},
                             {"volumes", static_cast<uint64_t>(catalog_.published().load()->volumes->size())},
                             {"groups", static_cast<uint64_t>(groups_.size())},
                             {"took_ms", (clock_.monotonic_ns() - started) / 1'000'000}});
  return {};
}

// So that the first start after ten million writes takes no longer than that after ten: readers of what is not loaded
// yet load it themselves.
void Node::load_store(const std::stop_token& stop) {
  const int64_t started = clock_.monotonic_ns();
  while (true) {
    const auto loaded = store_->load([&] { return stop.stop_requested(); });
    if (loaded) break;
    logger_.error("loading the index of the chunk store failed", {{"error", loaded.error().message}});
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any().wait_for(lock, stop, kLoadAgain, [] { return false; });
    if (stop.stop_requested()) return;
  }
  if (store_->stats().segments_unloaded > 0) return;
  logger_.info("store loaded", {{"chunks", store_->stats().chunks},
                                {"quarantined", store_->stats().quarantined},
                                {"took_ms", (clock_.monotonic_ns() - started) / 1'000'000}});
}

// Of the founders the one of the lowest id makes the keys; all others ask.
bool Node::founds_keys() const {
  if (config_.cell.join) return false;
  const auto founders = config_.cell.founders();
  return founders && std::ranges::min(*founders, {}, &net::PeerAddress::id).id.value == config_.cell.id;
}

Result<bool> Node::has_secrets() const {
  TRY(const bool master, disk_->exists(master_key_path()));
  TRY(const bool signing, disk_->exists(signing_key_path()));
  return master && signing;
}

Result<void> Node::make_secrets() {
  TRY(const bool master, disk_->exists(master_key_path()));
  if (!master) {
    // A lost one is not replaced: what it sealed would be gone without a word.
    for (const auto& [id, key] : *catalog_.published().load()->keys)
      if (!key->sealed_secret.empty())
        return fail(Code::NotFound, fmt::format("{} is missing: the secrets of access keys are sealed with it; put it "
                                                "back",
                                                master_key_path()));
    TRY(const auto fresh, random_hex(kMasterKeyBytes));
    TRY_DO(write_private(master_key_path(), fresh + "\n"));
  }
  TRY(const bool signing, disk_->exists(signing_key_path()));
  if (signing) return {};
  TRY(const auto fresh, publish::SigningKey::generate());
  return fresh.save(*disk_, signing_key_path());
}

Result<void> Node::load_secrets() {
  TRY(const auto text, disk::read_file(*disk_, master_key_path(), 1024));
  if (!from_hex(ByteView(text).substr(0, text.find('\n')), master_key_) || master_key_.size() != kMasterKeyBytes)
    return fail(Code::Invalid, fmt::format("{}: not 64 hex digits", master_key_path()));
  TRY(auto key, publish::SigningKey::load(*disk_, signing_key_path()));
  signing_key_ = std::make_unique<publish::SigningKey>(std::move(key));
  if (cluster_) {
    TRY(const auto pem, disk::read_file(*disk_, signing_key_path(), 16u << 10));
    cluster_->set_secrets({master_key_, pem});
  }
  return {};
}

Result<void> Node::open_secrets(const std::function<bool()>& stop) {
  TRY(bool there, has_secrets());
  if (!there && (!cluster_ || founds_keys())) {
    TRY_DO(make_secrets());
    there = true;
  }
  while (!there) {
    auto given = cluster_->ask_for_secrets();
    if (given) {
      TRY_DO(write_private(master_key_path(), to_hex(given->master_key) + "\n"));
      TRY_DO(write_private(signing_key_path(), given->signing_key));
      there = true;
    } else {
      if (stop && stop()) return fail(Code::Cancelled, "stopped before another node gave the cell's keys");
      std::this_thread::sleep_for(kLookAgain);
    }
  }
  return load_secrets();
}

// Whole or not there: a crash must not leave half a key that the next start takes for one.
Result<void> Node::write_private(const std::string& path, ByteView text) {
  const std::string fresh = path + ".tmp";
  {
    TRY(const auto file, disk_->open(fresh, disk::OpenMode::Create));
    if (file->native_handle() >= 0 && ::fchmod(file->native_handle(), 0600) != 0)  // before the secret is in it
      return fail(Code::Io, fmt::format("{}: cannot make it private", fresh));
    TRY_DO(file->truncate(0));
    TRY_DO(file->write_at(0, text));
    TRY_DO(file->sync());
  }
  TRY_DO(disk_->rename(fresh, path));
  return disk_->sync_directory(disk::parent_directory(path));
}

// Derived data: what can't be opened is made anew, at the cost of a recount.
std::unique_ptr<replica::Database> Node::open_counts(Logger& logger) {
  const std::string directory = config_.data + "/collect";
  const auto open = [&] {
    return replica::open_rocks_database(
        *disk_,
        {.directory = directory, .memtable_bytes = 4u << 20, .block_cache_bytes = 8u << 20, .files_open_max = 64});
  };
  auto opened = open();
  if (!opened && opened.error().code == Code::Corrupt) {
    logger.warn("counts of references unusable, counting anew",
                {{"directory", directory}, {"error", opened.error().message}});
    if (const auto names = disk_->list(directory))
      for (const std::string& name : *names) (void)disk_->remove(directory + "/" + name);
    opened = open();
  }
  if (!opened) {
    logger.error("counts of references can't be opened", {{"directory", directory}, {"error", opened.error().message}});
    return nullptr;
  }
  return *std::move(opened);
}

// The first access key: written to its file before it is committed, so that a crash between never leaves a key nobody
// knows.
Result<void> Node::open_keys() {
  const std::string path = config_.data + "/admin.key";
  if (cluster_ && !founds_keys()) return {};
  if (!catalog_.published().load()->keys->empty()) {
    if (auto text = disk::read_file(*disk_, path, 1024)) {
      admin_key_ = text->substr(0, text->find('\n'));
    }
    return {};
  }
  TRY(const auto id, random_hex(8));
  TRY(const auto secret, random_hex(32));
  admin_key_ = "hs" + id + ":" + secret;
  TRY_DO(write_private(path, admin_key_ + "\n"));
  volume::AccessKey key{.id = "hs" + id,
                        .name = "admin",
                        .role = volume::Role::Admin,
                        .volumes = {"*"},
                        .secret_hash = Bytes(sha256(secret).view()),
                        .created = clock_.wall()};
  TRY(key.sealed_secret, seal_secret(master_key_, key.id, secret));
  TRY_DO(repository_->submit({"system", {}}, volume::PutKey{std::move(key)}));
  return {};
}

// Everything that was acknowledged before, of all groups.
Result<std::unique_ptr<replica::Reader>> Node::look() const {
  std::vector<std::unique_ptr<replica::Reader>> parts;
  for (const auto& shard : shards_) {
    TRY_DO(shard.group->read_and_wait());
    parts.push_back(shard.database->snapshot());
  }
  return replica::join_readers(std::move(parts));
}

// Alone, a full disk has no room for the election: what is there can be read, and commands are refused until there is.
// With others, nothing is served before a quorum has said how far the groups are.
Result<void> Node::wait_for_groups(const std::function<bool()>& stop) {
  for (uint32_t i = 0; i < shards_.size(); ++i) {
    if (host_->alone()) {
      const auto leads = host_->host().wait_until_leading(paxos::GroupId(kFirstGroup + i), kElectionTimeoutNs);
      if (!leads && leads.error().code != Code::Exhausted) return leads;
      continue;
    }
    while (!shards_[i].group->read_and_wait()) {
      if (stop && stop()) return fail(Code::Cancelled, "stopped before the cell's groups had a leader");
      if (!shards_[i].group->healthy()) return fail(Code::Io, fmt::format("group {} has failed", kFirstGroup + i));
      std::this_thread::sleep_for(kLookAgain);
    }
  }
  return {};
}

Result<void> Node::wait_until_known(const std::function<bool()>& stop) {
  while (true) {
    const auto roster = cluster_->roster();
    if (roster->complete && roster->self == Roster::Self::Registered) return {};
    if (stop && stop()) return fail(Code::Cancelled, "stopped before the cell knew this node");
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

Result<void> Node::found(const Addresses& addresses, const std::function<bool()>& stop) {
  if (cluster_) TRY_DO(cluster_->start(addresses.cell_port, *repository_));
  TRY_DO(wait_for_groups(stop));
  if (cluster_) {
    cluster_->announce(addresses.http, addresses.s3);
    TRY_DO(wait_until_known(stop));
  }
  TRY_DO(open_secrets(stop));
  publisher_ =
      std::make_unique<publish::Publisher>(*repository_, *signing_key_, config_.publish, logger_, cluster_.get());
  return open_keys();
}

void Node::drain() {
  if (cluster_) cluster_->leave();
  if (host_) host_->stop();
  if (cluster_) cluster_->stop();
  if (store_)
    if (auto synced = store_->sync(); !synced) return;  // nothing unsynced was ever acknowledged
}

}  // namespace hailstone::server
