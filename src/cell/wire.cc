#include "cell/wire.h"

#include <fmt/format.h>

#include "cell/fields.h"

namespace hailstone::cell::wire {
namespace {

// A message's type is its place in its variant behind this number.
template <class Message>
constexpr uint8_t kFirst = 0;
template <>
constexpr uint8_t kFirst<ClientMessage> = 1;
template <>
constexpr uint8_t kFirst<MemberMessage> = 32;
template <>
constexpr uint8_t kFirst<PeerMessage> = 64;

template <class T, class M>
concept Is = std::same_as<std::remove_const_t<T>, M>;

// What a message is made of, once for both ways: `each` is a Writer or a Reader.
template <class Each>
struct Fields {
  Each& each;

  void operator()(Is<Hello> auto& m) { each(m.version_min, m.version_max); }
  void operator()(Is<Do> auto& m) { each(m.call, m.deadline_ms, m.session, m.number, m.got, m.body); }
  void operator()(Is<Ask> auto& m) { each(m.call, m.deadline_ms, m.view, m.query); }
  void operator()(Is<Fetch> auto& m) { each(m.call, m.deadline_ms, m.session, m.path); }
  void operator()(Is<KeepAlive> auto& m) { each(m.session, m.beat, m.seen); }
  void operator()(Is<Dropped> auto& m) { each(m.session, m.epoch, m.sequence); }
  void operator()(Is<Watch> auto& m) { each(m.watch, m.prefix, m.after, m.about); }
  void operator()(Is<Unwatch> auto& m) { each(m.watch); }
  void operator()(Is<Manage> auto& m) { each(m.call, m.deadline_ms, m.request); }

  void operator()(Is<GetLock> auto& m) { each(m.path); }
  void operator()(Is<GetSessions> auto& m) { each(m.after, m.entries_max); }
  void operator()(Is<GetRules> auto& m) { each(m.principal); }
  void operator()(Is<GetState> auto&) {}

  void operator()(Is<Welcome> auto& m) { each(m.version, m.member, m.cell, m.principal); }
  void operator()(Is<Result> auto& m) { each(m.call, m.result); }
  void operator()(Is<Lease> auto& m) { each(m.session, m.beat, m.epoch, m.lease_ms, m.cache_ms); }
  void operator()(Is<Invalidate> auto& m) { each(m.session, m.epoch, m.sequence, m.paths, m.prefixes); }
  void operator()(Is<Events> auto& m) { each(m.watch, m.batch); }
  void operator()(Is<WatchRefused> auto& m) { each(m.watch, m.error); }
  void operator()(Is<Goodbye> auto& m) { each(m.error); }

  void operator()(Is<Result::Refused> auto& m) { each(m.error, m.fate); }
  void operator()(Is<Result::Answered> auto& m) { each(m.revision, m.answer); }
  void operator()(Is<Result::Fetched> auto& m) { each(m.revision, m.file, m.epoch, m.sequence, m.keep); }
  void operator()(Is<Result::Managed> auto& m) { each(m.response); }
  void operator()(Is<Got> auto& m) { each(m.file); }
  void operator()(Is<Listed> auto& m) { each(m.listing); }
  void operator()(Is<SessionInfo> auto& m) { each(m.id, m.principal, m.lease_ms, m.caching, m.opened, m.holds); }
  void operator()(Is<StateInfo> auto& m) { each(m.settings, m.counters); }
  void operator()(Is<EventBatch> auto& m) { each(m.compacted, m.events, m.upto); }
  void operator()(Is<EventBatch::Item> auto& m) { each(m.revision, m.event); }

  void operator()(Is<Relay> auto& m) { each(m.connection, m.principal, m.message); }
  void operator()(Is<Reverse> auto& m) { each(m.connection, m.message); }
  void operator()(Is<NotMaster> auto& m) { each(m.connection, m.call); }
};

/// A record that has a form of its own: within a message it has a length before it.
template <class T>
concept Record = Is<T, LockRecord> || Is<T, Counters>;

/// What the other formats have a codec for.
template <class T>
concept Shared = Is<T, Body> || Is<T, Reply> || Is<T, Error> || Is<T, Listing> || Is<T, std::optional<File>> ||
                 Is<T, Get> || Is<T, List> || Is<T, SequencerStands>;

class Writer {
 public:
  explicit Writer(Encoder& out) : out_(out) {}
  template <class... Ts>
  void operator()(const Ts&... values) {
    (value(values), ...);
  }

 private:
  void value(uint16_t v) { out_.u16(v); }
  void value(uint32_t v) { out_.varint(v); }
  void value(uint64_t v) { out_.varint(v); }
  void value(bool v) { out_.u8(v); }
  void value(Ask::View v) { put_enum(out_, v); }
  void value(Result::Refused::Fate v) { put_enum(out_, v); }
  void value(const Bytes& v) { out_.bytes(v); }
  template <class Tag>
  void value(Id<Tag> v) {
    out_.varint(v.value);
  }
  void value(const Record auto& v) { out_.bytes(v.encode()); }
  void value(const Shared auto& v) { cell::encode(out_, v); }
  void value(const Settings& v) { v.encode(out_); }
  void value(const Event& v) { cell::encode(out_, v); }
  void value(const std::vector<Rule>& v) { cell::encode(out_, v); }
  void value(const std::optional<Revision>& v) {
    out_.u8(v.has_value());
    if (v) out_.varint(v->value);
  }
  template <class T>
  void value(const std::vector<T>& v) {
    out_.varint(v.size());
    for (const T& one : v) value(one);
  }
  template <class... Ts>
    requires(!Shared<std::variant<Ts...>>)
  void value(const std::variant<Ts...>& v) {
    out_.u8(static_cast<uint8_t>(kFirst<std::variant<Ts...>> + v.index()));
    std::visit([this](const auto& one) { this->value(one); }, v);
  }
  template <class T>
    requires std::invocable<Fields<Writer>, const T&>
  void value(const T& v) {
    Fields<Writer>{*this}(v);
  }

  Encoder& out_;
};

class Reader {
 public:
  explicit Reader(Decoder& in) : in_(in) {}
  template <class... Ts>
  void operator()(Ts&... values) {
    (value(values), ...);
  }
  /// Of the message that is not known here; else nothing.
  std::optional<uint8_t> unknown_type() const { return unknown_type_; }

 private:
  void value(uint16_t& v) { v = in_.u16(); }
  void value(uint32_t& v) { v = u32_of(in_); }
  void value(uint64_t& v) { v = in_.varint(); }
  void value(bool& v) { v = flag_of(in_); }
  void value(Ask::View& v) { v = enum_of(in_, Ask::View::Local); }
  void value(Result::Refused::Fate& v) { v = enum_of(in_, Result::Refused::Fate::Unknown); }
  void value(Bytes& v) { v = bytes_of(in_); }
  template <class Tag>
  void value(Id<Tag>& v) {
    v = Id<Tag>(in_.varint());
  }
  template <Record T>
  void value(T& v) {
    auto record = T::decode(in_.bytes());
    if (!record) return in_.poison();
    v = *std::move(record);
  }
  void value(Shared auto& v) { cell::decode(in_, v); }
  void value(Settings& v) { v = Settings::decode(in_); }
  void value(Event& v) { v = decode_event(in_); }
  void value(std::vector<Rule>& v) { v = decode_rule_list(in_); }
  void value(std::optional<Revision>& v) {
    if (flag_of(in_)) v = id_of<Revision>(in_);
  }
  template <class T>
  void value(std::vector<T>& v) {
    for (uint64_t n = count_of(in_); n > 0 && in_.ok(); --n) value(v.emplace_back());
  }
  template <size_t I = 0, class... Ts>
  void alternative(size_t index, std::variant<Ts...>& v) {
    if constexpr (I < sizeof...(Ts)) {
      if (index == I)
        value(v.template emplace<I>());
      else
        alternative<I + 1>(index, v);
    }
  }
  template <class... Ts>
    requires(!Shared<std::variant<Ts...>>)
  void value(std::variant<Ts...>& v) {
    constexpr uint8_t first = kFirst<std::variant<Ts...>>;
    const uint8_t type = in_.u8();
    if (in_.ok() && type >= first && type < first + sizeof...(Ts)) return alternative(type - first, v);
    if (in_.ok() && first > 0) unknown_type_ = type;
    in_.poison();
  }
  template <class T>
    requires std::invocable<Fields<Reader>, T&>
  void value(T& v) {
    Fields<Reader>{*this}(v);
  }

  Decoder& in_;
  std::optional<uint8_t> unknown_type_;
};

// What most messages have room in: those that carry a command, and those that carry a reply.
constexpr size_t kRoom = 64;
size_t room_for(const ClientMessage& message) {
  const auto* command = std::get_if<Do>(&message);
  return kRoom + (command ? encoded_bytes(command->body) : 0);
}
size_t room_for(const MemberMessage&) { return kRoom; }
size_t room_for(const PeerMessage& message) {
  const auto* relay = std::get_if<Relay>(&message);
  return kRoom + (relay ? relay->principal.size() + room_for(relay->message) : 0);
}

template <class Message>
Bytes encode_message(const Message& message) {
  Bytes bytes;
  bytes.reserve(room_for(message));
  Encoder out(bytes);
  Writer{out}(message);
  return bytes;
}

template <class Message>
hailstone::Result<Message> decode_message(ByteView bytes, std::string_view whose) {
  if (bytes.size() > kMessageBytesMax)
    return fail(Code::Invalid,
                fmt::format("message of {}: {} bytes, at most {}", whose, bytes.size(), kMessageBytesMax));
  Decoder in(bytes);
  Reader reader(in);
  Message message;
  reader(message);
  if (const auto type = reader.unknown_type())
    return fail(Code::Unsupported, fmt::format("message of {}: type {} is not known here", whose, *type));
  if (!in.done()) return fail(Code::Invalid, fmt::format("message of {}: malformed, of {} bytes", whose, bytes.size()));
  return message;
}

}  // namespace

Bytes encode(const ClientMessage& message) { return encode_message(message); }
Bytes encode(const MemberMessage& message) { return encode_message(message); }
Bytes encode(const PeerMessage& message) { return encode_message(message); }
hailstone::Result<ClientMessage> decode_client_message(ByteView bytes) {
  return decode_message<ClientMessage>(bytes, "a client");
}
hailstone::Result<MemberMessage> decode_member_message(ByteView bytes) {
  return decode_message<MemberMessage>(bytes, "a member");
}
hailstone::Result<PeerMessage> decode_peer_message(ByteView bytes) {
  return decode_message<PeerMessage>(bytes, "a peer");
}

}  // namespace hailstone::cell::wire
