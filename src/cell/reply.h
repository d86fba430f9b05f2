// What a command gave: a refusal, or its results (docs/formats/cell.md).
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "cell/records.h"

namespace hailstone::cell {

/// Of a transaction's results: contents, names, and kResultBytes for each result and each entry of a listing, which is
/// more than the rest of it. More is refused.
inline constexpr size_t kReplyBytesMax = 1 << 20, kResultBytes = 80;

struct File {
  FileStat stat;
  Bytes content;
  bool operator==(const File&) const = default;
};

struct Listing {
  struct Entry {
    Bytes name;  // below the listed path
    Node node;
    bool operator==(const Entry&) const = default;
  };
  std::vector<Entry> entries;
  Bytes next;  // pass as List::after for what follows; empty: that was all
  bool operator==(const Listing&) const = default;
};

struct Written {
  FileStat stat;
  bool operator==(const Written&) const = default;
};
struct Deleted {
  uint64_t files = 0;
  bool operator==(const Deleted&) const = default;
};
struct Got {
  std::optional<File> file;
  bool operator==(const Got&) const = default;
};
struct Listed {
  Listing listing;
  bool operator==(const Listed&) const = default;
};
using OperationResult = std::variant<Written, Deleted, Got, Listed>;

struct Opened {
  SessionId session;
  uint32_t lease_ms = 0;
  bool caching = false;
  bool operator==(const Opened&) const = default;
};
struct TxnReply {
  enum class Branch : uint8_t { Then = 1, Else = 2 } branch = Branch::Then;
  std::vector<OperationResult> results;  // of that branch's operations
  bool operator==(const TxnReply&) const = default;
};
struct LockReply {
  enum class Outcome : uint8_t { Granted = 1, Queued = 2, Busy = 3, Cancelled = 4 } outcome = Outcome::Granted;
  LockGeneration generation;  // Granted: of the sequencer
  bool operator==(const LockReply&) const = default;
};
struct Expired {
  uint64_t sessions = 0;
  bool operator==(const Expired&) const = default;
};
/// monostate: done, nothing more to say.
using Outcome = std::variant<std::monostate, Opened, TxnReply, LockReply, Expired>;

struct Reply {
  std::optional<Error> refused;  // nothing was done
  Revision revision;             // of the cell behind the command
  ClusterTime time;              // likewise
  Outcome outcome;

  bool operator==(const Reply&) const = default;
  Bytes encode() const;
  /// As a session keeps it: of a refusal the code alone. Texts may differ between the members' programs, and must stay
  /// out of the state.
  Bytes encode_kept() const;
  /// Invalid when malformed.
  static Result<Reply> decode(ByteView bytes);
};

// Parts that messages have too (wire.h), and the whole as the last part of one. Decoding poisons what has no meaning.
void encode(Encoder& out, const Reply& reply);
void decode(Decoder& in, Reply& reply);
void encode(Encoder& out, const std::optional<File>& file);
void decode(Decoder& in, std::optional<File>& file);
void encode(Encoder& out, const Listing& listing);
void decode(Decoder& in, Listing& listing);
void encode(Encoder& out, const Error& error);
void decode(Decoder& in, Error& error);

}  // namespace hailstone::cell
