#include "log/log.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>

#include "base/check.h"
#include "log/segment.h"
#include "log/spare.h"

namespace hailstone::log {
namespace {

constexpr ByteView kPrefix = "segment-";
constexpr size_t kNumberDigits = 16;

std::string segment_name(uint64_t number) { return fmt::format("{}{:016x}", kPrefix, number); }

std::optional<uint64_t> segment_number(const std::string& name) {
  if (!name.starts_with(kPrefix) || name.size() != kPrefix.size() + kNumberDigits) return std::nullopt;
  uint64_t number = 0;
  for (const char c : name.substr(kPrefix.size())) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return std::nullopt;
    number = number << 4 | static_cast<uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return number;
}

struct Segment {
  uint64_t number = 0;
  uint64_t bytes = 0;
  Slot before;  // last slot of the segments before
  Slot last;    // last slot here, or `before`
  struct Mark {
    Slot first;  // of a batch
    uint64_t offset = 0;
  };
  std::vector<Mark> batches{};
};

class SegmentedLog final : public Log {
 public:
  SegmentedLog(disk::Disk& disk, const LogOptions& options, Logger& logger)
      : disk_(disk), options_(options), logger_(logger), spare_(disk, options, logger) {}

  Result<void> recover();

  Result<void> append(Slot slot, ByteView record) override;
  Result<void> sync() override;
  Result<void> replay(Slot from, const std::function<Result<void>(Slot, ByteView)>& visit) override;
  Result<void> read_batch(Slot slot, const std::function<Result<void>(Slot, ByteView)>& visit) override;
  Result<void> trim(Slot upto) override;
  Slot first() const override { return segments_.front().before.next(); }
  Slot last() const override { return segments_.back().last; }
  uint64_t size_bytes() const override {
    uint64_t sum = 0;
    for (const auto& segment : segments_) sum += segment.bytes;
    return sum;
  }

 private:
  std::string path_of(uint64_t number) const { return options_.directory + "/" + segment_name(number); }
  Result<void> working() const {
    if (!failed_) return {};
    return fail(Code::Io, fmt::format("log {}: an earlier write or sync failed", options_.directory));
  }
  Result<void> sticky(Result<void> result) {
    if (result) return result;
    failed_ = true;
    return fail(Code::Io, std::move(result).error().message);
  }

  Result<std::vector<uint64_t>> list_segments() const;
  Result<Scan> scan(const Segment& segment, Bytes& image, const RecordVisitor& visit) const;
  Result<Scan> check(Segment& segment, Bytes& image, bool is_last);
  Result<void> settle(const Segment& segment, const Scan& scan);
  Result<void> begin_segment(uint64_t number, uint64_t payload_bytes);
  Result<void> write_batch();

  disk::Disk& disk_;
  const LogOptions options_;
  Logger& logger_;
  Spare spare_;
  std::deque<Segment> segments_;  // oldest first, never empty once recovered; the last is being written
  std::unique_ptr<disk::File> file_;
  uint64_t offset_ = 0;  // where the next batch goes
  uint64_t next_batch_ = 1;
  Bytes payload_;  // records appended since the last sync
  Slot payload_first_;
  bool failed_ = false;
};

Result<std::vector<uint64_t>> SegmentedLog::list_segments() const {
  TRY(const auto names, disk_.list(options_.directory));
  std::vector<uint64_t> numbers;
  for (const auto& name : names) {
    if (const auto number = segment_number(name)) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  for (size_t i = 1; i < numbers.size(); ++i) {
    if (numbers[i] != numbers[i - 1] + 1) {
      return fail(Code::Corrupt,
                  fmt::format("log {}: {} follows {}: segments between them are missing", options_.directory,
                              segment_name(numbers[i]), segment_name(numbers[i - 1])));
    }
  }
  return numbers;
}

/// `image` is memory to read into, of one scan after the other.
Result<Scan> SegmentedLog::scan(const Segment& segment, Bytes& image, const RecordVisitor& visit) const {
  const std::string path = path_of(segment.number);
  TRY_DO(disk::read_file(disk_, path, UINT64_MAX, image));
  auto scanned = scan_segment(image, visit);
  if (!scanned) return std::unexpected(std::move(scanned).error().within(path));
  if (scanned->header.segment != segment.number) {
    return fail(Code::Corrupt, fmt::format("{}: its header says segment {}", path, scanned->header.segment));
  }
  return scanned;
}

/// Fills in the segment's slots.
Result<Scan> SegmentedLog::check(Segment& segment, Bytes& image, bool is_last) {
  TRY(auto found, scan(segment, image, [&](const Record& record, uint64_t offset) -> Result<void> {
        if (segment.batches.empty() || segment.batches.back().offset != offset)
          segment.batches.push_back({record.slot, offset});
        return {};
      }));
  const std::string path = path_of(segment.number);
  if (!segments_.empty()) {
    const Segment& previous = segments_.back();
    if (found.header.first_batch != next_batch_ || found.header.slot_before != previous.last) {
      return fail(Code::Corrupt,
                  fmt::format("{}: begins with batch {} after slot {}, but {} ends before batch {} with slot {}", path,
                              found.header.first_batch, found.header.slot_before.value, segment_name(previous.number),
                              next_batch_, previous.last.value));
    }
  }
  if (found.ending == Ending::Damaged || (found.ending == Ending::Torn && !is_last)) {
    return fail(Code::Corrupt, fmt::format("{}: damaged after slot {}: {}", path, found.last_slot.value, found.reason));
  }
  segment.before = found.header.slot_before;
  segment.last = found.last_slot;
  next_batch_ = found.next_batch;
  return found;
}

/// Makes what the scan found in the last segment durable, and nothing else. Only the last batch can be intact without
/// being durable: its writer may have died before its sync, or have had that sync fail, after which the kernel shows
/// pages that it will never write. So it is written again, with the same bytes. A torn batch is zeroed: "not zero"
/// means "written".
Result<void> SegmentedLog::settle(const Segment& segment, const Scan& scan) {
  Bytes tail(scan.end_offset - scan.last_offset, '\0');
  TRY(const size_t got, file_->read_at(scan.last_offset, tail));
  if (got != tail.size()) return fail(Code::Io, fmt::format("{}: shorter than a moment ago", path_of(segment.number)));
  if (scan.ending == Ending::Torn) {
    logger_.warn("log_torn_tail_cut",
                 {{"segment", path_of(segment.number)}, {"after_slot", segment.last.value}, {"reason", scan.reason}});
    tail.append(scan.dirty_offset - scan.end_offset, '\0');
  }
  TRY_DO(file_->write_at(scan.last_offset, tail));
  return file_->sync();
}

Result<void> SegmentedLog::recover() {
  TRY_DO(disk_.make_directories(options_.directory));
  TRY(const auto numbers, list_segments());
  if (numbers.empty()) return begin_segment(1, 0);
  Scan scan;
  Bytes image;
  for (const uint64_t number : numbers) {
    Segment segment;
    segment.number = number;
    TRY(segment.bytes, disk_.file_size(path_of(number)));
    TRY(scan, check(segment, image, number == numbers.back()));
    segments_.push_back(segment);
  }
  TRY(file_, disk_.open(path_of(numbers.back()), disk::OpenMode::Write));
  offset_ = scan.end_offset;
  TRY_DO(settle(segments_.back(), scan));
  return disk_.sync_directory(options_.directory);
}

Result<void> SegmentedLog::append(Slot slot, ByteView record) {
  TRY_DO(working());
  CHECK(slot == last().next());
  if (record.size() > kRecordBytesMax) {
    return fail(Code::Invalid,
                fmt::format("record of slot {}: {} bytes, at most {}", slot.value, record.size(), kRecordBytesMax));
  }
  const uint64_t bytes = kRecordHeaderBytes + record.size();
  if (offset_ + batch_bytes(payload_.size() + bytes) > segments_.back().bytes) {
    // A segment's header vouches for all batches before it, so they come first.
    TRY_DO(write_batch());
    if (offset_ + batch_bytes(bytes) > segments_.back().bytes) {
      TRY_DO(begin_segment(segments_.back().number + 1, bytes));
    }
  }
  if (payload_.empty()) payload_first_ = slot;
  encode_record(payload_, {RecordKind::Command, 0, slot, record});
  segments_.back().last = slot;
  return {};
}

/// Exhausted only while nothing has changed but the spare.
Result<void> SegmentedLog::begin_segment(uint64_t number, uint64_t payload_bytes) {
  const uint64_t bytes_min = kBlockBytes + batch_bytes(payload_bytes);
  if (auto taken = spare_.take(bytes_min); !taken) {
    if (taken.error().code == Code::Exhausted) {
      return fail(Code::Exhausted, fmt::format("{}: {}", path_of(number), taken.error().message));
    }
    return sticky(std::move(taken));
  }
  const Slot before = segments_.empty() ? Slot() : last();
  const auto begun = [&]() -> Result<void> {
    TRY(file_, disk_.open(spare_.path(), disk::OpenMode::Write));
    TRY_DO(file_->write_at(0, encode_segment_header({number, next_batch_, before})));
    TRY_DO(file_->sync());
    TRY_DO(disk_.rename(spare_.path(), path_of(number)));
    TRY_DO(disk_.sync_directory(options_.directory));
    TRY(const uint64_t bytes, file_->size());
    segments_.push_back({.number = number, .bytes = bytes, .before = before, .last = before});
    offset_ = kBlockBytes;
    return {};
  }();
  return sticky(begun);
}

Result<void> SegmentedLog::write_batch() {
  if (payload_.empty()) return {};
  const Slot first = payload_first_;
  const Bytes batch = encode_batch(segments_.back().number, next_batch_, payload_);
  TRY_DO(sticky(file_->write_at(offset_, batch)));
  TRY_DO(sticky(file_->sync()));
  payload_.clear();
  segments_.back().batches.push_back({first, offset_});
  offset_ += batch.size();
  ++next_batch_;
  if (offset_ > segments_.back().bytes / 2) spare_.want();
  return {};
}

Result<void> SegmentedLog::sync() {
  TRY_DO(working());
  return write_batch();
}

Result<void> SegmentedLog::replay(Slot from, const std::function<Result<void>(Slot, ByteView)>& visit) {
  Bytes image;
  for (const auto& segment : segments_) {
    if (segment.last < from) continue;
    TRY(const Scan found, scan(segment, image, [&](const Record& record, uint64_t) -> Result<void> {
          return record.slot < from ? Result<void>() : visit(record.slot, record.body);
        }));
    const bool current = &segment == &segments_.back();
    if (found.ending != Ending::Clean || (!current && found.last_slot != segment.last)) {
      return fail(Code::Corrupt, fmt::format("{}: damaged since it was opened, after slot {}: {}",
                                             path_of(segment.number), found.last_slot.value, found.reason));
    }
  }
  return {};
}

Result<void> SegmentedLog::read_batch(Slot slot, const std::function<Result<void>(Slot, ByteView)>& visit) {
  const auto segment = std::find_if(segments_.begin(), segments_.end(),
                                    [&](const Segment& each) { return each.before < slot && slot <= each.last; });
  const auto missing = [&] {
    return fail(Code::NotFound, fmt::format("log {}: slot {} is not held", options_.directory, slot.value));
  };
  if (segment == segments_.end()) return missing();
  auto next = std::upper_bound(segment->batches.begin(), segment->batches.end(), slot,
                               [](Slot wanted, const Segment::Mark& mark) { return wanted < mark.first; });
  if (next == segment->batches.begin() ||
      (!payload_.empty() && segment == std::prev(segments_.end()) && slot >= payload_first_))
    return missing();
  const uint64_t offset = std::prev(next)->offset;
  const bool current = segment == std::prev(segments_.end());
  const uint64_t end = next != segment->batches.end() ? next->offset : current ? offset_ : segment->bytes;
  const std::string path = path_of(segment->number);
  TRY(const auto file, disk_.open(path, disk::OpenMode::Read));
  Bytes image(end - offset, '\0');
  TRY(const size_t got, file->read_at(offset, image));
  image.resize(got);
  TRY(const auto batch, log::read_batch(image, segment->number, [&](const Record& record, uint64_t) {
        return visit(record.slot, record.body);
      }));
  if (!batch)
    return fail(Code::Corrupt,
                fmt::format("{}: the batch at {}, with slot {}, is not intact any more", path, offset, slot.value));
  return {};
}

Result<void> SegmentedLog::trim(Slot upto) {
  TRY_DO(working());
  // Oldest first, each durably before the next: what a crash leaves has no gap.
  while (segments_.size() > 1 && segments_.front().last <= upto) {
    TRY_DO(sticky(spare_.recycle(path_of(segments_.front().number))));
    segments_.pop_front();
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Log>> Log::open(disk::Disk& disk, const LogOptions& options, Logger& logger) {
  LogOptions checked = options;
  checked.segment_bytes = std::max(checked.segment_bytes, kSegmentBytesMin) / kBlockBytes * kBlockBytes;
  auto log = std::make_unique<SegmentedLog>(disk, checked, logger);
  TRY_DO(log->recover());
  return log;
}

Result<std::vector<std::string>> salvage(disk::Disk& disk, const std::string& directory,
                                         const std::function<Result<void>(Slot, ByteView)>& visit) {
  TRY(const auto names, disk.list(directory));
  std::map<uint64_t, std::string> segments;
  for (const auto& name : names)
    if (const auto number = segment_number(name)) segments.emplace(*number, directory + "/" + name);
  std::vector<std::string> damages;
  Slot last;
  uint64_t next_batch = 0, next_segment = 0;
  for (const auto& [number, path] : segments) {
    if (next_segment && number != next_segment)
      damages.push_back(fmt::format("{}: {} segments before it are missing", path, number - next_segment));
    next_segment = number + 1;
    TRY(const Bytes image, disk::read_file(disk, path, UINT64_MAX));
    const auto header = decode_segment_header(ByteView(image).substr(0, kBlockBytes));
    if (!header) damages.push_back(path + ": " + header.error().message);
    uint64_t lost_from = 0;
    for (uint64_t at = kBlockBytes; at < image.size();) {
      TRY(const auto batch,
          read_batch(ByteView(image).substr(at), number, [&](const Record& record, uint64_t) -> Result<void> {
            if (record.slot <= last) return {};
            last = record.slot;
            return visit(record.slot, record.body);
          }));
      if (!batch) {
        if (!lost_from && ByteView(image).substr(at).find_first_not_of('\0') != ByteView::npos) lost_from = at;
        at += kBlockBytes;
        continue;
      }
      if (next_batch && batch->number != next_batch)
        damages.push_back(fmt::format("{}: between {} and {}: batches {} to {} are not readable", path, lost_from, at,
                                      next_batch, batch->number - 1));
      lost_from = 0;
      next_batch = batch->number + 1;
      at += batch->bytes;
    }
    if (lost_from) damages.push_back(fmt::format("{}: from {} on: not readable", path, lost_from));
  }
  return damages;
}

}  // namespace hailstone::log
