#include "cell/records.h"

#include <fmt/format.h>

#include "cell/fields.h"

namespace hailstone::cell {
namespace {

constexpr uint8_t kVersion = 1;

template <class T>
Result<T> finished(const Decoder& in, T value, std::string_view what) {
  if (!in.done()) return fail(Code::Corrupt, fmt::format("{} record: malformed", what));
  return value;
}

void check_version(Decoder& in) {
  if (in.u8() != kVersion) in.poison();
}

Decoder versioned(ByteView bytes) {
  Decoder in(bytes);
  check_version(in);
  return in;
}

}  // namespace

Result<void> Settings::validate() const {
  const auto bounded = [](std::string_view name, uint64_t value, uint64_t least, uint64_t most) -> Result<void> {
    if (value >= least && value <= most) return {};
    return fail(Code::Invalid, fmt::format("setting {} is {}, not in {}..{}", name, value, least, most));
  };
  constexpr uint64_t kMany = uint64_t{1} << 40;
  TRY_DO(bounded("sessions_max", sessions_max, 1, 10'000'000));
  TRY_DO(bounded("files_max", files_max, 1, kMany));
  TRY_DO(bounded("bytes_max", bytes_max, 1, kMany));
  TRY_DO(bounded("file_bytes_max", file_bytes_max, 1, kFileBytesMax));
  TRY_DO(bounded("waiters_max", waiters_max, 0, 16'384));
  TRY_DO(bounded("holds_max", holds_max, 1, 65'536));
  TRY_DO(bounded("subtree_files_max", subtree_files_max, 1, 100'000));
  TRY_DO(bounded("history_events_max", history_events_max, 0, kMany));
  TRY_DO(bounded("history_bytes_max", history_bytes_max, 0, kMany));
  TRY_DO(bounded("lease_ms_min", lease_ms_min, 100, 3'600'000));
  return bounded("lease_ms_max", lease_ms_max, lease_ms_min, 3'600'000);
}

void Settings::encode(Encoder& out) const {
  out.u8(kVersion);
  for (const uint64_t value : {uint64_t{sessions_max}, files_max, bytes_max, uint64_t{file_bytes_max},
                               uint64_t{waiters_max}, uint64_t{holds_max}, uint64_t{subtree_files_max},
                               history_events_max, history_bytes_max, uint64_t{lease_ms_min}, uint64_t{lease_ms_max}})
    out.varint(value);
}

Settings Settings::decode(Decoder& in) {
  check_version(in);
  Settings s;
  s.sessions_max = u32_of(in);
  s.files_max = in.varint();
  s.bytes_max = in.varint();
  s.file_bytes_max = u32_of(in);
  s.waiters_max = u32_of(in);
  s.holds_max = u32_of(in);
  s.subtree_files_max = u32_of(in);
  s.history_events_max = in.varint();
  s.history_bytes_max = in.varint();
  s.lease_ms_min = u32_of(in);
  s.lease_ms_max = u32_of(in);
  return s;
}

Bytes Counters::encode() const {
  Bytes bytes;
  bytes.reserve(80);
  Encoder out(bytes);
  out.u8(kVersion);
  for (const uint64_t value :
       {revision.value, floor.value, time.value, last_session.value, last_instance.value, last_grant.value, sessions,
        files, content_bytes, history_events, history_bytes, next_delay.value, principals, admins})
    out.varint(value);
  return bytes;
}

Result<Counters> Counters::decode(ByteView bytes) {
  Decoder in = versioned(bytes);
  Counters c;
  c.revision = id_of<Revision>(in);
  c.floor = id_of<Revision>(in);
  c.time = id_of<ClusterTime>(in);
  c.last_session = id_of<SessionId>(in);
  c.last_instance = id_of<Instance>(in);
  c.last_grant = id_of<LockGeneration>(in);
  for (uint64_t* count : {&c.sessions, &c.files, &c.content_bytes, &c.history_events, &c.history_bytes})
    *count = in.varint();
  c.next_delay = id_of<ClusterTime>(in);
  c.principals = in.varint();
  c.admins = in.varint();
  if (c.time > kTimeMax || c.floor > c.revision) in.poison();
  return finished(in, c, "counters");
}

void encode(Encoder& out, const FileStat& stat) {
  for (const uint64_t value : {stat.instance.value, stat.generation, stat.lock_generation.value, stat.created.value,
                               stat.changed.value, stat.owner.value, stat.bytes})
    out.varint(value);
}

FileStat decode_file_stat(Decoder& in) {
  FileStat stat;
  stat.instance = id_of<Instance>(in);
  stat.generation = in.varint();
  stat.lock_generation = id_of<LockGeneration>(in);
  stat.created = id_of<Revision>(in);
  stat.changed = id_of<Revision>(in);
  stat.owner = id_of<SessionId>(in);
  stat.bytes = in.varint();
  return stat;
}

void encode(Encoder& out, const Node& node) {
  out.u8(static_cast<uint8_t>(node.index() + 1));
  if (const auto* file = std::get_if<FileStat>(&node)) return encode(out, *file);
  const auto& directory = std::get<DirectoryStat>(node);
  out.varint(directory.children);
  out.varint(directory.changed.value);
}

Node decode_node(Decoder& in) {
  const uint8_t kind = in.u8();
  if (kind == 1) return decode_file_stat(in);
  if (kind != 2) in.poison();
  DirectoryStat directory;
  directory.children = in.varint();
  directory.changed = id_of<Revision>(in);
  return directory;
}

Bytes LockRecord::encode() const {
  Bytes bytes;
  Encoder out(bytes);
  out.u8(kVersion);
  put_enum(out, mode);
  out.varint(holders.size());
  for (const Holder& holder : holders) {
    out.varint(holder.session.value);
    out.varint(holder.generation.value);
    out.varint(holder.delay_ms);
  }
  out.varint(waiters.size());
  for (const Waiter& waiter : waiters) {
    out.varint(waiter.session.value);
    put_enum(out, waiter.mode);
    out.varint(waiter.delay_ms);
  }
  out.varint(delayed_until.value);
  return bytes;
}

Result<LockRecord> LockRecord::decode(ByteView bytes) {
  Decoder in = versioned(bytes);
  LockRecord lock;
  lock.mode = enum_of(in, LockMode::Exclusive);
  for (uint64_t n = count_of(in); n > 0 && in.ok(); --n) {
    Holder& holder = lock.holders.emplace_back();
    holder.session = id_of<SessionId>(in);
    holder.generation = id_of<LockGeneration>(in);
    holder.delay_ms = u32_of(in);
  }
  for (uint64_t n = count_of(in); n > 0 && in.ok(); --n) {
    Waiter& waiter = lock.waiters.emplace_back();
    waiter.session = id_of<SessionId>(in);
    waiter.mode = enum_of(in, LockMode::Exclusive);
    waiter.delay_ms = u32_of(in);
  }
  lock.delayed_until = id_of<ClusterTime>(in);
  return finished(in, std::move(lock), "lock");
}

Bytes SessionRecord::encode() const {
  Bytes bytes;
  size_t kept = 0;
  for (const KeptReply& reply : replies) kept += 3 + reply.inlined.size();
  bytes.reserve(48 + principal.size() + kept);
  Encoder out(bytes);
  out.u8(kVersion);
  out.raw({reinterpret_cast<const char*>(nonce.data()), nonce.size()});
  out.bytes(principal);
  out.varint(lease_ms);
  out.u8(caching);
  out.varint(opened.value);
  out.varint(holds);
  out.varint(last.value);
  out.varint(replies.size());
  for (const KeptReply& reply : replies) {
    out.varint(uint64_t{reply.bytes} << 1 | !reply.inlined.empty());
    out.raw(reply.inlined);
  }
  return bytes;
}

Result<SessionRecord> SessionRecord::decode(ByteView bytes) {
  Decoder in = versioned(bytes);
  SessionRecord session;
  for (uint8_t& byte : session.nonce) byte = in.u8();
  session.principal = bytes_of(in);
  session.lease_ms = u32_of(in);
  session.caching = flag_of(in);
  session.opened = id_of<ClusterTime>(in);
  session.holds = u32_of(in);
  session.last = id_of<CommandNumber>(in);
  for (uint64_t n = count_of(in); n > 0 && in.ok(); --n) {
    const uint64_t head = in.varint();
    const bool inlined = head & 1;
    if (head >> 1 > UINT32_MAX || (inlined && (head >> 1 == 0 || head >> 1 > kInlineReplyBytes))) in.poison();
    session.replies.push_back({static_cast<uint32_t>(head >> 1), inlined ? Bytes(in.raw(head >> 1)) : Bytes()});
  }
  if (session.replies.size() > session.last.value) in.poison();
  return finished(in, std::move(session), "session");
}

void encode(Encoder& out, const std::vector<Rule>& rules) {
  out.varint(rules.size());
  for (const Rule& rule : rules) {
    out.bytes(rule.prefix);
    out.u8(rule.rights);
  }
}

std::vector<Rule> decode_rule_list(Decoder& in) {
  std::vector<Rule> rules;
  for (uint64_t n = count_of(in); n > 0 && in.ok(); --n) {
    Rule& rule = rules.emplace_back();
    rule.prefix = bytes_of(in);
    rule.rights = in.u8();
  }
  return rules;
}

Bytes encode_rules(const std::vector<Rule>& rules) {
  Bytes bytes;
  Encoder out(bytes);
  out.u8(kVersion);
  encode(out, rules);
  return bytes;
}

Result<std::vector<Rule>> decode_rules(ByteView bytes) {
  Decoder in = versioned(bytes);
  auto rules = decode_rule_list(in);
  return finished(in, std::move(rules), "rules");
}

void encode(Encoder& out, const Event& event) {
  put_enum(out, event.kind);
  out.bytes(event.path);
  switch (event.kind) {
    case Event::Kind::Created:
    case Event::Kind::Changed:
    case Event::Kind::Deleted:
      out.varint(event.instance.value);
      out.varint(event.generation);
      return;
    case Event::Kind::LockAcquired:
    case Event::Kind::LockReleased:
    case Event::Kind::LockLost:
      out.varint(event.session.value);
      out.varint(event.lock_generation.value);
      put_enum(out, event.mode);
      return;
    case Event::Kind::Settings:
    case Event::Kind::Rules: return;
  }
}

Event decode_event(Decoder& in) {
  Event event;
  event.kind = enum_of(in, Event::Kind::Rules);
  event.path = bytes_of(in);
  if (event.kind <= Event::Kind::Deleted) {
    event.instance = id_of<Instance>(in);
    event.generation = in.varint();
  } else if (event.kind <= Event::Kind::LockLost) {
    event.session = id_of<SessionId>(in);
    event.lock_generation = id_of<LockGeneration>(in);
    event.mode = enum_of(in, LockMode::Exclusive);
  }
  return event;
}

Bytes encode_events(const std::vector<Event>& events) {
  Bytes bytes;
  bytes.reserve(2 + 64 * events.size());
  Encoder out(bytes);
  out.u8(kVersion);
  out.varint(events.size());
  for (const Event& event : events) encode(out, event);
  return bytes;
}

Result<std::vector<Event>> decode_events(ByteView bytes) {
  Decoder in = versioned(bytes);
  std::vector<Event> events;
  for (uint64_t n = count_of(in); n > 0 && in.ok(); --n) events.push_back(decode_event(in));
  return finished(in, std::move(events), "events");
}

Result<uint64_t> count_events(ByteView bytes) {
  Decoder in = versioned(bytes);
  const uint64_t count = count_of(in);
  if (!in.ok()) return fail(Code::Corrupt, "events record: malformed");
  return count;
}

}  // namespace hailstone::cell
