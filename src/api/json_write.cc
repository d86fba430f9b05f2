#include <fmt/format.h>

#include "api/json.h"
#include "base/clock.h"
#include "publish/utf8.h"
#include "volume/repository.h"

namespace hailstone::api {
namespace {

UnixMicros from_nanos(int64_t nanos) { return UnixMicros{nanos / 1000}; }

Json hash_json(const Hash256& hash) { return hash.is_zero() ? Json(nullptr) : Json(hash.hex()); }

std::string_view release_kind_name(volume::ReleaseKind kind) {
  switch (kind) {
    case volume::ReleaseKind::Publish: return "publish";
    case volume::ReleaseKind::Revert: return "revert";
    case volume::ReleaseKind::Clone: return "clone";
  }
  return "unknown";
}

Json posix_json(const volume::Posix& posix) {
  Json out{{"mode", posix.mode}, {"uid", posix.uid}, {"gid", posix.gid}};
  if (posix.device != 0) out["device"] = posix.device;
  if (posix.sparse) out["sparse"] = true;
  if (!posix.link.empty()) put_bytes(out, "link", posix.link);
  if (!posix.xattrs.empty()) {
    Json list = Json::array();
    for (const auto& [name, value] : posix.xattrs) {
      Json xattr{{"value_base64", to_base64(value)}};
      put_bytes(xattr, "name", name);
      list.push_back(std::move(xattr));
    }
    out["xattrs"] = std::move(list);
  }
  return out;
}

}  // namespace

Bytes dump(const Json& value) {
  Bytes out = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  out += '\n';
  return out;
}

void put_bytes(Json& object, std::string_view name, ByteView bytes) {
  if (publish::valid_utf8(bytes)) {
    object[Bytes(name)] = bytes;
  } else {
    object[Bytes(name) + "_base64"] = to_base64(bytes);
  }
}

Json to_json(UnixMicros time) { return format_iso8601(time); }
Json to_json(ReleaseNumber release) { return release ? Json(release.value) : Json(nullptr); }

Json to_json(const volume::Settings& settings) {
  return {{"overlay", settings.overlay},           {"grace_seconds", settings.grace_seconds},
          {"public", settings.public_read},        {"checks", volume::check_mode_name(settings.checks)},
          {"cookie_pin", settings.cookie_pin},     {"chunk_average_bytes", settings.chunk_average_bytes},
          {"compress", settings.compress},         {"keep_releases", settings.keep_releases},
          {"keep_seconds", settings.keep_seconds}, {"trash_seconds", settings.trash_seconds},
          {"description", settings.description}};
}

std::string_view kind_name(volume::Kind kind) {
  switch (kind) {
    case volume::Kind::File: return "file";
    case volume::Kind::Symlink: return "symlink";
    case volume::Kind::Directory: return "directory";
    case volume::Kind::Fifo: return "fifo";
    case volume::Kind::CharDevice: return "char_device";
    case volume::Kind::BlockDevice: return "block_device";
  }
  return "unknown";
}

Json to_json(const volume::Listed& listed) {
  const volume::Entry& entry = listed.entry;
  Json out{{"kind", kind_name(entry.kind)},
           {"size", entry.content.bytes},
           {"modified", to_json(from_nanos(entry.modified_ns))},
           {"modified_ns", entry.modified_ns},
           {"sha256", entry.content.sha256.hex()},
           {"etag", volume::etag_of(entry)},
           {"content_type", entry.content_type}};
  put_bytes(out, "key", listed.key);
  if (entry.posix) out["posix"] = posix_json(*entry.posix);
  if (!entry.metadata.empty()) {
    Json metadata = Json::object();
    for (const auto& [name, value] : entry.metadata) put_bytes(metadata, name, value);
    out["metadata"] = std::move(metadata);
  }
  return out;
}

Json to_json(const volume::Listing& listing, const std::optional<ReleaseNumber>& release) {
  Json out{{"release", release ? to_json(*release) : Json(nullptr)}, {"next", nullptr}};
  Json entries = Json::array();
  for (const auto& listed : listing.entries) entries.push_back(to_json(listed));
  out["entries"] = std::move(entries);
  Json prefixes = Json::array(), raw = Json::array();
  for (const Bytes& prefix : listing.prefixes) {
    if (publish::valid_utf8(prefix)) {
      prefixes.push_back(prefix);
    } else {
      raw.push_back(to_base64(prefix));
    }
  }
  out["prefixes"] = std::move(prefixes);
  if (!raw.empty()) out["prefixes_base64"] = std::move(raw);
  if (listing.next) put_bytes(out, "next", *listing.next);
  return out;
}

Json to_json(const volume::DraftRecord& draft) {
  return {{"draft", draft.id.value},        {"base", to_json(draft.base)}, {"base_root", hash_json(draft.base_root.id)},
          {"author", draft.author},         {"message", draft.message},    {"opened", to_json(draft.opened)},
          {"active", to_json(draft.active)}};
}

Json to_json(const volume::ReleaseRecord& release) {
  return {{"release", release.number.value},
          {"volume", release.volume_name},
          {"kind", release_kind_name(release.kind)},
          {"root", hash_json(release.root.id)},
          {"derived", hash_json(release.derived.id)},
          {"keys", release.totals.keys},
          {"bytes", release.totals.weight},
          {"base", to_json(release.base)},
          {"parent", to_json(release.parent)},
          {"parent_hash", hash_json(release.parent_hash)},
          {"hash", release.hash().hex()},
          {"time", to_json(release.time)},
          {"author", release.author},
          {"message", release.message},
          {"added", release.added},
          {"changed", release.changed},
          {"removed", release.removed},
          {"key_id", release.key_id},
          {"signature", release.signature.empty() ? Json(nullptr) : Json(to_base64(release.signature))}};
}

Json to_json(const volume::Flip& flip) {
  return {{"sequence", flip.sequence},
          {"release", to_json(flip.release)},
          {"root", hash_json(flip.root.id)},
          {"since", to_json(flip.at)},
          {"last_modified", format_http_date(flip.modified_seconds)}};
}

Json to_json(const volume::AccessKey& key) {
  return {{"id", key.id},
          {"name", key.name},
          {"role", volume::role_name(key.role)},
          {"volumes", key.volumes},
          {"created", to_json(key.created)}};
}

}  // namespace hailstone::api
