#include "s3proto/settings.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "base/error.h"
#include "http/grammar.h"
#include "s3proto/xml.h"

namespace hailstone::s3proto {

Parsed<Versioning> parse_versioning(ByteView body) {
  TRY(const XmlDocument document, XmlDocument::parse(body, "VersioningConfiguration"));
  const XmlElement& root = document.root();
  TRY_DO(root.only({"Status", "MfaDelete", "MFADelete"}));
  for (std::string_view name : {"MfaDelete", "MFADelete"}) {
    TRY(const XmlElement* mfa, root.maybe(name));
    if (mfa != nullptr && mfa->trimmed() != "Disabled")
      return refuse(ErrorCode::NotImplemented, "MFA delete is not implemented");
  }
  TRY(const XmlElement* status, root.maybe("Status"));
  if (status != nullptr && status->trimmed() == "Enabled") return Versioning::Enabled;
  if (status != nullptr && status->trimmed() == "Suspended") return Versioning::Suspended;
  return refuse(
      ErrorCode::IllegalVersioningConfigurationException,
      fmt::format("Status must be Enabled or Suspended, not '{}'", status == nullptr ? "" : printable(status->text())));
}

Bytes render_versioning(Versioning versioning) {
  Bytes out;
  XmlWriter xml(out);
  xml.open_root("VersioningConfiguration");
  if (versioning != Versioning::Never)
    xml.literal("Status", versioning == Versioning::Enabled ? "Enabled" : "Suspended");
  xml.close("VersioningConfiguration");
  return out;
}

std::string_view lock_mode_name(LockMode mode) { return mode == LockMode::Governance ? "GOVERNANCE" : "COMPLIANCE"; }

Parsed<LockMode> parse_lock_mode(std::string_view text) {
  for (LockMode mode : {LockMode::Governance, LockMode::Compliance})
    if (text == lock_mode_name(mode)) return mode;
  return malformed_xml(fmt::format("Mode: '{}' is neither GOVERNANCE nor COMPLIANCE", printable(text)));
}

Parsed<ObjectLock> parse_object_lock(ByteView body) {
  TRY(const XmlDocument document, XmlDocument::parse(body, "ObjectLockConfiguration"));
  const XmlElement& root = document.root();
  TRY_DO(root.only({"ObjectLockEnabled", "Rule"}));
  TRY(const XmlElement* enabled, root.one("ObjectLockEnabled"));
  if (enabled->trimmed() != "Enabled")
    return malformed_xml(fmt::format("ObjectLockEnabled: '{}' is not Enabled", printable(enabled->text())));
  ObjectLock lock;
  TRY(const XmlElement* rule, root.maybe("Rule"));
  if (rule == nullptr) return lock;
  TRY_DO(rule->only({"DefaultRetention"}));
  TRY(const XmlElement* retention, rule->one("DefaultRetention"));
  TRY_DO(retention->only({"Mode", "Days", "Years"}));
  ObjectLock::Default out;
  TRY(const XmlElement* mode, retention->one("Mode"));
  TRY(out.mode, parse_lock_mode(mode->trimmed()));
  for (const char* name : {"Days", "Years"}) {
    TRY(const auto text, retention->optional_text(name));
    if (text && http::trim(*text).starts_with('-')) return refuse(ErrorCode::InvalidRetentionPeriod);
  }
  TRY(const auto days, retention->optional_number("Days"));
  TRY(const auto years, retention->optional_number("Years"));
  if (days.has_value() == years.has_value()) return malformed_xml("DefaultRetention: exactly one of Days and Years");
  // As S3: 100 years at most.
  if (days.value_or(1) < 1 || days.value_or(1) > 36500 || years.value_or(1) < 1 || years.value_or(1) > 100)
    return refuse(ErrorCode::InvalidRetentionPeriod);
  out.days = static_cast<uint32_t>(days.value_or(0));
  out.years = static_cast<uint32_t>(years.value_or(0));
  lock.retention = out;
  return lock;
}

Bytes render_object_lock(const ObjectLock& lock) {
  Bytes out;
  XmlWriter xml(out);
  xml.open_root("ObjectLockConfiguration");
  xml.literal("ObjectLockEnabled", "Enabled");
  if (lock.retention) {
    xml.open("Rule");
    xml.open("DefaultRetention");
    xml.literal("Mode", lock_mode_name(lock.retention->mode));
    if (lock.retention->days > 0) xml.number("Days", lock.retention->days);
    if (lock.retention->years > 0) xml.number("Years", lock.retention->years);
    xml.close("DefaultRetention");
    xml.close("Rule");
  }
  xml.close("ObjectLockConfiguration");
  return out;
}

Parsed<std::optional<Retention>> parse_retention(ByteView body) {
  TRY(const XmlDocument document, XmlDocument::parse(body, "Retention"));
  const XmlElement& root = document.root();
  if (root.children().empty() && root.trimmed().empty()) return std::nullopt;
  TRY_DO(root.only({"Mode", "RetainUntilDate"}));
  Retention out;
  TRY(const XmlElement* mode, root.one("Mode"));
  TRY(out.mode, parse_lock_mode(mode->trimmed()));
  TRY(const XmlElement* until, root.one("RetainUntilDate"));
  if (!parse_iso8601(until->trimmed(), out.until))
    return malformed_xml(fmt::format("RetainUntilDate: '{}' is not ISO 8601", printable(until->text())));
  return out;
}

Bytes render_retention(const Retention& retention) {
  Bytes out;
  XmlWriter xml(out);
  xml.open_root("Retention");
  xml.literal("Mode", lock_mode_name(retention.mode));
  xml.time("RetainUntilDate", retention.until);
  xml.close("Retention");
  return out;
}

Parsed<LegalHold> parse_legal_hold(ByteView body) {
  TRY(const XmlDocument document, XmlDocument::parse(body, "LegalHold"));
  TRY_DO(document.root().only({"Status"}));
  TRY(const XmlElement* status, document.root().one("Status"));
  if (status->trimmed() == "ON") return LegalHold::On;
  if (status->trimmed() == "OFF") return LegalHold::Off;
  return malformed_xml(fmt::format("Status: '{}' is neither ON nor OFF", printable(status->text())));
}

Parsed<LegalHold> parse_legal_hold_header(std::string_view value) {
  if (value == "ON") return LegalHold::On;
  if (value == "OFF") return LegalHold::Off;
  return refuse(ErrorCode::InvalidArgument,
                fmt::format("Legal Hold must be either of 'ON' or 'OFF', not '{}'", printable(value)));
}

Bytes render_legal_hold(LegalHold hold) {
  Bytes out;
  XmlWriter xml(out);
  xml.open_root("LegalHold");
  xml.literal("Status", hold == LegalHold::On ? "ON" : "OFF");
  xml.close("LegalHold");
  return out;
}

Parsed<PublicAccessBlock> parse_public_access_block(ByteView body) {
  TRY(const XmlDocument document, XmlDocument::parse(body, "PublicAccessBlockConfiguration"));
  const XmlElement& root = document.root();
  TRY_DO(root.only({"BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"}));
  PublicAccessBlock out;
  for (const auto& [name, field] : {std::pair{"BlockPublicAcls", &out.block_acls},
                                    {"IgnorePublicAcls", &out.ignore_acls},
                                    {"BlockPublicPolicy", &out.block_policy},
                                    {"RestrictPublicBuckets", &out.restrict_buckets}}) {
    TRY(const auto value, root.optional_boolean(name));
    *field = value.value_or(false);
  }
  return out;
}

Bytes render_public_access_block(const PublicAccessBlock& block) {
  Bytes out;
  XmlWriter xml(out);
  xml.open_root("PublicAccessBlockConfiguration");
  xml.boolean("BlockPublicAcls", block.block_acls);
  xml.boolean("IgnorePublicAcls", block.ignore_acls);
  xml.boolean("BlockPublicPolicy", block.block_policy);
  xml.boolean("RestrictPublicBuckets", block.restrict_buckets);
  xml.close("PublicAccessBlockConfiguration");
  return out;
}

std::string_view ownership_name(Ownership ownership) {
  switch (ownership) {
    case Ownership::BucketOwnerEnforced: return "BucketOwnerEnforced";
    case Ownership::BucketOwnerPreferred: return "BucketOwnerPreferred";
    case Ownership::ObjectWriter: break;
  }
  return "ObjectWriter";
}

Parsed<Ownership> parse_ownership_name(std::string_view text) {
  for (Ownership one : {Ownership::BucketOwnerEnforced, Ownership::BucketOwnerPreferred, Ownership::ObjectWriter})
    if (text == ownership_name(one)) return one;
  return malformed_xml(fmt::format("ObjectOwnership: '{}' is unknown", printable(text)));
}

Parsed<Ownership> parse_ownership(ByteView body) {
  TRY(const XmlDocument document, XmlDocument::parse(body, "OwnershipControls"));
  TRY_DO(document.root().only({"Rule"}));
  TRY(const XmlElement* rule, document.root().one("Rule"));
  TRY_DO(rule->only({"ObjectOwnership"}));
  TRY(const XmlElement* name, rule->one("ObjectOwnership"));
  return parse_ownership_name(name->trimmed());
}

Bytes render_ownership(Ownership ownership) {
  Bytes out;
  XmlWriter xml(out);
  xml.open_root("OwnershipControls");
  xml.open("Rule");
  xml.literal("ObjectOwnership", ownership_name(ownership));
  xml.close("Rule");
  xml.close("OwnershipControls");
  return out;
}

}  // namespace hailstone::s3proto
