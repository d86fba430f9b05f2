#include "s3/access.h"

#include <fmt/format.h>

namespace hailstone::s3 {
namespace {

using s3proto::ErrorCode;
using s3proto::Operation;
using s3proto::Permission;
using volume::Role;

std::vector<std::string> context_of(const Call& call, std::string_view key) {
  const auto query = [&](std::string_view name) -> std::vector<std::string> {
    if (auto value = call.query.get(name)) return {std::string(*value)};
    return {};
  };
  const auto field = [&](std::string_view name) -> std::vector<std::string> {
    if (auto value = call.field(name)) return {std::string(*value)};
    return {};
  };
  if (key == "aws:sourceip") {
    std::string_view peer = call.peer;
    peer = peer.substr(0, peer.rfind(':'));
    if (peer.starts_with('[')) peer = peer.substr(1, peer.size() - 2);
    return {std::string(peer)};
  }
  if (key == "aws:securetransport") return {call.secure ? "true" : "false"};
  if (key == "aws:username" || key == "aws:userid")
    return call.identity.anonymous() ? std::vector<std::string>{} : std::vector<std::string>{call.identity.name()};
  if (key == "aws:currenttime") return {format_iso8601(call.now)};
  if (key == "aws:epochtime") return {std::to_string(call.now.seconds())};
  if (key == "aws:referer") return field("Referer");
  if (key == "aws:useragent") return field("User-Agent");
  if (key == "s3:prefix") return query("prefix");
  if (key == "s3:delimiter") return query("delimiter");
  if (key == "s3:max-keys") return query("max-keys");
  if (key == "s3:versionid") return query("versionId");
  if (key.starts_with("s3:x-amz-")) return field(key.substr(3));
  return {};
}

bool acl_says(const s3proto::AccessControlList& acl, const Call& call, Permission permission) {
  return s3proto::acl_allows(acl, call.identity.name(), permission);
}

}  // namespace

bool ignores_public_acls(const Bucket& bucket) {
  const auto& block = bucket.documents->access_block;
  return block && block->ignore_acls;
}

Answer<> require_expected_owner(const Call& call, const Bucket& bucket, std::string_view header) {
  const auto expected = call.field(header);
  const auto owner = Identity::owner_named(bucket.documents->owner);
  if (!expected || *expected == owner.id) return {};
  return refusal(ErrorCode::AccessDenied, fmt::format("Access Denied: '{}' is not owned by '{}'", bucket.text(), printable(*expected)));
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
    return refusal(ErrorCode::AccessDenied,
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
    verdict = s3proto::evaluate(*documents.policy,
                                {.user = user, .action = need.action, .resource = resource, .context = [&](std::string_view key) {
                                   return context_of(call, key);
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
  if (need.permission && !(ignores_public_acls(bucket) && call.identity.anonymous())) {
    const bool of_object = !resource_key.empty() && *need.permission != Permission::Write;
    if (!of_object && documents.acl && acl_says(*documents.acl, call, *need.permission)) return {};
    // Who wrote an object into another's bucket may read it and say who else may, unless its ACL says otherwise.
    if (of_object && entry && entry->object && entry->object->acl.empty() && owns(call.identity, entry->object->owner))
      return {};
    if (of_object && entry && entry->object && !entry->object->acl.empty()) {
      auto acl = s3proto::parse_acl(entry->object->acl);
      if (acl && acl_says(*acl, call, *need.permission)) return {};
    }
  }
  // What the depot shows anybody may be read here, too: releases of public volumes.
  const bool reads = need.role == Role::Reader && need.permission == Permission::Read;
  if (reads && bucket.target.release && bucket.volume().record.settings.public_read) return {};
  return denied();
}

}  // namespace hailstone::s3
