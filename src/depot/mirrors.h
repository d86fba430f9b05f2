// Answers that point stock package managers at one release: mirrorlist and metalink. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/ids.h"

namespace hailstone::depot {

/// "http://host:port" from a Host field; nothing unless it is a plain host name, IPv4 or bracketed IPv6 address with an
/// optional port: it is echoed into answers.
std::optional<Bytes> origin_of(std::string_view host, bool secure);

/// One line: the URL of the pinned release, which ends with '/', or of `path` in it. For apt's `mirror+http` method and
/// dnf's `mirrorlist=`.
Bytes mirrorlist(ByteView origin, ByteView volume, ReleaseNumber release, ByteView path);

/// The same for apt, whose later `install` or `download` reads the list anew while its indexes are of the release that
/// an earlier `update` was pinned to: a second line of lower priority names the channel (`base`, "/volume" as asked),
/// where releases in grace answer for files that the newest one lacks. Only what the pinned release has not is asked
/// there.
Bytes apt_mirrorlist(ByteView origin, ByteView volume, ReleaseNumber release, ByteView base, ByteView path);

struct MetalinkFile {
  Bytes path;  // key in the release
  uint64_t bytes = 0;
  Hash256 sha256;
  UnixMicros time;  // of the release
};
/// Metalink 3.0 with MirrorManager's timestamp, as librepo reads it: one file, one URL, in the pinned release.
Bytes metalink(ByteView origin, ByteView volume, ReleaseNumber release, const MetalinkFile& file);

}  // namespace hailstone::depot
