// Feeds any bytes to the decoders of the mirror module: the wire stream (whole, and split at a place the input
// chooses), import state, export manifest, exclude patterns.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "mirror/exclude.h"
#include "mirror/export_manifest.h"
#include "mirror/import_state.h"
#include "mirror/wire.h"

using namespace hailstone;

namespace {

// Number of events, or SIZE_MAX on an error: must not depend on the split.
size_t count_events(ByteView bytes, size_t split) {
  mirror::WireDecoder in;
  size_t events = 0;
  for (const ByteView part : {bytes.substr(0, split), bytes.substr(split)}) {
    in.feed(part);
    while (true) {
      const auto event = in.next();
      if (!event) return SIZE_MAX;
      if (!*event) break;
      ++events;
    }
  }
  return in.finish() ? events : SIZE_MAX;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteView bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      if (count_events(bytes, 0) != count_events(bytes, data[0] / 4 % (bytes.size() + 1))) std::abort();
      break;
    case 1:
      if (const auto state = mirror::ImportState::decode(bytes); state && state->encode() != bytes) {
        // Another split of shared and own key bytes may decode alike; what we encode must still mean the same.
        if (*mirror::ImportState::decode(state->encode()) != *state) std::abort();
      }
      break;
    case 2:
      if (const auto manifest = mirror::ExportManifest::decode(bytes); manifest && manifest->encode() != bytes)
        std::abort();
      break;
    default: {
      const size_t half = bytes.size() / 2;
      if (auto excludes = mirror::Excludes::parse({std::string(bytes.substr(0, std::min<size_t>(half, 24)))}))
        (void)excludes->match(bytes.substr(half).substr(0, 64), mirror::Excludes::Is::Other);
    }
  }
  return 0;
}
