// Keys of the cell's database, one letter a table; numbers big-endian so that byte order is their order
// (docs/formats/cell.md). Reading of single records.
#pragma once

#include "cell/path.h"
#include "cell/records.h"
#include "replica/database.h"

namespace hailstone::cell::schema {

Bytes counters();                                         // Counters
Bytes settings();                                         // Settings
Bytes node(ByteView path);                                // Node
KeyRange nodes_beneath(ByteView path);                    // node() keys
Bytes content(ByteView path);                             // a file's bytes, where they are too many for its node()
Bytes lock(ByteView path);                                // LockRecord
Bytes delay(ClusterTime until, ByteView path);            // empty: locks in the order in which their delays end
Bytes session(SessionId session);                         // SessionRecord
Bytes caching(SessionId session);                         // empty: its client may answer reads from memory
Bytes nonce(const Nonce& nonce);                          // varint session
Bytes hold(SessionId session, Hold kind, ByteView path);  // empty: what a session has
KeyRange holds(SessionId session);                        // hold() keys
Bytes reply(SessionId session, CommandNumber number);     // Reply
KeyRange replies(SessionId session);                      // reply() keys
Bytes events(Revision revision);                          // encode_events()
Bytes rules(ByteView principal);                          // encode_rules()
/// All keys of a table.
KeyRange table(char letter);

Bytes path_of_node(ByteView key);  // of node(), content(), lock()
Bytes path_of_delay(ByteView key);
ClusterTime time_of_delay(ByteView key);
SessionId session_of(ByteView key);  // of session(), caching(), hold(), reply()
struct HoldKey {
  Hold kind;
  Bytes path;
};
Result<HoldKey> hold_of(ByteView key);
Revision revision_of(ByteView key);

/// Nothing when there is none; Corrupt, naming the record, when it cannot be read.
Result<Counters> read_counters(const replica::Reader& state);
Result<Settings> read_settings(const replica::Reader& state);  // the defaults until they are changed
/// A node's record: a file's content is at its end where it is no longer than kInlineContentBytes.
Bytes file_record(const FileStat& stat, ByteView content);
struct NodeRecord {
  Node node;
  ByteView content;  // of the record's bytes; of a file
  bool has_content() const {
    const auto* stat = std::get_if<FileStat>(&node);
    return stat && stat->bytes <= kInlineContentBytes;
  }
};
/// Corrupt, naming `key`, when it is none.
Result<NodeRecord> decode_node_record(ByteView key, ByteView record);
Result<std::optional<Node>> read_node(const replica::Reader& state, ByteView path);
Result<std::optional<FileStat>> read_stat(const replica::Reader& state, ByteView path);  // of a file
Result<Bytes> read_content(const replica::Reader& state, ByteView path);                 // of a file that is there
Result<LockRecord> read_lock(const replica::Reader& state, ByteView path);               // idle when there is none
Result<std::optional<SessionRecord>> read_session(const replica::Reader& state, SessionId session);
Result<std::vector<Rule>> read_rules(const replica::Reader& state, ByteView principal);  // empty when there are none

}  // namespace hailstone::cell::schema
