// The groups of one node: one host, one log and one connection to each other node for all of them.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/logger.h"
#include "disk/disk.h"
#include "net/tcp_transport.h"
#include "replica/host.h"
#include "replica/net_transport.h"
#include "replica/rocks_database.h"
#include "replica/supervisor.h"
#include "server/cell_config.h"

namespace hailstone::server {

/// Open; add groups; start(). Members of a group are nodes, by the same number.
class GroupHost {
 public:
  struct Options {
    std::string directory;  // the log is in directory/log
    uint64_t segment_bytes = 64u << 20;
    bool networked = true;  // false: no port; alone for ever
  };
  /// Of one group, on the host's thread: keep them short. May be empty.
  struct Events {
    std::function<void(const paxos::RoleChange&)> role;
    std::function<void(const Error&)> failed;  // for good: the process must be started again
  };

  /// `others` gets frames that are not the replicas'. Everything passed in outlives it. Io: the port is taken.
  static Result<std::unique_ptr<GroupHost>> open(disk::Disk& disk, Clock& clock, const CellConfig& config,
                                                 Options options, const replica::WardReporter& supervisor,
                                                 Logger& logger);
  GroupHost(const GroupHost&) = delete;
  GroupHost& operator=(const GroupHost&) = delete;
  ~GroupHost();  // halts

  /// This node is the only member there is, or ever was told of: damage cannot be healed by others.
  bool alone() const { return alone_; }
  /// Opened beside the log; one that is damaged is set aside where others can give it again.
  Result<std::unique_ptr<replica::Database>> open_database(const replica::RocksOptions& options);
  /// Before start(). Founders are its first members, unless this node joins others.
  Result<replica::Group*> add(paxos::GroupId id, replica::Database& database, const std::string& database_directory,
                              replica::StateMachine& machine, const replica::GroupOptions& options, Events events);
  /// Frames that are not the replicas'. Before start().
  void set_receiver(net::Receiver* others) { transport_.set_others(others); }
  Result<void> start();
  /// Who the other nodes are, from now on: the cell's members as its state names them, and all nodes that are
  /// registered, each told by whoever knows them. Where both know a node, the first counts.
  enum class Source : uint8_t { Members, Nodes };
  Result<void> set_peers(Source source, std::vector<net::PeerAddress> peers);
  /// By id.
  std::vector<net::PeerAddress> peers(Source source) const;
  /// Denied: other nodes may not be reached there without TLS.
  Result<void> check_address(const net::PeerAddress& address) const;
  /// Hands all leaderships over, finishes what is queued, flushes, disconnects. Idempotent.
  void stop();
  /// Ends all work at once, without finishing: nothing is called any more, and no group is there. Whoever owns a
  /// group's database calls it before that goes, when no other thread uses a group.
  void halt();

  replica::Host& host() { return *host_; }
  net::Transport* net() { return net_.get(); }  // null where it is not networked
  uint16_t port() const { return net_ ? net_->port() : 0; }
  paxos::ReplicaId self() const { return paxos::ReplicaId(config_.id); }
  const CellConfig& config() const { return config_; }

 private:
  GroupHost(disk::Disk& disk, const CellConfig& config, Options options, const replica::WardReporter& supervisor,
            Logger& logger)
      : disk_(disk), config_(config), options_(std::move(options)), supervisor_(supervisor), logger_(logger) {}
  Result<void> open_all(Clock& clock);

  disk::Disk& disk_;
  const CellConfig config_;
  const Options options_;
  const replica::WardReporter supervisor_;
  Logger& logger_;
  bool alone_ = true;
  std::vector<net::PeerAddress> founders_;
  mutable std::mutex mutex_;                            // between those who know nodes; guards the one below
  std::array<std::vector<net::PeerAddress>, 2> peers_;  // by Source
  struct Hosted {
    Events events;
    std::string database_directory;
  };
  std::map<uint64_t, Hosted> groups_;  // changes only before start()
  replica::NetTransport transport_;
  std::unique_ptr<net::TcpTransport> net_;
  std::unique_ptr<replica::Host> host_;
};

}  // namespace hailstone::server
