// Snapshot files: anything may be in one. What passes is written the same again.
#include "base/check.h"
#include "cell/snapshot_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hailstone;
  const ByteView file(reinterpret_cast<const char*>(data), size);
  if (const auto entries = cell::decode_snapshot_block(file)) CHECK(cell::encode_snapshot_block(*entries) == file);
  size_t at = 0;
  Bytes last;
  static_cast<void>(cell::read_snapshot_file(
      [&](size_t bytes) -> Result<Bytes> {
        const Bytes piece(file.substr(at, bytes));
        at += piece.size();
        return piece;
      },
      [&](cell::SnapshotEntry entry) -> Result<void> {
        CHECK(last.empty() || entry.first > last);
        last = entry.first;
        return {};
      }));
  return 0;
}
