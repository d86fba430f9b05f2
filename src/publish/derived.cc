#include "publish/derived.h"

#include <fmt/format.h>

#include "publish/feed.h"
#include "publish/search.h"

namespace hailstone::publish {
namespace {

FeedRelease feed_row(const volume::ReleaseRecord& r) {
  return {.number = r.number,
          .time = r.time,
          .author = r.author,
          .message = r.message,
          .added = r.added,
          .changed = r.changed,
          .removed = r.removed,
          .links = {{"alternate", fmt::format("/{}@{}/", r.volume_name, r.number.value), "text/html"}}};
}

Bytes make_feed(const DeriveInput& input) {
  std::vector<FeedRelease> rows = {feed_row(input.record)};
  for (const volume::ReleaseRecord& earlier : input.earlier) rows.push_back(feed_row(earlier));
  // The id outlives renamings of hosts; a volume's id and creation time name it for good.
  return atom_feed(
      {.id = fmt::format("urn:hailstone:volume:{}:{}", input.volume.record.id.value, input.volume.record.created.value),
       .title = input.volume.record.name,
       .updated = input.record.time,
       .links = {{"self", fmt::format("/{}/-/feed.atom", input.volume.record.name), "application/atom+xml"}}},
      rows);
}

Result<tree::Edit> file_edit(chunk::ChunkStore& chunks, std::string_view key, std::string_view type, ByteView bytes,
                             UnixMicros time) {
  volume::Entry entry;
  TRY(entry.content, chunk::write_content(chunks, {}, bytes));
  entry.modified_ns = time.value * 1000;
  entry.content_type = type;
  TRY(auto encoded, entry.encode());
  return tree::Edit{Bytes(key), std::move(encoded), entry.content.bytes};
}

}  // namespace

Result<ChangeTotals> count_changes(tree::NodeStore& nodes, const tree::Root& from, const tree::Root& to) {
  TRY(auto changes, list_changes(nodes, from, to, {.lines_max = 0, .count_max = UINT64_MAX}));
  return changes.totals;
}

Result<std::optional<volume::Entry>> derived_entry(tree::NodeStore& nodes, const tree::Root& derived,
                                                   std::string_view key) {
  TRY(const auto found, tree::lookup(nodes, derived, key));
  if (!found) return std::optional<volume::Entry>();
  TRY(auto entry, volume::Entry::decode(found->value));
  return std::optional<volume::Entry>(std::move(entry));
}

Result<tree::Root> search_root(tree::NodeStore& nodes, const tree::Root& derived) {
  TRY(const auto entry, derived_entry(nodes, derived, kSearchKey));
  if (!entry) return tree::Root{};
  if (entry->content.inlined.size() != 32) return fail(Code::Corrupt, "derived data: search root is malformed");
  return tree::Root{ChunkId(Hash256::from_view(entry->content.inlined))};
}

Result<tree::Root> derive(tree::NodeStore& nodes, chunk::ChunkStore& chunks, const DeriveInput& input) {
  TRY(const auto search_base, search_root(nodes, input.base_derived));
  tree::DiffCursor differences(nodes, input.base_root, input.record.root);
  auto search = update_search(nodes, chunks, search_base, search_edits(differences));
  if (!search && search.error().code == Code::Unsupported) {
    // The base's index was made by an earlier program: build this one from all keys.
    tree::DiffCursor all(nodes, {}, input.record.root);
    search = update_search(nodes, chunks, {}, search_edits(all));
  }
  if (!search) return std::unexpected(std::move(search).error().within("search index"));
  TRY(const auto changes,
      list_changes(nodes, input.base_root, input.record.root,
                   {.lines_max = input.changes_listed_max, .count_max = input.changes_listed_max + 1}));
  std::vector<tree::Edit> edits;  // in key order
  TRY(auto change_list, file_edit(chunks, kChangesKey, "application/jsonl", changes.json_lines, input.record.time));
  TRY(auto feed, file_edit(chunks, kFeedKey, "application/atom+xml", make_feed(input), input.record.time));
  TRY(auto root, file_edit(chunks, kSearchKey, "", search->id.view(), input.record.time));
  edits.push_back(std::move(change_list));
  edits.push_back(std::move(feed));
  edits.push_back(std::move(root));
  return tree::apply(nodes, {}, edits);
}

}  // namespace hailstone::publish
