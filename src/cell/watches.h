// The watches of one member's clients: which events go to which, each exactly once and in order, or `compacted`.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <unordered_map>
#include <vector>

#include "cell/query.h"
#include "cell/service.h"
#include "cell/wire.h"

namespace hailstone::cell {

/// A watch is *live*: it has been told all up to where distribution is, and gets what comes with it; or *behind*: it
/// reads the history by itself, piece by piece, until it is live. One whose client does not read is behind.
class Watches {
 public:
  /// Where events go.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual bool has_room(wire::ConnectionId connection) const = 0;
    virtual void deliver(wire::ConnectionId connection, wire::Events events) = 0;
  };
  struct Watch {
    wire::ConnectionId connection;
    wire::WatchId id;
    Bytes prefix;
    SessionId about;
    Revision at;    // all up to here is told or not wanted; while live, also all up to Watches::seen()
    Revision told;  // the newest `upto` that was delivered
    bool live = false;
    bool queued = false;  // in its turn to catch up
    size_t place = 0;     // in its index
  };

  explicit Watches(const Mistakes& mistakes = {}) : mistakes_(mistakes) {}

  /// Distribution begins behind this revision: what the state shows when the member starts.
  void begin(Revision seen) { seen_ = seen; }
  Revision seen() const { return seen_; }

  /// Tells that it has begun.
  void add(const wire::Watch& watch, wire::ConnectionId connection, Revision after, Sink& sink);
  /// Whether it was there.
  bool remove(wire::ConnectionId connection, wire::WatchId watch);
  void remove_all(wire::ConnectionId connection);
  /// All for which `goes` is true.
  void remove_if(const std::function<bool(const Watch&)>& goes);

  /// Reads what is new, at most about `events_max` events, and distributes it. True: there is more. `before` runs ahead
  /// of a piece in which rules change.
  Result<bool> distribute(const replica::Reader& state, size_t events_max, Sink& sink,
                          const std::function<Result<void>()>& before);
  /// One piece of history for some watch that is behind and has room. False: none is.
  Result<bool> catch_up(const replica::Reader& state, Sink& sink);
  /// Its client has read: those of its watches that are behind may go on.
  void has_room_again(wire::ConnectionId connection);
  /// Tells some watches that saw no event how far they are, so that the history behind them can be forgotten.
  void tell_progress(size_t watches_max, Sink& sink);

  size_t size() const { return watches_.size(); }
  bool any_behind() const { return !behind_.empty(); }

 private:
  using Key = std::pair<wire::ConnectionId, wire::WatchId>;
  struct Hash {
    using is_transparent = void;
    size_t operator()(ByteView text) const { return std::hash<ByteView>{}(text); }
  };
  using List = std::vector<Watch*>;

  Revision position(const Watch& watch) const { return watch.live ? std::max(watch.at, seen_) : watch.at; }
  List& list_of(const Watch& watch);
  void erase(std::map<Key, Watch>::iterator at);
  void fall_behind(Watch& watch);
  void queue(Watch& watch);
  void collect(const EventBatch::Item& item, const List& watches);
  void deliver(Watch& watch, std::vector<EventBatch::Item> items, Revision upto, Sink& sink);

  Mistakes mistakes_;
  Revision seen_;
  std::map<Key, Watch> watches_;
  // Those about a session are in the second alone. Empty lists are not kept.
  std::unordered_map<Bytes, List, Hash, std::equal_to<>> by_prefix_;
  std::unordered_map<SessionId, List> by_session_;
  std::deque<Key> behind_;                                  // in turn, each once; some may be gone meanwhile
  std::map<Key, std::vector<EventBatch::Item>> collected_;  // of the piece that is being distributed
  Key progress_;                                            // whom progress was told last
};

}  // namespace hailstone::cell
