#include "s3/listing.h"

#include <fmt/format.h>

#include <algorithm>

#include "s3/version_cursor.h"
#include "s3/versions.h"

namespace hailstone::s3 {
namespace {

using s3proto::ErrorCode;
using volume::Entry;

constexpr uint32_t kKeysMax = 1000;

// Without a value it counts as not given.
Answer<uint32_t> asked_max(const Call& call, std::string_view name) {
  if (const auto text = call.query.get(name); !text || text->empty()) return kKeysMax;
  TRY(const auto most, call.query.number(name, INT32_MAX));
  return static_cast<uint32_t>(std::min<uint64_t>(*most, kKeysMax));
}

bool shown_as_object(const Entry& entry) {
  return entry.kind == volume::Kind::File || entry.kind == volume::Kind::Directory;
}

s3proto::ListedObject listed(const volume::Listed& item, bool with_owner) {
  s3proto::ListedObject out{.key = item.key,
                            .modified = UnixMicros{item.entry.modified_ns / 1000},
                            .etag = volume::etag_of(item.entry),
                            .size = item.entry.content.bytes};
  if (with_owner) out.owner = Identity::owner_named(item.entry.object ? item.entry.object->owner : Bytes());
  if (const auto shown = shown_checksum(item.entry)) {
    out.checksum = shown->algorithm;
    out.checksum_type = shown->type;
  }
  return out;
}

struct Page {
  s3proto::Listing listing;
  std::optional<Bytes> next;
};

Answer<Page> read_page(const Call& call, const volume::Target& target, const Bytes& start_after, bool with_owner) {
  Page page;
  TRY(page.listing.keys_max, asked_max(call, "max-keys"));
  page.listing.bucket = call.resource.bucket;
  page.listing.prefix = call.query.get("prefix").value_or("");
  page.listing.delimiter = call.query.get("delimiter").value_or("");
  TRY(page.listing.encoding, s3proto::parse_encoding_type(call.query));
  if (page.listing.keys_max == 0) return page;
  TRY(const auto contents, call.repository().open(target));
  TRY(auto list, volume::list(*contents, {.prefix = page.listing.prefix,
                                          .start_after = start_after,
                                          .delimiter = page.listing.delimiter,
                                          .limit = page.listing.keys_max}));
  for (const auto& item : list.entries)
    if (shown_as_object(item.entry)) page.listing.objects.push_back(listed(item, with_owner));
  for (auto& prefix : list.prefixes) page.listing.common_prefixes.push_back(std::move(prefix));
  page.listing.truncated = list.next.has_value();
  page.next = std::move(list.next);
  return page;
}

}  // namespace

std::string ContinuationToken::encode() const {
  Bytes bytes;
  Encoder out(bytes);
  out.u8(1);
  out.varint(release.value);
  out.bytes(after);
  return to_base64(bytes);
}

Answer<ContinuationToken> ContinuationToken::decode(std::string_view text) {
  Bytes bytes;
  ContinuationToken token;
  if (from_base64(text, bytes)) {
    Decoder in(bytes);
    if (in.u8() != 1) in.poison();
    token.release = ReleaseNumber(in.varint());
    token.after = in.bytes();
    if (in.done()) return token;
  }
  return refusal(ErrorCode::InvalidArgument, "The continuation token provided is incorrect");
}

Answer<http::Response> list_objects(const Call& call) {
  TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), "", nullptr));
  s3proto::ListObjectsAnswer answer;
  answer.marker = call.query.get("marker").value_or("");
  TRY(Page page, read_page(call, call.bucket->target, answer.marker, true));
  answer.listing = std::move(page.listing);
  if (page.next && !answer.listing.delimiter.empty()) answer.next_marker = *std::move(page.next);
  return xml_response(s3proto::render(answer));
}

Answer<http::Response> list_objects_v2(const Call& call) {
  TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), "", nullptr));
  s3proto::ListObjectsV2Answer answer;
  answer.start_after = call.query.get("start-after").value_or("");
  Bytes after = answer.start_after;
  volume::Target target = call.bucket->target;
  const auto text = call.query.get("continuation-token");
  if (text) answer.continuation_token = std::string(*text);
  if (text && !text->empty()) {  // an empty one is none
    TRY(const auto token, ContinuationToken::decode(*text));
    after = token.after;
    if (target.release.has_value() != static_cast<bool>(token.release))
      return refusal(ErrorCode::InvalidArgument, "The continuation token provided is of another bucket");
    // A channel may have flipped between two pages: the listing stays in the release that it began in.
    if (target.release && *target.release != token.release) {
      auto record = call.repository().release(call.bucket->volume(), token.release);
      if (!record)
        return refusal(ErrorCode::InvalidArgument, "The release that this listing began in is gone: list again");
      target.release = token.release;
    }
  }
  const auto fetch_owner = call.query.get("fetch-owner");
  TRY(Page page, read_page(call, target, after, fetch_owner && *fetch_owner == "true"));
  answer.listing = std::move(page.listing);
  if (page.next)
    answer.next_continuation_token =
        ContinuationToken{target.release.value_or(ReleaseNumber()), *std::move(page.next)}.encode();
  auto response = xml_response(s3proto::render(answer));
  if (target.release) response.headers.add("x-hailstone-release", std::to_string(target.release->value));
  return response;
}

Answer<http::Response> list_object_versions(const Call& call) {
  TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), "", nullptr));
  s3proto::ListVersionsAnswer answer;
  TRY(answer.keys_max, asked_max(call, "max-keys"));
  answer.bucket = call.resource.bucket;
  answer.prefix = call.query.get("prefix").value_or("");
  answer.delimiter = call.query.get("delimiter").value_or("");
  answer.key_marker = call.query.get("key-marker").value_or("");
  answer.version_id_marker = call.query.get("version-id-marker").value_or("");
  if (answer.key_marker.empty() && !answer.version_id_marker.empty())
    return refusal(ErrorCode::InvalidArgument, "A version-id marker cannot be specified without a key marker.");
  TRY(answer.encoding, s3proto::parse_encoding_type(call.query));
  if (answer.keys_max == 0) return xml_response(s3proto::render(answer));
  TRY(auto cursor, VersionCursor::open(call.repository(), call.bucket->target));
  TRY_DO(cursor.seek(std::max(answer.prefix, answer.key_marker)));
  // Past the marker: the whole key, or as far as the version named.
  bool passed = answer.version_id_marker.empty();
  while (cursor.valid() && !answer.key_marker.empty() && cursor.key() == answer.key_marker &&
         !(passed && !answer.version_id_marker.empty())) {
    if (!answer.version_id_marker.empty() && version_id(cursor.entry()) == answer.version_id_marker) passed = true;
    TRY_DO(cursor.next());
  }
  while (cursor.valid() && cursor.key().starts_with(answer.prefix)) {
    const size_t at =
        answer.delimiter.empty() ? Bytes::npos : cursor.key().find(answer.delimiter, answer.prefix.size());
    if (at != Bytes::npos) {
      const Bytes common = cursor.key().substr(0, at + answer.delimiter.size());
      const auto after = tree::prefix_successor(common);
      if (!(answer.key_marker >= common && answer.key_marker.starts_with(common))) {
        if (answer.versions.size() + answer.common_prefixes.size() == answer.keys_max) {
          answer.truncated = true;
          break;
        }
        answer.common_prefixes.push_back(common);
        answer.next_key_marker = common;
        answer.next_version_id_marker.clear();
      }
      if (!after) break;
      TRY_DO(cursor.seek(*after));
      continue;
    }
    if (answer.versions.size() + answer.common_prefixes.size() == answer.keys_max) {
      answer.truncated = true;
      break;
    }
    const Entry& entry = cursor.entry();
    if (entry.object || shown_as_object(entry)) {
      s3proto::ListedVersion shown;
      shown.object = listed({cursor.key(), entry}, true);
      shown.version_id = version_id(entry);
      shown.delete_marker = entry.object && entry.object->delete_marker;
      shown.latest = cursor.latest();
      answer.next_key_marker = cursor.key();
      answer.next_version_id_marker = shown.version_id;
      answer.versions.push_back(std::move(shown));
    }
    TRY_DO(cursor.next());
  }
  return xml_response(s3proto::render(answer));
}

namespace {

bool may_see(const Call& call, const volume::Volume& volume) {
  const auto owner = volume.record.documents.find(document::kOwner);
  return has_role(call.identity, volume, owner == volume.record.documents.end() ? Bytes() : owner->second,
                  volume::Role::Reader);
}

}  // namespace

Answer<http::Response> list_buckets(const Call& call) {
  if (call.identity.anonymous()) return refusal(ErrorCode::AccessDenied);
  TRY(const auto most, call.query.number("max-buckets", 10'000));
  if (most && *most == 0) {
    Refused refused(ErrorCode::InvalidArgument, "Argument max-buckets must be an integer between 1 and 10000");
    refused.with("ArgumentName", "max-buckets").with("ArgumentValue", "0");
    return std::unexpected(std::move(refused));
  }
  const std::string_view prefix = call.query.get("prefix").value_or("");
  Bytes after;
  if (const auto text = call.query.get("continuation-token")) {
    TRY(const auto token, ContinuationToken::decode(*text));
    after = token.after;
  }
  s3proto::ListAllMyBuckets answer{.owner = call.identity.owner()};
  if (!prefix.empty()) answer.prefix = std::string(prefix);
  for (const auto& [name, volume] : *call.state->volumes) {
    if (name <= after || !name.starts_with(prefix) || !may_see(call, *volume)) continue;
    if (most && answer.buckets.size() == *most) {
      answer.continuation_token = ContinuationToken{{}, answer.buckets.back().name}.encode();
      break;
    }
    answer.buckets.push_back(
        {name, volume->record.created, most || !prefix.empty() ? std::string(call.options.region) : ""});
  }
  return xml_response(s3proto::render(answer));
}

}  // namespace hailstone::s3
