// Access control lists: the AccessControlPolicy document, canned ACLs, x-amz-grant- headers, and what they allow. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "s3proto/answers.h"
#include "s3proto/errors.h"

namespace hailstone::s3proto {

/// The numbers are stored.
enum class Permission : uint8_t { Read = 0, Write = 1, ReadAcp = 2, WriteAcp = 3, FullControl = 4 };
enum class GranteeKind : uint8_t { User = 0, AllUsers = 1, AuthenticatedUsers = 2, LogDelivery = 3 };

struct Grantee {
  GranteeKind kind = GranteeKind::User;
  std::string id;            // User
  std::string display_name;  // User; may be empty
  bool operator==(const Grantee&) const = default;
};
struct Grant {
  Grantee grantee;
  Permission permission = Permission::Read;
  bool operator==(const Grant&) const = default;
};
struct AccessControlList {
  Owner owner;
  std::vector<Grant> grants;
  bool operator==(const AccessControlList&) const = default;
};
inline constexpr size_t kGrantsMax = 100;

/// MalformedACLError; UnresolvableGrantByEmailAddress (there are no e-mail addresses here); InvalidArgument for an
/// unknown group.
Parsed<AccessControlList> parse_acl(ByteView body);
Bytes render_acl(const AccessControlList& acl);

/// Value of x-amz-acl for an object or bucket of `owner` in a bucket of `bucket_owner`. InvalidArgument.
Parsed<AccessControlList> canned_acl(std::string_view name, const Owner& owner, const Owner& bucket_owner);
/// "x-amz-grant-read" and its four kin, any case -> the permission granted.
std::optional<Permission> grant_header(std::string_view header_name);
/// Appends the grants of such a header's value: id="..", uri="..", ... InvalidArgument.
Parsed<void> parse_grants(std::string_view value, Permission permission, std::vector<Grant>& out);

/// Who asks: `id` empty is anonymous. The owner is not favoured here: who may always read and write the ACL is the
/// edge's rule.
bool acl_allows(const AccessControlList& acl, std::string_view id, Permission permission);

}  // namespace hailstone::s3proto
