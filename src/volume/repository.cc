#include "volume/repository.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <functional>
#include <future>
#include <type_traits>

#include "base/codec.h"
#include "volume/schema.h"

namespace hailstone::volume {
namespace {

constexpr int kWriteAttempts = 64;  // against Conflict from concurrent writers of the same keys

bool matches(const std::vector<Bytes>& etags, const std::optional<Entry>& entry) {
  if (!entry) return false;
  const Bytes own = etag_of(*entry);
  return std::ranges::any_of(etags, [&](const Bytes& etag) { return etag == "*" || etag == own; });
}

}  // namespace

Bytes etag_of(const Entry& entry) { return entry.etag.empty() ? entry.content.sha256.hex() : entry.etag; }

Repository::Repository(std::vector<Shard> shards, uint8_t first, const PublishedState& state, chunk::ChunkStore& chunks,
                       tree::NodeStore& nodes, const Clock& clock)
    : shards_(std::move(shards)), first_(first), state_(state), chunks_(chunks), nodes_(nodes), clock_(clock) {}

const Repository::Shard& Repository::shard(ByteView name) const {
  if (const auto found = state_.load()->find(name)) return shard(found->record.id);
  return shards_[home_group(name, 0, shards_.size())];
}

// A command that names several volumes names those of one group: the caller sees to it.
const Repository::Shard& Repository::shard(const Body& body) const {
  return std::visit(
      [this]<class T>(const T& c) -> const Shard& {
        if constexpr (requires { c.key.id; } || std::is_same_v<T, RemoveKey>) {
          return shards_.front();
        } else if constexpr (requires { c.name; } && !requires { c.volume; }) {
          return shard(ByteView(c.name));
        } else if constexpr (std::is_same_v<T, Commit>) {
          if (!c.releases.empty()) return shard(ByteView(c.releases.front().volume));
          return c.flips.empty() ? shards_.front() : shard(ByteView(c.flips.front().volume));
        } else {
          return shard(ByteView(c.volume));
        }
      },
      body);
}

bool Repository::settled(std::optional<ByteView> volume) const {
  if (volume) return shard(*volume).group->may_read();
  return std::ranges::all_of(shards_, [](const Shard& shard) { return shard.group->may_read(); });
}

void Repository::settle(std::optional<ByteView> volume, std::function<void(Result<void>)> done) const {
  if (volume) return shard(*volume).group->read(std::move(done));
  struct Waiting {
    std::atomic<size_t> left;
    std::mutex mutex;  // between the groups' threads; guards the one below
    Result<void> worst;
    std::function<void(Result<void>)> done;
  };
  auto waiting = std::make_shared<Waiting>();
  waiting->left = shards_.size();
  waiting->done = std::move(done);
  for (const Shard& shard : shards_)
    shard.group->read([waiting](Result<void> reached) {
      if (!reached) {
        const std::scoped_lock lock(waiting->mutex);
        waiting->worst = std::move(reached);
      }
      if (--waiting->left == 0) waiting->done(std::move(waiting->worst));
    });
}

Result<void> Repository::settle_and_wait(std::optional<ByteView> volume) const {
  if (settled(volume)) return {};
  std::promise<Result<void>> reached;
  auto answered = reached.get_future();
  settle(volume, [&](Result<void> done) { reached.set_value(std::move(done)); });
  return answered.get();
}

Result<std::shared_ptr<const Volume>> Repository::volume(std::string_view name) const {
  auto found = state_.load()->find(name);
  if (!found) return fail(Code::NotFound, fmt::format("no volume '{}'", printable(name)));
  return found;
}

Result<Target> Repository::resolve(std::string_view text) const {
  Target target;
  target.text = text;
  const size_t at = text.find('@');
  TRY(target.volume, volume(text.substr(0, at)));
  if (at == text.npos) return target;
  const std::string_view name = text.substr(at + 1);
  const auto number = [](std::string_view digits) -> std::optional<uint64_t> {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size() || value == 0) return std::nullopt;
    return value;
  };
  if (name.starts_with("draft-")) {
    const auto id = number(name.substr(6));
    if (!id) return fail(Code::Invalid, fmt::format("'{}' is not a draft: write draft-7", printable(text)));
    TRY(auto record, draft(*target.volume, DraftId(*id)));
    target.layer = *id;
    return target;
  }
  if (const auto release_number = number(name)) {
    TRY(auto record, release(*target.volume, ReleaseNumber(*release_number)));
    target.release = record.number;
    return target;
  }
  if (const Flip* flip = target.volume->channel(name)) {
    target.release = flip->release;
    return target;
  }
  if (const auto tag = target.volume->tags.find(name); tag != target.volume->tags.end()) {
    target.release = tag->second;
    return target;
  }
  return fail(Code::NotFound,
              fmt::format("volume '{}' has no channel or tag '{}'", target.volume->record.name, printable(name)));
}

Result<std::unique_ptr<Contents>> Repository::open(const Target& target) const {
  if (!target.release) return open_layer(*target.volume, target.layer);
  TRY(auto record, release(*target.volume, *target.release));
  return open_tree(nodes_, record.root);
}

Result<Bytes> Repository::token(const Target& target) const {
  if (!target.release) return layer_token(database(*target.volume), target.volume->record.id, target.layer);
  TRY(auto record, release(*target.volume, *target.release));
  return record.root.id.hex().substr(0, 32);
}

Result<ReleaseRecord> Repository::release(const Volume& volume, ReleaseNumber number) const {
  if (volume.trashed.contains(number))
    return fail(Code::NotFound, fmt::format("release {} of '{}' is in the trash", number.value, volume.record.name));
  TRY(auto bytes, database(volume).get(schema::release(volume.record.id, number)));
  if (!bytes)
    return fail(Code::NotFound, fmt::format("volume '{}' has no release {}", volume.record.name, number.value));
  return ReleaseRecord::decode(*bytes);
}

Result<std::vector<ReleaseRecord>> Repository::releases(const Volume& volume, ReleaseNumber before,
                                                        size_t limit) const {
  std::vector<ReleaseRecord> out;
  uint64_t number = before ? before.value - 1 : volume.record.last_release.value;
  for (; number > 0 && out.size() < limit; --number) {
    auto record = release(volume, ReleaseNumber(number));
    if (!record && record.error().code == Code::NotFound) continue;  // collected
    if (!record) return std::unexpected(std::move(record).error());
    out.push_back(*std::move(record));
  }
  return out;
}

Result<DraftRecord> Repository::draft(const Volume& volume, DraftId id) const {
  TRY(auto bytes, database(volume).get(schema::draft(volume.record.id, id)));
  if (!bytes)
    return fail(Code::NotFound, fmt::format("volume '{}' has no draft {} (published, dropped or expired)",
                                            volume.record.name, id.value));
  return DraftRecord::decode(*bytes);
}

Result<std::vector<DraftRecord>> Repository::drafts(const Volume& volume) const {
  std::vector<DraftRecord> out;
  const Bytes begin = schema::draft(volume.record.id, DraftId(0));
  auto rows = database(volume).iterate(begin, schema::draft(volume.record.id, DraftId(UINT64_MAX)));
  for (; rows->valid(); rows->next()) {
    TRY(auto record, DraftRecord::decode(rows->value()));
    out.push_back(std::move(record));
  }
  TRY_DO(rows->status());
  return out;
}

Result<std::vector<Hold>> Repository::holds(const Volume& volume, ReleaseNumber number) const {
  std::vector<Hold> out;
  const Bytes prefix = schema::hold(volume.record.id, number, "");
  auto rows = database(volume).iterate(prefix, schema::end_of(prefix));
  for (; rows->valid(); rows->next()) {
    Decoder in(rows->value());
    Hold hold;
    hold.name = rows->key().substr(prefix.size());
    hold.since = UnixMicros{in.svarint()};
    hold.reason = in.bytes();
    if (!in.done()) return fail(Code::Corrupt, "hold record: malformed");
    out.push_back(std::move(hold));
  }
  TRY_DO(rows->status());
  return out;
}

Result<RetentionInput> Repository::retention_input(const Volume& volume) const {
  RetentionInput out{.volume = volume, .releases = {}, .held = {}, .draft_bases = {}, .now = clock_.wall()};
  const VolumeId id = volume.record.id;
  const Bytes releases = schema::release(id, ReleaseNumber());
  auto rows = database(volume).iterate(releases, schema::end_of(ByteView(releases).substr(0, 9)));
  for (; rows->valid(); rows->next()) {
    TRY(const auto record, ReleaseRecord::decode(rows->value()));
    if (!volume.trashed.contains(record.number)) out.releases.push_back({record.number, record.time});
  }
  TRY_DO(rows->status());
  const Bytes holds = schema::hold(id, ReleaseNumber(), "").substr(0, 9);
  auto held = database(volume).iterate(holds, schema::end_of(holds));
  for (; held->valid(); held->next()) out.held.insert(ReleaseNumber(schema::from_big_endian(held->key().substr(9, 8))));
  TRY_DO(held->status());
  TRY(const auto open_drafts, drafts(volume));
  for (const DraftRecord& draft : open_drafts) out.draft_bases.insert(draft.base);
  return out;
}

Result<Layer> Repository::layer(const Volume& volume, uint64_t number) const {
  return schema::read_layer(database(volume), volume.record.id, number);
}

Result<std::unique_ptr<Contents>> Repository::open_layer(const Volume& volume, uint64_t layer) const {
  return volume::open_layer(nodes_, database(volume).snapshot(), volume.record.id, layer);
}

Result<std::vector<AuditRecord>> Repository::audit(UnixMicros before, size_t limit) const {
  std::vector<AuditRecord> out;
  for (const Shard& shard : shards_) {
    // Slots are sparse here: a window is widened until it holds enough, or all.
    std::vector<AuditRecord> found;
    const uint64_t newest = shard.group->applied_slot().value + 1;
    for (uint64_t width = 256;; width *= 4) {
      found.clear();
      const uint64_t begin = newest > width ? newest - width : 0;
      auto rows = shard.database->iterate(schema::audit(Slot(begin)), schema::audit(Slot(UINT64_MAX)));
      for (; rows->valid(); rows->next()) {
        TRY(auto record, AuditRecord::decode(Slot(schema::from_big_endian(rows->key().substr(1))), rows->value()));
        if (before.value == 0 || record.time < before) found.push_back(std::move(record));
      }
      TRY_DO(rows->status());
      if (begin == 0 || found.size() > limit) break;
    }
    std::ranges::move(found, std::back_inserter(out));
  }
  std::ranges::sort(out, std::greater(), &AuditRecord::time);
  if (out.size() > limit) {
    size_t end = limit;
    while (end < out.size() && out[end].time == out[limit - 1].time) ++end;
    out.resize(end);
  }
  return out;
}

Result<std::vector<Flip>> Repository::newest_flips(const Volume& volume, std::string_view channel, size_t limit) const {
  std::vector<Flip> out;
  const Bytes prefix = schema::flips(volume.record.id, channel);
  auto rows = database(volume).iterate(prefix, schema::end_of(prefix));
  for (; rows->valid() && out.size() < limit; rows->next()) {
    Decoder in(rows->value());
    out.push_back(Flip::decode(in));
    if (!in.done()) return fail(Code::Corrupt, "flip record: malformed");
  }
  TRY_DO(rows->status());
  std::ranges::reverse(out);
  return out;
}

Result<Flip> Repository::flip_at(const Volume& volume, std::string_view channel, UnixMicros time) const {
  const Bytes prefix = schema::flips(volume.record.id, channel);
  auto rows = database(volume).iterate(prefix, schema::end_of(prefix));
  for (; rows->valid(); rows->next()) {
    Decoder in(rows->value());
    Flip flip = Flip::decode(in);
    if (!in.done()) return fail(Code::Corrupt, "flip record: malformed");
    if (flip.at <= time && flip.release) return flip;
    if (flip.at <= time) break;
  }
  TRY_DO(rows->status());
  return fail(Code::NotFound, fmt::format("channel '{}' of '{}' had no release at {}", printable(channel),
                                          volume.record.name, format_iso8601(time)));
}

Result<std::optional<Reply>> Repository::earlier_reply(const Caller& caller, const Body& body) const {
  if (caller.idempotency_key.empty()) return std::optional<Reply>();
  TRY(auto bytes, shard(body).database->get(
                      schema::reply(caller.name, static_cast<uint8_t>(body.index()), caller.idempotency_key)));
  if (!bytes) return std::optional<Reply>();
  TRY(auto reply, Reply::decode(*bytes));
  return std::optional<Reply>(std::move(reply));
}

Result<Reply> Repository::submit(const Caller& caller, Body body) {
  const Shard& where = shard(body);
  const Command command{
      .time = clock_.wall(), .author = caller.name, .idempotency_key = caller.idempotency_key, .body = std::move(body)};
  TRY(auto bytes, where.group->propose_and_wait(command.encode()));
  TRY(auto reply, Reply::decode(bytes));
  if (reply.refused) return std::unexpected(*std::move(reply.refused));
  return reply;
}

void Repository::submit_async(const Caller& caller, Body body, Replied replied) {
  const Shard& where = shard(body);
  const Command command{
      .time = clock_.wall(), .author = caller.name, .idempotency_key = caller.idempotency_key, .body = std::move(body)};
  where.group->propose(command.encode(), [replied = std::move(replied)](Result<Bytes> bytes) {
    if (!bytes) return replied(std::unexpected(std::move(bytes).error()));
    auto reply = Reply::decode(*bytes);
    if (reply && reply->refused) return replied(std::unexpected(*std::move(reply->refused)));
    replied(std::move(reply));
  });
}

Transaction::Transaction(tree::NodeStore& nodes, std::shared_ptr<replica::Reader> snapshot, const Volume& volume)
    : nodes_(nodes), snapshot_(std::move(snapshot)), volume_(volume.record.id) {
  write_.volume = volume.record.name;
}

Transaction::Writing& Transaction::writing(uint64_t layer) {
  for (Writing& writing : writing_)
    if (writing.write.layer == layer) return writing;
  return writing_.emplace_back(Writing{.write = {.layer = layer, .seen = {}, .seen_base = {}, .edits = {}}});
}

Write Transaction::take() {
  for (Writing& writing : writing_) write_.layers.push_back(std::move(writing.write));
  writing_.clear();
  return std::move(write_);
}

Result<Transaction::Open*> Transaction::open(uint64_t layer) {
  const auto known = layers_.find(layer);
  if (known != layers_.end()) return &known->second;
  Open made;
  TRY(made.record, schema::read_layer(*snapshot_, volume_, layer));
  made.contents = open_layer(nodes_, snapshot_, volume_, layer, made.record);
  return &layers_.emplace(layer, std::move(made)).first->second;
}

Result<std::optional<Entry>> Transaction::get(uint64_t layer, ByteView key) {
  TRY(Open * from, open(layer));
  TRY(auto raw, schema::newest_edit(*snapshot_, volume_, layer, from->record, key));
  Writing& to = writing(layer);
  to.write.seen_base = from->record.base;
  if (to.seen.emplace(key).second)
    to.write.seen.push_back({Bytes(key), raw ? std::optional(schema::delta_hash(*raw)) : std::nullopt});
  return from->contents->get(key);
}

Result<std::unique_ptr<ContentsCursor>> Transaction::cursor(uint64_t layer) {
  TRY(Open * from, open(layer));
  return from->contents->cursor();
}

void Transaction::edit(uint64_t layer, LayerEdit edit) {
  Writing& to = writing(layer);
  const auto [at, first] = to.edits.try_emplace(edit.key, to.write.edits.size());
  if (first) {
    to.write.edits.push_back(std::move(edit));
  } else {
    to.write.edits[at->second] = std::move(edit);
  }
}

Result<void> Transaction::put(uint64_t layer, ByteView key, const Entry& entry) {
  if (!is_own_layer(layer)) TRY_DO(validate_key(key));
  auto encoded = entry.encode();
  if (!encoded) return std::unexpected(std::move(encoded).error().within(fmt::format("key '{}'", printable(key))));
  edit(layer, {Bytes(key), *std::move(encoded), entry.content.bytes});
  return {};
}

void Transaction::remove(uint64_t layer, ByteView key) { edit(layer, {Bytes(key), std::nullopt, 0}); }

Result<Reply> Repository::transact(const Caller& caller, const Volume& volume,
                                   const std::function<Result<void>(Transaction&)>& body) {
  for (int attempt = 0;; ++attempt) {
    Transaction transaction(nodes_, database(volume).snapshot(), volume);
    TRY_DO(body(transaction));
    auto write = transaction.take();
    const bool conditional = std::ranges::any_of(write.layers, [](const auto& w) { return !w.seen.empty(); });
    if (std::ranges::all_of(write.layers, [](const auto& w) { return w.edits.empty(); })) return Reply{};
    auto reply = submit(caller, std::move(write));
    if (!reply && reply.error().code == Code::Conflict && conditional && attempt < kWriteAttempts) continue;
    return reply;
  }
}

Result<Written> Repository::write(const Caller& caller, const Target& target, const std::vector<Condition>& conditions,
                                  const std::vector<Put>& puts) {
  if (!target.writable())
    return fail(Code::Denied,
                fmt::format("'{}' is a release and can't be written: write to the head or to a draft", target.text));
  TRY(auto reply, transact(caller, *target.volume, [&](Transaction& transaction) -> Result<void> {
        for (const Condition& condition : conditions) {
          TRY(auto entry, transaction.get(target.layer, condition.key));
          if (condition.if_match && !matches(*condition.if_match, entry))
            return fail(Code::Conflict, fmt::format("key '{}' does not match If-Match", printable(condition.key)));
          if (condition.if_none_match && matches(*condition.if_none_match, entry))
            return fail(Code::Conflict, fmt::format("key '{}' matches If-None-Match", printable(condition.key)));
        }
        for (const Put& put : puts) {
          if (put.entry) {
            TRY_DO(transaction.put(target.layer, put.key, *put.entry));
          } else {
            TRY_DO(validate_key(put.key));
            transaction.remove(target.layer, put.key);
          }
        }
        return {};
      }));
  const VolumeId id = target.volume->record.id;
  if (!reply.slot) {  // there was nothing to write
    TRY(auto now, token(target));
    return Written{{}, now, now};
  }
  return Written{reply.slot, layer_token(id, target.layer, reply.slot),
                 layer_token(id, target.layer, Slot(reply.number))};
}

Result<Repository::Sealed> Repository::seal(const Volume& volume, uint64_t number) {
  const Caller system{"system", {}};
  const auto session = chunks_.begin_writes();  // its nodes are named by nothing before EndSeal is applied
  // Twice, if a seal that was cut short had left a frozen generation: its cut lies before this call.
  for (int pass = 0; pass < 3; ++pass) {
    TRY(auto before, layer(volume, number));
    if (before.frozen == 0 && before.active_edits == 0) return Sealed{before.base, before.active};
    const bool resumed = before.frozen != 0;
    TRY(auto begun, submit(system, BeginSeal{volume.record.name, number}));
    if (begun.number == 0) {
      TRY(auto now, layer(volume, number));
      return Sealed{now.base, now.active};
    }
    auto snapshot = database(volume).snapshot();
    TRY(auto folded, fold(nodes_, *snapshot, volume.record.id, number, begun.number, begun.root));
    TRY_DO(chunks_.sync());
    TRY(auto ended, submit(system, EndSeal{volume.record.name, number, begun.number, begun.root, folded}));
    if (!resumed) return Sealed{folded, begun.number + 1};
  }
  return fail(Code::Conflict, fmt::format("layer {} of '{}' is being sealed elsewhere", number, volume.record.name));
}

Result<std::vector<Repository::Due>> Repository::seal_due(const SealOptions& options) const {
  std::vector<Due> out;
  const auto state = state_.load();
  for (const auto& [name, volume] : *state->volumes) {
    const Bytes prefix = schema::layer(volume->record.id, 0).substr(0, 9);
    auto rows = database(*volume).iterate(prefix, schema::end_of(prefix));
    for (; rows->valid(); rows->next()) {
      Decoder in(rows->value());
      const Layer layer = Layer::decode(in);
      if (layer.frozen != 0 || layer.active_edits >= options.edits || layer.active_bytes >= options.bytes)
        out.push_back({name, schema::from_big_endian(rows->key().substr(9))});
    }
    TRY_DO(rows->status());
  }
  return out;
}

std::unique_lock<std::mutex> Repository::lock_volume(VolumeId id) {
  std::mutex* lock = nullptr;
  {
    std::scoped_lock guard(mutex_);
    auto& held = volume_locks_[id];
    if (!held) held = std::make_unique<std::mutex>();
    lock = held.get();
  }
  return std::unique_lock(*lock);
}

}  // namespace hailstone::volume
