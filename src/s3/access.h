// Who may do what: roles of access keys, bucket policies, access control lists, public access. Without I/O.
#pragma once

#include "s3/call.h"

namespace hailstone::s3 {

/// What an operation needs: its IAM action, the least role, the ACL permission that also grants it.
struct Need {
  std::string_view action;  // "s3:GetObject"
  volume::Role role = volume::Role::Reader;
  std::optional<s3proto::Permission> permission;
};
Need need_of(s3proto::Operation operation, bool with_version);

/// The key's role covers the volume, or the key made the bucket: an owner has its own role over it, whatever volumes
/// the key names. `owner`: of the bucket.
bool has_role(const Identity& identity, const volume::Volume& volume, const Bytes& owner, volume::Role role);

/// AccessDenied unless a role, a policy or an ACL allows it and no policy denies it. `entry`: the object, where its own
/// ACL counts; `resource_key`: of the object, else of the bucket.
Answer<> authorize(const Call& call, const Bucket& bucket, const Need& need, std::string_view resource_key,
                   const volume::Entry* entry);

/// AccessDenied when the header of that name says another owner than the bucket's.
Answer<> require_expected_owner(const Call& call, const Bucket& bucket, std::string_view header);

/// InvalidArgument for a grant to somebody who has no access key.
Answer<> require_grantees(const Call& call, const s3proto::AccessControlList& acl);

/// Whether public access is blocked for ACLs of this bucket.
bool ignores_public_acls(const Bucket& bucket);

}  // namespace hailstone::s3
