// Answers that point stock package managers at one release: mirrorlist and metalink. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/ids.h"

namespace hailstone::depot {

/// "http://host:port" from a Host field; nothing unless it is a plain host name, IPv4 or bracketed IPv6 address with an
/// optional port: it is echoed into answers.
std::optional<Bytes> origin_of(std::string_view host, bool secure);

/// Where a client that asks `base` ("/volume" or "/volume@channel") is sent: to the pinned release, and for what that
/// lacks to the channel itself, where releases in grace answer. The second matters to clients that read the list anew
/// while their indexes are of the release before: apt at each `install` or `download`, dnf before it fetches packages.
/// A request for a release has no channel: `base` is empty.
struct Pinned {
  Bytes volume;
  ReleaseNumber release;
  Bytes base;
};

/// A line for each, first the pinned release: the URL, which ends with '/', or that of `path` in it. For dnf's
/// `mirrorlist=`; for apt's `mirror+http` method, which would choose at random, with priorities.
enum class MirrorlistFor : uint8_t { Apt, Others };
Bytes mirrorlist(ByteView origin, const Pinned& pinned, ByteView path, MirrorlistFor client);

struct MetalinkFile {
  Bytes path;  // key in the release
  uint64_t bytes = 0;
  Hash256 sha256;
  UnixMicros time;  // of the release
};
/// Metalink 3.0 with MirrorManager's timestamp, as librepo reads it: one file, the pinned release's URL preferred.
Bytes metalink(ByteView origin, const Pinned& pinned, const MetalinkFile& file);

}  // namespace hailstone::depot
