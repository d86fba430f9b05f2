#include "chunk/recovery.h"

#include <fmt/core.h>

#include <algorithm>

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

Result<Recovery::Outcome> Recovery::run() {
  TRY(const std::vector<Segment> segments, find_segments());
  uint32_t newest = 0;
  for (const Segment& segment : segments) {
    outcome_.next_number = std::max(outcome_.next_number, segment.header.number + 1);
    if (segment.header.generation == 0) newest = std::max(newest, segment.header.number);
  }
  for (const Segment& segment : segments) {
    const bool is_newest = segment.header.number == newest;
    if (is_newest && segment.has_file && !segment.has_header && segment.size <= kSegmentHeaderBytes) {
      // It was being created: its header is made durable before its first record is written.
      TRY_DO(parts_.disk.remove(path(segment_name(newest))));
      TRY_DO(parts_.disk.sync_directory(parts_.options.directory));  // before a later segment makes it look damaged
      continue;
    }
    TRY(Contents contents, read_contents(segment, is_newest));
    apply(segment, contents);
    report(segment, contents);
    parts_.usage.set_file_bytes(segment.header.number, segment.size);
    const bool open_ended =
        is_newest && segment.has_header && contents.clean() && contents.end < parts_.options.segment_bytes;
    if (open_ended) {
      TRY(std::shared_ptr<disk::File> file, parts_.disk.open(path(segment_name(newest)), disk::OpenMode::Write));
      parts_.usage.set_file_bytes(newest, 0);  // counted as the writer goes
      outcome_.active_covered = contents.covered;
      outcome_.active = SegmentWriter::Active{.header = segment.header,
                                              .file = std::move(file),
                                              .end = contents.end,
                                              .entries = std::move(contents.entries)};
    } else if (segment.has_file && contents.clean() && contents.covered < contents.end) {
      // A damaged segment is read again each time: a sidecar would hide what it can't name.
      write_sidecar(segment, contents);
    }
  }
  TRY_DO(load_quarantine(segments));
  return std::move(outcome_);
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

void Recovery::apply(const Segment& segment, const Contents& contents) {
  for (const SegmentEntry& entry : contents.entries) apply(segment.header.number, entry);
}

void Recovery::apply(uint32_t segment, const SegmentEntry& entry) {
  const uint64_t prefix = prefix_of(entry.id);
  std::optional<Location> old;
  SegmentEntry old_entry;
  parts_.index.find(prefix).each([&](const Index::Slot& slot) {
    const auto header = parts_.records.header(slot.location);
    if (header && header->id != entry.id) return;
    old = slot.location;
    if (header)
      old_entry = {.id = entry.id,
                   .offset8 = 0,
                   .stored = header->stored,
                   .bytes = header->bytes,
                   .span8 = static_cast<uint32_t>(header->span() / kRecordAlign)};
  });
  if (old) {
    // A later record heals or erases what an earlier segment had damaged.
    if (parts_.quarantine.remove(old->segment(), old->offset())) --outcome_.quarantined_chunks;
    parts_.usage.remove(old->segment(), old_entry);
    parts_.index.erase(prefix, *old);
  }
  if (entry.erased()) return;
  parts_.index.insert(prefix, Location::make(segment, entry.offset(), entry.span()));
  parts_.usage.add(segment, entry);
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
    ++outcome_.quarantined_chunks;
}

/// Only a convenience for the next opening: a failure is told and let be.
void Recovery::write_sidecar(const Segment& segment, Contents& contents) {
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

Result<void> Recovery::load_quarantine(const std::vector<Segment>& segments) {
  TRY(const auto records, parts_.quarantine.load());
  for (const QuarantinedRecord& record : records) {
    if (record.segment > kSegmentNumberMax || record.offset >= kSegmentFileBytesMax ||
        record.offset % kRecordAlign != 0)
      continue;
    const Location at = Location::make(record.segment, record.offset, 0);
    const bool indexed = parts_.index.set_flags(prefix_of(record.id), at, Location::kQuarantined);
    const bool nameless =
        record.id.is_zero() && std::any_of(segments.begin(), segments.end(), [&](const Segment& segment) {
          return segment.header.number == record.segment && segment.has_file;
        });
    // Anything else was healed, erased or collected.
    if ((indexed || nameless) && parts_.quarantine.add(record) && indexed) ++outcome_.quarantined_chunks;
  }
  if (auto written = parts_.quarantine.loaded(); !written)
    parts_.logger.warn("quarantine file not written", {{"reason", written.error().message}});
  return {};
}

}  // namespace hailstone::chunk
