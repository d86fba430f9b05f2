// The cell once more, naively: plain maps, copied whole for each command. What the state machine must agree with.
#pragma once

#include <algorithm>
#include <map>
#include <set>

#include "cell/access.h"
#include "cell/query.h"

namespace hailstone::cell {

class Model {
 public:
  struct Session {
    Nonce nonce;
    Bytes principal;
    uint32_t lease_ms;
    bool caching;
    uint64_t last = 0;
    std::map<uint64_t, Reply> replies;
  };
  struct Party {
    SessionId session;
    LockMode mode;
    uint32_t delay_ms;
    LockGeneration generation;
  };
  struct LockState {
    std::vector<Party> holders, waiters;
    uint64_t delayed_until = 0;
  };

  std::map<Bytes, File> files;
  std::map<Bytes, Revision> directory_changed;
  std::map<SessionId, Session> sessions;
  std::map<Bytes, LockState> locks;
  std::map<Bytes, std::vector<Rule>> rules;
  std::vector<EventBatch::Item> events;  // all that ever were
  Settings settings;
  uint64_t revision = 0, time = 0, last_session = 0, last_instance = 0, last_grant = 0;

  Reply apply(const Command& c) {
    if (c.session && !c.number) return refuse(Code::Invalid);
    if (!c.session && (c.number || c.got)) return refuse(Code::Invalid);
    if (c.session && c.got >= c.number) return refuse(Code::Invalid);
    time = std::max(time, c.time.value);
    const size_t events_before = events.size();
    for (auto& [path, lock] : locks)
      if (lock.delayed_until != 0 && lock.delayed_until <= time) due_.emplace(lock.delayed_until, path);
    for (const auto& [until, path] : due_) {
      locks[path].delayed_until = 0;
      settle(path);
    }
    due_.clear();
    Reply reply = numbered(c);
    if (events.size() > events_before) ++revision;
    return reply;
  }

  /// Files and directories beneath, by path below; depth as asked.
  std::map<Bytes, Node> beneath(const Bytes& path, List::Depth depth) const {
    std::map<Bytes, Node> out;
    const Bytes base = path == "/" ? "/" : path + "/";
    for (const auto& [name, file] : files) {
      if (!name.starts_with(base)) continue;
      const Bytes rest = name.substr(base.size());
      const size_t slash = rest.find('/');
      if (depth == List::Depth::Files || slash == Bytes::npos) {
        out[rest] = file.stat;
      } else {
        const Bytes child = rest.substr(0, slash);
        out[child] = directory(base + child);
      }
    }
    return out;
  }
  DirectoryStat directory(const Bytes& path) const {
    const auto changed = directory_changed.find(path);  // not yet while it is being made
    return {beneath(path, List::Depth::Children).size(),
            changed == directory_changed.end() ? Revision() : changed->second};
  }

 private:
  struct Refusal {
    Code code;
  };

  Reply refuse(Code code) const {
    return {.refused = Error{code, ""}, .revision = Revision(revision), .time = ClusterTime(time), .outcome = {}};
  }
  Revision next_revision() const { return Revision(revision + 1); }
  void event(Event e) { events.push_back({next_revision(), std::move(e)}); }
  bool any_event() const { return !events.empty() && events.back().revision.value > revision; }
  Reply stamped(Reply reply) const {
    reply.time = ClusterTime(time);
    reply.revision = Revision(revision + (any_event() ? 1 : 0));
    return reply;
  }

  Reply numbered(const Command& c) {
    if (!c.session) return attempt(c);
    const auto found = sessions.find(c.session);
    if (found == sessions.end()) return stamped(refuse(Code::NotFound));
    Session& session = found->second;
    if (session.principal != c.principal) return stamped(refuse(Code::Denied));
    if (c.number.value > session.last + 1) return stamped(refuse(Code::Conflict));
    if (c.number.value <= session.last) {
      const auto kept = session.replies.find(c.number.value);
      return kept == session.replies.end() ? stamped(refuse(Code::Conflict)) : kept->second;
    }
    const auto got = [&](const auto& kept) { return kept.first <= c.got.value; };
    if (session.replies.size() - static_cast<size_t>(std::ranges::count_if(session.replies, got)) >= 64)
      return stamped(refuse(Code::Exhausted));
    const Reply reply = attempt(c);
    if (const auto still = sessions.find(c.session); still != sessions.end()) {
      still->second.last = c.number.value;
      std::erase_if(still->second.replies, got);
      still->second.replies[c.number.value] = reply;
    }
    return reply;
  }

  Reply attempt(const Command& c) {
    const Model before = *this;
    try {
      command_ = &c;
      Reply reply;
      reply.outcome = std::visit([this](const auto& body) { return run(body); }, c.body);
      return stamped(std::move(reply));
    } catch (const Refusal& refusal) {
      *this = before;
      return stamped(refuse(refusal.code));
    }
  }

  void need(bool condition, Code code) const {
    if (!condition) throw Refusal{code};
  }
  void need_right(Right right, ByteView path) const {
    if (command_->principal.empty() || rules.empty()) return;
    for (const Bytes& who : {command_->principal, Bytes("*")})
      if (const auto mine = rules.find(who); mine != rules.end())
        for (const Rule& rule : mine->second)
          if ((rule.rights & static_cast<uint8_t>(right)) && covers(rule.prefix, path)) return;
    throw Refusal{Code::Denied};
  }
  void need_path(Right right, ByteView path) const {
    need(validate_path(path).has_value(), Code::Invalid);
    need_right(right, path);
  }
  size_t holds_of(SessionId session) const {
    size_t count = 0;
    for (const auto& [path, file] : files) count += file.stat.owner == session;
    for (const auto& [path, lock] : locks)
      for (const auto* parties : {&lock.holders, &lock.waiters})
        count += static_cast<size_t>(std::ranges::count(*parties, session, &Party::session));
    return count;
  }
  void need_hold() const { need(holds_of(command_->session) < settings.holds_max, Code::Exhausted); }

  Outcome run(const OpenSession& c) {
    need(!command_->session, Code::Invalid);
    for (const auto& [id, session] : sessions) {
      if (session.nonce != c.nonce) continue;
      need(session.principal == command_->principal, Code::Denied);
      return Opened{id, session.lease_ms, session.caching};
    }
    need(sessions.size() < settings.sessions_max, Code::Exhausted);
    const SessionId id(++last_session);
    const uint32_t lease = std::clamp(c.lease_ms, settings.lease_ms_min, settings.lease_ms_max);
    sessions[id] = {c.nonce, command_->principal, lease, c.caching, 0, {}};
    return Opened{id, lease, c.caching};
  }
  Outcome run(const CloseSession&) {
    need(bool(command_->session), Code::Invalid);
    end({command_->session}, Event::Kind::LockReleased);
    return {};
  }
  Outcome run(const Expire& c) {
    need(command_->principal.empty(), Code::Denied);
    std::vector<SessionId> ending;
    for (const SessionId session : c.sessions)
      if (sessions.contains(session) && std::ranges::find(ending, session) == ending.end()) ending.push_back(session);
    end(ending, Event::Kind::LockLost);
    return Expired{ending.size()};
  }
  Outcome run(const Tick&) {
    need(command_->principal.empty(), Code::Denied);
    return {};
  }
  Outcome run(const ChangeSettings& c) {
    need_right(Right::Admin, "/");
    need(c.settings.validate().has_value(), Code::Invalid);
    settings = c.settings;
    event({.kind = Event::Kind::Settings, .path = "/"});
    return {};
  }
  Outcome run(const SetRules& c) {
    need_right(Right::Admin, "/");
    need(validate_rules(c.principal, c.rules).has_value(), Code::Invalid);
    rules[c.principal] = c.rules;
    if (c.rules.empty()) rules.erase(c.principal);
    need(rules.empty() || std::ranges::any_of(rules, [](const auto& r) { return is_admin(r.second); }), Code::Conflict);
    event({.kind = Event::Kind::Rules, .path = "/"});
    return {};
  }

  Outcome run(const Txn& c) {
    for (const Compare& compare : c.compares) need_path(Right::Read, compared(compare));
    for (const auto* branch : {&c.then_operations, &c.else_operations})
      for (const Operation& operation : *branch) {
        const bool reads = operation.index() >= 3;
        std::visit([&](const auto& o) { need_path(reads ? Right::Read : Right::Write, o.path); }, operation);
      }
    subtree_files_ = 0;
    const bool all = std::ranges::all_of(c.compares, [&](const Compare& compare) { return compare_holds(compare); });
    TxnReply reply{all ? TxnReply::Branch::Then : TxnReply::Branch::Else, {}};
    for (const Operation& operation : all ? c.then_operations : c.else_operations)
      reply.results.push_back(std::visit([this](const auto& o) { return operate(o); }, operation));
    return reply;
  }
  static ByteView compared(const Compare& compare) {
    if (const auto* s = std::get_if<SequencerStands>(&compare)) return s->sequencer.path;
    return std::visit(
        [](const auto& c) -> ByteView {
          if constexpr (requires { c.path; }) return c.path;
          return {};
        },
        compare);
  }
  bool compare_holds(const Compare& compare) const {
    const Bytes path(compared(compare));
    const auto found = files.find(path);
    const File* file = found == files.end() ? nullptr : &found->second;
    const auto locked = locks.find(path);
    const auto any_holder = [&](auto test) {
      return locked != locks.end() && std::ranges::any_of(locked->second.holders, test);
    };
    switch (compare.index()) {
      case 0: return file != nullptr;
      case 1: return file == nullptr;
      case 2: return file && file->stat.instance == std::get<InstanceIs>(compare).instance;
      case 3: return file && file->stat.generation == std::get<GenerationIs>(compare).generation;
      case 4: return file && sha256(file->content) == std::get<ContentIs>(compare).sha256;
      case 5: return any_holder([&](const Party& p) { return p.session == std::get<LockHeldBy>(compare).session; });
      default: {
        const Sequencer& s = std::get<SequencerStands>(compare).sequencer;
        return any_holder([&](const Party& p) { return p.generation == s.generation && p.mode == s.mode; });
      }
    }
  }

  bool is_directory(const Bytes& path) const {
    return path == "/" || std::ranges::any_of(files, [&](const auto& f) { return f.first.starts_with(path + "/"); });
  }
  /// Adds or removes a file, and dates the directories whose children that changes.
  void change_files(const Bytes& path, std::optional<File> file) {
    std::map<Bytes, size_t> before;
    for (Bytes at = path; at != "/";) {
      at = parent_of(at);
      before[at] = beneath(at, List::Depth::Children).size();
    }
    if (file)
      files[path] = *file;
    else
      files.erase(path);
    for (const auto& [at, count] : before) {
      const size_t now = beneath(at, List::Depth::Children).size();
      if (now != count) directory_changed[at] = next_revision();
    }
  }
  uint64_t total_bytes() const {
    uint64_t total = 0;
    for (const auto& [path, file] : files) total += file.content.size();
    return total;
  }
  void need_room(uint64_t old_bytes, uint64_t new_bytes) const {
    need(new_bytes <= settings.file_bytes_max, Code::Invalid);
    need(new_bytes <= old_bytes || total_bytes() - old_bytes + new_bytes <= settings.bytes_max, Code::Exhausted);
  }

  OperationResult operate(const Put& o) {
    need(!is_directory(o.path), Code::Conflict);
    const auto found = files.find(o.path);
    const bool ephemeral = o.life == Put::Life::Ephemeral;
    File file;
    if (found == files.end()) {
      need(o.mode != Put::Mode::Replace, Code::NotFound);
      need(files.size() < settings.files_max, Code::Exhausted);
      need_room(0, o.content.size());
      for (Bytes at = o.path; at != "/"; at = parent_of(at)) need(!files.contains(at), Code::Conflict);
      need(!ephemeral || command_->session, Code::Invalid);
      if (ephemeral) need_hold();
      file.stat.instance = Instance(++last_instance);
      file.stat.created = next_revision();
      if (ephemeral) file.stat.owner = command_->session;
      if (locks.contains(o.path) && !locks[o.path].holders.empty())
        file.stat.lock_generation = locks[o.path].holders.back().generation;
    } else {
      file = found->second;
      need(o.mode != Put::Mode::Create, Code::Exists);
      const SessionId wanted = ephemeral ? command_->session : SessionId();
      need(o.mode == Put::Mode::Replace || (file.stat.owner == wanted && ephemeral == bool(file.stat.owner)),
           Code::Conflict);
      need_room(file.content.size(), o.content.size());
    }
    file.content = o.content;
    file.stat.bytes = o.content.size();
    file.stat.changed = next_revision();
    ++file.stat.generation;
    event({.kind = found == files.end() ? Event::Kind::Created : Event::Kind::Changed,
           .path = o.path,
           .instance = file.stat.instance,
           .generation = file.stat.generation});
    change_files(o.path, file);
    return Written{file.stat};
  }
  void remove(const Bytes& path) {
    const FileStat stat = files.at(path).stat;
    event({.kind = Event::Kind::Deleted, .path = path, .instance = stat.instance, .generation = stat.generation});
    change_files(path, {});
  }
  OperationResult operate(const Delete& o) {
    if (!files.contains(o.path)) {
      need(o.path != "/" || !files.empty(), Code::NotFound);
      need(!is_directory(o.path), Code::Conflict);
      throw Refusal{Code::NotFound};
    }
    remove(o.path);
    return Deleted{1};
  }
  OperationResult operate(const DeleteSubtree& o) {
    const auto all = listing(o.path, List::Depth::Files);
    const uint64_t most = settings.subtree_files_max - subtree_files_;
    if (all.size() > std::min(o.files_max, most)) throw Refusal{o.files_max <= most ? Code::Conflict : Code::Exhausted};
    subtree_files_ += all.size();
    for (const auto& [name, node] : all) remove(join(o.path, name));
    return Deleted{all.size()};
  }
  OperationResult operate(const Get& o) {
    const auto found = files.find(o.path);
    return found == files.end() ? Got{} : Got{found->second};
  }
  /// In the tree's order.
  std::vector<Listing::Entry> listing(const Bytes& path, List::Depth depth) const {
    std::vector<Listing::Entry> out;
    for (auto& [name, node] : beneath(path, depth)) out.push_back({name, node});
    std::ranges::sort(out, {}, [](const auto& entry) { return path_key("/" + entry.name); });
    return out;
  }
  OperationResult operate(const List& o) {
    need(o.after.empty() || validate_path("/" + o.after).has_value(), Code::Invalid);
    need(o.depth == List::Depth::Files || !o.after.contains('/'), Code::Invalid);
    auto all = listing(o.path, o.depth);
    if (!o.after.empty())
      std::erase_if(all, [&](const auto& e) { return path_key("/" + e.name) <= path_key("/" + o.after); });
    const size_t most = o.entries_max == 0 ? kListMax : o.entries_max;
    Listed out;
    if (all.size() > most) {
      all.resize(most);
      out.listing.next = all.back().name;
    }
    out.listing.entries = std::move(all);
    return out;
  }

  static auto find(std::vector<Party>& parties, SessionId session) {
    return std::ranges::find(parties, session, &Party::session);
  }
  static bool can_have(const LockState& lock, LockMode mode) {
    return lock.delayed_until == 0 && std::ranges::all_of(lock.holders, [&](const Party& p) {
             return p.mode == LockMode::Shared && p.mode == mode;
           });
  }
  void grant(const Bytes& path, Party party) {
    party.generation = LockGeneration(++last_grant);
    locks[path].holders.push_back(party);
    if (files.contains(path)) files[path].stat.lock_generation = party.generation;
    event({.kind = Event::Kind::LockAcquired,
           .path = path,
           .session = party.session,
           .lock_generation = party.generation,
           .mode = party.mode});
  }
  void settle(const Bytes& path) {
    LockState& lock = locks[path];
    while (!lock.waiters.empty() && can_have(lock, lock.waiters.front().mode)) {
      const Party party = lock.waiters.front();
      lock.waiters.erase(lock.waiters.begin());
      grant(path, party);
    }
    if (lock.holders.empty() && lock.waiters.empty() && lock.delayed_until == 0) locks.erase(path);
  }
  void need_lock(const Bytes& path) {
    need(bool(command_->session), Code::Invalid);
    need(validate_path(path).has_value(), Code::Invalid);
  }
  Outcome run(const Lock& c) {
    need_lock(c.path);
    need_right(Right::Lock, c.path);
    LockState& lock = locks[c.path];
    if (const auto held = find(lock.holders, command_->session); held != lock.holders.end()) {
      need(held->mode == c.mode, Code::Conflict);
      return LockReply{LockReply::Outcome::Granted, held->generation};
    }
    if (const auto waits = find(lock.waiters, command_->session); waits != lock.waiters.end()) {
      need(waits->mode == c.mode && c.wait == Lock::Wait::Queue, Code::Conflict);
      return LockReply{LockReply::Outcome::Queued, {}};
    }
    const Party party{command_->session, c.mode, c.delay_ms, {}};
    if (lock.waiters.empty() && can_have(lock, c.mode)) {
      need_hold();
      grant(c.path, party);
      return LockReply{LockReply::Outcome::Granted, LockGeneration(last_grant)};
    }
    if (c.wait == Lock::Wait::Try) return LockReply{LockReply::Outcome::Busy, {}};
    need(lock.waiters.size() < settings.waiters_max, Code::Exhausted);
    need_hold();
    lock.waiters.push_back(party);
    return LockReply{LockReply::Outcome::Queued, {}};
  }
  void release(const Bytes& path, SessionId session, Event::Kind kind) {
    LockState& lock = locks[path];
    const auto held = find(lock.holders, session);
    event({.kind = kind, .path = path, .session = session, .lock_generation = held->generation, .mode = held->mode});
    if (kind == Event::Kind::LockLost && held->delay_ms > 0)
      lock.delayed_until = std::max(lock.delayed_until, time + uint64_t{held->delay_ms} * 1000);
    lock.holders.erase(held);
    settle(path);
  }
  Outcome run(const Unlock& c) {
    need_lock(c.path);
    need(locks.contains(c.path) && find(locks[c.path].holders, command_->session) != locks[c.path].holders.end(),
         Code::NotFound);
    release(c.path, command_->session, Event::Kind::LockReleased);
    return {};
  }
  Outcome run(const Cancel& c) {
    need_lock(c.path);
    need(locks.contains(c.path), Code::NotFound);
    LockState& lock = locks[c.path];
    if (const auto held = find(lock.holders, command_->session); held != lock.holders.end())
      return LockReply{LockReply::Outcome::Granted, held->generation};
    need(find(lock.waiters, command_->session) != lock.waiters.end(), Code::NotFound);
    lock.waiters.erase(find(lock.waiters, command_->session));
    settle(c.path);
    return LockReply{LockReply::Outcome::Cancelled, {}};
  }

  void end(const std::vector<SessionId>& ending, Event::Kind kind) {
    const auto paths_where = [](const auto& map, auto test) {
      std::vector<Bytes> out;
      for (const auto& [path, value] : map)
        if (test(value)) out.push_back(path);
      std::ranges::sort(out, {}, path_key);
      return out;
    };
    for (const SessionId session : ending) sessions.erase(session);
    for (const SessionId session : ending)
      for (const Bytes& path : paths_where(files, [&](const File& f) { return f.stat.owner == session; })) remove(path);
    std::vector<Bytes> left;
    for (const SessionId session : ending)
      for (const Bytes& path :
           paths_where(locks, [&](LockState l) { return find(l.waiters, session) != l.waiters.end(); })) {
        locks[path].waiters.erase(find(locks[path].waiters, session));
        left.push_back(path);
      }
    for (const SessionId session : ending)
      for (const Bytes& path :
           paths_where(locks, [&](LockState l) { return find(l.holders, session) != l.holders.end(); }))
        release(path, session, kind);
    for (const Bytes& path : left) settle(path);
  }

  const Command* command_ = nullptr;
  uint64_t subtree_files_ = 0;  // deleted by this transaction's DeleteSubtree
  std::set<std::pair<uint64_t, Bytes>> due_;
};

}  // namespace hailstone::cell
