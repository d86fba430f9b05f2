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
#include "volume/repository.h"

namespace hailstone::server {

struct Config {
  std::string data = "hailstone-data";   // directory of everything this node keeps
  http::ServerOptions http{.port = 8080};
  uint32_t blocking_threads = 16;        // for API calls that wait for disks; more share one fdatasync better
  uint64_t store_segment_bytes = 256u << 20;
  uint64_t store_reserve_bytes = 64u << 20;
  bool store_verify_on_open = false;
  uint64_t cache_nodes_bytes = 192u << 20;
  uint64_t cache_content_bytes = 256u << 20;  // chunks that are read often
  depot::Options depot;
  uint64_t group_segment_bytes = 64u << 20;  // of the command log; two such files are kept zero-filled
  uint64_t group_flush_bytes = 32u << 20;
  uint64_t database_memtable_bytes = 32u << 20;
  uint64_t database_cache_bytes = 64u << 20;
  volume::SealOptions seal;
  uint64_t draft_lease_seconds = 7 * 86400;
  Level log_level = Level::Info;
  FdLogger::Format log_format = FdLogger::Format::Logfmt;
  publish::PublisherOptions publish;

  Result<void> validate() const;
};

/// Applies a TOML text onto `config`. Invalid with line, key and, for an unknown key, the nearest known one.
Result<void> parse_config(std::string_view toml, Config& config);
/// Defaults overlaid with a file.
Result<Config> load_config(const std::string& path);

/// Every key with its meaning and default, as a file that parse_config accepts and that changes nothing.
std::string sample_config();
/// The same form, with the values in force.
std::string render_config(const Config& config);

}  // namespace hailstone::server
