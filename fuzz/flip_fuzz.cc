// Feeds any bytes to the decoder of channel files: what is accepted has one form, and can be flipped on.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "flip/channel_file.h"

using namespace hailstone;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView bytes(reinterpret_cast<const char*>(data), size);
  const auto file = flip::ChannelFile::decode(bytes);
  if (!file) return 0;
  CHECK(file->encode() == bytes);
  const volume::Flip& last = file->current();
  constexpr int64_t kFar = int64_t{1} << 62;
  if (last.at.value > kFar || last.modified_seconds > kFar || last.sequence == UINT64_MAX) return 0;
  const volume::Flip next = flip::next_flip(&*file, ReleaseNumber(1), {}, UnixMicros{0});
  const flip::ChannelFile then = flip::with_flip(&*file, file->volume, {next, flip::FlipId(1)}, {});
  CHECK(flip::ChannelFile::decode(then.encode()) == then);
  return 0;
}
