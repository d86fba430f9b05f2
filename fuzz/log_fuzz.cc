// Feeds the segment scan with arbitrary bytes, and with a valid segment that the input damages.
#include <cstdlib>
#include <vector>

#include "base/codec.h"
#include "log/segment.h"

using namespace hailstone;
using namespace hailstone::log;

namespace {

/// Whatever the bytes: no crash, and what is reported lies inside the image and in order.
std::vector<Bytes> scan(ByteView image) {
  std::vector<Bytes> bodies;
  Slot last;
  const auto found = scan_segment(image, [&](const Record& record, uint64_t offset) -> Result<void> {
    if (offset < kBlockBytes || offset >= image.size()) abort();
    if (last && record.slot != last.next()) abort();
    last = record.slot;
    bodies.emplace_back(record.body);
    return {};
  });
  if (found && found->ending == Ending::Torn && found->dirty_offset > image.size()) abort();
  if (!found || found->ending == Ending::Damaged) bodies.emplace_back("damage was reported");
  return bodies;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView input(reinterpret_cast<const char*>(data), size);
  scan(input);

  // A segment of two batches; each 5 bytes of input flip one byte of it.
  Bytes first, second;
  encode_record(first, {RecordKind::Command, 0, Slot(1), "one"});
  encode_record(first, {RecordKind::Command, 0, Slot(2), Bytes(900, '\0')});
  encode_record(second, {RecordKind::Command, 0, Slot(3), input.substr(0, 2000)});
  Bytes image = encode_segment_header({1, 1, Slot(0)}) + encode_batch(1, 1, first) + encode_batch(1, 2, second);
  image.append(kBlockBytes, '\0');
  const std::vector<Bytes> whole = scan(image);
  if (whole.size() != 3) abort();
  Decoder flips(input);
  size_t flipped = 0;
  for (; flipped < 2 && flips.rest().size() >= 5; ++flipped) {
    const uint32_t at = flips.u32() % static_cast<uint32_t>(image.size());
    image[at] = static_cast<char>(image[at] ^ flips.u8());
  }
  // At most two damaged bytes: no record is lost or changed without a word. (Three could turn a sector of zeros into
  // one never written, by its two stamp bytes, and spoil the payload elsewhere: at the very end that reads as torn.)
  const std::vector<Bytes> after = scan(image);
  const bool reported = !after.empty() && after.back() == "damage was reported";
  if (!reported && after != whole) abort();
  return 0;
}
