// Watches over many connections: each event once and in order, bounded by what the application has not taken.
#pragma once

#include <map>
#include <unordered_map>

#include "cell/client_types.h"

namespace hailstone::cell::client {

/// A watch goes on from the newest batch that was handed out, by a WatchId of its own for each start, so what a former
/// one still brings is not taken. When the application holds `watch_bytes_max` the watch is stopped at the member, and
/// started again from there when half of it is taken: a slow one costs at most that and one batch, and events meanwhile
/// wait in the cell's history, until they are compacted.
class Watches {
 public:
  using Key = Id<struct ClientWatchKeyTag>;
  explicit Watches(size_t bytes_max) : bytes_max_(bytes_max) {}

  /// `tag` 0: of a lock, whose path `prefix` is.
  Key add(WatchTag tag, Bytes prefix, std::optional<Revision> after, SessionId about);
  void remove(Key key);
  /// 0: there is none.
  Key find(WatchTag tag) const;
  size_t of_application() const { return by_tag_.size(); }

  struct Delivery {
    WatchTag tag;
    Bytes prefix;
    EventBatch batch;
    size_t bytes = 0;  // to be taken
  };
  /// Nothing: of a watch that was stopped. Invalid: out of order.
  hailstone::Result<std::optional<Delivery>> on_events(wire::Events events);
  struct Refused {
    WatchTag tag;
    Bytes prefix;
  };
  std::optional<Refused> on_refused(wire::WatchId id);
  void taken(WatchTag tag, size_t bytes);

  void on_disconnected();
  void flush(std::vector<wire::ClientMessage>& out);

 private:
  struct Watch {
    WatchTag tag;
    Bytes prefix;
    std::optional<Revision> after;
    SessionId about;
    wire::WatchId on{};  // 0: not at the member
    size_t held = 0;     // bytes handed out and not taken
    bool paused = false;
  };
  void stop(Watch& watch);

  size_t bytes_max_;
  std::map<Key, Watch> watches_;
  std::unordered_map<WatchTag, Key> by_tag_;
  std::unordered_map<wire::WatchId, Key> on_;
  std::vector<Key> starting_;  // some may be gone
  std::vector<wire::WatchId> stopping_;
  Key last_key_;
  wire::WatchId last_id_;
};

}  // namespace hailstone::cell::client
