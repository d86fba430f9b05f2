// This node as a member of its cell: the root group's replica, its database, and who the members are.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cell/machine.h"
#include "server/group_host.h"

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

  /// Opens what is in `directory`, or founds or joins a cell, and adds its group to `groups`, which starts it.
  /// Everything passed in outlives it. Corrupt: alone, and damaged; others' copies heal a member of several.
  static Result<std::unique_ptr<CellMember>> open(GroupHost& groups, const std::string& directory, Events events,
                                                  Logger& logger);
  CellMember(const CellMember&) = delete;
  CellMember& operator=(const CellMember&) = delete;

  /// Takes in whom the state names as members; now and then, and after a change of them.
  void refresh_members();

  paxos::ReplicaId self() const { return groups_.self(); }
  GroupHost& groups() { return groups_; }
  replica::Host& host() { return groups_.host(); }
  replica::Group& group() { return *group_; }
  const replica::Database& state() const { return *database_; }
  net::Transport& net() { return *groups_.net(); }
  /// In which this member leads, or led last; of round 0: it never did.
  paxos::Ballot lead_ballot() const {
    const std::lock_guard hold(mutex_);
    return lead_ballot_;
  }
  const CellConfig& config() const { return groups_.config(); }
  /// As known here, by id.
  std::vector<net::PeerAddress> members() const { return groups_.peers(GroupHost::Source::Members); }

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

  CellMember(GroupHost& groups, Events events, Logger& logger)
      : groups_(groups), events_(std::move(events)), machine_(events_.applied), logger_(logger) {}
  Result<void> open_all(const std::string& directory);
  Result<std::vector<net::PeerAddress>> named_members() const;
  void use_members(std::vector<net::PeerAddress> members);
  void name_founders(const std::vector<net::PeerAddress>& named);
  bool names_self(const std::vector<net::PeerAddress>& named) const {
    return std::ranges::find(named, net::NodeId(config().id), &net::PeerAddress::id) != named.end();
  }

  GroupHost& groups_;
  const Events events_;
  mutable std::mutex mutex_;  // between the host's thread and others; guards the one below
  paxos::Ballot lead_ballot_;
  Machine machine_;
  Logger& logger_;
  std::unique_ptr<replica::Database> database_;  // must outlive the host's work: groups_ stops before this goes
  replica::Group* group_ = nullptr;
};

}  // namespace hailstone::server
