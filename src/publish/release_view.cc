#include "publish/release_view.h"

#include <algorithm>

#include "chunk/content.h"
#include "publish/paths.h"
#include "volume/entry.h"

namespace hailstone::publish {
namespace {

constexpr int kLinksMax = 8;
constexpr uint64_t kPieceBytes = 1u << 20;
constexpr uint64_t kTargetBytesMax = 4096;

}  // namespace

Result<std::optional<volume::Entry>> ReleaseView::find(ByteView key) const {
  if (key.empty() || key.size() > volume::kKeyBytesMax) return std::nullopt;
  TRY(const auto found, tree::lookup(*nodes_, root_, key));
  if (!found) return std::nullopt;
  auto entry = volume::Entry::decode(found->value);
  if (!entry) return std::unexpected(std::move(entry).error().within("entry of " + printable(key)));
  return *std::move(entry);
}

Result<std::optional<volume::Entry>> ReleaseView::follow(ByteView link_path, const volume::Entry& link, ByteView rest,
                                                         int links_left) const {
  if (links_left == 0) return std::nullopt;
  TRY(const Bytes target, read(link, kTargetBytesMax));
  const auto path = relative_path(parent_of(link_path), target + Bytes(rest));
  if (!path) return std::nullopt;
  return lookup(*path, links_left - 1);
}

Result<std::optional<volume::Entry>> ReleaseView::lookup(ByteView path, int links_left) const {
  TRY(auto entry, find(path));
  if (entry) {
    if (entry->kind != volume::Kind::Symlink) return entry;
    return follow(path, *entry, "", links_left);
  }
  // A directory on the way may be a link.
  for (size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1)) {
    const ByteView directory = path.substr(0, slash);
    TRY(const auto link, find(directory));
    if (link && link->kind == volume::Kind::Symlink) return follow(directory, *link, path.substr(slash), links_left);
  }
  return std::nullopt;
}

Result<std::optional<volume::Entry>> ReleaseView::lookup(ByteView path) const { return lookup(path, kLinksMax); }

Result<Bytes> ReleaseView::read(const volume::Entry& entry, uint64_t bytes_max) const {
  return chunk::read_content(*chunks_, entry.content, 0, entry.content.bytes, bytes_max);
}

ByteSource ReleaseView::stream(const volume::Entry& entry) const {
  return [this, &content = entry.content, offset = uint64_t{0}]() mutable -> Result<Bytes> {
    const uint64_t length = std::min(kPieceBytes, content.bytes - offset);
    if (length == 0) return Bytes();
    TRY(Bytes piece, chunk::read_content(*chunks_, content, offset, length, length));
    offset += length;
    return piece;
  };
}

}  // namespace hailstone::publish
