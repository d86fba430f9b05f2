// demo cluster: what it shows once its nodes are up: publishes through every node while readers ask the balancer.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace hailstone::cli {

struct DemoCluster {
  std::vector<std::string> nodes;  // their URLs
  std::string balancer;            // and that of what is in front of them
  std::string key;                 // of an administrator
};

/// The configuration of a balancer for these nodes; asks each for /readyz.
std::string haproxy_config(uint16_t port, const std::vector<uint16_t>& node_ports);
/// Until it answers 200 there. Timeout: it does not.
Result<void> wait_until_ready(const std::string& url);
/// Makes volume `demo` and publishes releases through one node after the other; prints what readers saw. Conflict:
/// a reader saw an older release after a newer one, or an error.
Result<void> show_flips(Context& context, const DemoCluster& cluster);

}  // namespace hailstone::cli
