#include "volume/machine.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/codec.h"
#include "volume/entry.h"
#include "volume/schema.h"

namespace hailstone::volume {
namespace {

constexpr int64_t kReplyAgeMaxMicros = 24ll * 3600 * 1'000'000;
constexpr int64_t kAuditAgeMaxMicros = 400ll * 24 * 3600 * 1'000'000;
constexpr int kRepliesDroppedPerCommand = 4;  // more than are added, so the table never outgrows a day's commands

std::unexpected<Error> no_volume(ByteView name) {
  return fail(Code::NotFound, fmt::format("no volume '{}'", printable(name)));
}

struct Deed {
  Bytes action, object;
};

Bytes numbers(const std::vector<ReleaseNumber>& releases) {
  Bytes out;
  for (ReleaseNumber release : releases) out += fmt::format("{}{}", out.empty() ? "" : ",", release.value);
  return out;
}

/// What the audit log says of a command; nothing of those that write contents or keep house.
std::optional<Deed> audited(const Command& command, const Reply& reply) {
  struct {
    const Reply& reply;
    std::optional<Deed> operator()(const CreateVolume& c) {
      return Deed{c.release ? "clone-volume" : "create-volume", c.name};
    }
    std::optional<Deed> operator()(const DeleteVolume& c) { return Deed{"delete-volume", c.name}; }
    std::optional<Deed> operator()(const DeleteEmptyVolume& c) { return Deed{"delete-volume", c.name}; }
    std::optional<Deed> operator()(const ChangeSettings& c) { return Deed{"change-settings", c.name}; }
    std::optional<Deed> operator()(const Write&) { return {}; }
    std::optional<Deed> operator()(const OpenDraft& c) {
      return Deed{"open-draft", fmt::format("{}@draft-{}", c.volume, reply.number)};
    }
    std::optional<Deed> operator()(const DropDraft& c) {
      return Deed{"drop-draft", fmt::format("{}@draft-{}", c.volume, c.draft.value)};
    }
    std::optional<Deed> operator()(const ExpireDraft& c) {
      return Deed{"expire-draft", fmt::format("{}@draft-{}", c.volume, c.draft.value)};
    }
    std::optional<Deed> operator()(const BeginSeal&) { return {}; }
    std::optional<Deed> operator()(const EndSeal&) { return {}; }
    std::optional<Deed> operator()(const Commit& c) {
      Bytes object;
      for (const auto& r : c.releases)
        object += fmt::format("{}{}@{}", object.empty() ? "" : " ", r.volume, r.record.number.value);
      for (const auto& f : c.flips)
        object += fmt::format("{}{}:{}->{}", object.empty() ? "" : " ", f.volume, f.channel, f.release.value);
      return Deed{c.releases.empty() ? "flip" : "publish", object};
    }
    std::optional<Deed> operator()(const SetTag& c) {
      return Deed{c.release ? "tag" : "untag", fmt::format("{}@{} {}", c.volume, c.release.value, c.tag)};
    }
    std::optional<Deed> operator()(const SetHold& c) {
      return Deed{c.action == SetHold::Action::Add ? "hold" : "unhold",
                  fmt::format("{}@{} {}", c.volume, c.release.value, c.name)};
    }
    std::optional<Deed> operator()(const PutKey& c) {
      return Deed{"put-key", fmt::format("{} ({}, {})", c.key.id, c.key.name, role_name(c.key.role))};
    }
    std::optional<Deed> operator()(const RemoveKey& c) { return Deed{"remove-key", c.id}; }
    std::optional<Deed> operator()(const ChangeDocument& c) {
      return Deed{c.document ? "put-document" : "remove-document", fmt::format("{} {}", c.volume, c.name)};
    }
    std::optional<Deed> operator()(const TrashReleases& c) {
      return Deed{"trash", fmt::format("{}@{}", c.volume, numbers(c.releases))};
    }
    std::optional<Deed> operator()(const RestoreRelease& c) {
      return Deed{"restore", fmt::format("{}@{}", c.volume, c.release.value)};
    }
    std::optional<Deed> operator()(const PurgeReleases& c) {
      return Deed{"purge", fmt::format("{}@{}", c.volume, numbers(c.releases))};
    }
  } tell{reply};
  return std::visit(tell, command.body);
}

/// Keeps what is in grace, at least kFlipsHeldMin and at most kFlipsHeldMax, newest.
void trim_flips(std::vector<Flip>& flips, const Settings& settings, UnixMicros now) {
  size_t drop = flips.size() > kFlipsHeldMax ? flips.size() - kFlipsHeldMax : 0;
  const int64_t horizon = now.value - static_cast<int64_t>(settings.grace_seconds) * 1'000'000;
  // flips[i] ended at flips[i + 1].at.
  while (flips.size() - drop > kFlipsHeldMin && flips[drop + 1].at.value < horizon) ++drop;
  flips.erase(flips.begin(), flips.begin() + static_cast<std::ptrdiff_t>(drop));
}

}  // namespace

// Collects one command's effects: database changes in `out`, changed volumes in `state`. A refusal leaves both
// untouched, because every command checks all it needs before it changes anything.
class Machine::Applying {
 public:
  Applying(Slot slot, const Command& command, const replica::Reader& reader, replica::Batch& out, const State& before,
           uint64_t& last_volume, State& after, chunk::ChunkStore* store, uint8_t group)
      : command_(command),
        reader_(reader),
        out_(out),
        before_(before),
        last_volume_(last_volume),
        after_(after),
        store_(store),
        group_(group) {
    reply_.slot = slot;
    reply_.time = UnixMicros{std::max(command.time.value, before.time.value + 1)};
  }

  Result<Reply> run() {
    auto result = std::visit([this](const auto& body) { return apply(body); }, command_.body);
    if (result) return std::move(reply_);
    return std::unexpected(std::move(result).error());
  }

  UnixMicros now() const { return reply_.time; }

 private:
  Result<std::shared_ptr<const Volume>> volume(ByteView name) const {
    auto found = after_.find(name);
    if (!found) return no_volume(name);
    return found;
  }

  Volume& change(ByteView name) {
    auto& held = after_.volumes.change().find(name)->second;
    auto copy = std::make_shared<Volume>(*held);
    Volume& out = *copy;
    held = std::move(copy);
    return out;
  }

  void save(const Volume& v) { out_.put(schema::volume(v.record.name), v.record.encode()); }

  void save_layer(VolumeId id, uint64_t number, const Layer& layer) {
    Bytes bytes;
    Encoder encoder(bytes);
    layer.encode(encoder);
    out_.put(schema::layer(id, number), std::move(bytes));
  }

  Result<DraftRecord> draft(VolumeId id, DraftId draft) const {
    TRY(auto bytes, reader_.get(schema::draft(id, draft)));
    if (!bytes) return fail(Code::NotFound, fmt::format("no draft {} (published, dropped or expired)", draft.value));
    return DraftRecord::decode(*bytes);
  }

  void drop_draft(VolumeId id, DraftId draft, const Layer& layer) {
    out_.erase(schema::draft(id, draft));
    drop_layer(id, draft.value, layer);
  }

  void drop_layer(VolumeId id, uint64_t number, const Layer& layer) {
    out_.erase(schema::layer(id, number));
    for (uint64_t generation : {layer.frozen, layer.active})
      if (generation != 0)
        out_.erase_range(schema::edits(id, number, generation), schema::end_of(schema::edits(id, number, generation)));
  }

  Result<void> add_release(Volume& v, const ReleaseRecord& record) {
    out_.put(schema::release(v.record.id, record.number), record.encode());
    v.record.last_release = record.number;
    reply_.releases.push_back(record.number);
    return {};
  }

  Result<void> flip(Volume& v, const Bytes& channel, ReleaseNumber release, const tree::Root& root) {
    Flip last;
    if (auto it = v.channels.find(channel); it != v.channels.end()) {
      last = it->second->back();
    } else {
      // A channel that existed before goes on with its numbers, so that Last-Modified keeps rising.
      const Bytes prefix = schema::flips(v.record.id, channel);
      auto history = reader_.iterate(prefix, schema::end_of(prefix));
      if (history->valid()) {
        Decoder in(history->value());
        last = Flip::decode(in);
      }
      TRY_DO(history->status());
    }
    Flip next{.sequence = last.sequence + 1,
              .release = release,
              .root = root,
              .at = now(),
              .modified_seconds = std::max(now().seconds(), last.modified_seconds + 1)};
    Bytes bytes;
    Encoder encoder(bytes);
    next.encode(encoder);
    out_.put(schema::flip(v.record.id, channel, next.sequence), std::move(bytes));
    if (!release) {
      v.channels.erase(channel);
      v.record.channels.erase(channel);
      return {};
    }
    auto& held = v.channels[channel];
    auto flips = held ? *held : std::vector<Flip>{};
    flips.push_back(next);
    trim_flips(flips, v.record.settings, now());
    held = std::make_shared<const std::vector<Flip>>(std::move(flips));
    v.record.channels[channel] = next;
    return {};
  }

  Result<void> apply(const CreateVolume& c) {
    TRY_DO(validate_volume_name(c.name));
    TRY_DO(c.settings.validate());
    if (before_.find(c.name)) return fail(Code::Exists, fmt::format("volume '{}' exists", c.name));
    Volume v;
    v.record.id = volume_id(++last_volume_, group_);
    v.record.name = c.name;
    v.record.settings = c.settings;
    v.record.created = now();
    Layer head;
    head.version = reply_.slot;
    if (c.release) {
      if (c.release->number != ReleaseNumber(1)) return fail(Code::Invalid, "a clone's first release must be number 1");
      head.base = c.release->root;
      TRY_DO(add_release(v, *c.release));
      TRY_DO(flip(v, "current", c.release->number, c.release->root));
    }
    save_layer(v.record.id, kHeadLayer, head);
    save(v);
    reply_.number = v.record.id.value;
    after_.volumes.change()[c.name] = std::make_shared<const Volume>(std::move(v));
    return {};
  }

  Result<void> apply(const DeleteVolume& c) {
    TRY(auto v, volume(c.name));
    delete_volume(v->record);
    return {};
  }

  Result<void> apply(const DeleteEmptyVolume& c) {
    TRY(auto v, volume(c.name));
    if (v->record.id != c.id) return fail(Code::Conflict, fmt::format("volume '{}' was replaced", c.name));
    if (v->record.last_release) return fail(Code::Conflict, fmt::format("volume '{}' has releases", c.name));
    for (const auto& [number, seen] : {std::pair(kHeadLayer, c.head), std::pair(kVersionsLayer, c.versions)}) {
      TRY(const Layer layer, schema::read_layer(reader_, c.id, number));
      if (layer.version != seen)
        return fail(Code::Conflict, fmt::format("volume '{}' was written to meanwhile: read again", c.name));
    }
    delete_volume(v->record);
    return {};
  }

  void delete_volume(const VolumeRecord& record) {
    out_.erase(schema::volume(record.name));
    for (char table : {'L', 'E', 'D', 'R', 'F', 'T', 'H', 'X'}) {
      const Bytes prefix = Bytes(1, table) + schema::big_endian(record.id.value);
      out_.erase_range(prefix, schema::end_of(prefix));
    }
    after_.volumes.change().erase(record.name);
  }

  Result<void> apply(const ChangeSettings& c) {
    TRY(auto v, volume(c.name));
    TRY_DO(c.settings.validate());
    Volume& changed = change(c.name);
    changed.record.settings = c.settings;
    save(changed);
    return {};
  }

  Result<void> check(VolumeId id, const LayerWrite& c, const Layer& layer) const {
    for (const LayerEdit& edit : c.edits)
      if (!is_own_layer(c.layer)) TRY_DO(validate_key(edit.key));
    if (c.seen_base && *c.seen_base != layer.base) return fail(Code::Conflict, "the base moved on: read again");
    for (const Seen& seen : c.seen) {
      TRY(auto raw, schema::newest_edit(reader_, id, c.layer, layer, seen.key));
      std::optional<uint64_t> found;
      if (raw) found = schema::delta_hash(*raw);
      if (found != seen.delta_hash)
        return fail(Code::Conflict, fmt::format("key '{}' changed meanwhile: read again", printable(seen.key)));
    }
    return {};
  }

  Result<void> apply(const Write& c) {
    TRY(auto v, volume(c.volume));
    const VolumeId id = v->record.id;
    struct Open {
      Layer layer;
      std::optional<DraftRecord> draft;
    };
    std::vector<Open> open;
    for (const LayerWrite& write : c.layers) {
      TRY(Layer layer, schema::read_layer(reader_, id, write.layer));
      std::optional<DraftRecord> record;
      if (write.layer != kHeadLayer && !is_own_layer(write.layer)) {
        TRY(auto found, draft(id, DraftId(write.layer)));
        record = std::move(found);
      }
      TRY_DO(check(id, write, layer));
      open.push_back({std::move(layer), std::move(record)});
    }
    for (const Bytes& chunk : c.chunks)
      if (store_) TRY_DO(store_->put(chunk, chunk::Compress::Auto));
    for (size_t i = 0; i < c.layers.size(); ++i) {
      auto& [layer, record] = open[i];
      const LayerWrite& write = c.layers[i];
      for (const LayerEdit& edit : write.edits) {
        Bytes value = schema::encode_edit(edit.entry, edit.weight);
        layer.active_edits += 1;
        layer.active_bytes += edit.key.size() + value.size();
        out_.put(schema::edit(id, write.layer, layer.active, edit.key), std::move(value));
      }
      if (i == 0) reply_.number = layer.version.value;
      layer.version = reply_.slot;
      save_layer(id, write.layer, layer);
      if (record) {
        record->active = now();
        out_.put(schema::draft(id, record->id), record->encode());
      }
    }
    return {};
  }

  Result<void> apply(const OpenDraft& c) {
    TRY(auto v, volume(c.volume));
    if (c.base) {
      TRY(auto base, reader_.get(schema::release(v->record.id, c.base)));
      TRY_DO(not_trashed(*v, c.base));
      if (!base) return fail(Code::NotFound, fmt::format("volume '{}' has no release {}", c.volume, c.base.value));
      TRY(auto release, ReleaseRecord::decode(*base));
      if (release.root != c.base_root) return fail(Code::Invalid, "base_root is not that release's root");
    } else if (!c.base_root.empty()) {
      return fail(Code::Invalid, "a draft without a base release starts empty");
    }
    Volume& changed = change(c.volume);
    const DraftId id = changed.record.last_draft.next();
    changed.record.last_draft = id;
    save(changed);
    Layer layer;
    layer.base = c.base_root;
    layer.version = reply_.slot;
    save_layer(changed.record.id, id.value, layer);
    const DraftRecord record{.id = id,
                             .base = c.base,
                             .base_root = c.base_root,
                             .author = command_.author,
                             .message = c.message,
                             .opened = now(),
                             .active = now()};
    out_.put(schema::draft(changed.record.id, id), record.encode());
    reply_.number = id.value;
    return {};
  }

  Result<void> apply(const DropDraft& c) {
    TRY(auto v, volume(c.volume));
    TRY(auto record, draft(v->record.id, c.draft));
    TRY(auto layer, schema::read_layer(reader_, v->record.id, c.draft.value));
    drop_draft(v->record.id, c.draft, layer);
    return {};
  }

  Result<void> apply(const ExpireDraft& c) {
    TRY(auto v, volume(c.volume));
    TRY(auto record, draft(v->record.id, c.draft));
    if (record.active > c.unless_active_after)
      return fail(Code::Conflict, fmt::format("draft {} is in use", c.draft.value));
    return apply(DropDraft{c.volume, c.draft});
  }

  Result<void> apply(const BeginSeal& c) {
    TRY(auto v, volume(c.volume));
    TRY(Layer layer, schema::read_layer(reader_, v->record.id, c.layer));
    if (layer.frozen == 0 && layer.active_edits > 0) {
      layer.frozen = layer.active;
      layer.active += 1;
      layer.active_edits = 0;
      layer.active_bytes = 0;
      save_layer(v->record.id, c.layer, layer);
    }
    reply_.number = layer.frozen;
    reply_.root = layer.base;
    return {};
  }

  Result<void> apply(const EndSeal& c) {
    TRY(auto v, volume(c.volume));
    TRY(Layer layer, schema::read_layer(reader_, v->record.id, c.layer));
    if (layer.frozen != c.frozen || c.frozen == 0 || layer.base != c.old_base)
      return fail(Code::Conflict, "another seal or publish moved the base: seal again");
    const Bytes frozen = schema::edits(v->record.id, c.layer, c.frozen);
    out_.erase_range(frozen, schema::end_of(frozen));
    layer.frozen = 0;
    layer.base = c.base;
    save_layer(v->record.id, c.layer, layer);
    return {};
  }

  Result<void> check(const Commit::NewRelease& r, const Volume& v, ReleaseNumber expected) const {
    if (r.record.volume != v.record.id) return fail(Code::Conflict, fmt::format("volume '{}' was replaced", r.volume));
    if (r.record.number != expected)
      return fail(Code::Conflict, fmt::format("release {} of '{}' was made meanwhile", expected.value, r.volume));
    if (r.draft) {
      TRY(auto record, draft(v.record.id, r.draft));
      TRY(auto layer, schema::read_layer(reader_, v.record.id, r.draft.value));
      if (layer.active != r.draft_active || layer.active_edits != 0)
        return fail(Code::Conflict, fmt::format("draft {} was written to while it was published", r.draft.value));
    }
    if (r.head_from) {
      TRY(auto head, schema::read_layer(reader_, v.record.id, kHeadLayer));
      if (head.base != *r.head_from || head.frozen != 0)
        return fail(Code::Conflict, fmt::format("the head of '{}' was sealed meanwhile", r.volume));
    }
    return {};
  }

  Result<void> apply(const Commit& c) {
    // Everything is checked before anything changes: the command is all or nothing.
    std::map<Bytes, ReleaseNumber> next;
    for (const auto& r : c.releases) {
      TRY(auto v, volume(r.volume));
      auto [it, first] = next.try_emplace(r.volume, v->record.last_release.next());
      if (!first) return fail(Code::Invalid, fmt::format("volume '{}' is in one commit twice", r.volume));
      TRY_DO(check(r, *v, it->second));
    }
    std::vector<tree::Root> roots;
    for (const auto& f : c.flips) {
      TRY(auto v, volume(f.volume));
      TRY_DO(validate_label("channel", f.channel));
      if (v->tags.contains(f.channel))
        return fail(Code::Exists, fmt::format("'{}' is a tag of '{}'", f.channel, f.volume));
      const Flip* current = v->channel(f.channel);
      const ReleaseNumber at = current ? current->release : ReleaseNumber();
      if (f.expected && *f.expected != at)
        return fail(Code::Conflict, fmt::format("channel '{}' of '{}' is at release {}, not {}", f.channel, f.volume,
                                                at.value, f.expected->value));
      tree::Root root;
      if (auto made = next.find(f.volume); made != next.end() && made->second == f.release) {
        root = std::ranges::find(c.releases, f.volume, &Commit::NewRelease::volume)->record.root;
      } else if (f.release) {
        TRY(auto bytes, reader_.get(schema::release(v->record.id, f.release)));
        if (!bytes)
          return fail(Code::NotFound, fmt::format("volume '{}' has no release {}", f.volume, f.release.value));
        TRY_DO(not_trashed(*v, f.release));
        TRY(auto release, ReleaseRecord::decode(*bytes));
        root = release.root;
      } else if (!current) {
        return fail(Code::NotFound, fmt::format("volume '{}' has no channel '{}'", f.volume, f.channel));
      }
      roots.push_back(root);
    }
    for (const auto& r : c.releases) {
      Volume& v = change(r.volume);
      TRY_DO(add_release(v, r.record));
      if (r.draft) {
        TRY(auto layer, schema::read_layer(reader_, v.record.id, r.draft.value));
        drop_draft(v.record.id, r.draft, layer);
      }
      if (r.head_from && *r.head_from != r.head_to) {
        TRY(auto head, schema::read_layer(reader_, v.record.id, kHeadLayer));
        head.base = r.head_to;
        head.version = reply_.slot;
        save_layer(v.record.id, kHeadLayer, head);
      }
      save(v);
    }
    for (size_t i = 0; i < c.flips.size(); ++i) {
      Volume& v = change(c.flips[i].volume);
      TRY_DO(flip(v, c.flips[i].channel, c.flips[i].release, roots[i]));
      save(v);
    }
    return {};
  }

  Result<void> apply(const SetTag& c) {
    TRY(auto v, volume(c.volume));
    TRY_DO(validate_label("tag", c.tag));
    if (v->channels.contains(c.tag))
      return fail(Code::Exists, fmt::format("'{}' is a channel of '{}'", c.tag, c.volume));
    Volume& changed = change(c.volume);
    if (!c.release) {
      if (changed.tags.erase(c.tag) == 0) return fail(Code::NotFound, fmt::format("no tag '{}'", c.tag));
      out_.erase(schema::tag(changed.record.id, c.tag));
      return {};
    }
    TRY(auto release, reader_.get(schema::release(v->record.id, c.release)));
    if (!release) return fail(Code::NotFound, fmt::format("volume '{}' has no release {}", c.volume, c.release.value));
    TRY_DO(not_trashed(*v, c.release));
    Bytes bytes;
    Encoder(bytes).varint(c.release.value);
    out_.put(schema::tag(changed.record.id, c.tag), std::move(bytes));
    changed.tags[c.tag] = c.release;
    return {};
  }

  Result<void> apply(const SetHold& c) {
    TRY(auto v, volume(c.volume));
    TRY_DO(validate_label("hold", c.name));
    const Bytes key = schema::hold(v->record.id, c.release, c.name);
    if (c.action == SetHold::Action::Remove) {
      TRY(auto held, reader_.get(key));
      if (!held) return fail(Code::NotFound, fmt::format("release {} has no hold '{}'", c.release.value, c.name));
      out_.erase(key);
      return {};
    }
    TRY(auto release, reader_.get(schema::release(v->record.id, c.release)));
    if (!release) return fail(Code::NotFound, fmt::format("volume '{}' has no release {}", c.volume, c.release.value));
    TRY_DO(not_trashed(*v, c.release));
    Bytes bytes;
    Encoder encoder(bytes);
    encoder.svarint(now().value);
    encoder.bytes(c.reason);
    out_.put(key, std::move(bytes));
    return {};
  }

  Result<void> not_trashed(const Volume& v, ReleaseNumber release) const {
    if (!v.trashed.contains(release)) return {};
    return fail(Code::NotFound,
                fmt::format("release {} of '{}' is in the trash: restore it first", release.value, v.record.name));
  }

  // Whether anything but a policy keeps a release: the words for it, or nothing.
  Result<std::optional<Bytes>> kept_by(const Volume& v, ReleaseNumber release) const {
    for (const auto& [name, flips] : v.channels) {
      if (flips->back().release == release) return fmt::format("channel '{}' is at it", name);
      const int64_t horizon = now().value - static_cast<int64_t>(v.record.settings.grace_seconds) * 1'000'000;
      for (size_t i = flips->size() - 1; i-- > 0 && (*flips)[i + 1].at.value >= horizon;)
        if ((*flips)[i].release == release) return fmt::format("it is in grace on channel '{}'", name);
    }
    for (const auto& [name, number] : v.tags)
      if (number == release) return fmt::format("tag '{}' names it", name);
    const Bytes holds = schema::hold(v.record.id, release, "");
    auto hold = reader_.iterate(holds, schema::end_of(holds));
    if (hold->valid()) return fmt::format("hold '{}' is on it", hold->key().substr(holds.size()));
    TRY_DO(hold->status());
    const Bytes drafts = schema::draft(v.record.id, DraftId()).substr(0, 9);
    auto row = reader_.iterate(drafts, schema::end_of(drafts));
    for (; row->valid(); row->next()) {
      TRY(const auto record, DraftRecord::decode(row->value()));
      if (record.base == release) return fmt::format("draft {} started from it", record.id.value);
    }
    TRY_DO(row->status());
    return std::optional<Bytes>();
  }

  Result<void> apply(const TrashReleases& c) {
    TRY(auto v, volume(c.volume));
    for (ReleaseNumber release : c.releases) {
      TRY(auto record, reader_.get(schema::release(v->record.id, release)));
      if (!record) return fail(Code::NotFound, fmt::format("volume '{}' has no release {}", c.volume, release.value));
      TRY_DO(not_trashed(*v, release));
      TRY(auto keeper, kept_by(*v, release));
      if (keeper)
        return fail(Code::Conflict, fmt::format("release {} of '{}' stays: {}", release.value, c.volume, *keeper));
    }
    Volume& changed = change(c.volume);
    for (ReleaseNumber release : c.releases) {
      Bytes bytes;
      Encoder(bytes).svarint(now().value);
      out_.put(schema::trashed(changed.record.id, release), std::move(bytes));
      changed.trashed[release] = now();
    }
    return {};
  }

  Result<void> apply(const RestoreRelease& c) {
    TRY(auto v, volume(c.volume));
    if (!v->trashed.contains(c.release))
      return fail(Code::NotFound, fmt::format("release {} of '{}' is not in the trash", c.release.value, c.volume));
    Volume& changed = change(c.volume);
    changed.trashed.erase(c.release);
    out_.erase(schema::trashed(changed.record.id, c.release));
    return {};
  }

  Result<void> apply(const PurgeReleases& c) {
    TRY(auto v, volume(c.volume));
    Volume& changed = change(c.volume);
    for (ReleaseNumber release : c.releases) {
      if (changed.trashed.erase(release) == 0) continue;
      out_.erase(schema::trashed(changed.record.id, release));
      out_.erase(schema::release(changed.record.id, release));
    }
    return {};
  }

  Result<void> apply(const ChangeDocument& c) {
    TRY(auto v, volume(c.volume));
    constexpr size_t kDocumentBytesMax = 128u << 10;
    if (c.document && c.document->size() > kDocumentBytesMax)
      return fail(Code::Invalid,
                  fmt::format("'{}' is {} bytes, limit {}", c.name, c.document->size(), kDocumentBytesMax));
    Volume& changed = change(c.volume);
    if (c.document) {
      changed.record.documents[c.name] = *c.document;
    } else {
      changed.record.documents.erase(c.name);
    }
    save(changed);
    return {};
  }

  Result<void> apply(const PutKey& c) {
    if (c.key.id.empty()) return fail(Code::Invalid, "access key without an id");
    out_.put(schema::access_key(c.key.id), c.key.encode());
    after_.keys.change()[c.key.id] = std::make_shared<const AccessKey>(c.key);
    return {};
  }

  Result<void> apply(const RemoveKey& c) {
    if (!after_.keys->contains(c.id)) return fail(Code::NotFound, fmt::format("no access key '{}'", printable(c.id)));
    after_.keys.change().erase(c.id);
    out_.erase(schema::access_key(c.id));
    return {};
  }

  const Command& command_;
  const replica::Reader& reader_;
  replica::Batch& out_;
  const State& before_;
  uint64_t& last_volume_;
  State& after_;
  chunk::ChunkStore* const store_;
  const uint8_t group_;
  Reply reply_;
};

Result<Bytes> Machine::apply(Slot slot, ByteView encoded, const replica::Reader& reader, replica::Batch& out) {
  TRY(const Command command, Command::decode(encoded));
  next_ = std::make_shared<State>(*state_);
  next_last_volume_ = last_volume_;
  const Bytes reply_key =
      command.idempotency_key.empty()
          ? Bytes()
          : schema::reply(command.author, static_cast<uint8_t>(command.body.index()), command.idempotency_key);
  if (!reply_key.empty()) {
    TRY(auto known, reader.get(reply_key));
    if (known) {
      next_->slot = slot;
      return *std::move(known);
    }
  }
  Applying applying(slot, command, reader, out, *state_, next_last_volume_, *next_, store_, group_);
  auto result = applying.run();
  Reply reply;
  if (result) {
    reply = *std::move(result);
  } else {
    // Refusals are answers. Corruption or a failing device is not: this replica cannot know what the others answered.
    if (result.error().code == Code::Corrupt || result.error().code == Code::Io)
      return std::unexpected(std::move(result).error());
    reply.refused = std::move(result).error();
    reply.time = applying.now();
    reply.slot = slot;
    next_ = std::make_shared<State>(*state_);
    next_last_volume_ = last_volume_;
    out.clear();
  }
  next_->slot = slot;
  next_->time = applying.now();
  if (!reply.refused) {
    if (auto done = audited(command, reply)) {
      out.put(schema::audit(slot), AuditRecord{slot, next_->time, command.author, done->action, done->object}.encode());
      auto oldest = reader.iterate("A", schema::end_of("A"));
      for (int i = 0; i < kRepliesDroppedPerCommand && oldest->valid(); ++i, oldest->next()) {
        TRY(const auto record, AuditRecord::decode(slot, oldest->value()));
        if (record.time.value > next_->time.value - kAuditAgeMaxMicros) break;
        out.erase(Bytes(oldest->key()));
      }
      TRY_DO(oldest->status());
    }
  }
  Bytes meta;
  Encoder encoder(meta);
  encoder.varint(next_last_volume_);
  encoder.svarint(next_->time.value);
  out.put(schema::meta(), std::move(meta));
  const Bytes bytes = reply.encode();
  if (!reply_key.empty() && !reply.refused) {
    out.put(reply_key, bytes);
    out.put(schema::reply_age(next_->time, reply_key), {});
    auto oldest = reader.iterate("J", schema::end_of("J"));
    for (int i = 0; i < kRepliesDroppedPerCommand && oldest->valid(); ++i, oldest->next()) {
      const auto age = static_cast<int64_t>(schema::from_big_endian(oldest->key().substr(1)));
      if (age > next_->time.value - kReplyAgeMaxMicros) break;
      out.erase(Bytes(oldest->key().substr(9)));
      out.erase(Bytes(oldest->key()));
    }
    TRY_DO(oldest->status());
  }
  return bytes;
}

Result<void> Machine::persist() { return store_ ? store_->sync() : Result<void>(); }

void Machine::applied(Slot) {
  state_ = std::move(next_);
  last_volume_ = next_last_volume_;
  publish();
}

void Machine::publish() {
  published_.publish(state_);
  if (catalog_) catalog_->publish(group_, state_);
}

Result<void> Machine::load(const replica::Reader& database) {
  auto state = std::make_shared<State>();
  TRY(auto meta, database.get(schema::meta()));
  if (meta) {
    Decoder in(*meta);
    last_volume_ = in.varint();
    state->time = UnixMicros{in.svarint()};
    if (!in.done()) return fail(Code::Corrupt, "meta record: malformed");
  }
  Volumes found;
  auto volumes = database.iterate("V", schema::end_of("V"));
  for (; volumes->valid(); volumes->next()) {
    auto v = std::make_shared<Volume>();
    TRY(v->record, VolumeRecord::decode(volumes->value()));
    for (const auto& [channel, current] : v->record.channels) {
      const Bytes prefix = schema::flips(v->record.id, channel);
      auto history = database.iterate(prefix, schema::end_of(prefix));
      std::vector<Flip> flips;
      for (; history->valid() && flips.size() < kFlipsHeldMax; history->next()) {
        Decoder in(history->value());
        Flip flip = Flip::decode(in);
        if (!in.done()) return fail(Code::Corrupt, fmt::format("flip record of '{}': malformed", v->record.name));
        if (!flip.release) break;  // before this the channel did not exist
        flips.push_back(std::move(flip));
      }
      TRY_DO(history->status());
      std::ranges::reverse(flips);
      if (flips.empty() || flips.back() != current)
        return fail(Code::Corrupt, fmt::format("channel '{}' of '{}' has no flip record", channel, v->record.name));
      trim_flips(flips, v->record.settings, state->time);
      v->channels[channel] = std::make_shared<const std::vector<Flip>>(std::move(flips));
    }
    const Bytes tags = schema::tag(v->record.id, "");
    auto tag = database.iterate(tags, schema::end_of(tags));
    for (; tag->valid(); tag->next()) {
      Decoder in(tag->value());
      v->tags[Bytes(tag->key().substr(9))] = ReleaseNumber(in.varint());
    }
    TRY_DO(tag->status());
    const Bytes trash = schema::trashed(v->record.id, ReleaseNumber()).substr(0, 9);
    auto trashed = database.iterate(trash, schema::end_of(trash));
    for (; trashed->valid(); trashed->next()) {
      Decoder in(trashed->value());
      v->trashed[ReleaseNumber(schema::from_big_endian(trashed->key().substr(9)))] = UnixMicros{in.svarint()};
    }
    TRY_DO(trashed->status());
    Bytes name = v->record.name;
    found.insert_or_assign(std::move(name), std::move(v));
  }
  TRY_DO(volumes->status());
  state->volumes.set(std::move(found));
  Keys known;
  auto keys = database.iterate("K", schema::end_of("K"));
  for (; keys->valid(); keys->next()) {
    TRY(auto key, AccessKey::decode(keys->value()));
    Bytes id = key.id;
    known[std::move(id)] = std::make_shared<const AccessKey>(std::move(key));
  }
  TRY_DO(keys->status());
  state->keys.set(std::move(known));
  state_ = std::move(state);
  publish();
  return {};
}

}  // namespace hailstone::volume
