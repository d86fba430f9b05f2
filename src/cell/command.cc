#include "cell/command.h"

#include <fmt/format.h>

#include <bit>

#include "cell/fields.h"

namespace hailstone::cell {
namespace {

constexpr uint8_t kVersion = 1;

/// Takes what an Encoder takes, and only counts the bytes.
class Count {
 public:
  void u8(uint8_t) { ++bytes_; }
  void varint(uint64_t v) { bytes_ += (static_cast<size_t>(std::bit_width(v | 1)) + 6) / 7; }
  void raw(ByteView bytes) { bytes_ += bytes.size(); }
  void bytes(ByteView b) {
    varint(b.size());
    raw(b);
  }
  void hash(const Hash256& h) { raw(h.view()); }
  size_t count() const { return bytes_; }

 private:
  size_t bytes_ = 0;
};

// One overload each way for everything a command is made of.
struct Codec {
  /// Of what is rare and has a codec of its own elsewhere.
  static Bytes encoded(const auto& rare) {
    Bytes bytes;
    Encoder out(bytes);
    put(out, rare);
    return bytes;
  }

  static void put(auto& out, const OpenSession& c) {
    out.raw({reinterpret_cast<const char*>(c.nonce.data()), c.nonce.size()});
    out.varint(c.lease_ms);
    out.u8(c.caching);
  }
  static void take(Decoder& in, OpenSession& c) {
    for (uint8_t& byte : c.nonce) byte = in.u8();
    c.lease_ms = u32_of(in);
    c.caching = flag_of(in);
  }

  static void put(auto&, const CloseSession&) {}
  static void take(Decoder&, CloseSession&) {}

  static void put(auto& out, const Expire& c) {
    out.varint(c.sessions.size());
    for (const SessionId session : c.sessions) out.varint(session.value);
  }
  static void take(Decoder& in, Expire& c) {
    for (uint64_t n = count_of(in); n > 0 && in.ok(); --n) c.sessions.push_back(id_of<SessionId>(in));
  }

  static void put(auto& out, const FileExists& c) { out.bytes(c.path); }
  static void take(Decoder& in, FileExists& c) { c.path = bytes_of(in); }

  static void put(auto& out, const FileAbsent& c) { out.bytes(c.path); }
  static void take(Decoder& in, FileAbsent& c) { c.path = bytes_of(in); }

  static void put(auto& out, const InstanceIs& c) {
    out.bytes(c.path);
    out.varint(c.instance.value);
  }
  static void take(Decoder& in, InstanceIs& c) {
    c.path = bytes_of(in);
    c.instance = id_of<Instance>(in);
  }

  static void put(auto& out, const GenerationIs& c) {
    out.bytes(c.path);
    out.varint(c.generation);
  }
  static void take(Decoder& in, GenerationIs& c) {
    c.path = bytes_of(in);
    c.generation = in.varint();
  }

  static void put(auto& out, const ContentIs& c) {
    out.bytes(c.path);
    out.hash(c.sha256);
  }
  static void take(Decoder& in, ContentIs& c) {
    c.path = bytes_of(in);
    c.sha256 = in.hash();
  }

  static void put(auto& out, const LockHeldBy& c) {
    out.bytes(c.path);
    out.varint(c.session.value);
  }
  static void take(Decoder& in, LockHeldBy& c) {
    c.path = bytes_of(in);
    c.session = id_of<SessionId>(in);
  }

  static void put(auto& out, const SequencerStands& c) {
    out.bytes(c.sequencer.path);
    put_enum(out, c.sequencer.mode);
    out.varint(c.sequencer.generation.value);
  }
  static void take(Decoder& in, SequencerStands& c) {
    c.sequencer.path = bytes_of(in);
    c.sequencer.mode = enum_of(in, LockMode::Exclusive);
    c.sequencer.generation = id_of<LockGeneration>(in);
  }

  static void put(auto& out, const Put& c) {
    out.bytes(c.path);
    out.bytes(c.content);
    put_enum(out, c.mode);
    put_enum(out, c.life);
  }
  static void take(Decoder& in, Put& c) {
    c.path = bytes_of(in);
    c.content = bytes_of(in);
    c.mode = enum_of(in, Put::Mode::Replace);
    c.life = enum_of(in, Put::Life::Ephemeral);
  }

  static void put(auto& out, const Delete& c) { out.bytes(c.path); }
  static void take(Decoder& in, Delete& c) { c.path = bytes_of(in); }

  static void put(auto& out, const DeleteSubtree& c) {
    out.bytes(c.path);
    out.varint(c.files_max);
  }
  static void take(Decoder& in, DeleteSubtree& c) {
    c.path = bytes_of(in);
    c.files_max = in.varint();
  }

  static void put(auto& out, const Get& c) { out.bytes(c.path); }
  static void take(Decoder& in, Get& c) { c.path = bytes_of(in); }

  static void put(auto& out, const List& c) {
    out.bytes(c.path);
    put_enum(out, c.depth);
    out.bytes(c.after);
    out.varint(c.entries_max);
  }
  static void take(Decoder& in, List& c) {
    c.path = bytes_of(in);
    c.depth = enum_of(in, List::Depth::Files);
    c.after = bytes_of(in);
    c.entries_max = u32_of(in);
  }

  static void put(auto& out, const Txn& c) {
    put_all(out, c.compares);
    put_all(out, c.then_operations);
    put_all(out, c.else_operations);
  }
  static void take(Decoder& in, Txn& c) {
    take_all(in, c.compares);
    take_all(in, c.then_operations);
    take_all(in, c.else_operations);
  }

  static void put(auto& out, const Lock& c) {
    out.bytes(c.path);
    put_enum(out, c.mode);
    put_enum(out, c.wait);
    out.varint(c.delay_ms);
  }
  static void take(Decoder& in, Lock& c) {
    c.path = bytes_of(in);
    c.mode = enum_of(in, LockMode::Exclusive);
    c.wait = enum_of(in, Lock::Wait::Queue);
    c.delay_ms = u32_of(in);
  }

  static void put(auto& out, const Unlock& c) { out.bytes(c.path); }
  static void take(Decoder& in, Unlock& c) { c.path = bytes_of(in); }

  static void put(auto& out, const Cancel& c) { out.bytes(c.path); }
  static void take(Decoder& in, Cancel& c) { c.path = bytes_of(in); }

  static void put(auto&, const Tick&) {}
  static void take(Decoder&, Tick&) {}

  static void put(Encoder& out, const ChangeSettings& c) { c.settings.encode(out); }
  static void put(Count& out, const ChangeSettings& c) { out.raw(encoded(c)); }
  static void take(Decoder& in, ChangeSettings& c) { c.settings = Settings::decode(in); }

  static void put(Encoder& out, const SetRules& c) {
    out.bytes(c.principal);
    encode(out, c.rules);
  }
  static void put(Count& out, const SetRules& c) { out.raw(encoded(c)); }
  static void take(Decoder& in, SetRules& c) {
    c.principal = bytes_of(in);
    c.rules = decode_rule_list(in);
  }

  // A variant is its alternative's place, from 0, and that alternative.
  template <class Out, class... Ts>
  static void put(Out& out, const std::variant<Ts...>& value) {
    out.u8(static_cast<uint8_t>(value.index()));
    std::visit([&](const auto& one) { put(out, one); }, value);
  }
  template <size_t I = 0, class... Ts>
  static void take_alternative(Decoder& in, uint8_t index, std::variant<Ts...>& value) {
    if constexpr (I == sizeof...(Ts)) {
      in.poison();
    } else if (index == I) {
      take(in, value.template emplace<I>());
    } else {
      take_alternative<I + 1>(in, index, value);
    }
  }
  template <class... Ts>
  static void take(Decoder& in, std::variant<Ts...>& value) {
    const uint8_t index = in.u8();
    take_alternative(in, index, value);
  }
  template <class Out, class T>
  static void put_all(Out& out, const std::vector<T>& items) {
    out.varint(items.size());
    for (const T& item : items) put(out, item);
  }
  template <class T>
  static void take_all(Decoder& in, std::vector<T>& items) {
    for (uint64_t n = count_of(in); n > 0 && in.ok(); --n) take(in, items.emplace_back());
  }
};

void put(auto& out, const Command& command) {
  out.u8(kVersion);
  out.u8(static_cast<uint8_t>(command.body.index()));
  out.varint(command.time.value);
  out.bytes(command.principal);
  out.varint(command.session.value);
  out.varint(command.number.value);
  out.varint(command.got.value);
  std::visit([&](const auto& one) { Codec::put(out, one); }, command.body);
}

}  // namespace

Bytes Command::encode() const {
  Bytes bytes;
  bytes.reserve(encoded_bytes());
  Encoder out(bytes);
  put(out, *this);
  return bytes;
}

size_t Command::encoded_bytes() const {
  Count out;
  put(out, *this);
  return out.count();
}

Result<Command> Command::decode(ByteView bytes) {
  Decoder in(bytes);
  const uint8_t version = in.u8(), type = in.u8();
  if (!in.ok()) return fail(Code::Invalid, "command: cut short");
  if (version != kVersion || type >= std::variant_size_v<Body>)
    return fail(Code::Unsupported, fmt::format("command: version {} type {} is not known here", version, type));
  Command command;
  command.time = id_of<ClusterTime>(in);
  command.principal = bytes_of(in);
  command.session = id_of<SessionId>(in);
  command.number = id_of<CommandNumber>(in);
  command.got = id_of<CommandNumber>(in);
  Codec::take_alternative(in, type, command.body);
  if (!in.done()) return fail(Code::Invalid, fmt::format("command of type {}: malformed", type));
  return command;
}

void encode(Encoder& out, const Body& body) { Codec::put(out, body); }
size_t encoded_bytes(const Body& body) {
  Count out;
  Codec::put(out, body);
  return out.count();
}
void decode(Decoder& in, Body& body) { Codec::take(in, body); }
void encode(Encoder& out, const Get& get) { Codec::put(out, get); }
void decode(Decoder& in, Get& get) { Codec::take(in, get); }
void encode(Encoder& out, const List& list) { Codec::put(out, list); }
void decode(Decoder& in, List& list) { Codec::take(in, list); }
void encode(Encoder& out, const SequencerStands& compare) { Codec::put(out, compare); }
void decode(Decoder& in, SequencerStands& compare) { Codec::take(in, compare); }

}  // namespace hailstone::cell
