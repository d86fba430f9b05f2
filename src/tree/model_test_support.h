// What the tree's tests share: a model in std::map, edits on both sides, and whole-tree readers.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/detail/Configuration.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <set>
#include <sstream>

#include "tree/level_editor.h"
#include "tree/memory_nodes.h"
#include "tree/path.h"
#include "tree/tree.h"

namespace hailstone::tree {

struct Value {
  Bytes value;
  uint64_t weight = 0;
  bool operator==(const Value&) const = default;
};
using Model = std::map<Bytes, Value>;

/// Unwraps; a failed Result ends the test.
template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

inline void apply_to(Model& model, std::span<const Edit> edits) {
  for (const Edit& edit : edits) {
    if (edit.value) {
      model[edit.key] = {*edit.value, edit.weight};
    } else {
      model.erase(edit.key);
    }
  }
}

inline std::vector<Edit> as_edits(const Model& model) {
  std::vector<Edit> out;
  for (const auto& [key, value] : model) out.push_back({key, value.value, value.weight});
  return out;
}

/// Small nodes: trees of a few hundred keys have five levels.
inline constexpr Shapes kSmallShapes{.leaf = {.min = 4, .gap = 4, .max = 24}, .inner = {.min = 3, .gap = 3, .max = 16}};

/// apply() with small nodes.
inline Result<Root> small_apply(NodeStore& store, const Root& root, std::span<const Edit> edits,
                                const Shapes& shapes = kSmallShapes) {
  size_t i = 0;
  const auto pull = [&]() -> Result<std::optional<Edit>> {
    if (i == edits.size()) return std::nullopt;
    return edits[i++];
  };
  return apply_shaped(store, root, pull, shapes);
}

inline Root build(NodeStore& store, const Model& model, const Shapes& shapes = kSmallShapes) {
  return must(small_apply(store, {}, as_edits(model), shapes));
}

inline Model read_all(NodeStore& store, const Root& root) {
  Model out;
  Cursor cursor(store, root);
  must(cursor.next());
  while (cursor.valid()) {
    out.emplace_hint(out.end(), Bytes(cursor.key()), Value{Bytes(cursor.value()), cursor.weight()});
    must(cursor.next());
  }
  return out;
}

/// Every node of a tree, by level.
inline void collect(NodeStore& store, const ChunkId& id, std::map<unsigned, std::vector<NodePtr>>& out,
                    std::set<ChunkId>* ids = nullptr) {
  const NodePtr node = must(store.load(id));
  out[node->level()].push_back(node);
  if (ids != nullptr) ids->insert(id);
  if (node->leaf()) return;
  for (size_t i = 0; i < node->size(); ++i) collect(store, node->child(i), out, ids);
}

inline std::set<ChunkId> node_ids(NodeStore& store, const Root& root) {
  std::set<ChunkId> ids;
  std::map<unsigned, std::vector<NodePtr>> nodes;
  if (!root.empty()) collect(store, root.id, nodes, &ids);
  return ids;
}

/// The format page's rule, written the naive way: where nodes start among these keys.
inline std::vector<size_t> naive_starts(const Shape& shape, unsigned level, const std::vector<Bytes>& keys) {
  const auto hash = [&](size_t i) { return boundary_hash(level, keys[i]); };
  std::vector<size_t> starts;
  for (size_t s = 0; s < keys.size();) {
    starts.push_back(s);
    size_t e = s + 1;
    while (e < keys.size() && !(e - s >= shape.min && is_candidate(shape, hash(e)))) ++e;
    if (e - s > shape.max) {
      e = s + shape.max / 4;
      for (size_t i = e; i <= s + shape.max; ++i) {
        if (hash(i) < hash(e)) e = i;
      }
    }
    s = e;
  }
  return starts;
}

/// Nothing when content, shape and totals of the tree are those that the model and the format page ask for.
inline std::string canonical_problem(NodeStore& store, const Root& root, const Model& model,
                                     const Shapes& shapes = kSmallShapes) {
  if (root.empty() != model.empty()) return "emptiness";
  if (read_all(store, root) != model) return "content";
  if (root.empty()) return {};
  std::map<unsigned, std::vector<NodePtr>> nodes;
  collect(store, root.id, nodes);
  std::vector<Bytes> keys;
  Totals sum;
  for (const auto& [key, value] : model) {
    keys.push_back(key);
    sum.keys += 1;
    sum.weight += value.weight;
  }
  if (must(totals(store, root)) != sum) return "totals";
  for (const auto& [level, of_level] : nodes) {
    std::vector<Bytes> starts, actual;
    for (const size_t i : naive_starts(shapes.at(level), level, keys)) starts.push_back(keys[i]);
    for (const NodePtr& node : of_level) actual.push_back(node->key(0));
    if (actual != starts) return fmt::format("node starts of level {}: {} and {}", level, actual.size(), starts.size());
    if ((of_level.size() == 1) != (level == nodes.rbegin()->first))
      return "the root is the lowest node alone on its level";
    keys = std::move(starts);
  }
  return {};
}

/// At least so many cases of a RapidCheck property (RC_PARAMS=max_success=N asks for more); says how many passed. The
/// seed of a failure is in the message.
template <class Property>
void check_property(int cases, Property&& property) {
  rc::detail::TestParams params = rc::detail::configuration().testParams;
  params.maxSuccess = std::max(cases, params.maxSuccess);
  rc::detail::TestMetadata metadata;
  metadata.id = testing::UnitTest::GetInstance()->current_test_info()->name();
  metadata.description = metadata.id;
  const auto result = rc::detail::checkTestable(std::forward<Property>(property), metadata, params);
  std::ostringstream text;
  rc::detail::printResultMessage(result, text);
  if (result.template is<rc::detail::SuccessResult>()) {
    std::cout << text.str() << '\n';  // "OK, passed 300 tests"
    return;
  }
  FAIL() << text.str() << "\nRC_PARAMS=\"seed=" << params.seed << "\"";
}

/// Sorted keys among which every rule of the format page is at work, for small nodes: runs without any candidate,
/// ordinary ones, runs of candidates of some levels and not of others.
const std::vector<Bytes>& pool();

/// A sweep over the pool: what properties are made of, since it makes big changes from few numbers.
struct Sweep {
  enum class Kind { Put, Remove, Keep };  // Keep: remove all that is outside
  Kind kind = Kind::Put;
  size_t begin = 0;
  size_t count = 1;
  size_t stride = 1;
  uint64_t salt = 0;  // values depend on it
};
/// Into the failure message of the property that runs.
void log(const std::vector<Sweep>& sweeps);
rc::Gen<Sweep> any_sweep();
rc::Gen<std::vector<Sweep>> any_sweeps();
/// One to six changes of one to three keys: small edits of a big map.
rc::Gen<std::vector<Sweep>> small_sweeps();
/// Most of the pool.
rc::Gen<Model> big_model();

/// The sweeps one after another, as one sorted batch.
std::vector<Edit> edits_of(const std::vector<Sweep>& sweeps);

}  // namespace hailstone::tree
