#include "collect/references.h"

#include <fmt/format.h>

#include "chunk/list_chunk.h"
#include "publish/derived.h"
#include "publish/page_file.h"
#include "tree/node.h"
#include "volume/entry.h"

namespace hailstone::collect {
namespace {

/// `depth` 0: data.
Kind list_kind(uint8_t depth) {
  return depth == 0 ? Kind::Data : static_cast<Kind>(static_cast<uint8_t>(Kind::List1) + depth - 1);
}

Result<void> refs(std::span<const chunk::Ref> refs, uint8_t depth, ByteView key, const VisitReference& visit) {
  for (const chunk::Ref& ref : refs)
    TRY_DO(visit({.kind = list_kind(depth), .id = ref.id, .bytes = depth == 0 ? 0 : ref.bytes}, key));
  return {};
}

Result<void> of_value(Kind kind, ByteView key, ByteView value, const VisitReference& visit) {
  if (kind == Kind::PageNode) {
    TRY(const ChunkId page, publish::page_chunk(value));
    return visit({.kind = Kind::Data, .id = page, .bytes = 0}, key);
  }
  TRY(const volume::Entry entry, volume::Entry::decode(value));
  TRY_DO(volume::for_each_content(
      entry, [&](const chunk::Content& content) { return for_each_reference(content, key, visit); }));
  if (kind != Kind::DerivedNode || key != publish::kSearchKey) return {};
  if (entry.content.inlined.size() != 32) return fail(Code::Corrupt, "root of the search index: malformed");
  const ChunkId search(Hash256::from_view(entry.content.inlined));
  return search.is_zero() ? Result<void>() : visit({.kind = Kind::PageNode, .id = search, .bytes = 0}, key);
}

Result<void> of_node(chunk::SharedBytes bytes, const Reference& of, const VisitReference& visit) {
  TRY(const tree::NodePtr node, tree::Node::decode(of.id, std::move(bytes)));
  Bytes key;
  for (size_t i = 0; i < node->size(); ++i) {
    if (!node->leaf()) {
      TRY_DO(visit({.kind = of.kind, .id = node->child(i), .bytes = 0}, {}));
      continue;
    }
    node->key(i, key);
    TRY_DO(of_value(of.kind, key, node->leaf_item(i).value, visit));
  }
  return {};
}

}  // namespace

Reference reference_of(const volume::RootRef& root) {
  return {.kind = root.kind == volume::RootKind::Derived ? Kind::DerivedNode : Kind::EntryNode,
          .id = root.root.id,
          .bytes = 0};
}

Result<void> for_each_reference(const chunk::Content& content, ByteView key, const VisitReference& visit) {
  return refs(content.refs, content.depth, key, visit);
}

Result<void> for_each_reference(chunk::ChunkStore& chunks, const Reference& of, const VisitReference& visit) {
  if (!has_children(of.kind)) return {};
  const auto within = [&](Error error) { return std::unexpected(std::move(error).within("chunk " + of.id.brief())); };
  auto bytes = chunks.get(of.id);
  if (!bytes) return within(std::move(bytes).error());
  if (of.kind < Kind::List1) {
    auto done = of_node(std::move(*bytes), of, visit);
    if (!done) return within(std::move(done).error());
    return {};
  }
  const auto depth = static_cast<uint8_t>(static_cast<uint8_t>(of.kind) - static_cast<uint8_t>(Kind::List1));
  auto list = chunk::decode_list(**bytes, depth, of.bytes);
  if (!list) return within(std::move(list).error());
  return refs(*list, depth, {}, visit);
}

}  // namespace hailstone::collect
