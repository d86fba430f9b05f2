#include "s3/bucket.h"

#include <fmt/format.h>

namespace hailstone::s3 {
namespace {

using s3proto::BucketName;
using s3proto::ErrorCode;

template <class T, class Parse>
Answer<> read(const volume::Volume& volume, const char* name, std::optional<T>& out, Parse parse) {
  const auto found = volume.record.documents.find(name);
  if (found == volume.record.documents.end()) return {};
  auto parsed = parse(found->second);
  if (!parsed)
    return refusal(ErrorCode::InternalError, fmt::format("the {} document of '{}' does not parse: {}", name,
                                                         volume.record.name, parsed.error().message));
  out = *std::move(parsed);
  return {};
}

}  // namespace

Answer<std::shared_ptr<const BucketDocuments>> parse_documents(const volume::Volume& volume) {
  auto out = std::make_shared<BucketDocuments>();
  std::optional<s3proto::Versioning> versioning;
  TRY_DO(read(volume, document::kVersioning, versioning, [](ByteView b) { return s3proto::parse_versioning(b); }));
  out->versioning = versioning.value_or(s3proto::Versioning::Never);
  TRY_DO(read(volume, document::kCors, out->cors, [](ByteView b) { return s3proto::parse_cors(b); }));
  TRY_DO(read(volume, document::kPolicy, out->policy,
              [&](ByteView b) { return s3proto::parse_policy(b, volume.record.name); }));
  TRY_DO(read(volume, document::kLifecycle, out->lifecycle, [](ByteView b) { return s3proto::parse_lifecycle(b); }));
  TRY_DO(read(volume, document::kAcl, out->acl, [](ByteView b) { return s3proto::parse_acl(b); }));
  TRY_DO(read(volume, document::kLock, out->lock, [](ByteView b) { return s3proto::parse_object_lock(b); }));
  TRY_DO(read(volume, document::kAccessBlock, out->access_block,
              [](ByteView b) { return s3proto::parse_public_access_block(b); }));
  TRY_DO(read(volume, document::kOwnership, out->ownership, [](ByteView b) { return s3proto::parse_ownership(b); }));
  if (const auto owner = volume.record.documents.find(document::kOwner); owner != volume.record.documents.end())
    out->owner = owner->second;
  return out;
}

Answer<volume::Target> resolve_bucket(const volume::Repository& repository, const volume::State& state,
                                      const BucketName& name) {
  const auto missing = [&](std::string why) {
    Refused refused(ErrorCode::NoSuchBucket, std::move(why));
    refused.with("BucketName", name.text());
    return std::unexpected(std::move(refused));
  };
  volume::Target target;
  target.volume = state.find(name.volume);
  if (!target.volume) return missing("The specified bucket does not exist");
  target.text = name.volume;
  switch (name.kind) {
    case BucketName::Kind::Head: return target;
    case BucketName::Kind::Draft: {
      target.text = fmt::format("{}@draft-{}", name.volume, name.number);
      auto draft = repository.draft(*target.volume, DraftId(name.number));
      if (!draft && draft.error().code == Code::NotFound) return missing(std::move(draft).error().message);
      if (!draft) return std::unexpected(Refused(std::move(draft).error()));
      target.layer = name.number;
      return target;
    }
    case BucketName::Kind::Release:
    case BucketName::Kind::Label: {
      const std::string text = name.kind == BucketName::Kind::Release ? std::to_string(name.number) : name.label;
      auto resolved = repository.resolve(fmt::format("{}@{}", name.volume, text));
      if (!resolved && resolved.error().code == Code::NotFound) return missing(std::move(resolved).error().message);
      if (!resolved) return std::unexpected(Refused(std::move(resolved).error()));
      return *std::move(resolved);
    }
  }
  return target;
}

Answer<> require_writable(const Bucket& bucket) {
  if (bucket.target.writable()) return {};
  return refusal(ErrorCode::AccessDenied,
                 fmt::format("'{}' is a release and never changes: write to '{}' or to a draft, and publish",
                             bucket.text(), bucket.name.volume));
}

}  // namespace hailstone::s3
