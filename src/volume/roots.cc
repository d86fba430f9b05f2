#include "volume/roots.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "base/codec.h"
#include "volume/entry.h"
#include "volume/schema.h"

namespace hailstone::volume {
namespace {

using Visit = std::function<Result<void>(const RootRef&)>;
constexpr size_t kNumberedBytes = 9;  // table letter and volume id

Result<void> tell(const Visit& visit, std::vector<RootRef> roots) {
  std::sort(roots.begin(), roots.end());
  for (const RootRef& ref : roots)
    if (!ref.root.empty()) TRY_DO(visit(ref));
  return {};
}

template <class F>
Result<void> each_of(const replica::Reader& state, const Bytes& prefix, F&& visit) {
  auto rows = state.iterate(prefix, schema::end_of(prefix));
  for (; rows->valid(); rows->next()) TRY_DO(visit(*rows));
  return rows->status();
}

template <class F>
Result<void> each_row(const replica::Reader& state, char table, F&& visit) {
  return each_of(state, Bytes(1, table), visit);
}

std::unexpected<Error> malformed(std::string_view what, ByteView key) {
  return fail(Code::Corrupt, fmt::format("{} record {}: malformed", what, to_hex(key)));
}

Result<int64_t> state_time(const replica::Reader& state) {
  TRY(const auto meta, state.get(schema::meta()));
  if (!meta) return 0;
  Decoder in(*meta);
  (void)in.varint();
  const int64_t time = in.svarint();
  if (!in.done()) return malformed("meta", schema::meta());
  return time;
}

Result<std::map<uint64_t, VolumeRecord>> read_volumes(const replica::Reader& state) {
  std::map<uint64_t, VolumeRecord> out;
  TRY_DO(each_row(state, 'V', [&](replica::Iterator& row) -> Result<void> {
    TRY(VolumeRecord record, VolumeRecord::decode(row.value()));
    out.emplace(record.id.value, std::move(record));
    return {};
  }));
  return out;
}

/// A channel's flips come newest first: each is replaced at the time of the one before it.
Result<void> flip_roots(const replica::Reader& state, const Visit& visit) {
  TRY(const int64_t now, state_time(state));
  TRY(const auto volumes, read_volumes(state));
  auto rows = state.iterate("F", schema::end_of("F"));
  Bytes channel;
  int64_t replaced_at = 0;
  while (rows->valid()) {
    const ByteView key = rows->key();
    if (key.size() < kNumberedBytes + 8) return malformed("flip", key);
    Decoder in(rows->value());
    const Flip flip = Flip::decode(in);
    if (!in.done()) return malformed("flip", key);
    const Bytes prefix(key.substr(0, key.size() - 8));
    const bool in_force = prefix != channel;
    const auto volume = volumes.find(schema::from_big_endian(key.substr(1)));
    const uint64_t grace = volume == volumes.end() ? 0 : volume->second.settings.grace_seconds;
    const bool in_grace = now - replaced_at <= static_cast<int64_t>(std::min<uint64_t>(grace, 1ull << 40)) * 1'000'000;
    if (in_force || in_grace) {
      TRY_DO(tell(visit, {{.owner = Bytes(key), .kind = RootKind::Entries, .root = flip.root}}));
      channel = prefix;
      replaced_at = flip.at.value;
      rows->next();
    } else {
      rows->seek(schema::end_of(prefix));  // older ones are out of grace, too
    }
  }
  return rows->status();
}

}  // namespace

Result<void> for_each_root(const replica::Reader& state, const Visit& visit) {
  // In the order of the tables' letters.
  TRY_DO(each_row(state, 'D', [&](replica::Iterator& row) -> Result<void> {
    TRY(const DraftRecord draft, DraftRecord::decode(row.value()));
    return tell(visit, {{.owner = Bytes(row.key()), .kind = RootKind::Entries, .root = draft.base_root}});
  }));
  TRY_DO(flip_roots(state, visit));
  TRY_DO(each_row(state, 'L', [&](replica::Iterator& row) -> Result<void> {
    Decoder in(row.value());
    const Layer layer = Layer::decode(in);
    if (!in.done()) return malformed("layer", row.key());
    return tell(visit, {{.owner = Bytes(row.key()), .kind = RootKind::Entries, .root = layer.base}});
  }));
  return each_row(state, 'R', [&](replica::Iterator& row) -> Result<void> {
    TRY(const ReleaseRecord release, ReleaseRecord::decode(row.value()));
    return tell(visit, {{.owner = Bytes(row.key()), .kind = RootKind::Entries, .root = release.root},
                        {.owner = Bytes(row.key()), .kind = RootKind::Derived, .root = release.derived}});
  });
}

// By the generations that layers say they have: between those lie the marks of erased ones, as many as were ever sealed
// since the database was compacted there, and a scan of the table would walk over each.
Result<void> for_each_unsealed(const replica::Reader& state,
                               const std::function<Result<void>(ByteView owner, const chunk::Content&)>& visit) {
  const auto visit_edit = [&](replica::Iterator& row) -> Result<void> {
    TRY(const schema::Edit edit, schema::decode_edit(row.value()));
    if (edit.removed) return {};
    TRY(const Entry entry, Entry::decode(edit.entry));
    return for_each_content(entry, [&](const chunk::Content& content) {
      return content.refs.empty() ? Result<void>() : visit(row.key(), content);
    });
  };
  return each_row(state, 'L', [&](replica::Iterator& row) -> Result<void> {
    const Bytes key(row.key());
    Decoder in(row.value());
    const Layer layer = Layer::decode(in);
    if (!in.done() || key.size() != kNumberedBytes + 8) return malformed("layer", key);
    const VolumeId volume(schema::from_big_endian(ByteView(key).substr(1)));
    const uint64_t number = schema::from_big_endian(ByteView(key).substr(kNumberedBytes));
    for (const uint64_t generation : {layer.frozen, layer.active})
      if (generation != 0) TRY_DO(each_of(state, schema::edits(volume, number, generation), visit_edit));
    return {};
  });
}

Bytes describe_owner(const replica::Reader& state, ByteView owner) {
  if (owner.size() < kNumberedBytes) return to_hex(owner);
  const uint64_t id = schema::from_big_endian(owner.substr(1));
  Bytes volume = fmt::format("volume number {}", id);
  if (const auto volumes = read_volumes(state))
    if (const auto it = volumes->find(id); it != volumes->end()) volume = fmt::format("'{}'", it->second.name);
  const ByteView rest = owner.substr(kNumberedBytes);
  const uint64_t number = rest.size() >= 8 ? schema::from_big_endian(rest) : 0;
  const Bytes layer = number == kHeadLayer ? Bytes("head") : fmt::format("draft {}", number);
  switch (owner[0]) {
    case 'D': return fmt::format("base of draft {} of {}", number, volume);
    case 'L': return fmt::format("{} of {}", layer, volume);
    case 'R': return fmt::format("release {} of {}", number, volume);
    case 'F': return fmt::format("channel '{}' of {}", printable(rest.substr(0, rest.find('\0'))), volume);
    case 'E':
      return fmt::format("unsealed edit of '{}' in {} of {}", printable(rest.substr(std::min<size_t>(16, rest.size()))),
                         layer, volume);
    default: return to_hex(owner);
  }
}

}  // namespace hailstone::volume
