#include "cell/invariants.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "cell/access.h"
#include "cell/schema.h"

namespace hailstone::cell {
namespace {

std::unexpected<Error> broken(Bytes what) { return fail(Code::Corrupt, std::move(what)); }

/// Everything read into memory, then each table against the others.
class Checking {
 public:
  explicit Checking(const replica::Reader& state) : state_(state) {}

  Result<void> run() {
    TRY(counters_, schema::read_counters(state_));
    TRY(settings_, schema::read_settings(state_));
    TRY_DO(settings_.validate());
    TRY_DO(read_sessions());
    TRY_DO(check_files());
    TRY_DO(check_locks());
    TRY_DO(check_sessions());
    TRY_DO(check_history());
    TRY_DO(check_delays());
    return check_rules();
  }

 private:
  template <class Visit>
  Result<void> each(char table, Visit visit) {
    const auto [begin, end] = schema::table(table);
    const auto at = state_.iterate(begin, end);
    for (; at->valid(); at->next()) TRY_DO(visit(at->key(), at->value()));
    return at->status();
  }

  Result<void> read_sessions() {
    return each('S', [&](ByteView key, ByteView value) -> Result<void> {
      TRY(auto session, SessionRecord::decode(value));
      const SessionId id = schema::session_of(key);
      if (id > counters_.last_session) return broken(fmt::format("session {} was never given", id.value));
      sessions_.emplace(id, std::move(session));
      return {};
    });
  }

  Result<void> check_files() {
    std::map<Bytes, uint64_t> children;
    std::map<Bytes, DirectoryStat> directories;
    std::set<Instance> instances;
    uint64_t files = 0, bytes = 0, expected_contents = 0;
    TRY_DO(each('N', [&](ByteView key, ByteView) -> Result<void> {
      const Bytes path = schema::path_of_node(key);
      TRY_DO(validate_path(path));
      TRY(const auto node, schema::read_node(state_, path));
      if (path != "/") ++children[Bytes(parent_of(path))];
      if (const auto* directory = std::get_if<DirectoryStat>(&*node)) {
        if (directory->changed > counters_.revision)
          return broken(fmt::format("'{}' changed in the future", printable(path)));
        directories.emplace(path, *directory);
        return {};
      }
      const auto& stat = std::get<FileStat>(*node);
      TRY(const Bytes content, schema::read_content(state_, path));
      if (content.size() != stat.bytes) return broken(fmt::format("'{}': size is not its content's", printable(path)));
      if (!instances.insert(stat.instance).second || !stat.instance || stat.instance > counters_.last_instance)
        return broken(fmt::format("'{}': instance {} is not its own", printable(path), stat.instance.value));
      if (!stat.created || stat.created > stat.changed || stat.changed > counters_.revision)
        return broken(fmt::format("'{}': created at {}, changed at {}, now {}", printable(path), stat.created.value,
                                  stat.changed.value, counters_.revision.value));
      if (stat.lock_generation > counters_.last_grant)
        return broken(fmt::format("'{}': a grant that was never given", printable(path)));
      if (stat.owner) expected_holds_.insert(schema::hold(stat.owner, Hold::Ephemeral, path));
      ++files;
      bytes += stat.bytes;
      expected_contents += stat.bytes > kInlineContentBytes;
      return {};
    }));
    if (files != counters_.files || bytes != counters_.content_bytes)
      return broken(fmt::format("{} files of {} bytes are counted as {} of {}", files, bytes, counters_.files,
                                counters_.content_bytes));
    for (const auto& [path, count] : children)
      if (!directories.contains(path) || directories[path].children != count)
        return broken(fmt::format("'{}' has {} children, not those it counts", printable(path), count));
    if (directories.size() != children.size()) return broken("a directory has no children");
    uint64_t contents = 0;
    TRY_DO(each('B', [&](ByteView, ByteView) -> Result<void> {
      ++contents;
      return {};
    }));
    if (contents != expected_contents) return broken("a content has no file");
    return {};
  }

  Result<void> check_locks() {
    std::set<LockGeneration> grants;
    return each('L', [&](ByteView key, ByteView value) -> Result<void> {
      const Bytes path = schema::path_of_node(key);
      TRY_DO(validate_path(path));
      TRY(const LockRecord lock, LockRecord::decode(value));
      const auto bad = [&](std::string_view why) { return broken(fmt::format("lock '{}' {}", printable(path), why)); };
      if (lock.idle()) return bad("is idle and there");
      if (lock.mode == LockMode::Exclusive && lock.holders.size() > 1) return bad("is exclusive and has two holders");
      if (!std::ranges::is_sorted(lock.holders, {}, &LockRecord::Holder::generation))
        return bad("has grants out of order");
      for (const auto& holder : lock.holders) {
        if (!grants.insert(holder.generation).second || holder.generation > counters_.last_grant)
          return bad("has a grant that is not its own");
        if (!expected_holds_.insert(schema::hold(holder.session, Hold::Lock, path)).second)
          return bad("is held twice by a session");
      }
      for (const auto& waiter : lock.waiters) {
        if (expected_holds_.contains(schema::hold(waiter.session, Hold::Lock, path)) ||
            !expected_holds_.insert(schema::hold(waiter.session, Hold::Wait, path)).second)
          return bad("is waited for twice by a session");
      }
      if (!lock.waiters.empty() && !lock.delayed_until) {
        const bool shared = lock.mode == LockMode::Shared && lock.waiters.front().mode == LockMode::Shared;
        if (lock.holders.empty()) return bad("is free and has waiters");
        if (shared && lock.holders.size() < kHoldersMax) return bad("could be shared with its next waiter");
      }
      if (lock.delayed_until) expected_delays_.insert(schema::delay(lock.delayed_until, path));
      return {};
    });
  }

  Result<void> check_sessions() {
    if (sessions_.size() != counters_.sessions)
      return broken(fmt::format("{} sessions are counted as {}", sessions_.size(), counters_.sessions));
    std::map<SessionId, uint32_t> holds;
    TRY_DO(each('H', [&](ByteView key, ByteView) -> Result<void> {
      if (expected_holds_.erase(Bytes(key)) == 0)
        return broken(fmt::format("session {} has what does not know it", schema::session_of(key).value));
      ++holds[schema::session_of(key)];
      return {};
    }));
    if (!expected_holds_.empty())
      return broken(
          fmt::format("session {} does not have what says so", schema::session_of(*expected_holds_.begin()).value));
    for (const auto& [id, count] : holds)
      if (!sessions_.contains(id)) return broken(fmt::format("session {} is gone and holds something", id.value));
    uint64_t nonces = 0, replies = 0, expected_replies = 0;
    int64_t caching = 0;
    TRY_DO(each('C', [&](ByteView key, ByteView) -> Result<void> {
      const auto session = sessions_.find(schema::session_of(key));
      if (session == sessions_.end() || !session->second.caching)
        return broken(fmt::format("session {} is said to cache", schema::session_of(key).value));
      ++caching;
      return {};
    }));
    if (caching != std::ranges::count_if(sessions_, [](const auto& s) { return s.second.caching; }))
      return broken("a session that caches is not in the list");
    TRY_DO(each('Y', [&](ByteView, ByteView) -> Result<void> {
      ++nonces;
      return {};
    }));
    if (nonces != sessions_.size()) return broken("a nonce has no session");
    for (const auto& [id, session] : sessions_) {
      if (holds[id] != session.holds) return broken(fmt::format("session {} miscounts what it has", id.value));
      TRY(const auto nonce, state_.get(schema::nonce(session.nonce)));
      if (!nonce) return broken(fmt::format("session {} has no nonce", id.value));
      CommandNumber number = session.first_kept();
      size_t inlined = 0;
      for (const auto& kept : session.replies) {
        const CommandNumber at = std::exchange(number, number.next());
        inlined += kept.inlined.size();
        if (!kept.inlined.empty()) continue;
        TRY(const auto reply, state_.get(schema::reply(id, at)));
        if (!reply || reply->size() != kept.bytes)
          return broken(fmt::format("session {}: reply {} is not there", id.value, at.value));
        ++expected_replies;
      }
      if (inlined > kInlineRepliesBytes)
        return broken(fmt::format("session {} has {} bytes of replies in it", id.value, inlined));
    }
    TRY_DO(each('R', [&](ByteView, ByteView) -> Result<void> {
      ++replies;
      return {};
    }));
    if (replies != expected_replies) return broken("a reply has no session");
    return {};
  }

  Result<void> check_history() {
    uint64_t events = 0, bytes = 0;
    Revision expected = counters_.floor;
    TRY_DO(each('E', [&](ByteView key, ByteView value) -> Result<void> {
      expected = expected.next();
      if (schema::revision_of(key) != expected)
        return broken(fmt::format("events of revision {} are missing", expected.value));
      TRY(const auto list, decode_events(value));
      if (list.empty()) return broken(fmt::format("revision {} has no event", expected.value));
      events += list.size();
      bytes += value.size();
      return {};
    }));
    if (expected != counters_.revision)
      return broken(fmt::format("events end at revision {}, not {}", expected.value, counters_.revision.value));
    if (events != counters_.history_events || bytes != counters_.history_bytes)
      return broken("the history is miscounted");
    return {};
  }

  Result<void> check_delays() {
    ClusterTime first;
    TRY_DO(each('T', [&](ByteView key, ByteView) -> Result<void> {
      if (expected_delays_.erase(Bytes(key)) == 0) return broken("a delay has no lock");
      if (!first) first = schema::time_of_delay(key);
      if (schema::time_of_delay(key) <= counters_.time) return broken("a delay has ended and is there");
      return {};
    }));
    if (!expected_delays_.empty()) return broken("a lock's delay is not in the order of delays");
    if (first ? !counters_.next_delay || counters_.next_delay > first : bool(counters_.next_delay))
      return broken("the next delay is not the first");
    return {};
  }

  Result<void> check_rules() {
    uint64_t principals = 0, admins = 0;
    TRY_DO(each('A', [&](ByteView key, ByteView value) -> Result<void> {
      TRY(const auto rules, decode_rules(value));
      TRY_DO(validate_rules(key.substr(1), rules));
      if (rules.empty()) return broken("rules that are none");
      ++principals;
      admins += is_admin(rules);
      return {};
    }));
    if (principals != counters_.principals || admins != counters_.admins) return broken("the rules are miscounted");
    if (principals > 0 && admins == 0) return broken("rules without an admin");
    return {};
  }

  const replica::Reader& state_;
  Counters counters_;
  Settings settings_;
  std::map<SessionId, SessionRecord> sessions_;
  std::set<Bytes> expected_holds_;   // as files and locks tell
  std::set<Bytes> expected_delays_;  // as locks tell
};

}  // namespace

Result<void> check_invariants(const replica::Reader& state) { return Checking(state).run(); }

}  // namespace hailstone::cell
