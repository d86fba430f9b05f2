#include "s3proto/tagging.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "s3proto/names.h"
#include "s3proto/utf8.h"
#include "s3proto/xml.h"

namespace hailstone::s3proto {
namespace {

// Of ASCII; letters and digits of other scripts are let through without a table of all Unicode.
bool characters_allowed(std::string_view text) {
  return is_utf8(text) && std::ranges::all_of(text, [](char c) {
           const auto u = static_cast<unsigned char>(c);
           return u >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  std::string_view(" +-=._:/@").find(c) != std::string_view::npos;
         });
}

}  // namespace

Parsed<void> validate_tags(const Tags& tags, TagLevel level) {
  const size_t max = level == TagLevel::Object ? kObjectTagsMax : kBucketTagsMax;
  if (tags.size() > max)
    return refuse(ErrorCode::InvalidTag, fmt::format("{} tags cannot be greater than {}",
                                                     level == TagLevel::Object ? "Object" : "Bucket", max));
  const auto bad = [](std::string_view why, std::string_view key, std::string_view text) {
    return refuse(ErrorCode::InvalidTag, fmt::format("{}: '{}'", why, printable(text)), {{"TagKey", printable(key)}});
  };
  for (size_t i = 0; i < tags.size(); ++i) {
    const auto& [key, value] = tags[i];
    if (!characters_allowed(key) || key.empty() || count_code_points(key) > kTagKeyCharactersMax)
      return bad("The TagKey you have provided is invalid", key, key);
    if (!characters_allowed(value) || count_code_points(value) > kTagValueCharactersMax)
      return bad("The TagValue you have provided is invalid", key, value);
    if (key.starts_with("aws:")) return bad("System tags cannot be added or updated by requester", key, key);
    for (size_t k = 0; k < i; ++k)
      if (tags[k].first == key) return bad("Cannot provide multiple Tags with the same key", key, key);
  }
  return {};
}

Parsed<Tags> parse_tagging(ByteView body, TagLevel level) {
  TRY(const XmlDocument document, XmlDocument::parse(body, "Tagging"));
  TRY_DO(document.root().only({"TagSet"}));
  TRY(const XmlElement* set, document.root().one("TagSet"));
  TRY_DO(set->only({"Tag"}));
  Tags tags;
  for (const XmlElement& tag : set->children()) {
    TRY_DO(tag.only({"Key", "Value"}));
    TRY(std::string key, tag.required_text("Key"));
    TRY(std::string value, tag.required_text("Value"));
    tags.emplace_back(std::move(key), std::move(value));
  }
  TRY_DO(validate_tags(tags, level));
  return tags;
}

Parsed<Tags> parse_tagging_header(std::string_view header) {
  const auto bad = [&] {
    return refuse(ErrorCode::InvalidArgument,
                  "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without "
                  "tag name duplicates.",
                  {{"ArgumentName", "x-amz-tagging"}, {"ArgumentValue", printable(header)}});
  };
  Tags tags;
  while (!header.empty()) {
    const size_t end = header.find('&');
    // Query::parse resolves one pair just as a query string's.
    const auto one = Query::parse(header.substr(0, end));
    if (!one || one->all().size() != 1) return bad();
    tags.push_back(one->all().front());
    header = end == header.npos ? std::string_view() : header.substr(end + 1);
  }
  for (size_t i = 0; i < tags.size(); ++i)
    for (size_t k = 0; k < i; ++k)
      if (tags[k].first == tags[i].first) return bad();
  TRY_DO(validate_tags(tags, TagLevel::Object));
  return tags;
}

Bytes render_tagging(const Tags& tags) {
  Bytes out;
  XmlWriter xml(out);
  xml.open_root("Tagging");
  xml.open("TagSet");
  for (const auto& [key, value] : tags) {
    xml.open("Tag");
    xml.text("Key", key);
    xml.text("Value", value);
    xml.close("Tag");
  }
  xml.close("TagSet");
  xml.close("Tagging");
  return out;
}

}  // namespace hailstone::s3proto
