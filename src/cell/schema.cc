#include "cell/schema.h"

#include <fmt/format.h>

#include "base/codec.h"

namespace hailstone::cell::schema {
namespace {

constexpr size_t kNodeBytes = 48;  // of most, without content

Bytes numbered(char letter, uint64_t value) {
  Bytes out(9, letter);
  for (size_t i = 0; i < 8; ++i) out[1 + i] = static_cast<char>(value >> (56 - 8 * i));
  return out;
}

uint64_t number_of(ByteView key) {
  uint64_t value = 0;
  for (const char c : key.substr(1, 8)) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

KeyRange all_numbered(char letter, uint64_t value) {
  return {.begin = numbered(letter, value), .end = numbered(letter, value + 1)};
}

std::unexpected<Error> within(Error error, ByteView name) {
  return std::unexpected(std::move(error).within(fmt::format("'{}'", printable(name))));
}

template <class T>
Result<T> named(Result<T> result, ByteView name) {
  if (!result) return within(std::move(result).error(), name);
  return result;
}

/// A letter and a path's key (path.h), in one piece.
Bytes lettered(char letter, ByteView path) {
  Bytes out;
  out.reserve(path.size());
  out.push_back(letter);
  append_path_key(out, path);
  return out;
}

}  // namespace

Bytes counters() { return "M"; }
Bytes settings() { return "P"; }
Bytes node(ByteView path) { return lettered('N', path); }
KeyRange nodes_beneath(ByteView path) {
  auto [begin, end] = keys_beneath(path);
  return {.begin = 'N' + begin, .end = 'N' + end};
}
Bytes content(ByteView path) { return lettered('B', path); }
Bytes lock(ByteView path) { return lettered('L', path); }
Bytes delay(ClusterTime until, ByteView path) { return numbered('T', until.value) + path_key(path); }
Bytes session(SessionId session) { return numbered('S', session.value); }
Bytes caching(SessionId session) { return numbered('C', session.value); }
Bytes nonce(const Nonce& nonce) { return 'Y' + Bytes(reinterpret_cast<const char*>(nonce.data()), nonce.size()); }
Bytes hold(SessionId session, Hold kind, ByteView path) {
  return numbered('H', session.value) + static_cast<char>(kind) + path_key(path);
}
KeyRange holds(SessionId session) { return all_numbered('H', session.value); }
Bytes reply(SessionId session, CommandNumber number) {
  return numbered('R', session.value) + numbered('R', number.value).substr(1);
}
KeyRange replies(SessionId session) { return all_numbered('R', session.value); }
Bytes events(Revision revision) { return numbered('E', revision.value); }
Bytes rules(ByteView principal) { return 'A' + Bytes(principal); }
KeyRange table(char letter) { return {.begin = Bytes(1, letter), .end = Bytes(1, static_cast<char>(letter + 1))}; }

Bytes path_of_node(ByteView key) { return path_of_key(key.substr(1)); }
Bytes path_of_delay(ByteView key) { return path_of_key(key.substr(std::min<size_t>(key.size(), 9))); }
ClusterTime time_of_delay(ByteView key) { return ClusterTime(number_of(key)); }
SessionId session_of(ByteView key) { return SessionId(number_of(key)); }
Result<HoldKey> hold_of(ByteView key) {
  if (key.size() < 10 || key[9] < 1 || key[9] > static_cast<char>(Hold::Wait))
    return fail(Code::Corrupt, fmt::format("hold record '{}': malformed key", printable(key)));
  return HoldKey{.kind = static_cast<Hold>(key[9]), .path = path_of_key(key.substr(10))};
}
Revision revision_of(ByteView key) { return Revision(number_of(key)); }

Result<Counters> read_counters(const replica::Reader& state) {
  TRY(const auto bytes, state.get(counters()));
  if (!bytes) return Counters{};
  return Counters::decode(*bytes);
}

Result<Settings> read_settings(const replica::Reader& state) {
  TRY(const auto bytes, state.get(settings()));
  if (!bytes) return Settings{};
  Decoder in(*bytes);
  const Settings out = Settings::decode(in);
  if (!in.done() || !out.validate()) return fail(Code::Corrupt, "settings record: malformed");
  return out;
}

Bytes file_record(const FileStat& stat, ByteView content) {
  Bytes bytes;
  bytes.reserve(kNodeBytes + (stat.bytes <= kInlineContentBytes ? content.size() : 0));
  Encoder out(bytes);
  encode(out, Node(stat));
  if (stat.bytes <= kInlineContentBytes) out.raw(content);
  return bytes;
}

Result<NodeRecord> decode_node_record(ByteView key, ByteView record) {
  Decoder in(record);
  NodeRecord out{.node = decode_node(in), .content = {}};
  if (in.ok() && out.has_content()) out.content = in.raw(std::get<FileStat>(out.node).bytes);
  if (!in.done()) return fail(Code::Corrupt, fmt::format("node '{}': malformed", printable(key)));
  return out;
}

Result<std::optional<Node>> read_node(const replica::Reader& state, ByteView path) {
  TRY(const auto bytes, state.get(node(path)));
  if (!bytes) return std::nullopt;
  TRY(const auto record, decode_node_record(path, *bytes));
  return record.node;
}

Result<std::optional<FileStat>> read_stat(const replica::Reader& state, ByteView path) {
  TRY(const auto found, read_node(state, path));
  if (!found || !std::holds_alternative<FileStat>(*found)) return std::nullopt;
  return std::get<FileStat>(*found);
}

Result<Bytes> read_content(const replica::Reader& state, ByteView path) {
  TRY(const auto record, state.get(node(path)));
  if (record) {
    TRY(const auto decoded, decode_node_record(path, *record));
    if (decoded.has_content()) return Bytes(decoded.content);
  }
  TRY(auto bytes, state.get(content(path)));
  if (!bytes) return fail(Code::Corrupt, fmt::format("file '{}': has no content", printable(path)));
  return *std::move(bytes);
}

Result<LockRecord> read_lock(const replica::Reader& state, ByteView path) {
  TRY(const auto bytes, state.get(lock(path)));
  if (!bytes) return LockRecord{};
  return named(LockRecord::decode(*bytes), path);
}

Result<std::optional<SessionRecord>> read_session(const replica::Reader& state, SessionId id) {
  TRY(const auto bytes, state.get(session(id)));
  if (!bytes) return std::nullopt;
  auto record = SessionRecord::decode(*bytes);
  if (!record) return within(std::move(record).error(), fmt::format("session {}", id.value));
  return *std::move(record);
}

Result<std::vector<Rule>> read_rules(const replica::Reader& state, ByteView principal) {
  TRY(const auto bytes, state.get(rules(principal)));
  if (!bytes) return std::vector<Rule>{};
  return named(decode_rules(*bytes), principal);
}

}  // namespace hailstone::cell::schema
