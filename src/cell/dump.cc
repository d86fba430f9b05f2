#include <fmt/format.h>

#include "cell/query.h"

namespace hailstone::cell {
namespace {

using Print = std::function<void(const Bytes&)>;

/// Runs `line` for each record of a table.
template <class Line>
Result<void> each(const replica::Reader& state, char table, const Print& print, Line line) {
  const auto [begin, end] = schema::table(table);
  const auto at = state.iterate(begin, end);
  for (; at->valid(); at->next()) {
    TRY(const Bytes text, line(at->key(), at->value()));
    print(text);
  }
  return at->status();
}

std::string_view name_of(LockMode mode) { return mode == LockMode::Shared ? "shared" : "exclusive"; }

std::string_view name_of(Event::Kind kind) {
  switch (kind) {
    case Event::Kind::Created: return "created";
    case Event::Kind::Changed: return "changed";
    case Event::Kind::Deleted: return "deleted";
    case Event::Kind::LockAcquired: return "lock acquired";
    case Event::Kind::LockReleased: return "lock released";
    case Event::Kind::LockLost: return "lock lost";
    case Event::Kind::Settings: return "settings";
    case Event::Kind::Rules: return "rules";
  }
  return "?";
}

Bytes rights_of(const Rule& rule) {
  Bytes out;
  for (const Right right : {Right::Read, Right::Write, Right::Lock, Right::Admin})
    if (rule.rights & static_cast<uint8_t>(right))
      out += fmt::format("{}{}", out.empty() ? "" : "+", right_name(right));
  return out;
}

Result<Bytes> node_line(const replica::Reader& state, ByteView key) {
  const Bytes path = schema::path_of_node(key);
  TRY(const auto node, schema::read_node(state, path));
  if (const auto* directory = node ? std::get_if<DirectoryStat>(&*node) : nullptr)
    return fmt::format("directory {} children={} changed={}", printable(path), directory->children,
                       directory->changed.value);
  TRY(const auto file, read_file(state, path));
  if (!file) return fail(Code::Corrupt, fmt::format("node '{}' is neither file nor directory", printable(path)));
  const FileStat& s = file->stat;
  return fmt::format(
      "file {} instance={} generation={} lock_generation={} created={} changed={} owner={} bytes={} sha256={}",
      printable(path), s.instance.value, s.generation, s.lock_generation.value, s.created.value, s.changed.value,
      s.owner.value, s.bytes, sha256(file->content).hex());
}

Result<Bytes> lock_line(ByteView key, ByteView value) {
  TRY(const auto lock, LockRecord::decode(value));
  Bytes out = fmt::format("lock {} mode={}", printable(schema::path_of_node(key)), name_of(lock.mode));
  for (const auto& h : lock.holders)
    out += fmt::format(" holder={}:{}:{}ms", h.session.value, h.generation.value, h.delay_ms);
  for (const auto& w : lock.waiters)
    out += fmt::format(" waiter={}:{}:{}ms", w.session.value, name_of(w.mode), w.delay_ms);
  if (lock.delayed_until) out += fmt::format(" delayed_until={}", lock.delayed_until.value);
  return out;
}

Result<Bytes> session_line(ByteView key, ByteView value) {
  TRY(const auto s, SessionRecord::decode(value));
  const Bytes nonce(reinterpret_cast<const char*>(s.nonce.data()), s.nonce.size());
  return fmt::format("session {} principal={} lease_ms={} caching={} opened={} holds={} last={} replies={} nonce={}",
                     schema::session_of(key).value, printable(s.principal), s.lease_ms, s.caching, s.opened.value,
                     s.holds, s.last.value, s.replies.size(), to_hex(nonce));
}

Result<Bytes> events_line(ByteView key, ByteView value) {
  TRY(const auto events, decode_events(value));
  Bytes out = fmt::format("revision {}", schema::revision_of(key).value);
  for (const Event& e : events) {
    out += fmt::format("; {} {}", name_of(e.kind), printable(e.path));
    if (e.instance) out += fmt::format(" instance={} generation={}", e.instance.value, e.generation);
    if (e.session)
      out +=
          fmt::format(" session={} lock_generation={} {}", e.session.value, e.lock_generation.value, name_of(e.mode));
  }
  return out;
}

}  // namespace

Result<void> dump(const replica::Reader& state, const Print& print) {
  TRY(const auto c, schema::read_counters(state));
  print(
      fmt::format("cell revision={} floor={} time={} sessions={} files={} bytes={} history_events={} "
                  "history_bytes={} last_session={} last_instance={} last_grant={} next_delay={} principals={} "
                  "admins={}",
                  c.revision.value, c.floor.value, c.time.value, c.sessions, c.files, c.content_bytes, c.history_events,
                  c.history_bytes, c.last_session.value, c.last_instance.value, c.last_grant.value, c.next_delay.value,
                  c.principals, c.admins));
  TRY(const auto s, schema::read_settings(state));
  print(
      fmt::format("settings sessions_max={} files_max={} bytes_max={} file_bytes_max={} waiters_max={} "
                  "holds_max={} subtree_files_max={} history_events_max={} history_bytes_max={} "
                  "lease_ms_min={} lease_ms_max={}",
                  s.sessions_max, s.files_max, s.bytes_max, s.file_bytes_max, s.waiters_max, s.holds_max,
                  s.subtree_files_max, s.history_events_max, s.history_bytes_max, s.lease_ms_min, s.lease_ms_max));
  TRY_DO(each(state, 'A', print, [](ByteView key, ByteView value) -> Result<Bytes> {
    TRY(const auto rules, decode_rules(value));
    Bytes out = fmt::format("rules {}", printable(key.substr(1)));
    for (const Rule& rule : rules) out += fmt::format(" {}={}", printable(rule.prefix), rights_of(rule));
    return out;
  }));
  TRY_DO(each(state, 'S', print, session_line));
  TRY_DO(each(state, 'N', print, [&](ByteView key, ByteView) { return node_line(state, key); }));
  TRY_DO(each(state, 'L', print, lock_line));
  TRY_DO(each(state, 'R', print, [](ByteView key, ByteView value) -> Result<Bytes> {
    return fmt::format("reply session={} key={} bytes={} sha256={}", schema::session_of(key).value,
                       to_hex(key.substr(1)), value.size(), sha256(value).hex());
  }));
  return each(state, 'E', print, events_line);
}

}  // namespace hailstone::cell
