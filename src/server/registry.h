// Who is in the cell, and which stores it counts on: this node's entries in /nodes and /stores, and everybody's,
// watched.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/logger.h"
#include "client/cell_client.h"

namespace hailstone::server {

inline constexpr ByteView kNodesPath = "/nodes", kStoresPath = "/stores";

/// The ephemeral file /nodes/ID: JSON with the fields' names, addresses as "host:port", "" where there is none.
struct NodeEntry {
  net::NodeId id;
  std::string name;
  std::vector<std::string> roles;            // "member", "store", "gateway"
  std::string http, s3, cell, member, data;  // where others reach it
  std::string place;                         // "site/rack/host"
  std::string version;                       // of the program
  uint64_t life = 0;                         // of the process: rises from life to life of this node
  /// The file's instance: higher with each registration, so that a process that was replaced is told from its
  /// successor. Not in the JSON.
  uint64_t term = 0;
  bool operator==(const NodeEntry&) const = default;

  Bytes to_json() const;
  /// Fields that are missing are empty; unknown ones are passed over. Corrupt when it is no such object.
  static Result<NodeEntry> from_json(net::NodeId id, ByteView json);
};

/// The lasting file /stores/ID: whether its node is up or not.
struct StoreEntry {
  enum class State : uint8_t { In, Draining, Out };
  net::NodeId id;
  std::string place;
  double weight = 1;  // 0 or more
  State state = State::In;
  bool operator==(const StoreEntry&) const = default;

  Bytes to_json() const;  // {"place": "a/b/c", "weight": 1.0, "state": "in"}
  static Result<StoreEntry> from_json(net::NodeId id, ByteView json);
};

/// What is known, all of it. Immutable.
struct Roster {
  std::map<net::NodeId, NodeEntry> nodes;
  std::map<net::NodeId, StoreEntry> stores;
  /// What others see may be older only by what is on its way, once both lists were read.
  bool complete = false;
  enum class Self : uint8_t {
    Absent,      // not registered: not yet, or the session has expired, or another process has this node's id
    Registered,  // as `nodes` has it
    Jeopardy,    // it was, and whether it still is nobody can say: the cell is out of reach
  } self = Self::Absent;
  uint64_t term = 0;  // of this node's newest registration; 0: none
};
std::string_view self_name(Roster::Self self);

/// Made and destroyed on the loop's thread, or while no other uses it; before the client, whose session listener it
/// is. now() from any thread.
class Registry {
 public:
  /// On the loop, after now() has changed; must not wait, nor destroy this.
  using OnChange = std::function<void(const std::shared_ptr<const Roster>&)>;

  /// `store`: of a node with that role. Its file is made if there is none; what is there stays as the operator has it.
  Registry(net::asio::io_context& loop, client::CellClient& client, NodeEntry self, std::optional<StoreEntry> store,
           Logger& logger, OnChange on_change = {});
  /// The registration ends with the client's session.
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  std::shared_ptr<const Roster> now() const;

 private:
  struct Shared;
  const std::shared_ptr<Shared> shared_;
};

}  // namespace hailstone::server
