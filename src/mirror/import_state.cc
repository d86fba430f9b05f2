#include "mirror/import_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/codec.h"
#include "mirror/scan.h"

namespace hailstone::mirror {
namespace {

constexpr ByteView kMagic = "HSIS";
constexpr uint16_t kVersion = 1;
constexpr uint64_t kFileBytesMax = 16ull << 30;
constexpr int64_t kRacyNs = 2'000'000'000;  // FAT keeps mtimes to two seconds; nothing in use is coarser

bool before(const StateRecord& record, ByteView key) { return record.key < key; }

}  // namespace

const StateRecord* ImportState::find(ByteView key) const {
  const auto at = std::lower_bound(records.begin(), records.end(), key, before);
  return at != records.end() && at->key == key ? &*at : nullptr;
}

Bytes ImportState::encode() const {
  Bytes bytes;
  Encoder out(bytes);
  out.raw(kMagic);
  out.u16(kVersion);
  out.u16(0);
  out.bytes(source);
  out.bytes(target);
  out.bytes(token);
  out.varint(records.size());
  ByteView previous;
  for (const StateRecord& record : records) {
    const auto [a, b] = std::mismatch(previous.begin(), previous.end(), record.key.begin(), record.key.end());
    const auto shared = static_cast<size_t>(b - record.key.begin());
    out.varint(shared);
    out.bytes(ByteView(record.key).substr(shared));
    out.varint(record.bytes);
    out.svarint(record.modified_ns);
    out.svarint(record.changed_ns);
    out.varint(record.inode);
    out.u64(record.fingerprint);
    previous = record.key;
  }
  out.u64(xxh3(bytes));
  return bytes;
}

Result<ImportState> ImportState::decode(ByteView bytes) {
  if (bytes.size() < kMagic.size() + 4 + 8 || !bytes.starts_with(kMagic))
    return fail(Code::Corrupt, fmt::format("import state: not one ({} bytes)", bytes.size()));
  const ByteView body = bytes.substr(0, bytes.size() - 8);
  const uint64_t sum = Decoder(bytes.substr(body.size())).u64();
  if (const uint64_t want = xxh3(body); sum != want)
    return fail(Code::Corrupt, fmt::format("import state: checksum {:016x} != {:016x}", sum, want));
  Decoder in(body.substr(kMagic.size()));
  const uint16_t version = in.u16();
  if (version != kVersion || in.u16() != 0)
    return fail(Code::Corrupt, fmt::format("import state: version {} is not {}", version, kVersion));
  ImportState state;
  state.source = in.bytes();
  state.target = in.bytes();
  state.token = in.bytes();
  const uint64_t count = in.varint();
  Bytes previous;
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    const uint64_t shared = in.varint();
    const ByteView rest = in.bytes();
    if (shared > previous.size()) in.poison();
    if (!in.ok()) break;
    StateRecord record;
    record.key = previous.substr(0, shared).append(rest);
    if (i > 0 && record.key <= previous) in.poison();
    record.bytes = in.varint();
    record.modified_ns = in.svarint();
    record.changed_ns = in.svarint();
    record.inode = in.varint();
    record.fingerprint = in.u64();
    previous = record.key;
    state.records.push_back(std::move(record));
  }
  if (!in.done())
    return fail(Code::Corrupt, fmt::format("import state: malformed after {} records", state.records.size()));
  return state;
}

StateRecord record_of(const Item& item, uint64_t fingerprint, int64_t scan_started_ns) {
  const bool racy = std::max(item.modified_ns, item.changed_ns) > scan_started_ns - kRacyNs;
  return {item.key, item.bytes, item.modified_ns, racy ? 0 : item.changed_ns, item.inode, fingerprint};
}

std::string default_state_path(ByteView source, ByteView target) {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  std::string base;
  if (cache != nullptr && cache[0] == '/') {
    base = cache;
  } else {
    base = fmt::format("{}/.cache", home != nullptr && home[0] != '\0' ? home : "/tmp");
  }
  Bytes name(source);
  name.push_back('\0');
  name.append(target);
  return fmt::format("{}/hailstone/import-{}", base, sha256(name).hex().substr(0, 24));
}

std::optional<ImportState> load_state(disk::Disk& disk, const std::string& path, ByteView source, ByteView target,
                                      std::string& why) {
  auto bytes = disk::read_file(disk, path, kFileBytesMax);
  if (!bytes) {
    why = bytes.error().code == Code::NotFound ? "no earlier import is remembered" : bytes.error().message;
    return std::nullopt;
  }
  auto state = ImportState::decode(*bytes);
  if (!state) {
    why = fmt::format("{}: {}", path, state.error().message);
    return std::nullopt;
  }
  if (state->source != source || state->target != target) {
    why = fmt::format("{}: about {} -> {}", path, printable(state->source), printable(state->target));
    return std::nullopt;
  }
  return std::move(*state);
}

Result<void> save_state(disk::Disk& disk, const std::string& path, const ImportState& state) {
  if (const size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0)
    TRY_DO(disk.make_directories(path.substr(0, slash)));
  return disk::write_file_atomic(disk, path, state.encode());
}

}  // namespace hailstone::mirror
