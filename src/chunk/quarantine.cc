#include "chunk/quarantine.h"

#include <utility>

#include "base/codec.h"
#include "chunk/segment.h"

namespace hailstone::chunk {
namespace {

constexpr ByteView kMagic = "HAILQUA1";
constexpr uint64_t kFileBytesMax = 1ull << 30;
constexpr size_t kWhatBytesMax = 200;

Bytes encode(const QuarantinedRecord& record) {
  Bytes body;
  Encoder encoder(body);
  encoder.hash(record.id);
  encoder.u32(record.segment);
  encoder.u64(record.offset);
  encoder.bytes(ByteView(record.what).substr(0, kWhatBytesMax));
  Bytes out;
  Encoder frame(out);
  frame.u32(crc32c(body));
  frame.u16(static_cast<uint16_t>(body.size()));
  frame.raw(body);
  return out;
}

std::optional<QuarantinedRecord> decode(Decoder& in) {
  const uint32_t crc = in.u32();
  const ByteView body = in.raw(in.u16());
  if (!in.ok() || crc32c(body) != crc) return std::nullopt;
  Decoder fields(body);
  QuarantinedRecord record;
  record.id = ChunkId(fields.hash());
  record.segment = fields.u32();
  record.offset = fields.u64();
  record.what = fields.bytes();
  if (!fields.done()) return std::nullopt;
  return record;
}

}  // namespace

Result<std::vector<QuarantinedRecord>> Quarantine::load() {
  std::vector<QuarantinedRecord> out;
  auto content = disk::read_file(disk_, path_, kFileBytesMax);
  if (!content && content.error().code == Code::NotFound) return out;
  if (!content) return std::unexpected(std::move(content).error());
  Decoder in(*content);
  if (in.raw(kMagic.size()) != kMagic) return out;
  file_bytes_ = kMagic.size();
  while (!in.rest().empty()) {
    auto record = decode(in);
    if (!record) break;
    file_bytes_ = content->size() - in.rest().size();
    in_file_[{record->segment, record->offset}] = *record;
    out.push_back(std::move(*record));
  }
  return out;
}

Result<void> Quarantine::loaded() {
  std::lock_guard lock(mutex_);
  loading_ = false;
  const bool same = std::exchange(in_file_, {}) == records_;
  if (same) return {};
  Bytes content(kMagic);
  for (const auto& [place, record] : records_) content += encode(record);
  TRY_DO(disk::write_file_atomic(disk_, path_, content));
  file_bytes_ = content.size();
  return {};
}

bool Quarantine::add(QuarantinedRecord record) {
  std::lock_guard lock(mutex_);
  const auto [it, inserted] = records_.try_emplace({record.segment, record.offset}, std::move(record));
  if (inserted) append_to_file(it->second);
  return inserted;
}

/// A failure is let be: the record is known in memory, and after a restart it is found as it was found now.
void Quarantine::append_to_file(const QuarantinedRecord& record) {
  if (loading_) return;
  if (!file_) {
    auto opened = disk_.open(path_, disk::OpenMode::Create);
    if (!opened) return;
    file_ = std::move(*opened);
  }
  const Bytes bytes = (file_bytes_ == 0 ? Bytes(kMagic) : Bytes()) + encode(record);
  if (!file_->write_at(file_bytes_, bytes)) return;
  file_bytes_ += bytes.size();
  file_dirty_ = true;
}

bool Quarantine::remove(uint32_t segment, uint64_t offset) {
  std::lock_guard lock(mutex_);
  return records_.erase({segment, offset}) > 0;
}

std::optional<QuarantinedRecord> Quarantine::find(uint32_t segment, uint64_t offset) const {
  std::lock_guard lock(mutex_);
  const auto it = records_.find({segment, offset});
  if (it == records_.end()) return std::nullopt;
  return it->second;
}

std::vector<Damage> Quarantine::list() const {
  std::lock_guard lock(mutex_);
  std::vector<Damage> out;
  out.reserve(records_.size());
  for (const auto& [place, record] : records_)
    out.push_back({record.id, record_place(record.segment, record.offset), record.what});
  return out;
}

bool Quarantine::holds(uint32_t segment) const {
  std::lock_guard lock(mutex_);
  for (auto it = records_.lower_bound({segment, 0}); it != records_.end() && it->first.first == segment; ++it)
    if (!it->second.id.is_zero()) return true;
  return false;
}

size_t Quarantine::drop(uint32_t segment) {
  std::lock_guard lock(mutex_);
  return std::erase_if(records_, [&](const auto& item) { return item.first.first == segment; });
}

size_t Quarantine::size() const {
  std::lock_guard lock(mutex_);
  return records_.size();
}

Result<void> Quarantine::sync() {
  std::shared_ptr<disk::File> file;
  {
    std::lock_guard lock(mutex_);
    if (!std::exchange(file_dirty_, false)) return {};
    file = file_;
  }
  return file->sync();
}

}  // namespace hailstone::chunk
