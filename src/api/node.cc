#include "api/call.h"

namespace hailstone::api {

Outcome public_key(Context& context, const Call&) {
  const publish::PublicKey& key = context.services.public_key;
  TRY(const Bytes pem, key.pem());
  return Answer{
      200, {{"key_id", key.hex().substr(0, 16)}, {"algorithm", "ed25519"}, {"public_key", key.hex()}, {"pem", pem}}};
}

Outcome status(Context& context, const Call&) {
  const NodeStatus node = context.services.status.status();
  Json quarantine = Json::array();
  for (const auto& damage : node.quarantine)
    quarantine.push_back({{"chunk", damage.id.hex()}, {"where", damage.where}, {"what", damage.what}});
  return Answer{200,
                {{"node", node.node},
                 {"version", node.version},
                 {"uptime_seconds", node.uptime_seconds},
                 {"healthy", node.healthy},
                 {"volumes", context.repository().published().load()->volumes->size()},
                 {"log_slot", node.log.value},
                 {"applied_slot", node.applied.value},
                 {"free_bytes", node.free_bytes},
                 {"total_bytes", node.total_bytes},
                 {"store",
                  {{"chunks", node.chunks.chunks},
                   {"stored_bytes", node.chunks.stored_bytes},
                   {"uncompressed_bytes", node.chunks.uncompressed_bytes},
                   {"disk_bytes", node.chunks.disk_bytes},
                   {"quarantined", node.chunks.quarantined},
                   {"segments_unloaded", node.chunks.segments_unloaded}}},
                 {"quarantine", std::move(quarantine)}}};
}

Outcome config(Context& context, const Call&) {
  TRY(Json parsed, parse_object(context.services.status.config_json()));
  return Answer{200, std::move(parsed)};
}

}  // namespace hailstone::api
