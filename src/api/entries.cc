#include <fmt/format.h>

#include "api/write.h"
#include "publish/derived.h"
#include "publish/search.h"

namespace hailstone::api {
namespace {

constexpr uint64_t kListMax = 10'000;
constexpr uint64_t kListDefault = 1000;
constexpr uint64_t kHitsMax = 1000;

std::string_view rank_name(publish::SearchHit::Rank rank) {
  switch (rank) {
    case publish::SearchHit::Rank::ExactName: return "exact_name";
    case publish::SearchHit::Rank::NamePrefix: return "name_prefix";
    case publish::SearchHit::Rank::FileName: return "file_name";
    case publish::SearchHit::Rank::Path: return "path";
  }
  return "unknown";
}

std::string_view package_kind_name(publish::PackageKind kind) {
  switch (kind) {
    case publish::PackageKind::Deb: return "deb";
    case publish::PackageKind::DebSource: return "dsc";
    case publish::PackageKind::Rpm: return "rpm";
    case publish::PackageKind::Wheel: return "wheel";
    case publish::PackageKind::Sdist: return "sdist";
    case publish::PackageKind::Crate: return "crate";
    case publish::PackageKind::Npm: return "npm";
    case publish::PackageKind::Jar: return "jar";
    case publish::PackageKind::Gem: return "gem";
    case publish::PackageKind::Apk: return "apk";
    case publish::PackageKind::Pacman: return "pacman";
  }
  return "unknown";
}

Json package_json(const publish::PackageName& package) {
  return {{"kind", package_kind_name(package.kind)},
          {"name", package.name},
          {"version", package.version},
          {"architecture", package.architecture}};
}

}  // namespace

Outcome list_entries(Context& context, const Call& call) {
  volume::ListRequest request;
  request.prefix = call.query.text_or("prefix", "");
  request.start_after = call.query.text_or("start_after", "");
  request.delimiter = call.query.text_or("delimiter", "");
  TRY(request.limit, call.query.number("limit", 1, kListMax, kListDefault));
  TRY(const auto target, context.repository().resolve(call.segment("target")));
  TRY(const auto contents, context.repository().open(target));
  TRY(const auto listing, volume::list(*contents, request));
  return Answer{200, to_json(listing, target.release)};
}

Outcome get_entry(Context& context, const Call& call) {
  TRY(Bytes key, call.query.required("key"));
  TRY(const auto target, context.repository().resolve(call.segment("target")));
  TRY(const auto contents, context.repository().open(target));
  TRY(auto entry, contents->get(key));
  if (!entry) return std::unexpected(Failure(no_key(target, key)));
  Json body = to_json(volume::Listed{std::move(key), *std::move(entry)});
  body["release"] = target.release ? to_json(*target.release) : Json(nullptr);
  return Answer{200, std::move(body)};
}

Outcome delete_content(Context& context, const Call& call) {
  TRY(Bytes key, call.query.required("key"));
  TRY(const auto target, context.repository().resolve(call.segment("target")));
  TRY(const auto written, write_one(context, call, target, {std::move(key), std::nullopt}));
  return Answer{204, nullptr};
}

Outcome get_token(Context& context, const Call& call) {
  TRY(const auto target, context.repository().resolve(call.segment("target")));
  TRY(const Bytes token, context.repository().token(target));
  return Answer{200, {{"token", token}, {"release", target.release ? to_json(*target.release) : Json(nullptr)}}};
}

// Only releases have an index: a bare volume means its current one, and the answer says which that was.
Outcome search(Context& context, const Call& call) {
  volume::Repository& repository = context.repository();
  TRY(const Bytes words, call.query.required("q"));
  TRY(const uint64_t limit, call.query.number("limit", 1, kHitsMax, 50));
  TRY(const uint64_t offset, call.query.number("offset", 0, publish::kSearchCandidatesMax, 0));
  TRY(auto target, repository.resolve(call.segment("target")));
  if (target.layer != volume::kHeadLayer)
    return std::unexpected(
        Failure(Error{Code::Invalid, fmt::format("'{}' is a draft: only releases can be searched", target.text)}));
  if (!target.release) {
    const volume::Flip* current = target.volume->channel("current");
    if (!current)
      return std::unexpected(
          Failure(Error{Code::NotFound, fmt::format("volume '{}' has nothing published on channel 'current'",
                                                    target.volume->record.name)}));
    target.release = current->release;
  }
  TRY(const auto record, repository.release(*target.volume, *target.release));
  TRY(const auto root, publish::search_root(repository.nodes(), record.derived));
  TRY(const auto index, publish::SearchIndex::open(repository.nodes(), repository.chunks(), root));
  TRY(const auto answer, index->query(words, limit, offset));
  Json hits = Json::array();
  for (const auto& hit : answer.hits) {
    Json one{{"rank", rank_name(hit.rank)}};
    put_bytes(one, "key", hit.key);
    if (hit.package) one["package"] = package_json(*hit.package);
    hits.push_back(std::move(one));
  }
  return Answer{200,
                {{"release", record.number.value},
                 {"hits", std::move(hits)},
                 {"more", answer.more},
                 {"complete", answer.complete}}};
}

}  // namespace hailstone::api
