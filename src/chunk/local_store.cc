#include "chunk/local_store.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>

#include "chunk/compactor.h"
#include "chunk/compression.h"
#include "chunk/epochs.h"
#include "chunk/id_locks.h"
#include "chunk/index.h"
#include "chunk/quarantine.h"
#include "chunk/records.h"
#include "chunk/recovery.h"
#include "chunk/segment_files.h"
#include "chunk/segment_scan.h"
#include "chunk/segment_writer.h"
#include "chunk/stored.h"
#include "chunk/usage.h"

namespace hailstone::chunk {
namespace {

constexpr uint64_t kVerifyBatch = 1u << 20;  // index slots sorted at once by verify_all

std::unexpected<Error> absent(const ChunkId& id) {
  return fail(Code::NotFound, fmt::format("chunk {}: not in this store", id.brief()));
}

std::vector<ChunkId> sorted_once(std::span<const ChunkId> ids) {
  std::vector<ChunkId> out(ids.begin(), ids.end());
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

/// All that is known of an id when the record's header is lost.
ChunkId id_of_prefix(uint64_t prefix) {
  ChunkId id;
  for (size_t i = 0; i < 8; ++i) id.bytes[i] = static_cast<uint8_t>(prefix >> (56 - 8 * i));
  return id;
}

/// Lock order: IdLocks, then damage_mutex_, then the locks inside the parts.
class LocalStoreFiles final : public LocalStore {
 public:
  LocalStoreFiles(disk::Disk& disk, const LocalStoreOptions& options, Logger& logger,
                  std::unique_ptr<disk::DirectoryLock> lock)
      : disk_(disk),
        options_(options),
        logger_(logger),
        lock_(std::move(lock)),
        files_(disk, options.directory, options.open_files_max),
        records_(files_, compressor_),
        quarantine_(disk, options.directory + "/quarantine") {}
  ~LocalStoreFiles() override;

  Result<void> recover();

  Result<ChunkId> put(ByteView bytes, Compress compress) override;
  Result<void> put_named(const ChunkId& id, ByteView bytes, Compress compress) override;
  Result<void> put_stored(const ChunkId& id, const StoredView& chunk) override;
  Result<void> sync() override;
  Result<SharedBytes> get(const ChunkId& id) override;
  Result<StoredChunk> get_stored(const ChunkId& id) override;
  Result<Stat> stat(const ChunkId& id) override;
  Result<Extent> extent(const ChunkId& id, Form form, uint64_t offset, uint64_t length) override;
  Result<std::vector<bool>> has(std::span<const ChunkId> ids) override;
  Result<std::vector<bool>> touch(std::span<const ChunkId> ids) override;
  Result<std::vector<ChunkId>> list(const ChunkId& after, size_t limit) override;
  Result<void> erase(std::span<const ChunkId> ids) override;
  std::unique_ptr<WriteSession> begin_writes() override { return epochs_->begin_session(); }
  Result<CollectionToken> begin_collection() override;
  Result<std::vector<bool>> collect(const CollectionToken& token, std::span<const ChunkId> ids) override;
  void end_collection(const CollectionToken& token) override { epochs_->end_collection(token); }
  Result<Added> added_since(const Position& from) override;
  Stats stats() const override;
  std::vector<Damage> quarantine() const override { return quarantine_.list(); }
  Result<uint64_t> verify_all(const std::function<bool()>& stop) override;
  Result<Scrubbed> scrub(const Position& from, uint64_t budget_bytes, const std::function<bool()>& stop) override;
  Result<Compacted> compact(const CompactOptions& options, const std::function<bool()>& stop) override {
    TRY_DO(load_all());
    return compactor_->run(options, stop);
  }
  Result<void> load(const std::function<bool()>& stop) override;

 private:
  enum class Standing : uint8_t { Absent, Present, Damaged };
  struct Match {
    Standing standing = Standing::Absent;
    Location at;
    RecordHeader header;  // when Present
    std::string damage;   // when Damaged: "segment 17: record at 4096: ..."
  };

  Result<void> load_all() {
    return load([] { return false; });
  }
  Result<Match> look_up(const ChunkId& id);
  Result<Match> find(const ChunkId& id);
  Result<SharedBytes> read(const ChunkId& id);
  bool stands(const Index::Slot& slot) const;
  void move(uint64_t prefix, Location from, Location to, const SegmentEntry& entry);
  Result<Match> require(const ChunkId& id);
  std::optional<Match> known_damage(const ChunkId& id, Location at) const;
  std::unexpected<Error> damaged(const Index::Slot& slot, const ChunkId& id, const std::string& what);
  SegmentEntry describe(Location at, uint64_t prefix);
  template <class F>
  Result<void> put_with(const ChunkId& id, F&& form);
  Result<void> store(const ChunkId& id, const StoredView& chunk, const Match& old);
  Result<void> erase_batch(std::span<const ChunkId> ids, const CollectionToken* token, std::set<ChunkId>* kept);
  Result<std::vector<SegmentEntry>> entries_of(uint32_t segment);
  void forget(uint64_t prefix, Location at);
  void write_sidecars();
  Result<void> verify(const Index::Slot& slot);

  disk::Disk& disk_;
  const LocalStoreOptions options_;
  Logger& logger_;
  const std::unique_ptr<disk::DirectoryLock> lock_;
  SegmentFiles files_;
  Compressor compressor_;
  Records records_;
  mutable std::optional<SegmentWriter> writer_;  // after recover(), like epochs_
  std::optional<Epochs> epochs_;
  Index index_;
  Usage usage_;
  Quarantine quarantine_;
  IdLocks id_locks_;
  std::optional<Recovery> recovery_;  // after recover()
  std::mutex damage_mutex_;           // flag in the index, entry in the quarantine and the count move together
  std::atomic<uint64_t> damaged_chunks_ = 0;
  std::mutex sidecars_mutex_;           // a sidecar is written whole before its segment may be removed
  std::optional<Compactor> compactor_;  // after recover()
  uint64_t covered_at_open_ = 0;        // by the sidecar of the active segment
  uint32_t active_at_open_ = 0;
};

LocalStoreFiles::~LocalStoreFiles() {
  if (!writer_) return;
  write_sidecars();
  const auto [segment, bytes] = writer_->active_size();
  if (segment == 0 || (segment == active_at_open_ && bytes == covered_at_open_)) return;
  // Best effort: the next opening reads the segment instead.
  auto described = writer_->describe_active();
  if (!described || !*described) return;
  (void)disk::write_file_atomic(disk_, options_.directory + "/" + sidecar_name(segment), (*described)->encode());
}

Result<void> LocalStoreFiles::recover() {
  recovery_.emplace(Recovery::Parts{.disk = disk_,
                                    .options = options_,
                                    .logger = logger_,
                                    .files = files_,
                                    .records = records_,
                                    .index = index_,
                                    .usage = usage_,
                                    .quarantine = quarantine_,
                                    .damaged_chunks = damaged_chunks_});
  TRY(auto outcome, recovery_->open());
  covered_at_open_ = outcome.active_covered;
  if (outcome.active) active_at_open_ = outcome.active->header.number;
  writer_.emplace(disk_, options_, files_, std::move(outcome.active), outcome.next_number);
  records_.attach(*writer_);
  epochs_.emplace(writer_->position(), options_.touched_ids_max);
  compactor_.emplace(Compactor::Parts{.disk = disk_,
                                      .options = options_,
                                      .logger = logger_,
                                      .files = files_,
                                      .records = records_,
                                      .writer = *writer_,
                                      .index = index_,
                                      .usage = usage_,
                                      .quarantine = quarantine_,
                                      .id_locks = id_locks_,
                                      .damaged = [this](const Index::Slot& slot, const ChunkId& id,
                                                        const std::string& what) { (void)damaged(slot, id, what); },
                                      .write_sidecars = [this] { write_sidecars(); },
                                      .absent = [this](const ChunkId& id) -> Result<bool> {
                                        TRY(const Match match, look_up(id));
                                        return match.standing == Standing::Absent;
                                      },
                                      .entries_of = [this](uint32_t segment) { return entries_of(segment); },
                                      .moved = [this](uint64_t prefix, Location from, Location to,
                                                      const SegmentEntry& entry) { move(prefix, from, to, entry); }});
  if (options_.load == LocalStoreOptions::Load::AtOpen) TRY_DO(load_all());
  if (options_.verify_on_open) TRY_DO(verify_all([] { return false; }));
  return {};
}

Result<void> LocalStoreFiles::load(const std::function<bool()>& stop) {
  while (!recovery_->complete() && !stop()) TRY_DO(recovery_->load_next());
  return {};
}

/// Whether the quarantined record at `at` is that of `id`.
std::optional<LocalStoreFiles::Match> LocalStoreFiles::known_damage(const ChunkId& id, Location at) const {
  const auto record = quarantine_.find(at.segment(), at.offset());
  // Where the header is lost, sharing the first 8 bytes must do.
  if (record && record->id != id && record->id != id_of_prefix(prefix_of(id))) return std::nullopt;
  return Match{.standing = Standing::Damaged,
               .at = at,
               .header = {},
               .damage = record_place(at.segment(), at.offset()) + ": " + (record ? record->what : "quarantined")};
}

/// Whether the index still points there: a compaction may have moved the record since it was looked up, and taken its
/// file away under the reader.
bool LocalStoreFiles::stands(const Index::Slot& slot) const {
  bool out = false;
  index_.find(slot.prefix).each([&](const Index::Slot& now) { out |= now.location.place() == slot.location.place(); });
  return out;
}

void LocalStoreFiles::move(uint64_t prefix, Location from, Location to, const SegmentEntry& entry) {
  std::lock_guard lock(damage_mutex_);
  index_.replace(prefix, from, to);
  usage_.remove(from.segment(), entry);
  if (quarantine_.remove(from.segment(), from.offset())) --damaged_chunks_;
}

/// What is found is the last word on it. Absent is said only when all segments are loaded, and were before it looked.
Result<LocalStoreFiles::Match> LocalStoreFiles::look_up(const ChunkId& id) {
  while (true) {
    const bool complete = recovery_->complete();
    TRY(Match match, find(id));
    if (complete || match.standing != Standing::Absent) return match;
    TRY_DO(recovery_->load_next());
  }
}

/// In what is loaded.
Result<LocalStoreFiles::Match> LocalStoreFiles::find(const ChunkId& id) {
  const uint64_t prefix = prefix_of(id);
  const Index::Found found = index_.find(prefix);
  Match match;
  Result<void> failure;
  bool again = false;
  found.each([&](const Index::Slot& slot) {
    if (match.standing != Standing::Absent || !failure) return;
    if (slot.location.is(Location::kQuarantined)) {
      if (auto known = known_damage(id, slot.location)) match = std::move(*known);
      return;
    }
    auto header = records_.header(slot.location);
    if (header && header->id == id) {
      match = Match{.standing = Standing::Present, .at = slot.location, .header = *header, .damage = {}};
    } else if (!header && header.error().code == Code::Corrupt && !stands(slot)) {
      again = true;
    } else if (!header && header.error().code == Code::Corrupt) {
      match = Match{.standing = Standing::Damaged, .at = slot.location, .header = {}, .damage = {}};
      match.damage = damaged(slot, id, header.error().message).error().message;
    } else if (!header) {
      failure = std::unexpected(std::move(header).error());
    }
  });
  if (!failure) return std::unexpected(std::move(failure).error());
  if (again && match.standing == Standing::Absent) return find(id);
  return match;
}

/// Present, or the error that a reader gets.
Result<LocalStoreFiles::Match> LocalStoreFiles::require(const ChunkId& id) {
  TRY(Match match, look_up(id));
  if (match.standing == Standing::Absent) return absent(id);
  if (match.standing == Standing::Damaged) return fail(Code::Corrupt, std::move(match.damage));
  return match;
}

std::unexpected<Error> LocalStoreFiles::damaged(const Index::Slot& slot, const ChunkId& id, const std::string& what) {
  const Location at = slot.location;
  const std::string place = record_place(at.segment(), at.offset());
  {
    std::lock_guard lock(damage_mutex_);
    // Unless it was replaced or erased since it was looked up.
    if (index_.set_flags(slot.prefix, at, Location::kQuarantined) &&
        quarantine_.add({.segment = at.segment(), .offset = at.offset(), .id = id, .what = what})) {
      ++damaged_chunks_;
      logger_.error("chunk damaged", {{"chunk", id.hex()}, {"where", place}, {"what", what}});
    }
  }
  return fail(Code::Corrupt, place + ": " + what);
}

Result<SharedBytes> LocalStoreFiles::get(const ChunkId& id) {
  while (true) {
    const bool complete = recovery_->complete();
    auto bytes = read(id);
    if (complete || bytes || bytes.error().code != Code::NotFound) return bytes;
    TRY_DO(recovery_->load_next());
  }
}

/// From what is loaded.
Result<SharedBytes> LocalStoreFiles::read(const ChunkId& id) {
  const uint64_t prefix = prefix_of(id);
  const Index::Found found = index_.find(prefix);
  if (found.empty()) return absent(id);
  Result<SharedBytes> out = absent(id);
  bool again = false;
  found.each([&](const Index::Slot& slot) {
    if (out || out.error().code != Code::NotFound) return;
    if (slot.location.is(Location::kQuarantined)) {
      if (auto known = known_damage(id, slot.location)) out = fail(Code::Corrupt, std::move(known->damage));
      return;
    }
    auto bytes = records_.load(slot.location, &id);
    if (!bytes && bytes.error().code == Code::Corrupt && !stands(slot)) {
      again = true;
    } else if (!bytes && bytes.error().code == Code::Corrupt) {
      out = damaged(slot, id, bytes.error().message);
    } else if (!bytes) {
      out = std::unexpected(std::move(bytes).error());
    } else if (*bytes) {
      if (!slot.location.is(Location::kVerified)) index_.set_flags(prefix, slot.location, Location::kVerified);
      out = std::move(*bytes);
    }
  });
  if (again && !out) return read(id);
  return out;
}

Result<StoredChunk> LocalStoreFiles::get_stored(const ChunkId& id) {
  TRY(const Match match, require(id));
  auto raw = records_.load_raw(match.at);
  const Index::Slot slot{prefix_of(id), match.at};
  if (!raw && raw.error().code == Code::Corrupt && !stands(slot)) return get_stored(id);
  if (!raw && raw.error().code == Code::Corrupt) return damaged(slot, id, raw.error().message);
  if (!raw) return std::unexpected(std::move(raw).error());
  if (!match.at.is(Location::kVerified)) index_.set_flags(slot.prefix, match.at, Location::kVerified);
  return StoredChunk{.bytes = raw->first.bytes, .zstd = raw->first.zstd, .payload = std::move(raw->second)};
}

Result<Stat> LocalStoreFiles::stat(const ChunkId& id) {
  TRY(const Match match, require(id));
  return match.header.stat();
}

Result<Extent> LocalStoreFiles::extent(const ChunkId& id, Form form, uint64_t offset, uint64_t length) {
  TRY(const Match match, require(id));
  const RecordHeader& header = match.header;
  if (header.zstd != (form == Form::StoredFrame))
    return fail(Code::Unsupported,
                fmt::format("chunk {} is stored {}", id.brief(), header.zstd ? "as a zstd frame" : "plain"));
  if (form == Form::StoredFrame) {
    offset = 0;
    length = header.stored;
  }
  if (offset > header.stored || length > header.stored - offset)
    return fail(Code::Invalid,
                fmt::format("range {}+{} of chunk {} of {} bytes", offset, length, id.brief(), header.stored));
  const Index::Slot slot{prefix_of(id), match.at};
  auto opened = records_.settle(match.at);
  if (!opened && opened.error().code == Code::NotFound && !stands(slot)) return extent(id, form, offset, length);
  if (!opened) return std::unexpected(std::move(opened).error());
  const std::shared_ptr<disk::File> file = std::move(*opened);
  const int fd = file->native_handle();
  if (fd < 0) return fail(Code::Unsupported, "no kernel file behind this disk");
  const bool verified = match.at.is(Location::kVerified);
  auto checked =
      verified ? records_.check_blocks(match.at, header, offset, length) : records_.check_name(match.at, header);
  if (!checked && checked.error().code == Code::Corrupt && !stands(slot)) return extent(id, form, offset, length);
  if (!checked && checked.error().code == Code::Corrupt) return damaged(slot, id, checked.error().message);
  if (!checked) return std::unexpected(std::move(checked).error());
  if (!verified) index_.set_flags(prefix_of(id), match.at, Location::kVerified);
  return Extent{.pin = file, .fd = fd, .offset = match.at.offset() + header.payload_at + offset, .length = length};
}

Result<std::vector<bool>> LocalStoreFiles::has(std::span<const ChunkId> ids) {
  std::vector<bool> out;
  out.reserve(ids.size());
  for (const ChunkId& id : ids) {
    TRY(const Match match, look_up(id));
    out.push_back(match.standing == Standing::Present);
  }
  return out;
}

Result<ChunkId> LocalStoreFiles::put(ByteView bytes, Compress compress) {
  const ChunkId id(sha256(bytes));
  TRY_DO(put_named(id, bytes, compress));
  return id;
}

Result<void> LocalStoreFiles::put_named(const ChunkId& id, ByteView bytes, Compress compress) {
  if (bytes.empty() || bytes.size() > kChunkBytesMax)
    return fail(Code::Invalid, fmt::format("chunk of {} bytes: 1..{} allowed", bytes.size(), kChunkBytesMax));
  std::optional<Bytes> frame;
  return put_with(id, [&] {
    if (compress == Compress::Auto) frame = compressor_.compress(bytes);
    return StoredView{.bytes = static_cast<uint32_t>(bytes.size()),
                      .zstd = frame.has_value(),
                      .payload = frame ? ByteView(*frame) : bytes};
  });
}

Result<void> LocalStoreFiles::put_stored(const ChunkId& id, const StoredView& chunk) {
  return put_with(id, [&] { return chunk; });
}

/// `form` gives the bytes to store when they are not there already.
template <class F>
Result<void> LocalStoreFiles::put_with(const ChunkId& id, F&& form) {
  {
    IdLocks::Guard guard(id_locks_, std::span(&id, 1));
    TRY(const Match old, look_up(id));
    if (old.standing == Standing::Present) {
      epochs_->touched(prefix_of(id));
      return {};
    }
    TRY_DO(load_all());  // also where a damaged record makes place: an older one of this id would come back
    TRY_DO(store(id, form(), old));
  }
  if (writer_->has_finished()) write_sidecars();
  return {};
}

/// With the id's lock held. `old` is what it takes the place of: nothing, or a damaged record.
Result<void> LocalStoreFiles::store(const ChunkId& id, const StoredView& chunk, const Match& old) {
  const ByteView payload = chunk.payload;
  RecordHeader header;
  header.zstd = chunk.zstd;
  header.bytes = chunk.bytes;
  header.stored = static_cast<uint32_t>(payload.size());
  header.id = id;
  sum_blocks(header, payload);
  TRY(const auto placed, writer_->append(header, payload, {}, SegmentWriter::Room::KeepReserve));
  const uint64_t prefix = prefix_of(id);
  if (old.standing == Standing::Damaged) forget(prefix, old.at);
  index_.insert(prefix, Location::make(placed.segment, placed.offset, placed.span));
  usage_.add(placed.segment, {.id = id,
                              .offset8 = 0,
                              .stored = header.stored,
                              .bytes = header.bytes,
                              .span8 = static_cast<uint32_t>(placed.span / kRecordAlign)});
  return {};
}

/// Takes a record out of the index, the quarantine and the sums.
void LocalStoreFiles::forget(uint64_t prefix, Location at) {
  const SegmentEntry entry = describe(at, prefix);
  std::lock_guard lock(damage_mutex_);
  if (!index_.erase(prefix, at)) return;
  usage_.remove(at.segment(), entry);
  if (quarantine_.remove(at.segment(), at.offset())) --damaged_chunks_;
}

/// Sizes and name of a record from its header or, where that is lost, from the index file of its segment.
SegmentEntry LocalStoreFiles::describe(Location at, uint64_t prefix) {
  if (const auto header = records_.header(at))
    return {.id = header->id,
            .offset8 = static_cast<uint32_t>(at.offset() / kRecordAlign),
            .stored = header->stored,
            .bytes = header->bytes,
            .span8 = static_cast<uint32_t>(header->span() / kRecordAlign)};
  if (const auto entry = writer_->find_active(at.segment(), at.offset())) return *entry;
  const auto bytes = disk::read_file(disk_, options_.directory + "/" + sidecar_name(at.segment()), 1ull << 30);
  if (bytes)
    if (const auto sidecar = Sidecar::decode(*bytes))
      for (const SegmentEntry& entry : sidecar->entries)
        if (entry.offset() == at.offset()) return entry;
  return {.id = id_of_prefix(prefix)};
}

Result<void> LocalStoreFiles::sync() {
  TRY_DO(writer_->sync());
  return quarantine_.sync();
}

Result<std::vector<bool>> LocalStoreFiles::touch(std::span<const ChunkId> ids) {
  std::vector<bool> out;
  out.reserve(ids.size());
  for (const ChunkId& id : ids) {
    IdLocks::Guard guard(id_locks_, std::span(&id, 1));
    TRY(const Match match, look_up(id));
    out.push_back(match.standing == Standing::Present);
    if (out.back()) epochs_->touched(prefix_of(id));
  }
  return out;
}

Result<void> LocalStoreFiles::erase(std::span<const ChunkId> ids) {
  TRY_DO(load_all());
  const std::vector<ChunkId> sorted = sorted_once(ids);
  for (size_t i = 0; i < sorted.size(); i += kErasedIdsMax)
    TRY_DO(erase_batch(std::span(sorted).subspan(i, std::min(kErasedIdsMax, sorted.size() - i)), nullptr, nullptr));
  if (writer_->has_finished()) write_sidecars();
  return {};
}

Result<CollectionToken> LocalStoreFiles::begin_collection() {
  TRY_DO(load_all());
  return epochs_->begin_collection([&]() -> Result<Position> { return writer_->position(); });
}

Result<std::vector<bool>> LocalStoreFiles::collect(const CollectionToken& token, std::span<const ChunkId> ids) {
  TRY_DO(epochs_->check(token));
  const std::vector<ChunkId> sorted = sorted_once(ids);
  std::set<ChunkId> kept;
  for (size_t i = 0; i < sorted.size(); i += kErasedIdsMax)
    TRY_DO(erase_batch(std::span(sorted).subspan(i, std::min(kErasedIdsMax, sorted.size() - i)), &token, &kept));
  if (writer_->has_finished()) write_sidecars();
  TRY_DO(sync());
  std::vector<bool> out;
  out.reserve(ids.size());
  for (const ChunkId& id : ids) out.push_back(!kept.contains(id));
  return out;
}

/// With a token, what it protects stays and is told in `kept`: decided and erased under the ids' locks, so that a put
/// or touch comes either before, and is seen, or after, and finds nothing.
Result<void> LocalStoreFiles::erase_batch(std::span<const ChunkId> ids, const CollectionToken* token,
                                          std::set<ChunkId>* kept) {
  IdLocks::Guard guard(id_locks_, ids);
  std::vector<ChunkId> present;
  std::vector<Location> places;
  Bytes payload;
  for (const ChunkId& id : ids) {
    TRY(const Match match, look_up(id));
    if (match.standing == Standing::Absent) continue;
    if (token != nullptr &&
        epochs_->protects(*token, prefix_of(id), {.segment = match.at.segment(), .offset = match.at.offset()})) {
      kept->insert(id);
      continue;
    }
    present.push_back(id);
    places.push_back(match.at);
    payload += id.view();
  }
  if (present.empty()) return {};
  RecordHeader header;
  header.kind = RecordKind::Erase;
  header.bytes = header.stored = static_cast<uint32_t>(payload.size());
  sum_blocks(header, payload);
  TRY_DO(writer_->append(header, payload, present, SegmentWriter::Room::UseReserve));
  for (size_t i = 0; i < present.size(); ++i) forget(prefix_of(present[i]), places[i]);
  return {};
}

Result<ChunkStore::Added> LocalStoreFiles::added_since(const Position& from) {
  TRY_DO(writer_->sync());
  for (Position at = from > writer_->position() ? Position() : from;; at = {.segment = at.segment + 1, .offset = 0}) {
    Added out{.ids = {}, .next = at, .more = false};
    if (const auto active = writer_->active_since(at)) {
      for (const SegmentEntry& entry : active->entries) out.ids.push_back(entry.id);
      out.next.offset = active->next;
      return out;
    }
    const Position end = writer_->position();
    if (at.segment >= end.segment) return out;
    TRY(const auto entries, entries_of(at.segment));
    for (const SegmentEntry& entry : entries)
      if (!entry.erased() && entry.offset() >= at.offset) out.ids.push_back(entry.id);
    out.next = {.segment = at.segment + 1, .offset = 0};
    out.more = true;
    if (!out.ids.empty()) return out;
  }
}

/// What a finished segment did to ids: its index file, and from itself what that does not cover. Nothing of a segment
/// that is gone.
Result<std::vector<SegmentEntry>> LocalStoreFiles::entries_of(uint32_t segment) {
  std::vector<SegmentEntry> out;
  uint64_t covered = kSegmentHeaderBytes;
  const auto bytes = disk::read_file(disk_, options_.directory + "/" + sidecar_name(segment), 1ull << 30);
  if (bytes)
    if (auto sidecar = Sidecar::decode(*bytes); sidecar && sidecar->segment.number == segment) {
      covered = sidecar->covered;
      out = std::move(sidecar->entries);
    }
  auto file = files_.open(segment);
  if (!file && file.error().code == Code::NotFound) return out;
  if (!file) return std::unexpected(std::move(file).error());
  TRY(const uint64_t size, (*file)->size());
  if (size <= covered) return out;
  TRY(const SegmentScan scan, scan_segment(**file, segment, covered, size));
  for (const ScannedRecord& record : scan.records) {
    for (const ChunkId& id : record.erased) out.push_back({.id = id});
    if (record.kind == RecordKind::Chunk) out.push_back(record.entry());
  }
  return last_words(out);
}

/// What was full gets its index file. Only a convenience for the next opening: a failure is told and let be.
void LocalStoreFiles::write_sidecars() {
  std::lock_guard lock(sidecars_mutex_);
  for (const Sidecar& sidecar : writer_->take_finished()) {
    const uint32_t segment = sidecar.segment.number;
    usage_.set_file_bytes(segment, sidecar.covered);
    const Bytes bytes = sidecar.encode();
    auto written = disk::write_file_atomic(disk_, options_.directory + "/" + sidecar_name(segment), bytes);
    if (written) {
      usage_.add_other_bytes(bytes.size());
    } else {
      logger_.warn("segment index not written", {{"segment", uint64_t{segment}}, {"reason", written.error().message}});
    }
  }
}

Result<std::vector<ChunkId>> LocalStoreFiles::list(const ChunkId& after, size_t limit) {
  TRY_DO(load_all());
  std::vector<ChunkId> out;
  uint64_t from = prefix_of(after);
  while (out.size() < limit) {
    const auto slots = index_.walk(from, limit - out.size() + 1);
    const size_t before = out.size();
    bool moved = false;
    for (const Index::Slot& slot : slots) {
      if (slot.location.is(Location::kQuarantined)) continue;
      const auto header = records_.header(slot.location);
      if (header && header->id > after) out.push_back(header->id);
      if (!header && header.error().code != Code::Corrupt) return std::unexpected(header.error());
      if (!header && !stands(slot)) {
        moved = true;
      } else if (!header) {
        (void)damaged(slot, describe(slot.location, slot.prefix).id, header.error().message);
      }
    }
    if (moved) {  // while it was looked at
      out.resize(before);
      continue;
    }
    std::sort(out.begin() + static_cast<ptrdiff_t>(before), out.end());  // among those that share a prefix
    if (slots.empty() || slots.back().prefix == ~uint64_t{0}) break;
    from = slots.back().prefix + 1;
  }
  if (out.size() > limit) out.resize(limit);
  return out;
}

ChunkStore::Stats LocalStoreFiles::stats() const {
  Stats out = usage_.stats();
  out.disk_bytes += writer_->active_size().second;
  out.chunks -= std::min<uint64_t>(out.chunks, damaged_chunks_);
  out.quarantined = quarantine_.size();
  out.segments_unloaded = recovery_->left();
  return out;
}

Result<void> LocalStoreFiles::verify(const Index::Slot& slot) {
  Location unverified = slot.location;
  unverified.packed &= ~Location::kVerified;
  auto header = records_.header(unverified);
  if (header && prefix_of(header->id) != slot.prefix)
    header = fail(Code::Corrupt, "record of chunk " + header->id.brief());
  Result<void> checked;
  if (header) {
    checked = records_.check_name(unverified, *header);
  } else {
    checked = std::unexpected(header.error());
  }
  if (checked) {
    index_.set_flags(slot.prefix, slot.location, Location::kVerified);
    return {};
  }
  if (checked.error().code != Code::Corrupt) return checked;
  (void)damaged(slot, describe(slot.location, slot.prefix).id, checked.error().message);
  return {};
}

Result<uint64_t> LocalStoreFiles::verify_all(const std::function<bool()>& stop) {
  uint64_t checked = 0;
  for (Position at;;) {
    TRY(const Scrubbed part, scrub(at, ~uint64_t{0}, stop));
    checked += part.records;
    at = part.next;
    if (at == Position() || stop()) return checked;
  }
}

/// Some segments at a time, each from front to back.
Result<LocalStore::Scrubbed> LocalStoreFiles::scrub(const Position& from, uint64_t budget_bytes,
                                                    const std::function<bool()>& stop) {
  TRY_DO(load_all());
  Scrubbed out{.next = from};
  const auto segments = usage_.segments();
  for (auto it = segments.lower_bound(from.segment); it != segments.end();) {
    std::set<uint32_t> batch;
    for (uint64_t chunks = 0; it != segments.end() && chunks < kVerifyBatch; ++it) {
      batch.insert(it->first);
      chunks += it->second.live_chunks;
    }
    std::vector<Index::Slot> slots;
    for (uint64_t prefix = 0;;) {
      const auto some = index_.walk(prefix, 4096);
      for (const Index::Slot& slot : some) {
        const Position at{.segment = slot.location.segment(), .offset = slot.location.offset()};
        if (batch.contains(at.segment) && at >= from && !slot.location.is(Location::kQuarantined))
          slots.push_back(slot);
      }
      if (some.empty() || some.back().prefix == ~uint64_t{0}) break;
      prefix = some.back().prefix + 1;
    }
    std::sort(slots.begin(), slots.end(),
              [](const auto& a, const auto& b) { return a.location.place() < b.location.place(); });
    for (const Index::Slot& slot : slots) {
      out.next = {.segment = slot.location.segment(), .offset = slot.location.offset()};
      if (out.bytes >= budget_bytes || stop()) return out;
      const uint64_t damaged_before = damaged_chunks_;
      TRY_DO(verify(slot));
      out.damaged += damaged_chunks_ > damaged_before;
      ++out.records;
      out.bytes += slot.location.span_bound();
    }
  }
  out.next = {};
  return out;
}

}  // namespace

Result<void> LocalStoreOptions::validate() const {
  if (directory.empty()) return fail(Code::Invalid, "chunk store: no directory");
  if (segment_bytes < 4096 || segment_bytes > kSegmentBytesMax)
    return fail(Code::Invalid, fmt::format("segment_bytes {}: 4096..{} allowed", segment_bytes, kSegmentBytesMax));
  if (segment_chunks_max < 1 || segment_chunks_max > (1u << 24))
    return fail(Code::Invalid, fmt::format("segment_chunks_max {}: 1..{} allowed", segment_chunks_max, 1u << 24));
  if (open_files_max < 2) return fail(Code::Invalid, fmt::format("open_files_max {}: at least 2", open_files_max));
  return {};
}

Result<std::unique_ptr<LocalStore>> LocalStore::open(disk::Disk& disk, const LocalStoreOptions& options,
                                                     Logger& logger) {
  TRY_DO(options.validate());
  auto store = [&]() -> Result<std::unique_ptr<LocalStore>> {
    TRY_DO(disk.make_directories(options.directory));
    TRY(auto lock, disk.lock(options.directory));
    auto files = std::make_unique<LocalStoreFiles>(disk, options, logger, std::move(lock));
    TRY_DO(files->recover());
    return files;
  }();
  if (!store) return std::unexpected(std::move(store).error().within("opening chunk store " + options.directory));
  return store;
}

}  // namespace hailstone::chunk
