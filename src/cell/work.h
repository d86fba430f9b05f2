// What one command works on: the state with its changes so far, the counters, and the events it made.
#pragma once

#include <vector>

#include "cell/overlay.h"
#include "cell/schema.h"

namespace hailstone::cell {

struct Work {
  Overlay state;
  Counters counters;
  Settings settings;
  std::vector<Event> events{};
  /// The command's, as stored_reply() found it; `state` knows what has become of it since.
  std::optional<SessionRecord> session{};
  // Deleted by DeleteSubtree so far.
  uint64_t subtree_files = 0;
  uint64_t subtree_path_bytes = 0;

  /// Of what this command changes: counted once, if it makes any event.
  Revision revision() const { return counters.revision.next(); }
  ClusterTime now() const { return counters.time; }

  template <class Record>
  void put(Bytes key, const Record& record) {
    state.put(std::move(key), record.encode());
  }
  void put_directory(ByteView path, const DirectoryStat& node) {
    Bytes bytes;
    Encoder out(bytes);
    encode(out, Node(node));
    state.put(schema::node(path), std::move(bytes));
  }
};

}  // namespace hailstone::cell
