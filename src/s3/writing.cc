#include "s3/writing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>

#include "base/bytes.h"
#include "http/grammar.h"
#include "s3/unbuilt.h"
#include "s3/versions.h"
#include "s3auth/form_decoder.h"
#include "s3auth/post_policy.h"

namespace hailstone::s3 {
namespace {

using s3proto::ErrorCode;
using volume::Entry;
using volume::Transaction;

constexpr size_t kMetadataBytesMax = 2048;  // of all x-amz-meta- names and values, as in S3
constexpr std::string_view kPublishKey = "_hailstone/publish";

constexpr std::string_view kSystemHeaders[] = {"cache-control",    "content-disposition",
                                               "content-encoding", "content-language",
                                               "expires",          "x-amz-website-redirect-location"};

Answer<UnixMicros> parse_time(std::string_view text) {
  // The document's reader knows every form of the date: the header is put into one.
  Bytes document =
      "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>" + Bytes(text) + "</RetainUntilDate></Retention>";
  auto parsed = s3proto::parse_retention(document);
  if (!parsed || !*parsed)
    return refusal(ErrorCode::InvalidArgument, "x-amz-object-lock-retain-until-date is not a date");
  return (*parsed)->until;
}

Answer<> set_lock(const Call& call, const FieldLookup& field, volume::ObjectFacts& facts) {
  const auto mode = field("x-amz-object-lock-mode");
  const auto until = field("x-amz-object-lock-retain-until-date");
  const auto hold = field("x-amz-object-lock-legal-hold");
  const auto& lock = call.bucket->documents->lock;
  if ((mode || until || hold) && !lock)
    return refusal(ErrorCode::InvalidRequest, "Bucket is missing Object Lock Configuration");
  if (mode.has_value() != until.has_value())
    return refusal(ErrorCode::InvalidArgument,
                   "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied");
  if (mode) {
    const auto parsed = s3proto::parse_lock_mode(*mode);
    if (!parsed) return refusal(ErrorCode::InvalidArgument, "Unknown wormMode directive.");
    TRY(const UnixMicros time, parse_time(*until));
    if (time <= call.now) return refusal(ErrorCode::InvalidArgument, "The retain until date must be in the future!");
    facts.retention = *parsed == s3proto::LockMode::Governance ? 1 : 2;
    facts.retain_until = time.value;
  } else if (lock && lock->retention) {
    facts.retention = lock->retention->mode == s3proto::LockMode::Governance ? 1 : 2;
    const int64_t days = lock->retention->days + int64_t{lock->retention->years} * 365;
    facts.retain_until = call.now.value + days * 86'400'000'000;
  }
  if (hold) {
    TRY(const auto parsed, s3proto::parse_legal_hold_header(*hold));
    facts.legal_hold = parsed == s3proto::LegalHold::On;
  }
  return {};
}

// Publishing by a plain S3 client: a PUT to this key of a draft's bucket, with the message as its body.
Answer<http::Response> publish_draft(const Call& call, ByteView message) {
  const Bucket& bucket = *call.bucket;
  TRY_DO(authorize(call, bucket, {"s3:PutObject", volume::Role::Publisher, {}}, call.key(), nullptr));
  publish::Request request;
  request.items.push_back(
      {.volume = bucket.name.volume, .draft = DraftId(bucket.name.number), .message = Bytes(message.substr(0, 1024))});
  auto published = call.services.publisher.publish(call.caller(), request);
  if (!published) {
    const auto& why = published.error();
    if (why.error.code == Code::Conflict) return refusal(ErrorCode::OperationAborted, why.error.message);
    if (why.error.code == Code::Invalid) return refusal(ErrorCode::InvalidRequest, why.error.message);
    return std::unexpected(Refused(why.error));
  }
  http::Response response;
  const auto number = published->front().release.value;
  response.headers.add("ETag", fmt::format("\"release-{}\"", number));
  response.headers.add("x-hailstone-release", std::to_string(number));
  response.body = http::Part(Bytes());
  return response;
}

bool is_publish_key(const Call& call) {
  return call.bucket->name.kind == s3proto::BucketName::Kind::Draft && call.key() == kPublishKey;
}

bool may_go_unread(const Call& call) {
  return !call.bucket->versioned() && !call.field("If-Match") && !call.field("If-None-Match");
}

http::Response created(const Call& call, const Entry& entry) {
  http::Response response;
  add_expiration(call, entry, response.headers);
  response.headers.add("ETag", "\"" + volume::etag_of(entry) + "\"");
  if (const auto shown = shown_checksum(entry)) {
    response.headers.add(s3proto::checksum_header(shown->algorithm), shown->value);
    response.headers.add("x-amz-checksum-type", s3proto::checksum_type_name(*shown->type));
  }
  response.body = http::Part(Bytes());
  return response;
}

}  // namespace

Bytes lower(std::string_view text) {
  Bytes out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

FieldLookup fields_of(const http::RequestHead& head) {
  return [&head](std::string_view name) { return head.field(name); };
}

// A transaction whose body may refuse in S3's words.
Answer<volume::Reply> transact(const Call& call, const volume::Volume& volume,
                               const std::function<Answer<>(Transaction&)>& body) {
  std::optional<Refused> refused;
  auto reply = call.repository().transact(call.caller(), volume, [&](Transaction& transaction) -> Result<void> {
    refused.reset();
    auto done = body(transaction);
    if (done) return {};
    refused = std::move(done).error();
    return fail(Code::Cancelled, "refused");
  });
  if (refused) return std::unexpected(*std::move(refused));
  if (!reply) return std::unexpected(Refused(std::move(reply).error()));
  return *std::move(reply);
}

s3proto::Versioning versioning_of(const Bucket& bucket) {
  return bucket.is_head() ? bucket.documents->versioning : s3proto::Versioning::Never;
}

// What ownership controls and the public access block let an ACL be.
Answer<> require_acls(const Call& call, const s3proto::AccessControlList& acl) {
  const auto& documents = *call.bucket->documents;
  const bool is_public = std::ranges::any_of(acl.grants, [](const auto& g) {
    return g.grantee.kind == s3proto::GranteeKind::AllUsers ||
           g.grantee.kind == s3proto::GranteeKind::AuthenticatedUsers;
  });
  if (documents.ownership == s3proto::Ownership::BucketOwnerEnforced)
    return refusal(ErrorCode::AccessControlListNotSupported);
  if (documents.access_block && documents.access_block->block_acls && is_public)
    return refusal(ErrorCode::AccessDenied, "Access Denied: public ACLs are blocked on this bucket");
  return {};
}

// x-amz-acl or x-amz-grant-*; "" where the object is as private as by default.
Answer<Bytes> acl_of_headers(const Call& call, const FieldLookup& field, const s3proto::Owner& owner) {
  std::vector<s3proto::Grant> grants;
  for (const char* name : {"x-amz-grant-read", "x-amz-grant-write", "x-amz-grant-read-acp", "x-amz-grant-write-acp",
                           "x-amz-grant-full-control"})
    if (const auto value = field(name)) TRY_DO(s3proto::parse_grants(*value, *s3proto::grant_header(name), grants));
  const auto canned = field("x-amz-acl");
  const auto bucket_owner = call.bucket ? Identity::owner_named(call.bucket->documents->owner) : owner;
  const bool enforced = call.bucket && call.bucket->documents->ownership == s3proto::Ownership::BucketOwnerEnforced;
  if (canned && !grants.empty())
    return refusal(ErrorCode::InvalidRequest, "Specifying both Canned ACLs and Header Grants is not allowed");
  if (enforced && (!grants.empty() || (canned && *canned != "bucket-owner-full-control" && *canned != "private")))
    return refusal(ErrorCode::AccessControlListNotSupported);
  s3proto::AccessControlList acl{.owner = owner, .grants = std::move(grants)};
  if (canned) {
    if (*canned == "private") return Bytes();
    TRY(acl, s3proto::canned_acl(*canned, owner, bucket_owner));
  }
  if (acl.grants.empty()) return Bytes();
  const auto& block = call.bucket ? call.bucket->documents->access_block : std::nullopt;
  const bool is_public = std::ranges::any_of(acl.grants, [](const auto& g) {
    return g.grantee.kind == s3proto::GranteeKind::AllUsers ||
           g.grantee.kind == s3proto::GranteeKind::AuthenticatedUsers;
  });
  if (block && block->block_acls && is_public)
    return refusal(ErrorCode::AccessDenied, "Access Denied: public ACLs are blocked on this bucket");
  TRY_DO(require_grantees(call, acl));
  return s3proto::render_acl(acl);
}

Responding commit_received(const Call& call, http::BlockingPool& pool, Entry entry, std::optional<Bytes> carried) {
  http::Response response = created(call, entry);
  if (may_go_unread(call)) {
    volume::Write write;
    write.volume = call.bucket->name.volume;
    volume::LayerEdit edit{call.key(), {}, entry.content.bytes};
    CO_TRY(edit.entry, entry.encode());
    write.layers.push_back({.layer = call.bucket->target.layer, .seen = {}, .seen_base = {}, .edits = {}});
    write.layers.back().edits.push_back(std::move(edit));
    if (carried) write.chunks.push_back(*std::move(carried));
    CO_TRY_DO(co_await http::await_callback<Result<volume::Reply>>(
        [&repository = call.repository(), caller = call.caller(), write = std::move(write)](auto done) mutable {
          repository.submit_async(caller, std::move(write), std::move(done));
        }));
    co_return response;
  }
  auto version =
      co_await http::offload(pool, [self = call.shared_from_this(), entry = std::move(entry),
                                    carried = std::move(carried)] { return commit_object(*self, entry, carried); });
  if (!version) co_return std::unexpected(std::move(version).error());
  co_return with_version(std::move(response), *version);
}

http::Response with_version(http::Response response, const Bytes& version) {
  if (!version.empty()) response.headers.add("x-amz-version-id", version);
  return response;
}

std::vector<std::pair<Bytes, Bytes>> metadata_of(const http::RequestHead& head) {
  constexpr std::string_view kPrefix = "x-amz-meta-";
  std::vector<std::pair<Bytes, Bytes>> out;
  for (const auto& field : head.fields) {
    if (field.name.size() <= kPrefix.size() || !http::same_text(field.name.substr(0, kPrefix.size()), kPrefix))
      continue;
    out.emplace_back(lower(field.name.substr(kPrefix.size())), field.value);
  }
  return out;
}

Answer<Entry> entry_of_headers(const Call& call, const FieldLookup& field,
                               const std::vector<std::pair<Bytes, Bytes>>& metadata) {
  if (const auto storage = field("x-amz-storage-class"); storage && *storage != "STANDARD")
    return refusal(ErrorCode::InvalidStorageClass,
                   fmt::format("there is one storage class here, STANDARD, not '{}'", *storage));
  Entry entry;
  volume::ObjectFacts facts;
  if (const auto type = field("Content-Type")) entry.content_type = *type;
  for (const std::string_view name : kSystemHeaders) {
    const auto value = field(name);
    if (!value) continue;
    Bytes text(*value);
    if (name == "content-encoding") {  // aws-chunked is how it was sent, not what it is
      Bytes kept;
      for (std::string_view rest = text; !rest.empty();) {
        const size_t comma = rest.find(',');
        const std::string_view one = http::trim(rest.substr(0, comma));
        rest.remove_prefix(comma == rest.npos ? rest.size() : comma + 1);
        if (one.empty() || http::same_text(one, "aws-chunked")) continue;
        kept += (kept.empty() ? "" : ",") + Bytes(one);
      }
      text = std::move(kept);
      if (text.empty()) continue;
    }
    facts.headers[Bytes(name)] = std::move(text);
  }
  size_t bytes = 0;
  for (const auto& [name, value] : metadata) {
    bytes += name.size() + value.size();
    auto& kept = entry.metadata[name];
    kept = kept.empty() ? value : kept + "," + value;
  }
  if (bytes > kMetadataBytesMax) {
    Refused refused(ErrorCode::MetadataTooLarge);
    refused.with("Size", std::to_string(bytes)).with("MaxSizeAllowed", std::to_string(kMetadataBytesMax));
    return std::unexpected(std::move(refused));
  }
  if (const auto tagging = field("x-amz-tagging")) {
    TRY(const auto tags, s3proto::parse_tagging_header(*tagging));
    TRY_DO(s3proto::validate_tags(tags, s3proto::TagLevel::Object));
    for (const auto& [name, value] : tags) facts.tags[name] = value;
  }
  TRY(facts.acl, acl_of_headers(call, field, call.identity.owner()));
  facts.owner = call.identity.name();
  TRY_DO(set_lock(call, field, facts));
  entry.object = std::move(facts);
  return entry;
}

void set_content(Entry& entry, const Stored& stored, std::optional<s3proto::ChecksumAlgorithm> algorithm,
                 UnixMicros now) {
  entry.content = stored.content;
  entry.etag = stored.etag();
  entry.modified_ns = now.value * 1000;
  if (stored.checksum && algorithm && entry.object) {
    entry.object->checksum_algorithm = s3proto::checksum_name(*algorithm);
    entry.object->checksum = to_base64(*stored.checksum);
  }
}

Result<std::optional<Refused>> check_write_conditions(const Call& call, Transaction& transaction, uint64_t layer,
                                                      ByteView key) {
  const auto if_match = call.field("If-Match");
  const auto if_none_match = call.field("If-None-Match");
  if (!if_match && !if_none_match) return std::optional<Refused>();
  TRY(const auto current, transaction.get(layer, key));
  if (if_match) {
    if (!current) {
      Refused refused(ErrorCode::NoSuchKey);
      refused.with("Key", Bytes(key));
      return refused;
    }
    if (*if_match != "*" && s3proto::unquoted_etag(*if_match) != volume::etag_of(*current)) {
      Refused refused(ErrorCode::PreconditionFailed);
      refused.with("Condition", "If-Match");
      return refused;
    }
  }
  if (if_none_match && current &&
      (*if_none_match == "*" || s3proto::unquoted_etag(*if_none_match) == volume::etag_of(*current))) {
    Refused refused(ErrorCode::PreconditionFailed);
    refused.with("Condition", "If-None-Match");
    return refused;
  }
  return std::optional<Refused>();
}

Answer<Bytes> commit_object(const Call& call, const Entry& entry, const std::optional<Bytes>& carried) {
  Bytes version;
  TRY_DO(transact(call, call.bucket->volume(), [&](Transaction& transaction) -> Answer<> {
    TRY(auto refused, check_write_conditions(call, transaction, call.bucket->target.layer, call.key()));
    if (refused) return std::unexpected(*std::move(refused));
    TRY(auto written,
        put_object(transaction, call.bucket->target.layer, versioning_of(*call.bucket), call.key(), entry, call.now));
    version = std::move(written.version);
    if (carried) transaction.carry(*carried);
    return {};
  }));
  return version;
}

Responding put_object(const Call& call, http::BlockingPool& pool, http::RequestBody& body) {
  CO_TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), call.key(), nullptr));
  CO_TRY_DO(require_writable(*call.bucket));
  if (is_publish_key(call)) {
    auto message = co_await read_document(call, body, 4096);
    if (!message) co_return std::unexpected(std::move(message).error());
    co_return co_await http::offload(pool, [self = call.shared_from_this(), message = *std::move(message)] {
      return publish_draft(*self, message);
    });
  }
  CO_TRY(const Expected expected, expected_of(call, call.options.part_bytes_max));
  CO_TRY(Entry entry, entry_of_headers(call, fields_of(call.head), metadata_of(call.head)));
  CO_TRY(auto reader, body_reader(call, body));
  const auto session = call.repository().chunks().begin_writes();
  auto stored = co_await store_body(call, pool, *reader, expected);
  if (!stored) co_return std::unexpected(std::move(stored).error());
  set_content(entry, *stored, expected.algorithm, call.now);
  co_return co_await commit_received(call, pool, std::move(entry), std::move(stored->carried));
}

}  // namespace hailstone::s3
