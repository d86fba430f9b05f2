// XML both ways: a writer that appends to a buffer and builds no tree, a reader that trusts nothing it is sent.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "s3proto/errors.h"

namespace hailstone::s3proto {

/// Namespace of every S3 document but Error.
inline constexpr std::string_view kXmlNamespace = "http://s3.amazonaws.com/doc/2006-03-01/";

/// How keys, prefixes and markers are written in listings (encoding-type).
enum class KeyEncoding : uint8_t { None, Url };

/// Appends `value` as character data. Control characters become references, malformed UTF-8 and NUL (which XML can't
/// carry) U+FFFD: what comes out is always well-formed to S3's clients; KeyEncoding::Url loses nothing.
void append_xml_text(Bytes& out, ByteView value);
/// Percent-encoding of encoding-type=url: everything but unreserved characters and '/'.
void append_url_encoded(Bytes& out, ByteView value);

/// Elements are opened and closed by name; balance is the caller's and checked by the tests' re-parse.
class XmlWriter {
 public:
  explicit XmlWriter(Bytes& out) : out_(out) {}

  void declaration() { out_ += "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"; }
  /// <name xmlns="...">, the root element of everything but Error.
  void open_root(std::string_view name);
  void open(std::string_view name) {
    out_ += '<';
    out_ += name;
    out_ += '>';
  }
  /// `attributes` as they are to appear: xsi:type="Group".
  void open_with(std::string_view name, std::string_view attributes);
  void close(std::string_view name) {
    out_ += "</";
    out_ += name;
    out_ += '>';
  }

  void text(std::string_view name, ByteView value);
  void key(std::string_view name, ByteView value, KeyEncoding encoding);
  void number(std::string_view name, uint64_t value);
  void boolean(std::string_view name, bool value) { literal(name, value ? "true" : "false"); }
  /// "2026-11-22T10:00:00.123Z".
  void time(std::string_view name, UnixMicros value);
  /// "\"etag\"" as &quot;etag&quot;.
  void etag(std::string_view name, std::string_view without_quotes);
  /// A value known to need no escaping.
  void literal(std::string_view name, std::string_view value);
  /// <name/>
  void empty(std::string_view name);
  /// text(), when there is something to say.
  void text_if(std::string_view name, ByteView value) {
    if (!value.empty()) text(name, value);
  }

 private:
  Bytes& out_;
  // Entries of a listing often share their second: its text is made once for each run of them.
  int64_t time_seconds_ = INT64_MIN;
  std::string time_text_;  // "2026-11-22T10:00:00"
};

struct XmlLimits {
  size_t bytes_max = 1u << 20;
  uint32_t depth_max = 12;  // the deepest S3 document has 7
};

/// An element of a parsed document: names without prefix or namespace, text with references resolved. Every refusal is
/// MalformedXML and names the element. Pointers to children live as long as the element.
class XmlElement {
 public:
  std::string_view name() const { return name_; }
  /// Character data of an element that has no child elements; "" where it has.
  std::string_view text() const { return text_; }
  /// Of the attribute with that local name.
  std::optional<std::string_view> attribute(std::string_view local_name) const;

  const std::vector<XmlElement>& children() const { return children_; }
  /// The one child of that name; refused when it is missing or there are several.
  Parsed<const XmlElement*> one(std::string_view name) const;
  /// The child of that name or nullptr; refused when there are several.
  Parsed<const XmlElement*> maybe(std::string_view name) const;
  /// In document order.
  std::vector<const XmlElement*> all(std::string_view name) const;
  /// Refused when there is a child of another name.
  Parsed<void> only(std::initializer_list<std::string_view> names) const;

  /// Text of the one child; "" is fine.
  Parsed<std::string> required_text(std::string_view name) const;
  Parsed<std::optional<std::string>> optional_text(std::string_view name) const;
  /// Text of this element as a decimal number; white space around it is ignored.
  Parsed<uint64_t> number() const;
  Parsed<std::optional<uint64_t>> optional_number(std::string_view name) const;
  /// "true" or "false" in any case.
  Parsed<bool> boolean() const;
  Parsed<std::optional<bool>> optional_boolean(std::string_view name) const;
  /// text() without white space around it.
  std::string_view trimmed() const;

 private:
  friend struct XmlBuilder;
  std::string name_;
  std::string text_;
  std::vector<std::pair<std::string, std::string>> attributes_;
  std::vector<XmlElement> children_;
};

class XmlDocument {
 public:
  /// Refused: anything not well-formed UTF-8 XML, a DTD, an entity other than XML's own five, more bytes or depth than
  /// the limits, a root element of another name. MissingRequestBodyError when there is nothing at all.
  static Parsed<XmlDocument> parse(ByteView bytes, std::string_view root_name, XmlLimits limits = {});
  const XmlElement& root() const { return root_; }

 private:
  XmlDocument() = default;
  XmlElement root_;
};

std::unexpected<Failure> malformed_xml(std::string message);

}  // namespace hailstone::s3proto
