// Feeds any bytes to the decoders of commands, replies, entries and the group's records: what is accepted can be
// written again and means the same.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "volume/command.h"
#include "volume/entry.h"
#include "volume/records.h"
#include "volume/schema.h"

using namespace hailstone;
using namespace hailstone::volume;

namespace {

/// Written again it decodes, and from then on never changes.
template <class T>
void record(ByteView bytes) {
  const auto decoded = T::decode(bytes);
  if (!decoded) return;
  const Bytes again = decoded->encode();
  const auto twice = T::decode(again);
  CHECK(twice.has_value());
  CHECK(twice->encode() == again);
}

template <class T>
void part(ByteView bytes) {
  Decoder in(bytes);
  const T decoded = T::decode(in);
  if (!in.ok()) return;
  Bytes again;
  Encoder out(again);
  decoded.encode(out);
  Decoder reread(again);
  CHECK(T::decode(reread) == decoded && reread.done());
}

void entry(ByteView bytes) {
  const auto decoded = Entry::decode(bytes);
  if (!decoded) return;
  const auto again = decoded->encode();
  if (!again) return;  // longer than an entry may be: so was this one
  CHECK(Entry::decode(*again) == *decoded);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteView bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 12) {
    case 0: record<Command>(bytes); break;
    case 1: record<Reply>(bytes); break;
    case 2: record<VolumeRecord>(bytes); break;
    case 3: record<DraftRecord>(bytes); break;
    case 4: record<ReleaseRecord>(bytes); break;
    case 5: record<AccessKey>(bytes); break;
    case 6:
      if (const auto audit = AuditRecord::decode(Slot(7), bytes)) CHECK(audit->encode() == bytes);
      break;
    case 7: entry(bytes); break;
    case 8: part<Settings>(bytes); break;
    case 9: part<Layer>(bytes); break;
    case 10: part<Flip>(bytes); break;
    default:
      if (const auto edit = schema::decode_edit(bytes)) {
        const auto kept = edit->removed ? std::optional<Bytes>() : Bytes(edit->entry);
        CHECK(schema::encode_edit(kept, edit->weight) == bytes);
      }
      if (!validate_volume_name(bytes)) (void)validate_label("channel", bytes);
      (void)validate_key(bytes);
      (void)parse_role(bytes);
      (void)parse_check_mode(bytes);
  }
  return 0;
}
