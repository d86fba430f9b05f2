#include "s3proto/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "http/grammar.h"
#include "s3proto/utf8.h"

namespace hailstone::s3proto {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_letter(char c) { return is_lower(c) || (c >= 'A' && c <= 'Z'); }

std::unexpected<Failure> bad_uri(std::string_view what, std::string_view text) {
  return refuse(ErrorCode::InvalidURI,
                fmt::format("Couldn't parse the specified URI: {} in '{}'", what, printable(text)));
}

Parsed<std::string> decode(std::string_view raw) {
  Bytes out;
  if (!percent_decode(raw, out)) return bad_uri("malformed escape", raw);
  return out;
}

// "HOST[:PORT]" or "[v6]:PORT" -> the host in lower case, without a trailing dot.
std::string host_name(std::string_view host) {
  if (!host.starts_with('[')) host = host.substr(0, host.find(':'));
  if (host.ends_with('.')) host.remove_suffix(1);
  std::string out(host);
  for (char& c : out) c = http::lower(c);
  return out;
}

// The bucket part of a virtual host, nothing when no domain fits.
std::optional<std::string> bucket_of_host(std::string_view host, std::span<const std::string> domains) {
  const std::string name = host_name(host);
  size_t longest = 0;
  std::optional<std::string> bucket;
  for (const std::string& configured : domains) {
    const std::string domain = host_name(configured);
    if (domain.size() <= longest) continue;
    if (name == domain) {
      longest = domain.size();
      bucket.reset();
    } else if (name.size() > domain.size() + 1 && name.ends_with(domain) &&
               name[name.size() - domain.size() - 1] == '.') {
      longest = domain.size();
      bucket = name.substr(0, name.size() - domain.size() - 1);
    }
  }
  return bucket;
}

bool looks_like_ipv4(std::string_view name) {
  return std::ranges::count(name, '.') == 3 &&
         std::ranges::all_of(name, [](char c) { return is_digit(c) || c == '.'; });
}

// From 1, without leading zeros.
std::optional<uint64_t> positive(std::string_view digits) {
  if (digits.empty() || digits[0] == '0' || !std::ranges::all_of(digits, is_digit)) return std::nullopt;
  uint64_t value = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), value).ec != std::errc()) return std::nullopt;
  return value;
}

}  // namespace

Parsed<void> validate_key(ByteView key) {
  if (key.empty()) return refuse(ErrorCode::UserKeyMustBeSpecified, "the key is empty");
  if (key.size() > kKeyBytesMax)
    return refuse(ErrorCode::KeyTooLongError, {},
                  {{"Size", std::to_string(key.size())}, {"MaxSizeAllowed", std::to_string(kKeyBytesMax)}});
  if (key.find('\0') != key.npos) return bad_uri("NUL", key);
  if (!is_utf8(key)) return bad_uri("bytes that are not UTF-8", key);
  return {};
}

Parsed<ResourceName> parse_resource(std::string_view host, std::string_view raw_path,
                                    std::span<const std::string> domains) {
  if (!raw_path.starts_with('/')) return bad_uri("no leading '/'", raw_path);
  std::string_view rest = raw_path.substr(1);
  ResourceName out;
  if (auto bucket = bucket_of_host(host, domains)) {
    out.style = AddressStyle::VirtualHost;
    out.bucket = std::move(*bucket);
  } else {
    const size_t slash = rest.find('/');
    TRY(out.bucket, decode(rest.substr(0, slash)));
    rest = slash == rest.npos ? std::string_view() : rest.substr(slash + 1);
    if (out.bucket.empty() && raw_path != "/") return bad_uri("empty bucket name", raw_path);
  }
  TRY(out.key, decode(rest));
  if (!out.key.empty()) TRY_DO(validate_key(out.key));
  return out;
}

std::string BucketName::text() const {
  switch (kind) {
    case Kind::Head: return volume;
    case Kind::Draft: return fmt::format("{}--draft-{}", volume, number);
    case Kind::Release: return fmt::format("{}--{}", volume, number);
    case Kind::Label: return fmt::format("{}--{}", volume, label);
  }
  return volume;
}

Parsed<BucketName> parse_bucket(std::string_view name) {
  const auto bad = [&](std::string_view rule) {
    return refuse(ErrorCode::InvalidBucketName, fmt::format("The specified bucket is not valid: {}", rule),
                  {{"BucketName", printable(name)}});
  };
  const size_t cut = name.find("--");
  const std::string_view volume = name.substr(0, cut);
  if (volume.size() < 3 || volume.size() > 63) return bad("3 to 63 characters are needed");
  for (char c : volume)
    if (!is_lower(c) && !is_digit(c) && c != '-' && c != '.') return bad("only a-z, 0-9, '-' and '.' are allowed");
  for (char c : {volume.front(), volume.back()})
    if (c == '-' || c == '.') return bad("it must start and end with a letter or digit");
  if (volume.find("..") != volume.npos) return bad("'..' is not allowed");
  if (looks_like_ipv4(volume)) return bad("it looks like an IP address");

  BucketName out;
  out.volume = volume;
  if (cut == name.npos) return out;
  const std::string_view state = name.substr(cut + 2);
  if (state.starts_with("draft-")) {
    const auto number = positive(state.substr(6));
    if (!number) return bad("'--draft-' needs a number after it");
    out.kind = BucketName::Kind::Draft;
    out.number = *number;
  } else if (!state.empty() && is_digit(state[0])) {
    const auto number = positive(state);
    if (!number) return bad("what follows '--' is no release number");
    out.kind = BucketName::Kind::Release;
    out.number = *number;
  } else {
    if (state.empty() || state.size() > 63 || !is_letter(state[0]))
      return bad("'--' needs a release, draft or channel");
    for (char c : state)
      if (!is_letter(c) && !is_digit(c) && c != '.' && c != '_' && c != '-')
        return bad("a channel has only letters, digits, '.', '_' and '-'");
    out.kind = BucketName::Kind::Label;
    out.label = state;
  }
  return out;
}

Parsed<Query> Query::parse(std::string_view raw) {
  Query out;
  while (!raw.empty()) {
    const size_t end = raw.find('&');
    const std::string_view one = raw.substr(0, end);
    raw = end == raw.npos ? std::string_view() : raw.substr(end + 1);
    if (one.empty()) continue;
    const size_t equals = one.find('=');
    const auto field = [](std::string_view text) {
      std::string spaced(text);
      std::ranges::replace(spaced, '+', ' ');
      return decode(spaced);
    };
    TRY(std::string name, field(one.substr(0, equals)));
    TRY(std::string value, field(equals == one.npos ? std::string_view() : one.substr(equals + 1)));
    if (const std::string* before = out.find(name)) {
      if (*before != value)
        return refuse(ErrorCode::InvalidArgument, fmt::format("Query parameter '{}' is given twice", printable(name)),
                      {{"ArgumentName", printable(name)}});
      continue;
    }
    out.parameters_.emplace_back(std::move(name), std::move(value));
  }
  return out;
}

const std::string* Query::find(std::string_view name) const {
  for (const auto& [known, value] : parameters_)
    if (known == name) return &value;
  return nullptr;
}

std::optional<std::string_view> Query::get(std::string_view name) const {
  const std::string* value = find(name);
  if (value == nullptr) return std::nullopt;
  return *value;
}

Parsed<std::optional<uint64_t>> Query::number(std::string_view name, uint64_t max) const {
  const std::string* text = find(name);
  if (text == nullptr) return std::nullopt;
  uint64_t value = 0;
  const char* end = text->data() + text->size();
  const auto result = std::from_chars(text->data(), end, value);
  if (text->empty() || result.ec != std::errc() || result.ptr != end || value > max)
    return refuse(ErrorCode::InvalidArgument,
                  fmt::format("Argument {} must be an integer between 0 and {}, not '{}'", name, max, printable(*text)),
                  {{"ArgumentName", std::string(name)}, {"ArgumentValue", printable(*text)}});
  return value;
}

Parsed<CopySource> parse_copy_source(std::string_view value) {
  const auto bad = [&](std::string_view why) {
    return refuse(ErrorCode::InvalidArgument,
                  fmt::format("Copy Source must mention the source bucket and key: sourcebucket/sourcekey ({})", why),
                  {{"ArgumentName", "x-amz-copy-source"}, {"ArgumentValue", printable(value)}});
  };
  std::string_view rest = value;
  CopySource out;
  // The key's own '?' is sent as %3F.
  if (const size_t mark = rest.rfind('?'); mark != rest.npos) {
    constexpr std::string_view kVersion = "versionId=";
    const std::string_view query = rest.substr(mark + 1);
    if (!query.starts_with(kVersion)) return bad("only versionId may follow '?'");
    Bytes version;
    if (!percent_decode(query.substr(kVersion.size()), version) || version.empty()) return bad("bad versionId");
    out.version_id = std::move(version);
    rest = rest.substr(0, mark);
  }
  Bytes decoded;
  if (!percent_decode(rest, decoded)) return bad("malformed escape");
  std::string_view text = decoded;
  if (text.starts_with('/')) text.remove_prefix(1);
  if (text.starts_with("arn:"))
    return refuse(ErrorCode::NotImplemented, "copying from access points is not implemented");
  const size_t slash = text.find('/');
  if (slash == text.npos || slash == 0 || slash + 1 == text.size()) return bad("bucket or key is missing");
  out.bucket = text.substr(0, slash);
  out.key = text.substr(slash + 1);
  if (!validate_key(out.key)) return bad("the key is not valid");
  return out;
}

Parsed<KeyEncoding> parse_encoding_type(const Query& query) {
  const auto value = query.get("encoding-type");
  if (!value) return KeyEncoding::None;
  if (*value == "url") return KeyEncoding::Url;
  return refuse(ErrorCode::InvalidArgument, "Invalid Encoding Method specified in Request",
                {{"ArgumentName", "encoding-type"}, {"ArgumentValue", printable(*value)}});
}

}  // namespace hailstone::s3proto
