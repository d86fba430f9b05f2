// The node's settings: one struct, one TOML file, everything with a default that runs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/logger.h"
#include "depot/options.h"
#include "http/server.h"
#include "publish/publisher.h"
#include "s3/call.h"
#include "server/cell_config.h"
#include "volume/repository.h"

namespace hailstone::server {

inline constexpr std::string_view kMemberRole = "member", kStoreRole = "store", kGatewayRole = "gateway";
struct NodeOptions {
  std::vector<std::string> roles{std::string(kMemberRole), std::string(kStoreRole), std::string(kGatewayRole)};
};
inline constexpr uint32_t kGroupsOfOneMax = 64;  // repository groups of one cell
/// What all nodes of a cell share.
struct ClusterOptions {
  uint32_t groups = 4;    // repository groups; the same on all nodes for ever. 0: coordination alone
  uint32_t copies = 3;    // of each chunk; fewer where there are fewer stores
  std::string place;      // "site/rack/host" of this node's store; empty: a host of its own
  uint32_t weight = 100;  // of this node's store: how much of the chunks it takes
};

struct Config {
  std::string data = "hailstone-data";  // directory of everything this node keeps
  http::ServerOptions http{.port = 8080};
  uint32_t blocking_threads = 16;  // for API calls that wait for disks; more share one fdatasync better
  uint64_t store_segment_bytes = 256u << 20;
  uint64_t store_reserve_bytes = 64u << 20;
  bool store_verify_on_open = false;
  uint64_t cache_nodes_bytes = 192u << 20;
  uint64_t cache_content_bytes = 256u << 20;  // chunks that are read often
  depot::Options depot;
  uint64_t group_segment_bytes = 64u << 20;  // of the command log; two such files are kept zero-filled
  uint64_t group_flush_bytes = 32u << 20;
  uint64_t database_memtable_bytes = 8u << 20;
  uint64_t database_cache_bytes = 64u << 20;
  volume::SealOptions seal;
  uint64_t draft_lease_seconds = 7 * 86400;
  uint64_t collect_interval_seconds = 60;         // 0: only when asked
  uint64_t collect_trash_seconds = 86400;         // between losing its last reference and being erased
  uint32_t compact_dead_percent = 30;             // of a segment's file; 0: only when asked
  uint64_t compact_bytes_per_second = 64u << 20;  // written; 0: as fast as it goes
  uint64_t scrub_bytes_per_second = 8u << 20;     // read; 0: only when asked
  Level log_level = Level::Info;
  FdLogger::Format log_format = FdLogger::Format::Logfmt;
  publish::PublisherOptions publish;
  bool s3_enabled = true;
  std::string s3_address;   // empty: as http.address
  uint16_t s3_port = 8081;  // 0: any free one
  s3::Options s3;
  NodeOptions node;
  CellConfig cell;
  ClusterOptions cluster;
  std::string master_key_file;  // empty: DATA/master.key, made when it is missing

  bool has_role(std::string_view role) const;
  bool has_repositories() const { return cluster.groups > 0; }
  Result<void> validate() const;
};

/// Applies a TOML text onto `config`. Invalid with line, key and, for an unknown key, the nearest known one.
Result<void> parse_config(std::string_view toml, Config& config);
/// The same without validate(): for settings that only together make sense.
Result<void> overlay_config(std::string_view toml, Config& config);
/// Defaults overlaid with a file.
Result<Config> load_config(const std::string& path);

/// Every key with its meaning and default, as a file that parse_config accepts and that changes nothing.
std::string sample_config();
/// The same form, with the values in force.
std::string render_config(const Config& config);

}  // namespace hailstone::server
