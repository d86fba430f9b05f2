#include "server/front.h"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "s3/edge.h"
#include "server/cluster_admin.h"
#include "server/metrics.h"
#include "server/version.h"

namespace hailstone::server {
namespace {

/// The depot's question about keys, answered by the API's rules.
class KeyAuthorizer final : public depot::Authorizer {
 public:
  depot::Access check(const volume::State& state, const depot::Credentials& credentials,
                      const volume::Volume& volume) const override {
    const auto identity = api::identify(state, credentials.key_id, credentials.secret);
    if (!identity) return depot::Access::Unknown;
    return identity->may(volume::Role::Reader, volume.record.name) ? depot::Access::Granted : depot::Access::Forbidden;
  }
};

class NodeStatusSource final : public api::StatusSource {
 public:
  explicit NodeStatusSource(Node& node) : node_(node), started_ns_(node.clock().monotonic_ns()) {}

  api::NodeStatus status() const override {
    api::NodeStatus out;
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    out.node = host;
    out.version = kVersion;
    out.uptime_seconds = static_cast<uint64_t>((node_.clock().monotonic_ns() - started_ns_) / 1'000'000'000);
    out.healthy = node_.healthy();
    out.log = out.applied = node_.applied_slot();
    out.chunks = node_.store().stats();
    out.quarantine = node_.store().quarantine();
    struct statvfs fs{};
    if (statvfs(node_.config().data.c_str(), &fs) == 0) {
      out.free_bytes = static_cast<uint64_t>(fs.f_bavail) * fs.f_frsize;
      out.total_bytes = static_cast<uint64_t>(fs.f_blocks) * fs.f_frsize;
    }
    return out;
  }

  Bytes config_json() const override { return nlohmann::json{{"toml", render_config(node_.config())}}.dump(); }

 private:
  Node& node_;
  int64_t started_ns_;
};

http::Response unavailable(std::string_view why) {
  http::Response response = http::Response::text(503, fmt::format("{}\n", why));
  response.headers.add("Retry-After", "1");
  response.headers.add("Cache-Control", "no-store");
  return response;
}

}  // namespace

struct FrontShared::Services {
  Services(Node& n, Janitor& j, const Config& config, Logger& logger)
      : node(n),
        janitor(j),
        pool({.threads = config.blocking_threads, .queue_max = 1024}),
        status(n),
        cluster(n.cluster() ? std::make_unique<ClusterAdmin>(*n.cluster(), n.repository(), [this] { return report(); })
                            : nullptr),
        api({n.repository(), n.publisher(), status, n.signing_key().public_key(), n.master_key(), logger, &j.upkeep(),
             cluster.get()},
            pool),
        s3({n.repository(), n.publisher(), n.extents(), n.master_key(), logger}, config.s3, pool, s3_slow_pool) {}

  NodeReport report() const {
    const api::NodeStatus own = status.status();
    NodeReport out{.healthy = own.healthy, .uptime_seconds = own.uptime_seconds, .groups = {}, .store = {}};
    if (node.config().has_role(kStoreRole))
      out.store = NodeReport::Store{.chunks = own.chunks.chunks,
                                    .stored_bytes = own.chunks.stored_bytes,
                                    .disk_bytes = own.chunks.disk_bytes,
                                    .quarantined = own.chunks.quarantined,
                                    .free_bytes = own.free_bytes,
                                    .total_bytes = own.total_bytes,
                                    .missing_copies = {}};
    return out;
  }

  Node& node;
  Janitor& janitor;
  KeyAuthorizer authorizer;
  http::BlockingPool pool;
  NodeStatusSource status;
  std::unique_ptr<ClusterAdmin> cluster;  // null: a node without others
  api::Api api;
  http::BlockingPool s3_slow_pool{{.threads = 4, .queue_max = 1024}};  // whole objects are read there
  s3::Edge s3;
};

FrontShared::FrontShared(const Config& config, Logger& logger)
    : config_(config), logger_(logger), node_header_(fmt::format("X-Hailstone-Node: {}\r\n", config.cell.id)) {}
FrontShared::~FrontShared() = default;

void FrontShared::open(Node& node, Janitor& janitor) {
  services_ = std::make_unique<Services>(node, janitor, config_, logger_);
  ready_.store(true, std::memory_order_release);
}

void FrontShared::close() {
  ready_.store(false, std::memory_order_release);
  cell_.store(nullptr, std::memory_order_release);
  services_.reset();
}

namespace {

/// Why a node of a cell must not be asked; empty: it may be. (An idle node keeps no cache lease: that it has none says
/// nothing.)
std::string_view cut_off(Node& node) {
  const Cluster* const cluster = node.cluster();
  if (!cluster) return {};
  switch (cluster->roster()->self) {
    case Roster::Self::Absent: return "this node is not registered in the cell: is another one up under its id?";
    case Roster::Self::Jeopardy: return "the cell is out of reach: whether it still counts on this node is not known";
    case Roster::Self::Registered: break;
  }
  return {};
}

}  // namespace

// Alive: the process answers. Ready: the store is open and checked, this node has what was acknowledged before it
// started, the cell counts on it and confirms what channels are at, commands can be committed, and no stop is under
// way.
http::Response Front::health(std::string_view path) const {
  if (path == "/healthz") return http::Response::text(200, "ok\n");
  if (shared_.draining()) return unavailable("stopping");
  const CellService* const cell = shared_.cell();
  if (shared_.config().has_role(kMemberRole)) {
    if (!cell) return unavailable("opening the cell's state");
    if (!cell->healthy()) return unavailable("the cell's log or database has failed: restart the node");
  }
  if (!shared_.config().has_repositories()) return http::Response::text(200, "ready\n");
  const auto* services = shared_.services();
  if (!services) return unavailable(shared_.phase());
  if (!services->node.healthy())
    return unavailable("a write or sync failed: no more commands can be committed; restart the node");
  if (const auto why = cut_off(services->node); !why.empty()) return unavailable(why);
  return http::Response::text(200, "ready\n");
}

http::Response Front::metrics() const {
  MetricSources sources;
  if (shared_.server()) sources.http = shared_.server()->stats();
  if (const CellService* const cell = shared_.cell()) sources.cell = cell->figures();
  if (auto* services = shared_.services())
    sources.repository.emplace(services->node, services->janitor.stats(), services->s3.meter(),
                               shared_.s3_server() ? shared_.s3_server()->stats() : http::ServerStats{});
  http::Response response = http::Response::text(200, render_metrics(sources));
  response.headers.add("Cache-Control", "no-store");
  return response;
}

http::Task<http::Response> Front::handle(http::Request request) {
  const std::string_view path = request.head.path;
  if (path.starts_with("/api/") || path == "/healthz" || path == "/readyz" || path == "/metrics") {
    if (path == "/metrics") co_return metrics();
    if (!path.starts_with("/api/")) co_return health(path);
  }
  auto* services = shared_.services();
  if (!services) {
    auto response = unavailable(shared_.phase());
    response.headers.lines() += shared_.node_header();
    co_return response;
  }
  if (path.starts_with("/api/")) {
    if (!api_) api_ = services->api.make_handler();
    co_return co_await api_->handle(std::move(request));
  }
  if (!depot_)
    depot_ = std::make_unique<depot::Depot>(services->node.repository(), services->node.extents(), services->authorizer,
                                            services->pool, services->node.config().depot, services->node.channels(),
                                            net::NodeId(services->node.config().cell.id));
  auto response = co_await depot_->handle(std::move(request));
  response.headers.lines() += shared_.node_header();
  co_return response;
}

http::Task<http::Response> S3Front::handle(http::Request request) {
  auto* services = shared_.services();
  http::Response response;
  if (services) {
    if (!s3_) s3_ = services->s3.make_handler();
    response = co_await s3_->handle(std::move(request));
  } else {
    response = unavailable(shared_.phase());
  }
  response.headers.lines() += shared_.node_header();
  co_return response;
}

}  // namespace hailstone::server
