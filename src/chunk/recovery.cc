#include "chunk/recovery.h"

#include <fmt/core.h>

#include <algorithm>
#include <ranges>

namespace hailstone::chunk {
namespace {

constexpr uint64_t kSidecarBytesMax = 1ull << 30;

Result<void> write_again(disk::File& file, uint64_t from, uint64_t to) {
  Bytes bytes(std::min<uint64_t>(to - from, 1u << 20), '\0');
  while (from < to) {
    const std::span<char> part(bytes.data(), std::min<uint64_t>(bytes.size(), to - from));
    TRY(const size_t got, file.read_at(from, part));
    if (got < part.size()) return fail(Code::Io, fmt::format("file shrank to {} while it was recovered", from + got));
    TRY_DO(file.write_at(from, {part.data(), part.size()}));
    from += got;
  }
  return {};
}

}  // namespace

Result<Recovery::Outcome> Recovery::open() {
  Outcome out;
  TRY(segments_, find_segments());
  TRY_DO(read_quarantine());
  uint32_t newest = 0;
  for (const Segment& segment : segments_) {
    out.next_number = std::max(out.next_number, segment.header.number + 1);
    if (segment.header.generation == 0) newest = std::max(newest, segment.header.number);
    parts_.usage.set_file_bytes(segment.header.number, segment.size);
  }
  for (bool found = false; !found && !segments_.empty(); segments_.pop_back()) {
    const Segment& segment = segments_.back();
    found = segment.header.number == newest;
    if (found && segment.has_file && !segment.has_header && segment.size <= kSegmentHeaderBytes) {
      // It was being created: its header is made durable before its first record is written.
      TRY_DO(parts_.disk.remove(path(segment_name(newest))));
      TRY_DO(parts_.disk.sync_directory(parts_.options.directory));  // before a later segment makes it look damaged
      parts_.usage.drop(newest);
      continue;
    }
    TRY(Contents contents, load(segment, found));
    const bool open_ended =
        found && segment.has_header && contents.clean() && contents.end < parts_.options.segment_bytes;
    if (!open_ended) {
      write_sidecar(segment, contents);
      continue;
    }
    TRY(std::shared_ptr<disk::File> file, parts_.disk.open(path(segment_name(newest)), disk::OpenMode::Write));
    parts_.usage.set_file_bytes(newest, 0);  // counted as the writer goes
    out.active_covered = contents.covered;
    out.active = SegmentWriter::Active{
        .header = segment.header, .file = std::move(file), .end = contents.end, .entries = std::move(contents.entries)};
  }
  left_ = segments_.size();
  if (segments_.empty()) settle();
  return out;
}

Result<void> Recovery::load_next() {
  {
    std::unique_lock lock(mutex_);
    if (loading_) {
      loaded_.wait(lock, [&, before = segments_.size()] { return !loading_ || segments_.size() != before; });
      return {};
    }
    if (segments_.empty()) return {};
    loading_ = true;
  }
  const auto loaded = [&]() -> Result<void> {
    TRY(const Contents contents, load(segments_.back(), false));
    write_sidecar(segments_.back(), contents);
    return {};
  }();
  const std::lock_guard lock(mutex_);
  if (loaded) {
    segments_.pop_back();
    if (segments_.empty()) settle();
    left_.store(segments_.size(), std::memory_order_release);
  }
  loading_ = false;
  loaded_.notify_all();
  return loaded;
}

/// All or, after an error, nothing.
Result<Recovery::Contents> Recovery::load(const Segment& segment, bool newest) {
  TRY(Contents contents, read_contents(segment, newest));
  // The last word of the segment on an id comes first.
  for (const SegmentEntry& entry : contents.entries | std::views::reverse) apply(segment.header.number, entry);
  report(segment, contents);
  quarantine_known(segment);
  return contents;
}

/// After the last segment.
void Recovery::settle() {
  erased_.clear();
  quarantined_.clear();
  if (auto written = parts_.quarantine.loaded(); !written)
    parts_.logger.warn("quarantine file not written", {{"reason", written.error().message}});
}

Result<std::vector<Recovery::Segment>> Recovery::find_segments() {
  TRY(const auto names, parts_.disk.list(parts_.options.directory));
  std::map<uint32_t, Segment> found;
  for (const std::string& name : names) {
    if (const auto number = parse_segment_name(name, ".seg")) found[*number].has_file = true;
    if (const auto number = parse_segment_name(name, ".idx")) found[*number].has_sidecar = true;
    if (name.ends_with(".tmp"))
      (void)parts_.disk.remove(path(name));  // never became a file; a left-over costs space only
  }
  std::vector<Segment> out;
  for (auto& [number, segment] : found) {
    segment.header = {.number = number, .order = number, .generation = 0};
    if (segment.has_file) TRY_DO(read_header(segment));
    out.push_back(segment);
  }
  std::sort(out.begin(), out.end(), [](const Segment& a, const Segment& b) {
    return std::pair(a.header.order, a.header.generation) < std::pair(b.header.order, b.header.generation);
  });
  return out;
}

Result<void> Recovery::read_header(Segment& segment) {
  const uint32_t number = segment.header.number;
  TRY(const auto file, parts_.files.open(number));
  TRY(segment.size, file->size());
  Bytes head(kSegmentHeaderBytes, '\0');
  TRY(const size_t got, file->read_at(0, head));
  auto decoded = SegmentHeader::decode(ByteView(head).substr(0, got));
  if (!decoded && decoded.error().code != Code::Corrupt)
    return std::unexpected(std::move(decoded).error().within(path(segment_name(number))));
  if (decoded && decoded->number != number)
    decoded = fail(Code::Corrupt, fmt::format("header of segment {}", decoded->number));
  if (decoded) {
    segment.header = *decoded;
    segment.has_header = true;
  } else {
    segment.header_what = decoded.error().message;
  }
  return {};
}

std::optional<Sidecar> Recovery::read_sidecar(const Segment& segment) {
  if (!segment.has_sidecar) return std::nullopt;
  const std::string file = path(sidecar_name(segment.header.number));
  auto sidecar = [&]() -> Result<Sidecar> {
    TRY(const Bytes bytes, disk::read_file(parts_.disk, file, kSidecarBytesMax));
    TRY(Sidecar decoded, Sidecar::decode(bytes));
    const bool matches =
        segment.has_header ? decoded.segment == segment.header : decoded.segment.number == segment.header.number;
    if (!matches) return fail(Code::Corrupt, fmt::format("it is that of segment {}", decoded.segment.number));
    parts_.usage.add_other_bytes(bytes.size());
    return decoded;
  }();
  if (sidecar) return std::move(*sidecar);
  parts_.logger.warn("segment index unusable, reading the segment",
                     {{"file", file}, {"reason", sidecar.error().message}});
  return std::nullopt;
}

Result<Recovery::Contents> Recovery::read_contents(const Segment& segment, bool newest) {
  Contents contents;
  contents.end = kSegmentHeaderBytes;
  if (segment.has_file && !segment.has_header)
    contents.nameless.push_back({.offset = 0, .length = kSegmentHeaderBytes, .entry = {}, .what = segment.header_what});
  if (auto sidecar = read_sidecar(segment)) {
    contents.covered = contents.end = sidecar->covered;
    contents.entries = std::move(sidecar->entries);
    if (segment.size < contents.covered) {
      const std::string what =
          segment.has_file ? fmt::format("the file ends at {}", segment.size) : "its file is missing";
      for (const SegmentEntry& entry : contents.entries)
        if (!entry.erased() && entry.offset() + entry.span() > segment.size) contents.damaged.emplace_back(entry, what);
      if (contents.damaged.empty())
        contents.nameless.push_back({.offset = segment.size, .length = 0, .entry = {}, .what = what});
      return contents;
    }
  }
  if (segment.has_file) TRY_DO(scan_rest(segment, newest, contents));
  return contents;
}

/// Reads what no sidecar describes. In the newest segment, bytes that were never synced may be torn; damage anywhere
/// else, or before a point known to have been durable, is damage.
Result<void> Recovery::scan_rest(const Segment& segment, bool newest, Contents& contents) {
  const uint32_t number = segment.header.number;
  const uint64_t from = contents.end;
  TRY(const auto readable, parts_.files.open(number));
  TRY(SegmentScan scan, scan_segment(*readable, number, from, segment.size));
  uint64_t floor = newest ? from : ~uint64_t{0};
  for (const ScannedRecord& record : scan.records) floor = std::max(floor, record.synced_to);
  if (newest && (segment.size > from || contents.covered == 0)) {
    TRY(const auto file, parts_.disk.open(path(segment_name(number)), disk::OpenMode::Write));
    TRY_DO(settle_tail(segment, *file, scan, floor, from));
  }
  for (BadZone& zone : scan.bad) {
    if (zone.entry.erased()) {
      contents.nameless.push_back(std::move(zone));
    } else {
      contents.damaged.emplace_back(zone.entry, std::move(zone.what));
    }
  }
  for (const ScannedRecord& record : scan.records) {
    for (const ChunkId& id : record.erased) contents.entries.push_back({.id = id});
    if (record.kind == RecordKind::Chunk) contents.entries.push_back(record.entry());
    contents.end = std::max(contents.end, record.end());
  }
  // What is named but damaged takes its place in the order by its offset.
  for (const auto& [entry, what] : contents.damaged) {
    const auto later = std::find_if(contents.entries.begin(), contents.entries.end(), [&](const SegmentEntry& other) {
      return !other.erased() && other.offset8 > entry.offset8;
    });
    contents.entries.insert(later, entry);
  }
  return {};
}

/// Everything from `floor` on was written but perhaps never synced, so nobody relies on what is torn there: it is cut
/// off, or overwritten by a Skip where whole records follow. What remains is written again and made durable, for it
/// will be served: after a failed sync, or the death of a process before its sync, the page cache may show as clean
/// what the device never got.
Result<void> Recovery::settle_tail(const Segment& segment, disk::File& file, SegmentScan& scan, uint64_t floor,
                                   uint64_t from) {
  const uint32_t number = segment.header.number;
  std::vector<ScannedRecord> whole;
  uint64_t end = std::max(floor, from);
  end = std::min(end, segment.size);
  for (ScannedRecord& record : scan.records) {
    if (record.offset >= floor) {
      TRY(const auto damage, check_payload(file, number, record.offset));
      if (damage) continue;
    }
    end = std::max(end, record.end());
    whole.push_back(std::move(record));
  }
  scan.records = std::move(whole);
  std::erase_if(scan.bad, [&](const BadZone& zone) { return zone.offset >= floor; });
  for (const BadZone& zone : scan.bad) end = std::max(end, zone.offset + zone.length);

  uint64_t position = std::max(floor, from);  // a record that reaches over the floor began before it
  uint64_t torn_bytes = segment.size > end ? segment.size - end : 0;
  for (const ScannedRecord& record : scan.records) {
    if (record.offset > position && record.offset - position >= kRecordFixedBytes) {
      const uint64_t gap = record.offset - position;
      RecordHeader skip;
      skip.kind = RecordKind::Skip;
      skip.payload_at = kRecordFixedBytes;
      skip.stored = static_cast<uint32_t>(gap - kRecordFixedBytes);
      TRY_DO(file.write_at(position, encode_record(skip, number, position)));
      torn_bytes += gap;
    }
    position = std::max(position, record.end());
  }
  if (segment.size != end) TRY_DO(file.truncate(end));
  if (segment.has_header) TRY_DO(write_again(file, 0, kSegmentHeaderBytes));
  TRY_DO(write_again(file, std::min(end, std::max(floor, from)), end));
  TRY_DO(file.sync());
  TRY_DO(parts_.disk.sync_directory(parts_.options.directory));
  if (torn_bytes > 0)
    parts_.logger.info("torn end of segment cut",
                       {{"segment", uint64_t{number}}, {"at_bytes", end}, {"torn_bytes", torn_bytes}});
  return {};
}

void Recovery::apply(uint32_t segment, const SegmentEntry& entry) {
  if (spoken_of(entry.id)) return;
  if (entry.erased()) {
    erased_.insert(entry.id);
    return;
  }
  parts_.usage.add(segment, entry);
  parts_.index.insert(prefix_of(entry.id), Location::make(segment, entry.offset(), entry.span()));
}

/// Whether a record that is loaded already, and so comes later in the log, puts or erases this id.
bool Recovery::spoken_of(const ChunkId& id) const {
  if (!erased_.empty() && erased_.contains(id)) return true;
  bool out = false;
  parts_.index.find(prefix_of(id)).each([&](const Index::Slot& slot) {
    if (out) return;
    const auto header = parts_.records.header(slot.location);
    out = !header || header->id == id;  // where the header is lost, sharing the first 8 bytes must do
  });
  return out;
}

void Recovery::report(const Segment& segment, const Contents& contents) {
  if (contents.clean()) return;
  const uint32_t number = segment.header.number;
  for (const BadZone& zone : contents.nameless)
    parts_.quarantine.add({.segment = number, .offset = zone.offset, .id = {}, .what = zone.what});
  for (const auto& [entry, what] : contents.damaged) quarantine_entry(number, entry, what);
  const std::string first =
      contents.nameless.empty() ? contents.damaged.front().second : contents.nameless.front().what;
  const uint64_t at =
      contents.nameless.empty() ? contents.damaged.front().first.offset() : contents.nameless.front().offset;
  parts_.logger.error("segment damaged", {{"segment", uint64_t{number}},
                                          {"records", contents.nameless.size() + contents.damaged.size()},
                                          {"first_at_bytes", at},
                                          {"what", first}});
}

/// Unless a later record took its place.
void Recovery::quarantine_entry(uint32_t segment, const SegmentEntry& entry, const std::string& what) {
  const Location at = Location::make(segment, entry.offset(), entry.span());
  if (!parts_.index.set_flags(prefix_of(entry.id), at, Location::kQuarantined)) return;
  if (parts_.quarantine.add({.segment = segment, .offset = entry.offset(), .id = entry.id, .what = what}))
    ++parts_.damaged_chunks;
}

/// Where it lacks one and is whole: a damaged segment is read again each time, for a sidecar would hide what it can't
/// name. Only a convenience for the next opening: a failure is told and let be.
void Recovery::write_sidecar(const Segment& segment, const Contents& contents) {
  if (!segment.has_file || !contents.clean() || contents.covered >= contents.end) return;
  const Sidecar sidecar{.segment = segment.header, .covered = contents.end, .entries = last_words(contents.entries)};
  const Bytes bytes = sidecar.encode();
  auto written = disk::write_file_atomic(parts_.disk, path(sidecar_name(segment.header.number)), bytes);
  if (written) {
    parts_.usage.add_other_bytes(bytes.size());
  } else {
    parts_.logger.warn("segment index not written",
                       {{"segment", uint64_t{segment.header.number}}, {"reason", written.error().message}});
  }
}

Result<void> Recovery::read_quarantine() {
  TRY(auto records, parts_.quarantine.load());
  for (QuarantinedRecord& record : records)
    if (record.segment <= kSegmentNumberMax && record.offset < kSegmentFileBytesMax &&
        record.offset % kRecordAlign == 0)
      quarantined_[record.segment].push_back(std::move(record));
  return {};
}

/// What earlier lives found damaged in it.
void Recovery::quarantine_known(const Segment& segment) {
  const auto known = quarantined_.find(segment.header.number);
  if (known == quarantined_.end()) return;
  for (const QuarantinedRecord& record : known->second) {
    const Location at = Location::make(record.segment, record.offset, 0);
    const bool indexed = parts_.index.set_flags(prefix_of(record.id), at, Location::kQuarantined);
    const bool nameless = record.id.is_zero() && segment.has_file;
    // Anything else was healed, erased or collected.
    if ((indexed || nameless) && parts_.quarantine.add(record) && indexed) ++parts_.damaged_chunks;
  }
}

}  // namespace hailstone::chunk
