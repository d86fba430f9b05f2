// What the cell's file /channels/VOLUME/CHANNEL holds: a channel's newest flips (docs/formats/channel-file.md).
#pragma once

#include <optional>
#include <vector>

#include "net/transport.h"
#include "volume/records.h"

namespace hailstone::flip {

inline constexpr size_t kFlipsKept = 16;      // older ones are in the volume's group
inline constexpr size_t kExcludedMax = 1024;  // nodes

/// Random, made anew for each call of Flipper::flip(): who does not know whether it was done looks for it.
using FlipId = Id<struct FlipIdTag>;

struct Made {
  volume::Flip flip;
  FlipId id;
  bool operator==(const Made&) const = default;
};

/// The last flip is in force; there is at least one. One of release 0 says that there is no such channel any more.
/// Sequences rise by one; times and `modified_seconds` rise.
struct ChannelFile {
  VolumeId volume;
  std::vector<Made> flips;  // oldest first, 1..kFlipsKept
  std::vector<net::NodeId>
      excluded;  // from the last flip: they may lack what it names. Ascending, at most kExcludedMax

  bool operator==(const ChannelFile&) const = default;
  const volume::Flip& current() const { return flips.back().flip; }
  bool excludes(net::NodeId node) const;
  const Made* find(FlipId id) const;

  Bytes encode() const;
  /// Corrupt, or Unsupported of another version.
  static Result<ChannelFile> decode(ByteView bytes);
};

/// What follows: after no file, sequence 1. Whatever the wall clock does, times rise.
volume::Flip next_flip(const ChannelFile* file, ReleaseNumber release, const tree::Root& root, UnixMicros wall);
/// The file with `next` in force; the oldest goes where there are kFlipsKept.
ChannelFile with_flip(const ChannelFile* file, VolumeId volume, Made next, std::vector<net::NodeId> excluded);

inline constexpr std::string_view kChannelsPath = "/channels";
Bytes channels_path(ByteView volume);
/// Names that are valid (volume::validate_...) give valid paths, and different ones different paths.
Bytes channel_path(ByteView volume, ByteView channel);
/// Invalid, naming it.
Result<void> validate_channel(ByteView volume, ByteView channel);

}  // namespace hailstone::flip
