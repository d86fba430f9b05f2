// A request that has been routed, identified and read, as a value; and the handlers that answer one: plain blocking
// functions, a file for each noun, run on the blocking pool.
#pragma once

#include <expected>
#include <mutex>
#include <optional>

#include "api/access.h"
#include "api/auth.h"
#include "api/cluster.h"
#include "api/failure.h"
#include "api/json.h"
#include "api/router.h"
#include "api/status.h"
#include "api/upkeep.h"
#include "base/logger.h"
#include "publish/publisher.h"
#include "volume/repository.h"

namespace hailstone::api {

/// Everything handlers use; all of it outlives the API.
struct Services {
  volume::Repository& repository;
  publish::Publisher& publisher;
  const StatusSource& status;
  publish::PublicKey public_key;  // verifies the releases made here
  Bytes master_key;               // seals the secrets of access keys
  Logger& logger;
  Upkeep* upkeep = nullptr;    // none: its endpoints are Unsupported
  Cluster* cluster = nullptr;  // likewise
};

/// Services and the state that all threads' handlers share.
struct Context {
  Services services;
  // Orders read-modify-write of settings and the count of admin keys, which no single command decides.
  std::mutex administration;

  volume::Repository& repository() { return services.repository; }
};

/// The If-Match and If-None-Match fields as conditions on an entry's ETag.
struct Preconditions {
  std::optional<std::vector<Bytes>> if_match;
  std::optional<std::vector<Bytes>> if_none_match;
  bool any() const { return if_match || if_none_match; }
};
/// Invalid: not a list of entity tags.
Result<Preconditions> read_preconditions(const http::RequestHead& head);

struct Call {
  Match match;
  Query query;
  Identity identity;
  volume::Caller caller;
  Preconditions preconditions;
  Bytes body;

  const Bytes& segment(std::string_view name) const { return match.segment(name); }
};

struct Answer {
  int status = 200;
  Json body;  // null: none
};
using Outcome = std::expected<Answer, Failure>;

/// All that is known before the body is read: routed, identified, allowed, query and conditions parsed. Pure but for
/// the look at the published state.
std::expected<Call, Failure> prepare(Context& context, const http::RequestHead& head);

/// For what a body names: the failure is 403 (a key is known to be there).
Result<void> require_key(const Call& call, volume::Role role, std::string_view volume);
/// The {volume} of the path, and a release or draft number of it.
Result<std::shared_ptr<const volume::Volume>> path_volume(Context& context, const Call& call);
Result<uint64_t> path_number(const Call& call, std::string_view name);

Outcome run(Context& context, const Call& call);  // by the call's route

// volumes.cc
Outcome list_volumes(Context& context, const Call& call);
Outcome create_volume(Context& context, const Call& call);
Outcome get_volume(Context& context, const Call& call);
Outcome change_volume(Context& context, const Call& call);
Outcome delete_volume(Context& context, const Call& call);
// drafts.cc
Outcome list_drafts(Context& context, const Call& call);
Outcome open_draft(Context& context, const Call& call);
Outcome get_draft(Context& context, const Call& call);
Outcome drop_draft(Context& context, const Call& call);
Outcome diff_draft(Context& context, const Call& call);
// releases.cc
Outcome list_releases(Context& context, const Call& call);
Outcome get_release(Context& context, const Call& call);
Outcome diff_releases(Context& context, const Call& call);
Outcome put_tag(Context& context, const Call& call);
Outcome delete_tag(Context& context, const Call& call);
Outcome put_hold(Context& context, const Call& call);
Outcome delete_hold(Context& context, const Call& call);
// channels.cc
Outcome list_channels(Context& context, const Call& call);
Outcome publish_releases(Context& context, const Call& call);
Outcome flip_channels(Context& context, const Call& call);
Outcome roll_back(Context& context, const Call& call);
Outcome revert_volume(Context& context, const Call& call);
// entries.cc
Outcome list_entries(Context& context, const Call& call);
Outcome get_entry(Context& context, const Call& call);
Outcome delete_content(Context& context, const Call& call);
Outcome get_token(Context& context, const Call& call);
Outcome search(Context& context, const Call& call);
// batch.cc
Outcome batch(Context& context, const Call& call);
// keys.cc
Outcome list_keys(Context& context, const Call& call);
Outcome create_key(Context& context, const Call& call);
Outcome delete_key(Context& context, const Call& call);
// node.cc
Outcome public_key(Context& context, const Call& call);
Outcome status(Context& context, const Call& call);
Outcome config(Context& context, const Call& call);

// upkeep.cc
Outcome upkeep_status(Context& context, const Call& call);
Outcome ask_upkeep(Context& context, const Call& call);
Outcome why_chunk(Context& context, const Call& call);
Outcome why_target(Context& context, const Call& call);
Outcome list_audit(Context& context, const Call& call);
Outcome list_trash(Context& context, const Call& call);
Outcome trash_release(Context& context, const Call& call);
Outcome restore_release(Context& context, const Call& call);

// cluster.cc
Outcome cluster_status(Context& context, const Call& call);
Outcome use_store(Context& context, const Call& call);
Outcome remove_node(Context& context, const Call& call);
Outcome replace_node(Context& context, const Call& call);

/// {"changes":[{"key","change","old_size","new_size"}],"next"}: O(difference up to the page's end).
Outcome changes_between(Context& context, const tree::Root& from, const tree::Root& to, const Query& query);

}  // namespace hailstone::api
