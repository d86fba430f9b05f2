// What one chunk refers to: children of a node, chunks of its entries' contents, refs of a list.
#pragma once

#include <functional>

#include "chunk/store.h"
#include "collect/record.h"

namespace hailstone::collect {

/// `key`: the entry's in a leaf, empty elsewhere.
using VisitReference = std::function<Result<void>(const Reference&, ByteView key)>;

Reference reference_of(const volume::RootRef& root);
/// The first level of a content: its data chunks, or its topmost lists.
Result<void> for_each_reference(const chunk::Content& content, ByteView key, const VisitReference& visit);
/// Reads the chunk `of`, and tells each reference as often as it is made. NotFound, Corrupt, Io name the chunk. Past
/// every cache: collection must not push out what readers need.
Result<void> for_each_reference(chunk::ChunkStore& chunks, const Reference& of, const VisitReference& visit);

}  // namespace hailstone::collect
