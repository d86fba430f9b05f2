#include "collect/collector.h"

#include <fmt/format.h>

#include <algorithm>

#include "chunk/index.h"
#include "collect/references.h"
#include "volume/roots.h"

namespace hailstone::collect {
namespace {

constexpr size_t kErasedAtOnce = 1024;

/// Ends a store's collection whatever happens.
class Collection {
 public:
  Collection(chunk::ChunkStore& chunks, const chunk::CollectionToken& begun) : token(begun), chunks_(chunks) {}
  ~Collection() { chunks_.end_collection(token); }
  Collection(const Collection&) = delete;
  Collection& operator=(const Collection&) = delete;
  const chunk::CollectionToken token;

 private:
  chunk::ChunkStore& chunks_;
};

}  // namespace

struct Collector::Run {
  const CollectOptions& options;
  const Stop& stop;
  const Progress& progress;
  const chunk::CollectionToken* token;     // null: nothing may be erased now
  std::unique_ptr<replica::Reader> state;  // taken after the token
  Meta meta{};
  CollectReport report{};
  std::vector<volume::RootRef> dropped{};
};

Collector::Collector(Look look, replica::Database& database, chunk::ChunkStore& chunks, const Clock& clock,
                     Holdings* holdings)
    : look_(std::move(look)),
      database_(database),
      chunks_(chunks),
      clock_(clock),
      holdings_(holdings),
      counts_(database, chunks, holdings) {}
Collector::~Collector() = default;

Result<Meta> Collector::load_meta() const {
  TRY(const auto bytes, database_.get(keys::kMeta));
  if (!bytes) return Meta{.runs = 0, .time = {}, .added = {}, .recount = true};
  return Meta::decode(*bytes);
}

Result<CollectReport> Collector::run_once(const CollectOptions& options, const Stop& stop, const Progress& progress) {
  const auto token = chunks_.begin_collection();
  std::optional<Collection> collection;
  Run run{.options = options, .stop = stop, .progress = progress, .token = nullptr, .state = nullptr};
  if (token) {
    collection.emplace(chunks_, *token);
    run.token = &collection->token;
  } else if (token.error().code == Code::Unavailable) {
    // Counting does no harm, and what this store lacks is known by the counts.
    run.report.blocked = token.error().message;
  } else {
    return std::unexpected(token.error());
  }
  TRY(run.state, look_());
  TRY_DO(start(run));
  // In this order: what is still referred to is counted before anything that shared it is discounted.
  TRY(bool going, counts_.drain(stop));
  if (going) {
    TRY(going, count_roots(run));
  }
  if (going) {
    TRY(going, discount_roots(run));
  }
  if (going) {
    TRY(going, take_candidates(run));
  }
  run.report.trashed = counts_.stats.trashed;
  if (going && holdings_ != nullptr) {
    TRY(going, look_at_holdings(run));
  }
  if (going && run.token != nullptr) TRY_DO(empty_trash(run));
  run.report.counted = counts_.stats.counted;
  run.report.stopped = !going;
  return std::move(run.report);
}

Result<void> Collector::start(Run& run) {
  TRY(run.meta, load_meta());
  counts_.stats = {};
  Meta& meta = run.meta;
  replica::Batch batch;
  if (meta.recount) {
    run.report.recounted = true;
    for (const char table : {'C', 'R', 'W', 'X'}) batch.erase_range(Bytes(1, table), keys::end_of(table));
    meta.added = {};
    meta.recount = false;
    if (holdings_ != nullptr) holdings_->begin_recount(batch);
  }
  ++meta.runs;
  // Ages in the trash only ever grow late: a clock set back does not make them shorter.
  meta.time = std::max(meta.time, clock_.wall());
  batch.put(Bytes(keys::kMeta), meta.encode());
  TRY_DO(database_.write(batch));
  TRY_DO(counts_.load());
  counts_.set_stamp(meta.time, meta.runs);
  run.report.run = meta.runs;
  run.report.sessions = run.token != nullptr ? run.token->sessions : 0;
  return {};
}

/// Merges the roots of now with those counted, both in order.
Result<bool> Collector::count_roots(Run& run) {
  const auto before = database_.snapshot();
  auto rows = before->iterate("R", keys::end_of('R'));
  const auto drop_up_to = [&](const Bytes* key) -> Result<bool> {
    while (rows->valid() && (key == nullptr || rows->key() < ByteView(*key))) {
      TRY(auto ref, keys::decode_root(rows->key()));
      run.dropped.push_back(std::move(ref));
      rows->next();
    }
    TRY_DO(rows->status());
    if (key == nullptr || !rows->valid() || rows->key() != ByteView(*key)) return false;
    rows->next();
    return true;
  };
  bool stopped = false;
  TRY_DO(volume::for_each_root(*run.state, [&](const volume::RootRef& ref) -> Result<void> {
    if (stopped) return {};
    const Bytes key = keys::root(ref);
    TRY(const bool counted, drop_up_to(&key));
    if (counted) return {};
    ++run.report.roots_added;
    TRY_DO(counts_.add(reference_of(ref), Work::Sign::Count, [&](replica::Batch& batch) { batch.put(key, {}); }));
    TRY(const bool going, counts_.drain(run.stop));
    stopped = !going;
    run.progress("count", counts_.stats.counted);
    return {};
  }));
  if (stopped) return false;
  TRY_DO(drop_up_to(nullptr));
  return true;
}

Result<bool> Collector::discount_roots(Run& run) {
  for (const volume::RootRef& ref : run.dropped) {
    ++run.report.roots_dropped;
    TRY_DO(counts_.add(reference_of(ref), Work::Sign::Discount,
                       [&](replica::Batch& batch) { batch.erase(keys::root(ref)); }));
    TRY(const bool going, counts_.drain(run.stop));
    run.progress("discount", counts_.stats.counted);
    if (!going) return false;
  }
  if (counts_.stats.unreadable > 0) {
    // What they referred to stays counted: too much is kept, never too little, until the next run counts anew.
    run.meta.recount = true;
    counts_.batch().put(Bytes(keys::kMeta), run.meta.encode());
    TRY_DO(counts_.commit());
  }
  return true;
}

Result<bool> Collector::take_candidates(Run& run) {
  for (;;) {
    TRY(const auto added, chunks_.added_since(run.meta.added));
    for (const ChunkId& id : added.ids) TRY_DO(counts_.note_unreferenced(id));
    if (holdings_ != nullptr && added.next < run.meta.added) holdings_->lost_chunks(counts_.batch());
    run.report.candidates += added.ids.size();
    run.meta.added = added.next;
    counts_.batch().put(Bytes(keys::kMeta), run.meta.encode());
    TRY_DO(counts_.commit());
    run.progress("candidates", run.report.candidates);
    if (run.stop()) return false;
    if (!added.more) return true;
  }
}

/// Before anything is erased: what is lacking here may be what keeps the run from reading.
Result<bool> Collector::look_at_holdings(Run& run) {
  std::vector<ChunkId> unsealed;
  TRY_DO(volume::for_each_unsealed(*run.state, [&](ByteView, const chunk::Content& content) {
    return chunk::for_each_chunk(chunks_, content, [&](const ChunkId& id) { unsealed.push_back(id); });
  }));
  TRY_DO(holdings_->check_unsealed(std::move(unsealed)));
  TRY(const bool going, holdings_->survey(run.stop));
  if (!going) return false;
  TRY(const auto shed, holdings_->shed(run.options.dry_run ? nullptr : run.token, run.stop));
  run.report.shed = shed.chunks;
  run.progress("shed", shed.chunks);
  return !run.stop();
}

Result<chunk::Stat> Collector::stat_here(const ChunkId& id) const {
  return holdings_ != nullptr ? holdings_->stat_here(id) : chunks_.stat(id);
}

/// The contents that edits name and no tree does: they have no counts, so what is due is held against them.
Result<Collector::Pins> Collector::pins(const replica::Reader& state) {
  Pins out;
  TRY_DO(volume::for_each_unsealed(state, [&](ByteView, const chunk::Content& content) {
    return chunk::for_each_chunk(chunks_, content, [&](const ChunkId& id) { out.insert(chunk::prefix_of(id)); });
  }));
  return out;
}

Result<void> Collector::empty_trash(Run& run) {
  const int64_t window = static_cast<int64_t>(std::min<uint64_t>(run.options.trash_window_seconds, 1ull << 40));
  const UnixMicros horizon{run.meta.time.value - window * 1'000'000};
  const auto before = database_.snapshot();
  auto rows = before->iterate("X", keys::end_of('X'));
  if (!rows->valid()) return rows->status();
  std::optional<Pins> pinned;
  std::vector<ChunkId> due;
  for (; rows->valid() && run.report.blocked.empty(); rows->next()) {
    TRY(const auto row, keys::decode_trash(rows->key()));
    const auto& [since, id] = row;
    if (since > horizon) break;
    if (!pinned) {
      TRY(pinned, pins(*run.state));
      // A crash may take this database back to its last flush: what led here must not be undone once chunks are gone.
      TRY_DO(database_.flush());
    }
    if (pinned->contains(chunk::prefix_of(id))) {
      ++run.report.pinned;
      TRY_DO(counts_.restamp(id, {.counts = {}, .since = since, .run = 0}));
      continue;
    }
    due.push_back(id);
    if (due.size() < kErasedAtOnce) continue;
    TRY_DO(erase_due(run, due));
    due.clear();
    run.progress("erase", run.report.erased);
    if (run.stop()) {
      run.report.stopped = true;
      break;
    }
  }
  TRY_DO(rows->status());
  if (!run.report.stopped) TRY_DO(erase_due(run, due));
  return counts_.commit();
}

Result<void> Collector::erase_due(Run& run, const std::vector<ChunkId>& due) {
  if (due.empty()) return {};
  std::vector<std::optional<uint64_t>> bytes;  // none: it was never here, or is gone
  for (const ChunkId& id : due) {
    const auto stat = stat_here(id);
    bytes.push_back(stat ? std::optional<uint64_t>(stat->stored_bytes) : std::nullopt);
  }
  std::vector<bool> gone(due.size(), true);
  if (!run.options.dry_run) {
    auto collected = chunks_.collect(*run.token, due);
    if (!collected && collected.error().code == Code::Unavailable) {
      run.report.blocked = collected.error().message;
      run.report.held += due.size();
      return {};
    }
    if (!collected) return std::unexpected(std::move(collected).error());
    gone = *collected;  // for good: one that a crash brought back would never be a candidate again
  }
  for (size_t i = 0; i < due.size(); ++i) {
    if (!gone[i]) {
      ++run.report.held;
      continue;
    }
    run.report.erased += bytes[i].has_value();
    run.report.erased_bytes += bytes[i].value_or(0);
    if (run.options.dry_run) continue;
    TRY(const auto record, counts_.find(due[i]));
    if (record && record->trash()) counts_.forget(due[i], *record);
  }
  return counts_.commit_if_big();
}

}  // namespace hailstone::collect
