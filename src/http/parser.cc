#include "http/parser.h"

#include <llhttp.h>

#include <cstring>

#include "http/grammar.h"

namespace hailstone::http {
namespace {

using Field = RequestHead::Field;

Parsed rejected(Reject reason) { return {Parsed::State::Rejected, 0, reason}; }

// What llhttp's callbacks collect from one complete head.
struct Collected {
  std::string_view url, reason;
  std::vector<Field>* fields = nullptr;
  bool complete = false;
};

Collected& collected(llhttp_t* parser) { return *static_cast<Collected*>(parser->data); }

int on_url(llhttp_t* parser, const char* at, size_t length) {
  collected(parser).url = {at, length};
  return 0;
}
int on_status(llhttp_t* parser, const char* at, size_t length) {
  collected(parser).reason = {at, length};
  return 0;
}
int on_field(llhttp_t* parser, const char* at, size_t length) {
  collected(parser).fields->push_back({{at, length}, {}});
  return 0;
}
int on_value(llhttp_t* parser, const char* at, size_t length) {
  collected(parser).fields->back().value = trim({at, length});
  return 0;
}
int on_headers_complete(llhttp_t* parser) {
  collected(parser).complete = true;
  return HPE_PAUSED;  // bodies are BodyDecoder's
}

const llhttp_settings_t& settings() {
  static const llhttp_settings_t kSettings = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_url = on_url;
    s.on_status = on_status;
    s.on_header_field = on_field;
    s.on_header_value = on_value;
    s.on_headers_complete = on_headers_complete;
    return s;
  }();
  return kSettings;
}

std::optional<std::string_view> find_field(const std::vector<Field>& fields, std::string_view name) {
  for (const Field& f : fields)
    if (same_text(f.name, name)) return f.value;
  return std::nullopt;
}

std::optional<Reject> parse_length(std::string_view text, std::optional<uint64_t>& length) {
  if (text.empty() || length) return Reject::BadContentLength;
  uint64_t value = 0;
  bool overflow = false;
  for (char c : text) {
    if (c < '0' || c > '9') return Reject::BadContentLength;
    overflow = overflow || value > (uint64_t{INT64_MAX} - 9) / 10;
    if (!overflow) value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  if (overflow) return Reject::LengthTooLarge;
  length = value;
  return std::nullopt;
}

// The fields that decide about framing and the life of the connection, the same for both directions.
struct Framing {
  std::optional<uint64_t> content_length;
  bool chunked = false;
  bool close = false, keep_alive = false;
};

std::optional<Reject> read_framing(const std::vector<Field>& fields, uint8_t minor_version, Framing& framing) {
  bool coded = false, unknown = false, twice = false;
  for (const Field& f : fields) {
    // Both names that matter here are long or start with 'c': skip the rest on their first letter.
    const char first = lower(f.name.front());
    if (first == 'c' && same_text(f.name, "content-length")) {
      if (auto bad = parse_length(f.value, framing.content_length)) return bad;
    } else if (first == 'c' && same_text(f.name, "connection")) {
      std::string_view list = f.value, token;
      while (next_element(list, token)) {
        framing.close = framing.close || same_text(token, "close");
        framing.keep_alive = framing.keep_alive || same_text(token, "keep-alive");
      }
    } else if (first == 't' && same_text(f.name, "transfer-encoding")) {
      coded = true;
      std::string_view list = f.value, token;
      while (next_element(list, token)) {
        if (!same_text(token, "chunked")) {
          unknown = true;
        } else {
          twice = twice || framing.chunked;
          framing.chunked = true;
        }
      }
    }
  }
  if (!coded) return std::nullopt;
  if (framing.content_length || minor_version == 0 || twice) return Reject::AmbiguousLength;
  if (unknown || !framing.chunked) return Reject::UnknownTransferCoding;
  return std::nullopt;
}

Method method_of(std::string_view text) {
  if (text == "GET") return Method::Get;
  if (text == "HEAD") return Method::Head;
  if (text == "PUT") return Method::Put;
  if (text == "POST") return Method::Post;
  if (text == "DELETE") return Method::Delete;
  if (text == "OPTIONS") return Method::Options;
  if (text == "PATCH") return Method::Patch;
  return Method::Other;
}

bool is_host(std::string_view host) {
  for (char c : host) {
    const bool plain = (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z');
    if (!plain && std::string_view("-._~!$&'()*+;=:[]%").find(c) == std::string_view::npos) return false;
  }
  return true;
}

// Splits the target, reduces absolute-form; the authority found there replaces Host (RFC 9112 §3.2.2).
std::optional<Reject> read_target(std::string_view target, RequestHead& head, std::string_view& authority) {
  if (target.empty()) return Reject::BadTarget;
  if (target == "*") {
    if (head.method != Method::Options) return Reject::BadTarget;
    head.target = head.path = target;
    head.query = {};
    return std::nullopt;
  }
  if (target.front() != '/') {
    const size_t scheme = target.find("://");
    if (scheme == std::string_view::npos) return Reject::BadTarget;
    if (!same_text(target.substr(0, scheme), "http") && !same_text(target.substr(0, scheme), "https"))
      return Reject::BadTarget;
    target.remove_prefix(scheme + 3);
    const size_t slash = target.find('/');
    authority = target.substr(0, slash);
    if (authority.empty() || authority.find_first_of("?#@") != std::string_view::npos || !is_host(authority))
      return Reject::BadTarget;
    target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
  }
  for (char c : target) {
    const auto u = static_cast<unsigned char>(c);
    if (u <= 0x20 || u >= 0x7f || c == '#') return Reject::BadTarget;
  }
  const size_t question = target.find('?');
  head.target = target;
  head.path = target.substr(0, question);
  head.query = question == std::string_view::npos ? std::string_view() : target.substr(question + 1);
  return std::nullopt;
}

std::optional<Reject> read_host(RequestHead& head, uint8_t minor_version, std::string_view authority) {
  Field* host = nullptr;
  for (Field& f : head.fields) {
    if (!same_text(f.name, "host")) continue;
    if (host != nullptr || !is_host(f.value)) return Reject::BadHost;
    host = &f;
  }
  if (host == nullptr) return minor_version >= 1 ? std::optional(Reject::BadHost) : std::nullopt;
  if (!authority.empty()) host->value = authority;
  return std::nullopt;
}

// The request line's shape, so that each way of being wrong has its own reason: llhttp tells too few of them apart.
std::optional<Reject> check_request_line(std::string_view line) {
  const size_t first = line.find(' ');
  const std::string_view method = line.substr(0, first);
  if (!is_token(method)) return Reject::BadRequestLine;
  if (first == std::string_view::npos) return Reject::BadRequestLine;
  const std::string_view rest = line.substr(first + 1);
  const size_t last = rest.rfind(' ');
  if (last == std::string_view::npos || last == 0) return Reject::BadRequestLine;
  const std::string_view version = rest.substr(last + 1);
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (version.size() != 8 || version.substr(0, 5) != "HTTP/" || !digit(version[5]) || version[6] != '.' ||
      !digit(version[7]))
    return Reject::BadRequestLine;
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return Reject::UnsupportedVersion;
  for (char c : rest.substr(0, last)) {
    const auto u = static_cast<unsigned char>(c);
    if (u <= 0x20 || u >= 0x7f) return Reject::BadTarget;
  }
  if (method == "CONNECT") return Reject::UnknownMethod;
  return std::nullopt;
}

Reject reason_of(const llhttp_t& parser) {
  switch (llhttp_get_errno(&parser)) {
    case HPE_INVALID_METHOD: return Reject::UnknownMethod;
    case HPE_INVALID_URL: return Reject::BadTarget;
    case HPE_INVALID_VERSION: return Reject::UnsupportedVersion;
    case HPE_INVALID_CONTENT_LENGTH: return Reject::BadContentLength;
    case HPE_INVALID_TRANSFER_ENCODING: return Reject::UnknownTransferCoding;
    case HPE_INVALID_CONSTANT:
    case HPE_INVALID_STATUS: return Reject::BadRequestLine;
    default: return Reject::BadField;
  }
}

// llhttp gives one reason to "two lengths" and "length with coding"; the fields it has collected so far don't help, for
// it stops inside the second. Both are 400, so the text is all that differs.
Reject length_conflict(std::string_view head_bytes) {
  for (size_t at = 0; (at = head_bytes.find('\n', at)) != std::string_view::npos;)
    if (same_text(head_bytes.substr(++at, 18), "transfer-encoding:")) return Reject::AmbiguousLength;
  return Reject::BadContentLength;
}

// Runs llhttp over one complete head.
std::optional<Reject> run(llhttp_t& parser, llhttp_type type, std::string_view head_bytes, Collected& out) {
  llhttp_init(&parser, type, &settings());
  parser.data = &out;
  out.fields->clear();
  const llhttp_errno_t outcome = llhttp_execute(&parser, head_bytes.data(), head_bytes.size());
  if (out.complete && (outcome == HPE_PAUSED || outcome == HPE_OK)) {
    // llhttp lets ": value" pass.
    for (const Field& f : *out.fields)
      if (f.name.empty()) return Reject::BadField;
    return std::nullopt;
  }
  if (outcome == HPE_UNEXPECTED_CONTENT_LENGTH) return length_conflict(head_bytes);
  if (outcome == HPE_OK || outcome == HPE_PAUSED) return Reject::BadField;
  return reason_of(parser);
}

/// What can't become a head is refused now, not after a timeout: a TLS hello sent to a plain port, say.
bool no_head_begins_with(std::string_view line) {
  return !line.empty() && line.front() != '\r' && !is_token_char(line.front());
}

}  // namespace

int status_of(Reject reason) {
  switch (reason) {
    case Reject::HeadTimeout: return 408;
    case Reject::LengthTooLarge: return 413;
    case Reject::TargetTooLong: return 414;
    case Reject::UnknownExpectation: return 417;
    case Reject::HeadTooLarge:
    case Reject::TooManyFields: return 431;
    case Reject::UnknownMethod:
    case Reject::UnknownTransferCoding: return 501;
    case Reject::UnsupportedVersion: return 505;
    default: return 400;
  }
}

std::string_view reject_text(Reject reason) {
  switch (reason) {
    case Reject::BadRequestLine: return "malformed request line";
    case Reject::BadTarget: return "malformed request target";
    case Reject::BadField: return "malformed header field";
    case Reject::BareLineFeed: return "bare line feed";
    case Reject::BareCarriageReturn: return "bare carriage return";
    case Reject::FoldedField: return "folded header field";
    case Reject::BadHost: return "missing, repeated or malformed Host";
    case Reject::BadContentLength: return "malformed or repeated Content-Length";
    case Reject::AmbiguousLength: return "ambiguous message length";
    case Reject::BadChunk: return "malformed chunk";
    case Reject::BadTrailer: return "malformed trailer field";
    case Reject::HeadTimeout: return "request head took too long";
    case Reject::LengthTooLarge: return "Content-Length too large";
    case Reject::TargetTooLong: return "request target too long";
    case Reject::UnknownExpectation: return "unknown expectation";
    case Reject::HeadTooLarge: return "request head too large";
    case Reject::TooManyFields: return "too many header fields";
    case Reject::UnknownMethod: return "unknown method";
    case Reject::UnknownTransferCoding: return "unknown transfer coding";
    case Reject::UnsupportedVersion: return "unsupported HTTP version";
  }
  return "malformed request";
}

Parsed HeadScanner::scan(ByteView buffer, const HeadLimits& limits) {
  const ByteView window = buffer.substr(0, size_t{limits.bytes_max} + blank_);
  while (scanned_ < window.size()) {
    const void* found = std::memchr(window.data() + scanned_, '\n', window.size() - scanned_);
    if (found == nullptr) break;
    const size_t feed = static_cast<size_t>(static_cast<const char*>(found) - window.data());
    const ByteView line = window.substr(line_start_, feed - line_start_);  // ends in CR, or is wrong
    if (lines_ == 0 && no_head_begins_with(line)) return rejected(Reject::BadRequestLine);
    if (line.empty() || line.back() != '\r') return rejected(Reject::BareLineFeed);
    if (line.find('\r') != line.size() - 1) return rejected(Reject::BareCarriageReturn);
    scanned_ = line_start_ = feed + 1;
    if (line.size() == 1) {
      if (lines_ > 0) return {Parsed::State::Done, feed + 1, {}};
      if (blank_ > 0) return rejected(Reject::BadRequestLine);
      blank_ = feed + 1;
      continue;
    }
    if (lines_ > 0 && is_space(line.front())) return rejected(Reject::FoldedField);
    ++lines_;
    if (lines_ > size_t{limits.fields_max} + 1) return rejected(Reject::TooManyFields);
  }
  scanned_ = window.size();
  if (lines_ == 0 && no_head_begins_with(window.substr(line_start_))) return rejected(Reject::BadRequestLine);
  if (buffer.size() - blank_ >= limits.bytes_max)
    return rejected(lines_ == 0 ? Reject::TargetTooLong : Reject::HeadTooLarge);
  return {};
}

Parsed RequestParser::parse(ByteView buffer, RequestHead& head) {
  const Parsed found = scanner_.scan(buffer, limits_);
  if (found.state != Parsed::State::Done) return found;
  std::string_view bytes = buffer.substr(0, found.head_bytes);
  if (bytes.front() == '\r') bytes.remove_prefix(2);
  const std::string_view line = bytes.substr(0, bytes.find('\r'));
  if (auto bad = check_request_line(line)) return rejected(*bad);

  head.method_text = line.substr(0, line.find(' '));
  head.method = method_of(head.method_text);
  llhttp_t parser;
  Collected out{.fields = &head.fields};
  if (auto bad = run(parser, HTTP_REQUEST, bytes, out)) return rejected(*bad);
  head.minor_version = parser.http_minor;

  std::string_view authority;
  if (auto bad = read_target(out.url, head, authority)) return rejected(*bad);
  Framing framing;
  if (auto bad = read_framing(head.fields, head.minor_version, framing)) return rejected(*bad);
  if (auto bad = read_host(head, head.minor_version, authority)) return rejected(*bad);
  head.content_length = framing.content_length;
  head.chunked = framing.chunked;
  head.keep_alive = !framing.close && (head.minor_version >= 1 || framing.keep_alive);
  head.expects_continue = false;
  for (const Field& f : head.fields) {
    if (head.minor_version == 0 || !same_text(f.name, "expect")) continue;
    if (!same_text(f.value, "100-continue")) return rejected(Reject::UnknownExpectation);
    head.expects_continue = head.chunked || head.content_length.value_or(0) > 0;
  }
  return found;
}

std::optional<std::string_view> ResponseHead::field(std::string_view name) const { return find_field(fields, name); }

std::optional<std::string_view> RequestHead::field(std::string_view name) const { return find_field(fields, name); }

Parsed ResponseParser::parse(ByteView buffer, ResponseHead& head) {
  const Parsed found = scanner_.scan(buffer, limits_);
  if (found.state != Parsed::State::Done) return found;
  const std::string_view bytes = buffer.substr(0, found.head_bytes);
  if (bytes.substr(0, 7) != "HTTP/1.") return rejected(Reject::UnsupportedVersion);
  llhttp_t parser;
  Collected out{.fields = &head.fields};
  if (auto bad = run(parser, HTTP_RESPONSE, bytes, out)) return rejected(*bad);
  head.status = parser.status_code;
  head.reason = out.reason;
  head.minor_version = parser.http_minor;
  Framing framing;
  if (auto bad = read_framing(head.fields, head.minor_version, framing)) return rejected(*bad);
  head.content_length = framing.content_length;
  head.chunked = framing.chunked;
  head.keep_alive = !framing.close && (head.minor_version >= 1 || framing.keep_alive);
  return found;
}

}  // namespace hailstone::http
