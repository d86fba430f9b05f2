// Lifecycle rules of a bucket, and whether they expire an object, a version or an upload at a given time. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "s3proto/errors.h"
#include "s3proto/tagging.h"

namespace hailstone::s3proto {

/// Everything set must hold.
struct LifecycleFilter {
  std::string prefix;
  Tags tags;
  std::optional<uint64_t> size_greater_than;  // bytes, exclusive
  std::optional<uint64_t> size_less_than;     // bytes, exclusive
  bool operator==(const LifecycleFilter&) const = default;
};

struct LifecycleRule {
  std::string id;  // unique; at most 255 bytes
  bool enabled = true;
  LifecycleFilter filter;
  bool prefix_alone = false;  // given as the rule's own Prefix, as before there were filters: shown so again
  std::optional<uint32_t> expiration_days;
  std::optional<UnixMicros> expiration_date;  // midnight UTC
  bool expire_lone_delete_marker = false;     // ExpiredObjectDeleteMarker
  std::optional<uint32_t> noncurrent_days;
  uint32_t newer_noncurrent_versions = 0;  // how many are kept whatever their age
  std::optional<uint32_t> abort_upload_days;
  bool operator==(const LifecycleRule&) const = default;
};
using LifecycleRules = std::vector<LifecycleRule>;
inline constexpr size_t kLifecycleRulesMax = 1000;

/// MalformedXML, InvalidArgument (days of 0, a date that is not midnight), InvalidRequest (filter against action),
/// NotImplemented for transitions.
Parsed<LifecycleRules> parse_lifecycle(ByteView body);
Bytes render_lifecycle(const LifecycleRules& rules);

/// One version as the rules see it.
struct VersionFacts {
  std::string_view key;
  uint64_t size = 0;
  const Tags* tags = nullptr;  // nullptr: none
  bool current = true;
  bool delete_marker = false;
  bool only_version = false;      // current delete marker with nothing beneath it
  UnixMicros created;             // of this version
  UnixMicros became_noncurrent;   // when the next newer one was made; of noncurrent ones
  uint32_t newer_noncurrent = 0;  // noncurrent versions of the key newer than this one
};

/// Whether any enabled rule expires it. A current version that expires is removed, or hidden by a delete marker where
/// the bucket keeps versions; an expired noncurrent version or delete marker goes for good.
bool expires(const LifecycleRules& rules, const VersionFacts& version, UnixMicros now);
/// Whether an upload that is not completed is aborted.
bool aborts_upload(const LifecycleRules& rules, std::string_view key, UnixMicros initiated, UnixMicros now);

struct ExpirationDate {
  UnixMicros at;
  std::string rule_id;
};
/// When a current object will expire, for x-amz-expiration: the earliest of the rules that apply.
std::optional<ExpirationDate> expiration_of(const LifecycleRules& rules, const VersionFacts& version);

}  // namespace hailstone::s3proto
