// One node's model, opened from its data directory: the only place that names concrete classes of the layers below.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/logger.h"
#include "chunk/extent_cache.h"
#include "chunk/local_store.h"
#include "collect/collector.h"
#include "publish/publisher.h"
#include "server/cluster.h"
#include "server/config.h"
#include "server/data_directory.h"
#include "server/group_host.h"
#include "tree/cache.h"
#include "volume/machine.h"
#include "volume/repository.h"

namespace hailstone::server {

/// Repository groups are numbered from here on; the cell's own is 0.
inline constexpr uint8_t kFirstGroup = 1;

/// Opened whole or not at all; closed by drain() or, as after a crash, by the destructor.
class Node {
 public:
  /// A node without others, ready when this returns.
  static Result<std::unique_ptr<Node>> open(const Config& config, std::unique_ptr<disk::Disk> disk, Logger& logger);
  /// With the directory opened already; adds its groups to `groups`, which outlives it and is started next.
  static Result<std::unique_ptr<Node>> open(const Config& config, DataDirectory directory,
                                            std::unique_ptr<disk::Disk> disk, GroupHost& groups, Logger& logger);
  /// Where clients of this node find it, and where its own cell service is: 0: it has none.
  struct Addresses {
    std::string http, s3;
    uint16_t cell_port = 0;
  };
  /// After the groups have started: waits until all have a leader and this node knows what was acknowledged before;
  /// joins the other nodes; has the cell's keys, made or asked for. Cancelled when `stop`, polled meanwhile, says so.
  Result<void> found(const Addresses& addresses, const std::function<bool()>& stop);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  volume::Repository& repository() { return *repository_; }
  publish::Publisher& publisher() { return *publisher_; }
  Cluster* cluster() { return cluster_.get(); }  // null: a node without others
  flip::LiveChannels* channels() { return cluster_ ? &cluster_->channels() : nullptr; }
  chunk::ChunkStore& chunks() { return cluster_ ? cluster_->chunks() : *store_; }
  const publish::SigningKey& signing_key() const { return *signing_key_; }
  chunk::LocalStore& store() { return *store_; }
  tree::CachedNodes& nodes() { return *nodes_; }
  chunk::ExtentCache& extents() { return *extents_; }
  /// Of one repository group, by index.
  const std::vector<volume::Repository::Shard>& shards() const { return shards_; }
  bool healthy() const;
  Slot applied_slot() const;                               // of all groups together
  collect::Collector& collector() { return *collector_; }  // one run at a time: server/upkeep.h
  disk::Disk& disk() { return *disk_; }
  const Config& config() const { return config_; }
  const Clock& clock() const { return clock_; }

  /// "ID:SECRET" of the key made when the data directory was new; it is kept in DATA/admin.key, mode 0600.
  const std::string& admin_key() const { return admin_key_; }
  const Bytes& master_key() const { return master_key_; }
  bool is_new() const { return directory_.fresh; }

  /// Finishes what is under way and closes the database cleanly.
  void drain();

 private:
  Node(const Config& config, std::unique_ptr<disk::Disk> disk, Logger& logger)
      : config_(config), disk_(std::move(disk)), logger_(logger) {}
  Result<void> open_all(GroupHost* groups, Logger& logger);
  Result<void> open_groups();
  Result<std::unique_ptr<replica::Reader>> look() const;
  void load_store(const std::stop_token& stop);
  std::unique_ptr<replica::Database> open_counts(Logger& logger);
  Result<void> wait_for_groups(const std::function<bool()>& stop);
  Result<void> wait_until_known(const std::function<bool()>& stop);
  Result<void> open_secrets(const std::function<bool()>& stop);
  Result<bool> has_secrets() const;
  Result<void> make_secrets();
  Result<void> load_secrets();
  bool founds_keys() const;
  Result<void> open_keys();
  std::string master_key_path() const {
    return config_.master_key_file.empty() ? config_.data + "/master.key" : config_.master_key_file;
  }
  std::string signing_key_path() const { return config_.data + "/signing.pem"; }
  Result<void> write_private(const std::string& path, ByteView text);

  // In order of construction; destroyed from the bottom up.
  Config config_;
  SystemClock clock_;
  std::unique_ptr<disk::Disk> disk_;
  Logger& logger_;
  DataDirectory directory_;
  std::unique_ptr<chunk::LocalStore> store_;
  std::jthread loader_;  // of what the store left for later
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<chunk::ExtentCache> extents_;
  std::unique_ptr<tree::CachedNodes> nodes_;
  volume::Catalog catalog_;
  struct Group {
    std::unique_ptr<replica::Database> database;
    std::unique_ptr<volume::Machine> machine;
  };
  std::vector<Group> groups_;
  std::unique_ptr<GroupHost> own_host_;  // of a node without others
  GroupHost* host_ = nullptr;
  std::vector<volume::Repository::Shard> shards_;
  std::unique_ptr<volume::Repository> repository_;
  std::unique_ptr<replica::Database> collect_database_;
  std::unique_ptr<collect::Collector> collector_;
  std::unique_ptr<publish::SigningKey> signing_key_;
  std::unique_ptr<publish::Publisher> publisher_;
  std::string admin_key_;
  Bytes master_key_;  // seals the secrets of access keys
};

}  // namespace hailstone::server
