// The model that every edge calls: volumes read and written, one command at a time, through the group.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "chunk/content.h"
#include "chunk/store.h"
#include "replica/group.h"
#include "tree/tree.h"
#include "volume/catalog.h"
#include "volume/command.h"
#include "volume/contents.h"
#include "volume/retention.h"
#include "volume/state.h"

namespace hailstone::volume {

/// Who asks, and which retry of which request this is.
struct Caller {
  Bytes name;             // access key's name, for records and the audit trail
  Bytes idempotency_key;  // empty: none
};

/// What a name after '@' means: nothing = head, "42", "draft-7", a channel, or a tag.
struct Target {
  std::shared_ptr<const Volume> volume;
  uint64_t layer = kHeadLayer;           // where writes go, when writable()
  std::optional<ReleaseNumber> release;  // set: an immutable release
  Bytes text;                            // as asked, for messages
  bool writable() const { return !release; }
};

/// What must hold of a key for a batch to be applied (RFC 9110 §13 on the entry's ETag).
struct Condition {
  Bytes key;
  std::optional<std::vector<Bytes>> if_match;       // ETags, or "*": any
  std::optional<std::vector<Bytes>> if_none_match;  // ETags, or "*": must not exist
};

/// The ETag of an entry without quotes: content hash in hex unless the writer gave another.
Bytes etag_of(const Entry& entry);

struct Put {
  Bytes key;
  std::optional<Entry> entry;  // nothing: remove
};

struct Written {
  Slot slot;       // position token of the write
  Bytes token;     // of the layer just after it (layer_token)
  Bytes previous;  // and just before it: nobody else wrote between two writes whose tokens meet
};

struct SealOptions {
  uint64_t edits = 50'000;     // a layer with more unsealed edits, or
  uint64_t bytes = 32u << 20;  // more bytes of them, is sealed in the background
};

/// One attempt at a set of edits to a volume's layers, over one state of them.
class Transaction {
 public:
  /// The entry as it is, remembered: the transaction holds only if it stays so.
  Result<std::optional<Entry>> get(uint64_t layer, ByteView key);
  /// In order from `from` on; what it shows is not remembered.
  Result<std::unique_ptr<ContentsCursor>> cursor(uint64_t layer);
  /// The edit of a key is replaced by a later one.
  Result<void> put(uint64_t layer, ByteView key, const Entry& entry);
  void remove(uint64_t layer, ByteView key);
  /// A small chunk that was put into the store and not synced: it becomes durable with the command.
  void carry(Bytes chunk) { write_.chunks.push_back(std::move(chunk)); }

 private:
  friend class Repository;
  Transaction(tree::NodeStore& nodes, std::shared_ptr<replica::Reader> snapshot, const Volume& volume);
  struct Open {
    Layer record;
    std::unique_ptr<Contents> contents;
  };
  Result<Open*> open(uint64_t layer);
  void edit(uint64_t layer, LayerEdit edit);
  struct Writing {
    LayerWrite write;
    std::unordered_map<Bytes, size_t> edits;  // where in write.edits a key is
    std::unordered_set<Bytes> seen;           // keys in write.seen
  };
  Writing& writing(uint64_t layer);
  Write take();

  tree::NodeStore& nodes_;
  std::shared_ptr<replica::Reader> snapshot_;
  VolumeId volume_;
  std::map<uint64_t, Open> layers_;
  Write write_;                   // without its layers
  std::vector<Writing> writing_;  // in the order in which they were first named
};

/// Thread-safe; calls block until durable. Everything it refers to outlives it.
class Repository {
 public:
  /// A group and what its machine applies to.
  struct Shard {
    replica::Group* group;
    const replica::Database* database;
  };
  /// `shards` are the groups from number `first` on; `state` shows the volumes of them all.
  Repository(std::vector<Shard> shards, uint8_t first, const PublishedState& state, chunk::ChunkStore& chunks,
             tree::NodeStore& nodes, const Clock& clock);
  /// Of one group.
  Repository(replica::Group& group, const replica::Database& database, const PublishedState& state,
             chunk::ChunkStore& chunks, tree::NodeStore& nodes, const Clock& clock)
      : Repository({{&group, &database}}, 0, state, chunks, nodes, clock) {}

  const PublishedState& published() const { return state_; }
  chunk::ChunkStore& chunks() const { return chunks_; }
  tree::NodeStore& nodes() const { return nodes_; }
  const Clock& clock() const { return clock_; }
  const std::vector<Shard>& shards() const { return shards_; }
  const Shard& shard(VolumeId id) const { return shards_.at(group_of(id) - first_); }
  /// Where that volume is, or would be made.
  const Shard& shard(ByteView volume) const;

  // -- being current: reads below show what this node has applied; a reader that must see what was acknowledged
  //    elsewhere settles first ----------------------------------------------------------------------------------------
  /// Everything acknowledged before this call is shown: of the group of that volume, or of all groups.
  bool settled(std::optional<ByteView> volume) const;
  /// Calls back when it is, perhaps at once, perhaps from another thread. Unavailable when a group has no leader that
  /// this node can ask.
  void settle(std::optional<ByteView> volume, std::function<void(Result<void>)> done) const;
  /// The same, waiting.
  Result<void> settle_and_wait(std::optional<ByteView> volume) const;

  // -- reading --------------------------------------------------------------------------------------------------------
  Result<std::shared_ptr<const Volume>> volume(std::string_view name) const;
  /// "volume", "volume@42", "volume@draft-7", "volume@stable", "volume@tag".
  Result<Target> resolve(std::string_view text) const;
  Result<std::unique_ptr<Contents>> open(const Target& target) const;
  Result<Bytes> token(const Target& target) const;
  Result<ReleaseRecord> release(const Volume& volume, ReleaseNumber number) const;
  /// Newest first, numbers below `before` (0: from the newest).
  Result<std::vector<ReleaseRecord>> releases(const Volume& volume, ReleaseNumber before, size_t limit) const;
  Result<DraftRecord> draft(const Volume& volume, DraftId draft) const;
  Result<std::vector<DraftRecord>> drafts(const Volume& volume) const;
  Result<std::vector<Hold>> holds(const Volume& volume, ReleaseNumber number) const;
  /// What retention looks at, as of now. `volume` outlives it.
  Result<RetentionInput> retention_input(const Volume& volume) const;
  Result<Layer> layer(const Volume& volume, uint64_t layer) const;
  /// A head, draft or one of the volume's own layers.
  Result<std::unique_ptr<Contents>> open_layer(const Volume& volume, uint64_t layer) const;
  /// Newest first, of times before `before` (0: from the newest), at least `limit` of them where there are so many:
  /// those of one time come together.
  Result<std::vector<AuditRecord>> audit(UnixMicros before, size_t limit) const;
  /// Oldest first, at most `limit`; the last one is the newest that is decided, be it that the channel was removed.
  Result<std::vector<Flip>> newest_flips(const Volume& volume, std::string_view channel, size_t limit) const;
  /// The flip in force on a channel at `time`, from the whole recorded history. NotFound before the first.
  Result<Flip> flip_at(const Volume& volume, std::string_view channel, UnixMicros time) const;
  /// The reply to an earlier command with this caller's idempotency key and the same kind of body.
  Result<std::optional<Reply>> earlier_reply(const Caller& caller, const Body& body) const;

  // -- writing --------------------------------------------------------------------------------------------------------
  /// Proposes one command and waits. A refusal comes back as its error.
  Result<Reply> submit(const Caller& caller, Body body);
  /// What a command gave, told on a thread of the group's: do little there.
  using Replied = std::function<void(Result<Reply>)>;
  void submit_async(const Caller& caller, Body body, Replied replied);
  /// Reads and writes that hold together: `body` reads through the transaction and says what to write; it runs again
  /// when something it read changed before its turn came. Its error ends the transaction with nothing written. `async`:
  /// `body` runs here, the rest and further attempts elsewhere.
  Result<Reply> transact(const Caller& caller, const Volume& volume,
                         const std::function<Result<void>(Transaction&)>& body);
  /// Atomic: all puts and removals, or none. Conditions are exact. Chunks that the entries name must be synced before.
  Result<Written> write(const Caller& caller, const Target& target, const std::vector<Condition>& conditions,
                        const std::vector<Put>& puts);
  /// Folds all edits made before the call into the layer's base and returns it with the layer's active generation.
  struct Sealed {
    tree::Root root;
    uint64_t active = 0;
  };
  Result<Sealed> seal(const Volume& volume, uint64_t layer);
  /// Layers that have outgrown `options`.
  struct Due {
    Bytes volume;
    uint64_t layer = 0;
  };
  Result<std::vector<Due>> seal_due(const SealOptions& options) const;

  /// One publisher or sealer of a volume at a time within this process; others wait. Recursive use deadlocks. Whoever
  /// purges releases or deletes the volume holds it too: a publisher shares trees that it neither put nor touched.
  std::unique_lock<std::mutex> lock_volume(VolumeId id);

 private:
  const replica::Database& database(const Volume& volume) const { return *shard(volume.record.id).database; }
  const Shard& shard(const Body& body) const;

  const std::vector<Shard> shards_;
  const uint8_t first_;
  const PublishedState& state_;
  chunk::ChunkStore& chunks_;
  tree::NodeStore& nodes_;
  const Clock& clock_;
  // Guards `volume_locks_`; the locks themselves order whole publishes, which would else race to the same release
  // number.
  std::mutex mutex_;
  std::map<VolumeId, std::unique_ptr<std::mutex>> volume_locks_;
};

}  // namespace hailstone::volume
