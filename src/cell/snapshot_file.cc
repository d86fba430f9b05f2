#include "cell/snapshot_file.h"

#include <fmt/format.h>

#include "base/codec.h"

namespace hailstone::cell {
namespace {

constexpr ByteView kMagic = "HSCELLSN";
constexpr uint16_t kVersion = 1;
constexpr size_t kNameBytesMax = 64;

std::unexpected<Error> corrupt(std::string what) { return fail(Code::Corrupt, "cell snapshot: " + std::move(what)); }

class Parser {
 public:
  explicit Parser(const SnapshotSource& source) : source_(source) {}
  /// Exactly so many, which count for the final hash.
  Result<Bytes> take(size_t size) {
    TRY(Bytes bytes, source_(size));
    if (bytes.size() != size) return corrupt(fmt::format("cut off at byte {}", at_ + bytes.size()));
    at_ += size;
    hasher_.update(bytes);
    return bytes;
  }
  uint64_t at() const { return at_; }
  Bytes hash() { return hasher_.finish(); }

 private:
  const SnapshotSource& source_;
  Hasher hasher_{Hasher::Kind::Sha256};
  uint64_t at_ = 0;
};

Result<SnapshotHeader> read_header(Parser& in) {
  TRY(const Bytes start, in.take(kMagic.size() + 3));
  if (!start.starts_with(kMagic)) return fail(Code::Invalid, "not a snapshot of a cell");
  Decoder fixed(ByteView(start).substr(kMagic.size()));
  const uint16_t version = fixed.u16();
  if (version != kVersion)
    return fail(Code::Unsupported,
                fmt::format("snapshot of format version {}; this program reads {}", version, kVersion));
  const uint8_t name_bytes = fixed.u8();
  if (name_bytes == 0 || name_bytes > kNameBytesMax) return corrupt("the cell's name has no possible length");
  TRY(const Bytes rest, in.take(name_bytes + 16u));
  Decoder out(rest);
  SnapshotHeader header{.cell = Bytes(out.raw(name_bytes)), .revision = Revision(out.u64())};
  if (out.u64() != xxh3(start + rest.substr(0, rest.size() - 8))) return corrupt("the header is damaged");
  return header;
}

}  // namespace

Bytes encode_snapshot_block(const std::vector<SnapshotEntry>& entries) {
  Bytes block;
  Encoder out(block);
  out.varint(entries.size());
  for (const auto& [key, value] : entries) {
    out.bytes(key);
    out.bytes(value);
  }
  return block;
}

Result<std::vector<SnapshotEntry>> decode_snapshot_block(ByteView block) {
  Decoder in(block);
  std::vector<SnapshotEntry> entries;
  const uint64_t count = in.varint();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    Bytes key(in.bytes());
    Bytes value(in.bytes());
    if (!entries.empty() && key <= entries.back().first) return corrupt("keys are out of order");
    entries.emplace_back(std::move(key), std::move(value));
  }
  if (!in.done() || entries.empty()) return corrupt("a block is malformed");
  return entries;
}

Bytes SnapshotWriter::seal(Bytes bytes) {
  hasher_.update(bytes);
  return bytes;
}

Bytes SnapshotWriter::begin(const SnapshotHeader& header) {
  Bytes bytes(kMagic);
  Encoder out(bytes);
  out.u16(kVersion);
  out.u8(static_cast<uint8_t>(header.cell.size()));
  out.raw(header.cell);
  out.u64(header.revision.value);
  out.u64(xxh3(bytes));
  return seal(std::move(bytes));
}

Bytes SnapshotWriter::add(ByteView block) {
  ++blocks_;
  Bytes bytes;
  Encoder out(bytes);
  out.u32(static_cast<uint32_t>(block.size()));
  out.u64(xxh3(block));
  out.raw(block);
  return seal(std::move(bytes));
}

Bytes SnapshotWriter::end() {
  Bytes bytes;
  Encoder out(bytes);
  out.u32(0);
  out.u64(blocks_);
  bytes = seal(std::move(bytes));
  return bytes + hasher_.finish();
}

Result<SnapshotHeader> read_snapshot_file(const SnapshotSource& source,
                                          const std::function<Result<void>(SnapshotEntry entry)>& take) {
  Parser in(source);
  TRY(const SnapshotHeader header, read_header(in));
  Bytes last;
  for (uint64_t blocks = 0;; ++blocks) {
    TRY(const Bytes start, in.take(12));
    Decoder head(start);
    const uint32_t size = head.u32();
    const uint64_t checksum = head.u64();
    if (size == 0) {
      if (checksum != blocks) return corrupt(fmt::format("has {} blocks of {}", blocks, checksum));
      break;
    }
    if (size > kSnapshotBlockBytesMax) return corrupt(fmt::format("a block at byte {} is too long", in.at() - 12));
    TRY(const Bytes block, in.take(size));
    if (xxh3(block) != checksum) return corrupt(fmt::format("the block at byte {} is damaged", in.at() - size - 12));
    TRY(auto entries, decode_snapshot_block(block));
    for (auto& entry : entries) {
      if (blocks > 0 && entry.first <= last) return corrupt("keys are out of order");
      last = entry.first;
      TRY_DO(take(std::move(entry)));
    }
  }
  const Bytes hash = in.hash();
  TRY(const Bytes stored, source(hash.size() + 1));
  if (stored != hash) return corrupt("the hash over all of it does not match");
  return header;
}

}  // namespace hailstone::cell
