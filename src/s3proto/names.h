// How a request names what it is about: bucket and key from Host and path, query parameters, copy sources. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "s3proto/errors.h"
#include "s3proto/xml.h"

namespace hailstone::s3proto {

inline constexpr size_t kKeyBytesMax = 1024;

/// Where bucket and key stood in the request.
enum class AddressStyle : uint8_t { Path, VirtualHost };

struct ResourceName {
  std::string bucket;  // empty: the service itself
  std::string key;     // empty: the bucket itself
  AddressStyle style = AddressStyle::Path;
  bool operator==(const ResourceName&) const = default;
};

/// `host`: the Host field, port and case ignored; `raw_path`: still percent-encoded, starts with '/'; `domains`: names
/// under which BUCKET.DOMAIN is served, the longest that fits wins. Any other host means path style. Escapes are
/// resolved once, '+' stays; InvalidURI for a bad escape, NUL, or a key that is not UTF-8; KeyTooLongError.
Parsed<ResourceName> parse_resource(std::string_view host, std::string_view raw_path,
                                    std::span<const std::string> domains);

/// What must hold of a key, whatever it came in: 1..1024 bytes of UTF-8 without NUL.
Parsed<void> validate_key(ByteView key);

/// Which state of a volume a bucket name means.
struct BucketName {
  enum class Kind : uint8_t { Head, Draft, Release, Label };
  std::string volume;
  Kind kind = Kind::Head;
  uint64_t number = 0;  // Draft: its id; Release: its number; from 1
  std::string label;    // Label: a channel or tag
  bool operator==(const BucketName&) const = default;
  /// "volume", "volume--draft-7", "volume--42", "volume--stable".
  std::string text() const;
};

/// InvalidBucketName names the rule broken. Volume names: 3..63 of a-z 0-9 '-' '.', ends alphanumeric, no "--" or "..",
/// not an IPv4 address (as volume/records.h has it, which may reserve further names).
Parsed<BucketName> parse_bucket(std::string_view name);

/// Query parameters, decoded once ('+' is a space), in the order sent.
class Query {
 public:
  /// InvalidURI for a bad escape; InvalidArgument when a parameter is given twice with different values.
  static Parsed<Query> parse(std::string_view raw);
  bool has(std::string_view name) const { return find(name) != nullptr; }
  /// Decoded value, "" when the parameter has none; nothing when it is absent.
  std::optional<std::string_view> get(std::string_view name) const;
  /// A decimal number of at most `max`; InvalidArgument otherwise.
  Parsed<std::optional<uint64_t>> number(std::string_view name, uint64_t max) const;
  const std::vector<std::pair<std::string, std::string>>& all() const { return parameters_; }

 private:
  const std::string* find(std::string_view name) const;
  std::vector<std::pair<std::string, std::string>> parameters_;
};

struct CopySource {
  std::string bucket;
  std::string key;
  std::optional<std::string> version_id;
  bool operator==(const CopySource&) const = default;
};
/// Value of x-amz-copy-source: "[/]bucket/key[?versionId=ID]", percent-encoded. InvalidArgument.
Parsed<CopySource> parse_copy_source(std::string_view value);

/// Value of encoding-type: "url" or absent. InvalidArgument.
Parsed<KeyEncoding> parse_encoding_type(const Query& query);

}  // namespace hailstone::s3proto
