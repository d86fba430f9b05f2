#include "depot/path.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/clock.h"
#include "volume/records.h"

namespace hailstone::depot {
namespace {

// The path without its "." segments; Invalid when it has a ".." segment.
Result<Bytes> without_dots(Bytes path) {
  if (path.find("/.") == Bytes::npos) return path;
  Bytes out;
  ByteView rest = path;
  while (!rest.empty()) {  // `rest` begins with the slash before a segment
    const size_t end = rest.find('/', 1);
    const ByteView segment = rest.substr(1, end == ByteView::npos ? end : end - 1);
    const bool last = end == ByteView::npos;
    rest.remove_prefix(last ? rest.size() : end);
    if (segment == "..") return fail(Code::Invalid, "path has a '..' segment");
    if (segment != ".") {
      out.append("/").append(segment);
    } else if (last) {
      out.append("/");
    }
  }
  return out;
}

Result<Selector> parse_selector(ByteView text) {
  Selector out;
  out.text = text;
  if (!text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; })) {
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || text.front() == '0')
      return fail(Code::Invalid, fmt::format("'{}' is not a release number", printable(text)));
    out.kind = Selector::Kind::Number;
    out.number = ReleaseNumber(number);
    return out;
  }
  if (parse_iso8601(text, out.time)) {
    out.kind = Selector::Kind::Time;
    return out;
  }
  if (!volume::validate_label("selector", text))
    return fail(Code::Invalid, fmt::format("'@{}' is not a release number, channel, tag or time", printable(text)));
  out.kind = Selector::Kind::Name;
  return out;
}

}  // namespace

Result<Path> parse_path(std::string_view encoded) {
  Bytes decoded;
  if (!percent_decode(encoded, decoded)) return fail(Code::Invalid, "path has a malformed percent escape");
  if (decoded.empty() || decoded.front() != '/') return fail(Code::Invalid, "path does not begin with '/'");
  if (decoded.find('\0') != Bytes::npos) return fail(Code::Invalid, "path has a NUL byte");
  TRY(const Bytes clean, without_dots(std::move(decoded)));
  Path out;
  if (clean == "/") return out;
  const ByteView path = ByteView(clean).substr(1);
  const size_t slash = path.find('/');
  const ByteView name = path.substr(0, slash);
  const size_t at = name.find('@');
  out.volume = name.substr(0, at);
  if (out.volume.empty()) return fail(Code::Invalid, "path names no volume");
  if (at != ByteView::npos) {
    TRY(out.selector, parse_selector(name.substr(at + 1)));
  }
  if (slash == ByteView::npos) {
    out.kind = Path::Kind::Volume;
    return out;
  }
  out.kind = Path::Kind::Key;
  out.key = path.substr(slash + 1);
  if (out.key.starts_with("-/")) {
    out.kind = Path::Kind::Endpoint;
    out.key.erase(0, 2);
  }
  return out;
}

Bytes encode_base(ByteView volume, const Selector& selector) {
  Bytes out = "/" + percent_encode(volume);
  if (selector.kind != Selector::Kind::None) out += "@" + percent_encode(selector.text);
  return out;
}

Bytes encode_base(ByteView volume, ReleaseNumber release) {
  return fmt::format("/{}@{}", percent_encode(volume), release.value);
}

}  // namespace hailstone::depot
