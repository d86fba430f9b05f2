// Reading a release, head or draft as one ordered map that stands still while it is read.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "replica/database.h"
#include "tree/tree.h"
#include "volume/entry.h"
#include "volume/records.h"

namespace hailstone::volume {

/// Ordered reading; views stay valid until it moves.
class ContentsCursor {
 public:
  virtual ~ContentsCursor() = default;
  virtual Result<void> seek(ByteView key) = 0;  // first key >= `key`
  virtual Result<void> next() = 0;
  virtual bool valid() const = 0;
  virtual ByteView key() const = 0;
  virtual ByteView value() const = 0;  // encoded Entry
  virtual uint64_t weight() const = 0;
};

class Contents {
 public:
  virtual ~Contents() = default;
  virtual Result<std::optional<Bytes>> get_encoded(ByteView key) const = 0;
  virtual std::unique_ptr<ContentsCursor> cursor() const = 0;

  Result<std::optional<Entry>> get(ByteView key) const;
};

/// The map a root names. `nodes` outlives it.
std::unique_ptr<Contents> open_tree(tree::NodeStore& nodes, const tree::Root& root);

/// A head or draft as `snapshot` has it: base tree under frozen and active edits.
Result<std::unique_ptr<Contents>> open_layer(tree::NodeStore& nodes, std::shared_ptr<const replica::Reader> snapshot,
                                             VolumeId volume, uint64_t layer);
std::unique_ptr<Contents> open_layer(tree::NodeStore& nodes, std::shared_ptr<const replica::Reader> snapshot,
                                     VolumeId volume, uint64_t layer, const Layer& record);

/// Names a layer's contents: equal tokens, equal contents. Moves at each write; sealing leaves it alone.
Result<Bytes> layer_token(const replica::Reader& state, VolumeId volume, uint64_t layer);
Bytes layer_token(VolumeId volume, uint64_t layer, Slot version);

/// The edits of one generation, in key order: what sealing folds into the base.
Result<tree::Root> fold(tree::NodeStore& nodes, const replica::Reader& state, VolumeId volume, uint64_t layer,
                        uint64_t generation, const tree::Root& base);

struct ListRequest {
  Bytes prefix;
  Bytes start_after;    // keys greater than this; with a delimiter a common prefix counts as its own key
  Bytes delimiter;      // empty: none
  size_t limit = 1000;  // entries and common prefixes together
};
struct Listed {
  Bytes key;
  Entry entry;
};
struct Listing {
  std::vector<Listed> entries;
  std::vector<Bytes> prefixes;  // end with the delimiter
  std::optional<Bytes> next;    // start_after of the following page; nothing at the end
};
/// O(answer), not O(keys below a common prefix): the delimiter skip seeks past each prefix.
Result<Listing> list(const Contents& contents, const ListRequest& request);

}  // namespace hailstone::volume
