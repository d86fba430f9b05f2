// The one form of a request that both sides sign (AWS Signature Version 4, S3's variant: the path encoded once).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "http/message.h"

namespace hailstone::s3auth {

/// Decoded; '+' is a space, as http::RequestHead::parameter reads it: what is signed is what is understood.
struct QueryItem {
  Bytes name, value;
  bool operator==(const QueryItem&) const = default;
};
using Query = std::vector<QueryItem>;

/// In order of appearance, empty items left out; nothing on a malformed escape.
std::optional<Query> parse_query(std::string_view raw);
/// Value of the first item of that name.
std::optional<std::string_view> query_value(const Query& query, std::string_view name);
/// "name=value&..." encoded, sorted by encoded name, then value; items named `left_out` are not in it.
Bytes canonical_query(const Query& query, std::string_view left_out = {});

/// Decoded, then encoded once; dots and double slashes stay (a key may hold them). Nothing on a malformed escape.
std::optional<Bytes> canonical_path(std::string_view raw);

/// All fields of that name (lower case) joined by ',', white space trimmed and inner runs of it folded to one space.
Bytes canonical_value(const http::RequestHead& head, std::string_view name);

/// "host;x-amz-date"
Bytes join_names(const std::vector<Bytes>& names);
/// The inverse. Nothing unless the names are lower-case tokens in strictly rising order: one text for each set.
std::optional<std::vector<Bytes>> split_names(std::string_view text);

struct CanonicalInput {
  std::string_view method, path;  // path: of canonical_path()
  Bytes query;                    // of canonical_query()
  const std::vector<Bytes>& signed_names;
  std::string_view payload;  // hex digest or one of the words for it
};
/// A signed field that is absent has no line, which no client signs: dropping a field is always noticed.
Bytes canonical_request(const http::RequestHead& head, const CanonicalInput& input);

/// Three lines and the digest of the canonical request.
Bytes string_to_sign(std::string_view amz_date, std::string_view scope, ByteView canonical);

}  // namespace hailstone::s3auth
