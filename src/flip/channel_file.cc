#include "flip/channel_file.h"

#include <fmt/format.h>

#include <algorithm>

namespace hailstone::flip {
namespace {

constexpr ByteView kMagic = "HSCH";
constexpr uint8_t kVersion = 1;

Error damaged(std::string_view what) { return {Code::Corrupt, fmt::format("channel file: {}", what)}; }

bool follows(const volume::Flip& before, const volume::Flip& flip) {
  return flip.sequence == before.sequence + 1 && flip.at > before.at && flip.modified_seconds > before.modified_seconds;
}

}  // namespace

bool ChannelFile::excludes(net::NodeId node) const { return std::ranges::binary_search(excluded, node); }

const Made* ChannelFile::find(FlipId id) const {
  const auto found = std::ranges::find(flips, id, &Made::id);
  return found == flips.end() ? nullptr : &*found;
}

Bytes ChannelFile::encode() const {
  Bytes bytes(kMagic);
  Encoder out(bytes);
  out.u8(kVersion);
  out.varint(volume.value);
  out.varint(flips.size());
  for (const Made& made : flips) {
    out.u64(made.id.value);
    made.flip.encode(out);
  }
  out.varint(excluded.size());
  for (const net::NodeId node : excluded) out.varint(node.value);
  return bytes;
}

Result<ChannelFile> ChannelFile::decode(ByteView bytes) {
  Decoder in(bytes);
  if (in.raw(kMagic.size()) != kMagic) return std::unexpected(damaged("it does not begin as one does"));
  if (const uint8_t version = in.u8(); version != kVersion)
    return fail(in.ok() ? Code::Unsupported : Code::Corrupt,
                fmt::format("channel file: version {}, this program knows {}", version, kVersion));
  ChannelFile file;
  file.volume = VolumeId(in.varint());
  const uint64_t flips = in.varint();
  if (!in.ok() || flips == 0 || flips > kFlipsKept)
    return std::unexpected(damaged(fmt::format("{} flips, 1 to {} may be", flips, kFlipsKept)));
  for (uint64_t i = 0; i < flips && in.ok(); ++i) {
    const FlipId id(in.u64());
    file.flips.push_back({volume::Flip::decode(in), id});
    const volume::Flip& flip = file.flips.back().flip;
    if (flip.sequence == 0 || (i > 0 && !follows(file.flips[i - 1].flip, flip)))
      return std::unexpected(damaged(fmt::format("flip {} does not follow the one before", flip.sequence)));
  }
  const uint64_t excluded = in.varint();
  if (!in.ok() || excluded > kExcludedMax)
    return std::unexpected(damaged(fmt::format("cut short, or {} nodes excluded", excluded)));
  for (uint64_t i = 0; i < excluded && in.ok(); ++i) {
    const net::NodeId node(in.varint());
    if (!node || (i > 0 && node <= file.excluded.back())) in.poison();
    file.excluded.push_back(node);
  }
  if (!in.done()) return std::unexpected(damaged("malformed, or something follows it"));
  return file;
}

volume::Flip next_flip(const ChannelFile* file, ReleaseNumber release, const tree::Root& root, UnixMicros wall) {
  volume::Flip next{.sequence = 1, .release = release, .root = root, .at = wall};
  next.modified_seconds = wall.seconds();
  if (file == nullptr) return next;
  const volume::Flip& last = file->current();
  next.sequence = last.sequence + 1;
  next.at.value = std::max(wall.value, last.at.value + 1);
  next.modified_seconds = std::max(next.modified_seconds, last.modified_seconds + 1);
  return next;
}

ChannelFile with_flip(const ChannelFile* file, VolumeId volume, Made next, std::vector<net::NodeId> excluded) {
  ChannelFile out{.volume = volume, .flips = {}, .excluded = std::move(excluded)};
  if (file != nullptr) out.flips = file->flips;
  if (out.flips.size() == kFlipsKept) out.flips.erase(out.flips.begin());
  out.flips.push_back(std::move(next));
  return out;
}

Bytes channels_path(ByteView volume) { return fmt::format("{}/{}", kChannelsPath, volume); }

Bytes channel_path(ByteView volume, ByteView channel) {
  return fmt::format("{}/{}/{}", kChannelsPath, volume, channel);
}

Result<void> validate_channel(ByteView volume, ByteView channel) {
  TRY_DO(volume::validate_volume_name(volume));
  return volume::validate_label("channel", channel);
}

}  // namespace hailstone::flip
