// What nodes ask each other's stores and what those answer, as bytes (docs/formats/chunk-remote.md); pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "chunk/store.h"

namespace hailstone::chunk {

/// Numbers of the methods of net::Rpc; 1..15 are this module's.
enum class RemoteMethod : uint16_t {
  Put = 1,
  Get = 2,
  Has = 3,
  Touch = 4,
  Stat = 5,
  List = 6,
  Sessions = 7,
};

inline constexpr size_t kRemoteIdsMax = 65'536;         // of one request
inline constexpr size_t kRemoteAnswerBytes = 8u << 20;  // an answer to Get ends after the chunk that passes this

/// Which writes these are, among those of the sending node: store them under a session that lives until told otherwise.
struct WriterMark {
  uint64_t term = 0;        // of the node's process
  uint64_t generation = 0;  // of its write sessions: the newest that may be open
  uint64_t ended = 0;       // all sessions of this and earlier generations have ended; less than `generation`
  bool operator==(const WriterMark&) const = default;
};

struct NamedChunk {
  ChunkId id;
  StoredView chunk;
};

/// Put: done durably, but for those that are named.
struct PutRequest {
  WriterMark writer;
  std::vector<NamedChunk> chunks;  // views of the bytes read
};
struct PutFailure {
  uint32_t index = 0;  // in the request
  Error error;
};

/// Has, Get and, with a writer, Touch.
struct IdsRequest {
  WriterMark writer;  // of Touch
  std::vector<ChunkId> ids;
};

/// One answer of Get: the chunk, a view of the bytes read, or why not.
struct GetAnswer {
  Result<StoredView> chunk;
};

struct ListRequest {
  ChunkId after;
  uint32_t limit = 0;
};

/// What a chunk takes in a Put, at most, beside its payload.
inline constexpr size_t kPutOverhead = 48;

Bytes encode_put(const WriterMark& writer, std::span<const NamedChunk> chunks);
Result<PutRequest> read_put(ByteView body);
Bytes encode_put_answer(std::span<const PutFailure> failures);
Result<std::vector<PutFailure>> read_put_answer(ByteView body);

Bytes encode_ids(std::span<const ChunkId> ids);
Result<IdsRequest> read_ids(ByteView body);
Bytes encode_touch(const WriterMark& writer, std::span<const ChunkId> ids);
Result<IdsRequest> read_touch(ByteView body);
Bytes encode_presence(const std::vector<bool>& present);
/// Exactly `count` of them.
Result<std::vector<bool>> read_presence(ByteView body, size_t count);

/// Appends one answer of Get; begin with encode_get_answers().
Bytes encode_get_answers();
void append_get_answer(Bytes& body, const Result<StoredChunk>& chunk);
/// In the order asked, at most `count`; fewer when the rest must be asked for again.
Result<std::vector<GetAnswer>> read_get_answers(ByteView body, size_t count);

Bytes encode_stat(const Stat& stat);
Result<Stat> read_stat(ByteView body);

Bytes encode_listing(const ListRequest& request);
Result<ListRequest> read_listing(ByteView body);

Bytes encode_sessions(const WriterMark& writer);
Result<WriterMark> read_sessions(ByteView body);

}  // namespace hailstone::chunk
