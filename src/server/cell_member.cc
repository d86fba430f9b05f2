#include "server/cell_member.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "cell/query.h"
#include "net/resolve.h"
#include "replica/rocks_database.h"

namespace hailstone::server {

Result<std::unique_ptr<CellMember>> CellMember::open(disk::Disk& disk, Clock& clock, const CellConfig& config,
                                                     const std::string& directory,
                                                     const replica::WardReporter& supervisor, net::Receiver* others,
                                                     Events events, Logger& logger) {
  std::unique_ptr<CellMember> member(new CellMember(config, std::move(events), supervisor, others, logger));
  TRY_DO(member->open_all(disk, clock, directory));
  return member;
}

CellMember::~CellMember() = default;

Result<void> CellMember::open_all(disk::Disk& disk, Clock& clock, const std::string& directory) {
  TRY(const auto founders, config_.founders());
  const bool alone = founders.size() == 1 && !config_.join;
  TRY_DO(disk.make_directories(directory));
  net::TcpOptions net_options{.self = net::NodeId(config_.id), .cell = config_.name, .tls = config_.tls()};
  net_options.listen_host = config_.address;
  net_options.listen_port = config_.member_port;
  net_options.plain = config_.plain();
  TRY(net_, net::TcpTransport::start(net_options, transport_, logger_));

  const std::string state = directory + "/state";
  const replica::RocksOptions rocks{.directory = state, .memtable_bytes = config_.memtable_bytes, .verify = true};
  TRY(database_, alone ? replica::open_rocks_database(disk, rocks)
                       : replica::open_or_replace_rocks_database(disk, rocks, logger_));

  replica::HostOptions options{.self = self()};
  options.journal.log = {.directory = directory + "/log", .segment_bytes = config_.segment_bytes};
  if (!alone) options.journal.damage = replica::JournalOptions::Damage::Salvage;
  options.on_event = [this](paxos::GroupId, const paxos::Event& event) {
    const auto* change = std::get_if<paxos::RoleChange>(&event);
    if (!change) return;
    if (change->role == paxos::Role::Leader) {
      const std::lock_guard hold(mutex_);
      lead_ballot_ = change->ballot;
    }
    if (events_.role) events_.role(*change);
  };
  // Damage that is met while it runs: the next life sets the database aside, and the others give it again.
  options.on_failed = [this, &disk, state](paxos::GroupId, const Error& cause) {
    if (cause.code == Code::Corrupt) static_cast<void>(replica::mark_rocks_database_damaged(disk, state));
    if (events_.failed) events_.failed(cause);
  };
  TRY(host_, replica::Host::open(disk, clock, &transport_, options, logger_));
  transport_.attach(*net_, *host_);

  std::optional<paxos::Config> first;
  if (!config_.join) {
    first = paxos::Config{.epoch = 1};
    for (const auto& founder : founders) first->voters.push_back({.id = replica::replica_of(founder.id)});
  }
  TRY(group_, host_->add_group(kRootGroup, *database_, machine_,
                               {.log_directory = options.journal.log.directory,
                                .flush_bytes = config_.flush_bytes,
                                .read_cache_bytes = 16u << 20},
                               first));
  TRY(auto named, named_members());
  members_ = names_self(named) ? std::move(named) : founders;
  if (alone)
    for (auto& member : members_)
      if (member.id.value == config_.id) member.port = net_->port();
  return {};
}

void CellMember::start() {
  host_->start();
  if (auto used = use_members(members()); !used) logger_.error("members_unusable", {{"error", used.error().message}});
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
    if (auto usable = check_address(*address); !usable && id != config_.id) {
      logger_.warn("member_not_reached", {{"id", id}, {"error", usable.error().message}});
      continue;
    }
    out.push_back(*std::move(address));
  }
  std::ranges::sort(out, {}, &net::PeerAddress::id);
  return out;
}

Result<void> CellMember::check_address(const net::PeerAddress& address) const {
  boost::system::error_code not_numeric;
  const auto numeric = net::asio::ip::make_address(address.host, not_numeric);
  if (config_.tls() || config_.plain_anywhere || not_numeric || net::is_loopback(numeric)) return {};
  return fail(Code::Denied, fmt::format("{} is not on loopback, and members have no certificates: set cell.tls_*, or "
                                        "cell.plain_anywhere",
                                        format_address(address)));
}

Result<void> CellMember::use_members(std::vector<net::PeerAddress> members) {
  TRY_DO(supervisor_.report({.life = host_->life(),
                             .node = net::NodeId(config_.id),
                             .cell = config_.name,
                             .tls = config_.tls(),
                             .plain = config_.plain(),
                             .peers = members}));
  TRY_DO(net_->set_peers(members));
  const std::lock_guard hold(mutex_);
  members_ = std::move(members);
  return {};
}

void CellMember::refresh_members() {
  auto named = named_members();
  if (!named) return logger_.error("members_unreadable", {{"error", named.error().message}});
  // A list without this node is not the cell's yet, or not any more: the links that there are stay.
  if (!names_self(*named)) return name_founders(*named);
  if (*named == members()) return;
  if (auto used = use_members(*std::move(named)); !used)
    logger_.error("members_unusable", {{"error", used.error().message}});
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

std::vector<net::PeerAddress> CellMember::members() const {
  const std::lock_guard hold(mutex_);
  return members_;
}

void CellMember::stop() {
  host_->drain();
  net_->stop();
}

}  // namespace hailstone::server
