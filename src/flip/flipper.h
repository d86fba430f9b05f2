// Flips: one transaction of the cell changes any number of channels, for every reader of every node at one instant.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "client/cell_client.h"
#include "flip/channel_file.h"

namespace hailstone::flip {

using client::Within;
using net::Task;

struct Change {
  Bytes volume;
  VolumeId id;
  Bytes channel;
  ReleaseNumber release;  // 0: the channel is removed
  tree::Root root;        // of the release
  /// What the channel must be at; 0: no such channel, or removed.
  std::optional<ReleaseNumber> expected = {};
  /// The volume's group has a record of this channel's flips up to this sequence.
  uint64_t recorded = 0;
};

/// A channel's newest flips, as its volume's group decided them.
struct Showing {
  Bytes volume;
  VolumeId id;
  Bytes channel;
  std::vector<volume::Flip> flips;  // oldest first, without gaps, at least one; the newest kFlipsKept count
};

struct Flipped {
  volume::Flip flip;
  std::optional<volume::Flip> before;  // what was in force, unless there was nothing or it has left the file
};

/// A channel's file as the cell has it.
struct ChannelState {
  std::optional<ChannelFile> file;  // none: there is no such channel
  cell::Instance instance;
  uint64_t generation = 0;
  bool operator==(const ChannelState&) const = default;
};

inline constexpr size_t kChangesMax = 64;  // of one flip

/// On the loop's thread of its client, which has a session and outlives it and what it has begun.
class Flipper {
 public:
  Flipper(client::CellClient& client, const Clock& clock) : client_(client), clock_(clock) {}

  /// All of the changes or none; in their order. A file of another volume's id counts as absent. Done once, however
  /// often it has to be sent.
  /// - Conflict: a channel is not at `expected`: which, and what it is at. Or the id is of a volume that is no more.
  /// - Exhausted: a flip without a record would leave a channel's file: which. Record, and try again.
  /// - Unavailable: nothing was done, nor will be. Timeout: it may have been done, or be done yet.
  /// - Invalid: names, none or more than kChangesMax changes, a channel twice. NotFound: the channel to be removed.
  ///   Corrupt, Unsupported: of a file. Denied: by the cell's rules.
  /// `excluded`: nodes that may lack what is flipped to, in any order.
  Task<Result<std::vector<Flipped>>> flip(std::vector<Change> changes, std::vector<net::NodeId> excluded,
                                          Within within);
  /// Has readers see flips that were decided elsewhere: all channels in one transaction. What a channel shows already,
  /// or is past, is left as it is: so it may be repeated, by anybody. `excluded` as for flip(). Conflict: the id is of
  /// a volume that is no more. Unavailable, Timeout: it may have been done; try again. Invalid: names, or what flips
  /// are.
  Task<Result<void>> show(std::vector<Showing> channels, std::vector<net::NodeId> excluded, Within within);
  /// All channel files of a volume. There need not be any.
  Task<Result<void>> remove_volume(Bytes volume, Within within);
  /// Linearizable. Unavailable: nobody answered.
  Task<Result<ChannelState>> read(Bytes volume, Bytes channel, Within within);
  /// The channels that have a file, in order, those that were removed too; each is read at an instant of its own.
  Task<Result<std::vector<std::pair<Bytes, ChannelState>>>> list(Bytes volume, Within within);

 private:
  struct Attempt;
  Task<Result<ChannelState>> read_path(Bytes path, int64_t deadline_ns);
  Within left(int64_t deadline_ns) const;

  client::CellClient& client_;
  const Clock& clock_;
};

/// For threads that may wait: Flipper's calls from any thread but the loop's, which runs until they have returned.
class BlockingFlipper {
 public:
  BlockingFlipper(net::asio::io_context& loop, Flipper& flipper) : loop_(loop), flipper_(flipper) {}

  Result<std::vector<Flipped>> flip(std::vector<Change> changes, std::vector<net::NodeId> excluded, Within within);
  Result<void> show(std::vector<Showing> channels, std::vector<net::NodeId> excluded, Within within);
  Result<void> remove_volume(Bytes volume, Within within);
  Result<ChannelState> read(Bytes volume, Bytes channel, Within within);
  Result<std::vector<std::pair<Bytes, ChannelState>>> list(Bytes volume, Within within);

 private:
  template <class T>
  Result<T> wait(Task<Result<T>> task);

  net::asio::io_context& loop_;
  Flipper& flipper_;
};

}  // namespace hailstone::flip
