// Feeds any bytes to the decoders of the chunk module: contents, list chunks, sidecars, and a whole segment file that
// is scanned and then opened as a store, whose every chunk must match its name.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/logger.h"
#include "chunk/content.h"
#include "chunk/list_chunk.h"
#include "chunk/local_store.h"
#include "chunk/segment_scan.h"
#include "chunk/sidecar.h"
#include "disk/sim_disk.h"

using namespace hailstone;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void content(ByteView bytes) {
  Decoder in(bytes);
  const chunk::Content content = chunk::Content::decode(in);
  if (!in.ok()) return;
  Bytes again;
  Encoder out(again);
  content.encode(out);
  require(again == bytes.substr(0, bytes.size() - in.rest().size()));
}

void list(ByteView bytes) {
  const uint64_t total = Decoder(bytes).u64();
  const auto refs = chunk::decode_list(bytes.substr(std::min<size_t>(8, bytes.size())), 0, total);
  if (refs) require(chunk::encode_list(0, *refs) == bytes.substr(8));
}

/// A checksum mutated bytes would nearly never meet is put right, so that what lies behind it is reached.
void mend(Bytes& bytes, size_t header_bytes, size_t crc_at) {
  if (bytes.size() < header_bytes) return;
  const uint32_t crc = crc32c(ByteView(bytes).substr(0, crc_at));
  for (size_t i = 0; i < 4; ++i) bytes[crc_at + i] = static_cast<char>(crc >> (8 * i));
}

void sidecar(Bytes bytes) {
  mend(bytes, 64, 60);
  if (const auto decoded = chunk::Sidecar::decode(bytes)) {
    for (const auto& entry : decoded->entries)
      require(entry.offset() + entry.span() <= decoded->covered || entry.erased());
  }
}

/// The records' headers are given right checksums too, wherever a magic stands.
void mend_records(Bytes& bytes, uint32_t segment) {
  for (size_t at = 64; at + chunk::kRecordFixedBytes <= bytes.size(); at += 8) {
    if (!chunk::looks_like_record(ByteView(bytes).substr(at))) continue;
    chunk::RecordHeader header;
    const auto decoded = chunk::decode_record(ByteView(bytes).substr(at), segment, at, header);
    if (decoded || header.stored > chunk::kChunkBytesMax || header.payload_at < chunk::kRecordFixedBytes) continue;
    if (header.payload_at + uint64_t{header.stored} > bytes.size() - at) continue;
    chunk::sum_blocks(header, ByteView(bytes).substr(at + header.payload_at, header.stored));
    const Bytes head = chunk::encode_record(header, segment, at);
    if (head.size() <= bytes.size() - at) bytes.replace(at, head.size(), head);
  }
}

void segment(Bytes bytes) {
  constexpr uint32_t kNumber = 7;
  mend(bytes, 64, 60);
  mend_records(bytes, kNumber);
  disk::SimDisk disk;
  require(disk.make_directories("/s").has_value());
  require(disk::write_file_atomic(disk, "/s/00000007.seg", bytes).has_value());
  {
    const auto file = disk.open("/s/00000007.seg", disk::OpenMode::Read).value();
    const auto scan = chunk::scan_segment(*file, kNumber, chunk::kSegmentHeaderBytes, bytes.size());
    require(scan.has_value());
    uint64_t end = 0;
    for (const auto& record : scan->records) {
      require(record.offset >= end);
      end = record.end();
    }
  }
  NullLogger logger;
  chunk::LocalStoreOptions options;
  options.directory = "/s";
  options.reserve_bytes = 0;
  const auto store = chunk::LocalStore::open(disk, options, logger);
  if (!store) return;
  const auto ids = (*store)->list({}, 1000);
  require(ids.has_value());
  for (const auto& id : *ids)
    if (const auto got = (*store)->get(id)) require(ChunkId(sha256(**got)) == id);
  require((*store)->put("one more", chunk::Compress::Never).has_value() && (*store)->sync().has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteView bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0: content(bytes); break;
    case 1: list(bytes); break;
    case 2: sidecar(Bytes(bytes)); break;
    default: segment(Bytes(bytes)); break;
  }
  return 0;
}
