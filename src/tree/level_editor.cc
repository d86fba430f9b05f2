#include "tree/level_editor.h"

#include "base/check.h"

namespace hailstone::tree {
namespace {
constexpr size_t kReadNodesKept = 8;  // a forced cut reads ahead five nodes at most
}

OldNodes::OldNodes(NodeStore& store, const Root& root, NodePtr root_node, unsigned level)
    : root_(root), root_node_(std::move(root_node)), level_(level), path_(store) {
  CHECK(root_node_ == nullptr || level_ <= root_node_->level());
}

Result<void> OldNodes::seek(ByteView key) {
  if (root_node_ == nullptr) return {};
  valid_ = true;
  if (is_root_level()) return {};
  if (path_.empty()) path_.enter(root_node_);
  return path_.seek(key, level_ + 1);
}

Result<void> OldNodes::next() {
  CHECK(valid_);
  valid_ = !is_root_level() && path_.step();
  if (!valid_) return {};
  return path_.descend_first(level_ + 1);
}

Result<bool> OldNodes::prev() {
  CHECK(valid_);
  if (is_root_level()) return false;
  Path before = path_;
  if (!before.step_back()) return false;
  TRY_DO(before.descend_last(level_ + 1));
  path_ = std::move(before);
  return true;
}

Bytes OldNodes::start() const { return is_root_level() ? root_node_->key(0) : path_.node().key(path_.index()); }

ChunkId OldNodes::id() const { return is_root_level() ? root_.id : path_.node().child(path_.index()); }

Result<NodePtr> OldNodes::load() {
  if (is_root_level()) return root_node_;
  Path below = path_;
  TRY_DO(below.descend());
  return below.node_ptr();
}

Result<std::optional<LevelEdit>> LevelEditor::next() {
  while (out_.empty()) {
    if (in_region_) {
      TRY_DO(step_region());
      continue;
    }
    TRY_DO(peek());
    if (!edit_) return std::nullopt;
    TRY_DO(begin_region());
  }
  LevelEdit out = std::move(out_.front());
  out_.pop_front();
  return out;
}

Result<void> LevelEditor::peek() {
  if (edit_ || no_more_edits_) return {};
  TRY(edit_, edits_.next());
  no_more_edits_ = !edit_;
  return {};
}

// The cut at a candidate depends on the node before it alone. A forced cut looks `max` items ahead of its node's start:
// an edit can move those of all nodes that start within that distance before it.
Result<void> LevelEditor::begin_region() {
  touched_ = in_region_ = true;
  last_edit_.reset();
  TRY_DO(old_.seek(edit_->key));
  if (!old_.valid()) return {};
  size_t items_between = 0;
  for (Bytes start = old_.start(); start != floor_; start = old_.start()) {
    if (is_candidate(shape_, boundary_hash(level_, start)) && !edit_removes(start)) break;
    TRY(const bool moved, old_.prev());
    if (!moved) break;
    TRY(const NodePtr node, old_.load());
    items_between += node->size();
    if (items_between > shape_.max) return old_.next();
  }
  return {};
}

// `start` is where the old and the new level both start a node, and all that is old from there stays.
Result<void> LevelEditor::end_region(ByteView start) {
  remove_old_before(start);
  read_.clear();
  splitter_.drop();
  node_ = nullptr;
  floor_ = start;
  in_region_ = false;
  return {};
}

Result<void> LevelEditor::step_region() {
  TRY_DO(peek());
  return node_ == nullptr ? step_between_nodes() : step_in_node();
}

Result<void> LevelEditor::step_between_nodes() {
  if (!old_.valid()) {
    if (edit_) return take_edit();
    TRY_DO(cut());
    remove_old_before(std::nullopt);
    in_region_ = false;
    return {};
  }
  Bytes start = old_.start();
  if (edit_ && edit_->key < start) return take_edit();
  if (may_end_early() && !edit_removes(start) && splitter_.cuts_before(boundary_hash(level_, start))) {
    TRY_DO(cut());
    return end_region(start);
  }
  TRY(node_, old_.load());
  index_ = 0;
  key_ = start;
  read_.push_back({std::move(start), old_.id(), node_});
  // While much is removed many old nodes wait for the next new one; only a few of them are worth their memory.
  if (read_.size() > kReadNodesKept) read_[read_.size() - 1 - kReadNodesKept].node = nullptr;
  return {};
}

Result<void> LevelEditor::step_in_node() {
  if (edit_ && edit_->key < key_) return take_edit();
  const NodePtr node = node_;  // push() may end the region
  const size_t index = index_;
  if (++index_ == node->size()) {
    node_ = nullptr;
    TRY_DO(old_.next());
  }
  if (edit_ && edit_->key == key_) {
    TRY_DO(take_edit());
  } else {
    TRY_DO(push({key_, node->body(index), node->item_totals(index)}));
  }
  if (node_ != nullptr) {
    node_->key(index_, key_);
  } else if (in_region_ && splitter_.empty()) {
    remove_old_before(std::nullopt);  // removed whole: don't keep a long removal waiting
  }
  return {};
}

Result<void> LevelEditor::take_edit() {
  const LevelEdit edit = std::move(*edit_);
  edit_.reset();
  last_edit_ = edit.key;
  if (edit.body) return push({edit.key, *edit.body, edit.totals});
  return {};
}

Result<void> LevelEditor::push(const ItemView& item) {
  TRY(std::optional<Splitter::Built> built, splitter_.push(item));
  if (!built) return {};
  TRY_DO(give_out(std::move(*built)));
  // Pending now is where the next node starts and, after a forced cut, what was read ahead.
  if (!may_end_early() || *last_edit_ >= splitter_.first_key()) return {};
  for (const OldNode& old : read_) {
    if (old.start == splitter_.first_key()) return end_region(Bytes(old.start));
  }
  return {};
}

Result<void> LevelEditor::cut() {
  TRY(std::optional<Splitter::Built> built, splitter_.cut());
  if (built) TRY_DO(give_out(std::move(*built)));
  return {};
}

Result<void> LevelEditor::give_out(Splitter::Built built) {
  remove_old_before(built.first_key);
  const bool replaces = !read_.empty() && read_.front().start == built.first_key;
  const OldNode* const old = replaces ? &read_.front() : nullptr;
  ChunkId id;
  if (old != nullptr && old->node != nullptr && old->node->raw() == built.encoded) {
    id = old->id;
  } else {
    TRY(id, store_.save(std::move(built.encoded)));
  }
  const bool same = old != nullptr && old->id == id;
  if (replaces) read_.pop_front();
  if (!same || above_ == Above::EveryNode) out_.push_back({std::move(built.first_key), Bytes(id.view()), built.totals});
  return {};
}

void LevelEditor::remove_old_before(std::optional<ByteView> start) {
  while (!read_.empty() && (!start || read_.front().start < *start)) {
    if (above_ == Above::Changes) out_.push_back({std::move(read_.front().start), std::nullopt, {}});
    read_.pop_front();
  }
}

}  // namespace hailstone::tree
