#include "s3proto/cors.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "http/grammar.h"
#include "s3proto/xml.h"

namespace hailstone::s3proto {
namespace {

constexpr std::string_view kMethods[] = {"GET", "PUT", "POST", "DELETE", "HEAD"};
constexpr size_t kIdBytesMax = 255;

std::string lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = http::lower(c);
  return out;
}

// `pattern` has at most one '*', which stands for any run of characters.
bool fits(std::string_view pattern, std::string_view text) {
  const size_t star = pattern.find('*');
  if (star == pattern.npos) return pattern == text;
  const std::string_view before = pattern.substr(0, star), after = pattern.substr(star + 1);
  return text.size() >= before.size() + after.size() && text.starts_with(before) && text.ends_with(after);
}

Parsed<std::vector<std::string>> texts(const XmlElement& rule, std::string_view name) {
  std::vector<std::string> out;
  for (const XmlElement* element : rule.all(name)) {
    if (!element->children().empty()) return malformed_xml(fmt::format("{}: elements where a value belongs", name));
    out.emplace_back(element->trimmed());
  }
  return out;
}

Parsed<void> one_wildcard(std::string_view name, const std::vector<std::string>& values) {
  for (const std::string& value : values)
    if (std::ranges::count(value, '*') > 1)
      return refuse(ErrorCode::InvalidRequest,
                    fmt::format("{} \"{}\" can not have more than one wildcard.", name, printable(value)));
  return {};
}

Parsed<CorsRule> parse_rule(const XmlElement& element) {
  TRY_DO(element.only({"ID", "AllowedMethod", "AllowedOrigin", "AllowedHeader", "ExposeHeader", "MaxAgeSeconds"}));
  CorsRule rule;
  TRY(const auto id, element.optional_text("ID"));
  rule.id = id.value_or("");
  if (rule.id.size() > kIdBytesMax) return malformed_xml("CORSRule: ID has more than 255 characters");
  TRY(rule.methods, texts(element, "AllowedMethod"));
  TRY(rule.origins, texts(element, "AllowedOrigin"));
  TRY(rule.headers, texts(element, "AllowedHeader"));
  TRY(rule.expose_headers, texts(element, "ExposeHeader"));
  if (rule.methods.empty() || rule.origins.empty())
    return malformed_xml("CORSRule: AllowedMethod and AllowedOrigin are needed");
  for (const std::string& method : rule.methods)
    if (std::ranges::find(kMethods, method) == std::end(kMethods))
      return refuse(
          ErrorCode::InvalidRequest,
          fmt::format("Found unsupported HTTP method in CORS config. Unsupported method is {}", printable(method)));
  TRY_DO(one_wildcard("AllowedOrigin", rule.origins));
  TRY_DO(one_wildcard("AllowedHeader", rule.headers));
  for (const std::string& header : rule.expose_headers)
    if (!http::is_token(header) || header.find('*') != header.npos)
      return refuse(ErrorCode::InvalidRequest,
                    fmt::format("ExposeHeader \"{}\" is not a header's name.", printable(header)));
  TRY(const auto age, element.optional_number("MaxAgeSeconds"));
  if (age && *age > INT32_MAX) return malformed_xml(fmt::format("MaxAgeSeconds: {} is too large", *age));
  if (age) rule.max_age_seconds = static_cast<uint32_t>(*age);
  return rule;
}

}  // namespace

Parsed<CorsRules> parse_cors(ByteView body) {
  TRY(const XmlDocument document, XmlDocument::parse(body, "CORSConfiguration"));
  TRY_DO(document.root().only({"CORSRule"}));
  const size_t count = document.root().children().size();
  if (count == 0 || count > kCorsRulesMax)
    return malformed_xml(fmt::format("CORSConfiguration: {} rules, not 1 to {}", count, kCorsRulesMax));
  CorsRules rules;
  for (const XmlElement& element : document.root().children()) {
    TRY(CorsRule rule, parse_rule(element));
    rules.push_back(std::move(rule));
  }
  return rules;
}

Bytes render_cors(const CorsRules& rules) {
  Bytes out;
  XmlWriter xml(out);
  xml.open_root("CORSConfiguration");
  for (const CorsRule& rule : rules) {
    xml.open("CORSRule");
    xml.text_if("ID", rule.id);
    for (const auto& [name, values] : {std::pair{"AllowedHeader", &rule.headers},
                                       {"AllowedMethod", &rule.methods},
                                       {"AllowedOrigin", &rule.origins},
                                       {"ExposeHeader", &rule.expose_headers}})
      for (const std::string& value : *values) xml.text(name, value);
    if (rule.max_age_seconds) xml.number("MaxAgeSeconds", *rule.max_age_seconds);
    xml.close("CORSRule");
  }
  xml.close("CORSConfiguration");
  return out;
}

std::optional<CorsAllowed> match_cors(const CorsRules& rules, std::string_view origin, std::string_view method,
                                      std::span<const std::string_view> request_headers) {
  for (const CorsRule& rule : rules) {
    if (std::ranges::find(rule.methods, method) == rule.methods.end()) continue;
    const auto pattern = std::ranges::find_if(rule.origins, [&](const auto& p) { return fits(p, origin); });
    if (pattern == rule.origins.end()) continue;
    CorsAllowed out;
    const bool all_fit = std::ranges::all_of(request_headers, [&](std::string_view header) {
      out.allow_headers.push_back(lowered(header));
      return std::ranges::any_of(rule.headers,
                                 [&](const auto& p) { return fits(lowered(p), out.allow_headers.back()); });
    });
    if (!all_fit) continue;
    out.credentials = *pattern != "*";
    out.allow_origin = out.credentials ? std::string(origin) : "*";
    out.methods = rule.methods;
    out.expose_headers = rule.expose_headers;
    out.max_age_seconds = rule.max_age_seconds;
    return out;
  }
  return std::nullopt;
}

}  // namespace hailstone::s3proto
