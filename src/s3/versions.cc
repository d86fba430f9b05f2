#include "s3/versions.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "volume/schema.h"

namespace hailstone::s3 {
namespace {

using s3proto::Versioning;
using volume::Entry;
using volume::kHeadLayer;
using volume::kVersionsLayer;
using volume::Transaction;

volume::ObjectFacts& facts_of(Entry& entry) {
  if (!entry.object) entry.object.emplace();
  // An entry from before versions were kept: its place in the order is its time.
  if (entry.object->version_order == 0) entry.object->version_order = entry.modified_ns / 1000;
  return *entry.object;
}

Bytes id_of(int64_t order) { return fmt::format("{:016x}", ~static_cast<uint64_t>(order)); }

Bytes prefix_of(ByteView key) { return Bytes(key) + Bytes(1, '\0'); }

Result<std::optional<FoundVersion>> first_former(Transaction& transaction, ByteView key,
                                                 const std::function<bool(const Entry&)>& wanted) {
  TRY(auto cursor, transaction.cursor(kVersionsLayer));
  const Bytes prefix = prefix_of(key);
  TRY_DO(cursor->seek(prefix));
  for (; cursor->valid() && cursor->key().starts_with(prefix);) {
    TRY(auto entry, Entry::decode(cursor->value()));
    if (wanted(entry)) return FoundVersion{std::move(entry), false, Bytes(cursor->key())};
    TRY_DO(cursor->next());
  }
  return std::optional<FoundVersion>();
}

Result<void> remove_null_version(Transaction& transaction, ByteView key) {
  TRY(auto found,
      first_former(transaction, key, [](const Entry& e) { return !e.object || e.object->version.empty(); }));
  if (!found) return {};
  TRY_DO(transaction.get(kVersionsLayer, found->key));
  transaction.remove(kVersionsLayer, found->key);
  return {};
}

Result<void> to_former(Transaction& transaction, ByteView key, Entry entry) {
  const int64_t order = facts_of(entry).version_order;
  return transaction.put(kVersionsLayer, version_key(key, order), entry);
}

// Greater than that of any version there is, whatever the clock says.
Result<int64_t> next_order(Transaction& transaction, ByteView key, std::optional<Entry>& current, UnixMicros now) {
  int64_t order = now.value;
  if (current) order = std::max(order, facts_of(*current).version_order + 1);
  TRY(auto former, newest_former(transaction, key));
  if (former) order = std::max(order, facts_of(former->entry).version_order + 1);
  return order;
}

// What is current steps back, or goes where it is the null version that is being replaced.
Result<void> step_back(Transaction& transaction, Versioning versioning, ByteView key, std::optional<Entry> current) {
  const bool replaced = versioning == Versioning::Suspended && current && facts_of(*current).version.empty();
  if (current && !replaced) TRY_DO(to_former(transaction, key, *std::move(current)));
  if (versioning == Versioning::Suspended) TRY_DO(remove_null_version(transaction, key));
  return {};
}

}  // namespace

Bytes version_id(const Entry& entry) {
  if (!entry.object || entry.object->version.empty()) return Bytes(kNullVersion);
  return entry.object->version;
}

Answer<> require_version_id(std::string_view id) {
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (id == kNullVersion || (id.size() == 16 && std::ranges::all_of(id, is_hex))) return {};
  Refused refused(s3proto::ErrorCode::InvalidArgument, "Invalid version id specified");
  refused.with("ArgumentName", "versionId").with("ArgumentValue", printable(id));
  return std::unexpected(std::move(refused));
}

Bytes version_key(ByteView key, int64_t order) {
  return prefix_of(key) + volume::schema::big_endian(~static_cast<uint64_t>(order));
}

ByteView key_of_version(ByteView key) { return key.substr(0, key.size() - std::min<size_t>(9, key.size())); }

Result<std::optional<FoundVersion>> newest_former(Transaction& transaction, ByteView key) {
  return first_former(transaction, key, [](const Entry&) { return true; });
}

Result<Written> put_object(Transaction& transaction, uint64_t layer, Versioning versioning, ByteView key, Entry entry,
                           UnixMicros now) {
  if (layer != kHeadLayer || versioning == Versioning::Never) {
    TRY_DO(transaction.put(layer, key, entry));
    return Written{};
  }
  TRY(auto current, transaction.get(layer, key));
  TRY(const int64_t order, next_order(transaction, key, current, now));
  TRY_DO(step_back(transaction, versioning, key, std::move(current)));
  if (!entry.object) entry.object.emplace();
  entry.object->version_order = order;
  entry.object->version = versioning == Versioning::Enabled ? id_of(order) : Bytes();
  TRY_DO(transaction.put(layer, key, entry));
  return Written{version_id(entry), false};
}

Result<Written> delete_object(Transaction& transaction, uint64_t layer, Versioning versioning, ByteView key,
                              const Bytes& owner, UnixMicros now) {
  if (layer != kHeadLayer || versioning == Versioning::Never) {
    transaction.remove(layer, key);
    return Written{};
  }
  TRY(auto current, transaction.get(layer, key));
  TRY(const int64_t order, next_order(transaction, key, current, now));
  // Where nothing is current, too: a put at the same time saw just that, and must look again to come after the marker.
  transaction.remove(layer, key);
  TRY_DO(step_back(transaction, versioning, key, std::move(current)));
  Entry marker;
  marker.content.sha256 = sha256("");
  marker.modified_ns = now.value * 1000;
  marker.object.emplace();
  marker.object->delete_marker = true;
  marker.object->owner = owner;
  marker.object->version_order = order;
  marker.object->version = versioning == Versioning::Enabled ? id_of(order) : Bytes();
  TRY_DO(transaction.put(kVersionsLayer, version_key(key, order), marker));
  return Written{version_id(marker), true};
}

Result<std::optional<FoundVersion>> find_version(Transaction& transaction, ByteView key, ByteView id) {
  TRY(auto current, transaction.get(kHeadLayer, key));
  if (current && version_id(*current) == id) return FoundVersion{*std::move(current), true, Bytes(key)};
  if (id == kNullVersion)
    return first_former(transaction, key, [](const Entry& e) { return !e.object || e.object->version.empty(); });
  uint64_t inverted = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), inverted, 16);
  if (error != std::errc() || end != id.data() + id.size() || id.size() != 16) return std::optional<FoundVersion>();
  const Bytes place = version_key(key, static_cast<int64_t>(~inverted));
  TRY(auto entry, transaction.get(kVersionsLayer, place));
  if (!entry || version_id(*entry) != id) return std::optional<FoundVersion>();
  return FoundVersion{*std::move(entry), false, place};
}

Result<Written> delete_version(Transaction& transaction, ByteView key, const FoundVersion& version) {
  const bool marker = version.entry.object && version.entry.object->delete_marker;
  TRY(auto newest, newest_former(transaction, key));
  Written written{version_id(version.entry), marker};
  bool current_left = false;
  if (version.current) {
    transaction.remove(kHeadLayer, key);
  } else {
    TRY(auto current, transaction.get(kHeadLayer, key));
    current_left = current.has_value();
    transaction.remove(kVersionsLayer, version.key);
    if (newest && newest->key == version.key) {
      // The one below it becomes the newest.
      newest = std::nullopt;
      TRY(auto cursor, transaction.cursor(kVersionsLayer));
      const Bytes prefix = prefix_of(key);
      TRY_DO(cursor->seek(version.key));
      if (cursor->valid() && cursor->key() == version.key) TRY_DO(cursor->next());
      if (cursor->valid() && cursor->key().starts_with(prefix)) {
        TRY(auto entry, Entry::decode(cursor->value()));
        newest = FoundVersion{std::move(entry), false, Bytes(cursor->key())};
      }
    } else {
      newest = std::nullopt;  // something newer stays: nothing moves up
    }
  }
  if (current_left || !newest || newest->entry.object->delete_marker) return written;
  TRY_DO(transaction.get(kVersionsLayer, newest->key));
  transaction.remove(kVersionsLayer, newest->key);
  TRY_DO(transaction.put(kHeadLayer, key, newest->entry));
  return written;
}

}  // namespace hailstone::s3
