#include <fmt/format.h>

#include <algorithm>

#include "api/call.h"

namespace hailstone::api {
namespace {

bool rules_the_cell(const volume::AccessKey& key) {
  return key.role == volume::Role::Admin && std::ranges::find(key.volumes, "*") != key.volumes.end();
}

}  // namespace

Outcome list_keys(Context& context, const Call&) {
  const auto state = context.repository().published().load();
  Json list = Json::array();
  for (const auto& [id, key] : *state->keys) list.push_back(to_json(*key));
  return Answer{200, {{"keys", std::move(list)}}};
}

Outcome create_key(Context& context, const Call& call) {
  TRY(const Json body, parse_object(call.body));
  Fields fields(body, "");
  Bytes name = fields.text("name");
  const auto role = volume::parse_role(fields.text("role"));
  if (!role) fields.refuse("role", "must be 'reader', 'writer', 'publisher' or 'admin'");
  auto volumes = fields.optional_texts("volumes");
  if (!volumes) fields.refuse("volumes", "is missing: names, or [\"*\"] for all");
  TRY_DO(fields.finish());
  TRY(auto made, make_key(std::move(name), *role, *std::move(volumes), context.services.master_key,
                          context.repository().clock().wall()));
  TRY_DO(context.repository().submit(call.caller, volume::PutKey{made.key}));
  // The reply to a repeated request is the first one's, and then this secret opens nothing.
  if (!context.repository().published().load()->keys->contains(made.key.id))
    return std::unexpected(Failure(
        Error{Code::Exists,
              "this request was carried out before and its secret shown then: remove that key and make another"}));
  Json answer = to_json(made.key);
  answer["secret"] = made.secret;
  return Answer{201, std::move(answer)};
}

Outcome delete_key(Context& context, const Call& call) {
  const Bytes& id = call.segment("id");
  const std::scoped_lock lock(
      context.administration);  // two removals must not each see the other's key as the one that stays
  const auto state = context.repository().published().load();
  const auto found = state->keys->find(id);
  const auto rulers =
      std::ranges::count_if(*state->keys, [](const auto& item) { return rules_the_cell(*item.second); });
  if (found != state->keys->end() && rules_the_cell(*found->second) && rulers == 1)
    return std::unexpected(
        Failure(Error{Code::Conflict, fmt::format("'{}' is the last admin key for all volumes: make another one first",
                                                  printable(id))}));
  TRY_DO(context.repository().submit(call.caller, volume::RemoveKey{id}));
  return Answer{204, nullptr};
}

}  // namespace hailstone::api
