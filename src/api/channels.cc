#include "api/call.h"

namespace hailstone::api {

Json to_json(const std::vector<publish::Finding>& findings);

namespace {

constexpr size_t kItemsMax = 100;    // volumes of one publish
constexpr size_t kFlipsMax = 1000;   // channel changes of one commit
constexpr size_t kChannelsMax = 20;  // flipped by one publish
constexpr size_t kHistoryMax = 100;  // flips told of a channel

std::vector<Bytes> read_channels(Fields& fields) {
  auto channels = fields.optional_texts("channels").value_or(std::vector<Bytes>{"current"});
  if (channels.empty() || channels.size() > kChannelsMax) fields.refuse("channels", "must name 1 to 20 channels");
  return channels;
}

Json published_json(const publish::Published& published, const std::vector<Bytes>& channels) {
  return {{"volume", published.volume},
          {"release", to_json(published.release)},
          {"root", published.root.id.hex()},
          {"unchanged", published.unchanged},
          {"added", published.added},
          {"changed", published.changed},
          {"removed", published.removed},
          {"channels", channels},
          {"warnings", to_json(published.warnings)}};
}

}  // namespace

Outcome list_channels(Context& context, const Call& call) {
  TRY(const auto v, path_volume(context, call));
  Json list = Json::array();
  for (const auto& [name, flips] : v->channels) {
    Json channel = to_json(flips->back());
    channel["name"] = name;
    Json history = Json::array();
    for (auto flip = flips->rbegin(); flip != flips->rend() && history.size() < kHistoryMax; ++flip)
      history.push_back(to_json(*flip));
    channel["history"] = std::move(history);
    list.push_back(std::move(channel));
  }
  return Answer{200, {{"channels", std::move(list)}}};
}

Outcome publish_releases(Context& context, const Call& call) {
  TRY(const Json body, parse_object(call.body));
  Fields fields(body, "");
  publish::Request request;
  request.author = fields.optional_text("author").value_or("");
  request.dry_run = fields.optional_flag("dry_run").value_or(false);
  request.channels = read_channels(fields);
  auto items = fields.objects("items", kItemsMax);
  TRY_DO(fields.finish());
  if (items.empty()) return fail_with(0, Code::Invalid, "field 'items' is empty: name at least one volume");
  for (Fields& item : items) {
    publish::Item& out = request.items.emplace_back();
    out.volume = item.text("volume");
    out.draft = DraftId(item.optional_number("draft", 1, UINT64_MAX).value_or(0));
    out.message = item.optional_text("message").value_or("");
    TRY_DO(item.finish());
    TRY_DO(require_key(call, volume::Role::Publisher, out.volume));
  }
  TRY(const auto published, context.services.publisher.publish(call.caller, request));
  Json releases = Json::array();
  for (const auto& one : published) releases.push_back(published_json(one, request.channels));
  return Answer{200, {{"releases", std::move(releases)}, {"dry_run", request.dry_run}}};
}

Outcome flip_channels(Context& context, const Call& call) {
  TRY(const Json body, parse_object(call.body));
  Fields fields(body, "");
  auto flips = fields.objects("flips", kFlipsMax);
  TRY_DO(fields.finish());
  if (flips.empty()) return fail_with(0, Code::Invalid, "field 'flips' is empty: name at least one channel");
  std::vector<volume::Commit::ChannelChange> changes;
  for (Fields& flip : flips) {
    auto& change = changes.emplace_back();
    change.volume = flip.text("volume");
    change.channel = flip.text("channel");
    if (!flip.has("release")) flip.refuse("release", "is missing: a release's number, or null to remove the channel");
    change.release = ReleaseNumber(flip.optional_number("release", 1, UINT64_MAX).value_or(0));
    if (const auto expected = flip.optional_number("expect", 0, UINT64_MAX)) change.expected = ReleaseNumber(*expected);
    TRY_DO(flip.finish());
    TRY_DO(require_key(call, volume::Role::Publisher, change.volume));
  }
  Json told = Json::array();
  for (const auto& change : changes)
    told.push_back({{"volume", change.volume}, {"channel", change.channel}, {"release", to_json(change.release)}});
  TRY_DO(context.services.publisher.flip(call.caller, std::move(changes)));
  return Answer{200, {{"flips", std::move(told)}}};
}

Outcome roll_back(Context& context, const Call& call) {
  TRY(const Json body, parse_object(call.body));
  Fields fields(body, "");
  const Bytes name = fields.text("volume");
  const Bytes channel = fields.optional_text("channel").value_or("current");
  const auto to = fields.optional_number("to", 1, UINT64_MAX);
  TRY_DO(fields.finish());
  TRY_DO(require_key(call, volume::Role::Publisher, name));
  TRY(const auto done, context.services.publisher.rollback(call.caller, name, channel,
                                                           to ? std::optional(ReleaseNumber(*to)) : std::nullopt));
  return Answer{200,
                {{"volume", name},
                 {"channel", channel},
                 {"from", to_json(done.from)},
                 {"to", to_json(done.to)},
                 {"warnings", done.warnings}}};
}

Outcome revert_volume(Context& context, const Call& call) {
  TRY(const Json body, parse_object(call.body));
  Fields fields(body, "");
  const Bytes name = fields.text("volume");
  const uint64_t to = fields.number("to", 1, UINT64_MAX);
  const auto channels = read_channels(fields);
  const Bytes message = fields.optional_text("message").value_or("");
  TRY_DO(fields.finish());
  TRY_DO(require_key(call, volume::Role::Publisher, name));
  TRY(const auto published, context.services.publisher.revert(call.caller, name, ReleaseNumber(to), channels, message));
  Json releases = Json::array();
  releases.push_back(published_json(published, channels));
  return Answer{200, {{"releases", std::move(releases)}}};
}

}  // namespace hailstone::api
