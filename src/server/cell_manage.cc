#include "server/cell_manage.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cell/access.h"
#include "cell/query.h"
#include "cell/snapshot_file.h"

namespace hailstone::server {
namespace {

using Json = nlohmann::json;
using paxos::ReplicaId;

constexpr int64_t kAnswerNs = 10'000'000'000;    // another member's
constexpr int64_t kSnapshotNs = 60'000'000'000;  // between two pieces
constexpr int64_t kSnapshotWholeNs = 3'600'000'000'000;
constexpr size_t kSnapshotsMax = 4;
constexpr size_t kPieceBytes = 1u << 20;

std::string member_path(uint64_t id) { return fmt::format("{}/{}", kMembersPath, id); }

/// "voter", "learner" or "none".
const char* standing(const paxos::Config& config, ReplicaId id) {
  return config.is_voter(id) ? "voter" : config.is_learner(id) ? "learner" : "none";
}

Result<Bytes> text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

struct CellManage::Request {
  Bytes principal, text;
  Json body;

  std::string op() const { return text_field("op"); }
  std::string text_field(const char* name) const {
    const auto found = body.find(name);
    return found != body.end() && found->is_string() ? found->get<std::string>() : std::string();
  }
  uint64_t number(const char* name) const {
    const auto found = body.find(name);
    return found != body.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
  }
};

void CellManage::handle(ByteView principal, ByteView text, Done done) {
  Request request{.principal = Bytes(principal), .text = Bytes(text), .body = Json::parse(text, nullptr, false)};
  if (!request.body.is_object() || request.op().empty())
    return done(fail(Code::Invalid, "a management request is a JSON object with \"op\""));
  if (request.op() == "status") return done(status());
  const auto allowed = [&]() -> Result<void> {
    TRY(const auto counters, cell::schema::read_counters(member_.state()));
    TRY(const auto permissions, cell::Permissions::read(member_.state(), counters, principal));
    return permissions.check(cell::Right::Admin, "/");
  }();
  if (!allowed) return done(std::unexpected(allowed.error()));
  if (request.op() == "snapshot.begin") return done(begin_snapshot(request));
  if (request.op() == "snapshot.read") return done(read_snapshot(request));
  if (request.op() == "snapshot.end") {
    snapshots_.erase(request.number("snapshot"));
    return done(Bytes("{}"));
  }
  if (member_.group().leader() == member_.self()) return perform(request, std::move(done));
  forward(request, std::move(done));
}

void CellManage::perform(const Request& request, Done done) {
  const std::string op = request.op();
  if (op == "members.add") return add(request, std::move(done));
  if (op == "members.promote") return promote(request, std::move(done));
  if (op == "members.remove") return remove(request, std::move(done));
  if (op == "resign") {
    member_.host().resign(kRootGroup, ReplicaId(request.number("to")));
    return done(Bytes("{}"));
  }
  done(fail(Code::Invalid, fmt::format("no management request '{}'", printable(op))));
}

Result<Bytes> CellManage::status() {
  const replica::GroupStatus group = member_.host().status(kRootGroup);
  TRY(const auto counters, cell::schema::read_counters(member_.state()));
  Json out{{"cell", member_.config().name},
           {"member", member_.config().id},
           {"leader", group.leader.value},
           {"role", paxos::role_name(group.role)},
           {"ballot", fmt::format("{}.{}", group.ballot.round, group.ballot.who.value)},
           {"leased", group.leased},
           {"chosen", group.chosen.value},
           {"applied", group.applied.value},
           {"epoch", group.config.epoch},
           {"revision", counters.revision.value},
           {"sessions", counters.sessions},
           {"files", counters.files},
           {"members", Json::array()}};
  const auto peers = member_.net().metrics();
  const auto row = [&](ReplicaId id) {
    Json member{{"id", id.value}, {"standing", standing(group.config, id)}, {"self", id == member_.self()}};
    for (const auto& address : member_.members())
      if (address.id.value == id.value) member["address"] = format_address(address);
    for (const auto& peer : peers)
      if (peer.id.value == id.value) {
        member["connected"] = peer.connected && peer.heard;
        member["round_trip_us"] = peer.round_trip_us;
      }
    out["members"].push_back(std::move(member));
  };
  for (const auto& voter : group.config.voters) row(voter.id);
  for (const ReplicaId learner : group.config.learners) row(learner);
  return text_of(out);
}

// Named first: whoever leads next must know the address of a member that the configuration has.
void CellManage::add(const Request& request, Done done) {
  const uint64_t id = request.number("id");
  const auto address = parse_address(request.text_field("address"));
  if (id == 0) return done(fail(Code::Invalid, "members.add: \"id\" must be 1 or more"));
  if (!address) return done(std::unexpected(address.error()));
  if (auto usable = member_.groups().check_address(*address); !usable) return done(std::unexpected(usable.error()));
  paxos::Config next = member_.host().status(kRootGroup).config;
  if (next.is_voter(ReplicaId(id)) || next.is_learner(ReplicaId(id)))
    return done(fail(Code::Exists, fmt::format("node {} is a member already", id)));
  next.learners.push_back(ReplicaId(id));
  write_address(id, format_address(*address),
                [this, next = std::move(next), done = std::move(done)](Result<Bytes> written) mutable {
                  if (!written) return done(std::move(written));
                  member_.refresh_members();
                  reconfigure(std::move(next), std::move(done));
                });
}

void CellManage::promote(const Request& request, Done done) {
  const ReplicaId id(request.number("id"));
  paxos::Config next = member_.host().status(kRootGroup).config;
  if (next.is_voter(id)) return done(fail(Code::Exists, fmt::format("node {} votes already", id.value)));
  if (!next.is_learner(id))
    return done(fail(Code::NotFound, fmt::format("node {} is no member: add it first", id.value)));
  // A young cell's learner counts as caught up before anything reached it, and as a voter it would be missed.
  const auto peers = member_.net().metrics();
  const auto peer = std::ranges::find(peers, net::NodeId(id.value), &net::PeerMetrics::id);
  if (peer == peers.end() || !peer->connected || !peer->heard)
    return done(fail(Code::Conflict, fmt::format("node {} is not connected: start it", id.value)));
  std::erase(next.learners, id);
  next.voters.push_back({.id = id});
  if (const std::string problem = next.problem(); !problem.empty()) return done(fail(Code::Invalid, problem));
  reconfigure(std::move(next), [done = std::move(done)](Result<Bytes> promoted) {
    // What else it is refused for passes: it has not caught up. Clients ask again by themselves when told Unavailable.
    if (!promoted && promoted.error().code == Code::Invalid)
      return done(fail(Code::Conflict, std::move(promoted).error().message));
    done(std::move(promoted));
  });
}

void CellManage::remove(const Request& request, Done done) {
  const ReplicaId id(request.number("id"));
  paxos::Config next = member_.host().status(kRootGroup).config;
  if (!next.is_voter(id) && !next.is_learner(id))
    return done(fail(Code::NotFound, fmt::format("node {} is no member", id.value)));
  std::erase(next.learners, id);
  std::erase_if(next.voters, [&](const auto& voter) { return voter.id == id; });
  if (next.voters.empty())
    return done(fail(Code::Invalid, fmt::format("node {} is the last that votes: a cell needs one", id.value)));
  if (id == member_.self()) {  // whoever leads next takes it out, and takes its name away
    member_.host().resign(kRootGroup, ReplicaId(0));
    return done(fail(Code::Unavailable, fmt::format("node {} leads and hands over first: ask again", id.value)));
  }
  reconfigure(std::move(next), [this, id, done = std::move(done)](Result<Bytes> changed) mutable {
    if (!changed) return done(std::move(changed));
    write_address(id.value, std::nullopt, std::move(done));
  });
}

void CellManage::reconfigure(paxos::Config next, Done done) {
  member_.host().reconfigure(kRootGroup, std::move(next), [this, done = std::move(done)](Result<void> changed) mutable {
    run_([done = std::move(done), changed = std::move(changed)] {
      done(changed ? Result<Bytes>(Bytes("{}")) : std::unexpected(changed.error()));
    });
  });
}

void CellManage::write_address(uint64_t id, std::optional<std::string> address, Done done) {
  cell::Txn txn;
  const Bytes path = member_path(id);
  if (address) {
    txn.then_operations.push_back(cell::Put{.path = path, .content = *address});
  } else {
    txn.compares.push_back(cell::FileExists{path});
    txn.then_operations.push_back(cell::Delete{path});
  }
  member_.group().propose(cell::Command{.body = std::move(txn)}.encode(),
                          [this, done = std::move(done)](Result<Bytes> reply) mutable {
                            run_([done = std::move(done), reply = std::move(reply)]() mutable {
                              if (!reply) return done(std::move(reply));
                              const auto decoded = cell::Reply::decode(*reply);
                              if (!decoded) return done(std::unexpected(decoded.error()));
                              if (decoded->refused) return done(std::unexpected(*decoded->refused));
                              done(Bytes("{}"));
                            });
                          });
}

void CellManage::forward(const Request& request, Done done) {
  const ReplicaId leader = member_.group().leader();
  if (!leader) return done(fail(Code::Unavailable, "nobody leads the cell just now: try again"));
  const uint64_t id = next_id_++;
  Bytes frame;
  Encoder out(frame);
  out.u64(id);
  out.u8(0);
  out.bytes(request.principal);
  out.bytes(request.text);
  if (!member_.net().send(replica::node_of(leader), kManageChannel, std::move(frame)))
    return done(fail(Code::Unavailable, fmt::format("node {} leads and is not reached from here", leader.value)));
  waiting_.emplace(id, Waiting{std::move(done), clock_.monotonic_ns() + kAnswerNs});
}

void CellManage::on_frame(net::NodeId from, ByteView frame) {
  Decoder in(frame);
  const uint64_t id = in.u64();
  const uint8_t kind = in.u8();
  if (kind == 0) {
    const Bytes principal(in.bytes()), text(in.bytes());
    if (!in.done()) return;
    if (member_.group().leader() != member_.self()) {  // not handed on twice: it might go round
      Bytes answer;
      Encoder out(answer);
      out.u64(id);
      out.u8(2);
      out.u8(static_cast<uint8_t>(Code::Unavailable));
      out.bytes("the leader has changed: try again");
      member_.net().send(from, kManageChannel, std::move(answer));
      return;
    }
    return handle(principal, text, [this, from, id](Result<Bytes> response) {
      Bytes answer;
      Encoder out(answer);
      out.u64(id);
      out.u8(response ? 1 : 2);
      if (!response) out.u8(static_cast<uint8_t>(response.error().code));
      out.bytes(response ? *response : response.error().message);
      member_.net().send(from, kManageChannel, std::move(answer));
    });
  }
  const auto code = kind == 2 ? static_cast<Code>(in.u8()) : Code::Io;
  const Bytes text(in.bytes());
  const auto found = waiting_.find(id);
  if (!in.done() || kind > 2 || code > Code::Io || found == waiting_.end()) return;
  const Done done = std::move(found->second.done);
  waiting_.erase(found);
  done(kind == 1 ? Result<Bytes>(text) : fail(code, text));
}

void CellManage::on_tick() {
  const int64_t now = clock_.monotonic_ns();
  std::vector<Done> late;
  for (auto& [id, waiting] : waiting_)
    if (waiting.until_ns <= now) late.push_back(std::move(waiting.done));
  std::erase_if(waiting_, [&](const auto& each) { return each.second.until_ns <= now; });
  std::erase_if(snapshots_, [&](const auto& each) { return each.second.until_ns <= now; });
  for (const Done& done : late) done(fail(Code::Timeout, "the leader has not answered: look whether it is done"));
}

Result<Bytes> CellManage::begin_snapshot(const Request& request) {
  if (snapshots_.size() >= kSnapshotsMax)
    return fail(Code::Exhausted, fmt::format("{} snapshots are being read here already", snapshots_.size()));
  const uint64_t id = next_id_++;
  const int64_t now = clock_.monotonic_ns();
  Held held{member_.state().snapshot(), request.principal, now + kSnapshotWholeNs, now + kSnapshotNs};
  TRY(const auto counters, cell::schema::read_counters(*held.state));
  snapshots_.emplace(id, std::move(held));
  return text_of({{"snapshot", id}, {"cell", member_.config().name}, {"revision", counters.revision.value}});
}

// Entries behind "after" (hex): a block of a snapshot file, and u8 whether it was the last; alone: nothing is left.
Result<Bytes> CellManage::read_snapshot(const Request& request) {
  const auto found = snapshots_.find(request.number("snapshot"));
  if (found == snapshots_.end() || found->second.principal != request.principal)
    return fail(Code::NotFound, "no such snapshot is held here: begin again");
  Bytes after;
  if (!from_hex(request.text_field("after"), after)) return fail(Code::Invalid, "\"after\" must be hex digits");
  found->second.until_ns = std::min(clock_.monotonic_ns() + kSnapshotNs, found->second.end_ns);
  const auto at = found->second.state->iterate(after, Bytes(64, '\xff'));
  std::vector<cell::SnapshotEntry> entries;
  for (size_t bytes = 0; at->valid() && bytes < kPieceBytes; at->next()) {
    if (at->key() == after || at->key().starts_with('\0')) continue;  // the group's own place is not the cell's
    entries.emplace_back(at->key(), at->value());
    bytes += at->key().size() + at->value().size();
  }
  TRY_DO(at->status());
  Bytes piece = entries.empty() ? Bytes() : cell::encode_snapshot_block(entries);
  piece.push_back(at->valid() ? 0 : 1);
  return piece;
}

}  // namespace hailstone::server
