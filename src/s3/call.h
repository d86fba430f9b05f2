// One request on its way: what it names, who asks, and what everything else needs to answer it.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "base/ids.h"
#include "chunk/extent_cache.h"
#include "http/message.h"
#include "http/offload.h"
#include "publish/publisher.h"
#include "s3/bucket.h"
#include "s3/content_body.h"
#include "s3/upload_memory.h"
#include "s3auth/authenticated.h"
#include "s3proto/operation.h"
#include "volume/repository.h"

namespace hailstone::s3 {

struct Options {
  std::vector<std::string> domains;  // BUCKET.DOMAIN is served for these, beside path style
  Bytes region = "us-east-1";
  bool own_buckets = false;        // any admin key may make buckets of free names, which are then its own
  uint32_t stale_upload_days = 0;  // multipart uploads begun before are aborted; 0: by lifecycle rules alone
  bool signature_v2 = false;       // s3cmd signurl and old clients still send it
  uint64_t object_bytes_max = 5ull << 40;
  uint64_t part_bytes_max = 5ull << 30;
  uint32_t inline_bytes_max =
      64u << 10;  // bodies up to this are hashed and stored on the server's thread, in one commit
  Result<void> validate() const;
};

/// Of the node; outlives every handler.
struct Services {
  volume::Repository& repository;
  publish::Publisher& publisher;
  chunk::ExtentCache& extents;
  Bytes master_key;  // opens the secrets of access keys
  Logger& logger;
};

/// What uploads share, of the edge.
struct Uploads {
  /// For computing: more threads than cores would only hold more chunks at a time.
  http::BlockingPool pool;
  std::shared_ptr<UploadMemory> memory;
};

struct Identity {
  std::shared_ptr<const volume::AccessKey> key;  // null: anonymous
  bool anonymous() const { return key == nullptr; }
  Bytes name() const { return key ? key->name : Bytes(); }
  s3proto::Owner owner() const { return owner_named(name()); }
  static s3proto::Owner owner_named(const Bytes& name) {
    return {name.empty() ? "anonymous" : name, name.empty() ? "anonymous" : name};
  }
};

/// Owned by whoever works for it: jobs on the pool may outlive the connection.
struct Call : std::enable_shared_from_this<Call> {
  Call(const Services& s, const Options& o, const http::RequestHead& h);
  Call(const Call&) = delete;

  const Services& services;
  const Options& options;
  Uploads* uploads = nullptr;
  SmallChunks* small_chunks = nullptr;  // of the server thread, and for it alone
  Bytes text;                           // what the views of `head` point into
  http::RequestHead head;
  s3proto::ResourceName resource;
  s3proto::Query query;
  s3proto::Operation operation = s3proto::Operation::ListBuckets;
  Identity identity;
  s3auth::Authenticated who;
  std::optional<Bucket> bucket;
  std::shared_ptr<const volume::State> state;
  std::optional<s3proto::Tags> request_tags;        // that the request would set, once they are read
  std::map<Bytes, Bytes, std::less<>> form_fields;  // of a POST form, lower-case names
  UnixMicros now;
  Bytes request_id;
  Bytes peer;
  bool secure = false;

  const std::string& key() const { return resource.key; }
  volume::Repository& repository() const { return services.repository; }
  volume::Caller caller() const { return {identity.name(), {}}; }
  std::optional<std::string_view> field(std::string_view name) const { return head.field(name); }
  /// A header field, or a form's field of that name (lower case).
  std::optional<std::string_view> field_or_form(std::string_view name) const {
    if (operation != s3proto::Operation::PostObject) return head.field(name);
    const auto found = form_fields.find(name == "x-amz-acl" && !form_fields.contains(name) ? "acl" : name);
    return found == form_fields.end() ? std::nullopt : std::optional<std::string_view>(found->second);
  }
};

}  // namespace hailstone::s3
