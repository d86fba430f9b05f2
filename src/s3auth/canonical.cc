#include "s3auth/canonical.h"

#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "http/grammar.h"
#include "s3auth/scope.h"

namespace hailstone::s3auth {
namespace {

bool decode_item(std::string_view text, Bytes& out) {
  Bytes spaced(text);
  std::replace(spaced.begin(), spaced.end(), '+', ' ');
  return percent_decode(spaced, out);
}

void append_folded(std::string_view value, Bytes& out) {
  value = http::trim(value);
  bool space = false;
  for (char c : value) {
    if (http::is_space(c)) {
      space = true;
      continue;
    }
    if (std::exchange(space, false)) out.push_back(' ');
    out.push_back(c);
  }
}

}  // namespace

std::optional<Query> parse_query(std::string_view raw) {
  Query out;
  while (!raw.empty()) {
    const size_t end = raw.find('&');
    const std::string_view pair = raw.substr(0, end);
    raw.remove_prefix(end == std::string_view::npos ? raw.size() : end + 1);
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    QueryItem& item = out.emplace_back();
    if (!decode_item(pair.substr(0, equals), item.name)) return std::nullopt;
    if (equals != std::string_view::npos && !decode_item(pair.substr(equals + 1), item.value)) return std::nullopt;
  }
  return out;
}

std::optional<std::string_view> query_value(const Query& query, std::string_view name) {
  for (const QueryItem& item : query)
    if (item.name == name) return item.value;
  return std::nullopt;
}

Bytes canonical_query(const Query& query, std::string_view left_out) {
  std::vector<std::pair<Bytes, Bytes>> encoded;
  for (const QueryItem& item : query)
    if (left_out.empty() || item.name != left_out)
      encoded.emplace_back(percent_encode(item.name), percent_encode(item.value));
  std::sort(encoded.begin(), encoded.end());
  Bytes out;
  for (const auto& [name, value] : encoded) {
    if (!out.empty()) out.push_back('&');
    out.append(name).append("=").append(value);
  }
  return out;
}

std::optional<Bytes> canonical_path(std::string_view raw) {
  Bytes decoded;
  if (!percent_decode(raw, decoded)) return std::nullopt;
  return decoded.empty() ? "/" : percent_encode_path(decoded);
}

Bytes canonical_value(const http::RequestHead& head, std::string_view name) {
  Bytes out;
  bool first = true;
  for (const auto& field : head.fields) {
    if (!http::same_text(field.name, name)) continue;
    if (!std::exchange(first, false)) out.push_back(',');
    append_folded(field.value, out);
  }
  return out;
}

Bytes join_names(const std::vector<Bytes>& names) {
  Bytes out;
  for (const Bytes& name : names) {
    if (!out.empty()) out.push_back(';');
    out += name;
  }
  return out;
}

std::optional<std::vector<Bytes>> split_names(std::string_view text) {
  std::vector<Bytes> out;
  while (true) {
    const size_t end = text.find(';');
    const std::string_view name = text.substr(0, end);
    if (!http::is_token(name) || (!out.empty() && name <= out.back())) return std::nullopt;
    if (std::any_of(name.begin(), name.end(), [](char c) { return http::lower(c) != c; })) return std::nullopt;
    out.emplace_back(name);
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
  }
}

Bytes canonical_request(const http::RequestHead& head, const CanonicalInput& input) {
  Bytes out;
  out.append(input.method).append("\n").append(input.path).append("\n").append(input.query).append("\n");
  for (const Bytes& name : input.signed_names)
    if (head.field(name)) out.append(name).append(":").append(canonical_value(head, name)).append("\n");
  return out.append("\n").append(join_names(input.signed_names)).append("\n").append(input.payload);
}

Bytes string_to_sign(std::string_view amz_date, std::string_view scope, ByteView canonical) {
  Bytes out(kV4Algorithm);
  return out.append("\n").append(amz_date).append("\n").append(scope).append("\n").append(sha256(canonical).hex());
}

}  // namespace hailstone::s3auth
