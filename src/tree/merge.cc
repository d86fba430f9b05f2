#include "tree/tree.h"

namespace hailstone::tree {
namespace {

/// Goes through what theirs changed and looks each key up in ours: the cost follows theirs' changes, whatever ours did.
class TheirChanges {
 public:
  TheirChanges(NodeStore& store, const Root& base, const Root& ours, const Root& theirs)
      : changes_(store, base, theirs), ours_(store, ours) {}

  enum class Kind { Edit, Conflict, End };
  struct Change {
    Kind kind = Kind::End;
    Edit edit;  // of a conflict only the key counts
  };
  Result<Change> next() {
    for (;;) {
      TRY(std::optional<Difference> change, changes_.next());
      if (!change) return Change{};
      TRY_DO(ours_.seek(change->key));
      const bool in_ours = ours_.valid() && ours_.key() == change->key;
      const auto ours_is = [&](const std::optional<Bytes>& value, uint64_t weight) {
        return in_ours ? value && *value == ours_.value() && weight == ours_.weight() : !value;
      };
      if (ours_is(change->right, change->right_weight)) continue;
      const Kind kind = ours_is(change->left, change->left_weight) ? Kind::Edit : Kind::Conflict;
      return Change{kind, {std::move(change->key), std::move(change->right), change->right_weight}};
    }
  }

 private:
  DiffCursor changes_;
  Cursor ours_;
};

}  // namespace

// Twice over the changes: nothing is written when there is a conflict, and they are never all in memory.
Result<Merged> merge(NodeStore& store, const Root& base, const Root& ours, const Root& theirs, size_t conflicts_max) {
  if (base == theirs || ours == theirs) return Merged{ours, {}, 0};
  if (base == ours) return Merged{theirs, {}, 0};
  Merged out;
  TheirChanges look(store, base, ours, theirs);
  for (;;) {
    TRY(TheirChanges::Change change, look.next());
    if (change.kind == TheirChanges::Kind::End) break;
    if (change.kind == TheirChanges::Kind::Edit) continue;
    if (out.conflict_count++ < conflicts_max) out.conflicts.push_back(std::move(change.edit.key));
  }
  if (out.conflict_count > 0) return out;
  TheirChanges take(store, base, ours, theirs);
  TRY(out.root, apply_stream(store, ours, [&]() -> Result<std::optional<Edit>> {
        TRY(TheirChanges::Change change, take.next());
        if (change.kind == TheirChanges::Kind::End) return std::nullopt;
        return std::move(change.edit);
      }));
  return out;
}

}  // namespace hailstone::tree
