// Makes releases current: seal, merge, check, derive, sign, then one commit over every volume and channel concerned.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "base/logger.h"
#include "publish/checks.h"
#include "publish/hooks.h"
#include "publish/rollout.h"
#include "publish/signing.h"
#include "volume/repository.h"

namespace hailstone::publish {

/// Why a publish was not done: the error, and what it names.
struct Refusal {
  Error error;
  std::vector<Bytes> keys;                   // of a merge conflict; at most kConflictsListedMax
  uint64_t conflict_count = 0;               // all of them
  std::vector<Finding> findings;             // of checks
  Refusal(Error e) : error(std::move(e)) {}  // NOLINT(google-explicit-constructor): so that TRY works
};

inline constexpr size_t kConflictsListedMax = 1000;

struct Item {
  Bytes volume;
  DraftId draft;  // 0: the head
  Bytes message;  // empty: the draft's
};

struct Request {
  std::vector<Item> items;                    // each volume at most once
  std::vector<Bytes> channels = {"current"};  // flipped in every volume; the first one is what a draft is merged with
  Bytes author;                               // empty: the caller's name
  bool dry_run = false;                       // all but the commit
};

struct Published {
  Bytes volume;
  ReleaseNumber release;
  tree::Root root;
  bool unchanged = false;  // nothing differed: `release` is the one that was there already
  uint64_t added = 0, changed = 0, removed = 0;
  std::vector<Finding> warnings;
};

struct RolledBack {
  ReleaseNumber from, to;
  std::vector<std::string> warnings;
};

/// A user's check, run for volumes whose name matches.
struct HookRule {
  std::string volumes = "*";  // fnmatch(3) pattern
  HookCommand command;
};

struct PublisherOptions {
  std::vector<HookRule> hooks;
  Finding::Severity absent_directory = Finding::Severity::Refuse;  // see CheckOptions
  size_t feed_releases = 30;
  size_t changes_listed_max = 10'000;
};

/// Thread-safe; calls block. Publishes of one volume run one after another, of different volumes side by side.
class Publisher {
 public:
  /// `rollout`: null where no node but this one shows anything.
  Publisher(volume::Repository& repository, const SigningKey& key, PublisherOptions options, Logger& logger,
            Rollout* rollout = nullptr);

  /// All items become current in one commit, or none. The same idempotency key again returns the first call's releases.
  std::expected<std::vector<Published>, Refusal> publish(const volume::Caller& caller, const Request& request);

  /// A new release with the content of an old one: what clients that refuse to go back in time will follow. The head
  /// goes back too, unless it has unpublished changes to the same keys: then it stays, and a warning says so.
  std::expected<Published, Refusal> revert(const volume::Caller& caller, const Bytes& volume, ReleaseNumber to,
                                           const std::vector<Bytes>& channels, const Bytes& message);

  /// A new volume whose release 1 has the content of `release` (0: of channel "current"). O(1).
  std::expected<Published, Refusal> clone(const volume::Caller& caller, const Bytes& source, ReleaseNumber release,
                                          const Bytes& name, const volume::Settings& settings);

  /// Points a channel to an earlier release: `to`, or the newest one below the current that the channel has had.
  Result<RolledBack> rollback(const volume::Caller& caller, const Bytes& volume, const Bytes& channel,
                              std::optional<ReleaseNumber> to);

  /// Any set of channel changes, all or nothing.
  Result<void> flip(const volume::Caller& caller, std::vector<volume::Commit::ChannelChange> changes);

  /// The volume, and what nodes know of its channels.
  Result<void> delete_volume(const volume::Caller& caller, volume::Body command, const Bytes& volume);

 private:
  struct Prepared;
  std::expected<std::vector<Published>, Refusal> publish_once(const volume::Caller& caller, const Request& request);
  std::expected<Prepared, Refusal> prepare(const Request& request, const Item& item, const volume::Caller& caller);
  std::expected<void, Refusal> move_head(Prepared& prepared, const tree::Root& from, const tree::Root& to);
  std::expected<void, Refusal> check(Prepared& prepared);
  Result<void> complete(Prepared& prepared);
  Result<void> sign(volume::ReleaseRecord& record) const;
  Result<tree::Root> derive(const Prepared& prepared) const;
  Result<volume::Reply> commit(const volume::Caller& caller, volume::Commit commit);
  Result<std::optional<volume::Reply>> earlier_commit(const volume::Caller& caller,
                                                      const std::vector<Bytes>& volumes) const;
  Result<void> show(std::vector<Channel> channels);
  Result<std::vector<Published>> replay(const volume::Reply& reply, const std::vector<Bytes>& volumes) const;

  volume::Repository& repository_;
  const SigningKey& key_;
  PublisherOptions options_;
  Logger& logger_;
  Rollout* const rollout_;
};

}  // namespace hailstone::publish
