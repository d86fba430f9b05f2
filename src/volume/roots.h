// Everything a group's state refers to in the chunk store: what collection must keep.
#pragma once

#include <functional>

#include "chunk/content.h"
#include "replica/database.h"
#include "tree/tree.h"

namespace hailstone::volume {

enum class RootKind : uint8_t {
  Entries = 1,  // values are Entry
  Derived = 2,  // a release's derived data: Entry values, among them the root of the search index
};

struct RootRef {
  Bytes owner;  // key of the record that names it, in the group's database
  RootKind kind = RootKind::Entries;
  tree::Root root;
  auto operator<=>(const RootRef&) const = default;
};

/// Roots of drafts, flips in force or in grace, layers and releases, without empty ones: in ascending order, no
/// duplicates. Grace runs by the time of the last command, which never is ahead of a reader's by more than its
/// proposer was: a flip is kept rather too long. O(records), little memory.
Result<void> for_each_root(const replica::Reader& state, const std::function<Result<void>(const RootRef&)>& visit);

/// Contents that edits of layers name and no tree does yet, frozen ones included.
Result<void> for_each_unsealed(const replica::Reader& state,
                               const std::function<Result<void>(ByteView owner, const chunk::Content&)>& visit);

/// "release 7 of 'repo'" for the owner of a root or of an unsealed edit; for people.
Bytes describe_owner(const replica::Reader& state, ByteView owner);

}  // namespace hailstone::volume
