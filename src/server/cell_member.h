// This node as a member of its cell: the root group's replica, its database, the frames between members, and who they
// are.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/logger.h"
#include "cell/machine.h"
#include "disk/disk.h"
#include "net/tcp_transport.h"
#include "replica/host.h"
#include "replica/net_transport.h"
#include "replica/supervisor.h"
#include "server/cell_config.h"

namespace hailstone::server {

/// The group that the cell's state machine runs on.
inline constexpr paxos::GroupId kRootGroup{0};
/// Files beneath it say where members are reached by other members: /cell/members/ID, content HOST:PORT.
inline constexpr ByteView kMembersPath = "/cell/members";

class CellMember {
 public:
  /// Called on threads of the replica's: keep them short. All may be empty.
  struct Events {
    std::function<void()> applied;                       // the database shows more than before
    std::function<void(const paxos::RoleChange&)> role;  // of this member
    std::function<void(const Error&)> failed;            // it must be started again
  };

  /// Opens what is in `directory`, or founds or joins a cell. `others` gets frames of channels that are not the
  /// replica's. Everything passed in outlives it. Corrupt: alone, and damaged; others' copies heal a member of several.
  static Result<std::unique_ptr<CellMember>> open(disk::Disk& disk, Clock& clock, const CellConfig& config,
                                                  const std::string& directory, const replica::WardReporter& supervisor,
                                                  net::Receiver* others, Events events, Logger& logger);
  ~CellMember();
  CellMember(const CellMember&) = delete;
  CellMember& operator=(const CellMember&) = delete;

  void start();
  /// Takes in whom the state names as members; now and then, and after a change of them.
  void refresh_members();
  /// Hands leadership over, finishes what is queued, flushes, disconnects.
  void stop();

  paxos::ReplicaId self() const { return paxos::ReplicaId(config_.id); }
  replica::Host& host() { return *host_; }
  replica::Group& group() { return *group_; }
  const replica::Database& state() const { return *database_; }
  net::Transport& net() { return *net_; }
  uint16_t member_port() const { return net_->port(); }
  /// In which this member leads, or led last; of round 0: it never did.
  paxos::Ballot lead_ballot() const {
    const std::lock_guard hold(mutex_);
    return lead_ballot_;
  }
  const CellConfig& config() const { return config_; }
  /// Denied: other members may not be reached there without TLS.
  Result<void> check_address(const net::PeerAddress& address) const;
  /// As known here, by id.
  std::vector<net::PeerAddress> members() const;

 private:
  /// Tells of what it applied, for that is what watches wait for.
  class Machine final : public cell::Machine {
   public:
    explicit Machine(const std::function<void()>& applied) : applied_(applied) {}
    void applied(Slot) override {
      if (applied_) applied_();
    }
    Result<void> restored(const replica::Reader&, Slot) override {
      if (applied_) applied_();
      return {};
    }

   private:
    const std::function<void()>& applied_;
  };

  CellMember(const CellConfig& config, Events events, const replica::WardReporter& supervisor, net::Receiver* others,
             Logger& logger)
      : config_(config),
        events_(std::move(events)),
        supervisor_(supervisor),
        machine_(events_.applied),
        transport_(others),
        logger_(logger) {}
  Result<void> open_all(disk::Disk& disk, Clock& clock, const std::string& directory);
  Result<std::vector<net::PeerAddress>> named_members() const;
  Result<void> use_members(std::vector<net::PeerAddress> members);
  void name_founders(const std::vector<net::PeerAddress>& named);
  bool names_self(const std::vector<net::PeerAddress>& named) const {
    return std::ranges::find(named, net::NodeId(config_.id), &net::PeerAddress::id) != named.end();
  }

  const CellConfig config_;
  const Events events_;
  const replica::WardReporter supervisor_;
  mutable std::mutex mutex_;  // between the host's thread, the service's and others; guards the two below
  std::vector<net::PeerAddress> members_;
  paxos::Ballot lead_ballot_;
  Machine machine_;
  replica::NetTransport transport_;
  Logger& logger_;
  std::unique_ptr<net::TcpTransport> net_;
  std::unique_ptr<replica::Database> database_;  // outlives the host
  std::unique_ptr<replica::Host> host_;
  replica::Group* group_ = nullptr;
};

}  // namespace hailstone::server
