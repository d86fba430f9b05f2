#include "chunk/replicator.h"

#include <fmt/core.h>

#include <algorithm>

namespace hailstone::chunk {
namespace {

using Clock = std::chrono::steady_clock;
using Nodes = std::vector<net::NodeId>;

bool contains(const Nodes& nodes, net::NodeId node) { return std::ranges::find(nodes, node) != nodes.end(); }
constexpr size_t kBatchChunksMax = 4096;

}  // namespace

struct Replicator::Put {
  uint64_t number = 0;
  Item item;
  std::vector<net::NodeId> order;  // where it may go, best first
  size_t next = 0;                 // of these: not tried yet
  size_t copies = 0, quorum = 0;
  std::vector<net::NodeId> durable, waiting;  // have it; have not answered yet
  std::map<net::NodeId, Error> errors;

  size_t bytes() const { return item.chunk->payload.size(); }
  bool settled() const { return durable.size() >= quorum; }
  /// Whatever those who have not answered say, a quorum will not have it.
  bool failed() const { return next == order.size() && durable.size() + waiting.size() < quorum; }
};

struct Replicator::Peer {
  bool up = false;
  std::deque<PutPtr> queue;
  size_t bytes = 0;  // of the queue and of what is on its way
  size_t in_flight = 0;
};

Replicator::Replicator(const ReplicatorOptions& options, net::NodeId self, ChunkStore* local, Send send)
    : options_(options),
      self_(self),
      local_(local),
      send_(std::move(send)),
      placement_(std::make_shared<const Placement>()) {}
Replicator::~Replicator() = default;

void Replicator::set_placement(std::shared_ptr<const Placement> placement) {
  const Lock lock(mutex_);
  placement_ = std::move(placement);
}

void Replicator::set_up(net::NodeId id, bool up) {
  Lock lock(mutex_);
  Peer& peer = peers_[id];
  peer.up = up;
  if (!up) {
    const std::deque<PutPtr> queue = std::exchange(peer.queue, {});
    for (const PutPtr& put : queue) {
      peer.bytes -= put->bytes();
      refused(put, id, {Code::Unavailable, "not connected"});
    }
  }
  pump(lock);
  wake();
}

Result<void> Replicator::put(const ChunkId& id, Chunk chunk) {
  Lock lock(mutex_);
  auto put = std::make_shared<Put>();
  put->item = {id, std::move(chunk)};
  put->order = placement_->order(id);
  put->copies = placement_->copies();
  put->quorum = placement_->quorum();
  TRY_DO(wait_for_room(lock, put->order, put->bytes(), Clock::now() + options_.patience));
  put->number = next_number_++;
  unsettled_.emplace(put->number, put);
  unsettled_bytes_ += put->bytes();
  newest_[id] = put;
  advance(put);
  pump(lock);
  store_local(lock);
  if (!put->failed()) return {};
  // Known so early, it is the caller's to deal with and nobody else's.
  Error error = why(*put);
  forget(*put);
  wake();
  return std::unexpected(std::move(error));
}

bool Replicator::has_room(net::NodeId id, size_t bytes) const {
  if (id == self_) return local_ != nullptr;
  const auto peer = peers_.find(id);
  return peer != peers_.end() && peer->second.up &&
         (peer->second.bytes == 0 || peer->second.bytes + bytes <= options_.queue_bytes_max);
}

/// Until a quorum can take it; returns early when there will be none, for the attempt to say why.
Result<void> Replicator::wait_for_room(Lock& lock, const std::vector<net::NodeId>& order, size_t bytes, Time deadline) {
  for (bool tried_again = false;;) {
    const auto can = [&](net::NodeId id) { return has_room(id, bytes); };
    const auto up = [&](net::NodeId id) { return id == self_ ? local_ != nullptr : peers_[id].up; };
    const auto quorum = static_cast<ptrdiff_t>(placement_->quorum());
    const bool memory = unsettled_bytes_ == 0 || unsettled_bytes_ + bytes <= options_.unsettled_bytes_max;
    if (memory && std::ranges::count_if(order, can) >= quorum) return {};
    if (memory && std::ranges::count_if(order, up) < quorum) return {};
    if (!memory && !local_placed_.empty()) {
      sync_local(lock);
      continue;
    }
    if (!memory && !tried_again && !failed_.empty()) {
      tried_again = true;
      try_again(next_number_);
      pump(lock);
      continue;
    }
    ++waiting_for_room_;
    const auto waited = room_.wait_until(lock, deadline);
    --waiting_for_room_;
    if (waited == std::cv_status::timeout)
      return fail(Code::Unavailable,
                  fmt::format("{} bytes of chunks wait for their stores already, which are too slow or down: see that "
                              "they work, and try again",
                              unsettled_bytes_));
  }
}

/// Starts as many attempts as there should be copies, or as a quorum still needs.
void Replicator::advance(const PutPtr& put) {
  while (put->next < put->order.size() &&
         (put->next < put->copies || put->durable.size() + put->waiting.size() < put->quorum)) {
    const net::NodeId node = put->order[put->next++];
    if (contains(put->durable, node) || contains(put->waiting, node)) continue;
    if (put->next > put->copies) ++metrics_.stand_ins;
    attempt(put, node);
  }
  if (put->failed() && unsettled_.contains(put->number)) failed_.insert(put->number);
}

void Replicator::attempt(const PutPtr& put, net::NodeId node) {
  const auto unable = [&](const char* reason) {
    ++metrics_.missed_copies;
    put->errors[node] = {Code::Unavailable, reason};
  };
  if (node == self_) {
    if (local_ == nullptr) return unable("has no store");
    put->waiting.push_back(node);
    local_todo_.push_back(put);
    return;
  }
  Peer& peer = peers_[node];
  if (!peer.up) return unable("not connected");
  if (!has_room(node, put->bytes())) return unable("too slow: its queue is full");
  put->waiting.push_back(node);
  peer.queue.push_back(put);
  peer.bytes += put->bytes();
}

void Replicator::succeeded(const PutPtr& put, net::NodeId node) {
  std::erase(put->waiting, node);
  put->errors.erase(node);
  const bool before = put->settled();
  put->durable.push_back(node);
  if (before || !put->settled()) return;
  ++metrics_.settled;
  forget(*put);
}

void Replicator::refused(const PutPtr& put, net::NodeId node, Error error) {
  std::erase(put->waiting, node);
  ++metrics_.missed_copies;
  put->errors[node] = std::move(error);
  if (!put->settled()) advance(put);
}

void Replicator::forget(const Put& put) {
  if (unsettled_.erase(put.number) == 0) return;
  unsettled_bytes_ -= put.bytes();
  failed_.erase(put.number);
  const auto newest = newest_.find(put.item.id);
  if (newest != newest_.end() && newest->second.get() == &put) newest_.erase(newest);
}

/// Whether the own store keeps one of the first `upto` chunks waiting.
bool Replicator::has_local_work(uint64_t upto) const {
  return !local_todo_.empty() || (!local_placed_.empty() && local_placed_.begin()->first <= upto);
}

/// Whoever can go on now: those whose chunks are settled or can't be, one for what the own store has to do, and those
/// that wait for room.
void Replicator::wake() {
  const uint64_t lowest = unsettled_.empty() ? UINT64_MAX : unsettled_.begin()->first;
  const uint64_t failed = failed_.empty() ? UINT64_MAX : *failed_.begin();
  bool work = true;
  for (Waiter* waiter : waiters_) {
    const bool takes_work = work && has_local_work(waiter->upto);
    work = work && !takes_work;
    if (waiter->upto < lowest || waiter->upto >= failed || takes_work) waiter->woken.notify_one();
  }
  if (waiting_for_room_ > 0) room_.notify_all();
}

/// Sends what waits, as far as it may be under way at once.
void Replicator::pump(Lock& lock) {
  for (bool sent = true; sent;) {
    sent = false;
    for (auto& [id, peer] : peers_) {
      if (peer.queue.empty() || peer.in_flight >= options_.batches_in_flight) continue;
      std::vector<PutPtr> batch;
      std::vector<Item> items;
      size_t bytes = 0;
      while (!peer.queue.empty() && bytes < options_.batch_bytes && batch.size() < kBatchChunksMax) {
        batch.push_back(std::move(peer.queue.front()));
        peer.queue.pop_front();
        items.push_back(batch.back()->item);
        bytes += batch.back()->bytes();
      }
      ++peer.in_flight;
      const net::NodeId node = id;
      lock.unlock();
      send_(node, std::move(items), [this, node, bytes, batch = std::move(batch)](const Answers& answers) {
        answered(node, batch, bytes, answers);
      });
      lock.lock();
      sent = true;
      break;  // the peers may have changed
    }
  }
}

void Replicator::answered(net::NodeId node, const std::vector<PutPtr>& batch, size_t bytes, const Answers& answers) {
  Lock lock(mutex_);
  Peer& peer = peers_[node];
  peer.bytes -= bytes;
  --peer.in_flight;
  for (size_t i = 0; i < batch.size(); ++i) {
    if (answers[i]) {
      succeeded(batch[i], node);
    } else {
      refused(batch[i], node, answers[i].error());
    }
  }
  wake();
  pump(lock);
}

/// Puts into the own store what is to be there.
void Replicator::store_local(Lock& lock) {
  while (!local_todo_.empty()) {
    const PutPtr put = std::move(local_todo_.front());
    local_todo_.pop_front();
    lock.unlock();
    auto stored = local_->put_stored(put->item.id, put->item.chunk->view());
    lock.lock();
    if (stored) {
      local_placed_.emplace(put->number, put);
      wake();
    } else {
      refused(put, self_, std::move(stored).error());
      pump(lock);
      wake();
    }
  }
}

void Replicator::sync_local(Lock& lock) {
  const auto placed = std::exchange(local_placed_, {});
  if (placed.empty()) return;
  lock.unlock();
  auto synced = local_->sync();
  lock.lock();
  for (const auto& [number, put] : placed) {
    if (synced) {
      succeeded(put, self_);
    } else {
      refused(put, self_, synced.error());
    }
  }
  wake();
  pump(lock);
}

/// Attempts anew what failed, with the stores of now.
void Replicator::try_again(uint64_t upto) {
  const std::set<uint64_t> failed(failed_.begin(), failed_.upper_bound(upto));
  for (const uint64_t number : failed) {
    const PutPtr put = unsettled_.at(number);
    failed_.erase(number);
    put->order = placement_->order(put->item.id);
    put->copies = placement_->copies();
    put->quorum = placement_->quorum();
    put->next = 0;
    put->errors.clear();
    if (put->settled()) {
      forget(*put);
    } else {
      advance(put);
    }
  }
}

Result<void> Replicator::sync() {
  const Time deadline = Clock::now() + options_.patience;
  Lock lock(mutex_);
  const uint64_t upto = next_number_ - 1;
  try_again(upto);
  pump(lock);
  while (true) {
    store_local(lock);
    if (has_local_work(upto)) sync_local(lock);
    if (unsettled_.empty() || unsettled_.begin()->first > upto) return {};
    if (!failed_.empty() && *failed_.begin() <= upto) return std::unexpected(why(*unsettled_.at(*failed_.begin())));
    if (has_local_work(upto)) continue;
    Waiter waiter{.upto = upto};
    const auto place = waiters_.insert(waiters_.end(), &waiter);
    const auto waited = waiter.woken.wait_until(lock, deadline);
    waiters_.erase(place);
    if (waited == std::cv_status::timeout) return std::unexpected(why(*unsettled_.begin()->second));
  }
}

Replicator::Chunk Replicator::find(const ChunkId& id) const {
  const Lock lock(mutex_);
  const auto found = newest_.find(id);
  return found == newest_.end() ? nullptr : found->second->item.chunk;
}

bool Replicator::idle() const {
  const Lock lock(mutex_);
  return unsettled_.empty();
}

Replicator::Metrics Replicator::metrics() const {
  const Lock lock(mutex_);
  Metrics out = metrics_;
  out.unsettled = unsettled_.size();
  out.unsettled_bytes = unsettled_bytes_;
  return out;
}

Error Replicator::why(const Put& put) const {
  if (put.copies == 0)
    return {Code::Unavailable,
            fmt::format("chunk {}: no store takes copies: add one to the cell", put.item.id.brief())};
  Code code = Code::Unavailable;
  std::string reasons;
  for (const auto& [node, error] : put.errors) {
    if (error.code == Code::Exhausted) code = Code::Exhausted;
    reasons += fmt::format("; {}: {}", net::node_name(node), error.message);
  }
  for (const net::NodeId node : put.waiting) reasons += fmt::format("; {}: no answer yet", net::node_name(node));
  return {code,
          fmt::format("chunk {}: durable on {} of the {} stores it needs{}: bring them back or make room, and try "
                      "again",
                      put.item.id.brief(), put.durable.size(), put.quorum, reasons)};
}

}  // namespace hailstone::chunk
