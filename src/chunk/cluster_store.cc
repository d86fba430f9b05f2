#include "chunk/cluster_store.h"

#include <fmt/core.h>

#include <algorithm>
#include <future>
#include <tuple>

#include "chunk/remote_wire.h"
#include "chunk/stored.h"

namespace hailstone::chunk {

ClusterStore::ClusterStore(const ClusterStoreOptions& options, ChunkStore* local, net::Rpc& rpc, Logger& logger)
    : options_(options),
      local_(local),
      rpc_(rpc),
      logger_(logger),
      service_(local == nullptr ? nullptr : std::make_unique<ChunkService>(options.self, *local, logger)),
      generations_(std::make_shared<Generations>(options.term)),
      reader_(options.hedge, rpc, logger),
      replicator_(options.replicator, options.self, local,
                  [this](net::NodeId to, std::vector<Replicator::Item> batch, auto done) {
                    send(to, std::move(batch), std::move(done));
                  }),
      placement_(std::make_shared<const Placement>()) {
  if (service_) service_->serve(rpc);
  rpc.watch([this](net::NodeId peer, bool up) { watch(peer, up); });
  teller_ = std::thread([this] { tell_sessions_until_stopped(); });
}

ClusterStore::~ClusterStore() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stopped_.notify_all();
  teller_.join();
}

Result<void> ClusterStore::set_stores(std::vector<StoreInfo> stores) {
  TRY(Placement made, Placement::make(std::move(stores), options_.copies));
  const auto placement = std::make_shared<const Placement>(std::move(made));
  bool others = false;
  for (const StoreInfo& store : placement->stores())
    others |= store.id != options_.self && store.state != StoreState::Out;
  const bool alone = !others && local_ != nullptr && placement->copies() == 1;
  if (alone) was_alone_ = true;
  replicator_.set_placement(placement);
  {
    const std::lock_guard lock(mutex_);
    placement_ = placement;
  }
  alone_.store(alone, std::memory_order_release);
  return {};
}

std::shared_ptr<const Placement> ClusterStore::placement() const {
  const std::lock_guard lock(mutex_);
  return placement_;
}

// ---- writing ----

Result<ChunkId> ClusterStore::put(ByteView bytes, Compress compress) {
  if (alone()) return local_->put(bytes, compress);
  const ChunkId id(sha256(bytes));
  TRY_DO(put_named(id, bytes, compress));
  return id;
}

Result<void> ClusterStore::put_named(const ChunkId& id, ByteView bytes, Compress compress) {
  if (alone()) return local_->put_named(id, bytes, compress);
  if (bytes.empty() || bytes.size() > kChunkBytesMax)
    return fail(Code::Invalid, fmt::format("chunk of {} bytes: 1..{} allowed", bytes.size(), kChunkBytesMax));
  return replicator_.put(id, std::make_shared<const StoredChunk>(pack(compressor_, bytes, compress)));
}

Result<void> ClusterStore::put_stored(const ChunkId& id, const StoredView& chunk) {
  if (alone()) return local_->put_stored(id, chunk);
  return replicator_.put(
      id, std::make_shared<const StoredChunk>(StoredChunk{chunk.bytes, chunk.zstd, Bytes(chunk.payload)}));
}

Result<void> ClusterStore::sync() {
  if (was_alone_) TRY_DO(local_->sync());
  if (alone() && replicator_.idle()) return {};
  return replicator_.sync();
}

/// A batch to a peer, compressed already; each of its chunks is durable there when answered.
void ClusterStore::send(net::NodeId to, std::vector<Replicator::Item> batch,
                        std::function<void(Replicator::Answers)> done) {
  std::vector<NamedChunk> chunks;
  chunks.reserve(batch.size());
  for (const Replicator::Item& item : batch) chunks.push_back({item.id, item.chunk->view()});
  const WriterMark mark = mark_for(to);
  const size_t count = batch.size();
  const auto answered = [this, to, mark, count, done](const Result<Bytes>& answer) {
    Replicator::Answers out(count);
    auto failures = [&]() -> Result<std::vector<PutFailure>> {
      if (!answer) return std::unexpected(answer.error());
      return read_put_answer(*answer);
    }();
    if (!failures) {
      for (auto& each : out) each = std::unexpected(failures.error());
      return done(std::move(out));
    }
    confirmed(to, mark);
    for (PutFailure& failure : *failures)
      if (failure.index < count) out[failure.index] = std::unexpected(std::move(failure.error));
    done(std::move(out));
  };
  const auto call =
      rpc_.call(to, static_cast<uint16_t>(RemoteMethod::Put), encode_put(mark, chunks), options_.patience, answered);
  if (!call) answered(std::unexpected(call.error()));
}

// ---- reading ----

/// The others that may have a chunk: its targets, the closest first, then those that are being emptied, then the rest.
std::vector<net::NodeId> ClusterStore::read_order(const ChunkId& id) const {
  const auto now = placement();
  const StoreInfo self{.id = options_.self, .weight = 1, .place = options_.place};
  std::vector<net::NodeId> order = now->order(id);
  const auto end_of_targets = order.begin() + static_cast<ptrdiff_t>(now->copies());
  std::vector<std::tuple<Distance, std::chrono::microseconds, ptrdiff_t>> targets;
  for (auto it = order.begin(); it != end_of_targets; ++it)
    targets.emplace_back(distance(self, *now->find(*it)), reader_.expected(*it), it - order.begin());
  std::ranges::sort(targets);
  std::vector<net::NodeId> out;
  const auto add = [&](net::NodeId node) {
    if (node != options_.self && std::ranges::find(out, node) == out.end()) out.push_back(node);
  };
  for (const auto& [far, expected, at] : targets) add(order[static_cast<size_t>(at)]);
  for (const StoreInfo& store : now->stores())
    if (store.state == StoreState::Draining || (store.state == StoreState::In && store.weight == 0)) add(store.id);
  for (const net::NodeId node : order) add(node);
  return out;
}

Result<HedgedReader::Read> ClusterStore::fetch_remote(const ChunkId& id) { return reader_.get(id, read_order(id)); }

/// What was read elsewhere, for the own store: instead of its damaged copy, or because it should have one.
void ClusterStore::mend(const ChunkId& id, const StoredChunk& chunk, Code local) {
  if (local_ == nullptr) return;
  if (local == Code::NotFound) {
    const auto targets = placement()->targets(id);
    if (options_.keep == ClusterStoreOptions::Keep::Never || std::ranges::find(targets, options_.self) == targets.end())
      return;
  } else if (local != Code::Corrupt) {
    return;
  }
  const auto stored = local_->put_stored(id, chunk.view());
  if (!stored) {
    logger_.warn("chunk not copied here", {{"chunk", id.hex()}, {"reason", stored.error().message}});
    return;
  }
  ++(local == Code::Corrupt ? healed_ : kept_);
}

Result<SharedBytes> ClusterStore::get(const ChunkId& id) {
  if (alone()) return local_->get(id);
  Code local = Code::Unsupported;
  Error local_error;
  if (local_ != nullptr) {
    auto bytes = local_->get(id);
    if (bytes) return bytes;
    local_error = std::move(bytes).error();
    local = local_error.code;
  }
  if (const auto chunk = replicator_.find(id)) {
    TRY(Bytes bytes, unpack(compressor_, id, chunk->view()));
    return std::make_shared<const Bytes>(std::move(bytes));
  }
  auto read = fetch_remote(id);
  if (!read && local == Code::Corrupt && read.error().code == Code::NotFound) return std::unexpected(local_error);
  if (!read) return std::unexpected(std::move(read).error());
  mend(id, read->stored, local);
  return std::make_shared<const Bytes>(std::move(read->bytes));
}

Result<StoredChunk> ClusterStore::get_stored(const ChunkId& id) {
  if (local_ != nullptr) {
    auto stored = local_->get_stored(id);
    if (stored || alone()) return stored;
  }
  if (const auto chunk = replicator_.find(id)) return StoredChunk(*chunk);
  TRY(auto read, fetch_remote(id));
  return std::move(read.stored);
}

Result<Extent> ClusterStore::extent(const ChunkId& id, Form form, uint64_t offset, uint64_t length) {
  if (local_ == nullptr) return fail(Code::Unsupported, fmt::format("chunk {}: this node has no store", id.brief()));
  auto out = local_->extent(id, form, offset, length);
  if (out || alone()) return out;
  if (out.error().code == Code::NotFound)
    return fail(Code::Unsupported, fmt::format("chunk {}: not in this node's store", id.brief()));
  if (out.error().code != Code::Corrupt) return out;
  TRY(const auto read, fetch_remote(id));
  mend(id, read.stored, Code::Corrupt);
  return local_->extent(id, form, offset, length);
}

// ---- write sessions ----

std::unique_ptr<WriteSession> ClusterStore::begin_writes() {
  return make_session(generations_, local_ == nullptr ? nullptr : local_->begin_writes());
}

void ClusterStore::watch(net::NodeId peer, bool up) {
  {
    const std::lock_guard lock(mutex_);
    Told& told = told_[peer];
    told.up = up;
    told.ups += up;
    greet_ |= up;
  }
  if (up) stopped_.notify_all();
  replicator_.set_up(peer, up);
}

WriterMark ClusterStore::mark_for(net::NodeId store) {
  const WriterMark mark = generations_->mark();
  const std::lock_guard lock(mutex_);
  Told& told = told_[store];
  told.named = std::max(told.named, mark.generation);
  return mark;
}

void ClusterStore::confirmed(net::NodeId store, const WriterMark& mark) {
  const std::lock_guard lock(mutex_);
  Told& told = told_[store];
  told.ended = std::max(told.ended, mark.ended);
}

void ClusterStore::tell_sessions() {
  generations_->advance();
  const WriterMark mark = generations_->mark();
  std::vector<std::pair<net::NodeId, uint64_t>> stores;  // and how often they had come up
  {
    const std::lock_guard lock(mutex_);
    for (auto& [id, told] : told_) {
      if (!told.up || !placement_->readable(id)) continue;
      const bool greeted = told.greeted == told.ups;
      if (greeted && (told.ended >= told.named || mark.ended <= told.ended)) continue;
      // What a store that was opened anew hears first is what it waits for the end of.
      if (!greeted) told.named = std::max(told.named, mark.generation);
      stores.emplace_back(id, told.ups);
    }
  }
  std::vector<std::future<bool>> answers;
  for (const auto& [id, ups] : stores) {
    auto heard = std::make_shared<std::promise<bool>>();
    answers.push_back(heard->get_future());
    const auto call =
        rpc_.call(id, static_cast<uint16_t>(RemoteMethod::Sessions), encode_sessions(mark), options_.patience,
                  [heard](const Result<Bytes>& answer) { heard->set_value(answer.has_value()); });
    if (!call) heard->set_value(false);
  }
  for (size_t i = 0; i < stores.size(); ++i) {
    if (!answers[i].get()) continue;
    const auto [id, ups] = stores[i];
    confirmed(id, mark);
    const std::lock_guard lock(mutex_);
    told_[id].greeted = ups;
  }
}

void ClusterStore::tell_sessions_until_stopped() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    stopped_.wait_for(lock, options_.sessions_every, [&] { return stopping_ || greet_; });
    if (stopping_) return;
    greet_ = false;
    lock.unlock();
    tell_sessions();
    lock.lock();
  }
}

// ---- this node's own store ----

namespace {
std::unexpected<Error> no_store() { return fail(Code::Unsupported, "this node has no store"); }
}  // namespace

Result<void> ClusterStore::erase(std::span<const ChunkId> ids) {
  return local_ == nullptr ? Result<void>(no_store()) : local_->erase(ids);
}

Result<CollectionToken> ClusterStore::begin_collection() {
  if (local_ == nullptr) return no_store();
  TRY_DO(service_->sessions().ready_to_collect());
  return local_->begin_collection();
}

Result<std::vector<bool>> ClusterStore::collect(const CollectionToken& token, std::span<const ChunkId> ids) {
  if (local_ == nullptr) return no_store();
  return local_->collect(token, ids);
}

void ClusterStore::end_collection(const CollectionToken& token) {
  if (local_ != nullptr) local_->end_collection(token);
}

Result<ChunkStore::Added> ClusterStore::added_since(const Position& from) {
  if (local_ == nullptr) return no_store();
  return local_->added_since(from);
}

ChunkStore::Stats ClusterStore::stats() const { return local_ == nullptr ? Stats() : local_->stats(); }

ClusterStore::Metrics ClusterStore::metrics() const {
  return {.writes = replicator_.metrics(), .reads = reader_.metrics(), .healed = healed_, .kept = kept_};
}

}  // namespace hailstone::chunk
