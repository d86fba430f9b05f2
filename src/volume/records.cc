#include "volume/records.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace hailstone::volume {
namespace {

constexpr uint8_t kVersion = 1;  // of every record below; each starts with it

bool flag(Decoder& in) {
  const uint8_t value = in.u8();
  if (value > 1) in.poison();
  return value == 1;
}

template <class E>
E enumerator(Decoder& in, E least, E greatest) {
  const uint8_t value = in.u8();
  if (value < static_cast<uint8_t>(least) || value > static_cast<uint8_t>(greatest)) in.poison();
  return static_cast<E>(value);
}

void encode_time(Encoder& out, UnixMicros time) { out.svarint(time.value); }
UnixMicros decode_time(Decoder& in) { return UnixMicros{in.svarint()}; }

void encode_root(Encoder& out, const tree::Root& root) { out.hash(root.id); }
tree::Root decode_root(Decoder& in) { return tree::Root{ChunkId(in.hash())}; }

Result<void> finish(const Decoder& in, std::string_view what) {
  if (!in.done()) return fail(Code::Corrupt, fmt::format("{} record: malformed", what));
  return {};
}

}  // namespace

void Settings::encode(Encoder& out) const {
  out.u8(overlay);
  out.varint(grace_seconds);
  out.u8(public_read);
  out.u8(cookie_pin);
  out.u8(static_cast<uint8_t>(checks));
  out.u8(compress);
  out.varint(chunk_average_bytes);
  out.varint(keep_releases);
  out.varint(keep_seconds);
  out.varint(trash_seconds);
  out.bytes(description);
}

Settings Settings::decode(Decoder& in) {
  Settings s;
  s.overlay = flag(in);
  s.grace_seconds = in.varint();
  s.public_read = flag(in);
  s.cookie_pin = flag(in);
  s.checks = enumerator(in, CheckMode::Refuse, CheckMode::Off);
  s.compress = flag(in);
  s.chunk_average_bytes = static_cast<uint32_t>(in.varint());
  s.keep_releases = in.varint();
  s.keep_seconds = in.varint();
  s.trash_seconds = in.varint();
  s.description = in.bytes();
  return s;
}

Result<void> Settings::validate() const {
  if (grace_seconds > 10ull * 366 * 86400)
    return fail(Code::Invalid, fmt::format("grace_seconds {} is beyond ten years", grace_seconds));
  if (chunk_average_bytes < (128u << 10) || chunk_average_bytes > (2u << 20))
    return fail(Code::Invalid,
                fmt::format("chunk_average_bytes {} is not within 131072..2097152", chunk_average_bytes));
  for (const auto& [name, value] : {std::pair("keep_seconds", keep_seconds), {"trash_seconds", trash_seconds}})
    if (value > 100ull * 366 * 86400)
      return fail(Code::Invalid, fmt::format("{} {} is beyond a hundred years", name, value));
  if (description.size() > 1024) return fail(Code::Invalid, "description is longer than 1024 bytes");
  return {};
}

void Layer::encode(Encoder& out) const {
  out.u8(kVersion);
  encode_root(out, base);
  out.varint(active);
  out.varint(frozen);
  out.varint(active_edits);
  out.varint(active_bytes);
  out.varint(version.value);
}

Layer Layer::decode(Decoder& in) {
  Layer layer;
  if (in.u8() != kVersion) in.poison();
  layer.base = decode_root(in);
  layer.active = in.varint();
  layer.frozen = in.varint();
  layer.active_edits = in.varint();
  layer.active_bytes = in.varint();
  layer.version = Slot(in.varint());
  return layer;
}

void Flip::encode(Encoder& out) const {
  out.varint(sequence);
  out.varint(release.value);
  encode_root(out, root);
  encode_time(out, at);
  out.svarint(modified_seconds);
}

Flip Flip::decode(Decoder& in) {
  Flip flip;
  flip.sequence = in.varint();
  flip.release = ReleaseNumber(in.varint());
  flip.root = decode_root(in);
  flip.at = decode_time(in);
  flip.modified_seconds = in.svarint();
  return flip;
}

Bytes VolumeRecord::encode() const {
  Bytes bytes;
  Encoder out(bytes);
  out.u8(kVersion);
  out.varint(id.value);
  out.bytes(name);
  settings.encode(out);
  encode_time(out, created);
  out.varint(last_release.value);
  out.varint(last_draft.value);
  out.varint(channels.size());
  for (const auto& [channel, flip] : channels) {
    out.bytes(channel);
    flip.encode(out);
  }
  out.varint(documents.size());
  for (const auto& [document, text] : documents) {
    out.bytes(document);
    out.bytes(text);
  }
  return bytes;
}

Result<VolumeRecord> VolumeRecord::decode(ByteView bytes) {
  Decoder in(bytes);
  VolumeRecord v;
  if (in.u8() != kVersion) in.poison();
  v.id = VolumeId(in.varint());
  v.name = in.bytes();
  v.settings = Settings::decode(in);
  v.created = decode_time(in);
  v.last_release = ReleaseNumber(in.varint());
  v.last_draft = DraftId(in.varint());
  const uint64_t count = in.varint();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    Bytes channel(in.bytes());
    v.channels[channel] = Flip::decode(in);
  }
  const uint64_t documents = in.varint();
  for (uint64_t i = 0; i < documents && in.ok(); ++i) {
    Bytes name(in.bytes());
    v.documents[std::move(name)] = in.bytes();
  }
  TRY_DO(finish(in, "volume"));
  return v;
}

Bytes DraftRecord::encode() const {
  Bytes bytes;
  Encoder out(bytes);
  out.u8(kVersion);
  out.varint(id.value);
  out.varint(base.value);
  encode_root(out, base_root);
  out.bytes(author);
  out.bytes(message);
  encode_time(out, opened);
  encode_time(out, active);
  return bytes;
}

Result<DraftRecord> DraftRecord::decode(ByteView bytes) {
  Decoder in(bytes);
  DraftRecord d;
  if (in.u8() != kVersion) in.poison();
  d.id = DraftId(in.varint());
  d.base = ReleaseNumber(in.varint());
  d.base_root = decode_root(in);
  d.author = in.bytes();
  d.message = in.bytes();
  d.opened = decode_time(in);
  d.active = decode_time(in);
  TRY_DO(finish(in, "draft"));
  return d;
}

Bytes ReleaseRecord::signed_bytes() const {
  Bytes bytes;
  Encoder out(bytes);
  out.raw("hailstone release");  // domain separation: this key signs nothing else that starts so
  out.u8(kVersion);
  out.varint(volume.value);
  out.bytes(volume_name);
  out.varint(number.value);
  out.u8(static_cast<uint8_t>(kind));
  encode_root(out, root);
  encode_root(out, derived);
  out.varint(totals.keys);
  out.varint(totals.weight);
  out.varint(base.value);
  out.varint(parent.value);
  out.hash(parent_hash);
  encode_time(out, time);
  out.bytes(author);
  out.bytes(message);
  out.varint(added);
  out.varint(changed);
  out.varint(removed);
  out.bytes(key_id);
  return bytes;
}

Bytes ReleaseRecord::encode() const {
  Bytes bytes = signed_bytes();
  Encoder(bytes).bytes(signature);
  return bytes;
}

Result<ReleaseRecord> ReleaseRecord::decode(ByteView bytes) {
  Decoder in(bytes);
  ReleaseRecord r;
  if (in.raw(17) != "hailstone release" || in.u8() != kVersion) in.poison();
  r.volume = VolumeId(in.varint());
  r.volume_name = in.bytes();
  r.number = ReleaseNumber(in.varint());
  r.kind = enumerator(in, ReleaseKind::Publish, ReleaseKind::Clone);
  r.root = decode_root(in);
  r.derived = decode_root(in);
  r.totals.keys = in.varint();
  r.totals.weight = in.varint();
  r.base = ReleaseNumber(in.varint());
  r.parent = ReleaseNumber(in.varint());
  r.parent_hash = in.hash();
  r.time = decode_time(in);
  r.author = in.bytes();
  r.message = in.bytes();
  r.added = in.varint();
  r.changed = in.varint();
  r.removed = in.varint();
  r.key_id = in.bytes();
  r.signature = in.bytes();
  TRY_DO(finish(in, "release"));
  return r;
}

Hash256 ReleaseRecord::hash() const { return sha256(encode()); }

Bytes AccessKey::encode() const {
  Bytes bytes;
  Encoder out(bytes);
  out.u8(kVersion);
  out.bytes(id);
  out.bytes(name);
  out.u8(static_cast<uint8_t>(role));
  out.varint(volumes.size());
  for (const Bytes& volume : volumes) out.bytes(volume);
  out.bytes(secret_hash);
  out.bytes(sealed_secret);
  encode_time(out, created);
  return bytes;
}

Result<AccessKey> AccessKey::decode(ByteView bytes) {
  Decoder in(bytes);
  AccessKey k;
  if (in.u8() != kVersion) in.poison();
  k.id = in.bytes();
  k.name = in.bytes();
  k.role = enumerator(in, Role::Reader, Role::Admin);
  const uint64_t count = in.varint();
  for (uint64_t i = 0; i < count && in.ok(); ++i) k.volumes.emplace_back(in.bytes());
  k.secret_hash = in.bytes();
  k.sealed_secret = in.bytes();
  k.created = decode_time(in);
  TRY_DO(finish(in, "access key"));
  return k;
}

Bytes AuditRecord::encode() const {
  Bytes bytes;
  Encoder out(bytes);
  out.u8(kVersion);
  encode_time(out, time);
  out.bytes(author);
  out.bytes(action);
  out.bytes(object);
  return bytes;
}

Result<AuditRecord> AuditRecord::decode(Slot slot, ByteView bytes) {
  Decoder in(bytes);
  AuditRecord a{.slot = slot};
  if (in.u8() != kVersion) in.poison();
  a.time = decode_time(in);
  a.author = in.bytes();
  a.action = in.bytes();
  a.object = in.bytes();
  TRY_DO(finish(in, "audit"));
  return a;
}

bool allows(const AccessKey& key, Role role, std::string_view volume) {
  return key.role >= role &&
         std::ranges::any_of(key.volumes, [&](const Bytes& name) { return name == "*" || name == volume; });
}

std::string_view role_name(Role role) {
  switch (role) {
    case Role::Reader: return "reader";
    case Role::Writer: return "writer";
    case Role::Publisher: return "publisher";
    case Role::Admin: return "admin";
  }
  return "unknown";
}

std::optional<Role> parse_role(std::string_view name) {
  for (Role role : {Role::Reader, Role::Writer, Role::Publisher, Role::Admin})
    if (role_name(role) == name) return role;
  return std::nullopt;
}

std::string_view check_mode_name(CheckMode mode) {
  switch (mode) {
    case CheckMode::Refuse: return "refuse";
    case CheckMode::Warn: return "warn";
    case CheckMode::Off: return "off";
  }
  return "unknown";
}

std::optional<CheckMode> parse_check_mode(std::string_view name) {
  for (CheckMode mode : {CheckMode::Refuse, CheckMode::Warn, CheckMode::Off})
    if (check_mode_name(mode) == name) return mode;
  return std::nullopt;
}

Result<void> validate_volume_name(std::string_view name) {
  const auto refuse = [&](std::string_view rule) {
    return fail(Code::Invalid, fmt::format("volume name '{}': {}", printable(name), rule));
  };
  if (name.size() < 3 || name.size() > 63) return refuse("must have 3 to 63 characters");
  for (char c : name)
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
      return refuse("only a-z, 0-9, '-' and '.' are allowed");
  const auto alphanumeric = [](char c) { return c != '-' && c != '.'; };
  if (!alphanumeric(name.front()) || !alphanumeric(name.back()))
    return refuse("must start and end with a letter or digit");
  if (name.find("--") != name.npos) return refuse("'--' is reserved for releases, channels and drafts");
  if (name.find("..") != name.npos) return refuse("must not contain '..'");
  if (std::ranges::all_of(name, [](char c) { return (c >= '0' && c <= '9') || c == '.'; }) &&
      std::ranges::count(name, '.') == 3)
    return refuse("must not look like an IP address");
  for (std::string_view reserved : {"api", "metrics", "healthz", "readyz"})
    if (name == reserved) return refuse("is one of the server's own paths");
  return {};
}

Result<void> validate_label(std::string_view what, std::string_view name) {
  const auto refuse = [&](std::string_view rule) {
    return fail(Code::Invalid, fmt::format("{} '{}': {}", what, printable(name), rule));
  };
  if (name.empty() || name.size() > 63) return refuse("must have 1 to 63 characters");
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (!letter(name.front())) return refuse("must start with a letter");
  for (char c : name)
    if (!letter(c) && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-')
      return refuse("only letters, digits, '.', '_' and '-' are allowed");
  if (name.starts_with("draft-")) return refuse("names starting with 'draft-' mean drafts");
  if (name.find("--") != name.npos) return refuse("must not contain '--'");
  return {};
}

}  // namespace hailstone::volume
