#include "cell/query.h"

#include <fmt/format.h>

#include <algorithm>

namespace hailstone::cell {
namespace {

Result<Node> node_at(const replica::Iterator& at) {
  TRY(const auto record, schema::decode_node_record(at.key(), at.value()));
  return record.node;
}

template <class Items, class Value, class Field>
bool has(const Items& items, const Value& value, Field field) {
  return std::ranges::find(items, value, field) != items.end();
}

}  // namespace

Result<std::optional<File>> read_file(const replica::Reader& state, ByteView path) {
  TRY(const auto bytes, state.get(schema::node(path)));
  if (!bytes) return std::nullopt;
  TRY(const auto record, schema::decode_node_record(path, *bytes));
  const auto* stat = std::get_if<FileStat>(&record.node);
  if (!stat) return std::nullopt;
  if (record.has_content()) return File{*stat, Bytes(record.content)};
  TRY(auto content, schema::read_content(state, path));
  return File{*stat, std::move(content)};
}

Result<Listing> list(const replica::Reader& state, const List& request) {
  const size_t most = request.entries_max == 0 ? kListMax : std::min<size_t>(request.entries_max, kListMax);
  const auto [begin, end] = schema::nodes_beneath(request.path);
  // Keys here begin with that of the listed directory and a NUL, which the bound for "/" has not.
  const Bytes base = request.path == "/" ? Bytes("N") : begin;
  const auto at = state.iterate(begin, end);
  if (!request.after.empty()) {
    TRY_DO(validate_path(join("/", request.after)));
    if (request.depth == List::Depth::Children && request.after.contains('/'))
      return fail(Code::Invalid, fmt::format("'{}' names no child to list from", printable(request.after)));
    // Past the entry itself and, for one among children, past all beneath it.
    Bytes after = base + path_key(join("/", request.after));
    after += request.depth == List::Depth::Children ? '\x01' : '\0';
    at->seek(after);
  }
  Listing out;
  while (at->valid()) {
    TRY(Node node, node_at(*at));
    const bool directory = std::holds_alternative<DirectoryStat>(node);
    if (request.depth == List::Depth::Files && directory) {
      at->next();
      continue;
    }
    if (out.entries.size() == most) {
      out.next = out.entries.back().name;
      return out;
    }
    const Bytes key(at->key());
    out.entries.push_back({.name = path_of_key(key.substr(base.size())).substr(1), .node = std::move(node)});
    if (directory)
      at->seek(key + '\x01');
    else
      at->next();
  }
  TRY_DO(at->status());
  return out;
}

Result<bool> sequencer_stands(const replica::Reader& state, const Sequencer& sequencer) {
  TRY(const LockRecord lock, schema::read_lock(state, sequencer.path));
  return lock.mode == sequencer.mode && has(lock.holders, sequencer.generation, &LockRecord::Holder::generation);
}

Result<bool> holds(const replica::Reader& state, const Compare& compare) {
  struct {
    const replica::Reader& state;
    Result<bool> operator()(const FileExists& c) {
      TRY(const auto stat, schema::read_stat(state, c.path));
      return stat.has_value();
    }
    Result<bool> operator()(const FileAbsent& c) {
      TRY(const auto stat, schema::read_stat(state, c.path));
      return !stat;
    }
    Result<bool> operator()(const InstanceIs& c) {
      TRY(const auto stat, schema::read_stat(state, c.path));
      return stat && stat->instance == c.instance;
    }
    Result<bool> operator()(const GenerationIs& c) {
      TRY(const auto stat, schema::read_stat(state, c.path));
      return stat && stat->generation == c.generation;
    }
    Result<bool> operator()(const ContentIs& c) {
      TRY(const auto file, read_file(state, c.path));
      return file && sha256(file->content) == c.sha256;
    }
    Result<bool> operator()(const LockHeldBy& c) {
      TRY(const LockRecord lock, schema::read_lock(state, c.path));
      return has(lock.holders, c.session, &LockRecord::Holder::session);
    }
    Result<bool> operator()(const SequencerStands& c) { return sequencer_stands(state, c.sequencer); }
  } ask{state};
  return std::visit(ask, compare);
}

Result<EventBatch> events_after(const replica::Reader& state, Revision after, ByteView prefix, size_t events_max) {
  TRY(const Counters counters, schema::read_counters(state));
  if (after > counters.revision)
    return fail(Code::Unavailable,
                fmt::format("revision {} is not here yet: {} is the newest", after.value, counters.revision.value));
  EventBatch out;
  out.upto = after;
  if (after < counters.floor) {
    out.compacted = counters.floor;
    return out;
  }
  const uint64_t last = std::min(counters.revision.value, after.value + kRevisionsPerRead);
  while (out.upto.value < last && out.events.size() < std::max<size_t>(events_max, 1)) {
    const Revision revision = out.upto.next();
    TRY(const auto bytes, state.get(schema::events(revision)));
    if (!bytes) return fail(Code::Corrupt, fmt::format("events of revision {} are not there", revision.value));
    TRY(auto events, decode_events(*bytes));
    for (Event& event : events)
      if (covers(prefix, event.path)) out.events.push_back({revision, std::move(event)});
    out.upto = revision;
  }
  return out;
}

Result<std::vector<SessionEntry>> list_sessions(const replica::Reader& state, SessionId after, size_t entries_max) {
  std::vector<SessionEntry> out;
  const auto at = state.iterate(schema::session(after.next()), schema::table('S').end);
  for (; at->valid() && out.size() < entries_max; at->next()) {
    TRY(auto record, SessionRecord::decode(at->value()));
    out.push_back({schema::session_of(at->key()), std::move(record)});
  }
  TRY_DO(at->status());
  return out;
}

Result<std::vector<SessionId>> caching_sessions(const replica::Reader& state) {
  std::vector<SessionId> out;
  const auto [begin, end] = schema::table('C');
  const auto at = state.iterate(begin, end);
  for (; at->valid(); at->next()) out.push_back(schema::session_of(at->key()));
  TRY_DO(at->status());
  return out;
}

Result<std::vector<schema::HoldKey>> holds_of(const replica::Reader& state, SessionId session) {
  std::vector<schema::HoldKey> out;
  const auto [begin, end] = schema::holds(session);
  const auto at = state.iterate(begin, end);
  for (; at->valid(); at->next()) {
    TRY(auto hold, schema::hold_of(at->key()));
    out.push_back(std::move(hold));
  }
  TRY_DO(at->status());
  return out;
}

}  // namespace hailstone::cell
