#include "chunk/segment_writer.h"

#include <fmt/core.h>

#include <algorithm>

namespace hailstone::chunk {
namespace {

constexpr size_t kBufferBytes = 128u << 10;
constexpr size_t kDirectBytes = 64u << 10;        // payloads this large bypass the buffer
constexpr uint64_t kRoomCheckBytes = 256u << 10;  // free space is asked for once per so much

Bytes skip_record(uint32_t segment, uint64_t offset, uint64_t end) {
  RecordHeader skip;
  skip.kind = RecordKind::Skip;
  skip.payload_at = kRecordFixedBytes;
  skip.stored = static_cast<uint32_t>(end - offset - kRecordFixedBytes);
  return encode_record(skip, segment, offset);
}

}  // namespace

SegmentWriter::SegmentWriter(disk::Disk& disk, const LocalStoreOptions& options, SegmentFiles& files,
                             std::optional<Active> active, uint32_t next_number)
    : disk_(disk), options_(options), files_(files), active_(std::move(active)), next_number_(next_number) {
  if (active_) {
    buffer_at_ = durable_ = active_->end;
    files_.adopt(active_->header.number, active_->file);
    publish_tail();
  } else {
    tail_ = ~uint64_t{0};
  }
}

void SegmentWriter::publish_tail() {
  tail_.store(uint64_t{active_->header.number} << 40 | buffer_at_, std::memory_order_release);
}

Result<void> SegmentWriter::usable() const { return failed_; }

Result<void> SegmentWriter::check_room(uint64_t bytes, Room room) {
  if (room == Room::UseReserve || unchecked_bytes_ + bytes < kRoomCheckBytes) return {};
  TRY(const uint64_t free, disk_.free_bytes(options_.directory));
  const uint64_t want = options_.reserve_bytes + bytes;
  if (free < want) {
    unchecked_bytes_ = kRoomCheckBytes;
    return fail(Code::Exhausted, fmt::format("{}: {} bytes free, {} are kept in reserve", options_.directory, free,
                                             options_.reserve_bytes));
  }
  unchecked_bytes_ = 0;
  return {};
}

/// Writes to the active file; an Io error makes the writer failed.
Result<void> SegmentWriter::write_here(uint64_t offset, ByteView bytes) {
  auto written = active_->file->write_at(offset, bytes);
  if (!written && written.error().code != Code::Exhausted) failed_ = written;
  return written;
}

Result<void> SegmentWriter::flush_locked() {
  if (buffer_.empty()) return {};
  TRY_DO(usable());
  TRY_DO(write_here(buffer_at_, buffer_));
  buffer_at_ += buffer_.size();
  buffer_.clear();
  publish_tail();
  return {};
}

Result<void> SegmentWriter::fill_holes() {
  while (!holes_.empty()) {
    const Range hole = *holes_.begin();
    TRY_DO(write_here(hole.offset, skip_record(active_->header.number, hole.offset, hole.end)));
    holes_.erase(holes_.begin());
  }
  return {};
}

Result<SegmentWriter::Active> SegmentWriter::start_segment() {
  if (next_number_ > kSegmentNumberMax) return fail(Code::Exhausted, "no segment numbers left");
  const SegmentHeader header{.number = next_number_, .order = next_number_, .generation = 0};
  const std::string path = files_.path(header.number);
  TRY(std::shared_ptr<disk::File> file, disk_.open(path, disk::OpenMode::Create));
  TRY_DO(file->truncate(0));  // an earlier attempt may have got half way
  TRY_DO(file->write_at(0, header.encode()));
  TRY_DO(file->sync());
  TRY_DO(disk_.sync_directory(options_.directory));
  ++next_number_;
  return Active{.header = header, .file = std::move(file), .end = kSegmentHeaderBytes, .entries = {}};
}

Result<void> SegmentWriter::roll(Lock& lock) {
  if (active_) {
    const uint32_t number = active_->header.number;
    writes_done_.wait(lock, [&] { return writing_.empty() || active_->header.number != number; });
    if (active_->header.number != number) return {};  // another thread did it meanwhile
    TRY_DO(usable());
    TRY_DO(fill_holes());
    TRY_DO(flush_locked());
    if (auto synced = active_->file->sync(); !synced) return failed_ = synced;
    durable_ = active_->end;
  }
  // A failed attempt leaves the full segment active: the next append tries again.
  auto started = start_segment();
  if (!started) {
    if (started.error().code == Code::Io) failed_ = std::unexpected(started.error());
    return std::unexpected(std::move(started).error());
  }
  if (active_) {
    finished_.push_back({.segment = active_->header, .covered = active_->end, .entries = std::move(active_->entries)});
    has_finished_ = true;
  }
  active_ = std::move(*started);
  buffer_at_ = durable_ = kSegmentHeaderBytes;
  files_.adopt(active_->header.number, active_->file);
  publish_tail();
  return {};
}

Result<void> SegmentWriter::make_current(Lock& lock) {
  for (;;) {
    TRY_DO(usable());
    const bool full =
        !active_ || active_->end >= options_.segment_bytes || active_->entries.size() >= options_.segment_chunks_max;
    if (!full) return {};
    TRY_DO(roll(lock));
  }
}

void SegmentWriter::note_entries(const RecordHeader& header, const Placed& placed, std::span<const ChunkId> erased) {
  for (const ChunkId& id : erased) active_->entries.push_back({.id = id});
  if (header.kind == RecordKind::Chunk)
    active_->entries.push_back({.id = header.id,
                                .offset8 = static_cast<uint32_t>(placed.offset / kRecordAlign),
                                .stored = header.stored,
                                .bytes = header.bytes,
                                .span8 = static_cast<uint32_t>(placed.span / kRecordAlign)});
}

Result<SegmentWriter::Placed> SegmentWriter::append(RecordHeader header, ByteView payload,
                                                    std::span<const ChunkId> erased, Room room) {
  Lock lock(mutex_);
  TRY_DO(make_current(lock));
  const bool large = payload.size() >= kDirectBytes;
  header.payload_at = payload_position(active_->end, header.stored, payload.size() >= options_.page_align_from_bytes);
  header.synced_to = std::min(durable_, durable_limit());
  const Placed placed{.segment = active_->header.number, .offset = active_->end, .span = header.span()};
  TRY_DO(check_room(placed.span, room));
  if (large || buffer_.size() + placed.span > kBufferBytes) TRY_DO(flush_locked());

  Bytes head = encode_record(header, placed.segment, placed.offset);
  head.resize(header.payload_at, '\0');
  active_->end += placed.span;
  if (large) {
    TRY_DO(write_large(lock, placed, std::move(head), payload));
  } else {
    buffer_ += head;
    buffer_ += payload;
    buffer_.resize(active_->end - buffer_at_, '\0');
  }
  unchecked_bytes_ += placed.span;
  ++appended_;
  note_entries(header, placed, erased);
  return placed;
}

Result<void> SegmentWriter::write_large(Lock& lock, const Placed& at, Bytes head, ByteView payload) {
  const Range range{at.offset, at.offset + at.span};
  writing_.insert(range);
  buffer_at_ = active_->end;
  publish_tail();
  const std::shared_ptr<disk::File> file = active_->file;
  lock.unlock();
  const Bytes pad(at.span - head.size() - payload.size(), '\0');
  auto written = file->write_at(at.offset, head);
  if (written) written = file->write_at(at.offset + head.size(), payload);
  if (written && !pad.empty()) written = file->write_at(range.end - pad.size(), pad);
  if (written) file->start_writeback(range.offset, at.span);
  lock.lock();
  writing_.erase(range);
  if (!written) {
    if (written.error().code != Code::Exhausted) failed_ = written;
    abandon(range);
  }
  writes_done_.notify_all();
  return written;
}

/// Nobody was told of this range: takes it back if nothing follows, otherwise leaves it to be overwritten by a Skip.
void SegmentWriter::abandon(const Range& range) {
  if (range.end == active_->end && buffer_.empty() && active_->file->truncate(range.offset)) {
    active_->end = buffer_at_ = range.offset;
    publish_tail();
    return;
  }
  holes_.insert(range);
}

/// Where the first bytes begin that a sync now would not make whole.
uint64_t SegmentWriter::durable_limit() const {
  uint64_t limit = active_->end;
  if (!writing_.empty()) limit = std::min(limit, writing_.begin()->offset);
  if (!holes_.empty()) limit = std::min(limit, holes_.begin()->offset);
  return limit;
}

Result<void> SegmentWriter::flush() {
  Lock lock(mutex_);
  return flush_locked();
}

Result<void> SegmentWriter::close_active(uint32_t segment) {
  Lock lock(mutex_);
  TRY_DO(usable());
  if (!active_ || active_->header.number != segment) return {};
  return roll(lock);
}

/// The value of appended_ it made durable.
Result<uint64_t> SegmentWriter::sync_once() {
  Lock lock(mutex_);
  TRY_DO(usable());
  const uint64_t covered = appended_;
  if (!active_) return covered;
  TRY_DO(flush_locked());
  // A disk too full for a Skip record keeps `limit` low, no more.
  if (auto filled = fill_holes(); !filled && !failed_) return std::unexpected(std::move(filled).error());
  const uint64_t limit = durable_limit();
  const uint32_t number = active_->header.number;
  const std::shared_ptr<disk::File> file = active_->file;
  lock.unlock();
  auto synced = file->sync();
  lock.lock();
  if (!synced) {
    failed_ = synced;
    return std::unexpected(synced.error());
  }
  if (active_->header.number == number) durable_ = std::max(durable_, limit);
  return covered;
}

Result<void> SegmentWriter::sync() {
  uint64_t target;
  {
    Lock lock(mutex_);
    TRY_DO(usable());
    target = appended_;
  }
  Lock lock(sync_mutex_);
  while (synced_ < target) {
    if (syncing_) {
      sync_done_.wait(lock);
      continue;
    }
    syncing_ = true;
    lock.unlock();
    auto covered = sync_once();
    lock.lock();
    syncing_ = false;
    sync_done_.notify_all();
    if (!covered) return std::unexpected(std::move(covered).error());
    synced_ = std::max(synced_, *covered);
  }
  return {};
}

std::optional<Bytes> SegmentWriter::read_buffered(uint32_t segment, uint64_t offset, size_t n) {
  Lock lock(mutex_);
  if (!active_ || active_->header.number != segment || offset < buffer_at_) return std::nullopt;
  if (offset - buffer_at_ >= buffer_.size()) return Bytes();
  return buffer_.substr(offset - buffer_at_, n);
}

std::vector<Sidecar> SegmentWriter::take_finished() {
  std::vector<Sidecar> out;
  {
    Lock lock(mutex_);
    out.swap(finished_);
    has_finished_ = false;
  }
  for (Sidecar& sidecar : out) sidecar.entries = last_words(sidecar.entries);
  return out;
}

Result<std::optional<Sidecar>> SegmentWriter::describe_active() {
  TRY_DO(sync());
  Lock lock(mutex_);
  if (!active_ || durable_ != active_->end) return std::nullopt;
  return Sidecar{.segment = active_->header, .covered = active_->end, .entries = last_words(active_->entries)};
}

std::optional<SegmentEntry> SegmentWriter::find_active(uint32_t segment, uint64_t offset) {
  Lock lock(mutex_);
  if (!active_ || active_->header.number != segment) return std::nullopt;
  const auto it = std::find_if(active_->entries.begin(), active_->entries.end(),
                               [&](const SegmentEntry& entry) { return entry.offset() == offset; });
  if (it == active_->entries.end()) return std::nullopt;
  return *it;
}

Position SegmentWriter::position() {
  Lock lock(mutex_);
  if (!active_) return {.segment = next_number_, .offset = 0};
  return {.segment = active_->header.number, .offset = active_->end};
}

std::optional<SegmentWriter::Since> SegmentWriter::active_since(const Position& from) {
  Lock lock(mutex_);
  if (!active_ || active_->header.number != from.segment) return std::nullopt;
  // durable_ never passes a range that is still being written, so a record that comes later lies beyond.
  Since out{.entries = {}, .next = std::max(from.offset, durable_)};
  for (const SegmentEntry& entry : active_->entries)
    if (!entry.erased() && entry.offset() >= from.offset && entry.offset() < durable_) out.entries.push_back(entry);
  return out;
}

std::pair<uint32_t, uint64_t> SegmentWriter::active_size() {
  Lock lock(mutex_);
  return active_ ? std::pair(active_->header.number, active_->end) : std::pair(0u, uint64_t{0});
}

}  // namespace hailstone::chunk
