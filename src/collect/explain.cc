#include <fmt/format.h>

#include <map>

#include "collect/collector.h"
#include "collect/references.h"
#include "volume/roots.h"

namespace hailstone::collect {
namespace {

/// Where below a chunk another is named: the key of the entry, empty for a node.
class Finder {
 public:
  Finder(chunk::ChunkStore& chunks, const ChunkId& wanted) : chunks_(chunks), wanted_(wanted) {}

  /// Each node is read once, however many roots share it.
  Result<std::optional<Bytes>> below(const Reference& from) {
    if (from.id == wanted_) return Bytes();
    if (!has_children(from.kind)) return std::nullopt;
    const auto known = found_.find({from.id, from.kind});
    if (known != found_.end()) return known->second;
    std::vector<std::pair<Reference, Bytes>> children;
    TRY_DO(for_each_reference(chunks_, from, [&](const Reference& child, ByteView key) {
      if (has_children(child.kind) || child.id == wanted_) children.emplace_back(child, Bytes(key));
      return Result<void>();
    }));
    std::optional<Bytes> out;
    for (const auto& [child, key] : children) {
      TRY(auto at, below(child));
      if (!at) continue;
      out = key.empty() ? std::move(at) : key;
      break;
    }
    found_.emplace(std::pair(from.id, from.kind), out);
    return out;
  }

 private:
  chunk::ChunkStore& chunks_;
  const ChunkId wanted_;
  std::map<std::pair<ChunkId, Kind>, std::optional<Bytes>> found_;
};

std::string line(const Bytes& owner, const Bytes& key) {
  return key.empty() ? fmt::format("node of the tree: {}", owner) : fmt::format("key '{}': {}", printable(key), owner);
}

}  // namespace

Result<std::vector<std::string>> Collector::why(const ChunkId& id, size_t limit) {
  std::vector<std::string> out;
  TRY(const auto state, look_());
  TRY_DO(volume::for_each_unsealed(*state, [&](ByteView owner, const chunk::Content& content) -> Result<void> {
    if (out.size() >= limit) return {};
    bool names = false;
    TRY_DO(chunk::for_each_chunk(chunks_, content, [&](const ChunkId& other) { names |= other == id; }));
    if (names) out.push_back(volume::describe_owner(*state, owner));
    return {};
  }));
  TRY_DO(counts_.load());
  TRY(const auto record, counts_.find(id));
  if (out.size() < limit && (!record || record->trash())) {
    if (record) out.push_back(fmt::format("in the trash since {}, run {}", format_iso8601(record->since), record->run));
    return out;
  }
  Finder finder(chunks_, id);
  auto rows = database_.iterate("R", keys::end_of('R'));
  for (; rows->valid() && out.size() < limit; rows->next()) {
    TRY(const auto root, keys::decode_root(rows->key()));
    TRY(const auto found, finder.below(reference_of(root)));
    if (found) out.push_back(line(volume::describe_owner(*state, root.owner), *found));
  }
  TRY_DO(rows->status());
  return out;
}

Result<uint64_t> Collector::verify(const Stop& stop) {
  const auto scratch = replica::make_memory_database();
  Counts fresh(*scratch, chunks_);
  TRY_DO(fresh.load());
  auto roots = database_.iterate("R", keys::end_of('R'));
  for (; roots->valid(); roots->next()) {
    TRY(const auto root, keys::decode_root(roots->key()));
    TRY_DO(fresh.add(reference_of(root), Work::Sign::Count, [](replica::Batch&) {}));
    TRY(const bool going, fresh.drain(stop));
    if (!going) return fail(Code::Cancelled, "verification stopped");
  }
  TRY_DO(roots->status());
  TRY_DO(fresh.commit());
  const auto next_counted = [](replica::Iterator& rows) -> Result<std::optional<std::pair<ChunkId, Record>>> {
    for (; rows.valid(); rows.next()) {
      TRY(const ChunkId id, keys::chunk_of('C', rows.key()));
      TRY(Record record, Record::decode(rows.value()));
      if (!record.trash()) return std::pair(id, std::move(record));
    }
    TRY_DO(rows.status());
    return std::nullopt;
  };
  auto have = database_.iterate("C", keys::end_of('C'));
  auto want = scratch->iterate("C", keys::end_of('C'));
  for (uint64_t same = 0;; ++same) {
    TRY(const auto a, next_counted(*have));
    TRY(const auto b, next_counted(*want));
    if (!a && !b) return same;
    if (a != b) {
      const ChunkId id = !b || (a && a->first < b->first) ? a->first : b->first;
      return fail(Code::Invalid, fmt::format("chunk {}: its count differs from a recount", id.hex()));
    }
    have->next();
    want->next();
  }
}

Result<uint64_t> Collector::trash_chunks() const {
  uint64_t out = 0;
  auto rows = database_.iterate("X", keys::end_of('X'));
  for (; rows->valid(); rows->next()) ++out;
  TRY_DO(rows->status());
  return out;
}

Result<Collector::Usage> Collector::usage() {
  Usage out;
  auto rows = database_.iterate("C", keys::end_of('C'));
  for (; rows->valid(); rows->next()) {
    TRY(const ChunkId id, keys::chunk_of('C', rows->key()));
    TRY(const Record record, Record::decode(rows->value()));
    const auto stat = stat_here(id);
    const uint64_t bytes = stat ? stat->stored_bytes : 0;
    ++(record.trash() ? out.trash_chunks : out.reachable_chunks);
    (record.trash() ? out.trash_bytes : out.reachable_bytes) += bytes;
  }
  TRY_DO(rows->status());
  out.disk_bytes = chunks_.stats().disk_bytes;
  return out;
}

}  // namespace hailstone::collect
