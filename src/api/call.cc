#include "api/call.h"

#include <fmt/format.h>

namespace hailstone::api {

namespace {

constexpr size_t kIdempotencyKeyMax = 128;

Result<Bytes> idempotency_key(const http::RequestHead& head, const Identity& identity) {
  const auto field = head.field("Idempotency-Key");
  if (!field || identity.anonymous()) return Bytes();
  if (field->empty() || field->size() > kIdempotencyKeyMax)
    return fail(Code::Invalid,
                fmt::format("Idempotency-Key has {} bytes, not 1 to {}", field->size(), kIdempotencyKeyMax));
  // Names of access keys need not be unique: two holders must not get each other's replies.
  return fmt::format("{}/{}", identity.key->id, *field);
}

Failure refusal(Verdict verdict, const Match& match, const Identity& identity) {
  if (verdict == Verdict::WhoAreYou)
    return {Error{Code::Denied, "this takes an access key: send 'Authorization: Bearer ID:SECRET'"}, 401};
  return {Error{Code::Denied,
                fmt::format("access key '{}' ({}) may not do this: it takes the role {}{}", printable(identity.name()),
                            volume::role_name(identity.key->role), volume::role_name(match.endpoint->role),
                            match.endpoint->scope == Scope::Cell ? " for all volumes" : " for this volume")},
          403};
}

}  // namespace

std::expected<Call, Failure> prepare(Context& context, const http::RequestHead& head) {
  auto matched = match(head.method, head.path);
  if (!matched) {
    Failure failure(std::move(matched.error().error), matched.error().allow.empty() ? 0 : 405);
    failure.allow = std::move(matched.error().allow);
    return std::unexpected(std::move(failure));
  }
  Call call;
  call.match = *std::move(matched);
  const auto state = context.repository().published().load();
  auto identity = identify(*state, head);
  if (!identity) return std::unexpected(Failure(std::move(identity).error(), 401));
  call.identity = *std::move(identity);
  if (const Verdict verdict = authorize(call.match, call.identity, *state); verdict != Verdict::Allowed)
    return std::unexpected(refusal(verdict, call.match, call.identity));
  TRY(call.query, Query::parse(head.query, call.match.endpoint->parameters));
  TRY(call.preconditions, read_preconditions(head));
  call.caller.name = call.identity.name();
  TRY(call.caller.idempotency_key, idempotency_key(head, call.identity));
  return call;
}

Result<void> require_key(const Call& call, volume::Role role, std::string_view volume) {
  if (require(call.identity, role, volume) == Verdict::Allowed) return {};
  return fail(Code::Denied, fmt::format("access key '{}' is no {} of volume '{}'", printable(call.identity.name()),
                                        volume::role_name(role), printable(volume)));
}

Result<std::shared_ptr<const volume::Volume>> path_volume(Context& context, const Call& call) {
  return context.repository().volume(call.segment("volume"));
}

Result<uint64_t> path_number(const Call& call, std::string_view name) {
  return parse_number(name, call.segment(name), 1, UINT64_MAX);
}

Outcome run(Context& context, const Call& call) {
  switch (call.match.endpoint->route) {
    case Route::PublicKey: return public_key(context, call);
    case Route::Status: return status(context, call);
    case Route::Config: return config(context, call);
    case Route::ListVolumes: return list_volumes(context, call);
    case Route::CreateVolume: return create_volume(context, call);
    case Route::GetVolume: return get_volume(context, call);
    case Route::ChangeVolume: return change_volume(context, call);
    case Route::DeleteVolume: return delete_volume(context, call);
    case Route::ListDrafts: return list_drafts(context, call);
    case Route::OpenDraft: return open_draft(context, call);
    case Route::GetDraft: return get_draft(context, call);
    case Route::DropDraft: return drop_draft(context, call);
    case Route::DiffDraft: return diff_draft(context, call);
    case Route::ListReleases: return list_releases(context, call);
    case Route::GetRelease: return get_release(context, call);
    case Route::DiffReleases: return diff_releases(context, call);
    case Route::PutTag: return put_tag(context, call);
    case Route::DeleteTag: return delete_tag(context, call);
    case Route::PutHold: return put_hold(context, call);
    case Route::DeleteHold: return delete_hold(context, call);
    case Route::ListChannels: return list_channels(context, call);
    case Route::List: return list_entries(context, call);
    case Route::GetEntry: return get_entry(context, call);
    case Route::DeleteContent: return delete_content(context, call);
    case Route::Batch: return batch(context, call);
    case Route::Token: return get_token(context, call);
    case Route::Search: return search(context, call);
    case Route::Publish: return publish_releases(context, call);
    case Route::Flip: return flip_channels(context, call);
    case Route::Rollback: return roll_back(context, call);
    case Route::Revert: return revert_volume(context, call);
    case Route::ListAccessKeys: return list_keys(context, call);
    case Route::CreateAccessKey: return create_key(context, call);
    case Route::DeleteAccessKey: return delete_key(context, call);
    case Route::UpkeepStatus: return upkeep_status(context, call);
    case Route::AskUpkeep: return ask_upkeep(context, call);
    case Route::WhyChunk: return why_chunk(context, call);
    case Route::WhyTarget: return why_target(context, call);
    case Route::ListAudit: return list_audit(context, call);
    case Route::ListTrash: return list_trash(context, call);
    case Route::TrashRelease: return trash_release(context, call);
    case Route::RestoreRelease: return restore_release(context, call);
    case Route::ClusterStatus: return cluster_status(context, call);
    case Route::UseStore: return use_store(context, call);
    case Route::RemoveNode: return remove_node(context, call);
    case Route::ReplaceNode: return replace_node(context, call);
    // Their bodies are streams: handler.cc sends them elsewhere.
    case Route::GetContent:
    case Route::PutContent:
    case Route::Upload:
    case Route::Manifest:
    case Route::Fetch: break;
  }
  return std::unexpected(Failure(Error{Code::Unsupported, "this endpoint streams"}));
}

}  // namespace hailstone::api
