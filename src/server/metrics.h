// What an operator's Prometheus reads at /metrics; each is described in docs/reference/metrics.md.
#pragma once

#include <string>

#include "http/server.h"
#include "s3/meter.h"
#include "server/janitor.h"
#include "server/node.h"

namespace hailstone::server {

/// Text exposition format 0.0.4. Gathered at the scrape: nothing is counted twice and nothing costs a request.
std::string render_metrics(Node& node, const http::ServerStats& http, const Janitor::Stats& janitor,
                           const s3::Meter& s3, const http::ServerStats& s3_http);

}  // namespace hailstone::server
