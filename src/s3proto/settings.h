// The small settings of buckets and objects: versioning, object lock, retention, legal hold, public access, ownership.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "s3proto/errors.h"

namespace hailstone::s3proto {

/// Never: what a bucket is until it is told; it can't go back to it.
enum class Versioning : uint8_t { Never = 0, Enabled = 1, Suspended = 2 };
/// IllegalVersioningConfigurationException for another status; NotImplemented for MFA delete.
Parsed<Versioning> parse_versioning(ByteView body);
Bytes render_versioning(Versioning versioning);

enum class LockMode : uint8_t { Governance = 0, Compliance = 1 };
std::string_view lock_mode_name(LockMode mode);  // "GOVERNANCE"
Parsed<LockMode> parse_lock_mode(std::string_view text);

/// A bucket's ObjectLockConfiguration: enabled, maybe with a default retention in days or years.
struct ObjectLock {
  struct Default {
    LockMode mode = LockMode::Governance;
    uint32_t days = 0, years = 0;  // one of them is set
    bool operator==(const Default&) const = default;
  };
  std::optional<Default> retention;
  bool operator==(const ObjectLock&) const = default;
};
Parsed<ObjectLock> parse_object_lock(ByteView body);
Bytes render_object_lock(const ObjectLock& lock);

/// Of one version. `until` may lie in the past here; that new ones don't is checked against the edge's clock.
struct Retention {
  LockMode mode = LockMode::Governance;
  UnixMicros until;
  bool operator==(const Retention&) const = default;
};
/// Nothing: an empty document, which removes the retention.
Parsed<std::optional<Retention>> parse_retention(ByteView body);
Bytes render_retention(const Retention& retention);

enum class LegalHold : uint8_t { Off = 0, On = 1 };
Parsed<LegalHold> parse_legal_hold(ByteView body);
/// Value of x-amz-object-lock-legal-hold. InvalidArgument.
Parsed<LegalHold> parse_legal_hold_header(std::string_view value);
Bytes render_legal_hold(LegalHold hold);

struct PublicAccessBlock {
  bool block_acls = false, ignore_acls = false, block_policy = false, restrict_buckets = false;
  bool operator==(const PublicAccessBlock&) const = default;
};
Parsed<PublicAccessBlock> parse_public_access_block(ByteView body);
Bytes render_public_access_block(const PublicAccessBlock& block);

enum class Ownership : uint8_t { BucketOwnerEnforced = 0, BucketOwnerPreferred = 1, ObjectWriter = 2 };
std::string_view ownership_name(Ownership ownership);
/// Value of x-amz-object-ownership or ObjectOwnership.
Parsed<Ownership> parse_ownership_name(std::string_view text);
Parsed<Ownership> parse_ownership(ByteView body);
Bytes render_ownership(Ownership ownership);

}  // namespace hailstone::s3proto
