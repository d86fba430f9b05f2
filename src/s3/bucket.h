// What a bucket name means now: a volume's head, a draft, a release or whatever a channel or tag names; its documents.
#pragma once

#include <memory>
#include <optional>

#include "s3/refused.h"
#include "s3proto/names.h"
#include "s3proto/requests.h"
#include "volume/repository.h"

namespace hailstone::s3 {

/// Configuration of a volume's bucket, parsed. Of the head alone: drafts and releases have none of their own.
struct BucketDocuments {
  s3proto::Versioning versioning = s3proto::Versioning::Never;
  std::optional<s3proto::CorsRules> cors;
  std::optional<s3proto::Policy> policy;
  std::optional<s3proto::LifecycleRules> lifecycle;
  std::optional<s3proto::AccessControlList> acl;
  std::optional<s3proto::ObjectLock> lock;
  std::optional<s3proto::PublicAccessBlock> access_block;
  std::optional<s3proto::Ownership> ownership;
  Bytes owner;  // name of who made it; empty: made otherwise than over S3
};
/// One that no longer parses (written by a later version) counts as InternalError: a policy may not be ignored.
Answer<std::shared_ptr<const BucketDocuments>> parse_documents(const volume::Volume& volume);

/// Names of the documents in the volume's record.
namespace document {
inline constexpr const char* kVersioning = "versioning";
inline constexpr const char* kCors = "cors";
inline constexpr const char* kPolicy = "policy";
inline constexpr const char* kLifecycle = "lifecycle";
inline constexpr const char* kAcl = "acl";
inline constexpr const char* kLock = "object-lock";
inline constexpr const char* kAccessBlock = "public-access-block";
inline constexpr const char* kOwnership = "ownership";
inline constexpr const char* kTagging = "tagging";
inline constexpr const char* kOwner = "owner";
}  // namespace document

struct Bucket {
  s3proto::BucketName name;
  volume::Target target;
  std::shared_ptr<const BucketDocuments> documents;  // never null
  std::optional<tree::Root> root;                    // of a release, where it is known already

  const volume::Volume& volume() const { return *target.volume; }
  bool is_head() const { return name.kind == s3proto::BucketName::Kind::Head; }
  bool versioned() const { return is_head() && documents->versioning != s3proto::Versioning::Never; }
  std::string text() const { return name.text(); }
};

/// NoSuchBucket for all that is not there, trashed releases too.
Answer<volume::Target> resolve_bucket(const volume::Repository& repository, const volume::State& state,
                                      const s3proto::BucketName& name);

/// AccessDenied (403) on a release's or channel's bucket, with words that say where to write.
Answer<> require_writable(const Bucket& bucket);

}  // namespace hailstone::s3
