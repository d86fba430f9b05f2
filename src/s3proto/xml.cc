#include "s3proto/xml.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/clock.h"
#include "base/error.h"
#include "s3proto/utf8.h"

namespace hailstone::s3proto {
namespace {

// What a byte of character data needs: nothing, an escape, or a look at the whole character.
enum class TextClass : uint8_t { Plain, Escape, Multibyte };
constexpr std::array<TextClass, 256> kTextClass = [] {
  std::array<TextClass, 256> table{};
  for (size_t c = 0; c < 256; ++c) {
    if (c < 0x20 || c == 0x7f) table[c] = TextClass::Escape;
    if (c >= 0x80) table[c] = TextClass::Multibyte;
  }
  for (char c : std::string_view("&<>\"'")) table[static_cast<unsigned char>(c)] = TextClass::Escape;
  return table;
}();

constexpr std::array<bool, 256> kUrlPlain = [] {
  std::array<bool, 256> table{};
  for (size_t c = '0'; c <= '9'; ++c) table[c] = true;
  for (size_t c = 'a'; c <= 'z'; ++c) table[c] = table[c - 'a' + 'A'] = true;
  for (char c : std::string_view("-._~/")) table[static_cast<unsigned char>(c)] = true;
  return table;
}();

constexpr std::string_view kReplacement = "\xef\xbf\xbd";
constexpr char kHexDigits[] = "0123456789ABCDEF";

void append_escape(Bytes& out, char c) {
  switch (c) {
    case '&': out += "&amp;"; return;
    case '<': out += "&lt;"; return;
    case '>': out += "&gt;"; return;
    case '"': out += "&quot;"; return;
    case '\'': out += "&#39;"; return;
    case '\0': out += kReplacement; return;
    default: break;
  }
  const auto u = static_cast<unsigned char>(c);
  out += "&#x";
  if (u >= 0x10) out += kHexDigits[u >> 4];
  out += kHexDigits[u & 15];
  out += ';';
}

bool is_xml_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace

void append_xml_text(Bytes& out, ByteView value) {
  size_t plain = 0;  // start of the run not yet appended
  size_t i = 0;
  while (i < value.size()) {
    const auto kind = kTextClass[static_cast<unsigned char>(value[i])];
    if (kind == TextClass::Plain) {
      ++i;
      continue;
    }
    if (kind == TextClass::Multibyte) {
      const CodePoint point = first_code_point(value.substr(i));
      const bool bad = point.bytes == 0 || point.value == 0xfffe || point.value == 0xffff;
      if (!bad) {
        i += point.bytes;
        continue;
      }
      out.append(value, plain, i - plain);
      out += kReplacement;
      i += std::max<size_t>(point.bytes, 1);
    } else {
      out.append(value, plain, i - plain);
      append_escape(out, value[i]);
      ++i;
    }
    plain = i;
  }
  out.append(value, plain, value.size() - plain);
}

void append_url_encoded(Bytes& out, ByteView value) {
  size_t plain = 0;
  for (size_t i = 0; i < value.size(); ++i) {
    const auto u = static_cast<unsigned char>(value[i]);
    if (kUrlPlain[u]) continue;
    out.append(value, plain, i - plain);
    const char escape[] = {'%', kHexDigits[u >> 4], kHexDigits[u & 15]};
    out.append(escape, sizeof escape);
    plain = i + 1;
  }
  out.append(value, plain, value.size() - plain);
}

void XmlWriter::open_root(std::string_view name) {
  declaration();
  out_ += '<';
  out_ += name;
  out_ += " xmlns=\"";
  out_ += kXmlNamespace;
  out_ += "\">";
}

void XmlWriter::open_with(std::string_view name, std::string_view attributes) {
  out_ += '<';
  out_ += name;
  out_ += ' ';
  out_ += attributes;
  out_ += '>';
}

void XmlWriter::text(std::string_view name, ByteView value) {
  open(name);
  append_xml_text(out_, value);
  close(name);
}

void XmlWriter::key(std::string_view name, ByteView value, KeyEncoding encoding) {
  open(name);
  if (encoding == KeyEncoding::Url) {
    append_url_encoded(out_, value);
  } else {
    append_xml_text(out_, value);
  }
  close(name);
}

void XmlWriter::number(std::string_view name, uint64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  literal(name, std::string_view(digits, static_cast<size_t>(end - digits)));
}

void XmlWriter::time(std::string_view name, UnixMicros value) {
  const int64_t seconds = value.seconds();
  if (time_seconds_ != seconds) {
    time_text_ = format_iso8601(UnixMicros{seconds * 1'000'000});
    time_text_.pop_back();
    time_seconds_ = seconds;
  }
  const auto millis = static_cast<unsigned>((value.value - seconds * 1'000'000) / 1000);
  const char fraction[] = {'.', static_cast<char>('0' + millis / 100), static_cast<char>('0' + millis / 10 % 10),
                           static_cast<char>('0' + millis % 10), 'Z'};
  open(name);
  out_ += time_text_;
  out_.append(fraction, sizeof fraction);
  close(name);
}

void XmlWriter::etag(std::string_view name, std::string_view without_quotes) {
  open(name);
  out_ += "&quot;";
  append_xml_text(out_, without_quotes);
  out_ += "&quot;";
  close(name);
}

void XmlWriter::literal(std::string_view name, std::string_view value) {
  open(name);
  out_ += value;
  close(name);
}

void XmlWriter::empty(std::string_view name) {
  out_ += '<';
  out_ += name;
  out_ += "/>";
}

std::unexpected<Failure> malformed_xml(std::string message) {
  return refuse(ErrorCode::MalformedXML, std::move(message));
}

std::optional<std::string_view> XmlElement::attribute(std::string_view local_name) const {
  for (const auto& [name, value] : attributes_)
    if (name == local_name) return value;
  return std::nullopt;
}

Parsed<const XmlElement*> XmlElement::maybe(std::string_view name) const {
  const XmlElement* found = nullptr;
  for (const XmlElement& child : children_) {
    if (child.name_ != name) continue;
    if (found != nullptr) return malformed_xml(fmt::format("{}: more than one {}", name_, name));
    found = &child;
  }
  return found;
}

Parsed<const XmlElement*> XmlElement::one(std::string_view name) const {
  TRY(const XmlElement* found, maybe(name));
  if (found == nullptr) return malformed_xml(fmt::format("{}: no {}", name_, name));
  return found;
}

std::vector<const XmlElement*> XmlElement::all(std::string_view name) const {
  std::vector<const XmlElement*> out;
  for (const XmlElement& child : children_)
    if (child.name_ == name) out.push_back(&child);
  return out;
}

Parsed<void> XmlElement::only(std::initializer_list<std::string_view> names) const {
  for (const XmlElement& child : children_)
    if (std::ranges::find(names, child.name_) == names.end())
      return malformed_xml(fmt::format("{}: unexpected element {}", name_, printable(child.name_)));
  return {};
}

std::string_view XmlElement::trimmed() const {
  std::string_view text = text_;
  while (!text.empty() && is_xml_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_xml_space(text.back())) text.remove_suffix(1);
  return text;
}

namespace {
Parsed<void> childless(const XmlElement& element) {
  if (element.children().empty()) return {};
  return malformed_xml(fmt::format("{}: elements where a value belongs", element.name()));
}
}  // namespace

Parsed<std::string> XmlElement::required_text(std::string_view name) const {
  TRY(const XmlElement* child, one(name));
  TRY_DO(childless(*child));
  return child->text_;
}

Parsed<std::optional<std::string>> XmlElement::optional_text(std::string_view name) const {
  TRY(const XmlElement* child, maybe(name));
  if (child == nullptr) return std::nullopt;
  TRY_DO(childless(*child));
  return child->text_;
}

Parsed<uint64_t> XmlElement::number() const {
  TRY_DO(childless(*this));
  const std::string_view digits = trimmed();
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.empty())
    return malformed_xml(fmt::format("{}: '{}' is not a number", name_, printable(digits)));
  return value;
}

Parsed<std::optional<uint64_t>> XmlElement::optional_number(std::string_view name) const {
  TRY(const XmlElement* child, maybe(name));
  if (child == nullptr) return std::nullopt;
  TRY(const uint64_t value, child->number());
  return value;
}

Parsed<bool> XmlElement::boolean() const {
  TRY_DO(childless(*this));
  std::string text(trimmed());
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (text == "true") return true;
  if (text == "false") return false;
  return malformed_xml(fmt::format("{}: '{}' is neither true nor false", name_, printable(text)));
}

Parsed<std::optional<bool>> XmlElement::optional_boolean(std::string_view name) const {
  TRY(const XmlElement* child, maybe(name));
  if (child == nullptr) return std::nullopt;
  TRY(const bool value, child->boolean());
  return value;
}

}  // namespace hailstone::s3proto
