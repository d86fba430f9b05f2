#include "cell/client_watches.h"

#include <fmt/format.h>

namespace hailstone::cell::client {
namespace {

size_t bytes_of(const EventBatch& batch) {
  size_t bytes = sizeof(EventBatch);
  for (const auto& item : batch.events) bytes += sizeof(EventBatch::Item) + item.event.path.size();
  return bytes;
}

/// Items behind `after` and up to `upto`, in order.
bool in_order(const EventBatch& batch, std::optional<Revision> after) {
  Revision last = after.value_or(Revision());
  if (batch.upto < last) return false;
  for (const auto& item : batch.events) {
    if (item.revision < last || (after && item.revision == *after) || item.revision > batch.upto) return false;
    last = item.revision;
  }
  return true;
}

}  // namespace

Watches::Key Watches::add(WatchTag tag, Bytes prefix, std::optional<Revision> after, SessionId about) {
  last_key_ = last_key_.next();
  watches_.emplace(last_key_, Watch{.tag = tag, .prefix = std::move(prefix), .after = after, .about = about});
  if (tag) by_tag_.emplace(tag, last_key_);
  starting_.push_back(last_key_);
  return last_key_;
}

void Watches::remove(Key key) {
  const auto at = watches_.find(key);
  if (at == watches_.end()) return;
  stop(at->second);
  if (at->second.tag) by_tag_.erase(at->second.tag);
  watches_.erase(at);
}

Watches::Key Watches::find(WatchTag tag) const {
  const auto found = by_tag_.find(tag);
  return found == by_tag_.end() ? Key() : found->second;
}

void Watches::stop(Watch& watch) {
  if (!watch.on) return;
  stopping_.push_back(watch.on);
  on_.erase(watch.on);
  watch.on = {};
}

hailstone::Result<std::optional<Watches::Delivery>> Watches::on_events(wire::Events events) {
  const auto found = on_.find(events.watch);
  if (found == on_.end()) return std::nullopt;
  const Key key = found->second;
  Watch& watch = watches_.at(key);
  EventBatch& batch = events.batch;
  if (!batch.compacted && !in_order(batch, watch.after))
    return fail(Code::Invalid,
                fmt::format("watch of '{}': events up to {} behind {} are out of order", printable(watch.prefix),
                            batch.upto.value, watch.after.value_or(Revision()).value));
  Delivery delivery{watch.tag, watch.prefix, std::move(batch)};
  if (delivery.batch.compacted) {
    remove(key);
    return delivery;
  }
  watch.after = delivery.batch.upto;
  if (!watch.tag) return delivery;
  delivery.bytes = bytes_of(delivery.batch);
  watch.held += delivery.bytes;
  if (watch.held >= bytes_max_) {
    stop(watch);
    watch.paused = true;
  }
  return delivery;
}

std::optional<Watches::Refused> Watches::on_refused(wire::WatchId id) {
  const auto found = on_.find(id);
  if (found == on_.end()) return std::nullopt;
  const Key key = found->second;
  Watch& watch = watches_.at(key);
  on_.erase(found);
  watch.on = {};  // it has ended at the member
  Refused refused{watch.tag, watch.prefix};
  remove(key);
  return refused;
}

void Watches::taken(WatchTag tag, size_t bytes) {
  const auto found = by_tag_.find(tag);
  if (found == by_tag_.end()) return;
  Watch& watch = watches_.at(found->second);
  watch.held -= std::min(watch.held, bytes);
  if (!watch.paused || watch.held > bytes_max_ / 2) return;
  watch.paused = false;
  starting_.push_back(found->second);
}

void Watches::on_disconnected() {
  on_.clear();
  stopping_.clear();
  starting_.clear();
  for (auto& [key, watch] : watches_) {
    watch.on = {};
    if (!watch.paused) starting_.push_back(key);
  }
}

void Watches::flush(std::vector<wire::ClientMessage>& out) {
  for (const wire::WatchId id : stopping_) out.emplace_back(wire::Unwatch{id});
  stopping_.clear();
  for (const Key key : starting_) {
    const auto at = watches_.find(key);
    if (at == watches_.end() || at->second.on) continue;
    Watch& watch = at->second;
    watch.on = last_id_ = last_id_.next();
    on_.emplace(watch.on, key);
    out.emplace_back(wire::Watch{watch.on, watch.prefix, watch.after, watch.about});
  }
  starting_.clear();
}

}  // namespace hailstone::cell::client
