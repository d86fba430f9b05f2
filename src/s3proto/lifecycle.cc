#include "s3proto/lifecycle.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "base/error.h"
#include "s3proto/xml.h"

namespace hailstone::s3proto {
namespace {

constexpr int64_t kDayMicros = 86'400'000'000;

std::unexpected<Failure> bad_argument(std::string message) {
  return refuse(ErrorCode::InvalidArgument, std::move(message));
}

Parsed<std::optional<uint32_t>> days(const XmlElement& parent, std::string_view name) {
  TRY(const auto value, parent.optional_number(name));
  if (!value) return std::nullopt;
  if (*value < 1 || *value > INT32_MAX)
    return bad_argument(fmt::format("'{}' for {} must be a positive integer, not {}", name, parent.name(), *value));
  return static_cast<uint32_t>(*value);
}

Parsed<std::pair<std::string, std::string>> parse_tag(const XmlElement& tag) {
  TRY_DO(tag.only({"Key", "Value"}));
  TRY(std::string key, tag.required_text("Key"));
  TRY(std::string value, tag.required_text("Value"));
  return std::pair(std::move(key), std::move(value));
}

Parsed<void> parse_conditions(const XmlElement& element, LifecycleFilter& out) {
  TRY(const auto prefix, element.optional_text("Prefix"));
  out.prefix = prefix.value_or("");
  for (const XmlElement* tag : element.all("Tag")) {
    TRY(auto pair, parse_tag(*tag));
    out.tags.push_back(std::move(pair));
  }
  TRY(out.size_greater_than, element.optional_number("ObjectSizeGreaterThan"));
  TRY(out.size_less_than, element.optional_number("ObjectSizeLessThan"));
  if (out.size_greater_than && out.size_less_than && *out.size_greater_than >= *out.size_less_than)
    return refuse(ErrorCode::InvalidRequest,
                  "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'");
  return validate_tags(out.tags, TagLevel::Bucket);
}

Parsed<void> parse_filter(const XmlElement& element, LifecycleFilter& out) {
  TRY_DO(element.only({"Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan", "And"}));
  if (element.children().size() > 1) return malformed_xml("Filter: more than one condition needs And");
  TRY(const XmlElement* all, element.maybe("And"));
  if (all == nullptr) return parse_conditions(element, out);
  TRY_DO(all->only({"Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan"}));
  if (all->children().size() < 2) return malformed_xml("And: fewer than two conditions");
  return parse_conditions(*all, out);
}

Parsed<void> parse_expiration(const XmlElement& element, LifecycleRule& rule) {
  TRY_DO(element.only({"Days", "Date", "ExpiredObjectDeleteMarker"}));
  if (element.children().size() != 1)
    return malformed_xml("Expiration: exactly one of Days, Date, ExpiredObjectDeleteMarker");
  TRY(rule.expiration_days, days(element, "Days"));
  TRY(const auto marker, element.optional_boolean("ExpiredObjectDeleteMarker"));
  rule.expire_lone_delete_marker = marker.value_or(false);
  TRY(const auto date, element.optional_text("Date"));
  if (!date) return {};
  UnixMicros at;
  if (!parse_iso8601(*date, at)) return malformed_xml(fmt::format("Date: '{}' is not ISO 8601", printable(*date)));
  if (at.value % kDayMicros != 0)
    return bad_argument(fmt::format("'Date' must be at midnight GMT, not {}", printable(*date)));
  rule.expiration_date = at;
  return {};
}

Parsed<LifecycleRule> parse_rule(const XmlElement& element) {
  for (std::string_view transition : {"Transition", "NoncurrentVersionTransition"})
    if (!element.all(transition).empty())
      return refuse(ErrorCode::NotImplemented, fmt::format("{}: there is one storage class only", transition));
  TRY_DO(element.only({"ID", "Status", "Filter", "Prefix", "Expiration", "NoncurrentVersionExpiration",
                       "AbortIncompleteMultipartUpload"}));
  LifecycleRule rule;
  TRY(const auto id, element.optional_text("ID"));
  rule.id = id.value_or("");
  if (rule.id.size() > 255) return bad_argument("ID length should not exceed allowed limit of 255");
  TRY(const XmlElement* status, element.one("Status"));
  rule.enabled = status->trimmed() == "Enabled";
  if (!rule.enabled && status->trimmed() != "Disabled")
    return malformed_xml(fmt::format("Status: '{}' is neither Enabled nor Disabled", printable(status->text())));

  TRY(const XmlElement* filter, element.maybe("Filter"));
  TRY(const auto prefix, element.optional_text("Prefix"));
  if ((filter != nullptr) == prefix.has_value()) return malformed_xml("Rule: needs either Filter or Prefix");
  if (filter != nullptr) TRY_DO(parse_filter(*filter, rule.filter));
  if (prefix) rule.filter.prefix = *prefix;
  rule.prefix_alone = prefix.has_value();
  if (rule.filter.prefix.size() > 1024) return bad_argument("The maximum size of a prefix is 1024.");

  TRY(const XmlElement* expiration, element.maybe("Expiration"));
  if (expiration != nullptr) TRY_DO(parse_expiration(*expiration, rule));
  TRY(const XmlElement* noncurrent, element.maybe("NoncurrentVersionExpiration"));
  if (noncurrent != nullptr) {
    TRY_DO(noncurrent->only({"NoncurrentDays", "NewerNoncurrentVersions"}));
    TRY(rule.noncurrent_days, days(*noncurrent, "NoncurrentDays"));
    if (!rule.noncurrent_days) return malformed_xml("NoncurrentVersionExpiration: no NoncurrentDays");
    TRY(const auto newer, days(*noncurrent, "NewerNoncurrentVersions"));
    rule.newer_noncurrent_versions = newer.value_or(0);
    if (rule.newer_noncurrent_versions > 100) return bad_argument("'NewerNoncurrentVersions' must be at most 100");
  }
  TRY(const XmlElement* abort, element.maybe("AbortIncompleteMultipartUpload"));
  if (abort != nullptr) {
    TRY_DO(abort->only({"DaysAfterInitiation"}));
    TRY(rule.abort_upload_days, days(*abort, "DaysAfterInitiation"));
    if (!rule.abort_upload_days) return malformed_xml("AbortIncompleteMultipartUpload: no DaysAfterInitiation");
  }
  if (expiration == nullptr && noncurrent == nullptr && abort == nullptr)
    return refuse(ErrorCode::InvalidRequest, "At least one action needs to be specified in a rule");
  const bool by_size = rule.filter.size_greater_than || rule.filter.size_less_than;
  if ((abort != nullptr || rule.expire_lone_delete_marker) && (!rule.filter.tags.empty() || by_size))
    return refuse(
        ErrorCode::InvalidRequest,
        "AbortIncompleteMultipartUpload and ExpiredObjectDeleteMarker cannot be specified with Tags or sizes");
  return rule;
}

bool applies(const LifecycleFilter& filter, const VersionFacts& version) {
  if (!version.key.starts_with(filter.prefix)) return false;
  if (filter.size_greater_than && version.size <= *filter.size_greater_than) return false;
  if (filter.size_less_than && version.size >= *filter.size_less_than) return false;
  return std::ranges::all_of(filter.tags, [&](const auto& tag) {
    return version.tags != nullptr && std::ranges::find(*version.tags, tag) != version.tags->end();
  });
}

// S3 counts whole days and rounds up to the next midnight UTC.
UnixMicros after_days(UnixMicros since, uint32_t count) {
  const int64_t at = since.value + int64_t{count} * kDayMicros;
  return UnixMicros{(at + kDayMicros - 1) / kDayMicros * kDayMicros};
}

void append_conditions(XmlWriter& xml, const LifecycleFilter& filter, bool all) {
  if (!filter.prefix.empty() || !all) xml.text("Prefix", filter.prefix);
  for (const auto& [key, value] : filter.tags) {
    xml.open("Tag");
    xml.text("Key", key);
    xml.text("Value", value);
    xml.close("Tag");
  }
  if (filter.size_greater_than) xml.number("ObjectSizeGreaterThan", *filter.size_greater_than);
  if (filter.size_less_than) xml.number("ObjectSizeLessThan", *filter.size_less_than);
}

void append_filter(XmlWriter& xml, const LifecycleFilter& filter) {
  const size_t conditions = !filter.prefix.empty() + filter.tags.size() + filter.size_greater_than.has_value() +
                            filter.size_less_than.has_value();
  xml.open("Filter");
  if (conditions > 1) xml.open("And");
  append_conditions(xml, filter, conditions > 0);
  if (conditions > 1) xml.close("And");
  xml.close("Filter");
}

}  // namespace

Parsed<LifecycleRules> parse_lifecycle(ByteView body) {
  TRY(const XmlDocument document, XmlDocument::parse(body, "LifecycleConfiguration", {.bytes_max = 2u << 20}));
  TRY_DO(document.root().only({"Rule"}));
  const size_t count = document.root().children().size();
  if (count == 0 || count > kLifecycleRulesMax)
    return malformed_xml(fmt::format("LifecycleConfiguration: {} rules, not 1 to {}", count, kLifecycleRulesMax));
  LifecycleRules rules;
  for (const XmlElement& element : document.root().children()) {
    TRY(LifecycleRule rule, parse_rule(element));
    const bool known = !rule.id.empty() && std::ranges::any_of(rules, [&](const auto& r) { return r.id == rule.id; });
    if (known)
      return bad_argument(
          fmt::format("Rule ID must be unique. Found same ID for more than one rule: {}", printable(rule.id)));
    rules.push_back(std::move(rule));
  }
  return rules;
}

Bytes render_lifecycle(const LifecycleRules& rules) {
  Bytes out;
  XmlWriter xml(out);
  xml.open_root("LifecycleConfiguration");
  for (const LifecycleRule& rule : rules) {
    xml.open("Rule");
    xml.text_if("ID", rule.id);
    if (rule.prefix_alone)
      xml.text("Prefix", rule.filter.prefix);
    else
      append_filter(xml, rule.filter);
    xml.literal("Status", rule.enabled ? "Enabled" : "Disabled");
    if (rule.expiration_days || rule.expiration_date || rule.expire_lone_delete_marker) {
      xml.open("Expiration");
      if (rule.expiration_days) xml.number("Days", *rule.expiration_days);
      if (rule.expiration_date) xml.time("Date", *rule.expiration_date);
      if (rule.expire_lone_delete_marker) xml.boolean("ExpiredObjectDeleteMarker", true);
      xml.close("Expiration");
    }
    if (rule.noncurrent_days) {
      xml.open("NoncurrentVersionExpiration");
      xml.number("NoncurrentDays", *rule.noncurrent_days);
      if (rule.newer_noncurrent_versions > 0) xml.number("NewerNoncurrentVersions", rule.newer_noncurrent_versions);
      xml.close("NoncurrentVersionExpiration");
    }
    if (rule.abort_upload_days) {
      xml.open("AbortIncompleteMultipartUpload");
      xml.number("DaysAfterInitiation", *rule.abort_upload_days);
      xml.close("AbortIncompleteMultipartUpload");
    }
    xml.close("Rule");
  }
  xml.close("LifecycleConfiguration");
  return out;
}

bool expires(const LifecycleRules& rules, const VersionFacts& version, UnixMicros now) {
  return std::ranges::any_of(rules, [&](const LifecycleRule& rule) {
    if (!rule.enabled || !applies(rule.filter, version)) return false;
    if (!version.current)
      return rule.noncurrent_days && version.newer_noncurrent >= rule.newer_noncurrent_versions &&
             now >= after_days(version.became_noncurrent, *rule.noncurrent_days);
    // A delete marker with nothing beneath it goes by its own flag, or when a rule's days for objects have passed.
    if (version.delete_marker && !version.only_version) return false;
    if (version.delete_marker && rule.expire_lone_delete_marker) return true;
    if (rule.expiration_days && now >= after_days(version.created, *rule.expiration_days)) return true;
    return rule.expiration_date && now >= *rule.expiration_date;
  });
}

bool aborts_upload(const LifecycleRules& rules, std::string_view key, UnixMicros initiated, UnixMicros now) {
  return std::ranges::any_of(rules, [&](const LifecycleRule& rule) {
    return rule.enabled && rule.abort_upload_days && key.starts_with(rule.filter.prefix) &&
           now >= after_days(initiated, *rule.abort_upload_days);
  });
}

std::optional<ExpirationDate> expiration_of(const LifecycleRules& rules, const VersionFacts& version) {
  std::optional<ExpirationDate> earliest;
  if (!version.current || version.delete_marker) return earliest;
  for (const LifecycleRule& rule : rules) {
    if (!rule.enabled || !applies(rule.filter, version)) continue;
    std::optional<UnixMicros> at = rule.expiration_date;
    if (rule.expiration_days) at = after_days(version.created, *rule.expiration_days);
    if (at && (!earliest || *at < earliest->at)) earliest = ExpirationDate{*at, rule.id};
  }
  return earliest;
}

}  // namespace hailstone::s3proto
