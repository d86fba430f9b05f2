// What an operator asks of the cell's nodes at any of them: their state, and changes of who is there.
#pragma once

#include "api/cluster.h"
#include "server/cluster.h"
#include "server/node_report.h"

namespace hailstone::server {

class ClusterAdmin final : public api::Cluster {
 public:
  /// What of a report only its owner knows: health, uptime, the store.
  using OwnReport = std::function<NodeReport()>;
  /// Answers other nodes' questions from here on. Everything passed in outlives it.
  ClusterAdmin(server::Cluster& cluster, const volume::Repository& repository, OwnReport own_report);
  ~ClusterAdmin() override;
  ClusterAdmin(const ClusterAdmin&) = delete;
  ClusterAdmin& operator=(const ClusterAdmin&) = delete;

  Result<api::Json> status() override;
  Result<void> use_store(uint64_t node, api::StoreUse use) override;
  Result<void> remove(uint64_t node, Lost lost) override;
  Result<Step> replace(uint64_t old, uint64_t by, const std::string& address) override;

 private:
  NodeReport report() const;
  std::map<uint64_t, NodeReport> ask_everybody();
  void look_at_channels(ClusterView& view);
  Result<void> forget(net::NodeId node);

  server::Cluster& cluster_;
  const volume::Repository& repository_;
  const OwnReport own_report_;
};

}  // namespace hailstone::server
