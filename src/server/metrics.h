// What an operator's Prometheus reads at /metrics; each is described in docs/reference/metrics.md.
#pragma once

#include <optional>
#include <string>

#include "http/server.h"
#include "s3/meter.h"
#include "server/cell_service.h"
#include "server/janitor.h"
#include "server/node.h"

namespace hailstone::server {

/// What this node has of it.
struct MetricSources {
  struct Repository {
    Node& node;
    Janitor::Stats janitor;
    const s3::Meter& s3;
    http::ServerStats s3_http;
  };
  http::ServerStats http;
  std::optional<Repository> repository;
  std::optional<CellFigures> cell;
};

/// Text exposition format 0.0.4. Gathered at the scrape: nothing is counted twice and nothing costs a request.
std::string render_metrics(const MetricSources& sources);

}  // namespace hailstone::server
