#include "publish/feed.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "publish/utf8.h"

namespace hailstone::publish {
namespace {

constexpr ByteView kReplacement = "\xef\xbf\xbd";  // U+FFFD
constexpr size_t kTitleBytesMax = 120;

/// XML 1.0 §2.2.
bool xml_carries(uint32_t point) {
  return point == '\t' || point == '\n' || point == '\r' || (point >= 0x20 && point != 0xfffe && point != 0xffff);
}

void add_link(Bytes& out, ByteView indent, const FeedLink& link) {
  out += fmt::format("{}<link rel=\"{}\" href=\"{}\"", indent, xml_escape(link.relation), xml_escape(link.href));
  if (!link.type.empty()) out += fmt::format(" type=\"{}\"", xml_escape(link.type));
  out += "/>\n";
}

Bytes title_of(const FeedRelease& release) {
  ByteView line = ByteView(release.message).substr(0, release.message.find('\n'));
  Bytes title = fmt::format("Release {}", release.number.value);
  if (line.empty()) return title;
  const bool cut = line.size() > kTitleBytesMax;
  if (cut) {
    size_t end = kTitleBytesMax;
    while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xc0) == 0x80) --end;  // not within a character
    line = line.substr(0, end);
  }
  return title + ": " + Bytes(line) + (cut ? "..." : "");
}

void add_entry(Bytes& out, const Feed& feed, const FeedRelease& release) {
  const Bytes time = format_iso8601(release.time);
  out += "  <entry>\n";
  out += fmt::format("    <id>{}/release/{}</id>\n", xml_escape(feed.id), release.number.value);
  out += fmt::format("    <title>{}</title>\n", xml_escape(title_of(release)));
  out += fmt::format("    <updated>{}</updated>\n    <published>{}</published>\n", time, time);
  // RFC 4287 §4.1.2: an entry has an author; its name must not be empty.
  out += fmt::format("    <author><name>{}</name></author>\n",
                     release.author.empty() ? "unknown" : xml_escape(release.author));
  for (const FeedLink& link : release.links) add_link(out, "    ", link);
  out += fmt::format("    <summary>{} added, {} changed, {} removed</summary>\n", release.added, release.changed,
                     release.removed);
  if (!release.message.empty())
    out += fmt::format("    <content type=\"text\">{}</content>\n", xml_escape(release.message));
  out += "  </entry>\n";
}

}  // namespace

Bytes xml_escape(ByteView text) {
  Bytes out;
  out.reserve(text.size());
  while (!text.empty()) {
    const ByteView before = text;
    const auto point = take_code_point(text);
    if (!point || !xml_carries(*point)) {
      out += kReplacement;
      continue;
    }
    switch (*point) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      case '\r': out += "&#13;"; break;  // a parser would make it a line feed (XML 1.0 §2.11)
      default: out += before.substr(0, before.size() - text.size());
    }
  }
  return out;
}

Bytes atom_feed(const Feed& feed, std::span<const FeedRelease> releases) {
  UnixMicros updated = releases.empty() ? feed.updated : releases[0].time;
  for (const FeedRelease& release : releases) updated = std::max(updated, release.time);
  Bytes out = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n";
  out += fmt::format("  <id>{}</id>\n  <title>{}</title>\n  <updated>{}</updated>\n", xml_escape(feed.id),
                     xml_escape(feed.title), format_iso8601(updated));
  for (const FeedLink& link : feed.links) add_link(out, "  ", link);
  for (const FeedRelease& release : releases) add_entry(out, feed, release);
  out += "</feed>\n";
  return out;
}

}  // namespace hailstone::publish
