// Parsing is pugixml's; what it lets through but a careful server must not is refused here, before and after.
#include <fmt/format.h>

#include <charconv>
#include <pugixml.hpp>

#include "base/error.h"
#include "s3proto/utf8.h"
#include "s3proto/xml.h"

namespace hailstone::s3proto {
namespace {

constexpr std::string_view kSpaces = " \t\r\n";

bool blank(std::string_view text) { return text.find_first_not_of(kSpaces) == text.npos; }

std::string_view local(std::string_view name) {
  const size_t colon = name.find(':');
  return colon == name.npos ? name : name.substr(colon + 1);
}

// An XML character (XML 1.0 §2.2), NUL excepted and the other control characters allowed where they are references:
// S3's clients send keys with them.
bool reference_allowed(std::string_view body) {
  if (body == "amp" || body == "lt" || body == "gt" || body == "quot" || body == "apos") return true;
  if (!body.starts_with('#')) return false;
  body.remove_prefix(1);
  const int base = body.starts_with('x') ? 16 : 10;
  if (base == 16) body.remove_prefix(1);
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(body.data(), body.data() + body.size(), value, base);
  if (error != std::errc() || end != body.data() + body.size() || body.empty()) return false;
  return value != 0 && value <= 0x10ffff && !(value >= 0xd800 && value < 0xe000);
}

// Characters and references; comments, CDATA sections and processing instructions hold no references.
Parsed<void> scan(ByteView bytes) {
  if (!is_utf8(bytes)) return malformed_xml("the document is not UTF-8");
  for (size_t i = 0; i < bytes.size(); ++i) {
    const auto u = static_cast<unsigned char>(bytes[i]);
    if (u < 0x20 && kSpaces.find(bytes[i]) == kSpaces.npos)
      return malformed_xml(fmt::format("control character 0x{:02x} at byte {}", u, i));
    if (bytes[i] == '<') {
      for (const auto& [open, close] :
           {std::pair<std::string_view, std::string_view>{"<!--", "-->"}, {"<![CDATA[", "]]>"}, {"<?", "?>"}}) {
        if (bytes.substr(i, open.size()) != open) continue;
        const size_t end = bytes.find(close, i + open.size());
        if (end == bytes.npos) return malformed_xml(fmt::format("'{}' at byte {} has no end", open, i));
        for (size_t k = i; k < end; ++k)
          if (static_cast<unsigned char>(bytes[k]) < 0x20 && kSpaces.find(bytes[k]) == kSpaces.npos)
            return malformed_xml(fmt::format("control character at byte {}", k));
        i = end + close.size() - 1;
        break;
      }
    } else if (bytes[i] == '&') {
      const size_t end = bytes.substr(0, i + 12).find(';', i);
      if (end == bytes.npos || !reference_allowed(bytes.substr(i + 1, end - i - 1)))
        return malformed_xml(fmt::format("reference at byte {} is not one of XML's own", i));
      i = end;
    }
  }
  return {};
}

}  // namespace

struct XmlBuilder {
  XmlLimits limits;

  Parsed<void> build(const pugi::xml_node& node, uint32_t depth, XmlElement& out) const {
    out.name_ = local(node.name());
    if (depth > limits.depth_max)
      return malformed_xml(fmt::format("{}: more than {} levels", printable(out.name_), limits.depth_max));
    for (const auto& attribute : node.attributes())
      out.attributes_.emplace_back(local(attribute.name()), attribute.value());
    for (const auto& child : node.children()) {
      switch (child.type()) {
        case pugi::node_element: TRY_DO(build(child, depth + 1, out.children_.emplace_back())); break;
        case pugi::node_pcdata:
        case pugi::node_cdata: out.text_ += child.value(); break;
        default: return malformed_xml(fmt::format("{}: neither element nor text", printable(out.name_)));
      }
    }
    if (!out.children_.empty()) {
      if (!blank(out.text_)) return malformed_xml(fmt::format("{}: text between elements", printable(out.name_)));
      out.text_.clear();
    }
    return {};
  }
};

Parsed<XmlDocument> XmlDocument::parse(ByteView bytes, std::string_view root_name, XmlLimits limits) {
  if (bytes.size() > limits.bytes_max)
    return refuse(ErrorCode::MaxMessageLengthExceeded,
                  fmt::format("Your request was too large: {} bytes, at most {}", bytes.size(), limits.bytes_max));
  if (bytes.starts_with("\xef\xbb\xbf")) bytes.remove_prefix(3);
  if (blank(bytes)) return refuse(ErrorCode::MissingRequestBodyError);
  TRY_DO(scan(bytes));

  pugi::xml_document document;
  constexpr unsigned kFlags = pugi::parse_cdata | pugi::parse_escapes | pugi::parse_eol | pugi::parse_wconv_attribute |
                              pugi::parse_ws_pcdata_single | pugi::parse_doctype | pugi::parse_fragment;
  const auto result = document.load_buffer(bytes.data(), bytes.size(), kFlags, pugi::encoding_utf8);
  if (!result) return malformed_xml(fmt::format("{} at byte {}", result.description(), result.offset));

  pugi::xml_node root;
  for (const auto& node : document.children()) {
    const bool space = node.type() == pugi::node_pcdata && blank(node.value());
    if (space) continue;
    if (node.type() == pugi::node_doctype) return malformed_xml("a DTD is not accepted");
    if (node.type() != pugi::node_element || root) return malformed_xml("more than one root element");
    root = node;
  }
  if (!root) return malformed_xml("no root element");
  if (local(root.name()) != root_name)
    return malformed_xml(fmt::format("root element is {}, not {}", printable(root.name()), root_name));
  XmlDocument out;
  TRY_DO((XmlBuilder{limits}.build(root, 1, out.root_)));
  return out;
}

}  // namespace hailstone::s3proto
