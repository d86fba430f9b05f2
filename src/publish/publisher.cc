#include "publish/publisher.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "publish/changes.h"
#include "publish/derived.h"

namespace hailstone::publish {
namespace {

constexpr int kPublishAttempts = 50;

using volume::Commit;
using volume::ReleaseRecord;

std::unexpected<Refusal> refuse(Code code, std::string message) {
  return std::unexpected(Refusal(Error{code, std::move(message)}));
}

std::unexpected<Refusal> conflicts(const tree::Merged& merged, std::string_view with) {
  Refusal refusal(
      Error{Code::Conflict, fmt::format("{} keys were changed both here and in {}: put them right in the draft "
                                        "and publish again",
                                        merged.conflict_count, with)});
  refusal.keys = merged.conflicts;
  refusal.conflict_count = merged.conflict_count;
  return std::unexpected(std::move(refusal));
}

/// The record a channel is at, or nothing when it does not exist.
Result<std::optional<ReleaseRecord>> current(const volume::Repository& repository, const volume::Volume& v,
                                             const Bytes& channel) {
  const volume::Flip* flip = v.channel(channel);
  if (!flip) return std::optional<ReleaseRecord>();
  TRY(auto record, repository.release(v, flip->release));
  return std::optional<ReleaseRecord>(std::move(record));
}

}  // namespace

struct Publisher::Prepared {
  std::shared_ptr<const volume::Volume> volume;
  std::optional<ReleaseRecord> base;  // what the channel serves now
  ReleaseRecord record;
  DraftId draft;
  uint64_t draft_active = 0;
  std::optional<tree::Root> head_from;
  tree::Root head_to;
  bool unchanged = false;
  std::vector<Finding> warnings;

  tree::Root base_root() const { return base ? base->root : tree::Root(); }

  Published result() const {
    return {volume->record.name, record.number,  record.root,    unchanged,
            record.added,        record.changed, record.removed, warnings};
  }
  Commit::NewRelease commit() const { return {volume->record.name, record, draft, draft_active, head_from, head_to}; }
};

Publisher::Publisher(volume::Repository& repository, const SigningKey& key, PublisherOptions options, Logger& logger,
                     Rollout* rollout)
    : repository_(repository), key_(key), options_(std::move(options)), logger_(logger), rollout_(rollout) {}

// One command where all volumes are of one group. Else one for each group, in order: nothing is shown before all are
// done, and flips of those that were done are taken back when a later one is refused.
Result<volume::Reply> Publisher::commit(const volume::Caller& caller, Commit commit) {
  std::map<const replica::Group*, Commit> parts;
  const auto part = [&](const Bytes& name) -> Commit& { return parts[repository_.shard(name).group]; };
  for (auto& release : commit.releases) part(release.volume).releases.push_back(release);
  for (auto& flip : commit.flips) part(flip.volume).flips.push_back(flip);
  if (parts.size() <= 1) return repository_.submit(caller, std::move(commit));
  volume::Reply all;
  std::map<Bytes, ReleaseNumber> made;
  std::vector<Commit::ChannelChange> done;
  for (auto& [group, one] : parts) {
    std::vector<Commit::ChannelChange> back;
    for (const auto& flip : one.flips) {
      TRY(const auto v, repository_.volume(flip.volume));
      const volume::Flip* at = v->channel(flip.channel);
      back.push_back({flip.volume, flip.channel, at ? at->release : ReleaseNumber(), flip.release});
    }
    const auto releases = one.releases;
    auto reply = repository_.submit(caller, std::move(one));
    if (!reply) {
      for (auto& change : done) {
        Commit undo;
        undo.flips.push_back(change);
        if (auto undone = repository_.submit({caller.name, {}}, std::move(undo)); !undone)
          logger_.warn("flip not taken back", {{"volume", change.volume}, {"error", undone.error().message}});
      }
      return reply;
    }
    for (size_t i = 0; i < releases.size(); ++i) made[releases[i].volume] = reply->releases.at(i);
    std::ranges::move(back, std::back_inserter(done));
    all.slot = reply->slot;
    all.time = reply->time;
  }
  for (const auto& release : commit.releases) all.releases.push_back(made.at(release.volume));
  return all;
}

// What a commit gave that was made earlier under the same idempotency key; nothing unless all groups have done theirs.
Result<std::optional<volume::Reply>> Publisher::earlier_commit(const volume::Caller& caller,
                                                               const std::vector<Bytes>& volumes) const {
  volume::Reply all;
  std::map<const replica::Group*, std::pair<volume::Reply, size_t>> replies;
  for (const Bytes& name : volumes) {
    const replica::Group* group = repository_.shard(name).group;
    auto known = replies.find(group);
    if (known == replies.end()) {
      Commit probe;
      probe.flips.push_back({name, {}, {}, {}});
      TRY(auto reply, repository_.earlier_reply(caller, probe));
      if (!reply) return std::optional<volume::Reply>();
      known = replies.emplace(group, std::pair(*std::move(reply), size_t{0})).first;
    }
    auto& [reply, taken] = known->second;
    if (taken < reply.releases.size()) all.releases.push_back(reply.releases[taken++]);
  }
  return std::optional<volume::Reply>(std::move(all));
}

Result<void> Publisher::show(std::vector<Channel> channels) {
  if (!rollout_) return {};
  std::ranges::sort(channels);
  channels.erase(std::ranges::unique(channels).begin(), channels.end());
  auto shown = rollout_->show(channels);
  if (!shown)
    return std::unexpected(std::move(shown).error().within(
        fmt::format("'{}' is decided but may not be shown everywhere yet: the same request again shows it",
                    channels.front().volume)));
  if (!shown->excluded.empty())
    logger_.warn("shown without some nodes", {{"volume", channels.front().volume},
                                              {"nodes", static_cast<uint64_t>(shown->excluded.size())},
                                              {"first", shown->excluded.front()}});
  return {};
}

Result<void> Publisher::delete_volume(const volume::Caller& caller, volume::Body command, const Bytes& name) {
  TRY_DO(repository_.submit(caller, std::move(command)));
  if (rollout_)
    if (auto forgotten = rollout_->forget(name); !forgotten)
      logger_.warn("channels of a deleted volume left", {{"volume", name}, {"error", forgotten.error().message}});
  return {};
}

Result<void> Publisher::sign(ReleaseRecord& record) const {
  record.key_id = key_.public_key().hex().substr(0, 16);
  TRY(record.signature, key_.sign(record.signed_bytes()));
  return {};
}

// Carries the change from -> to into the head, beneath what was written to the head and not yet published.
std::expected<void, Refusal> Publisher::move_head(Prepared& p, const tree::Root& from, const tree::Root& to) {
  TRY(const auto head, repository_.seal(*p.volume, volume::kHeadLayer));
  p.head_from = head.root;
  if (head.root == from) {
    p.head_to = to;
    return {};
  }
  TRY(const auto merged, tree::merge(repository_.nodes(), from, head.root, to, kConflictsListedMax));
  if (merged.conflict_count > 0) return conflicts(merged, "the volume's head");
  p.head_to = merged.root;
  return {};
}

std::expected<Publisher::Prepared, Refusal> Publisher::prepare(const Request& request, const Item& item,
                                                               const volume::Caller& caller) {
  Prepared p;
  TRY(p.volume, repository_.volume(item.volume));
  TRY(p.base, current(repository_, *p.volume, request.channels.front()));
  if (!p.base && !item.draft) {
    TRY(p.base, current(repository_, *p.volume, "current"));
  }
  ReleaseRecord& record = p.record;
  record.message = item.message;
  if (!item.draft) {
    TRY(const auto sealed, repository_.seal(*p.volume, volume::kHeadLayer));
    record.root = sealed.root;
  } else {
    TRY(const auto draft, repository_.draft(*p.volume, item.draft));
    TRY(const auto sealed, repository_.seal(*p.volume, item.draft.value));
    if (record.message.empty()) record.message = draft.message;
    p.draft = item.draft;
    p.draft_active = sealed.active;
    if (!p.base && draft.base) {
      TRY(p.base, repository_.release(*p.volume, draft.base));
    }
    if (draft.base_root == p.base_root()) {
      record.root = sealed.root;
    } else {
      TRY(const auto merged,
          tree::merge(repository_.nodes(), draft.base_root, p.base_root(), sealed.root, kConflictsListedMax));
      if (merged.conflict_count > 0) return conflicts(merged, fmt::format("release {}", p.base->number.value));
      record.root = merged.root;
    }
    if (auto moved = move_head(p, draft.base_root, sealed.root); !moved)
      return std::unexpected(std::move(moved).error());
  }
  record.author = request.author.empty() ? caller.name : request.author;
  const auto at_base = [&](const Bytes& channel) {
    const volume::Flip* flip = p.volume->channel(channel);
    return flip && p.base && flip->release == p.base->number;
  };
  if (p.base && record.root == p.base->root && !item.draft && std::ranges::all_of(request.channels, at_base)) {
    p.unchanged = true;
    p.record = *p.base;
    return p;
  }
  record.kind = volume::ReleaseKind::Publish;
  TRY_DO(complete(p));
  if (auto checked = check(p); !checked) return std::unexpected(std::move(checked).error());
  return p;
}

// Fills in what every new release says of itself. The derived data and the signature come last, by derive() and sign().
Result<void> Publisher::complete(Prepared& p) {
  ReleaseRecord& record = p.record;
  const volume::Volume& v = *p.volume;
  record.volume = v.record.id;
  record.volume_name = v.record.name;
  record.number = v.record.last_release.next();
  record.time = repository_.clock().wall();
  if (p.base) record.base = p.base->number;
  if (v.record.last_release) {
    TRY(const auto parent, repository_.release(v, v.record.last_release));
    record.parent = parent.number;
    record.parent_hash = parent.hash();
  }
  TRY(record.totals, tree::totals(repository_.nodes(), record.root));
  return {};
}

std::expected<void, Refusal> Publisher::check(Prepared& p) {
  const volume::CheckMode mode = p.volume->record.settings.checks;
  const ReleaseView before(repository_.nodes(), repository_.chunks(), p.base_root());
  const ReleaseView after(repository_.nodes(), repository_.chunks(), p.record.root);
  if (mode != volume::CheckMode::Off) {
    TRY(auto report, check_release(before, after,
                                   {.now = repository_.clock().wall(), .absent_directory = options_.absent_directory}));
    if (report.refuses() && mode == volume::CheckMode::Refuse) {
      Refusal refusal(Error{Code::Invalid, fmt::format("checks found {} errors in '{}': see findings; publish refused",
                                                       report.refused, p.volume->record.name)});
      refusal.findings = std::move(report.findings);
      return std::unexpected(std::move(refusal));
    }
    p.warnings = std::move(report.findings);
  }
  for (const HookRule& rule : options_.hooks) {
    if (fnmatch(rule.volumes.c_str(), p.volume->record.name.c_str(), 0) != 0) continue;
    HookCommand command = rule.command;
    command.environment.emplace_back("HAILSTONE_VOLUME", p.volume->record.name);
    command.environment.emplace_back("HAILSTONE_RELEASE", fmt::format("{}", p.record.number.value));
    command.environment.emplace_back("HAILSTONE_ROOT", p.record.root.id.hex());
    command.environment.emplace_back("HAILSTONE_BASE", fmt::format("{}", p.record.base.value));
    tree::DiffCursor changes(repository_.nodes(), p.base_root(), p.record.root);
    TRY(auto outcome, run_hook(command, [&]() -> Result<std::optional<Bytes>> {
          TRY(auto difference, changes.next());
          if (!difference) return std::optional<Bytes>();
          return std::optional<Bytes>(std::move(difference->key));
        }));
    if (outcome.verdict != HookOutcome::Verdict::Passed)
      return refuse(Code::Invalid, fmt::format("check {} refused '{}': {}", rule.command.argv.front(),
                                               p.volume->record.name, outcome.message));
  }
  return {};
}

Result<tree::Root> Publisher::derive(const Prepared& p) const {
  DeriveInput input{.volume = *p.volume,
                    .base_root = p.base_root(),
                    .base_derived = p.base ? p.base->derived : tree::Root(),
                    .record = p.record,
                    .earlier = {},
                    .changes_listed_max = options_.changes_listed_max};
  TRY(input.earlier, repository_.releases(*p.volume, p.record.number, options_.feed_releases - 1));
  return publish::derive(repository_.nodes(), repository_.chunks(), input);
}

// Publishers on one node wait for each other; one on another node may have been faster. Then what it made is looked at
// and the work is done again, in the order of arrival.
std::expected<std::vector<Published>, Refusal> Publisher::publish(const volume::Caller& caller,
                                                                  const Request& request) {
  std::shared_ptr<void> turn;
  for (int attempt = 1;; ++attempt) {
    auto done = publish_once(caller, request);
    const bool overtaken = !done && done.error().error.code == Code::Conflict && done.error().conflict_count == 0;
    if (!overtaken || !rollout_ || attempt == kPublishAttempts) return done;
    if (!turn) turn = rollout_->queue_up(request.items.front().volume);
  }
}

std::expected<std::vector<Published>, Refusal> Publisher::publish_once(const volume::Caller& caller,
                                                                       const Request& request) {
  if (request.items.empty()) return refuse(Code::Invalid, "nothing to publish: name at least one volume");
  if (request.channels.empty()) return refuse(Code::Invalid, "name at least one channel");
  for (const Bytes& channel : request.channels) TRY_DO(volume::validate_label("channel", channel));
  std::vector<Bytes> names;
  std::vector<Channel> shown;
  for (const Item& item : request.items) {
    names.push_back(item.volume);
    for (const Bytes& channel : request.channels) shown.push_back({item.volume, channel});
  }
  for (const Bytes& name : names) TRY_DO(repository_.settle_and_wait(name));
  TRY(const auto earlier, earlier_commit(caller, names));
  if (earlier) {
    TRY(auto again, replay(*earlier, names));
    TRY_DO(show(shown));
    return again;
  }
  // Locks in the order of ids, so that two publishes of several volumes never wait for each other.
  std::vector<VolumeId> ids;
  for (const Bytes& name : names) {
    TRY(const auto v, repository_.volume(name));
    ids.push_back(v->record.id);
  }
  std::ranges::sort(ids);
  if (std::ranges::adjacent_find(ids) != ids.end())
    return refuse(Code::Invalid, "a volume is named twice: publish its drafts one by one");
  std::vector<std::unique_lock<std::mutex>> locks;
  for (VolumeId id : ids) locks.push_back(repository_.lock_volume(id));
  const auto session = repository_.chunks().begin_writes();

  const int64_t started = repository_.clock().monotonic_ns();
  std::vector<Published> results;
  Commit new_releases;
  for (const Item& item : request.items) {
    auto prepared = prepare(request, item, caller);
    if (!prepared) return std::unexpected(std::move(prepared).error());
    if (!prepared->unchanged) {
      TRY(const auto changes, count_changes(repository_.nodes(), prepared->base_root(), prepared->record.root));
      prepared->record.added = changes.added;
      prepared->record.changed = changes.changed;
      prepared->record.removed = changes.removed;
      if (!request.dry_run) {
        TRY(prepared->record.derived, derive(*prepared));
        TRY_DO(sign(prepared->record));
        new_releases.releases.push_back(prepared->commit());
        for (const Bytes& channel : request.channels) {
          Commit::ChannelChange change{item.volume, channel, prepared->record.number, {}};
          if (channel == request.channels.front()) {
            const volume::Flip* at = prepared->volume->channel(channel);
            change.expected = at ? at->release : ReleaseNumber();
          }
          new_releases.flips.push_back(std::move(change));
        }
      }
    }
    results.push_back(prepared->result());
  }
  if (request.dry_run) return results;
  if (!new_releases.releases.empty()) {
    TRY_DO(repository_.chunks().sync());
    TRY(const auto reply, commit(caller, std::move(new_releases)));
    size_t made = 0;
    for (Published& one : results)
      if (!one.unchanged) one.release = reply.releases.at(made++);
  }
  TRY_DO(show(std::move(shown)));
  for (const Published& done : results)
    logger_.info("released", {{"volume", done.volume},
                              {"release", done.release.value},
                              {"root", done.root.id.brief()},
                              {"added", done.added},
                              {"changed", done.changed},
                              {"removed", done.removed},
                              {"author", caller.name},
                              {"took_ms", (repository_.clock().monotonic_ns() - started) / 1'000'000}});
  return results;
}

// The results of a commit made earlier under the same idempotency key, read back from what it made.
Result<std::vector<Published>> Publisher::replay(const volume::Reply& reply, const std::vector<Bytes>& volumes) const {
  if (reply.releases.size() > volumes.size())
    return fail(Code::Invalid, "this idempotency key was used for another request");
  std::vector<Published> out;
  for (size_t i = 0; i < reply.releases.size(); ++i) {
    TRY(const auto v, repository_.volume(volumes[i]));
    TRY(const auto record, repository_.release(*v, reply.releases[i]));
    out.push_back({volumes[i], record.number, record.root, false, record.added, record.changed, record.removed, {}});
  }
  return out;
}

std::expected<Published, Refusal> Publisher::revert(const volume::Caller& caller, const Bytes& name, ReleaseNumber to,
                                                    const std::vector<Bytes>& channels, const Bytes& message) {
  if (channels.empty()) return refuse(Code::Invalid, "name at least one channel");
  TRY_DO(repository_.settle_and_wait(name));
  std::vector<Channel> shown;
  for (const Bytes& channel : channels) shown.push_back({name, channel});
  TRY(const auto earlier, earlier_commit(caller, {name}));
  if (earlier) {
    TRY(auto again, replay(*earlier, {name}));
    if (again.empty()) return refuse(Code::Invalid, "this idempotency key was used for another request");
    TRY_DO(show(std::move(shown)));
    return again.front();
  }
  TRY(const auto named, repository_.volume(name));
  const auto lock = repository_.lock_volume(named->record.id);
  const auto session = repository_.chunks().begin_writes();
  Prepared p;
  TRY(p.volume, repository_.volume(name));
  TRY(p.base, current(repository_, *p.volume, channels.front()));
  if (!p.base) return refuse(Code::NotFound, fmt::format("volume '{}' has no channel '{}'", name, channels.front()));
  TRY(const auto old, repository_.release(*p.volume, to));
  p.record.kind = volume::ReleaseKind::Revert;
  p.record.root = old.root;
  p.record.author = caller.name;
  p.record.message = message.empty() ? fmt::format("revert to release {}", to.value) : message;
  if (auto moved = move_head(p, p.base_root(), old.root); !moved) {
    if (moved.error().error.code != Code::Conflict) return std::unexpected(std::move(moved).error());
    p.head_from.reset();
    p.warnings.push_back(
        {Finding::Severity::Warn, "revert.head", moved.error().keys.front(),
         fmt::format("the head has unpublished changes to {} of the reverted keys and was left as it is",
                     moved.error().conflict_count)});
  }
  TRY_DO(complete(p));
  TRY(const auto changes, count_changes(repository_.nodes(), p.base_root(), p.record.root));
  p.record.added = changes.added;
  p.record.changed = changes.changed;
  p.record.removed = changes.removed;
  TRY(p.record.derived, derive(p));
  TRY_DO(sign(p.record));
  TRY_DO(repository_.chunks().sync());
  Commit commit;
  commit.releases.push_back(p.commit());
  for (const Bytes& channel : channels) commit.flips.push_back({name, channel, p.record.number, {}});
  TRY_DO(repository_.submit(caller, std::move(commit)));
  TRY_DO(show(std::move(shown)));
  return p.result();
}

std::expected<Published, Refusal> Publisher::clone(const volume::Caller& caller, const Bytes& source,
                                                   ReleaseNumber release, const Bytes& name,
                                                   const volume::Settings& settings) {
  TRY_DO(volume::validate_volume_name(name));
  TRY_DO(repository_.settle_and_wait(source));
  TRY(const auto named, repository_.volume(source));
  // What the clone shares with the source it has not put: under this lock the source purges no release and is not
  // deleted.
  const auto lock = repository_.lock_volume(named->record.id);
  TRY(const auto from, repository_.volume(source));
  if (!release) {
    const volume::Flip* flip = from->channel("current");
    if (!flip)
      return refuse(Code::NotFound,
                    fmt::format("volume '{}' has no release on channel 'current': publish it first", source));
    release = flip->release;
  }
  TRY(const auto old, repository_.release(*from, release));
  ReleaseRecord record = old;
  record.kind = volume::ReleaseKind::Clone;
  record.volume = VolumeId();  // assigned by the commit; the name identifies it in what is signed
  record.volume_name = name;
  record.number = ReleaseNumber(1);
  record.base = record.parent = ReleaseNumber();
  record.parent_hash = old.hash();  // the chain goes on into the source's history
  record.time = repository_.clock().wall();
  record.author = caller.name;
  record.message = fmt::format("clone of {}@{}", source, release.value);
  record.added = record.totals.keys;
  record.changed = record.removed = 0;
  TRY_DO(sign(record));
  TRY_DO(repository_.submit(caller, volume::CreateVolume{name, settings, record}));
  TRY_DO(show({{name, "current"}}));
  return Published{name, record.number, record.root, false, record.added, 0, 0, {}};
}

Result<RolledBack> Publisher::rollback(const volume::Caller& caller, const Bytes& name, const Bytes& channel,
                                       std::optional<ReleaseNumber> to) {
  TRY_DO(repository_.settle_and_wait(name));
  TRY(const auto v, repository_.volume(name));
  const auto held = v->channels.find(channel);
  if (held == v->channels.end())
    return fail(Code::NotFound, fmt::format("volume '{}' has no channel '{}'", name, channel));
  const volume::Flip& now = held->second->back();
  if (!to) {
    ReleaseNumber best;
    for (const volume::Flip& flip : *held->second)
      if (flip.release < now.release) best = std::max(best, flip.release);
    if (!best)
      return fail(Code::NotFound, fmt::format("channel '{}' of '{}' has had no release before {}: name one", channel,
                                              name, now.release.value));
    to = best;
  }
  if (*to >= now.release)
    return fail(Code::Invalid, fmt::format("release {} is not earlier than {}: use publish, or channel set", to->value,
                                           now.release.value));
  Commit commit;
  commit.flips.push_back({name, channel, *to, now.release});
  TRY_DO(repository_.submit(caller, std::move(commit)));
  TRY_DO(show({{name, channel}}));
  RolledBack out{now.release, *to, {}};
  TRY(const auto record, repository_.release(*v, *to));
  TRY(const auto apt,
      volume::list(*volume::open_tree(repository_.nodes(), record.root), {.prefix = "dists/", .limit = 1}));
  if (!apt.entries.empty())
    out.warnings.push_back(
        "apt ignores a Release file older than the one it has: clients that saw release " +
        std::to_string(now.release.value) +
        " stay with it. To take them back, re-sign the old metadata with a new Date and publish it, or use revert");
  logger_.info("rolled back", {{"volume", name},
                               {"channel", channel},
                               {"from", now.release.value},
                               {"to", to->value},
                               {"author", caller.name}});
  return out;
}

Result<void> Publisher::flip(const volume::Caller& caller, std::vector<Commit::ChannelChange> changes) {
  if (changes.empty()) return fail(Code::Invalid, "no channel named");
  std::vector<Channel> shown;
  for (const auto& change : changes) shown.push_back({change.volume, change.channel});
  Commit flips;
  flips.flips = std::move(changes);
  TRY_DO(commit(caller, std::move(flips)));
  return show(std::move(shown));
}

}  // namespace hailstone::publish
