#include "publish/deb822.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/clock.h"
#include "publish/paths.h"

namespace hailstone::publish {
namespace {

constexpr ByteView kSpace = " \t\r\n";

ByteView trim(ByteView text) {
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

bool equal_any_case(ByteView a, ByteView b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

/// Takes the next line off `text`, without its end.
ByteView take_line_of(ByteView& text) {
  const size_t end = text.find('\n');
  ByteView line = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// Takes the next word off `text`.
ByteView take_word(ByteView& text) {
  text = trim(text);
  const ByteView word = text.substr(0, text.find_first_of(kSpace));
  text.remove_prefix(word.size());
  return word;
}

Result<ListedFile> parse_listed_file(ByteView line) {
  ByteView rest = line;
  const ByteView hash = take_word(rest), size = take_word(rest), name = trim(rest);
  const auto sha256 = Hash256::parse_hex(hash);
  ListedFile file;
  const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), file.bytes);
  const auto path = relative_path("", name);
  if (!sha256 || error != std::errc() || end != size.data() + size.size() || !path)
    return fail(Code::Invalid, fmt::format("\"{}\" is not a SHA-256, a size and a relative path", printable(line)));
  file.sha256 = *sha256;
  file.name = *path;
  return file;
}

Result<std::optional<int64_t>> date_field(const Paragraph& paragraph, std::string_view name) {
  const auto text = paragraph.field(name);
  if (!text) return std::nullopt;
  const auto time = parse_apt_date(*text);
  if (!time) return fail(Code::Invalid, fmt::format("{} \"{}\" is not a date in UTC", name, printable(*text)));
  return time;
}

}  // namespace

std::optional<ByteView> Paragraph::field(std::string_view name) const {
  ByteView rest = lines_;
  while (!rest.empty()) {
    const ByteView line = take_line_of(rest);
    if (line.size() <= name.size() || line[name.size()] != ':' || !equal_any_case(line.substr(0, name.size()), name))
      continue;
    const char* begin = line.data() + name.size() + 1;
    while (rest.starts_with(' ') || rest.starts_with('\t')) take_line_of(rest);
    const char* end = rest.empty() ? lines_.data() + lines_.size() : rest.data();
    return trim(ByteView(begin, static_cast<size_t>(end - begin)));
  }
  return {};
}

Result<void> ParagraphParser::feed(ByteView bytes) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    line_ += bytes.substr(0, end);
    if (lines_.size() + line_.size() > kParagraphBytesMax)
      return fail(Code::Invalid, fmt::format("a paragraph is larger than {} bytes", kParagraphBytesMax));
    if (end == bytes.npos) return {};
    bytes.remove_prefix(end + 1);
    TRY_DO(take_line());
  }
  return {};
}

Result<void> ParagraphParser::take_line() {
  if (trim(line_).empty()) {
    line_.clear();
    return emit();
  }
  lines_ += line_;
  lines_ += '\n';
  line_.clear();
  return {};
}

Result<void> ParagraphParser::emit() {
  if (lines_.empty()) return {};
  return visit_(Paragraph(std::exchange(lines_, {})));
}

Result<void> ParagraphParser::finish() {
  TRY_DO(take_line());
  return emit();
}

Result<std::vector<ListedFile>> parse_listed_files(ByteView lines) {
  std::vector<ListedFile> files;
  while (!lines.empty()) {
    const ByteView line = trim(take_line_of(lines));
    if (line.empty()) continue;
    TRY(ListedFile file, parse_listed_file(line));
    files.push_back(std::move(file));
  }
  return files;
}

Result<AptRelease> parse_apt_release(ByteView text) {
  std::optional<AptRelease> release;
  ParagraphParser parser([&](const Paragraph& paragraph) -> Result<void> {
    if (release) return fail(Code::Invalid, "more than one paragraph");
    release.emplace();
    TRY(release->date, date_field(paragraph, "Date"));
    TRY(release->valid_until, date_field(paragraph, "Valid-Until"));
    if (const auto files = paragraph.field("SHA256")) {
      TRY(release->files, parse_listed_files(*files));
    } else {
      release->lists_weak_only = paragraph.field("MD5Sum").has_value() || paragraph.field("SHA1").has_value();
    }
    return {};
  });
  TRY_DO(parser.feed(text));
  TRY_DO(parser.finish());
  if (!release) return fail(Code::Invalid, "is empty");
  return *std::move(release);
}

Result<Bytes> clear_signed_text(ByteView message) {
  constexpr ByteView kBegin = "-----BEGIN PGP SIGNED MESSAGE-----";
  constexpr ByteView kSignature = "-----BEGIN PGP SIGNATURE-----";
  constexpr ByteView kEnd = "-----END PGP SIGNATURE-----";
  if (trim(take_line_of(message)) != kBegin)
    return fail(Code::Invalid, "does not begin with \"-----BEGIN PGP SIGNED MESSAGE-----\"");
  while (!message.empty() && !trim(take_line_of(message)).empty()) {  // Hash: headers, up to the empty line
  }
  Bytes text;
  for (;;) {
    if (message.empty()) return fail(Code::Invalid, "has no signature after the signed text");
    ByteView line = take_line_of(message);
    if (trim(line) == kSignature) break;
    if (line.starts_with("- "))
      line.remove_prefix(2);
    else if (line.starts_with("-----"))
      return fail(Code::Invalid, fmt::format("has \"{}\" in its signed text", printable(line)));
    text += line;
    text += '\n';
  }
  for (bool ended = false; !message.empty();) {
    const ByteView line = trim(take_line_of(message));
    if (ended && !line.empty()) return fail(Code::Invalid, "has something after its signature");
    if (line == kEnd) ended = true;
    if (message.empty() && !ended) return fail(Code::Invalid, "ends within its signature");
  }
  return text;
}

std::optional<int64_t> parse_apt_date(ByteView text) {
  Bytes normal(trim(text));
  for (ByteView zone : {" UTC", " +0000", " Z"})
    if (normal.ends_with(zone)) normal.replace(normal.size() - zone.size(), zone.size(), " GMT");
  // "Sat,  1 Feb" or "Sat, 1 Feb"
  if (normal.size() > 6 && normal[4] == ' ') {
    if (normal[5] == ' ')
      normal[5] = '0';
    else if (normal[6] == ' ')
      normal.insert(5, "0");
  }
  int64_t seconds = 0;
  if (!parse_http_date(normal, seconds)) return {};
  return seconds;
}

}  // namespace hailstone::publish
