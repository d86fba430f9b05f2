#include "s3/buckets.h"

#include <fmt/format.h>

#include "http/grammar.h"
#include "s3/writing.h"

namespace hailstone::s3 {
namespace {

using s3proto::BucketName;
using s3proto::ErrorCode;
using s3proto::Operation;

constexpr int kDeleteAttempts = 16;  // of a bucket that others write to and empty meanwhile

Answer<> set_document(const Call& call, ByteView volume, const char* name, std::optional<Bytes> document) {
  TRY_DO(call.repository().submit(call.caller(), volume::ChangeDocument{Bytes(volume), name, std::move(document)}));
  return {};
}

// Configuration belongs to the volume: a draft or release has none of its own.
Answer<> require_head(const Call& call) {
  if (call.bucket->is_head()) return {};
  return refusal(ErrorCode::MethodNotAllowed,
                 fmt::format("configuration is the volume's: ask bucket '{}'", call.bucket->name.volume));
}

http::Response empty_ok(int status = 200) {
  http::Response response;
  response.status = status;
  if (status != 204) response.body = http::Part(Bytes());
  return response;
}

Answer<bool> holds_keys(const volume::Repository& repository, const volume::Volume& volume, uint64_t layer) {
  TRY(const auto contents, repository.open_layer(volume, layer));
  auto cursor = contents->cursor();
  TRY_DO(cursor->seek(""));
  return cursor->valid();
}

struct Row {
  Operation get, put, remove;  // `remove` equal to `get`: there is none
  const char* document;
  ErrorCode missing;
};
constexpr Row kRows[] = {
    {Operation::GetBucketCors, Operation::PutBucketCors, Operation::DeleteBucketCors, document::kCors,
     ErrorCode::NoSuchCORSConfiguration},
    {Operation::GetBucketPolicy, Operation::PutBucketPolicy, Operation::DeleteBucketPolicy, document::kPolicy,
     ErrorCode::NoSuchBucketPolicy},
    {Operation::GetBucketLifecycleConfiguration, Operation::PutBucketLifecycleConfiguration,
     Operation::DeleteBucketLifecycle, document::kLifecycle, ErrorCode::NoSuchLifecycleConfiguration},
    {Operation::GetBucketTagging, Operation::PutBucketTagging, Operation::DeleteBucketTagging, document::kTagging,
     ErrorCode::NoSuchTagSet},
    {Operation::GetPublicAccessBlock, Operation::PutPublicAccessBlock, Operation::DeletePublicAccessBlock,
     document::kAccessBlock, ErrorCode::NoSuchPublicAccessBlockConfiguration},
    {Operation::GetBucketOwnershipControls, Operation::PutBucketOwnershipControls,
     Operation::DeleteBucketOwnershipControls, document::kOwnership, ErrorCode::OwnershipControlsNotFoundError},
    {Operation::GetObjectLockConfiguration, Operation::PutObjectLockConfiguration,
     Operation::GetObjectLockConfiguration, document::kLock, ErrorCode::ObjectLockConfigurationNotFoundError},
};

template <class P>
Answer<Bytes> canonical(P parsed, const auto& render) {
  if (!parsed) return std::unexpected(Refused(std::move(parsed).error()));
  return render(*parsed);
}

// x-amz-expiration tells which rule it is: those without an id get one.
void name_rules(s3proto::LifecycleRules& rules) {
  size_t number = 0;
  for (auto& rule : rules) {
    while (rule.id.empty()) {
      const std::string id = fmt::format("rule-{}", ++number);
      if (std::ranges::none_of(rules, [&](const auto& r) { return r.id == id; })) rule.id = id;
    }
  }
}

// Checked and in its canonical form; a policy as it was sent.
Answer<Bytes> checked(const Call& call, ByteView body) {
  switch (call.operation) {
    case Operation::PutBucketCors:
      return canonical(s3proto::parse_cors(body), [](const auto& v) { return s3proto::render_cors(v); });
    case Operation::PutBucketLifecycleConfiguration: {
      TRY(auto rules, s3proto::parse_lifecycle(body));
      name_rules(rules);
      return s3proto::render_lifecycle(rules);
    }
    case Operation::PutBucketTagging:
      return canonical(s3proto::parse_tagging(body, s3proto::TagLevel::Bucket),
                       [](const auto& v) { return s3proto::render_tagging(v); });
    case Operation::PutPublicAccessBlock:
      return canonical(s3proto::parse_public_access_block(body),
                       [](const auto& v) { return s3proto::render_public_access_block(v); });
    case Operation::PutBucketOwnershipControls:
      return canonical(s3proto::parse_ownership(body), [](const auto& v) { return s3proto::render_ownership(v); });
    case Operation::PutObjectLockConfiguration: {
      if (call.bucket->documents->versioning != s3proto::Versioning::Enabled)
        return refusal(ErrorCode::InvalidBucketState,
                       "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration");
      return canonical(s3proto::parse_object_lock(body), [](const auto& v) { return s3proto::render_object_lock(v); });
    }
    case Operation::PutBucketPolicy: {
      TRY(const auto policy, s3proto::parse_policy(body, call.bucket->name.volume));
      const auto& block = call.bucket->documents->access_block;
      if (block && block->block_policy && s3proto::is_public(policy))
        return refusal(ErrorCode::AccessDenied, "Access Denied: public policies are blocked on this bucket");
      return Bytes(body);
    }
    default: return refusal(ErrorCode::InternalError);
  }
}

Answer<Bytes> bucket_acl(const Call& call, ByteView document) {
  const auto owner = Identity::owner_named(call.bucket ? call.bucket->documents->owner : call.identity.name());
  s3proto::AccessControlList acl{.owner = owner, .grants = {}};
  const bool granted = std::ranges::any_of(
      call.head.fields, [](const auto& field) { return s3proto::grant_header(field.name).has_value(); });
  if (granted && call.field("x-amz-acl"))
    return refusal(ErrorCode::InvalidRequest, "Specifying both Canned ACLs and Header Grants is not allowed");
  if (!document.empty()) {
    TRY(acl, s3proto::parse_acl(document));
  } else if (const auto canned = call.field("x-amz-acl")) {
    TRY(acl, s3proto::canned_acl(*canned, owner, owner));
  } else {
    for (const char* name : {"x-amz-grant-read", "x-amz-grant-write", "x-amz-grant-read-acp", "x-amz-grant-write-acp",
                             "x-amz-grant-full-control"})
      if (const auto value = call.field(name))
        TRY_DO(s3proto::parse_grants(*value, *s3proto::grant_header(name), acl.grants));
    if (acl.grants.empty()) return refusal(ErrorCode::MissingSecurityHeader);
  }
  acl.owner = owner;
  TRY_DO(require_grantees(call, acl));
  if (call.bucket) {
    const auto& documents = *call.bucket->documents;
    const bool is_public = std::ranges::any_of(acl.grants, [](const auto& g) {
      return g.grantee.kind == s3proto::GranteeKind::AllUsers ||
             g.grantee.kind == s3proto::GranteeKind::AuthenticatedUsers;
    });
    if (documents.access_block && documents.access_block->block_acls && is_public)
      return refusal(ErrorCode::AccessDenied, "Access Denied: public ACLs are blocked on this bucket");
    if (documents.ownership == s3proto::Ownership::BucketOwnerEnforced)
      return refusal(ErrorCode::AccessControlListNotSupported);
  }
  return s3proto::render_acl(acl);
}

}  // namespace

Answer<http::Response> create_bucket(const Call& call, const BucketName& name, ByteView body) {
  if (name.kind != BucketName::Kind::Head)
    return refusal(ErrorCode::InvalidBucketName,
                   fmt::format("'{}' is a draft or release of volume '{}': those are opened and published, not created",
                               name.text(), name.volume));
  if (!call.identity.key) return refusal(ErrorCode::AccessDenied);
  const bool of_own = call.options.own_buckets && call.identity.key->role == volume::Role::Admin;
  if (!of_own && !volume::allows(*call.identity.key, volume::Role::Admin, name.volume))
    return refusal(ErrorCode::AccessDenied,
                   fmt::format("Access Denied: '{}' may not create '{}'", call.identity.name(), name.volume));
  if (auto valid = volume::validate_volume_name(name.volume); !valid)
    return refusal(ErrorCode::InvalidBucketName, std::move(valid).error().message);
  // Volumes may be called so, but no host name: S3 never let a bucket be.
  if (name.volume.find(".-") != std::string::npos || name.volume.find("-.") != std::string::npos)
    return refusal(ErrorCode::InvalidBucketName, fmt::format("'{}' has a '-' beside a '.'", name.volume));
  TRY(const auto asked, s3proto::parse_create_bucket(body));
  if (!asked.location.empty() && asked.location != call.options.region)
    return refusal(ErrorCode::InvalidLocationConstraint,
                   fmt::format("this server's region is '{}'", call.options.region));
  std::optional<Bytes> acl, ownership;
  if (const auto text = call.field("x-amz-object-ownership")) {
    TRY(const auto parsed, s3proto::parse_ownership_name(*text));
    ownership = s3proto::render_ownership(parsed);
  }
  if (call.field("x-amz-acl") || call.field("x-amz-grant-read") || call.field("x-amz-grant-full-control")) {
    TRY(acl, bucket_acl(call, ""));
  }
  const auto taken = [&]() -> Answer<http::Response> {
    const auto now = call.repository().published().load()->find(name.volume);
    if (!now) return refusal(ErrorCode::OperationAborted);
    const auto document = [&](const char* which) {
      const auto found = now->record.documents.find(which);
      return found == now->record.documents.end() ? std::optional<Bytes>() : std::optional(found->second);
    };
    if (document(document::kOwner) != call.identity.name()) return refusal(ErrorCode::BucketAlreadyExists);
    // us-east-1 lets an owner make a bucket again; here only where that changes nothing.
    if (document(document::kAcl) != acl) return refusal(ErrorCode::BucketAlreadyExists);
    if (call.options.region != "us-east-1" || !asked.location.empty() || !asked.tags.empty() || ownership)
      return refusal(ErrorCode::BucketAlreadyOwnedByYou);
    auto response = empty_ok();
    response.headers.add("Location", "/" + name.volume);
    return response;
  };
  if (call.state->find(name.volume)) return taken();
  const auto lock = call.field("x-amz-bucket-object-lock-enabled");
  volume::Settings settings;
  settings.public_read = false;  // as S3's users expect; `hailstone volume set` opens its releases to the depot
  auto made = call.repository().submit(call.caller(), volume::CreateVolume{name.volume, settings, {}});
  if (!made && made.error().code == Code::Exists) return taken();
  if (!made) return std::unexpected(Refused(std::move(made).error()));
  TRY_DO(set_document(call, name.volume, document::kOwner, call.identity.name()));
  if (!asked.tags.empty())
    TRY_DO(set_document(call, name.volume, document::kTagging, s3proto::render_tagging(asked.tags)));
  if (acl) TRY_DO(set_document(call, name.volume, document::kAcl, std::move(acl)));
  if (ownership) TRY_DO(set_document(call, name.volume, document::kOwnership, std::move(ownership)));
  if (lock && http::same_text(*lock, "true")) {
    TRY_DO(set_document(call, name.volume, document::kVersioning,
                        s3proto::render_versioning(s3proto::Versioning::Enabled)));
    TRY_DO(set_document(call, name.volume, document::kLock, s3proto::render_object_lock({})));
  }
  auto response = empty_ok();
  response.headers.add("Location", "/" + name.volume);
  return response;
}

Answer<http::Response> delete_bucket(const Call& call) {
  TRY_DO(require_head(call));
  TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), "", nullptr));
  const auto not_empty = [](std::string why) { return refusal(ErrorCode::BucketNotEmpty, std::move(why)); };
  const volume::Repository& repository = call.repository();
  const VolumeId id = call.bucket->volume().record.id;
  // A publish under way would put a release into what is decided to be empty.
  const auto lock = call.repository().lock_volume(id);
  for (int attempt = 0; attempt < kDeleteAttempts; ++attempt) {
    TRY(const auto target, resolve_bucket(repository, *repository.published().load(), call.bucket->name));
    if (target.volume->record.id != id) return refusal(ErrorCode::OperationAborted);
    // What the layers are at is taken before they are read: whatever is written later makes the command a Conflict.
    TRY(const auto head, repository.layer(*target.volume, volume::kHeadLayer));
    TRY(const auto versions, repository.layer(*target.volume, volume::kVersionsLayer));
    if (target.volume->record.last_release)
      return not_empty(fmt::format("'{}' has releases: `hailstone volume rm` deletes it with all of them",
                                   call.bucket->name.volume));
    TRY(const bool objects, holds_keys(repository, *target.volume, volume::kHeadLayer));
    if (objects) return not_empty("The bucket you tried to delete is not empty");
    TRY(const bool former, holds_keys(repository, *target.volume, volume::kVersionsLayer));
    if (former)
      return not_empty("The bucket you tried to delete is not empty. You must delete all versions in the bucket.");
    const auto done = call.repository().submit(
        call.caller(), volume::DeleteEmptyVolume{target.volume->record.name, id, head.version, versions.version});
    if (done) return empty_ok(204);
    if (done.error().code != Code::Conflict) return std::unexpected(Refused(done.error()));
  }
  return not_empty("The bucket you tried to delete is being written to");
}

Answer<http::Response> head_bucket(const Call& call) {
  TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), "", nullptr));
  auto response = empty_ok();
  response.headers.add("x-amz-bucket-region", call.options.region);
  if (call.bucket->target.release)
    response.headers.add("x-hailstone-release", std::to_string(call.bucket->target.release->value));
  return response;
}

Answer<http::Response> get_bucket_document(const Call& call) {
  TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), "", nullptr));
  const auto& documents = call.bucket->volume().record.documents;
  const auto fixed = [](std::string_view root, std::string_view inner = "") {
    return xml_response(fmt::format("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{0} xmlns=\"{1}\">{2}</{0}>", root,
                                    s3proto::kXmlNamespace, inner));
  };
  switch (call.operation) {
    case Operation::GetBucketLocation: return xml_response(s3proto::render_location(call.options.region));
    case Operation::GetBucketVersioning:
      return xml_response(s3proto::render_versioning(call.bucket->documents->versioning));
    case Operation::GetBucketAcl: {
      if (const auto acl = documents.find(document::kAcl); acl != documents.end()) return xml_response(acl->second);
      const auto owner = Identity::owner_named(call.bucket->documents->owner);
      TRY(const auto acl, s3proto::canned_acl("private", owner, owner));
      return xml_response(s3proto::render_acl(acl));
    }
    case Operation::GetBucketPolicyStatus: {
      const auto& of = *call.bucket->documents;
      const bool by_acl = of.acl && std::ranges::any_of(of.acl->grants, [](const auto& grant) {
                            return grant.grantee.kind == s3proto::GranteeKind::AllUsers ||
                                   grant.grantee.kind == s3proto::GranteeKind::AuthenticatedUsers;
                          });
      return xml_response(s3proto::render_policy_status(by_acl || (of.policy && s3proto::is_public(*of.policy))));
    }
    // Clients ask for these of any bucket; the true answer is that there is none.
    case Operation::GetBucketLogging: return fixed("BucketLoggingStatus");
    case Operation::GetBucketNotificationConfiguration: return fixed("NotificationConfiguration");
    case Operation::GetBucketAccelerateConfiguration: return fixed("AccelerateConfiguration");
    case Operation::GetBucketRequestPayment: return fixed("RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>");
    case Operation::GetBucketEncryption: return refusal(ErrorCode::ServerSideEncryptionConfigurationNotFoundError);
    case Operation::GetBucketWebsite: return refusal(ErrorCode::NoSuchWebsiteConfiguration);
    case Operation::GetBucketReplication: return refusal(ErrorCode::ReplicationConfigurationNotFoundError);
    default: break;
  }
  for (const Row& row : kRows) {
    if (row.get != call.operation) continue;
    const auto found = documents.find(row.document);
    if (found == documents.end()) {
      Refused refused(row.missing);
      refused.with("BucketName", call.resource.bucket);
      return std::unexpected(std::move(refused));
    }
    auto response = xml_response(found->second);
    if (call.operation == Operation::GetBucketPolicy) {
      response = http::Response::json(200, found->second);
    }
    return response;
  }
  return std::unexpected(Refused(s3proto::not_implemented(call.operation).error()));
}

Answer<http::Response> put_bucket_document(const Call& call, ByteView body) {
  const std::string& volume = call.bucket->name.volume;
  if (call.operation == Operation::PutBucketVersioning) {
    TRY_DO(require_head(call));
    TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), "", nullptr));
    if (call.field("x-amz-mfa")) return refusal(ErrorCode::NotImplemented, "MFA delete is not built");
    TRY(const auto versioning, s3proto::parse_versioning(body));
    if (call.bucket->documents->lock && versioning != s3proto::Versioning::Enabled)
      return refusal(
          ErrorCode::InvalidBucketState,
          "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.");
    TRY_DO(set_document(call, volume, document::kVersioning, s3proto::render_versioning(versioning)));
    return empty_ok();
  }
  if (call.operation == Operation::PutBucketAcl) {
    TRY_DO(require_head(call));
    TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), "", nullptr));
    TRY(Bytes acl, bucket_acl(call, body));
    TRY_DO(set_document(call, volume, document::kAcl, std::move(acl)));
    return empty_ok();
  }
  for (const Row& row : kRows) {
    if (row.put != call.operation) continue;
    TRY_DO(require_head(call));
    TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), "", nullptr));
    TRY(Bytes text, checked(call, body));
    TRY_DO(set_document(call, volume, row.document, std::move(text)));
    return empty_ok(call.operation == Operation::PutBucketPolicy ? 204 : 200);
  }
  return std::unexpected(Refused(s3proto::not_implemented(call.operation).error()));
}

Answer<http::Response> delete_bucket_document(const Call& call) {
  for (const Row& row : kRows) {
    if (row.remove != call.operation || row.remove == row.get) continue;
    TRY_DO(require_head(call));
    TRY_DO(authorize(call, *call.bucket, need_of(call.operation, false), "", nullptr));
    TRY_DO(set_document(call, call.bucket->name.volume, row.document, std::nullopt));
    return empty_ok(204);
  }
  return std::unexpected(Refused(s3proto::not_implemented(call.operation).error()));
}

}  // namespace hailstone::s3
