// What a node shows of a channel: the flips that the cell's file says are shown, on those that the volume's group has.
#pragma once

#include <memory>

#include "flip/live_table.h"
#include "volume/state.h"

namespace hailstone::flip {

enum class Fit : uint8_t {
  Shown,   // `volume` is what to serve
  Behind,  // this node's state lacks what the file follows on, or the file's volume: settle, and look again
};
struct Shown {
  Fit fit = Fit::Shown;
  std::shared_ptr<const volume::Volume> volume;  // with the channel as it is shown, or without it
};

/// `state`: the volume as this node's state has it, with flips that nobody may show yet; it is the answer itself where
/// nothing differs. `self` is behind, too, while the file says that it may lack the release and its state does.
Shown shown_volume(std::shared_ptr<const volume::Volume> state, ByteView channel, const Live& live, net::NodeId self);

}  // namespace hailstone::flip
