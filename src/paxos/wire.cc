#include "paxos/wire.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <type_traits>
#include <utility>

#include "base/check.h"
#include "paxos/io.h"

namespace hailstone::paxos {
namespace {

// Numbers on the wire; never reused.
enum class BodyKind : uint8_t {
  Probe = 1,
  ProbeReply = 2,
  Prepare = 3,
  Promise = 4,
  Fetch = 5,
  Values = 6,
  Accept = 7,
  Accepted = 8,
  Refuse = 9,
  Learn = 10,
  Chosen = 11,
  SnapshotOffer = 12,
  ReadRequest = 13,
  ReadReply = 14,
  Handoff = 15,
  Rest = 16,
  Resting = 17,
};
constexpr uint8_t kBodyKindLast = 17;
static_assert(std::variant_size_v<Body> == kBodyKindLast, "a new body needs a number, an encoding and a sample");

enum RecordFlag : uint8_t { kHasData = 1, kOriginDiffers = 2 };
enum ProbeReplyFlag : uint8_t { kWould = 1, kRemoved = 2 };
enum AcceptFlag : uint8_t { kResent = 1, kChecked = 2 };
enum AcceptedFlag : uint8_t { kBlind = 1 };

constexpr size_t kMessageHeadBytesMax = 1 + 1 + 10 + 8 + 8;
// Of a body without its records, slots and configurations: Accept is the longest.
constexpr size_t kBodyBytesMax = 160;
constexpr size_t kRecordHeaderBytesMax = 1 + 1 + 10 + 18 + 18 + 8 + 16 + 16 + 4;
constexpr size_t kRecordBytesMin = 1 + 1 + 1 + 9 + 8 + 16 + 16;
constexpr size_t kConfigBytesMax = 2 + 1 + 20 + 2 + 2 + 9 * Config::kVotersMax + 8 * Config::kLearnersMax;
constexpr size_t kSnapshotConfigsMax = 2;

// One append of eight bytes; Encoder's own would be eight of one.
void put64(Encoder& out, uint64_t v) {
  char bytes[8];
  for (size_t i = 0; i < sizeof bytes; ++i) bytes[i] = static_cast<char>(v >> (8 * i));
  out.raw({bytes, sizeof bytes});
}

template <class Tag>
void put(Encoder& out, Id<Tag> id) {
  out.varint(id.value);
}
// These are unique over all time, so as a rule not small.
void put(Encoder& out, ReplicaId id) { put64(out, id.value); }
void put(Encoder& out, LifeId id) { put64(out, id.value); }
void put(Encoder& out, const Ballot& ballot) {
  out.varint(ballot.round);
  put(out, ballot.who);
}
void put(Encoder& out, const Digest& digest) {
  put64(out, digest.low);
  put64(out, digest.high);
}
void put(Encoder& out, const std::vector<Record>& records) {
  CHECK(records.size() <= kRecordsMax);
  out.varint(records.size());
  for (const Record& record : records) encode(record, out);
}

/// Reads fields like Decoder, and keeps the reason where one is more than "short or malformed".
class Reader {
 public:
  explicit Reader(Decoder& in) : in_(in) {}

  template <class Tag>
  void get(Id<Tag>& id) {
    id = Id<Tag>(in_.varint());
  }
  void get(ReplicaId& id) { id = ReplicaId(in_.u64()); }
  void get(LifeId& id) { id = LifeId(in_.u64()); }
  void get(Ballot& ballot) {
    ballot.round = in_.varint();
    get(ballot.who);
  }
  void get(Digest& digest) {
    digest.low = in_.u64();
    digest.high = in_.u64();
  }
  void get(uint64_t& v) { v = in_.varint(); }
  void get(std::vector<Record>& records) {
    const size_t count = this->count(kRecordsMax, kRecordBytesMin, "records");
    records.reserve(count);
    for (size_t i = 0; i < count && in_.ok(); ++i) get(records.emplace_back());
  }
  void get(Record& record) { take(decode_record(in_), record); }
  template <class T>
  void take(Result<T> from, T& to) {
    if (from) {
      to = std::move(*from);
    } else if (error_.message.empty()) {  // the decoder is poisoned already
      error_ = std::move(from).error();
    }
  }
  uint8_t flags(unsigned known) {
    const uint8_t flags = in_.u8();
    if (flags & ~known) refuse({Code::Corrupt, fmt::format("unknown flags {:#x}", flags)});
    return flags;
  }
  /// A number of items, of which each takes `bytes_min` of what is left: what it makes the caller allocate is in
  /// proportion to the input.
  size_t count(size_t max, size_t bytes_min, const char* what) {
    const uint64_t n = in_.varint();
    if (n <= max && n <= in_.rest().size() / bytes_min) return static_cast<size_t>(n);
    refuse({Code::Corrupt, fmt::format("{} {} in {} bytes", n, what, in_.rest().size())});
    return 0;
  }
  void require(bool holds, const char* what) {
    if (!holds) refuse({Code::Corrupt, what});
  }
  void refuse(Error error) {
    if (in_.ok()) error_ = std::move(error);
    in_.poison();
  }
  bool ok() const { return in_.ok(); }
  Decoder& in() { return in_; }
  std::unexpected<Error> error() const {
    return std::unexpected(error_.message.empty() ? Error{Code::Corrupt, "short or malformed"} : error_);
  }

 private:
  Decoder& in_;
  Error error_;
};

bool ascending(const std::vector<Record>& records) {
  return std::ranges::adjacent_find(records, std::ranges::greater_equal{}, &Record::slot) == records.end();
}

// ---- bodies: put() and get() of a kind stand together, fields in wire order ----

void put(Encoder& out, const Probe& m) {
  put(out, m.ballot);
  put(out, m.chosen);
}
void get(Reader& in, Probe& m) {
  in.get(m.ballot);
  in.get(m.chosen);
}

void put(Encoder& out, const ProbeReply& m) {
  put(out, m.ballot);
  out.u8(static_cast<uint8_t>((m.would ? kWould : 0) | (m.removed ? kRemoved : 0)));
  put(out, m.promised);
  put(out, m.chosen);
  out.svarint(m.grant_left_ns);
}
void get(Reader& in, ProbeReply& m) {
  in.get(m.ballot);
  const uint8_t flags = in.flags(kWould | kRemoved);
  m.would = flags & kWould;
  m.removed = flags & kRemoved;
  in.get(m.promised);
  in.get(m.chosen);
  m.grant_left_ns = in.in().svarint();
}

void put(Encoder& out, const Prepare& m) {
  put(out, m.ballot);
  put(out, m.from);
}
void get(Reader& in, Prepare& m) {
  in.get(m.ballot);
  in.get(m.from);
}

void put(Encoder& out, const Promise& m) {
  put(out, m.ballot);
  put(out, m.from);
  put(out, m.chosen);
  put(out, m.chosen_digest);
  put(out, m.headers);
}
void get(Reader& in, Promise& m) {
  in.get(m.ballot);
  in.get(m.from);
  in.get(m.chosen);
  in.get(m.chosen_digest);
  in.get(m.headers);
  in.require(ascending(m.headers), "slots do not ascend");
}

void put(Encoder& out, const Fetch& m) {
  CHECK(m.slots.size() <= kSlotsMax);
  put(out, m.ballot);
  out.varint(m.slots.size());
  for (const Slot slot : m.slots) put(out, slot);
}
void get(Reader& in, Fetch& m) {
  in.get(m.ballot);
  m.slots.resize(in.count(kSlotsMax, 1, "slots"));
  for (Slot& slot : m.slots) in.get(slot);
}

void put(Encoder& out, const Values& m) {
  put(out, m.ballot);
  put(out, m.records);
}
void get(Reader& in, Values& m) {
  in.get(m.ballot);
  in.get(m.records);
}

void put(Encoder& out, const Accept& m) {
  const bool checked = m.checked || m.checksum != 0;
  put(out, m.ballot);
  put(out, m.life);
  put(out, m.chosen);
  put(out, m.chosen_digest);
  put(out, m.end);
  out.varint(m.stamp);
  put(out, m.trim_floor);
  out.u8(static_cast<uint8_t>((m.resent_for ? kResent : 0) | (checked ? kChecked : 0)));
  if (m.resent_for) put(out, m.resent_for);
  if (checked) {
    put(out, m.checked);
    put64(out, m.checksum);
  }
  put(out, m.records);
}
void get(Reader& in, Accept& m) {
  in.get(m.ballot);
  in.get(m.life);
  in.get(m.chosen);
  in.get(m.chosen_digest);
  in.get(m.end);
  in.get(m.stamp);
  in.get(m.trim_floor);
  const uint8_t flags = in.flags(kResent | kChecked);
  if (flags & kResent) {
    in.get(m.resent_for);
    in.require(static_cast<bool>(m.resent_for), "resent for life 0");
  }
  if (flags & kChecked) {
    in.get(m.checked);
    m.checksum = in.in().u64();
    in.require(m.checked || m.checksum != 0, "checksum 0 of slot 0");
  }
  in.get(m.records);
  in.require(ascending(m.records), "slots do not ascend");
}

void put(Encoder& out, const Accepted& m) {
  put(out, m.ballot);
  out.varint(m.stamp);
  put(out, m.upto);
  put(out, m.missing);
  put(out, m.chosen);
  out.u8(m.blind ? kBlind : 0);
  if (m.blind) put(out, m.blind);
}
void get(Reader& in, Accepted& m) {
  in.get(m.ballot);
  in.get(m.stamp);
  in.get(m.upto);
  in.get(m.missing);
  in.get(m.chosen);
  if (in.flags(kBlind) & kBlind) {
    in.get(m.blind);
    in.require(static_cast<bool>(m.blind), "blind in life 0");
  }
}

void put(Encoder& out, const Refuse& m) { put(out, m.promised); }
void get(Reader& in, Refuse& m) { in.get(m.promised); }

void put(Encoder& out, const Learn& m) {
  put(out, m.first);
  put(out, m.last);
}
void get(Reader& in, Learn& m) {
  in.get(m.first);
  in.get(m.last);
}

void put(Encoder& out, const Chosen& m) {
  put(out, m.chosen);
  put(out, m.records);
}
void get(Reader& in, Chosen& m) {
  in.get(m.chosen);
  in.get(m.records);
  for (size_t i = 1; i < m.records.size(); ++i)
    in.require(m.records[i].slot == m.records[i - 1].slot.next() && m.records[i].slot, "slots have gaps");
}

void put(Encoder& out, const SnapshotOffer& m) { encode(m.meta, out); }
void get(Reader& in, SnapshotOffer& m) { in.take(decode_snapshot_meta(in.in()), m.meta); }

void put(Encoder& out, const ReadRequest& m) {
  put(out, m.id);
  put(out, m.life);
}
void get(Reader& in, ReadRequest& m) {
  in.get(m.id);
  in.get(m.life);
}

void put(Encoder& out, const ReadReply& m) {
  put(out, m.id);
  put(out, m.life);
  out.u8(m.ok ? 1 : 0);
  put(out, m.index);
}
void get(Reader& in, ReadReply& m) {
  in.get(m.id);
  in.get(m.life);
  m.ok = in.flags(1) != 0;
  in.get(m.index);
}

void put(Encoder& out, const Handoff& m) {
  put(out, m.ballot);
  put(out, m.to);
}
void get(Reader& in, Handoff& m) {
  in.get(m.ballot);
  in.get(m.to);
}

void put(Encoder& out, const Rest& m) {
  put(out, m.ballot);
  out.varint(m.stamp);
}
void get(Reader& in, Rest& m) {
  in.get(m.ballot);
  in.get(m.stamp);
}

void put(Encoder& out, const Resting& m) {
  put(out, m.ballot);
  out.varint(m.stamp);
}
void get(Reader& in, Resting& m) {
  in.get(m.ballot);
  in.get(m.stamp);
}

constexpr BodyKind kind_of(const Probe&) { return BodyKind::Probe; }
constexpr BodyKind kind_of(const ProbeReply&) { return BodyKind::ProbeReply; }
constexpr BodyKind kind_of(const Prepare&) { return BodyKind::Prepare; }
constexpr BodyKind kind_of(const Promise&) { return BodyKind::Promise; }
constexpr BodyKind kind_of(const Fetch&) { return BodyKind::Fetch; }
constexpr BodyKind kind_of(const Values&) { return BodyKind::Values; }
constexpr BodyKind kind_of(const Accept&) { return BodyKind::Accept; }
constexpr BodyKind kind_of(const Accepted&) { return BodyKind::Accepted; }
constexpr BodyKind kind_of(const Refuse&) { return BodyKind::Refuse; }
constexpr BodyKind kind_of(const Learn&) { return BodyKind::Learn; }
constexpr BodyKind kind_of(const Chosen&) { return BodyKind::Chosen; }
constexpr BodyKind kind_of(const SnapshotOffer&) { return BodyKind::SnapshotOffer; }
constexpr BodyKind kind_of(const ReadRequest&) { return BodyKind::ReadRequest; }
constexpr BodyKind kind_of(const ReadReply&) { return BodyKind::ReadReply; }
constexpr BodyKind kind_of(const Handoff&) { return BodyKind::Handoff; }
constexpr BodyKind kind_of(const Rest&) { return BodyKind::Rest; }
constexpr BodyKind kind_of(const Resting&) { return BodyKind::Resting; }

void get_body(Reader& in, uint8_t kind, Body& body) {
  const auto as = [&]<class T>(std::type_identity<T>) { get(in, body.emplace<T>()); };
  switch (static_cast<BodyKind>(kind)) {
    case BodyKind::Probe: return as(std::type_identity<Probe>());
    case BodyKind::ProbeReply: return as(std::type_identity<ProbeReply>());
    case BodyKind::Prepare: return as(std::type_identity<Prepare>());
    case BodyKind::Promise: return as(std::type_identity<Promise>());
    case BodyKind::Fetch: return as(std::type_identity<Fetch>());
    case BodyKind::Values: return as(std::type_identity<Values>());
    case BodyKind::Accept: return as(std::type_identity<Accept>());
    case BodyKind::Accepted: return as(std::type_identity<Accepted>());
    case BodyKind::Refuse: return as(std::type_identity<Refuse>());
    case BodyKind::Learn: return as(std::type_identity<Learn>());
    case BodyKind::Chosen: return as(std::type_identity<Chosen>());
    case BodyKind::SnapshotOffer: return as(std::type_identity<SnapshotOffer>());
    case BodyKind::ReadRequest: return as(std::type_identity<ReadRequest>());
    case BodyKind::ReadReply: return as(std::type_identity<ReadReply>());
    case BodyKind::Handoff: return as(std::type_identity<Handoff>());
    case BodyKind::Rest: return as(std::type_identity<Rest>());
    case BodyKind::Resting: return as(std::type_identity<Resting>());
  }
  in.refuse({Code::Unsupported, fmt::format("body kind {}", kind)});
}

void put_message(Encoder& out, const Message& message) {
  std::visit(
      [&](const auto& body) {
        out.u8(static_cast<uint8_t>(kind_of(body)));
        put(out, message.group);
        put(out, message.from);
        put(out, message.to);
        put(out, body);
      },
      message.body);
}

/// Takes all of `in`.
Result<Message> get_message(Decoder& in) {
  Message message;
  Reader reader(in);
  const uint8_t kind = in.u8();
  reader.get(message.group);
  reader.get(message.from);
  reader.get(message.to);
  if (in.ok()) get_body(reader, kind, message.body);
  reader.require(in.rest().empty(), "bytes after the end");
  if (in.ok()) return message;
  const bool known = kind >= 1 && kind <= kBodyKindLast;
  Error error = reader.error().error();
  return std::unexpected(std::move(error).within(known ? fmt::format("paxos message {}", body_name(message.body))
                                                       : std::string("paxos message")));
}

Result<void> take_version(Decoder& in, const char* what) {
  const uint8_t version = in.u8();
  if (!in.ok()) return fail(Code::Corrupt, fmt::format("{}: empty", what));
  if (version != kWireVersion)
    return fail(Code::Unsupported, fmt::format("{}: version {}, this program knows {}", what, version, kWireVersion));
  return {};
}

}  // namespace

void encode(const Record& record, Encoder& out) {
  const bool differs = record.origin != record.ballot;
  out.u8(static_cast<uint8_t>(record.kind));
  out.u8(static_cast<uint8_t>((record.data ? kHasData : 0) | (differs ? kOriginDiffers : 0)));
  put(out, record.slot);
  put(out, record.ballot);
  if (differs) put(out, record.origin);
  put64(out, static_cast<uint64_t>(record.time_us));
  put(out, record.parent);
  put(out, record.digest);
  if (!record.data) return;
  CHECK(record.data->size() <= kValueBytesMax);
  out.bytes(*record.data);
}

Result<Record> decode_record(Decoder& in) {
  Record record;
  Reader reader(in);
  const uint8_t kind = in.u8();
  if (in.ok() && (kind < static_cast<uint8_t>(Kind::Command) || kind > static_cast<uint8_t>(Kind::Forwarded)))
    reader.refuse({Code::Unsupported, fmt::format("record kind {}", kind)});
  record.kind = static_cast<Kind>(kind);
  const uint8_t flags = reader.flags(kHasData | kOriginDiffers);
  reader.get(record.slot);
  reader.get(record.ballot);
  record.origin = record.ballot;
  if (flags & kOriginDiffers) {
    reader.get(record.origin);
    reader.require(record.origin != record.ballot, "origin given twice");
  }
  record.time_us = static_cast<int64_t>(in.u64());
  reader.get(record.parent);
  reader.get(record.digest);
  if (flags & kHasData) {
    const size_t length = reader.count(kValueBytesMax, 1, "bytes of data");
    const ByteView data = in.raw(length);
    if (in.ok()) record.data = std::make_shared<const Bytes>(data);
  }
  if (!in.ok()) return reader.error();
  return record;
}

void encode(const HardState& hard, Encoder& out) {
  put(out, hard.promised);
  put(out, hard.chosen);
  put(out, hard.chosen_digest);
}

Result<HardState> decode_hard_state(Decoder& in) {
  HardState hard;
  Reader reader(in);
  reader.get(hard.promised);
  reader.get(hard.chosen);
  reader.get(hard.chosen_digest);
  if (!in.ok()) return reader.error();
  return hard;
}

void encode(const Config& config, Encoder& out) { out.bytes(config.encode()); }

Result<Config> decode_config(Decoder& in) {
  Config config;
  Reader reader(in);
  const size_t length = reader.count(kConfigBytesMax, 1, "bytes of configuration");
  const ByteView bytes = in.raw(length);
  reader.require(in.ok() && Config::decode(bytes, config), "configuration can't be used");
  if (!in.ok()) return reader.error();
  return config;
}

void encode(const SnapshotMeta& meta, Encoder& out) {
  CHECK(meta.configs.size() <= kSnapshotConfigsMax);
  put(out, meta.upto);
  put(out, meta.digest);
  put64(out, static_cast<uint64_t>(meta.time_us));
  out.varint(meta.bytes);
  out.varint(meta.configs.size());
  for (const Config& config : meta.configs) encode(config, out);
}

Result<SnapshotMeta> decode_snapshot_meta(Decoder& in) {
  SnapshotMeta meta;
  Reader reader(in);
  reader.get(meta.upto);
  reader.get(meta.digest);
  meta.time_us = static_cast<int64_t>(in.u64());
  meta.bytes = in.varint();
  meta.configs.resize(reader.count(kSnapshotConfigsMax, 1, "configurations"));
  for (Config& config : meta.configs) reader.take(decode_config(in), config);
  if (!in.ok()) return reader.error();
  return meta;
}

size_t encoded_bytes_max(const Record& record) {
  return kRecordHeaderBytesMax + (record.data ? record.data->size() : 0);
}

void encode(const Message& message, Bytes& out) {
  Encoder encoder(out);
  encoder.u8(kWireVersion);
  put_message(encoder, message);
}

Result<Message> decode(ByteView bytes) {
  Decoder in(bytes);
  TRY_DO(take_version(in, "paxos message"));
  return get_message(in);
}

size_t encoded_bytes_max(const Message& message) {
  size_t bytes = 1 + kMessageHeadBytesMax + kBodyBytesMax;
  const auto add = [&](const std::vector<Record>& records) {
    for (const Record& record : records) bytes += encoded_bytes_max(record);
  };
  std::visit(
      [&]<class T>(const T& body) {
        if constexpr (std::is_same_v<T, Promise>) add(body.headers);
        if constexpr (std::is_same_v<T, Values> || std::is_same_v<T, Accept> || std::is_same_v<T, Chosen>)
          add(body.records);
        if constexpr (std::is_same_v<T, Fetch>) bytes += 10 * body.slots.size();
        if constexpr (std::is_same_v<T, SnapshotOffer>) bytes += kSnapshotConfigsMax * kConfigBytesMax;
      },
      message.body);
  return bytes;
}

void append_to_frame(const Message& message, Bytes& frame) {
  Encoder encoder(frame);
  if (frame.empty()) encoder.u8(kWireVersion);
  const size_t at = frame.size();
  encoder.u32(0);
  put_message(encoder, message);
  const size_t length = frame.size() - at - 4;
  for (size_t i = 0; i < 4; ++i) frame[at + i] = static_cast<char>(length >> (8 * i));
}

Bytes encode_frame(std::span<const Message> messages) {
  Bytes frame;
  size_t bytes = 1;
  for (const Message& message : messages) bytes += 4 + encoded_bytes_max(message);
  frame.reserve(bytes);
  frame.push_back(static_cast<char>(kWireVersion));
  for (const Message& message : messages) append_to_frame(message, frame);
  return frame;
}

Result<Frame> decode_frame(ByteView bytes) {
  Decoder in(bytes);
  TRY_DO(take_version(in, "paxos frame"));
  Frame frame;
  while (!in.rest().empty()) {
    const size_t at = bytes.size() - in.rest().size();
    const uint32_t length = in.u32();
    Decoder one(in.raw(length));
    if (!in.ok()) return fail(Code::Corrupt, fmt::format("paxos frame: message at {}: cut short", at));
    auto message = get_message(one);
    if (message) {
      frame.messages.push_back(std::move(*message));
    } else if (message.error().code == Code::Unsupported) {
      ++frame.unknown;
    } else {
      return std::unexpected(std::move(message).error().within(fmt::format("paxos frame: message at {}", at)));
    }
  }
  return frame;
}

}  // namespace hailstone::paxos
