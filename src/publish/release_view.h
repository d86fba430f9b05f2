// One release as checks see it: entries by path, symbolic links followed, contents as bounded reads or streams.
#pragma once

#include <cstdint>
#include <optional>

#include "chunk/store.h"
#include "publish/decompress.h"
#include "tree/tree.h"
#include "volume/entry.h"

namespace hailstone::publish {

/// A cheap value over stores that outlive it. Thread-safe as far as they are.
class ReleaseView {
 public:
  ReleaseView(tree::NodeStore& nodes, chunk::ChunkStore& chunks, const tree::Root& root)
      : nodes_(&nodes), chunks_(&chunks), root_(root) {}

  /// The entry that `path` leads to, or nothing. Relative symbolic links within the volume are followed, for the last
  /// component and for directories before it, up to 8 in all; absolute ones and those that lead out lead nowhere.
  Result<std::optional<volume::Entry>> lookup(ByteView path) const;

  /// The whole content; Invalid when larger than `bytes_max`.
  Result<Bytes> read(const volume::Entry& entry, uint64_t bytes_max) const;

  /// The content in pieces of at most 1 MiB, for decompress(). Both the entry and this view must outlive it.
  ByteSource stream(const volume::Entry& entry) const;

  tree::NodeStore& nodes() const { return *nodes_; }
  const tree::Root& root() const { return root_; }

 private:
  Result<std::optional<volume::Entry>> lookup(ByteView path, int links_left) const;
  Result<std::optional<volume::Entry>> follow(ByteView link_path, const volume::Entry& link, ByteView rest,
                                              int links_left) const;
  Result<std::optional<volume::Entry>> find(ByteView key) const;

  tree::NodeStore* nodes_;
  chunk::ChunkStore* chunks_;
  tree::Root root_;
};

}  // namespace hailstone::publish
