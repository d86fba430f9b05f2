// A volume's releases as an Atom feed (RFC 4287).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"

namespace hailstone::publish {

struct FeedLink {
  Bytes relation;  // "alternate", "self", "related" ... (RFC 4287 §4.2.7.2)
  Bytes href;      // an IRI, encoded already
  Bytes type;      // media type, or empty
};

struct FeedRelease {
  ReleaseNumber number;
  UnixMicros time;
  Bytes author;                                  // may be empty
  Bytes message;                                 // plain text; its first line becomes part of the title
  uint64_t added = 0, changed = 0, removed = 0;  // keys
  std::vector<FeedLink> links;
};

struct Feed {
  Bytes id;            // permanent IRI of the feed: never changes with the host's name ("urn:uuid:...")
  Bytes title;         // the volume's name
  UnixMicros updated;  // said of a feed without releases; otherwise the newest release's time
  std::vector<FeedLink> links;
};

/// UTF-8 XML. `releases` in the order they shall appear, newest first by custom; an entry's id is "<feed
/// id>/release/<number>". Any byte string is fine as text: what XML or UTF-8 can't carry comes out as U+FFFD.
Bytes atom_feed(const Feed& feed, std::span<const FeedRelease> releases);

/// Text for XML content or a quoted attribute value.
Bytes xml_escape(ByteView text);

}  // namespace hailstone::publish
