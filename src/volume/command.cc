#include "volume/command.h"

#include <fmt/format.h>

namespace hailstone::volume {
namespace {

constexpr uint8_t kVersion = 1;

void put(Encoder& out, const Settings& settings) { settings.encode(out); }
void put(Encoder& out, const tree::Root& root) { out.hash(root.id); }

tree::Root root_of(Decoder& in) { return tree::Root{ChunkId(in.hash())}; }
Bytes bytes_of(Decoder& in) { return Bytes(in.bytes()); }

bool present(Decoder& in) {
  const uint8_t value = in.u8();
  if (value > 1) in.poison();
  return value == 1;
}

/// A count of items of at least one byte each: never more than what is left to read.
uint64_t count_of(Decoder& in) {
  const uint64_t count = in.varint();
  if (count > in.rest().size()) in.poison();
  return in.ok() ? count : 0;
}

ReleaseRecord release_of(Decoder& in) {
  auto record = ReleaseRecord::decode(in.bytes());
  if (!record) {
    in.poison();
    return {};
  }
  return *std::move(record);
}

void encode(Encoder& out, const CreateVolume& c) {
  out.bytes(c.name);
  put(out, c.settings);
  out.u8(c.release.has_value());
  if (c.release) out.bytes(c.release->encode());
}
void decode(Decoder& in, CreateVolume& c) {
  c.name = bytes_of(in);
  c.settings = Settings::decode(in);
  if (present(in)) c.release = release_of(in);
}

void encode(Encoder& out, const DeleteVolume& c) { out.bytes(c.name); }
void decode(Decoder& in, DeleteVolume& c) { c.name = bytes_of(in); }

void encode(Encoder& out, const ChangeSettings& c) {
  out.bytes(c.name);
  put(out, c.settings);
}
void decode(Decoder& in, ChangeSettings& c) {
  c.name = bytes_of(in);
  c.settings = Settings::decode(in);
}

void encode(Encoder& out, const LayerWrite& c) {
  out.varint(c.layer);
  out.varint(c.seen.size());
  for (const Seen& seen : c.seen) {
    out.bytes(seen.key);
    out.u8(seen.delta_hash.has_value());
    if (seen.delta_hash) out.u64(*seen.delta_hash);
  }
  out.u8(c.seen_base.has_value());
  if (c.seen_base) put(out, *c.seen_base);
  out.varint(c.edits.size());
  for (const LayerEdit& edit : c.edits) {
    out.bytes(edit.key);
    out.u8(edit.entry.has_value());
    if (edit.entry) {
      out.bytes(*edit.entry);
      out.varint(edit.weight);
    }
  }
}
LayerWrite layer_write_of(Decoder& in) {
  LayerWrite c;
  c.layer = in.varint();
  for (uint64_t n = count_of(in); n > 0 && in.ok(); --n) {
    Seen seen{bytes_of(in), {}};
    if (present(in)) seen.delta_hash = in.u64();
    c.seen.push_back(std::move(seen));
  }
  if (present(in)) c.seen_base = root_of(in);
  for (uint64_t n = count_of(in); n > 0 && in.ok(); --n) {
    LayerEdit edit{bytes_of(in), {}, 0};
    if (present(in)) {
      edit.entry = bytes_of(in);
      edit.weight = in.varint();
    }
    c.edits.push_back(std::move(edit));
  }
  return c;
}

void encode(Encoder& out, const Write& c) {
  out.bytes(c.volume);
  out.varint(c.layers.size());
  for (const LayerWrite& layer : c.layers) encode(out, layer);
  out.varint(c.chunks.size());
  for (const Bytes& chunk : c.chunks) out.bytes(chunk);
}
void decode(Decoder& in, Write& c) {
  c.volume = bytes_of(in);
  for (uint64_t n = count_of(in); n > 0 && in.ok(); --n) c.layers.push_back(layer_write_of(in));
  for (uint64_t n = count_of(in); n > 0 && in.ok(); --n) c.chunks.push_back(bytes_of(in));
}

void encode(Encoder& out, const OpenDraft& c) {
  out.bytes(c.volume);
  out.varint(c.base.value);
  put(out, c.base_root);
  out.bytes(c.message);
}
void decode(Decoder& in, OpenDraft& c) {
  c.volume = bytes_of(in);
  c.base = ReleaseNumber(in.varint());
  c.base_root = root_of(in);
  c.message = bytes_of(in);
}

void encode(Encoder& out, const DropDraft& c) {
  out.bytes(c.volume);
  out.varint(c.draft.value);
}
void decode(Decoder& in, DropDraft& c) {
  c.volume = bytes_of(in);
  c.draft = DraftId(in.varint());
}

void encode(Encoder& out, const ExpireDraft& c) {
  out.bytes(c.volume);
  out.varint(c.draft.value);
  out.svarint(c.unless_active_after.value);
}
void decode(Decoder& in, ExpireDraft& c) {
  c.volume = bytes_of(in);
  c.draft = DraftId(in.varint());
  c.unless_active_after = UnixMicros{in.svarint()};
}

void encode(Encoder& out, const BeginSeal& c) {
  out.bytes(c.volume);
  out.varint(c.layer);
}
void decode(Decoder& in, BeginSeal& c) {
  c.volume = bytes_of(in);
  c.layer = in.varint();
}

void encode(Encoder& out, const EndSeal& c) {
  out.bytes(c.volume);
  out.varint(c.layer);
  out.varint(c.frozen);
  put(out, c.old_base);
  put(out, c.base);
}
void decode(Decoder& in, EndSeal& c) {
  c.volume = bytes_of(in);
  c.layer = in.varint();
  c.frozen = in.varint();
  c.old_base = root_of(in);
  c.base = root_of(in);
}

void encode(Encoder& out, const Commit& c) {
  out.varint(c.releases.size());
  for (const auto& release : c.releases) {
    out.bytes(release.volume);
    out.bytes(release.record.encode());
    out.varint(release.draft.value);
    out.varint(release.draft_active);
    out.u8(release.head_from.has_value());
    if (release.head_from) {
      put(out, *release.head_from);
      put(out, release.head_to);
    }
  }
  out.varint(c.flips.size());
  for (const auto& flip : c.flips) {
    out.bytes(flip.volume);
    out.bytes(flip.channel);
    out.varint(flip.release.value);
    out.u8(flip.expected.has_value());
    if (flip.expected) out.varint(flip.expected->value);
  }
}
void decode(Decoder& in, Commit& c) {
  for (uint64_t n = count_of(in); n > 0 && in.ok(); --n) {
    Commit::NewRelease release;
    release.volume = bytes_of(in);
    release.record = release_of(in);
    release.draft = DraftId(in.varint());
    release.draft_active = in.varint();
    if (present(in)) {
      release.head_from = root_of(in);
      release.head_to = root_of(in);
    }
    c.releases.push_back(std::move(release));
  }
  for (uint64_t n = count_of(in); n > 0 && in.ok(); --n) {
    Commit::ChannelChange flip;
    flip.volume = bytes_of(in);
    flip.channel = bytes_of(in);
    flip.release = ReleaseNumber(in.varint());
    if (present(in)) flip.expected = ReleaseNumber(in.varint());
    c.flips.push_back(std::move(flip));
  }
}

void encode(Encoder& out, const SetTag& c) {
  out.bytes(c.volume);
  out.bytes(c.tag);
  out.varint(c.release.value);
}
void decode(Decoder& in, SetTag& c) {
  c.volume = bytes_of(in);
  c.tag = bytes_of(in);
  c.release = ReleaseNumber(in.varint());
}

void encode(Encoder& out, const SetHold& c) {
  out.bytes(c.volume);
  out.varint(c.release.value);
  out.bytes(c.name);
  out.bytes(c.reason);
  out.u8(static_cast<uint8_t>(c.action));
}
void decode(Decoder& in, SetHold& c) {
  c.volume = bytes_of(in);
  c.release = ReleaseNumber(in.varint());
  c.name = bytes_of(in);
  c.reason = bytes_of(in);
  const uint8_t action = in.u8();
  if (action != 1 && action != 2) in.poison();
  c.action = static_cast<SetHold::Action>(action);
}

void encode(Encoder& out, const ChangeDocument& c) {
  out.bytes(c.volume);
  out.bytes(c.name);
  out.u8(c.document.has_value());
  if (c.document) out.bytes(*c.document);
}
void decode(Decoder& in, ChangeDocument& c) {
  c.volume = bytes_of(in);
  c.name = bytes_of(in);
  if (present(in)) c.document = bytes_of(in);
}

void encode_releases(Encoder& out, ByteView volume, const std::vector<ReleaseNumber>& releases) {
  out.bytes(volume);
  out.varint(releases.size());
  for (ReleaseNumber release : releases) out.varint(release.value);
}
void decode_releases(Decoder& in, Bytes& volume, std::vector<ReleaseNumber>& releases) {
  volume = bytes_of(in);
  for (uint64_t n = count_of(in); n > 0 && in.ok(); --n) releases.emplace_back(in.varint());
}
void encode(Encoder& out, const TrashReleases& c) { encode_releases(out, c.volume, c.releases); }
void decode(Decoder& in, TrashReleases& c) { decode_releases(in, c.volume, c.releases); }
void encode(Encoder& out, const PurgeReleases& c) { encode_releases(out, c.volume, c.releases); }
void decode(Decoder& in, PurgeReleases& c) { decode_releases(in, c.volume, c.releases); }
void encode(Encoder& out, const RestoreRelease& c) {
  out.bytes(c.volume);
  out.varint(c.release.value);
}
void decode(Decoder& in, RestoreRelease& c) {
  c.volume = bytes_of(in);
  c.release = ReleaseNumber(in.varint());
}

void encode(Encoder& out, const DeleteEmptyVolume& c) {
  out.bytes(c.name);
  out.varint(c.id.value);
  out.varint(c.head.value);
  out.varint(c.versions.value);
}
void decode(Decoder& in, DeleteEmptyVolume& c) {
  c.name = bytes_of(in);
  c.id = VolumeId(in.varint());
  c.head = Slot(in.varint());
  c.versions = Slot(in.varint());
}

void encode(Encoder& out, const PutKey& c) { out.bytes(c.key.encode()); }
void decode(Decoder& in, PutKey& c) {
  auto key = AccessKey::decode(in.bytes());
  if (key)
    c.key = *std::move(key);
  else
    in.poison();
}

void encode(Encoder& out, const RemoveKey& c) { out.bytes(c.id); }
void decode(Decoder& in, RemoveKey& c) { c.id = bytes_of(in); }

template <size_t I = 0>
bool decode_body(Decoder& in, size_t index, Body& body) {
  if constexpr (I == std::variant_size_v<Body>) {
    return false;
  } else if (index == I) {
    decode(in, body.emplace<I>());
    return true;
  } else {
    return decode_body<I + 1>(in, index, body);
  }
}

}  // namespace

Bytes Command::encode() const {
  Bytes bytes;
  Encoder out(bytes);
  out.u8(kVersion);
  // Numbers of commands are their place in Body: new ones go at the end, none is ever reused.
  out.u8(static_cast<uint8_t>(body.index()));
  out.svarint(time.value);
  out.bytes(author);
  out.bytes(idempotency_key);
  std::visit([&](const auto& b) { volume::encode(out, b); }, body);
  return bytes;
}

Result<Command> Command::decode(ByteView bytes) {
  Decoder in(bytes);
  Command command;
  if (const uint8_t version = in.u8(); version != kVersion)
    return fail(Code::Corrupt, fmt::format("command: version {} is not {}", version, kVersion));
  const uint8_t index = in.u8();
  command.time = UnixMicros{in.svarint()};
  command.author = in.bytes();
  command.idempotency_key = in.bytes();
  if (!decode_body(in, index, command.body)) return fail(Code::Corrupt, fmt::format("command: unknown type {}", index));
  if (!in.done()) return fail(Code::Corrupt, fmt::format("command: type {} is malformed", index));
  return command;
}

Bytes Reply::encode() const {
  Bytes bytes;
  Encoder out(bytes);
  out.u8(kVersion);
  out.u8(refused.has_value());
  if (refused) {
    out.u8(static_cast<uint8_t>(refused->code));
    out.bytes(refused->message);
  }
  out.varint(number);
  put(out, root);
  out.varint(releases.size());
  for (ReleaseNumber release : releases) out.varint(release.value);
  out.svarint(time.value);
  out.varint(slot.value);
  return bytes;
}

Result<Reply> Reply::decode(ByteView bytes) {
  Decoder in(bytes);
  Reply reply;
  if (in.u8() != kVersion) in.poison();
  if (present(in)) {
    const uint8_t code = in.u8();
    if (code > static_cast<uint8_t>(Code::Io)) in.poison();
    reply.refused = Error{static_cast<Code>(code), bytes_of(in)};
  }
  reply.number = in.varint();
  reply.root = root_of(in);
  for (uint64_t n = count_of(in); n > 0 && in.ok(); --n) reply.releases.emplace_back(in.varint());
  reply.time = UnixMicros{in.svarint()};
  reply.slot = Slot(in.varint());
  if (!in.done()) return fail(Code::Corrupt, "reply: malformed");
  return reply;
}

}  // namespace hailstone::volume
