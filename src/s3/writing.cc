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

constexpr std::string_view kSystemHeaders[] = {"cache-control",    "content-disposition", "content-encoding",
                                               "content-language", "expires",             "x-amz-website-redirect-location"};

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

Answer<UnixMicros> parse_time(std::string_view text) {
  // The document's reader knows every form of the date: the header is put into one.
  Bytes document = "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>" + Bytes(text) + "</RetainUntilDate></Retention>";
  auto parsed = s3proto::parse_retention(document);
  if (!parsed || !*parsed) return refusal(ErrorCode::InvalidArgument, "x-amz-object-lock-retain-until-date is not a date");
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

// x-amz-acl or x-amz-grant-*; "" where the object is as private as by default.
Answer<Bytes> acl_of_headers(const Call& call, const FieldLookup& field) {
  std::vector<s3proto::Grant> grants;
  for (const char* name : {"x-amz-grant-read", "x-amz-grant-write", "x-amz-grant-read-acp", "x-amz-grant-write-acp",
                           "x-amz-grant-full-control"})
    if (const auto value = field(name)) TRY_DO(s3proto::parse_grants(*value, *s3proto::grant_header(name), grants));
  const auto canned = field("x-amz-acl");
  const auto owner = call.identity.owner();
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
    return g.grantee.kind == s3proto::GranteeKind::AllUsers || g.grantee.kind == s3proto::GranteeKind::AuthenticatedUsers;
  });
  if (block && block->block_acls && is_public)
    return refusal(ErrorCode::AccessDenied, "Access Denied: public ACLs are blocked on this bucket");
  return s3proto::render_acl(acl);
}

// Publishing by a plain S3 client: a PUT to this key of a draft's bucket, with the message as its body.
Answer<http::Response> publish_draft(const Call& call, ByteView message) {
  const Bucket& bucket = *call.bucket;
  TRY_DO(authorize(call, bucket, {"s3:PutObject", volume::Role::Publisher, {}}, call.key(), nullptr));
  publish::Request request;
  request.items.push_back({.volume = bucket.name.volume, .draft = DraftId(bucket.name.number), .message = Bytes(message.substr(0, 1024))});
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

http::Response created(const Entry& entry) {
  http::Response response;
  response.headers.add("ETag", "\"" + volume::etag_of(entry) + "\"");
  if (const auto shown = shown_checksum(entry)) {
    response.headers.add(s3proto::checksum_header(shown->algorithm), shown->value);
    response.headers.add("x-amz-checksum-type", s3proto::checksum_type_name(*shown->type));
  }
  response.body = http::Part(Bytes());
  return response;
}

Responding commit_received(const Call& call, http::BlockingPool& pool, Entry entry, std::optional<Bytes> carried) {
  http::Response response = created(entry);
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
  auto version = co_await http::offload(pool, [self = call.shared_from_this(), entry = std::move(entry), carried = std::move(carried)] {
    return commit_object(*self, entry, carried);
  });
  if (!version) co_return std::unexpected(std::move(version).error());
  co_return with_version(std::move(response), *version);
}

}  // namespace

http::Response with_version(http::Response response, const Bytes& version) {
  if (!version.empty()) response.headers.add("x-amz-version-id", version);
  return response;
}

std::vector<std::pair<Bytes, Bytes>> metadata_of(const http::RequestHead& head) {
  constexpr std::string_view kPrefix = "x-amz-meta-";
  std::vector<std::pair<Bytes, Bytes>> out;
  for (const auto& field : head.fields) {
    if (field.name.size() <= kPrefix.size() || !http::same_text(field.name.substr(0, kPrefix.size()), kPrefix)) continue;
    out.emplace_back(lower(field.name.substr(kPrefix.size())), field.value);
  }
  return out;
}

Answer<Entry> entry_of_headers(const Call& call, const FieldLookup& field,
                               const std::vector<std::pair<Bytes, Bytes>>& metadata) {
  if (const auto storage = field("x-amz-storage-class"); storage && *storage != "STANDARD")
    return refusal(ErrorCode::InvalidStorageClass, fmt::format("there is one storage class here, STANDARD, not '{}'", *storage));
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
  TRY(facts.acl, acl_of_headers(call, field));
  facts.owner = call.identity.name();
  TRY_DO(set_lock(call, field, facts));
  entry.object = std::move(facts);
  return entry;
}

void set_content(Entry& entry, const Stored& stored, std::optional<s3proto::ChecksumAlgorithm> algorithm, UnixMicros now) {
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
    TRY(auto written, put_object(transaction, call.bucket->target.layer, versioning_of(*call.bucket), call.key(), entry, call.now));
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
    co_return co_await http::offload(pool, [self = call.shared_from_this(), message = *std::move(message)] { return publish_draft(*self, message); });
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

namespace {

// The file part of a form, as a body.
class FormReader final : public BodyReader {
 public:
  static constexpr size_t kDelimiterBytesMax = 80;  // held back by the decoder, given out with what follows

  FormReader(http::RequestBody& body, s3auth::FormDecoder& decoder, Bytes rest)
      : body_(body), decoder_(decoder), raw_bytes_(std::move(rest)), raw_(raw_bytes_) {}

  http::Task<Answer<size_t>> read(char* out, size_t size) override {
    size_t filled = 0;
    while (filled == 0 && !ended_) {
      if (raw_.empty()) {
        raw_bytes_.resize(64u << 10);
        auto count = co_await body_.read_some(raw_bytes_.data(), raw_bytes_.size());
        if (!count) co_return std::unexpected(Refused(ErrorCode::IncompleteBody, count.error().message));
        if (*count == 0) {
          CO_TRY_DO(decoder_.finish());
          break;
        }
        raw_ = ByteView(raw_bytes_).substr(0, *count);
      }
      const auto step = decoder_.step(raw_.substr(0, std::min(raw_.size(), size - std::min<size_t>(size / 2, kDelimiterBytesMax))));
      if (step.state == s3auth::FormDecoder::State::Rejected) co_return std::unexpected(Refused(decoder_.refusal()));
      if (step.state == s3auth::FormDecoder::State::Data) {
        std::memcpy(out + filled, step.data.data(), step.data.size());
        filled += step.data.size();
      }
      if (step.state == s3auth::FormDecoder::State::End) ended_ = true;
      raw_.remove_prefix(step.consumed);
    }
    co_return filled;
  }
  const std::vector<s3auth::Trailer>& trailer() const override { return none_; }

 private:
  http::RequestBody& body_;
  s3auth::FormDecoder& decoder_;
  Bytes raw_bytes_;
  ByteView raw_;
  bool ended_ = false;
  std::vector<s3auth::Trailer> none_;
};

}  // namespace

Responding post_object(Call& call, http::BlockingPool& pool, http::RequestBody& body,
                       const std::function<Answer<Identity>(const Bytes&)>& identify, const s3auth::SigningKeyLookup& keys,
                       const s3auth::SecretLookup& secrets) {
  CO_TRY(const Bytes boundary, s3auth::FormDecoder::boundary_of(call.field("Content-Type").value_or("")));
  s3auth::FormDecoder decoder(boundary);
  Bytes buffer;
  ByteView raw;
  for (bool file = false; !file;) {
    if (raw.empty()) {
      buffer.resize(16u << 10);
      auto count = co_await body.read_some(buffer.data(), buffer.size());
      if (!count) co_return std::unexpected(Refused(ErrorCode::IncompleteBody, count.error().message));
      if (*count == 0) {
        CO_TRY_DO(decoder.finish());
        co_return refusal(ErrorCode::IncorrectNumberOfFilesInPostRequest);
      }
      raw = ByteView(buffer).substr(0, *count);
    }
    const auto step = decoder.step(raw);
    if (step.state == s3auth::FormDecoder::State::Rejected) co_return std::unexpected(Refused(decoder.refusal()));
    if (step.state == s3auth::FormDecoder::State::End) co_return refusal(ErrorCode::IncorrectNumberOfFilesInPostRequest);
    file = step.state == s3auth::FormDecoder::State::File;
    raw.remove_prefix(step.consumed);
  }
  const auto& fields = decoder.fields();
  const FieldLookup field = [&fields](std::string_view name) -> std::optional<std::string_view> {
    for (const auto& f : fields)
      if (http::same_text(f.name, name)) return f.value;
    return std::nullopt;
  };
  const s3auth::PostForm form{fields, call.bucket->name.volume, decoder.filename()};
  s3auth::PostGrant grant;
  if (!field("policy")) {  // anonymous: what the bucket's policy or ACL lets anybody write
    const auto key = field("key");
    if (!key) co_return refusal(ErrorCode::InvalidArgument, "Bucket POST must contain a field named 'key'.");
    grant.key = *key;
    if (const size_t at = grant.key.find("${filename}"); at != Bytes::npos) grant.key.replace(at, 11, decoder.filename());
  } else if (s3auth::post_signing(fields) == s3auth::PostSigning::V2) {
    if (!call.options.signature_v2) co_return refusal(ErrorCode::InvalidRequest, "signature version 2 is off on this server");
    CO_TRY(grant, s3auth::verify_post_v2(form, secrets, call.now));
  } else {
    const s3auth::ScopeRule rule{.region = call.options.region};
    CO_TRY(grant, s3auth::verify_post_v4(form, rule, keys, call.now));
  }
  if (!grant.access_key_id.empty()) {
    CO_TRY(call.identity, identify(grant.access_key_id));
  }
  CO_TRY_DO(s3proto::validate_key(grant.key));
  call.resource.key = grant.key;
  CO_TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), call.key(), nullptr));
  CO_TRY_DO(require_writable(*call.bucket));
  std::vector<std::pair<Bytes, Bytes>> metadata;
  for (const auto& f : fields) {
    CO_TRY_DO(refuse_unbuilt_field(f.name));
    const Bytes name = lower(f.name);
    if (name.starts_with("x-amz-meta-")) metadata.emplace_back(name.substr(11), f.value);
  }
  const FieldLookup as_header = [&field](std::string_view name) -> std::optional<std::string_view> {
    if (name == "x-amz-acl") return field("acl") ? field("acl") : field("x-amz-acl");
    return field(name);
  };
  CO_TRY(Entry entry, entry_of_headers(call, as_header, metadata));
  if (const auto tagging = field("tagging")) {
    CO_TRY(const auto tags, s3proto::parse_tagging(*tagging, s3proto::TagLevel::Object));
    for (const auto& [name, value] : tags) entry.object->tags[name] = value;
  }
  FormReader reader(body, decoder, Bytes(raw));
  const auto session = call.repository().chunks().begin_writes();
  Expected expected;
  expected.bytes_max = std::min(grant.length_max, call.options.part_bytes_max);
  auto stored = co_await store_body(call, pool, reader, expected);
  if (!stored) co_return std::unexpected(std::move(stored).error());
  CO_TRY_DO(s3auth::check_length(grant, stored->content.bytes, s3auth::Part::Whole));
  set_content(entry, *stored, {}, call.now);
  const Bytes etag = volume::etag_of(entry);
  auto response = co_await commit_received(call, pool, std::move(entry), std::move(stored->carried));
  if (!response) co_return response;
  if (const auto redirect = field("success_action_redirect"); redirect && redirect->starts_with("http")) {
    response->status = 303;
    response->headers.add("Location", fmt::format("{}{}bucket={}&key={}&etag=%22{}%22", *redirect,
                                                  redirect->find('?') == redirect->npos ? '?' : '&', call.resource.bucket,
                                                  percent_encode(call.key()), etag));
    co_return response;
  }
  const auto status = field("success_action_status");
  response->headers.add("Location", fmt::format("/{}/{}", call.resource.bucket, percent_encode(call.key())));
  if (status && *status == "201") {
    response->status = 201;
    response->headers.add("Content-Type", "application/xml");
    response->body = http::Part(s3proto::render(s3proto::PostAnswer{
        fmt::format("/{}/{}", call.resource.bucket, call.key()), call.resource.bucket, call.key(), etag}));
  } else if (!status || *status != "200") {
    response->status = 204;
    response->body = std::monostate();
  }
  co_return response;
}

namespace {

Result<Bytes> checksum_of_content(chunk::ChunkStore& chunks, const chunk::Content& content, s3proto::ChecksumAlgorithm algorithm) {
  constexpr uint64_t kStep = 4u << 20;
  s3proto::ChecksumSet sums;
  sums.add(algorithm);
  for (uint64_t at = 0; at < content.bytes; at += kStep) {
    TRY(const Bytes bytes, chunk::read_content(chunks, content, at, std::min(kStep, content.bytes - at), kStep));
    sums.update(bytes);
  }
  sums.finish();
  return sums.value(algorithm);
}

}  // namespace

Answer<http::Response> copy_object(const Call& call) {
  TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), call.key(), nullptr));
  TRY_DO(require_writable(*call.bucket));
  TRY(const auto source, s3proto::parse_copy_source(*call.field("x-amz-copy-source")));
  TRY(const auto name, s3proto::parse_bucket(source.bucket));
  Bucket from{.name = name, .target = {}, .documents = {}};
  TRY(from.target, resolve_bucket(call.repository(), *call.state, name));
  TRY(from.documents, parse_documents(*from.target.volume));
  TRY_DO(require_expected_owner(call, from, "x-amz-source-expected-bucket-owner"));
  const std::optional<std::string_view> version = source.version_id ? std::optional<std::string_view>(*source.version_id) : std::nullopt;
  TRY(Object object, find_object_in(call, from, source.key, version, need_of(s3proto::Operation::GetObject, version.has_value())));
  if (auto refused = check_conditions(call.field("x-amz-copy-source-if-match"), call.field("x-amz-copy-source-if-none-match"),
                                      call.field("x-amz-copy-source-if-modified-since"),
                                      call.field("x-amz-copy-source-if-unmodified-since"), volume::etag_of(object.entry),
                                      object.entry.modified_ns / 1'000'000'000))
    return refusal(ErrorCode::PreconditionFailed);
  const auto directive = call.field("x-amz-metadata-directive").value_or("COPY");
  const auto tag_directive = call.field("x-amz-tagging-directive").value_or("COPY");
  for (const std::string_view d : {directive, tag_directive})
    if (d != "COPY" && d != "REPLACE") return refusal(ErrorCode::InvalidArgument, fmt::format("Unknown metadata directive '{}'", d));
  TRY(Entry made, entry_of_headers(call, fields_of(call.head), metadata_of(call.head)));
  if (object.entry.content.bytes > (5ull << 30))
    return refusal(ErrorCode::InvalidRequest, "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120");
  const bool itself = from.text() == call.bucket->text() && source.key == call.key() && !version;
  if (itself && directive == "COPY" && !call.field("x-amz-storage-class") && !call.field("x-amz-website-redirect-location"))
    return refusal(ErrorCode::InvalidRequest,
                  "This copy request is illegal because it is trying to copy an object to itself without changing the "
                  "object's metadata, storage class, website redirect location or encryption attributes.");
  const Entry& old = object.entry;
  if (directive == "COPY") {
    made.content_type = old.content_type;
    made.metadata = old.metadata;
    // Where a website redirects to is no part of what is copied.
    constexpr const char* kRedirect = "x-amz-website-redirect-location";
    const auto redirect = call.field(kRedirect);
    made.object->headers = old.object ? old.object->headers : decltype(old.object->headers)();
    made.object->headers.erase(kRedirect);
    if (redirect) made.object->headers[kRedirect] = *redirect;
  }
  if (tag_directive == "COPY" && old.object) made.object->tags = old.object->tags;
  made.content = old.content;
  made.etag = old.etag;
  if (old.object) {
    made.object->checksum_algorithm = old.object->checksum_algorithm;
    made.object->checksum = old.object->checksum;
    // A copy is one piece: what the parts of its source were is not its own.
    if (made.object->checksum.find('-') != Bytes::npos) made.object->checksum.clear(), made.object->checksum_algorithm.clear();
  }
  made.modified_ns = call.now.value * 1000;
  // The chunks are the source's: they must still be there when this is committed.
  const auto session = call.repository().chunks().begin_writes();
  std::vector<ChunkId> ids;
  TRY_DO(chunk::for_each_chunk(call.repository().chunks(), made.content, [&](const ChunkId& id) { ids.push_back(id); }));
  TRY(const auto kept, call.repository().chunks().touch(ids));
  if (std::ranges::find(kept, false) != kept.end())
    return refusal(ErrorCode::InternalError, fmt::format("a chunk of the source '{}' is lost or damaged", source.key));
  if (const auto name_asked = call.field("x-amz-checksum-algorithm")) {
    TRY(const auto algorithm, s3proto::parse_checksum_algorithm(*name_asked));
    if (made.object->checksum.empty() || made.object->checksum_algorithm != s3proto::checksum_name(algorithm)) {
      TRY(const Bytes sum, checksum_of_content(call.repository().chunks(), made.content, algorithm));
      made.object->checksum_algorithm = s3proto::checksum_name(algorithm);
      made.object->checksum = to_base64(sum);
    }
  }
  TRY(const Bytes version_made, commit_object(call, made, {}));
  Bytes body;
  s3proto::CopyAnswer answer{.etag = volume::etag_of(made), .modified = call.now};
  answer.checksum = shown_checksum(made);
  body = s3proto::render_copy_object(answer);
  auto response = with_version(xml_response(std::move(body)), version_made);
  if (!object.version.empty()) response.headers.add("x-amz-copy-source-version-id", object.version);
  return response;
}

Answer<> check_lock(const Entry& entry, bool bypass, UnixMicros now) {
  if (!entry.object) return {};
  if (entry.object->legal_hold)
    return refusal(ErrorCode::AccessDenied, "Access Denied because object protected by object lock: a legal hold is on it.");
  if (entry.object->retention == 0 || entry.object->retain_until <= now.value) return {};
  if (entry.object->retention == 1 && bypass) return {};
  return refusal(ErrorCode::AccessDenied, fmt::format("Access Denied because object protected by object lock until {}.",
                                                     format_iso8601(UnixMicros{entry.object->retain_until})));
}

Answer<bool> bypasses_governance(const Call& call) {
  const auto asked = call.field("x-amz-bypass-governance-retention");
  if (!asked || !http::same_text(*asked, "true")) return false;
  TRY_DO(authorize(call, *call.bucket, {"s3:BypassGovernanceRetention", volume::Role::Admin, {}}, call.key(), nullptr));
  return true;
}

namespace {

struct Deleted {
  Written written;
  bool of_version = false;
};

Answer<Deleted> delete_one(const Call& call, Transaction& transaction, const std::string& key,
                           std::optional<std::string_view> version, bool bypass) {
  const Bucket& bucket = *call.bucket;
  if (!version || version->empty()) {
    TRY(auto written, delete_object(transaction, bucket.target.layer, versioning_of(bucket), key, call.identity.name(), call.now));
    return Deleted{std::move(written), false};
  }
  TRY_DO(require_version_id(*version));
  if (!bucket.is_head()) {
    if (*version != kNullVersion) return refusal(ErrorCode::InvalidArgument, "Invalid version id specified");
    transaction.remove(bucket.target.layer, key);
    return Deleted{};
  }
  TRY(auto found, find_version(transaction, key, *version));
  if (!found) return Deleted{Written{Bytes(*version), false}, true};
  TRY_DO(check_lock(found->entry, bypass, call.now));
  TRY(auto written, delete_version(transaction, key, *found));
  return Deleted{std::move(written), true};
}

// One of a Delete document.
Answer<Deleted> delete_listed(const Call& call, Transaction& transaction, const s3proto::DeleteRequest::Object& object, bool bypass) {
  TRY_DO(authorize(call, *call.bucket, need_of(call.operation, object.version_id.has_value()), object.key, nullptr));
  if (object.etag || object.size) {
    TRY(const auto current, transaction.get(call.bucket->target.layer, object.key));
    if (current && ((object.etag && *object.etag != "*" && *object.etag != volume::etag_of(*current)) ||
                    (object.size && *object.size != current->content.bytes)))
      return refusal(ErrorCode::PreconditionFailed);
    if (!current && object.etag) return refusal(ErrorCode::NoSuchKey);
  }
  const auto version = object.version_id ? std::optional<std::string_view>(*object.version_id) : std::nullopt;
  return delete_one(call, transaction, object.key, version, bypass);
}

s3proto::Failure failure_of(const Refused& refused) {
  s3proto::Failure failure;
  failure.message = refused.message;
  for (size_t c = 0; c < s3proto::kErrorCodeCount; ++c)
    if (s3proto::error_name(static_cast<ErrorCode>(c)) == refused.code) failure.code = static_cast<ErrorCode>(c);
  return failure;
}

}  // namespace

Answer<http::Response> delete_object(const Call& call) {
  const auto version = call.query.get("versionId");
  TRY_DO(authorize(call, *call.bucket, need_of(call.operation, version.has_value()), call.key(), nullptr));
  TRY_DO(require_writable(*call.bucket));
  TRY(const bool bypass, bypasses_governance(call));
  Deleted deleted;
  TRY_DO(transact(call, call.bucket->volume(), [&](Transaction& transaction) -> Answer<> {
    if (const auto if_match = call.field("If-Match")) {
      TRY(auto refused, check_write_conditions(call, transaction, call.bucket->target.layer, call.key()));
      if (refused) return std::unexpected(*std::move(refused));
    }
    TRY(deleted, delete_one(call, transaction, call.key(), version, bypass));
    return {};
  }));
  http::Response response;
  response.status = 204;
  if (!deleted.written.version.empty()) response.headers.add("x-amz-version-id", deleted.written.version);
  if (deleted.written.delete_marker) response.headers.add("x-amz-delete-marker", "true");
  return response;
}

Answer<http::Response> delete_objects(const Call& call, ByteView document) {
  if (!call.field("Content-MD5") && !std::ranges::any_of(s3proto::kHeaderChecksums, [&](auto a) {
        return call.field(s3proto::checksum_header(a)).has_value();
      }) && !call.field("x-amz-trailer") && call.who.payload != s3auth::PayloadMode::Digest)
    return refusal(ErrorCode::InvalidRequest, "Missing required header for this request: Content-MD5 OR x-amz-checksum-*");
  TRY(const auto request, s3proto::parse_delete(document));
  TRY_DO(require_writable(*call.bucket));
  TRY(const bool bypass, bypasses_governance(call));
  s3proto::DeleteAnswer answer;
  // A round goes in one commit. A transaction does not see its own edits: two versions of one key need two.
  std::vector<std::vector<const s3proto::DeleteRequest::Object*>> rounds;
  std::map<std::string_view, size_t> round_of;
  for (const auto& object : request.objects) {
    const size_t round = round_of[object.key]++;
    if (round == rounds.size()) rounds.emplace_back();
    rounds[round].push_back(&object);
  }
  std::vector<std::pair<const s3proto::DeleteRequest::Object*, Deleted>> gone;
  for (const auto& round : rounds) {
    std::vector<std::pair<const s3proto::DeleteRequest::Object*, Deleted>> gone_now;
    std::vector<s3proto::DeleteError> errors;
    TRY_DO(transact(call, call.bucket->volume(), [&](Transaction& transaction) -> Answer<> {
      gone_now.clear();
      errors.clear();
      for (const auto* object : round) {
        auto done = delete_listed(call, transaction, *object, bypass);
        if (done) {
          gone_now.emplace_back(object, *std::move(done));
        } else if (done.error().broken) {
          return std::unexpected(std::move(done).error());
        } else {
          errors.push_back({.key = object->key, .version_id = object->version_id.value_or(""), .failure = failure_of(done.error())});
        }
      }
      return {};
    }));
    std::ranges::move(gone_now, std::back_inserter(gone));
    std::ranges::move(errors, std::back_inserter(answer.errors));
  }
  if (!request.quiet) {
    for (const auto& [object, deleted] : gone) {
      s3proto::DeletedObject shown;
      shown.key = object->key;
      shown.version_id = object->version_id.value_or("");
      if (deleted.written.delete_marker) {
        shown.delete_marker = true;
        shown.delete_marker_version_id = deleted.written.version;
      }
      answer.deleted.push_back(std::move(shown));
    }
  }
  return xml_response(s3proto::render(answer));
}

namespace {

// Changes the facts of the version a request names.
Answer<http::Response> change_facts(const Call& call, int status, const std::function<Answer<>(volume::ObjectFacts&)>& change) {
  const auto version = call.query.get("versionId");
  TRY_DO(require_writable(*call.bucket));
  TRY(const Object object, find_object(call, need_of(call.operation, version.has_value())));
  Bytes changed_version;
  TRY_DO(transact(call, call.bucket->volume(), [&](Transaction& transaction) -> Answer<> {
    const uint64_t layer = call.bucket->target.layer;
    FoundVersion found;
    if (version && call.bucket->is_head()) {
      TRY(auto looked, find_version(transaction, call.key(), *version));
      if (!looked) return refusal(ErrorCode::NoSuchVersion);
      found = *std::move(looked);
    } else {
      TRY(auto current, transaction.get(layer, call.key()));
      if (!current) return refusal(ErrorCode::NoSuchKey);
      found = {*std::move(current), true, Bytes(call.key())};
    }
    if (!found.entry.object) found.entry.object.emplace();
    TRY_DO(change(*found.entry.object));
    changed_version = call.bucket->versioned() ? version_id(found.entry) : Bytes();
    return [&]() -> Answer<> {
      TRY_DO(transaction.put(found.current ? layer : volume::kVersionsLayer, found.key, found.entry));
      return {};
    }();
  }));
  http::Response response;
  response.status = status;
  if (status != 204) response.body = http::Part(Bytes());
  return with_version(std::move(response), changed_version);
}

}  // namespace

Answer<http::Response> put_object_tagging(const Call& call, ByteView document) {
  s3proto::Tags tags;
  const bool removes = call.operation == s3proto::Operation::DeleteObjectTagging;
  if (!removes) {
    TRY(tags, s3proto::parse_tagging(document, s3proto::TagLevel::Object));
  }
  return change_facts(call, removes ? 204 : 200, [&](volume::ObjectFacts& facts) -> Answer<> {
    facts.tags.clear();
    for (const auto& [name, value] : tags) facts.tags[name] = value;
    return {};
  });
}

Answer<http::Response> put_object_acl(const Call& call, ByteView document) {
  Bytes acl;
  if (document.empty()) {
    TRY(acl, acl_of_headers(call, fields_of(call.head)));
  } else {
    TRY(const auto parsed, s3proto::parse_acl(document));
    acl = s3proto::render_acl(parsed);
  }
  return change_facts(call, 200, [&](volume::ObjectFacts& facts) -> Answer<> {
    facts.acl = acl;
    return {};
  });
}

Answer<http::Response> put_object_retention(const Call& call, ByteView document) {
  if (!call.bucket->documents->lock) return refusal(ErrorCode::InvalidRequest, "Bucket is missing Object Lock Configuration");
  TRY(const auto retention, s3proto::parse_retention(document));
  if (retention && retention->until <= call.now)
    return refusal(ErrorCode::InvalidArgument, "The retain until date must be in the future!");
  TRY(const bool bypass, bypasses_governance(call));
  return change_facts(call, 200, [&](volume::ObjectFacts& facts) -> Answer<> {
    const bool in_force = facts.retention != 0 && facts.retain_until > call.now.value;
    const bool loosens = !retention || retention->until.value < facts.retain_until ||
                         (facts.retention == 2 && retention->mode != s3proto::LockMode::Compliance);
    const bool changes_mode = retention && facts.retention == 1 && retention->mode == s3proto::LockMode::Compliance;
    if (in_force && (loosens || changes_mode) && !(facts.retention == 1 && bypass))
      return refusal(ErrorCode::AccessDenied, "Access Denied because object protected by object lock.");
    facts.retention = !retention ? 0 : retention->mode == s3proto::LockMode::Governance ? 1 : 2;
    facts.retain_until = retention ? retention->until.value : 0;
    return {};
  });
}

Answer<http::Response> put_object_legal_hold(const Call& call, ByteView document) {
  if (!call.bucket->documents->lock) return refusal(ErrorCode::InvalidRequest, "Bucket is missing Object Lock Configuration");
  TRY(const auto hold, s3proto::parse_legal_hold(document));
  return change_facts(call, 200, [&](volume::ObjectFacts& facts) -> Answer<> {
    facts.legal_hold = hold == s3proto::LegalHold::On;
    return {};
  });
}

}  // namespace hailstone::s3
