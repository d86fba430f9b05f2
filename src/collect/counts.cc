#include "collect/counts.h"

#include <fmt/format.h>

#include <algorithm>

#include "collect/references.h"
#include "volume/schema.h"

namespace hailstone::collect {
namespace {

constexpr size_t kRecordsPerBatch = 4096;

}  // namespace

Result<void> Counts::load() {
  work_.clear();
  records_.clear();
  arrived_.clear();
  batch_.clear();
  next_number_ = 0;
  auto rows = database_.iterate("W", keys::end_of('W'));
  for (; rows->valid(); rows->next()) {
    if (rows->key().size() != 9) return fail(Code::Corrupt, "collector's work key " + to_hex(rows->key()));
    TRY(Work work, Work::decode(rows->value()));
    const uint64_t number = volume::schema::from_big_endian(rows->key().substr(1));
    work_.push_back({.work = std::move(work), .number = number, .stored = true});
    next_number_ = number + 1;
  }
  return rows->status();
}

Result<Record*> Counts::working(const ChunkId& id) {
  const auto [it, inserted] = records_.try_emplace(id);
  if (inserted) {
    auto bytes = database_.get(keys::record(id));
    if (!bytes) return std::unexpected(std::move(bytes).error());
    if (*bytes) {
      TRY(it->second.before, Record::decode(**bytes));
      it->second.now = it->second.before;
    }
  }
  return it->second.now ? &*it->second.now : nullptr;
}

Result<std::optional<Record>> Counts::find(const ChunkId& id) {
  if (const auto it = records_.find(id); it != records_.end()) return it->second.now;
  TRY(const auto bytes, database_.get(keys::record(id)));
  if (!bytes) return std::nullopt;
  TRY(Record record, Record::decode(*bytes));
  return record;
}

Result<void> Counts::change(const Reference& reference, Work::Sign sign) {
  ++stats.counted;
  TRY(Record * record, working(reference.id));
  if (record == nullptr) record = &records_[reference.id].now.emplace();
  auto at = std::lower_bound(record->counts.begin(), record->counts.end(), reference.kind,
                             [](const Record::Count& count, Kind kind) { return count.kind < kind; });
  const bool known = at != record->counts.end() && at->kind == reference.kind;
  if (sign == Work::Sign::Count) {
    if (known) {
      ++at->count;
      return {};
    }
    record->counts.insert(at, {.kind = reference.kind, .count = 1});
  } else {
    if (!known)
      return fail(Code::Corrupt, fmt::format("collector's count of chunk {} as {}: none left to discount",
                                             reference.id.brief(), static_cast<int>(reference.kind)));
    if (--at->count > 0) return {};
    record->counts.erase(at);
    if (record->trash()) {
      record->since = now_;
      record->run = run_;
      ++stats.trashed;
    }
  }
  if (has_children(reference.kind))
    work_.push_back({.work = {.sign = sign, .what = reference}, .number = next_number_++, .stored = false});
  return {};
}

Result<void> Counts::add(const Reference& reference, Work::Sign sign,
                         const std::function<void(replica::Batch&)>& also) {
  TRY_DO(change(reference, sign));
  also(batch_);
  return commit_if_big();
}

Result<void> Counts::step() {
  const Pending next = std::move(work_.back());
  work_.pop_back();
  if (next.stored) batch_.erase(keys::work(next.number));
  std::vector<Reference> references;
  const auto read = for_each_reference(chunks_, next.work.what, [&](const Reference& reference, ByteView) {
    references.push_back(reference);
    return Result<void>();
  });
  if (!read) {
    const bool lost = read.error().code == Code::NotFound || read.error().code == Code::Corrupt;
    if (!lost || next.work.sign == Work::Sign::Count) return read;
    ++stats.unreadable;
    return {};
  }
  for (const Reference& reference : references) TRY_DO(change(reference, next.work.sign));
  return {};
}

Result<bool> Counts::drain(const std::function<bool()>& stop) {
  while (!work_.empty()) {
    TRY_DO(step());
    if (records_.size() >= kRecordsPerBatch) {
      TRY_DO(commit());
      if (stop()) return false;
    }
  }
  TRY_DO(commit());
  return !stop();
}

Result<void> Counts::note_unreferenced(const ChunkId& id) {
  TRY(Record * record, working(id));
  if (record != nullptr) {
    if (holdings_ != nullptr && !record->trash()) arrived_.push_back(id);
    return commit_if_big();
  }
  records_[id].now = Record{.counts = {}, .since = now_, .run = run_};
  ++stats.trashed;
  return commit_if_big();
}

void Counts::forget(const ChunkId& id, const Record& record) { records_[id] = {.before = record, .now = std::nullopt}; }

Result<void> Counts::restamp(const ChunkId& id, const Record& record) {
  records_[id] = {.before = record, .now = Record{.counts = {}, .since = now_, .run = run_}};
  return commit_if_big();
}

Result<void> Counts::commit_if_big() { return records_.size() >= kRecordsPerBatch ? commit() : Result<void>(); }

/// What changed since the last commit, whole: records, their places in the trash, work done and work to do, and what is
/// not where it belongs.
Result<void> Counts::commit() {
  std::vector<ChunkId> live = std::exchange(arrived_, {});
  for (const auto& [id, entry] : records_) {
    if (entry.before == entry.now) continue;
    if (holdings_ != nullptr && entry.now && !entry.now->trash() && (!entry.before || entry.before->trash()))
      live.push_back(id);
    if (entry.before && entry.before->trash()) batch_.erase(keys::trash(entry.before->since, id));
    if (!entry.now) {
      batch_.erase(keys::record(id));
      continue;
    }
    if (entry.now->trash()) batch_.put(keys::trash(entry.now->since, id), {});
    batch_.put(keys::record(id), entry.now->encode());
  }
  for (auto it = work_.rbegin(); it != work_.rend() && !it->stored; ++it) {
    batch_.put(keys::work(it->number), it->work.encode());
    it->stored = true;
  }
  if (holdings_ != nullptr) TRY_DO(holdings_->check(live, batch_));
  if (!batch_.empty()) TRY_DO(database_.write(batch_));
  batch_.clear();
  records_.clear();
  return {};
}

}  // namespace hailstone::collect
