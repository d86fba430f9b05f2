#include "s3/access.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "s3auth/scope.h"

namespace hailstone::s3 {
namespace {

using s3proto::ErrorCode;
using s3proto::Operation;
using s3proto::Permission;
using volume::Role;

// Tags that the request would give an object.
s3proto::Tags requested_tags(const Call& call) {
  if (call.request_tags) return *call.request_tags;
  if (const auto header = call.field_or_form("x-amz-tagging"))
    if (auto tags = s3proto::parse_tagging_header(*header)) return *std::move(tags);
  if (const auto found = call.form_fields.find("tagging"); found != call.form_fields.end())
    if (auto tags = s3proto::parse_tagging(found->second, s3proto::TagLevel::Object)) return *std::move(tags);
  return {};
}

std::string_view auth_type(const Call& call) {
  if (call.operation == Operation::PostObject) return "POST";
  return s3auth::is_presigned(call.who.scheme) ? "REST-QUERY-STRING" : "REST-HEADER";
}

bool creates_object(Operation operation) {
  return operation == Operation::PutObject || operation == Operation::CopyObject ||
         operation == Operation::CompleteMultipartUpload || operation == Operation::PostObject;
}

// Values of a policy's condition key. Every key that parse_policy accepts has its line: what is not known here does not
// exist, and a Deny on it would never hold.
std::vector<std::string> context_of(const Call& call, const volume::Entry* entry, std::string_view key) {
  using Values = std::vector<std::string>;
  const auto query = [&](std::string_view name) -> Values {
    if (auto value = call.query.get(name)) return {std::string(*value)};
    return {};
  };
  const auto field = [&](std::string_view name) -> Values {
    if (auto value = call.field_or_form(name)) return {std::string(*value)};
    return {};
  };
  const bool anonymous = call.identity.anonymous();
  if (key == "aws:sourceip") {
    std::string_view peer = call.peer;
    peer = peer.substr(0, peer.rfind(':'));
    if (peer.starts_with('[')) peer = peer.substr(1, peer.size() - 2);
    return {std::string(peer)};
  }
  if (key == "aws:securetransport") return {call.secure ? "true" : "false"};
  if (key == "aws:username" || key == "aws:userid") return anonymous ? Values{} : Values{call.identity.name()};
  if (key == "aws:principalarn") return anonymous ? Values{} : Values{"arn:aws:iam:::user/" + call.identity.name()};
  if (key == "aws:principaltype") return {anonymous ? "Anonymous" : "User"};
  if (key == "aws:requestedregion") return {call.options.region};
  if (key == "aws:currenttime") return {format_iso8601(call.now)};
  if (key == "aws:epochtime") return {std::to_string(call.now.seconds())};
  if (key == "aws:referer") return field("Referer");
  if (key == "aws:useragent") return field("User-Agent");
  if (key == "s3:authtype") return anonymous ? Values{} : Values{std::string(auth_type(call))};
  if (key == "s3:signatureversion") {
    if (anonymous) return {};
    const bool v2 = call.who.scheme == s3auth::Scheme::V2Header || call.who.scheme == s3auth::Scheme::V2Query;
    return {v2 ? "AWS" : "AWS4-HMAC-SHA256"};
  }
  if (key == "s3:signatureage") {
    int64_t seconds = 0;
    if (anonymous || !s3auth::parse_amz_date(call.who.seed.amz_date, seconds)) return {};
    return {std::to_string((call.now.value - seconds * 1'000'000) / 1000)};
  }
  if (key == "s3:prefix") return query("prefix");
  if (key == "s3:delimiter") return query("delimiter");
  if (key == "s3:max-keys") return query("max-keys");
  if (key == "s3:versionid") return query("versionId");
  if (key == "s3:if-match") return field("If-Match");
  if (key == "s3:if-none-match") return field("If-None-Match");
  if (key == "s3:objectcreationoperation") return {creates_object(call.operation) ? "true" : "false"};
  if (key == "s3:object-lock-mode" || key == "s3:object-lock-legal-hold" || key == "s3:object-lock-retain-until-date")
    return field("x-amz-" + std::string(key.substr(3)));
  if (key == "s3:object-lock-remaining-retention-days") {
    const auto until = call.field_or_form("x-amz-object-lock-retain-until-date");
    UnixMicros at;
    if (!until || !parse_iso8601(*until, at)) return {};
    return {std::to_string((at.value - call.now.value) / 86'400'000'000)};
  }
  constexpr std::string_view kExisting = "s3:existingobjecttag/", kRequested = "s3:requestobjecttag/";
  if (key.starts_with(kExisting)) {
    if (entry == nullptr || !entry->object) return {};
    const auto tag = entry->object->tags.find(Bytes(key.substr(kExisting.size())));
    return tag == entry->object->tags.end() ? Values{} : Values{tag->second};
  }
  if (key.starts_with(kRequested) || key == "s3:requestobjecttagkeys") {
    Values out;
    for (const auto& [name, value] : requested_tags(call)) {
      if (key == "s3:requestobjecttagkeys") out.push_back(name);
      if (key.starts_with(kRequested) && name == key.substr(kRequested.size())) out.push_back(value);
    }
    return out;
  }
  if (key.starts_with("s3:x-amz-")) return field(key.substr(3));
  return {};
}

// `users_only`: what is granted to groups does not count.
bool acl_says(const s3proto::AccessControlList& acl, const Call& call, Permission permission, bool users_only) {
  if (!users_only) return s3proto::acl_allows(acl, call.identity.name(), permission);
  s3proto::AccessControlList users = acl;
  std::erase_if(users.grants, [](const auto& grant) { return grant.grantee.kind != s3proto::GranteeKind::User; });
  return s3proto::acl_allows(users, call.identity.name(), permission);
}

}  // namespace

Answer<> require_grantees(const Call& call, const s3proto::AccessControlList& acl) {
  const auto known = [&](const std::string& id) {
    return id == acl.owner.id || id == Identity::owner_named({}).id || id == call.identity.name() ||
           std::ranges::any_of(*call.state->keys, [&](const auto& entry) { return entry.second->name == id; });
  };
  for (const auto& grant : acl.grants) {
    if (grant.grantee.kind != s3proto::GranteeKind::User || known(grant.grantee.id)) continue;
    Refused refused(ErrorCode::InvalidArgument, "Invalid id");
    refused.with("ArgumentName", "CanonicalUser/ID").with("ArgumentValue", printable(grant.grantee.id));
    return std::unexpected(std::move(refused));
  }
  return {};
}

bool ignores_public_acls(const Bucket& bucket) {
  const auto& block = bucket.documents->access_block;
  return block && block->ignore_acls;
}

Answer<> require_expected_owner(const Call& call, const Bucket& bucket, std::string_view header) {
  const auto expected = call.field(header);
  const auto owner = Identity::owner_named(bucket.documents->owner);
  if (!expected || *expected == owner.id) return {};
  return refusal(ErrorCode::AccessDenied,
                 fmt::format("Access Denied: '{}' is not owned by '{}'", bucket.text(), printable(*expected)));
}

Need need_of(Operation operation, bool with_version) {
  switch (operation) {
    case Operation::ListBuckets: return {"s3:ListAllMyBuckets", Role::Reader, {}};
    case Operation::GetObject:
    case Operation::HeadObject:
      return {with_version ? "s3:GetObjectVersion" : "s3:GetObject", Role::Reader, Permission::Read};
    case Operation::GetObjectAttributes: return {"s3:GetObjectAttributes", Role::Reader, Permission::Read};
    case Operation::HeadBucket:
    case Operation::ListObjects:
    case Operation::ListObjectsV2: return {"s3:ListBucket", Role::Reader, Permission::Read};
    case Operation::ListObjectVersions: return {"s3:ListBucketVersions", Role::Reader, Permission::Read};
    case Operation::ListMultipartUploads: return {"s3:ListBucketMultipartUploads", Role::Writer, Permission::Read};
    case Operation::ListParts: return {"s3:ListMultipartUploadParts", Role::Writer, {}};
    case Operation::GetBucketLocation: return {"s3:GetBucketLocation", Role::Reader, {}};
    case Operation::GetBucketVersioning: return {"s3:GetBucketVersioning", Role::Reader, {}};
    case Operation::GetObjectTagging:
      return {with_version ? "s3:GetObjectVersionTagging" : "s3:GetObjectTagging", Role::Reader, {}};
    case Operation::GetObjectAcl:
      return {with_version ? "s3:GetObjectVersionAcl" : "s3:GetObjectAcl", Role::Reader, Permission::ReadAcp};
    case Operation::GetObjectRetention: return {"s3:GetObjectRetention", Role::Reader, {}};
    case Operation::GetObjectLegalHold: return {"s3:GetObjectLegalHold", Role::Reader, {}};
    case Operation::GetBucketAcl: return {"s3:GetBucketAcl", Role::Reader, Permission::ReadAcp};
    case Operation::GetBucketTagging: return {"s3:GetBucketTagging", Role::Reader, {}};
    case Operation::GetBucketCors: return {"s3:GetBucketCORS", Role::Reader, {}};
    case Operation::GetBucketLifecycleConfiguration: return {"s3:GetLifecycleConfiguration", Role::Reader, {}};
    case Operation::GetBucketPolicy: return {"s3:GetBucketPolicy", Role::Admin, {}};
    case Operation::GetBucketPolicyStatus: return {"s3:GetBucketPolicyStatus", Role::Reader, {}};
    case Operation::GetPublicAccessBlock: return {"s3:GetBucketPublicAccessBlock", Role::Reader, {}};
    case Operation::GetBucketOwnershipControls: return {"s3:GetBucketOwnershipControls", Role::Reader, {}};
    case Operation::GetObjectLockConfiguration: return {"s3:GetBucketObjectLockConfiguration", Role::Reader, {}};

    case Operation::PutObject:
    case Operation::PostObject:
    case Operation::CopyObject:
    case Operation::CreateMultipartUpload:
    case Operation::UploadPart:
    case Operation::UploadPartCopy:
    case Operation::CompleteMultipartUpload: return {"s3:PutObject", Role::Writer, Permission::Write};
    case Operation::AbortMultipartUpload: return {"s3:AbortMultipartUpload", Role::Writer, Permission::Write};
    case Operation::DeleteObject:
    case Operation::DeleteObjects:
      return {with_version ? "s3:DeleteObjectVersion" : "s3:DeleteObject", Role::Writer, Permission::Write};
    case Operation::PutObjectTagging:
      return {with_version ? "s3:PutObjectVersionTagging" : "s3:PutObjectTagging", Role::Writer, {}};
    case Operation::DeleteObjectTagging:
      return {with_version ? "s3:DeleteObjectVersionTagging" : "s3:DeleteObjectTagging", Role::Writer, {}};
    case Operation::PutObjectAcl:
      return {with_version ? "s3:PutObjectVersionAcl" : "s3:PutObjectAcl", Role::Writer, Permission::WriteAcp};
    case Operation::PutObjectRetention: return {"s3:PutObjectRetention", Role::Writer, {}};
    case Operation::PutObjectLegalHold: return {"s3:PutObjectLegalHold", Role::Writer, {}};

    case Operation::CreateBucket: return {"s3:CreateBucket", Role::Admin, {}};
    case Operation::DeleteBucket: return {"s3:DeleteBucket", Role::Admin, {}};
    case Operation::PutBucketAcl: return {"s3:PutBucketAcl", Role::Admin, Permission::WriteAcp};
    case Operation::PutBucketCors:
    case Operation::DeleteBucketCors: return {"s3:PutBucketCORS", Role::Admin, {}};
    case Operation::PutBucketVersioning: return {"s3:PutBucketVersioning", Role::Admin, {}};
    case Operation::PutBucketTagging:
    case Operation::DeleteBucketTagging: return {"s3:PutBucketTagging", Role::Admin, {}};
    case Operation::PutBucketLifecycleConfiguration:
    case Operation::DeleteBucketLifecycle: return {"s3:PutLifecycleConfiguration", Role::Admin, {}};
    case Operation::PutBucketPolicy: return {"s3:PutBucketPolicy", Role::Admin, {}};
    case Operation::DeleteBucketPolicy: return {"s3:DeleteBucketPolicy", Role::Admin, {}};
    case Operation::PutPublicAccessBlock:
    case Operation::DeletePublicAccessBlock: return {"s3:PutBucketPublicAccessBlock", Role::Admin, {}};
    case Operation::PutBucketOwnershipControls:
    case Operation::DeleteBucketOwnershipControls: return {"s3:PutBucketOwnershipControls", Role::Admin, {}};
    case Operation::PutObjectLockConfiguration: return {"s3:PutBucketObjectLockConfiguration", Role::Admin, {}};
    default: return {"s3:Unknown", Role::Admin, {}};
  }
}

bool owns(const Identity& identity, const Bytes& owner) {
  return identity.key && !owner.empty() && identity.key->name == owner;
}

bool has_role(const Identity& identity, const volume::Volume& volume, const Bytes& owner, Role role) {
  if (!identity.key) return false;
  return volume::allows(*identity.key, role, volume.record.name) ||
         (identity.key->role >= role && owns(identity, owner));
}

Answer<> authorize(const Call& call, const Bucket& bucket, const Need& need, std::string_view resource_key,
                   const volume::Entry* entry) {
  const auto denied = [&] {
    return refusal(
        ErrorCode::AccessDenied,
        call.identity.anonymous()
            ? std::string("Access Denied: the request is not signed, and this is not public")
            : fmt::format("Access Denied: '{}' may not {} on {}", call.identity.name(), need.action, bucket.text()));
  };
  const BucketDocuments& documents = *bucket.documents;
  auto verdict = s3proto::Verdict::None;
  if (documents.policy) {
    const std::string resource =
        resource_key.empty() ? bucket.name.volume : fmt::format("{}/{}", bucket.name.volume, resource_key);
    const Bytes user = call.identity.name();
    verdict = s3proto::evaluate(
        *documents.policy,
        {.user = user, .action = need.action, .resource = resource, .context = [&](std::string_view key) {
           return context_of(call, entry, key);
         }});
    const bool public_allowed = !documents.access_block || !documents.access_block->restrict_buckets ||
                                !call.identity.anonymous() || !s3proto::is_public(*documents.policy);
    if (verdict == s3proto::Verdict::Allow && !public_allowed) verdict = s3proto::Verdict::None;
  }
  const bool role = has_role(call.identity, bucket.volume(), documents.owner, need.role);
  // A policy that shuts its admins out could never be mended.
  const bool mends = role && (need.action == "s3:PutBucketPolicy" || need.action == "s3:DeleteBucketPolicy" ||
                              need.action == "s3:GetBucketPolicy");
  if (verdict == s3proto::Verdict::Deny && !mends) return denied();
  if (role || verdict == s3proto::Verdict::Allow) return {};
  if (need.permission) {
    const bool users_only = ignores_public_acls(bucket);
    const bool of_object = !resource_key.empty() && *need.permission != Permission::Write;
    if (!of_object && documents.acl && acl_says(*documents.acl, call, *need.permission, users_only)) return {};
    // Who wrote an object into another's bucket may read it and say who else may, unless its ACL says otherwise.
    if (of_object && entry && entry->object && entry->object->acl.empty() && owns(call.identity, entry->object->owner))
      return {};
    if (of_object && entry && entry->object && !entry->object->acl.empty()) {
      auto acl = s3proto::parse_acl(entry->object->acl);
      if (acl && acl_says(*acl, call, *need.permission, users_only)) return {};
    }
  }
  // What the depot shows anybody may be read here, too: releases of public volumes.
  const bool reads = need.role == Role::Reader && need.permission == Permission::Read;
  if (reads && bucket.target.release && bucket.volume().record.settings.public_read) return {};
  return denied();
}

}  // namespace hailstone::s3
