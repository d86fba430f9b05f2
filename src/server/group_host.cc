#include "server/group_host.h"

#include <fmt/format.h>

#include <algorithm>

#include "net/resolve.h"

namespace hailstone::server {

Result<std::unique_ptr<GroupHost>> GroupHost::open(disk::Disk& disk, Clock& clock, const CellConfig& config,
                                                   Options options, const replica::WardReporter& supervisor,
                                                   Logger& logger) {
  std::unique_ptr<GroupHost> host(new GroupHost(disk, config, std::move(options), supervisor, logger));
  TRY_DO(host->open_all(clock));
  return host;
}

GroupHost::~GroupHost() { halt(); }

void GroupHost::halt() {
  if (net_) net_->stop();  // nothing comes from it any more
  host_.reset();
}

Result<void> GroupHost::open_all(Clock& clock) {
  TRY(founders_, config_.founders());
  alone_ = founders_.size() == 1 && !config_.join;
  TRY_DO(disk_.make_directories(options_.directory));
  if (options_.networked) {
    net::TcpOptions net_options{.self = net::NodeId(config_.id), .cell = config_.name, .tls = config_.tls()};
    net_options.listen_host = config_.address;
    net_options.listen_port = config_.member_port;
    net_options.plain = config_.plain();
    TRY(net_, net::TcpTransport::start(net_options, transport_, logger_));
  }
  auto& members = peers_[static_cast<size_t>(Source::Members)];
  members = founders_;
  if (alone_ && net_)
    for (auto& peer : members)
      if (peer.id.value == config_.id) peer.port = net_->port();

  replica::HostOptions options{.self = self()};
  options.journal.log = {.directory = options_.directory + "/log", .segment_bytes = options_.segment_bytes};
  if (!alone_) options.journal.damage = replica::JournalOptions::Damage::Salvage;
  options.on_event = [this](paxos::GroupId id, const paxos::Event& event) {
    const auto* change = std::get_if<paxos::RoleChange>(&event);
    if (!change) return;
    if (const auto& told = groups_.at(id.value).events.role) told(*change);
  };
  // Damage that is met while it runs: the next life sets the database aside, and the others give it again.
  options.on_failed = [this](paxos::GroupId id, const Error& cause) {
    const Hosted& group = groups_.at(id.value);
    if (cause.code == Code::Corrupt)
      static_cast<void>(replica::mark_rocks_database_damaged(disk_, group.database_directory));
    if (group.events.failed) group.events.failed(cause);
  };
  TRY(host_, replica::Host::open(disk_, clock, net_ ? &transport_ : nullptr, options, logger_));
  if (net_) transport_.attach(*net_, *host_);
  return {};
}

Result<std::unique_ptr<replica::Database>> GroupHost::open_database(const replica::RocksOptions& options) {
  return alone_ ? replica::open_rocks_database(disk_, options)
                : replica::open_or_replace_rocks_database(disk_, options, logger_);
}

Result<replica::Group*> GroupHost::add(paxos::GroupId id, replica::Database& database,
                                       const std::string& database_directory, replica::StateMachine& machine,
                                       const replica::GroupOptions& options, Events events) {
  groups_[id.value] = {std::move(events), database_directory};
  std::optional<paxos::Config> first;
  if (!config_.join) {
    first = paxos::Config{.epoch = 1};
    for (const auto& founder : founders_) first->voters.push_back({.id = replica::replica_of(founder.id)});
  }
  replica::GroupOptions own = options;
  own.log_directory = options_.directory + "/log";
  return host_->add_group(id, database, machine, own, first);
}

Result<void> GroupHost::start() {
  host_->start();
  return set_peers(Source::Members, peers(Source::Members));
}

Result<void> GroupHost::set_peers(Source source, std::vector<net::PeerAddress> peers) {
  const std::lock_guard hold(mutex_);
  auto known = peers_;
  known[static_cast<size_t>(source)] = std::move(peers);
  std::vector<net::PeerAddress> all;
  for (const auto& list : known)
    for (const auto& peer : list)
      if (std::ranges::find(all, peer.id, &net::PeerAddress::id) == all.end()) all.push_back(peer);
  if (net_) {
    TRY_DO(supervisor_.report({.life = host_->life(),
                               .node = net::NodeId(config_.id),
                               .cell = config_.name,
                               .tls = config_.tls(),
                               .plain = config_.plain(),
                               .peers = all}));
    TRY_DO(net_->set_peers(std::move(all)));
  }
  peers_ = std::move(known);
  return {};
}

std::vector<net::PeerAddress> GroupHost::peers(Source source) const {
  const std::lock_guard hold(mutex_);
  return peers_[static_cast<size_t>(source)];
}

Result<void> GroupHost::check_address(const net::PeerAddress& address) const {
  boost::system::error_code not_numeric;
  const auto numeric = net::asio::ip::make_address(address.host, not_numeric);
  if (config_.tls() || config_.plain_anywhere || not_numeric || net::is_loopback(numeric)) return {};
  return fail(Code::Denied, fmt::format("{} is not on loopback, and nodes have no certificates: set cell.tls_*, or "
                                        "cell.plain_anywhere",
                                        format_address(address)));
}

void GroupHost::stop() {
  host_->drain();
  if (net_) net_->stop();
}

}  // namespace hailstone::server
