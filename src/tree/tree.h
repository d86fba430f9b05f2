// The persistent ordered map key -> value over chunks: same content, same root, whatever the order of edits.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"

namespace hailstone::tree {

inline constexpr size_t kKeyBytesMax = 1072;  // an object's key of 1024 with what volume/objects.h adds to it
inline constexpr size_t kValueBytesMax = 16u << 10;

/// Names a whole map. The zero id is the empty map and needs no chunk.
struct Root {
  ChunkId id;
  auto operator<=>(const Root&) const = default;
  bool empty() const { return id.is_zero(); }
};

/// A decoded, immutable node; its layout is the module's own (tree/node.h).
class Node;
using NodePtr = std::shared_ptr<const Node>;

/// Where nodes come from and go to. Implementations are thread-safe. tree/cache.h has the one over a ChunkStore.
class NodeStore {
 public:
  virtual ~NodeStore() = default;
  /// Verified and decoded. NotFound, Corrupt, Io.
  virtual Result<NodePtr> load(const ChunkId& id) = 0;
  /// Stores an encoded node; durable only after the owner of the chunk store syncs.
  virtual Result<ChunkId> save(Bytes encoded) = 0;
};

/// What every subtree knows of itself, so that a release's size is O(1).
struct Totals {
  uint64_t keys = 0;
  uint64_t weight = 0;  // sum of the entries' weights (object sizes in bytes)
  bool operator==(const Totals&) const = default;
};

struct Item {
  Bytes key;
  Bytes value;
  uint64_t weight = 0;
  bool operator==(const Item&) const = default;
};

/// One change: a new value, or nothing for "remove" (removing what is absent is fine).
struct Edit {
  Bytes key;
  std::optional<Bytes> value;
  uint64_t weight = 0;
};

Result<Totals> totals(NodeStore& store, const Root& root);

/// The value of one key, or nothing. O(depth).
struct Found {
  Bytes value;
  uint64_t weight = 0;
};
Result<std::optional<Found>> lookup(NodeStore& store, const Root& root, ByteView key);

/// The same without a copy: `node` keeps the bytes of `value` alive. The hot path.
struct FoundView {
  NodePtr node;
  ByteView value;
  uint64_t weight = 0;
};
Result<std::optional<FoundView>> lookup_view(NodeStore& store, const Root& root, ByteView key);

/// Ordered reading. Views stay valid until the cursor moves. A default-positioned cursor is before the first key.
class Cursor {
 public:
  Cursor(NodeStore& store, const Root& root);
  ~Cursor();
  Cursor(Cursor&&) noexcept;
  Cursor& operator=(Cursor&&) noexcept;
  /// To the first key >= `key`. Also how a listing skips a whole common prefix: seek(prefix_successor(p)).
  Result<void> seek(ByteView key);
  /// To the following key. Cheap within a leaf.
  Result<void> next();
  bool valid() const;
  ByteView key() const;
  ByteView value() const;
  uint64_t weight() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The smallest key greater than every key with this prefix; nothing when there is none (all bytes 0xff).
std::optional<Bytes> prefix_successor(ByteView prefix);

/// Applies edits, sorted by key, no duplicates (CHECKed). O(changes · depth). Errors of the store; Invalid on a key or
/// value beyond its limit. Nodes are saved but not synced.
Result<Root> apply(NodeStore& store, const Root& root, std::span<const Edit> edits);

/// Builds or edits from a stream of sorted edits without holding them all: for bulk import and big seals.
/// `pull` returns the next edit, or nothing at the end.
Result<Root> apply_stream(NodeStore& store, const Root& root, const std::function<Result<std::optional<Edit>>()>& pull);

/// One key on which two maps differ. `left`/`right` are values, absent where the key is not in that map.
struct Difference {
  Bytes key;
  std::optional<Bytes> left;
  std::optional<Bytes> right;
  uint64_t left_weight = 0;
  uint64_t right_weight = 0;
  bool operator==(const Difference&) const = default;
};

/// Ordered structural difference; equal subtrees are skipped by hash, so the cost is O(difference).
class DiffCursor {
 public:
  DiffCursor(NodeStore& store, const Root& left, const Root& right);
  ~DiffCursor();
  DiffCursor(DiffCursor&&) noexcept;
  DiffCursor& operator=(DiffCursor&&) noexcept;
  /// The next difference, or nothing at the end.
  Result<std::optional<Difference>> next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Three-way merge: `theirs`' changes since `base`, applied to `ours`. A key changed on both sides to different values
/// is a conflict; a key changed on both sides to the same value is not. On conflicts the first `conflicts_max` keys are
/// listed, in order, and `root` is empty and meaningless.
struct Merged {
  Root root;
  std::vector<Bytes> conflicts;
  uint64_t conflict_count = 0;
};
Result<Merged> merge(NodeStore& store, const Root& base, const Root& ours, const Root& theirs, size_t conflicts_max);

/// Every node of `root` that `known` does not share, each once, parents first: what collection, prepare and send walk.
/// A node is visited before it is loaded, so the visit may fetch it; for the same reason the root is visited even when
/// it is an inner node of `known` (but not when it is `known`). `visit_value` sees the value of each key in those
/// nodes; empty, and leaves are not loaded at all.
Result<void> for_each_new_node(NodeStore& store, const Root& known, const Root& root,
                               const std::function<Result<void>(const ChunkId&)>& visit_node,
                               const std::function<Result<void>(ByteView key, ByteView value)>& visit_value);

}  // namespace hailstone::tree
