// Feeds the decoder of journal entries with arbitrary bytes: what it takes, it gives back byte for byte.
#include <cstdlib>

#include "replica/journal_entry.h"

using namespace hailstone;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView bytes(reinterpret_cast<const char*>(data), size);
  const auto entry = replica::decode_journal_entry(bytes);
  if (entry && replica::encode(*entry, entry->records) != bytes) abort();
  return 0;
}
