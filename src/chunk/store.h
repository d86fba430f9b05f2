// The chunk interface: immutable bytes named by SHA-256, wherever they live. Every back-end passes chunk/conformance.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"

namespace hailstone::chunk {

inline constexpr size_t kChunkBytesMax = 4u << 20;  // before compression (design: 4 MiB)

enum class Compress : uint8_t {
  Never,
  Auto,  // zstd level 1, kept only where it saves at least an eighth
};

/// Immutable, shared: the bytes of one chunk, or of a range of it.
using SharedBytes = std::shared_ptr<const Bytes>;

/// Where a stored chunk's bytes lie, in a kernel file for sendfile or in memory. Verified just before it was handed
/// out.
struct Extent {
  std::shared_ptr<const void> pin;  // keeps the file open and its bytes in place
  int fd = -1;
  uint64_t offset = 0;
  uint64_t length = 0;           // bytes to send
  const char* memory = nullptr;  // set: they are here, in pages that nobody writes to again; fd and offset say nothing
};

/// How a chunk is stored, learned without reading its payload.
struct Stat {
  uint32_t bytes = 0;         // uncompressed
  uint32_t stored_bytes = 0;  // payload as stored
  bool zstd = false;          // payload is one complete zstd frame
};

/// A chunk in the form in which it is stored and travels: compressed once, by whoever had it first.
struct StoredView {
  uint32_t bytes = 0;  // uncompressed
  bool zstd = false;   // payload is one complete zstd frame
  ByteView payload;
};
struct StoredChunk {
  uint32_t bytes = 0;
  bool zstd = false;
  Bytes payload;
  StoredView view() const { return {bytes, zstd, payload}; }
};

/// While it lives, no collection erases what any thread puts or touches (invariants: README.md). May outlive its store.
class WriteSession {
 public:
  virtual ~WriteSession() = default;
};

/// A point in the order in which a store took its chunks. Stable across restarts; compaction moves chunks to later
/// ones.
struct Position {
  uint32_t segment = 0;
  uint64_t offset = 0;
  auto operator<=>(const Position&) const = default;
};

/// One collection: from which epoch on what was put or touched stays. Given by begin_collection().
struct CollectionToken {
  uint64_t epoch = 0;     // begun by this collection
  uint64_t floor = 0;     // the oldest epoch with a session that was open then; `epoch` when there was none
  uint64_t sessions = 0;  // open then
  bool operator==(const CollectionToken&) const = default;
};

/// Thread-safe. Blocking: call from where a disk access may be waited for.
class ChunkStore {
 public:
  virtual ~ChunkStore() = default;

  /// Stores `bytes` (1..kChunkBytesMax) and returns their name. Readable at once by this process; durable only after
  /// sync(). Putting what is there already is cheap and keeps it from a running collection (touch).
  /// Errors: Invalid (size), Exhausted (no room: nothing stored), Io.
  virtual Result<ChunkId> put(ByteView bytes, Compress compress) = 0;

  /// As put(), by a caller that has the SHA-256 of `bytes` already: a back-end need not compute it again. It is not
  /// checked, and a wrong one makes a damaged chunk.
  virtual Result<void> put_named(const ChunkId& id, ByteView bytes, Compress compress) {
    (void)id;
    TRY_DO(put(bytes, compress));
    return {};
  }

  /// As put_named(), in a form that the caller has verified (stored.h): a back-end that stores such forms keeps it.
  virtual Result<void> put_stored(const ChunkId& id, const StoredView& chunk);

  /// Durable barrier: everything put before the call, by any thread, survives a power cut once it returns. Callers that
  /// arrive together share one fdatasync.
  virtual Result<void> sync() = 0;

  /// The whole chunk, verified against its name. NotFound; Corrupt (now quarantined, message names segment and offset).
  virtual Result<SharedBytes> get(const ChunkId& id) = 0;

  /// The same as it is stored, where that is smaller. Errors as get().
  virtual Result<StoredChunk> get_stored(const ChunkId& id);

  /// For a chunk that something names: that it is missing is damage, not an absent key. Corrupt; else as get().
  Result<SharedBytes> fetch(const ChunkId& id) {
    auto bytes = get(id);
    if (!bytes && bytes.error().code == Code::NotFound) {
      Error error = std::move(bytes).error();
      error.code = Code::Corrupt;
      return std::unexpected(std::move(error));
    }
    return bytes;
  }

  virtual Result<Stat> stat(const ChunkId& id) = 0;

  /// For sendfile of [offset, offset+length) of the uncompressed bytes, when stored uncompressed; or, with
  /// `stored` = true, of the whole stored zstd frame. Verified like get(). Unsupported when this back-end or this
  /// chunk's storage form has no such extent: use get().
  enum class Form : uint8_t { Plain, StoredFrame };
  virtual Result<Extent> extent(const ChunkId& id, Form form, uint64_t offset, uint64_t length) = 0;

  /// One answer per id, in order. True means present and not quarantined.
  virtual Result<std::vector<bool>> has(std::span<const ChunkId> ids) = 0;

  /// As has(), and what is present will survive a collection that started before.
  virtual Result<std::vector<bool>> touch(std::span<const ChunkId> ids) = 0;

  /// Up to `limit` names greater than `after` in byte order. An empty answer means the end.
  virtual Result<std::vector<ChunkId>> list(const ChunkId& after, size_t limit) = 0;

  /// Forgets chunks whoever needs them: for tests and tools. Absent ones are fine. Space returns when their segment is
  /// compacted.
  virtual Result<void> erase(std::span<const ChunkId> ids) = 0;

  // -- collection (src/collect decides what is garbage; the store decides what is too fresh to be) ------------------
  // A back-end without these is never collected, so there a session has nothing to hold off. One that stands in front
  // of another must pass all of them on.

  /// Every writer holds one from before its first put or touch until what it commits is committed. Cheap.
  virtual std::unique_ptr<WriteSession> begin_writes() { return std::make_unique<WriteSession>(); }

  /// Starts an epoch, and with it the collection that ends the one before. Look at what is referenced after this call:
  /// whoever commits later either holds a session still, or begins one in this epoch.
  virtual Result<CollectionToken> begin_collection() {
    return fail(Code::Unsupported, "this chunk store is not collected");
  }

  /// Erases durably those of `ids` that were neither put nor touched from the token's floor on; the others stay. True
  /// for each that is not here any more. Conflict: another collection began, or this one ended. Unavailable: so many
  /// ids were touched that the store lost count of them; nothing can be collected until the sessions of that time end.
  virtual Result<std::vector<bool>> collect(const CollectionToken&, std::span<const ChunkId>) {
    return fail(Code::Unsupported, "this chunk store is not collected");
  }
  /// Lets go of what was kept for a collection. Ending one that has ended is fine.
  virtual void end_collection(const CollectionToken&) {}

  /// Chunks put at or after `from`, and where the next call goes on; O(what is new). In no order; a chunk may come
  /// again, and may be gone already. Makes what it tells durable first, so that no crash can put a later chunk before
  /// `next`. At most a segment's chunks at once; `more` says that others are there already. A place that lies beyond
  /// all that is here was another store's, or chunks were lost: then all are told from the first on, and `next` is
  /// less than `from`.
  struct Added {
    std::vector<ChunkId> ids;
    Position next;
    bool more = false;
  };
  virtual Result<Added> added_since(const Position&) {
    return fail(Code::Unsupported, "this chunk store is not collected");
  }

  struct Stats {
    uint64_t chunks = 0;
    uint64_t stored_bytes = 0;        // payloads as stored
    uint64_t uncompressed_bytes = 0;  // the same before compression
    uint64_t disk_bytes = 0;          // files
    uint64_t quarantined = 0;
    uint64_t segments_unloaded = 0;  // after opening: what they hold is not counted above yet
  };
  virtual Stats stats() const = 0;
};

/// In memory, for tests of whatever sits above; passes the conformance suite (extent() is Unsupported).
std::unique_ptr<ChunkStore> make_memory_store();

}  // namespace hailstone::chunk
