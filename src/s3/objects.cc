#include "s3/objects.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "http/conditional.h"
#include "http/grammar.h"
#include "http/mime.h"
#include "http/range.h"
#include "s3/content_body.h"
#include "s3/versions.h"

namespace hailstone::s3 {
namespace {

using s3proto::ErrorCode;
using volume::Entry;

int64_t seconds_of(const Entry& entry) {
  const int64_t ns = entry.modified_ns;
  return ns >= 0 ? ns / 1'000'000'000 : -((-ns + 999'999'999) / 1'000'000'000);
}

Refused no_such_key(const std::string& key) {
  Refused refused(ErrorCode::NoSuchKey);
  refused.with("Key", key);
  return refused;
}

std::optional<std::string_view> asked_version(const Call& call) {
  auto version = call.query.get("versionId");
  if (version && version->empty()) return std::nullopt;
  return version;
}

// Objects are File entries; imported links and directories are shown by their kind only.
bool is_object(const Entry& entry) { return entry.kind == volume::Kind::File || entry.kind == volume::Kind::Directory; }

Result<std::unique_ptr<volume::Contents>> open_bucket_contents(const Call& call, const Bucket& bucket) {
  if (bucket.root) return volume::open_tree(call.repository().nodes(), *bucket.root);
  return call.repository().open(bucket.target);
}

Result<std::optional<Object>> read_current(const Call& call, const Bucket& bucket, const std::string& key) {
  TRY(const auto contents, open_bucket_contents(call, bucket));
  TRY(auto entry, contents->get(key));
  if (!entry || !is_object(*entry)) return std::optional<Object>();
  Bytes version = bucket.versioned() ? version_id(*entry) : Bytes();
  return Object{*std::move(entry), std::move(version)};
}

Refused hidden(const Bucket& bucket, const std::string& key, const FoundVersion& marker) {
  (void)bucket;
  Refused refused = no_such_key(key);
  refused.headers = {{"x-amz-delete-marker", "true"}, {"x-amz-version-id", version_id(marker.entry)}};
  return refused;
}

// A transaction that is only read from.
Result<void> look(const Call& call, const volume::Volume& volume,
                  const std::function<Result<void>(volume::Transaction&)>& body) {
  TRY_DO(call.repository().transact(call.caller(), volume, body));
  return {};
}

constexpr std::pair<std::string_view, std::string_view> kOverrides[] = {
    {"response-content-type", "Content-Type"},
    {"response-content-language", "Content-Language"},
    {"response-expires", "Expires"},
    {"response-cache-control", "Cache-Control"},
    {"response-content-disposition", "Content-Disposition"},
    {"response-content-encoding", "Content-Encoding"},
};

}  // namespace

http::Response xml_response(Bytes body, int status) {
  http::Response response;
  response.status = status;
  response.headers.add("Content-Type", "application/xml");
  response.body = http::Part(std::move(body));
  return response;
}

Answer<Object> find_object_in(const Call& call, const Bucket& bucket, const std::string& key,
                              std::optional<std::string_view> version, const Need& need) {
  std::optional<Object> object;
  std::optional<Refused> missing;
  if (version) TRY_DO(require_version_id(*version));
  if (version && bucket.is_head() && (bucket.versioned() || *version != kNullVersion)) {
    std::optional<FoundVersion> found;
    TRY_DO(look(call, bucket.volume(), [&](volume::Transaction& transaction) -> Result<void> {
      TRY(found, find_version(transaction, key, *version));
      return {};
    }));
    if (found && found->entry.object && found->entry.object->delete_marker) {
      missing = Refused(ErrorCode::MethodNotAllowed, "The version is a delete marker");
      missing->headers = {{"x-amz-delete-marker", "true"},
                          {"x-amz-version-id", version_id(found->entry)},
                          {"Allow", "DELETE"},
                          {"Last-Modified", format_http_date(seconds_of(found->entry))}};
    } else if (found) {
      Bytes id = version_id(found->entry);
      object = Object{std::move(found->entry), std::move(id)};
    } else {
      missing = Refused(ErrorCode::NoSuchVersion);
      missing->with("Key", key).with("VersionId", std::string(*version));
    }
  } else if (version && *version != kNullVersion) {
    missing = Refused(ErrorCode::InvalidArgument, "Invalid version id specified");
  } else {
    TRY(object, read_current(call, bucket, key));
    if (!object && bucket.versioned()) {
      std::optional<FoundVersion> marker;
      TRY_DO(look(call, bucket.volume(), [&](volume::Transaction& transaction) -> Result<void> {
        TRY(marker, newest_former(transaction, key));
        return {};
      }));
      if (marker) missing = hidden(bucket, key, *marker);
    }
    if (!object && !missing) missing = no_such_key(key);
  }
  TRY_DO(authorize(call, bucket, need, key, object ? &object->entry : nullptr));
  if (!object) {
    // Whether a key exists is for those who may list.
    const Need list{"s3:ListBucket", volume::Role::Reader, s3proto::Permission::Read};
    TRY_DO(authorize(call, bucket, list, "", nullptr));
    return std::unexpected(*std::move(missing));
  }
  return *std::move(object);
}

Answer<Object> find_object(const Call& call, const Need& need) {
  return find_object_in(call, *call.bucket, call.key(), asked_version(call), need);
}

std::optional<Refused> check_conditions(std::optional<std::string_view> if_match,
                                        std::optional<std::string_view> if_none_match,
                                        std::optional<std::string_view> if_modified,
                                        std::optional<std::string_view> if_unmodified, const Bytes& etag,
                                        int64_t modified_seconds) {
  const Bytes quoted = "\"" + etag + "\"";
  const auto names = [&](std::string_view list) {
    return http::trim(list) == "*" || http::etag_listed(list, quoted, http::Compare::Weak) ||
           s3proto::unquoted_etag(list) == etag;
  };
  const auto failed = [](std::string_view condition) {
    Refused refused(ErrorCode::PreconditionFailed);
    refused.with("Condition", std::string(condition));
    return refused;
  };
  const auto date = [](std::optional<std::string_view> text) -> std::optional<int64_t> {
    int64_t seconds = 0;
    if (!text || !parse_http_date(*text, seconds)) return std::nullopt;
    return seconds;
  };
  if (if_match) {
    if (!names(*if_match)) return failed("If-Match");
  } else if (const auto since = date(if_unmodified); since && modified_seconds > *since) {
    return failed("If-Unmodified-Since");
  }
  if (if_none_match) {
    if (names(*if_none_match)) return Refused(ErrorCode::NotModified);
  } else if (const auto since = date(if_modified); since && modified_seconds <= *since) {
    return Refused(ErrorCode::NotModified);
  }
  return std::nullopt;
}

std::optional<s3proto::ShownChecksum> shown_checksum(const Entry& entry) {
  if (!entry.object || entry.object->checksum.empty()) return std::nullopt;
  auto algorithm = s3proto::parse_checksum_algorithm(entry.object->checksum_algorithm);
  if (!algorithm) return std::nullopt;
  const bool composite = entry.object->checksum.find('-') != Bytes::npos;
  return s3proto::ShownChecksum{*algorithm, entry.object->checksum,
                                composite ? s3proto::ChecksumType::Composite : s3proto::ChecksumType::FullObject};
}

void add_expiration(const Call& call, const Entry& entry, http::HeaderBlock& headers) {
  if (!call.bucket || !call.bucket->is_head() || !call.bucket->documents->lifecycle) return;
  s3proto::Tags tags;
  if (entry.object) tags.assign(entry.object->tags.begin(), entry.object->tags.end());
  const s3proto::VersionFacts version{
      .key = call.key(), .size = entry.content.bytes, .tags = &tags, .created = UnixMicros{entry.modified_ns / 1000}};
  if (const auto due = s3proto::expiration_of(*call.bucket->documents->lifecycle, version))
    headers.add("x-amz-expiration",
                fmt::format("expiry-date=\"{}\", rule-id=\"{}\"", format_http_date(due->at.seconds()), due->rule_id));
}

void add_object_headers(const Call& call, const Object& object, http::HeaderBlock& headers) {
  const Entry& entry = object.entry;
  headers.add("ETag", "\"" + volume::etag_of(entry) + "\"");
  headers.add("Last-Modified", format_http_date(seconds_of(entry)));
  headers.add("Accept-Ranges", "bytes");
  if (!object.version.empty()) headers.add("x-amz-version-id", object.version);
  for (const auto& [name, value] : entry.metadata) headers.add("x-amz-meta-" + name, value);
  const auto overridden = [&](std::string_view header) -> std::optional<std::string_view> {
    for (const auto& [parameter, name] : kOverrides)
      if (name == header) return call.query.get(parameter);
    return std::nullopt;
  };
  if (const auto type = overridden("Content-Type")) {
    headers.add("Content-Type", *type);
  } else if (!entry.content_type.empty()) {
    headers.add("Content-Type", entry.content_type);
  } else {
    headers.add("Content-Type", entry.object ? "binary/octet-stream" : http::content_type_of(call.key()));
  }
  for (const auto& [parameter, name] : kOverrides) {
    if (name == "Content-Type") continue;
    if (const auto value = call.query.get(parameter)) {
      headers.add(name, *value);
    } else if (entry.object) {
      Bytes lower(name);
      std::ranges::transform(lower, lower.begin(),
                             [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
      if (const auto it = entry.object->headers.find(lower); it != entry.object->headers.end())
        headers.add(name, it->second);
    }
  }
  if (!entry.object) return;
  const auto& facts = *entry.object;
  if (const auto it = facts.headers.find("x-amz-website-redirect-location"); it != facts.headers.end())
    headers.add(it->first, it->second);
  if (!facts.tags.empty()) headers.add("x-amz-tagging-count", std::to_string(facts.tags.size()));
  if (facts.retention != 0) {
    headers.add("x-amz-object-lock-mode", facts.retention == 1 ? "GOVERNANCE" : "COMPLIANCE");
    headers.add("x-amz-object-lock-retain-until-date", format_iso8601(UnixMicros{facts.retain_until}));
  }
  if (facts.legal_hold) headers.add("x-amz-object-lock-legal-hold", "ON");
  add_expiration(call, entry, headers);
}

Bytes encode_parts(const std::vector<StoredPart>& parts) {
  Bytes bytes;
  Encoder out(bytes);
  out.varint(parts.size());
  for (const StoredPart& part : parts) {
    out.varint(part.bytes);
    out.bytes(part.checksum);
  }
  return bytes;
}

Result<std::vector<StoredPart>> read_parts(chunk::ChunkStore& store, const volume::ObjectFacts& facts) {
  std::vector<StoredPart> out;
  if (facts.part_count == 0) return out;
  TRY(const Bytes bytes, chunk::read_content(store, facts.parts, 0, facts.parts.bytes, 4u << 20));
  Decoder in(bytes);
  const uint64_t count = in.varint();
  if (count != facts.part_count || count > s3proto::kPartNumberMax) in.poison();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    StoredPart part;
    part.bytes = in.varint();
    part.checksum = in.bytes();
    out.push_back(std::move(part));
  }
  if (!in.done()) return fail(Code::Corrupt, "part list: malformed");
  return out;
}

Answer<http::Response> get_object(const Call& call) {
  const bool head = call.operation == s3proto::Operation::HeadObject;
  TRY(const Object object, find_object(call, need_of(s3proto::Operation::GetObject, asked_version(call).has_value())));
  const Entry& entry = object.entry;
  const Bytes etag = volume::etag_of(entry);
  const uint64_t size = entry.content.bytes;
  if (auto refused =
          check_conditions(call.field("If-Match"), call.field("If-None-Match"), call.field("If-Modified-Since"),
                           call.field("If-Unmodified-Since"), etag, seconds_of(entry))) {
    if (refused->status == 304) {
      refused->headers = {{"ETag", "\"" + etag + "\""}, {"Last-Modified", format_http_date(seconds_of(entry))}};
      if (!object.version.empty()) refused->headers.emplace_back("x-amz-version-id", object.version);
    }
    return std::unexpected(*std::move(refused));
  }
  // Overrides change what a signed URL's holder sees: only a signature may ask for them.
  for (const auto& [parameter, name] : kOverrides) {
    const auto value = call.query.get(parameter);
    if (!value) continue;
    if (call.identity.anonymous())
      return refusal(ErrorCode::InvalidRequest, fmt::format("{} cannot be used with anonymous requests", parameter));
    if (std::ranges::any_of(*value, [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
      return refusal(ErrorCode::InvalidArgument, fmt::format("{} has control characters", parameter));
  }

  http::Response response;
  http::ByteRange range{0, size};
  bool partial = false;
  TRY(const auto part_number, call.query.number("partNumber", s3proto::kPartNumberMax));
  if (part_number) {
    if (call.field("Range"))
      return refusal(ErrorCode::InvalidRequest, "Cannot specify both Range header and partNumber query parameter");
    TRY(const auto parts,
        entry.object ? read_parts(call.repository().chunks(), *entry.object) : std::vector<StoredPart>());
    const uint64_t count = std::max<uint64_t>(parts.size(), 1);
    if (*part_number == 0)
      return refusal(ErrorCode::InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive");
    if (*part_number > count) {
      Refused refused(ErrorCode::InvalidPartNumber);
      refused.with("PartNumberRequested", std::to_string(*part_number)).with("ActualPartCount", std::to_string(count));
      return std::unexpected(std::move(refused));
    }
    if (!parts.empty()) {
      for (uint64_t i = 0; i + 1 < *part_number; ++i) range.offset += parts[i].bytes;
      range.length = parts[*part_number - 1].bytes;
      response.headers.add("x-amz-mp-parts-count", std::to_string(parts.size()));
    }
    partial = range.length > 0;
  } else if (const auto field = call.field("Range")) {
    const std::string quoted = "\"" + etag + "\"";
    if (http::range_applies(call.head, {true, quoted, seconds_of(entry)})) {
      const auto resolved = http::resolve_ranges(field, size);
      if (resolved.kind == http::ResolvedRanges::Kind::Unsatisfiable) {
        Refused refused(ErrorCode::InvalidRange);
        refused.with("RangeRequested", std::string(*field)).with("ActualObjectSize", std::to_string(size));
        refused.headers.emplace_back("Content-Range", http::unsatisfied_range(size));
        return std::unexpected(std::move(refused));
      }
      if (resolved.kind == http::ResolvedRanges::Kind::Satisfiable && resolved.ranges.size() == 1) {
        range = resolved.ranges[0];
        partial = true;
      }
    }
  }
  add_object_headers(call, object, response.headers);
  const auto mode = call.field("x-amz-checksum-mode");
  if (mode && *mode == "ENABLED" && !partial) {
    if (const auto shown = shown_checksum(entry)) {
      response.headers.add(s3proto::checksum_header(shown->algorithm), shown->value);
      response.headers.add("x-amz-checksum-type", s3proto::checksum_type_name(*shown->type));
    }
  }
  if (call.bucket->target.release)
    response.headers.add("x-hailstone-release", std::to_string(call.bucket->target.release->value));
  if (partial) {
    response.status = 206;
    response.headers.add("Content-Range", http::content_range(range, size));
  }
  if (head) {
    response.content_length = range.length;
    return response;
  }
  TRY_DO(set_body(call.services.extents, *call.small_chunks, entry.content, range.offset, range.length, response));
  return response;
}

Answer<http::Response> get_object_attributes(const Call& call) {
  const auto asked = call.field("x-amz-object-attributes");
  if (!asked) return refusal(ErrorCode::InvalidRequest, "x-amz-object-attributes is missing");
  TRY(const auto wanted, s3proto::parse_object_attributes(*asked));
  TRY(const Object object, find_object(call, need_of(call.operation, asked_version(call).has_value())));
  const Entry& entry = object.entry;
  s3proto::ObjectAttributesAnswer answer;
  if (wanted.etag) answer.etag = volume::etag_of(entry);
  if (wanted.size) answer.size = entry.content.bytes;
  if (wanted.storage_class) answer.storage_class = "STANDARD";
  const auto shown = shown_checksum(entry);
  if (wanted.checksum) answer.checksum = shown;
  if (wanted.parts && entry.object && entry.object->part_count > 0) {
    TRY(const auto parts, read_parts(call.repository().chunks(), *entry.object));
    s3proto::ObjectAttributesAnswer::Parts out;
    out.total = static_cast<uint32_t>(parts.size());
    const auto number = [&](std::string_view name, uint64_t otherwise) -> Answer<uint64_t> {
      const auto text = call.field(name);
      if (!text) return otherwise;
      uint64_t value = 0;
      const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
      if (error != std::errc() || end != text->data() + text->size())
        return refusal(ErrorCode::InvalidArgument, fmt::format("{} is not a number", name));
      return value;
    };
    TRY(const uint64_t marker, number("x-amz-part-number-marker", 0));
    TRY(const uint64_t most, number("x-amz-max-parts", 1000));
    out.marker = static_cast<uint32_t>(marker);
    out.parts_max = static_cast<uint32_t>(std::min<uint64_t>(most, 1000));
    for (uint64_t i = marker; i < parts.size(); ++i) {
      if (out.parts.size() == out.parts_max) {
        out.truncated = true;
        break;
      }
      s3proto::ListedPart part{.number = static_cast<uint32_t>(i + 1), .size = parts[i].bytes};
      if (shown && !parts[i].checksum.empty())
        part.checksum = s3proto::ShownChecksum{shown->algorithm, to_base64(parts[i].checksum), {}};
      out.next_marker = part.number;
      out.parts.push_back(std::move(part));
    }
    answer.parts = std::move(out);
  }
  auto response = xml_response(s3proto::render(answer));
  response.headers.add("Last-Modified", format_http_date(seconds_of(entry)));
  if (!object.version.empty()) response.headers.add("x-amz-version-id", object.version);
  return response;
}

Answer<http::Response> get_object_tagging(const Call& call) {
  TRY(const Object object, find_object(call, need_of(call.operation, asked_version(call).has_value())));
  s3proto::Tags tags;
  if (object.entry.object) tags.assign(object.entry.object->tags.begin(), object.entry.object->tags.end());
  auto response = xml_response(s3proto::render_tagging(tags));
  if (!object.version.empty()) response.headers.add("x-amz-version-id", object.version);
  return response;
}

Answer<http::Response> get_object_acl(const Call& call) {
  TRY(const Object object, find_object(call, need_of(call.operation, asked_version(call).has_value())));
  if (object.entry.object && !object.entry.object->acl.empty()) return xml_response(object.entry.object->acl);
  const auto owner = Identity::owner_named(object.entry.object ? object.entry.object->owner : Bytes());
  TRY(const auto acl, s3proto::canned_acl("private", owner, owner));
  return xml_response(s3proto::render_acl(acl));
}

Answer<http::Response> get_object_retention(const Call& call) {
  TRY(const Object object, find_object(call, need_of(call.operation, asked_version(call).has_value())));
  if (!call.bucket->documents->lock)
    return refusal(ErrorCode::InvalidRequest, "Bucket is missing Object Lock Configuration");
  if (!object.entry.object || object.entry.object->retention == 0)
    return refusal(ErrorCode::NoSuchObjectLockConfiguration);
  const auto mode = object.entry.object->retention == 1 ? s3proto::LockMode::Governance : s3proto::LockMode::Compliance;
  return xml_response(s3proto::render_retention({mode, UnixMicros{object.entry.object->retain_until}}));
}

Answer<http::Response> get_object_legal_hold(const Call& call) {
  TRY(const Object object, find_object(call, need_of(call.operation, asked_version(call).has_value())));
  if (!call.bucket->documents->lock)
    return refusal(ErrorCode::InvalidRequest, "Bucket is missing Object Lock Configuration");
  const bool on = object.entry.object && object.entry.object->legal_hold;
  return xml_response(s3proto::render_legal_hold(on ? s3proto::LegalHold::On : s3proto::LegalHold::Off));
}

}  // namespace hailstone::s3
