#include "depot/listing.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "base/codec.h"
#include "depot/json_text.h"
#include "depot/page.h"
#include "http/accept.h"

namespace hailstone::depot {
namespace {

std::string_view kind_name(volume::Kind kind) {
  switch (kind) {
    case volume::Kind::File: return "file";
    case volume::Kind::Symlink: return "symlink";
    case volume::Kind::Directory: return "directory";
    case volume::Kind::Fifo: return "fifo";
    case volume::Kind::CharDevice: return "char_device";
    case volume::Kind::BlockDevice: return "block_device";
  }
  return "unknown";
}

UnixMicros modified(const volume::Entry& entry) {
  const int64_t ns = entry.modified_ns;
  return UnixMicros{ns >= 0 ? ns / 1000 : -((-ns + 999) / 1000)};
}

// Names as the listing shows them: below the directory. Empty for the directory's own metadata and the root's "./".
ByteView shown_name(const ListingView& view, ByteView key) {
  const ByteView name = key.substr(std::min(view.inner.size(), key.size()));
  return name == "./" ? ByteView() : name;
}

// A browser would resolve dot segments away: such a key has no path.
bool has_path(ByteView name) { return name != "." && name != ".." && name != "../"; }

Bytes cell(const ListingView& view, ByteView name, std::string_view note) {
  if (!has_path(name)) return fmt::format("<td>{}{}</td>", escape(name), note);
  return fmt::format("<td><a href=\"{}/{}{}\">{}</a>{}</td>", view.base, percent_encode_path(view.prefix),
                     percent_encode_path(name), escape(name), note);
}

Bytes next_page(const ListingView& view) {
  return fmt::format("{}/{}?limit={}&page={}", view.base, percent_encode_path(view.prefix), view.limit,
                     percent_encode(encode_token({view.release, *view.listing.next})));
}

}  // namespace

Bytes listing_html(const ListingView& view) {
  Bytes rows;
  for (const Bytes& directory : view.listing.prefixes) {
    const ByteView name = shown_name(view, directory);
    if (name.empty()) continue;
    rows += fmt::format("<tr>{}<td class=\"number\"></td><td class=\"number when\"></td></tr>\n", cell(view, name, ""));
  }
  for (const auto& [key, entry] : view.listing.entries) {
    const ByteView name = shown_name(view, key);
    if (name.empty()) continue;
    Bytes note;
    if (entry.kind == volume::Kind::Symlink)
      note = fmt::format(" <span class=\"soft\">→ {}</span>", escape(entry.content.inlined));
    const bool sized = entry.kind == volume::Kind::File;
    const UnixMicros when = modified(entry);
    rows += fmt::format(
        "<tr>{}<td class=\"number\">{}</td><td class=\"number when\"><time datetime=\"{}\">{}</time></td></tr>\n",
        cell(view, name, note),
        sized ? fmt::format("<data value=\"{}\">{}</data>", entry.content.bytes, human_size(entry.content.bytes)) : "",
        format_iso8601(when), human_time(when));
  }
  Bytes main = fmt::format(
      "<table>\n<thead><tr><th scope=\"col\">Name</th><th scope=\"col\" class=\"number\">Size</th>"
      "<th scope=\"col\" class=\"number when\">Modified (UTC)</th></tr></thead>\n<tbody>\n{}</tbody>\n</table>\n",
      rows);
  if (rows.empty()) main += "<p class=\"soft\">Nothing here.</p>\n";
  if (view.listing.next)
    main += fmt::format("<p><a rel=\"next\" href=\"{}\">Next page</a></p>\n", escape(next_page(view)));
  const Bytes pinned = fmt::format("/{}@{}", percent_encode(view.volume), view.release.value);
  Page page;
  page.title = view.prefix.empty() ? view.volume : view.prefix;
  page.crumbs = crumbs_of(view.base, view.name, view.prefix);
  page.search = view.base + "/-/search";
  page.main = std::move(main);
  page.footer = fmt::format(
      "Release <a href=\"{0}/{1}\">{2}</a>{3} · <time datetime=\"{4}\">{5} UTC</time> · <a "
      "href=\"?format=json\">JSON</a>",
      pinned, percent_encode_path(view.prefix), view.release.value,
      view.channel.empty() ? "" : fmt::format(" · channel {}", escape(view.channel)), format_iso8601(view.published),
      human_time(view.published));
  return render(page);
}

Bytes listing_json(const ListingView& view) {
  Json out;
  out["volume"] = view.volume;
  out["release"] = view.release.value;
  if (!view.channel.empty()) out["channel"] = view.channel;
  set_text(out, "path", view.prefix);
  Json entries = Json::array();
  for (const Bytes& directory : view.listing.prefixes) {
    const ByteView name = shown_name(view, directory);
    if (name.empty()) continue;
    Json item;
    set_text(item, "name", name);
    item["kind"] = "directory";
    entries.push_back(std::move(item));
  }
  for (const auto& [key, entry] : view.listing.entries) {
    const ByteView name = shown_name(view, key);
    if (name.empty()) continue;
    Json item;
    set_text(item, "name", name);
    item["kind"] = kind_name(entry.kind);
    item["modified"] = format_iso8601(modified(entry));
    if (entry.kind == volume::Kind::File) {
      item["bytes"] = entry.content.bytes;
      item["sha256"] = entry.content.sha256.hex();
    }
    if (entry.kind == volume::Kind::Symlink) set_text(item, "target", entry.content.inlined);
    entries.push_back(std::move(item));
  }
  out["entries"] = std::move(entries);
  if (view.listing.next) out["next"] = encode_token({view.release, *view.listing.next});
  return out.dump() + "\n";
}

Bytes volumes_html(std::span<const VolumeSummary> volumes) {
  Bytes rows;
  for (const VolumeSummary& v : volumes) {
    const Bytes release =
        v.release ? fmt::format("<a href=\"/{}@{}/\">{}</a>", percent_encode(v.name), v.release.value, v.release.value)
                  : Bytes("none yet");
    const Bytes when =
        v.release ? fmt::format("<time datetime=\"{}\">{}</time>", format_iso8601(v.published), human_time(v.published))
                  : Bytes();
    rows += fmt::format(
        "<tr><td><a href=\"/{}/\">{}</a> <span class=\"soft\">{}</span></td><td class=\"number\">{}</td>"
        "<td class=\"number when\">{}</td></tr>\n",
        percent_encode(v.name), escape(v.name), escape(v.description), release, when);
  }
  Page page;
  page.title = "Volumes";
  page.crumbs = {{"Volumes", ""}};
  page.main = fmt::format(
      "<table>\n<thead><tr><th scope=\"col\">Name</th><th scope=\"col\" class=\"number\">Release</th>"
      "<th scope=\"col\" class=\"number when\">Published (UTC)</th></tr></thead>\n<tbody>\n{}</tbody>\n</table>\n",
      rows);
  if (rows.empty()) page.main += "<p class=\"soft\">No volume is open to you here.</p>\n";
  page.footer = "Hailstone · <a href=\"?format=json\">JSON</a>";
  return render(page);
}

Bytes volumes_json(std::span<const VolumeSummary> volumes) {
  Json list = Json::array();
  for (const VolumeSummary& v : volumes) {
    Json item;
    item["name"] = v.name;
    if (!v.description.empty()) set_text(item, "description", v.description);
    if (v.release) {
      item["release"] = v.release.value;
      item["published"] = format_iso8601(v.published);
    }
    list.push_back(std::move(item));
  }
  Json out;
  out["volumes"] = std::move(list);
  return out.dump() + "\n";
}

Bytes encode_token(const PageToken& token) {
  Bytes bytes;
  Encoder encoder(bytes);
  encoder.varint(token.release.value);
  encoder.raw(token.start_after);
  return to_base64(bytes);
}

std::optional<PageToken> decode_token(ByteView text) {
  Bytes bytes;
  if (!from_base64(text, bytes)) return std::nullopt;
  Decoder in(bytes);
  PageToken out;
  out.release = ReleaseNumber(in.varint());
  if (!in.ok() || !out.release) return std::nullopt;
  out.start_after = in.rest();
  return out;
}

bool prefers_json(std::optional<std::string_view> accept) {
  if (!accept) return false;
  const uint32_t json = http::media_quality(accept, "application/json");
  const uint32_t html = http::media_quality(accept, "text/html");
  if (json != html) return json > html;
  return json > 0 && accept->find("application/json") != accept->npos && accept->find("text/html") == accept->npos;
}

}  // namespace hailstone::depot
