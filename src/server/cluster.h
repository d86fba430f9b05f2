// This node among the others: who they are, what channels show, chunks on all stores, and what one asks another.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/logger.h"
#include "chunk/cluster_store.h"
#include "chunk/local_store.h"
#include "client/cell_client.h"
#include "flip/flipper.h"
#include "flip/live.h"
#include "net/rpc.h"
#include "net/tcp_transport.h"
#include "publish/rollout.h"
#include "server/config.h"
#include "server/group_host.h"
#include "server/registry.h"
#include "volume/repository.h"

namespace hailstone::server {

/// Methods of the data transport's Rpc that are not the chunk stores'.
enum class NodeMethod : uint16_t {
  Prepare = 100,  // -> empty, when the node holds what a flip needs
  Secrets = 101,  // -> the cell's master key and signing key
  Report = 102,   // -> NodeReport
};

/// What all nodes of a cell have in common and no reader may see.
struct Secrets {
  Bytes master_key;   // raw
  Bytes signing_key;  // PEM
  Bytes encode() const;
  static Result<Secrets> decode(ByteView bytes);
};

class Cluster final : public publish::Rollout {
 public:
  /// Everything passed in outlives it. `local`: null on a node without a store.
  Cluster(const Config& config, GroupHost& groups, chunk::LocalStore* local, Clock& clock, Logger& logger);
  ~Cluster() override;
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  /// Chunks wherever they are.
  chunk::ChunkStore& chunks() { return *store_; }
  chunk::ClusterStore& store() { return *store_; }
  /// Listens to other nodes, and looks for the cell. `member_port`: where this node's own cell service is; 0: there is
  /// none. Once, before all below.
  Result<void> start(uint16_t cell_port, volume::Repository& repository);
  /// Tells the cell who this node is; `http` and `s3` are where clients reach it.
  void announce(const std::string& http, const std::string& s3);
  /// From any of the others that has them. Unavailable: none of them could be asked.
  Result<Secrets> ask_for_secrets();
  /// What others are given.
  void set_secrets(Secrets secrets);
  /// This node goes: the cell forgets it at once.
  void leave();
  /// Nothing is called any more.
  void stop();

  flip::LiveChannels& channels() { return *channels_; }
  /// Never null.
  std::shared_ptr<const Roster> roster() const {
    const std::scoped_lock lock(mutex_);
    return roster_;
  }
  uint64_t term() const { return term_; }

  // ---- for who looks after the cell (server/cluster_admin.h) ----
  net::NodeId self() const { return net::NodeId(config_.cell.id); }
  size_t copies() const { return config_.cluster.copies; }
  net::Rpc& rpc() { return rpc_; }
  /// Of all groups that are hosted here, the cell's root group first.
  std::vector<std::pair<paxos::GroupId, replica::GroupStatus>> group_statuses() const;
  /// What other nodes are told of this one. Empty: nothing, and none is at work when this returns.
  void set_reporter(std::function<Bytes()> reporter);
  /// A management request of the cell (docs/reference/cell.md), by this node's session.
  Result<nlohmann::json> manage(const nlohmann::json& request);
  Result<void> write_store(const StoreEntry& entry);
  /// There need not be one.
  Result<void> remove_store(net::NodeId node);

  // publish::Rollout
  Result<publish::RolloutReport> show(const std::vector<publish::Channel>& channels) override;
  Result<void> forget(const Bytes& volume) override;
  std::shared_ptr<void> queue_up(const Bytes& volume) override;

 private:
  Result<Bytes> on_prepare(ByteView body);
  Result<Bytes> on_secrets() const;
  void on_roster(const std::shared_ptr<const Roster>& roster);
  void keep_groups();
  void balance_leaders(const Roster& roster);
  void keep_group(paxos::GroupId id, const Roster& roster, const paxos::Config& root);
  publish::RolloutReport prepare_others(const Bytes& request);
  template <class Work>
  void on_loop(Work work);
  /// What the client's call gives, with what became of it said in the error.
  template <class T>
  Result<T> call_cell(net::Task<client::Called<T>> call);

  const Config& config_;
  GroupHost& groups_;
  Clock& clock_;
  Logger& logger_;
  const uint64_t term_;  // of this process: rises from life to life of this node
  net::Rpc rpc_;
  std::unique_ptr<net::TcpTransport> net_;
  std::unique_ptr<chunk::ClusterStore> store_;
  volume::Repository* repository_ = nullptr;

  net::asio::io_context loop_{1};
  std::optional<net::asio::executor_work_guard<net::asio::io_context::executor_type>> work_;
  std::unique_ptr<client::CellClient> client_;
  std::unique_ptr<flip::LiveChannels> channels_;
  std::unique_ptr<flip::Flipper> flipper_;
  std::unique_ptr<Registry> registry_;
  std::string cell_address_;
  std::thread thread_;
  std::thread keeper_;      // of the groups' members and leaders
  int64_t balance_ns_ = 0;  // the keeper's, as the one below
  std::vector<Slot> applied_;

  mutable std::mutex mutex_;  // guards all below; held for some lines
  std::condition_variable wake_;
  bool stopping_ = false;
  std::shared_ptr<const Roster> roster_ = std::make_shared<Roster>();
  std::optional<Secrets> secrets_;
  std::map<Bytes, std::shared_ptr<std::mutex>> queues_;  // of publishers, by volume
  std::map<net::NodeId, int64_t> silent_until_ns_;       // did not answer a prepare: not waited for until then
  std::mutex reporter_mutex_;                            // held while it runs
  std::function<Bytes()> reporter_;
};

}  // namespace hailstone::server
