#include "http/url.h"

#include <charconv>

#include "base/bytes.h"
#include "http/grammar.h"

namespace hailstone::http {
namespace {

bool is_host_char(char c, bool address) {
  const char l = lower(c);
  if ((l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_') return true;
  return address && (c == ':' || c == '%');
}

bool is_path_char(char c) { return c > 0x20 && c < 0x7f && c != '?' && c != '#' && c != '"' && c != '<' && c != '>'; }

}  // namespace

Result<BaseUrl> BaseUrl::parse(std::string_view text) {
  const auto invalid = [text](std::string_view why) {
    return fail(Code::Invalid, "URL " + printable(text) + ": " + std::string(why));
  };
  BaseUrl url;
  std::string_view rest = text;
  if (same_text(rest.substr(0, 7), "http://")) {
    rest.remove_prefix(7);
  } else if (same_text(rest.substr(0, 8), "https://")) {
    rest.remove_prefix(8);
    url.tls = true;
  } else {
    return invalid("must begin with http:// or https://");
  }
  const size_t slash = rest.find('/');
  std::string_view place = rest.substr(0, slash);
  std::string_view path = slash == std::string_view::npos ? std::string_view() : rest.substr(slash);
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  for (char c : path)
    if (!is_path_char(c)) return invalid("its path may hold neither a query nor a fragment nor spaces");
  url.path = path;

  const bool address = place.starts_with('[');
  const size_t host_end = address ? place.find(']') : place.find(':');
  if (address && host_end == std::string_view::npos) return invalid("the address has no closing bracket");
  url.host = place.substr(address ? 1 : 0, address ? host_end - 1 : host_end);
  place = host_end == std::string_view::npos ? std::string_view() : place.substr(host_end + (address ? 1 : 0));
  if (url.host.empty()) return invalid("has no host");
  for (char c : url.host)
    if (!is_host_char(c, address)) return invalid("is not a valid host");
  url.port = url.tls ? 443 : 80;
  if (!place.empty()) {
    const char* end = place.data() + place.size();
    const auto [last, error] = std::from_chars(place.data() + 1, end, url.port);
    if (place.front() != ':' || error != std::errc() || last != end || url.port == 0)
      return invalid("has no valid port");
  }
  return url;
}

std::string BaseUrl::host_port() const {
  const bool address = host.find(':') != std::string::npos;
  return (address ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string BaseUrl::authority() const {
  std::string out = host_port();
  if (port == (tls ? 443 : 80)) out.resize(out.rfind(':'));
  return out;
}

std::string BaseUrl::text() const { return (tls ? "https://" : "http://") + authority() + path; }

}  // namespace hailstone::http
