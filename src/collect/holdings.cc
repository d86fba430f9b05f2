#include "collect/holdings.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/codec.h"
#include "chunk/index.h"

namespace hailstone::collect {
namespace {

constexpr size_t kSurveyedAtOnce = 1024;
constexpr size_t kPulledAtOnce = 128;
constexpr size_t kShedAtOnce = 1024;
// Each is remembered by its targets until the session of the asker ends there: far fewer than a store can remember.
constexpr uint64_t kShedInARun = 256u << 10;
constexpr uint64_t kReportsInARound = 20;  // lines of the log

/// What is known of a chunk that is listed to be pulled.
struct Lacking {
  uint64_t run = 0;  // 0: not tried, or not all stores answered; else the run before which no store had it
  bool told = false;

  Bytes encode() const {
    Bytes bytes;
    if (run == 0) return bytes;
    Encoder out(bytes);
    out.varint(run);
    out.u8(told ? 1 : 0);
    return bytes;
  }
  static Result<Lacking> decode(ByteView bytes) {
    if (bytes.empty()) return Lacking();
    Decoder in(bytes);
    Lacking out{.run = in.varint(), .told = in.u8() != 0};
    if (!in.done()) return fail(Code::Corrupt, "collector's record of a chunk to be pulled");
    return out;
  }
};

Result<std::vector<ChunkId>> next_rows(const replica::Database& database, char table, const ChunkId& after,
                                       size_t limit) {
  std::vector<ChunkId> out;
  auto rows = database.iterate(keys::of_chunk(table, after), keys::end_of(table));
  for (; rows->valid() && out.size() < limit; rows->next()) {
    TRY(const ChunkId id, keys::chunk_of(table, rows->key()));
    if (id != after) out.push_back(id);
  }
  TRY_DO(rows->status());
  return out;
}

}  // namespace

// ---- where chunks belong ----

/// Of all that decides where chunks belong.
uint64_t Holdings::fingerprint(const chunk::Placement& placement) {
  Bytes text = fmt::format("{}", placement.copies());
  for (const chunk::StoreInfo& store : placement.stores())
    text += fmt::format("\n{} {} {} {}", store.id.value, store.weight, static_cast<int>(store.state), store.place);
  return xxh3(text);
}

void Holdings::belongs(const chunk::Placement& placement, std::span<const ChunkId> ids, std::vector<bool>& out) const {
  std::vector<net::NodeId> targets;
  for (size_t i = 0; i < ids.size(); ++i)
    out[i] = std::ranges::find(targets = placement.targets(ids[i]), store_.self()) != targets.end();
}

Result<bool> Holdings::referred_to(const ChunkId& id) const {
  if (unsealed_.contains(chunk::prefix_of(id))) return true;
  TRY(const auto bytes, database_.get(keys::record(id)));
  if (!bytes) return false;
  TRY(const Record record, Record::decode(*bytes));
  return !record.trash();
}

Result<void> Holdings::check(std::span<const ChunkId> ids, replica::Batch& batch) {
  const auto placement = store_.placement();
  if (ids.empty() || !store_.shared()) return {};
  if (placement->copies() == 0) return restart_survey(batch), Result<void>();  // nothing is known of the others yet
  TRY(const auto here, store_.here(ids));
  std::vector<bool> mine(ids.size());
  belongs(*placement, ids, mine);
  uint64_t lacking = 0, surplus = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (mine[i] == here[i]) continue;
    const Bytes key = keys::of_chunk(mine[i] ? 'F' : 'S', ids[i]);
    TRY(const auto known, database_.get(key));
    if (known) continue;
    batch.put(key, {});
    ++(mine[i] ? lacking : surplus);
  }
  change_status([&](Status& status) {
    status.lacking += lacking;
    status.surplus += surplus;
    status.surplus_needed += surplus;  // until they were asked
  });
  return {};
}

Result<void> Holdings::check_unsealed(std::vector<ChunkId> ids) {
  unsealed_.clear();
  for (const ChunkId& id : ids) unsealed_.insert(chunk::prefix_of(id));
  for (size_t from = 0; from < ids.size(); from += kSurveyedAtOnce) {
    replica::Batch batch;
    TRY_DO(check(std::span(ids).subspan(from, std::min(kSurveyedAtOnce, ids.size() - from)), batch));
    if (!batch.empty()) TRY_DO(database_.write(batch));
  }
  return {};
}

Result<void> Holdings::found_damaged(std::span<const ChunkId> ids) {
  replica::Batch batch;
  std::vector<ChunkId> counted;
  for (const ChunkId& id : ids) {
    if (id.is_zero()) {
      restart_survey(batch);
      continue;
    }
    auto rows = database_.iterate(keys::record(id).substr(0, 9), keys::end_of('C'));
    for (; rows->valid(); rows->next()) {
      TRY(const ChunkId found, keys::chunk_of('C', rows->key()));
      if (chunk::prefix_of(found) != chunk::prefix_of(id)) break;
      TRY(const Record record, Record::decode(rows->value()));
      if (!record.trash()) counted.push_back(found);
    }
    TRY_DO(rows->status());
  }
  TRY_DO(check(counted, batch));
  return batch.empty() ? Result<void>() : database_.write(batch);
}

// ---- the survey ----

void Holdings::put_survey(const Survey& survey, replica::Batch& batch) {
  Bytes value;
  Encoder out(value);
  out.u64(survey.list);
  out.u8(survey.done ? 1 : 0);
  out.hash(survey.after);
  batch.put(Bytes(keys::kSurvey), std::move(value));
}

void Holdings::restart_survey(replica::Batch& batch) { batch.erase(Bytes(keys::kSurvey)); }

Result<std::optional<Holdings::Survey>> Holdings::load_survey() const {
  TRY(const auto bytes, database_.get(keys::kSurvey));
  if (!bytes) return std::nullopt;
  Decoder in(*bytes);
  Survey out;
  out.list = in.u64();
  out.done = in.u8() != 0;
  out.after = ChunkId(in.hash());
  if (!in.done()) return fail(Code::Corrupt, "collector's record of its survey");
  return out;
}

void Holdings::begin_recount(replica::Batch& batch) {
  const auto placement = store_.placement();
  if (placement->copies() > 0) put_survey({.list = fingerprint(*placement), .done = true, .after = {}}, batch);
}

Result<void> Holdings::ask_survey() {
  replica::Batch batch;
  restart_survey(batch);
  return database_.write(batch);
}

Result<bool> Holdings::survey_due() const {
  const auto placement = store_.placement();
  if (placement->copies() == 0 || !store_.shared()) return false;
  TRY(const auto known, load_survey());
  return !known || !known->done || known->list != fingerprint(*placement);
}

Result<bool> Holdings::survey(const Stop& stop) {
  const auto placement = store_.placement();
  const chunk::StoreInfo* self = placement->find(store_.self());
  TRY(auto known, load_survey());
  const uint64_t list = fingerprint(*placement);
  const bool due = placement->copies() > 0 && store_.shared();
  if (due && (!known || known->list != list)) known = Survey{.list = list};
  change_status([&](Status& status) {
    status.receiving = self != nullptr && self->state == chunk::StoreState::In && self->weight > 0;
    status.surveyed = !due || known->done;
  });
  if (!due) return true;
  Survey& at = *known;
  auto rows = database_.iterate(keys::record(at.after), keys::end_of('C'));
  while (!at.done) {
    std::vector<ChunkId> live;
    for (; rows->valid() && live.size() < kSurveyedAtOnce; rows->next()) {
      TRY(at.after, keys::chunk_of('C', rows->key()));
      TRY(const Record record, Record::decode(rows->value()));
      if (!record.trash()) live.push_back(at.after);
    }
    TRY_DO(rows->status());
    at.done = !rows->valid();
    replica::Batch batch;
    TRY_DO(check(live, batch));
    put_survey(at, batch);
    TRY_DO(database_.write(batch));
    change_status([&](Status& status) {
      status.surveyed = at.done;
      status.survey_done = at.done ? 1 : static_cast<double>(chunk::prefix_of(at.after)) * 0x1p-64;
    });
    if (stop()) return false;
  }
  return true;
}

// ---- what this store lacks ----

Result<uint64_t> Holdings::count(char table) const {
  uint64_t out = 0;
  auto rows = database_.iterate(Bytes(1, table), keys::end_of(table));
  for (; rows->valid(); rows->next()) ++out;
  TRY_DO(rows->status());
  return out;
}

Result<bool> Holdings::anything_to_fill() {
  if (!counted_) {
    TRY(const uint64_t lacking, count('F'));
    TRY(const uint64_t surplus, count('S'));
    change_status([&](Status& status) {
      status.lacking = lacking;
      status.surplus = status.surplus_needed = surplus;
    });
    counted_ = true;
  }
  return status().lacking > 0;
}

Result<Holdings::Slice> Holdings::fill(uint64_t bytes_max, uint64_t run, const Stop& stop) {
  Slice out;
  while (!out.ended && out.bytes < bytes_max && !stop()) {
    TRY(const auto rows, next_rows(database_, 'F', fill_after_, kPulledAtOnce));
    out.ended = rows.size() < kPulledAtOnce;
    std::vector<bool> mine(rows.size());
    belongs(*store_.placement(), rows, mine);
    std::vector<ChunkId> wanted;
    for (size_t i = 0; i < rows.size(); ++i) {
      TRY(const bool referred, referred_to(rows[i]));
      if (referred && mine[i]) wanted.push_back(rows[i]);
    }
    TRY(const auto filled, store_.fill(wanted));
    TRY_DO(settle_filled(rows, filled, run));
    out.chunks += filled.chunks;
    out.bytes += filled.bytes;
    fill_after_ = out.ended ? ChunkId() : rows.back();
  }
  if (out.ended) {
    TRY(const uint64_t left, count('F'));
    change_status([&](Status& status) {
      status.lacking = left;
      status.not_reached = std::exchange(round_not_reached_, 0);
      status.lost = std::exchange(round_lost_, 0);
    });
    round_reports_ = 0;
  }
  return out;
}

/// A chunk that no store has may have been let go everywhere since this node counted: it is lost if it is referred to
/// in a later run still.
Result<void> Holdings::settle_filled(std::span<const ChunkId> rows, const chunk::ClusterStore::Filled& filled,
                                     uint64_t run) {
  std::unordered_set<uint64_t> left;
  replica::Batch batch;
  for (const ChunkId& id : filled.not_reached) left.insert(chunk::prefix_of(id));
  round_not_reached_ += filled.not_reached.size();
  for (const ChunkId& id : filled.lost) {
    left.insert(chunk::prefix_of(id));
    const Bytes key = keys::of_chunk('F', id);
    TRY(const auto bytes, database_.get(key));
    TRY(Lacking known, Lacking::decode(bytes ? *bytes : Bytes()));
    if (known.run == 0) {
      known.run = run;
    } else if (run > known.run) {
      ++round_lost_;
      if (!known.told && round_reports_++ < kReportsInARound) {
        known.told = true;
        logger_.error("chunk lost", {{"chunk", id.hex()},
                                     {"what_to_do",
                                      "see what refers to it by 'hailstone why', and bring back a store "
                                      "that had it, or write it again"}});
      }
    } else {
      continue;
    }
    batch.put(key, known.encode());
  }
  uint64_t settled = 0;
  for (const ChunkId& id : rows)
    if (!left.contains(chunk::prefix_of(id))) batch.erase(keys::of_chunk('F', id)), ++settled;
  if (!batch.empty()) TRY_DO(database_.write(batch));
  change_status([&](Status& status) {
    status.lacking -= std::min(status.lacking, settled);
    status.filled_chunks += filled.chunks;
    status.filled_bytes += filled.bytes;
  });
  return {};
}

// ---- what it holds for others ----

Result<Holdings::Shed> Holdings::shed(const chunk::CollectionToken* token, const Stop& stop) {
  Shed out;
  uint64_t needed = 0, looked = 0;
  bool whole = false;
  // What the targets are asked is held there for this session until it ended.
  const auto session = store_.begin_writes();
  for (ChunkId after; !whole && looked < kShedInARun && !stop();) {
    TRY(const auto rows, next_rows(database_, 'S', after, kShedAtOnce));
    whole = rows.size() < kShedAtOnce;
    if (rows.empty()) break;
    looked += rows.size();
    after = rows.back();
    TRY_DO(shed_some(rows, token, out, needed));
  }
  TRY(const uint64_t left, count('S'));
  change_status([&](Status& status) {
    status.surplus = left;
    status.surplus_needed = whole ? needed : left;  // those nobody asked about count as needed
    status.shed_chunks += out.chunks;
  });
  return out;
}

Result<void> Holdings::shed_some(std::span<const ChunkId> rows, const chunk::CollectionToken* token, Shed& out,
                                 uint64_t& needed) {
  std::vector<bool> mine(rows.size());
  belongs(*store_.placement(), rows, mine);
  TRY(const auto here, store_.here(rows));
  replica::Batch batch;
  std::vector<ChunkId> surplus;
  for (size_t i = 0; i < rows.size(); ++i) {
    TRY(const bool referred, referred_to(rows[i]));
    if (referred && here[i] && !mine[i]) {
      surplus.push_back(rows[i]);
    } else {
      batch.erase(keys::of_chunk('S', rows[i]));
    }
  }
  TRY(const auto whole, store_.on_all_targets(surplus));
  std::vector<ChunkId> safe;
  for (size_t i = 0; i < surplus.size(); ++i)
    if (whole[i]) safe.push_back(surplus[i]);
  needed += surplus.size() - safe.size();
  if (token != nullptr && !safe.empty()) {
    auto gone = store_.collect(*token, safe);
    if (!gone && gone.error().code != Code::Unavailable) return std::unexpected(std::move(gone).error());
    for (size_t i = 0; i < safe.size(); ++i) {
      if (!gone || !(*gone)[i]) {
        ++out.held;
        continue;
      }
      ++out.chunks;
      batch.erase(keys::of_chunk('S', safe[i]));
    }
  }
  return batch.empty() ? Result<void>() : database_.write(batch);
}

template <class Change>
void Holdings::change_status(Change change) {
  const std::scoped_lock lock(mutex_);
  change(status_);
}

Holdings::Status Holdings::status() const {
  const std::scoped_lock lock(mutex_);
  return status_;
}

}  // namespace hailstone::collect
