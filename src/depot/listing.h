// A directory of a release as HTML or JSON, and the token that ties its pages to one release. Pure.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "volume/contents.h"

namespace hailstone::depot {

struct ListingView {
  Bytes volume;
  Bytes name;    // as the client named it: "volume@stable"
  Bytes base;    // the same as an encoded path: "/volume@stable"
  Bytes prefix;  // the directory as the client named it: empty, or ends with '/'
  Bytes inner;   // the same after symbolic links: what the keys of `listing` begin with
  ReleaseNumber release;
  UnixMicros published;
  Bytes channel;            // empty on pinned paths
  volume::Listing listing;  // with delimiter "/"
  size_t limit = 0;
};
Bytes listing_html(const ListingView& view);
Bytes listing_json(const ListingView& view);

struct VolumeSummary {
  Bytes name;
  Bytes description;
  ReleaseNumber release;  // of the channel "current"; 0: none
  UnixMicros published;
};
Bytes volumes_html(std::span<const VolumeSummary> volumes);
Bytes volumes_json(std::span<const VolumeSummary> volumes);

/// Where the next page begins, and in which release.
struct PageToken {
  ReleaseNumber release;
  Bytes start_after;
  bool operator==(const PageToken&) const = default;
};
Bytes encode_token(const PageToken& token);
std::optional<PageToken> decode_token(ByteView text);

/// Whether an Accept field asks for JSON above HTML, or for JSON by name and not for HTML. Otherwise it is HTML:
/// whoever takes anything (wget -r) follows links.
bool prefers_json(std::optional<std::string_view> accept);

}  // namespace hailstone::depot
