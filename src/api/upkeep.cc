#include "api/upkeep.h"

#include <fmt/format.h>

#include "api/call.h"

namespace hailstone::api {
namespace {

constexpr std::string_view kChores[] = {"collect", "verify", "compact", "scrub"};
constexpr size_t kReasonsMax = 1000;

Result<Upkeep*> upkeep_of(Context& context) {
  if (context.services.upkeep == nullptr) return fail(Code::Unsupported, "this node keeps no store of its own");
  return context.services.upkeep;
}

Json texts(const std::vector<std::string>& lines) { return Json(lines); }

Result<ChunkId> parse_chunk_id(std::string_view text) {
  Bytes raw;
  if (!from_hex(text, raw) || raw.size() != sizeof(ChunkId))
    return fail(Code::Invalid, fmt::format("'{}' is not a chunk: 64 hex digits", printable(text)));
  return ChunkId(Hash256::from_view(raw));
}

}  // namespace

std::string_view chore_name(Chore chore) { return kChores[static_cast<size_t>(chore)]; }

std::optional<Chore> parse_chore(std::string_view name) {
  for (size_t i = 0; i < std::size(kChores); ++i)
    if (kChores[i] == name) return static_cast<Chore>(i);
  return std::nullopt;
}

Outcome upkeep_status(Context& context, const Call&) {
  TRY(Upkeep* const upkeep, upkeep_of(context));
  return Answer{200, upkeep->status()};
}

Outcome ask_upkeep(Context& context, const Call& call) {
  TRY(Upkeep* const upkeep, upkeep_of(context));
  TRY(const Json body, parse_object(call.body));
  Fields fields(body, "");
  const Bytes name = fields.text("chore");
  ChoreOptions options;
  options.dry_run = fields.optional_flag("dry_run").value_or(false);
  options.skip_window = fields.optional_flag("skip_window").value_or(false);
  const auto chore = parse_chore(name);
  if (!chore) fields.refuse("chore", "must be 'collect', 'verify', 'compact' or 'scrub'");
  TRY_DO(fields.finish());
  return Answer{202, {{"chore", name}, {"ticket", upkeep->ask(*chore, options)}}};
}

Outcome why_chunk(Context& context, const Call& call) {
  TRY(Upkeep* const upkeep, upkeep_of(context));
  TRY(const uint64_t limit, call.query.number("limit", 1, kReasonsMax, 20));
  TRY(const ChunkId id, parse_chunk_id(call.segment("chunk")));
  chunk::ChunkStore& chunks = context.repository().chunks();
  const auto stat = chunks.stat(id);
  TRY(const auto reasons, upkeep->why(id, limit));
  Json body{{"chunk", id.hex()}, {"present", stat.has_value()}, {"reasons", texts(reasons)}};
  if (stat) {
    body["bytes"] = stat->bytes;
    body["stored_bytes"] = stat->stored_bytes;
  } else {
    body["problem"] = stat.error().message;
  }
  return Answer{200, std::move(body)};
}

/// Of a key: its chunks and what else refers to each. Of a release: what keeps it.
Outcome why_target(Context& context, const Call& call) {
  TRY(Upkeep* const upkeep, upkeep_of(context));
  TRY(const uint64_t limit, call.query.number("limit", 1, kReasonsMax, 20));
  volume::Repository& repository = context.repository();
  const Bytes& name = call.segment("target");
  const auto key = call.query.text("key");
  if (key) {
    TRY(const auto target, repository.resolve(name));
    TRY(const auto contents, repository.open(target));
    TRY(const auto entry, contents->get(*key));
    if (!entry)
      return std::unexpected(
          Failure(Error{Code::NotFound, fmt::format("'{}' has no key '{}'", name, printable(*key))}));
    std::vector<ChunkId> ids;
    TRY_DO(chunk::for_each_chunk(repository.chunks(), entry->content, [&](const ChunkId& id) {
      if (ids.size() < limit) ids.push_back(id);
    }));
    Json list = Json::array();
    for (const ChunkId& id : ids) {
      TRY(const auto reasons, upkeep->why(id, limit));
      const auto stat = repository.chunks().stat(id);
      list.push_back(
          {{"chunk", id.hex()}, {"stored_bytes", stat ? stat->stored_bytes : 0}, {"reasons", texts(reasons)}});
    }
    Json body{{"target", name},
              {"size", entry->content.bytes},
              {"inline", entry->content.refs.empty()},
              {"chunks", std::move(list)}};
    put_bytes(body, "key", *key);
    return Answer{200, std::move(body)};
  }
  const size_t at = name.find('@');
  TRY(const auto v, repository.volume(std::string_view(name).substr(0, at)));
  ReleaseNumber number;
  if (at != Bytes::npos && !name.empty() && name.find_first_not_of("0123456789", at + 1) == Bytes::npos) {
    TRY(const uint64_t digits, parse_number("release", std::string_view(name).substr(at + 1), 1, UINT64_MAX));
    number = ReleaseNumber(digits);
  } else {
    TRY(const auto target, repository.resolve(at == Bytes::npos ? name + "@current" : name));
    if (!target.release)
      return std::unexpected(Failure(
          Error{Code::Invalid,
                fmt::format("'{}' is a draft: it stays until it is published, dropped or its lease runs out", name)}));
    number = *target.release;
  }
  Json body{{"volume", v->record.name}, {"release", number.value}};
  if (const auto trashed = v->trashed.find(number); trashed != v->trashed.end()) {
    body["trashed"] = to_json(trashed->second);
    body["reasons"] = {fmt::format("in the trash since {}, purged {} s later", format_iso8601(trashed->second),
                                   v->record.settings.trash_seconds)};
    return Answer{200, std::move(body)};
  }
  TRY(const auto input, repository.retention_input(*v));
  for (size_t i = 0; i < input.releases.size(); ++i) {
    if (input.releases[i].number != number) continue;
    auto reasons = volume::kept_because(input, i);
    if (reasons.empty()) reasons.emplace_back("nothing: the next collection lets it go");
    body["reasons"] = Json(reasons);
    return Answer{200, std::move(body)};
  }
  return std::unexpected(
      Failure(Error{Code::NotFound, fmt::format("volume '{}' has no release {}", v->record.name, number.value)}));
}

Outcome list_audit(Context& context, const Call& call) {
  TRY(const uint64_t before, call.query.number("before", 1, INT64_MAX, 0));
  TRY(const uint64_t limit, call.query.number("limit", 1, 1000, 100));
  TRY(const auto records, context.repository().audit(UnixMicros{static_cast<int64_t>(before)}, limit));
  Json list = Json::array();
  for (const auto& record : records)
    list.push_back({{"slot", record.slot.value},
                    {"time", to_json(record.time)},
                    {"author", record.author},
                    {"action", record.action},
                    {"object", record.object}});
  const bool more = records.size() >= limit;
  return Answer{200, {{"records", std::move(list)}, {"next", more ? Json(records.back().time.value) : Json(nullptr)}}};
}

Outcome list_trash(Context& context, const Call& call) {
  TRY(const auto v, path_volume(context, call));
  Json list = Json::array();
  for (const auto& [release, since] : v->trashed)
    list.push_back({{"release", release.value},
                    {"since", to_json(since)},
                    {"until", to_json(UnixMicros{since.value + static_cast<int64_t>(v->record.settings.trash_seconds) *
                                                                   1'000'000})}});
  return Answer{200, {{"trash", std::move(list)}}};
}

Outcome trash_release(Context& context, const Call& call) {
  TRY(const uint64_t number, path_number(call, "release"));
  TRY_DO(
      context.repository().submit(call.caller, volume::TrashReleases{call.segment("volume"), {ReleaseNumber(number)}}));
  return Answer{204, nullptr};
}

Outcome restore_release(Context& context, const Call& call) {
  TRY(const uint64_t number, path_number(call, "release"));
  TRY_DO(
      context.repository().submit(call.caller, volume::RestoreRelease{call.segment("volume"), ReleaseNumber(number)}));
  return Answer{204, nullptr};
}

}  // namespace hailstone::api
