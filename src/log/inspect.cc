#include "log/inspect.h"

#include <fmt/format.h>

#include <charconv>
#include <map>

#include "log/segment.h"

namespace hailstone::log {
namespace {

using Visitor = std::function<Result<void>(const RecordPlace&, ByteView)>;

class Inspection {
 public:
  Inspection(disk::Disk& disk, const Visitor& visit) : disk_(disk), visit_(visit) {}

  Result<void> segment(uint64_t number, const std::string& path, bool is_last) {
    SegmentReport report{.path = path, .number = number};
    if (next_segment_ && number != next_segment_)
      damage(path, 0, fmt::format("{} segments before it are missing", number - next_segment_));
    next_segment_ = number + 1;
    const auto image = disk::read_file(disk_, path, UINT64_MAX);
    if (!image) {
      damage(path, 0, image.error().message);
      report_.segments.push_back(std::move(report));
      return {};
    }
    report.bytes = image->size();
    const auto header = decode_segment_header(ByteView(*image).substr(0, kBlockBytes));
    if (!header)
      damage(path, 0, header.error().message);
    else if (header->segment != number)
      damage(path, 0, fmt::format("its header says segment {}", header->segment));
    else if (next_batch_ && header->first_batch != next_batch_)
      damage(path, 0, fmt::format("begins with batch {}, but batch {} is next", header->first_batch, next_batch_));
    else
      next_batch_ = header->first_batch;
    TRY_DO(batches(*image, report, is_last));
    report_.segments.push_back(std::move(report));
    return {};
  }
  LogReport take() { return std::move(report_); }

 private:
  void damage(const std::string& path, uint64_t offset, std::string what) {
    report_.damages.push_back({.path = path, .offset = offset, .what = std::move(what)});
  }

  Result<void> batches(ByteView image, SegmentReport& report, bool is_last) {
    uint64_t unread = 0;  // where what can't be read begins; 0: nothing
    for (uint64_t at = kBlockBytes; at + kBlockBytes <= image.size();) {
      Result<void> visited;
      const auto batch =
          read_batch(image.substr(at), report.number, [&](const Record& record, uint64_t) -> Result<void> {
            if (!report.first) report.first = record.slot;
            report.last = record.slot;
            visited = visit_({.segment = report, .batch_offset = at, .slot = record.slot}, record.body);
            return visited;
          });
      if (!visited) return visited;
      if (!batch) damage(report.path, at, batch.error().message);
      if (!batch || !*batch) {
        if (!unread && image.substr(at, kBlockBytes).find_first_not_of('\0') != ByteView::npos) unread = at;
        at += kBlockBytes;
        continue;
      }
      if (next_batch_ && (*batch)->number != next_batch_)
        damage(report.path, unread ? unread : at,
               fmt::format("batch {} is not readable, but {} follows at {}", next_batch_, (*batch)->number, at));
      unread = 0;
      next_batch_ = (*batch)->number + 1;
      ++report.batches;
      at += (*batch)->bytes;
      report.used_bytes = at;
    }
    return unread ? end(image, report, is_last, unread) : Result<void>();
  }

  /// Something that is no batch is at the end: the rule that opening follows says what it is.
  Result<void> end(ByteView image, SegmentReport& report, bool is_last, uint64_t at) {
    const auto scan = scan_segment(image, [](const Record&, uint64_t) -> Result<void> { return {}; });
    if (scan && scan->ending == Ending::Torn && is_last)
      report.torn = scan->reason;
    else
      damage(report.path, at, scan && scan->end_offset == at ? scan->reason : "not readable from here on");
    return {};
  }

  disk::Disk& disk_;
  const Visitor& visit_;
  LogReport report_;
  uint64_t next_segment_ = 0, next_batch_ = 0;  // 0: any
};

}  // namespace

Result<LogReport> inspect(disk::Disk& disk, const std::string& directory, const Visitor& visit) {
  constexpr ByteView kPrefix = "segment-";
  TRY(const auto names, disk.list(directory));
  std::map<uint64_t, std::string> segments;
  for (const std::string& name : names) {
    uint64_t number = 0;
    if (!name.starts_with(kPrefix) || name.size() != kPrefix.size() + 16) continue;
    const auto parsed = std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), number, 16);
    if (parsed.ptr == name.data() + name.size()) segments.emplace(number, directory + "/" + name);
  }
  Inspection inspection(disk, visit);
  for (const auto& [number, path] : segments)
    TRY_DO(inspection.segment(number, path, number == segments.rbegin()->first));
  return inspection.take();
}

}  // namespace hailstone::log
