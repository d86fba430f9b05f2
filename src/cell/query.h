// Reads of the cell: for its service on a snapshot of the database, for the machine on the state a command works on.
#pragma once

#include <functional>

#include "cell/access.h"
#include "cell/command.h"
#include "cell/reply.h"
#include "cell/schema.h"

namespace hailstone::cell {

// Every function here: Corrupt when a record cannot be read. Rights are not checked: ask Permissions.

/// Nothing when there is no file.
Result<std::optional<File>> read_file(const replica::Reader& state, ByteView path);
/// Empty when nothing is beneath. Costs what it returns. Invalid when `after` cannot be among it.
Result<Listing> list(const replica::Reader& state, const List& request);

Result<bool> sequencer_stands(const replica::Reader& state, const Sequencer& sequencer);
Result<bool> holds(const replica::Reader& state, const Compare& compare);

struct EventBatch {
  struct Item {
    Revision revision;
    Event event;
    bool operator==(const Item&) const = default;
  };
  /// Set: events behind the asked revision are forgotten up to here. Read again what is watched, at a revision no
  /// older than this, and go on from that one.
  std::optional<Revision> compacted;
  std::vector<Item> events;  // of whole revisions, in order
  Revision upto;             // ask again from here; all until it was looked at
  bool operator==(const EventBatch&) const = default;
};
/// Events after a revision at and beneath `prefix`: of at most kRevisionsPerRead revisions, and none further once there
/// are `events_max`. The cell's own (settings, rules) are at "/". Unavailable when `after` is ahead of this state.
inline constexpr uint64_t kRevisionsPerRead = 4096;
Result<EventBatch> events_after(const replica::Reader& state, Revision after, ByteView prefix, size_t events_max);

/// In the order of their ids, behind `after`.
struct SessionEntry {
  SessionId id;
  SessionRecord record;
};
Result<std::vector<SessionEntry>> list_sessions(const replica::Reader& state, SessionId after, size_t entries_max);
/// Those whose clients may answer reads from memory, in order. Costs what it returns.
Result<std::vector<SessionId>> caching_sessions(const replica::Reader& state);
/// By kind, then path.
Result<std::vector<schema::HoldKey>> holds_of(const replica::Reader& state, SessionId session);

/// What is there as lines of text, table by table, but for what follows from other records: for people and for
/// comparing states. Contents by size and hash.
Result<void> dump(const replica::Reader& state, const std::function<void(const Bytes& line)>& print);

}  // namespace hailstone::cell
