#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "http/grammar.h"
#include "s3/versions.h"
#include "s3/writing.h"

namespace hailstone::s3 {
namespace {

using s3proto::ErrorCode;
using volume::Entry;
using volume::Transaction;

}  // namespace

Answer<> check_lock(const Entry& entry, bool bypass, UnixMicros now) {
  if (!entry.object) return {};
  if (entry.object->legal_hold)
    return refusal(ErrorCode::AccessDenied,
                   "Access Denied because object protected by object lock: a legal hold is on it.");
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
    TRY(auto written,
        delete_object(transaction, bucket.target.layer, versioning_of(bucket), key, call.identity.name(), call.now));
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
Answer<Deleted> delete_listed(const Call& call, Transaction& transaction, const s3proto::DeleteRequest::Object& object,
                              bool bypass) {
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
  if (!call.field("Content-MD5") &&
      !std::ranges::any_of(s3proto::kHeaderChecksums,
                           [&](auto a) { return call.field(s3proto::checksum_header(a)).has_value(); }) &&
      !call.field("x-amz-trailer") && call.who.payload != s3auth::PayloadMode::Digest)
    return refusal(ErrorCode::InvalidRequest,
                   "Missing required header for this request: Content-MD5 OR x-amz-checksum-*");
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
          errors.push_back(
              {.key = object->key, .version_id = object->version_id.value_or(""), .failure = failure_of(done.error())});
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

}  // namespace hailstone::s3
