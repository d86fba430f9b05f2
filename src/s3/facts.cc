#include <algorithm>

#include "s3/versions.h"
#include "s3/writing.h"

namespace hailstone::s3 {
namespace {

using s3proto::ErrorCode;
using volume::Transaction;

// Changes the facts of the version a request names.
Answer<http::Response> change_facts(const Call& call, int status,
                                    const std::function<Answer<>(volume::ObjectFacts&)>& change) {
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
  std::optional<s3proto::AccessControlList> given;
  if (!document.empty()) {
    TRY(given, s3proto::parse_acl(document));
    TRY_DO(require_grantees(call, *given));
    TRY_DO(require_acls(call, *given));
  } else if (!call.field("x-amz-acl") && std::ranges::none_of(call.head.fields, [](const auto& field) {
               return s3proto::grant_header(field.name).has_value();
             })) {
    return refusal(ErrorCode::MissingSecurityHeader);
  }
  // Whoever changes it, the object stays its owner's.
  return change_facts(call, 200, [&](volume::ObjectFacts& facts) -> Answer<> {
    const auto owner = Identity::owner_named(facts.owner);
    if (given) {
      given->owner = owner;
      facts.acl = s3proto::render_acl(*given);
    } else {
      TRY(facts.acl, acl_of_headers(call, fields_of(call.head), owner));
    }
    return {};
  });
}

Answer<http::Response> put_object_retention(const Call& call, ByteView document) {
  if (!call.bucket->documents->lock)
    return refusal(ErrorCode::InvalidRequest, "Bucket is missing Object Lock Configuration");
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
  if (!call.bucket->documents->lock)
    return refusal(ErrorCode::InvalidRequest, "Bucket is missing Object Lock Configuration");
  TRY(const auto hold, s3proto::parse_legal_hold(document));
  return change_facts(call, 200, [&](volume::ObjectFacts& facts) -> Answer<> {
    facts.legal_hold = hold == s3proto::LegalHold::On;
    return {};
  });
}

}  // namespace hailstone::s3
