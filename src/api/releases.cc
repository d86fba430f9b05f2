#include <fmt/format.h>

#include "api/call.h"

namespace hailstone::api {
namespace {

Result<volume::ReleaseRecord> path_release(Context& context, const Call& call, const volume::Volume& v) {
  TRY(const uint64_t number, path_number(call, "release"));
  return context.repository().release(v, ReleaseNumber(number));
}

/// "42", a channel or a tag; "0" is the empty state before the first release.
Result<tree::Root> root_of(Context& context, const volume::Volume& v, std::string_view name) {
  if (name == "0") return tree::Root{};
  TRY(const auto target, context.repository().resolve(fmt::format("{}@{}", v.record.name, name)));
  if (!target.release)
    return fail(Code::Invalid, fmt::format("'{}' is not a release, channel or tag", printable(name)));
  TRY(const auto record, context.repository().release(v, *target.release));
  return record.root;
}

std::string_view change_name(const tree::Difference& difference) {
  if (!difference.left) return "added";
  return difference.right ? "changed" : "removed";
}

}  // namespace

Outcome list_releases(Context& context, const Call& call) {
  TRY(const auto v, path_volume(context, call));
  TRY(const uint64_t before, call.query.number("before", 1, UINT64_MAX, 0));
  TRY(const uint64_t limit, call.query.number("limit", 1, 1000, 100));
  TRY(const auto releases, context.repository().releases(*v, ReleaseNumber(before), limit));
  Json list = Json::array();
  for (const auto& release : releases) list.push_back(to_json(release));
  const bool more = releases.size() == limit && releases.back().number.value > 1;
  return Answer{200, {{"releases", std::move(list)}, {"next", more ? to_json(releases.back().number) : Json(nullptr)}}};
}

Outcome get_release(Context& context, const Call& call) {
  TRY(const auto v, path_volume(context, call));
  TRY(const auto release, path_release(context, call, *v));
  TRY(const auto holds, context.repository().holds(*v, release.number));
  Json body = to_json(release);
  Json tags = Json::array(), channels = Json::array(), held = Json::array();
  for (const auto& [tag, number] : v->tags)
    if (number == release.number) tags.push_back(tag);
  for (const auto& [channel, flips] : v->channels)
    if (flips->back().release == release.number) channels.push_back(channel);
  for (const auto& hold : holds)
    held.push_back({{"name", hold.name}, {"reason", hold.reason}, {"since", to_json(hold.since)}});
  body["tags"] = std::move(tags);
  body["channels"] = std::move(channels);
  body["holds"] = std::move(held);
  return Answer{200, std::move(body)};
}

Outcome diff_releases(Context& context, const Call& call) {
  TRY(const auto v, path_volume(context, call));
  TRY(const Bytes from, call.query.required("from"));
  TRY(const auto left, root_of(context, *v, from));
  TRY(const auto right, root_of(context, *v, call.query.text_or("to", "current")));
  return changes_between(context, left, right, call.query);
}

Outcome changes_between(Context& context, const tree::Root& from, const tree::Root& to, const Query& query) {
  TRY(const uint64_t limit, query.number("limit", 1, 10'000, 1000));
  const Bytes after = query.text_or("after", "");
  tree::DiffCursor cursor(context.repository().nodes(), from, to);
  Json changes = Json::array();
  Json body{{"next", nullptr}};
  Bytes last;
  for (;;) {
    TRY(const auto difference, cursor.next());
    if (!difference) break;
    if (!after.empty() && difference->key <= after) continue;
    if (changes.size() == limit) {
      put_bytes(body, "next", last);
      break;
    }
    Json change{{"change", change_name(*difference)},
                {"old_size", difference->left ? Json(difference->left_weight) : Json(nullptr)},
                {"new_size", difference->right ? Json(difference->right_weight) : Json(nullptr)}};
    put_bytes(change, "key", difference->key);
    changes.push_back(std::move(change));
    last = difference->key;
  }
  body["changes"] = std::move(changes);
  return Answer{200, std::move(body)};
}

Outcome put_tag(Context& context, const Call& call) {
  TRY(const uint64_t number, path_number(call, "release"));
  if (!call.body.empty()) {
    TRY(const Json body, parse_object(call.body));
    TRY_DO(Fields(body, "").finish());
  }
  TRY_DO(context.repository().submit(
      call.caller, volume::SetTag{call.segment("volume"), call.segment("tag"), ReleaseNumber(number)}));
  return Answer{204, nullptr};
}

Outcome delete_tag(Context& context, const Call& call) {
  TRY(const auto v, path_volume(context, call));
  TRY(const uint64_t number, path_number(call, "release"));
  const Bytes& tag = call.segment("tag");
  const auto found = v->tags.find(tag);
  if (found == v->tags.end() || found->second != ReleaseNumber(number))
    return std::unexpected(Failure(Error{
        Code::NotFound, fmt::format("release {} of '{}' has no tag '{}'", number, v->record.name, printable(tag))}));
  TRY_DO(context.repository().submit(call.caller, volume::SetTag{v->record.name, tag, ReleaseNumber()}));
  return Answer{204, nullptr};
}

namespace {

Outcome set_hold(Context& context, const Call& call, Bytes reason, volume::SetHold::Action action) {
  TRY(const uint64_t number, path_number(call, "release"));
  TRY_DO(context.repository().submit(call.caller, volume::SetHold{call.segment("volume"), ReleaseNumber(number),
                                                                  call.segment("hold"), std::move(reason), action}));
  return Answer{204, nullptr};
}

}  // namespace

Outcome put_hold(Context& context, const Call& call) {
  TRY(const Json body, parse_object(call.body.empty() ? ByteView("{}") : ByteView(call.body)));
  Fields fields(body, "");
  Bytes reason = fields.optional_text("reason").value_or("");
  if (reason.size() > 1024) fields.refuse("reason", "is longer than 1024 bytes");
  TRY_DO(fields.finish());
  return set_hold(context, call, std::move(reason), volume::SetHold::Action::Add);
}

Outcome delete_hold(Context& context, const Call& call) {
  return set_hold(context, call, {}, volume::SetHold::Action::Remove);
}

}  // namespace hailstone::api
