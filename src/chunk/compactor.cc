#include "chunk/compactor.h"

#include <fmt/core.h>

#include <algorithm>

#include "chunk/sidecar.h"

namespace hailstone::chunk {
namespace {

constexpr size_t kErasedAtOnce = 256u << 10;     // ids that victims of one round erase: bounds memory
constexpr uint64_t kActiveBytesMin = 16u << 20;  // a smaller active segment is not worth closing
constexpr uint64_t kErasureBytes = sizeof(ChunkId);

bool mostly_dead(uint64_t file_bytes, uint64_t live_bytes, uint32_t dead_percent) {
  const uint64_t dead = file_bytes > live_bytes ? file_bytes - live_bytes : 0;
  return dead > 0 && dead * 100 >= file_bytes * dead_percent;
}

}  // namespace

std::vector<uint32_t> plan_compaction(const std::map<uint32_t, Usage::Segment>& segments, uint32_t active,
                                      uint32_t dead_percent, Tightness tightness) {
  std::vector<uint32_t> out;
  if (segments.empty()) return out;
  // Without an active one the newest stays: its number must not be used again.
  const uint32_t newest = active != 0 ? active : segments.rbegin()->first;
  for (const auto& [number, use] : segments)
    if (number != newest && (use.live_chunks == 0 || mostly_dead(use.file_bytes, use.live_bytes, dead_percent)))
      out.push_back(number);
  const auto rank = [&](uint32_t number) {
    const Usage::Segment& use = segments.at(number);
    return std::tuple(use.live_chunks > 0, tightness == Tightness::Tight ? use.live_bytes : 0, number);
  };
  std::ranges::sort(out, {}, rank);
  return out;
}

Result<LocalStore::Compacted> Compactor::run(const LocalStore::CompactOptions& options,
                                             const std::function<bool()>& stop) {
  std::lock_guard running(running_);
  Run run{.options = options, .stop = stop};
  parts_.write_sidecars();
  TRY_DO(close_active(run));
  TRY(const uint64_t free, parts_.disk.free_bytes(parts_.options.directory));
  const bool tight = free < parts_.options.reserve_bytes + 2 * parts_.options.segment_bytes;
  const auto planned = plan_compaction(parts_.usage.segments(), parts_.writer.active_size().first, options.dead_percent,
                                       tight ? Tightness::Tight : Tightness::Roomy);
  for (size_t i = 0; i < planned.size();) {
    std::vector<Victim> round;
    for (size_t erased = 0; i < planned.size() && erased < kErasedAtOnce; ++i) {
      const auto kept = kept_at_.find(planned[i]);
      if (kept != kept_at_.end() && kept->second == removed_) continue;
      TRY(auto entries, parts_.entries_of(planned[i]));
      erased += static_cast<size_t>(std::ranges::count_if(entries, &SegmentEntry::erased));
      round.push_back({.segment = planned[i], .entries = std::move(entries)});
    }
    TRY_DO(find_holders(run, round));
    for (const Victim& victim : round) {
      if (stop()) {
        run.report.stopped = true;
        return std::move(run.report);
      }
      TRY_DO(compact(run, victim));
    }
  }
  return std::move(run.report);
}

/// Only when what it would leave behind is worth a file of its own.
Result<void> Compactor::close_active(Run& run) {
  const auto [number, bytes] = parts_.writer.active_size();
  if (number == 0 || bytes < std::min(kActiveBytesMin, parts_.options.segment_bytes / 2)) return {};
  const auto kept = kept_at_.find(number);
  if (kept != kept_at_.end() && kept->second == removed_) return {};
  const auto segments = parts_.usage.segments();
  const auto use = segments.find(number);
  const uint64_t live = use == segments.end() ? 0 : use->second.live_bytes;
  if (!mostly_dead(bytes, live, run.options.dead_percent)) return {};
  TRY(const auto described, parts_.writer.describe_active());
  if (!described) return {};
  const Victim victim{.segment = number, .entries = described->entries};
  TRY_DO(find_holders(run, {victim}));
  TRY(const auto needed, needed_erasures(run, victim));
  if (!mostly_dead(bytes, live + needed.size() * kErasureBytes, run.options.dead_percent)) {
    kept_at_[number] = removed_;
    return {};
  }
  auto closed = parts_.writer.close_active(number);
  if (!closed && closed.error().code != Code::Exhausted) return closed;
  parts_.write_sidecars();
  return {};
}

/// One look at every other segment for all victims of a round.
Result<void> Compactor::find_holders(Run& run, const std::vector<Victim>& victims) {
  run.holders.clear();
  for (const Victim& victim : victims)
    for (const SegmentEntry& entry : victim.entries)
      if (entry.erased()) run.holders[entry.id];
  if (run.holders.empty()) return {};
  const uint32_t active = parts_.writer.active_size().first;
  for (const auto& [number, use] : parts_.usage.segments()) {
    if (number == active) continue;  // its own end says what is erased of it
    const auto known = std::ranges::find(victims, number, &Victim::segment);
    std::vector<SegmentEntry> read;
    if (known == victims.end()) {
      TRY(read, parts_.entries_of(number));
    }
    for (const SegmentEntry& entry : known == victims.end() ? read : known->entries) {
      if (entry.erased()) continue;
      const auto wanted = run.holders.find(entry.id);
      if (wanted != run.holders.end()) wanted->second.push_back(number);
    }
    if (run.stop()) return {};
  }
  return {};
}

/// Ids that the victim erases, that are not here now, and of which another file has a record: in order, without
/// duplicates.
Result<std::vector<ChunkId>> Compactor::needed_erasures(const Run& run, const Victim& victim) {
  std::vector<ChunkId> out;
  for (const SegmentEntry& entry : victim.entries) {
    if (!entry.erased()) continue;
    const auto held = run.holders.find(entry.id);
    if (held == run.holders.end()) continue;
    if (std::ranges::none_of(held->second, [&](uint32_t segment) { return segment != victim.segment; })) continue;
    // Whoever erases it holds this until the index says so too.
    IdLocks::Guard guard(parts_.id_locks, std::span(&entry.id, 1));
    TRY(const bool absent, parts_.absent(entry.id));
    if (absent) out.push_back(entry.id);
  }
  std::ranges::sort(out);
  out.erase(std::ranges::unique(out).begin(), out.end());
  return out;
}

/// A quarter of the reserve is left for the log and the database.
Result<bool> Compactor::has_room(uint64_t bytes) {
  TRY(const uint64_t free, parts_.disk.free_bytes(parts_.options.directory));
  return free >= bytes + parts_.options.reserve_bytes / 4;
}

Result<void> Compactor::compact(Run& run, const Victim& victim) {
  const auto segments = parts_.usage.segments();
  const auto use = segments.find(victim.segment);
  if (use == segments.end()) return {};
  const auto [file_bytes, live_bytes, live_chunks] = use->second;
  TRY(const auto needed, needed_erasures(run, victim));
  const uint64_t erasures = needed.size() * kErasureBytes;
  if (file_bytes > 0 && !mostly_dead(file_bytes, live_bytes + erasures, run.options.dead_percent)) {
    kept_at_[victim.segment] = removed_;
    return {};
  }
  if (parts_.quarantine.holds(victim.segment)) {
    ++run.report.kept_damaged;
    return {};
  }
  if (live_bytes + erasures > 0) {
    TRY(const bool room, has_room(live_bytes + erasures));
    if (!room) {
      ++run.report.kept_for_room;
      return {};
    }
  }
  auto moved = move_live(run, victim);
  if (moved) moved = carry_erasures(run, needed);
  if (moved) moved = parts_.writer.sync();
  if (!moved && moved.error().code == Code::Exhausted) {
    ++run.report.kept_for_room;
    return {};
  }
  TRY_DO(std::move(moved));
  parts_.write_sidecars();
  if (run.report.stopped) return {};
  return remove_segment(run, victim.segment);
}

Result<void> Compactor::move_live(Run& run, const Victim& victim) {
  for (const SegmentEntry& entry : victim.entries) {
    if (entry.erased()) continue;
    if (run.stop()) {
      run.report.stopped = true;
      return {};
    }
    TRY(const uint64_t bytes, move(victim.segment, entry));
    if (bytes == 0) continue;
    ++run.report.moved_chunks;
    run.report.moved_bytes += bytes;
    if (run.options.pace) run.options.pace(bytes);
  }
  return {};
}

/// Bytes written; none when nothing lives there. Waits for a put that has appended but not said so in the index yet.
Result<uint64_t> Compactor::move(uint32_t segment, const SegmentEntry& entry) {
  const uint64_t prefix = prefix_of(entry.id);
  const Location at = Location::make(segment, entry.offset(), entry.span());
  IdLocks::Guard guard(parts_.id_locks, std::span(&entry.id, 1));
  std::optional<Index::Slot> slot;
  parts_.index.find(prefix).each([&](const Index::Slot& found) {
    if (found.location.place() == at.place()) slot = found;
  });
  if (!slot || slot->location.is(Location::kQuarantined)) return 0;
  auto record = parts_.records.load_raw(at);
  if (record && record->first.id != entry.id)
    record = fail(Code::Corrupt, "record of chunk " + record->first.id.brief());
  if (!record && record.error().code == Code::Corrupt) {
    parts_.damaged(*slot, entry.id, record.error().message);
    return 0;
  }
  if (!record) return std::unexpected(std::move(record).error());
  auto& [header, payload] = *record;
  TRY(const auto placed, parts_.writer.append(header, payload, {}, SegmentWriter::Room::UseReserve));
  Location to = Location::make(placed.segment, placed.offset, placed.span);
  to.packed |= Location::kVerified;
  SegmentEntry now = entry;
  now.offset8 = static_cast<uint32_t>(placed.offset / kRecordAlign);
  now.span8 = static_cast<uint32_t>(placed.span / kRecordAlign);
  parts_.usage.add(placed.segment, now);
  parts_.moved(prefix, slot->location, to, entry);
  return placed.span;
}

/// Under the ids' locks: one that was put again meanwhile must not be erased.
Result<void> Compactor::carry_erasures(Run& run, const std::vector<ChunkId>& ids) {
  for (size_t i = 0; i < ids.size(); i += kErasedIdsMax) {
    const auto some = std::span(ids).subspan(i, std::min(kErasedIdsMax, ids.size() - i));
    IdLocks::Guard guard(parts_.id_locks, some);
    std::vector<ChunkId> still;
    Bytes payload;
    for (const ChunkId& id : some) {
      TRY(const bool absent, parts_.absent(id));
      if (!absent) continue;
      still.push_back(id);
      payload += id.view();
    }
    if (still.empty()) continue;
    RecordHeader header;
    header.kind = RecordKind::Erase;
    header.bytes = header.stored = static_cast<uint32_t>(payload.size());
    sum_blocks(header, payload);
    TRY_DO(parts_.writer.append(header, payload, still, SegmentWriter::Room::UseReserve));
    run.report.carried_erasures += still.size();
  }
  return {};
}

Result<void> Compactor::remove_segment(Run& run, uint32_t segment) {
  const auto segments = parts_.usage.segments();
  const auto use = segments.find(segment);
  if (use == segments.end()) return {};
  if (use->second.live_chunks > 0) {  // found damaged on the way
    ++run.report.kept_damaged;
    return {};
  }
  for (const std::string& name : {sidecar_name(segment), segment_name(segment)}) {
    const std::string path = parts_.options.directory + "/" + name;
    const auto bytes = parts_.disk.file_size(path);
    if (bytes) {
      auto removed = parts_.disk.remove(path);
      if (!removed && removed.error().code != Code::NotFound) return removed;
      TRY_DO(parts_.disk.sync_directory(parts_.options.directory));
      if (name == sidecar_name(segment)) parts_.usage.remove_other_bytes(*bytes);
      run.report.freed_bytes += *bytes;
    } else if (bytes.error().code != Code::NotFound) {
      return std::unexpected(bytes.error());
    }
  }
  parts_.files.forget(segment);
  parts_.usage.drop(segment);
  const size_t nameless = parts_.quarantine.drop(segment);
  if (nameless > 0)
    parts_.logger.warn("damaged places went with their segment",
                       {{"segment", uint64_t{segment}}, {"places", nameless}});
  for (auto& [id, holders] : run.holders) std::erase(holders, segment);
  kept_at_.erase(segment);
  ++removed_;
  ++run.report.segments;
  return {};
}

}  // namespace hailstone::chunk
