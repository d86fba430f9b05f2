#include "api/cluster.h"

#include <fmt/format.h>

#include "api/call.h"

namespace hailstone::api {
namespace {

constexpr uint64_t kNodeMax = UINT64_MAX >> 1;

Result<Cluster*> cluster_of(Context& context) {
  if (context.services.cluster == nullptr) return fail(Code::Unsupported, "this node runs without a cell");
  return context.services.cluster;
}

}  // namespace

Outcome cluster_status(Context& context, const Call&) {
  TRY(Cluster* const cluster, cluster_of(context));
  TRY(Json status, cluster->status());
  return Answer{200, std::move(status)};
}

Outcome use_store(Context& context, const Call& call) {
  TRY(Cluster* const cluster, cluster_of(context));
  TRY(const uint64_t node, path_number(call, "node"));
  TRY(const Json body, parse_object(call.body));
  Fields fields(body, "");
  const Bytes state = fields.text("state");
  if (state != "in" && state != "draining") fields.refuse("state", "must be 'in' or 'draining'");
  TRY_DO(fields.finish());
  TRY_DO(cluster->use_store(node, state == "in" ? StoreUse::In : StoreUse::Draining));
  return Answer{200, {{"node", node}, {"state", state}}};
}

Outcome remove_node(Context& context, const Call& call) {
  TRY(Cluster* const cluster, cluster_of(context));
  TRY(const uint64_t node, path_number(call, "node"));
  const Bytes lost = call.query.text_or("lost", "false");
  if (lost != "true" && lost != "false")
    return fail_with(0, Code::Invalid, "query parameter 'lost' must be true or false");
  TRY_DO(cluster->remove(node, lost == "true" ? Cluster::Lost::Yes : Cluster::Lost::No));
  return Answer{204, nullptr};
}

Outcome replace_node(Context& context, const Call& call) {
  TRY(Cluster* const cluster, cluster_of(context));
  TRY(const uint64_t node, path_number(call, "node"));
  TRY(const Json body, parse_object(call.body));
  Fields fields(body, "");
  const uint64_t by = fields.number("by", 1, kNodeMax);
  const Bytes address = fields.optional_text("address").value_or("");
  if (by == node) fields.refuse("by", "must be another node: a node that lost its disk comes back under a new id");
  TRY_DO(fields.finish());
  TRY(const auto step, cluster->replace(node, by, address));
  return Answer{200, {{"done", step.done}, {"step", step.what}}};
}

}  // namespace hailstone::api
