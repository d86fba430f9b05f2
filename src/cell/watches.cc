#include "cell/watches.h"

#include <algorithm>

namespace hailstone::cell {
namespace {

constexpr size_t kPieceEventsMax = 256;
constexpr size_t kPieceBytesMax = 1 << 20;  // of one message; a revision that is longer is told as compacted

size_t bytes_of(const Event& event) { return event.path.size() + 64; }

}  // namespace

Watches::List& Watches::list_of(const Watch& watch) {
  return watch.about ? by_session_[watch.about] : by_prefix_[watch.prefix];
}

void Watches::add(const wire::Watch& wanted, wire::ConnectionId connection, Revision after, Sink& sink) {
  if (mistakes_.watch_resumes_one_late && wanted.after) after = after.next();
  if (mistakes_.watch_resumes_one_early && after.value > 0) after = Revision(after.value - 1);
  const Key key{connection, wanted.watch};
  Watch& watch = watches_[key];
  watch = {.connection = connection,
           .id = wanted.watch,
           .prefix = wanted.prefix,
           .about = wanted.about,
           .at = after,
           .told = after,
           .live = after >= seen_};
  List& list = list_of(watch);
  watch.place = list.size();
  list.push_back(&watch);
  if (!watch.live) queue(watch);
  sink.deliver(connection, {wanted.watch, {.compacted = {}, .events = {}, .upto = after}});
}

void Watches::erase(std::map<Key, Watch>::iterator at) {
  Watch& watch = at->second;
  List& list = list_of(watch);
  list[watch.place] = list.back();
  list[watch.place]->place = watch.place;
  list.pop_back();
  if (list.empty()) {
    if (watch.about)
      by_session_.erase(watch.about);
    else
      by_prefix_.erase(watch.prefix);
  }
  watches_.erase(at);
}

bool Watches::remove(wire::ConnectionId connection, wire::WatchId id) {
  const auto at = watches_.find({connection, id});
  if (at == watches_.end()) return false;
  erase(at);
  return true;
}

void Watches::remove_all(wire::ConnectionId connection) {
  for (auto at = watches_.lower_bound({connection, wire::WatchId()});
       at != watches_.end() && at->first.first == connection;)
    erase(at++);
}

void Watches::remove_if(const std::function<bool(const Watch&)>& goes) {
  for (auto at = watches_.begin(); at != watches_.end();) {
    const auto next = std::next(at);
    if (goes(at->second)) erase(at);
    at = next;
  }
}

void Watches::fall_behind(Watch& watch) {
  watch.at = position(watch);
  watch.live = false;
  queue(watch);
}

void Watches::queue(Watch& watch) {
  if (!std::exchange(watch.queued, true)) behind_.push_back({watch.connection, watch.id});
}

void Watches::collect(const EventBatch::Item& item, const List& watches) {
  for (const Watch* watch : watches)
    if (watch->live && item.revision > watch->at && covers(watch->prefix, item.event.path))
      collected_[{watch->connection, watch->id}].push_back(item);
}

Result<bool> Watches::distribute(const replica::Reader& state, size_t events_max, Sink& sink,
                                 const std::function<Result<void>()>& before) {
  TRY(const Counters counters, schema::read_counters(state));
  if (counters.revision <= seen_) return false;
  if (watches_.empty()) {  // whoever comes later reads the history up to here by itself
    seen_ = counters.revision;
    return false;
  }
  TRY(const EventBatch batch, events_after(state, seen_, "/", events_max));
  if (batch.compacted) {
    // The state has come from another member, and its history begins later. Who is ahead of that misses nothing; its
    // revision may be one that is in no state yet.
    for (auto& [key, watch] : watches_)
      if (watch.live && watch.at < *batch.compacted) fall_behind(watch);
    seen_ = *batch.compacted;
    return true;
  }
  const auto is_rules = [](const auto& item) { return item.event.kind == Event::Kind::Rules; };
  if (std::ranges::any_of(batch.events, is_rules)) TRY_DO(before());
  for (const auto& item : batch.events) {
    for (ByteView path = item.event.path;; path = parent_of(path)) {
      if (const auto at = by_prefix_.find(path); at != by_prefix_.end()) collect(item, at->second);
      if (path == "/") break;
    }
    if (!item.event.session) continue;
    if (const auto at = by_session_.find(item.event.session); at != by_session_.end()) collect(item, at->second);
  }
  for (auto& [key, items] : std::exchange(collected_, {})) {
    Watch& watch = watches_.at(key);
    if (sink.has_room(watch.connection))
      deliver(watch, std::move(items), batch.upto, sink);
    else if (!mistakes_.blocked_watch_forgets)
      fall_behind(watch);
  }
  seen_ = batch.upto;
  return seen_ < counters.revision;
}

/// In messages of whole revisions.
void Watches::deliver(Watch& watch, std::vector<EventBatch::Item> items, Revision upto, Sink& sink) {
  std::vector<EventBatch::Item> piece;
  size_t piece_bytes = 0;
  const auto send = [&](Revision until) {
    sink.deliver(watch.connection, {watch.id, {.compacted = {}, .events = std::exchange(piece, {}), .upto = until}});
    piece_bytes = 0;
  };
  for (size_t begin = 0, end; begin < items.size(); begin = end) {
    const Revision revision = items[begin].revision;
    size_t bytes = 0;
    for (end = begin; end < items.size() && items[end].revision == revision; ++end) bytes += bytes_of(items[end].event);
    if (piece_bytes > 0 && piece_bytes + bytes > kPieceBytesMax) send(piece.back().revision);
    if (bytes > kPieceBytesMax) {
      sink.deliver(watch.connection, {watch.id, {.compacted = revision, .events = {}, .upto = revision}});
      continue;
    }
    piece_bytes += bytes;
    std::move(items.begin() + static_cast<std::ptrdiff_t>(begin), items.begin() + static_cast<std::ptrdiff_t>(end),
              std::back_inserter(piece));
  }
  if (!piece.empty()) send(upto);
  watch.told = upto;
}

Result<bool> Watches::catch_up(const replica::Reader& state, Sink& sink) {
  for (size_t turns = behind_.size(); turns > 0; --turns) {
    const Key key = behind_.front();
    behind_.pop_front();
    const auto at = watches_.find(key);
    if (at == watches_.end()) continue;
    Watch& watch = at->second;
    watch.queued = false;
    if (!sink.has_room(watch.connection)) continue;  // until has_room_again()
    TRY(EventBatch batch, events_after(state, watch.at, watch.prefix, kPieceEventsMax));
    if (watch.about) std::erase_if(batch.events, [&](const auto& item) { return item.event.session != watch.about; });
    if (batch.compacted) {
      batch.upto = *batch.compacted;
      watch.told = batch.upto;
      sink.deliver(watch.connection, {watch.id, batch});
    } else {
      deliver(watch, std::move(batch.events), batch.upto, sink);
    }
    watch.at = batch.upto;
    watch.live = watch.at >= seen_;
    if (!watch.live) queue(watch);
    return true;
  }
  return false;
}

void Watches::has_room_again(wire::ConnectionId connection) {
  for (auto at = watches_.lower_bound({connection, wire::WatchId()});
       at != watches_.end() && at->first.first == connection; ++at)
    if (!at->second.live) queue(at->second);
}

void Watches::tell_progress(size_t watches_max, Sink& sink) {
  for (size_t i = 0; i < std::min(watches_max, watches_.size()); ++i) {
    auto at = watches_.upper_bound(progress_);
    if (at == watches_.end()) at = watches_.begin();
    progress_ = at->first;
    Watch& watch = at->second;
    const Revision upto = position(watch);
    if (!watch.live || watch.told >= upto || !sink.has_room(watch.connection)) continue;
    watch.told = upto;
    sink.deliver(watch.connection, {watch.id, {.compacted = {}, .events = {}, .upto = upto}});
  }
}

}  // namespace hailstone::cell
