#include "server/cell_member.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "cell/query.h"

namespace hailstone::server {

Result<std::unique_ptr<CellMember>> CellMember::open(GroupHost& groups, const std::string& directory, Events events,
                                                     Logger& logger) {
  std::unique_ptr<CellMember> member(new CellMember(groups, std::move(events), logger));
  TRY_DO(member->open_all(directory));
  return member;
}

Result<void> CellMember::open_all(const std::string& directory) {
  const std::string state = directory + "/state";
  TRY(database_,
      groups_.open_database({.directory = state, .memtable_bytes = config().memtable_bytes, .verify = true}));
  GroupHost::Events events;
  events.role = [this](const paxos::RoleChange& change) {
    if (change.role == paxos::Role::Leader) {
      const std::lock_guard hold(mutex_);
      lead_ballot_ = change.ballot;
    }
    if (events_.role) events_.role(change);
  };
  events.failed = [this](const Error& cause) {
    if (events_.failed) events_.failed(cause);
  };
  TRY(group_, groups_.add(kRootGroup, *database_, state, machine_,
                          {.flush_bytes = config().flush_bytes, .read_cache_bytes = 16u << 20}, std::move(events)));
  TRY(auto named, named_members());
  if (names_self(named)) use_members(std::move(named));
  return {};
}

// Before the state says who they are, it is who the configuration says.
Result<std::vector<net::PeerAddress>> CellMember::named_members() const {
  std::vector<net::PeerAddress> out;
  TRY(const auto listing, cell::list(*database_, {.path = Bytes(kMembersPath), .depth = cell::List::Depth::Children}));
  for (const auto& entry : listing.entries) {
    uint64_t id = 0;
    const auto [end, error] = std::from_chars(entry.name.data(), entry.name.data() + entry.name.size(), id);
    if (error != std::errc() || end != entry.name.data() + entry.name.size() || id == 0) continue;
    TRY(const auto file, cell::read_file(*database_, Bytes(kMembersPath) + "/" + entry.name));
    if (!file) continue;
    auto address = parse_address(file->content);
    if (!address) {
      logger_.warn("member_without_address",
                   {{"path", Bytes(kMembersPath) + "/" + entry.name}, {"error", address.error().message}});
      continue;
    }
    address->id = net::NodeId(id);
    // One address that won't do must not take the others' away.
    if (auto usable = groups_.check_address(*address); !usable && id != config().id) {
      logger_.warn("member_not_reached", {{"id", id}, {"error", usable.error().message}});
      continue;
    }
    out.push_back(*std::move(address));
  }
  std::ranges::sort(out, {}, &net::PeerAddress::id);
  return out;
}

void CellMember::use_members(std::vector<net::PeerAddress> members) {
  if (auto used = groups_.set_peers(GroupHost::Source::Members, std::move(members)); !used)
    logger_.error("members_unusable", {{"error", used.error().message}});
}

void CellMember::refresh_members() {
  auto named = named_members();
  if (!named) return logger_.error("members_unreadable", {{"error", named.error().message}});
  // A list without this node is not the cell's yet, or not any more: the links that there are stay.
  if (!names_self(*named)) return name_founders(*named);
  if (*named == members()) return;
  use_members(*std::move(named));
}

// Whoever leads a new cell writes down who founded it.
void CellMember::name_founders(const std::vector<net::PeerAddress>& named) {
  if (group_->leader() != self()) return;
  cell::Txn txn;
  for (const auto& member : members()) {
    if (std::ranges::find(named, member.id, &net::PeerAddress::id) != named.end()) continue;
    const Bytes path = fmt::format("{}/{}", kMembersPath, member.id.value);
    txn.compares.push_back(cell::FileAbsent{path});
    txn.then_operations.push_back(cell::Put{.path = path, .content = format_address(member)});
  }
  if (txn.compares.empty()) return;
  group_->propose(cell::Command{.body = std::move(txn)}.encode(), [this](Result<Bytes> reply) {
    if (!reply) logger_.warn("founders_not_named", {{"error", reply.error().message}});
  });
}

}  // namespace hailstone::server
