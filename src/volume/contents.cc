#include "volume/contents.h"

#include <fmt/format.h>

#include "base/codec.h"
#include "volume/schema.h"

namespace hailstone::volume {
namespace {

class TreeCursor final : public ContentsCursor {
 public:
  TreeCursor(tree::NodeStore& nodes, const tree::Root& root) : cursor_(nodes, root) {}
  Result<void> seek(ByteView key) override { return cursor_.seek(key); }
  Result<void> next() override { return cursor_.next(); }
  bool valid() const override { return cursor_.valid(); }
  ByteView key() const override { return cursor_.key(); }
  ByteView value() const override { return cursor_.value(); }
  uint64_t weight() const override { return cursor_.weight(); }

 private:
  tree::Cursor cursor_;
};

class TreeContents final : public Contents {
 public:
  TreeContents(tree::NodeStore& nodes, const tree::Root& root) : nodes_(nodes), root_(root) {}
  Result<std::optional<Bytes>> get_encoded(ByteView key) const override {
    TRY(auto found, tree::lookup(nodes_, root_, key));
    if (!found) return std::optional<Bytes>();
    return std::optional<Bytes>(std::move(found->value));
  }
  std::unique_ptr<ContentsCursor> cursor() const override { return std::make_unique<TreeCursor>(nodes_, root_); }

 private:
  tree::NodeStore& nodes_;
  tree::Root root_;
};

// Up to two generations of edits over a tree; the newer source of a key hides the older ones.
class LayerCursor final : public ContentsCursor {
 public:
  LayerCursor(tree::NodeStore& nodes, const replica::Reader& state, VolumeId volume, uint64_t layer,
              const Layer& record)
      : base_(nodes, record.base) {
    for (uint64_t generation : {record.active, record.frozen}) {
      if (generation == 0) continue;
      Generation g;
      g.prefix = schema::edits(volume, layer, generation);
      g.edits = state.iterate(g.prefix, schema::end_of(g.prefix));
      generations_.push_back(std::move(g));
    }
  }

  Result<void> seek(ByteView key) override {
    for (Generation& g : generations_) g.edits->seek(g.prefix + Bytes(key));
    TRY_DO(base_.seek(key));
    return settle();
  }

  Result<void> next() override {
    TRY_DO(pass(key_));
    return settle();
  }

  bool valid() const override { return valid_; }
  ByteView key() const override { return key_; }
  ByteView value() const override { return from_edit_ ? edit_.entry : base_.value(); }
  uint64_t weight() const override { return from_edit_ ? edit_.weight : base_.weight(); }

 private:
  struct Generation {
    Bytes prefix;
    std::unique_ptr<replica::Iterator> edits;
    bool valid() const { return edits->valid(); }
    ByteView key() const { return edits->key().substr(prefix.size()); }
  };

  // Moves every source that stands on `key` past it.
  Result<void> pass(const Bytes& key) {
    for (Generation& g : generations_)
      if (g.valid() && g.key() == key) g.edits->next();
    if (base_.valid() && base_.key() == key) TRY_DO(base_.next());
    return {};
  }

  // Finds the least key any source stands on, skipping removed ones.
  Result<void> settle() {
    for (;;) {
      const Generation* newest = nullptr;
      for (const Generation& g : generations_) {
        if (!g.valid()) TRY_DO(g.edits->status());
        if (g.valid() && (!newest || g.key() < newest->key())) newest = &g;
      }
      from_edit_ = newest && (!base_.valid() || newest->key() <= base_.key());
      valid_ = from_edit_ || base_.valid();
      if (!valid_) return {};
      key_ = from_edit_ ? newest->key() : base_.key();
      if (!from_edit_) return {};
      TRY(edit_, schema::decode_edit(newest->edits->value()));
      if (!edit_.removed) return {};
      TRY_DO(pass(key_));
    }
  }

  std::vector<Generation> generations_;  // newest first
  tree::Cursor base_;
  Bytes key_;
  schema::Edit edit_;
  bool from_edit_ = false;
  bool valid_ = false;
};

class LayerContents final : public Contents {
 public:
  LayerContents(tree::NodeStore& nodes, std::shared_ptr<const replica::Reader> snapshot, VolumeId volume,
                uint64_t layer, Layer record)
      : nodes_(nodes), snapshot_(std::move(snapshot)), volume_(volume), layer_(layer), record_(std::move(record)) {}

  Result<std::optional<Bytes>> get_encoded(ByteView key) const override {
    TRY(auto raw, schema::newest_edit(*snapshot_, volume_, layer_, record_, key));
    if (!raw) {
      TRY(auto found, tree::lookup(nodes_, record_.base, key));
      if (!found) return std::optional<Bytes>();
      return std::optional<Bytes>(std::move(found->value));
    }
    TRY(auto edit, schema::decode_edit(*raw));
    if (edit.removed) return std::optional<Bytes>();
    return std::optional<Bytes>(Bytes(edit.entry));
  }

  std::unique_ptr<ContentsCursor> cursor() const override {
    return std::make_unique<LayerCursor>(nodes_, *snapshot_, volume_, layer_, record_);
  }

 private:
  tree::NodeStore& nodes_;
  std::shared_ptr<const replica::Reader> snapshot_;
  VolumeId volume_;
  uint64_t layer_;
  Layer record_;
};

}  // namespace

Result<std::optional<Entry>> Contents::get(ByteView key) const {
  TRY(auto bytes, get_encoded(key));
  if (!bytes) return std::optional<Entry>();
  TRY(auto entry, Entry::decode(*bytes));
  return std::optional<Entry>(std::move(entry));
}

std::unique_ptr<Contents> open_tree(tree::NodeStore& nodes, const tree::Root& root) {
  return std::make_unique<TreeContents>(nodes, root);
}

std::unique_ptr<Contents> open_layer(tree::NodeStore& nodes, std::shared_ptr<const replica::Reader> snapshot,
                                     VolumeId volume, uint64_t layer, const Layer& record) {
  return std::make_unique<LayerContents>(nodes, std::move(snapshot), volume, layer, record);
}

Result<std::unique_ptr<Contents>> open_layer(tree::NodeStore& nodes, std::shared_ptr<const replica::Reader> snapshot,
                                             VolumeId volume, uint64_t layer) {
  TRY(auto record, schema::read_layer(*snapshot, volume, layer));
  return open_layer(nodes, std::move(snapshot), volume, layer, record);
}

Result<Bytes> layer_token(const replica::Reader& state, VolumeId volume, uint64_t layer) {
  TRY(auto record, schema::read_layer(state, volume, layer));
  return layer_token(volume, layer, record.version);
}

Bytes layer_token(VolumeId volume, uint64_t layer, Slot version) {
  Bytes bytes;
  Encoder out(bytes);
  out.varint(volume.value);
  out.varint(layer);
  out.varint(version.value);
  return sha256(bytes).hex().substr(0, 32);
}

Result<tree::Root> fold(tree::NodeStore& nodes, const replica::Reader& state, VolumeId volume, uint64_t layer,
                        uint64_t generation, const tree::Root& base) {
  const Bytes prefix = schema::edits(volume, layer, generation);
  auto edits = state.iterate(prefix, schema::end_of(prefix));
  return tree::apply_stream(nodes, base, [&]() -> Result<std::optional<tree::Edit>> {
    if (!edits->valid()) {
      TRY_DO(edits->status());
      return std::optional<tree::Edit>();
    }
    TRY(auto raw, schema::decode_edit(edits->value()));
    tree::Edit edit;
    edit.key = edits->key().substr(prefix.size());
    if (!raw.removed) edit.value = Bytes(raw.entry);
    edit.weight = raw.weight;
    edits->next();
    return std::optional<tree::Edit>(std::move(edit));
  });
}

Result<Listing> list(const Contents& contents, const ListRequest& request) {
  Listing out;
  if (request.limit == 0) return out;
  auto cursor = contents.cursor();
  Bytes from = request.prefix;
  bool past = false;  // start exactly after `from` rather than at it
  if (request.start_after >= request.prefix && !request.start_after.empty()) {
    from = request.start_after;
    past = true;
    // Resuming after a common prefix skips all that is below it.
    if (!request.delimiter.empty() && from.starts_with(request.prefix)) {
      const size_t at = from.find(request.delimiter, request.prefix.size());
      if (at != Bytes::npos) {
        auto successor = tree::prefix_successor(ByteView(from).substr(0, at + request.delimiter.size()));
        if (!successor) return out;
        from = *std::move(successor);
        past = false;
      }
    }
  }
  TRY_DO(cursor->seek(from));
  if (past && cursor->valid() && cursor->key() == from) TRY_DO(cursor->next());
  Bytes last;
  while (cursor->valid() && cursor->key().starts_with(request.prefix)) {
    if (out.entries.size() + out.prefixes.size() == request.limit) {
      out.next = std::move(last);
      return out;
    }
    const ByteView key = cursor->key();
    const size_t at = request.delimiter.empty() ? Bytes::npos : key.find(request.delimiter, request.prefix.size());
    if (at != Bytes::npos) {
      out.prefixes.emplace_back(key.substr(0, at + request.delimiter.size()));
      last = out.prefixes.back();
      auto successor = tree::prefix_successor(last);
      if (!successor) return out;
      TRY_DO(cursor->seek(*successor));
      continue;
    }
    auto entry = Entry::decode(cursor->value());
    if (!entry) return std::unexpected(std::move(entry).error().within(fmt::format("key '{}'", printable(key))));
    out.entries.push_back({Bytes(key), *std::move(entry)});
    last = key;
    TRY_DO(cursor->next());
  }
  return out;
}

}  // namespace hailstone::volume
