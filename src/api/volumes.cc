#include <fmt/format.h>

#include "api/call.h"

namespace hailstone::api {
namespace {

Result<Json> volume_json(Context& context, const volume::Volume& v) {
  volume::Repository& repository = context.repository();
  Json channels = Json::object();
  for (const auto& [name, flips] : v.channels) channels[name] = flips->back().release.value;
  Json tags = Json::object();
  for (const auto& [name, release] : v.tags) tags[name] = release.value;
  tree::Totals current;
  if (const volume::Flip* flip = v.channel("current")) {
    TRY(current, tree::totals(repository.nodes(), flip->root));
  }
  TRY(const auto head, repository.layer(v, volume::kHeadLayer));
  TRY(const auto sealed, tree::totals(repository.nodes(), head.base));
  return Json{{"name", v.record.name},
              {"id", v.record.id.value},
              {"created", to_json(v.record.created)},
              {"releases", v.record.last_release.value},
              {"channels", std::move(channels)},
              {"tags", std::move(tags)},
              {"keys", current.keys},
              {"bytes", current.weight},
              {"head", {{"keys", sealed.keys}, {"bytes", sealed.weight}, {"unsealed_edits", head.active_edits}}},
              {"settings", to_json(v.record.settings)}};
}

Outcome answer_volume(Context& context, int status, std::string_view name) {
  TRY(const auto v, context.repository().volume(name));
  TRY(auto body, volume_json(context, *v));
  return Answer{status, std::move(body)};
}

}  // namespace

Outcome list_volumes(Context& context, const Call& call) {
  const auto state = context.repository().published().load();
  Json list = Json::array();
  for (const auto& [name, v] : *state->volumes) {
    if (!call.identity.covers(name)) continue;
    auto body = volume_json(context, *v);
    if (!body && body.error().code == Code::NotFound) continue;  // deleted since `state` was taken
    if (!body) return std::unexpected(std::move(body).error());
    list.push_back(*std::move(body));
  }
  return Answer{200, {{"volumes", std::move(list)}}};
}

Outcome create_volume(Context& context, const Call& call) {
  TRY(const Json body, parse_object(call.body));
  Fields fields(body, "");
  const Bytes name = fields.text("name");
  const Json* settings_json = fields.optional_object("settings");
  const Json* clone_json = fields.optional_object("clone");
  TRY_DO(fields.finish());
  TRY_DO(require_key(call, volume::Role::Admin, name));
  volume::Settings settings;
  Bytes source;
  ReleaseNumber release;
  if (clone_json) {
    Fields clone(*clone_json, "clone");
    source = clone.text("volume");
    release = ReleaseNumber(clone.optional_number("release", 1, UINT64_MAX).value_or(0));
    TRY_DO(clone.finish());
    TRY_DO(require_key(call, volume::Role::Reader, source));
    TRY(const auto from, context.repository().volume(source));
    settings = from->record.settings;
  }
  if (settings_json) TRY_DO(read_settings(Fields(*settings_json, "settings"), settings));
  if (clone_json) {
    TRY(const auto made, context.services.publisher.clone(call.caller, source, release, name, settings));
  } else {
    TRY(const auto made, context.repository().submit(call.caller, volume::CreateVolume{name, settings, {}}));
  }
  return answer_volume(context, 201, name);
}

Outcome get_volume(Context& context, const Call& call) { return answer_volume(context, 200, call.segment("volume")); }

Outcome change_volume(Context& context, const Call& call) {
  TRY(const Json body, parse_object(call.body));
  Fields fields(body, "");
  const Json* changes = fields.optional_object("settings");
  if (!changes) fields.refuse("settings", "is missing");
  TRY_DO(fields.finish());
  {
    // The command carries all settings: two changes of different ones must not undo each other.
    const std::scoped_lock lock(context.administration);
    TRY(const auto v, path_volume(context, call));
    volume::Settings settings = v->record.settings;
    TRY_DO(read_settings(Fields(*changes, "settings"), settings));
    if (settings != v->record.settings)
      TRY_DO(context.repository().submit(call.caller, volume::ChangeSettings{v->record.name, settings}));
  }
  return answer_volume(context, 200, call.segment("volume"));
}

Outcome delete_volume(Context& context, const Call& call) {
  const Bytes& name = call.segment("volume");
  if (call.query.text("confirm") != name)
    return std::unexpected(
        Failure(Error{Code::Invalid, fmt::format("deleting a volume takes ?confirm={}: its drafts and releases go too",
                                                 printable(name))}));
  // A clone or publish under way may share what is only named here.
  std::unique_lock<std::mutex> lock;
  if (const auto v = context.repository().volume(name)) lock = context.repository().lock_volume((*v)->record.id);
  TRY_DO(context.services.publisher.delete_volume(call.caller, volume::DeleteVolume{name}, name));
  return Answer{204, nullptr};
}

}  // namespace hailstone::api
